"""What every key provider must hold, whoever it is: asked by the test of each."""

from __future__ import annotations

import copy
import pickle
from itertools import product

import pytest

from app.kernel.errors import KeysDown
from app.vault.house import KeyHouse, L1Key
from app.vault.keys.provider import HEAD_SIZE, KeyProvider
from tests.vault.vault_helpers import Shelf

KEY = bytes(range(33))
CONTEXT = b"gardu/1/l1-key/\0" + b"seal".ljust(16, b"\0") + b"51.71".ljust(16, b"\0") + b"\0\0\0\1"


def round_trip(provider: KeyProvider) -> None:
    """A key comes back, under the name of the key that wraps now; twice the same key never looks the same."""
    first, second = provider.wrap(KEY, CONTEXT), provider.wrap(KEY, CONTEXT)

    assert provider.unwrap(first, CONTEXT) == provider.unwrap(second, CONTEXT) == KEY
    assert first != second
    assert KEY not in first
    assert provider.key_of(first) == provider.newest()
    assert provider.newest().startswith(f"{provider.name}:")
    again = provider.rewrap(first, CONTEXT)
    assert again != first
    assert provider.unwrap(again, CONTEXT) == KEY


def refuses_another_place(provider: KeyProvider) -> None:
    """A wrapped key that was moved to another purpose, scope or epoch of the database does not open there."""
    shelf = Shelf()
    house = KeyHouse(provider, shelf)
    places = list(product(("seal", "blind"), ("51.71", "51.03"), (1, 2)))
    wrapped = {place: house.make(*place) for place in places}
    home = places[0]
    shelf.put(*home, wrapped[home])

    assert isinstance(house.key(*home), L1Key)
    for other in places[1:]:
        moved = Shelf()
        moved.put(*other, wrapped[home])
        with pytest.raises(KeysDown):
            KeyHouse(provider, moved).key(*other)


def refuses_other_bytes(provider: KeyProvider) -> None:
    """No byte of head or body can change; cut, lengthened or invented bytes do not open."""
    wrapped = provider.wrap(KEY, CONTEXT)
    changed = [
        wrapped[:at] + bytes((wrapped[at] ^ 1,)) + wrapped[at + 1 :]
        for at in (*range(HEAD_SIZE), HEAD_SIZE + 14, len(wrapped) - 3, len(wrapped) - 1)
    ]
    for bad in (*changed, wrapped[:-1], wrapped + b"\0", wrapped[:HEAD_SIZE], b"", bytes(62)):
        with pytest.raises(KeysDown) as refused:
            provider.unwrap(bad, CONTEXT)
        assert KEY.hex() not in repr(refused.value)


def keeps_its_secret(provider: KeyProvider, *secrets: str) -> None:
    """It neither shows nor hands over what it holds: no repr, no pickle, no copy; and its errors say none of it."""
    with pytest.raises(KeysDown) as refused:
        provider.unwrap(b"\x02\x09" + bytes(60), CONTEXT)
    said = " ".join((repr(provider), str(provider), repr(refused.value), refused.value.detail, refused.value.public))

    assert not [secret for secret in secrets if secret in said]
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="does not leave its process"):
            leave(provider)
