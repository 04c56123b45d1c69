"""The pages over HTTP: whom they let in, what they show and in which order, what they never show."""

from __future__ import annotations

import re

import pytest

from app.kernel.ids import new_uid
from app.subjects.routes import PAGE
from tests.conftest import KAB, NEIGHBOUR
from tests.subjects.subjects_kit import MARKED, PEOPLE, Site, edit, kinds, main_rows, plain, statements
from tests.walk_kit import outcomes, seen_in, size


def test_the_number_goes_by_form_to_the_voters_page(sqlite_site: Site) -> None:
    """Typed with capitals and a space; the address that follows is the voter's own."""
    site = sqlite_site
    site.browser("pdp")

    sent = site.post("pdp", "/subjects", "/subjects", subject=f" {KAB}-{site.voter.upper()} ")
    assert (sent.status_code, sent.location) == (303, site.address)
    assert site.get("pdp", site.address).status_code == 200


def test_a_wrong_number_comes_back_and_a_nik_does_not(sqlite_site: Site) -> None:
    """Nothing is looked up; what was typed stays in the form, unless it is a NIK."""
    site = sqlite_site
    site.browser("pdp")

    wrong = site.post("pdp", "/subjects", "/subjects", subject="51.71-abc")
    assert wrong.status_code == 400 and 'value="51.71-abc"' in wrong.text and "Periksa ketikannya" in plain(wrong)
    nik = site.post("pdp", "/subjects", "/subjects", subject=MARKED["NIK"])
    assert nik.status_code == 400 and "Itu tampaknya NIK" in plain(nik)
    assert MARKED["NIK"] not in nik.text


def test_the_page_answers_in_plain_words(site: Site) -> None:
    """How often, by whom, from where, which elements in which view, for what; who tried in vain; what the reading's own number is."""
    site.opens(times=2)
    site.opens("bawaslu")
    site.is_refused()

    page = site.get("pdp", site.address)
    told = plain(page)
    assert "Data pemilih ini dibuka 3 kali, oleh 2 orang dari 2 kantor." in told
    assert kinds(page) == ["ditolak", "dibuka", "dibuka", "dibuka", "dimuat"]
    assert "Orang bawaslu Penghubung Bawaslu kab/kota, Bawaslu Kota Denpasar" in told
    assert "Pengawasan oleh Bawaslu UU 7/2017" in told
    assert "disamarkan Nomor Kartu Keluarga (NKK), Nomor Induk Kependudukan (NIK)" in told
    assert "Dicoba, ditolak, tidak ada yang terbuka" in told
    assert "Operator KPU kab/kota memutakhirkan daftar di wilayahnya sendiri (kpu-kab-pemutakhiran)" in told
    assert "Sistem Proses otomatis" in told and "1 Des 2026 11.00 WITA" in told
    assert f'data-receipt="{size(site.house) - 1}"' in page.text


def test_the_reading_of_the_log_is_told_apart(sqlite_site: Site) -> None:
    """What the officer read before stands under a fold of its own, and not among what touched the data."""
    site = sqlite_site
    site.get("pdp", site.address)
    site.get("pdp", f"{site.address}/report.pdf")

    page = site.get("pdp", site.address)
    fold = page.text.partition('<details class="fold readings"')[2]
    assert re.findall(r'data-kind="(\w+)"', fold) == ["jejak", "jejak"]
    assert main_rows(page) == seen_in(site.house, site.voter)[:1]
    assert "Data pemilih ini belum pernah dibuka" in plain(page)


def test_pages_of_fifty_newest_first(sqlite_site: Site) -> None:
    """Every entry once, in order, over as many pages as it takes; the numbers on top are those of all of them."""
    site = sqlite_site
    site.opens(times=PAGE + 5)
    path, rows = site.address, []
    while path:
        page = site.get("pdp", path)
        rows.append(main_rows(page))
        assert f"dibuka {PAGE + 5} kali" in plain(page)
        older = re.search(r'href="([^"]+\?before=\d+)"', page.text)
        path = older[1] if older else ""

    flat = [seq for page in rows for seq in page]
    assert [len(page) for page in rows] == [PAGE, 6]
    assert flat == sorted(flat, reverse=True) and len(set(flat)) == PAGE + 6


@pytest.mark.parametrize("before", ["", "x", "-1", "1" * 16, "1.5", "²"])
def test_a_cursor_that_is_no_number_is_refused(sqlite_site: Site, before: str) -> None:
    assert sqlite_site.get("pdp", f"{sqlite_site.address}?before={before}").status_code == 400


def test_a_cursor_before_everything_is_an_empty_page(sqlite_site: Site) -> None:
    page = sqlite_site.get("pdp", f"{sqlite_site.address}?before=0")

    assert page.status_code == 200 and main_rows(page) == []
    assert f'href="{sqlite_site.address}"' in page.text


@pytest.mark.parametrize("name", [name for name in PEOPLE if not name.startswith("pdp")])
def test_no_other_role_gets_in(sqlite_site: Site, name: str) -> None:
    """403 before anything is looked up; nothing of it is in the log."""
    site = sqlite_site
    site.browser(name)
    before = size(site.house)
    for path in ("/subjects", site.address, f"{site.address}/report.pdf"):
        assert site.get(name, path).status_code == 403
    assert site.post(name, "/me/password", "/subjects", subject=f"{KAB}-{site.voter}").status_code == 403

    assert size(site.house) == before
    assert "/subjects" not in site.get(name, "/").text


def test_elsewhere_and_nobody_give_the_same_page(site: Site) -> None:
    """Byte for byte but for the request's number and what carries the session; page and report alike, each an entry."""
    site.browser("pdp")
    pages = set()
    for public_id in (f"{NEIGHBOUR}-{site.away}", f"{KAB}-{new_uid()}", f"{KAB}-{site.away}"):
        for path in (f"/subjects/{public_id}", f"/subjects/{public_id}/report.pdf"):
            before = size(site.house)
            answer = site.get("pdp", path)
            assert answer.status_code == 404 and size(site.house) == before + 1
            pages.add(re.sub(r'name="(?:csrf_token|next)" value="[^"]*"|[a-z2-7]{26}', "", answer.text))

    assert len(pages) == 1
    assert [outcome for _action, outcome in outcomes(site.house)[-6:]] == ["denied"] * 2 + ["failed"] * 4


@pytest.mark.parametrize("public_id", ["51.71", "51.71-" + "a" * 25, "51-" + "a" * 26, "x" * 200])
def test_an_address_that_cannot_be_a_voters_writes_nothing(sqlite_site: Site, public_id: str) -> None:
    sqlite_site.browser("pdp")
    before = size(sqlite_site.house)

    assert sqlite_site.get("pdp", f"/subjects/{public_id}").status_code == 404
    assert size(sqlite_site.house) == before


def test_an_edited_entry_gives_the_page_of_a_broken_seal(sqlite_site: Site) -> None:
    """500, nothing of the voter's history on it, for page and report."""
    site = sqlite_site
    site.opens()
    site.browser("pdp")
    edit(site.house, seen_in(site.house, site.voter)[-1], "body", b"{}")

    for path in (site.address, f"{site.address}/report.pdf"):
        answer = site.get("pdp", path)
        assert answer.status_code == 500 and "Segel" in plain(answer)
        assert "Orang operator" not in answer.text
    assert (site.last["action"], site.last["outcome"]) == ("trail:read", "broken")


def test_no_value_of_the_voter_is_on_the_page(sqlite_site: Site) -> None:
    """Opened in full by an operator, listed and corrected: the page knows elements, never values."""
    site = sqlite_site
    site.opens()
    told = site.get("pdp", site.address).text + site.get("pdp", "/subjects").text

    assert not [value for value in MARKED.values() if value in told]


def test_as_many_statements_for_sixty_as_for_three(site: Site) -> None:
    """Page and report ask the database no more often when the list is long."""
    site.opens(times=3)
    for path in (site.address, f"{site.address}/report.pdf"):
        site.get("pdp", path)
    counts = []
    for more in (0, 57):
        site.opens(times=more)
        with statements(site.house) as sent:
            assert site.get("pdp", site.address).status_code == 200
            assert site.get("pdp", f"{site.address}/report.pdf").status_code == 200
        counts.append(len(sent))

    assert counts[0] == counts[1]


def test_home_and_navigation_lead_here_and_here_leads_on(sqlite_site: Site) -> None:
    """The first step on an officer's home page; from the voter's page to the request for a mandate, the number filled in."""
    site = sqlite_site
    home = site.get("pdp", "/")

    assert home.text.count('href="/subjects"') >= 2
    link = re.search(r'href="(/requests/new\?subject=[^"]+)"', site.get("pdp", site.address).text)
    assert link and f'value="{KAB}-{site.voter}"' in site.get("pdp", link[1]).text


def test_the_desk_lists_ones_own_reports(sqlite_site: Site) -> None:
    """Number, place and digest, newest first, with a receipt that can be fetched; not those of a colleague, and no voter's number."""
    site = sqlite_site
    for _ in range(2):
        site.get("pdp", f"{site.address}/report.pdf")
    desk = site.get("pdp", "/subjects")

    links = re.findall(r'href="(/me/activity/\d+/receipt)"', desk.text)
    assert len(links) == 2 and site.get("pdp", links[0]).status_code == 200
    assert site.voter not in desk.text
    assert "Laporan terakhir Anda" not in plain(site.get("pdp.ri", "/subjects"))
