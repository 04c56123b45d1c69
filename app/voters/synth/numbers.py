"""NIK and NKK for synthetic people: as the state composes them, and never one twice.

A NIK is unique by construction, not by luck: natives of a kecamatan count up from 0001 per birth date and sex; somebody who
moved into kab/kota number k (of 514) carries a serial of k's own range, so files made for two regions do not collide either.
"""

from __future__ import annotations

from array import array
from datetime import date

from app.voters.rules.nik import FEMALE_OFFSET

# Everybody here is born between these days; the two digits of the year then name one year only (1930…2019).
_FIRST, _LAST = date(1930, 1, 1).toordinal(), date(2019, 12, 31).toordinal()
_NATIVE_SERIALS = 999
# 514 ranges of 17 fit between 1000 and 9999.
_MOVED_SERIALS = 17
_KK_FIRST, _KK_DAYS = date(2008, 1, 1).toordinal(), 6500
_KK_SERIALS = 9999


class Numbers:
    """Gives out numbers. kab_index: position of the kab/kota among all, sorted by code, from 0."""

    def __init__(self, kab_index: int) -> None:
        self._moved_base = 999 + kab_index * _MOVED_SERIALS
        self._niks: dict[str, array[int]] = {}
        self._nkks: dict[str, array[int]] = {}

    def nik(self, region: str, birth: int, female: bool, native: bool) -> str:
        """Return a new NIK. region: kecamatan, six digits. birth: ordinal day; the next free day when all serials are given."""
        given = self._niks.get(region)
        if given is None:
            given = self._niks[region] = array("H", bytes(4 * (_LAST - _FIRST + 1)))
        base, most = (0, _NATIVE_SERIALS) if native else (self._moved_base, _MOVED_SERIALS)
        place = (birth - _FIRST) * 2 + female
        while given[place] >= most:
            place += 2
        given[place] += 1
        day = date.fromordinal(place // 2 + _FIRST)
        shown = day.day + FEMALE_OFFSET if female else day.day
        return f"{region}{shown:02d}{day.month:02d}{day.year % 100:02d}{base + given[place]:04d}"

    def nkk(self, region: str, days: int) -> str:
        """Return a new NKK of a kecamatan (six digits), issued *days* after the first day of ours (taken modulo the range)."""
        given = self._nkks.get(region)
        if given is None:
            given = self._nkks[region] = array("H", bytes(2 * _KK_DAYS))
        place = days % _KK_DAYS
        while given[place] >= _KK_SERIALS:
            place = (place + 1) % _KK_DAYS
        given[place] += 1
        day = date.fromordinal(_KK_FIRST + place)
        return f"{region}{day.day:02d}{day.month:02d}{day.year % 100:02d}{given[place]:04d}"
