"""`gardu doctor`: the six most dangerous things in an installation, and how to mend each."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import click
from sqlalchemy import func, select, text

from app.audit.tables import TrailHead
from app.cli.shell import FOUND, Shell, command
from app.factory import DEMO_PASSPHRASE
from app.identity.tables import Account
from app.kernel.clock import SystemClock
from app.settings import Settings
from app.store.engine import Store

# Below this the log may stop soon, and with it every page.
LEAST_FREE_BYTES = 2 * 1024**3
# A one-time password that nobody used for so long lies in somebody's mailbox.
STALE_INVITE = timedelta(days=3)
# The trail's tables, each with its guards (migration 0002).
GUARDED = ("trail_entry", "trail_payload", "trail_checkpoint", "touch_index", "trail_head")


@dataclass(frozen=True, slots=True)
class Danger:
    """Something found. check: its number 1…6."""

    check: int
    what: str
    remedy: str


Check = Callable[[Settings, Store], Iterator[Danger]]


def keys_lie_open(settings: Settings, store: Store) -> Iterator[Danger]:
    """Keys: the passphrase lies elsewhere, and nobody else can read the files."""
    if (settings.data / DEMO_PASSPHRASE).exists():
        what = "the passphrase lies beside the keyring (demo): whoever copies this directory can open everything"
        yield Danger(1, what, "never use a demo directory for real data; make one with gardu init")
    for path in (settings.data, settings.keyring, settings.data / "config.toml"):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield Danger(1, f"{path} can be read by others", f"chmod go= {path}")
    if os.access(settings.policies, os.W_OK) and os.geteuid() != 0:
        yield Danger(1, f"the policies in {settings.policies} can be changed by the account that serves", "give the folder to root")


def guards_are_gone(settings: Settings, store: Store) -> Iterator[Danger]:
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
            yield Danger(
                2, f"{table} has lost its guards: entries could be changed", "stop serving, run gardu audit verify --store, call the CSIRT"
            )


def role_is_too_wide(settings: Settings, store: Store) -> Iterator[Danger]:
    """Role: the application's database role cannot change the log."""
    if store.dialect == "sqlite":
        if not settings.demo and settings.public_origin.startswith("https://"):
            what = "SQLite has no roles: whoever may write the file may rewrite the log (verify would show it)"
            yield Danger(3, what, "use PostgreSQL with separate owner and application roles (README, deployment)")
        return
    query = "SELECT rolsuper, has_table_privilege(current_user, 'trail_entry', 'UPDATE, DELETE, TRUNCATE') FROM pg_roles WHERE rolname = current_user"
    with store.reading() as session:
        is_super, may_change = session.execute(text(query)).one()
    if is_super or may_change:
        remedy = "CREATE ROLE gardu_web LOGIN PASSWORD … IN ROLE gardu_app; put it into `database`, the owner into `owner_database`"
        yield Danger(3, "the application connects as the owner or a superuser and could change the log", remedy)


def log_may_stop(settings: Settings, store: Store) -> Iterator[Danger]:
    """Room: the disk has room for the log; without it every page stops."""
    free = shutil.disk_usage(settings.data).free
    if free < LEAST_FREE_BYTES:
        what = f"{free // 1024**2} MB free where the data lies: when the log cannot be written, nothing is shown"
        yield Danger(4, what, "free or add disk space")


def clock_is_off(settings: Settings, store: Store) -> Iterator[Danger]:
    """Clock: it is not behind the log's newest entry."""
    with store.reading() as session:
        newest = session.scalar(select(func.max(TrailHead.changed_at)))
    now = SystemClock().now()
    if newest is not None and newest - now > timedelta(seconds=2):
        what = f"the clock is {newest - now} behind the log's newest entry: codes fail, grants end at the wrong time"
        yield Danger(5, what, "set the clock (chrony or systemd-timesyncd), then run gardu audit verify")


def accounts_lie_open(settings: Settings, store: Store) -> Iterator[Danger]:
    """Accounts: no one-time password has lain unused for days."""
    before = SystemClock().now() - STALE_INVITE
    query = select(Account.username).where(Account.seed.is_(None), Account.disabled_at.is_(None), Account.created_at < before)
    with store.reading() as session:
        names = list(session.scalars(query.order_by(Account.username).limit(20)))
    if names:
        what = f"never used and without a second factor since {STALE_INVITE.days} days: {', '.join(names)}"
        yield Danger(6, what, "gardu user disable NAME, or have them sign in today")


CHECKS: tuple[Check, ...] = (keys_lie_open, guards_are_gone, role_is_too_wide, log_may_stop, clock_is_off, accounts_lie_open)


def examine(settings: Settings) -> list[Danger]:
    """Run the six checks. Raises StoreDown when the database cannot be asked."""
    store = Store(settings.database)
    try:
        return [danger for check in CHECKS for danger in check(settings, store)]
    finally:
        store.dispose()


def register(group: click.Group) -> None:
    """Add `doctor` to *group*."""

    @command(group, "doctor")
    def doctor(shell: Shell) -> None:
        """Say which of the six most dangerous things hold here, and how to mend them (exit 1 when any does)."""
        found = examine(shell.settings())
        for number, check in enumerate(CHECKS, start=1):
            mine = [danger for danger in found if danger.check == number]
            shell.say(f"{'!!' if mine else 'ok'} {number} {check.__doc__}")
            for danger in mine:
                shell.say(f"     {danger.what}\n     → {danger.remedy}")
        shell.result(dangers=[{"check": d.check, "what": d.what, "remedy": d.remedy} for d in found])
        if found:
            sys.exit(FOUND)
