"""What the room needs, in one frozen record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from app.jobs.desk import Jobs
from app.kernel.actor import Actor
from app.kernel.clock import Clock
from app.mandates.room import Mandates
from app.places import Places
from app.touch import Guard
from app.vault.records import RecordSeal

EXTENSION = "gardu.roll"


@dataclass(frozen=True, slots=True)
class Roll:
    """The room's objects, built once by the factory.

    ensure_keys: makes a kab/kota's keys when it has none, told (actor, kab, expected rows, moment).
    """

    guard: Guard
    places: Places
    clock: Clock
    mandates: Mandates
    jobs: Jobs
    seals: RecordSeal
    ensure_keys: Callable[[Actor, str, int, datetime], None]
