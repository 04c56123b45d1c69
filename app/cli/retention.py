"""`gardu audit erase | prune | reopen`: what may leave the log, and what happens after an old backup was put back."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit import headguard
from app.audit.family import after
from app.audit.mirror import Known, Lost, read_mirror
from app.audit.note import Signer, Verifier
from app.audit.quorum import parse_policy
from app.audit.tables import TrailEntry
from app.cli.shell import Shell, command, host_actor
from app.custody import erase, prune
from app.custody import reopen as reopening
from app.custody.presence import Claim, present
from app.factory import House
from app.kernel.actor import Actor
from app.kernel.errors import BadInput, UnsafeStart
from app.kernel.fields import Action
from app.kernel.regions import NATION
from app.store.engine import Store

# Of what would go, so many are listed; all of them are counted.
_LISTED = 40
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


def add(audit: click.Group) -> None:
    """Add the commands to the group *audit*."""
    _erase(audit)
    _prune(audit)
    _reopen(audit)


def _erase(audit: click.Group) -> None:
    @command(audit, "erase")
    @click.argument("seqs", metavar="SEQ", type=click.IntRange(0), nargs=-1, required=True)
    @click.option("--reason", required=True, help="Whose order, and why; one line, kept sealed in the entry.")
    @click.option("--log", "chosen", help="A log before a restore; else the present one.")
    @click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
    def erase_payloads(shell: Shell, seqs: tuple[int, ...], reason: str, chosen: str | None, yes: bool) -> None:
        """Erase the sealed part of entries SEQ for good: who did what stays, whom it named goes (an entry; every proof stays valid)."""
        with shell.house() as house:
            log = chosen or house.guard.log
            going = erase.plan(house.guard, log, seqs)
            for one in going[:_LISTED]:
                shell.say(f"  entry {one.seq}: {one.at:%Y-%m-%d %H:%M} UTC, {one.action} {one.outcome}, names {one.subjects} voters")
            if len(going) > _LISTED:
                shell.say(f"  … and {len(going) - _LISTED} more")
            if not yes:
                click.confirm(f"Erase the sealed part of these {len(going)} entries of {log}, for good?", abort=True, err=True)
            receipt = erase.erase(house.guard, host_actor(), log, [one.seq for one in going], reason, house.clock.now())
        shell.say(f"Erased: {len(going)}; entry {receipt.seq} of {receipt.log} says so. Backups still hold them until they are replaced.")
        shell.result(log=log, erased=[one.seq for one in going], by_log=receipt.log, seq=receipt.seq)


# ---- pruning ----


def _prune(audit: click.Group) -> None:
    @audit.group("prune")
    def prune_log() -> None:
        """Begin the log later: entries of more than five years ago go, by two people."""

    @command(prune_log, "propose")
    @click.option("--below", required=True, type=click.IntRange(1), help="The first entry that stays; a multiple of 256.")
    @click.option("--reason", required=True, help="Why; one line, kept sealed in the entry.")
    @click.option("--as", "username", required=True, help="Who proposes: an administrator or a security officer.")
    def propose(shell: Shell, below: int, reason: str, username: str) -> None:
        """Propose to delete every entry below a number; asks for password and code. Nothing goes until a second person confirms."""
        with shell.house() as house, _room(house) as room, signed_in(house, username) as actor:
            uid = prune.propose(room, actor, below, reason, house.clock.now())
        shell.say(
            f"Proposal {uid}: entries 0 to {below - 1} would go. A second person, within a day: gardu audit prune confirm {uid} --as NAME"
        )
        shell.result(uid=uid, minimum=below)

    @command(prune_log, "confirm")
    @click.argument("uid")
    @click.option("--as", "username", required=True, help="Who confirms: another administrator or security officer.")
    def confirm(shell: Shell, uid: str, username: str) -> None:
        """Carry a proposal out as the second person; asks for password and code. The entries go for good; make an export before."""
        with shell.house() as house, _room(house) as room, signed_in(house, username) as actor:
            done = prune.confirm(room, actor, uid, house.clock.now())
        gone = done.gone["trail_entry"]
        shell.say(
            f"The log begins with entry {done.minimum} now; {gone} entries went, entry {done.seq} says so. Verify it: gardu audit verify"
        )
        shell.result(uid=uid, minimum=done.minimum, seq=done.seq, entries=gone)

    @command(prune_log, "show")
    def show(shell: Shell) -> None:
        """Say which proposal waits for a second person."""
        with shell.house() as house, _room(house) as room:
            found = prune.waiting(room, house.clock.now())
        if found is None:
            shell.say("No proposal waits.")
        else:
            shell.say(
                f"Proposal {found.uid} of {found.asked_at:%Y-%m-%d %H:%M} UTC: entries 0 to {found.minimum - 1} would go. {found.reason}"
            )
        shell.result(uid=found.uid if found else None, minimum=found.minimum if found else None)

    @command(prune_log, "refuse")
    @click.argument("uid")
    @click.option("--as", "username", required=True, help="Who refuses, or takes the proposal back.")
    def refuse(shell: Shell, uid: str, username: str) -> None:
        """Refuse a proposal, or take it back; asks for password and code."""
        with shell.house() as house, _room(house) as room, signed_in(house, username) as actor:
            prune.refuse(room, actor, uid, house.clock.now())
        shell.say(f"Proposal {uid} is refused; nothing went.")
        shell.result(uid=uid)


@contextmanager
def _room(house: House) -> Iterator[prune.Room]:
    """Yield what pruning needs, with the database opened as its owner."""
    owner = Store(house.settings.owner_database, pool_size=1)
    try:
        yield prune.Room(house.guard, house.identity, house.mandates.seals, owner)
    finally:
        owner.dispose()


@contextmanager
def signed_in(house: House, username: str) -> Iterator[Actor]:
    """Ask for somebody's password and code, and yield them as an actor. Raises as ``custody.presence.present``."""

    def ask(what: str) -> str:
        return str(click.prompt(f"{what} of {username}", hide_input=True, err=True))

    with present(house.identity, Claim(username, lambda: ask("Password"), lambda: ask("Code")), house.clock.now) as actor:
        yield actor


# ---- reopening ----


def _reopen(audit: click.Group) -> None:
    @command(audit, "reopen")
    @click.option(
        "--checkpoint", required=True, type=_FILE, help="The last checkpoint that somebody outside kept: a witness's, best cosigned."
    )
    @click.option("--policy", type=_FILE, help="A tlog-policy whose quorum must have signed that checkpoint.")
    @click.option(
        "--mirror", type=_FILE, help="A full export of the old log from elsewhere: what it knows beyond the backup is done again."
    )
    @click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
    def reopen(shell: Shell, checkpoint: Path, policy: Path | None, mirror: Path | None, yes: bool) -> None:
        """Open the next log over a database that an old backup was put back into; it never goes on under the old name."""
        settings = shell.settings()
        if os.environ.get("GARDU_ORIGIN"):
            raise UnsafeStart("GARDU_ORIGIN names the log: unset it, or the new name in config.toml would not count")
        old, new = settings.origin, after(settings.origin)
        with shell.house(new) as house:
            if not _is_open(house.store, new):
                what, size = open_next(shell, house, old, (checkpoint, policy, mirror), yes)
            else:
                # We died after the commit and before the name was written: only the name is missing.
                what, size = None, 0
            rename_log(settings.data / "config.toml", old, new)
        shell.say(
            f"The log is {new} now. Next: gardu audit verify --store, gardu audit head-guard, tell the witnesses, then serve (docs/retention.md)."
        )
        shell.result(
            old=old, log=new, entries=size, sessions=what.sessions if what else 0, mandates=len(what.mandates) if what else 0,
            disabled=len(what.disable) if what else 0, reset=len(what.reset) if what else 0, erased=what.erase if what else [],
            unknown=what.unknown if what else [],
        )  # fmt: skip


def open_next(
    shell: Shell, house: House, old: str, files: Sequence[Path | None], yes: bool, also: Callable[[Session], object] = lambda session: None
) -> tuple[reopening.Plan, int]:
    """Say what opening the next log would do, ask, and do it. files: checkpoint, policy, mirror. also: as of ``reopen``."""
    checkpoint, policy, mirror = files
    assert checkpoint is not None
    verifier = Signer(old, house.guard.keys.key("log", NATION).secret).verifier
    quorum = parse_policy(policy.read_bytes()) if policy is not None else None
    outside = reopening.last_seen(_text(checkpoint), old, verifier, quorum)
    known = reopening.known_of(house.store, old)
    reopening.demand_behind(house.store, known, outside)
    lost = _mirror(mirror, old, verifier, known, outside) if mirror is not None else None
    what = reopening.plan(house.guard, house.mandates, old, outside, lost)
    shell.say(f"The database has {known.size} entries of {old}; outside, {outside.mark.size} were seen.")
    shell.say(f"{what.log} would be opened: {what.sessions} sessions and {len(what.mandates)} mandates end.")
    shell.say(
        f"Done again: {len(what.disable)} accounts disabled, {len(what.reset)} authenticators taken, {len(what.erase)} payloads erased."
    )
    for line in what.unknown:
        shell.say(f"  to do by hand: {line}")
    if not yes:
        click.confirm(f"Open {what.log}? {old} is never written again.", abort=True, err=True)
    return what, reopening.reopen(house.guard, house.mandates, host_actor(), what, house.clock.now(), also)


def _mirror(file: Path, old: str, verifier: Verifier, known: Known, outside: reopening.Outside) -> Lost:
    with file.open("rb") as opened:
        return read_mirror(opened, old, verifier, known, outside.mark)


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput(f"{file} is no signed checkpoint: not UTF-8", field="checkpoint") from None


def _is_open(store: Store, log: str) -> bool:
    with store.reading() as session:
        return session.scalar(select(TrailEntry.action).where(TrailEntry.log == log, TrailEntry.seq == 0)) == Action.TRAIL_REOPEN.value


def rename_log(config: Path, old: str, new: str) -> None:
    """Put the log's new name into config.toml; if we die at any line, the old or the new file stands there, whole.

    Raises UnsafeStart when the file does not name the old log in a line of its own.
    """
    before = config.read_text("utf-8")
    lines = [f'origin = "{new}"' if _names(line, old) else line for line in before.splitlines()]
    text = "\n".join(lines) + "\n"
    if tomllib.loads(text) != {**tomllib.loads(before), "origin": new}:
        raise UnsafeStart(f'{config}: put origin = "{new}" there by hand; the new log is open')
    headguard.write(config, text)


def _names(line: str, old: str) -> bool:
    try:
        return tomllib.loads(line) == {"origin": old}
    except tomllib.TOMLDecodeError:
        return False
