"""Handing a checkpoint to a witness (C2SP tlog-witness, ``add-checkpoint``), over HTTP. Touches no database."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from app.kernel.errors import N_, BadInput, Unavailable

# Seconds for connecting and for each read: a witness that is slower counts as away, and is asked again with the next checkpoint.
TIMEOUT = 5.0
# An answer is one signature line of each of the witness's keys; an ML-DSA-44 one is 3.3 KB.
_MAX_ANSWER = 64 * 1024
_SIZE_TYPE = "text/x.tlog.size"
_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\n", re.ASCII)
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a witness said. status: of HTTP. lines: signature lines (200). size: the size it has recorded (409), or None."""

    status: int
    lines: str = ""
    size: int | None = None


def check_url(url: str) -> str:
    """Return *url* without a trailing slash when it may be a witness's submission prefix.

    Raises BadInput (field ``url``) unless it is https, or http to this machine, without user, query or fragment.
    """
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host = None
    plain = host is not None and parts.scheme == "http" and host in _LOOPBACK
    if (
        not host
        or not (parts.scheme == "https" or plain)
        or parts.username
        or parts.query
        or parts.fragment
        or not url.isascii()
        or " " in url
    ):
        raise BadInput("a witness's address is https://host[:port][/path]; http only on this machine", field="url")
    return url.rstrip("/")


def request_body(note: str, old: int, proof: Sequence[bytes]) -> bytes:
    """Return the body that submits *note* with the consistency proof from *old* entries."""
    hashes = "".join(base64.b64encode(one).decode("ascii") + "\n" for one in proof)
    return f"old {old}\n{hashes}\n{note}".encode()


def submit(url: str, note: str, old: int, proof: Sequence[bytes], *, timeout: float = TIMEOUT) -> Answer:
    """Hand *note* to the witness at *url* and return its answer; redirects are not followed.

    Raises Unavailable when it cannot be reached, answers too slowly or not as HTTP, BadInput for a bad *url*.
    """
    parts = urlsplit(check_url(url))
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.netloc, timeout=timeout)
    try:
        headers = {"Content-Type": "text/plain; charset=utf-8", "Connection": "close"}
        connection.request("POST", f"{parts.path}/add-checkpoint", request_body(note, old, proof), headers)
        response = connection.getresponse()
        raw = response.read(_MAX_ANSWER + 1)
        content = response.headers.get_content_type()
    except (OSError, HTTPException) as error:
        raise Unavailable(f"witness {parts.netloc}: {type(error).__name__}: {error}", public=N_("Saksi tidak dapat dihubungi.")) from None
    finally:
        connection.close()
    return _read(response.status, content, raw)


def _read(status: int, content: str, raw: bytes) -> Answer:
    text = raw.decode("utf-8", "replace") if len(raw) <= _MAX_ANSWER else ""
    if status == 200:
        return Answer(status, lines=text)
    told = _SIZE.fullmatch(text) if status == 409 and content == _SIZE_TYPE else None
    return Answer(status, size=int(told[1]) if told else None)
