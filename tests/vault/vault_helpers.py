"""Fakes and makers for the vault's tests; ``reseal`` speaks the format without the product's code."""

from __future__ import annotations

import hmac
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from app.kernel.errors import KeysDown
from app.kernel.fields import ELEMENTS
from app.vault.house import L1Key
from app.vault.seal import Clear, SealedRow, seal_row

UID = "abcdefghijklmnopqrstuvwxya"
OTHER_UID = "zyxwvutsrqponmlkjihgfedcba"
VALUES = (
    "1234567", "5171010203040001", "5171014102800002", "Ni Putu Ayu", "Denpasar", "1980-02-01", "S", "P", "Jl. Nangka 5", "001", "002", "", "S", "",
)  # fmt: skip
EVERYTHING = dict(zip(ELEMENTS, VALUES[1:], strict=True))


def seal_key(kab: str = "51.71", epoch: int = 1) -> L1Key:
    return L1Key("seal", kab, epoch, bytes((epoch,)) * 16 + kab.encode().ljust(16, b"k"))


def clear(**changes: str | int) -> Clear:
    row = Clear("51.71", UID, "51.71.01", "51.71.01.1001", "012", "2029", "aktif", 3, 1)
    return replace(row, **changes)  # type: ignore[arg-type]


def sealed(key: L1Key | None = None, values: Sequence[str] = VALUES, **changes: str | int) -> SealedRow:
    return seal_row(key or seal_key(), clear(**changes), values, b"nik45", b"kk", b"nd")


def subkey(key: bytes, info: bytes) -> bytes:
    return HKDFExpand(SHA256(), 32, info).derive(key)


def record_key(key: L1Key, row: SealedRow) -> bytes:
    """Unwrap the record key as docs/vault-format.md says."""
    place = (row.clear.kab + row.clear.uid).encode()
    aad = b"\x01\x01" + b"voter".ljust(16, b"\0") + place + struct.pack(">I", key.epoch)
    return AESGCM(key.secret).decrypt(row.wrapped[1:13], row.wrapped[13:], aad)


def reseal(key: L1Key, row: SealedRow) -> SealedRow:
    """Give *row* a seal that holds over what it now is: what only a holder of the keys could do."""
    one = row.clear
    texts = ("voter", one.kab, one.uid, one.kec, one.desa, one.tps, one.election, one.status)
    numbers = struct.pack(">II", one.row_version, one.key_epoch)
    fields = [*(text.encode() for text in texts), numbers, row.wrapped, row.b_nik, row.b_nkk, row.b_nd, *row.cells]
    message = b"\x01" + b"".join(struct.pack(">I", len(field)) for field in fields) + b"".join(fields)
    return replace(row, seal=hmac.digest(subkey(record_key(key, row), b"gardu/1/seal"), message, "sha256"))


def flipped(data: bytes, position: int, mask: int) -> bytes:
    """Return *data* with the byte at *position* (modulo its length) changed by *mask*, 1…255."""
    position %= len(data)
    return data[:position] + bytes((data[position] ^ mask,)) + data[position + 1 :]


def with_cell(row: SealedRow, number: int, cell: bytes) -> SealedRow:
    return replace(row, cells=(*row.cells[:number], cell, *row.cells[number + 1 :]))


class Stream:
    """Entropy that was written down beforehand."""

    def __init__(self, drawn: str) -> None:
        self.left = bytes.fromhex(drawn)

    def __call__(self, size: int) -> bytes:
        taken, self.left = self.left[:size], self.left[size:]
        return taken


class OpenProvider:
    """A provider that seals nothing and counts what it unwraps; it still demands the right context."""

    name = "open"

    def __init__(self) -> None:
        self.unwrapped = 0
        self.down = False

    def wrap(self, key: bytes, context: bytes) -> bytes:
        return context + key

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        if self.down or not wrapped.startswith(context):
            raise KeysDown("the provider says no")
        self.unwrapped += 1
        return wrapped.removeprefix(context)

    def rewrap(self, wrapped: bytes, context: bytes) -> bytes:
        return self.wrap(self.unwrap(wrapped, context), context)

    def health(self) -> str:
        return "open"

    def newest(self) -> str:
        return "open:1"

    def key_of(self, wrapped: bytes) -> str:
        return "open:1"


class Shelf:
    """A KeySource in memory."""

    def __init__(self) -> None:
        self.keys: dict[tuple[str, str], dict[int, bytes]] = {}
        self.fetched = 0

    def put(self, purpose: str, scope: str, epoch: int, wrapped: bytes) -> None:
        self.keys.setdefault((purpose, scope), {})[epoch] = wrapped

    def fetch(self, purpose: str, scope: str) -> Sequence[tuple[int, bytes]]:
        self.fetched += 1
        return sorted(self.keys.get((purpose, scope), {}).items(), reverse=True)


def hex_bytes(vector: Mapping[str, str], *names: str) -> Iterator[bytes]:
    return (bytes.fromhex(vector[name]) for name in names)
