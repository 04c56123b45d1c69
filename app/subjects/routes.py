"""Pages of the data protection officer: who saw this voter, on the page and as a report to hand over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from flask import Blueprint, Flask, current_app, redirect, render_template, request
from werkzeug.wrappers import Response

from app.audit.entry import moment
from app.audit.query import StoredEntry
from app.identity import gate
from app.identity.room import Card
from app.kernel.actor import Actor
from app.kernel.errors import BadInput
from app.kernel.fields import Role
from app.subjects import actions
from app.subjects.report import Told, draw, erased_words
from app.subjects.room import Subjects
from app.subjects.rules import parse_typed, typed_again
from app.subjects.views import Words, split
from app.voters.actions import parse_public_id
from app.web.i18n import gettext as _

blueprint = Blueprint("subjects", __name__)
EXTENSION = "gardu.subjects"
# Rows on a page: what two screens hold. The report holds them all.
PAGE = 50


def install(app: Flask, room: Subjects) -> None:
    """Give *app* these pages."""
    app.extensions[EXTENSION] = room
    app.register_blueprint(blueprint)


def nav(actor: Actor) -> Sequence[tuple[str, str]]:
    """Return what the navigation offers this role: (label, address)."""
    return ((_("Siapa melihat"), "/subjects"),) if actor.role is Role.PEJABAT_PDP else ()


def cards(actor: Actor) -> Sequence[Card]:
    """Return what the home page offers this actor now."""
    if actor.role is not Role.PEJABAT_PDP:
        return ()
    text = _(
        "Seorang pemilih bertanya siapa yang melihat datanya? Jawab dari jejak audit, di layar atau sebagai laporan PDF, dalam 3×24 jam."
    )
    return [Card("/subjects", _("Siapa melihat pemilih ini?"), text, _("Cari jawabannya"), first_step=True)]


@blueprint.get("/subjects")
@gate.roles(Role.PEJABAT_PDP)
def index() -> str:
    """Ask for the voter's number, and list the last reports."""
    return _desk()


@blueprint.post("/subjects")
@gate.roles(Role.PEJABAT_PDP)
def find() -> Response | tuple[str, int]:
    """Go to the voter whose number was typed."""
    try:
        return redirect(f"/subjects/{parse_typed(request.form.get('subject', ''))}", 303)
    except BadInput as error:
        return _desk(error), error.status


@blueprint.get("/subjects/<public_id>")
@gate.roles(Role.PEJABAT_PDP)
def show(public_id: str) -> str:
    """Show every entry that names this voter, newest first, after what they come to."""
    room, actor = _room(), gate.current_actor()
    kab, uid = parse_public_id(public_id)
    before = _before()
    found, receipt = actions.look(room, actor, kab, uid, _now(room))
    words, (about, readings) = Words(room, found.people), split(found)
    page = [one for one in about if before is None or found.place(one) < before]
    return render_template(
        "subjects/show.html",
        public_id=public_id,
        overview=words.overview(found.entries),
        rows=[words.line(one) for one in page[:PAGE]],
        total=len(about),
        next_before=found.place(page[PAGE - 1]) if len(page) > PAGE else None,
        paged=before is not None,
        readings=[words.line(one) for one in readings[:PAGE]],
        readings_total=len(readings),
        whole=found.whole,
        erased=erased_words(found.erased) if found.erased else "",
        receipt={"seq": receipt.seq, "leaf_hex": receipt.leaf.hex(), "log": receipt.log, "url": f"/me/activity/{receipt.seq}/receipt"},
        zone_office=actor.office,
    )


@blueprint.get("/subjects/<public_id>/report.pdf")
@gate.roles(Role.PEJABAT_PDP)
def report(public_id: str) -> Response:
    """Give the whole as a PDF in plain language, to hand to the voter. Made in memory; its entry holds its SHA-256."""
    room, actor, person = _room(), gate.current_actor(), gate.current_person()
    kab, uid = parse_public_id(public_id)
    now = _now(room)

    def made(found: actions.Seen) -> bytes:
        words = Words(room, found.people)
        about, readings = split(found)
        by = f"{person.name}, {words.office(actor.office)}"
        return draw(
            Told(found, words.overview(found.entries), [words.line(one) for one in about], [words.line(one) for one in readings], by, now)
        )

    pdf, receipt = actions.report(room, actor, kab, uid, now, made)
    answer = Response(pdf, mimetype="application/pdf")
    answer.headers["Content-Disposition"] = f'attachment; filename="gardu-laporan-{receipt.seq}.pdf"'
    return answer


def _room() -> Subjects:
    room: Subjects = current_app.extensions[EXTENSION]
    return room


def _now(room: Subjects) -> datetime:
    return room.identity.clock.now()


def _before() -> int | None:
    given = request.args.get("before")
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= 15):
        raise BadInput("before is no number", field="before")
    return int(given)


def _desk(error: BadInput | None = None) -> str:
    room, actor = _room(), gate.current_actor()
    return render_template(
        "subjects/index.html",
        reports=[_report_row(room, one) for one in actions.own_reports(room, actor, _now(room))],
        typed=typed_again(request.form.get("subject", "")) if error else "",
        error=_(error.public) if error else "",
        zone_office=actor.office,
    )


def _report_row(room: Subjects, one: StoredEntry) -> dict[str, object]:
    members = one.members
    scope, detail = members["scope"] or "", members["detail"]
    return {
        "seq": one.seq,
        "at": moment(members["at"]),
        "place": room.identity.places.name(scope) or scope,
        "sha256": detail["sha256"] if detail else "",
        "receipt_url": f"/me/activity/{one.seq}/receipt",
    }
