"""Migration 0010 goes up and down with data: what it makes, what it grants, and what it does not let an older version lose."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from app.store.engine import Store
from app.store.migrate import downgrade, upgrade
from tests.conftest import MIGRATIONS, PostgresServer

ROWS = {
    "rotation": "INSERT INTO rotation (uid, kind, scope, to_epoch, state, place, cursor, total, done, broken, trouble, rate, actor, office, started_at, "
    "moved_at, seal) VALUES (:u, 'kab', '51.71', 2, 'paused', 'voter', '51.71 ', 1, 0, 0, '[]', 0, 'host:0', 'kpu-00', '2026-11-01 00:00:00', '2026-11-01 00:00:00', :b)",
    "voter_erasure": "INSERT INTO voter_erasure (uid, kab, voter, reason, asked_by, asked_at, state, seal) "
    "VALUES (:u, '51.71', :u, 'r', 'a', '2026-11-01 00:00:00', 'done', :b)",
}
VALUES = {"u": "a" * 26, "b": bytes(32)}


@pytest.fixture(params=["sqlite", "postgresql"])
def owner(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty database of each engine, opened as its owner."""
    if request.param == "sqlite":
        return Store(f"sqlite:///{tmp_path / 'empty.db'}")
    server: PostgresServer = request.getfixturevalue("postgres")
    return Store(server.empty())


def test_it_goes_down_only_when_no_walk_and_no_tombstone_would_be_forgotten(owner: Store) -> None:
    """Each table with a row refuses; empty, both go, with the functions, and they can come again."""
    upgrade(owner, MIGRATIONS, "0010")
    for table, insert in ROWS.items():
        with owner.writing() as session:
            session.execute(text(insert), VALUES)
        with pytest.raises(RuntimeError, match=table):
            downgrade(owner, MIGRATIONS, "0009")
        with owner.writing() as session:
            session.execute(text(f"DELETE FROM {table}"))

    downgrade(owner, MIGRATIONS, "0009")
    assert not {*ROWS} & set(inspect(owner.engine).get_table_names())
    upgrade(owner, MIGRATIONS, "0010")
    assert {*ROWS} <= set(inspect(owner.engine).get_table_names())
    owner.dispose()


@pytest.mark.parametrize("table", list(ROWS))
def test_at_most_one_stands_for_a_scope_or_a_voter(owner: Store, table: str) -> None:
    """The database itself refuses a second open rotation and a second tombstone."""
    upgrade(owner, MIGRATIONS, "0010")
    with owner.writing() as session:
        session.execute(text(ROWS[table]), VALUES)
    again = (
        ROWS[table].replace("(:u, 'kab'", "(:other, 'blind'")
        if table == "rotation"
        else ROWS[table].replace("(:u, '51.71'", "(:other, '51.71'")
    )

    with pytest.raises(Exception, match=r"(?i)unique"), owner.writing() as session:
        session.execute(text(again), {**VALUES, "other": "b" * 26})
    owner.dispose()
