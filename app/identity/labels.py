"""What people read for the closed words of entries. Every label is a msgid."""

from __future__ import annotations

from collections.abc import Mapping

from app.kernel.errors import N_
from app.kernel.fields import Action, Outcome, Purpose

PURPOSES: Mapping[str, str] = {
    Purpose.PEMUTAKHIRAN: N_("Pemutakhiran data pemilih"),
    Purpose.REKAPITULASI: N_("Rekapitulasi"),
    Purpose.PENGAWASAN: N_("Pengawasan"),
    Purpose.SENGKETA: N_("Penyelesaian sengketa"),
    Purpose.PERMINTAAN_SUBJEK: N_("Permintaan subjek data"),
    Purpose.INSIDEN: N_("Penanganan insiden"),
    Purpose.AUDIT: N_("Audit"),
    Purpose.PEMUATAN: N_("Pemuatan data"),
}
OUTCOMES: Mapping[str, str] = {
    Outcome.ALLOWED: N_("diizinkan"),
    Outcome.DENIED: N_("ditolak"),
    Outcome.BROKEN: N_("segel rusak"),
    Outcome.FAILED: N_("gagal"),
    Outcome.INTENT: N_("dimulai"),
    Outcome.DONE: N_("selesai"),
}
ACTIONS: Mapping[str, str] = {
    Action.VOTER_REVEAL: N_("Membuka data pemilih"),
    Action.VOTER_SEARCH: N_("Mencari pemilih"),
    Action.VOTER_IMPORT: N_("Memuat data pemilih"),
    Action.VOTER_CHANGE: N_("Mengubah data pemilih"),
    Action.VOTER_RETRACT: N_("Membatalkan pemuatan"),
    Action.VOTER_ERASE: N_("Menghapus data pemilih"),
    Action.SESSION_LOGIN: N_("Masuk"),
    Action.SESSION_LOGOUT: N_("Keluar"),
    Action.SESSION_STEPUP: N_("Verifikasi ulang"),
    Action.ACCOUNT_CREATE: N_("Membuat akun"),
    Action.ACCOUNT_ENROL: N_("Memasang autentikator"),
    Action.ACCOUNT_RESET: N_("Mengatur ulang autentikator"),
    Action.ACCOUNT_DISABLE: N_("Menonaktifkan akun"),
    Action.ACCOUNT_PASSWORD: N_("Mengganti kata sandi"),
    Action.REQUEST_SUBMIT: N_("Mengajukan permintaan"),
    Action.REQUEST_APPROVE: N_("Menyetujui permintaan"),
    Action.REQUEST_REFUSE: N_("Menolak permintaan"),
    Action.REQUEST_WITHDRAW: N_("Menarik permintaan"),
    Action.MANDATE_START: N_("Izin mulai berlaku"),
    Action.MANDATE_REVOKE: N_("Mencabut izin"),
    Action.MANDATE_EXPIRE: N_("Izin berakhir"),
    Action.TRAIL_READ: N_("Membaca jejak audit"),
    Action.TRAIL_VERIFY: N_("Memeriksa jejak audit"),
    Action.TRAIL_EXPORT: N_("Mengekspor jejak audit"),
    Action.TRAIL_PRUNE: N_("Memangkas jejak audit"),
    Action.TRAIL_REOPEN: N_("Membuka jejak audit baru setelah pemulihan"),
    Action.PAYLOAD_ERASE: N_("Menghapus muatan sebuah entri"),
    Action.WITNESS_CHANGE: N_("Mengubah daftar saksi"),
    Action.ELECTION_SET: N_("Menetapkan tahapan pemilu"),
    Action.POLICY_LOAD: N_("Memberlakukan kebijakan"),
    Action.KEY_CREATE: N_("Membuat kunci"),
    Action.KEY_ROTATE: N_("Mengganti kunci"),
    Action.KEY_OPEN: N_("Membuka kunci"),
    Action.KEY_REWRAP: N_("Membungkus ulang kunci"),
    Action.KEY_RETIRE: N_("Melepas kunci penyedia lama"),
    Action.KEY_DESTROY: N_("Memusnahkan kunci"),
    Action.BACKUP_CREATE: N_("Membuat cadangan"),
    Action.BACKUP_VERIFY: N_("Memulihkan cadangan untuk uji"),
    Action.BACKUP_RESTORE: N_("Memulihkan cadangan"),
    Action.BACKUP_EXPIRE: N_("Menghapus cadangan lama"),
    Action.SYSTEM_START: N_("Sistem mulai bekerja"),
}
