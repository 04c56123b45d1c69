"""How wide blind indexes should be, and how many strangers a look-up then opens. Plain arithmetic; the rule is ``vault.blind.planned_bits``."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.kernel.errors import BadInput
from app.kernel.regions import kab_of, parse_region
from app.vault.blind import NIK_BYTES, planned_bits

# DPT of the 2024 election (KPU decision 857/2023), domestic and abroad: the largest roll there has been.
NATION_ROWS = 204_807_222
# A key is left as it is while a look-up opens between a quarter and four times what was planned: making one anew rewrites every row.
SLACK_BITS = 1


class Fit(StrEnum):
    """Whether a kab's present key still has the width its roll asks for."""

    NONE = "none"  # it has no key yet
    GOOD = "good"
    NARROW = "narrow"  # too few bits: a look-up opens too many strangers
    WIDE = "wide"  # too many bits: equal tokens nearly prove equal values


@dataclass(frozen=True, slots=True)
class Planned:
    """One kab's plan. rows: expected, of one election; bits: as planned; present: bits of its key, or None.

    strangers: false candidates of one look-up by NKK or by name and birth date, on average, with the planned bits; now: with the present.
    """

    kab: str
    rows: int
    bits: int
    present: int | None

    @property
    def strangers(self) -> float:
        """Rows ÷ 2^bits."""
        return math.ldexp(self.rows, -self.bits)

    @property
    def now(self) -> float | None:
        """Rows ÷ 2^present, or None without a key."""
        return None if self.present is None else math.ldexp(self.rows, -self.present)

    @property
    def fit(self) -> Fit:
        """Whether the present key fits."""
        if self.present is None:
            return Fit.NONE
        if abs(self.present - self.bits) <= SLACK_BITS:
            return Fit.GOOD
        return Fit.NARROW if self.present < self.bits else Fit.WIDE


def plan(rows: Mapping[str, int], present: Mapping[str, int]) -> list[Planned]:
    """Return the plan of every kab in *rows*, in the order of codes. present: bits of the keys there are."""
    return [Planned(kab, rows[kab], planned_bits(rows[kab]), present.get(kab)) for kab in sorted(rows)]


def nik_strangers(rows: int) -> float:
    """Return the false candidates of one look-up by NIK among *rows* of one election, on average."""
    return math.ldexp(rows, -8 * NIK_BYTES)


def read_expected(lines: Iterable[str]) -> dict[str, int]:
    """Return kab → rows from a CSV with the header ``kab,rows``. Raises BadInput that names the line."""
    reader = csv.DictReader(lines)
    if reader.fieldnames is None or not {"kab", "rows"} <= set(reader.fieldnames):
        raise BadInput("the first line must be the header kab,rows", field="file")
    found: dict[str, int] = {}
    for number, row in enumerate(reader, start=2):
        kab, rows = (row["kab"] or "").strip(), (row["rows"] or "").strip()
        try:
            good = kab_of(parse_region(kab)) == kab and rows.isascii() and rows.isdigit() and kab not in found
        except BadInput:
            good = False
        if not good:
            raise BadInput(f"line {number}: a kab/kota code (once each) and a whole number, e.g. 51.71,512000", field="file")
        found[kab] = int(rows)
    return found
