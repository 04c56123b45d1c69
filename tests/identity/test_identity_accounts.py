"""Accounts are made, reset and disabled by those who may, each change with its entry or not at all."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import identity_kit as kit
import pytest

from app.identity import accounts, totp
from app.identity.room import Identity
from app.kernel.errors import BadInput, Conflict, NotAllowed, NotThere, TrailDown
from app.kernel.fields import Role

GIVEN = {"username": "made.w", "name": "Made Widiasih", "office": "kpu-51.71", "unit": "data", "roles": ["kpu_kab"], "now": kit.NOON}


def create(identity: Identity, **more: object) -> tuple[str, str]:
    return accounts.create(identity, kit.KEEPER, **{**GIVEN, **more})  # type: ignore[arg-type]


def test_a_new_account_has_a_one_time_password(identity: Identity, trail: kit.MemoryTrail) -> None:
    """It must be changed, there is no authenticator yet, and the entry commits to the account's uid."""
    uid, password = create(identity)

    row = kit.row_of(identity, uid)
    assert (row.username, row.must_change, row.seed, row.language) == ("made.w", True, None, "id")
    assert identity.hasher.check(identity.keys, row.password_hash, password)
    entry = trail.drafts[-1]
    assert (entry.actor, trail.said()[-1], entry.scope) == ("host:1000", ("account:create", "done"), "51.71")
    assert entry.detail == ("account", hashlib.sha256(uid.encode()).digest())
    assert "Widiasih" not in repr(entry) and "made.w" not in repr(entry)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"username": "x"}, "username"),
        ({"name": ""}, "name"),
        ({"office": "kpu"}, "office"),
        ({"unit": "dapur"}, "unit"),
        ({"roles": ["kpu_ri"]}, "roles"),
        ({"roles": ["proses"]}, "roles"),
        ({"password": "pendek"}, "new"),
        ({"password": "made widiasih 2029"}, "new"),
        ({"password": "Kota Denpasar 1234", "office": "kpu-51.71"}, "new"),
    ],
)
def test_a_wrong_detail_is_refused_by_its_field(identity: Identity, trail: kit.MemoryTrail, wrong: dict[str, object], field: str) -> None:
    with pytest.raises(BadInput) as refused:
        create(identity, **wrong)

    assert refused.value.field == field
    assert refused.value.public != BadInput.public
    assert trail.drafts == []


def test_a_username_is_given_once(identity: Identity, trail: kit.MemoryTrail) -> None:
    create(identity)

    with pytest.raises(BadInput) as refused:
        create(identity, username="MADE.W")

    assert refused.value.field == "username"


def test_without_the_log_no_account_is_made_or_changed(identity: Identity, trail: kit.MemoryTrail) -> None:
    """The change and its entry stand together or not at all."""
    uid, _password = create(identity)
    trail.down = True
    for call in (
        lambda: create(identity, username="lain"),
        lambda: accounts.disable(identity, kit.KEEPER, uid, kit.NOON),
        lambda: accounts.reset_totp(identity, kit.KEEPER, uid, kit.NOON),
        lambda: accounts.enrol_by_hand(identity, kit.KEEPER, uid, kit.NOON),
    ):
        with pytest.raises(TrailDown):
            call()

    with pytest.raises(NotThere):
        accounts.find(identity, "lain")
    row = kit.row_of(identity, uid)
    assert (row.disabled_at, row.seed, row.seed_version) == (None, None, 0)


@pytest.mark.parametrize("role", [role for role in Role if role not in {Role.ADMIN_SISTEM, Role.PROSES}])
def test_only_keepers_of_accounts_change_them(identity: Identity, role: Role) -> None:
    uid, _password = create(identity)
    actor = replace(kit.KEEPER, role=role)
    for call in (
        lambda: accounts.create(identity, actor, **{**GIVEN, "username": "lain"}),  # type: ignore[arg-type]
        lambda: accounts.disable(identity, actor, uid, kit.NOON),
        lambda: accounts.reset_totp(identity, actor, uid, kit.NOON),
        lambda: accounts.enrol_by_hand(identity, actor, uid, kit.NOON),
    ):
        with pytest.raises(NotAllowed):
            call()


def test_not_even_an_administrator_is_handed_a_secret(identity: Identity) -> None:
    uid, _password = create(identity)

    with pytest.raises(NotAllowed):
        accounts.enrol_by_hand(identity, replace(kit.KEEPER, role=Role.ADMIN_SISTEM), uid, kit.NOON)


def test_a_reset_leads_back_to_enrolment(identity: Identity, trail: kit.MemoryTrail) -> None:
    """The old secret is gone, its sealed copy opens no more, and its codes are refused."""
    who = kit.someone(identity)
    old = kit.row_of(identity, who.uid)
    accounts.reset_totp(identity, kit.KEEPER, who.uid, kit.NOON)

    row = kit.row_of(identity, who.uid)
    assert (row.seed, row.enrolled_at, row.factor_failures) == (None, None, 0)
    assert row.seed_version > old.seed_version
    assert trail.said()[-1] == ("account:reset", "done")
    with pytest.raises(Conflict):
        totp.present(identity.store, identity.keys, who.uid, who.code(kit.NOON), kit.NOON, lambda _session, factor: factor)
    assert not accounts.find(identity, who.username).enrolled


def test_an_account_is_enrolled_by_hand_once(identity: Identity) -> None:
    who = kit.someone(identity)

    with pytest.raises(Conflict):
        accounts.enrol_by_hand(identity, kit.KEEPER, who.uid, kit.NOON)


def test_an_account_is_disabled_once_and_said_to_be(identity: Identity, trail: kit.MemoryTrail) -> None:
    who = kit.someone(identity)
    accounts.disable(identity, kit.KEEPER, who.uid, kit.NOON)

    with pytest.raises(Conflict):
        accounts.disable(identity, kit.KEEPER, who.uid, kit.NOON)
    assert trail.said().count(("account:disable", "done")) == 1
    assert accounts.find(identity, who.username).disabled_at == kit.NOON


def test_an_account_that_is_not_there_is_not_there(identity: Identity) -> None:
    for call in (
        lambda: accounts.find(identity, "tidak.ada"),
        lambda: accounts.disable(identity, kit.KEEPER, "a" * 26, kit.NOON),
        lambda: accounts.reset_totp(identity, kit.KEEPER, "a" * 26, kit.NOON),
    ):
        with pytest.raises(NotThere):
            call()


def test_a_language_is_kept(identity: Identity) -> None:
    who = kit.someone(identity)
    accounts.set_language(identity, who.uid, "en")
    with pytest.raises(BadInput):
        accounts.set_language(identity, who.uid, "fr")

    assert kit.row_of(identity, who.uid).language == "en"
