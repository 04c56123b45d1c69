"""While keys change under them, corrections, loads and files sent in lose nothing; whatever dies is taken up; whatever is broken stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.cli.shell import host_actor
from app.custody import rotation
from app.custody.rotation import State
from app.custody.turning import Kind
from app.factory import House
from app.kernel.errors import BadInput, Conflict, KeysDown, SealBroken
from app.kernel.fields import Element
from app.kernel.ids import new_uid
from app.store.keys import hold
from app.touch import Change
from app.voters import actions, corrections, dp4, intake, undo, uploads
from tests.conftest import ELECTION, KAB, NEIGHBOUR, dp4_row, load_dp4, operator, task, write_dp4
from tests.custody.rotation_kit import all_read, another_process, begin, custody, fill, finish, key_epochs, step, turn, with_between
from tests.sampling import sampled
from tests.walk_kit import Installed, guard_on, outcomes, put_back, reopened, rows_of, size, snapshot, store_findings, tamper, uid_of


def correct(house: House, uid: str, value: str, element: Element = Element.ALAMAT) -> None:
    """Correct one element as an operator does who has just opened it."""
    now = house.clock.now()
    version = corrections.open_one(house.roll, operator(house), task(), uid, element, now)[2]
    corrections.correct(house.roll, operator(house), task(), uid, Change(element, value, "coklit", "uji"), version, now)


def value_of(house: House, uid: str, element: Element = Element.ALAMAT) -> str | None:
    return actions.read_voter(house.guard, operator(house), task(), uid, house.clock.now())[0].values[element]


def is_found(house: House, nik: str) -> bool:
    return len(actions.find_by_nik(house.guard, operator(house), task(), nik, house.clock.now()).shown) == 1


# ---- corrections ----


@pytest.mark.parametrize("kind", list(Kind))
def test_a_correction_between_look_and_swap_stays(house: House, tmp_path: Path, kind: Kind) -> None:
    """The walk turned the row as it was before: it finds it changed, and turns it again."""
    fill(house, tmp_path, 3)
    victim = uid_of(house, 1)
    uid = begin(house, kind, "00" if kind is Kind.NIK else KAB)
    while rotation.load(custody(house), uid).cursor.partition(" ")[0] != KAB:
        step(house, uid)

    step(with_between(house, lambda: correct(house, victim, "JL. BARU NO. 9")), uid, 10)
    assert store_findings(house) == []
    done = finish(house, uid)

    assert done.state is State.DONE
    assert value_of(house, victim) == "JL. BARU NO. 9"
    assert is_found(house, dp4_row(1)["NIK"])
    assert store_findings(house) == []


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize(
    ("element", "value"),
    [(Element.ALAMAT, "JL. BARU NO. 9"), (Element.NIK, "5171010202820099"), (Element.NAMA, "PUTU BARU"), (Element.NKK, "5171010101109999")],
)
def test_a_correction_made_on_the_old_keys_is_made_again_on_the_new(
    sqlite_house: House, tmp_path: Path, kind: Kind, element: Element, value: str
) -> None:
    """The operator notices nothing: the form was opened before the rotation, sent while it ran, and stored after it was over."""
    house = sqlite_house
    fill(house, tmp_path, 3)
    victim, scope = uid_of(house, 1), "00" if kind is Kind.NIK else KAB

    correct(with_between(another_process(house), lambda: turn(house, kind, scope)), victim, value, element)

    assert value_of(house, victim, element) == value
    assert is_found(house, value if element is Element.NIK else dp4_row(1)["NIK"])
    born = "1980-01-01"
    found = actions.find_by_name(
        house.guard, operator(house), task(), value if element is Element.NAMA else dp4_row(1)["NAMA"], born, house.clock.now()
    )
    assert [one.row.uid for one in found.shown] == [victim]
    assert key_epochs(house, kind.purpose, scope) == [2]
    assert store_findings(house) == []


def test_a_nik_taken_under_the_old_key_is_taken(sqlite_house: House, tmp_path: Path) -> None:
    """In the middle of a rotation of the NIK index, nobody gets a NIK that a row has under the other key, whichever way round."""
    house = sqlite_house
    fill(house, tmp_path, 4)
    victim = uid_of(house, 1)
    uid = begin(house, Kind.NIK, "00")
    step(house, uid)
    step(house, uid)
    for other in (2, 3, 4):
        with pytest.raises(Conflict):
            correct(house, victim, dp4_row(other)["NIK"], Element.NIK)
    more = load_dp4(house, write_dp4(tmp_path / "more.csv", [dp4_row(number, DPID=f"9{number}") for number in range(1, 5)]))

    assert (more.rows_sealed, more.rows_quarantined) == (0, 4)
    finish(house, uid)
    assert store_findings(house) == []


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(list(Kind)),
    moves=st.lists(st.tuples(st.sampled_from(["correct", "step", "correct in step", "step in correct"]), st.integers(1, 3)), max_size=8),
)
def test_whatever_the_order_the_last_correction_stands(filled: House, kind: Kind, moves: list[tuple[str, int]]) -> None:
    """Any interleaving of corrections and steps of a rotation keeps the values corrected, and the log accounts for every row."""
    house, kept, scope = filled, dict[int, str](), "00" if kind is Kind.NIK else KAB
    uids = {number: uid_of(house, number) for number in (1, 2, 3)}
    uid = begin(house, kind, scope)
    for move, number in moves:
        value = f"JL. {new_uid()[:8].upper()}"
        makes = lambda where, number=number, value=value: correct(where, uids[number], value)  # noqa: E731
        if move == "correct":
            makes(house)
        elif move == "step":
            step(house, uid, number)
        elif move == "correct in step":
            step(with_between(house, lambda makes=makes: makes(house)), uid, number)
        else:
            makes(with_between(house, lambda number=number: step(house, uid, number)))
        if move != "step":
            kept[number] = value
    done = finish(house, uid)

    assert done.state is State.DONE
    assert {number: value_of(house, uids[number]) for number in kept} == kept
    assert all(is_found(house, dp4_row(number)["NIK"]) for number in (1, 2, 3))
    assert store_findings(house) == []


@pytest.fixture(scope="module")
def filled(installed_sqlite: Installed, tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house with three voters, turned over and over."""
    folder = tmp_path_factory.mktemp("turned")
    house = installed_sqlite.copy(folder / "data")
    fill(house, folder, 3)
    return house


# ---- loads and files ----


@pytest.mark.parametrize("kind", list(Kind))
def test_rows_sealed_before_a_rotation_are_sealed_anew_when_they_come_in_after_it(house: House, tmp_path: Path, kind: Kind) -> None:
    """The load had the old keys open; nothing of it stands under them, and it is found and compared under the new ones."""
    fill(house, tmp_path, 2)
    scope, other = "00" if kind is Kind.NIK else KAB, another_process(house)
    other.guard.keys.key("seal", KAB), actions.blind_of(other.guard.keys, KAB)
    slow = with_between(other, lambda: turn(house, kind, scope))
    file = write_dp4(tmp_path / "late.csv", [dp4_row(number) for number in range(3, 6)])

    done = dp4.Intake(slow.guard, slow.places, host_actor(), slow.clock, KAB, ELECTION).load(file, None, lambda done, total: None)

    assert done.rows_sealed == 3
    assert key_epochs(house, kind.purpose, scope) == [2]
    assert all_read(house, range(1, 6))
    assert store_findings(house) == []


def test_a_file_sent_in_before_a_rotation_is_loaded_after_it(sqlite_house: House, tmp_path: Path) -> None:
    """Its file key is wrapped anew; one that comes in with the old key at hand is sealed again."""
    house, now = sqlite_house, sqlite_house.clock.now()
    content = [write_dp4(tmp_path / f"{number}.csv", [dp4_row(number)]).read_bytes() for number in (1, 2)]
    first = intake.receive(house.roll, operator(house), "a.csv", content[0], now)
    other = another_process(house)
    other.guard.keys.key("seal", KAB)
    late = with_between(other, lambda: turn(house))
    second = intake.receive(late.roll, operator(house), "b.csv", content[1], now)

    for uid in (first, second):
        upload = intake.upload_of(house.roll, operator(house), uid, now)
        assert upload.key_epoch == 2
        assert uploads.source(house.roll, upload)().read() in content


def test_a_load_can_be_undone_while_its_rows_are_turned(house: House, tmp_path: Path) -> None:
    """Turning a row is no use of it."""
    fill(house, tmp_path, 3)
    [load] = rows_of(house, "SELECT uid FROM load")
    uid = begin(house)
    step(house, uid)

    undo.undo(house.roll, operator(house), str(load["uid"]), "salah berkas", house.clock.now())
    done = finish(house, uid)

    assert done.state is State.DONE
    assert not is_found_anywhere(house)
    assert store_findings(house) == []


def is_found_anywhere(house: House) -> bool:
    return any(actions.find_by_nik(house.guard, operator(house), task(), dp4_row(n)["NIK"], house.clock.now()).shown for n in (1, 2, 3))


def test_a_rotation_begins_after_whoever_is_storing_rows_right_now(postgres_house: House) -> None:
    """And whoever comes after it is told to seal anew: no row can come in between under the old key."""
    house = postgres_house
    with ThreadPoolExecutor(1) as pool:
        with house.store.writing() as session:
            assert hold(session, "seal", KAB, 1)
            begun = pool.submit(begin, house)
            with pytest.raises(TimeoutError):
                begun.result(0.3)
        assert begun.result()

    with house.store.writing() as session:
        assert not hold(session, "seal", KAB, 1)
        assert hold(session, "seal", KAB, 2)


# ---- two at once, held, paced ----


def test_a_second_rotation_of_the_same_kab_is_refused_clearly(house: House, tmp_path: Path) -> None:
    """Whatever its kind; another kab is free. Nothing of the refused one stays."""
    fill(house, tmp_path, 2)
    uid = begin(house)
    before = size(house)
    for kind in (Kind.KAB, Kind.BLIND, Kind.DATA):
        with pytest.raises(Conflict) as refused:
            begin(house, kind)
        assert "belum selesai" in refused.value.public
    begin(house, scope=NEIGHBOUR)

    assert key_epochs(house) == [1, 2]
    assert key_epochs(house, "blind") == [1]
    assert size(house) == before + 2
    finish(house, uid)
    assert turn(house).state is State.DONE


def test_two_walkers_of_one_rotation_turn_every_row_once(house: House, tmp_path: Path) -> None:
    """The slower one finds the batch swapped in, and goes on behind it."""
    fill(house, tmp_path, 4)
    uid = begin(house)
    slow = with_between(house, lambda: step(house, uid))

    step(slow, uid)

    assert rotation.standing(custody(house), uid).done == 2
    assert finish(house, uid).done == 5
    assert store_findings(house) == []


def test_a_held_rotation_waits_and_goes_on(house: House, tmp_path: Path) -> None:
    """Between, both epochs are read; a walker stops at the next batch."""
    fill(house, tmp_path, 4)
    uid, room, now = begin(house), custody(house), house.clock.now()
    step(house, uid)
    step(with_between(house, lambda: rotation.pause(room, host_actor(), uid, now)), uid)

    assert rotation.walk(room, uid, lambda done, total: None).state is State.PAUSED
    assert all_read(house, range(1, 5))
    with pytest.raises(Conflict):
        rotation.pause(room, host_actor(), uid, now)
    rotation.resume(room, host_actor(), uid, now)
    assert finish(house, uid).state is State.DONE
    assert store_findings(house) == []


def test_a_rate_is_kept(sqlite_house: House, tmp_path: Path) -> None:
    """Two rows a second: after the first batch, every next one waits its turn."""
    house = sqlite_house
    fill(house, tmp_path, 6, quarantined=0)
    uid, begun = begin(house, rate=2), house.clock.now()
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        house.clock.move(seconds=seconds)  # type: ignore[attr-defined]  # the test's clock

    assert rotation.walk(custody(house), uid, lambda done, total: None, sleep=sleep).state is State.DONE
    assert house.clock.now() - begun >= timedelta(seconds=2)
    assert slept


@pytest.mark.parametrize(
    ("kind", "scope"), [(Kind.KAB, "00"), (Kind.KAB, "51"), (Kind.KAB, "31.71"), (Kind.NIK, KAB), (Kind.BLIND, "51.71.01")]
)
def test_a_rotation_where_there_is_no_such_key_is_refused(sqlite_house: House, kind: Kind, scope: str) -> None:
    """The field is named; nothing is made."""
    before = size(sqlite_house)
    with pytest.raises(BadInput) as refused:
        begin(sqlite_house, kind, scope)

    assert refused.value.field == "region"
    assert size(sqlite_house) == before


# ---- what is broken ----


def test_a_broken_row_is_named_and_keeps_the_old_key(house: House, tmp_path: Path) -> None:
    """The walk goes on past it; at the end the rotation halts, and goes on once the row is as it was."""
    fill(house, tmp_path, 4)
    victim, kept = uid_of(house, 2), snapshot(house)
    tamper(house, "UPDATE voter SET c03 = c04 WHERE uid = :v", v=victim)
    before = size(house)
    uid = begin(house)

    halted = finish(house, uid)

    assert (halted.state, halted.broken) == (State.HALTED, 1)
    assert halted.trouble[0].startswith(f"voter {victim}: ")
    assert key_epochs(house) == [1, 2]
    assert ("key:rotate", "broken") in outcomes(house, before)
    assert outcomes(house)[-1] == ("key:rotate", "failed")
    assert all_read(house, range(3, 5))
    [row] = [one for one in kept["voter"] if one["uid"] == victim]
    tamper(house, "UPDATE voter SET c03 = :c WHERE uid = :v", c=row["c03"], v=victim)
    rotation.resume(custody(house), host_actor(), uid, house.clock.now())
    assert finish(house, uid).state is State.DONE
    assert all_read(house, range(1, 5))
    assert store_findings(house) == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE voter_key SET wrapped = (SELECT x.wrapped FROM voter_key x WHERE x.uid <> voter_key.uid LIMIT 1) WHERE uid = :v",
        "UPDATE voter_key SET epoch = 7 WHERE uid = :v",
        "DELETE FROM voter_key WHERE uid = :v",
        "UPDATE voter SET b_nik = b_nkk WHERE uid = :v",
        "UPDATE voter SET tps = '999' WHERE uid = :v",
    ],
)
def test_swapped_and_lost_keys_are_broken_rows(sqlite_house: House, tmp_path: Path, change: str) -> None:
    """Never a wrong value, never a destroyed key."""
    house = sqlite_house
    fill(house, tmp_path, 3)
    victim = uid_of(house, 1)
    tamper(house, change, v=victim)

    halted = turn(house, Kind.DATA)

    assert halted.state is State.HALTED
    assert any(victim in one for one in halted.trouble)
    assert key_epochs(house) == [1, 2]
    assert all_read(house, range(2, 4))


def test_rows_rolled_back_after_their_turn_are_found(house: House, tmp_path: Path) -> None:
    """While both keys stand an old row is genuine to the vault: the log tells, and the end of the rotation does not destroy its key."""
    fill(house, tmp_path, 4)
    victim, kept = uid_of(house, 1), snapshot(house)
    uid = begin(house)
    while rotation.load(custody(house), uid).place == "voter":
        step(house, uid)
    [row], [key] = ([one for one in kept[table] if one["uid"] == victim] for table in ("voter", "voter_key"))
    tamper(house, "UPDATE voter SET seal = :s WHERE uid = :v", s=row["seal"], v=victim)
    tamper(house, "UPDATE voter_key SET wrapped = :w, epoch = 1 WHERE uid = :v", w=key["wrapped"], v=victim)

    assert any(f"voter {victim}: not the row that was written" in found for found in store_findings(house))
    halted = finish(house, uid)
    assert halted.state is State.HALTED
    assert key_epochs(house) == [1, 2]


def test_a_blind_index_rolled_back_is_found(sqlite_house: House, tmp_path: Path) -> None:
    """A whole row with its old index is genuine to the vault; the log names it."""
    house = sqlite_house
    fill(house, tmp_path, 3)
    kept = snapshot(house)
    turn(house, Kind.BLIND)
    put_back(house, kept)

    assert sum("its seal is another" in found for found in store_findings(house)) == 3


def test_a_wrapped_l1_key_in_the_place_of_another_opens_nothing(sqlite_house: House, tmp_path: Path) -> None:
    """The old key's bytes under the new epoch: the context does not fit, and nothing is turned."""
    house = sqlite_house
    fill(house, tmp_path, 2)
    uid = begin(house)
    tamper(
        house,
        "UPDATE vault_key SET wrapped = (SELECT wrapped FROM vault_key WHERE purpose = 'seal' AND scope = '51.71' AND epoch = 1) WHERE epoch = 2",
    )
    before = size(house)

    with pytest.raises(KeysDown):
        finish(another_process(house), uid)

    assert size(house) == before


def test_a_rotation_edited_in_the_database_is_not_walked(sqlite_house: House, tmp_path: Path) -> None:
    """A cursor moved to the end would destroy a key that rows need; the row's own seal tells."""
    house = sqlite_house
    fill(house, tmp_path, 3)
    uid = begin(house, Kind.BLIND)
    tamper(house, "UPDATE rotation SET place = 'end', cursor = ''")

    with pytest.raises(SealBroken):
        finish(house, uid)

    assert key_epochs(house, "blind") == [1, 2]
    assert not rotation.standing(custody(house), uid).sound


# ---- killed ----


def walk_and_die(data: str, uid: str, point: str, count: str) -> None:
    """Walk a rotation in another process and be killed at the *count*-th passing of *point* of the trail."""
    house, passed = reopened(Path(data)), Counter[str]()

    def here(at: str) -> None:
        passed[at] += 1
        if at == point and passed[at] == int(count):
            os.kill(os.getpid(), signal.SIGKILL)

    guard = guard_on(house, house.store, here)
    identity = replace(house.identity, trail=guard.trail)
    finish(replace(house, guard=guard, identity=identity), uid)


@pytest.mark.parametrize("kind", sampled([Kind.KAB, Kind.NIK], Kind.KAB))
@pytest.mark.parametrize(("point", "count"), sampled([("locked", 1), ("inserted", 2), ("signed", 3), ("signed", 4)], ("signed", 4)))
def test_killed_at_any_step_it_is_taken_up_behind_the_last_batch(house: House, tmp_path: Path, kind: Kind, point: str, count: int) -> None:
    """SIGKILL inside a batch, and inside the end: whole batches only, the store as the log says, and the next process finishes."""
    fill(house, tmp_path, 4)
    scope = "00" if kind is Kind.NIK else KAB
    uid = begin(house, kind, scope)
    code = "import sys; from tests.custody.test_custody_rotation_races import walk_and_die; walk_and_die(*sys.argv[1:])"
    died = subprocess.run(
        [sys.executable, "-c", code, str(house.settings.data), uid, point, str(count)],
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
    )
    assert died.returncode in (-signal.SIGKILL, 0), died.stderr

    assert all_read(house, range(1, 5))
    assert store_findings(house) == []
    assert finish(house, uid).state is State.DONE
    assert key_epochs(house, kind.purpose, scope) == [2]
    assert all_read(house, range(1, 5))
    assert store_findings(house) == []
