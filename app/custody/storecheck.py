"""The store checked against the log: every row is the newest the log says was written, intact, and no row is one too many.

Memory holds one batch of rows, and the uids of rows changed since; no cell is opened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from sqlalchemy import and_, exists, func, select, tuple_

from app.audit.canonical import Json
from app.audit.content import unpack
from app.audit.entry import parse, rows_root
from app.audit.tables import TouchIndex, TrailEntry, TrailPayload
from app.kernel.errors import BadInput, SealBroken
from app.kernel.fields import Action, Outcome
from app.kernel.regions import kab_of
from app.store.engine import Store
from app.touch import Guard
from app.vault.seal import SealedBlob, SealedRow, check_seal
from app.voters.actions import rows_by_uid
from app.voters.tables import NikIndex, Quarantine, Voter, VoterKey

# Entries that wrote rows.
_WROTE = (TrailEntry.action.in_((Action.VOTER_IMPORT.value, Action.VOTER_CHANGE.value)), TrailEntry.outcome == Outcome.DONE.value)
_PAGE = 64
# So many are named of one kind; by then somebody is looking already.
_NAMED = 20
Written = tuple[str, str, int, bytes]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One thing that is not as the log says. seq: the entry that wrote the row, when there is one."""

    seq: int | None
    what: str


@dataclass(slots=True)
class _Walk:
    """Where the walk stands: rows made so far per table and still there, and rows whose newest version no entry named yet."""

    made: dict[str, int] = field(default_factory=lambda: {"voter": 0, "quarantine": 0})
    owed: dict[str, tuple[int, int]] = field(default_factory=dict)  # uid → (version in the store, seq of the entry that named an older one)


def check_store(guard: Guard, progress: Callable[[int, int], None]) -> Iterator[Mismatch]:
    """Yield everything in which the sealed store differs from the log. progress is told (entries done, in all).

    Raises KeysDown when keys are missing: then nothing could be said.
    """
    walk = _Walk()
    for seq, kab, written, trouble in _entries(guard, progress):
        if trouble:
            yield Mismatch(seq, trouble)
            continue
        yield from _check_batch(guard, seq, kab, written, walk)
    for uid, (version, seq) in walk.owed.items():
        yield Mismatch(seq, f"voter {uid}: stands at version {version}, which no entry wrote")
    yield from _too_many(guard, walk)
    yield from _indexes(guard.store)


def _entries(guard: Guard, progress: Callable[[int, int], None]) -> Iterator[tuple[int, str, list[Written], str]]:
    """Yield (seq, kab, rows written, trouble) of every entry that wrote rows, in order."""
    where = and_(TrailEntry.log == guard.log, *_WROTE)
    joined = and_(TrailPayload.log == TrailEntry.log, TrailPayload.seq == TrailEntry.seq)
    with guard.store.reading() as session:
        total = session.scalar(select(func.count()).select_from(TrailEntry).where(where)) or 0
    last, done = -1, 0
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
            last, done = seq, done + 1
            yield _read(guard, seq, body, day, wrapped, sealed)
            progress(done, total)


def _read(guard: Guard, seq: int, body: bytes, day: str, wrapped: bytes, sealed: bytes) -> tuple[int, str, list[Written], str]:
    try:
        entry = parse(body)
        payload, detail = entry["payload"], entry["detail"]
        if payload is None or detail is None or sealed is None:
            return seq, "", [], "its list of rows is missing"
        content = guard.payloads.open(sealed, wrapped, day, guard.log, bytes.fromhex(payload["commitment"]))
        unpack(content)
        listed: list[list[Json]] = json.loads(content)["rows"]
        written = [(str(table), str(uid), int(str(version)), bytes.fromhex(str(seal))) for table, uid, version, seal in listed]
    except (BadInput, SealBroken, KeyError, ValueError, TypeError):
        return seq, "", [], "its payload does not open or is not a list of rows"
    if rows_root(written).hex() != detail["sha256"]:
        return seq, "", [], "its list of rows is not the one the entry commits to"
    # A load's scope is its kab/kota, a correction's the voter's own desa.
    return seq, kab_of(str(entry["scope"])) or str(entry["scope"]), written, ""


def _check_batch(guard: Guard, seq: int, kab: str, written: Sequence[Written], walk: _Walk) -> Iterator[Mismatch]:
    voters = {uid: (version, seal) for table, uid, version, seal in written if table == "voter"}
    blobs = {uid: seal for table, uid, _, seal in written if table == "quarantine"}
    with guard.store.reading() as session:
        present = {row.clear.uid: row for row in rows_by_uid(session, kab, voters)}
        found = session.scalars(select(Quarantine).where(Quarantine.kab == kab, Quarantine.uid.in_(blobs)))
        waiting = {row.uid: _blob(row) for row in found}
    for uid, (version, seal) in voters.items():
        row = present.get(uid)
        walk.made["voter"] += version == 1 and row is not None
        what = _voter_trouble(guard, row, version, seal, walk, seq)
        if what:
            yield Mismatch(seq, f"voter {uid}: {what}")
    for uid, seal in blobs.items():
        walk.made["quarantine"] += uid in waiting
        what = _blob_trouble(guard, waiting.get(uid), seal)
        if what:
            yield Mismatch(seq, f"quarantine {uid}: {what}")


def _voter_trouble(guard: Guard, row: SealedRow | None, version: int, seal: bytes, walk: _Walk, seq: int) -> str:
    if row is None:
        return "the row is gone"
    standing = row.clear.row_version
    if standing > version:
        walk.owed[row.clear.uid] = (standing, seq)
        return ""
    walk.owed.pop(row.clear.uid, None)
    if standing < version:
        return f"put back to version {standing}; the log wrote version {version}"
    if row.seal != seal:
        return "not the row that was written: its seal is another"
    try:
        check_seal(guard.keys.key_named("seal", row.clear.kab, row.clear.key_epoch, f"voter {row.clear.uid}"), row)
    except SealBroken as broken:
        return broken.detail.split(": ", 1)[-1]
    return ""


def _blob_trouble(guard: Guard, blob: SealedBlob | None, seal: bytes) -> str:
    if blob is None:
        return "the row is gone"
    if blob.seal != seal:
        return "not the row that was written: its seal is another"
    try:
        check_seal(guard.keys.key_named("seal", blob.kab, blob.key_epoch, f"quarantine {blob.uid}"), blob)
    except SealBroken as broken:
        return broken.detail.split(": ", 1)[-1]
    return ""


def _blob(row: Quarantine) -> SealedBlob:
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
    query = select(TouchIndex.token).join(TrailEntry, here).where(TouchIndex.log == guard.log, *_WROTE)
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
    cases = (
        (select(Voter.uid).where(~exists().where(same)), "voter {}: its NIK index is missing or changed"),
        (select(NikIndex.uid).where(~exists().where(same)), "nik_index {}: points at no such voter"),
        (select(VoterKey.uid).where(~exists().where(key)), "voter_key {}: belongs to no voter"),
    )
    with store.reading() as session:
        for query, words in cases:
            for uid in session.scalars(query.limit(_NAMED)):
                yield Mismatch(None, words.format(uid))
