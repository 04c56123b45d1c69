"""Pages of the administrator's desk. No voter's data is read here; passwords appear once, in the answer to the form that made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from flask import Blueprint, Flask, redirect, render_template, request
from werkzeug.wrappers import Response

from app.admin import backup_routes, doors, health, key_routes, keyring, offices, resets, rules, shown, words
from app.admin.cards import cards as desk_cards
from app.admin.room import Admin
from app.identity import accounts, directory, gate
from app.identity import rules as identity_rules
from app.identity.directory import Sought, State
from app.identity.room import Card
from app.kernel.actor import Actor
from app.kernel.clock import rfc3339
from app.kernel.errors import N_, BadInput
from app.kernel.fields import Role, Unit
from app.web.i18n import gettext as _
from app.web.pages import ROLE_LABELS, Offered, Section

blueprint = Blueprint("admin", __name__)
_KEEPER = (Role.ADMIN_SISTEM,)
_WATCHERS = (Role.ADMIN_SISTEM, Role.PETUGAS_KEAMANAN)
_BODIES = ("kpu", "bawaslu")
_NOTICES: Mapping[str, str] = {
    "disabled": N_("Akun dinonaktifkan dan semua sesinya berakhir."),
    "sessions": N_("Semua sesi akun ini berakhir. Orangnya dapat masuk lagi."),
    "asked": N_("Permintaan atur ulang menunggu konfirmasi orang lain, paling lama 24 jam. Sampai saat itu tidak ada yang berubah."),
    "done": N_("Autentikator dilepas. Saat masuk berikutnya, orangnya memasang autentikator baru."),
    "refused": N_("Permintaan ditolak. Tidak ada yang berubah."),
    "withdrawn": N_("Permintaan ditarik kembali. Tidak ada yang berubah."),
    "keys": N_("Kunci wilayah dibuat dan tercatat di jejak audit."),
}


def install(app: Flask, room: Admin) -> None:
    """Give *app* these pages."""
    app.extensions[doors.EXTENSION] = room
    app.register_blueprint(blueprint)
    backup_routes.install(app, room)
    key_routes.install(app)


def nav(actor: Actor) -> Sequence[Offered]:
    """Return what the navigation offers this role."""
    if actor.role not in _WATCHERS:
        return ()
    accounts, changes = (_("Akun"), "/admin/accounts"), (_("Konfirmasi"), "/admin/confirmations")
    confirm = Section(*changes, (changes, (_("Penghapusan pemilih"), "/admin/erasures")))
    if actor.role is Role.PETUGAS_KEAMANAN:
        return (accounts, confirm)
    keys = "/admin/keys"
    return (
        Section(*accounts, (accounts, (_("Daftar kantor"), "/admin/offices"))),
        confirm,
        Section(
            _("Kunci dan cadangan"), keys, ((_("Kunci"), keys), (_("Rotasi kunci"), "/admin/rotations"), (_("Cadangan"), "/admin/backups"))
        ),
        (_("Kesehatan"), "/admin/health"),
    )


def cards(actor: Actor) -> Sequence[Card]:
    """Return what the home page offers this actor now."""
    return desk_cards(doors.room(), actor, doors.now()) if actor.role in _WATCHERS else ()


@blueprint.get("/admin/accounts")
@gate.roles(*_WATCHERS)
def people() -> str:
    """List accounts, narrowed by office, role and state."""
    return _people_page(_sought(request.args), request.args.get("after", ""))


@blueprint.post("/admin/accounts")
@gate.roles(*_WATCHERS)
def people_search() -> str:
    """List accounts whose name or username contains what was typed; a POST, because no address holds a name."""
    return _people_page(_sought(request.form, request.form.get("q", "")), request.form.get("after", ""))


@blueprint.get("/admin/accounts/new")
@gate.roles(*_KEEPER)
def invite_form() -> str:
    """Choose the office, then describe the person."""
    doors.demand_code(rules.FRESH)
    return _invite_page(_office_asked(), {}, None)


@blueprint.post("/admin/accounts/new")
@gate.roles(*_KEEPER)
def invite() -> str | tuple[str, int]:
    """Make the account and show its one-time password, once."""
    doors.demand_code()
    room, now, form = doors.room(), doors.now(), request.form
    office, held = form.get("office", ""), form.getlist("roles")
    try:
        offices.known_office(room, office)
        uid, password = accounts.create(
            room.identity, gate.current_actor(), username=form.get("username", ""), name=form.get("name", ""), office=office,
            unit=form.get("unit", ""), roles=held, now=now,
        )  # fmt: skip
    except BadInput as error:
        typed = {"username": form.get("username", ""), "name": form.get("name", ""), "unit": form.get("unit", ""), "roles": held}
        return _invite_page(office, typed, error), error.status
    return _slip(room, uid, password, now)


@blueprint.get("/admin/accounts/<uid>")
@gate.roles(*_WATCHERS)
def account(uid: str) -> str:
    """Show one account."""
    return _account_page(doors.parse_uid(uid), None)


@blueprint.post("/admin/accounts/<uid>/disable")
@gate.roles(*_KEEPER)
def disable(uid: str) -> Response | tuple[str, int]:
    """Disable an account for good."""
    doors.demand_code()
    try:
        accounts.disable(doors.room().identity, gate.current_actor(), doors.parse_uid(uid), doors.now(), request.form.get("reason", ""))
    except BadInput as error:
        return _account_page(uid, error, "disable"), error.status
    return _back(f"/admin/accounts/{uid}", "disabled")


@blueprint.post("/admin/accounts/<uid>/sessions")
@gate.roles(*_KEEPER)
def end_sessions(uid: str) -> Response:
    """End all sessions of an account."""
    doors.demand_code()
    accounts.end_sessions(doors.room().identity, gate.current_actor(), doors.parse_uid(uid), doors.now())
    return _back(f"/admin/accounts/{uid}", "sessions")


@blueprint.post("/admin/accounts/<uid>/invite")
@gate.roles(*_KEEPER)
def invite_again(uid: str) -> str:
    """Give an account that was never used a new one-time password and show it, once."""
    doors.demand_code()
    room, now, seen = doors.room(), doors.now(), request.form.get("seen", "")
    present = directory.one(room.identity, doors.parse_uid(uid), now).invited_until
    # A form that was sent before names an older end and meets the Conflict of the action.
    until = present if seen == _stamp(present) else None
    return _slip(room, uid, accounts.invite_again(room.identity, gate.current_actor(), uid, until, now), now)


@blueprint.post("/admin/accounts/<uid>/reset")
@gate.roles(*_KEEPER)
def ask_reset(uid: str) -> Response | tuple[str, int]:
    """Ask for the account's factor to be reset; somebody else confirms."""
    doors.demand_code()
    try:
        resets.ask(doors.room(), gate.current_actor(), doors.parse_uid(uid), request.form.get("reason", ""), doors.now())
    except BadInput as error:
        return _account_page(uid, error, "reset"), error.status
    return _back(f"/admin/accounts/{uid}", "asked")


@blueprint.get("/admin/confirmations")
@gate.roles(*_WATCHERS)
def confirmations() -> str:
    """Show the resets that wait for a second person, and those decided last."""
    room, actor, now = doors.room(), gate.current_actor(), doors.now()
    places = room.identity.places
    return render_template(
        "admin/confirmations.html",
        waiting=[shown.request(one, places) for one in resets.waiting(room, actor, now)],
        decided=[shown.request(one, places) for one in resets.decided(room, actor, now)],
        notice=_notice(), fresh=doors.is_fresh(), zone_office=actor.office, may_ask=actor.role is Role.ADMIN_SISTEM,
    )  # fmt: skip


@blueprint.post("/admin/confirmations/<uid>")
@gate.roles(*_WATCHERS)
def decide(uid: str) -> Response:
    """Confirm, refuse or withdraw a reset."""
    doors.demand_code()
    decision = rules.parse_decision(request.form.get("decision", ""))
    return _back("/admin/confirmations", resets.decide(doors.room(), gate.current_actor(), doors.parse_uid(uid), decision, doors.now()))


@blueprint.get("/admin/offices")
@gate.roles(*_KEEPER)
def office_list() -> str:
    """Show the offices that have accounts, and what they lack."""
    room, now = doors.room(), doors.now()
    found = [shown.office_line(one, room.identity.places) for one in offices.offices(room, now)]
    return render_template("admin/offices.html", offices=found, lacking=[one for one in found if one["lacking"]])


@blueprint.get("/admin/keys")
@gate.roles(*_KEEPER)
def key_list() -> str:
    """Show the keys and their age."""
    room = doors.room()
    after = request.args.get("after", "")
    found, following = keyring.keys(room, doors.now(), after=after if after.replace(".", "").isascii() and after.isprintable() else "")
    return render_template(
        "admin/keys.html", keys=[shown.key(one, room.identity.places) for one in found], provider=keyring.provider(room), old_days=rules.OLD_KEY.days,
        log=keyring.log_key(room), next_url=f"/admin/keys?after={following}" if following else None, notice=_notice(), first=not after,
    )  # fmt: skip


@blueprint.get("/admin/keys/new")
@gate.roles(*_KEEPER)
def key_form() -> str:
    """Choose a kab/kota without keys, then confirm."""
    doors.demand_code(rules.FRESH)
    room, region = doors.room(), request.args.get("region", "")
    return _key_page(keyring.parse_kab(room, region) if region else "", None)


@blueprint.post("/admin/keys")
@gate.roles(*_KEEPER)
def make_keys() -> Response | tuple[str, int]:
    """Make the keys of a kab/kota."""
    doors.demand_code()
    room = doors.room()
    kab = keyring.parse_kab(room, request.form.get("region", ""))
    try:
        keyring.make(room, gate.current_actor(), kab, rules.parse_rows(request.form.get("rows", "")), doors.now())
    except BadInput as error:
        return _key_page(kab, error), error.status
    return _back("/admin/keys", "keys")


@blueprint.get("/admin/health")
@gate.roles(*_KEEPER)
def health_page() -> str:
    """Show what is well and what is not."""
    found = health.lines(doors.room(), doors.now())
    return render_template(
        "admin/health.html", lines=[shown.health_line(one) for one in found], bad=sum(one.state == health.BAD for one in found),
        look=sum(one.state == health.LOOK for one in found), data=doors.room().settings.data.name, demo_here=doors.room().settings.demo,
        zone_office=gate.current_actor().office,
    )  # fmt: skip


def _back(path: str, notice: str) -> Response:
    return redirect(f"{path}?notice={notice}", 303)


def _notice() -> str:
    found = _NOTICES.get(request.args.get("notice", ""))
    return _(found) if found else ""


def _stamp(moment: datetime | None) -> str:
    return rfc3339(moment) if moment else ""


def _sought(given: Mapping[str, str], text: str = "") -> Sought:
    """Return what a list is narrowed to; a filter nobody offers counts as none."""
    office, role, state = given.get("office", ""), given.get("role", ""), given.get("state", "")
    return Sought(
        office=office if office in directory.offices(doors.room().identity) else "",
        role=Role(role) if role in ROLE_LABELS else None,
        state=State(state) if state in words.STATES else None,
        text="".join(one for one in text if one.isprintable()).strip(),
    )


def _people_page(sought: Sought, after: str) -> str:
    room, actor, now = doors.room(), gate.current_actor(), doors.now()
    places = room.identity.places
    found, following = directory.people(room.identity, sought, now, after=after if after.isalnum() else "")
    return render_template(
        "admin/accounts.html", rows=[shown.person(one, places) for one in found], sought=sought, following=following, later=bool(after),
        next_url=shown.list_address(sought, after=following), first_url=shown.list_address(sought),
        offices=[(code, shown.office(code, places)) for code in directory.offices(room.identity)],
        roles=[(role.value, _(ROLE_LABELS[role])) for role in Role if role is not Role.PROSES],
        states=[(state, _(word)) for state, word in words.STATES.items()],
        may_change=actor.role is Role.ADMIN_SISTEM, zone_office=actor.office,
    )  # fmt: skip


def _office_asked() -> str:
    """Return the office chosen in the address, or nothing while it is not chosen. Raises BadInput for one that cannot be."""
    body, region = request.args.get("body", ""), request.args.get("region", "")
    if not body and not region:
        return ""
    if body not in _BODIES:
        raise BadInput("unknown body", field="body", public=N_("Pilih KPU atau Bawaslu."))
    return offices.known_office(doors.room(), f"{body}-{region}")


def _invite_page(office: str, typed: Mapping[str, object], error: BadInput | None) -> str:
    places = doors.room().identity.places
    try:
        known = offices.known_office(doors.room(), office) if office else ""
    except BadInput:
        known = ""
    return render_template(
        "admin/invite.html", seat=known, seat_name=shown.office(known, places) if known else "", typed=typed,
        regions=[] if known else shown.regions(places), wrong=error.field if error else "", error=_(error.public) if error else "",
        roles=[(role.value, _(ROLE_LABELS[role])) for role in identity_rules.fitting_roles(known)] if known else [],
        units=[(unit.value, _(words.UNITS[unit])) for unit in Unit], hours=int(identity_rules.INVITE.total_seconds()) // 3600,
    )  # fmt: skip


def _slip(room: Admin, uid: str, password: str, now: datetime) -> str:
    found = directory.one(room.identity, uid, now)
    return render_template(
        "admin/slip.html", who=shown.person(found.row, room.identity.places), password=password, until=found.invited_until,
        site=room.settings.public_origin, zone_office=found.row.office,
    )  # fmt: skip


def _account_page(uid: str, error: BadInput | None, form: str = "") -> str:
    room, actor, now = doors.room(), gate.current_actor(), doors.now()
    found = directory.one(room.identity, uid, now)
    open_reset = resets.open_for(room, uid, actor, now)
    return render_template(
        "admin/account.html", who=shown.person(found.row, room.identity.places), found=found, state=found.row.state.value, own=uid == actor.uid,
        may_change=actor.role is Role.ADMIN_SISTEM, fresh=doors.is_fresh(rules.FRESH + rules.TYPING if error else rules.FRESH), notice=_notice(),
        error=_(error.public) if error else "", wrong=form, reason=request.form.get("reason", ""), seen=_stamp(found.invited_until),
        waiting=shown.request(open_reset, room.identity.places) if open_reset else None, zone_office=actor.office,
    )  # fmt: skip


def _key_page(kab: str, error: BadInput | None) -> str:
    room = doors.room()
    places, without = room.identity.places, keyring.without_keys(room)
    return render_template(
        "admin/key_new.html", kab=kab, name=places.name(kab) if kab else "", has=bool(kab) and kab not in without,
        groups=[] if kab else shown.by_province(without, places), rows=request.form.get("rows", ""), error=_(error.public) if error else "",
    )  # fmt: skip
