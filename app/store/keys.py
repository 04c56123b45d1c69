"""Where wrapped keys stand. The provider key that opens them is never in the database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import LargeBinary, String, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.store.base import Base
from app.store.engine import Store


class VaultKey(Base):
    """One L1 key, wrapped under the provider key with its purpose, scope and epoch as context.

    purpose: seal, blind, nik, audit, index, session, seed, pepper, log. scope: a kab/kota code, or ``00``. epoch: 1, 2, …
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


def epochs(session: Session, purpose: str, scope: str) -> list[int]:
    """Return the epochs of every key of *purpose* and *scope*, newest first."""
    query = select(VaultKey.epoch).where(VaultKey.purpose == purpose, VaultKey.scope == scope)
    return list(session.scalars(query.order_by(VaultKey.epoch.desc())))


def newest_epoch(session: Session, purpose: str, scope: str) -> int:
    """Return the epoch of the newest key, 0 when there is none."""
    return session.scalar(select(func.max(VaultKey.epoch)).where(VaultKey.purpose == purpose, VaultKey.scope == scope)) or 0


def hold(session: Session, purpose: str, scope: str, epoch: int) -> bool:
    """Say whether *epoch* is the newest of its keys; when it is, it stays so until the caller's commit: no rotation begins meanwhile.

    Whoever stores rows sealed or indexed under a key asks this in the same transaction, before it writes: else a row could come in under a
    key that a rotation has just left behind. On False roll back, let the key house forget, and seal anew.
    """
    here = (VaultKey.purpose == purpose, VaultKey.scope == scope)
    # SQLite's BEGIN IMMEDIATE is this lock already. The newest is looked up after it is held: a rotation that went first is then seen.
    session.execute(select(VaultKey.epoch).where(*here, VaultKey.epoch == epoch).with_for_update(read=True))
    return newest_epoch(session, purpose, scope) == epoch


def lock_keys(session: Session, purpose: str, scope: str) -> list[tuple[int, bytes]]:
    """Wait until nobody holds a key of *purpose* and *scope*, keep everybody from it until the commit, and return (epoch, wrapped)."""
    query = select(VaultKey.epoch, VaultKey.wrapped).where(VaultKey.purpose == purpose, VaultKey.scope == scope)
    return [(epoch, wrapped) for epoch, wrapped in session.execute(query.order_by(VaultKey.epoch).with_for_update())]


def drop_key(session: Session, purpose: str, scope: str, epoch: int) -> None:
    """Delete a wrapped key in the caller's transaction, after the entry ``key:destroy`` that names its bytes: the database asks for it."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.gardu_destroy_key(purpose, scope, epoch)))
        return
    here = (VaultKey.purpose == purpose, VaultKey.scope == scope, VaultKey.epoch == epoch)
    session.execute(delete(VaultKey).where(*here).execution_options(synchronize_session=False))
