"""Attacks on what outsiders check by: tiles, published checkpoints, witnesses' signatures, time stamps, a halt; and verify's memory."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from app.audit.cosign import Cosigner
from app.audit.note import Signer
from app.audit.published import RESUME, Cosignature, Halt, halt, lift_within
from app.audit.query import head
from app.audit.verify import verify
from app.kernel.fields import Action, Outcome
from app.store.engine import Store
from tests.audit.retention_kit import fill_quickly, publish_on, text_of
from tests.trail_kit import NOON, ORIGIN, SIGNER, bare_sqlite, check, draft, owner, run, trail_on

__all__ = ["owner"]

ROOT = Path(__file__).parent.parent.parent
WITNESS = Cosigner("saksi.example/w1", bytes(range(32)))
SIZE = 600
AT = NOON + timedelta(seconds=30)


def cosigned(note: str, cosigner: Cosigner = WITNESS) -> Cosignature:
    """Return a witness's signature on a published note, as the guard stores it."""
    size = int(note.splitlines()[1])
    line = cosigner.sign(text_of(note), int(AT.timestamp()))
    return Cosignature(size, cosigner.verifier.key_id.hex(), cosigner.name, line, AT)


@pytest.fixture
def log(store: Store) -> Store:
    """A log of 600 entries, published with a witness's signature and a time stamp, and one entry more."""
    fill_quickly(store, SIZE)
    publish_on(store, cosigned(head(store, ORIGIN).checkpoint))
    run(
        store,
        "INSERT INTO trail_stamp VALUES (:log, 600, 'https://tsa.example', :token, :at)",
        log=ORIGIN,
        token=b"a token",
        at="2026-11-24 04:00:00",
    )
    trail_on(store).append(draft(SIZE))
    return store


def sound(store: Store) -> bool:
    """Verify with the witness's key."""
    return verify(store, ORIGIN, SIGNER.vkey, witnesses=[WITNESS.verifier]).ok


def test_what_outsiders_were_shown_is_good(log: Store) -> None:
    """Tiles, published note, cosignature and stamp are as they were made, with and without the witness's key."""
    assert check(log).ok and sound(log)


ATTACKS = [
    ("UPDATE trail_tile SET hashes = (SELECT x.hashes FROM trail_tile x WHERE x.number = 1) WHERE number = 0", 0),
    ("UPDATE trail_tile SET root = (SELECT leaf FROM trail_entry WHERE seq = 9) WHERE number = 1", 256),
    ("UPDATE trail_tile SET number = 5 WHERE number = 1", 5 * 256),
    ("UPDATE trail_tile SET level = 1 WHERE number = 1", 65536),
    ("UPDATE trail_tile SET level = 9 WHERE number = 1", None),
    ("UPDATE trail_tile SET level = -1 WHERE number = 1", None),
    ("UPDATE trail_tile SET log = 'lain' WHERE number = 1", None),
    ("UPDATE trail_published SET note = (SELECT checkpoint FROM trail_head)", 599),
    ("UPDATE trail_published SET note = (SELECT note FROM trail_checkpoint WHERE size = 256)", 599),
    ("UPDATE trail_published SET note = 'x'", 599),
    ("UPDATE trail_published SET note = note || '— lain/x AAAAAAAA'", 599),
    ("UPDATE trail_published SET size = 599", 598),
    ("UPDATE trail_published SET size = 9000", 599),
    ("UPDATE trail_published SET log = 'lain'", 599),
    ("DELETE FROM trail_published", 599),
    ("UPDATE trail_cosignature SET size = 599", 598),
    ("UPDATE trail_cosignature SET key = '00000000'", 599),
    ("UPDATE trail_cosignature SET witness = 'lain.example'", 599),
    ("UPDATE trail_cosignature SET at = '2026-11-24 00:00:00.000000'", 599),
    ("UPDATE trail_cosignature SET line = 'x'", 599),
    ("UPDATE trail_cosignature SET line = line || line", 599),
    ("UPDATE trail_cosignature SET log = 'lain'", 599),
    ("UPDATE trail_stamp SET size = 599", 598),
    ("UPDATE trail_stamp SET log = 'lain'", 599),
]


@pytest.mark.parametrize(("statement", "seq"), ATTACKS, ids=[one[0][7:70] for one in ATTACKS])
def test_a_change_to_what_outsiders_were_shown_is_found(log: Store, owner: Store, statement: str, seq: int | None) -> None:
    """One column changed past the guards: verify names the entry it stands for, without any witness's key."""
    run(owner, statement)

    report = check(log, keys=False)

    assert report.first is not None and report.first.seq == seq, [one.what for one in report.findings]


def test_a_split_view_that_was_published_is_found(log: Store, owner: Store) -> None:
    """A checkpoint the log's own key signed over another history was shown to outsiders: its root gives it away."""
    other = SIGNER.sign(text_of(head(log, ORIGIN).checkpoint).replace("\n601\n", "\n600\n"))

    run(owner, "UPDATE trail_published SET note = :note", note=other)

    report = check(log, keys=False)
    assert report.first is not None and "orang luar" in report.first.what


def test_a_witness_whose_key_is_known_is_held_to_its_signature(log: Store, owner: Store) -> None:
    """A line of the right form by another key passes as form, and fails once the witness's key is given."""
    thief = Cosigner(WITNESS.name, bytes(32))
    made = cosigned(head(log, ORIGIN).checkpoint, thief)
    forged = made.line.replace(
        made.line.split(" ")[2], WITNESS.sign(text_of(head(log, ORIGIN).checkpoint), int(AT.timestamp())).split(" ")[2]
    )

    run(owner, "UPDATE trail_cosignature SET line = :line", line=forged)

    assert check(log, keys=False).ok
    assert not sound(log)


def test_further_signatures_of_others_are_allowed_on_a_published_note(log: Store, owner: Store) -> None:
    """The log's own signature stands first; a second key's beside it is nobody's harm, before it is."""
    second = Signer("lain.example/k", bytes(32)).sign(text_of(publish_on(log).note)).split("\n\n")[1]

    run(owner, "UPDATE trail_published SET note = note || :line WHERE size = 601", line=second)
    assert check(log).ok
    run(owner, "UPDATE trail_published SET note = replace(note, :own, :both) WHERE size = 601", own="\n\n—", both=f"\n\n{second}—")

    assert not check(log).ok


def test_a_halted_log_is_not_called_good_until_it_is_lifted(log: Store) -> None:
    """What a witness showed stands in the report; whoever found the witness wrong lifts it."""
    halt(log, ORIGIN, Halt(9999, "uji", "", NOON))
    assert "trail_halt" in check(log).findings[0].what

    trail = trail_on(log)
    resumed = draft(9, action=Action.WITNESS_CHANGE, outcome=Outcome.DONE, detail=(RESUME, sha256(b"uji").digest()))
    with log.writing() as session:
        lift_within(session, ORIGIN, Halt(9999, "uji", "", NOON + timedelta(seconds=1)))
        trail.append_within(session, resumed)
    assert check(log).ok
    with log.writing() as session:
        lift_within(session, ORIGIN, Halt(9999, "tanpa entri", "", NOON + timedelta(seconds=2)))

    assert "tidak disebut entri mana pun" in check(log).findings[0].what


# VmHWM, not getrusage: ru_maxrss of a child begins with the peak of whoever started it.
MEASURE = """
import re, sys
from pathlib import Path
from app.audit.verify import verify
from app.kernel.fields import Action, Outcome
from app.store.engine import Store
store = Store("sqlite:///" + sys.argv[1])
report = verify(store, sys.argv[2], sys.argv[3])
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
print(report.ok, report.size, peak)
"""


@pytest.mark.slow
def test_verifying_needs_no_more_memory_for_a_longer_log(tmp_path: Path) -> None:
    """From 5,000 to 40,000 entries the peak grows by less than 25 MiB, far below what the rows weigh; a million stays below 200 MB."""
    peaks = []
    for size in (5_000, 40_000):
        store = bare_sqlite(tmp_path / f"{size}.db")
        fill_quickly(store, size)
        publish_on(store)
        store.dispose()
        command = [sys.executable, "-c", MEASURE, str(tmp_path / f"{size}.db"), ORIGIN, SIGNER.vkey]
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True, timeout=200
        )  # fmt: skip
        ok, walked, peak = done.stdout.split()
        assert (ok, walked) == ("True", str(size))
        peaks.append(int(peak) * 1024)

    assert peaks[1] < 200_000_000
    assert peaks[1] - peaks[0] < 25 * 1024**2, peaks
