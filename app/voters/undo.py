"""Undoes a load that nobody has used yet: its rows stay where they are, and are no part of the roll from then on.

A row was used when the touch index names it in any entry but those of its own load. Decided twice: before the transaction, over every
row; and inside it, with the log's head locked, over what was written since. If we die before the commit, nothing was undone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import NoReturn

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from app.audit.canonical import Json, canonical
from app.audit.family import up_to
from app.audit.tables import TouchIndex, TrailEntry, TrailHead
from app.identity.room import Entry, entry, write, write_within
from app.kernel.actor import Actor
from app.kernel.errors import N_, Conflict, SealBroken
from app.kernel.fields import Action, Outcome, Purpose
from app.store.bulk import among
from app.touch import Receipt
from app.voters import loads
from app.voters.intake import demand_open, load_of, recorded
from app.voters.room import Roll
from app.voters.tables import UNDONE, Load, Quarantine, Voter

# Rules that an entry names for a load that cannot be undone (any more).
USED, RUNNING, TWICE, OLD = "muatan-terpakai", "muatan-berjalan", "muatan-sudah-batal", "muatan-lama"
RULES: tuple[str, ...] = (USED, RUNNING, TWICE, OLD)
# uids per question to the touch index.
_CHUNK = 500
WHY = {
    USED: N_("Pemuatan ini tidak dapat dibatalkan lagi: barisnya sudah dipakai."),
    RUNNING: N_("Pemuatan ini belum selesai. Tunggu sampai selesai, lalu batalkan bila perlu."),
    TWICE: N_("Pemuatan ini sudah dibatalkan."),
    OLD: N_("Pemuatan ini dilakukan sebelum pembatalan tersedia, maka tidak dapat dibatalkan."),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a load can be undone. rule: what stands against it, or None. used: rows used. seen: size of the log when this was found."""

    rule: str | None
    used: int
    seen: int


def standing(roll: Roll, actor: Actor, load: Load, now: datetime) -> Standing:
    """Say whether *load* can be undone now. Raises SealBroken (recorded) when rows of it were taken away or moved; KeysDown."""
    rule = _rule(load)
    if rule is not None:
        return Standing(rule, 0, 0)
    with recorded(roll, actor, load.kab, now, Action.VOTER_RETRACT), roll.guard.store.reading() as session:
        seen = _head(session, roll)
        _demand_whole(session, load)
        used = len(_used(session, roll, load))
    return Standing(USED if used else None, used, seen)


def undo(roll: Roll, actor: Actor, uid: str, reason: str, now: datetime) -> Receipt:
    """Undo the load *uid* of the actor's kab/kota; the change and its entry become durable together.

    Raises NotThere, Conflict (running, undone already, used, or not at this stage; recorded), SealBroken (recorded), TrailDown, StoreDown.
    """
    load = load_of(roll, actor, uid, now)
    demand_open(roll, actor, Action.VOTER_RETRACT, now)
    found = standing(roll, actor, load, now)
    if found.rule is not None:
        refuse(roll, actor, load, found.rule, now)
    ready = _entry(roll, actor, load, reason, now)
    with roll.guard.store.writing() as session:
        row = loads.find(session, roll.seals, load.kab, uid, lock=True)
        # From here to the commit nobody else can write to the log, so nobody can use a row unseen.
        rule = _rule(row) or (USED if _head(session, roll, lock=True) != found.seen and _used(session, roll, row) else None)
        receipt = None
        if rule is None:
            row.state, row.undone_at, row.undone_by = UNDONE, now, actor.uid
            loads.seal(roll.seals, row)
            session.flush()
            receipt = write_within(roll.mandates.identity, session, ready)
    if rule is not None or receipt is None:
        refuse(roll, actor, load, rule or TWICE, now)
    return receipt


def refuse(roll: Roll, actor: Actor, load: Load, rule: str, now: datetime) -> NoReturn:
    """Record that *rule* stands against undoing *load*. Raises Conflict, TrailDown."""
    ready = entry(
        roll.mandates.identity, actor, Action.VOTER_RETRACT, Outcome.DENIED, now,
        purpose=Purpose.PEMUATAN, scope=load.kab, extra={"load": load.uid},
        more={"election": load.election, "rule": (rule,), "policy": roll.guard.policies.hash},
    )  # fmt: skip
    write(roll.mandates.identity, ready)
    raise Conflict(f"load {load.uid}: {rule}", public=WHY[rule])


def retracted(load: str, rows_sealed: int, rows_quarantined: int) -> bytes:
    """Return the digest by which an entry ``voter:retract`` names the load it undid. load: its uid, which is random."""
    return sha256(canonical({"load": load, "quarantined": rows_quarantined, "sealed": rows_sealed})).digest()


def _entry(roll: Roll, actor: Actor, load: Load, reason: str, now: datetime) -> Entry:
    extra: dict[str, Json] = {"load": load.uid, "sealed": load.rows_sealed, "quarantined": load.rows_quarantined, "reason": reason}
    return entry(
        roll.mandates.identity, actor, Action.VOTER_RETRACT, Outcome.DONE, now,
        purpose=Purpose.PEMUATAN, scope=load.kab, method=actor.method, age=actor.factor_age(Purpose.PEMUATAN, now), extra=extra,
        detail=("load", retracted(load.uid, load.rows_sealed, load.rows_quarantined)),
        more={"election": load.election, "policy": roll.guard.policies.hash},
    )  # fmt: skip


def _rule(load: Load) -> str | None:
    if load.state == UNDONE:
        return TWICE
    if load.state != loads.DONE:
        return RUNNING
    return None if load.seal is not None and load.layout is not None else OLD


def _head(session: Session, roll: Roll, *, lock: bool = False) -> int:
    query = select(TrailHead.size).where(TrailHead.log == roll.guard.log)
    return session.scalar(query.with_for_update() if lock else query) or 0


def _demand_whole(session: Session, load: Load) -> None:
    """Demand that every row of the load says so: one that was moved away would stay in the roll."""
    found = session.scalar(select(func.count()).select_from(Voter).where(Voter.kab == load.kab, Voter.load == load.uid)) or 0
    if found != load.rows_sealed:
        raise SealBroken(f"load {load.uid}: {found} rows name it, {load.rows_sealed} were stored")


def _used(session: Session, roll: Roll, load: Load) -> set[bytes]:
    """Return the tokens of the load's rows that an entry names which is not the load's own."""
    touches: list[tuple[bytes, str | None]] = []
    own: set[str | None] = set()
    for tokens in _tokens(session, roll, load):
        for token, action, outcome, purpose, request in session.execute(_touching(session, roll, tokens)):
            if action == Action.VOTER_IMPORT.value and outcome == Outcome.DONE.value:
                own.add(request)
            else:
                matching = action == Action.VOTER_SEARCH.value and purpose == Purpose.PEMUATAN.value
                touches.append((token, request if matching else None))
    # A load compares its later rows with its earlier ones: those entries carry the request that its rows came in with.
    return {token for token, request in touches if request is None or request not in own}


def _touching(session: Session, roll: Roll, tokens: list[bytes]) -> Select[bytes, str, str, str | None, str | None]:
    here = (TrailEntry.log == TouchIndex.log) & (TrailEntry.seq == TouchIndex.seq)
    query = select(TouchIndex.token, TrailEntry.action, TrailEntry.outcome, TrailEntry.purpose, TrailEntry.request)
    return query.join(TrailEntry, here).where(TouchIndex.log.in_(up_to(roll.guard.log)), among(session, TouchIndex.token, tokens))


def _tokens(session: Session, roll: Roll, load: Load) -> Iterator[list[bytes]]:
    for table, more in ((Voter, (Voter.kab == load.kab,)), (Quarantine, (Quarantine.kab == load.kab,))):
        last = ""
        while True:
            query = select(table.uid).where(table.load == load.uid, table.uid > last, *more).order_by(table.uid).limit(_CHUNK)
            uids = list(session.scalars(query))
            if not uids:
                break
            yield [roll.guard.payloads.token(uid) for uid in uids]
            last = uids[-1]
