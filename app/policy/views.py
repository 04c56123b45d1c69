"""The transforms: what a view shows of a value. Pure; the catalog must name exactly these.

A view that has no transform for an element falls to the level below. ``ada`` shows nothing of the value, also not that it is
blank or 0, else "recorded" would disclose.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

from app.kernel.fields import ELEMENTS, Element, View

Transform = Callable[[str, date], str | None]

_SIXTEEN = re.compile(r"\d{16}", re.ASCII)
# Six digits are the region of first registration; from the seventh on NIK holds birth date, sex and serial (facts: NIK).
_SHOWN_DIGITS = 6
_DOTS = "•" * 10
_BAND = 10


def six_digits(value: str, voting_day: date) -> str:
    """Return the first 6 digits and 10 dots; only dots when *value* is not 16 digits."""
    return value[:_SHOWN_DIGITS] + _DOTS if _SIXTEEN.fullmatch(value) else _DOTS


def initials(value: str, voting_day: date) -> str:
    """Return the first letter of each word, e.g. ``I.M.S.``; words without a letter are left out."""
    letters = (next((sign for sign in word if sign.isalpha()), "") for word in value.split())
    return "".join(f"{letter.upper()}." for letter in letters if letter)


def age_on(value: str, voting_day: date) -> str | None:
    """Return the completed years on *voting_day* of somebody born on *value* (ISO date), as a bare number; None when unreadable."""
    try:
        born = date.fromisoformat(value)
    except ValueError:
        # The library's message repeats the value; say nothing of it.
        return None
    return str(voting_day.year - born.year - ((voting_day.month, voting_day.day) < (born.month, born.day)))


def ten_years(value: str, voting_day: date) -> str | None:
    """Return the ten-year band of the age on *voting_day*, e.g. ``40–49``; None when unreadable.

    A band of ages and not of birth years: a band of birth years cannot be computed from the age (the next higher view), so the two
    together would show more than either.
    """
    age = age_on(value, voting_day)
    if age is None:
        return None
    low = int(age) // _BAND * _BAND
    return f"{low}–{low + _BAND - 1}"


def yes_no(value: str, voting_day: date) -> str:
    """Return ``ya`` or ``tidak``: whether a disability is recorded. Blank and 0 mean none."""
    return "tidak" if value.strip() in {"", "0"} else "ya"


# By the names the catalog uses.
NAMED: dict[str, Transform] = {
    "enam_angka": six_digits,
    "inisial": initials,
    "sepuluh_tahun": ten_years,
    "usia": age_on,
    "ya_tidak": yes_no,
}
# Which element has which transform between ``ada`` and ``utuh``.
TRANSFORMS: dict[Element, dict[View, str]] = {
    Element.NKK: {View.SAMAR: "enam_angka"},
    Element.NIK: {View.SAMAR: "enam_angka"},
    Element.NAMA: {View.SAMAR: "inisial"},
    Element.TANGGAL_LAHIR: {View.SAMAR: "sepuluh_tahun", View.RINGKAS: "usia"},
    Element.DISABILITAS: {View.RINGKAS: "ya_tidak"},
}
# Per element, the views that can be shown, lowest first; ``ada`` and ``utuh`` always.
LEVELS: dict[Element, tuple[View, ...]] = {element: (View.ADA, *sorted(TRANSFORMS.get(element, {})), View.UTUH) for element in ELEMENTS}


def effective(element: Element, view: View) -> View:
    """Return what is shown when *view* is granted: itself, or the next level below that has a transform."""
    return max((level for level in LEVELS[element] if level <= view), default=View.TUTUP)


def show(element: Element, view: View, value: str | None, voting_day: date) -> str | None:
    """Return what *view* shows of *value*; the page adds words such as "tahun".

    value: the opened text, or None when it was not opened. voting_day: of the visit's election. Returns None for ``tutup`` and
    ``ada``, for a value that was not opened, and for a birth date that cannot be read. A missing transform falls to the level below.
    """
    level = effective(element, view)
    if value is None or level <= View.ADA:
        return None
    if level == View.UTUH:
        return value
    return NAMED[TRANSFORMS[element][level]](value, voting_day)
