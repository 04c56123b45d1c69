"""What lies on somebody's desk: requests that wait for them, mandates that run, and what is over. Reads, decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import Session

from app.identity.rules import office_region
from app.kernel.actor import Actor
from app.kernel.fields import Role
from app.kernel.regions import NATION
from app.mandates import people, rows
from app.mandates.people import Official
from app.mandates.record import record_broken
from app.mandates.room import Mandates
from app.mandates.rows import Request
from app.mandates.rules import OPEN, REQUESTERS, SOON, State
from app.mandates.tables import AccessRequest
from app.mandates.use import expire_due

# Open and running ones shown at once; more than any office has at a time.
MOST_OPEN = 200
# Rows of a page of what is over.
PAGE = 25
# Changes told at the top of the page.
MOST_NEWS = 5
_OPEN_WORDS = tuple(state.value for state in OPEN)
_LIVE = (*_OPEN_WORDS, State.ACTIVE.value)


@dataclass(frozen=True, slots=True)
class Desk:
    """What one person sees. waiting: for their decision. others: open, waiting for somebody else. news: changed since their last step.

    older: uid where the next page of what is over begins, or None. broken: rows left out because they are not as the log left them.
    """

    waiting: Sequence[Request]
    running: Sequence[Request]
    others: Sequence[Request]
    over: Sequence[Request]
    older: str | None
    news: Sequence[Request]
    officials: Mapping[str, Official]
    broken: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many: open ones, running ones, running ones that end soon, open ones that wait for this approver, and ones that somebody else moved."""

    open: int
    running: int
    ending: int
    waiting: int
    news: int


def read(room: Mandates, actor: Actor, now: datetime, *, before: str | None = None) -> Desk:
    """Return the desk of *actor*; what is over in pages, *before* a request's uid. Raises TrailDown, StoreDown, KeysDown."""
    expire_due(room, now)
    newest = select(AccessRequest).where(_mine(actor)).order_by(AccessRequest.submitted_at.desc(), AccessRequest.uid.desc())
    with room.identity.store.reading() as session:
        live, bad = rows.load_all(room, session, newest.where(AccessRequest.state.in_(_LIVE)).limit(MOST_OPEN))
        over, worse = rows.load_all(room, session, _after(session, newest.where(AccessRequest.state.not_in(_LIVE)), before).limit(PAGE + 1))
        who = people.officials(session, {uid for one in (*live, *over) for uid in (one.holder, *(step.actor for step in one.steps))})
    record_broken(room, actor, (*bad, *worse), now)
    waiting = [one for one in live if waits_for(actor, one)]
    return Desk(
        waiting=waiting[::-1],
        running=[one for one in live if one.state is State.ACTIVE],
        others=[one for one in live if one.is_open and one not in waiting],
        over=over[:PAGE],
        older=over[PAGE - 1].uid if len(over) > PAGE else None,
        news=() if before else _news(actor, (*live, *over)),
        officials=who,
        broken=len(bad) + len(worse),
    )


def counts(room: Mandates, actor: Actor, now: datetime) -> Counts:
    """Return what the home page says of the desk. Raises StoreDown, KeysDown, SealBroken."""
    mine = select(AccessRequest).where(_mine(actor))
    newest = mine.where(AccessRequest.state.not_in(_LIVE)).order_by(AccessRequest.submitted_at.desc(), AccessRequest.uid.desc())
    with room.identity.store.reading() as session:
        found, _ = rows.load_all(room, session, mine.where(AccessRequest.state.in_(_LIVE)).limit(MOST_OPEN))
        over, _ = rows.load_all(room, session, newest.limit(PAGE)) if actor.role in REQUESTERS else ((), ())
    running = [one for one in found if one.state is State.ACTIVE and now < one.left.until]
    return Counts(
        open=sum(one.is_open for one in found),
        running=len(running),
        ending=sum(one.left.until <= now + SOON for one in running),
        waiting=sum(waits_for(actor, one) for one in found),
        news=len(_news(actor, (*found, *over))),
    )


def waits_for(actor: Actor, request: Request) -> bool:
    """Say whether *request* waits for the decision of *actor*, who sees it."""
    if actor.role is not Role.PENYETUJU or not request.is_open or request.holder == actor.uid:
        return False
    first = request.first
    return first is None or (first.actor != actor.uid and first.unit != actor.unit)


def _mine(actor: Actor) -> ColumnElement[bool]:
    """Return the condition of the requests that *actor* may see; the same as ``actions.may_see``."""
    own = AccessRequest.holder == actor.uid
    if actor.role is Role.PENYETUJU and actor.office.startswith("kpu-"):
        return or_(own, _inside(office_region(actor.office)))
    return or_(own, _inside(actor.region)) if actor.role is Role.PETUGAS_KEAMANAN else own


def _inside(region: str) -> ColumnElement[bool]:
    if region == NATION:
        return AccessRequest.uid.is_not(None)
    return or_(AccessRequest.region == region, AccessRequest.region.startswith(f"{region}."))


def _after(session: Session, query: Select[AccessRequest], before: str | None) -> Select[AccessRequest]:
    """Return *query* from the request *before* on, downwards."""
    if before is None:
        return query
    at = session.scalar(select(AccessRequest.submitted_at).where(AccessRequest.uid == before))
    if at is None:
        return query
    same = and_(AccessRequest.submitted_at == at, AccessRequest.uid < before)
    return query.where(or_(AccessRequest.submitted_at < at, same))


def _news(actor: Actor, requests: Sequence[Request]) -> list[Request]:
    """Return the requests that somebody else moved since the actor's own last step anywhere, newest first."""
    mine = [step.at for one in requests for step in one.steps if step.actor == actor.uid]
    since = max(mine, default=None)
    moved = [one for one in requests if one.steps[-1].actor != actor.uid and (since is None or one.steps[-1].at > since)]
    return sorted(moved, key=lambda one: one.steps[-1].at, reverse=True)[:MOST_NEWS]
