"""The decision matrix: every role × purpose × stage × region × factor × mandate → what is shown of the 13 elements."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product

from app.kernel.fields import ELEMENTS, Element, Purpose, Role, Stage, Unit, View
from app.policy.catalog import Catalog, Level
from app.policy.engine import NO_RULE, Engine
from app.policy.grammar import ACTS
from app.policy.plan import closed_plan, make_plan
from app.policy.visit import Mandate, Visit

# A fixed moment, so that the file does not change by itself; permits whose review passed before it would show as closed.
MOMENT = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
_FRESH, _STALE = 60, 10**6
_A_WEEK = timedelta(days=7)
# Per level of office: its jurisdiction, a region inside it, and one outside (for the nation: any other province).
_PLACES = {
    Level.NASIONAL: ("00", "51.71.01", "52.71.01"),
    Level.PROVINSI: ("51", "51.71.01", "52.71.01"),
    Level.KAB: ("51.71", "51.71.01", "51.03.01"),
    Level.APA_SAJA: ("51.71", "51.71.01", "51.03.01"),
}
DIMENSIONS = ("peran", "tujuan", "tahap", "wilayah", "faktor", "izin")
_VALUES: Mapping[str, tuple[str, ...]] = {
    "peran": tuple(Role),
    "tujuan": tuple(Purpose),
    "tahap": tuple(Stage),
    "wilayah": ("sendiri", "lain"),
    "faktor": ("segar", "lama"),
    "izin": ("tanpa", "lengkap"),
}
ALL, NONE = "semua", "-"
# Per dimension the values that a joined row covers.
Block = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One cell block: the six dimensions, the effective view of each element, and the elements of each act.

    *cari* counts only elements that are in full at the same time, as the code demands.
    """

    place: tuple[str, ...]
    views: tuple[View, ...]
    acts: tuple[frozenset[Element], ...]

    @property
    def closed(self) -> bool:
        """Whether nothing is open and no act is permitted."""
        return not any(self.views) and not any(self.acts)


def matrix(engine: Engine, catalog: Catalog) -> list[Row]:
    """Return every row: 11 roles × 8 purposes × 8 stages × 2 regions × 2 factors × 2 mandates.

    Raises ValueError, naming the row, when Cedar reports an error: a matrix of errors would look like a matrix of refusals.
    """
    return [_row(engine, catalog, place) for place in product(*(_VALUES[name] for name in DIMENSIONS))]


def role_matrix(engine: Engine, catalog: Catalog, role: Role, moment: datetime) -> list[tuple[list[str], Row]]:
    """Return what *role* may see at *moment* (aware) for its own purposes, rows that say the same joined: (words of the dimensions, row).

    Asks the policies in force, about 130 visits at most; what is closed altogether is left out. Raises ValueError as ``matrix`` does.
    """
    purposes = catalog.roles[role].purposes
    places = product((role.value,), purposes, *(_VALUES[name] for name in DIMENSIONS[2:]))
    rows = [_row(engine, catalog, place, moment) for place in places]
    return list(_joined([row for row in rows if not row.closed]))


def matrix_csv(rows: Sequence[Row]) -> str:
    """Return *rows* as CSV text: rows that say the same are joined, and what is closed altogether is one last row per role."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*DIMENSIONS, *ELEMENTS, *ACTS])
    for role in Role:
        for place, row in _joined([row for row in rows if row.place[0] == role and not row.closed]):
            writer.writerow([*place, *(view.word for view in row.views), *(_names(act) for act in row.acts)])
        writer.writerow([role, *["lainnya"] * (len(DIMENSIONS) - 1), *[View.TUTUP.word] * len(ELEMENTS), *[NONE] * len(ACTS)])
    return out.getvalue()


def mandate_for(visit: Visit) -> Mandate:
    """Return a mandate right in every respect, for all elements in full."""
    return Mandate(
        uid="izin-lengkap",
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
        start=visit.moment - _A_WEEK,
        until=visit.moment + _A_WEEK,
        subject=visit.subject,
    )


def visit_at(catalog: Catalog, place: tuple[str, ...], moment: datetime = MOMENT) -> Visit:
    """Return the visit of one cell at *moment*; *place* holds the values of the dimensions."""
    role, purpose, stage, region, factor, mandate = place
    entry = catalog.roles[Role(role)]
    jurisdiction, own, other = _PLACES[entry.level]
    visit = Visit(
        person="petugas",
        office="kpu-51.71",
        unit=Unit.DATA,
        role=Role(role),
        roles=frozenset({Role(role)}),
        jurisdiction=jurisdiction,
        region=own if region == "sendiri" else other,
        purpose=Purpose(purpose),
        basis=entry.basis,
        election="2029",
        stage=Stage(stage),
        moment=moment,
        factor_age=_FRESH if factor == "segar" else _STALE,
        subject="pemilih",
    )
    return replace(visit, mandate=mandate_for(visit)) if mandate == "lengkap" else visit


def _row(engine: Engine, catalog: Catalog, place: tuple[str, ...], moment: datetime = MOMENT) -> Row:
    """Return one row. Nothing is asked that must be denied: acts no permit of the role names, and views above a closed "recorded"."""
    visit = visit_at(catalog, place, moment)
    acts = [act for act in ACTS if act in engine.named_by_permits(visit.role)]
    questions = [(action, element) for action in (View.ADA.word, *acts) for element in ELEMENTS]
    answers = dict(zip(questions, engine.ask(visit, questions), strict=True))
    some = any(answers[View.ADA.word, element].allowed for element in ELEMENTS)
    plan = make_plan(engine, visit) if some else closed_plan(NO_RULE)
    if plan.errors or any(answer.error for answer in answers.values()):
        raise ValueError(f"Cedar reported an error at {' '.join(place)}")
    allowed = {act: {e for e in ELEMENTS if act in acts and answers[act, e].allowed} for act in ACTS}
    allowed["cari"] &= {element for element, view in plan.views.items() if view == View.UTUH}
    return Row(place, tuple(plan.views[element] for element in ELEMENTS), tuple(frozenset(allowed[act]) for act in ACTS))


def _joined(rows: list[Row]) -> Iterator[tuple[list[str], Row]]:
    """Join rows that differ in one dimension only and say the same; dimensions from the last to the second."""
    groups: dict[Block, Row] = {tuple((value,) for value in row.place): row for row in rows}
    for axis in range(len(DIMENSIONS) - 1, 0, -1):
        merged: dict[tuple[object, ...], tuple[list[Block], Row]] = {}
        for place, row in groups.items():
            key = (place[:axis], place[axis + 1 :], row.views, row.acts)
            merged.setdefault(key, ([], row))[0].append(place)
        groups = {_union(places, axis): row for places, row in merged.values()}
    for place, row in groups.items():
        yield [_values(name, values) for name, values in zip(DIMENSIONS, place, strict=True)], row


def _union(places: list[Block], axis: int) -> Block:
    first = places[0]
    return (*first[:axis], tuple(value for place in places for value in place[axis]), *first[axis + 1 :])


def _values(name: str, values: tuple[str, ...]) -> str:
    return ALL if name != "peran" and len(values) == len(_VALUES[name]) else " ".join(values)


def _names(elements: frozenset[Element]) -> str:
    if len(elements) == len(ELEMENTS):
        return ALL
    return " ".join(element for element in ELEMENTS if element in elements) or NONE
