"""What people read for the words of this room. Every label is a msgid."""

from __future__ import annotations

from collections.abc import Mapping

from app.kernel.errors import N_
from app.subjects.rules import Kind

# What an entry meant for the voter, in words for a citizen.
KINDS: Mapping[str, str] = {
    Kind.OPENED: N_("Dibuka"),
    Kind.UNSHOWN: N_("Dilihat tanpa isi"),
    Kind.COMPARED: N_("Dicocokkan oleh sistem, tidak ada yang ditampilkan"),
    Kind.REFUSED: N_("Dicoba, ditolak, tidak ada yang terbuka"),
    Kind.FAILED: N_("Dicoba, gagal, tidak ada yang terbuka"),
    Kind.BROKEN: N_("Segel rusak, tidak ada yang terbuka"),
    Kind.CHANGED: N_("Diperbaiki"),
    Kind.LOADED: N_("Dimuat ke daftar pemilih"),
    Kind.ASKED: N_("Langkah permintaan izin, tidak ada yang terbuka"),
    Kind.LOG: N_("Catatan dibaca, data pemilih tidak dibuka"),
    Kind.OTHER: N_("Tercatat"),
}
# Shapes of the icons in _macros.html; the words beside them say the same.
ICONS: Mapping[str, str] = {
    Kind.OPENED: "utuh",
    Kind.UNSHOWN: "ada",
    Kind.COMPARED: "ada",
    Kind.REFUSED: "stop",
    Kind.FAILED: "stop",
    Kind.BROKEN: "warn",
    Kind.CHANGED: "done",
    Kind.LOADED: "down",
    Kind.ASKED: "info",
    Kind.LOG: "info",
    Kind.OTHER: "info",
}
# The law as a voter needs it. Source of each: UU 27/2022, the articles named.
RIGHTS = (
    N_(
        "Anda berhak memperoleh akses ke data pribadi Anda dan jejak pemrosesannya paling lambat 3×24 jam sejak Anda memintanya (UU 27/2022 Pasal 32)."
    ),
    N_(
        "Bila data Anda keliru, Anda berhak memintanya diperbaiki paling lambat 3×24 jam, dan hasilnya diberitahukan kepada Anda (UU 27/2022 Pasal 30)."
    ),
    N_("KPU wajib mencatat setiap pemrosesan data pribadi (UU 27/2022 Pasal 31). Catatan itulah yang Anda baca di sini."),
)
