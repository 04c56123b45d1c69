"""Looking at the guard from outside: does what it shows today go together with what this witness cosigned?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from app.audit.cosign import CosignVerifier, LogKey, open_cosignatures
from app.audit.note import Checkpoint, parse_checkpoint, split_note
from app.audit.submit import check_url
from app.kernel.errors import BadInput, NotThere, Unavailable
from app.witness.core import Held, signed_lines

# Seconds for connecting and for each read.
TIMEOUT = 10.0
# With a hundred ML-DSA-44 signatures a checkpoint has 340 KB.
_MOST = 512 * 1024


class Verdict(StrEnum):
    """What the guard's checkpoint is beside ours."""

    SAME = "same"  # the tree we cosigned last
    AHEAD = "ahead"  # larger: the next submission has to prove that it only grew
    BEHIND = "behind"  # smaller than what the guard had us cosign: it shows an old view, or was put back
    FORK = "fork"  # the same size, another root
    LOST = "lost"  # it carries our own cosignature on a tree we do not remember: our state was put back or lost


@dataclass(frozen=True, slots=True)
class Shown:
    """The guard's checkpoint, as read. note: with the lines of the log's keys alone. cosigned: when we cosigned it (UTC), or None."""

    checkpoint: Checkpoint
    note: str
    cosigned: datetime | None


def fetch(url: str, timeout: float = TIMEOUT) -> str:
    """Return the checkpoint that the guard at *url* publishes, as text; redirects are not followed.

    Raises BadInput unless *url* is https (http on this machine), Unavailable when nothing usable comes back.
    """
    try:
        parts = urlsplit(check_url(url))
    except BadInput:
        raise BadInput("the guard's address is https://host[:port]; http only on this machine", field="guard") from None
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.netloc, timeout=timeout)
    try:
        connection.request("GET", f"{parts.path}/log/checkpoint", headers={"Connection": "close", "Cache-Control": "no-cache"})
        response = connection.getresponse()
        raw = response.read(_MOST + 1)
    except (OSError, HTTPException) as error:
        raise Unavailable(f"the guard at {parts.netloc} cannot be reached: {type(error).__name__}: {error}") from None
    finally:
        connection.close()
    if response.status != 200 or len(raw) > _MOST:
        raise Unavailable(f"the guard at {parts.netloc} answered {response.status} with {len(raw)} bytes instead of a checkpoint")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Unavailable(f"what the guard at {parts.netloc} published is not UTF-8") from None


def read(note: str, logs: Mapping[str, Sequence[LogKey]], verifier: CosignVerifier) -> Shown:
    """Return the checkpoint in *note*, checked against the log's keys and our own.

    Raises BadInput when it is none, NotThere for a log that is not watched, SealBroken when a signature is wrong or the log's is missing.
    """
    text, _ = split_note(note)
    checkpoint = parse_checkpoint(text)
    keys = logs.get(checkpoint.origin)
    if keys is None:
        raise NotThere("the guard publishes the checkpoint of a log that this witness does not watch")
    lines = signed_lines(note, keys)
    return Shown(checkpoint, f"{text}\n{lines}", open_cosignatures(note, [verifier]).get(verifier.vkey))


def compare(shown: Shown, before: Held | None, after: Held | None) -> Verdict:
    """Say what *shown* is beside what we held *before* and *after* it was fetched: a submission may have come in between."""
    size, root = shown.checkpoint.size, shown.checkpoint.root
    for held in (before, after):
        if held and held.checkpoint.size == size:
            return Verdict.SAME if held.checkpoint.root == root else Verdict.FORK
    if before and size < before.checkpoint.size:
        return Verdict.BEHIND
    return Verdict.LOST if shown.cosigned and (after is None or size > after.checkpoint.size) else Verdict.AHEAD
