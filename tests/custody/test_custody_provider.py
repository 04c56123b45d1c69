"""Moving every key under another provider key: online, resumable, and never a key that does not open."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from app.cli.shell import host_actor
from app.custody import keys as custody_keys
from app.custody import provider
from app.custody.provider import Moved, Row, moved_digest
from app.factory import House, join
from app.kernel.errors import Conflict, KeysDown
from app.store.keys import WrappedKeys
from app.touch import Guard
from app.vault.house import KeyHouse
from app.vault.keys.local import LocalKeyring
from app.vault.keys.pair import Pair
from app.vault.keys.provider import KeyProvider
from app.vault.keys.transit import Place, Transit
from app.vault.payload import PayloadBox
from app.voters import actions
from tests.conftest import KAB, NEIGHBOUR, NOW, PASSPHRASE, dp4_row, load_dp4, operator, task, write_dp4
from tests.vault.transit_kit import TOKEN, Vault, serving
from tests.walk_kit import entries, entry_at, rows_of, size, tamper


@pytest.fixture
def vault() -> Iterator[Vault]:
    with serving() as made:
        yield made


@dataclass(frozen=True)
class Move:
    """An installation on its way from its keyring to a Transit key."""

    house: House
    old: LocalKeyring
    new: Transit

    def guard(self, through: KeyProvider | None = None) -> Guard:
        """A guard that opens keys as a server does that was just started: nothing is in its memory."""
        keys = KeyHouse(through or Pair(self.new, self.old), WrappedKeys(self.house.store))
        return replace(self.house.guard, keys=keys, payloads=PayloadBox(keys))

    def walk(self) -> Moved:
        return provider.rotate(self.guard(), host_actor(), self.house.clock, lambda done, total: None)

    def secrets(self, through: KeyProvider) -> dict[tuple[str, str, int], bytes]:
        """Every key of the installation, opened through one provider."""
        keys = KeyHouse(through, WrappedKeys(self.house.store))
        rows = rows_of(self.house, "SELECT purpose, scope, epoch FROM vault_key")
        return {
            (str(r["purpose"]), str(r["scope"]), int(str(r["epoch"]))): keys.key(
                str(r["purpose"]), str(r["scope"]), int(str(r["epoch"]))
            ).secret
            for r in rows
        }


def _moving(house: House, vault: Vault) -> Move:
    new = Transit.open(Place(vault.url, "gardu", timeout=2.0), lambda: TOKEN, make=True)
    return Move(house, LocalKeyring.open(house.settings.keyring, PASSPHRASE), new)


@pytest.fixture
def move(sqlite_house: House, vault: Vault) -> Move:
    return _moving(sqlite_house, vault)


@pytest.fixture
def either(house: House, vault: Vault) -> Move:
    """The same over each engine."""
    return _moving(house, vault)


def _by(guard: Guard) -> Counter[str]:
    """How many keys each provider key wraps."""
    counted: Counter[str] = Counter()
    for group in provider.standing(guard):
        counted[group.by.split(":")[0]] += group.keys
    return counted


def test_every_key_moves_and_stays_the_same_key(either: Move) -> None:
    """The log's own key too; the old provider then opens none, the new one all; the log has one entry for the batch, and says which."""
    move = either
    before, at, total = move.secrets(move.old), size(move.house), len(rows_of(move.house, "SELECT epoch FROM vault_key"))
    done = move.walk()

    assert done == Moved(total, 0, "transit:gardu v1")
    assert move.secrets(move.new) == before
    assert ("log", "00", 1) in before
    assert _by(move.guard()) == {"transit": total}
    with pytest.raises(KeysDown, match="the right one is not configured"):
        move.guard(move.old).keys.key("log", "00")
    [entry] = entries(move.house, at)
    assert (entry["action"], entry["outcome"], entry["scope"]) == ("key:rewrap", "done", "00")
    rows = [Row(str(r["purpose"]), str(r["scope"]), int(str(r["epoch"])), b"") for r in rows_of(move.house, "SELECT * FROM vault_key")]
    fresh = [bytes(r["wrapped"]) for r in rows_of(move.house, "SELECT * FROM vault_key")]  # type: ignore[call-overload]
    assert entry["detail"] == {"type": "key-provider", "sha256": moved_digest(done.to, list(zip(rows, fresh, strict=True))).hex()}


def test_the_guard_serves_while_keys_move(move: Move, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """In the middle of the walk a server that knows both providers opens a voter and makes keys for another kab/kota, under the new one."""
    file = write_dp4(move.house.settings.data / "dp4.csv", [dp4_row(1)])
    load_dp4(move.house, file)
    monkeypatch.setattr(provider, "BATCH", 4)
    served: list[bool] = []

    def serve(done: int, total: int) -> None:
        guard = move.guard()
        if not served:
            found = actions.find_by_nik(guard, operator(move.house), task(), dp4_row(1)["NIK"], NOW)
            assert custody_keys.ensure(guard, host_actor(), "51.08", custody_keys.LOCAL, NOW) == ["seal", "blind"]
            assert _by(guard)["local"] > 0
            served.append(bool(found))

    done = provider.rotate(move.guard(), host_actor(), move.house.clock, serve)

    assert served == [True]
    assert done.left == 0
    assert set(_by(move.guard())) == {"transit"}


def test_a_walk_that_was_killed_goes_on(either: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed without a word after its second batch: both providers serve, nothing is lost, the second walk moves the rest alone."""
    move = either
    before, total = move.secrets(move.old), len(rows_of(move.house, "SELECT epoch FROM vault_key"))
    monkeypatch.setattr(provider, "BATCH", 3)
    child = os.fork()
    if child == 0:
        # A house of its own: connections do not survive a fork.
        house = join(move.house.settings, Pair(move.new, move.old), move.house.clock)
        provider.rotate(house.guard, host_actor(), house.clock, lambda done, total: os._exit(9) if done == 6 else None)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9

    assert _by(move.guard()) == {"transit": 6, "local": total - 6}
    assert move.secrets(Pair(move.new, move.old)) == before
    assert move.walk().keys == total - 6
    assert move.secrets(move.new) == before


def test_a_provider_that_fails_in_between_leaves_whole_batches(move: Move, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vault is sealed after the first batch: a clear error, what was moved is recorded, what was not stands as it was; then it goes on."""
    monkeypatch.setattr(provider, "BATCH", 5)
    at, total = size(move.house), len(rows_of(move.house, "SELECT epoch FROM vault_key"))
    with pytest.raises(KeysDown, match="is sealed or not ready"):
        provider.rotate(move.guard(), host_actor(), move.house.clock, lambda done, total: setattr(vault, "sealed", True))

    vault.sealed = False
    assert _by(move.guard()) == {"transit": 5, "local": total - 5}
    assert [entry["action"] for entry in entries(move.house, at)] == ["key:rewrap"]
    assert move.walk() == Moved(total - 5, 0, "transit:gardu v1")


def test_keys_are_not_made_while_the_provider_is_away(move: Move, vault: Vault) -> None:
    """Nothing half-written: no key, no entry; and what is open in memory goes on working."""
    guard = move.guard(move.new)
    move.walk()
    guard.keys.key("audit", "00")
    at = size(move.house)
    vault.sealed = True
    with pytest.raises(KeysDown, match="is sealed"):
        custody_keys.ensure(guard, host_actor(), "51.08", custody_keys.LOCAL, NOW)

    assert rows_of(move.house, "SELECT epoch FROM vault_key WHERE scope = '51.08'") == []
    assert size(move.house) == at


def test_a_provider_that_gives_back_another_key_replaces_nothing(move: Move) -> None:
    """Whatever it answers: only bytes that open to the very same key take the place of the old ones."""
    before = rows_of(move.house, "SELECT * FROM vault_key")
    guard = move.guard(_Lying(LocalKeyring(bytes(32)), move.old))
    with pytest.raises(KeysDown, match="gave back another key"):
        provider.rotate(guard, host_actor(), move.house.clock, lambda done, total: None)

    assert rows_of(move.house, "SELECT * FROM vault_key") == before


class _Lying(Pair):
    def rewrap(self, wrapped: bytes, context: bytes) -> bytes:
        return self.new.wrap(bytes(33), context)


def test_moved_keys_that_are_swapped_do_not_open(move: Move) -> None:
    """A database's owner puts the neighbour's wrapped key, and an older purpose's, in the place of another."""
    move.walk()
    for purpose, scope in (("seal", NEIGHBOUR), ("blind", KAB)):
        rows = {str(r["purpose"]) + str(r["scope"]): r["wrapped"] for r in rows_of(move.house, "SELECT * FROM vault_key")}
        tamper(move.house, "UPDATE vault_key SET wrapped = :w WHERE purpose = 'seal' AND scope = :s", w=rows[purpose + scope], s=KAB)
        with pytest.raises(KeysDown, match=f"seal key of epoch 1 for {KAB}: transit key gardu does not open this"):
            move.guard().keys.key("seal", KAB)
        tamper(move.house, "UPDATE vault_key SET wrapped = :w WHERE purpose = 'seal' AND scope = :s", w=rows["seal" + KAB], s=KAB)


def test_a_new_version_of_the_same_key_needs_no_second_provider(move: Move, vault: Vault) -> None:
    """``vault write -f transit/keys/gardu/rotate``, then the same walk; afterwards the old version may be forbidden."""
    move.walk()
    vault.rotate("gardu")
    move.new.health()
    guard = move.guard(move.new)
    done = provider.rotate(guard, host_actor(), move.house.clock, lambda done, total: None)
    vault.keys["gardu"].least = 2

    assert (done.left, done.to) == (0, "transit:gardu v2")
    assert move.guard(move.new).keys.key("log", "00")


def test_the_old_key_is_retired_only_when_nothing_is_under_it(move: Move) -> None:
    """Refused before; recorded after, with the name of the key that nobody needs any more."""
    with pytest.raises(Conflict, match="are not under transit:gardu v1 yet"):
        provider.retire(move.guard(), host_actor(), move.old.newest(), NOW)
    move.walk()
    provider.retire(move.guard(), host_actor(), move.old.newest(), NOW)

    entry = entry_at(move.house, size(move.house) - 1)
    assert (entry["action"], entry["outcome"]) == ("key:retire", "done")
    assert entry["detail"] == {"type": "key-retired", "sha256": hashlib.sha256(move.old.newest().encode()).hexdigest()}


def test_a_restored_old_keyring_says_whose_keys_it_does_not_open(sqlite_house: House) -> None:
    """Somebody put last year's keyring back: every key is named with the provider key that it is under."""
    old = LocalKeyring.open(sqlite_house.settings.keyring, PASSPHRASE)
    new = LocalKeyring(bytes(range(32)))
    keys = KeyHouse(Pair(new, old), WrappedKeys(sqlite_house.store))
    provider.rotate(replace(sqlite_house.guard, keys=keys), host_actor(), sqlite_house.clock, lambda done, total: None)

    with pytest.raises(KeysDown, match=f"it was wrapped by local key {new.newest()[6:]}, and the provider here is {old.newest()}"):
        join(sqlite_house.settings, old)
