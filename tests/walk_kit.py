"""What the attack tests share: the hands of a database's owner, and eyes that read the log back."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pyotp
import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from app.audit.entry import parse
from app.audit.note import Signer
from app.audit.tables import TouchIndex, TrailEntry, TrailPayload
from app.audit.trail import Faults, Trail
from app.cli.shell import host_actor
from app.custody.storecheck import check_store
from app.factory import House, join, web_app
from app.identity import accounts
from app.kernel.actor import Actor
from app.kernel.errors import GarduError
from app.kernel.fields import Basis, Element, Purpose, Role
from app.policy.book import Book, read_book
from app.policy.decide import Policies
from app.settings import Settings
from app.store.engine import Store
from app.touch import Guard
from app.vault.keys.local import LocalKeyring
from app.vault.keys.provider import KeyProvider
from app.voters import actions, dp4
from app.voters.actions import Task
from tests.conftest import ELECTION, KAB, NOW, PASSPHRASE, ROOT, FakeClock, PostgresServer, dp4_row, make_house, operator, task

# Tables of the roll, in an order in which they can be emptied and filled again.
ROLL = ("voter", "voter_key", "nik_index", "quarantine")
Snapshot = dict[str, list[dict[str, object]]]


def owner(house: House) -> Store:
    """A store with the owner's rights: what a thief of the database's password has. The caller disposes of it."""
    return Store(house.settings.owner_database, pool_size=1)


def past_guards(session: Session) -> None:
    """Let no trigger of this database fire until the commit: a superuser of PostgreSQL can say so."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SET LOCAL session_replication_role = replica"))


def tamper(house: House, *statements: str, guarded: bool = False, **values: object) -> int:
    """Run SQL as the owner, past the database's guards unless *guarded*; return how many rows the last statement met."""
    store = owner(house)
    try:
        with store.writing() as session:
            if not guarded:
                past_guards(session)
            met = [session.execute(text(statement), values).rowcount for statement in statements]  # type: ignore[attr-defined]
        return int(met[-1])
    finally:
        store.dispose()


def rows_of(house: House, statement: str, **values: object) -> list[dict[str, object]]:
    """Read rows as they stand, as the owner."""
    store = owner(house)
    try:
        with store.reading() as session:
            return [dict(row) for row in session.execute(text(statement), values).mappings()]
    finally:
        store.dispose()


def snapshot(house: House) -> Snapshot:
    """Keep the roll's rows as bytes."""
    return {table: rows_of(house, f"SELECT * FROM {table}") for table in ROLL}


def put_back(house: House, kept: Snapshot) -> None:
    """Put the roll back as it was kept, past the log: also what somebody does who restores half a backup."""
    store = owner(house)
    with store.writing() as session:
        past_guards(session)
        for table in ROLL:
            session.execute(text(f"DELETE FROM {table}"))
            for row in kept[table]:
                names = ", ".join(row)
                session.execute(text(f"INSERT INTO {table} ({names}) VALUES ({', '.join(':' + name for name in row)})"), row)
    store.dispose()


@contextmanager
def tampered(house: House, *statements: str, **values: object) -> Iterator[None]:
    """Tamper, and afterwards put everything back. The last statement must have met a row, else nothing was tested."""
    kept = snapshot(house)
    assert tamper(house, *statements, **values) > 0
    try:
        yield
    finally:
        put_back(house, kept)


def entries(house: House, since: int = 0) -> list[dict[str, object]]:
    """The log's entries from *since* on, parsed from their own bytes."""
    query = select(TrailEntry.body).where(TrailEntry.log == house.guard.log, TrailEntry.seq >= since).order_by(TrailEntry.seq)
    with house.store.reading() as session:
        return [dict(parse(body)) for body in session.scalars(query)]


def entry_at(house: House, seq: int) -> dict[str, object]:
    """One entry."""
    with house.store.reading() as session:
        return dict(parse(session.get_one(TrailEntry, (house.guard.log, seq)).body))


def size(house: House) -> int:
    """How many entries the log has."""
    with house.store.reading() as session:
        return session.scalar(select(func.count()).select_from(TrailEntry)) or 0


def content(house: House, seq: int) -> dict[str, object]:
    """What stands in the sealed payload of an entry, opened with the audit key."""
    with house.store.reading() as session:
        row = session.get_one(TrailPayload, (house.guard.log, seq))
        commitment = bytes.fromhex(entry_at(house, seq)["payload"]["commitment"])  # type: ignore[index]
        opened: dict[str, object] = json.loads(house.guard.payloads.open(row.sealed, row.wrapped, row.day, row.log, commitment))
        return opened


def seen_in(house: House, uid: str) -> list[int]:
    """The entries that the touch index names for a voter."""
    query = select(TouchIndex.seq).where(TouchIndex.token == house.guard.payloads.token(uid)).order_by(TouchIndex.seq)
    with house.store.reading() as session:
        return list(session.scalars(query))


def uid_of(house: House, number: int) -> str:
    """The uid of the voter made by ``dp4_row(number)``."""
    found = actions.find_by_nik(house.guard, operator(house), task(), dp4_row(number)["NIK"], house.clock.now())
    return found.shown[0].row.uid


def truth(row: dict[str, str]) -> dict[Element, str]:
    """What the elements of a DP4 row read when nothing is hidden."""
    day, month, year = row["TGL_LHR"].split("|")
    names = ("NKK", "NIK", "NAMA", "TMPT_LHR", "", "STS", "JK", "ALAMAT", "RT", "RW", "DIS", "KTPel", "KET")
    return {element: row[name] if name else f"{year}-{month}-{day}" for element, name in zip(Element, names, strict=True)}


def person(house: House, role: Role, region: str = KAB, unit: str = "data", **changes: object) -> Actor:
    """Somebody of another role, with a fresh factor."""
    office = f"{'bawaslu' if role.value.startswith('bawaslu') else 'kpu'}-{region}"
    return operator(house, region, office=office, unit=unit, role=role, roles=frozenset({role}), **changes)


def supervision(kab: str = KAB) -> Task:
    """The liaison's task."""
    return Task(Purpose.PENGAWASAN, Basis.UU7_2017, kab)


def guard_on(house: House, store: Store, faults: Faults | None = None) -> Guard:
    """The house's guard over another connection to its database, with its own appender."""
    origin = house.settings.origin
    signer = Signer(origin, house.guard.keys.key("log", "00").secret)
    trail = Trail(store, origin, signer) if faults is None else Trail(store, origin, signer, faults=faults)
    return replace(house.guard, store=store, trail=trail)


def reopened(data: Path) -> House:
    """The installation in *data*, joined as another process would."""
    settings = Settings.load(data, {})
    return join(settings, LocalKeyring.open(settings.keyring, PASSPHRASE), FakeClock())


def store_findings(house: House) -> list[str]:
    """What ``gardu audit verify --store`` would say about the rows."""
    return [f"entry {found.seq}: {found.what}" for found in check_store(house.guard, lambda done, total: None)]


def in_process(function: str, *arguments: str, **options: object) -> subprocess.Popen[str]:
    """Run a function of this module in a process group of its own; it may die there."""
    code = f"import sys; from tests.walk_kit import {function}; {function}(*sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )  # type: ignore[call-overload]


def outcomes(house: House, since: int = 0) -> list[tuple[object, object]]:
    """(action, outcome) of every entry from *since* on."""
    return [(entry["action"], entry["outcome"]) for entry in entries(house, since)]


# ---- houses, copied from one that was installed once ----


@dataclass(frozen=True)
class Installed:
    """An installation at rest, and the provider that opens its keyring. databases: (application's, owner's) names on a server."""

    data: Path
    provider: KeyProvider
    databases: tuple[str, str] | None = None

    def copy(self, data: Path, server: PostgresServer | None = None) -> House:
        """Join a copy of it in *data*."""
        shutil.copytree(self.data, data)
        data.chmod(0o700)
        if self.databases is not None and server is not None:
            name = server.copy(str(make_url(self.databases[1]).database))
            config = data / "config.toml"
            text = config.read_text("utf-8")
            config.write_text(text.replace(str(make_url(self.databases[1]).database), name), "utf-8")
        settings = Settings.load(data, {})
        return join(settings, self.provider, FakeClock(), policies=Policies(_book(settings.policies)))


# Reading the policies is most of what joining a house costs, and no test changes the shipped ones.
@cache
def _book(folder: Path) -> Book:
    return read_book(folder, NOW)


# Rooms import the fixtures below into their own conftest, which makes them anew for each; the installation is one all the same.
_AT_REST: dict[str, Installed] = {}


def _installed(data: Path, application: str, owner: str | None = None) -> Installed:
    made = make_house(data, application, owner)
    made.close()
    return Installed(data, LocalKeyring.open(made.settings.keyring, PASSPHRASE), (application, owner) if owner else None)


@pytest.fixture(scope="session")
def installed_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An installation over SQLite, made once."""
    if "sqlite" not in _AT_REST:
        _AT_REST["sqlite"] = _installed(tmp_path_factory.mktemp("installed") / "data", "sqlite:///gardu.db")
    return _AT_REST["sqlite"]


@pytest.fixture(scope="session")
def installed_postgres(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Installed:
    """An installation over PostgreSQL, made once."""
    if "postgres" not in _AT_REST:
        owner, application = postgres.migrated()
        _AT_REST["postgres"] = _installed(tmp_path_factory.mktemp("installed") / "data", application, owner)
    return _AT_REST["postgres"]


@pytest.fixture
def sqlite_house(tmp_path: Path, installed_sqlite: Installed) -> Iterator[House]:
    """A fresh installation over SQLite, with a fake clock."""
    made = installed_sqlite.copy(tmp_path / "data")
    yield made
    made.close()


@pytest.fixture
def postgres_house(tmp_path: Path, postgres: PostgresServer, installed_postgres: Installed) -> Iterator[House]:
    """A fresh installation over PostgreSQL, opened as the application's role."""
    made = installed_postgres.copy(tmp_path / "data", postgres)
    yield made
    made.close()
    postgres.drop(make_url(made.settings.database).database)


@pytest.fixture(params=["sqlite", "postgres"])
def house(request: pytest.FixtureRequest) -> House:
    """A fresh installation over each engine."""
    made: House = request.getfixturevalue(f"{request.param}_house")
    return made


# ---- over the web ----


class Browser:
    """A client of the real application; keeps every address it saw, and the last answer's status."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.client: FlaskClient = web_app(house).test_client()
        self.addresses: list[str] = []
        self.status = 0

    def post(self, path: str, **form: str) -> str:
        """Send a form as its page would, token included; return the answer's text."""
        page = self.client.get(path if path != "/voters/search" else "/voters", base_url=self.house.settings.public_origin)
        token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
        assert token
        answer = self.client.post(path, data={"csrf_token": token[1], **form}, base_url=self.house.settings.public_origin)
        return self._seen(answer)

    def get(self, path: str) -> str:
        """Return a page's text."""
        answer = self.client.get(path, base_url=self.house.settings.public_origin)
        return self._seen(answer)

    def _seen(self, answer: TestResponse) -> str:
        self.status = answer.status_code
        self.addresses += [str(answer.headers), *re.findall(r'(?:href|action|src)="([^"]*)"', answer.text)]
        return answer.text

    def sign_in(self) -> None:
        """Make an operator's account and go through both steps of the login."""
        now = self.house.clock.now()
        uid, password = accounts.create(
            self.house.identity, host_actor(), username="operator", name="Ni Luh Sekar", office="kpu-51.71", unit="data",
            roles=("kpu_kab",), now=now, password="lumbung-pelita-7hd2k9", must_change=False,
        )  # fmt: skip
        secret = accounts.enrol_by_hand(self.house.identity, host_actor(), uid, now)
        self.post("/login", username="operator", password=password)
        self.post("/login/totp", code=pyotp.TOTP(secret).at(now))


# ---- run in a process of their own ----


def ready_intake(data: str, kab: str, faults: Faults | None = None) -> dp4.Intake:
    """An intake in another process, which says that it is ready and waits for the word on stdin."""
    house = reopened(Path(data))
    guard = guard_on(house, house.store, faults)
    return dp4.Intake(guard, house.places, host_actor(), house.clock, kab, ELECTION, batch=500)


def load_and_die(data: str, file: str, point: str, count: str) -> None:
    """Load a file and be killed by SIGKILL at the *count*-th passing of *point*, a point of the trail or ``advance``."""
    passed = Counter[str]()

    def here(at: str) -> None:
        passed[at] += 1
        if at == point and passed[at] == int(count):
            os.kill(os.getpid(), signal.SIGKILL)

    ready_intake(data, KAB, here).load(Path(file), None, lambda done, total: here("advance"))


def load_at_the_word(data: str, file: str, kab: str = KAB) -> None:
    """Load a file when a line comes on stdin; print what became of it as JSON."""
    intake = ready_intake(data, kab)
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        done = intake.load(Path(file), None, lambda done, total: None)
        print(json.dumps([done.rows_read, done.rows_sealed, done.rows_quarantined]))
    except GarduError as error:
        print(json.dumps(error.code))


def reveal_until_full(data: str, uid: str, room: str) -> None:
    """Read a voter over and over with at most *room* more bytes on disk; print how often a value came out, and what came then."""
    house = reopened(Path(data))
    largest = max(path.stat().st_size for path in Path(data).iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + int(room), resource.RLIM_INFINITY))
    receipts = []
    try:
        while True:
            receipts.append(actions.read_voter(house.guard, operator(house), task(), uid, house.clock.now())[0].receipt.seq)
    except GarduError as error:
        print(json.dumps([receipts, error.code, error.detail]))


def reveal_and_tell(data: str, uid: str, threads: str, count: str) -> None:
    """Read a voter *count* times from several threads; print begin, end, number and leaf of the entry of every value that came out."""
    house = reopened(Path(data))

    def read(_number: int) -> None:
        begin = time.monotonic()
        try:
            shown = actions.read_voter(house.guard, operator(house), task(), uid, house.clock.now())[0]
        except GarduError:
            return
        assert shown.values
        told = f"{begin:.9f} {time.monotonic():.9f} {shown.receipt.seq} {shown.receipt.leaf.hex()}\n"
        os.write(1, told.encode())

    with ThreadPoolExecutor(int(threads)) as pool:
        list(pool.map(read, range(int(count))))
    house.close()


def load_and_weigh(data: str, *files: str) -> None:
    """Load files one after the other; print the peak memory of the process and its helpers after each, in KiB."""
    intake = ready_intake(data, KAB)
    for file in files:
        intake.load(Path(file), None, lambda done, total: None)
        print(sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
