"""The Merkle tree of RFC 6962 / RFC 9162: growing it, its root, and both kinds of proof. Pure.

A tree over n leaf hashes is kept as its *frontier*: the hashes of its perfect subtrees, largest first (one per 1-bit of n). That is
all it takes to append and to know the root.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from app.kernel.errors import BadInput

HASH_SIZE = 32
# RFC 9162 section 2.1.1: the hash of the empty tree is that of the empty string.
EMPTY_ROOT = sha256(b"").digest()
# 2^63 leaves is what a signed 64-bit column holds; a proof within it has at most 63 hashes on a path, and one more for consistency.
MAX_PROOF = 64

# Returns the RFC 6962 hash of the leaves start…end-1.
Subtree = Callable[[int, int], bytes]


def leaf_hash(data: bytes) -> bytes:
    """Return SHA-256(0x00 ‖ data), RFC 9162 section 2.1.1."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 ‖ left ‖ right), RFC 9162 section 2.1.1."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The perfect subtrees of a growing tree.

    hashes: one 32-byte hash per 1-bit of *size*, largest subtree first. Raises ValueError when the two do not fit together.
    """

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.hashes = list(hashes)
        if size < 0 or len(self.hashes) != size.bit_count() or any(len(one) != HASH_SIZE for one in self.hashes):
            raise ValueError(f"a tree of {size} leaves has {max(size, 0).bit_count()} subtree hashes of {HASH_SIZE} bytes")

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash (32 bytes)."""
        node, index = leaf, self.size
        while index & 1:
            node = node_hash(self.hashes.pop(), node)
            index >>= 1
        self.hashes.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Return the tree's root hash, 32 bytes."""
        if not self.hashes:
            return EMPTY_ROOT
        node = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            node = node_hash(left, node)
        return node

    def pack(self) -> bytes:
        """Return the hashes one after another."""
        return b"".join(self.hashes)

    @classmethod
    def unpack(cls, size: int, packed: bytes) -> Frontier:
        """Return the frontier of a tree of *size* leaves from what ``pack`` gave. Raises ValueError when it does not fit."""
        return cls(size, (packed[start : start + HASH_SIZE] for start in range(0, len(packed), HASH_SIZE)))


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over *leaves* (leaf hashes), read once and in order; memory grows with log n."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def root_over(leaves: Sequence[bytes]) -> bytes:
    """Return the root over *leaves* (leaf hashes) that are all at hand: the same as ``root_of``, level by level, in half its time."""
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    while len(level) > 1:
        # A node without a sibling moves up as it is: the left subtree of RFC 9162's split is always a perfect one.
        odd = level[-1:] if len(level) & 1 else []
        level = [sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)] + odd
    return level[0]


def _split(count: int) -> int:
    """Return the largest power of two smaller than *count* (at least 2)."""
    return 1 << ((count - 1).bit_length() - 1)


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """Return PATH(index, D[size]) of RFC 9162 section 2.1.3.1, from the leaf's sibling up.

    Raises ValueError unless 0 ≤ index < size.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    start, end, path = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(start, middle))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """Return PROOF(old, D[new]) of RFC 9162 section 2.1.4.1.

    Raises ValueError unless 0 < old ≤ new: from the empty tree there is nothing to prove.
    """
    if not 0 < old <= new:
        raise ValueError(f"no consistency proof from size {old} to size {new}")
    start, end, path = 0, new, []
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(start, middle))
            start = middle
    if start:
        path.append(subtree(start, end))
    return path[::-1]


def _whole(*hashes: bytes) -> bool:
    return all(len(one) == HASH_SIZE for one in hashes)


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Check that *leaf* stands at *index* of the tree of *size* with *root* (RFC 9162 section 2.1.3.2).

    Raises BadInput when it does not.
    """
    if not 0 <= index < size or len(proof) > MAX_PROOF or not _whole(leaf, root, *proof):
        raise BadInput(f"inclusion proof: leaf {index} of {size} with {len(proof)} hashes is not a proof", field="proof")
    position, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise BadInput("inclusion proof: too many hashes", field="proof")
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        position, last = position >> 1, last >> 1
    if last != 0 or node != root:
        raise BadInput("inclusion proof: does not lead to the root", field="proof")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree of *new* leaves extends the tree of *old* leaves (RFC 9162 section 2.1.4.2).

    Raises BadInput when it does not, and for old = 0 < new, where a proof shows nothing: whoever accepts the empty tree as a start
    must say so itself, after comparing the root with EMPTY_ROOT.
    """
    if old == new:
        if proof or old_root != new_root or (old == 0 and old_root != EMPTY_ROOT):
            raise BadInput("consistency proof: one size, but not one tree", field="proof")
        return
    if not 0 < old < new or not proof or len(proof) > MAX_PROOF or not _whole(old_root, new_root, *proof):
        raise BadInput(f"consistency proof: from {old} to {new} with {len(proof)} hashes is not a proof", field="proof")
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    left = right = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise BadInput("consistency proof: too many hashes", field="proof")
        if position & 1 or position == last:
            left, right = node_hash(sibling, left), node_hash(sibling, right)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            right = node_hash(right, sibling)
        position, last = position >> 1, last >> 1
    if last != 0 or left != old_root or right != new_root:
        raise BadInput("consistency proof: does not lead to both roots", field="proof")
