"""Searches by family card and by RT and RW: who may, what is found, what the log says, and page after page."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from app.factory import House
from app.kernel.errors import BadInput, Conflict, NotThere
from app.kernel.fields import Basis, Element, Purpose, Role
from app.touch import Listing
from app.voters import actions
from app.voters.actions import Place, Task
from tests.conftest import KAB, NEIGHBOUR, NOW, dp4_row, load_dp4, operator, task, write_dp4
from tests.walk_kit import Browser, content, entries, outcomes, person, size, supervision, tampered, uid_of

SANUR = "51.71.01.1006"
FAMILY = dp4_row(1)["NKK"]


def _names(listing: Listing) -> list[str]:
    return sorted(str(one.values[Element.NAMA]) for one in listing.shown)


def _where(given: dict[str, str], limit: int = 25, before: str | None = None) -> Place:
    return Place(SANUR, given.get("tps"), before, limit, given.get("rt"), given.get("rw"))


# ---- family card ----


def test_a_family_card_finds_its_household_and_nobody_else(house: House, tmp_path: Path) -> None:
    """All of one NKK in this kab; not the neighbours, nor the same number in another kab. One entry counts whom it opened."""
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1), dp4_row(2, NKK=FAMILY), dp4_row(3)]))
    load_dp4(house, write_dp4(tmp_path / "b.csv", [dp4_row(4, NKK=FAMILY, KECAMATAN="KUTA", DESA="KUTA")]), NEIGHBOUR)
    before = size(house)

    found = actions.find_by_nkk(house.guard, operator(house), task(), FAMILY, NOW)
    assert _names(found) == [dp4_row(1)["NAMA"], dp4_row(2)["NAMA"]]
    assert outcomes(house, before) == [("voter:search", "allowed")]
    assert content(house, before)["opened"] == 2
    assert FAMILY.encode() not in str(entries(house, before)).encode()


@pytest.mark.parametrize("nkk", ["", "5171", "517101010180000a", "51710101018000011", "５１７１０１０１０１８００００１"])
def test_a_number_of_another_shape_is_refused_before_anything(sqlite_house: House, nkk: str) -> None:
    """BadInput names the field, without an entry and without repeating what was typed."""
    before = size(sqlite_house)
    with pytest.raises(BadInput) as refused:
        actions.find_by_nkk(sqlite_house.guard, operator(sqlite_house), task(), nkk, NOW)

    assert refused.value.field == "nkk"
    assert not nkk or nkk not in f"{refused.value.detail} {refused.value.public}"
    assert size(sqlite_house) == before


def test_a_liaison_without_a_mandate_does_not_search_by_family_card(house: House, tmp_path: Path) -> None:
    """The number is not in full to that visit: nothing is opened, and the refusal is recorded."""
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1)]))
    before = size(house)

    with pytest.raises(NotThere):
        actions.find_by_nkk(house.guard, person(house, Role.BAWASLU_KAB, unit="pengawasan"), supervision(), FAMILY, NOW)
    assert outcomes(house, before) == [("voter:search", "denied")]


def test_an_index_that_is_far_too_coarse_says_so(sqlite_house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More candidates than are ever opened: no list with holes, but an error with a remedy, recorded."""
    load_dp4(sqlite_house, write_dp4(tmp_path / "a.csv", [dp4_row(number, NKK=FAMILY) for number in (1, 2, 3)]))
    monkeypatch.setattr(actions, "MOST_CANDIDATES", 2)
    before = size(sqlite_house)

    with pytest.raises(Conflict, match="gardu search plan"):
        actions.find_by_nkk(sqlite_house.guard, operator(sqlite_house), task(), FAMILY, NOW)
    assert outcomes(sqlite_house, before) == [("voter:search", "failed")]


# ---- RT and RW ----


@pytest.fixture
def streets(house: House, tmp_path: Path) -> House:
    """A desa of two TPS with three RT, and a voter of another desa."""
    rows = [
        dp4_row(1, RT="001", RW="002", TPS="001"), dp4_row(2, RT="1", RW="2", TPS="002"), dp4_row(3, RT="002", RW="002", TPS="001"),
        dp4_row(4, RT="003", RW="001", TPS="002"), dp4_row(5, RT="", RW="", TPS="001"),
        dp4_row(6, RT="001", RW="002", DESA="SESETAN", TPS="001"),
    ]  # fmt: skip
    load_dp4(house, write_dp4(tmp_path / "a.csv", rows))
    return house


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"rt": "1", "rw": "2"}, [1, 2]),
        ({"rt": "001"}, [1, 2]),
        ({"rw": "002"}, [1, 2, 3]),
        ({"rw": "2", "tps": "001"}, [1, 3]),
        ({"rt": "3", "rw": "2"}, []),
        ({"rt": "9"}, []),
    ],
)
def test_a_street_is_listed_from_its_sealed_numbers(streets: House, given: dict[str, str], found: list[int]) -> None:
    """RT 1 is RT 001; other desa and blank numbers stay out; the entry counts whom it opened, shown or not."""
    before = size(streets)
    listing, more = actions.browse(streets.guard, operator(streets), task(), _where(given), NOW)

    assert _names(listing) == sorted(dp4_row(number)["NAMA"] for number in found)
    assert more is None
    assert outcomes(streets, before) == [("voter:search", "allowed")]
    assert content(streets, before)["opened"] == (3 if "tps" in given else 5)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_of_a_street_show_everybody_once(streets: House, limit: int) -> None:
    """Page after page across TPS, each with an entry of its own; none opens a row twice."""
    before, seen, at, opened = size(streets), list[str](), None, 0
    while True:
        listing, at = actions.browse(streets.guard, operator(streets), task(), _where({"rw": "2"}, limit, at), NOW)
        seen += _names(listing)
        if at is None:
            break
    opened = sum(int(str(content(streets, seq)["opened"])) for seq in range(before, size(streets)))

    assert sorted(seen) == sorted(dp4_row(number)["NAMA"] for number in (1, 2, 3))
    assert opened == 5


def test_a_page_ends_after_so_many_rows_even_with_nothing_found(streets: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for an RT that is not there does not open a whole desa in one go."""
    monkeypatch.setattr(actions, "MOST_COMPARED", 2)
    listing, more = actions.browse(streets.guard, operator(streets), task(), _where({"rt": "9"}), NOW)

    assert listing.shown == ()
    assert more is not None
    assert content(streets, size(streets) - 1)["opened"] == 2


def test_whoever_may_not_see_rt_in_full_may_not_filter_by_it(streets: House) -> None:
    """A filter would unmask: the province sees a masked list, not who lives in one street; nothing is opened, and an entry says so."""
    province = person(streets, Role.KPU_PROV, "51")
    recap = Task(Purpose.REKAPITULASI, Basis.PKPU7_2022, KAB)
    listing, _ = actions.browse(streets.guard, province, recap, _where({"tps": "001"}), NOW)
    before = size(streets)

    for given in ({"rt": "1"}, {"rw": "2"}, {"rt": "1", "rw": "2", "tps": "001"}):
        with pytest.raises(NotThere):
            actions.browse(streets.guard, province, recap, _where(given), NOW)
    assert {listing.shown[0].grant.views[element].word for element in (Element.RT, Element.RW)} == {"ada"}
    assert outcomes(streets, before) == [("voter:search", "denied")] * 3
    assert entries(streets, before)[0]["rule"] == ["cari-perlu-utuh"]


def test_a_street_elsewhere_is_refused(streets: House) -> None:
    """Another kab's desa, whatever the form says."""
    before = size(streets)
    with pytest.raises(NotThere):
        actions.browse(streets.guard, operator(streets), task(), replace(_where({"rt": "1"}), desa="51.03.01.1002"), NOW)

    assert outcomes(streets, before) == [("voter:search", "denied")]


def test_a_broken_row_is_named_and_left_out(streets: House) -> None:
    """Its neighbours are still found."""
    uid, before = uid_of(streets, 1), 0
    with tampered(streets, "UPDATE voter SET c09 = c10 WHERE uid = :v", v=uid):
        before = size(streets)
        listing, _ = actions.browse(streets.guard, operator(streets), task(), _where({"rt": "1"}), NOW)

    assert _names(listing) == [dp4_row(2)["NAMA"]]
    assert listing.broken == (uid,)
    assert outcomes(streets, before) == [("voter:search", "broken"), ("voter:search", "allowed")]


# ---- the page ----


@pytest.fixture
def browser(sqlite_house: House, tmp_path: Path) -> Browser:
    """An operator at the search page, over a desa of two TPS and three voters of RT 1."""
    rows = [dp4_row(number, RT="001" if number < 4 else "002", TPS=f"{number % 2 + 1:03d}") for number in range(1, 7)]
    load_dp4(sqlite_house, write_dp4(tmp_path / "a.csv", rows))
    made = Browser(sqlite_house)
    made.sign_in()
    return made


ASKED = {"purpose": "pemutakhiran", "region": KAB}


def test_the_page_finds_a_household(browser: Browser) -> None:
    """By the number as people write it; it stands in no address."""
    page = browser.post("/voters/search", **ASKED, nkk="5171 0101-0110.0001")

    assert browser.status == 200
    assert dp4_row(1)["NAMA"] in page
    assert dp4_row(2)["NAMA"] not in page
    assert not any(FAMILY in address for address in browser.addresses)


def test_the_page_walks_through_a_street(browser: Browser) -> None:
    """Page after page by the form that each page brings, until there is none."""
    form, seen = {**ASKED, "desa": SANUR, "rt": "1", "limit": "2"}, ""
    for _ in range(9):
        page = browser.post("/voters/search", **form)
        seen += page
        if 'class="pager"' not in page:
            break
        pager = page.partition('class="pager"')[2].partition("</form>")[0]
        form = dict(re.findall(r'name="((?!csrf)\w+)" value="([^"]*)"', pager))
        assert "tps" not in form

    assert [seen.count(f">{dp4_row(number)['NAMA']}<") for number in range(1, 7)] == [1, 1, 1, 0, 0, 0]


def test_a_page_without_a_hit_offers_the_next_rows(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many rows were looked at, none fits, and more are left: that is not the end."""
    monkeypatch.setattr(actions, "MOST_COMPARED", 2)
    page = browser.post("/voters/search", **ASKED, desa=SANUR, rt="9")

    assert "Periksa baris berikutnya" in page
    assert "Tidak ditemukan" not in page


@pytest.mark.parametrize(
    "form",
    [
        {"nkk": "123"}, {"desa": SANUR}, {"desa": SANUR, "rt": "x"}, {"desa": SANUR, "rw": "1234"}, {"desa": SANUR, "rt": "1", "before": "a" * 26},
        {"desa": SANUR, "tps": "1", "before": f"001.{'a' * 26}"}, {"desa": SANUR, "rt": "1", "before": "001.x"},
        {"desa": SANUR, "rt": "1", "before": f"{'0' * 9}.{'a' * 26}"}, {"desa": SANUR, "rt": "1", "limit": "101"},
    ],
)  # fmt: skip
def test_nonsense_gets_the_form_again(browser: Browser, form: dict[str, str]) -> None:
    """400 with a sentence, and no entry beside that of the page."""
    before = size(browser.house)
    page = browser.post("/voters/search", **ASKED, **form)

    assert browser.status == 400
    assert "Belum berhasil" in page
    assert size(browser.house) == before


def test_a_coarse_index_is_said_on_the_page(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """409, with whom to ask and what to do meanwhile."""
    monkeypatch.setattr(actions, "MOST_CANDIDATES", 0)
    page = browser.post("/voters/search", **ASKED, nkk=FAMILY)

    assert browser.status == 409
    assert "Indeks pencarian wilayah ini perlu dibuat ulang" in page
