"""One witness, made once and copied for each test: sealing its key takes argon2 its time."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.witness.home import Home
from app.witness.wsgi import WitnessApp
from tests.witness.witness_kit import NAME, SECRET, SIGNER, HandClock, witness_in


@pytest.fixture(scope="session")
def made_witness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("witness") / "w"
    Home.create(folder, NAME, [SIGNER.vkey], SECRET)
    return folder


@pytest.fixture
def folder(made_witness: Path, tmp_path: Path) -> Path:
    shutil.copytree(made_witness, tmp_path / "w")
    return tmp_path / "w"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def app(folder: Path, clock: HandClock) -> WitnessApp:
    return witness_in(folder, clock)
