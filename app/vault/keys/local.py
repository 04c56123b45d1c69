"""The default key provider: a keyring file sealed by a passphrase."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import tempfile
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from argon2.exceptions import HashingError
from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.kernel.errors import N_, BadInput, Conflict, KeysDown, UnsafeStart
from app.vault.envelope import FORMAT, INFO_REFERENCE, KEY_SIZE, NONCE_SIZE, TAG_SIZE, Entropy, Malformed, box, expand, unbox
from app.vault.keys.provider import REFERENCE_SIZE, Headed, Kind

_MAGIC = b"gardu-keyring\n"
# magic, format, kdf, memory in KiB, passes, lanes, salt, nonce: the context of the sealed master key.
_HEAD = struct.Struct(">14sBBIII16s12s")
_SALT_SIZE = 16
_DIGEST_SIZE = 32
_FILE_SIZE = _HEAD.size + KEY_SIZE + TAG_SIZE + _DIGEST_SIZE
_FORMAT = 1
_ARGON2ID = 1
# The same length as a password of an account: the file can be attacked offline.
MIN_PASSPHRASE = 14
_TORN = "keyring file is torn: restore it from backup"


@dataclass(frozen=True, slots=True)
class _Cost:
    memory: int  # KiB
    passes: int
    lanes: int


# 64 MiB, 3 passes, 1 lane: the profile of RFC 9106 section 4 for small memory, on one lane; about 0.2 s.
_COST = _Cost(65_536, 3, 1)
# Below: OWASP's minimum for argon2id. Above: what any server of ours has; a hostile file cannot ask for more.
_LEAST, _MOST = _Cost(19_456, 1, 1), _Cost(1_048_576, 10, 4)


class LocalKeyring(Headed):
    """A provider key in memory, read from a file that only its owner may read.

    Make one with :meth:`create` or :meth:`open`. It holds no file, no lock and no passphrase, so it survives a fork.
    """

    kind = Kind.LOCAL

    def __init__(self, master: bytes, *, entropy: Entropy = os.urandom) -> None:
        # One-way: whoever reads the reference in the database learns nothing of the key.
        self._reference = expand(master, INFO_REFERENCE)[:REFERENCE_SIZE]
        super().__init__(self._reference)
        self._cipher = AESGCM(master)
        self._entropy = entropy

    @classmethod
    def create(cls, path: Path, passphrase: str, *, entropy: Entropy = os.urandom, over: bool = False) -> LocalKeyring:
        """Write a new keyring with a random provider key to *path*, mode 0600, and return it. over: put it in the place of what is there.

        A crash leaves either no file under that name (or the old one) or the whole one. Raises BadInput for a passphrase under 14
        characters, Conflict when the file exists, UnsafeStart when it cannot be written.
        """
        return cls.restore(path, entropy(KEY_SIZE), passphrase, entropy=entropy, over=over)

    @classmethod
    def restore(cls, path: Path, master: bytes, passphrase: str, *, entropy: Entropy = os.urandom, over: bool = False) -> LocalKeyring:
        """Write a keyring with the provider key *master* (32 bytes), e.g. one recovered from shares. Otherwise as :meth:`create`."""
        _demand_length(passphrase)
        _write(path, _sealed_file(master, passphrase, entropy), _place_over if over else _place_new)
        return cls(master, entropy=entropy)

    @classmethod
    def open(cls, path: Path, passphrase: str) -> LocalKeyring:
        """Open the keyring at *path*.

        Raises UnsafeStart when others may read the file; KeysDown when it is absent, torn, of an unknown format, asks for argon2
        costs out of bounds, or when the passphrase is wrong.
        """
        return cls(opened_master(path, passphrase))

    @staticmethod
    def change_passphrase(path: Path, old: str, new: str, *, entropy: Entropy = os.urandom) -> None:
        """Seal the same provider key under a new passphrase, replacing the file at once. Raises as :meth:`open` and :meth:`create`."""
        _demand_length(new)
        _write(path, _sealed_file(opened_master(path, old), new, entropy), _place_over)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the key in *wrapped*. Raises KeysDown when it was damaged, or wrapped by another keyring or for another context."""
        if wrapped[:1] == bytes((FORMAT,)):
            return self._unboxed(wrapped[1:], wrapped[:1] + context)
        return super().unwrap(wrapped, context)

    def health(self) -> str:
        """Return a line for the operator after one round of wrapping and unwrapping."""
        self._prove()
        return "local keyring: open"

    def newest(self) -> str:
        """Return ``local:<reference>``."""
        return f"local:{self._reference.hex()}"

    def key_of(self, wrapped: bytes) -> str:
        """Return the keyring key that *wrapped* names; ``local:unnamed`` for the first form, which may be any keyring's."""
        return "local:unnamed" if wrapped[:1] == bytes((FORMAT,)) else super().key_of(wrapped)

    def _seal(self, key: bytes, context: bytes) -> bytes:
        return box(self._cipher, self._entropy(NONCE_SIZE), key, context, b"")

    def _open(self, body: bytes, context: bytes) -> bytes:
        return self._unboxed(body, context)

    def _unboxed(self, body: bytes, context: bytes) -> bytes:
        try:
            # The head was looked at already and is bound by the context.
            return unbox(self._cipher, bytes((FORMAT,)) + body, context)
        except Malformed:
            pass
        raise KeysDown("the wrapped key is damaged, or was wrapped by another keyring")


def _demand_length(passphrase: str) -> None:
    if len(passphrase) < MIN_PASSPHRASE:
        raise BadInput(
            f"the keyring's passphrase must have at least {MIN_PASSPHRASE} characters",
            field="passphrase",
            public=N_("Frasa sandi kunci minimal 14 karakter."),
        )


def _key_from(passphrase: str, salt: bytes, cost: _Cost) -> bytes:
    # NFC: two keyboards may send one letter as one or as two code points.
    secret = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass")
    try:
        return hash_secret_raw(secret, salt, cost.passes, cost.memory, cost.lanes, KEY_SIZE, Type.ID)
    except HashingError as error:
        raise KeysDown(f"argon2 cannot work here: {error}") from None


def _sealed_file(master: bytes, passphrase: str, entropy: Entropy) -> bytes:
    salt, nonce = entropy(_SALT_SIZE), entropy(NONCE_SIZE)
    head = _HEAD.pack(_MAGIC, _FORMAT, _ARGON2ID, _COST.memory, _COST.passes, _COST.lanes, salt, nonce)
    body = head + AESGCM(_key_from(passphrase, salt, _COST)).encrypt(nonce, master, head)
    return body + hashlib.sha256(body).digest()


def opened_master(path: Path, passphrase: str) -> bytes:
    """Return the provider key in the keyring at *path*: for the keyring itself and for its shares, nobody else. Raises as ``LocalKeyring.open``."""
    content = _read(path)
    body, digest = content[:-_DIGEST_SIZE], content[-_DIGEST_SIZE:]
    # The digest tells a torn file from a wrong passphrase; against an attacker it promises nothing, the tag below does.
    if len(content) != _FILE_SIZE or hashlib.sha256(body).digest() != digest:
        raise KeysDown(_TORN)
    magic, form, kdf, memory, passes, lanes, salt, nonce = _HEAD.unpack_from(body)
    if magic != _MAGIC or form != _FORMAT or kdf != _ARGON2ID:
        raise KeysDown("keyring file has a format this version does not know")
    cost = _Cost(memory, passes, lanes)
    _demand_bounds(cost)
    sealed = nonce + body[_HEAD.size :]
    try:
        return unbox(AESGCM(_key_from(passphrase, salt, cost)), b"\x01" + sealed, body[: _HEAD.size], size=KEY_SIZE)
    except Malformed:
        pass
    raise KeysDown("wrong passphrase")


def _demand_bounds(cost: _Cost) -> None:
    bounds = (
        (cost.memory, _LEAST.memory, _MOST.memory),
        (cost.passes, _LEAST.passes, _MOST.passes),
        (cost.lanes, _LEAST.lanes, _MOST.lanes),
    )
    if not all(least <= value <= most for value, least, most in bounds):
        raise KeysDown("keyring file asks for argon2 costs out of bounds: restore it from backup")


def _read(path: Path) -> bytes:
    try:
        # O_NONBLOCK: a pipe put in the file's place must not hang the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise KeysDown(f"there is no keyring file at {path}") from None
    except OSError as error:
        raise KeysDown(f"keyring file cannot be read: {error.strerror}") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise UnsafeStart(f"the keyring {path} is not a regular file")
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UnsafeStart(f"the keyring {path} can be read by others: run chmod 600 on it, then change its passphrase")
        return os.read(descriptor, _FILE_SIZE + 1)
    finally:
        os.close(descriptor)


def _write(path: Path, content: bytes, place: Callable[[Path, Path], None]) -> None:
    temporary: Path | None = None
    try:
        # mkstemp makes the file with mode 0600, in the same folder, so that the last step is one atomic change of name.
        descriptor, name = tempfile.mkstemp(prefix=".keyring-", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # Dying before this line leaves a stray .keyring-… and the old state; after it, the whole new file.
        place(temporary, path)
        _sync_folder(path.parent)
    except FileExistsError:
        raise Conflict(f"there is a keyring at {path} already; it is not overwritten") from None
    except OSError as error:
        raise UnsafeStart(f"the keyring cannot be written to {path}: {error.strerror}") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _place_new(temporary: Path, path: Path) -> None:
    # A hard link, unlike a rename, refuses when somebody made the file meanwhile: a keyring that keys hang on is never lost.
    path.hardlink_to(temporary)


def _place_over(temporary: Path, path: Path) -> None:
    temporary.replace(path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
