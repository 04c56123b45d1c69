"""What the attack suite stands on: an installation that outsiders have watched for a day, a copy of it for each attack, and every detector.

Two witnesses run over HTTP with keys and state of their own; a time-stamping authority has stamped two published checkpoints; an outsider
has kept a checkpoint, a receipt, the key, a policy and the whole log as tiles. The detectors say what they found as {check: reason}.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from sqlalchemy import select, text

from app import verifier
from app.audit import published, stamp
from app.audit.cosign import Cosigner
from app.audit.export import export
from app.audit.note import Signer
from app.audit.proof import tlog_proof
from app.audit.quorum import policy_text
from app.audit.static import export_tiles
from app.audit.tables import TrailEntry, TrailStamp
from app.cli.audit import _findings
from app.cli.shell import Shell
from app.factory import House, join
from app.kernel.errors import GarduError, TrailDown, UnsafeStart
from app.kernel.fields import Element
from app.openlog import files, rounds
from app.openlog.publisher import publish
from app.policy.decide import Policies
from app.settings import Settings
from app.store.engine import Store
from app.touch import Change
from app.voters import actions, corrections
from app.witness.desk import Witness, standings
from app.witness.home import Home
from app.witness.wsgi import WitnessApp
from tests.audit.tsa_kit import Authority
from tests.conftest import NOW, FakeClock, PostgresServer, dp4_row, load_dp4, operator, task, write_dp4
from tests.openlog.openlog_kit import Script, install_list
from tests.trail_kit import draft
from tests.vectors import independent
from tests.walk_kit import Installed, _book, rows_of, uid_of

Found = dict[str, str]
NAMES = {"a": "saksi.bawaslu.example/w1", "b": "saksi.kampus.example/w1"}
SECRET = "frasa sandi para saksi"
TSA = "https://tsa.example/tsr"
# The log as it was first published and stamped, with one full tile; and an hour later. The attacks happen the next day.
FIRST, LAST = 270, 290
LATER = NOW + timedelta(days=1)
# When the larger size was published, cosigned and stamped.
STAMPED = NOW + timedelta(minutes=90)


# ---- witnesses at two addresses ----


class Desk:
    """A place on the network: whoever sits there answers; nobody there, nobody answers."""

    def __init__(self) -> None:
        self.app: Callable[..., Iterable[bytes]] | None = None
        self.url = ""

    def __call__(self, environ: Mapping[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if self.app is None:
            start("503 Service Unavailable", [("Content-Length", "0")])
            return []
        return self.app({**environ, "wsgi.input": _Read(body)}, start)


class _Read:
    """A request's body, read already."""

    def __init__(self, body: bytes) -> None:
        self.read: Callable[[int], bytes] = lambda count: body[:count]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@contextmanager
def desks() -> Iterator[dict[str, Desk]]:
    """Serve an empty desk for each witness."""
    made, servers = {name: Desk() for name in NAMES}, []
    for desk in made.values():
        server = make_server("127.0.0.1", 0, desk, _Server, _Quiet)
        desk.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
    yield made
    for server in servers:
        server.shutdown()
        server.server_close()


def scripted(script: Script) -> Callable[..., Iterable[bytes]]:
    """Return a witness that answers as *script* says, whatever a witness should."""

    def app(environ: Mapping[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        head, _, note = environ["wsgi.input"].read(1 << 20).decode().partition("\n\n")
        status, kind, answer = script(note.partition("\n\n")[0] + "\n", int(head.split("\n")[0].removeprefix("old ")))
        start(f"{status} -", [("Content-Type", kind), ("Content-Length", str(len(answer.encode())))])
        return [answer.encode()]

    return app


# ---- what was there before the attack ----


@dataclass(frozen=True)
class Prepared:
    """An installation at rest and what outsiders have of it. early: as an old backup holds it. kept: the outsider's folder."""

    early: Installed
    late: Installed
    kept: Path
    cosigners: Mapping[str, Cosigner]
    roots: bytes
    victims: tuple[int, int]  # entries of the first hour that reveal one voter each
    old_row: Mapping[str, object]  # a voter's row before it was corrected
    server: PostgresServer | None


def prepare(installed: Installed, folder: Path, places: Mapping[str, Desk], server: PostgresServer | None = None) -> Prepared:
    """Make a log that two witnesses have cosigned and an authority has stamped, twice within an hour and a quarter."""
    data, authority, clock = folder / "data", Authority(), FakeClock()
    clock.moment = NOW
    house = _settled(installed.copy(data, server), installed, clock, authority)
    cosigners, homes = {}, {}
    for name, title in NAMES.items():
        homes[name] = Home.create(folder / name, title, [house.guard.trail.vkey], SECRET)
        cosigners[name] = homes[name].unlock(SECRET)
        places[name].app = WitnessApp(Witness(homes[name], cosigners[name], clock))
    witnesses = {name: (cosigners[name].vkey, places[name].url) for name in NAMES}
    install_list(house, policy_text(witnesses))
    victims, old_row = _first_hour(house, folder)
    _show(house, authority, FIRST)
    early = _at_rest(house, installed, folder / "early", server)
    house = _joined(house, installed, clock)
    clock.move(minutes=50)
    _show(house, authority, LAST)
    kept = folder / "kept"
    assert clock.now() == STAMPED
    _keep(house, kept, witnesses)
    late = _at_rest(house, installed, folder / "late", server)
    for desk in places.values():
        desk.app = None
    return Prepared(early, late, kept, cosigners, authority.roots, victims, old_row, server)


def _settled(house: House, installed: Installed, clock: FakeClock, authority: Authority) -> House:
    """Join *house* anew with a head guard and a time-stamping authority in its settings."""
    data = house.settings.data
    (data / "tsa.pem").write_bytes(authority.roots)
    told = f'head_guard = "head.note"\ntimestamp_url = "{TSA}"\ntimestamp_roots = "tsa.pem"\n'
    (data / "config.toml").write_text((data / "config.toml").read_text("utf-8") + told, "utf-8")
    made = _joined(house, installed, clock)
    rounds.begin_head_guard(made.openlog, clock.now())
    return made


def _joined(house: House, installed: Installed, clock: FakeClock) -> House:
    """Join the installation of *house* anew, as another process would."""
    house.close()
    settings = Settings.load(house.settings.data, {})
    return join(settings, installed.provider, clock, policies=Policies(_book(settings.policies)))


def _first_hour(house: House, folder: Path) -> tuple[tuple[int, int], Mapping[str, object]]:
    load_dp4(house, write_dp4(folder / "dp4.csv", [dp4_row(number) for number in (1, 2, 3)]))
    uids, now = [uid_of(house, number) for number in (1, 2, 3)], house.clock.now()
    first, second = (actions.read_voter(house.guard, operator(house), task(), uid, now)[0].receipt.seq for uid in uids[:2])
    [old_row] = rows_of(house, "SELECT uid, c08, row_version, seal FROM voter WHERE uid = :uid", uid=uids[2])
    change = Change(Element.ALAMAT, "JL. PERBAIKAN NO. 77", "coklit", "dicocokkan saat coklit")
    corrections.correct(house.roll, operator(house), task(), uids[2], change, 1, now)
    return (first, second), old_row


def _show(house: House, authority: Authority, size: int) -> None:
    """Let the log grow to *size* entries within twenty minutes, publish it, and have it stamped."""
    trail, began = house.guard.trail, house.clock.now()
    with house.store.reading() as session:
        here = len(session.scalars(select(TrailEntry.seq)).all())
    steps = [draft(number, at=began + timedelta(seconds=1 + 3 * (number - here))) for number in range(here, size)]
    with house.store.writing() as session:
        trail._write(session, [trail._row(one, None) for one in steps])
    house.clock.move(minutes=20)  # type: ignore[attr-defined]  # the fake clock of the tests
    now = house.clock.now()
    done = publish(house.openlog, now)
    assert done is not None and done.size == size
    authority.now = now
    query, nonce = stamp.request(done.note)
    token = authority.reply(query)
    at = stamp.check(token, done.note, authority.roots, nonce)
    stamp.store_stamp(house.store, house.guard.log, size, TSA, token, at)


def _at_rest(house: House, installed: Installed, data: Path, server: PostgresServer | None) -> Installed:
    """Close *house* and return a copy of it that lies still; whoever goes on with *house* joins it anew."""
    house.close()
    if server is None or installed.databases is None:
        shutil.copytree(house.settings.data, data)
        return Installed(data, installed.provider)
    here = Installed(house.settings.data, installed.provider, (house.settings.database, str(house.settings.owner_database)))
    made = here.copy(data, server)
    made.close()
    return Installed(data, installed.provider, (made.settings.database, str(made.settings.owner_database)))


def _keep(house: House, kept: Path, witnesses: Mapping[str, tuple[str, str]]) -> None:
    """Put into the outsider's folder what anybody may fetch, and the verifier."""
    store, log, vkey = house.store, house.guard.log, house.guard.trail.vkey
    export_tiles(store, log, kept / "tiles", lambda done, total: None)
    shutil.copy(verifier.__file__, kept / "verify.py")
    found = {
        "checkpoint": files.checkpoint(house.openlog), "receipt": tlog_proof(store, log, FIRST - 1, published=True), "key": vkey + "\n",
        "all": policy_text(witnesses, 2, [(vkey, None)]), "any": policy_text(witnesses, 1, [(vkey, None)]),
    }  # fmt: skip
    for name, content in found.items():
        (kept / name).write_text(content, "utf-8")


# ---- the world an attack happens in ----


@dataclass
class World:
    """A copy of all that, the day after. house: the guard, joined as a new process. owner: the database's superuser, guards off.

    witnesses: the homes of the witnesses' copies. away: witnesses that this guard cannot reach. mirror: what the second mirror has copied.
    policy: what the outsider demands. court: a receipt that somebody hands to a court.
    """

    prepared: Prepared
    folder: Path
    house: House
    owner: Store
    places: Mapping[str, Desk]
    clock: FakeClock
    homes: dict[str, Home]
    mirror: Path
    policy: str = "all"
    away: set[str] = field(default_factory=set)
    court: Path | None = None
    apps: dict[str, Callable[..., Iterable[bytes]]] = field(default_factory=dict)

    @property
    def log(self) -> str:
        return self.house.guard.log

    @property
    def head_guard(self) -> Path:
        assert self.house.openlog.head_guard is not None
        return self.house.openlog.head_guard

    @property
    def stolen(self) -> Signer:
        """The log's key, in the hands of a thief."""
        return Signer(self.log, self.house.guard.keys.key("log", "00").secret)

    def now(self) -> datetime:
        return self.clock.now()

    def rejoin(self) -> None:
        """Start the guard anew: a process that has seen nothing."""
        self.house = _joined(self.house, self.prepared.late, self.clock)

    def sit(self, *, nobody: bool = False) -> None:
        """Let every witness that can be reached take its place."""
        for name, desk in self.places.items():
            desk.app = None if nobody or name in self.away else self.apps.get(name) or self.witness(name)

    def witness(self, name: str) -> WitnessApp:
        """Return a witness as it is, over its own folder."""
        return WitnessApp(Witness(self.homes[name], self.prepared.cosigners[name], self.clock))

    def sql(self, *statements: str, **values: object) -> None:
        """Run SQL as the superuser, past every trigger."""
        with self.owner.writing() as session:
            if self.owner.dialect == "postgresql":
                session.execute(text("SET LOCAL session_replication_role = replica"))
            for statement in statements:
                session.execute(text(statement), values)

    def close(self) -> None:
        for desk in self.places.values():
            desk.app = None
        self.house.close()
        self.owner.dispose()


def world_of(prepared: Prepared, folder: Path, places: Mapping[str, Desk], *, old: bool = False) -> World:
    """Copy what was prepared into *folder*. old: the database is the old backup; witnesses, head guard and outsiders are not."""
    installed = prepared.early if old else prepared.late
    house = installed.copy(folder / f"data-{secrets.token_hex(3)}", prepared.server)
    clock = cast(FakeClock, house.clock)
    clock.moment = LATER
    world = World(prepared, folder, house, Store(house.settings.owner_database), places, clock, {}, prepared.kept / "tiles")
    shutil.copyfile(prepared.late.data / "head.note", world.head_guard)
    if world.owner.dialect == "sqlite":
        with world.owner.writing() as session:
            for name in session.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all():
                session.execute(text(f"DROP TRIGGER {name}"))
    for name in NAMES:
        at = world.head_guard.parent / f"witness-{name}"
        shutil.copytree(prepared.kept.parent / name, at)
        world.homes[name] = Home.open(at)
    world.sit()
    return world


def append(world: World, count: int = 1, whose: str = "host:1") -> None:
    """Let the guard append plain entries, dated now."""
    for number in range(count):
        world.house.guard.trail.append(draft(number, at=world.now() + timedelta(milliseconds=number), actor=whose))


# ---- the detectors ----


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


def entries_in(folder: Path) -> list[bytes]:
    """Return the entries in a folder of tiles."""
    size = independent.Checkpoint.parse((folder / "checkpoint").read_bytes()).size
    names = [independent.tile_path("entries", number, width) for number, width in enumerate(independent.tiles_of(size, 0))]
    return [entry for name in names for entry in independent.unbundle((folder / name).read_bytes())]


def by_stamps(world: World) -> Found:
    """Time stamps: that each holds, which hours lack one, and by hand, which entries their moments contradict."""
    store, found = world.house.store, Found()
    wrong = [f"{size}: {what}" for size, what in stamp.verify_stamps(store, world.log, world.prepared.roots) if what]
    gaps = stamp.gaps(store, world.log, NOW, world.now())
    with store.reading() as session:
        stamps = session.execute(select(TrailStamp.size, TrailStamp.at)).all()
        dated = session.execute(select(TrailEntry.seq, TrailEntry.at).order_by(TrailEntry.seq)).all()
    # Below the size: made before the stamp. From it on: not made long before, for then it would stand in what was stamped.
    lies = [
        f"entry {seq} is dated {at:%d %H:%M}, the stamp over {size} entries {moment:%d %H:%M}"
        for size, moment in stamps
        for seq, at in dated
        if (seq < size and at > moment + stamp.MAX_APART) or (seq >= size and at < moment - stamp.MAX_APART)
    ]
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


def other_world(world: World) -> World:
    """Return a second guard from the same copied database and key, with the same witnesses and outsiders."""
    twin = world_of(world.prepared, world.folder, world.places)
    return replace(twin, homes=world.homes)
