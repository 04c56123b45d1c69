"""Pages of backups: which there are, when one was last proven, making one, proving one. No voter's data, no path, no secret is shown."""

from __future__ import annotations

from flask import Blueprint, Flask, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from app.admin import backups, doors, rules, shown
from app.admin.backups import DRILL, Line, Overview
from app.admin.room import Admin
from app.custody.backup_check import STEPS
from app.custody.backup_room import KEY_DAYS, PROVEN_WITHIN
from app.identity import gate
from app.jobs.desk import JobView
from app.kernel.errors import BadInput
from app.kernel.fields import Role
from app.web.i18n import gettext as _
from app.web.times import number

blueprint = Blueprint("backups", __name__)
_KEEPER = (Role.ADMIN_SISTEM,)


def install(app: Flask, room: Admin) -> None:
    """Give *app* these pages, and the jobs room their work."""
    backups.register(room)
    app.register_blueprint(blueprint)


@blueprint.get("/admin/backups")
@gate.roles(*_KEEPER)
def backup_list() -> str:
    """Show the backups, their age, and when one was last proven."""
    return _list_page()


@blueprint.post("/admin/backups")
@gate.roles(*_KEEPER)
def make() -> Response:
    """Begin a backup."""
    doors.demand_code()
    return redirect(f"/admin/backups/jobs/{backups.start_making(doors.room(), gate.current_actor())}", 303)


@blueprint.get("/admin/backups/<uid>")
@gate.roles(*_KEEPER)
def drill_form(uid: str) -> str:
    """Ask for the identity of one backup's archives."""
    doors.demand_code(rules.FRESH)
    return _drill_page(doors.parse_uid(uid), None)


@blueprint.post("/admin/backups/<uid>")
@gate.roles(*_KEEPER)
def drill(uid: str) -> Response | tuple[str, int]:
    """Begin a restore for trial with the identity that was typed; it is kept nowhere."""
    doors.demand_code()
    try:
        job = backups.start_drill(doors.room(), gate.current_actor(), doors.parse_uid(uid), request.form.get("identity", ""))
    except BadInput as error:
        return _drill_page(uid, error), error.status
    return redirect(f"/admin/backups/jobs/{job}", 303)


@blueprint.get("/admin/backups/jobs/<uid>")
@gate.roles(*_KEEPER)
def job(uid: str) -> Response:
    """Show how far a backup or a restore for trial is, or how it ended."""
    found, still = backups.job_of(doors.room(), doors.parse_uid(uid)), request.args.get("diam") != "1"
    steps = [(_(words), one <= int(str(found.result.get("steps", 0)))) for one, words in enumerate(STEPS, start=1)]
    page = render_template(
        "admin/backup_job.html", row=_job_row(found), steps=steps, still=not still, zone_office=gate.current_actor().office
    )
    answer = make_response(page)
    if still and not found.over:
        # As a header, not a script: the page works without one, and the reader can stop it.
        answer.headers["Refresh"] = f"2; url=/admin/backups/jobs/{uid}"
    return answer


def _list_page() -> str:
    room, now = doors.room(), doors.now()
    found = backups.overview(room, now)
    settings = room.settings
    return render_template(
        "admin/backups.html", ready=found.ready, lines=[_line(one) for one in found.lines], last=found.last, due=found.due,
        proven_age=(now - found.last.at).days if found.last else 0, within=PROVEN_WITHIN.days, strange=len(found.strange),
        jobs=[_job_row(one) for one in found.jobs], fresh=doors.is_fresh(), hour=settings.backup_hour, keep=settings.backup_keep,
        key_days=min(settings.backup_key_days, KEY_DAYS), place=backups.place(settings.backup_to), zone_office=gate.current_actor().office,
        running=_running(found),
    )  # fmt: skip


def _running(found: Overview) -> dict[str, object] | None:
    """Return the work under way, if any."""
    return next((_job_row(one) for one in found.jobs if not one.over), None)


def _line(one: Line) -> dict[str, object]:
    made = one.made
    if not made.sound:
        mark = shown.Mark("stop", _("barisnya diubah; jangan dipercaya"))
    elif not one.there:
        mark = shown.Mark("warn", _("arsip tidak ada di tempatnya"))
    elif not one.keys:
        mark = shown.Mark("info", _("arsip kunci sudah dihapus"))
    elif one.proven_at is not None:
        mark = shown.Mark("ok", _("terbukti pulih"))
    else:
        mark = shown.Mark("info", _("belum diuji"))
    return {
        "uid": made.uid, "at": made.at, "rows": made.rows, "size": made.size,
        "data_size": _bytes(made.data_bytes), "key_size": _bytes(made.key_bytes), "mark": mark, "proven_at": one.proven_at, "seq": made.seq,
        "recipients": made.recipients, "url": f"/admin/backups/{made.uid}" if one.there and one.keys else "",
    }  # fmt: skip


def _bytes(count: int) -> str:
    """Return a size in the largest unit that leaves a whole number above nine, or in bytes."""
    for unit, size in (("GB", 1024**3), ("MB", 1024**2), ("kB", 1024)):
        if count >= 10 * size:
            return f"{number(count // size)} {unit}"
    return f"{number(count)} B"


def _job_row(one: JobView) -> dict[str, object]:
    return {
        "url": f"/admin/backups/jobs/{one.uid}", "drill": one.kind == DRILL, "state": one.state, "over": one.over, "share": one.share,
        "error": _(one.error) if one.error else "", "at": one.created_at, "finished_at": one.finished_at, "result": dict(one.result),
        "good": bool(one.result.get("good")) if one.kind == DRILL else one.state == "done",
    }  # fmt: skip


def _drill_page(uid: str, error: BadInput | None) -> str:
    found = backups.find(doors.room(), uid)
    return render_template(
        "admin/backup_drill.html", uid=uid, at=found.at, error=_(error.public) if error else "", zone_office=gate.current_actor().office
    )
