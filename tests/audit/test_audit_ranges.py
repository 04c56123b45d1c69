"""Verifying in ranges by several processes: the same report as one walk, over one snapshot, whatever becomes of the processes."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import text

from app.audit import crew, ranges
from app.audit import verify as verifying
from app.audit.crew import processes
from app.audit.note import Signer
from app.audit.published import RESUME, Halt, halt, lift_within
from app.audit.ranges import Claims, cuts
from app.audit.report import Report
from app.audit.tiles import store_tiles
from app.audit.trail import Trail
from app.audit.tree import Frontier, leaf_hash, root_of
from app.audit.verify import MAX_FINDINGS, StoredPayload, verify
from app.factory import House
from app.kernel.errors import BadInput, KeysDown
from app.kernel.fields import Action, Outcome
from app.store.engine import Store
from tests.audit.retention_kit import erase_on, guarded_owner, prune_on
from tests.faults.ranges_kit import SIZE, demand_the_same, lengthen, publish, rich
from tests.sampling import sampled
from tests.trail_kit import BOX, NOON, ORIGIN, SIGNER, draft

__all__ = ["guarded_owner"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there are no other processes")


def together(store: Store, progress: Callable[[int, int], None] = lambda done, total: None, **given: object) -> Report:
    """Verify with two processes, with the stand-in's keys unless others are given."""
    keys = {"open_payload": BOX.open, "token": BOX.token, "workers": 2, "width": 256, **given}
    return verify(store, ORIGIN, SIGNER.vkey, progress=progress, **keys)  # type: ignore[arg-type]  # of several types


def left() -> list[int]:
    """Return the verifying processes there are."""
    return [child.pid or 0 for child in multiprocessing.active_children() if child.name == "gardu-verifier"]


def past_guards(owner: Store, statement: str) -> None:
    """Run SQL as the database's owner, triggers off."""
    with owner.writing() as session:
        if owner.dialect == "postgresql":
            session.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            for name in session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
                session.execute(text(f"DROP TRIGGER {name}"))
        session.execute(text(statement))


# ---- where a log is cut ----


@pytest.mark.parametrize("start", [0, 256, 65_536, 70_144])
@pytest.mark.parametrize("size", [70_145, 70_400, 131_072, 131_073, 1_000_000, 10_000_000])
@pytest.mark.parametrize("count", [1, 2, 64])
def test_a_log_is_cut_into_ranges_and_a_short_rest(start: int, size: int, count: int) -> None:
    """Borders ascend, at multiples of the width; what is left for the parent is never empty and at most one tile."""
    borders = cuts(start, size, 65_536, count)

    assert borders[0] == start and borders == sorted(set(borders))
    assert 1 <= size - borders[-1] <= 256 or len(borders) == 1
    assert all(border % 65_536 == 0 for border in borders[1:-1]) and borders[-1] % 256 == 0
    assert len(borders) <= ranges.EACH * count + 2


@pytest.mark.parametrize("size", [0, 1, 256])
def test_a_log_of_one_tile_is_not_cut(size: int) -> None:
    """There is nothing to do side by side."""
    assert cuts(0, size, 256, 2) == [0]


def test_claims_add_up_to_the_tree() -> None:
    """Whatever the subtrees are handed over as, the seam's tree is that of the leaves."""
    leaves = [leaf_hash(number.to_bytes(4, "big")) for number in range(3 * 256)]
    tiles = [root_of(leaves[at : at + 256]) for at in range(0, len(leaves), 256)]
    claims, tree = Claims(0), Frontier()
    for leaf in leaves:
        tree.append(leaf)

    claims.add([(1, one) for one in tiles])
    assert (claims.at, claims.seam(b"").tree().hashes) == (768, tree.hashes)

    claims.add([(1, tiles[0])] * 253)
    assert claims.filling[1] == [] and len(claims.filling[2]) == 1
    claims.add([(2, tiles[0])] * 255)
    assert claims.at == 1 << 24 and [len(one) for one in claims.filling] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert claims.seam(b"").tree().size == 1 << 24


# ---- the same report ----


def test_a_log_with_everything_is_sound_both_ways(store: Store) -> None:
    """Payloads, tokens, tiles, published checkpoints, cosignatures, stamps, payloads erased in other ranges; with and without keys."""
    rich(store)

    assert demand_the_same(store).size == SIZE
    assert demand_the_same(store, keys=False).ok


@pytest.mark.parametrize("minimum", sampled([256, 512, 768], 512))
def test_a_pruned_log_is_sound_both_ways(store: Store, guarded_owner: Store, minimum: int) -> None:
    """It begins at its minimum, at a border or at the last; a second pruning speaks of the first."""
    rich(store)
    prune_on(store, guarded_owner, 256)
    if minimum > 256:
        prune_on(store, guarded_owner, minimum)

    for size in (1_300, 1_800):
        lengthen(store, size)
        publish(store)
        report = demand_the_same(store)
        assert (report.ok, report.minimum) == (True, minimum)


def test_logs_before_and_after_a_restore_are_sound_both_ways(store: Store) -> None:
    """The old log stands beside the new one, which begins with the entry that says so."""
    rich(store)
    signer = Signer(ORIGIN[:-1] + "2", bytes(range(32)))
    trail = Trail(store, signer.name, signer)
    reopened = draft(0, action=Action.TRAIL_REOPEN, outcome=Outcome.DONE)
    with store.writing() as session:
        trail._write(session, [trail._row(one, None) for one in (reopened, *map(draft, range(1, 600)))])

    assert demand_the_same(store).ok
    report = verify(store, signer.name, signer.vkey, workers=2, width=256)
    assert (report.ok, report.size, report.processes) == (True, 600, 2)


def test_entries_from_before_the_elements_were_counted_are_sound(store: Store, guarded_owner: Store) -> None:
    """Columns that were not there yet hold nothing, up to some entry, also when that is in another range."""
    rich(store)
    past_guards(guarded_owner, "UPDATE trail_entry SET elements = NULL WHERE seq < 300")

    assert demand_the_same(store).ok


def test_a_halt_that_was_lifted_in_an_earlier_range_is_lifted(store: Store) -> None:
    """The entry that speaks of it stands in one range, and the end of the log is in another."""
    lengthen(store, 200)
    halt(store, ORIGIN, Halt(9999, "uji", "", NOON))
    with store.writing() as session:
        lift_within(session, ORIGIN, Halt(9999, "uji", "", NOON + timedelta(seconds=1)))
        resumed = draft(200, action=Action.WITNESS_CHANGE, outcome=Outcome.DONE, detail=(RESUME, sha256(b"uji").digest()))
        Trail(store, ORIGIN, SIGNER).append_within(session, resumed)
    lengthen(store, SIZE)

    assert demand_the_same(store).ok


@pytest.mark.slow
@pytest.mark.parametrize("tiles", [True, False])
def test_borders_within_a_tile_of_the_second_level_are_no_borders_of_its_tree(store: Store, guarded_owner: Store, tiles: bool) -> None:
    """70,000 entries in ranges of some thousands: tiles of 65,536 entries are filled by many ranges, and compared by the last of them."""
    lengthen(store, 70_000, step=2_000)
    if tiles:
        assert store_tiles(store, ORIGIN, 70_000) == 274
    assert demand_the_same(store).ok
    if not tiles:
        return
    past_guards(guarded_owner, "UPDATE trail_tile SET root = (SELECT root FROM trail_tile WHERE level = 0 AND number = 7) WHERE level = 1")
    assert not demand_the_same(store).ok


# ---- one snapshot ----


def test_what_is_changed_meanwhile_is_left_for_next_time(store: Store, guarded_owner: Store) -> None:
    """Appending, erasing, publishing and pruning between two ranges: every process sees the log as the parent saw it."""
    rich(store)
    acts = iter(
        [
            lambda: lengthen(store, SIZE + 400),
            lambda: erase_on(store, 511, 770),
            lambda: publish(store),
            lambda: prune_on(store, guarded_owner, 512),
        ]
    )

    def meanwhile(_done: int, _total: int) -> None:
        next(acts, lambda: None)()

    report = together(store, meanwhile)

    assert (report.ok, report.size, report.minimum, report.processes) == (True, SIZE, 0, 2)
    assert next(acts, None) is None
    assert demand_the_same(store).minimum == 512


def test_progress_goes_forward_and_ends_at_the_end(store: Store) -> None:
    """Also when the walk begins anew."""
    rich(store)
    for key in (SIGNER.vkey, Signer(ORIGIN, bytes(range(32))).vkey):
        told: list[tuple[int, int]] = []
        verify(store, ORIGIN, key, workers=2, width=256, progress=lambda *at, told=told: told.append(at))
        assert told == sorted(told) and told[-1] == (SIZE, SIZE)


# ---- whatever becomes of the processes ----


def test_a_worker_that_is_killed_leaves_the_work_to_the_one_walk(store: Store) -> None:
    """The report is that of one process, and nobody is left."""
    rich(store)
    killed: list[int] = []

    def kill(_done: int, _total: int) -> None:
        for child in left():
            os.kill(child, signal.SIGKILL)
            killed.append(child)

    report = together(store, kill)

    assert killed and (report.ok, report.size, report.processes) == (True, SIZE, 1)
    assert left() == []


@pytest.mark.parametrize("hangs", ["at once", "at work"])
def test_a_worker_that_hangs_leaves_the_work_to_the_one_walk(store: Store, monkeypatch: pytest.MonkeyPatch, hangs: str) -> None:
    """A lock that it took over, say: it is ended."""
    rich(store)
    here = os.getpid()

    def slow(stored: StoredPayload) -> bytes:
        if os.getpid() != here:
            time.sleep(60)
        return BOX.open(stored)

    if hangs == "at once":
        monkeypatch.setattr(crew, "READY_SECONDS", 0.3)
        monkeypatch.setattr(crew, "_serve", lambda *_: time.sleep(60))
    else:
        monkeypatch.setattr(crew, "SILENT_SECONDS", 0.3)

    report = together(store, open_payload=slow)

    assert (report.ok, report.processes, left()) == (True, 1, [])


def test_a_failure_in_a_worker_alone_is_no_verdict(store: Store) -> None:
    """What cannot be done there is done here."""
    rich(store)
    here = os.getpid()

    def fails(stored: StoredPayload) -> bytes:
        if os.getpid() != here:
            raise RuntimeError("only there")
        return BOX.open(stored)

    report = together(store, open_payload=fails)

    assert (report.ok, report.processes, left()) == (True, 1, [])


def test_keys_that_cannot_be_had_are_said_as_such(store: Store) -> None:
    """The walk here meets the same error and raises it."""
    rich(store)

    def down(_stored: StoredPayload) -> bytes:
        raise KeysDown("the provider is away")

    with pytest.raises(KeysDown, match="away"):
        together(store, open_payload=down)
    assert left() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_whoever_stops_it_leaves_no_worker_behind(store: Store, error: type[BaseException]) -> None:
    """Ctrl-C, or a job that is cut off."""
    rich(store)

    def stop(_done: int, _total: int) -> None:
        raise error

    with pytest.raises(error):
        together(store, stop)
    assert left() == []
    lengthen(store, SIZE + 1)  # the store is free for others


def test_a_killed_parent_takes_its_workers_along(store: Store) -> None:
    """kill -9: the workers hold keys, and end too."""
    rich(store)
    fork = multiprocessing.get_context("fork")
    near, far = fork.Pipe()
    here = os.getpid()

    def parent() -> None:
        near.close()
        together(store, lambda done, total: (far.send(len(left())), signal.pause()))

    process = fork.Process(target=parent)
    process.start()
    far.close()
    assert os.getpid() == here and near.recv() == 2 and process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()

    # The workers hold the other end of this line too: it is gone when they are.
    assert near.poll(10)
    with pytest.raises(EOFError):
        near.recv()


def test_two_ways_that_disagree_are_not_called_sound(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the ranges notice what the one walk does not, nobody says that the log is whole."""
    rich(store)
    monkeypatch.setattr(verifying, "_in_ranges", lambda *_: None)

    report = together(store)

    assert [one.what for one in report.findings] == [verifying._DISAGREE] and left() == []


# ---- how many ----


def test_nonsense_is_refused(store: Store) -> None:
    """Less than one process, or a width that cuts a tile."""
    for workers in (0, -1):
        with pytest.raises(BadInput, match="workers"):
            together(store, workers=workers)
    for width in (0, 255, 300):
        with pytest.raises(ValueError, match="multiple of 256"):
            together(store, width=width)


def test_a_thread_of_a_server_forks_nothing_by_itself(store: Store) -> None:
    """A fork there may inherit locks that nobody gives back; a short log is walked alone anywhere."""
    rich(store)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(processes()))
    thread.start()
    thread.join()

    assert found == [1] and 1 <= processes() <= crew.MOST
    assert together(store, workers=None).processes == 1
    lengthen(store, 1_100)
    assert together(store, workers=None).processes == processes()
    assert together(store, workers=None, width=65_536).processes == 1
    assert together(store, workers=9).processes == 4


# ---- real keys ----


def test_workers_open_keys_over_connections_of_their_own(house: House) -> None:
    """Keys that nobody has opened yet are fetched and opened in each worker; the parent's connections go on as before."""
    guard, at = house.guard, NOON + timedelta(days=1)
    trail = guard.trail
    with house.store.reading() as session:
        size = int(session.execute(text("SELECT size FROM trail_head")).scalar_one())
    with house.store.writing() as session:
        trail._write(session, [trail._row(draft(number, at=at), None) for number in range(size, 700)])

    def open_payload(box: StoredPayload) -> bytes:
        return guard.payloads.open(box.sealed, box.wrapped, box.day, guard.log, box.commitment)

    guard.keys.forget()
    for workers in (2, 1):
        report = verify(
            house.store, guard.log, trail.vkey, open_payload=open_payload, token=guard.payloads.token, workers=workers, width=256
        )
        assert (report.first, report.size, report.processes) == (None, 700, workers)
    trail.append(draft(700, at=at))


def test_a_forked_process_leaves_its_parents_connections_alone(store: Store, tmp_path: Path) -> None:
    """It makes its own; two that talk over one would each hear the other's answers."""
    question = "SELECT pg_backend_pid()" if store.dialect == "postgresql" else "SELECT 1"
    with store.reading() as session:
        mine = session.execute(text(question)).scalar_one()
    answer = tmp_path / "answer"

    def child() -> None:
        with store.reading() as session:
            answer.write_text(str(session.execute(text(question)).scalar_one()))
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()

    assert answer.exists()
    if store.dialect == "postgresql":
        assert answer.read_text() != str(mine)
    with store.reading() as session:
        assert session.execute(text(question)).scalar_one() == mine


@pytest.mark.parametrize("workers", [1, 2])
def test_a_walk_that_stops_early_leaves_the_store_free(store: Store, guarded_owner: Store, workers: int) -> None:
    """More than enough was found, rows are still to be read: the next user of the connection can write all the same."""
    rich(store)
    lengthen(store, 5_000, step=500)
    past_guards(guarded_owner, "UPDATE trail_entry SET actor = 'x' WHERE seq < 90")

    gc.disable()  # what is forgotten may not be tidied up for a long time
    try:
        report = together(store, workers=workers)
        for size in range(5_001, 5_006):  # the pool hands out each of its connections in turn
            lengthen(store, size)
    finally:
        gc.enable()

    assert len(report.findings) == MAX_FINDINGS
