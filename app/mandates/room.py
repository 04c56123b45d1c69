"""What the room needs, in one frozen record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from app.identity.room import Identity
from app.kernel.fields import Stage
from app.policy.decide import Policies
from app.vault.records import RecordSeal

EXTENSION = "gardu.mandates"
# (region, moment) → the election in force there and its stage; None when no stage was ever set.
Calendar = Callable[[str, datetime], tuple[str, Stage] | None]


def no_calendar(region: str, now: datetime) -> None:
    """Return that no election is in force: without a calendar nothing can be asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Mandates:
    """The room's objects, built once by the factory. Store, trail, payloads, clock, places and the log's name are the identity's."""

    identity: Identity
    policies: Policies
    seals: RecordSeal
    calendar: Calendar = no_calendar
