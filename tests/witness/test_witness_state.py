"""What was cosigned is never forgotten: torn files, threads, processes, a kill before the answer, a full disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app.audit.cosign import open_cosignatures
from app.audit.note import Checkpoint
from app.kernel.errors import UnsafeStart
from app.witness.core import Held
from app.witness.home import Home
from app.witness.state import State
from app.witness.wsgi import WitnessApp
from tests.witness.witness_kit import NOON, ORIGIN, HandClock, Log, add, call, witness_in

ROOT = Path(__file__).parent.parent.parent
LOG = Log()
# Sends tree after tree, each from the size that the witness tells, and prints what was accepted.
RACER = """
import sys
from pathlib import Path
from tests.witness.witness_kit import Log, add, witness_in
app, log, old = witness_in(Path(sys.argv[1])), Log(), 0
for step in range(int(sys.argv[2]), 400, 2):
    new = max(old, step)
    reply = add(app, log.request(old, new))
    if reply.status == 409:
        old = int(reply.text)
    else:
        assert reply.status == 200, reply
        print(">", old, new)
        old = new
"""
# Dies when the answer is about to be handed over: what was decided is on disk by then.
DIES_BEFORE_ANSWERING = """
import os, signal, sys
from pathlib import Path
from tests.witness.witness_kit import Log, witness_in
import io
app, body = witness_in(Path(sys.argv[1])), Log().request(3, 7)
environ = {"REQUEST_METHOD": "POST", "PATH_INFO": "/add-checkpoint", "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
app(environ, lambda status, headers: os.kill(os.getpid(), signal.SIGKILL))
"""
# No file may grow any more, as on a full disk.
DISK_FULL = """
import resource, sys
from pathlib import Path
from tests.witness.witness_kit import Log, add, witness_in
app, other = witness_in(Path(sys.argv[1])), Log("b")
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
for body in (Log().request(3, 7), other.request(3, 3)):
    reply = add(app, body)
    print(">", reply.status, "—" in reply.text)
"""


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def held_in(folder: Path) -> Held:
    home = Home.open(folder)
    return State(folder, home.verifier).held()[ORIGIN]


def test_what_is_held_is_the_whole_signed_note(app: WitnessApp, folder: Path) -> None:
    """Size, root and time are read from it, under both signatures; only the owner may read the file."""
    reply = add(app, LOG.request(0, 5))

    held = held_in(folder)
    assert held.note == LOG.note(5) + reply.text
    assert (held.checkpoint, held.at) == (LOG.checkpoint(5), NOON)
    assert (folder / "state.json").stat().st_mode & 0o077 == 0


def test_a_restart_goes_on_where_it_stopped(app: WitnessApp, folder: Path) -> None:
    add(app, LOG.request(0, 5))

    again = witness_in(folder)

    assert add(again, LOG.request(0, 7)).text == "5\n"
    assert add(again, LOG.request(5, 7)).status == 200


TORN = [
    "",
    "{",
    "[]",
    "null",
    "[" * 100_000,
    "{}",
    '{"format": "gardu-witness-state@2", "held": {}}',
    '{"format": "gardu-witness-state@1"}',
    '{"format": "gardu-witness-state@1", "held": []}',
    '{"format": "gardu-witness-state@1", "held": {"x": 1}}',
    '{"format": "gardu-witness-state@1", "held": {"x": "y"}}',
    json.dumps({"format": "gardu-witness-state@1", "held": {ORIGIN: LOG.note(5)}}),
]


@pytest.mark.parametrize("content", TORN, ids=range(len(TORN)))
def test_a_torn_state_is_no_start(folder: Path, content: str) -> None:
    """Nor is a note in it that we did not cosign; what to do instead is said."""
    (folder / "state.json").write_text(content)

    with pytest.raises(UnsafeStart, match=r"state\.json is torn .*retire this witness"):
        witness_in(folder)


def test_every_cut_and_every_changed_signature_is_no_start(app: WitnessApp, folder: Path) -> None:
    """Whatever half of the file a broken disk leaves; and a size written into the note by hand."""
    add(app, LOG.request(0, 5))
    whole = (folder / "state.json").read_text()
    bent = [whole[:end] for end in range(0, len(whole) - 1, 7)] + [whole.replace("\\n5\\n", "\\n4\\n"), whole.replace(f'"{ORIGIN}"', '"x"')]

    for content in bent:
        (folder / "state.json").write_text(content)
        with pytest.raises(UnsafeStart):
            held_in(folder)


def test_a_missing_state_is_no_start_and_stops_a_running_witness(app: WitnessApp, folder: Path) -> None:
    """It must never be taken for a witness that has seen nothing."""
    add(app, LOG.request(0, 5))
    (folder / "state.json").unlink()

    with pytest.raises(UnsafeStart, match=r"missing; .*new name"):
        witness_in(folder)
    assert add(app, Log("b").request(0, 5)).status == 503
    assert call(app, "GET", "/").status == 503


@pytest.mark.parametrize("name", ["state.json", "witness.json", "keyring"])
@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o602])
def test_a_file_open_to_others_is_no_start(folder: Path, name: str, mode: int) -> None:
    (folder / name).chmod(mode)

    with pytest.raises(UnsafeStart, match="others"):
        witness_in(folder)


@pytest.mark.parametrize("name", ["state.json", "witness.json"])
def test_a_pipe_or_folder_in_a_files_place_is_no_start(folder: Path, name: str) -> None:
    """It does not hang."""
    (folder / name).unlink()
    os.mkfifo(folder / name, 0o600)
    with pytest.raises(UnsafeStart, match="regular"):
        witness_in(folder)

    (folder / name).unlink()
    (folder / name).mkdir(mode=0o700)
    with pytest.raises(UnsafeStart):
        witness_in(folder)


def test_threads_never_roll_back(folder: Path) -> None:
    """The race of tlog-witness: eight threads, and each old size was accepted once."""
    app, accepted, log = witness_in(folder), [], Log()
    log.leaves(300)

    def go(first: int) -> None:
        old = 0
        for step in range(first, 300, 8):
            new = max(old, step)
            reply = add(app, log.request(old, new))
            if reply.status == 409:
                old = int(reply.text)
            else:
                assert reply.status == 200
                accepted.append((old, new))
                old = new

    threads = [threading.Thread(target=go, args=(first,)) for first in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert_one_line(accepted, held_in(folder).checkpoint.size)


def test_two_processes_never_roll_back(folder: Path) -> None:
    """The same with two processes over one directory, which only the lock on disk keeps apart."""
    started = [
        subprocess.Popen([sys.executable, "-c", RACER, str(folder), first], cwd=ROOT, stdout=subprocess.PIPE, text=True) for first in "12"
    ]
    told = [process.communicate(timeout=120)[0] for process in started]
    accepted = [(int(old), int(new)) for text in told for _, old, new in (line.split() for line in text.splitlines() if line[0] == ">")]

    assert [process.returncode for process in started] == [0, 0]
    assert all(">" in text for text in told)
    assert_one_line(accepted, held_in(folder).checkpoint.size)


def assert_one_line(accepted: list[tuple[int, int]], size: int) -> None:
    """Fail unless what was accepted is one line of growth up to *size*; the same size again is no growth."""
    grown = sorted(one for one in accepted if one[0] != one[1])

    assert len(grown) > 1
    assert [old for old, _ in grown] == [0, *(new for _, new in grown[:-1])]
    assert grown[-1][1] == size


def test_killed_before_the_answer_the_state_is_ahead(app: WitnessApp, folder: Path) -> None:
    """The log never got its cosignature; it learns the size by a 409, and goes on from there."""
    add(app, LOG.request(0, 3))

    died = run(DIES_BEFORE_ANSWERING, str(folder))

    assert died.returncode == -signal.SIGKILL, died.stderr
    again = witness_in(folder)
    refused = add(again, LOG.request(3, 9))
    assert (refused.status, refused.text) == (409, "7\n")
    assert add(again, LOG.request(7, 9)).status == 200


def test_on_a_full_disk_nothing_is_cosigned(app: WitnessApp, folder: Path) -> None:
    """503 without a signature, the old state stays whole; a fork that cannot be kept as evidence is not waved through either."""
    add(app, LOG.request(0, 3))
    before = (folder / "state.json").read_bytes()

    full = run(DISK_FULL, str(folder))

    assert [line for line in full.stdout.splitlines() if line[0] == ">"] == ["> 503 False", "> 503 False"], full.stderr
    assert (folder / "state.json").read_bytes() == before
    assert [path.name for path in folder.rglob("*") if path.name.startswith(".")] == []
    assert add(witness_in(folder), LOG.request(3, 7)).status == 200


def test_the_clock_may_step_back(app: WitnessApp, clock: HandClock, folder: Path) -> None:
    """The time said is the clock's; the tree never goes back with it."""
    add(app, LOG.request(0, 3))
    clock.forward(hours=-1)

    reply = add(app, LOG.request(3, 7))

    assert reply.status == 200
    assert held_in(folder).at == clock.moment
    assert list(open_cosignatures(held_in(folder).note, [Home.open(folder).verifier]).values()) == [clock.moment]


def test_replaying_the_newest_checkpoint_does_not_wear_the_disk(app: WitnessApp, clock: HandClock, folder: Path) -> None:
    """Whoever sends it again within the second gets the same line, and nothing is written."""
    first = add(app, LOG.request(0, 3))
    written = (folder / "state.json").stat().st_ino

    again = add(app, LOG.request(3, 3))

    assert (again.status, again.body) == (200, first.body)
    assert (folder / "state.json").stat().st_ino == written
    clock.forward(seconds=1)
    assert add(app, LOG.request(3, 3)).body != first.body
    assert held_in(folder).checkpoint == Checkpoint(ORIGIN, 3, LOG.checkpoint(3).root)
