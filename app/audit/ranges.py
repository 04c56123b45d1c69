"""A log in ranges that are walked side by side: where they are cut, and with what each begins.

What a range begins with is worked out from rows that nobody has checked yet: stored tiles, and leaves where no tile is stored. So it is
a claim. The walk over the range before ends with what is true there; where the two differ, the ranges prove nothing, and the walk over
the whole log says what is wrong. By induction from the first range on, every claim that held was true.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from app.audit.chain import GENESIS
from app.audit.entry import entry_hash
from app.audit.streams import Streams
from app.audit.tiles import HEIGHT, LEVELS, WIDTH
from app.audit.tree import HASH_SIZE, root_over
from app.audit.walk import Seam

# Entries of a range at least: seconds of work, beside which a dozen statements for the side tables are little.
LEAST = WIDTH * WIDTH
# Ranges for each process at most. A touch token's number has no index: each range looks through all of them.
EACH = 8
# A perfect subtree of the log: the level of tiles in which it is one hash, and its hash.
Subtree = tuple[int, bytes]
# Subtrees one after another, and the link of the last entry.
Made = tuple[list[Subtree], bytes]


def cuts(start: int, size: int, width: int, processes: int) -> list[int]:
    """Return where the ranges of a log from entry *start* to *size* begin, and at last where the rest does, which is at most 256 entries.

    width: entries of a range at least, a multiple of 256; all borders but the ends are multiples of it. Just [*start*] when there is
    nothing to cut.
    """
    rest = max(start, (size - 1) // WIDTH * WIDTH)
    wide = -(-(rest - start) // (EACH * processes * width)) * width
    return [start, *range((start // wide + 1) * wide, rest, wide), rest] if rest > start else [start]


@dataclass(frozen=True, slots=True)
class Roots:
    """The subtrees that the entries *start* to *end* - 1 are made of, and the link of the last: what claims are made of."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Part:
    """The range *start* to *end* - 1, to be walked. seam: what is claimed of its beginning; None where the log begins."""

    start: int
    end: int
    seam: Seam | None


@dataclass(slots=True)
class Claims:
    """Adds up subtrees into seams. filling: the hashes of each level's unfinished tile so far."""

    at: int
    filling: list[list[bytes]] = field(default_factory=lambda: [[] for _ in range(LEVELS)])

    def add(self, subtrees: Iterable[Subtree]) -> None:
        """Go on by *subtrees*, the next of the log."""
        for level, one in subtrees:
            self.at += 1 << (HEIGHT * level)
            hashed = one
            for hashes in self.filling[level:]:
                hashes.append(hashed)
                if len(hashes) < WIDTH:
                    break
                hashed = root_over(hashes)
                hashes.clear()

    def seam(self, link: bytes) -> Seam:
        """Return the claim about this place."""
        return Seam(self.at, link, tuple(map(tuple, self.filling)))


def begun(streams: Streams, start: int) -> Claims | None:
    """Return the claims at *start*, where the log begins; None when a pruned log's tiles do not tell, or it cannot begin there."""
    claims = Claims(start)
    if start % WIDTH:
        return None
    for level in range(1, LEVELS):
        width = start >> (HEIGHT * level)
        wanted = range(width // WIDTH * WIDTH, width)
        found = [root for _number, root in streams.roots(level - 1, wanted.start, wanted.stop) if _is_hash(root)] if wanted else []
        if len(found) != len(wanted):
            return None
        claims.filling[level] = [root for root in found if isinstance(root, bytes)]
    return claims


def subtrees(streams: Streams, asked: Roots) -> Made | None:
    """Return what *asked* asks for, as few subtrees as there are full tiles of the first two levels; None when a row is not there."""
    found, group = list[Subtree](), list[bytes]()
    first, last = asked.start // WIDTH, asked.end // WIDTH
    for number, root in enumerate(_tiles(streams, first, last), first):
        group.append(root)
        if (number + 1) % WIDTH == 0:
            found += [(2, root_over(group))] if len(group) == WIDTH else [(1, one) for one in group]
            group = []
    found += [(1, one) for one in group]
    body = streams.body(asked.end - 1) if asked.end else None
    if sum(1 << (HEIGHT * level) for level, _one in found) != asked.end - asked.start:
        return None
    link = entry_hash(body) if isinstance(body, bytes) else GENESIS if not asked.end else None
    return None if link is None else (found, link)


def _tiles(streams: Streams, first: int, last: int) -> Iterator[bytes]:
    """Yield the roots of the leaf tiles *first* to *last* - 1, as they are stored or made of leaves, until one is not to be had."""
    here = first
    for number, root in streams.roots(0, first, last):
        if not isinstance(number, int) or not isinstance(root, bytes) or len(root) != HASH_SIZE or number < here:
            return
        made = 0
        for one in _made(streams, here, number):
            yield one
            made += 1
        if made != number - here:
            return
        yield root
        here = number + 1
    yield from _made(streams, here, last)


def _made(streams: Streams, first: int, last: int) -> Iterator[bytes]:
    """Yield the roots of the leaf tiles *first* to *last* - 1 from their leaves, as long as these follow one another."""
    if first == last:
        return
    leaves = list[bytes]()
    for wanted, (seq, leaf) in enumerate(streams.leaves(first * WIDTH, last * WIDTH), first * WIDTH):
        if seq != wanted or not isinstance(leaf, bytes) or len(leaf) != HASH_SIZE:
            return
        leaves.append(leaf)
        if len(leaves) == WIDTH:
            yield root_over(leaves)
            leaves = []


def _is_hash(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == HASH_SIZE
