"""The story of the first walk, in a real browser: from login to a receipt that a stranger can check."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.voters.synth import generate
from tests.sampling import SCRIPTS
from tests.walks.conftest import Demo, Person, gardu

pytestmark = pytest.mark.browser
Visit = Callable[..., Person]


def somebody(kab: str = "51.71", voters: int = 5000) -> dict[str, str]:
    """A voter of the demo without a planted fault."""
    return next(row for row in generate(kab, voters, 1) if len(row["NIK"]) == 16 and not row["KET"])


def find_by_nik(person: Person, nik: str) -> str:
    person.goto("/voters")
    assert person.submit(nik=nik) == 200
    return person.page.locator("a.open").first.get_attribute("href") or ""


@pytest.mark.parametrize("scripts", SCRIPTS)
def test_operator_finds_reads_and_proves(visit: Visit, demo: Demo, tmp_path: Path, scripts: bool) -> None:
    """Login with a code, find by NIK and by name, read, see why, download the receipt; the one-file verifier accepts it."""
    operator = visit("operator.denpasar", java_script_enabled=scripts)
    page, voter = operator.page, somebody()

    address = find_by_nik(operator, voter["NIK"])
    assert voter["NIK"] not in page.url
    day, month, year = re.split(r"[|/-]", voter["TGL_LHR"]) if voter["TGL_LHR"][2] in "|/-" else reversed(voter["TGL_LHR"].split("-"))
    operator.goto("/voters")
    assert operator.submit(name=voter["NAMA"].lower(), birth_date=f"{year}-{month}-{day}") == 200
    assert page.locator(f"a[href='{address}']").count() == 1

    assert operator.goto(address) == 200
    elements = page.locator("[data-element]")
    assert elements.count() == 13
    assert page.locator("[data-element=nik]").get_attribute("data-view") == "utuh"
    assert voter["NIK"] in page.locator("[data-element=nik]").inner_text()
    why = page.locator("[data-element=disabilitas] details")
    why.locator("summary").click()
    assert "UU" in why.inner_text() or "PKPU" in why.inner_text() or "bagian hukum" in why.inner_text()

    seq = page.locator("[data-receipt]").first.get_attribute("data-receipt")
    with page.expect_download() as download:
        page.locator(f"a[href$='/{seq}/receipt']").first.click()
    receipt = tmp_path / "receipt.tlog-proof"
    download.value.save_as(receipt)
    verifier = tmp_path / "verify.py"
    verifier.write_text(gardu("verifier").stdout)
    exported = gardu("audit", "export", "--out", str(tmp_path / "log.jsonl"), "--data", str(demo.data), "--json")
    key = json.loads(exported.stdout.splitlines()[-1])["vkey"]
    for file, kind in ((receipt, "receipt"), (tmp_path / "log.jsonl", "export")):
        call = [sys.executable, "-I", verifier, kind, file, "--key", key]
        checked = subprocess.run(call, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert checked.stdout.rstrip().endswith("BAIK")


def test_desa_and_tps_can_be_browsed_page_by_page(visit: Visit) -> None:
    """A TPS is listed with paging; nothing personal stands in an address."""
    operator = visit("operator.denpasar")
    operator.goto("/voters")
    desa = operator.page.locator("select[name=desa] option").nth(1).get_attribute("value") or ""

    assert operator.submit(desa=desa, tps="1") == 200
    first = operator.page.locator("a.open").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    operator.page.get_by_role("button", name="Halaman berikutnya").click()
    second = operator.page.locator("a.open").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert first and second and not set(first) & set(second)
    assert operator.page.url.endswith("/voters/search")


def test_the_neighbour_gets_not_there(visit: Visit, demo: Demo) -> None:
    """A voter of Denpasar, an absent one and nonsense all look the same to the operator of Badung."""
    address = find_by_nik(visit("operator.denpasar"), somebody()["NIK"])
    badung = visit("operator.badung")

    absent = address[:-4] + "aaaa"
    texts = []
    for path in (address, absent, "/voters/51.71-nonsense"):
        assert badung.goto(path) == 404
        texts.append(re.sub(r"[a-z2-7]{26}", "#", badung.page.locator("main").inner_text()))
    assert len(set(texts)) == 1
    badung.goto("/voters")
    assert badung.submit(nik=somebody()["NIK"]) == 200
    assert badung.page.locator("a.open").count() == 0


@pytest.mark.parametrize("username", ["admin", "penyetuju.data1", "keamanan"])
def test_who_has_no_business_with_the_roll_sees_none_of_it(visit: Visit, username: str) -> None:
    """Administrator, approver and security officer: 403 on every page of the roll."""
    person = visit(username)

    for path in ("/voters", "/voters/51.71-" + "a" * 26):
        assert person.goto(path) == 403
        assert person.page.locator("[data-element]").count() == 0


def test_a_code_is_good_once(visit: Visit, demo: Demo) -> None:
    """The code that just opened a session opens no second one."""
    code = demo.code("pdp")
    for expected in ("/", "/login/totp"):
        person = visit("pdp", log_in=False)
        person.goto("/login")
        person.submit(username="pdp", password=demo.account("pdp")["password"])
        person.submit(code=code)

        assert person.page.url == demo.url + expected


def test_my_activity_shows_what_the_log_says(visit: Visit) -> None:
    """The operator's own touches are listed with a receipt each."""
    operator = visit("operator.denpasar")
    find_by_nik(operator, somebody()["NIK"])

    assert operator.goto("/me/activity") == 200
    assert operator.page.locator("a[href$='/receipt']").count() >= 2


def test_the_language_is_kept(visit: Visit) -> None:
    """English stays after the next login, because it is the account's."""
    liaison = visit("bawaslu.denpasar")
    assert liaison.page.locator("html").get_attribute("lang") == "id"

    liaison.page.locator("form[action='/lang'] button[value=en]").click()
    assert liaison.page.locator("html").get_attribute("lang") == "en"
    again = visit("bawaslu.denpasar")
    assert again.page.locator("html").get_attribute("lang") == "en"
    again.page.locator("form[action='/lang'] button[value=id]").click()
