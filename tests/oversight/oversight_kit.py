"""A short history: voters loaded, one read, one asked for in vain, one searched and corrected; and an officer who looks at it."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from pathlib import Path

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.factory import House
from app.kernel.errors import NotThere
from app.kernel.fields import Element, Role
from app.touch import Change
from app.voters import actions, corrections
from tests.conftest import KAB, NEIGHBOUR, dp4_row, load_dp4, operator, task, write_dp4
from tests.mandates.test_mandates_pages import Site
from tests.walk_kit import entries, entry_at, size, uid_of

OFFICERS = {
    "officer": (Role.PETUGAS_KEAMANAN, "kpu-00"),
    "bali": (Role.PETUGAS_KEAMANAN, "kpu-51"),
    "badung": (Role.PETUGAS_KEAMANAN, "kpu-51.03"),
}


@dataclass
class History:
    """A house, the numbers of its entries by what they are, and browsers."""

    house: House
    voter: str
    read: int
    denied: int
    searched: int
    changed: int
    site: Site = field(init=False)

    def __post_init__(self) -> None:
        self.site = Site(self.house)

    def browser(self, name: str = "officer") -> FlaskClient:
        role, office = OFFICERS.get(name, (None, ""))
        return self.site.person(name, role, office, "keamanan")

    def get(self, path: str, name: str = "officer") -> TestResponse:
        return self.browser(name).get(path, base_url=self.house.settings.public_origin)

    def post(self, path: str, name: str = "officer", /, page: str = "/audit", **form: object) -> TestResponse:
        self.browser(name)
        return self.site.post(name, page, path, **form)

    def shown(self, path: str, name: str = "officer") -> list[int]:
        """The numbers of the entries on a page of the trail, in its order."""
        answer = self.get(path, name)
        assert answer.status_code == 200, text_of(answer)
        return [int(seq) for seq in re.findall(r'<tr role="row" data-entry="(\d+)"', answer.text)]

    @property
    def last(self) -> dict[str, object]:
        return entry_at(self.house, size(self.house) - 1)


def history_of(house: House, folder: Path) -> History:
    """Make the history."""
    load_dp4(house, write_dp4(folder / "dp4.csv", [dp4_row(1), dp4_row(2)]))
    uid = uid_of(house, 1)
    now = house.clock.now()
    searched = len(entries(house)) - 1
    read = actions.read_voter(house.guard, operator(house), task(), uid, now)[0].receipt.seq
    try:
        actions.read_voter(house.guard, operator(house, NEIGHBOUR, uid="b" * 26), task(), uid, now)
    except NotThere:
        denied = len(entries(house)) - 1
    change = Change(Element.ALAMAT, "JL. RAHASIA 7", "coklit", "Alamat menurut KTP-el pemilih")
    changed = corrections.correct(house.roll, operator(house), task(KAB), uid, change, 1, now).seq
    return History(house, uid, read, denied, searched, changed)


def text_of(answer: TestResponse) -> str:
    """What a page says, without its tags."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())
