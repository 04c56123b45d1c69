"""Pages that correct one element of one voter, and show what was loaded and corrected."""

from __future__ import annotations

from flask import Blueprint, current_app, redirect, render_template, request
from werkzeug.wrappers import Response

from app.audit.entry import moment
from app.identity import gate
from app.kernel.actor import Actor
from app.kernel.errors import BadInput, Conflict, NotThere, StepUpNeeded
from app.kernel.fields import Action, Element, Purpose, Role, View
from app.touch import Change, Disclosure
from app.voters import actions, corrections
from app.voters.actions import Task
from app.voters.corrections import Event
from app.voters.elections import Standing
from app.voters.room import EXTENSION, Roll
from app.voters.rules.corrections import CODES, GROUNDS, REASON_MAX, parse_ground, parse_reason, parse_value
from app.voters.rules.words import CODE_WORDS
from app.web.i18n import gettext as _
from app.web.i18n import language

blueprint = Blueprint("correct", __name__)


@blueprint.get("/voters/<public_id>/correct/<element>")
@gate.roles(Role.KPU_KAB)
def form(public_id: str, element: str) -> str | Response:
    """Show one element, alone, with the form that corrects it."""
    roll, actor = _roll(), gate.current_actor()
    task, actor, uid = _task(roll, public_id)
    return _form(roll, actor, task, public_id, uid, _element(element))


@blueprint.post("/voters/<public_id>/correct/<element>")
@gate.roles(Role.KPU_KAB)
def save(public_id: str, element: str) -> str | Response | tuple[str, int]:
    """Correct one element and go back to the voter."""
    roll = _roll()
    task, actor, uid = _task(roll, public_id)
    one, now = _element(element), roll.clock.now()
    try:
        with_standing = actions.stands(roll.guard, actor, task, Action.VOTER_CHANGE, now)
        receipt = corrections.correct(roll, actor, task, uid, _change(one, with_standing), _version(), now)
    except StepUpNeeded:
        # What was typed is not carried along: it would stand in an address.
        return redirect(f"/step-up?next=/voters/{public_id}/correct/{one.value}", 303)
    except (BadInput, Conflict) as error:
        page = _form(roll, actor, task, public_id, uid, one, error=error)
        return (page, error.status) if isinstance(page, str) else page
    return redirect(f"/voters/{public_id}?dikoreksi={receipt.seq}", 303)


@blueprint.get("/voters/<public_id>/history")
@gate.roles(Role.KPU_KAB)
def history(public_id: str) -> str:
    """Show when this voter was loaded and corrected, and why."""
    roll = _roll()
    task, actor, uid = _task(roll, public_id)
    events = corrections.history(roll, actor, task, uid, roll.clock.now())
    return render_template(
        "voters/history.html", public_id=public_id, rows=[_row(roll, event) for event in events], zone_office=actor.office
    )


def _roll() -> Roll:
    roll: Roll = current_app.extensions[EXTENSION]
    return roll


def _element(word: str) -> Element:
    try:
        return Element(word)
    except ValueError:
        raise NotThere("no such element") from None


def _task(roll: Roll, public_id: str) -> tuple[Task, Actor, str]:
    """Return the task, the actor as it then stands, and the voter's uid."""
    kab, uid = actions.parse_public_id(public_id)
    actor = gate.choose_task(Purpose.PEMUTAKHIRAN)
    return Task(Purpose.PEMUTAKHIRAN, roll.guard.policies.catalog.roles[actor.role].basis, kab), actor, uid


def _version() -> int:
    given = request.form.get("version", "")
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise BadInput("the row's version is no number", field="version")
    return int(given)


def _change(element: Element, present: Standing) -> Change:
    ground, reason = parse_ground(request.form.get("ground", "")), parse_reason(request.form.get("reason", ""))
    return Change(element, parse_value(element, request.form.get("value", ""), present.voting_day), ground, reason)


def _form(
    roll: Roll, actor: Actor, task: Task, public_id: str, uid: str, element: Element, error: BadInput | Conflict | None = None
) -> str | Response:
    try:
        shown, _present, version = corrections.open_one(roll, actor, task, uid, element, roll.clock.now())
    except StepUpNeeded:
        return redirect(f"/step-up?next=/voters/{public_id}/correct/{element.value}", 303)
    field = error.field if isinstance(error, BadInput) else ""
    words = roll.guard.policies.catalog.labels(language())
    return render_template(
        "voters/correct.html",
        public_id=public_id,
        element=element.value,
        label=words.elements[element],
        present=_present_value(element, shown),
        receipt=shown.receipt.seq,
        row_version=version,
        codes=[(code, f"{code} – {_(CODE_WORDS[element][code])}" if code else _("(kosong)")) for code in CODES.get(element, ())],
        grounds=[(code, _(text)) for code, text in GROUNDS.items()],
        ground=request.form.get("ground", ""),
        reason=request.form.get("reason", ""),
        reason_max=REASON_MAX,
        error=_(error.public) if error else None,
        errors={field: _(error.public)} if error and field else {},
        step_up_url=f"/step-up?next=/voters/{public_id}/correct/{element.value}" if element in shown.grant.offer else None,
    )


def _present_value(element: Element, shown: Disclosure) -> str | None:
    """Return the present value as people read it, or None when the element is not shown in full."""
    value = shown.values.get(element)
    if shown.grant.views[element] is not View.UTUH or value is None:
        return None
    if element is Element.TANGGAL_LAHIR:
        return "-".join(reversed(value.split("-")))
    word = CODE_WORDS.get(element, {}).get(value)
    return f"{value} – {_(word)}" if word else value


def _row(roll: Roll, event: Event) -> dict[str, object]:
    words = roll.guard.policies.catalog.labels(language())
    stage = next((label for one, label in words.stages.items() if one.value == event.stage), event.stage)
    return {
        "seq": event.seq,
        "at": moment(event.at),
        "loaded": event.action == Action.VOTER_IMPORT.value,
        "label": words.elements[event.element] if event.element else None,
        "stage": stage,
        "mine": event.mine,
        "ground": _(GROUNDS[event.ground]) if event.ground in GROUNDS else None,
        "reason": event.reason,
    }
