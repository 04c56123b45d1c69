"""How far the policies let somebody see, as things stand and with a mandate: asked of the policies themselves, never written down twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from app.kernel.actor import Actor, Ask
from app.kernel.fields import ELEMENTS, Basis, Element, Purpose, Stage, Unit, View
from app.mandates.room import Mandates
from app.mandates.rules import BEYOND, NEEDLESS, Terms, own_elements, too_far
from app.policy.decide import Denied
from app.policy.visit import Mandate, visit_for

# Stand for the two approvers of a mandate that is only tried: no account has such a uid.
_FIRST, _SECOND = "penyetuju-1", "penyetuju-2"
# It always runs, whatever the date asked for, so that the policies' memory knows it again.
_EVER, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
Views = Mapping[Element, View]
_CLOSED: Views = dict.fromkeys(ELEMENTS, View.TUTUP)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a mandate is wanted for. election: in force there. subject: uid of the one voter, or None."""

    purpose: Purpose
    basis: Basis
    region: str
    election: str
    stage: Stage
    subject: str | None = None


def standing(room: Mandates, actor: Actor, wanted: Wanted, now: datetime) -> Views:
    """Return what *actor* sees there without a mandate, with a fresh code."""
    return _views(room, actor, wanted, now, None)


def widest(room: Mandates, actor: Actor, wanted: Wanted, now: datetime) -> Views:
    """Return what *actor* could see there at most, with the widest mandate there can be."""
    return _views(room, actor, wanted, now, _trial(actor, wanted, Terms(wanted.region, frozenset(ELEMENTS), View.UTUH, _LAST)))


def with_terms(room: Mandates, actor: Actor, wanted: Wanted, now: datetime, terms: Terms) -> Views:
    """Return what *actor* would see there with a mandate of exactly these *terms*."""
    return _views(room, actor, wanted, now, _trial(actor, wanted, terms))


def trouble(room: Mandates, actor: Actor, wanted: Wanted, now: datetime, terms: Terms) -> tuple[str, frozenset[Element]]:
    """Return (rule, elements) that stand against *terms*: asked beyond the policies, or opening nothing; ("", none) when all is well."""
    own = own_elements(terms.elements, derived(room))
    beyond = too_far(own, terms.view, widest(room, actor, wanted, now))
    if beyond:
        return BEYOND, beyond
    before, after = standing(room, actor, wanted, now), with_terms(room, actor, wanted, now, terms)
    idle = frozenset(element for element in own if after[element] <= before[element])
    return (NEEDLESS, idle) if idle else ("", frozenset())


def derived(room: Mandates) -> frozenset[Element]:
    """Return what is read off a NIK, by the catalog."""
    return room.policies.catalog.elements[Element.NIK].derived


def _views(room: Mandates, actor: Actor, wanted: Wanted, now: datetime, mandate: Mandate | None) -> Views:
    ask = Ask(wanted.purpose, wanted.basis, wanted.region, wanted.election, wanted.stage)
    # A stale code is no reason against a mandate: it is asked for again at each use.
    visit = replace(visit_for(actor, ask, now, mandate=mandate, subject=wanted.subject), factor_age=0)
    try:
        return room.policies.decide(visit).views
    except Denied:
        return _CLOSED


def _trial(actor: Actor, wanted: Wanted, terms: Terms) -> Mandate:
    return Mandate(
        uid="percobaan",
        holder=actor.uid,
        approver1=_FIRST,
        unit1=Unit.DATA,
        approver2=_SECOND,
        unit2=Unit.HUKUM,
        region=terms.region,
        purpose=wanted.purpose,
        stages=frozenset({wanted.stage}),
        elements=terms.elements,
        ceiling=terms.view,
        start=_EVER,
        until=_LAST,
        subject=wanted.subject,
    )
