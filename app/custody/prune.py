"""Prunes the log to a minimum, in two steps by two people; the database's owner deletes, the application's role cannot.

    (1) propose  an administrator or a security officer; what goes is worked out and named                trail:prune intent
    (2) confirm  another one, within a day; it is worked out anew and must be the same; entry, minimum,
                 signed checkpoint and deletion are one transaction                                       trail:prune done
        refuse   by any of them; nothing goes                                                             trail:prune denied

Refused: entries younger than RETENTION, and entries that the roll still stands on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import CursorResult, Select, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.audit import tiles
from app.audit.note import Signer
from app.audit.pruning import DETAIL, Cut, cut_at, prune_within
from app.audit.tables import TrailEntry
from app.custody.presence import DECIDERS
from app.custody.tables import PruneRequest
from app.identity.invitations import inviters
from app.identity.room import Entry, Identity, entry, write, write_within
from app.identity.rules import parse_reason
from app.identity.tables import Account
from app.kernel.actor import Actor
from app.kernel.clock import rfc3339
from app.kernel.errors import Conflict, NotAllowed, NotThere, SealBroken
from app.kernel.fields import Action, Outcome
from app.kernel.ids import new_uid
from app.kernel.regions import NATION
from app.store.engine import Store
from app.touch import Guard
from app.vault.records import Field, RecordSeal
from app.voters.tables import Load, Quarantine, Voter

TABLE = PruneRequest.__tablename__
WAITING, DONE, REFUSED, LAPSED = "waiting", "done", "refused", "lapsed"
# From one general election to the next (UUD 1945 art. 22E(1): every five years): what was done on one roll can be asked about until the
# next one has been used. Longer where the archive's own schedule (UU 27/2022 art. 44, jadwal retensi arsip) says so.
RETENTION = timedelta(days=5 * 366)
# As for the reset of a factor (app/admin/rules.py): who proposed can still be reached, and nobody confirms for whoever invited them.
WINDOW, RIPE = timedelta(hours=24), timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A proposal that waits."""

    uid: str
    minimum: int
    reason: str
    asked_by: str
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was done. seq: the entry that says so. gone: rows by table."""

    seq: int
    minimum: int
    gone: dict[str, int]


@dataclass(frozen=True, slots=True)
class Room:
    """What pruning needs. owner: the database as its owner opens it; for SQLite the same file."""

    guard: Guard
    identity: Identity
    seals: RecordSeal
    owner: Store


def propose(room: Room, actor: Actor, minimum: int, reason: str, now: datetime) -> str:
    """Propose to begin the log with entry *minimum* and return the proposal's uid; nothing goes yet.

    Raises NotAllowed, BadInput (fields ``below``, ``reason``), Conflict (too young, the roll stands on it, or a proposal waits already;
    recorded), SealBroken, TrailDown, StoreDown, KeysDown.
    """
    _require_decider(actor)
    said, uid = parse_reason(reason), new_uid()
    cut = _cut(room, minimum)
    row = PruneRequest(
        uid=uid, log=room.guard.log, minimum=minimum, digest=cut.digest, reason=said, asked_by=actor.uid, asked_at=now, state=WAITING,
        decided_by=None, decided_at=None,
    )  # fmt: skip
    row.seal = room.seals.of(TABLE, _fields(row))
    ready = _entry(room, actor, Outcome.INTENT, now, cut.digest, proposal=uid, minimum=minimum, reason=said)
    try:
        _demand_old(room, cut, now)
        with room.identity.store.writing() as session:
            _close_lapsed(session, room.seals, room.guard.log, now)
            session.add(row)
            session.flush()
            write_within(room.identity, session, ready)
    except (Conflict, IntegrityError) as refused:
        _deny(room, actor, now, cut.digest, uid)
        if isinstance(refused, Conflict):
            raise
        raise Conflict("a proposal waits already: confirm or refuse it first") from None
    return uid


def waiting(room: Room, now: datetime) -> Waiting | None:
    """Return the proposal that waits, if any."""
    with room.identity.store.reading() as session:
        row = session.scalar(_waits(room.guard.log))
        if row is None or now - row.asked_at >= WINDOW:
            return None
        return Waiting(row.uid, row.minimum, row.reason, row.asked_by, row.asked_at)


def confirm(room: Room, actor: Actor, uid: str, now: datetime) -> Pruned:
    """Carry out the proposal *uid* as the second person.

    Raises NotAllowed (who proposed, or whom they have just invited: recorded), NotThere, Conflict (decided, too old, or not the same any
    more: recorded), SealBroken (the row was changed past us: recorded broken), TrailDown, StoreDown, KeysDown.
    """
    _require_decider(actor)
    found = _found(room, uid)
    try:
        room.seals.check(TABLE, uid, _fields(found), found.seal)
        _may_confirm(room, actor, found, now)
        cut = _cut(room, found.minimum)
        _demand_old(room, cut, now)
        if cut.digest != found.digest:
            raise Conflict("the log is not as it was proposed; propose anew")
    except SealBroken:
        write(room.identity, _entry(room, actor, Outcome.BROKEN, now, found.digest, proposal=uid))
        raise
    except (Conflict, NotAllowed):
        _deny(room, actor, now, found.digest, uid)
        raise
    signer = Signer(room.guard.log, room.guard.keys.key("log", NATION).secret)
    ready = _entry(room, actor, Outcome.DONE, now, cut.digest, proposal=uid, minimum=cut.minimum, asked_by=found.asked_by)
    with room.owner.writing() as session:
        _close(session, room.seals, found, DONE, actor.uid, now)
        receipt = write_within(room.identity, session, ready)
        # After the entry, which the database asks for. If we die before the commit, everything is as it was.
        gone = prune_within(session, cut, receipt.seq, signer)
    return Pruned(receipt.seq, cut.minimum, gone)


def refuse(room: Room, actor: Actor, uid: str, now: datetime) -> None:
    """Refuse the proposal *uid*, or take it back. Raises NotAllowed, NotThere, Conflict when it was decided, SealBroken, TrailDown."""
    _require_decider(actor)
    found = _found(room, uid)
    room.seals.check(TABLE, uid, _fields(found), found.seal)
    ready = _entry(room, actor, Outcome.DENIED, now, found.digest, proposal=uid)
    with room.identity.store.writing() as session:
        _close(session, room.seals, found, REFUSED, actor.uid, now)
        write_within(room.identity, session, ready)


def _cut(room: Room, minimum: int) -> Cut:
    store, log = room.identity.store, room.guard.log
    if minimum > 0 and minimum % tiles.WIDTH == 0:
        # The full tiles above must stand for what goes.
        with store.reading() as session:
            there = session.get(TrailEntry, (log, minimum))
        if there is not None:
            tiles.store_tiles(store, log, minimum)
    with store.reading() as session:
        return cut_at(session, log, minimum)


def _demand_old(room: Room, cut: Cut, now: datetime) -> None:
    """Raise Conflict unless everything that goes is old enough, and no row of the roll was written by it."""
    if cut.newest > now - RETENTION:
        raise Conflict(f"entries younger than five years would go: the newest is of {cut.newest:%Y-%m-%d}")
    with room.identity.store.reading() as session:
        for table in (Voter, Quarantine):
            owed = select(table.uid).outerjoin(Load, Load.uid == table.load).where(or_(Load.uid.is_(None), Load.started_at <= cut.newest))
            if session.scalar(owed.limit(1)) is not None:
                raise Conflict("the roll still holds rows that these entries wrote: gardu audit verify --store could not account for them")


def _may_confirm(room: Room, actor: Actor, row: PruneRequest, now: datetime) -> None:
    if row.state != WAITING or row.log != room.guard.log:
        raise Conflict("this proposal was decided already")
    if now - row.asked_at >= WINDOW or row.asked_at > now + timedelta(minutes=1):
        raise Conflict("this proposal is older than a day; propose anew")
    if actor.uid == row.asked_by:
        raise NotAllowed("who proposed does not confirm: it takes two people")
    if inviters(room.identity, actor.uid, {row.asked_by}, now - RIPE):
        raise NotAllowed("who proposed invited you within the last seven days: somebody else must confirm")
    with room.identity.store.reading() as session:
        asker = session.get(Account, row.asked_by)
        if asker is None or asker.disabled_at is not None:
            raise Conflict("the account that proposed is disabled; refuse this proposal")


def _close(session: Session, seals: RecordSeal, found: PruneRequest, state: str, decider: str, now: datetime) -> None:
    """Write the answer over the waiting row; of two at once one finds it waiting. Raises Conflict for the other."""
    closed = PruneRequest(
        uid=found.uid, log=found.log, minimum=found.minimum, digest=found.digest, reason=found.reason, asked_by=found.asked_by,
        asked_at=found.asked_at, state=state, decided_by=decider, decided_at=now,
    )  # fmt: skip
    done = session.execute(
        update(PruneRequest)
        .where(PruneRequest.uid == found.uid, PruneRequest.state == WAITING, PruneRequest.seal == found.seal)
        .values(state=state, decided_by=decider, decided_at=now, seal=seals.of(TABLE, _fields(closed)))
        .execution_options(synchronize_session=False)
    )
    if not (isinstance(done, CursorResult) and done.rowcount == 1):
        raise Conflict("this proposal was decided meanwhile")


def _close_lapsed(session: Session, seals: RecordSeal, log: str, now: datetime) -> None:
    row = session.scalar(_waits(log))
    if row is not None and (now - row.asked_at >= WINDOW):
        session.expunge(row)
        _close(session, seals, row, LAPSED, "", now)


def _waits(log: str) -> Select[PruneRequest]:
    return select(PruneRequest).where(PruneRequest.log == log, PruneRequest.state == WAITING)


def _found(room: Room, uid: str) -> PruneRequest:
    with room.identity.store.reading() as session:
        row = session.get(PruneRequest, uid)
        if row is None:
            raise NotThere("no such proposal")
        session.expunge(row)
        return row


def _fields(row: PruneRequest) -> Sequence[Field]:
    return (
        row.uid, row.log, row.minimum, row.digest, row.reason, row.asked_by, rfc3339(row.asked_at), row.state, row.decided_by,
        rfc3339(row.decided_at) if row.decided_at else None,
    )  # fmt: skip


def _require_decider(actor: Actor) -> None:
    if actor.role not in DECIDERS:
        raise NotAllowed(f"role {actor.role.value} does not decide what leaves the log")


def _deny(room: Room, actor: Actor, now: datetime, digest: bytes, uid: str) -> None:
    write(room.identity, _entry(room, actor, Outcome.DENIED, now, digest, proposal=uid))


def _entry(room: Room, actor: Actor, outcome: Outcome, now: datetime, digest: bytes, **extra: str | int) -> Entry:
    age = int((now - actor.factor_at).total_seconds()) if actor.factor_at else 0
    return entry(
        room.identity, actor, Action.TRAIL_PRUNE, outcome, now, method=actor.method, age=max(0, age), detail=(DETAIL, digest), extra=extra
    )
