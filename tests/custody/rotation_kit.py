"""What the tests of rotation and erasure share."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sqlalchemy.orm import Session

from app.cli.shell import host_actor
from app.custody import provider, rotation
from app.custody.room import Custody
from app.custody.rotation import Standing
from app.custody.turning import Kind
from app.factory import House, join
from app.store.engine import Store
from app.store.keys import WrappedKeys
from app.vault.house import KeyHouse
from app.vault.keys.local import LocalKeyring
from app.vault.keys.pair import Pair
from app.voters import actions
from tests.conftest import KAB, PASSPHRASE, dp4_row, load_dp4, operator, task, write_dp4
from tests.walk_kit import rows_of, truth


def custody(house: House) -> Custody:
    """The walks' room of a house."""
    return Custody(house.guard, house.identity, house.mandates.seals)


def fill(house: House, tmp_path: Path, count: int = 5, *, quarantined: int = 1, first: int = 1) -> None:
    """Load *count* good rows and some that stay in quarantine."""
    rows = [dp4_row(number) for number in range(first, first + count)]
    rows += [dp4_row(first + count + number, NIK="5171") for number in range(quarantined)]
    load_dp4(house, write_dp4(tmp_path / f"dp4-{first}.csv", rows))


def begin(house: House, kind: Kind = Kind.KAB, scope: str = KAB, rate: int = 0) -> str:
    """Begin a rotation as a command does."""
    return rotation.begin(custody(house), host_actor(), kind, scope, rate, house.clock.now())


def step(house: House, uid: str, size: int = 2) -> None:
    """Turn one batch."""
    rotation.step(custody(house), rotation.load(custody(house), uid), size)


def finish(house: House, uid: str, batch: int = 2) -> Standing:
    """Walk to the end."""
    return rotation.walk(custody(house), uid, lambda done, total: None, batch=batch)


def turn(house: House, kind: Kind = Kind.KAB, scope: str = KAB) -> Standing:
    """A whole rotation."""
    return finish(house, begin(house, kind, scope))


def all_read(house: House, numbers: range) -> bool:
    """Whether each of these voters is found by NIK and reads as it was loaded."""
    for number in numbers:
        row = dp4_row(number)
        found = actions.find_by_nik(house.guard, operator(house), task(), row["NIK"], house.clock.now())
        if len(found.shown) != 1:
            return False
        shown = actions.read_voter(house.guard, operator(house), task(), found.shown[0].row.uid, house.clock.now())[0]
        if any(value != truth(row)[element] for element, value in shown.values.items() if shown.grant.views[element].word == "utuh"):
            return False
    return True


def key_epochs(house: House, purpose: str = "seal", scope: str = KAB) -> list[int]:
    """The epochs that stand."""
    found = rows_of(house, "SELECT epoch FROM vault_key WHERE purpose = :p AND scope = :s ORDER BY epoch", p=purpose, s=scope)
    return [int(str(row["epoch"])) for row in found]


def change_provider_key(house: House) -> House:
    """Put a new keyring key in the place of the old one, retire that, and join the installation anew; *house* is closed."""
    old, new = LocalKeyring.open(house.settings.keyring, PASSPHRASE), LocalKeyring(secrets.token_bytes(32))
    both = join(house.settings, Pair(new, old), house.clock)
    provider.rotate(both.guard, host_actor(), both.clock, lambda done, total: None)
    provider.retire(both.guard, host_actor(), both.guard.keys.wrapped_by(old.wrap(bytes(33), b"")), both.clock.now())
    both.close()
    house.close()
    return join(house.settings, new, house.clock)


class Between:
    """A store on which something happens right before a writing transaction begins: what another process does between look and write."""

    def __init__(self, store: Store, act: Callable[[], None]) -> None:
        self._store, self._act = store, act
        self.dialect, self.engine = store.dialect, store.engine
        self.reading = store.reading

    @contextmanager
    def writing(self) -> Iterator[Session]:
        act, self._act = self._act, lambda: None
        act()
        with self._store.writing() as session:
            yield session


def with_between(house: House, act: Callable[[], None]) -> House:
    """The house as one process sees it while another one acts."""
    guard = replace(house.guard, store=Between(house.store, act))  # type: ignore[arg-type]  # all of a Store that is used here
    return replace(house, guard=guard, roll=replace(house.roll, guard=guard))


def another_process(house: House) -> House:
    """The same installation with a key house of its own, which remembers what it has opened."""
    keys = KeyHouse(house.guard.keys._provider, WrappedKeys(house.store))
    guard = replace(house.guard, keys=keys)
    return replace(house, guard=guard, roll=replace(house.roll, guard=guard))
