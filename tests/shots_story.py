"""What `make shot` walks through: who, what has happened in the demo, and an example for every address."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyotp
from playwright.sync_api import BrowserContext

from app.kernel.fields import Role
from tests.walks.conftest import Demo, Person
from tests.walks.test_walk_admin import code
from tests.walks.test_walk_backup import backed_up, drilled
from tests.walks.test_walk_intake import load, send, synthetic
from tests.walks.test_walk_requests import approve, ask

# One account of the demo for each role.
ROLES: Mapping[str, str] = {
    Role.KPU_KAB.value: "operator.denpasar",
    Role.BAWASLU_KAB.value: "bawaslu.denpasar",
    Role.PENYETUJU.value: "penyetuju.data1",
    Role.PEJABAT_PDP.value: "pdp",
    Role.ADMIN_SISTEM.value: "admin",
    Role.PETUGAS_KEAMANAN.value: "keamanan",
    Role.KPU_PROV.value: "kpu.bali",
    Role.KPU_RI.value: "kpu.pusat",
    Role.BAWASLU_PROV.value: "bawaslu.bali",
    Role.BAWASLU_RI.value: "bawaslu.pusat",
}
KAB = "51.71"
DESA, TPS = "51.71.01.1001", "1"
# An administrator's code counts for five minutes; nobody else's session may be older than fifteen minutes without a visit.
STALE = {Role.ADMIN_SISTEM.value: 150}
Examples = Mapping[str, Mapping[str, str]]
# What a page is without a parameter.
PLAIN: Examples = {"": {}}


class Story:
    """The people at their browsers, and what they have done."""

    def __init__(self, demo: Demo, context: Callable[[], BrowserContext]) -> None:
        self.demo, self.context = demo, context
        self.folder = Path(tempfile.mkdtemp(dir=demo.data))
        # Filled in by ``prepare``; whether every address has an example is asked before.
        self.samples = {"element": "alamat", "seq": "40"}
        self.samples |= dict.fromkeys(("public_id", "account", "verification", "backup", "made", "drilled", "rotation"), "")
        self.requests = dict.fromkeys(("submitted", "half", "active", "refused", "subject"), "")
        self.uploads = dict.fromkeys(("load", "waiting", "used"), "")
        self.passwords: dict[str, str] = {}
        self._people: dict[str, tuple[Person, float]] = {}
        self._files = 90

    def person(self, role: str) -> Person:
        """Return who holds *role*, logged in once, or again when the session has become too old."""
        return self._named(ROLES[role], STALE.get(role, 600))

    def goto(self, person: Person, path: str) -> int:
        """Open *path*, with a fresh code first when the page demands one; return its status."""
        status = person.goto(path)
        if person.page.url.startswith(f"{self.demo.url}/step-up?"):
            person.submit(code=self.demo.code(person.username))
            status = person.goto(path)
        return status

    def newcomer(self) -> Person:
        """Return somebody who is not logged in, with a browser of their own."""
        context = self.context()
        return Person(self.demo, "nobody", context, context.new_page())

    def _named(self, username: str, stale: int = 600) -> Person:
        known = self._people.get(username)
        if known is None or time.monotonic() - known[1] > stale:
            context = self.context()
            person = Person(self.demo, username, context, context.new_page())
            person.log_in()
            self._people[username] = (person, time.monotonic())
        return self._people[username][0]

    # ---- (3) what has happened ----

    def prepare(self) -> None:
        """Let requests, loads, a correction and a reset happen."""
        self._voter()
        self._requests()
        self._subject()
        self._correction()
        self._loads()
        self._reset()
        self._verification()
        self._backup()
        self._rotation()
        self._views()

    def _voter(self) -> None:
        person = self.person("kpu_kab")
        person.goto("/voters")
        assert person.submit(desa=DESA, tps=TPS) == 200
        self.samples["public_id"] = (person.page.locator("a.open").first.get_attribute("href") or "").removeprefix("/voters/")

    def _requests(self) -> None:
        liaison, data, law = self.person("bawaslu_kab"), self.person("penyetuju"), self._named("penyetuju.hukum")
        for number, state in enumerate(("refused", "active", "half", "submitted"), start=1):
            liaison.goto(f"/requests/new?region={KAB}.0{number}&elements=nik")
            self.requests[state] = ask(liaison, f"{KAB}.0{number}").rpartition("/")[2]
        approve(data, f"/requests/{self.requests['active']}")
        approve(law, f"/requests/{self.requests['active']}")
        approve(data, f"/requests/{self.requests['half']}")
        law.goto(f"/requests/{self.requests['refused']}")
        law.page.fill("#f-refuse-reason", "Wilayahnya terlalu luas; mohon ajukan lagi untuk satu desa.")
        with law.page.expect_navigation():
            law.page.locator("form", has=law.page.locator("[value=refuse]")).locator("button").click()

    def _subject(self) -> None:
        """The data protection officer asks for one voter, and two approvers agree."""
        officer = self.person("pejabat_pdp")
        page = officer.page
        officer.goto(f"/requests/new?subject={self.samples['public_id']}&elements=nama,alamat")
        page.locator("[name=elements]").first.check()
        page.fill("[name=letter]", "12/PDP/2026")
        page.fill("[name=reason]", "Pemilih meminta salinan datanya sendiri, permintaan nomor 7.")
        with page.expect_navigation():
            page.click("form.request-form button[type=submit]")
        path = re.sub(r"\?.*", "", page.url.removeprefix(self.demo.url))
        for name in ("penyetuju.data1", "penyetuju.hukum"):
            approve(self._named(name), path)
        self.requests["subject"] = path.rpartition("/")[2]

    def _correction(self) -> None:
        person = self.person("kpu_kab")
        person.goto(f"/voters/{self.samples['public_id']}/correct/alamat")
        person.page.fill("[name=value]", "JALAN TUKAD BATANGHARI NOMOR 12")
        person.page.select_option("[name=ground]", index=1)
        person.page.fill("[name=reason]", "Diperbaiki menurut hasil coklit di lapangan.")
        with person.page.expect_navigation():
            person.page.locator("main form button[type=submit]").last.click()

    def _loads(self) -> None:
        """One load with its quarantine, and one file that waits for its columns."""
        person = self.person("kpu_kab")
        send(person, self._file(150))
        load(person)
        self.uploads["load"] = person.page.url.rpartition("/intake/")[2].partition("/")[0]
        send(person, self._file(40))
        self.uploads["waiting"] = person.page.url.rpartition("/")[2]
        person.goto("/intake")
        links = person.page.locator("a[href$='/result']").evaluate_all("all => all.map(one => one.getAttribute('href'))")
        self.uploads["used"] = links[-1].split("/")[2]

    def _file(self, voters: int) -> Path:
        self._files += 1
        return synthetic(self.folder, self._files, voters)

    def _reset(self) -> None:
        """The administrator asks for somebody's authenticator to be reset."""
        person = self.person("admin_sistem")
        person.goto("/admin/accounts")
        rows = person.page.locator("tr", has_text="kpu.bali")
        self.samples["account"] = (rows.locator("a").first.get_attribute("href") or "").rpartition("/")[2]
        person.goto(f"/admin/accounts/{self.samples['account']}")
        person.page.fill("#f-reset", "Ponsel hilang; orangnya sudah datang sendiri.")
        with person.page.expect_navigation():
            person.page.locator("form[action$='/reset'] button").click()

    def _backup(self) -> None:
        """The administrator makes a backup and proves it; a second drill fails for want of the right identity."""
        person = self.person("admin_sistem")
        self.samples["made"] = backed_up(person)
        self.samples["drilled"] = drilled(person)
        self.samples["backup"] = next(one.name for one in (self.demo.data / "backups").glob("gardu-*")).rpartition("-")[2]

    def _rotation(self) -> None:
        """The administrator begins a slow rotation and holds it; asks for a voter to be erased."""
        person = self.person("admin_sistem")
        code(person, f"/admin/keys/rotate?kind=blind&region={KAB}")
        person.submit(rate="20")
        path = person.page.url.removeprefix(self.demo.url)
        self.samples["rotation"] = path.rpartition("/")[2]
        code(person, f"{path}?diam=1")
        with person.page.expect_navigation():
            person.page.click("main button[value=pause]")
        code(person, "/admin/erasures")
        person.submit(voter=self.samples["public_id"], reason="Putusan pengadilan no. 7")

    def _verification(self) -> None:
        """The security officer has the whole log verified."""
        person = self.person("petugas_keamanan")
        person.goto("/audit/verify")
        with person.page.expect_navigation():
            person.page.locator("form[action='/audit/verify'] button[type=submit]").click()
        self.samples["verification"] = person.page.url.rpartition("/")[2].partition("?")[0]

    def _views(self) -> None:
        """The security officer keeps two questions, and deletes one."""
        person = self.person("petugas_keamanan")
        for name, query in (("Penolakan minggu ini", "range=7d&outcome=denied"), ("Pemuatan DP4", "range=all&action=voter:import")):
            person.goto(f"/audit?{query}")
            person.page.locator(".keep summary").first.click()
            person.page.fill("#f-view-name", name)
            with person.page.expect_navigation():
                person.page.locator("form[action='/audit/views'] button").click()
        person.goto("/audit/views")
        with person.page.expect_navigation():
            person.page.locator("form[action$='/delete'] button").first.click()

    # ---- (4) an example for every address ----

    def examples(self, endpoint: str, rule: str, role: str) -> Examples:
        """Return variants of an address: name → its parameters, and under ``?`` what follows. Raises KeyError for an unknown parameter."""
        own = getattr(self, f"_at_{endpoint.replace('.', '_')}", None)
        if own is not None:
            found: Examples = own(role)
            return found
        return {"": {name: self.samples[name] for name in re.findall(r"<(?:[^:>]+:)?(\w+)>", rule)}}

    def _at_identity_login(self, role: str) -> Examples:
        return {} if role else {"": {}, "expired": {"?": "expired=1&next=/"}, "left": {"?": "notice=logout"}}

    def _at_identity_totp_form(self, role: str) -> Examples:
        return {}

    _at_identity_enrol = _at_identity_totp_form

    def _at_guide_desk(self, role: str) -> Examples:
        return {**PLAIN, "other": {"?": "role=kpu_kab"}} if role == "penyetuju" else PLAIN

    def _at_guide_glossary(self, role: str) -> Examples:
        return {} if role else {**PLAIN, "found": {"?": "q=izin"}, "none": {"?": "q=qwerty"}, "refused": {"?": "q=31-12-1990"}}

    def _at_voters_search_page(self, role: str) -> Examples:
        return PLAIN if role.endswith("_kab") else {**PLAIN, "region": {"?": f"region={KAB}"}}

    def _at_mandates_new(self, role: str) -> Examples:
        filled = f"subject={self.samples['public_id']}" if role == "pejabat_pdp" else f"region={KAB}.01&elements=nik"
        return {**PLAIN, "filled": {"?": filled}}

    def _at_mandates_show(self, role: str) -> Examples:
        states = {"pejabat_pdp": ("subject",), "kpu_kab": (), "bawaslu_prov": (), "bawaslu_ri": ()}
        return {state: {"uid": self.requests[state]} for state in states.get(role, ("submitted", "half", "active", "refused"))}

    def _at_intake_show(self, role: str) -> Examples:
        return {"columns": {"uid": self.uploads["waiting"]}}

    def _at_intake_show_result(self, role: str) -> Examples:
        return {"": {"uid": self.uploads["load"]}}

    def _at_intake_undo_form(self, role: str) -> Examples:
        return {"": {"uid": self.uploads["load"]}, "used": {"uid": self.uploads["used"]}}

    def _at_oversight_verification(self, role: str) -> Examples:
        return {"": {"uid": self.samples["verification"]}}

    def _at_rotations_show(self, role: str) -> Examples:
        return {"": {"uid": self.samples["rotation"]}}

    def _at_rotations_rotation_form(self, role: str) -> Examples:
        return {**PLAIN, "where": {"?": "kind=kab"}, "confirm": {"?": "kind=nik"}}

    def _at_backups_drill_form(self, role: str) -> Examples:
        return {"": {"uid": self.samples["backup"]}}

    def _at_backups_job(self, role: str) -> Examples:
        return {"made": {"uid": self.samples["made"]}, "drilled": {"uid": self.samples["drilled"]}}

    def _at_correct_form(self, role: str) -> Examples:
        return {element: {"public_id": self.samples["public_id"], "element": element} for element in ("alamat", "nik", "status_kawin")}

    def _at_admin_account(self, role: str) -> Examples:
        return {"": {"uid": self.samples["account"]}}

    def _at_admin_invite_form(self, role: str) -> Examples:
        return {**PLAIN, "person": {"?": f"body=kpu&region={KAB}"}}

    # ---- what only a form leads to ----

    def forms(self, person: Person, role: str) -> dict[str, Callable[[], bool]]:
        """Return name → what opens the page; it says whether the page is there."""
        found: dict[str, Callable[[], bool]] = {
            "error-404": lambda: person.goto("/absent") == 404,
            "error-403": lambda: person.goto("/intake" if role != "kpu_kab" else "/admin/keys") == 403,
            "menu": lambda: self._menu(person),
        }
        if role.startswith(("kpu_", "bawaslu_")):
            found |= {"voters-results": lambda: self._results(person), "voters-voter-why": lambda: self._why(person)}
        if role == "kpu_kab":
            found |= {
                "voters-results-none": lambda: self._search(person, nik="5171010101900001"),
                "voters-search-wrong": lambda: self._search(person, name="I Made Contoh", birth_date="kemarin"),
                "correct-form-wrong": lambda: self._empty(person, f"/voters/{self.samples['public_id']}/correct/alamat", "main form"),
                "intake-progress": lambda: self._progress(person),
            }
        if role == "bawaslu_kab":
            found["mandates-new-wrong"] = lambda: self._empty(person, "/requests/new", "form.request-form")
        if role == "admin_sistem":
            found["admin-slip"] = lambda: self._slip(person)
        return found

    def _menu(self, person: Person) -> bool:
        person.goto("/me/activity")
        person.page.locator("details.menu summary").click()
        return True

    def _results(self, person: Person) -> bool:
        person.goto(f"/voters?region={KAB}")
        return person.submit(desa=DESA, tps=TPS) == 200

    def _why(self, person: Person) -> bool:
        found = person.goto(f"/voters/{self.samples['public_id']}") == 200
        for fold in person.page.locator("details.why summary").all()[:3]:
            fold.click()
        return found

    def _search(self, person: Person, **fields: str) -> bool:
        person.goto("/voters")
        return bool(person.submit(**fields))

    def _empty(self, person: Person, path: str, form: str) -> bool:
        person.goto(path)
        with person.page.expect_navigation():
            person.page.locator(form).last.evaluate("form => { form.noValidate = true; form.requestSubmit(); }")
        return True

    def _progress(self, person: Person) -> bool:
        send(person, self._file(3000))
        address = person.page.url.removeprefix(self.demo.url)
        person.page.select_option("[name=NIK]", label="No. Induk")
        with person.page.expect_navigation():
            person.page.locator("button[name=act][value=start]").click()
        person.goto(f"{address}?diam=1")
        return person.page.locator("[data-job]").count() == 1

    def _slip(self, person: Person) -> bool:
        name = f"baru.{int(time.time())}"
        self.goto(person, f"/admin/accounts/new?body=kpu&region={KAB}")
        person.page.fill("[name=name]", "Komang Contoh")
        person.page.fill("[name=username]", name)
        person.page.select_option("[name=unit]", index=1)
        # Its label lies over it, so that a thumb need not aim.
        person.page.check("[name=roles][value=kpu_kab]", force=True)
        with person.page.expect_navigation():
            person.page.locator("form[action='/admin/accounts/new'] button[type=submit]").last.click()
        self.passwords[name] = person.page.locator("#sandi").inner_text()
        return True

    def doors(self, person: Person, speak: Callable[[], None]) -> Iterator[tuple[str, str]]:
        """Yield name and endpoint of each page on the way in, the page being open."""
        self._log_in(person, "operator.denpasar", "bukan kata sandinya")
        yield "login-wrong", "identity.login"
        self._log_in(person, "operator.denpasar", self.demo.account("operator.denpasar")["password"])
        speak()
        person.goto("/login/totp")
        yield "totp", "identity.totp_form"
        person.submit(code="000000")
        yield "totp-wrong", "identity.totp_form"
        if not self.passwords:
            return
        person.context.clear_cookies(name="gardu")
        self._log_in(person, *self.passwords.popitem())
        speak()
        person.goto("/enrol")
        yield "enrol", "identity.enrol"
        secret = re.sub(r"\W", "", person.page.locator(".secret").text_content() or "")
        person.submit(code=pyotp.TOTP(secret).now())
        yield "password-first", "identity.password"

    def _log_in(self, person: Person, username: str, password: str) -> None:
        person.goto("/login")
        person.page.fill("[name=username]", username)
        person.page.fill("[name=password]", password)
        with person.page.expect_navigation():
            person.page.click("main button[type=submit]")
