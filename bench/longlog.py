"""Fills a log with millions of entries, past the appender, for questions about size.

Every entry has the bytes that the appender would have written, at its place in chain and tree, under a signed head, so that the real trail
goes on after it and every proof holds. What is missing are the sealed payloads, which no page of a list opens; and the entries were never
asked for by anybody. Whoever prints a figure over such a log says that it was filled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import cast

from sqlalchemy import Table, text

from app.audit import rows
from app.audit.entry import Draft, Unplaced, opened_bits, prepare
from app.audit.note import Signer
from app.audit.tables import TouchIndex, TrailEntry
from app.factory import House
from app.kernel.clock import rfc3339
from app.store.bulk import put
from app.store.engine import Store

_ENTRY, _TOUCH = cast(Table, TrailEntry.__table__), cast(Table, TouchIndex.__table__)
# Entries a transaction: some 60 MB.
_BATCH = 50_000


@dataclass(frozen=True, slots=True)
class Template:
    """An entry but for its moment and its place, and the columns copied from it. Checked once, used often."""

    before: str
    after: str
    tail: Unplaced
    columns: tuple[object, ...]

    @classmethod
    def of(cls, draft: Draft, log: str) -> Template:
        """Return the template of *draft*, whose payload is left out."""
        whole = prepare(draft, None, log=log)
        before, moment, after = whole.before.partition(rfc3339(draft.at))
        assert moment, "an entry names its moment before its predecessor"
        words = (draft.actor, draft.office, draft.action, draft.outcome, draft.scope, draft.purpose, draft.request, draft.mandate)
        columns = (*(None if word is None else str(word) for word in words), opened_bits(draft.fields))
        return cls(before, after, whole, columns)

    def at(self, moment: datetime) -> Unplaced:
        """Return the entry made at *moment*."""
        return Unplaced(f"{self.before}{rfc3339(moment)}{self.after}", self.tail.between, self.tail.after)


# What was done, when, and the touch tokens of whom it names.
Planned = tuple[Template, datetime, Sequence[bytes]]


def fill(house: House, planned: Iterable[Planned], said: Callable[[int], None] = lambda size: None) -> int:
    """Write *planned* after the last entry of the house's log; return its size then. said: told the size now and then."""
    with _without_indexes(house):
        size = _extend(house, planned, said)
    _settle(house)
    return size


def _extend(house: House, planned: Iterable[Planned], said: Callable[[int], None]) -> int:
    log = house.guard.log
    signer = Signer(log, house.guard.keys.key("log", "00").secret)
    stored = cast(
        "Callable[[datetime], object]", _ENTRY.c.at.type.dialect_impl(house.store.engine.dialect).bind_processor(house.store.engine.dialect)
    )
    going, size = iter(planned), 0
    while batch := list(islice(going, _BATCH)):
        with house.store.writing() as session:
            head, _ = rows.lock(session, log)
            entries, touches = [], []
            for template, moment, tokens in batch:
                placed = head.place(template.at(moment))
                entries.append((log, placed.seq, placed.leaf, placed.body, stored(moment), *template.columns))
                touches += [(log, token, placed.seq) for token in tokens]
            put(session.connection(), _ENTRY, entries)
            # In the order of the index, as many as there are at once: millions in any order would write each of its pages again and again.
            put(session.connection(), _TOUCH, sorted(touches))
            rows.advance(session, head, signer.sign(head.checkpoint().text()), batch[-1][1])
            size = head.size
        said(size)
    return size


@contextmanager
def _without_indexes(house: House) -> Iterator[None]:
    """Take the entries' indexes away meanwhile and make them anew at the end, sorted: millions one by one would take the hours of a real life."""
    owner = Store(house.settings.owner_database)
    try:
        with owner.writing() as session:
            for index in _ENTRY.indexes:
                index.drop(session.connection())
        yield
        with owner.writing() as session:
            for index in _ENTRY.indexes:
                index.create(session.connection())
    finally:
        owner.dispose()


def _settle(house: House) -> None:
    """Do what the server's own upkeep would have done by now: PostgreSQL counts and tidies, SQLite empties its journal."""
    owner = Store(house.settings.owner_database)
    with owner.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if owner.dialect == "postgresql":
            connection.execute(text("VACUUM (ANALYZE) trail_entry"))
            connection.execute(text("VACUUM (ANALYZE) touch_index"))
        else:
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    owner.dispose()
