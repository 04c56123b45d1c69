"""`gardu keys shares make | check | recover`: k-of-n recovery shares of the local keyring's key, as words (SLIP-39)."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import datetime

import click

from app.cli.shell import Shell, command, host_actor, prompt
from app.custody import ceremony
from app.custody.ceremony import Act
from app.factory import join, secrets_of
from app.kernel.clock import SystemClock
from app.kernel.errors import BadInput, Conflict, KeysDown
from app.settings import Settings
from app.vault.keys import opening
from app.vault.keys.local import LocalKeyring, opened_master
from app.vault.keys.shares import MOST, Share, combine, read, split

_PER_LINE = 6


def add(group: click.Group) -> None:
    """Add the group `shares` to *group*."""

    @group.group("shares")
    def shares() -> None:
        """Recovery shares: any k of n holders together can restore the local keyring."""

    _make(shares)
    _check(shares)
    _recover(shares)


def demand_local(settings: Settings) -> None:
    """Raise Conflict unless the provider is the local keyring: no other lets its key out."""
    if settings.keys.provider != "local":
        raise Conflict(f"the key of {settings.keys.provider} never leaves it: use that provider's own backup (docs/keys.md)")


def new_passphrase() -> str:
    """Return a new passphrase: from GARDU_NEW_PASSPHRASE_FD, or typed twice."""
    if os.environ.get("GARDU_NEW_PASSPHRASE_FD", "").isdigit():
        with os.fdopen(int(os.environ["GARDU_NEW_PASSPHRASE_FD"]), encoding="utf-8") as stream:
            return stream.readline().rstrip("\n")
    return str(click.prompt("New passphrase for the keyring", hide_input=True, confirmation_prompt=True, err=True))


def hand_out(shell: Shell, master: bytes, threshold: int, count: int) -> int:
    """Show each share once, to its holder alone, and return the mark of the set. Raises BadInput."""
    made = split(master, threshold, count)
    for share in made:
        _show(shell, share, count)
    shell.say(f"{count} shares were shown, any {threshold} of them restore the keyring. Try them now: gardu keys shares check")
    return made[0].mark


def _show(shell: Shell, share: Share, count: int) -> None:
    watched = sys.stdout.isatty() and sys.stdin.isatty()
    if watched:
        click.pause(f"Share {share.member} of {count}: only its holder looks. Press any key …", err=True)
    words = [f"{number:>2} {word:<9}" for number, word in enumerate(share.text.split(), start=1)]
    shell.say(f"Share {share.member} of {count} (any {share.threshold} restore the keyring); write the words down, in this order:")
    for at in range(0, len(words), _PER_LINE):
        shell.say("  " + "  ".join(words[at : at + _PER_LINE]).rstrip())
    if watched:
        click.pause("Written down and compared? Press any key; the screen is cleared.", err=True)
        _wipe()


def _wipe() -> None:
    """Clear the screen, and what scrolled away, where the terminal can."""
    click.clear()
    click.echo("\033[3J", nl=False)


def _make(group: click.Group) -> None:
    @command(group, "make")
    @click.option("--threshold", type=click.IntRange(2, MOST), required=True, help="So many shares are needed to restore.")
    @click.option("--of", "count", type=click.IntRange(2, MOST), required=True, help="How many shares.")
    def make(shell: Shell, threshold: int, count: int) -> None:
        """Split the keyring's key into shares and show each once; older shares of the same key stay good."""
        settings = shell.settings()
        demand_local(settings)
        if threshold > count:
            raise BadInput(f"shares: the threshold is 2 to the number of shares, and there are at most {MOST}", field="threshold")
        secrets = secrets_of(settings, os.environ, prompt())
        keyring = opening.open_keys(settings, secrets)
        house = join(settings, keyring)
        try:
            # Before the first word is shown: no share without its entry.
            ceremony.record(
                house.guard, host_actor(), Act.SHARES_MADE, keyring.newest(), house.clock.now(), threshold=threshold, count=count
            )
        finally:
            house.close()
        mark = hand_out(shell, opened_master(settings.keyring, secrets.keyring()), threshold, count)
        shell.result(key=keyring.newest(), threshold=threshold, count=count, mark=mark)


def _check(group: click.Group) -> None:
    @command(group, "check")
    def check(shell: Shell) -> None:
        """Try shares, typed or one a line on stdin: say whether they open this installation. Nothing is changed."""
        settings = shell.settings()
        demand_local(settings)
        given = _gather()
        name = _proven(settings, combine(given), Act.SHARES_CHECKED, SystemClock().now(), given)
        shell.say(f"These {len(given)} shares give {name} back, and it opens this installation.")
        shell.result(key=name, threshold=given[0].threshold, mark=given[0].mark)


def _recover(group: click.Group) -> None:
    @command(group, "recover")
    @click.option("--replace", is_flag=True, help="Put the new file in the place of a keyring that is there (its passphrase is lost).")
    def recover(shell: Shell, replace: bool) -> None:
        """Make a new keyring file from shares, typed or one a line on stdin, with a new passphrase (or GARDU_NEW_PASSPHRASE_FD)."""
        installed = (shell.data / "config.toml").exists()
        if installed:
            demand_local(shell.settings())
        file = shell.data / "keyring.json"
        if file.exists() and not replace:
            raise Conflict(f"there is a keyring at {file} already: --replace puts the recovered one in its place")
        given = _gather()
        master = combine(given)
        # Before anything is written: the key must open what is here, and the log must know.
        name = LocalKeyring(master).newest()
        if installed:
            _proven(shell.settings(), master, Act.KEYRING_RECOVERED, SystemClock().now(), given)
        else:
            shell.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        LocalKeyring.restore(file, master, new_passphrase(), over=replace)
        shell.say(f"{file} holds {name} again, under the new passphrase.")
        if not installed:
            shell.say("There is no installation here yet: whether this key opens one was not tried, and no entry says so.")
        shell.result(key=name, keyring=str(file), proven=installed)


def _proven(settings: Settings, master: bytes, act: Act, now: datetime, given: Sequence[Share]) -> str:
    """Open the installation by the recovered key, record *act* and return the key's name. Raises KeysDown when it is another's."""
    keyring = LocalKeyring(master)
    try:
        house = join(settings, keyring)
    except KeysDown as down:
        raise KeysDown(f"the shares fit together, but their key, {keyring.newest()}, is not this installation's: {down.detail}") from None
    try:
        ceremony.record(house.guard, host_actor(), act, keyring.newest(), now, threshold=given[0].threshold, mark=given[0].mark)
    finally:
        house.close()
    return keyring.newest()


def _gather() -> list[Share]:
    """Read shares until there are enough: at a terminal one after the other, again after a slip of the pen; else the lines of stdin."""
    given: list[Share] = []
    if not sys.stdin.isatty():
        for line in sys.stdin:
            if line.strip() and (not given or len(given) < given[0].threshold):
                given.append(read(line, given))
        return given
    while not given or len(given) < given[0].threshold:
        text = str(click.prompt(f"Share {len(given) + 1} (33 words)", err=True))
        _wipe()
        try:
            given.append(read(text, given))
        except BadInput as wrong:
            click.echo(f"gardu: {wrong.detail}; again, please", err=True)
            continue
        click.echo(f"Share {len(given)} of the {given[0].threshold} that are needed is good.", err=True)
    return given
