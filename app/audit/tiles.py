"""The tree as tiles of height 8 (C2SP tlog-tiles): 256 hashes wide, stored once full, so that a proof reads a handful of rows.

Level 0 holds leaf hashes; a hash of level L is the root of a full tile of level L-1, which stands beside that tile. What is not full yet is
read from the level below. Tiles are made from entries and can be made again: a proof checks itself against a signed checkpoint, and
``audit.verify`` compares every tile with the entries.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from sqlalchemy import Table, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.audit.tables import TrailEntry, TrailTile
from app.audit.tree import HASH_SIZE, node_hash, root_of
from app.kernel.errors import BadInput, SealBroken
from app.store.engine import Store

# C2SP tlog-tiles, "Merkle Tree": tiles are of height 8.
HEIGHT = 8
WIDTH = 1 << HEIGHT
# 2^63 leaves need 8 levels of tiles.
LEVELS = 8
# Tiles written in one transaction: half a megabyte, a few milliseconds of SQLite's lock.
_BATCH = 64
_NUMBER = re.compile(r"(?:x[0-9]{3}/)*[0-9]{3}", re.ASCII)
_PARTIAL = re.compile(r"(.+)\.p/([1-9][0-9]{0,2})", re.ASCII)
# The index of a tile within a signed 64-bit tree has at most 17 digits: six path elements.
_MAX_PATH = 6 * 5
_TILES = cast(Table, TrailTile.__table__)


def path_of(number: int) -> str:
    """Return the path elements of a tile's index, e.g. ``x001/x234/067``."""
    digits = f"{number:03d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    return "/".join([f"x{part}" for part in parts[:-1]] + parts[-1:])


def parse_path(text: str) -> tuple[int, int]:
    """Return (index, width) of ``<N>[.p/<W>]``. Raises BadInput (field ``path``) for any spelling but the one of the standard."""
    width, partial = WIDTH, _PARTIAL.fullmatch(text)
    if partial is not None:
        text, width = partial[1], int(partial[2])
    if len(text) > _MAX_PATH or not _NUMBER.fullmatch(text) or not 1 <= width <= WIDTH or (partial is not None and width == WIDTH):
        raise BadInput(
            "not the path of a tile: <N> in groups of three digits, all but the last with x, then .p/<1 to 255> if partial", field="path"
        )
    number = int(text.replace("x", "").replace("/", ""))
    if path_of(number) != text:
        raise BadInput("not the path of a tile: leading zeroes", field="path")
    return number, width


def width_at(size: int, level: int, number: int) -> int:
    """Return how many hashes tile *number* of *level* has in a tree of *size* leaves: 0…256."""
    return max(0, min(WIDTH, (size >> (HEIGHT * level)) - number * WIDTH))


class Tiles:
    """Reads hashes of the tree of *log* within one reading; keeps what it has read."""

    def __init__(self, session: Session, log: str) -> None:
        self._session, self._log = session, log
        self._full: dict[tuple[int, int], bytes | None] = {}

    def hashes(self, level: int, start: int, end: int) -> list[bytes]:
        """Return the hashes start…end-1 of *level*, which must be in the tree and within one tile.

        Raises SealBroken when rows are missing or of a wrong form.
        """
        number = start // WIDTH
        tile = self._tile(level, number)
        if tile is not None:
            packed = tile[(start - number * WIDTH) * HASH_SIZE : (end - number * WIDTH) * HASH_SIZE]
            return [packed[at : at + HASH_SIZE] for at in range(0, len(packed), HASH_SIZE)]
        return self.leaves(start, end) if level == 0 else self._roots(level - 1, start, end)

    def leaves(self, start: int, end: int) -> list[bytes]:
        """Return the leaf hashes of entries start…end-1. Raises SealBroken when some are missing."""
        query = select(TrailEntry.leaf).where(TrailEntry.log == self._log, TrailEntry.seq >= start, TrailEntry.seq < end)
        return self._whole(self._session.scalars(query.order_by(TrailEntry.seq)).all(), start, end)

    def subtree(self, start: int, end: int) -> bytes:
        """Return the RFC 6962 hash over leaves start…end-1 (``app.audit.tree.Subtree``)."""
        count = end - start
        if count & (count - 1) == 0 and start % count == 0:
            return self._perfect(count.bit_length() - 1, start)
        middle = start + (1 << ((count - 1).bit_length() - 1))
        return node_hash(self.subtree(start, middle), self.subtree(middle, end))

    def _perfect(self, height: int, start: int) -> bytes:
        level, inside = divmod(height, HEIGHT)
        first = start >> (level * HEIGHT)
        return root_of(self.hashes(level, first, first + (1 << inside)))

    def _tile(self, level: int, number: int) -> bytes | None:
        key = (level, number)
        if key not in self._full:
            where = (TrailTile.log == self._log, TrailTile.level == level, TrailTile.number == number)
            found = self._session.scalar(select(TrailTile.hashes).where(*where))
            if found is not None and (not isinstance(found, bytes) or len(found) != WIDTH * HASH_SIZE):
                raise SealBroken(f"trail_tile {level}/{number} of {self._log} is not 256 hashes; run gardu audit verify")
            self._full[key] = found
        return self._full[key]

    def _roots(self, level: int, start: int, end: int) -> list[bytes]:
        """Return the roots of full tiles of *level*: as stored, and worked out for those that are not stored yet."""
        where = (TrailTile.log == self._log, TrailTile.level == level, TrailTile.number >= start, TrailTile.number < end)
        known = {row.number: row.root for row in self._session.execute(select(TrailTile.number, TrailTile.root).where(*where))}
        found = [known.get(at) or root_of(self.hashes(level, at * WIDTH, (at + 1) * WIDTH)) for at in range(start, end)]
        return self._whole(found, start, end)

    def _whole(self, found: Sequence[object], start: int, end: int) -> list[bytes]:
        hashes = [one for one in found if isinstance(one, bytes) and len(one) == HASH_SIZE]
        if len(hashes) != end - start:
            raise SealBroken(f"log {self._log}: hashes {start} to {end - 1} are not all there; run gardu audit verify")
        return hashes


def store_tiles(store: Store, log: str, size: int) -> int:
    """Store every tile that is full in a tree of *size* leaves and not stored yet; return how many were added.

    Several processes may do it at once. If we die midway, the next call goes on. Raises SealBroken, StoreDown.
    """
    added = 0
    for level in range(LEVELS):
        wanted = size >> (HEIGHT * (level + 1))
        while wanted:
            made = _next_tiles(store, log, level, wanted)
            if not made:
                break
            with store.writing() as session:
                dialect = postgresql if store.dialect == "postgresql" else sqlite
                session.execute(dialect.insert(_TILES).on_conflict_do_nothing(), made)
            added += len(made)
        if not wanted:
            break
    return added


def _next_tiles(store: Store, log: str, level: int, wanted: int) -> list[dict[str, object]]:
    with store.reading() as session:
        where = (TrailTile.log == log, TrailTile.level == level)
        newest = session.scalar(select(func.max(TrailTile.number)).where(*where))
        start = 0 if newest is None else newest + 1
        tiles, made = Tiles(session, log), []
        for number in range(start, min(wanted, start + _BATCH)):
            hashes = tiles.hashes(level, number * WIDTH, (number + 1) * WIDTH)
            made.append({"log": log, "level": level, "number": number, "root": root_of(hashes), "hashes": b"".join(hashes)})
        return made
