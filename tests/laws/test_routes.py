"""Every route is known, closed unless it says otherwise, and no form works without its token."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.audit.tables import TrailEntry
from app.cli.shell import host_actor
from app.factory import House, web_app
from app.identity import accounts, gate, totp
from app.identity.passwords import Hasher
from app.kernel.fields import Role

READERS = ("bawaslu_kab", "bawaslu_prov", "bawaslu_ri", "kpu_kab", "kpu_prov", "kpu_ri")
# Who may ask for a mandate, and who may be a party to a request.
ASKERS = ("bawaslu_kab", "bawaslu_prov", "bawaslu_ri", "kpu_kab", "pejabat_pdp")
PARTIES = (*ASKERS, "penyetuju", "petugas_keamanan")
EVERY = ()
OFFICER = ("petugas_keamanan",)
# Who keeps the list of witnesses.
KEEPERS = ("admin_sistem", "petugas_keamanan")
# endpoint, address, method, level, roles (none named: every role). A new route is written down here on purpose, or the build fails.
ROUTES = (
    ("admin.account", "/admin/accounts/<uid>", "GET", "full", ("admin_sistem", "petugas_keamanan")),
    ("admin.ask_reset", "/admin/accounts/<uid>/reset", "POST", "full", ("admin_sistem",)),
    ("admin.confirmations", "/admin/confirmations", "GET", "full", ("admin_sistem", "petugas_keamanan")),
    ("admin.decide", "/admin/confirmations/<uid>", "POST", "full", ("admin_sistem", "petugas_keamanan")),
    ("admin.disable", "/admin/accounts/<uid>/disable", "POST", "full", ("admin_sistem",)),
    ("admin.end_sessions", "/admin/accounts/<uid>/sessions", "POST", "full", ("admin_sistem",)),
    ("admin.health_page", "/admin/health", "GET", "full", ("admin_sistem",)),
    ("admin.invite", "/admin/accounts/new", "POST", "full", ("admin_sistem",)),
    ("admin.invite_again", "/admin/accounts/<uid>/invite", "POST", "full", ("admin_sistem",)),
    ("admin.invite_form", "/admin/accounts/new", "GET", "full", ("admin_sistem",)),
    ("admin.key_form", "/admin/keys/new", "GET", "full", ("admin_sistem",)),
    ("admin.key_list", "/admin/keys", "GET", "full", ("admin_sistem",)),
    ("admin.make_keys", "/admin/keys", "POST", "full", ("admin_sistem",)),
    ("admin.office_list", "/admin/offices", "GET", "full", ("admin_sistem",)),
    ("admin.people", "/admin/accounts", "GET", "full", ("admin_sistem", "petugas_keamanan")),
    ("admin.people_search", "/admin/accounts", "POST", "full", ("admin_sistem", "petugas_keamanan")),
    ("rotations.ask", "/admin/erasures", "POST", "full", ("admin_sistem", "petugas_keamanan")),
    ("rotations.begin", "/admin/rotations", "POST", "full", ("admin_sistem",)),
    ("rotations.decide", "/admin/erasures/<uid>", "POST", "full", ("admin_sistem", "petugas_keamanan")),
    ("rotations.erasures", "/admin/erasures", "GET", "full", ("admin_sistem", "petugas_keamanan")),
    ("rotations.hold", "/admin/rotations/<uid>", "POST", "full", ("admin_sistem",)),
    ("rotations.rotation_form", "/admin/keys/rotate", "GET", "full", ("admin_sistem",)),
    ("rotations.rotations", "/admin/rotations", "GET", "full", ("admin_sistem",)),
    ("rotations.show", "/admin/rotations/<uid>", "GET", "full", ("admin_sistem",)),
    ("backups.backup_list", "/admin/backups", "GET", "full", ("admin_sistem",)),
    ("backups.drill", "/admin/backups/<uid>", "POST", "full", ("admin_sistem",)),
    ("backups.drill_form", "/admin/backups/<uid>", "GET", "full", ("admin_sistem",)),
    ("backups.job", "/admin/backups/jobs/<uid>", "GET", "full", ("admin_sistem",)),
    ("backups.make", "/admin/backups", "POST", "full", ("admin_sistem",)),
    ("bootstrap.static", "/bootstrap/static/<path:filename>", "GET", "public", EVERY),
    ("correct.form", "/voters/<public_id>/correct/<element>", "GET", "full", ("kpu_kab",)),
    ("correct.history", "/voters/<public_id>/history", "GET", "full", ("kpu_kab",)),
    ("correct.save", "/voters/<public_id>/correct/<element>", "POST", "full", ("kpu_kab",)),
    ("guide.desk", "/help", "GET", "full", EVERY),
    ("guide.glossary", "/glossary", "GET", "public", EVERY),
    ("healthz", "/healthz", "GET", "public", EVERY),
    ("identity.enrol", "/enrol", "GET", "half", EVERY),
    ("identity.enrol_check", "/enrol", "POST", "half", EVERY),
    ("identity.home", "/", "GET", "full", EVERY),
    ("identity.language", "/lang", "POST", "public", EVERY),
    ("identity.login", "/login", "GET", "public", EVERY),
    ("identity.login_check", "/login", "POST", "public", EVERY),
    ("identity.logout", "/logout", "POST", "half", EVERY),
    ("identity.my_activity", "/me/activity", "GET", "full", EVERY),
    ("identity.my_receipt", "/me/activity/<seq>/receipt", "GET", "full", EVERY),
    ("identity.password", "/me/password", "GET", "full", EVERY),
    ("identity.password_check", "/me/password", "POST", "full", EVERY),
    ("identity.role", "/me/role", "POST", "full", EVERY),
    ("identity.step_up", "/step-up", "GET", "full", EVERY),
    ("identity.step_up_check", "/step-up", "POST", "full", EVERY),
    ("identity.totp_check", "/login/totp", "POST", "half", EVERY),
    ("identity.totp_form", "/login/totp", "GET", "half", EVERY),
    ("intake.again", "/intake/<uid>/again", "POST", "full", ("kpu_kab",)),
    ("intake.choose", "/intake/<uid>", "POST", "full", ("kpu_kab",)),
    ("intake.conflicts", "/intake/<uid>/conflicts.csv", "GET", "full", ("kpu_kab",)),
    ("intake.discard", "/intake/<uid>/discard", "POST", "full", ("kpu_kab",)),
    ("intake.index", "/intake", "GET", "full", ("kpu_kab",)),
    ("intake.quarantine", "/intake/<uid>/quarantine.csv", "GET", "full", ("kpu_kab",)),
    ("intake.show", "/intake/<uid>", "GET", "full", ("kpu_kab",)),
    ("intake.show_result", "/intake/<uid>/result", "GET", "full", ("kpu_kab",)),
    ("intake.undo_form", "/intake/<uid>/undo", "GET", "full", ("kpu_kab",)),
    ("intake.undo_load", "/intake/<uid>/undo", "POST", "full", ("kpu_kab",)),
    ("intake.upload", "/intake", "POST", "full", ("kpu_kab",)),
    ("mandates.decide", "/requests/<uid>/decide", "POST", "full", PARTIES),
    ("mandates.index", "/requests", "GET", "full", PARTIES),
    ("mandates.new", "/requests/new", "GET", "full", ASKERS),
    ("mandates.revoke", "/requests/<uid>/revoke", "POST", "full", PARTIES),
    ("mandates.show", "/requests/<uid>", "GET", "full", PARTIES),
    ("mandates.submit", "/requests/new", "POST", "full", ASKERS),
    ("mandates.withdraw", "/requests/<uid>/withdraw", "POST", "full", PARTIES),
    ("openlog.checkpoint", "/log/checkpoint", "GET", "public", EVERY),
    ("openlog.entries", "/log/tile/entries/<path:path>", "GET", "public", EVERY),
    ("openlog.key", "/log/key", "GET", "public", EVERY),
    ("openlog.policy", "/log/policy", "GET", "public", EVERY),
    ("openlog.proof", "/log/proof/<seq>", "GET", "public", EVERY),
    ("openlog.tile", "/log/tile/<level>/<path:path>", "GET", "public", EVERY),
    ("openlog_pages.approve", "/witnesses/<version>/approve", "POST", "full", KEEPERS),
    ("openlog_pages.end_form", "/mirrors/<uid>/end", "GET", "full", OFFICER),
    ("openlog_pages.end_token", "/mirrors/<uid>/end", "POST", "full", OFFICER),
    ("openlog_pages.make_token", "/mirrors", "POST", "full", OFFICER),
    ("openlog_pages.mirrors", "/mirrors", "GET", "full", OFFICER),
    ("openlog_pages.preview", "/witnesses/new", "POST", "full", KEEPERS),
    ("openlog_pages.propose", "/witnesses", "POST", "full", KEEPERS),
    ("openlog_pages.propose_form", "/witnesses/new", "GET", "full", KEEPERS),
    ("openlog_pages.public_log", "/log", "GET", "public", EVERY),
    ("openlog_pages.refuse", "/witnesses/<version>/refuse", "POST", "full", KEEPERS),
    ("openlog_pages.verifier", "/log/verifier", "GET", "public", EVERY),
    ("openlog_pages.verify", "/log/verify", "POST", "public", EVERY),
    ("openlog_pages.verify_form", "/log/verify", "GET", "public", EVERY),
    ("openlog_pages.witness_list", "/witnesses", "GET", "full", KEEPERS),
    ("oversight.activity", "/audit/activity", "GET", "full", OFFICER),
    ("oversight.ask", "/audit", "POST", "full", OFFICER),
    ("oversight.entry", "/audit/<seq>", "GET", "full", OFFICER),
    ("oversight.delete_view", "/audit/views/<uid>/delete", "POST", "full", OFFICER),
    ("oversight.export", "/audit/export", "POST", "full", OFFICER),
    ("oversight.export_again", "/audit/export/<uid>/again", "POST", "full", OFFICER),
    ("oversight.export_file", "/audit/export/<uid>/file", "GET", "full", OFFICER),
    ("oversight.export_job", "/audit/export/<uid>", "GET", "full", OFFICER),
    ("oversight.index", "/audit", "GET", "full", OFFICER),
    ("oversight.matrix", "/audit/matrix", "GET", "full", OFFICER),
    ("oversight.open_view", "/audit/views/<uid>", "GET", "full", OFFICER),
    ("oversight.prove", "/audit/<seq>/verify", "GET", "full", OFFICER),
    ("oversight.receipt", "/audit/<seq>/receipt", "GET", "full", OFFICER),
    ("oversight.rename_view", "/audit/views/<uid>", "POST", "full", OFFICER),
    ("oversight.restore_view", "/audit/views/<uid>/restore", "POST", "full", OFFICER),
    ("oversight.save_view", "/audit/views", "POST", "full", OFFICER),
    ("oversight.saved_views", "/audit/views", "GET", "full", OFFICER),
    ("oversight.verification", "/audit/verify/<uid>", "GET", "full", OFFICER),
    ("oversight.verifications", "/audit/verify", "GET", "full", OFFICER),
    ("oversight.verifier", "/audit/verifier", "GET", "full", OFFICER),
    ("oversight.verify", "/audit/verify", "POST", "full", OFFICER),
    ("oversight.verify_again", "/audit/verify/<uid>/again", "POST", "full", OFFICER),
    ("subjects.find", "/subjects", "POST", "full", ("pejabat_pdp",)),
    ("subjects.index", "/subjects", "GET", "full", ("pejabat_pdp",)),
    ("subjects.report", "/subjects/<public_id>/report.pdf", "GET", "full", ("pejabat_pdp",)),
    ("subjects.show", "/subjects/<public_id>", "GET", "full", ("pejabat_pdp",)),
    ("voters.choose", "/voters", "POST", "full", READERS),
    ("voters.search", "/voters/search", "POST", "full", READERS),
    ("voters.search_page", "/voters", "GET", "full", READERS),
    ("voters.voter", "/voters/<public_id>", "GET", "full", (*READERS, "pejabat_pdp")),
    ("web.static", "/assets/<path:filename>", "GET", "public", EVERY),
)
SEATS = {
    "kpu_kab": "kpu-51.71",
    "kpu_prov": "kpu-51",
    "kpu_ri": "kpu-00",
    "bawaslu_kab": "bawaslu-51.71",
    "bawaslu_prov": "bawaslu-51",
    "bawaslu_ri": "bawaslu-00",
    "penyetuju": "kpu-51.71",
    "petugas_keamanan": "kpu-00",
    "pejabat_pdp": "kpu-00",
    "admin_sistem": "kpu-00",
}
PASSWORD = "kuda lumping naik tangga 77"
SAMPLES = {
    "public_id": "51.71-" + "a" * 26,
    "seq": "0",
    "filename": "gardu.css",
    "element": "alamat",
    "uid": "a" * 26,
    "version": "1",
    "level": "0",
    "path": "000",
}


@dataclass(frozen=True)
class Site:
    """The application over a fresh installation with cheap password hashes."""

    house: House
    app: Flask

    def join(self, role: str, *, must_change: bool = False, enrolled: bool = True) -> tuple[str, str]:
        """Make an account of *role*; return its username and authenticator secret."""
        identity, now = self.house.identity, self.house.clock.now()
        name = f"uji.{role}{'.baru' if must_change else ''}{'' if enrolled else '.polos'}".replace("_", "-")
        uid, _ = accounts.create(
            identity, host_actor(), username=name, name="Orang Uji", office=SEATS[role], unit="data", roles=[role], now=now,
            password=PASSWORD, must_change=must_change,
        )  # fmt: skip
        return name, accounts.enrol_by_hand(identity, host_actor(), uid, now) if enrolled else ""

    def half(self, username: str) -> FlaskClient:
        """Return a browser in which the password was given."""
        browser = self.app.test_client()
        sent = browser.post("/login", data={"username": username, "password": PASSWORD, "csrf_token": token(browser, "/login")})
        assert sent.status_code == 303, sent.text
        return browser

    def full(self, username: str, secret: str) -> FlaskClient:
        """Return a browser in which the code was given too."""
        browser = self.half(username)
        code = totp.code_at(secret, totp.step_at(self.house.clock.now()))
        sent = browser.post("/login/totp", data={"code": code, "csrf_token": token(browser, "/login/totp")})
        assert sent.status_code == 303, sent.text
        return browser

    def entries(self) -> int:
        """Return how many entries the log has."""
        with self.house.store.reading() as session:
            return session.scalar(select(func.count()).select_from(TrailEntry)) or 0


def token(browser: FlaskClient, page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', browser.get(page).text)
    assert found, page
    return found[1]


def address(rule: str) -> str:
    """Return an address that *rule* matches."""
    return re.sub(r"<(?:[^:>]+:)?(\w+)>", lambda found: SAMPLES[found[1]], rule)


def guarded() -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """Yield address, method, level and roles of every route that is not public."""
    for _, rule, method, level, roles in ROUTES:
        if level != "public":
            yield address(rule), method, level, roles


@pytest.fixture
def site(sqlite_house: House) -> Site:
    identity = replace(sqlite_house.identity, hasher=Hasher(memory_kib=8, passes=1, lanes=1))
    house = replace(sqlite_house, identity=identity)
    return Site(house, web_app(house))


def test_the_list_of_routes_is_pinned(site: Site) -> None:
    """No route appears, disappears, or changes whom it lets in without this file saying so."""
    found = [
        (rule.endpoint, re.sub(r"<int\([^)]*\):", "<", rule.rule), method, access.level.value, tuple(sorted(access.roles or ())))
        for rule in site.app.url_map.iter_rules()
        for access in [gate.access_of(site.app, rule.endpoint)]
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]

    assert sorted(found) == sorted(ROUTES)


def test_a_stranger_is_led_to_the_login_page(site: Site) -> None:
    """Nothing but a redirect: no page, no difference between what exists and what does not."""
    for path, method, _, _ in guarded():
        answer = site.app.test_client().open(path, method=method)

        assert answer.status_code == 303, (method, path)
        assert answer.location.startswith("/login?next=/"), (method, path, answer.location)


def test_a_strangers_program_is_told_401(site: Site) -> None:
    """Who asks for JSON gets a problem document instead of a login page."""
    for path, method, _, _ in guarded():
        answer = site.app.test_client().open(path, method=method, headers={"Accept": "application/json"})

        assert (answer.status_code, answer.mimetype) == (401, "application/problem+json"), (method, path)
        assert answer.get_json(force=True)["code"] == "sign-in-needed"


def test_a_stranger_leaves_no_entry_and_moves_nothing(site: Site) -> None:
    """Knocking on closed doors writes nothing into the log."""
    before = site.entries()

    for path, method, _, _ in guarded():
        site.app.test_client().open(path, method=method)

    assert site.entries() == before


def test_a_password_alone_opens_no_page(site: Site) -> None:
    """While the code is owed, every page leads to the second step."""
    username, _ = site.join("kpu_kab")
    plain, _ = site.join("kpu_kab", enrolled=False)
    for who, step in ((username, "/login/totp"), (plain, "/enrol")):
        browser = site.half(who)
        for path, method, level, _ in guarded():
            if level == "full":
                answer = browser.open(path, method=method)

                assert (answer.status_code, answer.location) == (303, step), (method, path)


def test_a_one_time_password_opens_only_its_change(site: Site) -> None:
    """A person with a password from the administrator changes it before anything else."""
    browser = site.full(*site.join("kpu_kab", must_change=True))

    for path, method, level, _ in guarded():
        if level == "full" and path != "/me/password":
            answer = browser.open(path, method=method)

            assert (answer.status_code, answer.location) == (303, "/me/password"), (method, path)


def test_every_role_outside_a_routes_list_gets_403(site: Site) -> None:
    """And every role inside it does not; no refusal depends on what was asked for."""
    assert sorted(SEATS) == sorted(role.value for role in Role if role is not Role.PROSES)
    for role in SEATS:
        browser = site.full(*site.join(role))
        for path, method, level, roles in guarded():
            if level == "full":
                answer = browser.open(path, method=method)

                assert (answer.status_code == 403) == bool(roles and role not in roles), (role, method, path, answer.status_code)


def sender(roles: tuple[str, ...]) -> str:
    """Return a role whose form a route is: the operator's where it may, else the first that may."""
    return "kpu_kab" if not roles or "kpu_kab" in roles else roles[0]


def senders(site: Site) -> dict[str, FlaskClient]:
    """Return a signed-in browser of every role that sends some form."""
    return {role: site.full(*site.join(role)) for role in sorted({sender(roles) for _, _, method, _, roles in ROUTES if method == "POST"})}


@pytest.mark.parametrize("sent", [{}, {"csrf_token": ""}, {"csrf_token": "A" * 43}], ids=["none", "empty", "foreign"])
def test_no_form_works_without_its_token(site: Site, sent: dict[str, str]) -> None:
    """Every POST route refuses, signed in or not, and says that the form has expired."""
    stranger, members = site.app.test_client(), senders(site)
    before = site.entries()
    for _, rule, method, level, roles in ROUTES:
        if method != "POST":
            continue
        member = members[sender(roles)]
        for browser in (member, stranger) if level == "public" else (member,):
            answer = browser.post(address(rule), data=sent, headers={"Accept": "application/json"})

            assert answer.status_code == 400, rule
            assert answer.get_json(force=True)["code"] == "form-expired", rule
    assert site.entries() == before
    assert all(member.get("/").status_code == 200 for member in members.values())


def test_no_form_of_another_site_works_even_with_the_token(site: Site) -> None:
    """The token may leak; what the browser says about the sender still refuses."""
    members = senders(site)
    own = {role: token(member, "/me/password") for role, member in members.items()}
    for lie in ({"Origin": "https://jahat.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        for _, rule, method, _, roles in ROUTES:
            if method == "POST":
                role = sender(roles)
                answer = members[role].post(address(rule), data={"csrf_token": own[role]}, headers=lie)

                assert answer.status_code == 400, (rule, lie)
    assert all(member.get("/").status_code == 200 for member in members.values())


def test_a_token_of_another_session_is_worth_nothing(site: Site) -> None:
    """A form from before the login, or from somebody else's session, is refused."""
    stranger = site.app.test_client()
    old = token(stranger, "/login")
    other = token(site.full(*site.join("kpu_prov")), "/")
    member = site.full(*site.join("kpu_kab"))

    for foreign in (old, other):
        assert member.post("/logout", data={"csrf_token": foreign}).status_code == 400
    assert member.get("/").status_code == 200


def test_no_method_that_is_not_listed_is_answered(site: Site) -> None:
    """PUT, PATCH, DELETE and the other of GET and POST are refused."""
    member = site.full(*site.join("kpu_kab"))
    methods: dict[str, set[str]] = {}
    for _, rule, method, _, _ in ROUTES:
        methods.setdefault(rule, set()).add(method)
    for rule, known in methods.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - known:
            # GET /voters/search reads as a voter of that name, and there is none.
            refusal = 404 if (method, rule) == ("GET", "/voters/search") else 405
            assert member.open(address(rule), method=method).status_code == refusal, (method, rule)
