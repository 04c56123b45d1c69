"""Walk (c), first half, in a real browser: a DP4 file with a renamed header is sent in, matched, loaded, read, undone and loaded again."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from app.voters.synth import write_csv
from tests.sampling import LANGUAGES, SCRIPTS
from tests.walks.conftest import Person
from tests.walks.test_walk_look import speak, trouble

pytestmark = pytest.mark.browser
Visit = Callable[..., Person]
REASON = "Berkas yang dikirim ternyata berkas uji coba."


def synthetic(folder: Path, seed: int, voters: int = 150, kab: str = "51.71", renamed: str = "No. Induk") -> Path:
    """Write a DP4 file of another seed than the demo's, its NIK column under another header."""
    text = StringIO(newline="")
    write_csv(text, kab, voters, seed)
    file = folder / f"dp4-{seed}.csv"
    head, rows = text.getvalue().split("\n", 1)
    file.write_text(re.sub(r"\bNIK\b", renamed, head) + "\n" + rows, "utf-8", newline="")
    return file


def values(file: Path) -> list[str]:
    """NIK, NKK and names of a file: what no page of the intake may show."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    return [cell for row in rows for cell in row if re.fullmatch(r"\d{15,16}", cell)]


def send(person: Person, file: Path) -> None:
    """Choose the file and send it."""
    person.goto("/intake")
    person.page.set_input_files("[name=file]", file)
    with person.page.expect_navigation():
        person.page.locator("form[action='/intake'] button[type=submit]").click()


def load(person: Person) -> None:
    """Choose the NIK's header, begin, and wait for the result as the page refreshes itself."""
    person.page.select_option("[name=NIK]", label="No. Induk")
    person.page.locator("button[name=act][value=start]").click()
    person.page.wait_for_url("**/result", timeout=60_000)


def undo(person: Person) -> None:
    person.page.locator("a[href$='/undo']").click()
    person.page.fill("[name=reason]", REASON)
    person.page.locator("form[action$='/undo'] button[type=submit]").click()
    person.page.wait_for_url("**/result")


@pytest.mark.parametrize("scripts", SCRIPTS)
def test_an_operator_loads_undoes_and_loads_again(visit: Visit, tmp_path: Path, scripts: bool) -> None:
    """The mapping is mended, the progress watched, the result adds up, the quarantine explains itself; no value is shown anywhere."""
    operator, file = visit("operator.denpasar", java_script_enabled=scripts), synthetic(tmp_path, 70 + scripts)
    page, secret = operator.page, values(file)
    seen = []

    send(operator, file)
    missing = page.locator(".notice-warn a")
    assert missing.all_inner_texts() == ["NIK"]
    assert "16 angka" in page.locator("tr", has=page.locator("#k-NKK")).inner_text()
    seen.append(page.content())
    page.locator("button[name=act][value=start]").click()
    assert page.locator("#k-NIK[aria-invalid=true]").count() == 1
    page.select_option("[name=NIK]", label="No. Induk")
    page.locator("button[name=act][value=preview]").click()
    page.wait_for_load_state()
    assert "16 angka" in page.locator("tr", has=page.locator("#k-NIK")).inner_text()
    seen.append(page.content())
    page.locator("button[name=act][value=start]").click()
    page.wait_for_url("**/result", timeout=60_000)

    read, sealed, held = (int(re.sub(r"\D", "", text)) for text in page.locator(".sum dd").all_inner_texts())
    assert read == sealed + held == sum(1 for _ in file.open(encoding="utf-8")) - 1
    seen.append(page.content())
    with page.expect_download() as download:
        page.locator("a[href$='quarantine.csv']").click()
    report = tmp_path / "report.csv"
    download.value.save_as(report)
    lines = report.read_text("utf-8-sig").splitlines()
    assert lines[0] == "Baris,Kolom,Kode,Apa yang salah,Cara memperbaiki"
    assert len(lines) > held > 0

    undo(operator)
    assert "Dibatalkan oleh Anda." in page.locator("main").inner_text()
    send(operator, file)
    load(operator)
    assert [int(re.sub(r"\D", "", text)) for text in page.locator(".sum dd").all_inner_texts()] == [read, sealed, held]
    operator.goto("/intake")
    states = page.locator("tbody tr").all_inner_texts()[:2]
    assert "selesai" in states[0]
    assert "dibatalkan" in states[1]
    operator.goto("/")
    assert f"Terakhir: {read} baris terbaca" in page.locator("main").inner_text()
    seen += [page.content(), report.read_text("utf-8")]
    # The demo is left as it was found.
    operator.goto("/intake")
    page.locator("tbody a").first.click()
    undo(operator)
    assert not [value for value in secret for text in seen if value in text]


def test_the_whole_story_by_keyboard(visit: Visit, tmp_path: Path) -> None:
    """Tab, Enter, arrows and typing send a file in, match, load and undo it."""
    operator, file = visit("operator.denpasar"), synthetic(tmp_path, 75, 40)
    page = operator.page
    operator.goto("/intake")
    page.focus("[name=file]")
    # The chooser itself is a window of the browser, which a headless one does not always open for a key; the field is ours.
    assert page.evaluate("document.activeElement.name === 'file'")
    page.set_input_files("[name=file]", file)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#k-NIK")

    page.focus("#k-NIK")
    page.keyboard.type("No. Induk")
    page.keyboard.press("Tab")
    page.focus("button[name=act][value=start]")
    page.keyboard.press("Enter")
    page.wait_for_url("**/result", timeout=60_000)
    page.focus("a[href$='/undo']")
    page.keyboard.press("Enter")
    page.wait_for_selector("[name=reason]")
    page.focus("[name=reason]")
    page.keyboard.type(REASON)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/result")
    assert "Dibatalkan" in page.locator("main").inner_text()


def test_a_load_that_was_used_says_so(visit: Visit, tmp_path: Path) -> None:
    """Somebody of the file was looked at: no button, but the number and what to do instead."""
    operator = visit("operator.badung")
    page, file = operator.page, synthetic(tmp_path, 76, 60, "51.03")
    send(operator, file)
    load(operator)
    result = page.url
    with file.open(encoding="utf-8", newline="") as lines:
        row = next(one for one in csv.DictReader(lines) if len(one["No. Induk"]) == 16 and not one["KET"])
    operator.goto("/voters")
    assert operator.submit(nik=row["No. Induk"]) == 200

    page.goto(result.replace("/result", "/undo"))
    assert page.locator("textarea").count() == 0
    assert re.search(r"\d baris sudah dibuka", page.locator("main").inner_text())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("dp4.csv", b"PK\x03\x04 this is a zip", "bukan teks CSV"),
        ("dp4.csv", b"%PDF-1.7", "bukan teks CSV"),
        ("dp4.csv", "NIK,NAMA\n".encode("utf-16"), "UTF-16"),
        ("dp4.csv", b"\n\n", "Berkas kosong"),
        ("dp4.csv", b"x" * (21 * 1024 * 1024), "lebih besar dari 20 MB"),
    ],
    ids=["zip", "pdf", "utf-16", "empty", "too large"],
)
def test_a_wrong_file_says_what_to_do(visit: Visit, tmp_path: Path, name: str, content: bytes, words: str) -> None:
    """The page comes back with the remedy; nothing waits afterwards."""
    operator, file = visit("operator.denpasar"), tmp_path / name
    file.write_bytes(content)
    operator.goto("/intake")
    before = operator.page.locator("#belum").count()
    send(operator, file)

    assert words in operator.page.locator(".notice-stop").inner_text()
    assert "Tidak ada yang disimpan" in operator.page.locator(".notice-stop").inner_text()
    operator.goto("/intake")
    assert operator.page.locator("#belum").count() == before


def test_nobody_else_finds_it(visit: Visit, tmp_path: Path) -> None:
    """The neighbour's operator gets 404, everybody else 403."""
    operator = visit("operator.denpasar")
    send(operator, synthetic(tmp_path, 77, 20))
    address = operator.page.url.removeprefix(operator.demo.url)

    assert visit("operator.badung").goto(address) == 404
    assert visit("bawaslu.denpasar").goto(address) == 403
    assert visit("admin").goto("/intake") == 403
    operator.goto(address)
    operator.page.locator("form[action$='/discard'] button").click()
    operator.page.wait_for_url("**/intake")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pages_shut_nobody_out(visit: Visit, tmp_path: Path, language: str) -> None:
    """axe finds nothing on any page of the intake, in every theme and width."""
    operator = visit("operator.denpasar")
    page, found = operator.page, list[str]()
    speak(operator, language)
    operator.goto("/intake")
    found += trouble(operator, "/intake")
    send(operator, synthetic(tmp_path, 78 + (language == "en"), 300))
    address = page.url
    found += trouble(operator, "columns")
    page.locator("button[name=act][value=start]").click()
    found += trouble(operator, "columns marked")
    page.locator("details.fold summary").click()
    found += trouble(operator, "headers")
    operator.goto("/intake")
    found += trouble(operator, "/intake waiting")
    operator.goto("/")
    found += trouble(operator, "home")
    page.goto(address)
    load(operator)
    for fold in page.locator("details.fold summary").all():
        fold.click()
    found += trouble(operator, "result")
    page.locator("a[href$='/undo']").click()
    found += trouble(operator, "undo")
    page.fill("[name=reason]", "x" * 12 + " 5171010101800001")
    page.locator("form[action$='/undo'] button[type=submit]").click()
    found += trouble(operator, "undo refused")
    page.fill("[name=reason]", REASON)
    page.locator("form[action$='/undo'] button[type=submit]").click()
    found += trouble(operator, "undone")
    speak(operator, "id")

    assert found == []
