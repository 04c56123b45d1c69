"""What help and glossary are made of, and how the glossary is sought through. Knows neither web nor database."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass

# Longer than any term; what is cut off would match nothing.
LONGEST = 40
# A term has at most one digit (DP4); from four on somebody typed a date, a TPS or a NIK, which has no place in an address.
MOST_DIGITS = 3
_NO_WORD = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Term:
    """One entry. name: the official Indonesian term. gloss: its English. text: what it means, a msgid. full: the words an abbreviation stands for.

    see: anchors of terms that belong to it.
    """

    name: str
    gloss: str
    text: str
    full: str = ""
    see: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """The term's place on the page, e.g. ``dp4``."""
        return anchor(self.name)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing a desk does. title, text: msgids. path: the page where, or nothing. begin: told on the home page while nothing waits."""

    title: str
    text: str
    path: str = ""
    begin: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that looks wrong. sign: what is seen; remedy: what to do. Both msgids."""

    sign: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Desk:
    """The help of one role. purpose: what the desk is for; closed: what it does not open; recorded: what the log keeps of its work. All msgids."""

    purpose: str
    steps: tuple[Step, ...]
    closed: tuple[str, ...]
    recorded: tuple[str, ...]
    troubles: tuple[Trouble, ...] = ()


def anchor(name: str) -> str:
    """Return *name* as an anchor: letters and digits, words joined by hyphens."""
    return _NO_WORD.sub("-", _fold(name)).strip("-")


def in_order(terms: Iterable[Term]) -> list[Term]:
    """Return *terms* by the alphabet, capitals or not."""
    return sorted(terms, key=lambda term: _fold(term.name))


def names_a_term(text: str) -> bool:
    """Say whether *text* can be part of a term, rather than a number, a date or a NIK."""
    return sum(one.isdigit() for one in text) <= MOST_DIGITS


def sought(terms: Iterable[Term], text: str, translate: Callable[[str], str]) -> list[Term]:
    """Return the terms of which every word of *text* is a part: of the term, its full words, its English, or its meaning as *translate* gives it.

    A term that itself contains *text* stands before those that only speak of it.
    """
    words = _fold(text[:LONGEST]).split()
    found = [term for term in terms if all(word in _fold(f"{term.name} {term.full} {term.gloss} {translate(term.text)}") for word in words)]
    return sorted(found, key=lambda term: not all(word in _fold(f"{term.name} {term.full} {term.gloss}") for word in words))


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
