"""THE walk. Whoever wants to see, find or compare a voter's field comes through here (bring in: ``admission``).

    (1) grant   = policies.decide(visit)      or an entry "denied", and nothing else happens; across provinces a witness must be fresh
    (2) values  = open_row(key, row, …)       only granted elements, in memory only; a broken seal is an entry "broken"
    (3) receipt = trail.append(…)             durable, or nothing leaves
    (4) return Disclosure(receipt, …)         cannot exist without (3)

The caller must still: load rows sealed, render only what the Disclosure holds, and show its receipt. ``app.vault.unseal`` is
imported nowhere else (import-linter and tests/laws keep this).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import NoReturn

from app.audit.canonical import Json
from app.audit.entry import draft_for
from app.audit.trail import Receipt
from app.kernel.actor import Actor, Ask
from app.kernel.errors import BadInput, Conflict, KeysDown, NotThere, SealBroken, StepUpNeeded
from app.kernel.fields import ELEMENTS, Action, Basis, Element, Outcome, Purpose, View
from app.kernel.regions import is_within, parse_region
from app.policy.decide import SEARCH_NEEDS_FULL, Act, Grant
from app.policy.views import show
from app.policy.visit import Mandate, visit_for
from app.touch.fresh import demand_fresh
from app.touch.record import Guard, decide, permitted, record, record_act, record_broken, row_key, words
from app.vault.blind import same_name
from app.vault.seal import Clear, SealedRow
from app.vault.unseal import open_row


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What may leave, and the receipt that it was recorded. values: text per element, None where there is none to show."""

    receipt: Receipt
    grant: Grant
    row: Clear
    values: Mapping[Element, str | None] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Listing:
    """Several rows shown under one receipt. broken: uids whose seal did not hold; they are not shown."""

    receipt: Receipt
    shown: tuple[Disclosure, ...]
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchKey:
    """What is searched: the elements that make up the key, and their plain values (never logged)."""

    values: Mapping[Element, str] = field(repr=False)


Find = Callable[[], Sequence[SealedRow]]


def reveal(
    guard: Guard,
    actor: Actor,
    ask: Ask,
    row: SealedRow,
    *,
    voting_day: date,
    now: datetime,
    mandate: Mandate | None = None,
    approved_subject: bool = False,
) -> Disclosure:
    """Open one voter's granted elements and record it. approved_subject: the actor once approved a mandate about this voter.

    Raises NotThere (refused; recorded), WitnessStale (recorded), SealBroken (recorded), TrailDown, KeysDown.
    """
    # The region decided on is the row's own desa, which its seal covers: a row moved to another region opens nowhere.
    place = replace(ask, region=_place(row, ask))
    visit = visit_for(actor, place, now, mandate=mandate, subject=row.clear.uid, approved_subject=approved_subject)
    grant = decide(guard, actor, visit, Action.VOTER_REVEAL, (row.clear.uid,))
    demand_fresh(guard, actor, visit, Action.VOTER_REVEAL, (row.clear.uid,))
    # (2) only what was granted, in memory only
    values = _open(guard, actor, grant, row, ELEMENTS, Action.VOTER_REVEAL, voting_day)
    # (3) the commit gate: if we die before this line returns, nothing was shown
    receipt = record(guard, actor, grant, Action.VOTER_REVEAL, Outcome.ALLOWED, (row.clear.uid,), fields=words(grant, ELEMENTS))
    # (4)
    return Disclosure(receipt, grant, row.clear, values)


def absent(guard: Guard, actor: Actor, ask: Ask, uid: str, *, now: datetime) -> NoReturn:
    """Record that *uid* was asked for in ``ask.region`` (a kab/kota) and no row is there.

    Without this entry a person's own activity would tell a voter who is elsewhere (refused, recorded) from one who is nowhere.
    Raises NotThere, TrailDown.
    """
    visit = visit_for(actor, ask, now, subject=uid)
    grant = decide(guard, actor, visit, Action.VOTER_REVEAL, (uid,))
    record(guard, actor, grant, Action.VOTER_REVEAL, Outcome.FAILED, (uid,))
    raise NotThere("no such row")


def reveal_many(
    guard: Guard,
    actor: Actor,
    ask: Ask,
    rows: Sequence[SealedRow],
    elements: Sequence[Element],
    *,
    voting_day: date,
    now: datetime,
    mandate: Mandate | None = None,
) -> Listing:
    """Open *elements* of rows that all lie in ``ask.region``, under one decision and one entry.

    Raises NotThere (refused, or a row outside the region asked; recorded), WitnessStale (recorded), TrailDown, KeysDown.
    """
    visit = visit_for(actor, ask, now, mandate=mandate)
    uids = tuple(row.clear.uid for row in rows)
    grant = decide(guard, actor, visit, Action.VOTER_REVEAL, uids)
    demand_fresh(guard, actor, visit, Action.VOTER_REVEAL, uids)
    if not all(is_within(row.clear.desa, ask.region) for row in rows):
        record(guard, actor, grant, Action.VOTER_REVEAL, Outcome.DENIED, uids)
        raise NotThere("a row lies outside the region asked")
    return _list(guard, actor, grant, Action.VOTER_REVEAL, rows, elements, voting_day)


def search(
    guard: Guard,
    actor: Actor,
    ask: Ask,
    key: SearchKey,
    find: Find,
    elements: Sequence[Element],
    *,
    voting_day: date,
    now: datetime,
    mandate: Mandate | None = None,
) -> Listing:
    """Open the key's elements of the candidates that *find* returns, compare inside, and show *elements* of the hits.

    *find* is called only after the decision; its rows must lie in ``ask.region``. A hit and a miss are both recorded.
    Raises NotThere when the role may not search by this key (recorded), WitnessStale (recorded), TrailDown, KeysDown, and the Conflict of
    *find* (recorded).
    """
    visit = visit_for(actor, ask, now, mandate=mandate)
    grant = decide(guard, actor, visit, Action.VOTER_SEARCH, ())
    permitted(guard, actor, visit, Act.CARI, tuple(key.values), Action.VOTER_SEARCH)
    demand_fresh(guard, actor, visit, Action.VOTER_SEARCH, ())
    try:
        candidates = [row for row in find() if is_within(row.clear.desa, ask.region)]
        hits, broken, _ = _compare(guard, key, candidates)
    except (KeysDown, Conflict):
        record(guard, actor, grant, Action.VOTER_SEARCH, Outcome.FAILED, ())
        raise
    record_broken(guard, actor, grant, Action.VOTER_SEARCH, broken)
    return _list(
        guard, actor, grant, Action.VOTER_SEARCH, hits, elements, voting_day, opened=[row.clear.uid for row in candidates], broken=broken
    )


def sift(
    guard: Guard,
    actor: Actor,
    ask: Ask,
    rows: Sequence[SealedRow],
    key: SearchKey,
    elements: Sequence[Element],
    *,
    most: int,
    voting_day: date,
    now: datetime,
    mandate: Mandate | None = None,
) -> tuple[Listing, int]:
    """Open the key's elements of *rows* in their order, compare inside, and show *elements* of the first *most* that have its values.

    Return also how many rows were opened. Every element of the key must be in full to this visit: a filter must not unmask. Raises
    NotThere (refused, or a row outside the region asked; recorded), StepUpNeeded (recorded), WitnessStale (recorded), TrailDown, KeysDown.
    """
    visit = visit_for(actor, ask, now, mandate=mandate)
    grant = decide(guard, actor, visit, Action.VOTER_SEARCH, ())
    closed = [element for element in key.values if grant.views[element] < View.UTUH]
    outside = any(not is_within(row.clear.desa, ask.region) for row in rows)
    if closed or outside:
        record_act(guard, actor, visit, Action.VOTER_SEARCH, Outcome.DENIED, (), (SEARCH_NEEDS_FULL,) if closed else ())
        fresh = closed and all(grant.offer.get(element) == View.UTUH for element in closed)
        raise (StepUpNeeded if fresh else NotThere)("a row lies outside the region asked" if outside else "a key that is not in full")
    demand_fresh(guard, actor, visit, Action.VOTER_SEARCH, ())
    try:
        hits, broken, read = _compare(guard, key, rows, most)
    except KeysDown:
        record(guard, actor, grant, Action.VOTER_SEARCH, Outcome.FAILED, ())
        raise
    record_broken(guard, actor, grant, Action.VOTER_SEARCH, broken)
    opened = [row.clear.uid for row in rows[:read]]
    return _list(guard, actor, grant, Action.VOTER_SEARCH, hits, elements, voting_day, opened=opened, broken=broken), read


def refuse(guard: Guard, actor: Actor, action: Action, purpose: Purpose, basis: Basis, region: str, rule: str, now: datetime) -> NoReturn:
    """Record that nothing was opened, for a reason that stands before any policy (*rule*), and raise NotThere.

    For a voter who is not there, and for a region without a stage: like a refusal, it is durable before the caller hears of it.
    """
    draft = draft_for(
        actor, action, Outcome.FAILED, now,
        purpose=purpose.value, basis=basis.value, scope=region, rule=(rule,), policy=guard.policies.hash,
    )  # fmt: skip
    guard.trail.append(draft)
    raise NotThere(rule)


def duplicates(guard: Guard, actor: Actor, ask: Ask, pairs: Iterable[tuple[str, SealedRow]], *, now: datetime) -> frozenset[str]:
    """Return those NIKs of *pairs* (NIK, candidate row of the same blind index) that the candidate really has.

    Only the candidate's NIK is opened, inside; the comparison's result leaves, not the value. One entry counts the openings.
    Raises NotThere when matching is not permitted (recorded), SealBroken (recorded), TrailDown, KeysDown.
    """
    pairs = list(pairs)
    if not pairs:
        return frozenset()
    visit = visit_for(actor, ask, now)
    rules = permitted(guard, actor, visit, Act.COCOKKAN, (Element.NIK,), Action.VOTER_SEARCH)
    found = set()
    for nik, row in pairs:
        try:
            opened = open_row(row_key(guard, row), row, (Element.NIK,))
        except SealBroken:
            record_act(guard, actor, visit, Action.VOTER_SEARCH, Outcome.BROKEN, (row.clear.uid,), rules)
            raise
        if opened[Element.NIK] == nik:
            found.add(nik)
    uids = tuple(dict.fromkeys(row.clear.uid for _, row in pairs))
    record_act(guard, actor, visit, Action.VOTER_SEARCH, Outcome.ALLOWED, uids, rules, extra={"opened": len(pairs)})
    return frozenset(found)


def _place(row: SealedRow, ask: Ask) -> str:
    # A desa that is no region code was tampered with: decide on the region asked, and let the seal refuse the row.
    try:
        return parse_region(row.clear.desa)
    except BadInput:
        return ask.region


def _compare(
    guard: Guard, key: SearchKey, candidates: Sequence[SealedRow], most: int | None = None
) -> tuple[list[SealedRow], list[str], int]:
    """Open the key's elements of each candidate until *most* fit.

    Return the rows that have its values, the uids whose seal does not hold, and how many were opened.
    """
    hits, broken, read = list[SealedRow](), list[str](), 0
    for row in candidates:
        if len(hits) == most:
            break
        read += 1
        try:
            opened = open_row(row_key(guard, row), row, key.values)
        except SealBroken:
            broken.append(row.clear.uid)
            continue
        if all(_same(element, opened[element], wanted) for element, wanted in key.values.items()):
            hits.append(row)
    return hits, broken, read


def _open(
    guard: Guard, actor: Actor, grant: Grant, row: SealedRow, elements: Sequence[Element], action: Action, voting_day: date
) -> dict[Element, str | None]:
    wanted = [element for element in elements if grant.views[element] > View.ADA]
    try:
        opened = open_row(row_key(guard, row), row, wanted)
    except SealBroken:
        record(guard, actor, grant, action, Outcome.BROKEN, (row.clear.uid,))
        raise
    except KeysDown:
        record(guard, actor, grant, action, Outcome.FAILED, (row.clear.uid,))
        raise
    return {element: show(element, grant.views[element], opened.get(element), voting_day) for element in elements}


def _list(
    guard: Guard,
    actor: Actor,
    grant: Grant,
    action: Action,
    rows: Sequence[SealedRow],
    elements: Sequence[Element],
    voting_day: date,
    *,
    opened: Sequence[str] | None = None,
    broken: Sequence[str] = (),
) -> Listing:
    # (2) a row whose seal does not hold is recorded and left out; its neighbours are still shown
    values, bad = [], list(broken)
    for row in rows:
        try:
            values.append((row, _open(guard, actor, grant, row, elements, action, voting_day)))
        except SealBroken:
            bad.append(row.clear.uid)
    # (3) one durable entry names every row shown
    uids = tuple(row.clear.uid for row, _ in values)
    # Whoever was opened only to be compared stands in the sealed payload too: also a touch, though nothing of it was shown.
    extra: dict[str, Json] = {} if opened is None else {"opened": len(opened), "compared": [*sorted(opened)]}
    receipt = record(guard, actor, grant, action, Outcome.ALLOWED, uids, fields=words(grant, elements), extra=extra)
    # (4)
    return Listing(receipt, tuple(Disclosure(receipt, grant, row.clear, shown) for row, shown in values), tuple(bad))


def _same(element: Element, opened: str, wanted: str) -> bool:
    # Names compare in the form their blind index was made of; everything else exactly.
    if element is Element.NAMA:
        return same_name(opened, wanted)
    # RT 1, 01 and 001 are one.
    if element in (Element.RT, Element.RW):
        return opened.strip().lstrip("0") == wanted.strip().lstrip("0")
    return opened == wanted
