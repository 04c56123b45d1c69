"""One-time codes (RFC 6238: SHA-1, 6 digits, 30 s) and the rule that each is used once.

The walk of one code, on every path (login, step-up, enrolment), in one transaction that holds the account's row:

    (1) the account may still try: no limit reached, authenticator not off
    (2) find which of the steps T and T-1 the code belongs to, comparing both in constant time
    (3) consume it: one conditional UPDATE, strictly increasing; rowcount 1 or the code is refused
    (4) a wrong code is counted; the count is durable before anybody hears that it was wrong
    (5) hand a Factor to what it is used for, in the same transaction: the code is spent exactly when its session exists

pyotp makes codes; its ``verify`` is not used, since it neither names the step nor remembers it.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import pyotp
from sqlalchemy import CursorResult, Update, update
from sqlalchemy.orm import Session

from app.identity import rules, throttle
from app.identity.tables import Account
from app.kernel.errors import N_, BadInput, Conflict, GarduError, TooMany
from app.store.engine import Store
from app.vault.house import KeyHouse
from app.vault.seeds import open_seed, seal_seed, seed_epoch

T = TypeVar("T")
METHOD = "totp"
STEP_SECONDS = 30
# 160 bits, as RFC 4226 section 4 (R6) recommends: 32 base32 characters.
SECRET_CHARACTERS = 32
# RFC 6238 section 5.2 allows one step back for the time it takes to type.
_BACK = 1
# A wrong code is compared with this many steps (10 minutes) either way, only to tell that a phone's clock is off.
_HINT_STEPS = 20


@dataclass(frozen=True, slots=True)
class Factor:
    """Proof that a second factor was consumed just now for *account* (a uid)."""

    account: str
    at: datetime
    method: str = METHOD


Use = Callable[[Session, Factor], T]


class WrongCode(BadInput):
    """The code is wrong or was used before. skew: minutes the phone seems ahead (or, negative, behind), or None when that is not it."""

    def __init__(self, detail: str, *, skew: int | None = None) -> None:
        super().__init__(
            detail,
            field="code",
            public=N_("Kode salah atau sudah dipakai. Tunggu kode berikutnya di aplikasi autentikator, lalu masukkan."),
        )
        self.skew = skew


class AuthenticatorOff(BadInput):
    """Too many failures in all: the authenticator is off until an administrator resets it."""

    def __init__(self) -> None:
        super().__init__(
            f"{rules.FACTOR_LOCK} failures in all",
            field="code",
            public=N_("Autentikator akun ini dimatikan karena terlalu banyak kode salah. Minta admin sistem mengatur ulang (reset-totp)."),
        )


def new_secret() -> str:
    """Return a fresh 160-bit secret as 32 base32 characters."""
    return pyotp.random_base32(length=SECRET_CHARACTERS)


def code_at(secret: str, step: int) -> str:
    """Return the six digits of *step* (``epoch // 30``) for a base32 secret."""
    return pyotp.TOTP(secret, interval=STEP_SECONDS).generate_otp(step)


def step_at(now: datetime) -> int:
    """Return the time step of a moment."""
    return int(now.timestamp()) // STEP_SECONDS


def uri(secret: str, username: str, issuer: str) -> str:
    """Return the ``otpauth://`` address that an authenticator app reads from a QR code."""
    return pyotp.TOTP(secret, interval=STEP_SECONDS).provisioning_uri(name=username, issuer_name=issuer)


def seal_secret(keys: KeyHouse, uid: str, version: int, secret: str) -> bytes:
    """Seal a base32 secret for one account and secret version. Raises KeysDown."""
    return seal_seed(keys.key("seed", "00"), uid, version, secret.encode("ascii"))


def open_secret(keys: KeyHouse, uid: str, version: int, sealed: bytes) -> str:
    """Open what ``seal_secret`` sealed. Raises SealBroken for another account or version or changed bytes, KeysDown."""
    key = keys.key_named("seed", "00", seed_epoch(uid, sealed), f"account {uid}")
    return open_seed(key, uid, version, sealed).decode("ascii")


def present(store: Store, keys: KeyHouse, uid: str, code: str, now: datetime, use: Use[T]) -> T:
    """Consume *code* (six digits, parsed) for an enrolled account and return what *use* makes of it.

    Raises WrongCode, AuthenticatorOff, TooMany (nothing compared), Conflict (not enrolled, or reset meanwhile), SealBroken, KeysDown;
    what *use* raises rolls everything back.
    """
    with store.reading() as session:
        account = session.get_one(Account, uid)
        sealed, version = account.seed, account.seed_version
    if sealed is None:
        raise Conflict("no authenticator enrolled")
    secret = open_secret(keys, uid, version, sealed)
    consume = update(Account).where(Account.seed_version == version, Account.seed.is_not(None))
    return _judge(store, _Attempt(uid, secret, code, now, consume), use)


def enrol(store: Store, keys: KeyHouse, uid: str, version: int, pending: bytes, code: str, now: datetime, use: Use[T]) -> T:
    """Consume *code* of a pending secret (sealed for *version*) and make that secret the account's, in one step.

    Raises as ``present`` does; Conflict also when another enrolment was confirmed first.
    """
    secret = open_secret(keys, uid, version, pending)
    consume = (
        update(Account)
        .where(Account.seed_version == version - 1, Account.seed.is_(None))
        .values(seed=pending, seed_version=version, enrolled_at=now)
    )
    return _judge(store, _Attempt(uid, secret, code, now, consume), use)


@dataclass(frozen=True, slots=True)
class _Attempt:
    uid: str
    secret: str = field(repr=False)
    code: str = field(repr=False)
    now: datetime
    consume: Update


def _judge(store: Store, attempt: _Attempt, use: Use[T]) -> T:
    with throttle.fail_closed(), store.writing() as session:
        account = session.get_one(Account, attempt.uid, with_for_update=True)
        refusal = _refusal(session, account, attempt)
        if refusal is None:
            # (5)
            return use(session, Factor(attempt.uid, attempt.now))
    # The count is committed: if we die before this line, nobody was told anything, and the attempt is spent.
    raise refusal


def _refusal(session: Session, account: Account, attempt: _Attempt) -> GarduError | None:
    # (1)
    if account.factor_failures >= rules.FACTOR_LOCK:
        return AuthenticatorOff()
    try:
        throttle.refuse(session, throttle.FACTOR, account.uid, attempt.now)
    except TooMany as wait:
        return wait
    # (2)
    step = match(attempt.secret, attempt.code, attempt.now)
    # (3)
    if step is not None and _consumed(session, attempt, step):
        return None
    if step is not None and step > account.last_step and step != account.barred_step:
        return Conflict("the authenticator was changed meanwhile")
    # (4)
    return _count(session, attempt, replayed=step is not None)


def _consumed(session: Session, attempt: _Attempt, step: int) -> bool:
    done = session.execute(
        attempt.consume.where(Account.uid == attempt.uid, Account.last_step < step, Account.barred_step != step)
        .values(last_step=step)
        .execution_options(synchronize_session=False)
    )
    return isinstance(done, CursorResult) and done.rowcount == 1


def _count(session: Session, attempt: _Attempt, *, replayed: bool) -> WrongCode:
    throttle.count(session, throttle.FACTOR, attempt.uid, attempt.now)
    counted = update(Account).where(Account.uid == attempt.uid).values(factor_failures=Account.factor_failures + 1)
    away = None if replayed else steps_away(attempt.secret, attempt.code, attempt.now)
    if away is not None and away > 0:
        # The hint tells a guesser that this code will be right soon; so it never will be.
        counted = counted.values(barred_step=step_at(attempt.now) + away)
    session.execute(counted.execution_options(synchronize_session=False))
    return WrongCode("used before" if replayed else "wrong code", skew=None if away is None else _minutes(away))


def match(secret: str, code: str, now: datetime) -> int | None:
    """Return which of the steps T, T-1 *code* belongs to, or None. Every candidate is compared, each in constant time."""
    newest = step_at(now)
    found = None
    for step in range(newest - _BACK, newest + 1):
        if hmac.compare_digest(code_at(secret, step), code):
            found = step
    return found


def steps_away(secret: str, code: str, now: datetime) -> int | None:
    """Return how many steps off a wrong code is (negative: the phone is behind), within 10 minutes, or None."""
    newest = step_at(now)
    offsets = [
        offset
        for offset in range(-_HINT_STEPS, _HINT_STEPS + 1)
        if not -_BACK <= offset <= 0 and hmac.compare_digest(code_at(secret, newest + offset), code)
    ]
    return min(offsets, key=abs, default=None)


def _minutes(steps: int) -> int:
    minutes = max(1, round(abs(steps) * STEP_SECONDS / 60))
    return minutes if steps > 0 else -minutes
