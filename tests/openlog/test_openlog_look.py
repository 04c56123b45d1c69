"""The pages of the public log in a real browser: accessible in both themes, languages and sizes, in every state, and usable without a script."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server

from app.factory import House
from tests import browser as looks
from tests.openlog.openlog_kit import OTHER, install_list
from tests.openlog.pages_kit import BOTH, EITHER, NONE, REASON, Pages, cosign, halted, publish_now, receipt, with_authority
from tests.sampling import LANGUAGES
from tests.walk_kit import size

pytestmark = pytest.mark.browser
COOKIE, HOST = "gardu", "127.0.0.1"


@contextmanager
def serving(pages: Pages) -> Iterator[str]:
    """Serve the pages on a free port."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server(HOST, 0, pages.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()


def trouble(page: Page, where: str) -> list[str]:
    """Return what axe finds with every fold open, and sideways scrolling."""
    page.wait_for_load_state()
    page.evaluate("document.querySelectorAll('details:not(.menu)').forEach(d => { d.open = true })")
    return looks.trouble(page, where)


def open_as(browser: Browser, pages: Pages, url: str, language: str, name: str = "") -> Page:
    """Return a page of somebody, or of a stranger, in a language."""
    context = browser.new_context()
    cookies = [{"name": "gardu_lang", "value": language, "url": url}]
    if name:
        kept = pages.browser(name).get_cookie(COOKIE, domain=HOST)
        assert kept is not None
        cookies.append({"name": COOKIE, "value": kept.value, "url": url})
    context.add_cookies(cookies)  # type: ignore[arg-type]  # a name, a value, an address
    return context.new_page()


@pytest.mark.parametrize("language", LANGUAGES)
def test_strangers_pages_shut_nobody_out(browser: Browser, sqlite_house: House, language: str) -> None:
    """The log in good order and in trouble, the form, and each verdict."""
    pages = Pages(with_authority(sqlite_house))
    publish_now(pages.house)
    with serving(pages) as url:
        page = open_as(browser, pages, url, language)
        page.goto(f"{url}/log")
        found = trouble(page, "no witness")
        install_list(pages.house, BOTH)
        publish_now(pages.house)
        cosign(pages.house)
        cosign(pages.house, OTHER)
        good = receipt(pages.house, size(pages.house) - 1, with_witness=True)
        for name, text in (
            ("good", good),
            ("tampered", good.replace("index ", "index 1")),
            ("unchecked", receipt(pages.house, 0)),
            ("wrong", "<html>"),
        ):
            page.goto(f"{url}/log/verify")
            page.fill("#f-text", text)
            page.click("main button[type=submit]")
            found += trouble(page, f"verify {name}")
        pages.house.clock.move(seconds=1)
        install_list(pages.house, NONE)
        pages.house.clock.move(hours=3)
        halted(pages.house)
        page.goto(f"{url}/log")
        found += trouble(page, "everything wrong")
        page.goto(f"{url}/login")
        found += trouble(page, "login")
        page.context.close()

    assert found == []


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "id"])
def test_keepers_pages_shut_nobody_out(browser: Browser, sqlite_house: House, language: str) -> None:
    """The list, the form with a mistake, the preview, a proposal for either person, tokens."""
    pages = Pages(sqlite_house)
    install_list(pages.house, BOTH)
    publish_now(pages.house)
    cosign(pages.house)
    with serving(pages) as url:
        page = open_as(browser, pages, url, language, "officer")
        found = []
        page.goto(f"{url}/witnesses/new")
        found += trouble(page, "new")
        page.evaluate("document.querySelectorAll('form').forEach(form => { form.noValidate = true })")
        page.click("form:has(#f-need) button")
        found += trouble(page, "mistake")
        page.fill("#f-text", EITHER)
        page.fill("#f-reason-text", REASON)
        page.click("form:has(#f-text) button")
        found += trouble(page, "preview")
        page.click("main form button")
        found += trouble(page, "own proposal")
        page.goto(f"{url}/mirrors")
        page.fill("#f-name", "Bawaslu RI")
        page.click("form:has(#f-days) button")
        found += trouble(page, "token")
        page.goto(f"{url}/mirrors")
        found += trouble(page, "mirrors")
        page.click("td.act a")
        found += trouble(page, "end")
        page.context.close()
        page = open_as(browser, pages, url, language, "admin")
        page.goto(f"{url}/witnesses")
        found += trouble(page, "proposal")
        page.context.close()

    assert found == []


def test_a_file_is_checked_without_a_script(browser: Browser, sqlite_house: House) -> None:
    """Choosing a file and one button, with JavaScript off; the verdict stands first on the page."""
    pages = Pages(sqlite_house)
    publish_now(pages.house)
    with serving(pages) as url:
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(f"{url}/log/verify")
        page.set_input_files("#f-file", {"name": "gardu-0.tlog-proof", "mimeType": "text/plain", "buffer": receipt(pages.house).encode()})
        page.click("main button[type=submit]")
        verdict = page.locator("main").get_attribute("data-verdict")
        first = page.locator("main .verdict-word").inner_text()
        context.close()

    assert (verdict, first.strip()) == ("good", "Baik")
