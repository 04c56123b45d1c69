"""What an erased voter leaves in the database's files, and what a thief of all of them can do with it: nothing, once the keys are gone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from sqlalchemy import text

from app.custody import voter_erasure
from app.factory import House
from app.kernel.errors import KeysDown
from app.store.engine import Store
from app.store.keys import WrappedKeys
from app.vault.envelope import numbers, row_place, table_head
from app.vault.house import KeyHouse
from app.vault.keys.local import LocalKeyring
from tests.conftest import KAB, PASSPHRASE, PostgresServer
from tests.custody.retention_kit import checked
from tests.custody.rotation_kit import all_read, change_provider_key, custody, fill, turn
from tests.custody.test_custody_voter_erasure import Case, decider
from tests.walk_kit import rows_of, store_findings, uid_of


def bytes_of(house: House, uid: str) -> bytes:
    """The wrapped record key as it stands."""
    return bytes(rows_of(house, "SELECT wrapped FROM voter_key WHERE uid = :v", v=uid)[0]["wrapped"])  # type: ignore[call-overload]


def keys_of(house: House) -> list[bytes]:
    """The kab's wrapped seal keys."""
    return [wrapped for _, wrapped in WrappedKeys(house.store).fetch("seal", KAB)]


def opens(house: House, wrapped: bytes, uid: str) -> bool:
    """Whether any seal key of the kab that *house* can have opens a wrapped record key, whatever epoch it says it is of."""
    for epoch, _ in WrappedKeys(house.store).fetch("seal", KAB):
        key = house.guard.keys.key("seal", KAB, epoch)
        for said in range(1, 4):
            try:
                key.cipher.decrypt(wrapped[1:13], wrapped[13:], table_head("voter") + row_place(KAB, uid) + numbers(said))
            except InvalidTag:
                continue
            return True
    return False


def held_by(files: Iterable[Path], wanted: bytes) -> list[Path]:
    """Which files hold these bytes."""
    return [file for file in files if wanted in file.read_bytes()]


def files_of_postgres(server: PostgresServer, house: House) -> list[Path]:
    """The heap of the house's database and the server's WAL, all written out."""
    server.run("CHECKPOINT")
    with server.admin.reading() as session:
        folder = Path(str(session.execute(text("SHOW data_directory")).scalar_one()))
        name = str(house.store.engine.url.database)
        oid = session.execute(text("SELECT oid FROM pg_database WHERE datname = :n"), {"n": name}).scalar_one()
    if not os.access(folder, os.R_OK):
        pytest.skip("the server's files are not on this machine")
    return [one for place in (folder / "base" / str(oid), folder / "pg_wal") for one in place.iterdir() if one.is_file()]


def files_of_sqlite(house: House) -> list[Path]:
    """The database file and what lies beside it."""
    file = Path(str(house.store.engine.url.database))
    return [one for one in file.parent.iterdir() if one.name.startswith(file.name)]


def erased(house: House, tmp_path: Path) -> tuple[Case, bytes, list[bytes]]:
    """A case whose voter is erased, with the bytes that opened the record before: its wrapped key, and the kab's wrapped seal key."""
    fill(house, tmp_path, 4)
    case = Case(house, decider(house, "admin.satu"), decider(house, "admin.dua"), uid_of(house, 1))
    wrapped, keys = bytes_of(house, case.uid), keys_of(house)
    assert opens(house, wrapped, case.uid)
    case.erase()
    return case, wrapped, keys


def test_the_heap_and_the_wal_keep_the_old_bytes_and_nothing_opens_them(
    postgres_house: House, postgres: PostgresServer, tmp_path: Path
) -> None:
    """The wrapped keys are still there to be found; with every key that is left, and the provider key, they are noise."""
    case, wrapped, keys = erased(postgres_house, tmp_path)
    turn(case.house)
    case.house = change_provider_key(case.house)
    voter_erasure.settle(custody(case.house), case.house.clock.now())

    files = files_of_postgres(postgres, case.house)
    assert held_by(files, wrapped), "the old bytes were not found: then this test would prove nothing"
    assert held_by(files, keys[0])
    assert not opens(case.house, wrapped, case.uid)
    with pytest.raises(KeysDown):
        KeyHouse(case.house.guard.keys._provider, _Found(keys[0])).key("seal", KAB, 1)
    assert case.state() == ("done", "")
    assert all_read(case.house, range(2, 5))
    assert checked(case.house) == []
    assert store_findings(case.house) == []
    case.house.close()


def test_an_old_copy_of_the_whole_database_opens_nothing_with_the_keys_of_now(sqlite_house: House, tmp_path: Path) -> None:
    """Somebody kept the file from before. Its keys open only with the provider key that was retired; before that, erasure is called pending."""
    fill(sqlite_house, tmp_path, 4)
    case = Case(sqlite_house, decider(sqlite_house, "admin.satu"), decider(sqlite_house, "admin.dua"), uid_of(sqlite_house, 1))
    wrapped = bytes_of(sqlite_house, case.uid)
    kept = tmp_path / "kept"
    kept.mkdir()
    for file in files_of_sqlite(sqlite_house):
        shutil.copyfile(file, kept / file.name)
    case.erase()
    turn(case.house)
    old = Store(f"sqlite:///{kept / Path(str(sqlite_house.store.engine.url.database)).name}")
    before = LocalKeyring.open(sqlite_house.settings.keyring, PASSPHRASE)

    # The key is gone from the database, and yet a thief with the copy and the provider key still has it: this is why it is not done.
    assert case.state() == ("pending", "provider")
    assert KeyHouse(before, WrappedKeys(old)).key("seal", KAB, 1)

    case.house = change_provider_key(case.house)
    assert voter_erasure.settle(custody(case.house), case.house.clock.now())
    with pytest.raises(KeysDown):
        KeyHouse(case.house.guard.keys._provider, WrappedKeys(old)).key("seal", KAB, 1)
    assert not opens(case.house, wrapped, case.uid)
    assert all_read(case.house, range(2, 5))
    assert checked(case.house) == []
    old.dispose()
    case.house.close()


def test_the_pages_of_sqlite_are_wiped_and_what_the_wal_keeps_does_not_open(sqlite_house: House, tmp_path: Path) -> None:
    """secure_delete writes over the pages; frames of the WAL live on until it is written over."""
    case, wrapped, _ = erased(sqlite_house, tmp_path)
    assert held_by(files_of_sqlite(case.house), wrapped), "the old bytes were not found: then this test would prove nothing"
    turn(case.house)

    with case.house.store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    assert held_by(files_of_sqlite(case.house), wrapped) == []
    assert not opens(case.house, wrapped, case.uid)
    assert all_read(case.house, range(2, 5))


class _Found:
    """A key source of one wrapped key that was found in a file."""

    def __init__(self, wrapped: bytes) -> None:
        self._wrapped = wrapped

    def fetch(self, purpose: str, scope: str) -> list[tuple[int, bytes]]:
        return [(1, self._wrapped)]
