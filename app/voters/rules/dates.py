"""Birth dates: the four spellings a DP4 file may use, and age on voting day."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date

_DAY_FIRST = re.compile(r"(\d\d)([|/-])(\d\d)\2(\d{4})", re.ASCII)
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
# UU 7/2017 art. 1(34): a voter is 17 or more on voting day, or is or was married.
VOTING_AGE = 17
# No verified life was much longer; beyond it a typing error is the likelier story.
PLAUSIBLE_AGE = 120


def parse_birth(text: str) -> date | None:
    """Return the date that *text* spells as dd|mm|yyyy, dd-mm-yyyy, dd/mm/yyyy or yyyy-mm-dd, or None for another spelling.

    Raises ValueError when the spelling is right and the day does not exist.
    """
    if found := _DAY_FIRST.fullmatch(text):
        day, _, month, year = found.groups()
    elif found := _ISO.fullmatch(text):
        year, month, day = found.groups()
    else:
        return None
    return date(int(year), int(month), int(day))


def parse_date(text: str) -> date | None:
    """Return the date that *text* spells, or None when it spells none or a day that does not exist."""
    with suppress(ValueError):
        return parse_birth(text)
    return None


def age_on(birth: date, day: date) -> int:
    """Return the full years from *birth* to *day*; who was born on 29 February completes a common year on 1 March."""
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))
