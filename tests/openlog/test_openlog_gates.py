"""What waits for the witness: reads across provinces; and what does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from app.factory import House
from app.kernel.errors import WitnessStale
from app.kernel.fields import Basis, Purpose, Role
from app.openlog.publisher import publish
from app.touch import demand_covered
from app.voters import actions
from app.voters.actions import Place, Task
from tests.conftest import KAB, dp4_row, load_dp4, operator, task, write_dp4
from tests.openlog.openlog_kit import BAWASLU, answering, append, install_list, one_witness, signing
from tests.walk_kit import entry_at, outcomes, person, supervision, uid_of


class Stale:
    """Witnesses of whom none has signed for long."""

    def is_fresh(self, now: datetime) -> bool:
        return False

    def covers(self, seq: int, now: datetime) -> bool:
        return False


@pytest.fixture
def roll(house: House, tmp_path: Path) -> House:
    """A house with one voter."""
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1)]))
    return house


def test_the_own_province_is_read_whatever_the_witness_does(roll: House) -> None:
    """An operator of Denpasar works on while Bawaslu's machine is away."""
    guard = replace(roll.guard, witness=Stale())

    found = actions.find_by_nik(guard, operator(roll), task(), dp4_row(1)["NIK"], roll.clock.now())

    assert len(found.shown) == 1


def test_the_nations_office_reads_nothing_under_a_stale_witness(roll: House) -> None:
    """Search, page and list alike; what was refused is an entry that names the rule."""
    guard, now, uid = replace(roll.guard, witness=Stale()), roll.clock.now(), uid_of(roll, 1)
    count, watch = person(roll, Role.KPU_RI, "00"), person(roll, Role.BAWASLU_RI, "00")
    recap = Task(Purpose.REKAPITULASI, Basis.PKPU7_2022, KAB)

    for reach in (
        lambda g: actions.read_voter(g, count, recap, uid, now),
        lambda g: actions.browse(g, count, recap, Place("51.71.01.1006", "001", None, 5), now),
        lambda g: actions.read_voter(g, watch, supervision(), uid, now),
    ):
        before = len(outcomes(roll))
        with pytest.raises(WitnessStale):
            reach(guard)
        assert outcomes(roll, before)[-1][1] == "denied"
        assert entry_at(roll, len(outcomes(roll)) - 1)["rule"] == ["saksi-basi"]
        reach(roll.guard)


def test_a_witness_that_signs_opens_the_gate(roll: House) -> None:
    """With a real list and real signatures: stale before the first, open after it."""
    actor, now = person(roll, Role.KPU_RI, "00"), roll.clock.now()
    recap = Task(Purpose.REKAPITULASI, Basis.PKPU7_2022, KAB)
    with answering(signing(BAWASLU, roll.clock.now)) as url:
        install_list(roll, one_witness(url))
        with pytest.raises(WitnessStale):
            actions.read_voter(roll.guard, actor, recap, uid_of(roll, 1), now)
        publish(roll.openlog, now)

    actions.read_voter(roll.guard, actor, recap, uid_of(roll, 1), now)


def test_an_intent_waits_for_a_signature_that_holds_it(house: House) -> None:
    """A bulk release or a change of policy goes on only once its own entry was witnessed; without witnesses nothing waits."""
    demand_covered(house.guard, 10**6, house.clock.now())
    with answering(signing(BAWASLU, house.clock.now)) as url:
        install_list(house, one_witness(url))
        published = publish(house.openlog, house.clock.now())
        assert published is not None
        append(house)
        with pytest.raises(WitnessStale, match=f"signed entry {published.size}"):
            demand_covered(house.guard, published.size, house.clock.now())
        publish(house.openlog, house.clock.now())

    demand_covered(house.guard, published.size, house.clock.now())
