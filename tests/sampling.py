"""What `make test` takes of many like cases, and what only `make test SLOW=1` and CI run beside."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from _pytest.mark import ParameterSet


def sampled(cases: Iterable[object], *taken: object) -> list[ParameterSet]:
    """Return every one of *cases* as a parameter; all but those *taken* are marked slow. A case that is a tuple gives several arguments."""
    every = list(cases)
    assert [one for one in taken if one not in every] == [], "no such case"
    return [pytest.param(*(one if isinstance(one, tuple) else (one,)), marks=() if one in taken else pytest.mark.slow) for one in every]


# Both languages have the same pages: what one shuts out, the other nearly always does too.
LANGUAGES = sampled(["en", "id"], "id")
# Everything works without scripts; with them some of it is quicker.
SCRIPTS = sampled([True, False], False)
