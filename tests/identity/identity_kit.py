"""What tests of the identity room share: a clock that is set by hand, cheap hashing, real keys, a trail that remembers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit.entry import Draft
from app.audit.note import Signer
from app.audit.trail import Receipt, Trail
from app.identity import accounts, actions, sessions, totp
from app.identity.passwords import Hasher
from app.identity.room import Identity, Visitor
from app.identity.sessions import Opened, Person
from app.identity.tables import Account, LoginSession
from app.kernel.actor import Actor
from app.kernel.errors import TrailDown
from app.kernel.fields import Role
from app.kernel.payload import SealedPayload
from app.store.engine import Store
from app.store.keys import WrappedKeys, add_key
from app.vault.house import KeyHouse
from app.vault.keys.local import LocalKeyring
from app.vault.payload import PayloadBox

ORIGIN = "uji.localhost/gardu/1"
NOON = datetime(2026, 11, 24, 3, 30, 0, tzinfo=UTC)
PASSWORD = "kuda lumping naik tangga 77"
OTHER_PASSWORD = "perahu kertas tenggelam pelan 12"
KEEPER = Actor(
    uid="host:1000", office="kpu-00", unit="keamanan", role=Role.PROSES, roles=frozenset({Role.PROSES}), region="00", request="req-cli"
)


class HandClock:
    """A clock that moves only when told."""

    def __init__(self, now: datetime = NOON) -> None:
        self.moment = now

    def now(self) -> datetime:
        return self.moment

    def forward(self, **by: float) -> datetime:
        self.moment += timedelta(**by)
        return self.moment


class MemoryTrail:
    """Remembers drafts and payloads; can be told to fail. Writes nothing."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        self.payloads: list[SealedPayload | None] = []
        self.down = False

    def append(self, draft: Draft, payload: SealedPayload | None = None) -> Receipt:
        if self.down:
            raise TrailDown("told to fail")
        self.drafts.append(draft)
        self.payloads.append(payload)
        return Receipt(ORIGIN, len(self.drafts) - 1, b"", "")

    def append_within(self, session: Session, draft: Draft, payload: SealedPayload | None = None) -> Receipt:
        session.flush()
        return self.append(draft, payload)

    def said(self) -> list[tuple[str, str]]:
        """Return (action, outcome) of every entry, oldest first."""
        return [(str(draft.action), str(draft.outcome)) for draft in self.drafts]


def cheap_hasher() -> Hasher:
    """Return argon2id at its smallest cost."""
    return Hasher(memory_kib=8, passes=1, lanes=1)


def house_on(store: Store, *, fresh: bool = True) -> KeyHouse:
    """Return a key house over *store*; makes the national keys when *fresh*."""
    house = KeyHouse(LocalKeyring(bytes(range(32))), WrappedKeys(store))
    if fresh:
        with store.writing() as session:
            for purpose in ("audit", "index", "session", "seed", "pepper"):
                add_key(session, purpose, "00", 1, house.make(purpose, "00", 1), NOON)
    return house


def identity_on(
    store: Store, trail: Trail | MemoryTrail, clock: HandClock | None = None, *, fresh: bool = True, **more: object
) -> Identity:
    """Return the room's record over *store*."""
    house = house_on(store, fresh=fresh)
    given: dict[str, object] = {
        "store": store,
        "trail": trail,
        "payloads": PayloadBox(house),
        "keys": house,
        "clock": clock or HandClock(),
        "log": ORIGIN,
        "secure_cookies": True,
        "public_origin": "https://gardu.example",
        "hasher": cheap_hasher(),
        **more,
    }
    return Identity(**given)  # type: ignore[arg-type]


def real_trail(store: Store) -> Trail:
    """Return a real trail on *store*."""
    return Trail(store, ORIGIN, Signer(ORIGIN, bytes(32)))


@dataclass
class Someone:
    """An account made for a test."""

    uid: str
    username: str
    secret: str = field(repr=False)
    password: str = field(default=PASSWORD, repr=False)

    def code(self, now: datetime) -> str:
        """Return the code of *now*."""
        return totp.code_at(self.secret, totp.step_at(now))

    def wrong(self, now: datetime) -> str:
        """Return a code that belongs to no step within an hour."""
        near = {totp.code_at(self.secret, totp.step_at(now) + offset) for offset in range(-120, 121)}
        return next(code for code in (f"{number:06d}" for number in range(1000)) if code not in near)


def someone(identity: Identity, username: str = "made.w", *, enrolled: bool = True, must_change: bool = False, **more: object) -> Someone:
    """Make an account: an operator of kpu-51.71 unless told otherwise."""
    given: dict[str, object] = {
        "name": "Made Widiasih",
        "office": "kpu-51.71",
        "unit": "data",
        "roles": ["kpu_kab"],
        "password": PASSWORD,
        "must_change": must_change,
        **more,
    }
    now = identity.clock.now()
    held = list(given["roles"])  # type: ignore[call-overload]
    uid, password = accounts.create(identity, KEEPER, username=username, now=now, **{**given, "roles": held[:1]})  # type: ignore[arg-type]
    if len(held) > 1:
        # Accounts from before the separation of duties may hold several roles; today nobody is given two.
        with edited(identity, uid) as row:
            row.roles = ",".join(held)
    secret = accounts.enrol_by_hand(identity, KEEPER, uid, now) if enrolled else ""
    return Someone(uid, username, secret, password)


def row_of(identity: Identity, uid: str) -> Account:
    """Return the stored account, detached."""
    with identity.store.reading() as session:
        account = session.get_one(Account, uid)
        session.expunge(account)
        return account


def sessions_of(identity: Identity, uid: str) -> list[LoginSession]:
    """Return every stored session of an account, oldest first, detached."""
    with identity.store.reading() as session:
        rows = list(session.scalars(select(LoginSession).where(LoginSession.account == uid).order_by(LoginSession.created_at)))
        session.expunge_all()
        return rows


def living(identity: Identity, uid: str, level: str = "full") -> list[LoginSession]:
    """Return the sessions of an account that have not ended."""
    return [row for row in sessions_of(identity, uid) if row.ended_at is None and row.level == level]


@contextmanager
def edited(identity: Identity, uid: str) -> Iterator[Account]:
    """Change an account's row behind the room's back."""
    with identity.store.writing() as session:
        yield session.get_one(Account, uid)


VISITOR = Visitor("req-1", "192.0.2.7")


def half_of(identity: Identity, who: Someone) -> Opened:
    """Sign in with the password; the code is still owed."""
    return actions.begin_login(identity, VISITOR, who.username, who.password, identity.clock.now())


def person_of(identity: Identity, opened: Opened) -> Person:
    """Return who holds a session now."""
    return sessions.resolve(identity.store, opened.secret, identity.clock.now())


def full_of(identity: Identity, who: Someone) -> Opened:
    """Sign in with password and the code of now."""
    person = person_of(identity, half_of(identity, who))
    return actions.finish_login(identity, person, VISITOR, who.code(identity.clock.now()), identity.clock.now())
