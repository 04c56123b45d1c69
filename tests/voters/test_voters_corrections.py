"""An operator corrects one element: one cell, one entry, no value anywhere but under its seal."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from app.custody.storecheck import check_store
from app.factory import House
from app.kernel.errors import BadInput, Conflict, NotThere, SealBroken, StepUpNeeded
from app.kernel.fields import ELEMENTS, Element, Role, Stage
from app.touch import Change
from app.voters import actions, corrections, elections
from app.voters.rules.corrections import CODES, parse_reason, parse_value
from tests.conftest import ELECTION, KAB, NEIGHBOUR, VOTING_DAY, dp4_row, load_dp4, operator, task, write_dp4
from tests.walk_kit import content, entries, entry_at, rows_of, size, tamper

NEW_STREET = "JL. PERBAIKAN NO. 77"


def wanted(element: Element = Element.ALAMAT, value: str = NEW_STREET) -> Change:
    return Change(element, value, "coklit", "dicocokkan saat coklit")


def roll_of(house: House, tmp_path: Path, *numbers: int) -> list[str]:
    """Load some voters; return their uids in the order of *numbers*."""
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(number) for number in numbers]))
    now = house.clock.now()
    return [actions.find_by_nik(house.guard, operator(house), task(), dp4_row(n)["NIK"], now).shown[0].row.uid for n in numbers]


def value_of(house: House, uid: str, element: Element) -> str | None:
    shown, _ = actions.read_voter(house.guard, operator(house), task(), uid, house.clock.now())
    return shown.values[element]


def store_is_sound(house: House) -> bool:
    return list(check_store(house.guard, lambda done, total: None)) == []


def test_a_correction_changes_one_cell_and_writes_one_entry(house: House, tmp_path: Path) -> None:
    """The new value is there, the store fits the log, and the entry names element and digests, never a value."""
    (uid,) = roll_of(house, tmp_path, 1)
    before = rows_of(house, "SELECT * FROM voter")[0]

    receipt = corrections.correct(house.roll, operator(house), task(), uid, wanted(), 1, house.clock.now())
    after = rows_of(house, "SELECT * FROM voter")[0]
    entry, private = entry_at(house, receipt.seq), content(house, receipt.seq)
    assert value_of(house, uid, Element.ALAMAT) == NEW_STREET
    assert {name for name in before if before[name] != after[name]} == {"c08", "row_version", "seal"}
    assert (entry["action"], entry["outcome"], entry["fields"]) == ("voter:change", "done", {"alamat": "utuh"})
    assert private["element"] == "alamat"
    assert private["before"] != private["after"]
    assert NEW_STREET not in str(entry) + str(private)
    assert dp4_row(1)["ALAMAT"] not in str(entry) + str(private)
    assert store_is_sound(house)


def test_the_digests_bear_out_a_claim_about_the_values(house: House, tmp_path: Path) -> None:
    """Whoever holds the audit key can say whether a claimed old and new value are the true ones."""
    (uid,) = roll_of(house, tmp_path, 1)

    receipt = corrections.correct(house.roll, operator(house), task(), uid, wanted(), 1, house.clock.now())
    private = content(house, receipt.seq)
    digest = house.guard.payloads.value_digest
    salt = bytes.fromhex(str(private["digest_salt"]))
    assert digest(salt, uid, "alamat", dp4_row(1)["ALAMAT"]).hex() == private["before"]
    assert digest(salt, uid, "alamat", NEW_STREET).hex() == private["after"]


@pytest.mark.parametrize(
    ("element", "value"),
    [
        (Element.NAMA, "PUTU BARU"),
        (Element.TANGGAL_LAHIR, "1981-02-03"),
        (Element.NIK, "5171010202820099"),
        (Element.NKK, "5171010202820098"),
    ],
)
def test_who_was_corrected_is_found_under_the_new_key_and_not_under_the_old(
    house: House, tmp_path: Path, element: Element, value: str
) -> None:
    """The blind indexes follow the correction."""
    (uid,) = roll_of(house, tmp_path, 1)
    row, actor, now = dp4_row(1), operator(house), house.clock.now()
    old = {Element.NIK: row["NIK"], Element.NAMA: row["NAMA"], Element.TANGGAL_LAHIR: "1980-01-01"}
    new = {**old, element: value}

    corrections.correct(house.roll, actor, task(), uid, wanted(element, value), 1, now)
    by_nik = actions.find_by_nik(house.guard, actor, task(), new[Element.NIK], now).shown
    by_name = actions.find_by_name(house.guard, actor, task(), new[Element.NAMA], new[Element.TANGGAL_LAHIR], now).shown
    assert [one.row.uid for one in (*by_nik, *by_name)] == [uid, uid]
    if element is Element.NIK:
        assert not actions.find_by_nik(house.guard, actor, task(), row["NIK"], now).shown
    if element in {Element.NAMA, Element.TANGGAL_LAHIR}:
        assert not actions.find_by_name(house.guard, actor, task(), row["NAMA"], "1980-01-01", now).shown
    assert store_is_sound(house)


def test_a_nik_that_somebody_has_is_refused_and_recorded(house: House, tmp_path: Path) -> None:
    """Two voters never share a NIK by correction."""
    first, second = roll_of(house, tmp_path, 1, 2)

    with pytest.raises(Conflict):
        corrections.correct(house.roll, operator(house), task(), second, wanted(Element.NIK, dp4_row(1)["NIK"]), 1, house.clock.now())
    last = entries(house)[-1]
    assert (last["action"], last["outcome"], last["rule"]) == ("voter:change", "failed", ["nik-ganda"])
    assert set(content(house, size(house) - 1)["subjects"]) == {first, second}
    assert value_of(house, second, Element.NIK) == dp4_row(2)["NIK"]


def test_two_people_cannot_give_the_same_new_nik_to_two_voters(house: House, tmp_path: Path) -> None:
    """Of two corrections at once one stands."""
    uids, done = roll_of(house, tmp_path, 1, 2), []

    def give(uid: str) -> None:
        try:
            change = wanted(Element.NIK, "5171010202820099")
            done.append(corrections.correct(house.roll, operator(house), task(), uid, change, 1, house.clock.now()))
        except Conflict:
            pass

    threads = [threading.Thread(target=give, args=(uid,)) for uid in uids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(done) == 1
    assert store_is_sound(house)


def test_of_two_forms_of_one_row_only_the_first_is_saved(house: House, tmp_path: Path) -> None:
    """Nobody overwrites what they have not seen."""
    (uid,) = roll_of(house, tmp_path, 1)
    corrections.correct(house.roll, operator(house), task(), uid, wanted(), 1, house.clock.now())

    with pytest.raises(Conflict):
        corrections.correct(house.roll, operator(house), task(), uid, wanted(value="JL. LAIN"), 1, house.clock.now())
    assert value_of(house, uid, Element.ALAMAT) == NEW_STREET


def test_the_same_value_changes_nothing(house: House, tmp_path: Path) -> None:
    """The row keeps its version; the try is in the log."""
    (uid,) = roll_of(house, tmp_path, 1)

    with pytest.raises(Conflict):
        corrections.correct(house.roll, operator(house), task(), uid, wanted(value=dp4_row(1)["ALAMAT"]), 1, house.clock.now())
    assert rows_of(house, "SELECT row_version FROM voter") == [{"row_version": 1}]
    assert entries(house)[-1]["rule"] == ["nilai-sama"]


def test_who_may_not_correct_is_refused_and_recorded(house: House, tmp_path: Path) -> None:
    """The neighbour's operator, a liaison, and an operator who also administers: the same answer as for nobody, and an entry each."""
    (uid,) = roll_of(house, tmp_path, 1)
    liaison = operator(house, office=f"bawaslu-{KAB}", role=Role.BAWASLU_KAB, roles=frozenset({Role.BAWASLU_KAB}))
    both = operator(house, roles=frozenset({Role.KPU_KAB, Role.ADMIN_SISTEM}))
    begun = size(house)

    for actor in (operator(house, NEIGHBOUR), liaison, both):
        with pytest.raises(NotThere):
            corrections.correct(house.roll, actor, task(), uid, wanted(), 1, house.clock.now())
    assert [(one["action"], one["outcome"]) for one in entries(house, begun)] == [("voter:change", "denied")] * 3
    assert rows_of(house, "SELECT row_version FROM voter") == [{"row_version": 1}]


def test_a_stage_without_corrections_refuses(house: House, tmp_path: Path) -> None:
    """Once the roll is fixed (DPT) nothing is corrected any more."""
    (uid,) = roll_of(house, tmp_path, 1)
    house.clock.move(seconds=1)  # type: ignore[attr-defined]  # the fixture's clock
    with house.store.writing() as session:
        elections.set_stage(session, ELECTION, VOTING_DAY, [KAB], Stage.DPT, "host:0", house.clock.now())

    with pytest.raises(NotThere):
        corrections.correct(house.roll, operator(house), task(), uid, wanted(), 1, house.clock.now())


@pytest.mark.parametrize("element", [Element.NIK, Element.NKK])
def test_an_identifier_is_changed_only_with_a_fresh_code(house: House, tmp_path: Path, element: Element) -> None:
    """After a quarter of an hour the code is asked for again, and the try is in the log."""
    (uid,) = roll_of(house, tmp_path, 1)
    tired = replace(operator(house), factor_at=house.clock.now() - timedelta(minutes=16))

    with pytest.raises(StepUpNeeded):
        corrections.correct(house.roll, tired, task(), uid, wanted(element, "5171010202820099"), 1, house.clock.now())
    assert entries(house)[-1]["rule"] == ["ubah-perlu-kode-baru"]
    assert rows_of(house, "SELECT row_version FROM voter") == [{"row_version": 1}]


def test_a_tampered_row_is_not_corrected(house: House, tmp_path: Path) -> None:
    """A correction never heals a broken seal; the break is in the log."""
    (uid,) = roll_of(house, tmp_path, 1)
    tamper(house, "UPDATE voter SET tps = '002'")

    with pytest.raises(SealBroken):
        corrections.correct(house.roll, operator(house), task(), uid, wanted(), 1, house.clock.now())
    assert entries(house)[-1]["outcome"] == "broken"


def test_a_corrected_row_put_back_is_found(house: House, tmp_path: Path) -> None:
    """A database superuser who restores the row of before is named by the check against the log."""
    (uid,) = roll_of(house, tmp_path, 1)
    old = rows_of(house, "SELECT c08, row_version, seal FROM voter")[0]
    corrections.correct(house.roll, operator(house), task(), uid, wanted(), 1, house.clock.now())

    tamper(house, "UPDATE voter SET c08 = :c08, row_version = :row_version, seal = :seal", **old)
    assert any("put back to version 1" in found.what for found in check_store(house.guard, lambda done, total: None))


def test_the_history_names_load_and_corrections_and_is_itself_recorded(house: House, tmp_path: Path) -> None:
    """Newest first, with ground and reason, and no value."""
    (uid,) = roll_of(house, tmp_path, 1)
    corrections.correct(house.roll, operator(house), task(), uid, wanted(), 1, house.clock.now())

    events = corrections.history(house.roll, operator(house), task(), uid, house.clock.now())
    assert [(event.action, event.element, event.ground, event.mine) for event in events] == [
        ("voter:change", Element.ALAMAT, "coklit", True),
        ("voter:import", None, "", False),
    ]
    last = entries(house)[-1]
    assert (last["action"], last["subjects"]["count"]) == ("trail:read", 1)  # type: ignore[index]  # an entry's own form


def test_the_form_opens_one_element_and_no_other(house: House, tmp_path: Path) -> None:
    """The entry of the form names the element alone."""
    (uid,) = roll_of(house, tmp_path, 1)

    shown, _, version = corrections.open_one(house.roll, operator(house), task(), uid, Element.RT, house.clock.now())
    assert dict(shown.values) == {Element.RT: "001"}
    assert version == 1
    assert entries(house)[-1]["fields"] == {"rt": "utuh"}


@pytest.mark.parametrize(
    ("element", "typed", "stored"),
    [
        (Element.NIK, "5171 0101 0180 0001", "5171010101800001"), (Element.TANGGAL_LAHIR, "31-12-1990", "1990-12-31"),
        (Element.NAMA, "  NI LUH  ", "NI LUH"), (Element.JENIS_KELAMIN, "P", "P"), (Element.ALAMAT, "=1+1", "=1+1"), (Element.RT, "", ""),
    ],
)  # fmt: skip
def test_what_is_typed_becomes_what_is_stored(element: Element, typed: str, stored: str) -> None:
    """Blanks go, dates become ISO, everything else stays; a formula is text."""
    assert parse_value(element, typed, VOTING_DAY) == stored


@pytest.mark.parametrize(
    ("element", "typed"),
    [
        (Element.NIK, "517101"), (Element.NIK, "5171019913800001"), (Element.NKK, "5171O10101800001"), (Element.TANGGAL_LAHIR, "31-02-1990"),
        (Element.TANGGAL_LAHIR, "2030-01-01"), (Element.NAMA, ""), (Element.NAMA, "A\u200bB"), (Element.ALAMAT, "X" * 401),
        (Element.JENIS_KELAMIN, "X"), (Element.RT, "00\n1"),
    ],
)  # fmt: skip
def test_what_cannot_be_stored_is_refused_without_being_repeated(element: Element, typed: str) -> None:
    """The error names the field and never the value."""
    with pytest.raises(BadInput) as caught:
        parse_value(element, typed, VOTING_DAY)

    assert caught.value.field == "value"
    assert not typed or typed not in str(caught.value) + caught.value.public


def test_every_element_has_a_rule() -> None:
    """No element falls through: each refuses a text of 5,000 characters."""
    for element in ELEMENTS:
        with pytest.raises(BadInput):
            parse_value(element, "9" * 5000, date(2029, 2, 14))
    assert set(CODES) < set(ELEMENTS)


@pytest.mark.parametrize("typed", ["", ".", "   ", "pendek", "x" * 501, "NIK lama 5171010101800001 salah"])
def test_an_empty_reason_or_one_with_a_nik_is_refused(typed: str) -> None:
    """A point is no reason, and no identity number stands in free text."""
    with pytest.raises(BadInput) as caught:
        parse_reason(typed)

    assert caught.value.field == "reason"
