"""B3: durable appends to the log by many waiting callers, beside the same rows written without a log's promises.

Every caller appends, waits for its receipt, and appends again: no caller ever has two entries under way.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, cycle, islice
from typing import cast

from sqlalchemy import Table, insert

from app.audit.canonical import encode
from app.audit.content import pack, visit_commitment
from app.audit.entry import Draft, draft_for, leaf_hash, opened_bits, prepare, subjects_root
from app.audit.tables import TouchIndex, TrailEntry, TrailPayload
from app.audit.trail import MAX_BATCH
from app.factory import House
from app.kernel.actor import Actor
from app.kernel.fields import ELEMENTS, Action, Outcome, Role
from app.kernel.ids import new_uid
from app.kernel.payload import SealedPayload
from app.store.bulk import put
from bench.kit import ELECTION, KAB, NOW, ORIGIN, Bench, Line, line, median, p99

ID = "B3"
CALLERS = (1, 16, 64)
# As many different entries as callers take turns with; what an entry holds does not change what it costs.
_ENTRIES = 512
_TABLES = tuple(cast(Table, table.__table__) for table in (TrailEntry, TrailPayload, TouchIndex))
# The floors' rows stand under a log of their own, so that they never meet the chain.
_FLOOR_LOG = "floor.localhost/gardu/1"

Event = tuple[Draft, SealedPayload]
Record = tuple[tuple[object, ...], tuple[object, ...], tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Rate:
    """How quickly callers were served: events per second, and the 99th percentile of one caller's wait in ms."""

    per_second: float
    p99_ms: float


def run(bench: Bench) -> Iterator[Line]:
    """Yield every line of B3."""
    for engine in bench.engines:
        with bench.house(engine) as house:
            yield from _engine(bench, engine, house)


def _engine(bench: Bench, engine: str, house: House) -> Iterator[Line]:
    events = [_event(house) for _ in range(_ENTRIES)]
    floors = _Floors(house, events)
    most = CALLERS[-1]
    _append(house, events, most, min(bench.scale.seconds, 0.5))  # warm: connections, statements, files
    bench.say(f"B3: raw batch insert, {engine}")
    raw = median([floors.batches(bench.scale.seconds) for _ in range(bench.scale.repeats)])
    for callers in CALLERS:
        bench.say(f"B3: {callers} waiting callers, {engine}")
        ours, chained, plain = [], [], []
        # In turn, so that whatever else the machine does meets all of them.
        for _ in range(bench.scale.repeats):
            ours.append(_append(house, events, callers, bench.scale.seconds))
            chained.append(_drive(floors.append_alone, callers, bench.scale.seconds))
            plain.append(_drive(floors.insert_alone, callers, bench.scale.seconds))
        rate, name = _middle(ours), f"append, {callers} waiting, {engine}"
        goal = "≥ 8" if callers == most else None
        yield line(ID, f"{name} ÷ the same entry, a transaction each", callers, rate, "events/s", floor=_middle(chained), goal=goal)
        yield line(ID, f"{name} ÷ its bare rows, a transaction each", callers, rate, "events/s", floor=_middle(plain), goal=goal)
    yield line(ID, f"{name} ÷ bare rows, {MAX_BATCH} a transaction", most, rate, "events/s", floor=raw, goal="≥ 0.4")
    yield line(ID, f"{name}: p99 of one caller's wait", most, median([one.p99_ms for one in ours]), "ms", goal="≤ 20")


def _middle(rates: Sequence[Rate]) -> float:
    return median([rate.per_second for rate in rates])


def _append(house: House, events: Sequence[Event], callers: int, seconds: float) -> Rate:
    return _drive(lambda number: house.guard.trail.append(*events[number % len(events)]), callers, seconds)


def _drive(work: Callable[[int], object], callers: int, seconds: float) -> Rate:
    """Let *callers* threads call *work* over and over for *seconds*; the number it gets is never given twice."""
    numbers, waits, trouble = count(), list[list[float]](), list[BaseException]()
    together = threading.Barrier(callers + 1)

    def caller() -> None:
        mine: list[float] = []
        waits.append(mine)
        together.wait()
        try:
            while (begun := time.perf_counter()) < until[0]:
                work(next(numbers))
                mine.append(time.perf_counter() - begun)
        except BaseException as wrong:
            trouble.append(wrong)

    until = [float("inf")]
    threads = [threading.Thread(target=caller, daemon=True) for _ in range(callers)]
    for thread in threads:
        thread.start()
    start = time.perf_counter()
    until[0] = start + seconds
    together.wait()
    for thread in threads:
        thread.join()
    if trouble:
        raise trouble[0]
    took = time.perf_counter() - start
    served = [wait for mine in waits for wait in mine]
    return Rate(len(served) / took, p99(served) * 1000)


class _Floors:
    """The same entries without group commit; and their rows without chain, tree or signature."""

    def __init__(self, house: House, events: Sequence[Event]) -> None:
        self._house, self._events = house, events
        self._records = [_record(house, *event) for event in events]
        self._seq = count()
        self._insert = [insert(table) for table in _TABLES]

    def append_alone(self, number: int) -> None:
        """Append one entry in a transaction of its own: lock the head, number, hash, sign, commit."""
        with self._house.store.writing() as session:
            self._house.guard.trail.append_within(session, *self._events[number % len(self._events)])

    def insert_alone(self, number: int) -> None:
        """Insert the three rows of one entry and commit."""
        rows = _placed(self._records[number % len(self._records)], next(self._seq))
        with self._house.store.writing() as session:
            connection = session.connection()
            for statement, table, row in zip(self._insert, _TABLES, rows, strict=True):
                connection.execute(statement, dict(zip(table.columns.keys(), row, strict=True)))

    def batches(self, seconds: float) -> float:
        """Insert rows for *seconds* by the driver's quickest way, MAX_BATCH entries a transaction; return entries per second."""
        stored = cast("Callable[[object], object]", _TABLES[0].c.at.type.bind_processor(self._house.store.engine.dialect))
        endless, done, start = cycle(self._records), 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            batch = [_placed(record, next(self._seq)) for record in islice(endless, MAX_BATCH)]
            with self._house.store.writing() as session:
                entries = [(*row[:4], stored(row[4]), *row[5:]) for row, _, _ in batch]
                for table, rows in zip(_TABLES, (entries, [two for _, two, _ in batch], [three for _, _, three in batch]), strict=True):
                    put(session.connection(), table, rows)
            done += MAX_BATCH
        return done / (time.perf_counter() - start)


def _placed(record: Record, seq: int) -> Record:
    entry, payload, touch = record
    return (_FLOOR_LOG, seq, *entry), (_FLOOR_LOG, seq, *payload), (_FLOOR_LOG, *touch, seq)


def _record(house: House, draft: Draft, payload: SealedPayload) -> Record:
    """Return the rows of an entry without log and number."""
    body = prepare(draft, payload, log=house.guard.log).at(0, bytes(32))
    words = (draft.actor, draft.office, draft.action.value, draft.outcome.value, draft.scope, draft.purpose, draft.request)
    copied = (*words, draft.mandate, opened_bits(draft.fields))
    return (leaf_hash(body), body, draft.at, *copied), (payload.day, payload.wrapped, payload.sealed), payload.tokens


def _event(house: House) -> Event:
    """Return what the touch appends when an operator opens one voter."""
    actor = Actor(
        uid=new_uid(), office=f"kpu-{KAB}", unit="data", role=Role.KPU_KAB, roles=frozenset({Role.KPU_KAB}), region=KAB,
        request=new_uid(), session=new_uid(), method="totp", factor_at=NOW,
    )  # fmt: skip
    salt, uids = secrets.token_bytes(32), (new_uid(),)
    visit = encode({"visit": {"person": actor.uid, "region": KAB}, "views": {element.value: "utuh" for element in ELEMENTS}}).encode()
    draft = draft_for(
        actor, Action.VOTER_REVEAL, Outcome.ALLOWED, NOW,
        election=ELECTION, stage="dps", purpose="pemutakhiran", basis="pkpu7_2022", policy=house.guard.policies.hash, scope=f"{KAB}.01.1001",
        rule=("kpu-kab-pemutakhiran",), fields={element.value: "utuh" for element in ELEMENTS}, subjects=(1, subjects_root(salt, uids)),
        visit=visit_commitment(salt, visit), assurance={"method": "totp", "age": 12, "challenge": None},
    )  # fmt: skip
    content = pack(salt=salt, subjects=uids, visit=visit, v=1, address="192.0.2.7")
    return draft, house.guard.payloads.seal(content, uids, NOW, ORIGIN)
