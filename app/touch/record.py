"""The deciding and the recording that every walk of the touch shares: steps (1) and (3). Opens nothing."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.audit.canonical import Json, encode
from app.audit.content import pack, visit_commitment
from app.audit.entry import Members, draft_for, subjects_root
from app.audit.trail import Receipt, Trail
from app.kernel.actor import Actor
from app.kernel.errors import NotThere, StepUpNeeded, WitnessStale
from app.kernel.fields import ELEMENTS, Action, Element, Outcome
from app.kernel.payload import SealedPayload
from app.kernel.regions import kab_of
from app.policy.decide import Act, Denied, Grant, Policies
from app.policy.visit import Visit
from app.store.engine import Store
from app.touch.witness import NoWitness, PolicyEntry, Witnessing
from app.vault.house import KeyHouse, L1Key
from app.vault.payload import PayloadBox
from app.vault.seal import SealedRow

# The rule named in an entry when the engine itself failed; such a decision is always a refusal.
ENGINE_FAILED = "cedar-error"
# The rule named while the entry of a changed policy folder waits for a witness.
UNSEEN_POLICY = "kebijakan-belum-disaksikan"


@dataclass(frozen=True, slots=True)
class Guard:
    """The rooms' objects that the walk needs; built once by the factory."""

    policies: Policies
    keys: KeyHouse
    payloads: PayloadBox
    trail: Trail
    store: Store
    log: str
    witness: Witnessing = field(default_factory=NoWitness)
    policy_entry: PolicyEntry = field(default_factory=PolicyEntry)


def decide(guard: Guard, actor: Actor, visit: Visit, action: Action, uids: tuple[str, ...]) -> Grant:
    """(1) May they see? A refusal is durable before the caller hears of it.

    Raises NotThere (recorded), WitnessStale while changed policies wait for a witness (recorded), TrailDown.
    """
    _demand_seen(guard, actor, visit, action, uids)
    try:
        return guard.policies.decide(visit)
    except Denied as no:
        record_act(guard, actor, visit, action, Outcome.DENIED, uids, rules_of(no))
        raise NotThere(f"refused by {', '.join(no.rules) or 'no rule'}") from None


def permitted(guard: Guard, actor: Actor, visit: Visit, act: Act, elements: tuple[Element, ...], action: Action) -> tuple[str, ...]:
    """(1) May they do *act* on every one of *elements*? Return the rules that say so.

    Raises NotThere, StepUpNeeded, or WitnessStale as ``decide`` (all recorded), TrailDown.
    """
    _demand_seen(guard, actor, visit, action, ())
    try:
        return guard.policies.permits(visit, act, elements)
    except Denied as no:
        record_act(guard, actor, visit, action, Outcome.DENIED, (), rules_of(no))
        refused = StepUpNeeded if fresh_would(guard, visit, act, elements) else NotThere
        raise refused(f"{act.value} refused by {', '.join(no.rules) or 'no rule'}") from None


def _demand_seen(guard: Guard, actor: Actor, visit: Visit, action: Action, uids: tuple[str, ...]) -> None:
    if not guard.policy_entry.is_seen(guard.witness, visit.moment):
        record_act(guard, actor, visit, action, Outcome.DENIED, uids, (UNSEEN_POLICY,))
        raise WitnessStale("the policies were changed, and no witness has signed the entry that says so yet; see /log")


def fresh_would(guard: Guard, visit: Visit, act: Act, elements: tuple[Element, ...]) -> bool:
    """Say whether a fresh factor alone would let *visit* do it: nobody is sent for a code that opens nothing."""
    try:
        guard.policies.permits(replace(visit, factor_age=0), act, elements)
    except Denied:
        return False
    return True


def rules_of(no: Denied) -> tuple[str, ...]:
    """Return the rules a refusal names, and the engine's failure when there was one."""
    return (*no.rules, ENGINE_FAILED) if no.errors else tuple(no.rules)


def row_key(guard: Guard, row: SealedRow) -> L1Key:
    """Return the L1 key that wraps the record key of *row*. Raises KeysDown, SealBroken for an epoch that does not exist."""
    return guard.keys.key_named("seal", row.clear.kab, row.epoch, f"voter {row.clear.uid}")


def words(grant: Grant, elements: Iterable[Element]) -> dict[str, str]:
    """Return {element: view} in the words of entries."""
    return {element.value: grant.views[element].word for element in elements}


def record_broken(guard: Guard, actor: Actor, grant: Grant, action: Action, uids: Sequence[str]) -> None:
    """Record that the seals of *uids* do not hold, if there are any."""
    if uids:
        record(guard, actor, grant, action, Outcome.BROKEN, tuple(uids))


def record(
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
    """(3) Make the entry of a granted visit durable. extra: what else stands in the sealed payload. Raises TrailDown."""
    visit = grant.visit
    payload, members = sealed(guard, actor, visit, grant, uids, extra or {})
    decided = {rule for rules in grant.rules.values() for rule in rules} | ({ENGINE_FAILED} if grant.errors else set())
    members |= {**context(guard, visit), "rule": tuple(sorted(decided)), "fields": fields}
    return guard.trail.append(draft_for(actor, action, outcome, visit.moment, **members), payload)


def record_act(
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
    """(3) Make the entry of an act, or of a refusal, durable. Raises TrailDown."""
    payload, members = sealed(guard, actor, visit, None, uids, extra or {})
    members |= {**context(guard, visit), "rule": rules}
    if outcome is Outcome.DENIED:
        # Everybody sees their own entries: a refusal must not tell in which desa the voter stands. The sealed payload does.
        members["scope"] = kab_of(visit.region) or visit.region
    return guard.trail.append(draft_for(actor, action, outcome, visit.moment, **members), payload)


def context(guard: Guard, visit: Visit) -> Members:
    """Return the entry members that say what a visit was about."""
    return {
        "election": visit.election,
        "stage": visit.stage.value,
        "purpose": visit.purpose.value,
        "basis": visit.basis.value,
        "mandate": visit.mandate.uid if visit.mandate else None,
        "policy": guard.policies.hash,
        "scope": visit.region,
    }


def sealed(
    guard: Guard, actor: Actor, visit: Visit, grant: Grant | None, uids: tuple[str, ...], extra: Mapping[str, Json]
) -> tuple[SealedPayload, Members]:
    """Return the sealed payload, and the entry members that commit to it: subjects, visit, assurance."""
    salt, canonical = secrets.token_bytes(32), decided(visit, grant)
    content = pack(salt=salt, subjects=uids, visit=canonical, v=1, address=actor.address, **extra)
    return committed(guard, actor, visit, uids, salt, canonical, content)


def decided(visit: Visit, grant: Grant | None) -> bytes:
    """Return visit and decision as the canonical JSON that an entry commits to."""
    members: dict[str, Json] = {
        "visit": json.loads(visit.canonical()),
        "views": dict(words(grant, ELEMENTS)) if grant else None,
        "rules": {element.value: list(rules) for element, rules in grant.rules.items()} if grant else None,
    }
    return encode(members).encode()


def committed(
    guard: Guard, actor: Actor, visit: Visit, uids: Sequence[str], salt: bytes, canonical: bytes, content: bytes
) -> tuple[SealedPayload, Members]:
    """Return *content* sealed, and the entry members that commit to it. salt, canonical: as they stand in it."""
    payload = guard.payloads.seal(content, uids, visit.moment, guard.log)
    return payload, {
        "subjects": (len(uids), subjects_root(salt, uids)) if uids else None,
        "visit": visit_commitment(salt, canonical),
        "assurance": {"method": actor.method, "age": visit.factor_age, "challenge": None} if actor.method else None,
    }
