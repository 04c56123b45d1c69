"""A block of a file, checked and sealed: ready for either engine, byte for byte what the slow way makes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.factory import House
from app.store.bulk import Packed
from app.voters import dp4
from app.voters.blocks import blocks
from app.voters.sealing import Job, Sealer
from tests.conftest import ELECTION, KAB, NOW, dp4_row, write_dp4
from tests.walk_kit import host_actor


@pytest.fixture
def sealer(sqlite_house: House, tmp_path: Path) -> tuple[Sealer, Job]:
    """A sealer, and a block of five rows: one faulty, one whose NIK comes twice in the block, one doubtful."""
    rows = [dp4_row(number) for number in (1, 2, 3, 1, 4)]
    rows[1]["TGL_LHR"] = "99|99|1980"
    file = write_dp4(tmp_path / "a.csv", rows)
    intake = dp4.Intake(sqlite_house.guard, sqlite_house.places, host_actor(), sqlite_house.clock, KAB, ELECTION)
    present, (found, _digest) = intake.prepare(), intake._survey(file, None)
    load = dp4.Load(uid="l" * 26)
    [block] = blocks(file, found, 10)
    return intake._sealer(found, present, load), Job(block, NOW, frozenset({5}))


def test_each_row_goes_where_it_belongs(sealer: tuple[Sealer, Job]) -> None:
    """Good, faulty, double in the block, doubtful: the doubtful one waits, and could still enter."""
    one, job = sealer
    batch = one.seal(job)

    assert sorted(batch.ready.row_nos) == [1, 3]
    assert sorted((blob.row_no, blob.reasons) for blob in batch.waiting) == [
        (2, "TGL_LHR:birth-impossible"), (4, "NIK:ganda"), (5, "NIK:ganda"),
    ]  # fmt: skip
    assert list(batch.doubtful.row_nos) == [5]
    assert list(batch.ready.uids) == sorted(batch.ready.uids)


def test_a_doubtful_row_whose_nik_is_free_enters_and_a_sure_one_whose_nik_is_taken_waits(sealer: tuple[Sealer, Job]) -> None:
    """Whatever the first look said, the election decides; the entry speaks of exactly what is stored."""
    one, job = sealer
    batch = one.seal(job)
    taken = {dp4_row(3)["NIK"].encode()}
    settled = one.settled(batch, job, taken)

    assert sorted(settled.ready.row_nos) == [1, 5]
    assert sorted(blob.row_no for blob in settled.waiting) == [2, 3, 4]
    assert settled.admission.members["subjects"][0] == 5  # type: ignore[index]
    assert settled.admission.members["detail"] != batch.admission.members["detail"]
    assert one.settled(batch, job, {dp4_row(4)["NIK"].encode()}) is batch


def test_both_engines_get_the_same_rows(sealer: tuple[Sealer, Job]) -> None:
    """The binary rows of COPY hold, column by column, what SQLite's tuples hold."""
    one, job = sealer
    flat, copied = (replace(one, copied=way).seal(job).ready for way in (False, True))

    assert [len(row) for row in flat.voter.tuples()] == [28, 28]
    assert _columns(copied.voter)[0][2] == 28
    for table in ("voter", "voter_key", "nik_index"):
        tuples = list(getattr(flat, table).tuples())
        read = _columns(getattr(copied, table))
        assert [len(columns) for columns, *_ in read] == [len(row) for row in tuples]
        assert [[len(value) for value in columns] for columns, *_ in read] == [[_size(value) for value in row] for row in tuples]


def test_what_a_row_holds_never_shows(sealer: tuple[Sealer, Job]) -> None:
    """Not in the repr of what carries its NIK."""
    one, job = sealer
    batch = one.seal(job)

    said = f"{batch!r}{batch.ready!r}{batch.ready.voter!r}{job!r}{one!r}"
    assert dp4_row(1)["NIK"] not in said
    assert dp4_row(1)["NAMA"] not in said


def _columns(packed: Packed) -> list[tuple[list[bytes], int, int]]:
    rows, at = [], 0
    for size in packed.sizes:
        end, count = at + size, int.from_bytes(packed.data[at : at + 2], "big")
        place, columns = at + 2, []
        while place < end:
            length = int.from_bytes(packed.data[place : place + 4], "big")
            columns.append(packed.data[place + 4 : place + 4 + length])
            place += 4 + length
        rows.append((columns, size, count))
        at = end
    assert at == len(packed.data)
    return rows


def _size(value: object) -> int:
    return 4 if isinstance(value, int) else len(value)  # type: ignore[arg-type]  # text or bytes
