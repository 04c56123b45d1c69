"""Rows of loads: sealed as they are written, checked as they are read, so that nobody undoes or redoes a load in the database alone."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.kernel.clock import rfc3339
from app.kernel.errors import NotThere, SealBroken
from app.vault.records import Field, RecordSeal
from app.voters.tables import UNDONE, Load

RUNNING, DONE = "running", "done"
_COLUMNS = (
    "uid", "kind", "digest", "kab", "election", "actor", "state", "rows_read", "rows_sealed", "rows_quarantined", "warnings", "started_at",
    "finished_at", "layout", "upload", "undone_at", "undone_by",
)  # fmt: skip


def seal(seals: RecordSeal, load: Load) -> None:
    """Seal *load* as it now stands. Raises KeysDown."""
    load.seal = seals.of("load", _fields(load))


def check(seals: RecordSeal, load: Load) -> None:
    """Check a stored load. Raises SealBroken when a column was changed past Gardu, KeysDown.

    A load from before loads were sealed has no seal, and can never have been undone.
    """
    if load.seal is None and load.state != UNDONE and load.layout is None and load.upload is None:
        return
    seals.check("load", load.uid, _fields(load), load.seal or b"")


def find(session: Session, seals: RecordSeal, kab: str, uid: str, *, lock: bool = False) -> Load:
    """Return the load *uid* of *kab*, checked. Raises NotThere (absent, or another kab's), SealBroken, KeysDown."""
    query = select(Load).where(Load.uid == uid, Load.kab == kab)
    load = session.scalar(query.with_for_update() if lock else query)
    if load is None:
        raise NotThere("no such load")
    check(seals, load)
    return load


def history(session: Session, kab: str, *, before: Load | None, limit: int) -> list[Load]:
    """Return the loads of *kab* (those older than *before*, when given), newest first; their seals are the caller's to check."""
    query = select(Load).where(Load.kab == kab).order_by(Load.started_at.desc(), Load.uid.desc()).limit(limit)
    if before is not None:
        older = (Load.started_at < before.started_at) | ((Load.started_at == before.started_at) & (Load.uid < before.uid))
        query = query.where(older)
    return list(session.scalars(query))


def _fields(load: Load) -> list[Field]:
    return [_field(getattr(load, name)) for name in _COLUMNS]


def _field(value: object) -> Field:
    if isinstance(value, datetime):
        return rfc3339(value)
    if value is None or isinstance(value, str | int | bytes):
        return value
    raise SealBroken("load: a column has the wrong type")
