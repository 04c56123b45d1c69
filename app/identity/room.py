"""What the room needs, in one frozen record, and how it writes its entries."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from sqlalchemy.orm import Session

from app.audit.canonical import Json
from app.audit.content import pack
from app.audit.entry import Draft, Members, draft_for, subjects_root
from app.audit.trail import Receipt
from app.identity.passwords import Hasher
from app.identity.rules import office_region
from app.kernel.actor import Actor
from app.kernel.clock import Clock
from app.kernel.fields import Action, Outcome, Purpose
from app.kernel.payload import SealedPayload
from app.places import Places
from app.store.engine import Store
from app.vault.house import KeyHouse
from app.vault.payload import PayloadBox

# The actor of an entry about somebody who named no account of ours; what was typed is never kept.
UNKNOWN = "unknown"
# As in every payload of the log: nobody who holds entries and uids can try salts.
SALT_BYTES = 32


class TrailWriter(Protocol):
    """The part of ``app.audit.trail.Trail`` this room writes with."""

    def append(self, draft: Draft, payload: SealedPayload | None = None) -> Receipt:
        """Make *draft* durable in its own transaction. Raises TrailDown."""
        ...

    def append_within(self, session: Session, draft: Draft, payload: SealedPayload | None = None) -> Receipt:
        """Add *draft* to the caller's open transaction, last before its commit. Raises TrailDown."""
        ...


@dataclass(frozen=True, slots=True)
class Card:
    """One thing a person can do from the home page. url: an address of ours; title, text, action (the button): already translated.

    waits: somebody or something waits for it; such cards stand first, under a heading of their own. first_step: where to begin, shown only
    while nothing waits.
    """

    url: str
    title: str
    text: str = ""
    action: str = ""
    waits: bool = False
    first_step: bool = False


def no_cards(actor: Actor) -> Sequence[Card]:
    """Return nothing: an installation without other rooms has no tasks to offer."""
    return ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Identity:
    """The room's objects, built once by the factory.

    log: the log's origin. secure_cookies: cookies carry Secure and the ``__Host-`` prefix. public_origin: ``https://host[:port]``.
    cards: what the home page offers an actor. places: names of regions. hasher: the production cost unless a test gives its own. issuer: the name an
    authenticator app shows.
    """

    store: Store
    trail: TrailWriter
    payloads: PayloadBox
    keys: KeyHouse
    clock: Clock
    log: str
    secure_cookies: bool
    public_origin: str
    cards: Callable[[Actor], Sequence[Card]] = no_cards
    places: Places = field(default_factory=Places)
    hasher: Hasher = field(default_factory=Hasher)
    issuer: str = "Gardu"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where a request comes from, before we know who. request: its id. address: the client's, for sealed payloads only."""

    request: str
    address: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry ready to be appended, its payload already sealed."""

    draft: Draft
    payload: SealedPayload


def entry(
    identity: Identity,
    who: Actor | Visitor,
    action: Action,
    outcome: Outcome,
    now: datetime,
    *,
    purpose: Purpose | None = None,
    scope: str | None = None,
    method: str | None = None,
    age: int = 0,
    target: str | None = None,
    previous: str | None = None,
    detail: tuple[str, bytes] | None = None,
    subjects: Sequence[str] = (),
    extra: Mapping[str, Json] | None = None,
    more: Members | None = None,
) -> Entry:
    """Return the entry of one act that opens no voter's field; who is a Visitor when no account of ours was named.

    method, age: how the person proved themselves, and how many seconds ago. target: account uid acted upon; previous: uid of
    the session this one follows. Both stand in the sealed payload, like the client's address and *extra* (JSON). subjects: uids of the
    voters it is about. more: other members of the entry (election, stage, basis, mandate, policy, rule, …). Seals, so call it outside
    a transaction.
    """
    salt = secrets.token_bytes(SALT_BYTES)
    private: dict[str, Json] = {"v": 1, "address": who.address, "account": target, "previous": previous, **(extra or {})}
    content = pack(salt=salt, subjects=subjects, visit=None, **private)
    payload = identity.payloads.seal(content, subjects, now, identity.log)
    assurance: dict[str, str | int | None] | None = {"method": method, "age": age, "challenge": None} if method else None
    if isinstance(who, Visitor):
        return Entry(Draft(at=now, actor=UNKNOWN, action=action, outcome=outcome, assurance=assurance, request=who.request), payload)
    members: Members = {"purpose": purpose.value if purpose else None, "scope": scope, "assurance": assurance, "detail": detail}
    members |= more or {}
    if subjects:
        members["subjects"] = (len(subjects), subjects_root(salt, subjects))
    return Entry(draft_for(who, action, outcome, now, **members), payload)


def region_names(identity: Identity, office: str) -> list[str]:
    """Return the names of an office's region and of those around it, e.g. Indonesia, Bali, Kota Denpasar."""
    return [place.name for place in identity.places.path(office_region(office))]


def write(identity: Identity, ready: Entry) -> Receipt:
    """Make *ready* durable in its own transaction; for logins, refusals and reads. Raises TrailDown."""
    return identity.trail.append(ready.draft, ready.payload)


def write_within(identity: Identity, session: Session, ready: Entry) -> Receipt:
    """Add *ready* to an open change, last before its commit: the change and its entry stand together or not at all. Raises TrailDown."""
    return identity.trail.append_within(session, ready.draft, ready.payload)
