"""Verifying what is signed about the log: its checkpoints, those that were published, and what witnesses and time stamps say of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from app.audit.cosign import CosignVerifier
from app.audit.note import Checkpoint, Verifier, split_note
from app.audit.place import Place, signed
from app.audit.streams import Beside, RawCheckpoint, RawCosignature, RawPublished, RawStamp, Streams
from app.kernel.errors import N_, BadInput, GarduError

# A cosignature is the moment (8 bytes) and a signature: Ed25519 (64) or ML-DSA-44 (2,420).
_COSIGNED = (8 + 64, 8 + 2420)
_FORM = N_("Checkpoint terbit ukuran %(ukuran)s bukan catatan yang sah dari kunci log ini.")


class Marks:
    """The signed rows, streamed beside the walk; *known* are checkpoints kept elsewhere."""

    def __init__(
        self, streams: Streams, place: Place, verifier: Verifier, witnesses: Iterable[CosignVerifier], known: Iterable[Checkpoint]
    ) -> None:
        self._place, self._find, self._verifier, self._known = place, place.find, verifier, tuple(known)
        self._witnesses = {(one.name, one.key_id.hex()): one for one in witnesses}
        self._sound = place.start  # the entries below this number are borne out by a signed checkpoint
        self.newest = ""
        self._checkpoints = Beside(streams.checkpoints(), self._stray("trail_checkpoint"))
        self._published = Beside(streams.published(), self._stray("trail_published"))
        self._cosignatures = Beside(streams.cosignatures(), self._stray("trail_cosignature"))
        self._stamps = Beside(streams.stamps(), self._stray("trail_stamp"))
        self._before()

    def at(self) -> None:
        """Check what is signed about the entries before this place."""
        size = self._place.seq
        for one in self._checkpoints.at(size):
            self._checkpoint(RawCheckpoint(*one))
        self._public(size, [RawPublished(*one) for one in self._published.at(size)])
        tree = self._place.tree
        for mark in self._known:
            if mark.size == size and tree is not None and mark.root != tree.root():
                message = N_("Isi jejak sampai ukuran %(ukuran)s bukan yang dahulu ditandatangani (checkpoint dari luar).")
                self._find(None, message, ukuran=size)

    def strays(self, limit: int) -> None:
        """Find up to *limit* rows of each table that speak of a size the walk did not come to."""
        for table in (self._checkpoints, self._published, self._cosignatures, self._stamps):
            table.rest(limit)

    def rest(self, limit: int) -> None:
        """Find up to *limit* rows of each table that speak of a size the log does not have, and outside checkpoints of a larger one."""
        self.strays(limit)
        for mark in self._known:
            if mark.size > self._place.seq:
                message = N_("Jejak terpotong mulai entri %(seq)s: checkpoint dari luar menyebut %(ukuran)s entri.")
                self._find(self._place.seq, message, ukuran=mark.size)

    def _stray(self, table: str) -> Strayed:
        return Strayed(self._place, table)

    def _before(self) -> None:
        """Check what was published up to where a pruned log begins: its signature still holds; before, its root cannot be worked out."""
        start = self._place.start
        for one in self._published.below(start + 1 if start else 0):
            row = RawPublished(*one)
            if isinstance(row.size, int):
                self._public(row.size, [row])

    # ---- a checkpoint of ours ----

    def _checkpoint(self, row: RawCheckpoint) -> None:
        size = self._place.seq
        try:
            mark = signed(row.note, self._verifier)
            if len(split_note(str(row.note))[1]) != 1:
                raise BadInput("checkpoint: more than one signature")
        except GarduError:
            message = N_("Entri %(seq)s: checkpoint ukuran %(ukuran)s bukan catatan yang sah dari kunci log ini.")
            self._find(size - 1, message, ukuran=size)
            return
        if (mark.origin, mark.size, mark.extension) != (self._place.log, size, ""):
            self._find(size - 1, N_("Entri %(seq)s: checkpoint ukuran %(ukuran)s menyebut log atau ukuran lain."), ukuran=size)
            return
        self.newest = str(row.note)
        if self._place.tree is None:
            return
        if mark.root == self._place.tree.root():
            self._sound = size
            return
        self._place.tree = None
        self._find(
            self._sound,
            N_("Entri %(seq)s sampai %(akhir)s: sedikitnya satu diubah; akar pohonnya bukan yang ditandatangani."),
            akhir=size - 1,
        )

    # ---- one that outsiders were shown ----

    def _public(self, size: int, rows: list[RawPublished]) -> None:
        note = self._shown(size, rows[0]) if rows else ""
        for one in (*self._cosignatures.below(size), *self._stamps.below(size)):
            self._find(
                _last(one[0]),
                N_("Ada tanda tangan saksi atau stempel waktu untuk ukuran %(ukuran)s yang tidak pernah terbit."),
                ukuran=one[0],
            )
        if rows:
            for one in self._cosignatures.at(size):
                self._cosigned(note, RawCosignature(*one))
            for one in self._stamps.at(size):
                self._stamped(RawStamp(*one))

    def _shown(self, size: int, row: RawPublished) -> str:
        """Check a published checkpoint: the log signed it first, others may have; return its note, or "" when it is none."""
        try:
            mark = signed(row.note, self._verifier)
            note = str(row.note)
            name, key_id, _ = split_note(note)[1][0]
            if (name, key_id) != (self._verifier.name, self._verifier.key_id) or (mark.origin, mark.size) != (self._place.log, size):
                raise BadInput("checkpoint: not the log's own, or of another size")
        except GarduError:
            self._find(size - 1, _FORM, ukuran=size)
            return ""
        tree = self._place.tree if size == self._place.seq else None
        if tree is not None and mark.root != tree.root():
            message = N_("Checkpoint terbit ukuran %(ukuran)s berbeda dari isi jejak: orang luar diperlihatkan jejak yang lain.")
            self._find(size - 1, message, ukuran=size)
        return note

    def _cosigned(self, note: str, row: RawCosignature) -> None:
        """Check a witness's line: its form and columns always, its signature when the witness's key is given."""
        if not note:
            return
        try:
            if not (isinstance(row.line, str) and isinstance(row.key, str) and isinstance(row.witness, str)):
                raise BadInput("cosignature: not text")
            text, signatures = split_note(note)[0], split_note(note + row.line)[1]
            name, key_id, signature = signatures[-1]
            at = int.from_bytes(signature[:8], "big")
            if len(signatures) != len(split_note(note)[1]) + 1 or len(signature) not in _COSIGNED:
                raise BadInput("cosignature: not one line")
            if (name, key_id.hex(), _stamp(at)) != (row.witness, row.key, row.at):
                raise BadInput("cosignature: a column differs")
            witness = self._witnesses.get((name, row.key))
            if witness is not None:
                witness.check(text, signature)
        except (GarduError, ValueError, OverflowError, OSError):
            message = N_("Tanda tangan saksi atas checkpoint ukuran %(ukuran)s tidak sah atau kolomnya diubah.")
            self._find(_last(row.size), message, ukuran=row.size)

    def _stamped(self, row: RawStamp) -> None:
        if not (isinstance(row.token, bytes) and row.token and isinstance(row.authority, str)):
            self._find(_last(row.size), N_("Stempel waktu atas checkpoint ukuran %(ukuran)s rusak."), ukuran=row.size)


class Strayed:
    """Finds a row of *table* that nothing the walk passed asked for. of_entry: its number is an entry's, else a size."""

    def __init__(self, place: Place, table: str, *, of_entry: bool = False) -> None:
        self._place, self._table, self._of_entry = place, table, of_entry

    def __call__(self, number: object) -> None:
        """Take the row's number: a size is one more than its last entry."""
        seq = (number if isinstance(number, int) else None) if self._of_entry else _last(number)
        self._place.find(seq, N_("Ada baris %(tabel)s (entri %(seq)s) yang tidak disebut entri mana pun."), tabel=self._table)


def _last(size: object) -> int | None:
    return size - 1 if isinstance(size, int) else None


def _stamp(seconds: int) -> str:
    """Return a moment as the streams give it: text in UTC with microseconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
