"""Makes an installation: directory, keyring, schema, keys, first entries, first administrator."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import click
from sqlalchemy.engine import make_url

from app.audit.entry import draft_for
from app.audit.note import Signer
from app.audit.trail import Trail
from app.cli.shell import Shell, command, host_actor, prompt
from app.custody import keys as custody_keys
from app.factory import House, join
from app.identity import accounts, rules
from app.kernel.clock import SystemClock
from app.kernel.errors import UnsafeStart
from app.kernel.fields import Action, Outcome, Role, Unit
from app.kernel.regions import NATION
from app.settings import Settings, shipped
from app.store.engine import Store
from app.store.keys import WrappedKeys, add_key
from app.store.migrate import MOST_PARTITIONS, Layout, upgrade
from app.vault.house import KeyHouse
from app.vault.keys import opening
from app.vault.keys.local import LocalKeyring
from app.vault.keys.opening import Secrets
from app.vault.keys.provider import KeyProvider

# The passphrase is the last fence around every key; the same floor as a person's password.
PASSPHRASE_LENGTH = 14
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """What `gardu init` was asked for.

    layout: how the roll lies in PostgreSQL, chosen here once. keys: the table [keys], empty for the local keyring. more: further settings.
    """

    data: Path
    origin: str
    database: str
    owner_database: str | None
    public_origin: str
    demo: bool = False
    layout: Layout = field(default_factory=Layout)
    keys: Mapping[str, object] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)

    def settings(self) -> Settings:
        """Return the settings as they will be read back. Raises UnsafeStart."""
        table = {"keys": dict(self.keys)} if self.keys else {}
        return Settings._from(self.data, {**dict(self._pairs()), **table}, self.data / "config.toml")

    def toml(self) -> str:
        """Return the text of config.toml."""
        lines = ["# Settings of this installation; GARDU_* environment variables override them. No secrets stand here."]
        for name, value in self._pairs():
            lines.append(f"{name} = {str(value).lower() if isinstance(value, bool) else _quoted(str(value))}")
        if self.keys:
            # A table comes last: what follows it would belong to it.
            lines += ["", "[keys]"]
            lines += [f"{name} = {_quoted(value) if isinstance(value, str) else value}" for name, value in self.keys.items()]
        return "\n".join(lines) + "\n"

    def _pairs(self) -> list[tuple[str, object]]:
        pairs: list[tuple[str, object]] = [
            ("origin", self.origin),
            ("database", self.database),
            ("public_origin", self.public_origin),
        ]
        if self.owner_database:
            pairs.append(("owner_database", self.owner_database))
        if self.demo:
            pairs.append(("demo", True))
        return [*pairs, *self.more.items()]


def _quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def install(plan: Plan, secret: str, now: datetime) -> House:
    """Make the installation and return it, joined. config.toml is written last: without it nothing counts as installed.

    Raises UnsafeStart (exists, unsafe), StoreDown, KeysDown (a keyring is there already and the passphrase is not its own).
    If we die midway, running it again with the same passphrase goes on where it stopped.
    """
    config = plan.data / "config.toml"
    if config.exists():
        raise UnsafeStart(f"{plan.data} is already an installation; choose another --data directory")
    settings = plan.settings()
    plan.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    plan.data.chmod(0o700)
    provider = _keyring(settings, secret)
    migrate(settings, plan.layout)
    _first_key(settings, provider, now)
    house = join(settings, provider)
    custody_keys.ensure(house.guard, host_actor(), NATION, custody_keys.NATIONAL, now)
    house.guard.trail.append(draft_for(host_actor(), Action.POLICY_LOAD, Outcome.DONE, now, scope=NATION, policy=house.guard.policies.hash))
    descriptor = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(plan.toml())
        file.flush()
        os.fsync(file.fileno())
    return house


def migrate(settings: Settings, layout: Layout | None = None) -> None:
    """Bring the database to this version's schema as its owner. Raises UnsafeStart for a layout that is not possible there; StoreDown."""
    owner = Store(settings.owner_database)
    try:
        upgrade(owner, shipped("migrations"), layout=layout)
    except RuntimeError as error:
        raise UnsafeStart(str(error)) from None
    finally:
        owner.dispose()


def _keyring(settings: Settings, secret: str) -> KeyProvider:
    if settings.keys.provider != "local":
        return opening.open_keys(settings, Secrets(os.environ, lambda: secret, prompt()), make=True)
    if settings.keyring.exists():
        return LocalKeyring.open(settings.keyring, secret)
    if len(secret) < PASSPHRASE_LENGTH:
        raise UnsafeStart(f"the passphrase needs at least {PASSPHRASE_LENGTH} characters")
    return LocalKeyring.create(settings.keyring, secret)


@dataclass(frozen=True, slots=True)
class _One:
    """A key source that knows one wrapped key, of epoch 1."""

    wrapped: bytes

    def fetch(self, purpose: str, scope: str) -> list[tuple[int, bytes]]:
        """Return that key, whatever is asked."""
        return [(1, self.wrapped)]


def _first_key(settings: Settings, provider: KeyProvider, now: datetime) -> None:
    """Make the log's own signing key; its entry is the log's first, and both are durable together."""
    store = Store(settings.database)
    keys = KeyHouse(provider, WrappedKeys(store))
    try:
        if WrappedKeys(store).fetch("log", NATION):
            keys.key("log", NATION)  # somebody else's database: KeysDown before anything is written
            return
        wrapped = keys.make("log", NATION, 1)
        # The key is not in the database yet: it goes there together with the entry it signs.
        signer = Signer(settings.origin, KeyHouse(provider, _One(wrapped)).key("log", NATION).secret)
        trail = Trail(store, settings.origin, signer)
        with store.writing() as session:
            add_key(session, "log", NATION, 1, wrapped, now)
            trail.append_within(
                session,
                draft_for(host_actor(), Action.KEY_CREATE, Outcome.DONE, now, scope=NATION, detail=custody_keys.key_detail("log", wrapped)),
            )
        trail.close()
    finally:
        store.dispose()


def _read_keys(file: Path | None) -> dict[str, object]:
    """Return the table [keys] of *file*, nothing without one. Raises UnsafeStart when it has another shape."""
    if file is None:
        return {}
    try:
        given = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UnsafeStart(f"{file}: {error}") from None
    table = given.get("keys")
    if set(given) != {"keys"} or not isinstance(table, dict):
        raise UnsafeStart(f"{file} must hold the table [keys] and nothing else (docs/keys.md)")
    return table


def _ask_passphrase() -> str:
    if os.environ.get("GARDU_PASSPHRASE_FD", "").isdigit():
        with os.fdopen(int(os.environ["GARDU_PASSPHRASE_FD"]), encoding="utf-8") as stream:
            return stream.readline().rstrip("\n")
    return str(click.prompt("New passphrase for the keyring", hide_input=True, confirmation_prompt=True, err=True))


def register(group: click.Group) -> None:
    """Add `init` and `upgrade` to *group*."""

    layout = click.Choice(["partitions", "citus"])
    partitions = click.IntRange(1, MOST_PARTITIONS)

    @command(group, "init")
    @click.option("--origin", required=True, help="The log's name: <host>/gardu/1.")
    @click.option(
        "--database",
        default="sqlite:///gardu.db",
        show_default=True,
        help="URL of the application's role; a relative SQLite file lies in --data.",
    )
    @click.option("--owner-database", help="URL of the owner's role, for migrations (PostgreSQL).")
    @click.option("--public-origin", help="https://host people reach it at [default: https:// and the origin's host].")
    @click.option("--admin", required=True, help="Username of the first administrator.")
    @click.option("--keys", "keys_file", type=_FILE, help="A TOML file with the table [keys]: another provider than a keyring.")
    @click.option("--admin-name", default="Administrator", help="The administrator's full name.")
    @click.option("--layout", type=layout, default="partitions", show_default=True, help="How the roll lies in PostgreSQL.")
    @click.option("--partitions", type=partitions, default=1, show_default=True, help="Partitions of each province, by hash (PostgreSQL).")
    def init(
        shell: Shell, origin: str, database: str, owner_database: str | None, public_origin: str | None, admin: str, admin_name: str,
        layout: str, partitions: int, keys_file: Path | None,
    ) -> None:  # fmt: skip
        """Make an installation and its first administrator (PASSPHRASE by prompt or GARDU_PASSPHRASE_FD)."""
        site = public_origin or "https://" + origin.split("/")[0]
        plan = Plan(shell.data, origin, database, owner_database, site, layout=Layout(layout, partitions), keys=_read_keys(keys_file))
        settings = plan.settings()
        # Looked at before anything is made: config.toml stands once install returns, and init does not run twice.
        rules.parse_username(admin)
        rules.parse_name(admin_name)
        house = install(plan, _ask_passphrase() if settings.keys.provider == "local" else "", SystemClock().now())
        try:
            _, password = accounts.create(
                house.identity, host_actor(), username=admin, name=admin_name, office="kpu-00", unit=Unit.KEAMANAN.value,
                roles=(Role.ADMIN_SISTEM.value,), now=SystemClock().now(),
            )  # fmt: skip
        finally:
            house.close()
        shell.say(f"Installed in {plan.data}; the log is {origin}.")
        shell.say(f"First administrator: {admin}   one-time password: {password}")
        shell.say("At first login a new password and an authenticator app are asked for.")
        if make_url(database).get_backend_name() == "postgresql" and owner_database is None:
            shell.say("Note: the application runs as the database's owner; `gardu doctor` says how to narrow that.")
        shell.result(data=str(plan.data), origin=origin, username=admin, password=password)

    @command(group, "upgrade")
    @click.option(
        "--layout", type=layout, default="partitions", show_default=True, help="How the roll will lie in PostgreSQL, if not yet cut."
    )
    @click.option(
        "--partitions", type=partitions, default=1, show_default=True, help="Partitions of each province, by hash, if not yet cut."
    )
    def upgrade_schema(shell: Shell, layout: str, partitions: int) -> None:
        """Bring the database to this version's schema."""
        migrate(shell.settings(), Layout(layout, partitions))
        shell.say("The schema is current.")
        shell.result(schema="current")
