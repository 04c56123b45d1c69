"""Sealing ahead: the second process changes nothing but the time, whatever becomes of it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.factory import House
from app.vault.seal import SealedBlob
from app.voters.actions import blind_of
from app.voters.reader import rows, survey
from app.voters.sealing import Raw, Ready, Sealer, sealed
from tests.conftest import ELECTION, KAB, VOTING_DAY, dp4_row, write_dp4

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no second process")
ROWS, CHUNK = 40, 10


def _sealer(house: House) -> Sealer:
    key, blind = house.guard.keys.key("seal", KAB), blind_of(house.guard.keys, KAB)
    return Sealer(KAB, ELECTION, "l" * 26, VOTING_DAY, house.places, key, blind)


def _chunks(path: Path, **faulty: str) -> Iterator[list[Raw]]:
    file = write_dp4(path, [dp4_row(number, **(faulty if number == 15 else {})) for number in range(1, ROWS + 1)])
    found = list(rows(file, survey(file)))
    return (found[start : start + CHUNK] for start in range(0, ROWS, CHUNK))


def _niks(made: list[Ready | SealedBlob]) -> list[str]:
    return [row.nik if isinstance(row, Ready) else "waits" for row in made]


def _helpers() -> list[int]:
    return [child.pid or 0 for child in multiprocessing.active_children() if child.name == "gardu-sealer"]


def test_apart_or_here_the_same_rows_come_out_in_order(sqlite_house: House, tmp_path: Path) -> None:
    """Every row once, in the file's order, the faulty one for the quarantine."""
    expected = [dp4_row(number)["NIK"] if number != 15 else "waits" for number in range(1, ROWS + 1)]
    for apart in (False, True):
        with closing(sealed(_sealer(sqlite_house), _chunks(tmp_path / "a.csv", TGL_LHR="99|99|1980"), apart)) as batches:
            came = [nik for _, made in batches for nik in _niks(made)]

        assert came == expected
    assert _helpers() == []


def test_a_helper_that_is_killed_loses_no_row(sqlite_house: House, tmp_path: Path) -> None:
    """What it had in hand is sealed here, and so is all that follows."""
    came: list[str] = []
    with closing(sealed(_sealer(sqlite_house), _chunks(tmp_path / "a.csv"), True)) as batches:
        for _, made in batches:
            came += _niks(made)
            for helper in _helpers():
                os.kill(helper, signal.SIGKILL)

    assert came == [dp4_row(number)["NIK"] for number in range(1, ROWS + 1)]


def test_whoever_stops_early_leaves_no_helper_behind(sqlite_house: House, tmp_path: Path) -> None:
    """An error while storing ends the second process too: it holds keys."""
    with pytest.raises(RuntimeError), closing(sealed(_sealer(sqlite_house), _chunks(tmp_path / "a.csv"), True)) as batches:
        next(batches)
        raise RuntimeError("the store is gone")

    assert _helpers() == []


def test_a_killed_parent_takes_its_helper_along(sqlite_house: House, tmp_path: Path) -> None:
    """kill -9: the helper sees the line go dead and ends, so no process keeps the keys."""
    near, far = multiprocessing.get_context("fork").Pipe()

    def parent() -> None:
        near.close()
        with closing(sealed(_sealer(sqlite_house), _chunks(tmp_path / "a.csv"), True)) as batches:
            next(batches)
            far.send(_helpers())
            signal.pause()

    process = multiprocessing.get_context("fork").Process(target=parent)
    process.start()
    far.close()
    assert len(near.recv()) == 1
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()

    # The helper holds the other end of this line too: it is gone when the line is.
    assert near.poll(10)
    with pytest.raises(EOFError):
        near.recv()


def test_what_a_row_holds_never_shows(sqlite_house: House, tmp_path: Path) -> None:
    """Not in the repr of a sealed row, although it carries its NIK."""
    [made] = _sealer(sqlite_house).seal(next(_chunks(tmp_path / "a.csv"))[:1])

    assert isinstance(made, Ready)
    assert made.nik not in repr(made)
