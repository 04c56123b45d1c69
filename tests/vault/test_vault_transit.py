"""Transit as the key provider: bound to its context, clear about each way it can fail, and never half-hearted about a redirect."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.kernel.errors import KeysDown, UnsafeStart
from app.vault.keys.transit import Place, Transit
from tests.vault import provider_kit
from tests.vault.provider_kit import CONTEXT, KEY
from tests.vault.transit_kit import TOKEN, NamedKey, Vault, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Vault]:
    with serving() as vault:
        yield vault


@pytest.fixture
def vault(server: Vault) -> Vault:
    """The stand-in, as new but for its keys."""
    server.tokens, server.sealed, server.delay, server.say = {TOKEN}, False, 0.0, None
    server.heard.clear()
    return server


def _place(vault: Vault, key: str = "gardu") -> Place:
    return Place(vault.url, key, timeout=2.0)


def _opened(vault: Vault, key: str = "gardu") -> Transit:
    return Transit.open(_place(vault, key), lambda: TOKEN, make=True)


def test_a_key_comes_back_in_its_place_alone(vault: Vault) -> None:
    """The four things every provider must hold."""
    provider = _opened(vault)

    provider_kit.round_trip(provider)
    provider_kit.refuses_another_place(provider)
    provider_kit.refuses_other_bytes(provider)
    provider_kit.keeps_its_secret(provider, TOKEN, base64.b64encode(KEY).decode())
    assert provider.health() == f"transit:gardu v1 at {vault.url}: open"


def test_the_key_it_makes_is_derived_and_cannot_leave(vault: Vault) -> None:
    """Made once: a second opening finds it."""
    _opened(vault, "baru")
    first = vault.keys["baru"]
    _opened(vault, "baru")

    assert first.shown() == {
        "derived": True, "exportable": False, "allow_plaintext_backup": False, "type": "aes256-gcm96", "latest_version": 1, "min_decryption_version": 1,
    }  # fmt: skip
    assert vault.keys["baru"] is first


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"derived": False}, "is not derived"),
        ({"exportable": True}, "can be exported"),
        ({"allow_plaintext_backup": True}, "can be exported"),
        ({"type": "aes128-gcm96"}, "has the type"),
        ({"type": "rsa-4096"}, "has the type"),
    ],
)
def test_an_unsafe_key_is_refused_before_it_wraps_anything(vault: Vault, changes: dict[str, object], words: str) -> None:
    """A key that is not derived would ignore the context in silence; one that can be exported is no HSM's."""
    vault.keys["salah"] = replace(NamedKey(True, False, False, "aes256-gcm96"), **changes)  # type: ignore[arg-type]

    with pytest.raises(UnsafeStart, match=words):
        Transit.open(_place(vault, "salah"), lambda: TOKEN)
    assert vault.heard == ["GET /v1/transit/keys/salah"]


def test_a_new_version_wraps_and_the_old_one_still_opens(vault: Vault) -> None:
    """Rewrapping stays inside Transit: the key itself is in no answer and no question."""
    provider = _opened(vault, "putar")
    old = provider.wrap(KEY, CONTEXT)
    vault.rotate("putar")
    provider.health()
    vault.bodies.clear()
    new = provider.rewrap(old, CONTEXT)

    assert [provider.key_of(each) for each in (old, new)] == ["transit:putar v1", "transit:putar v2"]
    assert provider.newest() == "transit:putar v2"
    assert base64.b64encode(KEY).decode() not in "".join(vault.bodies)
    assert provider.unwrap(old, CONTEXT) == provider.unwrap(new, CONTEXT) == KEY


def test_a_version_that_is_gone_says_so(vault: Vault) -> None:
    """``min_decryption_version`` was raised before the keys had moved; or another Vault stands there, whose key is younger."""
    provider = _opened(vault, "tua")
    old = provider.wrap(KEY, CONTEXT)
    vault.rotate("tua")
    vault.keys["tua"].least = 2
    with pytest.raises(KeysDown, match="min_decryption_version"):
        provider.unwrap(old, CONTEXT)

    new = provider.wrap(KEY, CONTEXT)
    vault.keys["tua"] = NamedKey(True, False, False, "aes256-gcm96")
    with pytest.raises(KeysDown, match="is gone or not allowed"):
        provider.unwrap(new, CONTEXT)
    with pytest.raises(KeysDown, match="wrapped by another key"):
        provider.unwrap(old, CONTEXT)


def test_another_providers_key_is_named(vault: Vault) -> None:
    """Two Transit keys are told apart by the head, before Vault is asked."""
    wrapped = _opened(vault, "satu").wrap(KEY, CONTEXT)
    other = _opened(vault, "dua")
    vault.heard.clear()

    with pytest.raises(KeysDown, match=r"wrapped by transit key [0-9a-f]{16}, and the provider here is transit:dua v1"):
        other.unwrap(wrapped, CONTEXT)
    assert vault.heard == []


FAULTS = [
    ({"sealed": True}, "is sealed or not ready"),
    ({"tokens": set()}, "refuses the token"),
    ({"say": (403, "permission denied")}, "refuses the token"),
    ({"say": (404, "")}, "has no transit key gardu under transit/"),
    ({"say": (429, "slow down")}, "too many requests"),
    ({"say": (500, "1 error occurred:\n\t* cipher: message authentication failed")}, "was wrapped by another key"),
    ({"say": (500, "rahasia")}, "could not do it"),
    ({"say": (307, "elsewhere")}, "answers with a redirect"),
]


@pytest.mark.parametrize(("turned", "words"), FAULTS, ids=[words for _, words in FAULTS])
def test_each_way_to_fail_has_its_own_words(vault: Vault, turned: dict[str, object], words: str) -> None:
    """One question, no second try, and neither token nor Vault's own text in the error. A redirect is not followed: it could lead the token away."""
    provider = _opened(vault)
    vault.heard.clear()
    for name, value in turned.items():
        setattr(vault, name, value)

    with pytest.raises(KeysDown, match=words) as down:
        provider.wrap(KEY, CONTEXT)
    assert vault.heard == ["POST /v1/transit/encrypt/gardu"]
    assert "rahasia" not in down.value.detail
    assert TOKEN not in down.value.detail


def test_a_slow_vault_is_given_up_and_an_absent_one_too(vault: Vault) -> None:
    """After the settings' seconds; the next question may work again."""
    provider = Transit(replace(_place(vault), timeout=0.05), lambda: TOKEN)
    _opened(vault)
    vault.delay = 0.3
    with pytest.raises(KeysDown, match=r"does not answer within 0\.05 s"):
        provider.wrap(KEY, CONTEXT)
    vault.delay = 0.0

    assert Transit(_place(vault), lambda: TOKEN).wrap(KEY, CONTEXT)
    with pytest.raises(KeysDown, match="cannot be reached"):
        Transit.open(Place("http://127.0.0.1:1", "gardu", timeout=0.5), lambda: TOKEN)


def test_an_answer_that_is_no_key_is_refused(vault: Vault) -> None:
    """Whatever stands there instead of Vault: 200 and nonsense is not wrapped key, and not an opened one."""
    provider = _opened(vault)
    wrapped = provider.wrap(KEY, CONTEXT)
    vault.say = (200, "<html>")

    with pytest.raises(KeysDown, match="no wrapped key"):
        provider.wrap(KEY, CONTEXT)
    with pytest.raises(KeysDown, match="without a key"):
        provider.unwrap(wrapped, CONTEXT)


def test_tls_is_checked_against_the_settings_alone(vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a proxy nor a CA bundle of the environment is believed; plain text behind https is no Vault."""
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nowhere"))
    assert _opened(vault).wrap(KEY, CONTEXT)

    with pytest.raises(KeysDown, match="certificate that is trusted"):
        Transit.open(Place(vault.url.replace("http:", "https:"), "gardu", timeout=2.0), lambda: TOKEN)


def test_a_token_that_an_agent_renews_is_read_anew(vault: Vault) -> None:
    """The token of each call is that of the moment."""
    now = [TOKEN]
    provider = Transit.open(_place(vault), lambda: now[0])
    vault.tokens, now[0] = {"hvs.baru"}, "hvs.baru"

    assert provider.unwrap(provider.wrap(KEY, CONTEXT), CONTEXT) == KEY


def test_a_forked_child_has_its_own_connection(vault: Vault) -> None:
    """The server opens the provider before it forks its workers."""
    provider = _opened(vault)
    wrapped = provider.wrap(KEY, CONTEXT)
    child = os.fork()
    if child == 0:
        os._exit(0 if provider.unwrap(wrapped, CONTEXT) == KEY else 1)

    assert provider.unwrap(wrapped, CONTEXT) == KEY
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
