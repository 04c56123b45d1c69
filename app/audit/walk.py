"""One pass over the log, or over a range of it. For ``audit.verify``, which says what is checked.

A range begins with a seam: what the walk over everything before it would have brought along. Somebody else claims it; who walks the range
before proves it, or does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from operator import itemgetter

from app.audit.cosign import CosignVerifier
from app.audit.entry import entry_hash, leaf_hash, opened_bits, parse
from app.audit.family import number_of
from app.audit.inside import Inside, OpenPayload, Token
from app.audit.marks import Marks, Strayed
from app.audit.members import Entry
from app.audit.note import Checkpoint, Verifier
from app.audit.place import UNNAMED, Minima, Place
from app.audit.pruning import DETAIL as PRUNE_DETAIL
from app.audit.published import HALT, RESUME
from app.audit.report import Report
from app.audit.streams import RawEntry, RawHead, Streams
from app.audit.tilecheck import TileCheck
from app.audit.tree import Frontier
from app.kernel.errors import N_, BadInput, NotThere
from app.kernel.fields import Action, Outcome

# More would not say more; the walk stops here.
MAX_FINDINGS = 50
_PROGRESS_EVERY = 500
# ``changed_at`` of a log without entries (app/audit/rows.py).
_EMPTY_AT = "1970-01-01 00:00:00.000000"
# Columns of trail_entry copied from members: the moment, then members of the same name, then the elements' bits.
_AT = RawEntry._fields.index("at")
_COPIED = itemgetter(*RawEntry._fields[_AT + 1 : -1])


@dataclass(frozen=True, slots=True)
class Known:
    """What is checked with. open_payload, token, witnesses: as in ``verify``. marks: checkpoints kept elsewhere."""

    verifier: Verifier
    open_payload: OpenPayload | None = None
    token: Token | None = None
    witnesses: tuple[CosignVerifier, ...] = ()
    marks: tuple[Checkpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Seam:
    """What a walk has in hand before entry *at*, a multiple of 256.

    link: SHA-256 of entry *at* - 1. filling: for each level of tiles the hashes of the one that is not full.
    """

    at: int
    link: bytes
    filling: tuple[tuple[bytes, ...], ...]

    def tree(self) -> Frontier:
        """Return the tree of *at* leaves. Raises ValueError when *filling* is not that of such a tree."""
        hashes: list[bytes] = []
        for level in self.filling:
            part = Frontier()
            for one in level:
                part.append(one)
            hashes = part.hashes + hashes
        return Frontier(self.at, hashes)


@dataclass(frozen=True, slots=True)
class Walked:
    """What a sound range hands on. seam: where it ended.

    newest: its last checkpoint, "" when it has none. resumed, minima: what its entries speak of. counts, uncounted: whether an entry has its
    elements counted, and whether one before that has not.
    """

    seam: Seam
    newest: str
    resumed: frozenset[str]
    minima: frozenset[object]
    counts: bool
    uncounted: bool


class Walk:
    """One pass over what *streams* hold of *log*. seam: where it begins; None: where the log does."""

    def __init__(self, streams: Streams, log: str, known: Known, seam: Seam | None = None) -> None:
        self._streams, self._log = streams, log
        self._report = Report(log)
        self._find = self._report.find
        self._place = Place(log, self._report)
        self._minima = Minima(streams, self._place, known.verifier)
        if seam is not None:
            self._place.seq, self._place.link, self._place.tree = seam.at, seam.link, seam.tree()
        self._inside = Inside(
            streams, self._place, known.open_payload, known.token, lambda table: Strayed(self._place, table, of_entry=True)
        )
        self._marks = Marks(streams, self._place, known.verifier, known.witnesses, known.marks)
        self._tiles = TileCheck(streams, self._place, seam.filling if seam is not None else None)
        self._kin = streams.kin()
        self._at = _EMPTY_AT
        # SHA-256 (hex) of the reason of every lift that an entry speaks of.
        self._resumed: set[str] = set()
        self._counts_elements = self._uncounted = False

    def run(self, progress: Callable[[int, int], None]) -> Report:
        """Walk to the end of the log, and return the report. progress: told (entries done, entries in all)."""
        head, place = self._streams.head(), self._place
        total = head.size if head is not None and isinstance(head.size, int) else 0
        if self._pass(lambda: progress(place.seq, max(total, place.seq)), MAX_FINDINGS):
            self._end(head)
        self._report.size = place.seq
        if head is None and not place.seq and self._report.ok:
            raise NotThere(f"there is no entry of log {self._log}")
        progress(place.seq, place.seq)
        return self._report

    def part(self, end: int, said: Callable[[int], None]) -> Walked | None:
        """Walk up to entry *end*, the border of the streams, and return what is handed on; None as soon as anything was found.

        said: told the entry that is next, now and then.
        """
        place, report = self._place, self._report
        if not self._pass(lambda: said(place.seq), 1) or place.seq != end:
            return None
        self._inside.rest(1)
        self._tiles.rest(1)
        self._marks.strays(1)
        filling = self._tiles.filling
        if not report.ok or place.link is None or place.tree is None or filling is None:
            return None
        seam = Seam(end, place.link, filling)
        if seam.tree().hashes != place.tree.hashes:
            return None
        resumed, minima = frozenset(self._resumed), frozenset(self._minima.seen)
        return Walked(seam, self._marks.newest, resumed, minima, self._counts_elements, self._uncounted)

    def take_over(self, parts: Iterable[Walked]) -> bool:
        """Go on from *parts*, sound ranges one after another that end where this walk begins; say whether they go together."""
        whole = True
        for part in parts:
            # As within a range: an entry's elements are counted from some entry on.
            whole = whole and not (self._counts_elements and part.uncounted)
            self._counts_elements = self._counts_elements or part.counts
            self._marks.newest = part.newest or self._marks.newest
            self._resumed |= part.resumed
            self._minima.seen |= part.minima
        return whole

    def _pass(self, said: Callable[[], None], most: int) -> bool:
        """Take every entry of the streams; return False when it stopped at *most* findings."""
        place, findings = self._place, self._report.findings
        for row in self._streams.entries():
            self._entry(row)
            if len(findings) >= most:
                return False
            if place.seq % _PROGRESS_EVERY == 0:
                said()
        return True

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
        else:
            self._uncounted = True
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
