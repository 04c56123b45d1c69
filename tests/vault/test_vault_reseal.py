"""One cell is sealed anew; its neighbours stay as they are, and nothing of before fits any more."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault_helpers import EVERYTHING, flipped, seal_key, sealed, with_cell

from app.kernel.errors import BadInput, SealBroken
from app.kernel.fields import ELEMENTS, Element
from app.vault.reseal import reseal
from app.vault.seal import check_seal
from app.vault.unseal import open_row

ROW = sealed()
KEY = seal_key()


@given(st.sampled_from(ELEMENTS), st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_the_changed_cell_opens_and_the_others_are_the_same_bytes(element: Element, value: str) -> None:
    """Exactly one cell differs, the row is one version on, its key stays."""
    changed = reseal(KEY, ROW, element, value, ROW.b_nik, ROW.b_nkk, ROW.b_nd)

    before = open_row(KEY, ROW, EVERYTHING)
    assert open_row(KEY, changed, EVERYTHING) == {**before, element: value}
    assert [old == new for old, new in zip(ROW.cells, changed.cells, strict=True)].count(False) == 1
    assert changed.clear == replace(ROW.clear, row_version=ROW.clear.row_version + 1)
    assert changed.wrapped == ROW.wrapped


@given(st.sampled_from(ELEMENTS), st.integers(0, 10_000), st.integers(1, 255))
def test_any_changed_byte_of_the_new_cell_is_found(element: Element, position: int, mask: int) -> None:
    """The new cell is under the seal like the old one."""
    changed = reseal(KEY, ROW, element, "baru", ROW.b_nik, ROW.b_nkk, ROW.b_nd)

    with pytest.raises(SealBroken):
        check_seal(KEY, with_cell(changed, element.number, flipped(changed.cells[element.number], position, mask)))


def test_an_older_cell_does_not_fit_the_newer_row_nor_the_other_way_round() -> None:
    """Nobody can put back a value that was corrected, nor bring a correction forward into the old row."""
    changed = reseal(KEY, ROW, Element.ALAMAT, "JL. BARU", ROW.b_nik, ROW.b_nkk, ROW.b_nd)
    number = Element.ALAMAT.number

    for row in (with_cell(changed, number, ROW.cells[number]), with_cell(ROW, number, changed.cells[number])):
        with pytest.raises(SealBroken):
            check_seal(KEY, row)


def test_the_row_version_alone_cannot_be_put_back() -> None:
    """The version stands under the seal."""
    changed = reseal(KEY, ROW, Element.ALAMAT, "JL. BARU", ROW.b_nik, ROW.b_nkk, ROW.b_nd)

    with pytest.raises(SealBroken):
        check_seal(KEY, replace(changed, clear=ROW.clear))


def test_a_row_whose_seal_is_broken_is_not_sealed_anew() -> None:
    """A tampered row never gets a good seal by being corrected."""
    for broken in (replace(ROW, b_nd=b"x"), replace(ROW, clear=replace(ROW.clear, desa="51.71.01.9999"))):
        with pytest.raises(SealBroken):
            reseal(KEY, broken, Element.ALAMAT, "JL. BARU", ROW.b_nik, ROW.b_nkk, ROW.b_nd)


def test_salts_never_repeat() -> None:
    """Two corrections to the same value give different bytes under different keys."""
    first, second = (reseal(KEY, ROW, Element.ALAMAT, "SAMA", ROW.b_nik, ROW.b_nkk, ROW.b_nd) for _ in range(2))

    assert first.cells[Element.ALAMAT.number] != second.cells[Element.ALAMAT.number]


def test_a_text_that_utf8_cannot_hold_is_refused_without_being_repeated() -> None:
    """The error names the element."""
    with pytest.raises(BadInput) as caught:
        reseal(KEY, ROW, Element.NAMA, "RAHASIA\ud800", ROW.b_nik, ROW.b_nkk, ROW.b_nd)

    assert caught.value.field == "nama"
    assert "RAHASIA" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
