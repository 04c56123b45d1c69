"""An authenticator is taken away by two people: one asks, another confirms within a day; nobody alone, nothing twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from app.admin import resets, rules
from app.admin.rules import Decision
from app.audit.entry import Draft
from app.audit.trail import Receipt
from app.cli.shell import host_actor
from app.identity import accounts
from app.kernel.errors import BadInput, Conflict, NotAllowed, NotThere, SealBroken, TrailDown
from app.kernel.fields import Role
from app.kernel.payload import SealedPayload
from tests.admin.admin_kit import REASON, Desk
from tests.walk_kit import entries, rows_of, tamper

INTENT, DONE, DENIED, BROKEN = (("account:reset", outcome) for outcome in ("intent", "done", "denied", "broken"))


class DumbTrail:
    """A log that cannot be written."""

    def append(self, draft: Draft, payload: SealedPayload | None = None) -> Receipt:
        raise TrailDown("told to fail")

    def append_within(self, session: object, draft: Draft, payload: SealedPayload | None = None) -> Receipt:
        raise TrailDown("told to fail")


def test_two_people_take_an_authenticator_away(desk: Desk) -> None:
    """Asking changes nothing; confirming takes the secret, ends the sessions, and leaves the password alone."""
    desk.sign_in("operator")
    before = desk.account("operator")
    with desk.writes(INTENT):
        reset = desk.ask()
    asked = desk.account("operator")

    assert (asked.seed, asked.seed_version, desk.living("operator")) == (before.seed, before.seed_version, 1)
    assert desk.payload()["reason"] == REASON
    with desk.writes(DONE):
        assert desk.decide(reset) == resets.DONE
    after = desk.account("operator")
    assert (after.seed, after.enrolled_at, after.seed_version, after.factor_failures) == (None, None, before.seed_version + 1, 0)
    assert after.password_hash == before.password_hash
    assert desk.living("operator") == 0
    row = desk.row(reset)
    assert (row.state, row.decided_by, row.decided_at) == (resets.DONE, desk.uid("officer"), desk.now)
    last = entries(desk.house)[-1]
    assert last["actor"] == desk.uid("officer")
    assert (desk.payload()["account"], desk.payload()["reset"]) == (desk.uid("operator"), reset)


def test_another_administrator_may_confirm(desk: Desk) -> None:
    assert desk.decide(desk.ask(), by="admin2") == resets.DONE


def test_what_is_asked_about_must_have_something_to_reset(desk: Desk) -> None:
    """Not one's own account, not a disabled one, none without authenticator, none with a one-time password; each refusal is an entry."""
    desk.join("gone", Role.KPU_KAB, "kpu-51.71")
    accounts.disable(desk.identity, host_actor(), desk.uid("gone"), desk.now)
    desk.join("bare", Role.KPU_KAB, "kpu-51.71")
    accounts.reset_totp(desk.identity, host_actor(), desk.uid("bare"), desk.now)
    desk.join("new", Role.KPU_KAB, "kpu-51.71", enrolled=False)
    accounts.enrol_by_hand(desk.identity, host_actor(), desk.uid("new"), desk.now)
    for about in ("admin", "gone", "bare", "new"):
        with desk.writes(DENIED), pytest.raises(Conflict):
            desk.ask(about)

    assert resets.waiting(desk.room, desk.people["officer"], desk.now) == []


def test_only_an_administrator_asks(one: Desk) -> None:
    for name in ("officer", "operator"):
        with one.writes(), pytest.raises(NotAllowed):
            one.ask("admin2", by=name)


def test_nobody_is_asked_about_who_is_not_there(one: Desk) -> None:
    with one.writes(), pytest.raises(NotThere):
        resets.ask(one.room, one.people["admin"], "a" * 26, REASON, one.now)


@pytest.mark.parametrize("reason", ["", " ", "x", "y" * 301, "NIK 5171 0101 0180 0001 lupa", "NIK ５１７１０１０１０１８００００１"])
def test_a_reason_is_a_sentence_without_a_voters_number(one: Desk, reason: str) -> None:
    with one.writes(), pytest.raises(BadInput) as refused:
        resets.ask(one.room, one.people["admin"], one.uid("operator"), reason, one.now)

    assert refused.value.field == "reason"


def test_one_request_waits_for_an_account(desk: Desk) -> None:
    """A second one is refused while the first waits; when the day is over the first is closed and the next may come."""
    first = desk.ask()
    with desk.writes(DENIED), pytest.raises(Conflict):
        desk.ask(by="admin2")
    desk.house.clock.move(hours=24)
    second = desk.ask(by="admin2")

    assert desk.row(first).state == resets.LAPSED
    assert [one.uid for one in resets.waiting(desk.room, desk.people["officer"], desk.now)] == [second]
    assert [(one.uid, one.state, one.sound) for one in resets.decided(desk.room, desk.people["officer"], desk.now)] == [
        (first, "lapsed", True)
    ]


def test_nobody_confirms_alone(desk: Desk) -> None:
    """Neither who asked nor whose authenticator it is; and nothing has changed."""
    about_admin2, about_officer = desk.ask("admin2"), desk.ask("officer")
    for reset, by in ((about_admin2, "admin"), (about_admin2, "admin2"), (about_officer, "officer")):
        for decision in (Decision.CONFIRM, Decision.REFUSE):
            with desk.writes(DENIED), pytest.raises(NotAllowed):
                desk.decide(reset, by, decision)

    assert {desk.row(reset).state for reset in (about_admin2, about_officer)} == {resets.WAITING}
    assert desk.account("admin2").seed and desk.account("officer").seed


@pytest.mark.parametrize("role", [role for role in Role if role not in {Role.ADMIN_SISTEM, Role.PETUGAS_KEAMANAN}])
def test_no_other_role_decides(one: Desk, role: Role) -> None:
    reset = one.ask()
    one.people["stranger"] = replace(one.people["operator"], uid="x" * 26, role=role)
    with one.writes(), pytest.raises(NotAllowed):
        one.decide(reset, "stranger")

    assert one.row(reset).state == resets.WAITING


@pytest.mark.parametrize("role", [Role.ADMIN_SISTEM, Role.PETUGAS_KEAMANAN])
def test_an_account_the_asker_has_just_made_is_no_second_person(desk: Desk, role: Role) -> None:
    """Who hands out a one-time password could use it themself; after a week, and for somebody else's request, the account counts."""
    desk.join("puppet", role, "kpu-00", by=desk.people["admin"])
    reset = desk.ask()
    with desk.writes(DENIED), pytest.raises(NotAllowed) as refused:
        desk.decide(reset, "puppet")
    [seen] = resets.waiting(desk.room, desk.people["puppet"], desk.now)

    assert "tujuh hari" in refused.value.public
    assert (seen.young, seen.decidable) == (True, False)
    assert desk.decide(reset, "puppet", Decision.REFUSE) == resets.REFUSED
    assert desk.decide(desk.ask(by="admin2"), "puppet") == resets.DONE
    desk.house.clock.move(days=7, seconds=1)
    assert desk.decide(desk.ask("admin2"), "puppet") == resets.DONE


def test_an_account_invited_anew_by_the_asker_is_no_second_person(one: Desk) -> None:
    """A new one-time password counts like a new account."""
    one.join("late", Role.PETUGAS_KEAMANAN, "kpu-00", enrolled=False)
    one.house.clock.move(days=8)
    seen = one.account("late").invited_until
    accounts.invite_again(one.identity, one.people["admin"], one.uid("late"), seen, one.now)
    with pytest.raises(NotAllowed):
        one.decide(one.ask(), "late")


def test_a_request_can_be_refused_and_taken_back(desk: Desk) -> None:
    """Refused by another, withdrawn by who asked and nobody else; nothing changes, each is an entry."""
    first = desk.ask()
    for by in ("officer", "admin2"):
        with desk.writes(DENIED), pytest.raises(NotAllowed):
            desk.decide(first, by, Decision.WITHDRAW)
    with desk.writes(DENIED):
        assert desk.decide(first, "admin", Decision.WITHDRAW) == resets.WITHDRAWN
    assert desk.payload()["decision"] == "withdraw"
    with desk.writes(INTENT, DENIED):
        assert desk.decide(desk.ask(), decision=Decision.REFUSE) == resets.REFUSED

    assert desk.account("operator").seed is not None


@pytest.mark.parametrize("first", list(Decision))
@pytest.mark.parametrize("second", [Decision.CONFIRM, Decision.REFUSE])
def test_what_was_decided_stays_decided(one: Desk, first: Decision, second: Decision) -> None:
    reset = one.ask()
    one.decide(reset, "admin" if first is Decision.WITHDRAW else "officer", first)
    version = one.account("operator").seed_version
    with one.writes(DENIED), pytest.raises(Conflict):
        one.decide(reset, "admin2", second)

    assert one.account("operator").seed_version == version


def test_a_request_lapses_after_a_day(desk: Desk) -> None:
    """To the second; and a clock that went back does not make one good."""
    reset = desk.ask()
    desk.house.clock.move(hours=24)
    with desk.writes(DENIED), pytest.raises(Conflict) as refused:
        desk.decide(reset)
    assert "24 jam" in refused.value.public
    desk.house.clock.move(hours=-24, minutes=-2)
    with pytest.raises(Conflict):
        desk.decide(reset)
    desk.house.clock.move(hours=24, minutes=1, seconds=59)

    assert desk.decide(reset) == resets.DONE


def test_a_request_of_somebody_who_is_gone_is_not_carried_out(desk: Desk) -> None:
    reset = desk.ask()
    accounts.disable(desk.identity, desk.people["admin2"], desk.uid("admin"), desk.now, "Keluar dari kantor.")
    with desk.writes(DENIED), pytest.raises(Conflict):
        desk.decide(reset)

    assert desk.row(reset).state == resets.WAITING
    assert desk.account("operator").seed is not None
    assert desk.decide(reset, decision=Decision.REFUSE) == resets.REFUSED


def test_a_request_is_about_one_authenticator(desk: Desk) -> None:
    """When the person has another one by now, or the account was disabled, confirming changes nothing."""
    moved, gone = desk.ask(), desk.ask("admin2")
    accounts.reset_totp(desk.identity, host_actor(), desk.uid("operator"), desk.now)
    accounts.enrol_by_hand(desk.identity, host_actor(), desk.uid("operator"), desk.now)
    accounts.disable(desk.identity, host_actor(), desk.uid("admin2"), desk.now)
    for reset in (moved, gone):
        with desk.writes(DENIED), pytest.raises(Conflict):
            desk.decide(reset)

    assert desk.account("operator").seed is not None


def test_a_request_that_was_carried_out_cannot_be_put_back(desk: Desk) -> None:
    """The old row with its old seal is genuine; the authenticator it speaks of is gone."""
    reset = desk.ask()
    [kept] = rows_of(desk.house, "SELECT * FROM factor_reset")
    desk.decide(reset)
    accounts.enrol_by_hand(desk.identity, host_actor(), desk.uid("operator"), desk.now)
    values = {name: kept[name] for name in ("state", "decided_by", "decided_at", "seal", "uid")}
    tamper(desk.house, "UPDATE factor_reset SET state = :state, decided_by = :decided_by, decided_at = :decided_at, seal = :seal WHERE uid = :uid",
           **values)  # fmt: skip
    with desk.writes(DENIED), pytest.raises(Conflict):
        desk.decide(reset, "admin2")

    assert desk.account("operator").seed is not None


@pytest.mark.parametrize(
    "change",
    ["account = (SELECT uid FROM account WHERE username = 'uji.admin2')", "asked_by = 'zzzzzzzzzzzzzzzzzzzzzzzzzz'", "seed_version = 2",
     "reason = 'lain'", "asked_at = '2026-12-01 03:00:01'", "decided_by = 'x'", "seal = X'00'"],
)  # fmt: skip
def test_a_row_changed_past_us_opens_nothing(one: Desk, change: str) -> None:
    """Every column is under the seal; the attempt is an entry, and the pages say so instead of offering to confirm."""
    reset = one.ask()
    assert tamper(one.house, f"UPDATE factor_reset SET {change}") == 1
    [shown] = resets.waiting(one.room, one.people["officer"], one.now)
    with one.writes(BROKEN), pytest.raises(SealBroken):
        one.decide(reset)

    assert not shown.sound
    assert one.account("operator").seed and one.account("admin2").seed


def test_a_forged_request_keeps_nobody_from_asking(desk: Desk) -> None:
    """It is set aside as broken, recorded, and never sealed anew."""
    forged = desk.ask()
    assert tamper(desk.house, "UPDATE factor_reset SET reason = 'dipalsukan'") == 1
    with desk.writes(BROKEN, INTENT):
        honest = desk.ask(by="admin2")

    assert [one.uid for one in resets.waiting(desk.room, desk.people["officer"], desk.now)] == [honest]
    assert [(one.uid, one.sound) for one in resets.decided(desk.room, desk.people["officer"], desk.now)] == [(forged, False)]
    assert desk.decide(honest) == resets.DONE


def test_what_cannot_be_recorded_does_not_happen(desk: Desk) -> None:
    """Neither asking nor confirming, when the log is down."""
    reset = desk.ask()
    silent = replace(desk.room, identity=replace(desk.identity, trail=DumbTrail()))
    with pytest.raises(TrailDown):
        resets.ask(silent, desk.people["admin"], desk.uid("admin2"), REASON, desk.now)
    for decision in (Decision.CONFIRM, Decision.REFUSE):
        with pytest.raises(TrailDown):
            resets.decide(silent, desk.people["officer"], reset, decision, desk.now)

    assert desk.row(reset).state == resets.WAITING
    assert desk.account("operator").seed is not None
    assert len(resets.waiting(desk.room, desk.people["officer"], desk.now)) == 1


def test_what_was_decided_last_is_shown_first(one: Desk) -> None:
    """Newest first, no more than are worth reading."""
    for _ in range(resets.RECENT + 2):
        one.decide(one.ask(), decision=Decision.REFUSE)
        one.house.clock.move(minutes=1)
    shown = resets.decided(one.room, one.people["officer"], one.now)

    assert len(shown) == resets.RECENT
    assert [x.asked_at for x in shown] == sorted((x.asked_at for x in shown), reverse=True)
    assert {(x.asker, x.decider, x.state) for x in shown} == {("Orang admin", "Orang officer", "refused")}


def test_a_code_is_fresh_for_a_while_and_never_from_the_future(one: Desk) -> None:
    now = one.now

    assert rules.fresh_enough(now, now) and rules.fresh_enough(now - timedelta(minutes=5), now)
    assert not rules.fresh_enough(now - timedelta(minutes=5, seconds=1), now)
    assert not rules.fresh_enough(now + timedelta(seconds=1), now)
    assert not rules.fresh_enough(None, now)
