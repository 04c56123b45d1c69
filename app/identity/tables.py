"""Tables of accounts, sessions and failure counters."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.store.base import Base


class Account(Base):
    """A person's account.

    uid: 26 base32 characters. office: e.g. ``kpu-51.71``. roles: words of ``kernel.fields.Role``, comma-separated, first is the
    default. password_hash: argon2id of the peppered password. seed: TOTP secret sealed with account and seed_version as context;
    None until enrolment. last_step: newest TOTP time step consumed. barred_step: a step still to come whose code was told to be
    ahead of the clock (a hint), so it may not be used when it comes. factor_failures: counts up to the authenticator's lock.
    invited_until: when a one-time password lapses; None once the person has chosen their own. disabled_reason: why, in one line.
    """

    __tablename__ = "account"
    uid: Mapped[str] = mapped_column(String(26), primary_key=True)
    username: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    office: Mapped[str] = mapped_column(String(32))
    unit: Mapped[str] = mapped_column(String(16))
    roles: Mapped[str] = mapped_column(String(255))
    password_hash: Mapped[str] = mapped_column(Text)
    must_change: Mapped[bool] = mapped_column(default=True)
    seed: Mapped[bytes | None] = mapped_column(LargeBinary)
    seed_version: Mapped[int] = mapped_column(default=0)
    enrolled_at: Mapped[datetime | None]
    last_step: Mapped[int] = mapped_column(BigInteger, default=0)
    barred_step: Mapped[int] = mapped_column(BigInteger, default=0)
    factor_failures: Mapped[int] = mapped_column(default=0)
    language: Mapped[str] = mapped_column(String(2), default="id")
    created_at: Mapped[datetime]
    invited_until: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None] = mapped_column(String(300))


class LoginSession(Base):
    """One browser session; only the SHA-256 of the cookie's secret is stored.

    level: ``password`` (second factor still owed) or ``full``. purpose: the task chosen. factor_*: when, how and for which purpose
    the last factor was given. ended_at: set once, never cleared.
    """

    __tablename__ = "login_session"
    __table_args__ = (Index("ix_login_session_account", "account"),)
    id_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    uid: Mapped[str] = mapped_column(String(26), unique=True)
    account: Mapped[str] = mapped_column(ForeignKey("account.uid"))
    level: Mapped[str] = mapped_column(String(8))
    role: Mapped[str] = mapped_column(String(32))
    purpose: Mapped[str | None] = mapped_column(String(32))
    factor_at: Mapped[datetime | None]
    factor_method: Mapped[str | None] = mapped_column(String(16))
    factor_purpose: Mapped[str | None] = mapped_column(String(32))
    pending_seed: Mapped[bytes | None] = mapped_column(LargeBinary)  # sealed TOTP secret shown at enrolment, not yet confirmed
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class FailureCount(Base):
    """Failures of one kind by one subject in one bucket of time; incremented atomically. A limit adds up the newest buckets.

    kind: ``password`` or ``factor`` or ``address``. subject: account uid, or keyed token of a username or address.
    window: the bucket's length in seconds; slot: bucket number since the epoch.
    """

    __tablename__ = "failure_count"
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    subject: Mapped[str] = mapped_column(String(64), primary_key=True)
    window: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    slot: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    count: Mapped[int]
