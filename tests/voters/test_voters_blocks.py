"""Cutting a file into blocks and checking rows quickly: never another row, another verdict or another token than the slow way's."""

from __future__ import annotations

from collections import Counter
from datetime import date
from io import BytesIO, StringIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.kernel.errors import BadInput
from app.places import Places
from app.vault.blind import Blind
from app.vault.house import L1Key
from app.voters.blocks import Reading, blocks
from app.voters.reader import rows, survey
from app.voters.rules.check import check
from app.voters.rules.quick import Quick
from app.voters.rules.rows import COLUMNS, CleanRow, RawRow, UnreadableRow
from app.voters.synth import write_csv
from tests.conftest import KAB, VOTING_DAY, dp4_row

PLACES = Places()
QUICK = Quick(KAB, PLACES, VOTING_DAY)
PIECES = st.sampled_from(['"', '""', "\n", "\r\n", "\r", ",", " ", "\t", "é", "a", "\n\n", ";", '"a\nb"', "=", "-", "0000"])
SPOILT = st.lists(st.tuples(st.integers(0, 160), PIECES), max_size=4)


def _written(spoilt: list[list[tuple[int, str]]], end: str, last: bool) -> bytes:
    """Return a file of as many rows as *spoilt*, each with pieces put in at some place."""
    lines = [",".join(COLUMNS)]
    for number, pieces in enumerate(spoilt, 1):
        line = ",".join(dp4_row(number)[column] for column in COLUMNS)
        for place, piece in pieces:
            line = line[:place] + piece + line[place:]
        lines.append(line)
    return (end.join(lines) + (end if last else "")).encode()


@settings(max_examples=250, deadline=None)
@given(st.lists(SPOILT, min_size=1, max_size=30), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.integers(1, 9), st.integers(0, 6))
def test_blocks_hold_the_rows_of_the_file_whatever_it_holds(
    spoilt: list[list[tuple[int, str]]], end: str, last: bool, size: int, skip: int
) -> None:
    """Stray quotes, line ends in cells, empty lines, other widths: same rows, same numbers, same reasons, none left out."""
    data = _written(spoilt, end, last)
    try:
        found = survey(lambda: BytesIO(data))
    except BadInput:
        return
    reading, came = Reading(found), list[RawRow | UnreadableRow]()
    for block in blocks(lambda: BytesIO(data), found, size, skip=skip):
        here = [reading.raw(row) for row in reading.rows(block)]
        assert len(here) == block.rows <= size
        came += here

    expected = rows(lambda: BytesIO(data), found, skip=skip)
    assert [_told(row) for row in came] == [_told(row) for row in expected]


def _told(row: RawRow | UnreadableRow) -> tuple[object, ...]:
    return (row.row_no, row.content(), getattr(row, "reasons", None))


@settings(max_examples=250, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(COLUMNS), st.one_of(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20), PIECES), max_size=3
    )
)
def test_a_quick_verdict_is_the_slow_one(changes: dict[str, str]) -> None:
    """Where it says anything, the quick check says what ``check`` says: values, place and warnings."""
    row = dp4_row(1, **{column: text.strip() for column, text in changes.items()})
    if not all(text.isascii() and text.isprintable() for text in row.values()):
        return
    quick = QUICK.row(tuple(row[column].encode() for column in COLUMNS))
    slow = check(RawRow(1, row), KAB, PLACES, VOTING_DAY)

    if quick is not None:
        assert isinstance(slow, CleanRow)
        assert tuple(map(bytes.decode, quick.values)) == slow.values
        assert (quick.kec.decode(), quick.desa.decode(), quick.tps.decode()) == (slow.kec, slow.desa, slow.tps)
        assert Counter(quick.warnings) == Counter(finding.reason.value for finding in slow.warnings)


def test_the_quick_check_takes_nearly_every_row(tmp_path: Path) -> None:
    """Of a synthetic file with its planted faults, 99 rows of 100; the others are looked at closely and may be faulty."""
    out = StringIO()
    write_csv(out, KAB, 2_000, 1)
    data = out.getvalue().encode()
    found = survey(lambda: BytesIO(data))
    reading = Reading(found)
    taken = [
        row.cells is not None and QUICK.row(row.cells) is not None
        for block in blocks(lambda: BytesIO(data), found, 700)
        for row in reading.rows(block)
    ]

    assert taken.count(False) < len(taken) / 100


@given(st.text(max_size=30), st.dates(date(1900, 1, 1), date(2020, 1, 1)))
def test_the_three_tokens_at_once_are_the_three_tokens(name: str, born: date) -> None:
    """Names of any letters, with titles, degrees and old spellings."""
    blind = Blind(L1Key("nik", "00", 1, bytes(32)), L1Key("blind", KAB, 1, bytes(range(32)), 13))
    nik, nkk, text = "5171010101800001", "5171010101800002", name.encode("utf-8", "ignore").decode()
    for full in (text, f"Drs. H. {text}, S.H.", "Moch. Soeharto"):
        three = blind.three(nik.encode(), nkk.encode(), full.encode(), born.isoformat().encode(), "2029")

        assert three == (blind.b_nik(nik, "2029"), blind.b_nkk(nkk), blind.b_nd(full, born.isoformat()))
    [wide] = blind.wide_niks([nik.encode()], "2029")
    assert wide.startswith(blind.b_nik(nik, "2029"))


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_file_cut_short_or_lengthened_is_noticed(size: int) -> None:
    """Between the survey and the reading."""
    data = _written([[], [], []], "\n", True)
    found = survey(lambda: BytesIO(data))
    for other in (data[:-40], data + b"x\n"):
        with pytest.raises(BadInput):
            list(blocks(lambda other=other: BytesIO(other), found, size))  # type: ignore[misc]
