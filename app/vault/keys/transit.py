"""The provider key inside HashiCorp Vault or OpenBao: the Transit secrets engine, through hvac.

The key is *derived*: Transit makes the key for each message from the provider key and the message's ``context``, so a wrapped key opens for
its own purpose, scope and epoch only. A key that is not derived would ignore the context in silence; it is refused.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from app.kernel.errors import KeysDown, UnsafeStart
from app.vault.keys.extra import missing
from app.vault.keys.provider import Headed, Kind, reference

if TYPE_CHECKING:
    import hvac
    from hvac.api.secrets_engines.transit import Transit as Engine

# Authenticated types only; the first is what Gardu makes.
_TYPES = ("aes256-gcm96", "chacha20-poly1305")
# A key of 33 bytes makes about 100 characters: far below what a column or a hostile server may hand us.
_MOST = 1024
_SEALED = re.compile(r"vault:v([1-9][0-9]{0,8}):([A-Za-z0-9+/=]{1,1000})", re.ASCII)
Answer = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the key is. url: https (http on loopback only; the settings see to it). ca: PEM of the authority, None for the machine's own.

    timeout: seconds for connecting, and again for each wait for bytes.
    """

    url: str
    key: str
    mount: str = "transit"
    namespace: str = ""
    ca: Path | None = None
    timeout: float = 5.0


class Transit(Headed):
    """A Transit key. Each process has its own connections; the token is read anew for each call, so an agent may renew it in its file."""

    kind = Kind.TRANSIT

    def __init__(self, place: Place, token: Callable[[], str]) -> None:
        super().__init__(reference("transit", place.key))
        self._place = place
        self._token = token
        self._client: tuple[int, hvac.Client] | None = None
        self._version = 0

    @classmethod
    def open(cls, place: Place, token: Callable[[], str], *, make: bool = False) -> Transit:
        """Return the provider after a look at its key. make: make the key when it is absent.

        Raises UnsafeStart without hvac, or for a key that is not derived, not authenticated or exportable; KeysDown otherwise.
        """
        try:
            import hvac  # noqa: F401  looked for here, used below
        except ImportError:
            raise missing("hvac", "vault") from None
        provider = cls(place, token)
        if make and provider._ask(lambda t: t.read_key(place.key, mount_point=place.mount), absent=True) is None:
            provider._ask(
                lambda t: t.create_key(
                    place.key, derived=True, exportable=False, allow_plaintext_backup=False, key_type=_TYPES[0], mount_point=place.mount
                )
            )
        provider._look()
        return provider

    def health(self) -> str:
        """Return a line for the operator after one round of wrapping and unwrapping."""
        self._look()
        self._prove()
        return f"{self.newest()} at {self._place.url}: open"

    def newest(self) -> str:
        """Return ``transit:<key> v<version>``, the version as it was last seen."""
        return f"transit:{self._place.key} v{self._version}"

    def key_of(self, wrapped: bytes) -> str:
        """Return the key and the version that *wrapped* names."""
        if not wrapped.startswith(self._head):
            return ""
        version = _version(self._body(wrapped).decode("ascii", "replace"))
        return f"transit:{self._place.key} v{version}"

    def rewrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Have Transit wrap the same key under its newest version; the key itself stays inside Transit."""
        given = {"ciphertext": self._checked(self._body(wrapped)), "context": _base64(self._head + context)}
        answer = self._ask(lambda t: t.rewrap_data(self._place.key, mount_point=self._place.mount, **given))
        return self._head + self._kept(answer)

    def _seal(self, key: bytes, context: bytes) -> bytes:
        given = {"plaintext": _base64(key), "context": _base64(context)}
        return self._kept(self._ask(lambda t: t.encrypt_data(self._place.key, mount_point=self._place.mount, **given)))

    def _open(self, body: bytes, context: bytes) -> bytes:
        given = {"ciphertext": self._checked(body), "context": _base64(context)}
        answer = self._ask(lambda t: t.decrypt_data(self._place.key, mount_point=self._place.mount, **given))
        try:
            return base64.b64decode(str(_data(answer)["plaintext"]), validate=True)
        except (KeyError, binascii.Error):
            pass
        raise KeysDown(f"{self._place.url} answered without a key")

    def _look(self) -> None:
        """Look at the key. Raises UnsafeStart, KeysDown."""
        data = _data(self._ask(lambda t: t.read_key(self._place.key, mount_point=self._place.mount)))
        name = f"transit key {self._place.key}"
        if data.get("derived") is not True:
            raise UnsafeStart(
                f"{name} is not derived: Transit would ignore the context, and wrapped keys could be swapped; make one with derived=true"
            )
        if data.get("type") not in _TYPES:
            raise UnsafeStart(f"{name} has the type {str(data.get('type'))[:40]!r}; needed is {' or '.join(_TYPES)}")
        if data.get("exportable") is not False or data.get("allow_plaintext_backup") is not False:
            raise UnsafeStart(f"{name} can be exported or backed up in clear: make one that cannot")
        newest = data.get("latest_version")
        if not isinstance(newest, int) or newest < 1:
            raise KeysDown(f"{self._place.url} does not say which version of {name} is the newest")
        self._version = newest

    def _kept(self, answer: Answer | None) -> bytes:
        text = str(_data(answer).get("ciphertext"))
        if not _SEALED.fullmatch(text) or len(text) > _MOST:
            raise KeysDown(f"{self._place.url} answered with something that is no wrapped key")
        self._version = max(self._version, _version(text))
        return text.encode("ascii")

    def _checked(self, body: bytes) -> str:
        """Return a stored ciphertext as Vault made it, to the letter: base64 has spare bits that a decoder may ignore. Raises KeysDown."""
        text = body.decode("ascii", "replace")
        found = _SEALED.fullmatch(text)
        if found:
            try:
                if _base64(base64.b64decode(found[2], validate=True)) == found[2]:
                    return text
            except binascii.Error:
                pass
        raise KeysDown(f"the key wrapped by {self.newest()} is damaged")

    def _ask(self, question: Callable[[Engine], object], *, absent: bool = False) -> Answer | None:
        """Ask once, without trying again. absent: return None when there is no such key. Raises KeysDown; what Vault said is not repeated."""
        import requests
        from hvac import exceptions

        where = self._place.url
        try:
            answer = question(self._connected().secrets.transit)
        except exceptions.VaultError as error:
            if absent and isinstance(error, exceptions.InvalidPath):
                return None
            said = self._words(error)
        except requests.exceptions.SSLError:
            said = f"{where} has no certificate that is trusted here: check ca in [keys] and the host's name"
        except requests.exceptions.Timeout:
            said = f"{where} does not answer within {self._place.timeout:g} s"
        except (requests.exceptions.RequestException, UnicodeError):
            said = f"{where} cannot be reached"
        else:
            if not hasattr(answer, "status_code"):
                return cast(Answer, answer)
            if answer.status_code in {200, 204}:
                return {}
            said = f"{where} answers with a redirect ({answer.status_code}): name the node itself in url"
        raise KeysDown(said)

    def _words(self, error: Exception) -> str:
        from hvac import exceptions

        name, where = f"transit key {self._place.key}", self._place.url
        said = ", ".join(getattr(error, "errors", None) or [str(error.args[0] if error.args else "")]).lower()
        if isinstance(error, exceptions.Forbidden | exceptions.Unauthorized):
            return f"{where} refuses the token: it has ended, or its policy does not cover {name}"
        if isinstance(error, exceptions.VaultDown | exceptions.VaultNotInitialized):
            return f"{where} is sealed or not ready: unseal it"
        if isinstance(error, exceptions.InvalidPath):
            return f"{where} has no {name} under {self._place.mount}/"
        if isinstance(error, exceptions.RateLimitExceeded):
            return f"{where} answers that there are too many requests"
        if "too old" in said or "too new" in said or "disallowed by policy" in said:
            return f"the version of {name} that wrapped this key is gone or not allowed any more (min_decryption_version)"
        # Vault 1.6 and others answer 500 to what does not open (hashicorp/vault issue 10842).
        if isinstance(error, exceptions.InvalidRequest) or "message authentication failed" in said:
            return f"{name} does not open this: it is damaged, or was wrapped by another key or for another place"
        return f"{where} could not do it ({type(error).__name__})"

    def _connected(self) -> hvac.Client:
        import hvac
        import requests

        mine = self._client
        if mine is None or mine[0] != os.getpid():
            session = requests.Session()
            # Only the settings decide: no proxy, no CA bundle and no .netrc from the environment.
            session.trust_env = False
            session.verify = str(self._place.ca) if self._place.ca else True
            made = hvac.Client(
                self._place.url, self._token(), verify=session.verify, allow_redirects=False, session=session,
                namespace=self._place.namespace or None, timeout=self._place.timeout,
            )  # fmt: skip
            # A connection does not survive a fork. Two threads may make one each; the later one stays.
            mine = self._client = (os.getpid(), made)
        mine[1].token = self._token()
        return mine[1]


def _version(text: str) -> int:
    found = _SEALED.fullmatch(text)
    return int(found[1]) if found else 0


def _data(answer: Answer | None) -> Mapping[str, object]:
    data = (answer or {}).get("data")
    return data if isinstance(data, dict) else {}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
