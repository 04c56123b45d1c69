"""Elections and the stage calendar: which election stands at which stage in a kab/kota, and since when."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.kernel.errors import N_, BadInput
from app.kernel.fields import Stage
from app.kernel.regions import NATION, kab_of
from app.voters.tables import Election, StageEntry

# It stands in the store, in entries and in the key of the NIK index; the width is that of the columns.
_ID = re.compile(r"[A-Za-z0-9.-]{1,16}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an election stands in one kab/kota."""

    election: str
    voting_day: date
    stage: Stage
    since: datetime


def standing(session: Session, kab: str, now: datetime, election: str | None = None) -> Standing | None:
    """Return the newest stage in force at *now* in *kab* (of *election*, when given), or None when none was set."""
    query = (
        select(StageEntry, Election.voting_day)
        .join(Election, Election.id == StageEntry.election)
        .where(StageEntry.kab == kab, StageEntry.since <= now)
        .order_by(StageEntry.since.desc())
        .limit(1)
    )
    if election is not None:
        query = query.where(StageEntry.election == election)
    row = session.execute(query).first()
    if row is None:
        return None
    entry, voting_day = row
    return Standing(entry.election, voting_day, Stage(entry.stage), entry.since)


def newest_within(session: Session, region: str, now: datetime) -> Standing | None:
    """Return the newest stage in force at *now* in a kab/kota, or in any kab/kota of a wider *region*; None when none was set."""
    if kab_of(region) is not None:
        return standing(session, region, now)
    query = select(StageEntry.kab).where(StageEntry.since <= now).order_by(StageEntry.since.desc()).limit(1)
    kab = session.scalar(query if region == NATION else query.where(StageEntry.kab.startswith(f"{region}.")))
    return None if kab is None else standing(session, kab, now)


def set_stage(session: Session, election: str, voting_day: date, kabs: Iterable[str], stage: Stage, actor: str, now: datetime) -> int:
    """Add *stage* from *now* on to the calendar of every kab of *kabs*; return how many changed.

    The calendar is only added to. Raises BadInput when the election exists with another voting day, or its id is not 1 to 16
    letters, digits, points or dashes.
    """
    if not _ID.fullmatch(election):
        raise BadInput(
            "an election's id has 1 to 16 letters, digits, points or dashes",
            field="election",
            public=N_("Nama pemilu hanya boleh berisi 1 sampai 16 huruf, angka, titik, atau tanda hubung, misalnya 2029."),
        )
    known = session.get(Election, election)
    if known is None:
        session.add(Election(id=election, voting_day=voting_day))
        session.flush()
    elif known.voting_day != voting_day:
        raise BadInput(
            f"election {election} has voting day {known.voting_day}",
            field="voting-day",
            public=N_("Hari pemungutan suara pemilu ini sudah ditetapkan lain. Periksa kembali tanggalnya."),
        )
    changed = 0
    for kab in kabs:
        present = standing(session, kab, now, election)
        if present is None or present.stage != stage:
            session.add(StageEntry(election=election, kab=kab, since=now, stage=stage.value, actor=actor))
            changed += 1
    session.flush()
    return changed
