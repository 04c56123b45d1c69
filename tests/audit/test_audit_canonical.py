"""Canonical JSON of the log, against an implementation that others wrote."""

from __future__ import annotations

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from app.audit.canonical import MAX_INT, Json, canonical
from app.kernel.errors import BadInput

KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
LEAVES = st.none() | st.integers(-MAX_INT, MAX_INT) | st.text(st.characters(exclude_categories=("Cs",)))
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6))


@given(VALUES)
def test_it_agrees_with_another_implementation_of_rfc_8785(value: Json) -> None:
    """Whatever the log may hold comes out byte for byte as the rfc8785 package writes it."""
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), True, [False], {"a": 0.5}, {"ä": 1}, {1: 2}, "\ud800", ["a\udfff"], MAX_INT + 1, -MAX_INT - 1, b"x", {"a": (1,)}],
    ids=repr,
)
def test_what_has_no_one_form_is_refused(value: Json) -> None:
    """Floats, booleans, keys beyond ASCII, lone surrogates and integers from 2^53 are refused."""
    with pytest.raises(BadInput):
        canonical(value)


def test_a_bottomless_value_is_refused() -> None:
    """Nesting too deep for the machine is refused, not a crash."""
    deep: Json = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(BadInput):
        canonical(deep)
    while isinstance(deep, list) and deep:  # let go of it step by step
        deep = deep[0]


def test_the_largest_integers_stay_exact() -> None:
    """An integer just below 2^53 keeps every digit."""
    assert json.loads(canonical(MAX_INT)) == MAX_INT
