"""B11: the whole country on paper: what one machine was measured to do, times 204.8 million voters. Every figure shows its multiplication.

PostgreSQL in partitions, through the real intake, the real views, the real checks, rotations and backups, at the size of ``--rows``. Bytes
are those of a further row: the second half of the roll less the first, so that what any database weighs when empty does not count.
docs/scale.md keeps the lines of one run and says what they mean: ``python -m bench.b11_scale`` prints its tables from bench/results.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select, text

from app.audit.tables import TrailEntry
from app.audit.verify import verify
from app.cli.shell import host_actor
from app.custody import backup, rotation
from app.custody.backup_check import prove
from app.custody.backup_room import Backups, kept
from app.custody.room import Custody
from app.custody.storecheck import check_store
from app.custody.turning import Kind
from app.factory import House
from app.kernel.fields import Basis, Purpose
from app.store.engine import Store
from app.vault import age
from app.voters import actions, dp4
from app.voters.actions import Task
from app.voters.rules.planning import NATION_ROWS
from app.voters.synth.dp4 import write_csv
from app.voters.tables import Voter
from bench.b6_search import operator
from bench.kit import ELECTION, KAB, NOW, SEED, Bench, Line, line

ID = "B11"
# KPU 2024: polling stations at home; 514 kab/kota with twenty operators each, who open a voter every five seconds on their busiest days.
STATIONS, KABS, OPERATORS, EVERY = 820_161, 514, 20, 5
VIEWS = KABS * OPERATORS / EVERY
# A working day of the weeks in which the roll is updated.
HOURS = 8
_THREADS, _VIEWS = 16, 1500
_GB = 1e9
_ROLL = ("voter", "voter_key", "nik_index")


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run found. heap, indexes: bytes of a further row by table; the others: rows, views or entries per second, and bytes."""

    heap: dict[str, float]
    indexes: dict[str, float]
    wal: float
    log_per_row: float
    log_per_view: float
    intake: float
    views: float
    verified: float
    checked: float
    rewrapped: float
    resealed: float
    backed_up: float
    backup_bytes: float
    proven: float


def run(bench: Bench) -> Iterator[Line]:
    """Yield every line of B11; none without PostgreSQL."""
    if "postgresql" not in bench.engines:
        bench.say("B11: partitions are PostgreSQL's; nothing to measure without it")
        return
    rows = max(bench.scale.rows, 2000)
    with bench.house("postgresql") as house:
        found = measure(bench, house, rows)
    yield from measured(found, rows)
    for work, value, unit in arithmetic(found):
        yield line(ID, work, NATION_ROWS, value, unit)


# ---- the arithmetic ---------------------------------------------------------------------------------------------------------


def measured(one: Measured, rows: int) -> Iterator[Line]:
    """Yield the measured figures themselves."""
    for table in _ROLL:
        yield line(ID, f"measured: {table}, a further row", rows, one.heap[table], "bytes")
        yield line(ID, f"measured: {table}, a further row's indexes", rows, one.indexes[table], "bytes")
    yield line(ID, "measured: write-ahead log of a further row", rows, one.wal, "bytes")
    yield line(ID, "measured: audit log of a further row", rows, one.log_per_row, "bytes")
    yield line(ID, "measured: audit log of a view", rows, one.log_per_view, "bytes")
    for name, value, unit in (
        ("intake, one kab/kota", one.intake, "rows/s"), (f"views, one process, {_THREADS} callers", one.views, "views/s"),
        ("audit verify", one.verified, "entries/s"), ("audit verify --store", one.checked, "rows/s"),
        ("re-wrap of record keys", one.rewrapped, "rows/s"), ("new data keys", one.resealed, "rows/s"),
        ("backup create", one.backed_up, "rows/s"), ("backup create, a row", one.backup_bytes, "bytes"),
        ("backup verify (restore and re-verify)", one.proven, "rows/s"),
    ):  # fmt: skip
        yield line(ID, f"measured: {name}", rows, value, unit)


def arithmetic(one: Measured) -> Iterator[tuple[str, float, str]]:
    """Yield (what, with its multiplication; value; unit) for the country."""
    each = {table: one.heap[table] + one.indexes[table] for table in _ROLL}
    for table in _ROLL:
        yield f"disk, {table}: {NATION_ROWS:,} × {each[table]:.0f} bytes", NATION_ROWS * each[table] / _GB, "GB"
    total = sum(each.values())
    yield f"disk, the roll: {NATION_ROWS:,} × {total:.0f} bytes", NATION_ROWS * total / _GB, "GB"
    yield f"write-ahead log of the whole intake: {NATION_ROWS:,} × {one.wal:.0f} bytes", NATION_ROWS * one.wal / _GB, "GB"
    yield f"audit log of the whole intake: {NATION_ROWS:,} × {one.log_per_row:.0f} bytes", NATION_ROWS * one.log_per_row / _GB, "GB"
    a_day = VIEWS * HOURS * 3600
    yield f"views a day: {KABS} × {OPERATORS} ÷ {EVERY} s × {HOURS} h × 3600 s", a_day, "views"
    yield f"audit log of a day's views: {a_day:,.0f} × {one.log_per_view:.0f} bytes", a_day * one.log_per_view / _GB, "GB"
    yield f"processes for the busiest second: {VIEWS:,.0f} views/s ÷ {one.views:.0f} views/s", VIEWS / one.views, "processes"
    for name, rate in (
        ("intake", one.intake), ("re-wrap of every record key", one.rewrapped), ("new data keys for every row", one.resealed),
        ("backup", one.backed_up), ("backup verify", one.proven), ("audit verify --store", one.checked),
    ):  # fmt: skip
        yield f"{name}, one process: {NATION_ROWS:,} ÷ {rate:,.0f} rows/s ÷ 3600", NATION_ROWS / rate / 3600, "hours"
    yield (
        f"audit verify of a day's views, one process: {a_day:,.0f} ÷ {one.verified:,.0f} entries/s ÷ 3600",
        a_day / one.verified / 3600,
        "hours",
    )
    yield f"backup: {NATION_ROWS:,} × {one.backup_bytes:.0f} bytes", NATION_ROWS * one.backup_bytes / _GB, "GB"
    yield f"key store, record keys: {NATION_ROWS:,} × {each['voter_key']:.0f} bytes", NATION_ROWS * each["voter_key"] / _GB, "GB"
    yield f"voters of a polling station: {NATION_ROWS:,} ÷ {STATIONS:,}", NATION_ROWS / STATIONS, "voters"


# ---- the measuring ----------------------------------------------------------------------------------------------------------


def measure(bench: Bench, house: House, rows: int) -> Measured:
    """Measure everything on *rows* voters of one kab/kota, in one installation."""
    half = rows // 2
    bench.say(f"B11: intake of twice {half} rows")
    _load(bench, house, half, SEED)
    first, wal, had = _sizes(house), _wal(house), _rows(house)
    seconds = _timed(lambda: _load(bench, house, half, SEED + 1))
    second, more = _sizes(house), _rows(house) - had
    bench.say(f"B11: {_VIEWS} views by {_THREADS} callers")
    viewed = _views(house, _VIEWS)
    after = _sizes(house)
    bench.say("B11: verifying, rotating, backing up")
    with house.store.reading() as session:
        entries = len(session.scalars(select(TrailEntry.seq)).all())
    guard, all_rows = house.guard, _rows(house)
    verified = entries / _timed(lambda: verify(house.store, guard.log, guard.trail.vkey))
    checked = all_rows / _timed(lambda: list(check_store(guard, _quiet)))
    rewrapped = all_rows / _timed(lambda: _rotate(house, Kind.KAB))
    resealed = all_rows / _timed(lambda: _rotate(house, Kind.DATA))
    took, size, back = _backup(bench, house)
    return Measured(
        heap={table: (second[table][0] - first[table][0]) / more for table in _ROLL},
        indexes={table: (second[table][1] - first[table][1]) / more for table in _ROLL},
        wal=(_wal_of(second) - wal) / more, log_per_row=(_log(second) - _log(first)) / more, log_per_view=(_log(after) - _log(second)) / _VIEWS,
        intake=more / seconds, views=_VIEWS / viewed, verified=verified, checked=checked, rewrapped=rewrapped, resealed=resealed,
        backed_up=all_rows / took, backup_bytes=size / all_rows, proven=all_rows / back,
    )  # fmt: skip


Sizes = dict[str, tuple[float, float]]


def _load(bench: Bench, house: House, count: int, seed: int) -> None:
    file = bench.new_folder() / "dp4.csv"
    with file.open("w", encoding="ascii", newline="") as out:
        write_csv(out, KAB, count, seed, clean=True)
    dp4.Intake(house.guard, house.places, host_actor(), house.clock, KAB, ELECTION).load(file, None, _quiet)


def _views(house: House, count: int) -> float:
    """Return the seconds that *count* views of different voters take, each with its decision, its opening and its durable entry."""
    with house.store.reading() as session:
        uids = list(session.scalars(select(Voter.uid).where(Voter.kab == KAB).limit(count)))
    who, task = operator(), Task(Purpose.PEMUTAKHIRAN, Basis.PKPU7_2022, KAB)
    with ThreadPoolExecutor(_THREADS) as pool:
        return _timed(lambda: list(pool.map(lambda uid: actions.read_voter(house.guard, who, task, uid, NOW), (uids * count)[:count])))


def _rotate(house: House, kind: Kind) -> None:
    room = Custody(house.guard, house.identity, house.roll.seals)
    uid = rotation.begin(room, host_actor(), kind, KAB, 0, NOW)
    rotation.walk(room, uid, _quiet)


def _backup(bench: Bench, house: House) -> tuple[float, float, float]:
    """Return the seconds of a backup, its bytes, and the seconds of its proof."""
    folder, room = bench.new_folder(), Backups(house.guard, house.identity, house.roll.seals, house.settings)
    identity, _ = age.Identity.generate()
    took = _timed(lambda: backup.create(room, host_actor(), folder, [identity.recipient], _quiet))
    size = float(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()))
    [made] = kept(folder)
    back = _timed(lambda: prove(room, host_actor(), made, identity, _quiet))
    return took, size, back


def _sizes(house: House) -> Sizes:
    """Return the bytes of every table with its TOAST, and of its indexes; partitions count to their table. The last: the write-ahead log's."""
    query = text(
        "SELECT split_part(regexp_replace(relname, '_(p[0-9]+|default|h[0-9]+).*$', ''), ' ', 1) AS name, "
        "sum(pg_table_size(oid)) AS heap, sum(pg_indexes_size(oid)) AS indexes FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' GROUP BY 1"
    )
    found: Sizes = {"wal": (_wal(house), 0.0)}
    with Store(house.settings.owner_database).reading() as session:
        found |= {row.name: (float(row.heap), float(row.indexes)) for row in session.execute(query)}
    return found


def _wal_of(sizes: Sizes) -> float:
    return sizes["wal"][0]


def _log(sizes: Sizes) -> float:
    return sum(heap + indexes for name, (heap, indexes) in sizes.items() if name.startswith(("trail_", "touch_index")))


def _wal(house: House) -> float:
    with Store(house.settings.owner_database).reading() as session:
        return float(session.scalar(text("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")) or 0)


def _rows(house: House) -> int:
    with Store(house.settings.owner_database).reading() as session:
        return int(session.scalar(text("SELECT count(*) FROM voter")) or 0)


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _quiet(done: int, total: int) -> None:
    """Tell nobody."""


# ---- the page ---------------------------------------------------------------------------------------------------------------


def page(results: Path) -> str:
    """Return the two tables of docs/scale.md from the results of a run in *results*."""
    lines = [Line(**one) for one in json.loads((results / "latest.json").read_text("utf-8")) if one["id"] == ID]
    shown = ["| Measured | rows | |", "|---|---:|---:|"]
    shown += [
        f"| {one.work.removeprefix('measured: ')} | {one.size:,} | {_said(one)} |" for one in lines if one.work.startswith("measured: ")
    ]
    shown += ["", "| For the country | Multiplication | |", "|---|---|---:|"]
    for one in lines:
        if not one.work.startswith("measured: "):
            what, _, sum_ = one.work.partition(": ")
            shown.append(f"| {what} | {sum_} | {_said(one)} |")
    return "\n".join(shown)


def _said(one: Line) -> str:
    return f"{one.value:,.0f} {one.unit}" if one.value >= 100 else f"{one.value:,.3g} {one.unit}"


if __name__ == "__main__":
    print(page(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "results"))
