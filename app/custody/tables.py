"""The table of prunings that wait for a second person."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.store.base import Base

_WAITING = text("state = 'waiting'")


class PruneRequest(Base):
    """One proposal to prune a log to a minimum, and what a second person made of it.

    digest: SHA-256 of what goes, as in the entries' detail. asked_by, decided_by: account uids. state: waiting, done, refused, lapsed.
    seal: ``RecordSeal`` over every other column.
    """

    __tablename__ = "prune_request"
    __table_args__ = (Index("ix_prune_request_waiting", "log", unique=True, sqlite_where=_WAITING, postgresql_where=_WAITING),)
    uid: Mapped[str] = mapped_column(String(26), primary_key=True)
    log: Mapped[str] = mapped_column(String(255))
    minimum: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    reason: Mapped[str] = mapped_column(String(300))
    asked_by: Mapped[str] = mapped_column(String(26))
    asked_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(10))
    decided_by: Mapped[str | None] = mapped_column(String(26))
    decided_at: Mapped[datetime | None]
    seal: Mapped[bytes] = mapped_column(LargeBinary(32))
