"""THE walk. Whoever wants to see, find, compare or bring in a voter's field comes through here.

    (1) grant   = policies.decide(visit)      or an entry "denied", and nothing else happens
    (2) values  = open_row(key, row, …)       only granted elements, in memory only; a broken seal is an entry "broken"
    (3) receipt = trail.append(…)             durable, or nothing leaves
    (4) return Disclosure(receipt, …)         cannot exist without (3)

The caller must still: load rows sealed, render only what the Disclosure holds, and show its receipt. ``app.vault.unseal`` is
imported nowhere else (import-linter and tests/laws keep this).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import NoReturn

from sqlalchemy.orm import Session

from app.audit.canonical import Json, encode
from app.audit.content import pack, visit_commitment
from app.audit.entry import Members, draft_for, rows_root, subjects_root
from app.audit.trail import Receipt, Trail
from app.kernel.actor import Actor, Ask
from app.kernel.errors import BadInput, KeysDown, NotThere, SealBroken, StepUpNeeded
from app.kernel.fields import ELEMENTS, Action, Basis, Element, Outcome, Purpose, View
from app.kernel.payload import SealedPayload
from app.kernel.regions import is_within, kab_of, parse_region
from app.policy.decide import Act, Denied, Grant, Policies
from app.policy.views import show
from app.policy.visit import Mandate, Visit, visit_for
from app.store.engine import Store
from app.vault.blind import same_name
from app.vault.house import KeyHouse, L1Key
from app.vault.payload import PayloadBox
from app.vault.seal import Clear, SealedRow
from app.vault.unseal import open_row

__all__ = [
    "Disclosure", "Find", "Guard", "Listing", "Receipt", "SearchKey",
    "absent", "admit", "duplicates", "refuse", "reveal", "reveal_many", "search",
]  # fmt: skip

# The rule named in an entry when the engine itself failed; such a decision is always a refusal.
ENGINE_FAILED = "cedar-error"


@dataclass(frozen=True, slots=True)
class Guard:
    """The rooms' objects that the walk needs; built once by the factory."""

    policies: Policies
    keys: KeyHouse
    payloads: PayloadBox
    trail: Trail
    store: Store
    log: str


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
    guard: Guard, actor: Actor, ask: Ask, row: SealedRow, *, voting_day: date, now: datetime, mandate: Mandate | None = None
) -> Disclosure:
    """Open one voter's granted elements and record it.

    Raises NotThere (refused; recorded), SealBroken (recorded), TrailDown, KeysDown.
    """
    # The region decided on is the row's own desa, which its seal covers: a row moved to another region opens nowhere.
    visit = visit_for(actor, replace(ask, region=_place(row, ask)), now, mandate=mandate, subject=row.clear.uid)
    grant = _decide(guard, actor, visit, Action.VOTER_REVEAL, (row.clear.uid,))
    # (2) only what was granted, in memory only
    values = _open(guard, actor, grant, row, ELEMENTS, Action.VOTER_REVEAL, voting_day)
    # (3) the commit gate: if we die before this line returns, nothing was shown
    receipt = _record(guard, actor, grant, Action.VOTER_REVEAL, Outcome.ALLOWED, (row.clear.uid,), fields=_words(grant, ELEMENTS))
    # (4)
    return Disclosure(receipt, grant, row.clear, values)


def absent(guard: Guard, actor: Actor, ask: Ask, uid: str, *, now: datetime) -> NoReturn:
    """Record that *uid* was asked for in ``ask.region`` (a kab/kota) and no row is there.

    Without this entry a person's own activity would tell a voter who is elsewhere (refused, recorded) from one who is nowhere.
    Raises NotThere, TrailDown.
    """
    visit = visit_for(actor, ask, now, subject=uid)
    grant = _decide(guard, actor, visit, Action.VOTER_REVEAL, (uid,))
    _record(guard, actor, grant, Action.VOTER_REVEAL, Outcome.FAILED, (uid,))
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

    Raises NotThere (refused, or a row outside the region asked; recorded), TrailDown, KeysDown.
    """
    visit = visit_for(actor, ask, now, mandate=mandate)
    uids = tuple(row.clear.uid for row in rows)
    grant = _decide(guard, actor, visit, Action.VOTER_REVEAL, uids)
    if not all(is_within(row.clear.desa, ask.region) for row in rows):
        _record(guard, actor, grant, Action.VOTER_REVEAL, Outcome.DENIED, uids)
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
    Raises NotThere when the role may not search by this key (recorded), TrailDown, KeysDown.
    """
    visit = visit_for(actor, ask, now, mandate=mandate)
    grant = _decide(guard, actor, visit, Action.VOTER_SEARCH, ())
    _permitted(guard, actor, visit, Act.CARI, tuple(key.values), Action.VOTER_SEARCH)
    try:
        candidates = [row for row in find() if is_within(row.clear.desa, ask.region)]
        hits, broken = _compare(guard, key, candidates)
    except KeysDown:
        _record(guard, actor, grant, Action.VOTER_SEARCH, Outcome.FAILED, ())
        raise
    _record_broken(guard, actor, grant, Action.VOTER_SEARCH, broken)
    return _list(
        guard, actor, grant, Action.VOTER_SEARCH, hits, elements, voting_day, opened=[row.clear.uid for row in candidates], broken=broken
    )


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
    rules = _permitted(guard, actor, visit, Act.COCOKKAN, (Element.NIK,), Action.VOTER_SEARCH)
    found = set()
    for nik, row in pairs:
        try:
            opened = open_row(_key(guard, row), row, (Element.NIK,))
        except SealBroken:
            _record_act(guard, actor, visit, Action.VOTER_SEARCH, Outcome.BROKEN, (row.clear.uid,), rules)
            raise
        if opened[Element.NIK] == nik:
            found.add(nik)
    uids = tuple(dict.fromkeys(row.clear.uid for _, row in pairs))
    _record_act(guard, actor, visit, Action.VOTER_SEARCH, Outcome.ALLOWED, uids, rules, extra={"opened": len(pairs)})
    return frozenset(found)


def admit(
    guard: Guard,
    actor: Actor,
    ask: Ask,
    rows: Sequence[tuple[str, str, int, bytes]],
    write: Callable[[Session], None],
    *,
    now: datetime,
    extra: Mapping[str, Json] | None = None,
) -> Receipt:
    """Bring sealed rows into the store: the rows and their entry become durable together, or neither does.

    rows: (table, uid, row_version, seal) of everything *write* inserts. If we die before the commit, neither rows nor entry exist.
    Raises NotThere when the change is not permitted (recorded), TrailDown, StoreDown; what *write* raises rolls everything back.
    """
    visit = visit_for(actor, ask, now)
    rules = _permitted(guard, actor, visit, Act.UBAH, ELEMENTS, Action.VOTER_IMPORT)
    # Sealing the payload before BEGIN keeps the database's write lock short.
    uids = tuple(uid for _, uid, _, _ in rows)
    written: list[Json] = [[table, uid, version, seal.hex()] for table, uid, version, seal in rows]
    payload, members = _sealed(guard, actor, visit, None, uids, {"rows": written, **(extra or {})})
    members |= {**_context(guard, visit), "rule": rules, "detail": ("rows", rows_root(rows))}
    draft = draft_for(actor, Action.VOTER_IMPORT, Outcome.DONE, now, **members)
    with guard.store.writing() as session:
        write(session)
        return guard.trail.append_within(session, draft, payload)


def _decide(guard: Guard, actor: Actor, visit: Visit, action: Action, uids: tuple[str, ...]) -> Grant:
    # (1) may they? A refusal is durable before the caller hears of it.
    try:
        return guard.policies.decide(visit)
    except Denied as no:
        _record_act(guard, actor, visit, action, Outcome.DENIED, uids, _rules_of(no))
        raise NotThere(f"refused by {', '.join(no.rules) or 'no rule'}") from None


def _permitted(guard: Guard, actor: Actor, visit: Visit, act: Act, elements: tuple[Element, ...], action: Action) -> tuple[str, ...]:
    try:
        return guard.policies.permits(visit, act, elements)
    except Denied as no:
        _record_act(guard, actor, visit, action, Outcome.DENIED, (), _rules_of(no))
        refused = StepUpNeeded if _fresh_would(guard, visit, act, elements) else NotThere
        raise refused(f"{act.value} refused by {', '.join(no.rules) or 'no rule'}") from None


def _fresh_would(guard: Guard, visit: Visit, act: Act, elements: tuple[Element, ...]) -> bool:
    """Say whether a fresh factor alone would let *visit* do it: nobody is sent for a code that opens nothing."""
    try:
        guard.policies.permits(replace(visit, factor_age=0), act, elements)
    except Denied:
        return False
    return True


def _place(row: SealedRow, ask: Ask) -> str:
    # A desa that is no region code was tampered with: decide on the region asked, and let the seal refuse the row.
    try:
        return parse_region(row.clear.desa)
    except BadInput:
        return ask.region


def _compare(guard: Guard, key: SearchKey, candidates: Sequence[SealedRow]) -> tuple[list[SealedRow], list[str]]:
    """Open the key's elements of each candidate; return the rows that have its values, and the uids whose seal does not hold."""
    hits, broken = [], []
    for row in candidates:
        try:
            opened = open_row(_key(guard, row), row, key.values)
        except SealBroken:
            broken.append(row.clear.uid)
            continue
        if all(_same(element, opened[element], wanted) for element, wanted in key.values.items()):
            hits.append(row)
    return hits, broken


def _rules_of(no: Denied) -> tuple[str, ...]:
    return (*no.rules, ENGINE_FAILED) if no.errors else tuple(no.rules)


def _open(
    guard: Guard, actor: Actor, grant: Grant, row: SealedRow, elements: Sequence[Element], action: Action, voting_day: date
) -> dict[Element, str | None]:
    wanted = [element for element in elements if grant.views[element] > View.ADA]
    try:
        opened = open_row(_key(guard, row), row, wanted)
    except SealBroken:
        _record(guard, actor, grant, action, Outcome.BROKEN, (row.clear.uid,))
        raise
    except KeysDown:
        _record(guard, actor, grant, action, Outcome.FAILED, (row.clear.uid,))
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
    receipt = _record(guard, actor, grant, action, Outcome.ALLOWED, uids, fields=_words(grant, elements), extra=extra)
    # (4)
    return Listing(receipt, tuple(Disclosure(receipt, grant, row.clear, shown) for row, shown in values), tuple(bad))


def _key(guard: Guard, row: SealedRow) -> L1Key:
    return guard.keys.key_named("seal", row.clear.kab, row.clear.key_epoch, f"voter {row.clear.uid}")


def _same(element: Element, opened: str, wanted: str) -> bool:
    # Names compare in the form their blind index was made of; everything else exactly.
    if element is Element.NAMA:
        return same_name(opened, wanted)
    return opened == wanted


def _words(grant: Grant, elements: Iterable[Element]) -> dict[str, str]:
    return {element.value: grant.views[element].word for element in elements}


def _record_broken(guard: Guard, actor: Actor, grant: Grant, action: Action, uids: Sequence[str]) -> None:
    if uids:
        _record(guard, actor, grant, action, Outcome.BROKEN, tuple(uids))


def _record(
    guard: Guard,
    actor: Actor,
    grant: Grant,
    action: Action,
    outcome: Outcome,
    uids: tuple[str, ...],
    *,
    fields: Mapping[str, str] | None = None,
    extra: Mapping[str, Json] | None = None,
) -> Receipt:
    visit = grant.visit
    payload, members = _sealed(guard, actor, visit, grant, uids, extra or {})
    decided = {rule for rules in grant.rules.values() for rule in rules} | ({ENGINE_FAILED} if grant.errors else set())
    members |= {**_context(guard, visit), "rule": tuple(sorted(decided)), "fields": fields}
    return guard.trail.append(draft_for(actor, action, outcome, visit.moment, **members), payload)


def _record_act(
    guard: Guard,
    actor: Actor,
    visit: Visit,
    action: Action,
    outcome: Outcome,
    uids: tuple[str, ...],
    rules: tuple[str, ...],
    *,
    extra: Mapping[str, Json] | None = None,
) -> Receipt:
    payload, members = _sealed(guard, actor, visit, None, uids, extra or {})
    members |= {**_context(guard, visit), "rule": rules}
    if outcome is Outcome.DENIED:
        # Everybody sees their own entries: a refusal must not tell in which desa the voter stands. The sealed payload does.
        members["scope"] = kab_of(visit.region) or visit.region
    return guard.trail.append(draft_for(actor, action, outcome, visit.moment, **members), payload)


def _context(guard: Guard, visit: Visit) -> Members:
    return {
        "election": visit.election,
        "stage": visit.stage.value,
        "purpose": visit.purpose.value,
        "basis": visit.basis.value,
        "mandate": visit.mandate.uid if visit.mandate else None,
        "policy": guard.policies.hash,
        "scope": visit.region,
    }


def _sealed(
    guard: Guard, actor: Actor, visit: Visit, grant: Grant | None, uids: tuple[str, ...], extra: Mapping[str, Json]
) -> tuple[SealedPayload, Members]:
    """Return the sealed payload, and the entry members that commit to it: subjects, visit, assurance."""
    salt = secrets.token_bytes(32)
    decided: dict[str, Json] = {
        "visit": json.loads(visit.canonical()),
        "views": dict(_words(grant, ELEMENTS)) if grant else None,
        "rules": {element.value: list(rules) for element, rules in grant.rules.items()} if grant else None,
    }
    canonical = encode(decided).encode()
    content = pack(salt=salt, subjects=uids, visit=canonical, v=1, address=actor.address, **extra)
    payload = guard.payloads.seal(content, uids, visit.moment, guard.log)
    return payload, {
        "subjects": (len(uids), subjects_root(salt, uids)) if uids else None,
        "visit": visit_commitment(salt, canonical),
        "assurance": {"method": actor.method, "age": visit.factor_age, "challenge": None} if actor.method else None,
    }
