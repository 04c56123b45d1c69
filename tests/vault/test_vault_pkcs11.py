"""An HSM as the key provider, with real SoftHSM 2 tokens: the key never leaves, the context is bound, a wrong PIN is tried once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.kernel.errors import KeysDown, UnsafeStart
from app.vault.keys import pkcs11
from app.vault.keys.pkcs11 import Mechanism, Pkcs11, Place
from tests.vault import provider_kit
from tests.vault.provider_kit import CONTEXT, KEY
from tests.vault.softhsm_kit import PIN, module, needs_softhsm, token

pytestmark = needs_softhsm


@pytest.fixture(scope="module", params=list(Mechanism))
def place(request: pytest.FixtureRequest) -> Place:
    """A token of its own for each mechanism."""
    return Place(module() or Path(), token(), "gardu", request.param)


@pytest.fixture(scope="module")
def provider(place: Place) -> Pkcs11:
    return Pkcs11.open(place, lambda: PIN, make=True)


@pytest.fixture
def fresh(tmp_path: Path) -> Place:
    """A token that nobody in this process is logged into."""
    return Place(module() or Path(), token(), "gardu", refused=tmp_path / "pkcs11-pin-refused")


def _counting(pin: str, asked: list[str]) -> Callable[[], str]:
    def ask() -> str:
        asked.append(pin)
        return pin

    return ask


def test_a_key_comes_back_in_its_place_alone(provider: Pkcs11) -> None:
    """The four things every provider must hold, by either mechanism."""
    provider_kit.round_trip(provider)
    provider_kit.refuses_another_place(provider)
    provider_kit.refuses_other_bytes(provider)
    provider_kit.keeps_its_secret(provider, PIN, KEY.hex())
    assert provider.health().endswith(": open")


def test_the_key_cannot_leave_its_token(provider: Pkcs11, place: Place) -> None:
    """It is sensitive, not extractable, and either seals or wraps, never both: a key that wraps and decrypts gives away what it wrapped."""
    from pkcs11 import Attribute, AttributeSensitive

    with provider._token() as (_session, key):
        with pytest.raises(AttributeSensitive):
            key[Attribute.VALUE]
        seals, wraps = key[Attribute.DECRYPT], key[Attribute.WRAP]
        assert (key[Attribute.EXTRACTABLE], key[Attribute.SENSITIVE], key[Attribute.PRIVATE]) == (False, True, True)
    assert (seals, wraps) == ((True, False) if place.mechanism is Mechanism.AES_GCM else (False, True))


def test_a_key_that_could_leave_is_refused(fresh: Place) -> None:
    """Somebody made it by hand, and loosely."""
    import pkcs11
    from pkcs11 import Attribute

    maker = Pkcs11(fresh, PIN)
    with maker._token(key=False) as (session, _):
        session.generate_key(
            pkcs11.KeyType.AES, 256, label="gardu", store=True, template={Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False}
        )

    with pytest.raises(UnsafeStart, match="can leave the token"):
        Pkcs11.open(fresh, lambda: PIN)


def test_a_wrong_pin_is_tried_once_and_never_again_by_itself(fresh: Place) -> None:
    """Not by the next call, not by the next process: a supervisor that restarts the service must not lock the token."""
    provider, asked = Pkcs11(fresh, "000000"), list[str]()
    for _ in range(2):
        with pytest.raises(KeysDown, match="refused the PIN; it is not tried again by itself") as down:
            provider.wrap(KEY, CONTEXT)
        assert "000000" not in down.value.detail

    with pytest.raises(KeysDown, match="refused this PIN before"):
        Pkcs11.open(fresh, _counting("000000", asked))
    assert asked == []
    assert fresh.refused is not None
    assert fresh.refused.read_bytes() == b""


def test_a_person_may_try_again_and_success_forgets_the_refusal(fresh: Place) -> None:
    """Who types the PIN decides; afterwards the credential is believed again."""
    with pytest.raises(KeysDown):
        Pkcs11(fresh, "000000").wrap(KEY, CONTEXT)
    Pkcs11.open(fresh, lambda: PIN, by_hand=True, make=True)

    assert fresh.refused is not None
    assert not fresh.refused.exists()
    assert Pkcs11.open(fresh, lambda: PIN).wrap(KEY, CONTEXT)


def test_an_absent_module_token_or_key_is_named(fresh: Place) -> None:
    """Each with what to do."""
    with pytest.raises(UnsafeStart, match="is not there: install"):
        Pkcs11.open(replace(fresh, module=Path("/nowhere/lib.so")), lambda: PIN)
    with pytest.raises(KeysDown, match="there is no token absen"):
        Pkcs11.open(replace(fresh, token="absen"), lambda: PIN)
    with pytest.raises(KeysDown, match="has no key gardu: make it"):
        Pkcs11.open(fresh, lambda: PIN)


def test_a_swapped_key_of_the_same_name_opens_nothing(fresh: Place) -> None:
    """The token was initialised anew, or another stands there: the label fits, the key does not."""
    import pkcs11
    from pkcs11 import Attribute

    provider = Pkcs11.open(fresh, lambda: PIN, make=True)
    wrapped = provider.wrap(KEY, CONTEXT)
    with provider._token() as (session, key):
        key.destroy()
        session.generate_key(
            pkcs11.KeyType.AES, 256, label="gardu", store=True, template={Attribute.EXTRACTABLE: False, Attribute.SENSITIVE: True}
        )

    with pytest.raises(KeysDown, match="was wrapped by another key than"):
        Pkcs11.open(fresh, lambda: PIN).unwrap(wrapped, CONTEXT)


def test_a_forked_child_logs_in_anew(provider: Pkcs11) -> None:
    """The server opens the provider before it forks its workers; another thread may hold the token at that moment."""
    wrapped = provider.wrap(KEY, CONTEXT)
    with provider._token():
        child = os.fork()
        if child == 0:
            os._exit(0 if provider.unwrap(wrapped, CONTEXT) == KEY else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert provider.unwrap(wrapped, CONTEXT) == KEY


def test_threads_take_turns(provider: Pkcs11) -> None:
    """A session does one thing at a time."""
    came, wrapped = list[bytes](), provider.wrap(KEY, CONTEXT)
    threads = [threading.Thread(target=lambda: came.extend(provider.unwrap(wrapped, CONTEXT) for _ in range(5))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert came == [KEY] * 20


def test_two_keys_of_one_token_work_side_by_side(fresh: Place) -> None:
    """The old and the new one while keys move: one login serves both, also after a fork."""
    old = Pkcs11.open(fresh, lambda: PIN, make=True)
    new = Pkcs11.open(replace(fresh, key="gardu-2"), lambda: PIN, make=True)
    first, second = old.wrap(KEY, CONTEXT), new.wrap(KEY, CONTEXT)
    child = os.fork()
    if child == 0:
        os._exit(0 if new.unwrap(second, CONTEXT) == old.unwrap(first, CONTEXT) == new.unwrap(second, CONTEXT) == KEY else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with pytest.raises(KeysDown, match="wrapped by pkcs11 key"):
        new.unwrap(first, CONTEXT)


def test_a_token_that_hangs_keeps_nobody_waiting(provider: Pkcs11, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks it, and who asks after them, hear so in time; once it answers again, everything goes on."""
    wrapped = provider.wrap(KEY, CONTEXT)
    monkeypatch.setattr(pkcs11, "TOKEN_SECONDS", 0.2)
    answers, logged_in = threading.Event(), Pkcs11._logged_in

    def hang(self: Pkcs11) -> object:
        answers.wait()
        return logged_in(self)

    with monkeypatch.context() as hung:
        hung.setattr(Pkcs11, "_logged_in", hang)
        for _ in range(2):
            with pytest.raises(KeysDown, match="did not answer within") as down:
                provider.unwrap(wrapped, CONTEXT)
            assert KEY.hex() not in down.value.detail
        with pytest.raises(KeysDown, match="did not answer within"):
            provider.wrap(KEY, CONTEXT)
    answers.set()
    monkeypatch.setattr(pkcs11, "TOKEN_SECONDS", 15.0)

    assert provider.unwrap(wrapped, CONTEXT) == KEY
