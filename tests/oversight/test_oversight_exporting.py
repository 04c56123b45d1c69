"""Exports of the rows shown: the same rows, provable one by one, recorded before they leave, harmless to a spreadsheet, gone after an hour."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from werkzeug.test import TestResponse

from app.audit.entry import draft_for, leaf_hash
from app.jobs.desk import Jobs
from app.kernel.errors import Conflict, NotThere, TrailDown
from app.kernel.fields import Action, Outcome, Role
from app.oversight import asking, exporting
from app.oversight.room import Oversight
from app.oversight.sheets import HEADS, Form, Words, neutral, write
from app.places import Places
from tests.conftest import KAB, operator
from tests.oversight.oversight_kit import History, text_of
from tests.oversight.test_oversight_trail import fill
from tests.walk_kit import content, entries, entry_at, person, size, tamper

SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten rows are many: what goes on in the background is the same for ten thousand."""
    monkeypatch.setattr(exporting, "AT_ONCE", 10)


def export(history: History, form: str, query: str = "range=all", who: str = "officer") -> TestResponse:
    """Press a button of the page."""
    return history.post("/audit/export", who, form=form, query=query)


def table(answer: TestResponse) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    assert answer.status_code == 200, text_of(answer)
    return list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"), newline="")))


def cells(data: bytes) -> list[list[tuple[str, str]]]:
    """(type, text) of every cell of an XLSX file; a formula would be of type ``f``."""
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        assert not [name for name in book.namelist() if "calcChain" in name or "externalLink" in name]
        sheet = ElementTree.fromstring(book.read("xl/worksheets/sheet1.xml"))
    return [
        [("f" if cell.find(f"{SHEET}f") is not None else cell.get("t", "n"), "".join(cell.itertext())) for cell in row]
        for row in sheet.iter(f"{SHEET}row")
    ]


def room_of(history: History) -> Oversight:
    room: Oversight = history.site.app.extensions["gardu.oversight"]
    return room


def numbers(history: History, query: str) -> list[int]:
    """What the pages show, all of them, before the reading of them is counted in."""
    found: list[int] = []
    path: str | None = f"/audit?{query}"
    while path:
        page = history.get(path)
        found += [int(seq) for seq in re.findall(r'<tr role="row" data-entry="(\d+)"', page.text)]
        older = [link for link in page.text.split('href="') if link.startswith("/audit?") and "before=" in link.split('"')[0]]
        path = older[0].split('"')[0].replace("&amp;", "&") if older else None
    return found


@pytest.mark.parametrize(
    "query",
    [
        "range=all&action=voter:reveal",
        "range=all&action=session:login&outcome=done",
        f"range=all&region={KAB}&purpose=pemuatan",
        "range=7d&office=kpu-51.03",
    ],
)
def test_the_file_holds_exactly_the_rows_shown(history: History, query: str) -> None:
    """In the same order, whatever the form; also those on later pages."""
    fill(history, 70)
    shown = numbers(history, query)

    found = {form: export(history, form, query) for form in ("csv", "xlsx", "jsonl")}

    assert [int(row["Nomor"]) for row in table(found["csv"])] == shown != []
    assert [int(float(row[0][1])) for row in cells(found["xlsx"].data)[1:]] == shown
    assert [json.loads(line)["seq"] for line in found["jsonl"].data.splitlines()] == shown


def test_every_row_can_be_proved(history: History) -> None:
    """Log, number and leaf hash stand in it; a JSON line holds the very bytes that were hashed."""
    by_csv, by_line = table(export(history, "csv")), export(history, "jsonl").data.splitlines()

    leaf_of = {}
    for line in by_line:
        told = json.loads(line)
        body = line[len(b'{"entry":') : line.index(b',"leaf":')]
        assert leaf_hash(body).hex() == told["leaf"] and json.loads(body)["seq"] == told["seq"] and told["log"] == history.house.guard.log
        leaf_of[told["seq"]] = told["leaf"]
    assert all(leaf_of[int(row["Nomor"])] == row["Sidik daun"] and row["Jejak"] == history.house.guard.log for row in by_csv)


def test_the_entry_stands_before_the_file_leaves(history: History) -> None:
    """With the filters in the sealed payload, and the digest of exactly these bytes."""
    answer = export(history, "csv", f"range=all&subject={KAB}-{history.voter}&outcome=denied")

    last = history.last
    told = content(history.house, int(str(last["seq"])))
    assert (last["action"], last["outcome"], last["purpose"], last["scope"]) == ("trail:export", "done", "audit", KAB)
    assert last["detail"] == {"type": "export", "sha256": hashlib.sha256(answer.data).hexdigest()}
    assert (told["query"], told["form"], told["rows"]) == ({"range": "all", "outcome": "denied"}, "csv", len(table(answer)))
    assert told["subjects"] == [history.voter]
    assert answer.headers["Content-Disposition"] == f"attachment; filename=gardu-jejak-{last['seq']}.csv"
    assert answer.headers["Content-Length"] == str(len(answer.data)) and answer.headers["Cache-Control"] == "no-store"
    assert history.voter not in answer.text


def test_without_its_entry_no_file_leaves(one: History) -> None:
    """A log that cannot be written hands out nothing, and keeps nothing."""
    one.browser()
    tamper(one.house, "UPDATE trail_head SET size = size + 1")
    room, officer = room_of(one), person(one.house, Role.PETUGAS_KEAMANAN, "00", "keamanan")
    asked = asking.read({"range": "all"}, one.house.clock.now(), officer.office, officer.region)

    with pytest.raises(TrailDown):
        exporting.export(room, officer, asked, Form.CSV, "id", one.house.clock.now())

    assert list(room.exports.iterdir()) == []


@pytest.mark.parametrize("evil", ["=1+1", "+SUM(A1)", "-2", "@SUM(A1)", "\tx", "\rx", '=HYPERLINK("http://jahat.example")'])
def test_no_cell_is_a_formula(one: History, evil: str, tmp_path: Path) -> None:
    """Neither what an entry could hold, nor what a translation or a region's name could."""
    words = Words("=log", "kpu-51.71", lambda text: evil if text == HEADS[0] else text, dict.fromkeys([], ""), Places())
    for form in (Form.CSV, Form.XLSX):
        out = io.BytesIO()
        write(form, out, iter([7]), words, tmp_path)
        if form is Form.CSV:
            head, row = csv.reader(io.StringIO(out.getvalue().decode("utf-8-sig"), newline=""))
            assert (head[0], row[0], row[-2]) == (f"'{evil}", "7", "'=log")
        else:
            assert {kind for row in cells(out.getvalue()) for kind, _ in row} <= {"inlineStr", "n"}
            assert cells(out.getvalue())[1][0] == ("n", "7")
    assert neutral(evil) == f"'{evil}" and neutral(-7) == -7


def test_an_actor_that_looks_like_a_formula_is_text(one: History) -> None:
    """An entry may say so; the grammar of the log allows any printable sign."""
    trail, now = one.house.guard.trail, one.house.clock.now()
    trail.append(draft_for(operator(one.house, uid="=cmd|calc!A1"), Action.SESSION_LOGIN, Outcome.DONE, now))

    by_csv, by_xlsx = export(one, "csv"), export(one, "xlsx")

    assert "'=cmd|calc!A1" in [row["Pelaku"] for row in table(by_csv)]
    assert ("inlineStr", "=cmd|calc!A1") in [cell for row in cells(by_xlsx.data) for cell in row]


def test_the_file_speaks_the_language_of_the_page(one: History) -> None:
    """Heads and words; and both clocks, that of the office with its zone."""
    row = next(row for row in table(export(one, "csv", who="bali")) if int(row["Nomor"]) == one.read)

    assert row["Kegiatan"] == "voter:reveal" and row["Kegiatan, dalam kata"] == "Membuka data pemilih"
    assert (row["Waktu (UTC)"], row["Waktu setempat"], row["Zona"]) == ("2026-12-01T03:00:00.000000Z", "2026-12-01 11:00:00", "WITA")
    assert "(NIK): utuh" in row["Yang dibuka"] and row["Jumlah pemilih"] == "1"


def test_a_spoilt_row_is_named_in_the_file(one: History) -> None:
    """Its number, and that it cannot be read; the others are there."""
    tamper(one.house, "DROP TRIGGER trail_entry_no_update", "UPDATE trail_entry SET body = x'00' WHERE seq = :seq", seq=one.read)

    rows = table(export(one, "csv"))
    lines = [json.loads(line) for line in export(one, "jsonl").data.splitlines()]

    assert [row["Hasil, dalam kata"] for row in rows if int(row["Nomor"]) == one.read] == ["entri rusak: isinya tidak dapat dibaca"]
    assert [line["entry"] for line in lines if line["seq"] == one.read] == [None] and len(rows) > one.changed


def test_only_the_jurisdiction_is_in_it(one: History) -> None:
    """As on the page."""
    found = {int(row["Nomor"]) for row in table(export(one, "csv", who="badung"))}

    assert one.denied in found and not found & {one.read, one.changed, one.searched}


@pytest.mark.parametrize(("form", "query"), [("pdf", "range=all"), ("", ""), ("csv", "region=Denpasar")])
def test_what_cannot_be_exported_is_refused(one: History, form: str, query: str) -> None:
    before = size(one.house)

    assert export(one, form, query).status_code == 400
    assert not [entry for entry in entries(one.house, before) if entry["action"] == "trail:export"]


# ---- long ones ----


@pytest.mark.usefixtures("few")
def test_a_long_export_is_made_in_the_background(history: History) -> None:
    """Two entries, the file, its page; what came in meanwhile is not in it; fetching it is an entry too."""
    sent = export(history, "csv", f"range=all&subject={KAB}-{history.voter}")
    assert table(sent)
    sent = export(history, "csv")
    assert sent.status_code == 303
    path = sent.headers["Location"]

    page = history.get(path)
    answer = history.get(f"{path}/file")

    said = [one for one in entries(history.house) if one["action"] == "trail:export"][-2:]
    assert [(one["outcome"], one["role"]) for one in said] == [("intent", "petugas_keamanan"), ("done", "proses")]
    top = content(history.house, int(str(said[0]["seq"])))["below"]
    assert [int(row["Nomor"]) for row in table(answer)] == list(range(int(str(top)) - 1, -1, -1))
    assert said[1]["detail"] == {"type": "export", "sha256": hashlib.sha256(answer.data).hexdigest()}
    assert 'data-job="done"' in page.text and "Berkas siap" in text_of(page) and "Ekspor CSV siap" in text_of(history.get("/audit"))
    reads = [content(history.house, int(str(one["seq"])))["query"] for one in entries(history.house) if one["action"] == "trail:read"]
    assert {"export": said[1]["seq"]} in reads


@pytest.mark.usefixtures("few")
def test_the_job_knows_no_voter(one: History) -> None:
    """Neither the row of the job nor the address of its page holds a voter's number: a pseudonym at most."""
    fill(one, 12)
    query = f"range=all&subject={KAB}-{one.voter}"
    for _ in range(12):
        one.get(f"/audit?{query}")

    path = export(one, "csv", query).headers["Location"]

    job = exporting.find(
        room_of(one), person(one.house, Role.PETUGAS_KEAMANAN, "00", uid=one.site.uids["officer"]), path.rpartition("/")[2]
    )
    assert one.voter not in json.dumps([dict(job.detail), dict(job.result)]) and one.voter not in one.get(path).text
    assert len(table(one.get(f"{path}/file"))) > 12
    intent = next(each for each in reversed(entries(one.house)) if (each["action"], each["outcome"]) == ("trail:export", "intent"))
    assert content(one.house, int(str(intent["seq"])))["subjects"] == [one.voter]


@pytest.mark.usefixtures("few")
def test_a_file_is_its_officers_for_an_hour(one: History) -> None:
    """Nobody else's, also not another officer's; on disk ours alone; and then it is gone."""
    path = export(one, "xlsx").headers["Location"]
    room = room_of(one)
    [file] = room.exports.iterdir()

    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(room.exports.stat().st_mode) == 0o700
    assert {one.get(f"{path}{more}", "bali").status_code for more in ("", "/file")} == {404}
    assert one.post(f"{path}/again", "bali").status_code == 404
    assert one.get(f"{path}/file").status_code == 200
    officer = person(one.house, Role.PETUGAS_KEAMANAN, "00", uid=one.site.uids["officer"])
    one.house.clock.move(hours=1, seconds=1)
    with pytest.raises(NotThere):
        exporting.fetch(room, officer, path.rpartition("/")[2], one.house.clock.now())
    assert list(room.exports.iterdir()) == []


@pytest.mark.usefixtures("few")
def test_a_file_changed_on_disk_is_not_handed_out(one: History) -> None:
    """Its entry names other bytes."""
    path = export(one, "csv").headers["Location"]
    [file] = room_of(one).exports.iterdir()
    file.write_bytes(file.read_bytes().replace(b"allowed", b"denied!"))

    assert one.get(f"{path}/file").status_code == 500


@pytest.mark.usefixtures("few")
def test_more_than_the_limit_is_refused_with_the_remedy(one: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is left behind, and the log says that it was refused."""
    monkeypatch.setattr(exporting, "MOST", 15)
    path = export(one, "csv").headers["Location"]

    page = one.get(path)

    assert 'data-job="failed"' in page.text and "Persempit" in text_of(page)
    assert list(room_of(one).exports.iterdir()) == [] and one.get(f"{path}/file").status_code == 404
    assert [entry["outcome"] for entry in entries(one.house) if entry["action"] == "trail:export"] == ["intent", "denied"]


@pytest.mark.usefixtures("few")
def test_one_export_at_a_time(one: History) -> None:
    """A second one waits for the first, whose page shows how far it is, also without refreshing."""
    one.browser()
    room = room_of(one)
    later = replace(room, jobs=Jobs(one.house.store, one.house.clock, one.house.settings.data / "later.db"))
    exporting.register(later)
    officer, now = person(one.house, Role.PETUGAS_KEAMANAN, "00", uid=one.site.uids["officer"]), one.house.clock.now()
    asked = asking.read({"range": "all"}, now, officer.office, officer.region)
    uid = exporting.export(later, officer, asked, Form.CSV, "id", now)

    moving, still = one.get(f"/audit/export/{uid}"), one.get(f"/audit/export/{uid}?diam=1")

    assert isinstance(uid, str) and moving.headers["Refresh"] == f"2; url=/audit/export/{uid}" and "Refresh" not in still.headers
    assert "Menunggu giliran" in text_of(moving) and "sedang dikerjakan" in text_of(one.get("/audit"))
    with pytest.raises(Conflict):
        exporting.export(later, officer, asked, Form.CSV, "id", now)
    assert export(one, "csv").status_code == 409


@pytest.mark.usefixtures("few")
def test_a_job_of_another_kind_is_no_export(one: History) -> None:
    one.browser()
    room = room_of(one)
    room.jobs.register("other", lambda job, progress: {})
    uid = room.jobs.start("other", one.site.uids["officer"], "kpu-00")

    assert one.get(f"/audit/export/{uid}").status_code == 404


def test_what_a_dead_process_left_is_swept(one: History) -> None:
    """Files without a job, once they are older than any export at work."""
    import os

    one.browser()
    room = room_of(one)
    old, new = room.exports / "tmpold", room.exports / "tmpnew"
    for file in (old, new):
        file.write_bytes(b"x")
    now = one.house.clock.now()
    os.utime(old, (now.timestamp() - 4000,) * 2)
    os.utime(new, (now.timestamp() - 10,) * 2)

    exporting.sweep(room, now)

    assert [file.name for file in room.exports.iterdir()] == ["tmpnew"]


@pytest.mark.slow
def test_memory_stays_flat(tmp_path: Path, one: History) -> None:
    """Twenty thousand rows take no more memory than two thousand, in any form."""
    import tracemalloc

    [row] = [found for found in _stored(one) if found.seq == one.read]
    labels = one.house.guard.policies.catalog.labels("id")
    words = Words(one.house.guard.log, "kpu-00", str, dict(labels.elements), one.house.places)

    def peak(form: Form, count: int) -> int:
        with (tmp_path / f"{form}{count}").open("w+b") as file:
            tracemalloc.start()
            write(form, file, (row for _ in range(count)), words, tmp_path)
            found = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return found

    for form in Form:
        assert peak(form, 20_000 if form is not Form.XLSX else 5_000) < peak(form, 500) + 600_000, form


def _stored(history: History) -> Iterator[object]:
    from app.audit import desk

    yield from desk.entries(history.house.store, history.house.guard.log, desk.Filter(), limit=200).entries


def test_the_number_of_the_entry_leads_to_it(one: History) -> None:
    """The name of the file holds it."""
    answer = export(one, "jsonl")
    seq = int(re.search(r"gardu-jejak-(\d+)\.jsonl", answer.headers["Content-Disposition"])[1])  # type: ignore[index]

    assert entry_at(one.house, seq)["action"] == "trail:export"
