"""The officer's questions find what a plain reading of every entry finds, whichever way they go, and the database goes the way meant."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, text

from app.audit import desk, seen
from app.audit.desk import CLOCK_BACK, Filter
from app.audit.entry import Draft, opened_bits, subjects_root
from app.audit.query import StoredEntry
from app.audit.ways import Reach, Window, look
from app.kernel.errors import SealBroken
from app.kernel.fields import Action, Element, Outcome, Purpose
from app.kernel.payload import SealedPayload
from app.kernel.regions import is_within
from app.store.engine import Store
from tests.sampling import sampled
from tests.trail_kit import BOX, NOON, ORIGIN, dice, fill, pack, run, uid_of

SALT = bytes(32)
ACTIONS = (Action.VOTER_REVEAL, Action.VOTER_SEARCH, Action.VOTER_CHANGE, Action.TRAIL_EXPORT, Action.SESSION_LOGIN)
OFFICES = ("kpu-51.71", "kpu-51.03", "bawaslu-51", None)
SCOPES = ("51", "51.71", "51.71.01", "51.71.01.1001", "51.03.02", None)
ACTORS = ("a" * 26, "b" * 26, "host:0", "unknown")
# Forwards by a minute, but now and then back by an hour and a half.
BACK = timedelta(minutes=90)


def event_of(number: int, chance: random.Random, at: datetime) -> tuple[Draft, SealedPayload | None]:
    """An invented entry; every second one names a voter of five."""
    uids = [uid_of(chance.randrange(5))] if chance.random() < 0.5 else []
    made = Draft(
        at=at, actor=chance.choice(ACTORS), action=chance.choice(ACTIONS), outcome=chance.choice(tuple(Outcome)),
        office=chance.choice(OFFICES), scope=chance.choice(SCOPES), purpose=chance.choice(("audit", "permintaan_subjek", None)),
        mandate=chance.choice(("m" * 26, None, None)), fields={"nik": chance.choice(("utuh", "ada"))} if chance.random() < 0.4 else None,
        subjects=(1, subjects_root(SALT, uids)) if uids else None, request=f"req-{number}",
    )  # fmt: skip
    return made, BOX.seal(pack(salt=SALT, subjects=uids), uids, at, ORIGIN) if uids else None


@pytest.fixture
def log(store: Store) -> Store:
    """Two hundred entries, in which the clock was put back three times."""
    chance, at, made = dice(7), NOON, []
    for number in range(200):
        at += timedelta(minutes=1) if number not in (60, 61, 140) else -BACK / (2 if number < 100 else 1)
        made.append(event_of(number, chance, at))
    fill(store, made)
    return store


def everything(store: Store) -> list[StoredEntry]:
    return list(pages(store, Filter(), Reach(), limit=500))


def pages(store: Store, wanted: Filter, reach: Reach, limit: int) -> Iterator[StoredEntry]:
    """Walk through all pages."""
    before: int | None = None
    while True:
        found = desk.entries(store, ORIGIN, wanted, before=before, limit=limit, reach=reach)
        assert before is None or found.older is None or found.older < before
        assert len(found.entries) == limit or found.older is None or found.reached is not None
        yield from found.entries
        if found.older is None:
            return
        before = found.older


def meets(one: StoredEntry, wanted: Filter, named: dict[int, set[bytes]]) -> bool:
    """Say from an entry's own bytes whether it is asked for."""
    told, at = one.members, datetime.fromisoformat(one.members["at"])
    words = (("actor", wanted.actor), ("action", wanted.action), ("outcome", wanted.outcome), ("office", wanted.office),
             ("purpose", wanted.purpose), ("mandate", wanted.mandate))  # fmt: skip
    return (
        all(not value or told[name] == value for name, value in words)  # type: ignore[literal-required]  # names of members
        and (not wanted.region or (told["scope"] is not None and is_within(told["scope"], wanted.region)))
        and (wanted.element is None or bool(opened_bits(told["fields"]) & 1 << (wanted.element.number - 1)))
        and (wanted.since is None or at >= wanted.since)
        and (wanted.until is None or at < wanted.until)
        and (wanted.subject is None or wanted.subject in named[one.seq])
    )


def asked_for(chance: random.Random) -> Filter:
    """A question of a few filters."""
    since = NOON + timedelta(minutes=chance.randrange(-30, 200))
    parts: dict[str, object] = {
        "actor": chance.choice(ACTORS), "action": chance.choice(ACTIONS).value, "outcome": chance.choice(tuple(Outcome)).value,
        "office": chance.choice([one for one in OFFICES if one]), "region": chance.choice(("51", "51.71", "51.71.01.1001", "51.7")),
        "element": Element.NIK, "purpose": "audit", "mandate": "m" * 26, "since": since,
        "until": since + timedelta(minutes=chance.randrange(1, 90)), "subject": BOX.token(uid_of(chance.randrange(5))),
    }  # fmt: skip
    return Filter(**{name: parts[name] for name in chance.sample(sorted(parts), chance.randrange(1, 4))})  # type: ignore[arg-type]


@pytest.mark.parametrize("reach", sampled([Reach(), Reach(cap=4, stride=15), Reach(cap=40, stride=5)], Reach(cap=4, stride=15)), ids=str)
def test_every_question_finds_what_a_plain_reading_finds(log: Store, reach: Reach) -> None:
    """In the log's order, each entry once, whichever index is walked and however often a look has to stop; also over a clock put back."""
    all_of_them = everything(log)
    with log.reading() as session:
        named: dict[int, set[bytes]] = {one.seq: set() for one in all_of_them}
        for token, seq in session.execute(text("SELECT token, seq FROM touch_index")):
            named[seq].add(bytes(token))
    chance = dice(11)
    for wanted in (asked_for(chance) for _ in range(60)):
        found = [one.seq for one in pages(log, wanted, reach, limit=7)]

        assert found == [one.seq for one in all_of_them if meets(one, wanted, named)], wanted


def test_a_period_finds_what_the_clock_wrote_twice(log: Store) -> None:
    """An hour that came twice is found twice, though its numbers lie apart; the counts say the same."""
    all_of_them = everything(log)
    at = {one.seq: datetime.fromisoformat(one.members["at"]) for one in all_of_them}
    assert any(at[seq] > at[seq + 1] for seq in range(199))
    for start in range(0, 180, 15):
        period = Filter(since=NOON + timedelta(minutes=start), until=NOON + timedelta(minutes=start + 30))
        inside = [seq for seq in range(199, -1, -1) if period.since <= at[seq] < period.until]  # type: ignore[operator]

        assert [one.seq for one in pages(log, period, Reach(), limit=50)] == inside
        assert sum(one.count for one in desk.hours(log, ORIGIN, period)) == len(inside)
        assert sum(count for _office, _outcome, count in desk.by_office(log, ORIGIN, period)) == len(inside)
    assert BACK < CLOCK_BACK


def test_a_look_that_stops_says_where(log: Store) -> None:
    """An empty page that could not look to the end is not the end."""
    rare = Filter(element=Element.KETERANGAN)

    found = desk.entries(log, ORIGIN, rare, reach=Reach(cap=4, stride=50))

    assert (found.entries, found.older) == ([], 150)
    assert found.reached == datetime.fromisoformat(next(one for one in everything(log) if one.seq == 150).members["at"])


# ---- plans ----


class Plans:
    """What a database says about each statement that runs meanwhile."""

    def __init__(self, store: Store) -> None:
        self.store, self.statements = store, list[tuple[str, object]]()

    def __enter__(self) -> Plans:
        event.listen(self.store.engine, "before_cursor_execute", self._seen)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self.store.engine, "before_cursor_execute", self._seen)

    def _seen(self, _connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        self.statements.append((statement, parameters))

    def told(self) -> list[str]:
        """The plan of each statement, as text."""
        asking = "EXPLAIN QUERY PLAN " if self.store.dialect == "sqlite" else "EXPLAIN "
        with self.store.reading() as session:
            return [
                "\n".join(str(row[-1]) for row in session.connection().exec_driver_sql(asking + statement, parameters))
                for statement, parameters in self.statements
                if statement.lstrip().startswith("SELECT")
            ]


@pytest.fixture
def long_log(store: Store, request: pytest.FixtureRequest) -> Store:
    """Twenty thousand rows: every rare word stands in the first thousand and nowhere later, and the statistics say only how many there are."""
    words = {
        "actor": ("'rare'", "'busy'"), "office": ("'kpu-51.03'", "'kpu-51.71'"), "action": ("'voter:change'", "'voter:reveal'"),
        "outcome": ("'denied'", "'allowed'"), "scope": ("'51.03.01'", "'51.71'"), "mandate": ("'m'", "NULL"),
    }  # fmt: skip
    numbers, at = {
        "sqlite": (
            "RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 19999)",
            "datetime(1790000000 + n, 'unixepoch') || '.000000'",
        ),
        "postgresql": ("s AS (SELECT generate_series(0, 19999) AS n)", "to_timestamp(1790000000 + n)"),
    }[store.dialect]
    columns = ", ".join(f"CASE WHEN n < 1000 THEN {early} ELSE {late} END" for early, late in words.values())
    owner = store if store.dialect == "sqlite" else Store(request.getfixturevalue("postgres").url(store.engine.url.database))
    run(
        owner,
        # PostgreSQL wants WITH before SELECT, SQLite takes it there too.
        f"INSERT INTO trail_entry (log, seq, leaf, body, at, {', '.join(words)}) WITH {numbers} SELECT :log, n, :b, :b, {at}, {columns} FROM s",
        "INSERT INTO touch_index (log, token, seq) SELECT log, :token, seq FROM trail_entry WHERE seq < 1000",
        "INSERT INTO trail_head (log, size, last, frontier, checkpoint, changed_at) VALUES (:log, 20000, :b, :b, '', '2026-11-24 03:00:00')",
        "ANALYZE",
        log=ORIGIN, b=b"x", token=TOKEN,
    )  # fmt: skip
    if owner is not store:
        owner.dispose()
    return store


TOKEN = b"t" * 32
# The clock of the long log: a second an entry.
BEGIN = datetime.fromtimestamp(1790000000, UTC)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (Filter(actor="rare"), "ix_trail_entry_actor"),
        (Filter(office="kpu-51.03"), "ix_trail_entry_office"),
        (Filter(action="voter:change"), "ix_trail_entry_action"),
        (Filter(outcome="denied"), "ix_trail_entry_outcome"),
        (Filter(region="51.03"), "ix_trail_entry_scope"),
        (Filter(mandate="m"), "ix_trail_entry_mandate"),
        (Filter(subject=TOKEN), {"sqlite": "sqlite_autoindex_touch_index_1", "postgresql": "pk_touch_index"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_rare_word_is_found_by_its_own_index(long_log: Store, wanted: Filter, index: str | dict[str, str]) -> None:
    """Also where the database takes it for frequent, and would walk backwards through all that came later."""
    with long_log.reading() as session, Plans(long_log) as plans:
        ways, asked = desk._ways(ORIGIN, wanted, long_log.dialect), desk._conditions(ORIGIN, wanted)
        found = look(session, ORIGIN, ways, asked, Window(-1, 20_000), 5, Reach(cap=2_000, stride=200))

    counting, reading = plans.told()
    assert (found.numbers, found.reached) == ([999, 998, 997, 996, 995], None)
    for plan in (counting, reading):
        assert (index if isinstance(index, str) else index[long_log.dialect]) in plan
        assert not any(word in plan for word in ("SCAN trail_entry", "Seq Scan", "Sort", "TEMP B-TREE", "ix_trail_entry_desk"))


@pytest.mark.parametrize(
    "question", [lambda s, f: desk.entries(s, ORIGIN, f), lambda s, f: desk.hours(s, ORIGIN, f), lambda s, f: desk.by_office(s, ORIGIN, f)]
)
def test_a_period_is_a_stretch_of_numbers(long_log: Store, question: Callable[[Store, Filter], object]) -> None:
    """Its bounds are found by the moment, and what lies outside them is not walked."""
    period = Filter(since=BEGIN + timedelta(hours=3), until=BEGIN + timedelta(hours=3, minutes=1), element=Element.KETERANGAN)

    with Plans(long_log) as plans:
        question(long_log, period)

    lower, upper = plans.told()[:2]
    given = [each.values() if isinstance(each, dict) else each for _, each in plans.statements]
    assert "ix_trail_entry_at" in lower and "ix_trail_entry_at" in upper
    # Three hours in, less two for a clock put back; and two after the end.
    assert any({3599, 18060} <= {one for one in each if isinstance(one, int)} for each in given)  # type: ignore[attr-defined]


def test_who_saw_a_voter_is_asked_of_the_touches_alone(long_log: Store) -> None:
    """Whatever else the log holds: their index first, then rows by number."""
    with Plans(long_log) as plans, pytest.raises(SealBroken):
        seen.touching(long_log, ORIGIN, TOKEN, below=20_000, limit=100)

    first, second = plans.told()
    assert {"sqlite": "sqlite_autoindex_touch_index_1", "postgresql": "pk_touch_index"}[long_log.dialect] in first
    assert "(log=? AND seq=?)" in second or "pk_trail_entry" in second


def test_reports_of_an_officer_are_found_behind_much_else(log: Store) -> None:
    """As many as asked for, newest first, however far back they stand."""
    made = [
        one for one in everything(log)
        if one.members["action"] == Action.TRAIL_EXPORT and one.members["purpose"] == Purpose.PERMINTAAN_SUBJEK and one.members["actor"] == "host:0"
    ]  # fmt: skip

    assert [one.seq for one in seen.reports(log, ORIGIN, "host:0", limit=3)] == [one.seq for one in made][:3] != []


def test_a_voter_who_was_never_loaded_is_none(log: Store) -> None:
    """A touch proves nothing, an entry of a load does, and only in its own kab/kota."""
    assert not seen.was_loaded(log, ORIGIN, BOX.token(uid_of(1)), "51.71")
    uid, at = uid_of(1), NOON + timedelta(days=1)
    made = Draft(
        at=at, actor="host:0", action=Action.VOTER_IMPORT, outcome=Outcome.DONE, scope="51.71", subjects=(1, subjects_root(SALT, [uid]))
    )
    fill(log, [(made, BOX.seal(pack(salt=SALT, subjects=[uid]), [uid], at, ORIGIN))])

    assert seen.was_loaded(log, ORIGIN, BOX.token(uid), "51.71")
    assert not seen.was_loaded(log, ORIGIN, BOX.token(uid), "51.03")
