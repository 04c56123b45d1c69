"""Works on the items of a stream in forked processes, in order, ahead of whoever takes the results.

Forked, because L1 keys do not leave their process (``vault.house``): a fork inherits them. A worker never touches the database, holds
nothing that is not in this process too, and ends with it. Whatever becomes of it, no item is lost: one that dies, hangs or fails is
replaced, and what it had in hand is worked on here, errors and all.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from itertools import count
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

from app.kernel.processes import can_fork

# An item takes a quarter of a second; a worker silent for so long was stopped, or took over a lock that nobody will ever give back.
SILENT_SECONDS = 60.0
# Items between two collections of garbage.
_COLLECTED = 16
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Crew(Generic[_Item, _Result]):
    """Workers that all do *work*. size: how many processes, 0 for none. lost: how many of them died or hung so far, and were replaced."""

    def __init__(self, work: Callable[[_Item], _Result], size: int) -> None:
        self._work, self._size = work, size if can_fork() else 0
        self.lost = 0

    def results(self, items: Iterable[_Item]) -> Generator[tuple[_Item, _Result], None, None]:
        """Yield every item with what *work* made of it, in order. Close it to end the processes."""
        if not self._size:
            yield from ((item, self._work(item)) for item in items)
            return
        under_way: deque[tuple[_Worker[_Item, _Result], _Item]] = deque()
        workers: list[_Worker[_Item, _Result]] = []
        try:
            for item in items:
                if len(under_way) < self._size:
                    worker = _Worker[_Item, _Result](self._work, workers)
                    workers.append(worker)
                    worker.give(item)
                    under_way.append((worker, item))
                    continue
                # One item a worker: two under way at once, and both sides could wait for the other to take what it sends.
                worker, before = under_way.popleft()
                result = self._taken(worker, before)
                worker.give(item)
                under_way.append((worker, item))
                yield before, result
            while under_way:
                worker, before = under_way.popleft()
                yield before, self._taken(worker, before)
        finally:
            for worker in workers:
                worker.close()

    def _taken(self, worker: _Worker[_Item, _Result], item: _Item) -> _Result:
        try:
            made: _Result | None = worker.take()
        except (EOFError, OSError):
            self.lost += 1
            worker.renew()
            made = None
        return self._work(item) if made is None else made


class _Worker(Generic[_Item, _Result]):
    """A forked process that has one item in hand at a time. others: whose lines a child must let go of."""

    def __init__(self, work: Callable[[_Item], _Result], others: Iterable[_Worker[_Item, _Result]]) -> None:
        self._work, self._others = work, others
        self._begin()

    def give(self, item: _Item) -> None:
        """Hand it *item*; a dead one is noticed when the result is asked for."""
        with suppress(OSError):
            self.line.send_bytes(pickle.dumps(item, pickle.HIGHEST_PROTOCOL))

    def take(self) -> _Result | None:
        """Return what it made of the item, or None when the work raised. Raises EOFError or OSError when it died or hangs."""
        if not self.line.poll(SILENT_SECONDS):
            raise EOFError
        made: _Result | None = pickle.loads(self.line.recv_bytes())  # noqa: S301  from our own child, over a line nobody else holds
        return made

    def renew(self) -> None:
        """Put a fresh process in its place."""
        self.close(0)
        self._begin()

    def close(self, patience: float = 1) -> None:
        """End it, by force when it does not end within *patience* seconds."""
        self.line.close()
        self._process.join(patience)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _begin(self) -> None:
        fork = multiprocessing.get_context("fork")
        self.line, far = fork.Pipe()
        near = [self.line, *(other.line for other in self._others if other is not self and not other.line.closed)]
        self._process = fork.Process(target=_serve, args=(self._work, far, near), name="gardu-sealer", daemon=True)
        self._process.start()
        far.close()


def _serve(work: Callable[[_Item], _Result], line: Connection, near: Iterable[Connection]) -> None:
    """Work on what comes over *line* until its other end is gone, as it is when the parent dies."""
    try:
        # The parent's ends, of this line and of the other workers': held on to, they would keep a line alive after the parent's death.
        for end in near:
            end.close()
        # An interrupt from the keyboard reaches all; the parent decides, and then hangs up.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # What was inherited stays as it is, and what an item leaves behind goes all at once: looking through it again and again took a
        # tenth of the time.
        gc.freeze()
        gc.disable()
        for turn in count():
            if turn % _COLLECTED == 0:
                gc.collect()
            item = pickle.loads(line.recv_bytes())  # noqa: S301  from our own parent, over a line nobody else holds
            line.send_bytes(pickle.dumps(_tried(work, item), pickle.HIGHEST_PROTOCOL))
    except (EOFError, OSError):
        pass
    finally:
        # Not sys.exit: what the parent had open and buffered is not this process's to close or to write.
        os._exit(0)


def _tried(work: Callable[[_Item], _Result], item: _Item) -> _Result | None:
    """Return the result, or None: then the parent does the work itself and meets the same error."""
    try:
        return work(item)
    except Exception:
        return None
