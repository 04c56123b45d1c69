"""What outsiders have been shown: published checkpoints, the witnesses' signatures on them, and a log that must not go on."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import Table, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.audit.tables import TrailCosignature, TrailHalt, TrailPublished
from app.store.engine import Store

HALT, LIFT = "halt", "lift"
# What the ``detail`` of the entry that a lift demands is: SHA-256 of the lift's reason.
RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Published:
    """A published checkpoint. note: with the log's own signatures only. at: when it was published."""

    size: int
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Cosignature:
    """One witness's signature. key: key id, 8 hex digits. witness: the key's name. at: the moment that it names."""

    size: int
    key: str
    witness: str
    line: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Halt:
    """Why the log must not go on. size: what somebody outside has seen of it. note: what they showed, or ""."""

    size: int
    reason: str
    note: str
    at: datetime


def newest(store: Store, log: str) -> Published | None:
    """Return the newest published checkpoint of *log*, or None before the first."""
    with store.reading() as session:
        return newest_in(session, log)


def newest_in(session: Session, log: str) -> Published | None:
    """As ``newest``, within an open session."""
    row = session.scalar(select(TrailPublished).where(TrailPublished.log == log).order_by(TrailPublished.size.desc()).limit(1))
    return None if row is None else Published(row.size, row.note, row.at)


def with_cosignatures(store: Store, log: str, published: Published) -> str:
    """Return the note of *published* with every witness's signature on it: what ``/log/checkpoint`` serves."""
    with store.reading() as session:
        return cosigned_note(session, log, published.size, published.note)


def cosigned_note(session: Session, log: str, size: int, note: str) -> str:
    """Return *note* followed by the newest signature line of each witness that signed this size."""
    where = (TrailCosignature.log == log, TrailCosignature.size == size)
    lines = {row.key: row.line for row in session.scalars(select(TrailCosignature).where(*where).order_by(TrailCosignature.at))}
    return note + "".join(lines[key] for key in sorted(lines))


def cosignatures(store: Store, log: str, keys: Collection[str]) -> list[Cosignature]:
    """Return the newest signature of each of *keys* (key ids, hex)."""
    latest = select(TrailCosignature.key, func.max(TrailCosignature.at).label("at")).where(
        TrailCosignature.log == log, TrailCosignature.key.in_(keys)
    )
    newest_of = latest.group_by(TrailCosignature.key).subquery()
    query = (
        select(TrailCosignature)
        .where(TrailCosignature.log == log)
        .join(newest_of, (newest_of.c.key == TrailCosignature.key) & (newest_of.c.at == TrailCosignature.at))
    )
    with store.reading() as session:
        return [Cosignature(row.size, row.key, row.witness, row.line, row.at) for row in session.scalars(query)]


def put_published(store: Store, log: str, published: Published, signed: Iterable[Cosignature]) -> None:
    """Publish a checkpoint together with the signatures gathered on it; what is there already stays as it is."""
    dialect = postgresql if store.dialect == "postgresql" else sqlite
    with store.writing() as session:
        row = {"log": log, "size": published.size, "note": published.note, "at": published.at}
        session.execute(dialect.insert(cast(Table, TrailPublished.__table__)).values(row).on_conflict_do_nothing())
        for one in signed:
            values = {"log": log, "key": one.key, "at": one.at, "size": one.size, "witness": one.witness, "line": one.line}
            session.execute(dialect.insert(cast(Table, TrailCosignature.__table__)).values(values).on_conflict_do_nothing())


def halted(session: Session, log: str) -> Halt | None:
    """Return why *log* must not go on, or None when it may."""
    row = session.scalar(select(TrailHalt).where(TrailHalt.log == log).order_by(TrailHalt.at.desc()).limit(1))
    return Halt(row.size, row.reason, row.note, row.at) if row is not None and row.kind == HALT else None


def lifted_up_to(session: Session, log: str) -> int:
    """Return the largest size whose claim somebody on the machine has set aside (``gardu audit resume``), or 0."""
    return session.scalar(select(func.max(TrailHalt.size)).where(TrailHalt.log == log, TrailHalt.kind == LIFT)) or 0


def halt(store: Store, log: str, found: Halt) -> None:
    """Stop *log*: from the commit on nothing is appended, in any process."""
    dialect = postgresql if store.dialect == "postgresql" else sqlite
    row = {"log": log, "at": found.at, "kind": HALT, "size": found.size, "reason": found.reason, "note": found.note}
    with store.writing() as session:
        # Two witnesses may say so in the same moment: one row stops the log as well as two.
        session.execute(dialect.insert(cast(Table, TrailHalt.__table__)).values(row).on_conflict_do_nothing())


def lift_within(session: Session, log: str, found: Halt) -> None:
    """Let *log* go on, in the transaction that appends the entry of it; claims of up to ``found.size`` entries no longer stop it.

    A lift without its entry (action ``witness:change``, detail ``RESUME`` over its reason) is found by ``audit.verify`` and at the start.
    """
    session.add(TrailHalt(log=log, at=found.at, kind=LIFT, size=found.size, reason=found.reason, note=found.note))
    session.flush()


def lifts(session: Session, log: str) -> list[str]:
    """Return the reasons of every lift of *log*."""
    return list(session.scalars(select(TrailHalt.reason).where(TrailHalt.log == log, TrailHalt.kind == LIFT)))
