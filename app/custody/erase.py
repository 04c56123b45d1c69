"""Erases the sealed part of entries on the security officer's order; what was done, by whom and when stays (``audit.erasure``)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.audit.content import pack
from app.audit.entry import draft_for, moment, parse
from app.audit.erasure import DETAIL, Erased, erase_within, erasure_digest, marks_of
from app.audit.family import up_to
from app.audit.tables import PayloadErasure, TrailEntry
from app.audit.trail import Receipt
from app.identity.rules import parse_reason
from app.kernel.actor import Actor
from app.kernel.errors import BadInput, Conflict
from app.kernel.fields import Action, Outcome
from app.kernel.payload import SealedPayload
from app.touch import Guard

# Named on one screen and still read; more goes in several orders.
MOST = 1_000
# Their payloads list the rows that were written: without them ``verify --store`` could not tell a row that was put in past the log, and
# who saw a voter could not be told at all.
_NEEDED = frozenset(
    {Action.VOTER_IMPORT.value, Action.VOTER_CHANGE.value, Action.VOTER_RETRACT.value, Action.KEY_ROTATE.value, Action.VOTER_ERASE.value}
)
_SALT_BYTES = 32


@dataclass(frozen=True, slots=True)
class Going:
    """One payload that is to go: the entry it belongs to. subjects: how many voters it names."""

    seq: int
    at: datetime
    action: str
    outcome: str
    subjects: int


def plan(guard: Guard, log: str, seqs: Iterable[int]) -> list[Going]:
    """Return what would go, by number; nothing changes.

    log: the guard's own, or one before a restore. Raises BadInput for none, too many or another guard's log; Conflict for an entry that
    is not there, has no payload, was erased already, or whose payload the store is checked against.
    """
    wanted = sorted(set(seqs))
    if not 1 <= len(wanted) <= MOST:
        raise BadInput(f"name 1 to {MOST} entries", field="seq")
    if log not in up_to(guard.log):
        raise BadInput(f"{log} is no log of this installation", field="log")
    with guard.store.reading() as session:
        marks_of(session, log, wanted)
        _demand_standing(session, log, wanted)
        query = select(TrailEntry.seq, TrailEntry.body).where(TrailEntry.log == log, TrailEntry.seq.in_(wanted)).order_by(TrailEntry.seq)
        members = [(seq, parse(body)) for seq, body in session.execute(query)]
    for seq, one in members:
        if one["action"] in _NEEDED and one["outcome"] in (Outcome.DONE, Outcome.ALLOWED):
            raise Conflict(
                f"entry {seq} lists the rows it wrote: the store is checked against it, so its payload stays (docs/retention.md)"
            )
    return [
        Going(seq, moment(one["at"]), one["action"], one["outcome"], one["subjects"]["count"] if one["subjects"] else 0)
        for seq, one in members
    ]


def erase(guard: Guard, actor: Actor, log: str, seqs: Sequence[int], reason: str, now: datetime) -> Receipt:
    """Erase the payloads of entries *seqs* of *log*; the entry and the erasure become durable together, or neither does.

    reason: one line, kept in the entry's own sealed payload. Raises as ``plan``, BadInput (field ``reason``), Conflict when somebody else
    was first, TrailDown, StoreDown, KeysDown.
    """
    said = parse_reason(reason)
    wanted = [one.seq for one in plan(guard, log, seqs)]
    content = pack(salt=secrets.token_bytes(_SALT_BYTES), v=1, address=actor.address, reason=said, of=log, erased=list(wanted))
    payload = guard.payloads.seal(content, (), now, guard.log)
    try:
        with guard.store.writing() as session:
            return erase_in(guard, session, actor, log, wanted, payload, now)
    except IntegrityError:
        raise Conflict("one of these payloads was erased meanwhile") from None


def erase_in(guard: Guard, session: Session, actor: Actor, log: str, seqs: Sequence[int], payload: SealedPayload, now: datetime) -> Receipt:
    """As ``erase``, at the end of the caller's open transaction; what is to go was planned."""
    digest = erasure_digest(log, marks_of(session, log, seqs))
    draft = draft_for(actor, Action.PAYLOAD_ERASE, Outcome.DONE, now, detail=(DETAIL, digest))
    receipt = guard.trail.append_within(session, draft, payload)
    # After the entry, which the database asks for. If we die before the commit, neither stands.
    erase_within(session, log, seqs, Erased(receipt.log, receipt.seq), digest)
    return receipt


def _demand_standing(session: Session, log: str, seqs: Sequence[int]) -> None:
    gone = session.scalar(select(PayloadErasure).where(PayloadErasure.log == log, PayloadErasure.seq.in_(seqs)).limit(1))
    if gone is not None:
        raise Conflict(f"the payload of entry {gone.seq} was erased already, by entry {gone.by_seq} of {gone.by_log}")
