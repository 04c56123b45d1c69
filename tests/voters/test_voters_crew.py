"""Working ahead in forked processes: they change nothing but the time, whatever becomes of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing

import pytest

from app.voters.crew import Crew

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there are no other processes")
ITEMS, SQUARES = list(range(20)), [item * item for item in range(20)]


def _square(item: int) -> int:
    return item * item


def _workers() -> list[int]:
    return [child.pid or 0 for child in multiprocessing.active_children() if child.name == "gardu-sealer"]


@pytest.mark.parametrize("size", [0, 1, 3])
def test_every_item_comes_back_once_in_order(size: int) -> None:
    """With none, one or several processes; afterwards none is left."""
    with closing(Crew(_square, size).results(ITEMS)) as results:
        assert [made for _item, made in results] == SQUARES

    assert _workers() == []


@pytest.mark.parametrize("deadly", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_is_killed_loses_nothing_and_is_replaced(deadly: signal.Signals) -> None:
    """What it had in hand is worked on here, and another takes its place; how many died is told."""
    crew, came, killed = Crew(_square, 2), list[int](), 0
    with closing(crew.results(ITEMS)) as results:
        for item, made in results:
            came.append(made)
            if item in (3, 9):
                for worker in _workers():
                    os.kill(worker, deadly)
                    killed += 1
            assert len(_workers()) <= 2

    assert came == SQUARES
    assert 2 <= crew.lost <= killed


def test_an_error_in_a_worker_is_met_here() -> None:
    """The work is done again by the parent, which raises what it raises."""

    def fails(item: int) -> int:
        if item == 5:
            raise KeyError("five")
        return item

    came = []
    with pytest.raises(KeyError, match="five"), closing(Crew(fails, 2).results(ITEMS)) as results:
        for item, _made in results:
            came.append(item)

    assert came == [0, 1, 2, 3, 4]
    assert _workers() == []


def test_whoever_stops_early_leaves_no_worker_behind() -> None:
    """An error while storing ends them too: they hold keys."""
    with pytest.raises(RuntimeError), closing(Crew(_square, 2).results(ITEMS)) as results:
        next(results)
        raise RuntimeError("the store is gone")

    assert _workers() == []


def test_a_killed_parent_takes_its_workers_along() -> None:
    """kill -9: they see their lines go dead and end, so no process keeps the keys."""
    near, far = multiprocessing.get_context("fork").Pipe()

    def parent() -> None:
        near.close()
        with closing(Crew(_square, 3).results(ITEMS)) as results:
            next(results)
            far.send(len(_workers()))
            signal.pause()

    assert _dies(parent, near.recv, far.close) == 3
    # The workers hold the other end of this line too: it is gone when they are.
    assert near.poll(10)
    with pytest.raises(EOFError):
        near.recv()


def _dies(parent: Callable[[], None], told: Callable[[], int], ours: Callable[[], None]) -> int:
    process = multiprocessing.get_context("fork").Process(target=parent)
    process.start()
    ours()
    said = told()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return said
