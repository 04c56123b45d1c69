"""Seals a file part by part, so that it can lie in the database and be read from any place without ever standing whole in clear.

Every file has its own random file key. A part's context binds the upload, the part's number and whether it is the last one: parts cannot
be changed, reordered, dropped, cut short or taken from another upload. The format stands in docs/vault-format.md.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.kernel.errors import SealBroken
from app.vault.envelope import (
    FORMAT,
    INFO_PART,
    KEY_SIZE,
    NONCE_SIZE,
    TAG_SIZE,
    Entropy,
    Malformed,
    box,
    decrypt,
    expand,
    numbers,
    row_place,
    table_head,
    unbox,
)
from app.vault.house import KeyPurpose, L1Key

# What is opened at a time: some thousand rows, and small enough that memory does not notice.
PART_SIZE = 256 * 1024
_WRAP, _PART = table_head("upload"), table_head("upload_part")
_FORMAT_BYTE = bytes((FORMAT,))
# Tells the two kinds of part apart inside the context.
_MORE, _LAST = b"\x00", b"\x01"


@dataclass(frozen=True, slots=True)
class FileParts:
    """The parts of one file: what they belong to and the cipher that opens them. size: bytes of the whole file, at least 1."""

    kab: str
    uid: str
    size: int
    cipher: AESGCM = field(repr=False)

    @property
    def count(self) -> int:
        """How many parts the file has."""
        return -(-self.size // PART_SIZE)

    def seal(self, number: int, plain: bytes | memoryview) -> bytes:
        """Return part *number* (from 0), sealed. Raises ValueError when *plain* has not exactly the bytes of that part."""
        if len(plain) != self._length(number):
            raise ValueError("a part is PART_SIZE bytes long, the last one whatever is left")
        return _FORMAT_BYTE + self.cipher.encrypt(_nonce(number), plain, self._context(number))

    def open(self, number: int, sealed: bytes | None) -> bytes:
        """Return the bytes of part *number*. sealed: as stored, None when it is not there. Raises SealBroken naming upload and part."""
        name = f"upload {self.uid} part {number}"
        if not isinstance(sealed, bytes):
            raise SealBroken(f"{name}: it is missing")
        if len(sealed) != 1 + self._length(number) + TAG_SIZE or sealed[:1] != _FORMAT_BYTE:
            raise SealBroken(f"{name}: it has the wrong length or format")
        try:
            return decrypt(self.cipher, _nonce(number), sealed[1:], self._context(number))
        except Malformed as wrong:
            raise SealBroken(f"{name}: {wrong}") from None

    def split(self, whole: memoryview) -> Iterator[tuple[int, bytes]]:
        """Yield (number, sealed part) of all of *whole*, one at a time."""
        for number in range(self.count):
            yield number, self.seal(number, whole[number * PART_SIZE : (number + 1) * PART_SIZE])

    def _length(self, number: int) -> int:
        if not 0 <= number < self.count:
            raise ValueError("the file has no such part")
        return min(PART_SIZE, self.size - number * PART_SIZE)

    def _context(self, number: int) -> bytes:
        last = _LAST if number == self.count - 1 else _MORE
        return _PART + row_place(self.kab, self.uid) + numbers(number) + last


def new_file(key: L1Key, kab: str, uid: str, size: int, *, entropy: Entropy = os.urandom) -> tuple[bytes, FileParts]:
    """Return a fresh file key, wrapped (61 bytes), and the parts of a file of *size* bytes under it.

    key: the kab's newest ``seal`` key. Raises ValueError for a key of another purpose or kab, or an empty file.
    """
    _demand(key, kab, size)
    secret, nonce = entropy(KEY_SIZE), entropy(NONCE_SIZE)
    return box(key.cipher, nonce, secret, _wrap_context(key, kab, uid)), _parts(secret, kab, uid, size)


def open_file(key: L1Key, kab: str, uid: str, size: int, wrapped: bytes) -> FileParts:
    """Return the parts of a stored file. key: the ``seal`` key of the epoch that wraps it. Raises SealBroken, ValueError as ``new_file``."""
    _demand(key, kab, size)
    try:
        secret = unbox(key.cipher, wrapped, _wrap_context(key, kab, uid), size=KEY_SIZE)
    except Malformed as wrong:
        raise SealBroken(f"upload {uid}: {wrong}") from None
    return _parts(secret, kab, uid, size)


class PartStream(io.RawIOBase):
    """Reads a sealed file from any place; holds one opened part at a time.

    fetch: returns a stored part by its number, None when it is not there. Reading raises SealBroken for a part that does not open.
    """

    def __init__(self, parts: FileParts, fetch: Callable[[int], bytes | None]) -> None:
        super().__init__()
        self._parts, self._fetch = parts, fetch
        self._at, self._held, self._plain = 0, -1, b""

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that any place can be read."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, as files do."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._parts.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's name for any writable buffer is private
        """Fill *buffer* from the part in hand; return how many bytes, 0 at the end."""
        if self._at >= self._parts.size:
            return 0
        number, inside = divmod(self._at, PART_SIZE)
        if number != self._held:
            self._held, self._plain = -1, b""
            self._plain = self._parts.open(number, self._fetch(number))
            self._held = number
        found = self._plain[inside : inside + len(buffer)]
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


def _demand(key: L1Key, kab: str, size: int) -> None:
    if key.purpose != KeyPurpose.SEAL or key.scope != kab:
        raise ValueError("a file is sealed under the seal key of its own kab")
    if size < 1:
        raise ValueError("an empty file has no parts")


def _wrap_context(key: L1Key, kab: str, uid: str) -> bytes:
    return _WRAP + row_place(kab, uid) + numbers(key.epoch)


def _parts(secret: bytes, kab: str, uid: str, size: int) -> FileParts:
    return FileParts(kab, uid, size, AESGCM(expand(secret, INFO_PART)))


def _nonce(number: int) -> bytes:
    # Every file has its own key and every number is sealed once under it, so a nonce never repeats.
    return number.to_bytes(NONCE_SIZE, "big")
