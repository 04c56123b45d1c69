"""The end of a log, and how it grows."""

from __future__ import annotations

from hashlib import sha256

from app.audit.chain import GENESIS, Head
from app.audit.entry import parse, prepare
from app.audit.tree import EMPTY_ROOT, leaf_hash, root_of
from tests.trail_kit import ORIGIN, draft


def test_each_entry_carries_the_hash_of_the_one_before() -> None:
    """Placing entries numbers them from 0, links them, and makes each a leaf of the tree."""
    head = Head(ORIGIN)

    placed = [head.place(prepare(draft(number), None, log=ORIGIN)) for number in range(5)]

    links = [GENESIS, *(sha256(one.body).digest() for one in placed)]
    assert [parse(one.body)["prev"] for one in placed] == [link.hex() for link in links[:5]]
    assert [parse(one.body)["seq"] for one in placed] == [one.seq for one in placed] == [0, 1, 2, 3, 4]
    assert [one.leaf for one in placed] == [leaf_hash(one.body) for one in placed]
    assert (head.last, head.size, head.frontier.root()) == (links[5], 5, root_of(one.leaf for one in placed))


def test_the_checkpoint_says_origin_size_and_root() -> None:
    """An empty log's root is that of the empty tree; a growing log's is that of its entries."""
    head = Head(ORIGIN)
    assert (head.checkpoint().size, head.checkpoint().root) == (0, EMPTY_ROOT)

    placed = head.place(prepare(draft(0), None, log=ORIGIN))

    assert head.checkpoint().text().split("\n")[:2] == [ORIGIN, "1"]
    assert head.checkpoint().root == placed.leaf
