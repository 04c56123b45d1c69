"""`gardu partitions` and the layout of `gardu init` and `gardu upgrade`: what is said, in words and as JSON, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from app.cli import audit, install, partitions
from app.factory import House
from app.store.engine import Store
from tests.conftest import PASSPHRASE, PostgresServer, dp4_row, load_dp4, make_house, write_dp4
from tests.walk_kit import Installed, tamper


def _run(*arguments: str, passphrase: str | None = None) -> Result:
    group, environ = click.Group(), {}
    install.register(group)
    partitions.register(group)
    if passphrase is not None:
        read, write = os.pipe()
        os.write(write, f"{passphrase}\n".encode())
        os.close(write)
        environ["GARDU_PASSPHRASE_FD"] = str(read)
    return CliRunner().invoke(group, arguments, env=environ)


def _last(result: Result) -> dict[str, object]:
    said: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return said


@pytest.fixture
def house(tmp_path: Path, postgres: PostgresServer) -> Iterator[House]:
    """An installation over PostgreSQL with one voter, whose directory the commands open by themselves."""
    owner, application = postgres.migrated()
    made = make_house(tmp_path / "data", application, owner)
    load_dp4(made, write_dp4(tmp_path / "a.csv", [dp4_row(1)]))
    yield made
    made.close()


def test_the_layout_and_its_weights_are_told(house: House) -> None:
    """Four tables; nobody stands in a default partition; exit 0."""
    result = _run("partitions", "status", "--data", str(house.settings.data), "--json")

    assert result.exit_code == 0, result.output
    said = _last(result)
    assert (said["layout"], said["strays"]) == ("partitions", {})
    assert {one["table"] for one in said["partitions"]} == {"voter", "voter_key", "quarantine", "nik_index"}  # type: ignore[attr-defined]


def test_a_kab_without_a_partition_is_told_and_gets_one(house: House) -> None:
    """Its voter stands in the default one: exit 1 and the command to run; afterwards all is well, and a second time is refused."""
    data = str(house.settings.data)
    tamper(house, "UPDATE voter_key SET kab = '51.10'", "UPDATE voter SET kab = '51.10'")
    told = _run("partitions", "status", "--data", data, "--json")
    assert (told.exit_code, _last(told)["strays"]) == (1, {"51.10": 1})
    assert "gardu partitions add 51.10" in told.stderr

    made = _run("partitions", "add", "51.10", "--data", data, "--json")
    assert (made.exit_code, _last(made)) == (0, {"kab": "51.10", "moved": 1})
    assert _run("partitions", "status", "--data", data).exit_code == 0
    again = _run("partitions", "add", "51.10", "--data", data)
    assert (again.exit_code, "voter_p5110" in again.output) == (2, True)


def test_sqlite_has_no_partitions(installed_sqlite: Installed, tmp_path: Path) -> None:
    """Status says so; adding one is refused."""
    made = installed_sqlite.copy(tmp_path / "data")
    made.close()
    result = _run("partitions", "status", "--data", str(tmp_path / "data"), "--json")

    assert (result.exit_code, _last(result)) == (0, {"layout": "whole", "strays": {}, "partitions": []})
    assert _run("partitions", "add", "51.10", "--data", str(tmp_path / "data")).exit_code == 2


def test_init_cuts_the_roll_as_asked(postgres: PostgresServer, tmp_path: Path) -> None:
    """Two partitions of each province by hash."""
    database = postgres.empty()
    result = _run(
        "init", "--data", str(tmp_path / "data"), "--origin", "uji.localhost/gardu/1", "--admin", "yusuf.admin", "--database", database,
        "--partitions", "2", "--json", passphrase=PASSPHRASE,
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    store = Store(database)
    with store.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM pg_inherits WHERE inhparent = 'voter_p51'::regclass")) == 2
    store.dispose()


def test_init_refuses_a_layout_that_the_server_does_not_have(postgres: PostgresServer, tmp_path: Path) -> None:
    """Said before anything counts as installed, with the remedy; init runs again afterwards."""
    data, database = tmp_path / "data", postgres.empty()
    given = ("init", "--data", str(data), "--origin", "uji.localhost/gardu/1", "--admin", "yusuf.admin", "--database", database)
    refused = _run(*given, "--layout", "citus", passphrase=PASSPHRASE)

    assert refused.exit_code == 2
    assert "CREATE EXTENSION citus" in refused.output
    assert not (data / "config.toml").exists()
    assert _run(*given, passphrase=PASSPHRASE).exit_code == 0


def test_a_replica_verifies_log_and_store(house: House, postgres: PostgresServer) -> None:
    """A server that takes no writes, as a standby: everything is checked, and that it could not be recorded is said."""
    data = str(house.settings.data)
    postgres.run(f"ALTER DATABASE {house.store.engine.url.database} SET default_transaction_read_only = on")
    house.store.dispose()
    group = click.Group()
    audit.register(group)
    read, write = os.pipe()
    os.write(write, f"{PASSPHRASE}\n".encode())
    os.close(write)
    result = CliRunner().invoke(group, ["audit", "verify", "--store", "--data", data, "--json"], env={"GARDU_PASSPHRASE_FD": str(read)})

    assert result.exit_code == 0, result.output
    assert (_last(result)["ok"], _last(result)["store"]) == (True, True)
    assert "could not be recorded" in result.stderr
