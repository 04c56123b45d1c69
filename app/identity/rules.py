"""The room's rules as plain functions and numbers: names, offices, roles, limits, lifetimes. Knows neither web nor database."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.kernel.errors import N_, BadInput
from app.kernel.fields import Role, Unit

_USERNAME = re.compile(r"[a-z0-9._-]{3,64}", re.ASCII)
_OFFICE = re.compile(r"(?:kpu|bawaslu)-(?:00|(?!00)\d{2}(?:\.(?!00)\d{2})?)", re.ASCII)
_CODE = re.compile(r"[0-9]{6}")
_LONGEST_NAME = 120  # the column's width
NATIONAL, PROVINCE, REGENCY = "00", "PP", "PP.KK"

# Which institution and which level of office a role belongs to; roles not named may sit in any office.
_SEATS: Mapping[Role, tuple[str, str]] = {
    Role.KPU_RI: ("kpu", NATIONAL),
    Role.KPU_PROV: ("kpu", PROVINCE),
    Role.KPU_KAB: ("kpu", REGENCY),
    Role.BAWASLU_RI: ("bawaslu", NATIONAL),
    Role.BAWASLU_PROV: ("bawaslu", PROVINCE),
    Role.BAWASLU_KAB: ("bawaslu", REGENCY),
}

# Whoever grants never reads, whoever reads never decides, the auditor does neither, who makes accounts has no other use of them:
# each of these roles stands alone (docs/identity.md, separation of duties).
ALONE = frozenset({Role.PENYETUJU, Role.PETUGAS_KEAMANAN, Role.PEJABAT_PDP, Role.ADMIN_SISTEM})
# A one-time password lies on paper or in a letter; after three days it is worth nothing more.
INVITE = timedelta(hours=72)
_LONGEST_REASON = 300  # the width of the columns that keep one
# A reason about an account needs no number of a voter: sixteen digits, however they are spaced, are a NIK or NKK.
_SIXTEEN = re.compile(r"[0-9](?:[\s.\-/]*[0-9]){15}")

# Session lifetimes: OWASP ASVS 5.0 7.3.1 and 7.3.2 ask for both an idle and an absolute limit.
IDLE = timedelta(minutes=15)
IDLE_ADMIN = timedelta(minutes=5)
ABSOLUTE = timedelta(hours=8)
# The second step of a login must follow the first within this time.
HALF = timedelta(minutes=5)
# How far this machine's clock may stand behind the one that wrote a session before the session counts as ended.
CLOCK_SLACK = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most *most* failures within any *within* seconds, counted in buckets of *bucket* seconds."""

    most: int
    within: int
    bucket: int

    @property
    def buckets(self) -> int:
        """How many buckets count: one more than fit, so that no stretch of *within* seconds ever holds more than *most*."""
        return self.within // self.bucket + 1


# NIST SP 800-63B-4 allows 100 consecutive failures; these stay far below it and slow a guesser of 6 digits to 50 a day.
FACTOR_LIMITS = (Limit(5, 300, 60), Limit(20, 3600, 300), Limit(50, 86400, 3600))
# At this many failures in all the authenticator is off until an administrator resets it; successes do not lower the number.
FACTOR_LOCK = 100
PASSWORD_LIMITS = (Limit(10, 900, 60), Limit(100, 86400, 3600))
# A whole office may share one address, so its limit is wider than a person's.
ADDRESS_LIMITS = (Limit(50, 900, 60),)


def wait_seconds(counts: Mapping[int, int], limit: Limit, at: int) -> int:
    """Return 0 while fewer than ``limit.most`` failures stand in the window that ends now, else the seconds until that is so.

    counts: failures per bucket number (``epoch // limit.bucket``). at: now, whole seconds since the epoch.
    """
    newest = at // limit.bucket
    standing = {slot: count for slot, count in counts.items() if count > 0 and slot > newest - limit.buckets}
    total = sum(standing.values())
    if total < limit.most:
        return 0
    for slot in sorted(standing):
        total -= standing[slot]
        if total < limit.most:
            return max(1, (slot + limit.buckets) * limit.bucket - at)
    return limit.within


def parse_code(text: str) -> str:
    """Return *text* when it is six ASCII digits (RFC 6238, 6 digits). Raises BadInput (field ``code``)."""
    if not _CODE.fullmatch(text):
        raise BadInput(
            "not six digits", field="code", public=N_("Kode terdiri dari 6 angka, tanpa spasi. Lihat aplikasi autentikator Anda.")
        )
    return text


def parse_username(text: str) -> str:
    """Return *text*, trimmed and lower-case, as a username. Raises BadInput (field ``username``)."""
    username = fold_username(text)
    if not is_username(username):
        raise BadInput(
            "username is not 3…64 of a-z 0-9 . _ -",
            field="username",
            public=N_("Nama pengguna terdiri dari 3 sampai 64 huruf kecil a-z, angka, titik, garis bawah atau tanda hubung."),
        )
    return username


def is_username(text: str) -> bool:
    """Say whether *text* has the form of a username."""
    return _USERNAME.fullmatch(text) is not None


def fold_username(text: str) -> str:
    """Return *text* in the form usernames are compared in, whatever it is: normalised, trimmed, lower-case, cut at 256 characters."""
    return unicodedata.normalize("NFC", text.strip()[:256]).lower()


def parse_name(text: str) -> str:
    """Return a person's name with single spaces. Raises BadInput (field ``name``) when empty, too long or not printable."""
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise BadInput("name is empty, too long or not printable", field="name", public=N_("Isi nama lengkap, paling panjang 120 huruf."))
    return name


def parse_office(text: str) -> str:
    """Return an office code such as ``kpu-51.71``. Raises BadInput (field ``office``)."""
    office = text.strip().lower()
    if not _OFFICE.fullmatch(office):
        raise BadInput(
            "office is not kpu|bawaslu-<region>",
            field="office",
            public=N_("Kode kantor tidak dikenal. Contoh yang benar: kpu-51.71, bawaslu-51, kpu-00."),
        )
    return office


def parse_unit(text: str) -> Unit:
    """Return a unit of an office. Raises BadInput (field ``unit``)."""
    try:
        return Unit(text.strip().lower())
    except ValueError:
        raise BadInput("unknown unit", field="unit", public=N_("Unit harus salah satu dari: data, hukum, keamanan, pengawasan.")) from None


def parse_roles(words: Iterable[str], office: str) -> tuple[Role, ...]:
    """Return the roles of a person of *office*, in order, the first being the default.

    Raises BadInput (field ``roles``) when there is none, one is unknown, repeated, ``proses`` (no person), or not of this office.
    """
    try:
        roles = tuple(Role(word.strip().lower()) for word in words)
    except ValueError:
        raise BadInput("unknown role", field="roles", public=N_("Peran tidak dikenal. Lihat daftar peran di docs/identity.md.")) from None
    if not roles or len(set(roles)) != len(roles):
        raise BadInput("no role, or one twice", field="roles", public=N_("Beri sedikitnya satu peran, masing-masing satu kali."))
    for role in roles:
        _seated(role, office)
    _separate(roles)
    return roles


def fitting_roles(office: str) -> tuple[Role, ...]:
    """Return the roles a person of *office* may hold, in the order of the vocabulary."""
    institution, level = _seat(office)
    return tuple(role for role in Role if role is not Role.PROSES and _SEATS.get(role, (institution, level)) == (institution, level))


def parse_reason(text: str) -> str:
    """Return a reason in one line of single spaces.

    Raises BadInput (field ``reason``) when empty, too long, not printable, or with sixteen digits in it, as a NIK has.
    """
    reason = " ".join(unicodedata.normalize("NFKC", text).split())
    if _SIXTEEN.search(reason):
        raise BadInput("sixteen digits", field="reason", public=N_("Jangan menulis NIK atau NKK di sini. Hapus angka 16 digit itu."))
    if len(reason) < 3 or len(reason) > _LONGEST_REASON or not reason.isprintable():
        raise BadInput(
            "reason is empty, too long or not printable",
            field="reason",
            public=N_("Tulis alasannya, 3 sampai 300 huruf, tanpa data pemilih. Alasan ikut tercatat di jejak audit."),
        )
    return reason


def invite_over(*, must_change: bool, invited_until: datetime | None, now: datetime) -> bool:
    """Say whether an account still has its one-time password and the time to use it has passed (None: there never was one)."""
    return must_change and (invited_until is None or now >= invited_until)


def _seat(office: str) -> tuple[str, str]:
    institution, _, region = office.partition("-")
    return institution, NATIONAL if region == "00" else REGENCY if "." in region else PROVINCE


def _separate(roles: tuple[Role, ...]) -> None:
    """Refuse a role that must stand alone beside any other. Raises BadInput (field ``roles``)."""
    if len(roles) > 1 and ALONE.intersection(roles):
        raise BadInput(
            f"{min(ALONE.intersection(roles)).value} is held beside another role",
            field="roles",
            public=N_(
                "Penyetuju, petugas keamanan, pejabat pelindungan data dan admin sistem tidak boleh merangkap peran lain: "
                "yang memberi izin atau memeriksa tidak ikut membaca data. Pilih satu peran; untuk tugas lain, undang orang lain."
            ),
        )


def _seated(role: Role, office: str) -> None:
    if role is Role.PROSES:
        raise BadInput(
            "proses is no person's role", field="roles", public=N_("Peran proses hanya untuk perintah di mesin, bukan untuk orang.")
        )
    institution, level = _seat(office)
    if _SEATS.get(role, (institution, level)) != (institution, level):
        raise BadInput(
            f"role {role.value} does not sit in office {office}",
            field="roles",
            public=N_("Peran ini tidak ada di kantor itu. Contoh: kpu_kab di kpu-51.71, bawaslu_prov di bawaslu-51, kpu_ri di kpu-00."),
        )


def account_detail(uid: str) -> tuple[str, bytes]:
    """Return the ``detail`` of an entry about an account: SHA-256 of its uid, so that who knows the uid finds the entries."""
    return "account", hashlib.sha256(uid.encode("ascii")).digest()


def stored_roles(words: str) -> tuple[Role, ...]:
    """Return the roles of an account's comma-separated column, the default first."""
    return tuple(Role(word) for word in words.split(","))


def office_region(office: str) -> str:
    """Return the region an office answers for, e.g. ``51.71`` for ``kpu-51.71``, ``00`` for the nation."""
    return office.partition("-")[2]


def session_over(*, full: bool, roles: Iterable[Role], created_at: datetime, seen_at: datetime, now: datetime) -> bool:
    """Say whether a session has outlived its half, idle or absolute limit, or stems from a clock ahead of ours."""
    if now < max(created_at, seen_at) - CLOCK_SLACK:
        return True
    if not full:
        return now - created_at >= HALF
    idle = IDLE_ADMIN if Role.ADMIN_SISTEM in roles else IDLE
    return now - created_at >= ABSOLUTE or now - seen_at >= idle
