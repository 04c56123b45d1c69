"""`gardu audit publish | head-guard | resume`: what the background does every few seconds, by hand; and a log that was stopped."""

from __future__ import annotations

import click

from app.audit.note import parse_checkpoint, split_note
from app.cli.shell import FOUND, Shell, command
from app.kernel.errors import NotThere
from app.openlog import rounds, rules
from app.openlog.publisher import publish
from app.openlog.witnesses import standing


def add(audit: click.Group) -> None:
    """Add the commands to the group *audit*."""
    _publish(audit)
    _head_guard(audit)
    _resume(audit)


def _publish(audit: click.Group) -> None:
    @command(audit, "publish")
    def publish_now(shell: Shell) -> None:
        """Publish the newest checkpoint, ask every witness, and say how they stand (exit 1: a quorum is asked for and not fresh)."""
        with shell.house() as house:
            now = house.clock.now()
            found = publish(house.openlog, now)
            if found is None:
                raise NotThere("the log is empty")
            stand = standing(house.openlog.books, now)
        fresh = stand.is_fresh(now)
        shell.say(f"Published {found.size} entries, root {parse_checkpoint(split_note(found.note)[0]).root.hex()}")
        for name, (key, _url) in stand.policy.witnesses.items():
            last = stand.signed.get(key.vkey)
            shell.say(f"  witness {name}: {f'signed {last.size} at {last.at:%Y-%m-%d %H:%M:%S} UTC' if last else 'has never signed'}")
        if not stand.configured:
            shell.say("  no witness is configured: nobody outside would notice a rewritten log (docs/public-log.md)")
        shell.result(size=found.size, configured=stand.configured, fresh=fresh)
        if not fresh:
            raise SystemExit(FOUND)


def _head_guard(audit: click.Group) -> None:
    @command(audit, "head-guard")
    @click.option("--yes", is_flag=True, help="Do not ask whether the database is the newest one.")
    def head_guard(shell: Shell, yes: bool) -> None:
        """Write the head guard's file from the database as it is: at its first use, or after `gardu audit reopen`."""
        if not yes:
            click.confirm("Is this database the newest there is, not a backup that was put back?", abort=True, err=True)
        with shell.house() as house:
            size = rounds.begin_head_guard(house.openlog, house.clock.now())
        shell.say(f"The head guard knows {size} entries now.")
        shell.result(size=size)


def _resume(audit: click.Group) -> None:
    @command(audit, "resume")
    @click.option("--reason", required=True, help="What was found out, for the log.")
    def resume(shell: Shell, reason: str) -> None:
        """Let a halted log go on, when it was the witness that was wrong (an entry)."""
        said = rules.parse_line(reason, "reason", rules.MAX_REASON)
        with shell.house() as house:
            size, seq = rounds.resume(house.openlog, said, house.clock.now())
        shell.say(f"The log goes on (entry {seq}); claims of up to {size} entries no longer stop it.")
        shell.result(size=size, seq=seq)
