"""The few shapes a condition may have. What is not one of them is refused, so nothing can hide in a clever expression.

A new shape is added here on purpose, together with what it means for the memory of plans (``decide``) and for the mutants.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import cedarpy
from cedarpy import pst

from app.kernel.fields import Element
from app.kernel.regions import NATION

LEVEL_WORDS = ("ada", "samar", "ringkas", "utuh")
UP_TO = tuple(f"sampai_{word}" for word in LEVEL_WORDS)
BEYOND = ("lewat_tutup", "lewat_ada", "lewat_samar", "lewat_ringkas")
ACTS = ("cari", "cocokkan", "unduh", "ubah", "hitung")
ANY_ACT = "tindakan"


class Shape(StrEnum):
    """What a condition says."""

    PURPOSE = "purpose"  # principal.tujuan == Tujuan::"…"
    OWN_REGION = "own-region"  # principal.wilayah in principal.yurisdiksi
    NATION = "nation"  # principal.yurisdiksi == Wilayah::"00"
    STAGES = "stages"  # principal.tahap in [Tahap::"…", …]
    ELEMENTS = "elements"  # resource in [Elemen::"…", …]
    CLASSES = "classes"  # resource in [Kelas::"…", …]
    FRESH = "fresh"  # principal.umurFaktor <= n
    STALE = "stale"  # principal.umurFaktor > n
    APPROVED = "approved"  # principal.subjekDisetujui
    GRANT = "grant"  # one of the conditions of a mandate
    DERIVED = "derived"  # a mandate for an element names what can be read off it


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: its shape, the words or numbers it names, and the expression."""

    shape: Shape
    words: tuple[str, ...]
    expr: pst.Expr


def expression(text: str) -> pst.Expr:
    """Return the expression that *text* writes in Cedar."""
    (policy,) = cedarpy.policies_to_pst(f"permit (principal, action, resource) when {{ {text} }};").static_policies.values()
    return policy.clauses[0].expr


# Every permit and every unless that names a mandate repeats all of these (danger 4): else an expired, foreign, narrower or
# self-approved mandate would lift a ban.
GRANT_ALWAYS: Mapping[str, pst.Expr] = {
    name: expression(text)
    for name, text in {
        "there is one": "principal has izin",
        "holder": "principal.izin.pemohon == principal.petugas",
        "approver 1 is not the holder": "principal.izin.penyetuju1 != principal.petugas",
        "approver 2 is not the holder": "principal.izin.penyetuju2 != principal.petugas",
        "two people": "principal.izin.penyetuju1 != principal.izin.penyetuju2",
        "two units": "principal.izin.unit1 != principal.izin.unit2",
        "start": "principal.izin.mulai <= principal.saat",
        "until": "principal.saat < principal.izin.sampai",
        "region": "principal.wilayah in principal.izin.wilayah",
        "purpose": "principal.izin.tujuan == principal.tujuan",
        "stage": "principal.izin.tahap.contains(principal.tahap)",
        "element": "principal.izin.elemen.contains(resource)",
        "ceiling": "context.tingkat <= principal.izin.puncak",
    }.items()
}
# A mandate for one voter opens only that voter: either "if it names one, the same one" …
SUBJECT_IF_ANY = expression("if principal.izin has subjek then principal has subjek && principal.subjek == principal.izin.subjek else true")
# … or "it names one, and the same one".
SUBJECT_ALWAYS = (
    expression("principal.izin has subjek"),
    expression("principal has subjek"),
    expression("principal.subjek == principal.izin.subjek"),
)
_GRANT = frozenset({*GRANT_ALWAYS.values(), SUBJECT_IF_ANY, *SUBJECT_ALWAYS})
_FIXED = {
    expression("principal.wilayah in principal.yurisdiksi"): Shape.OWN_REGION,
    expression(f'principal.yurisdiksi == Gardu::Wilayah::"{NATION}"'): Shape.NATION,
    expression("principal.subjekDisetujui"): Shape.APPROVED,
    **dict.fromkeys(_GRANT, Shape.GRANT),
}
_PURPOSE, _STAGE, _AGE = expression("principal.tujuan"), expression("principal.tahap"), expression("principal.umurFaktor")
_NAMED = expression("principal.izin.elemen")
_RESOURCE = pst.Var("resource")


def conjuncts(expr: pst.Expr) -> list[pst.Expr]:
    """Return the parts of *expr* that && joins, in order."""
    if isinstance(expr, pst.BinaryOp) and expr.op == "and":
        return [*conjuncts(expr.left), *conjuncts(expr.right)]
    return [expr]


def joined(parts: Iterable[pst.Expr], op: pst.BinaryOpName = "and") -> pst.Expr:
    """Return *parts* (at least one) joined by *op*."""
    first, *rest = parts
    for part in rest:
        first = pst.BinaryOp(op, first, part)
    return first


def condition(expr: pst.Expr) -> Condition | None:
    """Return what *expr* (without &&) says, or None when it has no known shape."""
    if expr in _FIXED:
        return Condition(_FIXED[expr], (), expr)
    if isinstance(expr, pst.BinaryOp):
        return _comparison(expr) or _derived(expr)
    return None


def _comparison(expr: pst.BinaryOp) -> Condition | None:
    match expr:
        case pst.BinaryOp(op="eq", left=left, right=pst.EntityLit(value=word)) if left == _PURPOSE and word.type.basename == "Tujuan":
            return Condition(Shape.PURPOSE, (word.id,), expr)
        case pst.BinaryOp(op="in", left=left, right=pst.Set(elements=items)):
            return _membership(expr, left, items)
        case pst.BinaryOp(op="less_eq" | "greater", left=left, right=pst.LongLit(value=limit)) if left == _AGE:
            return Condition(Shape.FRESH if expr.op == "less_eq" else Shape.STALE, (str(limit),), expr)
    return None


def _membership(expr: pst.BinaryOp, left: pst.Expr, items: tuple[pst.Expr, ...]) -> Condition | None:
    kinds = {item.value.type.basename if isinstance(item, pst.EntityLit) else "" for item in items}
    words = tuple(item.value.id for item in items if isinstance(item, pst.EntityLit))
    if left == _STAGE and kinds == {"Tahap"}:
        return Condition(Shape.STAGES, words, expr)
    if left == _RESOURCE and kinds == {"Elemen"}:
        return Condition(Shape.ELEMENTS, words, expr)
    if left == _RESOURCE and kinds == {"Kelas"}:
        return Condition(Shape.CLASSES, words, expr)
    return None


def _derived(expr: pst.BinaryOp) -> Condition | None:
    """Read ``resource != Elemen::"x" || principal.izin.elemen.containsAll([…])``; words: x, then what must be named with it."""
    match expr:
        case pst.BinaryOp(
            op="or",
            left=pst.BinaryOp(op="not_eq", left=left, right=pst.EntityLit(value=subject)),
            right=pst.BinaryOp(op="contains_all", left=named, right=pst.Set(elements=items)),
        ) if left == _RESOURCE and named == _NAMED and subject.type.basename == "Elemen":
            words = [item.value.id for item in items if isinstance(item, pst.EntityLit) and item.value.type.basename == "Elemen"]
            return Condition(Shape.DERIVED, (subject.id, *sorted(words)), expr) if len(words) == len(items) else None
    return None


def actions(template: pst.Template) -> list[str] | None:
    """Return the names of the actions of *template*'s head, or None when it names none."""
    match template.action:
        case pst.ActionEq(entity=entity):
            return [entity.id]
        case pst.ActionIn(entities=entities):
            return [entity.id for entity in entities]
    return None


def scope_word(scope: pst.PrincipalOrResourceConstraint, *kinds: str) -> str | None:
    """Return the word that ``in`` or ``==`` of *scope* names when it is of one of *kinds*, else None."""
    if isinstance(scope, pst.ScopeIn | pst.ScopeEq) and isinstance(scope.entity, pst.EntityUid) and scope.entity.type.basename in kinds:
        return scope.entity.id
    return None


def reachable(template: pst.Template, found: Iterable[Condition], classes: Mapping[Element, str]) -> frozenset[Element]:
    """Return the elements that head and conditions of *template* leave."""
    left = set(classes)
    for kind, words in _narrowings(template, found):
        left = {element for element in left if (element if kind == "Elemen" else classes[element]) in words}
    return frozenset(left)


def _narrowings(template: pst.Template, found: Iterable[Condition]) -> Iterator[tuple[str, frozenset[str]]]:
    for kind in ("Elemen", "Kelas"):
        word = scope_word(template.resource, kind)
        if word is not None:
            yield kind, frozenset({word})
    for said in found:
        if said.shape in {Shape.ELEMENTS, Shape.CLASSES}:
            yield ("Elemen" if said.shape == Shape.ELEMENTS else "Kelas"), frozenset(said.words)
