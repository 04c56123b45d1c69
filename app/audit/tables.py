"""Tables of the log. Entries are only ever inserted; triggers and the application role refuse the rest."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.store.base import Base


class TrailHead(Base):
    """One row per log: where it ends. The only trail row that is ever updated, in the named columns below."""

    __tablename__ = "trail_head"
    log: Mapped[str] = mapped_column(String(255), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)  # number of entries
    last: Mapped[bytes] = mapped_column(LargeBinary)  # SHA-256 of the last entry's bytes; 32 zero bytes when empty
    frontier: Mapped[bytes] = mapped_column(LargeBinary)  # RFC 6962 compact range: the perfect subtrees' hashes, largest first
    checkpoint: Mapped[str] = mapped_column(Text)  # the newest signed checkpoint
    changed_at: Mapped[datetime]


class TrailEntry(Base):
    """One entry: its RFC 8785 bytes, its leaf hash, and columns copied from the bytes for queries (verify compares them)."""

    __tablename__ = "trail_entry"
    # The officer's desk filters by any of these together: one narrow index that answers alone, in the log's order (bench B9).
    __table_args__ = (
        Index("ix_trail_entry_actor", "log", "actor", "seq"),
        Index("ix_trail_entry_at", "log", "at"),
        Index("ix_trail_entry_mandate", "log", "mandate", "seq"),
        Index("ix_trail_entry_desk", "log", "seq", "at", "actor", "office", "action", "outcome", "scope", "purpose", "elements"),
    )
    log: Mapped[str] = mapped_column(String(255), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    leaf: Mapped[bytes] = mapped_column(LargeBinary)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(64))
    office: Mapped[str | None] = mapped_column(String(32))
    action: Mapped[str] = mapped_column(String(32))
    outcome: Mapped[str] = mapped_column(String(16))
    scope: Mapped[str | None] = mapped_column(String(16))
    purpose: Mapped[str | None] = mapped_column(String(32))
    request: Mapped[str | None] = mapped_column(String(64))
    mandate: Mapped[str | None] = mapped_column(String(26))
    # Bit n-1 for element n shown as more than "recorded"; NULL in entries from before the column, which may have shown any.
    elements: Mapped[int | None]


class TrailPayload(Base):
    """The sealed part of an entry. Erasing ``wrapped`` (part 3) leaves every proof valid."""

    __tablename__ = "trail_payload"
    log: Mapped[str] = mapped_column(String(255), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    day: Mapped[str] = mapped_column(String(10))
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


class TrailCheckpoint(Base):
    """A signed checkpoint (C2SP tlog-checkpoint) per batch commit."""

    __tablename__ = "trail_checkpoint"
    log: Mapped[str] = mapped_column(String(255), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    note: Mapped[str] = mapped_column(Text)


class TouchIndex(Base):
    """Who saw this voter: a keyed token of the subject's uid points at the entries that name it."""

    __tablename__ = "touch_index"
    log: Mapped[str] = mapped_column(String(255), primary_key=True)
    token: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
