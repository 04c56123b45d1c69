"""The log's rows as the database really holds them, streamed in order, one snapshot for all. For ``audit.verify``.

Values come raw: no column type may repair, refuse or crash on what somebody changed. On SQLite any column can hold any type, so
every value is an ``object`` until looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, cast

from sqlalchemy import Column, ColumnElement, Connection, Table, Text, func, or_, select, type_coerce
from sqlalchemy.types import NullType

from app.audit.tables import TouchIndex, TrailCheckpoint, TrailEntry, TrailHead, TrailPayload
from app.store.base import UtcDateTime
from app.store.engine import Store

# Rows fetched at once from each table: about 2 MB of entries.
_CHUNK = 1_000
# Of rows that belong to no log we know, a few are enough to say so.
_SOME = 5
# PostgreSQL's pattern for the text that SQLite keeps: a moment in UTC with microseconds.
_MOMENT = "YYYY-MM-DD HH24:MI:SS.US"
_TABLES = {
    cast(Table, model.__table__): number
    for model, number in (
        (TrailHead, "size"),
        (TrailEntry, "seq"),
        (TrailPayload, "seq"),
        (TrailCheckpoint, "size"),
        (TouchIndex, "seq"),
    )
}


class RawHead(NamedTuple):
    """A row of trail_head."""

    size: object
    last: object
    frontier: object
    checkpoint: object
    changed_at: object


class RawEntry(NamedTuple):
    """A row of trail_entry."""

    seq: object
    leaf: object
    body: object
    at: object
    actor: object
    office: object
    action: object
    outcome: object
    scope: object
    purpose: object
    request: object
    mandate: object
    elements: object


class RawPayload(NamedTuple):
    """A row of trail_payload."""

    seq: object
    day: object
    wrapped: object
    sealed: object


class RawCheckpoint(NamedTuple):
    """A row of trail_checkpoint."""

    size: object
    note: object


class RawTouch(NamedTuple):
    """A row of touch_index."""

    seq: object
    token: object


class Stranger(NamedTuple):
    """A row of another log: its table, and its number there."""

    table: str
    number: object


class Beside:
    """A side table's rows, taken as a walk passes their number; rows that nothing asks for go to *stray*, with their number."""

    def __init__(self, rows: Iterator[tuple[object, ...]], stray: Callable[[object], None]) -> None:
        self._rows, self._stray = rows, stray
        self._next = next(rows, None)

    def at(self, number: int) -> list[tuple[object, ...]]:
        """Return the rows numbered *number*; earlier ones, and ones without a whole number, are strays."""
        found = []
        while self._next is not None:
            key = self._next[0]
            if isinstance(key, int) and key > number:
                break
            if isinstance(key, int) and key == number:
                found.append(self._next)
            else:
                self._stray(key)
            self._next = next(self._rows, None)
        return found

    def rest(self, limit: int) -> None:
        """Hand out up to *limit* of what is left as strays."""
        for _ in range(limit):
            if self._next is None:
                return
            self._stray(self._next[0])
            self._next = next(self._rows, None)


class Streams:
    """Every row of *log*, in order, from one snapshot."""

    def __init__(self, connection: Connection, log: str) -> None:
        self._connection, self._log = connection, log

    def head(self) -> RawHead | None:
        """Return the head row, if there is one."""
        row = next(self._rows(TrailHead, RawHead._fields, "log"), None)
        return None if row is None else RawHead(*row)

    def entries(self) -> Iterator[RawEntry]:
        """Yield entries by seq."""
        return map(RawEntry._make, self._rows(TrailEntry, RawEntry._fields, "seq"))

    def payloads(self) -> Iterator[RawPayload]:
        """Yield payloads by seq."""
        return map(RawPayload._make, self._rows(TrailPayload, RawPayload._fields, "seq"))

    def checkpoints(self) -> Iterator[RawCheckpoint]:
        """Yield checkpoints by size."""
        return map(RawCheckpoint._make, self._rows(TrailCheckpoint, RawCheckpoint._fields, "size"))

    def touches(self) -> Iterator[RawTouch]:
        """Yield touch tokens by seq; the database sorts them, on its own disk."""
        return map(RawTouch._make, self._rows(TouchIndex, RawTouch._fields, "seq"))

    def strangers(self) -> Iterator[Stranger]:
        """Yield a few rows of every table that belong to another log."""
        for table, number in _TABLES.items():
            other = or_(table.c.log < self._log, table.c.log > self._log)
            for found in self._connection.execute(select(_raw(table.c[number], self._connection)).where(other).limit(_SOME)):
                yield Stranger(table.name, found[0])

    def _rows(self, model: type, fields: tuple[str, ...], order: str) -> Iterator[tuple[object, ...]]:
        table = cast(Table, model.__table__)  # type: ignore[attr-defined]  # every mapped class has one
        columns = [_raw(table.c[name], self._connection) for name in fields]
        statement = select(*columns).where(table.c.log == self._log).order_by(table.c[order])
        yield from self._connection.execute(statement.execution_options(yield_per=_CHUNK))


def _raw(column: Column[object], connection: Connection) -> ColumnElement[object]:
    """Return *column* without its Python type; a moment becomes the same text on both databases."""
    if isinstance(column.type, UtcDateTime):
        if connection.dialect.name == "postgresql":
            return func.to_char(func.timezone("UTC", column), _MOMENT)
        return type_coerce(column, Text())
    return type_coerce(column, NullType())


@contextmanager
def snapshot(store: Store, log: str) -> Iterator[Streams]:
    """Open one snapshot of *log*: what is appended meanwhile is not seen. Raises StoreDown when the database cannot be read."""
    with store.reading() as session:
        if store.dialect == "postgresql":
            yield Streams(session.connection(execution_options={"isolation_level": "REPEATABLE READ"}), log)
            return
        connection = session.connection()  # SQLite in WAL mode: the transaction's first read fixes what it sees
        driver = connection.connection.dbapi_connection
        assert driver is not None
        driver.text_factory = _lenient
        try:
            yield Streams(connection, log)
        finally:
            driver.text_factory = str


def _lenient(raw: bytes) -> str:
    """Decode text that may no longer be UTF-8, so that the row can be named instead of stopping the walk."""
    return raw.decode("utf-8", "surrogateescape")
