"""What stands inside a payload, as far as the log's own promises reach: salt, subjects, visit. Pure.

The content is JSON with at least ``salt`` (hex) and ``subjects`` (uids); ``visit`` is the canonical visit and grant as one string.
The vault seals these bytes, so only a holder of the audit key reads them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from app.audit.canonical import Json, canonical, encode
from app.kernel.errors import BadInput

# 128 bits: whoever holds all entries and all uids still cannot try salts.
MIN_SALT = 16
_SALT = re.compile(r"(?:[0-9a-f]{2}){16,64}", re.ASCII)
# One entry names at most this many voters (a batch of a load, a page of a search).
MAX_SUBJECTS = 100_000


@dataclass(frozen=True, slots=True, repr=False)
class Content:
    """The parts of a payload that its entry commits to."""

    salt: bytes
    subjects: tuple[str, ...]
    visit: str | None


def pack(*, salt: bytes, subjects: Iterable[str] = (), visit: bytes | None = None, **more: Json) -> bytes:
    """Return the content to be sealed, as canonical JSON.

    salt: 16 to 64 random bytes, fresh per entry. subjects: public uids. visit: canonical visit and grant (UTF-8 JSON), or None.
    more: whatever else the entry's owner must be able to read again (client address, tokens searched, digests). Raises BadInput.
    """
    members: dict[str, Json] = {**more, "salt": salt.hex(), "subjects": list(subjects)}
    if visit is not None:
        members["visit"] = visit.decode("utf-8")
    packed = canonical(members)
    unpack(packed)
    return packed


def pack_rows(*, salt: bytes, subjects: Sequence[str], visit: bytes, rows: Sequence[str], **more: Json) -> bytes:
    """As ``pack`` with a member ``rows``, for thousands of rows given as ``entry.row_text`` wrote them. Raises BadInput."""
    if not _SALT.fullmatch(salt.hex()) or len(subjects) > MAX_SUBJECTS or not all(map(str.isascii, subjects)):
        raise BadInput("payload: salt or subjects are not in their form", field="subjects")
    members = {name: canonical(value) for name, value in more.items()}
    members |= {
        "salt": canonical(salt.hex()),
        "subjects": encode(list(subjects)).encode("ascii"),
        "visit": canonical(visit.decode("utf-8")),
    }
    members["rows"] = f"[{','.join(rows)}]".encode()
    return b"{%b}" % b",".join(f'"{name}":'.encode("ascii") + members[name] for name in sorted(members))


def unpack(content: bytes) -> Content:
    """Return the parts of *content*. Raises BadInput, naming the member that is not in its form; never its value."""
    try:
        members = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        raise BadInput("payload: not JSON in UTF-8") from None
    if not isinstance(members, dict):
        raise BadInput("payload: not a JSON object")
    salt, subjects, visit = members.get("salt"), members.get("subjects"), members.get("visit")
    if not isinstance(salt, str) or not _SALT.fullmatch(salt):
        raise BadInput("payload: salt is not 16 to 64 bytes in hex", field="salt")
    if not isinstance(subjects, list) or len(subjects) > MAX_SUBJECTS:
        raise BadInput("payload: subjects is not a list of uids", field="subjects")
    if not all(isinstance(uid, str) and uid.isascii() for uid in subjects):
        raise BadInput("payload: subjects is not a list of uids", field="subjects")
    if visit is not None and not isinstance(visit, str):
        raise BadInput("payload: visit is not a string", field="visit")
    return Content(bytes.fromhex(salt), tuple(subjects), visit)


def visit_commitment(salt: bytes, visit: bytes) -> bytes:
    """Return SHA-256(0x00 ‖ salt ‖ visit), 32 bytes: what an entry's ``visit`` holds."""
    return sha256(b"\x00" + salt + visit).digest()
