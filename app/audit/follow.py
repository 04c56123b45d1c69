"""Follows the log from a cursor: batches in order, without a gap, each handed over before the cursor moves past it.

At least once: a batch that was handed over, while we died before the cursor said so, is handed over again. The cursor names the log too:
after the last entry of a log that was restored under the next number comes entry 0 of that next log.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit import headguard
from app.audit.canonical import canonical
from app.audit.family import are_kin, number_of, up_to
from app.audit.pruning import minimum_in
from app.audit.siem_entry import Item, item_of
from app.audit.tables import TrailEntry, TrailHead
from app.kernel.errors import BadInput, SealBroken, Unavailable
from app.store.engine import Store

# Entries handed over at once, and so the most that is repeated: about 1 MB of records.
BATCH = 500
# How often the head is looked at while nothing new is there.
POLL_SECONDS = 1.0
# Pauses after a failure: doubled each time, up to a minute.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_MAX_CURSOR = 4096


@dataclass(frozen=True, slots=True)
class Position:
    """The next entry to hand over: its log and its number."""

    log: str
    seq: int


class Cursor:
    """Where a follower stands, kept in a file: ``{"log":…,"seq":…}``, the next entry to hand over."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def load(self) -> Position | None:
        """Return the position kept, or None while there is no file.

        Raises BadInput when the file holds anything else: a cursor that was lost must not begin again unnoticed. Raises OSError.
        """
        try:
            with self._file.open("rb") as file:
                said = json.loads(file.read(_MAX_CURSOR))
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError):
            said = None
        if isinstance(said, dict) and said.keys() == {"log", "seq"}:
            log, seq = said["log"], said["seq"]
            if isinstance(log, str) and type(seq) is int and 0 <= seq < 2**63:
                return Position(log, seq)
        raise BadInput(
            f'cursor {self._file}: not {{"log":…,"seq":…}}; put it right, or remove it to begin again with --from', field="cursor"
        )

    def save(self, at: Position) -> None:
        """Replace the file, synced to disk; if we die at any line the old or the new position stands there, whole. Raises OSError."""
        headguard.write(self._file, canonical({"log": at.log, "seq": at.seq}).decode("utf-8") + "\n")


class Source:
    """The installation's logs, read on from any position.

    current: returns the name of the log that is being written now. say: told, in words, when something that was expected is not there.
    """

    def __init__(self, store: Store, current: Callable[[], str], say: Callable[[str], None]) -> None:
        self._store, self._current, self._say = store, current, say

    def batch(self, at: Position) -> tuple[list[Item], Position]:
        """Return up to BATCH entries from *at* on and the position after them; none and the same position when nothing is new.

        At the end of a log that is written no more: none, and the beginning of the next one. Raises BadInput when *at* is of no log that
        leads to the present one, SealBroken when entries are missing or not as they were hashed, or the log ends before *at*: then the
        database is older than what was handed over. Raises StoreDown.
        """
        current = self._current()
        with self._store.reading() as session:
            following = _following(session, at.log, current)
            size = session.scalar(select(TrailHead.size).where(TrailHead.log == at.log))
            if following is None and (size or 0) < at.seq:
                raise SealBroken(
                    f"log {at.log} ends at {size or 0}, but everything up to {at.seq} was handed over: the database is older than the "
                    "cursor. An old backup must not go on under the same name (gardu audit reopen)"
                )
            if size is not None and at.seq < size:
                return self._entries(session, at, size)
        if following is None:
            return [], at
        if size is None or size < at.seq:
            self._say(f"log {at.log} ends at {size or 0} here, handed over up to {at.seq}; going on with {following}")
        return [], Position(following, 0)

    def _entries(self, session: Session, at: Position, size: int) -> tuple[list[Item], Position]:
        pruned = minimum_in(session, at.log)
        if pruned is not None and at.seq < pruned.minimum:
            self._say(f"entries {at.seq} to {pruned.minimum - 1} of {at.log} were pruned; going on with {pruned.minimum}")
            return [], Position(at.log, pruned.minimum)
        end = min(size, at.seq + BATCH)
        rows = session.execute(
            select(TrailEntry.seq, TrailEntry.leaf, TrailEntry.body)
            .where(TrailEntry.log == at.log, TrailEntry.seq >= at.seq, TrailEntry.seq < end)
            .order_by(TrailEntry.seq)
        ).all()
        if [row.seq for row in rows] != list(range(at.seq, end)):
            raise SealBroken(f"entries {at.seq} to {end - 1} of {at.log} are not all there; run gardu audit verify")
        return [item_of(at.log, row.seq, row.leaf, row.body) for row in rows], Position(at.log, end)


def _following(session: Session, log: str, current: str) -> str | None:
    """Return the log that goes on where *log* ends, None when *log* is the *current* one."""
    if log == current:
        return None
    if not are_kin(log, current) or number_of(log) > number_of(current):
        raise BadInput(f"the cursor is of log {log}, which does not lead to {current}", field="cursor")
    later = [name for name in up_to(current) if number_of(name) > number_of(log)]
    there = set(session.scalars(select(TrailHead.log).where(TrailHead.log.in_(later))))
    return next((name for name in later if name in there), current)


def _no_fault(_point: str) -> None:
    """Do nothing; tests pass something that dies here."""


def follow(
    source: Source,
    cursor: Cursor,
    give: Callable[[Sequence[Item]], None],
    start: Position,
    stop: threading.Event,
    *,
    wait: Callable[[str], None] | None = None,
    faults: Callable[[str], None] = _no_fault,
) -> tuple[Position, int]:
    """Hand everything from *start* on to *give* and return where it ended and how many entries that were.

    give: returns once the records are in other hands, raises Unavailable when they are not known to be. wait: None ends at the end of the
    log, and with the first Unavailable; otherwise goes on until *stop*, and *wait* is told of each trouble before the next try. faults:
    called at ``given`` and ``saved``, for tests that kill there. Raises what Source.batch and Cursor.save raise.
    """
    at, given, pause = start, 0, _FIRST_PAUSE
    while not stop.is_set():
        try:
            items, after = source.batch(at)
            if items:
                give(items)
        except Unavailable as trouble:
            if wait is None:
                raise
            wait(f"{trouble.detail}; again in {pause:.0f} s")
            stop.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            continue
        pause = _FIRST_PAUSE
        if after == at:
            if wait is None:
                break
            stop.wait(POLL_SECONDS)
            continue
        # If we die here, these records come a second time.
        faults("given")
        cursor.save(after)
        at, given = after, given + len(items)
        faults("saved")
    return at, given
