"""Looks for the double NIKs of a file that was sent in, in the background, before anybody decides to load it. Stores no voter and no value.

What was found stands in the job: counts, and the numbers of rows. It holds for the columns chosen then; with others it is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.jobs.desk import JobView, Json, Progress
from app.kernel.actor import Actor
from app.kernel.errors import Conflict
from app.kernel.fields import Action
from app.kernel.ids import new_uid
from app.voters import uploads
from app.voters.columns import choose
from app.voters.conflicts import FILE, ROLL, Report
from app.voters.dp4 import ONLINE_BATCH, Intake
from app.voters.intake import demand_open, job_of, process_of, recorded
from app.voters.reader import look
from app.voters.room import Roll
from app.voters.tables import Upload

KIND = "intake-check"
# Rows of each kind that a job keeps; the counts are always whole.
MOST_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Found:
    """What a check says. state: waiting running done failed stalled. share: percent or None. error: a msgid. rows: looked at.

    in_file, in_roll: how many rows; lines: (row number, ``file`` or ``roll``), at most MOST_KEPT of each kind.
    """

    state: str
    share: int | None
    error: str
    rows: int = 0
    in_file: int = 0
    in_roll: int = 0
    lines: tuple[tuple[int, str], ...] = ()

    @property
    def at_work(self) -> bool:
        """Whether the check is still to come to an end by itself."""
        return self.state in {"waiting", "running"}

    @property
    def kept_all(self) -> bool:
        """Whether every row in conflict is among the lines."""
        return len(self.lines) == self.in_file + self.in_roll


def start(roll: Roll, actor: Actor, upload: Upload) -> None:
    """Begin to look for double NIKs in an upload whose columns are chosen. Raises BadInput (columns), Conflict (it moved on, or the stage)."""
    demand_open(roll, actor, Action.VOTER_IMPORT, roll.clock.now())
    with recorded(roll, actor, upload.kab, roll.clock.now()):
        width = look(uploads.source(roll, upload)).layout.width
    choose(width, uploads.mapping_of(upload))
    # Before the job begins, so that one which ends at once is still the upload's.
    detail = {"upload": upload.uid, "mapping": upload.mapping, "request": new_uid()}
    job = roll.jobs.start(KIND, actor.uid, actor.office, detail)
    uploads.change(roll, upload.kab, upload.uid, (uploads.WAITING,), job=job)


def found_of(roll: Roll, upload: Upload) -> Found | None:
    """Return what the newest check of *upload* says, or None when there is none for the columns as they are chosen now."""
    job = job_of(roll, upload)
    if job is None or job.kind != KIND or upload.state != uploads.WAITING or job.detail.get("mapping") != upload.mapping:
        return None
    if job.state != "done":
        return Found(job.state, job.share, job.error)
    told = {name: value for name, value in job.result.items() if isinstance(value, int)}
    lines = tuple(sorted((row, kind) for kind in (FILE, ROLL) for row in _numbers(job.result, f"{kind}_rows")))
    return Found(job.state, 100, "", told["rows"], told[FILE], told[ROLL], lines)


def work(roll: Roll, job: JobView, report: Progress) -> Mapping[str, Json]:
    """Look for the conflicts of an upload: the background work of kind ``intake-check``. May be begun again after a kill.

    Raises BadInput, Conflict, SealBroken (each recorded), NotThere (refused; recorded), TrailDown, StoreDown, KeysDown.
    """
    kab = job.office.partition("-")[2]
    worker = process_of(job.actor, job.office, "", kab, str(job.detail["request"]))
    with recorded(roll, worker, kab, roll.clock.now()):
        upload = uploads.find(roll, kab, str(job.detail["upload"]))
        if upload.state != uploads.WAITING:
            raise Conflict(f"upload {upload.uid} is {upload.state}", public=uploads.MOVED_ON)
        source = uploads.source(roll, upload)
        layout = choose(look(source).layout.width, uploads.mapping_of(upload))
        intake = Intake(roll.guard, roll.places, worker, roll.clock, kab, upload.election, workers=0, batch=ONLINE_BATCH)
        return told(intake.check(source, layout, report))


def told(report: Report) -> dict[str, Json]:
    """Return a report as a job keeps it, and as the command prints it: counts and row numbers."""
    return {
        "rows": report.rows, "compared": report.compared, "conflicts": report.count,
        FILE: len(report.in_file), ROLL: len(report.in_roll),
        "file_rows": list(report.in_file[:MOST_KEPT]), "roll_rows": list(report.in_roll[:MOST_KEPT]),
    }  # fmt: skip


def _numbers(result: Mapping[str, Json], name: str) -> Iterator[int]:
    kept = result.get(name)
    return (row for row in (kept if isinstance(kept, list) else []) if isinstance(row, int))
