"""Who saw this voter: every entry that the touch index names for one subject, and the reports that were made of them.

Beside what ``audit.query`` does, each entry is held against its leaf hash and its number: what is told to a voter must not be a line that
somebody edited in the database.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, UnaryExpression, select

from app.audit.entry import leaf_hash, parse
from app.audit.query import MAX_PAGE, StoredEntry
from app.audit.tables import TouchIndex, TrailEntry
from app.kernel.errors import BadInput, SealBroken
from app.kernel.fields import Action, Outcome, Purpose
from app.store.engine import Store

# A voter who is listed on every working day for eight years. Beyond it a report says that the oldest are missing: it is drawn while
# somebody waits, at a few hundred entries a second.
MOST = 2_000


def touching(store: Store, log: str, token: bytes, *, below: int, limit: int = MOST) -> list[StoredEntry]:
    """Return up to *limit* entries that name the subject of touch token *token*, newest first, with a number below *below*.

    One statement, whatever the number. Raises SealBroken when an entry is not as the log wrote it, StoreDown.
    """
    return _read(store, log, (_names(log, token), TrailEntry.seq < below), TrailEntry.seq.desc(), limit)


def was_loaded(store: Store, log: str, token: bytes, kab: str) -> bool:
    """Say whether the subject of *token* ever came into the roll of *kab* (a kab/kota): every voter did, by an entry that names them.

    A touch alone proves nothing: whoever asks for a voter that never was leaves one too. Raises SealBroken, StoreDown.
    """
    loaded = (TrailEntry.action == Action.VOTER_IMPORT.value, TrailEntry.outcome == Outcome.DONE.value)
    found = _read(store, log, (_names(log, token), *loaded), TrailEntry.seq.asc(), MAX_PAGE)
    return any(one.members["scope"] == kab for one in found)


def reports(store: Store, log: str, actor: str, *, limit: int = 10) -> list[StoredEntry]:
    """Return up to *limit* entries of the reports that *actor* (account uid) made for voters, newest first. Raises SealBroken, StoreDown."""
    made = (TrailEntry.action == Action.TRAIL_EXPORT.value, TrailEntry.purpose == Purpose.PERMINTAAN_SUBJEK.value)
    return _read(store, log, (TrailEntry.actor == actor, *made), TrailEntry.seq.desc(), limit)


def _names(log: str, token: bytes) -> ColumnElement[bool]:
    return TrailEntry.seq.in_(select(TouchIndex.seq).where(TouchIndex.log == log, TouchIndex.token == token))


def _read(store: Store, log: str, where: tuple[ColumnElement[bool], ...], order: UnaryExpression[int], limit: int) -> list[StoredEntry]:
    query = select(TrailEntry.seq, TrailEntry.leaf, TrailEntry.body).where(TrailEntry.log == log, *where).order_by(order).limit(limit)
    with store.reading() as session:
        rows = session.execute(query).all()
    return [_checked(log, row.seq, row.leaf, row.body) for row in rows]


def _checked(log: str, seq: int, leaf: bytes, body: bytes) -> StoredEntry:
    try:
        members = parse(body)
    except (BadInput, TypeError, AttributeError):
        # SQLite may hold a value of another type, if somebody put it there.
        raise _broken(log, seq, "is no entry") from None
    if (members["log"], members["seq"]) != (log, seq) or leaf_hash(body) != leaf:
        raise _broken(log, seq, "is not the one the log wrote")
    return StoredEntry(log, seq, leaf, body, members)


def _broken(log: str, seq: int, what: str) -> SealBroken:
    return SealBroken(f"trail_entry {seq} of {log} {what}; run gardu audit verify")
