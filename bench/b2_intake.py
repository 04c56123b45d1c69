"""B2: a DP4 file into the roll, through the real intake, beside the least that each part of it could cost.

The sealing alone on all cores; the finished rows stored alone; the same columns sealed by other packages and inserted by SQLAlchemy; the same
rows stored in plain text. Every floor gets rows already read and checked, and none writes a log. From the first two follows what an intake
on these cores could reach at most, if everything else that it does cost nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from sqlalchemy import Column, MetaData, String, Table, Text, insert
from sqlalchemy.types import TypeEngine

from app.cli.shell import host_actor
from app.kernel.fields import ELEMENTS
from app.kernel.ids import new_uid
from app.places import Places
from app.store.bulk import put, roomy
from app.voters import dp4
from app.voters.blocks import blocks
from app.voters.reader import rows, survey
from app.voters.rules.check import check
from app.voters.rules.rows import CleanRow, RawRow
from app.voters.sealing import Job
from app.voters.synth.dp4 import write_csv
from bench.kit import ELECTION, KAB, SEED, VOTING_DAY, Bench, Line, Scale, growth, installed, line, median, slope, timed

ID = "B2"
# Rows per transaction of every floor: the intake's own.
BATCH = dp4.BATCH
# As many rows as the floors get: enough for a steady rate, and a million checked rows would not fit beside the rest.
_FLOOR_ROWS = 100_000
# A peer's rate does not depend on how many rows it has, and the slowest would take minutes for all.
_PEER_ROWS = 10_000
_NIK, _NKK, _NAME, _BORN = 2, 1, 3, 5
_SPREAD = 1.1
_FLAT_MIB = 24
_CELLS = tuple(element.column for element in ELEMENTS)
_INDEXES = ("b_nik", "b_nkk", "b_nd")
_CLEAR = ("kab", "uid", "kec", "desa", "tps", "election", "status")


@dataclass(frozen=True, slots=True)
class Run:
    """One intake: seconds, and the most memory that it and its helpers held, in MiB (0 where the system does not tell)."""

    seconds: float
    peak: float


def run(bench: Bench) -> Iterator[Line]:
    """Yield every line of B2."""
    sizes = bench.scale.sizes
    files = {size: _file(bench.new_folder(), size) for size in dict.fromkeys(sizes)}
    clean = _clean(files[sizes[-1]], min(sizes[-1], _FLOOR_ROWS))
    bench.say(f"B2: sealing {len(clean)} rows alone, on {_cores()} cores")
    alone = median([sealing_alone(clean) for _ in range(bench.scale.repeats)])
    for engine in bench.engines:
        yield from _engine(bench, engine, files, clean, alone)


def _engine(bench: Bench, engine: str, files: dict[int, Path], clean: list[CleanRow], alone: float) -> Iterator[Line]:
    sizes = list(files)
    runs: dict[int, list[Run]] = {size: [] for size in sizes}
    for turn in range(bench.scale.repeats):
        for size in sizes:
            bench.say(f"B2: intake of {size} rows, {engine}, {turn + 1} of {bench.scale.repeats}")
            runs[size].append(intake(bench, engine, files[size]))
    seconds = [median([one.seconds for one in runs[size]]) for size in sizes]
    most, rate = sizes[-1], sizes[-1] / seconds[-1]
    for size, took in list(zip(sizes, seconds, strict=True))[:-1]:
        yield line(ID, f"DP4 intake, {engine}", size, size / took, "rows/s")
    yield line(ID, f"DP4 intake, {engine}", most, rate, "rows/s", goal="≥ 20000")
    yield line(ID, f"DP4 intake, {engine}: µs per further row", most, slope(sizes, seconds) * 1e6, "µs")
    yield line(ID, f"DP4 intake, {engine}: growth, seconds ~ rows^k", most, growth(sizes, seconds), "k", goal=f"≤ {_SPREAD}")
    more = median([one.peak for one in runs[most]]) - median([one.peak for one in runs[sizes[0]]])
    yield line(ID, f"DP4 intake, {engine}: peak memory, all processes", most, median([one.peak for one in runs[most]]), "MiB")
    yield line(ID, f"DP4 intake, {engine}: peak memory beyond {sizes[0]} rows", most, more, "MiB", goal=f"≤ {_FLAT_MIB}")
    yield line(ID, f"DP4 intake, {engine} ÷ (a) the sealing alone, all cores", most, rate, "rows/s", floor=alone, goal="≥ 0.7")
    for peer in _peers():
        bench.say(f"B2: {peer.name}, {engine}")
        floor = median([_rate_of(bench, engine, peer, clean[:_PEER_ROWS]) for _ in range(bench.scale.repeats)])
        yield line(ID, f"DP4 intake, {engine} ÷ {peer.name}", most, rate, "rows/s", floor=floor, goal=peer.goal)
    bench.say(f"B2: finished rows stored alone, {engine}")
    stored = median([_rate_stored(bench, engine, files[sizes[0]]) for _ in range(bench.scale.repeats)])
    # Both share the cores: the sealing takes them all, and one connection of the database takes one.
    most_of_all = 1 / (1 / alone + 1 / (stored * _cores()))
    yield line(ID, f"DP4 intake, {engine} ÷ finished rows stored alone", most, rate, "rows/s", floor=stored)
    yield line(ID, f"DP4 intake, {engine} ÷ sealing and storing with nothing else, computed", most, rate, "rows/s", floor=most_of_all)
    bench.say(f"B2: plain insert, {engine}")
    floor = median([_rate_plain(bench, engine, clean) for _ in range(bench.scale.repeats)])
    yield line(ID, f"DP4 intake, {engine} ÷ (d) plain insert, unsealed", most, rate, "rows/s", floor=floor)


# ---- the intake -------------------------------------------------------------------------------------------------------------


def intake(bench: Bench, engine: str, file: Path) -> Run:
    """Load *file* into a fresh installation, in a fresh process, so that its memory is its own."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh) as pool:
        return pool.submit(_intake, bench.scale, bench.folder, bench.postgres, engine, file).result()


def _intake(scale: Scale, folder: Path, postgres: str | None, engine: str, file: Path) -> Run:
    with Bench(scale, folder, postgres, print).house(engine) as house:
        load = dp4.Intake(house.guard, house.places, host_actor(), house.clock, KAB, ELECTION)
        load.prepare()
        _forget_peak()
        start = time.perf_counter()
        done = load.load(file, None, lambda done, total: None)
        seconds = time.perf_counter() - start
    if done.rows_read != done.rows_sealed + done.rows_quarantined:
        raise AssertionError("the control total does not hold")
    return Run(seconds, _peak())


def _forget_peak() -> None:
    """Start the high-water mark of this process anew (Linux): opening the keyring took more than the load will."""
    mark = Path("/proc/self/clear_refs")
    if mark.exists():
        mark.write_text("5")


def _peak() -> float:
    """Return the high-water mark of this process plus, for every sealing process, that of the largest, in MiB; shared pages count in each."""
    helpers = _cores() * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    status = Path("/proc/self/status")
    if status.exists():
        own = next(int(found.split()[1]) for found in status.read_text("ascii").splitlines() if found.startswith("VmHWM"))
        return own / 1024 + helpers
    # Elsewhere the mark cannot be taken back, and macOS counts bytes.
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
    return own + helpers


def _file(folder: Path, size: int) -> Path:
    path = folder / "dp4.csv"
    with path.open("w", encoding="ascii", newline="") as out:
        write_csv(out, KAB, size, SEED)
    return path


def _clean(file: Path, most: int) -> list[CleanRow]:
    places = Places()
    checked = (check(row, KAB, places, VOTING_DAY) for row in rows(file, survey(file)) if isinstance(row, RawRow))
    return list(islice((row for row in checked if isinstance(row, CleanRow)), most))


# ---- (a) the sealing alone --------------------------------------------------------------------------------------------------


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def sealing_alone(clean: Sequence[CleanRow]) -> float:
    """Return the rows per second of the bare primitive calls that one row costs, on all cores at once."""
    cores = _cores()
    plain = [[value.encode() for value in row.values] for row in clean]
    fresh = multiprocessing.get_context("spawn")
    with fresh.Manager() as manager, ProcessPoolExecutor(cores, mp_context=fresh) as pool:
        together = manager.Barrier(cores)
        spans = list(pool.map(_seal_bare, [plain[core::cores] for core in range(cores)], [together] * cores))
    return len(plain) / (max(end for _, end in spans) - min(start for start, _ in spans))


def _seal_bare(share: Sequence[Sequence[bytes]], together: object) -> tuple[float, float]:
    """Do, for each row, what docs/vault-format.md asks of the primitives and nothing else; return (start, end).

    One draw of random bytes, one AES-GCM to wrap the record key, two derivations, fourteen AES-GCM, one HMAC over all of it, and
    the three HMACs of the blind indexes.
    """
    wrap, blind, sha256 = AESGCM(secrets.token_bytes(32)), HMAC(secrets.token_bytes(32), SHA256()), SHA256()
    nonces = [number.to_bytes(12, "big") for number in range(14)]
    heads = [bytes(19) for _ in range(14)]
    tail, info = bytes(39), b"gardu/1/cell/" + bytes(9)
    together.wait()  # type: ignore[attr-defined]  # a barrier's proxy
    start = time.monotonic()
    for values in share:
        drawn = os.urandom(52)
        wrap.encrypt(drawn[32:44], drawn[:32], heads[0] + tail)
        parent = HMAC(drawn[:32], sha256)
        keys = []
        for _ in range(2):
            state = parent.copy()
            state.update(info)
            keys.append(state.finalize())
        encrypt = AESGCM(keys[0]).encrypt
        cells = [
            encrypt(nonce, value + bytes(16 - len(value) % 16), head + tail)
            for nonce, value, head in zip(nonces, values, heads, strict=True)
        ]
        seal = HMAC(keys[1], sha256)
        seal.update(b"".join((*cells, tail)))
        seal.finalize()
        for value in (values[_NIK], values[_NKK], values[_NAME] + values[_BORN]):
            state = blind.copy()
            state.update(value)
            state.finalize()
    return start, time.monotonic()


# ---- (b), (c), (d): others' ways --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Peer:
    """Another way to store the same rows. types: of the 14 columns. index: makes a row's blind indexes, or None."""

    name: str
    goal: str | None
    column: TypeEngine[str]
    index: Callable[[CleanRow], tuple[str, str, str]] | None = None


def _peers() -> Iterator[Peer]:
    """Yield the peers that are installed; each only seals and stores: no check, no key per row, no seal of the row, no log."""
    secret = secrets.token_urlsafe(32)
    if installed("sqlalchemy-utils"):
        from sqlalchemy_utils import StringEncryptedType
        from sqlalchemy_utils.types.encrypted.encrypted_type import AesGcmEngine

        yield Peer("(b) SQLAlchemy-Utils StringEncryptedType(AesGcm)", "≥ 8", StringEncryptedType(Text, secret, AesGcmEngine))
    if installed("sealed-fields"):
        from sealed_fields import SealedFields, generate_key
        from sealed_fields.sqlalchemy import SealedText

        fields = SealedFields({"roll": {"key": generate_key()}}, blind_index_key=generate_key())

        def index(row: CleanRow) -> tuple[str, str, str]:
            nd = f"{row.values[_NAME]}|{row.values[_BORN]}"
            return fields.blind_index(row.values[_NIK]), fields.blind_index(row.values[_NKK]), fields.blind_index(nd)

        yield Peer("(c) sealed-fields", "> 1", SealedText(fields), index)


def _rate_of(bench: Bench, engine: str, peer: Peer, clean: Sequence[CleanRow]) -> float:
    """Return the rows per second of SQLAlchemy's own bulk insert with the column type of *peer*."""
    columns = [Column(name, String(26), primary_key=name in {"kab", "uid"}) for name in _CLEAR]
    columns += [Column(name, peer.column) for name in _CELLS]
    columns += [Column(name, Text, index=True) for name in _INDEXES if peer.index]
    table = Table("roll", MetaData(), *columns)

    def record(row: CleanRow) -> dict[str, str]:
        made = dict(zip((*_CLEAR, *_CELLS), (*_clear(row), *row.values[1:]), strict=True))
        return made if peer.index is None else {**made, **dict(zip(_INDEXES, peer.index(row), strict=True))}

    with bench.store(engine) as store:
        table.metadata.create_all(store.engine)

        def work() -> None:
            for batch in _batches(clean):
                with store.writing() as session:
                    session.connection().execute(insert(table), [record(row) for row in batch])

        return len(clean) / timed(work)


def _rate_plain(bench: Bench, engine: str, clean: Sequence[CleanRow]) -> float:
    """Return the rows per second of the same rows in plain text by the driver's quickest way: what storing alone costs."""
    columns = [Column(name, String(26), primary_key=name in {"kab", "uid"}) for name in _CLEAR]
    table = Table("roll", MetaData(), *columns, *(Column(name, Text) for name in _CELLS))
    with bench.store(engine) as store:
        table.metadata.create_all(store.engine)

        def work() -> None:
            for batch in _batches(clean):
                with store.writing() as session:
                    put(session.connection(), table, [(*_clear(row), *row.values[1:]) for row in batch])

        return len(clean) / timed(work)


def _rate_stored(bench: Bench, engine: str, file: Path) -> float:
    """Return the rows per second of the intake's own statements over rows that are checked, sealed and packed already, without the log."""
    with bench.house(engine) as house:
        load = dp4.Intake(house.guard, house.places, host_actor(), house.clock, KAB, ELECTION)
        present = load.prepare()
        found, digest = load._survey(file, None)
        sealer = load._sealer(found, present, load._open(digest, found.layout)[0])
        batches = [sealer.seal(Job(block, house.clock.now())) for block in islice(blocks(file, found, BATCH), _FLOOR_ROWS // BATCH)]

        def work() -> None:
            with roomy(house.store):
                for batch in batches:
                    with house.store.writing() as session:
                        dp4._insert(session, batch)

        return sum(batch.read for batch in batches) / timed(work)


def _clear(row: CleanRow) -> tuple[str, ...]:
    return (KAB, new_uid(), row.kec, row.desa, row.tps, ELECTION, "aktif")


def _batches(clean: Sequence[CleanRow]) -> Iterator[Sequence[CleanRow]]:
    return (clean[start : start + BATCH] for start in range(0, len(clean), BATCH))
