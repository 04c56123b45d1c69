"""What the room needs, in one frozen record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from app.audit.cosign import Cosigner
from app.audit.note import Verifier
from app.identity.room import Identity
from app.store.engine import Store
from app.touch import Guard
from app.vault.records import RecordSeal

EXTENSION = "gardu.openlog"


@dataclass(frozen=True, slots=True)
class Books:
    """Where the list of witnesses and their signatures are kept."""

    store: Store
    log: str
    seals: RecordSeal


@dataclass(frozen=True, slots=True, eq=False)
class OpenLog:
    """The room's objects, built once by the factory. Store, clock and the log's name are the identity's.

    verifier: checks the log's own signatures. second: the log's ML-DSA-44 key, None where the library cannot. head_guard: the file on
    another disk. timestamp_url, timestamp_roots: of the time-stamping authority, "" and b"" without one.
    """

    guard: Guard
    identity: Identity
    books: Books
    verifier: Verifier
    second: Cosigner | None = None
    head_guard: Path | None = None
    timestamp_url: str = ""
    timestamp_roots: bytes = b""

    @property
    def log(self) -> str:
        """The log's origin."""
        return self.guard.log

    @property
    def seals(self) -> RecordSeal:
        """What seals the room's rows."""
        return self.books.seals

    def now(self) -> datetime:
        """Return the present moment."""
        return self.identity.clock.now()
