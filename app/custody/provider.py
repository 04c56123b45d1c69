"""Moves every L1 key under the newest provider key, online: another version, another keyring or another provider (docs/keys.md).

The walk touches the wrapped bytes alone: no record, no index and no epoch changes. Servers that know both providers open a key before and after
its turn. Each batch is one transaction with its entry, so a walk that was killed goes on where it stopped, by the heads of the wrapped keys.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CursorResult, select, update

from app.audit.canonical import Json
from app.audit.content import pack
from app.audit.entry import draft_for
from app.kernel.actor import Actor
from app.kernel.clock import Clock
from app.kernel.errors import Conflict
from app.kernel.fields import Action, Outcome
from app.kernel.regions import NATION
from app.store.keys import VaultKey
from app.touch import Guard

# Keys in one transaction and one entry.
BATCH = 50
# Passes: a server that does not know the new provider yet may wrap by the old one while the first pass runs.
_PASSES = 3
_SALT_BYTES = 16
DETAIL, DETAIL_RETIRED = "key-provider", "key-retired"


@dataclass(frozen=True, slots=True)
class Group:
    """Keys of one purpose and epoch that one provider key wrapped. by: its name."""

    purpose: str
    epoch: int
    by: str
    keys: int


@dataclass(frozen=True, slots=True)
class Row:
    """One wrapped key as it stands."""

    purpose: str
    scope: str
    epoch: int
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class Moved:
    """What a walk did. keys: moved by it. left: still under another provider key than the newest. to: the newest."""

    keys: int
    left: int
    to: str


def standing(guard: Guard) -> list[Group]:
    """Return how many keys there are by purpose, epoch and provider key, sorted. Raises StoreDown, KeysDown."""
    counted = Counter((row.purpose, row.epoch, guard.keys.wrapped_by(row.wrapped)) for row in _rows(guard))
    return [Group(purpose, epoch, by, keys) for (purpose, epoch, by), keys in sorted(counted.items())]


def elsewhere(guard: Guard) -> list[Row]:
    """Return the keys that are not under the newest provider key, by scope. Raises StoreDown, KeysDown."""
    newest = guard.keys.wraps_now()
    return [row for row in _rows(guard) if guard.keys.wrapped_by(row.wrapped) != newest]


def rotate(guard: Guard, actor: Actor, clock: Clock, advance: Callable[[int, int], None]) -> Moved:
    """Wrap every key anew that is not under the newest provider key. advance: called with (done, total) after each batch.

    Raises KeysDown at the first key that cannot be moved, with those before it moved and recorded; TrailDown, StoreDown.
    """
    moved = 0
    for _ in range(_PASSES):
        rows = elsewhere(guard)
        total = moved + len(rows)
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            # Before the transaction: a provider may be slow, and the database is not held meanwhile.
            fresh = [guard.keys.rewrap(row.purpose, row.scope, row.epoch, row.wrapped) for row in batch]
            moved += _put(guard, actor, list(zip(batch, fresh, strict=True)), clock.now())
            advance(moved, total)
        if not rows:
            break
    return Moved(moved, len(elsewhere(guard)), guard.keys.wraps_now())


def retire(guard: Guard, actor: Actor, old: str, now: datetime) -> None:
    """Record that the provider key *old* is needed no more. Raises Conflict while a key is under another than the newest; TrailDown, StoreDown."""
    left = elsewhere(guard)
    if left:
        raise Conflict(f"{len(left)} keys are not under {guard.keys.wraps_now()} yet: run gardu keys rotate provider first")
    content = pack(salt=secrets.token_bytes(_SALT_BYTES), v=1, address=actor.address, provider=old)
    digest = hashlib.sha256(old.encode("utf-8")).digest()
    draft = draft_for(actor, Action.KEY_RETIRE, Outcome.DONE, now, scope=NATION, detail=(DETAIL_RETIRED, digest))
    guard.trail.append(draft, guard.payloads.seal(content, (), now, guard.log))


def moved_digest(to: str, rows: Sequence[tuple[Row, bytes]]) -> bytes:
    """Return the digest in the entry of a batch (docs/log-format.md)."""
    lines = [f"{row.purpose} {row.scope} {row.epoch} {hashlib.sha256(fresh).hexdigest()}\n" for row, fresh in rows]
    return hashlib.sha256("".join(["gardu/key-provider@1\n", f"{to}\n", *sorted(lines)]).encode("utf-8")).digest()


def _rows(guard: Guard) -> list[Row]:
    query = select(VaultKey.purpose, VaultKey.scope, VaultKey.epoch, VaultKey.wrapped)
    with guard.store.reading() as session:
        return [Row(*row) for row in session.execute(query.order_by(VaultKey.scope, VaultKey.purpose, VaultKey.epoch))]


def _put(guard: Guard, actor: Actor, batch: Sequence[tuple[Row, bytes]], now: datetime) -> int:
    """Put the fresh bytes in the place of those they were made from, with one entry; return how many were still there."""
    to = guard.keys.wraps_now()
    done: list[tuple[Row, bytes]] = []
    with guard.store.writing() as session:
        for row, fresh in batch:
            # Another walk may have moved the key meanwhile, or a rotation destroyed it: then its bytes are others, and it is left alone.
            here = (
                VaultKey.purpose == row.purpose,
                VaultKey.scope == row.scope,
                VaultKey.epoch == row.epoch,
                VaultKey.wrapped == row.wrapped,
            )
            met = session.execute(update(VaultKey).where(*here).values(wrapped=fresh).execution_options(synchronize_session=False))
            assert isinstance(met, CursorResult)
            if met.rowcount:
                done.append((row, fresh))
        if done:
            named: list[Json] = [[row.purpose, row.scope, row.epoch] for row, _ in done]
            content = pack(salt=secrets.token_bytes(_SALT_BYTES), v=1, address=actor.address, provider=to, keys=named)
            payload = guard.payloads.seal(content, (), now, guard.log)
            draft = draft_for(actor, Action.KEY_REWRAP, Outcome.DONE, now, scope=NATION, detail=(DETAIL, moved_digest(to, done)))
            # If we die before this commit, the old bytes stand and open; after it, the new ones do, and the log says so.
            guard.trail.append_within(session, draft, payload)
    return len(done)
