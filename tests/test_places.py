"""The directory of regions finds places the way people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.places import Places

PLACES = Places()
DENPASAR, SELATAN, SERANGAN = "51.71", "51.71.01", "51.71.01.1001"


def test_the_table_is_the_whole_country() -> None:
    """38 provinces, 514 kab/kota, 7,285 kecamatan, as the decree counts them."""
    kabs = PLACES.kabs()

    assert len(PLACES.children("00")) == 38
    assert len(kabs) == 514
    assert sum(len(PLACES.children(kab)) for kab in kabs) == 7285
    assert list(kabs) == sorted(kabs)


@pytest.mark.parametrize(
    ("code", "name", "kind"),
    [
        ("00", "Indonesia", "negara"),
        ("51", "Bali", "provinsi"),
        (DENPASAR, "Kota Denpasar", "kota"),
        ("51.03", "Kabupaten Badung", "kabupaten"),
        (SELATAN, "Denpasar Selatan", "kecamatan"),
        (SERANGAN, "Serangan", "kelurahan"),
    ],
)
def test_a_code_has_a_name_and_a_kind(code: str, name: str, kind: str) -> None:
    """Every level has both."""
    assert (PLACES.name(code), PLACES.kind(code)) == (name, kind)


@pytest.mark.parametrize("code", ["", "5171", "99", "51.71.99", "51.71.01.9999", "Denpasar", "51.71.", "٥١.٧١"])
def test_an_unknown_code_has_no_name(code: str) -> None:
    """Only dotted codes of the table count; an older code is simply unknown."""
    assert PLACES.name(code) is None
    assert PLACES.kind(code) is None
    assert PLACES.children(code) == ()


def test_a_path_goes_from_the_nation_down() -> None:
    """Breadcrumbs read widest first."""
    names = [place.name for place in PLACES.path(SERANGAN)]

    assert names == ["Indonesia", "Bali", "Kota Denpasar", "Denpasar Selatan", "Serangan"]


@pytest.mark.parametrize(
    "text",
    [
        *("51.71.01", "517101", "51 71 01", "51-71-01", "01", "1"),
        *(
            "Denpasar Selatan",
            "DENPASAR  SELATAN",
            "Kec. Denpasar Selatan",
            "KECAMATAN DENPASAR SELATAN",
            "denpasarselatan",
            "Denpasar-Selatan",
        ),
    ],
)
def test_a_kecamatan_is_found_as_people_write_it(text: str) -> None:
    """Codes in several spellings; names without regard to case, spaces, punctuation and the word kecamatan."""
    assert PLACES.find_kecamatan(DENPASAR, text) == (SELATAN,)


@pytest.mark.parametrize(
    "text", ["51.71.01.1001", "5171011001", "1001", "SERANGAN", "Kel. Serangan", "KELURAHAN SERANGAN", "Desa Serangan"]
)
def test_a_desa_is_found_as_people_write_it(text: str) -> None:
    """A leading word matters only where it must decide."""
    assert PLACES.find_desa(SELATAN, text) == (SERANGAN,)


@pytest.mark.parametrize("text", ["", " ", "KEC.", "Kuta", "51.03.01", "99", "Denpasar Sel", "१", "-"])
def test_a_place_elsewhere_or_nowhere_is_unknown(text: str) -> None:
    """No guess: part of a name, or a place of another kab/kota, finds nothing."""
    assert PLACES.find_kecamatan(DENPASAR, text) == ()


def test_a_desa_of_another_kecamatan_is_unknown_here() -> None:
    """A full code below another kecamatan does not slip in."""
    assert PLACES.find_desa("51.71.02", SERANGAN) == ()


def test_one_name_for_two_desa_is_ambiguous_until_the_word_or_the_code_decides() -> None:
    """Sorkam has a kelurahan and a desa Sorkam Kanan."""
    sorkam = "12.01.10"

    assert PLACES.find_desa(sorkam, "Sorkam Kanan") == ("12.01.10.1001", "12.01.10.2018")
    assert PLACES.find_desa(sorkam, "KEL. SORKAM KANAN") == ("12.01.10.1001",)
    assert PLACES.find_desa(sorkam, "Desa Sorkam Kanan") == ("12.01.10.2018",)
    assert PLACES.find_desa(sorkam, "2018") == ("12.01.10.2018",)


def test_two_desa_of_one_name_stay_ambiguous_with_the_word() -> None:
    """Where the word cannot decide, both are named, never neither."""
    found = PLACES.find_desa("71.02.11", "Desa Tounelet Satu")

    assert found == ("71.02.11.2003", "71.02.11.2018")


def test_a_name_that_begins_with_desa_is_found_with_and_without_it() -> None:
    """The official name of 13.12.07.2002 is Desa Baru."""
    assert PLACES.find_desa("13.12.07", "DESA BARU") == ("13.12.07.2002",)
    assert PLACES.find_desa("13.12.07", "Baru") == ("13.12.07.2002",)


@pytest.mark.slow
def test_every_desa_is_found_by_its_own_name_and_code() -> None:
    """Over one province whose names have apostrophes, brackets and numerals."""
    lost = [
        desa
        for kab in PLACES.children("82")
        for kec in PLACES.children(kab)
        for desa in PLACES.children(kec)
        if desa not in PLACES.find_desa(kec, (PLACES.name(desa) or "").upper()) or PLACES.find_desa(kec, desa) != (desa,)
    ]

    assert lost == []


@given(st.text(max_size=40))
def test_any_text_finds_places_of_that_parent_or_none(text: str) -> None:
    """Whatever is written, the answer lies within the parent asked."""
    assert set(PLACES.find_kecamatan(DENPASAR, text)) <= set(PLACES.children(DENPASAR))
    assert set(PLACES.find_desa(SELATAN, text)) <= set(PLACES.children(SELATAN))
