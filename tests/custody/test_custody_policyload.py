"""A changed policy folder opens nothing before a witness has seen the entry that says so."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from app.audit.family import after
from app.audit.note import Signer
from app.audit.trail import Trail
from app.custody.policyload import adopt
from app.factory import House
from app.kernel.actor import host_actor
from app.kernel.errors import WitnessStale
from app.openlog.publisher import publish
from app.policy.decide import Policies
from app.touch import Guard
from app.touch.witness import PolicyEntry
from app.voters import actions
from tests.conftest import dp4_row, load_dp4, operator, task, write_dp4
from tests.openlog.openlog_kit import BAWASLU, answering, install_list, one_witness, signing
from tests.walk_kit import entry_at, outcomes


@pytest.fixture
def roll(house: House, tmp_path: Path) -> House:
    """A house with one voter."""
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1)]))
    return house


def _changed(house: House, tmp_path: Path) -> Guard:
    """Return the guard as the next process has it after somebody edited the policy folder."""
    folder = tmp_path / "policies"
    shutil.copytree(house.settings.policies, folder)
    first = min((folder / "access").glob("*.cedar"))
    first.write_text(first.read_text("utf-8") + "\n// changed\n", "utf-8")
    return replace(house.guard, policies=Policies.load(folder, house.clock.now()), policy_entry=PolicyEntry())


def _find(house: House, guard: Guard) -> int:
    return len(actions.find_by_nik(guard, operator(house), task(), dp4_row(1)["NIK"], house.clock.now()).shown)


def test_the_same_policies_at_the_next_start_write_nothing(roll: House) -> None:
    """A restart is not a change."""
    before = len(outcomes(roll))

    waits = adopt(replace(roll.guard, policy_entry=PolicyEntry()), host_actor(), roll.clock.now())

    assert not waits
    assert len(outcomes(roll)) == before


def test_without_a_witness_changed_policies_are_an_entry_and_wait_for_nobody(roll: House, tmp_path: Path) -> None:
    """The log says which policies came into force, and when."""
    guard = _changed(roll, tmp_path)

    waits = adopt(guard, host_actor(), roll.clock.now())

    assert not waits
    assert entry_at(roll, len(outcomes(roll)) - 1)["policy"] == guard.policies.hash
    assert _find(roll, guard) == 1


def test_changed_policies_open_nothing_until_a_witness_signed_their_entry(roll: House, tmp_path: Path) -> None:
    """Even the own province waits; what was refused names the rule; the next process waits for the same entry; a signature opens it."""
    with answering(signing(BAWASLU, roll.clock.now)) as url:
        install_list(roll, one_witness(url))
        publish(roll.openlog, roll.clock.now())
        guard = _changed(roll, tmp_path)

        assert adopt(guard, host_actor(), roll.clock.now())
        with pytest.raises(WitnessStale):
            _find(roll, guard)
        assert entry_at(roll, len(outcomes(roll)) - 1)["rule"] == ["kebijakan-belum-disaksikan"]
        following = replace(guard, policy_entry=PolicyEntry())
        before = len(outcomes(roll))
        assert adopt(following, host_actor(), roll.clock.now())
        assert len(outcomes(roll)) == before
        publish(roll.openlog, roll.clock.now())

        assert _find(roll, guard) == 1
        assert not adopt(replace(guard, policy_entry=PolicyEntry()), host_actor(), roll.clock.now())


class Unseen:
    """A witness that signs fresh heads, and has signed none that holds the entry in question."""

    def is_fresh(self, now: datetime) -> bool:
        return True

    def covers(self, seq: int, now: datetime) -> bool:
        return False


@pytest.mark.parametrize("swapped", [False, True])
def test_a_log_opened_anew_goes_on_from_the_policies_of_the_one_before(roll: House, tmp_path: Path, swapped: bool) -> None:
    """Whoever changes the folder while a backup is being restored waits as anybody does; the same folder waits for nothing."""
    origin = after(roll.guard.log)
    trail = Trail(roll.store, origin, Signer(origin, roll.guard.keys.key("log", "00").secret))
    guard = _changed(roll, tmp_path) if swapped else replace(roll.guard, policy_entry=PolicyEntry())
    try:
        waits = adopt(replace(guard, log=origin, trail=trail, witness=Unseen()), host_actor(), roll.clock.now())
    finally:
        trail.close()

    assert waits is swapped
