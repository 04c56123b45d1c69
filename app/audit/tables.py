"""Tables of the log. Entries are only ever inserted; triggers and the application role refuse the rest."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.fields import Action, Outcome
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


# Every page of any log holds these three; the covering index finds them sooner than one of their own would.
FREQUENT_ACTIONS = (Action.VOTER_REVEAL.value, Action.VOTER_SEARCH.value, Action.SESSION_LOGIN.value)
# What an officer looks for, and rarely finds.
STOPPED = (Outcome.DENIED.value, Outcome.BROKEN.value, Outcome.FAILED.value)
# What partial indexes ask of their rows: an append pays for an index only where its word is rare. A question must say the same in the
# same words, else the database does not see that the index would do.
# One by one, not as a list: for a list SQLite makes a small table anew with every row that is inserted.
RARE_ACTIONS = " AND ".join(f"action <> '{word}'" for word in FREQUENT_ACTIONS)
RARE_OUTCOMES = " AND ".join(f"outcome <> '{word.value}'" for word in Outcome if word.value not in STOPPED)
HAS_MANDATE, HAS_SCOPE = "mandate IS NOT NULL", "scope IS NOT NULL"


def _partial(column: str, only: str, **options: Any) -> Index:
    return Index(f"ix_trail_entry_{column}", "log", column, "seq", sqlite_where=text(only), postgresql_where=text(only), **options)


class TrailEntry(Base):
    """One entry: its RFC 8785 bytes, its leaf hash, and columns copied from the bytes for queries (verify compares them)."""

    __tablename__ = "trail_entry"
    # The officer's desk filters by any of these together: one narrow index that answers alone, in the log's order, and one for each word
    # that may be rare among ten million (audit.ways, bench B9).
    __table_args__ = (
        Index("ix_trail_entry_actor", "log", "actor", "seq"),
        Index("ix_trail_entry_at", "log", "at"),
        _partial("mandate", HAS_MANDATE),
        _partial("action", RARE_ACTIONS),
        _partial("outcome", RARE_OUTCOMES),
        Index("ix_trail_entry_office", "log", "office", "seq"),
        # In the order of characters: what lies inside a region is a range then, whatever language the server sorts by.
        _partial("scope", HAS_SCOPE, postgresql_ops={"scope": "text_pattern_ops"}),
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


class TrailTile(Base):
    """A full Merkle tile (C2SP tlog-tiles): 256 hashes of 32 bytes, and the root over them, which is one hash of the level above."""

    __tablename__ = "trail_tile"
    log: Mapped[str] = mapped_column(String(255), primary_key=True)
    level: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    root: Mapped[bytes] = mapped_column(LargeBinary(32))
    hashes: Mapped[bytes] = mapped_column(LargeBinary)


class TrailPublished(Base):
    """A checkpoint handed to the public: the note with all of the log's own signatures, none of a witness."""

    __tablename__ = "trail_published"
    log: Mapped[str] = mapped_column(String(255), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    note: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]


class TrailCosignature(Base):
    """A witness's signature line on a published checkpoint (C2SP tlog-cosignature). at: the moment it names; witness: the key's name.

    A witness signs one size again and again while nothing is added: that is how it stays fresh.
    """

    __tablename__ = "trail_cosignature"
    __table_args__ = (Index("ix_trail_cosignature_size", "log", "size"),)
    log: Mapped[str] = mapped_column(String(255), primary_key=True)
    key: Mapped[str] = mapped_column(String(8), primary_key=True)  # key id, hex
    at: Mapped[datetime] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    witness: Mapped[str] = mapped_column(String(255))
    line: Mapped[str] = mapped_column(Text)


class TrailStamp(Base):
    """A time stamp (RFC 3161) over the note of a published checkpoint. authority: its address. at: the moment the token names."""

    __tablename__ = "trail_stamp"
    log: Mapped[str] = mapped_column(String(255), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    authority: Mapped[str] = mapped_column(String(255))
    token: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[datetime]


class TrailHalt(Base):
    """The log must not go on (kind ``halt``), or may again (``lift``); the newest row counts. While it says halt nothing is appended.

    size: how many entries somebody outside has seen. note: what they showed, if anything. reason: for operators.
    """

    __tablename__ = "trail_halt"
    log: Mapped[str] = mapped_column(String(255), primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    size: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text)


class PayloadErasure(Base):
    """A payload that was erased, and the entry that says so: in its own log or a later one. digest: as in that entry's detail."""

    __tablename__ = "payload_erasure"
    __table_args__ = (Index("ix_payload_erasure_by", "by_log", "by_seq"),)
    log: Mapped[str] = mapped_column(String(255), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    by_log: Mapped[str] = mapped_column(String(255))
    by_seq: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))


class TrailMinimum(Base):
    """Where a pruned log begins (C2SP tlog-tiles, "Pruning"): minimum is the first entry kept, a multiple of 256; the newest row counts.

    last, frontier: as of the head row at that size. note: the signed checkpoint of exactly that size. by_seq: the entry that two people made.
    at: the latest moment of an entry that went.
    """

    __tablename__ = "trail_minimum"
    log: Mapped[str] = mapped_column(String(255), primary_key=True)
    minimum: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    last: Mapped[bytes] = mapped_column(LargeBinary(32))
    frontier: Mapped[bytes] = mapped_column(LargeBinary)
    note: Mapped[str] = mapped_column(Text)
    by_seq: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]
