"""Seals one cell of a row anew, under the row's own record key; every other cell stays as it is, byte for byte.

The new cell has its own salt, so no key and nonce ever repeat, and its own version, which is the row's next one: an older cell put
back into the row does not match the row's seal, and a cell newer than its row does not open.
"""

from __future__ import annotations

import os
from dataclasses import replace

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.kernel.errors import BadInput
from app.kernel.fields import Element
from app.vault.envelope import INFO_CELL, SALT_SIZE, Entropy, cell_header, expand, numbers, pad, row_place
from app.vault.house import L1Key
from app.vault.seal import NONCES, VOTER, SealedRow, cell_heads, checked_record_key, row_seal

_HEADS = cell_heads(VOTER)


def reseal(
    key: L1Key,
    row: SealedRow,
    element: Element,
    value: str,
    b_nik: bytes,
    b_nkk: bytes,
    b_nd: bytes,
    *,
    entropy: Entropy = os.urandom,
) -> SealedRow:
    """Check the seal of *row*, then return it one version on, with the cell of *element* holding *value*.

    key: the kab's ``seal`` key that wraps the record key. b_*: the row's blind indexes as they must now be. entropy: for the vectors
    only. Raises SealBroken when the row's seal does not hold, BadInput (field: the element) for a text that UTF-8 cannot hold.
    """
    record = checked_record_key(key, row)
    try:
        plain = value.encode()
    except UnicodeEncodeError:
        plain = None
    if plain is None:
        # Outside the handler: the codec's error holds the value.
        raise BadInput(f"{row.clear.uid}: the new value holds what UTF-8 cannot", field=element.value)
    clear = replace(row.clear, row_version=row.clear.row_version + 1)
    salt = entropy(SALT_SIZE)
    versions = numbers(clear.row_version, clear.key_epoch)
    cipher = AESGCM(expand(record, INFO_CELL + salt))
    aad = _HEADS[element.number] + row_place(clear.kab, clear.uid) + versions
    cell = cell_header(clear.row_version, salt) + cipher.encrypt(NONCES[element.number], pad(plain), aad)
    cells = (*row.cells[: element.number], cell, *row.cells[element.number + 1 :])
    changed = SealedRow(clear, cells, row.wrapped, b_nik, b_nkk, b_nd, b"", row.epoch)
    return replace(changed, seal=row_seal(record, changed))
