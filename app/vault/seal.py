"""Seals rows of the roll and of the quarantine; checks a seal without opening a cell.

The hot path of intake: one row costs fifteen AES-GCM calls, two derivations and one HMAC; everything else is kept to
concatenation (bench B2).
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hmac import compare_digest
from itertools import repeat
from operator import add

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC

from app.kernel.errors import BadInput, SealBroken
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
    Malformed,
    box,
    cell_header,
    keyed,
    mac,
    numbers,
    pad,
    row_place,
    subkey,
    table_head,
    unbox,
)
from app.vault.house import KeyPurpose, L1Key

VOTER = "voter"
QUARANTINE = "quarantine"
# A quarantined row is one cell; it takes the number of c00 and is told apart by its table.
BLOB_ELEMENT = 0
# Quarantined rows are never changed.
BLOB_VERSION = 1
_NONCE_AT, _SALT_AT = KEY_SIZE, KEY_SIZE + NONCE_SIZE
_DRAW = _SALT_AT + SALT_SIZE
# Nonce of a cell: its element's number. Every row has its own key, every sealing its own salt, so a nonce never repeats under a key.
NONCES = tuple(number.to_bytes(NONCE_SIZE, "big") for number in range(CELL_COUNT))
_UID = re.compile(r"[a-z2-7]{26}", re.ASCII)
_FORMAT_BYTE = bytes((FORMAT,))


def cell_heads(table: str) -> tuple[bytes, ...]:
    """Return, per element number, the first 19 bytes of a cell's context: format ‖ suite ‖ table ‖ element."""
    return tuple(table_head(table) + bytes((number,)) for number in range(CELL_COUNT))


_HEADS = cell_heads(VOTER)
BLOB_HEAD = cell_heads(QUARANTINE)[BLOB_ELEMENT]
_WRAP_VOTER, _WRAP_BLOB = table_head(VOTER), table_head(QUARANTINE)
# Fields under a seal: table, 7 texts, numbers, wrapped key, 3 indexes, 14 cells; table, 5 texts, numbers, wrapped key, cell.
_ROW_LENGTHS = struct.Struct(">27I")
_BLOB_LENGTHS = struct.Struct(">9I")


@dataclass(frozen=True, slots=True)
class Clear:
    """The clear columns of a row of the roll; the seal covers every one of them.

    kab: 5 characters (``51.71``). uid: 26 base32 characters. row_version: 1, 2, … key_epoch: epoch of the L1 key at the last full
    sealing; it stands in every cell's context.
    """

    kab: str
    uid: str
    kec: str
    desa: str
    tps: str
    election: str
    status: str
    row_version: int
    key_epoch: int


@dataclass(frozen=True, slots=True)
class SealedRow:
    """One row of the roll as stored: nothing in it can be read without the kab's L1 key.

    epoch: of the L1 key that wraps the record key; the same as key_epoch until the record key is wrapped anew (``vault.turn``).
    """

    clear: Clear
    cells: tuple[bytes, ...] = field(repr=False)
    wrapped: bytes = field(repr=False)
    b_nik: bytes = field(repr=False)
    b_nkk: bytes = field(repr=False)
    b_nd: bytes = field(repr=False)
    seal: bytes = field(repr=False)
    epoch: int


@dataclass(frozen=True, slots=True)
class SealedBlob:
    """One quarantined row as stored: the raw row sealed whole, under its own record key. reasons holds no value."""

    table: str
    kab: str
    uid: str
    election: str
    load: str
    row_no: int
    reasons: str
    key_epoch: int
    wrapped: bytes = field(repr=False)
    cell: bytes = field(repr=False)
    seal: bytes = field(repr=False)


def seal_row(
    key: L1Key,
    clear: Clear,
    values: Sequence[str],
    b_nik: bytes,
    b_nkk: bytes,
    b_nd: bytes,
    *,
    entropy: Entropy = os.urandom,
) -> SealedRow:
    """Seal a whole row under a fresh record key.

    key: the kab's newest ``seal`` key, of *clear*'s epoch. values: 14 texts, c00…c13; a blank is an empty text. b_*: blind indexes.
    entropy: for the vectors only. Raises BadInput (field: the column) for a text that UTF-8 cannot hold, ValueError for another
    number of values, a column of another width, or a key of another kab or epoch.
    """
    place = row_place(clear.kab, clear.uid)
    versions = numbers(clear.row_version, clear.key_epoch)
    record, nonce, salt = _drawn(key, clear.kab, clear.key_epoch, entropy)
    wrapped = _FORMAT_BYTE + nonce + key.cipher.encrypt(nonce, record, _WRAP_VOTER + place + versions[4:])
    parent = keyed(record)
    encrypt = AESGCM(subkey(parent, INFO_CELL + salt)).encrypt
    header, tail = _FORMAT_BYTE + versions[:4] + salt, place + versions
    try:
        # A cell's context is its head ‖ the row's tail. map and add keep the loop over the cells out of the interpreter.
        padded = [plain + PADS[len(plain) % BLOCK] for plain in map(str.encode, values)]
        cells = tuple(map(add, repeat(header), map(encrypt, NONCES, padded, map(add, _HEADS, repeat(tail)))))
    except UnicodeEncodeError:
        padded = []
    if len(padded) != CELL_COUNT:
        # Outside the handler: the codec's error holds the value, and a chained error would carry it along.
        raise _unusable(clear.uid, values)
    seal = _row_seal(parent, clear, versions, (wrapped, b_nik, b_nkk, b_nd, *cells))
    return SealedRow(clear, cells, wrapped, b_nik, b_nkk, b_nd, seal, key.epoch)


def seal_blob(
    key: L1Key,
    kab: str,
    uid: str,
    values: Sequence[str],
    *,
    election: str,
    load: str,
    row_no: int,
    reasons: str,
    entropy: Entropy = os.urandom,
) -> SealedBlob:
    """Seal one raw row for the quarantine, whole, under a fresh record key.

    key: the kab's newest ``seal`` key; its epoch becomes key_epoch. values: the row's fields as read, any number of texts. Other
    arguments: the clear columns of ``quarantine``. Raises BadInput for a text that UTF-8 cannot hold, ValueError as
    :func:`seal_row`.
    """
    place = row_place(kab, uid)
    record, nonce, salt = _drawn(key, kab, key.epoch, entropy)
    wrapped = box(key.cipher, nonce, record, _WRAP_BLOB + place + numbers(key.epoch))
    try:
        plain = json.dumps(list(values), ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        plain = b""
    if not plain:
        raise _unusable(uid, values)
    parent = keyed(record)
    cipher = AESGCM(subkey(parent, INFO_CELL + salt))
    sealed = cipher.encrypt(NONCES[BLOB_ELEMENT], pad(plain), BLOB_HEAD + place + numbers(BLOB_VERSION, key.epoch))
    cell = cell_header(BLOB_VERSION, salt) + sealed
    open_end = SealedBlob(QUARANTINE, kab, uid, election, load, row_no, reasons, key.epoch, wrapped, cell, b"")
    return replace(open_end, seal=_blob_seal(parent, open_end))


def check_seal(key: L1Key, row: SealedRow | SealedBlob) -> None:
    """Check that every stored byte of *row* is what was sealed; opens no cell.

    key: the kab's ``seal`` key that wraps the record key. Raises SealBroken, naming table and uid, when anything differs.
    """
    checked_record_key(key, row)


def checked_record_key(key: L1Key, row: SealedRow | SealedBlob) -> bytes:
    """Return the record key of *row* once its seal holds; whoever opens a cell needs it. Raises SealBroken as :func:`check_seal`."""
    try:
        if isinstance(row, SealedBlob):
            record = _unwrapped(key, _WRAP_BLOB, row.kab, row.uid, row.wrapped)
            expected = _blob_seal(keyed(record), row)
        else:
            record = _unwrapped(key, _WRAP_VOTER, row.clear.kab, row.clear.uid, row.wrapped)
            expected = row_seal(record, row)
    except Malformed as wrong:
        raise broken(row, str(wrong)) from None
    if not (isinstance(row.seal, bytes) and compare_digest(expected, row.seal)):
        raise broken(row, "a column, index or cell does not match the seal")
    return record


def row_seal(record: bytes, row: SealedRow) -> bytes:
    """Return the seal that *row* must have under its record key; the row's own ``seal`` is not looked at. Raises Malformed."""
    versions = numbers(row.clear.row_version, row.clear.key_epoch)
    return _row_seal(keyed(record), row.clear, versions, (row.wrapped, row.b_nik, row.b_nkk, row.b_nd, *row.cells))


def broken(row: SealedRow | SealedBlob, what: str) -> SealBroken:
    """Return the error that names table and uid of *row* and says *what* is wrong; never a value."""
    table, uid = (QUARANTINE, row.uid) if isinstance(row, SealedBlob) else (VOTER, row.clear.uid)
    # A changed uid may hold anything, so only the shape of a uid is repeated.
    return SealBroken(f"{table} {uid if isinstance(uid, str) and _UID.fullmatch(uid) else '(malformed uid)'}: {what}")


def _drawn(key: L1Key, kab: str, epoch: int, entropy: Entropy) -> tuple[bytes, bytes, bytes]:
    """Return (record key, nonce of its wrapping, salt of its cells), in one draw."""
    if key.purpose != KeyPurpose.SEAL or key.scope != kab or key.epoch != epoch:
        raise ValueError("a row is sealed under the seal key of its own kab and epoch")
    drawn = entropy(_DRAW)
    return drawn[:_NONCE_AT], drawn[_NONCE_AT:_SALT_AT], drawn[_SALT_AT:]


def _unwrapped(key: L1Key, head: bytes, kab: str, uid: str, wrapped: bytes) -> bytes:
    place = row_place(kab, uid)
    if key.purpose != KeyPurpose.SEAL or key.scope != kab:
        raise Malformed("the key is not that of its kab")
    if not isinstance(wrapped, bytes):
        raise Malformed("the wrapped key is not bytes")
    return unbox(key.cipher, wrapped, head + place + numbers(key.epoch), size=KEY_SIZE)


def _row_seal(parent: HMAC, clear: Clear, versions: bytes, blobs: tuple[bytes, ...]) -> bytes:
    texts = (VOTER, clear.kab, clear.uid, clear.kec, clear.desa, clear.tps, clear.election, clear.status)
    return _seal(parent, texts, (versions, *blobs), _ROW_LENGTHS)


def _blob_seal(parent: HMAC, blob: SealedBlob) -> bytes:
    texts = (blob.table, blob.kab, blob.uid, blob.election, blob.load, blob.reasons)
    return _seal(parent, texts, (numbers(blob.row_no, blob.key_epoch), blob.wrapped, blob.cell), _BLOB_LENGTHS)


def _seal(parent: HMAC, texts: tuple[str, ...], blobs: tuple[bytes, ...], lengths: struct.Struct) -> bytes:
    """Return the HMAC over format ‖ the length of every field, 4 bytes each ‖ the fields; the first field is the table."""
    try:
        fields = (*map(str.encode, texts), *blobs)
        message = b"".join((_FORMAT_BYTE, lengths.pack(*map(len, fields)), *fields))
    except (UnicodeEncodeError, TypeError, struct.error):
        message = b""
    if not message:
        raise Malformed("a column has the wrong type, or cells are missing")
    return mac(subkey(parent, INFO_SEAL), message)


def _unusable(uid: str, values: Sequence[str]) -> Exception:
    for number, value in enumerate(values):
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            return BadInput(f"{uid}: value {number} holds what UTF-8 cannot", field=f"c{number:02d}")
    return ValueError(f"a row of the roll has {CELL_COUNT} values")
