"""Reading the log: for a person's own activity, for officers, for receipts. Checks nothing; ``audit.verify`` does."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, select

from app.audit.entry import parse
from app.audit.members import Entry
from app.audit.tables import TouchIndex, TrailEntry, TrailHead, TrailPayload
from app.kernel.errors import BadInput, NotThere, SealBroken
from app.store.engine import Store

# A page of entries; more than anybody reads at once.
MAX_PAGE = 200
# What the column holds; a larger number from an address bar must not reach the driver.
_MAX_SEQ = 2**63 - 1


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One entry as it stands in the log: its place, its leaf hash, its bytes and their members."""

    log: str
    seq: int
    leaf: bytes
    body: bytes
    members: Entry


@dataclass(frozen=True, slots=True)
class LogHead:
    """Where a log ends: its size, its newest signed checkpoint, and the moment of its last entry."""

    log: str
    size: int
    checkpoint: str
    changed_at: datetime


def head(store: Store, log: str) -> LogHead:
    """Return where *log* ends. Raises NotThere while it has no entry."""
    with store.reading() as session:
        row = session.get(TrailHead, log)
        if row is None or row.size == 0:
            raise NotThere(f"log {log} has no entry")
        return LogHead(row.log, row.size, row.checkpoint, row.changed_at)


def entry_at(store: Store, log: str, seq: int) -> StoredEntry:
    """Return entry *seq* of *log*. Raises NotThere when there is none, SealBroken when its bytes are not an entry."""
    found = _entries(store, log, _of(log).where(TrailEntry.seq == seq)) if 0 <= seq <= _MAX_SEQ else []
    if not found:
        raise NotThere(f"log {log} has no entry {seq}")
    return found[0]


def by_actor(store: Store, log: str, actor: str, *, before: int | None = None, limit: int = 50) -> list[StoredEntry]:
    """Return up to *limit* (1…200) entries of *actor*, newest first, with a sequence number below *before* when it is given."""
    return _page(store, log, TrailEntry.actor == actor, before, limit)


def by_request(store: Store, log: str, request: str, *, since: datetime | None = None) -> list[StoredEntry]:
    """Return up to 200 entries of one request id, newest first; *since* (aware) bounds how far back is searched."""
    condition = TrailEntry.request == request
    return _page(store, log, condition if since is None else condition & (TrailEntry.at >= since), None, MAX_PAGE)


def by_subject(store: Store, log: str, token: bytes, actions: Collection[str], *, limit: int = 50) -> list[StoredEntry]:
    """Return up to *limit* (1…200) entries of *actions* that name the subject of touch token *token*, newest first."""
    touched = select(TouchIndex.seq).where(TouchIndex.log == log, TouchIndex.token == token)
    return _page(store, log, TrailEntry.seq.in_(touched) & TrailEntry.action.in_(actions), None, limit)


def payload_at(store: Store, log: str, seq: int) -> tuple[str, bytes, bytes] | None:
    """Return day, wrapped key and sealed bytes of entry *seq*'s payload, or None when it has none."""
    where = (TrailPayload.log == log, TrailPayload.seq == seq)
    with store.reading() as session:
        row = session.execute(select(TrailPayload.day, TrailPayload.wrapped, TrailPayload.sealed).where(*where)).one_or_none()
    return None if row is None else (row.day, row.wrapped, row.sealed)


def _of(log: str) -> Select[int, bytes, bytes]:
    return select(TrailEntry.seq, TrailEntry.leaf, TrailEntry.body).where(TrailEntry.log == log)


def _page(store: Store, log: str, condition: ColumnElement[bool], before: int | None, limit: int) -> list[StoredEntry]:
    if not 1 <= limit <= MAX_PAGE:
        raise BadInput(f"limit must be 1 to {MAX_PAGE}", field="limit")
    statement = _of(log).where(condition).order_by(TrailEntry.seq.desc()).limit(limit)
    return _entries(store, log, statement if before is None else statement.where(TrailEntry.seq < max(0, min(before, _MAX_SEQ))))


def _entries(store: Store, log: str, statement: Select[int, bytes, bytes]) -> list[StoredEntry]:
    with store.reading() as session:
        rows = session.execute(statement).all()
    try:
        return [StoredEntry(log, row.seq, row.leaf, row.body, parse(row.body)) for row in rows]
    except BadInput as wrong:
        raise SealBroken(f"trail_entry of {log}: {wrong.detail}; run gardu audit verify") from None
