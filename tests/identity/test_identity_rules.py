"""Names, offices, roles, limits and lifetimes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.identity import rules
from app.identity.rules import Limit
from app.kernel.errors import BadInput
from app.kernel.fields import Role, Unit

NOON = datetime(2026, 11, 24, 3, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize("text", ["made.w", "op-51.71", "a_b", "x" * 64])
def test_a_username_of_the_form_is_kept(text: str) -> None:
    assert rules.parse_username(f" {text.upper()} ") == text


@pytest.mark.parametrize("text", ["", "ab", "x" * 65, "made w", "made@kpu", "madé", "мade", "a\nb"])
def test_any_other_username_is_refused_by_field(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        rules.parse_username(text)

    assert refused.value.field == "username"


@pytest.mark.parametrize("office", ["kpu-00", "kpu-51", "kpu-51.71", "bawaslu-51.03"])
def test_an_office_names_institution_and_region(office: str) -> None:
    assert rules.parse_office(office) == office
    assert rules.office_region(office) == office.split("-")[1]


@pytest.mark.parametrize("office", ["", "kpu", "kpu-5", "kpu-51.7", "kpu-51.71.01", "polri-51", "kpu-00.01", "kpu-51.00", "kpu-٥١"])
def test_any_other_office_is_refused(office: str) -> None:
    with pytest.raises(BadInput) as refused:
        rules.parse_office(office)

    assert refused.value.field == "office"


@pytest.mark.parametrize(
    ("role", "office"),
    [
        ("kpu_ri", "kpu-00"),
        ("kpu_prov", "kpu-51"),
        ("kpu_kab", "kpu-51.71"),
        ("bawaslu_ri", "bawaslu-00"),
        ("bawaslu_prov", "bawaslu-51"),
        ("bawaslu_kab", "bawaslu-51.71"),
        ("penyetuju", "kpu-51.71"),
        ("admin_sistem", "kpu-00"),
    ],
)
def test_a_role_sits_in_its_own_kind_of_office(role: str, office: str) -> None:
    assert rules.parse_roles([role], office) == (Role(role),)


@pytest.mark.parametrize(
    ("roles", "office"),
    [
        (["kpu_kab"], "kpu-51"),
        (["kpu_kab"], "bawaslu-51.71"),
        (["kpu_ri"], "kpu-51.71"),
        (["bawaslu_prov"], "bawaslu-51.71"),
        (["proses"], "kpu-00"),
        (["raja"], "kpu-00"),
        ([], "kpu-00"),
        (["penyetuju", "penyetuju"], "kpu-00"),
    ],
)
def test_a_role_elsewhere_unknown_repeated_or_not_for_people_is_refused(roles: list[str], office: str) -> None:
    with pytest.raises(BadInput) as refused:
        rules.parse_roles(roles, office)

    assert refused.value.field == "roles"


def test_units_and_names_are_checked() -> None:
    assert rules.parse_unit("Hukum") is Unit.HUKUM
    assert rules.parse_name("  Ni  Luh\tPutu ") == "Ni Luh Putu"
    for call, field in (
        (lambda: rules.parse_unit("dapur"), "unit"),
        (lambda: rules.parse_name(" \n "), "name"),
        (lambda: rules.parse_name("a\x00b"), "name"),
    ):
        with pytest.raises(BadInput) as refused:
            call()
        assert refused.value.field == field


@given(st.text(max_size=12))
def test_only_six_ascii_digits_are_a_code(text: str) -> None:
    """Other digits (Arabic, full-width), spaces and newlines are no code."""
    is_code = len(text) == 6 and all(character in "0123456789" for character in text)
    if is_code:
        assert rules.parse_code(text) == text
        return
    with pytest.raises(BadInput):
        rules.parse_code(text)


@pytest.mark.parametrize("text", ["123456\n", "１２３４５６", "٠١٢٣٤٥", " 12345", "12345", "1234567", ""])
def test_what_looks_like_a_code_is_not_one(text: str) -> None:
    with pytest.raises(BadInput):
        rules.parse_code(text)


@given(st.lists(st.integers(0, 5000), max_size=60), st.integers(0, 600))
def test_no_stretch_of_time_ever_holds_more_than_the_limit(gaps: list[int], shift: int) -> None:
    """Whoever waits as told, and fails each time, fails at most `most` times within any `within` seconds."""
    limit, at = Limit(5, 300, 60), 1_800_000_000 + shift
    counts: dict[int, int] = {}
    failures: list[int] = []
    for gap in gaps:
        at += gap % 200
        if rules.wait_seconds(counts, limit, at) == 0:
            failures.append(at)
            counts[at // limit.bucket] = counts.get(at // limit.bucket, 0) + 1

    assert all(sum(1 for other in failures if start <= other < start + limit.within) <= limit.most for start in failures)


@given(st.dictionaries(st.integers(30_000_000 - 8, 30_000_000), st.integers(0, 9), max_size=9), st.integers(0, 59))
def test_the_wait_told_is_long_enough_and_not_longer(counts: dict[int, int], second: int) -> None:
    limit, at = Limit(5, 300, 60), 30_000_000 * 60 + second

    wait = rules.wait_seconds(counts, limit, at)

    assert rules.wait_seconds(counts, limit, at + wait) == 0
    assert wait == 0 or rules.wait_seconds(counts, limit, at + wait - 1) > 0


@pytest.mark.parametrize(
    ("full", "roles", "born", "seen", "over"),
    [
        (True, [Role.KPU_KAB], timedelta(), timedelta(minutes=14, seconds=59), False),
        (True, [Role.KPU_KAB], timedelta(), timedelta(minutes=15), True),
        (True, [Role.KPU_KAB, Role.ADMIN_SISTEM], timedelta(), timedelta(minutes=4, seconds=59), False),
        (True, [Role.KPU_KAB, Role.ADMIN_SISTEM], timedelta(), timedelta(minutes=5), True),
        (True, [Role.KPU_KAB], 8 * HOUR - timedelta(seconds=1), timedelta(), False),
        (True, [Role.KPU_KAB], 8 * HOUR, timedelta(), True),
        (False, [Role.KPU_KAB], timedelta(minutes=4, seconds=59), timedelta(), False),
        (False, [Role.KPU_KAB], timedelta(minutes=5), timedelta(), True),
        (True, [Role.KPU_KAB], -timedelta(minutes=2), timedelta(), True),
        (True, [Role.KPU_KAB], timedelta(), -timedelta(minutes=2), True),
    ],
)
def test_a_session_ends_idle_old_or_from_the_future(full: bool, roles: list[Role], born: timedelta, seen: timedelta, over: bool) -> None:
    assert rules.session_over(full=full, roles=roles, created_at=NOON - born, seen_at=NOON - seen, now=NOON) is over
