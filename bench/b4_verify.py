"""B4: verifying a whole log, beside the SHA-256 of the same bytes on one core; by the guard itself and by the one-file verifier.

The logs are filled past the appender (``bench.longlog``): their entries have no sealed payload, so what is measured is bytes, columns,
chain, tree and the signed head, and not the opening of payloads.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from app.audit.entry import draft_for
from app.audit.export import export
from app.audit.tables import TrailEntry
from app.audit.verify import verify
from app.cli.shell import host_actor
from app.factory import House
from app.kernel.fields import Action, Basis, Outcome, Purpose
from bench.kit import ELECTION, KAB, NOW, Bench, Line, growth, line
from bench.longlog import Planned, Template, fill

ID = "B4"
FIRST, QUICK_FIRST = 10_000, 1_000
# bench.md: a quarter of the floor for each core.
GOAL = "≥ 0.25"
# The bound for a million entries, in MB of the largest resident set.
MEMORY = "≤ 200"
_ROOT = Path(__file__).parent.parent
_VERIFIER = _ROOT / "app" / "verifier.py"
# VmHWM of the process itself: a child's ru_maxrss begins with the peak of whoever started it.
_PEAK = "import sys; sys.stderr.write(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])"
_OUTSIDE = f"""
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    {_PEAK}
"""
_INSIDE = f"""
import sys
from app.audit.verify import verify
from app.store.engine import Store
assert verify(Store(sys.argv[1]), *sys.argv[2:]).ok
{_PEAK}
"""


def run(bench: Bench) -> Iterator[Line]:
    """Yield every line of B4."""
    sizes = bench.scale.lengths(QUICK_FIRST if bench.scale.repeats == 1 else FIRST)
    for engine in bench.engines:
        took, hashed, outside, heaviest = [], [], [], 0.0
        for size in sizes:
            with bench.house(engine) as house:
                bench.say(f"B4: {size} entries, filled past the appender, {engine}")
                fill(house, _planned(house, size))
                hashed.append(_hashing(house))
                took.append(_inside(house))
                seconds, heaviest = _outside(house, bench.new_folder() / "log.export")
                outside.append(seconds)
                weight = _weight(house) if size == sizes[-1] else 0.0
        last = sizes[-1]
        yield line(ID, f"gardu's verify, {engine}", last, last / took[-1], "entries/s", floor=last / hashed[-1], goal=GOAL)
        yield line(ID, f"gardu's verify, s ~ entries^k, {engine}", last, growth(sizes, took), "k")
        yield line(ID, f"gardu's verify, largest memory, {engine}", last, weight, "MB", goal=MEMORY)
        yield line(
            ID, f"one-file verifier over an export, {engine}", last, last / outside[-1], "entries/s", floor=last / hashed[-1], goal=GOAL
        )
        yield line(ID, f"one-file verifier, s ~ entries^k, {engine}", last, growth(sizes, outside), "k")
        yield line(ID, f"one-file verifier, largest memory, {engine}", last, heaviest, "MB", goal=MEMORY)


def _planned(house: House, size: int) -> Iterator[Planned]:
    """Yield reveals as the touch would record them, one a second."""
    reveal = draft_for(
        host_actor(), Action.VOTER_REVEAL, Outcome.ALLOWED, NOW,
        election=ELECTION, stage="dps", purpose=Purpose.PEMUTAKHIRAN.value, basis=Basis.PKPU7_2022.value, policy=house.guard.policies.hash,
        rule=("kpu-kab-pemutakhiran",), scope=KAB, fields={"nik": "samar", "nama": "utuh", "alamat": "utuh"}, visit=bytes(32),
        assurance={"method": "totp", "age": 12, "challenge": None},
    )  # fmt: skip
    template = Template.of(reveal, house.guard.log)
    for number in range(size):
        yield template, NOW + timedelta(seconds=number), ()


def _hashing(house: House) -> float:
    """Return the seconds for hashing every entry's bytes once, reading not counted."""
    spent = 0.0
    with house.store.reading() as session:
        for body in session.scalars(select(TrailEntry.body).order_by(TrailEntry.seq).execution_options(yield_per=1_000)):
            start = time.perf_counter()
            hashlib.sha256(body).digest()
            spent += time.perf_counter() - start
    return spent


def _inside(house: House) -> float:
    start = time.perf_counter()
    report = verify(house.store, house.guard.log, house.guard.trail.vkey)
    took = time.perf_counter() - start
    # The first entries of an installation have payloads and touch nothing; without their keys they are still checked by digest.
    assert report.ok, report.first
    return took


def _outside(house: House, file: Path) -> tuple[float, float]:
    """Return (seconds, MB) of the one-file verifier in a process of its own."""
    export(house.store, house.guard.log, file)
    start = time.perf_counter()
    peak = _alone(_OUTSIDE, str(_VERIFIER), "export", str(file), "--key", house.guard.trail.vkey)
    took = time.perf_counter() - start
    file.unlink()
    return took, peak


def _weight(house: House) -> float:
    """Return the MB that the guard's own verify needs in a process of its own."""
    return _alone(_INSIDE, house.settings.database, house.guard.log, house.guard.trail.vkey)


def _alone(code: str, *arguments: str) -> float:
    """Run *code* in a process of its own and return its largest resident set in MB."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True, cwd=_ROOT)
    return int(done.stderr.rsplit("\n", 1)[-1]) / 1024
