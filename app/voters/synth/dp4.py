"""A DP4 file of synthetic voters: same region, number and seed, same bytes.

Real life is in every file: people who moved, a birth date or sex that differs from the NIK. Faults (duplicates, remarks,
rows that intake must quarantine) can be left out with ``clean``. All shares are the constants below.
"""

from __future__ import annotations

import csv
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from typing import TextIO

from app.kernel.errors import N_, BadInput
from app.places import Places
from app.voters.rules.rows import COLUMNS
from app.voters.synth.names import customs_of
from app.voters.synth.numbers import Numbers
from app.voters.synth.people import Draw, Person, born, make_family

# Shares of real life, kept in clean files too. NIKs of other regions: our estimate. The two mismatches: our estimate.
MOVED = 0.08
BIRTH_MISMATCH = 0.003
SEX_MISMATCH = 0.001
NO_KTP_EL = 0.02

# Shares of faults. Struck after DPS in 2023 were 390,070 duplicates and 287,724 dead of 205,853,518: 0.19 % and 0.14 %.
DUPLICATE = 0.002
DECEASED = 0.0014
# Of unmarried children of the house; about one row in a thousand, so that a small file has some.
UNDER_AGE = 0.006
# Bawaslu found far more in a sample (5,065,265 of 16,683,903); one in a hundred is enough to work with.
WRONG_TPS = 0.01
IMPOSSIBLE_DATE = 0.001
SHORT_NIK = 0.001
_FAULTS = (
    ("impossible date", IMPOSSIBLE_DATE),
    ("short nik", SHORT_NIK),
    ("deceased", DECEASED),
    ("wrong tps", WRONG_TPS),
    ("duplicate", DUPLICATE),
)

# National shares in the DPT of 2023 (204,807,222 voters), by code. The three sensory codes share 298,749 equally,
# since no published figure divides them.
_VOTERS = 204_807_222
DISABILITIES = (
    ("1", 482_414 / _VOTERS),
    ("2", 55_421 / _VOTERS),
    ("3", 264_594 / _VOTERS),
    ("4", 99_583 / _VOTERS),
    ("5", 99_583 / _VOTERS),
    ("6", 99_583 / _VOTERS),
)

# The cap of voters per TPS in Pemilu 2024.
TPS_CAP = 300
_MOST_TPS = 999
# A duplicate follows its original after at least so many rows.
_DUPLICATE_AFTER = 40
# Kecamatan elsewhere that movers come from, per file: few, to keep memory flat.
_ORIGINS = 40
_RT_PER_TPS = 3

_STREETS = (
    *("MAWAR", "MELATI", "KENANGA", "CEMPAKA", "ANGGREK", "DAHLIA", "FLAMBOYAN", "KAMBOJA", "TERATAI", "MERPATI", "RAJAWALI", "ELANG"),
    *("GARUDA", "DIPONEGORO", "SUDIRMAN", "GAJAH MADA", "HASANUDIN", "KARTINI", "PATTIMURA", "VETERAN", "MERDEKA", "PAHLAWAN", "PEMUDA"),
)
_HAMLETS = ("PASEKAN", "GEDE", "ANYAR", "MEKAR", "SARI", "MUKTI", "HARAPAN", "SUKAMAJU", "MULYA", "MAKMUR", "SENTOSA", "RAYA")
_SIDES_OF_BALI = ("KAJA", "KELOD", "KANGIN", "KAUH", "TENGAH")
_SIDES = ("LAMA", "BARU", "INDAH", "JAYA", "TENGAH", "SATU", "DUA")


@dataclass(frozen=True, slots=True)
class _Desa:
    """A desa as the file writes it. region: its kecamatan, six digits."""

    region: str
    kecamatan: str
    name: str
    urban: bool


@dataclass(frozen=True, slots=True)
class _Home:
    """Where one family is registered."""

    desa: _Desa
    nkk: str
    address: str
    rt: str
    rw: str
    tps: str


def generate(region: str, voters: int, seed: int, *, clean: bool = False, places: Places | None = None) -> Iterator[dict[str, str]]:
    """Yield *voters* rows of a DP4 file (text by column) for one kab/kota, e.g. ``51.71``; see the shares above.

    Raises BadInput for a region that is no kab/kota of the table, fewer than one voter, or more than its TPS numbers hold.
    """
    return (dict(zip(COLUMNS, row, strict=True)) for row in _Writer(region, voters, seed, clean, places or Places()).rows())


def write_csv(
    out: TextIO, region: str, voters: int, seed: int, *, clean: bool = False, delimiter: str = ",", places: Places | None = None
) -> int:
    """Write a header and *voters* rows (ASCII, lines end with LF) to *out* and return the number of rows. Raises as ``generate``."""
    made = _Writer(region, voters, seed, clean, places or Places()).rows()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(made)
    return voters


class _Writer:
    """One run: its random stream, its numbers, and what it still owes."""

    def __init__(self, region: str, voters: int, seed: int, clean: bool, places: Places) -> None:
        self._draw = Draw(random.Random(f"gardu/dp4/{region}/{seed}").random)  # noqa: S311  made to be repeated, not secret
        kabs = places.kabs()
        if region not in kabs:
            raise BadInput(f"{region} is not a kab/kota", field="region", public=N_("Kode kabupaten/kota tidak dikenal."))
        self._region, self._voters, self._clean = region, voters, clean
        self._desas = _desas_of(region, places)
        if not 1 <= voters <= len(self._desas) * TPS_CAP * _MOST_TPS // 4:
            raise BadInput(f"{voters} voters do not fit {region}", field="voters", public=N_("Jumlah pemilih di luar batas wilayah ini."))
        self._customs = customs_of(region)
        self._numbers = Numbers(kabs.index(region))
        self._home = _short_name(places, region)
        self._origins = self._draw_origins(kabs, places)
        self._made = 0
        self._owed: deque[tuple[int, tuple[str, ...]]] = deque()

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield every row, desa by desa, TPS by TPS; a family shares NKK, address and TPS."""
        parts = list(accumulate(self._draw.between(0.4, 1.6) for _ in self._desas))
        for desa, part in zip(self._desas, parts, strict=True):
            end = self._voters if part == parts[-1] else int(part / parts[-1] * self._voters)
            tps, filled, families = 1, 0, 0
            while self._made < end:
                again = self._due()
                people = [] if again else make_family(self._draw, self._draw.one(self._customs))[: end - self._made]
                size = len(people) or 1
                if filled + size > TPS_CAP:
                    tps, filled = tps + 1, 0
                home = self._settle(desa, tps, families)
                yield from [self._again(again, home)] if again else [self._row(*who, home) for who in enumerate(people, self._made)]
                filled, families, self._made = filled + size, families + 1, self._made + size

    def _due(self) -> tuple[str, ...] | None:
        """Return the row that is to come a second time now, if one is."""
        return self._owed.popleft()[1] if self._owed and self._made >= self._owed[0][0] else None

    def _settle(self, desa: _Desa, tps: int, families: int) -> _Home:
        draw = self._draw
        rt = (tps - 1) * _RT_PER_TPS + families % _RT_PER_TPS + 1
        nkk = self._numbers.nkk(desa.region, int(draw.chance() * 6500))
        return _Home(desa, nkk, self._address(desa), f"{rt:03d}", f"{(rt - 1) // 6 + 1:03d}", f"{tps:03d}")

    def _address(self, desa: _Desa) -> str:
        draw = self._draw
        if desa.urban:
            street = f"JL. {draw.one(_STREETS)} NO. {int(draw.chance() * 180) + 1}"
            return f"{street}, GG. {'IVX'[int(draw.chance() * 3)]}" if draw.chance() < 0.2 else street
        word, sides = ("BR.", _SIDES_OF_BALI) if self._region.startswith("51") else ("DUSUN", _SIDES)
        return f"{word} {draw.one(_HAMLETS)} {draw.one(sides)}"

    def _row(self, number: int, person: Person, home: _Home) -> tuple[str, ...]:
        draw = self._draw
        fault = "" if self._clean else draw.share(_FAULTS)
        under_age = not fault and not self._clean and person.child and draw.chance() < UNDER_AGE
        birth = born(draw.between(14, 16.9)) if under_age else person.birth
        native = draw.chance() >= MOVED
        origin, birthplace = (home.desa.region, self._home) if native else draw.one(self._origins)
        nik = self._numbers.nik(origin, self._birth_in_nik(birth), person.female != (draw.chance() < SEX_MISMATCH), native)
        rest = ("P" if person.female else "L", birthplace, _written(birth), person.status, home.address, home.rt, home.rw)
        card = "B" if under_age or draw.chance() < NO_KTP_EL else "S"
        codes = (draw.share(DISABILITIES) or "0", card, "DP4", "3" if under_age else "")
        row = (self._dpid(number), home.nkk, nik, person.name, *rest, *codes, home.tps, home.desa.kecamatan, home.desa.name)
        return self._spoil(row, fault, number) if fault else row

    def _birth_in_nik(self, birth: int) -> int:
        """Return the birth date that the NIK was issued with, at times up to three years before the true one."""
        return birth - 1 - int(self._draw.chance() * 1000) if self._draw.chance() < BIRTH_MISMATCH else birth

    def _spoil(self, row: tuple[str, ...], fault: str, number: int) -> tuple[str, ...]:
        """Return *row* with its fault; a duplicate's fault is a second row, later."""
        match fault:
            case "impossible date":
                return _with(row, TGL_LHR=f"31|02|{row[_AT['TGL_LHR']][-4:]}")
            case "short nik":
                return _with(row, NIK=row[_AT["NIK"]][:-1])
            case "deceased":
                return _with(row, KET="1")
            case "wrong tps":
                # The family's home stays; this member's address belongs to an RT far outside the TPS.
                return _with(row, KET="8", RT=f"{900 + number % 100}")
        self._owed.append((number + _DUPLICATE_AFTER, row))
        return row

    def _again(self, row: tuple[str, ...], home: _Home) -> tuple[str, ...]:
        """Return the same person, NIK and all, registered a second time at another home."""
        where = {"KECAMATAN": home.desa.kecamatan, "DESA": home.desa.name, "TPS": home.tps, "RT": home.rt, "RW": home.rw}
        return _with(row, DPID=self._dpid(self._made), ALAMAT=home.address, **where)

    def _dpid(self, number: int) -> str:
        return f"{self._region.replace('.', '')}{number + 1:08d}"

    def _draw_origins(self, kabs: tuple[str, ...], places: Places) -> list[tuple[str, str]]:
        """Return (kecamatan, six digits; birthplace) of where movers come from."""
        others = [kab for kab in kabs if kab != self._region]
        drawn = [self._draw.one(others) for _ in range(_ORIGINS)]
        return [(self._draw.one(places.children(kab)).replace(".", ""), _short_name(places, kab)) for kab in drawn]


_AT = {column: place for place, column in enumerate(COLUMNS)}


def _with(row: tuple[str, ...], **told: str) -> tuple[str, ...]:
    return tuple(told.get(column, text) for column, text in zip(COLUMNS, row, strict=True))


def _written(birth: int) -> str:
    day = date.fromordinal(birth)
    return f"{day.day:02d}|{day.month:02d}|{day.year}"


def _short_name(places: Places, kab: str) -> str:
    name = (places.name(kab) or kab).upper()
    return name.removeprefix("KABUPATEN ").removeprefix("KOTA ADMINISTRASI ").removeprefix("KOTA ")


def _desas_of(region: str, places: Places) -> list[_Desa]:
    """Return the desa of a kab/kota, each as its official name in capitals, or its code where the name is not alone."""
    found = []
    for kec in places.children(region):
        for code in places.children(kec):
            name = (places.name(code) or code).upper()
            alone = len(places.find_desa(kec, name)) == 1
            urban = code.rsplit(".", 1)[1].startswith("1")
            found.append(_Desa(kec.replace(".", ""), (places.name(kec) or kec).upper(), name if alone else code, urban))
    return found
