"""How the log stands towards the outside: what is published, who has signed it, what has stopped it, which hours have no stamp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.audit import published, stamp
from app.audit.published import Halt, Published
from app.kernel.errors import SealBroken
from app.openlog.room import OpenLog
from app.openlog.witnesses import Standing, standing

# Missing stamps are shown for so long; entries that a later stamp contradicts are found by ``gardu audit verify`` however old.
LOOK_BACK = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Stamps:
    """Time stamps. asked: an authority is set. newest: moment, size and authority, or None. missing: hours of ``LOOK_BACK`` without one."""

    asked: bool
    newest: tuple[datetime, int, str] | None
    missing: Sequence[datetime]


@dataclass(frozen=True, slots=True)
class State:
    """The log as an outsider may know it. note: the newest published checkpoint with all signatures. stand: None when its rows do not hold."""

    published: Published | None
    note: str
    stand: Standing | None
    halt: Halt | None
    stamps: Stamps


def state(room: OpenLog, now: datetime) -> State:
    """Return how the log stands at *now*. Raises StoreDown, KeysDown."""
    newest = published.newest(room.guard.store, room.log)
    note = published.with_cosignatures(room.guard.store, room.log, newest) if newest else ""
    return State(newest, note, standing_or_none(room, now), halt(room), stamps(room, now))


def standing_or_none(room: OpenLog, now: datetime) -> Standing | None:
    """Return how the witnesses stand, or None when their rows were changed past us: the page must say so rather than fail."""
    try:
        return standing(room.books, now)
    except SealBroken:
        return None


def halt(room: OpenLog) -> Halt | None:
    """Return why the log does not go on, or None when it does. Raises StoreDown."""
    with room.guard.store.reading() as session:
        return published.halted(session, room.log)


def stamps(room: OpenLog, now: datetime) -> Stamps:
    """Return the newest time stamp and the hours that lack one; without an authority none is expected. Raises StoreDown."""
    asked = bool(room.timestamp_url)
    last = stamp.newest(room.guard.store, room.log)
    missing = stamp.gaps(room.guard.store, room.log, now - LOOK_BACK, now) if asked else []
    return Stamps(asked, (last.at, last.size, last.authority) if last else None, missing)
