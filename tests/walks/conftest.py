"""A real demo, served by its own command, and a real Chromium."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyotp
import pytest
from playwright.sync_api import Browser, BrowserContext, Page

ROOT = Path(__file__).parent.parent.parent
STEP = 30
# The server takes the code of the step before too (RFC 6238, section 5.2), unless it ends on the way: leave a page this long.
ON_THE_WAY = 12
# A kept session is taken up again while its code is younger than this; after 15 minutes NIK asks for a fresh one.
FRESH = 480
COOKIE = "gardu"


def gardu(*arguments: str, check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    call = [sys.executable, "-c", "from app.cli.main import main; main(prog_name='gardu')", *arguments]
    return subprocess.run(call, check=check, capture_output=True, text=True, cwd=ROOT, **{"env": environ, **more})


@dataclass
class Demo:
    """A demo being served.

    taken: the newest time step each account has used; a code is good for one use. kept: the cookie each account's last session left.
    """

    url: str
    data: Path
    accounts: list[dict[str, str]]
    process: subprocess.Popen[str]
    taken: dict[str, int]
    kept: dict[str, str] = field(default_factory=dict)

    def account(self, username: str) -> dict[str, str]:
        return next(one for one in self.accounts if one["username"] == username)

    def code(self, username: str) -> str:
        """Return a code this account has not used: of the step before while that still counts, else of this, else of the next one."""
        while (step := max(self._oldest(), self.taken.get(username, 0) + 1)) > int(time.time()) // STEP:
            time.sleep(0.5)
        self.taken[username] = step
        return pyotp.TOTP(self.account(username)["totp_secret"]).at(step * STEP)

    def _oldest(self) -> int:
        step, gone = divmod(time.time(), STEP)
        return int(step) - (STEP - gone > ON_THE_WAY)

    def fresh(self, username: str) -> bool:
        """Say whether the account's last code is young enough for its session to be taken up again."""
        return time.time() - self.taken.get(username, 0) * STEP < FRESH


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo's data, made by its command once for all processes of this run; to be copied."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with (shared / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "demo" / "demo-loaded").exists():
            gardu("demo", "--data", str(shared / "demo"), "--no-serve")
    return shared / "demo"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, made: Path) -> Iterator[Demo]:
    """Serve a fresh demo on a free port."""
    with serving(tmp_path_factory.mktemp("demo"), made) as started:
        yield started


@contextmanager
def serving(folder: Path, made: Path | None = None) -> Iterator[Demo]:
    """Make a demo in *folder*, or take up the one that is there or a copy of *made*; serve it on a free port, stop it at the end."""
    if made is not None:
        shutil.copytree(made, folder / "data")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    call = [sys.executable, "-c", "from app.cli.main import main; main(prog_name='gardu')", "demo", "--data", str(folder / "data")]
    with (folder / "demo.log").open("w") as log:
        process = subprocess.Popen(
            [*call, "--port", str(port), "--credentials", str(folder / "logins.json")],
            stdout=log, stderr=log, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process, folder / "demo.log")
        yield Demo(url, folder / "data", json.loads((folder / "logins.json").read_text()), process, {})
    finally:
        process.terminate()
        process.wait(120)


def _wait(url: str, process: subprocess.Popen[str], log: Path) -> None:
    for _ in range(240):
        if process.poll() is not None:
            raise AssertionError(f"the demo stopped:\n{log.read_text()}")
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"the demo did not come up:\n{log.read_text()}")


Visitor = Callable[..., "Person"]


@dataclass
class Person:
    """Somebody at a browser of their own."""

    demo: Demo
    username: str
    context: BrowserContext
    page: Page

    def goto(self, path: str) -> int:
        answer = self.page.goto(self.demo.url + path)
        assert answer is not None
        return answer.status

    def resume(self) -> bool:
        """Take up the session that an earlier walk of this account left, so that not every walk waits for a code; say whether it lives."""
        secret = self.demo.kept.pop(self.username, None)
        if secret is None or not self.demo.fresh(self.username):
            return False
        self.context.add_cookies([{"name": COOKIE, "value": secret, "url": self.demo.url, "httpOnly": True, "sameSite": "Strict"}])
        self.goto("/")
        if self.page.url == self.demo.url + "/":
            return True
        self.context.clear_cookies()
        return False

    def leave(self) -> None:
        """Close the browser; the session is kept for the next walk."""
        for cookie in self.context.cookies():
            if cookie.get("name") == COOKIE:
                self.demo.kept[self.username] = cookie.get("value", "")
        self.context.close()

    def log_in(self) -> None:
        account = self.demo.account(self.username)
        self.goto("/login")
        self.page.fill("[name=username]", self.username)
        self.page.fill("[name=password]", account["password"])
        self.page.click("main button[type=submit]")
        self.page.fill("[name=code]", self.demo.code(self.username))
        self.page.click("main button[type=submit]")
        assert re.fullmatch(re.escape(self.demo.url) + "/", self.page.url), self.page.url

    def submit(self, **fields: str) -> int:
        """Fill the form that has these fields and send it; return the answer's status."""
        form = self.page.locator("form", has=self.page.locator(f"[name={next(iter(fields))}]")).last
        for name, value in fields.items():
            field = form.locator(f"[name={name}]")
            if field.evaluate("e => e.tagName") == "SELECT":
                field.select_option(value)
            else:
                field.fill(value)
        with self.page.expect_navigation() as navigation:
            form.locator("button[type=submit]").click()
        answer = navigation.value
        return answer.status if answer else 0


@pytest.fixture
def visit(demo: Demo, browser: Browser) -> Iterator[Callable[..., Person]]:
    """Give somebody a browser: ``visit("operator.denpasar", java_script_enabled=False)``; logged in unless told otherwise.

    The session is one that an earlier walk left, when there is one; ``fresh=True`` demands a login of its own. A second browser of the
    same account in one walk always has one.
    """
    people = list[Person]()

    def open_for(username: str, *, log_in: bool = True, fresh: bool = False, **options: Any) -> Person:
        context = browser.new_context(**options)
        person = Person(demo, username, context, context.new_page())
        people.append(person)
        if log_in and (fresh or not person.resume()):
            person.log_in()
        return person

    yield open_for
    for person in people:
        person.leave()
