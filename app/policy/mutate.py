"""Mutation: drop each conjunct, head and policy in turn; a fixture must fail each time, else nothing guards that condition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import cedarpy
from cedarpy import pst

from app.kernel.fields import ELEMENTS
from app.policy.engine import Engine, Question
from app.policy.fixtures import QUESTIONS, Prepared, fails
from app.policy.grammar import ACTS, LEVEL_WORDS, actions, conjuncts, joined, scope_word
from app.policy.load import Rule

_TRUE = pst.BoolLit(True)


def mutants(rule: Rule) -> Iterator[tuple[str, Rule | None]]:
    """Yield (what was dropped, the rule without it); None stands for no rule at all."""
    yield "the whole policy", None
    template = rule.template
    if not isinstance(template.principal, pst.ScopeAny):
        yield "the principal of its head", replace(rule, template=replace(template, principal=pst.ScopeAny()))
    if not isinstance(template.resource, pst.ScopeAny):
        yield "the resource of its head", replace(rule, template=replace(template, resource=pst.ScopeAny()))
    for position, clause in enumerate(template.clauses):
        for what, expr in weaker(clause.expr):
            clauses = (*template.clauses[:position], replace(clause, expr=expr), *template.clauses[position + 1 :])
            yield what, replace(rule, template=replace(template, clauses=clauses))


def weaker(expr: pst.Expr) -> Iterator[tuple[str, pst.Expr]]:
    """Yield *expr* without each of its conjuncts in turn, and without each part inside its alternatives."""
    parts = conjuncts(expr)
    for position, part in enumerate(parts):
        rest = parts[:position] + parts[position + 1 :]
        yield f"condition {text(part)}", joined(rest) if rest else _TRUE
        for what, inner in _inside(part):
            yield f"{what} in {text(part)}", joined([*parts[:position], inner, *parts[position + 1 :]])


def _inside(part: pst.Expr) -> Iterator[tuple[str, pst.Expr]]:
    if isinstance(part, pst.BinaryOp) and part.op == "or":
        yield "the left alternative", part.right
        yield "the right alternative", part.left
    if isinstance(part, pst.IfThenElse):
        yield "the case without", part.then_expr
        for what, then in weaker(part.then_expr):
            yield what, replace(part, then_expr=then)


def survivors(engine: Engine, prepared: Sequence[Prepared], rules: Sequence[Rule] | None = None) -> tuple[int, list[str]]:
    """Return how many mutants of *rules* (default: all of the engine's) were tried, and which of them no fixture noticed."""
    tried, alive = 0, []
    for rule in engine.rules if rules is None else rules:
        others = [other for other in engine.rules if other is not rule]
        questions, likely = questions_of(rule), _likely(rule, prepared)
        for what, mutant in mutants(rule):
            tried += 1
            changed = engine.with_rules(others if mutant is None else [*others, mutant])
            if not any(fails(changed, case, questions) for case in likely):
                alive.append(f"{rule.id}: no fixture notices without {what}")
    return tried, alive


def questions_of(rule: Rule) -> tuple[Question, ...]:
    """Return the questions that *rule* can touch: those of the actions in its head."""
    named = set(actions(rule.template) or ())
    acts = [act for act in ACTS if act in named or "tindakan" in named]
    levels = LEVEL_WORDS if any(name.startswith(("sampai_", "lewat_")) for name in named) else ()
    return tuple((word, element) for word in (*levels, *acts) for element in ELEMENTS) or QUESTIONS


def _likely(rule: Rule, prepared: Sequence[Prepared]) -> list[Prepared]:
    """Return the cases, those of the rule's own role first: they notice soonest."""
    role = scope_word(rule.template.principal, "PeranAktif", "Peran")
    return sorted(prepared, key=lambda one: role is not None and role not in one.case.visit.roles)


def text(expr: pst.Expr) -> str:
    """Return *expr* as Cedar writes it."""
    head = pst.Template("x", "permit", pst.ScopeAny(), pst.ScopeAny(), pst.ScopeAny(), (pst.When(expr),), {})
    written = str(cedarpy.PolicySet.from_pst(pst.PolicySet({}, {"x": head}, ())))
    return written[written.index("when {") + 6 : written.rindex("}")].strip().replace("Gardu::", "")
