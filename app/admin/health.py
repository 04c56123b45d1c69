"""Health as the running process sees it: the checks of `gardu doctor`, and what the machine's person cannot see from outside.

Each line has a state, a sentence of what was found and, when it is not good, what to do. No secret, no path.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from app.admin import keyring, rules, words
from app.admin.room import Admin
from app.audit import query
from app.custody import health
from app.jobs.desk import STALLED_AFTER
from app.jobs.tables import Job
from app.kernel.errors import NotThere, UnsafeStart
from app.settings import VERSION, shipped
from app.store.migrate import standing

GOOD, LOOK, BAD = "ok", "warn", "stop"
# The officer's verification of the whole log, as ``app.oversight.checking`` queues it; a test holds the two names equal.
VERIFICATION = "verify-log"
# The numbers of the checks of `gardu doctor` and the line each becomes.
_LINES = {1: "keys-open", 2: "guards", 3: "role", 4: "room", 5: "clock", 6: "invites"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the page. what, remedy: msgids with *values*. moment: shown beside, when there is one. code: shown as it is."""

    name: str
    state: str
    what: str
    remedy: str = ""
    values: Mapping[str, str | int] = field(default_factory=dict)
    moment: datetime | None = None
    code: str = ""


def lines(room: Admin, now: datetime) -> list[Line]:
    """Return every line, in a fixed order. Raises StoreDown when the database cannot be asked."""
    return [
        *_doctor(room, now),
        *_database(room),
        _schema(room),
        *_log(room, now),
        _work(room, now),
        _keys(room),
        *_policies(room, now),
        _versions(room),
    ]


def red(room: Admin, now: datetime) -> int:
    """Return how many lines are bad."""
    return sum(line.state == BAD for line in lines(room, now))


def _doctor(room: Admin, now: datetime) -> Iterator[Line]:
    found = health.dangers(room.settings, room.identity.store, now)
    for number, name in _LINES.items():
        mine = [danger for danger in found if danger.check == number]
        if not mine:
            yield Line(name, GOOD, words.FINE[name], values={"free": health.free_bytes(room.settings) // 1024**2})
        for danger in mine:
            what, remedy = words.DANGERS[danger.code]
            # In a demo the passphrase lies open on purpose; the page still says so.
            mild = danger.code in words.MILD or (room.settings.demo and number == 1)
            yield Line(name, LOOK if mild else BAD, what, remedy, danger.values)


def _database(room: Admin) -> Iterator[Line]:
    store = room.identity.store
    read = health.durability(store)
    code = " · ".join(f"{one.name}={one.value}" for one in read)
    bad = [one.name for one in read if not one.good]
    values = {"engine": health.engine(store), "names": ", ".join(bad)}
    if bad:
        yield Line("database", BAD, words.NOT_DURABLE, words.NOT_DURABLE_REMEDY, values, code=code)
    else:
        yield Line("database", GOOD, words.DURABLE, values=values, code=code)


def _schema(room: Admin) -> Line:
    try:
        present, newest = standing(room.identity.store, shipped("migrations"))
    except UnsafeStart:
        return Line("schema", LOOK, words.SCHEMA_UNKNOWN, words.SCHEMA_REMEDY)
    values = {"present": present or "–", "newest": newest or "–"}
    return (
        Line("schema", GOOD, words.SCHEMA, values=values)
        if present == newest
        else Line("schema", BAD, words.SCHEMA_OLD, words.SCHEMA_REMEDY, values)
    )


def _log(room: Admin, now: datetime) -> Iterator[Line]:
    try:
        head = query.head(room.identity.store, room.identity.log)
        yield Line("log", GOOD, words.LOG, values={"size": head.size}, moment=head.changed_at, code=head.log)
    except NotThere:
        yield Line("log", BAD, words.LOG_EMPTY, words.LOG_EMPTY_REMEDY)
    yield _verified(room, now)


def _verified(room: Admin, now: datetime) -> Line:
    runs = room.jobs.latest(VERIFICATION, limit=5)
    last = next((run for run in runs if run.state == "done"), None)
    if last is None:
        running = any(run.state in {"waiting", "running"} for run in runs)
        return Line("verify", LOOK, words.VERIFY_RUNNING if running else words.VERIFY_NEVER, "" if running else words.VERIFY_REMEDY)
    moment = last.finished_at or last.created_at
    if not _clean(last.result):
        return Line("verify", BAD, words.VERIFY_BAD, words.VERIFY_BAD_REMEDY, moment=moment)
    late = now - moment > rules.VERIFY_EVERY
    return Line("verify", LOOK if late else GOOD, words.VERIFY_GOOD, words.VERIFY_REMEDY if late else "", moment=moment)


def _clean(result: Mapping[str, object]) -> bool:
    """Say whether a verification's result says that nothing was found; what cannot be read is not clean."""
    return result.get("found") == 0


def _work(room: Admin, now: datetime) -> Line:
    late = (Job.state == "waiting") & (Job.beat_at < now - rules.WAITING_TOO_LONG)
    silent = (Job.state == "running") & (Job.beat_at < now - STALLED_AFTER)
    with room.identity.store.reading() as session:
        waiting = session.scalar(select(func.count()).select_from(Job).where(late)) or 0
        stalled = session.scalar(select(func.count()).select_from(Job).where(silent)) or 0
    if waiting or stalled:
        return Line("work", BAD, words.WORK_STUCK, words.WORK_REMEDY, {"waiting": waiting, "stalled": stalled})
    return Line("work", GOOD, words.WORK)


def _keys(room: Admin) -> Line:
    answer = keyring.provider(room)
    # What a provider says when it fails can name a path or an address; the operator's log has it.
    return (
        Line("provider", GOOD, words.PROVIDER, code=answer.line)
        if answer.works
        else Line("provider", BAD, words.PROVIDER_DOWN, words.PROVIDER_REMEDY)
    )


def _policies(room: Admin, now: datetime) -> Iterator[Line]:
    policies = room.guard.policies
    yield Line("policy", GOOD, words.POLICY, code=policies.hash)
    reviews = sorted(rule.review for rule in policies.book.engine.rules if rule.review is not None)
    if not reviews:
        yield Line("review", LOOK, words.REVIEW_NONE, words.REVIEW_REMEDY)
        return
    # The day counts until its end, UTC (app.policy.load.Rule.counts_until).
    left = (reviews[0] - now.astimezone(UTC).date()).days
    state = BAD if left < 0 else LOOK if timedelta(days=left) <= rules.REVIEW_SOON else GOOD
    what = words.REVIEW_OVERDUE if left < 0 else words.REVIEW
    yield Line("review", state, what, words.REVIEW_REMEDY if state != GOOD else "", {"day": reviews[0].isoformat(), "days": abs(left)})


def _versions(room: Admin) -> Line:
    code = f"Gardu {VERSION} · Python {platform.python_version()} · {health.engine(room.identity.store)}"
    return Line("versions", GOOD, words.VERSIONS, code=code)
