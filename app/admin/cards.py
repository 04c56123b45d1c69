"""What the home page offers administrators and security officers: what waits, and an administrator's everyday work."""

from __future__ import annotations

from datetime import datetime

from app.admin import health, resets
from app.admin.backups import backups_of
from app.admin.room import Admin
from app.custody.backup_room import is_due, last_proven
from app.identity import directory
from app.identity.directory import State
from app.identity.room import Card
from app.kernel.actor import Actor
from app.kernel.fields import Role
from app.web.i18n import gettext as _
from app.web.i18n import ngettext


def cards(room: Admin, actor: Actor, now: datetime) -> list[Card]:
    """Return the cards of an administrator or a security officer; another role gets none."""
    if actor.role not in resets.DECIDERS:
        return []
    found = _confirmations(room, actor, now)
    if actor.role is not Role.ADMIN_SISTEM:
        return found
    return [*found, *_health(room, now), *_unproven(room, now), *_lapsed(room, now), *_work()]


def _work() -> list[Card]:
    return [
        Card("/admin/accounts/new", _("Undang orang"), _("Buat akun untuk petugas baru. Kata sandi sementaranya Anda serahkan langsung.")),
        Card("/admin/offices", _("Periksa kantor"), _("Lihat kantor mana yang belum punya dua penyetuju dari unit berbeda.")),
    ]


def _confirmations(room: Admin, actor: Actor, now: datetime) -> list[Card]:
    count = sum(one.decidable for one in resets.waiting(room, actor, now))
    if not count:
        return []
    text = ngettext(
        "%(num)s permintaan atur ulang autentikator menunggu Anda.", "%(num)s permintaan atur ulang autentikator menunggu Anda.", count
    )
    return [Card("/admin/confirmations", _("Konfirmasi menunggu"), text, _("Buka konfirmasi"), waits=True)]


def _lapsed(room: Admin, now: datetime) -> list[Card]:
    count = directory.count(room.identity, State.LAPSED, now)
    if not count:
        return []
    text = ngettext("%(num)s undangan tidak dipakai dalam 72 jam.", "%(num)s undangan tidak dipakai dalam 72 jam.", count)
    return [Card("/admin/accounts?state=lewat", _("Undangan lewat"), text, _("Lihat undangan"), waits=True)]


def _unproven(room: Admin, now: datetime) -> list[Card]:
    if room.settings.backup_to is None or not is_due(last_proven(backups_of(room)), now):
        return []
    text = _("Belum terbukti dalam 30 hari terakhir bahwa cadangan dapat dipulihkan.")
    return [Card("/admin/backups", _("Uji pemulihan cadangan"), text, _("Buka cadangan"), waits=True)]


def _health(room: Admin, now: datetime) -> list[Card]:
    count = health.red(room, now)
    if not count:
        return []
    text = ngettext("%(num)s hal tidak baik dan perlu ditangani.", "%(num)s hal tidak baik dan perlu ditangani.", count)
    return [Card("/admin/health", _("Kesehatan sistem"), text, _("Lihat kesehatan"), waits=True)]
