"""Brings a DP4 file into the roll, batch by batch: check, find duplicates, seal, store.

Control total, kept in every batch and printed at the end: rows read = rows sealed + rows quarantined.

If we die between two batches, the load stands as ``running`` with the rows it has; the same file goes on after them.
If we die inside a batch, none of it was stored: rows, progress and log entry share one transaction.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import cast

from sqlalchemy import Table, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import touch
from app.audit.canonical import Json
from app.kernel.actor import Actor, Ask
from app.kernel.clock import Clock
from app.kernel.errors import N_, BadInput, Conflict
from app.kernel.fields import Basis, Purpose
from app.kernel.ids import new_uid
from app.kernel.regions import NATION
from app.places import Places
from app.store.bulk import among, put
from app.touch import Guard, Receipt
from app.vault.blind import FileDigest
from app.vault.records import RecordSeal
from app.vault.seal import SealedBlob, SealedRow
from app.voters import loads
from app.voters.actions import blind_of, rows_by_nik
from app.voters.columns import Layout
from app.voters.elections import Standing, standing
from app.voters.reader import Source, rows, survey
from app.voters.rules.findings import WHOLE_ROW, Finding, Reason
from app.voters.rules.rows import COLUMNS
from app.voters.sealing import Columns, Raw, Ready, Sealer, sealed
from app.voters.tables import UNDONE, Election, Load, NikIndex, Quarantine, Voter, VoterKey

ALREADY = N_("Berkas yang sama persis sudah pernah dimuat. Tidak ada yang diubah; lihat hasilnya di riwayat pemuatan.")
CARRIED_ON = N_("Berkas yang sama sedang dimuat oleh proses lain. Tidak ada yang diubah; tunggu hasilnya di riwayat pemuatan.")
OTHER_COLUMNS = N_("Berkas ini sudah sebagian dimuat dengan pilihan kolom yang lain. Pilih kolom yang sama seperti waktu itu.")
# Rows per transaction: about 30 ms of SQLite's write lock, and one log entry of about 60 kB payload.
BATCH = 500
_CODES = frozenset(reason.value for reason in Reason)
_VOTERS, _KEYS, _INDEX, _WAITING = (cast(Table, table.__table__) for table in (Voter, VoterKey, NikIndex, Quarantine))


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a load."""

    uid: str
    rows_read: int
    rows_sealed: int
    rows_quarantined: int
    warnings: Mapping[str, int]
    seq: int | None
    resumed: bool


@dataclass(slots=True)
class _Batch:
    """What one batch will write, gathered before the transaction begins."""

    sealed: list[Ready] = field(default_factory=list)
    blobs: list[SealedBlob] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)
    read: int = 0
    known: frozenset[str] = frozenset()  # uids that the NIK index named when duplicates were looked for


def _nobody(load: str) -> None:
    """Tell nobody."""


class _Overtaken(Exception):
    """Another load brought in a NIK of this batch after its duplicates were looked for."""


@dataclass(frozen=True, slots=True)
class Intake:
    """An intake into one kab/kota (code ``PP.KK``) of one election.

    helper: a second process may seal, where that helps. upload: uid of the uploaded file it comes from. opened: told the uid of the load
    before its first row is stored.
    """

    guard: Guard
    places: Places
    actor: Actor
    clock: Clock
    kab: str
    election: str
    helper: bool = True
    upload: str | None = None
    opened: Callable[[str], None] = _nobody

    def prepare(self) -> Standing:
        """Return where the election stands here. Raises BadInput when the region is no kab/kota or no stage was set."""
        if self.kab not in self.places.kabs():
            raise BadInput(f"{self.kab} is not a kab/kota: give a code such as 51.71", field="region")
        with self.guard.store.reading() as session:
            present = standing(session, self.kab, self.clock.now(), self.election)
        if present is None:
            detail = f"election {self.election} has no stage in {self.kab}: run gardu election set first"
            raise BadInput(detail, field="election", public=N_("Tahapan pemilu belum ditetapkan untuk wilayah ini."))
        return present

    def load(self, source: Source, mapping: Path | Layout | None, advance: Callable[[int, int], None]) -> Done:
        """Load the file *source*. mapping: as for ``reader.survey``. advance is told (bytes done, bytes in all).

        Raises BadInput (not a DP4 file: says why), Conflict (already loaded, or being loaded), NotThere (refused), TrailDown.
        """
        present = self.prepare()
        digest = FileDigest(self.guard.keys.key("index", NATION))
        surveyed = survey(source, mapping, digest.update)
        load, resumed = self._open(digest.digest(), surveyed.layout)
        self.opened(load.uid)
        ask = Ask(Purpose.PEMUATAN, Basis.PKPU7_2022, self.kab, self.election, present.stage)
        key, blind = self.guard.keys.key("seal", self.kab), blind_of(self.guard.keys, self.kab)
        sealer = Sealer(self.kab, self.election, load.uid, present.voting_day, self.places, key, blind)
        # A second process pays from the third batch on.
        apart = self.helper and surveyed.rows_estimate - load.rows_read > 2 * BATCH
        receipt = None
        with closing(sealed(sealer, _chunks(rows(source, surveyed, skip=load.rows_read)), apart)) as batches:
            for chunk, made in batches:
                receipt = self._bring_in(chunk, made, sealer, ask, load)
                advance(chunk[-1].end, surveyed.size)
        self._finish(load)
        warnings: dict[str, int] = json.loads(load.warnings)
        return Done(load.uid, load.rows_read, load.rows_sealed, load.rows_quarantined, warnings, receipt.seq if receipt else None, resumed)

    def findings(self, load: str) -> Iterator[tuple[int, list[Finding]]]:
        """Yield (row number, reasons) of the load's quarantined rows, in the file's order; no value stands here."""
        query = select(Quarantine.row_no, Quarantine.reasons).where(Quarantine.load == load).order_by(Quarantine.row_no)
        with self.guard.store.reading() as session:
            for row_no, reasons in session.execute(query):
                yield row_no, read_reasons(reasons)

    def _open(self, digest: bytes, layout: Layout) -> tuple[Load, bool]:
        """Begin a load, or take up one that was cut off."""
        try:
            return self._begun(digest, layout)
        except IntegrityError:
            detail = "another process began to load this file at the same moment; nothing was changed by this one"
            raise Conflict(detail, public=CARRIED_ON) from None

    def _begun(self, digest: bytes, layout: Layout) -> tuple[Load, bool]:
        with self.guard.store.writing() as session:
            same = (Load.digest == digest, Load.election == self.election, Load.state != UNDONE)
            known = session.scalar(select(Load).where(*same))
            if known is None:
                load = Load(
                    uid=new_uid(), kind="dp4", digest=digest, kab=self.kab, election=self.election, actor=self.actor.uid,
                    state=loads.RUNNING, rows_read=0, rows_sealed=0, rows_quarantined=0, warnings="{}", started_at=self.clock.now(),
                    finished_at=None, layout=str(layout), upload=self.upload, undone_at=None, undone_by=None,
                )  # fmt: skip
                loads.seal(self._seals, load)
                session.add(load)
                session.flush()
                session.expunge(load)
                return load, False
            loads.check(self._seals, known)
            if known.state == loads.DONE or known.kab != self.kab:
                when = f"{known.started_at:%Y-%m-%d %H:%M} UTC into {known.kab}"
                raise Conflict(f"this file was already loaded ({when}, load {known.uid}); nothing was changed", public=ALREADY)
            if known.layout not in (None, str(layout)):
                raise Conflict(f"load {known.uid} was begun with other columns ({known.layout}); nothing was changed", public=OTHER_COLUMNS)
            session.expunge(known)
            return known, True

    def _bring_in(self, chunk: list[Raw], made: list[Ready | SealedBlob], sealer: Sealer, ask: Ask, load: Load) -> Receipt:
        """Store a sealed batch; look for duplicates anew when another load brought in one of its NIKs meanwhile."""
        while True:
            try:
                return self._store(self._sorted(chunk, made, sealer, ask), ask, load)
            except _Overtaken:
                continue

    def _sorted(self, chunk: list[Raw], made: list[Ready | SealedBlob], sealer: Sealer, ask: Ask) -> _Batch:
        """Part a batch into what enters the roll and what waits, outside any transaction."""
        now = self.clock.now()
        ready = [row for row in made if isinstance(row, Ready)]
        known, candidates = self._candidates({row.b_nik for row in ready})
        taken = self._taken(ready, candidates, ask, now)
        batch = _Batch(read=len(chunk), known=known)
        for raw, row in zip(chunk, made, strict=True):
            if isinstance(row, Ready) and row.nik in taken:
                row = sealer.double(raw)
            if isinstance(row, SealedBlob):
                batch.blobs.append(row)
                continue
            taken.add(row.nik)
            batch.warnings.update(row.warnings)
            batch.sealed.append(row)
        return batch

    def _candidates(self, tokens: Collection[bytes]) -> tuple[frozenset[str], list[SealedRow]]:
        """Return the uids that the NIK index names for *tokens*, and the rows of the roll among them."""
        with self.guard.store.reading() as session:
            # The index first: a row that comes in between the two looks is then one we do not know yet.
            claims = self._claims(session, tokens)
            return frozenset(claims), rows_by_nik(session, self.election, set(claims.values()))

    def _claims(self, session: Session, tokens: Collection[bytes]) -> dict[str, bytes]:
        """Return the uids that the NIK index names for *tokens*, each with its token."""
        query = select(NikIndex.uid, NikIndex.b_nik).where(among(session, NikIndex.b_nik, tokens), NikIndex.election == self.election)
        return {row.uid: row.b_nik for row in session.execute(query)}

    def _taken(self, ready: Sequence[Ready], candidates: Sequence[SealedRow], ask: Ask, now: datetime) -> set[str]:
        """Return the NIKs of this batch that the roll already has, in any kab/kota."""
        by_token: dict[bytes, list[SealedRow]] = {}
        for candidate in candidates:
            by_token.setdefault(candidate.b_nik, []).append(candidate)
        pairs = [(row.nik, found) for row in ready for found in by_token.get(row.b_nik, ())]
        return set(touch.duplicates(self.guard, self.actor, ask, pairs, now=now))

    @property
    def _seals(self) -> RecordSeal:
        return RecordSeal(self.guard.keys)

    def _store(self, batch: _Batch, ask: Ask, load: Load) -> Receipt:
        totals = self._resealed(load, _totals(load, batch))
        written = [("voter", row.uid, row.version, row.seal) for row in batch.sealed]
        written += [("quarantine", blob.uid, 1, blob.seal) for blob in batch.blobs]

        def write(session: Session) -> None:
            self._demand_unclaimed(session, batch)
            _insert(session, batch)
            # Only the process that read up to here may go on: a second one on the same file stops here.
            here = (Load.uid == load.uid, Load.rows_read == load.rows_read, Load.state == loads.RUNNING)
            moved = session.execute(update(Load).where(*here).values(totals))
            if moved.rowcount != 1:  # type: ignore[attr-defined]  # an UPDATE's result has a row count
                detail = f"load {load.uid} is being carried on by another process; nothing of this batch was stored"
                raise Conflict(detail, public=CARRIED_ON)

        extra: dict[str, Json] = {"load": load.uid, "read": batch.read, "sealed": len(batch.sealed), "quarantined": len(batch.blobs)}
        receipt = touch.admit(self.guard, self.actor, ask, written, write, now=self.clock.now(), extra=extra)
        _set(load, totals)
        return receipt

    def _resealed(self, load: Load, changes: Mapping[str, object]) -> dict[str, object]:
        """Return *changes*, and the seal of *load* once they are made."""
        changed = Load(**{column.key: getattr(load, column.key) for column in Load.__table__.columns})
        _set(changed, changes)
        loads.seal(self._seals, changed)
        return {**changes, "seal": changed.seal}

    def _demand_unclaimed(self, session: Session, batch: _Batch) -> None:
        """Raise _Overtaken when the index knows a NIK of *batch* that it did not know when the batch was checked."""
        # One batch of an election at a time from here to the commit (PostgreSQL; on SQLite BEGIN IMMEDIATE is that lock already).
        session.execute(select(Election.id).where(Election.id == self.election).with_for_update())
        if not batch.known.issuperset(self._claims(session, [row.b_nik for row in batch.sealed])):
            raise _Overtaken

    def _finish(self, load: Load) -> None:
        if load.rows_read != load.rows_sealed + load.rows_quarantined:
            raise AssertionError("control total broken: rows read is not rows sealed plus rows quarantined")
        changes = self._resealed(load, {"state": loads.DONE, "finished_at": self.clock.now()})
        with self.guard.store.writing() as session:
            session.execute(update(Load).where(Load.uid == load.uid, Load.state == loads.RUNNING).values(changes))


def read_reasons(text: str) -> list[Finding]:
    """Return what a quarantined row's ``reasons`` say; a pair that no rule of ours ever wrote is left out."""
    pairs = [pair.partition(":") for pair in text.split(",")]
    return [Finding(name, Reason(code)) for name, _, code in pairs if code in _CODES and name in (*COLUMNS, WHOLE_ROW)]


def _set(load: Load, changes: Mapping[str, object]) -> None:
    for name, value in changes.items():
        setattr(load, name, value)


def _totals(load: Load, batch: _Batch) -> dict[str, object]:
    """Return the load's columns as they stand once *batch* is in."""
    return {
        "rows_read": load.rows_read + batch.read,
        "rows_sealed": load.rows_sealed + len(batch.sealed),
        "rows_quarantined": load.rows_quarantined + len(batch.blobs),
        "warnings": json.dumps(Counter(json.loads(load.warnings)) + batch.warnings, sort_keys=True),
    }


def _chunks(source: Iterator[Raw]) -> Iterator[list[Raw]]:
    while chunk := list(islice(source, BATCH)):
        yield chunk


def _insert(session: Session, batch: _Batch) -> None:
    connection = session.connection()
    put(connection, _VOTERS, [row.voter for row in batch.sealed])
    put(connection, _KEYS, [row.voter_key for row in batch.sealed])
    put(connection, _INDEX, [row.nik_index for row in batch.sealed])
    put(connection, _WAITING, [_blob(blob) for blob in batch.blobs])


def _blob(blob: SealedBlob) -> Columns:
    """Return every column of a quarantined row, in the table's order."""
    ours: Columns = (blob.kab, blob.uid, blob.election, blob.load, blob.row_no, blob.reasons)
    return (*ours, blob.key_epoch, blob.wrapped, blob.cell, blob.seal)
