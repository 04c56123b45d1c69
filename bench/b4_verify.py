"""B4: verifying a whole log, beside the SHA-256 of the same bytes on one core; by the guard itself and by the one-file verifier.

The guard takes every core for a long log: its floor is the hashing on as many cores as it took processes. Its memory is that of all of them.

The logs are filled past the appender (``bench.longlog``): their entries have no sealed payload, so what is measured is bytes, columns,
chain, tree and the signed head, and not the opening of payloads.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
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
_INSIDE = """
import sys
from app.audit.verify import verify
from app.store.engine import Store
report = verify(Store(sys.argv[1]), *sys.argv[2:])
assert report.ok
print(report.processes)
"""
# Seconds between two looks at what processes weigh.
_LOOK = 0.05


def run(bench: Bench) -> Iterator[Line]:
    """Yield every line of B4."""
    sizes = bench.scale.lengths(QUICK_FIRST if bench.scale.repeats == 1 else FIRST)
    for engine in bench.engines:
        took, hashed, outside, heaviest, taken, weight, alone, rows = [], [], [], 0.0, 1, 0.0, 0.0, 0
        for size in sizes:
            with bench.house(engine) as house:
                bench.say(f"B4: {size} entries, filled past the appender, {engine}")
                fill(house, _planned(house, size))
                hashed.append(_hashing(house))
                if size == sizes[-1]:
                    seconds, taken, weight = _weighed(house)
                else:
                    seconds, _ = _inside(house)
                    alone, rows = _inside(house, workers=1)[0], size
                took.append(seconds)
                seconds, heaviest = _outside(house, bench.new_folder() / "log.export")
                outside.append(seconds)
        last = sizes[-1]
        floor = taken * last / hashed[-1]
        yield line(ID, f"gardu's verify, {engine}", last, last / took[-1], "entries/s", floor=floor, goal=GOAL)
        if alone:
            yield line(ID, f"gardu's verify, one process, {engine}", rows, rows / alone, "entries/s", floor=rows / hashed[-2], goal=GOAL)
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


def _inside(house: House, workers: int | None = None) -> tuple[float, int]:
    """Return the seconds that the guard's own verify takes, and how many processes walked."""
    start = time.perf_counter()
    report = verify(house.store, house.guard.log, house.guard.trail.vkey, workers=workers)
    took = time.perf_counter() - start
    # The first entries of an installation have payloads and touch nothing; without their keys they are still checked by digest.
    assert report.ok, report.first
    return took, report.processes


def _outside(house: House, file: Path) -> tuple[float, float]:
    """Return (seconds, MB) of the one-file verifier in a process of its own."""
    export(house.store, house.guard.log, file)
    start = time.perf_counter()
    peak = _alone(_OUTSIDE, str(_VERIFIER), "export", str(file), "--key", house.guard.trail.vkey)
    took = time.perf_counter() - start
    file.unlink()
    return took, peak


def _weighed(house: House) -> tuple[float, int, float]:
    """Return (seconds, processes, MB) of the guard's own verify, begun in a process of its own: the resident sets of all added up."""
    told, most, start = [house.settings.database, house.guard.log, house.guard.trail.vkey], 0.0, time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", _INSIDE, *told], cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            most = max(most, _resident(process.pid))
            time.sleep(_LOOK)
        took, said = time.perf_counter() - start, process.stdout.read() if process.stdout else ""
    assert process.returncode == 0
    return took, int(said), most


def _resident(pid: int) -> float:
    """Return the MB of a process and its children; what they share is counted for each. One that has just ended weighs nothing."""
    found = 0
    with suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        for one in (str(pid), *children):
            with suppress(OSError):
                lines = Path(f"/proc/{one}/status").read_text("ascii").splitlines()
                found += next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)
    return found / 1024


def _alone(code: str, *arguments: str) -> float:
    """Run *code* in a process of its own and return its largest resident set in MB."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True, cwd=_ROOT)
    return int(done.stderr.rsplit("\n", 1)[-1]) / 1024
