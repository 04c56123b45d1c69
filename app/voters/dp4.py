"""Brings a DP4 file into the roll, batch by batch: check, find duplicates, seal, store.

Control total, kept in every batch and printed at the end: rows read = rows sealed + rows quarantined.

If we die between two batches, the load stands as ``running`` with the rows it has; the same file goes on after them.
If we die inside a batch, none of it was stored: rows, progress and log entry share one transaction.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sqlalchemy import Table, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import touch
from app.kernel.actor import Actor, Ask
from app.kernel.clock import Clock
from app.kernel.errors import N_, BadInput, Conflict, GarduError, StoreDown, TrailDown
from app.kernel.fields import Basis, Purpose
from app.kernel.ids import new_uid
from app.kernel.processes import cores
from app.kernel.regions import NATION
from app.places import Places
from app.store.bulk import among, put, put_packed, roomy
from app.touch import Guard, Receipt
from app.vault.blind import Blind, FileDigest
from app.vault.records import RecordSeal
from app.vault.seal import SealedBlob, SealedRow
from app.voters import loads
from app.voters.actions import Rotated, blind_of, blinds_of, demand_newest, rows_by_nik
from app.voters.blocks import blocks
from app.voters.columns import Layout
from app.voters.conflicts import Finder, Marks, Report
from app.voters.crew import Crew
from app.voters.elections import Standing, standing
from app.voters.reader import Source, Survey, survey
from app.voters.rules.findings import WHOLE_ROW, Finding, Reason
from app.voters.rules.rows import COLUMNS
from app.voters.sealing import Batch, Job, Sealer
from app.voters.tables import UNDONE, Election, Load, NikIndex, Quarantine, Voter, VoterKey

ALREADY = N_("Berkas yang sama persis sudah pernah dimuat. Tidak ada yang diubah; lihat hasilnya di riwayat pemuatan.")
CARRIED_ON = N_("Berkas yang sama sedang dimuat oleh proses lain. Tidak ada yang diubah; tunggu hasilnya di riwayat pemuatan.")
OTHER_COLUMNS = N_("Berkas ini sudah sebagian dimuat dengan pilihan kolom yang lain. Pilih kolom yang sama seperti waktu itu.")
# Rows per transaction: a commit, an entry and a look at the index cost little beside so many rows, and SQLite's write lock is held 0.2 s.
BATCH = 4000
# While people use the same process: 30 ms of the lock, and of the interpreter.
ONLINE_BATCH = 500
_CODES = frozenset(reason.value for reason in Reason)
_VOTERS, _KEYS, _INDEX, _WAITING = (cast(Table, table.__table__) for table in (Voter, VoterKey, NikIndex, Quarantine))


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a load. report: the conflicts found before it began; lost: sealing processes that died and were replaced."""

    uid: str
    rows_read: int
    rows_sealed: int
    rows_quarantined: int
    warnings: Mapping[str, int]
    seq: int | None
    resumed: bool
    report: Report
    lost: int


def _nobody(load: str) -> None:
    """Tell nobody."""


def _go_on(report: Report) -> None:
    """Load the file whatever its conflicts: they wait in quarantine."""


class _Overtaken(Exception):
    """Another load brought in a NIK of this batch after its duplicates were looked for."""


@dataclass(slots=True)
class _Looked:
    """What looking for duplicates found. tokens: what was looked for, and must be looked for again before the rows are written; known: the
    uids that the index named; taken: NIKs that the election has.
    """

    tokens: Collection[bytes]
    known: frozenset[str] = frozenset()
    taken: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Intake:
    """An intake into one kab/kota (code ``PP.KK``) of one election.

    workers: processes that seal, None for as many as there are cores, 0 for this one alone. batch: rows per transaction. upload: uid of the
    uploaded file it comes from. opened: told the uid of the load before its first row is stored. decide: told the conflicts of a file that
    is not begun yet, before anything is stored; what it raises stops the load.
    """

    guard: Guard
    places: Places
    actor: Actor
    clock: Clock
    kab: str
    election: str
    workers: int | None = None
    batch: int = BATCH
    upload: str | None = None
    opened: Callable[[str], None] = _nobody
    decide: Callable[[Report], None] = _go_on

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

        Raises BadInput (not a DP4 file: says why; or it changed), Conflict (already loaded, or being loaded), NotThere (refused), TrailDown.
        """
        present = self.prepare()
        found, digest = self._survey(source, mapping)
        # A look only, so that nobody waits for a file that is refused; ``_open`` decides.
        begun = self._known(digest, found.layout)
        report = self._finder(source, found, present).report(digest, _nothing, asked=begun is None)
        if begun is None:
            self.decide(report)
        load, resumed = self._open(digest, found.layout)
        self.opened(load.uid)
        receipt, lost = self._bring_all_in(source, found, report, present, load, advance)
        self._finish(load)
        warnings: dict[str, int] = json.loads(load.warnings)
        seq = receipt.seq if receipt else None
        return Done(load.uid, load.rows_read, load.rows_sealed, load.rows_quarantined, warnings, seq, resumed, report, lost)

    def check(self, source: Source, mapping: Path | Layout | None, advance: Callable[[int, int], None]) -> Report:
        """Return the conflicts of the file *source* and store nothing. Arguments and errors as of ``load``."""
        present = self.prepare()
        found, digest = self._survey(source, mapping)
        if self._known(digest, found.layout) is not None:
            raise Conflict("this file is loaded in part; load it to its end, or undo it", public=CARRIED_ON)
        return self._finder(source, found, present).report(digest, advance)

    def _survey(self, source: Source, mapping: Path | Layout | None) -> tuple[Survey, bytes]:
        digest = FileDigest(self.guard.keys.key("index", NATION))
        found = survey(source, mapping, digest.update)
        return found, digest.digest()

    def _ask(self, present: Standing) -> Ask:
        return Ask(Purpose.PEMUATAN, Basis.PKPU7_2022, self.kab, self.election, present.stage)

    def _crew(self, found: Survey, behind: int = 0) -> int:
        """Return how many processes are worth starting for the rows of a file."""
        wanted = cores() if self.workers is None else self.workers
        return wanted if found.rows_estimate - behind > self.batch else 0

    def _finder(self, source: Source, found: Survey, present: Standing) -> Finder:
        blind, older = self._blinds()
        return Finder(
            self.guard, self.actor, self._ask(present), self.clock, source, found, blind, older, self._crew(found), self.batch
        )  # fmt: skip

    def _blinds(self) -> tuple[Blind, list[Blind]]:
        """Return the indexes that rows are stored with, and those with older NIK keys that rows may have while a rotation is under way."""
        blind = blind_of(self.guard.keys, self.kab)
        with self.guard.store.reading() as session:
            return blind, [one for one in blinds_of(session, self.guard.keys, self.kab) if one.epochs[0] != blind.epochs[0]]

    def _bring_all_in(
        self, source: Source, found: Survey, report: Report, present: Standing, load: Load, advance: Callable[[int, int], None]
    ) -> tuple[Receipt | None, int]:
        """Store every row that *load* has not read; return the last receipt, and how many workers were lost."""
        receipt, lost, whole = None, 0, False
        while not whole:
            sealer, marks = self._sealer(found, present, load), Marks(self.guard, source, found, report.marks)
            crew = Crew(sealer.seal, self._crew(found, load.rows_read))
            ahead = blocks(source, found, self.batch, skip=load.rows_read, seen=marks.note)
            jobs = (Job(block, self.clock.now(), report.within(block)) for block in ahead)
            with roomy(self.guard.store), closing(crew.results(jobs)) as batches:
                try:
                    for job, batch in batches:
                        receipt = self._bring_in(job, batch, sealer, report.suspects, load)
                        advance(job.block.end, found.size)
                    whole = True
                except (StoreDown, TrailDown, BadInput) as down:
                    raise _told_where(down, load) from None
                except Rotated:
                    # A rotation has left the keys behind that the workers hold: others are begun, behind the last row stored.
                    pass
            lost += crew.lost
        return receipt, lost

    def _sealer(self, found: Survey, present: Standing, load: Load) -> Sealer:
        keys, copied = self.guard.keys, self.guard.store.dialect == "postgresql"
        key, blind = keys.key("seal", self.kab), blind_of(keys, self.kab)
        return Sealer(
            self.kab, self.election, load.uid, present.voting_day, self.places, key, blind, self.guard, self.actor, self._ask(present),
            found, copied,
        )  # fmt: skip

    def findings(self, load: str) -> Iterator[tuple[int, list[Finding]]]:
        """Yield (row number, reasons) of the load's quarantined rows, in the file's order; no value stands here."""
        query = (
            select(Quarantine.row_no, Quarantine.reasons)
            .where(Quarantine.kab == self.kab, Quarantine.load == load)
            .order_by(Quarantine.row_no)
        )
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

    def _known(self, digest: bytes, layout: Layout) -> Load | None:
        """Return the load that was begun with this file, or None. Raises Conflict when it is done, elsewhere, or begun with other columns."""
        with self.guard.store.reading() as session:
            return self._standing_load(session, digest, layout)

    def _standing_load(self, session: Session, digest: bytes, layout: Layout) -> Load | None:
        same = (Load.digest == digest, Load.election == self.election, Load.state != UNDONE)
        known = session.scalar(select(Load).where(*same))
        if known is None:
            return None
        loads.check(self._seals, known)
        if known.state == loads.DONE or known.kab != self.kab:
            when = f"{known.started_at:%Y-%m-%d %H:%M} UTC into {known.kab}"
            raise Conflict(f"this file was already loaded ({when}, load {known.uid}); nothing was changed", public=ALREADY)
        if known.layout not in (None, str(layout)):
            raise Conflict(f"load {known.uid} was begun with other columns ({known.layout}); nothing was changed", public=OTHER_COLUMNS)
        session.expunge(known)
        return known

    def _begun(self, digest: bytes, layout: Layout) -> tuple[Load, bool]:
        with self.guard.store.writing() as session:
            known = self._standing_load(session, digest, layout)
            if known is not None:
                return known, True
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

    def _bring_in(self, job: Job, batch: Batch, sealer: Sealer, suspects: Collection[bytes] | None, load: Load) -> Receipt:
        """Store a sealed batch; look for duplicates anew, at every row, when another load brought in one of its NIKs meanwhile.

        suspects: the tokens worth a first look. Raises Rotated when a rotation has left the batch's keys behind; nothing was stored then.
        """
        while True:
            looked = self._look(batch, sealer, suspects)
            settled = sealer.settled(batch, job, looked.taken)
            try:
                return self._store(settled, looked, sealer, load)
            except _Overtaken:
                suspects = None

    def _look(self, batch: Batch, sealer: Sealer, suspects: Collection[bytes] | None) -> _Looked:
        """Look for what the election already has of *batch*, outside any transaction."""
        older, niks = self._blinds()[1], (*batch.ready.niks, *batch.doubtful.niks)
        by_token: dict[bytes, list[bytes]] = {}
        for token, nik in zip((*batch.ready.tokens, *batch.doubtful.tokens), niks, strict=True):
            by_token.setdefault(token, []).append(nik)
        for one in older:
            for nik in niks:
                by_token.setdefault(one.b_nik(nik.decode(), self.election), []).append(nik)
        wanted = [token for token in by_token if suspects is None or token in suspects]
        if not wanted:
            return _Looked(by_token)
        known, candidates = self._candidates(wanted)
        pairs = [(nik.decode(), found) for found in candidates for nik in dict.fromkeys(by_token.get(found.b_nik, ()))]
        taken = touch.duplicates(self.guard, self.actor, sealer.ask, pairs, now=self.clock.now())
        return _Looked(by_token, known, frozenset(map(str.encode, taken)))

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

    @property
    def _seals(self) -> RecordSeal:
        return RecordSeal(self.guard.keys)

    def _store(self, batch: Batch, looked: _Looked, sealer: Sealer, load: Load) -> Receipt:
        totals = self._resealed(load, _totals(load, batch))

        def write(session: Session) -> None:
            demand_newest(session, self.guard.keys, self.kab, seal=sealer.key.epoch, blind=sealer.blind)
            self._demand_unclaimed(session, looked)
            _insert(session, batch)
            # Only the process that read up to here may go on: a second one on the same file stops here.
            here = (Load.uid == load.uid, Load.rows_read == load.rows_read, Load.state == loads.RUNNING)
            moved = session.execute(update(Load).where(*here).values(totals))
            if moved.rowcount != 1:  # type: ignore[attr-defined]  # an UPDATE's result has a row count
                detail = f"load {load.uid} is being carried on by another process; nothing of this batch was stored"
                raise Conflict(detail, public=CARRIED_ON)

        receipt = touch.admit(self.guard, self.actor, sealer.ask, batch.admission, write)
        _set(load, totals)
        return receipt

    def _resealed(self, load: Load, changes: Mapping[str, object]) -> dict[str, object]:
        """Return *changes*, and the seal of *load* once they are made."""
        changed = Load(**{column.key: getattr(load, column.key) for column in Load.__table__.columns})
        _set(changed, changes)
        loads.seal(self._seals, changed)
        return {**changes, "seal": changed.seal}

    def _demand_unclaimed(self, session: Session, looked: _Looked) -> None:
        """Raise _Overtaken when the index knows a NIK of the batch that it did not know when the batch was looked at."""
        # One batch of an election at a time from here to the commit (PostgreSQL; on SQLite BEGIN IMMEDIATE is that lock already).
        session.execute(select(Election.id).where(Election.id == self.election).with_for_update())
        if not looked.known.issuperset(self._claims(session, looked.tokens)):
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


def _totals(load: Load, batch: Batch) -> dict[str, object]:
    """Return the load's columns as they stand once *batch* is in."""
    return {
        "rows_read": load.rows_read + batch.read,
        "rows_sealed": load.rows_sealed + len(batch.ready.uids),
        "rows_quarantined": load.rows_quarantined + len(batch.waiting),
        "warnings": json.dumps(Counter(json.loads(load.warnings)) + batch.ready.warnings(), sort_keys=True),
    }


def _told_where(error: GarduError, load: Load) -> GarduError:
    """Return *error*, which stopped *load*, with the rows that stand and the way on in its detail."""
    remedy = "put the file back as it was" if isinstance(error, BadInput) else "see to the database (running, room on its disk)"
    error.detail += (
        f"; rows 1 to {load.rows_read} of the file are stored, each batch with its entry, and nothing of what follows; "
        f"{remedy} and load the same file again: it goes on at row {load.rows_read + 1}"
    )
    return error


def _nothing(done: int, total: int) -> None:
    """Tell nobody how far the first pass is: the bar is that of the rows stored."""


def _insert(session: Session, batch: Batch) -> None:
    connection = session.connection()
    put_packed(connection, _VOTERS, batch.ready.voter)
    put_packed(connection, _KEYS, batch.ready.voter_key)
    put_packed(connection, _INDEX, batch.ready.nik_index)
    put(connection, _WAITING, [_blob(blob) for blob in batch.waiting])


def _blob(blob: SealedBlob) -> tuple[object, ...]:
    """Return every column of a quarantined row, in the table's order."""
    ours = (blob.kab, blob.uid, blob.election, blob.load, blob.row_no, blob.reasons)
    return (*ours, blob.key_epoch, blob.wrapped, blob.cell, blob.seal)
