"""Who saw this voter: every entry that the touch index names for one subject, and the reports that were made of them.

Beside what ``audit.query`` does, each entry is held against its leaf hash and its number: what is told to a voter must not be a line that
somebody edited in the database.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from app.audit.entry import leaf_hash, parse
from app.audit.query import StoredEntry
from app.audit.tables import RARE_ACTIONS, TouchIndex, TrailEntry, TrailHead
from app.audit.ways import Ordered, Window, look
from app.kernel.errors import BadInput, SealBroken
from app.kernel.fields import Action, Outcome, Purpose
from app.store.engine import Store

# A voter who is listed on every working day for eight years. Beyond it a report says that the oldest are missing: it is drawn while
# somebody waits, at a few hundred entries a second.
MOST = 2_000


# Entries fetched in one statement.
_CHUNK = 500


def touching(store: Store, log: str, token: bytes, *, below: int, limit: int = MOST) -> list[StoredEntry]:
    """Return up to *limit* entries that name the subject of touch token *token*, newest first, with a number below *below*.

    Costs as much as is found, however long the log. Raises SealBroken when an entry is not as the log wrote it, StoreDown.
    """
    touches = Ordered("subject", (TouchIndex.log, TouchIndex.token), (log, token), TouchIndex.seq)
    with store.reading() as session:
        return _read(session, log, touches.newest(session, Window(-1, below), limit))


def was_loaded(store: Store, log: str, token: bytes, kab: str) -> bool:
    """Say whether the subject of *token* ever came into the roll of *kab* (a kab/kota): every voter did, by an entry that names them.

    A touch alone proves nothing: whoever asks for a voter that never was leaves one too. Raises SealBroken, StoreDown.
    """
    loaded = (TrailEntry.action == Action.VOTER_IMPORT.value, TrailEntry.outcome == Outcome.DONE.value)
    mine, last = (TouchIndex.log == log, TouchIndex.token == token), -1
    with store.reading() as session:
        # The oldest first: that is how voters come into the roll.
        while numbers := session.scalars(
            select(TouchIndex.seq).where(*mine, TouchIndex.seq > last).order_by(TouchIndex.seq).limit(_CHUNK)
        ).all():
            if any(one.members["scope"] == kab for one in _read(session, log, numbers, *loaded)):
                return True
            last = numbers[-1]
    return False


def reports(store: Store, log: str, actor: str, *, limit: int = 10) -> list[StoredEntry]:
    """Return up to *limit* entries of the reports that *actor* (account uid) made for voters, newest first. Raises SealBroken, StoreDown."""
    ways = (
        Ordered("actor", (TrailEntry.log, TrailEntry.actor), (log, actor)),
        Ordered("action", (TrailEntry.log, TrailEntry.action), (log, Action.TRAIL_EXPORT.value), only=RARE_ACTIONS),
    )
    asked = {
        "actor": TrailEntry.actor == actor,
        "action": TrailEntry.action == Action.TRAIL_EXPORT.value,
        "purpose": TrailEntry.purpose == Purpose.PERMINTAAN_SUBJEK.value,
    }
    found: list[int] = []
    with store.reading() as session:
        below: int | None = session.scalar(select(TrailHead.size).where(TrailHead.log == log)) or 0
        while below is not None and len(found) < limit:
            looked = look(session, log, ways, asked, Window(-1, below), limit - len(found))
            found, below = [*found, *looked.numbers], looked.reached
        return _read(session, log, found)


def _read(session: Session, log: str, numbers: Sequence[int], *where: ColumnElement[bool]) -> list[StoredEntry]:
    """Return the entries *numbers* (newest or oldest first) that are as *where* says, in their order."""
    found: dict[int, StoredEntry] = {}
    for start in range(0, len(numbers), _CHUNK):
        query = select(TrailEntry.seq, TrailEntry.leaf, TrailEntry.body).where(
            TrailEntry.log == log, TrailEntry.seq.in_(numbers[start : start + _CHUNK]), *where
        )
        found |= {row.seq: _checked(log, row.seq, row.leaf, row.body) for row in session.execute(query)}
    return [found[seq] for seq in numbers if seq in found]


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
