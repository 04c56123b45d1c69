"""Pages of requests and mandates."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, Flask

from app.identity.room import Card
from app.kernel.actor import Actor
from app.mandates.room import Mandates

blueprint = Blueprint("mandates", __name__)
EXTENSION = "gardu.mandates"


def install(app: Flask, room: Mandates) -> None:
    """Give *app* these pages."""
    app.extensions[EXTENSION] = room
    app.register_blueprint(blueprint)


def nav(actor: Actor) -> Sequence[tuple[str, str]]:
    """Return what the navigation offers this role: (label, address)."""
    return ()


def cards(actor: Actor) -> Sequence[Card]:
    """Return what the home page offers this actor now."""
    return ()
