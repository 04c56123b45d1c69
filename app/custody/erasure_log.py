"""Erased voters as the log has them, and what of them must not stand in the store any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from app.audit.canonical import canonical
from app.audit.entry import parse
from app.audit.family import up_to
from app.audit.tables import TrailEntry, TrailPayload
from app.custody.contents import content_of
from app.custody.tables import VoterErasure
from app.kernel.clock import rfc3339
from app.kernel.errors import BadInput, SealBroken
from app.kernel.fields import CELL_COUNT, Action, Outcome
from app.touch import Guard
from app.vault.records import Field, RecordSeal
from app.voters.tables import NikIndex, Voter, VoterKey

TABLE = VoterErasure.__tablename__
WAITING, PENDING, DONE, REFUSED, WITHDRAWN, LAPSED = "waiting", "pending", "done", "refused", "withdrawn", "lapsed"
# The states of a tombstone.
BURIED = (PENDING, DONE)
DETAIL = "voter-erasure"
_EMPTY = (*(f"c{number:02d}" for number in range(CELL_COUNT)), "b_nik", "b_nkk", "b_nd", "seal")


@dataclass(frozen=True, slots=True)
class Buried:
    """One voter whom an entry erased. seq: that entry. erasure: uid of the tombstone."""

    seq: int
    erasure: str
    kab: str
    voter: str


def erasure_digest(erasure: str, kab: str, voter: str) -> bytes:
    """Return the digest by which entries ``voter:erase`` name an erasure; its uid is random, so the voter does not show."""
    return sha256(canonical({"erasure": erasure, "kab": kab, "voter": voter})).digest()


def fields_of(row: VoterErasure) -> Sequence[Field]:
    """Return the columns that the tombstone's own seal covers."""
    return (
        row.uid, row.kab, row.voter, row.reason, row.asked_by, rfc3339(row.asked_at), row.state, row.decided_by,
        rfc3339(row.decided_at) if row.decided_at else None, row.epoch, row.mark, rfc3339(row.done_at) if row.done_at else None,
    )  # fmt: skip


def buried(guard: Guard) -> tuple[dict[str, Buried], list[tuple[int, str]]]:
    """Return the voters that entries erased, by their uids, and what is wrong with such entries. Raises KeysDown."""
    joined = and_(TrailPayload.log == TrailEntry.log, TrailPayload.seq == TrailEntry.seq)
    query = (
        select(TrailEntry.seq, TrailEntry.body, TrailPayload.day, TrailPayload.wrapped, TrailPayload.sealed)
        .outerjoin(TrailPayload, joined)
        .where(
            TrailEntry.log.in_(up_to(guard.log)), TrailEntry.action == Action.VOTER_ERASE.value, TrailEntry.outcome == Outcome.ALLOWED.value
        )
        .order_by(TrailEntry.at, TrailEntry.seq)
    )
    found, bad = dict[str, Buried](), list[tuple[int, str]]()
    with guard.store.reading() as session:
        rows = session.execute(query).all()
    for seq, body, day, wrapped, sealed in rows:
        try:
            entry = parse(body)
            content = content_of(guard, entry, day, wrapped, sealed) or {}
            one = Buried(seq, str(content["erasure"]), str(content["kab"]), str(content["voter"]))
            if entry["detail"] is None or entry["detail"]["sha256"] != erasure_digest(one.erasure, one.kab, one.voter).hex():
                raise ValueError
        except (BadInput, SealBroken, KeyError, ValueError, TypeError):
            bad.append((seq, "its payload does not open or does not name the voter it erased"))
            continue
        found[one.voter] = one
    return found, bad


def tombstones(guard: Guard, erased: Mapping[str, Buried]) -> Iterator[tuple[int | None, str]]:
    """Yield (entry, what) where the store does not honour an erasure, or holds a tombstone that no entry speaks of."""
    seals, seen = RecordSeal(guard.keys), set[str]()
    with guard.store.reading() as session:
        for row in session.scalars(select(VoterErasure).where(VoterErasure.state.in_(BURIED)).order_by(VoterErasure.uid)):
            one = erased.get(row.voter)
            if one is None or (one.erasure, one.kab) != (row.uid, row.kab):
                yield None, f"{TABLE} {row.uid}: no entry erased this voter"
                continue
            seen.add(row.voter)
            try:
                seals.check(TABLE, row.uid, fields_of(row), row.seal)
            except SealBroken as broken:
                yield one.seq, f"{TABLE} {row.uid}: {broken.detail.split(': ', 1)[-1]}"
        for one in erased.values():
            if one.voter not in seen:
                yield one.seq, f"voter {one.voter}: was erased, and its tombstone is gone"
            for what in _remains(session, one):
                yield one.seq, f"{what} {one.voter}: its voter was erased, and it is there again"


def _remains(session: Session, one: Buried) -> Iterator[str]:
    row = session.get(Voter, (one.kab, one.voter))
    if row is not None and any(getattr(row, name) for name in _EMPTY):
        yield "voter"
    for table in (VoterKey, NikIndex):
        if session.scalar(select(table.uid).where(table.kab == one.kab, table.uid == one.voter).limit(1)) is not None:
            yield table.__tablename__
