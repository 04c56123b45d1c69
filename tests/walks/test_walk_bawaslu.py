"""Bawaslu runs a witness in a process of its own: it is put on the list by two people, sees its signature on the guard's page, and catches
a guard that was put back and a history that was forked.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from app.audit.note import Checkpoint, Signer
from app.audit.submit import submit
from app.settings import Settings
from app.store.engine import Store
from app.store.keys import WrappedKeys
from app.vault.house import KeyHouse
from app.vault.keys.local import LocalKeyring
from tests.walks.conftest import ROOT, Demo, Person, gardu, serving

pytestmark = pytest.mark.browser
SECRET = "gerbang kayu di tepi sawah"
NAME = "saksi.bawaslu.example/w1"


@dataclass
class Witness:
    """Bawaslu's machine: a folder, an address, a key."""

    folder: Path
    url: str
    vkey: str


@contextmanager
def witnessing(folder: Path, log: str) -> Iterator[Witness]:
    """Make a witness for *log* (a verifier key) by its own commands, and serve it in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = with_secret("witness", "init", "--dir", str(folder), "--name", NAME, "--log", log, "--json")
    with (folder.parent / "witness.log").open("w") as out:
        process = start_with_secret(out, "witness", "serve", "--dir", str(folder), "--port", str(port))
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            assert process.poll() is None, (folder.parent / "witness.log").read_text()
            try:
                urllib.request.urlopen(f"{url}/key", timeout=2).close()
                break
            except OSError:
                time.sleep(0.25)
        yield Witness(folder, url, json.loads(made.splitlines()[-1])["vkey"])
    finally:
        process.terminate()
        process.wait(120)


def with_secret(*arguments: str) -> str:
    """Run a command that reads the passphrase from a descriptor; return what it printed."""
    read, write = os.pipe()
    os.write(write, f"{SECRET}\n".encode())
    os.close(write)
    try:
        return gardu(*arguments, pass_fds=(read,), env={**os.environ, "PYTHONPATH": str(ROOT), "GARDU_PASSPHRASE_FD": str(read)}).stdout
    finally:
        os.close(read)


def start_with_secret(out: object, *arguments: str) -> subprocess.Popen[str]:
    """Start such a command and leave it running."""
    read, write = os.pipe()
    os.write(write, f"{SECRET}\n".encode())
    os.close(write)
    call = [sys.executable, "-c", "from app.cli.main import main; main(prog_name='gardu')", *arguments]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "GARDU_PASSPHRASE_FD": str(read)}
    try:
        return subprocess.Popen(call, stdout=out, stderr=out, text=True, cwd=ROOT, env=environ, pass_fds=(read,))  # type: ignore[call-overload,no-any-return]  # a file is what it takes
    finally:
        os.close(read)


def text_of(url: str) -> str:
    """Fetch a text as any program would."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def until(page: Page, url: str, there: Callable[[str], bool]) -> str:
    """Open *url* again and again until its words are as awaited; return them."""
    for _ in range(60):
        page.goto(url)
        said = page.inner_text("body")
        if there(said):
            return said
        time.sleep(0.5)
    raise AssertionError(f"{url} never said so:\n{said}")


def put_on_the_list(demo: Demo, browser: Browser, witness: Witness) -> None:
    """The security officer proposes, the administrator approves; each in a browser of their own."""
    people = []
    for username in ("keamanan", "admin"):
        context = browser.new_context()
        people.append(Person(demo, username, context, context.new_page()))
        people[-1].log_in()
    officer, admin = people
    officer.goto("/witnesses/new")
    assert officer.submit(name="bawaslu", vkey=witness.vkey, url=witness.url, reason="Surat Bawaslu 12/2026") == 200
    officer.page.get_by_role("button", name="Usulkan").click()
    assert officer.page.get_by_role("button", name="Setujui").count() == 0
    admin.goto("/witnesses")
    admin.page.get_by_role("button", name="Setujui").click()
    assert "disetujui" in admin.page.inner_text("main")
    for person in people:
        person.context.close()


@pytest.mark.slow
def test_bawaslu_sees_its_own_signature_and_catches_a_fork(tmp_path: Path, browser: Browser, made: Path) -> None:
    """The whole story, with two guards made of one and a forger who has the log's key."""
    here, there = tmp_path / "kpu", tmp_path / "kembali"
    here.mkdir()
    page = browser.new_context(locale="id-ID").new_page()
    with serving(here, made) as demo:
        log = text_of(f"{demo.url}/log/key").splitlines()[0]
        with witnessing(tmp_path / "saksi", log) as witness:
            said = until(page, f"{demo.url}/log", lambda text: "entri diumumkan" in text)
            assert "Belum ada saksi di luar KPU" in said
            put_on_the_list(demo, browser, witness)

            # Its own signature stands on the guard's page and on the checkpoint that everybody is served.
            note = until(page, f"{demo.url}/log/checkpoint", lambda text: f"— {NAME} " in text) and text_of(f"{demo.url}/log/checkpoint")
            said = until(page, f"{demo.url}/log", lambda text: "1 dari 1" in text)
            assert NAME in said
            assert "Belum ada saksi" not in said
            assert f"witness bawaslu {witness.vkey} {witness.url}" in text_of(f"{demo.url}/log/policy")
            checked = gardu("witness", "status", "--dir", str(witness.folder), "--guard", demo.url, "--json", check=False)
            assert checked.returncode == 0, checked.stdout + checked.stderr

            # Anybody checks that checkpoint on the page, without an account.
            page.goto(f"{demo.url}/log/verify")
            page.fill("[name=text]", note)
            page.get_by_role("button", name="Periksa").first.click()
            assert "kuorum" in page.inner_text("main").lower()
            assert page.locator("[data-verdict=good], [data-result=good]").count() or "BAIK" in page.inner_text("main")

            # The guard is copied as it is now, and works on; the copy is an old backup from then on.
            demo.process.terminate()
            demo.process.wait(120)
            there.mkdir()
            shutil.copytree(here / "data", there / "data")
            with serving(here) as again:
                more = note.split("\n")[1]
                until(page, f"{again.url}/log/checkpoint", lambda text: f"— {NAME} " in text and text.split("\n")[1] != more)
                grown = int(text_of(f"{again.url}/log/checkpoint").split("\n")[1])
            assert grown > int(note.split("\n")[1])
            with pytest.raises(AssertionError, match="an older state was put back"), serving(there):
                raise AssertionError("an old backup was served")

            # Somebody with the log's key signs another history of the very size that the witness has.
            held = text_of(f"{witness.url}/checkpoint/0")
            size = int(held.split("\n")[1])
            forged = forger(here / "data").sign(Checkpoint(held.split("\n")[0], size, bytes(32)).text())
            assert submit(witness.url, forged, size, []).status == 409
            page.goto(witness.url)
            assert "ADA BUKTI LOG BERCABANG" in page.inner_text("body")
            found = gardu("witness", "status", "--dir", str(witness.folder), "--json", check=False)
            assert found.returncode == 1
    page.context.close()


def forger(data: Path) -> Signer:
    """Return a signer with the log's own key, stolen together with the demo's passphrase."""
    settings = Settings.load(data, {})
    store = Store(settings.database)
    provider = LocalKeyring.open(settings.keyring, (data / "demo-passphrase").read_text("utf-8").strip())
    secret = KeyHouse(provider, WrappedKeys(store)).key("log", "00").secret
    store.dispose()
    return Signer(settings.origin, secret)
