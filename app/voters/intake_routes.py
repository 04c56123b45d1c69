"""Pages of intake: upload, mapping, progress, result, undo, history."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint

from app.identity.room import Card
from app.kernel.actor import Actor

blueprint = Blueprint("intake", __name__)


def nav(actor: Actor) -> Sequence[tuple[str, str]]:
    """Return what the navigation offers this role: (label, address)."""
    return ()


def cards(actor: Actor) -> Sequence[Card]:
    """Return what the home page offers this actor now."""
    return ()
