"""The tree as tiles of height 8 (C2SP tlog-tiles): 256 hashes wide, stored once full, so that a proof reads a handful of rows.

Level 0 holds leaf hashes; a hash of level L is the root of a full tile of level L-1, which stands beside that tile. What is not full yet is
read from the level below. Tiles are made from entries and can be made again: a proof checks itself against a signed checkpoint, and
``audit.verify`` compares every tile with the entries.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import cast

from sqlalchemy import Table, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.audit.tables import TrailEntry, TrailTile
from app.audit.tree import HASH_SIZE, node_hash
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
_ENTRIES = cast(Table, TrailEntry.__table__)
# Built once: making a statement anew costs more than running it.
_ONE_TILE = select(_TILES.c.hashes).where(
    _TILES.c.log == bindparam("of"), _TILES.c.level == bindparam("level"), _TILES.c.number == bindparam("number")
)
_ROOTS = select(_TILES.c.number, _TILES.c.root).where(
    _TILES.c.log == bindparam("of"),
    _TILES.c.level == bindparam("level"),
    _TILES.c.number >= bindparam("start"),
    _TILES.c.number < bindparam("end"),
)
_LEAVES = (
    select(_ENTRIES.c.leaf)
    .where(_ENTRIES.c.log == bindparam("of"), _ENTRIES.c.seq >= bindparam("start"), _ENTRIES.c.seq < bindparam("end"))
    .order_by(_ENTRIES.c.seq)
)


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
    """Reads hashes of the tree of *log* within one reading; keeps what it has read, so that a proof takes one or two statements a level.

    size: how many leaves the tree has; nothing beyond them is looked at.
    """

    def __init__(self, session: Session, log: str, size: int) -> None:
        self._connection, self._log, self._size = session.connection(), log, size
        # (level, number) → the tile's hashes one after another, as many as there are in a tree of this size.
        self._read: dict[tuple[int, int], bytes] = {}

    def hashes(self, level: int, start: int, end: int) -> list[bytes]:
        """Return the hashes start…end-1 of *level*, which must be in the tree and within one tile.

        Raises SealBroken when rows are missing or of a wrong form.
        """
        number = start // WIDTH
        packed = self._tile(level, number)
        first, last = (start - number * WIDTH) * HASH_SIZE, (end - number * WIDTH) * HASH_SIZE
        if last > len(packed):
            raise SealBroken(f"log {self._log}: hashes {start} to {end - 1} of level {level} are not all there; run gardu audit verify")
        return [packed[at : at + HASH_SIZE] for at in range(first, last, HASH_SIZE)]

    def subtree(self, start: int, end: int) -> bytes:
        """Return the RFC 6962 hash over leaves start…end-1 (``app.audit.tree.Subtree``)."""
        count = end - start
        if count & (count - 1) == 0 and start % count == 0:
            level, inside = divmod(count.bit_length() - 1, HEIGHT)
            first = start >> (level * HEIGHT)
            return perfect_root(self.hashes(level, first, first + (1 << inside)))
        middle = start + (1 << ((count - 1).bit_length() - 1))
        return node_hash(self.subtree(start, middle), self.subtree(middle, end))

    def _tile(self, level: int, number: int) -> bytes:
        key = (level, number)
        if key not in self._read:
            width = width_at(self._size, level, number)
            stored = self._stored(level, number) if width == WIDTH else None
            self._read[key] = stored or self._made(level, number * WIDTH, number * WIDTH + width)
        return self._read[key]

    def _stored(self, level: int, number: int) -> bytes | None:
        """Return a full tile as stored; None when it is not stored yet."""
        found = self._connection.execute(_ONE_TILE, {"of": self._log, "level": level, "number": number}).scalar_one_or_none()
        if found is not None and (not isinstance(found, bytes) or len(found) != WIDTH * HASH_SIZE):
            raise SealBroken(f"trail_tile {level}/{number} of {self._log} is not 256 hashes; run gardu audit verify")
        return found

    def _made(self, level: int, start: int, end: int) -> bytes:
        """Return the hashes start…end-1 of *level* from what lies below: leaves of entries, or the roots of full tiles."""
        span = {"of": self._log, "start": start, "end": end}
        if level == 0:
            return self._whole(self._connection.execute(_LEAVES, span).scalars().all(), start, end)
        roots = {row.number: row.root for row in self._connection.execute(_ROOTS, {**span, "level": level - 1})}
        found = [roots.get(at) or perfect_root(self.hashes(level - 1, at * WIDTH, (at + 1) * WIDTH)) for at in range(start, end)]
        return self._whole(found, start, end)

    def _whole(self, found: Sequence[object], start: int, end: int) -> bytes:
        hashes = [one for one in found if isinstance(one, bytes) and len(one) == HASH_SIZE]
        if len(hashes) != end - start:
            raise SealBroken(f"log {self._log}: hashes {start} to {end - 1} are not all there; run gardu audit verify")
        return b"".join(hashes)


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over a power of two of *hashes*; a third of the time that growing a tree by them takes."""
    row = list(hashes)
    while len(row) > 1:
        row = [sha256(b"\x01" + row[at] + row[at + 1]).digest() for at in range(0, len(row), 2)]
    return row[0]


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
        tiles, made = Tiles(session, log, wanted << (HEIGHT * (level + 1))), []
        for number in range(start, min(wanted, start + _BATCH)):
            hashes = tiles.hashes(level, number * WIDTH, (number + 1) * WIDTH)
            made.append({"log": log, "level": level, "number": number, "root": perfect_root(hashes), "hashes": b"".join(hashes)})
        return made
