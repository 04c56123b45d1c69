"""Turns what the room knows into what its templates show: words, groups, addresses. Reads nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from app.admin import words
from app.admin.health import BAD, GOOD, LOOK, Line
from app.admin.keyring import Key
from app.admin.offices import Office
from app.admin.resets import Request
from app.identity.directory import Row, Sought, State
from app.kernel.fields import Role
from app.kernel.regions import NATION
from app.places import Places
from app.web.i18n import gettext as _
from app.web.i18n import ngettext
from app.web.pages import ROLE_LABELS, office_words
from app.web.times import number

# Shape of each state; the word stands beside it.
_STATE_ICONS = {State.ACTIVE: "ok", State.INVITED: "info", State.LAPSED: "warn", State.LOCKED: "warn", State.DISABLED: "stop"}
_RESET_ICONS = {"waiting": "info", "done": "ok", "refused": "stop", "withdrawn": "back", "lapsed": "warn"}


@dataclass(frozen=True, slots=True)
class Mark:
    """A state by shape and word."""

    icon: str
    word: str


def state_mark(state: State) -> Mark:
    """Return an account's state."""
    return Mark(_STATE_ICONS[state], _(words.STATES[state.value]))


def office(code: str, places: Places) -> str:
    """Return an office in words, e.g. ``KPU Kota Denpasar``."""
    return office_words(code, places.name)


def role_words(roles: Sequence[Role]) -> str:
    """Return roles in words, comma-separated."""
    return ", ".join(_(ROLE_LABELS[role]) for role in roles)


def person(row: Row, places: Places) -> dict[str, object]:
    """Return one account as a line of the list."""
    return {
        "uid": row.uid,
        "url": f"/admin/accounts/{row.uid}",
        "name": row.name,
        "username": row.username,
        "office": office(row.office, places),
        "unit": _(words.UNITS[row.unit]),
        "roles": role_words(row.roles),
        "enrolled": row.enrolled,
        "last_login": row.last_login,
        "mark": state_mark(row.state),
    }


def list_address(sought: Sought, **more: str) -> str:
    """Return the list's address with its filters; what was typed never stands in it."""
    filters = {"office": sought.office, "role": sought.role or "", "state": sought.state or "", **more}
    given = {name: str(value) for name, value in filters.items() if value}
    return f"/admin/accounts?{urlencode(given)}" if given else "/admin/accounts"


def regions(places: Places) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the choice of an office's region: the nation, then each province with its kab/kota, as (group, [(code, name)])."""
    groups = [(_("Nasional"), [(NATION, _("Indonesia (kantor pusat)"))])]
    for province in places.children(NATION):
        name = places.name(province) or province
        inside = [(province, _("%(name)s (kantor provinsi)", name=name))]
        groups.append((name, inside + [(kab, places.name(kab) or kab) for kab in places.children(province)]))
    return groups


def by_province(kabs: Sequence[str], places: Places) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return kab/kota grouped by province, as (group, [(code, name)])."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for kab in kabs:
        groups.setdefault(kab[:2], []).append((kab, places.name(kab) or kab))
    return [(places.name(province) or province, inside) for province, inside in groups.items()]


def request(one: Request, places: Places) -> dict[str, object]:
    """Return one reset request as a page shows it."""
    return {
        "uid": one.uid,
        "name": one.name,
        "username": one.username,
        "office": office(one.office, places),
        "url": f"/admin/accounts/{one.account}",
        "asker": one.asker,
        "reason": one.reason,
        "asked_at": one.asked_at,
        "until": one.until,
        "decider": one.decider,
        "decided_at": one.decided_at,
        "mark": Mark(_RESET_ICONS[one.state], _(words.RESETS[one.state])),
        "sound": one.sound,
        "mine": one.mine,
        "young": one.young,
        "decidable": one.decidable and one.sound,
    }


def office_line(one: Office, places: Places) -> dict[str, object]:
    """Return one office as a line of the page."""
    body = one.code.partition("-")[0]
    return {
        "code": one.code,
        "name": office(one.code, places),
        "people": [(_(ROLE_LABELS[role]), count) for role, count in sorted(one.roles.items(), key=lambda item: list(Role).index(item[0]))],
        "units": [_(words.UNITS[unit]) for unit in one.units],
        "lacking": one.lacking,
        "approvers": one.approvers,
        "decides": body == "kpu",
        "roll": one.roll,
        "election": one.election,
        "stage": _(words.STAGES[one.stage]) if one.stage else "",
        "list_url": list_address(Sought(office=one.code)),
        "invite_url": f"/admin/accounts/new?{urlencode({'body': body, 'region': one.region})}",
    }


def key(one: Key, places: Places) -> dict[str, object]:
    """Return one key as a line of the page."""
    days = ngettext("%(num)s hari", "%(num)s hari", one.age)
    return {
        "purpose": _(words.PURPOSES[one.purpose]) if one.purpose in words.PURPOSES else one.purpose,
        "scope": one.scope,
        "place": places.name(one.scope) or one.scope,
        "epoch": one.epoch,
        "made_at": one.made_at,
        "age": days,
        "mark": Mark("warn", _("lebih dari setahun")) if one.old else Mark("ok", _("wajar")),
    }


def health_line(one: Line) -> dict[str, object]:
    """Return one line of health as a page shows it."""
    values: Mapping[str, object] = {name: number(value) if isinstance(value, int) else value for name, value in one.values.items()}
    marks = {GOOD: _("baik"), LOOK: _("perlu dilihat"), BAD: _("tidak baik")}
    moment: datetime | None = one.moment
    return {
        "name": _(words.NAMES[one.name]),
        "mark": Mark(one.state, marks[one.state]),
        "what": _(one.what, **values),
        "remedy": _(one.remedy, **values) if one.remedy else "",
        "moment": moment,
        "code": one.code,
    }
