"""Erases one voter by destroying the keys that open the row, in the steps of two people and of two keys.

    (1) ask      an administrator or a security officer names the voter by public id, with a reason       voter:erase intent
    (2) decide   another one confirms within a day: the wrapped record key and the index rows are deleted,
                 the row is emptied, and the request becomes the tombstone; *pending* from now on          voter:erase allowed
        refuse   or withdraw: nothing happens                                                              voter:erase denied
    (3) the kab's seal key is rotated and the old one destroyed (``custody.rotation``); what is left of the wrapped record key in the
        database's files and backups opens only with it
    (4) the provider key is changed and the old one retired (`gardu keys rotate provider`): what is left of the wrapped seal key opens
        only with that one; *done*                                                                         voter:erase done

From (2) on the voter is not there for anybody. Why (4): a deleted row of ``vault_key`` stays in the database's files and old copies for a
while, and the provider key would open it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from sqlalchemy import CursorResult, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.audit.canonical import Json
from app.audit.entry import parse
from app.audit.family import up_to
from app.audit.tables import TrailEntry
from app.custody.erasure_log import (
    BURIED,
    DETAIL,
    DONE,
    LAPSED,
    PENDING,
    REFUSED,
    TABLE,
    WAITING,
    WITHDRAWN,
    erasure_digest,
    fields_of,
)
from app.custody.presence import DECIDERS
from app.custody.provider import DETAIL_RETIRED
from app.custody.room import Custody
from app.custody.tables import VoterErasure
from app.identity.invitations import inviters
from app.identity.room import Entry, entry, write, write_within
from app.identity.rules import parse_reason
from app.identity.tables import Account
from app.kernel.actor import Actor, host_actor
from app.kernel.errors import N_, BadInput, Conflict, NotAllowed, NotThere, SealBroken
from app.kernel.fields import CELL_COUNT, Action, Outcome, RowStatus
from app.kernel.ids import new_uid
from app.store.keys import newest_epoch
from app.voters.actions import parse_public_id
from app.voters.tables import NikIndex, Voter, VoterKey

# As for the reset of a factor (app/admin/rules.py): who asked can still be reached, and nobody confirms for whoever invited them.
WINDOW, RIPE = timedelta(hours=24), timedelta(days=7)
_SLACK = timedelta(minutes=1)
_NO_VOTER = N_("Tidak ada pemilih dengan nomor itu, atau datanya sudah dihapus. Nomornya tertera di halaman pemilih, misalnya 51.71-….")
_WAITS = N_("Untuk pemilih ini sudah ada permintaan penghapusan.")
_DECIDED = N_("Permintaan ini sudah diputuskan. Muat ulang halaman untuk melihat hasilnya.")
_TOO_LATE = N_("Permintaan ini sudah lewat 24 jam. Tidak ada yang berubah; ajukan lagi bila masih perlu.")
_SAME_PERSON = N_("Yang memutuskan harus orang lain, bukan yang meminta.")
_TOO_YOUNG = N_("Akun Anda dibuat oleh yang meminta kurang dari tujuh hari lalu. Orang lain yang memutuskan.")
_NOT_YOURS = N_("Hanya yang meminta dapat menarik permintaannya kembali.")
_ASKER_GONE = N_("Akun yang meminta sudah dinonaktifkan. Tolak permintaan ini.")


class Decision(StrEnum):
    """What can be done with a request that waits."""

    CONFIRM = "confirm"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class Shown:
    """An erasure as pages and commands show it; nothing of the voter but the public id.

    stage: of a pending one: ``kab`` while the kab's seal key must still be rotated, ``provider`` while the provider key must. mine: *actor*
    asked. young: who asked invited *actor* just now. sound: its seal holds.
    """

    uid: str
    voter: str
    kab: str
    reason: str
    asker: str
    asked_at: datetime
    state: str
    decider: str
    decided_at: datetime | None
    done_at: datetime | None
    stage: str
    mine: bool
    young: bool
    sound: bool


def ask(room: Custody, actor: Actor, public_id: str, reason: str, now: datetime) -> str:
    """Ask for the voter ``<kab>-<uid>`` to be erased and return the request's uid; nothing is erased yet.

    Raises NotAllowed, BadInput (fields ``voter``, ``reason``), Conflict when one waits or stands already, TrailDown, StoreDown, KeysDown.
    """
    _require_decider(actor)
    said = parse_reason(reason)
    kab, voter = _found_voter(room, public_id)
    row = VoterErasure(
        uid=new_uid(), kab=kab, voter=voter, reason=said, asked_by=actor.uid, asked_at=now, state=WAITING, decided_by=None, decided_at=None,
        epoch=None, mark=None, done_at=None,
    )  # fmt: skip
    row.seal = room.seals.of(TABLE, fields_of(row))
    uid, ready = row.uid, _entry(room, actor, row, Outcome.INTENT, now, reason=said)
    try:
        with room.guard.store.writing() as session:
            _close_lapsed(room, session, kab, voter, now)
            session.add(row)
            session.flush()
            write_within(room.identity, session, ready)
    except IntegrityError:
        raise Conflict("a request for this voter waits or stands already", public=_WAITS) from None
    return uid


def decide(room: Custody, actor: Actor, uid: str, decision: Decision, now: datetime) -> str:
    """Carry *decision* out on the waiting request *uid*; return the state it is in then.

    Raises NotAllowed for who asked, or whom they have just invited (recorded); NotThere; Conflict when it was decided or is too old
    (recorded); SealBroken when the row was changed past us (recorded broken); TrailDown, StoreDown, KeysDown.
    """
    _require_decider(actor)
    found = _found(room, uid)
    state = {Decision.CONFIRM: PENDING, Decision.REFUSE: REFUSED, Decision.WITHDRAW: WITHDRAWN}[decision]
    outcome = Outcome.ALLOWED if decision is Decision.CONFIRM else Outcome.DENIED
    ready = _entry(room, actor, found, outcome, now, reason=found.reason, asked_by=found.asked_by, decision=decision.value)
    try:
        room.seals.check(TABLE, uid, fields_of(found), found.seal)
        _may_decide(room, actor, found, decision, now)
        with room.guard.store.writing() as session:
            # If we die before the commit, the voter stands as before and the request waits.
            epoch = newest_epoch(session, "seal", found.kab) if decision is Decision.CONFIRM else None
            _close(room, session, found, state=state, decided_by=actor.uid, decided_at=now, epoch=epoch)
            if decision is Decision.CONFIRM:
                _bury(session, found)
            write_within(room.identity, session, ready)
    except SealBroken:
        write(room.identity, _entry(room, actor, found, Outcome.BROKEN, now))
        raise
    except (Conflict, NotAllowed) as refused:
        write(room.identity, _entry(room, actor, found, Outcome.DENIED, now, decision=decision.value, refused=refused.detail))
        raise
    return state


def key_gone(room: Custody, session: Session, kab: str, keys: Sequence[tuple[int, bytes]]) -> None:
    """Note on the tombstones of *kab* that the seal *keys* (epoch, wrapped) go in the open transaction, and under which provider keys they were."""
    newest = max((epoch for epoch, _ in keys), default=0)
    # While keys move from one provider key to the next, the old one is retired first: then the new one is what has to go.
    names = {room.guard.keys.wrapped_by(wrapped) for _, wrapped in keys}
    now = room.guard.keys.wraps_now()
    mark = _mark(now if now in names else min(names, default=now))
    here = (VoterErasure.kab == kab, VoterErasure.state == PENDING, VoterErasure.mark.is_(None), VoterErasure.epoch <= newest)
    for row in session.scalars(select(VoterErasure).where(*here).with_for_update()):
        # One that was changed past us stays as it is: it is not vouched for, and is never called done.
        if _is_sound(room, row):
            row.mark = mark
            row.seal = room.seals.of(TABLE, fields_of(row))
    session.flush()


def settle(room: Custody, now: datetime) -> list[str]:
    """Call those erasures done whose keys are all gone, each with its entry; return their uids. Raises TrailDown, StoreDown, KeysDown."""
    with room.guard.store.reading() as session:
        rows = list(session.scalars(select(VoterErasure).where(VoterErasure.state == PENDING, VoterErasure.mark.is_not(None))))
        session.expunge_all()
    retired = _retired(room) if rows else frozenset()
    settled = []
    for row in rows:
        if row.mark not in retired or not _is_sound(room, row):
            continue
        ready = _entry(room, host_actor(), row, Outcome.DONE, now)
        try:
            with room.guard.store.writing() as session:
                _close(room, session, row, state=DONE, done_at=now)
                write_within(room.identity, session, ready)
        except Conflict:
            continue
        settled.append(row.uid)
    return settled


def overdue(room: Custody, before: datetime) -> list[str]:
    """Return the kab/kota with an erasure that was confirmed at or before *before* and still waits for their seal key to be rotated."""
    here = (VoterErasure.state == PENDING, VoterErasure.mark.is_(None), VoterErasure.decided_at <= before)
    with room.guard.store.reading() as session:
        return list(session.scalars(select(VoterErasure.kab).where(*here).distinct().order_by(VoterErasure.kab)))


def listed(room: Custody, actor: Actor | None, now: datetime, limit: int = 50) -> list[Shown]:
    """Return the erasures that wait or are pending, and the newest others, newest first. actor: who looks, None for a command."""
    openly = VoterErasure.state.in_((WAITING, PENDING))
    newest = select(VoterErasure).where(~openly).order_by(VoterErasure.asked_at.desc()).limit(limit)
    with room.guard.store.reading() as session:
        rows = [*session.scalars(select(VoterErasure).where(openly).order_by(VoterErasure.asked_at.desc())), *session.scalars(newest)]
        uids = {uid for row in rows for uid in (row.asked_by, row.decided_by) if uid}
        people = {one.uid: one.name for one in session.scalars(select(Account).where(Account.uid.in_(uids)))}
        session.expunge_all()
    askers = {row.asked_by for row in rows if row.state == WAITING}
    young = inviters(room.identity, actor.uid, askers, now - RIPE) if actor is not None and askers else set()
    return [_shown(room, row, actor, people, young, now) for row in rows]


def _shown(room: Custody, row: VoterErasure, actor: Actor | None, people: dict[str, str], young: set[str], now: datetime) -> Shown:
    over = row.state == WAITING and now - row.asked_at >= WINDOW
    stage = "" if row.state != PENDING else "kab" if row.mark is None else "provider"
    return Shown(
        row.uid, f"{row.kab}-{row.voter}", row.kab, row.reason, people.get(row.asked_by, row.asked_by), row.asked_at, LAPSED if over else row.state,
        people.get(row.decided_by or "", row.decided_by or ""), row.decided_at, row.done_at, stage,
        actor is not None and actor.uid == row.asked_by, row.asked_by in young, _is_sound(room, row),
    )  # fmt: skip


def _found_voter(room: Custody, public_id: str) -> tuple[str, str]:
    try:
        kab, voter = parse_public_id(public_id.strip())
        with room.guard.store.reading() as session:
            row = session.get(Voter, (kab, voter))
            gone = select(VoterErasure.uid).where(VoterErasure.kab == kab, VoterErasure.voter == voter, VoterErasure.state.in_(BURIED))
            if row is not None and session.scalar(gone) is None:
                return kab, voter
    except NotThere:
        pass
    raise BadInput("no such voter", field="voter", public=_NO_VOTER)


def _bury(session: Session, found: VoterErasure) -> None:
    """Delete what opens and finds the voter, and empty the row; its place in counts stays."""
    here = (Voter.kab == found.kab, Voter.uid == found.voter)
    row = session.scalar(select(Voter).where(*here).with_for_update())
    if row is None:
        raise Conflict("the voter's row is gone", public=_NO_VOTER)
    # The tombstone stands already: the database asks for it.
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.gardu_bury(found.kab, found.voter)))
    else:
        for table in (VoterKey, NikIndex):
            named = (table.kab == found.kab, table.uid == found.voter)
            session.execute(delete(table).where(*named).execution_options(synchronize_session=False))
    empty: dict[str, object] = {f"c{number:02d}": b"" for number in range(CELL_COUNT)}
    empty |= {"b_nik": b"", "b_nkk": b"", "b_nd": b"", "seal": b"", "status": RowStatus.DIHAPUS.value, "row_version": row.row_version + 1}
    session.expunge(row)
    session.execute(update(Voter).where(*here).values(empty).execution_options(synchronize_session=False))


def _may_decide(room: Custody, actor: Actor, row: VoterErasure, decision: Decision, now: datetime) -> None:
    if row.state != WAITING:
        raise Conflict("decided already", public=_DECIDED)
    if now - row.asked_at >= WINDOW or row.asked_at > now + _SLACK:
        raise Conflict("too late", public=_TOO_LATE)
    if decision is Decision.WITHDRAW:
        if actor.uid != row.asked_by:
            raise NotAllowed("not the asker", public=_NOT_YOURS)
        return
    if actor.uid == row.asked_by:
        raise NotAllowed("the same person", public=_SAME_PERSON)
    if decision is Decision.REFUSE:
        return
    if inviters(room.identity, actor.uid, {row.asked_by}, now - RIPE):
        raise NotAllowed("invited by the asker just now", public=_TOO_YOUNG)
    with room.guard.store.reading() as session:
        asker = session.get(Account, row.asked_by)
        if asker is None or asker.disabled_at is not None:
            raise Conflict("the asker is disabled", public=_ASKER_GONE)


def _close(room: Custody, session: Session, found: VoterErasure, **changes: object) -> None:
    """Change the row, if it is still the one that was found. Raises Conflict."""
    other = VoterErasure(**{column.key: getattr(found, column.key) for column in VoterErasure.__table__.columns} | changes)
    here = (VoterErasure.uid == found.uid, VoterErasure.state == found.state, VoterErasure.seal == found.seal)
    values = {**changes, "seal": room.seals.of(TABLE, fields_of(other))}
    done = session.execute(update(VoterErasure).where(*here).values(values).execution_options(synchronize_session=False))
    if not (isinstance(done, CursorResult) and done.rowcount == 1):
        raise Conflict("decided meanwhile", public=_DECIDED)


def _close_lapsed(room: Custody, session: Session, kab: str, voter: str, now: datetime) -> None:
    row = session.scalar(select(VoterErasure).where(VoterErasure.kab == kab, VoterErasure.voter == voter, VoterErasure.state == WAITING))
    if row is not None and now - row.asked_at >= WINDOW:
        session.expunge(row)
        _close(room, session, row, state=LAPSED)


def _found(room: Custody, uid: str) -> VoterErasure:
    with room.guard.store.reading() as session:
        row = session.get(VoterErasure, uid)
        if row is None:
            raise NotThere("no such request")
        session.expunge(row)
        return row


def _is_sound(room: Custody, row: VoterErasure) -> bool:
    try:
        room.seals.check(TABLE, row.uid, fields_of(row), row.seal)
    except SealBroken:
        return False
    return True


def _mark(provider_key: str) -> bytes:
    """Return the digest by which the entry that retires a provider key names it (``custody.provider.retire``)."""
    return sha256(provider_key.encode()).digest()


def _retired(room: Custody) -> frozenset[bytes]:
    """Return the digests of the provider keys that entries have retired."""
    here = (
        TrailEntry.log.in_(up_to(room.guard.log)),
        TrailEntry.action == Action.KEY_RETIRE.value,
        TrailEntry.outcome == Outcome.DONE.value,
    )
    with room.guard.store.reading() as session:
        said = [parse(body)["detail"] for body in session.scalars(select(TrailEntry.body).where(*here))]
    return frozenset(bytes.fromhex(detail["sha256"]) for detail in said if detail is not None and detail["type"] == DETAIL_RETIRED)


def _require_decider(actor: Actor) -> None:
    if actor.role not in DECIDERS:
        raise NotAllowed(f"role {actor.role.value} does not decide about erasures")


def _entry(room: Custody, actor: Actor, row: VoterErasure, outcome: Outcome, now: datetime, **extra: Json) -> Entry:
    age = int((now - actor.factor_at).total_seconds()) if actor.factor_at else 0
    told: dict[str, Json] = {"erasure": row.uid, "kab": row.kab, "voter": row.voter, **extra}
    return entry(
        room.identity, actor, Action.VOTER_ERASE, outcome, now, scope=row.kab, method=actor.method, age=max(0, age), subjects=(row.voter,),
        detail=(DETAIL, erasure_digest(row.uid, row.kab, row.voter)), extra=told,
    )  # fmt: skip
