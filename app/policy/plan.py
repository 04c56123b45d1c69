"""A plan: the view of each of the 13 elements for one visit, and a bounded memory of plans."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from threading import Lock
from types import MappingProxyType
from typing import Generic, TypeVar

from app.kernel.fields import ELEMENTS, Element, View
from app.policy.engine import NO_RULE, Answer, Engine
from app.policy.views import LEVELS
from app.policy.visit import Visit

T = TypeVar("T")
# A plan is about 4 kB; 4,096 of them serve 500 people with 8 regions each.
CACHED = 4096


@dataclass(frozen=True, slots=True)
class Plan:
    """What is shown. views: effective. rules: what decided it. caps: the forbids that stopped the next level, if any did."""

    views: Mapping[Element, View]
    rules: Mapping[Element, tuple[str, ...]]
    caps: Mapping[Element, tuple[str, ...]]
    errors: bool

    @property
    def closed(self) -> bool:
        """Whether nothing at all is open."""
        return not any(self.views.values())

    @property
    def refusals(self) -> tuple[str, ...]:
        """The sorted ids of what closed the closed elements."""
        closed = (self.rules[element] for element, view in self.views.items() if view == View.TUTUP)
        return tuple(sorted({rule for rules in closed for rule in rules}))

    def above(self, other: Plan) -> Mapping[Element, View]:
        """Return the views of this plan that are higher than in *other*."""
        return MappingProxyType({e: view for e, view in self.views.items() if view > other.views[e]})


def make_plan(engine: Engine, visit: Visit, elements: Iterable[Element] = ELEMENTS) -> Plan:
    """Decide the view of each of *elements*: the highest level that has a transform and that Cedar allows, with every one below it."""
    steps = [(level, element) for element in elements for level in LEVELS[element]]
    answers = engine.ask(visit, [(level.word, element) for level, element in steps])
    views: dict[Element, View] = {}
    rules: dict[Element, tuple[str, ...]] = {}
    caps: dict[Element, tuple[str, ...]] = {}
    for element, asked in groupby(zip(steps, answers, strict=True), key=lambda pair: pair[0][1]):
        ladder = [(level, answer) for (level, _), answer in asked]
        views[element], rules[element], caps[element] = _climb(ladder)
    frozen = (MappingProxyType(views), MappingProxyType(rules), MappingProxyType(caps))
    return Plan(*frozen, errors=any(answer.error for answer in answers))


def closed_plan(rule: str) -> Plan:
    """Return the plan that opens nothing because of *rule*."""
    tutup = MappingProxyType(dict.fromkeys(ELEMENTS, View.TUTUP))
    return Plan(tutup, MappingProxyType(dict.fromkeys(ELEMENTS, (rule,))), MappingProxyType(dict.fromkeys(ELEMENTS, ())), errors=False)


def _climb(ladder: list[tuple[View, Answer]]) -> tuple[View, tuple[str, ...], tuple[str, ...]]:
    """Return (view, rules that decided it, forbids that stopped the next level) of one element."""
    view: View = View.TUTUP
    rules: tuple[str, ...] = ()
    for level, answer in ladder:
        if not answer.allowed:
            # Deny by a rule is a forbid's doing; deny without one means that no permit reaches so far.
            return (view, rules, answer.rules) if view > View.TUTUP else (view, answer.rules or (NO_RULE,), answer.rules)
        view, rules = level, answer.rules
    return view, rules, ()


class Memory(Generic[T]):
    """A bounded least-recently-used memory, safe for threads; raising *generation* empties it.

    What was computed before the generation rose is never stored after.
    """

    def __init__(self, size: int = CACHED) -> None:
        self._size = size
        self._lock = Lock()
        self._kept: OrderedDict[Hashable, T] = OrderedDict()
        self._generation = 0

    @property
    def generation(self) -> int:
        """The present generation."""
        return self._generation

    @generation.setter
    def generation(self, value: int) -> None:
        with self._lock:
            if value < self._generation:
                raise ValueError("a generation only rises")
            self._generation = value
            self._kept.clear()

    def get(self, key: Hashable) -> T | None:
        """Return what is kept under *key*, or None."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: Hashable, value: T, generation: int) -> None:
        """Keep *value*, computed in *generation*, under *key*; forget the least recently used beyond the size."""
        with self._lock:
            if generation != self._generation:
                return
            self._kept[key] = value
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)
