"""Verifying what stands beside an entry: its sealed payload, its touch tokens, and that a payload was erased only where an entry says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby

from app.audit.content import Content, unpack, visit_commitment
from app.audit.entry import parse, subjects_root
from app.audit.erasure import DETAIL, opening
from app.audit.family import are_kin, number_of
from app.audit.members import Entry
from app.audit.place import Place
from app.audit.streams import Beside, RawErasure, RawNamed, RawPayload, RawTouch, Streams
from app.kernel.errors import N_, BadInput, GarduError, Unavailable
from app.kernel.fields import Action, Outcome


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
# Returns what is told of a row of a table that no entry asks for.
Strays = Callable[[str], Callable[[object], None]]
_UNBACKED = N_("Entri %(seq)s: penghapusan muatannya (payload_erasure) tidak disebut entri payload:erase mana pun.")
_OTHERS = N_("Entri %(seq)s: muatan yang dihapus (payload_erasure) bukan yang disebut entri ini.")


class Inside:
    """The side tables of payloads, streamed beside the walk."""

    def __init__(self, streams: Streams, place: Place, open_payload: OpenPayload | None, token: Token | None, strays: Strays) -> None:
        self._streams, self._place, self._find = streams, place, place.find
        self._open, self._token = open_payload, token
        self._payloads = Beside(streams.payloads(), strays("trail_payload"))
        self._touches = Beside(streams.touches(), strays("touch_index"))
        self._erasures = Beside(streams.erasures(place.start), strays("payload_erasure"))

    def at(self, members: Entry | None) -> None:
        """Check what belongs to the entry at this place; *members* is None when its bytes are no entry."""
        seq = self._place.seq
        payloads = [RawPayload(*one) for one in self._payloads.at(seq)]
        touches = [RawTouch(*one) for one in self._touches.at(seq)]
        erasures = [RawErasure(*one) for one in self._erasures.at(seq)]
        if members is None:
            return
        if erasures:
            self._erased(members, erasures[0], payloads, touches)
        else:
            self._tokens(members, self._payload(members, payloads), touches)
        if (members["action"], members["outcome"]) == (Action.PAYLOAD_ERASE, Outcome.DONE):
            self._erases(members)

    def rest(self, limit: int) -> None:
        """Find up to *limit* rows of each table that no entry asks for."""
        for table in (self._payloads, self._touches, self._erasures):
            table.rest(limit)

    # ---- a payload that is there ----

    def _payload(self, members: Entry, rows: list[RawPayload]) -> Content | None:
        """Check the payload's row; return its content when it could be opened and bears out the entry."""
        mark, seq = members["payload"], self._place.seq
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
            self._find(self._place.seq, N_("Entri %(seq)s: indeks sentuhan (touch_index) tidak sama dengan subjek entri."))

    # ---- a payload that was erased ----

    def _erased(self, members: Entry, row: RawErasure, payloads: list[RawPayload], touches: list[RawTouch]) -> None:
        seq = self._place.seq
        if members["payload"] is None or not self._backed(row):
            self._find(seq, _UNBACKED)
        empty = [(one.wrapped, one.sealed) for one in payloads] == [(b"", b"")]
        day = payloads[0].day if payloads else None
        if not empty or not isinstance(day, str) or len(day) != len("2026-12-31"):
            self._find(seq, N_("Entri %(seq)s: muatannya tercatat dihapus, tetapi barisnya (trail_payload) hilang atau masih berisi."))
        if touches:
            self._find(seq, N_("Entri %(seq)s: muatannya dihapus, tetapi indeks sentuhan (touch_index) masih menyebutnya."))

    def _backed(self, row: RawErasure) -> bool:
        """Say whether the entry that *row* names may have erased: that it names exactly these payloads is checked where it stands."""
        if (row.action, row.outcome) != (Action.PAYLOAD_ERASE, Outcome.DONE) or not isinstance(row.by_seq, int):
            return False
        if row.by_log == self._place.log:
            return row.by_seq > self._place.seq
        later = str(row.by_log)
        return are_kin(later, self._place.log) and number_of(later) > number_of(self._place.log)

    def _erases(self, members: Entry) -> None:
        """Check that what names this entry as its erasure is what the entry says; the rows are streamed, however many."""
        seq, detail = self._place.seq, members["detail"]
        told = detail["sha256"] if detail and detail["type"] == DETAIL else ""
        groups = 0
        for log, rows in groupby(self._streams.named_by(seq), key=lambda row: row.log):
            groups += 1
            if not self._same(str(log), rows, told):
                self._find(seq, _OTHERS)
                return
        if groups != 1:
            self._find(seq, _OTHERS)

    def _same(self, log: str, rows: Iterator[RawNamed], told: str) -> bool:
        text, pruned, same = sha256(opening(log)), False, True
        for row in rows:
            same = same and isinstance(row.digest, bytes) and row.digest.hex() == told
            mark = _mark(row.body)
            if mark is None:
                pruned = pruned or (log == self._place.log and isinstance(row.seq, int) and row.seq < self._place.start)
                same = same and pruned
            text.update(f"{row.seq} {mark}\n".encode())
        # Of what was pruned since, the digest is not known any more; the rest of the log still holds the entry.
        return same and (pruned or text.hexdigest() == told)


def _mark(body: object) -> str | None:
    """Return the digest of the payload that an entry's bytes name, or None."""
    try:
        mark = parse(body)["payload"] if isinstance(body, bytes) else None
    except BadInput:
        return None
    return mark["sha256"] if mark else None


def _bears_out(content: Content, members: Entry) -> bool:
    """Say whether the payload's salt, subjects and visit are those the entry commits to."""
    subjects, visit = members["subjects"], members["visit"]
    if (subjects["count"] if subjects else 0) != len(content.subjects):
        return False
    if subjects and subjects_root(content.salt, content.subjects).hex() != subjects["root"]:
        return False
    return content.visit is None or visit is None or visit_commitment(content.salt, content.visit.encode("utf-8")).hex() == visit
