"""`gardu backup create | verify | restore`: what is copied out of the database, proven, and put back after the worst."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import click
from sqlalchemy.orm import Session

from app.audit.family import after
from app.audit.note import parse_checkpoint, split_note
from app.cli.retention import open_next, rename_log
from app.cli.shell import FOUND, Shell, command, host_actor, prompt
from app.custody import backup
from app.custody.backup_check import STEPS, WORDS, prove
from app.custody.backup_load import Loaded, Source, load
from app.custody.backup_replay import replayed
from app.custody.backup_room import L1_FILE, NOTE_FILE, Backups, Kept, find, told
from app.factory import House, join, open_keys
from app.identity.room import write_within
from app.kernel.clock import SystemClock
from app.kernel.errors import BadInput, UnsafeStart
from app.kernel.fields import Action, Outcome
from app.settings import Settings
from app.store.engine import Store
from app.store.migrate import MOST_PARTITIONS, Layout
from app.vault import age
from app.vault.house import KeyHouse
from app.vault.keys.provider import KeyProvider

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
# An identity file is a few lines.
_MOST_IDENTITY = 16 * 1024
_IDENTITY_HELP = "The age identity that opens it: a file, or fd:N for an open file descriptor."


def register(group: click.Group) -> None:
    """Add `backup` to *group*."""

    @group.group("backup")
    def backups() -> None:
        """Backups, sealed to a recipient whose key is elsewhere: make one, prove one, restore one (docs/backup.md)."""

    _create(backups)
    _verify(backups)
    _restore(backups)


def _create(backups: click.Group) -> None:
    @command(backups, "create")
    @click.option("--to", "folder", type=click.Path(path_type=Path, file_okay=False), help="Where to [default: backup_to of the settings].")
    @click.option("--recipient", "recipients", multiple=True, help="An age public key, age1… [default: backup_recipients of the settings].")
    def create(shell: Shell, folder: Path | None, recipients: tuple[str, ...]) -> None:
        """Make a backup of one moment while the guard serves; then take away what is past its time."""
        with shell.house() as house:
            settings, room = house.settings, room_of(house)
            where, keys = folder or settings.backup_to, recipients or tuple(settings.backup_recipients.split())
            if where is None or not keys:
                raise UnsafeStart(
                    "say where to and for whom: --to DIR --recipient age1…, or backup_to and backup_recipients in config.toml"
                )
            with shell.progress("backup") as advance:
                done = backup.create(room, host_actor(), where, keys, advance)
            gone = backup.expire(room, host_actor(), where, settings.backup_keep, settings.backup_key_days)
        shell.say(f"Backup {done.uid}: {done.rows} rows, {done.size} entries of the log, in {done.folder}; entry {done.seq} says so.")
        shell.say(f"  data {done.data_bytes} bytes, keys {done.key_bytes} bytes; the L1 keys are in {done.folder.parent / L1_FILE}.")
        if gone.keys:
            shell.say(f"  past their time: {len(gone.keys)} key archives, {len(gone.whole)} backups as a whole.")
        shell.say("Copy all three away from this machine (docs/backup.md), and prove it: gardu backup verify ARCHIVE --identity FILE")
        shell.result(
            uid=done.uid, folder=str(done.folder), rows=done.rows, size=done.size, data_bytes=done.data_bytes, key_bytes=done.key_bytes,
            seq=done.seq, keys_gone=list(gone.keys), gone=list(gone.whole),
        )  # fmt: skip


def _verify(backups: click.Group) -> None:
    @command(backups, "verify")
    @click.argument("archive", type=_FOLDER)
    @click.option("--identity", required=True, help=_IDENTITY_HELP)
    @click.option("--l1", type=_FILE, help="The newest file of L1 keys [default: l1.age beside the archive].")
    def verify(shell: Shell, archive: Path, identity: str, l1: Path | None) -> None:
        """Restore a backup into a scratch database and look at all of it (exit 0 proven, 1 not, 2 could not be tried)."""
        secret = read_identity(identity)
        with shell.house() as house, shell.progress("restore") as advance:
            done = prove(room_of(house), host_actor(), find(archive), secret, advance, l1)
        for number, words in enumerate(WORDS, start=1):
            mark = "ok" if number <= done.steps else "!!" if number == done.steps + 1 else "--"
            shell.say(f"{mark} {number} {words}")
        shell.say(
            f"Proven: {done.rows} rows and {done.size} entries came back from it, into a scratch {done.scratch}; entry {done.seq} says so."
            if done.good
            else f"NOT proven: {done.trouble}"
        )
        shell.result(
            ok=done.good, backup=done.backup, steps=[{"step": number, "ok": number <= done.steps} for number in range(1, len(STEPS) + 1)],
            rows=done.rows, size=done.size, scratch=done.scratch, seq=done.seq, trouble=done.trouble,
        )  # fmt: skip
        if not done.good:
            sys.exit(FOUND)


# ---- restoring ----


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a restore was asked for."""

    backup: Kept
    newer: Kept | None
    l1: Path
    into: str
    checkpoint: Path
    policy: Path | None
    mirror: Path | None
    layout: Layout
    yes: bool


def _restore(backups: click.Group) -> None:
    @command(backups, "restore")
    @click.argument("archive", type=_FOLDER)
    @click.option("--into", required=True, help="URL of an empty database, as its owner.")
    @click.option("--identity", required=True, help=_IDENTITY_HELP)
    @click.option(
        "--keys", "newer", type=_FOLDER, help="A later backup, whose record keys and erasures count: whoever was erased since stays so."
    )
    @click.option("--l1", type=_FILE, help="The newest file of L1 keys [default: l1.age beside the archive].")
    @click.option(
        "--checkpoint", type=_FILE, help="The last checkpoint that somebody outside kept [default: the head guard's, or the backup's own]."
    )
    @click.option("--policy", type=_FILE, help="A tlog-policy whose quorum must have signed that checkpoint.")
    @click.option("--mirror", type=_FILE, help="A full export of the log from elsewhere: what it knows beyond the backup is done again.")
    @click.option(
        "--partitions",
        type=click.IntRange(1, MOST_PARTITIONS),
        default=1,
        show_default=True,
        help="Partitions of each province, by hash (PostgreSQL).",
    )
    @click.option("--yes", is_flag=True, help="Do not ask; for scripts.")
    def restore(
        shell: Shell, archive: Path, into: str, identity: str, newer: Path | None, l1: Path | None, checkpoint: Path | None,
        policy: Path | None, mirror: Path | None, partitions: int, yes: bool,
    ) -> None:  # fmt: skip
        """Restore a backup into an empty database and open the next log over it; sessions and mandates end."""
        settings = shell.settings()
        if os.environ.get("GARDU_ORIGIN"):
            raise UnsafeStart("GARDU_ORIGIN names the log: unset it, or the new name in config.toml would not count")
        found = find(archive)
        wanted = _Wanted(
            found, find(newer) if newer else None, l1 or (newer or archive).resolve().parent / L1_FILE, into,
            checkpoint or _known(settings, found), policy, mirror, Layout(partitions=partitions), yes,
        )  # fmt: skip
        secret = read_identity(identity)
        provider = open_keys(settings, os.environ, prompt())
        loaded = _load(shell, settings, provider, wanted, secret)
        _open(shell, settings, provider, wanted, loaded)


def _known(settings: Settings, backup: Kept) -> Path:
    """Return the checkpoint to begin with: the head guard's file or the one beside the archive, whichever has seen more.

    Its signature is checked when it is used. Raises BadInput (field ``checkpoint``) when there is neither.
    """
    found = [file for file in (settings.head_guard, backup.folder / NOTE_FILE) if file is not None and file.is_file()]
    if not found:
        raise BadInput("name the last checkpoint that somebody outside kept: --checkpoint FILE (docs/backup.md)", field="checkpoint")
    return max(found, key=lambda file: parse_checkpoint(split_note(_text(file))[0]).size)


def _load(shell: Shell, settings: Settings, provider: KeyProvider, wanted: _Wanted, identity: age.Identity) -> Loaded:
    target = Store(wanted.into, pool_size=2)
    notes = tuple(_text(file) for file in {wanted.checkpoint, *(one for one in (settings.head_guard,) if one and one.is_file())})
    # A moment before the log is opened anew, which halts the old one once more and for good.
    source = Source(
        wanted.backup,
        wanted.l1,
        wanted.newer,
        identity,
        settings.origin,
        notes,
        SystemClock().now() - timedelta(milliseconds=1),
        wanted.layout,
    )
    try:
        with shell.progress("restore") as advance:
            loaded = load(source, target, KeyHouse(provider, _NoKeys()), advance)
    finally:
        target.dispose()
    shell.say(f"Restored: {loaded.rows} rows, {loaded.data.size} entries of {settings.origin}.")
    if wanted.newer is not None:
        rekeyed = loaded.rekeyed
        shell.say(
            f"  {len(loaded.buried)} erased voters stay erased; {len(rekeyed.rows)} rows have their later key, {len(rekeyed.lost)} cannot be opened."
        )
    return loaded


def _open(shell: Shell, settings: Settings, provider: KeyProvider, wanted: _Wanted, loaded: Loaded) -> None:
    """Open the next log over what was restored, and say what comes next. If we die here, `gardu audit reopen` goes on."""
    old, new = settings.origin, after(settings.origin)
    there = replace(settings, database=wanted.into, owner_database=wanted.into, origin=new)
    house = join(there, provider)
    try:
        room, now = room_of(house), house.clock.now()
        ready = told(
            room, host_actor(), Action.BACKUP_RESTORE, Outcome.DONE, now, loaded.data.digest, backup=loaded.data.uid, log_restored=old,
            rows=loaded.rows, erased=len(loaded.buried), rekeyed=len(loaded.rekeyed.rows), lost=len(loaded.rekeyed.lost),
        )  # fmt: skip
        entries = [ready, *replayed(room, host_actor(), loaded, now)]

        def also(session: Session) -> None:
            for one in entries:
                write_within(house.identity, session, one)

        files = (wanted.checkpoint, wanted.policy, wanted.mirror)
        what, size = open_next(shell, house, old, files, wanted.yes, also)
    finally:
        house.close()
    lines = _next(settings, wanted, old, new)
    for number, line in enumerate(lines, start=1):
        shell.say(f"{number}. {line}")
    shell.result(
        old=old, log=new, backup=loaded.data.uid, rows=loaded.rows, size=loaded.data.size, entries=size, erased=len(loaded.buried),
        rekeyed=len(loaded.rekeyed.rows), lost=list(loaded.rekeyed.lost), sessions=what.sessions, mandates=len(what.mandates),
        unknown=what.unknown, next=lines,
    )  # fmt: skip


def _next(settings: Settings, wanted: _Wanted, old: str, new: str) -> Sequence[str]:
    """Return what the operator does next, in order. config.toml is changed here only when it names this very database."""
    lines = []
    if Store(wanted.into).engine.url == Store(settings.owner_database).engine.url:
        rename_log(settings.data / "config.toml", old, new)
    else:
        lines.append(f'In config.toml: origin = "{new}", and database (and owner_database) of the restored one.')
    return [
        *lines,
        "gardu audit verify --store: both logs and every seal must be good.",
        "gardu audit head-guard, where the setting is used; tell witnesses, mirrors and the SIEM the new name.",
        "Work through the list under «to do by hand» above.",
        "Start the service: everybody signs in anew, mandates are asked for anew.",
        "gardu backup create: the first backup of the new log; take the old ones' key archives away after it is proven.",
    ]


class _NoKeys:
    """A key source with nothing in it: what is restored brings its own."""

    def fetch(self, purpose: str, scope: str) -> list[tuple[int, bytes]]:
        """Return nothing."""
        return []


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput(f"{file} is no signed checkpoint: not UTF-8", field="checkpoint") from None


def read_identity(named: str) -> age.Identity:
    """Return the identity in a file or ``fd:N``. Raises BadInput (field ``identity``), OSError."""
    if named.startswith("fd:"):
        if not named[3:].isdigit():
            raise BadInput("--identity fd:N names an open file descriptor", field="identity")
        with os.fdopen(int(named[3:]), encoding="utf-8", errors="replace") as stream:
            return age.Identity(stream.read(_MOST_IDENTITY + 1))
    with Path(named).open(encoding="utf-8", errors="replace") as file:
        return age.Identity(file.read(_MOST_IDENTITY + 1))


def room_of(house: House) -> Backups:
    """Return what backups need."""
    return Backups(house.guard, house.identity, house.mandates.seals, house.settings)
