"""Pages of the log in the open: its state and a check of one's own file for anybody; witnesses and mirrors' tokens for those who keep them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from hashlib import sha256

from flask import Blueprint, Response, current_app, redirect, render_template, request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response as BaseResponse

from app.audit.canonical import MAX_INT
from app.identity import gate
from app.identity.room import Card
from app.kernel.actor import Actor
from app.kernel.errors import N_, BadInput, Conflict, NotThere, StepUpNeeded
from app.kernel.fields import Role
from app.mandates.people import Official, officials
from app.openlog import cards as desk_cards
from app.openlog import checking, files, proposals, rules, tokens, views, witnesses
from app.openlog.proposals import Asked
from app.openlog.room import EXTENSION, OpenLog
from app.openlog.state import state
from app.openlog.witnesses import WAITING, Standing, standing
from app.verifier import Report
from app.web.i18n import gettext as _
from app.web.i18n import language, ngettext

blueprint = Blueprint("openlog_pages", __name__)
_KEEPERS = (Role.ADMIN_SISTEM, Role.PETUGAS_KEAMANAN)
_MIRRORS = (Role.PETUGAS_KEAMANAN,)
_VERSION = f"<int(max={MAX_INT}):version>"
# More of a body that is too large is not even thrown away: whoever sends that much does not read the answer.
_DRAINED, _CHUNK = 1024 * 1024, 64 * 1024
_NOTICES: Mapping[str, str] = {
    "proposed": N_("Usulan tercatat dan menunggu orang kedua. Sampai disetujui tidak ada yang berubah."),
    "approved": N_("Daftar disetujui. Di bawah tertulis sejak kapan berlaku."),
    "refused": N_("Usulan ditutup. Tidak ada yang berubah."),
    "ended": N_("Token diakhiri. Mulai sekarang ia tidak membuka apa pun."),
}


def nav(actor: Actor) -> Sequence[tuple[str, str]]:
    """Return what the navigation offers this role: (label, address)."""
    return [(_("Saksi"), "/witnesses")] if actor.role in _MIRRORS else ()


def cards(actor: Actor) -> Sequence[Card]:
    """Return what the home page offers this actor now."""
    return desk_cards.cards(_room(), actor, _room().now())


# ---- for anybody ----


@blueprint.get("/log")
@gate.public
def public_log() -> str:
    """Show how the log stands: its size, its witnesses, what is to change, what stopped it."""
    room, now = _room(), _room().now()
    found = state(room, now)
    stand = found.stand
    return render_template(
        "log/public.html", log=room.log, now_size=found.published.size if found.published else 0, found=found, stand=stand,
        fresh=stand.is_fresh(now) if stand else False, witnesses=views.witness_lines(stand, now) if stand else [],
        quorum=views.quorum_words(stand.policy) if stand else "", pending=views.takes_away(stand) if stand else [],
        origin=room.identity.public_origin, verifier_sha256=sha256(files.verifier_source()).hexdigest(), keys=files.keys(room).split(),
    )  # fmt: skip


@blueprint.get("/log/verifier")
@gate.public
def verifier() -> Response:
    """Hand out the one-file verifier."""
    answer = Response(files.verifier_source(), content_type="text/plain; charset=utf-8")
    answer.headers["Content-Disposition"] = 'attachment; filename="verify.py"'
    return answer


@blueprint.get("/log/verify")
@gate.public
def verify_form() -> str:
    """Ask for a receipt or a checkpoint."""
    return _verify_page()


@blueprint.post("/log/verify")
@gate.public
def verify() -> str | tuple[str, int]:
    """Check what was pasted or sent as a file, and show every step."""
    room, now = _room(), _room().now()
    given, typed = request.form.get("text", ""), request.form.get("key", "")
    sent = request.files.get("file")
    try:
        text = checking.parse_paste((sent.read() if sent else b"") or given.encode("utf-8", "replace"))
        own = checking.parse_keys(typed)
    except BadInput as wrong:
        return _verify_page(given, typed, wrong), wrong.status
    policy = None if own else files.policy(room, now)
    report = checking.check(text, own or files.keys(room), policy, now, english=language() == "en")
    return _verify_page(text, typed, report=report)


@blueprint.errorhandler(RequestEntityTooLarge)
def too_large(error: RequestEntityTooLarge) -> tuple[str, int] | RequestEntityTooLarge:
    """Say what to do with a file over the limit, after the browser has had its say: cut off midway it would show an error of its own."""
    if request.endpoint != "openlog_pages.verify":
        return error
    rest = min(request.content_length or 0, _DRAINED)
    while rest > 0 and (chunk := request.environ["wsgi.input"].read(min(_CHUNK, rest))):
        rest -= len(chunk)
    return _verify_page(wrong=BadInput("too large", field="text", public=checking.LONG)), 413


# ---- for those who keep the list of witnesses ----


@blueprint.get("/witnesses")
@gate.roles(*_KEEPERS)
def witness_list() -> str:
    """Show the list in force, what waits, and every list there ever was."""
    room, actor, now = _room(), gate.current_actor(), _room().now()
    stand, found = standing(room.books, now), witnesses.lists(room.books)
    people = _people({one for row in found for one in (row.asked_by, row.decided_by) if one})
    waiting = next((one for one in found if one.state == WAITING), None)
    return render_template(
        "log/witnesses.html", stand=stand, witnesses=views.witness_lines(stand, now), quorum=views.quorum_words(stand.policy), notice=_notice(),
        rows=views.list_rows(found, stand, people, room.identity.places), pending=views.takes_away(stand), waiting=waiting,
        change=views.change_line(stand, waiting) if waiting else None, own=waiting is not None and waiting.asked_by == actor.uid,
        asker=views.who(people, waiting.asked_by, room.identity.places) if waiting else "", fresh_code=_has_code(), zone_office=actor.office,
        keeps_mirrors=actor.role in _MIRRORS, fresh=stand.is_fresh(now),
    )  # fmt: skip


@blueprint.get("/witnesses/new")
@gate.roles(*_KEEPERS)
def propose_form() -> str:
    """Ask what the list should be."""
    _demand_code(rules.CODE)
    return _propose_page(Asked(way=request.args.get("way", "")), None)


@blueprint.post("/witnesses/new")
@gate.roles(*_KEEPERS)
def preview() -> str | tuple[str, int]:
    """Show what a proposed list would change, before it is proposed."""
    _demand_code()
    form = request.form
    asked = Asked(
        form.get("way", ""), form.get("name", ""), form.get("vkey", ""), form.get("url", ""), form.get("need", ""), form.get("text", ""),
        form.get("reason", ""),
    )  # fmt: skip
    stand = _standing()
    try:
        text = proposals.list_of(stand.policy, asked)
    except BadInput as wrong:
        return _propose_page(asked, wrong), wrong.status
    line = views.proposal(stand.policy, rules.parse_list(text))
    return render_template("log/preview.html", change=line, text=text, reason=asked.reason, superseded=bool(stand.pending))


@blueprint.post("/witnesses")
@gate.roles(*_KEEPERS)
def propose() -> BaseResponse | tuple[str, int]:
    """Propose the list that was shown."""
    _demand_code()
    room, text, reason = _room(), request.form.get("text", ""), request.form.get("reason", "")
    try:
        witnesses.propose(room, gate.current_actor(), text, reason, room.now())
    except (BadInput, Conflict) as wrong:
        return _propose_page(Asked(way=proposals.TEXT, text=text, reason=reason), wrong), wrong.status
    return redirect("/witnesses?notice=proposed", 303)


@blueprint.post(f"/witnesses/{_VERSION}/approve")
@gate.roles(*_KEEPERS)
def approve(version: int) -> BaseResponse:
    """Approve the waiting list."""
    return _decide(version, True)


@blueprint.post(f"/witnesses/{_VERSION}/refuse")
@gate.roles(*_KEEPERS)
def refuse(version: int) -> BaseResponse:
    """Refuse the waiting list, or take one's own back."""
    return _decide(version, False)


# ---- for those who keep the mirrors' tokens ----


@blueprint.get("/mirrors")
@gate.roles(*_MIRRORS)
def mirrors() -> str:
    """Show the tokens, and the form that makes one."""
    return _mirrors_page()


@blueprint.post("/mirrors")
@gate.roles(*_MIRRORS)
def make_token() -> str | tuple[str, int]:
    """Make a token and show it, this once."""
    _demand_code()
    room, name, days = _room(), request.form.get("name", ""), request.form.get("days", "")
    try:
        secret = tokens.make(
            room, gate.current_actor(), name, int(days) if days.isascii() and days.isdigit() and len(days) < 5 else 0, room.now()
        )
    except BadInput as wrong:
        return _mirrors_page(name, days, wrong), wrong.status
    return render_template("log/token.html", secret=secret, name=name, origin=room.identity.public_origin)


@blueprint.get("/mirrors/<uid>/end")
@gate.roles(*_MIRRORS)
def end_form(uid: str) -> str:
    """Ask whether a token should end."""
    one = next((one for one in tokens.tokens(_room()) if one.uid == uid and one.is_good(_room().now())), None)
    if one is None:
        raise NotThere("no such token in force")
    return render_template("log/token_end.html", token=one, fresh_code=_has_code(), zone_office=gate.current_actor().office)


@blueprint.post("/mirrors/<uid>/end")
@gate.roles(*_MIRRORS)
def end_token(uid: str) -> BaseResponse:
    """End a token."""
    _demand_code()
    tokens.end(_room(), gate.current_actor(), uid, _room().now())
    return redirect("/mirrors?notice=ended", 303)


# ---- what they share ----


def _room() -> OpenLog:
    found = current_app.extensions[EXTENSION]
    assert isinstance(found, OpenLog)
    return found


def _standing() -> Standing:
    return standing(_room().books, _room().now())


def _people(uids: Collection[str]) -> Mapping[str, Official]:
    with _room().guard.store.reading() as session:
        return officials(session, uids)


def _notice() -> str:
    found = _NOTICES.get(request.args.get("notice", ""))
    return _(found) if found else ""


def _has_code(allowed: timedelta = rules.CODE) -> bool:
    return rules.is_fresh_code(gate.current_actor().factor_at, _room().now(), allowed)


def _demand_code(allowed: timedelta = rules.CODE + rules.TYPING) -> None:
    """Raise StepUpNeeded unless the code is at most *allowed* old; the error page leads to the code and back."""
    if not _has_code(allowed):
        raise StepUpNeeded("a change of witnesses or tokens needs a fresh code")


def _decide(version: int, approved: bool) -> BaseResponse:
    _demand_code()
    witnesses.decide(_room(), gate.current_actor(), version, approved, _room().now())
    return redirect(f"/witnesses?notice={'approved' if approved else 'refused'}", 303)


def _verify_page(given: str = "", typed: str = "", wrong: BadInput | None = None, *, report: Report | None = None) -> str:
    room = _room()
    members = checking.members(report) if report else None
    return render_template(
        "log/verify.html", given=given, typed=typed, wrong=wrong.field if wrong else "", error=_(wrong.public) if wrong else "", report=report,
        verdict=views.verdict(report) if report else None, steps=views.steps(report) if report else [], lacks=report is not None and checking.lacks_witness(report),
        facts=views.entry_facts(members, room.identity.places) if members else [], raw=views.raw(members) if members else "", log=room.log,
        keys=files.keys(room).split(), verifier_sha256=sha256(files.verifier_source()).hexdigest(),
    )  # fmt: skip


def _propose_page(asked: Asked, wrong: BadInput | Conflict | None) -> str:
    stand = _standing()
    known = witnesses.lists(_room().books)
    count = len(stand.policy.witnesses) + 1
    return render_template(
        "log/propose.html", asked=asked, wrong=wrong.field if isinstance(wrong, BadInput) else "", error=_(wrong.public) if wrong else "",
        detail=wrong.detail if isinstance(wrong, BadInput) and wrong.public == BadInput.public else "", stand=stand, quorum=views.quorum_words(stand.policy),
        needs=[(str(one), _("%(need)s dari %(all)s", need=one, all=count)) for one in range(count, 0, -1)], full=count > rules.MOST_WITNESSES,
        waits=any(one.state == WAITING for one in known), longest=rules.MAX_REASON,
    )  # fmt: skip


def _mirrors_page(name: str = "", days: str = "", wrong: BadInput | None = None) -> str:
    room, now = _room(), _room().now()
    found = tokens.tokens(room)
    rows = views.token_rows(found, _people({one.made_by for one in found}), room.identity.places, now)
    return render_template(
        "log/mirrors.html", rows=rows, name=name, days=days or str(rules.TOKEN_DAYS[0]), choices=[(str(one), ngettext("%(num)s hari", "%(num)s hari", one)) for one in rules.TOKEN_DAYS], notice=_notice(),
        wrong=wrong.field if wrong else "", error=_(wrong.public) if wrong else "", fresh_code=_has_code(), zone_office=gate.current_actor().office,
        longest=rules.MAX_NAME,
    )  # fmt: skip
