"""What a payload must hold for its entry to be borne out."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.content import pack, unpack, visit_commitment
from app.kernel.errors import BadInput

SALT = bytes(range(32))


def test_what_is_packed_is_read_back() -> None:
    """Salt, subjects and visit survive; further members stand beside them."""
    packed = pack(salt=SALT, subjects=["51.71-a", "51.71-b"], visit=b'{"v":1}', address="192.0.2.7")

    content = unpack(packed)

    assert (content.salt, content.subjects, content.visit) == (SALT, ("51.71-a", "51.71-b"), '{"v":1}')
    assert b'"address":"192.0.2.7"' in packed
    assert "51.71-a" not in repr(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"salt":"00","subjects":[]}',
        b'{"salt":"%s"}' % (b"00" * 32),
        b'{"salt":"%s","subjects":"a"}' % (b"00" * 32),
        b'{"salt":"%s","subjects":[1]}' % (b"00" * 32),
        b'{"salt":"%s","subjects":["\xc3\xa9"]}' % (b"00" * 32),
        b'{"salt":"%s","subjects":[],"visit":1}' % (b"00" * 32),
        b'{"salt":"%s","subjects":[]}' % (b"0G" * 32),
        b"\xff",
        b"[" * 100_000,
    ],
    ids=range(12),
)
def test_content_out_of_form_is_refused(content: bytes) -> None:
    """A payload without salt or subjects cannot bear out an entry."""
    with pytest.raises(BadInput):
        unpack(content)


@pytest.mark.parametrize("salt", [b"", bytes(15), bytes(65)])
def test_a_salt_has_16_to_64_bytes(salt: bytes) -> None:
    """A short salt could be tried."""
    with pytest.raises(BadInput):
        pack(salt=salt)


@given(st.binary(max_size=200))
def test_any_bytes_are_content_or_bad_input(content: bytes) -> None:
    """Nothing else comes of reading a payload."""
    with pytest.raises(BadInput):
        unpack(content)


def test_the_commitment_to_a_visit_is_salted() -> None:
    """It is SHA-256(0x00 ‖ salt ‖ visit); another salt gives another."""
    assert visit_commitment(SALT, b"visit") == sha256(b"\x00" + SALT + b"visit").digest()
    assert visit_commitment(SALT, b"visit") != visit_commitment(SALT[::-1], b"visit")
