"""Faults under the log: killed processes, a database that is read-only, full, or gone, two processes at once."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import event, text

from app.audit.query import by_request
from app.audit.trail import Receipt
from app.kernel.errors import TrailDown
from app.store.engine import Store
from tests.sampling import sampled
from tests.trail_kit import ORIGIN, check, draft, owner, scalar, touch, trail_on

__all__ = ["owner"]

ROOT = Path(__file__).parent.parent.parent
APPENDER = Path(__file__).with_name("appender.py")
POINTS = ("queued", "locked", "inserted", "signed", "committed", "woken")


def start(database: str, name: str, threads: int, entries: int, *fault: str) -> subprocess.Popen[str]:
    """Start an appending process."""
    command = [sys.executable, str(APPENDER), database, name, str(threads), str(entries), *fault]
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def receipts_of(process: subprocess.Popen[str]) -> dict[str, int]:
    """Wait for a process and return its receipts: request → seq. A last line cut short by the kill is no receipt."""
    out, _ = process.communicate(timeout=120)
    return {request: int(seq) for request, seq in (line.split() for line in out.split("\n")[:-1])}


def assert_each_once(store: Store, receipts: dict[str, int]) -> None:
    """Assert that the log is whole, and that every acknowledged entry stands in it once, where its receipt says."""
    report = check(store)
    assert report.ok, report.first
    for request, seq in receipts.items():
        assert [one.seq for one in by_request(store, ORIGIN, request)] == [seq]


@pytest.mark.parametrize("point", sampled(POINTS, "inserted", "committed"))
@pytest.mark.parametrize("nth", sampled([1, 7], 7))
def test_a_process_killed_anywhere_loses_no_acknowledged_entry(database: str, store: Store, point: str, nth: int) -> None:
    """kill -9 between queue and receipt: what was acknowledged stands once, the log is gapless, and the next process goes on."""
    process = start(database, "a", 8, 200, point, str(nth))

    receipts = receipts_of(process)

    assert process.returncode == -9
    if scalar(store, "SELECT count(*) FROM trail_entry"):
        assert_each_once(store, receipts)
    else:
        assert not receipts
    after = trail_on(store).append(*touch(3))
    assert after.seq == scalar(store, "SELECT count(*) - 1 FROM trail_entry")
    assert check(store).ok


def test_two_processes_share_one_gapless_sequence(database: str, store: Store) -> None:
    """Two processes start a new log together and append a thousand entries each: 2,000 entries, no gap, every receipt true."""
    both = [start(database, name, 16, 1000) for name in ("a", "b")]

    receipts = [receipts_of(process) for process in both]

    assert [process.returncode for process in both] == [0, 0]
    assert sorted([*receipts[0].values(), *receipts[1].values()]) == list(range(2000))
    report = check(store)
    assert (report.ok, report.size) == (True, 2000)
    assert_each_once(store, dict(list(receipts[0].items())[::50] + list(receipts[1].items())[::50]))


def attempt(store: Store, numbers: Sequence[int]) -> tuple[list[Receipt], list[TrailDown]]:
    """Append from a few threads at once; return receipts and refusals."""
    trail = trail_on(store)
    with ThreadPoolExecutor(8) as threads:
        jobs = [threads.submit(trail.append, *touch(number)) for number in numbers]
    trail.close()
    failed = [job.exception() for job in jobs if job.exception()]
    assert all(isinstance(one, TrailDown) for one in failed), failed
    return [job.result() for job in jobs if not job.exception()], [one for one in failed if isinstance(one, TrailDown)]


@pytest.fixture
def file_store(store: Store) -> Store:
    """The store, when it is a SQLite file."""
    if store.dialect != "sqlite":
        pytest.skip("a fault of a file")
    return store


def test_a_read_only_database_refuses_and_recovers(file_store: Store) -> None:
    """While SQLite says read-only every caller gets TrailDown; once it is writable again, appending goes on."""
    locked = [False]

    @event.listens_for(file_store.engine, "checkout")
    def toggle(connection: object, *_rest: object) -> None:
        connection.execute(f"PRAGMA query_only = {int(locked[0])}")  # type: ignore[attr-defined]

    assert len(attempt(file_store, range(3))[0]) == 3
    locked[0] = True
    receipts, refused = attempt(file_store, range(20))
    locked[0] = False

    assert (receipts, len(refused)) == ([], 20)
    assert "readonly" in refused[0].detail
    assert sorted(one.seq for one in attempt(file_store, range(5))[0]) == [3, 4, 5, 6, 7]
    assert check(file_store).size == 8


def test_a_database_file_opened_read_only_refuses(file_store: Store) -> None:
    """A process that may only read the file cannot append, and says so."""
    trail_on(file_store).append(draft(0))
    reader = Store(f"sqlite:///file:{file_store.engine.url.database}?mode=ro&uri=true")

    with pytest.raises(TrailDown, match="readonly"):
        trail_on(reader).append(draft(1))

    reader.dispose()
    assert check(file_store).size == 1


def test_a_full_database_refuses_and_recovers(file_store: Store) -> None:
    """When no page can be added, whole batches are refused and none is half written; with room again, appending goes on."""
    trail_on(file_store).append(draft(0))
    pages = int(str(scalar(file_store, "PRAGMA page_count")))
    limit = [pages + 3]

    @event.listens_for(file_store.engine, "checkout")
    def cap(connection: object, *_rest: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {limit[0]}")  # type: ignore[attr-defined]

    kept, refused = attempt(file_store, range(60))
    limit[0] = 1_000_000

    assert refused and all("full" in one.detail for one in refused)
    assert check(file_store).size == 1 + len(kept)
    assert trail_on(file_store).append(draft(1)).seq == 1 + len(kept)


def test_a_disk_that_stops_writing_refuses_and_recovers(file_store: Store) -> None:
    """When the operating system refuses to let the file grow, callers get TrailDown; afterwards the log is whole and goes on."""
    trail_on(file_store).append(draft(0))
    size = max(one.stat().st_size for one in Path(str(file_store.engine.url.database)).parent.glob("gardu.db*"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40_000, hard))  # Python ignores SIGXFSZ: write(2) fails instead
    try:
        kept, refused = attempt(file_store, range(200))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert refused
    assert check(file_store).size >= 1 + len(kept)
    stands = int(str(scalar(file_store, "SELECT count(*) FROM trail_entry")))
    assert trail_on(file_store).append(draft(1)).seq == stands
    for receipt in kept:
        assert trail_on(file_store).holds(receipt)


def test_connections_cut_while_appending_lose_no_acknowledged_entry(store: Store, owner: Store) -> None:
    """Backends terminated again and again: callers get a receipt that is true, or TrailDown; the log stays whole and recovers."""
    if store.dialect != "postgresql":
        pytest.skip("a fault of a server")
    stop = threading.Event()

    def cut() -> None:
        while not stop.wait(0.02):
            with owner.reading() as session:
                session.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )

    cutter = threading.Thread(target=cut)
    cutter.start()
    kept, refused = attempt(store, range(300))
    stop.set()
    cutter.join()

    assert refused
    report = check(store) if scalar(store, "SELECT count(*) FROM trail_entry") else None
    assert report is None or report.ok
    for receipt in kept:
        assert trail_on(store).holds(receipt)
    assert len(attempt(store, range(5))[0]) == 5
    assert check(store).ok


def test_a_lock_that_is_held_elsewhere_only_delays(store: Store) -> None:
    """A writer that holds the database for a moment makes appends wait, not fail."""
    trail = trail_on(store)
    trail.append(draft(0))
    with ThreadPoolExecutor(4) as threads:
        with store.writing() as session:
            session.execute(text("UPDATE trail_head SET size = size WHERE size < 0"))
            trail_on(store).append_within(session, draft(1))
            jobs = [threads.submit(trail.append, *touch(number)) for number in range(4)]
            threading.Event().wait(0.2)
            assert not any(job.done() for job in jobs)
        assert sorted(job.result().seq for job in jobs) == [2, 3, 4, 5]
    assert check(store).ok
