"""Help and glossary over HTTP: who reads what, which links stand there, and that nothing typed comes back."""

from __future__ import annotations

import html
import re

import pytest
from flask.testing import FlaskClient

from app.factory import House
from app.guide.desks import CALLS, DESKS
from app.guide.terms import TERMS
from app.kernel.fields import Role
from app.web.pages import ROLE_LABELS
from tests.laws.test_routes import Site, site, token

__all__ = ["site"]


def member(site: Site, role: Role) -> FlaskClient:
    return site.full(*site.join(role.value))


def main_of(text: str) -> str:
    return text[text.index("<main") : text.index("</main>")]


def links(text: str) -> list[str]:
    return [html.unescape(link) for link in re.findall(r'<a [^>]*href="([^"#][^"]*)"', main_of(text))]


def test_every_role_reads_the_help_of_its_desk(site: Site) -> None:
    """The heading names the role, all steps are there, and every link leads to a page that this role may open."""
    for role, desk in DESKS.items():
        browser = member(site, role)
        text = browser.get("/help").text

        assert f"Bantuan: {ROLE_LABELS[role]}" in html.unescape(text)
        assert [step.title for step in desk.steps if step.title not in html.unescape(text)] == []
        assert len(links(text)) >= 3
        for link in links(text):
            assert browser.get(link).status_code in (200, 303), (role, link)


def test_every_page_a_desk_names_is_there(site: Site) -> None:
    """No step of a desk lost its link because an address changed."""
    for role, desk in DESKS.items():
        shown = links(member(site, role).get("/help").text)

        assert [step.path for step in desk.steps if step.path and step.path not in shown] == [], role


def test_the_help_of_another_role_has_no_link_that_refuses(site: Site) -> None:
    """People train each other; a page of the other role is named, not linked."""
    browser = member(site, Role.PENYETUJU)
    text = browser.get("/help?role=kpu_kab").text

    assert "Bantuan: Operator KPU kab/kota" in text
    assert '<option value="kpu_kab" selected' in text
    assert "/intake" not in links(text)
    assert [link for link in links(text) if browser.get(link).status_code not in (200, 303)] == []


@pytest.mark.parametrize("asked", ["", "proses", "raja"])
def test_an_unknown_role_counts_as_none(site: Site, asked: str) -> None:
    assert "Bantuan: Penyetuju" in member(site, Role.PENYETUJU).get(f"/help?role={asked}").text


def test_whom_to_call_is_named_by_name(site: Site) -> None:
    """The nearest of the KPU, never oneself, never somebody who was only invited."""
    operator = member(site, Role.KPU_KAB)
    site.join("admin_sistem", must_change=True, enrolled=False)
    assert main_of(operator.get("/help").text).count("Belum ada orang lain dengan peran ini") == len(CALLS)
    admin = member(site, Role.ADMIN_SISTEM)

    assert main_of(operator.get("/help").text).count("<strong>Orang Uji</strong>, KPU RI") == 1
    assert "<strong>Orang Uji</strong>" not in main_of(admin.get("/help").text)


def test_home_begins_with_the_desks_first_steps(site: Site) -> None:
    """While nothing waits every role is told where to begin, each page once, and where the rest of the help is."""
    for role, desk in DESKS.items():
        text = html.unescape(member(site, role).get("/").text)
        if "Tidak ada yang menunggu." not in text:
            continue
        begun = re.findall(r"<li><h3>(.*?)</h3>", text[text.index('id="langkah"') :])

        assert begun == [step.title for step in desk.steps if step.begin], role
        assert 'href="/help"' in main_of(text)


def test_reading_help_writes_nothing(site: Site) -> None:
    browser = member(site, Role.KPU_KAB)
    before = site.entries()

    browser.get("/help")
    browser.get("/glossary?q=izin")

    assert site.entries() == before


def test_anybody_reads_the_glossary(site: Site) -> None:
    """All terms, each with its anchor; every link inside leads to one."""
    text = site.app.test_client().get("/glossary").text
    anchors = set(re.findall(r'id="([^"]+)"', text))

    assert {term.anchor for term in TERMS} <= anchors
    assert set(re.findall(r'href="#([^"]+)"', text)) <= anchors
    assert text.count("<dt>") == len(TERMS)


def test_the_filter_works_without_a_script(site: Site) -> None:
    """What matches stays, what is asked for stands in the box again, and the rest is one link away."""
    text = site.app.test_client().get("/glossary?q=Pemilih+Tetap").text

    assert 'id="dpt"' in text
    assert 'id="nik"' not in text
    assert 'value="Pemilih Tetap"' in text
    assert "/glossary" in links(text)


def test_no_match_says_what_to_do(site: Site) -> None:
    text = site.app.test_client().get("/glossary?q=qwerty").text

    assert "Istilah ini belum ada di daftar" in text
    assert "<dt>" not in text


@pytest.mark.parametrize("typed", ["5171010101900001", "51.71.01.01.01.90.0001", "31-12-1990"])
def test_a_number_of_somebody_is_not_shown_again(site: Site, typed: str) -> None:
    """The page does not look for it, says so, and shows all terms."""
    text = site.app.test_client().get(f"/glossary?q={typed}").text

    assert typed not in main_of(text)
    assert "menyerupai nomor atau tanggal" in text
    assert text.count("<dt>") == len(TERMS)


def test_terms_stay_indonesian_and_meanings_do_not(site: Site) -> None:
    """In English the term keeps its name, with its English beside it."""
    browser = site.app.test_client()
    browser.post("/lang", data={"csrf_token": token(browser, "/glossary"), "lang": "en", "next": "/glossary"})
    text = browser.get("/glossary?q=final+roll").text

    assert '<span class="term" lang="id">DPT</span>' in text
    assert "final roll" in text


def test_footer_and_menu_lead_to_both(sqlite_house: House, site: Site) -> None:
    """A stranger is offered the glossary alone."""
    stranger, text = site.app.test_client().get("/login").text, member(site, Role.KPU_PROV).get("/me/activity").text

    assert 'href="/glossary"' in stranger and 'href="/help"' not in stranger
    assert text.count('href="/glossary"') == text.count('href="/help"') == 2
