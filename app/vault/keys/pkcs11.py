"""The provider key inside an HSM, through python-pkcs11 (PKCS #11 v2.40). It is an AES-256 key that the token made and never lets out.

How the context is bound, by what the token can do:

- ``aes-gcm`` (CKM_AES_GCM): the token itself seals the L1 key; head and context are its AAD. The nonce is random and ours.
- ``aes-kwp`` (CKM_AES_KEY_WRAP_PAD, RFC 5649): key wrap has no AAD. The token wraps a fresh 256-bit key, which is used once, here, with
  AES-256-GCM over the L1 key; head and context are the AAD of that box, and so is the wrapped fresh key. For tokens that make
  every GCM nonce themselves or cannot do GCM; the fresh key must be extractable, which some tokens forbid.

A wrong PIN is tried once, never again by itself: tokens lock after a few. What remembers it is the file *refused* (see ``Place``).

A token that hangs is waited for ``TOKEN_SECONDS`` and no longer, by whoever asks it: its library's calls know no time limit.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.kernel.errors import KeysDown, UnsafeStart
from app.vault.envelope import KEY_SIZE, NONCE_SIZE, Malformed, box, unbox
from app.vault.keys.extra import missing
from app.vault.keys.provider import Headed, Kind, reference

if TYPE_CHECKING:
    import pkcs11

# RFC 5649 section 4.1: a 256-bit key wrapped with padding is 8 bytes longer.
_WRAPPED_FRESH = KEY_SIZE + 8
_GCM_BITS = 128
# A network HSM answers within milliseconds; one that fails over, within seconds.
TOKEN_SECONDS = 15.0
_Done = TypeVar("_Done")


class Mechanism(StrEnum):
    """What the token does; the words of the setting ``mechanism``."""

    AES_GCM = "aes-gcm"
    AES_KWP = "aes-kwp"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the key is. module: the token maker's library. token, key: labels. refused: the file that says a PIN was refused; None: none is kept."""

    module: Path
    token: str
    key: str
    mechanism: Mechanism = Mechanism.AES_GCM
    refused: Path | None = None


class _Process:
    """What belongs to one process: a lock, as a session does one thing at a time, and the modules that must be started anew after a fork."""

    lock = threading.Lock()
    started: ClassVar[set[str]] = set()
    stale: ClassVar[set[str]] = set()

    @classmethod
    def forked(cls) -> None:
        """Forget a lock that may be held by a thread that the child does not have."""
        cls.lock, cls.stale, cls.started = threading.Lock(), cls.started | cls.stale, set()


os.register_at_fork(after_in_child=_Process.forked)


class Pkcs11(Headed):
    """A key of a token. Each process logs in once, on its first use; after a fork the child logs in anew (PKCS #11 v2.40 section 5.4)."""

    kind = Kind.PKCS11

    def __init__(self, place: Place, pin: str, *, by_hand: bool = False) -> None:
        super().__init__(reference("pkcs11", place.token, place.key))
        self._place = place
        self._pin = pin
        self._by_hand = by_hand
        self._refused = False
        # Process, session, key.
        self._held: tuple[int, pkcs11.Session, Any] | None = None

    @classmethod
    def open(cls, place: Place, pin: Callable[[], str], *, by_hand: bool = False, make: bool = False) -> Pkcs11:
        """Return the provider, logged in. by_hand: a person types the PIN now, so an earlier refusal does not count. make: make the key when absent.

        Raises UnsafeStart without python-pkcs11, for a module that is not there, a token that lacks the mechanism or a key that could leave
        it; KeysDown for a wrong or locked PIN, or a token or key that is absent.
        """
        try:
            import pkcs11  # noqa: F401  looked for here, used below
        except ImportError:
            raise missing("pkcs11", "pkcs11") from None
        if not place.module.is_file():
            raise UnsafeStart(f"the PKCS #11 module {place.module} is not there: install the token maker's library, or name it")
        if place.refused is not None and place.refused.exists() and not by_hand:
            raise KeysDown(
                f"token {place.token} refused this PIN before, and another try could lock it: put the right PIN in its place, then delete "
                f"{place.refused}, or type the PIN at a terminal (gardu keys status)"
            )
        provider = cls(place, pin(), by_hand=by_hand)
        if make:
            provider._in_time(provider._make)
        provider._in_time(provider._check)
        return provider

    def health(self) -> str:
        """Return a line for the operator after one round of wrapping and unwrapping."""
        self._prove()
        return f"{self.newest()} by {self._place.mechanism}: open"

    def newest(self) -> str:
        """Return ``pkcs11:<token>/<key>``."""
        return f"pkcs11:{self._place.token}/{self._place.key}"

    def _seal(self, key: bytes, context: bytes) -> bytes:
        return self._in_time(lambda: self._sealed(key, context))

    def _open(self, body: bytes, context: bytes) -> bytes:
        return self._in_time(lambda: self._opened(body, context))

    def _in_time(self, work: Callable[[], _Done]) -> _Done:
        """Return what *work* with the token comes to. Raises KeysDown when the token does not answer in time, and whatever *work* raises.

        A call into the token's library cannot be broken off: it is left behind in a thread of its own, with the lock it holds, and who
        comes next waits no longer than this one did. Nothing is half done by that: a wrapped key that nobody received is none.
        """
        made, trouble = list[_Done](), list[BaseException]()

        def do() -> None:
            try:
                made.append(work())
            except BaseException as error:  # handed on to who waits
                trouble.append(error)

        thread = threading.Thread(target=do, name="gardu-token", daemon=True)
        thread.start()
        thread.join(TOKEN_SECONDS)
        if trouble:
            raise trouble[0]
        if not made:
            raise KeysDown(self._silent())
        return made[0]

    def _sealed(self, key: bytes, context: bytes) -> bytes:
        if self._place.mechanism is Mechanism.AES_GCM:
            nonce = os.urandom(NONCE_SIZE)
            return nonce + self._gcm("encrypt", nonce, key, context)
        fresh = os.urandom(KEY_SIZE)
        wrapped = self._wrap_fresh(fresh)
        return wrapped + box(AESGCM(fresh), os.urandom(NONCE_SIZE), key, context + wrapped, b"")

    def _opened(self, body: bytes, context: bytes) -> bytes:
        if self._place.mechanism is Mechanism.AES_GCM:
            return self._gcm("decrypt", body[:NONCE_SIZE], body[NONCE_SIZE:], context)
        wrapped, boxed = body[:_WRAPPED_FRESH], body[_WRAPPED_FRESH:]
        try:
            return unbox(AESGCM(self._unwrap_fresh(wrapped)), b"\x01" + boxed, context + wrapped)
        except Malformed:
            raise KeysDown(self._not_ours()) from None

    # ---- the token ----

    def _gcm(self, verb: str, nonce: bytes, data: bytes, context: bytes) -> bytes:
        import pkcs11
        from pkcs11.mechanisms import GCMParams

        with self._token() as (_session, key):
            given = GCMParams(nonce, context, _GCM_BITS)
            # One verb or the other; the library's types are those of each.
            done: bytes = getattr(key, verb)(data, mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=given)
            return done

    def _wrap_fresh(self, fresh: bytes) -> bytes:
        import pkcs11
        from pkcs11 import Attribute

        with self._token() as (session, key):
            held = session.create_object(
                {
                    Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: pkcs11.KeyType.AES, Attribute.VALUE: fresh,
                    Attribute.TOKEN: False, Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False,
                }
            )  # fmt: skip
            wrapped: bytes = key.wrap_key(held, mechanism=pkcs11.Mechanism.AES_KEY_WRAP_PAD)
            held.destroy()
            return wrapped

    def _unwrap_fresh(self, wrapped: bytes) -> bytes:
        import pkcs11
        from pkcs11 import Attribute

        with self._token() as (_session, key):
            held = key.unwrap_key(
                pkcs11.ObjectClass.SECRET_KEY, pkcs11.KeyType.AES, wrapped, mechanism=pkcs11.Mechanism.AES_KEY_WRAP_PAD, store=False,
                template={Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False},
            )  # fmt: skip
            fresh: bytes = held[Attribute.VALUE]
            held.destroy()
            return fresh

    def _make(self) -> None:
        """Have the token make the key, unless it is there. Raises KeysDown."""
        import pkcs11
        from pkcs11 import Attribute, MechanismFlag

        can = (
            MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT
            if self._place.mechanism is Mechanism.AES_GCM
            # Never both pairs: a key that wraps and decrypts gives away what it wrapped.
            else MechanismFlag.WRAP | MechanismFlag.UNWRAP
        )
        with self._token(key=False) as (session, _none):
            if list(session.get_objects({Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY, Attribute.LABEL: self._place.key})):
                return
            session.generate_key(
                pkcs11.KeyType.AES, 256, label=self._place.key, store=True, capabilities=can,
                template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True},
            )  # fmt: skip

    def _check(self) -> None:
        import pkcs11
        from pkcs11 import Attribute

        wanted = pkcs11.Mechanism.AES_GCM if self._place.mechanism is Mechanism.AES_GCM else pkcs11.Mechanism.AES_KEY_WRAP_PAD
        with self._token() as (session, key):
            if wanted not in session.token.slot.get_mechanisms():
                raise UnsafeStart(f"token {self._place.token} cannot do {self._place.mechanism}: set mechanism in [keys] to the other")
            if key[Attribute.EXTRACTABLE] or not key[Attribute.SENSITIVE]:
                raise UnsafeStart(f"{self.newest()} can leave the token: make one that cannot (gardu keys init)")

    @contextmanager
    def _token(self, *, key: bool = True) -> Iterator[tuple[pkcs11.Session, Any]]:
        """Yield the session and the key (None when not asked for), alone in this process. Raises KeysDown for whatever the token says."""
        import pkcs11

        lock = _Process.lock
        if not lock.acquire(timeout=TOKEN_SECONDS):
            raise KeysDown(self._silent())
        try:
            try:
                session, found = self._logged_in()
                if key and found is None:
                    found = session.get_key(object_class=pkcs11.ObjectClass.SECRET_KEY, label=self._place.key)
                    self._held = (os.getpid(), session, found)
                yield session, found
            except (pkcs11.SessionHandleInvalid, pkcs11.SessionClosed, pkcs11.DeviceRemoved, pkcs11.TokenNotPresent):
                # The next use logs in again, once, with the PIN that was right before.
                self._held = None
                raise KeysDown(f"token {self._place.token} has gone") from None
            except pkcs11.PKCS11Error as error:
                raise KeysDown(self._words(error)) from None
        finally:
            lock.release()

    def _logged_in(self) -> tuple[pkcs11.Session, Any]:
        if self._held is not None and self._held[0] == os.getpid():
            return self._held[1], self._held[2]
        if self._refused:
            raise KeysDown(self._wrong())
        session = self._log_in()
        self._held = (os.getpid(), session, None)
        if self._place.refused is not None:
            self._place.refused.unlink(missing_ok=True)
        return session, None

    def _log_in(self) -> pkcs11.Session:
        import pkcs11

        module = str(self._place.module)
        library = pkcs11.lib(module)
        if module in _Process.stale:
            library.reinitialize()
            _Process.stale.discard(module)
        _Process.started.add(module)
        token = library.get_token(token_label=self._place.token)
        if pkcs11.TokenFlag.USER_PIN_FINAL_TRY in token.flags and not self._by_hand:
            raise KeysDown(f"token {self._place.token} allows one more PIN before it locks: type it at a terminal (gardu keys status)")
        try:
            return token.open(rw=True, user_pin=self._pin)
        except pkcs11.UserAlreadyLoggedIn:
            # The login is the process's: the provider of the old key, on the same token, came first.
            return token.open(rw=True)
        except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
            self._refused = True
            if self._place.refused is not None:
                self._place.refused.touch(mode=0o600)
            raise KeysDown(self._wrong()) from None

    def _silent(self) -> str:
        return (
            f"token {self._place.token} did not answer within {TOKEN_SECONDS:.0f} s: see to the HSM and the way to it; "
            "if it answers again and this goes on, restart the process"
        )

    def _wrong(self) -> str:
        return f"token {self._place.token} refused the PIN; it is not tried again by itself, because tokens lock after a few wrong ones"

    def _words(self, error: Exception) -> str:
        import pkcs11

        token = f"token {self._place.token}"
        if isinstance(error, pkcs11.PinLocked):
            return f"{token} is locked after too many wrong PINs: its security officer must unlock it"
        if isinstance(error, pkcs11.NoSuchToken):
            return f"there is no {token} behind {self._place.module}: is the HSM connected?"
        if isinstance(error, pkcs11.NoSuchKey):
            return f"{token} has no key {self._place.key}: make it with gardu keys init"
        if isinstance(error, pkcs11.MultipleObjectsReturned):
            return f"{token} has more than one key {self._place.key}: remove or rename the others"
        # What a token answers to bytes that do not open is its maker's choice; SoftHSM says CKR_GENERAL_ERROR.
        return f"{token} could not do it ({type(error).__name__}): the token fails, or {self._not_ours()}"

    def _not_ours(self) -> str:
        return f"the wrapped key is damaged, or was wrapped by another key than {self.newest()}, or for another place"
