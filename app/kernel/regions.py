"""Kemendagri region codes by shape alone; names live in ``app.places``.

A code is ``00`` (the nation), ``PP`` (province), ``PP.KK`` (kab/kota), ``PP.KK.CC`` (kecamatan) or ``PP.KK.CC.DDDD`` (desa).
"""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

from app.kernel.errors import N_, BadInput

NATION = "00"
_SHAPE = re.compile(r"\d{2}(?:\.\d{2}(?:\.\d{2}(?:\.\d{4})?)?)?", re.ASCII)

# Keppres 41/1987: three time zones. Provinces not named here are on WIB.
_WITA = frozenset({"51", "52", "53", "63", "64", "65", "71", "72", "73", "74", "75", "76"})
_WIT = frozenset({"81", "82", "91", "92", "93", "94", "95", "96"})
WIB, WITA, WIT = ZoneInfo("Asia/Jakarta"), ZoneInfo("Asia/Makassar"), ZoneInfo("Asia/Jayapura")


def parse_region(text: str) -> str:
    """Return *text* as a region code.

    Raises BadInput (field ``region``) when its shape is not that of a Kemendagri code.
    """
    code = text.strip()
    if not _SHAPE.fullmatch(code):
        raise BadInput(
            "not a Kemendagri region code",
            field="region",
            public=N_("Kode wilayah tidak dikenal. Contoh yang benar: 51.71 untuk Kota Denpasar."),
        )
    return code


def ancestors(code: str) -> tuple[str, ...]:
    """Return *code* and everything above it, nearest first, the nation last (at most 5 codes)."""
    if code == NATION:
        return (NATION,)
    parts = code.split(".")
    return (*(".".join(parts[:length]) for length in range(len(parts), 0, -1)), NATION)


def is_within(code: str, region: str) -> bool:
    """Say whether *code* is *region* or lies inside it."""
    return region in ancestors(code)


def kab_of(code: str) -> str | None:
    """Return the kab/kota of *code*, or None when *code* is wider than one."""
    parts = code.split(".")
    return ".".join(parts[:2]) if len(parts) >= 2 else None


def zone_of(code: str) -> ZoneInfo:
    """Return the time zone of a region or an office code such as ``kpu-51.71``."""
    province = code.rsplit("-", 1)[-1][:2]
    if province in _WITA:
        return WITA
    return WIT if province in _WIT else WIB


def zone_label(code: str) -> str:
    """Return WIB, WITA or WIT for a region or an office code."""
    return {WITA: "WITA", WIT: "WIT"}.get(zone_of(code), "WIB")
