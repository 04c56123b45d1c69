"""An operator who sends files in: through the actions, and through the real pages."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from io import BytesIO, StringIO

import pyotp
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.cli.shell import host_actor
from app.factory import House, web_app
from app.identity import accounts
from app.identity.passwords import Hasher
from app.kernel.fields import Role
from app.voters import intake
from app.voters.rules.rows import COLUMNS
from tests.conftest import KAB, dp4_row, operator
from tests.walk_kit import rows_of

PASSWORD = "lumbung-pelita-7hd2k9"
REASON = "Berkas yang dikirim ternyata berkas tahun lalu."


def table(rows: Iterable[Mapping[str, str]], renamed: Mapping[str, str] | None = None) -> bytes:
    """Return rows as a CSV file. renamed: headers of another name, by column."""
    out = StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([(renamed or {}).get(column, column) for column in COLUMNS])
    writer.writerows([row[column] for column in COLUMNS] for row in rows)
    return out.getvalue().encode()


def some(count: int = 3, first: int = 1) -> bytes:
    """Return a file of *count* good rows."""
    return table(dp4_row(number) for number in range(first, first + count))


def registered(house: House) -> House:
    """The house with its background work known, as the web application makes it."""
    web_app(house)
    return house


def sent(house: House, content: bytes, kab: str = KAB, name: str = "dp4.csv") -> str:
    """Send a file in; return the upload's uid."""
    return intake.receive(house.roll, operator(house, kab), name, content, house.clock.now())


def loaded(house: House, content: bytes, kab: str = KAB) -> str:
    """Send a file in and load it; return the load's uid."""
    uid = sent(registered(house), content, kab)
    actor, now = operator(house, kab), house.clock.now()
    intake.start(house.roll, actor, intake.upload_of(house.roll, actor, uid, now), now)
    load = intake.upload_of(house.roll, actor, uid, now).load
    assert load is not None
    return load


def count(house: House, table_name: str, where: str = "1 = 1", **values: object) -> int:
    return int(str(rows_of(house, f"SELECT count(*) AS n FROM {table_name} WHERE {where}", **values)[0]["n"]))


def form(file: bytes, token: str = "", name: str = "dp4.csv") -> bytes:
    """Return the multipart body (boundary x) of the form that sends a file in."""
    head = (
        f'--x\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n{token}\r\n'
        f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/csv\r\n\r\n'
    )
    return head.encode() + file + b"\r\n--x--\r\n"


@dataclass
class Site:
    """The application over a house, with cheap password hashes."""

    house: House
    app: Flask = field(init=False)

    def __post_init__(self) -> None:
        cheap = replace(self.house.identity, hasher=Hasher(memory_kib=8, passes=1, lanes=1))
        self.house = replace(self.house, identity=cheap)
        self.app = web_app(self.house)

    def join(self, username: str = "operator", office: str = "kpu-51.71", role: Role = Role.KPU_KAB) -> Desk:
        """Make an account and sign in."""
        now = self.house.clock.now()
        uid, _ = accounts.create(
            self.house.identity, host_actor(), username=username, name=f"Orang {username.capitalize()}", office=office, unit="data",
            roles=(role.value,), now=now, password=PASSWORD, must_change=False,
        )  # fmt: skip
        secret = accounts.enrol_by_hand(self.house.identity, host_actor(), uid, now)
        desk = Desk(self, self.app.test_client(), uid)
        assert desk.post("/login", "/login", username=username, password=PASSWORD).status_code == 303
        assert desk.post("/login/totp", "/login/totp", code=pyotp.TOTP(secret).at(now)).location == "/"
        return desk


@dataclass
class Desk:
    """Somebody at a browser."""

    site: Site
    client: FlaskClient
    uid: str

    def get(self, path: str) -> TestResponse:
        return self.client.get(path, base_url=self.site.house.settings.public_origin)

    def token(self, page: str = "/") -> str:
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(page).text)
        assert found, page
        return found[1]

    def post(self, path: str, page: str = "/", **form: str) -> TestResponse:
        return self.client.post(path, data={"csrf_token": self.token(page), **form}, base_url=self.site.house.settings.public_origin)

    def send(self, content: bytes, name: str = "dp4.csv") -> TestResponse:
        """Send a file in, as the form does."""
        return self.raw(form(content, self.token(), name))

    def raw(self, body: bytes, length: int | None = None) -> TestResponse:
        """Send a multipart body made by hand: the test client's own would go through a temporary file."""
        return self.client.post(
            "/intake", input_stream=BytesIO(body), content_length=len(body) if length is None else length,
            content_type="multipart/form-data; boundary=x", base_url=self.site.house.settings.public_origin,
        )  # fmt: skip

    def upload(self, content: bytes) -> str:
        """Send a file in that is taken; return the upload's address."""
        answer = self.send(content)
        assert answer.status_code == 303, answer.text
        return str(answer.location)

    def load(self, content: bytes, **columns: str) -> str:
        """Send a file in, choose its columns and load it; return the load's address."""
        return self.load_columns(self.upload(content), columns or {name: cell for cell, name in enumerate(COLUMNS)})

    def load_columns(self, address: str, columns: Mapping[str, object]) -> str:
        """Load what was sent in to *address* with these columns; return the load's address."""
        answer = self.post(address, act="start", **{name: str(cell) for name, cell in columns.items()})
        assert answer.status_code == 303, answer.text
        done = self.get(address)
        assert done.status_code == 303, done.text
        return str(done.location).removesuffix("/result")
