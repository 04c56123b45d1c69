"""Loading what was sent in: columns as chosen, killed and taken up again, tampered with, watched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from app.cli.shell import host_actor
from app.factory import House, web_app
from app.jobs.desk import STALLED_AFTER
from app.kernel.errors import BadInput, Conflict
from app.kernel.fields import Element, Role
from app.kernel.ids import new_uid
from app.voters import actions, dp4, intake, loads, uploads
from app.voters.columns import choose
from app.voters.rules.rows import COLUMNS, OPTIONAL
from app.voters.synth import write_csv
from app.voters.tables import Upload
from tests.conftest import ELECTION, KAB, ROOT, FakeClock, dp4_row, load_dp4, operator, task, write_dp4
from tests.sampling import sampled
from tests.voters.intake_kit import Site, count, loaded, registered, sent, some, table
from tests.walk_kit import content, entries, guard_on, outcomes, reopened, rows_of, seen_in, store_findings, tamper, truth, uid_of

RENAMED = {"NIK": "No. Induk", "NAMA": "Nama Lengkap", "KET": "Catatan"}


def upload_of(house: House, uid: str) -> Upload:
    return intake.upload_of(house.roll, operator(house), uid, house.clock.now())


def start(house: House, uid: str) -> str:
    """Begin to load; return the job's state afterwards."""
    intake.start(house.roll, operator(house), upload_of(house, uid), house.clock.now())
    return state(house, uid)


def state(house: House, uid: str) -> str:
    job = intake.job_of(house.roll, upload_of(house, uid))
    return job.state if job else "none"


def test_a_load_is_the_operators_and_made_by_a_process(house: House) -> None:
    """The entries name the person, the role proses, the office; the rows name their load; no part is left."""
    load = loaded(house, table([dp4_row(1), dp4_row(2), dp4_row(3, NIK="5171")]))

    [entry] = [one for one in entries(house) if (one["action"], one["outcome"]) == ("voter:import", "done")]
    assert (entry["actor"], entry["role"], entry["office"], entry["session"]) == ("o" * 26, "proses", "kpu-51.71", None)
    assert rows_of(house, "SELECT load, count(*) AS n FROM voter GROUP BY load") == [{"load": load, "n": 2}]
    assert count(house, "upload_part") == 0
    row = intake.load_of(house.roll, operator(house), load, house.clock.now())
    assert (row.state, row.rows_read, row.rows_sealed, row.rows_quarantined) == ("done", 3, 2, 1)
    assert store_findings(house) == []


def test_renamed_headers_load_as_they_were_matched(house: House) -> None:
    """What the page proposed and what the operator chose: every value comes out where it belongs."""
    row = dp4_row(1, KET="8")
    uid = sent(registered(house), table([row], RENAMED))
    proposed = uploads.mapping_of(upload_of(house, uid))
    assert set(COLUMNS) - set(proposed) == set(RENAMED)

    with pytest.raises(BadInput) as missing:
        start(house, uid)
    assert missing.value.field == "NIK, NAMA"
    intake.map_columns(house.roll, upload_of(house, uid), {**proposed, "NIK": 2, "NAMA": 3, "KET": 14})
    assert start(house, uid) == "done"

    shown, _ = actions.read_voter(house.guard, operator(house), task(), uid_of(house, 1), house.clock.now())
    assert {element: shown.values[element] for element in shown.values} == {**truth(row), Element.DISABILITAS: "tidak"}


@pytest.mark.parametrize(
    ("chosen", "field"),
    [
        ({"NIK": 2, "NAMA": 2}, "NIK, NAMA"),
        ({"NIK": None}, "NIK"),
        ({"NIK": 18}, "columns"),
        ({"NIK": -1}, "columns"),
        ({"KET": 2}, "NIK, KET"),
    ],
    ids=["twice", "missing", "beyond", "below", "optional twice"],
)
def test_columns_chosen_wrong_are_named(chosen: dict[str, int | None], field: str) -> None:
    """One header for two columns, a required column without one, a header the file has not."""
    whole: dict[str, int | None] = {**{column: cell for cell, column in enumerate(COLUMNS)}, **chosen}

    with pytest.raises(BadInput) as wrong:
        choose(18, {column: cell for column, cell in whole.items() if cell is not None})
    assert wrong.value.field == field


def test_optional_columns_may_be_left_out(house: House) -> None:
    """What a file does not have is empty in the roll."""
    uid = sent(registered(house), some(1))
    intake.map_columns(house.roll, upload_of(house, uid), {column: cell for cell, column in enumerate(COLUMNS) if column not in OPTIONAL})

    assert start(house, uid) == "done"
    assert count(house, "voter") == 1


def test_a_load_is_begun_once(house: House) -> None:
    """Twice pressed, or by two people: the second is told."""
    uid = sent(registered(house), some())
    before = upload_of(house, uid)
    start(house, uid)

    with pytest.raises(Conflict):
        intake.start(house.roll, operator(house), before, house.clock.now())
    with pytest.raises(Conflict):
        intake.map_columns(house.roll, before, {"NIK": 1})
    with pytest.raises(Conflict):
        intake.again(house.roll, operator(house), upload_of(house, uid), house.clock.now())


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE upload_part SET number = 2 - number WHERE number <> 1",
        "DELETE FROM upload_part WHERE number = 1",
        "DELETE FROM upload_part WHERE number = (SELECT max(number) FROM upload_part)",
        "UPDATE upload_part SET bytes = (SELECT bytes FROM upload_part x WHERE x.number = 1 AND x.upload <> upload_part.upload) WHERE number = 1 AND upload = :uid",
        "UPDATE upload_part SET bytes = substr(bytes, 1, 1000) WHERE number = 2 AND upload = :uid",
        "UPDATE upload SET digest = wrapped, size = 5 WHERE uid = :uid",
    ],
    ids=["swapped", "removed", "cut", "of another upload", "truncated", "row"],
)
def test_parts_changed_past_gardu_load_nothing(house: House, change: str) -> None:
    """SealBroken, recorded; no row enters the roll and no load begins."""
    body = some(4000)
    uid, _other = sent(registered(house), body), sent(house, some(4000, 5000))
    uploads.change(house.roll, KAB, uid, (uploads.WAITING,), state=uploads.STARTED)
    if "number = 2 - number" in change:
        # Past the primary key: away first, then back.
        tamper(house, "UPDATE upload_part SET number = number + 10 WHERE upload = :uid", uid=uid)
        tamper(house, "UPDATE upload_part SET number = 12 - number WHERE upload = :uid AND number <> 11", uid=uid)
        assert tamper(house, "UPDATE upload_part SET number = 1 WHERE upload = :uid AND number = 11", uid=uid) == 1
    else:
        assert tamper(house, change, **({"uid": uid} if ":uid" in change else {})) > 0

    intake_trouble = _tried(house, uid)
    assert intake_trouble == "broken"
    assert ("voter:import", "broken") in outcomes(house)
    assert count(house, "voter") == count(house, "load") == 0


def _tried(house: House, uid: str) -> str:
    """Load past the page, which would refuse too: what the job says."""
    actor = operator(house)
    job = house.roll.jobs.start(intake.KIND, actor.uid, actor.office, {"upload": uid, "request": new_uid()})
    tamper(house, "UPDATE job SET state = 'failed' WHERE uid = :uid", uid=job)
    return str(entries(house)[-1]["outcome"])


def test_a_part_removed_in_the_middle_of_a_load_stops_it_and_the_rest_stays(house: House) -> None:
    """The batches before are whole, each with its entry; the job says that a seal is broken."""
    body = some(4000)
    uid = sent(registered(house), body)
    assert house.roll.jobs  # the job surveys the file first, so the part goes after the columns were chosen
    actor, now = operator(house), house.clock.now()
    seen = upload_of(house, uid)
    layout = choose(18, uploads.mapping_of(seen))
    stolen: list[int] = []

    def steal(done: int, total: int) -> None:
        if not stolen:
            stolen.append(tamper(house, "DELETE FROM upload_part WHERE number = 2"))

    worker = replace(actor, role=Role.PROSES, roles=frozenset({Role.PROSES}))
    job = dp4.Intake(house.guard, house.places, worker, house.clock, KAB, ELECTION, workers=0, batch=500)
    with pytest.raises(Exception, match="part 2"), intake.recorded(house.roll, worker, KAB, now):
        job.load(uploads.source(house.roll, seen), layout, steal)

    sealed = count(house, "voter")
    assert 0 < sealed < 4000
    assert rows_of(house, "SELECT state, rows_read FROM load") == [{"state": "running", "rows_read": sealed}]
    assert store_findings(house) == []


def die(data: str, uid: str, count_text: str) -> None:
    """Run in a process of its own: load an upload and be killed when the log is locked for the *count_text*-th time."""
    house = reopened(Path(data))
    passed = Counter[str]()

    def here(at: str) -> None:
        passed[at] += 1
        if at == "locked" and passed[at] == int(count_text):
            os.kill(os.getpid(), signal.SIGKILL)

    guard = guard_on(house, house.store, here)
    roll = replace(house.roll, guard=guard)
    web_app(replace(house, roll=roll))
    actor = operator(house)
    intake.start(roll, actor, intake.upload_of(roll, actor, uid, house.clock.now()), house.clock.now())


@pytest.mark.parametrize("batch", sampled([1, 2, 3], 2))
def test_a_load_killed_in_any_batch_goes_on_after_it(house: House, batch: int) -> None:
    """SIGKILL inside a batch: whole batches stand; begun again, every row is there once and nothing twice."""
    clock = house.clock
    assert isinstance(clock, FakeClock)
    uid = sent(registered(house), some(1300))
    code = f"from tests.voters.test_voters_intake_load import die; die({str(house.settings.data)!r}, {uid!r}, '{batch}')"
    died = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert count(house, "voter") == 500 * (batch - 1)

    [job] = house.roll.jobs.latest(intake.KIND)
    uploads.change(house.roll, KAB, uid, (uploads.STARTED,), job=job.uid)
    with pytest.raises(Conflict):
        intake.again(house.roll, operator(house), upload_of(house, uid), clock.now())
    clock.moment += 2 * STALLED_AFTER
    assert state(house, uid) == "stalled"
    intake.again(house.roll, operator(house), upload_of(house, uid), clock.now())

    assert state(house, uid) == "done"
    assert (count(house, "voter"), count(house, "load"), count(house, "upload_part")) == (1300, 1, 0)
    assert store_findings(house) == []


def test_a_job_that_was_never_queued_can_be_begun(house: House) -> None:
    """Died between the row and the queue: the page offers to go on, and it does."""
    uid = sent(registered(house), some())
    uploads.change(house.roll, KAB, uid, (uploads.WAITING,), state=uploads.STARTED)

    intake.again(house.roll, operator(house), upload_of(house, uid), house.clock.now())
    assert upload_of(house, uid).state == uploads.DONE


def test_a_load_taken_up_with_other_columns_is_refused(house: House, tmp_path: Path) -> None:
    """Half a file by one mapping and half by another would change people's data."""
    body = some(1200)
    uid = sent(registered(house), body)
    seen = upload_of(house, uid)
    layout = choose(18, uploads.mapping_of(seen))
    other = choose(18, {**uploads.mapping_of(seen), "RT": 10, "RW": 9})

    class Cut(Exception):
        pass

    def cut(done: int, total: int) -> None:
        raise Cut

    job = dp4.Intake(house.guard, house.places, host_actor(), house.clock, KAB, ELECTION, workers=0)
    with pytest.raises(Cut):
        job.load(uploads.source(house.roll, seen), layout, cut)
    with pytest.raises(Conflict, match="other columns"):
        job.load(uploads.source(house.roll, seen), other, cut)

    assert start(house, uid) == "done"
    assert count(house, "voter") == 1200


def test_a_failure_before_the_first_row_leads_back_to_the_columns(house: House) -> None:
    """A file with nothing loaded of it may be matched anew."""
    registered(house)
    first, second = sent(house, some()), sent(house, some())
    assert start(house, first) == "done"
    assert start(house, second) == "failed"

    intake.again(house.roll, operator(house), upload_of(house, second), house.clock.now())
    assert upload_of(house, second).state == uploads.WAITING


def test_a_discarded_upload_is_not_loaded(house: House) -> None:
    """Not even by a job that was queued before."""
    uid = sent(registered(house), some())
    intake.discard(house.roll, upload_of(house, uid))

    assert _tried(house, uid) == "failed"
    assert count(house, "voter") == 0


def test_a_command_s_load_shows_in_the_history_too(house: House, tmp_path: Path) -> None:
    """With the same totals, by whom, and undoable like any other."""
    done = load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1), dp4_row(2, NIK="1")]))
    desk = Site(house).join()

    page = desk.get("/intake").text
    assert "perintah di server" in page
    assert f"/intake/{done.uid}/result" in page
    assert desk.get(f"/intake/{done.uid}/result").status_code == 200
    [(load, holds)] = intake.history(house.roll, KAB, None, 5)
    assert (load.uid, holds, load.rows_sealed) == (done.uid, True, 1)


def test_the_history_pages_by_cursor(house: House) -> None:
    """Loads of one moment too: none twice, none left out."""
    made = [loaded(house, some(1, number)) for number in range(1, 6)]
    seen: list[str] = []
    before = None
    while page := intake.history(house.roll, KAB, before, 2):
        seen += [load.uid for load, _ in page]
        before = page[-1][0]

    assert sorted(seen) == sorted(made)


def test_a_load_s_row_changed_past_gardu_shows_as_broken(house: House) -> None:
    """Its page does not open, its line says so, the log has it."""
    load = loaded(house, some())
    desk = Site(house).join()
    for change in (
        "rows_read = 99",
        "state = 'undone'",
        "digest = seal",
        "actor = 'x'",
        "seal = digest",
        "warnings = '{\"ganda\": 7}'",
        "upload = NULL",
    ):
        [before] = rows_of(house, "SELECT * FROM load WHERE uid = :uid", uid=load)
        tamper(house, f"UPDATE load SET {change} WHERE uid = :uid", uid=load)
        assert desk.get(f"/intake/{load}/result").status_code == 500, change
        assert outcomes(house)[-1] == ("voter:import", "broken")
        assert "segel rusak" in desk.get("/intake").text
        tamper(house, f"UPDATE load SET {', '.join(f'{name} = :{name}' for name in before)} WHERE uid = :uid", **before)
    assert desk.get(f"/intake/{load}/result").status_code == 200


def test_the_result_adds_up_and_explains(house: House) -> None:
    """Read is sealed plus quarantined; warnings and reasons come with sentence and remedy; nothing of a voter."""
    rows = [dp4_row(1), dp4_row(2, NIK="51710"), dp4_row(3, JK="X"), dp4_row(1), dp4_row(5, NAMA="=HYPERLINK(1)"), dp4_row(6, ALAMAT="-")]
    desk = Site(house).join()
    load = desk.load(table(rows))

    page = desk.get(f"{load}/result").text
    assert "NIK tidak terdiri dari tepat 16 angka." in page
    assert "NIK ini sudah ada pada pemilih lain" in page
    assert "Kode jenis kelamin tidak dikenal." in page
    assert "seperti rumus lembar kerja" in page
    assert json.loads(str(rows_of(house, "SELECT warnings FROM load")[0]["warnings"])) == {"jk-unknown": 1, "formula": 1}
    assert "HYPERLINK" not in page
    assert "51710" not in page
    report = desk.get(f"{load}/quarantine.csv")
    assert report.mimetype == "text/csv"
    assert "2,NIK,nik-shape,NIK tidak terdiri" in report.text
    assert "4,NIK,ganda," in report.text


def test_the_report_is_safe_for_spreadsheets(house: House) -> None:
    """Whoever writes a formula into the reasons past Gardu gets a text, or nothing."""
    desk = Site(house).join()
    load = desk.load(table([dp4_row(2, NIK="51710"), dp4_row(3, NIK="1")]))
    tamper(house, "UPDATE quarantine SET reasons = :bad WHERE row_no = 1", bad="=CMD():nik-shape,NIK:=1+1,NIK:nik-date")

    lines = desk.get(f"{load}/quarantine.csv").text.splitlines()
    assert len(lines) == 3
    assert not any(cell.lstrip('"').startswith(("=", "+", "-", "@")) for line in lines for cell in line.split(","))


def test_the_quarantine_is_paged(house: House) -> None:
    """Fifty rows a page, in the file's order, to the last."""
    desk = Site(house).join()
    load = desk.load(table([dp4_row(number, NIK="1") for number in range(1, 121)]))
    actor, now = operator(house), house.clock.now()
    row = intake.load_of(house.roll, actor, load.rpartition("/")[2], now)

    pages, after = [], 0
    while page := intake.waiting_rows(house.roll, row, after, 50):
        pages.append([one.row_no for one in page])
        after = page[-1].row_no
    assert [number for page in pages for number in page] == list(range(1, 121))
    assert f"{load}/result?after=50" in desk.get(f"{load}/result").text
    assert f"{load}/result?after=100" in desk.get(f"{load}/result?after=50").text
    assert f"{load}/result?after=1" not in desk.get(f"{load}/result?after=100").text.partition("<main")[2]
    assert desk.get(f"{load}/result?after=x").status_code == 400


def test_the_progress_page_refreshes_until_told_not_to(house: House) -> None:
    """A job at work: percent, a header that refreshes, a link that stops it."""
    desk = Site(house).join()
    address = desk.upload(some())
    uid = address.rpartition("/")[2]
    uploads.change(house.roll, KAB, uid, (uploads.WAITING,), state=uploads.STARTED, job="j" * 26)
    with house.store.writing() as session:
        from app.jobs.tables import Job

        now = house.clock.now()
        session.add(
            Job(
                uid="j" * 26,
                kind="intake",
                actor=desk.uid,
                office="kpu-51.71",
                state="running",
                done=42,
                total=100,
                created_at=now,
                beat_at=now,
            )
        )

    page, quiet = desk.get(address), desk.get(f"{address}?diam=1")
    assert page.headers["Refresh"] == "2"
    assert 'value="42"' in page.text
    assert "Refresh" not in quiet.headers
    assert "42 persen" in desk.get("/").text
    assert desk.post(f"{address}/discard").status_code == 409
    assert desk.post(f"{address}/again").status_code == 409


def test_home_says_what_waits(house: House) -> None:
    """A file whose columns are to be chosen stands among what waits; afterwards the last result."""
    desk = Site(house).join()
    address = desk.upload(some())
    assert "Berkas DP4 menunggu Anda" in desk.get("/").text

    desk.load_columns(address, {name: cell for cell, name in enumerate(COLUMNS)})
    home = desk.get("/").text
    assert "Berkas DP4 menunggu Anda" not in home
    assert "Terakhir: 3 baris terbaca" in home


def test_wrong_columns_come_back_marked(house: House) -> None:
    """400, the columns named, what was chosen kept, nothing begun."""
    desk = Site(house).join()
    address = desk.upload(some())
    answer = desk.post(address, act="start", **{name: "2" if name in ("NIK", "NAMA") else str(cell) for cell, name in enumerate(COLUMNS)})

    assert answer.status_code == 400
    assert answer.text.count('aria-invalid="true"') == 2
    assert desk.post(address, act="start", NIK="zwei").status_code == 400
    assert desk.post(address, act="preview", NIK="1").status_code == 303
    assert uploads.mapping_of(upload_of(house, address.rpartition("/")[2])) == {"NIK": 1}


def test_a_large_synthetic_file_comes_in_as_by_command(sqlite_house: House, tmp_path: Path) -> None:
    """The page and the command read the same bytes the same way."""
    file = tmp_path / "dp4.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        write_csv(out, KAB, 2000, 9)
    load = loaded(sqlite_house, file.read_bytes())

    row = intake.load_of(sqlite_house.roll, operator(sqlite_house), load, sqlite_house.clock.now())
    assert row.rows_read == row.rows_sealed + row.rows_quarantined == 2000
    assert row.state == loads.DONE
    assert store_findings(sqlite_house) == []
    touches = seen_in(sqlite_house, str(rows_of(sqlite_house, "SELECT uid FROM voter LIMIT 1")[0]["uid"]))
    assert touches
    assert content(sqlite_house, touches[0])["load"] == load
