"""Asking, deciding, withdrawing, revoking. Every step is an entry of the log, and stands together with the change it makes.

Submitted is immutable. Two approvers of two units, neither the requester; each may narrow what the one before left, never widen it.
The second approval starts the mandate in the same transaction. Whatever is refused is an entry that names its rule.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from app.identity.rules import office_region
from app.kernel.actor import Actor
from app.kernel.errors import N_, BadInput, NotAllowed, NotThere, SealBroken
from app.kernel.fields import Action, Basis, Purpose, Role, Stage
from app.kernel.ids import decode_uid, new_uid
from app.kernel.regions import is_within, kab_of
from app.mandates import ceiling, people, rows
from app.mandates.ceiling import Wanted
from app.mandates.record import Doing, advance, record_broken, refuse, start
from app.mandates.room import Mandates
from app.mandates.rows import Request
from app.mandates.rules import (
    DATE,
    DECIDED,
    NO_APPROVERS,
    NOT_APPROVER,
    NOT_PARTY,
    OUTSIDE,
    OWN,
    REQUESTERS,
    SAME_PERSON,
    SAME_UNIT,
    WIDER,
    Act,
    State,
    Terms,
    complete,
    covers,
    date_holds,
    wider,
)  # fmt: skip
from app.mandates.use import active, approved_subject, best, expire_due

__all__ = [
    "Decision", "Wish", "active", "approved_subject", "best", "decide", "expire_due", "find", "may_see", "revoke", "submit", "withdraw",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for. subject: uid of the one voter it is about; only, and always, for the data protection officer."""

    purpose: Purpose
    basis: Basis
    stages: frozenset[Stage]
    terms: Terms
    letter: str
    reason: str
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What an approver decides. version: of the request as they saw it. terms: what they leave of it; None to refuse it."""

    version: int
    terms: Terms | None
    reason: str


def submit(room: Mandates, actor: Actor, wish: Wish, now: datetime) -> str:
    """Submit a request and return its uid. NIK never goes alone: what is read off it is named with it.

    Raises BadInput naming field and remedy; for a region outside the office, a date, a view beyond the policies, or too few approvers
    it is recorded first. NotAllowed for a role that asks for nothing, TrailDown, StoreDown, KeysDown.
    """
    if actor.role not in REQUESTERS:
        raise NotAllowed(f"role {actor.role.value} asks for no mandate")
    _check_wish(room, actor, wish)
    wish = replace(wish, terms=replace(wish.terms, elements=complete(wish.terms.elements, ceiling.derived(room))))
    region = wish.terms.region
    if not is_within(region, actor.region) or room.identity.places.name(region) is None:
        refuse(room, actor, Action.REQUEST_SUBMIT, OUTSIDE, now, field="region")
    if not date_holds(wish.terms.until, now):
        refuse(room, actor, Action.REQUEST_SUBMIT, DATE, now, field="until", scope=region)
    election = election_of(room, region, now)
    for stage in sorted(wish.stages):
        wanted = Wanted(wish.purpose, wish.basis, region, election, stage, wish.subject)
        rule, _ = ceiling.trouble(room, actor, wanted, now, wish.terms)
        if rule:
            refuse(room, actor, Action.REQUEST_SUBMIT, rule, now, field="elements", scope=region)
    with room.identity.store.reading() as session:
        enough = people.are_enough(people.approvers(session, region, beside=actor.uid))
    if not enough:
        refuse(room, actor, Action.REQUEST_SUBMIT, NO_APPROVERS, now, field="region", scope=region)
    return start(room, actor, _draft(actor, wish, election, now), now)


def decide(room: Mandates, actor: Actor, uid: str, decision: Decision, now: datetime) -> State:
    """Approve (as asked, or narrowed) or refuse a request, and return its state afterwards.

    Raises NotThere (no such request, or of another region), NotAllowed (not an approver of it), Conflict (decided or changed
    meanwhile, or sent twice), BadInput (field ``reason``, ``until``, ``elements``, ``region`` or ``view``); all of them recorded but a
    missing ground. TrailDown, SealBroken, StoreDown.
    """
    action = Action.REQUEST_REFUSE if decision.terms is None else Action.REQUEST_APPROVE
    request = _visible(room, actor, uid, action, now)
    rule = _unfit(actor, request, decision)
    if rule:
        refuse(room, actor, action, rule, now, request=request)
    if decision.terms is None:
        if not decision.reason:
            raise BadInput("no ground", field="reason", public=N_("Penolakan perlu alasan, supaya pemohon tahu apa yang kurang."))
        return _done(room, actor, request, State.REFUSED, [Doing(actor, Act.REFUSE, decision.reason)], action, now)
    terms = replace(decision.terms, elements=complete(decision.terms.elements, ceiling.derived(room)))
    _check_terms(room, actor, request, terms, now)
    approval = Doing(actor, Act.APPROVE, decision.reason, terms)
    if request.first is None:
        return _done(room, actor, request, State.HALF, [approval], action, now)
    return _done(room, actor, request, State.ACTIVE, [approval, Doing(actor, Act.START)], action, now)


def withdraw(room: Mandates, actor: Actor, uid: str, reason: str, now: datetime) -> State:
    """Take one's own request back while it is open. Raises NotThere, NotAllowed, Conflict (all recorded), TrailDown, StoreDown."""
    request = _visible(room, actor, uid, Action.REQUEST_WITHDRAW, now)
    if request.holder != actor.uid:
        refuse(room, actor, Action.REQUEST_WITHDRAW, NOT_PARTY, now, request=request)
    if not request.is_open:
        refuse(room, actor, Action.REQUEST_WITHDRAW, DECIDED, now, request=request)
    step = Doing(actor, Act.WITHDRAW, reason)
    return _done(room, actor, request, State.WITHDRAWN, [step], Action.REQUEST_WITHDRAW, now)


def revoke(room: Mandates, actor: Actor, uid: str, reason: str, now: datetime) -> State:
    """End a mandate, at once. Whoever may see it may: an approver or the security officer of its region, or its holder, who gives it back.

    Raises NotThere, Conflict (both recorded), TrailDown, StoreDown.
    """
    request = _visible(room, actor, uid, Action.MANDATE_REVOKE, now)
    if request.state is not State.ACTIVE:
        refuse(room, actor, Action.MANDATE_REVOKE, DECIDED, now, request=request)
    step = Doing(actor, Act.REVOKE, reason)
    return _done(room, actor, request, State.REVOKED, [step], Action.MANDATE_REVOKE, now)


def find(room: Mandates, actor: Actor, uid: str, now: datetime) -> Request:
    """Return a request that *actor* may see. Raises NotThere, SealBroken (recorded), TrailDown, StoreDown."""
    try:
        decode_uid(uid)
    except ValueError:
        raise NotThere("not a request's uid") from None
    try:
        with room.identity.store.reading() as session:
            request = rows.load(room, session, uid)
    except SealBroken:
        record_broken(room, actor, (uid,), now)
        raise
    if not may_see(actor, request.holder, request.asked.region):
        raise NotThere("another's request")
    return request


def may_see(actor: Actor, holder: str, region: str) -> bool:
    """Say whether *actor* is a party to a request of *holder* for *region*: its holder, or an approver or security officer of its region."""
    if actor.uid == holder:
        return True
    return _approves(actor, region) or (actor.role is Role.PETUGAS_KEAMANAN and is_within(region, actor.region))


def election_of(room: Mandates, region: str, now: datetime) -> str:
    """Return the election in force in *region*. Raises BadInput (field ``region``) while no stage was set there."""
    found = room.calendar(kab_of(region) or region, now)
    if found is None:
        public = N_("Belum ada tahapan pemilu yang ditetapkan untuk wilayah ini. Hubungi KPU kab/kota itu.")
        raise BadInput("no stage was ever set there", field="region", public=public)
    return found[0]


def _check_wish(room: Mandates, actor: Actor, wish: Wish) -> None:
    if wish.purpose not in room.policies.catalog.roles[actor.role].purposes:
        raise BadInput("not a purpose of this role", field="purpose", public=N_("Pilih tujuan yang termasuk peran Anda."))
    if (wish.subject is not None) != (actor.role is Role.PEJABAT_PDP):
        public = N_("Isi nomor pemilih yang meminta, misalnya 51.71-… dari halaman atau surat permintaannya.")
        raise BadInput("a subject is for the data protection officer, and only there", field="subject", public=public)


def _draft(actor: Actor, wish: Wish, election: str, now: datetime) -> Request:
    return Request(
        uid=new_uid(),
        holder=actor.uid,
        office=actor.office,
        unit=actor.unit,
        role=actor.role,
        purpose=wish.purpose,
        basis=wish.basis,
        election=election,
        stages=wish.stages,
        asked=wish.terms,
        subject=wish.subject,
        letter=wish.letter,
        reason=wish.reason,
        submitted_at=now,
        state=State.SUBMITTED,
        version=1,
        seal=b"",
        steps=(),
    )


def _visible(room: Mandates, actor: Actor, uid: str, action: Action, now: datetime) -> Request:
    """Return the request, or record that somebody reached for one that is not theirs or not there: one answer for both."""
    try:
        return find(room, actor, uid, now)
    except NotThere:
        refuse(room, actor, action, OUTSIDE, now, kind=NotThere)


def _unfit(actor: Actor, request: Request, decision: Decision) -> str:
    """Return the rule by which *actor* may not take this decision now, or ""."""
    if actor.uid == request.holder:
        return OWN
    if not _approves(actor, request.asked.region):
        return NOT_APPROVER
    if not request.is_open or decision.version != request.version:
        return DECIDED
    first = request.first
    if first is None or decision.terms is None:
        return ""
    if actor.uid == first.actor:
        return SAME_PERSON
    return SAME_UNIT if actor.unit == first.unit else ""


def _check_terms(room: Mandates, actor: Actor, request: Request, terms: Terms, now: datetime) -> None:
    """Refuse terms that reach beyond what is left, are over already, or open nothing any more."""
    beyond = wider(terms, request.left)
    if beyond or room.identity.places.name(terms.region) is None:
        refuse(room, actor, Action.REQUEST_APPROVE, WIDER, now, request=request, field=beyond[0] if beyond else "region")
    if not date_holds(terms.until, now):
        refuse(room, actor, Action.REQUEST_APPROVE, DATE, now, request=request, field="until")
    asker = _asker(request)
    for stage in sorted(request.stages):
        wanted = Wanted(request.purpose, request.basis, terms.region, request.election, stage, request.subject)
        rule, _ = ceiling.trouble(room, asker, wanted, now, terms)
        if rule:
            refuse(room, actor, Action.REQUEST_APPROVE, rule, now, request=request, field="elements")


def _asker(request: Request) -> Actor:
    """Return the requester as they stood at submission, for the policies to judge what is left."""
    return Actor(
        uid=request.holder,
        office=request.office,
        unit=request.unit,
        role=request.role,
        roles=frozenset({request.role}),
        region=office_region(request.office),
        request="",
    )


def _done(room: Mandates, actor: Actor, request: Request, state: State, doing: list[Doing], action: Action, now: datetime) -> State:
    if not advance(room, request, state, doing, now):
        refuse(room, actor, action, DECIDED, now, request=request)
    return state


def _approves(actor: Actor, region: str) -> bool:
    return actor.role is Role.PENYETUJU and covers(actor.office, region)
