"""A recorded decision taken once more: the visit as an entry's payload holds it, asked of the policies in force."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from app.kernel.errors import GarduError, SealBroken
from app.kernel.fields import ELEMENTS, Basis, Element, Purpose, Role, Stage, Unit, View
from app.policy.decide import Denied, Policies
from app.policy.visit import CANONICAL_VERSION, Mandate, Visit


@dataclass(frozen=True, slots=True)
class Recorded:
    """A visit, and the views and rules that were decided then; None where the entry is of an act or a refusal."""

    visit: Visit
    views: Mapping[Element, View] | None
    rules: Mapping[Element, tuple[str, ...]] | None


@dataclass(frozen=True, slots=True)
class Replay:
    """What the policies say now. views: all TUTUP when they refuse. same: the recorded views come out again; None: none were recorded."""

    views: Mapping[Element, View]
    rules: Mapping[Element, tuple[str, ...]]
    refusals: tuple[str, ...]
    same: bool | None


def read_recorded(canonical: str) -> Recorded:
    """Return what the ``visit`` of a payload holds. Raises SealBroken when it is not in the form that the touch writes."""
    try:
        members = json.loads(canonical)
        visit = _visit(members["visit"])
        views, rules = members["views"], members["rules"]
        return Recorded(
            visit,
            None if views is None else {Element(name): View[str(word).upper()] for name, word in views.items()},
            None if rules is None else {Element(name): tuple(map(str, ids)) for name, ids in rules.items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError, GarduError) as wrong:
        raise SealBroken(f"a recorded visit is not in its form ({type(wrong).__name__})") from None


def replay(policies: Policies, recorded: Recorded) -> Replay:
    """Ask *policies* what they say to *recorded* now. Whether they are the policies of that time is for the caller to compare."""
    try:
        grant = policies.decide(recorded.visit)
    except Denied as no:
        views, rules, refusals = dict.fromkeys(ELEMENTS, View.TUTUP), dict.fromkeys(ELEMENTS, no.rules), no.rules
    else:
        views, rules, refusals = dict(grant.views), dict(grant.rules), ()
    return Replay(views, rules, refusals, None if recorded.views is None else dict(recorded.views) == views)


def _visit(members: Mapping[str, object]) -> Visit:
    if members["v"] != CANONICAL_VERSION:
        raise ValueError("a visit of another version")
    mandate, subject, roles = members["mandate"], members["subject"], members["roles"]
    if not isinstance(roles, list) or not isinstance(members["factor_age"], int):
        raise ValueError("roles or age out of form")
    return Visit(
        person=str(members["person"]),
        office=str(members["office"]),
        unit=str(members["unit"]),
        role=Role(str(members["role"])),
        roles=frozenset(Role(str(role)) for role in roles),
        jurisdiction=str(members["jurisdiction"]),
        region=str(members["region"]),
        purpose=Purpose(str(members["purpose"])),
        basis=Basis(str(members["basis"])),
        election=str(members["election"]),
        stage=Stage(str(members["stage"])),
        moment=_moment(members["moment"]),
        factor_age=members["factor_age"],
        mandate=_mandate(mandate) if isinstance(mandate, dict) else None,
        subject=None if subject is None else str(subject),
        approved_subject=members["approved_subject"] is True,
    )


def _mandate(members: Mapping[str, object]) -> Mandate:
    elements, stages, subject = members["elements"], members["stages"], members["subject"]
    if not isinstance(elements, list) or not isinstance(stages, list):
        raise ValueError("elements or stages out of form")
    return Mandate(
        uid=str(members["uid"]),
        holder=str(members["holder"]),
        approver1=str(members["approver1"]),
        unit1=Unit(str(members["unit1"])),
        approver2=str(members["approver2"]),
        unit2=Unit(str(members["unit2"])),
        region=str(members["region"]),
        purpose=Purpose(str(members["purpose"])),
        stages=frozenset(Stage(str(stage)) for stage in stages),
        elements=frozenset(Element(str(element)) for element in elements),
        ceiling=View[str(members["ceiling"]).upper()],
        start=_moment(members["start"]),
        until=_moment(members["until"]),
        subject=None if subject is None else str(subject),
    )


def _moment(text: object) -> datetime:
    return datetime.fromisoformat(str(text)).astimezone(UTC)
