"""Every page in a real browser: axe-clean, no sideways scrolling, usable by keyboard, nothing refused by our own policy."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page
from web_kit import PAGES, make_fake
from werkzeug.serving import make_server

from tests.browser import trouble
from tests.sampling import LANGUAGES

pytestmark = pytest.mark.browser

PATHS = [f"/page/{name}" for name in PAGES] + ["/fail/said", "/fail/trail"]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, make_fake().app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


def open_page(browser: Browser, address: str, language: str = "id") -> Page:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    context.add_cookies([{"name": "gardu_lang", "value": language, "url": address}])
    return context.new_page()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_is_accessible(browser: Browser, address: str, language: str) -> None:
    """WCAG 2.2 AA by axe in both themes, wide and at 320 px; the browser blocks nothing of ours."""
    page = open_page(browser, address, language)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)

    found = list[str]()
    for path in PATHS:
        page.goto(address + path)
        # Every fold open, so that what it holds is looked at too; the menu apart, since it covers the page.
        page.evaluate("document.querySelectorAll('details:not(.menu)').forEach(d => { d.open = true })")
        found += trouble(page, path)
    page.evaluate("document.querySelector('.menu').open = true")
    found += trouble(page, "menu")

    page.context.close()
    assert found == []
    assert [text for text in said if "Failed to load resource: the server responded" not in text] == []


def test_the_keyboard_reaches_content_first(browser: Browser, address: str) -> None:
    """The first Tab offers to skip to the content, and following it moves the focus there."""
    page = open_page(browser, address)
    page.goto(f"{address}/page/voter")

    page.keyboard.press("Tab")
    first = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    focused = page.evaluate("document.activeElement.id")

    page.context.close()
    assert first == "Langsung ke isi"
    assert focused == "isi"


def test_menus_and_reasons_open_without_a_script(browser: Browser, address: str) -> None:
    """With JavaScript off, the person menu, the reasons and the language switch still work."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/page/voter")

    page.get_by_text("Mengapa? NIK", exact=True).click()
    reason = page.locator("[data-element=nik] dl").is_visible()
    page.locator(".menu summary").click()
    leave = page.get_by_role("button", name="Keluar").is_visible()
    page.locator(".menu summary").click()
    page.get_by_role("button", name="English").click()
    spoken = page.locator("html").get_attribute("lang")

    context.close()
    assert reason
    assert leave
    assert spoken == "en"
    assert page.url == f"{address}/page/voter"
