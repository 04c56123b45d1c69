"""The rules alone: narrowing never widens, dates, reasons, what may not be typed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.errors import BadInput
from app.kernel.fields import ELEMENTS, Element, Stage, View
from app.kernel.regions import is_within
from app.mandates import rules
from app.mandates.rules import Terms

NOW = datetime(2026, 12, 1, 3, 0, tzinfo=UTC)
REGIONS = ("51", "51.71", "51.71.01", "51.71.01.1001", "51.71.01.1002", "51.71.02", "51.71.02.1001", "51.03", "51.03.01", "00")
any_terms = st.builds(
    Terms,
    region=st.sampled_from(REGIONS),
    elements=st.frozensets(st.sampled_from(ELEMENTS), min_size=1),
    view=st.sampled_from(View),
    until=st.integers(0, 200).map(lambda hours: NOW + timedelta(hours=hours)),
)


@given(any_terms, st.lists(any_terms, max_size=12))
def test_any_sequence_of_decisions_only_narrows(asked: Terms, decisions: list[Terms]) -> None:
    """Whatever is proposed one after the other, what is left never reaches beyond what was asked, nor beyond any step before."""
    left, trail = asked, [asked]
    for proposed in decisions:
        if not rules.wider(proposed, left):
            left = proposed
            trail.append(left)

    for before in trail:
        assert is_within(left.region, before.region)
        assert left.elements <= before.elements
        assert left.view <= before.view and left.until <= before.until


@given(any_terms)
def test_leaving_everything_as_it_is_widens_nothing(asked: Terms) -> None:
    assert rules.wider(asked, asked) == ()


@given(st.frozensets(st.sampled_from(ELEMENTS)))
def test_words_of_elements_keep_their_order(elements: frozenset[Element]) -> None:
    """The same set gives the same column, whatever order it was named in."""
    assert rules.words_of(sorted(elements, reverse=True)) == rules.words_of(elements)


@pytest.mark.parametrize(
    "reason", ["", ".", "....................", "x" * 19, "1234 5678 9012 3456 7890 12", "a" * 1001, "kata \x00 kata kata kata kata"]
)
def test_what_is_no_reason(reason: str) -> None:
    with pytest.raises(BadInput) as wrong:
        rules.parse_reason(reason)
    assert wrong.value.field == "reason"


@pytest.mark.parametrize(
    "number", ["5171010101800001", "5171 0101 0180 0001", "5171.0101.0180.0001", "5171-01010180-0001", "５１７１０１０１０１８０００01"]
)
def test_no_nik_in_a_free_text(number: str) -> None:
    """Sixteen digits are refused however they are spaced or written."""
    for parse in (rules.parse_reason, rules.parse_letter):
        with pytest.raises(BadInput) as wrong:
            parse(f"Memeriksa aduan tentang pemilih {number} di TPS 3")
        assert "NIK" in wrong.value.public


def test_a_reason_is_one_line_of_words() -> None:
    assert rules.parse_reason("  Uji petik\n ganda  pada daftar sementara ") == "Uji petik ganda pada daftar sementara"
    assert rules.parse_reason("", required=False) == ""


def test_a_day_ends_on_the_clock_of_its_region() -> None:
    """Denpasar is on WITA: the day is over at 16.00 UTC."""
    until = rules.parse_until("2026-12-15", "51.71")

    assert until == datetime(2026, 12, 15, 16, 0, tzinfo=UTC)
    assert rules.parse_until("15-12-2026", "51.71") == until
    assert rules.last_day(until, "51.71") == date(2026, 12, 15)


@pytest.mark.parametrize("text", ["", "besok", "2026-13-01", "31-02-2026", "2026-12-15T00:00", "9999-12-31", "20261215"])
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(BadInput) as wrong:
        rules.parse_until(text, "51.71")
    assert wrong.value.field == "until"


def test_ninety_days_and_not_one_more() -> None:
    today = NOW.astimezone(rules.zone_of("51.71")).date()

    assert rules.date_holds(rules.end_of(today, "51.71"), NOW)
    assert rules.date_holds(rules.end_of(today + timedelta(days=90), "51.71"), NOW)
    assert not rules.date_holds(rules.end_of(today + timedelta(days=91), "51.71"), NOW)
    assert not rules.date_holds(rules.end_of(today - timedelta(days=1), "51.71"), NOW)


@pytest.mark.parametrize("words", [[], [""], ["nama_lengkap"], ["nik", "x"]])
def test_elements_are_named_exactly(words: list[str]) -> None:
    with pytest.raises(BadInput):
        rules.parse_elements(words)


def test_views_and_stages_are_named_exactly() -> None:
    assert rules.parse_view("utuh") is View.UTUH
    assert rules.parse_stages(["dps", "dpt"]) == {Stage.DPS, Stage.DPT}
    for word in ("ada", "tutup", ""):
        with pytest.raises(BadInput):
            rules.parse_view(word)
    with pytest.raises(BadInput):
        rules.parse_stages([])


@pytest.mark.parametrize(
    ("office", "region", "covered"),
    [
        ("kpu-51.71", "51.71.01", True), ("kpu-51", "51.71", True), ("kpu-00", "51.71", True), ("kpu-51.71", "51", False),
        ("kpu-51.71", "51.03", False), ("bawaslu-51.71", "51.71.01", False),
    ],
)  # fmt: skip
def test_an_office_covers_what_lies_inside(office: str, region: str, covered: bool) -> None:
    assert rules.covers(office, region) is covered
