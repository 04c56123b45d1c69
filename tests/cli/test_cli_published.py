"""`gardu audit publish | head-guard | resume`, the export as tiles, and what `verify` says of time stamps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from app.audit import published, stamp
from app.audit.published import Halt
from app.cli import audit
from app.factory import House
from app.openlog.publisher import publish
from tests.audit import tsa_kit
from tests.conftest import PASSPHRASE, ROOT
from tests.walk_kit import Installed, outcomes, reopened


@pytest.fixture
def house(tmp_path: Path, installed_sqlite: Installed) -> House:
    """An installation whose commands open it themselves."""
    made = installed_sqlite.copy(tmp_path / "data")
    made.close()
    return made


def run(house: House, *arguments: str) -> Result:
    """Run `gardu audit …` on the house."""
    group = click.Group()
    audit.register(group)
    read, write = os.pipe()
    os.write(write, f"{PASSPHRASE}\n".encode())
    os.close(write)
    environ = {"GARDU_PASSPHRASE_FD": str(read), "GARDU_DATA": str(house.settings.data)}
    return CliRunner().invoke(group, ("audit", *arguments, "--json"), env=environ)


def said(result: Result) -> dict[str, object]:
    """Return the result object."""
    found: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_publishing_by_hand_says_how_the_witnesses_stand(house: House) -> None:
    """Without one it says that nobody outside would notice."""
    result = run(house, "publish")

    assert (result.exit_code, said(result)["configured"], said(result)["fresh"]) == (0, False, True)
    assert "no witness is configured" in result.stderr


def test_the_export_as_tiles_is_checked_by_two_strangers(house: House, tmp_path: Path) -> None:
    """The one-file verifier and the second hand take it; with one bit bent both refuse."""
    folder = tmp_path / "tiles"
    told = said(run(house, "export", "--tiles", str(folder)))
    key = tmp_path / "key"
    key.write_text(str(told["vkey"]), "utf-8")

    def check() -> list[int]:
        commands = (
            [sys.executable, "app/verifier.py", "tiles", str(folder), "--key", str(key)],
            [sys.executable, "tests/vectors/independent.py", "tiles", str(folder), "--key", str(told["vkey"])],
        )
        return [subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode for command in commands]

    assert check() == [0, 0]
    bundle = next((folder / "tile" / "entries").rglob("*.p/*"))
    raw = bytearray(bundle.read_bytes())
    raw[40] ^= 1
    bundle.write_bytes(bytes(raw))
    assert 0 not in check()


def test_an_export_names_file_or_folder(house: House, tmp_path: Path) -> None:
    """Neither and both are a usage error."""
    assert run(house, "export").exit_code == 2
    assert run(house, "export", "--out", str(tmp_path / "a"), "--tiles", str(tmp_path / "b")).exit_code == 2


def test_the_head_guard_is_written_where_the_settings_say(house: House, tmp_path: Path) -> None:
    """Without the setting it says how to set it."""
    assert "no head_guard in config.toml" in run(house, "head-guard", "--yes").stderr
    config = house.settings.data / "config.toml"
    config.write_text(config.read_text("utf-8") + f'head_guard = "{tmp_path / "other" / "head"}"\n', "utf-8")
    (tmp_path / "other").mkdir()

    result = run(house, "head-guard", "--yes")

    assert result.exit_code == 0, result.output
    assert f"\n{said(result)['size']}\n" in (tmp_path / "other" / "head").read_text("utf-8")


def test_a_halted_log_says_so_and_goes_on_only_after_resume(house: House) -> None:
    """Exports and exits 2 while it is halted; resuming needs a reason and is an entry."""
    opened = reopened(house.settings.data)
    published.halt(opened.store, opened.guard.log, Halt(99, "a witness has seen 99 entries", "", opened.clock.now()))
    opened.close()

    stopped = run(house, "export", "--out", str(house.settings.data / "log.export"))
    assert stopped.exit_code == 2
    assert "is halted: a witness has seen 99 entries" in stopped.stderr
    assert run(house, "resume", "--reason", "\n").exit_code == 2
    assert said(run(house, "resume", "--reason", "saksi salah disetel"))["size"] == 99
    assert run(house, "resume", "--reason", "sekali lagi").exit_code == 2

    opened = reopened(house.settings.data)
    assert outcomes(opened)[-1] == ("witness:change", "done")
    opened.close()


def test_verify_names_a_stamp_that_does_not_hold(house: House, tmp_path: Path) -> None:
    """A stamp of another authority than the settings' roots is a finding of its checkpoint."""
    mine, others = tsa_kit.Authority(), tsa_kit.Authority()
    opened = reopened(house.settings.data)
    with tsa_kit.serving(others) as url:
        found = publish(opened.openlog, opened.clock.now())
        assert found is not None
        query, _ = stamp.request(found.note)
        stamp.store_stamp(opened.store, opened.guard.log, found.size, url, stamp.fetch(url, query), tsa_kit.NOW)
    opened.close()
    roots = tmp_path / "roots.pem"
    roots.write_bytes(mine.roots)
    config = house.settings.data / "config.toml"
    config.write_text(config.read_text("utf-8") + f'timestamp_url = "https://tsa.example/"\ntimestamp_roots = "{roots}"\n', "utf-8")

    result = run(house, "verify")

    assert result.exit_code == 1
    assert len(said(result)["findings"]) == 1  # type: ignore[arg-type]


def test_verify_with_workers_says_the_same(house: House) -> None:
    """In two processes or in one; none is not a number of processes."""
    alone, together = run(house, "verify", "--workers", "1"), run(house, "verify", "--workers", "2")

    assert (alone.exit_code, together.exit_code) == (0, 0)
    # The first check is an entry of its own by the time of the second.
    assert said(alone)["findings"] == said(together)["findings"] == []
    assert run(house, "verify", "--workers", "0").exit_code == 2
