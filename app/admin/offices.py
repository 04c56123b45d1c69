"""The offices that have accounts: who works there in which role, whether requests can be decided there, and how far its roll is.

Of the roll only one thing is asked: whether there is any row of a kab/kota. No row is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.admin.room import Admin
from app.identity import directory
from app.identity.rules import office_region, parse_office
from app.kernel.errors import N_, BadInput
from app.kernel.fields import Role, Stage
from app.kernel.regions import ancestors, kab_of
from app.voters.tables import StageEntry, Voter

# Two approvers of different units decide on a request (docs/requests.md).
UNITS_NEEDED = 2
# PostgreSQL and SQLite both take more columns in one statement; this many keep it readable in a database's log.
_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Office:
    """One office.

    roles: people per role. approvers, units: how many may decide for its region, of which units, here or in a KPU office above it.
    lacking: they are not enough. roll: whether its kab/kota has one (None: it has no kab/kota).
    """

    code: str
    region: str
    roles: Mapping[Role, int]
    approvers: int
    units: Sequence[str]
    lacking: bool
    roll: bool | None
    election: str
    stage: Stage | None


def offices(room: Admin, now: datetime) -> list[Office]:
    """Return every office with an account that is not disabled, by code. A few statements, whatever the number of offices."""
    roles: dict[str, Counter[Role]] = {}
    approvers: dict[str, list[str]] = {}
    for office, unit, held in directory.enabled(room.identity):
        roles.setdefault(office, Counter()).update(held)
        if Role.PENYETUJU in held:
            approvers.setdefault(office, []).append(unit)
    kabs = sorted({region for region in map(office_region, roles) if kab_of(region) == region})
    with room.identity.store.reading() as session:
        rolls, stages = _rolls(session, kabs), _stages(session, kabs, now)
    return [_office(code, roles[code], _deciding(approvers, office_region(code)), rolls, stages) for code in sorted(roles)]


def known_office(room: Admin, text: str) -> str:
    """Return the code of an office whose region the official table knows. Raises BadInput (field ``office``)."""
    office = parse_office(text)
    if room.identity.places.name(office_region(office)) is None:
        raise BadInput("unknown region", field="office", public=N_("Wilayah kantor ini tidak ada dalam daftar resmi. Pilih dari daftar."))
    return office


def _office(
    code: str, roles: Mapping[Role, int], deciding: list[str], rolls: Mapping[str, bool], stages: Mapping[str, tuple[str, Stage]]
) -> Office:
    region = office_region(code)
    election, stage = stages.get(region, ("", None))
    # Bawaslu's requests are decided in KPU offices; a Bawaslu office decides on none.
    lacking = code.startswith("kpu-") and len(set(deciding)) < UNITS_NEEDED
    return Office(code, region, roles, len(deciding), sorted(set(deciding)), lacking, rolls.get(region), election, stage)


def _deciding(approvers: Mapping[str, list[str]], region: str) -> list[str]:
    """Return the unit of each approver who may decide for *region*, as ``mandates.people.approvers`` finds them."""
    return [unit for above in ancestors(region) for unit in approvers.get(f"kpu-{above}", ())]


def _rolls(session: Session, kabs: Sequence[str]) -> dict[str, bool]:
    """Return per kab whether it has a roll: one EXISTS each, many in one statement."""
    found: dict[str, bool] = {}
    for start in range(0, len(kabs), _AT_ONCE):
        part = kabs[start : start + _AT_ONCE]
        row = session.execute(
            select(*(select(Voter.kab).where(Voter.kab == kab).exists().label(f"k{at}") for at, kab in enumerate(part)))
        ).one()
        found |= {kab: bool(there) for kab, there in zip(part, row, strict=True)}
    return found


def _stages(session: Session, kabs: Iterable[str], now: datetime) -> dict[str, tuple[str, Stage]]:
    """Return per kab the election and stage in force, as ``voters.elections.standing`` has it for one."""
    query = (
        select(StageEntry.kab, StageEntry.election, StageEntry.stage)
        .where(StageEntry.kab.in_(list(kabs)), StageEntry.since <= now)
        .order_by(StageEntry.since)
    )
    return {kab: (election, Stage(stage)) for kab, election, stage in session.execute(query)}
