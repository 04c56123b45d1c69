"""Proves a backup by really restoring it: into a scratch database, which is then looked at as if it were the present one, and thrown away.

    (1) opens    the identity opens every archive, and this installation's key provider the L1 keys
    (2) rows     every row goes into an empty database; digests and counts are those of the manifests
    (3) signed   the manifests are signed by the log's key, of one backup, the one that the log's entry names
    (4) log      chain, tree, signed head and payloads of the restored log hold
    (5) prefix   the restored log is the beginning of the present one
    (6) store    the seal of every restored row holds, and each is what the log says was written; the indexes made anew fit

An entry says that it began and how it ended, and a row keeps how it ended. The identity stays in this process's memory and stands nowhere.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from sqlalchemy import select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from app.audit.family import up_to
from app.audit.note import Signer, open_note, parse_checkpoint
from app.audit.tables import TrailHead
from app.audit.tiles import Tiles
from app.audit.verify import StoredPayload, verify
from app.custody.backup_load import Loaded, Source, load
from app.custody.backup_room import L1_FILE, Backups, Kept, fields_of, told
from app.custody.storecheck import check_store
from app.custody.tables import BackupProof, BackupSet
from app.identity.room import write, write_within
from app.kernel.actor import Actor
from app.kernel.errors import N_, BadInput, NotThere, SealBroken
from app.kernel.fields import Action, Outcome
from app.kernel.ids import new_uid
from app.kernel.regions import NATION
from app.store.engine import Store
from app.store.keys import WrappedKeys
from app.touch import Guard
from app.vault import age
from app.vault.payload import PayloadBox

STEPS: tuple[str, ...] = (
    N_("Kunci rahasia membuka semua arsip, dan penyedia kunci membuka kunci wilayahnya."),
    N_("Semua baris masuk ke basis data kosong; jumlah dan sidiknya sesuai daftar isi."),
    N_("Daftar isi ditandatangani kunci jejak audit dan berasal dari satu cadangan."),
    N_("Jejak audit yang dipulihkan utuh: rantai, pohon, tanda tangan, dan muatannya."),
    N_("Jejak itu awal dari jejak yang sekarang; tidak ada riwayat lain."),
    N_("Segel setiap baris utuh dan sesuai yang tertulis di jejak; indeks baru cocok."),
)
# What each of them is called at the machine.
WORDS = ("archives open", "rows and digests", "manifests signed", "log whole", "log is the present one's beginning", "store and seals")
# load's own steps → ours.
_OF_LOAD = {1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 3}
_SCRATCH = ".gardu-drill-"
# A finding or two say what is wrong; the rest says how far it goes, and nobody repairs a scratch database.
_MOST = 5
_CUT_OFF_SECONDS = 86_400.0
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Proven:
    """How a proof went. steps: how many of STEPS held, in order. trouble: what stopped it, for operators; "" when all held. seq: its entry."""

    uid: str
    backup: str
    good: bool
    steps: int
    trouble: str
    rows: int
    size: int
    scratch: str
    seq: int


def prove(room: Backups, actor: Actor, backup: Kept, identity: age.Identity, progress: Progress, l1: Path | None = None) -> Proven:
    """Restore *backup* into a scratch database, look at everything, and record how it went.

    l1: the file of L1 keys, by default the newest of the backup's own folder. progress is told (hundredths done, 100). Raises BadInput when
    it could not be tried (field ``identity``: sealed to somebody else; ``archive``: a file is missing), TrailDown, StoreDown, KeysDown; all
    but the last three are recorded as failed.
    """
    began = room.now()
    write(room.identity, told(room, actor, Action.BACKUP_VERIFY, Outcome.INTENT, began, backup=backup.uid))
    walk = _Walk(room, Source(backup, l1 or backup.folder.parent / L1_FILE, None, identity, room.guard.log), progress)
    try:
        with scratch(room) as (store, what):
            walk.scratch = what
            walk.run(store)
    except BadInput:
        write(room.identity, told(room, actor, Action.BACKUP_VERIFY, Outcome.FAILED, room.now(), backup=backup.uid))
        raise
    except SealBroken as broken:
        walk.trouble = broken.detail
    progress(100, 100)
    return _recorded(room, actor, walk, backup.uid)


class _Walk:
    """The steps, and how far they came."""

    def __init__(self, room: Backups, source: Source, progress: Progress) -> None:
        self._room, self._source, self._progress = room, source, progress
        self.step, self.trouble, self.scratch, self.rows, self.size, self.digest = 0, "", "", 0, 0, b""

    def run(self, store: Store) -> None:
        """Take every step. Raises SealBroken at the first that does not hold; ``step`` is the last that began."""
        loaded = load(self._source, store, self._room.guard.keys, self._share(0, 60), self._of_load)
        self.rows, self.size, self.digest = loaded.rows, loaded.data.size, loaded.data.digest
        self._demand_named(loaded)
        keys = self._room.guard.keys.over(WrappedKeys(store))
        guard = replace(self._room.guard, store=store, keys=keys, payloads=PayloadBox(keys))
        self.step = 4
        self._demand_log(guard, loaded)
        self.step = 5
        self._demand_prefix(loaded)
        self.step = 6
        _demand_clean([f"entry {one.seq}: {one.what}" for one in islice(check_store(guard, self._share(80, 100)), _MOST)])
        self.step = len(STEPS) + 1

    def _of_load(self, number: int) -> None:
        self.step = _OF_LOAD[number]

    def _share(self, start: int, end: int) -> Progress:
        return lambda done, total: self._progress(start + (end - start) * done // max(1, total), 100)

    def _demand_named(self, loaded: Loaded) -> None:
        """The manifest is the one that the entry of the backup names; a backup from before this log's last restore has no row."""
        with self._room.identity.store.reading() as session:
            digest = session.scalar(select(BackupSet.digest).where(BackupSet.uid == loaded.data.uid))
        if self._source.backup.uid != loaded.data.uid:
            raise SealBroken("backup: its folder has another backup's name")
        if digest is not None and digest != loaded.data.digest:
            raise SealBroken("backup: its manifest is not the one that the log's entry names")

    def _demand_log(self, guard: Guard, loaded: Loaded) -> None:
        for log in up_to(guard.log):
            try:
                self._verify(guard, log)
            except NotThere:
                if log == guard.log:
                    raise SealBroken(f"backup: nothing of log {log} was restored") from None
        with guard.store.reading() as session:
            head = session.get(TrailHead, guard.log)
            ends = (head.size, head.checkpoint) if head is not None else None
        if ends != (loaded.data.size, loaded.data.said.get("checkpoint")):
            raise SealBroken("backup: the restored log ends elsewhere than its manifest says")

    def _verify(self, guard: Guard, log: str) -> None:
        def open_payload(box: StoredPayload) -> bytes:
            return guard.payloads.open(box.sealed, box.wrapped, box.day, log, box.commitment)

        vkey = Signer(log, guard.keys.key("log", NATION).secret).vkey
        report = verify(guard.store, log, vkey, open_payload=open_payload, token=guard.payloads.token, progress=self._share(60, 80))
        _demand_clean([f"{log}: {one.what}" for one in report.findings[:_MOST]])

    def _demand_prefix(self, loaded: Loaded) -> None:
        demand_prefix(self._room.guard.store, self._room.guard.log, loaded)


def demand_prefix(store: Store, log: str, loaded: Loaded) -> None:
    """Raise SealBroken unless the backup's log is the beginning of *log* in *store*: a fork has other entries, or more."""
    mark = parse_checkpoint(open_note(str(loaded.data.said.get("checkpoint")), [loaded.verifier]).text)
    with store.reading() as session:
        head = session.get(TrailHead, log)
        size = head.size if head else 0
        if mark.size > size:
            raise SealBroken(f"backup: it has {mark.size} entries of {log}, the present log {size}: a history that is not this one's past")
        if mark.size and Tiles(session, log, size).subtree(0, mark.size) != mark.root:
            raise SealBroken(f"backup: its {mark.size} entries of {log} are not the present log's first: another history")


def _demand_clean(found: list[str]) -> None:
    if found:
        raise SealBroken("; ".join(found))


def _recorded(room: Backups, actor: Actor, walk: _Walk, backup: str) -> Proven:
    """Write the row and the entry together: from then on the proof is the newest."""
    now, uid, good = room.now(), new_uid(), not walk.trouble
    outcome = Outcome.DONE if good else Outcome.FAILED
    ready = told(room, actor, Action.BACKUP_VERIFY, outcome, now, walk.digest or None, backup=backup, steps=walk.step - 1, rows=walk.rows)
    row = BackupProof(
        uid=uid, backup=backup, at=now, good=int(good), steps=max(0, walk.step - 1), digest=walk.digest, actor=actor.uid
    )  # fmt: skip
    row.seal = room.seals.of(BackupProof.__tablename__, fields_of(row))
    with room.identity.store.writing() as session:
        receipt = write_within(room.identity, session, ready)
        row.seq = receipt.seq
        session.add(row)
        session.flush()
    return Proven(uid, backup, good, max(0, walk.step - 1), walk.trouble, walk.rows, walk.size, walk.scratch, receipt.seq)


# ---- where it is restored to ----


@contextmanager
def scratch(room: Backups) -> Iterator[tuple[Store, str]]:
    """Yield an empty database of our own, and what it is; it is gone afterwards.

    On PostgreSQL a database of its own, when the owner may make one (CREATEDB); otherwise a SQLite file in the data directory, in a folder
    that nobody else may enter: an archive goes into either engine, so a proof there says as much of the backup, though not of the server.
    """
    owner = Store(room.settings.owner_database, pool_size=1)
    try:
        if owner.dialect == "postgresql" and _may_create(owner):
            with _database(owner) as store:
                yield store, "postgresql"
            return
    finally:
        owner.dispose()
    _clear(room.settings.data)
    folder = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=room.settings.data))
    store = Store(f"sqlite:///{folder / 'drill.db'}", pool_size=2)
    try:
        yield store, "sqlite"
    finally:
        store.dispose()
        shutil.rmtree(folder, ignore_errors=True)


def _clear(data: Path) -> None:
    """Take away what a proof left behind that was cut off; one that still runs has written within the last day."""
    for left in data.glob(f"{_SCRATCH}*"):
        with contextlib.suppress(OSError):
            if time.time() - max(one.stat().st_mtime for one in (left, *left.iterdir())) > _CUT_OFF_SECONDS:
                shutil.rmtree(left)


def _may_create(owner: Store) -> bool:
    with owner.reading() as session:
        return bool(session.execute(text("SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user")).scalar_one())


@contextmanager
def _database(owner: Store) -> Iterator[Store]:
    left = "SELECT datname FROM pg_database WHERE datname LIKE 'gardu\\_drill\\_%' AND datname NOT IN (SELECT datname FROM pg_stat_activity WHERE datname IS NOT NULL)"
    with owner.reading() as session:
        gone = [str(name) for name in session.scalars(text(left)) if re.fullmatch("gardu_drill_[0-9a-f]{12}", str(name))]
    for name in gone:
        # Nobody is in it: whoever made it was cut off, or has just made it and is told so.
        with contextlib.suppress(DBAPIError):
            _run(owner, f"DROP DATABASE {name}")
    name = f"gardu_drill_{secrets.token_hex(6)}"
    url = make_url(owner.engine.url).set(database=name).render_as_string(hide_password=False)
    _run(owner, f"CREATE DATABASE {name}")
    store = Store(url, pool_size=2)
    try:
        yield store
    finally:
        store.dispose()
        with contextlib.suppress(DBAPIError):
            _run(owner, f"DROP DATABASE {name} WITH (FORCE)")


def _run(owner: Store, statement: str) -> None:
    with owner.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
