"""The store checked against the log: every row is the newest the log says was written, intact, and no row is one too many.

Memory holds one batch of rows, the uids of rows changed since, and a line per load; no cell is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import cast

from sqlalchemy import and_, exists, func, select, text, tuple_

from app.audit.canonical import Json
from app.audit.entry import parse, rows_root
from app.audit.family import up_to
from app.audit.tables import TouchIndex, TrailEntry, TrailMinimum, TrailPayload
from app.custody import erasure_log
from app.custody.contents import content_of
from app.custody.erasure_log import Buried
from app.custody.tables import VoterErasure
from app.kernel.errors import BadInput, SealBroken
from app.kernel.fields import Action, Outcome
from app.kernel.regions import kab_of
from app.store.engine import Store
from app.touch import Guard
from app.vault.records import RecordSeal
from app.vault.seal import SealedBlob, SealedRow, check_seal
from app.voters import loads
from app.voters.actions import rows_by_uid
from app.voters.tables import UNDONE, Load, NikIndex, Quarantine, Voter, VoterKey
from app.voters.undo import retracted

# Entries that wrote rows: brought in, corrected, or put under other keys.
_BROUGHT = (TrailEntry.action.in_((Action.VOTER_IMPORT.value, Action.VOTER_CHANGE.value)), TrailEntry.outcome == Outcome.DONE.value)
_WROTE = (
    TrailEntry.action.in_((Action.VOTER_IMPORT.value, Action.VOTER_CHANGE.value, Action.KEY_ROTATE.value)),
    TrailEntry.outcome == Outcome.DONE.value,
)
_UNDID = (TrailEntry.action == Action.VOTER_RETRACT.value, TrailEntry.outcome == Outcome.DONE.value)
_PAGE = 64
# So many are named of one kind; by then somebody is looking already.
_NAMED = 20
_ANOTHER = "not the row that was written: its seal is another"
# What the detail of an entry that lists rows is called.
ROWS = "rows"
Written = tuple[str, str, int, bytes]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One thing that is not as the log says. seq: the entry that wrote the row, when there is one."""

    seq: int | None
    what: str


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one entry says it wrote. load: the load its rows came with, "" for a correction; totals: rows read, sealed, quarantined."""

    seq: int
    kab: str = ""
    written: tuple[Written, ...] = ()
    load: str = ""
    totals: tuple[int, int, int] = (0, 0, 0)
    trouble: str = ""
    turned: bool = False  # put under other keys: no row is new


@dataclass(slots=True)
class _Walk:
    """Where the walk stands: rows made so far per table and still there, and rows that no entry named yet as they now stand.

    undone: loads the log says were undone, each with its entry; loads: rows read, sealed and quarantined by load, as the log adds them up.
    """

    undone: dict[str, int]
    # The latest moment of an entry that was pruned: what loads up to then wrote is accounted for by nothing any more.
    pruned: datetime | None = None
    made: dict[str, int] = field(default_factory=lambda: {"voter": 0, "quarantine": 0})
    # "table uid" → (entry that named it last, what is wrong unless a later entry names the row as it stands)
    owed: dict[str, tuple[int, str]] = field(default_factory=dict)
    erased: dict[str, Buried] = field(default_factory=dict)  # by the voter's uid, as the log has it
    loads: dict[str, tuple[int, int, int]] = field(default_factory=dict)


def check_store(guard: Guard, progress: Callable[[int, int], None]) -> Iterator[Mismatch]:
    """Yield everything in which the sealed store differs from the log. progress is told (entries done, in all).

    Raises KeysDown when keys are missing: then nothing could be said.
    """
    undone, bad = _undone(guard)
    yield from bad
    buried, odd = erasure_log.buried(guard)
    yield from (Mismatch(seq, what) for seq, what in odd)
    walk = _Walk(undone, _pruned(guard), erased=buried)
    for batch in _entries(guard, progress):
        if batch.trouble:
            yield Mismatch(batch.seq, batch.trouble)
            continue
        yield from _check_batch(guard, batch, walk)
    for name, (seq, what) in walk.owed.items():
        yield Mismatch(seq, f"{name}: {what}")
    yield from _too_many(guard, walk)
    yield from _indexes(guard.store)
    yield from (Mismatch(seq, what) for seq, what in erasure_log.tombstones(guard, walk.erased))
    yield from _loads(guard, walk)


def _entries(guard: Guard, progress: Callable[[int, int], None]) -> Iterator[_Batch]:
    """Yield what every entry that wrote rows wrote, in order; those of the logs before a restore first."""
    with guard.store.reading() as session:
        within = TrailEntry.log.in_(up_to(guard.log))
        total = session.scalar(select(func.count()).select_from(TrailEntry).where(within, *_WROTE)) or 0
    done = 0
    for log in up_to(guard.log):
        for batch in _of_log(guard, log):
            done += 1
            yield batch
            progress(done, total)


def _of_log(guard: Guard, log: str) -> Iterator[_Batch]:
    where = and_(TrailEntry.log == log, *_WROTE)
    joined = and_(TrailPayload.log == TrailEntry.log, TrailPayload.seq == TrailEntry.seq)
    last = -1
    while True:
        query = (
            select(TrailEntry.seq, TrailEntry.body, TrailPayload.day, TrailPayload.wrapped, TrailPayload.sealed)
            .outerjoin(TrailPayload, joined)
            .where(where, TrailEntry.seq > last)
            .order_by(TrailEntry.seq)
            .limit(_PAGE)
        )
        with guard.store.reading() as session:
            page = session.execute(query).all()
        if not page:
            return
        for seq, body, day, wrapped, sealed in page:
            last = seq
            yield _read(guard, seq, body, day, wrapped, sealed)


def _read(guard: Guard, seq: int, body: bytes, day: str, wrapped: bytes, sealed: bytes) -> _Batch:
    try:
        entry = parse(body)
        turned = entry["action"] == Action.KEY_ROTATE
        if turned and (entry["detail"] is None or entry["detail"]["type"] != ROWS):
            return _Batch(seq, turned=True)
        if entry["detail"] is None:
            return _Batch(seq, trouble="its list of rows is missing")
        content = content_of(guard, entry, day, wrapped, sealed)
        if content is None:
            return _Batch(seq, trouble="its list of rows is missing")
        listed = cast("list[list[Json]]", content["rows"])
        written = tuple((str(table), str(uid), int(str(version)), bytes.fromhex(str(seal))) for table, uid, version, seal in listed)
        load = str(content.get("load", "")) if entry["action"] == Action.VOTER_IMPORT.value else ""
        read, stored, held = (int(str(content.get(name, 0))) for name in ("read", "sealed", "quarantined"))
    except (BadInput, SealBroken, KeyError, ValueError, TypeError):
        return _Batch(seq, trouble="its payload does not open or is not a list of rows")
    if rows_root(written).hex() != entry["detail"]["sha256"]:
        return _Batch(seq, trouble="its list of rows is not the one the entry commits to")
    # A load's scope is its kab/kota, a correction's the voter's own desa.
    return _Batch(seq, kab_of(str(entry["scope"])) or str(entry["scope"]), written, load, (read, stored, held), turned=turned)


def _check_batch(guard: Guard, batch: _Batch, walk: _Walk) -> Iterator[Mismatch]:
    seq, kab = batch.seq, batch.kab
    voters = {uid: (version, seal) for table, uid, version, seal in batch.written if table == "voter"}
    blobs = {uid: seal for table, uid, _, seal in batch.written if table == "quarantine"}
    with guard.store.reading() as session:
        present = {row.clear.uid: row for row in rows_by_uid(session, kab, voters)}
        here = (Voter.kab == kab, Voter.uid.in_(voters))
        came = {row.uid: row.load for row in session.execute(select(Voter.uid, Voter.load).where(*here))}
        found = session.scalars(select(Quarantine).where(Quarantine.kab == kab, Quarantine.uid.in_(blobs)))
        waiting = {row.uid: blob_of(row) for row in found}
    for uid, (version, seal) in voters.items():
        row = present.get(uid)
        walk.made["voter"] += version == 1 and row is not None and not batch.turned
        if uid in walk.erased:
            continue
        what = _voter_trouble(guard, row, version, seal, walk, seq) or _load_trouble(batch.load, came.get(uid, batch.load), walk)
        if what:
            yield Mismatch(seq, f"voter {uid}: {what}")
    for uid, seal in blobs.items():
        walk.made["quarantine"] += uid in waiting and not batch.turned
        what = _blob_trouble(guard, waiting.get(uid), seal, walk, seq)
        if what:
            yield Mismatch(seq, f"quarantine {uid}: {what}")
    if batch.load:
        before = walk.loads.get(batch.load, (0, 0, 0))
        walk.loads[batch.load] = (before[0] + batch.totals[0], before[1] + batch.totals[1], before[2] + batch.totals[2])


def _load_trouble(load: str, present: str | None, walk: _Walk) -> str:
    """Say what is wrong with the load a row names. load: as the log says, "" for a correction; None: stored before rows named theirs."""
    if not load or present == load:
        return ""
    if present is None and load not in walk.undone:
        return ""
    return "moved to another load" if present is not None else "taken out of its load, which was undone"


def _voter_trouble(guard: Guard, row: SealedRow | None, version: int, seal: bytes, walk: _Walk, seq: int) -> str:
    if row is None:
        return "the row is gone"
    standing, name = row.clear.row_version, f"voter {row.clear.uid}"
    walk.owed.pop(name, None)
    if standing < version:
        return f"put back to version {standing}; the log wrote version {version}"
    if standing > version:
        walk.owed[name] = (seq, f"stands at version {standing}, which no entry wrote")
        return ""
    if row.seal != seal:
        # Its keys may have been rotated since: a later entry then names this very seal.
        walk.owed[name] = (seq, _ANOTHER)
        return ""
    try:
        check_seal(guard.keys.key_named("seal", row.clear.kab, row.epoch, name), row)
    except SealBroken as broken:
        return broken.detail.split(": ", 1)[-1]
    return ""


def _blob_trouble(guard: Guard, blob: SealedBlob | None, seal: bytes, walk: _Walk, seq: int) -> str:
    if blob is None:
        return "the row is gone"
    name = f"quarantine {blob.uid}"
    walk.owed.pop(name, None)
    if blob.seal != seal:
        walk.owed[name] = (seq, _ANOTHER)
        return ""
    try:
        check_seal(guard.keys.key_named("seal", blob.kab, blob.key_epoch, name), blob)
    except SealBroken as broken:
        return broken.detail.split(": ", 1)[-1]
    return ""


def blob_of(row: Quarantine) -> SealedBlob:
    """Return the quarantined row as the vault takes it."""
    return SealedBlob(
        "quarantine", row.kab, row.uid, row.election, row.load, row.row_no, row.reasons, row.key_epoch, row.wrapped, row.cell, row.seal
    )


def _too_many(guard: Guard, walk: _Walk) -> Iterator[Mismatch]:
    """Say when the store holds rows that no entry wrote, and which."""
    for table in (Voter, Quarantine):
        name = table.__tablename__
        with guard.store.reading() as session:
            found = session.scalar(select(func.count()).select_from(table)) or 0
        if found > walk.made[name]:
            yield Mismatch(None, f"{name}: {found - walk.made[name]} more rows than the log accounts for: rows were put in past the log")
            for uid in islice(_unwritten(guard, table), _NAMED):
                yield Mismatch(None, f"{name} {uid}: no entry wrote this row")


def _unwritten(guard: Guard, table: type[Voter] | type[Quarantine]) -> Iterator[str]:
    """Yield the uids of rows that no writing entry names, by the touch index; whoever lacks the index key cannot add to it."""
    here = and_(TrailEntry.log == TouchIndex.log, TrailEntry.seq == TouchIndex.seq)
    query = select(TouchIndex.token).join(TrailEntry, here).where(TouchIndex.log.in_(up_to(guard.log)), *_BROUGHT)
    last = ("", "")
    while True:
        after = select(table.kab, table.uid).where(tuple_(table.kab, table.uid) > last).order_by(table.kab, table.uid).limit(_PAGE)
        with guard.store.reading() as session:
            page = [(kab, uid) for kab, uid in session.execute(after)]
            tokens = {guard.payloads.token(uid): uid for _, uid in page}
            written = set(session.scalars(query.where(TouchIndex.token.in_(tokens))))
        yield from (uid for token, uid in tokens.items() if token not in written)
        if not page:
            return
        last = page[-1]


def _indexes(store: Store) -> Iterator[Mismatch]:
    """Say which index or key rows have no voter, and which voters have none."""
    same = and_(NikIndex.kab == Voter.kab, NikIndex.uid == Voter.uid, NikIndex.election == Voter.election, NikIndex.b_nik == Voter.b_nik)
    key = and_(VoterKey.kab == Voter.kab, VoterKey.uid == Voter.uid)
    buried = exists().where(VoterErasure.kab == Voter.kab, VoterErasure.voter == Voter.uid, VoterErasure.state.in_(erasure_log.BURIED))
    cases = (
        (select(Voter.uid).where(~exists().where(same), ~buried), "voter {}: its NIK index is missing or changed"),
        (select(NikIndex.uid).where(~exists().where(same)), "nik_index {}: points at no such voter"),
        (select(VoterKey.uid).where(~exists().where(key)), "voter_key {}: belongs to no voter"),
    )
    with store.reading() as session:
        if store.dialect == "postgresql":
            # Each of these reads two tables whole and finds nothing. The LIMIT, and tables loaded a moment ago that the server has not counted
            # yet, let it think that a row will soon turn up, and look for it row by row: minutes instead of a part of a second.
            session.execute(text("SET LOCAL enable_nestloop = off"))
        for query, words in cases:
            for uid in session.scalars(query.limit(_NAMED)):
                yield Mismatch(None, words.format(uid))


def _pruned(guard: Guard) -> datetime | None:
    with guard.store.reading() as session:
        return session.scalar(select(func.max(TrailMinimum.at)).where(TrailMinimum.log.in_(up_to(guard.log))))


def _undone(guard: Guard) -> tuple[dict[str, int], list[Mismatch]]:
    """Return the loads that entries say were undone, each with its entry, and what is wrong with such entries."""
    joined = and_(TrailPayload.log == TrailEntry.log, TrailPayload.seq == TrailEntry.seq)
    query = (
        select(TrailEntry.seq, TrailEntry.body, TrailPayload.day, TrailPayload.wrapped, TrailPayload.sealed)
        .outerjoin(TrailPayload, joined)
        .where(TrailEntry.log.in_(up_to(guard.log)), *_UNDID)
        .order_by(TrailEntry.at, TrailEntry.seq)
    )
    found, bad = dict[str, int](), list[Mismatch]()
    with guard.store.reading() as session:
        rows = session.execute(query).all()
    for seq, body, day, wrapped, sealed in rows:
        try:
            entry = parse(body)
            content = content_of(guard, entry, day, wrapped, sealed) or {}
            load, stored, held = str(content["load"]), int(str(content["sealed"])), int(str(content["quarantined"]))
            if entry["detail"] is None or entry["detail"]["sha256"] != retracted(load, stored, held).hex():
                raise ValueError
        except (BadInput, SealBroken, KeyError, ValueError, TypeError):
            bad.append(Mismatch(seq, "its payload does not open or does not name the load it undid"))
            continue
        found[load] = seq
    return found, bad


def _loads(guard: Guard, walk: _Walk) -> Iterator[Mismatch]:
    """Say which loads are not as the log says: hidden, shown again, gone, or with other totals."""
    seals, seen = RecordSeal(guard.keys), set[str]()
    with guard.store.reading() as session:
        for load in session.scalars(select(Load).order_by(Load.uid).execution_options(yield_per=_PAGE)):
            seen.add(load.uid)
            what = _row_trouble(seals, load, walk)
            if what:
                yield Mismatch(walk.undone.get(load.uid), f"load {load.uid}: {what}")
    for uid in sorted((walk.loads.keys() | walk.undone.keys()) - seen):
        yield Mismatch(walk.undone.get(uid), f"load {uid}: the row is gone")


def _row_trouble(seals: RecordSeal, load: Load, walk: _Walk) -> str:
    if walk.pruned is not None and load.started_at <= walk.pruned:
        return _broken(seals, load)
    if load.uid in walk.undone and load.state != UNDONE:
        return "the log says it was undone; the store counts it in"
    if load.state == UNDONE and load.uid not in walk.undone:
        return "no entry undid it; its rows are hidden from the roll"
    if broken := _broken(seals, load):
        return broken
    totals = (load.rows_read, load.rows_sealed, load.rows_quarantined)
    return "" if totals == walk.loads.get(load.uid, (0, 0, 0)) else "its totals are not those of its entries"


def _broken(seals: RecordSeal, load: Load) -> str:
    try:
        loads.check(seals, load)
    except SealBroken as broken:
        return broken.detail.split(": ", 1)[-1]
    return ""
