"""Codes of Model A-Daftar Pemilih in words. Every word is a msgid."""

from __future__ import annotations

from collections.abc import Mapping

from app.kernel.errors import N_
from app.kernel.fields import Element

# Codes of Model A-Daftar Pemilih in words (facts: KPU's own letters; the six disabilities of PKPU 7/2022; the remarks of coklit).
CODE_WORDS: Mapping[Element, Mapping[str, str]] = {
    Element.JENIS_KELAMIN: {"L": N_("laki-laki"), "P": N_("perempuan")},
    Element.STATUS_KAWIN: {"B": N_("belum kawin"), "S": N_("sudah kawin"), "P": N_("pernah kawin")},
    Element.KTP_EL: {"S": N_("sudah punya KTP-el"), "B": N_("belum punya KTP-el")},
    Element.DISABILITAS: {
        "0": N_("bukan penyandang disabilitas"),
        "1": N_("disabilitas fisik"),
        "2": N_("disabilitas intelektual"),
        "3": N_("disabilitas mental"),
        "4": N_("disabilitas sensorik wicara"),
        "5": N_("disabilitas sensorik rungu"),
        "6": N_("disabilitas sensorik netra"),
        "ya": N_("penyandang disabilitas"),
        "tidak": N_("bukan penyandang disabilitas"),
    },
    Element.KETERANGAN: {
        "1": N_("meninggal"),
        "2": N_("ganda"),
        "3": N_("di bawah umur"),
        "4": N_("pindah domisili"),
        "5": N_("WNA"),
        "6": N_("TNI"),
        "7": N_("Polri"),
        "8": N_("salah TPS"),
        "U": N_("ubah data"),
    },
}
