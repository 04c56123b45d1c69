"""Response headers: nothing from outside, nothing inline, nothing kept by caches, nobody may frame us."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Flask, Response, request

# Pages have no script at all, so none is allowed; Bootstrap's stylesheet draws its select arrow from a data: image.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "img-src 'self' data:",
        "style-src 'self'",
        "script-src 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_UNUSED_FEATURES = (
    "accelerometer",
    "autoplay",
    "browsing-topics",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "screen-wake-lock",
    "usb",
)
ALWAYS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _UNUSED_FEATURES),
    # Not no-referrer: under it a browser sends "Origin: null" with a form, and the origin check would refuse everybody.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}
# Two years, the value asked by the preload list (identity.md, "headers").
HSTS = f"max-age={2 * 365 * 24 * 3600}; includeSubDomains"
STATIC_ENDPOINTS = frozenset({"static", "web.static", "bootstrap.static"})
# A Merkle tile never changes (C2SP tlog-tiles): caches and mirrors may keep it.
IMMUTABLE_ENDPOINTS = frozenset({"openlog.tile"})
# A year and immutable: such an address carries the digest of its file (``v=``), so a changed file has a new address.
KEEP = "public, max-age=31536000, immutable"
# An address without a digest may change under the reader.
KEEP_BRIEFLY = "public, max-age=3600"


def install(app: Flask, *, https: bool) -> None:
    """Put the headers on every response of *app*, error pages included. *https*: the public origin is https."""

    @app.after_request
    def _add(response: Response) -> Response:
        for name, value in ALWAYS.items():
            response.headers.setdefault(name, value)
        if https:
            response.headers["Strict-Transport-Security"] = HSTS
        response.headers["Cache-Control"] = _cache(response)
        return response


def _cache(response: Response) -> str:
    if request.endpoint in IMMUTABLE_ENDPOINTS and response.status_code == 200:
        return KEEP
    if request.endpoint not in STATIC_ENDPOINTS or response.status_code >= 400:
        return "no-store"
    return KEEP if request.args.get("v") else KEEP_BRIEFLY
