"""The walk: nothing is shown without a decision before and a durable entry after; what was tampered with is never shown."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from app import touch
from app.audit.content import visit_commitment
from app.audit.entry import subjects_root
from app.factory import House
from app.kernel.actor import Actor, Ask
from app.kernel.errors import GarduError, KeysDown, NotThere, SealBroken, StepUpNeeded, TrailDown
from app.kernel.fields import ELEMENTS, Basis, Element, Purpose, Role, Stage, Unit, View
from app.kernel.ids import new_uid
from app.policy.visit import Mandate, Visit
from app.store.keys import WrappedKeys
from app.touch import Listing, SearchKey
from app.vault.house import KeyHouse
from app.vault.keys.local import LocalKeyring
from app.voters import actions, elections
from app.voters.actions import LISTED, Place, Task
from tests.conftest import ELECTION, KAB, NEIGHBOUR, PASSPHRASE, VOTING_DAY, dp4_row, load_dp4, operator, task, write_dp4
from tests.walk_kit import (
    Installed,
    content,
    entries,
    entry_at,
    guard_on,
    house,
    installed_postgres,
    installed_sqlite,
    person,
    postgres_house,
    rows_of,
    seen_in,
    size,
    sqlite_house,
    supervision,
    tamper,
    tampered,
    truth,
    uid_of,
)

# Used as fixtures.
__all__ = ["house", "installed_postgres", "installed_sqlite", "postgres_house", "sqlite_house"]
SANUR, SESETAN, KUTA = "51.71.01.1006", "51.71.01.1003", "51.03.01.1002"
NEIGHBOURS_ROW = dp4_row(21, NIK="5103010101800021", KECAMATAN="KUTA", DESA="KUTA")
BLOBS = ("c00", "c01", "c02", "c03", "c04", "c05", "c06", "c07", "c08", "c09", "c10", "c11", "c12", "c13", "b_nkk", "seal")


def test_an_operator_reads_a_voter_of_the_own_region(house: House, tmp_path: Path) -> None:
    """All that the policy opens comes out, under one receipt."""
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1), dp4_row(2)]))

    found = actions.find_by_nik(house.guard, operator(house), task(), dp4_row(2)["NIK"], house.clock.now())
    shown, _ = actions.read_voter(house.guard, operator(house), task(), found.shown[0].row.uid, house.clock.now())
    assert shown.values[Element.NAMA] == dp4_row(2)["NAMA"]
    assert shown.receipt.seq == found.receipt.seq + 1


def test_the_neighbours_operator_gets_not_there(house: House, tmp_path: Path) -> None:
    """A voter of another kab and a voter who does not exist give the same answer."""
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1)]))
    uid = actions.find_by_nik(house.guard, operator(house), task(), dp4_row(1)["NIK"], house.clock.now()).shown[0].row.uid

    with pytest.raises(NotThere):
        actions.read_voter(house.guard, operator(house, NEIGHBOUR), task(), uid, house.clock.now())


# ---- a roll that several tests look at; whoever changes it puts it back ----


@dataclass(frozen=True)
class Roll:
    """A house with four voters of Sanur TPS 001 and one of the neighbour; v and w are rows of Sanur, as stored."""

    house: House
    v: Mapping[str, object]
    w: Mapping[str, object]
    neighbour: Mapping[str, object]
    shown: Mapping[str, Mapping[Element, str | None]]

    @property
    def now(self) -> datetime:
        return self.house.clock.now()

    @property
    def uid(self) -> str:
        return str(self.v["uid"])


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def roll(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roll]:
    """The roll of each engine, loaded once for this module."""
    folder = tmp_path_factory.mktemp("roll")
    installed: Installed = request.getfixturevalue(f"installed_{request.param}")
    house = installed.copy(folder / "data", request.getfixturevalue("postgres") if request.param == "postgres" else None)
    load_dp4(house, write_dp4(folder / "a.csv", [dp4_row(number) for number in (1, 2, 3, 4)]))
    load_dp4(house, write_dp4(folder / "b.csv", [NEIGHBOURS_ROW]), NEIGHBOUR)
    v, w = (_row(house, uid_of(house, number)) for number in (1, 2))
    neighbour = rows_of(house, "SELECT * FROM voter WHERE kab = :kab", kab=NEIGHBOUR)[0]
    shown = {uid: _read(house, uid).values for uid in (uid_of(house, number) for number in (1, 2, 3, 4))}
    yield Roll(house, v, w, neighbour, shown)
    house.close()


def _row(house: House, uid: str) -> dict[str, object]:
    [row] = rows_of(
        house, "SELECT v.*, k.wrapped FROM voter v JOIN voter_key k ON k.kab = v.kab AND k.uid = v.uid WHERE v.uid = :uid", uid=uid
    )
    return row


def _read(house: House, uid: str, actor: Actor | None = None, of: Task | None = None) -> touch.Disclosure:
    return actions.read_voter(house.guard, actor or operator(house), of or task(), uid, house.clock.now())[0]


# ---- decision, entry, value: in this order ----


def test_every_value_is_what_the_file_said_as_far_as_its_view_goes(roll: Roll) -> None:
    """Thirteen elements, each as the policy shows it to an operator with a fresh code."""
    row, disclosure = truth(dp4_row(1)), _read(roll.house, roll.uid)

    assert set(disclosure.values) == set(ELEMENTS)
    for element in ELEMENTS:
        if disclosure.grant.views[element] == View.UTUH:
            assert disclosure.values[element] == row[element]
    assert disclosure.grant.views[Element.DISABILITAS] == View.RINGKAS
    assert disclosure.values[Element.DISABILITAS] == "tidak"


@pytest.mark.parametrize("point", ["locked", "inserted", "signed"])
def test_while_the_log_cannot_be_written_nothing_is_shown(roll: Roll, point: str) -> None:
    """Whatever fails before the commit: no value, no hit, no list; only that the log is down."""

    def fault(at: str) -> None:
        if at == point:
            raise OSError(28, "No space left on device")

    before = size(roll.house)
    guard = guard_on(roll.house, roll.house.store, fault)

    for door in _doors(roll, guard):
        with pytest.raises(TrailDown):
            door()
    assert size(roll.house) == before
    guard.trail.close()


def test_a_commit_whose_outcome_is_unknown_is_looked_up_before_anything_is_shown(roll: Roll) -> None:
    """The entry was committed although the connection broke after it: the value may leave, and the entry is there."""

    def fault(at: str) -> None:
        if at == "committed":
            raise ConnectionError("the line broke")

    guard = guard_on(roll.house, roll.house.store, fault)
    shown = actions.read_voter(guard, operator(roll.house), task(), roll.uid, roll.now)[0]
    guard.trail.close()

    assert entry_at(roll.house, shown.receipt.seq)["action"] == "voter:reveal"


def test_the_entry_is_on_disk_before_a_value_leaves(roll: Roll) -> None:
    """Another connection finds it while the caller still waits; dying there shows nobody anything."""
    seen: list[object] = []

    def fault(at: str) -> None:
        if at == "woken":
            seen.append(rows_of(roll.house, "SELECT max(seq) AS seq FROM trail_entry WHERE log = :log", log=roll.house.guard.log)[0]["seq"])
            raise KeyboardInterrupt

    before = size(roll.house)
    guard = guard_on(roll.house, roll.house.store, fault)

    with pytest.raises(KeyboardInterrupt):
        actions.read_voter(guard, operator(roll.house), task(), roll.uid, roll.now)
    guard.trail.close()
    assert seen == [before]


def test_a_refusal_that_cannot_be_recorded_is_no_refusal_but_503(roll: Roll) -> None:
    """While the log is down even "not there" is not said."""

    def fault(at: str) -> None:
        if at == "locked":
            raise OSError(28, "No space left on device")

    guard = guard_on(roll.house, roll.house.store, fault)

    with pytest.raises(TrailDown):
        actions.read_voter(guard, operator(roll.house, NEIGHBOUR), task(), roll.uid, roll.now)
    guard.trail.close()


def _doors(roll: Roll, guard: touch.Guard, actor: Actor | None = None) -> list[Callable[[], object]]:
    """Every way in which an operator meets the voter v."""
    who, row = actor or operator(roll.house), dp4_row(1)
    return [
        lambda: actions.read_voter(guard, who, task(), roll.uid, roll.now)[0],
        lambda: actions.find_by_nik(guard, who, task(), row["NIK"], roll.now),
        lambda: actions.find_by_name(guard, who, task(), row["NAMA"], "1980-01-01", roll.now),
        lambda: actions.browse(guard, who, task(), Place(SANUR, "001", None, 100), roll.now)[0],
    ]


# ---- what the entry says ----


def test_the_entry_of_a_reveal_says_who_what_why_and_nothing_of_the_voter(roll: Roll) -> None:
    """Every member of the entry is the decision's own."""
    disclosure = _read(roll.house, roll.uid)
    entry = entry_at(roll.house, disclosure.receipt.seq)

    assert (entry["actor"], entry["office"], entry["role"]) == ("o" * 26, "kpu-51.71", "kpu_kab")
    assert (entry["action"], entry["outcome"]) == ("voter:reveal", "allowed")
    assert (entry["election"], entry["stage"], entry["purpose"], entry["basis"]) == (ELECTION, "dps", "pemutakhiran", "pkpu7_2022")
    assert entry["policy"] == roll.house.guard.policies.hash
    assert entry["scope"] == SANUR
    assert entry["fields"] == {element.value: view.word for element, view in disclosure.grant.views.items()}
    assert entry["rule"] == sorted({rule for rules in disclosure.grant.rules.values() for rule in rules})
    assert entry["assurance"] == {"age": 0, "challenge": None, "method": "totp"}
    assert roll.uid not in json.dumps(entry)


def test_the_payload_recomputes_what_the_entry_commits_to(roll: Roll) -> None:
    """Salt, subjects and visit in the sealed payload give the entry's root and commitment."""
    disclosure = _read(roll.house, roll.uid)
    entry, inside = entry_at(roll.house, disclosure.receipt.seq), content(roll.house, disclosure.receipt.seq)
    salt = bytes.fromhex(str(inside["salt"]))

    assert inside["subjects"] == [roll.uid]
    assert entry["subjects"] == {"count": 1, "root": subjects_root(salt, [roll.uid]).hex()}
    assert entry["visit"] == visit_commitment(salt, str(inside["visit"]).encode()).hex()
    assert inside["address"] == "192.0.2.1"
    assert disclosure.receipt.seq in seen_in(roll.house, roll.uid)


def test_a_recorded_visit_decides_again_as_it_did(roll: Roll) -> None:
    """Replay: the visit read from the payload gives the views and rules that were recorded."""
    disclosure = _read(roll.house, roll.uid, operator(roll.house, factor_at=roll.now - timedelta(hours=2)))
    recorded = json.loads(str(content(roll.house, disclosure.receipt.seq)["visit"]))
    again = roll.house.guard.policies.decide(_visit(recorded["visit"]))

    assert {element.value: view.word for element, view in again.views.items()} == recorded["views"]
    assert {element.value: list(rules) for element, rules in again.rules.items()} == recorded["rules"]


def _visit(said: dict[str, object]) -> Visit:
    return Visit(
        person=str(said["person"]), office=str(said["office"]), unit=str(said["unit"]), role=Role(said["role"]),
        roles=frozenset(map(Role, said["roles"])),  # type: ignore[call-overload]
        jurisdiction=str(said["jurisdiction"]), region=str(said["region"]), purpose=Purpose(said["purpose"]), basis=Basis(said["basis"]),
        election=str(said["election"]), stage=Stage(said["stage"]), moment=datetime.fromisoformat(str(said["moment"])),
        factor_age=int(str(said["factor_age"])), mandate=None, subject=str(said["subject"]), approved_subject=bool(said["approved_subject"]),
    )  # fmt: skip


# ---- refusals ----


NEVER_READ = (Role.ADMIN_SISTEM, Role.PENYETUJU, Role.PROSES, Role.PETUGAS_KEAMANAN, Role.PEJABAT_PDP)


@pytest.mark.parametrize("role", NEVER_READ)
def test_these_roles_reveal_nothing_whatever_they_say_they_are_for(roll: Roll, role: Role) -> None:
    """Administrator, approver, process, security officer; the privacy officer not without a mandate."""
    before = size(roll.house)
    for purpose in Purpose:
        for basis in (Basis.PKPU7_2022, Basis.UU7_2017):
            with pytest.raises(NotThere):
                _read(roll.house, roll.uid, person(roll.house, role), Task(purpose, basis, KAB))

    written = entries(roll.house, before)
    assert len(written) == 2 * len(Purpose)
    assert {(entry["action"], entry["outcome"], entry["fields"] and 1) for entry in written} == {("voter:reveal", "denied", None)}


@pytest.mark.parametrize("second", [Role.ADMIN_SISTEM, Role.PENYETUJU, Role.PROSES])
def test_a_forbidden_role_held_beside_forbids_too(roll: Roll, second: Role) -> None:
    """An operator who is also an approver or administrator reads nothing, although the operator's role is the active one."""
    both = operator(roll.house, roles=frozenset({Role.KPU_KAB, second}))

    for door in _doors(roll, roll.house.guard, both):
        with pytest.raises(NotThere):
            door()


def test_a_refusal_is_recorded_with_its_rules_and_without_a_view(roll: Roll) -> None:
    """The entry of a refusal names who was asked for, which rule said no, and no field."""
    before = size(roll.house)
    with pytest.raises(NotThere):
        _read(roll.house, roll.uid, operator(roll.house, NEIGHBOUR))

    [entry] = entries(roll.house, before)
    assert (entry["outcome"], entry["fields"]) == ("denied", None)
    assert entry["rule"]
    assert content(roll.house, before)["subjects"] == [roll.uid]


def test_elsewhere_and_nowhere_look_the_same_in_ones_own_activity(roll: Roll) -> None:
    """The refused voter's entry tells the refused person neither that the voter exists nor in which desa."""
    stranger, before = operator(roll.house, NEIGHBOUR), size(roll.house)
    for uid in (roll.uid, new_uid()):
        with pytest.raises(NotThere) as refused:
            _read(roll.house, uid, stranger)
        assert refused.value.public == NotThere.public

    elsewhere, nowhere = entries(roll.house, before)
    own = {"seq", "prev", "visit", "payload", "subjects"}
    assert {name: value for name, value in elsewhere.items() if name not in own} == {k: v for k, v in nowhere.items() if k not in own}
    assert elsewhere["scope"] == KAB
    assert elsewhere["subjects"]["count"] == nowhere["subjects"]["count"] == 1  # type: ignore[index]


def test_a_voter_who_is_nowhere_in_the_own_region_is_recorded_too(roll: Roll) -> None:
    """A read that misses is a touch: somebody tried an address."""
    before, uid = size(roll.house), new_uid()
    with pytest.raises(NotThere):
        _read(roll.house, uid)

    [entry] = entries(roll.house, before)
    assert (entry["action"], entry["outcome"], entry["fields"]) == ("voter:reveal", "failed", None)
    assert content(roll.house, before)["subjects"] == [uid]


@pytest.mark.parametrize("door", range(4))
def test_a_region_outside_is_not_there_through_every_door(roll: Roll, door: int) -> None:
    """An operator of the neighbour asks for this kab: denied and recorded, with nothing opened."""
    before = size(roll.house)
    with pytest.raises(NotThere):
        _doors(roll, roll.house.guard, operator(roll.house, NEIGHBOUR))[door]()

    [entry] = entries(roll.house, before)
    assert (entry["outcome"], entry["scope"], entry["fields"]) == ("denied", KAB, None)


def test_a_list_that_holds_a_row_of_elsewhere_is_refused_whole(roll: Roll) -> None:
    """Whoever hands the walk a row outside the region asked gets nothing, and an entry says so."""
    house, before = roll.house, size(roll.house)
    with house.store.reading() as session:
        mixed = [*actions.rows_by_uid(session, KAB, [roll.uid]), *actions.rows_by_uid(session, NEIGHBOUR, [str(roll.neighbour["uid"])])]
    ask = Ask(Purpose.PEMUTAKHIRAN, Basis.PKPU7_2022, KAB, ELECTION, Stage.DPS)

    with pytest.raises(NotThere):
        touch.reveal_many(house.guard, operator(house), ask, mixed, LISTED, voting_day=VOTING_DAY, now=roll.now)
    assert [entry["outcome"] for entry in entries(house, before)] == ["denied"]


# ---- searching ----


def test_a_hit_and_a_miss_are_both_recorded(roll: Roll) -> None:
    """The hit names its subject under a root; the miss names nobody, and both say in the payload how many rows were opened."""
    house, before = roll.house, size(roll.house)
    hit = actions.find_by_nik(house.guard, operator(house), task(), dp4_row(1)["NIK"], roll.now)
    miss = actions.find_by_nik(house.guard, operator(house), task(), "5171010101809999", roll.now)

    first, second = entries(house, before)
    assert [one.row.uid for one in hit.shown] == [roll.uid]
    assert not miss.shown
    assert (first["action"], first["outcome"], second["action"], second["outcome"]) == ("voter:search", "allowed") * 2
    salt = bytes.fromhex(str(content(house, before)["salt"]))
    assert first["subjects"] == {"count": 1, "root": subjects_root(salt, [roll.uid]).hex()}
    assert second["subjects"] is None
    assert (content(house, before)["opened"], content(house, before + 1)["opened"]) == (1, 0)
    assert set(first["fields"]) == {element.value for element in LISTED}  # type: ignore[call-overload]


def test_what_was_searched_stands_nowhere_in_the_log(roll: Roll) -> None:
    """Neither entry nor opened payload repeats the NIK, the name or the birth date that was typed."""
    house, before, row = roll.house, size(roll.house), dp4_row(1)
    actions.find_by_nik(house.guard, operator(house), task(), row["NIK"], roll.now)
    actions.find_by_name(house.guard, operator(house), task(), row["NAMA"], "1980-01-01", roll.now)

    for seq in (before, before + 1):
        said = json.dumps([entry_at(house, seq), content(house, seq)])
        assert row["NIK"] not in said
        assert row["NAMA"] not in said
        assert not any(date in said for date in ("1980-01-01", "01-01-1980", "19800101", "01011980"))


@pytest.mark.parametrize("spelling", ["wayan uji b", "WYN. UJI B", "Wayan  Oedji B"])
def test_a_name_is_found_in_another_spelling(roll: Roll, spelling: str) -> None:
    """The candidate of the blind index is compared as the index normalises it."""
    found = actions.find_by_name(roll.house.guard, operator(roll.house), task(), spelling, "1980-01-01", roll.now)

    assert [one.row.uid for one in found.shown] == [roll.uid]


def test_a_candidate_of_another_kab_is_never_opened(roll: Roll) -> None:
    """Handed a row of elsewhere by the look-up, the walk leaves it shut: neither opened, nor compared, nor called broken."""
    house, before = roll.house, size(roll.house)
    with house.store.reading() as session:
        [mine] = actions.rows_by_uid(session, KAB, [roll.uid])
        [theirs] = actions.rows_by_uid(session, NEIGHBOUR, [str(roll.neighbour["uid"])])
    ask = Ask(Purpose.PEMUTAKHIRAN, Basis.PKPU7_2022, KAB, ELECTION, Stage.DPS)
    torn = replace(theirs, seal=bytes(32))
    key = SearchKey({Element.NIK: NEIGHBOURS_ROW["NIK"]})

    found = touch.search(house.guard, operator(house), ask, key, lambda: [mine, theirs, torn], LISTED, voting_day=VOTING_DAY, now=roll.now)
    assert (found.shown, found.broken) == ((), ())
    assert [entry["outcome"] for entry in entries(house, before)] == ["allowed"]
    assert content(house, before)["opened"] == 1


@pytest.mark.parametrize("age", [timedelta(0), timedelta(hours=2)])
def test_the_liaison_may_not_search_by_nik(roll: Roll, age: timedelta) -> None:
    """To whom NIK is masked, guessing one must not confirm it; and nobody is sent for a code that would open nothing."""
    liaison = person(roll.house, Role.BAWASLU_KAB, unit="pengawasan", factor_at=roll.now - age)
    before = size(roll.house)

    with pytest.raises(NotThere):
        actions.find_by_nik(roll.house.guard, liaison, supervision(), dp4_row(1)["NIK"], roll.now)
    assert [(entry["action"], entry["outcome"]) for entry in entries(roll.house, before)] == [("voter:search", "denied")]


def test_a_code_that_would_not_open_the_key_is_not_asked_for(roll: Roll) -> None:
    """A mandate opens NKK after a fresh code, and NIK not at all: searching by NIK is simply not there."""
    liaison = person(roll.house, Role.BAWASLU_KAB, unit="pengawasan", factor_at=roll.now - timedelta(hours=2))
    mandate = Mandate(
        uid=new_uid(), holder=liaison.uid, approver1="1" * 26, unit1=Unit.DATA, approver2="2" * 26, unit2=Unit.HUKUM, region=KAB,
        purpose=Purpose.PENGAWASAN, stages=frozenset({Stage.DPS}), elements=frozenset({Element.NKK}), ceiling=View.UTUH,
        start=roll.now - timedelta(days=1), until=roll.now + timedelta(days=1),
    )  # fmt: skip
    ask = Ask(Purpose.PENGAWASAN, Basis.UU7_2017, KAB, ELECTION, Stage.DPS)
    house, before = roll.house, size(roll.house)

    for element, refused in ((Element.NKK, StepUpNeeded), (Element.NIK, NotThere)):
        with pytest.raises(refused) as no:
            touch.search(
                house.guard, liaison, ask, SearchKey({element: "5171010101800001"}), list, LISTED,
                voting_day=VOTING_DAY, now=roll.now, mandate=mandate,
            )  # fmt: skip
        assert type(no.value) is refused
    assert [(entry["outcome"], entry["mandate"]) for entry in entries(house, before)] == [("denied", mandate.uid)] * 2


def test_the_liaison_browses_and_reads_nik_masked(roll: Roll) -> None:
    """Supervision sees names and streets of its region, and of the NIK six digits."""
    liaison = person(roll.house, Role.BAWASLU_KAB, unit="pengawasan")
    disclosure = _read(roll.house, roll.uid, liaison, supervision())

    assert disclosure.values[Element.NIK] == "517101••••••••••"
    assert disclosure.values[Element.NAMA] == dp4_row(1)["NAMA"]
    assert disclosure.values[Element.STATUS_KAWIN] is None
    assert disclosure.values[Element.TANGGAL_LAHIR] == "49"


@pytest.mark.parametrize("door", [1, 2])
def test_searching_with_a_stale_factor_asks_for_a_code(roll: Roll, door: int) -> None:
    """Refused, recorded, and told that a fresh code would do."""
    tired, before = operator(roll.house, factor_at=roll.now - timedelta(hours=2)), size(roll.house)

    if door == 2:
        # Name and birth date are not behind the step-up: the same search just works.
        assert _doors(roll, roll.house.guard, tired)[door]().shown  # type: ignore[attr-defined]
        return
    with pytest.raises(StepUpNeeded):
        _doors(roll, roll.house.guard, tired)[door]()
    assert [(entry["action"], entry["outcome"]) for entry in entries(roll.house, before)] == [("voter:search", "denied")]


def test_a_stale_factor_masks_and_says_what_a_code_would_open(roll: Roll) -> None:
    """The page is shown with the NIK masked, and the grant offers it in full."""
    disclosure = _read(roll.house, roll.uid, operator(roll.house, factor_at=roll.now - timedelta(hours=2)))

    assert disclosure.grant.views[Element.NIK] == View.SAMAR
    assert disclosure.values[Element.NIK] == "517101••••••••••"
    assert disclosure.grant.offer[Element.NIK] == View.UTUH


def test_a_kab_without_rows_has_nothing_to_find_and_no_broken_keys(sqlite_house: House) -> None:
    """Between the stage's entry and the first load there are no keys yet: a search finds nobody, and is recorded."""
    house, empty = sqlite_house, "51.08"
    with house.store.writing() as session:
        elections.set_stage(session, ELECTION, VOTING_DAY, [empty], Stage.DPS, "host:0", house.clock.now())
    before = size(house)

    found = actions.find_by_nik(house.guard, operator(house, empty), task(empty), "5108010101800001", house.clock.now())
    assert not found.shown
    assert [(entry["action"], entry["outcome"]) for entry in entries(house, before)] == [("voter:search", "allowed")]


@dataclass(frozen=True)
class _Without:
    """A key source from which the keys of one purpose are gone."""

    source: WrappedKeys
    gone: str

    def fetch(self, purpose: str, scope: str) -> list[tuple[int, bytes]]:
        return [] if purpose == self.gone else self.source.fetch(purpose, scope)


@pytest.mark.parametrize("gone", ["seal", "nik", "blind"])
def test_keys_that_cannot_be_opened_are_a_recorded_failure(roll: Roll, gone: str) -> None:
    """Nothing is shown, the caller hears which kind of trouble it is, and an entry says that it failed."""
    house, before = roll.house, size(roll.house)
    provider = LocalKeyring.open(house.settings.keyring, PASSPHRASE)
    guard = replace(house.guard, keys=KeyHouse(provider, _Without(WrappedKeys(house.store), gone)))

    with pytest.raises(KeysDown):
        actions.find_by_nik(guard, operator(house), task(), dp4_row(1)["NIK"], roll.now)
    assert [(entry["action"], entry["outcome"]) for entry in entries(house, before)] == [("voter:search", "failed")]


# ---- tampering: what the four doors (address, NIK, name, desa and TPS) say of the voter afterwards ----
# B broken, recorded and not shown; G gone; T the truth.


@dataclass(frozen=True)
class Attack:
    """What somebody with the owner's password does. make: the statements, and their values. doors: what each door then says."""

    name: str
    doors: str
    make: Callable[[Roll], tuple[list[str], dict[str, object]]]


def _flipped(value: object, at: int = -1, bit: int = 1) -> bytes:
    changed = bytearray(value)  # type: ignore[arg-type]
    changed[at] ^= bit
    return bytes(changed)


def _set(name: str, doors: str, **columns: object) -> Attack:
    """Write columns of v; a callable makes the value from the roll."""

    def make(roll: Roll) -> tuple[list[str], dict[str, object]]:
        values = {column: value(roll) if callable(value) else value for column, value in columns.items()}
        return [f"UPDATE voter SET {', '.join(f'{column} = :{column}' for column in values)} WHERE uid = :v"], {**values, "v": roll.uid}

    return Attack(name, doors, make)


def _sql(name: str, doors: str, *statements: str) -> Attack:
    """Run statements that know v and w (uids), the neighbour's uid n, and the two kab."""

    def make(roll: Roll) -> tuple[list[str], dict[str, object]]:
        said = {"v": roll.uid, "w": roll.w["uid"], "kab": NEIGHBOUR, "desa": KUTA, "kec": KUTA[:8]}
        return list(statements), {name: value for name, value in said.items() if any(f":{name}" in one for one in statements)}

    return Attack(name, doors, make)


def _swapped(name: str, doors: str, columns: Sequence[str]) -> Attack:
    """Exchange *columns* of the two voters, by value: a statement that reads the row it has just written would put one of them back."""

    def make(roll: Roll) -> tuple[list[str], dict[str, object]]:
        said = {f"v_{column}": roll.v[column] for column in columns} | {f"w_{column}": roll.w[column] for column in columns}
        both = [
            f"UPDATE voter SET {', '.join(f'{column} = :{other}_{column}' for column in columns)} WHERE uid = :{one}"
            for one, other in (("v", "w"), ("w", "v"))
        ]
        return both, {**said, "v": roll.uid, "w": roll.w["uid"]}

    return Attack(name, doors, make)


def _every_cell_of(donor: Callable[[Roll], Mapping[str, object]]) -> dict[str, object]:
    return {column: (lambda roll, column=column: donor(roll)[column]) for column in (*BLOBS, "b_nik", "b_nd")}


ATTACKS = [
    *(_set(f"{column}: a bit flipped", "BBBB", **{column: lambda r, c=column: _flipped(r.v[c])}) for column in BLOBS),
    *(_set(f"{column}: cut short", "BBBB", **{column: lambda r, c=column: bytes(r.v[c])[:-1]}) for column in ("c02", "seal", "b_nkk")),  # type: ignore[call-overload]
    _set("c03: emptied", "BBBB", c03=b""),
    _set("c03: its version byte changed", "BBBB", c03=lambda r: _flipped(r.v["c03"], 0)),
    _set("c03: its cell version raised", "BBBB", c03=lambda r: _flipped(r.v["c03"], 4, 2)),
    # By NIK the national table's own token is under the seal, so that door still tells the truth.
    _set("b_nik: a bit flipped", "BTBB", b_nik=lambda r: _flipped(r.v["b_nik"])),
    _set("b_nd: a bit flipped", "BBGB", b_nd=lambda r: _flipped(r.v["b_nd"], 0)),
    _set("kec: another", "BBBB", kec="51.71.02"),
    _set("desa: another of the kab", "BBBG", desa=SESETAN),
    _set("desa: one of elsewhere", "GGGG", desa=KUTA),
    _set("desa: no code at all", "BGGG", desa="sanur"),
    _set("tps: another", "BBBG", tps="002"),
    _set("status: struck from the roll", "GGGG", status="dihapus"),
    _set("election: another", "GGGG", election="2024"),
    _set("row_version: raised", "BBBB", row_version=2),
    _set("row_version: beyond four bytes", "BBBB", row_version=-1),
    _set("key_epoch: one that never was", "BBBB", key_epoch=2),
    _set("key_epoch: zero", "BBBB", key_epoch=0),
    _set("c02: the other voter's", "BBBB", c02=lambda r: r.w["c02"]),
    _set("c01 and c02 swapped", "BBBB", c01=lambda r: r.v["c02"], c02=lambda r: r.v["c01"]),
    _set("everything sealed: the other voter's", "BBGB", **_every_cell_of(lambda r: r.w)),
    _swapped("all cells swapped with the other voter's", "BBBB", BLOBS[:14]),
    _sql("wrapped key: the other voter's", "BBBB", "UPDATE voter_key SET wrapped = (SELECT wrapped FROM voter_key WHERE uid = :w) WHERE uid = :v"),
    _sql("wrapped key: removed", "BBBB", "DELETE FROM voter_key WHERE uid = :v"),
    _sql("wrapped key: of no length", "BBBB", "UPDATE voter_key SET wrapped = '' WHERE uid = :v"),
    _sql("whole row: removed", "GGGG", "DELETE FROM voter WHERE uid = :v"),
    _sql("whole row: moved to the other kab", "GGGG", *(f"UPDATE {table} SET kab = :kab WHERE uid = :v" for table in ("voter", "voter_key", "nik_index"))),
    _sql("nik_index: removed", "TGTT", "DELETE FROM nik_index WHERE uid = :v"),
    _sql("nik_index: token is the other voter's", "TGTT", "UPDATE nik_index SET b_nik = (SELECT b_nik FROM nik_index x WHERE x.uid = :w) WHERE uid = :v"),
    _sql("nik_index: points at the other voter", "TBTT", "UPDATE nik_index SET uid = :w WHERE uid = :v"),
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_what_was_tampered_with_is_never_shown(roll: Roll, attack: Attack) -> None:
    """Through every door: broken and recorded, or gone, or the truth; never a wrong value, never another error."""
    statements, values = attack.make(roll)
    with tampered(roll.house, *statements, **values):
        said = "".join(_through(roll, door) for door in _doors(roll, roll.house.guard))

    assert said == attack.doors


def _through(roll: Roll, door: Callable[[], object]) -> str:
    """Go through a door; say what became of v, and check that every value shown is true and every break recorded."""
    before = size(roll.house)
    try:
        found = door()
    except SealBroken as broken:
        assert roll.uid in broken.detail
        _demand_broken_entry(roll, before, roll.uid)
        return "B"
    except NotThere:
        assert [entry["outcome"] for entry in entries(roll.house, before)][-1] in {"denied", "failed"}
        return "G"
    shown = found.shown if isinstance(found, Listing) else (found,)
    for one in shown:
        assert isinstance(one, touch.Disclosure)
        assert all(value == roll.shown[one.row.uid][element] for element, value in one.values.items())
    if isinstance(found, Listing) and found.broken:
        for uid in found.broken:
            _demand_broken_entry(roll, before, uid)
        return "B"
    return "T" if any(one.row.uid == roll.uid for one in shown) else "G"  # type: ignore[union-attr]


def _demand_broken_entry(roll: Roll, since: int, uid: str) -> None:
    broken = [seq for seq, entry in enumerate(entries(roll.house, since), since) if entry["outcome"] == "broken"]

    assert any(uid in content(roll.house, seq)["subjects"] for seq in broken)  # type: ignore[operator]


def test_a_broken_row_is_left_out_and_its_neighbours_are_shown(roll: Roll) -> None:
    """One page, one broken row: three voters, one entry that says broken, one that names the three."""
    before = size(roll.house)
    with tampered(roll.house, "UPDATE voter SET seal = :seal WHERE uid = :v", seal=bytes(32), v=roll.uid):
        listing = _doors(roll, roll.house.guard)[3]()

    assert isinstance(listing, Listing)
    assert listing.broken == (roll.uid,)
    assert {one.row.uid for one in listing.shown} == set(roll.shown) - {roll.uid}
    assert [entry["outcome"] for entry in entries(roll.house, before)] == ["broken", "allowed"]
    assert content(roll.house, before)["subjects"] == [roll.uid]
    assert set(content(roll.house, before + 1)["subjects"]) == set(roll.shown) - {roll.uid}  # type: ignore[call-overload]


def test_an_index_token_that_points_at_another_voter_breaks(roll: Roll) -> None:
    """Searching w's NIK also finds v, put under w's token: v is broken, w is shown."""
    with tampered(
        roll.house,
        "UPDATE nik_index SET b_nik = (SELECT b_nik FROM nik_index x WHERE x.uid = :w) WHERE uid = :v",
        v=roll.uid,
        w=roll.w["uid"],
    ):
        found = actions.find_by_nik(roll.house.guard, operator(roll.house), task(), dp4_row(2)["NIK"], roll.now)

    assert [one.row.uid for one in found.shown] == [roll.w["uid"]]
    assert found.broken == (roll.uid,)


def test_a_row_carried_to_the_neighbour_opens_for_nobody_there(roll: Roll) -> None:
    """Region, desa, key and index all moved: the neighbour's operator finds it broken, not readable."""
    moves = [f"UPDATE {table} SET kab = :kab WHERE uid = :v" for table in ("voter_key", "nik_index")]
    whole = "UPDATE voter SET kab = :kab, kec = :kec, desa = :desa WHERE uid = :v"
    before = size(roll.house)
    with tampered(roll.house, *moves, whole, kab=NEIGHBOUR, kec=KUTA[:8], desa=KUTA, v=roll.uid):
        theirs = operator(roll.house, NEIGHBOUR)
        with pytest.raises(SealBroken):
            _read(roll.house, roll.uid, theirs, task(NEIGHBOUR))
        listing, _ = actions.browse(roll.house.guard, theirs, task(NEIGHBOUR), Place(KUTA, "001", None, 100), roll.now)

    assert listing.broken == (roll.uid,)
    assert [entry["outcome"] for entry in entries(roll.house, before)][:1] == ["broken"]


def test_a_row_whose_desa_says_the_neighbour_opens_for_nobody_there(roll: Roll) -> None:
    """Only the desa column was moved, so that the neighbour's policy would allow it: the seal does not."""
    with tampered(roll.house, "UPDATE voter SET desa = :desa WHERE uid = :v", desa=KUTA, v=roll.uid), pytest.raises(SealBroken):
        _read(roll.house, roll.uid, operator(roll.house, NEIGHBOUR), task(KAB))


def test_a_key_wrapped_for_another_epoch_is_broken_and_says_so(roll: Roll) -> None:
    """The operator of the installation reads which row names a key that never was; the public does not."""
    with tampered(roll.house, "UPDATE voter SET key_epoch = 7 WHERE uid = :v", v=roll.uid), pytest.raises(SealBroken) as broken:
        _read(roll.house, roll.uid)

    assert f"voter {roll.uid}" in broken.value.detail
    assert roll.uid not in broken.value.public


@pytest.mark.parametrize(
    "change",
    [
        "c02 = 'text'",
        "seal = 'text'",
        "seal = 7",
        "row_version = 'one'",
        "key_epoch = 'one'",
        "key_epoch = 1.5",
        "desa = x'00ff'",
        "kec = x'00ff'",
    ],
)
def test_a_value_of_another_type_is_broken_not_a_crash(roll: Roll, change: str) -> None:
    """SQLite keeps whatever type somebody writes: it is tampering like any other."""
    if roll.house.store.dialect != "sqlite":
        pytest.skip("PostgreSQL refuses such a value itself")

    with tampered(roll.house, f"UPDATE voter SET {change} WHERE uid = :v", v=roll.uid):
        said = "".join(_through(roll, door) for door in _doors(roll, roll.house.guard))
    assert said == ("BGGG" if change.startswith("desa") else "BBBB")


def test_any_bit_anywhere_in_a_row_breaks_it(roll: Roll) -> None:
    """Forty bits drawn over every stored byte of the row and its key: each one is noticed."""
    dice, house = random.Random(1710), roll.house
    row = _row(house, roll.uid)
    columns = [name for name, value in row.items() if isinstance(value, bytes | memoryview)]
    for _ in range(40):
        column = dice.choice(columns)
        value = bytes(row[column])  # type: ignore[call-overload]
        changed = _flipped(value, dice.randrange(len(value)), 1 << dice.randrange(8))
        table = "voter_key" if column == "wrapped" else "voter"
        tamper(house, f"UPDATE {table} SET {column} = :changed WHERE uid = :v", changed=changed, v=roll.uid)
        try:
            with pytest.raises(SealBroken):
                _read(house, roll.uid)
        finally:
            tamper(house, f"UPDATE {table} SET {column} = :value WHERE uid = :v", value=value, v=roll.uid)

    assert _read(house, roll.uid).values == roll.shown[roll.uid]


def test_no_error_of_the_walk_repeats_a_value(roll: Roll) -> None:
    """Neither the public sentence nor the operator's detail, nor any error it came from."""
    secrets = [dp4_row(1)[name] for name in ("NIK", "NKK", "NAMA", "ALAMAT", "TMPT_LHR")]
    for statements, values in (attack.make(roll) for attack in ATTACKS[::4]):
        with tampered(roll.house, *statements, **values):
            for door in _doors(roll, roll.house.guard):
                try:
                    with suppress(NotThere):
                        door()
                except GarduError as error:
                    said = f"{error!r} {error} {error.detail} {error.public} {error.__cause__!r} {error.__context__!r}"
                    assert not [secret for secret in secrets if secret in said]
