"""What the attack suite stands on: an installation that outsiders have watched for a day, and a copy of it for each attack.

Two witnesses run over HTTP with keys and state of their own; a time-stamping authority has stamped two published checkpoints; an outsider
has kept a checkpoint, a receipt, the key, a policy and the whole log as tiles. Who notices what: ``attack_detectors``.
"""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from sqlalchemy import select, text

from app import verifier
from app.audit import stamp
from app.audit.cosign import Cosigner
from app.audit.note import Signer
from app.audit.proof import tlog_proof
from app.audit.quorum import policy_text
from app.audit.static import export_tiles
from app.audit.tables import TrailEntry
from app.factory import House, join
from app.kernel.fields import Element
from app.openlog import files, rounds
from app.openlog.publisher import publish
from app.policy.decide import Policies
from app.settings import Settings
from app.store.engine import Store
from app.touch import Change
from app.voters import actions, corrections
from app.witness.desk import Witness
from app.witness.home import Home
from app.witness.wsgi import WitnessApp
from tests.audit.tsa_kit import Authority
from tests.conftest import NOW, FakeClock, PostgresServer, dp4_row, load_dp4, operator, task, write_dp4
from tests.openlog.openlog_kit import Script, install_list
from tests.trail_kit import draft
from tests.vectors import independent
from tests.walk_kit import Installed, _book, rows_of, uid_of

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


def entries_in(folder: Path) -> list[bytes]:
    """Return the entries in a folder of tiles."""
    size = independent.Checkpoint.parse((folder / "checkpoint").read_bytes()).size
    names = [independent.tile_path("entries", number, width) for number, width in enumerate(independent.tiles_of(size, 0))]
    return [entry for name in names for entry in independent.unbundle((folder / name).read_bytes())]


def append(world: World, count: int = 1, whose: str = "host:1") -> None:
    """Let the guard append plain entries, dated now."""
    for number in range(count):
        world.house.guard.trail.append(draft(number, at=world.now() + timedelta(milliseconds=number), actor=whose))


def other_world(world: World) -> World:
    """Return a second guard from the same copied database and key, with the same witnesses and outsiders."""
    twin = world_of(world.prepared, world.folder, world.places)
    return replace(twin, homes=world.homes)
