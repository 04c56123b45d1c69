"""What the log says about the person who asks: their own entries and receipts, nobody else's."""

from __future__ import annotations

from datetime import datetime

from app.audit import published, query
from app.audit.proof import tlog_proof
from app.audit.query import StoredEntry
from app.identity.room import Identity, entry, write
from app.kernel.actor import Actor
from app.kernel.errors import BadInput, NotThere
from app.kernel.fields import Action, Outcome

# Rows on a page: what a screen or two can hold, and the most that may be asked for.
PAGE, MOST = 50, 100


def own_entries(
    identity: Identity, actor: Actor, now: datetime, *, before: int | None = None, limit: int = PAGE
) -> tuple[list[StoredEntry], int | None]:
    """Return the actor's entries, newest first, and where the next page begins (None: nowhere).

    The reading is recorded before it is returned. Raises BadInput (field ``limit``) beyond 1…100, TrailDown, SealBroken, StoreDown.
    """
    if not 1 <= limit <= MOST:
        raise BadInput(f"limit must be 1 to {MOST}", field="limit")
    found = query.by_actor(identity.store, identity.log, actor.uid, before=before, limit=limit + 1)
    write(identity, entry(identity, actor, Action.TRAIL_READ, Outcome.ALLOWED, now))
    shown = found[:limit]
    return shown, shown[-1].seq if len(found) > limit else None


def published_size(identity: Identity) -> int:
    """Return how many entries the newest published checkpoint covers: receipts below it can carry witnesses' signatures. Raises StoreDown."""
    newest = published.newest(identity.store, identity.log)
    return newest.size if newest else 0


def own_receipt(identity: Identity, actor: Actor, seq: int, now: datetime, *, witnessed: bool = False) -> str:
    """Return the C2SP tlog-proof file of one of the actor's entries; the reading is recorded before it is returned.

    witnessed: against a published checkpoint, with the witnesses' signatures. Raises NotThere when there is no such entry or it is
    another's (recorded, one answer for both), or it is not published yet; TrailDown, SealBroken, StoreDown.
    """
    try:
        is_own = query.entry_at(identity.store, identity.log, seq).members["actor"] == actor.uid
    except NotThere:
        is_own = False
    write(identity, entry(identity, actor, Action.TRAIL_READ, Outcome.ALLOWED if is_own else Outcome.DENIED, now))
    if not is_own:
        raise NotThere("no entry of this actor there")
    return tlog_proof(identity.store, identity.log, seq, published=witnessed)
