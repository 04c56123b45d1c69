"""Each request gets an id and one log line that names the route, never what was asked; addresses to return to are made safe."""

from __future__ import annotations

import logging
import re
import sys
import time
import traceback
from collections.abc import Iterator
from typing import TextIO
from urllib.parse import urlsplit

import structlog
from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from app.kernel.clock import Clock, rfc3339
from app.kernel.ids import new_uid
from app.web.headers import STATIC_ENDPOINTS

HEADER = "X-Request-Id"
# Longer than any address of ours with its query; beyond it somebody is trying something.
NEXT_LIMIT = 1024
# One slash, then printable ASCII without backslash (browsers read it as a slash) and without a second slash (another host).
_LOCAL_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*", re.ASCII)
# Enough to find the place; the outer frames are Flask's own.
_FRAMES = 8
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def json_logger(stream: TextIO | None = None) -> structlog.typing.FilteringBoundLogger:
    """Return a logger that writes one JSON object a line to *stream* (stdout by default), without touching global settings."""
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream or sys.stdout),
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer(sort_keys=True, ensure_ascii=False)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    return logger


def request_id() -> str:
    """Return the id of this request, made on first use."""
    if "request_id" not in g:
        g.request_id = new_uid()
    return str(g.request_id)


def install(app: Flask, clock: Clock, logger: structlog.typing.FilteringBoundLogger) -> None:
    """Number the requests of *app* and write a line for each (static files excepted)."""

    @app.before_request
    def _start() -> None:
        g.request_started = time.perf_counter()
        request_id()

    @app.after_request
    def _finish(response: Response) -> Response:
        response.headers[HEADER] = request_id()
        if request.endpoint not in STATIC_ENDPOINTS:
            logger.info("request", at=rfc3339(clock.now()), **_line(response.status_code))
        return response

    app.logger.addFilter(_strip_values)


def _line(status: int) -> dict[str, object]:
    actor = g.get("actor")
    started: float = g.get("request_started", time.perf_counter())
    return {
        "request": request_id(),
        "method": request.method if request.method in _METHODS else "other",
        # The rule, not the path: a path can carry a voter's public id, and a wrong one anything at all.
        "route": request.url_rule.rule if request.url_rule else None,
        "endpoint": request.endpoint,
        "status": status,
        "ms": round((time.perf_counter() - started) * 1000, 1),
        "actor": getattr(actor, "uid", None),
    }


def _strip_values(record: logging.LogRecord) -> bool:
    """Take the exception's message and traceback text (which can hold values) out of a record of Flask's own logger."""
    if record.exc_info and isinstance(record.exc_info[1], BaseException):
        record.msg = "unhandled %s at %s"
        record.args = (" < ".join(kinds(record.exc_info[1])), " < ".join(places(record.exc_info[1])))
        record.exc_info, record.exc_text = None, None
    return True


def kinds(error: BaseException) -> list[str]:
    """Return the type of *error* and of what caused it, outermost first. Never a message."""
    return [f"{type(one).__module__}.{type(one).__qualname__}" for one in _chain(error)]


def places(error: BaseException) -> list[str]:
    """Return ``module:function:line`` of the innermost frames, deepest first. Never a value."""
    frames = [
        f"{frame.f_globals.get('__name__', '?')}:{frame.f_code.co_name}:{line}" for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    return frames[: -_FRAMES - 1 : -1]


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def safe_next(target: str | None) -> str:
    """Return *target* when it is an absolute path of this site, else ``/``.

    Refused: another scheme or host, ``//``, backslashes, control characters, anything not printable ASCII, more than 1,024 characters.
    """
    if target is None or len(target) > NEXT_LIMIT or not _LOCAL_PATH.fullmatch(target):
        return "/"
    return target


def here() -> str:
    """Return an address of this page that can be opened by a link: its own, or that of the page its form stood on.

    Used as ``next`` after a change of language and after signing in again; never carries form values.
    """
    if request.method in {"GET", "HEAD"} and request.routing_exception is None:
        return safe_next(request.full_path.removesuffix("?"))
    path = request.path
    while path.strip("/") and not _opens(path):
        path = path.rstrip("/").rpartition("/")[0]
    return safe_next(path or "/")


def back() -> str | None:
    """Return the path of the page of ours that led here, or None."""
    came = urlsplit(request.referrer or "")
    if not came.path or came.netloc != request.host or came.path == request.path or not _opens(came.path):
        return None
    return safe_next(came.path)


def _opens(path: str) -> bool:
    adapter = current_app.url_map.bind(request.host)
    try:
        adapter.match(path, method="GET")
    except HTTPException:
        return False
    return True
