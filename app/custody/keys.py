"""Makes the keys an installation or a kab/kota needs, each with its entry in the log."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy.exc import IntegrityError

from app.audit.entry import draft_for
from app.kernel.actor import Actor
from app.kernel.fields import Action, Outcome
from app.store.keys import WrappedKeys, add_key
from app.touch import Guard
from app.vault.blind import planned_bits
from app.vault.house import DEFAULT_BITS

# About the median roll of a kab/kota: 204.8 million voters over 514.
DEFAULT_ROWS = 400_000
# Bytes of one DP4 row in a CSV file, roughly; only the order of magnitude matters for the width of an index.
ROW_BYTES = 140
# Made once per installation, before anything else (the log's own key comes first: without it no entry can be signed).
NATIONAL = ("nik", "audit", "index", "session", "seed", "pepper")
# Made when a kab/kota gets its first row: seal wraps its record keys, blind keys its two local indexes.
LOCAL = ("seal", "blind")


def ensure(
    guard: Guard, actor: Actor, scope: str, purposes: tuple[str, ...], now: datetime, *, expected_rows: int = DEFAULT_ROWS
) -> list[str]:
    """Make those keys of *purposes* for *scope* that do not exist yet; return their purposes.

    expected_rows: of the whole roll of *scope*; sets the width of its blind indexes, recorded with the key (``vault.blind``).

    The key and its entry ``key:create`` become durable together. Two processes at once: the primary key lets one through,
    the other's transaction fails as a whole and it uses the first one's key.
    """
    made = []
    for purpose in purposes:
        if WrappedKeys(guard.store).fetch(purpose, scope):
            continue
        bits = planned_bits(expected_rows) if purpose == "blind" else DEFAULT_BITS
        wrapped = guard.keys.make(purpose, scope, 1, bits=bits)
        try:
            with guard.store.writing() as session:
                add_key(session, purpose, scope, 1, wrapped, now)
                guard.trail.append_within(
                    session, draft_for(actor, Action.KEY_CREATE, Outcome.DONE, now, scope=scope, detail=key_detail(purpose, wrapped))
                )
        except IntegrityError:
            continue
        made.append(purpose)
    guard.keys.forget()
    return made


def key_detail(purpose: str, wrapped: bytes) -> tuple[str, bytes]:
    """Return the detail of an entry about a key: its purpose as the type, and the SHA-256 of its wrapped bytes."""
    return f"key-{purpose}", hashlib.sha256(wrapped).digest()
