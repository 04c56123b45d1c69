"""Looking at the guard: what it publishes beside what we cosigned, over real HTTP."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from app.audit.cosign import Cosigner
from app.audit.note import Signer
from app.kernel.errors import BadInput, GarduError, NotThere, SealBroken, Unavailable
from app.witness.core import Held
from app.witness.guard import Verdict, compare, fetch, read
from tests.witness.witness_kit import NAME, NOON, ORIGIN, SIGNER, Log

LOG, OTHER = Log(), Log("b")
COSIGNER = Cosigner(NAME, bytes(32))
LOGS = {ORIGIN: [SIGNER.verifier]}


def cosigned(size: int, log: Log = LOG) -> str:
    return log.note(size) + COSIGNER.sign(log.checkpoint(size).text(), int(NOON.timestamp()))


def held(size: int | None) -> Held | None:
    return None if size is None else Held.read(cosigned(size), COSIGNER.verifier)


@contextmanager
def guard(answers: Mapping[str, tuple[int, bytes]]) -> Iterator[str]:
    """Serve *answers* (path → status, body) on a port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, b"not there"))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", body.decode())
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


VERDICTS = [
    # shown, held before, held after, verdict
    (LOG.note(7), 7, 7, Verdict.SAME),
    (cosigned(7), 7, 7, Verdict.SAME),
    (LOG.note(7), 5, 7, Verdict.SAME),
    (LOG.note(7), 7, 9, Verdict.SAME),
    (LOG.note(9), 7, 7, Verdict.AHEAD),
    (LOG.note(9), None, None, Verdict.AHEAD),
    (LOG.note(8), 7, 9, Verdict.AHEAD),
    (cosigned(8), 7, 9, Verdict.AHEAD),
    (LOG.note(6), 7, 7, Verdict.BEHIND),
    (cosigned(6), 7, 7, Verdict.BEHIND),
    (OTHER.note(7), 7, 7, Verdict.FORK),
    (OTHER.note(7), 5, 7, Verdict.FORK),
    (OTHER.note(7), 7, 9, Verdict.FORK),
    (cosigned(9), 7, 7, Verdict.LOST),
    (cosigned(9), None, None, Verdict.LOST),
]


@pytest.mark.parametrize(("note", "before", "after", "verdict"), VERDICTS, ids=range(len(VERDICTS)))
def test_verdicts(note: str, before: int | None, after: int | None, verdict: Verdict) -> None:
    """What is shown beside what was held before and after looking: a submission in between is no crime."""
    assert compare(read(note, LOGS, COSIGNER.verifier), held(before), held(after)) is verdict


def test_what_is_read_keeps_the_logs_lines_alone() -> None:
    """As evidence it must hold nothing that was not checked; our own cosignature gives its time."""
    shown = read(cosigned(7) + "— x AAAAAAAA\n", LOGS, COSIGNER.verifier)

    assert shown.note == LOG.note(7)
    assert shown.cosigned == NOON


@pytest.mark.parametrize(
    ("note", "error"),
    [
        ("", BadInput),
        ("<html></html>", BadInput),
        (LOG.note(7)[:-5], BadInput),
        (Signer("x/gardu/1", bytes(32)).sign(LOG.checkpoint(7).text()), SealBroken),
        (Log(signer=Signer("x/gardu/1", bytes(32))).note(7), NotThere),
        (LOG.note(7).replace("\n7\n", "\n8\n"), SealBroken),
        (cosigned(7).replace("\n7\n", "\n8\n"), SealBroken),
        (LOG.note(7) + cosigned(8).splitlines(keepends=True)[-1], SealBroken),
    ],
    ids=range(8),
)
def test_what_is_no_checkpoint_of_a_watched_log_is_refused(note: str, error: type[GarduError]) -> None:
    with pytest.raises(error):
        read(note, LOGS, COSIGNER.verifier)


def test_the_checkpoint_is_fetched() -> None:
    with guard({"/log/checkpoint": (200, LOG.note(7).encode())}) as url:
        assert fetch(url) == fetch(f"{url}/") == LOG.note(7)


@pytest.mark.parametrize("answer", [(404, b"x"), (500, b"x"), (302, b"/elsewhere"), (200, b"\xff"), (200, b"x" * 600_000)], ids=range(5))
def test_an_unusable_answer_could_not_be_checked(answer: tuple[int, bytes]) -> None:
    """Errors, redirects, other bytes, too many of them."""
    with guard({"/log/checkpoint": answer, "/elsewhere": (200, LOG.note(7).encode())}) as url, pytest.raises(Unavailable):
        fetch(url)


def test_a_guard_that_is_away_or_silent_could_not_be_checked() -> None:
    """Nobody listens; somebody listens and says nothing."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unavailable):
            fetch(url, timeout=0.2)
        silent.listen()
        with pytest.raises(Unavailable):
            fetch(url, timeout=0.2)


@pytest.mark.parametrize(
    "url", ["", "x", "http://gardu.example", "ftp://gardu.example", "https://u:p@gardu.example", "https://x\r\nHost: y", "file:///etc"]
)
def test_an_address_that_is_not_https_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="https"):
        fetch(url)
