"""Intake of DP4: no row is lost, doubled or let through unsealed, whoever dies, races or tampers meanwhile."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.cli.shell import host_actor
from app.custody import keys as custody_keys
from app.factory import House
from app.kernel.errors import BadInput, Conflict, NotThere, SealBroken, TrailDown
from app.kernel.fields import Element, Stage
from app.store.keys import WrappedKeys
from app.vault.house import KeyHouse
from app.vault.keys.local import LocalKeyring, opened_master
from app.vault.seal import SealedBlob
from app.vault.unseal import open_blob
from app.voters import actions, dp4, elections
from app.voters.rules.findings import Reason
from app.voters.rules.rows import COLUMNS
from app.voters.synth import write_csv
from tests.conftest import ELECTION, KAB, NEIGHBOUR, NOW, PASSPHRASE, VOTING_DAY, FakeClock, dp4_row, load_dp4, operator, task, write_dp4
from tests.walk_kit import (
    Installed,
    content,
    entries,
    guard_on,
    in_process,
    outcomes,
    rows_of,
    size,
    store_findings,
    tamper,
    truth,
)

BADUNG = {"KECAMATAN": "KUTA", "DESA": "KUTA"}


def _intake(house: House, kab: str = KAB, election: str = ELECTION, **changes: object) -> dp4.Intake:
    parts = {"guard": house.guard, "places": house.places, "actor": host_actor(), "clock": house.clock, **changes}
    return dp4.Intake(kab=kab, election=election, **parts)  # type: ignore[arg-type]


def _count(house: House, table: str) -> int:
    return int(str(rows_of(house, f"SELECT count(*) AS n FROM {table}")[0]["n"]))


def _standing(house: House) -> tuple[int, ...]:
    """How many rows the roll's tables hold."""
    return tuple(_count(house, table) for table in ("voter", "voter_key", "nik_index", "quarantine"))


def _control(done: dp4.Done) -> tuple[int, int, int]:
    return done.rows_read, done.rows_sealed, done.rows_quarantined


# ---- what became of every row ----


def test_every_row_is_sealed_or_quarantined_with_its_reasons(house: House, tmp_path: Path) -> None:
    """Ten rows: three enter, seven wait, each with field and reason; printed, stored and logged alike."""
    rows = [
        dp4_row(1), dp4_row(2, NIK="5171"), dp4_row(3, NKK="x"), dp4_row(4, TGL_LHR="31|02|1980"), dp4_row(5, DESA="ATLANTIS"),
        dp4_row(6, KECAMATAN=""), dp4_row(7, NIK=dp4_row(1)["NIK"]), dp4_row(8, STS="?"), dp4_row(9, TPS="IBU WAYAN"), dp4_row(10),
    ]  # fmt: skip
    done = load_dp4(house, write_dp4(tmp_path / "a.csv", rows))
    found = {row_no: [str(one) for one in reasons] for row_no, reasons in _intake(house).findings(done.uid)}

    assert _control(done) == (10, 3, 7)
    assert _standing(house) == (3, 3, 3, 7)
    assert found == {
        2: ["NIK:nik-shape"], 3: ["NKK:nkk-shape"], 4: ["TGL_LHR:birth-impossible"], 5: ["DESA:desa-unknown"],
        6: ["KECAMATAN:kecamatan-unknown"], 7: ["NIK:ganda"], 9: ["TPS:tps-shape"],
    }  # fmt: skip
    assert done.warnings == {"sts-unknown": 1}
    inside = content(house, int(str(done.seq)))
    assert (inside["read"], inside["sealed"], inside["quarantined"]) == (10, 3, 7)
    assert len(inside["rows"]) == 10  # type: ignore[arg-type]
    assert entries(house)[-1]["subjects"]["count"] == 10  # type: ignore[index]


KINDS = ("good", "nik", "date", "place", "torn", "wide", "blank", "twin", "control", "odd")


def _lines(kinds: list[tuple[str, int]]) -> tuple[str, int, int]:
    """Return a file of such rows, how many rows it has, and how many of them a roll may take."""
    known: set[str] = set()
    lines, read, sealed = [",".join(COLUMNS)], 0, 0
    for number, (kind, other) in enumerate(kinds, 1):
        changes = {
            "nik": {"NIK": "5171"}, "date": {"TGL_LHR": "99|99|1980"}, "place": {"KECAMATAN": "ATLANTIS"},
            "control": {"NAMA": "WAYAN\x07"}, "odd": {"STS": "X", "JK": "Z", "ALAMAT": 'JL. "A", NO. 1\nGANG 2'},
            "twin": {"NIK": dp4_row(max(1, other % number))["NIK"]},
        }.get(kind, {})  # fmt: skip
        row = dp4_row(number, **changes)
        if kind == "blank":
            lines.append("")
            continue
        read += 1
        if kind in {"torn", "wide"}:
            lines.append('1,"torn' if kind == "torn" else ",".join([*row.values(), "one too many"]))
            continue
        out = StringIO()
        csv.writer(out, lineterminator="").writerow(row.values())
        lines.append(out.getvalue())
        if kind in {"good", "odd", "twin"} and row["NIK"] not in known:
            known.add(row["NIK"])
            sealed += 1
    return "\n".join(lines) + "\n", read, sealed


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory, installed_sqlite: Installed) -> Iterator[House]:
    """A house that takes many files, each in an election of its own."""
    made = installed_sqlite.copy(tmp_path_factory.mktemp("crowded") / "data")
    yield made
    made.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 50)), min_size=1, max_size=40))
def test_rows_read_are_rows_sealed_plus_rows_quarantined_whatever_the_rows(
    crowded: House, tmp_path: Path, kinds: list[tuple[str, int]]
) -> None:
    """The control total holds for any mixture, and the store holds exactly so many rows."""
    text, read, sealed = _lines(kinds)
    if read == 0:
        return
    election, before = f"h{_count(crowded, 'election')}", _standing(crowded)
    with crowded.store.writing() as session:
        elections.set_stage(session, election, VOTING_DAY, [KAB], Stage.DPS, "host:0", NOW)
    (tmp_path / "a.csv").write_text(text, "utf-8", newline="")

    done = _intake(crowded, election=election).load(tmp_path / "a.csv", None, lambda done, total: None)
    assert _control(done) == (read, sealed, read - sealed)
    after = _standing(crowded)
    assert tuple(now - then for now, then in zip(after, before, strict=True)) == (sealed, sealed, sealed, read - sealed)


def test_a_nik_is_taken_within_a_file_across_files_and_across_kabs(house: House, tmp_path: Path) -> None:
    """The first row stays, whatever comes later waits; another election is another roll."""
    twin, mine = {"NIK": dp4_row(1)["NIK"]}, [dp4_row(1), dp4_row(2)]
    load_dp4(house, write_dp4(tmp_path / "a.csv", mine))
    with house.store.writing() as session:
        elections.set_stage(session, "2034", VOTING_DAY, [KAB], Stage.DPS, "host:0", NOW)

    again = load_dp4(house, write_dp4(tmp_path / "b.csv", [dp4_row(3, **twin), dp4_row(4), dp4_row(5, NIK=dp4_row(4)["NIK"])]))
    there = load_dp4(house, write_dp4(tmp_path / "c.csv", [dp4_row(6, **twin, **BADUNG)]), NEIGHBOUR)
    other = _intake(house, election="2034").load(write_dp4(tmp_path / "d.csv", [dp4_row(7, **twin)]), None, lambda done, total: None)
    assert (_control(again), _control(there), _control(other)) == ((3, 1, 2), (1, 0, 1), (1, 1, 0))
    assert next(found for _, found in _intake(house, NEIGHBOUR).findings(there.uid))[0].reason is Reason.GANDA


def test_looking_for_duplicates_opens_only_candidates_and_is_recorded(house: House, tmp_path: Path) -> None:
    """The process may match, not see: each look, before the load and in it, is an entry that counts the openings, names the candidate, and
    shows no field.
    """
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1), dp4_row(2)]))
    before = size(house)
    load_dp4(house, write_dp4(tmp_path / "b.csv", [dp4_row(3, NIK=dp4_row(1)["NIK"]), dp4_row(4)]))

    assert outcomes(house, before) == [("voter:search", "allowed"), ("voter:search", "allowed"), ("voter:import", "done")]
    for seq in (before, before + 1):
        assert entries(house, seq)[0]["fields"] is None
        assert content(house, seq)["opened"] == 1
        assert len(content(house, seq)["subjects"]) == 1  # type: ignore[arg-type]


def test_a_tampered_candidate_stops_the_load_and_is_recorded(house: House, tmp_path: Path) -> None:
    """Whether the NIK is taken cannot be said, so nothing is stored; mended, the file comes in."""
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1)]))
    [kept] = rows_of(house, "SELECT c02 FROM voter")
    tamper(house, "UPDATE voter SET c02 = :bad", bad=bytes(61))
    before, file = size(house), write_dp4(tmp_path / "b.csv", [dp4_row(2, NIK=dp4_row(1)["NIK"]), dp4_row(3)])

    with pytest.raises(SealBroken):
        load_dp4(house, file)
    assert outcomes(house, before) == [("voter:search", "broken")]
    assert _standing(house) == (1, 1, 1, 0)
    tamper(house, "UPDATE voter SET c02 = :good", good=kept["c02"])
    done = load_dp4(house, file)
    assert (_control(done), done.resumed) == ((2, 1, 1), False)


def test_a_quarantined_row_is_sealed_whole_and_reports_no_value(house: House, tmp_path: Path) -> None:
    """No column and no finding holds a value of the row; opened with its key, it is the row as it was read."""
    row = dp4_row(1, NIK="ABCDEF-RAHASIA", NAMA="NAMA SANGAT RAHASIA", ALAMAT="JALAN TERSEMBUNYI 77")
    done = load_dp4(house, write_dp4(tmp_path / "a.csv", [row]))
    [stored] = rows_of(house, "SELECT * FROM quarantine")
    said = repr([(no, list(map(str, found))) for no, found in _intake(house).findings(done.uid)]) + repr(stored)

    for secret in ("RAHASIA", "TERSEMBUNYI", row["NKK"], row["KECAMATAN"]):
        assert secret not in said
        assert secret.encode() not in b"".join(bytes(value) for value in stored.values() if isinstance(value, bytes | memoryview))
    names = ("kab", "uid", "election", "load", "row_no", "reasons", "key_epoch", "wrapped", "cell", "seal")
    blob = SealedBlob("quarantine", *(stored[name] for name in names))  # type: ignore[arg-type]
    [opened] = open_blob(house.guard.keys.key("seal", KAB), blob)
    assert json.loads(opened) == {"row": 1, "cells": row}


def test_a_file_reads_the_same_in_every_spelling(sqlite_house: House, tmp_path: Path) -> None:
    """Four delimiters, three encodings: the name comes out of the seal as it went in."""
    spellings = [(delimiter, encoding) for delimiter in ",;\t|" for encoding in ("utf-8", "utf-8-sig", "cp1252")]
    for number, (delimiter, encoding) in enumerate(spellings, 1):
        out = StringIO()
        writer = csv.DictWriter(out, COLUMNS, delimiter=delimiter)
        writer.writeheader()
        writer.writerow(dp4_row(number, NAMA="JOSÉ ‘PEÑA’", TGL_LHR="01-01-1980"))
        (tmp_path / "a.csv").write_bytes(out.getvalue().encode(encoding))
        load_dp4(sqlite_house, tmp_path / "a.csv")

        [found] = actions.find_by_nik(sqlite_house.guard, operator(sqlite_house), task(), dp4_row(number)["NIK"], NOW).shown
        assert found.values[Element.NAMA] == "JOSÉ ‘PEÑA’", (delimiter, encoding)


def test_progress_only_grows_and_ends_at_the_files_size(sqlite_house: House, tmp_path: Path) -> None:
    """The bar never jumps back."""
    file, told = write_dp4(tmp_path / "a.csv", [dp4_row(number) for number in range(1, 1202)]), []
    _intake(sqlite_house, batch=500).load(file, None, lambda done, total: told.append((done, total)))

    assert told == sorted(told)
    assert len(told) == 3
    assert told[-1] == (file.stat().st_size, file.stat().st_size)


# ---- what is refused ----


def test_the_same_file_is_refused_wherever_it_goes_in_the_election(house: House, tmp_path: Path) -> None:
    """Recognised by its keyed digest: nothing is written, and the error says when it came."""
    file = write_dp4(tmp_path / "a.csv", [dp4_row(1)])
    done, before = load_dp4(house, file), size(house)
    (tmp_path / "renamed.csv").write_bytes(file.read_bytes())

    for kab, path in ((KAB, file), (KAB, tmp_path / "renamed.csv"), (NEIGHBOUR, file)):
        with pytest.raises(Conflict, match=done.uid):
            load_dp4(house, path, kab)
    assert (_standing(house), size(house)) == ((1, 1, 1, 0), before)


@pytest.mark.parametrize(
    ("kab", "election", "field"),
    [(KAB, "2099", "election"), ("51", ELECTION, "region"), ("51.99", ELECTION, "region"), ("00", ELECTION, "region")],
)
def test_without_a_kab_or_a_stage_nothing_begins(sqlite_house: House, tmp_path: Path, kab: str, election: str, field: str) -> None:
    """The error names the field, and no load is left behind."""
    with pytest.raises(BadInput) as refused:
        _intake(sqlite_house, kab, election).load(write_dp4(tmp_path / "a.csv", [dp4_row(1)]), None, lambda done, total: None)

    assert refused.value.field == field
    assert _count(sqlite_house, "load") == 0


def test_a_stage_of_tomorrow_is_not_in_force_today(sqlite_house: House, tmp_path: Path) -> None:
    """The calendar may hold what is to come."""
    with sqlite_house.store.writing() as session:
        elections.set_stage(session, "2034", VOTING_DAY, [KAB], Stage.DP4, "host:0", datetime(2030, 1, 1, tzinfo=UTC))

    with pytest.raises(BadInput):
        _intake(sqlite_house, election="2034").load(write_dp4(tmp_path / "a.csv", [dp4_row(1)]), None, lambda done, total: None)


def test_a_person_cannot_load_only_the_process_can(house: House, tmp_path: Path) -> None:
    """An operator's intake is refused and recorded, and no row is stored."""
    before = size(house)
    with pytest.raises(NotThere):
        _intake(house, actor=operator(house)).load(write_dp4(tmp_path / "a.csv", [dp4_row(1)]), None, lambda done, total: None)

    assert _standing(house) == (0, 0, 0, 0)
    assert outcomes(house, before) == [("voter:import", "denied")]


def test_a_file_without_a_header_is_refused_without_repeating_its_first_voter(sqlite_house: House, tmp_path: Path) -> None:
    """The first row is a person: the error must not quote it."""
    row = dp4_row(1, NAMA="NAMA SANGAT RAHASIA")
    (tmp_path / "a.csv").write_text(",".join(row.values()) + "\n" + ",".join(dp4_row(2).values()) + "\n", "utf-8")

    with pytest.raises(BadInput) as refused:
        load_dp4(sqlite_house, tmp_path / "a.csv")
    assert not [
        value for value in row.values() if len(value) > 3 and value in f"{refused.value!r} {refused.value.detail} {refused.value.field}"
    ]
    assert _count(sqlite_house, "load") == 0


# ---- dying, racing ----

READ, SEALED, WAITING = 1200, 1197, 3


def _big(path: Path) -> Path:
    """A file of three batches, with a faulty row in the first and second and a duplicate of batch one in the third."""
    rows = [dp4_row(number) for number in range(1, READ + 1)]
    rows[10]["NIK"] = "5171"
    rows[700]["TGL_LHR"] = "99|99|1980"
    rows[1100]["NIK"] = rows[20]["NIK"]
    return write_dp4(path, rows)


@pytest.mark.parametrize(
    ("point", "count", "stored"),
    [("inserted", 2, 500), ("advance", 3, 1200)],
)
def test_a_load_killed_anywhere_goes_on_where_it_was(sqlite_house: House, tmp_path: Path, point: str, count: int, stored: int) -> None:
    """kill -9 inside or between transactions: whole batches stand; run again, every row is there once."""
    _killed_and_resumed(sqlite_house, tmp_path, point, count, stored)


def test_a_load_killed_on_postgresql_goes_on_where_it_was(postgres_house: House, tmp_path: Path) -> None:
    """The same with a server that only notices the broken line."""
    _killed_and_resumed(postgres_house, tmp_path, "signed", 2, 500)


def _killed_and_resumed(house: House, tmp_path: Path, point: str, count: int, stored: int) -> None:
    file, before = _big(tmp_path / "a.csv"), size(house)
    process = in_process("load_and_die", str(house.settings.data), str(file), point, str(count))
    _, trouble = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, trouble
    _demand_gone(process.pid)

    [load] = rows_of(house, "SELECT * FROM load")
    assert (load["rows_read"], load["state"]) == (stored, "running")
    assert _count(house, "voter") + _count(house, "quarantine") == stored
    assert store_findings(house) == []

    done = load_dp4(house, file)
    assert (_control(done), done.resumed) == ((READ, SEALED, WAITING), True)
    assert _standing(house) == (SEALED, SEALED, SEALED, WAITING)
    assert sorted(no for no, _ in _intake(house).findings(done.uid)) == [11, 701, 1101]
    imports = [seq for seq, entry in enumerate(entries(house, before), before) if entry["action"] == "voter:import"]
    assert sum(int(str(content(house, seq)["read"])) for seq in imports) == READ
    assert store_findings(house) == []
    with pytest.raises(Conflict):
        load_dp4(house, file)


def _demand_gone(group: int) -> None:
    """Whatever the dead process had started must end by itself: it holds keys and rows in memory."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    raise AssertionError("a helper outlived its process")


def test_two_processes_on_one_file_make_one_set_of_rows(sqlite_house: House, tmp_path: Path) -> None:
    """One carries it through; the other is told that somebody else does."""
    house = sqlite_house
    file = _big(tmp_path / "a.csv")
    said = _race(("load_at_the_word", str(house.settings.data), str(file)), ("load_at_the_word", str(house.settings.data), str(file)))

    assert all(one in ("conflict", [READ, SEALED, WAITING]) for one in said)
    assert [READ, SEALED, WAITING] in said
    assert _standing(house) == (SEALED, SEALED, SEALED, WAITING)
    assert store_findings(house) == []


def test_two_files_with_the_same_people_at_once_seal_each_person_once(postgres_house: House, tmp_path: Path) -> None:
    """Two kabs load at the same moment; whoever comes second with a NIK waits in quarantine."""
    house = postgres_house
    people = range(1, 1001)
    mine = write_dp4(tmp_path / "a.csv", [dp4_row(number) for number in people])
    theirs = write_dp4(tmp_path / "b.csv", [dp4_row(number, **BADUNG) for number in people])
    said = _race(
        ("load_at_the_word", str(house.settings.data), str(mine), KAB),
        ("load_at_the_word", str(house.settings.data), str(theirs), NEIGHBOUR),
    )

    assert sum(sealed for _, sealed, _ in said) == sum(waiting for _, _, waiting in said) == len(people)
    assert _standing(house) == (1000, 1000, 1000, 1000)
    assert rows_of(house, "SELECT b_nik FROM nik_index GROUP BY b_nik HAVING count(*) > 1") == []


def _race(*calls: tuple[str, ...]) -> list[list[int]]:
    """Start processes, give all of them the word at once, and return what each printed."""
    processes = [in_process(*call, stdin=subprocess.PIPE) for call in calls]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in processes]
    assert [trouble for _, trouble in said] == [""] * len(calls)
    return [json.loads(out) for out, _ in said]


class _Interrupted(FakeClock):
    """A clock at whose *turn*-th reading something else happens first."""

    def __init__(self, turn: int, happens: Callable[[], object]) -> None:
        super().__init__()
        self.turn, self.happens = turn, happens

    def now(self) -> datetime:
        self.turn -= 1
        if self.turn == 0:
            self.happens()
        return super().now()


def test_a_nik_that_comes_in_between_the_look_and_the_write_is_seen(house: House, tmp_path: Path) -> None:
    """Checked, sealed, and just before the write somebody else's row is committed: the batch looks again."""
    first = write_dp4(tmp_path / "a.csv", [dp4_row(1), dp4_row(2)])
    second = write_dp4(tmp_path / "b.csv", [dp4_row(1, **BADUNG)])
    # An intake reads the clock to find the stage, to begin the load, and for the batch's entry.
    clock = _Interrupted(3, lambda: load_dp4(house, second, NEIGHBOUR))

    done = _intake(house, clock=clock).load(first, None, lambda done, total: None)
    assert _control(done) == (2, 1, 1)
    assert _standing(house) == (2, 2, 2, 1)
    assert store_findings(house) == []


def test_a_load_overtaken_by_another_process_stores_nothing_more(house: House, tmp_path: Path) -> None:
    """The same file, carried on by somebody else between two steps: this one stops, and no row is doubled."""
    file = write_dp4(tmp_path / "a.csv", [dp4_row(1), dp4_row(2)])
    clock = _Interrupted(3, lambda: load_dp4(house, file))

    with pytest.raises(Conflict):
        _intake(house, clock=clock).load(file, None, lambda done, total: None)
    assert _standing(house) == (2, 2, 2, 0)
    assert store_findings(house) == []


def test_a_load_begun_by_another_process_at_the_same_moment_is_a_conflict(postgres_house: House, tmp_path: Path) -> None:
    """Both looked, neither saw the other's load (PostgreSQL; SQLite lets only one look): the second to write is told, in our words."""
    file = write_dp4(tmp_path / "a.csv", [dp4_row(1), dp4_row(2)])
    # The second reading of the clock stands between the look for the load and its insert.
    clock = _Interrupted(2, lambda: load_dp4(postgres_house, file))

    with pytest.raises(Conflict, match="same moment"):
        _intake(postgres_house, clock=clock).load(file, None, lambda done, total: None)
    assert _standing(postgres_house) == (2, 2, 2, 0)


@pytest.mark.parametrize("point", ["locked", "inserted", "signed"])
def test_while_the_log_is_down_no_row_comes_in(house: House, tmp_path: Path, point: str) -> None:
    """Rows and their entry are one transaction; afterwards the same file goes on."""

    def fault(at: str) -> None:
        if at == point:
            raise OSError(28, "No space left on device")

    file, before = write_dp4(tmp_path / "a.csv", [dp4_row(1), dp4_row(2, NIK="5171")]), size(house)
    guard = guard_on(house, house.store, fault)

    with pytest.raises(TrailDown):
        _intake(house, guard=guard).load(file, None, lambda done, total: None)
    assert (_standing(house), size(house)) == ((0, 0, 0, 0), before)
    done = load_dp4(house, file)
    assert (_control(done), done.resumed) == ((2, 1, 1), True)


def test_a_key_made_by_two_processes_is_made_once(house: House) -> None:
    """The second finds the key there when it comes to write, and uses the first one's."""

    class Meanwhile(LocalKeyring):
        """Wraps as the house does; but meanwhile somebody else makes the same key."""

        def wrap(self, key: bytes, context: bytes) -> bytes:
            custody_keys.ensure(house.guard, host_actor(), "51.08", ("seal",), NOW)
            return super().wrap(key, context)

    provider = Meanwhile(opened_master(house.settings.keyring, PASSPHRASE))
    guard = replace(house.guard, keys=KeyHouse(provider, WrappedKeys(house.store)))
    made = custody_keys.ensure(guard, host_actor(), "51.08", ("seal", "blind"), NOW)

    assert made == ["blind"]
    assert guard.keys.key("seal", "51.08").secret == house.guard.keys.key("seal", "51.08").secret
    assert _count(house, "vault_key WHERE scope = '51.08'") == 2


@pytest.mark.slow
def test_memory_stays_flat(sqlite_house: House, tmp_path: Path) -> None:
    """Six times the rows: the processes grow by less than eight megabytes; ten thousand more rows kept would take twenty."""
    files = []
    for voters in (2_000, 12_000):
        with (tmp_path / f"{voters}.csv").open("w", encoding="utf-8", newline="") as out:
            write_csv(out, KAB, voters, voters)
        files.append(str(tmp_path / f"{voters}.csv"))
    process = in_process("load_and_weigh", str(sqlite_house.settings.data), *files)
    said, trouble = process.communicate(timeout=120)
    assert trouble == ""

    small, large = map(int, said.split())
    assert large - small < 8 * 1024


def test_a_voter_loaded_reads_as_the_file_said(house: House, tmp_path: Path) -> None:
    """Thirteen elements, the DPID not among them."""
    row = dp4_row(1, KET="1", TMPT_LHR="KUTA", STS="B")
    load_dp4(house, write_dp4(tmp_path / "a.csv", [row]))
    [found] = actions.find_by_nik(house.guard, operator(house), task(), row["NIK"], NOW).shown

    shown, _ = actions.read_voter(house.guard, operator(house), task(), found.row.uid, NOW)
    assert {**shown.values, Element.DISABILITAS: "0"} == truth(row)
