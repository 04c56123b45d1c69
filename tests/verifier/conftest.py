"""Runs the one-file verifier as its command line does."""

from __future__ import annotations

import pytest

from app import verifier
from tests.verifier.verifier_kit import SIGNER, Check


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Check:
    """Run one command; return (exit code, output)."""

    def run_one(*arguments: object) -> tuple[int, str]:
        code = verifier.main([str(one) for one in arguments])
        shown = capsys.readouterr()
        assert shown.err == ""
        return code, shown.out

    return run_one


@pytest.fixture
def keyed(run: Check) -> Check:
    """As ``run``, with the log's key."""
    return lambda *arguments: run(*arguments, "--key", SIGNER.vkey)
