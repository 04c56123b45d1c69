"""From bytes to rows: every accepted form reads alike, nonsense is refused early, and no row is left out."""

from __future__ import annotations

import csv
import hashlib
import io
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.kernel.errors import BadInput
from app.voters.columns import STANDARD, Naming, lay_out, read_naming
from app.voters.reader import LONGEST_LINE, Survey, rows, survey
from app.voters.rules.findings import Reason
from app.voters.rules.rows import COLUMNS, OPTIONAL, REQUIRED, RawRow, UnreadableRow

CELLS = {column: f"isi {column}" for column in COLUMNS} | {
    "NAMA": "JOSÉ “PEPE” D'ÉCOLE",
    "TGL_LHR": "01|07|1990",
    "ALAMAT": 'JL. A, NO. 1; "B"\tC',
}


def opener(data: bytes) -> Callable[[], BinaryIO]:
    """Return a function that opens *data* anew."""
    return lambda: io.BytesIO(data)


def written(
    records: Sequence[Sequence[str]],
    delimiter: str = ",",
    *,
    quoting: int = csv.QUOTE_MINIMAL,
    end: str = "\n",
    header: Sequence[str] = COLUMNS,
) -> str:
    """Return a CSV text with *header* and *records*."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(header)
    writer.writerows(records)
    return out.getvalue()


def read(data: bytes, skip: int = 0) -> list[RawRow | UnreadableRow]:
    """Survey and read *data*."""
    return list(rows(opener(data), survey(opener(data)), skip))


def refused(data: bytes) -> BadInput:
    """Return the refusal of *data*."""
    with pytest.raises(BadInput) as caught:
        survey(opener(data))
    return caught.value


def line(**changes: str) -> str:
    """Return one plain row of 18 cells without its line end."""
    return ",".join({**dict.fromkeys(COLUMNS, "x"), **changes}.values())


HEADER = ",".join(COLUMNS)


@pytest.mark.parametrize("delimiter", list(",;\t|"))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_accepted_form_reads_alike(delimiter: str, encoding: str, quoting: int, end: str) -> None:
    """Four delimiters, three encodings, quotes where needed or everywhere, both line ends."""
    data = written([list(CELLS.values())] * 3, delimiter, quoting=quoting, end=end).encode(encoding)

    found = survey(opener(data))
    read_back = list(rows(opener(data), found))

    assert (found.delimiter, found.encoding, found.size) == (delimiter, "cp1252" if encoding == "cp1252" else "utf-8", len(data))
    assert [row.row_no for row in read_back] == [1, 2, 3]
    assert all(isinstance(row, RawRow) and row.cells == CELLS for row in read_back)
    assert read_back[-1].end == len(data)


@pytest.mark.parametrize("last", ["", "\n", "\r\n", "\n\n\r\n"])
def test_the_last_line_may_end_or_not(last: str) -> None:
    """Empty lines at the end are no rows."""
    assert len(read(f"{HEADER}\n{line()}\n{line()}{last}".encode())) == 2


def test_empty_lines_are_no_rows_and_lines_of_delimiters_are() -> None:
    """A spreadsheet's leftover of delimiters is counted, not lost."""
    got = read(f"\n{HEADER}\n\n{line()}\n\r\n{',' * 17}\n".encode())

    assert [row.row_no for row in got] == [1, 2]
    assert isinstance(got[1], RawRow)
    assert set(got[1].cells.values()) == {""}


def test_columns_stand_in_any_order_and_case() -> None:
    """Blanks and case of a header do not matter."""
    names = list(reversed(COLUMNS))

    data = written([[CELLS[name] for name in names]], header=[f" {name.lower()} " for name in names]).encode()

    assert [row.cells for row in read(data) if isinstance(row, RawRow)] == [CELLS]


def test_optional_columns_may_be_left_out() -> None:
    """Their cells are empty."""
    data = written([[CELLS[name] for name in REQUIRED]], header=REQUIRED).encode()

    (row,) = read(data)

    assert isinstance(row, RawRow)
    assert row.cells == CELLS | dict.fromkeys(OPTIONAL, "")


@pytest.mark.parametrize("column", REQUIRED)
def test_a_missing_column_is_named(column: str) -> None:
    """So that it can be mapped or added."""
    error = refused(written([["x"] * 17], header=[name for name in COLUMNS if name != column]).encode())

    assert error.field == column
    assert column in error.detail


def test_a_column_given_twice_is_named() -> None:
    """Which of the two would count is not for us to guess."""
    assert refused(f"{HEADER},nik\n{line()},x".encode()).field == "NIK"


def test_an_unknown_column_is_named_with_its_place() -> None:
    """It would be dropped silently otherwise."""
    assert "19 ('LastUpdate')" in refused(f"{HEADER},LastUpdate\n{line()},x".encode()).detail


def test_a_file_without_header_shows_no_voter() -> None:
    """Its first row is a person; the refusal speaks of columns only."""
    error = refused(f"{line(NAMA='NI MADE CONTOH', NIK='5171014107900001')}\n".encode() * 3)

    assert "CONTOH" not in f"{error.detail}{error.field}{error.public}"
    assert "5171" not in f"{error.detail}{error.field}{error.public}"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\r\n  \n",
        b"\xef\xbb\xbf",
        HEADER.encode(),
        f"{HEADER}\n\r\n\n".encode(),
        b"PK\x03\x04" + b"x" * 5000,
        b"\x1f\x8b\x08" + b"x" * 5000,
        b"%PDF-1.7\n",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"<html><table><tr><td>NIK</td></tr></table></html>",
        bytes(range(256)) * 100,
        f"{HEADER}\n{line()}\n".encode("utf-16"),
        f"{HEADER}\n{line()}\n\0".encode(),
        f"{HEADER}\r{line()}\r".encode(),
        b"a" * (1 << 20),
        b"\n" * 100 + b"a,b\n1,2\n",
        f'"{HEADER}\n'.encode() * 30,
        f"{HEADER}\n{line()}\n".encode() + b"y" * (LONGEST_LINE + 1),
        f"{HEADER}\n{line(NAMA='É')}\n".encode() + line(NAMA="É").encode("cp1252"),
        f"{HEADER}\n{line()}\n".encode() + b"\x81",
        b"\xef\xbb\xbf" + f"{HEADER}\n{line(NAMA='É')}\n".encode("cp1252"),
    ],
    ids=lambda data: repr(data[:12]),
)
def test_nonsense_is_refused_with_a_remedy(data: bytes) -> None:
    """Binary, empty, glued together, without header or rows: each says so."""
    error = refused(data)

    assert error.public != BadInput.public
    assert error.detail


class Endless(io.RawIOBase):
    """Two gigabytes that count how much of them was read."""

    def __init__(self, head: bytes, size: int) -> None:
        self.head, self.size, self.place, self.taken = head, size, 0, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self.place = offset + (self.size if whence == 2 else 0)
        return self.place

    def read(self, size: int = -1) -> bytes:
        part = self.head[self.place : self.place + size]
        part += b"a" * (min(size, self.size - self.place) - len(part))
        self.place += len(part)
        self.taken += len(part)
        return part


@pytest.mark.parametrize("head", [b"nonsense", b"\0\0\0", f"{HEADER}\n{line()}\n".encode()])
def test_two_gigabytes_of_nonsense_are_refused_at_once(head: bytes) -> None:
    """By their header, or by their size, before the rest is read."""
    stream = Endless(head, (2 << 30) + 1)

    with pytest.raises(BadInput):
        survey(lambda: stream)  # type: ignore[arg-type,return-value]

    assert stream.taken < 1 << 20


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A directory, a file that is not there."""
    for path in (tmp_path, tmp_path / "absent.csv"):
        with pytest.raises(BadInput):
            survey(path)


def test_the_first_pass_feeds_every_byte_once(tmp_path: Path) -> None:
    """The digest is that of the file."""
    data = f"{HEADER}\n{line(NAMA='É')}\n".encode() + f"{line()}\r\n".encode() * 20_000
    path = tmp_path / "dp4.csv"
    path.write_bytes(data)
    digest = hashlib.sha256()

    found = survey(path, None, digest.update)

    assert digest.digest() == hashlib.sha256(data).digest()
    assert (found.rows_estimate, found.size) == (20_001, len(data))


def test_a_character_may_lie_across_two_chunks() -> None:
    """The encoding is judged over the stream, not over its pieces."""
    padding = "x" * 1000
    body = "".join(f"{line(NAMA='É' * (size % 7), ALAMAT=padding)}\n" for size in range(2000))

    assert survey(opener(f"{HEADER}\n{body}".encode())).encoding == "utf-8"
    assert survey(opener(f"{HEADER}\n{body}".encode("cp1252"))).encoding == "cp1252"


def test_a_quoted_cell_may_hold_line_ends_and_delimiters() -> None:
    """And counts as one row."""
    data = f"{HEADER}\n{line()}\n{line(ALAMAT=chr(34) + 'JL. A' + chr(13) + chr(10) + 'NO. 1, B' + chr(34))}\n{line()}\n".encode()

    got = read(data)

    assert len(got) == 3
    assert isinstance(got[1], RawRow)
    assert got[1].cells["ALAMAT"] == "JL. A\r\nNO. 1, B"


@pytest.mark.parametrize("torn", [f"{line()},x", "x,y", "x", line().replace("x", '"', 1)[:-2] + ",|"])
def test_a_row_of_the_wrong_width_keeps_its_text(torn: str) -> None:
    """The rows around it are untouched."""
    got = read(f"{HEADER}\n{line()}\n{torn}\n{line()}\n".encode())

    assert [type(row) for row in got] == [RawRow, UnreadableRow, RawRow]
    assert isinstance(got[1], UnreadableRow)
    assert got[1].text == f"{torn}\n"


@pytest.mark.parametrize(
    "torn",
    [
        line(NAMA='"MADE'),
        line(NAMA='"MA"DE'),
        line(DESA='"x'),
        line(NAMA="MA\rDE"),
        line(NAMA='"' + "x" * 200_000 + '"'),
    ],
    ids=["open", "bare", "open at the end", "cr", "very long"],
)
def test_one_torn_row_does_not_swallow_the_next(torn: str) -> None:
    """A quote left open costs its own line, not the voters below it."""
    got = read(f"{HEADER}\n{torn}\n{line()}\n{line(ALAMAT=chr(34) + 'a,b' + chr(34))}\n{line()}\n".encode())

    assert [row.row_no for row in got] == [1, 2, 3, 4]
    assert [type(row) for row in got] == [UnreadableRow, RawRow, RawRow, RawRow]


def test_two_stray_quotes_do_not_hide_the_rows_between_them() -> None:
    """Read as one cell they would be one voter of the right width; they are five rows."""
    data = f"{HEADER}\n{line(NAMA=chr(34) + 'A')}\n{line()}\n{line()}\n{line(NAMA='B' + chr(34))}\n{line()}\n".encode()

    got = read(data)

    assert len(got) == 5
    assert [isinstance(row, RawRow) for row in got] == [False, True, True, True, True]


def test_a_very_long_field_is_named_as_such() -> None:
    """Beyond what the CSV reader takes."""
    (row, _) = read(f"{HEADER}\n{line(NAMA='x' * 300_000)}\n{line()}\n".encode())

    assert isinstance(row, UnreadableRow)
    assert [finding.reason for finding in row.reasons] == [Reason.FIELD_TOO_LONG]


def test_reading_goes_on_after_the_rows_already_done() -> None:
    """A restart yields the rest under the same numbers."""
    body = "".join(f"{line(NAMA=str(number)) if number % 7 else 'torn'}\n" for number in range(1, 100))
    data = f"{HEADER}\n{body}".encode()

    everything = read(data)

    for skip in (0, 1, 6, 7, 50, 98, 99, 200):
        assert read(data, skip) == everything[skip:]


@pytest.mark.parametrize("changed", [b"", b"x", f"{line()}\n".encode() * 3, b"\xff"])
def test_a_file_that_changed_between_the_passes_is_refused(changed: bytes) -> None:
    """The digest of the first pass would name other bytes."""
    data = f"{HEADER}\n{line()}\n{line()}\n".encode()
    found = survey(opener(data))

    with pytest.raises(BadInput, match="changed"):
        list(rows(opener(data[: found.start] + changed), found))


def test_memory_stays_flat() -> None:
    """Megabytes of rows, torn ones among them, leave no trace in memory."""
    chunk = f"{line(NAMA='É', ALAMAT='y' * 300)}\n{line(ALAMAT=chr(34))}\n".encode() * 20_000
    data = f"{HEADER}\n".encode() + chunk
    tracemalloc.start()

    found = survey(opener(data))
    count = sum(1 for _ in rows(opener(data), found))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert count == 40_000
    assert peak < 3_000_000 < len(data)


def test_a_mapping_file_renames_and_ignores() -> None:
    """Keys without regard to case; what is not named keeps its name."""
    naming = read_naming(b'ignore = ["No", "LastUpdate"]\n[columns]\nnik = "No. Induk"\nNAMA = "Nama Lengkap"\n')
    names = ["No", *({"NIK": "no.  induk", "NAMA": "NAMA LENGKAP"}.get(column, column) for column in COLUMNS), "lastupdate"]

    layout = lay_out(names, naming)

    assert layout.width == 20
    assert layout.cells == tuple(range(1, 19))


def test_a_mapping_file_is_used_by_the_survey(tmp_path: Path) -> None:
    """From a path, as the command gives it."""
    mapping = tmp_path / "peta.toml"
    mapping.write_text('[columns]\nNIK = "No. Induk"\n', "utf-8")
    data = written([["x"] * 18], header=[("No. Induk" if name == "NIK" else name) for name in COLUMNS]).encode()

    assert survey(opener(data), mapping).layout.cells == tuple(range(18))
    assert refused(data).field == "NIK"


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"[columns",
        b"columns = 1",
        b"ignore = 1",
        b"other = 1",
        b"[columns]\nNIK = 1",
        b'[columns]\nNIK = " "',
        b'[columns]\nNAME = "x"',
        b'[columns]\nNIK = "x"\nnik = "y"',
        b'[columns]\nNIK = "NAMA"',
        b'ignore = ["NIK"]',
        b"ignore = [1]",
    ],
)
def test_a_wrong_mapping_file_is_refused(content: bytes) -> None:
    """Before a single row is read by it."""
    with pytest.raises(BadInput) as caught:
        read_naming(content)

    assert caught.value.field == "mapping"


def test_the_standard_naming_is_the_columns() -> None:
    """No mapping file, no surprise."""
    assert lay_out(COLUMNS, STANDARD).cells == tuple(range(18))
    assert isinstance(STANDARD, Naming)


def accounted(data: bytes) -> None:
    """Assert that *data* is refused, or that each of its lines is in exactly one row."""
    try:
        found: Survey = survey(opener(data))
    except BadInput:
        return
    got = list(rows(opener(data), found))
    assert [row.row_no for row in got] == list(range(1, len(got) + 1))
    ends = [found.start, *(row.end for row in got)]
    assert ends == sorted(set(ends))
    assert not data[ends[-1] :].strip(b"\r\n")


@given(st.binary(max_size=2000))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    """Never another exception."""
    accounted(data)


FRAGMENTS = st.sampled_from(
    ['"', ",", "\n", "\r\n", "\r", "x", "É", "|", ";", '""', line(), f"{line()}\n", '"a\nb"', "\0", "\t", f"{line(NAMA=chr(34))}\n"]
)


@given(st.lists(FRAGMENTS, max_size=60), st.sampled_from(["utf-8", "utf-8-sig", "cp1252"]))
def test_any_body_below_a_header_is_accounted_for(fragments: list[str], encoding: str) -> None:
    """Quotes, line ends and delimiters in any order: rows come in order and cover the file."""
    accounted((f"{HEADER}\n" + "".join(fragments)).encode(encoding))


@given(st.binary(max_size=300))
def test_any_bytes_below_a_header_are_accounted_for(body: bytes) -> None:
    """The same with bytes that no encoding has."""
    accounted(f"{HEADER}\n".encode() + body)


CELL = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\0"), max_size=12)


@given(
    st.lists(st.lists(CELL, min_size=18, max_size=18), min_size=1, max_size=8),
    st.sampled_from(",;\t|"),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_a_csv_writer_wrote_is_read_back(records: list[list[str]], delimiter: str, quoting: int) -> None:
    """Any text in any cell, a few line ends included, comes back as it was."""
    assume(all("".join(record).count("\n") < 19 for record in records))
    assume(not any("\n" in cell and cell.count(delimiter) >= 17 for record in records for cell in record))

    got = read(written(records, delimiter, quoting=quoting).encode("utf-8"))

    assert [list(row.cells.values()) for row in got if isinstance(row, RawRow)] == records
