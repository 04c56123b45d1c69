"""What people read on the officer's desk: members of an entry, steps of a proof, words of the charts. Every label is a msgid."""

from __future__ import annotations

from collections.abc import Mapping

from app.audit.single import Check, Found
from app.kernel.errors import N_
from app.kernel.fields import Outcome
from app.mandates.rules import WHY as MANDATE_WHY
from app.touch.words import RULES as TOUCH_RULES
from app.voters.undo import WHY as UNDO_WHY

# Every member of an entry in the order of its meaning: what it is called, and what it says (docs/log-format.md).
MEMBERS: Mapping[str, tuple[str, str]] = {
    "seq": (N_("Nomor urut"), N_("Tempatnya di jejak, tanpa celah, menurut urutan tersimpan.")),
    "at": (N_("Waktu"), N_("Saat keputusan dibuat, menurut jam server.")),
    "actor": (N_("Pelaku"), N_("Akun yang meminta, atau proses mesin.")),
    "office": (N_("Kantor"), N_("Kantor pelaku pada saat itu.")),
    "role": (N_("Peran"), N_("Satu peran yang sedang dipakai; peran lain yang dimiliki tidak menambah hak.")),
    "session": (N_("Sesi"), N_("Nomor acak sesi masuk; bukan rahasia kukinya.")),
    "action": (N_("Kegiatan"), N_("Apa yang dilakukan atau dicoba.")),
    "outcome": (N_("Hasil"), N_("Apa yang terjadi dengannya.")),
    "purpose": (N_("Tujuan"), N_("Untuk tugas apa; satu kunjungan punya satu tujuan.")),
    "basis": (N_("Dasar hukum"), N_("Ketentuan yang dipakai sebagai dasar.")),
    "election": (N_("Pemilu"), N_("Pemilu yang datanya disentuh.")),
    "stage": (N_("Tahapan"), N_("Tahapan daftar pemilih di wilayah itu pada saat itu.")),
    "scope": (N_("Wilayah"), N_("Wilayah yang diminta dan diputuskan. Pada penolakan hanya sampai kab/kota.")),
    "mandate": (N_("Izin"), N_("Izin tertulis yang menyertai, atau permintaan yang diurus.")),
    "rule": (N_("Aturan"), N_("Aturan yang memutuskan.")),
    "fields": (N_("Elemen"), N_("Elemen yang tampil, dan sejauh mana.")),
    "subjects": (N_("Pemilih"), N_("Berapa pemilih yang disentuh. Siapa mereka hanya ada di muatan tersegel, di sini sebagai samaran.")),
    "assurance": (N_("Keyakinan"), N_("Bagaimana pelaku membuktikan diri, dan berapa lama sebelumnya.")),
    "policy": (N_("Kebijakan"), N_("Sidik SHA-256 dari seluruh berkas kebijakan yang berlaku.")),
    "sop": (N_("Langkah SOP"), N_("Langkah prosedur yang dijalankan.")),
    "detail": (N_("Rincian"), N_("Sidik dari apa yang ditulis; isinya ada di muatan tersegel.")),
    "visit": (N_("Kunjungan"), N_("Ikatan pada seluruh keadaan yang dipakai untuk memutuskan, agar keputusannya dapat diulang.")),
    "payload": (N_("Muatan"), N_("Sidik bagian tersegel, dan ikatan pada kuncinya.")),
    "request": (N_("Nomor permintaan"), N_("Nomor yang juga tampil di halaman galat dan catatan server.")),
    "prev": (N_("Entri sebelumnya"), N_("Sidik SHA-256 entri sebelumnya: rantainya.")),
    "log": (N_("Jejak"), N_("Asal jejak ini.")),
    "v": (N_("Bentuk"), N_("Versi bentuk entri.")),
}
CHECKS: Mapping[Check, tuple[str, str]] = {
    Check.BYTES: (N_("Isi entri"), N_("Byte-nya berbentuk baku (RFC 8785) dan menyebut jejak dan nomornya sendiri.")),
    Check.COLUMNS: (N_("Kolom pencarian"), N_("Kolom yang dipakai mencari sama dengan isi entri.")),
    Check.CHAIN: (N_("Rantai"), N_("Entri ini menyebut sidik entri sebelumnya, dan entri sesudahnya menyebut sidik entri ini.")),
    Check.LEAF: (N_("Daun pohon"), N_("Sidik daun yang tersimpan adalah SHA-256 dari isi entri.")),
    Check.INCLUSION: (N_("Termasuk di pohon"), N_("Dari daun ini, jalur bukti sampai ke akar pohon yang ditandatangani (RFC 9162).")),
    Check.CHECKPOINT: (N_("Tanda tangan"), N_("Akar itu ditandatangani dengan kunci jejak ini (Ed25519).")),
    Check.PAYLOAD: (N_("Muatan tersegel"), N_("Muatannya utuh, terbuka dengan kuncinya, dan cocok dengan pemilih dan kunjungan di entri.")),
    Check.TOUCHES: (N_("Indeks sentuhan"), N_("Setiap pemilih di muatan tercatat pada indeks “siapa melihat”.")),
}
FOUND: Mapping[Found, str] = {
    Found.GOOD: N_("cocok"),
    Found.BAD: N_("tidak cocok"),
    Found.NONE: N_("tidak ada yang perlu diperiksa"),
    Found.ERASED: N_("dihapus menurut entri penghapusan"),
    Found.UNKNOWN: N_("tidak dapat diperiksa"),
}
# Shapes of the icons in _macros.html; the word beside them says the same.
FOUND_ICONS: Mapping[Found, str] = {Found.GOOD: "ok", Found.BAD: "stop", Found.NONE: "info", Found.ERASED: "info", Found.UNKNOWN: "warn"}
OUTCOME_ICONS: Mapping[str, str] = {
    Outcome.ALLOWED: "ok", Outcome.DONE: "ok", Outcome.INTENT: "info", Outcome.DENIED: "stop", Outcome.BROKEN: "warn", Outcome.FAILED: "warn",
}  # fmt: skip
# What the payload of a correction and of a request holds, for those whose entry has it.
DIGESTS: Mapping[str, str] = {"before": N_("Sidik isi sebelum"), "after": N_("Sidik isi sesudah")}
METHODS: Mapping[str, str] = {"totp": N_("kode verifikasi"), "password": N_("kata sandi"), "host": N_("di mesin server")}
# Rules that are no policy, by id.
CODE_RULES: Mapping[str, str] = {**TOUCH_RULES, **MANDATE_WHY, **UNDO_WHY}
JOB_STATES: Mapping[str, str] = {
    "waiting": N_("menunggu giliran"),
    "running": N_("sedang berjalan"),
    "done": N_("selesai"),
    "failed": N_("terhenti karena galat"),
    "stalled": N_("terputus"),
}
# Words of the matrix that no catalog holds.
CELLS: Mapping[str, str] = {
    "semua": N_("semua tahapan"),
    "sendiri": N_("wilayah sendiri"),
    "lain": N_("wilayah lain"),
    "segar": N_("kode baru"),
    "lama": N_("kode lama"),
    "tanpa": N_("tanpa izin"),
    "lengkap": N_("dengan izin"),
}
ACTS: Mapping[str, str] = {
    "cari": N_("mencari"),
    "cocokkan": N_("mencocokkan"),
    "unduh": N_("mengunduh"),
    "ubah": N_("mengubah"),
    "hitung": N_("menghitung"),
}
