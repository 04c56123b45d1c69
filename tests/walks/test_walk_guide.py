"""Somebody new reads the help of a desk and looks a word up, by keyboard, without a script, in both languages."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.walks.conftest import Person
from tests.walks.test_walk_look import speak, trouble
from tests.walks.test_walk_requests import tab_to

pytestmark = pytest.mark.browser
Visit = Callable[..., Person]


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "id"])
def test_help_and_glossary_shut_nobody_out(visit: Visit, language: str) -> None:
    """axe finds nothing on the help of any desk that differs, nor on the glossary, whole, filtered, refused or without a match."""
    person = visit("keamanan")
    speak(person, language)
    found: list[str] = []
    for path in (
        "/help", "/help?role=kpu_kab", "/help?role=bawaslu_kab", "/help?role=penyetuju", "/help?role=admin_sistem",
        "/glossary", "/glossary?q=izin", "/glossary?q=1990-12-31", "/glossary?q=qwerty",
    ):  # fmt: skip
        assert person.goto(path) == 200
        found += trouble(person, f"{path} {language}")
    speak(person, "id")

    assert found == []


def test_a_word_is_looked_up_by_keyboard(visit: Visit) -> None:
    """From a page to the glossary in the footer, a term typed, its neighbour opened: Tab, letters and Enter, no script."""
    person = visit("bawaslu.denpasar", java_script_enabled=False)
    page = person.page
    person.goto("/me/activity")
    page.focus("footer a[href='/glossary']")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page.focus("[name=q]")
    page.keyboard.type("dpt")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.url == person.demo.url + "/glossary?q=dpt"
    assert page.locator("dl.terms > div").first.get_attribute("id") == "dpt"

    page.focus("#dpt dd a")
    page.keyboard.press("Enter")
    page.wait_for_url("**/glossary#tahapan")
    assert page.locator("#tahapan").is_visible()


def test_the_browser_keeps_a_number_out_of_the_address(visit: Visit) -> None:
    """The box refuses what has more than three digits before anything is sent."""
    person = visit("operator.badung", log_in=False)
    person.goto("/glossary")
    person.page.fill("[name=q]", "5103010101900001")
    person.page.keyboard.press("Enter")

    assert person.page.url == person.demo.url + "/glossary"
    assert person.page.locator("[name=q]:invalid").count() == 1


def test_somebody_new_finds_the_first_step_from_home(visit: Visit) -> None:
    """The data protection officer, with nothing waiting, goes from home to the help of the desk and on to its first page."""
    person = visit("pdp")
    page = person.page
    person.goto("/")
    assert page.locator("#langkah").count() == 1
    tab_to(person, "main a[href='/help']")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    tab_to(person, "main .tasks a[href='/subjects']")
    with page.expect_navigation():
        page.keyboard.press("Enter")

    assert page.url == person.demo.url + "/subjects"
