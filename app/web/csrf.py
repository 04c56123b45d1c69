"""Forms must come from our own pages: a token bound to the session, and what the browser says about the sender.

The token is base64url HMAC-SHA-256, under ``g.csrf_key`` or else ``app.config["GARDU_CSRF_KEY"]``, of the session's id hash (``g.csrf_binding``), or of a random cookie before
anybody has signed in. It changes with the session, so a form from before a login or logout is refused.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from urllib.parse import urlsplit

from flask import Flask, Response, current_app, g, request

from app.kernel.errors import N_, BadInput, KeysDown

FIELD = "csrf_token"
COOKIE = "gardu_anon"
# RFC 9110 section 9.2.1: methods that change nothing. Everything else is checked.
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
# Fetch Metadata: our own page, or typed by the person (none). "same-site" is a sibling host, which is not us.
_OWN_SITES = frozenset({"same-origin", "none"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
# RFC 2104 section 3: a key shorter than the hash (32 bytes) weakens HMAC.
_KEY_BYTES = 32
_EXTENSION = "gardu.csrf"
EXPIRED = N_("Formulir ini sudah kedaluwarsa. Tidak ada yang disimpan atau diproses.")


def install(app: Flask, *, public_origin: str, demo: bool) -> None:
    """Prepare *app* for ``check``; ``check`` itself is put by the factory after the gate has set ``g.csrf_binding``.

    public_origin: scheme and host people type, e.g. ``https://gardu.example``. demo: loopback names are accepted too.
    """
    app.extensions[_EXTENSION] = (origin_of(public_origin), demo)

    @app.after_request
    def _remember(response: Response) -> Response:
        fresh = g.get("csrf_fresh")
        if fresh:
            secure = public_origin.startswith("https:")
            response.set_cookie(_cookie_name(), fresh, secure=secure, httponly=True, samesite="Strict", path="/")
        return response


def token() -> str:
    """Return the token of this session for a hidden field. Raises KeysDown when the key is absent or short."""
    key = g.get("csrf_key") or current_app.config.get("GARDU_CSRF_KEY")
    if not isinstance(key, bytes) or len(key) < _KEY_BYTES:
        raise KeysDown("GARDU_CSRF_KEY is absent or shorter than 32 bytes")
    mac = hmac.digest(key, _binding(), hashlib.sha256)
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode("ascii")


def check() -> None:
    """Let a changing request pass only when it comes from a form of ours in this session.

    Raises BadInput (field ``csrf_token``) when the token differs or the browser names another sender.
    """
    if request.method in _SAFE_METHODS or request.routing_exception is not None:
        return  # with a routing exception no view will run
    sent = request.form.get(FIELD, "").encode("utf-8", "replace")
    if not (hmac.compare_digest(sent, token().encode("ascii")) and _sent_by_us()):
        raise BadInput("csrf token or sender does not match", field=FIELD, public=EXPIRED)


def origin_of(address: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of *address*, with the default port filled in (RFC 6454)."""
    parts = urlsplit(address)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or _DEFAULT_PORTS.get(scheme)


def _binding() -> bytes:
    signed_in = g.get("csrf_binding")
    if isinstance(signed_in, bytes):
        return signed_in
    anonymous = request.cookies.get(_cookie_name()) or g.get("csrf_fresh")
    if not anonymous:
        anonymous = g.csrf_fresh = secrets.token_urlsafe(32)
    # The prefix keeps a chosen cookie from ever standing for a session's 32 bytes.
    return b"anon:" + str(anonymous).encode("utf-8", "replace")


def _cookie_name() -> str:
    """``__Host-`` where the browser allows it (https): then no sibling host can plant the cookie."""
    (scheme, _host, _port), _demo = current_app.extensions[_EXTENSION]
    return f"__Host-{COOKIE}" if scheme == "https" else COOKIE


def _sent_by_us() -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in _OWN_SITES:
        return False
    origin = request.headers.get("Origin")
    return origin is None or _is_ours(origin)


def _is_ours(origin: str) -> bool:
    public, demo = current_app.extensions[_EXTENSION]
    try:
        sender = origin_of(origin)
    except ValueError:  # a port that is no number
        return False
    # A demo is opened as localhost or 127.0.0.1; any other name in Host could be another site's, rebound to us.
    return sender == public or (demo and sender[1] in _LOOPBACK and sender == origin_of(request.host_url))
