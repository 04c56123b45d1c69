"""The table of resets that wait for a second person."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.store.base import Base

_WAITING = text("state = 'waiting'")


class FactorReset(Base):
    """One request to take an account's authenticator away, and what a second person made of it.

    seed_version: of the authenticator it is about. asked_by, decided_by: account uids. state: waiting, done, refused, withdrawn, lapsed.
    seal: ``RecordSeal`` over every other column, so that whoever writes to the database can forge neither the asking nor the answer.
    """

    __tablename__ = "factor_reset"
    __table_args__ = (
        Index("ix_factor_reset_waiting", "account", unique=True, sqlite_where=_WAITING, postgresql_where=_WAITING),
        Index("ix_factor_reset_asked", "asked_at"),
    )
    uid: Mapped[str] = mapped_column(String(26), primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("account.uid"))
    seed_version: Mapped[int]
    asked_by: Mapped[str] = mapped_column(String(26))
    reason: Mapped[str] = mapped_column(String(300))
    asked_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(10))
    decided_by: Mapped[str | None] = mapped_column(String(26))
    decided_at: Mapped[datetime | None]
    seal: Mapped[bytes] = mapped_column(LargeBinary(32))
