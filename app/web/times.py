"""Moments and numbers for people: the zone of their office (WIB, WITA, WIT), the habits of their language."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from babel.dates import format_date, format_datetime, format_timedelta
from babel.numbers import format_decimal
from flask import Flask

from app.kernel.clock import Clock
from app.kernel.regions import zone_label, zone_of
from app.web.i18n import gettext as _
from app.web.i18n import language

# Indonesian writes 11.30 (PUEBI), English 11:30.
_PATTERNS = {
    ("id", False): "d MMM y HH.mm",
    ("id", True): "d MMM y HH.mm.ss",
    ("en", False): "d MMM y, HH:mm",
    ("en", True): "d MMM y, HH:mm:ss",
}
_CLOCKS = {"id": "HH.mm.ss", "en": "HH:mm:ss"}
# Below a minute the exact number of seconds only flickers.
_JUST_NOW = timedelta(minutes=1)
# One region of each zone, west to east.
_ZONES = ("31", "51", "91")


def local(moment: datetime, place: str = "", *, seconds: bool = False) -> str:
    """Return *moment* on the clock of *place*, e.g. ``24 Nov 2026 11.30 WITA``.

    moment: aware. place: a region (``51.71``) or office (``kpu-51.71``); empty means WIB. Raises ValueError for a naive moment.
    """
    _aware(moment)
    pattern = _PATTERNS[language(), seconds]
    return f"{format_datetime(moment, pattern, tzinfo=zone_of(place), locale=language())} {zone_label(place)}"


def clocks(moment: datetime, place: str = "") -> str:
    """Return the time of day with seconds at *place*, or in all three zones when no place is known."""
    _aware(moment)
    spoken = language()
    return " · ".join(
        f"{format_datetime(moment, _CLOCKS[spoken], tzinfo=zone_of(zone), locale=spoken)} {zone_label(zone)}"
        for zone in ((place,) if place else _ZONES)
    )


def relative(moment: datetime, now: datetime) -> str:
    """Return how long ago, or in how long, e.g. ``5 menit yang lalu``. Raises ValueError for a naive moment."""
    _aware(moment)
    gap = moment - now
    if abs(gap) < _JUST_NOW:
        return _("baru saja")
    return str(format_timedelta(gap, granularity="minute", add_direction=True, locale=language()))


def day(value: date) -> str:
    """Return a day as people write it, e.g. ``15 Desember 2026``."""
    return str(format_date(value, "d MMMM y", locale=language()))


def short_day(value: date) -> str:
    """Return a day with its weekday in little room, e.g. ``Sen 24 Nov``."""
    return str(format_date(value, "EEE d MMM", locale=language()))


def number(value: int) -> str:
    """Return *value* with the separators of the language: 1.234 or 1,234."""
    return str(format_decimal(value, locale=language()))


def install(app: Flask, clock: Clock) -> None:
    """Give the templates of *app* the filters ``local``, ``clocks``, ``day``, ``shortday``, ``relative`` and ``number``."""
    app.jinja_env.filters.update(
        local=local, clocks=clocks, day=day, shortday=short_day, number=number, relative=lambda moment: relative(moment, clock.now())
    )


def _aware(moment: datetime) -> None:
    if moment.tzinfo is None:
        raise ValueError("a naive datetime has no place on a page")
