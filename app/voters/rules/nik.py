"""NIK and NKK by shape alone. NIK = PPKKCC (place of first registration) + DDMMYY (female: DD + 40) + serial from 0001.

A NIK never changes when its holder moves or when the birth date turns out to be wrong, so only the shape can be refused;
region, birth date and sex may only warn (dukcapil.klaten.go.id; facts.md section 3).
"""

from __future__ import annotations

from datetime import date

LENGTH = 16
# February has 29: the two digits of the year do not say which century's leap years count.
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
FEMALE_OFFSET = 40


def is_sixteen_digits(text: str) -> bool:
    """Say whether *text* is exactly 16 ASCII digits."""
    return len(text) == LENGTH and text.isascii() and text.isdigit()


def has_possible_date(nik: str) -> bool:
    """Say whether the date part of a 16-digit *nik* names a day that a calendar has."""
    day, month = int(nik[6:8]), int(nik[8:10])
    if day > FEMALE_OFFSET:
        day -= FEMALE_OFFSET
    return 1 <= month <= 12 and 1 <= day <= _DAYS[month - 1]


def region_of(nik: str) -> str:
    """Return the kecamatan code at the start of a 16-digit *nik*, e.g. ``51.71.01``."""
    return f"{nik[:2]}.{nik[2:4]}.{nik[4:6]}"


def sex_of(nik: str) -> str:
    """Return L or P as a 16-digit *nik* implies it."""
    return "P" if int(nik[6:8]) > FEMALE_OFFSET else "L"


def agrees_with_birth(nik: str, birth: date) -> bool:
    """Say whether the date part of a 16-digit *nik* is that of *birth* (two digits of the year)."""
    day = int(nik[6:8]) % FEMALE_OFFSET
    return day == birth.day and int(nik[8:10]) == birth.month and int(nik[10:12]) == birth.year % 100
