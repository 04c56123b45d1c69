"""`gardu keys init | status | passphrase | rotate provider`: the key providers and the ceremony; `app.cli.shares` has the recovery shares."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from app.audit import headguard
from app.cli import shares
from app.cli.shell import FOUND, Shell, command, host_actor, prompt
from app.custody import ceremony, provider
from app.custody.ceremony import Act
from app.factory import House, join, open_keys, secrets_of
from app.kernel.clock import SystemClock
from app.kernel.errors import Conflict, KeysDown, UnsafeStart
from app.vault.keys import opening
from app.vault.keys.local import LocalKeyring, opened_master
from app.vault.keys.opening import Secrets
from app.vault.keys.pair import Pair

# ``app.cli.rotation`` adds its commands to the group *rotate*.
keys = click.Group("keys", help="Keys: their provider, the ceremony, recovery shares, rotation.")
rotate = click.Group("rotate", help="Put new keys in the place of old ones while the guard serves.")
keys.add_command(rotate)

_OLD_TABLE = '\n# Until the keys have moved: gardu keys rotate provider (docs/keys.md).\n[keys_old]\nprovider = "local"\n'


def register(group: click.Group) -> None:
    """Add `keys …` to *group*."""
    group.add_command(keys)
    for add in (_init, _status, _passphrase, _provider, shares.add):
        add(keys)


def _init(group: click.Group) -> None:
    @command(group, "init")
    @click.option("--threshold", type=int, help="Also print recovery shares, of which so many are needed.")
    @click.option("--of", "count", type=int, help="How many shares.")
    def init(shell: Shell, threshold: int | None, count: int | None) -> None:
        """Make the provider key: a keyring in a new --data directory, or, at an installation, the key that its [keys] names."""
        if (threshold is None) != (count is None):
            raise click.UsageError("--threshold and --of go together")
        if (shell.data / "config.toml").exists():
            if threshold is not None:
                raise click.UsageError("at an installation, shares are made by: gardu keys shares make")
            name, line = _make_at_provider(shell)
            shell.say(line)
            shell.say("Next: restart the servers, then gardu keys rotate provider")
            shell.result(key=name)
            return
        secret = shares.new_passphrase()
        shell.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        keyring = LocalKeyring.create(shell.data / "keyring.json", secret)
        shell.say(f"Made {shell.data / 'keyring.json'}: {keyring.newest()}. Next: gardu init, with the same passphrase.")
        if threshold is not None and count is not None:
            shares.hand_out(shell, opened_master(shell.data / "keyring.json", secret), threshold, count)
        shell.result(key=keyring.newest())


def _make_at_provider(shell: Shell) -> tuple[str, str]:
    """Make the key of [keys] where it is absent; return its name and its health. Raises Conflict, KeysDown, UnsafeStart."""
    settings = shell.settings()
    if settings.keys.provider == "local":
        raise Conflict("this installation has its keyring already; a new one comes by: gardu keys rotate provider --new-keyring")
    made = opening.open_keys(settings, secrets_of(settings, os.environ, prompt()), make=True)
    house = join(settings, made)
    try:
        ceremony.record(house.guard, host_actor(), Act.KEY_MADE, made.newest(), house.clock.now())
    finally:
        house.close()
    return made.newest(), made.health()


def _status(group: click.Group) -> None:
    @command(group, "status")
    def status(shell: Shell) -> None:
        """Say which provider there is, whether it wraps and unwraps, and which keys are under which provider key (exit 1 when it fails)."""
        with shell.house() as house:
            settings, found = house.settings, provider.standing(house.guard)
            newest = house.guard.keys.wraps_now()
            try:
                line, works = house.guard.keys.health(), True
            except KeysDown as down:
                line, works = down.detail, False
        shell.say(f"Provider: {settings.keys.provider}; {line}")
        if settings.keys_old is not None:
            shell.say(f"Keys move from: {settings.keys_old.provider}")
        shell.say(f"New keys are wrapped by {newest}")
        for group_ in found:
            mark = "  " if group_.by == newest else "! "
            shell.say(f"{mark}{group_.purpose:<8} epoch {group_.epoch:<4} {group_.keys:>5} under {group_.by}")
        left = sum(one.keys for one in found if one.by != newest)
        if left:
            shell.say(f"{left} keys are under another provider key: gardu keys rotate provider")
        shell.result(
            provider=settings.keys.provider, old=settings.keys_old.provider if settings.keys_old else None, works=works, line=line, newest=newest,
            left=left, keys=[{"purpose": one.purpose, "epoch": one.epoch, "by": one.by, "keys": one.keys} for one in found],
        )  # fmt: skip
        if not works:
            sys.exit(FOUND)


def _passphrase(group: click.Group) -> None:
    @command(group, "passphrase")
    def passphrase(shell: Shell) -> None:
        """Seal the local keyring with a new passphrase, asked for or from GARDU_NEW_PASSPHRASE_FD; the key in it stays."""
        with _opened(shell) as (house, secrets):
            new = shares.new_passphrase()
            ceremony.record(house.guard, host_actor(), Act.PASSPHRASE_CHANGED, house.guard.keys.wraps_now(), house.clock.now())
            LocalKeyring.change_passphrase(house.settings.keyring, secrets.keyring(), new)
        shell.say("The keyring has its new passphrase. Copies of the old file still open with the old one: destroy them.")
        shell.result(keyring=str(house.settings.keyring))


@contextmanager
def _opened(shell: Shell) -> Iterator[tuple[House, Secrets]]:
    """Yield the house of an installation with a local keyring, and what its passphrase is taken from. Raises Conflict for another provider."""
    settings = shell.settings()
    shares.demand_local(settings)
    secrets = secrets_of(settings, os.environ, prompt())
    house = join(settings, opening.open_keys(settings, secrets))
    try:
        yield house, secrets
    finally:
        house.close()


# ---- the provider key itself ----


def _provider(_group: click.Group) -> None:
    @command(rotate, "provider")
    @click.option("--new-keyring", is_flag=True, help="First step for a local keyring: put a new key beside the old one.")
    @click.option("--retire", is_flag=True, help="Last step: the old provider key is needed no more.")
    @click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
    def rotate_provider(shell: Shell, new_keyring: bool, retire: bool, yes: bool) -> None:
        """Move every key under the newest provider key, also from one provider to another; serving goes on, and it can be stopped and resumed."""
        if new_keyring and retire:
            raise click.UsageError("--new-keyring is the first step and --retire the last")
        if new_keyring:
            _begin(shell)
        elif retire:
            _retire(shell, yes)
        else:
            _walk(shell)


def _begin(shell: Shell) -> None:
    """Put a new keyring in the place of the old one, which stays beside it. Each step may be the last one before a crash; run it again."""
    with _opened(shell) as (house, secrets):
        settings = house.settings
        new, old, config = settings.keyring, settings.keyring_old, settings.data / "config.toml"
        if old.exists() and settings.keys_old is None and old.read_bytes() != new.read_bytes():
            raise Conflict(f"{old} is there, and config.toml has no [keys_old]: of an unfinished rotation? docs/keys.md says what to do")
        if settings.keys_old is not None and settings.keys_old.provider != "local":
            raise Conflict("keys are moving already: finish that first (gardu keys rotate provider, then --retire)")
        if not old.exists():
            # A second name of the same file: the old key is never without one.
            old.hardlink_to(new)
        if settings.keys_old is None:
            _write_config(config, config.read_text("utf-8") + _OLD_TABLE, {"keys_old": {"provider": "local"}})
        if opened_master(old, secrets.given("passphrase-old") or secrets.keyring()) == opened_master(new, secrets.keyring()):
            ceremony.record(house.guard, host_actor(), Act.KEY_MADE, house.guard.keys.wraps_now(), house.clock.now())
            LocalKeyring.create(new, secrets.keyring(), over=True)
        made = LocalKeyring.open(new, secrets.keyring()).newest()
    shell.say(f"{new} holds a new key, {made}; the old one is in {old}, under the same passphrase.")
    shell.say("Now: back up both files, restart every server and worker, then gardu keys rotate provider")
    shell.result(step="begun", key=made)


def _walk(shell: Shell) -> None:
    with shell.house() as house, shell.progress("Keys under the new provider key") as advance:
        done = provider.rotate(house.guard, host_actor(), house.clock, advance)
        old = house.settings.keys_old
    shell.say(f"{done.keys} keys moved under {done.to}; {done.left} are left under another.")
    if done.left:
        shell.say("A server that was not restarted still wraps by the old provider: restart it, then run this again.")
    elif old is not None:
        shell.say("Back up. When no backup is needed any more that opens with the old key alone: gardu keys rotate provider --retire")
    shell.result(step="moved", moved=done.keys, left=done.left, key=done.to)
    if done.left:
        sys.exit(FOUND)


def _retire(shell: Shell, yes: bool) -> None:
    """Record that the old key is needed no more, then take it out of the settings, then, when it is a keyring, delete the file."""
    settings = shell.settings()
    if settings.keys_old is None:
        raise UnsafeStart("there is no [keys_old] in config.toml: nothing is left to retire")
    pair = open_keys(settings, os.environ, prompt())
    assert isinstance(pair, Pair)
    old, local = pair.old.newest(), settings.keys_old.provider == "local"
    house = join(settings, pair)
    try:
        if not yes:
            click.confirm(f"Retire {old}? Backups whose keys were taken before the move open with it alone.", abort=True, err=True)
        provider.retire(house.guard, host_actor(), old, SystemClock().now())
    finally:
        house.close()
    config = settings.data / "config.toml"
    _write_config(config, _without_old(config.read_text("utf-8")), {})
    # If we die here, the old file is left and opens nothing; gardu doctor names it.
    if local:
        settings.keyring_old.unlink(missing_ok=True)
    shell.say(f"{old} is retired; config.toml names it no more.")
    shell.say("Destroy every copy of the old keyring and its shares." if local else f"Destroy it at its provider when you are sure: {old}")
    shell.say("Restart every server and worker.")
    shell.result(step="retired", key=old)


def _without_old(text: str) -> str:
    """Return config.toml without its table [keys_old] and the comment right above it."""
    kept: list[str] = []
    inside = False
    for line in text.splitlines():
        if line.strip().startswith("["):
            inside = line.strip() == "[keys_old]"
            while inside and kept and (kept[-1].startswith("#") or not kept[-1].strip()):
                kept.pop()
        if not inside:
            kept.append(line)
    return "\n".join(kept) + "\n"


def _write_config(config: Path, text: str, more: dict[str, object]) -> None:
    """Replace config.toml by *text*. Raises UnsafeStart unless that changes [keys_old] alone, into *more*."""
    before = {name: value for name, value in tomllib.loads(config.read_text("utf-8")).items() if name != "keys_old"}
    if tomllib.loads(text) != {**before, **more}:
        raise UnsafeStart(f"{config}: {'add' if more else 'remove'} the table [keys_old] by hand; everything else is done")
    headguard.write(config, text)
