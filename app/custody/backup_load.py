"""Puts a backup into an empty database: schema, rows, indexes, all in one transaction after the schema.

    (1) L1 keys    read first: without the log's key nothing below could be believed
    (2) schema     of the revision that the backup has, in a database that holds nothing
    (3) rows       record keys, then everything else; digests and counts are those of the manifests
    (4) signed     each manifest by the log's own key, the parts of one set, one snapshot
    (5) erased     what tombstones name loses its key, also when the tombstone is newer than the backup
    (6) indexes    made anew from the rows; then every guard stands again, commit, and the schema goes to the newest revision

If we die before the commit, the database holds a schema and no row, and the same command begins anew. The guards that demand an entry of whoever
inserts are set aside in between: pruning may have taken that entry, and ``audit.verify`` judges the rows afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from alembic.util.exc import CommandError
from sqlalchemy import Column, Connection, MetaData, Table, inspect, text
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError
from sqlalchemy.orm import Session

from app.audit.note import Signer, Verifier, open_note, parse_checkpoint
from app.audit.published import HALT
from app.audit.tables import TrailHalt
from app.audit.tiles import Tiles
from app.custody import backup_rows as rows
from app.custody.backup_read import Part, read, revision_of
from app.custody.backup_rekey import ERASED, NEWER, Buried, Rekeyed, bury, rekey
from app.custody.backup_room import DATA_FILE, KEY_FILE, Kept
from app.kernel.errors import Conflict, KeysDown, SealBroken
from app.kernel.regions import NATION
from app.settings import shipped
from app.store.bulk import put
from app.store.engine import Store
from app.store.migrate import Layout, upgrade
from app.vault import age
from app.vault.house import KeyHouse

# The national index says again what stands in the rows; a voter whose tombstone stands has none.
_INDEX = (
    "INSERT INTO nik_index (b_nik, election, kab, uid) SELECT v.b_nik, v.election, v.kab, v.uid FROM voter v "  # noqa: S608  our own words
    f"WHERE NOT {ERASED.format(row='v')}"
)
# Keys of a nation of kab/kota in several epochs; more is no key file of ours.
_MOST_KEYS = 100_000
Progress = Callable[[int, int], None]
# Told the number of each step above as it begins.
Step = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Source:
    """What is restored. backup: the set; l1: the newest file of L1 keys; newer: a later set, whose record keys and tombstones count; log: whose.

    outside: signed checkpoints that others kept: what they say of the log's beginning must be so. halt: at this moment the restored log is
    halted, so that it never goes on under its name; None for a scratch database. layout: how the roll will lie in PostgreSQL.
    """

    backup: Kept
    l1: Path
    newer: Kept | None
    identity: age.Identity
    log: str
    outside: tuple[str, ...] = ()
    halt: datetime | None = None
    layout: Layout | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was put in. rows: of the set's own archives. buried: voters erased since, whose rows were emptied. rekeyed: rows with a later key."""

    data: Part
    rows: int
    buried: Sequence[Buried]
    rekeyed: Rekeyed
    verifier: Verifier


def load(source: Source, target: Store, house: KeyHouse, progress: Progress, step: Step = lambda number: None) -> Loaded:
    """Put *source* into *target*, opened as its owner, and return what it was. house: opens L1 keys by this installation's provider.

    progress is told (bytes read, bytes in all). Raises Conflict when the database is not empty, BadInput (fields ``identity``, ``archive``),
    SealBroken when anything was cut, changed, mixed, or is another guard's, StoreDown, KeysDown.
    """
    demand_empty(target)
    meter, identity, data_file = _Meter(source, progress), source.identity, source.backup.folder / DATA_FILE
    step(1)
    keys = _L1()
    l1 = read(source.l1, rows.L1, identity, keys, meter.add)
    opened = house.over(keys)
    verifier = _verifier(opened, source.log)
    step(2)
    _make_schema(target, revision_of(data_file, identity), source.layout)
    with _filling(target) as session:
        step(3)
        connection = session.connection()
        into = _Into(connection)
        early = read(source.backup.folder / KEY_FILE, rows.KEYS, identity, into, meter.add)
        late = None
        if source.newer is not None:
            late = read(source.newer.folder / KEY_FILE, rows.KEYS, identity, _Newer(connection), meter.add)
        data = read(data_file, rows.DATA, identity, into, meter.add)
        keys.put(into)
        step(4)
        for part in (l1, early, data, late):
            if part is not None:
                part.demand_signed(verifier)
        _demand_one_set(source.log, l1, early, data, late)
        _demand_history(session, source, data, verifier)
        step(5)
        buried = bury(connection)
        rekeyed = rekey(connection, opened) if late is not None else Rekeyed()
        step(6)
        connection.execute(text(_INDEX))
        if source.halt is not None:
            reason = f"restored from backup {data.uid}"
            session.add(TrailHalt(log=source.log, at=source.halt, kind=HALT, size=data.size, reason=reason, note=""))
            session.flush()
    upgrade(target, shipped("migrations"), layout=source.layout)
    return Loaded(data, into.count, buried, rekeyed, verifier)


def demand_empty(target: Store) -> None:
    """Raise Conflict unless *target* holds no row of any table: a restore never mixes with what is there."""
    with target.reading() as session:
        connection = session.connection()
        for name in inspect(connection).get_table_names():
            if name == "alembic_version":
                continue
            quoted = connection.dialect.identifier_preparer.quote(name)
            if connection.execute(text(f"SELECT 1 FROM {quoted} LIMIT 1")).first() is not None:  # noqa: S608  a name from the catalog
                raise Conflict(f"the database is not empty: {name} has rows. A backup is restored into a new database only")


def _verifier(house: KeyHouse, log: str) -> Verifier:
    try:
        return Signer(log, house.key("log", NATION).secret).verifier
    except KeysDown as down:
        raise SealBroken(
            f"backup: this installation's key provider does not open its L1 keys ({down.detail}): another guard's, or another keyring"
        ) from None


def _demand_one_set(log: str, l1: Part, early: Part, data: Part, late: Part | None) -> None:
    """Raise SealBroken unless data and keys are of one snapshot, nothing is of another log, and what should be newer is."""
    for part in (l1, early, data, late):
        if part is not None and part.log != log:
            raise SealBroken(f"backup: the {part.part} archive is of log {part.log}, wanted is {log}")
    beside = data.said.get("beside")
    if data.uid != early.uid or not isinstance(beside, dict) or beside.get(rows.KEYS) != early.digest.hex():
        raise SealBroken("backup: data and keys are of different backups; take both from one folder")
    for part in (l1, late):
        if part is not None and part.size < data.size:
            raise SealBroken(f"backup: the {part.part} archive is older than the data: take the newest one")


def _demand_history(session: Session, source: Source, data: Part, verifier: Verifier) -> None:
    """Raise SealBroken when somebody outside has seen another beginning of the log than the one restored: a fork."""
    for note in source.outside:
        mark = parse_checkpoint(open_note(note, [verifier]).text)
        if mark.origin != source.log or not 0 < mark.size <= data.size:
            continue
        if Tiles(session, source.log, data.size).subtree(0, mark.size) != mark.root:
            raise SealBroken(f"backup: its first {mark.size} entries of {source.log} are not those of a signed checkpoint: another history")


# ---- rows ----


class _L1:
    """Keeps the L1 keys in memory, and hands them to a key house."""

    def __init__(self) -> None:
        self._columns: list[str] = []
        self._content: list[bytes] = []
        self._wrapped: list[tuple[object, object, int, bytes]] = []

    def table(self, name: str, columns: Sequence[str]) -> None:
        """Take the one table there is."""
        if name not in rows.L1_KEYS or self._columns or not {"purpose", "scope", "epoch", "wrapped"} <= set(columns):
            raise SealBroken("backup: the file of L1 keys holds another table")
        self._columns = list(columns)

    def rows(self, content: bytes, width: int) -> int:
        """Keep the rows."""
        found = [dict(zip(self._columns, row, strict=True)) for row in rows.decoded(content, width, "postgresql")]
        for one in found:
            if isinstance(one["epoch"], int) and isinstance(one["wrapped"], bytes):
                self._wrapped.append((one["purpose"], one["scope"], one["epoch"], one["wrapped"]))
        self._content.append(content)
        if len(self._wrapped) > _MOST_KEYS:
            raise SealBroken("backup: more L1 keys than any installation has")
        return len(found)

    def fetch(self, purpose: str, scope: str) -> list[tuple[int, bytes]]:
        """Return (epoch, wrapped) of every key of *purpose* and *scope*, newest first (``vault.house.KeySource``)."""
        return sorted(((epoch, wrapped) for of, at, epoch, wrapped in self._wrapped if (of, at) == (purpose, scope)), reverse=True)

    def put(self, into: _Into) -> None:
        """Put the rows that were kept into their table."""
        into.table(rows.L1_KEYS[0], self._columns)
        for content in self._content:
            into.rows(content, len(self._columns))


class _Into:
    """Puts rows into the tables of the open transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tables = {table.name: table for table in rows.tables_of(connection)}
        self._table: Table | None = None
        self.count = 0
        driver = connection.dialect.loaded_dbapi
        self._not_ours = (
            IntegrityError, DataError, ProgrammingError, driver.IntegrityError, driver.DataError, driver.ProgrammingError, TypeError, ValueError,
            OverflowError,
        )  # fmt: skip

    def table(self, name: str, columns: Sequence[str]) -> None:
        """Find the table that the rows go into."""
        self._table = _ordered(self._tables.get(name), name, columns)

    def rows(self, content: bytes, width: int) -> int:
        """Insert the rows."""
        assert self._table is not None
        found = list(rows.decoded(content, width, self._connection.dialect.name))
        try:
            put(self._connection, self._table, found)
        except self._not_ours as wrong:
            # Whoever knows the recipient can make an archive; whether it is ours is known at its end. The driver's words could hold a value.
            name = type(wrong).__name__
            raise SealBroken(f"backup: rows of {self._table.name} do not go into that table ({name})") from None
        self.count += len(found)
        return len(found)


class _Newer(_Into):
    """Puts the record keys of a later set beside those of the backup, and its tombstones over them: tombstones only ever grow in number."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        connection.execute(text(f"CREATE TEMPORARY TABLE {NEWER} AS SELECT * FROM voter_key WHERE 1 = 0"))  # noqa: S608  our own name

    def table(self, name: str, columns: Sequence[str]) -> None:
        """Find the table that the rows go into."""
        if name == "voter_key":
            self._table = _ordered(self._tables[name], NEWER, columns)
            return
        super().table(name, columns)
        self._connection.execute(self._tables[name].delete())


def _ordered(known: Table | None, name: str, columns: Sequence[str]) -> Table:
    """Return *known* under *name*, its columns in the order of the archive. Raises SealBroken unless it has exactly these."""
    if known is None or sorted(columns) != sorted(known.columns.keys()):
        raise SealBroken(f"backup: the schema has no table {name[:40]!r} with these columns")
    return Table(name, MetaData(), *(Column(one, known.columns[one].type) for one in columns))


def _make_schema(target: Store, revision: str, layout: Layout | None) -> None:
    try:
        upgrade(target, shipped("migrations"), revision, layout)
    except CommandError:
        raise SealBroken(f"backup: this Gardu does not know the schema revision {revision[:12]!r}; restore with a newer one") from None


# ---- the transaction ----


@contextmanager
def _filling(target: Store) -> Iterator[Session]:
    """Open a transaction in which rows go in past the guards; at its end every guard stands again, or nothing has happened."""
    with target.writing() as session:
        connection = session.connection()
        again = _set_aside(connection)
        yield session
        for statement in again:
            connection.exec_driver_sql(statement)


def _set_aside(connection: Connection) -> list[str]:
    """Set the database's triggers aside and return the statements that bring them back. Names and texts are the catalog's own."""
    if connection.dialect.name == "sqlite":
        found = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")).all()
        for name, _ in found:
            connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
        return [sql for _, sql in found]
    query = (
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), quote_ident(t.tgname), t.tgenabled FROM pg_trigger t "
        "JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.tgisinternal AND t.tgparentid = 0 "
        "AND t.tgenabled IN ('O', 'A') AND n.nspname = current_schema()"
    )
    again = []
    for table, name, enabled in connection.execute(text(query)).all():
        connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER {name}")
        again.append(f"ALTER TABLE {table} ENABLE {'ALWAYS ' if enabled == 'A' else ''}TRIGGER {name}")
    return again


class _Meter:
    """Adds up the bytes read of all parts."""

    def __init__(self, source: Source, progress: Progress) -> None:
        files = [source.l1, source.backup.folder / KEY_FILE, source.backup.folder / DATA_FILE]
        if source.newer is not None:
            files.append(source.newer.folder / KEY_FILE)
        self._total, self._done, self._progress = sum(one.stat().st_size for one in files if one.is_file()), 0, progress

    def add(self, count: int) -> None:
        """Tell how far it is."""
        self._done += count
        self._progress(min(self._done, self._total), self._total)
