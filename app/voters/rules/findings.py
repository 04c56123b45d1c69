"""What can be wrong with a row: every reason, how grave it is, its sentence and its remedy. Never a value.

Source of the codes and of what may only warn: domain facts on NIK (a NIK keeps the place and date of first registration
for life) and Model A-Daftar Pemilih, PKPU 7/2022 art. 15(2). ``docs/dp4.md`` lists the same table; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.kernel.errors import N_


class Level(StrEnum):
    """How grave a finding is: the row waits in quarantine, or enters the roll with a warning."""

    QUARANTINE = "quarantine"
    WARNING = "warning"


class Reason(StrEnum):
    """Every reason. The code stands so in reports, in the quarantine table and in the counts of a load."""

    NIK_SHAPE = "nik-shape"
    NIK_DATE = "nik-date"
    NKK_SHAPE = "nkk-shape"
    NAME_MISSING = "name-missing"
    BIRTH_MISSING = "birth-missing"
    BIRTH_FORMAT = "birth-format"
    BIRTH_IMPOSSIBLE = "birth-impossible"
    KECAMATAN_UNKNOWN = "kecamatan-unknown"
    KECAMATAN_AMBIGUOUS = "kecamatan-ambiguous"
    DESA_UNKNOWN = "desa-unknown"
    DESA_AMBIGUOUS = "desa-ambiguous"
    TPS_SHAPE = "tps-shape"
    CONTROL_CHARACTER = "control-character"
    FIELD_TOO_LONG = "field-too-long"
    ROW_CELLS = "row-cells"
    ROW_UNREADABLE = "row-unreadable"
    GANDA = "ganda"

    NIK_REGION_UNKNOWN = "nik-region-unknown"
    NIK_REGION_ELSEWHERE = "nik-region-elsewhere"
    NIK_BIRTH = "nik-birth"
    NIK_SEX = "nik-sex"
    NIK_SERIAL = "nik-serial"
    JK_UNKNOWN = "jk-unknown"
    STS_UNKNOWN = "sts-unknown"
    DIS_UNKNOWN = "dis-unknown"
    KTPEL_UNKNOWN = "ktpel-unknown"
    KET_UNKNOWN = "ket-unknown"
    SUMBER_UNKNOWN = "sumber-unknown"
    UNDER_AGE = "under-age"
    AGE_IMPLAUSIBLE = "age-implausible"
    TPS_MISSING = "tps-missing"
    LINE_BREAK = "line-break"
    FORMULA = "formula"

    @property
    def level(self) -> Level:
        """Return whether this reason quarantines the row or only warns."""
        return Level.QUARANTINE if self in _QUARANTINE else Level.WARNING

    @property
    def sentence(self) -> str:
        """Return the msgid (Bahasa Indonesia) of what is wrong."""
        return (_QUARANTINE.get(self) or _WARNING[self])[0]

    @property
    def remedy(self) -> str:
        """Return the msgid (Bahasa Indonesia) of how to mend it."""
        return (_QUARANTINE.get(self) or _WARNING[self])[1]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found in one row. field: the DP4 column's name, or ``BARIS`` for the row as a whole."""

    field: str
    reason: Reason

    @property
    def level(self) -> Level:
        """Return the reason's level."""
        return self.reason.level

    def __str__(self) -> str:
        """Return ``field:reason``, as the quarantine table keeps it."""
        return f"{self.field}:{self.reason}"


# The field of a finding that concerns the row as a whole.
WHOLE_ROW = "BARIS"

_QUARANTINE: dict[Reason, tuple[str, str]] = {
    Reason.NIK_SHAPE: (
        N_("NIK tidak terdiri dari tepat 16 angka."),
        N_("Isi NIK 16 angka tanpa tanda baca. Di lembar kerja, ubah format kolom menjadi Teks sebelum menyimpan."),
    ),
    Reason.NIK_DATE: (
        N_("Tanggal di dalam NIK (angka ke-7 sampai ke-10) tidak mungkin ada."),
        N_("Cocokkan NIK dengan KTP-el atau data Dukcapil, lalu perbaiki di berkas sumber."),
    ),
    Reason.NKK_SHAPE: (
        N_("Nomor KK tidak terdiri dari tepat 16 angka."),
        N_("Isi nomor KK 16 angka tanpa tanda baca. Di lembar kerja, ubah format kolom menjadi Teks sebelum menyimpan."),
    ),
    Reason.NAME_MISSING: (
        N_("Nama kosong."),
        N_("Lengkapi nama sesuai KTP-el atau data Dukcapil."),
    ),
    Reason.BIRTH_MISSING: (
        N_("Tanggal lahir kosong."),
        N_("Lengkapi tanggal lahir sesuai KTP-el atau data Dukcapil."),
    ),
    Reason.BIRTH_FORMAT: (
        N_("Penulisan tanggal lahir tidak dikenal."),
        N_("Tulis tanggal lahir sebagai dd|mm|yyyy, dd-mm-yyyy, dd/mm/yyyy atau yyyy-mm-dd, dengan dua angka untuk hari dan bulan."),
    ),
    Reason.BIRTH_IMPOSSIBLE: (
        N_("Tanggal lahir tidak mungkin: tanggal itu tidak ada, atau sesudah hari pemungutan suara."),
        N_("Cocokkan tanggal lahir dengan KTP-el atau data Dukcapil, lalu perbaiki di berkas sumber."),
    ),
    Reason.KECAMATAN_UNKNOWN: (
        N_("Kecamatan kosong atau tidak ada di kabupaten/kota ini."),
        N_("Tulis nama resmi atau kode Kemendagri kecamatan, dan periksa apakah berkas ini untuk kabupaten/kota yang benar."),
    ),
    Reason.KECAMATAN_AMBIGUOUS: (
        N_("Lebih dari satu kecamatan cocok dengan tulisan itu."),
        N_("Tulis kode Kemendagri kecamatan, misalnya 51.71.01."),
    ),
    Reason.DESA_UNKNOWN: (
        N_("Desa/kelurahan kosong atau tidak ada di kecamatan ini."),
        N_("Tulis nama resmi atau kode Kemendagri desa/kelurahan, dan periksa apakah kecamatannya benar."),
    ),
    Reason.DESA_AMBIGUOUS: (
        N_("Lebih dari satu desa/kelurahan di kecamatan ini cocok dengan tulisan itu."),
        N_("Tulis kode Kemendagri, misalnya 51.71.01.1001, atau dahului nama dengan KEL. atau DESA."),
    ),
    Reason.TPS_SHAPE: (
        N_("Nomor TPS bukan bilangan 1 sampai 999."),
        N_("Isi nomor TPS dengan angka, misalnya 1 atau 001; kosongkan bila belum ditetapkan."),
    ),
    Reason.CONTROL_CHARACTER: (
        N_("Ada karakter kendali atau karakter tak terlihat di kolom ini."),
        N_("Ketik ulang isi kolom itu, lalu simpan kembali sebagai CSV UTF-8."),
    ),
    Reason.FIELD_TOO_LONG: (
        N_("Isi kolom ini lebih panjang dari 4.096 karakter."),
        N_("Periksa tanda kutip yang tidak ditutup atau kolom yang bergeser, lalu perbaiki di berkas sumber."),
    ),
    Reason.ROW_CELLS: (
        N_("Jumlah kolom pada baris ini tidak sama dengan jumlah judul kolom."),
        N_("Apit isi yang mengandung tanda pemisah dengan tanda kutip ganda, atau lengkapi kolom yang hilang."),
    ),
    Reason.ROW_UNREADABLE: (
        N_("Baris tidak dapat dipecah menjadi kolom: tanda kutip atau ganti barisnya rusak."),
        N_('Tutup setiap tanda kutip, dan gandakan tanda kutip di dalam isi (""), lalu simpan kembali.'),
    ),
    Reason.GANDA: (
        N_("NIK ini sudah ada pada pemilih lain dalam pemilu yang sama."),
        N_("Tentukan baris yang benar melalui coklit atau data Dukcapil; baris yang lebih dahulu dimuat tetap berlaku."),
    ),
}

_WARNING: dict[Reason, tuple[str, str]] = {
    Reason.NIK_REGION_UNKNOWN: (
        N_("Kode wilayah di awal NIK tidak ada di tabel wilayah sekarang; mungkin kode sebelum pemekaran."),
        N_("Tidak perlu diubah bila KTP-el memang memuat NIK ini."),
    ),
    Reason.NIK_REGION_ELSEWHERE: (
        N_("NIK pertama kali diterbitkan di kabupaten/kota lain."),
        N_("Wajar bagi pemilih yang pindah; periksa saat coklit."),
    ),
    Reason.NIK_BIRTH: (
        N_("Tanggal lahir berbeda dengan tanggal di dalam NIK."),
        N_("Cocokkan dengan KTP-el; NIK tidak berubah walaupun tanggal lahir dibetulkan."),
    ),
    Reason.NIK_SEX: (
        N_("Jenis kelamin berbeda dengan yang tersirat di dalam NIK."),
        N_("Cocokkan dengan KTP-el; perbaiki jenis kelamin bila salah ketik."),
    ),
    Reason.NIK_SERIAL: (
        N_("Nomor urut di akhir NIK adalah 0000, padahal nomor urut dimulai dari 0001."),
        N_("Cocokkan NIK dengan KTP-el atau data Dukcapil; mungkin NIK terpotong oleh lembar kerja."),
    ),
    Reason.JK_UNKNOWN: (
        N_("Kode jenis kelamin tidak dikenal."),
        N_("Gunakan L atau P."),
    ),
    Reason.STS_UNKNOWN: (
        N_("Kode status perkawinan tidak dikenal."),
        N_("Gunakan B (belum), S (sudah) atau P (pernah)."),
    ),
    Reason.DIS_UNKNOWN: (
        N_("Kode disabilitas tidak dikenal."),
        N_("Gunakan 0 (tidak ada) atau 1 fisik, 2 intelektual, 3 mental, 4 sensorik wicara, 5 sensorik rungu, 6 sensorik netra."),
    ),
    Reason.KTPEL_UNKNOWN: (
        N_("Kode status KTP-el tidak dikenal."),
        N_("Gunakan S (sudah) atau B (belum)."),
    ),
    Reason.KET_UNKNOWN: (
        N_("Kode keterangan tidak dikenal."),
        N_("Gunakan 1 sampai 8, U, atau 90 sampai 97 untuk lokasi khusus; kosongkan bila tidak ada."),
    ),
    Reason.SUMBER_UNKNOWN: (
        N_("Kode sumber tidak dikenal."),
        N_("Gunakan DP4, DPTb atau DPK; kosongkan bila tidak diketahui."),
    ),
    Reason.UNDER_AGE: (
        N_("Belum 17 tahun pada hari pemungutan suara dan tidak tercatat sudah atau pernah kawin."),
        N_("Periksa tanggal lahir dan status perkawinan saat coklit."),
    ),
    Reason.AGE_IMPLAUSIBLE: (
        N_("Usia lebih dari 120 tahun pada hari pemungutan suara."),
        N_("Periksa tanggal lahir, dan apakah pemilih masih hidup, saat coklit."),
    ),
    Reason.TPS_MISSING: (
        N_("TPS belum ditetapkan; baris disimpan pada TPS 000."),
        N_("Tetapkan TPS saat pemetaan TPS."),
    ),
    Reason.LINE_BREAK: (
        N_("Ada ganti baris atau tabulasi di dalam isi kolom; isi disimpan sebagaimana adanya."),
        N_("Periksa apakah isi dua kolom atau dua baris tergabung."),
    ),
    Reason.FORMULA: (
        N_("Isi kolom diawali =, +, - atau @ seperti rumus lembar kerja; disimpan sebagai teks biasa dan tidak pernah dihitung."),
        N_("Bila seharusnya bukan rumus, ganti dengan isinya di berkas sumber; bila memang begitu tertulis, tidak perlu diubah."),
    ),
}
