"""Using mandates: which are in force now, which one serves a visit, and that they end.

A mandate serves only while all of this holds, checked at each use: its row and its request carry good seals; the log has its start and
no end of it; it has begun and is not over. Whether it opens anything is then for the policies to say, which repeat every condition.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select

from app.audit import query
from app.audit.family import up_to
from app.kernel.actor import host_actor
from app.kernel.errors import SealBroken
from app.kernel.fields import Action, Outcome, Purpose, Stage
from app.kernel.regions import is_within
from app.mandates import rows
from app.mandates.record import Doing, advance, record_broken
from app.mandates.room import Mandates
from app.mandates.rows import Held
from app.mandates.rules import Act, State
from app.mandates.tables import AccessRequest, MandateRow, RequestStep


def active(room: Mandates, holder: str, now: datetime) -> list[Held]:
    """Return the mandates of *holder* (account uid) that are in force at *now*; those that are over end first.

    A row that is not as the log left it is recorded and left out. Raises TrailDown, StoreDown, KeysDown.
    """
    expire_due(room, now)
    mine = select(MandateRow).where(MandateRow.holder == holder, MandateRow.state == State.ACTIVE.value).order_by(MandateRow.uid)
    with room.identity.store.reading() as session:
        held, broken = rows.in_force(room, session, mine, now)
        # A request that was tampered with could not be revoked any more: its mandate is not in force either.
        wrong = (
            rows.load_all(room, session, select(AccessRequest).where(AccessRequest.uid.in_([one.uid for one in held])))[1] if held else {}
        )
    record_broken(room, host_actor(), (*broken, *wrong), now)
    return [one for one in held if one.uid not in wrong]


def best(
    mandates: Iterable[Held], *, region: str, purpose: Purpose, election: str, stage: Stage, subject: str | None = None
) -> Held | None:
    """Return the one mandate that serves a visit to *region* (code), or None: of those that cover it, the one that opens most.

    One only, never a union: what two mandates open together nobody approved. subject: uid of the voter read; a mandate about one voter
    serves no other visit.
    """
    fitting = [
        one
        for one in mandates
        if is_within(region, one.region)
        and one.purpose is purpose
        and one.election == election
        and stage in one.stages
        and one.subject in (None, subject)
    ]
    return max(fitting, key=lambda one: (one.ceiling, len(one.elements), one.until, one.uid), default=None)


def approved_subject(room: Mandates, person: str, voter_uid: str) -> bool:
    """Say whether *person* (account uid) ever approved a request about that voter, by the steps or by the log.

    Raises StoreDown, KeysDown, SealBroken.
    """
    step = (
        select(RequestStep.number)
        .join(AccessRequest, AccessRequest.uid == RequestStep.request)
        .where(AccessRequest.subject == voter_uid, RequestStep.actor == person, RequestStep.act == Act.APPROVE.value)
        .limit(1)
    )
    with room.identity.store.reading() as session:
        if session.scalar(step) is not None:
            return True
    token = room.identity.payloads.token(voter_uid)
    approvals = (Action.REQUEST_APPROVE.value,)
    for log in up_to(room.identity.log):
        found = query.by_subject(room.identity.store, log, token, approvals, limit=query.MAX_PAGE)
        if any(one.members["actor"] == person and one.members["outcome"] == Outcome.DONE.value for one in found):
            return True
    return False


def expire_due(room: Mandates, now: datetime) -> int:
    """End every mandate whose time is over and return how many; by nobody's will, so the machine's process signs the entry.

    Called by whoever looks, so that no clock has to run: a mandate that is over opens nothing, with or without this. Raises TrailDown,
    StoreDown, KeysDown.
    """
    due = select(MandateRow.uid).where(MandateRow.state == State.ACTIVE.value, MandateRow.until <= now)
    with room.identity.store.reading() as session:
        requests, _ = rows.load_all(room, session, select(AccessRequest).where(AccessRequest.uid.in_(due)))
    host = host_actor()
    ended = 0
    for request in requests:
        if request.state is not State.ACTIVE:
            continue
        try:
            # Somebody else may have ended it meanwhile: then there is nothing left to do.
            ended += advance(room, request, State.ENDED, [Doing(host, Act.EXPIRE)], now)
        except SealBroken:
            continue
    return ended
