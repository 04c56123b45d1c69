"""The geometry of the desk's pictures: a heat map of days and hours, and bars. Pure; templates draw what stands here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

# Steps of darkness: none, a quarter, half, three quarters of the busiest hour, and above.
LEVELS = 4
# Units of the drawing: a cell holds a number of three digits.
CELL_WIDTH, CELL_HEIGHT, MARGIN_LEFT, MARGIN_TOP = 27, 22, 86, 20


@dataclass(frozen=True, slots=True)
class Cell:
    """One hour. x, y: its corner in the drawing. level: 0…LEVELS. bad: entries refused, failed or broken in it."""

    x: int
    y: int
    hour: int
    count: int
    bad: int
    level: int


@dataclass(frozen=True, slots=True)
class DayRow:
    """One day of the heat map. since, until: aware, its first moment and the next day's."""

    day: date
    y: int
    cells: Sequence[Cell]
    total: int
    bad: int
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Heat:
    """A heat map. width, height: of the drawing. busiest: entries in the busiest hour."""

    rows: Sequence[DayRow]
    hours: Sequence[tuple[int, int]]
    width: int
    height: int
    busiest: int
    total: int
    bad: int


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar. share: its length in percent of the longest; bad_share: of that, what was refused, failed or broken."""

    key: str
    count: int
    bad: int
    share: int
    bad_share: int


def heat(counts: Iterable[tuple[datetime, int, bool]], last: datetime, days: int, zone: ZoneInfo) -> Heat:
    """Return the heat map of the *days* up to that of *last*, newest day on top, on the clock of *zone*.

    counts: (beginning of an hour, aware; entries; whether they were refused, failed or broken).
    """
    totals: dict[tuple[date, int], list[int]] = {}
    for at, count, is_bad in counts:
        here = at.astimezone(zone)
        cell = totals.setdefault((here.date(), here.hour), [0, 0])
        cell[0] += count
        cell[1] += count if is_bad else 0
    newest = last.astimezone(zone).date()
    shown = [newest - timedelta(days=back) for back in range(days)]
    busiest = max((found[0] for (day, _), found in totals.items() if day in set(shown)), default=0)
    rows = [_day(day, place, totals, busiest, zone) for place, day in enumerate(shown)]
    return Heat(
        rows=rows,
        hours=[(hour, MARGIN_LEFT + hour * CELL_WIDTH) for hour in range(24)],
        width=MARGIN_LEFT + 24 * CELL_WIDTH,
        height=MARGIN_TOP + days * CELL_HEIGHT,
        busiest=busiest,
        total=sum(row.total for row in rows),
        bad=sum(row.bad for row in rows),
    )


def bars(counts: Mapping[str, tuple[int, int]]) -> list[Bar]:
    """Return a bar for each of *counts* (name → entries, of them bad), the longest first."""
    most = max((count for count, _ in counts.values()), default=0)
    ordered = sorted(counts.items(), key=lambda one: (-one[1][0], one[0]))
    return [Bar(key, count, bad, _percent(count, most), _percent(bad, most)) for key, (count, bad) in ordered]


def _day(day: date, place: int, totals: Mapping[tuple[date, int], Sequence[int]], busiest: int, zone: ZoneInfo) -> DayRow:
    y = MARGIN_TOP + place * CELL_HEIGHT
    cells = []
    for hour in range(24):
        count, bad = totals.get((day, hour), (0, 0))
        cells.append(Cell(MARGIN_LEFT + hour * CELL_WIDTH, y, hour, count, bad, _level(count, busiest)))
    since = datetime(day.year, day.month, day.day, tzinfo=zone)
    return DayRow(day, y, cells, sum(one.count for one in cells), sum(one.bad for one in cells), since, since + timedelta(days=1))


def _level(count: int, busiest: int) -> int:
    """Return 0 for nothing, else 1…LEVELS by quarters of the busiest hour."""
    return 0 if not count else min(LEVELS, 1 + (count - 1) * LEVELS // busiest)


def _percent(count: int, most: int) -> int:
    # What is there is always seen.
    return max(1, count * 100 // most) if count and most else 0
