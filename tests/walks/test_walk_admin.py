"""The administrator invites somebody, who comes; has an authenticator reset by a second person; disables an account: sessions end."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from tests.sampling import sampled
from tests.walks.conftest import STEP, Person
from tests.walks.test_walk_look import speak, trouble
from tests.walks.test_walk_requests import tab_to

pytestmark = pytest.mark.browser
Visit = Callable[..., Person]
REASON = "Ponselnya hilang; sudah ditelepon di nomor kantor."
OWN = "perahu kertas tenggelam pelan 12"


class Hand:
    """Fills in forms and follows links: with the mouse, or with Tab, Space, arrows and Enter alone."""

    def __init__(self, person: Person, *, keys: bool) -> None:
        self.person, self.page, self.keys = person, person.page, keys

    def type(self, selector: str, text: str) -> None:
        if self.keys:
            tab_to(self.person, selector)
            self.page.keyboard.press("Control+A")
            self.page.keyboard.type(text)
        else:
            self.page.fill(selector, text)

    def tick(self, selector: str) -> None:
        if self.keys:
            tab_to(self.person, selector)
            self.page.keyboard.press("Space")
        else:
            # The label covers its whole box, so that a thumb need not aim.
            self.page.click(f"label[for='{self.page.locator(selector).get_attribute('id')}']")

    def choose(self, selector: str, label: str) -> None:
        if self.keys:
            tab_to(self.person, selector)
            self.page.keyboard.type(label)
        else:
            self.page.select_option(selector, label=label)

    def press(self, selector: str) -> int:
        """Press a button or follow a link; return the status of the page it leads to."""
        with self.page.expect_navigation() as led:
            if self.keys:
                tab_to(self.person, selector)
                self.page.keyboard.press("Enter")
            else:
                self.page.click(selector)
        return led.value.status if led.value else 0

    def text(self) -> str:
        return self.page.locator("main").inner_text()


def hand(person: Person, *, keys: bool) -> Hand:
    return Hand(person, keys=keys)


def code(person: Person, path: str) -> None:
    """Give a fresh code when the page asks for one."""
    person.goto(path)
    if "/step-up" not in person.page.url and not person.page.locator("main a[href^='/step-up']").count():
        return
    person.goto(f"/step-up?next={path}")
    person.page.fill("[name=code]", person.demo.code(person.username))
    with person.page.expect_navigation():
        person.page.click("main button[type=submit]")
    assert person.page.url == person.demo.url + path


def invite(admin: Hand, username: str) -> tuple[str, str]:
    """Invite an approver of Badung; return the account's address and the one-time password of the sheet."""
    code(admin.person, "/admin/accounts/new")
    admin.tick("[name=body][value=kpu]")
    admin.choose("[name=region]", admin.page.locator("option[value='51.03']").inner_text())
    assert admin.page.locator("[name=region]").input_value() == "51.03"
    assert admin.press("form[action='/admin/accounts/new'] button") == 200
    admin.type("[name=name]", "Komang Penyetuju")
    admin.type("[name=username]", username)
    admin.choose("[name=unit]", "Hukum")
    admin.tick("[name=roles][value=penyetuju]")
    assert admin.press("main form[method=post] button[type=submit]") == 200, admin.text()
    password = admin.page.locator("#sandi").inner_text()
    uid = admin.page.locator("[data-sheet]").get_attribute("data-sheet")
    return f"/admin/accounts/{uid}", password


def log_in(who: Hand, username: str, password: str) -> None:
    """Take the first step of a login."""
    who.person.goto("/login")
    if not who.page.evaluate("document.activeElement.name === 'username'"):
        who.page.focus("[name=username]")
    who.page.keyboard.type(username)
    who.page.keyboard.press("Tab")
    who.page.keyboard.type(password)
    with who.page.expect_navigation():
        who.page.keyboard.press("Enter")


def enrol(who: Hand) -> None:
    """Pair the authenticator that the page shows; its secret becomes the account's in the demo's list."""
    assert who.page.url.partition("?")[0] == who.person.demo.url + "/enrol", who.page.url
    secret = re.sub(r"\s", "", "".join(who.page.locator(".secret span").all_text_contents()))
    who.person.demo.account(who.person.username)["totp_secret"] = secret
    who.page.fill("[name=code]", who.person.demo.code(who.person.username))
    with who.page.expect_navigation():
        who.page.keyboard.press("Enter")


@pytest.mark.parametrize("keys", sampled([False, True], True), ids=["mouse", "keyboard, no scripts"])
def test_from_an_invitation_to_the_end_of_an_account(visit: Visit, keys: bool) -> None:
    """The sheet works once and for its person; a reset takes two; a disabled account is out at the next click."""
    admin = hand(visit("admin", java_script_enabled=not keys), keys=keys)
    username = f"komang.{'papan' if keys else 'tetikus'}"
    path, password = invite(admin, username)
    demo = admin.person.demo
    if username not in [one["username"] for one in demo.accounts]:
        demo.accounts.append({"username": username, "password": password, "totp_secret": ""})
    admin.person.goto(path)
    assert password not in admin.page.content()
    assert "undangan menunggu" in admin.text()

    person = hand(visit(username, log_in=False, java_script_enabled=not keys), keys=keys)
    log_in(person, username, password)
    enrol(person)
    assert person.page.url == demo.url + "/me/password"
    for name, value in (("current", password), ("new", OWN), ("again", OWN)):
        person.type(f"[name={name}]", value)
    assert person.press("main form button[type=submit]") == 200
    demo.account(username)["password"] = OWN
    assert person.person.goto("/requests") == 200
    thief = hand(visit("maling", log_in=False), keys=False)
    log_in(thief, username, password)
    assert thief.page.url.startswith(demo.url + "/login") and "salah" in thief.text()

    code(admin.person, path)
    admin.type("#f-reset", REASON)
    assert admin.press(f"form[action='{path}/reset'] button") == 200
    assert "menunggu konfirmasi" in admin.text().lower()
    code(admin.person, "/admin/confirmations")
    mine = admin.page.locator("section.ask", has_text=username)
    assert mine.locator("button[value=confirm]").count() == 0
    reset = (mine.locator("form").get_attribute("action") or "").rpartition("/")[2]
    assert alone(admin.person, reset) == 403
    assert person.person.goto("/requests") == 200

    officer = hand(visit("keamanan", java_script_enabled=not keys), keys=keys)
    officer.person.goto("/")
    assert officer.page.locator(".card-waits a[href='/admin/confirmations']").count() == 1
    code(officer.person, "/admin/confirmations")
    assert officer.press(f"form[action$='/{reset}'] button[value=confirm]") == 200
    assert "Autentikator dilepas" in officer.text()
    person.person.goto("/requests")
    assert person.page.url.startswith(demo.url + "/login?next=/requests")
    log_in(person, username, OWN)
    demo.taken.pop(username, None)
    wait_for_a_new_step()
    enrol(person)
    assert person.page.url == demo.url + "/"

    code(admin.person, path)
    admin.type("#f-disable", "Selesai bertugas di kantor ini.")
    assert admin.press(f"form[action='{path}/disable'] button") == 200
    assert "dinonaktifkan" in admin.text()
    person.person.goto("/requests")
    assert person.page.url.startswith(demo.url + "/login?next=/requests")
    log_in(person, username, OWN)
    assert "salah" in person.text()


def wait_for_a_new_step() -> None:
    """The step in which a code was used before the reset has gone by, so that the same six digits could not come up."""
    while time.time() % STEP > STEP - 2:
        time.sleep(0.5)


def alone(person: Person, reset: str) -> int:
    """Send the form of a confirmation by hand, in the session of who asked."""
    token = person.page.locator("[name=csrf_token]").first.get_attribute("value") or ""
    answer = person.context.request.post(
        f"{person.demo.url}/admin/confirmations/{reset}", form={"decision": "confirm", "csrf_token": token},
        headers={"Origin": person.demo.url}, max_redirects=0,
    )  # fmt: skip
    return answer.status


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "id"])
def test_no_page_of_the_desk_shuts_anybody_out(visit: Visit, language: str) -> None:
    """axe finds nothing on any page of the desk, filled and with mistakes, for the administrator and the officer."""
    admin, officer = visit("admin"), visit("keamanan")
    desk = hand(admin, keys=False)
    path, _ = invite(desk, f"komang.lihat.{language}")
    found = trouble(admin, "sheet")
    pdp = account_of(admin, "pdp")
    code(admin, pdp)
    assert admin.submit(reason="x") == 400
    found += trouble(admin, "mistake")
    code(admin, pdp)
    desk.type("#f-reset", REASON)
    desk.press(f"form[action='{pdp}/reset'] button")
    keepers = (
        "/", "/admin/accounts", "/admin/accounts?state=nonaktif", path, pdp, account_of(admin, "admin"), "/admin/confirmations", "/admin/offices",
        "/admin/keys", "/admin/health", "/admin/accounts/new", "/admin/accounts/new?body=kpu&region=51.71", "/admin/keys/new",
        "/admin/keys/new?region=51.01", "/admin/keys/new?region=51.71",
    )  # fmt: skip
    for person, pages in ((admin, keepers), (officer, ("/admin/accounts", pdp, "/admin/confirmations"))):
        code(person, "/admin/accounts/new" if person is admin else "/admin/confirmations")
        speak(person, language)
        for page in pages:
            assert person.goto(page) == 200, page
            found += trouble(person, f"{person.username} {language} {page}")
        speak(person, "id")
    code(officer, "/admin/confirmations")
    hand(officer, keys=False).press("section.ask:has-text('pdp') button[value=refuse]")

    assert found == []


def account_of(person: Person, username: str) -> str:
    """Return the address of somebody's account, found by the search."""
    person.goto("/admin/accounts")
    assert person.submit(q=username) == 200
    row = person.page.locator("tr", has=person.page.get_by_text(username, exact=True))
    return row.locator("a.open").get_attribute("href") or ""
