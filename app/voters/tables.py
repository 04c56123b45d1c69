"""Tables of the roll. A row loads sealed; only region, TPS, election, row status and versions stand in clear."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.store.base import Base


class Voter(Base):
    """One voter's row: clear columns, fourteen sealed cells (c00 is the source's DPID), its blind indexes, one seal.

    b_nik stands here too, so that the seal can cover it without a look into the national table. load: the load it came with (NULL: loaded
    before this was kept); the seal does not cover it, the log does (``custody.storecheck``).
    """

    __tablename__ = "voter"
    __table_args__ = (
        Index("ix_voter_place", "kab", "election", "desa", "tps", "uid"),
        Index("ix_voter_b_nkk", "kab", "election", "b_nkk"),
        Index("ix_voter_b_nd", "kab", "election", "b_nd"),
        Index("ix_voter_load", "kab", "load", "uid"),
    )
    kab: Mapped[str] = mapped_column(String(5), primary_key=True)
    uid: Mapped[str] = mapped_column(String(26), primary_key=True)
    kec: Mapped[str] = mapped_column(String(8))
    desa: Mapped[str] = mapped_column(String(13))
    tps: Mapped[str] = mapped_column(String(8))
    election: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(8))
    row_version: Mapped[int]
    key_epoch: Mapped[int]
    c00: Mapped[bytes] = mapped_column(LargeBinary)
    c01: Mapped[bytes] = mapped_column(LargeBinary)
    c02: Mapped[bytes] = mapped_column(LargeBinary)
    c03: Mapped[bytes] = mapped_column(LargeBinary)
    c04: Mapped[bytes] = mapped_column(LargeBinary)
    c05: Mapped[bytes] = mapped_column(LargeBinary)
    c06: Mapped[bytes] = mapped_column(LargeBinary)
    c07: Mapped[bytes] = mapped_column(LargeBinary)
    c08: Mapped[bytes] = mapped_column(LargeBinary)
    c09: Mapped[bytes] = mapped_column(LargeBinary)
    c10: Mapped[bytes] = mapped_column(LargeBinary)
    c11: Mapped[bytes] = mapped_column(LargeBinary)
    c12: Mapped[bytes] = mapped_column(LargeBinary)
    c13: Mapped[bytes] = mapped_column(LargeBinary)
    b_nik: Mapped[bytes] = mapped_column(LargeBinary)
    b_nkk: Mapped[bytes] = mapped_column(LargeBinary)
    b_nd: Mapped[bytes] = mapped_column(LargeBinary)
    seal: Mapped[bytes] = mapped_column(LargeBinary)
    load: Mapped[str | None] = mapped_column(String(26))


class VoterKey(Base):
    """The wrapped record key of one voter (its own table: its own backup rule)."""

    __tablename__ = "voter_key"
    kab: Mapped[str] = mapped_column(String(5), primary_key=True)
    uid: Mapped[str] = mapped_column(String(26), primary_key=True)
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)
    epoch: Mapped[int]


class NikIndex(Base):
    """The national blind index on NIK (40 bits, keyed per election)."""

    __tablename__ = "nik_index"
    b_nik: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    election: Mapped[str] = mapped_column(String(16), primary_key=True)
    kab: Mapped[str] = mapped_column(String(5), primary_key=True)
    uid: Mapped[str] = mapped_column(String(26), primary_key=True)


class Quarantine(Base):
    """A row of a load that could not enter the roll: sealed whole, under its own key, with the reasons in clear (never values)."""

    __tablename__ = "quarantine"
    __table_args__ = (Index("ix_quarantine_load", "load", "row_no"),)
    kab: Mapped[str] = mapped_column(String(5), primary_key=True)
    uid: Mapped[str] = mapped_column(String(26), primary_key=True)
    election: Mapped[str] = mapped_column(String(16))
    load: Mapped[str] = mapped_column(String(26))
    row_no: Mapped[int]  # 1 is the first row after the header
    reasons: Mapped[str] = mapped_column(Text)  # field:reason pairs, comma-separated
    key_epoch: Mapped[int]
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)
    cell: Mapped[bytes] = mapped_column(LargeBinary)
    seal: Mapped[bytes] = mapped_column(LargeBinary)


# The rows of such a load lie where they were, and are no part of the roll.
UNDONE = "undone"
_LIVE = text(f"state <> '{UNDONE}'")


class Load(Base):
    """One file loaded (or being loaded): how far it came, and its control totals.

    layout: which cell of the file is which column; upload: the file it came as, None for a command's. seal: over every other column
    (``voters.loads``); None for a load from before it was kept.
    """

    __tablename__ = "load"
    __table_args__ = (
        Index("ix_load_digest", "digest", "election", unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE),
        Index("ix_load_kab", "kab", "started_at"),
        Index("ix_load_state", "state"),
    )
    uid: Mapped[str] = mapped_column(String(26), primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))  # keyed HMAC-SHA-256 of the file's bytes
    kab: Mapped[str] = mapped_column(String(5))
    election: Mapped[str] = mapped_column(String(16))
    actor: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(8))  # running, done, undone
    rows_read: Mapped[int] = mapped_column(default=0)
    rows_sealed: Mapped[int] = mapped_column(default=0)
    rows_quarantined: Mapped[int] = mapped_column(default=0)
    warnings: Mapped[str] = mapped_column(Text, default="{}")  # JSON {reason: count}
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    layout: Mapped[str | None] = mapped_column(String(128))
    upload: Mapped[str | None] = mapped_column(String(26))
    undone_at: Mapped[datetime | None]
    undone_by: Mapped[str | None] = mapped_column(String(64))
    seal: Mapped[bytes | None] = mapped_column(LargeBinary(32))


class Upload(Base):
    """A file that was sent in and lies sealed until it is loaded, discarded or forgotten; its parts stand in ``upload_part``.

    Nothing of its content or name is here: suffix is what the name ended in, mapping says which cell is which column by numbers. state:
    waiting started done gone. wrapped: the file's key. seal: over every other column.
    """

    __tablename__ = "upload"
    __table_args__ = (Index("ix_upload_kab", "kab", "created_at"), Index("ix_upload_state", "state", "created_at"))
    uid: Mapped[str] = mapped_column(String(26), primary_key=True)
    kab: Mapped[str] = mapped_column(String(5))
    election: Mapped[str] = mapped_column(String(16))
    actor: Mapped[str] = mapped_column(String(64))
    office: Mapped[str] = mapped_column(String(32))
    unit: Mapped[str] = mapped_column(String(16))
    suffix: Mapped[str] = mapped_column(String(8))
    size: Mapped[int]
    rows_estimate: Mapped[int]
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    state: Mapped[str] = mapped_column(String(10))
    mapping: Mapped[str] = mapped_column(Text)  # JSON {DP4 column: cell from 0}
    key_epoch: Mapped[int]
    wrapped: Mapped[bytes] = mapped_column(LargeBinary(61))
    job: Mapped[str | None] = mapped_column(String(26))
    load: Mapped[str | None] = mapped_column(String(26))
    created_at: Mapped[datetime]
    seal: Mapped[bytes] = mapped_column(LargeBinary(32))


class UploadPart(Base):
    """One sealed part of an uploaded file (``vault.parts``)."""

    __tablename__ = "upload_part"
    upload: Mapped[str] = mapped_column(String(26), ForeignKey("upload.uid"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    bytes: Mapped[bytes] = mapped_column(LargeBinary)


class Election(Base):
    """An election: its id (e.g. ``2029``) and voting day."""

    __tablename__ = "election"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    voting_day: Mapped[date]


class StageEntry(Base):
    """The stage calendar: from *since* on the election stands at *stage* in *kab*. Only ever added to."""

    __tablename__ = "stage_calendar"
    election: Mapped[str] = mapped_column(String(16), primary_key=True)
    kab: Mapped[str] = mapped_column(String(5), primary_key=True)
    since: Mapped[datetime] = mapped_column(primary_key=True)
    stage: Mapped[str] = mapped_column(String(8))
    actor: Mapped[str] = mapped_column(String(64))
