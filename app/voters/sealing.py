"""Checks and seals the rows of a block and makes them ready to be stored: all that an intake does outside the database, for any process.

What comes back is in the very form in which the database takes it: rows of PostgreSQL's binary COPY, or tuples for SQLite, in the order of
their random uids, so that neither the indexes nor a thief see the order of the file. Nothing here knows a session.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import chain, compress
from typing import cast

from sqlalchemy import Table

from app.audit.canonical import Json
from app.kernel.actor import Actor, Ask
from app.kernel.fields import RowStatus
from app.kernel.ids import new_uid, new_uids
from app.places import Places
from app.store.bulk import Packed, row_head
from app.store.bulk import field as column
from app.touch import Admission, Guard, prepare
from app.vault.blind import Blind
from app.vault.envelope import numbers
from app.vault.house import L1Key
from app.vault.many import Made, Plain, seal_rows
from app.vault.seal import SealedBlob, seal_blob
from app.voters.blocks import Block, Reading, Row
from app.voters.reader import Survey
from app.voters.rules.check import check
from app.voters.rules.findings import Finding, Reason
from app.voters.rules.quick import Passed, Quick
from app.voters.rules.rows import RawRow, Rejected, UnreadableRow
from app.voters.tables import NikIndex, Voter, VoterKey

_VOTERS, _KEYS, _INDEX = (cast(Table, table.__table__) for table in (Voter, VoterKey, NikIndex))
_NKK, _NIK, _NAME, _BORN = 1, 2, 3, 5
_FIRST_VERSION = 1


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker gets. at: the moment that the batch's entry will name. doubtful: rows whose NIK seems to stand elsewhere already."""

    block: Block
    at: datetime
    doubtful: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, repr=False)
class Ready:
    """Rows that may enter the roll, in columns: cheap to hand over, and nothing for the garbage collector to look through.

    uids, seals: for the log. row_nos: in the file. niks, tokens: to look for duplicates; niks are never stored. warned: codes by place among
    the rows, for those that have any. voter, voter_key, nik_index: the rows in those tables, in the same order.
    """

    uids: Sequence[str]
    seals: Sequence[bytes]
    row_nos: Sequence[int]
    niks: Sequence[bytes]
    tokens: Sequence[bytes]
    warned: Mapping[int, tuple[str, ...]]
    voter: Packed
    voter_key: Packed
    nik_index: Packed

    def warnings(self) -> Counter[str]:
        """Return how often each warning was given."""
        return Counter(chain.from_iterable(self.warned.values()))

    def keep(self, wanted: Sequence[bool]) -> Ready:
        """Return the rows that *wanted* says, one word for each."""
        places = list(compress(range(len(self.uids)), wanted))
        warned = {new: self.warned[old] for new, old in enumerate(places) if old in self.warned}
        return Ready(
            list(compress(self.uids, wanted)), list(compress(self.seals, wanted)), list(compress(self.row_nos, wanted)),
            list(compress(self.niks, wanted)), list(compress(self.tokens, wanted)), warned,
            self.voter.keep(wanted), self.voter_key.keep(wanted), self.nik_index.keep(wanted),
        )  # fmt: skip

    def joined(self, other: Ready) -> Ready:
        """Return these rows and those of *other*."""
        warned = {**self.warned, **{place + len(self.uids): codes for place, codes in other.warned.items()}}
        return Ready(
            [*self.uids, *other.uids], [*self.seals, *other.seals], [*self.row_nos, *other.row_nos],
            [*self.niks, *other.niks], [*self.tokens, *other.tokens], warned,
            self.voter.joined(other.voter), self.voter_key.joined(other.voter_key), self.nik_index.joined(other.nik_index),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, repr=False)
class Batch:
    """A block, ready to be stored. read: rows. waiting: rows for the quarantine. admission: the entry, if ready and waiting come in as they are.

    doubtful: those of the job that may enter the roll if their NIK is free after all; they stand in waiting too, as most of them will.
    """

    read: int
    ready: Ready
    waiting: Sequence[SealedBlob]
    doubtful: Ready
    admission: Admission


@dataclass(frozen=True, slots=True)
class Sealer:
    """All that checking and sealing a block of one load needs.

    kab, election, load: what the rows belong to. key, blind: the kab's newest seal key and its blind indexes. voting_day: for ages.
    guard, actor, ask: for the entry. found: of the file. copied: rows for PostgreSQL's COPY instead of tuples.
    """

    kab: str
    election: str
    load: str
    voting_day: date
    places: Places
    key: L1Key
    blind: Blind
    guard: Guard
    actor: Actor
    ask: Ask
    found: Survey
    copied: bool
    _quick: Quick = field(init=False, repr=False)
    _reading: Reading = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_quick", Quick(self.kab, self.places, self.voting_day))
        object.__setattr__(self, "_reading", Reading(self.found))

    def seal(self, job: Job) -> Batch:
        """Return the rows of a block, ready for the roll or sealed whole for the quarantine. Raises KeysDown."""
        passed, doubtful = list[tuple[int, Passed]](), list[tuple[int, Passed]]()
        waiting, seen = list[SealedBlob](), set[bytes]()
        for row in self._reading.rows(job.block):
            good = self._passed(row, waiting)
            if good is None:
                continue
            nik = good.values[_NIK]
            if nik in seen:
                waiting.append(self._double(row))
            elif row.row_no in job.doubtful:
                waiting.append(self._double(row))
                doubtful.append((row.row_no, good))
            else:
                seen.add(nik)
                passed.append((row.row_no, good))
        ready = self._ready(passed)
        admission = self.prepare(job.block.rows, ready, waiting, job.at)
        return Batch(job.block.rows, ready, waiting, self._ready(doubtful), admission)

    def prepare(self, read: int, ready: Ready, waiting: Sequence[SealedBlob], at: datetime) -> Admission:
        """Return the entry of a batch that consists of these rows. read: rows of the file it accounts for."""
        written = [("voter", uid, _FIRST_VERSION, seal) for uid, seal in zip(ready.uids, ready.seals, strict=True)]
        written += [("quarantine", blob.uid, 1, blob.seal) for blob in waiting]
        extra: dict[str, Json] = {"load": self.load, "read": read, "sealed": len(ready.uids), "quarantined": len(waiting)}
        return prepare(self.guard, self.actor, self.ask, written, now=at, extra=extra)

    def settled(self, batch: Batch, job: Job, taken: Collection[bytes]) -> Batch:
        """Return *batch* as it must be stored when the election has the NIKs *taken* and no other of the batch."""
        sure = [nik not in taken for nik in batch.ready.niks]
        free, seen = list[tuple[int, bool]](), set(compress(batch.ready.niks, sure))
        # In the file's order: of two doubtful rows with one NIK that is free after all the first enters.
        for _row_no, nik, place in sorted(zip(batch.doubtful.row_nos, batch.doubtful.niks, range(len(batch.doubtful.niks)), strict=True)):
            free.append((place, nik not in taken and nik not in seen))
            seen.add(nik)
        entering = [enters for _place, enters in sorted(free)]
        if all(sure) and not any(entering):
            return batch
        doubles = frozenset(row_no for row_no, stays in zip(batch.ready.row_nos, sure, strict=True) if not stays)
        back = frozenset(compress(batch.doubtful.row_nos, entering))
        ready = batch.ready.keep(sure).joined(batch.doubtful.keep(entering))
        waiting = [blob for blob in batch.waiting if blob.row_no not in back]
        waiting += [self._double(row) for row in self._reading.rows(job.block) if row.row_no in doubles]
        return Batch(batch.read, ready, waiting, self._ready([]), self.prepare(batch.read, ready, waiting, job.at))

    def _passed(self, row: Row, waiting: list[SealedBlob]) -> Passed | None:
        """Return *row* when it may enter the roll; else it goes to *waiting* with every reason."""
        good = self._quick.row(row.cells) if row.cells else None
        if good is not None:
            return good
        raw = self._reading.raw(row)
        if isinstance(raw, UnreadableRow):
            waiting.append(self._quarantined(raw, raw.reasons))
            return None
        row_checked = check(raw, self.kab, self.places, self.voting_day)
        if isinstance(row_checked, Rejected):
            waiting.append(self._quarantined(raw, row_checked.reasons))
            return None
        values = tuple(map(str.encode, row_checked.values))
        warnings = tuple(finding.reason.value for finding in row_checked.warnings)
        return Passed(values, row_checked.kec.encode(), row_checked.desa.encode(), row_checked.tps.encode(), warnings)

    def _ready(self, passed: Sequence[tuple[int, Passed]]) -> Ready:
        three, election = self.blind.three, self.election
        uids = new_uids(len(passed))
        # In the order of the keys: neighbours on a page of the index are written together.
        order = sorted(range(len(uids)), key=uids.__getitem__)
        rows = [passed[place] for place in order]
        plain = [
            Plain(uids[place], row.kec, row.desa, row.tps, row.values,
                  *three(row.values[_NIK], row.values[_NKK], row.values[_NAME], row.values[_BORN], election))
            for place, (_, row) in zip(order, rows, strict=True)
        ]  # fmt: skip
        made = seal_rows(self.key, self.kab, election, RowStatus.AKTIF.value, plain)
        return Ready(
            [one.uid.decode() for one in plain], [one.seal for one in made], [row_no for row_no, _ in rows],
            [row.values[_NIK] for _, row in rows], [one.b_nik for one in plain],
            {place: row.warnings for place, (_, row) in enumerate(rows) if row.warnings},
            *(_copied if self.copied else _flat)(self, plain, made),
        )  # fmt: skip

    def _double(self, row: Row) -> SealedBlob:
        return self._quarantined(self._reading.raw(row), (Finding("NIK", Reason.GANDA),))

    def _quarantined(self, raw: RawRow | UnreadableRow, found: Sequence[Finding]) -> SealedBlob:
        reasons = ",".join(f"{finding.field}:{finding.reason.value}" for finding in found)
        return seal_blob(
            self.key, self.kab, new_uid(), [raw.content().decode()],
            election=self.election, load=self.load, row_no=raw.row_no, reasons=reasons,
        )  # fmt: skip


def _flat(sealer: Sealer, rows: Sequence[Plain], made: Sequence[Made]) -> tuple[Packed, Packed, Packed]:
    """Return the rows of the roll, of their keys and of the NIK index as SQLite's driver takes them."""
    kab, election, load, epoch = sealer.kab, sealer.election, sealer.load, sealer.key.epoch
    voters, keys, index = list[object](), list[object](), list[object]()
    for row, one in zip(rows, made, strict=True):
        uid = row.uid.decode()
        voters += (kab, uid, row.kec.decode(), row.desa.decode(), row.tps.decode(), election, RowStatus.AKTIF.value, _FIRST_VERSION, epoch)
        voters += one.cells
        voters += (row.b_nik, row.b_nkk, row.b_nd, one.seal, load)
        keys += (kab, uid, one.wrapped, epoch)
        index += (row.b_nik, election, kab, uid)
    return tuple(Packed(values=values, width=len(table.columns)) for values, table in ((voters, _VOTERS), (keys, _KEYS), (index, _INDEX)))  # type: ignore[return-value]  # three of them


def _copied(sealer: Sealer, rows: Sequence[Plain], made: Sequence[Made]) -> tuple[Packed, Packed, Packed]:
    """Return the same in the binary form of PostgreSQL's COPY: what columns share is made once."""
    kab, election, epoch = column(sealer.kab.encode()), column(sealer.election.encode()), column(numbers(sealer.key.epoch))
    voter_head, key_head, index_head = row_head(_VOTERS) + kab, row_head(_KEYS) + kab, row_head(_INDEX)
    between = election + column(RowStatus.AKTIF.value.encode()) + column(numbers(_FIRST_VERSION)) + epoch
    load, named = column(sealer.load.encode()), election + kab
    sizes, voters, keys, index = _Sizes(), list[bytes](), list[bytes](), list[bytes]()
    for row, one in zip(rows, made, strict=True):
        uid, b_nik = column(row.uid), column(row.b_nik)
        parts = [voter_head, uid, column(row.kec), column(row.desa), column(row.tps), between]
        for cell in one.cells:
            parts += (sizes[len(cell)], cell)
        parts += (b_nik, column(row.b_nkk), column(row.b_nd), column(one.seal), load)
        voters.append(b"".join(parts))
        keys.append(key_head + uid + column(one.wrapped) + epoch)
        index.append(index_head + b_nik + named + uid)
    return tuple(Packed(b"".join(one), array("I", map(len, one))) for one in (voters, keys, index))  # type: ignore[return-value]  # three


class _Sizes(dict[int, bytes]):
    """A cell's length as COPY writes it. Few differ: cells are padded to whole blocks."""

    def __missing__(self, size: int) -> bytes:
        made = self[size] = size.to_bytes(4, "big")
        return made
