"""What clients saw, and whether a log can have answered so: a checker of recorded histories.

Each answered call is recorded by its caller as (begin, end, seq, leaf) on the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Call(NamedTuple):
    """One answered call. begin, end: seconds of CLOCK_MONOTONIC. seq, leaf (hex): the entry that its receipt names."""

    begin: float
    end: float
    seq: int
    leaf: str


def parse(lines: Iterable[str]) -> list[Call]:
    """Return the calls in a client's output; a last line cut short by a kill is no answer."""
    found = []
    for line in lines:
        parts = line.split(" ")
        if len(parts) == 4 and len(parts[3]) == 64:
            found.append(Call(float(parts[0]), float(parts[1]), int(parts[2]), parts[3]))
    return found


def wrongs(calls: Sequence[Call], leaves: Mapping[int, str]) -> list[str]:
    """Return what is wrong with a history, given the log's leaves by number: nothing, if every promise was kept.

    (1) every answer's entry stands in the log, where and as its receipt says; (2) no entry was handed out twice; (3) an answer that was
    there before another call began has the smaller number: the log's order is the order of time, as far as anybody can tell.
    """
    found = [f"answered without its entry: {one}" for one in calls if leaves.get(one.seq) != one.leaf]
    numbers = [one.seq for one in calls]
    if len(set(numbers)) != len(numbers):
        found.append("two answers share an entry")
    ended = sorted(calls, key=lambda one: one.end)
    highest, at = -1, 0
    for one in sorted(calls, key=lambda one: one.begin):
        while at < len(ended) and ended[at].end < one.begin:
            highest = max(highest, ended[at].seq)
            at += 1
        if one.seq < highest:
            found.append(f"out of order: {one} began after {highest} was answered")
    return found
