"""A person at the machine: signed in by password and code, as in the browser, for one act that two people must decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from app.identity import actions, sessions
from app.identity.room import Identity, Visitor
from app.identity.sessions import Person
from app.kernel.actor import Actor
from app.kernel.errors import Conflict, NotAllowed
from app.kernel.fields import Role
from app.kernel.ids import new_uid

# Who decides about what leaves the log; as for the reset of a factor (app/admin/resets.py).
DECIDERS = (Role.ADMIN_SISTEM, Role.PETUGAS_KEAMANAN)


@dataclass(frozen=True, slots=True)
class Claim:
    """Who somebody says they are. password, code: called when it is asked for."""

    username: str
    password: Callable[[], str]
    code: Callable[[], str]


@contextmanager
def present(identity: Identity, claim: Claim, now: Callable[[], datetime]) -> Iterator[Actor]:
    """Sign a person in, by the very steps of the browser with their limits and entries; yield them as an actor; sign them out.

    The session's secret never leaves this function. Raises BadInput (name or password, or the code, is wrong: recorded), TooMany, NotAllowed
    for somebody who may not decide here, Conflict for a one-time password or without an authenticator, TrailDown, StoreDown, KeysDown.
    """
    visitor = Visitor(new_uid())
    half = actions.begin_login(identity, visitor, claim.username, claim.password(), now())
    person = sessions.resolve(identity.store, half.secret, now())
    try:
        if person.must_change or not person.enrolled:
            raise Conflict("this account has not chosen its password and authenticator yet; sign in once in the browser")
        full = actions.finish_login(identity, person, visitor, claim.code(), now())
        person = sessions.resolve(identity.store, full.secret, now())
        person = _in_role(identity, person, visitor, now())
        yield person.actor(visitor.request, None)
    finally:
        actions.log_out(identity, person, visitor, now())


def _in_role(identity: Identity, person: Person, visitor: Visitor, now: datetime) -> Person:
    """Return *person* in a role that decides. Raises NotAllowed when they hold none."""
    if person.role in DECIDERS:
        return person
    role = next((one for one in DECIDERS if one in person.roles), None)
    if role is None:
        raise NotAllowed("only an administrator or a security officer decides what leaves the log")
    return sessions.resolve(identity.store, actions.switch_role(identity, person, visitor, role, now).secret, now)
