"""A voter asks who saw their data: the data protection officer finds it, hands over the PDF, and prints the page."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256

import pytest

from tests.sampling import SCRIPTS
from tests.walks.conftest import Person
from tests.walks.test_walk_correct import open_voter, voters
from tests.walks.test_walk_look import speak, trouble
from tests.walks.test_walk_requests import tab_to

pytestmark = pytest.mark.browser
Visit = Callable[..., Person]


def number_of(operator: Person, nik: str) -> str:
    """The operator finds the person and reads the voter's number off the page."""
    open_voter(operator, nik)
    return operator.page.locator("h1 .code").inner_text()


@pytest.mark.parametrize("scripts", SCRIPTS)
def test_the_officer_says_who_saw_that_voter(visit: Visit, scripts: bool) -> None:
    """An operator opens, a neighbour is refused, the liaison looks: the officer reads it all, hands over the PDF, and the log has its digest."""
    voter = voters()[20 + int(scripts)]
    operator = visit("operator.denpasar", java_script_enabled=scripts)
    number = number_of(operator, voter["NIK"])
    assert visit("operator.badung", java_script_enabled=scripts).goto(f"/voters/{number}") == 404
    assert visit("bawaslu.denpasar", java_script_enabled=scripts).goto(f"/voters/{number}") == 200

    officer = visit("pdp", java_script_enabled=scripts, accept_downloads=True)
    page = officer.page
    officer.goto("/")
    page.locator("nav a[href='/subjects']").click()
    assert officer.submit(subject=voter["NIK"]) == 400
    assert voter["NIK"] not in page.content()
    assert officer.submit(subject=f" {number.upper()} ") == 200
    assert page.url == f"{officer.demo.url}/subjects/{number}"
    kinds = [row.get_attribute("data-kind") for row in page.locator("main > .seen tr[data-kind]").all()]
    # Other walks may have listed this voter before: what happened here stands on top, the load at the bottom.
    assert (kinds[:4], kinds[-1]) == (["dibuka", "ditolak", "dibuka", "dibuka"], "dimuat")
    told = page.locator("main").inner_text()
    assert all(name in told for name in ("Ni Luh Sekar", "Made Sari", "I Wayan Raka", "KPU Kota Denpasar", "Bawaslu Kota Denpasar"))
    assert voter["NAMA"] not in page.content()

    with page.expect_download() as download:
        page.locator("a[href$='/report.pdf']").click()
    made = download.value.path().read_bytes()
    assert made.startswith(b"%PDF") and b"/Lang (id)" in made
    seq = re.fullmatch(r"gardu-laporan-(\d+)\.pdf", download.value.suggested_filename)
    officer.goto("/subjects")
    row = page.locator("tbody tr").first
    assert sha256(made).hexdigest() in row.inner_text()
    assert seq and row.locator(f"a[href='/me/activity/{seq[1]}/receipt']").count() == 1


def test_the_page_prints_unfolded_and_without_controls(visit: Visit) -> None:
    """On paper the readings and the rules are open, buttons and navigation are gone, nothing is cut off at the side."""
    number = number_of(visit("operator.denpasar"), voters()[24]["NIK"])
    officer = visit("pdp")
    for _ in range(2):
        officer.goto(f"/subjects/{number}")
    page = officer.page
    page.set_viewport_size({"width": 794, "height": 1123})
    page.emulate_media(media="print")

    assert page.locator(".readings table").is_visible() and page.locator(".seen-why .rule").first.is_visible()
    for control in (".nav-main", "main .actions", "main .crumb", "form.lang"):
        assert not page.locator(control).first.is_visible(), control
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_by_keyboard_alone(visit: Visit) -> None:
    """From home to the desk, the number typed, Enter; Tab to the download; Enter."""
    number = number_of(visit("operator.denpasar"), voters()[25]["NIK"])
    officer = visit("pdp", accept_downloads=True)
    page = officer.page
    officer.goto("/")
    tab_to(officer, "nav a[href='/subjects']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/subjects")
    tab_to(officer, "[name=subject]")
    page.keyboard.type(number)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/subjects/{number}")
    tab_to(officer, "details.seen-why summary")
    page.keyboard.press("Enter")
    assert page.locator("details.seen-why[open]").count() == 1
    tab_to(officer, "a[href$='/report.pdf']")
    with page.expect_download() as download:
        page.keyboard.press("Enter")

    assert download.value.suggested_filename.endswith(".pdf")


def test_nobody_else_gets_an_answer(visit: Visit) -> None:
    """The operator who knows the number gets 403, like everybody but the officer; a number of nobody is not there."""
    operator = visit("operator.denpasar")
    number = number_of(operator, voters()[26]["NIK"])
    for person in (operator, visit("keamanan"), visit("penyetuju.hukum"), visit("admin")):
        assert [person.goto(path) for path in ("/subjects", f"/subjects/{number}", f"/subjects/{number}/report.pdf")] == [403] * 3
        assert person.page.locator("a[href='/subjects']").count() == 0

    officer = visit("pdp")
    assert officer.goto("/subjects/51.71-" + "a" * 26) == 404
    assert officer.goto(f"/subjects/51.03-{number.partition('-')[2]}") == 404


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "id"])
def test_the_pages_shut_nobody_out(visit: Visit, language: str) -> None:
    """axe finds nothing on the desk, a mistake, the voter and the voter with everything unfolded."""
    number = number_of(visit("operator.denpasar"), voters()[27]["NIK"])
    officer = visit("pdp")
    speak(officer, language)
    found = list[str]()
    officer.context.request.get(f"{officer.demo.url}/subjects/{number}/report.pdf")
    for path in ("/subjects", f"/subjects/{number}", f"/subjects/{number}?before=0"):
        officer.goto(path)
        found += trouble(officer, path)
    officer.goto(f"/subjects/{number}")
    officer.page.locator("details").evaluate_all("all => all.forEach(one => { one.open = !one.classList.contains('menu'); })")
    found += trouble(officer, "unfolded")
    officer.goto("/subjects")
    officer.submit(subject="51.71-salah")
    found += trouble(officer, "mistake")
    speak(officer, "id")

    assert found == []
