"""What a page of the roll says about mandates: which one was used, and how to ask for more. Knows addresses, not Flask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlencode

from app.kernel.fields import Element, Role
from app.mandates.rows import Held
from app.mandates.rules import REQUESTERS, last_day
from app.places import Places
from app.touch import Disclosure


@dataclass(frozen=True, slots=True)
class Used:
    """A mandate in force, as a page names it. day: the last one on which it is good."""

    uid: str
    url: str
    place: str
    day: date


def used(held: Held, places: Places) -> Used:
    """Return how a page names a mandate."""
    return Used(held.uid, f"/requests/{held.uid}", places.name(held.region) or held.region, last_day(held.until, held.region))


def used_in(disclosure: Disclosure, places: Places) -> Used | None:
    """Return the mandate that went into the visit of *disclosure*, or None."""
    mandate = disclosure.grant.visit.mandate
    return used(mandate, places) if isinstance(mandate, Held) else None


def ask_url(disclosure: Disclosure, elements: Sequence[Element]) -> str | None:
    """Return where a mandate for *elements* of the voter's desa is asked for, or None for a role that asks for none.

    Region, words and the voter's random id: nothing personal stands in the address.
    """
    visit, row = disclosure.grant.visit, disclosure.row
    if not elements or visit.role not in REQUESTERS:
        return None
    asked = {"elements": ",".join(element.value for element in elements)}
    about = {"subject": f"{row.kab}-{row.uid}"} if visit.role is Role.PEJABAT_PDP else {"region": row.desa}
    return f"/requests/new?{urlencode({**about, **asked}, safe=',')}"
