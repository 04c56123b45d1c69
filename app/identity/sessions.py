"""Browser sessions: opaque 256-bit secrets of which only the SHA-256 is stored.

A session is never changed into another: login, step-up and change of role end the old row and insert a new one with a new secret, in one
transaction. ``ended_at`` is set once; every later update demands that it is still empty, so a late save cannot revive anything.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from app.identity import rules
from app.identity.tables import Account, LoginSession
from app.identity.totp import Factor
from app.kernel.actor import Actor
from app.kernel.errors import Conflict, SignInNeeded
from app.kernel.fields import Purpose, Role
from app.kernel.ids import new_uid
from app.store.engine import Store

HALF, FULL = "password", "full"
SECRET_BYTES = 32
# One write a minute per session is enough to know it is in use.
SEEN_EVERY = timedelta(minutes=1)
_SECRET_LENGTH = 43  # 32 bytes in unpadded base64url


@dataclass(frozen=True, slots=True)
class Person:
    """Who holds a live session, as it was read at the start of this request."""

    uid: str
    username: str = field(repr=False)
    name: str = field(repr=False)
    office: str
    unit: str
    roles: tuple[Role, ...]
    role: Role
    language: str
    must_change: bool
    enrolled: bool
    session: str
    id_hash: bytes = field(repr=False)
    full: bool
    purpose: Purpose | None
    factor_at: datetime | None
    factor_method: str | None
    factor_purpose: Purpose | None
    created_at: datetime

    @property
    def region(self) -> str:
        """The region of the person's office."""
        return rules.office_region(self.office)

    def actor(self, request: str, address: str | None) -> Actor:
        """Return the person as the actor of one request."""
        return Actor(
            uid=self.uid,
            office=self.office,
            unit=self.unit,
            role=self.role,
            roles=frozenset(self.roles),
            region=self.region,
            request=request,
            session=self.session,
            method=self.factor_method,
            factor_at=self.factor_at,
            factor_purpose=self.factor_purpose,
            address=address,
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """A session just made. secret: what the cookie carries; it is stored nowhere and can be read only here."""

    uid: str
    secret: str = field(repr=False)


def id_hash(secret: str) -> bytes:
    """Return what is stored of a cookie's secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def resolve(store: Store, secret: str | None, now: datetime) -> Person:
    """Return who holds the session of *secret*, and note that it is in use.

    Raises SignInNeeded: nothing or nonsense presented, or (``expired``) ended, too old, idle, its account disabled or its role taken away.
    Raises StoreDown.
    """
    if not secret or len(secret) != _SECRET_LENGTH:
        raise SignInNeeded("no session presented")
    with store.reading() as session:
        found = session.execute(
            select(LoginSession, Account).join(Account, Account.uid == LoginSession.account).where(LoginSession.id_hash == id_hash(secret))
        ).first()
        if found is None:
            raise SignInNeeded("no such session")
        row, account = found
        if row.ended_at is not None:
            raise SignInNeeded("session has ended", expired=True)
        over, seen_at, person = _is_over(row, account, now), row.seen_at, _person(row, account)
    if over:
        with store.writing() as session:
            end(session, person.id_hash, now)
        raise SignInNeeded("session is over", expired=True)
    if now - seen_at >= SEEN_EVERY:
        _mark_seen(store, person.id_hash, now)
    return person


def _is_over(row: LoginSession, account: Account, now: datetime) -> bool:
    if account.disabled_at is not None or row.role not in account.roles.split(","):
        return True
    return rules.session_over(
        full=row.level == FULL, roles=rules.stored_roles(account.roles), created_at=row.created_at, seen_at=row.seen_at, now=now
    )


def mint() -> Opened:
    """Return a fresh session id and secret, so that its entry can name it before it is inserted."""
    return Opened(new_uid(), secrets.token_urlsafe(SECRET_BYTES))


def open_half(session: Session, fresh: Opened, account: Account, now: datetime) -> None:
    """Insert a session whose second factor is still owed, in the caller's transaction."""
    role = rules.stored_roles(account.roles)[0]
    session.add(_row(fresh, account.uid, role, now, level=HALF))
    session.flush()


def open_full(session: Session, fresh: Opened, person: Person, factor: Factor) -> None:
    """End a half session and insert a full one in its place, in the caller's transaction.

    Raises SignInNeeded when the half session has ended meanwhile: one half session makes at most one full one.
    """
    row = _row(fresh, person.uid, person.role, factor.at)
    _succeed(session, person, _proven(row, person, factor), factor.at)


def renew(session: Session, fresh: Opened, person: Person, factor: Factor) -> None:
    """End a full session and insert its successor with a fresh factor, given for the session's task.

    The absolute lifetime goes on from the login. Raises SignInNeeded when the session has ended meanwhile.
    """
    row = _row(fresh, person.uid, person.role, factor.at, purpose=person.purpose, born=person.created_at)
    _succeed(session, person, _proven(row, person, factor), factor.at)


def carry_on(session: Session, fresh: Opened, person: Person, now: datetime, *, role: Role | None = None) -> None:
    """End a full session and insert its successor with the same factor; in another role it starts without a task.

    Raises SignInNeeded when the session has ended meanwhile.
    """
    row = _row(fresh, person.uid, role or person.role, now, purpose=None if role else person.purpose, born=person.created_at)
    row.factor_at, row.factor_method = person.factor_at, person.factor_method
    row.factor_purpose = _word(person.factor_purpose)
    _succeed(session, person, row, now)


def end(session: Session, hashed: bytes, now: datetime) -> bool:
    """End one session in the caller's transaction; say whether it was still alive."""
    done = session.execute(update(LoginSession).where(LoginSession.id_hash == hashed, LoginSession.ended_at.is_(None)).values(ended_at=now))
    return isinstance(done, CursorResult) and done.rowcount == 1


def end_all(session: Session, account: str, now: datetime, *, but: Opened | None = None) -> None:
    """End every session of an account (except *but*) in the caller's transaction."""
    others = (LoginSession.account == account, LoginSession.ended_at.is_(None), LoginSession.uid != (but.uid if but else ""))
    session.execute(update(LoginSession).where(*others).values(ended_at=now))


def choose_task(store: Store, person: Person, purpose: Purpose, now: datetime) -> None:
    """Store the session's task; a login's factor counts for the first task chosen, and for no other.

    Raises SignInNeeded (``expired``) when the session has ended meanwhile.
    """
    with store.writing() as session:
        chosen = session.execute(
            update(LoginSession)
            .where(LoginSession.id_hash == person.id_hash, LoginSession.ended_at.is_(None), LoginSession.level == FULL)
            .values(purpose=purpose.value, seen_at=now)
        )
        session.execute(
            update(LoginSession)
            .where(LoginSession.id_hash == person.id_hash, LoginSession.ended_at.is_(None), LoginSession.factor_purpose.is_(None))
            .values(factor_purpose=purpose.value)
        )
        alive = isinstance(chosen, CursorResult) and chosen.rowcount == 1
    if not alive:
        raise SignInNeeded("session has ended", expired=True)


def _row(
    fresh: Opened,
    account: str,
    role: Role,
    now: datetime,
    *,
    level: str = FULL,
    purpose: Purpose | None = None,
    born: datetime | None = None,
) -> LoginSession:
    return LoginSession(
        id_hash=id_hash(fresh.secret),
        uid=fresh.uid,
        account=account,
        level=level,
        role=role.value,
        purpose=_word(purpose),
        created_at=born or now,
        seen_at=now,
    )


def _proven(row: LoginSession, person: Person, factor: Factor) -> LoginSession:
    if factor.account != person.uid:
        raise Conflict("the factor is another account's")
    row.factor_at, row.factor_method, row.factor_purpose = factor.at, factor.method, row.purpose
    return row


def _succeed(session: Session, person: Person, row: LoginSession, now: datetime) -> None:
    if not end(session, person.id_hash, now):
        raise SignInNeeded("the session ended meanwhile", expired=True)
    session.add(row)
    session.flush()


def _word(purpose: Purpose | None) -> str | None:
    return purpose.value if purpose else None


def _mark_seen(store: Store, hashed: bytes, now: datetime) -> None:
    with store.writing() as session:
        session.execute(
            update(LoginSession)
            .where(LoginSession.id_hash == hashed, LoginSession.ended_at.is_(None), LoginSession.seen_at <= now - SEEN_EVERY)
            .values(seen_at=now)
        )


def _person(row: LoginSession, account: Account) -> Person:
    return Person(
        uid=account.uid,
        username=account.username,
        name=account.name,
        office=account.office,
        unit=account.unit,
        roles=rules.stored_roles(account.roles),
        role=Role(row.role),
        language=account.language,
        must_change=account.must_change,
        enrolled=account.seed is not None,
        session=row.uid,
        id_hash=row.id_hash,
        full=row.level == FULL,
        purpose=Purpose(row.purpose) if row.purpose else None,
        factor_at=row.factor_at,
        factor_method=row.factor_method,
        factor_purpose=Purpose(row.factor_purpose) if row.factor_purpose else None,
        created_at=row.created_at,
    )
