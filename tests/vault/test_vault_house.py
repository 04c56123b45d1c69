"""The key house opens L1 keys once, hides them, and works in many threads and after a fork."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from vault_helpers import OpenProvider, Shelf

from app.kernel.errors import KeysDown, SealBroken
from app.vault.house import KeyHouse, L1Key


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def provider() -> OpenProvider:
    return OpenProvider()


@pytest.fixture
def house(provider: OpenProvider, shelf: Shelf) -> KeyHouse:
    """A house with seal keys of epochs 1 and 2 for 51.71."""
    house = KeyHouse(provider, shelf)
    for epoch in (1, 2):
        shelf.put("seal", "51.71", epoch, house.make("seal", "51.71", epoch))
    return house


def test_the_newest_key_is_given_unless_an_epoch_is_named(house: KeyHouse) -> None:
    """Readers name the row's epoch; writers take the newest."""
    assert house.key("seal", "51.71").epoch == 2
    assert house.key("seal", "51.71", 1).epoch == 1
    assert house.key("seal", "51.71", 1).secret != house.key("seal", "51.71", 2).secret


def test_a_key_is_opened_once(house: KeyHouse, provider: OpenProvider, shelf: Shelf) -> None:
    """The provider, which may be far away, is asked once per key until the house forgets."""
    first = house.key("seal", "51.71")
    again = house.key("seal", "51.71"), house.key("seal", "51.71", 2)

    assert again == (first, first)
    assert (provider.unwrapped, shelf.fetched) == (1, 1)
    house.forget()
    assert house.key("seal", "51.71") == first
    assert provider.unwrapped == 2


def test_a_key_made_meanwhile_is_found_by_its_epoch(house: KeyHouse, shelf: Shelf) -> None:
    """A key that another process added is fetched when a row names it."""
    house.key("seal", "51.71")
    shelf.put("seal", "51.71", 3, house.make("seal", "51.71", 3))

    assert house.key("seal", "51.71", 3).epoch == 3
    assert house.key_named("seal", "51.71", 3, "voter x").epoch == 3


def test_an_absent_key_is_keys_down(house: KeyHouse) -> None:
    """The error names purpose, scope and epoch."""
    with pytest.raises(KeysDown, match=r"there is no seal key for 51\.03"):
        house.key("seal", "51.03")
    with pytest.raises(KeysDown, match=r"there is no seal key of epoch 9 for 51\.71"):
        house.key("seal", "51.71", 9)


def test_an_epoch_that_a_row_invents_is_a_broken_seal(house: KeyHouse) -> None:
    """A changed epoch column is tampering, not an outage; a kab without any key is an outage."""
    with pytest.raises(SealBroken, match=r"^voter x: "):
        house.key_named("seal", "51.71", 9, "voter x")
    with pytest.raises(KeysDown):
        house.key_named("seal", "51.03", 1, "voter x")


@pytest.mark.parametrize("epoch", [0, -1, 2**32, 2**80])
def test_a_stored_epoch_that_fits_no_context_is_ignored(house: KeyHouse, shelf: Shelf, epoch: int) -> None:
    """A row with a nonsense epoch planted in the key table neither wins nor crashes."""
    shelf.put("seal", "51.71", epoch, b"planted")

    assert house.key("seal", "51.71").epoch == 2


def test_a_wrapped_key_moved_to_another_place_does_not_open(house: KeyHouse, shelf: Shelf) -> None:
    """A wrapped key is bound to purpose, scope and epoch; the error says which key it was."""
    wrapped = house.make("seal", "51.71", 1)
    for purpose, scope, epoch in (("blind", "51.71", 1), ("seal", "51.03", 1), ("seal", "51.71", 7)):
        shelf.put(purpose, scope, epoch, wrapped)
        with pytest.raises(KeysDown, match=f"{purpose} key of epoch {epoch} for {scope}"):
            house.key(purpose, scope, epoch)


def test_a_wrapped_key_of_another_length_is_keys_down(house: KeyHouse, provider: OpenProvider, shelf: Shelf) -> None:
    """What unwraps to something else than a key is not used."""
    context = house.make("audit", "00", 1)[:-33]
    shelf.put("audit", "00", 1, provider.wrap(b"short", context))

    with pytest.raises(KeysDown, match="wrong length"):
        house.key("audit", "00")


def test_a_provider_that_fails_is_keys_down(house: KeyHouse, provider: OpenProvider) -> None:
    """Keys already open go on working; the others wait for the provider."""
    house.key("seal", "51.71")
    provider.down = True

    assert house.key("seal", "51.71").epoch == 2
    with pytest.raises(KeysDown, match="the provider says no"):
        house.key("seal", "51.71", 1)


def test_bits_travel_inside_the_wrapped_key(house: KeyHouse, shelf: Shelf) -> None:
    """The width of a kab's indexes belongs to the key epoch."""
    shelf.put("blind", "51.71", 1, house.make("blind", "51.71", 1, bits=12))

    assert house.key("blind", "51.71").bits == 12


def test_an_unknown_purpose_or_width_is_refused(house: KeyHouse) -> None:
    """The vocabulary of purposes is closed, and so is the range of bits."""
    with pytest.raises(ValueError, match="not a valid KeyPurpose"):
        house.make("master", "00", 1)
    with pytest.raises(ValueError, match="8 to 40 bits"):
        house.make("blind", "51.71", 1, bits=7)


def test_secrets_are_never_shown(house: KeyHouse) -> None:
    """Neither key nor house prints a secret, and a key cannot be pickled out of its process."""
    key = L1Key("seal", "51.71", 1, b"secret-secret-secret-secret-abcd")

    assert "secret" not in repr(key)
    assert repr(house) == "KeyHouse(0 keys open)"
    with pytest.raises(TypeError, match="does not leave"):
        pickle.dumps(key)


def test_a_secret_has_32_bytes() -> None:
    """Another length is refused."""
    with pytest.raises(ValueError, match="32 bytes"):
        L1Key("seal", "51.71", 1, bytes(16))


def test_many_threads_get_the_same_key(house: KeyHouse) -> None:
    """Racing first uses agree."""
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: house.key("seal", "51.71"), range(200)))

    assert len(keys) == 1


def test_the_house_works_after_a_fork(house: KeyHouse) -> None:
    """A child forked while threads use the house opens keys, those known and those not yet."""
    with ThreadPoolExecutor(4) as pool:
        busy = [pool.submit(house.key, "seal", "51.71", 2) for _ in range(200)]
        child = os.fork()
        if child == 0:
            ok = house.key("seal", "51.71", 2).epoch == 2 and house.key("seal", "51.71", 1).epoch == 1
            os._exit(0 if ok else 1)
        [each.result() for each in busy]

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_vault_knows_neither_web_nor_database() -> None:
    """Importing every module of the vault loads no Flask and no SQLAlchemy."""
    modules = ("envelope", "seal", "unseal", "blind", "payload", "seeds", "house", "keys.provider", "keys.local")
    code = (
        f"import sys, {', '.join(f'app.vault.{name}' for name in modules)}; print({{'flask', 'sqlalchemy', 'werkzeug'}} & set(sys.modules))"
    )

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout

    assert printed.strip() == "set()"
