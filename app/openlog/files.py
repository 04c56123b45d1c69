"""What outsiders fetch, as text and bytes (C2SP tlog-tiles, tlog-policy)."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from app import verifier
from app.audit import published
from app.kernel.errors import NotThere
from app.openlog.room import OpenLog
from app.openlog.witnesses import standing

NO_WITNESS = "# No witness is configured: a checkpoint counts with the log's own signature alone.\n"


def checkpoint(room: OpenLog) -> str:
    """Return the newest published checkpoint with all signatures. Raises NotThere before the first."""
    newest = published.newest(room.guard.store, room.log)
    if newest is None:
        raise NotThere("nothing is published yet")
    return published.with_cosignatures(room.guard.store, room.log, newest)


def keys(room: OpenLog) -> str:
    """Return the log's verifier keys, one a line: Ed25519, and ML-DSA-44 where there is one."""
    second = f"{room.second.vkey}\n" if room.second is not None else ""
    return f"{room.verifier.vkey}\n{second}"


def policy(room: OpenLog, now: datetime) -> str:
    """Return the policy in force (C2SP tlog-policy), which a verifier takes as it is. Raises SealBroken, StoreDown, KeysDown."""
    stand = standing(room.books, now)
    note = "" if stand.configured else NO_WITNESS
    return f"{note}log {room.verifier.vkey} {room.identity.public_origin}/log\n{stand.text}"


def verifier_source() -> bytes:
    """Return the one-file verifier, as ``gardu verifier`` prints it."""
    return Path(verifier.__file__).read_bytes()
