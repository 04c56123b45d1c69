"""What the templates of this room are given: labels, names and addresses instead of words and codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from app.kernel.actor import Actor
from app.kernel.fields import ELEMENTS, Element, Role, View
from app.mandates import ceiling
from app.mandates.ceiling import Views, Wanted
from app.mandates.desk import waits_for
from app.mandates.people import Official
from app.mandates.room import Mandates
from app.mandates.rows import Request
from app.mandates.rules import MOST_DAYS, OWN, SAME_PERSON, SAME_UNIT, SOON, WHY, State, Terms, last_day, own_elements
from app.mandates.words import ACTS, ICONS, STATES, UNITS
from app.policy.catalog import Labels
from app.web.i18n import gettext as _
from app.web.i18n import language
from app.web.pages import office_words
from app.web.times import day


@dataclass(frozen=True, slots=True)
class Row:
    """One request in a list."""

    uid: str
    url: str
    holder: str
    place: str
    elements: str
    view: str
    until: date
    ends_soon: bool
    state: str
    state_label: str
    icon: str
    last_label: str
    last_at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class StepView:
    """One step of the timeline. left: what an approval left, as (label, text); changed: whether that is less than before."""

    seq: int
    at: datetime
    label: str
    by: str
    left: list[tuple[str, str]]
    changed: bool
    reason: str
    receipt_url: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the comparison: asked, the policies' limit, granted. Views are words, or "" for text lines."""

    label: str
    asked: str
    limit: str
    granted: str
    is_view: bool = False
    note: str = ""


def words_of(room: Mandates) -> Labels:
    """Return the labels of the page's language."""
    return room.policies.catalog.labels(language())


def named(room: Mandates, person: str, officials: Mapping[str, Official]) -> str:
    """Return who somebody is: name, unit and office; the machine's own process has none."""
    one = officials.get(person)
    if one is None:
        return _("Sistem") if person.startswith("host:") else _("akun yang tidak ada lagi")
    return f"{one.name} · {_(UNITS[one.unit]) if one.unit in UNITS else one.unit}, {office_words(one.office, room.identity.places.name)}"


def row(room: Mandates, request: Request, officials: Mapping[str, Official], now: datetime) -> Row:
    """Return one line of a list."""
    terms, last = request.left, request.steps[-1]
    words, holder = words_of(room), officials.get(request.holder)
    return Row(
        uid=request.uid,
        url=f"/requests/{request.uid}",
        holder=f"{holder.name}, {office_words(holder.office, room.identity.places.name)}" if holder else "",
        place=place(room, terms.region),
        elements=", ".join(words.elements[one] for one in ELEMENTS if one in terms.elements),
        view=terms.view.word,
        until=last_day(terms.until, terms.region),
        ends_soon=request.state is State.ACTIVE and terms.until <= now + SOON,
        state=request.state.value,
        state_label=_(STATES[request.state]),
        icon=ICONS[request.state],
        last_label=_(ACTS[last.act]),
        last_at=last.at,
        by=named(room, last.actor, officials),
    )


def place(room: Mandates, region: str) -> str:
    """Return a region with the one around it, e.g. ``Sanur, Denpasar Selatan``."""
    path = [one.name for one in room.identity.places.path(region)]
    return ", ".join(path[:-3:-1]) if len(path) > 2 else path[-1] if path else region


def timeline(room: Mandates, request: Request, officials: Mapping[str, Official], actor: Actor) -> list[StepView]:
    """Return every step, oldest first, the same for both sides."""
    shown, before = [], request.asked
    for step in request.steps:
        terms = step.terms
        shown.append(
            StepView(
                seq=step.seq,
                at=step.at,
                label=_(ACTS[step.act]) if terms is None or terms == before else _("Disetujui dengan mempersempit"),
                by=named(room, step.actor, officials),
                left=_texts(room, terms) if terms is not None and terms != before else [],
                changed=terms is not None and terms != before,
                reason=step.reason,
                receipt_url=_entry_url(step.seq, step.actor == actor.uid, actor),
            )
        )
        before = terms or before
    return shown


def comparison(room: Mandates, request: Request, now: datetime) -> list[Line]:
    """Return asked, limit and granted side by side; granted is blank until somebody approved."""
    words, asked, first = words_of(room), request.asked, request.first
    left = request.left if first is not None else None
    limit = limits(room, request, now)
    days = last_day(asked.until, asked.region), last_day(left.until, left.region) if left else None
    office = office_words(request.office, room.identity.places.name)
    lines = [
        Line(_("Wilayah"), place(room, asked.region), _("wilayah %(office)s", office=office), place(room, left.region) if left else ""),
        Line(
            _("Sampai akhir"), day(days[0]), _("paling lama %(days)s hari", days=MOST_DAYS), day(days[1]) if days[1] is not None else "",
        ),
    ]  # fmt: skip
    own, own_left = (own_elements(one.elements, ceiling.derived(room)) if one else frozenset() for one in (asked, left))
    for element in ELEMENTS:
        if element in asked.elements:
            granted = (left.view if element in left.elements else None) if left else None
            note = "" if element in own else _("terbaca dari NIK")
            lines.append(
                Line(
                    words.elements[element],
                    asked.view.word if element in own else "",
                    limit[element].word,
                    granted.word if granted is not None and element in own_left else ("-" if left and granted is None else ""),
                    is_view=True,
                    note=note,
                )
            )
    return lines


def limits(room: Mandates, request: Request, now: datetime) -> Views:
    """Return how far the policies would let the requester see with the widest mandate, at the first of the stages asked for."""
    from_then = Actor(
        uid=request.holder, office=request.office, unit=request.unit, role=request.role, roles=frozenset({request.role}),
        region=request.office.partition("-")[2], request="",
    )  # fmt: skip
    stage = sorted(request.stages)[0]
    wanted = Wanted(request.purpose, request.basis, request.asked.region, request.election, stage, request.subject)
    return ceiling.widest(room, from_then, wanted, now)


def facts(room: Mandates, request: Request, officials: Mapping[str, Official]) -> list[tuple[str, str]]:
    """Return what else a request says."""
    words = words_of(room)
    basis = room.policies.catalog.bases[request.basis]
    told = [
        (_("Pemohon"), named(room, request.holder, officials)),
        (_("Tujuan"), words.purposes[request.purpose]),
        (_("Dasar hukum"), f"{words.bases[request.basis]} ({basis.citation})"),
        (_("Nomor surat tugas"), request.letter),
        (_("Pemilu dan tahapan"), f"{request.election}: " + ", ".join(words.stages[one] for one in sorted(request.stages))),
        (_("Alasan"), request.reason),
    ]
    if request.subject:
        told.insert(1, (_("Pemilih"), f"{request.asked.region}-{request.subject}"))
    return told


def why_not(actor: Actor, request: Request) -> str | None:
    """Return why an approver who sees an open request cannot decide it, or None when they can or it is not theirs to wonder."""
    if actor.role is not Role.PENYETUJU or not request.is_open or waits_for(actor, request):
        return None
    if actor.uid == request.holder:
        return _(WHY[OWN])
    first = request.first
    return _(WHY[SAME_PERSON if first is not None and first.actor == actor.uid else SAME_UNIT])


def narrower_regions(room: Mandates, region: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return *region* and what lies inside it, grouped, for an approver to choose from."""
    places = room.identity.places
    groups: list[tuple[str, list[tuple[str, str]]]] = [("", [(region, places.name(region) or region)])]
    if region.count(".") == 1:
        for kec in places.children(region):
            inside = [(one, places.name(one) or one) for one in (kec, *places.children(kec))]
            groups.append((places.name(kec) or kec, inside))
    else:
        inside = [(one, places.name(one) or one) for one in places.children(region)]
        if inside:
            groups.append((_("Di dalamnya"), inside))
    return groups


def views_up_to(view: View) -> list[View]:
    """Return the views an approver can leave."""
    return [one for one in (View.UTUH, View.RINGKAS, View.SAMAR) if one <= view]


def _entry_url(seq: int, own: bool, actor: Actor) -> str | None:
    """Return where the entry of a step can be read: the officer's desk, one's own receipt, or nowhere."""
    if actor.role is Role.PETUGAS_KEAMANAN:
        return f"/audit/{seq}"
    return f"/me/activity/{seq}/receipt" if own else None


def _texts(room: Mandates, terms: Terms) -> list[tuple[str, str]]:
    words = words_of(room)
    return [
        (_("Wilayah"), place(room, terms.region)),
        (_("Elemen"), ", ".join(words.elements[one] for one in ELEMENTS if one in terms.elements)),
        (_("Tingkat"), words.views[terms.view]),
        (_("Sampai akhir"), day(last_day(terms.until, terms.region))),
    ]


def elements_shown(room: Mandates, elements: frozenset[Element]) -> list[tuple[str, str]]:
    """Return (word, label) of elements in the order of the roll."""
    words = words_of(room)
    return [(one.value, words.elements[one]) for one in ELEMENTS if one in elements]
