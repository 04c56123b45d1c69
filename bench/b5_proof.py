"""B5: the inclusion proof of one entry, read from stored tiles, in trees of 10⁴ leaves and on by tens.

The trees are made of invented leaf hashes: tiles as the publisher would store them, and rows of the log for what is not full yet. No entry
stands behind the tiles; a proof never looks at one.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import cast

from sqlalchemy import Table, insert

from app.audit.tables import TrailEntry, TrailTile
from app.audit.tiles import HEIGHT, LEVELS, WIDTH, Tiles
from app.audit.tree import consistency_proof, inclusion_proof, root_of, verify_consistency, verify_inclusion
from app.settings import shipped
from app.store.engine import Store
from app.store.migrate import upgrade
from bench.kit import NOW, ORIGIN, SEED, Bench, Line, growth, line, median, p99

ID = "B5"
FIRST, QUICK_FIRST = 10_000, 1_000
# bench.md: at 10⁷ entries, and growing as their logarithm.
GOAL = "≤ 1"
_RUNS, _QUICK_RUNS = 300, 20
_BATCH = 512
_TILES, _ENTRIES = cast(Table, TrailTile.__table__), cast(Table, TrailEntry.__table__)


def run(bench: Bench) -> Iterator[Line]:
    """Yield every line of B5."""
    quick = bench.scale.repeats == 1
    sizes, runs = bench.scale.lengths(QUICK_FIRST if quick else FIRST), _QUICK_RUNS if quick else _RUNS
    for engine in bench.engines:
        inclusion, slowest, consistency = [], 0.0, []
        for size in sizes:
            bench.say(f"B5: tiles of {size} invented leaves, {engine}")
            with bench.store(engine) as store:
                upgrade(store, shipped("migrations"))
                leaves = _plant(store, size)
                one = _prove(store, size, leaves, runs)
                inclusion.append(median(one))
                slowest = p99(one)
                consistency.append(median(_connect(store, size, runs)))
        last = sizes[-1]
        yield line(ID, f"inclusion proof, median, {engine}", last, inclusion[-1] * 1000, "ms", goal=GOAL)
        yield line(ID, f"inclusion proof, p99, {engine}", last, slowest * 1000, "ms")
        yield line(ID, f"inclusion proof, ms ~ entries^k (log n: near 0), {engine}", last, growth(sizes, inclusion), "k", goal="≤ 0.2")
        yield line(ID, f"consistency proof, median, {engine}", last, consistency[-1] * 1000, "ms")
        yield line(ID, f"consistency proof, ms ~ entries^k, {engine}", last, growth(sizes, consistency), "k")


def _leaf(number: int) -> bytes:
    return sha256(number.to_bytes(8, "big")).digest()


def _plant(store: Store, size: int) -> bytes:
    """Store every full tile and the leaves right of the last one; return the root."""
    roots: list[bytes] = [_leaf(number) for number in range(size)]
    everything = root_of(roots)
    with store.writing() as session:
        rest = range(size // WIDTH * WIDTH, size)
        if rest:
            rows = [
                {"log": ORIGIN, "seq": seq, "leaf": roots[seq], "body": b"", "at": NOW, "actor": "a", "action": "x", "outcome": "y"}
                for seq in rest
            ]
            session.execute(insert(_ENTRIES), rows)
    for level in range(LEVELS):
        above: list[bytes] = []
        full = size >> (HEIGHT * (level + 1))
        for start in range(0, full, _BATCH):
            made = []
            for number in range(start, min(full, start + _BATCH)):
                hashes = roots[number * WIDTH : (number + 1) * WIDTH]
                above.append(root_of(hashes))
                made.append({"log": ORIGIN, "level": level, "number": number, "root": above[-1], "hashes": b"".join(hashes)})
            with store.writing() as session:
                session.execute(insert(_TILES), made)
        roots = above
        if not roots:
            break
    return everything


def _prove(store: Store, size: int, root: bytes, runs: int) -> list[float]:
    """Return the seconds of each proof, every one with a reading of its own and nothing kept from the one before."""
    dice, took = random.Random(SEED), []
    for _ in range(runs):
        seq = dice.randrange(size)
        start = time.perf_counter()
        with store.reading() as session:
            path = inclusion_proof(seq, size, Tiles(session, ORIGIN, size).along(seq).subtree)
        took.append(time.perf_counter() - start)
        verify_inclusion(seq, size, _leaf(seq), path, root)
    return took


def _connect(store: Store, size: int, runs: int) -> list[float]:
    dice, took = random.Random(SEED), []
    for _ in range(max(runs // 10, 3)):
        old = dice.randrange(1, size)
        start = time.perf_counter()
        with store.reading() as session:
            path = consistency_proof(old, size, Tiles(session, ORIGIN, size).along(old - 1).subtree)
        took.append(time.perf_counter() - start)
        with store.reading() as session:
            tree = Tiles(session, ORIGIN, size)
            verify_consistency(old, size, tree.subtree(0, old), tree.subtree(0, size), path)
    return took
