"""What the templates of the officer's desk show. Knows labels and addresses; asks no database and records nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.audit.desk import Hour
from app.audit.entry import moment
from app.audit.members import Entry
from app.audit.query import StoredEntry
from app.audit.single import Step
from app.identity.labels import ACTIONS, OUTCOMES, PURPOSES
from app.kernel.fields import ELEMENTS, Action, Element, Outcome, View
from app.kernel.regions import is_within, zone_of
from app.mandates.people import Official
from app.oversight import rules, words
from app.oversight.actions import Opened
from app.oversight.room import Oversight
from app.places import Places
from app.policy.catalog import Labels
from app.policy.matrix import ALL
from app.policy.matrix import Row as MatrixRow
from app.web.i18n import gettext as _
from app.web.i18n import language
from app.web.pages import ROLE_LABELS, VIEW_LABELS, office_words
from app.web.times import number

# Outcomes that an officer looks at first.
BAD = frozenset({Outcome.DENIED.value, Outcome.BROKEN.value, Outcome.FAILED.value})
# So much of a pseudonym tells two voters of one page apart; the whole of it stands in the link.
_PSEUDONYM = 10
# Where the stages stand among the dimensions of the matrix, the role left out.
_STAGES = 1


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the trail."""

    seq: int
    at: datetime
    who: str
    who_more: str
    actor: str
    action: str
    outcome: str
    outcome_word: str
    icon: str
    place: str
    purpose: str
    shown: str
    count: int | None


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an entry: its name in the format, what it is called, what it means, its value in words and as it stands."""

    name: str
    label: str
    meaning: str
    text: str
    raw: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that decided: its id, its sentence, and the law it names."""

    id: str
    title: str
    basis: str


@dataclass(frozen=True, slots=True)
class Decided:
    """One element of a decision: the view recorded, the view decided again (None: not asked again), the rules."""

    label: str
    view: str
    again: str | None
    rules: Sequence[str]


def labels(room: Oversight) -> Labels:
    """Return the catalog's words in the language of the page."""
    return room.guard.policies.catalog.labels(language())


def rows(room: Oversight, found: Sequence[StoredEntry], people: Mapping[str, Official]) -> list[Row]:
    """Return the lines of a page of the trail."""
    return [_row(room, one, people) for one in found]


def who(actor: str, office: str | None, people: Mapping[str, Official], places: Places) -> tuple[str, str]:
    """Return the actor's name, and what else tells who they are."""
    if actor == "unknown":
        return _("Tidak dikenal"), _("nama yang diketik bukan akun")
    if actor.startswith("host:"):
        return _("Mesin server"), actor
    known = people.get(actor)
    return (known.name if known else actor[:_PSEUDONYM]), office_words(office or "", places.name)


def members(room: Oversight, opened: Opened, people: Mapping[str, Official]) -> list[Member]:
    """Return every member of the entry in words, the empty ones last."""
    entry = opened.stored.members
    told = [_member(room, name, entry, people) for name in words.MEMBERS]
    return [one for one in told if one.raw != "–"] + [one for one in told if one.raw == "–"]


def decided_by(room: Oversight, ids: Sequence[str]) -> list[Rule]:
    """Return what is known of the rules *ids*: a policy's title and law, or the sentence of a rule of the code."""
    known = {rule.id: rule for rule in room.guard.policies.book.engine.rules}
    found = []
    for one in ids:
        rule = known.get(one)
        title = (
            (rule.title_en if language() == "en" else rule.title) if rule else _(words.CODE_RULES[one]) if one in words.CODE_RULES else ""
        )
        found.append(Rule(one, title, rule.basis if rule else ""))
    return found


def decision(room: Oversight, opened: Opened) -> list[Decided]:
    """Return the thirteen elements as they were decided, and as they are decided again; empty for an entry without views."""
    recorded, replayed, names = opened.recorded, opened.replayed, labels(room).elements
    if recorded is None or recorded.views is None:
        return []
    ruled: Mapping[Element, tuple[str, ...]] = recorded.rules or {}
    return [
        Decided(names[one], recorded.views[one].word, replayed.views[one].word if replayed else None, ruled.get(one, ()))
        for one in ELEMENTS
        if one in recorded.views
    ]


def facts(room: Oversight, opened: Opened) -> list[tuple[str, str]]:
    """Return what the sealed payload adds, in words; never a voter's field and never who the voters are."""
    payload, told = opened.payload or {}, []
    if payload.get("address"):
        told.append((_("Alamat jaringan"), str(payload["address"])))
    if opened.recorded is not None:
        visit = opened.recorded.visit
        told.append((_("Wilayah tugas pelaku"), _place(room, visit.jurisdiction)))
        if visit.mandate is not None:
            told.append((_("Izin pada kunjungan"), visit.mandate.uid))
    for name, label in words.DIGESTS.items():
        if isinstance(payload.get(name), str):
            told.append((_(label), str(payload[name])))
    for name, label in (("ground", _("Sumber perbaikan")), ("reason", _("Alasan"))):
        if payload.get(name):
            told.append((label, str(payload[name])))
    query = payload.get("query")
    if isinstance(query, dict):
        told.append((_("Yang ditanyakan"), ", ".join(f"{key} {value}" for key, value in sorted(query.items()) if value is not None) or "–"))
    return told + _asked(payload)


def steps(found: Sequence[Step]) -> list[dict[str, object]]:
    """Return the steps of a proof for the page."""
    return [
        {
            "name": _(words.CHECKS[one.check][0]), "proves": _(words.CHECKS[one.check][1]), "icon": words.FOUND_ICONS[one.found],
            "word": _(words.FOUND[one.found]), "found": one.found.value, "check": one.check.value, "values": sorted(one.values.items()),
        }
        for one in found
    ]  # fmt: skip


def heat(found: Sequence[Hour], now: datetime, days: int, office: str) -> rules.Heat:
    """Return the heat map of the hours counted, on the clock of *office*."""
    return rules.heat(((one.at, one.count, one.outcome in BAD) for one in found), now, days, zone_of(office))


def first_moment(now: datetime, days: int, office: str) -> datetime:
    """Return the first moment of the first of *days* days up to today, on the clock of *office*."""
    today = now.astimezone(zone_of(office)).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=days - 1)


def by_action(found: Sequence[Hour]) -> list[tuple[str, rules.Bar]]:
    """Return a bar for each action, with its words."""
    sums: dict[str, tuple[int, int]] = {}
    for one in found:
        count, bad = sums.get(one.action, (0, 0))
        sums[one.action] = (count + one.count, bad + (one.count if one.outcome in BAD else 0))
    return [(_(ACTIONS[Action(bar.key)]) if bar.key in set(Action) else bar.key, bar) for bar in rules.bars(sums)]


def by_office(room: Oversight, found: Sequence[tuple[str | None, str, int]]) -> list[tuple[str, rules.Bar]]:
    """Return a bar for each office, with its name; what no office did is the machine's, or nobody's login."""
    sums: dict[str, tuple[int, int]] = {}
    for office, outcome, count in found:
        seen, bad = sums.get(office or "", (0, 0))
        sums[office or ""] = (seen + count, bad + (count if outcome in BAD else 0))
    names = room.identity.places.name
    return [(office_words(bar.key, names) if bar.key else _("tanpa kantor"), bar) for bar in rules.bars(sums)]


def _row(room: Oversight, one: StoredEntry, people: Mapping[str, Official]) -> Row:
    told, places = one.members, room.identity.places
    name, more = who(told["actor"], told["office"], people, places)
    purpose, subjects = told["purpose"], told["subjects"]
    return Row(
        seq=one.seq,
        at=moment(told["at"]),
        who=name,
        who_more=more,
        actor=told["actor"],
        action=_(ACTIONS[Action(told["action"])]),
        outcome=told["outcome"],
        outcome_word=_(OUTCOMES[Outcome(told["outcome"])]),
        icon=words.OUTCOME_ICONS[told["outcome"]],
        place=_place(room, told["scope"]) if told["scope"] else "",
        purpose=_(PURPOSES[purpose]) if purpose else "",
        shown=_shown(room, told),
        count=subjects["count"] if subjects else None,
    )


def _shown(room: Oversight, entry: Entry) -> str:
    """Return the elements opened, the most telling view first; an element that is merely recorded is not one of them."""
    names, fields = labels(room).elements, entry["fields"] or {}
    opened = [one for one in ELEMENTS if View[fields.get(one.value, View.TUTUP.word).upper()] > View.ADA]
    if entry["action"] == Action.VOTER_CHANGE.value:
        return ", ".join(names[one] for one in opened)
    groups = [(view, [names[one] for one in opened if fields[one.value] == view.word]) for view in (View.UTUH, View.RINGKAS, View.SAMAR)]
    return "; ".join(f"{_(VIEW_LABELS[view.word])}: {', '.join(found)}" for view, found in groups if found)


def _member(room: Oversight, name: str, entry: Entry, people: Mapping[str, Official]) -> Member:
    label, meaning = words.MEMBERS[name]
    value: object = entry[name]  # type: ignore[literal-required]  # every name of MEMBERS is a member; a test says so
    raw = "–" if value is None else _raw(value)
    text, url = _in_words(room, name, entry, people) if value is not None else ("", None)
    return Member(name, _(label), _(meaning), text, raw, url)


def _raw(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {'–' if one is None else one}" for key, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _in_words(room: Oversight, name: str, entry: Entry, people: Mapping[str, Official]) -> tuple[str, str | None]:
    """Return a member's value in words ("" where the value itself is the word), and where its link leads."""
    catalog, value = labels(room), str(entry[name])  # type: ignore[literal-required]  # as above
    if name == "actor":
        return who(value, entry["office"], people, room.identity.places)[0], f"/audit?range=all&actor={value}"
    if name == "mandate":
        return "", f"/audit?range=all&mandate={value}"
    if name == "assurance":
        return _assurance(entry), None
    if name == "subjects":
        return number(entry["subjects"]["count"]) if entry["subjects"] else "", None
    if name == "fields":
        return _shown(room, entry), None
    tables: Mapping[str, Mapping[str, str]] = {
        "role": {role: _(text) for role, text in ROLE_LABELS.items()},
        "action": {action: _(text) for action, text in ACTIONS.items()},
        "outcome": {outcome: _(text) for outcome, text in OUTCOMES.items()},
        "purpose": {purpose: _(text) for purpose, text in PURPOSES.items()},
        "basis": {one.value: text for one, text in catalog.bases.items()},
        "stage": {one.value: text for one, text in catalog.stages.items()},
    }
    if name == "office":
        return office_words(value, room.identity.places.name), None
    return (_place(room, value), None) if name == "scope" else (tables.get(name, {}).get(value, ""), None)


def _assurance(entry: Entry) -> str:
    told = entry["assurance"]
    if told is None or told["method"] is None:
        return ""
    method = _(words.METHODS.get(told["method"], told["method"]))
    age = told["age"]
    # Beyond a day it is as good as never: no session lives that long.
    return method if age is None or age > 24 * 3600 else _("%(cara)s, %(detik)s detik sebelumnya", cara=method, detik=number(age))


def _asked(payload: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return what the payload of a request's step says."""
    told = payload.get("request")
    if not isinstance(told, dict):
        return []
    found = [(_("Alasan"), str(told["reason"]))] if told.get("reason") else []
    left = told.get("left")
    if isinstance(left, dict):
        found.append((_("Yang disisakan"), ", ".join(f"{value}" for _name, value in sorted(left.items()) if value)))
    return found


def _place(room: Oversight, code: str) -> str:
    path = [place.name for place in room.identity.places.path(code)]
    # The nation and the province go without saying beside a place inside them.
    return ", ".join(reversed(path[2:])) if len(path) > 2 else (path[-1] if path else code)


def matrix_rows(room: Oversight, found: Sequence[tuple[list[str], MatrixRow]]) -> list[dict[str, object]]:
    """Return the rows of the decision matrix: the place in words, a view for each element, what may be done with which elements."""
    catalog = labels(room)
    known = {**{one.value: text for one, text in catalog.purposes.items()}, **{name: _(text) for name, text in words.CELLS.items()}}

    def place(cells: Sequence[str]) -> list[str]:
        # "All" says something about stages alone; elsewhere it means that the dimension makes no difference.
        told = [cell for nth, cell in enumerate(cells) if cell != ALL or nth == _STAGES]
        return [", ".join(known.get(word, word.upper()) for word in cell.split()) for cell in told]

    def acts(row: MatrixRow) -> list[str]:
        done, everything = zip(words.ACTS.values(), row.acts, strict=True), _("semua")
        return [
            f"{_(label)}: {everything if len(on) == len(ELEMENTS) else ', '.join(catalog.elements[one] for one in ELEMENTS if one in on)}"
            for label, on in done
            if on
        ]

    return [{"place": place(cells[1:]), "views": [view.word for view in row.views], "acts": acts(row)} for cells, row in found]


def pseudonyms(tokens: Sequence[str]) -> list[tuple[str, str]]:
    """Return (what a page shows, address of everything about it) of touch tokens in hex."""
    return [(token[:_PSEUDONYM], f"/audit?range=all&subject={token}") for token in tokens]


def regions(places: Places, within: str) -> list[tuple[str, str]]:
    """Return the regions an officer can narrow to, down to kab/kota: (code, name)."""
    kabs = [code for code in places.kabs() if is_within(code, within)]
    provinces = sorted({code[:2] for code in kabs}) if within.count(".") == 0 else []
    found = [(code, places.name(code) or code) for code in (*provinces, *kabs)]
    return sorted(found)
