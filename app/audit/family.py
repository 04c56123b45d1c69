"""The logs of one guard: ``<host>/gardu/1``, and after each restore of an old backup the next. Pure.

A log restored from an old backup never goes on; what came before stays readable under its own name. So the key of an entry is
``(log, seq)``, and whoever asks what happened to a voter or a mandate asks all of them.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"(.*/gardu/)([1-9][0-9]{0,3})", re.ASCII)


def number_of(log: str) -> int:
    """Return the *n* of ``<host>/gardu/<n>``, or 0 for a log of another name."""
    found = _NAME.fullmatch(log)
    return int(found[2]) if found else 0


def up_to(log: str) -> tuple[str, ...]:
    """Return *log* and those before it, oldest first."""
    found = _NAME.fullmatch(log)
    return tuple(f"{found[1]}{number}" for number in range(1, int(found[2]) + 1)) if found else (log,)


def after(log: str) -> str:
    """Return the name of the log that follows *log*. Raises ValueError when it has not the form ``<host>/gardu/<n>``."""
    found = _NAME.fullmatch(log)
    if found is None:
        raise ValueError("a log's name is <host>/gardu/<n>")
    return f"{found[1]}{int(found[2]) + 1}"


def are_kin(one: str, other: str) -> bool:
    """Say whether both are logs of one guard."""
    first, second = _NAME.fullmatch(one), _NAME.fullmatch(other)
    return first is not None and second is not None and first[1] == second[1]
