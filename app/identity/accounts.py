"""Making and keeping accounts: create, enrol by hand, disable, reset, language. Each change stands together with its entry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.identity import passwords, rules, sessions, throttle, totp
from app.identity.room import Identity, entry, region_names, write_within
from app.identity.tables import Account
from app.kernel.actor import Actor
from app.kernel.errors import N_, BadInput, Conflict, NotAllowed, NotThere
from app.kernel.fields import Action, Outcome, Role
from app.kernel.ids import new_uid

# Who may change other people's accounts: administrators, and the commands on the machine (role proses).
_KEEPERS = frozenset({Role.ADMIN_SISTEM, Role.PROSES})
LANGUAGES = frozenset({"id", "en"})
UNKNOWN_LANGUAGE = N_("Bahasa yang tersedia: Indonesia (id) dan Inggris (en).")


@dataclass(frozen=True, slots=True)
class Summary:
    """What others may know of an account."""

    uid: str
    username: str
    name: str
    office: str
    unit: str
    roles: tuple[Role, ...]
    enrolled: bool
    locked: bool
    disabled_at: datetime | None


def create(
    identity: Identity,
    actor: Actor,
    *,
    username: str,
    name: str,
    office: str,
    unit: str,
    roles: Iterable[str],
    now: datetime,
    password: str | None = None,
    must_change: bool = True,
) -> tuple[str, str]:
    """Make an account; return its uid and its password, which must be changed at the first login unless *must_change* is false.

    password: generated when None. Raises BadInput naming the field and the remedy (``username``, ``name``, ``office``, ``unit``,
    ``roles``, ``new``), NotAllowed when *actor* keeps no accounts, TrailDown, StoreDown, KeysDown.
    """
    _require_keeper(actor)
    username, name, office = rules.parse_username(username), rules.parse_name(name), rules.parse_office(office)
    held, placed = rules.parse_roles(roles, office), rules.parse_unit(unit)
    given = password if password is not None else passwords.one_time_password()
    given = passwords.accept(given, username=username, name=name, office=office, region=region_names(identity, office))
    account = Account(
        uid=new_uid(),
        username=username,
        name=name,
        office=office,
        unit=placed.value,
        roles=",".join(role.value for role in held),
        password_hash=identity.hasher.hash(identity.keys, given),
        must_change=must_change,
        created_at=now,
    )
    uid = account.uid
    ready = entry(
        identity, actor, Action.ACCOUNT_CREATE, Outcome.DONE, now,
        scope=rules.office_region(office), target=uid, detail=rules.account_detail(uid),
    )  # fmt: skip
    try:
        with identity.store.writing() as session:
            session.add(account)
            session.flush()
            write_within(identity, session, ready)
    except IntegrityError:
        raise BadInput("username taken", field="username", public=N_("Nama pengguna sudah dipakai. Pilih yang lain.")) from None
    return uid, given


def enrol_by_hand(identity: Identity, actor: Actor, uid: str, now: datetime) -> str:
    """Give an account without authenticator a fresh secret and return it (32 base32 characters); for demos and fixtures on the machine.

    Raises NotAllowed unless *actor* is a command on the machine, NotThere, Conflict when the account has an authenticator.
    """
    if actor.role is not Role.PROSES:
        raise NotAllowed("a secret is handed out only on the machine")
    with identity.store.reading() as session:
        version = _account(session, uid).seed_version + 1
    secret = totp.new_secret()
    sealed = totp.seal_secret(identity.keys, uid, version, secret)
    ready = entry(identity, actor, Action.ACCOUNT_ENROL, Outcome.DONE, now, target=uid, detail=rules.account_detail(uid))
    with identity.store.writing() as session:
        account = _account(session, uid, lock=True)
        if account.seed is not None or account.seed_version != version - 1:
            raise Conflict("the account has an authenticator already")
        account.seed, account.seed_version, account.enrolled_at = sealed, version, now
        session.flush()
        write_within(identity, session, ready)
    return secret


def disable(identity: Identity, actor: Actor, uid: str, now: datetime) -> None:
    """Disable an account for good and end its sessions. Raises NotAllowed, NotThere, Conflict when it is disabled already, TrailDown."""
    _require_keeper(actor)
    ready = entry(identity, actor, Action.ACCOUNT_DISABLE, Outcome.DONE, now, target=uid, detail=rules.account_detail(uid))
    with identity.store.writing() as session:
        account = _account(session, uid, lock=True)
        if account.disabled_at is not None:
            raise Conflict("the account is disabled already")
        account.disabled_at = now
        sessions.end_all(session, uid, now)
        session.flush()
        write_within(identity, session, ready)


def reset_totp(identity: Identity, actor: Actor, uid: str, now: datetime) -> None:
    """Take an account's authenticator away, forget its failures, end its sessions: the next login enrols a new one.

    Raises NotAllowed, NotThere, TrailDown.
    """
    _require_keeper(actor)
    ready = entry(identity, actor, Action.ACCOUNT_RESET, Outcome.DONE, now, target=uid, detail=rules.account_detail(uid))
    with identity.store.writing() as session:
        account = _account(session, uid, lock=True)
        # A new version: a secret shown in a session of before can no longer be confirmed, an old sealed seed no longer opens.
        account.seed, account.enrolled_at, account.seed_version = None, None, account.seed_version + 1
        account.last_step, account.barred_step, account.factor_failures = 0, 0, 0
        throttle.forget(session, throttle.FACTOR, uid)
        sessions.end_all(session, uid, now)
        session.flush()
        write_within(identity, session, ready)


def set_language(identity: Identity, uid: str, language: str) -> None:
    """Keep the language of a person's pages: ``id`` or ``en``. Raises BadInput (field ``lang``)."""
    if language not in LANGUAGES:
        raise BadInput("unknown language", field="lang", public=UNKNOWN_LANGUAGE)
    with identity.store.writing() as session:
        session.execute(update(Account).where(Account.uid == uid).values(language=language))


def find(identity: Identity, username: str) -> Summary:
    """Return the account of a username. Raises BadInput when it has not the form of one, NotThere."""
    wanted = rules.parse_username(username)
    with identity.store.reading() as session:
        account = session.scalar(select(Account).where(Account.username == wanted))
        if account is None:
            raise NotThere("no account of this name")
        return Summary(
            uid=account.uid,
            username=account.username,
            name=account.name,
            office=account.office,
            unit=account.unit,
            roles=rules.stored_roles(account.roles),
            enrolled=account.seed is not None,
            locked=account.factor_failures >= rules.FACTOR_LOCK,
            disabled_at=account.disabled_at,
        )


def _require_keeper(actor: Actor) -> None:
    if actor.role not in _KEEPERS:
        raise NotAllowed(f"role {actor.role.value} keeps no accounts")


def _account(session: Session, uid: str, *, lock: bool = False) -> Account:
    account = session.get(Account, uid, with_for_update=lock or None)
    if account is None:
        raise NotThere("no such account")
    return account
