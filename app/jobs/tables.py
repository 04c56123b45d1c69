"""The table of background work."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.store.base import Base


class Job(Base):
    """One piece of background work. Nothing personal stands in any column.

    state: waiting running done failed. done, total: in the work's own unit. detail: JSON the work was given; result: JSON it left
    ("" before). error: a sentence (msgid) safe for the public. beat_at: last sign of life.
    """

    __tablename__ = "job"
    __table_args__ = (Index("ix_job_kind_actor", "kind", "actor", "created_at"),)
    uid: Mapped[str] = mapped_column(String(26), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    actor: Mapped[str] = mapped_column(String(64))
    office: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(8))
    done: Mapped[int] = mapped_column(BigInteger, default=0)
    total: Mapped[int] = mapped_column(BigInteger, default=0)
    detail: Mapped[str] = mapped_column(Text, default="{}")
    result: Mapped[str] = mapped_column(Text, default="")
    error: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime]
    beat_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
