"""The form of a request: what it offers, and what was typed into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from app.kernel.actor import Actor
from app.kernel.errors import N_, BadInput
from app.kernel.fields import ELEMENTS, Basis, Element, Purpose, Role, Stage, View
from app.kernel.ids import decode_uid
from app.kernel.regions import NATION, is_within, kab_of, parse_region
from app.mandates import ceiling, people
from app.mandates.actions import Wish
from app.mandates.ceiling import Views, Wanted
from app.mandates.people import Official
from app.mandates.room import Mandates
from app.mandates.rules import (
    MOST_DAYS,
    Terms,
    last_day,
    parse_elements,
    parse_letter,
    parse_reason,
    parse_stages,
    parse_until,
    parse_view,
)  # fmt: skip

T = TypeVar("T")
# Two weeks: long enough for a check in the field, short enough that nobody forgets a mandate is running.
USUAL_DAYS = 14


@dataclass(frozen=True, slots=True)
class Asked:
    """What stands in the form: from an address that leads here, or typed and sent back. Nothing personal."""

    purpose: str = ""
    basis: str = ""
    region: str = ""
    stages: Sequence[str] = ()
    elements: Sequence[str] = ()
    view: str = ""
    until: str = ""
    letter: str = ""
    reason: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """What the form offers this person for a region: what opens already, and what a mandate could open at most.

    kab: the kab/kota whose kecamatan and desa are offered, or None. region: what standing, widest and approvers are about. stages:
    those in which a mandate could open anything. first_day, last_day: for the date (ISO).
    """

    kab: str | None
    region: str
    stage: Stage | None
    stages: Sequence[Stage]
    standing: Views
    widest: Views
    approvers: Sequence[Official]
    first_day: str
    last_day: str
    usual_day: str
    derived: frozenset[Element] = field(default_factory=frozenset)

    @property
    def askable(self) -> list[Element]:
        """The elements that a mandate could open further."""
        return [element for element in ELEMENTS if self.widest[element] > self.standing[element]]

    @property
    def views(self) -> list[View]:
        """The views that may be asked for."""
        most = max((self.widest[element] for element in self.askable), default=View.TUTUP)
        return [view for view in (View.SAMAR, View.RINGKAS, View.UTUH) if view <= most]

    @property
    def are_enough(self) -> bool:
        """Whether two approvers of two units can decide."""
        return people.are_enough(self.approvers)


def offer(room: Mandates, actor: Actor, asked: Asked, now: datetime) -> Offer:
    """Return what the form offers. A region or subject that cannot be asked for falls back to the person's own. Raises StoreDown."""
    region = _region(room, actor, asked)
    subject = _subject(asked.subject)
    entry = room.policies.catalog.roles[actor.role]
    found = room.calendar(kab_of(region) or region, now)
    purpose = entry.purposes[0]
    # A voter nobody named stands for any: the policies ask only whether it is the mandate's own.
    who = (subject[1] if subject else "a" * 26) if actor.role is Role.PEJABAT_PDP else None
    wanted = Wanted(purpose, entry.basis, region, found[0] if found else "", found[1] if found else Stage.DPS, who)
    stages = [stage for stage in Stage if _opens(room, actor, replace(wanted, stage=stage), now)]
    if stages and wanted.stage not in stages:
        wanted = replace(wanted, stage=stages[0])
    with room.identity.store.reading() as session:
        deciders = people.approvers(session, region, beside=actor.uid)
    today = last_day(now + timedelta(microseconds=1), region)
    return Offer(
        kab=kab_of(region),
        region=region,
        stage=found[1] if found else None,
        stages=stages,
        standing=ceiling.standing(room, actor, wanted, now),
        widest=ceiling.widest(room, actor, wanted, now),
        approvers=deciders,
        first_day=today.isoformat(),
        last_day=(today + timedelta(days=MOST_DAYS)).isoformat(),
        usual_day=(today + timedelta(days=USUAL_DAYS)).isoformat(),
        derived=ceiling.derived(room),
    )


def regions(room: Mandates, actor: Actor, kab: str | None) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the regions a request can name, grouped: (heading, [(code, name)]); the widest first, without heading.

    kab: whose kecamatan and desa to list; without it a wider office is offered its kab/kota.
    """
    places, own = room.identity.places, actor.region
    if kab is not None:
        groups = [("", [(kab, places.name(kab) or kab)])]
        for kec in places.children(kab):
            inside = [(desa, places.name(desa) or desa) for desa in places.children(kec)]
            groups.append((places.name(kec) or kec, [(kec, places.name(kec) or kec), *inside]))
        return groups
    provinces = places.children(NATION) if own == NATION else (own,)
    groups = [("", [(own, places.name(own) or own)])]
    return groups + [(places.name(one) or one, [(kab, places.name(kab) or kab) for kab in places.children(one)]) for one in provinces]


def read(room: Mandates, actor: Actor, asked: Asked) -> Wish:
    """Return the wish that was typed. Raises Wrong that says what to mend in each field."""
    wrong: dict[str, str] = {}

    def take(parse: Callable[[], T]) -> T | None:
        try:
            return parse()
        except BadInput as error:
            wrong.setdefault(error.field, error.public)
            return None

    subject = take(lambda: _needed_subject(actor, asked))
    region = subject[0] if subject else take(lambda: parse_region(asked.region))
    until = take(lambda: parse_until(asked.until, region or actor.region))
    elements, view = take(lambda: parse_elements(asked.elements)), take(lambda: parse_view(asked.view))
    stages = take(lambda: parse_stages(asked.stages))
    purpose, basis = take(lambda: _purpose(asked.purpose)), take(lambda: _basis(asked.basis))
    letter, reason = take(lambda: parse_letter(asked.letter)), take(lambda: parse_reason(asked.reason))
    if wrong or not (region and until and elements and view and stages and purpose and basis and letter and reason):
        raise Wrong(wrong)
    terms = Terms(region, elements, view, until)
    return Wish(purpose, basis, stages, terms, letter, reason, subject[1] if subject else None)


class Wrong(BadInput):
    """Some fields cannot be used. fields: name → sentence with the remedy (msgid)."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        first = next(iter(fields), "")
        super().__init__(
            f"wrong fields: {', '.join(fields)}", field=first, public=N_("Beberapa isian perlu diperbaiki; lihat keterangannya.")
        )
        self.fields = dict(fields)


def _opens(room: Mandates, actor: Actor, wanted: Wanted, now: datetime) -> bool:
    before, most = ceiling.standing(room, actor, wanted, now), ceiling.widest(room, actor, wanted, now)
    return any(most[element] > before[element] for element in ELEMENTS)


def _region(room: Mandates, actor: Actor, asked: Asked) -> str:
    subject = _subject(asked.subject)
    wanted = subject[0] if subject else asked.region
    try:
        region = parse_region(wanted)
    except BadInput:
        return actor.region
    return region if is_within(region, actor.region) and room.identity.places.name(region) else actor.region


def _subject(text: str) -> tuple[str, str] | None:
    """Return (kab, uid) of a voter's public id, or None when it is not one."""
    kab, _, uid = text.strip().partition("-")
    try:
        decode_uid(uid)
        return (kab, uid) if parse_region(kab) == kab_of(kab) == kab else None
    except (ValueError, BadInput):
        return None


def _needed_subject(actor: Actor, asked: Asked) -> tuple[str, str] | None:
    if actor.role is not Role.PEJABAT_PDP:
        return None
    found = _subject(asked.subject)
    if found is None:
        public = N_("Isi nomor pemilih yang meminta, misalnya 51.71-… dari halaman atau surat permintaannya.")
        raise BadInput("no voter's public id", field="subject", public=public)
    return found


def _purpose(word: str) -> Purpose:
    try:
        return Purpose(word)
    except ValueError:
        raise BadInput("unknown purpose", field="purpose", public=N_("Pilih tujuan yang termasuk peran Anda.")) from None


def _basis(word: str) -> Basis:
    try:
        return Basis(word)
    except ValueError:
        raise BadInput("unknown basis", field="basis", public=N_("Pilih dasar hukumnya.")) from None
