"""The PDF: what it tells, what is never in it, that it can be checked, and that a reader's program knows its language and title."""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import sha256

import pytest

from app.audit import seen
from app.audit.note import Verifier, open_note
from app.subjects import actions, report, views
from tests.conftest import KAB
from tests.subjects.subjects_kit import MARKED, Site, text_of
from tests.walk_kit import entry_at, size


def fetch(site: Site, name: str = "pdp") -> tuple[bytes, str]:
    answer = site.get(name, f"{site.address}/report.pdf")
    assert (answer.status_code, answer.mimetype) == (200, "application/pdf")
    return answer.data, answer.headers["Content-Disposition"]


def test_the_report_tells_the_whole_story(site: Site) -> None:
    """Who, when, what, for what and by which law; rules by their numbers; all readings of the log, this one not yet."""
    site.opens(times=2)
    site.opens("bawaslu")
    site.is_refused()
    site.get("pdp", site.address)

    told = text_of(fetch(site)[0])
    for sentence in (
        "Siapa yang melihat data saya?",
        f"Laporan untuk pemilih nomor {KAB}-{site.voter}",
        "Data pemilih ini dibuka 3 kali, oleh 2 orang dari 2 kantor.",
        "paling lambat 3×24 jam sejak Anda memintanya (UU 27/2022 Pasal 32)",
        "Orang bawaslu",
        "Dicoba, ditolak, tidak ada yang terbuka",
        "Pengawasan oleh Bawaslu",
        "Siapa yang membaca catatan ini",
        "Operator KPU kab/kota memutakhirkan daftar di wilayahnya sendiri (kpu-kab-pemutakhiran)",
        "1 Des 2026 11.00 WITA",
    ):
        assert sentence in told, sentence
    assert told.count("Membuka data pemilih") == 4


def test_no_name_and_no_nik_of_the_voter_is_in_it(sqlite_site: Site) -> None:
    """Though an operator saw all of it in full: neither in what is shown nor anywhere in the bytes."""
    site = sqlite_site
    site.opens()
    made, named = fetch(site)
    shown = text_of(made)

    assert "Nomor Induk Kependudukan" in shown
    for value in MARKED.values():
        assert value not in shown and value.encode() not in made and value.replace(" ", "") not in shown.replace(" ", "")
    assert site.voter not in named


def test_its_digest_is_in_the_log_under_the_number_of_its_name(sqlite_site: Site) -> None:
    """Whoever holds the file finds its entry by its name, and its SHA-256 in the entry."""
    made, named = fetch(sqlite_site)
    seq = int(re.search(r'filename="gardu-laporan-(\d+)\.pdf"', named)[1])  # type: ignore[index]

    assert seq == size(sqlite_site.house) - 1
    assert entry_at(sqlite_site.house, seq)["detail"] == {"type": "report", "sha256": sha256(made).hexdigest()}


def test_the_checkpoint_can_be_taken_out_and_checked(sqlite_site: Site) -> None:
    """Origin, size, root and signature stand in it line by line; with the log's key they hold."""
    site = sqlite_site
    site.browser("pdp")
    before, origin = size(site.house), site.house.guard.log
    shown = text_of(fetch(site)[0])

    found = re.search(rf"{re.escape(origin)} {before} ([A-Za-z0-9+/]{{43}}=) — {re.escape(origin)} ([A-Za-z0-9+/]+=*)", shown)
    assert found
    note = f"{origin}\n{before}\n{found[1]}\n\n— {origin} {found[2]}\n"
    assert open_note(note, [Verifier.parse(site.house.guard.trail.vkey)]).text == f"{origin}\n{before}\n{found[1]}\n"


@pytest.mark.parametrize("language", ["id", "en"])
def test_a_reader_knows_title_language_and_pages(sqlite_site: Site, language: str) -> None:
    """/Lang and /Title are set, the title is what a window shows, and every page says which of how many it is."""
    site = sqlite_site
    site.browser("pdp")
    site.post("pdp", "/subjects", "/lang", lang=language)
    site.opens(times=30)
    made, _ = fetch(site)

    assert f"/Lang ({language})".encode() in made
    assert re.search(rb"/Title \(", made) and b"/DisplayDocTitle true" in made and b"/Author (" in made
    pages = len(re.findall(rb"/Type /Page\b", made))
    assert pages >= 3
    assert len(re.findall(rf"\b(?:Halaman|Page) \d+ (?:dari|of) {pages}\b", text_of(made))) == pages


def test_marks_in_a_name_are_letters_not_markup(sqlite_site: Site) -> None:
    """An account's name cannot bring a picture, a link or a broken page into the report."""
    site = sqlite_site
    site.opens()
    now = site.house.clock.now()
    with site.app.test_request_context():
        found, _ = actions.look(site.room, site.actor("pdp"), KAB, site.voter, now)
        bad = {uid: replace(one, name="<img src='a'/> & Ma'ruf <b>") for uid, one in found.people.items()}
        words = views.Words(site.room, bad)
        lines = [words.line(one) for one in found.entries]
        made = report.draw(report.Told(found, words.overview(found.entries), lines, [], "<i>Ketut</i>", now))

    shown = text_of(made).replace(" ", "")
    assert "<imgsrc='a'/>&Ma'ruf<b>" in shown and "<i>Ketut</i>" in shown
    assert b"/URI" not in made and b"/XObject" not in made


def test_a_report_that_was_cut_says_so(sqlite_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "MOST", 3)
    sqlite_site.opens(times=5)

    assert "hanya 3 yang terbaru dimuat di sini" in text_of(fetch(sqlite_site)[0])


def test_nothing_is_left_on_the_disk(sqlite_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report is made in memory: no temporary file is ever opened for it."""
    site = sqlite_site
    site.browser("pdp")

    def never(*_given: object, **_more: object) -> None:
        raise AssertionError("a temporary file")

    for name in ("NamedTemporaryFile", "TemporaryFile", "mkstemp", "mkdtemp"):
        monkeypatch.setattr(f"tempfile.{name}", never)
    assert fetch(site)[0].startswith(b"%PDF")
