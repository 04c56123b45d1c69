"""Whom an administrator invited, as the log has it: an account's row can be edited, an entry cannot."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select

from app.audit.entry import parse
from app.audit.family import up_to
from app.audit.tables import TrailEntry
from app.identity.room import Identity
from app.identity.rules import account_detail
from app.kernel.fields import Action, Outcome

# Both hand the administrator a password with which the account can be opened.
_HANDED_OUT = (Action.ACCOUNT_CREATE.value, Action.ACCOUNT_PASSWORD.value)


def inviters(identity: Identity, account: str, among: Collection[str], since: datetime) -> set[str]:
    """Return who of *among* (account uids) made *account*, or gave it a one-time password, at or after *since*. One statement."""
    kind, digest = account_detail(account)
    mine = {"type": kind, "sha256": digest.hex()}
    query = select(TrailEntry.actor, TrailEntry.body).where(
        TrailEntry.log.in_(up_to(identity.log)), TrailEntry.actor.in_(set(among) - {account}), TrailEntry.at >= since,
        TrailEntry.action.in_(_HANDED_OUT), TrailEntry.outcome == Outcome.DONE.value,
    )  # fmt: skip
    with identity.store.reading() as session:
        return {actor for actor, body in session.execute(query) if parse(body)["detail"] == mine}
