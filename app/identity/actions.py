"""Signing in and staying in: first step, second step, step-up, enrolment, change of password or role, leaving.

Every function makes its entry durable before it returns or raises, so nobody learns an outcome that the log does not hold. What
changes something is written in one transaction with its entry; failures and refusals in a transaction of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.identity import passwords, rules, sessions, throttle, totp
from app.identity.room import Identity, Visitor, entry, region_names, write, write_within
from app.identity.sessions import Opened, Person
from app.identity.tables import Account, LoginSession
from app.identity.totp import AuthenticatorOff, Factor, WrongCode
from app.kernel.actor import Actor
from app.kernel.errors import N_, BadInput, Conflict, NotAllowed, SignInNeeded, TooMany
from app.kernel.fields import Action, Outcome, Role

PASSWORD = "password"  # noqa: S105  the word of the assurance, not a password
WRONG_NAME_OR_PASSWORD = N_("Nama pengguna atau kata sandi salah.")


def begin_login(
    identity: Identity, visitor: Visitor, username: str, password: str, now: datetime, *, instead: Person | None = None
) -> Opened:
    """Check name and password; return a half session whose second factor is still owed. It replaces *instead*, another half one.

    The attempt is counted before the check, per name and per address; unknown, disabled, lapsed and known names cost the same and get
    the same answer. Raises BadInput (field ``username``), TooMany, TrailDown, StoreDown, KeysDown, Unavailable.
    """
    name = rules.fold_username(username)
    account = _account_named(identity, name)
    who = _actor(account, visitor) if account else visitor
    ticket = _ticket(identity, who, name, Action.SESSION_LOGIN, now)
    right = identity.hasher.check(identity.keys, account.password_hash if account else None, password)
    if account is None or not right or not _may_sign_in(account, now):
        outcome = Outcome.DENIED if right else Outcome.FAILED
        write(identity, entry(identity, who, Action.SESSION_LOGIN, outcome, now))
        raise BadInput("wrong name or password", field="username", public=WRONG_NAME_OR_PASSWORD)
    fresh = sessions.mint()
    # Not yet a login: the word "intent" says that the password was right and the code is awaited.
    ready = entry(
        identity, replace(_actor(account, visitor), session=fresh.uid), Action.SESSION_LOGIN, Outcome.INTENT, now, method=PASSWORD
    )
    rehashed = identity.hasher.hash(identity.keys, password) if identity.hasher.is_stale(identity.keys, account.password_hash) else None
    _give_back(identity, ticket)
    with identity.store.writing() as session:
        if rehashed is not None:
            same = (Account.uid == account.uid, Account.password_hash == account.password_hash)
            session.execute(update(Account).where(*same).values(password_hash=rehashed))
        if instead is not None:
            sessions.end(session, instead.id_hash, now)
        sessions.open_half(session, fresh, account, now)
        write_within(identity, session, ready)
    return fresh


def finish_login(identity: Identity, person: Person, visitor: Visitor, code: str, now: datetime) -> Opened:
    """Consume a code and turn the half session into a full one with a new secret.

    Raises WrongCode, AuthenticatorOff, TooMany, BadInput (not six digits; nothing compared or counted), SignInNeeded (the half session
    ended meanwhile), Conflict (not enrolled, or reset meanwhile), TrailDown (then the code is not spent), StoreDown, KeysDown, SealBroken.
    """
    fresh = sessions.mint()
    ready = entry(
        identity,
        _after(person, fresh, visitor, now),
        Action.SESSION_LOGIN,
        Outcome.ALLOWED,
        now,
        method=totp.METHOD,
        previous=person.session,
    )

    def use(session: Session, factor: Factor) -> Opened:
        sessions.open_full(session, fresh, person, factor)
        write_within(identity, session, ready)
        return fresh

    opened = _present(identity, person, visitor, code, now, Action.SESSION_LOGIN, use)
    throttle.tidy(identity.store, now)
    return opened


def step_up(identity: Identity, person: Person, visitor: Visitor, code: str, now: datetime) -> Opened:
    """Consume a code for the session's task and give the session a fresh factor and a new secret. Raises as ``finish_login``."""
    fresh = sessions.mint()
    who = _after(person, fresh, visitor, now)
    ready = entry(
        identity, who, Action.SESSION_STEPUP, Outcome.ALLOWED, now, purpose=person.purpose, method=totp.METHOD, previous=person.session
    )

    def use(session: Session, factor: Factor) -> Opened:
        sessions.renew(session, fresh, person, factor)
        write_within(identity, session, ready)
        return fresh

    return _present(identity, person, visitor, code, now, Action.SESSION_STEPUP, use)


def pending_secret(identity: Identity, person: Person) -> str:
    """Return the base32 secret this half session is to confirm, made at first call and kept sealed until then.

    Raises Conflict when the account has an authenticator already, SignInNeeded when the session has ended.
    """
    for _attempt in range(2):
        version, pending = _pending(identity, person)
        if pending is not None:
            return totp.open_secret(identity.keys, person.uid, version, pending)
        sealed = totp.seal_secret(identity.keys, person.uid, version, totp.new_secret())
        # Two pages opened at once show one secret: only the first is kept, and both read it back.
        with identity.store.writing() as session:
            session.execute(
                update(LoginSession)
                .where(LoginSession.id_hash == person.id_hash, LoginSession.ended_at.is_(None), LoginSession.pending_seed.is_(None))
                .values(pending_seed=sealed)
            )
    raise SignInNeeded("the session ended meanwhile", expired=True)


def confirm_enrolment(identity: Identity, person: Person, visitor: Visitor, code: str, now: datetime) -> Opened:
    """Consume the first code of the pending secret, make the secret the account's and complete the login. Raises as ``finish_login``."""
    code = rules.parse_code(code)
    version, pending = _pending(identity, person)
    if pending is None:
        raise Conflict("no secret was shown in this session")
    fresh = sessions.mint()
    who = _after(person, fresh, visitor, now)
    enrolled = entry(identity, who, Action.ACCOUNT_ENROL, Outcome.DONE, now, method=totp.METHOD, detail=rules.account_detail(person.uid))
    allowed = entry(identity, who, Action.SESSION_LOGIN, Outcome.ALLOWED, now, method=totp.METHOD, previous=person.session)

    def use(session: Session, factor: Factor) -> Opened:
        sessions.open_full(session, fresh, person, factor)
        write_within(identity, session, enrolled)
        write_within(identity, session, allowed)
        return fresh

    with _Recorded(identity, person, visitor, Action.ACCOUNT_ENROL, now):
        return totp.enrol(identity.store, identity.keys, person.uid, version, pending, code, now, use)


def change_password(identity: Identity, person: Person, visitor: Visitor, current: str, new: str, again: str, now: datetime) -> Opened:
    """Replace the password, end every other session of the account, and give this one a new secret.

    Raises BadInput (field ``current``: wrong, counted and recorded; ``new``: refused, see ``passwords.accept``; ``again``: differs),
    TooMany, TrailDown, StoreDown, KeysDown.
    """
    who = person.actor(visitor.request, visitor.address)
    _check_current(identity, who, person, current, now)
    region = region_names(identity, person.office)
    accepted = passwords.accept(new, username=person.username, name=person.name, office=person.office, region=region)
    if new != again:
        raise BadInput("repetition differs", field="again", public=N_("Kedua isian kata sandi baru tidak sama. Ketik ulang."))
    if new == current:
        raise BadInput("same as before", field="new", public=N_("Kata sandi baru harus berbeda dari yang sekarang."))
    hashed = identity.hasher.hash(identity.keys, accepted)
    fresh = sessions.mint()
    ready = entry(
        identity, replace(who, session=fresh.uid), Action.ACCOUNT_PASSWORD, Outcome.DONE, now, method=PASSWORD,
        previous=person.session, detail=rules.account_detail(person.uid),
    )  # fmt: skip
    with identity.store.writing() as session:
        session.execute(
            update(Account).where(Account.uid == person.uid).values(password_hash=hashed, must_change=False, invited_until=None)
        )
        sessions.carry_on(session, fresh, person, now)
        sessions.end_all(session, person.uid, now, but=fresh)
        write_within(identity, session, ready)
    return fresh


def switch_role(identity: Identity, person: Person, visitor: Visitor, role: Role, now: datetime) -> Opened:
    """Continue in another role the account holds, without a task and with a new secret; recorded as a login in that role.

    Raises NotAllowed when the account does not hold *role* or is in it already, SignInNeeded, TrailDown, StoreDown.
    """
    if role not in person.roles or role is person.role:
        raise NotAllowed(f"account {person.uid} does not hold {role.value}, or is in it")
    fresh = sessions.mint()
    who = replace(person.actor(visitor.request, visitor.address), role=role, session=fresh.uid)
    age = int((now - person.factor_at).total_seconds()) if person.factor_at else 0
    ready = entry(
        identity, who, Action.SESSION_LOGIN, Outcome.ALLOWED, now, method=person.factor_method, age=max(0, age), previous=person.session
    )
    with identity.store.writing() as session:
        sessions.carry_on(session, fresh, person, now, role=role)
        write_within(identity, session, ready)
    return fresh


def log_out(identity: Identity, person: Person, visitor: Visitor, now: datetime) -> None:
    """End the session, then record it: while the log is down a person can still leave. Raises TrailDown, StoreDown."""
    with identity.store.writing() as session:
        alive = sessions.end(session, person.id_hash, now)
    if alive:
        who = person.actor(visitor.request, visitor.address)
        write(identity, entry(identity, who, Action.SESSION_LOGOUT, Outcome.DONE, now))


def _present(
    identity: Identity,
    person: Person,
    visitor: Visitor,
    code: str,
    now: datetime,
    action: Action,
    use: Callable[[Session, Factor], Opened],
) -> Opened:
    code = rules.parse_code(code)
    with _Recorded(identity, person, visitor, action, now):
        return totp.present(identity.store, identity.keys, person.uid, code, now, use)


class _Recorded:
    """Records that a code was refused, before the refusal goes on to the caller."""

    def __init__(self, identity: Identity, person: Person, visitor: Visitor, action: Action, now: datetime) -> None:
        self._identity, self._person, self._visitor, self._action, self._now = identity, person, visitor, action, now

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, WrongCode | AuthenticatorOff | TooMany):
            outcome = Outcome.FAILED if isinstance(error, WrongCode) else Outcome.DENIED
            who = self._person.actor(self._visitor.request, self._visitor.address)
            ready = entry(self._identity, who, self._action, outcome, self._now, purpose=self._person.purpose)
            write(self._identity, ready)


def _check_current(identity: Identity, who: Actor, person: Person, current: str, now: datetime) -> None:
    ticket = _ticket(identity, who, person.username, Action.ACCOUNT_PASSWORD, now)
    with identity.store.reading() as session:
        stored = session.scalar(select(Account.password_hash).where(Account.uid == person.uid))
    if not identity.hasher.check(identity.keys, stored, current):
        write(identity, entry(identity, who, Action.ACCOUNT_PASSWORD, Outcome.FAILED, now, detail=rules.account_detail(person.uid)))
        raise BadInput("wrong current password", field="current", public=N_("Kata sandi sekarang salah."))
    _give_back(identity, ticket)


def _ticket(identity: Identity, who: Actor | Visitor, name: str, action: Action, now: datetime) -> throttle.Ticket:
    subjects = [(throttle.PASSWORD, throttle.subject_token(identity.keys, throttle.PASSWORD, name))]
    if who.address:
        subjects.append((throttle.ADDRESS, throttle.subject_token(identity.keys, throttle.ADDRESS, throttle.network(who.address))))
    try:
        return throttle.reserve(identity.store, subjects, now)
    except TooMany:
        write(identity, entry(identity, who, action, Outcome.DENIED, now))
        raise


def _give_back(identity: Identity, ticket: throttle.Ticket) -> None:
    # Its own transaction: a right password is no failure, whatever happens to the log or the session afterwards.
    with identity.store.writing() as session:
        throttle.refund(session, ticket)


def _pending(identity: Identity, person: Person) -> tuple[int, bytes | None]:
    """Return the version the next secret gets, and the sealed pending one of this session, if any."""
    with identity.store.reading() as session:
        account = session.get_one(Account, person.uid)
        row = session.get_one(LoginSession, person.id_hash)
        if row.ended_at is not None:
            raise SignInNeeded("the session ended meanwhile", expired=True)
        if account.seed is not None:
            raise Conflict("the account has an authenticator already")
        return account.seed_version + 1, row.pending_seed


def _account_named(identity: Identity, name: str) -> Account | None:
    if not rules.is_username(name):
        return None  # such a name cannot exist, and some engines refuse even to look for it (NUL, lone surrogates)
    with identity.store.reading() as session:
        account = session.scalar(select(Account).where(Account.username == name))
        if account is not None:
            session.expunge(account)
        return account


def _may_sign_in(account: Account, now: datetime) -> bool:
    lapsed = rules.invite_over(must_change=account.must_change, invited_until=account.invited_until, now=now)
    return account.disabled_at is None and not lapsed


def _actor(account: Account, visitor: Visitor) -> Actor:
    roles = rules.stored_roles(account.roles)
    return Actor(
        uid=account.uid,
        office=account.office,
        unit=account.unit,
        role=roles[0],
        roles=frozenset(roles),
        region=rules.office_region(account.office),
        request=visitor.request,
        address=visitor.address,
    )


def _after(person: Person, fresh: Opened, visitor: Visitor, now: datetime) -> Actor:
    """Return the actor as the session about to be made shows them."""
    return replace(person.actor(visitor.request, visitor.address), session=fresh.uid, method=totp.METHOD, factor_at=now)
