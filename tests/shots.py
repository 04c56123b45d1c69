"""`make shot`: every page, light and dark, phone and desktop, Indonesian and English, into docs/shots/ (not committed)."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.browser import ROOT, chromium
from tests.walks.conftest import Demo, Person, serving

SIZES = {"phone": (320, 640), "desktop": (1280, 800)}
OUT = ROOT / "docs" / "shots"


def pages(person: Person) -> list[tuple[str, str]]:
    """Return (name, path or action) of the pages this person sees."""
    common = [("home", "/"), ("activity", "/me/activity"), ("password", "/me/password"), ("step-up", "/step-up"), ("404", "/absent")]
    if person.username in {"operator.denpasar", "bawaslu.denpasar"}:
        return [*common, ("search", "/voters")]
    return [*common, ("403", "/voters")]


def snap(page: Page, name: str) -> None:
    """Take the whole page in both themes and sizes."""
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            page.screenshot(path=OUT / f"{name}-{size}-{theme}.png", full_page=True)


def voter_pages(person: Person, prefix: str) -> None:
    """Take the list of a TPS and the first voter in it."""
    person.goto("/voters")
    desa = person.page.locator("select[name=desa] option").nth(1).get_attribute("value") or ""
    person.submit(desa=desa, tps="1")
    snap(person.page, f"{prefix}-results")
    person.goto(person.page.locator("a.open").first.get_attribute("href") or "")
    snap(person.page, f"{prefix}-voter")
    person.page.locator("details.why summary").first.click()
    snap(person.page, f"{prefix}-voter-why")


def tour(demo: Demo, person: Person, language: str) -> None:
    """Take every page of one person in one language."""
    person.goto("/")
    switch = person.page.locator(f"form[action='/lang'] button[value={language}]")
    if switch.count():
        switch.first.click()
    prefix = f"{person.username}-{language}"
    for name, path in pages(person):
        person.goto(path)
        snap(person.page, f"{prefix}-{name}")
    if person.username in {"operator.denpasar", "bawaslu.denpasar"}:
        voter_pages(person, prefix)


def main() -> None:
    """Serve a demo, walk it, and say where the pictures lie."""
    OUT.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as demo, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--headless=shell", "--no-sandbox"])
        stranger = Person(demo, "nobody", browser.new_context(), None)  # type: ignore[arg-type]
        stranger.page = stranger.context.new_page()
        stranger.goto("/login")
        snap(stranger.page, "stranger-id-login")
        for username in ("operator.denpasar", "bawaslu.denpasar", "admin"):
            context = browser.new_context()
            person = Person(demo, username, context, context.new_page())
            person.log_in()
            for language in ("en", "id"):
                tour(demo, person, language)
            context.close()
        browser.close()
    print(f"{len(list(OUT.glob('*.png')))} pictures in {OUT} after {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
