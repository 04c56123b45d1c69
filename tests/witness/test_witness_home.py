"""The witness's directory: made whole or not at all, its key sealed, its logs added; without web and database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.audit.cosign import MLDSA_AVAILABLE, Cosigner, Kind
from app.audit.note import Signer
from app.kernel.errors import BadInput, Conflict, KeysDown, UnsafeStart
from app.witness.home import CREDENTIAL, Home, passphrase
from tests.witness.witness_kit import NAME, SECRET, SIGNER

ROOT = Path(__file__).parent.parent.parent


def test_what_was_made_opens_again(folder: Path) -> None:
    """The same key, name and logs; the passphrase opens the cosigner."""
    home = Home.open(folder)

    assert home.verifier.name == NAME
    assert {origin: [key.vkey for key in keys] for origin, keys in home.logs.items()} == {SIGNER.name: [SIGNER.vkey]}
    assert home.unlock(SECRET).vkey == home.verifier.vkey


def test_the_key_is_sealed(folder: Path) -> None:
    """The seed is in no file as it is, and a wrong passphrase does not open it."""
    seed = Home.open(folder).unlock(SECRET)._private.private_bytes_raw()

    for path in folder.iterdir():
        content = path.read_bytes()
        assert seed not in content and seed.hex().encode() not in content
        assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(KeysDown, match="wrong passphrase"):
        Home.open(folder).unlock(SECRET + "x")


@pytest.mark.parametrize("field", ["seed", "vkey"])
def test_another_witness_cannot_be_slipped_in(folder: Path, tmp_path: Path, field: str) -> None:
    """Seed or verifier key of another witness in this one's file: refused, whoever wrote it there."""
    Home.create(tmp_path / "other", NAME, [SIGNER.vkey], SECRET)
    mine, other = (json.loads((at / "witness.json").read_text()) for at in (folder, tmp_path / "other"))
    (folder / "witness.json").write_text(json.dumps({**mine, field: other[field]}))

    with pytest.raises(KeysDown):
        Home.open(folder).unlock(SECRET)


@pytest.mark.parametrize(
    ("name", "vkeys", "secret", "error"),
    [
        ("", [SIGNER.vkey], SECRET, BadInput),
        ("a b", [SIGNER.vkey], SECRET, BadInput),
        ("a+b", [SIGNER.vkey], SECRET, BadInput),
        ("a\nb", [SIGNER.vkey], SECRET, BadInput),
        (NAME, ["rubbish"], SECRET, BadInput),
        (NAME, [Cosigner("w", bytes(32)).vkey], SECRET, BadInput),
        (NAME, [SIGNER.vkey, SIGNER.vkey], SECRET, Conflict),
        (NAME, [SIGNER.vkey], "short", BadInput),
    ],
)
def test_what_cannot_be_made_is_refused(tmp_path: Path, name: str, vkeys: list[str], secret: str, error: type[Exception]) -> None:
    """And leaves no witness behind."""
    with pytest.raises(error):
        Home.create(tmp_path / "w", name, vkeys, secret)
    assert not (tmp_path / "w" / "witness.json").exists()


def test_a_directory_in_use_is_not_taken(folder: Path, tmp_path: Path) -> None:
    """Neither a witness's, whose state would be lost, nor one that holds anything else."""
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "file").write_text("x")

    with pytest.raises(UnsafeStart, match="is a witness already"):
        Home.create(folder, NAME, [SIGNER.vkey], SECRET)
    with pytest.raises(UnsafeStart, match="not empty"):
        Home.create(tmp_path / "x", NAME, [SIGNER.vkey], SECRET)


def test_what_is_no_witness_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UnsafeStart, match="gardu witness init"):
        Home.open(tmp_path)


TORN = [
    "",
    "{",
    "[]",
    "null",
    "1",
    '"x"',
    "[" * 100_000,
    "{}",
    '{"format": "x"}',
    '{"format": "gardu-witness@1", "vkey": 1, "seed": "", "logs": []}',
]


@pytest.mark.parametrize("content", TORN, ids=range(len(TORN)))
def test_a_torn_file_is_no_start(folder: Path, content: str) -> None:
    (folder / "witness.json").write_text(content)

    with pytest.raises(UnsafeStart, match="torn"):
        Home.open(folder)


def test_every_cut_of_the_file_is_no_start(folder: Path) -> None:
    whole = (folder / "witness.json").read_text()
    for end in range(len(whole)):
        (folder / "witness.json").write_text(whole[:end])
        with pytest.raises(UnsafeStart):
            Home.open(folder)


def test_a_log_is_added_once(folder: Path) -> None:
    """A new log, a further key of a known one; not the same key, under whatever name."""
    other = Signer("lain.localhost/gardu/1", bytes(32))

    Home.open(folder).add_log(other.vkey)

    assert list(Home.open(folder).logs) == [SIGNER.name, other.name]
    for vkey in (other.vkey, Signer("baru.localhost/gardu/1", bytes(32)).vkey):
        with pytest.raises(Conflict):
            Home.open(folder).add_log(vkey)


@pytest.mark.skipif(not MLDSA_AVAILABLE, reason="an older cryptography")
def test_a_log_may_have_a_post_quantum_key_beside_its_first(folder: Path) -> None:
    Home.open(folder).add_log(Cosigner(SIGNER.name, bytes(32), Kind.ML_DSA_44).vkey)

    assert [len(keys) for keys in Home.open(folder).logs.values()] == [2]


def test_the_passphrase_comes_from_systemd_a_descriptor_or_a_prompt(tmp_path: Path) -> None:
    """In this order; without any of them the remedy is said."""
    (tmp_path / CREDENTIAL).write_text("dari systemd\n")
    read, write = os.pipe()
    os.write(write, b"dari pipa\n")
    os.close(write)

    assert passphrase({"CREDENTIALS_DIRECTORY": str(tmp_path)}, lambda: "x") == "dari systemd"
    assert passphrase({"GARDU_PASSPHRASE_FD": str(read)}, lambda: "x") == "dari pipa"
    assert passphrase({}, lambda: "diketik") == "diketik"
    with pytest.raises(UnsafeStart, match="GARDU_PASSPHRASE_FD"):
        passphrase({})


def test_the_room_needs_neither_web_nor_database() -> None:
    """It is imported where Flask and SQLAlchemy do not exist."""
    script = (
        "import sys\n"
        "for name in ('flask', 'werkzeug', 'sqlalchemy', 'flask_babel', 'huey'): sys.modules[name] = None\n"
        "import app.witness.wsgi, app.witness.guard, app.audit.quorum\n"
    )

    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0
