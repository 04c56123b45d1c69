"""Opens the provider that the settings name, and takes its secret from where a secret may come: never the command line."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.kernel.errors import KeysDown, UnsafeStart
from app.settings import Keys, Settings
from app.vault.keys.local import LocalKeyring
from app.vault.keys.pair import Pair
from app.vault.keys.provider import KeyProvider

# Asks a person at the terminal for what the label says, unseen.
Prompt = Callable[[str], str]
# A token of Vault is about 100 bytes, a PIN far shorter.
_MOST = 4096


@dataclass(frozen=True, slots=True)
class Secrets:
    """Where secrets come from. passphrase: asks for that of the local keyring. prompt: None without a terminal.

    taken: what was read or typed already: a descriptor can be read once, and a person should be asked once.
    """

    environ: Mapping[str, str]
    passphrase: Callable[[], str] = field(repr=False)
    prompt: Prompt | None = None
    taken: dict[str, str] = field(default_factory=dict, repr=False)

    def keyring(self) -> str:
        """Return the local keyring's passphrase. Raises UnsafeStart when there is none."""
        if "passphrase" not in self.taken:
            self.taken["passphrase"] = self.passphrase()
        return self.taken["passphrase"]

    def given(self, name: str, *, direct: bool = False) -> str | None:
        """Return the secret *name* (e.g. ``pkcs11-pin``) from the systemd credential ``gardu-<name>`` or the descriptor ``GARDU_<NAME>_FD``.

        direct: also from the variable ``GARDU_<NAME>``. None when there is none.
        """
        if name in self.taken:
            return self.taken[name]
        folder, variable = self.environ.get("CREDENTIALS_DIRECTORY"), f"GARDU_{name.upper().replace('-', '_')}"
        if folder and (file := Path(folder) / f"gardu-{name}").is_file():
            return file.read_text("utf-8").strip()
        if self.environ.get(f"{variable}_FD", "").isdigit():
            with os.fdopen(int(self.environ[f"{variable}_FD"]), encoding="utf-8") as stream:
                self.taken[name] = stream.readline().strip()
                return self.taken[name]
        return self.environ.get(variable) or None if direct else None

    def demanded(self, name: str, label: str, *, direct: bool = False) -> tuple[str, bool]:
        """Return the secret, and whether a person typed it now. Raises UnsafeStart when there is neither."""
        found = self.given(name, direct=direct)
        if found:
            return found, False
        if self.prompt is None:
            how = f"systemd credential 'gardu-{name}', GARDU_{name.upper().replace('-', '_')}_FD, or run at a terminal"
            raise UnsafeStart(f"no {label}: give {how}")
        self.taken[name] = self.prompt(label)
        return self.taken[name], True


def open_keys(settings: Settings, secrets: Secrets, *, make: bool = False) -> KeyProvider:
    """Open the provider of the settings; with ``keys_old``, both. make: make the new provider's key where it is absent (not a keyring).

    Raises UnsafeStart (incomplete, unsafe, a library missing) and KeysDown (wrong secret, unreachable, no such key).
    """
    new = _open(settings.keys, settings.keyring, settings.data, secrets, make=make)
    old = settings.keys_old
    if old is None:
        return new
    if old.provider == "local" and settings.keys.provider == "local":
        return Pair(new, _old_keyring(settings.keyring_old, secrets))
    # Another key of the same token opens with the same PIN.
    suffix = "" if (old.module, old.token) == (settings.keys.module, settings.keys.token) and old.module else "-old"
    return Pair(new, _open(old, settings.keyring_old, settings.data, secrets, old=suffix))


def _old_keyring(file: Path, secrets: Secrets) -> LocalKeyring:
    """Open the keyring that is being replaced: by its own passphrase where one is given, else by that of the present one."""
    given = secrets.given("passphrase-old")
    try:
        return LocalKeyring.open(file, given or secrets.keyring())
    except KeysDown as down:
        if given or secrets.prompt is None:
            raise KeysDown(f"the old keyring {file.name}: {down.detail}") from None
    return LocalKeyring.open(file, secrets.prompt("Passphrase of the old keyring"))


def _open(keys: Keys, keyring: Path, data: Path, secrets: Secrets, *, make: bool = False, old: str = "") -> KeyProvider:
    """Open one provider. old: what its secrets' names end in, when it is the one that is left."""
    if keys.provider == "local":
        return LocalKeyring.open(keyring, secrets.keyring())
    # Each only when it is chosen: their libraries are extras.
    if keys.provider == "transit":
        from app.vault.keys.transit import Place as TransitPlace
        from app.vault.keys.transit import Transit

        place = TransitPlace(keys.url, keys.key, keys.mount, keys.namespace, keys.ca, keys.timeout)
        return Transit.open(place, _token(keys, secrets, old), make=make)
    if keys.provider == "aws-kms":
        from app.vault.keys.kms import AwsKms
        from app.vault.keys.kms import Place as KmsPlace

        return AwsKms.open(KmsPlace(keys.key, keys.region, keys.endpoint, keys.timeout))
    return _open_token(keys, data, secrets, make=make, old=old)


def _open_token(keys: Keys, data: Path, secrets: Secrets, *, make: bool, old: str) -> KeyProvider:
    from app.vault.keys.pkcs11 import Mechanism, Pkcs11, Place

    assert keys.module is not None
    refused = data / f"pkcs11-pin-refused{old}"
    place = Place(keys.module, keys.token, keys.key, Mechanism(keys.mechanism), refused)
    name, label = f"pkcs11-pin{old}", f"PIN of token {keys.token}"
    pin = secrets.given(name)
    if pin is not None:
        return Pkcs11.open(place, lambda: pin, make=make)
    return Pkcs11.open(place, lambda: secrets.demanded(name, label)[0], by_hand=True, make=make)


def _token(keys: Keys, secrets: Secrets, old: str) -> Callable[[], str]:
    """Return what gives Transit's token: the file, read anew each time, or what was given once."""
    file = keys.token_file
    if file is not None:
        return lambda: read_token(file)
    token, _by_hand = secrets.demanded(f"transit-token{old}", "token of Transit", direct=True)
    return lambda: token


def read_token(file: Path) -> str:
    """Return the token in *file*. Raises UnsafeStart when others may read it, KeysDown when there is none in it."""
    try:
        with file.open("rb") as opened:
            if stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & 0o077:
                raise UnsafeStart(f"{file} can be read by others: chmod 600 it, then have Vault revoke the token")
            content = opened.read(_MOST)
    except OSError as error:
        raise KeysDown(f"the token file {file} cannot be read: {error.strerror}") from None
    token = content.decode("ascii", "replace").strip()
    if not token or not token.isprintable() or not token.isascii():
        raise KeysDown(f"there is no token in {file}")
    return token
