"""What backups need, in one frozen record; their folder, and the rows that say which there are and when one was last proven.

A folder of backups:

    l1.age                                     the wrapped L1 keys, the present ones alone: replaced with every backup
    gardu-20261201T180000Z-<uid>/data.age      everything else
                                 keys.age      the wrapped record keys, 30 days at most
                                 checkpoint    a signed checkpoint that is ahead of the archive: a restore begins with it
    .gardu-<uid>.part/                         one that was cut off; the next run takes it away
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.custody.tables import BackupProof, BackupSet
from app.identity.room import Entry, Identity, entry
from app.kernel.actor import Actor
from app.kernel.clock import rfc3339
from app.kernel.errors import BadInput, SealBroken
from app.kernel.fields import Action, Outcome
from app.settings import Settings
from app.touch import Guard
from app.vault.records import Field, RecordSeal

DATA_FILE, KEY_FILE, NOTE_FILE, L1_FILE = "data.age", "keys.age", "checkpoint", "l1.age"
# Type of an entry's detail; its digest is SHA-256 of the data archive's manifest.
DETAIL = "backup"
# vault.md: a key archive lives 30 days at most, so that an erased voter's key is nowhere after that.
KEY_DAYS = 30
# A backup that was not restored for so long is a hope. ISO/IEC 27001:2022 A.8.13 asks for regular tests; a month goes with the key archive's.
PROVEN_WITHIN = timedelta(days=30)
_NAME = re.compile(r"gardu-(\d{8}T\d{6}Z)-([a-z2-7]{26})", re.ASCII)
_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True, eq=False)
class Backups:
    """The room's objects."""

    guard: Guard
    identity: Identity
    seals: RecordSeal
    settings: Settings

    def now(self) -> datetime:
        """Return the present moment."""
        return self.identity.clock.now()


@dataclass(frozen=True, slots=True)
class Kept:
    """One backup that lies in a folder. at: when its snapshot was taken. data, keys: bytes, None when the file is not there."""

    folder: Path
    uid: str
    at: datetime
    data: int | None
    keys: int | None


@dataclass(frozen=True, slots=True)
class Made:
    """One backup that the log knows of. size: entries of the log in it. sound: its row is as it was written."""

    uid: str
    at: datetime
    size: int
    rows: int
    data_bytes: int
    key_bytes: int
    recipients: tuple[str, ...]
    seq: int
    keys_gone_at: datetime | None
    gone_at: datetime | None
    sound: bool


@dataclass(frozen=True, slots=True)
class Proof:
    """One restore that was tried. good: it was proven. steps: how many of them held. seq: the entry that says so."""

    uid: str
    backup: str
    at: datetime
    good: bool
    steps: int
    seq: int
    sound: bool


def name_of(uid: str, at: datetime) -> str:
    """Return the name of a backup's folder."""
    return f"gardu-{at.astimezone(UTC).strftime(_STAMP)}-{uid}"


def kept(folder: Path) -> list[Kept]:
    """Return the backups in *folder*, newest first; none when there is no such folder."""
    found = []
    for one in sorted(folder.iterdir(), reverse=True) if folder.is_dir() else ():
        name = _NAME.fullmatch(one.name)
        if name is not None and one.is_dir():
            at = datetime.strptime(name[1], _STAMP).replace(tzinfo=UTC)
            found.append(Kept(one, name[2], at, _bytes(one / DATA_FILE), _bytes(one / KEY_FILE)))
    return found


def find(folder: Path) -> Kept:
    """Return the backup whose own folder is *folder*. Raises BadInput (field ``archive``) when it is none, or its data archive is missing."""
    named = folder.resolve()
    for one in kept(named.parent):
        if one.folder == named and one.data is not None:
            return one
    raise BadInput(f"{folder} is no backup: name a folder gardu-…Z-… with {DATA_FILE} in it", field="archive")


def _bytes(file: Path) -> int | None:
    return file.stat().st_size if file.is_file() else None


# ---- rows ----


def backups(room: Backups, limit: int = 60) -> list[Made]:
    """Return the newest backups, newest first. Raises StoreDown, KeysDown."""
    query = select(BackupSet).where(BackupSet.gone_at.is_(None)).order_by(BackupSet.made_at.desc()).limit(limit)
    with room.identity.store.reading() as session:
        return [_made(room, row) for row in session.scalars(query)]


def proofs(room: Backups, limit: int = 20) -> list[Proof]:
    """Return the newest restores that were tried, newest first. Raises StoreDown, KeysDown."""
    with room.identity.store.reading() as session:
        rows = session.scalars(select(BackupProof).order_by(BackupProof.at.desc()).limit(limit))
        return [
            Proof(row.uid, row.backup, row.at, row.good == 1, row.steps, row.seq, _holds(room, BackupProof.__tablename__, row.uid, row))
            for row in rows
        ]


def last_proven(room: Backups) -> Proof | None:
    """Return the newest restore that was proven and whose row nobody changed, or None."""
    return next((one for one in proofs(room) if one.good and one.sound), None)


def is_due(last: Proof | None, now: datetime) -> bool:
    """Say whether the last proven restore is missing or too long ago."""
    return last is None or now - last.at > PROVEN_WITHIN


def _made(room: Backups, row: BackupSet) -> Made:
    return Made(
        row.uid, row.made_at, row.size, row.rows, row.data_bytes, row.key_bytes, tuple(row.recipients.split()), row.seq, row.keys_gone_at,
        row.gone_at, _holds(room, BackupSet.__tablename__, row.uid, row),
    )  # fmt: skip


def _holds(room: Backups, table: str, uid: str, row: BackupSet | BackupProof) -> bool:
    try:
        room.seals.check(table, uid, fields_of(row), row.seal)
    except SealBroken:
        return False
    return True


def fields_of(row: BackupSet | BackupProof) -> Sequence[Field]:
    """Return the sealed columns of *row*, in a fixed order; the entry's number is known only within the transaction and not among them."""
    if isinstance(row, BackupSet):
        return (
            row.uid, row.log, rfc3339(row.made_at), row.size, row.rows, row.data_bytes, row.key_bytes, row.digest, row.recipients, row.actor,
            rfc3339(row.keys_gone_at) if row.keys_gone_at else None, rfc3339(row.gone_at) if row.gone_at else None,
        )  # fmt: skip
    return (row.uid, row.backup, rfc3339(row.at), row.good, row.steps, row.digest, row.actor)


def mark_gone(room: Backups, session: Session, uid: str, now: datetime, *, whole: bool) -> None:
    """Note in the open transaction that a backup's keys, or the *whole* of it, were taken away; a backup without a row is left at that."""
    row = session.get(BackupSet, uid)
    if row is None:
        return
    row.keys_gone_at = row.keys_gone_at or now
    row.gone_at = now if whole else row.gone_at
    row.seal = room.seals.of(BackupSet.__tablename__, fields_of(row))
    session.flush()


def told(
    room: Backups, actor: Actor, action: Action, outcome: Outcome, now: datetime, digest: bytes | None = None, **extra: str | int
) -> Entry:
    """Return the entry of one act on a backup. digest: of its manifest, once there is one."""
    age = int((now - actor.factor_at).total_seconds()) if actor.factor_at else 0
    return entry(
        room.identity, actor, action, outcome, now, method=actor.method, age=max(0, age), detail=(DETAIL, digest) if digest else None,
        extra=extra,
    )  # fmt: skip


def steps_text(steps: Sequence[tuple[str, bool]]) -> str:
    """Return steps as the JSON that a job keeps."""
    return json.dumps([[name, good] for name, good in steps])
