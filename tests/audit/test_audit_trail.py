"""Appending: order, receipts, group commit, and what happens when something does not fit."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from sqlalchemy import text

from app.audit.entry import parse
from app.audit.note import Signer, open_note, parse_checkpoint
from app.audit.query import entry_at, head
from app.audit.trail import MAX_BATCH, Receipt, Trail
from app.audit.tree import leaf_hash
from app.kernel.errors import NotThere, TrailDown, UnsafeStart
from app.store.engine import Store
from tests.trail_kit import ORIGIN, SIGNER, check, draft, fill, mixed, scalar, touch, trail_on


def count(store: Store, table: str = "trail_entry") -> object:
    return scalar(store, f"SELECT count(*) FROM {table}")


def test_a_receipt_names_the_entry_and_a_signed_checkpoint_over_it(store: Store) -> None:
    """What append returns can be checked: the entry is there, its leaf is of its bytes, the checkpoint is signed and covers it."""
    trail = trail_on(store)

    receipt = trail.append(*touch(1))

    stored = entry_at(store, ORIGIN, receipt.seq)
    mark = parse_checkpoint(open_note(receipt.checkpoint, [SIGNER.verifier]).text)
    assert (receipt.log, receipt.seq, receipt.leaf) == (ORIGIN, 0, leaf_hash(stored.body))
    assert (mark.origin, mark.size, mark.root) == (ORIGIN, 1, receipt.leaf)
    assert head(store, ORIGIN).checkpoint == receipt.checkpoint
    assert check(store).ok


def test_entries_of_every_kind_make_a_log_that_verifies(store: Store) -> None:
    """With and without payload, with no, one and several subjects: numbered in order, and whole."""
    fill(store, mixed(12))

    report = check(store)

    assert (report.ok, report.size) == (True, 12)
    assert [parse(entry_at(store, ORIGIN, seq).body)["seq"] for seq in range(12)] == list(range(12))
    assert (count(store, "trail_payload"), count(store, "touch_index")) == (9, 12)


def test_sixty_four_threads_get_sixty_four_places(store: Store) -> None:
    """Callers from many threads each get their own entry and receipt; nothing is lost, doubled or skipped."""
    trail = trail_on(store)

    with ThreadPoolExecutor(64) as threads:
        receipts = list(threads.map(lambda number: (number, trail.append(*touch(number))), range(640)))
    trail.close()

    assert sorted(receipt.seq for _, receipt in receipts) == list(range(640))
    for number, receipt in receipts[::37]:
        made, _ = touch(number)
        assert entry_at(store, ORIGIN, receipt.seq).members["at"].startswith(f"{made.at:%Y-%m-%dT%H:%M:%S}")
    assert check(store).ok


def test_callers_that_wait_together_share_one_commit(store: Store) -> None:
    """What waits while the head is locked is taken in one batch, with one checkpoint for all."""
    held, gate = threading.Event(), threading.Event()

    def hold(point: str) -> None:
        if point == "locked" and not held.is_set():
            held.set()
            gate.wait(10)

    trail = trail_on(store, faults=hold)
    with ThreadPoolExecutor(21) as threads:
        first = threads.submit(trail.append, draft(0))
        held.wait(10)
        rest = [threads.submit(trail.append, draft(number)) for number in range(1, 21)]
        while len(trail._desk.waiting) < 20:
            threading.Event().wait(0.001)
        gate.set()
        receipts = [one.result() for one in (first, *rest)]

    assert count(store, "trail_checkpoint") == 2
    assert len({receipt.checkpoint for receipt in receipts}) == 2
    assert check(store).ok


def test_a_batch_is_bounded(store: Store) -> None:
    """More callers than one transaction takes are served by several."""
    held, gate = threading.Event(), threading.Event()

    def hold(point: str) -> None:
        if point == "locked" and not held.is_set():
            held.set()
            gate.wait(20)

    trail = trail_on(store, faults=hold)
    with ThreadPoolExecutor(MAX_BATCH + 40) as threads:
        jobs = [threads.submit(trail.append, draft(0))]
        held.wait(10)
        jobs += [threads.submit(trail.append, draft(number)) for number in range(1, MAX_BATCH + 40)]
        while len(trail._desk.waiting) < MAX_BATCH + 39:
            threading.Event().wait(0.001)
        gate.set()
        assert sorted(job.result().seq for job in jobs) == list(range(MAX_BATCH + 40))

    sizes = [0]
    with store.reading() as session:
        sizes += session.execute(text("SELECT size FROM trail_checkpoint ORDER BY size")).scalars().all()
    assert max(after - before for before, after in pairwise(sizes)) <= MAX_BATCH


def test_one_entry_that_cannot_be_written_fails_alone(store: Store) -> None:
    """Of callers that wait together only the one with an impossible entry gets an error."""
    trail = trail_on(store)

    with ThreadPoolExecutor(8) as threads:
        jobs = [threads.submit(trail.append, draft(number, office="dua kata" if number == 3 else None)) for number in range(8)]
        failed = [number for number, job in enumerate(jobs) if job.exception()]

    assert failed == [3]
    assert isinstance(jobs[3].exception(), TrailDown)
    assert "office" in str(jobs[3].exception()) and "dua kata" not in str(jobs[3].exception())
    assert check(store).size == 7


def test_a_change_and_its_entry_are_committed_together(store: Store) -> None:
    """append_within puts the entry into the caller's transaction; the receipt holds after its commit."""
    trail = trail_on(store)
    trail.append(draft(0))

    with store.writing() as session:
        session.execute(text("INSERT INTO election (id, voting_day) VALUES ('2029', '2029-02-14')"))
        receipt = trail.append_within(session, *touch(1))

    assert receipt.seq == 1
    assert trail.holds(receipt)
    assert trail.append(draft(2)).seq == 2
    assert (count(store, "election"), check(store).ok) == (1, True)


def test_many_may_come_first(store: Store) -> None:
    """When the first entries of a new log come from many transactions at once, none is refused."""
    trail, start = trail_on(store), threading.Barrier(12)

    def change(number: int) -> int:
        start.wait()
        with store.writing() as session:
            return trail.append_within(session, *touch(number)).seq

    with ThreadPoolExecutor(12) as threads:
        assert sorted(threads.map(change, range(12))) == list(range(12))
    assert check(store).ok


def test_a_change_that_fails_leaves_no_entry(store: Store) -> None:
    """When the caller's transaction is rolled back, so is its entry; the next entry takes its place."""
    trail = trail_on(store)

    with pytest.raises(RuntimeError), store.writing() as session:
        lost = trail.append_within(session, draft(0))
        raise RuntimeError

    assert not trail.holds(lost)
    assert trail.append(draft(1)).seq == 0
    assert check(store).size == 1


def test_a_change_without_its_entry_cannot_be_committed(store: Store) -> None:
    """When the entry cannot be written, the change is gone, even if the caller swallows the error and commits."""

    def full(point: str) -> None:
        if point == "inserted":
            raise OSError("no space")

    trail = trail_on(store, faults=full)

    with store.writing() as session:
        session.execute(text("INSERT INTO election (id, voting_day) VALUES ('2029', '2029-02-14')"))
        with pytest.raises(TrailDown):
            trail.append_within(session, draft(0))

    assert (count(store, "election"), count(store)) == (0, 0)


def test_an_unwritable_entry_refuses_the_change_too(store: Store) -> None:
    """A malformed entry inside a change is TrailDown."""
    trail = trail_on(store)

    with pytest.raises(TrailDown), store.writing() as session:
        trail.append_within(session, draft(0, actor=""))

    assert count(store) == 0


@pytest.mark.parametrize("point", ["locked", "inserted", "signed"])
def test_a_failure_before_the_commit_leaves_nothing_and_the_next_append_works(store: Store, point: str) -> None:
    """Whatever fails in the transaction, its callers get TrailDown, nothing of it stays, and appending goes on."""
    broken = [True]

    def fail(at: str) -> None:
        if at == point and broken:
            broken.clear()
            raise OSError("gone")

    trail = trail_on(store, faults=fail)

    with pytest.raises(TrailDown, match="gone"):
        trail.append(*touch(0))

    assert (count(store), count(store, "trail_payload"), count(store, "trail_checkpoint")) == (0, 0, 0)
    assert trail.append(*touch(1)).seq == 0
    assert check(store).ok


def test_a_commit_of_unknown_outcome_is_looked_up(store: Store) -> None:
    """When the answer to COMMIT is lost but the entries stand, the callers get their receipts, once."""
    lost = [True]

    def lose(at: str) -> None:
        if at == "committed" and lost:
            lost.clear()
            raise ConnectionError("answer lost")

    trail = trail_on(store, faults=lose)

    receipt = trail.append(*touch(0))

    assert (receipt.seq, count(store)) == (0, 1)
    assert trail.append(draft(1)).seq == 1
    assert check(store).ok


def test_a_commit_that_did_not_happen_is_trail_down(store: Store) -> None:
    """When the outcome of COMMIT is unknown and the entries do not stand, nobody gets a receipt."""
    trail = trail_on(store)
    unstable = _LosesCommit(trail, store)

    with pytest.raises(TrailDown, match="commit lost"):
        unstable.append_one()

    assert count(store) == 0
    assert trail.append(draft(1)).seq == 0


class _LosesCommit:
    """Appends through a store whose next commit is rolled back and then reported as an error."""

    def __init__(self, trail: Trail, store: Store) -> None:
        from sqlalchemy import event

        self._trail = trail
        armed = [True]

        @event.listens_for(store.engine, "commit")
        def lose(connection: object) -> None:
            if armed:
                armed.clear()
                connection.connection.rollback()  # type: ignore[attr-defined]
                raise ConnectionError("commit lost")

    def append_one(self) -> Receipt:
        return self._trail.append(draft(0))


def test_an_edited_head_row_is_not_extended(store: Store, owner: Store) -> None:
    """Whoever changes the head row without the key stops the log, instead of making it sign a contradiction."""
    fill(store, mixed(5))
    with owner.writing() as session:
        session.execute(text("UPDATE trail_head SET last = :last"), {"last": bytes(32)})

    for _ in range(2):
        with pytest.raises(TrailDown, match="run gardu audit verify"):
            trail_on(store).append(draft(9))

    assert count(store) == 5


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trail_head SET size = size + 1",
        "UPDATE trail_head SET frontier = last",
        "UPDATE trail_head SET checkpoint = 'x'",
        "UPDATE trail_head SET size = 0, frontier = '', last = ''",
        "DELETE FROM trail_head",
    ],
)
def test_a_head_that_contradicts_the_entries_stops_the_log(store: Store, owner: Store, statement: str) -> None:
    """A head row that was moved, emptied or removed is TrailDown, not a second beginning."""
    fill(store, mixed(5))
    with owner.writing() as session:
        session.execute(text(statement))

    with pytest.raises(TrailDown):
        trail_on(store).append(draft(9))

    assert count(store) == 5


def test_a_closed_trail_appends_no_more(store: Store) -> None:
    """close finishes what waits; afterwards an append is TrailDown."""
    trail = trail_on(store)
    trail.append(draft(0))

    trail.close()

    with pytest.raises(TrailDown, match="closed"):
        trail.append(draft(1))
    assert count(store) == 1


def test_a_trail_goes_on_where_the_last_process_stopped(store: Store) -> None:
    """A new process checks the head it finds and continues it."""
    fill(store, mixed(3))

    receipt = trail_on(store).append(draft(3))

    assert receipt.seq == 3
    assert check(store, known=[receipt.checkpoint]).ok


def test_the_signer_must_be_named_after_the_log(store: Store) -> None:
    """A trail refuses to start with a key of another name, or an origin that no checkpoint could carry."""
    for origin, name in ((ORIGIN, "lain/gardu/1"), ("dua kata", "x"), ("a+b", "x")):
        with pytest.raises(UnsafeStart):
            Trail(store, origin, Signer(name, bytes(32)))


def test_two_logs_in_one_database_do_not_mix(store: Store) -> None:
    """Each origin has its own numbers, chain and head."""
    other = Signer("uji.localhost/gardu/2", bytes(range(32)))

    assert trail_on(store).append(draft(0)).seq == 0
    assert trail_on(store, signer=other).append(draft(0)).seq == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_before_and_after_the_first_append_is_safe(store: Store) -> None:
    """A child process appends through the same object with its own thread and connections; the parent goes on."""
    trail = trail_on(store)
    trail.append(draft(0))
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if trail.append(draft(1)).seq == 1 else 1)
        finally:
            os._exit(2)

    assert os.waitpid(child, 0)[1] == 0
    assert trail.append(draft(2)).seq == 2
    assert check(store).ok


def test_nothing_waits_for_a_log_that_has_no_entry(store: Store) -> None:
    """Verifying or reading a log without entries says that there is nothing."""
    with pytest.raises(NotThere):
        check(store)
    with pytest.raises(NotThere):
        head(store, ORIGIN)
