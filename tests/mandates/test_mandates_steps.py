"""From asking to a mandate: who may do which step, what a decision may leave, and what the log says of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from app.cli.shell import host_actor
from app.identity import accounts
from app.kernel.actor import Actor
from app.kernel.errors import BadInput, Conflict, GarduError, NotAllowed, NotThere
from app.kernel.fields import Element, Purpose, Role, Stage, View
from app.kernel.ids import new_uid
from app.mandates import actions
from app.mandates.actions import Decision
from app.mandates.rules import Act, State
from tests.conftest import KAB, NEIGHBOUR
from tests.mandates.mandates_kit import DESA, KEC, NIK, REASON, Desk, terms, wish
from tests.walk_kit import content, entries


def test_two_approvers_make_a_mandate(desk: Desk) -> None:
    """Submitted, half, active; the mandate holds what was asked, and every step is an entry about it, under one id."""
    uid = desk.submit()
    assert desk.seen(uid).state is State.SUBMITTED and desk.active() == []
    assert desk.decide("data1", uid) is State.HALF
    assert desk.active() == []
    assert desk.decide("hukum", uid) is State.ACTIVE

    [held] = desk.active()
    assert (held.uid, held.region, held.elements, held.ceiling) == (uid, KEC, NIK, View.UTUH)
    assert (held.approver1, held.approver2) == (desk.people["data1"].uid, desk.people["hukum"].uid)
    done = [("request:submit", "done", None), ("request:approve", "done", None), ("request:approve", "done", None)]
    assert desk.said(uid) == [*done, ("mandate:start", "done", None)]
    steps = desk.seen(uid).steps
    assert [step.act for step in steps] == [Act.SUBMIT, Act.APPROVE, Act.APPROVE, Act.START]
    logged = {one["seq"]: one for one in entries(desk.house)}
    assert [(logged[step.seq]["mandate"], logged[step.seq]["actor"]) for step in steps] == [(uid, step.actor) for step in steps]


def test_what_was_typed_stands_in_no_entry(desk: Desk) -> None:
    """Reason and letter are in the sealed payload; the entry holds a digest of them."""
    uid = desk.submit()
    [one] = [entry for entry in entries(desk.house) if entry["mandate"] == uid]

    assert REASON not in json.dumps(one) and "094/PM" not in json.dumps(one)
    assert one["detail"]["type"] == "request"  # type: ignore[index]
    told = content(desk.house, int(str(one["seq"])))["request"]
    assert told["reason"] == REASON  # type: ignore[index]


def test_nik_brings_along_what_is_read_off_it(one: Desk) -> None:
    """Whoever asks for NIK alone is shown to ask for birth date and sex too."""
    uid = one.submit(elements=[Element.NIK])

    assert one.seen(uid).asked.elements == NIK


def test_an_approver_narrows_and_the_next_starts_from_there(desk: Desk) -> None:
    """The first leaves one desa and fewer days; the second cannot go back to the kecamatan."""
    uid = desk.submit()
    desk.decide("data1", uid, terms=terms(desk.now, DESA, NIK, View.UTUH, 7))
    with pytest.raises(BadInput) as wrong:
        desk.decide("hukum", uid, terms=terms(desk.now, KEC, NIK, View.UTUH, 7))
    assert (wrong.value.detail, wrong.value.field) == ("izin-melebihi-permintaan", "region")
    assert desk.last == ("request:approve", "denied", ["izin-melebihi-permintaan"])
    desk.decide("hukum", uid)

    [held] = desk.active()
    assert held.region == DESA
    assert held.until == desk.now + timedelta(days=7)
    assert desk.seen(uid).asked.region == KEC


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("region", {"region": KAB}),
        ("region", {"region": "51.71.02"}),
        ("region", {"region": "51.71.01.9999"}),
        ("elements", {"elements": [*NIK, Element.NKK]}),
        ("until", {"days": 15}),
    ],
)
def test_a_decision_never_widens(one: Desk, field: str, change: dict[str, object]) -> None:
    uid = one.submit()
    wanted = {"region": KEC, "elements": NIK, "days": 14, **change}

    with pytest.raises(BadInput) as wrong:
        one.decide("data1", uid, terms=terms(one.now, **wanted))  # type: ignore[arg-type]
    assert (wrong.value.detail, wrong.value.field) == ("izin-melebihi-permintaan", field)
    assert one.last == ("request:approve", "denied", ["izin-melebihi-permintaan"])
    assert one.seen(uid).state is State.SUBMITTED


def test_a_view_is_never_raised_by_a_decision(one: Desk) -> None:
    """Asked masked, approved in full: refused."""
    uid = one.submit(elements=[Element.DISABILITAS], view=View.RINGKAS)

    with pytest.raises(BadInput) as wrong:
        one.decide("data1", uid, terms=terms(one.now, KEC, [Element.DISABILITAS], View.UTUH))
    assert wrong.value.field == "view"


def test_what_opens_nothing_is_not_approved(one: Desk) -> None:
    """Birth date alone is no mandate for the liaison: what is left must open something."""
    uid = one.submit()

    with pytest.raises(BadInput) as wrong:
        one.decide("data1", uid, terms=terms(one.now, KEC, [Element.JENIS_KELAMIN]))
    assert wrong.value.detail == "izin-tidak-perlu"
    assert one.last[1:] == ("denied", ["izin-tidak-perlu"])


def refused(
    desk: Desk, name: str, uid: str, rule: str, kind: type[GarduError], who: Callable[[Actor], Actor] = lambda actor: actor
) -> None:
    request = desk.seen(uid)
    with pytest.raises(kind) as wrong:
        actions.decide(desk.room, who(desk.who(name)), uid, Decision(request.version, request.left, ""), desk.now)
    assert wrong.value.detail == rule
    assert desk.last == ("request:approve", "denied", [rule])
    assert desk.seen(uid) == request


def test_nobody_approves_what_they_asked_for(desk: Desk) -> None:
    """Neither as they are nor in a second role as approver, even of a KPU office."""
    uid = desk.submit()

    refused(desk, "liaison", uid, "izin-pemohon-sendiri", NotAllowed)
    both = frozenset({Role.BAWASLU_KAB, Role.PENYETUJU})
    refused(
        desk, "liaison", uid, "izin-pemohon-sendiri", NotAllowed,
        lambda actor: replace(actor, role=Role.PENYETUJU, roles=both, office="kpu-51.71"),
    )  # fmt: skip


def test_who_also_approves_can_ask_for_nothing(one: Desk) -> None:
    """The policies forbid an approver everything: the ceiling of such a person is nothing."""
    both = one.who("liaison", roles=frozenset({Role.BAWASLU_KAB, Role.PENYETUJU}))

    with pytest.raises(BadInput) as wrong:
        actions.submit(one.room, both, wish(one.now), one.now)
    assert wrong.value.detail == "izin-melebihi-puncak"


def test_the_second_is_another_person_of_another_unit(desk: Desk) -> None:
    uid = desk.submit()
    desk.decide("data1", uid)

    refused(desk, "data1", uid, "izin-penyetuju-sama", NotAllowed)
    refused(desk, "data2", uid, "izin-unit-sama", NotAllowed)


@pytest.mark.parametrize("name", ["officer"])
def test_only_approvers_decide(one: Desk, name: str) -> None:
    """A role that sees the request does not thereby decide it."""
    refused(one, name, one.submit(), "izin-bukan-penyetuju", NotAllowed)


@pytest.mark.parametrize("name", ["neighbour", "operator", "colleague", "pdp"])
def test_to_strangers_a_request_is_not_there(one: Desk, name: str) -> None:
    """An approver of another kab, a colleague, any other role: the same answer and the same entry as for a request that is not there."""
    uid = one.submit()
    said = []
    for address in (uid, new_uid()):
        with pytest.raises(NotThere):
            actions.decide(one.room, one.who(name), address, Decision(1, terms(one.now), ""), one.now)
        last = entries(one.house)[-1]
        said.append({member: last[member] for member in ("action", "outcome", "rule", "mandate", "scope", "subjects", "purpose", "detail")})

    assert said[0] == said[1]
    assert said[0]["outcome"] == "denied"
    assert one.seen(uid).version == 1


def test_an_office_above_may_approve(one: Desk) -> None:
    """The province's approver covers the kab/kota."""
    uid = one.submit()
    one.decide("data1", uid)

    assert one.decide("provinsi", uid) is State.ACTIVE


def test_a_decision_sent_twice_counts_once(desk: Desk) -> None:
    """The same form again, or one made for an older state: 409, an entry, nothing changed."""
    uid = desk.submit()
    seen = desk.seen(uid)
    form = Decision(seen.version, seen.left, "")
    actions.decide(desk.room, desk.who("data1"), uid, form, desk.now)

    for name in ("data1", "hukum"):
        with pytest.raises(Conflict):
            actions.decide(desk.room, desk.who(name), uid, form, desk.now)
        assert desk.last == ("request:approve", "denied", ["izin-sudah-diputus"])
    assert desk.seen(uid).state is State.HALF


def test_a_refusal_needs_a_ground_and_ends_it(desk: Desk) -> None:
    uid = desk.submit()
    with pytest.raises(BadInput) as wrong:
        desk.decide("hukum", uid, terms=None)
    assert wrong.value.field == "reason"
    assert desk.decide("hukum", uid, terms=None, reason=REASON) is State.REFUSED

    with pytest.raises(Conflict):
        desk.decide("data1", uid)
    assert desk.active() == []
    assert desk.seen(uid).steps[-1].reason == REASON


def test_the_requester_takes_it_back_while_it_is_open(desk: Desk) -> None:
    uid = desk.submit()
    desk.decide("data1", uid)
    with pytest.raises(NotAllowed):
        actions.withdraw(desk.room, desk.who("hukum"), uid, "", desk.now)
    assert desk.last == ("request:withdraw", "denied", ["izin-bukan-pihak"])
    assert actions.withdraw(desk.room, desk.who("liaison"), uid, "", desk.now) is State.WITHDRAWN

    with pytest.raises(Conflict):
        actions.withdraw(desk.room, desk.who("liaison"), uid, "", desk.now)
    with pytest.raises(Conflict):
        desk.decide("hukum", uid)


@pytest.mark.parametrize("name", ["liaison", "data2", "provinsi", "officer"])
def test_who_may_revoke_does_so_at_once(one: Desk, name: str) -> None:
    """The holder gives it back; an approver of the region and the security officer take it."""
    uid = one.granted()
    generation = one.room.policies.generation
    assert actions.revoke(one.room, one.who(name), uid, REASON, one.now) is State.REVOKED

    assert one.active() == []
    assert one.room.policies.generation > generation
    with pytest.raises(Conflict):
        actions.revoke(one.room, one.who(name), uid, REASON, one.now)
    assert one.last == ("mandate:revoke", "denied", ["izin-sudah-diputus"])


def test_strangers_revoke_nothing(one: Desk) -> None:
    uid = one.granted()

    for name in ("neighbour", "colleague", "operator"):
        with pytest.raises(NotThere):
            actions.revoke(one.room, one.who(name), uid, REASON, one.now)
    assert len(one.active()) == 1


def test_a_mandate_ends_by_itself_and_the_log_says_so(desk: Desk) -> None:
    """One entry of the machine's own process, whoever looks first, and only one."""
    uid = desk.granted(days=2)
    desk.house.clock.move(days=2, microseconds=-1)  # type: ignore[attr-defined]  # a FakeClock
    assert len(desk.active()) == 1
    desk.house.clock.move(microseconds=1)  # type: ignore[attr-defined]

    assert desk.active() == [] and desk.active() == []
    ended = [one for one in entries(desk.house) if one["action"] == "mandate:expire"]
    assert [(one["mandate"], one["outcome"], one["role"]) for one in ended] == [(uid, "done", "proses")]
    assert str(ended[0]["actor"]).startswith("host:")
    assert desk.seen(uid).state is State.ENDED


@pytest.mark.parametrize(
    ("change", "rule", "field"),
    [
        ({"region": NEIGHBOUR}, "izin-wilayah-di-luar", "region"),
        ({"region": "51"}, "izin-wilayah-di-luar", "region"),
        ({"region": "51.71.99"}, "izin-wilayah-di-luar", "region"),
        ({"days": -0.1}, "izin-tanggal", "until"),
        ({"days": 0}, "izin-tanggal", "until"),
        ({"days": 92}, "izin-tanggal", "until"),
        ({"elements": [Element.STATUS_KAWIN]}, "izin-melebihi-puncak", "elements"),
        ({"elements": [Element.TANGGAL_LAHIR]}, "izin-melebihi-puncak", "elements"),
        ({"stages": frozenset({Stage.COKLIT})}, "izin-melebihi-puncak", "elements"),
        ({"stages": frozenset({Stage.DPS, Stage.DP4})}, "izin-melebihi-puncak", "elements"),
        ({"elements": [Element.ALAMAT]}, "izin-tidak-perlu", "elements"),
        ({"view": View.SAMAR}, "izin-tidak-perlu", "elements"),
    ],
)
def test_what_cannot_be_asked_for(one: Desk, change: dict[str, object], rule: str, field: str) -> None:
    """Outside the office, a date gone by or too far, beyond the policies, or open already: refused with the rule named, and logged."""
    with pytest.raises(BadInput) as wrong:
        one.submit(**change)

    assert (wrong.value.detail, wrong.value.field) == (rule, field)
    assert one.last == ("request:submit", "denied", [rule])


def test_a_purpose_is_one_of_the_role(one: Desk) -> None:
    with pytest.raises(BadInput) as wrong:
        one.submit(purpose=Purpose.PEMUTAKHIRAN)
    assert wrong.value.field == "purpose"


@pytest.mark.parametrize("name", ["data1", "officer"])
def test_who_has_no_use_for_a_mandate_cannot_ask(one: Desk, name: str) -> None:
    with pytest.raises(NotAllowed):
        one.submit(name)


def test_without_two_units_of_approvers_nothing_is_submitted(desk: Desk) -> None:
    """Said at submission: a disabled approver does not count, one unit alone is not enough."""
    for name in ("hukum", "provinsi"):
        accounts.disable(desk.house.identity, host_actor(), desk.people[name].uid, desk.now)

    with pytest.raises(BadInput) as wrong:
        desk.submit()
    assert wrong.value.detail == "izin-tanpa-penyetuju"
    assert desk.last == ("request:submit", "denied", ["izin-tanpa-penyetuju"])


def test_a_request_that_waited_too_long_is_not_approved(one: Desk) -> None:
    """Its date has passed: refused or withdrawn, never approved."""
    uid = one.submit(days=1)
    one.house.clock.move(days=1)  # type: ignore[attr-defined]

    with pytest.raises(BadInput) as wrong:
        one.decide("data1", uid)
    assert wrong.value.detail == "izin-tanggal"
    assert one.decide("data1", uid, terms=None, reason=REASON) is State.REFUSED


def test_two_approvals_at_once_make_one_mandate(desk: Desk) -> None:
    """Many approvers press the button in the same moment, twice each: exactly one second approval, one start, one row."""
    uid = desk.submit()
    desk.decide("data1", uid)
    seen = desk.seen(uid)
    gate = threading.Barrier(6)
    became: list[object] = []

    def press(name: str) -> None:
        gate.wait()
        try:
            became.append(actions.decide(desk.room, desk.who(name), uid, Decision(seen.version, seen.left, ""), desk.now))
        except GarduError as error:
            became.append(type(error))

    threads = [threading.Thread(target=press, args=(name,)) for name in ("hukum", "provinsi") * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(str, became)) == sorted(map(str, [State.ACTIVE, *[Conflict] * 5]))
    done = [action for action, outcome, _ in desk.said(uid) if outcome == "done"]
    assert done.count("mandate:start") == 1 and done.count("request:approve") == 2
    assert len(desk.active()) == 1


def test_two_first_approvals_at_once_are_one(desk: Desk) -> None:
    """Nobody's approval counts twice, and two first ones do not add up to a mandate."""
    uid = desk.submit()
    gate = threading.Barrier(2)
    became: list[object] = []

    def press(name: str) -> None:
        gate.wait()
        try:
            became.append(actions.decide(desk.room, desk.who(name), uid, Decision(1, desk.seen(uid).asked, ""), desk.now))
        except GarduError as error:
            became.append(type(error))

    threads = [threading.Thread(target=press, args=(name,)) for name in ("data1", "hukum")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(str, became)) == sorted(map(str, [State.HALF, Conflict]))
    assert desk.active() == []
