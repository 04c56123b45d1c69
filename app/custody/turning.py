"""Batches of a rotation: which rows are next, what they become under the new key, and how they are swapped in.

Reading and turning happen outside any transaction. The swap locks the rows and demands that each is still the one that was turned: what
somebody else changed meanwhile is turned again, never overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import CursorResult, Exists, bindparam, exists, func, select, update
from sqlalchemy.orm import Session

from app.custody.erasure_log import BURIED
from app.custody.storecheck import blob_of
from app.custody.tables import VoterErasure
from app.kernel.errors import SealBroken
from app.kernel.fields import CELL_COUNT
from app.kernel.regions import NATION
from app.touch import Guard
from app.vault.blind import Blind
from app.vault.house import L1Key
from app.vault.records import RecordSeal
from app.vault.seal import SealedRow
from app.vault.turn import reindex, renew, renew_blob, rewrap, rewrap_file
from app.voters import uploads
from app.voters.actions import rows_after
from app.voters.tables import NikIndex, Quarantine, Upload, Voter, VoterKey

Written = tuple[str, str, int, bytes]
_CELLS = tuple(f"c{number:02d}" for number in range(CELL_COUNT))


class Kind(StrEnum):
    """What a rotation changes.

    KAB wraps every record key of a kab/kota under a new ``seal`` key. DATA seals every cell anew, under fresh record keys and a new ``seal``
    key. BLIND makes a kab's two local indexes anew under a new ``blind`` key, NIK the national one under a new ``nik`` key.
    """

    KAB = "kab"
    BLIND = "blind"
    NIK = "nik"
    DATA = "data"

    @property
    def purpose(self) -> str:
        """The purpose of the key that is new."""
        return "seal" if self in (Kind.KAB, Kind.DATA) else self.value

    @property
    def places(self) -> tuple[str, ...]:
        """The tables walked, in order."""
        return ("voter", "quarantine", "upload") if self.purpose == "seal" else ("voter",)


class Moved(Exception):
    """A row is no longer the one that was turned."""


@dataclass(frozen=True, slots=True)
class Turned:
    """A batch, ready to be swapped in.

    rows: what the log lists of it. broken: (row's name, what is wrong) of those left as they are. write: swaps it in; raises Moved. last: uid
    of the last row looked at, "" when there was none. looked: how many.
    """

    rows: tuple[Written, ...]
    broken: tuple[tuple[str, str], ...]
    write: Callable[[Session], None]
    last: str
    looked: int


def turned(guard: Guard, seals: RecordSeal, kind: Kind, place: str, kab: str, epoch: int, after: str, size: int) -> Turned:
    """Return the next batch of *place* in *kab* behind *after*. epoch: of the new key. Raises KeysDown, StoreDown."""
    if place == "voter":
        return _voters(guard, kind, kab, epoch, after, size)
    new = guard.keys.key("seal", kab, epoch)
    return _quarantine(guard, new, kab, after, size) if place == "quarantine" else _files(guard, seals, new, kab, after, size)


def left(session: Session, kind: Kind, kab: str, epoch: int, most: int) -> list[str]:
    """Return the names of up to *most* rows that still need a key older than *epoch*; for indexes the walk alone can tell, and none is named."""
    if kind.purpose != "seal":
        return []
    cases = [
        ("voter_key", select(VoterKey.uid).where(VoterKey.kab == kab, VoterKey.epoch < epoch)),
        ("quarantine", select(Quarantine.uid).where(Quarantine.kab == kab, Quarantine.key_epoch < epoch)),
        ("upload", select(Upload.uid).where(Upload.kab == kab, Upload.key_epoch < epoch)),
    ]
    if kind is Kind.DATA:
        cases.append(("voter", select(Voter.uid).where(Voter.kab == kab, Voter.key_epoch < epoch, ~_buried())))
    found: list[str] = []
    for name, query in cases:
        found += [f"{name} {uid}" for uid in session.scalars(query.limit(most - len(found)))]
    return found


def count(session: Session, kind: Kind, scope: str, epoch: int) -> int:
    """Return how many rows a rotation to *epoch* has before it."""
    if kind.purpose != "seal":
        here = () if kind is Kind.NIK else (Voter.kab == scope,)
        return session.scalar(select(func.count()).select_from(Voter).where(*here)) or 0
    queries = (
        select(func.count()).select_from(VoterKey).where(VoterKey.kab == scope, VoterKey.epoch < epoch),
        select(func.count()).select_from(Quarantine).where(Quarantine.kab == scope, Quarantine.key_epoch < epoch),
        select(func.count()).select_from(Upload).where(Upload.kab == scope, Upload.key_epoch < epoch),
    )
    return sum(session.scalar(query) or 0 for query in queries)


# ---- the roll ----


def _voters(guard: Guard, kind: Kind, kab: str, epoch: int, after: str, size: int) -> Turned:
    due = {Kind.KAB: func.coalesce(VoterKey.epoch, 0) < epoch, Kind.DATA: Voter.key_epoch < epoch}.get(kind)
    with guard.store.reading() as session:
        rows = rows_after(session, kab, after, size, ~_buried(), *([] if due is None else [due]))
    turn = _turner(guard, kind, kab, epoch)
    pairs: list[tuple[SealedRow, SealedRow]] = []
    broken: list[tuple[str, str]] = []
    for row in rows:
        try:
            other = turn(guard.keys.key_named("seal", kab, row.epoch, f"voter {row.clear.uid}"), row)
        except SealBroken as wrong:
            broken.append((f"voter {row.clear.uid}", wrong.detail.split(": ", 1)[-1]))
            continue
        if other.seal != row.seal:
            pairs.append((row, other))
    written = tuple(("voter", other.clear.uid, other.clear.row_version, other.seal) for _, other in pairs)
    last = rows[-1].clear.uid if rows else ""
    return Turned(written, tuple(broken), lambda session: _swap(session, kind, kab, pairs), last, len(rows))


def _turner(guard: Guard, kind: Kind, kab: str, epoch: int) -> Callable[[L1Key, SealedRow], SealedRow]:
    keys = guard.keys
    if kind.purpose == "seal":
        new, turn = keys.key("seal", kab, epoch), rewrap if kind is Kind.KAB else renew
        return lambda old, row: turn(old, new, row)
    national = kind is Kind.NIK
    blind = Blind(keys.key("nik", NATION, epoch if national else None), keys.key("blind", kab, None if national else epoch))
    return lambda key, row: reindex(key, row, blind, national=national)


def _swap(session: Session, kind: Kind, kab: str, pairs: Sequence[tuple[SealedRow, SealedRow]]) -> None:
    """Put the second of each pair in the place of the first. Raises Moved when a row is no longer the first."""
    if not pairs:
        return
    here = (Voter.kab == kab, Voter.uid.in_([before.clear.uid for before, _ in pairs]))
    locked = session.execute(select(Voter.uid, Voter.seal).where(*here).order_by(Voter.uid).with_for_update())
    present = {uid: seal for uid, seal in locked}  # noqa: C416  a result has keys of its own, which dict() would take
    if any(present.get(before.clear.uid) != before.seal for before, _ in pairs):
        raise Moved
    connection = session.connection()
    values = [
        {"at_uid": after.clear.uid, "old": before.b_nik, "at_election": after.clear.election, **_values(after)} for before, after in pairs
    ]
    columns = {
        Kind.KAB: ("seal",), Kind.DATA: ("seal", "key_epoch", *_CELLS), Kind.BLIND: ("seal", "b_nkk", "b_nd"), Kind.NIK: ("seal", "b_nik"),
    }[kind]  # fmt: skip
    one = (Voter.kab == kab, Voter.uid == bindparam("at_uid"))
    connection.execute(update(Voter).where(*one).values({name: bindparam(f"to_{name}") for name in columns}), values)
    if kind.purpose == "seal":
        key = (VoterKey.kab == kab, VoterKey.uid == bindparam("at_uid"))
        connection.execute(update(VoterKey).where(*key).values(wrapped=bindparam("to_wrapped"), epoch=bindparam("to_epoch")), values)
    if kind is Kind.NIK:
        index = (NikIndex.b_nik == bindparam("old"), NikIndex.election == bindparam("at_election"))
        connection.execute(
            update(NikIndex).where(*index, NikIndex.kab == kab, NikIndex.uid == bindparam("at_uid")).values(b_nik=bindparam("to_b_nik")),
            values,
        )


def _values(row: SealedRow) -> dict[str, object]:
    cells: dict[str, object] = {f"to_c{number:02d}": cell for number, cell in enumerate(row.cells)}
    return {
        **cells, "to_seal": row.seal, "to_key_epoch": row.clear.key_epoch, "to_b_nik": row.b_nik, "to_b_nkk": row.b_nkk, "to_b_nd": row.b_nd,
        "to_wrapped": row.wrapped, "to_epoch": row.epoch,
    }  # fmt: skip


def _buried() -> Exists:
    return exists().where(VoterErasure.kab == Voter.kab, VoterErasure.voter == Voter.uid, VoterErasure.state.in_(BURIED))


# ---- the quarantine, and files sent in ----


def _quarantine(guard: Guard, new: L1Key, kab: str, after: str, size: int) -> Turned:
    query = select(Quarantine).where(Quarantine.kab == kab, Quarantine.key_epoch < new.epoch, Quarantine.uid > after)
    with guard.store.reading() as session:
        blobs = [blob_of(row) for row in session.scalars(query.order_by(Quarantine.uid).limit(size))]
    pairs, broken = [], []
    for blob in blobs:
        try:
            old = guard.keys.key_named("seal", kab, blob.key_epoch, f"quarantine {blob.uid}")
            pairs.append((blob, renew_blob(old, new, blob)))
        except SealBroken as wrong:
            broken.append((f"quarantine {blob.uid}", wrong.detail.split(": ", 1)[-1]))

    def write(session: Session) -> None:
        for before, other in pairs:
            here = (Quarantine.kab == kab, Quarantine.uid == before.uid, Quarantine.seal == before.seal)
            values = {"key_epoch": other.key_epoch, "wrapped": other.wrapped, "cell": other.cell, "seal": other.seal}
            done = session.execute(update(Quarantine).where(*here).values(values).execution_options(synchronize_session=False))
            if not (isinstance(done, CursorResult) and done.rowcount == 1):
                raise Moved

    written = tuple(("quarantine", other.uid, 1, other.seal) for _, other in pairs)
    return Turned(written, tuple(broken), write, blobs[-1].uid if blobs else "", len(blobs))


def _files(guard: Guard, seals: RecordSeal, new: L1Key, kab: str, after: str, size: int) -> Turned:
    query = select(Upload).where(Upload.kab == kab, Upload.key_epoch < new.epoch, Upload.uid > after).order_by(Upload.uid).limit(size)
    with guard.store.reading() as session:
        found = list(session.scalars(query))
        session.expunge_all()
    pairs, broken = [], []
    for row in found:
        try:
            uploads.check(seals, row)
            old = guard.keys.key_named("seal", kab, row.key_epoch, f"upload {row.uid}")
            pairs.append((row, rewrap_file(old, new, kab, row.uid, row.wrapped)))
        except SealBroken as wrong:
            broken.append((f"upload {row.uid}", wrong.detail.split(": ", 1)[-1]))

    def write(session: Session) -> None:
        for before, wrapped in pairs:
            present = session.scalar(select(Upload).where(Upload.uid == before.uid).with_for_update())
            # Other columns may have moved on; the key's are nobody else's.
            if present is None or (present.key_epoch, present.wrapped) != (before.key_epoch, before.wrapped):
                raise Moved
            uploads.check(seals, present)
            present.key_epoch, present.wrapped = new.epoch, wrapped
            uploads.reseal(seals, present)
        session.flush()

    return Turned((), tuple(broken), write, found[-1].uid if found else "", len(found))
