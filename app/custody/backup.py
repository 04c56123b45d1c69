"""Makes backups while the guard serves, and takes old ones away.

    (1) intent    an entry says that a backup begins: what is copied out of the database is recorded like any other touch
    (2) snapshot  one reading transaction (SQLite: WAL; PostgreSQL: REPEATABLE READ): all parts are of one moment
    (3) parts     keys, L1 keys, data: framed, sealed to the recipients while they are read, fsynced under a hidden name
    (4) name      l1.age is replaced, then one rename gives the whole set its name
    (5) entry     ``backup:create done`` with the manifest's digest, and the row; then the checkpoint that holds this entry, beside it
    (6) expire    key archives of more than 30 days go, and data archives beyond those to be kept, with an entry

If we die before (4), a hidden folder is left, which the next run takes away. After (4) the set is whole; a set that no row names is listed as
such and never taken away by count. No plaintext is written anywhere: rows are ciphertext, and the stream is sealed before it meets the disk.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Table, func, select

from app.audit import headguard
from app.audit.canonical import Json, canonical
from app.audit.note import Signer
from app.audit.tables import TrailHead
from app.custody import backup_rows as rows
from app.custody.backup_room import (
    DATA_FILE,
    KEY_DAYS,
    KEY_FILE,
    L1_FILE,
    NOTE_FILE,
    Backups,
    fields_of,
    kept,
    mark_gone,
    name_of,
    told,
)
from app.custody.tables import BackupSet
from app.identity.room import write, write_within
from app.kernel.actor import Actor
from app.kernel.clock import rfc3339
from app.kernel.errors import N_, Conflict, GarduError, NotThere, SealBroken, Unavailable
from app.kernel.fields import Action, Outcome
from app.kernel.ids import new_uid
from app.kernel.regions import NATION
from app.settings import VERSION, shipped
from app.store.engine import Store
from app.store.keys import VaultKey
from app.store.migrate import standing
from app.vault import age

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

_FILES = {rows.DATA: DATA_FILE, rows.KEYS: KEY_FILE, rows.L1: L1_FILE}
# Rows fetched at once: parts of files that were sent in are half a megabyte each.
_CHUNK = 200
_PROGRESS_EVERY = 5_000
_BUSY = N_("Cadangan lain sedang dibuat. Tunggu sampai selesai.")
_NO_ROOM = N_("Cadangan tidak dapat ditulis ke tempatnya. Periksa ruang dan hak tulisnya, lalu buat lagi; tidak ada yang tertinggal.")
Progress = Callable[[int, int], None]
# Told where a backup is, for tests that die there.
At = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Done:
    """A backup that was made. folder: where it lies. seq: the entry that says so."""

    uid: str
    folder: Path
    size: int
    rows: int
    data_bytes: int
    key_bytes: int
    seq: int


@dataclass(slots=True)
class _Counted:
    """Rows and digest of one table, as they go by."""

    columns: list[str]
    rows: int = 0
    state: Hash = field(default_factory=sha256)


def create(room: Backups, actor: Actor, folder: Path, recipients: Sequence[str], progress: Progress, at: At = lambda point: None) -> Done:
    """Make a backup in *folder*, sealed to *recipients*, and return it; all of it stands there under its name, or nothing.

    progress is told (rows done, rows in all). Raises BadInput (field ``recipient``), Conflict while another one is being made here,
    Unavailable when the folder cannot be written (recorded as failed), SealBroken for rows that are none of ours (recorded), TrailDown,
    StoreDown, KeysDown.
    """
    keys = age.parse_recipients(" ".join(recipients))
    uid, now = new_uid(), room.now()
    with _alone(folder):
        # (1)
        write(room.identity, told(room, actor, Action.BACKUP_CREATE, Outcome.INTENT, now, backup=uid))
        hidden = folder / f".gardu-{uid}.part"
        try:
            made = _write(room, _Plan(uid, now, hidden, keys), progress, at)
            # (4)
            final = folder / name_of(uid, now)
            (hidden / L1_FILE).replace(folder / L1_FILE)
            at("placed")
            hidden.rename(final)
            _sync(folder)
            at("named")
        except (GarduError, OSError) as wrong:
            shutil.rmtree(hidden, ignore_errors=True)
            write(room.identity, told(room, actor, Action.BACKUP_CREATE, Outcome.FAILED, room.now(), backup=uid))
            if isinstance(wrong, OSError):
                raise Unavailable(f"{folder}: the backup cannot be written ({wrong.strerror})", public=_NO_ROOM) from None
            raise
        # (5)
        done = _record(room, actor, uid, now, final, made)
        at("recorded")
    return done


@dataclass(frozen=True, slots=True)
class _Plan:
    uid: str
    at: datetime
    hidden: Path
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Written:
    size: int
    rows: int
    digest: bytes
    recipients: tuple[str, ...]


def _write(room: Backups, plan: _Plan, progress: Progress, at: At) -> _Written:
    """(2) and (3): write the three parts of one snapshot into the hidden folder."""
    plan.hidden.mkdir(mode=0o700)
    at("begun")
    beside: dict[str, Json] = {}
    with snapshot(room.guard.store) as connection:
        tables = {table.name: table for table in rows.tables_of(connection)}
        wanted = rows.parts(list(tables))
        base = _base(room, connection, plan)
        count = sum(connection.scalar(select(func.count()).select_from(tables[name])) or 0 for part in wanted.values() for name in part)
        tally, digest = _Tally(count, progress), b""
        for part in (rows.KEYS, rows.L1, rows.DATA):
            writer = _Part(room, connection, part, [tables[name] for name in wanted[part]], base | {"beside": dict(beside)}, tally)
            with (plan.hidden / _FILES[part]).open("xb") as out:
                os.fchmod(out.fileno(), 0o600)
                age.encrypt(writer.chunks(plan.uid), out, plan.recipients)
                out.flush()
                os.fsync(out.fileno())
            digest = sha256(writer.manifest).digest()
            beside[part] = digest.hex()
            at(part)
    _sync(plan.hidden)
    progress(count, count)
    return _Written(int(str(base["size"])), count, digest, plan.recipients)


class _Tally:
    """Tells progress now and then."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total, self._progress, self._done = total, progress, 0

    def add(self, count: int) -> None:
        before, self._done = self._done, self._done + count
        if before // _PROGRESS_EVERY != self._done // _PROGRESS_EVERY:
            self._progress(self._done, self._total)


class _Part:
    """The chunks of one part; its manifest, once they have gone by."""

    def __init__(
        self, room: Backups, connection: Connection, part: str, tables: Sequence[Table], base: dict[str, Json], tally: _Tally
    ) -> None:
        self._connection, self._part, self._tables, self._base, self._tally = connection, part, tables, base, tally
        self._signer = Signer(room.guard.log, room.guard.keys.key("log", NATION).secret)
        self.manifest = b""

    def chunks(self, uid: str) -> Iterator[bytes]:
        """Yield the part. Raises SealBroken for a value of no kind of ours, StoreDown."""
        yield rows.header(self._part, uid, str(self._base["revision"]))
        counted: dict[str, Json] = {}
        for table in self._tables:
            seen = _Counted(table.columns.keys())
            yield rows.table_frame(table)
            yield from self._rows(table, seen)
            counted[table.name] = {"columns": list(seen.columns), "rows": seen.rows, "sha256": seen.state.hexdigest()}
        self.manifest = canonical(self._base | {"part": self._part, "tables": counted})
        yield rows.frame(rows.MANIFEST, self.manifest)
        yield rows.frame(rows.NOTE, self._signer.sign(signed_text(uid, self._part, self.manifest)).encode())

    def _rows(self, table: Table, seen: _Counted) -> Iterator[bytes]:
        result = self._connection.execute(select(table), execution_options={"yield_per": _CHUNK})
        for block in result.partitions():
            content = bytearray()
            for row in block:
                try:
                    content += rows.encoded(row)
                except (TypeError, UnicodeEncodeError):
                    raise SealBroken(f"{table.name}: a value of a kind that no column holds; run gardu audit verify --store") from None
                seen.rows += 1
                if len(content) > rows.FRAME:
                    yield self._frame(content, seen)
                    content = bytearray()
            if content:
                yield self._frame(content, seen)
            self._tally.add(len(block))

    def _frame(self, content: bytearray, seen: _Counted) -> bytes:
        seen.state.update(content)
        return rows.frame(rows.ROWS, bytes(content))


def signed_text(uid: str, part: str, manifest: bytes) -> str:
    """Return what the log's key signs for *part*: no checkpoint's form, so neither can be passed off as the other."""
    return f"{rows.FORMAT}\nset {uid}\npart {part}\nsha256 {sha256(manifest).hexdigest()}\n"


@contextmanager
def snapshot(store: Store) -> Iterator[Connection]:
    """Open one reading transaction that sees one moment throughout. Raises StoreDown."""
    with store.reading() as session:
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if store.dialect == "postgresql" else {}
        yield session.connection(execution_options=options)


def _base(room: Backups, connection: Connection, plan: _Plan) -> dict[str, Json]:
    """Return what every part's manifest says of the set."""
    head = connection.execute(select(TrailHead.size, TrailHead.checkpoint).where(TrailHead.log == room.guard.log)).one_or_none()
    if head is None:
        raise NotThere(f"log {room.guard.log} has no entry")
    epochs: dict[str, Json] = {}
    for purpose, scope, epoch in connection.execute(select(VaultKey.purpose, VaultKey.scope, VaultKey.epoch)):
        by_scope = epochs.setdefault(f"{purpose} {scope}", [])
        assert isinstance(by_scope, list)
        by_scope.append(epoch)
    return {
        "format": rows.FORMAT, "set": plan.uid, "log": room.guard.log, "size": head.size, "checkpoint": head.checkpoint,
        "revision": standing(room.guard.store, shipped("migrations"))[0], "gardu": VERSION, "engine": room.guard.store.dialect,
        "made_at": rfc3339(plan.at), "policies": room.guard.policies.hash, "epochs": epochs,
        "recipients": [age.fingerprint(one) for one in plan.recipients],
    }  # fmt: skip


def _record(room: Backups, actor: Actor, uid: str, now: datetime, final: Path, made: _Written) -> Done:
    """(5): entry and row together; then the newest checkpoint, which holds the entry and so is ahead of the archive."""
    data, key = (final / DATA_FILE).stat().st_size, (final / KEY_FILE).stat().st_size
    ready = told(
        room,
        actor,
        Action.BACKUP_CREATE,
        Outcome.DONE,
        room.now(),
        made.digest,
        backup=uid,
        size=made.size,
        rows=made.rows,
        bytes=data + key,
    )
    row = BackupSet(
        uid=uid, log=room.guard.log, made_at=now, size=made.size, rows=made.rows, data_bytes=data, key_bytes=key, digest=made.digest,
        recipients=" ".join(age.fingerprint(one) for one in made.recipients), actor=actor.uid, keys_gone_at=None, gone_at=None,
    )  # fmt: skip
    row.seal = room.seals.of(BackupSet.__tablename__, fields_of(row))
    with room.identity.store.writing() as session:
        receipt = write_within(room.identity, session, ready)
        row.seq = receipt.seq
        session.add(row)
        session.flush()
        note = session.scalar(select(TrailHead.checkpoint).where(TrailHead.log == room.guard.log)) or ""
    headguard.write(final / NOTE_FILE, note)
    return Done(uid, final, made.size, made.rows, data, key, receipt.seq)


# ---- taking away ----


@dataclass(frozen=True, slots=True)
class Gone:
    """What was taken away: uids whose key archive went, and uids that went whole."""

    keys: tuple[str, ...]
    whole: tuple[str, ...]


def expire(room: Backups, actor: Actor, folder: Path, keep: int, key_days: int = KEY_DAYS) -> Gone:
    """Take away key archives older than *key_days* (30 at most), and data archives beyond the newest *keep* that the log knows of.

    Each backup's going is an entry, written before the files go: if we die between, the next run finds the files again and says so again.
    Raises Unavailable when a file cannot be removed, TrailDown, StoreDown, KeysDown.
    """
    now, limit = room.now(), timedelta(days=min(key_days, KEY_DAYS))
    with room.identity.store.reading() as session:
        known = {row.uid: row.gone_at for row in session.execute(select(BackupSet.uid, BackupSet.gone_at))}
    there = kept(folder)
    mine = [one.uid for one in there if one.uid in known and known[one.uid] is None]
    # Those an earlier run had given up and not taken away yet go too.
    whole = {*mine[max(1, keep) :], *(one.uid for one in there if known.get(one.uid) is not None)}
    keys = {one.uid for one in there if one.keys is not None and now - one.at > limit}
    for one in there:
        if one.uid not in whole | keys:
            continue
        gone = one.uid in whole
        ready = told(room, actor, Action.BACKUP_EXPIRE, Outcome.DONE, now, backup=one.uid, whole=int(gone))
        with room.identity.store.writing() as session:
            mark_gone(room, session, one.uid, now, whole=gone)
            write_within(room.identity, session, ready)
        _remove(one.folder if gone else one.folder / KEY_FILE)
    return Gone(tuple(sorted(keys | whole)), tuple(sorted(whole)))


def _remove(path: Path) -> None:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        _sync(path.parent)
    except OSError as wrong:
        raise Unavailable(f"{path} cannot be removed ({wrong.strerror})", public=_NO_ROOM) from None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold *folder* for one backup at a time, and take away what one before left that was cut off."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / ".gardu.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as wrong:
        raise Unavailable(f"{folder}: the backup cannot be written ({wrong.strerror})", public=_NO_ROOM) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict(f"{folder}: another backup is being made", public=_BUSY) from None
        for left in folder.glob(".gardu-*.part"):
            shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        # Closing lets the lock go, whatever happened; so does dying.
        os.close(lock)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
