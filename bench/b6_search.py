"""B6: finding a voter by NIK among 10⁴ voters and on by tens, beside a plain B-tree look-up of the same row in the same database.

A thousand voters come in through the real intake. The others are copies of their rows under other names and tokens, written past the
sealing and the log: only what is looked up is really sealed, and only that is ever opened. The floor is what an office without a guard
would have: the number itself in a B-tree, in the NIK index's place; and, further away, an unsealed roll under that number. All statements are sent as the
application sends them, by the driver alone; the whole guarded search, with its decision and its durable entry, is shown beside them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Column, LargeBinary, MetaData, String, Table, Text, event, func, select, text

from app.cli.shell import host_actor
from app.factory import House
from app.kernel.actor import Actor
from app.kernel.fields import Basis, Purpose, Role
from app.kernel.ids import encode_uid, new_uid
from app.store.bulk import put
from app.store.engine import Store
from app.voters import actions, dp4
from app.voters.actions import Task, blind_of
from app.voters.reader import rows, survey
from app.voters.rules.planning import NATION_ROWS, nik_strangers
from app.voters.rules.rows import RawRow
from app.voters.synth.dp4 import write_csv
from app.voters.tables import NikIndex, Voter, VoterKey
from bench.b9_trail import repeat
from bench.kit import ELECTION, KAB, NOW, SEED, Bench, Line, growth, line, median

ID = "B6"
FIRST, QUICK_FIRST = 10_000, 1_000
# bench.md: beside a plain B-tree; flat means that ten times the voters make no look-up a tenth slower.
GOAL, FLAT = "≤ 1.5", "≤ 0.05"
_SEALED = 1000
_RUNS, _QUICK_RUNS = 400, 20
_CHUNK = 50_000
_WARM = 20
_VOTER, _KEY, _INDEX = (cast(Table, table.__table__) for table in (Voter, VoterKey, NikIndex))
_AT = {name: place for place, name in enumerate(_VOTER.columns.keys())}
# The NIK index as it would be without a key: the same table over the numbers themselves.
_NUMBERS = Table(
    "plain_nik", MetaData(), Column("b_nik", LargeBinary, primary_key=True),
    *(Column(name, String(26), primary_key=True) for name in ("election", "kab", "uid")),
)  # fmt: skip
# The unsealed roll: the same thirteen elements in the clear, and the number under a unique index.
_SAMPLE = ("5171010101010001", "I WAYAN SUARDANA", "DENPASAR", "1980-01-01", "S", "L", "JL. UJI NO. 17", "001", "002", "0", "S", "")
_PLAIN = Table(
    "plain_voter", MetaData(), Column("nik", String(16), primary_key=True),
    *(Column(name, String(26)) for name in ("kab", "uid", "kec", "desa", "tps")), *(Column(f"e{at:02d}", Text) for at in range(len(_SAMPLE))),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Took:
    """Milliseconds, median: of the look-up by token, by the number in an index beside the roll, by the number in an unsealed roll; and of
    the whole guarded search with its durable entry.
    """

    found: float
    number: float
    plain: float
    search: float


def run(bench: Bench) -> Iterator[Line]:
    """Yield every line of B6."""
    quick = bench.scale.repeats == 1
    sizes, runs = bench.scale.lengths(QUICK_FIRST if quick else FIRST), _QUICK_RUNS if quick else _RUNS
    for engine in bench.engines:
        with bench.house(engine) as house:
            file = _sealed(bench, house)
            plain_rows(house, file)
            took = []
            for size in sizes:
                bench.say(f"B6: {size} voters, copies of {_SEALED} sealed ones, {engine}")
                fill(house, size)
                took.append(_ask(house, _niks(file), runs))
            weights = list(_weights(house, sizes[-1])) if engine == "postgresql" else []
        for size, one in zip(sizes, took, strict=True):
            yield line(
                ID, f"NIK look-up ÷ the same by a plain B-tree on the number, {engine}", size, one.found, "ms", floor=one.number, goal=GOAL
            )
            yield line(ID, f"NIK look-up ÷ a row of an unsealed roll, {engine}", size, one.found, "ms", floor=one.plain)
        yield line(ID, f"NIK look-up, ms ~ voters^k, {engine}", sizes[-1], growth(sizes, [one.found for one in took]), "k", goal=FLAT)
        yield line(ID, f"NIK search with its decision, opening and durable entry, {engine}", sizes[-1], took[-1].search, "ms")
        yield line(ID, f"NIK search, ms ~ voters^k, {engine}", sizes[-1], growth(sizes, [one.search for one in took]), "k", goal=FLAT)
        yield from weights
    yield line(
        ID, "false candidates of one NIK look-up, computed for the nation: rows ÷ 2^40", NATION_ROWS, nik_strangers(NATION_ROWS), "rows"
    )


# ---- the roll ---------------------------------------------------------------------------------------------------------------


def _sealed(bench: Bench, house: House) -> Path:
    """Load the voters that will be looked up, from a real file; return it."""
    file = bench.new_folder() / "dp4.csv"
    with file.open("w", encoding="ascii", newline="") as out:
        write_csv(out, KAB, _SEALED, SEED, clean=True)
    intake = dp4.Intake(house.guard, house.places, host_actor(), house.clock, KAB, ELECTION)
    intake.load(file, None, lambda done, total: None)
    return file


def fill(house: House, size: int) -> None:
    """Bring the roll to *size* rows, and the plain table beside it. As the owner: the copies go past the sealing and the log."""
    store = Store(house.settings.owner_database)
    dice = random.Random(SEED + size)
    try:
        with store.reading() as session:
            # Those of the intake alone name a load.
            here = (_VOTER.c.kab == _KEY.c.kab, _VOTER.c.uid == _KEY.c.uid, _VOTER.c.kab == KAB, _VOTER.c.load.is_not(None))
            sample = [
                tuple(row) for row in session.execute(select(_VOTER, _KEY.c.wrapped, _KEY.c.epoch).where(*here).order_by(_VOTER.c.uid))
            ]
            have = session.scalar(select(func.count()).select_from(_PLAIN)) or 0
        turns = zip(cycle(sample), cycle(house.places.kabs()), strict=False)
        copies = (_copy(row, kab, dice) for row, kab in islice(turns, max(size - have, 0)))
        while batch := list(islice(copies, _CHUNK)):
            with store.writing() as session:
                for table, part in zip((_VOTER, _KEY, _INDEX, _NUMBERS, _PLAIN), zip(*batch, strict=True), strict=True):
                    put(session.connection(), table, part)
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE" if store.dialect == "sqlite" else "VACUUM (ANALYZE)")
    finally:
        store.dispose()


def _copy(row: tuple[Any, ...], kab: str, dice: random.Random) -> tuple[tuple[Any, ...], ...]:
    """Return the rows of one more voter: of the roll, its key, the NIK index, and the plain table."""
    *made, wrapped, epoch = row
    uid, token = encode_uid(dice.randbytes(16)), dice.randbytes(5)
    made[_AT["kab"]], made[_AT["uid"]], made[_AT["b_nik"]], made[_AT["load"]] = kab, uid, token, None
    for name in ("b_nkk", "b_nd"):
        made[_AT[name]] = dice.randbytes(len(made[_AT[name]]))
    nik = "".join(dice.choices("0123456789", k=16))
    plain = (nik, kab, uid, *made[_AT["kec"] : _AT["tps"] + 1], *_SAMPLE)
    return tuple(made), (kab, uid, wrapped, epoch), (token, ELECTION, kab, uid), (nik.encode(), ELECTION, kab, uid), plain


def plain_rows(house: House, file: Path) -> None:
    """Put the voters who are looked up into the plain tables, under their own numbers."""
    blind = blind_of(house.guard.keys, KAB)
    store = Store(house.settings.owner_database)
    try:
        with store.writing() as session:
            for table in (_PLAIN, _NUMBERS):
                table.metadata.create_all(session.connection())
            uids = {row.b_nik: row.uid for row in session.execute(select(_INDEX.c.b_nik, _INDEX.c.uid))}
            named = {nik: uids[blind.b_nik(nik, ELECTION)] for nik in _niks(file)}
            put(session.connection(), _NUMBERS, [(nik.encode(), ELECTION, KAB, uid) for nik, uid in named.items()])
            put(session.connection(), _PLAIN, [(nik, KAB, uid, "51.71.01", "51.71.01.1006", "001", *_SAMPLE) for nik, uid in named.items()])
    finally:
        store.dispose()


def _niks(file: Path) -> list[str]:
    return [row.cells["NIK"] for row in rows(file, survey(file)) if isinstance(row, RawRow)]


# ---- the look-ups -----------------------------------------------------------------------------------------------------------


def _ask(house: House, niks: Sequence[str], runs: int) -> Took:
    """Measure each way with a NIK after another; every one must be found."""
    blind, dice = blind_of(house.guard.keys, KAB), random.Random(SEED)
    wanted = iter(cycle(dice.sample(list(niks), len(niks))))
    actor, task = operator(), Task(Purpose.PEMUTAKHIRAN, Basis.PKPU7_2022, KAB)

    def token() -> bytes:
        return blind.b_nik(next(wanted), ELECTION)

    def search() -> None:
        assert len(actions.find_by_nik(house.guard, actor, task, next(wanted), NOW).shown) == 1

    first = next(wanted)
    sealed = Asked(
        house.store, lambda: actions.find_by_nik(house.guard, actor, task, first, NOW), " nik_index", blind.b_nik(first, ELECTION)
    )
    owner = Store(house.settings.owner_database)
    try:
        bare = Asked(owner, lambda: _read_plain(owner, first), " plain_voter", first)
        # In turns, so that whatever else the machine does falls on both; a look-up by token makes its token too.
        with sealed.ready() as look, sealed.ready(owner, ("nik_index", _NUMBERS.name)) as number, bare.ready() as plain:
            ways = (lambda: look(token()), lambda: number(next(wanted).encode()), lambda: plain(next(wanted)))
            took = [[_once(way) for way in ways] for _ in range(runs + _WARM)][_WARM:]
    finally:
        owner.dispose()
    by_token, by_number, by_row = (median(way) for way in zip(*took, strict=True))
    return Took(by_token, by_number, by_row, median(repeat(search, runs)))


def _read_plain(store: Store, nik: str) -> None:
    with store.reading() as session:
        assert session.execute(select(_PLAIN).where(_PLAIN.c.nik == nik)).one()


def _once(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


class Asked:
    """The statement on *table* that *work* sends to *store*, to be sent again by the driver alone with another value in *value*'s place."""

    def __init__(self, store: Store, work: Callable[[], object], table: str, value: object) -> None:
        self._store, self._value = store, value
        self._sent: list[tuple[str, Any]] = []

        def note(_connection: object, _cursor: object, statement: str, parameters: Any, _context: object, _many: bool) -> None:
            if table in statement:
                self._sent.append((statement, parameters))

        event.listen(store.engine, "before_cursor_execute", note)
        work()
        event.remove(store.engine, "before_cursor_execute", note)

    @contextmanager
    def ready(self, store: Store | None = None, instead: tuple[str, str] = ("", "")) -> Iterator[Callable[[object], None]]:
        """Yield what sends it and fetches the row, which must be found. instead: a table's name and another's in its place."""
        [(sent, parameters)] = self._sent
        statement = sent.replace(*instead) if store else sent

        def other(one: Any, value: object) -> Any:
            # Drivers wrap bytes; both kinds of wrapper know what they hold.
            return value if getattr(one, "obj", one) == self._value else one

        def swapped(value: object) -> Any:
            if isinstance(parameters, Mapping):
                return {name: other(one, value) for name, one in parameters.items()}
            return tuple(other(one, value) for one in parameters)

        with (store or self._store).engine.connect() as connection:
            cursor: Any = connection.connection.cursor()

            def send(value: object) -> None:
                cursor.execute(statement, swapped(value))
                assert cursor.fetchall()

            yield send


def operator() -> Actor:
    """Return an operator of KAB with a fresh code."""
    return Actor(
        uid=new_uid(), office=f"kpu-{KAB}", unit="data", role=Role.KPU_KAB, roles=frozenset({Role.KPU_KAB}), region=KAB,
        request=new_uid(), session=new_uid(), method="totp", factor_at=NOW, address="192.0.2.1",
    )  # fmt: skip


def _weights(house: House, size: int) -> Iterator[Line]:
    """Yield what a row weighs, with its indexes: what docs/scale.md multiplies."""
    with Store(house.settings.owner_database).reading() as session:
        for table in (_VOTER, _KEY, _INDEX):
            query = text(
                "SELECT sum(pg_table_size(relid)) AS heap, sum(pg_indexes_size(relid)) AS indexes FROM pg_partition_tree(CAST(:name AS regclass)) WHERE isleaf"
            )
            row = session.execute(query, {"name": table.name}).one()
            yield line(ID, f"{table.name}: a row, postgresql", size, float(row.heap) / size, "bytes")
            yield line(ID, f"{table.name}: a row's indexes, postgresql", size, float(row.indexes) / size, "bytes")
