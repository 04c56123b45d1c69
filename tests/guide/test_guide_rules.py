"""The glossary as data, and how it is sought through."""

from __future__ import annotations

import re

import pytest

from app.guide import rules
from app.guide.desks import DESKS, RECORDED, TROUBLES
from app.guide.rules import Term
from app.guide.terms import TERMS
from app.kernel.fields import Role
from app.web.pages import VIEW_LABELS


def test_every_term_has_a_place_of_its_own() -> None:
    """An anchor is letters, digits and hyphens, and names one term."""
    anchors = [term.anchor for term in TERMS]

    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", anchor) for anchor in anchors)
    assert len(set(anchors)) == len(anchors)


def test_every_term_that_belongs_to_another_is_there() -> None:
    anchors = {term.anchor for term in TERMS}

    assert [(term.name, one) for term in TERMS for one in term.see if one not in anchors] == []


def test_a_term_does_not_lead_to_itself() -> None:
    assert [term.name for term in TERMS if term.anchor in term.see] == []


def test_the_words_people_meet_are_explained() -> None:
    """Views, stages and the hardest words of the pages are in the glossary."""
    anchors = {term.anchor for term in TERMS}
    words = {
        "dp4",
        "coklit",
        "dps",
        "dpshp",
        "dpt",
        "dptb",
        "dpk",
        "pdpb",
        "nik",
        "nkk",
        "izin",
        "segel",
        "entri",
        "tanda-terima",
        "karantina",
    }

    assert words | {rules.anchor(label) for label in VIEW_LABELS.values()} <= anchors


def test_the_glossary_stands_in_the_order_of_the_alphabet() -> None:
    """Capitals do not count."""
    names = [term.name for term in rules.in_order(TERMS)]

    assert names == sorted(names, key=str.casefold)
    assert names[0] == "alokasi kursi"


SOME = (
    Term("izin", "mandate", "Persetujuan tertulis."),
    Term("cabut", "revoke", "Mengakhiri izin."),
    Term("DPT", "final roll", "Daftar tetap.", "Daftar Pemilih Tetap"),
)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("izin", ["izin", "cabut"]),
        ("IZIN", ["izin", "cabut"]),
        ("mandate", ["izin"]),
        ("pemilih tetap", ["DPT"]),
        ("tetap daftar", ["DPT"]),
        ("zzz", []),
    ],
)
def test_a_term_is_found_by_name_full_words_english_or_meaning(text: str, names: list[str]) -> None:
    """What is named so stands before what only speaks of it."""
    assert [term.name for term in rules.sought(SOME, text, str)] == names


def test_the_meaning_is_sought_in_the_readers_language() -> None:
    english = {"Mengakhiri izin.": "Ending a mandate early."}

    assert [term.name for term in rules.sought(SOME, "early", lambda text: english.get(text, text))] == ["cabut"]


@pytest.mark.parametrize(
    ("text", "good"), [("dp4", True), ("DAK2", True), ("31-12-1990", False), ("5171 0101 0190 0001", False), ("", True)]
)
def test_a_number_of_somebody_is_no_term(text: str, good: bool) -> None:
    assert rules.names_a_term(text) is good


def test_every_role_a_person_can_hold_has_a_desk() -> None:
    assert set(DESKS) == set(Role) - {Role.PROSES}


@pytest.mark.parametrize("role", list(DESKS))
def test_a_desk_says_enough_and_not_more(role: Role) -> None:
    """Four to seven steps, of which one to three are where to begin; limits, records and troubles of its own."""
    desk = DESKS[role]

    assert 4 <= len(desk.steps) <= 7
    assert 1 <= sum(step.begin for step in desk.steps) <= 3
    assert desk.closed and desk.recorded and desk.troubles
    assert not {one.sign for one in desk.troubles} & {one.sign for one in TROUBLES}
    assert not set(desk.recorded) & set(RECORDED)
