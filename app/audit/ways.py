"""Ways through the log for one question, newest entries first: which index is walked, and how far at most.

A planner that takes a word for frequent walks the log backwards until it has met it often enough, which among ten million entries may
be near the first. So the way is chosen here, by counting in each index that could serve, and its statements compare whole keys, which
fit one index and leave no choice. Where none serves, the covering index ``ix_trail_entry_desk`` is walked a stride at a time. Whatever
is asked, one look costs no more than ``Reach`` allows; how far it came is said.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, SQLColumnExpression, any_, bindparam, func, select, text, tuple_
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from app.audit.tables import TrailEntry

# Entries held against the rest of the question in the first statement, which mostly finds a page; the second takes the others.
_FIRST = 500
# A row met by its number costs as much as so many in the covering index.
_SEEK = 8


@dataclass(frozen=True, slots=True)
class Reach:
    """How far one look goes. cap: entries of an index that are held against the rest of the question. stride: of the covering index."""

    cap: int = 5_000
    stride: int = 200_000


REACH = Reach()


@dataclass(frozen=True, slots=True)
class Window:
    """The numbers looked among, both ends left out."""

    low: int
    high: int

    @property
    def size(self) -> int:
        """How many numbers lie in it."""
        return max(0, self.high - self.low - 1)


@dataclass(frozen=True, slots=True)
class Looked:
    """numbers: of what was found, newest first. reached: where the look had to stop (everything from there on was held), None at the end."""

    numbers: Sequence[int]
    reached: int | None


@dataclass(frozen=True, slots=True)
class Ordered:
    """A stretch of an index in which all columns but the last, *seq*, are equal to *values*: its entries stand in the log's order.

    name: the filter that whatever lies on it meets. only: what a partial index asks of its rows, word for word.
    """

    name: str
    columns: Sequence[SQLColumnExpression[Any]]
    values: Sequence[object]
    seq: SQLColumnExpression[int] = TrailEntry.seq
    only: str = ""

    def statement(self, window: Window, limit: int) -> Select[int]:
        """Return what asks for the newest *limit* numbers in *window*."""
        key = tuple_(*self.columns, self.seq)
        query: Select[int] = select(self.seq.label("seq")).where(key > (*self.values, window.low), key < (*self.values, window.high))
        if self.only:
            query = query.where(text(self.only))
        # Constant, but only with them does the order name the index.
        return query.order_by(*(column.desc() for column in self.columns), self.seq.desc()).limit(limit)

    def count(self, session: Session, window: Window, cap: int) -> int:
        """Return how many entries lie on it in *window*, at most *cap*."""
        return session.scalar(select(func.count()).select_from(self.statement(window, cap).subquery())) or 0

    def newest(self, session: Session, window: Window, limit: int) -> list[int]:
        """Return the newest *limit* numbers."""
        return list(session.scalars(self.statement(window, limit)))


@dataclass(frozen=True, slots=True)
class Gathered:
    """A stretch of an index that is not in the log's order: a way only while what lies on it can be gathered and sorted."""

    name: str
    stretch: Select[int]

    def count(self, session: Session, _window: Window, cap: int) -> int:
        """Return how many entries lie on it, in the whole log, at most *cap*."""
        return session.scalar(select(func.count()).select_from(self.stretch.limit(cap).subquery())) or 0

    def newest(self, session: Session, window: Window, limit: int) -> list[int]:
        """Return the newest *limit* numbers; all of them are read."""
        return sorted((seq for seq in session.scalars(self.stretch) if window.low < seq < window.high), reverse=True)[:limit]


Way = Ordered | Gathered


def look(
    session: Session, log: str, ways: Sequence[Way], asked: dict[str, ColumnElement[bool]], window: Window, limit: int, reach: Reach = REACH
) -> Looked:
    """Return up to *limit* numbers of *log* in *window* that meet all of *asked* (name → condition), newest first."""
    chosen = _choose(session, ways, window, reach)
    if chosen is None:
        return _stride(session, log, list(asked.values()), window, limit, reach.stride)
    rest = [condition for name, condition in asked.items() if name != chosen.name]
    if not rest:
        return Looked(chosen.newest(session, window, limit), None)
    on_it = chosen.newest(session, window, reach.cap + 1)
    held = on_it[: reach.cap]
    found: list[int] = []
    for chunk in (held[:_FIRST], held[_FIRST:]):
        query = select(TrailEntry.seq).where(TrailEntry.log == log, _among(session, chunk), *rest)
        found += session.scalars(query.order_by(TrailEntry.seq.desc()).limit(limit - len(found)))
        if len(found) == limit:
            return Looked(found, None)
    return Looked(found, held[-1] if len(on_it) > reach.cap else None)


def _among(session: Session, numbers: Sequence[int]) -> ColumnElement[bool]:
    """Return the condition that an entry's number is one of *numbers*, all of them as one parameter."""
    if session.get_bind().dialect.name == "sqlite":
        return TrailEntry.seq.in_(select(func.json_each(json.dumps(numbers)).table_valued("value").c.value))
    return TrailEntry.seq == any_(bindparam(None, list(numbers), type_=postgresql.ARRAY(BigInteger), unique=True))


def _choose(session: Session, ways: Sequence[Way], window: Window, reach: Reach) -> Way | None:
    """Return the way with the fewest entries, or None when the covering index is the shorter one."""
    counted = [(way.count(session, window, reach.cap + 1), way) for way in ways]
    # What could not be gathered is no way.
    usable = [one for one in counted if one[0] <= reach.cap or isinstance(one[1], Ordered)]
    if not usable:
        return None
    fewest, way = min(usable, key=lambda one: one[0])
    return None if window.size <= (reach.stride if fewest > reach.cap else fewest * _SEEK) else way


def _stride(session: Session, log: str, asked: Sequence[ColumnElement[bool]], window: Window, limit: int, stride: int) -> Looked:
    low = max(window.low, window.high - stride - 1)
    here = (TrailEntry.log == log, TrailEntry.seq > low, TrailEntry.seq < window.high)
    found = session.scalars(select(TrailEntry.seq).where(*here, *asked).order_by(TrailEntry.seq.desc()).limit(limit)).all()
    return Looked(found, low + 1 if low > window.low and len(found) < limit else None)
