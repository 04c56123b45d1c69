"""Making and keeping accounts: invite, invite anew, enrol by hand, disable, reset, end sessions, language.

Each change stands together with its entry; an administrator's change that is refused is an entry too, durable before the refusal is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.identity import passwords, rules, sessions, throttle, totp
from app.identity.room import Identity, entry, region_names, write, write_within
from app.identity.tables import Account
from app.kernel.actor import Actor
from app.kernel.errors import N_, BadInput, Conflict, NotAllowed, NotThere
from app.kernel.fields import Action, Outcome, Role
from app.kernel.ids import new_uid

# Who may change other people's accounts: administrators, and the commands on the machine (role proses).
_KEEPERS = frozenset({Role.ADMIN_SISTEM, Role.PROSES})
LANGUAGES = frozenset({"id", "en"})
OWN_ACCOUNT = N_("Akun Anda sendiri tidak dapat Anda ubah di sini. Minta admin lain melakukannya.")
GONE_ALREADY = N_("Akun ini sudah dinonaktifkan. Akun yang dinonaktifkan tidak dihidupkan lagi; undang orangnya dengan akun baru.")
NO_INVITE = N_("Undangan akun ini sudah dipakai atau sudah diperbarui. Muat ulang halaman untuk melihat keadaan terakhir.")
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

    A password that must be changed lapses after ``rules.INVITE``. password: generated when None. Raises BadInput naming the field and the remedy (``username``, ``name``, ``office``, ``unit``,
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
        invited_until=now + rules.INVITE if must_change else None,
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


def invite_again(identity: Identity, actor: Actor, uid: str, seen: datetime | None, now: datetime) -> str:
    """Give an account that was never used a new one-time password and return it; the one before is worth nothing from now on.

    seen: until when the invitation ran that *actor* looked at, so that a form sent twice makes one password. Never for an account that has
    had an authenticator: whoever can set a password and have the factor reset could take it over. Raises NotAllowed, NotThere, Conflict
    (recorded), TrailDown, StoreDown, KeysDown.
    """
    _require_keeper(actor)
    given = passwords.one_time_password()
    hashed = identity.hasher.hash(identity.keys, given)
    ready = entry(
        identity, actor, Action.ACCOUNT_PASSWORD, Outcome.DONE, now, target=uid, detail=rules.account_detail(uid), extra={"invite": "again"}
    )
    with _refusals(identity, actor, Action.ACCOUNT_PASSWORD, uid, now), identity.store.writing() as session:
        account = _account(session, uid, lock=True)
        unused = account.must_change and account.seed_version == 0 and account.disabled_at is None
        if not unused or account.invited_until != seen:
            raise Conflict("the invitation was used, renewed or withdrawn", public=NO_INVITE)
        account.password_hash, account.invited_until = hashed, now + rules.INVITE
        sessions.end_all(session, uid, now)
        session.flush()
        write_within(identity, session, ready)
    return given


def disable(identity: Identity, actor: Actor, uid: str, now: datetime, reason: str = "") -> None:
    """Disable an account for good and end its sessions. reason: one line, kept with the account and in the sealed payload.

    An administrator never disables themself, so that one always remains; a command on the machine may. Raises NotAllowed
    (also when *actor* was disabled meanwhile: recorded), NotThere, Conflict (recorded; also when it is disabled already), BadInput (field
    ``reason``, from an administrator), TrailDown.
    """
    _require_keeper(actor)
    by_person = actor.role is Role.ADMIN_SISTEM
    said = rules.parse_reason(reason) if by_person or reason else None
    ready = entry(
        identity, actor, Action.ACCOUNT_DISABLE, Outcome.DONE, now, target=uid, detail=rules.account_detail(uid), extra={"reason": said}
    )
    with _refusals(identity, actor, Action.ACCOUNT_DISABLE, uid, now), identity.store.writing() as session:
        # Locked before the account itself and in one order: two administrators who disable each other must not both succeed.
        keepers = _administrators(session, now) if by_person else []
        account = _account(session, uid, lock=True)
        if by_person and actor.uid not in keepers:
            raise NotAllowed("the administrator was disabled meanwhile")
        if account.disabled_at is not None:
            raise Conflict("the account is disabled already", public=GONE_ALREADY)
        if by_person and uid == actor.uid:
            raise Conflict("an administrator does not disable themself", public=OWN_ACCOUNT)
        account.disabled_at, account.disabled_reason = now, said
        sessions.end_all(session, uid, now)
        session.flush()
        write_within(identity, session, ready)


def end_sessions(identity: Identity, actor: Actor, uid: str, now: datetime) -> None:
    """End every session of an account. Raises NotAllowed, NotThere, TrailDown."""
    _require_keeper(actor)
    ready = entry(identity, actor, Action.SESSION_LOGOUT, Outcome.DONE, now, target=uid, detail=rules.account_detail(uid))
    with identity.store.writing() as session:
        _account(session, uid, lock=True)
        sessions.end_all(session, uid, now)
        session.flush()
        write_within(identity, session, ready)


def reset_totp(identity: Identity, actor: Actor, uid: str, now: datetime) -> None:
    """Take an account's authenticator away from the machine; in the browser it needs two people (``app.admin.resets``).

    Raises NotAllowed unless *actor* is a command on the machine, NotThere, TrailDown.
    """
    if actor.role is not Role.PROSES:
        raise NotAllowed("a factor is reset by two people, or on the machine")
    ready = entry(identity, actor, Action.ACCOUNT_RESET, Outcome.DONE, now, target=uid, detail=rules.account_detail(uid))
    with identity.store.writing() as session:
        take_factor(session, uid, now)
        session.flush()
        write_within(identity, session, ready)


def take_factor(session: Session, uid: str, now: datetime, *, version: int | None = None) -> None:
    """Take the authenticator away, forget its failures, end the sessions, in the caller's transaction: the next login enrols a new one.

    version: of the secret to be taken, when it must be this one. Raises NotThere, Conflict when it is another or the account is disabled.
    """
    account = _account(session, uid, lock=True)
    if version is not None and (account.seed_version != version or account.disabled_at is not None):
        raise Conflict("the authenticator is another one by now, or the account is disabled")
    # A new version: a secret shown in a session of before can no longer be confirmed, an old sealed seed no longer opens.
    account.seed, account.enrolled_at, account.seed_version = None, None, account.seed_version + 1
    account.last_step, account.barred_step, account.factor_failures = 0, 0, 0
    throttle.forget(session, throttle.FACTOR, uid)
    sessions.end_all(session, uid, now)


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


def _administrators(session: Session, now: datetime) -> list[str]:
    """Return the uids of the administrators who can sign in, their rows locked until the transaction ends."""
    held = Account.roles.contains(Role.ADMIN_SISTEM.value)
    query = select(Account).where(held, Account.disabled_at.is_(None)).order_by(Account.uid).with_for_update()
    return [
        one.uid
        for one in session.scalars(query)
        if not rules.invite_over(must_change=one.must_change, invited_until=one.invited_until, now=now)
    ]


@contextmanager
def _refusals(identity: Identity, actor: Actor, action: Action, uid: str, now: datetime) -> Iterator[None]:
    """Make a refused change of *uid* an entry, after its transaction is over and before the refusal is told."""
    try:
        yield
    except (Conflict, NotAllowed):
        write(identity, entry(identity, actor, action, Outcome.DENIED, now, target=uid, detail=rules.account_detail(uid)))
        raise


def _require_keeper(actor: Actor) -> None:
    if actor.role not in _KEEPERS:
        raise NotAllowed(f"role {actor.role.value} keeps no accounts")


def _account(session: Session, uid: str, *, lock: bool = False) -> Account:
    account = session.get(Account, uid, with_for_update=lock or None)
    if account is None:
        raise NotThere("no such account")
    return account
