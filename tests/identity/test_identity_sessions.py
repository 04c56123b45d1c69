"""Sessions live as long as they may, and never come back."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import identity_kit as kit
import pytest

from app.identity import accounts, sessions
from app.identity.room import Identity
from app.kernel.errors import SignInNeeded, StoreDown
from app.kernel.fields import Role
from app.store.engine import Store


def expired(identity: Identity, opened: sessions.Opened) -> bool:
    with pytest.raises(SignInNeeded) as ended:
        kit.person_of(identity, opened)
    return ended.value.expired


def test_only_the_hash_of_the_secret_is_stored(identity: Identity) -> None:
    """256 bits in base64url; the row holds their SHA-256."""
    who = kit.someone(identity)
    opened = kit.full_of(identity, who)

    assert len(opened.secret) == 43
    assert opened.secret not in repr(opened)
    assert [row.id_hash for row in kit.living(identity, who.uid)] == [hashlib.sha256(opened.secret.encode()).digest()]


@pytest.mark.parametrize("secret", [None, "", "x" * 43, "x" * 5000, "\ud800" * 43, "' OR 1=1 --"])
def test_nonsense_is_nobodys_session(identity: Identity, secret: str | None) -> None:
    with pytest.raises(SignInNeeded) as nobody:
        sessions.resolve(identity.store, secret, kit.NOON)

    assert not nobody.value.expired


def test_a_session_in_use_lives_eight_hours(identity: Identity, clock: kit.HandClock) -> None:
    opened = kit.full_of(identity, kit.someone(identity))
    for _ in range(47):
        clock.forward(minutes=10)
        assert kit.person_of(identity, opened)
    clock.forward(minutes=10)

    assert expired(identity, opened)


def test_a_session_left_alone_lives_a_quarter_of_an_hour(identity: Identity, clock: kit.HandClock) -> None:
    who = kit.someone(identity)
    opened = kit.full_of(identity, who)
    clock.forward(minutes=15)

    assert expired(identity, opened)
    assert kit.living(identity, who.uid) == []


def test_an_administrators_lives_five_minutes(identity: Identity, clock: kit.HandClock) -> None:
    opened = kit.full_of(identity, kit.someone(identity, office="kpu-00", roles=["admin_sistem"]))
    clock.forward(minutes=4)
    assert kit.person_of(identity, opened)
    clock.forward(minutes=5)

    assert expired(identity, opened)


def test_a_half_session_lives_five_minutes(identity: Identity, clock: kit.HandClock) -> None:
    opened = kit.half_of(identity, kit.someone(identity))
    clock.forward(minutes=4, seconds=59)
    assert not kit.person_of(identity, opened).full
    clock.forward(seconds=1)

    assert expired(identity, opened)


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_an_hour_off_ends_a_session(identity: Identity, clock: kit.HandClock, hours: int) -> None:
    """Ahead: it is idle. Back: it comes from the future, and what is not understood is not trusted."""
    opened = kit.full_of(identity, kit.someone(identity))
    clock.forward(hours=hours)

    assert expired(identity, opened)


def test_use_is_noted_once_a_minute(identity: Identity, clock: kit.HandClock) -> None:
    who = kit.someone(identity)
    opened = kit.full_of(identity, who)
    seen = []
    for _ in range(4):
        clock.forward(seconds=30)
        kit.person_of(identity, opened)
        seen.append((kit.living(identity, who.uid)[0].seen_at - kit.NOON).total_seconds())

    assert seen == [0, 60, 60, 120]


def test_a_late_note_of_use_revives_nothing(identity: Identity, clock: kit.HandClock) -> None:
    """A request that read the session before it ended writes its note after; the session stays ended."""
    who = kit.someone(identity)
    opened = kit.full_of(identity, who)
    with identity.store.writing() as session:
        sessions.end(session, sessions.id_hash(opened.secret), clock.now())
    sessions._mark_seen(identity.store, sessions.id_hash(opened.secret), clock.forward(minutes=5))

    row = kit.sessions_of(identity, who.uid)[-1]
    assert row.ended_at is not None and row.seen_at == kit.NOON
    assert expired(identity, opened)


def test_the_moment_a_session_ended_is_set_once(identity: Identity, clock: kit.HandClock) -> None:
    who = kit.someone(identity)
    opened = kit.full_of(identity, who)
    for _ in range(2):
        with identity.store.writing() as session:
            sessions.end(session, sessions.id_hash(opened.secret), clock.now())
        clock.forward(minutes=1)

    assert kit.sessions_of(identity, who.uid)[-1].ended_at == kit.NOON


def test_a_disabled_account_is_out_at_once(identity: Identity, clock: kit.HandClock) -> None:
    """Also when the row was changed without ending the sessions."""
    who = kit.someone(identity)
    opened = kit.full_of(identity, who)
    with kit.edited(identity, who.uid) as row:
        row.disabled_at = clock.now()

    assert expired(identity, opened)
    assert kit.living(identity, who.uid) == []


def test_a_role_taken_away_ends_the_sessions_in_it(identity: Identity) -> None:
    who = kit.someone(identity, roles=["kpu_kab", "penyetuju"])
    opened = kit.full_of(identity, who)
    assert kit.person_of(identity, opened).role is Role.KPU_KAB
    with kit.edited(identity, who.uid) as row:
        row.roles = "penyetuju"

    assert expired(identity, opened)


def test_a_reset_and_a_disabling_end_every_session(identity: Identity, clock: kit.HandClock) -> None:
    one, two = kit.someone(identity), kit.someone(identity, "lain")
    opened = [kit.full_of(identity, one), kit.half_of(identity, one), kit.full_of(identity, two)]
    accounts.reset_totp(identity, kit.KEEPER, one.uid, clock.now())
    accounts.disable(identity, kit.KEEPER, two.uid, clock.now())

    assert all(expired(identity, one) for one in opened)


def test_a_person_becomes_an_actor_with_what_the_policies_ask(identity: Identity, clock: kit.HandClock) -> None:
    who = kit.someone(identity, roles=["kpu_kab", "penyetuju"])
    opened = kit.full_of(identity, who)
    clock.forward(seconds=45)

    actor = kit.person_of(identity, opened).actor("req-9", "192.0.2.7")

    assert (actor.uid, actor.office, actor.region, actor.unit) == (who.uid, "kpu-51.71", "51.71", "data")
    assert (actor.role, actor.roles) == (Role.KPU_KAB, frozenset({Role.KPU_KAB, Role.PENYETUJU}))
    assert (actor.session, actor.method, actor.request, actor.address) == (opened.uid, "totp", "req-9", "192.0.2.7")
    assert actor.factor_at is not None and clock.now() - actor.factor_at == timedelta(seconds=45)


def test_a_person_shows_no_name_in_a_repr(identity: Identity) -> None:
    person = kit.person_of(identity, kit.full_of(identity, kit.someone(identity)))

    assert "Widiasih" not in repr(person) and "made.w" not in repr(person)


def test_an_unreachable_database_is_no_session(identity: Identity, plain_store: Store) -> None:
    opened = kit.full_of(identity, kit.someone(identity))
    with plain_store.writing() as session:
        session.connection().exec_driver_sql("DROP TABLE login_session")

    with pytest.raises(StoreDown):
        kit.person_of(identity, opened)
