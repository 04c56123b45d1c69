"""Opens the cells of one row, given its record key. Only the vault imports this module, and says for whom it does."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.vault.envelope import INFO_CELL, Malformed, decrypt, expand, numbers, parse_cell, unpad
from app.vault.seal import NONCES


class CellOpener:
    """Opens cells of one row, deriving the key of each salt once."""

    def __init__(self, record: bytes, place: bytes) -> None:
        self._record = record
        self._place = place
        self._ciphers: dict[bytes, AESGCM] = {}

    def open(self, cell: bytes, number: int, head: bytes, row_version: int, key_epoch: int) -> str:
        """Return the text of one cell. Raises Malformed."""
        version, salt, sealed = parse_cell(cell)
        if version > row_version:
            raise Malformed("the cell is newer than its row")
        cipher = self._ciphers.get(salt)
        if cipher is None:
            cipher = self._ciphers[salt] = AESGCM(expand(self._record, INFO_CELL + salt))
        plain = unpad(decrypt(cipher, NONCES[number], sealed, head + self._place + numbers(version, key_epoch)))
        try:
            return plain.decode()
        except UnicodeDecodeError:
            pass
        raise Malformed("a cell does not hold text")
