"""The real pages of the demo: accessible in both themes, languages and sizes, and usable by keyboard alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests import browser
from tests.sampling import LANGUAGES, sampled
from tests.walks.conftest import Person
from tests.walks.test_walk_operator import somebody

pytestmark = pytest.mark.browser
Visit = Callable[..., Person]


def trouble(person: Person, where: str) -> list[str]:
    """Return what axe finds on the page, and sideways scrolling."""
    return browser.trouble(person.page, where)


def speak(person: Person, language: str) -> None:
    person.goto("/")
    switch = person.page.locator(f"form[action='/lang'] button[value={language}]")
    if switch.count():
        switch.first.click()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("username", sampled(["operator.denpasar", "bawaslu.denpasar", "admin"], "operator.denpasar"))
def test_no_page_shuts_anybody_out(visit: Visit, username: str, language: str) -> None:
    """axe finds nothing on any page this person sees."""
    person = visit(username)
    speak(person, language)
    found: list[str] = []
    # What is the same for everybody is looked at once, in the operator's hands.
    everybodys = ("/me/activity", "/me/password", "/step-up", "/absent", "/voters/search") if username == "operator.denpasar" else ()
    for path in ("/", "/voters", *everybodys):
        person.goto(path)
        found += trouble(person, path)
    if username != "admin":
        person.goto("/voters")
        desa = person.page.locator("select[name=desa] option").nth(1).get_attribute("value") or ""
        person.submit(desa=desa, tps="1")
        found += trouble(person, "results")
        person.goto(person.page.locator("a.open").first.get_attribute("href") or "")
        for fold in person.page.locator("details.why summary").all()[:3]:
            fold.click()
        found += trouble(person, "voter")
    speak(person, "id")

    assert found == []


def test_the_whole_story_by_keyboard(visit: Visit) -> None:
    """Tab and Enter are enough to log in, search, open a voter and read why."""
    person = visit("operator.badung", log_in=False)
    page = person.page
    person.goto("/login")
    page.focus("[name=username]")
    page.keyboard.type("operator.badung")
    page.keyboard.press("Tab")
    page.keyboard.type(person.demo.account("operator.badung")["password"])
    page.keyboard.press("Enter")
    page.wait_for_url("**/login/totp**")
    page.focus("[name=code]")
    page.keyboard.type(person.demo.code("operator.badung"))
    page.keyboard.press("Enter")
    page.wait_for_url(person.demo.url + "/")
    person.goto("/voters")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.classList.contains('skip')")
    page.focus("[name=nik]")
    page.keyboard.type(somebody("51.03", 500)["NIK"])
    page.keyboard.press("Enter")
    page.wait_for_url("**/voters/search")
    page.focus("a.open")
    page.keyboard.press("Enter")
    page.wait_for_url("**/voters/51.03-*")
    page.focus("[data-element=nik] summary")
    page.keyboard.press("Enter")

    assert page.locator("[data-element=nik] details").get_attribute("open") is not None


def test_an_old_session_says_so(visit: Visit) -> None:
    """A cookie of a session that is no more leads to the login page, which says why, and back afterwards."""
    person = visit("kpu.bali")
    cookies = person.context.cookies()
    with person.page.expect_navigation():
        person.page.locator("form[action='/logout'] button").first.evaluate("button => button.form.requestSubmit()")
    person.context.add_cookies([cookie for cookie in cookies if cookie["name"] == "gardu"])  # type: ignore[misc]  # as Chromium gave it

    person.goto("/voters")
    assert person.page.url.startswith(person.demo.url + "/login?next=/voters")
    assert "expired" in person.page.url


def test_a_form_of_another_session_is_refused(visit: Visit) -> None:
    """A POST without its token, or with a stranger's, is a page that says what to do."""
    person = visit("kpu.pusat")
    person.goto("/voters")
    token = person.page.locator("[name=csrf_token]").first
    token.evaluate("field => { field.value = 'x'.repeat(43) }")
    with person.page.expect_navigation() as navigation:
        token.evaluate("field => field.form.requestSubmit()")

    answer = navigation.value
    assert answer is not None and answer.status == 400


def test_find_by_nik_is_offered_to_operators_only(visit: Visit) -> None:
    """A liaison browses; a NIK search sent by hand is not there."""
    liaison = visit("bawaslu.denpasar")
    liaison.goto("/voters")
    assert liaison.page.locator("[name=nik]").count() == 0
    form = liaison.page.locator("form", has=liaison.page.locator("[name=tps]")).last
    change = """(form, nik) => {
        form.querySelectorAll('[name=desa],[name=tps]').forEach(field => field.remove());
        const field = document.createElement('input'); field.name = 'nik'; field.value = nik; form.append(field);
        form.submit(); }"""
    with liaison.page.expect_navigation() as navigation:
        form.evaluate(change, somebody()["NIK"])

    answer = navigation.value
    assert answer is not None and answer.status == 404
