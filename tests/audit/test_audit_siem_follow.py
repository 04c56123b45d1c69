"""Following the log: batches in order, at least once, never a gap, from one log into the next."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.audit import follow as following
from app.audit.follow import Cursor, Position, Source, follow
from app.audit.note import Signer
from app.audit.siem import Format
from app.audit.siem_entry import Item
from app.audit.siem_link import to_file
from app.audit.siem_read import read
from app.audit.tables import TrailMinimum
from app.kernel.errors import BadInput, SealBroken, Unavailable
from app.store.engine import Store
from tests.conftest import ROOT
from tests.trail_kit import NOON, ORIGIN, draft, fill, mixed, run, trail_on, uid_of

NEXT = "uji.localhost/gardu/2"
BEGIN = Position(ORIGIN, 0)


class Taken:
    """Hands that take records; they refuse as often as *refusals* says, and may do something at each batch."""

    def __init__(self, refusals: int = 0) -> None:
        self.places: list[tuple[str, int]] = []
        self.batches: list[int] = []
        self.refusals = refusals

    def __call__(self, items: Sequence[Item]) -> None:
        self.batches.append(len(items))
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("nobody there")
        self.places += [(item.log, item.seq) for item in items]


def source_of(store: Store, current: str = ORIGIN, said: list[str] | None = None) -> Source:
    told: list[str] = [] if said is None else said
    return Source(store, lambda: current, told.append)


def signer(log: str) -> Signer:
    return Signer(log, hashlib.sha256(b"a signing key for tests").digest())


def fill_next(store: Store, count: int, log: str = NEXT) -> None:
    """Append to the log that follows."""
    trail = trail_on(store, signer=signer(log))
    for number in range(count):
        trail.append(draft(number))
    trail.close()


def fill_at_once(store: Store, count: int) -> None:
    """Append many entries in one transaction."""
    trail = trail_on(store)
    with store.writing() as session:
        for number in range(count):
            trail.append_within(session, draft(number))
    trail.close()


def test_everything_is_handed_over_in_order_and_the_cursor_stands_behind_it(store: Store, tmp_path: Path) -> None:
    """Every entry once; asked again, nothing; after two more, those two."""
    fill(store, mixed(9))
    taken, cursor = Taken(), Cursor(tmp_path / "cursor")

    end, given = follow(source_of(store), cursor, taken, BEGIN, threading.Event())
    again = follow(source_of(store), cursor, taken, end, threading.Event())
    fill(store, mixed(2))
    follow(source_of(store), cursor, taken, cursor.load() or BEGIN, threading.Event())

    assert (given, again[1]) == (9, 0)
    assert taken.places == [(ORIGIN, seq) for seq in range(11)]
    assert cursor.load() == Position(ORIGIN, 11)
    assert (tmp_path / "cursor").read_text() == '{"log":"uji.localhost/gardu/1","seq":11}\n'
    assert [path.name for path in tmp_path.iterdir() if "cursor" in path.name] == ["cursor"]


@pytest.mark.parametrize("form", Format)
def test_no_record_holds_what_a_payload_seals(store: Store, tmp_path: Path, form: Format) -> None:
    """Ids of voters and addresses of clients stand in payloads, and payloads stay."""
    fill(store, mixed(8))

    follow(source_of(store), Cursor(tmp_path / "cursor"), to_file(form, tmp_path / "out"), BEGIN, threading.Event())

    said = (tmp_path / "out").read_text("utf-8")
    assert len(said.splitlines()) == 8
    assert not any(secret in said for secret in ("192.0.2.7", uid_of(1000), uid_of(5000), uid_of(2001)))


def test_batches_have_a_bound(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However far behind a follower is, it holds no more than one batch."""
    monkeypatch.setattr(following, "BATCH", 20)
    fill_at_once(store, 110)
    taken = Taken()

    follow(source_of(store), Cursor(tmp_path / "cursor"), taken, Position(ORIGIN, 3), threading.Event())

    assert taken.batches == [20, 20, 20, 20, 20, 7]
    assert taken.places == [(ORIGIN, seq) for seq in range(3, 110)]


def test_the_cursor_moves_only_after_the_records_are_in_other_hands(store: Store, tmp_path: Path) -> None:
    """Refused once: the cursor stands where it stood, and the same entries come again."""
    fill(store, mixed(4))
    taken, cursor = Taken(refusals=1), Cursor(tmp_path / "cursor")

    with pytest.raises(Unavailable, match="nobody there"):
        follow(source_of(store), cursor, taken, BEGIN, threading.Event())
    assert cursor.load() is None
    follow(source_of(store), cursor, taken, BEGIN, threading.Event())

    assert taken.places == [(ORIGIN, seq) for seq in range(4)]


def test_following_waits_longer_and_longer_and_goes_on(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each refusal is told with the pause before the next try; a success begins anew; the stop ends it."""
    fill(store, mixed(3))
    stop, told, pauses = threading.Event(), list[str](), list[float | None]()

    def wait(timeout: float | None = None) -> bool:
        pauses.append(timeout)
        if len(pauses) == 9:
            stop.set()
        return stop.is_set()

    monkeypatch.setattr(stop, "wait", wait)
    taken = Taken(refusals=8)
    end, given = follow(source_of(store), Cursor(tmp_path / "cursor"), taken, BEGIN, stop, wait=told.append)

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 1]
    assert told[2] == "nobody there; again in 4 s"
    assert (end, given) == (Position(ORIGIN, 3), 3)


def test_what_comes_while_following_is_handed_over(store: Store, tmp_path: Path) -> None:
    """The head is looked at until the stop; what is under way then is finished."""
    fill(store, mixed(2))
    stop, taken, cursor = threading.Event(), Taken(), Cursor(tmp_path / "cursor")
    follower = threading.Thread(target=lambda: follow(source_of(store), cursor, taken, BEGIN, stop, wait=lambda _: None))
    follower.start()

    fill(store, mixed(5))
    for _ in range(100):
        if len(taken.places) == 7:
            break
        threading.Event().wait(0.1)
    stop.set()
    follower.join(10)

    assert not follower.is_alive()
    assert taken.places == [(ORIGIN, seq) for seq in range(7)]
    assert cursor.load() == Position(ORIGIN, 7)


def test_after_the_last_entry_of_an_old_log_comes_the_first_of_the_next(store: Store, tmp_path: Path) -> None:
    """The rest of the old log first, then the new one from 0; a log in between is not passed over."""
    fill(store, mixed(4))
    fill_next(store, 2)
    fill_next(store, 3, "uji.localhost/gardu/4")
    taken, said, cursor = Taken(), list[str](), Cursor(tmp_path / "cursor")

    follow(source_of(store, "uji.localhost/gardu/4", said), cursor, taken, Position(ORIGIN, 2), threading.Event())

    assert taken.places == [(ORIGIN, 2), (ORIGIN, 3), (NEXT, 0), (NEXT, 1), *(("uji.localhost/gardu/4", seq) for seq in range(3))]
    assert cursor.load() == Position("uji.localhost/gardu/4", 3)
    assert said == []


def test_a_log_begun_in_the_database_alone_is_not_followed(store: Store, tmp_path: Path) -> None:
    """Which log is the present one is said by the installation: a row somebody puts in cannot lead a follower away from it."""
    fill(store, mixed(2))
    fill_next(store, 2)
    taken = Taken()

    end, _ = follow(source_of(store), Cursor(tmp_path / "cursor"), taken, BEGIN, threading.Event())

    assert taken.places == [(ORIGIN, 0), (ORIGIN, 1)]
    assert end == Position(ORIGIN, 2)


@pytest.mark.parametrize("kept", [0, 3])
def test_what_of_an_old_log_is_no_longer_there_is_said(store: Store, tmp_path: Path, kept: int) -> None:
    """A restored backup ends before the cursor, or holds nothing of that log: on with the next, and a word about it."""
    if kept:
        fill(store, mixed(kept))
    fill_next(store, 1)
    taken, said = Taken(), list[str]()

    follow(source_of(store, NEXT, said), Cursor(tmp_path / "cursor"), taken, Position(ORIGIN, 9), threading.Event())

    assert taken.places == [(NEXT, 0)]
    assert said == [f"log {ORIGIN} ends at {kept} here, handed over up to 9; going on with {NEXT}"]


def test_a_database_older_than_the_cursor_stops_the_follower(store: Store, tmp_path: Path) -> None:
    """The present log ends before what was handed over: a backup was put back under the same name."""
    fill(store, mixed(3))

    with pytest.raises(SealBroken, match="the database is older than the cursor"):
        follow(source_of(store), Cursor(tmp_path / "cursor"), Taken(), Position(ORIGIN, 4), threading.Event())


@pytest.mark.parametrize("log", ["lain.localhost/gardu/1", "uji.localhost/gardu/9", "nonsense"])
def test_a_cursor_of_another_guard_is_refused(store: Store, tmp_path: Path, log: str) -> None:
    """Also one of a later log than the present one: it never begins again by itself."""
    fill(store, mixed(3))

    with pytest.raises(BadInput, match="does not lead to"):
        follow(source_of(store, NEXT), Cursor(tmp_path / "cursor"), Taken(), Position(log, 0), threading.Event())


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM trail_entry WHERE seq = 2",
        "DELETE FROM trail_entry",
        "UPDATE trail_entry SET leaf = :zero WHERE seq = 2",
        "UPDATE trail_entry SET body = :zero WHERE seq = 2",
        "UPDATE trail_entry SET seq = 7 WHERE seq = 2",
        "UPDATE trail_head SET size = 6",
    ],
)
def test_what_was_tampered_with_is_not_told_and_not_passed_over(store: Store, owner: Store, tmp_path: Path, statement: str) -> None:
    """No gap and no changed entry reaches a SIEM under the log's name; the cursor stays before it."""
    fill(store, mixed(5))
    run(owner, statement, **({"zero": bytes(32)} if ":zero" in statement else {}))
    taken, cursor = Taken(), Cursor(tmp_path / "cursor")

    with pytest.raises(SealBroken, match="gardu audit verify"):
        follow(source_of(store), cursor, taken, BEGIN, threading.Event())

    assert taken.places == []
    assert cursor.load() is None


def test_pruned_entries_are_passed_over_with_a_word(store: Store, owner: Store, tmp_path: Path) -> None:
    """They are gone by two people's decision; the follower begins where the log begins."""
    fill_at_once(store, 300)
    if store.dialect == "postgresql":
        run(owner, "ALTER TABLE trail_minimum DISABLE TRIGGER USER")
    run(owner, "DELETE FROM trail_entry WHERE seq < 256")
    with owner.writing() as session:
        session.add(TrailMinimum(log=ORIGIN, minimum=256, last=bytes(32), frontier=bytes(32), note="", by_seq=299, at=NOON))
    taken, said = Taken(), list[str]()

    follow(source_of(store, said=said), Cursor(tmp_path / "cursor"), taken, Position(ORIGIN, 7), threading.Event())

    assert taken.places == [(ORIGIN, seq) for seq in range(256, 300)]
    assert said == [f"entries 7 to 255 of {ORIGIN} were pruned; going on with 256"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"log":"a"}',
        '{"log":"a","seq":-1}',
        '{"log":"a","seq":true}',
        '{"log":1,"seq":1}',
        '{"log":"a","seq":1,"x":1}',
    ],
)
def test_a_cursor_file_that_holds_no_cursor_is_an_error(tmp_path: Path, text: str) -> None:
    """A torn or foreign file is never taken for the beginning."""
    (tmp_path / "cursor").write_text(text)

    with pytest.raises(BadInput, match="cursor"):
        Cursor(tmp_path / "cursor").load()


def test_killed_between_handing_over_and_the_cursor_repeats_at_most_one_batch(store: Store, tmp_path: Path) -> None:
    """SIGKILL at each step, begun again each time: no entry is missing, and of those repeated none lies outside the batch under way."""
    fill_at_once(store, 130)
    out, kept, url = tmp_path / "out", tmp_path / "kept", store.engine.url.render_as_string(hide_password=False)
    code = "import sys; from tests.audit.siem_kit import stream_and_die; stream_and_die(*sys.argv[1:])"
    call = [sys.executable, "-c", code, url, ORIGIN, str(out), str(kept), "20"]
    ended, stood = [], []

    for point, count in (("given", "2"), ("saved", "1"), ("writing", "2"), ("never", "1")):
        ended.append(subprocess.run([*call, point, count], cwd=ROOT, check=False).returncode)
        stood.append((Cursor(kept).load() or BEGIN).seq)

    lines = out.read_bytes().splitlines()
    whole = [read(line).seq for line in lines if line.startswith(b"{") and line.endswith(b"}")]
    under_way = [set(range(seq, seq + 20)) for seq in stood[:3]]
    assert (ended, stood) == ([-signal.SIGKILL] * 3 + [0], [20, 40, 60, 130])
    assert sorted(set(whole)) == list(range(130))
    assert {seq for seq in whole if whole.count(seq) > 1} <= set().union(*under_way)
    assert len(lines) - len(whole) == 1  # the line that was cut in the middle


def test_a_cursor_that_cannot_be_kept_stops_the_follower(store: Store, tmp_path: Path) -> None:
    """Else everything would be handed over again and again."""
    fill(store, mixed(2))

    with pytest.raises(OSError, match="cursor"):
        follow(source_of(store), Cursor(tmp_path / "no" / "cursor"), Taken(), BEGIN, threading.Event())
