"""Pages of the room."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, Flask

from app.identity.room import Card
from app.kernel.actor import Actor
from app.subjects.room import Subjects

blueprint = Blueprint("subjects", __name__)
EXTENSION = "gardu.subjects"


def install(app: Flask, room: Subjects) -> None:
    """Give *app* these pages."""
    app.extensions[EXTENSION] = room
    app.register_blueprint(blueprint)


def nav(actor: Actor) -> Sequence[tuple[str, str]]:
    """Return what the navigation offers this role: (label, address)."""
    return ()


def cards(actor: Actor) -> Sequence[Card]:
    """Return what the home page offers this actor now."""
    return ()
