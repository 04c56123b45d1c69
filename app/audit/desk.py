"""The officer's questions to the log: entries by any of its query columns together, newest first, and how many by the hour.

A period becomes a stretch of numbers, and the rest of a question a way through one index (``audit.ways``); only the rows of one page are
fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, String, and_, cast, func, or_, select
from sqlalchemy.orm import Session

from app.audit.entry import parse
from app.audit.query import StoredEntry
from app.audit.tables import FREQUENT_ACTIONS, HAS_MANDATE, RARE_ACTIONS, RARE_OUTCOMES, STOPPED, TouchIndex, TrailEntry, TrailHead
from app.audit.ways import REACH, Gathered, Looked, Ordered, Reach, Way, Window, look
from app.kernel.errors import BadInput
from app.kernel.fields import Element, View
from app.kernel.regions import NATION
from app.store.engine import Store

# What is fetched at once; an export asks for the most.
MAX_FETCH = 1_000
# How far back the server's clock may have been put without an entry of a period being missed: a clock set to WIT and put right to WIB
# goes back by two hours.
CLOCK_BACK = timedelta(hours=2)
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
    """One page. older: where the next one begins (``before``), or None at the end. broken: numbers of rows whose bytes are no entry.

    reached: the page is not full because the look stopped at the entry *older*, made at this moment; there may be more behind it.
    """

    entries: Sequence[StoredEntry]
    older: int | None
    broken: Sequence[int] = ()
    reached: datetime | None = None


@dataclass(frozen=True, slots=True)
class Hour:
    """How many entries of one action and outcome began in one hour (UTC)."""

    at: datetime
    action: str
    outcome: str
    count: int


def entries(store: Store, log: str, wanted: Filter, *, before: int | None = None, limit: int = 50, reach: Reach = REACH) -> Found:
    """Return up to *limit* (1…MAX_FETCH) entries of *log* that *wanted* asks for, newest first, with a number below *before*.

    A handful of statements, whatever the number. A row that somebody spoilt is named, and the others are still shown. Raises BadInput
    (field ``limit``), StoreDown.
    """
    if not 1 <= limit <= MAX_FETCH:
        raise BadInput(f"limit must be 1 to {MAX_FETCH}", field="limit")
    with store.reading() as session:
        window = _window(session, log, wanted, before)
        if window.size == 0:
            return Found((), None)
        ways = _ways(log, wanted, store.dialect)
        looked = look(session, log, ways, _conditions(log, wanted), window, limit + 1, reach)
        found, broken = _fetch(session, log, looked.numbers[:limit])
        shown = [one for one in found if _shows(one, wanted.element)]
        if len(looked.numbers) > limit:
            return Found(shown, looked.numbers[limit - 1], broken)
        stopped = None if looked.reached is None else _moment_of(session, log, looked.reached)
    return Found(shown, looked.reached, broken, stopped)


def numbers(store: Store, log: str, wanted: Filter, *, before: int, limit: int) -> Looked:
    """Return the numbers of up to *limit* entries that *wanted* asks for below *before*, newest first, in one look. Raises StoreDown."""
    with store.reading() as session:
        window = _window(session, log, wanted, before)
        return look(session, log, _ways(log, wanted, store.dialect), _conditions(log, wanted), window, limit)


def exists(store: Store, log: str, wanted: Filter, seq: int) -> bool:
    """Say whether entry *seq* is one that *wanted* asks for."""
    where = [TrailEntry.log == log, TrailEntry.seq == min(seq, _MAX_SEQ), *_conditions(log, wanted).values()]
    with store.reading() as session:
        return session.scalar(select(TrailEntry.seq).where(*where)) is not None


def hours(store: Store, log: str, wanted: Filter) -> list[Hour]:
    """Return how many entries *wanted* asks for in each hour, by action and outcome, in the order of time; costs as much as its period."""
    stamp = _hour(store.dialect)
    with store.reading() as session:
        query = (
            select(stamp, TrailEntry.action, TrailEntry.outcome, func.count())
            .where(*_within(session, log, wanted))
            .group_by(stamp, TrailEntry.action, TrailEntry.outcome)
            .order_by(stamp)
        )
        rows = session.execute(query).all()
    return [
        Hour(datetime.strptime(str(at), "%Y-%m-%d %H").replace(tzinfo=UTC), action, outcome, count) for at, action, outcome, count in rows
    ]


def by_office(store: Store, log: str, wanted: Filter) -> list[tuple[str | None, str, int]]:
    """Return (office, outcome, count) of the entries *wanted* asks for; office None: the machine, or nobody's login. Costs as ``hours``."""
    with store.reading() as session:
        query = (
            select(TrailEntry.office, TrailEntry.outcome, func.count())
            .where(*_within(session, log, wanted))
            .group_by(TrailEntry.office, TrailEntry.outcome)
        )
        return [(office, outcome, count) for office, outcome, count in session.execute(query)]


def _within(session: Session, log: str, wanted: Filter) -> list[ColumnElement[bool]]:
    window = _window(session, log, wanted, None)
    return [TrailEntry.log == log, TrailEntry.seq > window.low, TrailEntry.seq < window.high, *_conditions(log, wanted).values()]


def _window(session: Session, log: str, wanted: Filter, before: int | None) -> Window:
    """Return the numbers among which everything of the period lies; the exact moments are asked for beside it.

    Numbers grow with time but where the clock was put back. An entry older than the period by CLOCK_BACK has only older ones below it,
    unless the clock once went back by more; so for the newer end.
    """
    low = high = None
    if wanted.since is not None:
        early = select(TrailEntry.seq).where(TrailEntry.log == log, TrailEntry.at < wanted.since - CLOCK_BACK)
        low = session.scalar(early.order_by(TrailEntry.at.desc()).limit(1))
    if wanted.until is not None:
        late = select(TrailEntry.seq).where(TrailEntry.log == log, TrailEntry.at >= wanted.until + CLOCK_BACK)
        high = session.scalar(late.order_by(TrailEntry.at).limit(1))
    if high is None:
        high = session.scalar(select(TrailHead.size).where(TrailHead.log == log)) or 0
    return Window(-1 if low is None else low, high if before is None else max(0, min(before, high)))


def _ways(log: str, wanted: Filter, dialect: str) -> list[Way]:
    """Return the indexes that could serve the question; a word that every page of the log holds needs none."""
    found: list[Way] = []
    if wanted.subject is not None:
        found.append(Ordered("subject", (TouchIndex.log, TouchIndex.token), (log, wanted.subject), TouchIndex.seq))
    words = (
        ("mandate", TrailEntry.mandate, wanted.mandate, HAS_MANDATE),
        ("actor", TrailEntry.actor, wanted.actor, ""),
        ("office", TrailEntry.office, wanted.office, ""),
        ("action", TrailEntry.action, "" if wanted.action in FREQUENT_ACTIONS else wanted.action, RARE_ACTIONS),
        ("outcome", TrailEntry.outcome, wanted.outcome if wanted.outcome in STOPPED else "", RARE_OUTCOMES),
    )
    found += [Ordered(name, (TrailEntry.log, column), (log, value), only=only) for name, column, value, only in words if value]
    if wanted.region and wanted.region != NATION:
        found.append(Gathered("region", select(TrailEntry.seq).where(TrailEntry.log == log, *_scopes(wanted.region, dialect))))
    return found


def _scopes(region: str, dialect: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the codes of *region* and inside it as a range: after ``51.07`` the next character is ``.``, and ``/`` follows it in ASCII."""
    # PostgreSQL's own order of text is that of a language; these compare characters, as the index does.
    least, below = ("~>=~", "~<~") if dialect == "postgresql" else (">=", "<")
    return TrailEntry.scope.bool_op(least)(region), TrailEntry.scope.bool_op(below)(f"{region}/")


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


def _moment_of(session: Session, log: str, seq: int) -> datetime | None:
    return session.scalar(select(TrailEntry.at).where(TrailEntry.log == log, TrailEntry.seq == seq))


def _conditions(log: str, wanted: Filter) -> dict[str, ColumnElement[bool]]:
    """Return what is asked, by the name of the filter."""
    equal = (
        ("actor", TrailEntry.actor, wanted.actor),
        ("action", TrailEntry.action, wanted.action),
        ("outcome", TrailEntry.outcome, wanted.outcome),
        ("office", TrailEntry.office, wanted.office),
        ("purpose", TrailEntry.purpose, wanted.purpose),
        ("mandate", TrailEntry.mandate, wanted.mandate),
    )
    found: dict[str, ColumnElement[bool]] = {name: column == value for name, column, value in equal if value}
    if wanted.region and wanted.region != NATION:
        found["region"] = _inside(wanted.region)
    if wanted.element is not None:
        bit = 1 << (wanted.element.number - 1)
        found["element"] = or_(TrailEntry.elements.op("&")(bit) != 0, TrailEntry.elements.is_(None))
    if wanted.since is not None:
        found["since"] = TrailEntry.at >= wanted.since
    if wanted.until is not None:
        found["until"] = TrailEntry.at < wanted.until
    if wanted.subject is not None:
        found["subject"] = TrailEntry.seq.in_(select(TouchIndex.seq).where(TouchIndex.log == log, TouchIndex.token == wanted.subject))
    if wanted.within != NATION:
        found["within"] = _visible(wanted.within)
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
