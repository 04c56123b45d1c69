"""`make shot`: every page for every role, light and dark, phone and desktop, Indonesian and English, into docs/shots/ (not committed).

    (1) a demo is served; each role logs in once
    (2) empty states are taken before anything has happened
    (3) a state is prepared: requests in each state, mandates, a load with quarantine, a file that waits, a correction, a reset
    (4) every GET page of the app's map is opened with real examples, for each role that may open it
    (5) a page that nobody saw stops the run: give it an example in ``Story.examples`` or a reason in ``LEFT_OUT``

ARGS: ``--only WORD`` takes the pages whose name contains it; ``--role ROLE`` one role; ``--sheet`` puts the variants of each page on one picture.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Page, TimeoutError, sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent))
from app.factory import join, open_keys, web_app
from app.identity import gate
from app.kernel.fields import Role
from app.settings import Settings
from tests.browser import ROOT, chromium
from tests.shots_story import ROLES, Story
from tests.walks.conftest import Demo, Person, serving

SIZES = {"320": (320, 640), "1280": (1280, 800)}
THEMES = ("light", "dark")
LANGUAGES = ("id", "en")
OUT = ROOT / "docs" / "shots"
# GET addresses without a picture, and why.
LEFT_OUT = {
    "bootstrap.static": "a file",
    "web.static": "a file",
    "healthz": "JSON for a load balancer",
    "identity.my_receipt": "a download",
    "intake.conflicts": "a download",
    "intake.quarantine": "a download",
    "openlog.checkpoint": "text for programs",
    "openlog.entries": "bytes for programs",
    "openlog.key": "text for programs",
    "openlog.policy": "text for programs",
    "openlog.proof": "a download",
    "openlog.tile": "bytes for programs",
    "openlog_pages.end_form": "asks about a token; the demo has none",
    "openlog_pages.verifier": "a download",
    "oversight.export_file": "a download",
    "oversight.export_job": "made of more than five thousand rows; the demo's log has fewer",
    "oversight.open_view": "leads to what the view asks",
    "oversight.receipt": "a download",
    "oversight.verifier": "a download",
    "subjects.report": "a download",
}
# Taken once before anything has happened: what they say when there is nothing.
EMPTY = (
    "identity.home",
    "mandates.index",
    "intake.index",
    "admin.confirmations",
    "backups.backup_list",
    "rotations.rotations",
    "rotations.erasures",
    "subjects.index",
    "oversight.saved_views",
    "oversight.verifications",
)


@dataclass(frozen=True)
class Place:
    """A GET page. roles: who may open it; public: anybody."""

    endpoint: str
    rule: str
    roles: frozenset[Role]
    public: bool

    def address(self, values: Mapping[str, str]) -> str:
        """Return its address with *values* in it. Raises KeyError for a parameter without an example."""
        return re.sub(r"<(?:[^:>]+:)?(\w+)>", lambda found: values[found[1]], self.rule)


@dataclass
class Camera:
    """Takes pages. only: part of a name; seen: endpoints that some role saw; odd: addresses that answered with something else than 200.

    failed: forms that did not lead where they should.
    """

    only: str
    seen: set[str] = field(default_factory=set)
    odd: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    taken: int = 0

    def wants(self, name: str) -> bool:
        return self.only in name

    def snap(self, page: Page, role: str, name: str, language: str) -> None:
        """Take the whole page in both themes and sizes."""
        if not self.wants(name):
            return
        for size, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            for theme in THEMES:
                page.emulate_media(color_scheme=theme, reduced_motion="reduce")
                page.screenshot(path=OUT / f"{role}-{name}-{language}-{size}-{theme}.png", full_page=True)
                self.taken += 1


def places(demo: Demo) -> list[Place]:
    """Return every GET page of the demo's own application that shows something."""
    settings = Settings.load(demo.data, {})
    house = join(settings, open_keys(settings, {}))
    try:
        app = web_app(house)
        found = []
        for rule in app.url_map.iter_rules():
            access = gate.access_of(app, rule.endpoint)
            if "GET" in (rule.methods or ()) and rule.endpoint not in LEFT_OUT:
                found.append(Place(rule.endpoint, rule.rule, access.roles or frozenset(), access.level is gate.Level.PUBLIC))
        return sorted(found, key=lambda place: (place.endpoint, place.rule))
    finally:
        house.close()


def speak(person: Person, language: str) -> None:
    """Switch the pages to *language*."""
    person.goto("/glossary")
    switch = person.page.locator(f"form[action='/lang'] button[value={language}]")
    if switch.count():
        with person.page.expect_navigation():
            switch.first.click()


def empty(camera: Camera, person: Person, role: str, known: list[Place]) -> None:
    """Take what stands there before anything has happened."""
    for place in known:
        if place.endpoint in EMPTY and (not place.roles or role in place.roles):
            person.goto(place.rule)
            camera.snap(person.page, role, f"{place.endpoint.replace('.', '-')}-empty", "id")


def without_example(story: Story, known: list[Place]) -> None:
    """Stop when an address has a parameter that nobody gave an example for. Raises SystemExit."""
    for place in known:
        for role in [one for one in ROLES if not place.roles or one in place.roles]:
            try:
                [place.address(values) for values in story.examples(place.endpoint, place.rule, role).values()]
            except KeyError as unknown:
                raise SystemExit(f"{place.endpoint} ({place.rule}): no example for {unknown}; give one in tests/shots_story.py") from None


def tour(camera: Camera, person: Person, role: str, known: list[Place], story: Story) -> None:
    """Take every page that *role* may open, in both languages, and what only a form leads to."""
    for language in LANGUAGES[::-1]:
        speak(person, language)
        for place in known:
            if place.roles and role not in place.roles:
                continue
            for variant, values in story.examples(place.endpoint, place.rule, role).items():
                name = place.endpoint.replace(".", "-") + (f"-{variant}" if variant else "")
                if camera.wants(name):
                    visit(camera, story, person, place, values, (role, name, language))
        for name, open_it in story.forms(person, role).items():
            if camera.wants(name):
                form(camera, person.page, open_it, (role, name, language))


def visit(camera: Camera, story: Story, person: Person, place: Place, values: Mapping[str, str], label: tuple[str, str, str]) -> None:
    """Open one page and take it; one that leads elsewhere or refuses is noted."""
    address = place.address(values) + (f"?{values['?']}" if "?" in values else "")
    status = story.goto(person, address)
    if status == 200 and person.page.url.removeprefix(person.demo.url).partition("#")[0] == address:
        camera.seen.add(place.endpoint)
        camera.snap(person.page, *label)
    else:
        camera.odd.append(f"{label[0]} {address}: {status} at {person.page.url.removeprefix(person.demo.url)}")


def form(camera: Camera, page: Page, open_it: Callable[[], bool], label: tuple[str, str, str]) -> None:
    """Take what a form leads to; one that does not get there is noted, and the walk goes on."""
    try:
        there = open_it()
    except (TimeoutError, AssertionError) as error:
        there = False
        camera.failed.append(f"{' '.join(label)}: {str(error).splitlines()[0] if str(error) else 'not as expected'}")
    if there:
        camera.snap(page, *label)


def stranger(camera: Camera, story: Story, known: list[Place]) -> None:
    """Take what stands before the login: the public pages, the form with a mistake, the second step, a new authenticator."""
    for language in LANGUAGES[::-1]:
        person = story.newcomer()
        speak(person, language)
        for place in known:
            if place.public:
                for variant, values in story.examples(place.endpoint, place.rule, "").items():
                    name = place.endpoint.replace(".", "-") + (f"-{variant}" if variant else "")
                    visit(camera, story, person, place, values, ("stranger", name, language))
        for name, endpoint in story.doors(person, lambda who=person, tongue=language: speak(who, tongue)):
            camera.seen.add(endpoint)
            camera.snap(person.page, "stranger", name, language)


def sheets(browser: Browser) -> int:
    """Put the variants of each page on one picture; return how many pictures that made."""
    (OUT / "sheets").mkdir(exist_ok=True)
    groups: dict[str, list[Path]] = {}
    for path in sorted(OUT.glob("*.png")):
        groups.setdefault(re.sub(r"-(id|en)-(320|1280)-(light|dark)$", "", path.stem), []).append(path)
    page = browser.new_page(viewport={"width": 1560, "height": 600})
    style = "body{margin:8px;font:11px sans-serif;background:#888}div{display:flex;gap:8px;align-items:start}figure{margin:0 0 8px}"
    for name, paths in groups.items():
        rows = ""
        for language in LANGUAGES:
            some = sorted(
                (path for path in paths if f"-{language}-" in path.name), key=lambda path: ("-320-" in path.name, "-dark" in path.name)
            )
            rows += f"<div>{''.join(_figure(path) for path in some)}</div>"
        sheet = OUT / "sheets" / "sheet.html"
        sheet.write_text(f"<!doctype html><meta charset=utf-8><style>{style}</style>{rows}", "utf-8")
        page.goto(sheet.as_uri())
        page.screenshot(path=OUT / "sheets" / f"{name}.png", full_page=True)
        sheet.unlink()
    return len(groups)


def _figure(path: Path) -> str:
    width = 160 if "-320-" in path.name else 580
    return f"<figure><img src='../{path.name}' width={width}><figcaption>{path.stem}</figcaption></figure>"


def walk(camera: Camera, demo: Demo, browser: Browser, roles: list[str]) -> list[str]:
    """Take everything; return the endpoints that nobody saw."""
    known = places(demo)
    with ExitStack() as stack:
        story = Story(demo, lambda: stack.enter_context(browser.new_context()))
        without_example(story, known)
        for role in roles:
            if camera.wants("-empty"):
                empty(camera, story.person(role), role, known)
        story.prepare()
        for role in roles:
            tour(camera, story.person(role), role, known, story)
        stranger(camera, story, known)
    return sorted({place.endpoint for place in known} - camera.seen)


def report(camera: Camera, unseen: list[str]) -> bool:
    """Say what went otherwise than meant; return whether every page has its picture."""
    for line in camera.odd:
        print(f"not 200: {line}")
    for line in camera.failed:
        print(f"form failed: {line}")
    if unseen:
        print(f"no picture of: {', '.join(unseen)}. Give an example in tests/shots_story.py or a reason in LEFT_OUT.")
    return not (unseen or camera.failed)


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description="Screenshots of every page.")
    parser.add_argument("--only", default="", help="pages whose name contains this word")
    parser.add_argument("--role", default="", choices=["", *ROLES], help="one role")
    parser.add_argument("--sheet", action="store_true", help="also one picture per page with all its variants")
    return parser.parse_args()


def main() -> int:
    """Serve a demo, walk it, and say where the pictures lie; 1 when a page has none."""
    asked = arguments()
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.rglob("*.png"):
        old.unlink()
    begun, camera = time.monotonic(), Camera(asked.only)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as demo, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--headless=shell", "--no-sandbox"])
        unseen = walk(camera, demo, browser, [asked.role] if asked.role else list(ROLES))
        good = report(camera, [] if asked.only or asked.role else unseen)
        made = sheets(browser) if asked.sheet else 0
        browser.close()
    print(f"{camera.taken} pictures, {made} sheets in {OUT} after {time.monotonic() - begun:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
