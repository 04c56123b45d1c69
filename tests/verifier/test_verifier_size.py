"""A long log is checked with flat memory."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from app import verifier
from app.audit.canonical import canonical
from app.audit.note import Checkpoint
from app.audit.tree import Frontier, leaf_hash
from tests.verifier.verifier_kit import ORIGIN, SIGNER, put_tile

SIZE = 200_000
# What Python and cryptography take at rest is about 35 MB; a list of these entries alone would take 100.
MOST_MB = 60
# A child's peak begins with its parent's (Linux keeps it over exec), so a small process stands between this one and the measured.
MEASURED = """
import resource, subprocess, sys
code = subprocess.call([sys.executable, *sys.argv[1:]])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024, file=sys.stderr)
sys.exit(code)
"""


def bodies() -> Iterator[bytes]:
    """Yield chained entries without end, made from one pattern."""
    members: dict[str, object] = dict.fromkeys(verifier.MEMBERS)
    members |= {"v": 1, "log": ORIGIN, "action": "session:login", "outcome": "allowed", "prev": "PREV", "seq": 0}
    pattern = canonical(members).decode()  # type: ignore[arg-type]
    assert json.loads(pattern)["seq"] == 0
    before, _, rest = pattern.partition('"PREV"')
    between, _, after = rest.partition('"seq":0')
    prev, seq = "0" * 64, 0
    while True:
        body = f'{before}"{prev}"{between}"seq":{seq}{after}'.encode()
        yield body
        prev, seq = hashlib.sha256(body).hexdigest(), seq + 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export and static files of 200,000 entries."""
    made = tmp_path_factory.mktemp("long")
    frontier, bundle, hashes, upper = Frontier(), b"", b"", [b"", b""]

    with (made / "export").open("wb") as file:
        file.write(canonical({"format": "gardu-export@1", "log": ORIGIN, "size": SIZE}) + b"\n")
        for seq, body in enumerate(islice(bodies(), SIZE)):
            file.write(body + b"\n")
            leaf = leaf_hash(body)
            frontier.append(leaf)
            bundle, hashes = bundle + len(body).to_bytes(2, "big") + body, hashes + leaf
            if (seq + 1) % 256 == 0 or seq + 1 == SIZE:
                width = seq % 256 + 1
                put_tile(made, "entries", seq // 256, width, bundle)
                put_tile(made, "0", seq // 256, width, hashes)
                if width == 256:
                    upper[0] += _root(hashes)
                bundle, hashes = b"", b""
        note = SIGNER.sign(Checkpoint(ORIGIN, SIZE, frontier.root()).text())
        file.write(b"\n" + note.encode())
    for index in range(-(-len(upper[0]) // 8192)):
        part = upper[0][index * 8192 : index * 8192 + 8192]
        put_tile(made, "1", index, len(part) // 32, part)
        if len(part) == 8192:
            upper[1] += _root(part)
    put_tile(made, "2", 0, len(upper[1]) // 32, upper[1])
    (made / "checkpoint").write_text(note, "utf-8")
    return made


def _root(hashes: bytes) -> bytes:
    frontier = Frontier()
    for at in range(0, len(hashes), 32):
        frontier.append(hashes[at : at + 32])
    return frontier.root()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["export", "tiles"])
def test_memory_stays_flat(folder: Path, command: str) -> None:
    """200,000 entries take less than 60 MB, in either form."""
    path = folder / "export" if command == "export" else folder

    done = subprocess.run(
        [sys.executable, "-c", MEASURED, verifier.__file__, command, path, "--key", SIGNER.vkey],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    print(f"{command}: {done.stderr.strip()} MB")
    assert int(done.stderr) < MOST_MB
