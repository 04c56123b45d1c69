"""An old backup after an erasure, and the whole way back by command: whoever was erased stays so, neighbours read, both logs verify."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli.main import main
from app.custody.backup_room import L1_FILE, NOTE_FILE, Kept
from app.factory import House
from app.kernel.errors import NotThere, SealBroken
from app.kernel.fields import Role
from app.store.engine import Store
from app.store.keys import WrappedKeys
from app.touch.record import row_key
from app.voters.actions import read_voter, rows_by_uid
from tests.conftest import KAB, PASSPHRASE, operator, task
from tests.custody.backup_kit import Vaulted
from tests.custody.rotation_kit import all_read, fill, key_epochs, turn
from tests.custody.test_custody_voter_erasure import Case, decider
from tests.walk_kit import outcomes, reopened, rows_of, store_findings, uid_of


@dataclass
class Pair:
    """A backup from before an erasure, and one from after the kab's key was rotated and the old one destroyed."""

    vaulted: Vaulted
    case: Case
    old: Kept
    new: Kept

    @property
    def house(self) -> House:
        return self.vaulted.house


@pytest.fixture
def pair(house: House, request: pytest.FixtureRequest, tmp_path: Path) -> Pair:
    """Four voters; a backup; the first one erased, the key rotated, the old key destroyed; another backup."""
    server = request.getfixturevalue("postgres") if house.store.dialect == "postgresql" else None
    fill(house, tmp_path, 4, quarantined=0)
    case = Case(house, decider(house, "admin.satu"), decider(house, "petugas", Role.PETUGAS_KEAMANAN), uid_of(house, 1))
    vaulted = Vaulted(house, tmp_path / "cadangan", server)
    old = vaulted.make()
    house.clock.move(minutes=1)  # type: ignore[attr-defined]
    case.erase()
    turn(house)
    assert key_epochs(house) == [2]
    house.clock.move(minutes=1)  # type: ignore[attr-defined]
    return Pair(vaulted, case, old, vaulted.make())


def command(pair: Pair, *arguments: str) -> Result:
    """Run `gardu backup …` or another on the house's directory; passphrase and identity come through pipes."""
    environ = {"GARDU_DATA": str(pair.house.settings.data), "GARDU_ORIGIN": ""}
    read, write = os.pipe()
    os.write(write, f"{PASSPHRASE}\n".encode())
    os.close(write)
    environ["GARDU_PASSPHRASE_FD"] = str(read)
    return CliRunner().invoke(main, [*arguments, "--json"], env=environ)


def identity(pair: Pair) -> str:
    """The identity through an open file descriptor."""
    read, write = os.pipe()
    os.write(write, f"# a comment\n{pair.vaulted.text}\n".encode())
    os.close(write)
    return f"fd:{read}"


def last(result: Result) -> dict[str, object]:
    said: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return said


def test_an_old_pair_alone_opens_nobody_once_the_key_is_destroyed(pair: Pair) -> None:
    """Everything that the folder holds of then, with the L1 keys of now: the wrapped record key leads to a key that is nowhere."""
    target = pair.vaulted.empty()
    pair.vaulted.load(pair.old, target)
    keys = pair.house.guard.keys.over(WrappedKeys(target))
    with target.reading() as session:
        [row] = rows_by_uid(session, KAB, [pair.case.uid])

    assert row.wrapped
    with pytest.raises(SealBroken, match="no seal key of epoch 1"):
        keys.key_named("seal", KAB, row.epoch, "voter")
    target.dispose()


def test_an_old_backup_with_the_newest_keys_brings_neighbours_back_and_the_erased_not(pair: Pair) -> None:
    """By command: the erased record is empty and keyless, neighbours read, both logs and the store are good, sessions and the old name end."""
    url = pair.vaulted.empty().engine.url.render_as_string(hide_password=False)
    house, data = pair.house, pair.house.settings.data

    done = command(
        pair, "backup", "restore", str(pair.old.folder), "--into", url, "--identity", identity(pair), "--keys", str(pair.new.folder), "--yes",
        "--checkpoint", str(pair.new.folder / NOTE_FILE),
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    said = last(done)
    assert (said["erased"], said["rekeyed"], said["lost"], said["log"]) == (1, 3, [], "uji.localhost/gardu/2")
    config = data / "config.toml"
    lines = [one for one in config.read_text("utf-8").splitlines() if not one.startswith(("origin", "database", "owner_database"))]
    config.write_text("\n".join(['origin = "uji.localhost/gardu/2"', f'database = "{url}"', *lines]) + "\n", "utf-8")
    restored = reopened(data)
    assert all_read(restored, range(2, 5))
    with pytest.raises(NotThere):
        read_voter(restored.guard, operator(restored), task(), pair.case.uid, restored.clock.now())
    with restored.store.reading() as session:
        [row] = rows_by_uid(session, KAB, [uid_of(restored, 2)])
    assert row_key(restored.guard, row).epoch == 2
    [gone] = rows_of(restored, "SELECT c03, seal, status FROM voter WHERE uid = :u", u=pair.case.uid)
    assert (gone["c03"], gone["seal"], gone["status"]) == (b"", b"", "dihapus")
    assert rows_of(restored, "SELECT uid FROM voter_key WHERE uid = :u", u=pair.case.uid) == []
    assert store_findings(restored) == []
    written = [one for one in outcomes(restored) if one[0] != "voter:reveal" and one[0] != "voter:search"]
    assert written[:4] == [("trail:reopen", "done"), ("backup:restore", "done"), ("voter:erase", "allowed"), ("key:rotate", "done")]
    restored.close()
    assert house.guard.log == "uji.localhost/gardu/1"
    verified = command(pair, "audit", "verify", "--store")
    assert verified.exit_code == 0, verified.output


def test_the_way_back_by_command(pair: Pair, tmp_path: Path) -> None:
    """create, verify, restore; the new name in config.toml when it names this very database; the second restore is refused."""
    house, folder = pair.house, tmp_path / "lain"
    recipient = pair.vaulted.identity.recipient

    made = last(command(pair, "backup", "create", "--to", str(folder), "--recipient", recipient))
    archive = str(made["folder"])
    proven = command(pair, "backup", "verify", archive, "--identity", identity(pair))
    assert proven.exit_code == 0, proven.output
    assert (last(proven)["ok"], [one["ok"] for one in last(proven)["steps"]]) == (True, [True] * 6)  # type: ignore[attr-defined]

    store = pair.vaulted.empty()
    url = store.engine.url.render_as_string(hide_password=False)
    store.dispose()
    done = command(pair, "backup", "restore", archive, "--into", url, "--identity", identity(pair), "--yes")
    assert done.exit_code == 0, done.output
    assert last(done)["next"][0].startswith("In config.toml: origin =")  # type: ignore[index]
    again = command(pair, "backup", "restore", archive, "--into", url, "--identity", identity(pair), "--yes")
    assert again.exit_code == 2 and "not empty" in again.output
    with Store(url).reading() as session:
        halted = session.connection().exec_driver_sql("SELECT log, kind, reason FROM trail_halt ORDER BY at").all()
    assert [(log, kind) for log, kind, _ in halted] == [(house.guard.log, "halt")] * 2
    assert "restored from backup" in halted[0][2]


def test_what_the_command_says_when_it_is_not_proven(pair: Pair) -> None:
    """Exit 1 for an archive that does not hold, 2 for one that could not be tried; the step that failed is marked."""
    whole = bytearray((pair.new.folder / "data.age").read_bytes())
    whole[-1] ^= 1
    copy = pair.vaulted.copy(pair.new)
    (copy.folder / "data.age").write_bytes(whole)

    broken = command(pair, "backup", "verify", str(copy.folder), "--identity", identity(pair))
    wrong = command(pair, "backup", "verify", str(pair.new.folder), "--identity", str(pair.new.folder / NOTE_FILE))
    none = command(pair, "backup", "verify", str(pair.vaulted.folder), "--identity", identity(pair))

    assert (broken.exit_code, wrong.exit_code, none.exit_code) == (1, 2, 2)
    assert last(broken)["ok"] is False and "NOT proven" in broken.output and "!! 2" in broken.output
    assert pair.vaulted.text not in broken.output + wrong.output + none.output
    assert (pair.vaulted.folder / L1_FILE).is_file()
