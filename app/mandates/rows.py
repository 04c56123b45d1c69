"""Rows of the room, sealed as they are written and checked as they are read: nothing else loads them.

Three things must hold of a request before anybody reads or decides it:
(1) the seal of its row, and of each of its steps, matches every column
(2) there are as many steps as its version says
(3) the log has as many entries about it, but for those that were pruned: a row put back to an older state, with its steps, has fewer
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from app.audit.family import up_to
from app.audit.tables import TrailEntry, TrailMinimum
from app.kernel.clock import rfc3339
from app.kernel.errors import NotThere, SealBroken
from app.kernel.fields import Action, Basis, Element, Outcome, Purpose, Role, Stage, Unit, View
from app.mandates.room import Mandates
from app.mandates.rules import OPEN, Act, State, Terms
from app.mandates.tables import AccessRequest, MandateRow, RequestStep
from app.policy.visit import Mandate
from app.vault.records import Field

# One entry of the log per step.
ACTIONS: Mapping[Act, Action] = {
    Act.SUBMIT: Action.REQUEST_SUBMIT,
    Act.APPROVE: Action.REQUEST_APPROVE,
    Act.START: Action.MANDATE_START,
    Act.REFUSE: Action.REQUEST_REFUSE,
    Act.WITHDRAW: Action.REQUEST_WITHDRAW,
    Act.REVOKE: Action.MANDATE_REVOKE,
    Act.EXPIRE: Action.MANDATE_EXPIRE,
}
# What ends a mandate, whatever its row says afterwards.
ENDS = (Action.MANDATE_REVOKE.value, Action.MANDATE_EXPIRE.value)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a request. terms: what an approval left, else None. seq: the number of its entry."""

    number: int
    at: datetime
    actor: str
    office: str
    unit: str
    act: Act
    terms: Terms | None
    reason: str
    seq: int


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it stands, its seals and its place in the log checked."""

    uid: str
    holder: str
    office: str
    unit: str
    role: Role
    purpose: Purpose
    basis: Basis
    election: str
    stages: frozenset[Stage]
    asked: Terms
    subject: str | None
    letter: str
    reason: str
    submitted_at: datetime
    state: State
    version: int
    seal: bytes
    steps: tuple[Step, ...]

    @property
    def is_open(self) -> bool:
        """Whether it still waits for a decision."""
        return self.state in OPEN

    @property
    def first(self) -> Step | None:
        """The first approval, if there was one."""
        return next((step for step in self.steps if step.act is Act.APPROVE), None)

    @property
    def left(self) -> Terms:
        """What is left of it: what the newest approval left, else what was asked."""
        return next((step.terms for step in reversed(self.steps) if step.terms is not None), self.asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held(Mandate):
    """A mandate in force, with the election it is for."""

    election: str


def request_fields(row: AccessRequest) -> list[Field]:
    """Return every column of a request but its seal, in the order of the seal."""
    return [
        row.uid, row.holder, row.office, row.unit, row.role, row.purpose, row.basis, row.region, row.election, row.stages, row.elements,
        row.view, rfc3339(row.until), row.subject, row.letter, row.reason, rfc3339(row.submitted_at), row.state, row.version,
    ]  # fmt: skip


def step_fields(row: RequestStep) -> list[Field]:
    """Return every column of a step but its seal, in the order of the seal."""
    return [
        row.request, row.number, rfc3339(row.at), row.actor, row.office, row.unit, row.act, row.region, row.elements, row.view,
        rfc3339(row.until) if row.until else None, row.reason, row.seq,
    ]  # fmt: skip


def mandate_fields(row: MandateRow) -> list[Field]:
    """Return every column of a mandate but its seal, in the order of the seal."""
    return [
        row.uid, row.holder, row.approver1, row.unit1, row.approver2, row.unit2, row.region, row.purpose, row.election, row.stages,
        row.elements, row.ceiling, rfc3339(row.start), rfc3339(row.until), row.subject, row.state,
        rfc3339(row.ended_at) if row.ended_at else None,
    ]  # fmt: skip


def seal(room: Mandates, row: AccessRequest | RequestStep | MandateRow) -> None:
    """Seal *row* as it stands. Raises KeysDown."""
    row.seal = room.seals.of(row.__tablename__, _fields(row))


def load(room: Mandates, session: Session, uid: str, *, lock: bool = False) -> Request:
    """Load one request, whoever may see it. lock: for a change in this transaction. Raises NotThere, SealBroken, KeysDown."""
    query = select(AccessRequest).where(AccessRequest.uid == uid)
    found, broken = load_all(room, session, query.with_for_update() if lock else query)
    if broken:
        raise SealBroken(f"access_request {uid}: {broken[uid]}")
    if not found:
        raise NotThere("no such request")
    return found[0]


def load_all(room: Mandates, session: Session, query: Select[AccessRequest]) -> tuple[list[Request], dict[str, str]]:
    """Return the requests of *query* in its order, and uid → what is wrong of those that are not as the log left them.

    Three statements, however many rows. Raises SealBroken when rows cannot even be read, KeysDown.
    """
    try:
        rows = session.scalars(query).all()
        if not rows:
            return [], {}
        uids = [row.uid for row in rows]
        steps = session.scalars(select(RequestStep).where(RequestStep.request.in_(uids)).order_by(RequestStep.number)).all()
    except (ValueError, TypeError):
        # SQLite holds anything in any column, if somebody put it there.
        raise SealBroken("access_request: a column holds what it cannot hold") from None
    logged, pruned = _logged(room, session, uids), _pruned(room, session)
    found, broken = [], {}
    for row in rows:
        try:
            mine = [step for step in steps if step.request == row.uid]
            found.append(_request(room, row, mine, logged.get(row.uid, 0), pruned))
        except SealBroken as wrong:
            broken[row.uid] = wrong.detail
    return found, broken


def in_force(room: Mandates, session: Session, query: Select[MandateRow], now: datetime | None) -> tuple[list[Held], tuple[str, ...]]:
    """Return the mandates of *query* that hold at *now* (None: at any time), and the uids of rows whose seal does not hold.

    The log has the last word: one without its start, or with an end, is not in force whatever its row says. Two statements.
    Raises SealBroken when rows cannot even be read, KeysDown.
    """
    try:
        rows = session.scalars(query).all()
    except (ValueError, TypeError):
        raise SealBroken("mandate: a column holds what it cannot hold") from None
    if not rows:
        return [], ()
    said = _said(room, session, [row.uid for row in rows])
    held, broken = [], []
    for row in rows:
        try:
            check(room, row, row.uid)
        except SealBroken:
            broken.append(row.uid)
            continue
        if row.state == State.ACTIVE and _runs(said.get(row.uid, frozenset())) and (now is None or row.start <= now < row.until):
            held.append(_held(row))
    return held, tuple(broken)


def _fields(row: AccessRequest | RequestStep | MandateRow) -> list[Field]:
    if isinstance(row, AccessRequest):
        return request_fields(row)
    return step_fields(row) if isinstance(row, RequestStep) else mandate_fields(row)


def check(room: Mandates, row: AccessRequest | RequestStep | MandateRow, uid: str) -> None:
    """Check the seal of *row*, which belongs to request *uid*. Raises SealBroken, KeysDown."""
    try:
        fields = _fields(row)
    except (AttributeError, ValueError):
        raise SealBroken(f"{row.__tablename__}: a moment is none") from None
    room.seals.check(row.__tablename__, uid, fields, row.seal)


def _request(room: Mandates, row: AccessRequest, steps: Sequence[RequestStep], logged: int, pruned: datetime | None) -> Request:
    # (1)
    check(room, row, row.uid)
    for step in steps:
        check(room, step, row.uid)
    # (2)
    if [step.number for step in steps] != list(range(1, row.version + 1)):
        raise SealBroken(f"access_request {row.uid}: {len(steps)} steps at version {row.version}")
    # (3)
    kept = sum(pruned is None or step.at > pruned for step in steps)
    if not kept <= logged <= row.version:
        raise SealBroken(f"access_request {row.uid}: at version {row.version}, of which the log has {logged}")
    return Request(
        uid=row.uid,
        holder=row.holder,
        office=row.office,
        unit=row.unit,
        role=Role(row.role),
        purpose=Purpose(row.purpose),
        basis=Basis(row.basis),
        election=row.election,
        stages=_stages(row.stages),
        asked=Terms(row.region, _elements(row.elements), View[row.view.upper()], row.until),
        subject=row.subject,
        letter=row.letter,
        reason=row.reason,
        submitted_at=row.submitted_at,
        state=State(row.state),
        version=row.version,
        seal=row.seal,
        steps=tuple(_step(step) for step in steps),
    )


def _step(row: RequestStep) -> Step:
    terms = None
    if row.region is not None and row.elements is not None and row.view is not None and row.until is not None:
        terms = Terms(row.region, _elements(row.elements), View[row.view.upper()], row.until)
    return Step(row.number, row.at, row.actor, row.office, row.unit, Act(row.act), terms, row.reason, row.seq)


def _held(row: MandateRow) -> Held:
    return Held(
        uid=row.uid,
        holder=row.holder,
        approver1=row.approver1,
        unit1=Unit(row.unit1),
        approver2=row.approver2,
        unit2=Unit(row.unit2),
        region=row.region,
        purpose=Purpose(row.purpose),
        stages=_stages(row.stages),
        elements=_elements(row.elements),
        ceiling=View[row.ceiling.upper()],
        start=row.start,
        until=row.until,
        subject=row.subject,
        election=row.election,
    )


def _logged(room: Mandates, session: Session, uids: Collection[str]) -> dict[str, int]:
    """Return how many steps of each request the log has, and the ones before a restore."""
    query = (
        select(TrailEntry.mandate, func.count())
        .where(
            TrailEntry.log.in_(up_to(room.identity.log)),
            TrailEntry.mandate.in_(uids),
            TrailEntry.action.in_([action.value for action in ACTIONS.values()]),
            TrailEntry.outcome == Outcome.DONE.value,
        )
        .group_by(TrailEntry.mandate)
    )
    return {str(uid): count for uid, count in session.execute(query)}


def _pruned(room: Mandates, session: Session) -> datetime | None:
    """Return the latest moment of an entry that was pruned: steps up to it may have none any more."""
    return session.scalar(select(func.max(TrailMinimum.at)).where(TrailMinimum.log.in_(up_to(room.identity.log))))


def _said(room: Mandates, session: Session, uids: Collection[str]) -> dict[str, frozenset[str]]:
    """Return which of start, revoke and expire the log has of each mandate."""
    query = select(TrailEntry.mandate, TrailEntry.action).where(
        TrailEntry.log.in_(up_to(room.identity.log)),
        TrailEntry.mandate.in_(uids),
        TrailEntry.action.in_((Action.MANDATE_START.value, *ENDS)),
        TrailEntry.outcome == Outcome.DONE.value,
    )
    found: dict[str, frozenset[str]] = {}
    for uid, action in session.execute(query):
        found[str(uid)] = found.get(str(uid), frozenset()) | {action}
    return found


def _runs(said: frozenset[str]) -> bool:
    return Action.MANDATE_START.value in said and not said.intersection(ENDS)


def _elements(words: str) -> frozenset[Element]:
    return frozenset(Element(word) for word in words.split(","))


def _stages(words: str) -> frozenset[Stage]:
    return frozenset(Stage(word) for word in words.split(","))


def stages_of(stages: Iterable[Stage]) -> str:
    """Return stages as their column holds them."""
    named = frozenset(stages)
    return ",".join(stage.value for stage in Stage if stage in named)
