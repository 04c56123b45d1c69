"""Starts background work, runs it, and says how far it is.

The queue carries a job's uid and nothing else; what the work needs stands in the table ``job``, which never holds anything personal.
If the process dies at work, the job stops giving signs of life and shows as ``stalled``; whoever looks can start it again, so every
work must be one that can be begun anew (a verification) or taken up where it stopped (an intake).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from huey import Huey, MemoryHuey, SqliteHuey
from huey.consumer import Consumer
from huey.exceptions import TaskLockedException
from sqlalchemy import select, update

from app.jobs.tables import Job
from app.kernel.clock import Clock
from app.kernel.errors import N_, GarduError, NotThere
from app.kernel.ids import new_uid
from app.store.engine import Store

# A running job without a sign of life for so long was cut off: work reports at least every few seconds.
STALLED_AFTER = timedelta(seconds=120)
# How often progress is written down at most: often enough for a page that refreshes, seldom enough for the database.
BEAT_SECONDS = 0.5
# Turns of recurring work that wait, of all kinds and processes together.
MOST_WAITING = 8
FAILED = N_("Pekerjaan ini terhenti karena galat pada sistem. Tidak ada yang hilang; mulai lagi, dan beri tahu admin bila terulang.")

Json = object
# Told (done, total) in the work's own unit.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as pages see it. state: waiting running done failed stalled. share: 0…100, or None while the total is unknown."""

    uid: str
    kind: str
    actor: str
    office: str
    state: str
    done: int
    total: int
    detail: Mapping[str, Json]
    result: Mapping[str, Json]
    error: str
    created_at: datetime
    finished_at: datetime | None

    @property
    def share(self) -> int | None:
        """Percent done, or None while the total is unknown."""
        return min(100, self.done * 100 // self.total) if self.total else None

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it by itself."""
        return self.state in {"done", "failed", "stalled"}


Work = Callable[[JobView, Progress], Mapping[str, Json]]


class Jobs:
    """The desk of background work of one process.

    store: where jobs stand. queue: huey's SQLite file, shared by the processes of one installation; None runs work at once, in the
    caller (tests, commands). Work is registered by kind before anything is started.
    """

    def __init__(self, store: Store, clock: Clock, queue: Path | None) -> None:
        self._store, self._clock = store, clock
        self._works: dict[str, Work] = {}
        self._huey = _queue("gardu", queue)
        # A queue and a thread of its own: a long verification must not hold up publishing.
        self._turns = _queue("gardu-rounds", queue)
        self._task = self._huey.task(name="gardu-job")(self._run)
        self._consumer: Consumer | None = None
        self._turner: Consumer | None = None
        self._rounds: dict[str, _Round] = {}

    def register(self, kind: str, work: Work) -> None:
        """Make *kind* known. *work* is told the job and where to report; what it returns (JSON) is kept as the result."""
        self._works[kind] = work

    def start(self, kind: str, actor: str, office: str, detail: Mapping[str, Json] | None = None) -> str:
        """Queue work of *kind* and return the job's uid. detail: JSON, nothing personal. Raises StoreDown, KeyError for an unknown kind."""
        if kind not in self._works:
            raise KeyError(kind)
        now, uid = self._clock.now(), new_uid()
        with self._store.writing() as session:
            session.add(
                Job(
                    uid=uid, kind=kind, actor=actor, office=office, state="waiting", done=0, total=0,
                    detail=json.dumps(detail or {}, sort_keys=True), result="", error="", created_at=now, beat_at=now,
                )
            )  # fmt: skip
        self._task(uid)
        return uid

    def start_here(self, kind: str, actor: str, office: str, detail: Mapping[str, Json], work: Work) -> str:
        """Begin *work* at once in a thread of this process, and return the job's uid; nothing of *work* is written down or queued.

        For work that needs what must not be stored, such as a secret somebody typed in. *kind* is not registered: when the process dies the
        job shows as stalled and cannot be taken up again, only begun anew by whoever has the secret. Without a queue it runs in the caller.
        """
        now, uid = self._clock.now(), new_uid()
        with self._store.writing() as session:
            session.add(
                Job(
                    uid=uid, kind=kind, actor=actor, office=office, state="running", done=0, total=0,
                    detail=json.dumps(detail, sort_keys=True), result="", error="", created_at=now, beat_at=now,
                )
            )  # fmt: skip
        if self._huey.immediate:
            self._carry_out(uid, work)
        else:
            threading.Thread(target=self._carry_out, args=(uid, work), name=f"gardu-{kind}", daemon=True).start()
        return uid

    def again(self, uid: str) -> None:
        """Queue a stalled or failed job once more. Raises NotThere when there is none in such a state, or it ran from memory alone."""
        now = self._clock.now()
        found = self.find(uid)
        if found.state not in {"stalled", "failed"} or found.kind not in self._works:
            raise NotThere("no stalled or failed job of this uid")
        stored = "running" if found.state == "stalled" else "failed"
        with self._store.writing() as session:
            changes = {"state": "waiting", "error": "", "beat_at": now, "finished_at": None}
            session.execute(update(Job).where(Job.uid == uid, Job.state == stored).values(changes))
        self._task(uid)

    def find(self, uid: str) -> JobView:
        """Return the job *uid*. Raises NotThere."""
        with self._store.reading() as session:
            job = session.get(Job, uid)
            if job is None:
                raise NotThere("no such job")
            return self._view(job)

    def latest(self, kind: str, *, actor: str | None = None, limit: int = 20) -> list[JobView]:
        """Return the newest jobs of *kind* (of *actor*, when given), newest first."""
        query = select(Job).where(Job.kind == kind).order_by(Job.created_at.desc(), Job.uid).limit(limit)
        with self._store.reading() as session:
            found = session.scalars(query if actor is None else query.where(Job.actor == actor)).all()
            return [self._view(job) for job in found]

    def every(self, seconds: float, name: str, work: Callable[[], None]) -> None:
        """Make *work* known as something to be done again and again, about every *seconds*, by one process at a time.

        It keeps no row: whoever wants to know when it was last done looks at what it left. An error is logged, and the next turn comes.
        A name that is known already is left as it is.
        """
        if name not in self._rounds:
            self._rounds[name] = _Round(self._turns, name, seconds, work)

    def work(self) -> None:
        """Begin to take work from the queue, in threads of this process; returns at once. Once per process."""
        if self._consumer is None and not self._huey.immediate:
            self._consumer = _Quiet(self._huey, workers=1, periodic=False, max_delay=1.0, check_worker_health=False)
            self._consumer.start()
            if self._rounds:
                self._turner = _Quiet(self._turns, workers=1, periodic=False, max_delay=1.0, check_worker_health=False)
                self._turner.start()
            for one in self._rounds.values():
                one.begin()

    def stop(self) -> None:
        """Take no more work; what runs is finished by its own thread or found stalled."""
        for one in self._rounds.values():
            one.stop()
        for consumer in (self._consumer, self._turner):
            if consumer is not None:
                consumer.stop_flag.set()

    def _run(self, uid: str) -> None:
        # Two queue entries of one job (started again twice) must not become two runs: one of them moves the state, the other finds it moved.
        with self._store.writing() as session:
            mine = session.execute(
                update(Job).where(Job.uid == uid, Job.state == "waiting").values(state="running", beat_at=self._clock.now())
            )
        work = self._works.get(self.find(uid).kind)
        if mine.rowcount == 1 and work is not None:  # type: ignore[attr-defined]  # an UPDATE's result has a row count
            self._carry_out(uid, work)

    def _carry_out(self, uid: str, work: Work) -> None:
        job = self.find(uid)
        try:
            result = work(job, self._reporter(uid))
        except GarduError as error:
            self._note(uid, state="failed", error=error.public, finished_at=self._clock.now())
        except Exception as error:
            # The kind of error only: its text could hold what the work was about.
            structlog.get_logger().error("job failed", job=uid, kind=job.kind, error=type(error).__name__)
            self._note(uid, state="failed", error=FAILED, finished_at=self._clock.now())
        else:
            self._note(uid, state="done", result=json.dumps(result, sort_keys=True), finished_at=self._clock.now())

    def _reporter(self, uid: str) -> Progress:
        last = 0.0

        def report(done: int, total: int) -> None:
            nonlocal last
            if done < total and time.monotonic() - last < BEAT_SECONDS:
                return
            last = time.monotonic()
            self._note(uid, done=done, total=total)

        return report

    def _note(self, uid: str, **values: object) -> None:
        with self._store.writing() as session:
            session.execute(update(Job).where(Job.uid == uid).values(beat_at=self._clock.now(), **values))

    def _view(self, job: Job) -> JobView:
        silent = job.state == "running" and self._clock.now() - job.beat_at > STALLED_AFTER
        return JobView(
            uid=job.uid, kind=job.kind, actor=job.actor, office=job.office, state="stalled" if silent else job.state,
            done=job.done, total=job.total, detail=json.loads(job.detail), result=json.loads(job.result or "{}"), error=job.error,
            created_at=job.created_at, finished_at=job.finished_at,
        )  # fmt: skip


def _queue(name: str, file: Path | None) -> Huey:
    return MemoryHuey(name, immediate=True) if file is None else SqliteHuey(name, filename=str(file), fsync=True)


class _Round:
    """Work that comes round again. A thread of this process asks for it; huey gives it to one process at a time.

    Three processes that ask make three turns in the time of one: whatever comes round must find nothing to do when it was just done.
    """

    def __init__(self, huey: Huey, name: str, seconds: float, work: Callable[[], None]) -> None:
        self._seconds, self._over, self._name = seconds, threading.Event(), name
        self._huey = huey

        def turn() -> None:
            try:
                with huey.lock_task(f"gardu-{name}"):
                    work()
            except TaskLockedException:
                return
            except Exception as error:
                # The kind of error, and an operator's sentence of ours; never a driver's text.
                detail = error.detail if isinstance(error, GarduError) else ""
                structlog.get_logger().error("recurring work failed", work=name, error=type(error).__name__, detail=detail)

        self._task = huey.task(name=f"gardu-{name}")(turn)
        huey.flush_locks(f"gardu-{name}")

    def begin(self) -> None:
        """Start asking, at once and then again and again."""
        threading.Thread(target=self._ask, name=f"gardu-{self._name}", daemon=True).start()

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()

    def _ask(self) -> None:
        while True:
            # A few turns waiting are enough: a queue that nobody works off must not grow.
            if self._huey.pending_count() < MOST_WAITING:
                self._task()
            if self._over.wait(self._seconds):
                return


class _Quiet(Consumer):  # type: ignore[misc]  # huey publishes no types
    """A consumer inside a server process: the signals are the server's."""

    def _set_signal_handlers(self) -> None:
        """Leave the process's signal handlers alone."""
