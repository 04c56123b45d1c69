"""Moments and numbers as people of an office and a language write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from web_kit import NOW, FakeApp

from app.web.times import clocks, local, number, relative


@pytest.mark.parametrize(
    ("language", "place", "expected"),
    [
        ("id", "kpu-51.71", "24 Nov 2026 11.30 WITA"),
        ("id", "31", "24 Nov 2026 10.30 WIB"),
        ("id", "bawaslu-91", "24 Nov 2026 12.30 WIT"),
        ("id", "kpu-00", "24 Nov 2026 10.30 WIB"),
        ("id", "", "24 Nov 2026 10.30 WIB"),
        ("en", "kpu-51.71", "24 Nov 2026, 11:30 WITA"),
    ],
)
def test_a_moment_stands_on_the_offices_clock(fake: FakeApp, language: str, place: str, expected: str) -> None:
    """WIB, WITA or WIT by the office, in the habit of the language."""
    with fake.app.test_request_context("/", headers={"Cookie": f"gardu_lang={language}"}):
        assert local(NOW, place) == expected


def test_indonesian_names_of_months(fake: FakeApp) -> None:
    """August is Agu."""
    with fake.app.test_request_context("/"):
        assert local(datetime(2026, 8, 17, 3, 0, tzinfo=UTC), "kpu-31") == "17 Agu 2026 10.00 WIB"


def test_without_a_place_all_three_clocks_are_shown(fake: FakeApp) -> None:
    """Before signing in we do not know where somebody's phone is."""
    with fake.app.test_request_context("/"):
        assert clocks(NOW) == "10.30.12 WIB · 11.30.12 WITA · 12.30.12 WIT"
        assert clocks(NOW, "kpu-51.71") == "11.30.12 WITA"


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        (timedelta(seconds=-20), "baru saja"),
        (timedelta(minutes=-5), "5 menit yang lalu"),
        (timedelta(hours=3), "dalam 3 jam"),
        (timedelta(days=-2), "2 hari yang lalu"),
    ],
)
def test_how_long_ago(fake: FakeApp, gap: timedelta, expected: str) -> None:
    """Past and future, coarse on purpose."""
    with fake.app.test_request_context("/"):
        assert relative(NOW + gap, NOW) == expected


def test_numbers_carry_the_languages_separator(fake: FakeApp) -> None:
    """1.234 in Indonesian, 1,234 in English."""
    with fake.app.test_request_context("/"):
        assert number(1234567) == "1.234.567"
    with fake.app.test_request_context("/", headers={"Cookie": "gardu_lang=en"}):
        assert number(1234567) == "1,234,567"


def test_a_naive_moment_is_refused(fake: FakeApp) -> None:
    """A time without its zone is a mistake, not a guess."""
    with fake.app.test_request_context("/"):
        for show in (local, clocks):
            with pytest.raises(ValueError, match="naive"):
                show(NOW.replace(tzinfo=None))
