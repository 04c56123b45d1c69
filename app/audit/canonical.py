"""Canonical JSON (RFC 8785) for the few kinds of value that the log holds. Pure."""

from __future__ import annotations

import json
from typing import TypeAlias

from app.kernel.errors import BadInput

Json: TypeAlias = "str | int | list[Json] | dict[str, Json] | None"

# RFC 8785 section 3.2.2.3 writes numbers as ECMAScript does; up to here (2^53 - 1) an integer is its own decimal digits.
MAX_INT = 2**53 - 1
# The bare encoder, for values that were checked already.
encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def canonical(value: Json) -> bytes:
    """Return *value* as RFC 8785 bytes.

    Only strings, integers of at most 2^53 - 1, null, lists, and objects with ASCII keys: for these, sorted compact JSON is exactly
    RFC 8785. Raises BadInput for anything else (floats, booleans, lone surrogates).
    """
    try:
        _only_plain(value)
        return encode(value).encode("utf-8")
    except (UnicodeEncodeError, RecursionError):
        raise BadInput("JSON: a lone surrogate, or too deep") from None


def _only_plain(value: Json) -> None:
    if value is None or isinstance(value, str):
        return
    if type(value) is int:
        if abs(value) > MAX_INT:
            raise BadInput("JSON: an integer of 2^53 or more has no canonical form")
    elif isinstance(value, list):
        for one in value:
            _only_plain(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise BadInput("JSON: a key is not ASCII text")
            _only_plain(one)
    else:
        raise BadInput(f"JSON: {type(value).__name__} has no place in an entry")
