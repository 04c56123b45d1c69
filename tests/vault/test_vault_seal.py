"""What is sealed stays as it was sealed, or says so."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault_helpers import EVERYTHING, OTHER_UID, UID, VALUES, clear, flipped, reseal, seal_key, sealed, with_cell

from app.kernel.errors import BadInput, SealBroken
from app.kernel.fields import ELEMENTS, Element
from app.vault.seal import Clear, SealedBlob, SealedRow, check_seal, seal_blob, seal_row
from app.vault.unseal import open_blob, open_dpid, open_row

ROW = sealed()
KEY = seal_key()
MASKS = st.integers(1, 255)
POSITIONS = st.integers(0, 10_000)
# What a thief with write access could put into a clear column, of either type.
CLEAR_TEXTS = [column.name for column in fields(Clear) if column.name not in {"row_version", "key_epoch"}]


def assert_broken(row: SealedRow, key: object = None) -> None:
    """Whoever checks or opens the row, for whichever element, gets SealBroken naming table and voter, and no value."""
    used = key or KEY
    for attempt in (lambda: check_seal(used, row), lambda: open_row(used, row, ELEMENTS), lambda: open_row(used, row, [])):  # type: ignore[arg-type, return-value]
        with pytest.raises(SealBroken) as caught:
            attempt()
        assert str(caught.value).startswith("voter ")
        assert not any(value in str(caught.value) for value in VALUES if len(value) > 3)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), min_size=14, max_size=14))
def test_what_is_sealed_opens_again(values: list[str]) -> None:
    """Any text that UTF-8 can hold comes back exactly."""
    row = sealed(values=values)

    assert open_row(KEY, row, ELEMENTS) == dict(zip(ELEMENTS, values[1:], strict=True))
    assert open_dpid(KEY, row) == values[0]
    check_seal(KEY, row)


@given(st.integers(0, 13), POSITIONS, MASKS)
def test_any_changed_byte_of_any_cell_is_found(number: int, position: int, mask: int) -> None:
    """A cell's header, ciphertext or tag cannot be changed, asked for or not."""
    assert_broken(with_cell(ROW, number, flipped(ROW.cells[number], position, mask)))


@given(st.sampled_from(["wrapped", "b_nik", "b_nkk", "b_nd", "seal"]), POSITIONS, MASKS)
def test_any_changed_byte_beside_the_cells_is_found(column: str, position: int, mask: int) -> None:
    """Wrapped key, indexes and seal cannot be changed."""
    assert_broken(replace(ROW, **{column: flipped(getattr(ROW, column), position, mask)}))


@given(st.sampled_from(["wrapped", "b_nik", "b_nkk", "b_nd", "seal"]), st.binary(max_size=100))
def test_no_other_bytes_fit_beside_the_cells(column: str, data: bytes) -> None:
    """Nor can they be cut, stretched or replaced."""
    if data != getattr(ROW, column):
        assert_broken(replace(ROW, **{column: data}))


@given(st.integers(0, 13), st.binary(max_size=100))
def test_no_other_bytes_fit_in_a_cell(number: int, data: bytes) -> None:
    """A cell cannot be cut, stretched or replaced."""
    assert_broken(with_cell(ROW, number, data))


@given(st.sampled_from(CLEAR_TEXTS), st.text(max_size=30))
def test_any_changed_clear_text_is_found(column: str, text: str) -> None:
    """Region, TPS, election, status and uid stand in clear, but cannot be changed; nor can a lone surrogate break the check."""
    if text != getattr(ROW.clear, column):
        assert_broken(replace(ROW, clear=replace(ROW.clear, **{column: text})))


@given(st.sampled_from(["row_version", "key_epoch"]), st.integers(-(2**70), 2**70))
def test_any_changed_number_is_found(column: str, number: int) -> None:
    """Versions and epochs cannot be changed, not even to what four bytes cannot hold."""
    if number != getattr(ROW.clear, column):
        assert_broken(replace(ROW, clear=replace(ROW.clear, **{column: number})))


@pytest.mark.parametrize("junk", [None, 7, "text", memoryview(b"bytes")])
@pytest.mark.parametrize("column", ["wrapped", "b_nik", "b_nkk", "b_nd", "seal"])
def test_a_column_of_another_type_is_found(column: str, junk: object) -> None:
    """SQLite lets anybody with write access store another type; that is a broken seal, not a crash."""
    assert_broken(replace(ROW, **{column: junk}))


@pytest.mark.parametrize("junk", [None, 7, "text"])
def test_a_cell_or_clear_column_of_another_type_is_found(junk: object) -> None:
    """The same holds for cells and clear columns."""
    assert_broken(with_cell(ROW, 5, junk))  # type: ignore[arg-type]
    for column in fields(Clear):
        if getattr(ROW.clear, column.name) != junk:
            assert_broken(replace(ROW, clear=replace(ROW.clear, **{column.name: junk})))


@given(st.integers(0, 13), st.integers(0, 13))
def test_cells_cannot_change_places(one: int, other: int) -> None:
    """Two cells of one row swapped, even with a seal made for it by a holder of the keys, do not open."""
    if one == other:
        return
    swapped = with_cell(with_cell(ROW, one, ROW.cells[other]), other, ROW.cells[one])

    assert_broken(swapped)
    forged = reseal(KEY, swapped)
    check_seal(KEY, forged)
    with pytest.raises(SealBroken):
        open_dpid(KEY, forged) if 0 in (one, other) else open_row(KEY, forged, [ELEMENTS[one - 1]])


@given(st.integers(0, 13))
def test_a_cell_of_another_row_does_not_fit(number: int) -> None:
    """A neighbour's cell, copied over, is found."""
    neighbour = sealed(uid=OTHER_UID)

    assert_broken(with_cell(ROW, number, neighbour.cells[number]))


def test_a_cell_of_the_same_voter_sealed_before_does_not_fit() -> None:
    """An old cell rolled back into a newer row is found."""
    newer = sealed(row_version=4, values=[*VALUES[:3], "Ni Putu Ayu Lestari", *VALUES[4:]])

    assert_broken(with_cell(newer, 3, ROW.cells[3]))


def test_a_cell_newer_than_its_row_does_not_open() -> None:
    """A cell that claims a version its row has not reached is refused even under a valid seal."""
    forged = reseal(KEY, replace(ROW, clear=replace(ROW.clear, row_version=2)))

    with pytest.raises(SealBroken, match="newer than its row"):
        open_row(KEY, forged, [Element.NAMA])


def test_a_row_cannot_take_anothers_name() -> None:
    """A whole row under another voter's uid, or with another voter's key, is found."""
    neighbour = sealed(uid=OTHER_UID)

    assert_broken(replace(ROW, clear=replace(ROW.clear, uid=OTHER_UID)))
    assert_broken(replace(ROW, wrapped=neighbour.wrapped))
    assert_broken(replace(ROW, wrapped=neighbour.wrapped, seal=neighbour.seal))


def test_a_row_cannot_move_to_another_kab() -> None:
    """A row put under another kab is found, with that kab's key and with its own."""
    moved = replace(ROW, clear=replace(ROW.clear, kab="51.03"))

    assert_broken(moved)
    assert_broken(moved, seal_key("51.03"))


def test_a_row_opens_only_under_its_own_key() -> None:
    """Another epoch's key, or a key for another purpose with the same bytes, opens nothing."""
    assert_broken(ROW, seal_key(epoch=2))
    assert_broken(ROW, replace(KEY, purpose="blind"))


def test_missing_or_extra_cells_are_found() -> None:
    """A row has fourteen cells."""
    assert_broken(replace(ROW, cells=ROW.cells[:-1]))
    assert_broken(replace(ROW, cells=(*ROW.cells, ROW.cells[0])))
    assert_broken(replace(ROW, cells=()))


def test_the_error_names_the_voter_only_if_it_is_a_name() -> None:
    """A uid column into which somebody wrote a person's data is not repeated in the error."""
    with pytest.raises(SealBroken) as genuine:
        check_seal(KEY, replace(ROW, seal=bytes(32)))
    with pytest.raises(SealBroken) as overwritten:
        check_seal(KEY, replace(ROW, clear=replace(ROW.clear, uid="Ni Putu Ayu Lestari 517101")))

    assert str(genuine.value) == f"voter {UID}: a column, index or cell does not match the seal"
    assert str(overwritten.value).startswith("voter (malformed uid): ")


def test_a_cell_not_asked_for_is_never_decrypted() -> None:
    """With one cell made unreadable under a valid seal, the others still open, and only asking for it fails."""
    forged = reseal(KEY, with_cell(ROW, 2, flipped(ROW.cells[2], -1, 1)))
    others = [element for element in ELEMENTS if element is not Element.NIK]

    opened = open_row(KEY, forged, others)

    assert opened == {element: EVERYTHING[element] for element in others}
    with pytest.raises(SealBroken, match=f"^voter {UID}: c02: "):
        open_row(KEY, forged, [Element.NIK])


@given(st.sets(st.sampled_from(ELEMENTS)))
def test_exactly_what_is_asked_for_comes_out(wanted: set[Element]) -> None:
    """The answer has the asked-for elements and no others."""
    assert open_row(KEY, ROW, wanted) == {element: EVERYTHING[element] for element in wanted}


def test_equal_rows_have_nothing_in_common() -> None:
    """Two sealings of the same values differ in key, cells and seal, so that equality does not show."""
    again = sealed()

    assert not {ROW.wrapped, ROW.seal, *ROW.cells} & {again.wrapped, again.seal, *again.cells}


def test_blanks_do_not_show() -> None:
    """A blank and a short value have cells of the same length."""
    assert len(ROW.cells[11]) == len(ROW.cells[6]) == 45


def test_a_row_does_not_show_its_bytes_in_print() -> None:
    """repr names the clear columns only."""
    assert "cells" not in repr(ROW)
    assert "wrapped" not in repr(ROW)


def test_text_that_utf8_cannot_hold_is_refused_without_repeating_it() -> None:
    """The error names the column; neither it nor anything chained to it holds the value."""
    with pytest.raises(BadInput) as caught:
        sealed(values=[*VALUES[:3], "Rahasia\ud800", *VALUES[4:]])

    assert caught.value.field == "c03"
    assert "Rahasia" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("values", [VALUES[:13], (*VALUES, "extra"), ()])
def test_a_row_has_fourteen_values(values: tuple[str, ...]) -> None:
    """Too few or too many values are refused."""
    with pytest.raises(ValueError, match="14 values"):
        sealed(values=values)


@pytest.mark.parametrize("change", [{"kab": "51.03"}, {"key_epoch": 2}, {"uid": "short"}, {"row_version": -1}])
def test_a_row_is_sealed_only_under_its_own_key_and_shape(change: dict[str, str | int]) -> None:
    """A key of another kab or epoch, or a column of another width, is a mistake found at once."""
    with pytest.raises(ValueError, match=r"own kab and epoch|wrong shape"):
        seal_row(KEY, clear(**change), VALUES, b"", b"", b"")


BLOB_VALUES = ("7654321", "", 'Gdé "Raka"', "31|02|1990")


def quarantined(**changes: object) -> SealedBlob:
    blob = seal_blob(KEY, "51.71", UID, BLOB_VALUES, election="2029", load=OTHER_UID, row_no=41, reasons="NIK:bentuk")
    return replace(blob, **changes)  # type: ignore[arg-type]


BLOB = quarantined()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=20))
def test_a_quarantined_row_opens_as_it_was_read(values: list[str]) -> None:
    """Any number of fields with any text come back exactly."""
    blob = seal_blob(KEY, "51.71", UID, values, election="2029", load=OTHER_UID, row_no=1, reasons="")

    check_seal(KEY, blob)
    assert open_blob(KEY, blob) == tuple(values)


@given(st.sampled_from(["wrapped", "cell", "seal"]), POSITIONS, MASKS)
def test_any_changed_byte_of_a_quarantined_row_is_found(column: str, position: int, mask: int) -> None:
    """Wrapped key, cell and seal cannot be changed."""
    broken = replace(BLOB, **{column: flipped(getattr(BLOB, column), position, mask)})

    with pytest.raises(SealBroken, match=f"^quarantine {UID}: "):
        open_blob(KEY, broken)


@pytest.mark.parametrize("column", ["table", "kab", "election", "load", "reasons"])
@given(text=st.text(max_size=30))
def test_any_changed_clear_column_of_a_quarantined_row_is_found(column: str, text: str) -> None:
    """The reasons and everything else in clear are under the seal."""
    if text != getattr(BLOB, column):
        with pytest.raises(SealBroken):
            check_seal(KEY, replace(BLOB, **{column: text}))


@pytest.mark.parametrize("change", [{"row_no": 42}, {"row_no": -1}, {"key_epoch": 2}, {"cell": None}, {"wrapped": "x"}, {"uid": None}])
def test_numbers_and_types_of_a_quarantined_row_are_under_the_seal(change: dict[str, object]) -> None:
    """Another number or type is a broken seal, not a crash."""
    with pytest.raises(SealBroken):
        open_blob(KEY, quarantined(**change))


def test_a_row_of_the_roll_is_no_quarantined_row() -> None:
    """A sealed row's key and cell cannot be passed off as a quarantined one."""
    with pytest.raises(SealBroken):
        check_seal(KEY, replace(BLOB, wrapped=ROW.wrapped, cell=ROW.cells[0], seal=ROW.seal))


def test_a_quarantined_row_that_utf8_cannot_hold_is_refused_without_repeating_it() -> None:
    """The error says which value, not what it was."""
    with pytest.raises(BadInput) as caught:
        seal_blob(KEY, "51.71", UID, ["ok", "Rahasia\udc80"], election="2029", load=OTHER_UID, row_no=1, reasons="")

    assert caught.value.field == "c01"
    assert "Rahasia" not in str(caught.value)
