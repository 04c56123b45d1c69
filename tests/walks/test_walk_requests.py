"""A liaison asks to see NIK in full in one kecamatan; two people of two units decide; one narrows it to a desa; the officer revokes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import pytest

from tests.sampling import sampled
from tests.walks.conftest import Person
from tests.walks.test_walk_look import speak, trouble

pytestmark = pytest.mark.browser
Visit = Callable[..., Person]
REASON = "Uji petik data ganda pada DPS bersama Panwascam, sesuai surat tugas."


def pick_up(person: Person, desa: str) -> str | None:
    """Return the address of a voter of TPS 1 of *desa*, or None when it has none."""
    person.goto("/voters")
    assert person.submit(desa=desa, tps="1") == 200
    links = person.page.locator("a.open")
    return links.first.get_attribute("href") if links.count() else None


@dataclass(frozen=True)
class Two:
    """Two desa of one kecamatan, and a voter in each."""

    kec: str
    here: str
    voter: str
    next_door: str


def two_desa(person: Person, nth: int) -> Two:
    """Return two desa of the *nth* kecamatan that have voters."""
    person.goto("/voters")
    codes = person.page.locator("select[name=desa] option").evaluate_all("all => all.map(one => one.value).filter(Boolean)")
    kec = sorted({code[:8] for code in codes})[nth]

    def found() -> Iterator[tuple[str, str]]:
        for code in codes:
            if code.startswith(kec) and (voter := pick_up(person, code)):
                yield code, voter

    pairs = found()
    (here, voter), (_, other) = next(pairs), next(pairs)
    return Two(kec, here, voter, other)


def nik(person: Person, address: str) -> str:
    """Return how far the NIK opens on a voter's page."""
    assert person.goto(address) == 200
    return person.page.locator("[data-element=nik]").get_attribute("data-view") or ""


def ask(person: Person, kec: str) -> str:
    """Fill in and send the form; return the request's address."""
    page = person.page
    page.select_option("form.request-form [name=region]", kec)
    page.check("[name=elements][value=nik]")
    page.select_option("[name=view]", "utuh")
    page.fill("[name=letter]", "094/PM.00.02/BA-07/XI/2026")
    page.fill("[name=reason]", REASON)
    page.fill("[name=until]", (date.today() + timedelta(days=10)).isoformat())  # noqa: DTZ011  the browser's own day
    with page.expect_navigation() as sent:
        page.click("form.request-form button[type=submit]")
    assert sent.value and sent.value.status == 200, page.locator("main").inner_text()
    return re.sub(r"\?.*", "", page.url.removeprefix(person.demo.url))


def approval(person: Person) -> dict[str, str]:
    """Return the fields of the form of approval on the page."""
    form = person.page.locator("form", has=person.page.locator("[name=decision][value=approve]"))
    found: dict[str, str] = form.evaluate("form => Object.fromEntries(new FormData(form))")
    return found


def send(person: Person, path: str, fields: dict[str, str]) -> tuple[int, str]:
    """Send a form by hand in this person's session; return status and text."""
    person.goto("/requests")
    token = person.page.locator("[name=csrf_token]").first.get_attribute("value") or ""
    answer = person.context.request.post(
        person.demo.url + path, form={**fields, "csrf_token": token}, headers={"Origin": person.demo.url}, max_redirects=0
    )
    return answer.status, answer.text()


def approve(person: Person, path: str, region: str | None = None) -> None:
    assert person.goto(path) == 200
    form = person.page.locator("form", has=person.page.locator("[name=decision][value=approve]"))
    if region:
        form.locator("[name=region]").select_option(region)
    with person.page.expect_navigation():
        form.locator("button[type=submit]").click()


@pytest.mark.parametrize(("scripts", "nth"), sampled([(True, 0), (False, 1)], (False, 1)))
def test_a_mandate_from_asking_to_revoking(visit: Visit, scripts: bool, nth: int) -> None:
    """Self-approval and two of one unit are refused; NIK opens in the desa left, stays masked next door, and is masked after revoking."""
    liaison = visit("bawaslu.denpasar", java_script_enabled=scripts)
    two = two_desa(liaison, nth)
    assert nik(liaison, two.voter) == "samar"
    liaison.page.locator("section.offer a[href^='/requests/new']").click()
    assert liaison.page.locator("form.request-form [name=region]").input_value() == two.here
    assert liaison.page.locator("[name=elements][value=nik]").is_checked()
    liaison.page.uncheck("[name=elements][value=nkk]")
    liaison.page.uncheck("[name=elements][value=disabilitas]")
    path = ask(liaison, two.kec)
    assert liaison.page.locator("main").get_attribute("data-state") == "submitted"

    data1, data2 = (visit(name, java_script_enabled=scripts) for name in ("penyetuju.data1", "penyetuju.data2"))
    data2.goto(path)
    assert "tanggal lahir" in data2.page.locator("main").inner_text().lower()
    form = {"decision": "approve", "version": "1", "region": two.kec, "elements": "nik", "view": "utuh", "until": "2027-01-01"}
    status, text = send(liaison, f"{path}/decide", form)
    assert (status, "izin-pemohon-sendiri" in text) == (403, True)
    assert data1.goto("/requests") == 200
    assert data1.page.locator(f"[data-request='{path.rpartition('/')[2]}']").count() == 1
    approve(data1, path, two.here)
    data2.goto(path)
    assert data2.page.locator("[name=decision][value=approve]").count() == 0
    status, text = send(data2, f"{path}/decide", {**form, "version": "2", "region": two.here})
    assert (status, "izin-unit-sama" in text) == (403, True)
    assert nik(liaison, two.voter) == "samar"

    approve(visit("penyetuju.hukum", java_script_enabled=scripts), path)
    assert nik(liaison, two.voter) == "utuh"
    assert liaison.page.locator("main").get_attribute("data-mandate") == path.rpartition("/")[2]
    assert re.search(r"\d{16}", liaison.page.locator("[data-element=nik]").inner_text())
    assert nik(liaison, two.next_door) == "samar"

    officer = visit("keamanan", java_script_enabled=scripts)
    officer.goto(path)
    with officer.page.expect_navigation():
        officer.page.fill("[name=reason]", "Surat tugas dicabut pengirimnya pada hari ini.")
        officer.page.locator("form[action$='/revoke'] button").click()
    assert officer.page.locator("main").get_attribute("data-state") == "revoked"
    assert nik(liaison, two.voter) == "samar"
    steps = []
    for person in (liaison, data1):
        person.goto(path)
        steps.append(person.page.locator(".timeline strong").all_inner_texts())
    assert steps[0] == steps[1]
    assert len(steps[0]) == 5


def tab_to(person: Person, selector: str) -> None:
    """Press Tab until what *selector* names has the focus."""
    for _ in range(120):
        person.page.keyboard.press("Tab")
        if person.page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} cannot be reached by Tab")


def test_deciding_by_keyboard(visit: Visit) -> None:
    """From home to the queue, into the request, fewer elements, approved: Tab, Space and Enter."""
    liaison, approver = visit("bawaslu.denpasar"), visit("penyetuju.hukum")
    liaison.goto("/requests/new?region=51.71.04&elements=nik,disabilitas")
    path = ask(liaison, "51.71.04")
    page = approver.page
    approver.goto("/")
    tab_to(approver, "main a[href='/requests']")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    tab_to(approver, f"tr[data-request] a.open[href='{path}']")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    tab_to(approver, "[name=elements][value=disabilitas]")
    page.keyboard.press("Space")
    tab_to(approver, "form:has([value=approve]) button[type=submit]")
    with page.expect_navigation():
        page.keyboard.press("Enter")

    assert page.locator("main").get_attribute("data-state") == "half"
    assert "Disabilitas" not in page.locator(".timeline li").nth(1).inner_text()
    assert page.locator(".timeline li").nth(1).locator("dl").count() == 1


def test_asking_by_keyboard(visit: Visit) -> None:
    """Tab, Space, letters and Enter are enough to fill in the form and send it."""
    liaison = visit("bawaslu.badung")
    page = liaison.page
    liaison.goto("/requests/new")
    tab_to(liaison, "[name=letter]")
    page.keyboard.type("12/PM/2026")
    tab_to(liaison, "[name=region]")
    page.keyboard.press("ArrowDown")
    tab_to(liaison, "[name=elements][value=nik]")
    page.keyboard.press("Space")
    tab_to(liaison, "[name=reason]")
    page.keyboard.type(REASON)
    tab_to(liaison, ".request-form button[type=submit]")
    with page.expect_navigation():
        page.keyboard.press("Enter")

    # Badung has no approvers of its own in the demo: the page says so, and nothing is lost.
    assert page.locator("[data-rule=izin-tanpa-penyetuju]").count() == 1
    assert page.locator("[name=reason]").input_value() == REASON
    assert page.locator("[name=elements][value=nik]").is_checked()


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "id"])
def test_no_page_of_requests_shuts_anybody_out(visit: Visit, language: str) -> None:
    """axe finds nothing on the desk, the form, the form with mistakes, and a request, for each who sees them."""
    liaison, approver, officer = visit("bawaslu.denpasar"), visit("penyetuju.data1"), visit("keamanan")
    liaison.goto("/requests/new?region=51.71.03&elements=nik")
    path = ask(liaison, "51.71.03")
    found: list[str] = []
    for person, pages in (
        (liaison, ("/", "/requests", "/requests/new", path)),
        (approver, ("/", "/requests", path)),
        (officer, ("/requests", path)),
    ):
        speak(person, language)
        for address in pages:
            person.goto(address)
            found += trouble(person, f"{person.username} {language} {address[:12]}")
    liaison.goto("/requests/new")
    with liaison.page.expect_navigation():
        liaison.page.locator("form.request-form").evaluate("form => { form.noValidate = true; form.requestSubmit(); }")
    assert liaison.page.locator(".wrong").count() >= 3
    found += trouble(liaison, f"wrong form {language}")
    for person in (liaison, approver, officer):
        speak(person, "id")
    approve(approver, path)
    approver.goto(path)
    found += trouble(approver, "half")
    liaison.goto(path)
    with liaison.page.expect_navigation():
        liaison.page.locator("form[action$='/withdraw'] button").click()
    found += trouble(liaison, "withdrawn")

    assert found == []
    assert liaison.page.locator("main").get_attribute("data-state") == "withdrawn"
