"""One voter is erased by two people: not there at once, and opened by nobody once the keys are gone. Everybody else stays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import text

from app.cli.shell import host_actor
from app.custody import voter_erasure
from app.custody.voter_erasure import Decision
from app.factory import House
from app.identity import accounts
from app.kernel.actor import Actor
from app.kernel.errors import BadInput, Conflict, NotAllowed, NotThere
from app.kernel.fields import Element, Role
from app.touch import Change
from app.voters import actions, corrections
from tests.conftest import KAB, dp4_row, operator, task
from tests.custody.rotation_kit import all_read, begin, change_provider_key, custody, fill, finish, step, turn
from tests.walk_kit import content, outcomes, rows_of, seen_in, size, store_findings, tamper, uid_of

REASON = "Putusan pengadilan no. 7."


def decider(house: House, name: str, role: Role = Role.ADMIN_SISTEM) -> Actor:
    """Somebody who decides, with an account."""
    uid, _ = accounts.create(
        house.identity, host_actor(), username=name, name=f"Orang {name}", office="kpu-00", unit="keamanan", roles=(role.value,),
        now=house.clock.now(), password="lumbung-pelita-7hd2k9", must_change=False,
    )  # fmt: skip
    return operator(house, "00", uid=uid, office="kpu-00", unit="keamanan", role=role, roles=frozenset({role}))


@dataclass
class Case:
    """A filled house, two deciders, and a voter to be erased."""

    house: House
    asker: Actor
    other: Actor
    uid: str

    @property
    def public(self) -> str:
        return f"{KAB}-{self.uid}"

    def ask(self) -> str:
        return voter_erasure.ask(custody(self.house), self.asker, self.public, REASON, self.house.clock.now())

    def confirm(self, erasure: str) -> str:
        return voter_erasure.decide(custody(self.house), self.other, erasure, Decision.CONFIRM, self.house.clock.now())

    def erase(self) -> str:
        erasure = self.ask()
        self.confirm(erasure)
        return erasure

    def state(self) -> tuple[str, str]:
        [one] = voter_erasure.listed(custody(self.house), None, self.house.clock.now())
        return one.state, one.stage


@pytest.fixture
def case(house: House, tmp_path: Path) -> Case:
    """Over each engine."""
    fill(house, tmp_path, 4)
    return Case(house, decider(house, "admin.satu"), decider(house, "petugas", Role.PETUGAS_KEAMANAN), uid_of(house, 1))


@pytest.fixture
def one(sqlite_house: House, tmp_path: Path) -> Case:
    """Over SQLite alone, where the engine makes no difference."""
    fill(sqlite_house, tmp_path, 4)
    return Case(
        sqlite_house, decider(sqlite_house, "admin.satu"), decider(sqlite_house, "petugas", Role.PETUGAS_KEAMANAN), uid_of(sqlite_house, 1)
    )


def test_an_erased_voter_is_not_there_for_anybody_and_the_store_is_as_the_log_says(case: Case) -> None:
    """Neither by address nor by NIK nor by name; the row's place in counts stays, empty."""
    before = size(case.house)
    erasure = case.erase()

    assert outcomes(case.house, before) == [("voter:erase", "intent"), ("voter:erase", "allowed")]
    assert content(case.house, size(case.house) - 1)["reason"] == REASON
    assert before in seen_in(case.house, case.uid)
    assert case.state() == ("pending", "kab")
    with pytest.raises(NotThere):
        actions.read_voter(case.house.guard, operator(case.house), task(), case.uid, case.house.clock.now())
    found = actions.find_by_nik(case.house.guard, operator(case.house), task(), dp4_row(1)["NIK"], case.house.clock.now())
    assert not found.shown
    assert not found.broken
    row = rows_of(case.house, "SELECT c01, c13, b_nik, b_nkk, b_nd, seal, status FROM voter WHERE uid = :v", v=case.uid)[0]
    assert {bytes(row[name]) for name in ("c01", "c13", "b_nik", "b_nkk", "b_nd", "seal")} == {b""}  # type: ignore[call-overload]
    assert rows_of(case.house, "SELECT uid FROM voter_key WHERE uid = :v", v=case.uid) == []
    assert rows_of(case.house, "SELECT uid FROM nik_index WHERE uid = :v", v=case.uid) == []
    assert all_read(case.house, range(2, 5))
    assert store_findings(case.house) == []
    assert erasure


def test_it_is_done_when_the_kabs_key_and_the_provider_key_are_gone(case: Case) -> None:
    """Pending says which key is still to go; each step has its entry, and running the last one twice changes nothing."""
    erasure = case.erase()
    turn(case.house)
    assert case.state() == ("pending", "provider")
    assert voter_erasure.settle(custody(case.house), case.house.clock.now()) == []

    case.house = change_provider_key(case.house)
    settled = voter_erasure.settle(custody(case.house), case.house.clock.now())

    assert settled == [erasure]
    assert case.state() == ("done", "")
    assert outcomes(case.house)[-1] == ("voter:erase", "done")
    assert case.uid in str(content(case.house, size(case.house) - 1)["voter"])
    assert voter_erasure.settle(custody(case.house), case.house.clock.now()) == []
    assert all_read(case.house, range(2, 5))
    assert store_findings(case.house) == []
    case.house.close()


def test_a_rotation_that_had_begun_before_does_not_make_it_done(case: Case) -> None:
    """The row may have been wrapped under the new key already: only the next rotation takes it away."""
    uid = begin(case.house)
    step(case.house, uid)
    case.erase()
    finish(case.house, uid)

    assert case.state() == ("pending", "kab")
    turn(case.house)
    assert case.state() == ("pending", "provider")
    assert store_findings(case.house) == []


def test_whoever_asks_does_not_confirm(one: Case) -> None:
    """It takes two people, and the refusal is recorded."""
    erasure, before = one.ask(), size(one.house)

    with pytest.raises(NotAllowed):
        voter_erasure.decide(custody(one.house), one.asker, erasure, Decision.CONFIRM, one.house.clock.now())

    assert outcomes(one.house, before) == [("voter:erase", "denied")]
    assert all_read(one.house, range(1, 5))


def test_whom_the_asker_has_just_invited_does_not_confirm(one: Case) -> None:
    """Whoever hands out a password could be their own second person."""
    uid, _ = accounts.create(
        one.house.identity, one.asker, username="baru", name="Orang Baru", office="kpu-00", unit="data", roles=("admin_sistem",),
        now=one.house.clock.now(), password="lumbung-pelita-7hd2k9", must_change=False,
    )  # fmt: skip
    young = replace(one.other, uid=uid)
    erasure = one.ask()

    with pytest.raises(NotAllowed):
        voter_erasure.decide(custody(one.house), young, erasure, Decision.CONFIRM, one.house.clock.now())


def test_an_operator_neither_asks_nor_decides(one: Case) -> None:
    """Only an administrator or a security officer."""
    with pytest.raises(NotAllowed):
        voter_erasure.ask(custody(one.house), operator(one.house), one.public, REASON, one.house.clock.now())


@pytest.mark.parametrize(
    ("change", "field"), [({"public": "51.71-xyz"}, "voter"), ({"public": "51.71-" + "a" * 26}, "voter"), ({"reason": " "}, "reason")]
)
def test_bad_input_names_the_field(one: Case, change: dict[str, str], field: str) -> None:
    """A voter who is not there, an address that is none, no reason."""
    with pytest.raises(BadInput) as refused:
        voter_erasure.ask(
            custody(one.house), one.asker, change.get("public", one.public), change.get("reason", REASON), one.house.clock.now()
        )

    assert refused.value.field == field


def test_a_second_request_for_the_same_voter_is_refused(one: Case) -> None:
    """While one waits, and after the voter was erased."""
    erasure = one.ask()
    with pytest.raises(Conflict):
        one.ask()

    one.confirm(erasure)
    with pytest.raises(BadInput):
        one.ask()


def test_refused_withdrawn_and_late_requests_change_nothing(one: Case) -> None:
    """Each has its entry, and the voter can be asked about again."""
    room, now = custody(one.house), one.house.clock.now()
    assert voter_erasure.decide(room, one.other, one.ask(), Decision.REFUSE, now) == "refused"
    assert voter_erasure.decide(room, one.asker, one.ask(), Decision.WITHDRAW, now) == "withdrawn"
    late = one.ask()
    one.house.clock.move(hours=25)
    with pytest.raises(Conflict):
        one.confirm(late)
    one.ask()

    assert all_read(one.house, range(1, 5))
    states = sorted(shown.state for shown in voter_erasure.listed(room, one.asker, one.house.clock.now()))
    assert states == ["lapsed", "refused", "waiting", "withdrawn"]


def test_a_request_changed_past_gardu_erases_nobody(one: Case) -> None:
    """Whoever may write to the database cannot turn a request to another voter."""
    erasure, victim, before = one.ask(), uid_of(one.house, 2), size(one.house)
    tamper(one.house, "UPDATE voter_erasure SET voter = :v WHERE uid = :u", v=victim, u=erasure)
    before = size(one.house)

    with pytest.raises(Exception, match="does not match the seal"):
        one.confirm(erasure)

    assert outcomes(one.house, before) == [("voter:erase", "broken")]
    assert all_read(one.house, range(1, 5))


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DELETE FROM voter_erasure", "its tombstone is gone"),
        ("UPDATE voter_erasure SET state = 'refused'", "its tombstone is gone"),
        ("UPDATE voter_erasure SET reason = 'lain'", "does not match the seal"),
        ("UPDATE voter SET c03 = x'01' WHERE status = 'dihapus'", "it is there again"),
        ("INSERT INTO voter_key (kab, uid, wrapped, epoch) SELECT kab, voter, x'00', 1 FROM voter_erasure", "voter_key"),
    ],
)
def test_an_erasure_undone_in_the_database_is_found(one: Case, statement: str, words: str) -> None:
    """A tombstone taken away, or the voter put back: the check of the store names it."""
    one.erase()
    tamper(one.house, statement)

    assert any(words in found for found in store_findings(one.house)), store_findings(one.house)


def test_a_tombstone_that_no_entry_speaks_of_is_found(one: Case) -> None:
    """A voter buried in the database alone would be hidden from the roll."""
    erasure = one.ask()
    tamper(one.house, "UPDATE voter_erasure SET state = 'done' WHERE uid = :u", u=erasure)

    assert f"entry None: voter_erasure {erasure}: no entry erased this voter" in store_findings(one.house)


def test_a_correction_under_way_does_not_bring_the_voter_back(one: Case) -> None:
    """The form was open when the voter was erased."""
    form = corrections.open_one(one.house.roll, operator(one.house), task(), one.uid, Element.ALAMAT, one.house.clock.now())
    one.erase()

    with pytest.raises(NotThere):
        corrections.correct(
            one.house.roll,
            operator(one.house),
            task(),
            one.uid,
            Change(Element.ALAMAT, "JL. LAIN", "dokumen", "uji"),
            form[2],
            one.house.clock.now(),
        )
    assert store_findings(one.house) == []


def test_the_application_deletes_neither_keys_nor_indexes_by_itself(postgres_house: House, tmp_path: Path) -> None:
    """Its role has no right to; the functions ask for the tombstone and for the entry."""
    fill(postgres_house, tmp_path, 2)
    uid = uid_of(postgres_house, 1)
    for statement, said in (
        ("DELETE FROM voter_key", "permission denied"), ("DELETE FROM nik_index", "permission denied"), ("DELETE FROM vault_key", "permission denied"),
        (f"SELECT gardu_bury('{KAB}', '{uid}')", "no tombstone names this voter"),
        (f"SELECT gardu_destroy_key('seal', '{KAB}', 1)", "no entry of the log destroys this key"),
    ):  # fmt: skip
        with pytest.raises(Exception, match=said), postgres_house.store.writing() as session:
            session.execute(text(statement))
    assert all_read(postgres_house, range(1, 3))
