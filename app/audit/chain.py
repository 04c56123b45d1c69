"""Where a log ends, and how it grows: each entry carries the hash of the one before, and is a leaf of the tree. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.audit.entry import Unplaced, entry_hash
from app.audit.note import Checkpoint
from app.audit.tree import Frontier, leaf_hash

# ``prev`` of the first entry.
GENESIS = bytes(32)


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry at its place: its sequence number, its bytes and its leaf hash."""

    seq: int
    body: bytes
    leaf: bytes


@dataclass(slots=True)
class Head:
    """The end of a log. last: SHA-256 of the last entry's bytes, GENESIS while the log is empty."""

    log: str
    last: bytes = GENESIS
    frontier: Frontier = field(default_factory=Frontier)

    @property
    def size(self) -> int:
        """The number of entries."""
        return self.frontier.size

    def place(self, entry: Unplaced) -> Placed:
        """Give *entry* the next number and extend chain and tree by it."""
        seq = self.size
        body = entry.at(seq, self.last)
        leaf = leaf_hash(body)
        self.last = entry_hash(body)
        self.frontier.append(leaf)
        return Placed(seq, body, leaf)

    def checkpoint(self) -> Checkpoint:
        """Return the unsigned checkpoint of this size."""
        return Checkpoint(self.log, self.size, self.frontier.root())
