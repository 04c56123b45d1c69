"""Request lines without values, and addresses to return to."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_kit import MARK, FakeApp

from app.web.requests import here, safe_next


def test_each_request_writes_one_line_that_names_the_route(fake: FakeApp) -> None:
    """Method, rule, status, duration, id and actor; not the path, the query or the form."""
    response = fake.app.test_client().get(f"/page/login?x={MARK}")
    (line,) = fake.lines()

    assert line["route"] == "/page/<name>"
    assert (line["method"], line["status"], line["request"]) == ("GET", 200, response.headers["X-Request-Id"])
    assert line["actor"] is None
    assert isinstance(line["ms"], float)
    assert line["at"] == "2026-11-24T03:30:12.000000Z"


def test_the_line_knows_who_asked(fake: FakeApp) -> None:
    """The actor's uid stands in the line, never a name."""
    fake.app.test_client().get("/page/voter")

    assert fake.lines()[0]["actor"] == "a" * 26
    assert "wayan" not in fake.out.getvalue().lower()


@pytest.mark.parametrize("path", [f"/{MARK}", f"/page/search?nik={MARK}", f"/assets/{MARK}"])
def test_nothing_that_was_asked_reaches_the_log(fake: FakeApp, path: str) -> None:
    """Neither unknown paths nor queries nor forms are written."""
    client = fake.app.test_client()
    client.get(path)
    client.post(path, data={"nik": MARK})
    client.open(path, method=f"X{MARK}")

    assert MARK not in fake.out.getvalue()


@pytest.mark.parametrize("target", ["/", "/voters", "/me/activity?before=12", "/voters/51.71-abc", "/a%20b?x=/y//z"])
def test_a_path_of_ours_is_kept(target: str) -> None:
    """Local absolute paths come back as they are."""
    assert safe_next(target) == target


@pytest.mark.parametrize(
    "target",
    [
        None,
        "",
        "voters",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/a\nb",
        "/a\r\nSet-Cookie: x=1",
        " /voters",
        "/vötérs",
        "/" + "a" * 2000,
        "/\x00",
        "/\x7f",
    ],
)
def test_anything_else_leads_home(target: str | None) -> None:
    """Other hosts and schemes, tricks with slashes, control characters, and endless paths."""
    assert safe_next(target) == "/"


@given(st.one_of(st.text(), st.from_regex(r"[/\\]{0,3}[a-z.:@/\\\t]*", fullmatch=True)))
def test_a_safe_path_never_leaves_the_site(target: str) -> None:
    """Whatever is given, the way back stays on the host, also for a browser that drops tabs and reads backslashes as slashes."""
    safe = safe_next(target)
    as_browsers_read = re.sub(r"[\t\r\n]", "", safe).replace("\\", "/")

    assert urlsplit(urljoin("https://gardu.example/x", as_browsers_read))[:2] == ("https", "gardu.example")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/voters?region=51.71", "/voters?region=51.71"),
        ("GET", "/voters", "/voters"),
        ("POST", "/voters/search", "/voters"),
        ("POST", "/save", "/"),
        ("GET", "/nowhere/at/all", "/"),
        ("GET", "//evil.example/x", "/"),
    ],
)
def test_the_page_to_return_to_can_be_opened_by_a_link(fake: FakeApp, method: str, path: str, expected: str) -> None:
    """A page behind a form gives the page the form stood on; an unknown one gives home."""
    with fake.app.test_request_context(path, method=method, data={"nik": MARK} if method == "POST" else None):
        assert here() == expected


def test_an_error_page_leads_back_to_our_own_pages_only(fake: FakeApp) -> None:
    """The link back is the page that led here, when it is ours; never another site's."""
    client = fake.app.test_client()
    ours = client.get("/fail/bad", headers={"Referer": "http://localhost/voters?region=51.71"}).text
    theirs = client.get("/fail/bad", headers={"Referer": "https://evil.example/voters"}).text

    assert '<a class="btn btn-main" href="/voters">Kembali</a>' in ours
    assert ">Kembali</a>" not in theirs
