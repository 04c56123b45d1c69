"""The witness over HTTP: the published sequence, the page, what monitors fetch, limits, and never a traceback."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.audit.note import Verifier
from app.kernel.clock import SystemClock
from app.witness.core import MAX_BODY
from app.witness.desk import Witness
from app.witness.home import Home
from app.witness.wsgi import WitnessApp
from tests.witness.witness_kit import NAME, ORIGIN, SECRET, SIGNER, HandClock, Log, add, call, witness_in

VECTORS = Path(__file__).parent.parent / "vectors"  # sources: SOURCES.json
SEQUENCE = json.loads((VECTORS / "witness-add-checkpoint.json").read_text("utf-8"))
# The vectors' program answers 403 for an unknown log; tlog-witness of today demands 404.
STATUSES = {3: 404}
LOG = Log()


def test_the_published_sequence(tmp_path: Path) -> None:
    """Nine requests, in order, with their statuses and answers."""
    origin = SEQUENCE["sequence"][0]["body"].split("\n")[2]
    key = Verifier(origin, bytes.fromhex(SEQUENCE["log_public_key_hex"]))
    home = Home.create(tmp_path / "w", "example.com/witness", [key.vkey], SECRET)
    app = WitnessApp(Witness(home, home.unlock(SECRET), SystemClock()))

    for step in SEQUENCE["sequence"]:
        reply = add(app, step["body"].encode())
        how, text = step["body_assert"]
        assert reply.status == STATUSES.get(step["n"], step["status"]), step["n"]
        assert text == reply.text if how == "==" else text in reply.text, step["n"]
        assert (reply.headers["Content-Type"] == "text/x.tlog.size") == (reply.status == 409)


class Page(HTMLParser):
    """What a page is made of: its tags with attributes, its links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    @property
    def links(self) -> list[str]:
        return [str(attrs["href"]) for tag, attrs in self.tags if tag in {"a", "link"}]


@pytest.mark.parametrize(
    ("language", "heading", "verdict"), [("id", "Saksi jejak audit", "Tidak ada bukti"), ("en", "Witness of", "No evidence")]
)
def test_the_page_says_who_it_is_and_how_far_each_log_has_come(app: WitnessApp, language: str, heading: str, verdict: str) -> None:
    """Name, key, size, age and verdict, in both languages; nothing inline, nothing from outside; every link leads somewhere."""
    add(app, LOG.request(0, 1234))
    app.witness.clock.forward(minutes=5)  # type: ignore[attr-defined]

    reply = call(app, "GET", f"/?lang={language}")
    page = Page(reply.text)

    assert f'<html lang="{language}">' in reply.text
    for text in (heading, verdict, NAME, app.witness.home.verifier.vkey, ORIGIN, {"id": "1.234", "en": "1,234"}[language], "5 m"):
        assert text in reply.text
    assert not {"script", "style", "img", "iframe", "form"} & {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") or name == "style" for _, attrs in page.tags for name in attrs)
    assert all(link.startswith("/") and not link.startswith("//") for link in page.links)
    assert all(call(app, "GET", link).status == 200 for link in page.links)
    assert [tag for tag, _ in page.tags if tag in {"h1", "main", "header"}] == ["header", "h1", "main"]


@pytest.mark.parametrize("query", ["", "?lang=xx", "?lang=", "?lang=en&lang=id", "?lang=%ff", "?" + "a=b&" * 2000])
def test_the_page_is_indonesian_unless_english_is_asked_for(app: WitnessApp, query: str) -> None:
    assert '<html lang="id">' in call(app, "GET", f"/{query}").text


def test_the_page_before_anything_came(app: WitnessApp) -> None:
    """A fresh witness says so, and has no checkpoint to hand out."""
    assert "Belum ada titik periksa" in call(app, "GET", "/").text
    assert call(app, "GET", "/checkpoint/0").status == 404


def test_a_forked_log_is_said_in_large_letters_with_its_proof(app: WitnessApp) -> None:
    """In both languages; the two notes can be fetched."""
    add(app, LOG.request(0, 6))
    add(app, Log("b").request(6, 6))

    for query, words in (("", "ADA BUKTI LOG BERCABANG"), ("?lang=en", "THERE IS EVIDENCE OF A FORKED LOG")):
        reply = call(app, "GET", f"/{query}")
        assert re.search(rf'<p class="verdict fork" role="status">.*{words}</p>', reply.text)
    notes = [call(app, "GET", link).text for link in Page(reply.text).links if link.startswith("/evidence/")]
    assert len(notes) == 2
    assert notes[1] == Log("b").note(6)


def test_names_from_outside_cannot_write_the_page(tmp_path: Path) -> None:
    """A witness's name and a log's origin are text, whatever stands in them."""
    evil = "<script>alert(1)</script>\"'&amp;"
    home = Home.create(tmp_path / "w", evil.replace(" ", ""), [type(SIGNER)(evil, bytes(32)).vkey], SECRET)

    reply = call(WitnessApp(Witness(home, home.unlock(SECRET), HandClock())), "GET", "/")

    assert "<script" not in reply.text
    assert reply.text.count("&lt;script&gt;") >= 3


def test_monitors_fetch_the_newest_checkpoint(app: WitnessApp) -> None:
    """By origin, as it is or percent-encoded (the server decodes it), or by place; with both signatures."""
    add(app, LOG.request(0, 6))
    line = add(app, LOG.request(6, 9)).text

    for path in (f"/checkpoint/{ORIGIN}", "/checkpoint/0"):
        reply = call(app, "GET", path)
        assert (reply.status, reply.text) == (200, LOG.note(9) + line)
        assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert call(app, "GET", "/key").text == app.witness.home.verifier.vkey + "\n"


PATHS = ["/", "/style.css", "/key", "/checkpoint/0"]


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_a_body(app: WitnessApp, path: str) -> None:
    add(app, LOG.request(0, 6))

    got, head = call(app, "GET", path), call(app, "HEAD", path)

    assert (head.status, head.body) == (200, b"")
    assert head.headers == got.headers
    assert got.headers["Content-Length"] == str(len(got.body))


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post", ""])
def test_only_post_adds(app: WitnessApp, method: str) -> None:
    reply = call(app, method, "/add-checkpoint", LOG.request(0, 6))

    assert (reply.status, reply.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE"])
def test_pages_are_only_read(app: WitnessApp, method: str, path: str) -> None:
    add(app, LOG.request(0, 6))

    reply = call(app, method, path, b"")

    assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD")


STRANGE = [
    "/nope", "", "//", "/checkpoint", "/checkpoint/", "/checkpoint/1", "/checkpoint/-1", "/checkpoint/00", "/checkpoint/../state.json",
    "/evidence", "/evidence/", "/evidence/../state.json", "/evidence/x/held.note", "/key/", "/style.css/", "/add-checkpoint/", "/ADD-CHECKPOINT",
    "/\xff\xfe", "/\u2028", "/state.json", "/witness.json", "/keyring",
]  # fmt: skip


@pytest.mark.parametrize("path", STRANGE)
def test_unknown_paths_are_404(app: WitnessApp, path: str) -> None:
    """Also those that would lead to files."""
    add(app, LOG.request(0, 6))

    reply = call(app, "GET", path)

    assert (reply.status, reply.text) == (404, "not found\n")


@pytest.mark.parametrize("path", ["/", "/style.css", "/key", "/nope", "/add-checkpoint"])
def test_every_answer_carries_the_protective_headers(app: WitnessApp, path: str) -> None:
    """No script, no frame, no sniffing, no cache; also on errors."""
    reply = call(app, "GET", path)

    assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self';")
    assert "unsafe" not in reply.headers["Content-Security-Policy"]
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["X-Frame-Options"] == "DENY"
    assert reply.headers["Cache-Control"] == "no-store"


class Counting(io.BytesIO):
    """A body that says how much of it was read."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        self.taken += len(content)
        return content


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({"CONTENT_LENGTH": str(MAX_BODY + 1)}, 413),
        ({"CONTENT_LENGTH": "9" * 5000}, 413),
        ({"CONTENT_LENGTH": "-1"}, 400),
        ({"CONTENT_LENGTH": "１"}, 400),
        ({"CONTENT_LENGTH": "1e3"}, 400),
        ({"CONTENT_LENGTH": ""}, 411),
        ({"CONTENT_LENGTH": "", "wsgi.input_terminated": True}, 413),
        ({"CONTENT_LENGTH": str(MAX_BODY)}, 400),
    ],
    ids=range(8),
)
def test_the_body_is_limited_before_it_is_read(app: WitnessApp, environ: dict[str, Any], status: int) -> None:
    """Ten megabytes come, and never more than 64 KiB and a byte are taken."""
    body = Counting(b"x" * 10_000_000)

    reply = call(app, "POST", "/add-checkpoint", b"", **{**environ, "wsgi.input": body})

    assert reply.status == status
    assert body.taken <= MAX_BODY + 1


def test_a_body_that_ends_too_soon_is_refused(app: WitnessApp) -> None:
    body = LOG.request(0, 6)

    assert call(app, "POST", "/add-checkpoint", body, CONTENT_LENGTH=str(len(body) + 5)).status == 400


def test_a_chunked_body_is_taken(app: WitnessApp) -> None:
    """Without a length, from a server that ends the input itself."""
    reply = call(app, "POST", "/add-checkpoint", LOG.request(0, 6), CONTENT_LENGTH="", **{"wsgi.input_terminated": True})

    assert reply.status == 200


class Broken(io.BytesIO):
    """A connection that breaks while the body is read."""

    def read(self, size: int | None = -1) -> bytes:
        raise ValueError("rahasia di dalam")


def test_an_unforeseen_error_is_a_plain_500(app: WitnessApp, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither the answer nor the log line tells what was inside."""
    reply = call(app, "POST", "/add-checkpoint", b"x", **{"wsgi.input": Broken()})

    assert (reply.status, reply.text) == (500, "error\n")
    assert "rahasia" not in capsys.readouterr().out


def test_what_strangers_send_is_not_written_down(app: WitnessApp, capsys: pytest.CaptureFixture[str]) -> None:
    """The log line has the status; not the body, not the address."""
    call(app, "POST", "/add-checkpoint", b"old 0\n\npenanda-rahasia\n", REMOTE_ADDR="203.0.113.9")

    told = capsys.readouterr().out
    assert "add-checkpoint" in told and "400" in told
    assert "penanda" not in told and "203.0.113.9" not in told


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "X"]),
    path=st.sampled_from(["/", "/add-checkpoint", "/checkpoint/"]).flatmap(lambda start: st.text(max_size=10).map(start.__add__)),
    body=st.binary(max_size=80),
    length=st.one_of(st.none(), st.text(max_size=4)),
)
def test_whatever_comes_in_is_answered(app: WitnessApp, method: str, path: str, body: bytes, length: str | None) -> None:
    """Any method, path, length and body: one of our statuses, never 500."""
    reply = call(app, method, path, body, **({} if length is None else {"CONTENT_LENGTH": length}))

    assert reply.status in {200, 400, 404, 405, 411, 413}


def test_one_witness_serves_two_logs(folder: Path) -> None:
    """Each with its own state; a second key of a log is accepted beside the first."""
    second = Log(signer=type(SIGNER)("lain.localhost/gardu/1", bytes(32)))
    Home.open(folder).add_log(second.signer.vkey)
    app = witness_in(folder)

    assert add(app, LOG.request(0, 6)).status == 200
    assert add(app, second.request(0, 3)).status == 200
    assert add(app, second.request(0, 4)).text == "3\n"
    assert call(app, "GET", "/checkpoint/1").text.startswith("lain.localhost/gardu/1\n3\n")
