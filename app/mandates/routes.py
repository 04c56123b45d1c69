"""Pages of requests and mandates. What is typed is kept when something is wrong; nothing personal stands in an address."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from flask import Blueprint, Flask, current_app, redirect, render_template, request
from werkzeug.wrappers import Response

from app.identity import gate
from app.identity.room import Card
from app.kernel.actor import Actor
from app.kernel.errors import BadInput, Conflict, GarduError, NotAllowed
from app.kernel.fields import ELEMENTS, Element, Role
from app.kernel.regions import kab_of, parse_region
from app.mandates import actions, desk, forms, people, rules, views
from app.mandates.actions import Decision
from app.mandates.forms import Asked, Offer, Wrong
from app.mandates.room import EXTENSION, Mandates
from app.mandates.rows import Request
from app.mandates.rules import NO_APPROVERS, REQUESTERS, RULES, State, Terms
from app.web.i18n import gettext as _
from app.web.i18n import ngettext
from app.web.pages import office_words

blueprint = Blueprint("mandates", __name__)
# Whoever may be a party to a request: asks, decides, or watches.
PARTIES = (*REQUESTERS, Role.PENYETUJU, Role.PETUGAS_KEAMANAN)


def install(app: Flask, room: Mandates) -> None:
    """Give *app* these pages."""
    app.extensions[EXTENSION] = room
    app.register_blueprint(blueprint)


def nav(actor: Actor) -> Sequence[tuple[str, str]]:
    """Return what the navigation offers this role: (label, address)."""
    if actor.role not in PARTIES:
        return ()
    return ((_("Permintaan"), "/requests") if actor.role is Role.PENYETUJU else (_("Izin"), "/requests"),)


def cards(actor: Actor) -> Sequence[Card]:
    """Return what the home page offers this actor now."""
    if actor.role not in PARTIES:
        return ()
    room = _room()
    found = desk.counts(room, actor, _now(room))
    if actor.role is Role.PENYETUJU:
        return [_approver_card(found)]
    if actor.role is Role.PETUGAS_KEAMANAN:
        text = ngettext("%(num)s izin sedang berlaku.", "%(num)s izin sedang berlaku.", found.running)
        may = _("Anda dapat melihat semuanya dan mencabutnya.")
        return [Card("/requests", _("Izin yang berlaku"), f"{text} {may}")]
    return [_requester_card(found)]


@blueprint.get("/requests")
@gate.roles(*PARTIES)
def index() -> str:
    """Show what waits for this person, what runs, and what is over."""
    room, actor = _room(), gate.current_actor()
    now = _now(room)
    before = request.args.get("before")
    found = desk.read(room, actor, now, before=before)

    def shown(requests: Sequence[Request]) -> list[views.Row]:
        return [views.row(room, one, found.officials, now) for one in requests]

    return render_template(
        "requests/index.html",
        waiting=shown(found.waiting),
        running=shown(found.running),
        others=shown(found.others),
        over=shown(found.over),
        news=shown(found.news),
        older=found.older,
        paged=before is not None,
        broken=found.broken,
        is_approver=actor.role is Role.PENYETUJU,
        may_ask=actor.role in REQUESTERS,
        zone_office=actor.office,
    )


@blueprint.get("/requests/new")
@gate.roles(*REQUESTERS)
def new() -> str:
    """Offer the form; an address may have filled in region, elements or the voter's id."""
    given = request.args
    asked = Asked(
        region=given.get("region", ""), subject=given.get("subject", ""), elements=tuple(given.get("elements", "").split(",")),
    )  # fmt: skip
    return _form(asked)


@blueprint.post("/requests/new")
@gate.roles(*REQUESTERS)
def submit() -> Response | tuple[str, int]:
    """Submit a request."""
    room, actor = _room(), gate.current_actor()
    form = request.form
    asked = Asked(
        purpose=form.get("purpose", ""), basis=form.get("basis", ""), region=form.get("region", ""), view=form.get("view", ""),
        until=form.get("until", ""), letter=form.get("letter", "")[:200], reason=form.get("reason", "")[:2000],
        subject=form.get("subject", "")[:40], stages=form.getlist("stages"), elements=form.getlist("elements"),
    )  # fmt: skip
    try:
        uid = actions.submit(room, actor, forms.read(room, actor, asked), _now(room))
    except Wrong as wrong:
        return _form(asked, wrong, wrong.fields), wrong.status
    except BadInput as wrong:
        return _form(asked, wrong, {wrong.field: wrong.public} if wrong.field else {}), wrong.status
    return redirect(f"/requests/{uid}?baru=1", 303)


@blueprint.get("/requests/<uid>")
@gate.roles(*PARTIES)
def show(uid: str) -> str:
    """Show one request: what was asked, what became of it, and what this person can do now."""
    room, actor = _room(), gate.current_actor()
    now = _now(room)
    actions.expire_due(room, now)
    return _page(room, actor, actions.find(room, actor, uid, now), now)


@blueprint.post("/requests/<uid>/decide")
@gate.roles(*PARTIES)
def decide(uid: str) -> Response | tuple[str, int]:
    """Approve, perhaps less than asked, or refuse."""
    room, actor = _room(), gate.current_actor()
    now = _now(room)
    try:
        actions.decide(room, actor, uid, _decision(), now)
    except (BadInput, Conflict, NotAllowed) as error:
        return _again(room, actor, uid, now, error)
    return redirect(f"/requests/{uid}", 303)


@blueprint.post("/requests/<uid>/withdraw")
@gate.roles(*PARTIES)
def withdraw(uid: str) -> Response | tuple[str, int]:
    """Take one's own request back."""
    room, actor = _room(), gate.current_actor()
    now = _now(room)
    try:
        actions.withdraw(room, actor, uid, rules.parse_reason(request.form.get("reason", ""), required=False), now)
    except (BadInput, Conflict, NotAllowed) as error:
        return _again(room, actor, uid, now, error)
    return redirect(f"/requests/{uid}", 303)


@blueprint.post("/requests/<uid>/revoke")
@gate.roles(*PARTIES)
def revoke(uid: str) -> Response | tuple[str, int]:
    """End a mandate at once."""
    room, actor = _room(), gate.current_actor()
    now = _now(room)
    try:
        actions.revoke(room, actor, uid, rules.parse_reason(request.form.get("reason", "")), now)
    except (BadInput, Conflict, NotAllowed) as error:
        return _again(room, actor, uid, now, error)
    return redirect(f"/requests/{uid}", 303)


def _room() -> Mandates:
    room: Mandates = current_app.extensions[EXTENSION]
    return room


def _now(room: Mandates) -> datetime:
    return room.identity.clock.now()


def _approver_card(found: desk.Counts) -> Card:
    title = _("Permintaan izin")
    if not found.waiting:
        return Card("/requests", title, _("Tidak ada yang menunggu keputusan Anda."))
    text = ngettext("%(num)s permintaan menunggu keputusan Anda.", "%(num)s permintaan menunggu keputusan Anda.", found.waiting)
    return Card("/requests", title, text, _("Putuskan"), waits=True)


def _requester_card(found: desk.Counts) -> Card:
    if not found.open and not found.running and not found.news:
        text = _("Perlu melihat lebih dari yang terbuka? Ajukan izin tertulis; dua penyetuju memutusnya.")
        return Card("/requests/new", _("Izin"), text, _("Ajukan izin"))
    told = []
    if found.news:
        told.append(
            ngettext(
                "%(num)s permintaan bergerak sejak langkah terakhir Anda.",
                "%(num)s permintaan bergerak sejak langkah terakhir Anda.",
                found.news,
            )
        )
    told += [
        ngettext("%(num)s permintaan belum diputus.", "%(num)s permintaan belum diputus.", found.open),
        ngettext("%(num)s izin berlaku.", "%(num)s izin berlaku.", found.running),
    ]
    if found.ending:
        told.append(ngettext("%(num)s izin berakhir dalam tujuh hari.", "%(num)s izin berakhir dalam tujuh hari.", found.ending))
    return Card("/requests", _("Permintaan dan izin"), " ".join(told))


def _form(asked: Asked, error: BadInput | None = None, errors: dict[str, str] | None = None) -> str:
    room, actor = _room(), gate.current_actor()
    offered = forms.offer(room, actor, asked, _now(room))
    entry, words = room.policies.catalog.roles[actor.role], views.words_of(room)
    places = room.identity.places
    is_officer = actor.role is Role.PEJABAT_PDP
    return render_template(
        "requests/new.html",
        asked=asked,
        offered=offered,
        purposes=[(one.value, words.purposes[one]) for one in entry.purposes],
        bases=[(one.value, f"{label} ({room.policies.catalog.bases[one].citation})") for one, label in words.bases.items()],
        basis=asked.basis or entry.basis.value,
        regions=forms.regions(room, actor, offered.kab),
        region=asked.region if error else offered.region,
        kabs=forms.regions(room, actor, None) if actor.region.count(".") == 0 and not is_officer else [],
        place=views.place(room, offered.region),
        is_officer=is_officer,
        rows=[_element_row(offered, words.elements[one], one, asked) for one in ELEMENTS],
        views=[(view.word, words.views[view]) for view in offered.views],
        view=asked.view or (offered.views[-1].word if offered.views else ""),
        stages=[
            (one.value, words.stages[one], one.value in asked.stages or (not error and one is offered.stage)) for one in offered.stages
        ],
        until=asked.until or offered.usual_day,
        stage_label=words.stages[offered.stage] if offered.stage else "",
        most_days=rules.MOST_DAYS,
        approvers=[views.named(room, one.uid, {one.uid: one}) for one in offered.approvers],
        contact=office_words(f"kpu-{offered.region if offered.kab is None else offered.kab}", places.name),
        **_wrong(error, errors),
    )


def _element_row(offered: Offer, label: str, element: Element, asked: Asked) -> dict[str, object]:
    now, most = offered.standing[element], offered.widest[element]
    return {
        "element": element.value, "label": label, "now": now.word, "most": most.word, "askable": most > now,
        "checked": element.value in asked.elements and most > now, "derived": element in offered.derived,
    }  # fmt: skip


def _decision() -> Decision:
    """Return what was decided. A refusal's terms are not looked at. Raises BadInput naming the field."""
    form = request.form
    version = form.get("version", "")
    if not (version.isascii() and version.isdigit() and len(version) < 6):
        raise BadInput("no version", field="version")
    word = form.get("decision", "")
    if word not in ("approve", "refuse"):
        raise BadInput("neither approve nor refuse", field="decision", public=_("Pilih setujui atau tolak."))
    if word == "refuse":
        return Decision(int(version), None, rules.parse_reason(form.get("reason", "")))
    region = parse_region(form.get("region", ""))
    terms = Terms(
        region, rules.parse_elements(form.getlist("elements")), rules.parse_view(form.get("view", "")),
        rules.parse_until(form.get("until", ""), region),
    )  # fmt: skip
    return Decision(int(version), terms, rules.parse_reason(form.get("reason", ""), required=False))


def _again(room: Mandates, actor: Actor, uid: str, now: datetime, error: GarduError) -> tuple[str, int]:
    """Show the request as it stands now, with what was wrong. Raises NotThere when it is not this person's."""
    return _page(room, actor, actions.find(room, actor, uid, now), now, error), error.status


def _page(room: Mandates, actor: Actor, found: Request, now: datetime, error: GarduError | None = None) -> str:
    with room.identity.store.reading() as session:
        who = people.officials(session, {found.holder, *(step.actor for step in found.steps)})
    left, typed = found.left, request.form if error else {}
    is_mine, field = found.holder == actor.uid, error.field if isinstance(error, BadInput) else ""
    chosen = request.form.getlist("elements") if error and field else [one.value for one in left.elements]
    may_decide = desk.waits_for(actor, found) or (actor.role is Role.PENYETUJU and found.is_open and not is_mine)
    return render_template(
        "requests/request.html",
        uid=found.uid,
        seen_version=found.version,
        row=views.row(room, found, who, now),
        state=found.state.value,
        facts=views.facts(room, found, who),
        lines=views.comparison(room, found, now),
        has_derived=Element.NIK in found.asked.elements,
        timeline=views.timeline(room, found, who, actor),
        may_approve=desk.waits_for(actor, found),
        may_refuse=may_decide,
        why_not=views.why_not(actor, found),
        may_withdraw=is_mine and found.is_open,
        may_revoke=found.state is State.ACTIVE,
        is_mine=is_mine,
        use_url=_use_url(found) if is_mine and found.state is State.ACTIVE else None,
        is_late=found.is_open and left.until <= now,
        regions=views.narrower_regions(room, left.region),
        region=typed.get("region") or left.region,
        elements=[(word, label, word in chosen) for word, label in views.elements_shown(room, left.elements)],
        views=[(view.word, views.words_of(room).views[view]) for view in views.views_up_to(left.view)],
        view=typed.get("view") or left.view.word,
        until=typed.get("until") or rules.last_day(left.until, left.region).isoformat(),
        last_day=rules.last_day(left.until, left.region).isoformat(),
        reason=typed.get("reason", ""),
        action=request.path.rpartition("/")[2] if error else "",
        is_new=request.args.get("baru") == "1" and is_mine,
        reason_min=rules.REASON_MIN,
        zone_office=actor.office,
        **_wrong(error, {field: error.public} if error and field else {}),
    )


def _use_url(found: Request) -> str:
    """Return where a mandate in force is put to use."""
    if found.subject:
        return f"/voters/{kab_of(found.asked.region)}-{found.subject}"
    return f"/voters?region={kab}" if (kab := kab_of(found.left.region)) else "/voters"


def _wrong(error: GarduError | None, errors: dict[str, str] | None) -> dict[str, object]:
    """Return what a template says of an error: the sentence, the rule it stood against, and the sentence of each field."""
    rule = error.detail if error and error.detail in RULES else ""
    return {
        "error": _(error.public) if error else "",
        "rule": rule,
        "no_approvers": rule == NO_APPROVERS,
        "errors": {name: _(text) for name, text in (errors or {}).items()},
    }
