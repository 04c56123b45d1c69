"""Padding, derivation and the shapes of cells and boxes."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from vault_helpers import subkey

from app.vault import envelope
from app.vault.envelope import Malformed


@given(st.binary(max_size=200))
def test_padding_comes_off_again_and_hides_the_length(plain: bytes) -> None:
    """Padding gives a multiple of 16, at least one byte more, and comes off exactly."""
    padded = envelope.pad(plain)

    assert len(padded) % 16 == 0
    assert 1 <= len(padded) - len(plain) <= 16
    assert envelope.unpad(padded) == plain


@given(st.binary(max_size=80))
def test_only_what_pad_makes_comes_off(data: bytes) -> None:
    """Any other bytes are refused, so that two paddings never mean one text."""
    try:
        plain = envelope.unpad(data)
    except Malformed:
        return

    assert envelope.pad(plain) == data


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=60))
def test_a_subkey_is_hkdf_expand(key: bytes, info: bytes) -> None:
    """Our one-block expansion is the library's HKDF-Expand (RFC 5869)."""
    assert envelope.expand(key, info) == subkey(key, info)


@given(st.binary(max_size=120))
def test_a_cell_parses_or_is_malformed(data: bytes) -> None:
    """No bytes make the cell parser fail in another way, and what it parses has the format's shape."""
    try:
        version, salt, rest = envelope.parse_cell(data)
    except Malformed:
        return

    assert envelope.cell_header(version, salt) + rest == data


@given(st.binary(max_size=120), st.sampled_from((1, 5)))
def test_no_random_bytes_open_as_a_box(data: bytes, head_size: int) -> None:
    """A box that nobody sealed is malformed, whatever its length."""
    with pytest.raises(Malformed):
        envelope.unbox(AESGCM(bytes(32)), data, b"context", head_size=head_size)


@pytest.mark.parametrize("kab", ["", "51.7", "51.711", "51.7é", None, 5171])
def test_a_place_has_one_width(kab: object) -> None:
    """A kab of another width cannot shift the bytes of a context."""
    with pytest.raises(Malformed):
        envelope.row_place(kab, "a" * 26)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [-1, 2**32, "1", None, 1.0])
def test_a_number_has_four_bytes(number: object) -> None:
    """A number outside four bytes, or no number, is malformed."""
    with pytest.raises(Malformed):
        envelope.numbers(number)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a" * 17, "voter\0", "pemilîh"])
def test_a_name_in_a_context_is_short_ascii(name: str) -> None:
    """A name that could run into the next field is malformed."""
    with pytest.raises(Malformed):
        envelope.fixed(name)
