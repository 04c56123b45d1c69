"""`gardu keys rotate …` and `gardu erase …`: keys changed and a voter erased from the machine."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from app.cli import keys as keys_cli
from app.cli import rotation as rotation_cli
from app.factory import House
from app.kernel.fields import Role
from tests.conftest import KAB, PASSPHRASE
from tests.custody.retention_kit import PASSWORD, Someone
from tests.custody.rotation_kit import all_read, begin, custody, fill, key_epochs, step
from tests.walk_kit import installed_sqlite, sqlite_house, store_findings, tamper, uid_of

__all__ = ["installed_sqlite", "sqlite_house"]


@pytest.fixture(scope="module")
def gardu() -> click.Group:
    """The commands, without the rest."""
    group = click.Group()
    keys_cli.register(group)
    rotation_cli.register(group)
    return group


def run(gardu: click.Group, house: House, *arguments: str, typed: str = "") -> Result:
    """Run a command on the house's directory, the passphrase through a pipe."""
    read, write = os.pipe()
    os.write(write, f"{PASSPHRASE}\n".encode())
    os.close(write)
    environ = {"GARDU_PASSPHRASE_FD": str(read), "GARDU_ORIGIN": ""}
    return CliRunner().invoke(gardu, [*arguments, "--data", str(house.settings.data), "--json"], env=environ, input=typed)


def told(result: Result) -> dict[str, object]:
    found: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("arguments", [("kab", KAB), ("blind", KAB), ("data", KAB), ("nik",)])
def test_a_rotation_runs_to_the_end(gardu: click.Group, sqlite_house: House, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """And says that the old key is destroyed."""
    fill(sqlite_house, tmp_path, 3)

    done = run(gardu, sqlite_house, "keys", "rotate", *arguments)

    assert done.exit_code == 0, done.output
    assert (told(done)["state"], told(done)["broken"]) == ("done", 0)
    assert "destroyed" in done.stderr
    assert all_read(sqlite_house, range(1, 4))
    assert store_findings(sqlite_house) == []


def test_the_same_command_goes_on_with_what_was_begun(gardu: click.Group, sqlite_house: House, tmp_path: Path) -> None:
    """After a kill, or when somebody held it."""
    fill(sqlite_house, tmp_path, 4)
    uid = begin(sqlite_house)
    step(sqlite_house, uid)
    assert told(run(gardu, sqlite_house, "keys", "rotate", "pause", uid))["state"] == "paused"
    assert run(gardu, sqlite_house, "keys", "rotate", "data", KAB).exit_code == 2

    done = run(gardu, sqlite_house, "keys", "rotate", "kab", KAB)

    assert told(done)["uid"] == uid
    assert key_epochs(sqlite_house) == [2]
    [shown] = told(run(gardu, sqlite_house, "keys", "rotate", "show"))["rotations"]  # type: ignore[misc]  # one rotation
    assert shown["state"] == "done"  # type: ignore[index]


def test_a_halted_rotation_ends_with_one_and_names_the_row(gardu: click.Group, sqlite_house: House, tmp_path: Path) -> None:
    """Exit 1: it looked and found something wrong."""
    fill(sqlite_house, tmp_path, 2)
    victim = uid_of(sqlite_house, 1)
    tamper(sqlite_house, "UPDATE voter SET c03 = c04 WHERE uid = :v", v=victim)

    halted = run(gardu, sqlite_house, "keys", "rotate", "kab", KAB)

    assert halted.exit_code == 1
    assert victim in halted.stderr
    assert told(halted)["state"] == "halted"


@pytest.mark.parametrize(("region", "words"), [("31.71", "no seal key"), ("bali", "is not where")])
def test_a_region_without_keys_is_refused(gardu: click.Group, sqlite_house: House, region: str, words: str) -> None:
    """Exit 2, in one line."""
    refused = run(gardu, sqlite_house, "keys", "rotate", "kab", region)

    assert refused.exit_code == 2
    assert words in str(told(refused)["detail"])


def test_two_people_erase_a_voter_at_the_machine(gardu: click.Group, sqlite_house: House, tmp_path: Path) -> None:
    """Each signs in with password and code; then show says what is still to be done, and settle waits for it."""
    from app.kernel.clock import SystemClock

    fill(sqlite_house, tmp_path, 3)
    # Commands read the real clock.
    now = SystemClock().now()
    one, other = Someone(sqlite_house, "admin.satu", now=now), Someone(sqlite_house, "petugas", Role.PETUGAS_KEAMANAN, now=now)
    voter = f"{KAB}-{uid_of(sqlite_house, 1)}"

    asked = run(
        gardu,
        sqlite_house,
        "erase",
        "ask",
        voter,
        "--reason",
        "Putusan no. 7",
        "--as",
        "admin.satu",
        typed=f"{PASSWORD}\n{one.code(now)}\n",
    )
    assert asked.exit_code == 0, asked.output
    uid = str(told(asked)["uid"])
    done = run(gardu, sqlite_house, "erase", "confirm", uid, "--as", "petugas", typed=f"{PASSWORD}\n{other.code(SystemClock().now())}\n")
    assert told(done)["state"] == "pending", done.output
    assert run(gardu, sqlite_house, "keys", "rotate", "kab", KAB).exit_code == 0
    shown = run(gardu, sqlite_house, "erase", "show")
    assert told(shown)["erasures"] == [{"uid": uid, "voter": voter, "state": "pending", "stage": "provider"}]
    assert "gardu keys rotate provider" in shown.stderr
    assert told(run(gardu, sqlite_house, "erase", "settle"))["done"] == []
    assert run(gardu, sqlite_house, "erase", "settle", "--retired", sqlite_house.guard.keys.wraps_now()).exit_code == 2
    assert all_read(sqlite_house, range(2, 4))
    assert custody(sqlite_house)
