"""The pages over HTTP: who may, with which code, what a form sent by hand can do, and what is never shown or kept."""

from __future__ import annotations

import re
from pathlib import Path

import pyotp
import pytest

from app.admin import resets
from app.identity import accounts, directory
from app.identity.directory import Sought
from app.kernel.fields import Action, Role, Unit
from app.mandates import people
from app.places import Places
from app.store.keys import add_key
from tests.admin.admin_kit import PASSWORD, REASON, Desk, Site, plain, selects, statements
from tests.conftest import dp4_row, load_dp4, write_dp4
from tests.walk_kit import content, entries, rows_of, size, tamper, truth

NEW = {"name": "Komang Baru", "username": "komang.baru", "office": "kpu-51.03", "unit": "hukum", "roles": ["penyetuju"]}
READABLE = ("/admin/accounts", "/admin/confirmations", "/admin/offices", "/admin/keys", "/admin/health")
KEEPERS_OWN = ("/admin/accounts/new", "/admin/offices", "/admin/keys", "/admin/keys/new", "/admin/health")


def slip(text: str) -> str:
    """Return the one-time password on a sheet."""
    return re.findall(r'id="sandi">([^<]+)<', text)[0]


def invited(site: Site, **changes: object) -> tuple[str, str]:
    """Invite somebody over the web; return uid and one-time password."""
    sent = site.act("admin", "/admin/accounts/new", **{**NEW, **changes})
    assert sent.status_code == 200, plain(sent)
    return re.findall(r'data-sheet="([a-z2-7]{26})"', sent.text)[0], slip(sent.text)


# ---- inviting ----


def test_an_invitation_makes_an_account_and_shows_its_password_once(wide: Site) -> None:
    """The sheet is the answer to the form; the address of the account never shows it again, and nothing keeps it."""
    desk = wide.desk
    wide.browser("admin")
    before = size(wide.house)
    uid, password = invited(wide)

    written = entries(wide.house, before)
    assert [(one["action"], one["outcome"], one["scope"]) for one in written] == [("account:create", "done", "51.03")]
    assert written[0]["actor"] == desk.uid("admin")
    found = directory.one(desk.identity, uid, desk.now)
    assert (found.row.office, found.row.unit, found.row.roles, found.must_change) == ("kpu-51.03", "hukum", (Role.PENYETUJU,), True)
    for path in (f"/admin/accounts/{uid}", "/admin/accounts", "/admin/accounts/new"):
        assert password not in wide.get("admin", path).text
    kept = [str(row) for table in ("account", "trail_entry", "login_session") for row in rows_of(wide.house, f"SELECT * FROM {table}")]
    assert not any(password in row for row in kept)
    assert password not in str(content(wide.house, before))


def test_a_one_time_password_stands_in_no_file_and_no_log_line(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither in the data directory nor in what the server says."""
    _, password = invited(site)
    again = site.act("admin", "/admin/accounts/new", **NEW)
    said = capfd.readouterr()
    files = [path.read_bytes() for path in Path(site.house.settings.data).rglob("*") if path.is_file()]

    assert again.status_code == 400
    assert password not in said.out + said.err
    assert not any(password.encode() in raw for raw in files)
    assert "komang.baru" not in said.out + said.err


def test_no_browser_keeps_the_sheet(site: Site) -> None:
    sent = site.act("admin", "/admin/accounts/new", **NEW)

    assert sent.headers["Cache-Control"] == "no-store"
    assert "komang" not in sent.request.path


def test_the_invited_person_signs_in_enrols_and_chooses_a_password(site: Site) -> None:
    """With the sheet: password, authenticator, own password; until then no page but that one opens, and the sheet is worth nothing after."""
    uid, password = invited(site)
    browser = site.app.test_client()
    site.browsers["new"] = browser
    assert site.post("new", "/login", "/login", username="KOMANG.BARU", password=password).status_code == 303
    secret = "".join(re.findall(r"<span>([A-Z2-7]{4})</span>", site.get("new", "/enrol").text))
    site.desk.secrets["new"] = secret

    assert site.post("new", "/enrol", "/enrol", code=pyotp.TOTP(secret).at(site.desk.now)).status_code == 303
    assert site.get("new", "/admin/accounts").location == "/me/password"
    changed = site.post("new", "/me/password", "/me/password", current=password, new=PASSWORD, again=PASSWORD)

    assert changed.status_code == 303
    assert directory.one(site.desk.identity, uid, site.desk.now).renewable is False
    refused = site.app.test_client()
    site.browsers["thief"] = refused
    assert site.post("thief", "/login", "/login", username="komang.baru", password=password).status_code == 400


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"roles": ["kpu_ri"]}, "Peran ini tidak ada di kantor itu"),
        ({"roles": ["bawaslu_kab"]}, "Peran ini tidak ada di kantor itu"),
        ({"roles": ["kpu_kab", "penyetuju"]}, "tidak boleh merangkap peran lain"),
        ({"roles": ["admin_sistem", "kpu_kab"]}, "tidak boleh merangkap peran lain"),
        ({"roles": ["proses"]}, "Peran proses hanya untuk perintah"),
        ({"roles": ["raja"]}, "Peran tidak dikenal"),
        ({"roles": []}, "Beri sedikitnya satu peran"),
        ({"username": "A b"}, "Nama pengguna terdiri dari"),
        ({"username": "uji.admin"}, "Nama pengguna sudah dipakai"),
        ({"name": " "}, "Isi nama lengkap"),
        ({"unit": "dapur"}, "Unit harus salah satu"),
        ({"office": "kpu-51.99"}, "Wilayah kantor ini tidak ada"),
        ({"office": "dpr-00"}, "Kode kantor tidak dikenal"),
    ],
)
def test_an_invitation_that_does_not_fit_is_told_and_kept(site: Site, changes: dict[str, object], said: str) -> None:
    """What was typed comes back; no account, no entry."""
    site.browser("admin")
    before = size(site.house)
    sent = site.act("admin", "/admin/accounts/new", **{**NEW, **changes})

    assert sent.status_code == 400
    assert said in plain(sent)
    assert "data-sheet" not in sent.text
    assert size(site.house) == before
    if "office" not in changes and "name" not in changes:
        assert 'value="Komang Baru"' in sent.text


def test_the_form_offers_only_roles_of_the_office(site: Site) -> None:
    page = site.get("admin", "/admin/accounts/new?body=bawaslu&region=51").text

    assert re.findall(r'name="roles" id="[^"]+" value="([^"]+)"', page) == [
        "bawaslu_prov", "penyetuju", "petugas_keamanan", "pejabat_pdp", "admin_sistem",
    ]  # fmt: skip
    for bad in ("body=dpr&region=51", "body=kpu&region=51.99", "body=kpu", "body=kpu&region=51%27", "region=51"):
        assert site.get("admin", f"/admin/accounts/new?{bad}").status_code == 400, bad


def test_a_sheet_is_renewed_once_per_look(site: Site) -> None:
    """The form names the invitation it was shown for: sent twice, reloaded or from an old page it makes no second password."""
    uid, first = invited(site)
    page = site.get("admin", f"/admin/accounts/{uid}").text
    seen = re.findall(r'name="seen" value="([^"]+)"', page)[0]
    site.house.clock.move(minutes=1)
    before = size(site.house)
    renewed = site.act("admin", f"/admin/accounts/{uid}/invite", seen=seen)
    twice = site.act("admin", f"/admin/accounts/{uid}/invite", seen=seen)
    blind = site.act("admin", f"/admin/accounts/{uid}/invite")

    assert (renewed.status_code, twice.status_code, blind.status_code) == (200, 409, 409)
    assert slip(renewed.text) != first
    assert "data-sheet" not in twice.text + blind.text
    assert site.desk.said(before) == [("account:password", "done"), ("account:password", "denied"), ("account:password", "denied")]


# ---- one account ----


def test_an_account_is_disabled_with_a_reason(wide: Site) -> None:
    """The person is out at the next click; a second time is refused; the page says why and when."""
    desk = wide.desk
    assert wide.get("operator", "/").status_code == 200
    path = f"/admin/accounts/{desk.uid('operator')}"
    bare = wide.act("admin", f"{path}/disable", reason="")
    assert (bare.status_code, "Tulis alasannya" in plain(bare)) == (400, True)
    with desk.writes(("account:disable", "done")):
        assert wide.act("admin", f"{path}/disable", reason=REASON).location == f"{path}?notice=disabled"

    assert wide.get("operator", "/").location == "/login?next=/&expired=1"
    page = plain(wide.get("officer", path))
    assert REASON in page and "dinonaktifkan" in page
    assert f"{path}/disable" not in wide.get("admin", path).text
    with desk.writes(("account:disable", "denied")):
        assert wide.act("admin", f"{path}/disable", reason=REASON).status_code == 409


def test_an_administrator_cannot_turn_against_themself(site: Site) -> None:
    """The page offers nothing; forms sent by hand are refused and recorded."""
    own = f"/admin/accounts/{site.desk.uid('admin')}"
    page = site.get("admin", own).text
    assert not re.findall(rf'action="{own}/', page)
    for step, entry in (("disable", "account:disable"), ("reset", "account:reset"), ("invite", "account:password")):
        with site.desk.writes((entry, "denied")):
            assert site.act("admin", f"{own}/{step}", reason=REASON).status_code == 409, step

    assert site.get("admin", "/").status_code == 200


def test_sessions_are_ended(site: Site) -> None:
    site.browser("operator")
    path = f"/admin/accounts/{site.desk.uid('operator')}"
    assert "Sesi yang hidup 1" in plain(site.get("admin", path))
    with site.desk.writes(("session:logout", "done")):
        assert site.act("admin", f"{path}/sessions").status_code == 303

    assert site.get("operator", "/").status_code == 303
    assert "Sesi yang hidup 0" in plain(site.get("admin", f"{path}?notice=sessions"))


def test_an_account_that_is_not_there_is_not_there(site: Site) -> None:
    """Absent and malformed give one page, on every address."""
    for uid in ("a" * 26, "x", "A" * 26, "%00", "a" * 300):
        assert site.get("admin", f"/admin/accounts/{uid}").status_code == 404
        for step in ("disable", "sessions", "invite", "reset"):
            assert site.act("admin", f"/admin/accounts/{uid}/{step}", reason=REASON).status_code == 404, (uid, step)
        assert site.act("admin", f"/admin/confirmations/{uid}", decision="confirm").status_code == 404


# ---- resets ----


def test_a_reset_from_asking_to_confirming(wide: Site) -> None:
    """The asker sees no button but to withdraw, the other sees two; afterwards the person enrols anew."""
    desk, path = wide.desk, f"/admin/accounts/{wide.desk.uid('operator')}"
    wide.browser("operator")
    with desk.writes(("account:reset", "intent")):
        assert wide.act("admin", f"{path}/reset", reason=REASON).location == f"{path}?notice=asked"
    assert f"{path}/reset" not in wide.get("admin", path).text
    [waiting] = resets.waiting(desk.room, desk.people["officer"], desk.now)
    mine, theirs = wide.get("admin", "/admin/confirmations").text, wide.get("officer", "/admin/confirmations").text
    assert re.findall(r'name="decision" value="(\w+)"', mine) == ["withdraw"]
    assert re.findall(r'name="decision" value="(\w+)"', theirs) == ["confirm", "refuse"]
    with desk.writes(("account:reset", "denied")):
        assert wide.act("admin", f"/admin/confirmations/{waiting.uid}", decision="confirm").status_code == 403
    assert wide.get("operator", "/").status_code == 200
    with desk.writes(("account:reset", "done")):
        assert wide.act("officer", f"/admin/confirmations/{waiting.uid}", decision="confirm").location == "/admin/confirmations?notice=done"

    assert wide.get("operator", "/").status_code == 303
    assert wide.post("operator", "/login", "/login", username="uji.operator", password=PASSWORD).status_code == 303
    assert wide.get("operator", "/login/totp").location == "/enrol"
    with desk.writes(("account:reset", "denied")):
        assert wide.act("admin2", f"/admin/confirmations/{waiting.uid}", decision="confirm").status_code == 409
    assert "dikonfirmasi" in plain(wide.get("admin", "/admin/confirmations"))


def test_a_decision_is_one_of_three_words(site: Site) -> None:
    reset = site.desk.ask()
    for word in ("", "CONFIRM", "yes"):
        with site.desk.writes():
            assert site.act("officer", f"/admin/confirmations/{reset}", decision=word).status_code == 400


def test_a_reset_row_that_was_changed_says_so(site: Site) -> None:
    """No button for it, a warning instead; a form sent by hand meets the seal, and the broken row is an entry."""
    reset = site.desk.ask()
    assert tamper(site.house, "UPDATE factor_reset SET asked_by = :other", other=site.desk.uid("admin2")) == 1
    page = site.get("officer", "/admin/confirmations").text

    assert "Segel rusak" in page
    assert 'value="confirm"' not in page
    with site.desk.writes(("account:reset", "broken")):
        assert site.act("officer", f"/admin/confirmations/{reset}", decision="confirm").status_code == 500


# ---- codes and roles ----


def changes(site: Site) -> list[tuple[str, dict[str, object]]]:
    """Every form of the desk that changes something, filled in well."""
    operator = f"/admin/accounts/{site.desk.uid('operator')}"
    return [
        ("/admin/accounts/new", NEW),
        (f"{operator}/disable", {"reason": REASON}),
        (f"{operator}/sessions", {}),
        (f"{operator}/invite", {"seen": ""}),
        (f"{operator}/reset", {"reason": REASON}),
        (f"/admin/confirmations/{site.desk.ask('officer', by='admin2')}", {"decision": "confirm"}),
        ("/admin/keys", {"region": "51.01"}),
    ]


def test_every_change_demands_a_fresh_code(site: Site) -> None:
    """A form may be shown for five minutes after the code and sent for ten; then it leads to the code and back, and changes nothing."""
    forms = changes(site)
    site.browser("admin")
    site.pass_time("admin", 5)
    assert site.get("admin", "/admin/accounts/new").status_code == 200
    site.pass_time("admin", 1)
    for path in ("/admin/accounts/new", "/admin/keys/new"):
        assert site.get("admin", path).location == f"/step-up?next={path}"
    account = site.get("admin", f"/admin/accounts/{site.desk.uid('operator')}").text
    assert "/step-up?next=" in account and "/disable" not in account
    site.pass_time("admin", 4)
    assert site.act("admin", f"/admin/accounts/{site.desk.uid('operator')}/sessions").status_code == 303
    site.pass_time("admin", 1)
    before = size(site.house)

    for path, form in forms:
        sent = site.act("admin", path, **form)
        assert (sent.status_code, sent.location.partition("=")[0]) == (303, "/step-up?next"), path
        # Back to a page that a link can open.
        assert site.get("admin", sent.location.partition("=")[2]).status_code in {200, 303}, sent.location
    assert size(site.house) == before


def test_a_confirming_officer_gives_a_fresh_code_too(site: Site) -> None:
    reset = site.desk.ask()
    site.browser("officer")
    site.pass_time("officer", 11)
    page = site.get("officer", "/admin/confirmations").text
    assert 'value="confirm"' not in page and "/step-up?next=/admin/confirmations" in page
    sent = site.act("officer", f"/admin/confirmations/{reset}", decision="confirm")

    assert (sent.status_code, sent.location) == (303, "/step-up?next=/admin/confirmations")
    assert site.desk.row(reset).state == resets.WAITING


def test_the_officer_looks_and_confirms_and_changes_nothing_else(site: Site) -> None:
    forms = changes(site)
    site.browser("officer")
    before = size(site.house)
    for path, form in forms:
        if "/confirmations/" not in path:
            assert site.act("officer", path, **form).status_code == 403, path
    for path in KEEPERS_OWN:
        assert site.get("officer", path).status_code == 403, path

    page = site.get("officer", f"/admin/accounts/{site.desk.uid('operator')}").text
    assert "<form" in page and f"{site.desk.uid('operator')}/" not in page
    assert size(site.house) == before


@pytest.mark.parametrize("role", [role for role in Role if role not in {Role.ADMIN_SISTEM, Role.PETUGAS_KEAMANAN, Role.PROSES}])
def test_the_desk_is_closed_to_every_other_role(site: Site, role: Role) -> None:
    """Nothing in the navigation, nothing at the addresses, nothing written."""
    body, level = ("bawaslu" if role.value.startswith("bawaslu") else "kpu"), role.value.rpartition("_")[2]
    office = f"{body}-{({'ri': '00', 'prov': '51', 'kab': '51.71'}).get(level, '51.71')}"
    site.desk.join("stranger", role, office)
    assert "/admin/" not in site.get("stranger", "/").text
    forms = changes(site)
    before = size(site.house)
    for path in (*READABLE, *KEEPERS_OWN, f"/admin/accounts/{site.desk.uid('admin')}"):
        assert site.get("stranger", path).status_code == 403, path
    for path, form in forms:
        assert site.act("stranger", path, **form).status_code == 403, path

    assert size(site.house) == before


# ---- lists ----


def test_what_is_typed_to_find_somebody_stands_in_no_address(site: Site) -> None:
    """The search is a POST; its next page carries the words in the form; filters hold."""
    for number in range(directory.PAGE + 2):
        site.desk.join(f"lisa{number}", Role.KPU_KAB, "kpu-51.71", enrolled=False)
    found = site.act("admin", "/admin/accounts", q="LISA")
    after = re.findall(r'name="after" value="([a-z2-7]{26})"', found.text)

    assert len(re.findall(r'class="open" href="/admin/accounts/', found.text)) == directory.PAGE
    assert not re.findall(r'(?:href|action)="[^"]*[Ll]isa', found.text)
    second = site.act("admin", "/admin/accounts", q="LISA", after=after[0])
    assert len(re.findall(r'class="open" href="/admin/accounts/', second.text)) == 2
    assert "Tidak ada akun yang cocok" in site.act("admin", "/admin/accounts", q="LISA", office="kpu-00").text
    assert "Tidak ada akun yang cocok" in site.act("admin", "/admin/accounts", q="<script>'\x00").text


def test_filters_nobody_offers_count_as_none(site: Site) -> None:
    everybody = len(re.findall('class="open"', site.get("admin", "/admin/accounts").text))
    for query in ("office=x", "role=raja", "state=mati", "after=%00", "after=zzz", "office=kpu-00%27--"):
        answer = site.get("admin", f"/admin/accounts?{query}")
        assert (answer.status_code, len(re.findall('class="open"', answer.text))) == (200, everybody), query
    assert len(re.findall('class="open"', site.get("admin", "/admin/accounts?role=petugas_keamanan").text)) == 1


def test_offices_say_where_requests_cannot_be_decided(wide: Site) -> None:
    """Two approvers of two units, in the office or above it, as the room of requests counts them."""
    desk = wide.desk
    assert "kpu-51.71" in wide.get("admin", "/admin/offices").text.partition("Permintaan belum dapat diputuskan")[2]
    desk.join("here", Role.PENYETUJU, "kpu-51.71", "data")
    desk.join("same", Role.PENYETUJU, "kpu-51.71", "data")
    assert "2 penyetuju, Data dan informasi" in plain(wide.get("admin", "/admin/offices"))
    desk.join("above", Role.PENYETUJU, "kpu-51", "hukum")
    page = plain(wide.get("admin", "/admin/offices"))

    assert "Undang penyetuju di KPU Kota Denpasar" not in page
    assert "Undang penyetuju di KPU Bali" in page
    with desk.house.store.reading() as session:
        for region, lacking in (("51.71", False), ("51", True)):
            assert people.are_enough(people.approvers(session, region, beside="")) is not lacking


def test_keys_are_made_once_and_only_for_a_kab(wide: Site) -> None:
    desk = wide.desk
    for region in ("", "51", "00", "51.99", "51.71.01", "x"):
        with desk.writes():
            assert wide.act("admin", "/admin/keys", region=region).status_code == 400, region
    for rows in ("0", "-1", "banyak", "99999999", "1e3"):
        with desk.writes():
            assert wide.act("admin", "/admin/keys", region="51.01", rows=rows).status_code == 400, rows
    with desk.writes(("key:create", "done"), ("key:create", "done")):
        assert wide.act("admin", "/admin/keys", region="51.01", rows="300.000").location == "/admin/keys?notice=keys"
    made = entries(wide.house)[-2:]
    assert {(one["actor"], one["scope"]) for one in made} == {(desk.uid("admin"), "51.01")}
    with desk.writes():
        assert wide.act("admin", "/admin/keys", region="51.01").status_code == 409

    assert "sudah punya kunci" in plain(wide.get("admin", "/admin/keys/new?region=51.01"))
    assert "Kab. Jembrana" in plain(wide.get("admin", "/admin/keys")) or "Jembrana" in plain(wide.get("admin", "/admin/keys"))


def test_no_bytes_of_a_key_are_shown(site: Site) -> None:
    """Neither wrapped nor open; the public half of the log's key is."""
    page = site.get("admin", "/admin/keys").text
    raw = [bytes(row["wrapped"]) for row in rows_of(site.house, "SELECT wrapped FROM vault_key")]  # type: ignore[call-overload]

    assert site.house.guard.trail.vkey in page
    assert raw and not any(one.hex() in page for one in raw)
    assert site.house.guard.keys.key("log", "00").secret.hex() not in page


def test_an_old_key_is_marked(site: Site) -> None:
    assert "lebih dari setahun" not in plain(site.get("admin", "/admin/keys"))
    tamper(site.house, "UPDATE vault_key SET created_at = '2025-11-30 00:00:00' WHERE purpose = 'seal'")

    assert "lebih dari setahun" in plain(site.get("admin", "/admin/keys"))


@pytest.mark.parametrize("path", ["/admin/accounts", "/admin/offices", "/admin/keys", "/admin/confirmations", "/"])
def test_a_longer_page_asks_the_database_no_more_often(wide: Site, path: str) -> None:
    """As many statements for 3 accounts, offices, keys and requests as for 30 more."""
    desk = wide.desk
    wide.get("admin", path)
    counts = []
    for more in (0, 30):
        if more:
            grow(desk, more)
        with statements(wide.house.store.engine) as found:
            text = wide.get("admin", path).text
        counts.append((len(text), selects(found)))

    (short, few), (longer, many) = counts
    assert few == many
    assert longer > short or path == "/"


def grow(desk: Desk, more: int) -> None:
    """Add offices, accounts, requests and keys."""
    kabs = [kab for kab in Places().kabs() if kab not in {"51.71", "51.03"}][:more]
    for number, kab in enumerate(kabs):
        desk.join(f"orang{number}", Role.KPU_KAB, f"kpu-{kab}")
        desk.ask(f"orang{number}")
        with desk.house.store.writing() as session:
            add_key(session, "seal", kab, 1, b"wrapped", desk.now)


# ---- what is never there ----


def test_no_voters_data_is_reached_from_the_desk(site: Site, tmp_path: Path) -> None:
    """No value of a loaded roll on any page; no statement reads a row of it, but whether there is one; the rooms of the roll stay shut."""
    rows = [dp4_row(number) for number in range(1, 6)]
    load_dp4(site.house, write_dp4(tmp_path / "dp4.csv", rows))
    marks = {value for row in rows for value in truth(row).values() if len(value) > 7}
    site.desk.ask()
    site.browser("admin")
    with statements(site.house.store.engine) as found:
        texts = [site.get("admin", path).text for path in ("/", *READABLE, f"/admin/accounts/{site.desk.uid('operator')}")]

    assert not any(mark in text for mark in marks for text in texts)
    assert "ada daftar" in plain(site.get("admin", "/admin/offices"))
    touching = [one for one in found if re.search(r"\b(?:FROM|JOIN) (?:voter|voter_key|nik_index|quarantine)\b", one)]
    assert touching and all("EXISTS (SELECT voter.kab" in one for one in touching)
    assert not any(re.search(r"voter\.c\d\d|voter_key|nik_index|quarantine", one) for one in found)
    for path in ("/voters", "/voters/51.71-" + "a" * 26, "/intake", "/requests"):
        assert site.get("admin", path).status_code == 403, path


def test_the_home_page_says_what_waits(site: Site) -> None:
    """Confirmations for who can give them, lapsed invitations and bad health for the administrator."""
    assert "Konfirmasi menunggu" not in plain(site.get("officer", "/"))
    site.desk.ask()
    site.desk.join("late", Role.KPU_KAB, "kpu-51.71", enrolled=False)

    assert "1 permintaan atur ulang autentikator menunggu Anda" in plain(site.get("officer", "/"))
    assert "Konfirmasi menunggu" not in plain(site.get("admin", "/"))
    site.house.clock.move(hours=73)
    site.browsers.clear()
    page = plain(site.get("admin", "/"))
    assert "1 undangan tidak dipakai dalam 72 jam" in page
    assert "Undang orang" in page
    assert len(directory.people(site.desk.identity, Sought(state=directory.State.LAPSED), site.desk.now)[0]) == 1


def test_every_change_of_the_desk_has_its_word_in_the_log(site: Site) -> None:
    """Whoever did it finds it under their own activity."""
    accounts.end_sessions(site.desk.identity, site.desk.people["admin"], site.desk.uid("operator"), site.desk.now)
    invited(site)
    page = plain(site.get("admin", "/me/activity"))

    assert "Membuat akun" in page
    assert {one.value for one in Action if one.value.startswith("account:")} == {
        "account:create", "account:enrol", "account:reset", "account:disable", "account:password",
    }  # fmt: skip
    assert {unit.value for unit in Unit} == {"data", "hukum", "keamanan", "pengawasan"}
