"""The officer's questions to the log: entries by any of its query columns together, newest first, and how many by the hour.

Everything is answered from the covering index ``ix_trail_entry_desk`` in the log's own order; only the rows of one page are fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, String, and_, cast, func, or_, select
from sqlalchemy.orm import Session

from app.audit.entry import parse
from app.audit.query import MAX_PAGE, StoredEntry
from app.audit.tables import TouchIndex, TrailEntry
from app.kernel.errors import BadInput
from app.kernel.fields import Element, View
from app.kernel.regions import NATION
from app.store.engine import Store

_MAX_SEQ = 2**63 - 1
# ``actor`` of entries that no account made: the machine's own, and logins that named nobody.
_MACHINE, _NOBODY = "host:", "unknown"


@dataclass(frozen=True, slots=True)
class Filter:
    """What entries must be like, all of it together; "" or None asks nothing.

    actor: account uid, ``host:<uid>`` or ``unknown``. action, outcome, office, purpose: words of entries. region: entries decided
    about this region or one inside it. element: shown as more than "recorded". since ≤ at < until, aware. subject: touch token
    (32 bytes). mandate: uid. within: the jurisdiction of whoever asks; ``00`` sees all.
    """

    actor: str = ""
    action: str = ""
    outcome: str = ""
    office: str = ""
    region: str = ""
    element: Element | None = None
    purpose: str = ""
    since: datetime | None = None
    until: datetime | None = None
    subject: bytes | None = None
    mandate: str = ""
    within: str = NATION


@dataclass(frozen=True, slots=True)
class Found:
    """One page. older: where the next one begins (``before``), or None at the end. broken: numbers of rows whose bytes are no entry."""

    entries: Sequence[StoredEntry]
    older: int | None
    broken: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Hour:
    """How many entries of one action and outcome began in one hour (UTC)."""

    at: datetime
    action: str
    outcome: str
    count: int


def entries(store: Store, log: str, wanted: Filter, *, before: int | None = None, limit: int = 50) -> Found:
    """Return up to *limit* (1…200) entries of *log* that *wanted* asks for, newest first, with a number below *before*.

    Two statements, whatever the number. A row that somebody spoilt is named, and the others are still shown. Raises BadInput (field
    ``limit``), StoreDown.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise BadInput(f"limit must be 1 to {MAX_PAGE}", field="limit")
    if before is not None and before <= 0:
        return Found((), None)
    where = [TrailEntry.log == log, *_conditions(log, wanted)]
    if before is not None:
        where.append(TrailEntry.seq < min(before, _MAX_SEQ))
    with store.reading() as session:
        numbers = session.scalars(select(TrailEntry.seq).where(*where).order_by(TrailEntry.seq.desc()).limit(limit + 1)).all()
        found, broken = _fetch(session, log, numbers[:limit])
    older = numbers[limit - 1] if len(numbers) > limit else None
    return Found([one for one in found if _shows(one, wanted.element)], older, broken)


def exists(store: Store, log: str, wanted: Filter, seq: int) -> bool:
    """Say whether entry *seq* is one that *wanted* asks for."""
    where = [TrailEntry.log == log, TrailEntry.seq == min(seq, _MAX_SEQ), *_conditions(log, wanted)]
    with store.reading() as session:
        return session.scalar(select(TrailEntry.seq).where(*where)) is not None


def hours(store: Store, log: str, wanted: Filter) -> list[Hour]:
    """Return how many entries *wanted* asks for in each hour, by action and outcome, in the order of time. One statement."""
    stamp = _hour(store.dialect)
    query = (
        select(stamp, TrailEntry.action, TrailEntry.outcome, func.count())
        .where(TrailEntry.log == log, *_conditions(log, wanted))
        .group_by(stamp, TrailEntry.action, TrailEntry.outcome)
        .order_by(stamp)
    )
    with store.reading() as session:
        rows = session.execute(query).all()
    return [
        Hour(datetime.strptime(str(at), "%Y-%m-%d %H").replace(tzinfo=UTC), action, outcome, count) for at, action, outcome, count in rows
    ]


def by_office(store: Store, log: str, wanted: Filter) -> list[tuple[str | None, str, int]]:
    """Return (office, outcome, count) of the entries *wanted* asks for; office None: the machine, or nobody's login. One statement."""
    query = (
        select(TrailEntry.office, TrailEntry.outcome, func.count())
        .where(TrailEntry.log == log, *_conditions(log, wanted))
        .group_by(TrailEntry.office, TrailEntry.outcome)
    )
    with store.reading() as session:
        return [(office, outcome, count) for office, outcome, count in session.execute(query)]


def offices(store: Store, log: str, wanted: Filter) -> list[str]:
    """Return the offices that *wanted* finds, sorted."""
    query = select(TrailEntry.office).where(TrailEntry.log == log, TrailEntry.office.is_not(None), *_conditions(log, wanted)).distinct()
    with store.reading() as session:
        return sorted(office for office in session.scalars(query) if office)


def _fetch(session: Session, log: str, numbers: Sequence[int]) -> tuple[list[StoredEntry], list[int]]:
    query = select(TrailEntry.seq, TrailEntry.leaf, TrailEntry.body).where(TrailEntry.log == log, TrailEntry.seq.in_(numbers))
    found, broken = [], []
    for row in session.execute(query.order_by(TrailEntry.seq.desc())):
        try:
            found.append(StoredEntry(log, row.seq, row.leaf, row.body, parse(row.body)))
        except (BadInput, TypeError, AttributeError):
            broken.append(row.seq)
    return found, broken


def _shows(one: StoredEntry, element: Element | None) -> bool:
    """Say whether an entry shows *element*: its bytes say so, also where the column of old entries does not."""
    fields = one.members["fields"] or {}
    return element is None or View[fields.get(element.value, View.TUTUP.word).upper()] > View.ADA


def _conditions(log: str, wanted: Filter) -> list[ColumnElement[bool]]:
    equal = (
        (TrailEntry.actor, wanted.actor),
        (TrailEntry.action, wanted.action),
        (TrailEntry.outcome, wanted.outcome),
        (TrailEntry.office, wanted.office),
        (TrailEntry.purpose, wanted.purpose),
        (TrailEntry.mandate, wanted.mandate),
    )
    found: list[ColumnElement[bool]] = [column == value for column, value in equal if value]
    if wanted.region and wanted.region != NATION:
        found.append(_inside(wanted.region))
    if wanted.element is not None:
        bit = 1 << (wanted.element.number - 1)
        found.append(or_(TrailEntry.elements.op("&")(bit) != 0, TrailEntry.elements.is_(None)))
    if wanted.since is not None:
        found.append(TrailEntry.at >= wanted.since)
    if wanted.until is not None:
        found.append(TrailEntry.at < wanted.until)
    if wanted.subject is not None:
        found.append(TrailEntry.seq.in_(select(TouchIndex.seq).where(TouchIndex.log == log, TouchIndex.token == wanted.subject)))
    if wanted.within != NATION:
        found.append(_visible(wanted.within))
    return found


def _inside(region: str) -> ColumnElement[bool]:
    return or_(TrailEntry.scope == region, TrailEntry.scope.startswith(f"{region}.", autoescape=True))


def _visible(region: str) -> ColumnElement[bool]:
    """What an officer of *region* sees: done about it, done by its offices, and what the machine, or a login of nobody's, did for no region."""
    own = [
        office
        for body in ("kpu", "bawaslu")
        for office in (TrailEntry.office == f"{body}-{region}", TrailEntry.office.startswith(f"{body}-{region}.", autoescape=True))
    ]
    ownerless = or_(TrailEntry.actor == _NOBODY, TrailEntry.actor.startswith(_MACHINE, autoescape=True))
    everywhere = or_(TrailEntry.scope.is_(None), TrailEntry.scope == NATION)
    return or_(_inside(region), *own, and_(everywhere, ownerless))


def _hour(dialect: str) -> ColumnElement[str]:
    if dialect == "postgresql":
        return func.to_char(func.timezone("UTC", TrailEntry.at), "YYYY-MM-DD HH24")
    # SQLite keeps a moment as text in UTC: ``YYYY-MM-DD HH:MM:SS.ffffff``.
    return func.substr(cast(TrailEntry.at, String), 1, 13)
