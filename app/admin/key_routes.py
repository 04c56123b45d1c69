"""Pages of rotations and of erasures. Nothing of a voter is shown but the public id that somebody typed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from flask import Blueprint, Flask, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from app.admin import doors, rules, shown, words
from app.admin.keyring import parse_kab, with_keys
from app.custody import rotation, voter_erasure
from app.custody.room import Custody
from app.custody.rotation import Standing, State
from app.custody.turning import Kind
from app.custody.voter_erasure import Decision, Shown
from app.identity import gate
from app.kernel.errors import N_, BadInput
from app.kernel.fields import Role
from app.kernel.regions import NATION
from app.vault.records import RecordSeal
from app.web.i18n import gettext as _

blueprint = Blueprint("rotations", __name__)
_KEEPER = (Role.ADMIN_SISTEM,)
_WATCHERS = (Role.ADMIN_SISTEM, Role.PETUGAS_KEAMANAN)
# A rotation at work moves every few seconds; one that is silent for so long has nobody who walks it.
_SILENT = timedelta(minutes=2)
_NOTICES: Mapping[str, str] = {
    "asked": N_("Permintaan penghapusan menunggu keputusan orang lain, paling lama 24 jam. Sampai saat itu tidak ada yang dihapus."),
    "pending": N_("Data pemilih itu sudah tidak ada bagi siapa pun. Penghapusan tuntas setelah kunci lamanya dimusnahkan."),
    "refused": N_("Permintaan ditolak. Tidak ada yang dihapus."),
    "withdrawn": N_("Permintaan ditarik kembali. Tidak ada yang dihapus."),
}


def install(app: Flask) -> None:
    """Give *app* these pages."""
    app.register_blueprint(blueprint)


# ---- rotations ----


@blueprint.get("/admin/rotations")
@gate.roles(*_KEEPER)
def rotations() -> str:
    """Show the rotations that are open, and the last ones that are over."""
    found = [_line(one) for one in rotation.listed(_custody())]
    return render_template(
        "admin/rotations.html", open=[one for one in found if not one["over"]], over=[one for one in found if one["over"]],
        zone_office=gate.current_actor().office,
    )  # fmt: skip


@blueprint.get("/admin/keys/rotate")
@gate.roles(*_KEEPER)
def rotation_form() -> str:
    """Choose what to rotate and where, then confirm."""
    doors.demand_code(rules.FRESH)
    kind = _kind(request.args.get("kind", ""))
    region = request.args.get("region", "") if kind is not None else ""
    kab = NATION if kind is Kind.NIK else parse_kab(doors.room(), region) if region else ""
    return _form_page(kind, kab, None)


@blueprint.post("/admin/rotations")
@gate.roles(*_KEEPER)
def begin() -> Response | tuple[str, int]:
    """Begin a rotation."""
    doors.demand_code()
    kind = _kind(request.form.get("kind", ""))
    if kind is None:
        raise BadInput("unknown kind", field="kind")
    scope = NATION if kind is Kind.NIK else parse_kab(doors.room(), request.form.get("region", ""))
    try:
        uid = rotation.begin(_custody(), gate.current_actor(), kind, scope, rules.parse_rate(request.form.get("rate", "")), doors.now())
    except BadInput as error:
        return _form_page(kind, scope, error), error.status
    return redirect(f"/admin/rotations/{uid}", 303)


@blueprint.get("/admin/rotations/<uid>")
@gate.roles(*_KEEPER)
def show(uid: str) -> Response:
    """Show how far a rotation is."""
    found, still = rotation.standing(_custody(), doors.parse_uid(uid)), request.args.get("diam") == "1"
    page = render_template(
        "admin/rotation.html", row=_line(found), still=still, fresh=doors.is_fresh(), zone_office=gate.current_actor().office
    )
    answer = make_response(page)
    if found.state is State.RUNNING and not still:
        # As a header, not a script: the page works without one, and the reader can stop it.
        answer.headers["Refresh"] = f"3; url=/admin/rotations/{uid}"
    return answer


@blueprint.post("/admin/rotations/<uid>")
@gate.roles(*_KEEPER)
def hold(uid: str) -> Response:
    """Hold a rotation, or let it go on."""
    doors.demand_code()
    acts = {"pause": rotation.pause, "resume": rotation.resume}
    act = acts.get(request.form.get("act", ""))
    if act is None:
        raise BadInput("unknown act", field="act")
    act(_custody(), gate.current_actor(), doors.parse_uid(uid), doors.now())
    return redirect(f"/admin/rotations/{uid}", 303)


# ---- erasures ----


@blueprint.get("/admin/erasures")
@gate.roles(*_WATCHERS)
def erasures() -> str:
    """Show the erasures that wait, those that are pending, and the last others."""
    return _erasures_page({}, None)


@blueprint.post("/admin/erasures")
@gate.roles(*_WATCHERS)
def ask() -> Response | tuple[str, int]:
    """Ask for a voter to be erased; somebody else decides."""
    doors.demand_code()
    typed = {name: request.form.get(name, "") for name in ("voter", "reason")}
    try:
        voter_erasure.ask(_custody(), gate.current_actor(), typed["voter"], typed["reason"], doors.now())
    except BadInput as error:
        return _erasures_page(typed, error), error.status
    return redirect("/admin/erasures?notice=asked", 303)


@blueprint.post("/admin/erasures/<uid>")
@gate.roles(*_WATCHERS)
def decide(uid: str) -> Response:
    """Confirm, refuse or withdraw an erasure."""
    doors.demand_code()
    decision = Decision(rules.parse_decision(request.form.get("decision", "")).value)
    state = voter_erasure.decide(_custody(), gate.current_actor(), doors.parse_uid(uid), decision, doors.now())
    return redirect(f"/admin/erasures?notice={state}", 303)


# ---- pieces ----


def _erasures_page(typed: Mapping[str, str], error: BadInput | None) -> str:
    room, actor = doors.room(), gate.current_actor()
    found = [_erasure(one) for one in voter_erasure.listed(_custody(), actor, doors.now())]
    notice = _NOTICES.get(request.args.get("notice", ""))
    return render_template(
        "admin/erasures.html", waiting=[one for one in found if one["state"] == "waiting"], pending=[one for one in found if one["state"] == "pending"],
        over=[one for one in found if one["state"] not in {"waiting", "pending"}], typed=typed, error=error, fresh=doors.is_fresh(),
        notice=_(notice) if notice and request.method == "GET" else "", zone_office=actor.office, may_rotate=actor.role is Role.ADMIN_SISTEM,
        demo=room.settings.demo,
    )  # fmt: skip


def _erasure(one: Shown) -> dict[str, object]:
    return {
        "uid": one.uid, "voter": one.voter, "kab": one.kab, "place": doors.room().identity.places.name(one.kab) or one.kab, "reason": one.reason,
        "asker": one.asker, "asked_at": one.asked_at, "until": one.asked_at + voter_erasure.WINDOW, "state": one.state, "stage": one.stage,
        "decider": one.decider, "decided_at": one.decided_at, "done_at": one.done_at, "mine": one.mine, "young": one.young, "sound": one.sound,
        "mark": shown.Mark(words.ERASURE_ICONS[one.state], _(words.ERASURES[one.state])),
    }  # fmt: skip


def _form_page(kind: Kind | None, scope: str, error: BadInput | None) -> str:
    places = doors.room().identity.places
    kinds = [(one.value, _(words.ROTATIONS[one.value]), _(words.ROTATION_HINTS[one.value])) for one in Kind]
    groups = shown.by_province(with_keys(doors.room()), places) if kind is not None and not scope else []
    return render_template(
        "admin/rotation_new.html", kinds=kinds, kind=kind.value if kind else "", name=_(words.ROTATIONS[kind.value]) if kind else "",
        what=_(words.ROTATION_HINTS[kind.value]) if kind else "", scope=scope, place=_place(scope), groups=groups,
        rate=request.form.get("rate", ""), error=_(error.public) if error else "",
    )  # fmt: skip


def _line(one: Standing) -> dict[str, object]:
    return {
        "uid": one.uid, "url": f"/admin/rotations/{one.uid}", "name": _(words.ROTATIONS[one.kind.value]), "scope": one.scope,
        "place": _place(one.scope), "state": one.state.value, "mark": shown.Mark(words.ROTATION_ICONS[one.state.value], _(words.ROTATION_STATES[one.state.value])),
        "share": one.share, "done": one.done, "total": one.total, "left": max(0, one.total - one.done), "broken": one.broken, "trouble": one.trouble,
        "rate": one.rate, "started_at": one.started_at, "moved_at": one.moved_at, "finished_at": one.finished_at, "sound": one.sound,
        "over": one.state is State.DONE, "silent": one.state is State.RUNNING and doors.now() - one.moved_at > _SILENT,
    }  # fmt: skip


def _place(scope: str) -> str:
    return _("Indonesia") if scope == NATION else doors.room().identity.places.name(scope) or scope


def _kind(text: str) -> Kind | None:
    return Kind(text) if text in list(Kind) else None


def _custody() -> Custody:
    room = doors.room()
    return Custody(room.guard, room.identity, RecordSeal(room.guard.keys))
