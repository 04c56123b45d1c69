"""What must hold before anything is served, and what comes round while it is."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256

import structlog
from sqlalchemy import func, select

from app.audit import headguard, published, stamp
from app.audit.entry import draft_for
from app.audit.tables import TrailEntry
from app.jobs.desk import Jobs
from app.kernel.actor import host_actor
from app.kernel.errors import NotThere, SealBroken, UnsafeStart
from app.kernel.fields import Action, Outcome
from app.openlog import publisher
from app.openlog.publisher import publish
from app.openlog.room import OpenLog
from app.openlog.witnesses import missing_rows, unfounded_lifts

# Stamps are due hourly; looking more often costs one query, and an authority that was away is asked again soon.
STAMP_SECONDS = 300.0
# audit.md, "Faults": a clock that is further behind what it said before has stepped back.
STEP = timedelta(seconds=2)


def register(room: OpenLog, jobs: Jobs) -> None:
    """Make the recurring work known: publishing with the witnesses' signatures, and hourly time stamps where an authority is set."""
    jobs.every(publisher.EVERY_SECONDS, "publish", lambda: _publish(room))
    if room.timestamp_url:
        jobs.every(STAMP_SECONDS, "stamp", lambda: _stamp(room))


def _publish(room: OpenLog) -> None:
    now = room.now()
    if (behind := clock_behind(room, now)) is not None:
        structlog.get_logger().error("the clock stepped back", seconds=round(behind.total_seconds()))
    publish(room, now)


def clock_behind(room: OpenLog, now: datetime) -> timedelta | None:
    """Return how far *now* is before the latest moment that any entry names, if it is more than a clock's error; else None.

    Entries keep their order all the same; what they say of the time is then not to be trusted, and somebody must look. Raises StoreDown.
    """
    with room.guard.store.reading() as session:
        latest = session.scalar(select(func.max(TrailEntry.at)).where(TrailEntry.log == room.log))
    return latest - now if latest is not None and latest - now > STEP else None


def _stamp(room: OpenLog) -> None:
    stamp.take(room.guard.store, room.log, room.timestamp_url, room.timestamp_roots, room.now())


def demand_safe_start(room: OpenLog, now: datetime) -> None:
    """Refuse to serve a log that is halted, behind its head guard, short of its witnesses, or not what its head says.

    The witnesses are asked here once, so that an old backup is noticed before the first page and not after. A witness that is away does
    not keep the guard from serving; what needs it will wait. Raises UnsafeStart, StoreDown, KeysDown.
    """
    if room.head_guard is not None:
        headguard.check(room.guard.store, room.log, room.head_guard, room.verifier)
    _demand_not_halted(room)
    try:
        if gone := missing_rows(room):
            raise UnsafeStart(
                f"{gone} approved lists of witnesses are gone from the database though the log tells of them; run gardu audit verify"
            )
        if unfounded := unfounded_lifts(room):
            raise UnsafeStart(f"{unfounded} halts of log {room.log} were lifted by rows that no entry speaks of; run gardu audit verify")
        publish(room, now, ask_again=True)
    except SealBroken as broken:
        raise UnsafeStart(broken.detail) from None
    except OSError as error:
        raise UnsafeStart(f"the head guard cannot be written: {error}") from None
    _demand_not_halted(room)


def begin_head_guard(room: OpenLog, now: datetime) -> int:
    """Write the head guard's file anew from the database as it is, and return its size.

    For its first use, and after the log was opened anew: whoever runs it on an old backup throws the protection away. Raises UnsafeStart
    without the setting, NotThere while the log is empty, OSError, SealBroken, StoreDown.
    """
    if room.head_guard is None:
        raise UnsafeStart("no head_guard in config.toml: name a file on another disk than the database (docs/settings.md)")
    found = publish(room, now)
    if found is None:
        raise NotThere("the log is empty")
    headguard.write(room.head_guard, found.note)
    return found.size


def _demand_not_halted(room: OpenLog) -> None:
    with room.guard.store.reading() as session:
        found = published.halted(session, room.log)
    if found is not None:
        raise UnsafeStart(f"log {room.log} is halted since {found.at:%Y-%m-%d %H:%M} UTC: {found.reason}. See docs/retention.md")


def resume(room: OpenLog, reason: str, now: datetime) -> tuple[int, int]:
    """Lift a halt, together with its entry, and return the size that was claimed and the entry's number.

    For when somebody has found out that the witness is wrong, not we: claims of up to that size no longer stop the log. Raises NotThere
    when it is not halted, TrailDown.
    """
    with room.guard.store.reading() as session:
        found = published.halted(session, room.log)
    if found is None:
        raise NotThere(f"log {room.log} is not halted")
    at = max(now, found.at + timedelta(microseconds=1))
    detail = (published.RESUME, sha256(reason.encode()).digest())
    draft = draft_for(host_actor(), Action.WITNESS_CHANGE, Outcome.DONE, now, detail=detail)
    with room.guard.store.writing() as session:
        published.lift_within(session, room.log, published.Halt(found.size, reason, found.note, at))
        receipt = room.guard.trail.append_within(session, draft)
    return found.size, receipt.seq
