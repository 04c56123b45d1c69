"""The visit: what a decision is about. One person, one active role, one purpose, one region, one moment."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.kernel.actor import NEVER, Actor, Ask
from app.kernel.clock import rfc3339
from app.kernel.fields import Basis, Element, Purpose, Role, Stage, Unit, View
from app.kernel.regions import parse_region

# Version of the canonical form; a replay needs to know what it reads.
CANONICAL_VERSION = 1
Members = dict[str, object]

_MS = timedelta(milliseconds=1)


def whole_ms(moment: datetime) -> datetime:
    """Return *moment* without the part below a millisecond, which Cedar's clock cannot hold."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@dataclass(frozen=True, slots=True)
class Mandate:
    """A written mandate (*izin*): who may see which elements, how far, where, for what, when.

    holder, approver1, approver2: account uids. unit1, unit2: the approvers' units. region: code; everything inside it is covered.
    ceiling: the highest view it opens. start ≤ moment < until. subject: uid of the only voter it covers, or None for all in the region.
    Whether it holds is for the policies to say, never for its mere existence.
    """

    uid: str
    holder: str
    approver1: str
    unit1: Unit
    approver2: str
    unit2: Unit
    region: str
    purpose: Purpose
    stages: frozenset[Stage]
    elements: frozenset[Element]
    ceiling: View
    start: datetime
    until: datetime
    subject: str | None = None

    def __post_init__(self) -> None:
        parse_region(self.region)
        if self.start.tzinfo is None or self.until.tzinfo is None:
            raise ValueError("a mandate's start and end are aware")

    @property
    def first_ms(self) -> datetime:
        """The first whole millisecond at which it runs: never before *start*."""
        cut = whole_ms(self.start)
        return cut if cut == self.start else cut + _MS

    def phase(self, moment: datetime) -> int:
        """Return 0 before it runs, 1 while it runs, 2 after, in the whole milliseconds that the policies compare."""
        now = whole_ms(moment)
        if now < self.first_ms:
            return 0
        return 1 if now < whole_ms(self.until) else 2

    def as_json(self) -> Members:
        """Return every member as JSON values, sets sorted."""
        return {
            "approver1": self.approver1,
            "approver2": self.approver2,
            "ceiling": self.ceiling.word,
            "elements": sorted(self.elements),
            "holder": self.holder,
            "purpose": self.purpose,
            "region": self.region,
            "stages": sorted(self.stages),
            "start": rfc3339(self.start),
            "subject": self.subject,
            "uid": self.uid,
            "unit1": self.unit1,
            "unit2": self.unit2,
            "until": rfc3339(self.until),
        }


@dataclass(frozen=True, slots=True)
class Visit:
    """Everything a decision may depend on, and nothing else.

    person: account uid or ``host:<os uid>``. role: the active one, which permits look at; roles: all held, which forbids look at.
    jurisdiction, region: Kemendagri codes. moment: aware. factor_age: whole seconds since the last factor for this purpose, 0…NEVER.
    mandate: at most one. subject: uid of the voter read, when it is exactly one. approved_subject: this person approved a mandate
    about that voter. Raises ValueError for an active role that is not held, a naive moment or an age out of bounds, BadInput for a
    region of wrong shape.
    """

    person: str
    office: str
    unit: str
    role: Role
    roles: frozenset[Role]
    jurisdiction: str
    region: str
    purpose: Purpose
    basis: Basis
    election: str
    stage: Stage
    moment: datetime
    factor_age: int
    mandate: Mandate | None = None
    subject: str | None = None
    approved_subject: bool = False

    def __post_init__(self) -> None:
        parse_region(self.jurisdiction)
        parse_region(self.region)
        if self.role not in self.roles:
            raise ValueError("the active role is one of the roles held")
        if self.moment.tzinfo is None:
            raise ValueError("a visit's moment is aware")
        if not 0 <= self.factor_age <= NEVER:
            raise ValueError("the age of the factor is 0…NEVER seconds")

    def canonical(self) -> bytes:
        """Return the whole visit as RFC 8785 JSON: what an entry commits to and a replay reads."""
        members: Members = {
            "approved_subject": self.approved_subject,
            "basis": self.basis,
            "election": self.election,
            "factor_age": self.factor_age,
            "jurisdiction": self.jurisdiction,
            "mandate": None if self.mandate is None else self.mandate.as_json(),
            "moment": rfc3339(self.moment),
            "office": self.office,
            "person": self.person,
            "purpose": self.purpose,
            "region": self.region,
            "role": self.role,
            "roles": sorted(self.roles),
            "stage": self.stage,
            "subject": self.subject,
            "unit": self.unit,
            "v": CANONICAL_VERSION,
        }
        # Keys are ASCII and numbers are integers, so sorted compact JSON is RFC 8785's form.
        return json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def visit_for(
    actor: Actor,
    ask: Ask,
    now: datetime,
    *,
    mandate: Mandate | None = None,
    subject: str | None = None,
    approved_subject: bool = False,
) -> Visit:
    """Return the visit of *actor* asking *ask* at *now* (aware)."""
    return Visit(
        person=actor.uid,
        office=actor.office,
        unit=actor.unit,
        role=actor.role,
        roles=actor.roles,
        jurisdiction=actor.region,
        region=ask.region,
        purpose=ask.purpose,
        basis=ask.basis,
        election=ask.election,
        stage=ask.stage,
        moment=now,
        factor_age=actor.factor_age(ask.purpose, now),
        mandate=mandate,
        subject=subject,
        approved_subject=approved_subject,
    )
