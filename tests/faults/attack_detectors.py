"""The detectors of docs/attacks.md. Each says what it found in a world as {check: reason}; nothing when it noticed nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from app.audit import published, stamp
from app.audit.export import export
from app.audit.static import export_tiles
from app.cli.audit import _findings
from app.cli.shell import Shell
from app.kernel.errors import GarduError, TrailDown, UnsafeStart
from app.openlog import files, rounds
from app.openlog.publisher import publish
from app.witness.desk import standings
from tests.conftest import NOW
from tests.faults.attack_kit import World, append, entries_in
from tests.vectors import independent

Found = dict[str, str]


def by_verify(world: World) -> Found:
    """``gardu audit verify --store`` on the machine itself, with every key, and without a checkpoint from elsewhere."""
    found = _findings(Shell(None, as_json=False), world.house, True, [], None, lambda words: words)
    return {"verify": "; ".join(f"{seq}: {what}" for _, seq, what in found)} if found else {}


# One process for all commands of an attack: starting Python is most of what a check of 300 entries costs.
_RUN = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
time.time = lambda: float(sys.argv[3])  # the outsider's clock stands on the test's day
import verify
for command in json.loads(sys.argv[2]):
    verify.main(command)
"""


def run_verifier(kept: Path, now: datetime, *commands: Iterable[object]) -> list[dict[str, Any]]:
    """Run the outsider's copy of the one-file verifier, alone in an isolated Python; return what each command printed."""
    asked = [[str(word) for word in command] + ["--lang", "en", "--json"] for command in commands]
    told = [str(kept), json.dumps(asked), str(now.timestamp())]
    done = subprocess.run([sys.executable, "-I", "-c", _RUN, *told], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def refused(outcome: Mapping[str, Any]) -> str:
    """Return why a command did not end well, or ""."""
    return "" if outcome["exit"] == 0 else str(next(step["text"] for step in outcome["steps"] if step["ok"] is False))


def handed_out(world: World) -> tuple[Path, str]:
    """Fetch the log as tiles, as far as it is published: the folder, and why the guard hands out nothing, or ""."""
    folder = world.folder / "served"
    if (folder / "checkpoint").exists():
        return folder, ""
    try:
        export_tiles(world.house.store, world.log, folder, lambda done, total: None)
    except GarduError as error:
        return folder, f"not served: {error.detail}"
    return folder, ""


def by_verifier(world: World) -> Found:
    """The one-file verifier over what the guard hands out now, with the key, the policy and the checkpoint that the outsider kept."""
    kept, fresh = world.prepared.kept, world.folder / "fresh"
    fresh.mkdir()
    try:
        export(world.house.store, world.log, fresh / "export")
    except GarduError as error:
        return {"export": f"not handed out: {error.detail}"}
    (fresh / "newest").write_text((fresh / "export").read_text("utf-8").partition("\n\n")[2], "utf-8")
    (fresh / "served").write_text(files.checkpoint(world.house.openlog), "utf-8")
    key, policy = ("--key", kept / "key"), ("--policy", kept / world.policy)
    commands: dict[str, tuple[object, ...]] = {
        "export": ("export", fresh / "export", *key),
        "tiles": ("tiles", handed_out(world)[0], *key),
        "consistency": ("consistency", kept / "checkpoint", fresh / "newest", "--export", fresh / "export", *key),
        "quorum": ("checkpoint", fresh / "served", *policy),
    }
    if world.court is not None:
        commands |= {"receipt": ("receipt", world.court, *key), "receipt with policy": ("receipt", world.court, *policy)}
    said = dict(zip(commands, map(refused, run_verifier(kept, world.now(), *commands.values())), strict=True))
    if said["export"]:
        said["tiles"] = said["consistency"] = ""  # they read the same entries
    return {name: why for name, why in said.items() if why}


def by_mirror(world: World) -> Found:
    """A second mirror: what is served as tiles now against its own copy, entry by entry, with a checker of another hand."""
    keys = [independent.Key.parse((world.prepared.kept / "key").read_text("utf-8").strip())]
    served, why = handed_out(world)
    try:
        independent.need(not why, why)
        independent.check_tiles(served, keys)
    except independent.Refused as reason:
        return {"tiles": str(reason)}
    mine, theirs = entries_in(world.mirror), entries_in(served)
    differs = next((seq for seq, pair in enumerate(zip(mine, theirs, strict=False)) if pair[0] != pair[1]), None)
    if differs is not None:
        return {"compare": f"entry {differs} is another"}
    if len(theirs) < len(mine):
        return {"compare": f"{len(theirs)} entries, once {len(mine)}"}
    if world.court is not None:
        shown = independent.Checkpoint.parse(world.court.read_bytes().partition(b"\n\n")[2])
        if independent.root_of(map(independent.leaf_hash, mine[: shown.size])) != shown.root:
            return {"compare": f"the receipt is of another tree of {shown.size} entries"}
    return {}


def by_stamps(world: World) -> Found:
    """Time stamps: that each holds, which hours lack one, and which entries their moments contradict, as `gardu audit verify` asks."""
    store, found = world.house.store, Found()
    wrong = [f"{size}: {what}" for size, what in stamp.verify_stamps(store, world.log, world.prepared.roots) if what]
    gaps = stamp.gaps(store, world.log, NOW, world.now())
    lies = [f"{size}: {what}" for size, what in stamp.contradictions(store, world.log)]
    said = {"token": wrong, "gap": [f"{hour:%H:%M}" for hour in gaps], "date": lies}
    found |= {name: "; ".join(reasons) for name, reasons in said.items() if reasons}
    return found


def by_start(world: World) -> Found:
    """The guard's own start, while no witness answers: head guard, halt, and the rows of the witnesses' list."""
    world.sit(nobody=True)
    try:
        rounds.demand_safe_start(world.house.openlog, world.now())
    except UnsafeStart as reason:
        return {"start": reason.detail}
    finally:
        world.sit()
    return {}


def by_witness(world: World) -> Found:
    """The guard goes on as it does every few seconds, with one entry more; then: is it halted, and what have the witnesses kept?"""
    world.sit()
    for grow in (False, True):
        world.clock.move(minutes=6)
        try:
            if grow:
                append(world)
            publish(world.house.openlog, world.now())
        except (TrailDown, GarduError):
            break  # stopped: by a halt, or by what it found itself, which is not the witnesses' merit
    found = Found()
    with world.house.store.reading() as session:
        if (stopped := published.halted(session, world.log)) is not None:
            found["halt"] = stopped.reason
    for home in world.homes.values():
        for case in standings(home)[0].cases:
            found["evidence"] = f"{found.get('evidence', '')} {case.doubt.value} {case.size_held}/{case.size_shown}".strip()
    return found


# In the order in which they are asked: the last two act.
DETECTORS: dict[str, Callable[[World], Found]] = {
    "verify": by_verify,
    "verifier": by_verifier,
    "second mirror": by_mirror,
    "time stamps": by_stamps,
    "start": by_start,
    "witness": by_witness,
}


def asked(world: World) -> dict[str, Found]:
    """Ask every detector what it finds."""
    with ThreadPoolExecutor(1) as aside:
        waiting = aside.submit(by_verifier, world)  # it waits for a process of its own: verify works meanwhile
        found = {"verify": by_verify(world), "verifier": waiting.result()}
    return found | {name: detector(world) for name, detector in DETECTORS.items() if name not in found}
