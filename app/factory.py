"""The one place where the rooms are joined."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from flask import Flask
from sqlalchemy import text
from werkzeug.middleware.proxy_fix import ProxyFix

from app.admin import routes as admin_routes
from app.admin.room import Admin
from app.audit.cosign import MLDSA_AVAILABLE, Cosigner, Kind
from app.audit.note import Signer
from app.audit.trail import Trail
from app.custody import keys as custody_keys
from app.custody import policyload, rotation_rounds
from app.custody.room import Custody
from app.guide import routes as guide_routes
from app.identity import gate
from app.identity import routes as identity_routes
from app.identity.room import Card, Identity
from app.jobs.desk import Jobs
from app.kernel.actor import Actor, host_actor
from app.kernel.clock import Clock, SystemClock
from app.kernel.errors import KeysDown, Unavailable, UnsafeStart
from app.kernel.fields import Stage
from app.mandates import routes as mandates_routes
from app.mandates.room import Mandates
from app.openlog import page_routes as openlog_pages
from app.openlog import rounds
from app.openlog import routes as openlog_routes
from app.openlog.evidence import Outside
from app.openlog.room import EXTENSION as OPENLOG
from app.openlog.room import Books, OpenLog
from app.openlog.witnesses import Watch
from app.oversight import routes as oversight_routes
from app.oversight.room import Oversight
from app.places import Places
from app.policy.decide import Policies
from app.settings import VERSION, Settings, shipped
from app.store.engine import Store
from app.store.keys import WrappedKeys
from app.store.migrate import standing
from app.subjects import routes as subjects_routes
from app.subjects.room import Subjects
from app.touch import Guard
from app.vault.envelope import INFO_LOG_MLDSA, expand
from app.vault.house import KeyHouse
from app.vault.keys import opening
from app.vault.keys.opening import Prompt, Secrets
from app.vault.keys.provider import KeyProvider
from app.vault.payload import PayloadBox
from app.vault.records import RecordSeal
from app.voters import correct_routes, elections, intake_routes
from app.voters import routes as voters_routes
from app.voters.room import EXTENSION as ROLL
from app.voters.room import Roll
from app.web import pages

# systemd's LoadCredential= name; the service manager hands the file over, readable by this service alone.
CREDENTIAL = "gardu-passphrase"
# huey's queue, in the data directory: uids of jobs, nothing else.
QUEUE = "jobs.db"
# Files that officers asked for and have not fetched yet, in the data directory.
EXPORTS = "exports"
# In the order of the navigation and of the home page.
_ROOMS = (voters_routes, mandates_routes, intake_routes, oversight_routes, openlog_pages, subjects_routes, admin_routes, guide_routes)
DEMO_PASSPHRASE = "demo-passphrase"  # noqa: S105  a file name


@dataclass(frozen=True, slots=True)
class House:
    """The rooms' objects, joined once per process."""

    settings: Settings
    store: Store
    guard: Guard
    identity: Identity
    places: Places
    clock: Clock
    mandates: Mandates
    jobs: Jobs
    roll: Roll
    openlog: OpenLog

    def close(self) -> None:
        """Stop the background work and the appender, and close the database's connections."""
        self.jobs.stop()
        self.guard.trail.close()
        self.store.dispose()


def passphrase(settings: Settings, environ: Mapping[str, str], prompt: Callable[[], str] | None = None) -> str:
    """Return the keyring's passphrase: systemd credential, file descriptor, demo file, or *prompt*, in this order.

    Raises UnsafeStart when none is at hand, or a demo passphrase file lies in a real installation or is readable by others.
    """
    demo_file = settings.data / DEMO_PASSPHRASE
    if demo_file.exists() and not settings.demo:
        raise UnsafeStart(f"{demo_file} has no place in a real installation: delete it and change the passphrase")
    if environ.get("CREDENTIALS_DIRECTORY") and (file := Path(environ["CREDENTIALS_DIRECTORY"]) / CREDENTIAL).is_file():
        return file.read_text("utf-8").rstrip("\n")
    if environ.get("GARDU_PASSPHRASE_FD", "").isdigit():
        with os.fdopen(int(environ["GARDU_PASSPHRASE_FD"]), encoding="utf-8") as stream:
            return stream.readline().rstrip("\n")
    if demo_file.exists():
        if stat.S_IMODE(demo_file.stat().st_mode) & 0o077:
            raise UnsafeStart(f"{demo_file} is readable by others: chmod 600 it")
        return demo_file.read_text("utf-8").strip()
    if prompt is not None:
        return prompt()
    raise UnsafeStart(f"no passphrase: give systemd credential {CREDENTIAL!r}, GARDU_PASSPHRASE_FD, or run at a terminal")


def open_keys(settings: Settings, environ: Mapping[str, str], prompt: Prompt | None = None) -> KeyProvider:
    """Open the key provider that the settings name, with its secret (docs/keys.md). prompt: asks at the terminal for what it is told.

    Raises UnsafeStart when it is incomplete or its secret is not at hand, KeysDown when it cannot work.
    """
    return opening.open_keys(settings, secrets_of(settings, environ, prompt))


def secrets_of(settings: Settings, environ: Mapping[str, str], prompt: Prompt | None) -> Secrets:
    """Say where the provider's secrets come from; nothing is asked yet."""
    ask = None if prompt is None else partial(prompt, "Passphrase")
    return Secrets(environ, lambda: passphrase(settings, environ, ask), prompt)


def join(
    settings: Settings, provider: KeyProvider, clock: Clock | None = None, *, queue: bool = False, policies: Policies | None = None
) -> House:
    """Join the rooms over one database. queue: background work waits for ``House.jobs.work``; else it runs at once, in the caller.

    policies: those already read; else they are read from the settings' folder.

    Raises UnsafeStart, KeysDown, StoreDown.
    """
    clock = clock or SystemClock()
    store = Store(settings.database, pool_size=settings.threads + 4)
    _schema_is_current(store)
    keys = KeyHouse(provider, WrappedKeys(store))
    policies = policies or Policies.load(settings.policies, clock.now())
    secret = keys.key("log", "00").secret
    signer = Signer(settings.origin, secret)
    trail = Trail(store, settings.origin, signer)
    books = Books(store, settings.origin, RecordSeal(keys))
    guard = Guard(policies, keys, PayloadBox(keys), trail, store, settings.origin, Watch(books))
    places = Places()
    identity = Identity(
        store=store,
        trail=trail,
        payloads=guard.payloads,
        keys=keys,
        clock=clock,
        log=settings.origin,
        secure_cookies=settings.secure_cookies,
        public_origin=settings.public_origin,
        cards=_cards,
    )
    seals = books.seals
    mandates = Mandates(identity, policies, seals, lambda region, now: _in_force(store, region, now))
    jobs = Jobs(store, clock, settings.data / QUEUE if queue else None)
    roll = Roll(guard, places, clock, mandates, jobs, seals, lambda actor, kab, rows, now: _ensure_keys(guard, actor, kab, rows, now))
    openlog = OpenLog(
        guard, identity, books, signer.verifier, _second_key(settings.origin, secret), settings.head_guard, settings.timestamp_url,
        settings.timestamp_roots.read_bytes() if settings.timestamp_roots else b"",
    )  # fmt: skip
    return House(settings, store, guard, identity, places, clock, mandates, jobs, roll, openlog)


def _second_key(origin: str, secret: bytes) -> Cosigner | None:
    """Return the log's post-quantum key, derived from its first one, where the library can."""
    return Cosigner(origin, expand(secret, INFO_LOG_MLDSA), Kind.ML_DSA_44) if MLDSA_AVAILABLE else None


def create_app(settings: Settings, clock: Clock | None = None, provider: KeyProvider | None = None) -> Flask:
    """Build the web application. Raises UnsafeStart, KeysDown, StoreDown: it refuses to start incomplete or unsafe."""
    provider = provider or open_keys(settings, os.environ)
    house = join(settings, provider, clock, queue=True)
    policyload.adopt(house.guard, host_actor(), house.clock.now())
    app = web_app(house)
    if settings.embedded_jobs:
        house.jobs.work()
    return app


def web_app(house: House) -> Flask:
    """Return the web application over a joined house."""
    settings = house.settings
    app = Flask("app.web", static_folder=None)
    app.config.update(
        GARDU_CSRF_KEY=house.guard.keys.key("session", "00").secret,
        # A form of ours is far below this; where a file is sent in, ``intake_routes.UploadRequest`` allows more.
        MAX_CONTENT_LENGTH=64 * 1024,
        MAX_FORM_MEMORY_SIZE=64 * 1024,
        MAX_FORM_PARTS=50,
    )
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies, x_proto=settings.trusted_proxies)  # type: ignore[method-assign]
    app.extensions[ROLL] = house.roll
    pages.install(
        app,
        demo=settings.demo,
        public_origin=settings.public_origin,
        version=VERSION,
        clock=house.clock,
        place_name=house.places.name,
        nav=_nav,
    )
    identity_routes.install(app, house.identity)
    for blueprint in (voters_routes.blueprint, correct_routes.blueprint):
        app.register_blueprint(blueprint)
    intake_routes.install(app, house.roll)
    mandates_routes.install(app, house.mandates)
    oversight_routes.install(
        app, Oversight(house.guard, house.identity, house.jobs, house.mandates, settings.data / EXPORTS, Outside(house.openlog))
    )
    subjects_routes.install(app, Subjects(house.guard, house.identity, house.mandates))
    admin_routes.install(app, Admin(house.guard, house.identity, settings, house.jobs))
    guide_routes.install(app)
    app.extensions[OPENLOG] = house.openlog
    app.register_blueprint(openlog_routes.blueprint)
    app.register_blueprint(openlog_pages.blueprint)
    rounds.register(house.openlog, house.jobs)
    rotation_rounds.register(Custody(house.guard, house.identity, house.mandates.seals), house.jobs)
    app.add_url_rule("/healthz", "healthz", gate.public(lambda: _health(house)))
    return app


def _nav(actor: Actor) -> list[pages.Offered]:
    return [item for room in _ROOMS for item in room.nav(actor)]


def _cards(actor: Actor) -> list[Card]:
    return [card for room in _ROOMS for card in room.cards(actor)]


def _ensure_keys(guard: Guard, actor: Actor, kab: str, rows: int, now: datetime) -> None:
    custody_keys.ensure(guard, actor, kab, custody_keys.LOCAL, now, expected_rows=rows)


def _in_force(store: Store, region: str, now: datetime) -> tuple[str, Stage] | None:
    """Say which election is in force in *region*, and at which stage."""
    with store.reading() as session:
        found = elections.newest_within(session, region, now)
    return None if found is None else (found.election, found.stage)


def _health(house: House) -> tuple[dict[str, str], int]:
    """Say whether database, keys and log answer; nothing more for a stranger."""
    try:
        with house.store.reading() as session:
            session.execute(text("SELECT 1"))
        house.guard.keys.key("audit", "00")
    except (Unavailable, KeysDown):
        return {"status": "unavailable"}, 503
    return {"status": "ok"}, 200


def _schema_is_current(store: Store) -> None:
    present, newest = standing(store, shipped("migrations"))
    if present != newest:
        raise UnsafeStart(f"the database is at schema {present or 'none'}, this Gardu needs {newest}: run gardu init or gardu upgrade")
