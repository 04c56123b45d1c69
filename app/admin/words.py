"""What the room's pages say. Every text is a msgid."""

from __future__ import annotations

from collections.abc import Mapping

from app.kernel.errors import N_
from app.kernel.fields import Stage, Unit

UNITS: Mapping[str, str] = {
    Unit.DATA: N_("Data dan informasi"),
    Unit.HUKUM: N_("Hukum"),
    Unit.KEAMANAN: N_("Keamanan informasi"),
    Unit.PENGAWASAN: N_("Pengawasan"),
}
STATES: Mapping[str, str] = {
    "aktif": N_("aktif"),
    "diundang": N_("undangan menunggu"),
    "lewat": N_("undangan lewat"),
    "terkunci": N_("autentikator terkunci"),
    "nonaktif": N_("dinonaktifkan"),
}
STAGES: Mapping[str, str] = {
    Stage.DP4: N_("DP4 (daftar penduduk potensial)"),
    Stage.COKLIT: N_("coklit"),
    Stage.DPS: N_("DPS (daftar sementara)"),
    Stage.DPSHP: N_("DPSHP (hasil perbaikan)"),
    Stage.DPT: N_("DPT (daftar tetap)"),
    Stage.DPTB: N_("DPTb (daftar tambahan)"),
    Stage.DPK: N_("DPK (daftar khusus)"),
    Stage.PDPB: N_("PDPB (pemutakhiran berkelanjutan)"),
}
RESETS: Mapping[str, str] = {
    "waiting": N_("menunggu"),
    "done": N_("dikonfirmasi"),
    "refused": N_("ditolak"),
    "withdrawn": N_("ditarik kembali"),
    "lapsed": N_("lewat 24 jam"),
}
PURPOSES: Mapping[str, str] = {
    "seal": N_("menyegel data pemilih"),
    "blind": N_("mencari tanpa membuka (nama, NKK)"),
    "nik": N_("mencari NIK secara nasional"),
    "audit": N_("menyegel isi jejak audit"),
    "index": N_("menandai pemilih di jejak audit"),
    "session": N_("mengikat formulir ke sesi"),
    "seed": N_("menyegel rahasia autentikator"),
    "pepper": N_("memperkuat sandi yang disimpan"),
    "log": N_("menandatangani jejak audit"),
}
NAMES: Mapping[str, str] = {
    "keys-open": N_("Berkas dan kata sandi kunci"),
    "guards": N_("Penjaga jejak audit"),
    "role": N_("Hak aplikasi di basis data"),
    "room": N_("Ruang penyimpanan"),
    "clock": N_("Jam"),
    "invites": N_("Akun tanpa autentikator"),
    "database": N_("Basis data"),
    "schema": N_("Skema basis data"),
    "log": N_("Jejak audit"),
    "verify": N_("Pemeriksaan seluruh jejak audit"),
    "work": N_("Pekerjaan latar"),
    "provider": N_("Penyedia kunci"),
    "policy": N_("Kebijakan yang berlaku"),
    "review": N_("Tinjauan kebijakan terdekat"),
    "versions": N_("Versi"),
}
FINE: Mapping[str, str] = {
    "keys-open": N_("Kata sandi kunci tersimpan terpisah, dan berkasnya hanya dapat dibaca akun layanan."),
    "guards": N_("Pemicu yang menolak perubahan jejak audit terpasang semua."),
    "role": N_("Aplikasi tidak berhak mengubah jejak audit."),
    "room": N_("Tersisa %(free)s MB di tempat direktori data."),
    "clock": N_("Jam tidak tertinggal dari entri terakhir. Selisih dengan jam resmi tidak diukur di sini; jaga dengan NTP."),
    "invites": N_("Tidak ada akun tanpa autentikator, selain undangan yang masih berlaku."),
}
# Code of a danger of app.custody.health → what it is, what to do.
DANGERS: Mapping[str, tuple[str, str]] = {
    "demo-passphrase": (
        N_("Kata sandi kunci tersimpan di samping kuncinya (demo): siapa pun yang menyalin direktori ini dapat membuka semuanya."),
        N_("Jangan pakai direktori demo untuk data sungguhan. Buat instalasi baru dengan gardu init."),
    ),
    "readable": (
        N_("%(name)s dapat dibaca akun lain di mesin ini."),
        N_("Cabut hak baca grup dan pengguna lain dari %(name)s (chmod go=)."),
    ),
    "old-keyring": (
        N_("Berkas kunci lama %(name)s masih ada di mesin ini. Salinan basis data yang lama dapat dibuka dengannya."),
        N_("Musnahkan berkas itu beserta salinan dan pecahan pemulihannya."),
    ),
    "policies-writable": (
        N_("Folder kebijakan dapat diubah oleh akun yang menjalankan layanan."),
        N_("Serahkan folder kebijakan kepada root, hanya-baca bagi layanan."),
    ),
    "guards": (
        N_("Tabel %(name)s kehilangan penjaganya: entri dapat diubah."),
        N_("Hentikan layanan, jalankan gardu audit verify --store, dan hubungi tim tanggap insiden."),
    ),
    "no-roles": (
        N_(
            "SQLite tidak mengenal hak per akun: siapa pun yang dapat menulis berkasnya dapat menulis ulang jejak audit (pemeriksaan akan menemukannya)."
        ),
        N_("Pakai PostgreSQL dengan akun pemilik dan akun aplikasi yang terpisah."),
    ),
    "role": (
        N_("Aplikasi tersambung sebagai pemilik basis data dan dapat mengubah jejak audit."),
        N_("Buat akun basis data khusus aplikasi (peran gardu_app), lalu pakai akun itu."),
    ),
    "disk": (
        N_("Tinggal %(megabytes)s MB. Bila jejak audit tidak dapat ditulis, tidak ada halaman yang terbuka."),
        N_("Kosongkan atau tambah ruang penyimpanan."),
    ),
    "clock": (
        N_("Jam mesin ini %(seconds)s detik di belakang entri terakhir: kode verifikasi gagal dan izin berakhir pada waktu yang salah."),
        N_("Betulkan jam (chrony atau systemd-timesyncd), lalu periksa jejak audit."),
    ),
    "invites": (
        N_("%(count)s akun tidak punya autentikator: diundang lebih dari tiga hari lalu, atau diatur ulang dan belum memasang yang baru."),
        N_("Buka daftar akun. Minta orangnya masuk hari ini, undang ulang, atau nonaktifkan akun itu."),
    ),
}
# Worth a look, not an alarm.
MILD = frozenset({"invites", "no-roles", "policies-writable"})
DURABLE = N_("%(engine)s. Setiap entri ditulis tuntas ke penyimpanan sebelum apa pun ditampilkan.")
NOT_DURABLE = N_("%(engine)s. Setelan ini tidak aman: %(names)s. Entri terakhir dapat hilang saat listrik padam.")
NOT_DURABLE_REMEDY = N_("Hentikan layanan dan kembalikan setelan basis data itu.")
SCHEMA = N_("Versi %(present)s, terbaru.")
SCHEMA_OLD = N_("Versi %(present)s; program ini memerlukan %(newest)s.")
SCHEMA_UNKNOWN = N_("Versi skema tidak dapat dibaca dari program ini.")
SCHEMA_REMEDY = N_("Jalankan gardu upgrade dengan akun pemilik basis data.")
LOG = N_("%(size)s entri. Entri terakhir:")
LOG_EMPTY = N_("Jejak audit kosong.")
LOG_EMPTY_REMEDY = N_("Instalasi belum selesai: jalankan gardu init sekali lagi.")
VERIFY_GOOD = N_("Tidak ditemukan perubahan. Terakhir diperiksa:")
VERIFY_BAD = N_("Pemeriksaan terakhir menemukan yang tidak cocok. Diperiksa:")
VERIFY_BAD_REMEDY = N_("Hubungi petugas keamanan sekarang. Jangan mengubah apa pun di basis data sampai ia selesai memeriksa.")
VERIFY_NEVER = N_("Belum pernah diperiksa dari halaman.")
VERIFY_RUNNING = N_("Sedang diperiksa.")
VERIFY_REMEDY = N_("Minta petugas keamanan menjalankan pemeriksaan seluruh jejak audit, atau jalankan gardu audit verify.")
WORK = N_("Tidak ada pekerjaan yang tertahan.")
WORK_STUCK = N_("%(waiting)s pekerjaan menunggu terlalu lama, %(stalled)s terhenti di tengah jalan.")
WORK_REMEDY = N_("Mulai ulang layanan; pekerjaan dilanjutkan dari tempat terhenti atau dapat diulang dari halamannya.")
PROVIDER = N_("Dapat menyegel dan membuka.")
PROVIDER_DOWN = N_("Penyedia kunci tidak menjawab dengan benar. Data tersegel tidak dapat dibuka.")
PROVIDER_REMEDY = N_("Lihat catatan layanan di mesin, lalu mulai ulang layanan dengan kata sandi kunci.")
POLICY = N_("Sidik folder kebijakan yang sedang dipakai:")
REVIEW = N_("%(day)s (%(days)s hari lagi).")
REVIEW_OVERDUE = N_("%(day)s, sudah lewat %(days)s hari: izin yang bergantung padanya tidak membuka apa pun.")
REVIEW_NONE = N_("Tidak ada tanggal tinjauan.")
REVIEW_REMEDY = N_("Minta pemilik kebijakan meninjau dan memperbarui tanggalnya, lalu mulai ulang layanan.")
VERSIONS = N_("Perangkat lunak yang sedang bekerja:")

# What a rotation changes, by kind, and what that does.
ROTATIONS: Mapping[str, str] = {
    "kab": N_("Kunci penyegel wilayah"),
    "blind": N_("Kunci pencarian wilayah"),
    "nik": N_("Kunci pencarian NIK nasional"),
    "data": N_("Segel seluruh data wilayah"),
}
ROTATION_HINTS: Mapping[str, str] = {
    "kab": N_(
        "Kunci setiap baris dibungkus ulang dengan kunci baru. Isi baris tidak dibuka. Menuntaskan penghapusan pemilih di wilayah itu."
    ),
    "blind": N_("Indeks nomor KK serta nama dan tanggal lahir dibuat ulang, dengan lebar yang sesuai jumlah pemilih sekarang."),
    "nik": N_("Indeks NIK seluruh Indonesia dibuat ulang, satu kab/kota demi satu. Memakan waktu paling lama."),
    "data": N_("Setiap isian disegel ulang dengan kunci baris yang baru. Pilih ini bila kunci baris diduga bocor."),
}
ROTATION_STATES: Mapping[str, str] = {
    "running": N_("sedang berjalan"), "paused": N_("dijeda"), "halted": N_("berhenti"), "done": N_("selesai"),
}  # fmt: skip
ROTATION_ICONS: Mapping[str, str] = {"running": "info", "paused": "warn", "halted": "stop", "done": "ok"}
ERASURES: Mapping[str, str] = {
    "waiting": N_("menunggu"), "pending": N_("belum tuntas"), "done": N_("tuntas"), "refused": N_("ditolak"),
    "withdrawn": N_("ditarik kembali"), "lapsed": N_("lewat waktu"),
}  # fmt: skip
ERASURE_ICONS: Mapping[str, str] = {
    "waiting": "info", "pending": "warn", "done": "ok", "refused": "stop", "withdrawn": "back", "lapsed": "warn",
}  # fmt: skip
