"""The witness over HTTP: ``add-checkpoint`` for logs, a page for people, the newest checkpoints for monitors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import structlog

from app.kernel.errors import GarduError
from app.witness import page
from app.witness.core import MAX_BODY, PLAIN, Answer
from app.witness.desk import Witness, standings
from app.witness.evidence import HELD, SHOWN

_log = structlog.get_logger()
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
_HTML, _CSS = "text/html; charset=utf-8", "text/css; charset=utf-8"
ADD = "/add-checkpoint"

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


@dataclass(frozen=True, slots=True)
class WitnessApp:
    """A WSGI application over *witness*. Whatever comes in, it answers with a status and never with a traceback."""

    witness: Witness

    def __call__(self, environ: Mapping[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        method, path = str(environ.get("REQUEST_METHOD", "")), _path(environ)
        try:
            answer, allow = self._answer(method, path, environ)
        except (GarduError, OSError) as error:
            _log.error("error", code=getattr(error, "code", "io"), detail=str(error))
            answer, allow = Answer(503, "this witness cannot work safely now; nothing was cosigned\n"), ""
        except Exception as error:
            _log.error("error", code="error", kind=type(error).__name__)
            answer, allow = Answer(500, "error\n"), ""
        body = answer.body.encode("utf-8")
        headers = {**_HEADERS, "Content-Type": answer.content_type, "Content-Length": str(len(body))} | ({"Allow": allow} if allow else {})
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", list(headers.items()))
        return [] if method == "HEAD" else [body]

    def _answer(self, method: str, path: str, environ: Mapping[str, Any]) -> tuple[Answer, str]:
        """Return the answer, and the methods allowed when it is 405."""
        if path == ADD:
            return (self._add(environ), "") if method == "POST" else (Answer(405, "use POST\n"), "POST")
        found = self._page(path, str(environ.get("QUERY_STRING", "")))
        if found is None:
            return Answer(404, "not found\n"), ""
        return (found, "") if method in {"GET", "HEAD"} else (Answer(405, "use GET\n"), "GET, HEAD")

    def _add(self, environ: Mapping[str, Any]) -> Answer:
        body = _body(environ)
        answer = body if isinstance(body, Answer) else self.witness.add(body)
        # No address and nothing of the request: what strangers send is not written down.
        _log.info("add-checkpoint", status=answer.status)
        return answer

    def _page(self, path: str, query: str) -> Answer | None:
        home = self.witness.home
        if path == "/":
            language = parse_qs(query).get("lang", ["id"])[-1]
            known = language if language in page.LANGUAGES else "id"
            return Answer(200, page.render(home.verifier, standings(home), self.witness.clock.now(), known), _HTML)
        if path == "/style.css":
            return Answer(200, page.STYLE, _CSS)
        if path == "/key":
            return Answer(200, f"{home.verifier.vkey}\n")
        room, _, name = path[1:].partition("/")
        note = {"checkpoint": self._checkpoint, "evidence": self._evidence}.get(room, lambda _: None)(name)
        return None if note is None else Answer(200, note, PLAIN)

    def _checkpoint(self, name: str) -> str | None:
        """Return the newest cosigned checkpoint of the log with this origin, or with this place in the list (from 0)."""
        for number, standing in enumerate(standings(self.witness.home)):
            if name in {standing.origin, str(number)}:
                return standing.held.note if standing.held else None
        return None

    def _evidence(self, name: str) -> str | None:
        """Return a note of a case: ``<case>/held.note`` or ``<case>/shown.note``."""
        for standing in standings(self.witness.home):
            for case in standing.cases:
                for file, note in ((HELD, case.held), (SHOWN, case.shown)):
                    if name == f"{case.name}/{file}":
                        return note
        return None


def _path(environ: Mapping[str, Any]) -> str:
    # PEP 3333: the path's bytes, percent signs resolved, each as one Latin-1 character.
    return str(environ.get("PATH_INFO", "")).encode("latin-1", "replace").decode("utf-8", "replace")


def _body(environ: Mapping[str, Any]) -> bytes | Answer:
    """Return the request's body, or the refusal: 413 over 64 KiB, 411 when its length is not known, 400 when it ends too soon."""
    length = str(environ.get("CONTENT_LENGTH") or "")
    if length:
        if not (length.isascii() and length.isdigit()):
            return Answer(400, "bad request: Content-Length is not a number\n")
        wanted = int(length) if len(length) < 10 else MAX_BODY + 1
    elif environ.get("wsgi.input_terminated"):
        wanted = MAX_BODY + 1
    else:
        return Answer(411, "send a Content-Length\n")
    if length and wanted > MAX_BODY:
        return Answer(413, "longer than 64 KiB\n")
    body = bytes(environ["wsgi.input"].read(wanted))
    if len(body) > MAX_BODY:
        return Answer(413, "longer than 64 KiB\n")
    return Answer(400, "bad request: the body ends too soon\n") if length and len(body) < wanted else body
