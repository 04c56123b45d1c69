"""The table of the guard's witnesses: every list that was ever asked for, and what became of it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.store.base import Base


class WitnessPolicy(Base):
    """A list of witnesses and its quorum (C2SP tlog-policy, without log lines). Sealed over all other columns.

    state: waiting, approved, refused. asked_by, decided_by: account uids, never the same. seq: the entry of the approval; an approved
    list that takes a witness away comes into force only later (``rules``).
    """

    __tablename__ = "witness_policy"
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str] = mapped_column(String(300))
    asked_by: Mapped[str] = mapped_column(String(26))
    asked_at: Mapped[datetime]
    decided_by: Mapped[str | None] = mapped_column(String(26))
    decided_at: Mapped[datetime | None]
    seq: Mapped[int | None] = mapped_column(BigInteger)
    seal: Mapped[bytes] = mapped_column(LargeBinary(32))


class MirrorToken(Base):
    """What lets a mirror or a liaison's machine fetch entries and proofs. digest: SHA-256 of the token, which is shown once. Sealed."""

    __tablename__ = "mirror_token"
    uid: Mapped[str] = mapped_column(String(26), primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    made_by: Mapped[str] = mapped_column(String(26))
    made_at: Mapped[datetime]
    until: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    seal: Mapped[bytes] = mapped_column(LargeBinary(32))
