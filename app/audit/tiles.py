"""The tree as tiles of height 8 (C2SP tlog-tiles): 256 hashes wide, stored once full, so that a proof reads a handful of rows.

Level 0 holds leaf hashes; a hash of level L is the root of a full tile of level L-1, which stands beside that tile. What is not full yet is
read from the level below. Tiles are made from entries and can be made again: a proof checks itself against a signed checkpoint, and
``audit.verify`` compares every tile with the entries.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from typing import cast

from sqlalchemy import CompoundSelect, Table, bindparam, func, literal_column, select, union_all
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


@cache
def _along(full: tuple[int, ...], edge: tuple[int, ...]) -> CompoundSelect[int, int, int, bytes]:
    """Return the one statement that reads a full tile of each level in *full*, and what makes up the unfinished tile of each in *edge*.

    Rows: whether of the edge, level, number, hash or hashes. There are as many statements as shapes of a tree: a few hundred at most.
    """
    wanted = []
    for level in full:
        tile = (_TILES.c.log == bindparam("of"), _TILES.c.level == level, _TILES.c.number == bindparam(f"tile{level}"))
        wanted.append(select(literal_column("0"), literal_column(str(level)), _TILES.c.number, _TILES.c.hashes).where(*tile))
    for level in edge:
        # Hashes of level 0 are leaves; those of any other are roots of the tiles below.
        number, found = (_TILES.c.number, _TILES.c.root) if level else (_ENTRIES.c.seq, _ENTRIES.c.leaf)
        below = (_TILES.c.log == bindparam("of"), _TILES.c.level == level - 1) if level else (_ENTRIES.c.log == bindparam("of"),)
        span = (number >= bindparam(f"start{level}"), number < bindparam(f"end{level}"))
        wanted.append(select(literal_column("1"), literal_column(str(level)), number, found).where(*below, *span))
    return union_all(*wanted)


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

    def along(self, seq: int) -> Tiles:
        """Read in one statement what a proof about leaf *seq* needs: its tile of each level, and the unfinished ones at the tree's end.

        Only a question of time: what is not there is asked for, or made, when it is needed. Returns itself. Raises SealBroken.
        """
        full, edge, span = list[int](), list[int](), {"of": cast(object, self._log)}
        for level in range(LEVELS):
            number, end = seq >> (HEIGHT * (level + 1)), self._size >> (HEIGHT * level)
            if width_at(self._size, level, number) == WIDTH:
                full.append(level)
                span[f"tile{level}"] = number
            if end % WIDTH:
                edge.append(level)
                span |= {f"start{level}": end // WIDTH * WIDTH, f"end{level}": end}
        parts = {level: dict[int, object]() for level in edge}
        if not full and not edge:
            return self
        for of_edge, level, number, found in self._connection.execute(_along(tuple(full), tuple(edge)), span).all():
            if of_edge:
                parts[level][number] = found
            else:
                self._read[(level, number)] = self._sound(found, level, number)
        for level, part in parts.items():
            hashes = [one for _, one in sorted(part.items()) if isinstance(one, bytes) and len(one) == HASH_SIZE]
            if len(hashes) == (self._size >> (HEIGHT * level)) % WIDTH:
                self._read[(level, self._size >> (HEIGHT * (level + 1)))] = b"".join(hashes)
        return self

    def hashes(self, level: int, start: int, end: int) -> list[bytes]:
        """Return the hashes start…end-1 of *level*, which must be in the tree and within one tile.

        Raises SealBroken when rows are missing or of a wrong form.
        """
        packed = self._packed(level, start, end)
        return [packed[at : at + HASH_SIZE] for at in range(0, len(packed), HASH_SIZE)]

    def subtree(self, start: int, end: int) -> bytes:
        """Return the RFC 6962 hash over leaves start…end-1 (``app.audit.tree.Subtree``)."""
        count = end - start
        if count & (count - 1) == 0 and start % count == 0:
            level, inside = divmod(count.bit_length() - 1, HEIGHT)
            first = start >> (level * HEIGHT)
            return packed_root(self._packed(level, first, first + (1 << inside)))
        middle = start + (1 << ((count - 1).bit_length() - 1))
        return node_hash(self.subtree(start, middle), self.subtree(middle, end))

    def _packed(self, level: int, start: int, end: int) -> bytes:
        number = start // WIDTH
        packed = self._tile(level, number)
        first, last = (start - number * WIDTH) * HASH_SIZE, (end - number * WIDTH) * HASH_SIZE
        if last > len(packed):
            raise SealBroken(f"log {self._log}: hashes {start} to {end - 1} of level {level} are not all there; run gardu audit verify")
        return packed[first:last]

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
        return None if found is None else self._sound(found, level, number)

    def _sound(self, found: object, level: int, number: int) -> bytes:
        if not isinstance(found, bytes) or len(found) != WIDTH * HASH_SIZE:
            raise SealBroken(f"trail_tile {level}/{number} of {self._log} is not 256 hashes; run gardu audit verify")
        return found

    def _made(self, level: int, start: int, end: int) -> bytes:
        """Return the hashes start…end-1 of *level* from what lies below: leaves of entries, or the roots of full tiles."""
        span = {"of": self._log, "start": start, "end": end}
        if level == 0:
            return self._whole(self._connection.execute(_LEAVES, span).scalars().all(), start, end)
        roots = {row.number: row.root for row in self._connection.execute(_ROOTS, {**span, "level": level - 1})}
        found = [roots.get(at) or packed_root(self._packed(level - 1, at * WIDTH, (at + 1) * WIDTH)) for at in range(start, end)]
        return self._whole(found, start, end)

    def _whole(self, found: Sequence[object], start: int, end: int) -> bytes:
        hashes = [one for one in found if isinstance(one, bytes) and len(one) == HASH_SIZE]
        if len(hashes) != end - start:
            raise SealBroken(f"log {self._log}: hashes {start} to {end - 1} are not all there; run gardu audit verify")
        return b"".join(hashes)


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over a power of two of *hashes*."""
    return packed_root(b"".join(hashes))


def packed_root(row: bytes) -> bytes:
    """Return the root over a power of two of hashes, one after another in *row*; a quarter of the time that growing a tree by them takes."""
    while len(row) > HASH_SIZE:
        row = b"".join([sha256(b"\x01" + row[at : at + 2 * HASH_SIZE]).digest() for at in range(0, len(row), 2 * HASH_SIZE)])
    return row


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
