"""Migrations go up and down with data on both engines; the log's guards hold."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from app.kernel.errors import StoreDown
from app.store.base import Base
from app.store.engine import Store
from app.store.migrate import downgrade, standing, upgrade
from tests.conftest import MIGRATIONS, PostgresServer

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ENTRY = text(
    "INSERT INTO trail_entry (log, seq, leaf, body, at, actor, action, outcome) VALUES ('l', 0, :b, :b, '2026-11-01 00:00:00', 'a', 'x', 'y')"
)
HEAD = text(
    "INSERT INTO trail_head (log, size, last, frontier, checkpoint, changed_at) VALUES ('l', 1, :b, :b, 'c', '2026-11-01 00:00:00')"
)


@pytest.fixture(params=["sqlite", "postgresql"])
def owner(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty database of each engine, opened as its owner."""
    if request.param == "sqlite":
        return Store(f"sqlite:///{tmp_path / 'empty.db'}")
    server: PostgresServer = request.getfixturevalue("postgres")
    return Store(server.empty())


def test_up_makes_exactly_the_tables_of_the_models(owner: Store) -> None:
    """After the newest migration the database has the models' tables and columns, no more and no fewer."""
    upgrade(owner, MIGRATIONS)

    seen = inspect(owner.engine)
    for name, table in Base.metadata.tables.items():
        assert {c["name"] for c in seen.get_columns(name)} == {c.name for c in table.columns}
    assert set(seen.get_table_names()) - _partitions(owner) == {*Base.metadata.tables, "alembic_version"}
    assert standing(owner, MIGRATIONS)[0] == standing(owner, MIGRATIONS)[1]


def _partitions(owner: Store) -> set[str]:
    """Parts of the roll's tables, each with its parent's columns by PostgreSQL's own care."""
    if owner.dialect == "sqlite":
        return set()
    with owner.reading() as session:
        return set(session.scalars(text("SELECT relname FROM pg_class WHERE relispartition AND relkind IN ('r', 'p')")))


def test_up_makes_the_indexes_that_the_questions_are_built_for(owner: Store) -> None:
    """Those of the log's entries, with their columns in order, and what partial ones ask of their rows."""
    upgrade(owner, MIGRATIONS)
    seen = {index["name"]: index for index in inspect(owner.engine).get_indexes("trail_entry")}
    wanted = {index.name: index for index in Base.metadata.tables["trail_entry"].indexes}

    assert {name: index["column_names"] for name, index in seen.items()} == {
        name: [column.name for column in index.columns] for name, index in wanted.items()
    }
    for name, index in wanted.items():
        partial = index.dialect_options[owner.dialect]["where"]
        assert (seen[name].get("dialect_options", {}).get(f"{owner.dialect}_where") is None) == (partial is None), name
    downgrade(owner, MIGRATIONS, "0008")
    before = {index["name"] for index in inspect(owner.engine).get_indexes("trail_entry")}
    assert before == {f"ix_trail_entry_{name}" for name in ("actor", "at", "desk", "mandate")}


def test_each_migration_goes_down_and_up_again_with_data(owner: Store) -> None:
    """Rows outside the trail survive 0002 down and up; 0001 down takes the tables away."""
    upgrade(owner, MIGRATIONS)
    with owner.writing() as session:
        session.execute(text("INSERT INTO election (id, voting_day) VALUES ('2029', '2029-02-14')"))

    downgrade(owner, MIGRATIONS, "0001")
    upgrade(owner, MIGRATIONS)
    with owner.reading() as session:
        assert session.execute(text("SELECT count(*) FROM election")).scalar_one() == 1
    downgrade(owner, MIGRATIONS, "base")
    assert set(inspect(owner.engine).get_table_names()) == {"alembic_version"}


def test_backups_that_were_made_stop_a_downgrade(owner: Store) -> None:
    """0012 goes down and up while there is no row, and not while there is one: an older Gardu would forget which restore was proven."""
    upgrade(owner, MIGRATIONS)
    downgrade(owner, MIGRATIONS, "0011")
    upgrade(owner, MIGRATIONS)
    with owner.writing() as session:
        session.execute(
            text(
                "INSERT INTO backup_proof (uid, backup, at, good, steps, digest, actor, seq, seal) "
                "VALUES ('p', 'b', '2026-11-01 00:00:00', 1, 6, :b, 'a', 3, :b)"
            ),
            {"b": b"1"},
        )

    with pytest.raises(RuntimeError, match="backup_proof has rows"):
        downgrade(owner, MIGRATIONS, "0011")
    assert standing(owner, MIGRATIONS)[0] == standing(owner, MIGRATIONS)[1]


def test_a_downgrade_refuses_while_the_trail_has_entries(owner: Store) -> None:
    """One entry is enough to stop every downgrade, and nothing is changed."""
    upgrade(owner, MIGRATIONS)
    with owner.writing() as session:
        session.execute(ENTRY, {"b": b"1"})

    for revision in ("0001", "base"):
        with pytest.raises(RuntimeError, match="trail has entries"):
            downgrade(owner, MIGRATIONS, revision)
    assert standing(owner, MIGRATIONS)[0] == standing(owner, MIGRATIONS)[1]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trail_entry SET actor='b'",
        "DELETE FROM trail_entry",
        "DELETE FROM trail_head",
        "UPDATE trail_head SET size = 0",
        "UPDATE trail_head SET log = 'm', size = 9",
        "INSERT OR REPLACE INTO trail_entry (log, seq, leaf, body, at, actor, action, outcome) VALUES ('l',0,'','','2026-11-01','z','x','y')",
        "TRUNCATE trail_entry",
        "TRUNCATE trail_head",
        "TRUNCATE touch_index",
    ],
)
def test_triggers_refuse_even_the_owner(owner: Store, statement: str) -> None:
    """UPDATE, DELETE, TRUNCATE and REPLACE are refused, by the owner's own connection too."""
    only = {"TRUNCATE": "postgresql", "INSERT O": "sqlite"}.get(statement[:8])
    if only and owner.dialect != only:
        with pytest.raises((DBAPIError, StoreDown)), owner.writing() as session:
            session.execute(text(statement))
        return
    upgrade(owner, MIGRATIONS)
    with owner.writing() as session:
        session.execute(ENTRY, {"b": b"1"})
        session.execute(HEAD, {"b": b"1"})

    with pytest.raises((DBAPIError, StoreDown), match=r"append-only|refused|forward"), owner.writing() as session:
        session.execute(text(statement))
    with owner.reading() as session:
        assert session.execute(text("SELECT actor FROM trail_entry")).scalar_one() == "a"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trail_entry SET actor='b'",
        "DELETE FROM trail_payload",
        "TRUNCATE trail_entry",
        "ALTER TABLE trail_entry DISABLE TRIGGER ALL",
        "DROP TABLE trail_entry",
        "UPDATE trail_head SET log='m'",
        "DELETE FROM vault_key",
        "DELETE FROM voter",
        "UPDATE stage_calendar SET stage='dpt'",
        "CREATE TABLE mine (x int)",
    ],
)
def test_the_application_role_has_no_right_to(postgres: PostgresServer, statement: str) -> None:
    """The application's PostgreSQL role cannot change the log, whatever the triggers say."""
    application = Store(postgres.migrated()[1])

    with pytest.raises((DBAPIError, StoreDown), match=r"permission denied|must be owner"), application.writing() as session:
        session.execute(text(statement))
