"""Cuts a surveyed file into blocks of whole rows without splitting them, and reads the rows of one block wherever it was taken.

The process that stores looks for line ends only; what costs, splitting and checking, is done by whoever is handed a block. The rows that
come out, their numbers and their order are those of ``reader.rows``, whatever the file holds.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
from operator import itemgetter
from typing import BinaryIO, NamedTuple

from app.voters.reader import Lines, Source, Survey, changed, opened, read_full, records
from app.voters.rules.check import LONGEST_FIELD
from app.voters.rules.findings import WHOLE_ROW, Finding, Reason
from app.voters.rules.rows import COLUMNS, RawRow, UnreadableRow
from app.voters.rules.text import is_plain

_LEAST_READ = 1 << 16
_PRINTABLE = bytes(range(0x20, 0x7F))


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes of a file that hold whole rows. first: number of the first, from 1 after the header; rows: how many; end: offset behind it.

    simple: every line is one row, or empty.
    """

    first: int
    rows: int
    end: int
    simple: bool
    data: bytes = field(repr=False)


class Row(NamedTuple):
    """One row of a block. given: its cells in the file's order, or what it is when it has none; cells: the 18 of COLUMNS as the quick check
    takes them, or None where it cannot.
    """

    row_no: int
    given: Sequence[str] | Sequence[bytes] | UnreadableRow
    cells: tuple[bytes, ...] | None

    def __repr__(self) -> str:
        return f"Row({self.row_no})"


def blocks(source: Source, found: Survey, size: int, *, skip: int = 0, seen: Callable[[bytes], object] | None = None) -> Iterator[Block]:
    """Yield the rows of a surveyed *source* behind the first *skip*, in blocks of at most *size* rows, in order.

    seen: is given every byte of the rows, in order and before they are yielded; what it raises ends the walk. Raises BadInput when the
    file is no longer as long as it was.
    """
    with opened(source) as stream:
        walk = _Walk(stream, found, size)
        for block in walk.blocks():
            if seen is not None:
                seen(block.data)
            behind = skip - (block.first - 1)
            # A stretch of empty lines has no row, yet its bytes were seen.
            if behind < block.rows and block.rows:
                yield block if behind <= 0 else _without(block, behind, found)
    if walk.end != found.size:
        raise changed()


class _Walk:
    """A walk over the rows of a file. end: offset behind the last block."""

    def __init__(self, stream: BinaryIO, found: Survey, size: int) -> None:
        self._stream, self._found, self._size = stream, found, size
        self._ahead, self._row = b"", 1
        self.end = found.start
        # A little more than so many rows take, so that one read fills a block.
        self._piece = max(_LEAST_READ, size * ((found.size - found.start) // found.rows_estimate + 2))
        stream.seek(self.end)

    def blocks(self) -> Iterator[Block]:
        while found := self._lines():
            data, lines = found
            rows, simple = _rows_of(lines), True
            if b'"' in data and not _one_a_line(data, rows, self._found):
                # Quotes that hold line ends, or were never closed: here, and only here, rows must be split to be counted.
                data, rows = self._split()
                simple = False
            self.end += len(data)
            block = Block(self._row, rows, self.end, simple, data)
            self._row += rows
            yield block

    def _lines(self) -> tuple[bytes, list[bytes]] | None:
        """Return the next *size* lines, or all that are left, together and one by one without their ends; None at the end."""
        while True:
            lines = self._ahead.split(b"\n", self._size)
            if len(lines) > self._size:
                rest = lines.pop()
                data = self._ahead[: len(self._ahead) - len(rest)]
                self._ahead = rest
                return data, lines
            more = self._stream.read(self._piece)
            if not more:
                data, self._ahead = self._ahead, b""
                return (data, lines) if data else None
            self._ahead += more

    def _split(self) -> tuple[bytes, int]:
        """Return the next *size* rows from here, however many lines they have, and how many they are."""
        self._stream.seek(self.end)
        lines = Lines(self._stream, self._found.encoding, self.end)
        rows = sum(1 for _row in islice(records(lines, self._found.delimiter, self._found.layout.width), self._size))
        self._stream.seek(self.end)
        data, self._ahead = read_full(self._stream, lines.end - self.end), b""
        return data, rows


class Reading:
    """Reads the rows of blocks of one surveyed file."""

    def __init__(self, found: Survey) -> None:
        self._delimiter, self._encoding, self._width = found.delimiter, found.encoding, found.layout.width
        # A column that the file leaves out is the cell behind the last, which is empty.
        self._pick = itemgetter(*(self._width if cell is None else cell for cell in found.layout.cells))
        self.nik = found.layout.cells[COLUMNS.index("NIK")]
        mark = self._delimiter.encode()
        self._usual = _PRINTABLE + mark
        self._blanks = (mark + b" ", b" " + mark, b"\n ", b" \n", b" \r")

    def rows(self, block: Block) -> Iterator[Row]:
        """Yield the rows of *block*, in order."""
        return self._line_by_line(block) if block.simple else self._split(block.data, block.first)

    def lines(self, block: Block) -> Iterator[tuple[int, bytes, bool]]:
        """Yield the number of every row of a simple *block*, its line with its end, and whether splitting it at the delimiter is all that csv
        would do: printable ASCII without a quote, no longer than a field may be.
        """
        data = block.data
        lines = [line + b"\n" for line in data.split(b"\n")]
        last = lines.pop()[:-1]
        lines += [last] if last else []
        if b"\n" in lines or b"\r" in data:
            lines = [line for line in lines if line.strip(b"\r\n")]
        usual = (
            max(map(len, lines)) <= LONGEST_FIELD
            and b'"' not in data
            and not data.replace(b"\r\n", b"\n").translate(None, self._usual + b"\n")
        )
        for row_no, line in enumerate(lines, block.first):
            yield row_no, line, usual or self._is_usual(line)

    def _is_usual(self, line: bytes) -> bool:
        return b'"' not in line and len(line) <= LONGEST_FIELD and not line.rstrip(b"\r\n").translate(None, self._usual)

    def raw(self, row: Row) -> RawRow | UnreadableRow:
        """Return a row as the file has it, untouched: for ``check`` or for the quarantine."""
        if isinstance(row.given, UnreadableRow):
            return row.given
        texts = [*(cell.decode("ascii") if isinstance(cell, bytes) else cell for cell in row.given[: self._width]), ""]
        return RawRow(row.row_no, dict(zip(COLUMNS, self._pick(texts), strict=True)))

    def _line_by_line(self, block: Block) -> Iterator[Row]:
        mark, width, pick = self._delimiter.encode(), self._width, self._pick
        blanks = any(blank in block.data for blank in self._blanks) or block.data.startswith(b" ") or block.data.endswith(b" ")
        for row_no, line, usual in self.lines(block):
            if not usual:
                yield from self._split(line, row_no)
                continue
            given = line.rstrip(b"\r\n").split(mark)
            if len(given) == width:
                # The cell of every column that the file leaves out.
                given.append(b"")
                yield Row(row_no, given, pick([cell.strip() for cell in given] if blanks else given))
            else:
                yield Row(row_no, self._unreadable(row_no, line.decode("ascii"), Reason.ROW_CELLS), None)

    def _split(self, data: bytes, first: int) -> Iterator[Row]:
        lines = Lines(BytesIO(data), self._encoding, 0)
        for row_no, cells in enumerate(records(lines, self._delimiter, self._width), first):
            if isinstance(cells, Reason):
                yield Row(row_no, self._unreadable(row_no, lines.text(), cells), None)
                continue
            joined = " ".join(cells)
            usual = len(joined) <= LONGEST_FIELD and is_plain(joined)
            yield Row(row_no, cells, self._pick([*(cell.strip().encode() for cell in cells), b""]) if usual else None)

    def _unreadable(self, row_no: int, text: str, reason: Reason) -> UnreadableRow:
        return UnreadableRow(row_no, text, (Finding(WHOLE_ROW, reason),))


def _rows_of(lines: list[bytes]) -> int:
    """Return how many of *lines* are rows when none holds a quote: all but the empty ones."""
    if b"" in lines or b"\r" in lines or lines[-1].endswith(b"\r"):
        return sum(1 for line in lines if line.strip(b"\r"))
    return len(lines)


def _one_a_line(data: bytes, rows: int, found: Survey) -> bool:
    """Say whether every line of *data*, which holds quotes, is a row of its own."""
    try:
        lines = data.decode(found.encoding).split("\n")
        return sum(1 for cells in csv.reader((line + "\n" for line in lines), delimiter=found.delimiter, strict=True) if cells) == rows
    except (csv.Error, UnicodeDecodeError):
        return False


def _without(block: Block, behind: int, found: Survey) -> Block:
    """Return *block* without its first *behind* rows."""
    stream = BytesIO(block.data)
    lines = Lines(stream, found.encoding, 0)
    for _row in islice(records(lines, found.delimiter, found.layout.width), behind):
        pass
    return Block(block.first + behind, block.rows - behind, block.end, block.simple, block.data[lines.end :])
