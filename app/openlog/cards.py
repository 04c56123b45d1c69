"""What the home page says of the public log: to those who keep the witnesses' list, and to Bawaslu's liaisons."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app.identity.room import Card
from app.kernel.actor import Actor
from app.kernel.fields import Role
from app.openlog import views
from app.openlog.room import OpenLog
from app.openlog.state import halt, stamps, standing_or_none
from app.openlog.views import FRESH
from app.openlog.witnesses import KEEPERS, WAITING, Standing, lists
from app.web.i18n import gettext as _
from app.web.i18n import ngettext

LIAISONS = frozenset({Role.BAWASLU_RI, Role.BAWASLU_PROV, Role.BAWASLU_KAB})


def cards(room: OpenLog, actor: Actor, now: datetime) -> list[Card]:
    """Return the cards of a keeper or a liaison; another role gets none."""
    if actor.role in LIAISONS:
        return _of_liaison(standing_or_none(room, now))
    return _of_keeper(room, actor, now) if actor.role in KEEPERS else []


def _of_liaison(stand: Standing | None) -> list[Card]:
    made = []
    for one in views.takes_away(stand) if stand else ():
        text = _(
            "Paling lambat berlaku dalam 72 jam sejak disetujui. Sesudah itu jejak audit dapat diumumkan tanpa tanda tangan saksi yang sekarang."
        )
        title = (
            _("Saksi akan dicabut: %(names)s", names=", ".join(one.changes.removed))
            if one.changes.removed
            else _("Daftar saksi akan dilonggarkan")
        )
        made.append(Card("/log#perubahan", title, text, _("Lihat perubahannya"), waits=True))
    return [*made, Card("/log", _("Jejak audit publik"), _("Keadaan saksi, titik periksa terbaru, dan pemeriksa tanda terima."))]


def _of_keeper(room: OpenLog, actor: Actor, now: datetime) -> list[Card]:
    made = []
    if halt(room):
        made.append(Card("/log", _("Jejak audit dihentikan"), _("Saksi menunjukkan keadaan yang tidak cocok. Tidak ada yang dicatat atau dibuka sampai diselidiki."), _("Lihat sebabnya"), waits=True))  # fmt: skip
    stand = standing_or_none(room, now)
    if stand is None:
        return [*made, Card("/log", _("Daftar saksi diubah di luar Gardu"), _("Segelnya rusak. Jangan ubah apa pun; panggil tim tanggap insiden (CSIRT)."), _("Lihat"), waits=True)]  # fmt: skip
    made += _proposals(room, actor)
    made += _stale(stand, now)
    if missing := len(stamps(room, now).missing):
        text = ngettext(
            "%(num)s jam dalam 24 jam terakhir belum berstempel.", "%(num)s jam dalam 24 jam terakhir belum berstempel.", missing
        )
        made.append(Card("/log#stempel", _("Stempel waktu tidak datang"), text, _("Lihat jamnya"), waits=True))
    if not stand.configured:
        text = _("Tanpa saksi di luar KPU, jejak yang ditulis ulang seluruhnya tidak akan ketahuan dari luar.")
        return [*made, Card("/witnesses", _("Tetapkan saksi"), text)]
    return [*made, Card("/witnesses", _("Saksi"), _("Daftar saksi, keadaannya, dan siapa yang mengubahnya."))]


def _proposals(room: OpenLog, actor: Actor) -> Sequence[Card]:
    waiting = next((one for one in lists(room.books) if one.state == WAITING), None)
    if waiting is None:
        return ()
    own = waiting.asked_by == actor.uid
    text = _("Usulan Anda menunggu orang kedua.") if own else _("Daftar saksi yang baru menunggu keputusan Anda.")
    return [Card("/witnesses", _("Usulan daftar saksi"), text, "" if own else _("Buka usulan"), waits=not own)]


def _stale(stand: Standing, now: datetime) -> Sequence[Card]:
    late = [one.name for one in views.witness_lines(stand, now) if one.mark.name != FRESH]
    if not late:
        return ()
    text = (
        _("Saksi lain masih cukup, jadi tidak ada yang tertahan.")
        if stand.is_fresh(now)
        else _("Data provinsi lain tidak dapat dibuka sampai saksi menandatangani lagi.")
    )
    return [Card("/log", _("Saksi tidak menandatangani: %(names)s", names=", ".join(late)), text, _("Lihat keadaannya"), waits=True)]
