"""The table of an officer's saved views."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.store.base import Base


class SavedView(Base):
    """A filter that an officer keeps under a name. query: what stands behind ``?`` in the address of ``/audit``; nothing personal.

    gone_at: when it was deleted; until the next deletion it can be brought back.
    """

    __tablename__ = "saved_view"
    __table_args__ = (UniqueConstraint("account", "name"),)
    uid: Mapped[str] = mapped_column(String(26), primary_key=True)
    account: Mapped[str] = mapped_column(String(26))
    name: Mapped[str] = mapped_column(String(80))
    query: Mapped[str] = mapped_column(String(600))
    made_at: Mapped[datetime]
    gone_at: Mapped[datetime | None]
