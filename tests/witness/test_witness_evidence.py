"""A forked log leaves evidence that stands on its own; what only looks like one is kept apart and goes when it is explained."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.audit.note import open_note, parse_checkpoint
from app.kernel.errors import UnsafeStart
from app.witness.core import Doubt
from app.witness.desk import standings
from app.witness.evidence import MOST, Case, Evidence
from app.witness.home import Home
from app.witness.wsgi import WitnessApp
from tests.witness.witness_kit import NOON, SIGNER, HandClock, Log, add, call, witness_in

LOG, FORKED = Log(), Log("b", shared=4)
VERIFIER = Path(__file__).parent.parent.parent / "app" / "verifier.py"


def cases(folder: Path) -> list[Case]:
    return Evidence(folder).cases()


def test_a_fork_of_the_same_size_is_kept_as_two_signed_notes(app: WitnessApp, folder: Path) -> None:
    """Both open under the log's key, with one size and two roots: nothing of ours is needed to see it."""
    add(app, LOG.request(0, 6))

    reply = add(app, FORKED.request(6, 6))

    [case] = cases(folder)
    found = [
        parse_checkpoint(open_note(path.read_text(), [SIGNER.verifier]).text)
        for path in sorted((folder / "evidence" / case.name).iterdir())
    ]
    assert reply.status == 409
    assert (case.doubt, case.at, case.size_held, case.size_shown) == (Doubt.FORK, NOON, 6, 6)
    assert found == [LOG.checkpoint(6), FORKED.checkpoint(6)]
    assert all(path.stat().st_mode & 0o077 == 0 for path in (folder / "evidence").rglob("*"))


def test_the_evidence_convinces_a_stranger(app: WitnessApp, folder: Path) -> None:
    """The offline verifier, which shares no code with us, finds the log's signature good on both notes."""
    add(app, LOG.request(0, 6))
    add(app, FORKED.request(6, 6))
    [case] = cases(folder)

    for name in ("held.note", "shown.note"):
        tool = [sys.executable, VERIFIER, "checkpoint", folder / "evidence" / case.name / name, "--key", SIGNER.vkey]
        assert subprocess.run(tool, capture_output=True, check=False).returncode == 0


def test_a_larger_tree_without_proof_is_unproven_not_forked(app: WitnessApp, folder: Path) -> None:
    """Anybody can put a wrong proof under a good checkpoint: it is kept, and the log is not accused."""
    add(app, LOG.request(0, 6))

    assert add(app, LOG.request(6, 9, [])).status == 422

    [case] = cases(folder)
    assert (case.doubt, case.size_held, case.size_shown) == (Doubt.UNPROVEN, 6, 9)
    page = call(app, "GET", "/?lang=en").text
    assert "THERE IS EVIDENCE" not in page and "something is unproven" in page


def test_what_was_unproven_is_forgotten_once_it_is_proved(app: WitnessApp, folder: Path) -> None:
    add(app, LOG.request(0, 6))
    add(app, LOG.request(6, 9, []))

    assert add(app, LOG.request(6, 9)).status == 200

    assert cases(folder) == []


def test_what_was_unproven_becomes_a_fork_when_another_tree_of_its_size_is_cosigned(app: WitnessApp, folder: Path) -> None:
    """First the forked branch came, then the true one: the log signed both."""
    add(app, LOG.request(0, 6))
    assert add(app, FORKED.request(6, 9, FORKED.proof(6, 9))).status == 422

    assert add(app, LOG.request(6, 9)).status == 200

    [case] = cases(folder)
    assert (case.doubt, case.size_held, case.size_shown) == (Doubt.FORK, 9, 9)
    assert parse_checkpoint(open_note(case.shown, [SIGNER.verifier]).text) == FORKED.checkpoint(9)


def test_a_case_is_kept_once(app: WitnessApp, folder: Path, clock: HandClock) -> None:
    """The same pair again, later, adds nothing."""
    add(app, LOG.request(0, 6))
    for _ in range(3):
        add(app, FORKED.request(6, 6))
        add(app, LOG.request(6, 9, []))
        clock.forward(minutes=1)

    assert sorted(case.doubt for case in cases(folder)) == [Doubt.FORK, Doubt.UNPROVEN]


def test_nobody_fills_the_disk_with_doubts(app: WitnessApp, folder: Path) -> None:
    """Trees without proof are kept up to a number; a fork still finds its place."""
    add(app, LOG.request(0, 6))
    for size in range(7, 7 + MOST + 5):
        add(app, LOG.request(6, size, []))
    add(app, FORKED.request(6, 6))

    kept = [case.doubt for case in cases(folder)]
    assert (kept.count(Doubt.UNPROVEN), kept.count(Doubt.FORK)) == (MOST, 1)


def test_refusals_that_prove_nothing_leave_nothing(app: WitnessApp, folder: Path) -> None:
    """Strangers, unknown logs, old sizes, an older checkpoint."""
    add(app, LOG.request(0, 6))
    for body in (
        b"",
        Log(signer=type(SIGNER)("x", bytes(32))).request(0, 6),
        LOG.request(0, 9),
        LOG.request(3, 3),
        LOG.request(6, 6, [bytes(32)]),
    ):
        assert add(app, body).status >= 400

    assert not (folder / "evidence").exists()


def test_evidence_survives_a_restart_and_belongs_to_its_log(app: WitnessApp, folder: Path) -> None:
    add(app, LOG.request(0, 6))
    add(app, FORKED.request(6, 6))

    [standing] = standings(Home.open(folder))

    assert len(standing.of(Doubt.FORK)) == 1
    assert "ADA BUKTI LOG BERCABANG" in call(witness_in(folder), "GET", "/").text


@pytest.mark.parametrize("content", [b"", b"\xff", b"rubbish\n"])
def test_damaged_evidence_is_said_not_skipped(app: WitnessApp, folder: Path, content: bytes) -> None:
    """A case that cannot be read stops the witness: it must not vanish quietly."""
    add(app, LOG.request(0, 6))
    add(app, FORKED.request(6, 6))
    [case] = cases(folder)
    (folder / "evidence" / case.name / "shown.note").write_bytes(content)

    with pytest.raises(UnsafeStart, match="put it back"):
        witness_in(folder)


def test_strange_names_in_the_folder_are_not_ours(app: WitnessApp, folder: Path) -> None:
    """What an administrator lays beside the cases does not disturb."""
    add(app, LOG.request(0, 6))
    add(app, FORKED.request(6, 6))
    (folder / "evidence" / "berita-acara.txt").write_text("x")

    assert len(cases(folder)) == 1
