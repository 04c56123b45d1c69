"""One account's whole life on each engine, with the real log and the application's own rights."""

from __future__ import annotations

from pathlib import Path

import identity_kit as kit
import pytest
from sqlalchemy import text

from app.audit.content import unpack
from app.audit.entry import parse
from app.identity import accounts, actions, sessions, totp
from app.identity.room import Visitor
from app.kernel.errors import BadInput, NotThere, SignInNeeded
from app.kernel.fields import Purpose, Role
from app.store.engine import Store

ADDRESS, TYPED = "198.51.100.77", "nama.yang.terketik"


def test_an_account_lives_from_its_making_to_its_end(store: Store, clock: kit.HandClock) -> None:
    """Made, enrolled, changed, stepped up, switched, reset, disabled: every step has its entry, in order, and its payload opens."""
    trail = kit.real_trail(store)
    identity = kit.identity_on(store, trail, clock)
    where = Visitor("req-7", ADDRESS)

    who = kit.someone(identity, enrolled=False, must_change=True, roles=["kpu_kab", "penyetuju"])
    half = actions.begin_login(identity, where, who.username, who.password, clock.now())
    who.secret = actions.pending_secret(identity, kit.person_of(identity, half))
    opened = actions.confirm_enrolment(identity, kit.person_of(identity, half), where, who.code(clock.now()), clock.now())
    opened = actions.change_password(
        identity, kit.person_of(identity, opened), where, who.password, kit.OTHER_PASSWORD, kit.OTHER_PASSWORD, clock.now()
    )
    sessions.choose_task(store, kit.person_of(identity, opened), Purpose.PEMUTAKHIRAN, clock.now())
    clock.forward(minutes=2)
    opened = actions.step_up(identity, kit.person_of(identity, opened), where, who.code(clock.now()), clock.now())
    opened = actions.switch_role(identity, kit.person_of(identity, opened), where, Role.PENYETUJU, clock.now())
    actions.log_out(identity, kit.person_of(identity, opened), where, clock.now())
    accounts.reset_totp(identity, kit.KEEPER, who.uid, clock.now())
    accounts.disable(identity, kit.KEEPER, who.uid, clock.now())
    with pytest.raises(BadInput):
        actions.begin_login(identity, where, who.username, kit.OTHER_PASSWORD, clock.now())
    with pytest.raises(BadInput):
        actions.begin_login(identity, where, TYPED, kit.PASSWORD, clock.now())
    trail.close()

    with store.reading() as session:
        rows = session.execute(
            text("SELECT e.seq, e.body, p.sealed, p.wrapped, p.day FROM trail_entry e JOIN trail_payload p ON p.seq = e.seq ORDER BY e.seq")
        ).all()
    entries = [parse(bytes(row.body)) for row in rows]
    assert [(entry["action"], entry["outcome"]) for entry in entries] == [
        ("account:create", "done"),
        ("session:login", "intent"),
        ("account:enrol", "done"),
        ("session:login", "allowed"),
        ("account:password", "done"),
        ("session:stepup", "allowed"),
        ("session:login", "allowed"),
        ("session:logout", "done"),
        ("account:reset", "done"),
        ("account:disable", "done"),
        ("session:login", "denied"),
        ("session:login", "failed"),
    ]
    assert [entry["actor"] for entry in entries[-3:]] == ["host:1000", who.uid, "unknown"]
    for entry, row in zip(entries, rows, strict=True):
        mark = entry["payload"]
        assert mark
        content = identity.payloads.open(bytes(row.sealed), bytes(row.wrapped), row.day, identity.log, bytes.fromhex(mark["commitment"]))
        assert unpack(content).subjects == ()


def test_nothing_secret_or_typed_stands_in_the_database(plain_store: Store, tmp_path: Path, clock: kit.HandClock) -> None:
    """Password, one-time password, TOTP secret and its bytes, cookie, address, a typed unknown name: in no file of the database."""
    trail = kit.real_trail(plain_store)
    identity = kit.identity_on(plain_store, trail, clock)
    who = kit.someone(identity, enrolled=False)
    _uid, one_time = accounts.create(
        identity, kit.KEEPER, username="baru", name="Baru", office="kpu-00", unit="data", roles=["admin_sistem"], now=clock.now()
    )
    half = actions.begin_login(identity, Visitor("req-1", ADDRESS), who.username, who.password, clock.now())
    secret = actions.pending_secret(identity, kit.person_of(identity, half))
    full = actions.confirm_enrolment(
        identity, kit.person_of(identity, half), Visitor("req-2", ADDRESS), totp.code_at(secret, totp.step_at(clock.now())), clock.now()
    )
    with pytest.raises(BadInput):
        actions.begin_login(identity, Visitor("req-3", ADDRESS), TYPED, "sandi-yang-terketik", clock.now())
    trail.close()

    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert who.uid.encode() in stored
    markers = (who.password, one_time, secret, full.secret, half.secret, ADDRESS, TYPED, "sandi-yang-terketik")
    assert [marker for marker in markers if marker.encode() in stored] == []


def test_two_accounts_of_one_name_cannot_be_made_at_once(store: Store, clock: kit.HandClock) -> None:
    """The database decides; the second maker is told which field, and nothing of it stays."""
    identity = kit.identity_on(store, kit.MemoryTrail(), clock)
    kit.someone(identity, "kembar")

    with pytest.raises(BadInput) as refused:
        kit.someone(identity, "kembar")

    assert refused.value.field == "username"
    with pytest.raises(NotThere):
        accounts.find(identity, "lain")


def test_a_session_ended_elsewhere_is_ended_here(store: Store, clock: kit.HandClock) -> None:
    """Two processes over one database: what one ends, the other refuses with the next request."""
    here = kit.identity_on(store, kit.MemoryTrail(), clock)
    opened = kit.full_of(here, kit.someone(here))
    elsewhere = kit.identity_on(store, kit.MemoryTrail(), clock, fresh=False)
    actions.log_out(elsewhere, kit.person_of(elsewhere, opened), kit.VISITOR, clock.now())

    with pytest.raises(SignInNeeded):
        kit.person_of(here, opened)
