"""Tiles: their paths, what they hold, and that proofs over them are those over leaves."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, insert

from app.audit.tables import TrailEntry, TrailTile
from app.audit.tiles import Tiles, parse_path, path_of, store_tiles, width_at
from app.audit.tree import consistency_proof, inclusion_proof, root_of, verify_consistency, verify_inclusion
from app.kernel.errors import BadInput, SealBroken
from app.store.engine import Store
from tests.sampling import sampled
from tests.trail_kit import NOON, ORIGIN, run

LEAVES = [sha256(b"leaf %d" % number).digest() for number in range(70_000)]


def plant(store: Store, count: int, start: int = 0) -> None:
    """Put leaves there without entries around them; their bodies do not matter to a tree."""
    rows = [
        {"log": ORIGIN, "seq": seq, "leaf": LEAVES[seq], "body": b"", "at": NOON, "actor": "a", "action": "x", "outcome": "y"}
        for seq in range(start, count)
    ]
    with store.writing() as session:
        session.execute(insert(TrailEntry), rows)


@pytest.mark.parametrize(("number", "path"), [(0, "000"), (67, "067"), (999, "999"), (1000, "x001/000"), (1234067, "x001/x234/067")])
def test_an_index_is_written_in_groups_of_three(number: int, path: str) -> None:
    """C2SP tlog-tiles' own example among them."""
    assert path_of(number) == path
    assert parse_path(path) == (number, 256)
    assert parse_path(f"{path}.p/17") == (number, 17)


@given(st.integers(0, 2**55))
def test_every_index_reads_back(number: int) -> None:
    """Writing and reading are inverse."""
    assert parse_path(path_of(number)) == (number, 256)


@pytest.mark.parametrize(
    "text",
    ["", "0", "00", "0000", "x000/001", "x001", "x001/", "/001", "001/002", "x1/002", "001.p/", "001.p/0", "001.p/256", "001.p/012",
     "001.p/17.p/3", "001.p/-1", "..", "%00", "٠٠١", "x001/" * 99 + "000"],
)  # fmt: skip
def test_any_other_spelling_is_refused(text: str) -> None:
    """One tile has one address, so that caches and mirrors agree."""
    with pytest.raises(BadInput, match="not the path of a tile"):
        parse_path(text)


def test_widths_are_those_of_the_standards_example() -> None:
    """70,000 leaves: 273 full tiles and one of 112 at level 0, one full and one of 17 at level 1, one of 1 at level 2."""
    assert [width_at(70_000, 0, n) for n in (272, 273, 274)] == [256, 112, 0]
    assert [width_at(70_000, 1, n) for n in (0, 1, 2)] == [256, 17, 0]
    assert [width_at(70_000, 2, n) for n in (0, 1)] == [1, 0]
    assert [width_at(256, 0, 0), width_at(256, 1, 0)] == [256, 1]


def test_proofs_over_tiles_are_proofs_over_leaves(store: Store) -> None:
    """At a size with full tiles on two levels: roots, inclusion and consistency, with tiles stored and without."""
    plant(store, 66_000)
    root = root_of(LEAVES[:66_000])
    before = _proofs(store)

    added = store_tiles(store, ORIGIN, 66_000)

    assert added == 257 + 1
    assert _proofs(store) == before
    for seq, path in before[0]:
        verify_inclusion(seq, 66_000, LEAVES[seq], path, root)
    for old, path in before[1]:
        verify_consistency(old, 66_000, root_of(LEAVES[:old]), root, path)


def _proofs(store: Store) -> tuple[list[tuple[int, list[bytes]]], list[tuple[int, list[bytes]]]]:
    with store.reading() as session:
        tree = Tiles(session, ORIGIN, 66_000)
        inside = [(seq, inclusion_proof(seq, 66_000, tree.subtree)) for seq in (0, 1, 255, 256, 40_000, 65_535, 65_536, 65_999)]
        return inside, [(old, consistency_proof(old, 66_000, tree.subtree)) for old in (1, 255, 256, 257, 65_536, 65_537, 65_999)]


@pytest.mark.parametrize("size", sampled([1, 200, 256, 257, 40_000, 65_536, 66_000], 1, 200, 256, 257))
def test_what_is_read_along_a_path_changes_no_proof(store: Store, size: int) -> None:
    """Read in one statement or piece by piece, with every tile stored, with some and with none: the same hashes."""
    plant(store, size)
    for stored in (0, size // 2, size):
        store_tiles(store, ORIGIN, stored)
        with store.reading() as session:
            for seq in {0, size // 3, size - 1}:
                plain, along = Tiles(session, ORIGIN, size), Tiles(session, ORIGIN, size).along(seq)
                assert inclusion_proof(seq, size, along.subtree) == inclusion_proof(seq, size, plain.subtree)
                assert consistency_proof(seq + 1, size, along.subtree) == consistency_proof(seq + 1, size, plain.subtree)


def test_a_proof_takes_one_statement(store: Store) -> None:
    """All tiles of a path, and what is not full yet, come at once."""
    plant(store, 66_000)
    store_tiles(store, ORIGIN, 66_000)
    asked: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda _c, _k, statement, *_: asked.append(statement))

    with store.reading() as session:
        session.connection()
        asked.clear()
        inclusion_proof(300, 66_000, Tiles(session, ORIGIN, 66_000).along(300).subtree)

    assert len(asked) == 1


def test_tiles_are_stored_as_they_fill(store: Store) -> None:
    """Only full ones, each once, whoever asks how often."""
    plant(store, 600)
    assert [store_tiles(store, ORIGIN, 255), store_tiles(store, ORIGIN, 600), store_tiles(store, ORIGIN, 600)] == [0, 2, 0]
    plant(store, 800, 600)

    assert store_tiles(store, ORIGIN, 800) == 1
    with store.reading() as session:
        tile = session.get(TrailTile, (ORIGIN, 0, 2))
        assert tile is not None
        assert tile.hashes == b"".join(LEAVES[512:768])
        assert tile.root == root_of(LEAVES[512:768])


def test_a_tile_that_somebody_changed_proves_nothing(owner: Store) -> None:
    """A tile of another length is refused at once; a wrong hash leads to another root."""
    plant(owner, 600)
    store_tiles(owner, ORIGIN, 600)
    run(owner, "UPDATE trail_tile SET hashes = :x WHERE number = 1", x=b"\x00" * 256 * 32)

    with owner.reading() as session:
        path = inclusion_proof(300, 600, Tiles(session, ORIGIN, 600).subtree)
        with pytest.raises(BadInput, match="does not lead to the root"):
            verify_inclusion(300, 600, LEAVES[300], path, root_of(LEAVES[:600]))
    run(owner, "UPDATE trail_tile SET hashes = :x WHERE number = 1", x=b"short")
    with owner.reading() as session, pytest.raises(SealBroken, match="256 hashes"):
        inclusion_proof(300, 600, Tiles(session, ORIGIN, 600).subtree)
    with owner.reading() as session, pytest.raises(SealBroken, match="256 hashes"):
        Tiles(session, ORIGIN, 600).along(300)


def test_missing_leaves_are_said(store: Store) -> None:
    """A tree with a hole gives no proof."""
    plant(store, 100)

    with store.reading() as session, pytest.raises(SealBroken, match="not all there"):
        Tiles(session, ORIGIN, 101).subtree(0, 101)
