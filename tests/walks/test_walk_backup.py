"""The administrator makes a backup and proves it by a restore, on a phone and without scripts, and sees no voter on the way."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from app.cli.demo import IDENTITY
from tests.walks.conftest import Person
from tests.walks.test_walk_admin import code
from tests.walks.test_walk_look import trouble

pytestmark = pytest.mark.browser
Visit = Callable[..., Person]
# Of 5,500 voters on a busy machine.
LONGEST = 120


def over(person: Person) -> str:
    """Wait until the work on the page is over; return the page's text."""
    until = time.monotonic() + LONGEST
    while person.page.locator("main").get_attribute("data-job") in {"waiting", "running"}:
        assert time.monotonic() < until
        time.sleep(0.5)
        person.page.reload()
    return person.page.locator("main").inner_text()


def backed_up(person: Person) -> str:
    """Make a backup; return the uid of the work."""
    code(person, "/admin/backups")
    with person.page.expect_navigation():
        person.page.click("form[action='/admin/backups'] button")
    assert "Cadangan selesai" in over(person)
    return person.page.url.rpartition("/")[2].partition("?")[0]


def drilled(person: Person) -> str:
    """Prove the newest backup; return the uid of the work."""
    code(person, "/admin/backups")
    path = person.page.locator("main table a.open").first.get_attribute("href") or ""
    code(person, path)
    person.page.fill("[name=identity]", (person.demo.data / IDENTITY).read_text("utf-8").strip())
    with person.page.expect_navigation():
        person.page.click(f"form[action='{path}'] button[type=submit]")
    assert "terbukti dapat dipulihkan" in over(person)
    return person.page.url.rpartition("/")[2].partition("?")[0]


def test_a_backup_is_made_and_proven(visit: Visit) -> None:
    """Both by buttons; every step held; the list says since when; axe finds nothing on any of the pages."""
    admin = visit("admin", java_script_enabled=True, viewport={"width": 360, "height": 740})
    seen, found = list[str](), list[str]()
    backed_up(admin)
    found += trouble(admin, "made")
    path = admin.page.locator("main a.btn-main").get_attribute("href") or ""
    seen.append(admin.page.content())
    code(admin, path)
    assert admin.submit(identity="AGE-SECRET-KEY-1SALAH") == 400
    found += trouble(admin, "mistake")
    drilled(admin)
    steps = admin.page.locator("ol.findings li").all_inner_texts()
    found += trouble(admin, "drilled")
    seen.append(admin.page.content())
    admin.goto("/admin/backups")
    found += trouble(admin, "list")
    seen.append(admin.page.content())

    assert len(steps) == 6 and all(step.strip().startswith("terbukti") for step in steps)
    assert "Terbukti pulih" in admin.page.locator("main").inner_text()
    assert found == []
    secret = (admin.demo.data / IDENTITY).read_text("utf-8").strip()
    assert not any(secret in page or re.search(r"\b\d{16}\b", page) for page in seen)
    assert admin.goto("/voters") in {403, 404}
