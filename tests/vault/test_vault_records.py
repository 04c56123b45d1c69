"""Rows that decide about voters cannot be made or changed by whoever may only write to the database."""

from __future__ import annotations

import hmac
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault_helpers import OpenProvider, Shelf, subkey

from app.kernel.errors import KeysDown, SealBroken
from app.vault.house import KeyHouse
from app.vault.records import Field, RecordSeal

FIELDS = st.lists(
    st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=9), st.integers(0, 2**40), st.binary(max_size=9))
)


def opened(*purposes: str) -> KeyHouse:
    shelf = Shelf()
    house = KeyHouse(OpenProvider(), shelf)
    for purpose in purposes:
        shelf.put(purpose, "00", 1, house.make(purpose, "00", 1))
    return house


HOUSE = opened("audit")
SEALS = RecordSeal(HOUSE)


@given(FIELDS, FIELDS)
def test_two_rows_have_one_seal_only_when_they_are_the_same(first: list[Field], second: list[Field]) -> None:
    """No field can borrow a byte from its neighbour, no number pass for a text, no absence for emptiness."""
    same = first == second and [type(one) for one in first] == [type(one) for one in second]

    assert (SEALS.of("mandate", first) == SEALS.of("mandate", second)) == same


def test_the_seal_is_what_the_format_says() -> None:
    """HMAC-SHA-256 under HKDF-Expand of the audit key, over kind ‖ length ‖ bytes of table, number of fields and each field."""
    key = subkey(HOUSE.key("audit", "00").secret, b"gardu/1/record-seal")
    parts = (b"s", b"mandate"), (b"i", b"4"), (b"s", "é".encode()), (b"i", b"7"), (b"b", b"\x00")
    message = b"".join(kind + struct.pack(">I", len(raw)) + raw for kind, raw in parts) + b"n\xff\xff\xff\xff"

    assert SEALS.of("mandate", ["é", 7, b"\x00", None]) == hmac.digest(key, message, "sha256")


@given(st.integers(0, 31), st.integers(1, 255))
def test_any_other_seal_is_refused_without_repeating_a_field(position: int, mask: int) -> None:
    """The error names table and uid."""
    fields: list[Field] = ["RAHASIA", 1]
    seal = bytearray(SEALS.of("mandate", fields))
    seal[position] ^= mask

    with pytest.raises(SealBroken) as caught:
        SEALS.check("mandate", "abc234", fields, bytes(seal))
    assert str(caught.value).startswith("mandate abc234: ")
    assert "RAHASIA" not in str(caught.value)


def test_a_row_does_not_pass_for_one_of_another_table() -> None:
    """The table's name is under the seal."""
    with pytest.raises(SealBroken):
        SEALS.check("access_request", "abc234", ["x"], SEALS.of("mandate", ["x"]))


def test_without_the_key_nothing_is_sealed_or_passed() -> None:
    """No audit key: neither yes nor no."""
    blind = RecordSeal(opened("seed"))

    with pytest.raises(KeysDown):
        blind.of("mandate", [])
    with pytest.raises(KeysDown):
        blind.check("mandate", "abc234", [], bytes(32))


def test_value_digests_differ_by_salt_voter_and_element() -> None:
    """Equal values of two changes, two voters or two elements are not seen to be equal."""
    from app.vault.payload import PayloadBox

    digest = PayloadBox(HOUSE).value_digest
    base = digest(bytes(16), "u" * 26, "rt", "001")
    others = (
        digest(b"\x01" * 16, "u" * 26, "rt", "001"),
        digest(bytes(16), "v" * 26, "rt", "001"),
        digest(bytes(16), "u" * 26, "rw", "001"),
    )

    assert base == digest(bytes(16), "u" * 26, "rt", "001")
    assert base not in others and len(set(others)) == 3
