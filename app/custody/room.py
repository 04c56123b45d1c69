"""What the walks of the custody need, in one frozen record."""

from __future__ import annotations

from dataclasses import dataclass

from app.identity.room import Identity
from app.touch import Guard
from app.vault.records import RecordSeal


@dataclass(frozen=True, slots=True, eq=False)
class Custody:
    """The room's objects."""

    guard: Guard
    identity: Identity
    seals: RecordSeal
