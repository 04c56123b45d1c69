"""Undoing a load: before anybody used a row, once, with an entry; and what a database's owner cannot do in its place."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from app.factory import House
from app.kernel.errors import BadInput, Conflict, NotThere, SealBroken
from app.kernel.fields import Basis, Element, Purpose, Role
from app.touch import Change
from app.voters import actions, corrections, intake, undo
from app.voters.actions import Place, Task
from app.voters.tables import Load
from tests.conftest import KAB, NEIGHBOUR, dp4_row, load_dp4, operator, task, write_dp4
from tests.voters.intake_kit import REASON, Site, count, loaded, some, table
from tests.walk_kit import content, entries, entry_at, outcomes, rows_of, size, store_findings, tamper, uid_of

BODY = table([dp4_row(1), dp4_row(2), dp4_row(3, NIK="5171")])


def undone(house: House, load: str, kab: str = KAB) -> int:
    """Undo a load; return the entry's number."""
    return undo.undo(house.roll, operator(house, kab), load, REASON, house.clock.now()).seq


def load_of(house: House, uid: str) -> Load:
    return intake.load_of(house.roll, operator(house), uid, house.clock.now())


def found(house: House, number: int) -> int:
    """How many voters a search by NIK finds."""
    return len(actions.find_by_nik(house.guard, operator(house), task(), dp4_row(number)["NIK"], house.clock.now()).shown)


def test_an_unused_load_is_undone_with_an_entry(house: House) -> None:
    """The entry names load, counts and nothing of a voter; the reason is sealed; the rows lie where they were."""
    load = loaded(house, BODY)
    seq = undone(house, load)

    entry = entry_at(house, seq)
    assert (entry["action"], entry["outcome"], entry["scope"], entry["subjects"]) == ("voter:retract", "done", KAB, None)
    assert entry["detail"] == {"type": "load", "sha256": undo.retracted(load, 2, 1).hex()}
    sealed = content(house, seq)
    assert (sealed["load"], sealed["sealed"], sealed["quarantined"], sealed["reason"]) == (load, 2, 1, REASON)
    row = load_of(house, load)
    assert (row.state, row.undone_by, row.undone_at) == ("undone", "o" * 26, house.clock.now())
    assert count(house, "voter") == 2
    assert store_findings(house) == []


def test_what_was_undone_is_no_part_of_the_roll(house: House) -> None:
    """No search, no list, no address and no correction finds a row of it."""
    load = loaded(house, BODY)
    [uid] = [str(row["uid"]) for row in rows_of(house, "SELECT uid FROM voter ORDER BY uid LIMIT 1")]
    undone(house, load)
    guard, actor, now = house.guard, operator(house), house.clock.now()

    assert found(house, 1) == found(house, 2) == 0
    assert actions.find_by_name(guard, actor, task(), dp4_row(1)["NAMA"], "1980-01-01", now).shown == ()
    desa = str(rows_of(house, "SELECT desa FROM voter LIMIT 1")[0]["desa"])
    assert actions.browse(guard, actor, task(), Place(desa, "001", None, 25), now)[0].shown == ()
    with pytest.raises(NotThere):
        actions.read_voter(guard, actor, task(), uid, now)
    with pytest.raises(NotThere):
        corrections.open_one(house.roll, actor, task(), uid, Element.ALAMAT, now)


def test_the_same_file_may_be_loaded_again(house: House) -> None:
    """Its NIKs are free again; the rows of then stay hidden; undone and loaded a third time as well."""
    for turn in range(1, 4):
        load = loaded(house, BODY)
        row = load_of(house, load)
        assert (row.rows_sealed, row.rows_quarantined) == (2, 1)
        assert count(house, "voter") == 2 * turn
        if turn < 3:
            undone(house, load)

    assert found(house, 1) == 1
    assert store_findings(house) == []


def test_a_nik_of_an_undone_load_may_be_given_to_somebody(house: House) -> None:
    """A correction does not stumble over a row that is no part of the roll."""
    load = loaded(house, some(1, 1))
    undone(house, load)
    loaded(house, some(1, 2))
    uid = uid_of(house, 2)
    actor, now = operator(house), house.clock.now()
    _, _, version = corrections.open_one(house.roll, actor, task(), uid, Element.NIK, now)

    corrections.correct(house.roll, actor, task(), uid, Change(Element.NIK, dp4_row(1)["NIK"], "ktp", "Sesuai KTP-el."), version, now)
    assert found(house, 1) == 1


def use_by_reading(house: House) -> None:
    actions.read_voter(
        house.guard, operator(house), task(), str(rows_of(house, "SELECT uid FROM voter LIMIT 1")[0]["uid"]), house.clock.now()
    )


def use_by_searching(house: House) -> None:
    assert found(house, 1) == 1


def use_by_listing(house: House) -> None:
    desa = str(rows_of(house, "SELECT desa FROM voter LIMIT 1")[0]["desa"])
    actions.browse(house.guard, operator(house), task(), Place(desa, "001", None, 25), house.clock.now())


def use_by_being_refused(house: House) -> None:
    liaison = replace(
        operator(house, NEIGHBOUR, office="bawaslu-51.03", role=Role.BAWASLU_KAB, roles=frozenset({Role.BAWASLU_KAB})), unit="pengawasan"
    )
    uid = str(rows_of(house, "SELECT uid FROM voter LIMIT 1")[0]["uid"])
    with pytest.raises(NotThere):
        actions.read_voter(house.guard, liaison, Task(Purpose.PENGAWASAN, Basis.UU7_2017, KAB), uid, house.clock.now())


def use_by_matching(house: House) -> None:
    loaded(house, table([dp4_row(1, NAMA="ORANG LAIN")]))


@pytest.mark.parametrize("use", [use_by_reading, use_by_searching, use_by_listing, use_by_being_refused, use_by_matching])
def test_a_load_that_was_used_stands(house: House, use: object) -> None:
    """Read, found, listed, asked for in vain, or compared with another file: it can no longer be undone, and that is an entry."""
    load = loaded(house, BODY)
    use(house)  # type: ignore[operator]

    with pytest.raises(Conflict, match="muatan-terpakai"):
        undone(house, load)
    assert outcomes(house)[-1] == ("voter:retract", "denied")
    assert entries(house)[-1]["rule"] == ["muatan-terpakai"]
    assert load_of(house, load).state == "done"
    assert undo.standing(house.roll, operator(house), load_of(house, load), house.clock.now()).used in {1, 2}


def test_a_correction_counts_as_use(house: House) -> None:
    """Whoever corrected a row relied on it."""
    load = loaded(house, BODY)
    uid, actor, now = str(rows_of(house, "SELECT uid FROM voter LIMIT 1")[0]["uid"]), operator(house), house.clock.now()
    wanted = Change(Element.ALAMAT, "JL. BARU NO. 1", "coklit", "Dicocokkan saat coklit.")
    corrections.correct(house.roll, actor, task(), uid, wanted, 1, now)

    with pytest.raises(Conflict, match="muatan-terpakai"):
        undone(house, load)


def test_its_own_comparisons_are_no_use(house: House) -> None:
    """A NIK twice in one file, batches apart: the load compared with itself, and can still be undone."""
    rows = [dp4_row(number) for number in range(1, 601)] + [dp4_row(1, ALAMAT="LAIN")]
    load = loaded(house, table(rows))
    assert ("voter:search", "allowed") in outcomes(house)

    undone(house, load)
    assert load_of(house, load).state == "undone"


def test_another_load_s_rows_do_not_matter(house: House) -> None:
    """Reading somebody of the first load leaves the second free to be undone."""
    loaded(house, some(2, 1))
    second = loaded(house, some(2, 10))
    assert found(house, 1) == 1

    undone(house, second)
    assert found(house, 1) == 1
    assert found(house, 10) == 0


def test_a_load_is_undone_once(house: House) -> None:
    """The second time says that it was."""
    load = loaded(house, BODY)
    undone(house, load)

    with pytest.raises(Conflict, match="muatan-sudah-batal"):
        undone(house, load)
    assert [one["outcome"] for one in entries(house) if one["action"] == "voter:retract"] == ["done", "denied"]


def test_two_who_undo_at_once_make_one_entry(house: House) -> None:
    """One is told that it is done; the log has one retraction."""
    load = loaded(house, some(300))
    said: list[str] = []
    gate = threading.Barrier(2)

    def run() -> None:
        gate.wait()
        try:
            undone(house, load)
            said.append("done")
        except Conflict as no:
            said.append(no.detail.rpartition(" ")[2])

    both = [threading.Thread(target=run) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()

    assert sorted(said) == ["done", "muatan-sudah-batal"]
    assert outcomes(house).count(("voter:retract", "done")) == 1


def test_reading_and_undoing_at_once_leave_no_unseen_use(house: House) -> None:
    """Whatever the order: a row that was read before the retraction's entry keeps the load standing."""
    for number in range(1, 9):
        load = loaded(house, some(1, number))
        [uid] = [str(row["uid"]) for row in rows_of(house, "SELECT uid FROM voter WHERE load = :load", load=load)]
        reads: list[int] = []
        gate = threading.Barrier(2)

        def read(uid: str = uid, reads: list[int] = reads, gate: threading.Barrier = gate) -> None:
            gate.wait()
            with suppress(NotThere):
                reads.append(actions.read_voter(house.guard, operator(house), task(), uid, house.clock.now())[0].receipt.seq)

        other = threading.Thread(target=read)
        other.start()
        gate.wait()
        try:
            retraction = undone(house, load)
        except Conflict:
            retraction = None
        other.join()
        assert retraction is None or not reads or reads[0] > retraction


def test_a_load_at_work_cannot_be_undone(house: House) -> None:
    """Nor one that was cut off: it is loaded to its end first."""
    load = loaded(house, BODY)
    row = load_of(house, load)
    row.state, row.finished_at = "running", None
    seal = house.roll.seals
    from app.voters import loads

    loads.seal(seal, row)
    tamper(house, "UPDATE load SET state = 'running', finished_at = NULL, seal = :seal WHERE uid = :uid", seal=row.seal, uid=load)

    with pytest.raises(Conflict, match="muatan-berjalan"):
        undone(house, load)


def test_a_load_from_before_stands(house: House) -> None:
    """Rows that do not name their load could not be hidden again."""
    load = loaded(house, BODY)
    tamper(house, "UPDATE load SET seal = NULL, layout = NULL, upload = NULL WHERE uid = :uid", uid=load)
    tamper(house, "UPDATE voter SET load = NULL WHERE load = :uid", uid=load)

    with pytest.raises(Conflict, match="muatan-lama"):
        undone(house, load)
    assert found(house, 1) == 1


def test_an_operator_elsewhere_finds_no_such_load(house: House) -> None:
    """404, and nothing changed."""
    load = loaded(house, BODY)

    with pytest.raises(NotThere):
        undone(house, load, NEIGHBOUR)
    assert load_of(house, load).state == "done"


@pytest.mark.parametrize("reason", ["", "salah", "x" * 501, "NIK 5171010101800001 keliru"])
def test_a_reason_is_demanded(house: House, reason: str) -> None:
    """Too short, too long, or a NIK in it: the form comes back, nothing is undone."""
    desk = Site(house).join()
    load = desk.load(BODY)
    answer = desk.post(f"{load}/undo", reason=reason)

    assert answer.status_code == 400
    assert 'id="f-reason-error"' in answer.text
    assert count(house, "load", "state = 'undone'") == 0


def test_the_page_says_how_many_rows_were_used_and_what_to_do(house: House) -> None:
    """Instead of a button that would not work."""
    desk = Site(house).join()
    load = desk.load(BODY)
    assert "<textarea" in desk.get(f"{load}/undo").text
    assert found(house, 1) == 1

    page = desk.get(f"{load}/undo").text
    assert "<textarea" not in page
    assert "1 baris sudah dibuka" in page
    assert "diperbaiki satu per satu" in page
    assert desk.post(f"{load}/undo", reason=REASON).status_code == 409


def test_over_the_web_a_load_is_undone_and_loaded_again(house: House) -> None:
    """303 to the result, which says who undid it; the history has both."""
    desk = Site(house).join()
    load = desk.load(BODY)
    assert desk.post(f"{load}/undo", reason=REASON).location == f"{load}/result"

    page = desk.get(f"{load}/result").text
    assert "Dibatalkan oleh Anda." in page
    assert f"{load}/undo" not in page
    assert REASON not in page
    again = desk.load(BODY)
    assert again != load
    assert "dibatalkan" in desk.get("/intake").text


# ---- what only the database's owner could try ----


@pytest.fixture
def standing(house: House) -> tuple[House, str, str]:
    """A house with a load that stands and one that was undone."""
    gone = loaded(house, some(2, 10))
    undone(house, gone)
    return house, loaded(house, some(2, 1)), gone


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE load SET state = 'undone' WHERE uid = :stands", "load {stands}: no entry undid it"),
        ("UPDATE load SET state = 'done' WHERE uid = :gone", "load {gone}: the log says it was undone"),
        (
            "UPDATE load SET state = 'done', seal = NULL, layout = NULL, upload = NULL WHERE uid = :gone",
            "load {gone}: the log says it was undone",
        ),
        ("UPDATE load SET rows_sealed = 5, rows_read = 5 WHERE uid = :stands", "load {stands}: a column does not match the seal"),
        ("DELETE FROM load WHERE uid = :gone", "load {gone}: the row is gone"),
        ("DELETE FROM load WHERE uid = :stands", "load {stands}: the row is gone"),
        ("UPDATE voter SET load = :gone WHERE load = :stands", "moved to another load"),
        ("UPDATE voter SET load = :stands WHERE load = :gone", "moved to another load"),
        ("UPDATE voter SET load = NULL WHERE load = :gone", "taken out of its load, which was undone"),
    ],
)
def test_hiding_and_showing_rows_past_gardu_is_found(standing: tuple[House, str, str], change: str, words: str) -> None:
    """Verify with the store names the load or the row."""
    house, stands, gone = standing
    assert store_findings(house) == []
    named = {name: value for name, value in (("stands", stands), ("gone", gone)) if f":{name}" in change}
    assert tamper(house, change, **named) > 0

    found_now = store_findings(house)
    assert any(words.format(stands=stands, gone=gone) in one for one in found_now), found_now


def test_a_load_whose_rows_were_taken_away_is_not_undone(house: House) -> None:
    """It would claim to hide rows that then stay in the roll."""
    load = loaded(house, some(3))
    tamper(house, "UPDATE voter SET load = NULL WHERE uid = (SELECT min(uid) FROM voter)")

    with pytest.raises(SealBroken):
        undone(house, load)
    assert outcomes(house)[-1] == ("voter:retract", "broken")
    assert count(house, "load", "state = 'undone'") == 0


def test_an_older_row_of_the_load_put_back_is_found(house: House) -> None:
    """Its seal holds, for it was ours; the log says otherwise."""
    load = loaded(house, BODY)
    [kept] = rows_of(house, "SELECT * FROM load WHERE uid = :uid", uid=load)
    undone(house, load)
    tamper(house, f"UPDATE load SET {', '.join(f'{name} = :{name}' for name in kept)} WHERE uid = :uid", **kept)

    assert any("the log says it was undone" in one for one in store_findings(house))


def test_if_the_log_cannot_be_written_nothing_is_undone(house: House) -> None:
    """The change and its entry stand together."""
    load = loaded(house, BODY)
    before = size(house)
    house.guard.trail.close()
    tamper(house, "ALTER TABLE trail_payload RENAME TO away")

    with pytest.raises(Exception):  # noqa: B017  whichever of the two it meets first
        undone(house, load)
    tamper(house, "ALTER TABLE away RENAME TO trail_payload")
    assert load_of(house, load).state == "done"
    assert size(house) == before


def test_a_command_s_load_is_undone_from_the_page(house: House, tmp_path: Path) -> None:
    """Whoever loaded it, and the command may then load the file again."""
    file = write_dp4(tmp_path / "a.csv", [dp4_row(1), dp4_row(2)])
    first = load_dp4(house, file)
    undone(house, first.uid)

    assert load_dp4(house, file).rows_sealed == 2


def test_a_reason_with_a_nik_is_refused_before_anything(house: House) -> None:
    """The rule of corrections holds here too."""
    from app.voters.rules.corrections import parse_reason

    with pytest.raises(BadInput):
        parse_reason("NIK 5171010101800001 keliru")
