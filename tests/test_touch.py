"""The walk: nothing is shown without a decision before and a durable entry after."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.factory import House
from app.kernel.errors import NotThere
from app.kernel.fields import Element
from app.voters import actions
from tests.conftest import NEIGHBOUR, dp4_row, load_dp4, operator, task, write_dp4


def test_an_operator_reads_a_voter_of_the_own_region(house: House, tmp_path: Path) -> None:
    """All that the policy opens comes out, under one receipt."""
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1), dp4_row(2)]))

    found = actions.find_by_nik(house.guard, operator(house), task(), dp4_row(2)["NIK"], house.clock.now())
    shown, _ = actions.read_voter(house.guard, operator(house), task(), found.shown[0].row.uid, house.clock.now())
    assert shown.values[Element.NAMA] == dp4_row(2)["NAMA"]
    assert shown.receipt.seq == found.receipt.seq + 1


def test_the_neighbours_operator_gets_not_there(house: House, tmp_path: Path) -> None:
    """A voter of another kab and a voter who does not exist give the same answer."""
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1)]))
    uid = actions.find_by_nik(house.guard, operator(house), task(), dp4_row(1)["NIK"], house.clock.now()).shown[0].row.uid

    with pytest.raises(NotThere):
        actions.read_voter(house.guard, operator(house, NEIGHBOUR), task(), uid, house.clock.now())
