"""Proves a SIEM's copy: is this record what the log says, and is the log what was signed?

(1) inside      the entry's bytes in the record, where it has them, have the leaf hash beside them and name its log and number
(2) checkpoint  the newest checkpoint of that log is signed by the log's key                        C2SP signed-note
(3) inclusion   from the record's leaf hash an audit path leads to the root of that checkpoint      RFC 9162 section 2.1.3
(4) content     everything else in the record is what the entry with that leaf hash makes it

The record's own leaf hash is proved, not the database's: when they differ, the proof says which of the two was changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit.note import Checkpoint, Verifier, open_note, parse_checkpoint
from app.audit.pruning import minimum_in
from app.audit.siem_entry import item_of
from app.audit.siem_read import Copy, differs, read
from app.audit.tables import TrailEntry, TrailHead
from app.audit.tiles import Tiles
from app.audit.tree import inclusion_proof, verify_inclusion
from app.kernel.errors import BadInput, SealBroken
from app.store.engine import Store

# Proofs between two clearings of the tiles that are kept in memory: 8 KiB each, a few for one proof.
_KEEP = 1_000


class Verdict(StrEnum):
    """What became of a record. CHANGED: record or log is not as it was signed. UNKNOWN: nothing can be said."""

    OK = "OK"
    CHANGED = "CHANGED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found of one record, and why. log, seq: the entry that it says it is, as far as it could be read."""

    verdict: Verdict
    why: str
    log: str | None = None
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """The newest checkpoint of a log, or why there is none to go by."""

    checkpoint: Checkpoint | None
    why: str = ""


class Prover:
    """Proves records against one database. key: returns the verifier of a log by its name."""

    def __init__(self, session: Session, key: Callable[[str], Verifier]) -> None:
        self._session, self._key = session, key
        self._known: dict[str, _Known] = {}
        self._tiles: dict[str, Tiles] = {}
        self._done = 0

    def prove(self, raw: bytes) -> Proof:
        """Return what becomes of the record *raw*. Raises StoreDown when the database cannot be read."""
        try:
            copy = read(raw)
        except BadInput as wrong:
            return Proof(Verdict.UNKNOWN, wrong.detail)
        verdict, why = self._judge(copy)
        return Proof(verdict, why, copy.log, copy.seq)

    def _judge(self, copy: Copy) -> tuple[Verdict, str]:
        if copy.body is not None and not _belongs(copy, copy.body):
            return Verdict.CHANGED, "the entry in it does not belong to its log, number and leaf hash"
        known = self._checkpoint(copy.log)
        if known.checkpoint is None:
            return Verdict.UNKNOWN, known.why
        if copy.seq >= known.checkpoint.size:
            return Verdict.CHANGED, f"the log ends at {known.checkpoint.size}: the record was made up, or the log was cut"
        pruned = minimum_in(self._session, copy.log)
        if pruned is not None and copy.seq < pruned.minimum:
            return Verdict.UNKNOWN, f"entries before {pruned.minimum} were pruned; an export or a receipt from before can prove it"
        row = self._row(copy)
        if not self._included(known.checkpoint, copy.seq, copy.leaf):
            if row is not None and self._included(known.checkpoint, copy.seq, row[0]):
                return Verdict.CHANGED, "its leaf hash is not that of the log's entry"
            return Verdict.CHANGED, "neither it nor the log's own entry leads to the signed checkpoint; run gardu audit verify"
        if row is None or row[0] != copy.leaf or not _belongs(copy, row[1]):
            return Verdict.CHANGED, "it is as it was signed, but the log's own entry was changed or removed; run gardu audit verify"
        what = differs(copy, item_of(copy.log, copy.seq, copy.leaf, row[1]))
        return (Verdict.CHANGED, what) if what else (Verdict.OK, "")

    def _row(self, copy: Copy) -> tuple[object, object] | None:
        where = (TrailEntry.log == copy.log, TrailEntry.seq == copy.seq)
        row = self._session.execute(select(TrailEntry.leaf, TrailEntry.body).where(*where)).one_or_none()
        return None if row is None else (row.leaf, row.body)

    def _checkpoint(self, log: str) -> _Known:
        if log not in self._known:
            self._known[log] = self._find(log)
        return self._known[log]

    def _find(self, log: str) -> _Known:
        note = self._session.scalar(select(TrailHead.checkpoint).where(TrailHead.log == log))
        if not note:
            return _Known(None, f"log {log} is not in this database")
        try:
            checkpoint = parse_checkpoint(open_note(note, [self._key(log)]).text)
        except (BadInput, SealBroken) as wrong:
            return _Known(None, f"the newest checkpoint of {log} does not hold ({wrong.detail}); run gardu audit verify")
        if checkpoint.origin != log:
            return _Known(None, f"the newest checkpoint of {log} is another log's; run gardu audit verify")
        return _Known(checkpoint)

    def _included(self, checkpoint: Checkpoint, seq: int, leaf: object) -> bool:
        self._done += 1
        if self._done % _KEEP == 0:
            self._tiles.clear()
        tiles = self._tiles.setdefault(checkpoint.origin, Tiles(self._session, checkpoint.origin, checkpoint.size))
        try:
            path = inclusion_proof(seq, checkpoint.size, tiles.subtree)
            verify_inclusion(seq, checkpoint.size, leaf if isinstance(leaf, bytes) else b"", path, checkpoint.root)
        except (BadInput, SealBroken):
            return False
        return True


def _belongs(copy: Copy, body: object) -> bool:
    try:
        item_of(copy.log, copy.seq, copy.leaf, body)
    except SealBroken:
        return False
    return True


@contextmanager
def prover(store: Store, key: Callable[[str], Verifier]) -> Iterator[Prover]:
    """Open the database for proving; see Prover. Raises StoreDown."""
    with store.reading() as session:
        yield Prover(session, key)
