"""The log's public addresses (C2SP tlog-tiles) and what mirrors fetch with a token. Pages for people: ``page_routes``."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, request

from app.audit import static
from app.audit.proof import tlog_proof
from app.identity import gate
from app.kernel.errors import SignInNeeded
from app.openlog import files, tokens
from app.openlog.room import EXTENSION, OpenLog
from app.web.requests import request_id

blueprint = Blueprint("openlog", __name__)
_TEXT, _BYTES = "text/plain; charset=utf-8", "application/octet-stream"
_SEQ = f"<int(max={2**53 - 1}):seq>"


@blueprint.get("/log/checkpoint")
@gate.public
def checkpoint() -> Response:
    """Hand out the newest published checkpoint, witnesses' signatures with it."""
    return _answer(files.checkpoint(room()).encode(), _TEXT)


@blueprint.get("/log/key")
@gate.public
def key() -> Response:
    """Hand out the log's verifier keys."""
    return _answer(files.keys(room()).encode(), _TEXT)


@blueprint.get("/log/policy")
@gate.public
def policy() -> Response:
    """Hand out the policy in force: the log's key, the witnesses, the quorum."""
    return _answer(files.policy(room(), room().now()).encode(), _TEXT)


@blueprint.get("/log/tile/<level>/<path:path>")
@gate.public
def tile(level: str, path: str) -> Response:
    """Hand out hashes of the tree."""
    here = room()
    return _answer(static.tile(here.guard.store, here.log, level, path), _BYTES)


@blueprint.get("/log/tile/entries/<path:path>")
@gate.public
def entries(path: str) -> Response:
    """Hand out entries to the bearer of a mirror's token; recorded first."""
    here = room()
    refused = _refused()
    return refused or _answer(static.bundle(here.guard.store, here.log, path), _BYTES)


@blueprint.get(f"/log/proof/{_SEQ}")
@gate.public
def proof(seq: int) -> Response:
    """Hand out the proof of one entry to the bearer of a mirror's token; recorded first."""
    here = room()
    refused = _refused()
    return refused or _answer(tlog_proof(here.guard.store, here.log, seq, published=True).encode(), _TEXT)


def room() -> OpenLog:
    """Return the room of this application."""
    found = current_app.extensions[EXTENSION]
    assert isinstance(found, OpenLog)
    return found


def _refused() -> Response | None:
    """Return the answer to who brings no good token (RFC 6750 section 3), or None once the use of a good one is recorded."""
    here = room()
    try:
        tokens.admit(here, request.headers.get("Authorization", ""), request.path, request_id(), here.now())
    except SignInNeeded as wrong:
        answer = Response(f"{wrong.detail}\n", 401, content_type=_TEXT)
        answer.headers["WWW-Authenticate"] = 'Bearer realm="gardu log"'
        return answer
    return None


def _answer(raw: bytes, kind: str) -> Response:
    return Response(raw, content_type=kind)
