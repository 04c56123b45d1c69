"""Checks the usual row of a file at a fifth of the cost: the same verdict as ``check``, or none at all.

What a column can say is looked up where it was said before: kecamatan, desa, TPS, codes and dates come again and again. Whatever is not
plain ASCII, well formed and free of blanks at its ends goes to ``check``; so a quick verdict never keeps a row out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple, TypeVar

from app.places import Places
from app.voters.rules import nik as numbers
from app.voters.rules.check import CODES, MARRIED, place_of, tps_of, warn_codes
from app.voters.rules.dates import PLAUSIBLE_AGE, VOTING_AGE, age_on, parse_birth
from app.voters.rules.findings import Finding, Level, Reason

# Different answers kept of each kind: a kab has thousands of desa with TPS, a century 36,525 days.
_MEMO = 1 << 16
# A free cell (``check.FREE``) that begins so is a formula to a spreadsheet, and looked at closely.
_MARKS = re.compile(rb"^(?:[=+@]|-[^\s-])", re.MULTILINE)
_CODE_COLUMNS = tuple(column for column, _reason, _known in CODES)
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Passed(NamedTuple):
    """A row that may enter the roll. values: UTF-8 of c00…c13. kec, desa, tps: its place, ASCII. warnings: codes of warnings."""

    values: tuple[bytes, ...]
    kec: bytes
    desa: bytes
    tps: bytes
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Passed({self.warnings})"


class _Place(NamedTuple):
    kec: bytes
    desa: bytes
    tps: bytes
    warnings: tuple[str, ...]


class _Birth(NamedTuple):
    """A birth date: as it is kept; day, month and year as a NIK has them; warnings for somebody never married, and for one who was."""

    iso: bytes
    in_nik: tuple[int, int, int]
    single: tuple[str, ...]
    married: tuple[str, ...]


class _Code(NamedTuple):
    """The date part of a NIK: day, month and year as a birth date would have them, and the sex it implies."""

    date: tuple[int, int, int]
    sex: bytes


class Quick:
    """The quick check for one kab/kota and voting day. Keeps at most _MEMO answers of each kind."""

    def __init__(self, kab: str, places: Places, voting_day: date) -> None:
        self._kab, self._directory, self._day = kab, places, voting_day
        self._places: dict[tuple[bytes, bytes, bytes], _Place | None] = {}
        self._codes: dict[tuple[bytes, ...], tuple[str, ...]] = {}
        self._births: dict[bytes, _Birth | None] = {}
        self._dates: dict[bytes, _Code | None] = {}
        self._regions: dict[bytes, tuple[str, ...]] = {}

    def row(self, cells: Sequence[bytes]) -> Passed | None:
        """Return the row of these 18 *cells*, in the order of COLUMNS, or None when ``check`` must look at it.

        cells: printable ASCII without blanks at their ends, no longer together than a field may be; the caller saw to that.
        """
        dpid, nkk, nik, name, jk, town, day, sts, street, rt, rw, dis, ktp, sumber, ket, tps, kec, desa = cells
        place = self._places.get((kec, desa, tps)) or self._place(kec, desa, tps)
        birth = self._births.get(day) or self._birth(day)
        code = self._dates.get(nik[6:12]) or self._date(nik)
        if place is None or birth is None or code is None or not name or len(nkk) != numbers.LENGTH or not nkk.isdigit():
            return None
        if len(nik) != numbers.LENGTH or not nik.isdigit() or _MARKS.search(b"\n".join((dpid, name, town, street, rt, rw))):
            return None
        codes = (jk, sts, dis, ktp, ket, sumber)
        odd = self._codes.get(codes)
        warnings = place.warnings + self._region(nik[:6]) + (self._odd(codes) if odd is None else odd)
        warnings += birth.married if sts in _MARRIED else birth.single
        if code.date != birth.in_nik:
            warnings += _NIK_BIRTH
        if code.sex != jk and jk in _SEXES:
            warnings += _NIK_SEX
        if nik.endswith(b"0000"):
            warnings += _NIK_SERIAL
        values = (dpid, nkk, nik, name, town, birth.iso, sts, jk, street, rt, rw, dis, ktp, ket)
        return Passed(values, place.kec, place.desa, place.tps, warnings)

    def _place(self, kec: bytes, desa: bytes, tps: bytes) -> _Place | None:
        found: list[Finding] = []
        codes = place_of({"KECAMATAN": kec.decode(), "DESA": desa.decode()}, self._kab, self._directory, found)
        number = tps_of(tps.decode(), found)
        held = any(finding.level is Level.QUARANTINE for finding in found)
        place = None if held else _Place(codes[0].encode(), codes[1].encode(), number.encode(), _words(found))
        return _kept(self._places, (kec, desa, tps), place)

    def _birth(self, text: bytes) -> _Birth | None:
        try:
            born = parse_birth(text.decode())
        except ValueError:
            born = None
        if born is None or born > self._day:
            return _kept(self._births, text, None)
        age = age_on(born, self._day)
        old = (Reason.AGE_IMPLAUSIBLE.value,) if age > PLAUSIBLE_AGE else ()
        young = (Reason.UNDER_AGE.value,) if age < VOTING_AGE else ()
        birth = _Birth(born.isoformat().encode(), (born.day, born.month, born.year % 100), young + old, old)
        return _kept(self._births, text, birth)

    def _date(self, nik: bytes) -> _Code | None:
        text = nik.decode()
        if not numbers.is_sixteen_digits(text):
            return None
        if not numbers.has_possible_date(text):
            return _kept(self._dates, nik[6:12], None)
        date_of = (int(text[6:8]) % numbers.FEMALE_OFFSET, int(text[8:10]), int(text[10:12]))
        return _kept(self._dates, nik[6:12], _Code(date_of, numbers.sex_of(text).encode()))

    def _region(self, digits: bytes) -> tuple[str, ...]:
        known = self._regions.get(digits)
        if known is not None:
            return known
        region = numbers.region_of(digits.decode())
        if self._directory.name(region) is None:
            return _kept(self._regions, digits, (Reason.NIK_REGION_UNKNOWN.value,))
        return _kept(self._regions, digits, () if region[:5] == self._kab else (Reason.NIK_REGION_ELSEWHERE.value,))

    def _odd(self, codes: tuple[bytes, ...]) -> tuple[str, ...]:
        found: list[Finding] = []
        warn_codes({column: code.decode() for column, code in zip(_CODE_COLUMNS, codes, strict=True)}, found)
        return _kept(self._codes, codes, _words(found))


def _kept(memo: dict[_Key, _Value], key: _Key, answer: _Value) -> _Value:
    """Keep *answer* and return it; a memo that is full is begun anew, so that a file of a million misspellings does not grow memory."""
    if len(memo) >= _MEMO:
        memo.clear()
    memo[key] = answer
    return answer


def _words(found: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(finding.reason.value for finding in found)


_MARRIED = frozenset(status.encode() for status in MARRIED)
_SEXES = frozenset((b"L", b"P"))
_NIK_BIRTH, _NIK_SEX, _NIK_SERIAL = ((reason.value,) for reason in (Reason.NIK_BIRTH, Reason.NIK_SEX, Reason.NIK_SERIAL))
