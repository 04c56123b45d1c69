"""Who has an account: the list and one account, for those who keep or watch them. No secret leaves this module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, func, or_, select, true
from sqlalchemy.orm import Session

from app.identity import rules
from app.identity.room import Identity
from app.identity.sessions import FULL
from app.identity.tables import Account, LoginSession
from app.kernel.errors import NotThere
from app.kernel.fields import Role

# Rows on a page: what two screens hold.
PAGE = 25
# Longer than any name; what is cut off would match nobody.
_LONGEST_SEARCH = 120


class State(StrEnum):
    """What an account can do now."""

    ACTIVE = "aktif"
    INVITED = "diundang"
    LAPSED = "lewat"
    LOCKED = "terkunci"
    DISABLED = "nonaktif"


@dataclass(frozen=True, slots=True)
class Sought:
    """What a list is narrowed to; empty: nothing. text: part of a name or username."""

    office: str = ""
    role: Role | None = None
    state: State | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One account in the list. last_login: newest completed login whose session is still stored."""

    uid: str
    username: str
    name: str
    office: str
    unit: str
    roles: tuple[Role, ...]
    enrolled: bool
    state: State
    last_login: datetime | None


@dataclass(frozen=True, slots=True)
class Detail:
    """One account. sessions: how many are alive now. renewable: never used, so that it can be invited anew. seed_version: of its secret."""

    row: Row
    created_at: datetime
    enrolled_at: datetime | None
    must_change: bool
    invited_until: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None
    seed_version: int
    renewable: bool
    sessions: int


def people(identity: Identity, sought: Sought, now: datetime, *, after: str = "", limit: int = PAGE) -> tuple[list[Row], str]:
    """Return up to *limit* accounts in the order of their usernames, and the uid after which the next page begins ("" : nowhere).

    after: uid of the last account of the page before; one that is not there begins at the top. Two statements, whatever the number.
    """
    with identity.store.reading() as session:
        query = select(Account).where(*_conditions(sought, now)).order_by(Account.username).limit(limit + 1)
        start = session.scalar(select(Account.username).where(Account.uid == after)) if after else None
        found = session.scalars(query if start is None else query.where(Account.username > start)).all()
        shown = found[:limit]
        logins = _last_logins(session, [one.uid for one in shown])
        rows = [_row(one, logins.get(one.uid), now) for one in shown]
    return rows, rows[-1].uid if len(found) > limit else ""


def one(identity: Identity, uid: str, now: datetime) -> Detail:
    """Return the account *uid*. Raises NotThere."""
    with identity.store.reading() as session:
        account = session.get(Account, uid)
        if account is None:
            raise NotThere("no such account")
        login = _last_logins(session, [uid]).get(uid)
        stored = session.scalars(select(LoginSession).where(LoginSession.account == uid, LoginSession.ended_at.is_(None))).all()
        session.expunge_all()
    roles = rules.stored_roles(account.roles)
    alive = [
        row
        for row in stored
        if not rules.session_over(full=row.level == FULL, roles=roles, created_at=row.created_at, seen_at=row.seen_at, now=now)
    ]
    return Detail(
        row=_row(account, login, now), created_at=account.created_at, enrolled_at=account.enrolled_at, must_change=account.must_change,
        invited_until=account.invited_until, disabled_at=account.disabled_at, disabled_reason=account.disabled_reason,
        seed_version=account.seed_version, sessions=len(alive),
        renewable=account.must_change and account.seed_version == 0 and account.disabled_at is None,
    )  # fmt: skip


def offices(identity: Identity) -> list[str]:
    """Return the codes of the offices that have accounts, sorted."""
    with identity.store.reading() as session:
        return list(session.scalars(select(Account.office).distinct().order_by(Account.office)))


def enabled(identity: Identity) -> Sequence[tuple[str, str, tuple[Role, ...]]]:
    """Return (office, unit, roles) of every account that is not disabled, by office."""
    query = select(Account.office, Account.unit, Account.roles).where(Account.disabled_at.is_(None)).order_by(Account.office, Account.uid)
    with identity.store.reading() as session:
        return [(office, unit, rules.stored_roles(roles)) for office, unit, roles in session.execute(query)]


def count(identity: Identity, state: State, now: datetime) -> int:
    """Return how many accounts are in *state*."""
    with identity.store.reading() as session:
        return session.scalar(select(func.count()).select_from(Account).where(_in_state(state, now))) or 0


def _conditions(sought: Sought, now: datetime) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if sought.office:
        found.append(Account.office == sought.office)
    if sought.role:
        found.append(_holds(sought.role))
    if sought.state:
        found.append(_in_state(sought.state, now))
    if sought.text:
        part = sought.text.strip()[:_LONGEST_SEARCH].lower()
        found.append(or_(Account.username.contains(part, autoescape=True), func.lower(Account.name).contains(part, autoescape=True)))
    return found


def _holds(role: Role) -> ColumnElement[bool]:
    # Whole words of a comma-separated column.
    return ("," + Account.roles + ",").contains(f",{role.value},", autoescape=True)


def _in_state(state: State, now: datetime) -> ColumnElement[bool]:
    disabled = Account.disabled_at.is_not(None)
    lapsed = and_(Account.must_change, or_(Account.invited_until.is_(None), Account.invited_until <= now))
    locked = Account.factor_failures >= rules.FACTOR_LOCK
    invited = and_(Account.must_change, Account.seed.is_(None))
    # In this order: the first that holds is the account's state, as in ``_state``.
    order = [(State.DISABLED, disabled), (State.LAPSED, lapsed), (State.LOCKED, locked), (State.INVITED, invited), (State.ACTIVE, true())]
    place = [one for one, _ in order].index(state)
    return and_(*(~condition for _, condition in order[:place]), order[place][1])


def _state(account: Account, now: datetime) -> State:
    if account.disabled_at is not None:
        return State.DISABLED
    if rules.invite_over(must_change=account.must_change, invited_until=account.invited_until, now=now):
        return State.LAPSED
    if account.factor_failures >= rules.FACTOR_LOCK:
        return State.LOCKED
    return State.INVITED if account.must_change and account.seed is None else State.ACTIVE


def _last_logins(session: Session, uids: Sequence[str]) -> dict[str, datetime]:
    query = (
        select(LoginSession.account, func.max(LoginSession.created_at))
        .where(LoginSession.account.in_(uids), LoginSession.level == FULL)
        .group_by(LoginSession.account)
    )
    return {uid: newest for uid, newest in session.execute(query)}  # noqa: C416  rows, not pairs, to the type checker


def _row(account: Account, login: datetime | None, now: datetime) -> Row:
    return Row(
        uid=account.uid, username=account.username, name=account.name, office=account.office, unit=account.unit,
        roles=rules.stored_roles(account.roles), enrolled=account.seed is not None, state=_state(account, now), last_login=login,
    )  # fmt: skip
