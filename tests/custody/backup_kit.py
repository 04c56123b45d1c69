"""What the tests of backups share: a house with something in it, an identity, backups of it, and empty databases to restore into."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.cli.shell import host_actor
from app.custody import backup
from app.custody.backup_check import Proven, prove
from app.custody.backup_load import Loaded, Source, load
from app.custody.backup_room import L1_FILE, Backups, Kept, find
from app.factory import House
from app.kernel.actor import Actor
from app.store.engine import Store
from app.vault import age
from tests.conftest import PostgresServer, dp4_row, load_dp4, write_dp4


def quiet(done: int, total: int) -> None:
    """Tell nobody."""


class _NoKeys:
    """A source without keys."""

    def fetch(self, purpose: str, scope: str) -> list[tuple[int, bytes]]:
        return []


@dataclass
class Vaulted:
    """A house with voters, and where its backups go."""

    house: House
    folder: Path
    server: PostgresServer | None = None
    identity: age.Identity = field(init=False)
    text: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.identity, self.text = age.Identity.generate()
        self.room = Backups(self.house.guard, self.house.identity, self.house.mandates.seals, self.house.settings)

    @property
    def who(self) -> Actor:
        """Whoever is at the machine."""
        return host_actor()

    def keyless(self) -> Backups:
        """The room with a key house that has lost its keys."""
        return replace(self.room, guard=replace(self.house.guard, keys=self.house.guard.keys.over(_NoKeys())))

    def fill(self, *numbers: int, **changes: str) -> None:
        """Bring voters in."""
        file = self.folder.parent / f"dp4-{numbers[0]}.csv"
        load_dp4(self.house, write_dp4(file, [dp4_row(number, **changes) for number in numbers]))

    def make(self, at: backup.At = lambda point: None) -> Kept:
        """Make a backup."""
        return find(backup.create(self.room, host_actor(), self.folder, [self.identity.recipient], quiet, at).folder)

    def prove(self, kept: Kept, identity: age.Identity | None = None) -> Proven:
        """Restore it for trial."""
        return prove(self.room, host_actor(), kept, identity or self.identity, quiet)

    def empty(self) -> Store:
        """An empty database of the house's engine, opened as its owner."""
        if self.server is not None:
            return Store(self.server.empty(), pool_size=2)
        return Store(f"sqlite:///{self.folder.parent / 'restored.db'}", pool_size=2)

    def load(self, kept: Kept, target: Store, newer: Kept | None = None, l1: Path | None = None) -> Loaded:
        """Restore it for good."""
        source = Source(kept, l1 or self.folder / L1_FILE, newer, self.identity, self.house.guard.log)
        return load(source, target, self.house.guard.keys, quiet)

    def copy(self, kept: Kept, name: str = "salinan") -> Kept:
        """A copy of the backup in a folder of its own, to be changed; the L1 keys beside it."""
        folder = self.folder.parent / name
        folder.mkdir()
        shutil.copytree(kept.folder, folder / kept.folder.name)
        shutil.copyfile(self.folder / L1_FILE, folder / L1_FILE)
        return find(folder / kept.folder.name)
