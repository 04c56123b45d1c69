"""Seeds of one-time codes open for their own account and version only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault_helpers import OTHER_UID, UID, flipped

from app.kernel.errors import SealBroken
from app.vault.house import L1Key
from app.vault.seeds import open_seed, seal_seed, seed_epoch

KEY = L1Key("seed", "00", 2, b"s" * 32)
SECRET = b"twenty bytes of seed"
SEALED = seal_seed(KEY, UID, 1, SECRET)


@given(st.binary(max_size=64), st.integers(0, 2**32 - 1))
def test_a_seed_opens_as_it_was_sealed(secret: bytes, version: int) -> None:
    """Any secret comes back exactly; the epoch of its key can be read first."""
    sealed = seal_seed(KEY, UID, version, secret)

    assert seed_epoch(UID, sealed) == 2
    assert open_seed(KEY, UID, version, sealed) == secret


@given(st.integers(0, 100), st.integers(1, 255))
def test_any_changed_byte_is_found_but_the_stored_epoch(position: int, mask: int) -> None:
    """Format, nonce, ciphertext and tag cannot be changed; a changed epoch names another key, which does not open it."""
    changed = flipped(SEALED, position, mask)
    if changed[1:5] != SEALED[1:5]:
        epoch = seed_epoch(UID, changed)
        other = L1Key("seed", "00", epoch, b"s" * 32)
        with pytest.raises(SealBroken):
            open_seed(other, UID, 1, changed)
    else:
        with pytest.raises(SealBroken, match=UID):
            open_seed(KEY, UID, 1, changed)


@given(st.binary(max_size=80))
def test_no_other_bytes_open(data: bytes) -> None:
    """Cut or invented bytes are a broken seal."""
    with pytest.raises(SealBroken):
        open_seed(KEY, UID, 1, data)


@pytest.mark.parametrize(("account", "version"), [(OTHER_UID, 1), (UID, 2), (UID, -1), ("short", 1), ("é" * 26, 1)])
def test_a_seed_belongs_to_account_and_version(account: str, version: int) -> None:
    """Copied to another account, or brought back after a new enrolment, it does not open."""
    with pytest.raises(SealBroken):
        open_seed(KEY, account, version, SEALED)


def test_another_key_opens_nothing() -> None:
    """Another secret does not open it; a key for another purpose is a mistake found at once."""
    with pytest.raises(SealBroken):
        open_seed(L1Key("seed", "00", 2, bytes(32)), UID, 1, SEALED)
    with pytest.raises(ValueError, match="seed key"):
        open_seed(L1Key("pepper", "00", 2, b"s" * 32), UID, 1, SEALED)


@pytest.mark.parametrize("data", [b"", b"\x01\0\0", b"\x02" + SEALED[1:]], ids=["empty", "cut", "format"])
def test_an_epoch_is_not_read_from_what_is_no_seed(data: bytes) -> None:
    """Cut bytes or an unknown format are a broken seal."""
    with pytest.raises(SealBroken, match=UID):
        seed_epoch(UID, data)
