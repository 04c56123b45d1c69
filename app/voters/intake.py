"""What the intake pages do: take a file in, choose its columns, load it in the background, say what became of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from io import BytesIO
from pathlib import PurePath

from sqlalchemy import func, select

from app.audit.entry import Members
from app.identity.room import Entry, entry, write
from app.jobs.desk import JobView, Json, Progress
from app.kernel.actor import Actor, Ask
from app.kernel.errors import N_, BadInput, Conflict, GarduError, NotThere, SealBroken
from app.kernel.fields import ELEMENTS, Action, Basis, Outcome, Purpose, Role
from app.kernel.ids import new_uid
from app.kernel.regions import NATION, kab_of
from app.mandates.people import officials
from app.policy.decide import Act, Denied
from app.policy.engine import NO_RULE
from app.policy.visit import visit_for
from app.vault.blind import FileDigest
from app.voters import loads, uploads
from app.voters.columns import Layout, choose
from app.voters.dp4 import ALREADY, ONLINE_BATCH, Intake, read_reasons
from app.voters.elections import Standing, standing
from app.voters.reader import Survey, first_cells, look
from app.voters.room import Roll
from app.voters.rules.findings import Finding
from app.voters.rules.rows import COLUMNS
from app.voters.rules.shapes import Column, look_at
from app.voters.tables import UNDONE, Load, Quarantine, Upload

KIND = "intake"
# Rows looked at to tell what a column looks like.
PREVIEWED = 50
# The least roll that indexes are planned for: a first small file must not leave a kab/kota with coarse ones.
LEAST_ROWS = 1000
NO_STAGE = N_("Tahapan pemilu belum ditetapkan untuk wilayah ini.")
CLOSED = N_("Pada tahapan ini DP4 tidak dapat dimuat atau dibatalkan. Bila keliru, minta admin sistem memeriksa tahapannya.")
NO_FILE = N_("Belum ada berkas yang dipilih. Pilih satu berkas CSV, lalu kirim.")
GONE = N_("Isi berkas yang diunggah sudah dihapus. Unggah lagi berkas yang sama; pemuatan dilanjutkan dari baris terakhir yang tersimpan.")
_BASIS = Basis.PKPU7_2022


@dataclass(frozen=True, slots=True)
class Preview:
    """What the page that chooses columns shows. survey: of the file; columns: what each cell of its rows looks like."""

    survey: Survey
    columns: Sequence[Column]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A quarantined row: its number in the file (from 1 after the header) and why; never a value."""

    row_no: int
    findings: Sequence[Finding]


def own_kab(actor: Actor) -> str:
    """Return the kab/kota an operator loads into. Raises NotThere for an office of a wider region."""
    if kab_of(actor.region) != actor.region:
        raise NotThere("not an office of one kab/kota")
    return actor.region


def present(roll: Roll, kab: str, now: datetime) -> Standing | None:
    """Return where the newest election stands in *kab*, or None."""
    with roll.guard.store.reading() as session:
        return standing(session, kab, now)


def is_open(roll: Roll, actor: Actor, where: Standing, now: datetime) -> bool:
    """Say whether the policies let a load into the actor's kab/kota be made at this stage. Records nothing."""
    return not _closed_by(roll, actor, where, now)


def demand_open(roll: Roll, actor: Actor, action: Action, now: datetime) -> Standing:
    """Return where the election stands. Raises BadInput while no stage is set, Conflict (recorded) when the policies refuse loads now."""
    kab = own_kab(actor)
    where = present(roll, kab, now)
    if where is None:
        raise BadInput("no stage is set", field="election", public=NO_STAGE)
    if rules := _closed_by(roll, actor, where, now):
        more: Members = {"election": where.election, "stage": where.stage.value, "rule": rules, "policy": roll.guard.policies.hash}
        ready = entry(roll.mandates.identity, actor, action, Outcome.DENIED, now, purpose=Purpose.PEMUATAN, scope=kab, more=more)
        write(roll.mandates.identity, ready)
        raise Conflict("the policies allow no load at this stage", public=CLOSED)
    return where


def receive(roll: Roll, actor: Actor, name: str, content: bytes, now: datetime) -> str:
    """Judge a file of the actor's kab/kota and keep it sealed; return the upload's uid. Nothing is kept of what is no DP4 file.

    name: as the browser gave it; what it ends in is kept, no more. Raises BadInput (says what to do; recorded), Conflict (loaded
    before, or not at this stage; recorded), TrailDown, StoreDown, KeysDown.
    """
    uploads.sweep(roll, now)
    where = demand_open(roll, actor, Action.VOTER_IMPORT, now)
    kab = own_kab(actor)
    with recorded(roll, actor, kab, now):
        if not content:
            raise BadInput("no file", field="file", public=NO_FILE)
        digest = FileDigest(roll.guard.keys.key("index", NATION))
        survey = look(lambda: BytesIO(content), digest.update, largest=uploads.LARGEST)
        _demand_new(roll, where.election, digest.digest())
    roll.ensure_keys(actor, kab, max(survey.rows_estimate, LEAST_ROWS), now)
    draft = Upload(
        kab=kab, election=where.election, actor=actor.uid, office=actor.office, unit=actor.unit, suffix=_suffix(name),
        rows_estimate=survey.rows_estimate, digest=digest.digest(), mapping=json.dumps(_proposal(survey.layout)), job=None, load=None,
        created_at=now,
    )  # fmt: skip
    return uploads.keep(roll, draft, content, lambda uid: _intent(roll, actor, draft, where, uid, now))


def upload_of(roll: Roll, actor: Actor, uid: str, now: datetime) -> Upload:
    """Return an upload of the actor's kab/kota. Raises NotThere (absent, or another kab's), SealBroken (recorded)."""
    kab = own_kab(actor)
    with recorded(roll, actor, kab, now):
        return uploads.find(roll, kab, uid)


def preview(roll: Roll, actor: Actor, upload: Upload, now: datetime) -> Preview:
    """Return the headers and shapes of an upload that waits. Raises SealBroken (recorded), BadInput when the file cannot be read."""
    with recorded(roll, actor, upload.kab, now):
        source = uploads.source(roll, upload)
        survey = _look(roll, upload)
        rows = first_cells(source, survey, PREVIEWED)
    return Preview(survey, [look_at(row[cell] for row in rows) for cell in range(survey.layout.width)])


def map_columns(roll: Roll, upload: Upload, chosen: Mapping[str, int]) -> None:
    """Keep the columns chosen so far. Raises Conflict when the upload no longer waits for them."""
    known = {column: cell for column, cell in chosen.items() if column in COLUMNS}
    uploads.change(roll, upload.kab, upload.uid, (uploads.WAITING,), mapping=json.dumps(known))


def start(roll: Roll, actor: Actor, upload: Upload, now: datetime) -> str:
    """Begin to load an upload whose columns are chosen; return the job's uid.

    Raises BadInput (a column missing or chosen twice; ``field`` names them), Conflict (begun already, or not at this stage).
    """
    demand_open(roll, actor, Action.VOTER_IMPORT, now)
    with recorded(roll, actor, upload.kab, now):
        survey = _look(roll, upload)
    choose(survey.layout.width, uploads.mapping_of(upload))
    uploads.change(
        roll, upload.kab, upload.uid, (uploads.WAITING,), state=uploads.STARTED, actor=actor.uid, office=actor.office, unit=actor.unit
    )
    return _queue(roll, actor, upload)


def again(roll: Roll, actor: Actor, upload: Upload, now: datetime) -> None:
    """Take up a load that was cut off, or go back to the columns when it failed before its first row. Raises Conflict when there is none."""
    if upload.state != uploads.STARTED:
        raise Conflict(f"upload {upload.uid} is {upload.state}", public=uploads.MOVED_ON)
    job = job_of(roll, upload)
    if job is None:
        _queue(roll, actor, upload)
    elif job.state == "failed" and upload.load is None:
        uploads.change(roll, upload.kab, upload.uid, (uploads.STARTED,), state=uploads.WAITING, job=None)
    elif job.state in {"failed", "stalled"}:
        demand_open(roll, actor, Action.VOTER_IMPORT, now)
        roll.jobs.again(job.uid)
    else:
        raise Conflict("the job is at work", public=uploads.MOVED_ON)


def discard(roll: Roll, upload: Upload) -> None:
    """Delete an upload that is not being loaded. Raises Conflict."""
    job = job_of(roll, upload)
    if upload.state == uploads.STARTED and job is not None and not job.over:
        raise Conflict("the job is at work", public=uploads.MOVED_ON)
    uploads.change(roll, upload.kab, upload.uid, (uploads.WAITING, uploads.STARTED), empty=True, state=uploads.GONE)


def job_of(roll: Roll, upload: Upload) -> JobView | None:
    """Return the job that loads *upload*, or None."""
    try:
        return roll.jobs.find(upload.job) if upload.job else None
    except NotThere:
        return None


def work(roll: Roll, job: JobView, report: Progress) -> Mapping[str, Json]:
    """Load an upload: the background work of kind ``intake``. May be begun again after a kill: it goes on after the last batch stored.

    Raises BadInput, Conflict, SealBroken (each recorded), NotThere (refused; recorded), TrailDown, StoreDown, KeysDown.
    """
    kab = job.office.partition("-")[2]
    worker = process_of(job.actor, job.office, "", kab, str(job.detail["request"]))
    with recorded(roll, worker, kab, roll.clock.now()):
        upload = uploads.find(roll, kab, str(job.detail["upload"]))
        if upload.state == uploads.DONE:
            return {"load": upload.load}
        if upload.state != uploads.STARTED:
            raise Conflict(f"upload {upload.uid} is {upload.state}", public=GONE)
        source = uploads.source(roll, upload)
        layout = choose(_look(roll, upload).layout.width, uploads.mapping_of(upload))

        def opened(load: str) -> None:
            uploads.change(roll, kab, upload.uid, (uploads.STARTED,), load=load)

        # No other process: a fork of a server with many threads may inherit locks that nobody gives back.
        actor = replace(worker, unit=upload.unit)
        intake = Intake(
            roll.guard,
            roll.places,
            actor,
            roll.clock,
            kab,
            upload.election,
            workers=0,
            batch=ONLINE_BATCH,
            upload=upload.uid,
            opened=opened,
        )
        done = intake.load(source, layout, report)
    # If we die before this line the load is whole, and beginning again finds it so.
    uploads.change(roll, kab, upload.uid, (uploads.STARTED,), empty=True, state=uploads.DONE, load=done.uid)
    return {"load": done.uid}


@contextmanager
def recorded(roll: Roll, actor: Actor, kab: str, now: datetime, action: Action = Action.VOTER_IMPORT) -> Iterator[None]:
    """Record a file that cannot be taken in or loaded, or a row that is not as it was sealed; the error's code is the rule. It goes on."""
    try:
        yield
    except (BadInput, Conflict, SealBroken) as error:
        outcome = Outcome.BROKEN if isinstance(error, SealBroken) else Outcome.FAILED
        more: Members = {"rule": (error.code,), "policy": roll.guard.policies.hash}
        room = roll.mandates.identity
        write(room, entry(room, actor, action, outcome, now, purpose=Purpose.PEMUATAN, scope=kab, more=more))
        raise


def load_of(roll: Roll, actor: Actor, uid: str, now: datetime) -> Load:
    """Return a load of the actor's kab/kota. Raises NotThere (absent, or another kab's), SealBroken (recorded)."""
    kab = own_kab(actor)
    with recorded(roll, actor, kab, now), roll.guard.store.reading() as session:
        load = loads.find(session, roll.seals, kab, uid)
        session.expunge(load)
        return load


def history(roll: Roll, kab: str, before: Load | None, limit: int) -> list[tuple[Load, bool]]:
    """Return the loads of *kab*, newest first, each with whether its seal holds."""
    with roll.guard.store.reading() as session:
        found = loads.history(session, kab, before=before, limit=limit)
        session.expunge_all()
    return [(load, _holds(roll, load)) for load in found]


def waiting_rows(roll: Roll, load: Load, after: int, limit: int) -> list[Waiting]:
    """Return up to *limit* quarantined rows of *load* behind row *after*, in the file's order."""
    here = (Quarantine.load == load.uid, Quarantine.kab == load.kab, Quarantine.row_no > after)
    query = select(Quarantine.row_no, Quarantine.reasons).where(*here).order_by(Quarantine.row_no).limit(limit)
    with roll.guard.store.reading() as session:
        return [Waiting(row_no, read_reasons(reasons)) for row_no, reasons in session.execute(query)]


def reasons_counted(roll: Roll, load: Load) -> list[tuple[Finding, int]]:
    """Return what keeps rows of *load* in quarantine, with how many rows, the commonest first."""
    here = (Quarantine.load == load.uid, Quarantine.kab == load.kab)
    counts: dict[Finding, int] = {}
    with roll.guard.store.reading() as session:
        for reasons, count in session.execute(select(Quarantine.reasons, func.count()).where(*here).group_by(Quarantine.reasons)):
            for finding in read_reasons(reasons):
                counts[finding] = counts.get(finding, 0) + count
    return sorted(counts.items(), key=lambda one: -one[1])


def names(roll: Roll, uids: Sequence[str]) -> dict[str, str]:
    """Return the names of accounts, for those that have one."""
    with roll.guard.store.reading() as session:
        return {uid: person.name for uid, person in officials(session, set(uids)).items()}


def _look(roll: Roll, upload: Upload) -> Survey:
    """Judge the file of *upload* anew. Raises SealBroken, Conflict when it was taken further or thrown away meanwhile."""
    try:
        return look(uploads.source(roll, upload))
    except SealBroken:
        if uploads.find(roll, upload.kab, upload.uid).state != upload.state:
            raise Conflict(f"upload {upload.uid} moved on", public=uploads.MOVED_ON) from None
        raise


def _queue(roll: Roll, actor: Actor, upload: Upload) -> str:
    # One request id for every run of this load, so that its own comparisons are told from other people's touches.
    job = roll.jobs.start(KIND, actor.uid, actor.office, {"upload": upload.uid, "request": new_uid()})
    uploads.change(roll, upload.kab, upload.uid, (uploads.STARTED, uploads.DONE), job=job)
    return job


def process_of(uid: str, office: str, unit: str, kab: str, request: str) -> Actor:
    """Return the person as the process that works for them: it may store and compare, and never reveal."""
    return Actor(uid=uid, office=office, unit=unit, role=Role.PROSES, roles=frozenset({Role.PROSES}), region=kab, request=request)


def _closed_by(roll: Roll, actor: Actor, where: Standing, now: datetime) -> tuple[str, ...]:
    """Return the rules that refuse a load now; none when it may be made."""
    worker = process_of(actor.uid, actor.office, actor.unit, actor.region, actor.request)
    visit = visit_for(worker, Ask(Purpose.PEMUATAN, _BASIS, actor.region, where.election, where.stage), now)
    try:
        roll.guard.policies.permits(visit, Act.UBAH, ELEMENTS)
    except Denied as no:
        return tuple(no.rules) or (NO_RULE,)
    return ()


def _demand_new(roll: Roll, election: str, digest: bytes) -> None:
    same = (Load.digest == digest, Load.election == election, Load.state.not_in((UNDONE, loads.RUNNING)))
    with roll.guard.store.reading() as session:
        known = session.scalar(select(Load.uid).where(*same))
    if known is not None:
        raise Conflict(f"load {known} was made of this file", public=ALREADY)


def _intent(roll: Roll, actor: Actor, draft: Upload, where: Standing, uid: str, now: datetime) -> Entry:
    more: Members = {
        "election": where.election, "stage": where.stage.value, "basis": _BASIS.value, "policy": roll.guard.policies.hash,
    }  # fmt: skip
    return entry(
        roll.mandates.identity, actor, Action.VOTER_IMPORT, Outcome.INTENT, now,
        purpose=Purpose.PEMUATAN, scope=draft.kab, method=actor.method, age=actor.factor_age(Purpose.PEMUATAN, now),
        detail=("file", draft.digest), extra={"upload": uid, "size": draft.size}, more=more,
    )  # fmt: skip


def _proposal(layout: Layout) -> dict[str, int]:
    return {column: cell for column, cell in zip(COLUMNS, layout.cells, strict=True) if cell is not None}


def _suffix(name: str) -> str:
    """Return what a file's name ends in, e.g. ``csv``; the name itself may be somebody's and is not kept."""
    found = PurePath(name.replace("\\", "/").rpartition("/")[2]).suffix.lstrip(".").lower()
    return found if found.isascii() and found.isalnum() and len(found) <= 8 else ""


def _holds(roll: Roll, load: Load) -> bool:
    try:
        loads.check(roll.seals, load)
    except GarduError:
        return False
    return True
