"""Signing in step by step, staying in, leaving: what each does to sessions, counters and the log."""

from __future__ import annotations

import json
from datetime import timedelta

import identity_kit as kit
import pytest
from sqlalchemy import select

from app.identity import accounts, actions, sessions, totp
from app.identity.passwords import Hasher
from app.identity.room import Identity, Visitor
from app.identity.tables import FailureCount
from app.identity.totp import AuthenticatorOff, WrongCode
from app.kernel.errors import BadInput, Conflict, NotAllowed, SignInNeeded, StoreDown, TooMany, TrailDown
from app.kernel.fields import Purpose, Role
from app.store.engine import Store

STEP = timedelta(seconds=30)


def content(identity: Identity, trail: kit.MemoryTrail, number: int = -1) -> dict[str, object]:
    """Return the opened payload of an entry."""
    sealed = trail.payloads[number]
    assert sealed is not None
    opened = identity.payloads.open(sealed.sealed, sealed.wrapped, sealed.day, identity.log, sealed.commitment)
    found = json.loads(opened)
    assert isinstance(found, dict)
    return found


def counted(identity: Identity) -> int:
    with identity.store.reading() as session:
        return sum(session.scalars(select(FailureCount.count)))


def test_a_login_takes_a_password_and_a_code(identity: Identity, trail: kit.MemoryTrail, clock: kit.HandClock) -> None:
    """Two steps, two sessions, the first ended by the second, both entries with what they stand for."""
    who = kit.someone(identity)
    before = len(trail.drafts)

    opened = kit.full_of(identity, who)
    person = kit.person_of(identity, opened)

    assert (person.uid, person.full, person.role) == (who.uid, True, Role.KPU_KAB)
    assert trail.said()[before:] == [("session:login", "intent"), ("session:login", "allowed")]
    begun, done = trail.drafts[before:]
    assert (begun.actor, begun.assurance) == (who.uid, {"method": "password", "age": 0, "challenge": None})
    assert (done.actor, done.session, done.assurance) == (who.uid, opened.uid, {"method": "totp", "age": 0, "challenge": None})
    assert (done.office, done.role, done.request) == ("kpu-51.71", "kpu_kab", "req-1")
    assert [row.level for row in kit.sessions_of(identity, who.uid) if row.ended_at is None] == ["full"]
    assert counted(identity) == 0


def test_the_clients_address_stands_in_the_sealed_payload_only(identity: Identity, trail: kit.MemoryTrail) -> None:
    who = kit.someone(identity)
    opened = kit.full_of(identity, who)

    held = content(identity, trail)
    assert held["address"] == "192.0.2.7"
    assert held["subjects"] == [] and held["v"] == 1 and len(str(held["salt"])) == 64
    assert held["previous"] != opened.uid
    assert all("192.0.2.7" not in repr(draft) for draft in trail.drafts)
    assert all(payload is not None and b"192.0.2.7" not in payload.sealed for payload in trail.payloads)


def test_an_unknown_name_and_a_wrong_password_get_one_answer(identity: Identity, trail: kit.MemoryTrail, clock: kit.HandClock) -> None:
    """The entry names the account when there is one, else "unknown"; what was typed is nowhere."""
    who = kit.someone(identity)
    answers = []
    for name, password in (
        (who.username, kit.OTHER_PASSWORD),
        ("tidak.ada", kit.PASSWORD),
        ("rahasia-terketik", ""),
        ("\x00" * 999, "x" * 9999),
        ("\ud800", "\ud800"),
    ):
        with pytest.raises(BadInput) as refused:
            actions.begin_login(identity, kit.VISITOR, name, password, clock.now())
        answers.append((refused.value.field, refused.value.public, str(refused.value)))

    assert len(set(answers)) == 1
    assert [draft.actor for draft in trail.drafts[-5:]] == [who.uid, *["unknown"] * 4]
    assert trail.said()[-5:] == [("session:login", "failed")] * 5
    assert trail.drafts[-1].office is None and trail.drafts[-1].assurance is None
    assert "rahasia-terketik" not in json.dumps([content(identity, trail, number) for number in range(-5, 0)])
    assert kit.sessions_of(identity, who.uid) == []


def test_a_typed_name_is_read_kindly(identity: Identity, clock: kit.HandClock) -> None:
    """Capitals and spaces around a username are the keyboard's, not another name."""
    who = kit.someone(identity)

    assert actions.begin_login(identity, kit.VISITOR, "  Made.W ", kit.PASSWORD, clock.now())
    assert kit.living(identity, who.uid, "password")


def test_a_disabled_account_gets_the_same_answer_and_a_denied_entry(
    identity: Identity, trail: kit.MemoryTrail, clock: kit.HandClock
) -> None:
    who = kit.someone(identity)
    accounts.disable(identity, kit.KEEPER, who.uid, clock.now())

    with pytest.raises(BadInput) as refused:
        kit.half_of(identity, who)

    assert refused.value.public == actions.WRONG_NAME_OR_PASSWORD
    assert (trail.drafts[-1].actor, trail.said()[-1]) == (who.uid, ("session:login", "denied"))


@pytest.mark.parametrize("name", ["made.w", "tidak.ada"])
def test_after_ten_failures_a_name_waits_known_or_not(identity: Identity, trail: kit.MemoryTrail, clock: kit.HandClock, name: str) -> None:
    """From ten different addresses; then the right password waits too, and the refusal is recorded."""
    kit.someone(identity)
    for number in range(10):
        with pytest.raises(BadInput):
            actions.begin_login(identity, Visitor("req", f"192.0.2.{number}"), name, "wrong wrong wrong", clock.now())

    with pytest.raises(TooMany) as many:
        actions.begin_login(identity, Visitor("req", "192.0.2.99"), name, kit.PASSWORD, clock.now())

    assert 0 < many.value.wait <= 960
    assert trail.said()[-1] == ("session:login", "denied")


def test_after_fifty_failures_an_address_waits_and_others_do_not(identity: Identity, clock: kit.HandClock) -> None:
    who = kit.someone(identity)
    for number in range(50):
        with pytest.raises(BadInput):
            actions.begin_login(identity, kit.VISITOR, f"nama{number}", "x", clock.now())

    with pytest.raises(TooMany):
        kit.half_of(identity, who)
    assert actions.begin_login(identity, Visitor("req", "198.51.100.1"), who.username, who.password, clock.now())


def test_strangers_cannot_trip_the_second_factor(identity: Identity, clock: kit.HandClock) -> None:
    """Whatever is guessed without the password leaves the authenticator untouched."""
    who = kit.someone(identity)
    for number in range(9):
        with pytest.raises(BadInput):
            actions.begin_login(identity, Visitor("req", f"192.0.2.{number}"), who.username, "123456", clock.now())

    assert kit.row_of(identity, who.uid).factor_failures == 0
    assert kit.full_of(identity, who)


def test_a_wrong_code_is_recorded_before_it_is_told(identity: Identity, trail: kit.MemoryTrail, clock: kit.HandClock) -> None:
    who = kit.someone(identity)
    person = kit.person_of(identity, kit.half_of(identity, who))

    with pytest.raises(WrongCode):
        actions.finish_login(identity, person, kit.VISITOR, who.wrong(clock.now()), clock.now())

    assert (trail.said()[-1], trail.drafts[-1].actor) == (("session:login", "failed"), who.uid)
    assert kit.living(identity, who.uid) == []


def test_a_refused_guess_is_recorded_as_denied(identity: Identity, trail: kit.MemoryTrail, clock: kit.HandClock) -> None:
    """Too many failures, or the authenticator off."""
    who = kit.someone(identity)
    person = kit.person_of(identity, kit.half_of(identity, who))
    for _ in range(5):
        with pytest.raises(WrongCode):
            actions.finish_login(identity, person, kit.VISITOR, who.wrong(clock.now()), clock.now())
    with pytest.raises(TooMany):
        actions.finish_login(identity, person, kit.VISITOR, who.code(clock.now()), clock.now())
    with kit.edited(identity, who.uid) as row:
        row.factor_failures = 100
    with pytest.raises(AuthenticatorOff):
        actions.finish_login(identity, person, kit.VISITOR, who.code(clock.now()), clock.now())

    assert trail.said()[-2:] == [("session:login", "denied")] * 2


def test_what_is_no_code_is_neither_compared_nor_counted(identity: Identity, trail: kit.MemoryTrail, clock: kit.HandClock) -> None:
    who = kit.someone(identity)
    person, before = kit.person_of(identity, kit.half_of(identity, who)), len(trail.drafts)
    for text in ("", "12345", "１２３４５６", "123456 "):
        with pytest.raises(BadInput):
            actions.finish_login(identity, person, kit.VISITOR, text, clock.now())

    assert (len(trail.drafts), kit.row_of(identity, who.uid).factor_failures) == (before, 0)


def test_a_code_used_to_log_in_does_not_step_up(identity: Identity, clock: kit.HandClock) -> None:
    """One code, one use, on whatever path."""
    who = kit.someone(identity)
    person = kit.person_of(identity, kit.full_of(identity, who))

    with pytest.raises(WrongCode):
        actions.step_up(identity, person, kit.VISITOR, who.code(clock.now()), clock.now())


def test_a_half_session_makes_one_full_one(identity: Identity, clock: kit.HandClock) -> None:
    """A second code on the same half session finds it ended, and is not spent."""
    who = kit.someone(identity)
    person = kit.person_of(identity, kit.half_of(identity, who))
    actions.finish_login(identity, person, kit.VISITOR, who.code(clock.now() - STEP), clock.now())

    with pytest.raises(SignInNeeded) as ended:
        actions.finish_login(identity, person, kit.VISITOR, who.code(clock.now()), clock.now())

    assert ended.value.expired
    assert len(kit.living(identity, who.uid)) == 1
    assert kit.row_of(identity, who.uid).last_step == totp.step_at(clock.now()) - 1


def test_another_accounts_factor_opens_nothing(identity: Identity, clock: kit.HandClock) -> None:
    one, other = kit.someone(identity), kit.someone(identity, "lain")
    person = kit.person_of(identity, kit.half_of(identity, one))

    with pytest.raises(Conflict), identity.store.writing() as session:
        sessions.open_full(session, sessions.mint(), person, totp.Factor(other.uid, clock.now()))
    assert kit.living(identity, one.uid) == []


@pytest.mark.parametrize("step", ["password", "wrong password", "code", "wrong code", "unknown"])
def test_while_the_log_is_down_nobody_signs_in_or_learns_anything(
    identity: Identity, trail: kit.MemoryTrail, clock: kit.HandClock, step: str
) -> None:
    """Right and wrong get the same TrailDown; a right code is not spent."""
    who = kit.someone(identity)
    person = kit.person_of(identity, kit.half_of(identity, who))
    trail.down = True
    code = who.wrong(clock.now()) if step == "wrong code" else who.code(clock.now())

    with pytest.raises(TrailDown):
        if "code" in step:
            actions.finish_login(identity, person, kit.VISITOR, code, clock.now())
        else:
            name = "tidak.ada" if step == "unknown" else who.username
            actions.begin_login(identity, kit.VISITOR, name, who.password if step == "password" else "wrong", clock.now())

    assert kit.living(identity, who.uid) == []
    trail.down = False
    assert actions.finish_login(identity, person, kit.VISITOR, who.code(clock.now()), clock.now())


def test_a_right_password_is_no_failure_even_while_the_log_is_down(identity: Identity, trail: kit.MemoryTrail) -> None:
    """An outage does not lock people out after it is over."""
    who = kit.someone(identity)
    trail.down = True
    for _ in range(12):
        with pytest.raises(TrailDown):
            kit.half_of(identity, who)
    trail.down = False

    assert kit.full_of(identity, who)


def test_without_counters_nobody_signs_in(identity: Identity, plain_store: Store) -> None:
    who = kit.someone(identity)
    with plain_store.writing() as session:
        session.connection().exec_driver_sql("DROP TABLE failure_count")

    with pytest.raises(StoreDown):
        kit.half_of(identity, who)


def test_a_login_renews_a_hash_of_older_cost(plain_store: Store, trail: kit.MemoryTrail, clock: kit.HandClock) -> None:
    old = kit.identity_on(plain_store, trail, clock)
    who = kit.someone(old)
    new = kit.identity_on(plain_store, trail, clock, fresh=False, hasher=Hasher(memory_kib=16, passes=1))

    kit.full_of(new, who)

    stored = kit.row_of(new, who.uid).password_hash
    assert "$m=16," in stored
    clock.forward(minutes=1)
    assert kit.full_of(new, who)


def test_enrolment_shows_one_secret_and_takes_its_first_code(identity: Identity, trail: kit.MemoryTrail, clock: kit.HandClock) -> None:
    """The secret stays the same while the page is reloaded; its code enrols and completes the login in one go."""
    who = kit.someone(identity, enrolled=False)
    person = kit.person_of(identity, kit.half_of(identity, who))
    assert not person.enrolled
    secret = actions.pending_secret(identity, person)
    assert actions.pending_secret(identity, person) == secret

    code = totp.code_at(secret, totp.step_at(clock.now()))
    opened = actions.confirm_enrolment(identity, person, kit.VISITOR, code, clock.now())

    assert kit.person_of(identity, opened).full
    assert trail.said()[-2:] == [("account:enrol", "done"), ("session:login", "allowed")]
    who.secret = secret
    assert secret.encode() not in (kit.row_of(identity, who.uid).seed or b"")
    clock.forward(minutes=1)
    assert kit.full_of(identity, who)


def test_the_code_of_enrolment_is_spent(identity: Identity, clock: kit.HandClock) -> None:
    who = kit.someone(identity, enrolled=False)
    person = kit.person_of(identity, kit.half_of(identity, who))
    code = totp.code_at(actions.pending_secret(identity, person), totp.step_at(clock.now()))
    actions.confirm_enrolment(identity, person, kit.VISITOR, code, clock.now())
    again = kit.person_of(identity, kit.half_of(identity, who))

    with pytest.raises(WrongCode):
        actions.finish_login(identity, again, kit.VISITOR, code, clock.now())


def test_of_two_enrolments_the_first_confirmed_counts(identity: Identity, clock: kit.HandClock) -> None:
    who = kit.someone(identity, enrolled=False)
    one, two = (kit.person_of(identity, kit.half_of(identity, who)) for _ in range(2))
    first, second = actions.pending_secret(identity, one), actions.pending_secret(identity, two)
    assert first != second
    actions.confirm_enrolment(identity, one, kit.VISITOR, totp.code_at(first, totp.step_at(clock.now())), clock.now())

    with pytest.raises(Conflict):
        actions.confirm_enrolment(identity, two, kit.VISITOR, totp.code_at(second, totp.step_at(clock.now())), clock.now())
    assert len(kit.living(identity, who.uid)) == 1


def test_a_wrong_code_enrols_nothing_and_is_counted(identity: Identity, trail: kit.MemoryTrail, clock: kit.HandClock) -> None:
    who = kit.someone(identity, enrolled=False)
    person = kit.person_of(identity, kit.half_of(identity, who))
    secret = actions.pending_secret(identity, person)

    with pytest.raises(WrongCode) as wrong:
        late = totp.code_at(secret, totp.step_at(clock.now() - timedelta(minutes=4)))
        actions.confirm_enrolment(identity, person, kit.VISITOR, late, clock.now())

    assert wrong.value.skew == -4
    assert trail.said()[-1] == ("account:enrol", "failed")
    row = kit.row_of(identity, who.uid)
    assert (row.seed, row.factor_failures) == (None, 1)


def test_a_step_up_gives_a_new_session_with_a_factor_for_the_task(identity: Identity, trail: kit.MemoryTrail, clock: kit.HandClock) -> None:
    """The old secret no longer works, the absolute lifetime goes on, the factor counts for this purpose only."""
    who = kit.someone(identity)
    opened = kit.full_of(identity, who)
    sessions.choose_task(identity.store, kit.person_of(identity, opened), Purpose.SENGKETA, clock.now())
    clock.forward(minutes=10)
    person = kit.person_of(identity, opened)

    fresh = actions.step_up(identity, person, kit.VISITOR, who.code(clock.now()), clock.now())

    now, renewed = clock.now(), kit.person_of(identity, fresh)
    assert renewed.actor("r", None).factor_age(Purpose.SENGKETA, now) == 0
    assert renewed.actor("r", None).factor_age(Purpose.PEMUTAKHIRAN, now) > 10**6
    assert renewed.created_at == person.created_at and renewed.session != person.session
    with pytest.raises(SignInNeeded) as ended:
        kit.person_of(identity, opened)
    assert ended.value.expired
    assert (trail.said()[-1], trail.drafts[-1].purpose) == (("session:stepup", "allowed"), "sengketa")


def test_a_failed_step_up_is_recorded_with_its_task_and_changes_nothing(
    identity: Identity, trail: kit.MemoryTrail, clock: kit.HandClock
) -> None:
    who = kit.someone(identity)
    opened = kit.full_of(identity, who)
    sessions.choose_task(identity.store, kit.person_of(identity, opened), Purpose.SENGKETA, clock.now())

    with pytest.raises(WrongCode):
        actions.step_up(identity, kit.person_of(identity, opened), kit.VISITOR, who.wrong(clock.now()), clock.now())

    assert (trail.said()[-1], trail.drafts[-1].purpose) == (("session:stepup", "failed"), "sengketa")
    assert kit.person_of(identity, opened).full


def test_the_login_counts_for_the_first_task_only(identity: Identity, clock: kit.HandClock) -> None:
    opened = kit.full_of(identity, kit.someone(identity))
    clock.forward(seconds=90)
    for purpose in (Purpose.PEMUTAKHIRAN, Purpose.SENGKETA):
        sessions.choose_task(identity.store, kit.person_of(identity, opened), purpose, clock.now())

    person = kit.person_of(identity, opened)
    assert person.purpose is Purpose.SENGKETA
    assert person.actor("r", None).factor_age(Purpose.PEMUTAKHIRAN, clock.now()) == 90
    assert person.actor("r", None).factor_age(Purpose.SENGKETA, clock.now()) > 10**6


def test_a_task_cannot_be_chosen_in_an_ended_session(identity: Identity, trail: kit.MemoryTrail, clock: kit.HandClock) -> None:
    person = kit.person_of(identity, kit.full_of(identity, kit.someone(identity)))
    actions.log_out(identity, person, kit.VISITOR, clock.now())

    with pytest.raises(SignInNeeded):
        sessions.choose_task(identity.store, person, Purpose.SENGKETA, clock.now())


def test_leaving_ends_the_session_and_is_recorded_once(identity: Identity, trail: kit.MemoryTrail, clock: kit.HandClock) -> None:
    opened = kit.full_of(identity, kit.someone(identity))
    person = kit.person_of(identity, opened)
    for _ in range(2):
        actions.log_out(identity, person, kit.VISITOR, clock.now())

    assert trail.said().count(("session:logout", "done")) == 1
    with pytest.raises(SignInNeeded):
        kit.person_of(identity, opened)


def test_one_can_leave_while_the_log_is_down(identity: Identity, trail: kit.MemoryTrail, clock: kit.HandClock) -> None:
    opened = kit.full_of(identity, kit.someone(identity))
    person = kit.person_of(identity, opened)
    trail.down = True

    with pytest.raises(TrailDown):
        actions.log_out(identity, person, kit.VISITOR, clock.now())
    with pytest.raises(SignInNeeded):
        kit.person_of(identity, opened)


def change(identity: Identity, opened: sessions.Opened, current: str, new: str, again: str) -> sessions.Opened:
    person = kit.person_of(identity, opened)
    return actions.change_password(identity, person, kit.VISITOR, current, new, again, identity.clock.now())


def test_a_new_password_ends_the_other_sessions(identity: Identity, trail: kit.MemoryTrail, clock: kit.HandClock) -> None:
    who = kit.someone(identity, must_change=True)
    elsewhere = kit.full_of(identity, who)
    clock.forward(minutes=1)
    here = kit.full_of(identity, who)

    fresh = change(identity, here, kit.PASSWORD, kit.OTHER_PASSWORD, kit.OTHER_PASSWORD)

    assert not kit.person_of(identity, fresh).must_change
    assert kit.person_of(identity, fresh).factor_method == "totp"
    for ended in (elsewhere, here):
        with pytest.raises(SignInNeeded):
            kit.person_of(identity, ended)
    assert (trail.said()[-1], trail.drafts[-1].session) == (("account:password", "done"), fresh.uid)
    with pytest.raises(BadInput):
        kit.half_of(identity, who)
    who.password = kit.OTHER_PASSWORD
    assert kit.half_of(identity, who)


def test_a_wrong_current_password_is_counted_and_recorded(identity: Identity, trail: kit.MemoryTrail) -> None:
    """A stolen session is no place to guess: the counter is that of the login."""
    opened = kit.full_of(identity, kit.someone(identity))
    for _ in range(10):
        with pytest.raises(BadInput) as refused:
            change(identity, opened, "wrong wrong wrong", kit.OTHER_PASSWORD, kit.OTHER_PASSWORD)
        assert (refused.value.field, trail.said()[-1]) == ("current", ("account:password", "failed"))

    with pytest.raises(TooMany):
        change(identity, opened, kit.PASSWORD, kit.OTHER_PASSWORD, kit.OTHER_PASSWORD)


@pytest.mark.parametrize(
    ("new", "again", "field"),
    [
        ("pendek", "pendek", "new"),
        (kit.OTHER_PASSWORD, "lain", "again"),
        (kit.PASSWORD, kit.PASSWORD, "new"),
        ("made.w made.w made", "made.w made.w made", "new"),
    ],
)
def test_a_new_password_must_be_good_repeated_and_new(identity: Identity, new: str, again: str, field: str) -> None:
    opened = kit.full_of(identity, kit.someone(identity))

    with pytest.raises(BadInput) as refused:
        change(identity, opened, kit.PASSWORD, new, again)

    assert refused.value.field == field
    assert kit.person_of(identity, opened)


def test_another_role_of_the_same_person_starts_without_a_task(identity: Identity, trail: kit.MemoryTrail, clock: kit.HandClock) -> None:
    who = kit.someone(identity, roles=["kpu_kab", "penyetuju"])
    opened = kit.full_of(identity, who)
    sessions.choose_task(identity.store, kit.person_of(identity, opened), Purpose.SENGKETA, clock.now())

    fresh = actions.switch_role(identity, kit.person_of(identity, opened), kit.VISITOR, Role.PENYETUJU, clock.now())

    person = kit.person_of(identity, fresh)
    assert (person.role, person.purpose, person.factor_purpose) == (Role.PENYETUJU, None, Purpose.SENGKETA)
    assert (trail.drafts[-1].role, trail.said()[-1]) == ("penyetuju", ("session:login", "allowed"))
    with pytest.raises(SignInNeeded):
        kit.person_of(identity, opened)


def test_a_role_not_held_is_not_taken(identity: Identity, clock: kit.HandClock) -> None:
    person = kit.person_of(identity, kit.full_of(identity, kit.someone(identity)))

    with pytest.raises(NotAllowed):
        actions.switch_role(identity, person, kit.VISITOR, Role.ADMIN_SISTEM, clock.now())
