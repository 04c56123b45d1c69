"""Login, step-up, leaving, reset and lock in any order, against a small model that knows neither buckets of SQL nor sessions' rows."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import identity_kit as kit
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

import app.audit.tables
import app.identity.tables
from app.identity import accounts, actions, totp
from app.identity.sessions import Opened, Person, id_hash
from app.identity.totp import AuthenticatorOff, WrongCode
from app.kernel.errors import BadInput, SignInNeeded, TooMany
from app.store.base import Base
from app.store.engine import Store

assert app.audit.tables and app.identity.tables
# (most, seconds, resolution in seconds): what identity.md promises, and how finely time is told.
FACTOR, PASSWORD = ((5, 300, 60), (20, 3600, 300), (50, 86400, 3600)), ((10, 900, 60), (100, 86400, 3600))
IDLE, WHOLE, HALF = 900, 8 * 3600, 300


@dataclass
class Seat:
    """A session as the model sees it. Times are seconds since the start."""

    secret: str
    full: bool
    born: int
    seen: int
    ended: bool = False

    def alive(self, now: int) -> bool:
        if self.ended or now < max(self.born, self.seen) - 60:
            return False
        return now - self.born < WHOLE and now - self.seen < IDLE if self.full else now - self.born < HALF


class Login(RuleBasedStateMachine):
    """One account, any number of sessions."""

    seats = Bundle("seats")

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.store = Store(f"sqlite:///{self.folder / 'machine.db'}")
        Base.metadata.create_all(self.store.engine)
        self.clock, self.trail = kit.HandClock(), kit.MemoryTrail()
        self.identity = kit.identity_on(self.store, self.trail, self.clock)
        self.who = kit.someone(self.identity)
        self.now = 0
        self.newest, self.barred = 0, 0
        self.wrong_codes: list[int] = []
        self.wrong_passwords: list[int] = []
        self.total = 0
        self.all: list[Seat] = []

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.dispose()
            shutil.rmtree(self.folder)

    # ---- the model's rules ----

    def epoch(self) -> int:
        return int(kit.NOON.timestamp()) + self.now

    def over(self, failures: list[int], limits: tuple[tuple[int, int, int], ...]) -> bool:
        """Say whether one of the limits is reached, told to the resolution."""
        at = self.epoch()
        return any(sum(1 for one in failures if at // fine - one // fine <= within // fine) >= most for most, within, fine in limits)

    def expect(self, code: str) -> type[Exception] | None:
        """Return what presenting *code* must lead to, and remember its effect."""
        if self.total >= 100:
            return AuthenticatorOff
        if self.over(self.wrong_codes, FACTOR):
            return TooMany
        here = self.epoch() // 30
        for step in (here, here - 1):
            if totp.code_at(self.who.secret, step) == code and step > self.newest and step != self.barred:
                self.newest = step
                return None
            if totp.code_at(self.who.secret, step) == code:
                break
        else:
            ahead = [step for step in range(here + 1, here + 21) if totp.code_at(self.who.secret, step) == code]
            behind = [step for step in range(here - 20, here - 1) if totp.code_at(self.who.secret, step) == code]
            if ahead and not (behind and here - behind[-1] <= ahead[0] - here):
                self.barred = ahead[0]
        self.wrong_codes.append(self.epoch())
        self.total += 1
        return WrongCode

    # ---- what can happen ----

    @rule(seconds=st.sampled_from([1, 15, 30, 31, 61, 120, 240, 300, 600, 901, 3600]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        self.clock.forward(seconds=seconds)

    @rule(target=seats, right=st.booleans())
    def password(self, right: bool) -> object:
        typed = self.who.password if right else "bukan yang benar"
        waits = self.over(self.wrong_passwords, PASSWORD)
        try:
            opened = actions.begin_login(self.identity, kit.VISITOR, self.who.username, typed, self.clock.now())
        except TooMany:
            assert waits
            return multiple()
        except BadInput:
            assert not waits and not right
            self.wrong_passwords.append(self.epoch())
            return multiple()
        assert right and not waits
        seat = Seat(opened.secret, False, self.now, self.now)
        self.all.append(seat)
        return seat

    @rule(target=seats, seat=seats, steps=st.sampled_from([0, 0, 0, -1, -2, 1, 7, -9, None]))
    def code(self, seat: Seat, steps: int | None) -> object:
        """Complete a login, or step up: with a code of now, around now, or of no time near."""
        typed = self.who.wrong(self.clock.now()) if steps is None else totp.code_at(self.who.secret, self.epoch() // 30 + steps)
        person = self.enter(seat)
        if person is None:
            return multiple()
        act = actions.step_up if person.full else actions.finish_login
        expected = self.expect(typed)
        try:
            opened = act(self.identity, person, kit.VISITOR, typed, self.clock.now())
        except (WrongCode, AuthenticatorOff, TooMany) as error:
            assert type(error) is expected
            return multiple()
        assert expected is None
        seat.ended = True
        after = Seat(opened.secret, True, seat.born if seat.full else self.now, self.now)
        self.all.append(after)
        return after

    @rule(seat=seats)
    def look(self, seat: Seat) -> None:
        self.enter(seat)

    @rule(seat=consumes(seats))
    def leave(self, seat: Seat) -> None:
        person = self.enter(seat)
        if person is not None:
            actions.log_out(self.identity, person, kit.VISITOR, self.clock.now())
            seat.ended = True

    @rule()
    def reset(self) -> None:
        accounts.reset_totp(self.identity, kit.KEEPER, self.who.uid, self.clock.now())
        self.who.secret = accounts.enrol_by_hand(self.identity, kit.KEEPER, self.who.uid, self.clock.now())
        self.newest = self.barred = self.total = 0
        self.wrong_codes = []
        for seat in self.all:
            seat.ended = True

    @rule(failures=st.sampled_from([97, 100]))
    def many_failures_long_ago(self, failures: int) -> None:
        with kit.edited(self.identity, self.who.uid) as row:
            row.factor_failures = self.total = failures

    def enter(self, seat: Seat) -> Person | None:
        """Open the session; it must be alive exactly when the model says so."""
        alive = seat.alive(self.now)
        try:
            person = kit.person_of(self.identity, Opened("", seat.secret))
        except SignInNeeded:
            assert not alive
            seat.ended = True
            return None
        assert alive and person.full is seat.full
        if self.now - seat.seen >= 60:
            seat.seen = self.now
        return person

    @invariant()
    def nobody_is_in_who_should_not_be(self) -> None:
        if not hasattr(self, "store"):
            return
        stored = {
            bytes(row.id_hash) for row in kit.sessions_of(self.identity, self.who.uid) if row.ended_at is None and row.level == "full"
        }
        allowed = {id_hash(seat.secret) for seat in self.all if not seat.ended and seat.full}
        assert stored == allowed

    @invariant()
    def every_full_session_has_its_entry(self) -> None:
        if hasattr(self, "store"):
            granted = [entry for entry in self.trail.said() if entry in {("session:login", "allowed"), ("session:stepup", "allowed")}]
            assert len(granted) == sum(1 for seat in self.all if seat.full)


Login.TestCase.settings = settings(max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
TestLogin = Login.TestCase
