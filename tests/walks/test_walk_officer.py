"""The officer finds a whole story in the trail, opens an entry, proves it, and takes the proof to a machine that knows nothing of Gardu."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sampling import SCRIPTS, sampled
from tests.walks.conftest import Person
from tests.walks.test_walk_correct import open_voter, voters
from tests.walks.test_walk_look import speak, trouble
from tests.walks.test_walk_requests import approve, ask, nik, send, tab_to, two_desa

pytestmark = pytest.mark.browser
Visit = Callable[..., Person]


def saved(person: Person, selector: str, folder: Path) -> Path:
    """Follow a download link; return the file."""
    with person.page.expect_download() as download:
        person.page.locator(selector).first.click()
    file = folder / download.value.suggested_filename
    download.value.save_as(file)
    return file


def verdict(program: Path, receipt: Path, key: str) -> int:
    """What the one-file verifier says, run where nothing of Gardu is at hand."""
    call = [sys.executable, str(program), "receipt", str(receipt), "--key", key]
    return subprocess.run(call, cwd=program.parent, capture_output=True, check=False, env={"PATH": ""}).returncode


def actions(person: Person) -> list[tuple[str, str]]:
    """(action, outcome) of the rows of the trail, in words and as the attribute says."""
    rows = person.page.locator("tr[data-entry]")
    return [(row.locator("td").nth(3).inner_text().split("\n")[0], row.get_attribute("data-outcome") or "") for row in rows.all()]


@pytest.mark.parametrize(("scripts", "nth"), sampled([(True, 2), (False, 3)], (False, 3)))
def test_the_officer_finds_the_story_of_a_mandate(visit: Visit, tmp_path: Path, scripts: bool, nth: int) -> None:
    """Asking, the refusal of a self-approval, two approvals, the start, a reading under it, the revocation: one search."""
    liaison = visit("bawaslu.denpasar", java_script_enabled=scripts)
    two = two_desa(liaison, nth)
    liaison.goto(f"/requests/new?region={two.here}&elements=nik")
    path = ask(liaison, two.here)
    uid = path.rpartition("/")[2]
    form = {"decision": "approve", "version": "1", "region": two.here, "elements": "nik", "view": "utuh", "until": "2027-01-01"}
    assert send(liaison, f"{path}/decide", form)[0] == 403
    for name in ("penyetuju.data1", "penyetuju.hukum"):
        approve(visit(name, java_script_enabled=scripts), path)
    assert nik(liaison, two.voter) == "utuh"
    officer = visit("keamanan", java_script_enabled=scripts, accept_downloads=True)
    officer.goto(path)
    with officer.page.expect_navigation():
        officer.page.fill("[name=reason]", "Surat tugas dicabut pengirimnya pada hari ini.")
        officer.page.locator("form[action$='/revoke'] button").click()

    officer.goto("/audit")
    officer.page.locator("details.more summary").click()
    assert officer.submit(mandate=uid) == 200
    found = actions(officer)
    assert found[::-1] == [
        ("Mengajukan permintaan", "done"),
        ("Menyetujui permintaan", "denied"),
        ("Menyetujui permintaan", "done"),
        ("Menyetujui permintaan", "done"),
        ("Izin mulai berlaku", "done"),
        ("Membuka data pemilih", "allowed"),
        ("Mencabut izin", "done"),
    ]

    page = officer.page
    page.locator("tr[data-entry]", has_text="Membuka data pemilih").locator("a.open").click()
    said = page.locator("main").inner_text()
    assert "memutuskan hal yang sama" in said and "Made Sari" in said
    assert not re.search(r"\d{16}", re.sub(r"[0-9a-f]{64}", "", page.content()))
    page.locator("a.btn-main[href$='/verify']").click()
    assert page.locator("main").get_attribute("data-proof") == "good"
    assert page.locator("[data-found=good]").count() == 8
    key = re.search(r"--key '([^']+)'", page.locator("pre.shell").inner_text())
    assert key
    receipt, program = saved(officer, "a[href$='/receipt']", tmp_path), saved(officer, "a[href='/audit/verifier']", tmp_path)
    assert verdict(program, receipt, key[1]) == 0
    receipt.write_text(receipt.read_text().replace("extra e", "extra f", 1))
    assert verdict(program, receipt, key[1]) != 0


def test_a_correction_shows_digests_and_no_value(visit: Visit) -> None:
    """What the operator typed is nowhere on the officer's page; that something changed is."""
    operator = visit("operator.denpasar")
    address = open_voter(operator, voters()[20]["NIK"])
    operator.goto(f"{address}/correct/alamat")
    assert operator.submit(value="JL. TERSEMBUNYI NO. 99", ground="coklit", reason="Dicocokkan saat kunjungan coklit.") == 200

    officer = visit("keamanan")
    officer.goto("/audit")
    assert officer.submit(range="24h", action="voter:change", element="alamat") == 200
    officer.page.locator("tr[data-entry] a.open").first.click()
    said = officer.page.locator("main").inner_text()
    digests = re.findall(r"\b[0-9a-f]{64}\b", said.split("Dari bagian tersegel")[1].split("Setiap anggota")[0])
    assert "Sidik isi sebelum" in said and "Sidik isi sesudah" in said
    assert len(set(digests)) >= 2
    assert "TERSEMBUNYI" not in officer.page.content() and address.rpartition("-")[2] not in officer.page.content()
    assert "Dicocokkan saat kunjungan coklit." in said


@pytest.mark.parametrize("scripts", SCRIPTS)
def test_the_whole_log_is_verified_while_one_waits(visit: Visit, scripts: bool) -> None:
    """Started, left, come back to; the progress page brings the result by itself, also without JavaScript."""
    officer = visit("keamanan", java_script_enabled=scripts)
    page = officer.page
    officer.goto("/audit/verify")
    with page.expect_navigation():
        page.locator("form[action='/audit/verify'] button").click()

    page.wait_for_selector("main[data-job=done]", timeout=120_000)
    assert "Semuanya cocok" in page.locator("main").inner_text()
    officer.goto("/")
    assert "Pemeriksaan terakhir: seluruhnya cocok." in page.locator("main").inner_text()


@pytest.mark.parametrize("scripts", SCRIPTS)
def test_a_question_is_kept_and_its_rows_are_taken_along(visit: Visit, tmp_path: Path, scripts: bool) -> None:
    """Saved, opened with one click, exported, renamed, deleted, brought back; also without JavaScript."""
    officer = visit("keamanan", java_script_enabled=scripts, accept_downloads=True)
    page, name = officer.page, f"Pemuatan data {scripts}"
    officer.goto("/audit?range=all&action=voter:import")
    shown = [row.get_attribute("data-entry") for row in page.locator("tr[data-entry]").all()]
    page.locator(".keep summary").first.click()
    page.fill("#f-view-name", name)
    with page.expect_navigation():
        page.locator("form[action='/audit/views'] button").click()
    officer.goto("/audit")
    with page.expect_navigation():
        page.locator(".shelf a", has_text=name).click()
    assert [row.get_attribute("data-entry") for row in page.locator("tr[data-entry]").all()] == shown != []

    page.locator(".keep summary").nth(1).click()
    file = saved(officer, "form[action='/audit/export'] button[value=csv]", tmp_path)
    lines = file.read_text("utf-8-sig").splitlines()[1:]
    # What the story before added is there, too; what was shown is its beginning or its end.
    assert [line.partition(",")[0] for line in lines][-len(shown) :] == shown[-len(lines) :]

    officer.goto("/audit/views")
    row = page.locator("tr[data-saved]", has_text=name)
    row.locator("summary").click()
    row.locator("[name=name]").fill(f"{name}, lama")
    with page.expect_navigation():
        row.locator(".rename button").click()
    with page.expect_navigation():
        page.locator("tr[data-saved]", has_text=f"{name}, lama").locator("form[action$='/delete'] button").click()
    assert page.locator("tr[data-saved]", has_text=name).count() == 0
    with page.expect_navigation():
        page.locator("form[action$='/restore'] button").click()
    assert page.locator("tr[data-saved]", has_text=f"{name}, lama").count() == 1


def test_by_keyboard_alone(visit: Visit) -> None:
    """From home through a filter into an entry and its proof: Tab, arrows, letters and Enter."""
    officer = visit("keamanan")
    page = officer.page
    officer.goto("/")
    tab_to(officer, "main a[href='/audit']")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    tab_to(officer, "select[name=action]")
    page.keyboard.type("Masuk")
    tab_to(officer, ".filters button[type=submit]")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert "action=session%3Alogin" in page.url or "action=session:login" in page.url
    tab_to(officer, "tr[data-entry] a.open")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    tab_to(officer, "a[href$='/verify'].btn")
    with page.expect_navigation():
        page.keyboard.press("Enter")

    assert page.locator("main").get_attribute("data-proof") == "good"
    tab_to(officer, ".proof summary")
    page.keyboard.press("Enter")
    assert page.locator(".proof details[open]").count() == 1


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "id"])
def test_the_desk_shuts_nobody_out(visit: Visit, language: str) -> None:
    """axe finds nothing on any page of the desk, empty and full, right and wrong."""
    officer = visit("keamanan")
    speak(officer, language)
    officer.goto("/audit?range=all&action=voter:import")
    entry = officer.page.locator("tr[data-entry] a.open").first.get_attribute("href") or ""
    found: list[str] = []
    for path in (
        "/", "/audit?range=all", "/audit?outcome=broken", "/audit?region=x", entry, f"{entry}/verify", "/audit/verify", "/audit/activity",
        "/audit/views", "/audit/matrix?role=bawaslu_kab",
    ):  # fmt: skip
        officer.goto(path)
        # Opened, a fold is no longer one of those that are closed: the next one is the first then.
        closed = officer.page.locator("main details:not([open]) > summary")
        for _ in range(min(2, closed.count())):
            closed.first.click()
        found += trouble(officer, path)
    speak(officer, "id")

    assert found == []
