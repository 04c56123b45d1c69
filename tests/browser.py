"""The one Chromium of a test process: Playwright's synchronous interface cannot be started twice side by side."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

ROOT = Path(__file__).parent.parent
# WCAG 2.2 AA is the union of these, each with what its version added; best-practice goes beyond it.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# All rules are tried; without resultTypes axe also describes every node that passed, which takes three times as long.
_OPTIONS = {"runOnly": TAGS, "resultTypes": ["violations"]}
# The rules that look at colours. A theme changes tokens of colour and nothing else (gardu.css), so in the second theme only they can differ.
_COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}, "resultTypes": ["violations"]}


def violations(page: Page, *, colours_only: bool = False) -> list[tuple[str, str, str]]:
    """Return what axe finds on the page as it stands: (rule, the element's HTML, what to mend)."""
    if page.evaluate("typeof axe === 'undefined'"):
        page.evaluate(Axe().axe_script)
    found = page.evaluate("options => axe.run(options).then(results => results.violations)", _COLOURS if colours_only else _OPTIONS)
    return [(one["id"], node["html"], node["failureSummary"]) for one in found for node in one["nodes"]]


# By language, the theme and width in which axe looks at a page. Every two of theme, width and language meet once; all three together would
# take twice as long, and no rule turns on three. In the second theme only colours can differ.
LOOKS = {"id": (("light", 320), ("dark", 1280)), "en": (("light", 1280), ("dark", 320))}
_SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def trouble(page: Page, where: str) -> list[str]:
    """Return what axe finds on the page as it stands in the looks of its language, and sideways scrolling at either width."""
    found = []
    # A page that was just sent may not be there yet; a locator waits for it.
    for theme, width in LOOKS[page.locator("html[lang]").get_attribute("lang") or ""]:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]  # literal from LOOKS
        wrong = violations(page, colours_only=theme != "light")
        found += [f"{where} {theme} {width}: {rule} {html[:160]} {remedy}" for rule, html, remedy in wrong]
        if (beyond := page.evaluate(_SIDEWAYS)) > 0:
            found.append(f"{where} {theme} {width}: {beyond} px wider than the screen")
    return found


def chromium() -> str:
    """Return the Chromium that `make browser` found or installed."""
    noted = ROOT / ".venv" / "chromium"
    found = os.environ.get("GARDU_CHROMIUM") or (noted.read_text().strip() if noted.exists() else "") or shutil.which("chromium")
    if not found:
        raise AssertionError("no Chromium: run `make browser`, or set GARDU_CHROMIUM")
    return found


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    launched = playwright.chromium.launch(
        executable_path=chromium(), args=["--headless=shell", "--no-sandbox", "--disable-background-networking"]
    )
    yield launched
    launched.close()
