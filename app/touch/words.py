"""Sentences for the rules that the code adds where no policy decided (docs/rules.md). Every one is a msgid."""

from __future__ import annotations

from collections.abc import Mapping

from app.kernel.errors import N_
from app.policy.decide import SEARCH_NEEDS_FULL, WRONG_LEVEL
from app.policy.engine import NO_RULE
from app.touch.change import MOVED, SAME_VALUE, STALE, TAKEN
from app.touch.fresh import STALE_WITNESS
from app.touch.record import ENGINE_FAILED, UNSEEN_POLICY

RULES: Mapping[str, str] = {
    NO_RULE: N_("Tidak ada aturan yang mengizinkannya."),
    WRONG_LEVEL: N_("Wilayah kantor tidak sesuai dengan peran."),
    SEARCH_NEEDS_FULL: N_("Pencarian ini memerlukan kode verifikasi baru atau izin."),
    ENGINE_FAILED: N_("Mesin kebijakan gagal, maka ditolak."),
    STALE: N_("Perbaikan NIK atau NKK memerlukan kode verifikasi baru."),
    SAME_VALUE: N_("Nilainya sudah sama."),
    TAKEN: N_("NIK itu sudah dipakai pemilih lain."),
    MOVED: N_("Data berubah sementara diperbaiki."),
    STALE_WITNESS: N_("Tanda tangan saksi lebih tua dari 15 menit, maka provinsi lain tidak dibuka."),
    UNSEEN_POLICY: N_("Kebijakan baru diganti dan belum ditandatangani saksi, maka belum membuka apa pun."),
}
