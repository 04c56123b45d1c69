"""Finds the NIKs that a file holds twice, or that the election already has, before anything of the file is stored.

One pass over the file makes a keyed token of every NIK and keeps 12 bytes a row: the token and the row's number, parted by the token's
first byte. What does not fit into _HELD goes to a nameless temporary file; no value is ever there. Then part after part: equal tokens are
rows of one NIK; tokens that the national index knows too are asked about inside the vault, a page at a time, each page with its entry.

Memory: at most _HELD bytes of tokens (350,000 rows), one part, and 4 bytes for each row in conflict. Disk: 12 bytes a row, 48 MB for the
four million rows of the largest kab/kota.
"""

from __future__ import annotations

import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hmac import compare_digest
from itertools import chain, groupby
from typing import BinaryIO

from sqlalchemy import select

from app import touch
from app.kernel.actor import Actor, Ask
from app.kernel.clock import Clock
from app.kernel.errors import N_, BadInput
from app.kernel.regions import NATION
from app.store.bulk import among
from app.touch import Guard
from app.vault.blind import NIK_BYTES, WIDE_BYTES, Blind, FileDigest
from app.voters.actions import rows_by_nik
from app.voters.blocks import Block, Reading, blocks
from app.voters.crew import Crew
from app.voters.reader import Source, Survey, changed, opened, read_full
from app.voters.rules.nik import LENGTH, is_sixteen_digits
from app.voters.rules.rows import UnreadableRow
from app.voters.rules.text import normalise
from app.voters.tables import NikIndex

_RECORD = WIDE_BYTES + 4
_PARTS = 256
_HELD = 4 << 20
# Tokens per question to the index, and NIKs per comparison and entry.
_PAGE = 5_000
_MARK = 16
# Set in a row number: its token was made under an older key, and says nothing about the file.
_OLDER = 1 << 31
# Tokens kept to tell the load where to look; a file with more conflicts is looked at whole.
MOST_SUSPECTS = 1 << 16
FILE, ROLL = "file", "roll"
NO_SPACE = N_("Tempat penyimpanan sementara penuh. Kosongkan sebagian, lalu ulangi; belum ada yang tersimpan.")


@dataclass(frozen=True, slots=True)
class Report:
    """The conflicts of a file. rows: of the file. in_file: numbers of rows whose NIK an earlier row has. in_roll: numbers of rows whose NIK
    the election has, in any kab/kota; both in the file's order. compared: voters whose NIK was opened to be compared.

    suspects: index tokens worth a look while loading, None for all of them. marks: of every block, so that a file that changes is noticed.
    """

    rows: int
    in_file: Sequence[int]
    in_roll: Sequence[int]
    compared: int
    suspects: frozenset[bytes] | None = field(default=None, repr=False)
    marks: Sequence[bytes] = field(default=(), repr=False)

    @property
    def count(self) -> int:
        """How many rows are in conflict, one that is in both ways once."""
        return len({*self.in_file, *self.in_roll})

    def within(self, block: Block) -> frozenset[int]:
        """Return the rows of *block* that are in conflict."""
        ends = (block.first, block.first + block.rows)
        return frozenset(row for kind in (self.in_file, self.in_roll) for row in kind[slice(*(bisect_left(kind, end) for end in ends))])

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield (row number, ``file`` or ``roll``), in the file's order."""
        kinds = [(row, FILE) for row in self.in_file] + [(row, ROLL) for row in self.in_roll]
        yield from sorted(kinds)


@dataclass(frozen=True, slots=True)
class Finder:
    """Looks for the conflicts of one file. older: blind indexes under older NIK keys, while a rotation is under way. size: rows per block."""

    guard: Guard
    actor: Actor
    ask: Ask
    clock: Clock
    source: Source
    found: Survey
    blind: Blind
    older: Sequence[Blind]
    workers: int
    size: int

    def report(self, digest: bytes, advance: Callable[[int, int], None], *, asked: bool = True) -> Report:
        """Read the file once more and return its conflicts. digest: of the survey, which this pass must meet again. asked: whether anybody
        wants to know them; else the file is only marked, for a load that goes on.

        Raises BadInput when the file changed or no room is left for tokens; NotThere (matching refused), SealBroken (both recorded).
        """
        marks = Marks(self.guard, self.source, self.found)
        crew = Crew(self._tokens if asked else _no_tokens, self.workers if asked else 0)
        rows = 0
        with _Spool() as spool:
            with closing(crew.results(blocks(self.source, self.found, self.size, seen=marks.note))) as results:
                for block, records in results:
                    spool.add(records)
                    rows += block.rows
                    advance(block.end, self.found.size)
            if not compare_digest(marks.digest(), digest):
                raise changed()
            return self._sorted_out(spool, rows, marks.noted) if asked else Report(rows, (), (), 0, None, marks.noted)

    def _tokens(self, block: Block) -> bytes:
        """Return the record of every row of *block* that has a NIK; one more for every older key, marked so."""
        numbers, niks = [], []
        for row_no, nik in self._niks(block):
            numbers.append(row_no)
            niks.append(nik)
        parts = [*map(bytes.__add__, self.blind.wide_niks(niks, self.ask.election), (row_no.to_bytes(4, "big") for row_no in numbers))]
        for blind in self.older:
            old = ((row_no | _OLDER).to_bytes(4, "big") for row_no in numbers)
            parts += map(bytes.__add__, blind.wide_niks(niks, self.ask.election), old)
        return b"".join(parts)

    def _niks(self, block: Block) -> Iterator[tuple[int, bytes]]:
        """Yield the number of every row of *block* that has a NIK, and the NIK."""
        reading = Reading(self.found)
        if reading.nik is None or not block.simple:
            yield from self._slowly(reading, block)
            return
        at, mark, others = reading.nik, self.found.delimiter.encode(), self.found.layout.width - 1
        for row_no, line, usual in reading.lines(block):
            if usual:
                nik = line.split(mark, at + 1)[at].strip() if line.count(mark) == others else b""
                if len(nik) == LENGTH and nik.isdigit():
                    yield row_no, nik
            else:
                yield from self._slowly(reading, Block(row_no, 1, 0, False, line))

    def _slowly(self, reading: Reading, block: Block) -> Iterator[tuple[int, bytes]]:
        for row in reading.rows(block):
            raw = reading.raw(row)
            text = "" if isinstance(raw, UnreadableRow) else normalise(raw.cells["NIK"])
            if is_sixteen_digits(text):
                yield row.row_no, text.encode()

    def _sorted_out(self, spool: _Spool, rows: int, marks: Sequence[bytes]) -> Report:
        """Return the report of a file whose tokens stand in *spool*: the same NIK twice shows by itself, the roll must be asked."""
        in_file, meeting, suspects = array("I"), array("I"), set[bytes]()
        by_token: dict[bytes, list[int]] = {}
        all_of_them = False
        for records in chain(spool.parts(), ((),)):
            for token, group in groupby(sorted(records), key=lambda record: record[:WIDE_BYTES]):
                marked = [int.from_bytes(record[WIDE_BYTES:], "big") for record in group]
                here = [number for number in marked if number < _OLDER]
                in_file.extend(here[1:])
                if len(here) > 1:
                    suspects.add(token[:NIK_BYTES])
                by_token.setdefault(token[:NIK_BYTES], []).extend(number & ~_OLDER for number in marked)
            # A small file has few tokens in a part; a question for each part would take longer than all answers.
            if len(by_token) >= _PAGE or not records:
                met = self._met(list(by_token))
                suspects |= met
                meeting.extend(number for token in met for number in by_token[token])
                by_token.clear()
            if len(suspects) > MOST_SUSPECTS:
                all_of_them, suspects = True, set()
        in_roll, compared = self._in_roll(frozenset(meeting), marks)
        named = None if all_of_them else frozenset(suspects)
        return Report(rows, array("I", sorted(in_file)), in_roll, compared, named, marks)

    def _met(self, tokens: Sequence[bytes]) -> set[bytes]:
        """Return those of *tokens* that the national index knows in this election."""
        met = set[bytes]()
        for start in range(0, len(tokens), _PAGE):
            with self.guard.store.reading() as session:
                here = (among(session, NikIndex.b_nik, tokens[start : start + _PAGE]), NikIndex.election == self.ask.election)
                met.update(session.scalars(select(NikIndex.b_nik).where(*here).distinct()))
        return met

    def _in_roll(self, meeting: Collection[int], marks: Sequence[bytes]) -> tuple[Sequence[int], int]:
        """Return the rows among *meeting* whose NIK a voter of the roll really has, and how many voters were compared."""
        found, compared, page = array("I"), 0, list[tuple[int, bytes]]()
        if not meeting:
            return found, compared
        again = Marks(self.guard, self.source, self.found, marks)
        for block in blocks(self.source, self.found, self.size, seen=again.note):
            if any(row_no in meeting for row_no in range(block.first, block.first + block.rows)):
                page += [(row_no, nik) for row_no, nik in self._niks(block) if row_no in meeting]
            if len(page) >= _PAGE:
                compared += self._ask(page, found)
                page.clear()
        return found, compared + self._ask(page, found)

    def _ask(self, page: Sequence[tuple[int, bytes]], found: array[int]) -> int:
        """Ask inside the vault which NIKs of *page* the roll has; add their rows to *found*. One entry; return how many were opened."""
        by_token: dict[bytes, set[str]] = {}
        for _row_no, nik in page:
            for blind in (self.blind, *self.older):
                by_token.setdefault(blind.b_nik(nik.decode(), self.ask.election), set()).add(nik.decode())
        with self.guard.store.reading() as session:
            rows = rows_by_nik(session, self.ask.election, list(by_token))
        pairs = [(nik, row) for row in rows for nik in sorted(by_token.get(row.b_nik, ()))]
        taken = touch.duplicates(self.guard, self.actor, self.ask, pairs, now=self.clock.now())
        found.extend(row_no for row_no, nik in page if nik.decode() in taken)
        return len(pairs)


def _no_tokens(block: Block) -> bytes:
    return b""


class Marks:
    """Notes where a running digest of the file stands at the end of every block, and tells a later reading that meets other bytes.

    known: what an earlier reading noted. Raises BadInput from ``note`` at the first block that differs, before anybody works on it.
    """

    def __init__(self, guard: Guard, source: Source, found: Survey, known: Sequence[bytes] | None = None) -> None:
        self._state = FileDigest(guard.keys.key("index", NATION))
        self._known = known
        self.noted: list[bytes] = []
        with opened(source) as stream:
            self._state.update(read_full(stream, found.start))

    def note(self, data: bytes) -> None:
        """Take the bytes of the next block. Raises BadInput when they are not those of the earlier reading."""
        self._state.update(data)
        mark = self._state.digest()[:_MARK]
        at = len(self.noted)
        if self._known is not None and (at >= len(self._known) or not compare_digest(mark, self._known[at])):
            raise changed()
        self.noted.append(mark)

    def digest(self) -> bytes:
        """Return the digest of all that was read, as of the whole file."""
        return self._state.digest()


class _Spool:
    """Records parted by their first byte, in memory up to _HELD bytes and then in a file without a name."""

    def __init__(self) -> None:
        self._held = [bytearray() for _ in range(_PARTS)]
        self._stretches: list[list[tuple[int, int]]] = [[] for _ in range(_PARTS)]
        self._size, self._end = 0, 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> _Spool:
        return self

    def __exit__(self, *_what: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, records: bytes) -> None:
        """Take records, _RECORD bytes each. Raises BadInput when the disk is full."""
        held = self._held
        for start in range(0, len(records), _RECORD):
            held[records[start]] += records[start : start + _RECORD]
        self._size += len(records)
        if self._size > _HELD:
            self._spill()

    def parts(self) -> Iterator[list[bytes]]:
        """Yield the records of each first byte."""
        for held, stretches in zip(self._held, self._stretches, strict=True):
            records = _cut(bytes(held))
            for start, size in stretches:
                assert self._file is not None
                self._file.seek(start)
                records += _cut(self._file.read(size))
            if records:
                yield records

    def _spill(self) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="gardu-tokens-")  # noqa: SIM115  closed by __exit__
            for held, stretches in zip(self._held, self._stretches, strict=True):
                self._file.write(held)
                stretches.append((self._end, len(held)))
                self._end += len(held)
                held.clear()
            self._file.flush()
        except OSError as error:
            where = tempfile.gettempdir()
            raise BadInput(
                f"no room for the tokens of the NIKs in {where}: {error.strerror}; nothing was stored", field="file", public=NO_SPACE
            ) from None
        self._size = 0


def _cut(data: bytes) -> list[bytes]:
    return [data[at : at + _RECORD] for at in range(0, len(data), _RECORD)]
