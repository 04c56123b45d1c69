"""The visit's canonical form, its bounds, and the memory of plans."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import rfc8785

from app.kernel.actor import NEVER, Actor, Ask
from app.kernel.errors import BadInput
from app.kernel.fields import ELEMENTS, Basis, Element, Purpose, Role, Stage, Unit, View
from app.policy.plan import Memory
from app.policy.visit import Mandate, Visit, visit_for

NOW = datetime(2026, 12, 1, 3, 0, 0, 7, tzinfo=UTC)
ACTOR = Actor(
    uid="p" * 26, office="kpu-51.71", unit="data", role=Role.KPU_KAB, roles=frozenset({Role.KPU_KAB, Role.PEJABAT_PDP}), region="51.71",
    request="r1", factor_at=NOW - timedelta(seconds=61, microseconds=5), factor_purpose=Purpose.PEMUTAKHIRAN,
)  # fmt: skip
ASK = Ask(Purpose.PEMUTAKHIRAN, Basis.PKPU7_2022, "51.71.01.1001", "2029", Stage.DPS)
MANDATE = Mandate(
    uid="m" * 26, holder="p" * 26, approver1="a" * 26, unit1=Unit.DATA, approver2="b" * 26, unit2=Unit.HUKUM, region="51.71",
    purpose=Purpose.PEMUTAKHIRAN, stages=frozenset({Stage.DPS, Stage.DP4}), elements=frozenset({Element.NIK, Element.DISABILITAS}),
    ceiling=View.UTUH, start=NOW, until=NOW + timedelta(days=1), subject="é\u2028\x1f",
)  # fmt: skip


def test_the_canonical_form_is_rfc_8785() -> None:
    """An independent implementation writes the same bytes, odd characters included."""
    visit = visit_for(ACTOR, ASK, NOW, mandate=MANDATE, subject='v"\\\t')

    assert visit.canonical() == rfc8785.dumps(json.loads(visit.canonical()))


def test_the_canonical_form_holds_every_member() -> None:
    """A replay needs all a decision depended on: changing any member changes the bytes."""
    visit = visit_for(ACTOR, ASK, NOW, mandate=MANDATE)
    changes: list[dict[str, object]] = [
        {"person": "q" * 26}, {"office": "kpu-51.03"}, {"unit": "hukum"}, {"role": Role.PEJABAT_PDP}, {"roles": frozenset({Role.KPU_KAB})},
        {"jurisdiction": "51"}, {"region": "51.71.02"}, {"purpose": Purpose.AUDIT}, {"basis": Basis.PUTUSAN}, {"election": "2024"},
        {"stage": Stage.DPT}, {"moment": NOW + timedelta(microseconds=1)}, {"factor_age": 62}, {"mandate": None}, {"subject": "x"},
        {"approved_subject": True}, {"mandate": replace(MANDATE, ceiling=View.ADA)}, {"mandate": replace(MANDATE, unit2=Unit.KEAMANAN)},
    ]  # fmt: skip
    forms = {visit.canonical(), *(replace(visit, **change).canonical() for change in changes)}  # type: ignore[arg-type]  # own choice

    assert len(forms) == len(changes) + 1
    assert {field for change in changes for field in change} == set(Visit.__slots__)


def test_a_visit_is_made_of_actor_and_ask() -> None:
    """The factor counts in whole seconds and only for the purpose it was given for."""
    assert visit_for(ACTOR, ASK, NOW).factor_age == 61
    assert visit_for(ACTOR, replace(ASK, purpose=Purpose.AUDIT), NOW).factor_age == NEVER


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"role": Role.ADMIN_SISTEM}, ValueError),
        ({"moment": datetime(2026, 12, 1)}, ValueError),  # noqa: DTZ001  the naive moment is the point
        ({"factor_age": -1}, ValueError),
        ({"factor_age": NEVER + 1}, ValueError),
        ({"region": "51.7"}, BadInput),
        ({"jurisdiction": "bali"}, BadInput),
    ],
)
def test_an_impossible_visit_cannot_be_made(change: dict[str, object], error: type[Exception]) -> None:
    """A role not held, a naive moment, an age out of bounds, a region of wrong shape."""
    with pytest.raises(error):
        replace(visit_for(ACTOR, ASK, NOW), **change)  # type: ignore[arg-type]  # a test's own choice


def test_the_memory_forgets_the_least_recently_used() -> None:
    """Bounded: what was asked for lately stays."""
    memory: Memory[int] = Memory(2)
    for number in (1, 2):
        memory.put(number, number, 0)
    assert memory.get(1) == 1
    memory.put(3, 3, 0)

    assert (memory.get(1), memory.get(2), memory.get(3), len(memory)) == (1, None, 3, 2)


def test_what_was_computed_before_a_revocation_is_not_kept_after_it() -> None:
    """A plan computed under the old generation and finished late is thrown away; generations only rise."""
    memory: Memory[int] = Memory()
    before = memory.generation
    memory.generation += 1
    memory.put("late", 1, before)

    assert memory.get("late") is None
    with pytest.raises(ValueError, match="rises"):
        memory.generation = 0


def test_the_memory_is_safe_for_threads() -> None:
    """Eight threads and raised generations: never more than the bound, never another key's value."""
    memory: Memory[int] = Memory(16)

    def work(seed: int) -> bool:
        right = True
        for step in range(2_000):
            key = (seed * 31 + step) % 64
            memory.put(key, key, memory.generation)
            right &= memory.get(key) in {None, key}
        return right

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    assert len(memory) <= 16


def test_a_mandate_needs_aware_times() -> None:
    """Naive start or end is refused."""
    with pytest.raises(ValueError, match="aware"):
        replace(MANDATE, until=datetime(2027, 1, 1), elements=frozenset(ELEMENTS))  # noqa: DTZ001  the naive moment is the point
