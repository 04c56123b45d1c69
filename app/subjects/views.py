"""What page and report say of each entry: names, labels and sentences instead of words and codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.audit.entry import moment
from app.audit.query import StoredEntry
from app.identity import labels
from app.kernel.fields import ELEMENTS, Basis, Purpose, Stage, View
from app.mandates.people import Official
from app.policy.catalog import Labels
from app.subjects.actions import Seen
from app.subjects.room import Subjects
from app.subjects.rules import Kind, Summary, kind_of, summarise
from app.subjects.words import ICONS, KINDS
from app.touch.words import RULES
from app.web.i18n import gettext as _
from app.web.i18n import language, ngettext
from app.web.pages import ROLE_LABELS, VIEW_LABELS, office_words
from app.web.times import number

# What the actor of an entry begins with when no person wrote it.
MACHINE = "host:"


@dataclass(frozen=True, slots=True)
class Line:
    """One entry.

    who, where: a name; role and office. what: the action. became, icon: what that meant for the voter. shown: (view word, its label,
    names of elements), the widest view first. amid: how many voters the same entry names. why: purpose, basis and stage in words.
    rules: (id, title). mandate: id or "". log: the log's name when it is one before a restore, else "".
    """

    seq: int
    log: str
    at: datetime
    kind: Kind
    who: str
    where: str
    what: str
    became: str
    icon: str
    shown: Sequence[tuple[str, str, str]]
    amid: int
    purpose: str
    basis: str
    stage: str
    rules: Sequence[tuple[str, str]]
    mandate: str


@dataclass(frozen=True, slots=True)
class Overview:
    """All entries in plain language. lead: the one sentence. facts: (label, text). first, last: moments of the openings."""

    lead: str
    facts: Sequence[tuple[str, str]]
    people: str
    offices: str
    first: datetime | None
    last: datetime | None


class Words:
    """Turns entries into lines, in the language of the request."""

    def __init__(self, room: Subjects, people: Mapping[str, Official]) -> None:
        policies = room.guard.policies
        self._place_name, self._log = room.identity.places.name, room.identity.log
        self._people = people
        self._labels: Labels = policies.catalog.labels(language())
        self._citations = {basis: entry.citation for basis, entry in policies.catalog.bases.items()}
        english = language() == "en"
        self._titles = {rule.id: rule.title_en if english else rule.title for rule in policies.book.engine.rules}

    def line(self, stored: StoredEntry) -> Line:
        """Return one entry as people read it."""
        members = stored.members
        kind, action = kind_of(members), labels.ACTIONS[members["action"]]
        purpose, basis, stage = members["purpose"], members["basis"], members["stage"]
        role = ROLE_LABELS.get(members["role"] or "")
        # The machine's own process belongs to no office, whatever its entries name.
        parts = (_(role) if role else "", "" if members["actor"].startswith(MACHINE) else self.office(members["office"]))
        return Line(
            seq=stored.seq,
            log="" if stored.log == self._log else stored.log,
            at=moment(members["at"]),
            kind=kind,
            who=self.name(members["actor"]),
            where=", ".join(part for part in parts if part),
            what=_(action),
            became=_(KINDS[kind]),
            icon=ICONS[kind],
            shown=self._shown(kind, members["fields"]),
            amid=members["subjects"]["count"] if members["subjects"] else 0,
            purpose=self._labels.purposes[Purpose(purpose)] if purpose else "",
            basis=self._citations[Basis(basis)] if basis else "",
            stage=self._labels.stages[Stage(stage)] if stage else "",
            rules=[(rule, self.rule(rule)) for rule in members["rule"] or ()],
            mandate=members["mandate"] or "",
        )

    def name(self, actor: str) -> str:
        """Return who somebody is; the machine's own process has no name."""
        one = self._people.get(actor)
        if one is None:
            return _("Sistem") if actor.startswith(MACHINE) else _("akun yang tidak ada lagi")
        return one.name

    def office(self, code: str | None) -> str:
        """Return an office in words."""
        return office_words(code, self._place_name) if code else ""

    def rule(self, rule: str) -> str:
        """Return the title of a rule as it is today; one that is gone has its id alone."""
        return self._titles.get(rule) or (_(RULES[rule]) if rule in RULES else rule)

    def overview(self, entries: Iterable[StoredEntry]) -> Overview:
        """Return all entries in numbers and one sentence."""
        found = summarise(one.members for one in entries)
        return Overview(
            lead=_lead(found),
            facts=_facts(found),
            people=", ".join(self.name(one) for one in found.people),
            offices=", ".join(self.office(one) for one in found.offices),
            first=moment(found.first) if found.first else None,
            last=moment(found.last) if found.last else None,
        )

    def _shown(self, kind: Kind, fields: Mapping[str, str] | None) -> list[tuple[str, str, str]]:
        if kind is Kind.CHANGED:
            # The element was opened inside to be compared; nothing of it was shown.
            return [("", "", ", ".join(self._labels.elements[one] for one in ELEMENTS if one.value in (fields or {})))]
        if kind not in (Kind.OPENED, Kind.UNSHOWN):
            return []
        by_view: dict[View, list[str]] = {}
        for element in ELEMENTS:
            word = (fields or {}).get(element.value, View.TUTUP.word)
            by_view.setdefault(View[word.upper()], []).append(self._labels.elements[element])
        return [
            (view.word, _(VIEW_LABELS[view.word]), ", ".join(by_view[view])) for view in sorted(by_view, reverse=True) if view > View.TUTUP
        ]


def split(found: Seen) -> tuple[list[StoredEntry], list[StoredEntry]]:
    """Return the entries about the voter's data, and those about the reading of the log itself."""
    about: list[StoredEntry] = []
    readings: list[StoredEntry] = []
    for one in found.entries:
        (readings if kind_of(one.members) is Kind.LOG else about).append(one)
    return about, readings


def _lead(found: Summary) -> str:
    if not found.opened:
        return _("Data pemilih ini belum pernah dibuka untuk dilihat orang.")
    times = ngettext("%(num)s kali", "%(num)s kali", found.opened)
    people = ngettext("%(num)s orang", "%(num)s orang", len(found.people))
    offices = ngettext("%(num)s kantor", "%(num)s kantor", len(found.offices))
    return _("Data pemilih ini dibuka %(times)s, oleh %(people)s dari %(offices)s.", times=times, people=people, offices=offices)


def _facts(found: Summary) -> list[tuple[str, str]]:
    counts = found.counts
    told = (
        (_("Dibuka"), found.opened),
        (_("Dicoba, tidak ada yang terbuka"), found.stopped),
        (_("Diperbaiki"), counts.get(Kind.CHANGED, 0)),
        (_("Dimuat ke daftar"), counts.get(Kind.LOADED, 0)),
        (_("Langkah permintaan izin"), counts.get(Kind.ASKED, 0)),
        (_("Catatan ini dibaca"), counts.get(Kind.LOG, 0)),
    )
    return [(label, number(count)) for label, count in told]
