"""The room's rules as plain functions: what a voter's number looks like, what an entry meant for the voter, and what all of them come to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.audit.entry import opened_bits
from app.audit.members import Entry
from app.kernel.errors import N_, BadInput
from app.kernel.fields import Action, Outcome
from app.kernel.ids import decode_uid
from app.kernel.regions import kab_of, parse_region

# What of a number typed is shown again: a voter's number has 32 characters.
TYPED = 40
_DASHES = re.compile("[\u2010-\u2015\u2212]")
# A NIK or NKK, however it is spaced; nobody's number of a voter looks like it.
_SIXTEEN = re.compile(r"[0-9](?:[\s.\-/]*[0-9]){15}")


class Kind(StrEnum):
    """What an entry meant for the voter it names."""

    OPENED = "dibuka"
    UNSHOWN = "tanpa_isi"
    COMPARED = "dicocokkan"
    REFUSED = "ditolak"
    FAILED = "gagal"
    BROKEN = "segel_rusak"
    CHANGED = "diperbaiki"
    LOADED = "dimuat"
    ASKED = "izin"
    LOG = "jejak"
    OTHER = "lain"


_STOPPED: Mapping[str, Kind] = {Outcome.DENIED: Kind.REFUSED, Outcome.FAILED: Kind.FAILED, Outcome.BROKEN: Kind.BROKEN}


@dataclass(frozen=True, slots=True)
class Summary:
    """All entries in numbers. people, offices: of those who opened, in the order of their first opening. first, last: of the openings."""

    counts: Mapping[Kind, int]
    people: Sequence[str]
    offices: Sequence[str]
    first: str | None
    last: str | None

    @property
    def opened(self) -> int:
        """How often something of the voter was shown."""
        return self.counts.get(Kind.OPENED, 0)

    @property
    def stopped(self) -> int:
        """How often somebody tried and nothing was shown."""
        return sum(self.counts.get(kind, 0) for kind in (Kind.REFUSED, Kind.FAILED, Kind.BROKEN))


def parse_typed(text: str) -> str:
    """Return the public id that was typed or pasted; spaces, capitals and long dashes do not matter.

    Raises BadInput (field ``subject``) for what is none, with its own sentence for what looks like a NIK.
    """
    if _SIXTEEN.search(text):
        public = N_(
            "Itu tampaknya NIK atau NKK. Di sini dipakai nomor pemilih dari Gardu, supaya tidak ada NIK yang diketik atau tersimpan."
        )
        raise BadInput("typed a NIK", field="subject", public=public)
    typed = _DASHES.sub("-", "".join(text.split())).lower()
    kab, _, uid = typed.partition("-")
    try:
        decode_uid(uid)
        if parse_region(kab) == kab_of(kab) == kab:
            return typed
    except (BadInput, ValueError):
        pass
    public = N_(
        "Nomor pemilih terdiri dari kode kab/kota, tanda hubung, dan 26 huruf atau angka, misalnya 51.71-mzxw6y… Periksa ketikannya."
    )
    raise BadInput("not a voter's public id", field="subject", public=public)


def typed_again(text: str) -> str:
    """Return what of the text typed may stand in the form again: no NIK, and not more than a number needs."""
    return "" if _SIXTEEN.search(text) else text.strip()[:TYPED]


def kind_of(members: Entry) -> Kind:
    """Return what an entry meant for the voter it names."""
    room, outcome = members["action"].partition(":")[0], members["outcome"]
    if room == "trail":
        return Kind.LOG
    if room in ("request", "mandate"):
        return Kind.ASKED
    if room != "voter":
        return Kind.OTHER
    return _STOPPED.get(outcome) or _kind_done(members)


def _kind_done(members: Entry) -> Kind:
    match members["action"], members["outcome"]:
        case (Action.VOTER_IMPORT, Outcome.DONE):
            return Kind.LOADED
        case (Action.VOTER_CHANGE, Outcome.DONE):
            return Kind.CHANGED
        case (Action.VOTER_REVEAL | Action.VOTER_SEARCH, Outcome.ALLOWED):
            if members["fields"] is None:
                return Kind.COMPARED
            return Kind.OPENED if opened_bits(members["fields"]) else Kind.UNSHOWN
    return Kind.OTHER


def summarise(entries: Iterable[Entry]) -> Summary:
    """Return what *entries*, newest first, come to."""
    found = [(kind_of(one), one) for one in entries]
    opened = [one for kind, one in reversed(found) if kind is Kind.OPENED]
    return Summary(
        counts=Counter(kind for kind, _ in found),
        people=tuple(dict.fromkeys(one["actor"] for one in opened)),
        offices=tuple(dict.fromkeys(one["office"] for one in opened if one["office"])),
        first=opened[0]["at"] if opened else None,
        last=opened[-1]["at"] if opened else None,
    )
