"""The whole log's verification as background work: asked for on a page, done by the jobs room, both ends recorded in the log itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from app.audit.report import Finding
from app.audit.verify import StoredPayload, verify
from app.custody.storecheck import check_store
from app.identity.room import entry, write
from app.jobs.desk import JobView, Json, Progress
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotThere, TrailDown
from app.kernel.fields import Action, Outcome, Purpose, Role
from app.kernel.ids import new_uid
from app.oversight.room import Oversight

KIND = "verify-log"
# As ``gardu audit verify`` shows them: the first is what matters, the rest says how far it goes.
SHOWN = 20
HISTORY = 20
_STORE = N_("Simpanan tidak sama dengan jejak: %(rinci)s")


@dataclass(frozen=True, slots=True)
class Said:
    """One finding of a finished verification. message: a msgid, params: its values."""

    seq: int | None
    message: str
    params: Mapping[str, object]


def register(room: Oversight) -> None:
    """Make the work known to the jobs room; once per process, before anything is started."""
    room.jobs.register(KIND, lambda job, progress: _work(room, job, progress))


def start(room: Oversight, actor: Actor, with_store: bool, now: datetime) -> str:
    """Begin a verification and return its job's uid; one that is under way already is taken instead. Raises TrailDown, StoreDown."""
    for job in room.jobs.latest(KIND, limit=HISTORY):
        if not job.over:
            return job.uid
    request = new_uid()
    told: dict[str, str | int] = {"verification": request, "store": int(with_store)}
    write(room.identity, entry(room.identity, actor, Action.TRAIL_VERIFY, Outcome.INTENT, now, purpose=Purpose.AUDIT, extra=told))
    return room.jobs.start(
        KIND, actor.uid, actor.office, {"store": with_store, "request": request, "unit": actor.unit, "region": actor.region}
    )


def again(room: Oversight, uid: str) -> None:
    """Begin a verification anew that was cut off. Raises NotThere when it was not."""
    find(room, uid)
    room.jobs.again(uid)


def find(room: Oversight, uid: str) -> JobView:
    """Return a verification. Raises NotThere."""
    job = room.jobs.find(uid)
    if job.kind != KIND:
        raise NotThere("a job of another kind")
    return job


def history(room: Oversight) -> list[JobView]:
    """Return the newest verifications, newest first."""
    return room.jobs.latest(KIND, limit=HISTORY)


def findings(job: JobView) -> list[Said]:
    """Return what a finished verification found, at most SHOWN."""
    said = job.result.get("findings", [])
    return [Said(one["seq"], one["message"], one["params"]) for one in said] if isinstance(said, list) else []


def _work(room: Oversight, job: JobView, progress: Progress) -> Mapping[str, Json]:
    guard, with_store = room.guard, bool(job.detail.get("store"))
    parts = 2 if with_store else 1

    def open_payload(box: StoredPayload) -> bytes:
        return guard.payloads.open(box.sealed, box.wrapped, box.day, guard.log, box.commitment)

    report = verify(
        guard.store, guard.log, guard.trail.vkey, open_payload=open_payload, token=guard.payloads.token,
        progress=lambda done, total: progress(done, total * parts), witnesses=room.outside.keys(),
    )  # fmt: skip
    found = [*report.findings, *islice(room.outside.findings(), SHOWN + 1)]
    if with_store:
        found += _store_findings(room, lambda done, total: progress(total + done, total * 2))
    now, worker = room.identity.clock.now(), _worker(job)
    outcome = Outcome.FAILED if found else Outcome.DONE
    told: dict[str, str | int] = {
        "verification": str(job.detail.get("request", "")), "store": int(with_store), "size": report.size, "findings": len(found),
    }  # fmt: skip
    try:
        write(room.identity, entry(room.identity, worker, Action.TRAIL_VERIFY, outcome, now, purpose=Purpose.AUDIT, extra=told))
    except TrailDown:
        # A log that cannot be written can still be checked; what was found is said all the same.
        recorded = False
    else:
        recorded = True
    return {
        "recorded": recorded,
        "size": report.size,
        "store": with_store,
        "found": len(found),
        "checkpoint": report.checkpoint,
        "findings": [{"seq": one.seq, "message": one.message, "params": dict(one.params)} for one in found[:SHOWN]],
    }


def _store_findings(room: Oversight, progress: Callable[[int, int], None]) -> list[Finding]:
    # One more than is shown says that there are more; the command lists all of them.
    return [Finding(one.seq, _STORE, {"seq": one.seq, "rinci": one.what}) for one in islice(check_store(room.guard, progress), SHOWN + 1)]


def _worker(job: JobView) -> Actor:
    """Return the officer as the process that works for them."""
    detail = job.detail
    return Actor(
        uid=job.actor, office=job.office, unit=str(detail.get("unit", "")), role=Role.PROSES, roles=frozenset({Role.PROSES}),
        region=str(detail.get("region", "00")), request=str(detail.get("request", "")),
    )  # fmt: skip
