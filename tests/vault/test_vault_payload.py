"""Payloads: sealed by the vault, stored by the log, bound to log, day and entry."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vault_helpers import OTHER_UID, UID, OpenProvider, Shelf, flipped

from app.kernel.errors import KeysDown, SealBroken
from app.kernel.payload import SealedPayload
from app.vault.house import KeyHouse
from app.vault.payload import PayloadBox

LOG = "demo.localhost/gardu/1"
AT = datetime(2026, 11, 24, 3, 29, 43, tzinfo=UTC)
CONTENT = b'{"visit":"...","uids":["..."]}'


def new_house(*epochs: int) -> tuple[KeyHouse, Shelf]:
    shelf = Shelf()
    house = KeyHouse(OpenProvider(), shelf)
    for purpose in ("audit", "index"):
        for epoch in epochs or (1,):
            shelf.put(purpose, "00", epoch, house.make(purpose, "00", epoch))
    return house, shelf


HOUSE, SHELF = new_house()
BOX = PayloadBox(HOUSE)
PAYLOAD = BOX.seal(CONTENT, [UID], AT, LOG)


def opened(payload: SealedPayload, log: str = LOG) -> bytes:
    return BOX.open(payload.sealed, payload.wrapped, payload.day, log, payload.commitment)


@given(st.binary(max_size=2000))
def test_a_payload_opens_as_it_was_sealed(content: bytes) -> None:
    """Any content comes back exactly."""
    assert opened(BOX.seal(content, [], AT, LOG)) == content


@given(st.sampled_from(["sealed", "wrapped", "commitment"]), st.integers(0, 500), st.integers(1, 255))
def test_any_changed_byte_is_found(part: str, position: int, mask: int) -> None:
    """Ciphertext, wrapped key and commitment cannot be changed."""
    with pytest.raises(SealBroken):
        opened(replace(PAYLOAD, **{part: flipped(getattr(PAYLOAD, part), position, mask)}))


@given(st.sampled_from(["sealed", "wrapped", "commitment"]), st.binary(max_size=100))
def test_no_other_bytes_fit(part: str, data: bytes) -> None:
    """Nor can they be cut or replaced."""
    with pytest.raises(SealBroken):
        opened(replace(PAYLOAD, **{part: data}))


@pytest.mark.parametrize("day", ["2026-11-25", "", "2026-11-2é", "2026-11-240"])
def test_a_payload_belongs_to_its_day(day: str) -> None:
    """Under another day it does not open."""
    with pytest.raises(SealBroken):
        opened(replace(PAYLOAD, day=day))


def test_a_payload_belongs_to_its_log() -> None:
    """In another log it does not open, and the error names the log."""
    with pytest.raises(SealBroken, match="gardu/2"):
        opened(PAYLOAD, "demo.localhost/gardu/2")


def test_an_erased_key_is_a_broken_seal() -> None:
    """A payload whose wrapped key was erased says so."""
    with pytest.raises(SealBroken, match="erased"):
        opened(replace(PAYLOAD, wrapped=b""))


def test_two_payloads_cannot_be_mixed() -> None:
    """Ciphertext, key and commitment of two payloads of one day do not fit together."""
    other = BOX.seal(CONTENT, [UID], AT, LOG)

    for part in ("sealed", "wrapped", "commitment"):
        with pytest.raises(SealBroken):
            opened(replace(PAYLOAD, **{part: getattr(other, part)}))


def test_the_day_is_that_of_utc() -> None:
    """Half past seven in Denpasar is still the day before in UTC."""
    wita = datetime(2026, 11, 25, 7, 30, tzinfo=timezone(timedelta(hours=8)))

    assert BOX.seal(CONTENT, [], wita, LOG).day == "2026-11-24"


def test_a_naive_moment_is_refused() -> None:
    """A moment without a zone has no UTC day."""
    with pytest.raises(ValueError, match="naive"):
        BOX.seal(CONTENT, [], datetime(2026, 11, 24), LOG)  # noqa: DTZ001


def test_tokens_keep_order_and_come_once() -> None:
    """Each subject has one token of 32 bytes, in the order given."""
    tokens = BOX.seal(CONTENT, [OTHER_UID, UID, OTHER_UID], AT, LOG).tokens

    assert tokens == (BOX.token(OTHER_UID), BOX.token(UID))
    assert len(set(tokens)) == 2
    assert all(len(token) == 32 for token in tokens)


def test_a_payload_of_an_older_key_still_opens() -> None:
    """After a rotation the old payload opens under its own epoch, and new ones use the newest."""
    house, shelf = new_house()
    old = PayloadBox(house).seal(CONTENT, [], AT, LOG)
    shelf.put("audit", "00", 2, house.make("audit", "00", 2))
    house.forget()
    box = PayloadBox(house)
    new = box.seal(CONTENT, [], AT, LOG)

    assert (old.wrapped[4], new.wrapped[4]) == (1, 2)
    assert box.open(old.sealed, old.wrapped, old.day, LOG, old.commitment) == CONTENT


def test_without_an_audit_key_nothing_is_sealed() -> None:
    """No key, no payload."""
    with pytest.raises(KeysDown):
        PayloadBox(KeyHouse(OpenProvider(), Shelf())).seal(CONTENT, [], AT, LOG)
