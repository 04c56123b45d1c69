"""Several people at the same moment: of what can happen once, one succeeds; the others are told, and recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from app.admin import resets
from app.admin.rules import Decision
from app.identity import accounts
from app.kernel.errors import Conflict, NotAllowed
from app.kernel.fields import Role
from tests.admin.admin_kit import REASON, Desk
from tests.walk_kit import size


def at_once(steps: Sequence[Callable[[], object]]) -> list[str]:
    """Take every step at the same moment; return ``done`` or the error's code of each."""
    start = Barrier(len(steps))

    def take(step: Callable[[], object]) -> str:
        start.wait(60)
        try:
            step()
        except (Conflict, NotAllowed) as refused:
            return refused.code
        return "done"

    with ThreadPoolExecutor(len(steps)) as pool:
        return list(pool.map(take, steps))


def deciders(desk: Desk, count: int) -> list[str]:
    names = [f"officer{number}" for number in range(count)]
    for name in names:
        desk.join(name, Role.PETUGAS_KEAMANAN, "kpu-00")
    return names


def test_two_confirmations_at_once_reset_once(desk: Desk) -> None:
    """One entry ``done``, one new version of the secret, whoever else pressed at the same moment."""
    reset, names, version, before = desk.ask(), deciders(desk, 6), desk.account("operator").seed_version, size(desk.house)

    found = at_once([lambda name=name: desk.decide(reset, name) for name in names])  # type: ignore[misc]  # each its own name

    assert Counter(found) == {"done": 1, "conflict": 5}
    assert Counter(desk.said(before)) == {("account:reset", "done"): 1, ("account:reset", "denied"): 5}
    assert desk.account("operator").seed_version == version + 1


def test_of_confirming_and_refusing_at_once_one_counts(desk: Desk) -> None:
    """The authenticator is gone exactly when the row says so."""
    reset, names = desk.ask(), deciders(desk, 4)
    choices = [Decision.CONFIRM, Decision.REFUSE, Decision.CONFIRM, Decision.REFUSE]

    found = at_once(
        [lambda name=name, choice=choice: desk.decide(reset, name, choice) for name, choice in zip(names, choices, strict=True)]
    )  # type: ignore[misc]

    assert found.count("done") == 1
    assert (desk.account("operator").seed is None) == (desk.row(reset).state == resets.DONE)


def test_of_many_who_ask_at_once_one_asks(desk: Desk) -> None:
    for number in range(4):
        desk.join(f"keeper{number}", Role.ADMIN_SISTEM, "kpu-00")
    before = size(desk.house)

    found = at_once([lambda number=number: desk.ask(by=f"keeper{number}") for number in range(4)])  # type: ignore[misc]

    assert Counter(found) == {"done": 1, "conflict": 3}
    assert Counter(desk.said(before)) == {("account:reset", "intent"): 1, ("account:reset", "denied"): 3}
    assert len(resets.waiting(desk.room, desk.people["officer"], desk.now)) == 1


def test_administrators_who_disable_each_other_leave_one(desk: Desk) -> None:
    """Each disables the next in a ring; whoever was disabled first no longer disables anybody."""
    desk.join("admin3", Role.ADMIN_SISTEM, "kpu-00")
    ring = ["admin", "admin2", "admin3"]

    def disable(by: str, whom: str) -> None:
        accounts.disable(desk.identity, desk.people[by], desk.uid(whom), desk.now, REASON)

    found = at_once([lambda at=at: disable(ring[at], ring[(at + 1) % 3]) for at in range(3)])  # type: ignore[misc]

    alive = [name for name in ring if desk.account(name).disabled_at is None]
    assert alive
    assert found.count("done") == 3 - len(alive)
    for number, name in enumerate(ring):
        # Nobody who was gone took another along: who still stands was spared by the one before, or that one was gone.
        if found[number] == "not-allowed":
            assert desk.account(name).disabled_at is not None


def test_an_invitation_is_renewed_once(desk: Desk) -> None:
    """Two administrators who press at once make one sheet, so that no sheet in somebody's hand is void without a word."""
    desk.join("new", Role.KPU_KAB, "kpu-51.71", enrolled=False)
    seen = desk.account("new").invited_until
    desk.house.clock.move(hours=1)

    found = at_once(
        [lambda name=name: accounts.invite_again(desk.identity, desk.people[name], desk.uid("new"), seen, desk.now)  # type: ignore[misc]
         for name in ("admin", "admin2", "admin")]
    )  # fmt: skip

    assert Counter(found) == {"done": 1, "conflict": 2}
