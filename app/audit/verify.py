"""Verifying the log where it lies: every column of every row, against chain, tree, signatures and payloads.

The walk, once over the entries, with the side tables streamed beside it:
    (1) each entry's bytes are canonical, at their place, and carry the hash of the entry before    chain
    (2) its leaf hash and query columns are those of its bytes
    (3) its payload is there, has its digest, opens under its key, and commits to subjects and visit;
        or a later entry erased exactly this one                                                    inside
    (4) its touch tokens are exactly those of its subjects
    (5) each stored checkpoint is signed, and its root is that of the entries up to it; so is each
        published one; cosignatures and time stamps belong to one                                   marks
    (6) each stored tile is made of these leaves                                                    tilecheck
    (7) the head row says where all this ends; no table holds anything more
A pruned log begins at its minimum, with the checkpoint logged there; a log opened after a restore begins with the entry that says so.
``app/verifier.py`` is the second opinion and shares no code with this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from operator import itemgetter

from app.audit.cosign import CosignVerifier
from app.audit.entry import entry_hash, leaf_hash, opened_bits, parse
from app.audit.family import number_of
from app.audit.inside import Inside, OpenPayload, StoredPayload, Token
from app.audit.marks import Marks, Strayed
from app.audit.members import Entry
from app.audit.note import Checkpoint, Verifier, open_note, parse_checkpoint
from app.audit.place import UNNAMED, Minima, Place
from app.audit.pruning import DETAIL as PRUNE_DETAIL
from app.audit.published import HALT, RESUME
from app.audit.report import Report
from app.audit.streams import RawEntry, RawHead, Streams, snapshot
from app.audit.tilecheck import TileCheck
from app.kernel.errors import N_, BadInput, GarduError, NotThere
from app.kernel.fields import Action, Outcome
from app.store.engine import Store

__all__ = ["MAX_FINDINGS", "OpenPayload", "StoredPayload", "Token", "verify"]

# More would not say more; the walk stops here.
MAX_FINDINGS = 50
_PROGRESS_EVERY = 500
# ``changed_at`` of a log without entries (app/audit/rows.py).
_EMPTY_AT = "1970-01-01 00:00:00.000000"
# Columns of trail_entry copied from members: the moment, then members of the same name, then the elements' bits.
_AT = RawEntry._fields.index("at")
_COPIED = itemgetter(*RawEntry._fields[_AT + 1 : -1])


def _quiet(_done: int, _total: int) -> None:
    """Report progress to nobody."""


def verify(
    store: Store,
    log: str,
    vkey: str,
    *,
    open_payload: OpenPayload | None = None,
    token: Token | None = None,
    progress: Callable[[int, int], None] = _quiet,
    known: Iterable[str] = (),
    witnesses: Iterable[CosignVerifier] = (),
) -> Report:
    """Check *log* from its first entry to its head and return what was found.

    vkey: the log's verifier key. open_payload, token: None leaves what is inside payloads unchecked (their digests still are).
    progress is told (entries done, entries in all). known: signed checkpoints kept elsewhere, such as receipts; a log that was cut and
    set back to an older checkpoint of its own shows only against one of these, or a witness. witnesses: keys whose cosignatures are
    checked; of others only the form is. Rows of another log of the same guard are that log's own affair. Memory stays flat.

    Raises BadInput for a malformed or unsigned *vkey* or *known*, NotThere when there is nothing of this log, StoreDown or KeysDown
    when it could not be checked.
    """
    verifier = Verifier.parse(vkey)
    marks = [_known(note, log, verifier) for note in known]
    with snapshot(store, log) as streams:
        return _Walk(streams, log, verifier, open_payload, token, tuple(witnesses), marks).run(progress)


def _known(note: str, log: str, verifier: Verifier) -> Checkpoint:
    try:
        mark = parse_checkpoint(open_note(note, [verifier]).text)
    except GarduError as wrong:
        raise BadInput(f"known checkpoint: {wrong.detail}", field="known") from None
    if mark.origin != log:
        raise BadInput("known checkpoint: of another log", field="known")
    return mark


class _Walk:
    """One pass over the log."""

    def __init__(
        self,
        streams: Streams,
        log: str,
        verifier: Verifier,
        open_payload: OpenPayload | None,
        token: Token | None,
        witnesses: tuple[CosignVerifier, ...],
        known: list[Checkpoint],
    ) -> None:
        self._streams, self._log = streams, log
        self._report = Report(log)
        self._find = self._report.find
        self._place = Place(log, self._report)
        self._minima = Minima(streams, self._place, verifier)
        self._inside = Inside(streams, self._place, open_payload, token, lambda table: Strayed(self._place, table, of_entry=True))
        self._marks = Marks(streams, self._place, verifier, witnesses, known)
        self._tiles = TileCheck(streams, self._place)
        self._kin = streams.kin()
        self._at = _EMPTY_AT
        # SHA-256 (hex) of the reason of every lift that an entry speaks of.
        self._resumed: set[str] = set()
        self._counts_elements = False

    def run(self, progress: Callable[[int, int], None]) -> Report:
        """Walk, and return the report."""
        head, place = self._streams.head(), self._place
        total = head.size if head is not None and isinstance(head.size, int) else 0
        for row in self._streams.entries():
            self._entry(row)
            if len(self._report.findings) >= MAX_FINDINGS:
                break
            if place.seq % _PROGRESS_EVERY == 0:
                progress(place.seq, max(total, place.seq))
        else:
            self._end(head)
        self._report.size = place.seq
        if head is None and not place.seq and self._report.ok:
            raise NotThere(f"there is no entry of log {self._log}")
        progress(place.seq, place.seq)
        return self._report

    # ---- (1) and (2): the entry itself ----

    def _entry(self, row: RawEntry) -> None:
        place = self._place
        if not isinstance(row.seq, int) or row.seq < place.seq:
            self._find(None, N_("Ada baris trail_entry yang nomornya (seq) bukan nomor urut."))
            return
        if row.seq > place.seq:
            self._find(place.seq, N_("Entri %(seq)s sampai %(akhir)s hilang dari jejak."), akhir=row.seq - 1)
            place.link = place.tree = None
            place.seq = row.seq
        members = self._bytes(row)
        if members is not None:
            self._copied(row, members)
            self._opens_and_cuts(members)
        self._inside.at(members)
        place.seq = row.seq + 1
        self._marks.at()

    def _bytes(self, row: RawEntry) -> Entry | None:
        """Check bytes, place, link and leaf; return the members, or None when the bytes are no entry."""
        place = self._place
        link, place.link = place.link, None
        tree, place.tree = place.tree, None
        body, seq = row.body, place.seq
        try:
            members = parse(body) if isinstance(body, bytes) else None
        except BadInput as wrong:
            members, named = None, wrong.field
            self._find(seq, N_("Entri %(seq)s: isinya (body) bukan entri yang sah; anggota: %(anggota)s."), anggota=named or "-")
            return None
        if members is None or not isinstance(body, bytes):
            self._find(seq, N_("Entri %(seq)s: isinya (body) bukan byte."))
            return None
        leaf = leaf_hash(body)
        if leaf != row.leaf:
            self._find(seq, N_("Entri %(seq)s: isi (body) dan hash daunnya (leaf) tidak cocok."))
            return members
        if members["log"] != self._log or members["seq"] != seq:
            self._find(seq, N_("Entri %(seq)s: isinya menyebut tempat lain (log atau seq)."))
            return members
        place.link, place.tree = entry_hash(body), tree
        if link is not None and members["prev"] != link.hex():
            place.tree = None
            self._find(max(seq - 1, 0), N_("Entri %(seq)s dan %(lanjut)s tidak bersambung (prev): salah satunya diubah."), lanjut=seq)
        elif tree is not None:
            tree.append(leaf)
            self._tiles.add(leaf)
        return members

    def _copied(self, row: RawEntry, members: Entry) -> None:
        self._at = members["at"].replace("T", " ").removesuffix("Z")
        told = (self._at, *_COPIED(members))
        # NULL: written before the column was there; never after an entry that has it.
        if row.elements is not None or self._counts_elements:
            told, self._counts_elements = (*told, opened_bits(members["fields"])), True
        if row[_AT : _AT + len(told)] == told:
            return
        for name, value in zip(RawEntry._fields[_AT:], told, strict=False):
            if getattr(row, name) != value:
                self._find(self._place.seq, N_("Entri %(seq)s: kolom %(kolom)s tidak sama dengan isi entri."), kolom=name)

    def _opens_and_cuts(self, members: Entry) -> None:
        """Check what an entry says about where the log begins."""
        seq, said = self._place.seq, (members["action"], members["outcome"])
        if seq == 0 and said != (Action.TRAIL_REOPEN, Outcome.DONE) and any(number_of(one) < number_of(self._log) for one in self._kin):
            self._find(0, N_("Entri %(seq)s bukan pembukaan jejak baru (trail:reopen), padahal ada jejak sebelumnya."))
        detail = members["detail"]
        if said == (Action.WITNESS_CHANGE, Outcome.DONE) and detail and detail["type"] == RESUME:
            self._resumed.add(detail["sha256"])
        if said == (Action.TRAIL_PRUNE, Outcome.DONE) and not (
            detail and detail["type"] == PRUNE_DETAIL and self._minima.named(seq, detail["sha256"])
        ):
            self._find(seq, UNNAMED)

    # ---- (7): where it ends ----

    def _end(self, head: RawHead | None) -> None:
        place = self._place
        self._inside.rest(MAX_FINDINGS)
        if place.tree is not None:
            self._tiles.rest(MAX_FINDINGS)
        last = place.seq - 1 if place.seq else None
        if head is None:
            if place.seq:
                self._find(last, N_("Baris trail_head tidak ada, padahal entri terakhir adalah %(seq)s."))
        elif head.size != place.seq:
            self._short(head)
        else:
            self._head(head, last)
        self._marks.rest(MAX_FINDINGS)
        self._minima.rest()
        # A log that was opened anew stands still for good; its successor says why.
        if self._streams.halt() == HALT and not any(number_of(one) > number_of(self._log) for one in self._kin):
            self._find(None, N_("Jejak ini dihentikan: pihak luar pernah melihat jejak yang lebih panjang atau lain (trail_halt)."))
        # Of a log that was pruned the entry may be gone with what it spoke of.
        for reason in () if self._report.minimum else self._streams.lifts():
            if not isinstance(reason, str) or sha256(reason.encode("utf-8", "surrogateescape")).hexdigest() not in self._resumed:
                self._find(None, N_("Penghentian jejak dicabut oleh baris trail_halt yang tidak disebut entri mana pun."))
        for stranger in self._streams.strangers(self._kin):
            seq = _entry_of(stranger.table, stranger.number)
            self._find(seq, N_("Ada baris %(tabel)s milik log lain (nomor %(seq)s)."), tabel=stranger.table)

    def _short(self, head: RawHead) -> None:
        seq = self._place.seq
        if isinstance(head.size, int) and head.size > seq:
            self._find(seq, N_("Entri %(seq)s sampai %(akhir)s hilang dari ujung jejak."), akhir=head.size - 1)
        else:
            self._find(
                seq - 1 if seq else None, N_("Kolom size di trail_head tidak sama dengan jumlah entri; entri terakhir adalah %(seq)s.")
            )

    def _head(self, head: RawHead, last: int | None) -> None:
        place = self._place
        told: dict[str, object] = {"checkpoint": self._marks.newest, "changed_at": self._at}
        if place.link is not None:
            told["last"] = place.link
        if place.tree is not None:
            told["frontier"] = place.tree.pack()
        for name, value in told.items():
            if getattr(head, name) != value:
                message = N_("Kolom %(kolom)s di trail_head tidak sama dengan ujung jejak (entri %(seq)s).")
                self._find(last, message, kolom=name)
        self._report.checkpoint = head.checkpoint if isinstance(head.checkpoint, str) else ""


def _entry_of(table: str, number: object) -> int | None:
    """Return the entry that a row numbered *number* belongs to: a size is one more than its last entry; a tile belongs to many."""
    if not isinstance(number, int) or table == "trail_tile":
        return None
    return number if table in {"trail_entry", "trail_payload", "touch_index", "payload_erasure", "trail_minimum"} else number - 1
