"""Puts stored rows under new keys: bytes go in, bytes come out. What is opened on the way never leaves this module.

rewrap    the record key wrapped under another L1 key; no cell is opened
renew     every cell sealed anew under a fresh record key
reindex   the blind indexes made anew under other keys; no cell is changed

The row's version stays: nothing of what it says has changed, so whoever holds a form made before may still send it. Only the custody's
walks import this module.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace

from app.kernel.errors import SealBroken
from app.kernel.fields import CELL_COUNT, Element
from app.vault.blind import Blind
from app.vault.cells import CellOpener
from app.vault.envelope import KEY_SIZE, NONCE_SIZE, Entropy, Malformed, box, numbers, row_place, table_head, unbox
from app.vault.house import KeyPurpose, L1Key
from app.vault.seal import (
    BLOB_ELEMENT,
    BLOB_HEAD,
    BLOB_VERSION,
    VOTER,
    SealedBlob,
    SealedRow,
    broken,
    cell_heads,
    checked_record_key,
    row_seal,
    seal_blob,
    seal_row,
)

_HEADS = cell_heads(VOTER)
_WRAP_VOTER, _WRAP_FILE = table_head(VOTER), table_head("upload")
_ALL = tuple(range(CELL_COUNT))
# What the local indexes are made of.
_LOCAL = (Element.NKK, Element.NAMA, Element.TANGGAL_LAHIR)


def rewrap(old: L1Key, new: L1Key, row: SealedRow, *, entropy: Entropy = os.urandom) -> SealedRow:
    """Check the seal of *row*, then return it with its record key wrapped under *new*: other wrapped bytes, another seal, the same cells.

    old: the L1 key that wraps the record key now. entropy: for the vectors only. Raises SealBroken, naming the voter, when the row's seal
    does not hold; ValueError when *new* is no ``seal`` key of the row's kab.
    """
    _demand(new, row.clear.kab)
    record = checked_record_key(old, row)
    aad = _WRAP_VOTER + row_place(row.clear.kab, row.clear.uid) + numbers(new.epoch)
    turned = replace(row, wrapped=box(new.cipher, entropy(NONCE_SIZE), record, aad), epoch=new.epoch)
    return replace(turned, seal=row_seal(record, turned))


def renew(old: L1Key, new: L1Key, row: SealedRow, *, entropy: Entropy = os.urandom) -> SealedRow:
    """Check the seal of *row*, open every cell, and return the row sealed whole anew, as ``seal_row`` does, under *new* and its epoch.

    Arguments and errors as :func:`rewrap`; raises SealBroken also for a cell that does not open.
    """
    texts = _opened(old, row, _ALL)
    clear = replace(row.clear, key_epoch=new.epoch)
    return seal_row(new, clear, texts, row.b_nik, row.b_nkk, row.b_nd, entropy=entropy)


def reindex(key: L1Key, row: SealedRow, blind: Blind, *, national: bool) -> SealedRow:
    """Check the seal of *row* and return it with indexes made by *blind*: b_nik when *national*, else b_nkk and b_nd.

    key: the L1 key that wraps the record key. Raises SealBroken, naming the voter, when the seal or a cell does not hold, or holds what no
    index can be made of.
    """
    record = checked_record_key(key, row)
    wanted = (Element.NIK,) if national else _LOCAL
    texts = _opened(key, row, [element.number for element in wanted])
    try:
        if national:
            turned = replace(row, b_nik=blind.b_nik(texts[0], row.clear.election))
        else:
            turned = replace(row, b_nkk=blind.b_nkk(texts[0]), b_nd=blind.b_nd(texts[1], texts[2]))
    except ValueError:
        turned = None
    if turned is None:
        # Outside the handler: the error could hold the value.
        raise broken(row, "a cell does not hold what its index is made of")
    return replace(turned, seal=row_seal(record, turned))


def renew_blob(old: L1Key, new: L1Key, blob: SealedBlob, *, entropy: Entropy = os.urandom) -> SealedBlob:
    """Check the seal of a quarantined row, open it, and return it sealed whole anew under *new*. Errors as :func:`renew`."""
    record = checked_record_key(old, blob)
    try:
        opened = CellOpener(record, row_place(blob.kab, blob.uid)).open(blob.cell, BLOB_ELEMENT, BLOB_HEAD, BLOB_VERSION, blob.key_epoch)
        fields = json.loads(opened)
    except (Malformed, json.JSONDecodeError):
        fields = None
    if not (isinstance(fields, list) and all(isinstance(text, str) for text in fields)):
        raise broken(blob, "its cell does not open")
    return seal_blob(
        new, blob.kab, blob.uid, fields, election=blob.election, load=blob.load, row_no=blob.row_no, reasons=blob.reasons, entropy=entropy
    )


def rewrap_file(old: L1Key, new: L1Key, kab: str, uid: str, wrapped: bytes, *, entropy: Entropy = os.urandom) -> bytes:
    """Return the file key of an upload wrapped under *new* (61 bytes). Raises SealBroken, naming the upload, ValueError as :func:`rewrap`."""
    _demand(new, kab)
    place = _WRAP_FILE + row_place(kab, uid)
    try:
        secret = unbox(old.cipher, wrapped, place + numbers(old.epoch), size=KEY_SIZE)
    except Malformed as wrong:
        raise SealBroken(f"upload {uid}: {wrong}") from None
    return box(new.cipher, entropy(NONCE_SIZE), secret, place + numbers(new.epoch))


def _opened(key: L1Key, row: SealedRow, wanted: Sequence[int]) -> list[str]:
    opener = CellOpener(checked_record_key(key, row), row_place(row.clear.kab, row.clear.uid))
    texts = []
    for number in wanted:
        try:
            texts.append(opener.open(row.cells[number], number, _HEADS[number], row.clear.row_version, row.clear.key_epoch))
        except Malformed as wrong:
            raise broken(row, f"c{number:02d}: {wrong}") from None
    return texts


def _demand(new: L1Key, kab: str) -> None:
    if new.purpose != KeyPurpose.SEAL or new.scope != kab:
        raise ValueError("a record key is wrapped under the seal key of its own kab")
