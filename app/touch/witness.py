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


class PolicyEntry:
    """Which entry says that the policies of this process came into force (``app.custody.policyload``).

    Nothing is opened by changed policies before a witness has signed that entry: whoever swaps the folder cannot also hide that they did.
    """

    __slots__ = ("_seq",)

    def __init__(self) -> None:
        self._seq: int | None = None

    def wait_for(self, seq: int) -> None:
        """Wait until a witness has signed a checkpoint that holds entry *seq*."""
        self._seq = seq

    def is_seen(self, witness: Witnessing, now: datetime) -> bool:
        """Whether there is nothing (any more) to wait for. What was signed once stays signed, so this asks no further."""
        if self._seq is not None and witness.covers(self._seq, now):
            self._seq = None
        return self._seq is None
