"""Seals many rows of the roll in one go: byte for byte what ``seal.seal_row`` makes, with what rows share worked out once.

The hot path of intake. A row costs fifteen AES-GCM calls, two derivations and one HMAC, as the format asks; what stands around them is
kept to slices and concatenation, and every random byte of a batch comes in one draw (bench B2, docs/bench-intake.md).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from itertools import repeat
from operator import add
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from app.kernel.fields import CELL_COUNT
from app.vault.envelope import (
    BLOCK,
    FORMAT,
    INFO_CELL,
    INFO_SEAL,
    KEY_SIZE,
    NONCE_SIZE,
    PADS,
    SALT_SIZE,
    Entropy,
    cell_header,
    numbers,
    row_place,
    table_head,
)
from app.vault.house import KeyPurpose, L1Key
from app.vault.seal import NONCES, VOTER, cell_heads

_DRAW = KEY_SIZE + NONCE_SIZE + SALT_SIZE
_NONCE_AT, _SALT_AT = KEY_SIZE, KEY_SIZE + NONCE_SIZE
_HEADS, _WRAP = cell_heads(VOTER), table_head(VOTER)
_SHA256 = SHA256()
_FORMAT_BYTE, _LAST = bytes((FORMAT,)), BLOCK - 1
_SEAL_INFO = INFO_SEAL + b"\x01"
# Lengths of the fields under the seal: 13 before the cells, then the 14 cells (``seal._ROW_LENGTHS`` packs them at once).
_BEFORE, _CELLS = struct.Struct(">13I"), struct.Struct(f">{CELL_COUNT}I")
_FIRST_VERSION = 1


class Plain(NamedTuple):
    """One row before it is sealed. uid, kec, desa, tps: its clear columns, ASCII. values: UTF-8 of c00…c13. b_*: blind indexes."""

    uid: bytes
    kec: bytes
    desa: bytes
    tps: bytes
    values: Sequence[bytes]
    b_nik: bytes
    b_nkk: bytes
    b_nd: bytes

    def __repr__(self) -> str:
        return f"Plain({self.uid.decode()})"


class Made(NamedTuple):
    """What sealing one row made."""

    wrapped: bytes
    cells: tuple[bytes, ...]
    seal: bytes


def seal_rows(key: L1Key, kab: str, election: str, status: str, rows: Sequence[Plain], *, entropy: Entropy = os.urandom) -> list[Made]:
    """Seal *rows*, all of *kab*, *election* and *status*, each under a fresh record key, as version 1 of its row.

    key: the kab's newest ``seal`` key. entropy: for the vectors only; draws for the rows in their order, as ``seal_row`` would. Raises
    ValueError for a key of another kab or purpose and for another number of values, Malformed for a uid or kab of another width.
    """
    if key.purpose != KeyPurpose.SEAL or key.scope != kab:
        raise ValueError("a row is sealed under the seal key of its own kab")
    if any(len(row.values) != CELL_COUNT for row in rows):
        raise ValueError(f"a row of the roll has {CELL_COUNT} values")
    one = _Row(key, kab, election, status)
    drawn = entropy(_DRAW * len(rows))
    return [one.made(row, drawn[start : start + _DRAW]) for row, start in zip(rows, range(0, len(drawn), _DRAW), strict=True)]


class _Row:
    """What the rows of one batch share."""

    def __init__(self, key: L1Key, kab: str, election: str, status: str) -> None:
        self._wrap, self._kab = key.cipher.encrypt, kab
        self._versions, self._epoch = numbers(_FIRST_VERSION, key.epoch), numbers(key.epoch)
        self._open_header = cell_header(_FIRST_VERSION, b"")
        self._table, self._kab_bytes = VOTER.encode(), kab.encode()
        self._election, self._status = election.encode(), status.encode()

    def made(self, row: Plain, drawn: bytes) -> Made:
        """Return *row* sealed with these random bytes."""
        uid, kec, desa, tps, values, b_nik, b_nkk, b_nd = row
        record, nonce, salt = drawn[:_NONCE_AT], drawn[_NONCE_AT:_SALT_AT], drawn[_SALT_AT:]
        place = row_place(self._kab, uid.decode("ascii"))
        tail = place + self._versions
        wrapped = _FORMAT_BYTE + nonce + self._wrap(nonce, record, _WRAP + place + self._epoch)
        parent = HMAC(record, _SHA256)
        state = parent.copy()
        state.update(INFO_CELL + salt + b"\x01")
        encrypt = AESGCM(state.finalize()).encrypt
        padded = [plain + PADS[len(plain) & _LAST] for plain in values]
        cells = tuple(map(add, repeat(self._open_header + salt), map(encrypt, NONCES, padded, map(add, _HEADS, repeat(tail)))))
        # The last use of the record key: its state is used up, not copied.
        parent.update(_SEAL_INFO)
        seal = HMAC(parent.finalize(), _SHA256)
        fields = (
            self._table, self._kab_bytes, uid, kec, desa, tps, self._election, self._status, self._versions, wrapped, b_nik, b_nkk, b_nd,
        )  # fmt: skip
        lengths = _BEFORE.pack(*map(len, fields)) + _CELLS.pack(*map(len, cells))
        seal.update(b"".join((_FORMAT_BYTE, lengths, *fields, *cells)))
        return Made(wrapped, cells, seal.finalize())
