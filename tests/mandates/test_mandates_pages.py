"""The pages over HTTP: what each side sees, what a form sent by hand can do, what is kept when something is wrong."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import replace

import pyotp
import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, text
from werkzeug.test import TestResponse

from app.cli.shell import host_actor
from app.factory import House, web_app
from app.identity import accounts
from app.identity.passwords import Hasher
from app.kernel.fields import Role
from app.kernel.ids import new_uid
from app.mandates.rules import last_day
from app.voters.actions import rows_by_uid
from tests.conftest import dp4_row, load_dp4, write_dp4
from tests.mandates.mandates_kit import DESA, KEC, PEOPLE, REASON, Desk
from tests.walk_kit import entries, uid_of

PASSWORD = "kuda lumping naik tangga 77"


class Site:
    """The application, and a browser per person."""

    def __init__(self, house: House) -> None:
        self.identity = replace(house.identity, hasher=Hasher(memory_kib=8, passes=1, lanes=1))
        self.house = replace(house, identity=self.identity, mandates=replace(house.mandates, identity=self.identity))
        self.app = web_app(self.house)
        self.browsers: dict[str, FlaskClient] = {}
        self.uids: dict[str, str] = {}

    def person(self, name: str, role: Role | None = None, office: str = "", unit: str = "", roles: tuple[Role, ...] = ()) -> FlaskClient:
        """Return the browser of somebody of PEOPLE, or of a new kind of person, signed in."""
        if name in self.browsers:
            return self.browsers[name]
        known, place, desk = PEOPLE.get(name, (role, office, unit))
        assert known is not None
        now = self.house.clock.now()
        uid, _ = accounts.create(
            self.identity, host_actor(), username=f"web.{name}", name=f"Orang {name}", office=place, unit=desk,
            roles=[one.value for one in roles or (known,)], now=now, password=PASSWORD, must_change=False,
        )  # fmt: skip
        secret = accounts.enrol_by_hand(self.identity, host_actor(), uid, now)
        browser = self.app.test_client()
        self.browsers[name], self.uids[name] = browser, uid
        assert self.post(name, "/login", "/login", username=f"web.{name}", password=PASSWORD).status_code == 303
        assert self.post(name, "/login/totp", "/login/totp", code=pyotp.TOTP(secret).at(now)).status_code == 303
        return browser

    def get(self, name: str, path: str) -> TestResponse:
        return self.person(name).get(path, base_url=self.house.settings.public_origin)

    def post(self, name: str, page: str, path: str, /, **form: object) -> TestResponse:
        browser = self.person(name)
        origin = self.house.settings.public_origin
        found = re.search(r'name="csrf_token" value="([^"]+)"', browser.get(page, base_url=origin).text)
        assert found, page
        return browser.post(path, data={"csrf_token": found[1], **form}, base_url=origin)

    def ask(self, name: str = "liaison", **changes: object) -> TestResponse:
        day = last_day(self.house.clock.now(), "51.71").replace(day=20).isoformat()
        form = {
            "purpose": "pengawasan", "basis": "uu7_2017", "region": KEC, "stages": ["dps"], "elements": ["nik"], "view": "utuh",
            "until": day, "letter": "094/PM.00.02", "reason": REASON, **changes,
        }  # fmt: skip
        return self.post(name, "/requests/new", "/requests/new", **form)

    def asked(self, **changes: object) -> str:
        """Submit a request and return its address."""
        sent = self.ask(**changes)
        assert sent.status_code == 303, html.unescape(re.sub(r"<[^>]+>", " ", sent.text))
        return sent.location.partition("?")[0]

    def form(self, name: str, path: str) -> dict[str, object]:
        """Return the fields of the page's form of approval, as a browser would send them."""
        text = self.get(name, path).text
        part = text[text.index('value="approve"') :]
        part = part[: part.index("</form>")]
        return {
            "decision": "approve",
            "version": re.search(r'name="version" value="(\d+)"', part)[1],  # type: ignore[index]
            "region": re.search(r'<option value="([^"]+)" selected', part)[1],  # type: ignore[index]
            "elements": re.findall(r'name="elements" id="[^"]+" value="([^"]+)" checked', part),
            "view": re.findall(r'<option value="([^"]+)" selected', part)[1],
            "until": re.search(r'name="until" value="([^"]+)"', part)[1],  # type: ignore[index]
        }

    def approve(self, name: str, path: str, **changes: object) -> TestResponse:
        return self.post(name, path, f"{path}/decide", **{**self.form(name, path), **changes})

    def granted(self, **changes: object) -> str:
        path = self.asked(**changes)
        for name in ("data1", "hukum"):
            assert self.approve(name, path).status_code == 303
        return path


@pytest.fixture
def site(sqlite_house: House) -> Site:
    made = Site(sqlite_house)
    for name in ("data1", "hukum"):
        made.person(name)
    return made


def plain(answer: TestResponse) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def last_rule(site: Site) -> object:
    return entries(site.house)[-1]["rule"]


def test_the_story_over_http(site: Site) -> None:
    """Ask, approve twice, once narrowed to a desa; both sides read the same steps with the numbers of their entries."""
    path = site.asked()
    assert site.approve("data1", path, region=DESA).status_code == 303
    assert site.approve("hukum", path).status_code == 303

    sides = [site.get(name, path) for name in ("liaison", "hukum", "data1")]
    steps = [re.sub(r"<[^>]+>", "", re.search(r'<ol class="timeline">(.*?)</ol>', one.text, re.S)[1]) for one in sides]  # type: ignore[index]
    assert len({" ".join(one.split()) for one in steps}) == 1
    assert "Disetujui dengan mempersempit" in steps[0] and REASON in sides[0].text
    assert all('data-state="active"' in one.text for one in sides)
    assert len(re.findall(r"entri nomor", steps[0])) == 4


def test_a_wrong_form_keeps_what_was_typed(site: Site) -> None:
    """Each field says what to mend; nothing typed is lost."""
    answer = site.ask(reason=".", letter="", until="31-02-2026", elements=[], stages=["dps"], region=DESA)

    assert answer.status_code == 400
    for sentence in ("20 sampai 1.000 huruf", "nomor surat tugas", "Isi tanggal berakhirnya", "sedikitnya satu elemen"):
        assert sentence in plain(answer), sentence
    assert f'value="{DESA}" selected' in answer.text


def test_no_nik_in_a_reason(site: Site) -> None:
    answer = site.ask(reason="Memeriksa aduan atas NIK 5171010101800001 di TPS 3")

    assert answer.status_code == 400 and "Jangan menulis NIK" in plain(answer)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"region": "51.03.01"}, "izin-wilayah-di-luar"),
        ({"until": "2026-11-30"}, "izin-tanggal"),
        ({"until": "2027-06-30"}, "izin-tanggal"),
        ({"elements": ["status_kawin"]}, "izin-melebihi-puncak"),
        ({"view": "samar"}, "izin-tidak-perlu"),
    ],
)
def test_what_the_rules_refuse_names_the_rule(site: Site, changes: dict[str, object], rule: str) -> None:
    answer = site.ask(**changes)

    assert answer.status_code == 400
    assert f'data-rule="{rule}"' in answer.text
    assert last_rule(site) == [rule]


def test_nobody_to_decide_is_said_before_anything_is_typed(sqlite_house: House) -> None:
    """The form says so, and whom to speak to; sending it anyway is refused."""
    site = Site(sqlite_house)
    site.person("data1")
    shown = site.get("liaison", "/requests/new")
    assert "belum ada dua penyetuju" in plain(shown) and "Hubungi admin sistem KPU Kota Denpasar" in plain(shown)
    assert "Orang data1" in plain(shown)

    answer = site.ask()
    assert answer.status_code == 400 and 'data-rule="izin-tanpa-penyetuju"' in answer.text


def test_the_form_offers_what_a_mandate_could_open(site: Site) -> None:
    """For the liaison NKK, NIK and disability; for the operator disability alone; the rest has no box."""
    for name, boxes in (("liaison", ["nkk", "nik", "disabilitas"]), ("operator", ["disabilitas"])):
        text = site.get(name, "/requests/new").text
        assert re.findall(r'name="elements" id="[^"]+" value="([^"]+)"', text) == boxes


def test_an_address_may_fill_in_region_and_elements(site: Site) -> None:
    """From the voter page; a region of others is not taken over."""
    text = site.get("liaison", f"/requests/new?region={DESA}&elements=nik,disabilitas,mantra").text
    assert f'value="{DESA}" selected' in text
    assert re.findall(r'value="([^"]+)" checked', text) == ["dps", "nik", "disabilitas"]

    other = site.get("liaison", "/requests/new?region=51.03.01&elements=nik").text
    assert 'value="51.71" selected' in other and 'value="51.03' not in other


def test_a_role_outside_gets_no_form(site: Site) -> None:
    for name in ("data1", "officer"):
        assert site.get(name, "/requests/new").status_code == 403
        assert site.post(name, "/requests", "/requests/new").status_code == 403


def test_posts_by_hand_of_the_wrong_people(site: Site) -> None:
    """The requester, the officer, strangers: refused with the rule, or not there; each of them an entry."""
    path = site.asked()
    form = site.form("data1", path)

    answer = site.post("liaison", path, f"{path}/decide", **form)
    assert answer.status_code == 403 and 'data-rule="izin-pemohon-sendiri"' in answer.text
    assert last_rule(site) == ["izin-pemohon-sendiri"]
    answer = site.post("officer", path, f"{path}/decide", **form)
    assert answer.status_code == 403 and last_rule(site) == ["izin-bukan-penyetuju"]
    for name in ("colleague", "neighbour", "operator"):
        assert site.post(name, "/requests", f"{path}/decide", **form).status_code == 404
        assert last_rule(site) == ["izin-wilayah-di-luar"]
        assert site.get(name, path).status_code == 404
    assert site.get("liaison", path).text.count('data-state="submitted"') == 1


def test_a_requester_who_became_an_approver_decides_nothing_of_theirs(site: Site) -> None:
    """Holding both roles now, active as approver: one's own request shows no form, and the post is refused."""
    path = site.asked()
    form = site.form("data1", path)
    with site.house.store.writing() as session:
        session.execute(
            text("UPDATE account SET roles = 'bawaslu_kab,penyetuju', office = 'kpu-51.71' WHERE uid = :uid"), {"uid": site.uids["liaison"]}
        )
    assert site.post("liaison", "/", "/me/role", role="penyetuju").status_code == 303

    assert 'value="approve"' not in site.get("liaison", path).text
    assert site.post("liaison", path, f"{path}/decide", **form).status_code == 403
    assert last_rule(site) == ["izin-pemohon-sendiri"]


def test_a_replayed_decision_is_409_and_shows_the_present(site: Site) -> None:
    path = site.asked()
    form = site.form("data1", path)
    assert site.post("data1", path, f"{path}/decide", **form).status_code == 303

    for name in ("data1", "hukum"):
        answer = site.post(name, path, f"{path}/decide", **form)
        assert answer.status_code == 409 and 'data-rule="izin-sudah-diputus"' in answer.text
        assert 'data-state="half"' in answer.text


def test_the_second_of_the_same_unit_sees_why_not(site: Site) -> None:
    path = site.asked()
    form = {**site.form("data2", path), "version": "2"}
    site.approve("data1", path)

    shown = site.get("data2", path)
    assert "unit lain" in plain(shown) and 'value="approve"' not in shown.text
    answer = site.post("data2", path, f"{path}/decide", **form)
    assert answer.status_code == 403 and last_rule(site) == ["izin-unit-sama"]


def test_widening_by_hand_names_field_and_rule(site: Site) -> None:
    path = site.asked(region=DESA)
    answer = site.approve("data1", path, region="51.71")

    assert answer.status_code == 400 and 'data-rule="izin-melebihi-permintaan"' in answer.text


@pytest.mark.parametrize(
    "form",
    [
        {}, {"decision": "approve"}, {"decision": "maybe", "version": "1"}, {"decision": "refuse", "version": "-1"},
        {"decision": "refuse", "version": "1", "reason": "."},
        {"decision": "approve", "version": "1", "region": "x", "elements": ["nik"], "view": "utuh", "until": "2026-12-10"},
        {"decision": "approve", "version": "1", "region": DESA, "elements": ["nik"], "view": "ada", "until": "2026-12-10"},
    ],
)  # fmt: skip
def test_a_torn_decision_changes_nothing(site: Site, form: dict[str, object]) -> None:
    path = site.asked()
    answer = site.post("data1", path, f"{path}/decide", **form)

    assert answer.status_code == 400
    assert 'data-state="submitted"' in site.get("data1", path).text


def test_refused_withdrawn_revoked_read_the_same_on_both_sides(site: Site) -> None:
    refused = site.asked()
    assert site.post("hukum", refused, f"{refused}/decide", decision="refuse", version="1", reason=REASON).status_code == 303
    withdrawn = site.asked()
    assert site.post("liaison", withdrawn, f"{withdrawn}/withdraw").status_code == 303
    revoked = site.granted()
    assert site.post("officer", revoked, f"{revoked}/revoke", reason="").status_code == 400
    assert site.post("officer", revoked, f"{revoked}/revoke", reason=REASON).status_code == 303

    for path, state in ((refused, "refused"), (withdrawn, "withdrawn"), (revoked, "revoked")):
        for name in ("liaison", "data1", "officer"):
            text = site.get(name, path).text
            assert f'data-state="{state}"' in text and "<textarea" not in text
    listed = site.get("liaison", "/requests").text
    assert sorted(re.findall(r'data-state="(\w+)"', listed)) == ["refused", "revoked", "withdrawn"]


def test_the_desk_tells_what_changed_since_ones_last_step(site: Site) -> None:
    """After the decision the requester reads of it at the top; after the next step of theirs no more."""
    path = site.asked()
    assert "Berubah sejak" in plain(site.get("data1", "/requests"))
    site.house.clock.move(minutes=1)  # type: ignore[attr-defined]  # a FakeClock
    site.approve("data1", path)
    assert "Berubah sejak" in plain(site.get("liaison", "/requests"))
    site.house.clock.move(minutes=1)  # type: ignore[attr-defined]  # a FakeClock

    site.post("liaison", path, f"{path}/withdraw")
    assert "Berubah sejak" not in plain(site.get("liaison", "/requests"))


def test_home_says_what_waits(site: Site) -> None:
    """The requester's first step; the approver's queue; the officer's count; ending soon."""
    assert "/requests/new" in site.get("liaison", "/").text
    path = site.asked(until="2026-12-04")
    assert "1 permintaan menunggu keputusan Anda" in plain(site.get("data1", "/"))
    site.approve("data1", path)
    assert "Tidak ada yang menunggu keputusan Anda" in plain(site.get("data2", "/"))
    assert "1 permintaan menunggu" in plain(site.get("hukum", "/"))
    site.approve("hukum", path)

    assert "1 izin berakhir dalam tujuh hari" in plain(site.get("liaison", "/"))
    assert "1 izin sedang berlaku" in plain(site.get("officer", "/"))


def test_home_tells_a_requester_of_a_decision(site: Site) -> None:
    """Also of a refusal, when nothing is open or running any more; until the requester's own next step."""
    path = site.asked()
    moved = "1 permintaan bergerak sejak langkah terakhir Anda"
    assert moved not in plain(site.get("liaison", "/"))
    site.house.clock.move(minutes=1)  # type: ignore[attr-defined]  # a FakeClock
    site.post("hukum", path, f"{path}/decide", decision="refuse", version="1", reason=REASON)

    home = site.get("liaison", "/")
    assert moved in plain(home) and 'href="/requests"' in home.text
    site.house.clock.move(minutes=1)  # type: ignore[attr-defined]  # a FakeClock
    again = site.asked()
    assert moved not in plain(site.get("liaison", "/"))
    assert again != path


def test_what_is_over_comes_in_pages(site: Site) -> None:
    for _ in range(28):
        path = site.asked()
        site.post("liaison", path, f"{path}/withdraw")
    first = site.get("liaison", "/requests").text
    [older] = re.findall(r'href="(/requests\?before=[a-z2-7]{26})"', first)
    second = site.get("liaison", older).text

    seen = [re.findall(r'data-request="(\w+)"', text) for text in (first, second)]
    assert [len(one) for one in seen] == [25, 3] and len({*seen[0], *seen[1]}) == 28
    assert site.get("liaison", "/requests?before=nonsense").status_code == 200


def test_a_request_of_nonsense_is_not_there(site: Site) -> None:
    for uid in (new_uid(), "x", "A" * 26):
        assert site.get("officer", f"/requests/{uid}").status_code == 404


def statements(site: Site, work: Callable[[], object]) -> int:
    """Count the SQL statements of *work*."""
    seen: list[str] = []

    def note(_c: object, _cur: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(site.house.store.engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(site.house.store.engine, "before_cursor_execute", note)
    return len(seen)


def test_a_longer_list_asks_the_database_no_more(site: Site) -> None:
    """No query per row."""
    site.asked()
    site.get("data1", "/requests")
    few = statements(site, lambda: site.get("data1", "/requests"))
    for _ in range(8):
        site.asked()

    assert statements(site, lambda: site.get("data1", "/requests")) == few


# ---- on the roll ----


@pytest.fixture
def roll(site: Site) -> tuple[Site, str, str]:
    """A voter in the desa of the mandate, and one next door."""
    path = write_dp4(
        site.house.settings.data / "dp4.csv",
        [dp4_row(1, DESA="SANUR"), dp4_row(2, DESA="RENON")],
    )
    load_dp4(site.house, path)
    path.unlink()
    return site, uid_of(site.house, 1), uid_of(site.house, 2)


def views(site: Site, name: str, uid: str) -> dict[str, str]:
    answer = site.get(name, f"/voters/51.71-{uid}")
    return dict(re.findall(r'data-element="(\w+)" data-view="(\w+)"', answer.text)) if answer.status_code == 200 else {}


def desa_of(site: Site, uid: str) -> str:
    with site.house.store.reading() as session:
        return rows_by_uid(session, "51.71", [uid])[0].clear.desa


def test_a_mandate_opens_nik_in_its_desa_and_not_next_door(roll: tuple[Site, str, str]) -> None:
    """Until it is revoked: then masked on the very next request."""
    site, here, next_door = roll
    assert views(site, "liaison", here)["nik"] == "samar"
    path = site.granted(region=desa_of(site, here))

    assert views(site, "liaison", here)["nik"] == "utuh"
    shown = site.get("liaison", f"/voters/51.71-{here}").text
    assert f'data-mandate="{path.rpartition("/")[2]}"' in shown and f'href="{path}"' in shown
    assert views(site, "liaison", next_door)["nik"] == "samar"
    entry = [one for one in entries(site.house) if one["action"] == "voter:reveal"][-2]
    assert entry["mandate"] == path.rpartition("/")[2] and entry["fields"]["nik"] == "utuh"  # type: ignore[index]
    assert entries(site.house)[-1]["mandate"] is None

    site.post("officer", path, f"{path}/revoke", reason=REASON)
    assert views(site, "liaison", here)["nik"] == "samar"
    assert views(site, "colleague", here)["nik"] == "samar"


def test_a_search_by_nik_only_while_a_mandate_opens_it(roll: tuple[Site, str, str]) -> None:
    """The form appears with the mandate; it finds only inside its region, and without it nothing."""
    site, here, _ = roll
    site.get("liaison", "/voters")
    assert 'name="nik"' not in site.get("liaison", "/voters").text
    asked = {"purpose": "pengawasan", "region": "51.71"}
    assert site.post("liaison", "/voters", "/voters/search", nik=dp4_row(1)["NIK"], **asked).status_code == 404
    site.granted(region=desa_of(site, here))

    assert 'name="nik"' in site.get("liaison", "/voters").text
    found = site.post("liaison", "/voters", "/voters/search", nik=dp4_row(1)["NIK"], **asked)
    assert found.status_code == 200 and f"51.71-{here}" in found.text
    missed = site.post("liaison", "/voters", "/voters/search", nik=dp4_row(2)["NIK"], **asked)
    assert missed.status_code == 200 and "51.71-" not in missed.text


def test_a_masked_mandate_gives_no_search(roll: tuple[Site, str, str]) -> None:
    """A mandate for disability opens no search by NIK."""
    site, here, _ = roll
    site.granted(region=desa_of(site, here), elements=["disabilitas"])
    site.get("liaison", "/voters")

    assert 'name="nik"' not in site.get("liaison", "/voters").text
    assert views(site, "liaison", here)["disabilitas"] == "utuh"


def test_the_voter_page_leads_to_the_form(roll: tuple[Site, str, str]) -> None:
    """Region and elements are filled in; nothing personal stands in the address."""
    site, here, _ = roll
    text = site.get("liaison", f"/voters/51.71-{here}").text
    links = set(re.findall(r'href="(/requests/new[^"]*)"', text))

    assert {html.unescape(link) for link in links} >= {f"/requests/new?region={desa_of(site, here)}&elements=nik"}
    assert all(re.fullmatch(r"/requests/new\?region=[0-9.]+&amp;elements=[a-z_,]+", link) for link in links)


def test_the_data_protection_officer_reads_one_voter(roll: tuple[Site, str, str]) -> None:
    """Nothing without a mandate; with it this voter and no other; and nobody who approved about that voter."""
    site, here, next_door = roll
    assert site.get("pdp", f"/voters/51.71-{here}").status_code == 404
    form = {
        "purpose": "permintaan_subjek", "basis": "uu27_2022", "subject": f"51.71-{here}", "elements": ["nik", "nama", "alamat"],
        "region": "",
    }  # fmt: skip
    path = site.asked(name="pdp", **form)
    for name in ("data1", "hukum"):
        assert site.approve(name, path).status_code == 303

    opened = views(site, "pdp", here)
    assert {one for one, view in opened.items() if view == "utuh"} == {"nik", "nama", "alamat", "tanggal_lahir", "jenis_kelamin"}
    assert views(site, "pdp", next_door) == {}
    assert "/requests" in site.get("pdp", f"/voters/51.71-{here}").text
    assert site.ask("pdp", **{**form, "subject": "51.71-x"}).status_code == 400


def test_a_desk_and_its_site_see_the_same(one: Desk) -> None:
    """What the actions do, the pages show."""
    uid = one.granted()
    site = Site(one.house)

    assert 'data-state="active"' in site.get("officer", f"/requests/{uid}").text
