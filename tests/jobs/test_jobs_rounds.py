"""Recurring work: it comes round, one process at a time, and an error does not end it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from app.jobs.desk import Jobs
from app.kernel.errors import SealBroken
from app.store.engine import Store
from tests.conftest import FakeClock


def wait_for(event: threading.Event) -> None:
    """Wait for something that must happen within ten seconds."""
    assert event.wait(10)


def test_work_comes_round_again_though_it_failed(store: Store, tmp_path: Path) -> None:
    """The first turn raises; there is a second and a third."""
    jobs, turns, third = Jobs(store, FakeClock(), tmp_path / "jobs.db"), [], threading.Event()

    def turn() -> None:
        turns.append(threading.current_thread().name)
        if len(turns) == 3:
            third.set()
        if len(turns) == 1:
            raise SealBroken("the first one fails")

    jobs.every(0.05, "test", turn)
    jobs.work()
    wait_for(third)
    jobs.stop()

    assert len(turns) >= 3


def test_two_processes_do_not_take_turns_at_once(store: Store, tmp_path: Path) -> None:
    """Two desks over one queue, as two server processes have: never two turns at the same moment."""
    inside, most, done = [0], [0], threading.Event()
    guard = threading.Lock()

    def turn() -> None:
        with guard:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        time.sleep(0.05)
        with guard:
            inside[0] -= 1
            turn.count += 1  # type: ignore[attr-defined]  # counted on the function itself
            if turn.count == 6:  # type: ignore[attr-defined]
                done.set()

    turn.count = 0  # type: ignore[attr-defined]
    desks = [Jobs(store, FakeClock(), tmp_path / "jobs.db") for _ in range(2)]
    for desk in desks:
        desk.every(0.02, "test", turn)
    for desk in desks:
        desk.work()
    wait_for(done)
    for desk in desks:
        desk.stop()

    assert most == [1]


def test_a_lock_left_by_a_killed_process_does_not_stop_the_work(store: Store, tmp_path: Path) -> None:
    """Whoever registers the work anew clears it."""
    dead = Jobs(store, FakeClock(), tmp_path / "jobs.db")
    dead.every(60, "test", lambda: None)
    dead._turns.lock_task("gardu-test").acquire()
    came = threading.Event()
    jobs = Jobs(store, FakeClock(), tmp_path / "jobs.db")

    jobs.every(0.05, "test", came.set)
    jobs.work()
    wait_for(came)
    jobs.stop()


def test_a_queue_that_nobody_works_off_does_not_grow(store: Store, tmp_path: Path) -> None:
    """A server without embedded work asks for nothing; a few turns wait at most."""
    jobs = Jobs(store, FakeClock(), tmp_path / "jobs.db")
    slow = threading.Event()
    jobs.every(0.01, "test", lambda: wait_for(slow))
    jobs.work()
    time.sleep(0.6)
    waiting = jobs._turns.pending_count()
    slow.set()
    jobs.stop()

    assert waiting <= 8
