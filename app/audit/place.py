"""Where a verifying walk stands: what every part of it reads and moves. For ``audit.verify``."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.audit.chain import GENESIS
from app.audit.note import Checkpoint, Verifier, open_note, parse_checkpoint
from app.audit.pruning import prune_digest
from app.audit.report import Report
from app.audit.streams import RawMinimum, Streams
from app.audit.tree import Frontier
from app.kernel.errors import N_, BadInput, GarduError

UNNAMED = N_("Batas bawah jejak (trail_minimum, entri %(seq)s) tidak disebut entri trail:prune mana pun.")


@dataclass(slots=True)
class Place:
    """The next entry's number, and chain and tree up to it.

    link, tree: None as soon as some entry's bytes were found wrong: what follows cannot be compared with them any more.
    start: the first entry that is still there, 0 unless the log was pruned.
    """

    log: str
    report: Report
    seq: int = 0
    start: int = 0
    link: bytes | None = GENESIS
    tree: Frontier | None = field(default_factory=Frontier)

    def find(self, seq: int | None, message: str, **params: object) -> None:
        """Add a finding."""
        self.report.find(seq, message, **params)


def signed(note: object, verifier: Verifier) -> Checkpoint:
    """Return the checkpoint of a note signed by *verifier*'s key, its first signature. Raises GarduError."""
    if not isinstance(note, str):
        raise BadInput("checkpoint: not text")
    return parse_checkpoint(open_note(note, [verifier]).text)


class Minima:
    """Where the log was pruned to. The newest row is where the walk starts; each must be named by an entry that is still there.

    seen: the minima that entries named so far.
    """

    def __init__(self, streams: Streams, place: Place, verifier: Verifier) -> None:
        self._place, self._rows, self.seen = place, streams.minima(), set[object]()
        if not self._rows:
            return
        row = self._rows[-1]
        if isinstance(row.minimum, int) and row.minimum > 0:
            place.seq = place.start = place.report.minimum = row.minimum
        try:
            frontier, link = _parts(row)
            mark = signed(row.note, verifier)
            if (mark.origin, mark.size, mark.root, mark.extension) != (place.log, row.minimum, frontier.root(), ""):
                raise BadInput("of another size or root")
            place.link, place.tree = link, frontier
        except (GarduError, ValueError, TypeError):
            place.link = place.tree = None
            place.find(place.start, N_("Batas bawah jejak (trail_minimum, entri %(seq)s) tidak cocok dengan checkpoint-nya."))

    def named(self, seq: int, digest: str) -> bool:
        """Say whether the rows that name entry *seq*, whose detail is *digest*, are what it says; take note of them."""
        mine = [row for row in self._rows if row.by_seq == seq]
        self.seen.update(row.minimum for row in mine)
        return len(mine) == 1 and self._digest(mine[0]) == digest

    def rest(self) -> None:
        """Find the rows that no entry named, but for those whose entry was pruned since."""
        for row in self._rows:
            newest = row is self._rows[-1]
            seen = newest or not isinstance(row.by_seq, int) or row.by_seq >= self._place.start
            if seen and row.minimum not in self.seen:
                self._place.find(row.minimum if isinstance(row.minimum, int) else None, UNNAMED)

    def _digest(self, row: RawMinimum) -> str:
        try:
            frontier, link = _parts(row)
            return prune_digest(self._place.log, frontier.size, frontier.root(), link).hex()
        except (ValueError, TypeError):
            return ""


def _parts(row: RawMinimum) -> tuple[Frontier, bytes]:
    """Return tree and link at the minimum. Raises ValueError when the row cannot be one."""
    if not (isinstance(row.minimum, int) and isinstance(row.frontier, bytes) and isinstance(row.last, bytes) and len(row.last) == 32):
        raise ValueError("a column of another type")
    if row.minimum <= 0 or row.minimum % 256:
        raise ValueError("not a multiple of 256")
    return Frontier.unpack(row.minimum, row.frontier), row.last
