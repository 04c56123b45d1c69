"""Random identifiers: 128 bits as 26 lower-case base32 characters (RFC 4648, no padding)."""

from __future__ import annotations

import base64
import re
import secrets

_SHAPE = re.compile(r"[a-z2-7]{26}", re.ASCII)


def new_uid() -> str:
    """Return a fresh random id."""
    return encode_uid(secrets.token_bytes(16))


def encode_uid(raw: bytes) -> str:
    """Return 16 bytes as 26 base32 characters. Raises ValueError for another length."""
    if len(raw) != 16:
        raise ValueError("a uid has 16 bytes")
    return base64.b32encode(raw).decode("ascii").rstrip("=").lower()


def decode_uid(uid: str) -> bytes:
    """Return the 16 bytes of *uid*. Raises ValueError when it is not the canonical form of 16 bytes."""
    if not _SHAPE.fullmatch(uid):
        raise ValueError("not a uid")
    raw = base64.b32decode(uid.upper() + "======")
    if encode_uid(raw) != uid:
        raise ValueError("not the canonical form of a uid")
    return raw
