"""kill -9 while something leaves the log: afterwards all of it has gone and an entry says so, or nothing has happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.audit.erasure import erased
from app.audit.pruning import minimum_of
from app.store.engine import Store
from tests.audit.retention_kit import erase_on, fill_quickly, guarded_owner, prune_on
from tests.sampling import sampled
from tests.trail_kit import ORIGIN, check, draft, scalar, trail_on

__all__ = ["guarded_owner"]

ROOT = Path(__file__).parent.parent.parent


def die_at(point: str, act: str, url: str, owner_url: str) -> int:
    """Erase or prune in a process that kills itself at *point*; return how it ended."""
    code = f"from tests.faults.test_faults_retention import killed; killed({point!r}, {act!r}, {url!r}, {owner_url!r})"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=120).returncode


def killed(point: str, act: str, url: str, owner_url: str) -> None:
    """Run in a process of its own: do it, and die on the way."""

    def here(at: str) -> None:
        if at == point:
            os.kill(os.getpid(), signal.SIGKILL)

    store = Store(url)
    if act == "erase":
        erase_on(store, 7, 14, faults=here)
    else:
        prune_on(store, Store(owner_url), 256, faults=here)


@pytest.mark.parametrize("point", sampled(["locked", "inserted", "signed", "erased", "pruned", "never"], "signed"))
@pytest.mark.parametrize("act", ["erase", "prune"])
def test_a_process_killed_on_the_way_leaves_all_or_nothing(store: Store, guarded_owner: Store, act: str, point: str) -> None:
    """Entry, erasure and deletion stand together or not at all; the log is whole, and the next one succeeds."""
    if (act, point) in {("erase", "pruned"), ("prune", "erased")}:
        pytest.skip("not a point of this act")
    fill_quickly(store, 300)
    url = store.engine.url.render_as_string(hide_password=False)

    ended = die_at(point, act, url, guarded_owner.engine.url.render_as_string(hide_password=False))

    done = point == "never"
    assert ended == (0 if done else -signal.SIGKILL)
    size = int(str(scalar(store, "SELECT size FROM trail_head")))
    assert size == (301 if done else 300)
    assert (erased(store, ORIGIN, 7) is not None, minimum_of(store, ORIGIN)) == (
        done and act == "erase",
        256 if done and act == "prune" else 0,
    )
    assert check(store).ok
    if not done:
        erase_on(store, 7) if act == "erase" else prune_on(store, guarded_owner, 256)
    assert check(store).ok
    trail_on(store).append(draft(400))
