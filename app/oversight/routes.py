"""Pages of the security officer's desk: the trail, one entry in words, its proof, the whole log's verification, activity, matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from flask import Blueprint, Flask, current_app, make_response, redirect, render_template, request, send_file
from werkzeug.wrappers import Response

from app.audit.canonical import MAX_INT
from app.audit.desk import Filter
from app.audit.single import Found as Result
from app.identity import gate
from app.identity.labels import ACTIONS, OUTCOMES, PURPOSES
from app.identity.room import Card
from app.kernel.actor import Actor
from app.kernel.errors import BadInput, SealBroken
from app.kernel.fields import ELEMENTS, Role
from app.oversight import actions, asking, checking, exporting, progress, saved, views
from app.oversight.asking import Asked
from app.oversight.exporting import Made
from app.oversight.room import Oversight
from app.oversight.sheets import MIME, Form
from app.policy.matrix import role_matrix
from app.web.i18n import gettext as _
from app.web.i18n import language, ngettext
from app.web.pages import ROLE_LABELS

blueprint = Blueprint("oversight", __name__)
EXTENSION = "gardu.oversight"
_OFFICER = (Role.PETUGAS_KEAMANAN,)
# Days that the pictures of the activity page show.
DAYS = (7, 14, 28)
# One file, which imports nothing of ours (README, "Anybody, without an account").
_VERIFIER = Path(__file__).parent.parent / "verifier.py"
_SEQ = f"<int(max={MAX_INT}):seq>"


def install(app: Flask, room: Oversight) -> None:
    """Give *app* these pages, and make the background work known."""
    app.extensions[EXTENSION] = room
    app.register_blueprint(blueprint)
    room.exports.mkdir(mode=0o700, exist_ok=True)
    checking.register(room)
    exporting.register(room)
    exporting.sweep(room, room.identity.clock.now())


def nav(actor: Actor) -> Sequence[tuple[str, str]]:
    """Return what the navigation offers this role: (label, address)."""
    return [(_("Jejak audit"), "/audit")] if actor.role in _OFFICER else ()


def cards(actor: Actor) -> Sequence[Card]:
    """Return what the home page offers this actor now: broken seals, the state of the log's verification, the trail."""
    if actor.role not in _OFFICER:
        return ()
    room, now = _room(), _now()
    found = actions.activity(room, actor, Filter(since=now - timedelta(hours=24), within=actor.region), now)
    broken = sum(one.count for one in found.hours if one.outcome == "broken")
    refused = sum(one.count for one in found.hours if one.outcome == "denied")
    made = []
    if broken:
        text = ngettext("%(num)s segel rusak dalam 24 jam terakhir.", "%(num)s segel rusak dalam 24 jam terakhir.", broken)
        made.append(Card("/audit?range=24h&outcome=broken", _("Segel rusak"), text, _("Lihat entrinya"), waits=True))
    made += progress.cards(checking.history(room), now)
    text = ngettext("%(num)s penolakan dalam 24 jam terakhir.", "%(num)s penolakan dalam 24 jam terakhir.", refused)
    look = _("Cari menurut orang, wilayah, elemen, atau waktu.")
    made.append(Card("/audit", _("Jejak audit"), f"{text} {look}"))
    made.append(Card("/audit/activity", _("Aktivitas"), _("Kapan dan di kantor mana data disentuh, sebagai gambar dan tabel.")))
    made.append(Card("/audit/matrix", _("Matriks keputusan"), _("Siapa dapat melihat apa, menurut kebijakan yang berlaku.")))
    return made


@blueprint.get("/audit")
@gate.roles(*_OFFICER)
def index() -> str | tuple[str, int]:
    """Show entries, the last 24 hours first, narrowed by what the address asks."""
    try:
        asked = _read(request.args)
    except BadInput as wrong:
        return _desk(dict(request.args), None, wrong), wrong.status
    return _desk(asked.given, asked, None)


@blueprint.post("/audit")
@gate.roles(*_OFFICER)
def ask() -> Response | tuple[str, int]:
    """Take the form, and lead to the address that asks the same; a username becomes the account's id on the way."""
    given = {name: request.form.get(name, "") for name in asking.FIELDS}
    try:
        given["actor"] = actions.find_account(_room(), given["actor"].strip())
        asked = _read(given)
    except BadInput as wrong:
        return _desk(given, None, wrong), wrong.status
    return redirect(asking.address(asked.given), 303)


@blueprint.post("/audit/export")
@gate.roles(*_OFFICER)
def export() -> Response | tuple[str, int]:
    """Hand out the rows of the desk as a file, or lead to the work that makes a long one."""
    room, actor, given = _room(), gate.current_actor(), asking.from_query(request.form.get("query", ""))
    chosen = request.form.get("form", "")
    if chosen not in set(Form):
        raise BadInput("no such form of a file", field="form")
    try:
        asked = _read(given)
    except BadInput as wrong:
        return _desk(given, None, wrong), wrong.status
    made = exporting.export(room, actor, asked, Form(chosen), language(), _now())
    return redirect(f"/audit/export/{made}", 303) if isinstance(made, str) else _sent(made)


@blueprint.get("/audit/export/<uid>")
@gate.roles(*_OFFICER)
def export_job(uid: str) -> Response:
    """Show how far a long export is, and where its file is had."""
    room, actor, now = _room(), gate.current_actor(), _now()
    job, still = exporting.find(room, actor, uid), request.args.get("diam") != "1"
    answer = make_response(
        render_template(
            "audit/export.html", row=progress.export_row(job, now), still=not still, zone_office=actor.office, most=exporting.MOST
        )
    )
    if still and not job.over:
        answer.headers["Refresh"] = f"2; url=/audit/export/{uid}"
    return answer


@blueprint.get("/audit/export/<uid>/file")
@gate.roles(*_OFFICER)
def export_file(uid: str) -> Response:
    """Hand out the file of a long export."""
    return _sent(exporting.fetch(_room(), gate.current_actor(), uid, _now()))


@blueprint.post("/audit/export/<uid>/again")
@gate.roles(*_OFFICER)
def export_again(uid: str) -> Response:
    """Begin an export anew that was cut off."""
    exporting.again(_room(), gate.current_actor(), uid)
    return redirect(f"/audit/export/{uid}", 303)


@blueprint.get("/audit/views")
@gate.roles(*_OFFICER)
def saved_views() -> str:
    """Show the officer's saved views, to rename and delete."""
    return _shelf(None)


@blueprint.post("/audit/views")
@gate.roles(*_OFFICER)
def save_view() -> Response | tuple[str, int]:
    """Keep what the desk shows under a name."""
    given = asking.from_query(request.form.get("query", ""))
    asked = None
    try:
        asked = _read(given)
        saved.save(_room(), gate.current_actor(), request.form.get("name", ""), asked, _now())
    except BadInput as wrong:
        return _desk(given, asked, wrong), wrong.status
    return redirect(asking.address(asked.given, notice="saved"), 303)


@blueprint.get("/audit/views/<uid>")
@gate.roles(*_OFFICER)
def open_view(uid: str) -> Response | tuple[str, int]:
    """Lead to what a saved view asks, read anew as if it had been typed."""
    view, given = saved.find(_room(), gate.current_actor(), uid), dict[str, str]()
    try:
        given = saved.fields(view)
        return redirect(asking.address(_read(given).given), 303)
    except BadInput as wrong:
        return _desk(given, None, wrong), wrong.status


@blueprint.post("/audit/views/<uid>")
@gate.roles(*_OFFICER)
def rename_view(uid: str) -> Response | tuple[str, int]:
    """Give a saved view another name."""
    try:
        saved.rename(_room(), gate.current_actor(), uid, request.form.get("name", ""))
    except BadInput as wrong:
        return _shelf(wrong, uid), wrong.status
    return redirect("/audit/views", 303)


@blueprint.post("/audit/views/<uid>/delete")
@gate.roles(*_OFFICER)
def delete_view(uid: str) -> Response:
    """Delete a saved view; the page then offers the way back."""
    saved.remove(_room(), gate.current_actor(), uid, _now())
    return redirect("/audit/views", 303)


@blueprint.post("/audit/views/<uid>/restore")
@gate.roles(*_OFFICER)
def restore_view(uid: str) -> Response:
    """Bring the view back that was deleted last."""
    saved.restore(_room(), gate.current_actor(), uid)
    return redirect("/audit/views", 303)


@blueprint.get(f"/audit/{_SEQ}")
@gate.roles(*_OFFICER)
def entry(seq: int) -> str | Response:
    """Show one entry: every member in words, the decision, what the sealed payload adds."""
    room, actor = _room(), gate.current_actor()
    try:
        opened = actions.open_entry(room, actor, seq, _now())
    except SealBroken:
        # What is left of it can still be looked at: the proof says where it broke.
        return redirect(f"/audit/{seq}/verify", 303)
    told = opened.stored.members
    people = actions.people(room, [told["actor"]])
    name, more = views.who(told["actor"], told["office"], people, room.identity.places)
    return render_template(
        "audit/entry.html", seq=seq, row=views.rows(room, [opened.stored], people)[0], who=name, who_more=more,
        members=views.members(room, opened, people), rules=views.decided_by(room, told["rule"] or ()), decision=views.decision(room, opened),
        opened=opened, replayed=opened.replayed, facts=views.facts(room, opened), subjects=views.pseudonyms(opened.subjects),
        more_subjects=max(0, (told["subjects"]["count"] if told["subjects"] else 0) - len(opened.subjects)), zone_office=actor.office,
        older=seq - 1 if seq else None, newer=seq + 1 if seq < opened.newest else None,
    )  # fmt: skip


@blueprint.get(f"/audit/{_SEQ}/verify")
@gate.roles(*_OFFICER)
def prove(seq: int) -> str:
    """Check one entry and show every step."""
    room, actor = _room(), gate.current_actor()
    stored, found = actions.prove_entry(room, actor, seq, _now())
    return render_template(
        "audit/prove.html", seq=seq, steps=views.steps(found), good=all(one.found is not Result.BAD for one in found),
        broken=stored is None, vkey=room.guard.trail.vkey,
    )  # fmt: skip


@blueprint.get(f"/audit/{_SEQ}/receipt")
@gate.roles(*_OFFICER)
def receipt(seq: int) -> Response:
    """Hand out the proof of one entry as a file; with ``saksi=1`` against a published checkpoint, witnesses' signatures with it."""
    witnessed = request.args.get("saksi") == "1"
    name = f"gardu-{seq}{'-saksi' if witnessed else ''}.tlog-proof"
    return _file(actions.receipt(_room(), gate.current_actor(), seq, _now(), witnessed=witnessed), name)


@blueprint.get("/audit/verifier")
@gate.roles(*_OFFICER)
def verifier() -> Response:
    """Hand out the one-file verifier."""
    return _file(_VERIFIER.read_text("utf-8"), "verify.py")


@blueprint.get("/audit/verify")
@gate.roles(*_OFFICER)
def verifications() -> str:
    """Show the verifications of the whole log, and begin another."""
    room, actor = _room(), gate.current_actor()
    jobs = checking.history(room)
    people = actions.people(room, {job.actor for job in jobs})
    rows = [progress.job_row(job, people[job.actor].name if job.actor in people else job.actor) for job in jobs]
    return render_template(
        "audit/verifications.html", rows=rows, vkey=room.guard.trail.vkey, log=room.identity.log, zone_office=actor.office
    )


@blueprint.post("/audit/verify")
@gate.roles(*_OFFICER)
def verify() -> Response:
    """Begin a verification of the whole log."""
    return redirect(f"/audit/verify/{checking.start(_room(), gate.current_actor(), request.form.get('store') == '1', _now())}", 303)


@blueprint.get("/audit/verify/<uid>")
@gate.roles(*_OFFICER)
def verification(uid: str) -> Response:
    """Show how far a verification is, or what it found."""
    room, still = _room(), request.args.get("diam") != "1"
    job = checking.find(room, uid)
    people = actions.people(room, [job.actor])
    page = render_template(
        "audit/verification.html", row=progress.job_row(job, people[job.actor].name if job.actor in people else job.actor), still=not still,
        findings=[(one.seq, _(one.message, **one.params)) for one in checking.findings(job)], zone_office=gate.current_actor().office,
    )  # fmt: skip
    answer = make_response(page)
    if still and not job.over:
        # As a header, not a script: the page works without one, and the reader can stop it.
        answer.headers["Refresh"] = f"2; url=/audit/verify/{uid}"
    return answer


@blueprint.post("/audit/verify/<uid>/again")
@gate.roles(*_OFFICER)
def verify_again(uid: str) -> Response:
    """Begin a verification anew that was cut off."""
    checking.again(_room(), uid)
    return redirect(f"/audit/verify/{uid}", 303)


@blueprint.get("/audit/activity")
@gate.roles(*_OFFICER)
def activity() -> str:
    """Show when and where the log was written, as pictures with their tables."""
    room, actor, now = _room(), gate.current_actor(), _now()
    days = int(request.args.get("days", "")) if request.args.get("days", "") in {str(one) for one in DAYS} else DAYS[0]
    start = views.first_moment(now, days, actor.office)
    found = actions.activity(room, actor, Filter(since=start, within=actor.region), now)
    return render_template(
        "audit/activity.html", heat=views.heat(found.hours, now, days, actor.office), days=days, choices=DAYS, zone_office=actor.office,
        actions=views.by_action(found.hours), offices=views.by_office(room, found.offices), since=asking.local_stamp(start, actor.office),
    )  # fmt: skip


@blueprint.get("/audit/matrix")
@gate.roles(*_OFFICER)
def matrix() -> str:
    """Show who may see what, asked of the policies in force."""
    room, now = _room(), _now()
    roles = [role for role, about in room.guard.policies.catalog.roles.items() if about.purposes and role is not Role.PROSES]
    chosen = next((role for role in roles if role.value == request.args.get("role")), roles[0])
    era = room.guard.policies.book.engine.era(now)
    if (chosen.value, era) not in room.matrices:
        room.matrices[chosen.value, era] = role_matrix(room.guard.policies.book.engine, room.guard.policies.catalog, chosen, now)
    words_now = views.labels(room)
    return render_template(
        "audit/matrix.html", roles=[(role.value, _(ROLE_LABELS[role])) for role in roles], role=chosen.value, role_label=_(ROLE_LABELS[chosen]),
        rows=views.matrix_rows(room, room.matrices[chosen.value, era]), policy=room.guard.policies.hash,
        elements=[words_now.elements[one] for one in ELEMENTS],
    )  # fmt: skip


def _room() -> Oversight:
    room: Oversight = current_app.extensions[EXTENSION]
    return room


def _now() -> datetime:
    return _room().identity.clock.now()


def _read(given: Mapping[str, str]) -> Asked:
    actor, room = gate.current_actor(), _room()
    asked = asking.read(given, _now(), actor.office, actor.region)
    # An address typed by hand may name somebody by username.
    known = actions.find_account(room, asked.wanted.actor)
    return actions.with_subject(room, replace(asked, wanted=replace(asked.wanted, actor=known)))


def _desk(given: Mapping[str, str], asked: Asked | None, wrong: BadInput | None) -> str:
    room, actor, now = _room(), gate.current_actor(), _now()
    before = _before()
    found = actions.read_trail(room, actor, asked, now, before=before) if asked else None
    people = actions.people(room, {one.members["actor"] for one in found.entries}) if found else {}
    places = room.identity.places
    catalog = views.labels(room)
    return render_template(
        "audit/index.html", given=given, error=_(wrong.public) if wrong else "", wrong=wrong.field if wrong else "",
        rows=views.rows(room, found.entries, people) if found else [], broken=found.broken if found else (), zone_office=actor.office,
        actor_name=_actor_name(given.get("actor", "")), narrowed=bool(asked and asked.narrowed), range_now=given.get("range", asking.FIRST),
        ranges=[(name, _(label)) for name, label in asking.RANGE_LABELS.items()], range_label=_(asking.RANGE_LABELS.get(given.get("range", ""), "")),
        actions=[(str(one), _(label)) for one, label in ACTIONS.items()], outcomes=[(str(one), _(label)) for one, label in OUTCOMES.items()],
        purposes=[(str(one), _(label)) for one, label in PURPOSES.items()],
        elements=[(one.value, catalog.elements[one]) for one in ELEMENTS], regions=views.regions(places, actor.region),
        region_name=places.name(actor.region) or actor.region, older_url=asking.address(given, before=found.older) if found and found.older else None,
        newest_url=asking.address(given) if before is not None else None, wider=_wider(given), plain_url="/audit",
        reached=found.reached if found else None, reached_seq=found.older if found and found.reached else None,
        query=asking.query_of(given) if asked else None, views=_view_rows(given), view_name=request.form.get("name", "")[: saved.NAME_MAX],
        view_max=saved.NAME_MAX, just_saved=request.args.get("notice") == "saved", most=exporting.MOST, at_once=exporting.AT_ONCE,
        exports=[progress.export_row(job, now) for job in exporting.at_hand(room, actor, now)],
    )  # fmt: skip


def _shelf(wrong: BadInput | None, about: str = "") -> str:
    room, actor = _room(), gate.current_actor()
    typed = request.form.get("name", "")[: saved.NAME_MAX] if wrong else ""
    return render_template(
        "audit/views.html", views=_view_rows({}), gone=saved.last_removed(room, actor), wrong=about if wrong else "",
        error=_(wrong.public) if wrong else "", typed=typed, view_max=saved.NAME_MAX, most=saved.MOST, zone_office=actor.office,
    )  # fmt: skip


def _view_rows(given: Mapping[str, str]) -> list[dict[str, object]]:
    here = asking.query_of(given) if given else None
    return [
        {"uid": one.uid, "name": one.name, "url": f"/audit/views/{one.uid}", "here": one.query == here, "at": one.made_at}
        for one in saved.views(_room(), gate.current_actor())
    ]


def _before() -> int | None:
    text = request.args.get("before", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _wider(given: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return longer periods to look in when nothing was found: (label, address)."""
    later = {"24h": ("7d", "30d", "all"), "7d": ("30d", "all"), "30d": ("all",), "custom": ("all",)}.get(given.get("range", ""), ())
    return [(_(asking.RANGE_LABELS[name]), asking.address(given, range=name, since=None, until=None)) for name in later]


def _actor_name(uid: str) -> str:
    """Return the username to show in the form for an account's uid; what is no account stays as it is."""
    return actions.username(_room(), uid) if uid else ""


def _sent(made: Made) -> Response:
    """Return a file as an answer that closes it; it has no name on disk, or one that says nothing."""
    name = f"gardu-jejak-{made.seq}.{made.form}"
    answer = send_file(made.file, mimetype=MIME[made.form], as_attachment=True, download_name=name, conditional=False, etag=False)
    answer.content_length = made.size
    return answer


def _file(text: str, name: str) -> Response:
    answer = make_response(text)
    answer.mimetype = "text/plain"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
