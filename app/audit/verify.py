"""Verifying the log where it lies: every column of every row, against chain, tree, signatures and payloads.

The walk, once over the entries, with the side tables streamed beside it:
    (1) each entry's bytes are canonical, at their place, and carry the hash of the entry before    chain
    (2) its leaf hash and query columns are those of its bytes
    (3) its payload is there, has its digest, opens under its key, and commits to subjects and visit
    (4) its touch tokens are exactly those of its subjects
    (5) each stored checkpoint is signed, and its root is that of the entries up to it              tree
    (6) the head row says where all this ends; no table holds anything more
``app/verifier.py`` is the second opinion and shares no code with this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import cast

from app.audit.chain import GENESIS
from app.audit.content import Content, unpack, visit_commitment
from app.audit.entry import entry_hash, leaf_hash, opened_bits, parse, subjects_root
from app.audit.members import Entry
from app.audit.note import Checkpoint, Verifier, open_note, parse_checkpoint, split_note
from app.audit.report import Report
from app.audit.streams import Beside, RawCheckpoint, RawEntry, RawHead, RawPayload, RawTouch, Streams, snapshot
from app.audit.tree import Frontier
from app.kernel.errors import N_, BadInput, GarduError, NotThere, Unavailable
from app.store.engine import Store

# More would not say more; the walk stops here.
MAX_FINDINGS = 50
_PROGRESS_EVERY = 500
# ``changed_at`` of a log without entries (app/audit/rows.py).
_EMPTY_AT = "1970-01-01 00:00:00.000000"
# Columns of trail_entry copied from members of the same name.
_COPIES = ("actor", "office", "action", "outcome", "scope", "purpose", "request", "mandate")


@dataclass(frozen=True, slots=True)
class StoredPayload:
    """A payload as stored, with what its entry says of it (sha256 and commitment, 32 bytes each)."""

    seq: int
    day: str
    wrapped: bytes
    sealed: bytes
    sha256: bytes
    commitment: bytes


# Returns a payload's content; raises SealBroken when it does not open, KeysDown when the key cannot be had.
OpenPayload = Callable[[StoredPayload], bytes]
# Returns the touch token of a uid.
Token = Callable[[str], bytes]


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
) -> Report:
    """Check *log* from its first entry to its head and return what was found.

    vkey: the log's verifier key. open_payload, token: None leaves what is inside payloads unchecked (their digests still are).
    progress is told (entries done, entries in all). known: signed checkpoints kept elsewhere, such as receipts; a log that was cut and
    set back to an older checkpoint of its own shows only against one of these, or a witness. Memory stays flat.

    Raises BadInput for a malformed or unsigned *vkey* or *known*, NotThere when there is nothing of this log, StoreDown or KeysDown
    when it could not be checked.
    """
    verifier = Verifier.parse(vkey)
    marks = [_known(note, log, verifier) for note in known]
    with snapshot(store, log) as streams:
        return _Walk(streams, log, verifier, open_payload, token, marks).run(progress)


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
        known: list[Checkpoint],
    ) -> None:
        self._streams, self._log, self._verifier = streams, log, verifier
        self._open, self._token, self._known = open_payload, token, known
        self._report = Report(log)
        self._find = self._report.find
        self._seq = 0  # the next entry's number
        # None as soon as some entry's bytes were found wrong: what follows cannot be compared with them any more.
        self._link: bytes | None = GENESIS
        self._tree: Frontier | None = Frontier()
        self._sound = 0  # the entries below this number are borne out by a signed checkpoint
        self._newest = ""
        self._at = _EMPTY_AT
        self._counts_elements = False
        self._payloads = Beside(streams.payloads(), self._stray("trail_payload"))
        self._touches = Beside(streams.touches(), self._stray("touch_index"))
        self._checkpoints = Beside(streams.checkpoints(), self._stray("trail_checkpoint"))

    def run(self, progress: Callable[[int, int], None]) -> Report:
        """Walk, and return the report."""
        head = self._streams.head()
        total = head.size if head is not None and isinstance(head.size, int) else 0
        for row in self._streams.entries():
            self._entry(row)
            if len(self._report.findings) >= MAX_FINDINGS:
                break
            if self._seq % _PROGRESS_EVERY == 0:
                progress(self._seq, max(total, self._seq))
        else:
            self._end(head)
        self._report.size = self._seq
        if head is None and not self._seq and self._report.ok:
            raise NotThere(f"there is no entry of log {self._log}")
        progress(self._seq, self._seq)
        return self._report

    def _stray(self, table: str) -> Callable[[object], None]:
        def stray(number: object) -> None:
            seq = _entry_of(table, number)
            self._find(seq, N_("Ada baris %(tabel)s (entri %(seq)s) yang tidak disebut entri mana pun."), tabel=table)

        return stray

    # ---- (1) and (2): the entry itself ----

    def _entry(self, row: RawEntry) -> None:
        if not isinstance(row.seq, int) or row.seq < self._seq:
            self._find(None, N_("Ada baris trail_entry yang nomornya (seq) bukan nomor urut."))
            return
        if row.seq > self._seq:
            self._find(self._seq, N_("Entri %(seq)s sampai %(akhir)s hilang dari jejak."), akhir=row.seq - 1)
            self._link = self._tree = None
            self._seq = row.seq
        members = self._bytes(row)
        payloads, touches = self._payloads.at(row.seq), self._touches.at(row.seq)
        if members is not None:
            self._copied(row, members)
            content = self._payload(members, [RawPayload(*one) for one in payloads])
            self._tokens(members, content, [RawTouch(*one) for one in touches])
        self._seq = row.seq + 1
        for one in self._checkpoints.at(self._seq):
            self._checkpoint(RawCheckpoint(*one))
        for mark in self._known:
            if mark.size == self._seq and self._tree is not None and mark.root != self._tree.root():
                self._find(
                    None,
                    N_("Isi jejak sampai ukuran %(ukuran)s bukan yang dahulu ditandatangani (checkpoint dari luar)."),
                    ukuran=mark.size,
                )

    def _bytes(self, row: RawEntry) -> Entry | None:
        """Check bytes, place, link and leaf; return the members, or None when the bytes are no entry."""
        link, self._link = self._link, None
        tree, self._tree = self._tree, None
        body, leaf, seq = row.body, row.leaf, self._seq
        try:
            members = parse(body) if isinstance(body, bytes) else None
        except BadInput as wrong:
            members, named = None, wrong.field
            self._find(seq, N_("Entri %(seq)s: isinya (body) bukan entri yang sah; anggota: %(anggota)s."), anggota=named or "-")
            return None
        if members is None or not isinstance(body, bytes):
            self._find(seq, N_("Entri %(seq)s: isinya (body) bukan byte."))
            return None
        if leaf_hash(body) != leaf:
            self._find(seq, N_("Entri %(seq)s: isi (body) dan hash daunnya (leaf) tidak cocok."))
            return members
        if members["log"] != self._log or members["seq"] != seq:
            self._find(seq, N_("Entri %(seq)s: isinya menyebut tempat lain (log atau seq)."))
            return members
        self._link, self._tree = entry_hash(body), tree
        if link is not None and members["prev"] != link.hex():
            self._tree = None
            self._find(max(seq - 1, 0), N_("Entri %(seq)s dan %(lanjut)s tidak bersambung (prev): salah satunya diubah."), lanjut=seq)
        elif tree is not None:
            tree.append(leaf_hash(body))
        return members

    def _copied(self, row: RawEntry, members: Entry) -> None:
        self._at = members["at"].replace("T", " ").removesuffix("Z")
        all_members = cast("dict[str, object]", members)
        told = {name: all_members[name] for name in _COPIES} | {"at": self._at}
        # NULL: written before the column was there; never after an entry that has it.
        if row.elements is not None or self._counts_elements:
            told["elements"], self._counts_elements = opened_bits(members["fields"]), True
        for name, value in told.items():
            if getattr(row, name) != value:
                self._find(self._seq, N_("Entri %(seq)s: kolom %(kolom)s tidak sama dengan isi entri."), kolom=name)

    # ---- (3) and (4): what stands beside it ----

    def _payload(self, members: Entry, rows: list[RawPayload]) -> Content | None:
        """Check the payload's row; return its content when it could be opened and bears out the entry."""
        mark, seq = members["payload"], self._seq
        if mark is None or not rows:
            if mark is not None:
                self._find(seq, N_("Entri %(seq)s: muatannya (trail_payload) hilang."))
            elif rows:
                self._find(seq, N_("Entri %(seq)s: ada muatan (trail_payload) yang tidak disebut entrinya."))
            return None
        row = rows[0]
        if not (isinstance(row.day, str) and isinstance(row.wrapped, bytes) and isinstance(row.sealed, bytes) and row.day.isascii()):
            self._find(seq, N_("Entri %(seq)s: kolom muatan (trail_payload) bukan jenis yang semestinya."))
            return None
        digest = sha256(row.sealed).digest()
        if digest.hex() != mark["sha256"]:
            self._find(seq, N_("Entri %(seq)s: muatan tersegel (sealed) tidak cocok dengan sidik di entri."))
            return None
        if self._open is None:
            return None
        stored = StoredPayload(seq, row.day, row.wrapped, row.sealed, digest, bytes.fromhex(mark["commitment"]))
        return self._opened(self._open, stored, members)

    def _opened(self, open_payload: OpenPayload, stored: StoredPayload, members: Entry) -> Content | None:
        try:
            content = unpack(open_payload(stored))
            borne_out = _bears_out(content, members)
        except Unavailable:
            raise
        except (GarduError, ValueError):
            self._find(stored.seq, N_("Entri %(seq)s: muatan tidak dapat dibuka dengan kuncinya (day, wrapped, atau komitmen berubah)."))
            return None
        if not borne_out:
            self._find(stored.seq, N_("Entri %(seq)s: isi muatan tidak cocok dengan subjek atau kunjungan di entri."))
            return None
        return content

    def _tokens(self, members: Entry, content: Content | None, rows: list[RawTouch]) -> None:
        found = [row.token for row in rows]
        if content is not None and self._token is not None:
            same = set(found) == {self._token(uid) for uid in content.subjects}
        else:
            subjects = members["subjects"]
            same = len(found) == (subjects["count"] if subjects and members["payload"] else 0)
        if not same:
            self._find(self._seq, N_("Entri %(seq)s: indeks sentuhan (touch_index) tidak sama dengan subjek entri."))

    # ---- (5) and (6): what is signed, and where it ends ----

    def _checkpoint(self, row: RawCheckpoint) -> None:
        seq, note = self._seq - 1, row.note
        try:
            mark = self._signed(note)
        except GarduError:
            self._find(seq, N_("Entri %(seq)s: checkpoint ukuran %(ukuran)s bukan catatan yang sah dari kunci log ini."), ukuran=self._seq)
            return
        if (mark.origin, mark.size, mark.extension) != (self._log, self._seq, ""):
            self._find(seq, N_("Entri %(seq)s: checkpoint ukuran %(ukuran)s menyebut log atau ukuran lain."), ukuran=self._seq)
            return
        self._newest = str(note)
        if self._tree is None:
            return
        if mark.root == self._tree.root():
            self._sound = self._seq
            return
        self._tree = None
        self._find(
            self._sound,
            N_("Entri %(seq)s sampai %(akhir)s: sedikitnya satu diubah; akar pohonnya bukan yang ditandatangani."),
            akhir=seq,
        )

    def _signed(self, note: object) -> Checkpoint:
        """Return the checkpoint of a note that has our signature and nothing else. Raises GarduError."""
        if not isinstance(note, str):
            raise BadInput("checkpoint: not text")
        opened = open_note(note, [self._verifier])
        if opened.unknown or len(split_note(note)[1]) != 1:
            raise BadInput("checkpoint: more than one signature")
        return parse_checkpoint(opened.text)

    def _end(self, head: RawHead | None) -> None:
        for table in (self._payloads, self._touches, self._checkpoints):
            table.rest(MAX_FINDINGS)
        last = self._seq - 1 if self._seq else None
        if head is None:
            if self._seq:
                self._find(last, N_("Baris trail_head tidak ada, padahal entri terakhir adalah %(seq)s."))
        elif head.size != self._seq:
            self._short(head)
        else:
            self._head(head, last)
        for mark in self._known:
            if mark.size > self._seq:
                message = N_("Jejak terpotong mulai entri %(seq)s: checkpoint dari luar menyebut %(ukuran)s entri.")
                self._find(self._seq, message, ukuran=mark.size)
        for stranger in self._streams.strangers():
            seq = _entry_of(stranger.table, stranger.number)
            self._find(seq, N_("Ada baris %(tabel)s milik log lain (nomor %(seq)s)."), tabel=stranger.table)

    def _short(self, head: RawHead) -> None:
        if isinstance(head.size, int) and head.size > self._seq:
            self._find(self._seq, N_("Entri %(seq)s sampai %(akhir)s hilang dari ujung jejak."), akhir=head.size - 1)
        else:
            message = N_("Kolom size di trail_head tidak sama dengan jumlah entri; entri terakhir adalah %(seq)s.")
            self._find(self._seq - 1 if self._seq else None, message)

    def _head(self, head: RawHead, last: int | None) -> None:
        told: dict[str, object] = {"checkpoint": self._newest, "changed_at": self._at}
        if self._link is not None:
            told["last"] = self._link
        if self._tree is not None:
            told["frontier"] = self._tree.pack()
        for name, value in told.items():
            if getattr(head, name) != value:
                message = N_("Kolom %(kolom)s di trail_head tidak sama dengan ujung jejak (entri %(seq)s).")
                self._find(last, message, kolom=name)
        self._report.checkpoint = head.checkpoint if isinstance(head.checkpoint, str) else ""


def _entry_of(table: str, number: object) -> int | None:
    """Return the entry that a row numbered *number* belongs to: a checkpoint's or head's size is one more than its last entry."""
    if not isinstance(number, int):
        return None
    return number - 1 if table in {"trail_checkpoint", "trail_head"} else number


def _bears_out(content: Content, members: Entry) -> bool:
    """Say whether the payload's salt, subjects and visit are those the entry commits to."""
    subjects, visit = members["subjects"], members["visit"]
    if (subjects["count"] if subjects else 0) != len(content.subjects):
        return False
    if subjects and subjects_root(content.salt, content.subjects).hex() != subjects["root"]:
        return False
    return content.visit is None or visit is None or visit_commitment(content.salt, content.visit.encode("utf-8")).hex() == visit
