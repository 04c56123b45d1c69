"""What is loaded for the walk, still sealed: addresses, stages, keys of a search, pages of a list."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from app.factory import House
from app.kernel.errors import BadInput, NotThere
from app.kernel.fields import Element, Stage
from app.kernel.ids import new_uid
from app.voters import actions, elections
from app.voters.actions import LISTED, Place, parse_public_id
from tests.conftest import ELECTION, KAB, NEIGHBOUR, NOW, VOTING_DAY, dp4_row, load_dp4, operator, task, write_dp4
from tests.walk_kit import outcomes, size, tampered, uid_of

SANUR, KUTA = "51.71.01.1006", "51.03.01.1002"


# ---- addresses ----


def test_a_public_id_names_kab_and_row() -> None:
    """Written and read again."""
    uid = new_uid()

    assert parse_public_id(f"51.71-{uid}") == ("51.71", uid)


@pytest.mark.parametrize(
    "address",
    ["", "-", "51.71", "51.71-", "51.71-x", f"51-{'a' * 26}", f"51.71.01-{'a' * 26}", f"00-{'a' * 26}", f"51.71-{'A' * 26}", f"51.71-{'a' * 25}b",
     f"51.71--{'a' * 26}", f"-{'a' * 26}", f" 51.71-{'a' * 26}", f"51.71-{'a' * 26}\n", "51.71-" + "é" * 26],
)  # fmt: skip
def test_any_other_address_is_not_there(address: str) -> None:
    """Wrong shape and wrong row get the same answer."""
    with pytest.raises(NotThere):
        parse_public_id(address)


@given(st.text(max_size=60) | st.from_regex(r"[0-9.]{0,14}-[a-z2-7]{0,30}", fullmatch=True))
def test_no_text_of_an_address_is_anything_but_there_or_not_there(address: str) -> None:
    """Never another error, and what is accepted is exactly one spelling."""
    try:
        kab, uid = parse_public_id(address)
    except NotThere:
        return
    assert f"{kab}-{uid}" == address


# ---- what can be asked ----


@pytest.mark.parametrize(
    "nik",
    ["", "5171", "517101010180000a", "51710101018000011", "５１７１０１０１０１８００００１", "5171010101800001 ", "'; DROP TABLE voter"],
)
def test_a_nik_of_another_shape_is_refused_before_anything(sqlite_house: House, nik: str) -> None:
    """BadInput names the field, without an entry and without repeating what was typed."""
    before = size(sqlite_house)
    with pytest.raises(BadInput) as refused:
        actions.find_by_nik(sqlite_house.guard, operator(sqlite_house), task(), nik, NOW)

    assert refused.value.field == "nik"
    assert not nik or nik not in f"{refused.value.detail} {refused.value.public}"
    assert size(sqlite_house) == before


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
def test_a_name_that_is_none_is_refused(sqlite_house: House, name: str) -> None:
    """Empty, blank, or longer than any name."""
    with pytest.raises(BadInput) as refused:
        actions.find_by_name(sqlite_house.guard, operator(sqlite_house), task(), name, "1980-01-01", NOW)

    assert refused.value.field == "name"


def test_a_desa_elsewhere_is_refused_whatever_kab_the_form_says(sqlite_house: House) -> None:
    """The desa decides; the refusal is recorded."""
    before = size(sqlite_house)
    with pytest.raises(NotThere):
        actions.browse(sqlite_house.guard, operator(sqlite_house), task(), Place(KUTA, "001", None, 25), NOW)

    assert outcomes(sqlite_house, before) == [("voter:reveal", "denied")]


@pytest.mark.parametrize("desa", ["51.71", "51.71.01", "51.71.01.1006.1", "", "x", "51"])
def test_no_list_is_wider_than_a_desa(sqlite_house: House, tmp_path: Path, desa: str) -> None:
    """A kab or kecamatan in a desa's place lists nobody; nonsense is refused."""
    load_dp4(sqlite_house, write_dp4(tmp_path / "a.csv", [dp4_row(1)]))
    try:
        listing, more = actions.browse(sqlite_house.guard, operator(sqlite_house), task(), Place(desa, "001", None, 25), NOW)
    except (BadInput, NotThere):
        return
    assert (listing.shown, more) == ((), None)


# ---- stages ----


def test_a_kab_without_a_stage_has_no_voters(sqlite_house: House) -> None:
    """Nothing stands anywhere before the calendar says so; who asked is recorded."""
    before = size(sqlite_house)
    with pytest.raises(NotThere):
        actions.read_voter(sqlite_house.guard, operator(sqlite_house, "51.01"), task("51.01"), new_uid(), NOW)

    assert outcomes(sqlite_house, before) == [("voter:reveal", "failed")]


def test_the_newest_stage_in_force_counts(house: House) -> None:
    """Coming stages do not; the calendar keeps the past ones."""
    with house.store.writing() as session:
        for days, stage in ((1, Stage.DPSHP), (2, Stage.DPT), (9, Stage.DPK)):
            elections.set_stage(session, ELECTION, VOTING_DAY, [KAB], stage, "host:0", NOW + timedelta(days=days))

    stood = [_stage(house, KAB, NOW + timedelta(days=days)) for days in range(4)]
    assert stood == [Stage.DPS, Stage.DPSHP, Stage.DPT, Stage.DPT]
    assert _stage(house, NEIGHBOUR, NOW + timedelta(days=3)) == Stage.DPS


def _stage(house: House, kab: str, now: datetime) -> Stage:
    with house.store.reading() as session:
        present = elections.standing(session, kab, now)
    assert present is not None
    return present.stage


def test_setting_the_stage_it_stands_at_changes_nothing(house: House) -> None:
    """The count says how many kab changed."""
    with house.store.writing() as session:
        assert elections.set_stage(session, ELECTION, VOTING_DAY, [KAB, NEIGHBOUR], Stage.DPS, "host:0", NOW) == 0
        assert elections.set_stage(session, ELECTION, VOTING_DAY, [KAB], Stage.DPT, "host:0", NOW + timedelta(seconds=1)) == 1


def test_an_election_has_one_voting_day(house: House) -> None:
    """Ages hang on it."""
    with pytest.raises(BadInput) as refused, house.store.writing() as session:
        elections.set_stage(session, ELECTION, date(2029, 2, 15), [KAB], Stage.DPT, "host:0", NOW)

    assert refused.value.field == "voting-day"


@pytest.mark.parametrize("election", ["", "x" * 17, "2029 ", "pemilu é", 'a"b', "a\nb"])
def test_an_election_whose_name_no_entry_could_hold_is_refused(sqlite_house: House, election: str) -> None:
    """Before anything is written."""
    with pytest.raises(BadInput) as refused, sqlite_house.store.writing() as session:
        elections.set_stage(session, election, VOTING_DAY, [KAB], Stage.DPT, "host:0", NOW)

    assert refused.value.field == "election"


def test_the_calendar_cannot_be_rewritten(house: House) -> None:
    """Whoever asks later under which stage somebody read finds it."""
    with pytest.raises(DatabaseError), house.store.writing() as session:
        session.execute(text("UPDATE stage_calendar SET stage = 'dpt'"))

    assert _stage(house, KAB, NOW) == Stage.DPS


def test_the_stage_decides_what_is_shown(house: House, tmp_path: Path) -> None:
    """At dpt the operator's standing permission ends: the same voter, the same moment, another stage."""
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1)]))
    uid = uid_of(house, 1)
    with house.store.writing() as session:
        elections.set_stage(session, ELECTION, VOTING_DAY, [KAB], Stage.DPT, "host:0", NOW + timedelta(seconds=1))

    with pytest.raises(NotThere):
        actions.read_voter(house.guard, operator(house), task(), uid, NOW + timedelta(seconds=2))


def test_a_row_of_another_election_is_not_there(house: House, tmp_path: Path) -> None:
    """The roll asked is that of the election in force."""
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1)]))
    uid = uid_of(house, 1)
    with house.store.writing() as session:
        elections.set_stage(session, "2034", VOTING_DAY, [KAB], Stage.DPS, "host:0", NOW + timedelta(seconds=1))

    with pytest.raises(NotThere):
        actions.read_voter(house.guard, operator(house), task(), uid, NOW + timedelta(seconds=2))
    assert not actions.find_by_nik(house.guard, operator(house), task(), dp4_row(1)["NIK"], NOW + timedelta(seconds=2)).shown


# ---- lists ----


@pytest.mark.parametrize("limit", [1, 3, 5, 6, 100])
def test_paging_shows_every_voter_once(sqlite_house: House, tmp_path: Path, limit: int) -> None:
    """Page after page until there is no next one; each page its own entry; other TPS and desa stay out."""
    rows = [*(dp4_row(number) for number in range(1, 7)), dp4_row(8, TPS="002"), dp4_row(9, DESA="SESETAN")]
    load_dp4(sqlite_house, write_dp4(tmp_path / "a.csv", rows))
    before, pages, names, cursor = size(sqlite_house), 0, list[object](), None

    while pages < 10:
        listing, cursor = actions.browse(sqlite_house.guard, operator(sqlite_house), task(), Place(SANUR, "001", cursor, limit), NOW)
        assert len(listing.shown) <= limit
        names += [one.values[Element.NAMA] for one in listing.shown]
        pages += 1
        if cursor is None:
            break
    assert sorted(map(str, names)) == sorted(dp4_row(number)["NAMA"] for number in range(1, 7))
    assert outcomes(sqlite_house, before) == [("voter:reveal", "allowed")] * pages


def test_a_list_shows_no_identity_number(sqlite_house: House, tmp_path: Path) -> None:
    """Enough to recognise a person; the numbers are on the voter's own page, under an entry of their own."""
    load_dp4(sqlite_house, write_dp4(tmp_path / "a.csv", [dp4_row(1)]))
    listing, _ = actions.browse(sqlite_house.guard, operator(sqlite_house), task(), Place(SANUR, "001", None, 25), NOW)

    assert set(listing.shown[0].values) == set(LISTED)
    assert not {Element.NIK, Element.NKK, Element.TANGGAL_LAHIR, Element.DISABILITAS} & set(LISTED)


def test_a_row_struck_from_the_roll_is_not_listed_and_still_checked(sqlite_house: House, tmp_path: Path) -> None:
    """Readers do not see it; the check of the store does."""
    load_dp4(sqlite_house, write_dp4(tmp_path / "a.csv", [dp4_row(1), dp4_row(2)]))
    uid = uid_of(sqlite_house, 1)
    with tampered(sqlite_house, "UPDATE voter SET status = 'dihapus' WHERE uid = :v", v=uid):
        listing, _ = actions.browse(sqlite_house.guard, operator(sqlite_house), task(), Place(SANUR, "001", None, 25), NOW)
        with sqlite_house.store.reading() as session:
            kept = actions.rows_by_uid(session, KAB, [uid])

    assert uid not in {one.row.uid for one in listing.shown}
    assert [row.clear.status for row in kept] == ["dihapus"]


def test_namesakes_born_the_same_day_are_both_found(sqlite_house: House, tmp_path: Path) -> None:
    """And nobody who only shares the name, or only the day."""
    same = {"NAMA": "NI MADE SARI"}
    rows = [dp4_row(1, **same), dp4_row(2, **same), dp4_row(3, **same, TGL_LHR="02|01|1980"), dp4_row(4)]
    load_dp4(sqlite_house, write_dp4(tmp_path / "a.csv", rows))

    found = actions.find_by_name(sqlite_house.guard, operator(sqlite_house), task(), "Ni Made Sari", "1980-01-01", NOW)
    assert {one.row.uid for one in found.shown} == {uid_of(sqlite_house, 1), uid_of(sqlite_house, 2)}


def test_a_voter_of_the_neighbour_is_not_found_by_nik(house: House, tmp_path: Path) -> None:
    """The index is national, the search is not."""
    theirs = dp4_row(1, KECAMATAN="KUTA", DESA="KUTA")
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(2)]))
    load_dp4(house, write_dp4(tmp_path / "b.csv", [theirs]), NEIGHBOUR)

    assert not actions.find_by_nik(house.guard, operator(house), task(), theirs["NIK"], NOW).shown
    there = actions.find_by_nik(house.guard, operator(house, NEIGHBOUR), task(NEIGHBOUR), theirs["NIK"], NOW)
    assert len(there.shown) == 1
