"""The second layout: what the migration asks of Citus keeps Citus's own rules. No Citus runs here: a recorder with its rules stands in.

The rules are those of the Citus documentation ("Determining Application Type", "Creating and Modifying Distributed Objects", "Common Error
Messages"): a unique constraint holds the distribution column; tables that are joined stand together by a column of one type; no foreign key
leaves a distributed table but to a reference table; a table that is distributed has no trigger.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import text
from sqlalchemy.sql.visitors import iterate

from app.store import partitions
from app.store.base import Base
from app.store.engine import Store
from app.store.migrate import Layout, downgrade, upgrade
from app.voters import actions
from tests.conftest import MIGRATIONS, PostgresServer

# The two functions that the migration calls, and the one that takes it back: they record, and refuse what Citus would refuse.
RECORDER = """
CREATE TABLE recorded (at serial, what text, relation text, "column" text, beside text);
CREATE FUNCTION demand_ready(relation regclass, wanted text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
  IF EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = relation AND NOT tgisinternal) THEN
    RAISE EXCEPTION 'cannot distribute relation "%" because it has triggers', relation; END IF;
  IF EXISTS (SELECT 1 FROM pg_class WHERE oid = relation AND relkind <> 'r') THEN RAISE EXCEPTION '% is in partitions', relation; END IF;
  IF wanted IS NOT NULL AND EXISTS (SELECT 1 FROM pg_index i WHERE indrelid = relation AND indisunique AND NOT EXISTS (
      SELECT 1 FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = wanted AND a.attnum = ANY (i.indkey))) THEN
    RAISE EXCEPTION 'cannot create constraint on "%": no "%" in a unique index', relation, wanted; END IF;
  IF EXISTS (SELECT 1 FROM pg_constraint WHERE contype = 'f' AND (conrelid = relation OR confrelid = relation)) THEN
    RAISE EXCEPTION 'a foreign key of "%" would leave its shard', relation; END IF;
END $$;
CREATE FUNCTION create_reference_table(relation regclass) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
  PERFORM demand_ready(relation, NULL); INSERT INTO recorded (what, relation) VALUES ('reference', relation::text); END $$;
CREATE FUNCTION create_distributed_table(relation regclass, distribution_column text, distribution_type text DEFAULT 'hash',
  colocate_with text DEFAULT 'default', shard_count int DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
  PERFORM demand_ready(relation, distribution_column);
  IF colocate_with NOT IN ('none', 'default') AND NOT EXISTS (
      SELECT 1 FROM recorded r JOIN pg_attribute a ON a.attrelid = r.relation::regclass AND a.attname = r."column"
      JOIN pg_attribute b ON b.attrelid = create_distributed_table.relation AND b.attname = distribution_column AND b.atttypid = a.atttypid
      WHERE r.relation = colocate_with) THEN
    RAISE EXCEPTION 'cannot colocate tables % and %', colocate_with, relation; END IF;
  INSERT INTO recorded (what, relation, "column", beside) VALUES ('distributed', relation::text, distribution_column, colocate_with); END $$;
CREATE FUNCTION undistribute_table(relation regclass) RETURNS void LANGUAGE sql AS
  $$ INSERT INTO recorded (what, relation) VALUES ('undistributed', relation::text) $$;
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
  SELECT 999999, 'citus', 10, oid, false, '13.0' FROM pg_namespace WHERE nspname = 'public';
"""


@pytest.fixture
def store(postgres: PostgresServer) -> Iterator[Store]:
    """A database just before the layout is chosen, with the recorder in Citus's place."""
    made = Store(postgres.empty())
    upgrade(made, MIGRATIONS, "0010")
    with made.writing() as session:
        session.connection().connection.cursor().execute(RECORDER)
    yield made
    made.dispose()


def _recorded(store: Store) -> list[tuple[str, ...]]:
    with store.reading() as session:
        return [tuple(row) for row in session.execute(text('SELECT what, relation, "column", beside FROM recorded ORDER BY at'))]


def test_the_layout_is_asked_of_citus_and_taken_back(store: Store) -> None:
    """The roll by kab, all three tables together; the NIK index by its token, by itself; small tables on every node."""
    upgrade(store, MIGRATIONS, "0011", Layout("citus"))

    assert _recorded(store) == [
        ("reference", "election", None, None),
        ("reference", "load", None, None),
        ("reference", "stage_calendar", None, None),
        ("distributed", "voter", "kab", "none"),
        ("distributed", "voter_key", "kab", "voter"),
        ("distributed", "quarantine", "kab", "voter"),
        ("distributed", "nik_index", "b_nik", "none"),
    ]
    with store.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'voter'::regclass AND NOT tgisinternal")) == 0
    downgrade(store, MIGRATIONS, "0010")
    assert {row[1] for row in _recorded(store) if row[0] == "undistributed"} == {
        row[1] for row in _recorded(store) if row[0] != "undistributed"
    }


def test_a_database_in_partitions_is_not_distributed_by_mistake(store: Store) -> None:
    """Citus takes whole tables: the recorder refuses what the other layout made."""
    upgrade(store, MIGRATIONS, "0011", Layout(partitions=1))
    with store.reading() as session:
        assert partitions.layout_of(session.connection()) == "partitions"

    with pytest.raises(Exception, match="has triggers"), store.writing() as session:
        session.execute(text("SELECT create_distributed_table('voter', 'kab')"))


def _migration() -> ModuleType:
    found = importlib.util.spec_from_file_location("partitions_0011", Path(MIGRATIONS) / "versions" / "0011_partitions.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_every_model_keeps_the_rules() -> None:
    """As the models are now, later migrations included: keys hold the column, no foreign key leaves or enters."""
    migration = _migration()
    tables = Base.metadata.tables

    for name, column in migration.DISTRIBUTED.items():
        unique = [index for index in tables[name].indexes if index.unique]
        assert column in tables[name].primary_key.columns
        assert all(column in index.columns for index in unique), name
        assert not tables[name].foreign_keys, name
    spread = {*migration.DISTRIBUTED, *migration.REFERENCE}
    for table in tables.values():
        assert not any(key.column.table.name in spread for key in table.foreign_keys), table.name


def test_rows_and_keys_are_joined_where_they_stand_together() -> None:
    """Every query of the roll joins voter and voter_key on kab, the column both are spread by."""
    joined = str(actions._rows())

    assert "voter_key.kab = voter.kab AND voter_key.uid = voter.uid" in joined
    assert {getattr(one, "name", "") for one in iterate(actions._rows())} >= {"voter", "voter_key", "load"}
