"""The administrator changes a kab's key and watches it to the end, without scripts; two people erase a voter; neither sees one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from tests.walks.conftest import Person
from tests.walks.test_walk_admin import code
from tests.walks.test_walk_look import trouble

pytestmark = pytest.mark.browser
Visit = Callable[..., Person]
# Of 5,500 voters on a busy machine, a slice of two seconds at a time.
LONGEST = 180


def rotated(person: Person, path: str) -> list[str]:
    """Confirm what *path* proposes and wait until it is over; return what the page said on the way."""
    code(person, path)
    seen = [person.page.content()]
    person.submit(rate="")
    until = time.monotonic() + LONGEST
    while person.page.locator("main").get_attribute("data-rotation") == "running":
        assert time.monotonic() < until
        seen.append(person.page.content())
        time.sleep(1)
        person.page.reload()
    return [*seen, person.page.content()]


def public_id(operator: Person) -> str:
    """The address of some voter, as the operator who handles the case passes it on."""
    operator.goto("/voters")
    desa = operator.page.locator("select[name=desa] option").nth(1).get_attribute("value") or ""
    operator.submit(desa=desa, tps="1")
    return (operator.page.locator("a.open").first.get_attribute("href") or "").rpartition("/")[2]


def test_a_key_is_changed_and_a_voter_erased(visit: Visit) -> None:
    """By buttons, on a phone, without scripts; the erased voter is not there, and what is still to be done is said."""
    admin = visit("admin", java_script_enabled=False, viewport={"width": 360, "height": 740})
    officer, operator = visit("keamanan"), visit("operator.denpasar")
    voter = public_id(operator)
    code(admin, "/admin/erasures")
    admin.submit(voter=voter, reason="Putusan pengadilan no. 7")
    assert "menunggu keputusan" in admin.page.locator("main").inner_text().lower()
    code(officer, "/admin/erasures")
    found = trouble(officer, "waiting")
    with officer.page.expect_navigation():
        officer.page.click("main button[value=confirm]")
    found += trouble(officer, "pending")
    assert operator.goto(f"/voters/{voter}") == 404

    seen = rotated(admin, "/admin/keys/rotate?kind=kab&region=51.71")

    assert "sudah dimusnahkan" in admin.page.locator("main").inner_text()
    assert any("persen" in one for one in seen)
    admin.goto("/admin/erasures")
    assert "gardu keys rotate provider" in admin.page.locator("main").inner_text()
    seen.append(admin.page.content())
    assert found == []
    assert not any(re.search(r"\b\d{16}\b", page) for page in seen)
    assert admin.goto("/voters") in {403, 404}


@pytest.mark.slow
def test_no_page_of_rotation_shuts_anybody_out(visit: Visit) -> None:
    """axe finds nothing, and nothing runs out of a narrow screen."""
    admin = visit("admin", viewport={"width": 320, "height": 640})
    found = list[str]()
    for path in ("/admin/keys/rotate", "/admin/keys/rotate?kind=blind", "/admin/keys/rotate?kind=blind&region=51.71"):
        code(admin, path)
        found += trouble(admin, path)
    assert admin.submit(rate="cepat") == 400
    found += trouble(admin, "mistake")
    admin.submit(rate="200")
    found += trouble(admin, "running")
    code(admin, admin.page.url.removeprefix(admin.demo.url) + "?diam=1")
    with admin.page.expect_navigation():
        admin.page.click("main button[value=pause]")
    found += trouble(admin, "held")
    for path in ("/admin/rotations", "/admin/erasures", "/admin/keys"):
        admin.goto(path)
        found += trouble(admin, path)

    assert found == []
