"""What the room needs, in one frozen record."""

from __future__ import annotations

from dataclasses import dataclass

from app.identity.room import Identity
from app.policy.decide import Policies
from app.vault.records import RecordSeal


@dataclass(frozen=True, slots=True, eq=False)
class Mandates:
    """The room's objects, built once by the factory. Store, trail, payloads, clock, places and the log's name are the identity's."""

    identity: Identity
    policies: Policies
    seals: RecordSeal
