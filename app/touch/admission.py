"""Brings sealed rows into the store: the rows and their one entry become durable together, or neither does. Opens nothing.

``prepare`` makes the sealed part of the entry and all that commits to it; it asks nobody and may run in another process, ahead of the
transaction. ``admit`` decides, writes and appends.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.audit.canonical import Json
from app.audit.content import pack_rows
from app.audit.entry import Members, draft_for, row_text, texts_root
from app.audit.trail import Receipt
from app.kernel.actor import Actor, Ask
from app.kernel.fields import ELEMENTS, Action, Outcome
from app.kernel.payload import SealedPayload
from app.policy.decide import Act
from app.policy.visit import visit_for
from app.touch.record import Guard, committed, context, decided, permitted


@dataclass(frozen=True, slots=True)
class Admission:
    """What the entry of one batch will hold. at: its moment; payload, members: sealed, and what commits to it."""

    at: datetime
    payload: SealedPayload
    members: Members


def prepare(
    guard: Guard,
    actor: Actor,
    ask: Ask,
    rows: Sequence[tuple[str, str, int, bytes]],
    *,
    now: datetime,
    extra: Mapping[str, Json] | None = None,
) -> Admission:
    """Return the entry to be of *rows*: (table, uid, row_version, seal) of everything that will be inserted, a uid once.

    extra: what else stands in the sealed payload. Raises KeysDown, BadInput for a uid named twice.
    """
    visit = visit_for(actor, ask, now)
    uids, texts = [uid for _, uid, _, _ in rows], [row_text(*row) for row in rows]
    salt, canonical = secrets.token_bytes(32), decided(visit, None)
    content = pack_rows(salt=salt, subjects=uids, visit=canonical, rows=texts, v=1, address=actor.address, **(extra or {}))
    payload, members = committed(guard, actor, visit, uids, salt, canonical, content)
    return Admission(now, payload, {**members, "detail": ("rows", texts_root(texts))})


def admit(guard: Guard, actor: Actor, ask: Ask, admission: Admission, write: Callable[[Session], None]) -> Receipt:
    """Store what *admission* speaks of: *write* inserts exactly its rows. If we die before the commit, neither rows nor entry exist.

    Raises NotThere when the change is not permitted (recorded), TrailDown, StoreDown; what *write* raises rolls everything back.
    """
    visit = visit_for(actor, ask, admission.at)
    rules = permitted(guard, actor, visit, Act.UBAH, ELEMENTS, Action.VOTER_IMPORT)
    members: Members = {**admission.members, **context(guard, visit), "rule": rules}
    draft = draft_for(actor, Action.VOTER_IMPORT, Outcome.DONE, admission.at, **members)
    with guard.store.writing() as session:
        write(session)
        return guard.trail.append_within(session, draft, admission.payload)
