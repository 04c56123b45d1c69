"""Random identifiers: 128 bits as 26 lower-case base32 characters (RFC 4648, no padding)."""

from __future__ import annotations

import base64
import re
import secrets

_LENGTH = 26
_ALPHABET = b"abcdefghijklmnopqrstuvwxyz234567"
_LETTERS = bytes(_ALPHABET[byte & 31] for byte in range(256))
_LAST_LETTERS = bytes(_ALPHABET[byte & 28] for byte in range(256))
_SHAPE = re.compile(r"[a-z2-7]{26}", re.ASCII)


def new_uid() -> str:
    """Return a fresh random id."""
    return encode_uid(secrets.token_bytes(16))


def new_uids(count: int) -> list[bytes]:
    """Return *count* fresh random ids as ASCII bytes; like ``new_uid``, from one draw.

    A random byte chooses one of 32 letters without bias, 26 times; of the last letter only the 3 bits that 128 leave are free.
    """
    drawn = secrets.token_bytes(_LENGTH * count)
    letters, last = drawn.translate(_LETTERS), drawn.translate(_LAST_LETTERS)
    return [letters[start : start + _LENGTH - 1] + last[start + _LENGTH - 1 : start + _LENGTH] for start in range(0, len(drawn), _LENGTH)]


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
