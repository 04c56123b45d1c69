"""Exports of exactly the rows that the desk shows: made at once when they are few, else as background work, recorded before they leave.

Files hold what entries hold, which is nothing personal. They lie in the data directory, readable by the server alone: a small one without
a name, for as long as it is sent; a long one for an hour, for the officer who asked.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import BinaryIO

from app.audit import desk, query
from app.audit.canonical import Json as EntryJson
from app.audit.desk import Filter
from app.audit.entry import moment
from app.identity.room import entry, write
from app.jobs.desk import JobView, Json, Progress
from app.kernel.actor import Actor
from app.kernel.clock import rfc3339
from app.kernel.errors import N_, BadInput, Conflict, NotThere, SealBroken
from app.kernel.fields import Action, Outcome, Purpose, Role
from app.kernel.ids import new_uid
from app.kernel.regions import NATION
from app.oversight import asking, sheets
from app.oversight.asking import Asked
from app.oversight.room import Oversight
from app.oversight.sheets import Form, Line
from app.web.i18n import translator

KIND = "export-trail"
# What a spreadsheet opens with ease; the whole log has a command of its own (gardu audit export).
MOST = 100_000
# What is made while somebody waits: a second or two.
AT_ONCE = 5_000
KEPT = timedelta(hours=1)
_SHOWN = 5
_CHUNK = 1 << 20
_TOO_MANY = N_(
    "Ada lebih dari 100.000 baris untuk saringan ini. Persempit dengan waktu yang lebih pendek, pelaku, kegiatan, atau wilayah, lalu "
    "ekspor lagi; atau ekspor bagian demi bagian menurut waktu."
)
_BUSY = N_("Ekspor Anda yang lain masih dikerjakan. Tunggu sampai selesai, lalu mulai yang ini.")


@dataclass(frozen=True, slots=True)
class Made:
    """A file ready to be handed out. file: open at its beginning, the caller's to close. seq: of the entry that says so."""

    file: BinaryIO
    form: Form
    size: int
    seq: int


def register(room: Oversight) -> None:
    """Make the work known to the jobs room; once per process, before anything is started."""
    room.jobs.register(KIND, lambda job, progress: _work(room, job, progress))


def export(room: Oversight, actor: Actor, asked: Asked, form: Form, language: str, now: datetime) -> Made | str:
    """Return the file of all rows of *asked*, or the uid of the job that makes it when they are more than AT_ONCE.

    What is recorded before anything leaves: the filters in the sealed payload, and the SHA-256 of the file. Raises Conflict while another
    export of this officer is at work, TrailDown, StoreDown, KeysDown.
    """
    sweep(room, now)
    store, log = room.identity.store, room.identity.log
    top = query.head(store, log).size
    few = desk.numbers(store, log, asked.wanted, before=top, limit=AT_ONCE + 1)
    if len(few.numbers) > AT_ONCE or few.reached is not None:
        return _start(room, actor, asked, form, language, top, now)
    file = tempfile.TemporaryFile(dir=room.exports)  # noqa: SIM115  handed to the caller
    try:
        rows, digest, size = _fill(room, file, form, language, actor.office, _rows(room, asked.wanted, top))
        told: dict[str, EntryJson] = {"form": form.value, "rows": rows, "below": top}
        receipt = _record(room, actor, Outcome.DONE, asked, now, told, digest)
    except BaseException:
        file.close()
        raise
    return Made(file, form, size, receipt)


def find(room: Oversight, actor: Actor, uid: str) -> JobView:
    """Return an export of *actor*. Raises NotThere when it is another's, or none: one answer."""
    job = room.jobs.find(uid)
    if job.kind != KIND or job.actor != actor.uid:
        raise NotThere("no export of this officer")
    return job


def again(room: Oversight, actor: Actor, uid: str) -> None:
    """Begin an export anew that was cut off. Raises NotThere."""
    find(room, actor, uid)
    room.jobs.again(uid)


def at_hand(room: Oversight, actor: Actor, now: datetime) -> list[JobView]:
    """Return the exports of *actor* that are at work or can be fetched, newest first."""
    return [job for job in room.jobs.latest(KIND, actor=actor.uid, limit=_SHOWN) if not job.over or is_kept(job, now)]


def is_kept(job: JobView, now: datetime) -> bool:
    """Say whether a finished export can still be fetched."""
    return job.state == "done" and job.finished_at is not None and now - job.finished_at <= KEPT


def fetch(room: Oversight, actor: Actor, uid: str, now: datetime) -> Made:
    """Return a long export's file; the fetching is recorded first.

    Raises NotThere (another's, not ready, or older than KEPT), SealBroken when its bytes are not those recorded, TrailDown.
    """
    sweep(room, now)
    job = find(room, actor, uid)
    if not is_kept(job, now):
        raise NotThere("this export is not kept any more")
    try:
        file = (room.exports / uid).open("rb")
    except FileNotFoundError:
        raise NotThere("this export's file is gone") from None
    try:
        digest, size = _digest(file)
        if digest.hex() != job.result["sha256"]:
            raise SealBroken(f"export {uid} is not the file that its entry names")
        seq = int(str(job.result["seq"]))
        reading = entry(
            room.identity, actor, Action.TRAIL_READ, Outcome.ALLOWED, now, purpose=Purpose.AUDIT, extra={"query": {"export": seq}}
        )
        write(room.identity, reading)
    except BaseException:
        file.close()
        raise
    return Made(file, Form(str(job.detail["form"])), size, seq)


def sweep(room: Oversight, now: datetime) -> None:
    """Delete the files of exports that are over: fetched or not, they go after KEPT."""
    for file in room.exports.iterdir():
        try:
            job = room.jobs.find(file.name)
        except NotThere:
            # Of XLSX at work, or left by a process that died: as old as no export at work can be.
            if now.timestamp() - file.stat(follow_symlinks=False).st_mtime > KEPT.total_seconds():
                file.unlink(missing_ok=True)
            continue
        if job.over and not is_kept(job, now):
            file.unlink(missing_ok=True)


def _start(room: Oversight, actor: Actor, asked: Asked, form: Form, language: str, top: int, now: datetime) -> str:
    if any(not job.over for job in room.jobs.latest(KIND, actor=actor.uid, limit=_SHOWN)):
        raise Conflict("an export of this officer is at work", public=_BUSY)
    # Written down before it begins, with the voter when one was asked for: the job knows a pseudonym at most.
    _record(room, actor, Outcome.INTENT, asked, now, {"form": form.value, "below": top})
    given = {**asked.given, "actor": asked.wanted.actor, "subject": asked.wanted.subject.hex() if asked.wanted.subject else ""}
    detail: dict[str, Json] = {
        "given": {name: value for name, value in given.items() if value}, "form": form.value, "language": language, "top": top,
        "at": rfc3339(now), "unit": actor.unit, "region": actor.region, "request": new_uid(),
    }  # fmt: skip
    return room.jobs.start(KIND, actor.uid, actor.office, detail)


def _work(room: Oversight, job: JobView, progress: Progress) -> Mapping[str, Json]:
    detail, worker = job.detail, _worker(job)
    given, form, top = detail["given"], Form(str(detail["form"])), int(str(detail["top"]))
    assert isinstance(given, dict)
    asked = asking.read(given, moment(str(detail["at"])), job.office, worker.region)
    path = room.exports / job.uid
    path.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "w+b") as file:
            lines = _rows(room, asked.wanted, top, lambda seq: progress(top - seq, top))
            rows, digest, size = _fill(room, file, form, str(detail["language"]), job.office, lines)
        told: dict[str, EntryJson] = {"form": form.value, "rows": rows, "below": top}
        seq = _record(room, worker, Outcome.DONE, asked, room.identity.clock.now(), told, digest)
    except BadInput:
        path.unlink(missing_ok=True)
        _record(room, worker, Outcome.DENIED, asked, room.identity.clock.now(), {"form": form.value, "below": top})
        raise
    except BaseException:
        # Without its entry nobody may have it.
        path.unlink(missing_ok=True)
        raise
    progress(top, top)
    return {"rows": rows, "size": size, "seq": seq, "sha256": digest.hex()}


def _rows(room: Oversight, wanted: Filter, top: int, reached: Callable[[int], None] = lambda seq: None) -> Iterator[Line]:
    """Yield every row of *wanted* below *top*, newest first. Raises BadInput beyond MOST."""
    before: int | None = top
    count = 0
    while before is not None:
        found = desk.entries(room.identity.store, room.identity.log, wanted, before=before, limit=desk.MAX_FETCH)
        lines: list[Line] = [*found.entries, *found.broken]
        count += len(lines)
        if count > MOST:
            raise BadInput("more rows than an export holds", public=_TOO_MANY)
        yield from sorted(lines, key=lambda one: one if isinstance(one, int) else one.seq, reverse=True)
        before = found.older
        reached(before or 0)


def _fill(room: Oversight, file: BinaryIO, form: Form, language: str, office: str, lines: Iterator[Line]) -> tuple[int, bytes, int]:
    """Write *lines* into *file*, put it on disk and at its beginning; return how many they were, the SHA-256 and the size in bytes."""
    rows = 0

    def counted() -> Iterator[Line]:
        nonlocal rows
        for rows, line in enumerate(lines, start=1):  # noqa: B007  told afterwards
            yield line

    labels = room.guard.policies.catalog.labels(language)
    words = sheets.Words(room.identity.log, office, translator(language), dict(labels.elements), room.identity.places)
    sheets.write(form, file, counted(), words, room.exports)
    file.flush()
    return rows, *_digest(file)


def _digest(file: BinaryIO) -> tuple[bytes, int]:
    """Return the SHA-256 and the size of an open file, and leave it at its beginning."""
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    size = file.tell()
    file.seek(0)
    return digest.digest(), size


def _record(
    room: Oversight, actor: Actor, outcome: Outcome, asked: Asked, now: datetime, told: Mapping[str, EntryJson], digest: bytes | None = None
) -> int:
    """Make the entry of an export durable and return its number. Raises TrailDown."""
    given: dict[str, EntryJson] = {name: value for name, value in asked.given.items() if name != "subject"}
    subjects = (asked.subject_uid,) if asked.subject_uid else ()
    scope = asked.wanted.region or asked.subject_kab or (None if actor.region == NATION else actor.region)
    ready = entry(
        room.identity, actor, Action.TRAIL_EXPORT, outcome, now, purpose=Purpose.AUDIT, scope=scope, subjects=subjects,
        detail=("export", digest) if digest else None, extra={"query": given, **told},
    )  # fmt: skip
    return write(room.identity, ready).seq


def _worker(job: JobView) -> Actor:
    """Return the officer as the process that works for them."""
    detail = job.detail
    return Actor(
        uid=job.actor, office=job.office, unit=str(detail.get("unit", "")), role=Role.PROSES, roles=frozenset({Role.PROSES}),
        region=str(detail.get("region", NATION)), request=str(detail.get("request", "")),
    )  # fmt: skip
