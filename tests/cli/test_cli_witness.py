"""`gardu witness`: made, served by a real server, looked at beside a guard that is honest, away, behind, or forked."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.audit.cosign import CosignVerifier
from app.audit.submit import submit
from app.cli.main import main
from app.cli.witness import look
from app.kernel.clock import SystemClock
from app.witness.desk import Witness
from app.witness.guard import Verdict
from app.witness.home import CREDENTIAL, Home
from app.witness.wsgi import WitnessApp
from tests.witness.test_witness_guard import guard
from tests.witness.witness_kit import NAME, ORIGIN, SECRET, SIGNER, HandClock, Log, add

ROOT = Path(__file__).parent.parent.parent
LOG, OTHER = Log(), Log("b")


def piped(secret: str) -> int:
    """Return a descriptor that gives the passphrase, as a service manager would."""
    read, write = os.pipe()
    os.write(write, f"{secret}\n".encode())
    os.close(write)
    return read


def gardu(*arguments: str, secret: str | None = None) -> Result:
    return CliRunner().invoke(main, ["witness", *arguments], env={} if secret is None else {"GARDU_PASSPHRASE_FD": str(piped(secret))})


def said(result: Result) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return told


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A witness made by the command, and what it said."""
    folder = tmp_path / "w"
    result = gardu("init", "--dir", str(folder), "--name", NAME, "--log", SIGNER.vkey, "--json", secret=SECRET)
    assert result.exit_code == 0, result.output
    return folder, said(result)


@pytest.fixture
def app(made: tuple[Path, dict[str, Any]]) -> WitnessApp:
    """The witness at work, on the machine's clock as ``status`` is."""
    home = Home.open(made[0])
    return WitnessApp(Witness(home, home.unlock(SECRET), SystemClock()))


def test_init_prints_the_key_to_hand_out(made: tuple[Path, dict[str, Any]]) -> None:
    """And no secret."""
    folder, told = made

    assert told == {"dir": str(folder), "name": NAME, "vkey": Home.open(folder).verifier.vkey, "logs": [ORIGIN]}
    assert CosignVerifier.parse(told["vkey"]).name == NAME


@pytest.mark.parametrize(
    ("arguments", "secret", "what"),
    [
        (["init", "--dir", "{w}", "--name", NAME, "--log", SIGNER.vkey], SECRET, "is a witness already"),
        (["init", "--dir", "{new}", "--name", "a b", "--log", SIGNER.vkey], SECRET, "not a key name"),
        (["init", "--dir", "{new}", "--name", NAME, "--log", "x"], SECRET, "not a verifier key"),
        (["init", "--dir", "{new}", "--name", NAME, "--log", SIGNER.vkey], "short", "at least 14"),
        (["init", "--dir", "{new}", "--name", NAME, "--log", SIGNER.vkey], None, "no passphrase"),
        (["add-log", "--dir", "{w}", "--log", SIGNER.vkey], None, "watched already"),
        (["add-log", "--dir", "{new}", "--log", SIGNER.vkey], None, "is not a witness"),
        (["serve", "--dir", "{new}"], SECRET, "is not a witness"),
        (["serve", "--dir", "{w}", "--port", "1"], "another passphrase", "wrong passphrase"),
        (["status", "--dir", "{new}"], None, "is not a witness"),
        (["status", "--dir", "{w}", "--guard", "http://gardu.example"], None, "https"),
        (["status", "--dir", "{w}", "--guard", "http://127.0.0.1:1"], None, "cannot be reached"),
    ],
    ids=range(12),
)
def test_what_cannot_be_done_is_one_clear_line(
    made: tuple[Path, dict[str, Any]], arguments: list[str], secret: str | None, what: str
) -> None:
    """Exit 2, what and why, no traceback."""
    places = {"w": str(made[0]), "new": str(made[0].parent / "new")}

    result = gardu(*(one.format(**places) for one in arguments), "--json", secret=secret)

    assert result.exit_code == 2, result.output
    assert what in result.output
    assert set(said(result)) == {"error", "detail"}
    assert "Traceback" not in result.output


def test_a_log_is_added(made: tuple[Path, dict[str, Any]]) -> None:
    result = gardu("add-log", "--dir", str(made[0]), "--log", type(SIGNER)("lain/gardu/1", bytes(32)).vkey, "--json")

    assert said(result)["logs"] == [ORIGIN, "lain/gardu/1"]


def status(folder: Path, *more: str) -> tuple[int, dict[str, Any], str]:
    result = gardu("status", "--dir", str(folder), "--json", *more)
    return result.exit_code, said(result), result.output


def test_status_says_where_each_log_stands(made: tuple[Path, dict[str, Any]], app: WitnessApp) -> None:
    """Before anything came, and after; without a passphrase."""
    code, told, _ = status(made[0])
    assert (code, told["ok"], told["guard"], told["logs"][0]["size"]) == (0, True, None, None)

    add(app, LOG.request(0, 7))

    code, told, _ = status(made[0])
    [log] = told["logs"]
    assert (code, log["size"], log["root"], log["forks"], log["unproven"]) == (0, 7, LOG.checkpoint(7).root.hex(), 0, 0)
    assert 0 <= log["age"] < 60


@pytest.mark.parametrize(("forked", "word"), [(True, "FORK"), (False, "unproven")])
def test_status_says_what_evidence_there_is(made: tuple[Path, dict[str, Any]], app: WitnessApp, forked: bool, word: str) -> None:
    """Exit 1, and where the files lie; also when the guard is away."""
    add(app, LOG.request(0, 7))
    add(app, OTHER.request(7, 7) if forked else LOG.request(7, 9, []))

    for more in ((), ("--guard", "http://127.0.0.1:1")):
        code, told, output = status(made[0], *more)
        assert (code, told["ok"]) == (1, False)
        assert (told["logs"][0]["forks"], told["logs"][0]["unproven"]) == (int(forked), int(not forked))
        assert word in output and "evidence/" in output


GUARDS = [
    # shown size, of the forked log?, signed by us?, exit code, verdict
    (7, False, True, 0, "same"),
    (7, False, False, 0, "same"),
    (9, False, False, 0, "ahead"),
    (7, True, False, 1, "fork"),
]


@pytest.mark.parametrize(("size", "forked", "signed", "code", "verdict"), GUARDS)
def test_status_looks_at_the_guard(
    made: tuple[Path, dict[str, Any]], app: WitnessApp, size: int, forked: bool, signed: bool, code: int, verdict: str
) -> None:
    """Consistent or a fork, and whether our cosignature is on what it publishes."""
    line = add(app, LOG.request(0, 7)).text
    note = (OTHER if forked else LOG).note(size) + (line if signed else "")

    with guard({"/log/checkpoint": (200, note.encode())}) as url:
        got, told, output = status(made[0], "--guard", url)

    assert (got, told["guard"]["verdict"], told["guard"]["size"]) == (code, verdict, size)
    assert (told["guard"]["age"] is not None) == signed
    assert told["logs"][0]["forks"] == int(forked), output


def test_a_fork_seen_at_the_guard_is_kept(made: tuple[Path, dict[str, Any]], app: WitnessApp) -> None:
    """The guard never submitted it: looking was enough to catch it, and the page says so."""
    add(app, LOG.request(0, 7))

    with guard({"/log/checkpoint": (200, OTHER.note(7).encode())}) as url:
        status(made[0], "--guard", url)

    shown = [path.read_text() for path in (made[0] / "evidence").glob("fork-*/shown.note")]
    assert shown == [OTHER.note(7)]


def test_what_the_log_did_not_sign_is_found_wrong(made: tuple[Path, dict[str, Any]], app: WitnessApp) -> None:
    """Exit 1: whoever answers there is not the log."""
    add(app, LOG.request(0, 7))
    forged = type(SIGNER)(ORIGIN, bytes(32)).sign(LOG.checkpoint(7).text())

    with guard({"/log/checkpoint": (200, forged.encode())}) as url:
        code, told, _ = status(made[0], "--guard", url)

    assert (code, told["guard"]["verdict"]) == (1, "unsigned")


def test_a_guard_that_went_back_is_found_after_a_second_look(made: tuple[Path, dict[str, Any]], app: WitnessApp) -> None:
    """It showed 7 and shows 5; a publication that is only late would have come meanwhile."""
    add(app, LOG.request(0, 7))

    with guard({"/log/checkpoint": (200, LOG.note(5).encode())}) as url:
        _, verdict = look(Home.open(made[0]), url, grace=0.05)

    assert verdict is Verdict.BEHIND


def test_a_guard_that_stopped_submitting_is_found(made: tuple[Path, dict[str, Any]]) -> None:
    """Over 15 minutes without a cosignature: not fresh, exit 1."""
    home = Home.open(made[0])
    old = HandClock(datetime.fromtimestamp(int(SystemClock().now().timestamp()) - 16 * 60, UTC))
    add(WitnessApp(Witness(home, home.unlock(SECRET), old)), LOG.request(0, 7))

    with guard({"/log/checkpoint": (200, LOG.note(7).encode())}) as url:
        code, told, output = status(made[0], "--guard", url)

    assert (code, told["guard"]["fresh"], told["guard"]["verdict"]) == (1, False, "same")
    assert "15 minutes" in output


def test_a_clock_that_stands_before_the_last_cosignature_is_said(made: tuple[Path, dict[str, Any]]) -> None:
    home = Home.open(made[0])
    ahead = HandClock(datetime.fromtimestamp(int(SystemClock().now().timestamp()) + 3600, UTC))
    add(WitnessApp(Witness(home, home.unlock(SECRET), ahead)), LOG.request(0, 7))

    code, _, output = status(made[0])

    assert code == 1
    assert "clock" in output


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Run `gardu witness serve` as a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    descriptor = piped(SECRET)
    environ = {**os.environ, "GARDU_PASSPHRASE_FD": str(descriptor)}
    command = [Path(sys.executable).parent / "gardu", "witness", "serve", "--dir", folder, "--port", str(port)]
    process = subprocess.Popen(command, env=environ, pass_fds=[descriptor], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    os.close(descriptor)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=30)[0]
        assert "Traceback" not in output
        assert process.returncode == 0, output


def test_a_real_server_cosigns_what_a_guard_submits(made: tuple[Path, dict[str, Any]]) -> None:
    """The guard's own client against the command's server: cosignature, 409 with the size, and on from there."""
    folder, told = made
    verifier = CosignVerifier.parse(told["vkey"])

    with served(folder) as url:
        first = submit(url, LOG.note(5), 0, [])
        refused = submit(url, LOG.note(9), 0, [])
        second = submit(url, LOG.note(9), refused.size or 0, LOG.proof(5, 9))

    assert (first.status, refused.status, refused.size, second.status) == (200, 409, 5, 200)
    for answer, size in ((first, 5), (second, 9)):
        age = SystemClock().now() - verifier.verify(LOG.checkpoint(size).text(), answer.lines)
        assert 0 <= age.total_seconds() < 60
    assert status(folder)[1]["logs"][0]["size"] == 9


def test_the_service_file_starts_what_it_says() -> None:
    """The unit calls the command with its directory and hands the credential over under the name that is looked for."""
    text = (ROOT / "deploy" / "gardu-witness.service").read_text("utf-8")
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    program, *words = shlex.split(unit["Service"]["ExecStart"])

    command = main.commands["witness"]
    assert program.endswith("/gardu") and words[:2] == ["witness", "serve"]
    assert command.commands["serve"].make_context("serve", words[2:]).params["folder"] == Path("/var/lib/gardu-witness")  # type: ignore[attr-defined]
    assert f"LoadCredentialEncrypted={CREDENTIAL}:" in text
    assert f"--name={CREDENTIAL} " in (ROOT / "docs" / "witness.md").read_text("utf-8")
