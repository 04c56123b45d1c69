"""Erasing by order and pruning by two people: who may, what goes, what is refused, and what the log says of it."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.audit.query import entry_at
from app.custody import erase, prune
from app.custody.presence import present
from app.factory import House
from app.identity.tables import LoginSession
from app.kernel.actor import Actor, host_actor
from app.kernel.clock import SystemClock
from app.kernel.errors import BadInput, Conflict, GarduError, NotAllowed, SealBroken
from app.kernel.fields import Role
from app.touch import payload_of
from tests.conftest import dp4_row, load_dp4, operator, write_dp4
from tests.custody.retention_kit import PASSWORD, Someone, checked, command, old_entries, room_of
from tests.walk_kit import content, entries, outcomes, seen_in, size, store_findings, tamper, uid_of

REASON = "Perintah pejabat keamanan 12/2026"


@pytest.fixture
def read_once(house: House, tmp_path: Path) -> tuple[House, str, int]:
    """A house with one voter that was found once: house, the voter's uid, the entry of the search."""
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1)]))
    uid = uid_of(house, 1)
    return house, uid, size(house) - 1


def test_an_order_erases_whom_an_entry_named_and_nothing_else(read_once: tuple[House, str, int]) -> None:
    """The reading's payload and its touch go, the entry says what was erased, log and store stay good; the load's payload stays."""
    house, uid, seq = read_once
    assert seq in seen_in(house, uid)

    receipt = erase.erase(house.guard, host_actor(), house.guard.log, [seq], REASON, house.clock.now())

    assert (checked(house), store_findings(house)) == ([], [])
    assert seq not in seen_in(house, uid) and seen_in(house, uid)
    assert payload_of(house.guard, entry_at(house.store, house.guard.log, seq)) is None
    told = content(house, receipt.seq)
    assert (told["reason"], told["erased"], told["of"]) == (REASON, [seq], house.guard.log)
    assert outcomes(house)[-1] == ("payload:erase", "done")


def test_what_the_store_is_checked_against_is_not_erased(read_once: tuple[House, str, int]) -> None:
    """The payload that lists the rows of a load stays: without it a row put in past the log could not be told."""
    house, uid, _ = read_once
    load = next(seq for seq in seen_in(house, uid) if outcomes(house)[seq] == ("voter:import", "done"))

    with pytest.raises(Conflict, match="the store is checked against it"):
        erase.plan(house.guard, house.guard.log, [load])


def test_an_order_that_cannot_be_carried_out_changes_nothing(read_once: tuple[House, str, int]) -> None:
    """Erased twice, no payload, no entry, no number, another guard's log, no reason: each is named, and no entry is written."""
    house, _, seq = read_once
    log, now = house.guard.log, house.clock.now()
    erase.erase(house.guard, host_actor(), log, [seq], REASON, now)
    before = size(house)

    for of, seqs, reason, error in (
        (log, [seq], REASON, Conflict), (log, [0], REASON, Conflict), (log, [10**6], REASON, Conflict), (log, [], REASON, BadInput),
        ("lain.example/gardu/1", [seq], REASON, BadInput), (log, [seq], "NIK 5171010101800001", BadInput), (log, list(range(1001)), REASON, BadInput),
    ):  # fmt: skip
        with pytest.raises(error):
            erase.erase(house.guard, host_actor(), of, seqs, reason, now)
    assert size(house) == before


def test_a_payload_emptied_past_us_is_broken_not_erased(read_once: tuple[House, str, int]) -> None:
    """Without the row that names the erasing entry an empty payload is tampering, wherever it is opened."""
    house, _, seq = read_once
    trigger = (
        "DROP TRIGGER trail_payload_no_update" if house.store.dialect == "sqlite" else "ALTER TABLE trail_payload DISABLE TRIGGER USER"
    )
    tamper(house, trigger, f"UPDATE trail_payload SET wrapped = {'x' if house.store.dialect == 'sqlite' else ''}'' WHERE seq = {seq}")

    with pytest.raises(SealBroken):
        payload_of(house.guard, entry_at(house.store, house.guard.log, seq))


def test_the_command_asks_before_it_erases(read_once: tuple[House, str, int]) -> None:
    """`gardu audit erase` lists what goes; "no" leaves everything; --yes erases and says by which entry."""
    house, _, seq = read_once

    no = command(house, "erase", str(seq), "--reason", REASON, typed="n\n")
    assert no.exit_code == 1 and f"entry {seq}:" in no.output and checked(house) == []
    yes = command(house, "erase", str(seq), "--reason", REASON, "--yes", "--json")

    said = json.loads(yes.stdout.splitlines()[-1])
    assert (said["erased"], said["by_log"], said["seq"]) == ([seq], house.guard.log, size(house) - 1)
    verified = command(house, "verify", "--store", "--json")
    assert json.loads(verified.stdout.splitlines()[-1])["ok"] is True


# ---- pruning ----


@pytest.fixture
def aged(house: House) -> tuple[House, prune.Room, Someone, Someone]:
    """A house whose first 600 entries are six years old, and two people who may decide."""
    first, second = Someone(house, "admin.satu"), Someone(house, "keamanan.dua", Role.PETUGAS_KEAMANAN)
    old_entries(house, 600)
    house.clock.move(days=6 * 366)  # type: ignore[attr-defined]  # the fake clock
    return house, room_of(house), first, second


def as_actor(house: House, who: Someone, stack: ExitStack) -> Actor:
    """Sign somebody in for the length of *stack*."""
    house.clock.move(minutes=2)  # type: ignore[attr-defined]  # a code is used once
    return stack.enter_context(present(house.identity, who.claim(), house.clock.now))


def test_two_people_prune_what_is_older_than_five_years(aged: tuple[House, prune.Room, Someone, Someone]) -> None:
    """One proposes, another confirms; both signed in with password and code; log and store verify from the minimum on."""
    house, room, first, second = aged
    with ExitStack() as stack:
        uid = prune.propose(room, as_actor(house, first, stack), 512, REASON, house.clock.now())
        waits = prune.waiting(room, house.clock.now())
        done = prune.confirm(room, as_actor(house, second, stack), uid, house.clock.now())

    assert waits is not None and (waits.uid, waits.minimum) == (uid, 512)
    assert (done.minimum, done.gone["trail_entry"]) == (512, 512)
    assert (checked(house), store_findings(house), prune.waiting(room, house.clock.now())) == ([], [], None)
    said = [(one["outcome"], one["actor"], one["assurance"] is not None) for one in entries(house, 512) if one["action"] == "trail:prune"]
    assert said == [("intent", first.uid, True), ("done", second.uid, True)]
    with house.store.reading() as session:
        assert all(one.ended_at is not None for one in session.query(LoginSession).all())


def test_who_proposed_cannot_confirm_and_nobody_else_decides(aged: tuple[House, prune.Room, Someone, Someone]) -> None:
    """The proposer, a fresh invitee of theirs, an operator, and somebody with a wrong code: refused, recorded, nothing goes."""
    house, room, first, second = aged
    with ExitStack() as stack:
        actor = as_actor(house, first, stack)
        uid = prune.propose(room, actor, 512, REASON, house.clock.now())
        with pytest.raises(NotAllowed, match="two people"):
            prune.confirm(room, actor, uid, house.clock.now())
        with pytest.raises(NotAllowed):
            prune.confirm(room, operator(house), uid, house.clock.now())
        with pytest.raises(Conflict, match="waits already"):
            prune.propose(room, actor, 256, REASON, house.clock.now())
    with pytest.raises(GarduError), present(house.identity, second.claim(code="000000"), house.clock.now):
        pytest.fail("signed in with a wrong code")
    with pytest.raises(GarduError), present(house.identity, second.claim(password="salah sama sekali"), house.clock.now):
        pytest.fail("signed in with a wrong password")

    assert [one for one in outcomes(house, 600) if one[0] == "trail:prune"] == [("trail:prune", "intent")] + [("trail:prune", "denied")] * 2
    assert checked(house) == [] and size(house) > 600


def test_a_proposal_lapses_is_refused_or_no_longer_fits(aged: tuple[House, prune.Room, Someone, Someone]) -> None:
    """After a day, after a refusal, or when the row was changed past us, nothing goes."""
    house, room, first, second = aged
    with ExitStack() as stack:
        uid = prune.propose(room, as_actor(house, first, stack), 512, REASON, house.clock.now())
        tamper(house, "UPDATE prune_request SET minimum = 256")
        actor = as_actor(house, second, stack)
        with pytest.raises(SealBroken):
            prune.confirm(room, actor, uid, house.clock.now())
        tamper(house, "UPDATE prune_request SET minimum = 512")
        prune.refuse(room, actor, uid, house.clock.now())
        with pytest.raises(Conflict, match="decided already"):
            prune.confirm(room, actor, uid, house.clock.now())
    with ExitStack() as stack:
        uid = prune.propose(room, as_actor(house, first, stack), 512, REASON, house.clock.now())
        house.clock.move(hours=25)  # type: ignore[attr-defined]
        with pytest.raises(Conflict, match="older than a day"):
            prune.confirm(room, as_actor(house, second, stack), uid, house.clock.now())

    assert checked(house) == []


def test_young_entries_and_those_the_roll_stands_on_stay(house: House, tmp_path: Path) -> None:
    """Less than five years old: refused. Old, but rows of the roll were written by them: refused too, and both are recorded."""
    first = Someone(house, "admin.satu")
    room = room_of(house)
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1)]))
    old_entries(house, 300)
    with ExitStack() as stack:
        with pytest.raises(Conflict, match="younger than five years"):
            prune.propose(room, as_actor(house, first, stack), 256, REASON, house.clock.now())
        house.clock.move(days=6 * 366)  # type: ignore[attr-defined]
        with pytest.raises(Conflict, match="roll still holds"):
            prune.propose(room, as_actor(house, first, stack), 256, REASON, house.clock.now())

    assert [one for one in outcomes(house) if one[0] == "trail:prune"] == [("trail:prune", "denied")] * 2


def test_the_commands_ask_for_password_and_code(sqlite_house: House) -> None:
    """`gardu audit prune propose`: signed in by prompts that echo nothing; a refusal is one line, not a traceback."""
    now = SystemClock().now()
    who = Someone(sqlite_house, "admin.satu", now=now)
    old_entries(sqlite_house, 300)

    done = command(
        sqlite_house, "prune", "propose", "--below", "256", "--reason", REASON, "--as", who.username, typed=f"{PASSWORD}\n{who.code(now)}\n"
    )
    wrong = command(sqlite_house, "prune", "refuse", "a" * 26, "--as", who.username, typed=f"{PASSWORD}x\n000000\n")

    assert done.exit_code == 2 and "younger than five years" in done.output
    assert PASSWORD not in done.output and who.code(now) not in done.output
    assert wrong.exit_code == 2 and "Traceback" not in wrong.output
