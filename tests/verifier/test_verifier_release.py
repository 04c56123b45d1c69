"""Sealed packages: manifest, files, and the entry that announced them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.audit.note import Signer
from tests.verifier.verifier_kit import ORIGIN, SIGNER, Check, entries, manifest_text, note_of, policy_of, proof_of, put_release

FILES = {"A.csv": b"desa;jumlah\n1;2\n", "B kedua.csv": b"", "c.json": b"{}"}
Edit = Callable[[Path], object]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A sealed package of three files, with its receipt."""
    folder = tmp_path / "paket"
    put_release(folder, FILES)
    return folder


def resign(folder: Path, text: str, signer: Signer = SIGNER) -> None:
    """Put another manifest over the package, signed."""
    (folder / "gardu-release.note").write_text(signer.sign(text), "utf-8")


def manifest(folder: Path) -> str:
    return (folder / "gardu-release.note").read_text("utf-8")


def test_a_package_holds_as_a_folder_and_by_its_manifest(keyed: Check, package: Path) -> None:
    """With the receipt that stands in it, and in steps."""
    for path in (package, package / "gardu-release.note"):
        code, out = keyed("release", path)
        assert code == 0 and "Entri 3 mengumumkan rilis ini." in out and out.endswith("BAIK\n")


def test_without_a_receipt_it_says_so(keyed: Check, package: Path) -> None:
    """The files are the log's key's, but no entry was seen."""
    (package / "gardu-release.tlog-proof").rename(package.parent / "proof")

    lacking, beside = keyed("release", package), keyed("release", package, "--receipt", package.parent / "proof")

    assert lacking[0] == 0 and "? Entri rilis TIDAK diperiksa" in lacking[1]
    assert beside[0] == 0 and "? Entri" not in beside[1]


def test_without_a_key_it_is_coherent(run: Check, package: Path) -> None:
    """Anybody can seal a package of their own."""
    code, out = run("release", package, "--json")

    assert (code, json.loads(out)["result"], json.loads(out)["signed"]) == (0, "coherent", False)


def test_the_witnesses_are_those_of_the_receipt(run: Check, package: Path, tmp_path: Path) -> None:
    """The quorum is asked of the checkpoint that proves the entry."""
    (tmp_path / "policy").write_text(policy_of("kampus"), "utf-8")

    assert run("release", package, "--policy", tmp_path / "policy")[0] == 2


@pytest.mark.parametrize(
    "edit",
    [
        lambda at: (at / "A.csv").write_bytes(b"desa;jumlah\n1;3\n"),
        lambda at: (at / "A.csv").write_bytes(FILES["A.csv"] + b"\n"),
        lambda at: (at / "A.csv").write_bytes(b""),
        lambda at: (at / "A.csv").unlink(),
        lambda at: (at / "B kedua.csv").unlink(),
        lambda at: (at / "c.json").rename(at / "d.json"),
        lambda at: (at / "more").write_bytes(b""),
        lambda at: (at / ".hidden").write_bytes(b""),
        lambda at: (at / "folder").mkdir(),
        lambda at: ((at / "c.json").unlink(), (at / "c.json").mkdir()),
        lambda at: ((at / "A.csv").rename(at.parent / "A.csv"), (at / "A.csv").symlink_to(at.parent / "A.csv")),
        lambda at: ((at / "c.json").unlink(), (at / "c.json").symlink_to("/dev/zero")),
    ],
    ids=["changed", "longer", "emptied", "gone", "empty gone", "renamed", "extra", "hidden", "folder", "a folder", "a link", "a device"],
)
def test_a_package_that_is_not_as_sealed_is_refused(keyed: Check, package: Path, edit: Edit) -> None:
    """Each file, nothing missing, nothing more, and no link to something else."""
    edit(package)

    code, out = keyed("release", package)

    assert code == 1 and "berkas" in out


GOOD = manifest_text(FILES, 3)
LINES = GOOD.splitlines(keepends=True)


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("paket-2029-1", "paket-2029-2"),
        GOOD.replace("paket-2029-1", "paket 2029"),
        GOOD.replace("\n3\n", "\n2\n"),
        GOOD.replace("\n3\n", "\n03\n"),
        GOOD.replace(ORIGIN, "lain.localhost/gardu/1"),
        "".join(LINES[:4]),
        "".join([*LINES[:4], LINES[5], LINES[4], LINES[6]]),
        "".join([*LINES, LINES[6]]),
        "".join([*LINES, "\n"]),
        GOOD.replace(" 16 A.csv", " 016 A.csv"),
        GOOD.replace(" 16 A.csv", " 17 A.csv"),
        GOOD.replace(" 16 A.csv", "  16 A.csv"),
        GOOD.replace("c.json", "c.json "),
        GOOD.replace(LINES[4][:64], LINES[4][:64].upper()),
        GOOD.replace(LINES[4][:64], LINES[4][:63]),
    ],
)
def test_a_manifest_with_another_field_is_refused_though_the_log_signed_it(keyed: Check, package: Path, text: str) -> None:
    """Form, files and the entry's digest hold every line of it."""
    resign(package, text)

    assert keyed("release", package)[0] in {1, 2}


@pytest.mark.parametrize(
    "name", ["../A.csv", "..", ".", "", "a/b", "a\\b", "C:x", "\u202egpj.exe", "x\u2028", "a" * 300, "/etc/hosts", "gardu-release.note"]
)
def test_a_name_that_leads_elsewhere_is_refused(keyed: Check, package: Path, name: str) -> None:
    """Plain file names only: no folder, no drive, nothing that hides what it is."""
    resign(package, "".join(LINES[:4]) + f"{'0' * 64} 0 {name}\n")

    code, out = keyed("release", package)

    assert code == 1 and "\u202e" not in out


def test_a_manifest_of_another_key_is_refused(keyed: Check, package: Path) -> None:
    """The log's own name does not help a thief."""
    resign(package, GOOD, Signer(ORIGIN, bytes(32)))

    assert keyed("release", package)[0] == 1


def test_a_receipt_of_another_entry_does_not_announce(keyed: Check, package: Path) -> None:
    """Another number, another detail, another type: none is this release's entry."""
    digest = json.loads(entries(1)[0])["prev"]
    for seq, detail in ((2, None), (3, None), (3, {"type": "release", "sha256": digest}), (3, {"type": "report", "sha256": digest})):
        bodies = entries(5, detail={seq: detail} if detail else None)
        (package / "gardu-release.tlog-proof").write_text(proof_of(bodies, seq, note_of(bodies)), "utf-8")
        assert keyed("release", package)[0] == 1


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_any_bit_of_the_manifest_counts(keyed: Check, package: Path, data: st.DataObject) -> None:
    """A bit turned anywhere is refused."""
    good = (package / "gardu-release.note").read_bytes()
    at, bit = data.draw(st.integers(0, len(good) - 1)), data.draw(st.integers(0, 7))
    try:
        (package / "gardu-release.note").write_bytes(good[:at] + bytes([good[at] ^ (1 << bit)]) + good[at + 1 :])
        code, _ = keyed("release", package)
    finally:
        (package / "gardu-release.note").write_bytes(good)

    assert code in {1, 2}


def test_a_checkpoint_is_no_manifest_and_a_manifest_no_checkpoint(keyed: Check, package: Path, tmp_path: Path) -> None:
    """What one key signs for one thing cannot be shown for another."""
    (tmp_path / "checkpoint").write_text(note_of(entries(3)), "utf-8")

    assert keyed("release", tmp_path / "checkpoint")[0] == 2
    assert keyed("checkpoint", package / "gardu-release.note")[0] == 1
    assert keyed("release", tmp_path / "none")[0] == 2
    assert keyed("release", tmp_path)[0] == 2
    assert manifest(package).startswith("gardu-release@1\n")
