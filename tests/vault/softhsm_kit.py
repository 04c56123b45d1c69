"""Real tokens of SoftHSM 2 (tests/softhsm.sh finds or installs it); without it, or without python-pkcs11, the tests say why they are skipped."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PIN, SO_PIN = "271828", "31415926"
# As many as the tests of one process use.
_POOL = 16


@cache
def module() -> Path | None:
    """SoftHSM's library, or None: then *why* says what is missing."""
    found = ROOT / ".venv" / "softhsm"
    path = found.read_text("utf-8").strip() if found.is_file() else ""
    return Path(path) if path and find_spec("pkcs11") else None


def why() -> str:
    if find_spec("pkcs11") is None:
        return "python-pkcs11 is not installed: pip install 'gardu[pkcs11]'"
    return "SoftHSM 2 is not installed: run `make softhsm` (as root on Debian), or install softhsm2 and run it again"


needs_softhsm = pytest.mark.skipif(module() is None, reason=why())


@cache
def _tokens() -> list[str]:
    """Make the tokens of this process: the library reads its configuration once, and sees no token that comes later."""
    folder = Path(tempfile.mkdtemp(prefix="gardu-hsm-"))
    (folder / "tokens").mkdir()
    config = f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n"
    (folder / "softhsm2.conf").write_text(config, "utf-8")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    labels = [f"uji-{number}" for number in range(_POOL)]
    for label in labels:
        command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", SO_PIN]
        subprocess.run(command, check=True, capture_output=True, timeout=30)
    return labels


def token() -> str:
    """Return the label of a token that nobody used yet."""
    return _tokens().pop()
