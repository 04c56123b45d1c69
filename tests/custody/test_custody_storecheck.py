"""The store against the log: whatever was done to the rows past the log is found, and the row and its entry are named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from sqlalchemy import Connection, event, update
from sqlalchemy.orm import Session

from app import touch
from app.cli.shell import host_actor
from app.custody.storecheck import check_store
from app.factory import House
from app.kernel.actor import Ask
from app.kernel.errors import KeysDown, SealBroken
from app.kernel.fields import CELL_COUNT, Basis, Element, Purpose, Stage
from app.kernel.ids import new_uid
from app.store.keys import WrappedKeys
from app.vault.blind import Blind
from app.vault.house import KeyHouse
from app.vault.keys.local import LocalKeyring
from app.vault.seal import seal_row
from app.voters import actions
from app.voters.tables import Voter, VoterKey
from tests.conftest import ELECTION, KAB, NEIGHBOUR, NOW, PASSPHRASE, dp4_row, load_dp4, operator, task, write_dp4
from tests.walk_kit import Installed, entries, put_back, rows_of, snapshot, store_findings, tamper, tampered, uid_of

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True)
class Loaded:
    """Two loads of this kab (entries first and second) and one of the neighbour; each has a quarantined row."""

    house: House
    first: int
    second: int
    uid: str
    waiting: str


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """A house of each engine with rows of three loads; whoever changes it puts it back."""
    installed: Installed = request.getfixturevalue(f"installed_{request.param}")
    server = request.getfixturevalue("postgres") if request.param == "postgres" else None
    folder = tmp_path_factory.mktemp("loaded")
    house = installed.copy(folder / "data", server)
    first = load_dp4(house, write_dp4(folder / "a.csv", [dp4_row(1), dp4_row(2), dp4_row(3, NIK="5171")]))
    second = load_dp4(house, write_dp4(folder / "b.csv", [dp4_row(4), dp4_row(5, NKK="")]))
    load_dp4(house, write_dp4(folder / "c.csv", [dp4_row(6, KECAMATAN="KUTA", DESA="KUTA"), dp4_row(7, NIK="x")]), NEIGHBOUR)
    [waiting] = rows_of(house, "SELECT uid FROM quarantine WHERE load = :load", load=first.uid)
    assert first.seq is not None
    assert second.seq is not None
    yield Loaded(house, first.seq, second.seq, uid_of(house, 1), str(waiting["uid"]))
    house.close()


def test_a_store_that_is_as_the_log_says_is_clean(loaded: Loaded) -> None:
    """Nothing is said, and the progress reaches every entry that wrote rows."""
    told: list[tuple[int, int]] = []

    assert list(check_store(loaded.house.guard, lambda done, total: told.append((done, total)))) == []
    assert told == [(1, 3), (2, 3), (3, 3)]


# What is done with :v (a voter's uid) and :q (a quarantined row's), the finding's table and words, and whether an entry is named.
CHANGES = [
    *((f"UPDATE voter SET {column} = {value} WHERE uid = :v", "voter", words) for column, value, words in (
        ("c02", "c03", "does not match the seal"), ("b_nkk", "b_nik", "does not match the seal"), ("b_nd", "b_nik", "does not match the seal"),
        ("kec", "'51.71.02'", "does not match the seal"), ("desa", "'51.71.01.1001'", "does not match the seal"), ("tps", "'999'", "does not match the seal"),
        ("status", "'dihapus'", "does not match the seal"), ("election", "'2024'", "does not match the seal"),
        ("seal", "c02", "its seal is another"), ("row_version", "0", "put back to version 0"),
        ("row_version", "2", "stands at version 2, which no entry wrote"), ("key_epoch", "2", "does not match the seal"),
        ("kab", "'51.03'", "the row is gone"), ("uid", "'" + "a" * 26 + "'", "the row is gone"),
    )),
    ("DELETE FROM voter WHERE uid = :v", "voter", "the row is gone"),
    ("UPDATE voter_key SET wrapped = (SELECT wrapped FROM voter_key x WHERE x.uid <> voter_key.uid LIMIT 1) WHERE uid = :v", "voter", "do not open"),
    ("DELETE FROM voter_key WHERE uid = :v", "voter", "wrong length"),
    ("UPDATE voter_key SET epoch = 2 WHERE uid = :v", "voter", "no seal key of epoch 2"),
    ("UPDATE quarantine SET reasons = 'NIK:ganda' WHERE uid = :q", "quarantine", "does not match the seal"),
    ("UPDATE quarantine SET row_no = 1 WHERE uid = :q", "quarantine", "does not match the seal"),
    ("UPDATE quarantine SET cell = wrapped WHERE uid = :q", "quarantine", "does not match the seal"),
    ("UPDATE quarantine SET seal = wrapped WHERE uid = :q", "quarantine", "its seal is another"),
    ("UPDATE quarantine SET kab = '51.03' WHERE uid = :q", "quarantine", "the row is gone"),
    ("DELETE FROM quarantine WHERE uid = :q", "quarantine", "the row is gone"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "table", "words"), CHANGES, ids=[change[0] for change in CHANGES])
def test_a_change_names_the_row_and_the_entry_that_wrote_it(loaded: Loaded, change: str, table: str, words: str) -> None:
    """Any column, any row, any key: uid and entry stand in the finding."""
    uid = loaded.uid if ":v" in change else loaded.waiting
    with tampered(loaded.house, change, **({"v": uid} if ":v" in change else {"q": uid})):
        found = store_findings(loaded.house)

    assert any(one.startswith(f"entry {loaded.first}: {table} {uid}: ") and words in one for one in found), found
    assert store_findings(loaded.house) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("DELETE FROM nik_index WHERE uid = :v", ["voter {v}: its NIK index is missing or changed"]),
        ("UPDATE nik_index SET b_nik = (SELECT b_nkk FROM voter LIMIT 1) WHERE uid = :v", ["voter {v}: its NIK index", "nik_index {v}: points at no such voter"]),
        ("UPDATE nik_index SET election = '2024' WHERE uid = :v", ["voter {v}: its NIK index", "nik_index {v}: points at no such voter"]),
        ("INSERT INTO nik_index (b_nik, election, kab, uid) SELECT b_nik, election, '51.03', uid FROM nik_index WHERE uid = :v", ["nik_index {v}: points at no such voter"]),
        ("INSERT INTO voter_key (kab, uid, wrapped, epoch) SELECT '51.03', uid, wrapped, epoch FROM voter_key WHERE uid = :v", ["voter_key {v}: belongs to no voter"]),
    ],
)  # fmt: skip
def test_indexes_and_keys_that_fit_no_row_are_named(loaded: Loaded, change: str, words: list[str]) -> None:
    """Removed, edited or added: the index and the keys are the roll's own, no more and no fewer."""
    with tampered(loaded.house, change, v=loaded.uid):
        found = store_findings(loaded.house)

    for expected in words:
        assert any(expected.format(v=loaded.uid) in one for one in found), found


def test_tables_that_are_read_whole_are_joined_whole(loaded: Loaded) -> None:
    """Row by row, as the server would of itself right after a load, that takes the square of the roll (PostgreSQL; EXPLAIN says so)."""
    engine, plans = loaded.house.store.engine, list[str]()
    if engine.dialect.name != "postgresql":
        pytest.skip("SQLite looks up row by row, by the primary key")

    def explain(connection: Connection, _cursor: object, statement: str, parameters: Mapping[str, object], *_: object) -> None:
        if "NOT (EXISTS" in statement:
            cursor = cast("psycopg.Cursor[tuple[str]]", connection.connection.cursor())
            cursor.execute(f"EXPLAIN {statement}", parameters)
            plans.append("\n".join(line for (line,) in cursor.fetchall()))

    event.listen(engine, "before_cursor_execute", explain)
    try:
        assert store_findings(loaded.house) == []
    finally:
        event.remove(engine, "before_cursor_execute", explain)

    assert len(plans) == 3
    assert all("Nested Loop" not in plan and "Anti Join" in plan for plan in plans), plans


@pytest.mark.parametrize("table", ["voter", "quarantine"])
def test_rows_put_in_past_the_log_are_counted_and_named(loaded: Loaded, table: str) -> None:
    """A copy of a row under another uid: no entry wrote it, and no finding blames a row that one did."""
    forged = new_uid()
    [row] = rows_of(loaded.house, f"SELECT * FROM {table} WHERE uid = :uid", uid=loaded.uid if table == "voter" else loaded.waiting)
    names = ", ".join(row)
    insert = f"INSERT INTO {table} ({names}) VALUES ({', '.join(':' + name for name in row)})"
    with tampered(loaded.house, insert, **{**row, "uid": forged}):
        found = store_findings(loaded.house)

    assert f"entry None: {table}: 1 more rows than the log accounts for: rows were put in past the log" in found
    assert f"entry None: {table} {forged}: no entry wrote this row" in found
    assert not [one for one in found if loaded.uid in one or loaded.waiting in one]


def test_a_row_taken_away_does_not_hide_one_put_in(loaded: Loaded) -> None:
    """One out, one in, as many as before: both are named."""
    forged = new_uid()
    with tampered(loaded.house, "UPDATE voter SET uid = :forged WHERE uid = :v", forged=forged, v=loaded.uid):
        found = store_findings(loaded.house)

    assert f"entry {loaded.first}: voter {loaded.uid}: the row is gone" in found
    assert f"entry None: voter {forged}: no entry wrote this row" in found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("DELETE FROM trail_payload WHERE seq = :seq", "its list of rows is missing"),
        ("UPDATE trail_payload SET sealed = wrapped WHERE seq = :seq", "its payload does not open"),
        ("UPDATE trail_payload SET wrapped = sealed WHERE seq = :seq", "its payload does not open"),
        ("UPDATE trail_payload SET day = '2020-01-01' WHERE seq = :seq", "its payload does not open"),
        ("UPDATE trail_entry SET body = leaf WHERE seq = :seq", "its payload does not open"),
    ],
)
def test_a_list_of_rows_that_is_gone_or_changed_is_named(sqlite_house: House, tmp_path: Path, change: str, words: str) -> None:
    """Whoever drops the guards and edits the payload of a load does not make its rows unverifiable in silence."""
    done = load_dp4(sqlite_house, write_dp4(tmp_path / "a.csv", [dp4_row(1)]))
    table = change.split("FROM " if "DELETE" in change else "UPDATE ")[1].split()[0]
    tamper(sqlite_house, f"DROP TRIGGER {table}_no_update", f"DROP TRIGGER {table}_no_delete")
    tamper(sqlite_house, change, seq=done.seq)

    found = store_findings(sqlite_house)
    assert any(one.startswith(f"entry {done.seq}: {words}") for one in found), found


# ---- changes and put-backs ----


def _change(house: House, uid: str, name: str) -> int:
    """Write version 2 of a row through the walk: the whole row sealed anew with another name; return the entry's seq."""
    keys = house.guard.keys
    with house.store.reading() as session:
        [row] = actions.rows_by_uid(session, KAB, [uid])
    values = [
        "1",
        *(dp4_row(1)[column] for column in ("NKK", "NIK")),
        name,
        "DENPASAR",
        "1980-01-01",
        "S",
        "L",
        "JL. UJI",
        "1",
        "2",
        "0",
        "S",
        "",
    ]
    key, blind = keys.key("seal", KAB), Blind(keys.key("nik", "00"), keys.key("blind", KAB))
    fresh = seal_row(key, replace(row.clear, row_version=2), values, row.b_nik, row.b_nkk, blind.b_nd(name, "1980-01-01"))

    def write(session: Session) -> None:
        cells = {f"c{number:02d}": fresh.cells[number] for number in range(CELL_COUNT)}
        session.execute(update(Voter).where(Voter.uid == uid).values(row_version=2, b_nd=fresh.b_nd, seal=fresh.seal, **cells))
        session.execute(update(VoterKey).where(VoterKey.uid == uid).values(wrapped=fresh.wrapped))

    ask = Ask(Purpose.PEMUATAN, Basis.PKPU7_2022, KAB, ELECTION, Stage.DPS)
    admission = touch.prepare(house.guard, host_actor(), ask, [("voter", uid, 2, fresh.seal)], now=NOW)
    return touch.admit(house.guard, host_actor(), ask, admission, write).seq


def test_a_row_put_back_with_its_key_is_found(house: House, tmp_path: Path) -> None:
    """Every byte of the old row is genuine and opens; only the log knows that there was a newer one."""
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1), dp4_row(2)]))
    uid, old = uid_of(house, 1), snapshot(house)
    seq = _change(house, uid, "WAYAN BARU")
    assert store_findings(house) == []
    assert _name(house, uid) == "WAYAN BARU"

    put_back(house, old)
    assert _name(house, uid) == dp4_row(1)["NAMA"]
    assert store_findings(house) == [f"entry {seq}: voter {uid}: put back to version 1; the log wrote version 2"]


def test_a_changed_row_with_the_old_key_or_half_put_back_is_broken(house: House, tmp_path: Path) -> None:
    """The key of one version and the cells of another fit nowhere."""
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1)]))
    uid, old = uid_of(house, 1), snapshot(house)
    seq = _change(house, uid, "WAYAN BARU")

    tamper(house, "UPDATE voter_key SET wrapped = :wrapped WHERE uid = :v", wrapped=old["voter_key"][0]["wrapped"], v=uid)
    with pytest.raises(SealBroken):
        _name(house, uid)
    assert [one for one in store_findings(house) if one.startswith(f"entry {seq}: voter {uid}: ")]


def test_a_row_written_at_a_version_no_entry_names_is_found(house: House, tmp_path: Path) -> None:
    """Sealed with the real key, but past the log (somebody with the keys and the database): the version is nobody's."""
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1)]))
    uid = uid_of(house, 1)
    kept = snapshot(house)
    seq = _change(house, uid, "WAYAN BARU")
    newer = snapshot(house)
    put_back(house, kept)
    tamper(house, "UPDATE voter SET row_version = 3 WHERE uid = :v", v=uid)

    assert store_findings(house) == [f"entry {seq}: voter {uid}: stands at version 3, which no entry wrote"]
    put_back(house, newer)
    assert store_findings(house) == []


def _name(house: House, uid: str) -> str | None:
    return actions.read_voter(house.guard, operator(house), task(), uid, NOW)[0].values[Element.NAMA]


@dataclass(frozen=True)
class _Nothing:
    """A key source without seal keys."""

    source: WrappedKeys

    def fetch(self, purpose: str, scope: str) -> list[tuple[int, bytes]]:
        return [] if purpose == "seal" else self.source.fetch(purpose, scope)


def test_without_keys_nothing_is_said_rather_than_good(loaded: Loaded) -> None:
    """KeysDown: the check could not be made; it is neither clean nor tampered."""
    provider = LocalKeyring.open(loaded.house.settings.keyring, PASSPHRASE)
    guard = replace(loaded.house.guard, keys=KeyHouse(provider, _Nothing(WrappedKeys(loaded.house.store))))

    with pytest.raises(KeysDown):
        list(check_store(guard, lambda done, total: None))


def test_no_finding_and_no_check_touches_a_value(loaded: Loaded) -> None:
    """The check opens no cell and writes no entry: findings hold uids and column words only."""
    before = len(entries(loaded.house))
    change: Callable[[], list[str]] = lambda: store_findings(loaded.house)  # noqa: E731
    with tampered(loaded.house, "UPDATE voter SET c03 = c04"):
        said = " ".join(change())

    assert not [value for number in range(1, 8) for value in dp4_row(number).values() if len(value) > 4 and value in said]
    assert len(entries(loaded.house)) == before
