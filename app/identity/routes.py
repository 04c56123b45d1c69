"""The pages of signing in, of one's own account and of one's own activity, and the home page."""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import urlencode

import segno
from flask import Blueprint, Flask, Response, g, make_response, redirect, render_template, request

from app.audit.canonical import MAX_INT
from app.audit.entry import moment
from app.audit.query import StoredEntry
from app.identity import accounts, actions, activity, gate, labels, passwords, totp
from app.identity.gate import half, public
from app.identity.room import Identity
from app.identity.sessions import Opened, Person
from app.identity.totp import WrongCode
from app.kernel.errors import N_, BadInput, NotAllowed
from app.kernel.fields import Role
from app.web import csrf, i18n
from app.web.i18n import gettext as _
from app.web.pages import safe_next

pages = Blueprint("identity", __name__)
# OWASP ASVS 5.0 14.3.1: what the browser still holds of a session goes when it ends.
CLEAR_SITE_DATA = '"cache", "cookies", "storage"'
_NOTICES = {"logout": N_("Anda sudah keluar. Tutup jendela ini bila komputer dipakai bersama.")}
_TYPED_NAME = 64  # what of a typed username is shown again


def install(app: Flask, identity: Identity) -> None:
    """Give *app* these pages, and put before every page the gate and, behind it, the check of forms, which needs what the gate found.

    ``app.web.pages.install`` must have run before.
    """
    app.extensions[gate.EXTENSION] = identity
    app.before_request(gate.admit)
    app.before_request(csrf.check)
    app.register_blueprint(pages)


@pages.get("/")
def home() -> str:
    """Show what waits for this person, what they can do today, and where to begin while nothing waits."""
    offered = gate.identity().cards(gate.current_actor())
    waiting = [card for card in offered if card.waits]
    cards = [card for card in offered if not (card.waits or card.first_step)]
    steps = [card for card in offered if card.first_step and not waiting]
    # Two rooms may begin at one page. The later one is the guide's, whose steps stand in their order.
    first_steps = [card for place, card in enumerate(steps) if not card.url or card.url not in {one.url for one in steps[place + 1 :]}]
    return render_template("home.html", waiting=waiting, cards=cards, first_steps=first_steps)


@pages.get("/login")
@public
def login() -> str | Response:
    """Ask for name and password."""
    if g.person:
        return _go("/")
    notice = _NOTICES.get(request.args.get("notice", ""))
    return render_template("login.html", error=None, notice=notice and _(notice), next=_next(), username="")


@pages.post("/login")
@public
def login_check() -> tuple[str, int] | Response:
    """Check name and password; on to the second step."""
    if g.person:
        return _go("/")
    username = request.form.get("username", "")
    try:
        opened = actions.begin_login(
            gate.identity(), gate.visitor(), username, request.form.get("password", ""), _now(), instead=g.half
        )  # fmt: skip
    except BadInput as error:
        page = render_template("login.html", error=_(error.public), notice=None, next=_next(), username=username[:_TYPED_NAME])
        return page, error.status
    return _with_session(_go(f"/login/totp?{urlencode({'next': _next()}, safe='/')}"), opened)


@pages.get("/login/totp")
@half
def totp_form() -> str | Response:
    """Ask for the code that completes a login."""
    person = gate.current_person()
    if person.full or not person.enrolled:
        return _go("/" if person.full else "/enrol")
    return _code_page("totp.html", None)


@pages.post("/login/totp")
@half
def totp_check() -> tuple[str, int] | Response:
    """Check the code; the login is complete."""
    person = gate.current_person()
    if person.full:
        return _go("/")
    try:
        opened = actions.finish_login(gate.identity(), person, gate.visitor(), _code(), _now())
    except BadInput as error:
        return _code_page("totp.html", error), error.status
    return _signed_in(_with_session(_go(_next()), opened), person)


@pages.get("/enrol")
@half
def enrol() -> str | Response:
    """Show the secret of a new authenticator."""
    person = gate.current_person()
    if person.full or person.enrolled:
        return _go("/" if person.full else "/login/totp")
    return _enrol_page(person, None)


@pages.post("/enrol")
@half
def enrol_check() -> tuple[str, int] | Response:
    """Check the new authenticator's first code; it is the account's, and the login is complete."""
    person = gate.current_person()
    if person.full or person.enrolled:
        return _go("/" if person.full else "/login/totp")
    try:
        opened = actions.confirm_enrolment(gate.identity(), person, gate.visitor(), _code(), _now())
    except BadInput as error:
        return _enrol_page(person, error), error.status
    return _signed_in(_with_session(_go("/"), opened), person)


@pages.post("/logout")
@half
def logout() -> Response:
    """End the session and have the browser forget it."""
    actions.log_out(gate.identity(), gate.current_person(), gate.visitor(), _now())
    secure = gate.identity().secure_cookies
    response = _go("/login?notice=logout")
    response.delete_cookie(gate.cookie_name(secure), path="/", secure=secure, httponly=True, samesite="Lax")
    response.headers["Clear-Site-Data"] = CLEAR_SITE_DATA
    return response


@pages.get("/step-up")
def step_up() -> str:
    """Ask for a fresh code for the session's task."""
    return _code_page("step_up.html", None, purpose_label=_task())


@pages.post("/step-up")
def step_up_check() -> tuple[str, int] | Response:
    """Check the code and go back to where it was needed."""
    try:
        opened = actions.step_up(gate.identity(), gate.current_person(), gate.visitor(), _code(), _now())
    except BadInput as error:
        return _code_page("step_up.html", error, purpose_label=_task()), error.status
    return _with_session(_go(_next()), opened)


@pages.get("/me/password")
def password() -> str:
    """Ask for the new password."""
    return _password_page(None)


@pages.post("/me/password")
def password_check() -> tuple[str, int] | Response:
    """Change the password."""
    given = [request.form.get(name, "") for name in ("current", "new", "again")]
    try:
        opened = actions.change_password(gate.identity(), gate.current_person(), gate.visitor(), given[0], given[1], given[2], _now())
    except BadInput as error:
        return _password_page(error), error.status
    return _with_session(_go("/"), opened)


@pages.post("/me/role")
def role() -> Response:
    """Continue in another role of the same person."""
    try:
        wanted = Role(request.form.get("role", ""))
    except ValueError:
        raise NotAllowed("no such role") from None
    opened = actions.switch_role(gate.identity(), gate.current_person(), gate.visitor(), wanted, _now())
    return _with_session(_go("/"), opened)


@pages.post("/lang")
@public
def language() -> Response:
    """Change the language of the pages, for this browser and, when signed in, for the account."""
    chosen = request.form.get("lang") or request.form.get("language", "")
    if i18n.known(chosen) is None:
        raise BadInput("unknown language", field="lang", public=accounts.UNKNOWN_LANGUAGE)
    if person := g.person or g.half:
        accounts.set_language(gate.identity(), person.uid, chosen)
    response = _go(_next())
    i18n.remember(response, chosen, secure=gate.identity().secure_cookies)
    return response


@pages.get("/me/activity")
def my_activity() -> str:
    """Show what the log says about the person."""
    person, actor = gate.current_person(), gate.current_actor()
    before, limit = _number("before"), _number("limit")
    found, following = activity.own_entries(gate.identity(), actor, _now(), before=before, limit=activity.PAGE if limit is None else limit)
    covered = activity.published_size(gate.identity())
    rows = [_activity_row(one, covered) for one in found]
    return render_template("activity.html", rows=rows, next_before=following, zone_office=person.office)


@pages.get(f"/me/activity/<int(max={MAX_INT}):seq>/receipt")
def my_receipt(seq: int) -> Response:
    """Hand out the proof of one of the person's own entries as a file, with the witnesses' signatures when asked."""
    proof = activity.own_receipt(gate.identity(), gate.current_actor(), seq, _now(), witnessed=request.args.get("saksi") == "1")
    response = make_response(proof)
    response.mimetype = "text/plain"
    response.headers["Content-Disposition"] = f'attachment; filename="gardu-{seq}.tlog-proof"'
    return response


def _go(path: str) -> Response:
    # 303: whatever came, what follows is a GET; a form is never sent a second time.
    return make_response(redirect(path, 303))


def _now() -> datetime:
    return gate.identity().clock.now()


def _next() -> str:
    return safe_next(request.form.get("next") or request.args.get("next"))


def _code() -> str:
    return request.form.get("code", "")


def _task() -> str:
    purpose = gate.current_person().purpose
    return _(labels.PURPOSES[purpose]) if purpose else ""


def _code_page(template: str, error: BadInput | None, **values: str) -> str:
    return render_template(
        template, error=error and _sentence(error), clock_hint=_is_clock(error), server_time=_now(), next=_next(), **values
    )


def _enrol_page(person: Person, error: BadInput | None) -> str:
    secret = actions.pending_secret(gate.identity(), person)
    qr = segno.make_qr(totp.uri(secret, person.username, gate.identity().issuer), error="m")
    # White under the modules: many cameras read no inverted code, and the page may be dark.
    picture = qr.svg_data_uri(scale=6, border=4, light="#fff", omitsize=True)
    groups = [secret[start : start + 4] for start in range(0, len(secret), 4)]
    hint = _is_clock(error)
    return render_template(
        "enrol.html", qr=picture, secret_groups=groups, error=error and _sentence(error), clock_hint=hint, server_time=_now()
    )


def _password_page(error: BadInput | None) -> str:
    forced = gate.current_person().must_change
    return render_template("password.html", forced=forced, error=error and _(error.public), min_length=passwords.MIN_LENGTH)


def _number(name: str) -> int | None:
    given = request.args.get(name)
    if given is None:
        return None
    if not re.fullmatch(r"[0-9]{1,15}", given, re.ASCII):
        raise BadInput(f"{name} is not a whole number", field=name)
    return int(given)


def _activity_row(stored: StoredEntry, covered: int) -> dict[str, object]:
    members, purposes = stored.members, labels.PURPOSES
    scope, subjects = members["scope"], members["subjects"]
    action, outcome = labels.ACTIONS[members["action"]], labels.OUTCOMES[members["outcome"]]
    purpose_label = purposes[members["purpose"]] if members["purpose"] else None
    return {
        "seq": stored.seq,
        "at": moment(members["at"]),
        "action_label": _(action),
        "outcome": members["outcome"],
        "outcome_label": _(outcome),
        "purpose_label": _(purpose_label) if purpose_label else None,
        "scope_name": (gate.identity().places.name(scope) or scope) if scope else None,
        "count": subjects["count"] if subjects else None,
        "receipt_url": f"/me/activity/{stored.seq}/receipt",
        "witnessed_url": f"/me/activity/{stored.seq}/receipt?saksi=1" if stored.seq < covered else None,
    }


def _is_clock(error: BadInput | None) -> bool:
    return isinstance(error, WrongCode) and error.skew is not None


def _sentence(error: BadInput) -> str:
    """Return what is wrong with a code, and by how much the phone's clock seems off when that is why."""
    if not isinstance(error, WrongCode) or error.skew is None:
        return _(error.public)
    if error.skew > 0:
        return _("Kode salah: jam ponsel Anda tampaknya lebih cepat sekitar %(minutes)s menit.", minutes=error.skew)
    return _("Kode salah: jam ponsel Anda tampaknya terlambat sekitar %(minutes)s menit.", minutes=-error.skew)


def _with_session(response: Response, opened: Opened) -> Response:
    # No Max-Age: the browser forgets it when it closes. Lax, so that a link into Gardu from a letter still finds the session.
    secure = gate.identity().secure_cookies
    response.set_cookie(gate.cookie_name(secure), opened.secret, secure=secure, httponly=True, samesite="Lax", path="/")
    return response


def _signed_in(response: Response, person: Person) -> Response:
    # The account's language goes with the browser, so that the login page speaks it next time.
    i18n.remember(response, person.language, secure=gate.identity().secure_cookies)
    return response
