"""Puts a row together with a newer wrapping of its own record key, when the L1 key that wrapped it before is gone. Bytes in, bytes out."""

from __future__ import annotations

from dataclasses import replace
from hmac import compare_digest

from app.kernel.errors import SealBroken
from app.vault.envelope import KEY_SIZE, Malformed, numbers, row_place, table_head, unbox
from app.vault.house import KeyPurpose, L1Key
from app.vault.seal import VOTER, SealedRow, broken, row_seal

_WRAP = table_head(VOTER)


def rejoin(key: L1Key, row: SealedRow, wrapped: bytes) -> SealedRow:
    """Return *row* with its record key as *wrapped* under *key*, sealed anew; no cell is opened or changed.

    row: as it was stored, with the wrapped bytes of then, which its seal covers; they are not opened. Raises SealBroken, naming the voter,
    when *wrapped* does not open, or holds another record key than the one under which the row was sealed; ValueError when *key* is no
    ``seal`` key of the row's kab.
    """
    if key.purpose != KeyPurpose.SEAL or key.scope != row.clear.kab:
        raise ValueError("a record key is wrapped under the seal key of its own kab")
    try:
        record = unbox(key.cipher, wrapped, _WRAP + row_place(row.clear.kab, row.clear.uid) + numbers(key.epoch), size=KEY_SIZE)
        expected = row_seal(record, row)
    except Malformed as wrong:
        raise broken(row, f"the newer wrapped key: {wrong}") from None
    if not compare_digest(expected, row.seal):
        raise SealBroken(f"voter {row.clear.uid}: its record key was replaced since, or the row was changed")
    made = replace(row, wrapped=wrapped, epoch=key.epoch)
    return replace(made, seal=row_seal(record, made))
