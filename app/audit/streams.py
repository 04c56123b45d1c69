"""The log's rows as the database really holds them, streamed in order, one snapshot for all. For ``audit.verify``.

Values come raw: no column type may repair, refuse or crash on what somebody changed. On SQLite any column can hold any type, so
every value is an ``object`` until looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import NamedTuple, cast

from sqlalchemy import Column, ColumnElement, Connection, Result, Select, Table, Text, and_, func, or_, select, type_coerce
from sqlalchemy.types import NullType

from app.audit.family import are_kin
from app.audit.published import LIFT
from app.audit.span import WHOLE, Span
from app.audit.tables import (
    PayloadErasure,
    TouchIndex,
    TrailCheckpoint,
    TrailCosignature,
    TrailEntry,
    TrailHalt,
    TrailHead,
    TrailMinimum,
    TrailPayload,
    TrailPublished,
    TrailStamp,
    TrailTile,
)
from app.store.base import UtcDateTime
from app.store.engine import Store

# Rows fetched at once from each table: about 2 MB of entries.
_CHUNK = 1_000
# Of rows that belong to no log we know, a few are enough to say so.
_SOME = 5
# PostgreSQL's pattern for the text that SQLite keeps: a moment in UTC with microseconds.
_MOMENT = "YYYY-MM-DD HH24:MI:SS.US"
_EXPORTED = re.compile(r"[0-9A-F]+(-[0-9A-F]+)*", re.ASCII)
_TABLES = {
    cast(Table, model.__table__): number
    for model, number in (
        (TrailHead, "size"),
        (TrailEntry, "seq"),
        (TrailPayload, "seq"),
        (TrailCheckpoint, "size"),
        (TouchIndex, "seq"),
        (TrailTile, "number"),
        (TrailPublished, "size"),
        (TrailCosignature, "size"),
        (TrailStamp, "size"),
        (TrailHalt, "size"),
        (PayloadErasure, "seq"),
        (TrailMinimum, "minimum"),
    )
}


# What a walk takes row by row, by its number.
_WALKED = (TrailEntry, TrailPayload, TouchIndex, TrailCheckpoint, TrailPublished, TrailCosignature, TrailStamp, TrailTile)
_NUMBERED = {table: _TABLES[table] for table in (cast(Table, model.__table__) for model in _WALKED)}


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


class RawTile(NamedTuple):
    """A row of trail_tile, of one level."""

    number: object
    root: object
    hashes: object


class RawPublished(NamedTuple):
    """A row of trail_published."""

    size: object
    note: object


class RawCosignature(NamedTuple):
    """A row of trail_cosignature."""

    size: object
    key: object
    at: object
    witness: object
    line: object


class RawStamp(NamedTuple):
    """A row of trail_stamp."""

    size: object
    authority: object
    token: object


class RawMinimum(NamedTuple):
    """A row of trail_minimum."""

    minimum: object
    last: object
    frontier: object
    note: object
    by_seq: object


class RawErasure(NamedTuple):
    """A row of payload_erasure, with action and outcome of the entry it names (None when there is none)."""

    seq: object
    by_log: object
    by_seq: object
    digest: object
    action: object
    outcome: object


class RawNamed(NamedTuple):
    """A row of payload_erasure as seen from the entry it names, with the bytes of the entry whose payload went (None: not there)."""

    log: object
    seq: object
    digest: object
    body: object


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

    def below(self, number: int) -> Iterator[tuple[object, ...]]:
        """Yield the rows numbered below *number*, taking them."""
        while self._next is not None and isinstance(self._next[0], int) and self._next[0] < number:
            yield self._next
            self._next = next(self._rows, None)

    def rest(self, limit: int) -> None:
        """Hand out up to *limit* of what is left as strays."""
        for _ in range(limit):
            if self._next is None:
                return
            self._stray(self._next[0])
            self._next = next(self._rows, None)


class Streams:
    """Every row of *log* within *span*, in order, from one snapshot."""

    def __init__(self, connection: Connection, log: str, span: Span = WHOLE) -> None:
        self._connection, self._log, self._span = connection, log, span
        # What is still being read, for every span of the snapshot.
        self._reading: set[Result[*tuple[object, ...]]] = set()

    def within(self, span: Span) -> Streams:
        """Return the same snapshot's rows within *span*."""
        made = Streams(self._connection, self._log, span)
        made._reading = self._reading
        return made

    def close(self) -> None:
        """Read no further. A statement left open would keep SQLite's connection in this snapshot, and its next user from writing."""
        for one in list(self._reading):
            one.close()
        self._reading.clear()

    def head(self) -> RawHead | None:
        """Return the head row, if there is one."""
        row = next(self._rows(TrailHead, RawHead._fields, "log"), None)
        return None if row is None else RawHead(*row)

    def entries(self) -> Iterator[RawEntry]:
        """Yield entries by seq."""
        return map(RawEntry._make, self._spanned(TrailEntry, RawEntry._fields, "seq"))

    def payloads(self) -> Iterator[RawPayload]:
        """Yield payloads by seq."""
        return map(RawPayload._make, self._spanned(TrailPayload, RawPayload._fields, "seq"))

    def checkpoints(self) -> Iterator[RawCheckpoint]:
        """Yield checkpoints by size."""
        return map(RawCheckpoint._make, self._spanned(TrailCheckpoint, RawCheckpoint._fields, "size"))

    def touches(self) -> Iterator[RawTouch]:
        """Yield touch tokens by seq; the database sorts them, on its own disk."""
        return map(RawTouch._make, self._spanned(TouchIndex, RawTouch._fields, "seq"))

    def published(self) -> Iterator[RawPublished]:
        """Yield published checkpoints by size."""
        return map(RawPublished._make, self._spanned(TrailPublished, RawPublished._fields, "size"))

    def cosignatures(self) -> Iterator[RawCosignature]:
        """Yield witnesses' signatures by size."""
        return map(RawCosignature._make, self._spanned(TrailCosignature, RawCosignature._fields, "size"))

    def stamps(self) -> Iterator[RawStamp]:
        """Yield time stamps by size."""
        return map(RawStamp._make, self._spanned(TrailStamp, RawStamp._fields, "size"))

    def levels(self) -> list[object]:
        """Return the levels of which there is a tile; a span that another one follows leaves them to the last."""
        if self._span.end is not None:
            return []
        table = cast(Table, TrailTile.__table__)
        found = self._connection.execute(select(_raw(table.c.level, self._connection)).where(table.c.log == self._log).distinct())
        return [row[0] for row in found]

    def tiles(self, level: int) -> Iterator[RawTile]:
        """Yield the tiles of *level* by number."""
        column = cast(Table, TrailTile.__table__).c.level
        return map(RawTile._make, self._spanned(TrailTile, RawTile._fields, "number", column == level, level=level))

    def minima(self) -> list[RawMinimum]:
        """Return where the log was pruned to, oldest first: a handful in its life."""
        return list(map(RawMinimum._make, self._rows(TrailMinimum, RawMinimum._fields, "minimum")))

    def halt(self) -> object | None:
        """Return the kind of the newest row of trail_halt, or None."""
        return next((row[0] for row in self._rows(TrailHalt, ("kind",), "at", newest=True)), None)

    def lifts(self) -> Iterator[object]:
        """Yield the reason of every row of trail_halt that lifts a halt."""
        return (reason for kind, reason in self._rows(TrailHalt, ("kind", "reason"), "at") if kind == LIFT)

    def erasures(self, start: int) -> Iterator[RawErasure]:
        """Yield erasures of payloads by seq, from entry *start* on; what was pruned has nothing left to compare."""
        gone, by = cast(Table, PayloadErasure.__table__), cast(Table, TrailEntry.__table__)
        columns = [_raw(gone.c[name], self._connection) for name in ("seq", "by_log", "by_seq", "digest")]
        said = [_raw(by.c[name], self._connection) for name in ("action", "outcome")]
        joined = gone.outerjoin(by, and_(by.c.log == gone.c.by_log, by.c.seq == gone.c.by_seq))
        where = (gone.c.log == self._log, gone.c.seq >= start, *self._span.of(gone.c.seq))
        statement = select(*columns, *said).select_from(joined).where(*where).order_by(gone.c.seq)
        return map(RawErasure._make, self._stream(statement))

    def named_by(self, seq: int) -> Iterator[RawNamed]:
        """Yield the erasures that name entry *seq* of this log, by log and number."""
        gone, at = cast(Table, PayloadErasure.__table__), cast(Table, TrailEntry.__table__)
        columns = [_raw(gone.c[name], self._connection) for name in ("log", "seq", "digest")]
        joined = gone.outerjoin(at, and_(at.c.log == gone.c.log, at.c.seq == gone.c.seq))
        statement = select(*columns, _raw(at.c.body, self._connection)).select_from(joined)
        here = (gone.c.by_log == self._log, gone.c.by_seq == seq)
        return map(RawNamed._make, self._stream(statement.where(*here).order_by(gone.c.log, gone.c.seq)))

    def kin(self) -> list[str]:
        """Return the other logs of this guard that have a head row: the ones before a restore, or after it."""
        table = cast(Table, TrailHead.__table__)
        found = self._connection.execute(select(_raw(table.c.log, self._connection)))
        return [row[0] for row in found if isinstance(row[0], str) and row[0] != self._log and are_kin(row[0], self._log)]

    def strangers(self, kin: Iterable[str]) -> Iterator[Stranger]:
        """Yield a few rows of every table that belong to another log, but for *kin*: they are verified as logs of their own."""
        for table, number in _TABLES.items():
            other = and_(or_(table.c.log < self._log, table.c.log > self._log), table.c.log.not_in(list(kin)))
            for found in self._connection.execute(select(_raw(table.c[number], self._connection)).where(other).limit(_SOME)):
                yield Stranger(table.name, found[0])

    def unnumbered(self) -> bool:
        """Say whether some row's number is NULL: no span has it."""
        return any(
            self._connection.execute(select(table.c.log).where(table.c.log == self._log, table.c[number].is_(None)).limit(1)).first()
            for table, number in _NUMBERED.items()
        )

    def roots(self, level: int, start: int, end: int) -> Iterator[tuple[object, ...]]:
        """Yield (number, root) of the stored tiles *start* to *end* - 1 of *level*."""
        here = cast(Table, TrailTile.__table__).c
        return self._rows(TrailTile, ("number", "root"), "number", here.level == level, here.number >= start, here.number < end)

    def leaves(self, start: int, end: int) -> Iterator[tuple[object, ...]]:
        """Yield (seq, leaf) of the entries *start* to *end* - 1."""
        here = cast(Table, TrailEntry.__table__).c
        return self._rows(TrailEntry, ("seq", "leaf"), "seq", here.seq >= start, here.seq < end)

    def body(self, seq: int) -> object:
        """Return the bytes of entry *seq*, None when it is not there."""
        here = cast(Table, TrailEntry.__table__).c
        return next((row[0] for row in self._rows(TrailEntry, ("body",), "seq", here.seq == seq)), None)

    def export(self) -> str:
        """Return the name by which other connections may read this snapshot while it is open (PostgreSQL)."""
        return str(self._connection.scalar(select(func.pg_export_snapshot())))

    def _spanned(
        self, model: type, fields: tuple[str, ...], order: str, *where: ColumnElement[bool], level: int | None = None
    ) -> Iterator[tuple[object, ...]]:
        table = cast(Table, model.__table__)  # type: ignore[attr-defined]  # every mapped class has one
        return self._rows(model, fields, order, *where, *self._span.of(table.c[order], level))

    def _rows(
        self, model: type, fields: tuple[str, ...], order: str, *where: ColumnElement[bool], newest: bool = False
    ) -> Iterator[tuple[object, ...]]:
        table = cast(Table, model.__table__)  # type: ignore[attr-defined]  # every mapped class has one
        columns = [_raw(table.c[name], self._connection) for name in fields]
        statement = select(*columns).where(table.c.log == self._log, *where)
        return self._stream(statement.order_by(table.c[order].desc()).limit(1) if newest else statement.order_by(table.c[order]))

    def _stream(self, statement: Select[*tuple[object, ...]]) -> Iterator[tuple[object, ...]]:
        found = self._connection.execute(statement.execution_options(yield_per=_CHUNK))
        self._reading.add(found)
        yield from found
        self._reading.discard(found)


def _raw(column: Column[object], connection: Connection) -> ColumnElement[object]:
    """Return *column* without its Python type; a moment becomes the same text on both databases."""
    if isinstance(column.type, UtcDateTime):
        if connection.dialect.name == "postgresql":
            return func.to_char(func.timezone("UTC", column), _MOMENT)
        return type_coerce(column, Text())
    return type_coerce(column, NullType())


@contextmanager
def snapshot(store: Store, log: str, like: str = "") -> Iterator[Streams]:
    """Open one snapshot of *log*: what is appended meanwhile is not seen. Raises StoreDown when the database cannot be read.

    like: the name of a snapshot that another connection exported (PostgreSQL).
    """
    with store.reading() as session:
        if store.dialect == "postgresql":
            connection = session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            if like:
                assert _EXPORTED.fullmatch(like), "a snapshot's name, as the database gave it"
                connection.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{like}'")
            with closing(Streams(connection, log)) as streams:
                yield streams
            return
        connection = session.connection()  # SQLite in WAL mode: the transaction's first read fixes what it sees
        driver = connection.connection.dbapi_connection
        assert driver is not None
        driver.text_factory = _lenient
        try:
            with closing(Streams(connection, log)) as streams:
                yield streams
        finally:
            driver.text_factory = str


# Text that may no longer be UTF-8 is decoded all the same, so that the row can be named instead of stopping the walk.
_lenient = partial(str, encoding="utf-8", errors="surrogateescape")
