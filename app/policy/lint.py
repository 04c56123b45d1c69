"""What the validator does not see: annotations, heads, the grammar of conditions, mandates without all their conditions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from cedarpy import pst

from app.kernel.fields import Role, Unit, View
from app.policy.catalog import Catalog
from app.policy.grammar import (
    ACTS,
    ANY_ACT,
    BEYOND,
    GRANT_ALWAYS,
    SUBJECT_ALWAYS,
    SUBJECT_IF_ANY,
    UP_TO,
    Condition,
    Shape,
    actions,
    condition,
    conjuncts,
    reachable,
    scope_word,
)
from app.policy.load import REQUIRED, Folder, Rule
from app.policy.words import word_errors

_ID = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_OWNER = re.compile(r"(?:kpu|bawaslu)-\d{2}(?:\.\d{2})?/(\w+)", re.ASCII)
_OPTIONAL = {"tahap", "title"}
# Reviews come at least this often; a date far away would be no review at all.
_LONGEST_REVIEW_DAYS = 366 * 2


@dataclass(frozen=True, slots=True)
class Finding:
    """Something found. error: the folder must not be used; else a warning."""

    error: bool
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def lint(folder: Folder, catalog: Catalog, rules: tuple[Rule, ...], now: datetime) -> list[Finding]:
    """Return everything found in *rules* of *folder* at *now* (aware), errors first."""
    found = [Finding(True, "words", text) for text in word_errors(folder, catalog, rules)]
    found += [Finding(True, name, "policies live in access/") for name in folder.cedar if not name.startswith("access/")]
    found += _repeated(rules)
    for rule in rules:
        found += [Finding(True, f"{rule.file}: {rule.id}", text) for check in _CHECKS for text in check(rule, catalog)]
        found += _review(rule, now)
    found += _limits(catalog, rules)
    found += _unused(catalog, rules)
    return sorted(found, key=lambda finding: not finding.error)


def _repeated(rules: tuple[Rule, ...]) -> Iterator[Finding]:
    for name, times in Counter(rule.id for rule in rules).items():
        if times > 1:
            yield Finding(True, name, f"{times} policies carry this @id")
    bodies = Counter(_body(rule.template) for rule in rules)
    for rule in rules:
        if bodies[_body(rule.template)] > 1:
            yield Finding(True, f"{rule.file}: {rule.id}", "says the same as another policy")


def _body(template: pst.Template) -> tuple[object, ...]:
    return (template.effect, template.principal, template.action, template.resource, template.clauses)


def _review(rule: Rule, now: datetime) -> Iterator[Finding]:
    if rule.review is None:
        return
    if now > rule.counts_until:
        locked = "; the permit no longer counts" if rule.effect == "permit" else "; the forbid still holds"
        yield Finding(False, f"{rule.file}: {rule.id}", f"its review was due on {rule.review}{locked}")
    elif (rule.review - now.astimezone(UTC).date()).days > _LONGEST_REVIEW_DAYS:
        yield Finding(True, f"{rule.file}: {rule.id}", "@tinjau is more than two years away")


def _annotations(rule: Rule, catalog: Catalog) -> Iterator[str]:
    for name in REQUIRED:
        if not rule.annotations.get(name, "").strip(" ."):
            yield f"@{name} is missing or says nothing"
    for name in sorted(set(rule.annotations) - {*REQUIRED, *_OPTIONAL}):
        yield f"@{name} is not known"
    if "id" in rule.annotations and not _ID.fullmatch(rule.annotations["id"]):
        yield "@id is lower-case words joined by hyphens"
    if "tinjau" in rule.annotations and rule.review is None:
        yield "@tinjau is a date such as 2027-06-30"
    owner = _OWNER.fullmatch(rule.owner)
    if rule.owner and (owner is None or owner[1] not in set(Unit)):
        yield "@pemilik is an office and a unit such as kpu-00/data"


def _head(rule: Rule, catalog: Catalog) -> Iterator[str]:
    template, named = rule.template, actions(rule.template)
    if not template.clauses and isinstance(template.principal, pst.ScopeAny) and named is None:
        yield "opens or closes everything for everybody: it names neither principal nor action nor condition"
    if not isinstance(template.resource, pst.ScopeAny) and scope_word(template.resource, "Elemen", "Kelas") is None:
        yield "its resource is one element, one class, or left open"
    if rule.effect == "permit":
        yield from _permit_head(template, named or [])
    else:
        yield from _forbid_head(template, named or [])


def _permit_head(template: pst.Template, named: list[str]) -> Iterator[str]:
    if scope_word(template.principal, "PeranAktif") not in set(Role) or not isinstance(template.principal, pst.ScopeIn):
        yield "a permit names exactly one active role: principal in Gardu::PeranAktif::…"
    if len(named) != 1 or named[0] not in {*UP_TO, *ACTS}:
        yield f"a permit names exactly one of sampai_* or an act, not {', '.join(named) or 'nothing'}"
    if len(named) == 1 and named[0] in UP_TO and not isinstance(template.action, pst.ActionIn):
        yield "a ladder is named with in, not with =="


def _forbid_head(template: pst.Template, named: list[str]) -> Iterator[str]:
    held = scope_word(template.principal, "Peran")
    if not isinstance(template.principal, pst.ScopeAny) and (held not in set(Role) or not isinstance(template.principal, pst.ScopeIn)):
        yield "a forbid looks at roles held: principal, or principal in Gardu::Peran::…"
    wrong = [name for name in named if name not in {*BEYOND, *ACTS, ANY_ACT}]
    if wrong or not named:
        yield f"a forbid names lewat_*, acts or {ANY_ACT}, not {', '.join(wrong) or 'nothing'}"


def _conditions(rule: Rule, catalog: Catalog) -> Iterator[str]:
    for clause in rule.template.clauses:
        if isinstance(clause, pst.Unless) and rule.effect == "permit":
            yield "a permit has no unless: say what must hold"
        for part in conjuncts(clause.expr):
            if condition(part) is None:
                yield f"a condition has no known shape{_hint(part)}"
    shapes = Counter(said.expr for said in _said(rule))
    if any(times > 1 for times in shapes.values()) and rule.effect == "permit":
        yield "repeats a condition"
    yield from _impossible(rule, catalog)


def _hint(expr: pst.Expr) -> str:
    """Return what is wrong with the commonest wrong shapes."""
    match expr:
        case pst.BoolLit(value=value):
            return f": it is always {'true' if value else 'false'}"
        case pst.BinaryOp(op="not_eq") | pst.UnaryOp(op="not"):
            return ": != and ! open what is added later; name what is meant"
        case pst.BinaryOp(op="in", right=pst.Set(elements=())):
            return ": an empty list is always false"
        case pst.BinaryOp(op="in", left=pst.Var(name="action" | "principal")):
            return ": roles and actions are named in the head"
    return "; see app/policy/grammar.py"


def _said(rule: Rule, *, unless: bool | None = None) -> list[Condition]:
    """Return the known conditions of the whens, of the unlesses, or of both."""
    clauses = [clause for clause in rule.template.clauses if unless is None or isinstance(clause, pst.Unless) is unless]
    return [said for clause in clauses for part in conjuncts(clause.expr) if (said := condition(part)) is not None]


def _impossible(rule: Rule, catalog: Catalog) -> Iterator[str]:
    whens = _said(rule, unless=False)
    if len({said.words for said in whens if said.shape == Shape.PURPOSE}) > 1:
        yield "is always false: a visit has one purpose"
    stages = [set(said.words) for said in whens if said.shape == Shape.STAGES]
    if stages and not set.intersection(*stages):
        yield "is always false: its lists of stages share none"
    if not reachable(rule.template, whens, catalog.classes()):
        yield "is always false: head and conditions leave no element"
    fresh = [int(said.words[0]) for said in whens if said.shape == Shape.FRESH]
    stale = [int(said.words[0]) for said in whens if said.shape == Shape.STALE]
    if fresh and stale and min(fresh) <= max(stale):
        yield "is always false: no factor is both that fresh and that old"


def _permit_body(rule: Rule, catalog: Catalog) -> Iterator[str]:
    if rule.effect != "permit":
        return
    shapes = {said.shape for said in _said(rule)}
    if Shape.PURPOSE not in shapes:
        yield "names no purpose"
    if not shapes & {Shape.OWN_REGION, Shape.NATION}:
        yield "does not bind the region to the jurisdiction"
    if (Shape.STAGES in shapes) == (rule.annotations.get("tahap") == "semua"):
        yield 'names a list of stages, or says @tahap("semua") when it means all; not both'
    if Shape.STALE in shapes or Shape.APPROVED in shapes:
        yield "permits because of something that should close"
    role = scope_word(rule.template.principal, "PeranAktif")
    chosen = {str(purpose) for purpose in catalog.roles[Role(role)].purposes} if role in set(Role) else set()
    for said in _said(rule):
        if said.shape == Shape.PURPOSE and said.words[0] not in chosen:
            yield f"names the purpose {said.words[0]}, which catalog/roles.toml does not give to {role}"


def _mandates(rule: Rule, catalog: Catalog) -> Iterator[str]:
    """Whoever names a mandate names all its conditions; a forbid does so only to be lifted."""
    whens = _said(rule, unless=False)
    if rule.effect == "forbid":
        if any(said.shape in {Shape.GRANT, Shape.DERIVED} for said in whens):
            yield "a forbid names a mandate only in unless"
        lists = [[said for part in conjuncts(clause.expr) if (said := condition(part))] for clause in _unlesses(rule)]
    else:
        lists = [whens]
    for together in lists:
        if any(one.shape in {Shape.GRANT, Shape.DERIVED} for one in together):
            yield from _incomplete(together)
    yield from _derived(rule, whens, catalog)


def _unlesses(rule: Rule) -> list[pst.Clause]:
    return [clause for clause in rule.template.clauses if isinstance(clause, pst.Unless)]


def _incomplete(said: list[Condition]) -> Iterator[str]:
    exprs = {one.expr for one in said}
    for name, expr in GRANT_ALWAYS.items():
        if expr not in exprs:
            yield f"names a mandate without its condition: {name}"
    if SUBJECT_IF_ANY not in exprs and not exprs.issuperset(SUBJECT_ALWAYS):
        yield "names a mandate without its condition: subject"


def _derived(rule: Rule, whens: list[Condition], catalog: Catalog) -> Iterator[str]:
    """A permit by mandate that can show an element in full also asks that the mandate names what can be read off it."""
    named = actions(rule.template) or []
    if rule.effect != "permit" or not any(said.shape == Shape.GRANT for said in whens) or f"sampai_{View.UTUH.word}" not in named:
        return
    asked = {said.words for said in whens if said.shape == Shape.DERIVED}
    for element in sorted(reachable(rule.template, whens, catalog.classes())):
        derived = catalog.elements[element].derived
        if derived and (str(element), *sorted(derived)) not in asked:
            yield f"opens {element} by mandate without asking that the mandate names {', '.join(sorted(derived))}"


def _limits(catalog: Catalog, rules: Iterable[Rule]) -> Iterator[Finding]:
    named = {int(said.words[0]) for rule in rules for said in _said(rule) if said.shape in {Shape.FRESH, Shape.STALE}}
    for limit in sorted(named ^ set(catalog.factor_limits.values())):
        where = "catalog/elements.toml" if limit in named else "policies"
        yield Finding(True, "factor", f"the limit of {limit} s is not in {where}")


def _unused(catalog: Catalog, rules: tuple[Rule, ...]) -> Iterator[Finding]:
    used = {said.words[0] for rule in rules for said in _said(rule) if said.shape == Shape.PURPOSE and rule.effect == "permit"}
    for purpose in sorted(catalog.labels("id").purposes):
        if purpose not in used:
            yield Finding(False, "catalog/purposes.toml", f"no policy permits anything for {purpose}")
    held = {uid.id for rule in rules for uid in pst.entity_uids(rule.template) if uid.type.basename in {"Peran", "PeranAktif"}}
    for role in sorted(set(Role) - {Role(word) for word in held if word in set(Role)}):
        yield Finding(False, "catalog/roles.toml", f"no policy names {role}")


_CHECKS: tuple[Callable[[Rule, Catalog], Iterator[str]], ...] = (_annotations, _head, _conditions, _permit_body, _mandates)
