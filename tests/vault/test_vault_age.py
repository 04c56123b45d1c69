"""Streams sealed to an age recipient: opened by its identity alone, whole or not at all, with flat memory, and never silently short."""

from __future__ import annotations

import io
import pickle
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.kernel.errors import BadInput, SealBroken
from app.vault import age

ALICE, TEXT = age.Identity.generate()
BOB, _ = age.Identity.generate()


def sealed(plain: bytes, *recipients: str) -> bytes:
    out = io.BytesIO()
    age.encrypt([plain], out, recipients or (ALICE.recipient,))
    return out.getvalue()


def opened(raw: bytes, identity: age.Identity = ALICE) -> bytes:
    found = bytearray()
    age.decrypt(io.BytesIO(raw), found.extend, identity)
    return bytes(found)


def test_each_recipient_opens_it_and_nobody_else() -> None:
    """The file is age's own: its first line says so."""
    raw = sealed(b"isi cadangan", ALICE.recipient, BOB.recipient)

    assert raw.startswith(b"age-encryption.org/v1\n") and b"isi cadangan" not in raw
    assert (opened(raw), opened(raw, BOB)) == (b"isi cadangan", b"isi cadangan")
    with pytest.raises(BadInput) as refused:
        opened(raw, age.Identity.generate()[0])
    assert refused.value.field == "identity"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 200_000), st.integers(0, 7), st.integers(0, 10**6))
def test_any_changed_bit_is_found(size: int, bit: int, place: int) -> None:
    """Wherever it is: in the head, in a piece, in the last one; no other bytes ever come out as the whole."""
    plain = b"x" * size
    raw = bytearray(sealed(plain))
    # The head has a stanza of random length, so the place is taken from the end.
    raw[-1 - place % len(raw)] ^= 1 << bit

    with pytest.raises((SealBroken, BadInput)):
        opened(bytes(raw))


def test_a_stream_that_was_cut_at_a_piece_is_found() -> None:
    """Pieces are 64 KiB; a file that ends after a whole one is still no whole file."""
    raw = sealed(bytes(3 * 65_536))
    for end in (len(raw) - 1, len(raw) - 65_552, len(raw) - 2 * 65_552, 200, 0):
        with pytest.raises(SealBroken):
            opened(raw[:end])


def test_what_makes_or_takes_a_piece_may_fail_in_its_own_words() -> None:
    """At the first byte and at the last: a disk that is full when the last buffer goes out is not passed over."""

    class Boom(Exception):
        pass

    def source() -> Iterator[bytes]:
        yield bytes(100_000)
        raise Boom

    class Full(io.BytesIO):
        def __init__(self, room: int) -> None:
            super().__init__()
            self.room = room

        def write(self, data: bytes) -> int:  # type: ignore[override]  # bytes is all it gets
            self.room -= len(data)
            if self.room < 0:
                raise OSError(28, "No space left on device")
            return super().write(data)

    def take(piece: bytes) -> None:
        raise Boom

    with pytest.raises(Boom):
        age.encrypt(source(), io.BytesIO(), [ALICE.recipient])
    with pytest.raises(Boom):
        age.decrypt(io.BytesIO(sealed(b"x")), take, ALICE)
    # The second piece is the last write.
    for room in (0, 10, 99_999):
        with pytest.raises(OSError, match="No space"):
            age.encrypt([bytes(100_000)], Full(room), [ALICE.recipient])


def test_memory_stays_flat() -> None:
    """32 MiB go through in both directions with less than 2 MiB held."""
    file = io.BytesIO()
    age.encrypt((bytes(65_536) for _ in range(512)), file, [ALICE.recipient])
    file.seek(0)
    seen = 0

    def take(piece: bytes) -> None:
        nonlocal seen
        seen += len(piece)

    tracemalloc.start()
    age.encrypt((bytes(65_536) for _ in range(512)), io.BufferedWriter(io.FileIO("/dev/null", "w")), [ALICE.recipient])
    age.decrypt(file, take, ALICE)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert seen == 32 * 1024**2 and most < 2 * 1024**2


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "x",
        "age1qqq",
        "AGE-SECRET-KEY-1QQQ",
        TEXT[:-1],
        TEXT[:-1] + ("Q" if TEXT[-1] != "Q" else "P"),
        f"{TEXT}\n{TEXT}",
        "#\n" * 10_000,
    ],
    # The identity is made anew by every process, and workers must agree on names.
    ids=["empty", "letter", "recipient", "short", "cut", "changed", "two", "comments"],
)
def test_what_is_no_identity_is_refused_without_repeating_it(wrong: str) -> None:
    with pytest.raises(BadInput) as refused:
        age.Identity(wrong)
    said = f"{refused.value} {refused.value!r} {refused.value.detail} {refused.value.public} {refused.value.__cause__}"
    assert not wrong or len(wrong) < 8 or wrong[16:40] not in said


def test_an_identity_shows_and_leaves_nothing() -> None:
    """A file of age-keygen is read with its comments; its repr is empty, and it is not pickled."""
    read = age.Identity(f"# created: 2026\r\n# public key: {ALICE.recipient}\r\n{TEXT.lower()}\r\n")

    assert read.recipient == ALICE.recipient
    assert TEXT[16:30] not in f"{read!r}{read!s}{vars(age.Identity)}"
    with pytest.raises(TypeError):
        pickle.dumps(read)


def test_recipients_are_read_once_each() -> None:
    assert age.parse_recipients(f" {ALICE.recipient},\n{BOB.recipient} {ALICE.recipient}") == (ALICE.recipient, BOB.recipient)
    for wrong in ("", TEXT, ALICE.recipient[:-1], ALICE.recipient[:-1] + ("q" if ALICE.recipient[-1] != "q" else "p")):
        with pytest.raises(BadInput):
            age.parse_recipients(wrong)
