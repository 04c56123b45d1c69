"""What a corrected element may become: the same rules as for a loaded row, told per element. Never repeats the value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

from app.kernel.errors import N_, BadInput
from app.kernel.fields import Element
from app.voters.rules.dates import parse_birth
from app.voters.rules.nik import has_possible_date, is_sixteen_digits
from app.voters.rules.text import has_break, has_control, normalise

# Codes of Model A-Daftar Pemilih that a correction may set (facts.md section 1); 90…97 belong to TPS lokasi khusus.
CODES: Mapping[Element, tuple[str, ...]] = {
    Element.JENIS_KELAMIN: ("L", "P"),
    Element.STATUS_KAWIN: ("B", "S", "P"),
    Element.KTP_EL: ("S", "B"),
    Element.DISABILITAS: tuple("0123456"),
    Element.KETERANGAN: ("", *"12345678", "U"),
}
# Characters. Longer than any name or address in use; what a correction types is one value, not a column gone astray.
LONGEST: Mapping[Element, int] = {Element.RT: 5, Element.RW: 5, Element.NAMA: 200, Element.TEMPAT_LAHIR: 120, Element.ALAMAT: 400}
# A reason shorter than this says nothing; a longer one than the other is a report and belongs elsewhere. In characters.
REASON_MIN, REASON_MAX = 10, 500
# Why a correction is made, as the sealed payload keeps it, with what people read.
GROUNDS: Mapping[str, str] = {
    "coklit": N_("hasil coklit"),
    "ktp": N_("sesuai KTP-el atau KK yang ditunjukkan"),
    "dukcapil": N_("sesuai data Dukcapil"),
    "tanggapan": N_("tanggapan masyarakat"),
    "bawaslu": N_("saran perbaikan Bawaslu"),
    "salah_ketik": N_("salah ketik"),
}
_DIGITS = re.compile(r"\d{16}", re.ASCII)


def parse_value(element: Element, text: str, voting_day: date) -> str:
    """Return what is stored for *text* as typed for *element*: NFC, trimmed, a date as ISO. Raises BadInput (field ``value``)."""
    value = normalise(text)
    if has_control(value) or has_break(value):
        raise _wrong(element, N_("Ada ganti baris atau karakter tak terlihat. Ketik ulang isinya dalam satu baris."))
    if element in CODES:
        if value not in CODES[element]:
            raise _wrong(element, N_("Pilih salah satu kode yang tersedia."))
        return value
    if element in {Element.NIK, Element.NKK}:
        return _number(element, value)
    if element is Element.TANGGAL_LAHIR:
        return _birth(value, voting_day)
    if element is Element.NAMA and not value:
        raise _wrong(element, N_("Nama tidak boleh kosong. Tulis sesuai KTP-el."))
    if len(value) > LONGEST[element]:
        raise _wrong(element, N_("Isinya terlalu panjang. Tulis seperti pada KTP-el atau KK."))
    return value


def parse_ground(text: str) -> str:
    """Return a word of GROUNDS. Raises BadInput (field ``ground``)."""
    if text not in GROUNDS:
        raise BadInput("no such ground", field="ground", public=N_("Pilih sumber perbaikan."))
    return text


def parse_reason(text: str) -> str:
    """Return the reason as it goes into the sealed payload. Raises BadInput (field ``reason``)."""
    reason = " ".join(normalise(text).split())
    if has_control(reason) or not REASON_MIN <= len(reason) <= REASON_MAX:
        raise BadInput("reason too short or long", field="reason", public=N_("Tulis alasan perbaikan, 10 sampai 500 huruf."))
    if _DIGITS.search(reason):
        message = N_("Jangan menulis NIK atau nomor KK di dalam alasan. Cukup sebutkan dokumennya.")
        raise BadInput("reason holds a number of 16 digits", field="reason", public=message)
    return reason


def _number(element: Element, text: str) -> str:
    value = re.sub(r"[\s.\-]", "", text)
    if not is_sixteen_digits(value):
        raise _wrong(element, N_("Isi tepat 16 angka."))
    if element is Element.NIK and not has_possible_date(value):
        raise _wrong(element, N_("Angka ke-7 sampai ke-10 NIK bukan tanggal yang mungkin. Periksa kembali ketikannya."))
    return value


def _birth(text: str, voting_day: date) -> str:
    try:
        birth = parse_birth(text)
    except ValueError:
        birth = None
    if birth is None or birth > voting_day:
        raise _wrong(Element.TANGGAL_LAHIR, N_("Isi tanggal lahir yang benar, misalnya 31-12-1990."))
    return birth.isoformat()


def _wrong(element: Element, public: str) -> BadInput:
    return BadInput(f"{element.value}: the new value cannot be used", field="value", public=public)
