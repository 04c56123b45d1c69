"""Backups in trouble: cut, changed, mixed, of somebody else, killed on the way, no room; and nothing in them to be read."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.audit.canonical import canonical
from app.custody import backup
from app.custody.backup_load import Source, demand_empty, load
from app.custody.backup_room import DATA_FILE, KEY_FILE, L1_FILE, Kept, backups, find, kept
from app.custody.backup_rows import frame
from app.factory import House
from app.kernel.errors import BadInput, Conflict, GarduError, KeysDown, SealBroken, Unavailable
from app.store.engine import Store
from app.vault import age
from tests.conftest import ROOT, load_dp4, make_house, write_dp4
from tests.custody.backup_kit import Vaulted, quiet
from tests.faults.test_faults_history import small_disk
from tests.faults.test_faults_markers import MARK, TWIN, VOTER, WAITING, _found
from tests.sampling import sampled
from tests.walk_kit import outcomes, reopened

FILES = (DATA_FILE, KEY_FILE, L1_FILE)


@pytest.fixture
def vaulted(house: House, request: pytest.FixtureRequest, tmp_path: Path) -> Vaulted:
    """Two voters over each engine."""
    server = request.getfixturevalue("postgres") if house.store.dialect == "postgresql" else None
    made = Vaulted(house, tmp_path / "cadangan", server)
    made.fill(1, 2)
    return made


@pytest.fixture
def one(sqlite_house: House, tmp_path: Path) -> Vaulted:
    """Two voters over SQLite: what a file says does not hang on the engine."""
    made = Vaulted(sqlite_house, tmp_path / "cadangan")
    made.fill(1, 2)
    return made


def place(made: Kept, name: str) -> Path:
    return made.folder.parent / name if name == L1_FILE else made.folder / name


def demand_refused(vaulted: Vaulted, made: Kept, kind: type[GarduError] = SealBroken) -> str:
    """Neither restored, with the database left empty, nor proven; return what the operator reads."""
    target = vaulted.empty()
    with pytest.raises(kind) as refused:
        vaulted.load(made, target, l1=made.folder.parent / L1_FILE)
    demand_empty(target)
    target.dispose()
    if kind is SealBroken:
        proven = vaulted.prove(made)
        assert (proven.good, proven.trouble) == (False, refused.value.detail)
        assert outcomes(vaulted.house)[-1] == ("backup:verify", "failed")
    else:
        with pytest.raises(kind):
            vaulted.prove(made)
    return refused.value.detail


@pytest.mark.parametrize("name", FILES)
def test_a_cut_or_changed_archive_is_refused(one: Vaulted, name: str) -> None:
    """Without its end, with one bit changed in the head's MAC, in the midst and at the end, with something behind it, and empty."""
    made = one.make()
    whole = place(made, name).read_bytes()
    middle = len(whole) // 2
    flips = [bytes(whole[:at]) + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in (whole.index(b"\n--- ") + 10, middle, len(whole) - 1)]

    for number, wrong in enumerate([whole[:-1], whole[:middle], *flips, whole + b"x", b""]):
        copy = one.copy(made, f"salinan-{number}")
        place(copy, name).write_bytes(wrong)
        assert "age:" in demand_refused(one, copy)


def test_a_flipped_byte_is_found_on_each_engine(vaulted: Vaulted) -> None:
    """What had gone into the database before the byte came is rolled back with everything else."""
    made = vaulted.make()
    file = made.folder / DATA_FILE
    whole = bytearray(file.read_bytes())
    whole[-2_000] ^= 0x80
    file.write_bytes(whole)

    demand_refused(vaulted, made)


def test_another_identity_opens_nothing(one: Vaulted) -> None:
    """It is said before anything is written; the failed proof is an entry."""
    made = one.make()
    one.identity, _ = age.Identity.generate()

    detail = demand_refused(one, made, BadInput)

    assert "another recipient" in detail
    assert outcomes(one.house)[-2:] == [("backup:verify", "intent"), ("backup:verify", "failed")]


def test_every_recipient_opens_a_backup_alone(one: Vaulted) -> None:
    second, _ = age.Identity.generate()
    done = backup.create(one.room, one.who, one.folder, [one.identity.recipient, second.recipient], quiet)

    for who in (one.identity, second):
        assert one.prove(find(done.folder), who).good


def _swap_keys(first: Kept, second: Kept) -> None:
    (first.folder / KEY_FILE).write_bytes((second.folder / KEY_FILE).read_bytes())


def _swap_data(first: Kept, second: Kept) -> None:
    (first.folder / DATA_FILE).write_bytes((second.folder / DATA_FILE).read_bytes())


def _keys_as_data(first: Kept, second: Kept) -> None:
    (first.folder / DATA_FILE).write_bytes((first.folder / KEY_FILE).read_bytes())


def _old_l1(first: Kept, second: Kept) -> None:
    # The second is the newer one: its data with the L1 keys of before.
    (second.folder.parent / L1_FILE).write_bytes((first.folder.parent / "l1-of-then").read_bytes())
    (first.folder / KEY_FILE).write_bytes((second.folder / KEY_FILE).read_bytes())
    (first.folder / DATA_FILE).write_bytes((second.folder / DATA_FILE).read_bytes())


@pytest.mark.parametrize(
    ("mix", "words"),
    [
        (_swap_keys, "different backups"),
        (_swap_data, "different backups"),
        (_keys_as_data, "wanted is 'data'"),
        (_old_l1, "older than the data"),
    ],
)
def test_parts_of_two_backups_do_not_mix(one: Vaulted, mix: Callable[[Kept, Kept], None], words: str) -> None:
    """Data of one and keys of another, one passed off as the other, L1 keys from before: each is genuine, the pair is not."""
    first = one.make()
    (one.folder / "l1-of-then").write_bytes((one.folder / L1_FILE).read_bytes())
    one.fill(3)
    second = one.make()
    mix(first, second)

    assert words in demand_refused(one, first)


def test_a_backup_under_another_ones_name_is_not_proven(one: Vaulted) -> None:
    """A whole older backup put into the newest one's folder would else be proven in its place."""
    first = one.make()
    one.fill(3)
    second = one.make()
    for name in (DATA_FILE, KEY_FILE):
        (second.folder / name).write_bytes((first.folder / name).read_bytes())

    proven = one.prove(second)

    assert (proven.good, proven.steps) == (False, 2) and "another backup's name" in proven.trouble


def test_a_backup_of_another_guard_is_refused(one: Vaulted, tmp_path: Path) -> None:
    """Sealed to the same person, of a log of the same name; its keys open under another keyring."""
    other = make_house(tmp_path / "lain", "sqlite:///gardu.db")
    foreign = Vaulted(other, tmp_path / "cadangan-lain")
    foreign.identity = one.identity
    foreign.fill(1)
    made = foreign.make()
    other.close()

    assert "another guard's" in demand_refused(one, made)


def test_a_backup_of_another_log_is_refused(one: Vaulted) -> None:
    """The same keys under another name: a second installation of one keyring."""
    made = one.make()
    target = one.empty()
    source = Source(made, one.folder / L1_FILE, None, one.identity, "lain.localhost/gardu/1")

    with pytest.raises(SealBroken):
        load(source, target, one.house.guard.keys, quiet)
    demand_empty(target)
    target.dispose()


def test_a_missing_file_is_named(one: Vaulted) -> None:
    made = one.make()
    (made.folder / KEY_FILE).unlink()

    assert KEY_FILE in demand_refused(one, made, BadInput)
    (made.folder / DATA_FILE).unlink()
    with pytest.raises(BadInput, match="no backup"):
        find(made.folder)


# ---- made up by somebody who knows the recipient, and that is no secret ----


def frames(raw: bytes) -> list[tuple[bytes, bytes]]:
    """The frames of an opened archive: (kind, content)."""
    found, at = [], 0
    while at < len(raw):
        length = int.from_bytes(raw[at : at + 4], "big")
        found.append((raw[at + 4 : at + 5], raw[at + 5 : at + 4 + length]))
        at += 4 + length
    return found


def forged(vaulted: Vaulted, made: Kept, change: Callable[[list[tuple[bytes, bytes]]], None]) -> None:
    """Change the frames of the data archive and seal it again to the same recipient."""
    plain, file = bytearray(), made.folder / DATA_FILE
    age.decrypt(io.BytesIO(file.read_bytes()), plain.extend, vaulted.identity)
    parts = frames(bytes(plain))
    change(parts)
    out = io.BytesIO()
    age.encrypt([frame(kind, content) for kind, content in parts], out, [vaulted.identity.recipient])
    file.write_bytes(out.getvalue())


def _at(parts: list[tuple[bytes, bytes]], kind: bytes, holding: bytes = b"") -> int:
    return next(number for number, (one, content) in enumerate(parts) if one == kind and holding in content)


def _a_row(parts: list[tuple[bytes, bytes]]) -> None:
    # Another status for the voters, and the manifest's digest made to fit: all that is missing is the signature.
    at = _at(parts, b"T", b'"voter"') + 1
    parts[at] = (b"R", parts[at][1].replace(b"aktif", b"hapus"))
    end = _at(parts, b"E")
    said = json.loads(parts[end][1])
    said["tables"]["voter"]["sha256"] = hashlib.sha256(parts[at][1]).hexdigest()
    parts[end] = (b"E", canonical(said))


def _a_row_alone(parts: list[tuple[bytes, bytes]]) -> None:
    at = _at(parts, b"T", b'"voter"') + 1
    parts[at] = (b"R", parts[at][1].replace(b"aktif", b"hapus"))


def _no_signature(parts: list[tuple[bytes, bytes]]) -> None:
    del parts[_at(parts, b"S")]


def _torn_row(parts: list[tuple[bytes, bytes]]) -> None:
    at = _at(parts, b"R")
    parts[at] = (b"R", parts[at][1][:-1])


def _a_row_twice(parts: list[tuple[bytes, bytes]]) -> None:
    at = _at(parts, b"T", b'"voter"') + 1
    parts.insert(at, parts[at])


def _another_table(parts: list[tuple[bytes, bytes]]) -> None:
    at = _at(parts, b"T", b'"voter"')
    parts[at] = (b"T", parts[at][1].replace(b'"voter"', b'"sqlite_master"'))


def _rows_of_keys(parts: list[tuple[bytes, bytes]]) -> None:
    # A key of the sender's own, for the table that the signed file of L1 keys fills.
    parts.insert(_at(parts, b"E"), (b"T", b'{"table": "vault_key", "columns": ["purpose", "scope", "epoch", "wrapped", "created_at"]}'))


def _a_future_schema(parts: list[tuple[bytes, bytes]]) -> None:
    parts[0] = (b"H", parts[0][1].replace(b'"revision": "', b'"revision": "9'))


def _a_huge_frame(parts: list[tuple[bytes, bytes]]) -> None:
    parts.insert(1, (b"Z", b""))


FORGERIES = (
    (_a_row, "another manifest"), (_a_row_alone, "not those that its manifest names"), (_no_signature, "before its signature"), (_torn_row, "torn|too few"),
    (_a_row_twice, "do not go into"), (_another_table, "no table"), (_rows_of_keys, "manifest names"), (_a_future_schema, "newer one"),
    (_a_huge_frame, "unknown kind"),
)  # fmt: skip


@pytest.mark.parametrize(("change", "words"), FORGERIES, ids=[one.__name__.strip("_") for one, _ in FORGERIES])
def test_an_archive_that_somebody_else_sealed_is_refused(
    one: Vaulted, change: Callable[[list[tuple[bytes, bytes]]], None], words: str
) -> None:
    """Only the log's key signs a manifest; nothing of what was sent in stays, and every error is ours."""
    made = one.make()
    forged(one, made, change)

    detail = demand_refused(one, made)
    assert re.search(words, detail), detail


# ---- killed ----


def die_while_making(data: str, folder: str, recipient: str, point: str) -> None:
    """In a process of its own: make a backup, and die at *point*."""
    house = reopened(Path(data))
    made = Vaulted(house, Path(folder))

    def here(at: str) -> None:
        if at == point:
            os.kill(os.getpid(), signal.SIGKILL)

    backup.create(made.room, made.who, made.folder, [recipient], quiet, here)


def die_while_restoring(data: str, folder: str, secret: str, url: str, point: str) -> None:
    """In a process of its own: restore the one backup there is, and die when step *point* begins."""
    house = reopened(Path(data))
    [made] = kept(Path(folder))

    def here(number: int) -> None:
        if str(number) == point:
            os.kill(os.getpid(), signal.SIGKILL)

    source = Source(made, Path(folder) / L1_FILE, None, age.Identity(secret), house.guard.log)
    load(source, Store(url), house.guard.keys, quiet, here)


def dies(function: str, *arguments: str) -> int:
    call = f"import sys; from tests.faults.test_faults_backup import {function}; {function}(*sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", call, *arguments], cwd=ROOT, capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2_000:]
    return done.returncode


@pytest.mark.parametrize(
    ("point", "whole"),
    sampled([("begun", 0), ("keys", 0), ("data", 0), ("placed", 0), ("named", 1), ("recorded", 1)], ("data", 0)),
)
def test_a_kill_leaves_the_whole_backup_or_a_named_leftover(one: Vaulted, point: str, whole: int) -> None:
    """The next run takes the leftover away and goes through; what has its name is whole."""
    data = str(one.house.settings.data)
    dies("die_while_making", data, str(one.folder), one.identity.recipient, point)

    assert len(list(one.folder.glob(".gardu-*.part"))) == 1 - whole
    assert len(kept(one.folder)) == whole and len(backups(one.room)) == (point == "recorded")
    for left in kept(one.folder):
        assert one.prove(left).good
    made = one.make()
    assert list(one.folder.glob(".gardu-*.part")) == []
    assert one.prove(made).good
    # The entry of the intent stands: that something was copied out is known even of one that was cut off.
    assert outcomes(one.house).count(("backup:create", "intent")) == 2


@pytest.mark.parametrize("point", sampled(["2", "4", "6"], "4"))
def test_a_kill_during_a_restore_leaves_an_empty_database(vaulted: Vaulted, point: str) -> None:
    """The same command begins anew over it."""
    vaulted.make()
    target = vaulted.empty()
    url = target.engine.url.render_as_string(hide_password=False)
    target.dispose()
    dies("die_while_restoring", str(vaulted.house.settings.data), str(vaulted.folder), vaulted.text, url, point)

    again = Store(url)
    demand_empty(again)
    assert vaulted.load(kept(vaulted.folder)[0], again).rows > 40
    with pytest.raises(Conflict):
        demand_empty(again)
    again.dispose()


def test_a_full_disk_leaves_nothing_and_is_told(one: Vaulted, tmp_path: Path) -> None:
    """No half archive, no leftover, one entry that it failed; with room again it goes through."""
    with small_disk(tmp_path / "disk", "24k") as disk:
        one.folder = disk / "cadangan"
        with pytest.raises(Unavailable, match="No space"):
            one.make()

        assert kept(one.folder) == [] and list(one.folder.glob(".gardu-*.part")) == []
        assert outcomes(one.house)[-2:] == [("backup:create", "intent"), ("backup:create", "failed")]
    one.folder = tmp_path / "cadangan"
    assert one.prove(one.make()).good


def test_keys_that_cannot_be_opened_make_no_backup(one: Vaulted) -> None:
    """The log's key signs the manifest: without it nothing is left behind."""
    with pytest.raises(KeysDown):
        backup.create(one.keyless(), one.who, one.folder, [one.identity.recipient], quiet)

    assert kept(one.folder) == [] and list(one.folder.glob(".gardu-*.part")) == []


# ---- nothing to be read ----


def test_nothing_in_a_backup_can_be_read(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the identity not even the log's name; with it, rows whose fields are still sealed; and nothing in temporary files."""
    temp = tmp_path / "temp"
    temp.mkdir()
    monkeypatch.setenv("TMPDIR", str(temp))
    monkeypatch.setenv("SQLITE_TMPDIR", str(temp))
    load_dp4(house, write_dp4(tmp_path / "marked.csv", [VOTER, WAITING, TWIN]))
    vaulted = Vaulted(house, tmp_path / "cadangan")
    made = vaulted.make()
    assert vaulted.prove(made).good

    for name in FILES:
        sealed = place(made, name).read_bytes()
        assert _found(sealed) == [] and b"gardu" not in sealed and b"voter" not in sealed and MARK.encode() not in sealed
        plain = bytearray()
        age.decrypt(io.BytesIO(sealed), plain.extend, vaulted.identity)
        assert b"gardu-backup/1" in plain and _found(bytes(plain)) == []
    assert list(temp.rglob("*")) == []
    for path in house.settings.data.rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            assert _found(raw) == [] and vaulted.text.encode() not in raw, path
