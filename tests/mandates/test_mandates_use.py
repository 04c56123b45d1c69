"""A mandate in use: it serves the visit it was given for, and no other; what it does not serve gets the ordinary decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.errors import NotThere
from app.kernel.fields import ELEMENTS, Basis, Element, Purpose, Role, Stage, Unit, View
from app.kernel.ids import new_uid
from app.mandates import actions, use
from app.mandates.rows import Held
from app.mandates.rules import State
from app.policy.visit import Mandate
from app.voters import actions as roll
from app.voters import elections
from app.voters.actions import Place
from tests.conftest import ELECTION, KAB, NOW, VOTING_DAY, dp4_row, load_dp4, write_dp4
from tests.mandates.mandates_kit import REASON, Desk, subject_wish
from tests.walk_kit import entries, supervision, uid_of

DISTRICTS = ("51", "51.71", "51.71.01", "51.71.01.1001", "51.71.02", "51.03")


@pytest.fixture
def filled(desk: Desk) -> tuple[Desk, str, str]:
    """A desk, and two voters in two desa of one kecamatan; returned with the uid and the desa of the first."""
    path = write_dp4(desk.house.settings.data / "dp4.csv", [dp4_row(1, DESA="SANUR"), dp4_row(2, DESA="RENON")])
    load_dp4(desk.house, path)
    path.unlink()
    uid = uid_of(desk.house, 1)
    with desk.house.store.reading() as session:
        [row] = roll.rows_by_uid(session, KAB, [uid])
    return desk, uid, row.clear.desa


def nik(desk: Desk, uid: str, held: Sequence[Held] | None = None, name: str = "liaison") -> View:
    """Read the voter as a page would; return how far NIK opened."""
    given_to = desk.active(name) if held is None else held
    disclosure, _ = roll.read_voter(desk.house.guard, desk.who(name), supervision(), uid, desk.now, held=given_to)
    return disclosure.grant.views[Element.NIK]


def last_mandate(desk: Desk) -> object:
    return entries(desk.house)[-1]["mandate"]


def test_it_opens_what_it_names_and_the_entry_names_it(filled: tuple[Desk, str, str]) -> None:
    desk, uid, desa = filled
    assert nik(desk, uid) is View.SAMAR and last_mandate(desk) is None
    granted = desk.granted(region=desa)

    assert nik(desk, uid) is View.UTUH
    assert last_mandate(desk) == granted
    assert nik(desk, uid_of(desk.house, 2)) is View.SAMAR and last_mandate(desk) is None
    assert nik(desk, uid, name="colleague") is View.SAMAR


def test_a_list_names_the_mandate_too(filled: tuple[Desk, str, str]) -> None:
    desk, _, desa = filled
    granted = desk.granted(region=desa)
    roll.browse(desk.house.guard, desk.who("liaison"), supervision(), Place(desa, "001", None, 25), desk.now, held=desk.active())

    assert last_mandate(desk) == granted


def test_another_stage_is_not_served(filled: tuple[Desk, str, str]) -> None:
    """The calendar moves on: the mandate was for dps alone."""
    desk, uid, desa = filled
    desk.granted(region=desa)
    desk.house.clock.move(hours=1)  # type: ignore[attr-defined]  # a FakeClock
    with desk.house.store.writing() as session:
        elections.set_stage(session, ELECTION, VOTING_DAY, [KAB], Stage.DPT, "host:0", desk.now)

    assert nik(desk, uid) is View.SAMAR and last_mandate(desk) is None


def test_another_election_is_not_served(filled: tuple[Desk, str, str]) -> None:
    """A mandate for the election of before serves no visit to the next."""
    desk, _, desa = filled
    desk.granted(region=desa)
    [held] = desk.active()
    wanted = {"region": desa, "purpose": Purpose.PENGAWASAN, "stage": Stage.DPS}

    assert use.best([held], election=ELECTION, **wanted) == held  # type: ignore[arg-type]
    assert use.best([held], election="2034", **wanted) is None  # type: ignore[arg-type]


def test_another_purpose_is_not_served(filled: tuple[Desk, str, str]) -> None:
    """Asked for supervision, used for a dispute: refused as any such visit is, and the entry names no mandate."""
    desk, uid, desa = filled
    desk.granted(region=desa)
    task = replace(supervision(), purpose=Purpose.SENGKETA, basis=Basis.PUTUSAN)

    with pytest.raises(NotThere):
        roll.read_voter(desk.house.guard, desk.who("liaison"), task, uid, desk.now, held=desk.active())
    assert last_mandate(desk) is None


def test_it_ends_during_the_request(filled: tuple[Desk, str, str]) -> None:
    """Listed while it ran, used a moment after its end: the policies see the moment."""
    desk, uid, desa = filled
    desk.granted(region=desa, days=1)
    held = desk.active()
    desk.house.clock.move(days=1)  # type: ignore[attr-defined]

    assert nik(desk, uid, held) is View.SAMAR
    assert nik(desk, uid) is View.SAMAR and last_mandate(desk) is None


def test_revoked_is_masked_on_the_next_request(filled: tuple[Desk, str, str]) -> None:
    desk, uid, desa = filled
    granted = desk.granted(region=desa)
    assert nik(desk, uid) is View.UTUH
    actions.revoke(desk.room, desk.who("data2"), granted, REASON, desk.now)

    assert nik(desk, uid) is View.SAMAR


def test_an_old_code_still_masks(filled: tuple[Desk, str, str]) -> None:
    """The mandate does not stand in for the code."""
    desk, uid, desa = filled
    desk.granted(region=desa)
    stale = replace(desk.who("liaison"), factor_at=desk.now - timedelta(seconds=901))
    disclosure, _ = roll.read_voter(desk.house.guard, stale, supervision(), uid, desk.now, held=desk.active())

    assert disclosure.grant.views[Element.NIK] is View.SAMAR
    assert disclosure.grant.offer[Element.NIK] is View.UTUH


def test_a_second_role_as_approver_closes_everything(filled: tuple[Desk, str, str]) -> None:
    """Whoever became an approver meanwhile reads nothing, mandate or not."""
    desk, uid, desa = filled
    desk.granted(region=desa)
    both = desk.who("liaison", roles=frozenset({Role.BAWASLU_KAB, Role.PENYETUJU}))

    with pytest.raises(NotThere):
        roll.read_voter(desk.house.guard, both, supervision(), uid, desk.now, held=desk.active())


def test_a_search_keeps_to_the_region_of_its_mandate(filled: tuple[Desk, str, str]) -> None:
    """Found inside, not found next door, and not offered where NIK is not opened in full."""
    desk, uid, desa = filled
    desk.granted(region=desa)
    liaison, now, guard = desk.who("liaison"), desk.now, desk.house.guard
    [within] = roll.searchable(guard, liaison, supervision(), desk.active(), now)

    found = roll.find_by_nik(guard, liaison, supervision(), dp4_row(1)["NIK"], now, within=within)
    assert [one.row.uid for one in found.shown] == [uid]
    missed = roll.find_by_nik(guard, liaison, supervision(), dp4_row(2)["NIK"], now, within=within)
    assert missed.shown == ()
    for held in ([], [replace(within, election="2034")], [replace(within, ceiling=View.SAMAR)], [replace(within, region="51.03.01")]):
        assert roll.searchable(guard, liaison, supervision(), held, now) == []
    with pytest.raises(NotThere):
        roll.find_by_nik(guard, liaison, supervision(), dp4_row(1)["NIK"], now, within=replace(within, election="2034"))


def test_one_voter_for_the_data_protection_officer(filled: tuple[Desk, str, str]) -> None:
    """This voter and no other; and whoever approved about that voter is told so for good."""
    desk, uid, _ = filled
    granted = desk.submit("pdp", **subject_wish(uid))
    desk.decide("data1", granted)
    assert desk.decide("hukum", granted) is State.ACTIVE
    task = replace(supervision(), purpose=Purpose.PERMINTAAN_SUBJEK, basis=Basis.UU27_2022)

    def read(who: str, approved: bool) -> View:
        shown, _ = roll.read_voter(
            desk.house.guard, desk.who("pdp"), task, who, desk.now, held=desk.active("pdp"), approved_subject=approved
        )
        return shown.grant.views[Element.NIK]

    assert read(uid, False) is View.UTUH
    with pytest.raises(NotThere):
        read(uid_of(desk.house, 2), False)
    assert actions.approved_subject(desk.room, desk.people["data1"].uid, uid)
    assert not actions.approved_subject(desk.room, desk.people["pdp"].uid, uid)
    assert not actions.approved_subject(desk.room, desk.people["data1"].uid, uid_of(desk.house, 2))
    with pytest.raises(NotThere):
        read(uid, True)


def held_for(region: str, ceiling: View, elements: Sequence[Element], subject: str | None = None) -> Held:
    return Held(
        uid=new_uid(), holder="h", approver1="a", unit1=Unit.DATA, approver2="b", unit2=Unit.HUKUM, region=region,
        purpose=Purpose.PENGAWASAN, stages=frozenset({Stage.DPS}), elements=frozenset(elements), ceiling=ceiling, start=NOW,
        until=NOW + timedelta(days=1), subject=subject, election=ELECTION,
    )  # fmt: skip


some_held = st.lists(
    st.builds(
        held_for, st.sampled_from(DISTRICTS), st.sampled_from((View.SAMAR, View.RINGKAS, View.UTUH)),
        st.lists(st.sampled_from(ELEMENTS), min_size=1), st.sampled_from((None, "v", "w")),
    ),
    max_size=8,
)  # fmt: skip


@given(some_held, st.sampled_from(DISTRICTS), st.sampled_from((None, "v")))
def test_the_best_is_one_of_those_that_cover(mandates: list[Held], region: str, subject: str | None) -> None:
    """One that covers the region and the voter, none that covers opens higher, and whatever order they come in it is the same one."""
    wanted = {"region": region, "purpose": Purpose.PENGAWASAN, "election": ELECTION, "stage": Stage.DPS, "subject": subject}
    found = use.best(mandates, **wanted)  # type: ignore[arg-type]
    covering = [one for one in mandates if (region == one.region or region.startswith(one.region + ".")) and one.subject in (None, subject)]

    assert (found is None) == (not covering)
    assert use.best(mandates[::-1], **wanted) == found  # type: ignore[arg-type]
    if found is not None:
        assert found in covering and isinstance(found, Mandate)
        assert all(one.ceiling <= found.ceiling for one in covering)
