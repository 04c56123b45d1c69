"""The one Chromium of a test process: Playwright's synchronous interface cannot be started twice side by side."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

ROOT = Path(__file__).parent.parent


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
