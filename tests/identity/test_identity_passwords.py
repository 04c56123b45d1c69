"""Which passwords are accepted, and how they are hashed."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import identity_kit as kit
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.identity import passwords
from app.identity.passwords import Hasher
from app.identity.room import Identity
from app.kernel.errors import BadInput, KeysDown, SealBroken
from app.store.engine import Store
from app.store.keys import add_key
from tests.kept import REAL_COST

LISTS = Path(os.environ.get("GARDU_TEST_PASSWORDS") or "absent")
WHO = {"username": "made.widiasih", "name": "Ni Made Widiasih", "office": "kpu-51.71", "region": ("Indonesia", "Bali", "Kota Denpasar")}


def accept(password: str) -> str:
    return passwords.accept(password, **WHO)


@pytest.mark.parametrize(
    "password",
    [
        "kuda lumping naik tangga 77",
        "payung kelabu menari di atas kereta",
        "7#mQ!vX2@pL9&z",
        "ᬳᬶᬤᬸᬧ᭄ ᬲᬸᬓ ᬭᬳᬬᬸ ᬲᬢᬸ",
        "🦔🪁🧂🥁🪨🧦🛶🐚🪵🫖🧵🪤🧄🥢",
    ],
)
def test_a_long_password_nobody_would_guess_is_accepted(password: str) -> None:
    assert accept(password) == unicodedata.normalize("NFC", password)


@pytest.mark.parametrize(
    "password",
    [
        "pendek saja 1",
        "aaaaaaaaaaaaaaaaaaaa",
        "12345678901234567890",
        "kpubawaslupemilu2029",
        "K.P.U-Denpasar-2029!!",
        "bismillah1234567890",
        "Ni Made Widiasih 1990",
        "m4d3.w1d145ih 2029",
        "rahasiarahasiarahasia",
        "indonesia merdeka 17081945",
        "passwordpassword",
        "qwertyuiopasdfgh",
        "pemilihan umum 2029",
        "NIK NKK KTP 20292029",
        "Kota Denpasar, Bali 2029",
    ],
)
def test_what_a_guesser_of_this_house_tries_is_refused(password: str) -> None:
    """Short, repeated, in sequence, or made of the person, the house and common words."""
    with pytest.raises(BadInput) as refused:
        accept(password)

    assert refused.value.field == "new"
    assert password not in str(refused.value)


def test_length_counts_characters_and_the_ceiling_counts_bytes() -> None:
    """14 characters after NFC are the least, 256 bytes of UTF-8 the most."""
    assert accept("7#mQ!vX2@pL9&z")
    with pytest.raises(BadInput):
        accept("7#mQ!vX2@pL9&")
    with pytest.raises(BadInput):
        accept("e\u0301" * 7)
    long = "".join(chr(0x21 + (number * 37) % 90) for number in range(256))
    assert accept(long) == long
    with pytest.raises(BadInput):
        accept(long + "x")


@given(st.text(max_size=300))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_is_accepted_or_refused_never_an_accident(password: str) -> None:
    try:
        assert accept(password) == unicodedata.normalize("NFC", password)
    except BadInput as refused:
        assert refused.field == "new"


def test_a_lone_surrogate_is_no_accident() -> None:
    """A form can carry one; it must not turn into an error that quotes the password."""
    with pytest.raises(BadInput):
        accept("\ud800" * 20)


@pytest.mark.skipif(
    not LISTS.is_dir(), reason="GARDU_TEST_PASSWORDS names no folder with the common-password lists (SecLists, probable-wordlists)"
)
def test_most_common_passwords_are_refused_even_without_a_block_list() -> None:
    """Of the commonest passwords of 14 characters and more at least three in four are refused (rare dictionary words remain)."""
    words = [word for word in (LISTS / "top304k-probable-v2.txt").read_text("utf-8", "replace").splitlines() if len(word) >= 14][:400]
    passed = 0
    for word in words:
        try:
            accept(word)
            passed += 1
        except BadInput:
            pass

    assert words
    assert passed <= len(words) // 4


def test_a_one_time_password_passes_its_own_rules() -> None:
    made = {passwords.one_time_password() for _ in range(50)}

    assert len(made) == 50
    assert all(accept(password) for password in made)


def test_a_password_is_checked_under_its_pepper(identity: Identity) -> None:
    """The stored text names argon2id and the pepper's epoch, and holds nothing of the password."""
    stored = identity.hasher.hash(identity.keys, kit.PASSWORD)

    assert stored.startswith("p1$argon2id$v=19$")
    assert identity.hasher.check(identity.keys, stored, kit.PASSWORD)
    assert not identity.hasher.check(identity.keys, stored, kit.OTHER_PASSWORD)
    assert not identity.hasher.check(identity.keys, stored, "x" * 5000)
    assert kit.PASSWORD not in stored


def test_a_password_typed_in_another_normal_form_is_the_same(identity: Identity) -> None:
    stored = identity.hasher.hash(identity.keys, "kopi tubrük di pagi buta")

    assert identity.hasher.check(identity.keys, stored, unicodedata.normalize("NFD", "kopi tubrük di pagi buta"))


def test_nobody_is_never_right(identity: Identity) -> None:
    """The check for a name that does not exist runs, and fails, whatever is typed."""
    assert not identity.hasher.check(identity.keys, None, "")
    assert not identity.hasher.check(identity.keys, None, kit.PASSWORD)


def test_the_check_for_nobody_has_the_cost_of_a_real_one() -> None:
    """The parameters in the stand-in hash are those of the hasher."""
    assert "$m=65536,t=3,p=1$" in Hasher(**REAL_COST)._nobody
    assert "$m=8,t=1,p=1$" in kit.cheap_hasher()._nobody


def test_another_cost_or_a_newer_pepper_makes_a_hash_stale(identity: Identity, plain_store: Store) -> None:
    stored = identity.hasher.hash(identity.keys, kit.PASSWORD)
    assert not identity.hasher.is_stale(identity.keys, stored)
    assert Hasher(memory_kib=16, passes=1).is_stale(identity.keys, stored)

    with plain_store.writing() as session:
        add_key(session, "pepper", "00", 2, identity.keys.make("pepper", "00", 2), kit.NOON)
    identity.keys.forget()

    assert identity.hasher.is_stale(identity.keys, stored)
    assert identity.hasher.check(identity.keys, stored, kit.PASSWORD)


@pytest.mark.parametrize("stored", ["", "p1$argon2i$v=19$m=8,t=1,p=1$YWJj$YWJj", "plaintext", "p9$argon2id$v=19$m=8,t=1,p=1$YWJj$YWJj"])
def test_a_stored_text_that_is_no_hash_of_ours_is_a_broken_seal(identity: Identity, stored: str) -> None:
    """Never a login, never another error; the message holds nothing of the text."""
    with pytest.raises(SealBroken):
        identity.hasher.check(identity.keys, stored, kit.PASSWORD)


def test_without_the_pepper_nobody_is_checked(identity: Identity, plain_store: Store) -> None:
    with plain_store.writing() as session:
        session.connection().exec_driver_sql("DELETE FROM vault_key WHERE purpose='pepper'")
    identity.keys.forget()

    with pytest.raises(KeysDown):
        identity.hasher.check(identity.keys, None, kit.PASSWORD)
