"""The product against vectors that a second script made from docs/vault-format.md."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from vault_helpers import Shelf, Stream, hex_bytes

from app.kernel.fields import ELEMENTS
from app.vault.blind import Blind, FileDigest, normalise_name
from app.vault.house import KeyHouse, L1Key
from app.vault.keys.local import LocalKeyring
from app.vault.payload import PayloadBox
from app.vault.seal import Clear, SealedBlob, SealedRow, check_seal, seal_blob, seal_row
from app.vault.seeds import open_seed, seal_seed, seed_epoch
from app.vault.turn import rewrap
from app.vault.unseal import open_blob, open_dpid, open_row

FOLDER = Path(__file__).parent.parent / "vectors" / "vault"
VECTORS: dict[str, Any] = json.loads((FOLDER / "vault.json").read_text(encoding="utf-8"))


def l1(purpose: str) -> L1Key:
    vector = next(each for each in VECTORS["l1"] if each["purpose"] == purpose)
    return L1Key(purpose, vector["scope"], vector["epoch"], bytes.fromhex(vector["secret"]), vector["bits"])


@pytest.fixture
def keyring_file(tmp_path: Path) -> Path:
    path = tmp_path / "keyring"
    path.touch(mode=0o600)
    path.write_bytes(bytes.fromhex(VECTORS["keyring"]["file"]))
    return path


@pytest.fixture
def house(keyring_file: Path) -> KeyHouse:
    """The house that opens every L1 key of the vectors from their wrapped bytes."""
    shelf = Shelf()
    for each in VECTORS["l1"]:
        shelf.put(each["purpose"], each["scope"], each["epoch"], bytes.fromhex(each["wrapped"]))
    return KeyHouse(LocalKeyring.open(keyring_file, VECTORS["keyring"]["passphrase"]), shelf)


def test_the_script_still_makes_the_committed_vectors() -> None:
    """The vectors are what the second script prints, to the byte, and the script imports nothing of the product."""
    script = FOLDER / "make_vault_vectors.py"
    made = subprocess.run([sys.executable, "-I", str(script)], capture_output=True, check=True, timeout=60)

    assert made.stdout == (FOLDER / "vault.json").read_bytes()
    assert "app." not in script.read_text(encoding="utf-8")


def test_keyring_and_wrapped_keys_open(house: KeyHouse, keyring_file: Path) -> None:
    """The file of the vectors opens, and with it every wrapped key, with its bits: those of the first form, and those that name their key."""
    for each in VECTORS["l1"]:
        assert house.key(each["purpose"], each["scope"], each["epoch"]) == l1(each["purpose"])
    shelf = Shelf()
    for each in VECTORS["l1_headed"]:
        shelf.put(each["purpose"], each["scope"], each["epoch"], bytes.fromhex(each["wrapped"]))
    later = KeyHouse(LocalKeyring.open(keyring_file, VECTORS["keyring"]["passphrase"]), shelf)
    for each in VECTORS["l1_headed"]:
        opened = later.key(each["purpose"], each["scope"], each["epoch"])
        assert (opened.secret.hex(), opened.bits) == (each["secret"], each["bits"])


def test_keyring_and_wrapped_keys_are_made(tmp_path: Path) -> None:
    """With the same randomness the product writes the same file and the same wrapped keys."""
    vector = VECTORS["keyring"]
    path = tmp_path / "keyring"
    LocalKeyring.create(path, vector["passphrase"], entropy=Stream(vector["entropy"]))

    assert path.read_bytes().hex() == vector["file"]
    master = bytes.fromhex(vector["entropy"])[:32]
    for each in VECTORS["l1_headed"]:
        secret, nonce = each["entropy"][:64], each["entropy"][64:]
        maker = KeyHouse(LocalKeyring(master, entropy=Stream(nonce)), Shelf(), entropy=Stream(secret))
        assert maker.make(each["purpose"], each["scope"], each["epoch"], bits=each["bits"]).hex() == each["wrapped"]


def stored_row(name: str) -> SealedRow:
    first, vector = VECTORS["row"], VECTORS[name]
    wrapped, b_nik, b_nkk, b_nd = hex_bytes(first, "wrapped", "b_nik", "b_nkk", "b_nd")
    cells = tuple(bytes.fromhex(cell) for cell in vector["cells"])
    seal, epoch = bytes.fromhex(vector["seal"]), vector["clear"]["key_epoch"]
    return SealedRow(Clear(**vector["clear"]), cells, wrapped, b_nik, b_nkk, b_nd, seal, epoch)


@pytest.mark.parametrize("name", ["row", "later_row"])
def test_a_row_opens(name: str, house: KeyHouse) -> None:
    """The row opens, also after one cell was sealed again at a later version under its own salt."""
    row, values = stored_row(name), VECTORS[name]["values"]
    key = house.key("seal", "51.71", row.clear.key_epoch)

    check_seal(key, row)
    assert open_row(key, row, ELEMENTS) == dict(zip(ELEMENTS, values[1:], strict=True))
    assert open_dpid(key, row) == values[0]


def test_a_row_is_made() -> None:
    """With the same randomness the product makes the same row, cell by cell, and the same seal."""
    vector = VECTORS["row"]
    indexes = hex_bytes(vector, "b_nik", "b_nkk", "b_nd")

    assert seal_row(l1("seal"), Clear(**vector["clear"]), vector["values"], *indexes, entropy=Stream(vector["entropy"])) == stored_row(
        "row"
    )


def test_a_row_is_wrapped_anew() -> None:
    """Under the next seal key, with the same randomness: the same wrapped key and seal, and it opens with that key alone."""
    vector, first = VECTORS["rewrapped"], stored_row("row")
    [fresh] = [
        L1Key("seal", "51.71", one["epoch"], bytes.fromhex(one["secret"])) for one in VECTORS["l1_headed"] if one["purpose"] == "seal"
    ]

    made = rewrap(l1("seal"), fresh, first, entropy=Stream(vector["entropy"]))

    assert (made.epoch, made.wrapped.hex(), made.seal.hex()) == (vector["epoch"], vector["wrapped"], vector["seal"])
    assert made == replace(first, epoch=made.epoch, wrapped=made.wrapped, seal=made.seal)
    assert open_row(fresh, made, ELEMENTS) == dict(zip(ELEMENTS, VECTORS["row"]["values"][1:], strict=True))


def test_a_quarantined_row_is_made_and_opens() -> None:
    """With the same randomness the product makes the same quarantined row, and opens it."""
    vector = VECTORS["blob"]
    columns = {name: vector[name] for name in ("election", "load", "row_no", "reasons")}
    wrapped, cell, seal = hex_bytes(vector, "wrapped", "cell", "seal")

    made = seal_blob(l1("seal"), vector["kab"], vector["uid"], vector["values"], **columns, entropy=Stream(vector["entropy"]))

    assert made == SealedBlob("quarantine", vector["kab"], vector["uid"], **columns, key_epoch=3, wrapped=wrapped, cell=cell, seal=seal)
    assert open_blob(l1("seal"), made) == tuple(vector["values"])


def test_a_payload_is_made_and_opens(house: KeyHouse) -> None:
    """With the same randomness the product makes the same payload, commitment and tokens, and opens it."""
    vector = VECTORS["payload"]
    content = bytes.fromhex(vector["content"])
    box = PayloadBox(house, entropy=Stream(vector["entropy"]))

    made = box.seal(content, vector["uids"], datetime.fromisoformat(vector["at"]), vector["log"])

    assert (made.day, made.sealed.hex(), made.wrapped.hex()) == (vector["day"], vector["sealed"], vector["wrapped"])
    assert (made.sha256.hex(), made.commitment.hex()) == (vector["sha256"], vector["commitment"])
    assert [token.hex() for token in made.tokens] == vector["tokens"]
    assert box.open(made.sealed, made.wrapped, made.day, vector["log"], made.commitment) == content


def test_a_seed_is_made_and_opens() -> None:
    """With the same randomness the product seals the same seed, and opens it."""
    vector = VECTORS["seed"]
    secret = bytes.fromhex(vector["secret"])

    made = seal_seed(l1("seed"), vector["account"], vector["version"], secret, entropy=Stream(vector["entropy"]))

    assert made.hex() == vector["sealed"]
    assert seed_epoch(vector["account"], made) == 1
    assert open_seed(l1("seed"), vector["account"], vector["version"], made) == secret


def test_blind_indexes_are_those_of_the_vectors() -> None:
    """NIK per election; NKK and name + birth date in every width."""
    vector = VECTORS["blind"]
    kab = l1("blind")

    for election, token in vector["b_nik"].items():
        assert Blind(l1("nik"), kab).b_nik(vector["nik"], election).hex() == token
    for bits, token in vector["b_nkk"].items():
        blind = Blind(l1("nik"), L1Key(kab.purpose, kab.scope, kab.epoch, kab.secret, int(bits)))
        assert blind.b_nkk(vector["nkk"]).hex() == token
        assert blind.b_nd(vector["name"], vector["birth_date"]).hex() == vector["b_nd"][bits]


@pytest.mark.parametrize(("name", "normal"), VECTORS["blind"]["names"])
def test_names_are_normalised_as_in_the_vectors(name: str, normal: str) -> None:
    """Two implementations of the written rules agree."""
    assert normalise_name(name) == normal


def test_the_digest_of_a_file_is_that_of_the_vectors() -> None:
    """The digest does not depend on how the bytes were cut."""
    vector = VECTORS["file"]
    digest = FileDigest(l1("index"))
    for _ in range(vector["times"]):
        digest.update(vector["repeat"].encode())

    assert digest.digest().hex() == vector["digest"]
