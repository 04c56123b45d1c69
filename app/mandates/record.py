"""Writes what was done: the rows of a step, its entry, and the mandate it starts or ends, together or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import NoReturn

from sqlalchemy.orm import Session

from app.audit.canonical import Json, canonical
from app.identity.room import Entry, entry, write, write_within
from app.kernel.actor import NEVER, Actor
from app.kernel.clock import rfc3339
from app.kernel.errors import BadInput, Conflict, GarduError, NotAllowed, SealBroken
from app.kernel.fields import Action, Outcome
from app.mandates import rows
from app.mandates.room import Mandates
from app.mandates.rows import ACTIONS, Request
from app.mandates.rules import DECIDED, NOT_APPROVER, NOT_PARTY, OWN, SAME_PERSON, SAME_UNIT, WHY, Act, State, Terms, words_of
from app.mandates.tables import AccessRequest, MandateRow, RequestStep

# Of each entry, so that digests of equal texts differ and nobody can try texts against one.
SALT_BYTES = 16
_KINDS: Mapping[str, type[GarduError]] = {
    OWN: NotAllowed, SAME_PERSON: NotAllowed, SAME_UNIT: NotAllowed, NOT_APPROVER: NotAllowed, NOT_PARTY: NotAllowed, DECIDED: Conflict,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Doing:
    """One step about to be done. terms: what an approval leaves."""

    actor: Actor
    act: Act
    reason: str = ""
    terms: Terms | None = None


def refuse(
    room: Mandates,
    actor: Actor,
    action: Action,
    rule: str,
    now: datetime,
    *,
    request: Request | None = None,
    scope: str | None = None,
    field: str = "",
    kind: type[GarduError] | None = None,
) -> NoReturn:
    """Record that *rule* stood against *action*, and raise the error that says so: *kind*, else the rule's own.

    request: what it was about, where the actor may know that. field: the input to mend. The error's detail is the rule.
    """
    more: dict[str, object] = {"rule": (rule,), "policy": room.policies.hash}
    if request is not None:
        more |= {"mandate": request.uid, "election": request.election, "basis": request.basis.value}
    ready = entry(
        room.identity, actor, action, Outcome.DENIED, now,
        purpose=request.purpose if request else None, scope=request.asked.region if request else scope,
        method=actor.method, age=_age(actor, now), more=more,  # type: ignore[arg-type]  # members of an entry
    )  # fmt: skip
    write(room.identity, ready)
    found = kind or _KINDS.get(rule, BadInput)
    if found is BadInput:
        raise BadInput(rule, field=field, public=WHY[rule])
    raise found(rule, public=WHY[rule]) if kind is None else found(rule)


def start(room: Mandates, actor: Actor, draft: Request, now: datetime) -> str:
    """Store a new request with its first step and its entry; return its uid. Raises TrailDown, StoreDown, KeysDown."""
    doing = Doing(actor, Act.SUBMIT, "", None)
    ready = _entry(room, draft, doing, State.SUBMITTED, 1, now)
    row = _new_row(draft)
    rows.seal(room, row)
    with room.identity.store.writing() as session:
        session.add(row)
        session.flush()
        _write(room, session, draft.uid, 1, doing, ready, now)
    return draft.uid


def advance(room: Mandates, seen: Request, state: State, doing: Sequence[Doing], now: datetime) -> bool:
    """Bring the request *seen* to *state* by the steps *doing*, if it still stands as it was seen; say whether it did.

    If we die before the commit nothing happened: no step, no entry, no mandate. Raises TrailDown, StoreDown, SealBroken, KeysDown.
    """
    # Sealing the payloads before BEGIN keeps the database's write lock short.
    ready = prepare(room, seen, state, doing, now)
    with room.identity.store.writing() as session:
        if not advance_within(room, session, seen, state, doing, ready, now):
            return False
    if state in (State.ACTIVE, State.REVOKED, State.ENDED):
        room.policies.generation = room.policies.generation + 1
    return True


def prepare(room: Mandates, seen: Request, state: State, doing: Sequence[Doing], now: datetime) -> list[Entry]:
    """Return the entries of the steps *doing*, sealed, before any transaction. Raises KeysDown."""
    return [_entry(room, seen, one, state, seen.version + number, now) for number, one in enumerate(doing, 1)]


def advance_within(
    room: Mandates, session: Session, seen: Request, state: State, doing: Sequence[Doing], ready: Sequence[Entry], now: datetime
) -> bool:
    """As ``advance``, in the caller's open transaction; the caller counts the policies' generation on when a mandate began or ended."""
    standing = rows.load(room, session, seen.uid, lock=True)
    if standing.seal != seen.seal:
        return False
    row = session.get_one(AccessRequest, seen.uid)
    row.state, row.version = state.value, seen.version + len(doing)
    rows.seal(room, row)
    _change_mandate(room, session, seen, state, doing, now)
    session.flush()
    for number, (one, sealed) in enumerate(zip(doing, ready, strict=True), seen.version + 1):
        _write(room, session, seen.uid, number, one, sealed, now)
    return True


def record_broken(room: Mandates, actor: Actor, uids: Sequence[str], now: datetime) -> None:
    """Record that the rows of *uids* are not as the log left them, one entry each."""
    for uid in uids:
        ready = entry(room.identity, actor, Action.MANDATE_START, Outcome.BROKEN, now, more={"mandate": uid, "policy": room.policies.hash})
        write(room.identity, ready)


def terms_json(terms: Terms) -> dict[str, Json]:
    """Return terms as they stand in sealed payloads."""
    return {"region": terms.region, "elements": words_of(terms.elements), "view": terms.view.word, "until": rfc3339(terms.until)}


def _entry(room: Mandates, request: Request, doing: Doing, state: State, version: int, now: datetime) -> Entry:
    """Return the entry of one step. What was typed stands in the sealed payload only; the entry holds a salted digest of all of it."""
    told: dict[str, Json] = {
        "act": doing.act.value,
        "state": state.value,
        "version": version,
        "asked": terms_json(request.asked),
        "left": terms_json(doing.terms or request.left),
        "stages": rows.stages_of(request.stages),
        "reason": doing.reason or (request.reason if doing.act is Act.SUBMIT else ""),
        "letter": request.letter,
        "salt": secrets.token_hex(SALT_BYTES),
    }
    actor = doing.actor
    return entry(
        room.identity, actor, ACTIONS[doing.act], Outcome.DONE, now,
        purpose=request.purpose, scope=(doing.terms or request.left).region, method=actor.method, age=_age(actor, now),
        target=request.holder, detail=("request", sha256(canonical(told)).digest()),
        subjects=(request.subject,) if request.subject else (), extra={"request": told},
        more={
            "mandate": request.uid, "election": request.election, "basis": request.basis.value, "policy": room.policies.hash,
        },
    )  # fmt: skip


def _write(room: Mandates, session: Session, uid: str, number: int, doing: Doing, ready: Entry, now: datetime) -> None:
    # The step names its entry's number, so it is inserted after the entry; both stand or fall with this transaction.
    receipt = write_within(room.identity, session, ready)
    terms, actor = doing.terms, doing.actor
    step = RequestStep(
        request=uid,
        number=number,
        at=now,
        actor=actor.uid,
        office=actor.office,
        unit=actor.unit,
        act=doing.act.value,
        region=terms.region if terms else None,
        elements=words_of(terms.elements) if terms else None,
        view=terms.view.word if terms else None,
        until=terms.until if terms else None,
        reason=doing.reason,
        seq=receipt.seq,
    )
    rows.seal(room, step)
    session.add(step)
    session.flush()


def _change_mandate(room: Mandates, session: Session, request: Request, state: State, doing: Sequence[Doing], now: datetime) -> None:
    if state is State.ACTIVE:
        row = _new_mandate(request, doing[0], now)
        rows.seal(room, row)
        session.add(row)
    elif state in (State.REVOKED, State.ENDED):
        row = session.get_one(MandateRow, request.uid, with_for_update=True)
        try:
            rows.check(room, row, request.uid)
        except SealBroken:
            # Never sealed anew with what somebody wrote into it; the entry ends the mandate, whatever its row says.
            return
        row.state, row.ended_at = state.value, now
        rows.seal(room, row)


def _new_row(draft: Request) -> AccessRequest:
    return AccessRequest(
        uid=draft.uid,
        holder=draft.holder,
        office=draft.office,
        unit=draft.unit,
        role=draft.role.value,
        purpose=draft.purpose.value,
        basis=draft.basis.value,
        region=draft.asked.region,
        election=draft.election,
        stages=rows.stages_of(draft.stages),
        elements=words_of(draft.asked.elements),
        view=draft.asked.view.word,
        until=draft.asked.until,
        subject=draft.subject,
        letter=draft.letter,
        reason=draft.reason,
        submitted_at=draft.submitted_at,
        state=draft.state.value,
        version=draft.version,
    )


def _new_mandate(request: Request, approval: Doing, now: datetime) -> MandateRow:
    first, terms = request.first, approval.terms
    assert first is not None and terms is not None, "a mandate starts with a second approval"
    return MandateRow(
        uid=request.uid,
        holder=request.holder,
        approver1=first.actor,
        unit1=first.unit,
        approver2=approval.actor.uid,
        unit2=approval.actor.unit,
        region=terms.region,
        purpose=request.purpose.value,
        election=request.election,
        stages=rows.stages_of(request.stages),
        elements=words_of(terms.elements),
        ceiling=terms.view.word,
        start=now,
        until=terms.until,
        subject=request.subject,
        state=State.ACTIVE.value,
        ended_at=None,
    )


def _age(actor: Actor, now: datetime) -> int:
    """Return the age of the actor's last code in seconds, whatever purpose it was given for."""
    if actor.factor_at is None:
        return NEVER
    return max(0, int((now - actor.factor_at).total_seconds()))
