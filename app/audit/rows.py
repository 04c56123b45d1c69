"""The log's rows: locking the head, inserting a batch, advancing the head. Used by ``audit.trail`` only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from sqlalchemy import Connection, Table, bindparam, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.audit.chain import GENESIS, Head, Placed
from app.audit.entry import Draft, Unplaced, entry_hash, leaf_hash, opened_bits
from app.audit.note import Verifier, open_note
from app.audit.published import halted
from app.audit.tables import TouchIndex, TrailCheckpoint, TrailEntry, TrailHead, TrailPayload
from app.audit.tree import HASH_SIZE, Frontier
from app.kernel.errors import GarduError, TrailDown
from app.kernel.payload import SealedPayload
from app.store.bulk import field, put, put_copied, row_head

# A head row that has no entry yet.
_EMPTY = {"size": 0, "last": GENESIS, "frontier": b"", "checkpoint": "", "changed_at": datetime(1970, 1, 1, tzinfo=UTC)}
_HEAD = cast(Table, TrailHead.__table__)
_ENTRIES = cast(Table, TrailEntry.__table__)
_PAYLOADS = cast(Table, TrailPayload.__table__)
_TOUCHES = cast(Table, TouchIndex.__table__)
_CHECKPOINTS = cast(Table, TrailCheckpoint.__table__)
# Built once: making a statement anew for each batch costs more than running it.
_LOCK_HEAD = (
    select(_HEAD.c.size, _HEAD.c.last, _HEAD.c.frontier, _HEAD.c.checkpoint).where(_HEAD.c.log == bindparam("of")).with_for_update()
)
_MOVE_HEAD = (
    update(_HEAD)
    .where(_HEAD.c.log == bindparam("of"))
    .values({name: bindparam(name) for name in ("size", "last", "frontier", "checkpoint", "changed_at")})
)
_SIGNED = insert(_CHECKPOINTS)
_DURABLE = text("SET LOCAL synchronous_commit = on")


@dataclass(frozen=True, slots=True)
class Row:
    """What becomes one row of each table: the serialised entry, the draft it came from, the payload beside it."""

    entry: Unplaced
    draft: Draft
    payload: SealedPayload | None

    @property
    def at(self) -> datetime:
        """The entry's moment."""
        return self.draft.at


def lock(session: Session, log: str) -> tuple[Head, str]:
    """Lock the head row of *log*, making it when the log is new; return the head and its stored checkpoint ("" when new).

    On SQLite the caller's BEGIN IMMEDIATE is the lock. Raises TrailDown when the log is halted, when the row is missing though entries
    exist, or when its columns do not fit together.
    """
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        # Whatever the server or role says, an acknowledged entry is on disk.
        connection.execute(_DURABLE)
    row = connection.execute(_LOCK_HEAD, {"of": log}).one_or_none()
    if row is None:
        # Two processes may both come first: one insert waits for the other and then does nothing.
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(_HEAD).values({**_EMPTY, "log": log}).on_conflict_do_nothing())
        row = connection.execute(_LOCK_HEAD, {"of": log}).one()
    if (found := halted(session, log)) is not None:
        raise TrailDown(f"log {log} is halted: {found.reason}; see docs/retention.md, then gardu audit reopen or gardu audit resume")
    # Only now, with the row locked, can nobody be adding the first entries meanwhile.
    if row.size == 0 and session.execute(select(TrailEntry.seq).where(TrailEntry.log == log).limit(1)).first():
        raise TrailDown(f"trail_head of {log} is missing or empty, yet the log has entries; run gardu audit verify")
    try:
        return Head(log, row.last, Frontier.unpack(row.size, row.frontier)), row.checkpoint
    except (ValueError, TypeError):
        raise TrailDown(f"trail_head of {log}: size and frontier do not fit together; run gardu audit verify") from None


def check_head(session: Session, head: Head, newest: str, verifier: Verifier) -> None:
    """Check a non-empty head row against its signed checkpoint and the last entry. Raises TrailDown when they differ."""
    try:
        opened = open_note(newest, [verifier])
    except GarduError as wrong:
        raise TrailDown(f"trail_head of {head.log}: {wrong.detail}; run gardu audit verify") from None
    last = session.execute(
        select(TrailEntry.body, TrailEntry.leaf).where(TrailEntry.log == head.log, TrailEntry.seq == head.size - 1)
    ).one_or_none()
    whole = last is not None and entry_hash(last.body) == head.last and leaf_hash(last.body) == last.leaf
    if opened.text != head.checkpoint().text() or not whole:
        raise TrailDown(f"trail_head of {head.log} does not match its checkpoint or last entry; run gardu audit verify")


def insert_batch(session: Session, log: str, batch: Sequence[Row], placed: Sequence[Placed]) -> None:
    """Insert entries, payloads and touch tokens, each kind in one statement."""
    connection = session.connection()
    both = list(zip(batch, placed, strict=True))
    stored = cast("Callable[[datetime], object]", _ENTRIES.c.at.type.dialect_impl(connection.dialect).bind_processor(connection.dialect))
    put(connection, _ENTRIES, [(log, at.seq, at.leaf, at.body, stored(row.at), *_copied(row.draft)) for row, at in both])
    sealed = [(at.seq, row.payload) for row, at in both if row.payload is not None]
    put(connection, _PAYLOADS, [(log, seq, box.day, box.wrapped, box.sealed) for seq, box in sealed])
    _insert_touches(connection, log, [(seq, sorted(frozenset(box.tokens))) for seq, box in sealed])


def _insert_touches(connection: Connection, log: str, touched: Sequence[tuple[int, list[bytes]]]) -> None:
    """Insert the tokens of each entry, in the order of the index they go into. A load's entry has thousands."""
    if connection.dialect.name == "sqlite":
        put(connection, _TOUCHES, [(log, token, seq) for seq, tokens in touched for token in tokens])
        return
    before = row_head(_TOUCHES) + field(log.encode()) + HASH_SIZE.to_bytes(4, "big")
    behind = [(field(seq.to_bytes(8, "big")), tokens) for seq, tokens in touched]
    put_copied(connection, _TOUCHES, [before + (end + before).join(tokens) + end for end, tokens in behind if tokens])


def _copied(draft: Draft) -> tuple[str | int | None, ...]:
    """Return the query columns from ``actor`` on, as plain strings and one number."""
    words = (draft.actor, draft.office, draft.action, draft.outcome, draft.scope, draft.purpose, draft.request, draft.mandate)
    return (*(None if word is None else str(word) for word in words), opened_bits(draft.fields))


def advance(session: Session, head: Head, checkpoint: str, at: datetime) -> None:
    """Store the batch's checkpoint and move the head row on. *at* is the last entry's moment."""
    connection = session.connection()
    connection.execute(_SIGNED, {"log": head.log, "size": head.size, "note": checkpoint})
    moved = {
        "of": head.log,
        "size": head.size,
        "last": head.last,
        "frontier": head.frontier.pack(),
        "checkpoint": checkpoint,
        "changed_at": at,
    }
    connection.execute(_MOVE_HEAD, moved)
