"""A file sealed in parts: read from any place, and nothing of it can be changed, moved, dropped, cut or borrowed."""

from __future__ import annotations

import io
import struct
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st
from vault_helpers import OTHER_UID, UID, flipped, seal_key, subkey

from app.kernel.errors import SealBroken
from app.vault.house import L1Key
from app.vault.parts import PART_SIZE, FileParts, PartStream, new_file, open_file

KAB = "51.71"
WHOLE = bytes(range(256)) * (3 * PART_SIZE // 256 - 100)
Stored = dict[int, bytes]


def stored(content: bytes = WHOLE, uid: str = UID, kab: str = KAB) -> tuple[bytes, FileParts, Stored]:
    wrapped, parts = new_file(seal_key(kab), kab, uid, len(content))
    return wrapped, parts, dict(parts.split(memoryview(content)))


WRAPPED, PARTS, STORED = stored()


def stream(parts: FileParts = PARTS, kept: Stored = STORED) -> io.BufferedReader:
    return io.BufferedReader(PartStream(parts, kept.get))


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) + 9), st.integers(0, 3 * PART_SIZE)), max_size=8))
@settings(max_examples=30)
def test_it_reads_like_the_file_it_was(reads: list[tuple[int, int]]) -> None:
    """Any seek and any read give the bytes a plain file would give."""
    plain, sealed = io.BytesIO(WHOLE), stream()
    for place, length in reads:
        assert sealed.seek(place) == plain.seek(place)
        assert sealed.read(length) == plain.read(length)
        assert sealed.tell() == plain.tell()


@pytest.mark.parametrize("size", [1, PART_SIZE - 1, PART_SIZE, PART_SIZE + 1, 2 * PART_SIZE])
def test_every_size_comes_back_whole(size: int) -> None:
    """Also where the last part is full, or one byte."""
    content = WHOLE[:size]
    _, parts, kept = stored(content)

    assert stream(parts, kept).read() == content
    assert len(kept) == parts.count == -(-size // PART_SIZE)


def test_the_stored_bytes_are_those_of_the_format_page() -> None:
    """Opened without the product's code, as docs/vault-format.md says."""
    key, place = seal_key(), (KAB + UID).encode()
    wrap = b"\x01\x01" + b"upload".ljust(16, b"\0") + place + struct.pack(">I", key.epoch)
    secret = AESGCM(key.secret).decrypt(WRAPPED[1:13], WRAPPED[13:], wrap)
    cipher = AESGCM(subkey(secret, b"gardu/1/part"))
    plain = b""
    for number, part in sorted(STORED.items()):
        last = bytes((number == len(STORED) - 1,))
        context = b"\x01\x01" + b"upload_part".ljust(16, b"\0") + place + struct.pack(">I", number) + last
        assert part[0] == 1
        plain += cipher.decrypt(number.to_bytes(12, "big"), part[1:], context)

    assert plain == WHOLE


@given(st.sampled_from(sorted(STORED)), st.integers(0, PART_SIZE + 16), st.integers(1, 255))
@settings(max_examples=40)
def test_any_changed_byte_is_found(number: int, position: int, mask: int) -> None:
    """And the error names the part, never its content."""
    kept = {**STORED, number: flipped(STORED[number], position, mask)}

    with pytest.raises(SealBroken, match=f"upload {UID} part {number}"):
        stream(kept=kept).read()


@pytest.mark.parametrize(
    "kept",
    [
        {0: STORED[1], 1: STORED[0], 2: STORED[2]},
        {0: STORED[0], 1: STORED[1]},
        {0: STORED[0], 2: STORED[2]},
        {0: STORED[0], 1: STORED[2]},
        {0: STORED[0], 1: STORED[1], 2: STORED[2][:-1]},
        {0: STORED[0], 1: STORED[1], 2: STORED[2] + b"\0"},
        {0: STORED[0], 1: STORED[0], 2: STORED[2]},
        {0: STORED[0], 1: b"", 2: STORED[2]},
        {0: STORED[0], 1: "text", 2: STORED[2]},
    ],
    ids=["swapped", "cut", "dropped", "last moved up", "last cut", "last longer", "twice", "emptied", "text"],
)
def test_parts_cannot_be_moved_dropped_or_cut(kept: Stored) -> None:
    """Each part knows its number and whether it is the last."""
    with pytest.raises(SealBroken):
        stream(kept=kept).read()


@pytest.mark.parametrize("size", [PART_SIZE, 2 * PART_SIZE, len(WHOLE) - 1, len(WHOLE) + 1, 4 * PART_SIZE])
def test_a_changed_size_is_found(size: int) -> None:
    """Whoever shortens the size with the parts meets a part that is not the last, or not that long."""
    shorter = open_file(seal_key(), KAB, UID, size, WRAPPED)

    with pytest.raises(SealBroken):
        stream(shorter).read()


def test_parts_of_another_upload_do_not_open() -> None:
    """Neither under this file's key nor with that file's own."""
    other_wrapped, _, other = stored(uid=OTHER_UID)

    with pytest.raises(SealBroken):
        stream(kept={**STORED, 1: other[1]}).read()
    with pytest.raises(SealBroken, match=UID):
        open_file(seal_key(), KAB, UID, len(WHOLE), other_wrapped)
    with pytest.raises(SealBroken):
        stream(replace(PARTS, uid=OTHER_UID)).read()


def test_the_key_is_that_of_its_own_kab_and_epoch() -> None:
    """Another kab/kota's key is refused before it is tried; another epoch's does not open."""
    with pytest.raises(ValueError, match="own kab"):
        open_file(seal_key("51.03"), KAB, UID, len(WHOLE), WRAPPED)
    with pytest.raises(ValueError, match="own kab"):
        new_file(L1Key("blind", KAB, 1, bytes(32)), KAB, UID, 5)
    with pytest.raises(SealBroken):
        open_file(seal_key(epoch=2), KAB, UID, len(WHOLE), WRAPPED)


@pytest.mark.parametrize(
    "wrapped",
    [b"", WRAPPED[:-1], WRAPPED + b"\0", flipped(WRAPPED, 0, 1), flipped(WRAPPED, 20, 1)],
    ids=["empty", "cut", "longer", "format", "byte"],  # the bytes are random: as names they would differ between processes
)
def test_a_changed_file_key_is_found(wrapped: bytes) -> None:
    """Its length, its format and every byte."""
    with pytest.raises(SealBroken, match=f"upload {UID}"):
        open_file(seal_key(), KAB, UID, len(WHOLE), wrapped)


def test_equal_files_share_no_byte() -> None:
    """The same content sent twice is sealed under two keys."""
    _, _, again = stored()

    assert not any(STORED[number][1:33] == again[number][1:33] for number in STORED)


def test_an_empty_file_and_a_part_of_the_wrong_length_are_refused() -> None:
    """Nothing of that kind is ever stored."""
    with pytest.raises(ValueError, match="empty"):
        new_file(seal_key(), KAB, UID, 0)
    with pytest.raises(ValueError, match="PART_SIZE"):
        PARTS.seal(0, b"short")
    with pytest.raises(ValueError, match="no such part"):
        PARTS.seal(3, b"")


def test_nothing_of_it_stands_in_a_repr() -> None:
    """Keys and ciphers do not show."""
    assert "cipher" not in repr(PARTS)
