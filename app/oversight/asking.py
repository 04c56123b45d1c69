"""What an officer asks of the trail: read from a form or an address, and written into an address again. Knows no web and asks no database."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode

from app.audit.desk import Filter
from app.kernel.errors import N_, BadInput
from app.kernel.fields import Action, Element, Outcome, Purpose
from app.kernel.ids import decode_uid
from app.kernel.regions import NATION, parse_region, zone_of

# How far back the desk looks; the first is what it opens with.
RANGES: Mapping[str, timedelta | None] = {
    "24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30), "all": None, "custom": None,
}  # fmt: skip
FIRST = "24h"
RANGE_LABELS: Mapping[str, str] = {
    "24h": N_("24 jam terakhir"),
    "7d": N_("7 hari terakhir"),
    "30d": N_("30 hari terakhir"),
    "all": N_("seluruh jejak"),
    "custom": N_("waktu tertentu"),
}
FIELDS = ("range", "since", "until", "actor", "action", "outcome", "office", "region", "element", "purpose", "subject", "mandate")
# Twelve fields of eighty characters each, written for an address.
_QUERY_MAX = 3_000
_LOCAL = "%Y-%m-%dT%H:%M"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?", re.ASCII)
_OFFICE = re.compile(r"(?:kpu|bawaslu)-[0-9]{2}(?:\.[0-9]{2})?", re.ASCII)
_PUBLIC_ID = re.compile(r"([0-9]{2}\.[0-9]{2})-([a-z2-7]{26})", re.ASCII)
_TOKEN = re.compile(r"[0-9a-f]{64}", re.ASCII)
_WHEN = N_("Isi tanggal dan jam, misalnya 2026-11-30T08:00.")
_SUBJECT = N_("Isi nomor pemilih, misalnya 51.71-… dari halaman pemilih, atau pilih samarannya di sebuah entri.")


@dataclass(frozen=True, slots=True)
class Asked:
    """The fields as they were given, and what they mean. subject_uid: of a public id; what was given as a pseudonym stays a token."""

    given: Mapping[str, str] = field(default_factory=dict)
    wanted: Filter = field(default_factory=Filter)
    subject_uid: str = ""
    subject_kab: str = ""

    @property
    def narrowed(self) -> bool:
        """Whether anything but the time is asked for."""
        return any(self.given.get(name) for name in FIELDS[3:])


def read(given: Mapping[str, str], now: datetime, office: str, within: str) -> Asked:
    """Return what *given* asks, on the clock of *office*, inside the jurisdiction *within*.

    actor must already be a uid, ``host:…`` or ``unknown``. Raises BadInput, naming the field and the remedy, for a value that no entry
    could have.
    """
    kept = {name: given.get(name, "").strip()[:80] for name in FIELDS}
    kept = {name: value for name, value in kept.items() if value}
    since, until = _period(kept, now, office)
    wanted = Filter(
        actor=kept.get("actor", ""),
        action=_word(kept, "action", tuple(Action), N_("Pilih kegiatan dari daftar.")),
        outcome=_word(kept, "outcome", tuple(Outcome), N_("Pilih hasil dari daftar.")),
        office=_office(kept.get("office", "")),
        region=_region(kept.get("region", "")),
        element=Element(word) if (word := _word(kept, "element", tuple(Element), N_("Pilih elemen dari daftar."))) else None,
        purpose=_word(kept, "purpose", tuple(Purpose), N_("Pilih tujuan dari daftar.")),
        since=since,
        until=until,
        mandate=_mandate(kept.get("mandate", "")),
        within=within,
    )
    return _about(Asked(kept, wanted), kept.get("subject", ""))


def address(given: Mapping[str, str], **changes: str | int | None) -> str:
    """Return the desk's address for *given* with *changes*; what is empty is left out."""
    merged: dict[str, str | int | None] = {**{name: given.get(name) for name in FIELDS}, **changes}
    query = urlencode({name: value for name, value in merged.items() if value not in (None, "")}, safe=":.-")
    return f"/audit?{query}" if query else "/audit"


def query_of(given: Mapping[str, str]) -> str:
    """Return the filters as they stand behind ``?``."""
    return address(given).partition("?")[2]


def from_query(text: str) -> dict[str, str]:
    """Return the filters that stand behind a ``?``, unread; what is no filter is left out. Raises BadInput when it is no query of ours."""
    try:
        return {name: value for name, value in parse_qsl(text[:_QUERY_MAX], max_num_fields=len(FIELDS) * 2) if name in FIELDS}
    except ValueError:
        raise BadInput("no query of the desk", field="query") from None


def local_stamp(moment: datetime, office: str) -> str:
    """Return *moment* as the form's own input for time shows it, on the clock of *office*."""
    return moment.astimezone(zone_of(office)).strftime(_LOCAL)


def _period(given: dict[str, str], now: datetime, office: str) -> tuple[datetime | None, datetime | None]:
    """Return since and until. A time given by hand goes before the range chosen; the range is written back into *given*."""
    since, until = _moment(given, "since", office), _moment(given, "until", office)
    if since or until:
        given["range"] = "custom"
        if since and until and since >= until:
            raise BadInput("since not before until", field="until", public=N_("Waktu akhir harus sesudah waktu awal."))
        return since, until
    chosen = given.get("range", "")
    if chosen == "custom" or chosen not in RANGES:
        given["range"] = chosen = FIRST
    gap = RANGES[chosen]
    return (now - gap if gap else None), None


def _moment(given: Mapping[str, str], name: str, office: str) -> datetime | None:
    text = given.get(name, "")
    if not text:
        return None
    if not (_DAY.fullmatch(text) or _MOMENT.fullmatch(text)):
        raise BadInput("not a moment", field=name, public=_WHEN)
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone_of(office)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInput("not a moment", field=name, public=_WHEN) from None


def _word(given: Mapping[str, str], name: str, words: tuple[str, ...], remedy: str) -> str:
    value = given.get(name, "")
    if value and value not in words:
        raise BadInput(f"no such {name}", field=name, public=remedy)
    return value


def _office(text: str) -> str:
    if text and not _OFFICE.fullmatch(text):
        raise BadInput("not an office", field="office", public=N_("Isi kode kantor, misalnya kpu-51.71 atau bawaslu-51."))
    return text


def _region(text: str) -> str:
    return "" if not text or text == NATION else parse_region(text)


def _mandate(text: str) -> str:
    try:
        return text if not text or decode_uid(text) else ""
    except ValueError:
        raise BadInput("not a uid", field="mandate", public=N_("Isi nomor izin yang terdiri dari 26 huruf dan angka.")) from None


def _about(asked: Asked, text: str) -> Asked:
    if not text:
        return asked
    if _TOKEN.fullmatch(text):
        return replace(asked, wanted=replace(asked.wanted, subject=bytes.fromhex(text)))
    found = _PUBLIC_ID.fullmatch(text.lower())
    if found is None:
        raise BadInput("neither a public id nor a pseudonym", field="subject", public=_SUBJECT)
    return replace(asked, subject_kab=found[1], subject_uid=found[2])
