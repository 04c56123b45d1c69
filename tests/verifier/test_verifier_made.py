"""What Gardu itself makes, the one-file verifier takes: the two were written apart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from app import verifier
from app.audit import published
from app.audit.export import export
from app.audit.note import split_note
from app.audit.proof import tlog_proof
from app.audit.quorum import parse_policy
from app.audit.static import export_tiles
from app.audit.tiles import store_tiles
from app.kernel.errors import BadInput
from app.store.engine import Store
from tests.trail_kit import NOON, ORIGIN, SIGNER, bare_sqlite, dice, fill, mixed
from tests.vectors import independent
from tests.verifier.verifier_kit import BAWASLU, Check, policy_of

SIZE, OLDER = 270, 200


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A log of 270 entries with two published checkpoints, both cosigned by Bawaslu's witness."""
    store = bare_sqlite(tmp_path_factory.mktemp("log") / "gardu.db")
    fill(store, mixed(SIZE))
    store_tiles(store, ORIGIN, SIZE)
    for size in (OLDER, SIZE):
        note = tlog_proof(store, ORIGIN, size - 1).partition("\n\n")[2]
        at = NOON + timedelta(seconds=size)
        line = BAWASLU.sign(split_note(note)[0], int(at.timestamp()))
        signed = published.Cosignature(size, BAWASLU.verifier.key_id.hex(), BAWASLU.name, line, at)
        published.put_published(store, ORIGIN, published.Published(size, note, at), [signed])
    return store


def test_static_files_with_the_witness(log: Store, run: Check, tmp_path: Path) -> None:
    """Tiles, bundles and cosigned checkpoint as the export writes them, by key and by policy."""
    export_tiles(log, ORIGIN, tmp_path / "log", lambda done, total: None)
    policy = policy_of("bawaslu", log=SIGNER.vkey)
    checkpoint = (tmp_path / "log" / "checkpoint").read_text("utf-8")

    assert run("tiles", tmp_path / "log", "--key", SIGNER.vkey)[0] == 0
    assert verifier.check_text("auto", checkpoint, policy=policy, now=NOON.timestamp() + SIZE).result == "good"


def test_published_receipts_reach_the_quorum_and_the_batchs_own_do_not(log: Store) -> None:
    """A receipt against a published checkpoint carries its witness; the one handed out with the page is older than that."""
    policy, now = policy_of("bawaslu", log=SIGNER.vkey), NOON.timestamp() + SIZE
    for seq in (0, 77, OLDER - 2, SIZE - 2):
        whole, early = tlog_proof(log, ORIGIN, seq, published=True), tlog_proof(log, ORIGIN, seq)
        assert verifier.check_text("receipt", whole, policy=policy, now=now).result == "good"
        assert verifier.check_text("receipt", early, policy=policy, now=now).result == "unchecked"
        assert verifier.check_text("receipt", early, key=SIGNER.vkey).result == "good"


def test_the_export_shows_that_it_continues_an_older_checkpoint(log: Store, run: Check, tmp_path: Path) -> None:
    """Consistency by export and by tiles agree."""
    export(log, ORIGIN, tmp_path / "export")
    export_tiles(log, ORIGIN, tmp_path / "log", lambda done, total: None)
    (tmp_path / "old").write_text(tlog_proof(log, ORIGIN, OLDER - 1).partition("\n\n")[2], "utf-8")
    both = ("consistency", tmp_path / "old", tmp_path / "log" / "checkpoint", "--key", SIGNER.vkey)

    assert run(*both, "--export", tmp_path / "export")[0] == 0
    assert run(*both, "--tiles", tmp_path / "log")[0] == 0


def test_three_readers_of_policies_agree() -> None:
    """Gardu's own, the one-file verifier's and the checker written from the specifications accept and refuse the same files."""
    roll, good = dice(7), policy_of("g", "group g 2 bawaslu kampus")
    files = [good, policy_of("none"), policy_of("bawaslu"), "quorum none\n"]
    for _ in range(1_500):
        at = roll.randrange(len(good))
        files.append(good[:at] + roll.choice(["", good[at] * 2, " ", "\n", "\t", "x", "\r"]) + good[at + 1 :])

    def takes(read: Callable[[], object]) -> bool:
        try:
            read()
        except (BadInput, independent.Refused, verifier.CannotCheck):
            return False
        return True

    said = [
        {
            takes(lambda one=one: parse_policy(one)),  # type: ignore[misc]
            takes(lambda one=one: independent.Policy.parse(one.encode())),  # type: ignore[misc]
            takes(lambda one=one: verifier.parse_policy(verifier.Trust(0), one)),  # type: ignore[misc]
        }
        for one in files
    ]

    assert [len(one) for one in said] == [1] * len(files)
    assert {True} in said and {False} in said
