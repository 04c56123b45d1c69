"""Checks and seals the rows of a file, batch by batch, ahead of whoever stores them; knows no database.

Sealing and storing take about the same time, so a second process seals the next batch while this one stores the last (bench B2). It
is forked: L1 keys do not leave their process (``vault.house``), a fork inherits them. It never touches the database, holds nothing
that is not in this process too, and ends with it. Whatever becomes of it, no row is lost: what it does not deliver is sealed here.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from multiprocessing.connection import Connection
from typing import NamedTuple

from app.kernel.fields import RowStatus
from app.kernel.ids import new_uid
from app.places import Places
from app.vault.blind import Blind
from app.vault.house import L1Key
from app.vault.seal import Clear, SealedBlob, seal_blob, seal_row
from app.voters.rules.check import check
from app.voters.rules.findings import Finding, Reason
from app.voters.rules.rows import CleanRow, RawRow, Rejected, UnreadableRow

Raw = RawRow | UnreadableRow
Columns = tuple[str | int | bytes, ...]
# A batch takes 30 ms; a helper silent for so long was stopped, or took over a lock that nobody will ever give back.
_SILENT_SECONDS = 30.0
_NIK = 2


class Ready(NamedTuple):
    """A row that may enter the roll, sealed, with what its storing needs.

    nik: plain, to look for duplicates (never stored, never shown). b_nik: its token. warnings: codes. uid, version, seal: what the log
    commits to. voter, voter_key, nik_index: every column of its rows in those tables, in their order.
    """

    nik: str
    b_nik: bytes
    warnings: tuple[str, ...]
    uid: str
    version: int
    seal: bytes
    voter: Columns
    voter_key: Columns
    nik_index: Columns

    def __repr__(self) -> str:
        return f"Ready({self.uid})"


@dataclass(frozen=True, slots=True)
class Sealer:
    """All that checking and sealing a row of one load needs.

    kab, election, load: what the rows belong to. key, blind: the kab's newest seal key and its blind indexes. voting_day: for ages.
    """

    kab: str
    election: str
    load: str
    voting_day: date
    places: Places
    key: L1Key
    blind: Blind

    def seal(self, chunk: Iterable[Raw]) -> list[Ready | SealedBlob]:
        """Return each row of *chunk*, in order, ready for the roll or sealed whole for the quarantine."""
        return [self._sealed(raw) for raw in chunk]

    def double(self, raw: Raw) -> SealedBlob:
        """Return *raw*, whose NIK the election already has, sealed for the quarantine."""
        return self._quarantined(raw, (Finding("NIK", Reason.GANDA),))

    def _sealed(self, raw: Raw) -> Ready | SealedBlob:
        if isinstance(raw, UnreadableRow):
            return self._quarantined(raw, raw.reasons)
        row = check(raw, self.kab, self.places, self.voting_day)
        return self._quarantined(raw, row.reasons) if isinstance(row, Rejected) else self._ready(row)

    def _ready(self, row: CleanRow) -> Ready:
        _, nkk, nik, name, _, born = row.values[:6]
        clear = Clear(self.kab, new_uid(), row.kec, row.desa, row.tps, self.election, RowStatus.AKTIF.value, 1, self.key.epoch)
        token = self.blind.b_nik(nik, self.election)
        made = seal_row(self.key, clear, row.values, token, self.blind.b_nkk(nkk), self.blind.b_nd(name, born))
        uid, version, epoch = clear.uid, clear.row_version, clear.key_epoch
        places: Columns = (self.kab, uid, clear.kec, clear.desa, clear.tps, clear.election, clear.status, version, epoch)
        return Ready(
            nik=nik,
            b_nik=token,
            warnings=tuple(finding.reason.value for finding in row.warnings),
            uid=uid,
            version=version,
            seal=made.seal,
            voter=(*places, *made.cells, token, made.b_nkk, made.b_nd, made.seal, self.load),
            voter_key=(self.kab, uid, made.wrapped, epoch),
            nik_index=(token, self.election, self.kab, uid),
        )

    def _quarantined(self, raw: Raw, found: Sequence[Finding]) -> SealedBlob:
        reasons = ",".join(f"{finding.field}:{finding.reason.value}" for finding in found)
        return seal_blob(
            self.key, self.kab, new_uid(), [raw.content().decode()],
            election=self.election, load=self.load, row_no=raw.row_no, reasons=reasons,
        )  # fmt: skip


def sealed(sealer: Sealer, chunks: Iterable[list[Raw]], apart: bool) -> Generator[tuple[list[Raw], list[Ready | SealedBlob]], None, None]:
    """Yield every chunk with its rows sealed, in order. apart: seal the next one in a second process meanwhile, where that helps."""
    if not (apart and _helpful()):
        yield from ((chunk, sealer.seal(chunk)) for chunk in chunks)
        return
    helper = _Helper(sealer)
    before: list[Raw] = []
    try:
        for chunk in chunks:
            # Never two chunks under way: both sides would wait for the other to take what it sends.
            made = helper.take(before)
            helper.give(chunk)
            if before:
                yield before, made
            before = chunk
        if before:
            yield before, helper.take(before)
    finally:
        helper.close()


def _helpful() -> bool:
    """Say whether there is a core to spare. Linux only: elsewhere a fork is missing or not safe."""
    return sys.platform == "linux" and len(os.sched_getaffinity(0)) > 1


class _Helper:
    """A forked process that seals one chunk at a time."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        fork = multiprocessing.get_context("fork")
        self._line, far = fork.Pipe()
        self._process = fork.Process(target=_serve, args=(sealer, far, self._line), name="gardu-sealer", daemon=True)
        self._process.start()
        far.close()

    def give(self, chunk: list[Raw]) -> None:
        """Hand it *chunk* to seal."""
        with suppress(OSError):
            self._line.send(chunk)

    def take(self, chunk: list[Raw]) -> list[Ready | SealedBlob]:
        """Return *chunk*, handed to it last, sealed; sealed here when the helper failed, died or hangs, errors and all."""
        if not chunk:
            return []
        with suppress(EOFError, OSError):
            if not self._line.poll(_SILENT_SECONDS):
                self._process.kill()
            made: list[Ready | SealedBlob] = self._line.recv()
            if len(made) == len(chunk):
                return made
        return self._sealer.seal(chunk)

    def close(self) -> None:
        """End it."""
        self._line.close()
        self._process.join(1)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(sealer: Sealer, line: Connection, near: Connection) -> None:
    """Seal what comes over *line* until its other end is gone, as it is when the parent dies."""
    try:
        near.close()
        # An interrupt from the keyboard reaches both; the parent decides, and then hangs up.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            line.send(_tried(sealer, line.recv()))
    except (EOFError, OSError):
        pass
    finally:
        # Not sys.exit: what the parent had open and buffered is not this process's to close or to write.
        os._exit(0)


def _tried(sealer: Sealer, chunk: list[Raw]) -> list[Ready | SealedBlob]:
    """Return *chunk* sealed, or nothing: then the parent seals it itself and meets the same error."""
    try:
        return sealer.seal(chunk)
    except Exception:
        return []
