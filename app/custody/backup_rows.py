"""What stands inside a backup's archive, before it is sealed: frames, and rows that either engine can take. Opens nothing.

An archive is a run of frames: length(4, big-endian) ‖ kind(1) ‖ content.

    H  JSON: format, part, set, schema revision         first, once
    T  JSON: table, columns                             before the rows of each table
    R  rows, one after another                          as many as there are
    E  the manifest, RFC 8785                           after the last row
    S  a signed note over the manifest's SHA-256        last

A row is, per column: kind(1) ‖ length(4) ‖ value: ``n`` null, ``i`` integer (8 bytes, signed), ``o`` truth, ``b`` bytes, ``s`` text in
UTF-8, ``t`` a moment in UTC (RFC 3339), ``d`` a day. A table's digest in the manifest is SHA-256 over its rows' bytes, whatever frames they
came in.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime

from sqlalchemy import Column, Connection, MetaData, Table, inspect, text

from app.kernel.clock import rfc3339
from app.kernel.errors import SealBroken

FORMAT = "gardu-backup/1"
DATA, KEYS, L1 = "data", "keys", "l1"
HEADER, TABLE, ROWS, MANIFEST, NOTE = b"H", b"T", b"R", b"E", b"S"
# Far above any frame of ours; a length beyond it was made up.
MAX_FRAME = 64 * 1024**2
# Rows go out in frames of about so many bytes.
FRAME = 256 * 1024
_LENGTH = struct.Struct(">I")
_FIELD = struct.Struct(">cI")
_INT = struct.Struct(">q")
# The record keys, with the tombstones of voters erased: whoever restores older data with newer keys must hear of both.
RECORD_KEYS = ("voter_key", "voter_erasure")
L1_KEYS = ("vault_key",)
# Made anew at restore.
INDEXES = ("nik_index",)
# Nothing of these outlives the machine: sessions end at a restore, and background work is begun anew.
LEFT_OUT = ("login_session", "job", "alembic_version")

Value = object
Row = Sequence[Value]


def parts(tables: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return which of *tables*, in their order, goes into which part. A table nobody thought of goes into the data archive."""
    apart = {*RECORD_KEYS, *L1_KEYS, *INDEXES, *LEFT_OUT}
    return {
        KEYS: tuple(one for one in tables if one in RECORD_KEYS),
        L1: tuple(one for one in tables if one in L1_KEYS),
        DATA: tuple(one for one in tables if one not in apart),
    }


def tables_of(connection: Connection) -> list[Table]:
    """Return the database's tables as they really are, those that others refer to first; partitions count as their parent."""
    found = inspect(connection)
    names = set(found.get_table_names())
    if connection.dialect.name == "postgresql":
        query = "SELECT relname FROM pg_class WHERE relispartition AND relnamespace = current_schema()::regnamespace"
        names -= {str(name) for name in connection.scalars(text(query))}
    needs = {name: {str(key["referred_table"]) for key in found.get_foreign_keys(name)} & names - {name} for name in names}
    ordered: list[str] = []
    while len(ordered) < len(names):
        ready = sorted(name for name in names if name not in ordered and needs[name] <= set(ordered))
        if not ready:
            raise SealBroken("backup: the tables refer to each other in a circle")
        ordered += ready
    return [Table(name, MetaData(), *(Column(one["name"], one["type"]) for one in found.get_columns(name))) for name in ordered]


# ---- writing ----


def frame(kind: bytes, content: bytes) -> bytes:
    """Return one frame."""
    return _LENGTH.pack(1 + len(content)) + kind + content


def header(part: str, uid: str, revision: str) -> bytes:
    """Return the first frame of *part* of the set *uid*. revision: of the schema, so that a reader can make the tables before rows come."""
    return frame(HEADER, json.dumps({"format": FORMAT, "part": part, "set": uid, "revision": revision}, sort_keys=True).encode())


def table_frame(table: Table) -> bytes:
    """Return the frame that announces the rows of *table*."""
    return frame(TABLE, json.dumps({"table": table.name, "columns": table.columns.keys()}).encode())


def encoded(row: Row) -> bytes:
    """Return the bytes of one row. Raises TypeError for a value of a kind that no column of ours holds."""
    return b"".join([_encoded(value) for value in row])


def _encoded(value: Value) -> bytes:
    if value is None:
        return b"n\0\0\0\0"
    if type(value) is bytes or isinstance(value, memoryview):
        return _FIELD.pack(b"b", len(value)) + bytes(value)
    if type(value) is str:
        raw = value.encode()
        return _FIELD.pack(b"s", len(raw)) + raw
    if type(value) is int:
        return _FIELD.pack(b"i", 8) + _INT.pack(value)
    if type(value) is bool:
        return _FIELD.pack(b"o", 1) + (b"\1" if value else b"\0")
    if isinstance(value, datetime):
        raw = rfc3339(value if value.tzinfo else value.replace(tzinfo=UTC)).encode()
        return _FIELD.pack(b"t", len(raw)) + raw
    if isinstance(value, date):
        raw = value.isoformat().encode()
        return _FIELD.pack(b"d", len(raw)) + raw
    raise TypeError(f"a value of type {type(value).__name__} has no place in a backup")


# ---- reading ----


class Frames:
    """Cuts what arrives in pieces into frames, and hands each to its taker; keeps less than one frame."""

    def __init__(self, takers: Mapping[bytes, Callable[[bytes], None]]) -> None:
        self._takers, self._rest = takers, bytearray()

    def take(self, piece: bytes) -> None:
        """Take the next piece. Raises SealBroken for a frame of no kind or size of ours, and whatever a taker raises."""
        self._rest += piece
        at = 0
        while len(self._rest) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._rest, at)
            if not 1 <= length <= MAX_FRAME:
                raise SealBroken("backup: a frame of impossible size")
            if len(self._rest) - at - _LENGTH.size < length:
                break
            start = at + _LENGTH.size
            kind, content = bytes(self._rest[start : start + 1]), bytes(self._rest[start + 1 : start + length])
            at = start + length
            if kind not in self._takers:
                raise SealBroken("backup: a frame of an unknown kind")
            self._takers[kind](content)
        del self._rest[:at]

    def end(self) -> None:
        """Say that nothing more comes. Raises SealBroken when a frame is cut."""
        if self._rest:
            raise SealBroken("backup: the archive ends within a frame")


def decoded(content: bytes, width: int, dialect: str) -> Iterator[tuple[Value, ...]]:
    """Yield the rows in *content*, of *width* columns each, as the driver of *dialect* takes them. Raises SealBroken for torn bytes."""
    at, row, takes = 0, list[Value](), _SQLITE if dialect == "sqlite" else _POSTGRESQL
    try:
        while at < len(content):
            kind, length = _FIELD.unpack_from(content, at)
            at += _FIELD.size + length
            if at > len(content):
                raise ValueError
            row.append(takes[kind](content[at - length : at]))
            if len(row) == width:
                yield tuple(row)
                row = []
    except (struct.error, ValueError, KeyError):
        raise SealBroken("backup: the bytes of a row are torn") from None
    if row:
        raise SealBroken("backup: a row has too few columns")


def _moment(raw: bytes) -> datetime:
    return datetime.strptime(raw.decode("ascii"), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


_POSTGRESQL: Mapping[bytes, Callable[[bytes], Value]] = {
    b"n": lambda raw: None,
    b"b": bytes,
    b"s": bytes.decode,
    b"i": lambda raw: _INT.unpack(raw)[0],
    b"o": lambda raw: raw == b"\1",
    b"t": _moment,
    b"d": lambda raw: date.fromisoformat(raw.decode("ascii")),
}
# As SQLAlchemy writes them there.
_SQLITE: Mapping[bytes, Callable[[bytes], Value]] = {
    **_POSTGRESQL,
    b"o": lambda raw: int(raw == b"\1"),
    b"t": lambda raw: _moment(raw).strftime("%Y-%m-%d %H:%M:%S.%f"),
    b"d": lambda raw: raw.decode("ascii"),
}
