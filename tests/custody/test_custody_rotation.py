"""Keys are changed while the guard serves: nothing is lost, nothing stays under an old key, and the log accounts for all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.custody.rotation import State
from app.custody.turning import Kind
from app.factory import House
from tests.conftest import KAB
from tests.custody.rotation_kit import all_read, begin, fill, finish, key_epochs, step, turn
from tests.walk_kit import outcomes, rows_of, size, store_findings


@pytest.mark.parametrize("kind", list(Kind))
def test_a_rotation_leaves_no_row_under_the_old_key_and_destroys_it(house: House, tmp_path: Path, kind: Kind) -> None:
    """Every voter reads and is found as before, the store is as the log says, and the old key is gone."""
    fill(house, tmp_path)
    scope = "00" if kind is Kind.NIK else KAB
    before = size(house)

    done = turn(house, kind, scope)

    assert (done.state, done.share, done.broken) == (State.DONE, 100, 0)
    assert key_epochs(house, kind.purpose, scope) == [2]
    said = outcomes(house, before)
    assert said[:2] == [("key:create", "done"), ("key:rotate", "intent")]
    assert said[-1] == ("key:destroy", "done")
    assert set(said[2:-1]) == {("key:rotate", "done")}
    assert all_read(house, range(1, 6))
    assert store_findings(house) == []


def test_in_the_middle_everything_is_found_and_the_store_is_as_the_log_says(house: House, tmp_path: Path) -> None:
    """Rows of both epochs are read and found."""
    fill(house, tmp_path)
    for kind in Kind:
        uid = begin(house, kind, "00" if kind is Kind.NIK else KAB)
        step(house, uid)
        step(house, uid)
        assert all_read(house, range(1, 6))
        assert store_findings(house) == []
        finish(house, uid)
    assert all_read(house, range(1, 6))
    assert store_findings(house) == []


def test_every_stored_byte_that_depends_on_the_key_changes(house: House, tmp_path: Path) -> None:
    """A re-wrap changes the wrapped keys and no cell; a data rotation changes every cell."""
    fill(house, tmp_path, 3)
    query = (
        "SELECT v.uid, v.c01, v.c13, v.b_nkk, k.wrapped, k.epoch, v.key_epoch FROM voter v JOIN voter_key k ON k.uid = v.uid ORDER BY v.uid"
    )
    first = rows_of(house, query)

    turn(house, Kind.KAB)
    second = rows_of(house, query)
    turn(house, Kind.DATA)
    third = rows_of(house, query)

    for one, two, three in zip(first, second, third, strict=True):
        assert (one["c01"], one["c13"], one["key_epoch"]) == (two["c01"], two["c13"], two["key_epoch"])
        assert one["wrapped"] != two["wrapped"] != three["wrapped"]
        assert two["c01"] != three["c01"]
        assert two["c13"] != three["c13"]
        assert (two["epoch"], three["epoch"], three["key_epoch"]) == (2, 3, 3)
        assert one["b_nkk"] == three["b_nkk"]
