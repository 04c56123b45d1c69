"""The roll in partitions: every kab/kota in its province's, converted with its rows and back, and guarded on every partition."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.kernel.errors import BadInput, Conflict, StoreDown
from app.places import Places
from app.store import partitions
from app.store.engine import Store
from app.store.migrate import Layout, downgrade, standing, upgrade
from tests.conftest import MIGRATIONS, PostgresServer

# Voters of three provinces, two of one province by hash, and one of a kab/kota that the schema does not know.
VOTERS = [("51.71", "a"), ("51.71", "b"), ("51.03", "c"), ("32.04", "d"), ("96.71", "e"), ("99.01", "f")]
REFUSED = (DBAPIError, StoreDown)


@dataclass(frozen=True)
class Halves:
    """A database in two hash partitions per province. owner: no superuser; app: the application's role."""

    owner: Store
    app: Store

    def run(self, *statements: str, app: bool = False) -> None:
        with (self.app if app else self.owner).writing() as session:
            for statement in statements:
                session.execute(text(statement))

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with self.owner.reading() as session:
            return [tuple(row) for row in session.execute(text(query))]

    def tree(self, table: str) -> list[str]:
        return [str(name) for (name,) in self.rows(f"SELECT relid::regclass::text FROM pg_partition_tree('{table}')")]


def _fill(store: Store) -> None:
    """Put a row of every table for each of VOTERS."""
    cells = ", ".join(f"c{number:02d}" for number in range(14))
    with store.writing() as session:
        for kab, uid in VOTERS:
            values = {"kab": kab, "uid": uid * 26, "b": uid.encode()}
            session.execute(
                text(
                    f"INSERT INTO voter (kab, uid, kec, desa, tps, election, status, row_version, key_epoch, {cells}, b_nik, b_nkk, b_nd, seal) "
                    f"VALUES (:kab, :uid, '', '', '001', '2029', 'aktif', 2, 2, {', '.join([':b'] * 14)}, :b, :b, :b, :b)"
                ),
                values,
            )
            session.execute(text("INSERT INTO voter_key (kab, uid, wrapped, epoch) VALUES (:kab, :uid, :b, 2)"), values)
            session.execute(text("INSERT INTO nik_index (b_nik, election, kab, uid) VALUES (:b, '2029', :kab, :uid)"), values)
            session.execute(
                text(
                    "INSERT INTO quarantine (kab, uid, election, load, row_no, reasons, key_epoch, wrapped, cell, seal) "
                    "VALUES (:kab, :uid, '2029', '', 1, '', 2, :b, :b, :b)"
                ),
                values,
            )


def _owned(server: PostgresServer) -> str:
    """Make an empty database that belongs to a role without any power over the server; return its URL."""
    server.migrated()  # the application's role stands beforehand, as the deployment says
    server.run(
        "DO $$ BEGIN CREATE ROLE gardu_owner_test LOGIN PASSWORD 'gardu-app-test'; "
        "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )
    name = f"gardu_{server.tag}_{secrets.token_hex(5)}"
    server.run(f"CREATE DATABASE {name} OWNER gardu_owner_test")
    return server.url(name, "gardu_owner_test")


@pytest.fixture(scope="module")
def halves(postgres: PostgresServer) -> Iterator[Halves]:
    """A filled database in two hash partitions per province; what a test changes is of its own voter, or refused."""
    url = _owned(postgres)
    name = url.rsplit("/", 1)[1].split("?")[0]
    made = Halves(Store(url), Store(postgres.url(name, "gardu_app_login")))
    upgrade(made.owner, MIGRATIONS, layout=Layout(partitions=2))
    _fill(made.owner)
    yield made
    made.owner.dispose()
    made.app.dispose()


# ---- where rows stand ----


def test_every_kab_of_the_country_has_its_provinces_partition(halves: Halves) -> None:
    """All 514, each named once, in the partition of its own province; none is left to the default one."""
    query = "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_partition_tree('voter') t JOIN pg_class c ON c.oid = t.relid WHERE level = 1"
    bounds = {str(name): str(bound) for name, bound in halves.rows(query)}
    assert bounds.pop("voter_default") == "DEFAULT"
    named = {name: bound.split("'")[1::2] for name, bound in bounds.items()}

    assert sorted(kab for kabs in named.values() for kab in kabs) == sorted(Places().kabs())
    assert all(f"voter_p{kab[:2]}" == name for name, kabs in named.items() for kab in kabs)
    assert len(named) == 38
    assert len(halves.tree("voter")) == 1 + 38 * 3 + 1
    assert len(halves.tree("nik_index")) == 1 + 8


def test_a_voter_stands_in_the_provinces_partition_by_the_hash_of_the_uid(halves: Halves) -> None:
    """And so do its key and the rows that wait; a kab that the schema does not know stands in the default partition."""
    for table in partitions.BY_KAB:
        found = {str(kab): str(name) for kab, name in halves.rows(f"SELECT kab, tableoid::regclass::text FROM {table}")}
        assert found["99.01"] == f"{table}_default"
        assert {kab: name.rpartition("_h")[0] for kab, name in found.items() if kab != "99.01"} == {
            "51.71": f"{table}_p51",
            "51.03": f"{table}_p51",
            "32.04": f"{table}_p32",
            "96.71": f"{table}_p96",
        }


@pytest.mark.parametrize("count", [1, 3])
def test_a_database_with_rows_is_converted_and_converted_back(postgres: PostgresServer, count: int) -> None:
    """Rows, columns, keys, indexes and the application's rights are what they were, both ways."""
    owner = Store(_owned(postgres))
    upgrade(owner, MIGRATIONS, "0010")
    _fill(owner)
    with owner.writing() as session:
        session.execute(text("GRANT DELETE ON voter_key TO gardu_app"))
        session.execute(text("GRANT UPDATE (cell) ON quarantine TO PUBLIC"))
    before = _shape(owner)

    upgrade(owner, MIGRATIONS, "0011", Layout(partitions=count))
    assert _shape(owner) == before
    with owner.reading() as session:
        assert partitions.layout_of(session.connection()) == "partitions"
        assert {part.leaves for part in partitions.parts(session.connection(), "voter")} == {1, count}
    downgrade(owner, MIGRATIONS, "0010")
    assert _shape(owner) == before
    with owner.reading() as session:
        assert partitions.layout_of(session.connection()) == "whole"
    owner.dispose()


def _shape(store: Store) -> dict[str, list[object]]:
    """What must not change: all but how the tables are cut."""
    queries = {
        "columns": "SELECT attrelid::regclass::text, attname, atttypid::regtype::text, atttypmod, attnotnull, attstorage FROM pg_attribute "
        "WHERE attrelid = ANY ('{voter,voter_key,quarantine,nik_index}'::regclass[]) AND attnum > 0 ORDER BY attrelid::regclass::text, attnum",
        "indexes": "SELECT replace(pg_get_indexdef(indexrelid), ' ONLY ', ' '), indisprimary, indisunique FROM pg_index "
        "WHERE indrelid = ANY ('{voter,voter_key,quarantine,nik_index}'::regclass[]) ORDER BY 1",
        "rights": "SELECT grantee, table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee <> 'gardu_owner_test' "
        "AND table_name = ANY ('{voter,voter_key,quarantine,nik_index}') ORDER BY 1, 2, 3",
        "column rights": "SELECT grantee, table_name, column_name, privilege_type FROM information_schema.column_privileges "
        "WHERE grantee IN ('gardu_app', 'PUBLIC') AND table_name = ANY ('{voter,voter_key,quarantine,nik_index}') ORDER BY 1, 2, 3, 4",
        **{table: f"SELECT * FROM {table} ORDER BY kab, uid" for table in partitions.TABLES},
    }
    with store.reading() as session:
        return {name: [tuple(row) for row in session.execute(text(query))] for name, query in queries.items()}


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        (Layout(partitions=0), "a number from 1 to 64"),
        (Layout(partitions=65), "a number from 1 to 64"),
        (Layout("shards"), "partitions or citus"),
        (Layout("citus"), "CREATE EXTENSION citus"),
    ],
)
def test_a_layout_that_is_not_possible_here_is_refused_before_anything_changes(
    postgres: PostgresServer, layout: Layout, words: str
) -> None:
    """The error names the remedy, and the database stays where it was."""
    owner = Store(_owned(postgres))
    upgrade(owner, MIGRATIONS, "0010")

    with pytest.raises(RuntimeError, match=words):
        upgrade(owner, MIGRATIONS, layout=layout)
    assert standing(owner, MIGRATIONS)[0] == "0010"
    owner.dispose()


# ---- guards ----


@pytest.mark.parametrize("table", partitions.TABLES)
def test_no_partition_can_be_truncated(halves: Halves, table: str) -> None:
    """Not by the owner, whichever partition is named; the application may not even try."""
    for name in halves.tree(table):
        with pytest.raises(REFUSED, match="TRUNCATE refused"):
            halves.run(f"TRUNCATE {name}")
        with pytest.raises(REFUSED, match="permission denied"):
            halves.run(f"TRUNCATE {name}", app=True)
    assert len(halves.rows(f"SELECT kab FROM {table}")) >= len(VOTERS)


@pytest.mark.parametrize("table", partitions.TABLES)
def test_the_application_works_through_the_parent_alone(halves: Halves, table: str) -> None:
    """No partition can be read or written past it: whoever guesses a partition's name gets nothing."""
    for name in halves.tree(table)[1:]:
        for statement in (
            f"SELECT * FROM {name}",
            f"INSERT INTO {name} SELECT * FROM {table}",
            f"UPDATE {name} SET kab = kab",
            f"DELETE FROM {name}",
        ):
            with pytest.raises(REFUSED, match="permission denied"):
                halves.run(statement, app=True)
    with pytest.raises(REFUSED, match="permission denied"):
        halves.run(f"DELETE FROM {table}", app=True)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("voter", "DELETE FROM {name} WHERE uid = '{uid}'"),
        ("voter", "UPDATE {name} SET uid = 'z' WHERE uid = '{uid}'"),
        ("voter", "UPDATE {name} SET kab = '51.01' WHERE uid = '{uid}'"),
        ("voter", "UPDATE {name} SET row_version = 1 WHERE uid = '{uid}'"),
        ("voter", "UPDATE {name} SET key_epoch = 1 WHERE uid = '{uid}'"),
        ("voter_key", "DELETE FROM {name} WHERE uid = '{uid}'"),
        ("voter_key", "UPDATE {name} SET epoch = 1 WHERE uid = '{uid}'"),
        ("voter_key", "UPDATE {name} SET uid = 'z' WHERE uid = '{uid}'"),
        ("nik_index", "DELETE FROM {name} WHERE uid = '{uid}'"),
        ("quarantine", "DELETE FROM {name} WHERE uid = '{uid}'"),
        ("quarantine", "UPDATE {name} SET uid = 'z' WHERE uid = '{uid}'"),
    ],
)
def test_what_no_work_of_ours_does_is_refused_on_every_partition(halves: Halves, table: str, change: str) -> None:
    """By the owner, through the parent and past it; by the application, where it has the right at all."""
    for kab, letter in VOTERS:
        uid = letter * 26
        [(leaf,)] = halves.rows(f"SELECT tableoid::regclass::text FROM {table} WHERE kab = '{kab}' AND uid = '{uid}'")
        for name in (table, str(leaf)):
            with pytest.raises(REFUSED, match="refused"):
                halves.run(change.format(name=name, uid=uid))
        with pytest.raises(REFUSED, match=r"refused|permission denied"):
            halves.run(change.format(name=table, uid=uid), app=True)


@pytest.mark.parametrize("first", ["key", "tombstone"])
def test_an_erased_voter_loses_key_and_index_in_any_order_and_never_comes_back(halves: Halves, first: str) -> None:
    """Within one transaction with the tombstone; the row itself is never deleted, nor made a voter again."""
    kab, uid = "62.71", ("g" if first == "key" else "h") * 26
    halves.run(
        f"INSERT INTO voter SELECT '{kab}', '{uid}', kec, desa, tps, election, status, 1, 1, {', '.join(f'c{number:02d}' for number in range(14))}, "
        f"'\\x{uid[0].encode().hex()}', b_nkk, b_nd, seal, load FROM voter WHERE uid = '{'a' * 26}'",
        f"INSERT INTO voter_key VALUES ('{kab}', '{uid}', '\\x01', 1)",
        f"INSERT INTO nik_index SELECT b_nik, election, kab, uid FROM voter WHERE uid = '{uid}'",
    )
    steps = [f"DELETE FROM {table} WHERE kab = '{kab}' AND uid = '{uid}'" for table in ("voter_key", "nik_index")]
    tombstone = (
        f"INSERT INTO voter_erasure (uid, kab, voter, reason, asked_by, asked_at, state, seal) "
        f"VALUES ('{uid}', '{kab}', '{uid}', '', '', now(), 'pending', '')"
    )
    steps.insert(0 if first == "tombstone" else 2, tombstone)
    steps.append(f"UPDATE voter SET status = 'dihapus' WHERE kab = '{kab}' AND uid = '{uid}'")

    halves.run(*steps)
    assert halves.rows(f"SELECT uid FROM voter_key WHERE uid = '{uid}' UNION SELECT uid FROM nik_index WHERE uid = '{uid}'") == []
    for change in (f"UPDATE voter SET status = 'aktif' WHERE uid = '{uid}'", f"DELETE FROM voter WHERE uid = '{uid}'"):
        with pytest.raises(REFUSED, match="refused"):
            halves.run(change)


def test_a_changed_token_moves_its_row_to_another_partition(halves: Halves) -> None:
    """A corrected NIK, by the application: PostgreSQL deletes and inserts, and no guard stands in the way."""
    seen = set()
    for token in ("\\x10", "\\x11", "\\x12", "\\x13", "\\x65"):
        halves.run(
            f"UPDATE voter SET b_nik = '{token}' WHERE kab = '96.71' AND uid = '{'e' * 26}'",
            f"UPDATE nik_index SET b_nik = '{token}' WHERE uid = '{'e' * 26}'",
            app=True,
        )
        seen |= set(halves.rows(f"SELECT tableoid::regclass::text FROM nik_index WHERE uid = '{'e' * 26}'"))

    assert len(seen) > 1


# ---- a kab/kota that is newer than the schema ----


def test_a_new_kab_gets_partitions_of_its_own_with_the_voters_that_came_before(postgres: PostgresServer) -> None:
    """Its rows move there, guards and all; the default partition is empty again, and a second time is refused."""
    owner = Store(_owned(postgres))
    upgrade(owner, MIGRATIONS, layout=Layout(partitions=2))
    _fill(owner)
    made = Halves(owner, owner)
    with owner.reading() as session:
        assert partitions.strays(session.connection()) == {"99.01": 1}

    assert partitions.add(owner, "99.01") == 1
    for table in partitions.BY_KAB:
        [(leaf,)] = made.rows(f"SELECT tableoid::regclass::text FROM {table} WHERE kab = '99.01'")
        assert str(leaf).startswith(f"{table}_p9901_h")
        for name in (leaf, f"{table}_p9901"):
            with pytest.raises(REFUSED, match="refused"):
                made.run(f"TRUNCATE {name}")
        with pytest.raises(REFUSED, match="refused"):
            made.run(f"DELETE FROM {leaf}")
        with pytest.raises(REFUSED, match="refused"):
            made.run(f"DELETE FROM {table} WHERE kab = '51.71'")
    with owner.reading() as session:
        assert partitions.strays(session.connection()) == {}
    with pytest.raises(Conflict, match="voter_p9901"):
        partitions.add(owner, "99.01")
    with pytest.raises(Conflict, match="voter_p51"):
        partitions.add(owner, "51.71")
    with pytest.raises(BadInput):
        partitions.add(owner, "99")
    owner.dispose()
