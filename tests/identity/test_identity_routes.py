"""The pages and the gate, walked by a browser's client over a small application with a real log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import identity_kit as kit
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from app.audit import query
from app.audit.trail import Trail
from app.identity import accounts, gate, routes
from app.identity.room import Card, Identity
from app.kernel.actor import Actor
from app.kernel.fields import Purpose, Role
from app.store.engine import Store
from app.web import pages

SITE = "https://gardu.example"
COOKIE = "__Host-gardu"
STEP = timedelta(seconds=30)


@dataclass
class Browser:
    """A client that fills in forms as a person would."""

    app: Flask
    client: FlaskClient
    identity: Identity

    def get(self, path: str) -> TestResponse:
        return self.client.get(path, base_url=SITE)

    def post(self, path: str, *, page: str = "/login", **fields: str) -> TestResponse:
        """Open *page* for its form's token, then send *fields* to *path*."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(page).text)
        assert found, page
        return self.client.post(path, base_url=SITE, data={**fields, "csrf_token": found[1]})

    def password(self, who: kit.Someone, **more: str) -> TestResponse:
        return self.post("/login", username=who.username, password=who.password, **more)

    def code(self, who: kit.Someone, **more: str) -> TestResponse:
        return self.post("/login/totp", page="/login/totp", code=who.code(self.identity.clock.now()), **more)

    def sign_in(self, who: kit.Someone) -> TestResponse:
        assert self.password(who).status_code == 303
        return self.code(who)

    def cookie(self) -> str | None:
        found = self.client.get_cookie(COOKIE, domain="gardu.example")
        return found.value if found else None

    def another(self) -> Browser:
        return Browser(self.app, self.app.test_client(), self.identity)

    def entries(self) -> list[tuple[str, str, str]]:
        """Return (actor, action, outcome) of every entry in the log, oldest first."""
        with self.identity.store.reading() as session:
            rows = session.execute(text("SELECT actor, action, outcome FROM trail_entry ORDER BY seq"))
            return [(row.actor, row.action, row.outcome) for row in rows]


def cards(actor: Actor) -> list[Card]:
    return [Card("/probe", f"Tugas {actor.role.value}")]


def application(identity: Identity) -> Flask:
    app = Flask("app.web", static_folder=None)
    app.config.update(GARDU_CSRF_KEY=bytes(32))
    pages.install(app, demo=False, public_origin=SITE, clock=identity.clock)
    routes.install(app, identity)
    app.add_url_rule("/probe", "probe", lambda: gate.current_actor().uid)
    app.add_url_rule("/admin-only", "admin_only", gate.roles(Role.ADMIN_SISTEM)(lambda: "admin"))
    app.add_url_rule("/open", "open", gate.public(lambda: "open"))
    app.add_url_rule("/task/<purpose>", "task", lambda purpose: str(gate.choose_task(Purpose(purpose)).factor_purpose))
    return app


@pytest.fixture
def log(plain_store: Store) -> Iterator[Trail]:
    trail = kit.real_trail(plain_store)
    yield trail
    trail.close()


@pytest.fixture
def browser(plain_store: Store, log: Trail, clock: kit.HandClock) -> Browser:
    identity = kit.identity_on(plain_store, log, clock, cards=cards)
    app = application(identity)
    return Browser(app, app.test_client(), identity)


# ---- signing in ----


def test_a_person_signs_in_and_lands_where_they_wanted(browser: Browser) -> None:
    who = kit.someone(browser.identity)
    first = browser.password(who, next="/me/activity")
    assert first.location == "/login/totp?next=/me/activity"

    second = browser.code(who, next="/me/activity")

    assert (second.status_code, second.location) == (303, "/me/activity")
    assert browser.get("/probe").text == who.uid
    assert "Tugas kpu_kab" in browser.get("/").text
    assert browser.entries()[-2:] == [(who.uid, "session:login", "intent"), (who.uid, "session:login", "allowed")]


def test_the_cookie_is_bound_to_host_https_and_http(browser: Browser) -> None:
    response = browser.password(kit.someone(browser.identity))

    cookie = next(value for value in response.headers.getlist("Set-Cookie") if value.startswith(COOKIE + "="))
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= {part.strip() for part in cookie.split(";")}
    assert "Domain" not in cookie and "Max-Age" not in cookie and "Expires" not in cookie


def test_a_demo_on_loopback_has_a_plain_cookie(plain_store: Store, log: Trail, clock: kit.HandClock) -> None:
    """Over plain http no browser keeps a __Host- cookie."""
    identity = kit.identity_on(plain_store, log, clock, secure_cookies=False, public_origin="http://127.0.0.1:8000")
    app = Flask("app.web", static_folder=None)
    app.config.update(GARDU_CSRF_KEY=bytes(32))
    pages.install(app, demo=True, public_origin="http://127.0.0.1:8000", clock=clock)
    routes.install(app, identity)
    who, client = kit.someone(identity), app.test_client()
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/login").text)
    assert token

    response = client.post("/login", data={"csrf_token": token[1], "username": who.username, "password": who.password})

    cookie = next(value for value in response.headers.getlist("Set-Cookie") if value.startswith("gardu="))
    assert "HttpOnly" in cookie and "Secure" not in cookie


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/\nX: y"])
def test_nobody_is_sent_to_another_site(browser: Browser, target: str) -> None:
    who = kit.someone(browser.identity)
    assert browser.password(who, next=target).location == "/login/totp?next=/"

    assert browser.code(who, next=target).location == "/"


def test_a_wrong_password_shows_the_page_again(browser: Browser) -> None:
    """With what is wrong, the name typed, no password, and no session."""
    who = kit.someone(browser.identity)
    response = browser.post("/login", username=who.username, password="bukan kata sandi ini")

    assert response.status_code == 400
    assert "Nama pengguna atau kata sandi salah." in response.text
    assert f'value="{who.username}"' in response.text and "bukan kata sandi ini" not in response.text
    assert browser.cookie() is None
    assert browser.entries()[-1] == (who.uid, "session:login", "failed")


def test_a_typed_name_cannot_become_markup(browser: Browser) -> None:
    response = browser.post("/login", username='"><script>alert(1)</script>', password="x")

    assert "<script" not in response.text
    assert browser.entries()[-1] == ("unknown", "session:login", "failed")


def test_a_wrong_code_shows_the_servers_clock_when_that_is_why(browser: Browser, clock: kit.HandClock) -> None:
    who = kit.someone(browser.identity)
    browser.password(who)

    late = browser.post("/login/totp", page="/login/totp", code=who.code(clock.now() - timedelta(minutes=6)))
    wrong = browser.post("/login/totp", page="/login/totp", code=who.wrong(clock.now()))

    assert (late.status_code, wrong.status_code) == (400, 400)
    assert "terlambat sekitar 6 menit" in late.text and "Jam sistem ini" in late.text
    assert "sekitar" not in wrong.text
    assert browser.get("/probe").location == "/login/totp"


def test_the_same_code_twice_is_refused(browser: Browser) -> None:
    who = kit.someone(browser.identity)
    browser.sign_in(who)
    other = browser.another()
    other.password(who)

    response = other.code(who)

    assert response.status_code == 400
    assert other.get("/probe").location == "/login/totp"


def test_too_many_wrong_codes_say_how_long_to_wait(browser: Browser, clock: kit.HandClock) -> None:
    who = kit.someone(browser.identity)
    browser.password(who)
    for _ in range(5):
        browser.post("/login/totp", page="/login/totp", code=who.wrong(clock.now()))

    response = browser.code(who)

    assert response.status_code == 429
    assert 0 < int(response.headers["Retry-After"]) <= 360


def test_a_planted_cookie_is_never_the_session(browser: Browser) -> None:
    """Whatever the browser held before, login gives a new secret, and the code another one."""
    who = kit.someone(browser.identity)
    planted = "A" * 43
    browser.client.set_cookie(COOKIE, planted, domain="gardu.example")
    browser.password(who)
    half = browser.cookie()
    browser.code(who)

    assert len({planted, half, browser.cookie()}) == 3
    thief = browser.another()
    for secret in (planted, half):
        thief.client.set_cookie(COOKIE, str(secret), domain="gardu.example")
        assert thief.get("/probe").status_code == 303


def test_whoever_is_signed_in_needs_no_login_page(browser: Browser) -> None:
    browser.sign_in(kit.someone(browser.identity))

    assert [browser.get(path).location for path in ("/login", "/login/totp", "/enrol")] == ["/", "/", "/"]


def test_an_expired_session_says_so(browser: Browser, clock: kit.HandClock) -> None:
    browser.sign_in(kit.someone(browser.identity))
    clock.forward(minutes=16)

    response = browser.get("/me/activity")

    assert response.location == "/login?next=/me/activity&expired=1"
    assert "Sesi Anda sudah berakhir" in browser.get(response.location).text


def test_while_the_log_is_closed_nobody_signs_in(browser: Browser, log: Trail) -> None:
    """Right or wrong, the answer is 503 and the page says why; nothing is learned and no cookie given."""
    who = kit.someone(browser.identity)
    with browser.identity.store.writing() as session:
        session.connection().exec_driver_sql("CREATE TRIGGER full BEFORE INSERT ON trail_entry BEGIN SELECT RAISE(ABORT, 'disk full'); END")

    answers = [browser.post("/login", username=who.username, password=one) for one in (who.password, "wrong wrong wrong")]

    assert [answer.status_code for answer in answers] == [503, 503]
    assert "Jejak audit sedang tidak dapat ditulis" in answers[0].text
    assert browser.cookie() is None


# ---- enrolment and the one-time password ----


def test_a_first_login_enrols_and_changes_the_password(browser: Browser, clock: kit.HandClock) -> None:
    """One-time password, QR code, first code, then nothing but the page for a new password."""
    who = kit.someone(browser.identity, enrolled=False, must_change=True)
    browser.password(who)
    assert browser.get("/probe").location == "/enrol" == browser.get("/login/totp").location
    page = browser.get("/enrol").text
    secret = "".join(re.findall(r"<span>([A-Z2-7]{4})</span>", page))
    assert "data:image/svg+xml" in page and len(secret) == 32
    who.secret = secret

    assert browser.post("/enrol", page="/enrol", code=who.wrong(clock.now())).status_code == 400
    assert browser.post("/enrol", page="/enrol", code=who.code(clock.now())).location == "/"

    assert [browser.get(path).location for path in ("/", "/probe", "/me/activity", "/step-up")] == ["/me/password"] * 4
    assert "Kata sandi sementara" in browser.get("/me/password").text
    fields = {"current": who.password, "new": kit.OTHER_PASSWORD, "again": kit.OTHER_PASSWORD}
    assert browser.post("/me/password", page="/me/password", **fields).location == "/"
    assert browser.get("/probe").text == who.uid
    assert [entry[1:] for entry in browser.entries()[-3:]] == [
        ("account:enrol", "done"),
        ("session:login", "allowed"),
        ("account:password", "done"),
    ]


def test_a_refused_new_password_says_why_and_echoes_nothing(browser: Browser) -> None:
    who = kit.someone(browser.identity)
    browser.sign_in(who)

    response = browser.post("/me/password", page="/me/password", current=who.password, new="pendek sekali", again="pendek sekali")

    assert response.status_code == 400
    assert "Kata sandi terlalu pendek" in response.text and "pendek sekali" not in response.text


def test_an_enrolled_half_session_cannot_enrol_anew(browser: Browser) -> None:
    """With the password alone nobody swaps the authenticator."""
    who = kit.someone(browser.identity)
    browser.password(who)

    assert browser.get("/enrol").location == "/login/totp"
    assert browser.post("/enrol", page="/login/totp", code="123456").location == "/login/totp"


# ---- the gate ----


def test_every_page_refuses_the_anonymous_unless_it_is_public(browser: Browser) -> None:
    """The public ones are pinned here; a new page is closed until it is named."""
    opened = set()
    for rule in browser.app.url_map.iter_rules():
        if gate.access_of(browser.app, rule.endpoint).level is gate.Level.PUBLIC:
            opened.add(rule.endpoint)
            continue
        values = {"seq": 1, "purpose": "audit", "filename": "x"}
        with browser.app.test_request_context(base_url=SITE):
            path = browser.app.url_map.bind("gardu.example").build(rule.endpoint, {name: values[name] for name in rule.arguments})
        for method in (rule.methods or set()) & {"GET", "HEAD", "POST", "OPTIONS"}:
            response = browser.another().client.open(path, method=method, base_url=SITE)
            assert response.status_code == 303 and str(response.location).startswith("/login?"), (rule, method)

    assert opened == {"identity.login", "identity.login_check", "identity.language", "open", "web.static", "bootstrap.static"}


def test_a_half_session_opens_only_its_second_step(browser: Browser) -> None:
    browser.password(kit.someone(browser.identity))
    for rule in browser.app.url_map.iter_rules():
        if gate.access_of(browser.app, rule.endpoint).level is gate.Level.FULL and "GET" in (rule.methods or set()) and not rule.arguments:
            assert browser.get(rule.rule).location == "/login/totp", rule


def test_a_page_for_other_roles_is_refused(browser: Browser) -> None:
    browser.sign_in(kit.someone(browser.identity))
    admin = browser.another()
    admin.sign_in(kit.someone(browser.identity, "kepala", office="kpu-00", roles=["admin_sistem"]))

    assert (browser.get("/admin-only").status_code, admin.get("/admin-only").text) == (403, "admin")


def test_an_address_that_is_no_page_is_404_for_everybody(browser: Browser) -> None:
    who = kit.someone(browser.identity)
    assert browser.get("/tidak/ada").status_code == 404
    browser.sign_in(who)

    assert browser.get("/tidak/ada").status_code == 404


def test_a_disabled_account_is_out_with_its_next_page(browser: Browser, clock: kit.HandClock) -> None:
    who = kit.someone(browser.identity)
    browser.sign_in(who)
    accounts.disable(browser.identity, kit.KEEPER, who.uid, clock.now())

    assert str(browser.get("/probe").location).endswith("expired=1")


def test_a_form_without_its_token_changes_nothing(browser: Browser) -> None:
    """The token is the session's: a form from before the login is refused after it."""
    who = kit.someone(browser.identity)
    before = re.search(r'name="csrf_token" value="([^"]+)"', browser.get("/login").text)
    assert before
    browser.sign_in(who)

    for token in ("", before[1]):
        assert browser.client.post("/logout", base_url=SITE, data={"csrf_token": token}).status_code == 400
    assert browser.get("/probe").status_code == 200


# ---- staying and leaving ----


def test_a_step_up_is_bound_to_the_task_and_renews_the_session(browser: Browser, clock: kit.HandClock) -> None:
    who = kit.someone(browser.identity)
    browser.sign_in(who)
    assert browser.get("/task/pemutakhiran").text == "pemutakhiran"
    assert browser.get("/task/sengketa").text == "pemutakhiran"
    assert "Penyelesaian sengketa" in browser.get("/step-up?next=/probe").text
    before = browser.cookie()
    clock.forward(minutes=1)

    response = browser.post("/step-up", page="/step-up", code=who.code(clock.now()), next="/probe")

    assert response.location == "/probe"
    assert browser.cookie() != before
    assert browser.get("/task/sengketa").text == "sengketa"
    assert browser.entries()[-1] == (who.uid, "session:stepup", "allowed")


def test_a_wrong_code_steps_nobody_up(browser: Browser, clock: kit.HandClock) -> None:
    who = kit.someone(browser.identity)
    browser.sign_in(who)

    response = browser.post("/step-up", page="/step-up", code=who.code(clock.now()), next="/probe")

    assert response.status_code == 400 and 'value="/probe"' in response.text
    assert browser.entries()[-1] == (who.uid, "session:stepup", "failed")


def test_leaving_clears_the_browser(browser: Browser) -> None:
    who = kit.someone(browser.identity)
    browser.sign_in(who)
    secret = browser.cookie()

    response = browser.post("/logout", page="/")

    assert response.location == "/login?notice=logout"
    assert response.headers["Clear-Site-Data"] == '"cache", "cookies", "storage"'
    assert browser.cookie() is None
    assert "Anda sudah keluar" in browser.get(response.location).text
    browser.client.set_cookie(COOKIE, str(secret), domain="gardu.example")
    assert browser.get("/probe").status_code == 303
    assert browser.entries()[-1] == (who.uid, "session:logout", "done")


def test_a_language_is_kept_in_browser_and_account(browser: Browser) -> None:
    who = kit.someone(browser.identity)
    assert browser.post("/lang", lang="en", next="/login").location == "/login"
    assert 'lang="en"' in browser.get("/login").text
    browser.sign_in(who)
    assert 'lang="id"' in browser.get("/").text

    browser.post("/lang", page="/", lang="en", next="/")

    assert 'lang="en"' in browser.get("/").text
    assert browser.post("/lang", page="/", lang="xx", next="/").status_code == 400


def test_another_role_is_a_new_session(browser: Browser) -> None:
    who = kit.someone(browser.identity, roles=["kpu_kab", "penyetuju"])
    browser.sign_in(who)
    before = browser.cookie()

    assert browser.post("/me/role", page="/", role="penyetuju").location == "/"

    assert browser.cookie() != before
    assert "Tugas penyetuju" in browser.get("/").text
    assert [browser.post("/me/role", page="/", role=role).status_code for role in ("admin_sistem", "raja")] == [403, 403]


# ---- one's own activity ----


def test_everybody_reads_their_own_activity_and_the_reading_is_recorded(browser: Browser) -> None:
    one, other = kit.someone(browser.identity), kit.someone(browser.identity, "lain")
    browser.another().sign_in(other)
    browser.sign_in(one)

    page = browser.get("/me/activity").text

    assert page.count("/receipt") == 2
    assert "Masuk" in page and "dimulai" in page and "diizinkan" in page
    assert browser.entries()[-1] == (one.uid, "trail:read", "allowed")


def test_activity_is_paged_by_a_cursor(browser: Browser) -> None:
    who = kit.someone(browser.identity)
    browser.sign_in(who)
    for _ in range(4):
        browser.get("/me/activity")

    page = browser.get("/me/activity?limit=2").text
    following = re.search(r"/me/activity\?before=(\d+)", page)
    assert following

    older = browser.get(f"/me/activity?before={following[1]}&limit=100").text
    seen = {int(seq) for seq in re.findall(r"/me/activity/(\d+)/receipt", page)}
    rest = {int(seq) for seq in re.findall(r"/me/activity/(\d+)/receipt", older)}
    assert len(seen) == 2 and rest and max(rest) < min(seen)
    assert [
        browser.get(f"/me/activity?{bad}").status_code
        for bad in ("limit=101", "limit=0", "before=-1", "before=x", "limit=9999999999999999")
    ] == [400] * 5


def test_a_receipt_is_handed_out_for_ones_own_entries_only(browser: Browser) -> None:
    """Another's and a missing one give one answer, and the attempt is recorded."""
    one, other = kit.someone(browser.identity), kit.someone(browser.identity, "lain")
    browser.another().sign_in(other)
    browser.sign_in(one)
    identity = browser.identity
    mine = query.by_actor(identity.store, identity.log, one.uid)[0]
    theirs = query.by_actor(identity.store, identity.log, other.uid)[0]

    response = browser.get(f"/me/activity/{mine.seq}/receipt")

    assert response.mimetype == "text/plain"
    assert response.headers["Content-Disposition"] == f'attachment; filename="gardu-{mine.seq}.tlog-proof"'
    assert response.text.startswith("c2sp.org/tlog-proof@v1\n")
    assert browser.entries()[-1] == (one.uid, "trail:read", "allowed")
    for seq in (theirs.seq, 10**6, 2**53 - 1):
        refused = browser.get(f"/me/activity/{seq}/receipt")
        assert refused.status_code == 404
        assert browser.entries()[-1] == (one.uid, "trail:read", "denied")
    assert browser.get(f"/me/activity/{2**70}/receipt").status_code == 404


def test_nothing_typed_or_personal_reaches_addresses_or_the_request_log(browser: Browser, capsys: pytest.CaptureFixture[str]) -> None:
    who = kit.someone(browser.identity)
    browser.sign_in(who)
    browser.get("/me/activity")
    browser.post("/logout", page="/")

    said = capsys.readouterr()
    for value in (who.username, who.password, who.secret, "Widiasih"):
        assert value not in said.out + said.err
