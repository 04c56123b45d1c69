"""What the room needs, in one frozen record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from app.audit.cosign import CosignVerifier
from app.audit.report import Finding
from app.identity.room import Identity
from app.jobs.desk import Jobs
from app.mandates.room import Mandates
from app.policy.matrix import Row
from app.touch import Guard


class Outside(Protocol):
    """What is known of witnesses and time stamps; ``app.openlog`` answers."""

    def keys(self) -> Sequence[CosignVerifier]:
        """Return the keys of the witnesses in force."""
        ...

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong with the list of witnesses and with the time stamps."""
        ...


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
    outside: Outside
    matrices: dict[tuple[str, object], list[tuple[list[str], Row]]] = field(default_factory=dict)
