"""The L1 keys, opened through the key provider and kept in memory."""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn, Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.kernel.errors import KeysDown, SealBroken
from app.vault.envelope import KEY_SIZE, Entropy, fixed, numbers
from app.vault.keys.provider import KeyProvider, described

# Makes the wrapping context of an L1 key differ from any other use of the provider key.
_CONTEXT = b"gardu/1/l1-key/\0"
# For a kab of 500,000 to 1,000,000 rows (see ``blind.planned_bits``); used when nobody planned.
DEFAULT_BITS = 16
# Five bytes: the widest blind index is that of the NIK.
MAX_BITS = 40

# Four bytes in every context.
_MAX_EPOCH = 2**32 - 1
# So long an opened key is used without looking whether it still stands: a key that a rotation destroyed is used no longer, anywhere.
FRESH_SECONDS = 60.0
# A key that nobody asked for in so long leaves the memory.
IDLE_SECONDS = 600.0


class KeyPurpose(StrEnum):
    """What an L1 key is for. SEAL and BLIND exist per kab; the others once, with scope ``00``."""

    SEAL = "seal"
    BLIND = "blind"
    NIK = "nik"
    AUDIT = "audit"
    INDEX = "index"
    SESSION = "session"
    SEED = "seed"
    PEPPER = "pepper"
    LOG = "log"


class KeySource(Protocol):
    """Where wrapped keys stand."""

    def fetch(self, purpose: str, scope: str) -> Sequence[tuple[int, bytes]]:
        """Return (epoch, wrapped) of every key of *purpose* and *scope*, newest first."""
        ...


@dataclass(frozen=True, slots=True)
class L1Key:
    """One opened key.

    epoch: 1, 2, …  secret: 32 bytes, never shown by repr. bits: width of the blind indexes made under it, 8…40 (purpose blind only).
    cipher: AES-256-GCM under *secret*, keyed once. Raises ValueError for another length of secret.
    """

    purpose: str
    scope: str
    epoch: int
    secret: bytes = field(repr=False)
    bits: int = DEFAULT_BITS
    cipher: AESGCM = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_SIZE:
            raise ValueError("an L1 key has 32 bytes")
        object.__setattr__(self, "cipher", AESGCM(self.secret))

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a key stays in its process; workers inherit the house or open their own."""
        raise TypeError("an L1 key does not leave its process")


class KeyHouse:
    """Opens L1 keys once and keeps them.

    Holds no lock: what is cached is published by single dict stores, so threads may race to open the same key (both get the same
    bytes) and a fork at any moment leaves a working copy in the child. clock: seconds that only grow.
    """

    def __init__(
        self, provider: KeyProvider, source: KeySource, *, entropy: Entropy = os.urandom, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._provider = provider
        self._source = source
        self._entropy = entropy
        self._keys: dict[tuple[str, str, int], L1Key] = {}
        self._newest: dict[tuple[str, str], int] = {}
        # When a key was last found to stand.
        self._seen: dict[tuple[str, str, int], float] = {}
        self._clock = clock

    def __repr__(self) -> str:
        return f"KeyHouse({len(self._keys)} keys open)"

    def key(self, purpose: str, scope: str, epoch: int | None = None) -> L1Key:
        """Return the key of *purpose* and *scope*; the newest unless *epoch* is given.

        purpose: a word of KeyPurpose. scope: a kab/kota code or ``00``. What another process made or destroyed is noticed within
        ``FRESH_SECONDS``, or at once after :meth:`forget`. Raises KeysDown when it is absent, or the provider cannot open it.
        """
        wanted = epoch if epoch is not None else self._newest.get((purpose, scope))
        cached = self._cached(purpose, scope, wanted) if wanted is not None else None
        return cached or self._open(purpose, scope, epoch)

    def key_named(self, purpose: str, scope: str, epoch: int, by: str) -> L1Key:
        """Return the key that stored bytes or columns name.

        by: what names it, e.g. ``voter <uid>``, for the error. Raises SealBroken when *purpose* and *scope* have keys, but none of
        this epoch (the stored number was changed, or the key was destroyed); KeysDown when there are none, or the provider fails.
        """
        if self._cached(purpose, scope, epoch) is None:
            epochs = {number for number, _ in self._source.fetch(purpose, scope)}
            if epochs and epoch not in epochs:
                raise SealBroken(f"{by}: there is no {purpose} key of epoch {epoch!r} for {scope}")
        return self.key(purpose, scope, epoch)

    def make(self, purpose: str, scope: str, epoch: int, *, bits: int = DEFAULT_BITS) -> bytes:
        """Return a new random key, wrapped, for ``app.store.keys.add_key``; it is not cached.

        bits: 8…40, recorded inside the wrapped key; ``blind.planned_bits`` says how many. Raises KeysDown when the provider fails,
        ValueError for an unknown purpose or bits out of range.
        """
        if not 8 <= bits <= MAX_BITS:
            raise ValueError("a blind index has 8 to 40 bits")
        plain = self._entropy(KEY_SIZE) + bytes((bits,))
        return self._provider.wrap(plain, _context(purpose, scope, epoch))

    def health(self) -> str:
        """Return the provider's one line for the operator, after it wrapped and unwrapped something. Raises KeysDown."""
        return self._provider.health()

    def over(self, source: KeySource) -> KeyHouse:
        """Return a house of the same provider over another *source*, with nothing open yet: a backup's keys are never mixed with ours."""
        return KeyHouse(self._provider, source, entropy=self._entropy, clock=self._clock)

    def wraps_now(self) -> str:
        """Return the name of the provider key that wraps new keys. Raises KeysDown."""
        return self._provider.newest()

    def wrapped_by(self, wrapped: bytes) -> str:
        """Return the name of the provider key that *wrapped* names, in words when it is none of the provider's."""
        return self._provider.key_of(wrapped) or described(wrapped)

    def rewrap(self, purpose: str, scope: str, epoch: int, wrapped: bytes) -> bytes:
        """Return the same L1 key, wrapped by the newest provider key. Raises KeysDown.

        What comes back was opened again and is the same key: only then may it take the place of *wrapped*.
        """
        context, name = _context(purpose, scope, epoch), f"{purpose} key of epoch {epoch} for {scope}"
        try:
            fresh = self._provider.rewrap(wrapped, context)
            same = hmac.compare_digest(self._provider.unwrap(fresh, context), self._provider.unwrap(wrapped, context))
        except KeysDown as down:
            raise KeysDown(f"{name}: {down.detail}") from None
        if not same:
            raise KeysDown(f"{name}: the provider gave back another key; the old one stays")
        return fresh

    def forget(self) -> None:
        """Drop every opened key: after a rotation, or when the installation is locked."""
        self._newest = {}
        self._seen = {}
        self._keys = {}

    def _cached(self, purpose: str, scope: str, epoch: int) -> L1Key | None:
        """Return an opened key that was found to stand a moment ago, or None."""
        at = self._seen.get((purpose, scope, epoch))
        return None if at is None or self._clock() - at > FRESH_SECONDS else self._keys.get((purpose, scope, epoch))

    def _sweep(self, now: float) -> None:
        """Drop what nobody asked for lately; a destroyed key goes this way too."""
        for triple, at in list(self._seen.items()):
            if now - at > IDLE_SECONDS:
                self._keys.pop(triple, None)
                self._seen.pop(triple, None)

    def _open(self, purpose: str, scope: str, epoch: int | None) -> L1Key:
        # A number that does not fit the context is no epoch of ours, whoever wrote it.
        found = {number: wrapped for number, wrapped in self._source.fetch(purpose, scope) if 0 < number <= _MAX_EPOCH}
        chosen = epoch if epoch is not None else max(found, default=0)
        name, now = f"{purpose} key of epoch {chosen} for {scope}", self._clock()
        self._sweep(now)
        if chosen not in found:
            self._keys.pop((purpose, scope, chosen), None)
            raise KeysDown(f"there is no {name}" if found else f"there is no {purpose} key for {scope}")
        opened = self._keys.get((purpose, scope, chosen)) or self._unwrapped(purpose, scope, chosen, found[chosen], name)
        self._keys[purpose, scope, chosen] = opened
        self._seen[purpose, scope, chosen] = now
        if epoch is None:
            self._newest[purpose, scope] = chosen
        return opened

    def _unwrapped(self, purpose: str, scope: str, chosen: int, wrapped: bytes, name: str) -> L1Key:
        try:
            plain = self._provider.unwrap(wrapped, _context(purpose, scope, chosen))
        except KeysDown as down:
            raise KeysDown(f"{name}: {down.detail}") from None
        if len(plain) != KEY_SIZE + 1:
            raise KeysDown(f"the {name} has the wrong length")
        return L1Key(purpose, scope, chosen, plain[:KEY_SIZE], plain[KEY_SIZE])


def _context(purpose: str, scope: str, epoch: int) -> bytes:
    """Return label(16) ‖ purpose(16) ‖ scope(16) ‖ epoch(4)."""
    return _CONTEXT + fixed(KeyPurpose(purpose)) + fixed(scope) + numbers(epoch)
