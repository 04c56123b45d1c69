"""Tables of requests, their steps and mandates. Every row carries a seal over all its other columns (``rows``)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.store.base import Base


class AccessRequest(Base):
    """What somebody asked for, as submitted; only state, version and seal ever change.

    holder: account uid. stages, elements: words, sorted, comma-separated. view: the highest view asked. until: the first moment at
    which it is over. subject: uid of the one voter it is about. version: how many steps it has had.
    """

    __tablename__ = "access_request"
    __table_args__ = (
        Index("ix_access_request_holder", "holder", "submitted_at"),
        Index("ix_access_request_state", "state", "submitted_at"),
        Index("ix_access_request_subject", "subject"),
    )
    uid: Mapped[str] = mapped_column(String(26), primary_key=True)
    holder: Mapped[str] = mapped_column(String(26))
    office: Mapped[str] = mapped_column(String(32))
    unit: Mapped[str] = mapped_column(String(16))
    role: Mapped[str] = mapped_column(String(32))
    purpose: Mapped[str] = mapped_column(String(32))
    basis: Mapped[str] = mapped_column(String(32))
    region: Mapped[str] = mapped_column(String(16))
    election: Mapped[str] = mapped_column(String(16))
    stages: Mapped[str] = mapped_column(String(64))
    elements: Mapped[str] = mapped_column(String(160))
    view: Mapped[str] = mapped_column(String(8))
    until: Mapped[datetime]
    subject: Mapped[str | None] = mapped_column(String(26))
    letter: Mapped[str] = mapped_column(String(80))
    reason: Mapped[str] = mapped_column(Text)
    submitted_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(10))
    version: Mapped[int]
    seal: Mapped[bytes] = mapped_column(LargeBinary(32))


class RequestStep(Base):
    """One step of a request; only ever inserted. seq: the number of its entry in the log.

    region, elements, view, until: what an approval left; None for every other act. reason: "" when none was given.
    """

    __tablename__ = "request_step"
    request: Mapped[str] = mapped_column(ForeignKey("access_request.uid"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(64))
    office: Mapped[str] = mapped_column(String(32))
    unit: Mapped[str] = mapped_column(String(16))
    act: Mapped[str] = mapped_column(String(10))
    region: Mapped[str | None] = mapped_column(String(16))
    elements: Mapped[str | None] = mapped_column(String(160))
    view: Mapped[str | None] = mapped_column(String(8))
    until: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(Text)
    seq: Mapped[int] = mapped_column(BigInteger)
    seal: Mapped[bytes] = mapped_column(LargeBinary(32))


class MandateRow(Base):
    """A mandate in force, or that was. uid: that of its request, so that there is never more than one.

    start ≤ moment < until. state: active, revoked or ended; ended_at: when it stopped being active. The log has the last word on both.
    """

    __tablename__ = "mandate"
    __table_args__ = (Index("ix_mandate_holder", "holder", "state"), Index("ix_mandate_due", "state", "until"))
    uid: Mapped[str] = mapped_column(ForeignKey("access_request.uid"), primary_key=True)
    holder: Mapped[str] = mapped_column(String(26))
    approver1: Mapped[str] = mapped_column(String(26))
    unit1: Mapped[str] = mapped_column(String(16))
    approver2: Mapped[str] = mapped_column(String(26))
    unit2: Mapped[str] = mapped_column(String(16))
    region: Mapped[str] = mapped_column(String(16))
    purpose: Mapped[str] = mapped_column(String(32))
    election: Mapped[str] = mapped_column(String(16))
    stages: Mapped[str] = mapped_column(String(64))
    elements: Mapped[str] = mapped_column(String(160))
    ceiling: Mapped[str] = mapped_column(String(8))
    start: Mapped[datetime]
    until: Mapped[datetime]
    subject: Mapped[str | None] = mapped_column(String(26))
    state: Mapped[str] = mapped_column(String(10))
    ended_at: Mapped[datetime | None]
    seal: Mapped[bytes] = mapped_column(LargeBinary(32))
