"""`gardu audit stream` and `gardu audit prove --record`: from the log into a SIEM, and its copy back to a proof."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from app.audit.note import Signer
from app.audit.siem import Format
from app.audit.siem_read import read, records
from app.audit.trail import Trail
from app.cli import audit
from app.factory import House
from tests.audit.siem_kit import Authority, Receiver
from tests.conftest import PASSPHRASE, ROOT
from tests.trail_kit import draft
from tests.walk_kit import Installed, entries, installed_postgres, size, tamper

__all__ = ["installed_postgres"]

FORMATS = pytest.mark.parametrize("form", Format)


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, installed_sqlite: Installed, tmp_path: Path) -> Iterator[House]:
    """An installation over each engine, whose directory the commands open by themselves."""
    if request.param == "postgresql":
        made = request.getfixturevalue("installed_postgres").copy(tmp_path / "data", request.getfixturevalue("postgres"))
    else:
        made = installed_sqlite.copy(tmp_path / "data")
    yield made
    made.close()


def _environment(house: House) -> tuple[dict[str, str], int]:
    reading, writing = os.pipe()
    os.write(writing, f"{PASSPHRASE}\n".encode())
    os.close(writing)
    return {"GARDU_PASSPHRASE_FD": str(reading), "GARDU_DATA": str(house.settings.data)}, reading


def _run(house: House, *arguments: str) -> Result:
    group = click.Group()
    audit.register(group)
    return CliRunner().invoke(group, ("audit", *arguments), env=_environment(house)[0])


def _last(result: Result) -> dict[str, object]:
    said: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return said


def _stream(house: House, folder: Path, form: Format, *more: str) -> Result:
    to = ("--to", str(folder / "out")) if "--to" not in more else ()
    return _run(house, "stream", "--format", form.value, *to, "--cursor", str(folder / "cursor"), "--json", *more)


def _copies(file: Path) -> list[int]:
    with file.open("rb") as opened:
        return [read(raw).seq for raw in records(opened)]


# ---- stream ----


@FORMATS
def test_the_whole_log_goes_out_and_what_comes_after_follows_it(house: House, tmp_path: Path, form: Format) -> None:
    """The beginning is an entry, written before the first record; the second time only what is new goes out."""
    before = size(house)
    first = _stream(house, tmp_path, form)
    second = _stream(house, tmp_path, form)

    assert (first.exit_code, second.exit_code) == (0, 0), first.output
    assert _last(first) == {"records": before + 1, "log": house.guard.log, "seq": before + 1, "entry": before}
    assert _last(second) == {"records": 1, "log": house.guard.log, "seq": before + 2, "entry": before + 1}
    assert _copies(tmp_path / "out") == list(range(before + 2))
    told = entries(house, before)
    assert [(one["action"], one["outcome"]) for one in told] == [("trail:export", "done")] * 2
    assert told[0]["detail"] == {"type": f"siem-{form}", "sha256": sha256(str(tmp_path / "out").encode()).hexdigest()}
    assert stat.S_IMODE((tmp_path / "cursor").stat().st_mode) == 0o600


def test_records_to_a_pipe_are_alone_on_stdout(house: House, tmp_path: Path) -> None:
    """Everything for people goes to stderr."""
    result = _run(house, "stream", "--format", "jsonl", "--to", "-", "--cursor", str(tmp_path / "cursor"), "--from", "3")

    assert result.exit_code == 0
    assert [json.loads(line)["seq"] for line in result.stdout.splitlines()] == list(range(3, size(house)))
    assert "records handed over" in result.stderr


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--to", "tcp://siem.example:514"), "only TLS"),
        (("--to", "tls://siem.example/x"), "not tls://host"),
        (("--ca", "config.toml"), "are for --to tls"),
        (("--to", "."), "no regular file"),
        (("--from", "-1"), "Invalid value"),
    ],
)
def test_what_cannot_be_begun_is_no_entry(house: House, tmp_path: Path, more: tuple[str, ...], words: str) -> None:
    """Refused before anything is recorded or sent."""
    before = size(house)
    more = tuple(str(house.settings.data / "config.toml") if one == "config.toml" else one for one in more)
    result = _stream(house, tmp_path, Format.CEF, *more)

    assert result.exit_code == 2
    assert words in result.output
    assert size(house) == before
    assert not (tmp_path / "cursor").exists()


def test_a_cursor_that_was_lost_or_is_anothers_never_begins_again_by_itself(house: House, tmp_path: Path) -> None:
    """Torn, of another guard, ahead of the log, or contradicted by --from: each says what to do."""
    for text, words in (
        ("", "put it right, or remove it"),
        ('{"log":"lain.localhost/gardu/1","seq":0}', "does not lead to"),
        (json.dumps({"log": house.guard.log, "seq": 10_000}), "older than the cursor"),
    ):
        (tmp_path / "cursor").write_text(text)
        result = _stream(house, tmp_path, Format.CEF)
        assert (result.exit_code, words in str(_last(result)["detail"])) == (2, True), result.output
        assert (tmp_path / "cursor").read_text() == text
    (tmp_path / "cursor").write_text(json.dumps({"log": house.guard.log, "seq": 2}))

    assert "--from is for the first time" in str(_last(_stream(house, tmp_path, Format.CEF, "--from", "0"))["detail"])


def test_the_stream_goes_on_into_the_log_that_follows(house: House, tmp_path: Path) -> None:
    """A restored log begins anew under the next number: the rest of the old one, then the new one from 0."""
    _stream(house, tmp_path, Format.RFC5424)
    old, new = house.guard.log, house.guard.log[:-1] + "2"
    trail = Trail(house.store, new, Signer(new, house.guard.keys.key("log", "00").secret))
    house.guard.trail.append(draft(1))
    trail.append(draft(2))
    trail.close()
    config = house.settings.data / "config.toml"
    config.write_text(config.read_text("utf-8").replace(old, new), "utf-8")

    result = _stream(house, tmp_path, Format.RFC5424)

    with (tmp_path / "out").open("rb") as file:
        told = [(copy.log, copy.seq) for copy in map(read, records(file))]
    assert result.exit_code == 0, result.output
    assert told[-4:] == [(old, told[-4][1]), (old, told[-4][1] + 1), (new, 0), (new, 1)]
    assert _last(result) == {"records": 3, "log": new, "seq": 2, "entry": 1}
    assert _run(house, "prove", "--record", str(tmp_path / "out")).exit_code == 0


def test_over_tls_every_entry_arrives_and_a_dead_receiver_is_said_clearly(house: House, tmp_path: Path) -> None:
    """Exit 2 while it is gone, the cursor where it stood; afterwards everything."""
    authority = Authority(tmp_path)
    receiver = Receiver(authority.certificate("127.0.0.1"))
    receiver.dies = 1
    to = ("--to", f"tls://127.0.0.1:{receiver.port}", "--ca", str(authority.file))

    gone = _stream(house, tmp_path, Format.OCSF, *to)
    there = _stream(house, tmp_path, Format.OCSF, *to)
    receiver.close()

    assert (gone.exit_code, _last(gone)["error"]) == (2, "unavailable")
    assert f"127.0.0.1:{receiver.port}" in str(_last(gone)["detail"])
    assert there.exit_code == 0
    assert [read(raw).seq for raw in receiver.got] == list(range(size(house)))


def test_a_follower_goes_on_until_it_is_told_to_stop(house: House, tmp_path: Path) -> None:
    """The real command, in a process of its own: what is appended goes out, SIGTERM ends it cleanly, the beginning is one entry."""
    environment, reading = _environment(house)
    call = [
        sys.executable,
        "-c",
        "from app.cli.main import main; main()",
        "audit",
        "stream",
        "--format",
        "cef",
        "--to",
        str(tmp_path / "out"),
    ]
    follower = subprocess.Popen(
        [*call, "--cursor", str(tmp_path / "cursor"), "--follow"], cwd=ROOT, env={**os.environ, **environment}, pass_fds=(reading,),
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip

    def wait_for(count: int) -> None:
        for _ in range(600):
            if (tmp_path / "out").exists() and len(_copies(tmp_path / "out")) >= count:
                return
            time.sleep(0.1)
        raise AssertionError(f"{count} records did not come")

    wait_for(size(house))
    house.guard.trail.append(draft(1))
    wait_for(size(house))
    follower.send_signal(signal.SIGTERM)
    _, said = follower.communicate(timeout=60)
    os.close(reading)

    assert follower.returncode == 0, said
    assert "records handed over" in said
    assert _copies(tmp_path / "out") == list(range(size(house)))
    assert json.loads((tmp_path / "cursor").read_text()) == {"log": house.guard.log, "seq": size(house)}
    assert [one["action"] for one in entries(house)].count("trail:export") == 1
    # Written anew by a command whose umask is its owner's alone.
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600


# ---- prove ----


@FORMATS
def test_a_siems_copy_is_proved_here_and_anywhere(house: House, tmp_path: Path, form: Format) -> None:
    """Every record is OK; the proofs written for them satisfy the one-file verifier, with the log's key."""
    _stream(house, tmp_path, form)
    result = _run(house, "prove", "--record", str(tmp_path / "out"), "--out", str(tmp_path / "proofs"), "--json")
    count = size(house)

    assert result.exit_code == 0, result.output
    assert _last(result) == {"ok": count, "changed": 0, "unknown": 0, "findings": []}
    assert result.stderr.count("OK record ") == count
    proofs = sorted((tmp_path / "proofs").iterdir())
    assert [proof.name for proof in proofs] == sorted(f"uji.localhost-gardu-1-{seq}.tlog-proof" for seq in range(count))
    check = [sys.executable, str(ROOT / "app" / "verifier.py"), "receipt", str(proofs[0]), "--key", house.guard.trail.vkey]
    assert subprocess.run(check, capture_output=True, check=False).returncode == 0


@FORMATS
def test_a_changed_copy_is_found_among_the_others(house: House, tmp_path: Path, form: Format) -> None:
    """Exit 1, which record it is, and why; with something unreadable beside it too."""
    _stream(house, tmp_path, form)
    lines = (tmp_path / "out").read_text("utf-8").splitlines()
    lines[2] = re.sub("done", "denied", lines[2])
    (tmp_path / "copy").write_text("\n".join([*lines, "what is this"]), "utf-8")

    result = _run(house, "prove", "--record", str(tmp_path / "copy"), "--json")

    said = _last(result)
    assert result.exit_code == 1
    assert (said["ok"], said["changed"], said["unknown"]) == (len(lines) - 1, 1, 1)
    [changed, unknown] = said["findings"]  # type: ignore[misc]
    assert (changed["record"], changed["verdict"], changed["seq"]) == (3, "CHANGED", 2)
    assert (unknown["record"], unknown["verdict"], unknown["log"]) == (len(lines) + 1, "UNKNOWN", None)


def test_a_log_that_was_rewritten_is_found_by_a_siems_copy(house: House, tmp_path: Path) -> None:
    """The database's owner turned an entry round; the copy says so, exit 1."""
    _stream(house, tmp_path, Format.CEF)
    trigger = (
        ["DROP TRIGGER trail_entry_no_update"] if house.store.dialect == "sqlite" else ["ALTER TABLE trail_entry DISABLE TRIGGER USER"]
    )
    assert tamper(house, *trigger, "UPDATE trail_entry SET leaf = :leaf WHERE seq = 2", leaf=bytes(32)) == 1

    result = _run(house, "prove", "--record", str(tmp_path / "out"))

    assert result.exit_code == 1
    assert re.search(r"^CHANGED record 3 entry 2 of \S+: it is as it was signed, but the log's own entry was changed", result.output, re.M)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("hello\n", 2, "UNKNOWN record 1: in none of the formats"),
        ("", 2, "holds no record"),
        ("\n\n", 2, "holds no record"),
        ('{"log":"lain.localhost/gardu/1","seq":1,"leaf":"%s"}' % ("0" * 64), 2, "is not in this database"),
    ],
)
def test_what_cannot_be_proved_is_exit_2(house: House, tmp_path: Path, text: str, code: int, words: str) -> None:
    """Nothing good and nothing bad can be said of it."""
    (tmp_path / "copy").write_text(text)
    result = _run(house, "prove", "--record", str(tmp_path / "copy"))

    assert (result.exit_code, words in result.output) == (code, True), result.output


@pytest.mark.parametrize("arguments", [(), ("3", "--record", "config.toml")])
def test_one_entry_or_a_file_of_records_must_be_named(house: House, arguments: tuple[str, ...]) -> None:
    """Neither or both is a usage error."""
    arguments = tuple(str(house.settings.data / one) if one.endswith("toml") else one for one in arguments)
    result = _run(house, "prove", *arguments)

    assert result.exit_code == 2
    assert "name one entry, SEQ, or the records to prove, --record FILE" in result.output


def test_one_entry_is_still_proved_by_its_number(house: House, tmp_path: Path) -> None:
    """As before: to stdout, or to a file."""
    printed = _run(house, "prove", "2")
    written = _run(house, "prove", "2", "--out", str(tmp_path / "r"), "--json")

    assert printed.stdout.startswith("c2sp.org/tlog-proof@v1\n")
    assert (tmp_path / "r").read_text("utf-8") == printed.stdout
    assert _last(written) == {"seq": 2, "out": str(tmp_path / "r"), "proof": None}
