"""The keyring file: one passphrase, one owner, never half a file."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault_helpers import flipped

from app.kernel.errors import BadInput, Conflict, KeysDown, UnsafeStart
from app.vault.keys.local import LocalKeyring

PASSPHRASE = "empat belas kata"
MASTER = b"m" * 32
KEYRING = LocalKeyring(MASTER)
WRAPPED = KEYRING.wrap(b"k" * 33, b"context")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a keyring file (made once: each argon2 costs 0.2 s)."""
    path = tmp_path_factory.mktemp("made") / "keyring"
    LocalKeyring.create(path, PASSPHRASE)
    return path.read_bytes()


@pytest.fixture
def put(tmp_path: Path) -> Callable[[bytes], Path]:
    """Write bytes to a keyring file with the right mode."""

    def write(content: bytes) -> Path:
        path = tmp_path / "keyring"
        path.touch(mode=0o600)
        path.write_bytes(content)
        return path

    return write


def test_a_new_keyring_opens_again_with_its_passphrase(tmp_path: Path) -> None:
    """The keyring opened later unwraps what the first one wrapped; only its owner may read the file; nothing else is left behind."""
    path = tmp_path / "keyring"
    previous = os.umask(0)
    try:
        first = LocalKeyring.create(path, PASSPHRASE)
    finally:
        os.umask(previous)

    assert LocalKeyring.open(path, PASSPHRASE).unwrap(first.wrap(MASTER, b"context"), b"context") == MASTER
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_size == 136
    assert [each.name for each in tmp_path.iterdir()] == ["keyring"]


def test_a_keyring_is_never_overwritten(put: Callable[[bytes], Path]) -> None:
    """Creating where a file stands is refused and leaves it as it was."""
    path = put(b"what keys hang on")

    with pytest.raises(Conflict):
        LocalKeyring.create(path, PASSPHRASE)
    assert path.read_bytes() == b"what keys hang on"
    assert [each.name for each in path.parent.iterdir()] == ["keyring"]


def test_a_wrong_passphrase_is_told_from_a_torn_file(made: bytes, put: Callable[[bytes], Path]) -> None:
    """The operator learns which of the two it is."""
    with pytest.raises(KeysDown) as wrong:
        LocalKeyring.open(put(made), "fifteen letters")
    with pytest.raises(KeysDown) as torn:
        LocalKeyring.open(put(made[:70]), PASSPHRASE)

    assert wrong.value.detail == "wrong passphrase"
    assert torn.value.detail == "keyring file is torn: restore it from backup"


@pytest.mark.parametrize("position", range(0, 136, 5))
def test_any_changed_byte_is_a_torn_file(made: bytes, put: Callable[[bytes], Path], position: int) -> None:
    """Whatever byte the disk lost, the passphrase is not blamed."""
    with pytest.raises(KeysDown, match="torn"):
        LocalKeyring.open(put(flipped(made, position, 0x40)), PASSPHRASE)


@pytest.mark.parametrize("content", [b"", b"\0" * 136, b"gardu-keyring\n", b"x" * 5000])
def test_any_other_file_is_torn(put: Callable[[bytes], Path], content: bytes) -> None:
    """An empty, zeroed, short or long file is refused before any passphrase is tried."""
    with pytest.raises(KeysDown, match="torn"):
        LocalKeyring.open(put(content), PASSPHRASE)


def rewritten(made: bytes, offset: int, form: str, *values: int) -> bytes:
    """Change header bytes and give the file a digest that fits, as an attacker could."""
    size = struct.calcsize(form)
    body = made[:offset] + struct.pack(form, *values) + made[offset + size : -32]
    return body + hashlib.sha256(body).digest()


@pytest.mark.parametrize(
    ("offset", "value"), [(16, 2**30), (16, 2**32 - 1), (16, 8), (16, 0), (20, 11), (20, 0), (20, 2**32 - 1), (24, 5), (24, 0)]
)
def test_a_hostile_file_cannot_demand_memory_or_time(made: bytes, put: Callable[[bytes], Path], offset: int, value: int) -> None:
    """Costs out of bounds are refused before argon2 runs."""
    with pytest.raises(KeysDown, match="out of bounds"):
        LocalKeyring.open(put(rewritten(made, offset, ">I", value)), PASSPHRASE)


def test_changed_costs_within_bounds_do_not_open(made: bytes, put: Callable[[bytes], Path]) -> None:
    """The header is under the tag: a cheaper derivation written into it opens nothing."""
    with pytest.raises(KeysDown, match="wrong passphrase"):
        LocalKeyring.open(put(rewritten(made, 20, ">I", 1)), PASSPHRASE)


@pytest.mark.parametrize("offset", [0, 14, 15])
def test_an_unknown_format_says_so(made: bytes, put: Callable[[bytes], Path], offset: int) -> None:
    """A file of a later version is not called torn."""
    with pytest.raises(KeysDown, match="does not know"):
        LocalKeyring.open(put(rewritten(made, offset, ">B", 2)), PASSPHRASE)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o777])
def test_a_file_that_others_can_reach_is_refused(made: bytes, put: Callable[[bytes], Path], mode: int) -> None:
    """Group or others with any right: unsafe, with the remedy."""
    path = put(made)
    path.chmod(mode)

    with pytest.raises(UnsafeStart, match="chmod 600"):
        LocalKeyring.open(path, PASSPHRASE)


def test_an_absent_file_or_folder_is_named(tmp_path: Path) -> None:
    """Opening what is not there is keys down; creating where no folder is, is unsafe."""
    with pytest.raises(KeysDown, match="no keyring file"):
        LocalKeyring.open(tmp_path / "nowhere", PASSPHRASE)
    with pytest.raises(UnsafeStart, match="cannot be written"):
        LocalKeyring.create(tmp_path / "no folder" / "keyring", PASSPHRASE)


def test_a_pipe_or_folder_in_its_place_neither_hangs_nor_opens(tmp_path: Path) -> None:
    """Only a regular file is read."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(0o700)

    for name in ("pipe", "folder"):
        with pytest.raises(UnsafeStart, match="regular file"):
            LocalKeyring.open(tmp_path / name, PASSPHRASE)


def test_a_short_passphrase_is_refused(tmp_path: Path) -> None:
    """Under 14 characters nothing is written."""
    with pytest.raises(BadInput, match="14 characters"):
        LocalKeyring.create(tmp_path / "keyring", "tiga belas aj")

    assert list(tmp_path.iterdir()) == []


def test_a_passphrase_may_be_typed_composed_or_decomposed(tmp_path: Path) -> None:
    """The same letters from another keyboard open the same file."""
    path = tmp_path / "keyring"
    LocalKeyring.create(path, "frasa pe\u0301rcobaan")

    assert LocalKeyring.open(path, "frasa p\u00e9rcobaan").health() == "local keyring: open"


def test_a_changed_passphrase_keeps_the_keys(tmp_path: Path) -> None:
    """After the change only the new passphrase opens, and what was wrapped before still unwraps."""
    path = tmp_path / "keyring"
    wrapped = LocalKeyring.create(path, PASSPHRASE).wrap(MASTER, b"context")

    LocalKeyring.change_passphrase(path, PASSPHRASE, "lima belas kata baru")

    assert LocalKeyring.open(path, "lima belas kata baru").unwrap(wrapped, b"context") == MASTER
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(KeysDown, match="wrong passphrase"):
        LocalKeyring.open(path, PASSPHRASE)


@given(st.binary(max_size=100), st.binary(max_size=60))
def test_a_wrapped_key_unwraps_in_its_context(key: bytes, context: bytes) -> None:
    """Any key comes back exactly, in its context only."""
    wrapped = KEYRING.wrap(key, context)

    assert KEYRING.unwrap(wrapped, context) == key
    with pytest.raises(KeysDown):
        KEYRING.unwrap(wrapped, context + b"\0")


@given(st.integers(0, 100), st.integers(1, 255))
def test_any_changed_byte_of_a_wrapped_key_is_found(position: int, mask: int) -> None:
    """A wrapped key cannot be changed."""
    with pytest.raises(KeysDown):
        KEYRING.unwrap(flipped(WRAPPED, position, mask), b"context")


@given(st.binary(max_size=100))
def test_no_other_bytes_unwrap(data: bytes) -> None:
    """Cut or invented bytes, or another keyring's, are keys down."""
    with pytest.raises(KeysDown):
        KEYRING.unwrap(data, b"context")
    with pytest.raises(KeysDown):
        LocalKeyring(bytes(32)).unwrap(WRAPPED, b"context")


def test_a_keyring_does_not_show_its_key() -> None:
    """repr says nothing."""
    assert repr(KEYRING) == "LocalKeyring()"
