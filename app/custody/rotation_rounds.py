"""Work on keys that comes round by itself: rotations go on a slice at a time, erasures that waited a month get their rotation, finished ones are called done.

A slice is short, so that publishing, which shares the thread, is not held up; a process that died is replaced by whoever has the next turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from app.custody import rotation, voter_erasure
from app.custody.room import Custody
from app.custody.turning import Kind
from app.jobs.desk import Jobs
from app.kernel.actor import host_actor
from app.kernel.errors import Conflict, GarduError

# A turn begins so often, and turns rows for so long at most.
EVERY_SECONDS, SLICE_SECONDS = 3.0, 2.0
# Erasures are looked at so often.
LOOK_SECONDS = 600.0
# What a law that says "without delay" bears, and seldom enough that a kab/kota with a few erasures a month is walked once for all of them.
WAIT = timedelta(days=30)


def register(room: Custody, jobs: Jobs) -> None:
    """Make the rounds known."""
    jobs.every(EVERY_SECONDS, "rotation", lambda: go_on(room))
    jobs.every(LOOK_SECONDS, "erasure", lambda: _look(room))


def _look(room: Custody) -> None:
    look_after(room, room.identity.clock.now())


def go_on(room: Custody, *, seconds: float = SLICE_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
    """Turn rows of the rotations at work for up to *seconds*; what stands against one does not hold up the others. Raises StoreDown."""
    end = clock() + seconds
    for uid in rotation.running(room):
        if clock() >= end:
            return
        try:
            rotation.walk(room, uid, lambda done, total: None, until=lambda: clock() >= end)
        except GarduError as error:
            structlog.get_logger().error("rotation stopped", rotation=uid, error=type(error).__name__, detail=error.detail)


def look_after(room: Custody, now: datetime) -> list[str]:
    """Begin the rotations that confirmed erasures have waited for long enough, call finished erasures done; return the rotations begun.

    Raises TrailDown, StoreDown, KeysDown.
    """
    begun = []
    for kab in voter_erasure.overdue(room, now - WAIT):
        try:
            begun.append(rotation.begin(room, host_actor(), Kind.KAB, kab, 0, now))
        except Conflict:
            # One is open there. If it began before the erasure, the next look begins another.
            continue
    voter_erasure.settle(room, now)
    return begun
