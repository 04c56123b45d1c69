"""The Merkle tree: published vectors, and the definition computed the slow way."""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.tree import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from app.kernel.errors import BadInput

VECTORS = Path(__file__).parent.parent / "vectors" / "merkle"  # source: SOURCES.json


def files(kind: str) -> list[Path]:
    return sorted((VECTORS / kind).rglob("*.json"))


def unpack(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def unpack_all(texts: list[str] | None) -> list[bytes]:
    return [unpack(text) for text in texts or []]


def mth(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162 section 2.1.1, straight from its text."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"").digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(b"leaf %d" % number) for number in range(count)]


@pytest.mark.parametrize("path", files("inclusion"), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_inclusion_vectors(path: Path) -> None:
    """Every published inclusion proof is accepted or refused as its vector says."""
    case = json.loads(path.read_text("utf-8"))
    given_ = (case["leafIdx"], case["treeSize"], unpack(case["leafHash"]), unpack_all(case["proof"]), unpack(case["root"]))

    if case["wantErr"]:
        with pytest.raises(BadInput):
            verify_inclusion(*given_)
    else:
        verify_inclusion(*given_)


@pytest.mark.parametrize("path", files("consistency"), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_consistency_vectors(path: Path) -> None:
    """Every published consistency proof is accepted or refused as its vector says."""
    case = json.loads(path.read_text("utf-8"))
    given_ = (case["size1"], case["size2"], unpack(case["root1"]), unpack(case["root2"]), unpack_all(case["proof"]))

    if case["wantErr"]:
        with pytest.raises(BadInput):
            verify_consistency(*given_)
    else:
        verify_consistency(*given_)


def test_there_are_vectors() -> None:
    """The vectors are where the tests look for them."""
    assert len(files("inclusion")) > 90 and len(files("consistency")) > 80


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 100])
def test_a_growing_tree_has_the_root_of_the_definition(count: int) -> None:
    """Appending leaf by leaf gives MTH, also when packed and unpacked on the way."""
    frontier = Frontier()
    for leaf in leaves(count):
        frontier.append(leaf)
        frontier = Frontier.unpack(frontier.size, frontier.pack())

    assert frontier.root() == mth(leaves(count)) == root_of(leaves(count))
    assert root_of([]) == EMPTY_ROOT


@given(st.integers(1, 70).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1))))
def test_every_leaf_can_be_proved_and_no_other(case: tuple[int, int]) -> None:
    """A proof made for one leaf holds for it, at its place only, and breaks with any bit."""
    size, index = case
    all_leaves, root = leaves(size), mth(leaves(size))
    proof = inclusion_proof(index, size, lambda start, end: root_of(all_leaves[start:end]))

    verify_inclusion(index, size, all_leaves[index], proof, root)
    for wrong in ((index + 1) % size, size, -1):
        if wrong != index:
            with pytest.raises(BadInput):
                verify_inclusion(wrong, size, all_leaves[index], proof, root)
    for at in range(len(proof)):
        bent = [*proof]
        bent[at] = bytes([bent[at][0] ^ 1]) + bent[at][1:]
        with pytest.raises(BadInput):
            verify_inclusion(index, size, all_leaves[index], bent, root)
    with pytest.raises(BadInput):
        verify_inclusion(index, size, all_leaves[index], [*proof, bytes(32)], root)


@given(st.integers(1, 70).flatmap(lambda new: st.tuples(st.integers(1, new), st.just(new))))
def test_every_older_tree_is_proved_to_be_continued(case: tuple[int, int]) -> None:
    """A proof between any two sizes holds for their roots, and for no other roots."""
    old, new = case
    all_leaves = leaves(new)
    before, after = mth(all_leaves[:old]), mth(all_leaves)
    proof = consistency_proof(old, new, lambda start, end: root_of(all_leaves[start:end]))

    verify_consistency(old, new, before, after, proof)
    for roots in ((bytes(32), after), (before, bytes(32))):
        with pytest.raises(BadInput):
            verify_consistency(old, new, *roots, proof)


@pytest.mark.parametrize(("size", "hashes"), [(1, []), (3, [bytes(32)]), (-1, []), (1, [bytes(31)]), (2, [bytes(32)] * 2)])
def test_a_frontier_that_does_not_fit_its_size_is_refused(size: int, hashes: list[bytes]) -> None:
    """A stored frontier must have one 32-byte hash per 1-bit of the size."""
    with pytest.raises(ValueError, match="subtree hashes"):
        Frontier(size, hashes)


def test_there_is_no_proof_outside_the_tree() -> None:
    """Proofs of leaves that are not there, or from the empty tree, are not made."""
    for index, size in ((0, 0), (3, 3), (-1, 3)):
        with pytest.raises(ValueError, match="not in a tree"):
            inclusion_proof(index, size, lambda _start, _end: b"")
    for old, new in ((0, 3), (4, 3)):
        with pytest.raises(ValueError, match="no consistency proof"):
            consistency_proof(old, new, lambda _start, _end: b"")
