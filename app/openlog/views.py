"""Turns what the room knows into what its templates show: shapes, words, addresses. Reads nothing itself but the regions' names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.audit.entry import moment
from app.audit.quorum import NONE, Policy
from app.identity.labels import ACTIONS, OUTCOMES, PURPOSES
from app.kernel.errors import N_
from app.mandates.people import Official
from app.openlog import rules
from app.openlog.rules import Changes
from app.openlog.tokens import Token
from app.openlog.witnesses import APPROVED, REFUSED, WAITING, Listed, Standing
from app.places import Places
from app.verifier import Report, plain
from app.web.i18n import gettext as _
from app.web.i18n import ngettext
from app.web.pages import ROLE_LABELS, VIEW_LABELS, office_words
from app.web.times import local

FRESH, STALE, NEVER = "fresh", "stale", "never"
# Shape and word; the colour says nothing.
_FRESHNESS: Mapping[str, tuple[str, str]] = {FRESH: ("ok", N_("segar")), STALE: ("warn", N_("basi")), NEVER: ("stop", N_("belum pernah"))}
_LIST_STATES: Mapping[str, tuple[str, str]] = {
    WAITING: ("info", N_("menunggu orang kedua")),
    APPROVED: ("ok", N_("disetujui")),
    REFUSED: ("stop", N_("ditolak")),
}
# Of a step of the verifier: its name in the HTML, shape, word.
_HELD: Mapping[bool | None, tuple[str, str, str]] = {
    True: ("yes", "ok", N_("cocok")),
    False: ("no", "stop", N_("tidak cocok")),
    None: ("open", "info", N_("tidak diperiksa")),
}
# What the verifier's verdict is called here, and what it means for whoever brought the file.
_VERDICTS: Mapping[str, tuple[str, str, str]] = {
    "good": ("ok", N_("Baik"), N_("Tanda tangannya sah, dan tidak satu huruf pun berubah sejak ditulis.")),
    "tampered": ("stop", N_("Diubah atau rusak"), N_("Isinya tidak cocok dengan bukti atau tanda tangannya. Bila hanya sebagian yang tersalin, kirim seluruh berkasnya. Bila sudah utuh, simpan berkas ini dan laporkan.")),
    "unchecked": ("warn", N_("Tidak dapat diperiksa"), N_("Belum dapat dikatakan baik atau diubah. Langkah yang bertanda di bawah menyebut apa yang kurang.")),
    "coherent": ("warn", N_("Utuh, tetapi belum terbukti"), N_("Isinya saling cocok, tetapi tidak ada tanda tangan yang diperiksa: siapa pun dapat membuat berkas seperti ini.")),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """A state by shape and word. name: as scripts know it."""

    name: str
    icon: str
    word: str


@dataclass(frozen=True, slots=True)
class WitnessLine:
    """One witness of the list in force. at, size: of its newest signature, None before the first."""

    name: str
    vkey: str
    url: str
    mark: Mark
    at: datetime | None
    size: int | None


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One list that is to follow the one in force. latest: when it comes into force at the latest; None while nobody approved it."""

    version: int
    changes: Changes
    before: str
    after: str
    waits: bool
    latest: datetime | None
    seq: int | None


def freshness(stand: Standing, vkey: str, now: datetime) -> str:
    """Return ``FRESH``, ``STALE`` or ``NEVER`` for one witness."""
    last = stand.signed.get(vkey)
    return NEVER if last is None else FRESH if rules.is_fresh(last.at, now) else STALE


def witness_lines(stand: Standing, now: datetime) -> list[WitnessLine]:
    """Return the witnesses of the list in force, in its order."""
    lines = []
    for name, (key, url) in stand.policy.witnesses.items():
        last, state = stand.signed.get(key.vkey), freshness(stand, key.vkey, now)
        icon, word = _FRESHNESS[state]
        lines.append(
            WitnessLine(name, key.vkey, url or "", Mark(state, icon, _(word)), last.at if last else None, last.size if last else None)
        )
    return lines


def quorum_words(policy: Policy) -> str:
    """Say in words which witnesses must have signed."""
    return _("tidak ada saksi yang harus menandatangani") if policy.quorum == NONE else _part(policy, policy.quorum)


def _part(policy: Policy, name: str) -> str:
    group = policy.groups.get(name)
    if group is None:
        return name
    inner = [f"({_part(policy, one)})" if one in policy.groups else one for one in group.members]
    if len(inner) == 1:
        return inner[0].strip("()")
    return _("%(need)s dari %(all)s: %(names)s", need=group.threshold, all=len(inner), names=", ".join(inner))


def change_line(stand: Standing, one: Listed) -> ChangeLine:
    """Return what the list *one* would change in the one in force."""
    return proposal(stand.policy, one.policy, one)


def proposal(old: Policy, new: Policy, one: Listed | None = None) -> ChangeLine:
    """Return what *new* changes in *old*; *one*: as it was proposed, None before that."""
    latest = one.decided_at + rules.WAIT if one and one.decided_at else None
    return ChangeLine(
        one.version if one else 0, rules.changes(old, new), quorum_words(old), quorum_words(new), rules.weakens(old, new), latest,
        one.seq if one else None,
    )  # fmt: skip


def takes_away(stand: Standing) -> list[ChangeLine]:
    """Return the approved changes not in force yet; every one of them lets something through that the present list does not."""
    return [change_line(stand, one) for one in stand.pending]


def list_rows(found: Sequence[Listed], stand: Standing, people: Mapping[str, Official], places: Places) -> list[dict[str, object]]:
    """Return every list ever proposed, newest first."""
    pending = {one.version for one in stand.pending}
    rows = []
    for one in reversed(found):
        icon, word = _LIST_STATES[one.state]
        if one.version == stand.version:
            icon, word = "utuh", N_("berlaku")
        elif one.version in pending:
            icon, word = "warn", N_("menunggu berlaku")
        rows.append({
            "version": one.version, "mark": Mark(one.state, icon, _(word)), "names": list(one.policy.witnesses), "quorum": quorum_words(one.policy),
            "reason": one.reason, "asked_by": who(people, one.asked_by, places), "asked_at": one.asked_at, "text": one.text, "seq": one.seq,
            "decided_by": who(people, one.decided_by, places) if one.decided_by else "", "decided_at": one.decided_at,
        })  # fmt: skip
    return rows


def who(people: Mapping[str, Official], uid: str, places: Places) -> str:
    """Return a person by name and office; whose account is gone, by its id."""
    found = people.get(uid)
    return f"{found.name}, {office_words(found.office, places.name)}" if found else uid


def token_rows(found: Sequence[Token], people: Mapping[str, Official], places: Places, now: datetime) -> list[dict[str, object]]:
    """Return every token, newest first."""
    rows = []
    for one in found:
        good = one.is_good(now)
        mark = (
            Mark("good", "ok", _("berlaku"))
            if good
            else Mark("ended", "stop", _("diakhiri"))
            if one.ended_at
            else Mark("over", "tutup", _("lewat"))
        )
        rows.append({
            "uid": one.uid, "name": one.name, "made_by": who(people, one.made_by, places), "made_at": one.made_at, "until": one.until,
            "ended_at": one.ended_at, "good": good, "mark": mark,
        })  # fmt: skip
    return rows


def verdict(report: Report) -> dict[str, str]:
    """Return the outcome of a check: its word and what it means."""
    icon, word, meaning = _VERDICTS[report.result]
    return {"name": report.result, "icon": icon, "word": _(word), "meaning": _(meaning)}


def steps(report: Report) -> list[tuple[Mark, str]]:
    """Return the steps of a check, each with its mark."""
    return [(Mark(name, icon, _(word)), text) for held, text in report.steps for name, icon, word in [_HELD[held]]]


def entry_facts(members: Mapping[str, object], places: Places) -> list[tuple[str, str]]:
    """Return what an entry says, in words: (label, text). It may be a stranger's, so that nothing in it is believed to have its type."""
    scope, office, subjects, shown = (members.get(one) for one in ("scope", "office", "subjects", "fields"))
    facts = [
        (_("Nomor urut"), _said(members.get("seq"))),
        (_("Jejak"), _said(members.get("log"))),
        (_("Waktu"), _when(members.get("at"))),
        (_("Pelaku"), _said(members.get("actor"))),
        (_("Kantor"), office_words(office, places.name) if isinstance(office, str) else _said(office)),
        (_("Peran"), _word(ROLE_LABELS, members.get("role"))),
        (_("Kegiatan"), _word(ACTIONS, members.get("action"))),
        (_("Hasil"), _word(OUTCOMES, members.get("outcome"))),
        (_("Tujuan"), _word(PURPOSES, members.get("purpose"))),
        (_("Wilayah"), (places.name(scope) or _said(scope)) if isinstance(scope, str) else _said(scope)),
        (_("Pemilih"), _count(subjects)),
        (_("Elemen"), ", ".join(f"{_said(name)}: {_word(VIEW_LABELS, view)}" for name, view in shown.items()) if isinstance(shown, dict) else ""),
    ]  # fmt: skip
    return [(label, plain(text)) for label, text in facts if text]


def raw(members: Mapping[str, object]) -> str:
    """Return all members of an entry as they stand in it."""
    return plain_lines(json.dumps(members, ensure_ascii=False, indent=1, sort_keys=True))


def plain_lines(text: str) -> str:
    """Return *text* with nothing in it that does not print, its lines kept."""
    return "\n".join(plain(line) for line in text.split("\n"))


def _said(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _when(value: object) -> str:
    try:
        return f"{local(moment(value))} ({value})" if isinstance(value, str) else _said(value)
    except (ValueError, OverflowError):
        return _said(value)


def _word(words: Mapping[str, str], value: object) -> str:
    return _(words[value]) if isinstance(value, str) and value in words else _said(value)


def _count(subjects: object) -> str:
    count = subjects.get("count") if isinstance(subjects, dict) else None
    return ngettext("%(num)s pemilih", "%(num)s pemilih", count) if type(count) is int and 0 <= count < 2**53 else _said(subjects)
