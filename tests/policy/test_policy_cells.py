"""Masks judged across fields: in no cell of the matrix does NIK or NKK tell what the birth date's and sex's own views keep back."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.fields import ELEMENTS, Element, Role, View
from app.policy.decide import Denied, Policies
from app.policy.matrix import visit_at
from app.policy.views import show
from app.policy.visit import Visit
from app.settings import shipped

VOTING_DAY = date(2029, 2, 14)
FOLDER = shipped("policies")
BORN = st.dates(date(1920, 1, 1), date(2012, 2, 14))
NUMBERS = (Element.NIK, Element.NKK)
Cell = dict[Element, View]


@cache
def shipped_policies() -> Policies:
    return Policies.load(FOLDER, datetime(2026, 11, 24, tzinfo=UTC))


@cache
def standing_cells() -> tuple[tuple[str, Cell], ...]:
    """Every row of the committed matrix that needs no mandate; `gardu policy check` proves that it is the policies' own."""
    rows = csv.DictReader((FOLDER / "matrix.csv").read_text().splitlines())
    return tuple(
        (f"{row['peran']} {row['tujuan']} {row['faktor']}", {element: View[row[element].upper()] for element in ELEMENTS})
        for row in rows
        if row["peran"] in set(Role) and row["izin"] in {"tanpa", "semua", "lainnya"}
    )


def voter(born: date, female: bool) -> dict[Element, str]:
    """Two such voters differ in birth date and sex only; the NIK carries both, the NKK neither."""
    day = born.day + 40 * female
    return {
        Element.NIK: f"517101{day:02d}{born:%m%y}0001",
        Element.NKK: "5171012003150007",
        Element.TANGGAL_LAHIR: born.isoformat(),
        Element.JENIS_KELAMIN: "P" if female else "L",
    }


def tells(cell: Cell, one: dict[Element, str], other: dict[Element, str]) -> bool:
    """Say whether a number tells two voters apart whom the own views of birth date and sex do not."""

    def same(element: Element) -> bool:
        return show(element, cell[element], one[element], VOTING_DAY) == show(element, cell[element], other[element], VOTING_DAY)

    alike = same(Element.TANGGAL_LAHIR) and same(Element.JENIS_KELAMIN)
    return alike and not all(same(number) for number in NUMBERS)


@given(BORN, BORN, st.booleans(), st.booleans())
def test_without_a_mandate_no_number_tells_what_its_neighbours_keep_back(one: date, other: date, sex: bool, other_sex: bool) -> None:
    """Voters alike in the views of birth date and sex are alike in NIK and NKK, in every standing cell."""
    for name, cell in standing_cells():
        assert not tells(cell, voter(one, sex), voter(other, other_sex)), name


def test_there_are_cells_to_judge() -> None:
    """The property above is about something: some cells mask the NIK, some show it in full."""
    seen = {cell[Element.NIK] for _, cell in standing_cells()}

    assert seen >= {View.TUTUP, View.ADA, View.SAMAR, View.UTUH}


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("missing", [Element.TANGGAL_LAHIR, Element.JENIS_KELAMIN])
def test_a_mandate_that_opens_the_nik_names_what_it_tells(role: Role, missing: Element) -> None:
    """The one exception, by mandate, is one the approvers saw: without birth date or sex in the mandate the NIK stays as it was."""
    policies = shipped_policies()
    purpose = policies.catalog.roles[role].purpose
    visit = visit_at(policies.catalog, (role, purpose or "audit", "dps", "sendiri", "segar", "lengkap"))
    assert visit.mandate is not None
    narrower = replace(visit, mandate=replace(visit.mandate, elements=frozenset(ELEMENTS) - {missing}))
    without = replace(visit, mandate=None)

    assert nik(policies, narrower) == nik(policies, without) or nik(policies, narrower) < View.UTUH


def nik(policies: Policies, visit: Visit) -> View:
    try:
        return policies.decide(visit).views[Element.NIK]
    except Denied:
        return View.TUTUP
