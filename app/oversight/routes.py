"""Pages of the room."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, Flask

from app.identity.room import Card
from app.kernel.actor import Actor
from app.oversight.room import Oversight

blueprint = Blueprint("oversight", __name__)
EXTENSION = "gardu.oversight"


def install(app: Flask, room: Oversight) -> None:
    """Give *app* these pages."""
    app.extensions[EXTENSION] = room
    app.register_blueprint(blueprint)


def nav(actor: Actor) -> Sequence[tuple[str, str]]:
    """Return what the navigation offers this role: (label, address)."""
    return ()


def cards(actor: Actor) -> Sequence[Card]:
    """Return what the home page offers this actor now."""
    return ()
