"""The one wrapper around Cedar. Allow counts only when Cedar reports no error; anything else is deny, flagged.

Cedar skips a policy that errors, a forbid included, so an error can turn deny into allow. Hence: the schema is applied to every
entity and request, a decision with an error is never an allow, and an exception denies everything that was asked.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import cedarpy
from cedarpy import pst

from app.kernel.fields import Element, Role, View
from app.kernel.regions import ancestors
from app.policy.grammar import actions
from app.policy.load import Rule, policy_set
from app.policy.visit import Mandate, Visit, whole_ms

Json = dict[str, object]
# (name of the action, element): a view's word or an act.
Question = tuple[str, Element]
# What a decision names when no forbid fired and no permit applied.
NO_RULE = "tidak-ada-aturan"
_VISIT = {"type": "Gardu::Kunjungan", "id": "k"}
_LEVELS = {view.word: f'{{"tingkat":{int(view)}}}' for view in View if view > View.TUTUP}


@dataclass(frozen=True, slots=True)
class Answer:
    """Cedar's answer to one question. rules: the permits that allowed, or the forbids that denied (sorted ids; empty: no rule)."""

    allowed: bool
    rules: tuple[str, ...]
    error: bool = False


class Engine:
    """A policy set, answering for one visit at a time.

    schema: parsed. classes: the class of every element. rules: unique ids. Safe for use by several threads.
    """

    def __init__(self, schema: cedarpy.Schema, classes: Mapping[Element, str], rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._schema = schema
        self._classes = classes
        self._base = cedarpy.Entities.from_json_str(json.dumps([_element(e, group) for e, group in classes.items()]), schema)
        self._ends = sorted({rule.counts_until for rule in self.rules if rule.effect == "permit"})
        self._sets: dict[tuple[int, Role], cedarpy.PolicySet] = {}

    def with_rules(self, rules: Iterable[Rule]) -> Engine:
        """Return an engine of the same schema and elements with other rules."""
        return Engine(self._schema, self._classes, rules)

    def era(self, moment: datetime) -> int:
        """Return how many review dates have passed at *moment*; the same rules count throughout an era."""
        return bisect_left(self._ends, moment)

    def era_end(self, moment: datetime) -> datetime | None:
        """Return the last moment of the era of *moment*, or None when no review date is left."""
        era = self.era(moment)
        return self._ends[era] if era < len(self._ends) else None

    def named_by_permits(self, role: Role) -> frozenset[str]:
        """Return the actions that some permit of *role* names in its head; Cedar denies every act beyond."""
        permits = (rule for rule in self.rules if rule.effect == "permit" and _concerns(rule, role))
        return frozenset(name for rule in permits for name in actions(rule.template) or ())

    def entities(self, visit: Visit) -> cedarpy.Entities:
        """Return the elements, the visit, and the asked region with its ancestors. Raises ValueError when the schema refuses them."""
        codes = ancestors(visit.region)
        slice_ = [_region(code, codes[position : position + 1]) for position, code in enumerate(codes, start=1)]
        return self._base.with_added_json_str(json.dumps([_visit(visit), *slice_]), self._schema)

    def ask(self, visit: Visit, questions: Sequence[Question]) -> list[Answer]:
        """Answer *questions* for *visit*, in their order. Never raises for what Cedar does: then every answer is deny, flagged."""
        try:
            return self.ask_about(self.entities(visit), visit, questions)
        except BaseException as wrong:
            # A panic inside Cedar arrives as a BaseException; only a wish to stop the process passes through.
            if isinstance(wrong, KeyboardInterrupt | SystemExit | GeneratorExit):
                raise
            return [Answer(False, (), True)] * len(questions)

    def ask_about(self, entities: cedarpy.Entities, visit: Visit, questions: Sequence[Question]) -> list[Answer]:
        """Answer *questions* about prepared *entities* of *visit*; what Cedar raises passes through."""
        requests = [_request(question) for question in questions]
        results = cedarpy.is_authorized_batch(requests, self._rules_for(visit), entities, self._schema)
        if len(results) != len(requests):
            raise ValueError("Cedar answered another number of questions")
        return [_answer(result) for result in results]

    def _rules_for(self, visit: Visit) -> cedarpy.PolicySet:
        """Return what counts for the visit: every forbid, and the unlocked permits of its active role (a permit names exactly one)."""
        key = (self.era(visit.moment), visit.role)
        known = self._sets.get(key)
        if known is None:
            counted = [rule for rule in self.rules if not rule.locked(visit.moment) and _concerns(rule, visit.role)]
            known = self._sets[key] = policy_set(counted)
        return known


def _concerns(rule: Rule, role: Role) -> bool:
    scope = rule.template.principal
    if rule.effect == "forbid" or not isinstance(scope, pst.ScopeIn) or not isinstance(scope.entity, pst.EntityUid):
        return True
    return scope.entity.type.basename != "PeranAktif" or scope.entity.id == role


def _answer(result: cedarpy.AuthzResult) -> Answer:
    said = result.diagnostics
    error = bool(said.errors) or result.decision is cedarpy.Decision.NoDecision
    return Answer(result.allowed and not error, tuple(sorted(said.reasons)), error)


def _request(question: Question) -> Json:
    action, element = question
    request: Json = {"principal": _VISIT, "action": _uid("Action", action), "resource": _uid("Elemen", element)}
    if action in _LEVELS:
        request["context"] = _LEVELS[action]
    return request


def _uid(kind: str, name: str) -> dict[str, str]:
    return {"type": f"Gardu::{kind}", "id": name}


def _ref(kind: str, name: str) -> Json:
    return {"__entity": _uid(kind, name)}


def _time(moment: datetime) -> Json:
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"__extn": {"fn": "datetime", "arg": text}}


def _entity(kind: str, name: str, parents: list[dict[str, str]]) -> Json:
    return {"uid": _uid(kind, name), "attrs": {}, "parents": parents}


def _element(element: Element, group: str) -> Json:
    return _entity("Elemen", element, [_uid("Kelas", group)])


def _region(code: str, above: tuple[str, ...]) -> Json:
    return _entity("Wilayah", code, [_uid("Wilayah", parent) for parent in above])


def _visit(visit: Visit) -> Json:
    attributes: Json = {
        "petugas": _ref("Pejabat", visit.person),
        "kantor": visit.office,
        "unit": visit.unit,
        "yurisdiksi": _ref("Wilayah", visit.jurisdiction),
        "wilayah": _ref("Wilayah", visit.region),
        "tujuan": _ref("Tujuan", visit.purpose),
        "dasar": _ref("Dasar", visit.basis),
        "pemilu": visit.election,
        "tahap": _ref("Tahap", visit.stage),
        "saat": _time(whole_ms(visit.moment)),
        "umurFaktor": visit.factor_age,
        "subjekDisetujui": visit.approved_subject,
    }
    if visit.subject is not None:
        attributes["subjek"] = visit.subject
    if visit.mandate is not None:
        attributes["izin"] = _mandate(visit.mandate)
    roles = [_uid("PeranAktif", visit.role), *(_uid("Peran", role) for role in sorted(visit.roles))]
    return {"uid": _VISIT, "attrs": attributes, "parents": roles}


def _mandate(mandate: Mandate) -> Json:
    attributes: Json = {
        "pemohon": _ref("Pejabat", mandate.holder),
        "penyetuju1": _ref("Pejabat", mandate.approver1),
        "unit1": _ref("Unit", mandate.unit1),
        "penyetuju2": _ref("Pejabat", mandate.approver2),
        "unit2": _ref("Unit", mandate.unit2),
        "wilayah": _ref("Wilayah", mandate.region),
        "tujuan": _ref("Tujuan", mandate.purpose),
        "tahap": [_ref("Tahap", stage) for stage in sorted(mandate.stages)],
        "elemen": [_ref("Elemen", element) for element in sorted(mandate.elements)],
        "puncak": int(mandate.ceiling),
        "mulai": _time(mandate.first_ms),
        "sampai": _time(whole_ms(mandate.until)),
    }
    if mandate.subject is not None:
        attributes["subjek"] = mandate.subject
    return attributes
