"""The people of an administrator's desk, the steps they take, and their browsers."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

import pyotp
from flask.testing import FlaskClient
from sqlalchemy import event, select
from sqlalchemy.engine import Engine
from werkzeug.test import TestResponse

from app.admin import resets
from app.admin.room import Admin
from app.admin.rules import Decision
from app.admin.tables import FactorReset
from app.cli.shell import host_actor
from app.factory import House, web_app
from app.identity import accounts, actions, sessions
from app.identity.passwords import Hasher
from app.identity.room import Identity, Visitor
from app.identity.tables import Account, LoginSession
from app.kernel.actor import Actor
from app.kernel.fields import Role
from tests.walk_kit import content, entries, size

PASSWORD = "kuda lumping naik tangga 77"
REASON = "Ponselnya hilang, sudah ditelepon."
VISITOR = Visitor("req-1", "192.0.2.7")
# name → role, office, unit
PEOPLE = {
    "admin": (Role.ADMIN_SISTEM, "kpu-00", "keamanan"),
    "admin2": (Role.ADMIN_SISTEM, "kpu-00", "data"),
    "officer": (Role.PETUGAS_KEAMANAN, "kpu-00", "keamanan"),
    "operator": (Role.KPU_KAB, "kpu-51.71", "data"),
}


def cheap(house: House) -> Identity:
    """The house's identity room with hashing at its smallest cost."""
    return replace(house.identity, hasher=Hasher(memory_kib=8, passes=1, lanes=1))


@dataclass
class Desk:
    """A house and its people, everybody with an authenticator."""

    house: House
    secrets: dict[str, str] = field(default_factory=dict)
    people: dict[str, Actor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.identity = cheap(self.house)
        self.room = Admin(self.house.guard, self.identity, self.house.settings, self.house.jobs)
        for name, (role, office, unit) in PEOPLE.items():
            self.join(name, role, office, unit)

    @property
    def now(self) -> datetime:
        return self.house.clock.now()

    def join(self, name: str, role: Role, office: str, unit: str = "data", *, by: Actor | None = None, enrolled: bool = True) -> Actor:
        """Make an account and return its person as an actor with a fresh code."""
        uid, _ = accounts.create(
            self.identity, by or host_actor(), username=f"uji.{name}", name=f"Orang {name}", office=office, unit=unit, roles=[role.value],
            now=self.now, password=PASSWORD, must_change=not enrolled,
        )  # fmt: skip
        if enrolled:
            self.secrets[name] = accounts.enrol_by_hand(self.identity, host_actor(), uid, self.now)
        self.people[name] = Actor(
            uid=uid, office=office, unit=unit, role=role, roles=frozenset({role}), region=office.partition("-")[2], request="r" * 26,
            session="s" * 26, method="totp", factor_at=self.now, address="192.0.2.1",
        )  # fmt: skip
        return self.people[name]

    def uid(self, name: str) -> str:
        return self.people[name].uid

    def ask(self, about: str = "operator", by: str = "admin") -> str:
        return resets.ask(self.room, self.people[by], self.uid(about), REASON, self.now)

    def decide(self, reset: str, by: str = "officer", decision: Decision = Decision.CONFIRM) -> str:
        return resets.decide(self.room, self.people[by], reset, decision, self.now)

    def account(self, name: str) -> Account:
        with self.house.store.reading() as session:
            found = session.get_one(Account, self.uid(name))
            session.expunge(found)
        return found

    def row(self, reset: str) -> FactorReset:
        with self.house.store.reading() as session:
            found = session.get_one(FactorReset, reset)
            session.expunge(found)
        return found

    def sign_in(self, name: str) -> sessions.Opened:
        """Open a full session."""
        half = actions.begin_login(self.identity, VISITOR, f"uji.{name}", PASSWORD, self.now)
        person = sessions.resolve(self.house.store, half.secret, self.now)
        return actions.finish_login(self.identity, person, VISITOR, pyotp.TOTP(self.secrets[name]).at(self.now), self.now)

    def living(self, name: str) -> int:
        """How many sessions of an account have not ended."""
        query = select(LoginSession).where(LoginSession.account == self.uid(name), LoginSession.ended_at.is_(None))
        with self.house.store.reading() as session:
            return len(session.scalars(query).all())

    def said(self, since: int) -> list[tuple[object, object]]:
        return [(one["action"], one["outcome"]) for one in entries(self.house, since)]

    @contextmanager
    def writes(self, *expected: tuple[str, str]) -> Iterator[None]:
        """Fail unless exactly these entries (action, outcome) are written inside, logins aside."""
        before = size(self.house)
        yield
        assert [one for one in self.said(before) if one[0] != "session:login"] == list(expected)

    def payload(self, back: int = 1) -> dict[str, object]:
        """The sealed payload of the entry that is the *back*-th from the end."""
        return content(self.house, size(self.house) - back)


class Site:
    """The application over a desk, and a browser per person."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.house = desk, desk.house
        self.app = web_app(replace(desk.house, identity=desk.identity))
        self.browsers: dict[str, FlaskClient] = {}

    @property
    def origin(self) -> str:
        return self.house.settings.public_origin

    def browser(self, name: str) -> FlaskClient:
        """Return somebody's browser, signed in."""
        if name not in self.browsers:
            self.browsers[name] = self.app.test_client()
            self.sign_in(name)
        return self.browsers[name]

    def sign_in(self, name: str) -> None:
        assert self.post(name, "/login", "/login", username=f"uji.{name}", password=PASSWORD).status_code == 303
        code = pyotp.TOTP(self.desk.secrets[name]).at(self.desk.now)
        assert self.post(name, "/login/totp", "/login/totp", code=code).status_code == 303

    def get(self, name: str, path: str, /) -> TestResponse:
        return self.browser(name).get(path, base_url=self.origin)

    def post(self, name: str, page: str, path: str, /, **form: object) -> TestResponse:
        """Send a form by hand, with the token of *page*."""
        browser = self.browser(name)
        found = re.search(r'name="csrf_token" value="([^"]+)"', browser.get(page, base_url=self.origin).text)
        assert found, page
        return browser.post(path, data={"csrf_token": found[1], **form}, base_url=self.origin)

    def act(self, name: str, path: str, /, **form: object) -> TestResponse:
        """Send a form with the token of a page that writes no entry."""
        return self.post(name, "/me/password", path, **form)

    def pass_time(self, name: str, minutes: int) -> None:
        """Let time pass while somebody goes on reading, so that the session lives and only the code ages."""
        for _ in range(minutes):
            self.house.clock.move(minutes=1)
            assert self.get(name, "/").status_code == 200


def plain(answer: TestResponse) -> str:
    """Return a page's text."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


@contextmanager
def statements(engine: Engine) -> Iterator[list[str]]:
    """Collect every SQL statement sent inside."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        found.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


def selects(found: Sequence[str]) -> int:
    """How many of the statements read."""
    return sum(one.lstrip().upper().startswith("SELECT") for one in found)
