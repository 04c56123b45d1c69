"""One-time codes: made as the RFCs say, each used once, guesses counted."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import identity_kit as kit
import pytest
from sqlalchemy.orm import Session

from app.identity import accounts, totp
from app.identity.room import Identity
from app.identity.totp import AuthenticatorOff, Factor, WrongCode
from app.kernel.errors import Conflict, SealBroken, StoreDown, TooMany
from app.store.engine import Store

VECTORS = Path(__file__).parent.parent / "vectors" / "otp"
RFC4226 = json.loads((VECTORS / "rfc4226.json").read_text())
RFC6238 = [vector for vector in json.loads((VECTORS / "rfc6238.json").read_text())["vectors"] if vector["algorithm"] == "SHA1"]
STEP = timedelta(seconds=30)


def base32(key_hex: str) -> str:
    return base64.b32encode(bytes.fromhex(key_hex)).decode()


def present(identity: Identity, who: kit.Someone, code: str, now: datetime) -> Factor:
    return totp.present(identity.store, identity.keys, who.uid, code, now, lambda _session, factor: factor)


def test_codes_are_those_of_rfc_4226() -> None:
    made = [totp.code_at(base32(RFC4226["key_hex"]), counter) for counter in range(len(RFC4226["codes"]))]

    assert made == RFC4226["codes"]


@pytest.mark.parametrize("vector", RFC6238, ids=lambda vector: str(vector["time"]))
def test_codes_are_those_of_rfc_6238(vector: dict[str, str]) -> None:
    """The published codes have eight digits; ours are their last six."""
    moment = datetime.fromtimestamp(int(vector["time"]), UTC)

    assert totp.step_at(moment) == vector["step"]
    assert totp.code_at(base32(vector["key_hex"]), totp.step_at(moment)) == vector["code"][-6:]


def test_a_wita_clock_makes_the_same_code() -> None:
    """The step comes from the moment, not from what a clock on the wall shows."""
    wita = kit.NOON.astimezone(timezone(timedelta(hours=8)))

    assert totp.step_at(wita) == totp.step_at(kit.NOON)


def test_a_secret_has_160_bits() -> None:
    secret = totp.new_secret()

    assert len(base64.b32decode(secret)) == 20
    assert secret != totp.new_secret()


def test_a_sealed_secret_opens_only_for_its_account_and_version(identity: Identity) -> None:
    sealed = totp.seal_secret(identity.keys, "a" * 26, 3, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")

    assert b"JBSWY3DP" not in sealed
    assert totp.open_secret(identity.keys, "a" * 26, 3, sealed) == "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    for account, version in (("b" * 26, 3), ("a" * 26, 4)):
        with pytest.raises(SealBroken):
            totp.open_secret(identity.keys, account, version, sealed)


def test_the_code_of_now_and_of_one_step_ago_are_taken(identity: Identity, clock: kit.HandClock) -> None:
    who = kit.someone(identity)

    assert present(identity, who, who.code(clock.now() - STEP), clock.now()) == Factor(who.uid, clock.now())
    assert present(identity, who, who.code(clock.now()), clock.now())


@pytest.mark.parametrize("away", [-2, 1, -120, 120])
def test_codes_of_other_steps_are_not(identity: Identity, clock: kit.HandClock, away: int) -> None:
    """Two steps back, one ahead, an hour either way."""
    who = kit.someone(identity)

    with pytest.raises(WrongCode):
        present(identity, who, who.code(clock.now() + away * STEP), clock.now())


def test_a_code_is_used_once(identity: Identity, clock: kit.HandClock) -> None:
    who = kit.someone(identity)
    code = who.code(clock.now())
    present(identity, who, code, clock.now())

    with pytest.raises(WrongCode):
        present(identity, who, code, clock.now())


def test_an_older_code_is_refused_after_a_newer_one(identity: Identity, clock: kit.HandClock) -> None:
    """Code A stays refused after B was used, though A is still within its time."""
    who = kit.someone(identity)
    older, newer = who.code(clock.now() - STEP), who.code(clock.now())
    present(identity, who, newer, clock.now())

    with pytest.raises(WrongCode):
        present(identity, who, older, clock.now())


def test_a_clock_set_back_makes_no_code_usable_again(identity: Identity, clock: kit.HandClock) -> None:
    who = kit.someone(identity)
    present(identity, who, who.code(clock.now()), clock.now())
    clock.forward(hours=-1)

    with pytest.raises(WrongCode):
        present(identity, who, who.code(clock.now()), clock.now())


def test_what_the_factor_is_used_for_stands_or_falls_with_the_code(identity: Identity, clock: kit.HandClock) -> None:
    """If the use fails, nothing is spent and nothing is counted."""
    who = kit.someone(identity)

    def fail(_session: Session, _factor: Factor) -> None:
        raise StoreDown("told to fail")

    with pytest.raises(StoreDown):
        totp.present(identity.store, identity.keys, who.uid, who.code(clock.now()), clock.now(), fail)

    assert kit.row_of(identity, who.uid).last_step == 0
    assert present(identity, who, who.code(clock.now()), clock.now())


@pytest.mark.parametrize(("minutes", "told"), [(7, 7), (-7, -7), (1, 1), (9.5, 10), (-10, -10)])
def test_a_wrong_code_hints_at_the_phones_clock(identity: Identity, clock: kit.HandClock, minutes: float, told: int) -> None:
    who = kit.someone(identity)

    with pytest.raises(WrongCode) as wrong:
        present(identity, who, who.code(clock.now() + timedelta(minutes=minutes)), clock.now())

    assert wrong.value.skew == told


def test_a_code_from_nowhere_or_used_before_gives_no_hint(identity: Identity, clock: kit.HandClock) -> None:
    who = kit.someone(identity)
    code = who.code(clock.now())
    present(identity, who, code, clock.now())

    for tried in (who.wrong(clock.now()), code):
        with pytest.raises(WrongCode) as wrong:
            present(identity, who, tried, clock.now())
        assert wrong.value.skew is None


def test_the_hint_is_worth_nothing_to_a_guesser(identity: Identity, clock: kit.HandClock) -> None:
    """A code told to be ahead of the clock is refused when its time comes; the next one is taken."""
    who = kit.someone(identity)
    ahead = who.code(clock.now() + timedelta(minutes=5))
    with pytest.raises(WrongCode):
        present(identity, who, ahead, clock.now())
    clock.forward(minutes=5)

    with pytest.raises(WrongCode):
        present(identity, who, ahead, clock.now())
    clock.forward(seconds=30)
    assert present(identity, who, who.code(clock.now()), clock.now())


def fail_times(identity: Identity, who: kit.Someone, times: int) -> None:
    for _ in range(times):
        with pytest.raises(WrongCode):
            present(identity, who, who.wrong(identity.clock.now()), identity.clock.now())


def test_after_five_failures_even_the_right_code_waits(identity: Identity, clock: kit.HandClock) -> None:
    """The right code is not compared, so it is not spent; after the wait told it works."""
    who = kit.someone(identity)
    fail_times(identity, who, 5)

    with pytest.raises(TooMany) as many:
        present(identity, who, who.code(clock.now()), clock.now())

    assert 0 < many.value.wait <= 360
    assert kit.row_of(identity, who.uid).last_step == 0
    clock.forward(seconds=many.value.wait)
    assert present(identity, who, who.code(clock.now()), clock.now())


def test_twenty_an_hour_and_fifty_a_day_are_the_most(identity: Identity, clock: kit.HandClock) -> None:
    """Somebody who always waits as told gets 20 guesses an hour, 50 a day."""
    who = kit.someone(identity)
    start, guesses = clock.now(), []
    while clock.now() < start + timedelta(hours=24):
        try:
            present(identity, who, who.wrong(clock.now()), clock.now())
        except WrongCode:
            guesses.append(clock.now())
        except TooMany as many:
            clock.forward(seconds=many.wait)

    assert len(guesses) == 50
    assert max(sum(1 for other in guesses if one <= other < one + timedelta(hours=1)) for one in guesses) == 20


def test_a_hundred_failures_in_all_turn_the_authenticator_off(identity: Identity, clock: kit.HandClock) -> None:
    """However long they take, and whatever was right in between; a reset is the only way back."""
    who = kit.someone(identity)
    for _ in range(25):
        fail_times(identity, who, 4)
        clock.forward(hours=3)
        if kit.row_of(identity, who.uid).factor_failures < 100:
            present(identity, who, who.code(clock.now()), clock.now())

    with pytest.raises(AuthenticatorOff):
        present(identity, who, who.code(clock.now()), clock.now())
    accounts.reset_totp(identity, kit.KEEPER, who.uid, clock.now())
    fresh = kit.Someone(who.uid, who.username, accounts.enrol_by_hand(identity, kit.KEEPER, who.uid, clock.now()))
    assert present(identity, fresh, fresh.code(clock.now()), clock.now())


def test_a_success_does_not_count(identity: Identity, clock: kit.HandClock) -> None:
    who = kit.someone(identity)
    fail_times(identity, who, 4)
    for _ in range(20):
        clock.forward(seconds=30)
        present(identity, who, who.code(clock.now()), clock.now())

    assert kit.row_of(identity, who.uid).factor_failures == 4


def test_one_accounts_failures_are_not_anothers(identity: Identity, clock: kit.HandClock) -> None:
    one, other = kit.someone(identity), kit.someone(identity, "lain")
    fail_times(identity, one, 5)

    assert present(identity, other, other.code(clock.now()), clock.now())
    with pytest.raises(WrongCode):
        present(identity, other, one.code(clock.now() + STEP), clock.now())


def test_a_changed_or_borrowed_seed_is_a_broken_seal(identity: Identity, clock: kit.HandClock) -> None:
    """A seed copied from another account opens nowhere."""
    one, other = kit.someone(identity), kit.someone(identity, "lain")
    with kit.edited(identity, one.uid) as row:
        row.seed = kit.row_of(identity, other.uid).seed

    with pytest.raises(SealBroken):
        present(identity, one, other.code(clock.now()), clock.now())


def test_without_an_authenticator_no_code_is_taken(identity: Identity, clock: kit.HandClock) -> None:
    who = kit.someone(identity, enrolled=False)

    with pytest.raises(Conflict):
        present(identity, who, "123456", clock.now())


def test_when_failures_cannot_be_counted_nothing_is_compared(identity: Identity, plain_store: Store, clock: kit.HandClock) -> None:
    """Fail closed: with the counters gone even the right code is refused, and not spent."""
    who = kit.someone(identity)
    with plain_store.writing() as session:
        session.connection().exec_driver_sql("DROP TABLE failure_count")

    with pytest.raises(StoreDown):
        present(identity, who, who.code(clock.now()), clock.now())
    assert kit.row_of(identity, who.uid).last_step == 0
