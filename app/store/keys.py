"""Where wrapped keys stand. The provider key that opens them is never in the database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import LargeBinary, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.store.base import Base
from app.store.engine import Store


class VaultKey(Base):
    """One L1 key, wrapped under the provider key with its purpose, scope and epoch as context.

    purpose: seal, blind, audit, index, session, seed, pepper, log. scope: a kab/kota code, or ``00``. epoch: 1, 2, …
    """

    __tablename__ = "vault_key"
    purpose: Mapped[str] = mapped_column(String(16), primary_key=True)
    scope: Mapped[str] = mapped_column(String(16), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]


class WrappedKeys:
    """Reads wrapped keys for the vault (its ``KeySource``)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def fetch(self, purpose: str, scope: str) -> list[tuple[int, bytes]]:
        """Return (epoch, wrapped) of every key of *purpose* and *scope*, newest first."""
        with self._store.reading() as session:
            rows = session.execute(
                select(VaultKey.epoch, VaultKey.wrapped)
                .where(VaultKey.purpose == purpose, VaultKey.scope == scope)
                .order_by(VaultKey.epoch.desc())
            )
            return [(row.epoch, row.wrapped) for row in rows]


def add_key(session: Session, purpose: str, scope: str, epoch: int, wrapped: bytes, now: datetime) -> None:
    """Insert a wrapped key in the caller's transaction. The primary key refuses a second one of the same epoch."""
    session.add(VaultKey(purpose=purpose, scope=scope, epoch=epoch, wrapped=wrapped, created_at=now))
    session.flush()
