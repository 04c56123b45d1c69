"""Headers on every answer."""

from __future__ import annotations

import re

import pytest
from web_kit import FakeApp, make_fake

DYNAMIC = ["/page/login", "/page/voter", "/fail/surprise", "/fail/trail", "/nowhere", "/abort/413"]


@pytest.mark.parametrize("path", DYNAMIC)
def test_pages_carry_every_guard(fake: FakeApp, path: str) -> None:
    """Pages and error pages allow nothing from outside, no frame, no cache, no script."""
    headers = fake.app.test_client().get(path).headers

    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "script-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert re.fullmatch(r"[a-z2-7]{26}", headers["X-Request-Id"])


def test_strict_transport_only_where_there_is_https() -> None:
    """HSTS for two years behind https; on plain loopback it would lock people out."""
    plain = make_fake().app.test_client().get("/page/login").headers
    safe = make_fake(demo=False, origin="https://gardu.example").app.test_client().get("/page/login").headers

    assert "Strict-Transport-Security" not in plain
    assert safe["Strict-Transport-Security"].startswith("max-age=63072000")


def test_files_are_kept_only_under_an_address_with_their_digest(fake: FakeApp) -> None:
    """A page names its files with a digest, so a browser may keep them for a year; a bare address only for an hour."""
    client = fake.app.test_client()
    page = client.get("/page/login").text
    files = re.findall(r'(?:href|src)="(/(?:assets|bootstrap)[^"]+)"', page)

    kept = {client.get(path).headers["Cache-Control"] for path in files}
    bare = client.get("/assets/gardu.css").headers["Cache-Control"]

    assert len(set(files)) == 3
    assert kept == {"public, max-age=31536000, immutable"}
    assert bare == "public, max-age=3600"


def test_a_missing_file_is_not_kept(fake: FakeApp) -> None:
    """An error page under a file's address is never cached."""
    response = fake.app.test_client().get("/assets/none.css?v=1")

    assert (response.status_code, response.headers["Cache-Control"]) == (404, "no-store")


def test_no_page_holds_inline_style_or_script_or_a_foreign_address(fake: FakeApp) -> None:
    """What the policy would block is not there in the first place."""
    from web_kit import PAGES

    client = fake.app.test_client()
    pages = [client.get(f"/page/{name}").text for name in PAGES]

    for page in pages:
        assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=|javascript:", page)
        assert not re.search(r'(?:href|src|action)="(?!/|#|data:image/svg)', page)
