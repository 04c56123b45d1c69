"""Decides: a visit → a Grant, or Denied. The only place where a Grant is made."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from app.kernel.errors import NotThere
from app.kernel.fields import ELEMENTS, Element, Stage, Unit, View
from app.policy.book import Book, read_book
from app.policy.engine import NO_RULE, Answer
from app.policy.explain import Explanation, Reach, explanation
from app.policy.plan import Memory, Plan, closed_plan, make_plan
from app.policy.visit import Mandate, Visit

# What a refusal names when the code, not a policy, refused.
WRONG_LEVEL = "yurisdiksi-bukan-tingkat-peran"
SEARCH_NEEDS_FULL = "cari-perlu-utuh"
# A grant is used within one request; this bounds it where no boundary of time is in sight.
_LONGEST = timedelta(hours=24)
# Moments are told in microseconds.
_TICK = timedelta(microseconds=1)
_EVER = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC))


class Act(StrEnum):
    """Acts beside seeing; each is permitted on its own."""

    CARI = "cari"
    COCOKKAN = "cocokkan"
    UNDUH = "unduh"
    UBAH = "ubah"
    HITUNG = "hitung"


@dataclass(frozen=True, slots=True)
class Grant:
    """What *visit* may see. Made only here.

    views: the effective view of all 13 elements. rules: per element the ids that decided. offer: what a fresh factor would raise, and
    to what. policy: hash of the folder (hex). valid_until: the last moment at which the same answer is sure. errors: Cedar reported
    an error while deciding (the caller logs it); what erred counts as denied.
    """

    visit: Visit
    views: Mapping[Element, View]
    rules: Mapping[Element, tuple[str, ...]]
    offer: Mapping[Element, View]
    policy: str
    valid_until: datetime
    errors: bool = False

    @property
    def opened(self) -> frozenset[Element]:
        """The elements whose value must be opened: those shown as more than "recorded"."""
        return frozenset(element for element, view in self.views.items() if view > View.ADA)


class Denied(NotThere):
    """The visit may not. For the public the same as not there.

    rules: ids that decided (forbids, ``tidak-ada-aturan``, or a check of the code). errors: Cedar reported an error. offer: what a
    fresh factor would open. visit, policy: as in Grant.
    """

    def __init__(self, visit: Visit, policy: str, rules: tuple[str, ...], *, errors: bool = False, offer: Mapping[Element, View]) -> None:
        super().__init__(f"denied by {', '.join(rules)}{' with policy errors' if errors else ''}")
        self.visit = visit
        self.policy = policy
        self.rules = rules
        self.errors = errors
        self.offer = offer


Acts = Mapping[Element, Answer]


class Policies:
    """The policies in force. Safe for threads.

    Plans are remembered under everything a decision depends on, the moment only as review era and phase of the mandate, the factor's
    age only as which limits it has passed: the lint allows policies no other use of either.
    """

    def __init__(self, book: Book) -> None:
        self.book = book
        self.hash = book.folder.hash
        self.catalog = book.catalog
        self.warnings = book.warnings
        self._engine = book.engine
        self._limits = sorted(set(book.catalog.factor_limits.values()))
        self._rules = {rule.id: rule for rule in book.engine.rules}
        self._memory: Memory[Plan | Acts] = Memory()

    @classmethod
    def load(cls, folder: Path, now: datetime) -> Policies:
        """Read and check *folder*. Raises UnsafeStart that lists everything wrong; *now* (aware) tells which reviews are overdue."""
        return cls(read_book(folder, now))

    @property
    def generation(self) -> int:
        """Raised by whoever changes a grant, role, freeze or revocation; raising it empties the memory of plans."""
        return self._memory.generation

    @generation.setter
    def generation(self, value: int) -> None:
        self._memory.generation = value

    def decide(self, visit: Visit) -> Grant:
        """Return what *visit* may see. Raises Denied when that is nothing."""
        plan = self._plan(visit)
        offer = self._offer(visit, plan)
        if plan.closed:
            raise Denied(visit, self.hash, plan.refusals, errors=plan.errors, offer=offer)
        return Grant(visit, plan.views, plan.rules, offer, self.hash, self._valid_until(visit), plan.errors)

    def permits(self, visit: Visit, act: Act, elements: Iterable[Element]) -> tuple[str, ...]:
        """Return the sorted ids of the rules that let *visit* do *act* on every one of *elements* (at least one).

        A search also needs every element of its key in full at this moment: guessing keys must not unmask. Raises Denied otherwise,
        ValueError for no elements.
        """
        wanted = tuple(dict.fromkeys(elements))
        if not wanted:
            raise ValueError("an act is on at least one element")
        answers = self._acts(visit, act)
        refused = [answers[element] for element in wanted if not answers[element].allowed]
        if refused:
            names = {rule for answer in refused for rule in answer.rules} or {NO_RULE}
            raise Denied(visit, self.hash, tuple(sorted(names)), errors=any(a.error for a in refused), offer=MappingProxyType({}))
        names = {rule for element in wanted for rule in answers[element].rules}
        return tuple(sorted(names | (self._key_rules(visit, wanted) if act is Act.CARI else set())))

    def explain(self, grant: Grant, element: Element) -> Explanation:
        """Return why *element* looks as it does in *grant*, and how to see more."""
        return self.explain_visit(grant.visit, element)

    def explain_visit(self, visit: Visit, element: Element) -> Explanation:
        """Return the same for a visit that may also be closed altogether."""
        plan = self._plan(visit)
        fresh = replace(visit, factor_age=0)
        elsewhere = {stage: self._plan(replace(fresh, stage=stage)).views[element] for stage in Stage if stage != visit.stage}
        reach = Reach(
            fresh=self._plan(fresh).views[element],
            mandate=self._plan(replace(fresh, mandate=_full_mandate(visit), approved_subject=False)).views[element],
            stages=elsewhere,
        )
        return explanation(element, plan.views[element], plan.rules[element], plan.caps[element], reach, self._rules, self.catalog)

    def _plan(self, visit: Visit) -> Plan:
        key = self._key(visit)
        generation = self._memory.generation
        known = self._memory.get(key)
        if isinstance(known, Plan):
            return known
        plan = make_plan(self._engine, visit) if self._level_fits(visit) else closed_plan(WRONG_LEVEL)
        if not plan.errors:
            self._memory.put(key, plan, generation)
        return plan

    def _acts(self, visit: Visit, act: Act) -> Acts:
        key = (act, self._key(visit))
        generation = self._memory.generation
        known = self._memory.get(key)
        if known is not None and not isinstance(known, Plan):
            return known
        if not self._level_fits(visit):
            return dict.fromkeys(ELEMENTS, Answer(False, (WRONG_LEVEL,)))
        answers = self._engine.ask(visit, [(act.value, element) for element in ELEMENTS])
        acts = MappingProxyType(dict(zip(ELEMENTS, answers, strict=True)))
        if not any(answer.error for answer in answers):
            self._memory.put(key, acts, generation)
        return acts

    def _key_rules(self, visit: Visit, elements: tuple[Element, ...]) -> set[str]:
        """Return the rules that show *elements* in full now. Raises Denied when one is not."""
        plan = self._plan(visit)
        if any(plan.views[element] < View.UTUH for element in elements):
            raise Denied(visit, self.hash, (SEARCH_NEEDS_FULL,), errors=plan.errors, offer=self._offer(visit, plan))
        return {rule for element in elements for rule in plan.rules[element]}

    def _level_fits(self, visit: Visit) -> bool:
        """Say whether the jurisdiction is of the active role's level: an operator of a kab never works with the nation's."""
        return self.catalog.roles[visit.role].level.fits(visit.jurisdiction)

    def _offer(self, visit: Visit, plan: Plan) -> Mapping[Element, View]:
        if self._passed(visit.factor_age) == 0:
            return MappingProxyType({})
        return self._plan(replace(visit, factor_age=0)).above(plan)

    def _passed(self, age: int) -> int:
        return bisect_left(self._limits, age)

    def _key(self, visit: Visit) -> tuple[object, ...]:
        mandate = visit.mandate
        subject = None if mandate is None or mandate.subject is None else (visit.subject is None, visit.subject == mandate.subject)
        return (
            visit.person, visit.office, visit.unit, visit.role, visit.roles, visit.jurisdiction, visit.region, visit.purpose, visit.basis,
            visit.election, visit.stage, visit.approved_subject, mandate, subject, 0 if mandate is None else mandate.phase(visit.moment),
            self._engine.era(visit.moment), self._passed(visit.factor_age),
        )  # fmt: skip

    def _valid_until(self, visit: Visit) -> datetime:
        """Return the last moment before the nearest boundary in time at which the answer may change."""
        moment, mandate = visit.moment, visit.mandate
        ends = [moment + _LONGEST]
        era_end = self._engine.era_end(moment)
        if era_end is not None:
            ends.append(era_end)
        if mandate is not None:
            # Exclusive edges: at its start the mandate already runs, at its end no more.
            ends += [edge - _TICK for edge in (mandate.start, mandate.until) if edge > moment]
        ends += [moment + timedelta(seconds=limit - visit.factor_age) for limit in self._limits if limit >= visit.factor_age]
        return min(ends)


def _full_mandate(visit: Visit) -> Mandate:
    """Return the widest mandate *visit* could ask for: what an application might bring."""
    first, last = _EVER
    return Mandate(
        uid="contoh",
        holder=visit.person,
        approver1="penyetuju-1",
        unit1=Unit.DATA,
        approver2="penyetuju-2",
        unit2=Unit.HUKUM,
        region=visit.region,
        purpose=visit.purpose,
        stages=frozenset(Stage),
        elements=frozenset(ELEMENTS),
        ceiling=View.UTUH,
        start=first,
        until=last,
        subject=visit.subject,
    )
