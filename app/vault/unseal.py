"""Opens cells. Only the touch imports this module: what it returns is a person's data."""

from __future__ import annotations

import json
from collections.abc import Iterable

from app.kernel.fields import Element
from app.vault.cells import CellOpener
from app.vault.envelope import Malformed, row_place
from app.vault.house import L1Key
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
)

_HEADS = cell_heads(VOTER)
_DPID = 0


def open_row(key: L1Key, row: SealedRow, elements: Iterable[Element]) -> dict[Element, str]:
    """Check the seal of *row*, then open the cells of *elements* and no others.

    key: the kab's ``seal`` key that wraps the record key. Raises SealBroken, naming the voter, when the seal or a cell does not hold.
    """
    wanted = tuple(elements)
    texts = _open(key, row, [element.number for element in wanted])
    return dict(zip(wanted, texts, strict=True))


def open_dpid(key: L1Key, row: SealedRow) -> str:
    """Check the seal of *row*, then open c00, the source's own record id. Raises SealBroken as :func:`open_row`."""
    return _open(key, row, [_DPID])[0]


def open_blob(key: L1Key, blob: SealedBlob) -> tuple[str, ...]:
    """Check the seal of a quarantined row, then open it: its fields as they were read. Raises SealBroken."""
    record = checked_record_key(key, blob)
    try:
        plain = CellOpener(record, row_place(blob.kab, blob.uid)).open(blob.cell, BLOB_ELEMENT, BLOB_HEAD, BLOB_VERSION, blob.key_epoch)
        fields = json.loads(plain)
    except (Malformed, json.JSONDecodeError):
        fields = None
    if not (isinstance(fields, list) and all(isinstance(text, str) for text in fields)):
        # Outside the handler: a decoder's error would carry the text along.
        raise broken(blob, "its cell does not open")
    return tuple(fields)


def _open(key: L1Key, row: SealedRow, wanted: list[int]) -> list[str]:
    record = checked_record_key(key, row)
    clear, texts = row.clear, list[str]()
    opener = CellOpener(record, row_place(clear.kab, clear.uid))
    for number in wanted:
        try:
            texts.append(opener.open(row.cells[number], number, _HEADS[number], clear.row_version, clear.key_epoch))
        except Malformed as wrong:
            raise broken(row, f"c{number:02d}: {wrong}") from None
    return texts
