"""What the room needs, in one frozen record."""

from __future__ import annotations

from dataclasses import dataclass

from app.identity.room import Identity
from app.mandates.room import Mandates
from app.touch import Guard


@dataclass(frozen=True, slots=True, eq=False)
class Subjects:
    """The room's objects, built once by the factory."""

    guard: Guard
    identity: Identity
    mandates: Mandates
