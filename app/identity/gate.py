"""The gate before every page: deny by default.

    (1) an address that is no page, and static files: nothing to guard
    (2) a public page (``@public``): who is signed in is noticed, but not demanded
    (3) everything else demands a live session; ``@half`` is content with one whose second factor is still owed
    (4) a half session is led to its second step, a person with a one-time password to the page where it is changed
    (5) ``@roles`` lets only these active roles in

What the pages find afterwards: ``g.person`` and ``g.actor`` (full sessions only), ``g.half`` (the person of a half session), and
``g.csrf_binding``, which ties forms to the session.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

from flask import Flask, current_app, g, redirect, request
from werkzeug.wrappers import Response

from app.identity import sessions
from app.identity.room import Identity, Visitor
from app.identity.sessions import Person
from app.kernel.actor import Actor
from app.kernel.errors import NotAllowed, SignInNeeded, Unavailable
from app.kernel.fields import Purpose, Role
from app.web.headers import STATIC_ENDPOINTS
from app.web.requests import request_id

EXTENSION = "gardu.identity"
# Where a person with a one-time password may go before it is changed.
WHILE_MUST_CHANGE = frozenset({"identity.password", "identity.password_check", "identity.logout", "identity.language"})
_MARK = "gardu_access"


class Level(Enum):
    """What a page demands."""

    PUBLIC = "public"
    HALF = "half"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Access:
    """The demand of one page. roles: None for every role."""

    level: Level = Level.FULL
    roles: frozenset[Role] | None = None


View = TypeVar("View", bound=Callable[..., object])


def public(view: View) -> View:
    """Mark a page that anybody may open."""
    return _mark(view, Access(Level.PUBLIC))


def half(view: View) -> View:
    """Mark a page that a session without its second factor may open."""
    return _mark(view, Access(Level.HALF))


def roles(*allowed: Role) -> Callable[[View], View]:
    """Mark a page for these active roles only; others get NotAllowed."""
    return lambda view: _mark(view, Access(Level.FULL, frozenset(allowed)))


def access_of(app: Flask, endpoint: str) -> Access:
    """Return what an endpoint demands: a full session unless it was marked."""
    if endpoint in STATIC_ENDPOINTS:
        return Access(Level.PUBLIC)
    found = getattr(app.view_functions.get(endpoint), _MARK, None)
    return found if isinstance(found, Access) else Access()


def admit() -> Response | None:
    """Let the request pass (None), lead it elsewhere, or refuse it.

    Raises SignInNeeded, NotAllowed, StoreDown. Runs before every request, before the CSRF check, which needs ``g.csrf_binding``.
    """
    g.person = g.half = g.actor = g.csrf_binding = None
    # (1)
    if request.endpoint in STATIC_ENDPOINTS:
        return None
    if request.endpoint is None or request.routing_exception is not None:
        _recognise_if_possible()
        return None
    access = access_of(current_app, request.endpoint)
    # (2)
    if access.level is Level.PUBLIC:
        _recognise_if_possible()
        return None
    # (3)
    _recognise()
    # (4)
    if access.level is Level.FULL and (elsewhere := _first_owed()):
        return elsewhere
    # (5)
    if access.roles is not None and current_actor().role not in access.roles:
        raise NotAllowed(f"{request.endpoint} is not for {current_actor().role.value}")
    return None


def identity() -> Identity:
    """Return the room's record of this app."""
    found = current_app.extensions[EXTENSION]
    assert isinstance(found, Identity)
    return found


def visitor() -> Visitor:
    """Return where this request comes from."""
    return Visitor(request_id(), request.remote_addr)


def current_actor() -> Actor:
    """Return who is asking. Raises SignInNeeded unless a full session was admitted."""
    actor = g.get("actor")
    if not isinstance(actor, Actor):
        raise SignInNeeded("no full session")
    return actor


def current_person() -> Person:
    """Return whose session this is, full or half. Raises SignInNeeded when nobody's."""
    person = g.get("person") or g.get("half")
    if not isinstance(person, Person):
        raise SignInNeeded("no session")
    return person


def choose_task(purpose: Purpose) -> Actor:
    """Store the task this session is about and return the actor as it now stands.

    The login's factor counts for the first task chosen; another task needs a step-up. Raises SignInNeeded, StoreDown.
    """
    current_actor()
    person = current_person()
    if person.purpose is not purpose:
        now = identity().clock.now()
        sessions.choose_task(identity().store, person, purpose, now)
        _remember(replace(person, purpose=purpose, factor_purpose=person.factor_purpose or purpose))
    return current_actor()


def cookie_name(secure: bool) -> str:
    """Return the session cookie's name: ``__Host-`` binds it to this host, https and the whole site (RFC 6265bis section 4.1.3.2)."""
    return "__Host-gardu" if secure else "gardu"


def _mark(view: View, access: Access) -> View:
    setattr(view, _MARK, access)
    return view


def _recognise() -> None:
    room = identity()
    secret = request.cookies.get(cookie_name(room.secure_cookies))
    _remember(sessions.resolve(room.store, secret, room.clock.now()))


def _recognise_if_possible() -> None:
    try:
        _recognise()
    except (SignInNeeded, Unavailable):
        return


def _remember(person: Person) -> None:
    g.csrf_binding = person.id_hash
    if person.full:
        g.person, g.actor = person, person.actor(request_id(), request.remote_addr)
    else:
        g.half = person


def _first_owed() -> Response | None:
    person = current_person()
    if not person.full:
        return redirect("/login/totp" if person.enrolled else "/enrol", 303)
    if person.must_change and request.endpoint not in WHILE_MUST_CHANGE:
        return redirect("/me/password", 303)
    return None
