"""Libraries that only some providers need: looked for when such a provider is chosen, never before."""

from __future__ import annotations

from app.kernel.errors import UnsafeStart


def missing(module: str, extra: str) -> UnsafeStart:
    """Return the error of a provider whose library is not here; it names the extra to install."""
    return UnsafeStart(f"this key provider needs {module}: pip install 'gardu[{extra}]' (docs/keys.md)")
