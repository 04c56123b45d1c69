"""`gardu policy check`: every step is green for the policies we ship, and turns red for what it is there to find."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.policy.check import STEPS, check
from app.settings import shipped

NOW = datetime(2026, 12, 1, tzinfo=UTC)
FOLDER = shipped("policies")


def spoiled(tmp_path: Path, file: str, old: str, new: str) -> Path:
    folder = tmp_path / "policies"
    shutil.copytree(FOLDER, folder)
    text = (folder / file).read_text()
    assert old in text, old
    (folder / file).write_text(text.replace(old, new, 1))
    return folder


@pytest.mark.slow
def test_the_shipped_policies_pass_every_step() -> None:
    """Format, schema, lint, fixtures, complete matrix, and no mutant that a fixture does not notice; `make lint` asks the same."""
    steps = check(FOLDER, NOW)

    assert [(step.name, step.ok) for step in steps] == [(name, True) for name in STEPS], steps[-1].messages


@pytest.mark.parametrize(
    ("step", "file", "old", "new"),
    [
        ("format", "access/kpu.cedar", "when\n{", "when {"),
        ("schema", "access/kpu.cedar", "principal.tujuan", "principal.tujan"),
        ("lint", "access/kpu.cedar", '@pemilik("kpu-00/data")\n', ""),
        ("fixtures", "access/bawaslu.cedar", 'Gardu::Action::"sampai_samar"', 'Gardu::Action::"sampai_utuh"'),
        pytest.param("matrix", "matrix.csv", "samar", "utuh", marks=pytest.mark.slow),
    ],
)
def test_each_step_finds_its_fault(tmp_path: Path, step: str, file: str, old: str, new: str) -> None:
    """The first red step is the one whose business it is; later ones are not run."""
    steps = check(spoiled(tmp_path, file, old, new), NOW)

    assert (steps[-1].name, steps[-1].ok) == (step, False)
    assert steps[-1].messages
