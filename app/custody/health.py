"""What is dangerous in an installation, looked at from the machine (`gardu doctor`) or from the administrator's desk. Nothing is changed.

Each finding has a code, which pages put into words, and a sentence with its remedy for the person at the machine; only the latter names paths.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select, text

from app.audit.tables import TrailHead
from app.identity.tables import Account
from app.settings import Settings
from app.store.engine import Store

# Below this the log may stop soon, and with it every page.
LEAST_FREE_BYTES = 2 * 1024**3
# A one-time password that nobody used for so long lies in somebody's drawer.
STALE_INVITE = timedelta(days=3)
# The clock of whoever wrote the newest entry may be this much ahead of ours before it is worth a word.
CLOCK_SLACK = timedelta(seconds=2)
# The trail's tables, each with its guards (migrations 0002, 0007, 0008).
GUARDED = (
    "trail_entry", "trail_payload", "trail_checkpoint", "touch_index", "trail_head", "trail_tile", "trail_published", "trail_cosignature",
    "trail_stamp", "trail_halt", "payload_erasure", "trail_minimum",
)  # fmt: skip
# The file in which a demo keeps its passphrase; the factory reads it, and a test holds the two names equal.
DEMO_PASSPHRASE = "demo-passphrase"  # noqa: S105  a file name
# What each engine must say of itself, or a commit might not survive a power cut.
_SQLITE = (("journal_mode", ("wal",)), ("synchronous", ("2",)), ("foreign_keys", ("1",)), ("secure_delete", ("1",)))
_ON = ("on", "remote_apply", "remote_write")
_POSTGRESQL = (("fsync", ("on",)), ("full_page_writes", ("on",)), ("synchronous_commit", _ON))


@dataclass(frozen=True, slots=True)
class Danger:
    """Something found. check: its number 1…6. code, values: for pages, without paths. what, remedy: for the person at the machine."""

    check: int
    code: str
    what: str
    remedy: str
    values: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Durability:
    """One setting that keeps the log durable, as the database reports it, and whether it is as it must be."""

    name: str
    value: str
    good: bool


Check = Callable[[Settings, Store, datetime], Iterator[Danger]]


def keys_lie_open(settings: Settings, store: Store, now: datetime) -> Iterator[Danger]:
    """Keys: the passphrase lies elsewhere, and nobody else can read the files."""
    if (settings.data / DEMO_PASSPHRASE).exists():
        what = "the passphrase lies beside the keyring (demo): whoever copies this directory can open everything"
        yield Danger(1, "demo-passphrase", what, "never use a demo directory for real data; make one with gardu init")
    tokens = [keys.token_file for keys in (settings.keys, settings.keys_old) if keys is not None and keys.token_file is not None]
    for path in (settings.data, settings.keyring, settings.data / "keyring-old.json", settings.data / "config.toml", *tokens):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield Danger(1, "readable", f"{path} can be read by others", f"chmod go= {path}", {"name": path.name})
    if settings.keys_old is None:
        # The keyring that a rotation left, or that moved to another provider: it still opens whatever was copied before.
        left = [settings.data / "keyring-old.json", *([settings.keyring] if settings.keys.provider != "local" else [])]
        for path in left:
            if path.exists():
                what = f"{path} is needed no more, and still opens old copies of the database"
                yield Danger(1, "old-keyring", what, "destroy it, its copies and its shares (docs/keys.md)", {"name": path.name})
    if os.access(settings.policies, os.W_OK) and os.geteuid() != 0:
        what = f"the policies in {settings.policies} can be changed by the account that serves"
        yield Danger(1, "policies-writable", what, "give the folder to root")


def guards_are_gone(settings: Settings, store: Store, now: datetime) -> Iterator[Danger]:
    """Guards: the triggers that keep the log append-only stand."""
    query = (
        "SELECT tbl_name, count(*) FROM sqlite_master WHERE type = 'trigger' GROUP BY tbl_name"
        if store.dialect == "sqlite"
        else "SELECT c.relname, count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') GROUP BY c.relname"
    )
    with store.reading() as session:
        found = {str(name): int(count) for name, count in session.execute(text(query))}
    for table in GUARDED:
        # Two on SQLite (update, delete), on PostgreSQL two (row, truncate); the head has one more there.
        if found.get(table, 0) < 2:
            what = f"{table} has lost its guards: entries could be changed"
            yield Danger(2, "guards", what, "stop serving, run gardu audit verify --store, call the CSIRT", {"name": table})


def role_is_too_wide(settings: Settings, store: Store, now: datetime) -> Iterator[Danger]:
    """Role: the application's database role cannot change the log."""
    if store.dialect == "sqlite":
        if not settings.demo and settings.public_origin.startswith("https://"):
            what = "SQLite has no roles: whoever may write the file may rewrite the log (verify would show it)"
            yield Danger(3, "no-roles", what, "use PostgreSQL with separate owner and application roles (README, deployment)")
        return
    query = "SELECT rolsuper, has_table_privilege(current_user, 'trail_entry', 'UPDATE, DELETE, TRUNCATE') FROM pg_roles WHERE rolname = current_user"
    with store.reading() as session:
        is_super, may_change = session.execute(text(query)).one()
    if is_super or may_change:
        remedy = "CREATE ROLE gardu_web LOGIN PASSWORD … IN ROLE gardu_app; put it into `database`, the owner into `owner_database`"
        yield Danger(3, "role", "the application connects as the owner or a superuser and could change the log", remedy)


def log_may_stop(settings: Settings, store: Store, now: datetime) -> Iterator[Danger]:
    """Room: the disk has room for the log; without it every page stops."""
    free = free_bytes(settings)
    if free < LEAST_FREE_BYTES:
        what = f"{free // 1024**2} MB free where the data lies: when the log cannot be written, nothing is shown"
        yield Danger(4, "disk", what, "free or add disk space", {"megabytes": free // 1024**2})


def clock_is_off(settings: Settings, store: Store, now: datetime) -> Iterator[Danger]:
    """Clock: it is not behind the log's newest entry."""
    with store.reading() as session:
        newest = session.scalar(select(func.max(TrailHead.changed_at)))
    if newest is not None and newest - now > CLOCK_SLACK:
        what = f"the clock is {newest - now} behind the log's newest entry: codes fail, grants end at the wrong time"
        remedy = "set the clock (chrony or systemd-timesyncd), then run gardu audit verify"
        yield Danger(5, "clock", what, remedy, {"seconds": int((newest - now).total_seconds())})


def accounts_lie_open(settings: Settings, store: Store, now: datetime) -> Iterator[Danger]:
    """Accounts: none is without a second factor, but for invitations that still run."""
    # An invitation that was renewed and still runs is not stale; an account whose factor was reset has none, whatever its age.
    old = and_(Account.created_at < now - STALE_INVITE, or_(Account.invited_until.is_(None), Account.invited_until <= now))
    query = select(Account.username).where(Account.seed.is_(None), Account.disabled_at.is_(None), old)
    with store.reading() as session:
        names = list(session.scalars(query.order_by(Account.username)))
    if names:
        what = f"without a second factor (invited more than {STALE_INVITE.days} days ago, or reset): {', '.join(names[:20])}{' …' if names[20:] else ''}"
        yield Danger(6, "invites", what, "gardu user disable NAME, or have them sign in today", {"count": len(names)})


CHECKS: tuple[Check, ...] = (keys_lie_open, guards_are_gone, role_is_too_wide, log_may_stop, clock_is_off, accounts_lie_open)


def dangers(settings: Settings, store: Store, now: datetime) -> list[Danger]:
    """Run the six checks. Raises StoreDown when the database cannot be asked."""
    return [danger for check in CHECKS for danger in check(settings, store, now)]


def free_bytes(settings: Settings) -> int:
    """Return how many bytes are free where the data directory lies."""
    return shutil.disk_usage(settings.data).free


def durability(store: Store) -> list[Durability]:
    """Return the settings that keep the log durable, read back from the database now. Raises StoreDown."""
    wanted, ask = (_SQLITE, "PRAGMA {}") if store.dialect == "sqlite" else (_POSTGRESQL, "SHOW {}")
    with store.reading() as session:
        # The names are constants of this module.
        said = [(name, good, str(session.execute(text(ask.format(name))).scalar_one()).lower()) for name, good in wanted]
    return [Durability(name, value, value in good) for name, good, value in said]


def engine(store: Store) -> str:
    """Return the database's name and version, e.g. ``PostgreSQL 18.1``. Raises StoreDown."""
    query = (
        "SELECT 'SQLite ' || sqlite_version()" if store.dialect == "sqlite" else "SELECT 'PostgreSQL ' || current_setting('server_version')"
    )
    with store.reading() as session:
        return str(session.execute(text(query)).scalar_one())
