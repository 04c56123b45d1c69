"""Verifying the whole log where it stands: every column of every row, against the entries, the signatures and each other.

Shares nothing with ``app/verifier.py``, which is the second opinion. Streams all tables side by side in one snapshot; memory holds one
entry. What it cannot see: a whole history rewritten by whoever holds the log's key, and a checkpoint row taken away between two others
(docs/log-format.md); outsiders' receipts and the witness see the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Generic, TypeVar

from sqlalchemy import func, select

from app.audit.chain import GENESIS
from app.audit.content import Content, unpack, visit_commitment
from app.audit.entry import entry_hash, leaf_hash, moment, parse, subjects_root
from app.audit.members import Entry
from app.audit.note import Verifier, open_note, parse_checkpoint
from app.audit.streams import RawCheckpoint, RawEntry, RawHead, RawPayload, RawTouch, Streams, snapshot
from app.audit.tables import TrailEntry
from app.audit.tree import Frontier
from app.kernel.errors import BadInput, GarduError, SealBroken
from app.store.engine import Store

# What is wrong past this many findings adds nothing that an officer could use.
MOST_FINDINGS = 50
# Columns of trail_entry that copy members of the entry, for queries.
_COPIED = ("actor", "office", "action", "outcome", "scope", "purpose", "request")

# (sealed, wrapped, day, log, commitment) → content; raises SealBroken.
OpenPayload = Callable[[bytes, bytes, str, str, bytes], bytes]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. seq: the entry concerned, None when it is the log as a whole."""

    seq: int | None
    what: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found. size: entries read. checkpoint: the newest signed one, "" when there is none."""

    log: str
    size: int
    checkpoint: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def verify(store: Store, log: str, vkey: str, open_payload: OpenPayload, token: Callable[[str], bytes], progress: Progress) -> Report:
    """Check *log* up to its present end.

    vkey: the log's verifier key. open_payload, token: the vault's, so that payloads and touch index are checked too. progress: told
    (entries done, in all). Stops after MOST_FINDINGS. Raises BadInput for a bad vkey, StoreDown or KeysDown when it could not check.
    """
    verifier = Verifier.parse(vkey)
    with store.reading() as session:
        total = session.scalar(select(func.count()).select_from(TrailEntry).where(TrailEntry.log == log)) or 0
    with snapshot(store, log) as streams:
        walk = _Walk(log, verifier, open_payload, token, streams)
        for seq in walk.entries():
            progress(seq + 1, max(total, seq + 1))
            if len(walk.findings) >= MOST_FINDINGS:
                break
        else:
            walk.finish(streams)
        return Report(log, walk.frontier.size, walk.newest, tuple(walk.findings))


_Row = TypeVar("_Row", RawPayload, RawTouch, RawCheckpoint)


class _Ahead(Generic[_Row]):
    """A stream of rows in order, read one row ahead."""

    def __init__(self, rows: Iterator[_Row]) -> None:
        self._rows: Iterator[_Row] = rows
        self._next: _Row | None = next(rows, None)

    def until(self, number: int, of: Callable[[_Row], object]) -> Iterator[_Row]:
        """Yield the rows whose number is at most *number*, or is no number at all."""
        while (row := self._next) is not None:
            place = of(row)
            if isinstance(place, int) and place > number:
                return
            self._next = next(self._rows, None)
            yield row

    def rest(self) -> Iterator[_Row]:
        """Yield the rows that are left, at most MOST_FINDINGS of them."""
        if self._next is not None:
            yield self._next
            yield from islice(self._rows, MOST_FINDINGS - 1)


@dataclass(slots=True)
class _Walk:
    """Where the verification stands: chain, tree and the next row of every other table."""

    log: str
    verifier: Verifier
    open_payload: OpenPayload
    token: Callable[[str], bytes]
    streams: Streams
    findings: list[Finding] = field(default_factory=list)
    last: bytes = GENESIS
    last_at: str = ""
    newest: str = ""
    frontier: Frontier = field(default_factory=Frontier)
    payloads: _Ahead[RawPayload] = field(init=False)
    touches: _Ahead[RawTouch] = field(init=False)
    checkpoints: _Ahead[RawCheckpoint] = field(init=False)

    def __post_init__(self) -> None:
        self.payloads = _Ahead(self.streams.payloads())
        self.touches = _Ahead(self.streams.touches())
        self.checkpoints = _Ahead(self.streams.checkpoints())

    def find(self, seq: int | None, what: str) -> None:
        """Note something that is wrong."""
        self.findings.append(Finding(seq, what))

    def entries(self) -> Iterator[int]:
        """Check every entry with what belongs to it; yields each number once it is done."""
        for row in self.streams.entries():
            seq = self.frontier.size
            if row.seq != seq:
                self.find(seq, f"is missing: the next row says {_shown(row.seq)}")
                return
            self._entry(seq, row)
            self._checkpoint(seq)
            yield seq

    def _entry(self, seq: int, row: RawEntry) -> None:
        if not isinstance(row.body, bytes):
            self.find(seq, "its bytes are not bytes")
            self.frontier.append(leaf_hash(b""))
            return
        leaf = leaf_hash(row.body)
        if row.leaf != leaf:
            self.find(seq, "its bytes and its leaf hash do not belong together: one of them was changed")
        try:
            members = parse(row.body)
        except BadInput as wrong:
            self.find(seq, wrong.detail)
        else:
            self._members(seq, row, members)
            self._sealed(seq, members)
        self.last = entry_hash(row.body)
        self.frontier.append(leaf)

    def _members(self, seq: int, row: RawEntry, members: Entry) -> None:
        if members["seq"] != seq or members["log"] != self.log:
            self.find(seq, f"says it is entry {members['seq']} of {members['log']}: it was put here from elsewhere")
        elif bytes.fromhex(members["prev"]) != self.last:
            blamed = seq - 1 if seq else seq
            self.find(blamed, f"was changed, or entry {seq} does not follow it: the chain breaks between them")
        self.last_at = _text_of(members["at"])
        if row.at != self.last_at:
            self.find(seq, "column at differs from its bytes")
        for name in _COPIED:
            if getattr(row, name) != members[name]:  # type: ignore[literal-required]  # names of _COPIED are members of Entry
                self.find(seq, f"column {name} differs from its bytes")

    def _checkpoint(self, seq: int) -> None:
        for row in self.checkpoints.until(seq + 1, lambda one: one.size):
            if row.size != seq + 1:
                self.find(None, f"a checkpoint of size {_shown(row.size)} stands where none can be")
                continue
            trouble = self._note_trouble(row.note, seq + 1)
            if trouble:
                self.find(seq, f"the checkpoint of size {seq + 1} {trouble}")
            self.newest = str(row.note)

    def _note_trouble(self, note: object, size: int) -> str:
        if not isinstance(note, str):
            return "is not text"
        try:
            head = parse_checkpoint(open_note(note, [self.verifier]).text)
        except (GarduError, UnicodeError) as wrong:
            return f"does not verify: {getattr(wrong, 'detail', 'not UTF-8')}"
        if head.origin != self.log or head.size != size or head.extension:
            return "is of another log or size"
        return "" if head.root == self.frontier.root() else "does not cover these entries: the tree's root is another"

    def _sealed(self, seq: int, members: Entry) -> None:
        """Check payload and touch index of one entry."""
        mark, content = members["payload"], None
        rows = list(self.payloads.until(seq, lambda one: one.seq))
        for stray in rows if mark is None else rows[:-1]:
            self.find(seq, f"a payload stands at {_shown(stray.seq)} that belongs to no entry")
        if mark is not None:
            if rows and rows[-1].seq == seq:
                content = self._payload(seq, rows[-1], members)
            else:
                self.find(seq, "its payload is missing")
        self._touches(seq, content, had_payload=mark is not None)

    def _payload(self, seq: int, row: RawPayload, members: Entry) -> Content | None:
        mark = members["payload"]
        if mark is None or not isinstance(row.sealed, bytes) or not isinstance(row.wrapped, bytes) or not isinstance(row.day, str):
            self.find(seq, "its payload is not in its form")
            return None
        if sha256(row.sealed).hexdigest() != mark["sha256"]:
            self.find(seq, "its payload was changed")
            return None
        try:
            content = unpack(self.open_payload(row.sealed, row.wrapped, row.day, self.log, bytes.fromhex(mark["commitment"])))
        except SealBroken:
            self.find(seq, "its payload does not open: its key or day was changed")
            return None
        except BadInput as wrong:
            self.find(seq, wrong.detail)
            return None
        for trouble in _commitments(members, content):
            self.find(seq, trouble)
        return content

    def _touches(self, seq: int, content: Content | None, *, had_payload: bool) -> None:
        rows = list(self.touches.until(seq, lambda one: one.seq))
        if content is None and had_payload:
            return  # already found; what the index should hold is not known
        wanted = {self.token(uid) for uid in content.subjects} if content else set()
        if any(row.seq != seq for row in rows):
            self.find(seq, "the touch index holds rows that belong to no entry before it")
        found = [row.token for row in rows if row.seq == seq]
        if len(found) != len(wanted) or set(found) != wanted:
            self.find(seq, "the touch index does not hold exactly its subjects")

    def finish(self, streams: Streams) -> None:
        """Check the head row and that nothing is left over."""
        size = self.frontier.size
        for row in self.payloads.rest():
            self.find(None, f"a payload stands at {_shown(row.seq)} that belongs to no entry")
        for touch in self.touches.rest():
            self.find(None, f"the touch index names entry {_shown(touch.seq)}, which does not exist")
        for checkpoint in self.checkpoints.rest():
            self.find(None, f"a checkpoint says there were {_shown(checkpoint.size)} entries; {size} are here: the end was cut off")
        for stranger in streams.strangers():
            self.find(None, f"{stranger.table} holds a row ({_shown(stranger.number)}) of another log")
        for trouble in self._head_troubles(streams.head()):
            self.find(size - 1 if size else None, trouble)

    def _head_troubles(self, head: RawHead | None) -> Iterator[str]:
        if head is None:
            if self.frontier.size:
                yield "the log's head row is missing"
            return
        if head.size != self.frontier.size:
            yield f"the head says {_shown(head.size)} entries, {self.frontier.size} are here: entries were cut off or put in"
        if head.last != self.last:
            yield "the head's hash is not that of the last entry: the last entry was changed, or the head"
        if head.frontier != self.frontier.pack():
            yield "the head's tree is not that of these entries"
        if head.checkpoint != self.newest:
            yield "the head's checkpoint is not the newest one stored"
        elif trouble := self._note_trouble(head.checkpoint, self.frontier.size) if self.frontier.size else "":
            yield f"the newest checkpoint {trouble}"
        if self.frontier.size and head.changed_at != self.last_at:
            yield "the head's moment is not that of the last entry"


def _commitments(members: Entry, content: Content) -> Iterator[str]:
    """Yield what in the payload is not what the entry commits to."""
    subjects = members["subjects"]
    try:
        root = subjects_root(content.salt, content.subjects).hex() if content.subjects else None
    except BadInput:
        root = ""
    if (subjects["count"], subjects["root"]) != (len(content.subjects), root) if subjects else bool(content.subjects):
        yield "its subjects are not those in its payload"
    if content.visit is not None and members["visit"] != visit_commitment(content.salt, content.visit.encode()).hex():
        yield "its visit is not the one in its payload"


def _text_of(at: str) -> str:
    """Return an entry's moment as the store's text: UTC, a space, six decimals."""
    return moment(at).strftime("%Y-%m-%d %H:%M:%S.%f")


def _shown(value: object) -> str:
    """Return a stored number for a message; anything else is only named, since anybody may have written it."""
    return str(value) if isinstance(value, int) else "no number"
