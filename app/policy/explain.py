"""Why an element looks as it does: the rule, its basis, and what to do to see more, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from app.kernel.errors import N_
from app.kernel.fields import Element, Stage, View
from app.policy.catalog import LANGUAGES, Catalog
from app.policy.load import Rule

NO_RULE_TITLE = N_("Tidak ada aturan yang membuka elemen ini untuk peran, tujuan, wilayah, dan tahap kunjungan ini.")
NO_BASIS = N_("Yang tidak disebut aturan selalu tertutup.")


class Next(StrEnum):
    """What somebody can do to see more."""

    UTUH = "utuh"
    STEP_UP = "step_up"
    IZIN = "izin"
    TAHAP = "tahap"
    TIDAK_ADA = "tidak_ada"


# The sentences: msgids with %(tingkat)s (label of a view) and %(tahap)s (labels of stages).
SENTENCES: dict[Next, str] = {
    Next.UTUH: N_("Elemen ini sudah terbuka utuh."),
    Next.STEP_UP: N_("Masukkan lagi kode verifikasi; sesudah itu elemen ini %(tingkat)s."),
    Next.IZIN: N_("Ajukan permohonan izin tertulis; dengan izin yang disetujui dua orang, elemen ini %(tingkat)s."),
    Next.TAHAP: N_("Pada tahap ini tidak tersedia lebih dari ini. Elemen ini %(tingkat)s pada tahap: %(tahap)s."),
    Next.TIDAK_ADA: N_("Bagi peran ini elemen ini paling jauh %(tingkat)s; tidak ada cara untuk melihat lebih banyak."),
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why *element* is at *view*, and what can be done.

    rules: ids that decided; limits: ids of the forbids that stopped the next level. title (Bahasa Indonesia, a msgid when no rule
    decided), title_en, basis, owner, review: of the first rule. next: what to do; sentence: its msgid; params: its parameters per
    language (``id``, ``en``). reach: the view that doing so gives.
    """

    element: Element
    view: View
    rules: tuple[str, ...]
    limits: tuple[str, ...]
    title: str
    title_en: str
    basis: str
    owner: str
    review: date | None
    next: Next
    sentence: str
    params: Mapping[str, Mapping[str, str]]
    reach: View


@dataclass(frozen=True, slots=True)
class Reach:
    """How far an element could go: with a fresh factor, with a full mandate, at which other stages and how far there."""

    fresh: View
    mandate: View
    stages: Mapping[Stage, View]


def explanation(
    element: Element,
    view: View,
    deciders: tuple[str, ...],
    limits: tuple[str, ...],
    reach: Reach,
    rules: Mapping[str, Rule],
    catalog: Catalog,
) -> Explanation:
    """Return the explanation of *element* at *view*. deciders, limits: rule ids; rules: every rule by id."""
    step, goal, stages = _next(view, reach)
    rule = next((rules[name] for name in deciders if name in rules), None)
    return Explanation(
        element=element,
        view=view,
        rules=deciders,
        limits=limits,
        title=rule.title if rule else NO_RULE_TITLE,
        title_en=rule.title_en if rule else NO_RULE_TITLE,
        basis=rule.basis if rule else NO_BASIS,
        owner=rule.owner if rule else "",
        review=rule.review if rule else None,
        next=step,
        sentence=SENTENCES[step],
        params={lang: _params(catalog, lang, goal, stages) for lang in LANGUAGES},
        reach=goal,
    )


def _next(view: View, reach: Reach) -> tuple[Next, View, Sequence[Stage]]:
    """Return the least costly step that shows more: a code, then a mandate, then another stage."""
    if view == View.UTUH:
        return Next.UTUH, view, ()
    if reach.fresh > view:
        return Next.STEP_UP, reach.fresh, ()
    if reach.mandate > view:
        return Next.IZIN, reach.mandate, ()
    best = max(reach.stages.values(), default=view)
    if best > view:
        return Next.TAHAP, best, [stage for stage, level in reach.stages.items() if level == best]
    return Next.TIDAK_ADA, view, ()


def _params(catalog: Catalog, lang: str, goal: View, stages: Sequence[Stage]) -> dict[str, str]:
    labels = catalog.labels(lang)
    return {"tingkat": labels.views[goal], "tahap": ", ".join(labels.stages[stage] for stage in stages)}
