"""The pages of the public log: every state in words, who may, two people, and what a form sent by hand can do."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import text as sql

from app.factory import House
from app.identity import gate
from app.kernel.errors import WitnessStale
from app.openlog import tokens, witnesses
from app.openlog.cards import cards
from app.openlog.files import policy, verifier_source
from app.openlog.witnesses import APPROVED, REFUSED, WAITING
from app.web.errors import page_for
from tests.admin.admin_kit import plain
from tests.openlog.openlog_kit import BAWASLU, OTHER, append, install_list
from tests.openlog.pages_kit import (
    AWAY,
    BOTH,
    EITHER,
    NONE,
    ONE,
    REASON,
    Pages,
    cosign,
    halted,
    pending,
    publish_now,
    receipt,
    stamped,
    with_authority,
    witnessed,
)
from tests.walk_kit import content, entries, outcomes, size, tamper


@pytest.fixture
def pages(sqlite_house: House) -> Pages:
    """The pages over SQLite, where the engine makes no difference."""
    return Pages(sqlite_house)


def words(text: str) -> str:
    """Return the words of a page's main part."""
    return " ".join(re.sub(r"<[^>]+>", " ", text[text.index("<main") : text.index("</main>")]).split())


# ---- the state, for anybody ----


def test_a_stranger_reads_the_state_on_each_engine(house: House) -> None:
    """Size, age, witness, key, checkpoint, verifier and its digest: no account, no entry, nothing kept by caches."""
    witnessed(house)
    pages = Pages(house)
    before = size(house)

    answer = pages.get("stranger", "/log")

    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"
    said = words(answer.text)
    for expected in (house.guard.log, BAWASLU.vkey, "segar", "baru saja", "1 dari 1", "verify.py", "SHA-256"):
        assert expected in said
    assert 'data-witness="bawaslu" data-fresh="fresh"' in answer.text
    assert pages.get("stranger", "/log/checkpoint").text in answer.text.replace("&#43;", "+")
    assert size(house) == before


def unpublished(house: House) -> None:
    """Leave the log as it was installed."""


def stale(house: House) -> None:
    install_list(house, ONE)
    publish_now(house)
    cosign(house, ago=timedelta(minutes=16))


def never(house: House) -> None:
    install_list(house, ONE)
    publish_now(house)


def not_required(house: House) -> None:
    install_list(house, ONE.replace("quorum bawaslu", "quorum none"))
    publish_now(house)


STATES: dict[str, tuple[Callable[[House], object], str, str]] = {
    "unpublished": (unpublished, "Belum ada titik periksa yang diumumkan", "Titik periksa terbaru: salin"),
    "no witness": (publish_now, "Belum ada saksi di luar KPU", "segar atau"),
    "not required": (not_required, "Tidak ada saksi yang diwajibkan", "Belum ada saksi di luar KPU"),
    "fresh": (witnessed, "segar", "Belum ada saksi"),
    "stale": (stale, "Belum cukup saksi menandatangani dalam 15 menit terakhir", "Belum ada saksi"),
    "never": (never, "belum pernah menandatangani", "Belum ada saksi"),
    "pending": (pending, "Akan dicabut: bawaslu", "Jejak ini dihentikan"),
    "halted": (halted, "Jejak ini dihentikan", "Akan dicabut"),
}


@pytest.mark.parametrize("name", STATES)
def test_each_state_is_said_in_words(pages: Pages, name: str) -> None:
    """And no state claims another's."""
    make, said, not_said = STATES[name]
    make(pages.house)

    found = words(pages.look("/log"))

    assert said in found
    assert not_said not in found


@pytest.mark.parametrize(
    ("make", "name", "word", "icon"), [(witnessed, "fresh", "segar", "m5 8.3"), (stale, "stale", "basi", "M8 1.6"), (never, "never", "belum pernah", "m5.7 5.7")]
)  # fmt: skip
def test_freshness_is_a_shape_and_a_word(pages: Pages, make: Callable[[House], None], name: str, word: str, icon: str) -> None:
    """Never a colour alone."""
    make(pages.house)

    found = pages.look("/log")

    [line] = re.findall(r'<li class="way witness".*?</li>', found, flags=re.S)
    assert f'data-fresh="{name}"' in line
    assert word in words(f"<main>{line}</main>")
    assert icon in line


def test_a_pending_change_says_until_when(pages: Pages) -> None:
    """Who is taken away, by which entry, at the latest when; once the witness has signed, it is in force and gone from here."""
    pending(pages.house)
    found = words(pages.look("/log"))
    seq = witnesses.lists(pages.house.openlog.books)[-1].seq
    publish_now(pages.house)
    cosign(pages.house)
    after = words(pages.look("/log"))

    assert "Dicabut bawaslu" in found and f"entri {seq}" in found
    assert "4 Des 2026 10.00 WIB" in found
    assert "Akan dicabut" not in after and "Belum ada saksi di luar KPU" in after


def test_a_halt_tells_why_and_how_far(pages: Pages) -> None:
    halted(pages.house)

    found = words(pages.look("/log"))

    assert "99 entri" in found and "witness bawaslu has signed 99 entries" in found


def test_a_changed_row_does_not_silence_the_page(pages: Pages) -> None:
    """Whoever edits the list past us cannot make the public page say that all is well, nor take it away."""
    witnessed(pages.house)
    tamper(pages.house, "UPDATE witness_policy SET text = 'quorum none\n'")

    found = words(pages.look("/log"))

    assert "Daftar saksi diubah di luar Gardu" in found
    assert "segar:" not in found and "data-witness" not in pages.look("/log")


@pytest.mark.parametrize(
    ("authority", "stamp", "move", "said"),
    [
        (False, False, 0, "Tidak ada otoritas stempel waktu yang ditetapkan"),
        (True, False, 0, "belum ada satu stempel pun"),
        (True, True, 0, "Dalam 24 jam terakhir tidak ada jam yang kurang stempelnya"),
        (True, False, 3, "1 jam dalam 24 jam terakhir belum berstempel"),
        (True, True, 3, "Dalam 24 jam terakhir tidak ada jam yang kurang stempelnya"),
    ],
)
def test_an_absent_stamp_is_never_silent(sqlite_house: House, authority: bool, stamp: bool, move: int, said: str) -> None:
    house = with_authority(sqlite_house) if authority else sqlite_house
    pages = Pages(house)
    publish_now(house)
    if stamp:
        stamped(house)
    house.clock.move(hours=move)

    assert said in words(pages.look("/log"))


def test_the_verifier_handed_out_is_the_one_whose_digest_is_printed(pages: Pages) -> None:
    sent = pages.get("stranger", "/log/verifier")

    assert sent.data == verifier_source()
    assert "verify.py" in sent.headers["Content-Disposition"]


def test_everybody_finds_the_page(pages: Pages) -> None:
    """From the login page and from every footer."""
    login = pages.look("/login")

    assert login.count('href="/log"') == 2
    assert 'href="/log"' in pages.look("/", "operator")


# ---- a check, for anybody ----


def verdict(text: str) -> str:
    """Return the verdict's word in the HTML, or "" when the page has none."""
    found = re.search(r'data-verdict="(\w+)"', text)
    return found[1] if found else ""


def test_a_receipt_is_checked_step_by_step(house: House) -> None:
    """Good, with the entry in words; numbered steps, each with a mark; nothing is recorded."""
    witnessed(house)
    kept = receipt(house, size(house) - 1, with_witness=True)
    pages = Pages(house)
    before = size(house)

    found = pages.check(text=kept)

    assert verdict(found) == "good"
    assert found.count('data-held="yes"') >= 6 and 'data-held="no"' not in found
    assert "Masuk" in words(found) and "Baik" in words(found)
    assert size(house) == before


def test_a_file_counts_like_a_paste(pages: Pages) -> None:
    witnessed(pages.house)
    note = pages.get("stranger", "/log/checkpoint").data

    found = pages.check(file=(io.BytesIO(note), "checkpoint"))

    assert verdict(found) == "good"


def test_a_paste_with_line_ends_of_a_web_form_holds(pages: Pages) -> None:
    witnessed(pages.house)
    kept = receipt(pages.house, size(pages.house) - 1, with_witness=True)

    assert verdict(pages.check(text="\r\n" + kept.replace("\n", "\r\n") + "  \r\n")) == "good"


def test_one_changed_letter_is_found(pages: Pages) -> None:
    """And the verdict stands in words, with the step that failed marked."""
    witnessed(pages.house)
    kept = receipt(pages.house, size(pages.house) - 1, with_witness=True)
    lines = kept.split("\n")
    lines[3] = ("A" if lines[3][0] != "A" else "B") + lines[3][1:]

    found = pages.check(text="\n".join(lines))

    assert verdict(found) == "tampered"
    assert found.count('data-held="no"') == 1
    assert "Diubah atau rusak" in words(found) and "<h2>Isi entri" not in found


def test_a_receipt_without_a_witness_says_what_it_lacks(pages: Pages) -> None:
    """The log's own signature holds, and is not mistaken for more."""
    witnessed(pages.house)

    found = pages.check(text=receipt(pages.house, 0))

    assert verdict(found) == "unchecked"
    assert "belum ada cukup tanda tangan saksi" in words(found)


def test_another_key_is_asked_instead_of_ours(pages: Pages) -> None:
    """With the log's own key pasted it holds without witnesses; with a stranger's it does not."""
    publish_now(pages.house)
    kept, own = receipt(pages.house, 0), pages.get("stranger", "/log/key").text
    stranger = "jejak.lain/gardu/1+8c3c0d09+AQ=="

    assert verdict(pages.check(text=kept, key=own)) == "good"
    assert "bukan kunci pemeriksa" in words(pages.check(text=kept, key=stranger))
    assert "bukan kunci pemeriksa" in words(pages.check(text=kept, key=BAWASLU.vkey))


BAD = {
    "empty": "",
    "blank": " \r\n\t ",
    "html": "<!DOCTYPE html><html><body>Tanda terima</body></html>",
    "markup": "  <p>halo</p>",
    "prose": "Saya minta diperiksa tanda terima nomor 17.",
    "control": "c2sp.org/tlog-proof@v1\nextra \x1b[31m\n",
    "nul": "c2sp.org/tlog-proof@v1\n\0",
    "pdf": "%PDF-1.7\n1 0 obj",
    "nik": "5171010107800001",
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_receipt_is_told_so(pages: Pages, name: str) -> None:
    """A sentence beside the field, status 400, no verdict; what was typed comes back, escaped."""
    publish_now(pages.house)

    answer = pages.post("stranger", "/log/verify", "/log/verify", text=BAD[name])

    assert answer.status_code == 400
    assert 'id="f-text-error"' in answer.text and verdict(answer.text) == ""
    assert "<p>halo</p>" not in answer.text


def test_a_picture_is_told_so(pages: Pages) -> None:
    answer = pages.post("stranger", "/log/verify", "/log/verify", file=(io.BytesIO(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "foto.png"))

    assert answer.status_code == 400
    assert "bukan fotonya" in words(answer.text)


def test_too_much_is_refused_with_the_form(pages: Pages) -> None:
    answer = pages.post("stranger", "/log/verify", "/log/verify", text="a" * 70_000)

    assert answer.status_code == 413
    assert "paling banyak 64 KiB" in words(answer.text) and 'name="text"' in answer.text


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9, 0.99])
def test_half_a_receipt_never_looks_good(pages: Pages, share: float) -> None:
    """Cut anywhere, from the front or from the end: a page without a traceback that is not a good verdict."""
    witnessed(pages.house)
    kept = receipt(pages.house, size(pages.house) - 1, with_witness=True)
    cut = int(len(kept) * share)

    for part in (kept[:cut], kept[cut:]):
        answer = pages.post("stranger", "/log/verify", "/log/verify", text=part)

        assert answer.status_code in (200, 400)
        assert verdict(answer.text) != "good"


HOSTILE = [
    {"action": ["x"], "office": {"a": 1}, "subjects": 7, "fields": [1], "scope": 3, "role": {}},
    {"action": "x" * 200, "subjects": {"count": 10**4000}, "fields": {"nik": ["utuh"]}, "actor": "\u202egnp.exe"},
    {"actor": "<script>alert(1)</script>", "office": "kpu-<b>", "subjects": {"count": True}},
]


@pytest.mark.parametrize("changed", HOSTILE)
def test_a_strangers_entry_is_shown_as_it_is_and_does_no_harm(pages: Pages, changed: dict[str, object]) -> None:
    """An entry of another log may hold anything of any type: nothing breaks the page, escapes its place, or turns text around."""
    from base64 import b64encode

    from app.audit.note import Signer
    from app.audit.tree import leaf_hash
    from app.verifier import canonical

    append(pages.house)
    signer = Signer("jejak.lain/gardu/1", b"7" * 32)
    body = canonical({**entries(pages.house)[0], "log": signer.verifier.name, "seq": 0, **changed})
    note = signer.sign(f"jejak.lain/gardu/1\n1\n{b64encode(leaf_hash(body)).decode()}\n")
    kept = f"c2sp.org/tlog-proof@v1\nextra {b64encode(body).decode()}\nindex 0\n\n{note}"

    found = pages.check(text=kept, key=signer.verifier.vkey)

    assert verdict(found) == "good"
    assert "<script>" not in found and "\u202e" not in found


def test_ones_own_receipt_comes_with_the_witness_once_published(pages: Pages) -> None:
    """The page of one's own activity offers it for entries that are published, and the check then finds it good; not yet published is 404."""
    pages.browser("operator")
    seq = size(pages.house) - 1
    own = f"/me/activity/{seq}/receipt?saksi=1"
    witnessed(pages.house)
    later = size(pages.house)

    assert own in pages.look("/me/activity", "operator")
    assert verdict(pages.check(text=pages.look(own, "operator"))) == "good"
    assert f"/me/activity/{later}/receipt?saksi=1" not in pages.look("/me/activity", "operator")
    assert pages.get("operator", f"/me/activity/{later}/receipt?saksi=1").status_code == 404


# ---- the officers' list ----

FORM = {"way": "add", "name": "kampus", "vkey": OTHER.vkey, "url": "https://saksi.kampus.example", "need": "1", "reason": REASON}


def proposed(pages: Pages, text: str = ONE, by: str = "officer") -> None:
    answer = pages.act(by, "/witnesses", text=text, reason=REASON)
    assert answer.location == "/witnesses?notice=proposed", plain(answer)


def states(pages: Pages) -> list[str]:
    return [one.state for one in witnesses.lists(pages.house.openlog.books)]


@pytest.mark.parametrize("path", ["/witnesses", "/witnesses/new", "/mirrors"])
@pytest.mark.parametrize("name", ["operator", "liaison"])
def test_the_list_is_for_its_keepers(pages: Pages, path: str, name: str) -> None:
    assert pages.get(name, path).status_code == 403


def test_tokens_are_the_officers_alone(pages: Pages) -> None:
    assert pages.get("admin", "/mirrors").status_code == 403
    assert pages.get("admin", "/witnesses").status_code == 200
    assert "/mirrors" not in pages.look("/witnesses", "admin")


def test_two_people_put_a_witness_into_the_list(house: House) -> None:
    """Preview, propose, approve: nothing changes before the second person; names stand in the history; each step is in the log."""
    pages = Pages(house)
    preview = pages.act("officer", "/witnesses/new", **{**FORM, "name": "bawaslu", "vkey": BAWASLU.vkey})
    text = re.findall(r'name="text" value="([^"]+)"', preview.text)[0]
    assert "Berlaku seketika" in words(preview.text) and states(pages) == []
    before = size(house)

    proposed(pages, text.replace("&#43;", "+"))
    assert "Belum ada saksi di luar KPU" in words(pages.look("/log"))
    answer = pages.act("admin", "/witnesses/1/approve")

    assert answer.location == "/witnesses?notice=approved"
    assert states(pages) == [APPROVED]
    assert [one for one in outcomes(house, before) if one[0] == "witness:change"] == [
        ("witness:change", "intent"),
        ("witness:change", "done"),
    ]
    found = words(pages.look("/witnesses", "officer"))
    assert "Orang officer, KPU RI" in found and "Orang admin, KPU RI" in found and REASON in found


def test_who_proposed_cannot_approve(pages: Pages) -> None:
    """The page says why and offers to take it back; a form sent by hand is refused, and the attempt stands in the log."""
    proposed(pages)
    page = pages.look("/witnesses", "officer")
    before = size(pages.house)

    answer = pages.act("officer", "/witnesses/1/approve")

    assert "/witnesses/1/approve" not in page and "/witnesses/1/refuse" in page
    assert "orang lain yang menyetujui" in words(page)
    assert answer.status_code == 403 and "orang lain daripada yang mengusulkan" in words(answer.text)
    assert states(pages) == [WAITING]
    assert outcomes(pages.house, before) == [("witness:change", "denied")]


def test_a_proposal_is_refused_by_another_or_taken_back(pages: Pages) -> None:
    proposed(pages)
    assert pages.act("officer2", "/witnesses/1/refuse").location == "/witnesses?notice=refused"
    proposed(pages)
    assert pages.act("officer", "/witnesses/2/refuse").status_code == 303

    assert states(pages) == [REFUSED, REFUSED]
    assert pages.act("admin", "/witnesses/2/approve").status_code == 409
    assert pages.act("admin", "/witnesses/7/approve").status_code == 404


def test_a_second_proposal_waits_for_the_first(pages: Pages) -> None:
    proposed(pages)

    answer = pages.act("admin", "/witnesses", text=BOTH, reason=REASON)

    assert answer.status_code == 409 and "masih menunggu keputusan" in words(answer.text)
    assert "masih menunggu keputusan" in words(pages.look("/witnesses/new", "admin"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (NONE, ONE, "Berlaku seketika"), (ONE, BOTH, "Berlaku seketika"), (ONE, EITHER, "Melonggarkan"), (ONE, NONE, "Melonggarkan"),
        (BOTH, ONE, "Melonggarkan"), (ONE, ONE, "sama dengan yang berlaku"),
    ],
)  # fmt: skip
def test_the_preview_says_when_it_takes_effect(pages: Pages, old: str, new: str, said: str) -> None:
    """At once, or only after the old witness or 72 hours; as the rules then judge it."""
    if old != NONE:
        install_list(pages.house, old)

    answer = pages.act("officer", "/witnesses/new", way="text", text=new, reason=REASON)

    assert answer.status_code == 200 and said in words(answer.text)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": "dua kata"}, "name"), ({"name": "none"}, "name"), ({"name": "bawaslu"}, "name"), ({"name": ""}, "name"),
        ({"vkey": "bukan kunci"}, "vkey"), ({"vkey": BAWASLU.vkey}, "vkey"), ({"vkey": OTHER.vkey[:-4]}, "vkey"),
        ({"url": "http://saksi.example"}, "url"), ({"url": "https://u:p@saksi.example"}, "url"), ({"url": ""}, "url"),
        ({"need": "0"}, "need"), ({"need": "3"}, "need"), ({"need": "semua"}, "need"), ({"reason": " "}, "reason-add"), ({"reason": "x" * 301}, "reason-add"),
        ({"way": "text", "text": "quorum kampus\n"}, "text"), ({"way": "text", "text": ""}, "text"),
        ({"way": "text", "text": "quorum none\n" + "# x\n" * 6000}, "text"), ({"way": "text", "text": NONE, "reason": ""}, "reason-text"),
    ],
)  # fmt: skip
def test_a_mistake_stands_beside_its_field(pages: Pages, changed: dict[str, str], field: str) -> None:
    """Nothing is proposed, and what was typed comes back."""
    install_list(pages.house, ONE)

    answer = pages.act("officer", "/witnesses/new", **{**FORM, **changed})

    assert answer.status_code == 400
    assert f'id="f-{field}-error"' in answer.text
    assert len(states(pages)) == 1


def test_a_change_needs_a_fresh_code(pages: Pages) -> None:
    """A session somebody left open changes nothing: proposing, deciding and tokens ask for a code of the last minutes."""
    proposed(pages)
    pages.browser("officer2")
    pages.pass_time("officer2", 11)

    for path in ("/witnesses", "/witnesses/new", "/witnesses/1/approve", "/witnesses/1/refuse", "/mirrors"):
        answer = pages.act("officer2", path, text=BOTH, reason=REASON, name="cermin", days="30")

        assert answer.status_code == 303 and answer.location.startswith("/step-up?next=/"), path
    assert states(pages) == [WAITING]
    assert tokens.tokens(pages.house.openlog) == []
    assert "Masukkan kode baru" in words(pages.look("/witnesses", "officer2"))


# ---- tokens of mirrors ----


def made(pages: Pages) -> str:
    """Make a token over the web and return it."""
    answer = pages.act("officer", "/mirrors", name="Bawaslu RI", days="30")
    assert answer.status_code == 200, plain(answer)
    return re.findall(r'id="token">(gmt-[\w-]+)<', answer.text)[0]


def test_a_token_is_shown_once_works_and_ends(house: House) -> None:
    """The page after the form shows it and how to use it; no other page, row or entry holds it; ended, it opens nothing."""
    publish_now(house)
    pages = Pages(house)
    secret = made(pages)
    uid = tokens.tokens(house.openlog)[0].uid
    bearer = {"Authorization": f"Bearer {secret}"}
    stranger = pages.browsers["stranger"]

    assert secret not in pages.look("/mirrors", "officer")
    assert secret not in str(entries(house)) + str(content(house, size(house) - 1))
    assert stranger.get("/log/proof/0", headers=bearer).status_code == 200
    assert pages.get("officer", f"/mirrors/{uid}/end").status_code == 200
    assert pages.act("officer", f"/mirrors/{uid}/end").location == "/mirrors?notice=ended"
    assert stranger.get("/log/proof/0", headers={**bearer, "Accept": "application/json"}).status_code == 401
    assert pages.act("officer", f"/mirrors/{uid}/end").status_code == 409
    assert pages.get("officer", f"/mirrors/{uid}/end").status_code == 404
    assert "diakhiri" in words(pages.look("/mirrors", "officer"))


@pytest.mark.parametrize(
    ("changed", "field"), [({"name": ""}, "name"), ({"name": "x" * 81}, "name"), ({"days": "31"}, "days"), ({"days": "x"}, "days")]
)
def test_a_token_that_cannot_be_is_told(pages: Pages, changed: dict[str, str], field: str) -> None:
    answer = pages.act("officer", "/mirrors", **{"name": "Bawaslu RI", "days": "30", **changed})

    assert answer.status_code == 400 and f'id="f-{field}-error"' in answer.text
    assert tokens.tokens(pages.house.openlog) == []


# ---- the home page ----


def waits(pages: Pages, name: str) -> dict[str, bool]:
    """Return the cards of somebody's home page that come from this room: their title, and whether it waits."""
    with pages.app.test_request_context():
        return {card.title: card.waits for card in cards(pages.house.openlog, pages.desk.people[name], pages.now)}


def test_home_tells_keepers_what_waits(sqlite_house: House) -> None:
    """No witness, a proposal for another person, a witness that has not signed, missing stamps, a halted log; an operator hears nothing."""
    house = with_authority(sqlite_house)
    pages = Pages(house)
    assert waits(pages, "officer") == {"Tetapkan saksi": False}
    witnessed(house)
    assert waits(pages, "officer") == {"Saksi": False}
    witnesses.propose(house.openlog, pages.desk.people["officer"], BOTH, REASON, pages.now)
    house.clock.move(hours=3)
    halted(house)

    every = {
        "Jejak audit dihentikan": True,
        "Usulan daftar saksi": True,
        "Saksi tidak menandatangani: bawaslu": True,
        "Stempel waktu tidak datang": True,
        "Saksi": False,
    }
    assert waits(pages, "admin") == every
    assert waits(pages, "officer") == {**every, "Usulan daftar saksi": False}
    assert waits(pages, "operator") == {}


def test_home_tells_the_liaison_that_a_witness_goes(pages: Pages) -> None:
    """This is how Bawaslu is notified; an operator is not."""
    pending(pages.house)

    assert "Saksi akan dicabut: bawaslu" in words(pages.look("/", "liaison"))
    assert "Saksi akan dicabut" not in words(pages.look("/", "operator"))


def test_home_survives_a_changed_list(pages: Pages) -> None:
    witnessed(pages.house)
    pages.browser("officer")
    tamper(pages.house, "UPDATE witness_policy SET reason = 'lain'")

    assert "Daftar saksi diubah di luar Gardu" in words(pages.look("/", "officer"))


# ---- forms and errors ----


@pytest.mark.parametrize("path", ["/log/verify"])
def test_a_strangers_form_needs_its_token(pages: Pages, path: str) -> None:
    answer = pages.browsers["stranger"].post(path, data={"text": "x", "csrf_token": "A" * 43}, base_url=pages.origin)

    assert answer.status_code == 400 and "Formulir" in answer.text


def test_waiting_for_the_witness_has_a_page_of_its_own() -> None:
    """It says what waits and where to look, and not that the service is down."""
    page = page_for(WitnessStale("x"))

    assert (page.status, page.code, page.look, page.retry) == (503, "witness-stale", "/log", 30)
    assert "provinsi" in " ".join(page.remedies)


def test_its_page_leads_to_the_log(pages: Pages) -> None:
    """Status 503 with a sentence, what to do, and the way to the public page."""

    def fail() -> str:
        raise WitnessStale("x")

    pages.app.add_url_rule("/stale", "stale", gate.public(fail))
    answer = pages.get("stranger", "/stale")

    assert answer.status_code == 503 and answer.headers["Retry-After"] == "30"
    assert 'class="btn btn-quiet" href="/log"' in answer.text
    assert "Layanan berhenti" not in answer.text


def test_the_policy_shown_is_the_one_checked_by(pages: Pages) -> None:
    """The page hands out what its own check uses."""
    witnessed(pages.house)

    assert pages.get("stranger", "/log/policy").text == policy(pages.house.openlog, pages.now)
    assert AWAY in pages.get("stranger", "/log/policy").text


def test_no_row_of_a_page_is_kept_in_the_database(pages: Pages) -> None:
    """A check leaves nothing behind: not the paste, not an entry."""
    witnessed(pages.house)
    with pages.house.store.reading() as session:
        before = session.execute(sql("SELECT count(*) FROM trail_published")).scalar()
    pages.check(text=receipt(pages.house, 0))

    with pages.house.store.reading() as session:
        assert session.execute(sql("SELECT count(*) FROM trail_published")).scalar() == before
