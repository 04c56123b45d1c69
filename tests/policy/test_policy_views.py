"""The transforms: a lower view never says more than a higher one, and a masked number says nothing of birth or sex."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.fields import ELEMENTS, Element, View
from app.policy.views import LEVELS, effective, show

VOTING_DAY = date(2029, 2, 14)
BORN = st.dates(date(1900, 1, 1), date(2012, 2, 14))
NAMES = st.text(st.characters(categories=("Lu", "Ll", "Zs")), max_size=40)


def nik(region: str, born: date, female: bool, serial: int) -> str:
    return f"{region}{born.day + 40 * female:02d}{born:%m%y}{serial:04d}"


@given(BORN, BORN)
def test_each_view_of_a_birth_date_is_computable_from_the_next(one: date, other: date) -> None:
    """Equal ages have equal bands: the band adds nothing to the age, the age nothing to the date."""
    ages = [show(Element.TANGGAL_LAHIR, View.RINGKAS, day.isoformat(), VOTING_DAY) for day in (one, other)]
    bands = [show(Element.TANGGAL_LAHIR, View.SAMAR, day.isoformat(), VOTING_DAY) for day in (one, other)]

    assert ages[0] != ages[1] or bands[0] == bands[1]


@given(st.sampled_from(["517101", "320101"]), BORN, BORN, st.booleans(), st.booleans(), st.integers(1, 9999), st.integers(1, 9999))
def test_a_masked_number_is_the_same_for_everybody_of_a_region(
    region: str, one: date, other: date, sex: bool, other_sex: bool, serial: int, other_serial: int
) -> None:
    """Birth date, sex and serial leave no trace in the mask of NIK or NKK."""
    for element in (Element.NIK, Element.NKK):
        shown = {
            show(element, View.SAMAR, nik(region, day, female, number), VOTING_DAY)
            for day, female, number in ((one, sex, serial), (other, other_sex, other_serial))
        }
        assert shown == {region + "•" * 10}


@given(st.sampled_from(ELEMENTS), st.text(max_size=30), st.text(max_size=30))
def test_recorded_and_closed_show_the_same_for_every_value(element: Element, one: str, other: str) -> None:
    """`ada` is constant, also for blank and 0, else "recorded" would disclose."""
    for view in (View.TUTUP, View.ADA):
        assert show(element, view, one, VOTING_DAY) is show(element, view, other, VOTING_DAY) is None


@given(NAMES)
def test_initials_hold_no_more_than_first_letters(name: str) -> None:
    """As many letters as words at most."""
    shown = show(Element.NAMA, View.SAMAR, name, VOTING_DAY) or ""

    assert len([sign for sign in shown if sign != "."]) <= 3 * max(len(name.split()), 1)


@pytest.mark.parametrize("element", ELEMENTS)
def test_a_missing_transform_falls_to_the_level_below(element: Element) -> None:
    """What is shown is always a level the element has, never above what was granted."""
    for view in View:
        level = effective(element, view)
        assert level <= view and (level in LEVELS[element] or level is View.TUTUP)


@pytest.mark.parametrize(
    ("element", "view", "value", "shown"),
    [
        (Element.NIK, View.SAMAR, "5171012912660001", "517101••••••••••"),
        (Element.NIK, View.SAMAR, "bukan nik", "••••••••••"),
        (Element.NAMA, View.SAMAR, "I MADE  SUARDANA", "I.M.S."),
        (Element.TANGGAL_LAHIR, View.RINGKAS, "1966-12-29", "62"),
        (Element.TANGGAL_LAHIR, View.RINGKAS, "2012-02-14", "17"),
        (Element.TANGGAL_LAHIR, View.SAMAR, "1966-12-29", "60–69"),
        (Element.TANGGAL_LAHIR, View.RINGKAS, "rusak", None),
        (Element.DISABILITAS, View.RINGKAS, "0", "tidak"),
        (Element.DISABILITAS, View.RINGKAS, "6", "ya"),
        (Element.ALAMAT, View.SAMAR, "JL. UJI", None),
        (Element.ALAMAT, View.UTUH, "JL. UJI", "JL. UJI"),
    ],
)
def test_transforms_by_example(element: Element, view: View, value: str, shown: str | None) -> None:
    """Each transform on values that matter."""
    assert show(element, view, value, VOTING_DAY) == shown
