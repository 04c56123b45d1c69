"""One entry, proved on the spot: eight steps, each of which can be read and repeated by hand.

(1) bytes       they are an entry in canonical form (RFC 8785), and name this log and this number
(2) columns     the columns used for searching say what the bytes say
(3) chain       it carries the hash of the entry before, and the entry after carries its own
(4) leaf        its leaf hash is SHA-256(0x00 ‖ bytes)                                    RFC 9162 section 2.1.1
(5) inclusion   the audit path leads from its leaf to the root of its batch's checkpoint   RFC 9162 section 2.1.3
(6) checkpoint  that checkpoint is signed by the log's key                                C2SP signed-note, tlog-checkpoint
(7) payload     the sealed part has the digest in the entry, opens, and bears out subjects and visit; or a later entry erased it
(8) touches     the touch index names every subject of the entry (one too many is found by the whole log's verification)

Shares no code path with ``audit.verify`` beyond the pure rooms; the offline verifier is a third hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit.chain import GENESIS
from app.audit.content import unpack, visit_commitment
from app.audit.entry import entry_hash, leaf_hash, moment, opened_bits, parse, subjects_root
from app.audit.erasure import Erased, erased_in
from app.audit.members import Entry
from app.audit.note import Checkpoint, Verifier, open_note, parse_checkpoint, split_note
from app.audit.pruning import minimum_in
from app.audit.tables import TouchIndex, TrailCheckpoint, TrailEntry, TrailPayload
from app.audit.tiles import Tiles
from app.audit.tree import inclusion_proof, verify_inclusion
from app.kernel.errors import BadInput, GarduError, NotThere, SealBroken, Unavailable
from app.kernel.fields import Action, Outcome
from app.store.engine import Store


class Check(StrEnum):
    """The steps, in their order."""

    BYTES = "bytes"
    COLUMNS = "columns"
    CHAIN = "chain"
    LEAF = "leaf"
    INCLUSION = "inclusion"
    CHECKPOINT = "checkpoint"
    PAYLOAD = "payload"
    TOUCHES = "touches"


class Found(StrEnum):
    """What a step found. none: there is nothing to check (an entry without payload). erased: a later entry says that it was erased.

    unknown: an earlier step left nothing to go on.
    """

    GOOD = "good"
    BAD = "bad"
    NONE = "none"
    ERASED = "erased"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Step:
    """One step. values: what was compared, for whoever repeats it by hand: hashes in hex, numbers, column names."""

    check: Check
    found: Found
    values: dict[str, str] = field(default_factory=dict)


# (sealed, wrapped, day, commitment) → content; raises SealBroken.
OpenSealed = Callable[[bytes, bytes, str, bytes], bytes]


def prove(store: Store, log: str, seq: int, vkey: str, open_sealed: OpenSealed, token: Callable[[str], bytes]) -> list[Step]:
    """Check entry *seq* of *log* as it stands and return every step. vkey: the log's verifier key. token: touch token of a uid.

    Raises NotThere when there is no such row, KeysDown or StoreDown when it could not be checked.
    """
    with store.reading() as session:
        row = session.get(TrailEntry, (log, seq)) if 0 <= seq < 2**63 else None
        if row is None:
            raise NotThere(f"log {log} has no entry {seq}")
        return list(_Proof(session, row, Verifier.parse(vkey), open_sealed, token).steps())


class _Proof:
    """The steps over one row, inside one reading."""

    def __init__(
        self, session: Session, row: TrailEntry, verifier: Verifier, open_sealed: OpenSealed, token: Callable[[str], bytes]
    ) -> None:
        self._session, self._row, self._verifier = session, row, verifier
        self._open, self._token = open_sealed, token
        # SQLite may hold a value of another type, if somebody put it there.
        self._raw = _bytes_or_none(row.body)
        self._members: Entry | None = None
        self._subjects: tuple[str, ...] | None = None
        self._erased = False

    def steps(self) -> Iterator[Step]:
        """Yield the eight steps in order."""
        yield self._bytes()
        yield self._columns()
        yield self._chain()
        yield self._leaf()
        note = self._note()
        yield self._inclusion(note)
        yield self._checkpoint(note)
        yield self._payload()
        yield self._touches()

    def _bytes(self) -> Step:
        row = self._row
        try:
            members = parse(row.body)
        except (BadInput, TypeError):
            return Step(Check.BYTES, Found.BAD)
        if (members["log"], members["seq"]) != (row.log, row.seq):
            return Step(Check.BYTES, Found.BAD, {"log": members["log"], "seq": str(members["seq"])})
        self._members = members
        return Step(Check.BYTES, Found.GOOD, {"sha256": entry_hash(row.body).hex(), "length": str(len(row.body))})

    def _columns(self) -> Step:
        members, row = self._members, self._row
        if members is None:
            return Step(Check.COLUMNS, Found.UNKNOWN)
        told: dict[str, object] = {
            "actor": members["actor"], "office": members["office"], "action": members["action"], "outcome": members["outcome"],
            "scope": members["scope"], "purpose": members["purpose"], "request": members["request"], "mandate": members["mandate"],
            "at": moment(members["at"]),
        }  # fmt: skip
        if row.elements is not None:
            told["elements"] = opened_bits(members["fields"])
        wrong = [name for name, value in told.items() if getattr(row, name) != value]
        return Step(Check.COLUMNS, Found.BAD if wrong else Found.GOOD, {"columns": ", ".join(wrong or told)})

    def _chain(self) -> Step:
        members, row = self._members, self._row
        if members is None:
            return Step(Check.CHAIN, Found.UNKNOWN)
        before = self._body(row.seq - 1) if row.seq else None
        after = self._body(row.seq + 1)
        link = GENESIS if row.seq == 0 else entry_hash(before) if before is not None else self._pruned_link()
        values = {"prev": members["prev"], "before": link.hex()}
        good = members["prev"] == link.hex()
        if after is not None:
            try:
                values["after"] = parse(after)["prev"]
            except BadInput:
                values["after"] = ""
            good = good and values["after"] == entry_hash(row.body).hex()
        return Step(Check.CHAIN, Found.GOOD if good else Found.BAD, values)

    def _leaf(self) -> Step:
        row = self._row
        if self._raw is None:
            return Step(Check.LEAF, Found.UNKNOWN)
        computed = leaf_hash(self._raw)
        return Step(Check.LEAF, Found.GOOD if computed == row.leaf else Found.BAD, {"stored": _hex(row.leaf), "computed": computed.hex()})

    def _note(self) -> TrailCheckpoint | None:
        """Return the first checkpoint that covers the entry: that of the batch it came in with."""
        covers = (TrailCheckpoint.log == self._row.log, TrailCheckpoint.size > self._row.seq)
        return self._session.scalar(select(TrailCheckpoint).where(*covers).order_by(TrailCheckpoint.size).limit(1))

    def _inclusion(self, note: TrailCheckpoint | None) -> Step:
        mark = _mark(note)
        if mark is None or self._raw is None:
            return Step(Check.INCLUSION, Found.UNKNOWN)
        values = {"size": str(mark.size), "root": mark.root.hex()}
        try:
            path = inclusion_proof(self._row.seq, mark.size, Tiles(self._session, self._row.log, mark.size).along(self._row.seq).subtree)
            values["path"] = " ".join(one.hex() for one in path)
            verify_inclusion(self._row.seq, mark.size, leaf_hash(self._raw), path, mark.root)
        except (BadInput, SealBroken, ValueError):
            return Step(Check.INCLUSION, Found.BAD, values)
        return Step(Check.INCLUSION, Found.GOOD, values)

    def _checkpoint(self, note: TrailCheckpoint | None) -> Step:
        if note is None:
            return Step(Check.CHECKPOINT, Found.BAD)
        values = {"size": str(note.size), "key": self._verifier.name, "note": str(note.note)}
        try:
            mark = parse_checkpoint(open_note(note.note, [self._verifier]).text)
        except (GarduError, TypeError):
            return Step(Check.CHECKPOINT, Found.BAD, values)
        good = (mark.origin, mark.size) == (self._row.log, note.size)
        return Step(Check.CHECKPOINT, Found.GOOD if good else Found.BAD, values)

    def _payload(self) -> Step:
        members, row = self._members, self._row
        if members is None:
            return Step(Check.PAYLOAD, Found.UNKNOWN)
        mark, box = members["payload"], self._session.get(TrailPayload, (row.log, row.seq))
        if mark is None:
            return Step(Check.PAYLOAD, Found.NONE if box is None else Found.BAD)
        gone = erased_in(self._session, row.log, row.seq)
        if gone is not None:
            self._erased = box is not None and not box.wrapped and not box.sealed and self._says_so(gone)
            found = Found.ERASED if self._erased else Found.BAD
            return Step(Check.PAYLOAD, found, {"sha256": mark["sha256"], "log": gone.by_log, "seq": str(gone.by_seq)})
        if box is None or sha256(box.sealed).hexdigest() != mark["sha256"]:
            return Step(Check.PAYLOAD, Found.BAD, {"sha256": mark["sha256"]})
        try:
            content = unpack(self._open(box.sealed, box.wrapped, box.day, bytes.fromhex(mark["commitment"])))
            root = subjects_root(content.salt, content.subjects).hex() if content.subjects else ""
        except Unavailable:
            raise
        except (GarduError, ValueError, TypeError):
            return Step(Check.PAYLOAD, Found.BAD, {"sha256": mark["sha256"]})
        subjects, visit = members["subjects"], members["visit"]
        good = (len(content.subjects), root) == ((subjects["count"], subjects["root"]) if subjects else (0, ""))
        if content.visit is not None and visit is not None:
            good = good and visit_commitment(content.salt, content.visit.encode()).hex() == visit
        self._subjects = content.subjects
        values = {"sha256": mark["sha256"], "commitment": mark["commitment"], "root": root}
        return Step(Check.PAYLOAD, Found.GOOD if good else Found.BAD, values)

    def _touches(self) -> Step:
        members, row = self._members, self._row
        if self._erased:
            # Whom the entry named went with its payload; a token left over is found by the whole log's verification.
            return Step(Check.TOUCHES, Found.ERASED)
        if members is None or (members["payload"] is not None and self._subjects is None):
            return Step(Check.TOUCHES, Found.UNKNOWN)
        here = (TouchIndex.log == row.log, TouchIndex.seq == row.seq)
        wanted = {self._token(uid) for uid in self._subjects or ()}
        # By token, which the table is ordered by; looking for one too many would mean reading all of it.
        known = set(self._session.scalars(select(TouchIndex.token).where(*here, TouchIndex.token.in_(wanted)))) if wanted else set()
        values = {"count": str(len(wanted))}
        if not wanted:
            return Step(Check.TOUCHES, Found.NONE, values)
        return Step(Check.TOUCHES, Found.GOOD if known == wanted else Found.BAD, values)

    def _says_so(self, gone: Erased) -> bool:
        by = self._session.get(TrailEntry, (gone.by_log, gone.by_seq))
        return by is not None and (by.action, by.outcome) == (Action.PAYLOAD_ERASE, Outcome.DONE)

    def _pruned_link(self) -> bytes:
        """Return the link to the entry before the first one that is left of a pruned log; of any other nothing."""
        begin = minimum_in(self._session, self._row.log)
        return begin.last if begin is not None and begin.minimum == self._row.seq else b""

    def _body(self, seq: int) -> bytes | None:
        return _bytes_or_none(self._session.scalar(select(TrailEntry.body).where(TrailEntry.log == self._row.log, TrailEntry.seq == seq)))


def _mark(note: TrailCheckpoint | None) -> Checkpoint | None:
    if note is None:
        return None
    try:
        return parse_checkpoint(split_note(note.note)[0])
    except (BadInput, AttributeError, TypeError):
        return None


def _bytes_or_none(value: object) -> bytes | None:
    return value if isinstance(value, bytes) else None


def _hex(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else ""
