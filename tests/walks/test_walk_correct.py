"""Staff correct a voter in a real browser: one element, with a reason; the history shows it, the values stand nowhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.voters.synth import generate
from tests.sampling import LANGUAGES, SCRIPTS
from tests.walks.conftest import Person
from tests.walks.test_walk_look import speak, trouble

pytestmark = pytest.mark.browser
Visit = Callable[..., Person]


def voters(kab: str = "51.71", total: int = 5000) -> list[dict[str, str]]:
    """Voters of the demo without a planted fault, none of whom another walk looks for first."""
    return [row for row in generate(kab, total, 1) if len(row["NIK"]) == 16 and not row["KET"]][50:]


def open_voter(person: Person, nik: str) -> str:
    person.goto("/voters")
    assert person.submit(nik=nik) == 200
    address = person.page.locator("a.open").first.get_attribute("href") or ""
    assert person.goto(address) == 200
    return address


@pytest.mark.parametrize("scripts", SCRIPTS)
def test_an_address_is_corrected_and_the_history_says_why(visit: Visit, scripts: bool) -> None:
    """The link beside the element leads to a form of that element alone; what was saved is shown, and why it was."""
    operator = visit("operator.denpasar", java_script_enabled=scripts)
    page, street = operator.page, f"JL. PERBAIKAN NO. {int(scripts)}"
    address = open_voter(operator, voters()[int(scripts)]["NIK"])

    page.locator("[data-element=alamat] .element-do a").click()
    assert page.url.endswith("/correct/alamat")
    assert operator.submit(value=street, ground="coklit", reason="Dicocokkan saat kunjungan coklit.") == 200
    assert "/correct/" not in page.url
    assert street in page.locator("[data-element=alamat]").inner_text()
    assert page.locator(".notice-ok").count() == 1
    assert street not in page.url

    page.locator("a[href$='/history']").click()
    assert "Dicocokkan saat kunjungan coklit." in page.locator("main").inner_text()
    assert street not in page.locator("main").inner_text()
    operator.goto(address)
    assert page.locator(".notice-ok").count() == 0


def test_a_mistake_in_the_form_is_named_and_nothing_is_saved(visit: Visit) -> None:
    """A date that does not exist, an empty reason, the same value: each comes back with a sentence."""
    operator = visit("operator.denpasar")
    address = open_voter(operator, voters()[3]["NIK"])
    before = operator.page.locator("[data-element=tanggal_lahir]").inner_text()

    operator.goto(f"{address}/correct/tanggal_lahir")
    assert operator.submit(value="31-02-1990", ground="ktp", reason="Sesuai KTP-el yang ditunjukkan.") == 400
    assert "31-12-1990" in operator.page.locator("#f-value-error").inner_text()
    assert operator.page.locator("[name=reason]").input_value() == "Sesuai KTP-el yang ditunjukkan."
    operator.goto(f"{address}/correct/jenis_kelamin")
    present = voters()[3]["JK"]
    assert operator.submit(value=present, ground="ktp", reason="Sesuai KTP-el yang ditunjukkan.") == 409
    operator.goto(address)
    assert operator.page.locator("[data-element=tanggal_lahir]").inner_text() == before


def test_by_keyboard_alone(visit: Visit) -> None:
    """Tab, typing and Enter correct an element."""
    operator = visit("operator.denpasar")
    page = operator.page
    address = open_voter(operator, voters()[4]["NIK"])
    operator.goto(f"{address}/correct/rt")

    page.focus("#f-value")
    page.keyboard.type("009")
    page.keyboard.press("Tab")
    page.keyboard.type("salah")
    page.keyboard.press("Tab")
    page.keyboard.type("Salah ketik saat pemuatan awal.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**dikoreksi=**")
    assert "009" in page.locator("[data-element=rt]").inner_text()


def test_nobody_else_finds_the_form(visit: Visit) -> None:
    """A liaison gets 403 and sees no link; the neighbour's operator gets 404."""
    address = open_voter(visit("operator.denpasar"), voters()[5]["NIK"])
    liaison, badung = visit("bawaslu.denpasar"), visit("operator.badung")

    assert liaison.goto(address) == 200
    assert liaison.page.locator(".element-do a").count() == 0
    assert liaison.goto(f"{address}/correct/alamat") == 403
    assert liaison.goto(f"{address}/history") == 403
    assert badung.goto(f"{address}/correct/alamat") == 404
    assert badung.goto(f"{address}/history") == 404


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pages_shut_nobody_out(visit: Visit, language: str) -> None:
    """axe finds nothing on form, mistake and history."""
    operator = visit("operator.denpasar")
    speak(operator, language)
    address, found = open_voter(operator, voters()[6]["NIK"]), list[str]()
    for path in ("/correct/alamat", "/correct/jenis_kelamin", "/correct/disabilitas", "/history"):
        operator.goto(address + path)
        found += trouble(operator, path)
    operator.goto(f"{address}/correct/nama")
    operator.submit(value="X" * 201, ground="ktp", reason="Sesuai KTP-el yang ditunjukkan.")
    found += trouble(operator, "mistake")
    speak(operator, "id")

    assert found == []
