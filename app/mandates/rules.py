"""The room's rules as plain functions: what may be asked, what a decision may leave of it, who may decide. Knows neither web nor database."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from app.kernel.errors import N_, BadInput
from app.kernel.fields import ELEMENTS, Element, Role, Stage, View
from app.kernel.regions import is_within, zone_of

# What an entry and a page name as the reason of a refusal; docs/rules.md explains each.
OWN, SAME_PERSON, SAME_UNIT = "izin-pemohon-sendiri", "izin-penyetuju-sama", "izin-unit-sama"
BEYOND, WIDER, NEEDLESS = "izin-melebihi-puncak", "izin-melebihi-permintaan", "izin-tidak-perlu"
OUTSIDE, DATE, DECIDED = "izin-wilayah-di-luar", "izin-tanggal", "izin-sudah-diputus"
NO_APPROVERS, NOT_APPROVER, NOT_PARTY = "izin-tanpa-penyetuju", "izin-bukan-penyetuju", "izin-bukan-pihak"
RULES = (OWN, SAME_PERSON, SAME_UNIT, BEYOND, WIDER, NEEDLESS, OUTSIDE, DATE, DECIDED, NO_APPROVERS, NOT_APPROVER, NOT_PARTY)
WHY: Mapping[str, str] = {
    OWN: N_("Anda sendiri pemohonnya. Permintaan diputus oleh orang lain."),
    SAME_PERSON: N_("Anda sudah menyetujui permintaan ini. Persetujuan kedua harus dari orang lain, dari unit lain."),
    SAME_UNIT: N_("Penyetuju pertama berasal dari unit Anda. Persetujuan kedua harus dari unit lain."),
    BEYOND: N_(
        "Kebijakan tidak membuka elemen ini sejauh itu bagi peran Anda, dengan izin sekalipun. Turunkan tingkatnya atau hapus elemennya."
    ),
    WIDER: N_("Keputusan hanya boleh mempersempit: wilayah, elemen, tingkat, dan tanggal tidak boleh melebihi yang tersisa sekarang."),
    NEEDLESS: N_("Izin ini tidak membuka apa pun yang belum terbuka tanpa izin. Pilih elemen atau tingkat lain."),
    OUTSIDE: N_("Wilayah ini di luar wilayah kantor Anda."),
    DATE: N_("Tanggal berakhirnya tidak boleh sudah lewat, dan paling lama 90 hari dari sekarang."),
    DECIDED: N_("Permintaan ini sudah berubah atau sudah diputus. Kiriman Anda tidak disimpan; lihat keadaannya yang terbaru."),
    NO_APPROVERS: N_("Belum ada dua penyetuju dari dua unit berbeda untuk wilayah ini."),
    NOT_APPROVER: N_("Hanya penyetuju dari kantor KPU yang wilayahnya mencakup permintaan ini yang dapat memutusnya."),
    NOT_PARTY: N_("Ini hanya dapat dilakukan oleh pihak yang berwenang atas permintaan ini."),
}

# Who may ask: the roles for which some policy opens more with a mandate.
REQUESTERS = (Role.BAWASLU_KAB, Role.BAWASLU_PROV, Role.BAWASLU_RI, Role.KPU_KAB, Role.PEJABAT_PDP)
# As for machine tokens, which are tied to a mandate (identity.md, "Numbers"): what lasts longer is asked for again.
MOST_DAYS = 90
# A mandate that ends within a week is shown as ending soon: enough time for two people to decide the next one.
SOON = timedelta(days=7)
# Shorter than this nobody can say what is needed and why ("." is no reason).
REASON_MIN, REASON_MAX = 20, 1000
# The column's width.
LETTER_MAX = 80
# Nobody's free text may carry a NIK or NKK: sixteen digits, however they are spaced.
_SIXTEEN = re.compile(r"[0-9](?:[\s.\-/]*[0-9]){15}")
_LETTERS = re.compile(r"[^\W\d_]")


class State(StrEnum):
    """Where a request stands. half: approved by one; active: a mandate is in force."""

    SUBMITTED = "submitted"
    HALF = "half"
    ACTIVE = "active"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    REVOKED = "revoked"
    ENDED = "ended"


OPEN = (State.SUBMITTED, State.HALF)


class Act(StrEnum):
    """What one step did."""

    SUBMIT = "submit"
    APPROVE = "approve"
    START = "start"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"
    REVOKE = "revoke"
    EXPIRE = "expire"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a request asks, or what a decision leaves of it. until: the first moment at which it is over."""

    region: str
    elements: frozenset[Element]
    view: View
    until: datetime


def wider(new: Terms, old: Terms) -> tuple[str, ...]:
    """Return the fields (``region``, ``elements``, ``view``, ``until``) in which *new* reaches beyond *old*; none when it only narrows."""
    return tuple(
        name
        for name, beyond in (
            ("region", not is_within(new.region, old.region)),
            ("elements", not new.elements <= old.elements),
            ("view", new.view > old.view),
            ("until", new.until > old.until),
        )
        if beyond
    )


def complete(elements: Iterable[Element], derived: frozenset[Element]) -> frozenset[Element]:
    """Return *elements*, with *derived* (what is read off a NIK) when NIK is among them: approvers must see what opens with it."""
    named = frozenset(elements)
    return named | derived if Element.NIK in named else named


def own_elements(elements: frozenset[Element], derived: frozenset[Element]) -> frozenset[Element]:
    """Return the elements asked for their own sake: not those that only go along with a NIK."""
    return elements - derived if Element.NIK in elements else elements


def too_far(elements: Iterable[Element], view: View, widest: Mapping[Element, View]) -> frozenset[Element]:
    """Return the elements asked further than the widest mandate opens them."""
    return frozenset(element for element in elements if view > widest[element])


def end_of(day: date, region: str) -> datetime:
    """Return the first moment after *day* on the clock of *region*, in UTC."""
    return datetime.combine(day + timedelta(days=1), time(), zone_of(region)).astimezone(UTC)


def last_day(until: datetime, region: str) -> date:
    """Return the day on which something that ends at *until* is still good, on the clock of *region*."""
    return (until.astimezone(zone_of(region)) - timedelta(microseconds=1)).date()


def date_holds(until: datetime, now: datetime) -> bool:
    """Say whether *until* lies ahead, and not further than MOST_DAYS whole days after today."""
    return now < until <= now + timedelta(days=MOST_DAYS + 1)


def covers(office: str, region: str) -> bool:
    """Say whether *office* is one of the KPU's and its region holds *region*."""
    body, _, own = office.partition("-")
    return body == "kpu" and is_within(region, own)


def parse_until(text: str, region: str) -> datetime:
    """Return the end of the day *text* (``yyyy-mm-dd`` or ``dd-mm-yyyy``) in *region*. Raises BadInput (field ``until``)."""
    given = text.strip()
    if re.fullmatch(r"[0-9]{2}-[0-9]{2}-[0-9]{4}", given, re.ASCII):
        given = "-".join(reversed(given.split("-")))
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", given, re.ASCII):
            return end_of(date.fromisoformat(given), region)
    except (ValueError, OverflowError):
        pass
    raise BadInput("until is no date", field="until", public=N_("Isi tanggal berakhirnya, misalnya 31-12-2026."))


def parse_elements(words: Iterable[str]) -> frozenset[Element]:
    """Return the elements named. Raises BadInput (field ``elements``) for none or an unknown one."""
    try:
        found = frozenset(Element(word) for word in words)
    except ValueError:
        found = frozenset()
    if not found:
        raise BadInput("no element, or an unknown one", field="elements", public=N_("Pilih sedikitnya satu elemen."))
    return found


def parse_view(word: str) -> View:
    """Return a view that a mandate can name. Raises BadInput (field ``view``)."""
    for view in (View.SAMAR, View.RINGKAS, View.UTUH):
        if view.word == word:
            return view
    raise BadInput("unknown view", field="view", public=N_("Pilih sejauh mana elemen itu perlu terbuka."))


def parse_stages(words: Iterable[str]) -> frozenset[Stage]:
    """Return the stages named. Raises BadInput (field ``stages``) for none or an unknown one."""
    try:
        found = frozenset(Stage(word) for word in words)
    except ValueError:
        found = frozenset()
    if not found:
        raise BadInput("no stage, or an unknown one", field="stages", public=N_("Pilih sedikitnya satu tahapan."))
    return found


def parse_reason(text: str, *, required: bool = True) -> str:
    """Return a reason with single spaces, or "" where none is *required* and none was given. Raises BadInput (field ``reason``)."""
    reason = _plain(text, "reason")
    if not reason and not required:
        return ""
    if not REASON_MIN <= len(reason) <= REASON_MAX or len(_LETTERS.findall(reason)) < REASON_MIN // 2:
        raise BadInput(
            "reason too short or too long",
            field="reason",
            public=N_("Tulis alasannya dengan kalimat, 20 sampai 1.000 huruf: apa yang dikerjakan, dan mengapa perlu."),
        )
    return reason


def parse_letter(text: str) -> str:
    """Return the number of an assignment letter. Raises BadInput (field ``letter``)."""
    letter = _plain(text, "letter")
    if not 3 <= len(letter) <= LETTER_MAX:
        raise BadInput("letter empty or too long", field="letter", public=N_("Isi nomor surat tugas, paling panjang 80 huruf."))
    return letter


def _plain(text: str, field: str) -> str:
    plain = " ".join(unicodedata.normalize("NFKC", text).split())
    if _SIXTEEN.search(plain):
        raise BadInput(
            "sixteen digits in a free text", field=field, public=N_("Jangan menulis NIK atau NKK di sini. Hapus angka 16 digit itu.")
        )
    if not plain.isprintable():
        raise BadInput("unprintable", field=field, public=N_("Isian memuat tanda yang tidak dapat dibaca. Ketik ulang."))
    return plain


def words_of(elements: Iterable[Element]) -> str:
    """Return elements as their column holds them: in the order of the roll, comma-separated."""
    named = frozenset(elements)
    return ",".join(element.value for element in ELEMENTS if element in named)
