"""The people around one voter: who touches them, the officer who tells, and eyes that read a PDF."""

from __future__ import annotations

import base64
import html
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pyotp
from flask.testing import FlaskClient
from sqlalchemy import event, select, text
from werkzeug.test import TestResponse

from app.cli.shell import host_actor
from app.factory import House, web_app
from app.identity import accounts
from app.identity.passwords import Hasher
from app.kernel.actor import Actor
from app.kernel.fields import Role
from app.subjects.room import Subjects
from app.voters import actions
from app.voters.tables import NikIndex
from tests.conftest import ELECTION, KAB, NEIGHBOUR, dp4_row, load_dp4, task, write_dp4
from tests.walk_kit import entry_at, owner, person, size, supervision

PASSWORD = "kuda lumping naik tangga 77"
# What must never stand in a page or a report of this room: the voter's own values, planted to be looked for.
MARKED = {"NAMA": "WAYAN PENANDA UNIK", "NIK": "5171010101807777", "NKK": "5171010101017777", "ALAMAT": "JL. PENANDA NO. 77"}
# name → role, office, unit
PEOPLE = {
    "pdp": (Role.PEJABAT_PDP, "kpu-51.71", "hukum"),
    "pdp.ri": (Role.PEJABAT_PDP, "kpu-00", "hukum"),
    "pdp.bali": (Role.PEJABAT_PDP, "kpu-51", "hukum"),
    "pdp.badung": (Role.PEJABAT_PDP, "kpu-51.03", "hukum"),
    "operator": (Role.KPU_KAB, "kpu-51.71", "data"),
    "operator.badung": (Role.KPU_KAB, "kpu-51.03", "data"),
    "bawaslu": (Role.BAWASLU_KAB, "bawaslu-51.71", "pengawasan"),
    "data": (Role.PENYETUJU, "kpu-51.71", "data"),
    "hukum": (Role.PENYETUJU, "kpu-51.71", "hukum"),
    "keamanan": (Role.PETUGAS_KEAMANAN, "kpu-00", "keamanan"),
    "admin": (Role.ADMIN_SISTEM, "kpu-00", "keamanan"),
}


def loaded(house: House) -> House:
    """Load three voters into 51.71, the first with marked values, and one into 51.03."""
    data = house.settings.data
    load_dp4(house, write_dp4(data / "a.csv", [dp4_row(1, **MARKED), dp4_row(2), dp4_row(3)]))
    away = dp4_row(4, KECAMATAN="KUTA", DESA="KUTA", NIK="5103010101800004", NKK="5103010101010004")
    load_dp4(house, write_dp4(data / "b.csv", [away]), NEIGHBOUR)
    return house


class Site:
    """The application, an account and a browser per person, and the voters by name."""

    def __init__(self, house: House) -> None:
        identity = replace(house.identity, hasher=Hasher(memory_kib=8, passes=1, lanes=1))
        mandates = replace(house.mandates, identity=identity)
        self.house = replace(house, identity=identity, mandates=mandates, roll=replace(house.roll, mandates=mandates))
        self.room = Subjects(self.house.guard, identity, mandates)
        self.app = web_app(self.house)
        self.uids: dict[str, str] = {}
        self.browsers: dict[str, FlaskClient] = {}
        self.voter, self.other, self.third = (self._uid(nik) for nik in (MARKED["NIK"], dp4_row(2)["NIK"], dp4_row(3)["NIK"]))
        self.away = self._uid("5103010101800004", NEIGHBOUR)
        self.address = f"/subjects/{KAB}-{self.voter}"

    def _uid(self, nik: str, kab: str = KAB) -> str:
        # A search touches whoever it finds; the token table tells who was loaded without touching them again.
        with self.house.store.reading() as session:
            [uid] = session.scalars(
                select(NikIndex.uid).where(NikIndex.b_nik == actions.blind_of(self.house.guard.keys, kab).b_nik(nik, ELECTION))
            )
        return uid

    def account(self, name: str, **changes: object) -> str:
        """Make an account for somebody of PEOPLE; return its uid."""
        if name not in self.uids:
            role, office, unit = PEOPLE[name]
            self.uids[name], _ = accounts.create(
                self.house.identity, host_actor(), username=f"uji.{name}", name=f"Orang {name}", office=office, unit=unit,
                roles=[one.value for one in changes.get("roles", (role,))],  # type: ignore[attr-defined]  # a test's own choice
                now=self.house.clock.now(), password=PASSWORD, must_change=False,
            )  # fmt: skip
        return self.uids[name]

    def actor(self, name: str, **changes: object) -> Actor:
        """Return somebody as an actor with a fresh factor."""
        role, office, unit = PEOPLE[name]
        return person(self.house, role, office.partition("-")[2], unit, uid=self.account(name), **changes)

    def browser(self, name: str) -> FlaskClient:
        """Return the browser of somebody, signed in."""
        if name not in self.browsers:
            uid, now = self.account(name), self.house.clock.now()
            secret = accounts.enrol_by_hand(self.house.identity, host_actor(), uid, now)
            self.browsers[name] = self.app.test_client()
            assert self.post(name, "/login", "/login", username=f"uji.{name}", password=PASSWORD).status_code == 303
            assert self.post(name, "/login/totp", "/login/totp", code=pyotp.TOTP(secret).at(now)).status_code == 303
        return self.browsers[name]

    def get(self, name: str, path: str) -> TestResponse:
        return self.browser(name).get(path, base_url=self.house.settings.public_origin)

    def post(self, name: str, page: str, path: str, **form: str) -> TestResponse:
        origin = self.house.settings.public_origin
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.browsers[name].get(page, base_url=origin).text)
        assert found, page
        return self.browsers[name].post(path, data={"csrf_token": found[1], **form}, base_url=origin)

    # ---- touches of the voter ----

    def opens(self, name: str = "operator", times: int = 1, uid: str | None = None) -> None:
        """Somebody reads the voter's page."""
        for _ in range(times):
            actor = self.actor(name)
            duty = supervision() if actor.role is Role.BAWASLU_KAB else task(actor.region)
            actions.read_voter(self.house.guard, actor, duty, uid or self.voter, self.house.clock.now())

    def is_refused(self, name: str = "operator.badung") -> None:
        """A neighbour's operator reaches for the voter."""
        try:
            actions.read_voter(self.house.guard, self.actor(name), task(KAB), self.voter, self.house.clock.now())
        except Exception:
            return
        raise AssertionError("the neighbour was let in")

    @property
    def last(self) -> dict[str, object]:
        return entry_at(self.house, size(self.house) - 1)


def plain(answer: TestResponse) -> str:
    """A page's text, or one element's, without marks."""
    return words(answer.text)


def words(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def kinds(answer: TestResponse) -> list[str]:
    """What each row of a page says it is, in the page's order."""
    return re.findall(r'data-kind="(\w+)"', answer.text)


def main_rows(answer: TestResponse) -> list[int]:
    """Numbers of the entries in the main table."""
    table = answer.text.partition('<details class="fold readings"')[0]
    return [int(one.replace(".", "")) for one in re.findall(r'entry-no">entri ([\d.]+)<', table)]


@contextmanager
def statements(house: House) -> Iterator[list[str]]:
    """Collect the SQL that is sent meanwhile."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    event.listen(house.store.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(house.store.engine, "before_cursor_execute", note)


def edit(house: House, seq: int, column: str, value: object) -> None:
    """Change a column of an entry as the database's owner can: past the triggers."""
    store = owner(house)
    with store.writing() as session:
        if store.dialect == "sqlite":
            for name in (
                session.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'trail_entry'")).scalars().all()
            ):
                session.execute(text(f"DROP TRIGGER {name}"))
        else:
            session.execute(text("ALTER TABLE trail_entry DISABLE TRIGGER USER"))
        met = session.execute(text(f"UPDATE trail_entry SET {column} = :value WHERE seq = :seq"), {"value": value, "seq": seq})
        assert met.rowcount == 1  # type: ignore[attr-defined]
    store.dispose()


_STREAM = re.compile(rb"stream\r?\n(.*?)endstream", re.S)
_SHOWN = re.compile(rb"\(((?:\\.|[^\\)])*)\)\s*(?:Tj|TJ|')", re.S)


def text_of(pdf: bytes) -> str:
    """Return what a PDF made with standard fonts shows, line by line, without a PDF library: its streams inflated, its strings read."""
    shown: list[str] = []
    for found in _STREAM.findall(pdf):
        try:
            content = zlib.decompress(base64.a85decode(found.strip(), adobe=False) if not found.strip().endswith(b"~>") else _a85(found))
        except (ValueError, zlib.error):
            continue
        shown += [re.sub(rb"\\(\d{3}|.)", _unescape, one).decode("cp1252") for one in _SHOWN.findall(content)]
    return " ".join(" ".join(shown).split())


def _a85(stream: bytes) -> bytes:
    return base64.a85decode(b"<~" + stream.strip(), adobe=True)


def _unescape(found: re.Match[bytes]) -> bytes:
    return bytes([int(found[1], 8)]) if len(found[1]) == 3 else {b"n": b"\n", b"r": b"\r"}.get(found[1], found[1])
