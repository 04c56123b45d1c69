"""Validation of one row: it enters the roll, with warnings, or it waits in quarantine. Nothing is dropped, nothing guessed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from operator import itemgetter

from app.places import Places
from app.voters.rules import nik as numbers
from app.voters.rules.dates import PLAUSIBLE_AGE, VOTING_AGE, age_on, parse_birth
from app.voters.rules.findings import Finding, Level, Reason
from app.voters.rules.rows import COLUMNS, CleanRow, RawRow, Rejected
from app.voters.rules.text import has_break, has_control, is_plain, normalise

# Longer than any name or address; what is longer is a torn quote or a shifted column. In characters.
LONGEST_FIELD = 4096
# TPS numbers have three digits in KPU's forms; 000 is ours, for a voter who has no TPS yet.
NO_TPS = "000"
_TPS = re.compile(r"(?:TPS[ .-]{0,2})?0*(\d{1,3})", re.ASCII | re.IGNORECASE)

# Source of the codes: facts.md section 1 (Keterangan 90-97 belong to TPS lokasi khusus).
CODES: tuple[tuple[str, Reason, frozenset[str]], ...] = (
    ("JK", Reason.JK_UNKNOWN, frozenset("LP")),
    ("STS", Reason.STS_UNKNOWN, frozenset("BSP")),
    ("DIS", Reason.DIS_UNKNOWN, frozenset({"", *"0123456"})),
    ("KTPel", Reason.KTPEL_UNKNOWN, frozenset("SB")),
    ("KET", Reason.KET_UNKNOWN, frozenset({"", "U", *"12345678", *map(str, range(90, 98))})),
    ("SUMBER", Reason.SUMBER_UNKNOWN, frozenset({"", "DP4", "DPTb", "DPK"})),
)
MARRIED = frozenset("SP")
# Columns of free text, where a spreadsheet's formula could stand. A dash alone stands for "none" and is no formula.
FREE = ("DPID", "NAMA", "TMPT_LHR", "ALAMAT", "RT", "RW")
_FORMULA = re.compile(r"[=+@]|-[^\s-]")
_in_order: Callable[[Mapping[str, str]], tuple[str, ...]] = itemgetter(*COLUMNS)


def check(row: RawRow, kab: str, places: Places, voting_day: date) -> CleanRow | Rejected:
    """Return *row* ready for the roll of *kab*, or everything that keeps it out.

    row: with all 18 columns. kab: the kab/kota asked, e.g. ``51.71``. voting_day: of the election, for ages. A NIK that
    the election already has (``ganda``) is found elsewhere, against the roll.
    """
    cells, found = _texts(row)
    birth = _birth(cells["TGL_LHR"], voting_day, found)
    _numbers(cells, found)
    if not cells["NAMA"]:
        found.append(Finding("NAMA", Reason.NAME_MISSING))
    kec, desa = place_of(cells, kab, places, found)
    tps = tps_of(cells["TPS"], found)
    if birth is None or any(finding.level is Level.QUARANTINE for finding in found):
        return Rejected(row.row_no, tuple(finding for finding in found if finding.level is Level.QUARANTINE))
    _warn_nik(cells, kab, places, birth, found)
    warn_codes(cells, found)
    _warn_age(cells["STS"], birth, voting_day, found)
    found.extend(Finding(column, Reason.FORMULA) for column in FREE if _FORMULA.match(cells[column]))
    return CleanRow(row.row_no, _values(cells, birth), kec, desa, tps, tuple(found))


def _texts(row: RawRow) -> tuple[dict[str, str], list[Finding]]:
    given = _in_order(row.cells)
    joined = " ".join(given)
    if len(joined) <= LONGEST_FIELD and is_plain(joined):
        # The usual row: plain ASCII, where NFC changes nothing and no control can hide.
        return dict(zip(COLUMNS, [text.strip() for text in given], strict=True)), []
    texts = [normalise(text) for text in given]
    return dict(zip(COLUMNS, texts, strict=True)), _look_for_marks(texts)


def _look_for_marks(texts: Sequence[str]) -> list[Finding]:
    found = []
    for column, text in zip(COLUMNS, texts, strict=True):
        if len(text) > LONGEST_FIELD:
            found.append(Finding(column, Reason.FIELD_TOO_LONG))
        if has_control(text):
            found.append(Finding(column, Reason.CONTROL_CHARACTER))
        elif has_break(text):
            found.append(Finding(column, Reason.LINE_BREAK))
    return found


def _birth(text: str, voting_day: date, found: list[Finding]) -> date | None:
    try:
        birth = parse_birth(text)
    except ValueError:
        found.append(Finding("TGL_LHR", Reason.BIRTH_IMPOSSIBLE))
        return None
    if birth is None:
        found.append(Finding("TGL_LHR", Reason.BIRTH_FORMAT if text else Reason.BIRTH_MISSING))
    elif birth > voting_day:
        found.append(Finding("TGL_LHR", Reason.BIRTH_IMPOSSIBLE))
    return birth


def _numbers(cells: dict[str, str], found: list[Finding]) -> None:
    if not numbers.is_sixteen_digits(cells["NIK"]):
        found.append(Finding("NIK", Reason.NIK_SHAPE))
    elif not numbers.has_possible_date(cells["NIK"]):
        found.append(Finding("NIK", Reason.NIK_DATE))
    if not numbers.is_sixteen_digits(cells["NKK"]):
        found.append(Finding("NKK", Reason.NKK_SHAPE))


def place_of(cells: Mapping[str, str], kab: str, places: Places, found: list[Finding]) -> tuple[str, str]:
    """Return the codes of kecamatan and desa; what is unknown or ambiguous is empty and added to *found*."""
    kecs = places.find_kecamatan(kab, cells["KECAMATAN"])
    if len(kecs) != 1:
        found.append(Finding("KECAMATAN", Reason.KECAMATAN_AMBIGUOUS if kecs else Reason.KECAMATAN_UNKNOWN))
        return "", ""
    desas = places.find_desa(kecs[0], cells["DESA"])
    if len(desas) != 1:
        found.append(Finding("DESA", Reason.DESA_AMBIGUOUS if desas else Reason.DESA_UNKNOWN))
        return kecs[0], ""
    return kecs[0], desas[0]


def tps_of(text: str, found: list[Finding]) -> str:
    """Return three digits. The TPS stands in clear in the store, so any other text (a shifted name, say) must not pass."""
    said = _TPS.fullmatch(text)
    if text and not said:
        found.append(Finding("TPS", Reason.TPS_SHAPE))
        return NO_TPS
    number = said[1].zfill(3) if said else NO_TPS
    if number == NO_TPS:
        found.append(Finding("TPS", Reason.TPS_MISSING))
    return number


def _warn_nik(cells: dict[str, str], kab: str, places: Places, birth: date, found: list[Finding]) -> None:
    nik = cells["NIK"]
    region = numbers.region_of(nik)
    if places.name(region) is None:
        found.append(Finding("NIK", Reason.NIK_REGION_UNKNOWN))
    elif region[:5] != kab:
        found.append(Finding("NIK", Reason.NIK_REGION_ELSEWHERE))
    if not numbers.agrees_with_birth(nik, birth):
        found.append(Finding("NIK", Reason.NIK_BIRTH))
    if cells["JK"] in {"L", "P"} and numbers.sex_of(nik) != cells["JK"]:
        found.append(Finding("NIK", Reason.NIK_SEX))
    if nik.endswith("0000"):
        found.append(Finding("NIK", Reason.NIK_SERIAL))


def warn_codes(cells: Mapping[str, str], found: list[Finding]) -> None:
    """Add to *found* every code that is not one of the known ones."""
    for column, reason, known in CODES:
        if cells[column] not in known:
            found.append(Finding(column, reason))


def _warn_age(status: str, birth: date, voting_day: date, found: list[Finding]) -> None:
    age = age_on(birth, voting_day)
    if age < VOTING_AGE and status not in MARRIED:
        found.append(Finding("TGL_LHR", Reason.UNDER_AGE))
    if age > PLAUSIBLE_AGE:
        found.append(Finding("TGL_LHR", Reason.AGE_IMPLAUSIBLE))


def _values(cells: dict[str, str], birth: date) -> tuple[str, ...]:
    """Return the texts of c00…c13. SUMBER has no cell: Model A has no such element; the file itself remains its record."""
    first = (cells["DPID"], cells["NKK"], cells["NIK"], cells["NAMA"], cells["TMPT_LHR"], birth.isoformat(), cells["STS"])
    return (*first, cells["JK"], cells["ALAMAT"], cells["RT"], cells["RW"], cells["DIS"], cells["KTPel"], cells["KET"])
