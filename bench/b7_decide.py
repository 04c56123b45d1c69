"""B7: deciding what one visit may see of 13 elements; and of a thousand rows of one region."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from app.kernel.actor import Actor, Ask
from app.kernel.fields import ELEMENTS, Basis, Purpose, Role, Stage
from app.kernel.ids import new_uid
from app.policy.decide import Policies
from app.policy.visit import Visit, visit_for
from app.settings import shipped
from bench.kit import ELECTION, KAB, NOW, Bench, Line, line, median, timed

ID = "B7"
_ROWS = 1_000
_SAMPLES = 30
_ASK = Ask(Purpose.PEMUTAKHIRAN, Basis.PKPU7_2022, f"{KAB}.01.1001", ELECTION, Stage.DPS)


def run(bench: Bench) -> Iterator[Line]:
    """Yield every line of B7."""
    samples = _SAMPLES if bench.scale.repeats > 1 else 3
    bench.say(f"B7: {samples} cold decisions, then {_ROWS} warm ones")
    size = len(ELEMENTS)
    folder = shipped("policies")
    first = [_first(Policies.load(folder, NOW)) for _ in range(max(samples // 3, 1))]
    yield line(ID, "decide 13 elements, cold: first ask after loading the policies", size, median(first) * 1000, "ms", goal="≤ 5")
    policies = Policies.load(folder, NOW)
    policies.decide(_visit())
    fresh = [_first(policies) for _ in range(samples)]
    yield line(ID, "decide 13 elements, cold: a person never seen before", size, median(fresh) * 1000, "ms", goal="≤ 5")
    warm = [_warm(policies) for _ in range(samples)]
    yield line(ID, "decide 1,000 rows of one region, warm: µs per row", _ROWS, median(warm) * 1e6, "µs", goal="≤ 20")


def _first(policies: Policies) -> float:
    visit = _visit()
    return timed(lambda: policies.decide(visit))


def _warm(policies: Policies) -> float:
    """Return the seconds per row: a visit of its own for every row, as the touch makes it, and the decision on it."""
    actor, subjects = _actor(), [new_uid() for _ in range(_ROWS)]
    policies.decide(visit_for(actor, _ASK, NOW))
    return timed(lambda: [policies.decide(visit_for(actor, _ASK, NOW, subject=subject)) for subject in subjects]) / _ROWS


def _visit() -> Visit:
    return visit_for(_actor(), _ASK, NOW, subject=new_uid())


def _actor() -> Actor:
    operator = Actor(
        uid=new_uid(), office=f"kpu-{KAB}", unit="data", role=Role.KPU_KAB, roles=frozenset({Role.KPU_KAB}), region=KAB,
        request=new_uid(), session=new_uid(), method="totp", factor_at=NOW,
    )  # fmt: skip
    return replace(operator, factor_purpose=Purpose.PEMUTAKHIRAN)
