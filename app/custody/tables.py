"""The tables of prunings that wait for a second person, of walks that change keys, of voters erased, and of backups."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.store.base import Base

_WAITING = text("state = 'waiting'")
_OPEN = text("state <> 'done'")
_STANDING = text("state IN ('waiting', 'pending', 'done')")


class PruneRequest(Base):
    """One proposal to prune a log to a minimum, and what a second person made of it.

    digest: SHA-256 of what goes, as in the entries' detail. asked_by, decided_by: account uids. state: waiting, done, refused, lapsed.
    seal: ``RecordSeal`` over every other column.
    """

    __tablename__ = "prune_request"
    __table_args__ = (Index("ix_prune_request_waiting", "log", unique=True, sqlite_where=_WAITING, postgresql_where=_WAITING),)
    uid: Mapped[str] = mapped_column(String(26), primary_key=True)
    log: Mapped[str] = mapped_column(String(255))
    minimum: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    reason: Mapped[str] = mapped_column(String(300))
    asked_by: Mapped[str] = mapped_column(String(26))
    asked_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(10))
    decided_by: Mapped[str | None] = mapped_column(String(26))
    decided_at: Mapped[datetime | None]
    seal: Mapped[bytes] = mapped_column(LargeBinary(32))


class Rotation(Base):
    """One walk that puts new keys in the place of old ones, and how far it is.

    kind: kab blind nik data (``custody.rotation.Kind``). scope: the kab/kota, or ``00`` for nik. to_epoch: of the new key; every older one
    goes at the end. state: running paused halted done. place, cursor: the table in hand and the last row of it that was looked at. total,
    done: rows. broken: rows the walk could not turn; trouble: JSON, the first of them. rate: rows per second, 0 for as fast as it goes.
    seal: ``RecordSeal`` over every other column. At most one of a scope is open.
    """

    __tablename__ = "rotation"
    __table_args__ = (
        Index("ix_rotation_open", "scope", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_rotation_started", "started_at"),
    )
    uid: Mapped[str] = mapped_column(String(26), primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    scope: Mapped[str] = mapped_column(String(16))
    to_epoch: Mapped[int]
    state: Mapped[str] = mapped_column(String(8))
    place: Mapped[str] = mapped_column(String(12))
    cursor: Mapped[str] = mapped_column(String(40))
    total: Mapped[int] = mapped_column(BigInteger)
    done: Mapped[int] = mapped_column(BigInteger)
    broken: Mapped[int]
    trouble: Mapped[str] = mapped_column(Text)
    rate: Mapped[int]
    actor: Mapped[str] = mapped_column(String(64))
    office: Mapped[str] = mapped_column(String(32))
    started_at: Mapped[datetime]
    moved_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    seal: Mapped[bytes] = mapped_column(LargeBinary(32))


class VoterErasure(Base):
    """The erasure of one voter, from the asking to the last; from *pending* on it is the voter's tombstone, which every restore must honour.

    kab, voter: whose row it was. asked_by, decided_by: account uids, two people. state: waiting refused withdrawn lapsed, or pending (the
    record key's row is gone) and done (no key that is left opens a copy of it). epoch: the kab's newest ``seal`` epoch when the row went:
    this key and all older ones must go. mark: digest of the name of the provider key that wrapped them last: it must be retired too. seal: ``RecordSeal`` over
    every other column.
    """

    __tablename__ = "voter_erasure"
    __table_args__ = (
        Index("ix_voter_erasure_voter", "kab", "voter", unique=True, sqlite_where=_STANDING, postgresql_where=_STANDING),
        Index("ix_voter_erasure_state", "state", "asked_at"),
    )
    uid: Mapped[str] = mapped_column(String(26), primary_key=True)
    kab: Mapped[str] = mapped_column(String(5))
    voter: Mapped[str] = mapped_column(String(26))
    reason: Mapped[str] = mapped_column(String(300))
    asked_by: Mapped[str] = mapped_column(String(26))
    asked_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(10))
    decided_by: Mapped[str | None] = mapped_column(String(26))
    decided_at: Mapped[datetime | None]
    epoch: Mapped[int | None]
    mark: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    done_at: Mapped[datetime | None]
    seal: Mapped[bytes] = mapped_column(LargeBinary(32))


class BackupSet(Base):
    """One backup that was made, and the entry that says so (seq). made_at: of its snapshot. size: entries of the log in it.

    rows: in all tables. data_bytes, key_bytes: of its archives. digest: SHA-256 of the data archive's manifest, as in the entry.
    recipients: fingerprints, separated by spaces. keys_gone_at, gone_at: when its key archive, or all of it, was taken away. seal:
    ``RecordSeal`` over every other column but seq, which is known only when the entry stands.
    """

    __tablename__ = "backup_set"
    __table_args__ = (Index("ix_backup_set_made_at", "made_at"),)
    uid: Mapped[str] = mapped_column(String(26), primary_key=True)
    log: Mapped[str] = mapped_column(String(255))
    made_at: Mapped[datetime]
    size: Mapped[int] = mapped_column(BigInteger)
    rows: Mapped[int] = mapped_column(BigInteger)
    data_bytes: Mapped[int] = mapped_column(BigInteger)
    key_bytes: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    recipients: Mapped[str] = mapped_column(String(300))
    actor: Mapped[str] = mapped_column(String(64))
    keys_gone_at: Mapped[datetime | None]
    gone_at: Mapped[datetime | None]
    seq: Mapped[int] = mapped_column(BigInteger)
    seal: Mapped[bytes] = mapped_column(LargeBinary(32))


class BackupProof(Base):
    """One restore of a backup into a scratch database, and the entry that says how it went (seq).

    good: 1 when every step held. steps: how many did. digest: of the manifest that was read; empty when none could be. seal: as of a BackupSet.
    """

    __tablename__ = "backup_proof"
    __table_args__ = (Index("ix_backup_proof_at", "at"),)
    uid: Mapped[str] = mapped_column(String(26), primary_key=True)
    backup: Mapped[str] = mapped_column(String(26))
    at: Mapped[datetime]
    good: Mapped[int]
    steps: Mapped[int]
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    actor: Mapped[str] = mapped_column(String(64))
    seq: Mapped[int] = mapped_column(BigInteger)
    seal: Mapped[bytes] = mapped_column(LargeBinary(32))
