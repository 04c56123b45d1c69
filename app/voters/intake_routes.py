"""Pages of intake: send a file in, choose its columns, watch it load, read the result, undo it. No page holds a value of a voter."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from io import BytesIO, StringIO
from typing import IO

from flask import Blueprint, Flask, Request, Response, current_app, g, make_response, redirect, render_template, request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Response as BaseResponse

from app.identity import gate
from app.identity.room import Card
from app.kernel.actor import Actor
from app.kernel.errors import BadInput, Conflict, NotThere
from app.kernel.fields import Role
from app.voters import intake, intake_check, loads, undo, uploads
from app.voters.intake_views import (
    CONFLICT_HEADS,
    CSV_HEADS,
    column_rows,
    conflict_rows,
    file_columns,
    load_row,
    result,
    safe_row,
    upload_row,
)
from app.voters.room import EXTENSION, Roll
from app.voters.rules.corrections import REASON_MAX, parse_reason
from app.voters.rules.rows import COLUMNS
from app.voters.tables import UNDONE, Upload
from app.web.i18n import gettext as _
from app.web.i18n import language

blueprint = Blueprint("intake", __name__)

PER_PAGE = 25
# Quarantined rows on a page of the result.
ROWS_PER_PAGE = 50
# What a form adds around its file: the token, the parts' heads.
_AROUND = 64 * 1024
# More of a body that is too large is not even thrown away: whoever sends that much does not read the answer.
_DRAINED = 4 * uploads.LARGEST
_CHUNK = 64 * 1024
_SECONDS = "2"


class UploadRequest(Request):
    """A request whose files stay in memory, never in a temporary file, and may be large in one place only.

    The large limit holds where an operator who was let in sends a file; the gate runs before anybody reads the body.
    """

    @property
    def max_content_length(self) -> int | None:
        """The most bytes of this request's body, 64 KiB but for that one place."""
        return uploads.LARGEST + _AROUND if self._takes_a_file else super().max_content_length

    @max_content_length.setter
    def max_content_length(self, value: int | None) -> None:
        self._max_content_length = value

    @property
    def max_form_memory_size(self) -> int | None:
        """The most bytes of a field that is no file. The parser takes 64 KiB at a time and counts what it held back of a file as well."""
        return 2 * _AROUND if self._takes_a_file else super().max_form_memory_size

    @max_form_memory_size.setter
    def max_form_memory_size(self, value: int | None) -> None:
        self._max_form_memory_size = value

    @property
    def _takes_a_file(self) -> bool:
        return self.endpoint == "intake.upload" and getattr(g.get("actor"), "role", None) is Role.KPU_KAB

    def _get_file_stream(
        self, total_content_length: int | None, content_type: str | None, filename: str | None = None, content_length: int | None = None
    ) -> IO[bytes]:
        return BytesIO()


def install(app: Flask, roll: Roll) -> None:
    """Give *app* these pages, keep what is sent in out of temporary files, and make the background work known."""
    app.request_class = UploadRequest
    app.register_blueprint(blueprint)
    roll.jobs.register(intake.KIND, lambda job, report: intake.work(roll, job, report))
    roll.jobs.register(intake_check.KIND, lambda job, report: intake_check.work(roll, job, report))


def nav(actor: Actor) -> Sequence[tuple[str, str]]:
    """Return what the navigation offers this role: (label, address)."""
    return [(_("Pemuatan DP4"), "/intake")] if actor.role is Role.KPU_KAB else []


def cards(actor: Actor) -> Sequence[Card]:
    """Return what the home page offers this actor now: files that wait, loads at work, the last result."""
    if actor.role is not Role.KPU_KAB:
        return ()
    roll, found = _roll(), list[Card]()
    for upload in uploads.open_in(roll, actor.region, 3):
        row = upload_row(roll, upload, {})
        if row.at_work:
            text = _("Sudah %(share)s persen.", share=row.share) if row.share is not None else _("Menunggu giliran.")
            found.append(Card(row.url, _("DP4 sedang dimuat"), text))
        else:
            text = (
                _("Cocokkan kolomnya, lalu muat.") if row.state == uploads.WAITING else _("Pemuatan terhenti. Lanjutkan dari halamannya.")
            )
            found.append(Card(row.url, _("Berkas DP4 menunggu Anda"), text, waits=True))
    newest = intake.history(roll, actor.region, None, 1)
    if newest and newest[0][0].state == loads.DONE:
        load = newest[0][0]
        text = _("Terakhir: %(read)s baris terbaca, %(sealed)s tersegel, %(held)s dikarantina.",
                 read=load.rows_read, sealed=load.rows_sealed, held=load.rows_quarantined)  # fmt: skip
    else:
        text = _("Unggah berkas DP4 kab/kota Anda, dan lihat hasilnya.")
    return [*found, Card("/intake", _("Pemuatan DP4"), text, first_step=not newest)]


@blueprint.get("/intake")
@gate.roles(Role.KPU_KAB)
def index() -> str:
    """Offer to send a file in, and show what was loaded."""
    return _index()


@blueprint.post("/intake")
@gate.roles(Role.KPU_KAB)
def upload() -> BaseResponse | tuple[str, int]:
    """Take a file in, sealed, and go on to its columns."""
    roll, actor, now = _roll(), gate.current_actor(), _roll().clock.now()
    sent = request.files.get("file")
    stream = sent.stream if sent else None
    content = stream.getvalue() if isinstance(stream, BytesIO) else b""
    try:
        uid = intake.receive(roll, actor, (sent.filename or "") if sent else "", content, now)
    except (BadInput, Conflict) as error:
        return _index(error=_(error.public), detail=_detail(error)), error.status
    return redirect(f"/intake/{uid}", 303)


@blueprint.errorhandler(RequestEntityTooLarge)
def too_large(error: RequestEntityTooLarge) -> tuple[str, int] | RequestEntityTooLarge:
    """Say what to do with a file over the limit, after the browser has had its say: cut off midway it would show an error of its own."""
    if request.endpoint != "intake.upload":
        return error
    rest = min(request.content_length or 0, _DRAINED)
    while rest > 0 and (chunk := request.environ["wsgi.input"].read(min(_CHUNK, rest))):
        rest -= len(chunk)
    return _index(error=_("Berkas lebih besar dari 20 MB. Minta admin sistem memuatnya dengan perintah di bawah ini.")), 413


@blueprint.get("/intake/<uid>")
@gate.roles(Role.KPU_KAB)
def show(uid: str) -> str | BaseResponse:
    """Show a file that was sent in: its columns to choose, its progress, or what became of it."""
    roll, actor = _roll(), gate.current_actor()
    found = _upload(uid)
    if found.state == uploads.DONE:
        return redirect(f"/intake/{found.load}/result", 303)
    if found.state == uploads.WAITING:
        return _waiting(found)
    row = upload_row(roll, found, intake.names(roll, [found.actor]))
    still = row.at_work and "diam" not in request.args
    answer = make_response(render_template("intake/progress.html", row=row, still=not still, zone_office=actor.office))
    if still:
        answer.headers["Refresh"] = _SECONDS
    return answer


@blueprint.post("/intake/<uid>")
@gate.roles(Role.KPU_KAB)
def choose(uid: str) -> BaseResponse | tuple[str, int]:
    """Keep the columns chosen, and begin to load when that was asked."""
    roll, actor, now = _roll(), gate.current_actor(), _roll().clock.now()
    found, chosen = _upload(uid), _chosen()
    try:
        intake.map_columns(roll, found, chosen)
        if request.form.get("act") == "check":
            intake_check.start(roll, actor, _upload(uid))
        elif request.form.get("act") == "start":
            intake.start(roll, actor, _upload(uid), now)
    except BadInput as error:
        return _columns(found, chosen, error), error.status
    return redirect(f"/intake/{uid}", 303)


@blueprint.get("/intake/<uid>/conflicts.csv")
@gate.roles(Role.KPU_KAB)
def conflicts(uid: str) -> Response:
    """Give the rows with a double NIK as a file: row number, kind, what it means; no value."""
    found = intake_check.found_of(_roll(), _upload(uid))
    if found is None or found.state != "done":
        raise NotThere("no check of this file")
    out = StringIO()
    writer = csv.writer(out)
    writer.writerow([_(head) for head in CONFLICT_HEADS])
    writer.writerows(conflict_rows(found))
    answer = Response("\ufeff" + out.getvalue(), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="gardu-nik-ganda-{uid}.csv"'
    return answer


@blueprint.post("/intake/<uid>/again")
@gate.roles(Role.KPU_KAB)
def again(uid: str) -> BaseResponse:
    """Take up a load that was cut off."""
    intake.again(_roll(), gate.current_actor(), _upload(uid), _roll().clock.now())
    return redirect(f"/intake/{uid}", 303)


@blueprint.post("/intake/<uid>/discard")
@gate.roles(Role.KPU_KAB)
def discard(uid: str) -> BaseResponse:
    """Delete a file that was sent in."""
    intake.discard(_roll(), _upload(uid))
    return redirect("/intake", 303)


@blueprint.get("/intake/<uid>/result")
@gate.roles(Role.KPU_KAB)
def show_result(uid: str) -> str:
    """Show what became of a load: totals, warnings, quarantined rows by number and reason."""
    roll, actor, now = _roll(), gate.current_actor(), _roll().clock.now()
    load = intake.load_of(roll, actor, uid, now)
    after = _row_number()
    waiting = intake.waiting_rows(roll, load, after, ROWS_PER_PAGE + 1)
    return render_template(
        "intake/result.html",
        **result(load, intake.reasons_counted(roll, load), waiting[:ROWS_PER_PAGE]),
        row=load_row(load, True, intake.names(roll, [load.actor, load.undone_by or ""]), actor),
        next_after=waiting[ROWS_PER_PAGE - 1].row_no if len(waiting) > ROWS_PER_PAGE else None,
        after=after,
        undone=load.state == UNDONE,
        running=load.state == loads.RUNNING,
        upload=load.upload,
        zone_office=actor.office,
    )


@blueprint.get("/intake/<uid>/quarantine.csv")
@gate.roles(Role.KPU_KAB)
def quarantine(uid: str) -> Response:
    """Give the list of quarantined rows as a file: row number, column, reason, remedy; no value."""
    roll, actor, now = _roll(), gate.current_actor(), _roll().clock.now()
    load = intake.load_of(roll, actor, uid, now)
    out = StringIO()
    writer = csv.writer(out)
    writer.writerow([_(head) for head in CSV_HEADS])
    after = 0
    while page := intake.waiting_rows(roll, load, after, 1000):
        writer.writerows(safe_row(one.row_no, finding) for one in page for finding in one.findings)
        after = page[-1].row_no
    # The mark tells a spreadsheet that this is UTF-8.
    answer = Response("\ufeff" + out.getvalue(), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="gardu-karantina-{load.uid}.csv"'
    return answer


@blueprint.get("/intake/<uid>/undo")
@gate.roles(Role.KPU_KAB)
def undo_form(uid: str) -> str:
    """Say whether a load can be undone, and ask for the reason."""
    return _undo_page(uid)


@blueprint.post("/intake/<uid>/undo")
@gate.roles(Role.KPU_KAB)
def undo_load(uid: str) -> BaseResponse | tuple[str, int]:
    """Undo a load that nobody used."""
    roll, actor, now = _roll(), gate.current_actor(), _roll().clock.now()
    try:
        undo.undo(roll, actor, uid, parse_reason(request.form.get("reason", "")), now)
    except (BadInput, Conflict) as error:
        return _undo_page(uid, error), error.status
    return redirect(f"/intake/{uid}/result", 303)


def _roll() -> Roll:
    roll: Roll = current_app.extensions[EXTENSION]
    return roll


def _upload(uid: str) -> Upload:
    roll = _roll()
    uploads.sweep(roll, roll.clock.now())
    return intake.upload_of(roll, gate.current_actor(), uid, roll.clock.now())


def _chosen() -> dict[str, int]:
    """Return the cell chosen for each DP4 column. Raises BadInput for what is no number."""
    given = {column: request.form.get(column, "") for column in COLUMNS}
    if not all(text == "" or (text.isascii() and text.isdigit() and len(text) < 6) for text in given.values()):
        raise BadInput("a column's cell is no number", field="columns")
    return {column: int(text) for column, text in given.items() if text}


def _row_number() -> int:
    text = request.args.get("after", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadInput("after is no number", field="after")
    return int(text)


def _detail(error: BadInput | Conflict) -> str:
    """Return which columns an error is about; DP4's own names only, never a header of the file."""
    named = error.field.split(", ") if isinstance(error, BadInput) else []
    return ", ".join(name for name in named if name in COLUMNS)


def _index(error: str | None = None, detail: str = "") -> str:
    roll, actor, now = _roll(), gate.current_actor(), _roll().clock.now()
    kab = intake.own_kab(actor)
    uploads.sweep(roll, now)
    where, before = intake.present(roll, kab, now), request.args.get("before")
    older = intake.load_of(roll, actor, before, now) if before else None
    found, waiting = intake.history(roll, kab, older, PER_PAGE + 1), uploads.open_in(roll, kab, PER_PAGE)
    people = intake.names(roll, [load.actor for load, _ok in found] + [one.actor for one in waiting])
    labels = roll.guard.policies.catalog.labels(language())
    return render_template(
        "intake/index.html",
        kab=kab,
        place=roll.places.name(kab) or kab,
        election=where.election if where else None,
        stage=labels.stages[where.stage] if where else None,
        open=where is not None and intake.is_open(roll, actor, where, now),
        waiting=[upload_row(roll, one, people) for one in waiting],
        rows=[load_row(load, ok, people, actor) for load, ok in found[:PER_PAGE]],
        next_before=found[PER_PAGE - 1][0].uid if len(found) > PER_PAGE else None,
        largest_mb=uploads.LARGEST // (1024 * 1024),
        error=error,
        detail=detail,
        zone_office=actor.office,
    )


def _waiting(found: Upload) -> BaseResponse:
    """Show the columns of a file, and what a check of its NIKs says; while it is at work the page looks again by itself."""
    checked = intake_check.found_of(_roll(), found)
    answer = make_response(_columns(found, uploads.mapping_of(found), checked=checked))
    if checked is not None and checked.at_work and "diam" not in request.args:
        answer.headers["Refresh"] = _SECONDS
    return answer


def _columns(found: Upload, chosen: Mapping[str, int], error: BadInput | None = None, checked: intake_check.Found | None = None) -> str:
    roll, actor = _roll(), gate.current_actor()
    seen = intake.preview(roll, actor, found, roll.clock.now())
    wrong = frozenset(error.field.split(", ")) if error else frozenset()
    return render_template(
        "intake/columns.html",
        row=upload_row(roll, found, intake.names(roll, [found.actor])),
        rows=column_rows(seen, chosen, wrong),
        headers=file_columns(seen, chosen),
        error=_(error.public) if error else None,
        previewed=intake.PREVIEWED,
        checked=checked,
        problem=_(checked.error) if checked and checked.error else None,
        still="diam" not in request.args,
        zone_office=actor.office,
    )


def _undo_page(uid: str, error: BadInput | Conflict | None = None) -> str:
    roll, actor, now = _roll(), gate.current_actor(), _roll().clock.now()
    load = intake.load_of(roll, actor, uid, now)
    found = undo.standing(roll, actor, load, now)
    return render_template(
        "intake/undo.html",
        row=load_row(load, True, intake.names(roll, [load.actor]), actor),
        why=_(undo.WHY[found.rule]) if found.rule else None,
        used=found.used,
        reason=request.form.get("reason", ""),
        reason_max=REASON_MAX,
        error=_(error.public) if error else None,
        errors={error.field: _(error.public)} if isinstance(error, BadInput) and error.field else {},
    )
