"""What the room needs, in one frozen record."""

from __future__ import annotations

from dataclasses import dataclass

from app.identity.room import Identity
from app.jobs.desk import Jobs
from app.settings import Settings
from app.touch import Guard


@dataclass(frozen=True, slots=True, eq=False)
class Admin:
    """The room's objects, built once by the factory."""

    guard: Guard
    identity: Identity
    settings: Settings
    jobs: Jobs
