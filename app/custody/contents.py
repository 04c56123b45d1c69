"""Opens what stands in the sealed payload of an entry, for the checks of the store against the log."""

from __future__ import annotations

import json

from app.audit.canonical import Json
from app.audit.content import unpack
from app.audit.members import Entry
from app.touch import Guard


def content_of(guard: Guard, entry: Entry, day: str, wrapped: bytes, sealed: bytes | None) -> dict[str, Json] | None:
    """Return what stands in an entry's payload, None when there is none. Raises SealBroken, BadInput, ValueError."""
    payload = entry["payload"]
    if payload is None or sealed is None:
        return None
    content = guard.payloads.open(sealed, wrapped, day, entry["log"], bytes.fromhex(payload["commitment"]))
    unpack(content)
    found: dict[str, Json] = json.loads(content)
    return found
