"""Appending to the log, the only way there is.

Group commit: callers queue; one thread per process takes what waits, locks the head row once, numbers, hashes, inserts, signs,
commits once, and wakes the callers. A caller that returns with a receipt has its entry on disk; any other outcome is TrailDown, and
then nothing may leave. Never a lock per entry: with 64 callers that costs an order of magnitude (docs/log-format.md).
"""

from __future__ import annotations

import os
import re
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import exists, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.audit import rows
from app.audit.chain import Head, Placed
from app.audit.entry import Draft, Unplaced, prepare
from app.audit.note import Signer
from app.audit.rows import Row
from app.audit.tables import TrailEntry
from app.kernel.errors import BadInput, GarduError, TrailDown, UnsafeStart
from app.kernel.payload import SealedPayload
from app.store.engine import Store

# audit.md, "Appending": what one transaction takes at most, so that a waiting caller's time is bounded.
MAX_BATCH = 512
# Less than a commit takes with an fsync on common disks, and far below the 20 ms that a caller may wait (bench.md, B3).
GATHER_SECONDS = 0.002
# A caller waits longer than the store waits for a lock (20 s), then gives up: 503 is better than a request that hangs.
WAIT_SECONDS = 30.0
# `<host>/gardu/<n>`: a schema-less URL without space or plus, as C2SP tlog-checkpoint recommends for an origin.
_ORIGIN = re.compile(r"[!-*,-~]{1,255}", re.ASCII)

# Called with the name of each point passed: queued, locked, inserted, signed, committed, woken.
Faults = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof for the caller that an entry is in the log. checkpoint: the signed note that covers *seq*."""

    log: str
    seq: int
    leaf: bytes
    checkpoint: str


def _no_fault(_point: str) -> None:
    """Do nothing; tests pass something that dies here."""


class _Ticket:
    """One waiting caller: what to append, a latch, and what became of it."""

    __slots__ = ("draft", "latch", "payload", "receipt", "trouble")

    def __init__(self, draft: Draft, payload: SealedPayload | None) -> None:
        self.draft, self.payload = draft, payload
        self.receipt: Receipt | None = None
        self.trouble = "the appender stopped"
        self.latch = threading.Lock()  # a bare lock wakes faster than an Event, which is a lock, a condition and a flag
        self.latch.acquire()

    def settle(self, receipt: Receipt | None, trouble: str = "") -> None:
        self.receipt, self.trouble = receipt, trouble
        self.latch.release()


class _Desk:
    """The queue between callers and the appender thread of one process."""

    def __init__(self) -> None:
        self.waiting: deque[_Ticket] = deque()
        self.changed = threading.Condition(threading.Lock())
        self.thread: threading.Thread | None = None
        self.closed = False
        self.wanted = 1  # wake the thread when so many wait
        self.taken = 0
        self.crowd = 1

    def put(self, ticket: _Ticket, work: Callable[[_Desk], None]) -> None:
        """Queue *ticket*, starting the thread when there is none. Raises TrailDown after close."""
        with self.changed:
            if self.closed:
                raise TrailDown("the trail is closed")
            if self.thread is None or not self.thread.is_alive():
                self.thread = threading.Thread(target=work, args=(self,), name="gardu-trail", daemon=True)
                self.thread.start()
            self.waiting.append(ticket)
            if len(self.waiting) == self.wanted:
                self.changed.notify()

    def take(self, gather: float) -> list[_Ticket]:
        """Wait for callers and return up to MAX_BATCH of them; an empty list when closed and drained.

        Callers that were just served tend to come back at once: with the first one here, wait up to *gather* seconds for as many as
        were served or left waiting last time, else every second transaction would carry only the few quickest.
        """
        with self.changed:
            self.wanted = 1
            while not self.waiting and not self.closed:
                self.changed.wait()
            self.wanted = min(self.crowd, MAX_BATCH)
            if len(self.waiting) < self.wanted and not self.closed:
                self.changed.wait(gather)
            batch = [self.waiting.popleft() for _ in range(min(len(self.waiting), MAX_BATCH))]
            self.taken = len(batch)
            return batch

    def served(self) -> None:
        """Note how many callers there seem to be: those just served and those that came meanwhile."""
        self.crowd = self.taken + len(self.waiting)


class Trail:
    """The log *origin* in *store*, signed by *signer* (whose name must be the origin).

    Safe to use from many threads and several processes. faults: called at each named point, for tests that kill there. Raises
    UnsafeStart for an origin that is not printable ASCII without space or plus, or a signer of another name.
    """

    def __init__(self, store: Store, origin: str, signer: Signer, *, faults: Faults = _no_fault) -> None:
        if not _ORIGIN.fullmatch(origin):
            raise UnsafeStart("the log's origin must be 1 to 255 printable ASCII characters without space or plus, e.g. kpu.go.id/gardu/1")
        if signer.name != origin:
            raise UnsafeStart("the log's signing key must be named after the log's origin (C2SP tlog-checkpoint)")
        self._store, self._origin, self._signer, self._faults = store, origin, signer, faults
        self._desk = _Desk()
        # The head row as this process last checked or wrote it; a row equal to it needs no second check.
        self._known: tuple[int, bytes, bytes, str] | None = None
        mine = weakref.WeakMethod(self._forked)
        os.register_at_fork(after_in_child=lambda: (method := mine()) and method())

    @property
    def vkey(self) -> str:
        """The log's verifier key (C2SP signed-note), which outsiders check checkpoints with."""
        return self._signer.vkey

    def append(self, draft: Draft, payload: SealedPayload | None = None) -> Receipt:
        """Append in a transaction of its own and return once it is durable.

        Raises TrailDown when the entry is not known to be durable, and at once when *draft* itself cannot be written; then nothing
        may be shown. Must not be called while the caller holds an open writing transaction: use ``append_within`` there.
        """
        ticket = _Ticket(draft, payload)
        self._desk.put(ticket, self._serve)
        self._faults("queued")
        if not ticket.latch.acquire(timeout=WAIT_SECONDS):
            raise TrailDown(f"the log did not answer within {WAIT_SECONDS:.0f} s; the entry may or may not be in it")
        if ticket.receipt is None:
            raise TrailDown(ticket.trouble)
        self._faults("woken")
        return ticket.receipt

    def append_within(self, session: Session, draft: Draft, payload: SealedPayload | None = None) -> Receipt:
        """Append inside the caller's open ``writing()`` transaction, as the last thing before its commit.

        The receipt holds only once that commit has succeeded: release it to nobody before; after a commit whose outcome is unknown
        ask ``holds``. On TrailDown the session was rolled back, so that a change without its entry cannot be committed.
        """
        row = self._row(draft, payload)
        try:
            session.flush()
            return self._write(session, [row])[0]
        except Exception as error:
            session.rollback()
            raise TrailDown(_words(error)) from None

    def holds(self, receipt: Receipt) -> bool:
        """Say whether the entry of *receipt* is in the log, waiting first for any append still under way.

        Raises TrailDown when the database does not answer: then it is not known.
        """
        try:
            with self._store.writing() as session:
                rows.lock(session, self._origin)
                found = select(
                    exists().where(TrailEntry.log == receipt.log, TrailEntry.seq == receipt.seq, TrailEntry.leaf == receipt.leaf)
                )
                return bool(session.execute(found).scalar_one())
        except Exception as error:
            raise TrailDown(_words(error)) from None

    def close(self) -> None:
        """Finish what waits and stop the thread; later appends raise TrailDown."""
        desk = self._desk
        with desk.changed:
            desk.closed = True
            desk.changed.notify()
        if desk.thread is not None:
            desk.thread.join(WAIT_SECONDS)

    # ---- the appender thread ----

    def _serve(self, desk: _Desk) -> None:
        while batch := desk.take(GATHER_SECONDS):
            tickets, batch_rows = self._serialise(batch)
            try:
                receipts = self._commit(batch_rows) if batch_rows else []
            except Exception as error:  # whatever it was, these callers must hear that their entries are not known to stand
                trouble = _words(error)
                for ticket in tickets:
                    ticket.settle(None, trouble)
            else:
                desk.served()
                for ticket, receipt in zip(tickets, receipts, strict=True):
                    ticket.settle(receipt)

    def _serialise(self, batch: list[_Ticket]) -> tuple[list[_Ticket], list[Row]]:
        """Make rows of what waits; one that cannot be an entry fails alone.

        Done here, not by the callers: in one go it takes half the time that it takes spread over threads which pass the GIL around.
        """
        tickets, batch_rows = [], []
        for ticket in batch:
            try:
                batch_rows.append(self._row(ticket.draft, ticket.payload))
                tickets.append(ticket)
            except Exception as error:
                ticket.settle(None, _words(error))
        return tickets, batch_rows

    def _commit(self, batch: Sequence[Row]) -> list[Receipt]:
        receipts: list[Receipt] = []
        try:
            with self._store.writing() as session:
                receipts = self._write(session, batch)
            # If we die before this line nobody has a receipt; the entries stand or not, whole batches only.
            self._faults("committed")
        except Exception:
            # No receipts: it failed before COMMIT, and was rolled back. Otherwise the COMMIT's outcome is unknown: its last entry,
            # whose leaf commits to request, place and all entries before, is looked up under the head lock.
            if not receipts or not self.holds(receipts[-1]):
                raise
        return receipts

    def _write(self, session: Session, batch: Sequence[Row]) -> list[Receipt]:
        """Place, insert and sign *batch* in the open transaction of *session*."""
        head, newest = rows.lock(session, self._origin)
        self._check_head(session, head, newest)
        self._faults("locked")
        placed: list[Placed] = [head.place(row.entry) for row in batch]
        rows.insert_batch(session, self._origin, batch, placed)
        self._faults("inserted")
        checkpoint = self._signer.sign(head.checkpoint().text())
        rows.advance(session, head, checkpoint, batch[-1].at)
        self._known = (head.size, head.last, head.frontier.pack(), checkpoint)
        self._faults("signed")
        return [Receipt(self._origin, one.seq, one.leaf, checkpoint) for one in placed]

    def _check_head(self, session: Session, head: Head, newest: str) -> None:
        """Refuse to extend a head row that its own signed checkpoint and last entry do not bear out.

        Whoever edits the row, without the key, could otherwise make us sign a tree that contradicts what was signed before.
        """
        if head.size and self._known != (head.size, head.last, head.frontier.pack(), newest):
            rows.check_head(session, head, newest, self._signer.verifier)

    def _row(self, draft: Draft, payload: SealedPayload | None) -> Row:
        try:
            entry: Unplaced = prepare(draft, payload, log=self._origin)
        except BadInput as wrong:
            raise TrailDown(wrong.detail) from None
        return Row(entry, draft, payload)

    def _forked(self) -> None:
        """In a child process: the parent's thread, locks and connections are not ours; start afresh."""
        self._desk = _Desk()
        self._inherited = self._store.engine.pool  # kept, or its collection would close what the parent still uses
        self._store.engine.dispose(close=False)


def _words(error: Exception) -> str:
    """Return an error for operators: what kind, and the driver's first line, never a statement's parameters."""
    if isinstance(error, GarduError):
        return error.detail or error.code
    said = error.orig if isinstance(error, DBAPIError) else error
    return f"{type(error).__name__}: {str(said).partition(chr(10))[0]}"
