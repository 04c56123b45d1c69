"""`gardu init` and `gardu upgrade`: an installation whole or not at all, and no secret where it does not belong."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from app.cli import install
from app.cli.install import Plan
from app.factory import House
from app.kernel.errors import BadInput, KeysDown, UnsafeStart
from app.settings import Settings, shipped
from app.store.engine import Store
from app.store.migrate import standing, upgrade
from tests.conftest import MIGRATIONS, NOW, PASSPHRASE, PostgresServer
from tests.walk_kit import outcomes, reopened, size

ORIGIN = "uji.localhost/gardu/1"


def _run(*arguments: str, passphrase: str | None = PASSPHRASE) -> Result:
    """Run a command of this module's group; the passphrase comes through a pipe, as a service manager gives it."""
    group = click.Group()
    install.register(group)
    environ = {}
    if passphrase is not None:
        read, write = os.pipe()
        os.write(write, f"{passphrase}\n".encode())
        os.close(write)
        environ["GARDU_PASSPHRASE_FD"] = str(read)
    return CliRunner().invoke(group, arguments, env=environ)


def _init(data: Path, *more: str, passphrase: str | None = PASSPHRASE) -> Result:
    return _run("init", "--data", str(data), "--origin", ORIGIN, "--admin", "yusuf.admin", "--json", *more, passphrase=passphrase)


def _last(result: Result) -> dict[str, object]:
    said: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return said


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[tuple[Path, dict[str, object], House]]:
    """A directory that `init` made, what it said, and the house in it."""
    result = _init(tmp_path / "data")
    assert result.exit_code == 0, result.output
    house = reopened(tmp_path / "data")
    yield tmp_path / "data", _last(result), house
    house.close()


def test_init_makes_an_installation_that_opens(installed: tuple[Path, dict[str, object], House]) -> None:
    """Directory and files are the owner's alone; the log begins with its own key and ends with the first account."""
    data, said, house = installed

    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in data.iterdir() if path.suffix != ".db" and "-" not in path.name} == {
        "config.toml": 0o600, "keyring.json": 0o600,
    }  # fmt: skip
    assert (said["origin"], said["username"], said["data"]) == (ORIGIN, "yusuf.admin", str(data))
    assert house.settings.public_origin == "https://uji.localhost"
    told = outcomes(house)
    assert told[0] == ("key:create", "done")
    assert told[-2:] == [("policy:load", "done"), ("account:create", "done")]


def test_secrets_stand_nowhere_in_the_directory(installed: tuple[Path, dict[str, object], House]) -> None:
    """Neither the passphrase nor the one-time password is in any file; the password is printed once."""
    data, said, _ = installed
    password = str(said["password"])

    assert len(password) >= 14
    for path in data.rglob("*"):
        assert PASSPHRASE.encode() not in path.read_bytes()
        assert password.encode() not in path.read_bytes()


def test_a_second_init_changes_nothing(tmp_path: Path) -> None:
    """An installation is never made over: exit 2, the same bytes."""
    _init(tmp_path / "data")
    before = {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir() if path.suffix in {".toml", ".json"}}
    result = _init(tmp_path / "data")

    assert (result.exit_code, _last(result)["error"]) == (2, "unsafe-start")
    assert {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir() if path.name in before} == before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--origin", "no origin"), "is not <host>/gardu/<n>"),
        (("--public-origin", "http://gardu.kpu.go.id"), "must be https"),
        (("--database", "mysql://h/d"), "database must be"),
    ],
)
def test_an_unsafe_plan_makes_nothing(tmp_path: Path, more: tuple[str, ...], words: str) -> None:
    """Refused before the first file."""
    result = _init(tmp_path / "data", *more)

    assert result.exit_code == 2
    assert words in str(_last(result)["detail"])
    assert not (tmp_path / "data").exists()


def test_a_short_passphrase_makes_no_installation(tmp_path: Path) -> None:
    """Fourteen characters at least: the keyring can be attacked offline."""
    result = _init(tmp_path / "data", passphrase="short")

    assert result.exit_code == 2
    assert "14 characters" in str(_last(result)["detail"])
    assert not (tmp_path / "data" / "config.toml").exists()


def test_without_a_terminal_or_a_pipe_init_asks_and_gives_up(tmp_path: Path) -> None:
    """No passphrase at hand: no installation."""
    result = _init(tmp_path / "data", passphrase=None)

    assert result.exit_code != 0
    assert not (tmp_path / "data" / "config.toml").exists()


@pytest.mark.parametrize("name", ["", "A", "with space", "x" * 65])
def test_an_impossible_administrators_name_makes_no_installation(tmp_path: Path, name: str) -> None:
    """Refused before anything is made: an installation without an administrator could not be finished by the same command."""
    result = _run("init", "--data", str(tmp_path / "data"), "--origin", ORIGIN, "--admin", name, "--json")

    assert (result.exit_code, _last(result)["error"]) == (2, "bad-input")
    assert not (tmp_path / "data" / "config.toml").exists()


def test_an_init_that_was_cut_off_goes_on_with_the_same_passphrase_only(tmp_path: Path) -> None:
    """Keyring, schema and first keys are there, config.toml is not: it is finished, and the log has no gap and no second beginning."""
    plan = Plan(tmp_path / "data", ORIGIN, "sqlite:///gardu.db", None, "https://uji.localhost")
    install.install(plan, PASSPHRASE, NOW).close()
    (tmp_path / "data" / "config.toml").unlink()

    with pytest.raises(KeysDown, match="wrong passphrase"):
        install.install(plan, "kunci lain yang panjang", NOW)
    house = install.install(plan, PASSPHRASE, NOW)
    told = outcomes(house)
    house.close()
    assert told.count(("key:create", "done")) == 7
    assert told.count(("policy:load", "done")) == 2


def test_a_database_of_another_installation_is_not_taken_over(tmp_path: Path) -> None:
    """Its log key does not open under the new keyring, and nothing is written to it."""
    install.install(Plan(tmp_path / "a", ORIGIN, "sqlite:///gardu.db", None, "https://uji.localhost"), PASSPHRASE, NOW).close()
    url = f"sqlite:///{tmp_path / 'a' / 'gardu.db'}"

    with pytest.raises(KeysDown):
        install.install(Plan(tmp_path / "b", "lain.localhost/gardu/1", url, None, "https://lain.localhost"), PASSPHRASE, NOW)
    assert not (tmp_path / "b" / "config.toml").exists()


def test_init_over_postgresql_keeps_owner_and_application_apart(tmp_path: Path, postgres: PostgresServer) -> None:
    """Migrated by the owner, served by the application's role."""
    owner, application = postgres.migrated()
    result = _init(tmp_path / "data", "--database", application, "--owner-database", owner)

    assert result.exit_code == 0, result.output
    settings = Settings.load(tmp_path / "data", {})
    assert (settings.database, settings.owner_database) == (application, owner)
    reopened(tmp_path / "data").close()


def as_it_was(database: Path, revision: str) -> None:
    """Put a database file back to an older schema, with the rows and columns that one had."""
    old = database.with_name("older.db")
    store = Store(f"sqlite:///{old}")
    upgrade(store, MIGRATIONS, revision)
    store.dispose()
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS newer", (str(database),))
        kept = "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name <> 'alembic_version'"
        for (table,) in connection.execute(kept).fetchall():
            columns = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))
            connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}")
    old.replace(database)


def test_upgrade_brings_an_older_schema_up_and_the_start_demands_it(tmp_path: Path) -> None:
    """A start on an older schema is refused and names the command; the command mends it, and keeps what was there."""
    data = tmp_path / "data"
    _init(data)
    before = reopened(data)
    entries = size(before)
    before.close()
    as_it_was(data / "gardu.db", "0001")
    with pytest.raises(UnsafeStart, match="gardu upgrade"):
        reopened(data)

    result = _run("upgrade", "--data", str(data), "--json")
    assert (result.exit_code, _last(result)) == (0, {"schema": "current"})
    after = reopened(data)
    assert standing(after.store, shipped("migrations"))[0] == standing(after.store, shipped("migrations"))[1]
    assert size(after) == entries > 0
    after.close()


def test_a_command_without_a_directory_says_how_to_name_it() -> None:
    """Usage, not a traceback."""
    result = _run("upgrade")

    assert result.exit_code == 2
    assert "--data DIR or GARDU_DATA" in result.output


def test_a_directory_that_is_no_installation_says_how_to_make_one(tmp_path: Path) -> None:
    """Exit 2, the remedy in words, and the same as JSON."""
    result = _run("upgrade", "--data", str(tmp_path), "--json")

    assert result.exit_code == 2
    assert "gardu init" in str(_last(result)["detail"])


def test_the_keyring_says_the_length_it_needs(tmp_path: Path) -> None:
    """The vault's own check stands behind the command's."""
    from app.vault.keys.local import LocalKeyring

    with pytest.raises(BadInput):
        LocalKeyring.create(tmp_path / "k", "short")
