"""Counters of failures, on both engines."""

from __future__ import annotations

from datetime import timedelta

import identity_kit as kit
import pytest
from sqlalchemy import func, select

from app.identity import throttle
from app.identity.room import Identity
from app.identity.tables import FailureCount
from app.kernel.errors import StoreDown, TooMany
from app.store.engine import Store

NAME = (throttle.PASSWORD, "a" * 64)
PLACE = (throttle.ADDRESS, "b" * 64)


def test_the_eleventh_attempt_on_a_name_waits(store: Store) -> None:
    for _ in range(10):
        throttle.reserve(store, [NAME], kit.NOON)

    with pytest.raises(TooMany) as many:
        throttle.reserve(store, [NAME], kit.NOON)

    throttle.reserve(store, [NAME], kit.NOON + timedelta(seconds=many.value.wait))


def test_a_refused_attempt_is_not_counted(store: Store) -> None:
    """Hammering a full counter does not prolong the wait."""
    for _ in range(10):
        throttle.reserve(store, [NAME], kit.NOON)
    for seconds in range(300):
        with pytest.raises(TooMany):
            throttle.reserve(store, [NAME], kit.NOON + timedelta(seconds=seconds))

    throttle.reserve(store, [NAME], kit.NOON + timedelta(minutes=16))


def test_an_attempt_given_back_leaves_room(store: Store) -> None:
    for _ in range(30):
        ticket = throttle.reserve(store, [NAME, PLACE], kit.NOON)
        with store.writing() as session:
            throttle.refund(session, ticket)

    assert throttle.reserve(store, [NAME, PLACE], kit.NOON)


def test_a_full_address_counts_nothing_on_the_name(store: Store) -> None:
    """All or nothing: what was refused by one counter is not left standing in the other."""
    for number in range(50):
        throttle.reserve(store, [(throttle.PASSWORD, f"{number:064d}"), PLACE], kit.NOON)
    with pytest.raises(TooMany):
        throttle.reserve(store, [NAME, PLACE], kit.NOON)

    with store.reading() as session:
        assert session.scalar(select(func.count()).where(FailureCount.subject == NAME[1])) == 0


def test_a_hundred_a_day_are_the_most(store: Store) -> None:
    now = kit.NOON
    for _ in range(100):
        throttle.reserve(store, [NAME], now)
        now += timedelta(minutes=3)

    with pytest.raises(TooMany) as many:
        throttle.reserve(store, [NAME], now)
    assert many.value.wait > 3600


def test_old_counts_are_dropped_and_young_ones_kept(store: Store) -> None:
    throttle.reserve(store, [NAME, PLACE], kit.NOON)
    throttle.reserve(store, [NAME, PLACE], kit.NOON + timedelta(days=2))
    throttle.tidy(store, kit.NOON + timedelta(days=2))

    with store.reading() as session:
        assert session.scalar(select(func.sum(FailureCount.count))) == 3


def test_without_the_table_nobody_may_try(plain_store: Store) -> None:
    """Fail closed."""
    with plain_store.writing() as session:
        session.connection().exec_driver_sql("DROP TABLE failure_count")

    with pytest.raises(StoreDown):
        throttle.reserve(plain_store, [NAME], kit.NOON)


def test_no_name_or_address_stands_in_the_database(identity: Identity) -> None:
    """A keyed token stands for each, another one per kind."""
    tokens = {throttle.subject_token(identity.keys, kind, "made.w") for kind in (throttle.PASSWORD, throttle.ADDRESS)}

    assert len(tokens) == 2
    assert all(len(token) == 64 and "made" not in token for token in tokens)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unix:", "unix:"),
    ],
)
def test_an_ipv6_household_is_one_address(address: str, network: str) -> None:
    assert throttle.network(address) == network
