"""One tree of errors, each leaf with a stable code, a sentence safe for the public and a detail for operators only.

GarduError
├── BadInput          400  what was sent cannot be used; names field and remedy
├── SignInNeeded      401  nobody is signed in, or the session has ended
├── NotAllowed        403  this page is not for this role
│   └── StepUpNeeded      a fresh code would allow it
├── NotThere          404  absent, elsewhere or refused: the same sentence for all three
├── Conflict          409  somebody else changed it first, or it is already done
├── TooMany           429  too many attempts; says how long to wait
├── SealBroken        500  stored bytes do not match their seal
├── Unavailable       503  the guard cannot work safely now
│   ├── TrailDown          the log cannot be written
│   ├── StoreDown          the database cannot be reached
│   ├── KeysDown           the keys cannot be opened
│   └── WitnessStale       no witness has signed lately, or not yet this
└── UnsafeStart         –  refuses to start: incomplete or unsafe
"""

from __future__ import annotations


def N_(text: str) -> str:  # noqa: N802  gettext's customary name; babel extracts by it
    """Mark *text* for translation without translating it now."""
    return text


class GarduError(Exception):
    """An error of the guard.

    detail: for operators and logs; never a voter's value. public: a msgid (Bahasa Indonesia) safe for anybody.
    """

    code = "error"
    status = 500
    public = N_("Terjadi kesalahan di dalam sistem. Coba lagi; bila berulang, sebutkan nomor permintaan kepada admin.")

    def __init__(self, detail: str = "", *, public: str | None = None) -> None:
        super().__init__(detail or self.code)
        self.detail = detail
        if public is not None:
            self.public = public


class BadInput(GarduError):
    """What was sent cannot be used. *field* is the input's name, *public* says the remedy."""

    code = "bad-input"
    status = 400
    public = N_("Isian tidak dapat diproses. Periksa kembali lalu kirim ulang.")

    def __init__(self, detail: str = "", *, field: str = "", public: str | None = None) -> None:
        super().__init__(detail, public=public)
        self.field = field


class SignInNeeded(GarduError):
    """Nobody is signed in, or the session has ended (*expired*)."""

    code = "sign-in-needed"
    status = 401
    public = N_("Silakan masuk terlebih dahulu.")

    def __init__(self, detail: str = "", *, expired: bool = False) -> None:
        super().__init__(detail)
        self.expired = expired


class NotAllowed(GarduError):
    """The page or action is not for this role."""

    code = "not-allowed"
    status = 403
    public = N_("Halaman ini bukan untuk peran Anda.")


class StepUpNeeded(NotAllowed):
    """Refused now, but a fresh second factor would allow it; the page leads to ``/step-up``."""

    code = "step-up-needed"
    public = N_("Untuk melanjutkan, masukkan kode verifikasi yang baru.")


class NotThere(GarduError):
    """Absent, in another region, or refused: deliberately one answer."""

    code = "not-there"
    status = 404
    public = N_("Tidak ditemukan, atau di luar wilayah dan tugas Anda.")


class Conflict(GarduError):
    """The thing changed meanwhile or was already done."""

    code = "conflict"
    status = 409
    public = N_("Data sudah berubah atau sudah diproses. Muat ulang halaman.")


class TooMany(GarduError):
    """Too many attempts. *wait* is in seconds."""

    code = "too-many"
    status = 429
    public = N_("Terlalu banyak percobaan. Tunggu beberapa menit lalu coba lagi.")

    def __init__(self, detail: str = "", *, wait: int = 300) -> None:
        super().__init__(detail)
        self.wait = wait


class SealBroken(GarduError):
    """Stored bytes do not match their seal; *where* names table, row and what failed, never a value."""

    code = "seal-broken"
    status = 500
    public = N_("Segel data ini rusak, maka data tidak ditampilkan. Petugas keamanan sudah mendapat catatannya.")


class Unavailable(GarduError):
    """The guard cannot work safely now."""

    code = "unavailable"
    status = 503
    public = N_("Layanan sedang tidak dapat bekerja dengan aman. Coba lagi beberapa saat.")


class TrailDown(Unavailable):
    """The audit log cannot be written, so nothing is shown."""

    code = "trail-down"
    public = N_("Jejak audit sedang tidak dapat ditulis, maka tidak ada data yang ditampilkan. Hubungi admin sistem.")


class StoreDown(Unavailable):
    """The database cannot be reached."""

    code = "store-down"
    public = N_("Basis data sedang tidak dapat dihubungi. Coba lagi beberapa saat.")


class KeysDown(Unavailable):
    """The key provider cannot open a key: wrong passphrase, torn keyring, provider unreachable."""

    code = "keys-down"
    public = N_("Kunci penyegel tidak dapat dibuka. Hubungi admin sistem.")


class WitnessStale(Unavailable):
    """What waits for a witness's signature does not go on without it: none is fresh, or none covers the entry that it is about."""

    code = "witness-stale"
    public = N_("Saksi di luar KPU belum menandatangani jejak audit terbaru, maka data ini belum dapat dibuka. Coba lagi beberapa saat.")


class UnsafeStart(GarduError):
    """The installation is incomplete or unsafe; the guard refuses to start. *detail* says what and how to mend it."""

    code = "unsafe-start"
