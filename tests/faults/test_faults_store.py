"""Database, keys or log in trouble: a clear error of the right kind, nothing shown, and work goes on once it is mended."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import event

from app.cli.shell import host_actor
from app.factory import House, join
from app.kernel.errors import GarduError, KeysDown, StoreDown, TrailDown, UnsafeStart
from app.kernel.ids import new_uid
from app.settings import Settings
from app.store.engine import Store
from app.touch import Guard
from app.vault.keys.local import LocalKeyring
from app.voters import actions, dp4
from app.voters.actions import Place
from tests.conftest import ELECTION, KAB, NOW, PASSPHRASE, PostgresServer, dp4_row, load_dp4, operator, task, write_dp4
from tests.walk_kit import (
    Browser,
    Installed,
    content,
    entries,
    guard_on,
    in_process,
    outcomes,
    put_back,
    reopened,
    rows_of,
    size,
    snapshot,
    store_findings,
    tamper,
    uid_of,
)

SANUR = "51.71.01.1006"
ROW = dp4_row(1)


def _doors(house: House, uid: str, guard: Guard | None = None) -> list[Callable[[], object]]:
    """Every way to a voter, and the way in for rows."""
    given, who = guard or house.guard, operator(house)
    late = house.settings.data.parent / f"late-{new_uid()}.csv"
    intake = dp4.Intake(given, house.places, host_actor(), house.clock, KAB, ELECTION)
    return [
        lambda: actions.read_voter(given, who, task(), uid, NOW),
        lambda: actions.read_voter(given, who, task(), new_uid(), NOW),
        lambda: actions.find_by_nik(given, who, task(), ROW["NIK"], NOW),
        lambda: actions.find_by_name(given, who, task(), ROW["NAMA"], "1980-01-01", NOW),
        lambda: actions.browse(given, who, task(), Place(SANUR, "001", None, 100), NOW),
        lambda: intake.load(write_dp4(late, [dp4_row(7)]), None, lambda done, total: None),
    ]


def _demand_closed(house: House, uid: str, *kinds: type[GarduError], guard: Guard | None = None) -> list[str]:
    """Go through every door; each must fail with one of *kinds*. Return what the operator reads."""
    said = []
    for door in _doors(house, uid, guard):
        with pytest.raises(kinds) as closed:
            door()
        said.append(closed.value.detail)
        assert ROW["NIK"] not in closed.value.detail
        assert ROW["NAMA"] not in closed.value.detail
    return said


def _demand_open(house: House) -> None:
    """Everything works, and nothing of what failed meanwhile left anything behind."""
    uid_of(house, 1)
    load_dp4(house, write_dp4(house.settings.data.parent / f"again-{new_uid()}.csv", [dp4_row(8)]))
    assert store_findings(house) == []
    assert [entry["seq"] for entry in entries(house)] == list(range(size(house)))


@pytest.fixture
def filled(house: House, tmp_path: Path) -> tuple[House, str]:
    """A house with one voter, and the voter's uid."""
    load_dp4(house, write_dp4(tmp_path / "a.csv", [ROW]))
    return house, uid_of(house, 1)


@pytest.fixture
def filled_sqlite(sqlite_house: House, tmp_path: Path) -> tuple[House, str]:
    """The same over SQLite."""
    load_dp4(sqlite_house, write_dp4(tmp_path / "a.csv", [ROW]))
    return sqlite_house, uid_of(sqlite_house, 1)


@pytest.fixture
def filled_postgres(postgres_house: House, tmp_path: Path) -> tuple[House, str]:
    """The same over PostgreSQL."""
    load_dp4(postgres_house, write_dp4(tmp_path / "a.csv", [ROW]))
    return postgres_house, uid_of(postgres_house, 1)


# ---- the log cannot be written ----


def test_a_read_only_file_shows_nothing(filled_sqlite: tuple[House, str]) -> None:
    """Rows could be read and opened, but not recorded: so they are not."""
    house, uid = filled_sqlite
    read_only = Store(f"sqlite:///file:{house.settings.data / 'gardu.db'}?mode=ro&uri=true")
    guard, before = guard_on(house, read_only), size(house)

    said = _demand_closed(house, uid, TrailDown, StoreDown, guard=guard)
    assert all("readonly" in one for one in said)
    assert size(house) == before
    guard.trail.close()
    read_only.dispose()
    _demand_open(house)


def test_a_read_only_server_shows_nothing(filled_postgres: tuple[House, str], postgres: PostgresServer) -> None:
    """A standby, or a server that an operator set read-only."""
    house, uid = filled_postgres
    database = house.store.engine.url.database
    postgres.run(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    house.store.dispose()

    for door in _doors(house, uid)[:-1]:
        with pytest.raises(TrailDown, match="read-only"):
            door()
    postgres.run(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    house.store.dispose()
    _demand_open(house)


def test_a_read_only_server_takes_no_rows_and_says_so(filled_postgres: tuple[House, str], postgres: PostgresServer) -> None:
    """The intake hears StoreDown, not the driver's own error."""
    house, uid = filled_postgres
    postgres.run(f"ALTER DATABASE {house.store.engine.url.database} SET default_transaction_read_only = on")
    house.store.dispose()

    with pytest.raises(StoreDown):
        _doors(house, uid)[-1]()


def test_a_full_database_shows_nothing(filled_sqlite: tuple[House, str]) -> None:
    """SQLite says that the disk is full: every door is shut until there is room again."""
    house, uid = filled_sqlite
    store = Store(house.settings.database)
    full = True

    @event.listens_for(store.engine, "connect")
    def _limit(connection: object, _record: object) -> None:
        if full:
            cursor = connection.cursor()  # type: ignore[attr-defined]
            cursor.execute("PRAGMA max_page_count = 1")  # SQLite raises it to the pages there are
            cursor.close()

    guard = guard_on(house, store)
    for number in range(200):
        # The last page has room for a few entries yet.
        try:
            actions.find_by_nik(guard, operator(house), task(), ROW["NIK"], NOW)
        except TrailDown:
            break
        assert number < 199
    assert all("full" in one for one in _demand_closed(house, uid, TrailDown, StoreDown, guard=guard))
    full = False
    store.dispose()
    actions.find_by_nik(guard, operator(house), task(), ROW["NIK"], NOW)
    guard.trail.close()
    store.dispose()
    _demand_open(house)


def test_a_full_disk_shows_nothing_more_and_loses_nothing_shown(filled_sqlite: tuple[House, str]) -> None:
    """A process whose files may grow by 200 KiB: each value it showed has its entry; then it is shut."""
    house, uid = filled_sqlite
    before = size(house)
    house.close()
    process = in_process("reveal_until_full", str(house.settings.data), uid, str(200 * 1024))
    said, trouble = process.communicate(timeout=60)
    assert trouble == ""

    receipts, code, _ = json.loads(said)
    assert code == "trail-down"
    assert receipts == list(range(before, before + len(receipts)))
    after = reopened(house.settings.data)
    assert size(after) >= before + len(receipts)
    assert set(outcomes(after, before)) == {("voter:reveal", "allowed")}
    assert content(after, receipts[-1])["subjects"] == [uid]
    _demand_open(after)
    after.close()


def test_a_log_whose_head_was_edited_is_not_continued(filled: tuple[House, str]) -> None:
    """Extending it would sign a tree that contradicts what was signed: every door is shut, and the error says what to run."""
    house, uid = filled
    fresh = guard_on(house, house.store)
    triggers = (
        ("DROP TRIGGER trail_head_forward",) if house.store.dialect == "sqlite" else ("DROP TRIGGER trail_head_forward ON trail_head",)
    )
    tamper(house, *triggers, "UPDATE trail_head SET size = size - 1")

    assert all("gardu audit verify" in one for one in _demand_closed(house, uid, TrailDown, guard=fresh))
    fresh.trail.close()


def test_a_log_whose_last_entry_was_cut_off_is_not_continued(filled: tuple[House, str]) -> None:
    """The newest entry removed, as whoever regrets a read would wish."""
    house, uid = filled
    fresh = guard_on(house, house.store)
    trigger = "DROP TRIGGER trail_entry_no_delete" if house.store.dialect == "sqlite" else "DROP TRIGGER trail_entry_guard ON trail_entry"
    tamper(house, trigger, f"DELETE FROM trail_entry WHERE seq = {size(house) - 1}")

    _demand_closed(house, uid, TrailDown, guard=fresh)
    fresh.trail.close()


# ---- the database is gone ----


def test_a_server_that_goes_and_comes_back(filled_postgres: tuple[House, str], postgres: PostgresServer) -> None:
    """Connections cut and refused: shut. Allowed again: open, without a restart."""
    house, uid = filled_postgres
    database = house.store.engine.url.database
    postgres.run(
        f"ALTER DATABASE {database} ALLOW_CONNECTIONS false",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'",
    )

    said = _demand_closed(house, uid, StoreDown, TrailDown)
    assert all("not currently accepting connections" in one for one in said)
    postgres.run(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")
    _demand_open(house)


def test_a_database_that_was_dropped_shows_nothing(filled_postgres: tuple[House, str], postgres: PostgresServer) -> None:
    """The error says that it is not there; no password stands in it."""
    house, uid = filled_postgres
    postgres.run(f"DROP DATABASE {house.store.engine.url.database} WITH (FORCE)")

    said = _demand_closed(house, uid, StoreDown, TrailDown)
    assert all("does not exist" in one and "gardu-app-test" not in one for one in said)


def test_a_database_file_that_was_deleted_shows_nothing(filled_sqlite: tuple[House, str]) -> None:
    """An entry in a file without a name is gone with the process, so it is not durable, so nothing may be shown."""
    house, uid = filled_sqlite
    for path in house.settings.data.glob("gardu.db*"):
        path.unlink()

    _demand_closed(house, uid, StoreDown, TrailDown)


def test_a_new_connection_finds_the_deleted_database_gone(filled_sqlite: tuple[House, str]) -> None:
    """With the file gone there are no tables: shut."""
    house, uid = filled_sqlite
    house.store.dispose()
    for path in house.settings.data.glob("gardu.db*"):
        path.unlink()

    said = _demand_closed(house, uid, StoreDown, TrailDown)
    assert all("no such table" in one for one in said)


# ---- starting ----


def _opens(data: Path, passphrase: str = PASSPHRASE) -> House:
    settings = Settings.load(data, {})
    return join(settings, LocalKeyring.open(settings.keyring, passphrase))


@pytest.fixture
def at_rest(installed_sqlite: Installed, tmp_path: Path) -> Path:
    """An installation that nobody serves."""
    shutil.copytree(installed_sqlite.data, tmp_path / "data")
    return tmp_path / "data"


def test_an_untouched_installation_opens(at_rest: Path) -> None:
    """The control for what follows."""
    _opens(at_rest).close()


def test_a_wrong_passphrase_opens_nothing(at_rest: Path) -> None:
    """The error says which it is, and repeats neither passphrase."""
    with pytest.raises(KeysDown, match="wrong passphrase") as wrong:
        _opens(at_rest, "bukan kunci yang benar")

    assert "bukan" not in wrong.value.detail


@pytest.mark.parametrize("tear", [lambda whole: whole[:-1], lambda whole: whole[:20], lambda whole: b"", lambda whole: whole + b"x", lambda whole: bytes(len(whole)), lambda whole: whole[:70] + bytes([whole[70] ^ 1]) + whole[71:]])  # fmt: skip
def test_a_torn_keyring_says_so(at_rest: Path, tear: Callable[[bytes], bytes]) -> None:
    """Cut, emptied, lengthened, zeroed or flipped: torn, and not called a wrong passphrase."""
    keyring = at_rest / "keyring.json"
    keyring.write_bytes(tear(keyring.read_bytes()))

    with pytest.raises(KeysDown, match="torn"):
        _opens(at_rest)


def test_a_keyring_that_is_gone_or_readable_by_others_opens_nothing(at_rest: Path) -> None:
    """Both are named, with the remedy."""
    keyring = at_rest / "keyring.json"
    keyring.chmod(0o640)
    with pytest.raises(UnsafeStart, match="chmod 600"):
        _opens(at_rest)
    keyring.unlink()

    with pytest.raises(KeysDown, match="no keyring file"):
        _opens(at_rest)


def test_somebody_elses_keyring_opens_nothing(at_rest: Path) -> None:
    """The passphrase is right, the keyring whole, and yet it is another installation's."""
    (at_rest / "keyring.json").unlink()
    LocalKeyring.create(at_rest / "keyring.json", PASSPHRASE)

    with pytest.raises(KeysDown, match="log key of epoch 1"):
        _opens(at_rest)


@pytest.mark.parametrize(
    "statement", ["UPDATE vault_key SET wrapped = x'00' WHERE purpose = 'log'", "DELETE FROM vault_key WHERE purpose = 'log'"]
)
def test_a_log_key_that_was_damaged_or_removed_stops_the_start(at_rest: Path, statement: str) -> None:
    """Without it no entry can be signed."""
    house = _opens(at_rest)
    tamper(house, statement)
    house.close()

    with pytest.raises(KeysDown, match="log key"):
        _opens(at_rest)


@pytest.mark.parametrize("purpose", ["audit", "index"])
def test_without_the_keys_of_the_payload_nothing_is_shown(filled: tuple[House, str], purpose: str) -> None:
    """An entry that could not be sealed cannot be written: KeysDown at every door."""
    house, uid = filled
    kept = rows_of(house, "SELECT wrapped FROM vault_key WHERE purpose = :purpose", purpose=purpose)[0]["wrapped"]
    tamper(house, "UPDATE vault_key SET wrapped = :bad WHERE purpose = :purpose", bad=bytes(62), purpose=purpose)
    house.guard.keys.forget()

    for door in _doors(house, uid):
        with pytest.raises(KeysDown, match=f"{purpose} key"):
            door()
    tamper(house, "UPDATE vault_key SET wrapped = :good WHERE purpose = :purpose", good=kept, purpose=purpose)
    _demand_open(house)


def test_an_empty_or_missing_database_stops_the_start(at_rest: Path) -> None:
    """The error names the schema and what to run; nothing is served from an empty database."""
    database = at_rest / "gardu.db"
    database.write_bytes(b"")
    with pytest.raises(UnsafeStart, match="gardu init or gardu upgrade"):
        _opens(at_rest)
    for path in at_rest.glob("gardu.db*"):
        path.unlink()

    with pytest.raises((UnsafeStart, StoreDown)):
        _opens(at_rest)


@pytest.mark.parametrize("damage", ["not a database", "torn", "no server"])
def test_a_database_that_cannot_be_read_stops_the_start_with_a_clear_error(at_rest: Path, damage: str) -> None:
    """Garbage, a file torn in the middle, a server that does not answer: StoreDown, without the password."""
    database, config = at_rest / "gardu.db", at_rest / "config.toml"
    whole = database.read_bytes()
    if damage == "no server":
        config.write_text(config.read_text().replace("sqlite:///gardu.db", "postgresql://gardu:rahasia@127.0.0.1:1/gardu"))
    else:
        database.write_bytes(b"garbage " * 2048 if damage == "not a database" else whole[:4096] + bytes(len(whole) - 4096))

    with pytest.raises(StoreDown) as down:
        _opens(at_rest)
    assert "rahasia" not in down.value.detail


# ---- what the public sees ----


def test_pages_say_503_and_show_nothing_while_the_log_is_down(filled_sqlite: tuple[House, str]) -> None:
    """Search and voter page: a plain explanation, no value; mended, the same page works."""
    house, uid = filled_sqlite
    browser = Browser(house)
    browser.sign_in()
    address, form = f"/voters/{KAB}-{uid}", {"purpose": "pemutakhiran", "region": KAB, "nik": ROW["NIK"]}
    browser.post("/voters/search", **form)
    page = browser.get(address)
    assert (browser.status, ROW["NAMA"] in page) == (200, True)

    tamper(house, "CREATE TRIGGER full BEFORE INSERT ON trail_entry BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    for text in (browser.get(address), browser.post("/voters/search", **form)):
        assert browser.status == 503
        assert "Jejak audit" in text
        assert not [value for value in ROW.values() if len(value) > 6 and value in text]
    assert browser.get("/healthz") in ('{"status":"ok"}\n', '{"status":"unavailable"}\n')
    tamper(house, "DROP TRIGGER full")
    assert ROW["NAMA"] in browser.get(address)


def test_health_says_unavailable_when_the_database_is_gone(postgres_house: House, postgres: PostgresServer) -> None:
    """Nothing more for a stranger than that."""
    browser = Browser(postgres_house)
    assert (browser.get("/healthz"), browser.status) == ('{"status":"ok"}\n', 200)
    postgres.run(f"DROP DATABASE {postgres_house.store.engine.url.database} WITH (FORCE)")

    assert (browser.get("/healthz"), browser.status) == ('{"status":"unavailable"}\n', 503)


# ---- rows put back by a restored half of a backup ----


def test_half_a_backup_is_found_by_the_check_of_the_store(filled: tuple[House, str], tmp_path: Path) -> None:
    """The roll restored to yesterday, the log not: each row that is missing since is named."""
    house, _ = filled
    yesterday = snapshot(house)
    done = load_dp4(house, write_dp4(tmp_path / "b.csv", [dp4_row(2), dp4_row(3, NIK="5171")]))
    put_back(house, yesterday)

    found = store_findings(house)
    assert len(found) == 2
    assert all(one.startswith(f"entry {done.seq}: ") and one.endswith("the row is gone") for one in found)
