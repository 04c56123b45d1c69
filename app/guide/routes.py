"""Pages of help and glossary. They read no voter and write nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from flask import Blueprint, Flask, current_app, render_template, request
from werkzeug.exceptions import HTTPException

from app.guide.desks import CALLS, DESKS, RECORDED, TROUBLES
from app.guide.rules import LONGEST, Step, Term, in_order, names_a_term, sought
from app.guide.terms import TERMS
from app.identity import directory, gate
from app.identity.directory import Sought, State
from app.identity.room import Card
from app.kernel.actor import Actor
from app.kernel.fields import Role
from app.kernel.regions import ancestors
from app.web.i18n import gettext as _
from app.web.pages import ROLE_LABELS, office_words

blueprint = Blueprint("guide", __name__)
_BY_ANCHOR = {term.anchor: term for term in TERMS}
# Whom to call: so many of a kind; more names are no help to somebody in trouble.
_NAMED = 3


def install(app: Flask) -> None:
    """Give *app* these pages."""
    app.register_blueprint(blueprint)


def nav(actor: Actor) -> Sequence[tuple[str, str]]:
    """Return nothing: help and glossary stand in the footer and in the person's menu."""
    return ()


def cards(actor: Actor) -> Sequence[Card]:
    """Return where this role begins; the home page shows it while nothing waits."""
    steps = [step for step in DESKS[actor.role].steps if step.begin] if actor.role in DESKS else []
    return [Card(_link(step, actor.role) or "", _(step.title), _(step.text), _("Buka halamannya"), first_step=True) for step in steps]


@blueprint.get("/help")
def desk() -> str:
    """Explain the desk of the reader's role, or of another one that was asked for: people train each other."""
    actor = gate.current_actor()
    asked = request.args.get("role", "")
    role = next((one for one in DESKS if one.value == asked), actor.role)
    found = DESKS[role]
    return render_template(
        "guide/help.html",
        role=role.value,
        own=role is actor.role,
        roles=[(one.value, _(ROLE_LABELS[one])) for one in DESKS],
        purpose=_(found.purpose),
        steps=[(_(step.title), _(step.text), _link(step, actor.role)) for step in found.steps],
        closed=[_(text) for text in found.closed],
        recorded=[_(text) for text in (*found.recorded, *RECORDED)],
        troubles=[(_(one.sign), _(one.remedy)) for one in (*found.troubles, *TROUBLES)],
        calls=[(_(ROLE_LABELS[one]), _(text), _people(one, actor)) for one, text in CALLS],
    )


@blueprint.get("/glossary")
@gate.public
def glossary() -> str:
    """Explain the words of the pages, all of them or those that were asked for."""
    text = " ".join(request.args.get("q", "")[:LONGEST].split())
    # What looks like a number or a NIK is not looked for, and not shown again.
    refused = not names_a_term(text)
    terms = in_order(TERMS)
    found = sought(terms, text, _) if text and not refused else []
    groups = [(letter, list(some)) for letter, some in groupby(terms, key=lambda term: term.name[0].upper())]
    return render_template(
        "guide/glossary.html",
        sought="" if refused else text,
        refused=refused,
        found=[_shown(term) for term in found],
        groups=[(letter, [_shown(term) for term in some]) for letter, some in groups],
        longest=LONGEST,
    )


def _shown(term: Term) -> dict[str, object]:
    return {
        "anchor": term.anchor,
        "name": term.name,
        "full": term.full,
        "gloss": term.gloss,
        "text": _(term.text),
        "see": [(one, _BY_ANCHOR[one].name) for one in term.see],
    }


def _link(step: Step, role: Role) -> str | None:
    return step.path if step.path and _opens(step.path, role) else None


def _opens(path: str, role: Role) -> bool:
    """Say whether *path* is a page of this installation that *role* may open."""
    try:
        endpoint, _values = current_app.url_map.bind("").match(path, method="GET")
    except HTTPException:
        return False
    allowed = gate.access_of(current_app, endpoint).roles
    return allowed is None or role in allowed


def _people(role: Role, actor: Actor) -> list[tuple[str, str]]:
    """Return name and office of those of the KPU who hold *role* nearest to the reader: in their region, else around it."""
    room = gate.identity()
    for region in ancestors(actor.region):
        near = Sought(office=f"kpu-{region}", role=role, state=State.ACTIVE)
        found, _more = directory.people(room, near, room.clock.now(), limit=_NAMED + 1)
        others = [one for one in found if one.uid != actor.uid][:_NAMED]
        if others:
            return [(one.name, office_words(one.office, room.places.name)) for one in others]
    return []
