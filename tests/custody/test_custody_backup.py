"""Backups: made while the guard serves, sealed, proven by a real restore, put back into an empty database and nowhere else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from app.audit.entry import draft_for
from app.audit.query import head
from app.cli.shell import host_actor
from app.custody import backup
from app.custody.backup_load import Source, demand_empty, load
from app.custody.backup_room import KEY_DAYS, KEY_FILE, L1_FILE, NOTE_FILE, Kept, backups, is_due, kept, last_proven, proofs
from app.custody.backup_rows import LEFT_OUT, tables_of
from app.factory import House
from app.kernel.errors import BadInput, Conflict, SealBroken
from app.kernel.fields import Action, Outcome
from app.settings import _KEY_DAYS
from app.store.engine import Store
from tests.conftest import PostgresServer
from tests.custody.backup_kit import Vaulted, quiet
from tests.custody.retention_kit import Backup
from tests.walk_kit import content, entries, outcomes, rows_of, size, tamper


@pytest.fixture
def vaulted(house: House, request: pytest.FixtureRequest, tmp_path: Path) -> Vaulted:
    """Two voters over each engine."""
    server = request.getfixturevalue("postgres") if house.store.dialect == "postgresql" else None
    made = Vaulted(house, tmp_path / "cadangan", server)
    made.fill(1, 2)
    return made


@pytest.fixture
def one(sqlite_house: House, tmp_path: Path) -> Vaulted:
    """Two voters over SQLite, where the engine makes no difference."""
    made = Vaulted(sqlite_house, tmp_path / "cadangan")
    made.fill(1, 2)
    return made


@pytest.fixture
def emptied(vaulted: Vaulted) -> Iterator[Store]:
    """An empty database of the same engine."""
    store = vaulted.empty()
    yield store
    store.dispose()


# ---- making and proving ----


def test_a_backup_is_proven_by_a_restore(vaulted: Vaulted) -> None:
    """Every step holds, both ends are entries that name the manifest, and the row of the proof is the newest."""
    made = vaulted.make()
    before = size(vaulted.house)
    proven = vaulted.prove(made)

    assert (proven.trouble, proven.good, proven.steps) == ("", True, 6)
    assert outcomes(vaulted.house, before - 2) == [
        ("backup:create", "intent"), ("backup:create", "done"), ("backup:verify", "intent"), ("backup:verify", "done"),
    ]  # fmt: skip
    assert proven.size == before - 1
    [row], last = backups(vaulted.room), last_proven(vaulted.room)
    named = [one["detail"] for one in entries(vaulted.house, before - 1) if one["outcome"] == "done"]
    assert named[0] == named[1] and named[0] is not None
    assert last is not None and (last.backup, last.seq, row.uid, row.sound) == (made.uid, proven.seq, made.uid, True)
    assert list(vaulted.house.settings.data.glob(".gardu-drill-*")) == []


def test_a_backup_is_of_one_moment_while_others_write(vaulted: Vaulted) -> None:
    """Entries that are appended between its parts are in none of them; the next one has them."""
    done = list[threading.Thread]()

    def meanwhile(point: str) -> None:
        if point in {"begun", "keys", "l1"} and len(done) < 3:
            draft = draft_for(host_actor(), Action.TRAIL_READ, Outcome.ALLOWED, vaulted.house.clock.now())
            thread = threading.Thread(target=vaulted.house.guard.trail.append, args=(draft,))
            thread.start()
            thread.join()
            done.append(thread)

    before = size(vaulted.house)
    proven = vaulted.prove(vaulted.make(meanwhile))

    assert (proven.trouble, proven.size) == ("", before + 2)
    assert size(vaulted.house) == before + 1 + 3 + 1 + 2


def test_a_proof_whose_row_was_changed_counts_for_nothing(one: Vaulted) -> None:
    """Whoever may write to the database can neither make a restore proven nor make it younger."""
    tried = one.prove(one.make(), identity=None)
    assert tried.good
    tamper(one.house, "UPDATE backup_proof SET at = '2099-01-01 00:00:00.000000'")

    assert [proof.sound for proof in proofs(one.room)] == [False]
    assert last_proven(one.room) is None


def test_without_the_right_to_make_a_database_it_is_proven_in_sqlite(
    postgres_house: House, postgres: PostgresServer, tmp_path: Path
) -> None:
    """An owner without CREATEDB: a private file in the data directory, gone afterwards; with it, a database of its own, gone as well."""
    vaulted = Vaulted(postgres_house, tmp_path / "cadangan", postgres)
    vaulted.fill(1)
    made = vaulted.make()
    own = vaulted.prove(made)
    vaulted.room = replace(vaulted.room, settings=replace(postgres_house.settings, owner_database=postgres_house.settings.database))
    without = vaulted.prove(made)

    assert [(one.scratch, one.good, one.trouble) for one in (own, without)] == [("postgresql", True, ""), ("sqlite", True, "")]
    assert list(postgres_house.settings.data.glob(".gardu-drill-*")) == []
    left = rows_of(postgres_house, "SELECT datname FROM pg_database WHERE datname LIKE 'gardu!_drill!_%' ESCAPE '!'")
    assert left == []


def test_a_proof_is_good_for_thirty_days(one: Vaulted) -> None:
    """Then the page says that it is due again."""
    one.prove(one.make())
    last = last_proven(one.room)
    assert last is not None

    one.house.clock.move(days=30)  # type: ignore[attr-defined]
    assert not is_due(last, one.house.clock.now())
    one.house.clock.move(seconds=1)  # type: ignore[attr-defined]
    assert is_due(last, one.house.clock.now()) and is_due(None, one.house.clock.now())


# ---- restoring ----


def everything(store: Store) -> dict[str, list[str]]:
    """Every row of every table, as text, sorted; what a backup leaves out aside. Partitions count as their parent."""
    found = {}
    with store.reading() as session:
        for table in tables_of(session.connection()):
            if table.name not in LEFT_OUT:
                rows = [dict(row) for row in session.execute(text(f"SELECT * FROM {table.name}")).mappings()]
                found[table.name] = sorted(json.dumps({str(name): _plain(row[name]) for name in sorted(row, key=str)}) for row in rows)
    return found


def _plain(value: object) -> object:
    return bytes(value).hex() if isinstance(value, bytes | memoryview) else str(value)


def triggers(store: Store) -> set[str]:
    """The guards that stand."""
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        if store.dialect == "sqlite"
        else "SELECT DISTINCT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled IN ('O', 'A')"
    )
    with store.reading() as session:
        return set(session.scalars(text(query)))


def test_what_is_restored_is_what_was_there(vaulted: Vaulted, emptied: Store) -> None:
    """Row for row, the indexes made anew, every guard standing again; sessions are left behind."""
    now = everything(vaulted.house.store)
    made = vaulted.make()
    loaded = vaulted.load(made, emptied)

    found = everything(emptied)
    log = ("trail_entry", "trail_payload", "trail_checkpoint", "trail_head", "touch_index")
    for table in set(now) - set(log) - {"backup_set"}:
        assert found[table] == now[table], table
    assert len(found["trail_entry"]) == len(now["trail_entry"]) + 1
    assert len(found["nik_index"]) == 2 and loaded.rows > 40
    assert triggers(emptied) == triggers(vaulted.house.store)
    with emptied.reading() as session:
        assert session.execute(text("SELECT count(*) FROM login_session")).scalar_one() == 0


def test_an_archive_goes_into_the_other_engine(vaulted: Vaulted, postgres: PostgresServer, tmp_path: Path) -> None:
    """What was copied out of SQLite comes back in PostgreSQL and the other way round, moments to the microsecond."""
    made = vaulted.make()
    other = Store(f"sqlite:///{tmp_path / 'lain.db'}") if vaulted.server is not None else Store(postgres.empty())
    vaulted.load(made, other)
    with other.reading() as session:
        stored = session.execute(text("SELECT seq, body FROM trail_entry ORDER BY seq")).all()
        changed = str(session.execute(text("SELECT created_at FROM vault_key WHERE purpose = 'log'")).scalar_one())
    other.dispose()

    assert [json.loads(bytes(body)) for _, body in stored] == entries(vaulted.house)[: len(stored)]
    [own] = rows_of(vaulted.house, "SELECT created_at FROM vault_key WHERE purpose = 'log'")
    assert changed[:19] == str(own["created_at"])[:19]


def test_a_database_with_anything_in_it_is_left_alone(vaulted: Vaulted, emptied: Store) -> None:
    """A restore never mixes with what is there, not with one row."""
    made = vaulted.make()
    vaulted.load(made, emptied)
    before = everything(emptied)

    with pytest.raises(Conflict, match="not empty"):
        vaulted.load(made, emptied)
    assert everything(emptied) == before


@pytest.fixture
def forked(one: Vaulted) -> tuple[Kept, str]:
    """A backup of a history that was set back and went on otherwise; and a checkpoint of the other history, no longer than the backup's."""
    house = one.house
    before = Backup(house)
    _append(house, 3)
    fork = one.make()
    before.put_back(house)
    house.guard.keys.forget()
    house.clock.move(minutes=1)  # type: ignore[attr-defined]
    _append(house, 1)
    note = head(house.store, house.guard.log).checkpoint
    _append(house, 20)
    return fork, note


def _append(house: House, count: int) -> None:
    for _ in range(count):
        house.guard.trail.append(draft_for(host_actor(), Action.TRAIL_READ, Outcome.ALLOWED, house.clock.now()))


def test_a_backup_of_another_history_is_not_proven(one: Vaulted, forked: tuple[Kept, str]) -> None:
    """It is whole and signed, and yet not this log's past."""
    proven = one.prove(forked[0])

    assert (proven.good, proven.steps) == (False, 4)
    assert "another history" in proven.trouble


def test_a_backup_of_another_history_is_not_restored(one: Vaulted, forked: tuple[Kept, str]) -> None:
    """A checkpoint from outside tells them apart, and nothing is left in the database."""
    fork, note = forked
    target = one.empty()
    source = Source(fork, one.folder / L1_FILE, None, one.identity, one.house.guard.log, (note,))

    with pytest.raises(SealBroken, match="another history"):
        load(source, target, one.house.guard.keys, quiet)
    demand_empty(target)
    target.dispose()


# ---- old ones go ----


def test_key_archives_die_within_thirty_days_and_data_by_number(vaulted: Vaulted) -> None:
    """Each going is an entry and shows in the row; the newest backups and their keys stay."""
    clock = vaulted.house.clock
    first = vaulted.make()
    clock.move(days=20)  # type: ignore[attr-defined]
    second = vaulted.make()
    clock.move(days=11)  # type: ignore[attr-defined]
    third = vaulted.make()

    gone = backup.expire(vaulted.room, host_actor(), vaulted.folder, keep=2, key_days=KEY_DAYS)

    assert (gone.keys, gone.whole) == ((first.uid,), (first.uid,))
    assert {one.uid for one in kept(vaulted.folder)} == {second.uid, third.uid}
    assert outcomes(vaulted.house)[-1] == ("backup:expire", "done")
    clock.move(days=20)  # type: ignore[attr-defined]
    gone = backup.expire(vaulted.room, host_actor(), vaulted.folder, keep=2, key_days=365)
    assert (gone.keys, gone.whole) == ((second.uid,), ())
    assert [(one.uid, one.keys is None) for one in kept(vaulted.folder)] == [(third.uid, False), (second.uid, True)]
    rows = {one.uid: one for one in backups(vaulted.room)}
    assert rows[second.uid].keys_gone_at is not None and all(one.sound for one in rows.values())


def test_a_backup_that_no_row_names_keeps_its_data(one: Vaulted) -> None:
    """After a restore the rows of later backups are gone: their data must not go with them; their keys still do, by age."""
    made = one.make()
    tamper(one.house, "DELETE FROM backup_set")
    newer = one.make()
    one.house.clock.move(days=31)  # type: ignore[attr-defined]

    backup.expire(one.room, host_actor(), one.folder, keep=1)

    assert {(left.uid, left.keys) for left in kept(one.folder)} == {(made.uid, None), (newer.uid, None)}


def test_the_settings_know_the_same_limit() -> None:
    assert _KEY_DAYS == KEY_DAYS


def test_one_backup_at_a_time(one: Vaulted) -> None:
    """The second is told so, and the first is not disturbed."""
    heard = list[str]()

    def second(point: str) -> None:
        if point == "keys":
            with pytest.raises(Conflict) as refused:
                one.make()
            heard.append(refused.value.detail)

    made = one.make(second)

    assert heard and "another backup" in heard[0]
    assert one.prove(made).good


def test_a_recipient_must_be_one(one: Vaulted) -> None:
    """Nothing is begun for a key that is none, least of all for a secret one."""
    before = size(one.house)
    for wrong in ("", "age1qqqq", one.text):
        with pytest.raises(BadInput):
            backup.create(one.room, host_actor(), one.folder, [wrong], quiet)
    assert size(one.house) == before and not one.folder.exists()


# ---- old pairs ----


def test_files_of_a_set(one: Vaulted) -> None:
    """Private files under one name, the L1 keys beside it, and a checkpoint that is ahead of the archive."""
    made = one.make()
    files = {path.name: path.stat().st_mode & 0o777 for path in made.folder.iterdir()}

    assert files == {"data.age": 0o600, KEY_FILE: 0o600, NOTE_FILE: 0o600}
    assert (one.folder / L1_FILE).stat().st_mode & 0o777 == 0o600
    assert int((made.folder / NOTE_FILE).read_text().split("\n")[1]) == size(one.house)
    assert content(one.house, size(one.house) - 1)["backup"] == made.uid
