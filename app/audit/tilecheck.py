"""Verifying the stored tiles against the leaves: every tile that stands there is made anew beside the walk, 256 hashes a level in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.audit.place import Place
from app.audit.streams import Beside, RawTile, Streams
from app.audit.tiles import HEIGHT, LEVELS, WIDTH
from app.audit.tree import HASH_SIZE, Frontier, root_of
from app.kernel.errors import N_

_WRONG = N_("Ubin pohon (trail_tile) aras %(aras)s nomor %(nomor)s tidak sama dengan daun jejak.")


@dataclass(slots=True)
class _Level:
    """The tile being filled: its number, its hashes so far; None until one begins whose first hash is known."""

    rows: Beside
    number: int = 0
    hashes: list[bytes] | None = field(default_factory=list)


class TileCheck:
    """Compares tiles, as long as the leaves are sound. filling: begin with these hashes of the tile being filled, by level."""

    def __init__(self, streams: Streams, place: Place, filling: Sequence[Sequence[bytes]] | None = None) -> None:
        self._place = place
        self._levels = [_Level(Beside(streams.tiles(at), self._stray(at))) for at in range(LEVELS)]
        for level in streams.levels():
            if not (isinstance(level, int) and 0 <= level < LEVELS):
                self._wrong(level, "-")
        if filling is not None:
            for at, (level, hashes) in enumerate(zip(self._levels, filling, strict=True)):
                level.number, level.hashes = place.seq >> (HEIGHT * (at + 1)), list(hashes)
        elif place.start:
            self._resume()

    @property
    def filling(self) -> tuple[tuple[bytes, ...], ...] | None:
        """The hashes of the tile being filled, by level; None when those of some level are not known."""
        known = [tuple(level.hashes) for level in self._levels if level.hashes is not None]
        return tuple(known) if len(known) == LEVELS else None

    def add(self, leaf: bytes) -> None:
        """Take the next leaf hash; compare whatever tile it fills."""
        hashed, at = leaf, 0
        while True:
            level = self._levels[at]
            if level.hashes is None:
                return
            level.hashes.append(hashed)
            if len(level.hashes) < WIDTH:
                return
            hashed = root_of(level.hashes)
            self._compare(at, level.number, level.hashes, hashed)
            level.number, level.hashes = level.number + 1, []
            at += 1
            if at == LEVELS:
                return

    def rest(self, limit: int) -> None:
        """Find up to *limit* tiles of each level beyond what is full."""
        for level in self._levels:
            level.rows.rest(limit)

    def _compare(self, at: int, number: int, hashes: list[bytes], root: bytes) -> None:
        for one in self._levels[at].rows.at(number):
            row = RawTile(*one)
            if (row.root, row.hashes) != (root, b"".join(hashes)):
                self._wrong(at, number)

    def _resume(self) -> None:
        """Take up a pruned log: the roots of the tiles that are left, level by level, must make up the frontier it begins with."""
        start, frontier = self._place.start, self._place.tree
        found: list[bytes] = []
        whole = True
        for at, level in enumerate(self._levels):
            width = start >> (HEIGHT * at)
            level.number = width // WIDTH
            wanted = range(level.number * WIDTH, width)
            level.hashes = self._roots(at - 1, wanted) if wanted else []
            whole = whole and level.hashes is not None
            found = self._frontier(level.hashes or []) + found
        for at in range(LEVELS):
            self._drop_below(at)
        if whole and frontier is not None and found != frontier.hashes:
            self._wrong(0, 0)

    def _roots(self, at: int, wanted: range) -> list[bytes] | None:
        """Return the roots of the tiles *wanted* of level *at*, each borne out by its hashes; None when some is not stored."""
        rows = self._levels[at].rows
        found: list[bytes] = []
        for one in rows.below(wanted.stop):
            row = RawTile(*one)
            if isinstance(row.number, int) and row.number >= wanted.start:
                root = self._sound(at, row)
                if root is not None:
                    found.append(root)
            else:
                self._sound(at, row)
        return found if len(found) == len(wanted) else None

    def _drop_below(self, at: int) -> None:
        """Look at the tiles before the minimum that no level above needed."""
        for one in self._levels[at].rows.below(self._levels[at].number):
            self._sound(at, RawTile(*one))

    def _sound(self, at: int, row: RawTile) -> bytes | None:
        packed = row.hashes
        if isinstance(packed, bytes) and len(packed) == WIDTH * HASH_SIZE:
            root = root_of(packed[start : start + HASH_SIZE] for start in range(0, len(packed), HASH_SIZE))
            if root == row.root:
                return root
        self._wrong(at, row.number)
        return None

    @staticmethod
    def _frontier(hashes: list[bytes]) -> list[bytes]:
        part = Frontier()
        for one in hashes:
            part.append(one)
        return part.hashes

    def _stray(self, at: int) -> _Beyond:
        return _Beyond(self, at)

    def _wrong(self, level: object, number: object) -> None:
        seq = number << (HEIGHT * (level + 1)) if isinstance(level, int) and isinstance(number, int) and 0 <= level < LEVELS else None
        self._place.find(seq, _WRONG, aras=level, nomor=number)


@dataclass(frozen=True, slots=True)
class _Beyond:
    """Finds a tile that the tree is too small to have."""

    check: TileCheck
    level: int

    def __call__(self, number: object) -> None:
        """Take the tile's number."""
        self.check._wrong(self.level, number)
