"""A whole log as static files (C2SP tlog-tiles), and consistency by its tiles."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.audit.canonical import canonical
from app.audit.note import Checkpoint
from app.audit.tree import leaf_hash, root_of
from tests.verifier.verifier_kit import BAWASLU, ORIGIN, SIGNER, Check, consistency_of, entries, note_of, policy_of, put_tiles

SIZE = 600  # three tiles of level 0, one of them partial, and a partial one of level 1
BODIES = entries(SIZE)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 600 entries as static files, cosigned."""
    folder = tmp_path_factory.mktemp("log")
    put_tiles(folder, BODIES, note_of(BODIES, BAWASLU, at=1_700_000_000))
    return folder


@pytest.fixture
def copy(log: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(log, tmp_path / "log"))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_tree_of_files_is_the_standards(log: Path) -> None:
    """What the maker here writes is what tlog-tiles names for this size."""
    levels = ["tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"]

    assert files(log) == ["checkpoint", *levels, "tile/entries/000", "tile/entries/001", "tile/entries/002.p/88"]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512, SIZE])
def test_a_whole_log_of_any_size_holds(keyed: Check, tmp_path: Path, size: int) -> None:
    """Nothing, one entry, the edges of tiles."""
    put_tiles(tmp_path, BODIES[:size], note_of(BODIES[:size]))

    code, out = keyed("tiles", tmp_path)

    assert code == 0, out


def test_the_policy_counts_for_static_files_too(run: Check, log: Path, tmp_path: Path) -> None:
    """The checkpoint in the folder carries its witnesses."""
    (tmp_path / "policy").write_text(policy_of("all", "group all all bawaslu kampus"), "utf-8")
    (tmp_path / "one").write_text(policy_of("bawaslu"), "utf-8")

    assert run("tiles", log, "--policy", tmp_path / "one")[0] == 0
    assert run("tiles", log, "--policy", tmp_path / "policy")[0] == 2


@pytest.mark.parametrize("name", ["tile/0/000", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/001", "tile/entries/002.p/88"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw[:-1],
        lambda raw: raw[:-32],
        lambda raw: raw + b"\0",
        lambda raw: raw + raw[-32:],
        lambda raw: b"",
        lambda raw: raw[32:64] + raw[:32] + raw[64:],
        lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]),
        lambda raw: bytes([raw[0] ^ 128]) + raw[1:],
        lambda raw: bytes(len(raw)),
    ],
    ids=["cut", "hash cut", "byte more", "hash more", "empty", "swapped", "last bit", "first bit", "zeroes"],
)
def test_a_spoiled_file_is_named(keyed: Check, copy: Path, name: str, spoil: Callable[[bytes], bytes]) -> None:
    """Cut, grown, swapped, emptied or with one bit turned: tampered, and the file or an entry in it named."""
    (copy / name).write_bytes(spoil((copy / name).read_bytes()))

    code, out = keyed("tiles", copy)

    assert code == 1
    assert name in out or ("entries" in name and "entri " in out)


@pytest.mark.parametrize("name", ["tile/0/001", "tile/1/000.p/2", "tile/entries/000", "tile/entries/002.p/88", "tile"])
def test_a_missing_file_is_tampering(keyed: Check, copy: Path, name: str) -> None:
    """A log from which a file was taken is no whole log."""
    shutil.rmtree(copy / name) if (copy / name).is_dir() else (copy / name).unlink()

    assert keyed("tiles", copy)[0] == 1


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_any_bit_of_any_file_counts(keyed: Check, log: Path, data: st.DataObject) -> None:
    """A bit turned anywhere is refused, never accepted and never a traceback."""
    name = data.draw(st.sampled_from(files(log)))
    good = (log / name).read_bytes()
    # The last line is the witness's, whom a key alone does not know.
    known = good.rindex(b"\n", 0, -1) if name == "checkpoint" else len(good)
    at, bit = data.draw(st.integers(0, known - 1)), data.draw(st.integers(0, 7))
    try:
        (log / name).write_bytes(good[:at] + bytes([good[at] ^ (1 << bit)]) + good[at + 1 :])
        code, _ = keyed("tiles", log)
    finally:
        (log / name).write_bytes(good)

    assert code in {1, 2}


def test_tiles_rebuilt_over_changed_entries_do_not_lead_to_the_signed_root(keyed: Check, copy: Path) -> None:
    """Everything recomputed but the signature."""
    forged = [*BODIES[:-1], BODIES[-1].replace(b'"allowed"', b'"denied"')]
    put_tiles(copy, forged, (copy / "checkpoint").read_text("utf-8"))

    code, out = keyed("tiles", copy)

    assert code == 1 and "akar" in out


def test_a_broken_chain_shows_though_the_log_signed_it(keyed: Check, tmp_path: Path) -> None:
    """The tree alone does not say that entries follow each other; the chain does."""
    forged = [*BODIES[:7], *entries(9, ORIGIN, {3: {"type": "x", "sha256": "0" * 64}})[7:]]
    put_tiles(tmp_path, forged, note_of(forged))

    code, out = keyed("tiles", tmp_path)

    assert code == 1 and "rantai prev putus" in out


def test_a_folder_that_is_no_log_cannot_be_checked(keyed: Check, log: Path, tmp_path: Path) -> None:
    """No folder, an empty one, a file: exit 2."""
    for folder in (tmp_path, tmp_path / "none", log / "checkpoint"):
        assert keyed("tiles", folder)[0] == 2


def test_a_claimed_size_costs_nothing(keyed: Check, tmp_path: Path) -> None:
    """A checkpoint over 2^62 entries ends at the first bundle that is not there."""
    (tmp_path / "checkpoint").write_text(SIGNER.sign(Checkpoint(ORIGIN, 2**62, bytes(32)).text()), "utf-8")

    assert keyed("tiles", tmp_path)[0] == 1


def test_names_of_tiles_beyond_a_thousand_are_grouped(tmp_path: Path) -> None:
    """Index 1234067 stands under x001/x234/067, as the standard's example says."""
    from app import verifier

    assert verifier.read_tile(tmp_path, "0", 1_234_067, 256, 1)[0] == "tile/0/x001/x234/067"
    assert verifier.read_tile(tmp_path, "entries", 1_000, 7, 1)[0] == "tile/entries/x001/000.p/7"


# ---- consistency ----


@pytest.mark.parametrize("old", [0, 1, 255, 256, 257, 599, SIZE])
def test_consistency_by_tiles(keyed: Check, log: Path, tmp_path: Path, old: int) -> None:
    """Public tiles suffice: no entry is needed."""
    (tmp_path / "old").write_text(note_of(BODIES[:old]), "utf-8")

    assert keyed("consistency", tmp_path / "old", log / "checkpoint", "--tiles", log)[0] == 0


def test_a_rewritten_log_does_not_continue_an_older_checkpoint(keyed: Check, log: Path, tmp_path: Path) -> None:
    """Signed by the log's own key and whole in itself: the older checkpoint gives it away, by tiles, proof and export alike."""
    forged = entries(SIZE, detail={5: {"type": "x", "sha256": "0" * 64}})
    put_tiles(tmp_path / "forged", forged, note_of(forged))
    (tmp_path / "old").write_text(note_of(BODIES[:300]), "utf-8")
    (tmp_path / "proof").write_text(consistency_of(forged, 300), "utf-8")
    both = (tmp_path / "old", tmp_path / "forged" / "checkpoint")

    assert keyed("tiles", tmp_path / "forged")[0] == 0
    assert keyed("consistency", *both, "--tiles", tmp_path / "forged")[0] == 1
    assert keyed("consistency", *both, "--tiles", log)[0] == 1
    assert keyed("consistency", *both, "--proof", tmp_path / "proof")[0] == 1


def test_consistency_needs_tiles_that_reach(keyed: Check, copy: Path, tmp_path: Path) -> None:
    """Tiles of a later size do; a missing one is no tampering, only nothing to say."""
    (tmp_path / "old").write_text(note_of(BODIES[:100]), "utf-8")
    (tmp_path / "new").write_text(note_of(BODIES[:300]), "utf-8")
    (tmp_path / "far").write_text(SIGNER.sign(Checkpoint(ORIGIN, 601, root_of(map(leaf_hash, BODIES))).text()), "utf-8")

    assert keyed("consistency", tmp_path / "old", tmp_path / "new", "--tiles", copy)[0] == 0
    assert keyed("consistency", tmp_path / "old", tmp_path / "far", "--tiles", copy)[0] == 2
    (copy / "tile" / "0" / "000").unlink()
    assert keyed("consistency", tmp_path / "old", tmp_path / "new", "--tiles", copy)[0] == 2


@pytest.mark.parametrize("old_witnessed", [True, False])
def test_the_quorum_is_asked_of_the_newer_checkpoint(run: Check, log: Path, tmp_path: Path, old_witnessed: bool) -> None:
    """Witnesses of the newer have seen the older; but a bad cosignature on the older is tampering all the same."""
    (tmp_path / "policy").write_text(policy_of("bawaslu"), "utf-8")
    older = note_of(BODIES[:9], *([BAWASLU] if old_witnessed else []), at=1_700_000_000)
    (tmp_path / "old").write_text(older, "utf-8")
    (tmp_path / "bad").write_text(note_of(BODIES[:9]) + BAWASLU.sign(note_of(BODIES[:8]).partition("\n\n")[0] + "\n", 9), "utf-8")
    new = (log / "checkpoint", "--tiles", log, "--policy", tmp_path / "policy")

    assert run("consistency", tmp_path / "old", *new)[0] == 0
    assert run("consistency", tmp_path / "bad", *new)[0] == 1


def test_an_entry_that_is_not_canonical_is_found_in_a_bundle(keyed: Check, tmp_path: Path) -> None:
    """Also when tree and signature fit its bytes."""
    forged = [BODIES[0].replace(b'":', b'": ', 1)]
    put_tiles(tmp_path, forged, note_of(forged))
    other = [canonical({"v": 1})]
    put_tiles(tmp_path / "other", other, note_of(other))

    assert keyed("tiles", tmp_path)[0] == 1
    assert keyed("tiles", tmp_path / "other")[0] == 1
