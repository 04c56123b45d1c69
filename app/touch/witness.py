"""What the walk wants to know of the guard's witnesses; ``app.openlog`` answers."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Witnessing(Protocol):
    """How the guard's witnesses stand; ``app.openlog`` knows."""

    def is_fresh(self, now: datetime) -> bool:
        """Whether enough witnesses have signed lately; True when none is configured."""
        ...

    def covers(self, seq: int, now: datetime) -> bool:
        """Whether enough witnesses have signed a checkpoint that holds entry *seq*; True when none is configured."""
        ...


class NoWitness:
    """An installation without a witness: nothing waits. The page of the log says so to everybody."""

    def is_fresh(self, now: datetime) -> bool:
        """Return True."""
        return True

    def covers(self, seq: int, now: datetime) -> bool:
        """Return True."""
        return True
