"""Families of synthetic people: who lives together, how old, how named. Every draw comes from one stream of random numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from app.voters.synth.names import Custom

# The day ages refer to: five years after the last general election (14 February 2024), also a Wednesday.
VOTING_DAY = date(2029, 2, 14)
_TODAY = VOTING_DAY.toordinal()
_YEAR = 365.2425
# Half a week above 17 full years, so that nobody is under age by a leap day.
_ADULT = 17.01
_OLDEST = 95.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Person:
    """One member of a family. birth: ordinal day. child: unmarried child of the house."""

    name: str
    female: bool
    birth: int
    status: str
    child: bool


class Draw:
    """Draws from one stream of numbers in [0, 1). Only that stream is used, since Python promises it alone never changes."""

    def __init__(self, stream: Callable[[], float]) -> None:
        self.chance = stream

    def one(self, choices: Sequence[T]) -> T:
        """Return one of *choices*."""
        return choices[int(self.chance() * len(choices))]

    def share(self, table: Sequence[tuple[str, float]]) -> str:
        """Return the word of *table* whose share (of 1) was drawn, or "" for all that the shares leave over."""
        left = self.chance()
        for word, share in table:
            left -= share
            if left < 0:
                return word
        return ""

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + self.chance() * (high - low)


def born(age: float) -> int:
    """Return the ordinal day on which somebody was born who has *age* years on voting day, at most 95."""
    return _TODAY - int(min(age, _OLDEST) * _YEAR) - 1


def make_family(draw: Draw, custom: Custom) -> list[Person]:
    """Return one family's voters, one to seven, the head first."""
    clan = draw.one(custom.clans) if custom.clans and draw.chance() < custom.clan_share else ""
    kind = draw.chance()
    head_age = draw.between(20, 34) if kind < 0.12 else draw.between(24, 62) + draw.chance() * draw.between(0, 22)
    if kind < 0.12:
        return [_person(draw, custom, clan, draw.chance() < 0.45, head_age, "B")]
    female_head = kind < 0.22
    family = [_person(draw, custom, clan, female_head, head_age, "P" if female_head else "S")]
    if not female_head:
        family.append(_person(draw, custom, clan, True, max(19.0, head_age - draw.between(-2, 8)), "S"))
    if head_age > 40:
        family.extend(_children(draw, custom, clan, head_age))
    if head_age < 65 and draw.chance() < 0.1:
        family.append(_person(draw, custom, clan, draw.chance() < 0.7, head_age + draw.between(20, 30), "P"))
    return family


def _children(draw: Draw, custom: Custom, clan: str, head_age: float) -> list[Person]:
    oldest = min(head_age - 20, 32)
    count = int(draw.chance() * 3.4) if oldest > _ADULT + 1 else 0
    return [_person(draw, custom, clan, draw.chance() < 0.48, draw.between(_ADULT, oldest), "B", child=True) for _ in range(count)]


def _person(draw: Draw, custom: Custom, clan: str, female: bool, age: float, status: str, *, child: bool = False) -> Person:
    return Person(_name(draw, custom, clan, female), female, born(max(age, _ADULT)), status, child)


def _name(draw: Draw, custom: Custom, clan: str, female: bool) -> str:
    given, before = (custom.female, custom.before_female) if female else (custom.male, custom.before_male)
    words = [draw.one(before), draw.one(given)]
    if draw.chance() < 0.55 and (second := draw.one(given)) != words[1]:
        words.append(second)
    words.append(clan)
    return " ".join(word for word in words if word)
