"""The rules of one row: what quarantines, what warns, and that nothing else changes."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.places import Places
from app.voters.rules.check import check
from app.voters.rules.dates import age_on, parse_birth, parse_date
from app.voters.rules.findings import Finding, Level, Reason
from app.voters.rules.rows import COLUMNS, CleanRow, RawRow, Rejected, UnreadableRow

PLACES = Places()
VOTING_DAY = date(2029, 2, 14)
GOOD = {
    "DPID": "9001",
    "NKK": "5171010102100001",
    "NIK": "5171014107900001",
    "NAMA": "NI MADE CONTOH",
    "JK": "P",
    "TMPT_LHR": "DENPASAR",
    "TGL_LHR": "01|07|1990",
    "STS": "S",
    "ALAMAT": "JL. MAWAR NO. 1",
    "RT": "001",
    "RW": "02",
    "DIS": "0",
    "KTPel": "S",
    "SUMBER": "DP4",
    "KET": "",
    "TPS": "3",
    "KECAMATAN": "Denpasar Selatan",
    "DESA": "Serangan",
}


def checked(**changes: str) -> CleanRow | Rejected:
    """Check the good row with some cells changed."""
    return check(RawRow(7, {**GOOD, **changes}), "51.71", PLACES, VOTING_DAY)


def reasons(**changes: str) -> set[str]:
    """Return ``field:reason`` of everything found in the good row with some cells changed."""
    row = checked(**changes)
    return {str(finding) for finding in (row.reasons if isinstance(row, Rejected) else row.warnings)}


def test_a_good_row_enters_the_roll_in_the_order_of_the_cells() -> None:
    """c00 is DPID, then the 13 elements; place and TPS stand apart as codes."""
    row = checked()

    assert isinstance(row, CleanRow)
    assert row.values == (
        *("9001", "5171010102100001", "5171014107900001", "NI MADE CONTOH", "DENPASAR", "1990-07-01", "S", "P"),
        *("JL. MAWAR NO. 1", "001", "02", "0", "S", ""),
    )
    assert (row.row_no, row.kec, row.desa, row.tps, row.warnings) == (7, "51.71.01", "51.71.01.1001", "003", ())


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [
        *(("NIK", text, "nik-shape") for text in ("", "517101410790000", "51710141079000011", "5,17101E+15", "5171.01.410790.0001", "'5171014107900001")),
        ("NIK", "٥١٧١٠١٤١٠٧٩٠٠٠٠١", "nik-shape"),
        *(("NIK", f"517101{part}0001", "nik-date") for part in ("000790", "320790", "400790", "720790", "010090", "011390", "300290", "710290", "310490")),
        *(("NKK", text, "nkk-shape") for text in ("", "517101010210000", "abcdefghijklmnop")),
        ("NAMA", " ", "name-missing"),
        ("TGL_LHR", "", "birth-missing"),
        *(("TGL_LHR", text, "birth-format") for text in ("1|7|1990", "01.07.1990", "01-07/1990", "01 07 1990", "1990/07/01", "01-07-90", "33055", "0१|07|1990")),
        *(("TGL_LHR", text, "birth-impossible") for text in ("31|02|1990", "29-02-1990", "00/01/1990", "2030-01-01", "1990-13-01", "01|01|0000")),
        *(("KECAMATAN", text, "kecamatan-unknown") for text in ("", "Kuta", "51.03.01")),
        *(("DESA", text, "desa-unknown") for text in ("", "Tidak Ada", "51.71.02.1001")),
        *(("TPS", text, "tps-shape") for text in ("A", "1000", "NI MADE CONTOH", "1.5", "-1", "TPS", "²")),
    ],
)  # fmt: skip
def test_what_cannot_be_a_voter_waits_in_quarantine(column: str, text: str, reason: str) -> None:
    """The finding names the column and nothing else is wrong."""
    row = checked(**{column: text})

    assert isinstance(row, Rejected)
    assert row.reasons == (Finding(column, Reason(reason)),)


@pytest.mark.parametrize(
    ("column", "text", "found"),
    [
        ("NIK", "3171014107900001", "NIK:nik-region-elsewhere"),
        ("NIK", "9999994107900001", "NIK:nik-region-unknown"),
        ("NIK", "5171994107900001", "NIK:nik-region-unknown"),
        ("NIK", "5171014207900001", "NIK:nik-birth"),
        ("NIK", "5171010107900001", "NIK:nik-sex"),
        ("NIK", "5171014107900000", "NIK:nik-serial"),
        *(("JK", text, "JK:jk-unknown") for text in ("", "l", "W")),
        *(("STS", text, "STS:sts-unknown") for text in ("", "K", "s")),
        *(("DIS", text, "DIS:dis-unknown") for text in ("7", "01", "fisik")),
        *(("KTPel", text, "KTPel:ktpel-unknown") for text in ("", "Y")),
        *(("KET", text, "KET:ket-unknown") for text in ("9", "98", "u", "ganda")),
        ("SUMBER", "coklit", "SUMBER:sumber-unknown"),
        ("TPS", "", "TPS:tps-missing"),
        ("TPS", "000", "TPS:tps-missing"),
        ("ALAMAT", "JL. MAWAR\nNO. 1", "ALAMAT:line-break"),
        ("ALAMAT", "JL. MAWAR\tNO. 1", "ALAMAT:line-break"),
    ],
)
def test_what_is_odd_enters_the_roll_with_a_warning(column: str, text: str, found: str) -> None:
    """A voter is never turned away for a doubt."""
    row = checked(**{column: text})

    assert isinstance(row, CleanRow)
    assert [str(finding) for finding in row.warnings] == [found]


@pytest.mark.parametrize(
    ("column", "known"), [("DIS", ["", *"0123456"]), ("KET", ["", "U", *"12345678", "90", "97"]), ("SUMBER", ["", "DP4", "DPTb", "DPK"])]
)
def test_known_codes_do_not_warn(column: str, known: list[str]) -> None:
    """Every code of the tables, and empty where it means none."""
    assert [reasons(**{column: code}) for code in known] == [set()] * len(known)


def test_a_nik_on_29_february_is_a_matter_of_warning_only() -> None:
    """Two digits of a year do not say whether it was a leap year."""
    assert reasons(NIK="5171016902900001") == {"NIK:nik-birth"}


def test_everything_wrong_with_a_row_is_told_at_once() -> None:
    """One correction round is enough; warnings do not crowd the list."""
    found = reasons(NIK="1", NKK="2", NAMA="", TGL_LHR="x", KECAMATAN="y", TPS="z", JK="?")

    assert found == {
        *("NIK:nik-shape", "NKK:nkk-shape", "NAMA:name-missing", "TGL_LHR:birth-format", "KECAMATAN:kecamatan-unknown", "TPS:tps-shape"),
    }


def test_a_name_of_two_desa_is_ambiguous() -> None:
    """The row waits until a code decides."""
    row = check(RawRow(1, {**GOOD, "KECAMATAN": "12.01.10", "DESA": "Sorkam Kanan"}), "12.01", PLACES, VOTING_DAY)

    assert isinstance(row, Rejected)
    assert [str(finding) for finding in row.reasons] == ["DESA:desa-ambiguous"]


def test_a_text_that_fits_two_kecamatan_is_ambiguous() -> None:
    """Today's table has no such pair; tomorrow's may."""

    class Twins(Places):
        def find_kecamatan(self, kab: str, text: str) -> tuple[str, ...]:
            return ("51.71.01", "51.71.02")

    row = check(RawRow(1, GOOD), "51.71", Twins(), VOTING_DAY)

    assert isinstance(row, Rejected)
    assert [str(finding) for finding in row.reasons] == ["KECAMATAN:kecamatan-ambiguous"]


@pytest.mark.parametrize("mark", ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\u200b", "\u202e", "\ufeff", "\u2028", "\x1c"])
@pytest.mark.parametrize("column", COLUMNS)
def test_a_control_character_quarantines_and_names_the_column(column: str, mark: str) -> None:
    """Also at the ends, where blanks would be stripped."""
    found = reasons(**{column: GOOD[column] + mark})

    assert f"{column}:control-character" in found


@pytest.mark.parametrize("column", COLUMNS)
def test_a_field_beyond_4096_characters_quarantines(column: str) -> None:
    """Exactly 4,096 is still a field."""
    assert f"{column}:field-too-long" in reasons(**{column: "x" * 4097})
    assert f"{column}:field-too-long" not in reasons(**{column: "x" * 4096})


@pytest.mark.parametrize(
    ("given_tps", "kept"),
    [("1", "001"), ("01", "001"), ("001", "001"), ("0001", "001"), ("TPS 12", "012"), ("tps.7", "007"), ("901", "901"), ("", "000")],
)
def test_a_tps_becomes_three_digits(given_tps: str, kept: str) -> None:
    """Empty is TPS 000, with a warning."""
    row = checked(TPS=given_tps)

    assert isinstance(row, CleanRow)
    assert row.tps == kept


@pytest.mark.parametrize("text", ["01|07|1990", "01-07-1990", "01/07/1990", "1990-07-01"])
def test_the_four_spellings_of_a_date_are_one_date(text: str) -> None:
    """The store keeps the ISO form."""
    row = checked(TGL_LHR=text)

    assert isinstance(row, CleanRow)
    assert row.values[5] == "1990-07-01"


@given(st.dates(min_value=date(1900, 1, 1)), st.sampled_from("|-/"))
def test_every_date_is_read_back(day: date, mark: str) -> None:
    """Day first with each mark, and ISO."""
    assert parse_birth(f"{day.day:02d}{mark}{day.month:02d}{mark}{day.year}") == day
    assert parse_birth(day.isoformat()) == day


@given(st.one_of(st.text(max_size=12), st.from_regex(r"[0-9]{2,4}[|/.-][0-9]{1,2}[|/.-][0-9]{2,4}", fullmatch=True)))
def test_any_text_is_a_date_or_none(text: str) -> None:
    """Nothing but a date comes out, and it is spelled in the text."""
    found = parse_date(text)

    assert found is None or f"{found.year:04d}" in text


@pytest.mark.parametrize(
    ("birth", "status", "warned"),
    [
        (date(2012, 2, 14), "B", False),
        (date(2012, 2, 15), "B", True),
        (date(2012, 2, 15), "", True),
        (date(2012, 2, 15), "S", False),
        (date(2012, 2, 15), "P", False),
    ],
)
def test_under_age_warns_unless_ever_married(birth: date, status: str, warned: bool) -> None:
    """UU 7/2017 art. 1(34): 17 on voting day, or married, or once married."""
    found = reasons(TGL_LHR=birth.isoformat(), STS=status)

    assert ("TGL_LHR:under-age" in found) is warned


def test_who_would_be_above_120_warns() -> None:
    """A typing error is likelier, but it is not for us to say."""
    assert "TGL_LHR:age-implausible" in reasons(TGL_LHR="13-02-1908")
    assert "TGL_LHR:age-implausible" not in reasons(TGL_LHR="15-02-1908")


@given(st.dates(date(1920, 1, 1), date(2029, 1, 1)))
def test_age_grows_by_one_on_the_birthday(birth: date) -> None:
    """The day before a birthday it is one less."""
    if (birth.month, birth.day) == (2, 29):
        birth += timedelta(days=1)
    seventeenth = birth.replace(year=birth.year + 17)

    assert age_on(birth, seventeenth) == 17
    assert age_on(birth, seventeenth - timedelta(days=1)) == 16


def test_only_blanks_at_the_ends_and_the_unicode_form_change() -> None:
    """NFC, no spaces around; inner spaces, case, RT and RW stay."""
    row = checked(NAMA="  Jose\u0301  de  Contoh\u00a0", RT=" 1", RW="x", DIS="1 ", ALAMAT="Jl. \u201cMawar\u201d")

    assert isinstance(row, CleanRow)
    assert row.values[3] == "Jos\u00e9  de  Contoh"
    assert (row.values[8], row.values[9], row.values[10], row.values[11]) == ("Jl. \u201cMawar\u201d", "1", "x", "1")


def test_both_ways_of_reading_a_row_agree() -> None:
    """Plain ASCII rows take a shorter way; an accent elsewhere in the row must not change the other cells."""
    plain, accented = checked(NAMA="JOSE"), checked(NAMA="JOSÉ")

    assert isinstance(plain, CleanRow)
    assert isinstance(accented, CleanRow)
    assert [a == b for a, b in zip(plain.values, accented.values, strict=True)].count(False) == 1


@given(st.dictionaries(st.sampled_from(COLUMNS), st.text(max_size=30), max_size=18))
def test_any_cells_give_a_clean_row_or_reasons(cells: dict[str, str]) -> None:
    """Never an exception, never a row without a reason, and in clear only codes and digits."""
    row = checked(**cells)

    if isinstance(row, Rejected):
        assert row.reasons
        assert all(finding.level is Level.QUARANTINE for finding in row.reasons)
    else:
        assert len(row.values) == 14
        assert row.desa in PLACES.children(row.kec)
        assert row.tps.isdigit()
        assert all(finding.level is Level.WARNING for finding in row.warnings)


def test_no_value_shows_in_a_repr() -> None:
    """Rows turn up in tracebacks; voters must not."""
    clean = checked()
    raw, torn = RawRow(1, GOOD), UnreadableRow(2, "NI MADE CONTOH,5171", (Finding("BARIS", Reason.ROW_CELLS),))

    shown = f"{clean!r} {raw!r} {torn!r} {checked(NIK='5171')!r}"

    assert not any(word in shown for word in ("MADE", "5171014107900001", "MAWAR", "1990"))


def test_a_quarantined_row_keeps_its_text_whole() -> None:
    """What is sealed is what the file had, blanks included."""
    raw = RawRow(3, {**GOOD, "NAMA": " É "})

    assert json.loads(raw.content()) == {"row": 3, "cells": {**GOOD, "NAMA": " É "}}
    assert json.loads(UnreadableRow(4, 'a,"b\n', ()).content()) == {"row": 4, "text": 'a,"b\n'}


def test_every_reason_says_what_is_wrong_and_how_to_mend_it() -> None:
    """And docs/dp4.md lists the same words."""
    page = Path(__file__).parents[2].joinpath("docs/dp4.md").read_text("utf-8").replace("\\|", "|")

    missing = [word for reason in Reason for word in (f"`{reason}`", reason.sentence, reason.remedy) if word not in page]

    assert missing == []
    assert Reason.GANDA.level is Level.QUARANTINE


def test_every_column_is_in_the_docs() -> None:
    """A column that nobody can look up does not exist."""
    page = Path(__file__).parents[2].joinpath("docs/dp4.md").read_text("utf-8")

    assert [column for column in COLUMNS if column not in page] == []


def test_the_rules_need_neither_web_nor_database() -> None:
    """Importing them, and the reader, loads neither Flask nor SQLAlchemy."""
    code = "import sys, app.voters.rules.check, app.voters.reader, app.voters.synth; sys.exit(bool({'flask', 'sqlalchemy'} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False)

    assert done.returncode == 0
