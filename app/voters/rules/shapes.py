"""What a value looks like, without the value: for choosing columns by somebody who need not see a single voter."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from app.kernel.errors import N_
from app.voters.rules.text import normalise

# Kinds of shape told per column; the rest is "and others".
_MOST = 2
# A header longer than this is cut: it may be anything.
_HEADER = 40
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_DATE = re.compile(r"([0-9]{1,4})([-/|.])([0-9]{1,2})([-/|.])([0-9]{1,4})", re.ASCII)
# So many digits in a row are a number of somebody's, not a name of a column.
_LONG_NUMBER = re.compile(r"[0-9]{6}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape. text: a msgid; params: its numbers and separators, never a character of the value else."""

    text: str
    params: Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class Column:
    """What the first values of a column look like. shapes: the commonest with their counts; blank: how many are empty; seen: of how many."""

    shapes: Sequence[tuple[Shape, int]]
    others: int
    blank: int
    seen: int


def shape_of(text: str) -> Shape:
    """Return the shape of one value that is not empty."""
    if _DIGITS.fullmatch(text):
        return Shape(N_("%(digits)s angka"), {"digits": len(text)})
    if found := _DATE.fullmatch(text):
        year_first = len(found[1]) == 4
        parts = ("tttt", "bb", "hh") if year_first else ("hh", "bb", "tttt" if len(found[5]) == 4 else "tt")
        return Shape(N_("tanggal %(form)s"), {"form": f"{parts[0]}{found[2]}{parts[1]}{found[4]}{parts[2]}"})
    letters, digits = sum(map(str.isalpha, text)), sum(map(str.isdigit, text))
    if not digits and letters == len(text):
        return Shape(N_("%(letters)s huruf"), {"letters": letters})
    if not digits and letters:
        return Shape(N_("%(words)s kata, %(letters)s huruf"), {"words": len(text.split()), "letters": letters})
    if letters:
        return Shape(N_("huruf dan angka, %(count)s karakter"), {"count": len(text)})
    return Shape(N_("tanda baca dan angka, %(count)s karakter"), {"count": len(text)})


def look_at(values: Iterable[str]) -> Column:
    """Return what *values* look like."""
    texts = [normalise(value) for value in values]
    found = Counter((shape.text, tuple(shape.params.items())) for shape in map(shape_of, filter(None, texts)))
    common = [(Shape(text, dict(params)), count) for (text, params), count in found.most_common(_MOST)]
    blank = sum(not text for text in texts)
    return Column(common, len(texts) - blank - sum(count for _, count in common), blank, len(texts))


def header_shown(name: str) -> str | None:
    """Return a header's text as it may be shown, or None when it may be somebody's number: then its shape is shown."""
    text = normalise(name)
    return None if _LONG_NUMBER.search(text) else text[:_HEADER]
