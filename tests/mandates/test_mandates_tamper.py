"""Attacks by whoever may write to the database: rows edited, put back, deleted, made up. None of them opens anything."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

from app.factory import House
from app.kernel.errors import NotThere, SealBroken, StoreDown
from app.mandates import actions
from app.mandates.actions import Decision
from app.mandates.rules import State
from app.mandates.tables import AccessRequest, MandateRow, RequestStep
from tests.mandates.mandates_kit import DESA, REASON, Desk, people_of, terms
from tests.walk_kit import owner, rows_of, tamper

DEFENCES = {
    "sqlite": ("DROP TRIGGER request_step_no_update", "DROP TRIGGER request_step_no_delete", "DROP TRIGGER mandate_no_delete"),
    "postgresql": ("DROP TRIGGER request_step_guard ON request_step", "DROP TRIGGER mandate_guard ON mandate"),
}
# Another value of each column's own kind.
OTHER = {
    "holder": "a" * 26, "approver1": "a" * 26, "approver2": "a" * 26, "unit1": "keamanan", "unit2": "keamanan", "region": "51.71",
    "purpose": "audit", "basis": "putusan", "election": "2034", "stages": "dps,dpt", "elements": "nik,nkk", "ceiling": "ringkas",
    "start": "2026-11-01 00:00:00", "until": "2027-06-01 00:00:00", "subject": "b" * 26, "state": "submitted",
    "ended_at": "2026-12-01 00:00:00", "seal": b"x" * 32, "office": "kpu-00", "unit": "keamanan", "role": "bawaslu_ri", "view": "samar",
    "letter": "1/2026", "reason": "lain", "submitted_at": "2026-11-01 00:00:00", "version": 9, "number": 9, "at": "2026-11-01 00:00:00",
    "actor": "a" * 26, "act": "withdraw", "seq": 1,
}  # fmt: skip


def broken(desk: Desk) -> list[object]:
    return [one for one in desk.said() if one[1] == "broken"]


def without_defences(desk: Desk) -> None:
    tamper(desk.house, *DEFENCES[desk.house.store.dialect])


def put_back(desk: Desk, table: str, row: dict[str, object]) -> None:
    names = ", ".join(f"{name} = :{name}" for name in row)
    assert tamper(desk.house, f"UPDATE {table} SET {names} WHERE uid = :uid", **row) == 1


@pytest.mark.parametrize("column", [c.name for c in MandateRow.__table__.columns if c.name not in ("uid", "holder", "state")])
def test_an_edited_mandate_is_not_in_force(one: Desk, column: str) -> None:
    """Whichever column is changed: left out, and an entry says that a seal broke."""
    uid = one.granted()
    tamper(one.house, f"UPDATE mandate SET {column} = :value", value=OTHER[column])

    assert one.active() == []
    assert broken(one) == [("mandate:start", "broken", None)]
    tamper(one.house, "UPDATE mandate SET until = 'kelak'")
    with pytest.raises(SealBroken):
        one.active()
    assert uid


@pytest.mark.parametrize("engine_column", ["holder", "region", "until", "elements"])
def test_the_same_on_each_engine(desk: Desk, engine_column: str) -> None:
    """A mandate made over to a colleague, or widened, serves neither."""
    desk.granted()
    value = desk.people["colleague"].uid if engine_column == "holder" else OTHER[engine_column]
    tamper(desk.house, f"UPDATE mandate SET {engine_column} = :value", value=value)

    assert desk.active("colleague") == [] and desk.active("liaison") == []


@pytest.mark.parametrize("column", [c.name for c in AccessRequest.__table__.columns if c.name != "uid"])
def test_an_edited_request_is_not_decided(one: Desk, column: str) -> None:
    """And a mandate whose request was edited is not in force: it could not be revoked any more."""
    uid = one.granted()
    seen = one.seen(uid)
    tamper(one.house, f"UPDATE access_request SET {column} = :value", value=OTHER[column])

    with pytest.raises(SealBroken):
        one.seen(uid)
    with pytest.raises(SealBroken):
        actions.decide(one.room, one.who("data2"), uid, Decision(seen.version, seen.left, ""), one.now)
    assert one.active() == []
    assert len(broken(one)) >= 3


@pytest.mark.parametrize("column", [c.name for c in RequestStep.__table__.columns if c.name != "request"])
def test_an_edited_step_is_noticed(one: Desk, column: str) -> None:
    """Who approved, what was left, when: each column of a step is sealed."""
    uid = one.submit()
    one.decide("data1", uid, terms=terms(one.now, DESA))
    without_defences(one)
    tamper(one.house, f"UPDATE request_step SET {column} = :value WHERE number = 2", value=OTHER[column])

    with pytest.raises(SealBroken):
        one.seen(uid)


def test_a_revoked_mandate_put_back_stays_revoked(desk: Desk) -> None:
    """Its row as it was, seal and all: the log's entry of the revocation wins."""
    uid = desk.granted()
    [kept] = rows_of(desk.house, "SELECT * FROM mandate")
    actions.revoke(desk.room, desk.who("officer"), uid, REASON, desk.now)
    put_back(desk, "mandate", kept)

    assert desk.active() == []


def test_a_whole_desk_put_back_stays_revoked(desk: Desk) -> None:
    """Mandate, request and steps as before the revocation: the log has one step more."""
    uid = desk.granted()
    [mandate], [request] = rows_of(desk.house, "SELECT * FROM mandate"), rows_of(desk.house, "SELECT * FROM access_request")
    actions.revoke(desk.room, desk.who("officer"), uid, REASON, desk.now)
    without_defences(desk)
    tamper(desk.house, "DELETE FROM request_step WHERE act = 'revoke'")
    put_back(desk, "mandate", mandate)
    put_back(desk, "access_request", request)

    assert desk.active() == []
    with pytest.raises(SealBroken, match="of which the log has 5"):
        desk.seen(uid)


def test_an_expired_mandate_put_back_stays_ended(desk: Desk) -> None:
    """Even when its end is in the future again, because the clock was put back too."""
    desk.granted(days=1)
    [kept] = rows_of(desk.house, "SELECT * FROM mandate")
    desk.house.clock.move(days=1)  # type: ignore[attr-defined]  # a FakeClock
    assert desk.active() == []
    desk.house.clock.move(hours=-2)  # type: ignore[attr-defined]
    put_back(desk, "mandate", kept)

    assert desk.active() == []


def test_a_refused_request_put_back_is_not_approved(desk: Desk) -> None:
    """Row and steps as submitted: the log knows of the refusal."""
    uid = desk.submit()
    [kept] = rows_of(desk.house, "SELECT * FROM access_request")
    asked = desk.seen(uid).asked
    desk.decide("hukum", uid, terms=None, reason=REASON)
    without_defences(desk)
    tamper(desk.house, "DELETE FROM request_step WHERE act = 'refuse'")
    put_back(desk, "access_request", kept)

    with pytest.raises(SealBroken):
        actions.decide(desk.room, desk.who("data1"), uid, Decision(1, asked, ""), desk.now)


def test_a_mandate_made_up_is_not_in_force(desk: Desk) -> None:
    """A copy of a real row under the id of another request: the seal is of the first."""
    desk.granted()
    other = desk.submit()
    [row] = rows_of(desk.house, "SELECT * FROM mandate")
    row["uid"] = other
    store = owner(desk.house)
    with store.writing() as session:
        session.add(MandateRow(**{**row, "start": desk.now, "until": desk.now.replace(year=2027), "ended_at": None}))
    store.dispose()

    assert [held.uid for held in desk.active()] != [] and all(held.uid != other for held in desk.active())


def test_revoking_works_though_the_mandates_row_was_edited(desk: Desk) -> None:
    """The entry ends it; the edited row is not sealed anew, and putting the old one back does not help."""
    uid = desk.granted()
    [kept] = rows_of(desk.house, "SELECT * FROM mandate")
    tamper(desk.house, "UPDATE mandate SET region = '51.71'")
    assert actions.revoke(desk.room, desk.who("officer"), uid, REASON, desk.now) is State.REVOKED
    put_back(desk, "mandate", kept)

    assert desk.active() == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE request_step SET reason = 'lain'",
        "DELETE FROM request_step",
        "DELETE FROM access_request",
        "DELETE FROM mandate",
    ],
)
def test_the_database_refuses_to_change_what_stands(desk: Desk, statement: str) -> None:
    """Steps are only inserted, nothing is ever deleted: not even by the owner, without taking the triggers away first."""
    desk.granted()

    with pytest.raises((StoreDown, DBAPIError)):
        tamper(desk.house, statement, guarded=True)


def test_the_application_changes_only_what_may_change(postgres_house: House) -> None:
    """On PostgreSQL its role cannot even update what was asked."""
    desk = Desk(postgres_house, people_of(postgres_house))
    desk.granted()
    for statement in ("UPDATE access_request SET region = '51.71'", "UPDATE mandate SET until = now()", "DELETE FROM mandate"):
        with pytest.raises((ProgrammingError, IntegrityError, StoreDown)), desk.house.store.writing() as session:
            session.execute(text(statement))


def test_a_uid_that_is_none_is_not_there(one: Desk) -> None:
    for uid in ("", "x", "a" * 25, "A" * 26, "../x"):
        with pytest.raises(NotThere):
            actions.find(one.room, one.who("officer"), uid, one.now)
