"""The desk's part in backups: making one now or every night, and proving one by a restore. Knows no web page.

A proof needs the identity that opens the archives. It is typed in for this one proof and lives in the memory of the process that runs it:
no row, queue, file or log line ever holds it. So the work cannot be handed to another process, and is begun anew when this one dies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import func, select, text

from app.admin.room import Admin
from app.audit.tables import RARE_ACTIONS, TrailEntry
from app.custody import backup
from app.custody.backup_check import STEPS, prove
from app.custody.backup_room import L1_FILE, Backups, Kept, Made, Proof, backups, is_due, kept, last_proven, proofs
from app.jobs.desk import JobView, Json, Progress
from app.kernel.actor import Actor, host_actor
from app.kernel.errors import N_, BadInput, Conflict, GarduError, NotThere
from app.kernel.fields import Action, Outcome, Role
from app.kernel.ids import new_uid
from app.store.keys import VaultKey
from app.vault import age
from app.vault.records import RecordSeal

MAKE, DRILL = "backup-create", "backup-verify"
KINDS = (MAKE, DRILL)
# A backup is looked for so often; when it is due it is queued, and takes as long as it takes.
EVERY_SECONDS = 300.0
# After one that failed the next is tried: long enough for somebody to have made room, short enough for the night.
AGAIN = timedelta(hours=1)
# After one of these the newest backup's region keys are not the present ones.
_DESTROYED = (Action.KEY_DESTROY.value, Action.KEY_RETIRE.value)
_NOWHERE = N_("Tempat dan penerima cadangan belum diatur. Isi backup_to dan backup_recipients di config.toml (docs/backup.md).")
_RUNNING = N_("Uji pemulihan lain sedang berjalan. Tunggu sampai selesai.")
_NO_ARCHIVE = N_("Arsip cadangan ini tidak lengkap di tempatnya: tidak ada yang dapat diuji.")


@dataclass(frozen=True, slots=True)
class Line:
    """One backup as the page lists it. there: its files lie in the folder; keys: its key archive does too."""

    made: Made
    there: bool
    keys: bool
    proven_at: datetime | None


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page says. ready: place and recipients are set. last: the newest proven restore. strange: backups that no row names."""

    ready: bool
    lines: list[Line]
    last: Proof | None
    due: bool
    strange: list[Kept]
    jobs: list[JobView]


def backups_of(room: Admin) -> Backups:
    """Return what the custody's backups need."""
    return Backups(room.guard, room.identity, RecordSeal(room.guard.keys), room.settings)


def register(room: Admin) -> None:
    """Make the work known to the jobs room, and what comes round; once per process."""
    room.jobs.register(MAKE, lambda job, progress: _make(room, job, progress))
    if room.settings.backup_to is not None:
        room.jobs.every(EVERY_SECONDS, "backup", lambda: make_when_due(room))


def overview(room: Admin, now: datetime) -> Overview:
    """Return what there is. Raises StoreDown, KeysDown."""
    own, folder = backups_of(room), room.settings.backup_to
    there = {one.uid: one for one in kept(folder)} if folder is not None else {}
    tried = {one.backup: one.at for one in reversed(proofs(own)) if one.good and one.sound}
    known = backups(own)
    lines = [
        Line(one, one.uid in there and there[one.uid].data is not None, one.uid in there and there[one.uid].keys is not None,
             tried.get(one.uid))
        for one in known
    ]  # fmt: skip
    last = last_proven(own)
    strange = [one for uid, one in there.items() if uid not in {made.uid for made in known}]
    jobs = sorted((job for kind in KINDS for job in room.jobs.latest(kind, limit=5)), key=lambda job: job.created_at, reverse=True)
    return Overview(folder is not None, lines, last, is_due(last, now), strange, jobs[:5])


def start_making(room: Admin, actor: Actor) -> str:
    """Queue a backup and return its job's uid; one that is under way already is taken instead. Raises Conflict when no place is set, StoreDown."""
    if room.settings.backup_to is None:
        raise Conflict("backup_to is not set", public=_NOWHERE)
    for job in room.jobs.latest(MAKE, limit=5):
        if not job.over:
            return job.uid
    return room.jobs.start(MAKE, actor.uid, actor.office, {"unit": actor.unit, "region": actor.region, "request": actor.request})


def make_when_due(room: Admin) -> None:
    """Queue the night's backup when its hour has come and none was made since; and one at once when keys were destroyed since the last.

    Until then the copy of the region keys holds what was destroyed, and lacks what replaced it.
    """
    now, hour = room.identity.clock.now(), room.settings.backup_hour
    since = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    since = since if since <= now else since - timedelta(days=1)
    destroyed = _destroyed_at(room)
    made = backups(backups_of(room), limit=1)
    tried = room.jobs.latest(MAKE, limit=1)
    if (
        (made and made[0].at >= max(since, destroyed or since))
        or (_installed_at(room) > since and (destroyed is None or not made))
        or (tried and (not tried[0].over or now - tried[0].created_at < AGAIN))
    ):
        return
    start_making(room, host_actor())


def _installed_at(room: Admin) -> datetime:
    """Return when the installation was made: before its first hour has come nothing was missed. Raises StoreDown."""
    with room.identity.store.reading() as session:
        found = session.scalar(select(func.min(VaultKey.created_at)))
    return found or room.identity.clock.now()


def _destroyed_at(room: Admin) -> datetime | None:
    """Return when keys were last destroyed, or a provider key retired, in this log. Raises StoreDown."""
    told = (
        TrailEntry.log == room.guard.log,
        TrailEntry.action.in_(_DESTROYED),
        text(RARE_ACTIONS),
        TrailEntry.outcome == Outcome.DONE.value,
    )
    with room.identity.store.reading() as session:
        return session.scalar(select(func.max(TrailEntry.at)).where(*told))


def find(room: Admin, uid: str) -> Kept:
    """Return the backup *uid* as it lies in the folder. Raises NotThere, Conflict when an archive of it is missing."""
    folder = room.settings.backup_to
    for one in kept(folder) if folder is not None else ():
        if one.uid == uid:
            if one.data is None or one.keys is None or not (one.folder.parent / L1_FILE).is_file():
                raise Conflict(f"backup {uid}: an archive is missing", public=_NO_ARCHIVE)
            return one
    raise NotThere("no such backup in backup_to")


def start_drill(room: Admin, actor: Actor, uid: str, typed: str) -> str:
    """Begin a restore for trial in this process, and return its job's uid. typed: the age identity, which is kept nowhere.

    Raises BadInput (field ``identity``), NotThere, Conflict while another one runs or an archive is missing, StoreDown.
    """
    found, identity = find(room, uid), age.Identity(typed)
    if any(not job.over for job in room.jobs.latest(DRILL, limit=5)):
        raise Conflict("a restore for trial is running", public=_RUNNING)
    return room.jobs.start_here(
        DRILL, actor.uid, actor.office, {"backup": uid}, lambda job, progress: _drill(room, actor, found, identity, progress)
    )


def job_of(room: Admin, uid: str) -> JobView:
    """Return a job of this desk. Raises NotThere."""
    job = room.jobs.find(uid)
    if job.kind not in KINDS:
        raise NotThere("a job of another kind")
    return job


def _make(room: Admin, job: JobView, progress: Progress) -> Mapping[str, Json]:
    folder, own, actor = room.settings.backup_to, backups_of(room), _worker(job)
    if folder is None:
        raise Conflict("backup_to is not set", public=_NOWHERE)
    try:
        recipients = age.parse_recipients(room.settings.backup_recipients)
    except BadInput as wrong:
        raise Conflict(wrong.detail, public=_NOWHERE) from None
    done = backup.create(own, actor, folder, recipients, progress)
    result: dict[str, Json] = {
        "backup": done.uid, "rows": done.rows, "size": done.size, "bytes": done.data_bytes + done.key_bytes, "seq": done.seq, "expired": 0,
    }  # fmt: skip
    try:
        gone = backup.expire(own, actor, folder, room.settings.backup_keep, room.settings.backup_key_days)
        result["expired"] = len(gone.keys)
    except GarduError as wrong:
        # The new backup stands; that an old one could not be taken away is the operator's to see to.
        structlog.get_logger().error("old backups could not be taken away", code=wrong.code, detail=wrong.detail)
        result["expired"] = -1
    return result


def _drill(room: Admin, actor: Actor, found: Kept, identity: age.Identity, progress: Progress) -> Mapping[str, Json]:
    done = prove(backups_of(room), actor, found, identity, progress)
    if done.trouble:
        structlog.get_logger().error("a backup was not proven", backup=found.uid, step=done.steps + 1, detail=done.trouble)
    return {
        "backup": done.backup, "good": done.good, "steps": done.steps, "of": len(STEPS), "rows": done.rows, "size": done.size,
        "seq": done.seq, "scratch": done.scratch,
    }  # fmt: skip


def _worker(job: JobView) -> Actor:
    """Return whoever asked as the process that works for them."""
    detail = job.detail
    return Actor(
        uid=job.actor, office=job.office, unit=str(detail.get("unit", "")), role=Role.PROSES, roles=frozenset({Role.PROSES}),
        region=str(detail.get("region", "00")), request=str(detail.get("request") or new_uid()),
    )  # fmt: skip


def place(folder: Path | None) -> str:
    """Return the folder's own name for the page; where it lies is the machine's affair."""
    return folder.name if folder is not None else ""
