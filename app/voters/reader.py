"""A DP4 file becomes rows: one pass judges the whole file, a second yields every row; memory stays flat.

``survey`` settles encoding, delimiter and columns and refuses nonsense before reading far; ``rows`` yields each row exactly
once, in order: as cells, or as text when it cannot be split. No row is left out: an empty line is not a row, all else is.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from app.kernel.errors import N_, BadInput
from app.voters.columns import STANDARD, Layout, Naming, lay_out, propose, read_naming, recognised
from app.voters.rules.findings import WHOLE_ROW, Finding, Reason
from app.voters.rules.rows import COLUMNS, REQUIRED, RawRow, UnreadableRow

Source = Path | Callable[[], BinaryIO]

# 2 GiB is ten times the largest kab/kota (4 M voters of about 150 bytes): more is not one kab/kota's DP4.
LARGEST_FILE = 2 << 30
# A row of DP4 is about 150 bytes, a wild one a few thousand; a line of 1 MiB is not text.
LONGEST_LINE = 1 << 20
_CHUNK = 1 << 18
_HEADER = 1 << 16
# A quoted address may run over a few lines; a quote open for longer was never closed.
_MOST_LINES = 20
_DELIMITERS = ",;\t|"

# What stands in a voter's cells and not in a header: a long number, also as a spreadsheet shortens it, or a date.
_VALUE = re.compile(r"\d{6}|\d[.,]\d+E|\d{1,4}[-/|.]\d{1,2}[-/|.]\d", re.IGNORECASE | re.ASCII)
# First bytes of what people send in place of CSV.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "zip, xlsx or ods"),
    (b"\xd0\xcf\x11\xe0", "xls"),
    (b"\x1f\x8b", "gzip"),
    (b"%PDF", "pdf"),
    (b"7z\xbc\xaf", "7z"),
    (b"Rar!", "rar"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"SQLite format 3", "sqlite"),
    (b"<", "html or xml"),
)
# Any character of two to four bytes in UTF-8, and the bytes that cp1252 leaves undefined.
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_LINE = re.compile(rb"[^\n]*\n|[^\n]+")


@dataclass(frozen=True, slots=True)
class Survey:
    """What the first pass found.

    size: bytes. encoding: ``utf-8`` or ``cp1252``. delimiter: one of comma, semicolon, tab, pipe. layout: where the columns
    stand. start: offset of the first row. rows_estimate: lines after the header; the rows are as many, but for empty lines
    and line ends inside quotes. names: the header's cells as they stand; in a file without a header they are a voter's.
    """

    size: int
    encoding: str
    delimiter: str
    layout: Layout
    start: int
    rows_estimate: int
    names: tuple[str, ...] = field(default=(), repr=False)


def survey(
    source: Source, mapping: Path | Layout | None = None, feed: Callable[[bytes], object] | None = None, *, largest: int = LARGEST_FILE
) -> Survey:
    """Read the whole of *source* once and return how to read its rows.

    source: a path, or a function that opens the same seekable bytes anew. mapping: a mapping file (see ``read_naming``), or a layout that
    somebody chose for this very file (see ``look``). feed: is given every byte, in order, for a digest; when this raises it may have had a part only. largest: bytes. Raises
    BadInput for what is not a DP4 file, at once for anything that its beginning or its size shows; ``public`` says the
    remedy, ``detail`` and ``field`` name what and where, never a value.
    """
    if isinstance(mapping, Layout):
        return _survey(source, STANDARD, lambda names: _chosen(mapping, names), feed, largest)
    naming = _naming(mapping)
    return _survey(source, naming, lambda names: lay_out(names, naming), feed, largest)


def look(source: Source, feed: Callable[[bytes], object] | None = None, *, largest: int = LARGEST_FILE) -> Survey:
    """As ``survey``, for a file whose columns somebody will choose: the layout is a proposal, with None where nothing has the name.

    Raises BadInput as ``survey`` does, but not for columns that are missing or unknown, unless the first row seems to be a voter.
    """
    return _survey(source, STANDARD, _proposed, feed, largest)


def first_cells(source: Source, found: Survey, most: int) -> list[list[str]]:
    """Return the cells of the first *most* rows that can be split, as they stand. They are voters' values: keep them in memory."""
    with opened(source) as stream:
        stream.seek(found.start)
        lines = Lines(stream, found.encoding, found.start)
        found_rows = (cells for cells in islice(records(lines, found.delimiter, found.layout.width), most) if isinstance(cells, list))
        return list(found_rows)


def _survey(
    source: Source, naming: Naming, place: Callable[[list[str]], Layout], feed: Callable[[bytes], object] | None, largest: int
) -> Survey:
    with opened(source) as stream:
        size = stream.seek(0, 2)
        stream.seek(0)
        head = read_full(stream, _CHUNK)
        _refuse_nonsense(head)
        delimiter, names, start = _read_header(head, naming)
        layout = place(names)
        if size > largest:
            raise BadInput(f"{size} bytes, more than {largest}", field="file", public=_TOO_LARGE)
        judge = _Judge(start)
        chunk = head
        while chunk:
            if feed is not None:
                feed(chunk)
            judge.take(chunk)
            chunk = stream.read(_CHUNK)
    encoding = judge.encoding(head.startswith(codecs.BOM_UTF8))
    return Survey(judge.size, encoding, delimiter, layout, start, judge.rows_estimate(), tuple(names))


def _proposed(names: list[str]) -> Layout:
    layout = propose(names)
    # Nothing known and a long number or a date among the names: a voter, not a header.
    if all(cell is None for cell in layout.cells) and (len(names) < len(REQUIRED) or any(map(_VALUE.search, names))):
        return lay_out(names, STANDARD)
    return layout


def _chosen(layout: Layout, names: list[str]) -> Layout:
    if len(names) != layout.width:
        raise changed()
    return layout


def rows(source: Source, found: Survey, skip: int = 0) -> Iterator[RawRow | UnreadableRow]:
    """Yield every row of a surveyed *source* after the first *skip*, in order, numbered from 1 after the header.

    Raises BadInput when the file is no longer the one that was surveyed.
    """
    pick = itemgetter(*(found.layout.width if cell is None else cell for cell in found.layout.cells))
    with opened(source) as stream:
        stream.seek(found.start)
        lines = Lines(stream, found.encoding, found.start)
        for row_no, cells in enumerate(records(lines, found.delimiter, found.layout.width), 1):
            if row_no <= skip:
                continue
            if isinstance(cells, list):
                cells.append("")  # the cell of every column that the file leaves out
                yield RawRow(row_no, dict(zip(COLUMNS, pick(cells), strict=True)), lines.end)
            else:
                yield UnreadableRow(row_no, lines.text(), (Finding(WHOLE_ROW, cells),), lines.end)
    if lines.end != found.size:
        raise changed()


class _Judge:
    """Looks at every byte once: encoding, longest line, whether there are rows. start: where the rows begin."""

    def __init__(self, start: int) -> None:
        self.size = 0
        self._ahead = start
        self._decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")("strict")
        self._multibyte = self._undefined = self._rows = False
        self._tail = b""
        self._open_line = 0
        self._lines = 0

    def take(self, chunk: bytes) -> None:
        """Look at the next bytes. Raises BadInput for a line longer than LONGEST_LINE."""
        self.size += len(chunk)
        body, self._ahead = chunk[self._ahead :], max(0, self._ahead - len(chunk))
        self._rows = self._rows or bool(body.strip(b"\r\n"))
        self._lines += body.count(b"\n")
        self._measure(chunk)
        if not chunk.isascii():
            self._multibyte = self._multibyte or _MULTIBYTE.search(self._tail + chunk) is not None
            self._undefined = self._undefined or _UNDEFINED.search(chunk) is not None
        self._tail = chunk[-3:]
        self._decode(chunk)

    def encoding(self, marked: bool) -> str:
        """Return ``utf-8`` or ``cp1252``. marked: the file begins with the UTF-8 mark. Raises BadInput when it is neither, or both.

        A file that is not UTF-8 and yet holds characters of UTF-8 was glued together; read as cp1252 it would change names.
        """
        self._decode(b"", final=True)
        if self._decoder is not None:
            return "utf-8"
        if marked or self._multibyte or self._undefined:
            raise BadInput("neither UTF-8 nor cp1252 throughout", field="file", public=_ENCODING)
        return "cp1252"

    def rows_estimate(self) -> int:
        """Return the number of lines after the header. Raises BadInput when there is no row."""
        if not self._rows:
            raise BadInput("a header and no row", field="file", public=N_("Berkas hanya berisi judul kolom, tanpa satu pun baris pemilih."))
        return self._lines if self._tail.endswith(b"\n") else self._lines + 1

    def _decode(self, chunk: bytes, final: bool = False) -> None:
        if self._decoder is None:
            return
        try:
            self._decoder.decode(chunk, final)
        except UnicodeDecodeError:
            self._decoder = None

    def _measure(self, chunk: bytes) -> None:
        first = chunk.find(b"\n")
        if self._open_line + (first if first >= 0 else len(chunk)) > LONGEST_LINE:
            raise _line_too_long(self.size)
        self._open_line = self._open_line + len(chunk) if first < 0 else len(chunk) - chunk.rfind(b"\n") - 1


class _StillOpen(Exception):
    """A quote has stayed open for _MOST_LINES lines."""


class Lines:
    """The lines of the rows, decoded one at a time; those of the row in hand can be given back."""

    def __init__(self, stream: BinaryIO, encoding: str, start: int) -> None:
        self._stream, self._encoding = stream, encoding
        self._returned: deque[bytes] = deque()
        self.taken: list[bytes] = []
        self.end = start

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.taken) >= _MOST_LINES:
            raise _StillOpen
        line = self._returned.popleft() if self._returned else self._stream.readline(LONGEST_LINE + 2)
        if not line:
            raise StopIteration
        if len(line) > LONGEST_LINE + 1:
            raise _line_too_long(self.end)
        self.taken.append(line)
        self.end += len(line)
        return self._decoded(line)

    def keep_first(self) -> None:
        """Give back every line of the row in hand but the first."""
        self._returned.extendleft(reversed(self.taken[1:]))
        self.end -= sum(map(len, self.taken[1:]))
        del self.taken[1:]

    def text(self) -> str:
        """Return the row in hand as the file has it."""
        return "".join(map(self._decoded, self.taken))

    def _decoded(self, line: bytes) -> str:
        try:
            return line.decode(self._encoding)
        except UnicodeDecodeError:
            raise changed() from None


def records(lines: Lines, delimiter: str, width: int) -> Iterator[list[str] | Reason]:
    """Yield each row's cells, exactly *width* of them, or the reason why the lines in hand are none.

    A row that cannot be split gives up its first line only; the lines after it are read anew, so that one stray quote does not
    swallow the voters below it.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.taken.clear()
        cells: list[str] | None = None
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, _StillOpen):
            pass
        if cells is not None and len(cells) == width and not (len(lines.taken) > 1 and _is_torn(cells, delimiter)):
            yield cells
        elif cells is None or len(lines.taken) > 1:
            lines.keep_first()
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            yield Reason.FIELD_TOO_LONG if len(lines.taken[0]) > csv.field_size_limit() else Reason.ROW_UNREADABLE
        elif cells:
            yield Reason.ROW_CELLS


def _is_torn(cells: list[str], delimiter: str) -> bool:
    """Say whether a cell of several lines holds the delimiters of a whole row: two stray quotes with rows between them."""
    return any("\n" in cell and cell.count(delimiter) >= len(cells) - 1 for cell in cells)


def _refuse_nonsense(head: bytes) -> None:
    if not head.strip(b"\xef\xbb\xbf\r\n\t "):
        raise BadInput("empty", field="file", public=N_("Berkas kosong. Periksa apakah berkas yang dipilih sudah benar."))
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise BadInput("UTF-16", field="file", public=N_("Berkas disimpan sebagai UTF-16. Simpan ulang sebagai CSV UTF-8."))
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            raise BadInput(f"looks like {kind}", field="file", public=_NOT_CSV)
    if b"\0" in head:
        raise BadInput("NUL bytes near the beginning", field="file", public=_NOT_CSV)


def _read_header(head: bytes, naming: Naming) -> tuple[str, list[str], int]:
    """Return delimiter, the header's cells and the offset after it. Raises BadInput when *head* begins with no line of text."""
    mark = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
    lines = _LINE.findall(head[mark : mark + _HEADER])
    if b"\n" not in head and b"\r" in head.rstrip(b"\r"):
        raise BadInput("lines end with CR alone", field="file", public=_LINE_ENDS)
    if len(lines[0]) >= _HEADER:
        raise BadInput(f"first line longer than {_HEADER} bytes", field="file", public=_NOT_CSV)
    tried = [_split_header(lines[:_MOST_LINES], delimiter) for delimiter in _DELIMITERS]
    # Where no name is known, the delimiter that makes most cells.
    best = max(range(len(_DELIMITERS)), key=lambda place: (recognised(tried[place][0], naming), len(tried[place][0])))
    names, used = tried[best]
    return _DELIMITERS[best], names, mark + sum(map(len, lines[:used]))


def _split_header(lines: list[bytes], delimiter: str) -> tuple[list[str], int]:
    """Return the cells of the first line that is not empty and how many lines went into them; no cells when it is torn."""
    reader = csv.reader(map(_tolerant, lines), delimiter=delimiter, strict=True)
    try:
        return next((cells for cells in reader if cells), []), reader.line_num
    except csv.Error:
        return [], 0


def _tolerant(line: bytes) -> str:
    """Decode a header line before the encoding is settled; the survey of the whole file confirms or refuses it."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")


def _naming(mapping: Path | None) -> Naming:
    if mapping is None:
        return STANDARD
    with opened(mapping) as stream:
        return read_naming(stream.read(_HEADER))


@contextmanager
def opened(source: Source) -> Iterator[BinaryIO]:
    """Open *source* for as long as the block lasts. Raises BadInput when it cannot be read."""
    if isinstance(source, Path) and not source.is_file():
        raise BadInput("not a file", field="file", public=_UNREADABLE)
    try:
        with source.open("rb") if isinstance(source, Path) else source() as stream:
            yield stream
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", field="file", public=_UNREADABLE) from None


def read_full(stream: BinaryIO, size: int) -> bytes:
    """Return *size* bytes, or all that is left; a raw stream may give less at a time."""
    parts: list[bytes] = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


_NOT_CSV = N_("Berkas ini bukan teks CSV. Buka di lembar kerja atau aplikasi asalnya, lalu simpan sebagai CSV UTF-8.")
_TOO_LARGE = N_("Berkas terlalu besar. Pecah menjadi beberapa berkas, satu untuk setiap kabupaten/kota atau kecamatan.")
_ENCODING = N_("Huruf di dalam berkas tidak dapat dibaca dengan pasti. Simpan ulang seluruh berkas sebagai CSV UTF-8.")
_LINE_ENDS = N_("Ganti baris berkas ini tidak dikenal. Simpan ulang sebagai CSV UTF-8.")
_UNREADABLE = N_("Berkas tidak dapat dibaca. Periksa nama, tempat dan izin berkas.")


def _line_too_long(offset: int) -> BadInput:
    return BadInput(f"a line of more than {LONGEST_LINE} bytes before byte {offset}", field="file", public=_NOT_CSV)


def changed() -> BadInput:
    """Return the error that the file is no longer the one that was surveyed."""
    return BadInput(
        "the file changed while it was read", field="file", public=N_("Berkas berubah selama dibaca. Ulangi pemuatan dari awal.")
    )
