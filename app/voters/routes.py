"""Pages of the roll: choose a task, search, read a voter. Nothing personal ever stands in an address."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import Blueprint, current_app, redirect, render_template, request
from werkzeug.wrappers import Response

from app.identity import gate
from app.identity.room import Card
from app.kernel.actor import Actor
from app.kernel.errors import N_, BadInput, Conflict, NotThere, StepUpNeeded
from app.kernel.fields import ELEMENTS, Element, Purpose, Role, View
from app.kernel.ids import decode_uid
from app.kernel.regions import is_within, kab_of, parse_region
from app.mandates import actions as mandates
from app.mandates.rows import Held
from app.places import Places
from app.policy.catalog import Labels
from app.policy.decide import Act, Denied
from app.policy.explain import Explanation, Next
from app.touch import Disclosure, Listing, Receipt
from app.voters import actions
from app.voters.actions import LISTED, MOST_PER_PAGE, Place, Task
from app.voters.asking import Used, ask_url, used, used_in
from app.voters.elections import Standing
from app.voters.room import EXTENSION, Roll
from app.voters.rules.dates import parse_date
from app.voters.rules.words import CODE_WORDS
from app.web.i18n import gettext as _
from app.web.i18n import language, ngettext
from app.web.pages import VIEW_LABELS

blueprint = Blueprint("voters", __name__)

# Roles whose work is the roll. Everybody else gets 403 here, before any policy is asked; the policies would refuse them too.
READERS = (Role.KPU_KAB, Role.KPU_PROV, Role.KPU_RI, Role.BAWASLU_KAB, Role.BAWASLU_PROV, Role.BAWASLU_RI)
# Who may search by a key of identity without a mandate; the others browse by desa and TPS.
SEARCHERS = frozenset({Role.KPU_KAB})
# To whom RT and RW are in full, as a filter by them needs; the policies decide again at each use.
STREETS = frozenset({Role.KPU_KAB, Role.BAWASLU_KAB})
LIAISONS = frozenset({Role.BAWASLU_KAB, Role.BAWASLU_PROV, Role.BAWASLU_RI})
PER_PAGE = 25
_TPS = re.compile(r"[0-9]{1,3}", re.ASCII)
_SPACING = re.compile(r"[\s.\-]")


@dataclass(frozen=True, slots=True)
class ElementRow:
    """One element on the voter page."""

    element: str
    label: str
    view: str
    view_label: str
    value: str | None
    rules: Sequence[tuple[str, str]]
    basis: str
    owner: str
    more: str
    correct_url: str | None = None
    ask_url: str | None = None


@dataclass(frozen=True, slots=True)
class ReceiptLink:
    """A receipt as a page shows it."""

    seq: int
    leaf_hex: str
    log: str
    url: str


def cards(actor: Actor) -> list[Card]:
    """Return what the home page offers this role from the roll."""
    if actor.role in SEARCHERS:
        text = _("Dengan NIK, dengan nama, atau lewat desa dan TPS. Setiap pembukaan mendapat nomor tanda terima.")
        return [Card("/voters", _("Cari pemilih"), text)]
    if actor.role in READERS:
        return [Card("/voters", _("Lihat daftar pemilih"), _("Lewat desa dan TPS. Setiap pembukaan mendapat nomor tanda terima."))]
    return []


def nav(actor: Actor) -> list[tuple[str, str]]:
    """Return what the navigation offers this role from the roll: (label, address)."""
    return [(_("Pemilih"), "/voters")] if actor.role in READERS else []


@blueprint.get("/voters")
@gate.roles(*READERS)
def search_page() -> str:
    """Offer the tasks of the role, then the ways to search."""
    return _search_form(_roll(), gate.current_actor())


@blueprint.post("/voters")
@gate.roles(*READERS)
def choose() -> Response:
    """Choose the task of this visit."""
    actor, roll = gate.current_actor(), _roll()
    gate.choose_task(_purpose(request.form.get("purpose", ""), _tasks(roll, actor)))
    region = request.form.get("region")
    return redirect(f"/voters?region={_region(roll, actor, region)}" if region else "/voters", 303)


@blueprint.post("/voters/search")
@gate.roles(*READERS)
def search() -> str | Response | tuple[str, int]:
    """Search by NIK, by NKK, by name and birth date, or by desa with TPS, RT or RW."""
    actor, roll, form = gate.current_actor(), _roll(), request.form
    purpose = _purpose(form.get("purpose", ""), _tasks(roll, actor))
    gate.choose_task(purpose)
    actor = gate.current_actor()
    try:
        task = Task(purpose, roll.guard.policies.catalog.roles[actor.role].basis, _kab(form.get("region", "")))
        return _results(roll, actor, task, form)
    except StepUpNeeded:
        # What was typed is not carried along: it would stand in an address.
        return redirect("/step-up?next=/voters", 303)
    except BadInput as error:
        return _search_form(roll, actor, error=_(error.public)), 400
    except Conflict as error:
        return _search_form(roll, actor, error=_(error.public)), 409


@blueprint.get("/voters/<public_id>")
@gate.roles(*READERS, Role.PEJABAT_PDP)
def voter(public_id: str) -> str:
    """Read one voter: each of the 13 elements with its view and why."""
    actor, roll, now = gate.current_actor(), _roll(), _roll().clock.now()
    kab, uid = actions.parse_public_id(public_id)
    task = _task(roll, actor, kab)
    actor = gate.current_actor()
    held = mandates.active(roll.mandates, actor.uid, now)
    # The policies look at it for this role alone.
    approved = actor.role is Role.PEJABAT_PDP and mandates.approved_subject(roll.mandates, actor.uid, uid)
    disclosure, present = actions.read_voter(roll.guard, actor, task, uid, now, held=held, approved_subject=approved)
    return _voter_page(roll, public_id, disclosure, present)


def _roll() -> Roll:
    roll: Roll = current_app.extensions[EXTENSION]
    return roll


def _tasks(roll: Roll, actor: Actor) -> list[Purpose]:
    return list(roll.guard.policies.catalog.roles[actor.role].purposes)


def _task(roll: Roll, actor: Actor, kab: str) -> Task:
    """Return the task in hand: the one chosen, or the role's only one."""
    tasks = _tasks(roll, actor)
    purpose = gate.current_person().purpose
    if purpose is None or purpose not in tasks:
        if len(tasks) != 1:
            raise BadInput("no task chosen", field="purpose", public=N_("Pilih tugas terlebih dahulu di halaman pencarian."))
        purpose = tasks[0]
        gate.choose_task(purpose)
    return Task(purpose, roll.guard.policies.catalog.roles[actor.role].basis, kab)


def _purpose(text: str, tasks: Sequence[Purpose]) -> Purpose:
    for purpose in tasks:
        if purpose.value == text:
            return purpose
    raise BadInput("not a purpose of this role", field="purpose", public=N_("Pilih tugas yang termasuk peran Anda."))


def _kab(text: str) -> str:
    region = parse_region(text)
    if kab_of(region) != region:
        raise BadInput("region is no kab/kota", field="region", public=N_("Pilih satu kab/kota."))
    return region


def _region(roll: Roll, actor: Actor, text: str) -> str:
    """Return a kab/kota of the actor's jurisdiction for the form; the policies decide again at each use."""
    region = _kab(text)
    if region not in roll.places.kabs() or not is_within(region, actor.region):
        raise NotThere("region outside the jurisdiction")
    return region


def _search_form(roll: Roll, actor: Actor, error: str | None = None) -> str:
    tasks, words = _tasks(roll, actor), _words(roll)
    task = gate.current_person().purpose
    if task not in tasks and len(tasks) == 1:
        task = tasks[0]
        gate.choose_task(task)
    regions = [(code, roll.places.name(code) or code) for code in roll.places.kabs() if is_within(code, actor.region)]
    asked = request.args.get("region") or request.form.get("region")
    region = regions[0][0] if len(regions) == 1 else _region(roll, actor, asked) if asked else None
    held, held_nkk = _held_in(roll, actor, task, region), _held_in(roll, actor, task, region, Element.NKK)
    return render_template(
        "voters/search.html",
        tasks=[(purpose.value, words.purposes[purpose], "") for purpose in tasks],
        task=task.value if task in tasks and task is not None else None,
        regions=regions,
        region=region,
        desa=_desa(roll.places, region) if region else [],
        may_nik=actor.role in SEARCHERS or bool(held),
        nik_within=[(one.uid, used(one, roll.places).place) for one in held],
        may_nkk=actor.role in SEARCHERS or bool(held_nkk),
        nkk_within=[(one.uid, used(one, roll.places).place) for one in held_nkk],
        mandates=[used(one, roll.places) for one in held],
        is_liaison=actor.role in LIAISONS,
        may_name=actor.role in SEARCHERS,
        may_street=actor.role in STREETS,
        error=error,
    )


def _held_in(roll: Roll, actor: Actor, task: Purpose | None, region: str | None, key: Element = Element.NIK) -> list[Held]:
    """Return the mandates that let this person search *region* by *key*."""
    if task is None or region is None or actor.role in SEARCHERS:
        return []
    now = roll.clock.now()
    held = mandates.active(roll.mandates, actor.uid, now)
    return actions.searchable(roll.guard, actor, Task(task, roll.guard.policies.catalog.roles[actor.role].basis, region), held, now, key)


def _within(roll: Roll, actor: Actor, task: Task, uid: str, key: Element) -> Held | None:
    """Return the mandate a search by *key* goes by: the one the form named, else the widest; None when none opens it."""
    held = _held_in(roll, actor, task.purpose, task.kab, key)
    return next((one for one in held if one.uid == uid), held[0] if held else None)


def _desa(places: Places, kab: str) -> list[tuple[str, str]]:
    kecamatan = _("Kec.")
    return [
        (desa, f"{places.name(desa)} · {kecamatan} {places.name(kec)}") for kec in places.children(kab) for desa in places.children(kec)
    ]


def _results(roll: Roll, actor: Actor, task: Task, form: Mapping[str, str]) -> str:
    now = roll.clock.now()
    if form.get("nik"):
        within = _within(roll, actor, task, form.get("mandate", ""), Element.NIK)
        found = actions.find_by_nik(roll.guard, actor, task, _SPACING.sub("", form["nik"]), now, within=within)
        return _page(roll, _("NIK"), found, None, used(within, roll.places) if within else None)
    if form.get("nkk"):
        within = _within(roll, actor, task, form.get("mandate", ""), Element.NKK)
        found = actions.find_by_nkk(roll.guard, actor, task, _SPACING.sub("", form["nkk"]), now, within=within)
        return _page(roll, _("Nomor Kartu Keluarga"), found, None, used(within, roll.places) if within else None)
    if form.get("name") or form.get("birth_date"):
        day = parse_date(form.get("birth_date", "").strip())
        if day is None:
            raise BadInput("birth date unreadable", field="birth_date", public=N_("Isi tanggal lahir, misalnya 31-12-1990."))
        found = actions.find_by_name(roll.guard, actor, task, form.get("name", ""), day.isoformat(), now)
        return _page(roll, _("nama dan tanggal lahir"), found, None)
    if form.get("desa") and any(form.get(name) for name in ("tps", "rt", "rw")):
        place = _place(roll, form)
        listing, more = actions.browse(roll.guard, actor, task, place, now, held=mandates.active(roll.mandates, actor.uid, now))
        given = {"tps": place.tps, "rt": place.rt, "rw": place.rw}
        hidden = {name: value for name, value in given.items() if value is not None}
        hidden |= {"purpose": task.purpose.value, "region": task.kab, "desa": place.desa, "limit": str(place.limit)}
        where = ", ".join(
            [roll.places.name(place.desa) or place.desa, *(f"{name.upper()} {value}" for name, value in given.items() if value)]
        )
        return _page(roll, where, listing, {**hidden, "before": more} if more else None)
    raise BadInput(
        "no key given", field="nik", public=N_("Isi salah satu cara: NIK; NKK; nama dan tanggal lahir; atau desa dengan TPS, RT, atau RW.")
    )


def _place(roll: Roll, form: Mapping[str, str]) -> Place:
    desa = parse_region(form["desa"])
    tps, rt, rw = (form.get(name, "").strip() or None for name in ("tps", "rt", "rw"))
    if roll.places.name(desa) is None or (tps is not None and not _TPS.fullmatch(tps)):
        raise BadInput("tps or desa unreadable", field="tps", public=N_("Pilih desa, dan isi nomor TPS dengan angka, misalnya 1 atau 001."))
    if any(one is not None and not _TPS.fullmatch(one) for one in (rt, rw)):
        raise BadInput("rt or rw unreadable", field="rt", public=N_("Isi RT dan RW dengan angka, misalnya 2 atau 002."))
    limit = form.get("limit", str(PER_PAGE))
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit) <= MOST_PER_PAGE:
        raise BadInput("limit out of bounds", field="limit", public=N_("Jumlah baris per halaman antara 1 dan 100."))
    return Place(desa, tps.zfill(3) if tps else None, _before(form, tps), int(limit), rt, rw)


def _before(form: Mapping[str, str], tps: str | None) -> str | None:
    """Return where the page before ended: a uid, and in front of it its TPS when the whole desa is listed. Raises BadInput."""
    before = form.get("before") or None
    if before is None:
        return None
    number, _dot, uid = before.rpartition(".")
    try:
        decode_uid(uid)
    except ValueError:
        raise BadInput("cursor unreadable", field="before") from None
    if bool(number) == (tps is not None) or len(number) > 8:
        raise BadInput("cursor unreadable", field="before")
    return before


def _page(roll: Roll, how: str, listing: Listing, next_form: Mapping[str, str] | None, mandate: Used | None = None) -> str:
    words = _words(roll)
    found = len(listing.shown)
    return render_template(
        "voters/results.html",
        how=how,
        rows=[_row(words, disclosure) for disclosure in listing.shown],
        count=ngettext("%(num)s pemilih di halaman ini.", "%(num)s pemilih di halaman ini.", found),
        receipt=_receipt(listing.receipt),
        next_form=next_form,
        empty=not found,
        broken=len(listing.broken),
        mandate=mandate,
    )


def _row(words: Labels, disclosure: Disclosure) -> dict[str, object]:
    views = disclosure.grant.views
    cells = [(words.elements[one], views[one].word, _value(one, views[one], disclosure.values.get(one))) for one in LISTED]
    return {"url": f"/voters/{disclosure.row.kab}-{disclosure.row.uid}", "cells": cells}


def _receipt(receipt: Receipt) -> ReceiptLink:
    return ReceiptLink(receipt.seq, receipt.leaf.hex(), receipt.log, f"/me/activity/{receipt.seq}/receipt")


def _voter_page(roll: Roll, public_id: str, disclosure: Disclosure, present: Standing) -> str:
    words, places, row = _words(roll), roll.places, disclosure.row
    offer = [words.elements[element] for element in disclosure.grant.offer]
    whys = {element: roll.guard.policies.explain(disclosure.grant, element) for element in ELEMENTS}
    askable = [element for element, why in whys.items() if why.next is Next.IZIN]
    is_officer = disclosure.grant.visit.role is Role.PEJABAT_PDP
    return render_template(
        "voters/voter.html",
        public_id=public_id,
        place=[
            (_("Kab/kota"), places.name(row.kab) or row.kab),
            (_("Kecamatan"), places.name(row.kec) or row.kec),
            (_("Desa/kelurahan"), places.name(row.desa) or row.desa),
        ],
        tps=row.tps,
        election=present.election,
        stage_label=words.stages[present.stage],
        elements=[_element(roll, disclosure, element, whys[element]) for element in ELEMENTS],
        mandate=used_in(disclosure, places),
        ask_url=ask_url(disclosure, askable),
        ask_names=[words.elements[element] for element in askable],
        receipt=_receipt(disclosure.receipt),
        offer=offer,
        step_up_url=f"/step-up?next=/voters/{public_id}" if offer else None,
        back_url="/requests" if is_officer else "/voters",
        back_label=_("Kembali ke permintaan izin") if is_officer else _("Kembali ke pencarian"),
    )


def _element(roll: Roll, disclosure: Disclosure, element: Element, why: Explanation) -> ElementRow:
    view = disclosure.grant.views[element]
    title = why.title_en if language() == "en" else why.title
    return ElementRow(
        element=element.value,
        label=_words(roll).elements[element],
        view=view.word,
        view_label=_(VIEW_LABELS[view.word]),
        value=_value(element, view, disclosure.values.get(element)),
        rules=[(rule, title if position == 0 else "") for position, rule in enumerate(why.rules)],
        basis=why.basis,
        owner=why.owner,
        more=_(why.sentence, **why.params[language()]),
        correct_url=_correct_url(roll, disclosure, element),
        ask_url=ask_url(disclosure, (element,)) if why.next is Next.IZIN else None,
    )


def _correct_url(roll: Roll, disclosure: Disclosure, element: Element) -> str | None:
    """Return where the element can be corrected, when the policies let this visit correct it."""
    try:
        roll.guard.policies.permits(disclosure.grant.visit, Act.UBAH, (element,))
    except Denied:
        return None
    return f"/voters/{disclosure.row.kab}-{disclosure.row.uid}/correct/{element.value}"


def _value(element: Element, view: View, value: str | None) -> str | None:
    """Say a code, a date or a generalised value in words; the code itself stays readable beside them."""
    if not value:
        return value
    if element is Element.TANGGAL_LAHIR:
        return _birth(view, value)
    words = CODE_WORDS.get(element, {}).get(value)
    if words is None:
        return value
    return _(words) if value.islower() else f"{value} – {_(words)}"


def _birth(view: View, value: str) -> str:
    if view is View.RINGKAS:
        return _("%(age)s tahun pada hari pemungutan suara", age=value)
    return "-".join(reversed(value.split("-"))) if view is View.UTUH else value


def _words(roll: Roll) -> Labels:
    return roll.guard.policies.catalog.labels(language())
