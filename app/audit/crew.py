"""Forked processes that read the very snapshot of the log that their parent reads.

Forked, because L1 keys do not leave their process (``vault.house``): a fork inherits them, and makes connections of its own to database
and key provider. A worker only reads and answers. Whatever becomes of one, the parent has its own snapshot and can do the work alone.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar, cast

from sqlalchemy.exc import SQLAlchemyError

from app.audit.streams import Streams, snapshot
from app.kernel.errors import StoreDown
from app.kernel.processes import can_fork, cores
from app.store.engine import Store

# A worker that has not opened a connection, or then its snapshot, by then hangs: on a lock, perhaps, that it took over and that nobody will
# ever give back. Half of what a writer waits for SQLite.
READY_SECONDS = 10.0
# No worker says anything for so long only when the database takes as long to sort the touch tokens of a range.
SILENT_SECONDS = 1800.0
# Processes that a walk takes of its own accord at most. Each holds ten to fifteen MB of its own beside what all share: six stay below 200 MB.
MOST = 6
_READY, _FAILED = "ready", "failed"
_Task = TypeVar("_Task")
_Result = TypeVar("_Result")
# Does a task over the snapshot. Told where to say how many entries of it are done.
Work = Callable[[Streams, _Task, Callable[[int], None]], _Result]


class Lost(Exception):
    """A worker died, hung or failed, or none could be had: nothing can be said of its task."""


def processes() -> int:
    """Return how many processes a walk of its own accord may take: every processor up to MOST, but only where a fork is safe.

    A server with many threads may hold locks that nobody would give back in the child; there, in any thread but the main one, it is 1.
    """
    if not can_fork() or threading.current_thread() is not threading.main_thread():
        return 1
    return min(cores(), MOST)


class Crew(Generic[_Task, _Result]):
    """Workers that all do the same work, each on one task at a time."""

    def __init__(self, workers: Sequence[_Worker[_Task, _Result]]) -> None:
        self._workers = workers

    def results(self, tasks: Iterable[_Task], said: Callable[[int, int], None]) -> Generator[tuple[int, _Result], None, None]:
        """Yield the number of each task with its result, as they come. said: told (number, entries done). Raises Lost."""
        going, idle = enumerate(tasks), deque(self._workers)
        busy: dict[Connection, tuple[_Worker[_Task, _Result], int]] = {}
        more = True
        while more or busy:
            while more and idle:
                number, task = next(going, (-1, None))
                more = task is not None
                if task is not None:
                    worker = idle.popleft()
                    worker.give(task)
                    busy[worker.line] = (worker, number)
            heard = wait(list(busy), SILENT_SECONDS) if busy else []
            if busy and not heard:
                raise Lost("no worker says anything")
            for line in heard:
                worker, number = busy[cast(Connection, line)]
                word, value = worker.take()
                if word is not None:
                    said(number, word)
                    continue
                del busy[worker.line]
                idle.append(worker)
                yield number, value

    def dismiss(self) -> None:
        """End the workers; the snapshot stays open here."""
        _end(self._workers)


@contextmanager
def working(store: Store, log: str, work: Work[_Task, _Result], size: int) -> Iterator[tuple[Streams, Crew[_Task, _Result]]]:
    """Open a snapshot of *log* here and in *size* workers. Ends them, whatever happens. Raises Lost, StoreDown."""
    workers: list[_Worker[_Task, _Result]] = []
    try:
        for _ in range(size):
            workers.append(_Worker(store, log, work, workers))
        for worker in workers:
            worker.demand_ready()
        with _together(store, log, workers) as streams:
            yield streams, Crew(workers)
    finally:
        _end(workers)


@contextmanager
def _together(store: Store, log: str, workers: Sequence[_Worker[_Task, _Result]]) -> Iterator[Streams]:
    with ExitStack() as opened:
        try:
            if store.dialect == "postgresql":
                streams = opened.enter_context(snapshot(store, log))
                _begin(workers, streams.export())
            else:
                # Nobody commits while this is held, so that everyone sees the same. It writes nothing, and takes milliseconds.
                with store.writing() as session:
                    session.connection()
                    streams = opened.enter_context(snapshot(store, log))
                    streams.head()
                    _begin(workers, "")
        except (StoreDown, SQLAlchemyError):
            # Not to be written, say, or a server that exports no snapshot: one process may still read it.
            raise Lost("the snapshot cannot be shared") from None
        yield streams


def _end(workers: Iterable[_Worker[_Task, _Result]]) -> None:
    for worker in workers:
        worker.line.close()
    for worker in workers:
        worker.close()


def _begin(workers: Sequence[_Worker[_Task, _Result]], like: str) -> None:
    for worker in workers:
        worker.say(like)
    for worker in workers:
        worker.demand_ready()


class _Worker(Generic[_Task, _Result]):
    """One process. others: whose lines it must let go of."""

    def __init__(self, store: Store, log: str, work: Work[_Task, _Result], others: Iterable[_Worker[_Task, _Result]]) -> None:
        fork = multiprocessing.get_context("fork")
        self.line, far = fork.Pipe()
        near = [self.line, *(other.line for other in others)]
        self._process = fork.Process(target=_serve, args=(store, log, work, far, near), name="gardu-verifier", daemon=True)
        try:
            self._process.start()
        except OSError as error:
            self.line.close()
            raise Lost(f"no process can be started: {error.strerror}") from None
        finally:
            far.close()

    def say(self, what: object) -> None:
        """Send *what*. Raises Lost."""
        try:
            self.line.send_bytes(pickle.dumps(what, pickle.HIGHEST_PROTOCOL))
        except OSError:
            raise Lost("a worker died") from None

    def give(self, task: _Task) -> None:
        """Hand it *task*. Raises Lost."""
        self.say(task)

    def demand_ready(self) -> None:
        """Wait until it says that it has a connection, or then its snapshot. Raises Lost."""
        if not self.line.poll(READY_SECONDS) or self._heard() != _READY:
            raise Lost("a worker could not reach the database")

    def take(self) -> tuple[int | None, _Result]:
        """Return (entries done, anything) or (None, the result). Raises Lost."""
        heard = self._heard()
        if not isinstance(heard, tuple):
            raise Lost("a worker failed")
        return cast("tuple[int | None, _Result]", heard)

    def close(self) -> None:
        """End it: it has nothing to lose."""
        self._process.kill()
        self._process.join()

    def _heard(self) -> object:
        try:
            return pickle.loads(self.line.recv_bytes())  # noqa: S301  from our own child, over a line nobody else holds
        except (EOFError, OSError):
            raise Lost("a worker died") from None


def _serve(store: Store, log: str, work: Work[_Task, _Result], line: Connection, near: Iterable[Connection]) -> None:
    """Do what comes over *line* until its other end is gone, as it is when the parent dies."""

    def tell(what: object) -> None:
        line.send_bytes(pickle.dumps(what, pickle.HIGHEST_PROTOCOL))

    def hear() -> object:
        return pickle.loads(line.recv_bytes())  # noqa: S301  from our own parent, over a line nobody else holds

    try:
        # The parent's ends, of this line and of the other workers': held on to, they would keep a line alive after the parent's death.
        for end in near:
            end.close()
        # An interrupt from the keyboard reaches all; the parent decides, and then hangs up.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # What was inherited is not this process's to tidy up: connections of the parent are among it.
        gc.freeze()
        with suppress(EOFError, OSError):
            try:
                # A connection first, which stays in the pool: SQLite's writers wait while snapshots are opened.
                with store.reading() as session:
                    session.connection()
                tell(_READY)
                with snapshot(store, log, str(hear())) as streams:
                    streams.head()  # SQLite: the first read is what opens the snapshot
                    tell(_READY)
                    while True:
                        tell((None, work(streams, cast(_Task, hear()), lambda done: tell((done, None)))))
            except (EOFError, OSError):
                raise
            except Exception:
                # The parent does the work itself and meets the same error.
                tell(_FAILED)
    finally:
        # Not sys.exit: what the parent had open and buffered is not this process's to close or to write.
        os._exit(0)
