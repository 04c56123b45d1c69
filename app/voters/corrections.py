"""Correcting one element of a voter, and the history of what was loaded and corrected."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app import touch
from app.audit import query
from app.audit.family import up_to
from app.audit.query import StoredEntry
from app.identity.room import entry, write
from app.kernel.actor import Actor, Ask
from app.kernel.errors import Conflict, SealBroken
from app.kernel.fields import Action, Element, Outcome
from app.touch import Change, Disclosure, Receipt
from app.vault.seal import SealedRow
from app.voters.actions import Rotated, Task, blind_of, blinds_of, demand_newest, row_in_roll, rows_by_nik, stands
from app.voters.elections import Standing
from app.voters.room import Roll
from app.voters.tables import Election, NikIndex, Voter

# What a voter's history is made of; who looked is for the data protection officer to say.
HISTORY = (Action.VOTER_IMPORT.value, Action.VOTER_CHANGE.value)
# More corrections of one voter than anybody makes; the newest are shown.
MOST_EVENTS = 50


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a voter's row. element, ground, reason: of a correction. mine: by the person who looks."""

    seq: int
    at: str
    action: str
    stage: str | None
    mine: bool
    element: Element | None = None
    ground: str = ""
    reason: str = ""


def open_one(roll: Roll, actor: Actor, task: Task, uid: str, element: Element, now: datetime) -> tuple[Disclosure, Standing, int]:
    """Reveal *element* alone, for the form that corrects it; return it with the version of the row it was read from.

    Raises NotThere (absent, elsewhere or refused; recorded), SealBroken (recorded), TrailDown.
    """
    row, present = _row(roll, actor, task, uid, now)
    ask = _ask(task, present, row.clear.desa)
    listing = touch.reveal_many(roll.guard, actor, ask, [row], [element], voting_day=present.voting_day, now=now)
    if not listing.shown:
        raise SealBroken(f"voter {uid}: its seal does not hold")
    return listing.shown[0], present, row.clear.row_version


def correct(roll: Roll, actor: Actor, task: Task, uid: str, wanted: Change, version: int, now: datetime) -> Receipt:
    """Correct one element of the voter *uid*, whose row stood at *version* when the form was made.

    Raises NotThere or StepUpNeeded (refused; recorded), Conflict (changed meanwhile, the same value, a NIK that is taken; recorded),
    SealBroken (recorded), TrailDown, StoreDown.
    """
    while True:
        row, present = _row(roll, actor, task, uid, now)
        if row.clear.row_version != version:
            raise Conflict("the row was changed after the form was made", public=touch.MOVED_SENTENCE)
        try:
            return _correct(roll, actor, row, present, wanted, _ask(task, present, row.clear.desa), now)
        except Rotated:
            # Only keys changed under the row, not what it says: the correction is made on it as it stands now.
            continue


def _correct(roll: Roll, actor: Actor, row: SealedRow, present: Standing, wanted: Change, ask: Ask, now: datetime) -> Receipt:
    """Correct *row* as it was read. Raises Rotated when it was put under another key meanwhile; then nothing was stored."""
    keys, known, tokens = roll.guard.keys, set[str](), set[bytes]()
    blind = blind_of(keys, row.clear.kab)

    def same_nik(token: bytes) -> Sequence[SealedRow]:
        with roll.guard.store.reading() as session:
            tokens.update({token, *(one.b_nik(wanted.value, present.election) for one in blinds_of(session, keys, row.clear.kab))})
            known.update(_claims(session, tokens, present.election))
            return rows_by_nik(session, present.election, tokens)

    def store(session: Session, changed: SealedRow) -> bool:
        if (changed.b_nik, changed.b_nkk, changed.b_nd) != (row.b_nik, row.b_nkk, row.b_nd):
            demand_newest(session, keys, row.clear.kab, blind=blind)
        return _store(session, row, changed, known, tokens)

    return touch.change(roll.guard, actor, ask, row, wanted, blind, same_nik, store, now=now)


def history(roll: Roll, actor: Actor, task: Task, uid: str, now: datetime) -> list[Event]:
    """Return what was loaded and corrected of *uid*, newest first. The reading is recorded before it is returned.

    Raises NotThere (absent, elsewhere or refused; recorded), TrailDown, SealBroken.
    """
    guard = roll.guard
    row, present = _row(roll, actor, task, uid, now)
    # Whoever may not change anything here has no business with its history either.
    touch.may_change(guard, actor, _ask(task, present, row.clear.desa), uid, now=now)
    token = guard.payloads.token(uid)
    logs = reversed(up_to(guard.log))
    found = [one for log in logs for one in query.by_subject(guard.store, log, token, HISTORY, limit=MOST_EVENTS)][:MOST_EVENTS]
    done = [one for one in found if one.members["outcome"] == Outcome.DONE.value]
    more = {"election": present.election, "stage": present.stage.value, "policy": guard.policies.hash}
    ready = entry(
        roll.mandates.identity, actor, Action.TRAIL_READ, Outcome.ALLOWED, now,
        purpose=task.purpose, scope=task.kab, subjects=(uid,), more=more,  # type: ignore[arg-type]  # a subset of Members
    )  # fmt: skip
    write(roll.mandates.identity, ready)
    return [_event(roll, actor, one) for one in done]


def _row(roll: Roll, actor: Actor, task: Task, uid: str, now: datetime) -> tuple[SealedRow, Standing]:
    present = stands(roll.guard, actor, task, Action.VOTER_CHANGE, now)
    with roll.guard.store.reading() as session:
        row = row_in_roll(session, task.kab, uid, present.election)
    if row is None:
        touch.absent(roll.guard, actor, _ask(task, present, task.kab), uid, now=now)
    return row, present


def _ask(task: Task, present: Standing, region: str) -> Ask:
    return Ask(task.purpose, task.basis, region, present.election, present.stage)


def _claims(session: Session, tokens: Collection[bytes], election: str) -> set[str]:
    return set(session.scalars(select(NikIndex.uid).where(NikIndex.b_nik.in_(tokens), NikIndex.election == election)))


def _store(session: Session, before: SealedRow, after: SealedRow, known: set[str], tokens: set[bytes]) -> bool:
    """Store *after* in place of *before*, if that is still what stands there; say whether it was.

    tokens, known: of a new NIK, under every key there is, and the uids that had one of them. Raises Rotated when *before* still stands but
    for its keys.
    """
    clear = after.clear
    if after.b_nik != before.b_nik:
        # One writer of an election's NIK at a time from here to the commit; SQLite's BEGIN IMMEDIATE is that lock already.
        session.execute(select(Election.id).where(Election.id == clear.election).with_for_update())
        if not _claims(session, tokens, clear.election) <= known:
            return False
    columns: dict[str, object] = {f"c{number:02d}": cell for number, cell in enumerate(after.cells)}
    columns |= {"row_version": clear.row_version, "b_nik": after.b_nik, "b_nkk": after.b_nkk, "b_nd": after.b_nd, "seal": after.seal}
    here = (Voter.kab == clear.kab, Voter.uid == clear.uid, Voter.row_version == before.clear.row_version, Voter.seal == before.seal)
    moved = session.execute(update(Voter).where(*here).values(columns))
    if moved.rowcount != 1:  # type: ignore[attr-defined]  # an UPDATE's result has a row count
        same = (Voter.kab == clear.kab, Voter.uid == clear.uid, Voter.row_version == before.clear.row_version)
        if session.scalar(select(Voter.uid).where(*same)) is not None:
            raise Rotated
        return False
    if after.b_nik != before.b_nik:
        old = (NikIndex.kab == clear.kab, NikIndex.uid == clear.uid, NikIndex.election == clear.election, NikIndex.b_nik == before.b_nik)
        session.execute(update(NikIndex).where(*old).values(b_nik=after.b_nik))
    return True


def _event(roll: Roll, actor: Actor, one: StoredEntry) -> Event:
    members = one.members
    base = Event(one.seq, members["at"], members["action"], members["stage"], members["actor"] == actor.uid)
    if base.action != Action.VOTER_CHANGE.value:
        return base
    content = _content(roll, one)
    element = next(iter(members["fields"] or {}), None)
    return replace(
        base,
        element=Element(element) if element else None,
        ground=str(content.get("ground", "")),
        reason=str(content.get("reason", "")),
    )


def _content(roll: Roll, one: StoredEntry) -> Mapping[str, object]:
    """Return what stands in an entry's sealed payload; empty when it was erased or does not open."""
    try:
        return touch.payload_of(roll.guard, one) or {}
    except SealBroken:
        return {}
