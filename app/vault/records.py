"""Seals rows that hold no voter's cell but decide about one: requests, mandates, uploads.

Whoever may write to the database must not be able to make or change such a row. The seal is an HMAC under a subkey of the ``audit``
key, over the table's name and every field; it does not stop an old row from being put back, which the log shows (docs/vault-format.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from hmac import compare_digest

from app.kernel.errors import SealBroken
from app.kernel.regions import NATION
from app.vault.envelope import INFO_RECORD, expand, mac
from app.vault.house import KeyHouse, KeyPurpose

# What a field may be; a moment goes in as RFC 3339 text, a list as comma-separated text.
Field = str | int | bytes | None
# None is told from empty by its length, which no field has.
_NONE = b"\xff\xff\xff\xff"


class RecordSeal:
    """Seals rows by their fields."""

    def __init__(self, house: KeyHouse) -> None:
        self._house = house

    def of(self, table: str, fields: Sequence[Field]) -> bytes:
        """Return the seal, 32 bytes, of a row of *table* whose sealed columns, in a fixed order, are *fields*. Raises KeysDown."""
        key = expand(self._house.key(KeyPurpose.AUDIT, NATION, 1).secret, INFO_RECORD)
        return mac(key, b"".join(map(_framed, (table, len(fields), *fields))))

    def check(self, table: str, uid: str, fields: Sequence[Field], seal: bytes) -> None:
        """Check a stored row. Raises SealBroken, naming table and uid, when a field or the seal was changed; KeysDown."""
        if not (isinstance(seal, bytes) and compare_digest(self.of(table, fields), seal)):
            raise SealBroken(f"{table} {uid if uid.isalnum() else '(malformed uid)'}: a column does not match the seal")


def _framed(field: Field) -> bytes:
    """Return the field with its kind and length before it, so that no two rows give the same bytes."""
    if field is None:
        return b"n" + _NONE
    kind, raw = (b"b", field) if isinstance(field, bytes) else (b"i" if isinstance(field, int) else b"s", str(field).encode())
    return kind + len(raw).to_bytes(4, "big") + raw
