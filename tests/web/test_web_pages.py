"""The shell and the templates: what others script against, and what every page must say."""

from __future__ import annotations

import re

import pytest
from web_kit import ELEMENTS, PAGES, FakeApp, make_fake

from app.kernel.fields import Role, View
from app.web import pages


@pytest.mark.parametrize("name", PAGES)
def test_every_page_has_one_heading_a_title_and_its_language(fake: FakeApp, name: str) -> None:
    """One h1, a title, the language, and no hole where a value was expected."""
    page = fake.app.test_client().get(f"/page/{name}").text

    assert len(re.findall(r"<h1[ >]", page)) == 1
    assert re.search(r"<title>[^<]+ · Gardu \(demo\)</title>", page)
    assert '<html lang="id">' in page
    assert "None" not in page


def test_a_demo_says_so_on_every_page_errors_included() -> None:
    """DEMO stands on all of them; a real installation shows none of it."""
    demo, real = make_fake().app.test_client(), make_fake(demo=False).app.test_client()
    paths = [f"/page/{name}" for name in PAGES] + ["/fail/trail", "/nowhere"]

    assert all("DEMO" in demo.get(path).text and "data sintetis" in demo.get(path).text for path in paths)
    assert not any("DEMO" in real.get(path).text for path in paths)


def test_the_voter_page_carries_what_scripts_read(fake: FakeApp) -> None:
    """Each of the 13 elements has data-element and data-view, the page its data-receipt."""
    page = fake.app.test_client().get("/page/voter").text

    assert re.findall(r'data-element="(\w+)" data-view="(\w+)"', page) == [(element, view) for element, _label, view, _value in ELEMENTS]
    assert re.search(r'<main [^>]*data-receipt="48213"', page)
    assert 'href="/me/activity/48213/receipt"' in page
    assert "48.213" in page


def test_closed_and_recorded_elements_show_no_value(fake: FakeApp) -> None:
    """Even when a caller hands one over by mistake, a closed or merely recorded element draws none."""
    from flask import render_template

    values = PAGES["voter"][2]
    with fake.app.test_request_context("/"):
        filled = values()
        for element in filled["elements"]:  # type: ignore[attr-defined]
            if element.view in {"tutup", "ada"}:
                element.value = "BOCOR"
        page = render_template("voters/voter.html", **filled)

    assert "BOCOR" not in page


def test_the_search_forms_post_their_keys_and_nothing_goes_into_an_address(fake: FakeApp) -> None:
    """Four forms, each with token, purpose, region and its own key, all by POST; choices without personal data go by GET."""
    page = fake.app.test_client().get("/page/search").text
    forms = re.findall(r'<form method="post" action="/voters/search">(.*?)</form>', page, re.S)
    keys = [re.findall(r'name="([^"]+)"', form) for form in forms]

    assert [sorted(set(names) - {"csrf_token", "purpose", "region"}) for names in keys] == [
        ["nik"],
        ["nkk"],
        ["birth_date", "name"],
        ["desa", "rt", "rw", "tps"],
    ]
    assert all({"csrf_token", "purpose", "region"} <= set(names) for names in keys)
    assert not re.search(r'method="get"(?:(?!</form>).)*name="(nik|nkk|name|birth_date|tps|rt|rw)"', page, re.S)


def test_what_a_task_does_not_open_is_not_offered_for_searching(fake: FakeApp) -> None:
    """Without the right to search by NIK or name only the place remains."""
    page = fake.app.test_client().get("/page/search-place").text

    assert 'name="nik"' not in page
    assert 'name="birth_date"' not in page
    assert 'name="tps"' in page


@pytest.mark.parametrize(
    ("name", "action", "fields"),
    [
        ("login", "/login", {"username", "password", "next"}),
        ("totp", "/login/totp", {"code"}),
        ("enrol", "/enrol", {"code"}),
        ("step-up", "/step-up", {"code", "next"}),
        ("password", "/me/password", {"current", "new", "again"}),
    ],
)
def test_forms_have_their_stable_names(fake: FakeApp, name: str, action: str, fields: set[str]) -> None:
    """Addresses and fields others script against."""
    page = fake.app.test_client().get(f"/page/{name}").text
    form = re.search(rf'<form[^>]* method="post" action="{action}">(.*?)</form>', page, re.S)
    assert form

    assert set(re.findall(r' name="([^"]+)"', form[1])) == fields | {"csrf_token"}


def test_a_code_field_suits_authenticators_and_phones(fake: FakeApp) -> None:
    """One-time-code autofill and a number pad."""
    page = fake.app.test_client().get("/page/totp").text

    assert 'autocomplete="one-time-code"' in page
    assert 'inputmode="numeric"' in page


def test_a_wrong_code_hints_at_the_phones_clock(fake: FakeApp) -> None:
    """With the system's own time in all zones, since we do not know where the phone is."""
    page = fake.app.test_client().get("/page/totp-wrong").text

    assert "Periksa jam di ponsel Anda" in page
    assert "10.30.12 WIB · 11.30.12 WITA · 12.30.12 WIT" in page


def test_the_menu_names_person_role_and_office(fake: FakeApp) -> None:
    """Who I am here, my own activity, my password, the way out, and the other roles I hold."""
    page = fake.app.test_client().get("/page/home").text

    for text in (
        "I Wayan Contoh Pratama",
        "Operator KPU kab/kota",
        "KPU Kota Denpasar",
        "/me/activity",
        "/me/password",
        'action="/logout"',
    ):
        assert text in page
    assert 'name="role" value="penyetuju"' in page
    assert 'name="role" value="kpu_kab"' not in page


def test_nobody_signed_in_sees_no_menu(fake: FakeApp) -> None:
    """The login page offers nothing that needs a session."""
    page = fake.app.test_client().get("/page/login").text

    assert "/me/activity" not in page
    assert "/logout" not in page


def test_the_open_page_is_marked_in_the_navigation(fake: FakeApp) -> None:
    """aria-current on the entry that holds the page, and only there."""
    with fake.app.test_request_context("/voters/51.71-abc"):
        shown = pages._navigation([("Cari pemilih", "/voters")])

    assert shown == {
        "nav": [("Beranda", "/", False), ("Cari pemilih", "/voters", True), ("Aktivitas saya", "/me/activity", False)],
        "subnav": [],
    }


def test_a_section_shows_its_pages_where_one_of_them_is_open(fake: FakeApp) -> None:
    """The section is marked whichever of its pages is open; elsewhere its pages do not stand there."""
    keys = pages.Section("Kunci dan cadangan", "/admin/keys", (("Kunci", "/admin/keys"), ("Cadangan", "/admin/backups")))
    with fake.app.test_request_context("/admin/backups/jobs/1"):
        inside = pages._navigation([keys])
    with fake.app.test_request_context("/"):
        outside = pages._navigation([keys])

    assert inside["subnav"] == [("Kunci", "/admin/keys", False), ("Cadangan", "/admin/backups", True)]
    assert [entry[2] for entry in inside["nav"]] == [False, True, False]  # type: ignore[attr-defined]  # a context is a dict of objects
    assert outside["subnav"] == []


@pytest.mark.parametrize(
    ("office", "expected"),
    [
        ("kpu-51.71", "KPU Kota Denpasar"),
        ("bawaslu-51.03", "Bawaslu 51.03"),
        ("kpu-00", "KPU RI"),
        ("Sekretariat", "Sekretariat"),
        ("", ""),
    ],
)
def test_offices_have_names(office: str, expected: str) -> None:
    """By the region's name where it is known, by its code otherwise."""
    assert pages.office_words(office, {"51.71": "Kota Denpasar"}.get) == expected


def test_every_role_and_view_has_a_label() -> None:
    """A new word of the vocabulary needs its words for people."""
    assert set(pages.ROLE_LABELS) == set(Role)
    assert set(pages.VIEW_LABELS) == set(pages.VIEW_MEANINGS) == {view.word for view in View}
