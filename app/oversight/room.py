"""What the room needs, in one frozen record."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from app.identity.room import Identity
from app.jobs.desk import Jobs
from app.mandates.room import Mandates
from app.policy.matrix import Row
from app.touch import Guard


@dataclass(frozen=True, slots=True, eq=False)
class Oversight:
    """The room's objects, built once by the factory.

    exports: the folder of files that wait to be fetched, ours alone. matrices: what was computed of the decision matrix, by role and review
    era.
    """

    guard: Guard
    identity: Identity
    jobs: Jobs
    mandates: Mandates
    exports: Path
    matrices: dict[tuple[str, object], list[tuple[list[str], Row]]] = field(default_factory=dict)
