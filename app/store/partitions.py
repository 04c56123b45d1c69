"""How the roll lies in PostgreSQL: its partitions and what they weigh; the partitions of a kab/kota that is newer than the schema.

The migration 0011 laid the tables out. Whoever adds to them is the owner; the application works through the parents alone.
"""
# ruff: noqa: S608  names come from the catalog and a region code; a partition's statements take no parameters

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, text

from app.kernel.errors import BadInput, Conflict
from app.kernel.regions import kab_of, parse_region
from app.store.engine import Store

# Tables in partitions of provinces; the NIK index is one for the nation.
BY_KAB = ("voter", "voter_key", "quarantine")
TABLES = (*BY_KAB, "nik_index")

_LEAVES = text(
    "SELECT c.relname, split_part(c.relname, '_h', 1) AS part, pg_table_size(c.oid) AS heap, pg_indexes_size(c.oid) AS indexes, "
    "greatest(c.reltuples, 0)::bigint AS rows FROM pg_partition_tree(CAST(:table AS regclass)) t JOIN pg_class c ON c.oid = t.relid "
    "WHERE t.isleaf ORDER BY c.relname"
)
_HOLDS = text(
    "SELECT pg_get_expr(c.relpartbound, c.oid) AS bound, c.relname FROM pg_partition_tree(CAST(:table AS regclass)) t "
    "JOIN pg_class c ON c.oid = t.relid WHERE t.level = 1"
)


@dataclass(frozen=True, slots=True)
class Part:
    """One partition of a table with all below it. rows: as the planner last counted; heap, indexes: bytes; leaves: how many tables."""

    name: str
    rows: int
    heap: int
    indexes: int
    leaves: int


def layout_of(connection: Connection) -> str:
    """Return ``partitions``, ``citus`` or ``whole``; SQLite is always whole."""
    if connection.dialect.name == "sqlite":
        return "whole"
    if connection.execute(text("SELECT relkind FROM pg_class WHERE oid = CAST('voter' AS regclass)")).scalar_one() == "p":
        return "partitions"
    if not connection.execute(text("SELECT count(*) FROM pg_extension WHERE extname = 'citus'")).scalar_one():
        return "whole"
    spread = connection.execute(text("SELECT count(*) FROM pg_dist_partition WHERE logicalrelid = CAST('voter' AS regclass)"))
    return "citus" if spread.scalar_one() else "whole"


def parts(connection: Connection, table: str) -> list[Part]:
    """Return the partitions of *table* (one of TABLES), in the order of their names."""
    found: dict[str, Part] = {}
    for row in connection.execute(_LEAVES, {"table": table}):
        one = found.get(row.part, Part(row.part, 0, 0, 0, 0))
        found[row.part] = Part(row.part, one.rows + row.rows, one.heap + row.heap, one.indexes + row.indexes, one.leaves + 1)
    return list(found.values())


def strays(connection: Connection) -> dict[str, int]:
    """Return the kab/kota whose voters stand in the default partition, with how many: those `gardu partitions add` is for."""
    query = text("SELECT kab, count(*) AS voters FROM voter_default GROUP BY kab ORDER BY kab")
    return {row.kab: int(row.voters) for row in connection.execute(query)}


def add(store: Store, kab: str) -> int:
    """Give *kab* (``PP.KK``) partitions of its own, bring its rows there from the default ones; return how many voters moved.

    store: the owner's. One transaction, in which nobody reads or writes these tables: seconds when few voters came in before. Raises
    BadInput for what is no kab/kota, Conflict when it has its place already or the tables are not in partitions, StoreDown.
    """
    code = parse_region(kab)
    if kab_of(code) != code:
        raise BadInput(f"{code} is not a kab/kota: give a code such as 51.10", field="region")
    with store.writing() as session:
        connection = session.connection()
        if layout_of(connection) != "partitions":
            raise Conflict("the roll is not in partitions here: there is nothing to add")
        place = next((row.relname for row in connection.execute(_HOLDS, {"table": "voter"}) if f"'{code}'" in row.bound), None)
        if place is not None:
            raise Conflict(f"{code} has its place already: {place}")
        moved = int(connection.execute(text("SELECT count(*) FROM voter_default WHERE kab = :kab"), {"kab": code}).scalar_one())
        count = _hashes(connection)
        for table in BY_KAB:
            for statement in _made(table, code, count):
                connection.execute(text(statement))
        return moved


def _hashes(connection: Connection) -> int:
    """Return how many hash partitions a province has: as many as the first one, which is there since the beginning."""
    query = text("SELECT count(*) FROM pg_inherits WHERE inhparent = CAST('voter_p11' AS regclass)")
    return int(connection.execute(query).scalar_one()) or 1


def _made(table: str, code: str, count: int) -> Iterator[str]:
    name = f"{table}_p{code.replace('.', '')}"
    yield f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"
    # Rows leave the default partition for a moment, past the guard that lets none go: they come back within the same statement's transaction.
    yield f"CREATE TEMPORARY TABLE {name}_rows ON COMMIT DROP AS SELECT * FROM {table}_default WHERE kab = '{code}'"
    yield f"ALTER TABLE {table}_default DISABLE TRIGGER USER"
    yield f"DELETE FROM {table}_default WHERE kab = '{code}'"
    yield f"ALTER TABLE {table}_default ENABLE TRIGGER USER"
    below = " PARTITION BY HASH (uid)" if count > 1 else ""
    yield f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES IN ('{code}'){below}"
    leaves = [f"{name}_h{number}" for number in range(count)] if count > 1 else []
    for number, leaf in enumerate(leaves):
        yield f"CREATE TABLE {leaf} PARTITION OF {name} FOR VALUES WITH (MODULUS {count}, REMAINDER {number})"
    yield f"INSERT INTO {table} SELECT * FROM {name}_rows"
    for one in (name, *leaves):
        yield f"CREATE TRIGGER {one}_no_truncate BEFORE TRUNCATE ON {one} FOR EACH STATEMENT EXECUTE FUNCTION gardu_roll_refuse()"
