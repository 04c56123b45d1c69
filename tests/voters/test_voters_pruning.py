"""On partitioned PostgreSQL each page and each search touches the partitions of its own kab/kota alone, said by EXPLAIN."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from sqlalchemy import event, text

from app.factory import House
from app.kernel.fields import Element
from app.touch import Change
from app.voters import actions, corrections
from app.voters.actions import Place
from tests.conftest import KAB, NEIGHBOUR, PostgresServer, dp4_row, load_dp4, make_house, operator, task, write_dp4
from tests.walk_kit import rows_of, uid_of

ROLL = ("voter", "voter_key", "quarantine", "nik_index")
SANUR = "51.71.01.1006"
ROW = dp4_row(1)


@dataclass
class Watched:
    """A house in two hash partitions per province. asked: statements on the roll since the last look, with their parameters."""

    house: House
    uid: str
    asked: list[tuple[str, Any]] = field(default_factory=list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        def note(_connection: object, _cursor: object, statement: str, parameters: object, _context: object, _many: bool) -> None:
            if any(f" {table}" in statement for table in ROLL):
                self.asked.append((statement, parameters))

        self.asked.clear()
        event.listen(self.house.store.engine, "before_cursor_execute", note)
        try:
            yield
        finally:
            event.remove(self.house.store.engine, "before_cursor_execute", note)

    def touched(self) -> set[str]:
        """Return the tables that the statements seen would look into, as the planner says; sequential or not."""
        found: set[str] = set()
        with self.house.store.engine.connect() as connection:
            cursor = cast("psycopg.Cursor[Any]", connection.connection.cursor())
            for statement, parameters in self.asked:
                if statement.startswith("COPY"):
                    continue
                cursor.execute(f"EXPLAIN (FORMAT JSON, VERBOSE) {statement}", parameters)
                [(plan,)] = cursor.fetchall()
                found |= set(_relations(json.loads(plan) if isinstance(plan, str) else plan))
        return {name for name in found if name.startswith(ROLL)}


def _relations(plan: object) -> Iterator[str]:
    if isinstance(plan, dict):
        # What writes names the parent; the leaves it may write to stand below.
        if "Relation Name" in plan and plan.get("Node Type") != "ModifyTable":
            yield str(plan["Relation Name"])
        for value in plan.values():
            yield from _relations(value)
    elif isinstance(plan, list):
        for one in plan:
            yield from _relations(one)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Watched]:
    """Two voters of this kab and one of the neighbour, in the same province, and one of another province's code."""
    folder = tmp_path_factory.mktemp("pruning")
    owner, application = postgres.migrated(2)
    house = make_house(folder / "data", application, owner)
    load_dp4(house, write_dp4(folder / "a.csv", [ROW, dp4_row(2), dp4_row(3, NIK="x")]))
    load_dp4(house, write_dp4(folder / "b.csv", [dp4_row(6, KECAMATAN="KUTA", DESA="KUTA")]), NEIGHBOUR)
    yield Watched(house, uid_of(house, 1))
    house.close()


Work = Callable[[House, str], object]
NOWHERE = "a" * 26


@pytest.mark.parametrize(
    ("work", "leaves"),
    [
        # The voter page: one leaf of the province's, by the hash of the uid, of the row and of its key.
        pytest.param(lambda house, uid: actions.read_voter(house.guard, operator(house), task(), uid, house.clock.now()), 1, id="voter page"),
        pytest.param(lambda house, _: actions.find_by_nik(house.guard, operator(house), task(), ROW["NIK"], house.clock.now()), 2, id="nik"),
        pytest.param(lambda house, _: actions.find_by_nkk(house.guard, operator(house), task(), ROW["NKK"], house.clock.now()), 2, id="nkk"),
        pytest.param(
            lambda house, _: actions.find_by_name(house.guard, operator(house), task(), ROW["NAMA"], "1980-01-01", house.clock.now()),
            2, id="name and birth date",
        ),
        pytest.param(
            lambda house, _: actions.browse(house.guard, operator(house), task(), Place(SANUR, "001", None, 25), house.clock.now()), 2, id="tps",
        ),
        pytest.param(
            lambda house, _: actions.browse(house.guard, operator(house), task(), Place(SANUR, None, None, 25, "001", "002"), house.clock.now()),
            2, id="rt and rw",
        ),
        pytest.param(
            lambda house, uid: corrections.open_one(house.roll, operator(house), task(), uid, Element.ALAMAT, house.clock.now()), 1, id="correction",
        ),
    ],
)  # fmt: skip
def test_only_the_kabs_own_partitions_are_looked_into(watched: Watched, work: Work, leaves: int) -> None:
    """Of 77 leaves at most the province's two; the NIK index by the hash of its token: one of its eight."""
    with watched.watching():
        work(watched.house, watched.uid)

    touched = watched.touched()
    roll = {name for name in touched if not name.startswith("nik_index")}
    assert roll, touched
    assert all("_p51_h" in name for name in roll), roll
    assert all(len([name for name in roll if name.startswith(f"{table}_p")]) <= leaves for table in ("voter", "quarantine"))
    assert len(touched - roll) <= 1


def test_the_page_of_one_voter_looks_into_one_leaf_of_each_table(watched: Watched) -> None:
    """Row and key stand in leaves of the same number: both are cut by the same hash."""
    with watched.watching():
        actions.read_voter(watched.house.guard, operator(watched.house), task(), watched.uid, watched.house.clock.now())

    [row] = rows_of(watched.house, "SELECT tableoid::regclass::text AS leaf FROM voter WHERE uid = :uid", uid=watched.uid)
    leaf = str(row["leaf"])
    assert watched.touched() == {leaf, leaf.replace("voter", "voter_key")}


def test_a_correction_of_the_nik_writes_into_its_own_leaves(watched: Watched) -> None:
    """The row by kab and uid, the index by the old token and the new one."""
    change = Change(Element.NIK, "5171012502800099", "coklit", "dicocokkan saat coklit")
    with watched.watching():
        corrections.correct(
            watched.house.roll, operator(watched.house), task(), uid_of(watched.house, 2), change, 1, watched.house.clock.now()
        )

    touched = watched.touched()
    assert all("_p51_h" in name for name in touched if not name.startswith("nik_index")), touched


def test_an_intake_looks_for_duplicates_without_the_rest_of_the_country(watched: Watched, tmp_path: Path) -> None:
    """The index by its tokens, then the rows of the kab/kota that it named."""
    with watched.watching():
        load_dp4(watched.house, write_dp4(tmp_path / "c.csv", [dp4_row(8), dp4_row(1)]))

    assert all("_p51_h" in name for name in watched.touched() if not name.startswith("nik_index"))


def test_a_generic_plan_prunes_when_it_runs(watched: Watched) -> None:
    """A statement prepared once and run often names no value: the partitions are chosen as it begins."""
    with watched.house.store.engine.connect() as connection:
        connection.execute(text("SET plan_cache_mode = force_generic_plan"))
        connection.execute(text("PREPARE page (text, text) AS SELECT seal FROM voter WHERE kab = $1 AND uid = $2"))
        plan = "\n".join(connection.execute(text(f"EXPLAIN (ANALYZE, COSTS OFF) EXECUTE page ('{KAB}', '{NOWHERE}')")).scalars())

    assert "Subplans Removed: 76" in plan, plan
