"""Accounts as their keepers change them, and the list as it is shown."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.cli.shell import host_actor
from app.identity import accounts, actions, directory, sessions
from app.identity import rules as identity_rules
from app.identity.directory import Sought, State
from app.identity.room import Identity
from app.kernel.errors import BadInput, Conflict, NotAllowed, NotThere, SignInNeeded
from app.kernel.fields import Role
from tests.admin.admin_kit import PASSWORD, REASON, VISITOR, Desk, selects, statements

DISABLED, REFUSED = ("account:disable", "done"), ("account:disable", "denied")
RENEWED, NOT_RENEWED = ("account:password", "done"), ("account:password", "denied")


def opens(identity: Identity, username: str, password: str) -> bool:
    """Whether a password leads to the second step."""
    try:
        actions.begin_login(identity, VISITOR, username, password, identity.clock.now())
    except BadInput:
        return False
    return True


def test_a_one_time_password_lapses_after_three_days(desk: Desk) -> None:
    """To the second, with the answer a wrong one gets."""
    desk.join("new", Role.KPU_KAB, "kpu-51.71", enrolled=False)
    desk.house.clock.move(hours=72, seconds=-1)
    assert opens(desk.identity, "uji.new", PASSWORD)
    desk.house.clock.move(seconds=1)

    assert not opens(desk.identity, "uji.new", PASSWORD)


def test_a_renewed_invitation_voids_the_sheet_before(desk: Desk) -> None:
    """The old password is worth nothing, a half session of its is over, the new one runs for three days."""
    desk.join("new", Role.KPU_KAB, "kpu-51.71", enrolled=False)
    half = actions.begin_login(desk.identity, VISITOR, "uji.new", PASSWORD, desk.now)
    desk.house.clock.move(minutes=1)
    with desk.writes(RENEWED):
        given = accounts.invite_again(desk.identity, desk.people["admin"], desk.uid("new"), desk.account("new").invited_until, desk.now)

    assert desk.account("new").invited_until == desk.now + identity_rules.INVITE
    with pytest.raises(SignInNeeded):
        sessions.resolve(desk.house.store, half.secret, desk.now)
    assert not opens(desk.identity, "uji.new", PASSWORD)
    assert opens(desk.identity, "uji.new", given)
    assert given not in str(desk.payload(3))


def test_no_password_is_given_for_an_account_that_was_used(desk: Desk) -> None:
    """With a factor, after a reset, or disabled: whoever could set the password and have the factor reset could take it over."""
    desk.join("half-way", Role.KPU_KAB, "kpu-51.71", enrolled=False)
    accounts.enrol_by_hand(desk.identity, host_actor(), desk.uid("half-way"), desk.now)
    desk.join("reset", Role.KPU_KAB, "kpu-51.71")
    accounts.reset_totp(desk.identity, host_actor(), desk.uid("reset"), desk.now)
    desk.join("gone", Role.KPU_KAB, "kpu-51.71", enrolled=False)
    accounts.disable(desk.identity, host_actor(), desk.uid("gone"), desk.now)
    for name in ("operator", "half-way", "reset", "gone", "admin"):
        with desk.writes(NOT_RENEWED), pytest.raises(Conflict):
            accounts.invite_again(desk.identity, desk.people["admin"], desk.uid(name), desk.account(name).invited_until, desk.now)


def test_disabling_ends_everything_at_once(desk: Desk) -> None:
    """Sessions die with the account, the password opens nothing, the reason is kept and sealed; once."""
    opened = desk.sign_in("operator")
    with desk.writes(DISABLED):
        accounts.disable(desk.identity, desk.people["admin"], desk.uid("operator"), desk.now, "  Pindah \n tugas. ")

    row = desk.account("operator")
    assert (row.disabled_at, row.disabled_reason) == (desk.now, "Pindah tugas.")
    assert desk.payload()["reason"] == "Pindah tugas."
    with pytest.raises(SignInNeeded):
        sessions.resolve(desk.house.store, opened.secret, desk.now)
    assert not opens(desk.identity, "uji.operator", PASSWORD)
    before = desk.account("operator").disabled_at
    with desk.writes(REFUSED), pytest.raises(Conflict):
        accounts.disable(desk.identity, desk.people["admin2"], desk.uid("operator"), desk.now + timedelta(hours=1), REASON)
    assert desk.account("operator").disabled_at == before


def test_nobody_disables_themself_so_one_administrator_remains(desk: Desk) -> None:
    """Neither alone nor as the last of several; on the machine it can be done."""
    accounts.disable(desk.identity, desk.people["admin"], desk.uid("admin2"), desk.now, REASON)
    with desk.writes(REFUSED), pytest.raises(Conflict):
        accounts.disable(desk.identity, desk.people["admin"], desk.uid("admin"), desk.now, REASON)
    with desk.writes(REFUSED), pytest.raises(NotAllowed):
        accounts.disable(desk.identity, desk.people["admin2"], desk.uid("admin"), desk.now, REASON)

    assert desk.account("admin").disabled_at is None
    with desk.writes(DISABLED):
        accounts.disable(desk.identity, host_actor(), desk.uid("admin"), desk.now)


def test_disabling_needs_a_reason_and_somebody(one: Desk) -> None:
    for reason in ("", "ab", "NIK 5171.0101.0180.0001"):
        with one.writes(), pytest.raises(BadInput) as refused:
            accounts.disable(one.identity, one.people["admin"], one.uid("operator"), one.now, reason)
        assert refused.value.field == "reason"
    with one.writes(), pytest.raises(NotThere):
        accounts.disable(one.identity, one.people["admin"], "a" * 26, one.now, REASON)


@pytest.mark.parametrize("role", [role for role in Role if role not in {Role.ADMIN_SISTEM, Role.PROSES}])
def test_only_keepers_change_accounts(one: Desk, role: Role) -> None:
    stranger = one.join("stranger", Role.PETUGAS_KEAMANAN, "kpu-00")
    stranger = type(stranger)(**{name: getattr(stranger, name) for name in stranger.__dataclass_fields__} | {"role": role})
    for step in (
        lambda: accounts.invite_again(one.identity, stranger, one.uid("operator"), None, one.now),
        lambda: accounts.disable(one.identity, stranger, one.uid("operator"), one.now, REASON),
        lambda: accounts.end_sessions(one.identity, stranger, one.uid("operator"), one.now),
        lambda: accounts.reset_totp(one.identity, stranger, one.uid("operator"), one.now),
    ):
        with one.writes(), pytest.raises(NotAllowed):
            step()


def test_not_even_an_administrator_resets_a_factor_alone(one: Desk) -> None:
    with one.writes(), pytest.raises(NotAllowed):
        accounts.reset_totp(one.identity, one.people["admin"], one.uid("operator"), one.now)

    assert one.account("operator").seed is not None


def test_ending_sessions_leaves_the_account(desk: Desk) -> None:
    desk.sign_in("operator")
    with desk.writes(("session:logout", "done")):
        accounts.end_sessions(desk.identity, desk.people["admin"], desk.uid("operator"), desk.now)

    assert desk.living("operator") == 0
    assert desk.payload()["account"] == desk.uid("operator")
    desk.house.clock.move(minutes=1)
    desk.sign_in("operator")
    assert desk.living("operator") == 1


def states(desk: Desk) -> dict[State, str]:
    """Somebody in each state."""
    desk.join("lapsed", Role.KPU_KAB, "kpu-51.71", enrolled=False)
    desk.house.clock.move(hours=73)
    desk.join("invited", Role.KPU_KAB, "kpu-51.71", enrolled=False)
    desk.join("locked", Role.KPU_KAB, "kpu-51.71")
    desk.join("gone", Role.KPU_KAB, "kpu-51.71", enrolled=False)
    accounts.disable(desk.identity, host_actor(), desk.uid("gone"), desk.now)
    with desk.house.store.writing() as session:
        session.get_one(type(desk.account("locked")), desk.uid("locked")).factor_failures = identity_rules.FACTOR_LOCK
    return {State.LAPSED: "lapsed", State.INVITED: "invited", State.LOCKED: "locked", State.DISABLED: "gone"}


def test_every_account_is_in_one_state_and_found_by_it(desk: Desk) -> None:
    """The filter and what the row says agree; each account is in exactly one."""
    special = states(desk)
    found = {state: directory.people(desk.identity, Sought(state=state), desk.now, limit=100)[0] for state in State}

    for state, rows in found.items():
        assert {row.state for row in rows} <= {state}
        assert len(rows) == directory.count(desk.identity, state, desk.now)
    assert {state: [row.username for row in rows] for state, rows in found.items() if state is not State.ACTIVE} == {
        state: [f"uji.{name}"] for state, name in special.items()
    }
    everybody, _ = directory.people(desk.identity, Sought(), desk.now, limit=100)
    assert sorted(row.uid for rows in found.values() for row in rows) == sorted(row.uid for row in everybody)


def test_a_list_is_read_page_by_page(desk: Desk) -> None:
    """Each account once, in order; a search finds parts of names and takes no wildcard for one."""
    for number in range(7):
        desk.join(f"orang_{number}", Role.KPU_KAB, "kpu-51.03", enrolled=False)
    seen, after = list[str](), ""
    while True:
        rows, after = directory.people(desk.identity, Sought(office="kpu-51.03"), desk.now, after=after, limit=3)
        seen += [row.username for row in rows]
        if not after:
            break

    assert seen == [f"uji.orang_{number}" for number in range(7)]
    assert [row.username for row in directory.people(desk.identity, Sought(text="ORANG_3"), desk.now)[0]] == ["uji.orang_3"]
    assert [row.username for row in directory.people(desk.identity, Sought(text="Orang off"), desk.now)[0]] == ["uji.officer"]
    assert directory.people(desk.identity, Sought(text="i%2"), desk.now)[0] == []
    assert {row.username for row in directory.people(desk.identity, Sought(role=Role.ADMIN_SISTEM), desk.now)[0]} >= {
        "uji.admin",
        "uji.admin2",
    }


def test_a_longer_list_asks_the_database_no_more_often(desk: Desk) -> None:
    """The same number of statements for 4 accounts and for 34."""
    counts = []
    for _ in range(2):
        with statements(desk.house.store.engine) as found:
            rows, _ = directory.people(desk.identity, Sought(), desk.now, limit=100)
        counts.append((len(rows), selects(found)))
        for number in range(30):
            desk.join(f"orang{number}-{len(rows)}", Role.KPU_KAB, "kpu-51.71", enrolled=False)

    (few, before), (many, after) = counts
    assert many >= few + 30
    assert before == after <= 2
