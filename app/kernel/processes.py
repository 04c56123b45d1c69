"""How much of the machine this process may use for processes of its own. Pure."""

from __future__ import annotations

import os
import sys


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def can_fork() -> bool:
    """Say whether workers can be forked. Linux only: elsewhere a fork is missing or not safe."""
    return sys.platform == "linux"
