"""What every page of this desk asks at its door: the room's objects, the moment, and whether the code is fresh enough for a change."""

from __future__ import annotations

from datetime import datetime, timedelta

from flask import current_app

from app.admin import rules
from app.admin.room import Admin
from app.identity import gate
from app.kernel.errors import NotThere, StepUpNeeded
from app.kernel.ids import decode_uid

# Where the factory leaves the room's objects.
EXTENSION = "gardu.admin"


def room() -> Admin:
    """Return the room of the application at work."""
    found: Admin = current_app.extensions[EXTENSION]
    return found


def now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return room().identity.clock.now()


def is_fresh(allowed: timedelta = rules.FRESH) -> bool:
    """Say whether the actor's code is at most *allowed* old."""
    return rules.fresh_enough(gate.current_actor().factor_at, now(), allowed)


def demand_code(allowed: timedelta = rules.FRESH + rules.TYPING) -> None:
    """Raise StepUpNeeded unless the code is at most *allowed* old; the error page leads to the code and back."""
    if not is_fresh(allowed):
        raise StepUpNeeded("an administrator's change needs a fresh code")


def parse_uid(text: str) -> str:
    """Return *text* when it has the form of a uid. Raises NotThere."""
    try:
        decode_uid(text)
    except ValueError:
        raise NotThere("not a uid") from None
    return text
