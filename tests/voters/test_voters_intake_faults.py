"""What befalls a load at work: a sealing process killed, a full disk, a database that goes away. Nothing half-done, nothing lost."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event

from app.cli.shell import host_actor
from app.factory import House
from app.kernel.errors import BadInput, StoreDown, TrailDown
from app.store.engine import Store
from app.voters import dp4
from tests.conftest import ELECTION, KAB, dp4_row, load_dp4, write_dp4
from tests.voters.intake_kit import count
from tests.walk_kit import guard_on, rows_of, store_findings, tamper

ROWS = 40


def _file(folder: Path) -> Path:
    return write_dp4(folder / "a.csv", [dp4_row(number) for number in range(1, ROWS + 1)])


def _intake(house: House, **changes: object) -> dp4.Intake:
    parts = {"guard": house.guard, "batch": 10, "workers": 0, **changes}
    return dp4.Intake(places=house.places, actor=host_actor(), clock=house.clock, kab=KAB, election=ELECTION, **parts)  # type: ignore[arg-type]


def _demand_whole(house: House, file: Path, stored: int) -> None:
    """So many rows stand, each with key, index and entry; the same file goes on behind them."""
    assert (count(house, "voter"), count(house, "voter_key"), count(house, "nik_index")) == (stored, stored, stored)
    assert rows_of(house, "SELECT rows_read, state FROM load") == [{"rows_read": stored, "state": "running"}]
    assert store_findings(house) == []
    done = load_dp4(house, file)
    assert (done.rows_read, done.rows_sealed, done.resumed) == (ROWS, ROWS, True)
    assert count(house, "voter") == ROWS
    assert store_findings(house) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there are no other processes")
def test_sealing_processes_that_are_killed_cost_no_row(house: House, tmp_path: Path) -> None:
    """kill -9 after every batch: they are replaced, the load says how many, and every row is there once."""

    def kill(done: int, total: int) -> None:
        for child in multiprocessing.active_children():
            if child.name == "gardu-sealer" and child.pid:
                os.kill(child.pid, signal.SIGKILL)

    done = _intake(house, workers=2).load(_file(tmp_path), None, kill)

    assert (done.rows_read, done.rows_sealed, done.rows_quarantined) == (ROWS, ROWS, 0)
    assert done.lost > 0
    assert store_findings(house) == []


@contextmanager
def _full(store: Store) -> Iterator[None]:
    """No page more than the database has now."""

    def limit(connection: sqlite3.Connection, *_more: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")

    def free(connection: sqlite3.Connection | None, _record: object) -> None:
        if connection is not None:
            connection.execute("PRAGMA max_page_count = 1073741823")

    event.listen(store.engine, "checkout", limit)
    event.listen(store.engine, "checkin", free)
    try:
        yield
    finally:
        event.remove(store.engine, "checkout", limit)
        event.remove(store.engine, "checkin", free)


def test_a_full_disk_stops_the_load_behind_a_whole_batch(sqlite_house: House, tmp_path: Path) -> None:
    """The message says which rows are stored, where it goes on, and what to do; with room again it does."""
    house, file = sqlite_house, _file(tmp_path)
    told: list[int] = []
    with ExitStack() as room, pytest.raises((StoreDown, TrailDown)) as stopped:

        def fill(done: int, total: int) -> None:
            if not told:
                room.enter_context(_full(house.guard.store))
            told.append(done)

        _intake(house).load(file, None, fill)

    stored = 10 * len(told)
    assert "full" in stopped.value.detail
    assert f"goes on at row {stored + 1}" in stopped.value.detail
    assert dp4_row(stored + 1)["NIK"] not in stopped.value.detail
    _demand_whole(house, file, stored)


@pytest.mark.parametrize("point", ["locked", "inserted", "signed"])
def test_a_server_that_goes_away_in_a_batch_leaves_nothing_of_it(postgres_house: House, tmp_path: Path, point: str) -> None:
    """Every connection is cut while the second batch is written: the first stands, the message says where it goes on."""
    house, file = postgres_house, _file(tmp_path)
    passed: list[str] = []

    def cut(at: str) -> None:
        passed.append(at)
        if at == point and passed.count(point) == 2:
            tamper(
                house,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )

    store = Store(house.settings.database)
    try:
        with pytest.raises((StoreDown, TrailDown)) as stopped:
            _intake(house, guard=guard_on(house, store, cut)).load(file, None, lambda done, total: None)
    finally:
        store.dispose()
    house.guard.store.dispose()

    assert "goes on at row 11" in stopped.value.detail
    _demand_whole(house, file, 10)


def test_a_file_cut_short_while_it_is_loaded_stops_there(house: House, tmp_path: Path) -> None:
    """Truncated after the first batch: what is stored is what the file said, and the message says what to do."""
    file = write_dp4(tmp_path / "a.csv", [dp4_row(number) for number in range(1, 1001)])
    whole = file.read_bytes()

    def cut(done: int, total: int) -> None:
        os.truncate(file, len(whole) - 200)

    with pytest.raises(BadInput) as stopped:
        _intake(house, batch=250).load(file, None, cut)
    file.write_bytes(whole)

    stored = count(house, "voter")
    assert stored in (250, 500, 750)
    assert f"goes on at row {stored + 1}" in stopped.value.detail
    assert "put the file back" in stopped.value.detail
    assert store_findings(house) == []
    done = load_dp4(house, file)
    assert (done.rows_read, done.rows_sealed, done.resumed) == (1000, 1000, True)
