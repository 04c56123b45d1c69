"""Double NIKs, found before anything of a file is stored: by the command, by the page, whatever happens meanwhile."""

from __future__ import annotations

import csv
import json
import tempfile
from io import BytesIO
from pathlib import Path

import pytest

from app.cli.shell import host_actor
from app.factory import House
from app.kernel.errors import BadInput, Conflict
from app.kernel.fields import Outcome
from app.voters import conflicts, dp4, intake, intake_check, uploads
from app.voters.conflicts import Report
from app.voters.reader import Source
from app.voters.rules.rows import COLUMNS
from tests.conftest import ELECTION, KAB, NEIGHBOUR, dp4_row, load_dp4, operator, write_dp4
from tests.voters.intake_kit import Site, count, registered, sent, table
from tests.walk_kit import content, entries, outcomes, rows_of, size, store_findings

OWN = {"KECAMATAN": "KUTA", "DESA": "KUTA"}


def _intake(house: House, **changes: object) -> dp4.Intake:
    return dp4.Intake(house.guard, house.places, host_actor(), house.clock, KAB, ELECTION, **changes)  # type: ignore[arg-type]


def _check(house: House, source: Source, **changes: object) -> Report:
    return _intake(house, **changes).check(source, None, lambda done, total: None)


def _seen(house: House) -> list[object]:
    return [rows_of(house, f"SELECT count(*) AS n FROM {name}") for name in ("voter", "voter_key", "nik_index", "quarantine", "load")]


@pytest.fixture
def doubled(house: House, tmp_path: Path) -> tuple[House, Path]:
    """A roll with voters 1 and 2, one of them in another kab/kota, and a file with both, with voter 5 three times and a faulty double."""
    load_dp4(house, write_dp4(tmp_path / "roll.csv", [dp4_row(1)]))
    load_dp4(house, write_dp4(tmp_path / "elsewhere.csv", [dp4_row(2, **OWN)]), NEIGHBOUR)
    rows = [dp4_row(number) for number in (3, 1, 5, 4, 5, 2, 5, 6)]
    rows[7]["NIK"] = f" {dp4_row(3)['NIK']}\u00a0"
    return house, write_dp4(tmp_path / "a.csv", rows)


def test_a_check_names_rows_and_kinds_and_stores_nothing(doubled: tuple[House, Path]) -> None:
    """In the file and in the roll, nationally; the store is as it was, and one entry counts the openings."""
    house, file = doubled
    stood, before = _seen(house), size(house)
    found = _check(house, file)

    assert list(found.lines()) == [(2, "roll"), (5, "file"), (6, "roll"), (7, "file"), (8, "file")]
    assert (found.rows, found.count, found.compared) == (8, 5, 2)
    assert _seen(house) == stood
    assert outcomes(house, before) == [("voter:search", "allowed")]
    assert content(house, before)["opened"] == 2
    assert len(content(house, before)["subjects"]) == 2  # type: ignore[arg-type]


def test_what_the_check_found_is_what_the_load_quarantines(doubled: tuple[House, Path]) -> None:
    """Row by row, in small batches and with workers; the report names them before the first row is stored."""
    house, file = doubled
    told: list[tuple[Report, int]] = []
    job = _intake(house, batch=2, decide=lambda report: told.append((report, count(house, "voter"))))
    done = job.load(file, None, lambda done, total: None)

    [(report, stored)] = told
    assert stored == 2
    assert [row_no for row_no, _ in job.findings(done.uid)] == [row_no for row_no, _ in report.lines()]
    assert (done.rows_read, done.rows_sealed, done.rows_quarantined) == (8, 3, 5)
    assert store_findings(house) == []


def test_a_double_whose_first_row_is_faulty_enters(house: House, tmp_path: Path) -> None:
    """The check sees NIKs alone; the load knows that the first never came in."""
    rows = [dp4_row(1, TGL_LHR="99|99|1980"), dp4_row(1), dp4_row(1)]
    done = _intake(house, batch=3).load(write_dp4(tmp_path / "a.csv", rows), None, lambda done, total: None)

    assert list(done.report.in_file) == [2, 3]
    assert [row_no for row_no, _ in _intake(house).findings(done.uid)] == [1, 3]
    assert (done.rows_read, done.rows_sealed, done.rows_quarantined) == (3, 1, 2)
    assert store_findings(house) == []


def test_whoever_stops_stores_nothing(doubled: tuple[House, Path]) -> None:
    """Not even the load: the same file may be loaded later."""
    house, file = doubled
    stood = _seen(house)

    def stop(report: Report) -> None:
        raise Conflict(f"{report.count} rows")

    with pytest.raises(Conflict, match="5 rows"):
        _intake(house, decide=stop).load(file, None, lambda done, total: None)
    assert _seen(house) == stood
    assert load_dp4(house, file).resumed is False


def test_a_nik_of_an_undone_load_is_no_conflict(sqlite_house: House) -> None:
    """Its rows are no part of the roll."""
    from app.voters import undo

    house, body = registered(sqlite_house), table([dp4_row(1)])
    actor, now = operator(house), house.clock.now()
    uid = sent(house, body)
    intake.start(house.roll, actor, intake.upload_of(house.roll, actor, uid, now), now)
    undo.undo(house.roll, actor, str(rows_of(house, "SELECT uid FROM load")[0]["uid"]), "Berkas yang keliru dikirim.", now)

    found = _check(house, lambda: BytesIO(table([dp4_row(1), dp4_row(2)])))
    assert found.count == 0
    done = _intake(house).load(lambda: BytesIO(table([dp4_row(1), dp4_row(2)])), None, lambda done, total: None)
    assert done.rows_sealed == 2


def test_tokens_that_do_not_fit_go_to_disk_and_hold_no_value(sqlite_house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for two rows in memory the same conflicts come out; no byte of a NIK stands in what was written."""
    rows = [dp4_row(number) for number in (*range(1, 40), 7, 9, 7)]
    file, written = write_dp4(tmp_path / "a.csv", rows), list[bytes]()
    kept = tempfile.TemporaryFile

    class Watched:
        def __init__(self, **options: object) -> None:
            self.file = kept(**options)  # type: ignore[call-overload]

        def write(self, data: bytes) -> int:
            written.append(bytes(data))
            return int(self.file.write(data))

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

    monkeypatch.setattr(conflicts, "_HELD", 24)
    monkeypatch.setattr(tempfile, "TemporaryFile", Watched)
    found = _check(sqlite_house, file, batch=5)

    assert list(found.in_file) == [40, 41, 42]
    # The last block stays in memory.
    assert sum(map(len, written)) == 12 * (len(rows) - 2)
    assert not any(row["NIK"].encode() in b"".join(written) or bytes.fromhex(row["NIK"]) in b"".join(written) for row in rows)


def test_without_room_for_tokens_nothing_is_stored(sqlite_house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which folder is full and that nothing was stored."""
    file = write_dp4(tmp_path / "a.csv", [dp4_row(number) for number in range(1, 9)])
    monkeypatch.setattr(conflicts, "_HELD", 24)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))

    with pytest.raises(BadInput, match="no room for the tokens"):
        _intake(sqlite_house).load(file, None, lambda done, total: None)
    assert _seen(sqlite_house) == [[{"n": 0}]] * 5


class _Changing:
    """A file that is another from the *turn*-th opening on."""

    def __init__(self, turn: int, before: bytes, after: bytes) -> None:
        self.turn, self.contents = turn, (before, after)

    def __call__(self) -> BytesIO:
        self.turn -= 1
        return BytesIO(self.contents[self.turn < 1])


# The survey opens it once; each later pass twice, for the header and for the rows.
@pytest.mark.parametrize(("turn", "stored"), [(2, 0), (3, 0), (5, 4)])
def test_a_file_that_changes_between_the_passes_stores_no_changed_row(house: House, turn: int, stored: int) -> None:
    """One letter in the third batch: what was stored before it is as the survey saw it, whole batches, each with its entry."""
    rows = [dp4_row(number) for number in range(1, 9)]
    before = table(rows)
    at = before.index(rows[5]["NIK"].encode())
    after = before[:at] + b"9" + before[at + 1 :]

    with pytest.raises(BadInput) as changed:
        _intake(house, batch=2, workers=0).load(_Changing(turn, before, after), None, lambda done, total: None)
    assert "changed" in str(changed.value.detail)
    assert not stored or f"goes on at row {stored + 1}" in str(changed.value.detail)
    assert count(house, "voter") == stored
    assert store_findings(house) == []


def test_over_the_web_the_check_comes_before_the_load(house: House) -> None:
    """Counts, a list of row numbers without a value, and the choice to load all the same."""
    site = Site(house)
    desk = site.join()
    desk.load(table([dp4_row(1)]))
    address = desk.upload(table([dp4_row(number) for number in (1, 2, 3, 2)]))
    columns = {name: str(cell) for cell, name in enumerate(COLUMNS)}
    assert desk.post(address, act="check", **columns).status_code == 303
    page, listed = desk.get(address).text, desk.get(f"{address}/conflicts.csv")

    assert "Ada NIK ganda" in page
    assert not any(dp4_row(number)["NIK"] in page + listed.text for number in (1, 2, 3))
    assert list(csv.reader(listed.text.lstrip("\ufeff").splitlines()))[1:] == [
        ["1", "roll", "NIK sudah ada di daftar pemilih pemilu ini."],
        ["4", "file", "NIK sama dengan baris sebelumnya di berkas ini."],
    ]
    assert count(house, "voter") == 1
    # Other columns: what was found for these says nothing about those.
    desk.post(address, act="preview", **{**columns, "KET": ""})
    assert "Ada NIK ganda" not in desk.get(address).text
    assert desk.get(f"{address}/conflicts.csv").status_code == 404
    assert desk.load_columns(address, columns)
    assert (count(house, "voter"), count(house, "quarantine")) == (3, 2)


def test_a_check_without_conflicts_says_so_and_a_broken_one_does_not(house: House) -> None:
    """Nothing found is told with the number of rows; a part that was taken away is recorded, and the page offers the check again."""
    site = Site(house)
    desk = site.join()
    address = desk.upload(table([dp4_row(1), dp4_row(2)]))
    columns = {name: str(cell) for cell, name in enumerate(COLUMNS)}
    desk.post(address, act="check", **columns)
    assert "Tidak ada NIK ganda pada 2 baris" in desk.get(address).text
    actor, now = operator(house), house.clock.now()
    upload = intake.upload_of(house.roll, actor, address.rpartition("/")[2], now)
    uploads.change(house.roll, KAB, upload.uid, (uploads.WAITING,), empty=True)

    job = house.roll.jobs.start(
        intake_check.KIND, actor.uid, actor.office, {"upload": upload.uid, "mapping": upload.mapping, "request": "r" * 26}
    )
    assert house.roll.jobs.find(job).state == "failed"
    assert entries(house)[-1]["outcome"] == Outcome.BROKEN.value


def test_the_report_is_only_numbers() -> None:
    """As the job keeps it and the command prints it."""
    told = intake_check.told(Report(3, (2,), (3,), 1))

    assert json.loads(json.dumps(told)) == told
    assert set(told) == {"rows", "compared", "conflicts", "file", "roll", "file_rows", "roll_rows"}
