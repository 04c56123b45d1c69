"""The guard's witnesses: who they are, how fresh their signatures are, and how the list changes by two people.

    (1) propose  a security officer or administrator; nothing changes               witness:change intent
    (2) approve  another of them                                                     witness:change done
        refuse   another of them, or who proposed                                    witness:change denied
    (3) in force at once when no set of witnesses becomes enough that was not before; else once the witnesses so far have signed a
        checkpoint that holds the approval, or ``rules.WAIT`` later

The list in force follows from the approved rows in their order, so nothing has to run at the moment when it changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import CursorResult, select, update
from sqlalchemy.exc import IntegrityError

from app.audit import published
from app.audit.canonical import Json
from app.audit.entry import parse
from app.audit.family import up_to
from app.audit.members import Detail
from app.audit.published import Cosignature
from app.audit.quorum import Policy
from app.audit.tables import TrailEntry
from app.identity.room import Entry, entry, write, write_within
from app.kernel.actor import Actor
from app.kernel.clock import rfc3339
from app.kernel.errors import N_, BadInput, Conflict, NotAllowed, NotThere, SealBroken
from app.kernel.fields import Action, Outcome, Role
from app.openlog import rules
from app.openlog.room import Books, OpenLog
from app.openlog.tables import WitnessPolicy
from app.vault.records import Field

TABLE = WitnessPolicy.__tablename__
# What the ``detail`` of their entries digests: the list's text.
DETAIL = "witnesses"
WAITING, APPROVED, REFUSED = "waiting", "approved", "refused"
KEEPERS = frozenset({Role.PETUGAS_KEAMANAN, Role.ADMIN_SISTEM})
_ONE_WAITS = N_("Satu usulan daftar saksi masih menunggu keputusan. Putuskan dulu yang itu.")
_SAME_PERSON = N_("Yang menyetujui harus orang lain daripada yang mengusulkan.")
_DECIDED = N_("Usulan ini sudah diputuskan. Muat ulang halaman untuk melihat hasilnya.")
_SAME_LIST = N_("Daftar ini sama dengan yang berlaku sekarang. Tidak ada yang perlu diusulkan.")


@dataclass(frozen=True, slots=True)
class Listed:
    """One list that was ever proposed, its seal checked."""

    version: int
    text: str
    state: str
    reason: str
    asked_by: str
    asked_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    seq: int | None
    seal: bytes

    @property
    def policy(self) -> Policy:
        """The list itself."""
        return rules.read_list(self.text)


@dataclass(frozen=True, slots=True)
class Standing:
    """Which list is in force, and how the witnesses stand.

    text: the list as approved. version: 0 while no list was ever approved. pending: approved lists that are not in force yet. signed: newest cosignature by vkey.
    """

    policy: Policy
    text: str
    version: int
    pending: Sequence[Listed]
    signed: Mapping[str, Cosignature]

    @property
    def configured(self) -> bool:
        """Whether the quorum asks for any witness."""
        return rules.asks_for_witness(self.policy)

    def is_fresh(self, now: datetime) -> bool:
        """Whether enough witnesses have signed within ``rules.FRESH``; True when none is configured."""
        return self.policy.met([key for key, one in self.signed.items() if rules.is_fresh(one.at, now)])

    def covers(self, seq: int) -> bool:
        """Whether enough witnesses have signed a checkpoint that holds entry *seq*; True when none is configured."""
        return _covered(self.policy, self.signed, seq)


@dataclass(frozen=True, slots=True)
class Watch:
    """What the touch asks before it reaches across provinces (``app.touch.witness.Witnessing``)."""

    books: Books

    def is_fresh(self, now: datetime) -> bool:
        """Whether enough witnesses have signed lately; True when none is configured. Raises SealBroken, StoreDown, KeysDown."""
        return standing(self.books, now).is_fresh(now)

    def covers(self, seq: int, now: datetime) -> bool:
        """Whether enough witnesses have signed a checkpoint that holds entry *seq*. Raises SealBroken, StoreDown, KeysDown."""
        return standing(self.books, now).covers(seq)


def standing(books: Books, now: datetime) -> Standing:
    """Return how the witnesses stand at *now*. Raises SealBroken when a row was changed past us, StoreDown, KeysDown."""
    approved = [one for one in lists(books) if one.state == APPROVED]
    if not approved:
        return Standing(rules.read_list(rules.NOTHING), rules.NOTHING, 0, (), {})
    keys = {(key.name, key.key_id.hex()): key.vkey for one in approved for key in one.policy.verifiers}
    found = published.cosignatures(books.store, books.log, {key for _, key in keys})
    signed = {keys[one.witness, one.key]: one for one in found if (one.witness, one.key) in keys}
    current, text, version = rules.read_list(rules.NOTHING), rules.NOTHING, 0
    pending: list[Listed] = []
    begun = _begun(books)
    for one in approved:
        if _in_force(current, one, signed, now, begun):
            current, text, version, pending = one.policy, one.text, one.version, []
        else:
            pending.append(one)
    return Standing(current, text, version, pending, signed)


def _in_force(current: Policy, one: Listed, signed: Mapping[str, Cosignature], now: datetime, begun: datetime | None) -> bool:
    assert one.decided_at is not None
    assert one.seq is not None
    if not rules.weakens(current, one.policy) or now >= one.decided_at + rules.WAIT:
        return True
    # Of a log before this one the number says nothing here: such a change waits its time out.
    return begun is not None and one.decided_at >= begun and _covered(current, signed, one.seq)


def _begun(books: Books) -> datetime | None:
    """Return the moment of this log's first entry; None while there is none."""
    with books.store.reading() as session:
        return session.scalar(select(TrailEntry.at).where(TrailEntry.log == books.log).order_by(TrailEntry.seq).limit(1))


def _covered(policy: Policy, signed: Mapping[str, Cosignature], seq: int) -> bool:
    return policy.met([key for key, one in signed.items() if one.size > seq])


def lists(books: Books) -> list[Listed]:
    """Return every list ever proposed, oldest first. Raises SealBroken when a row was changed past us."""
    with books.store.reading() as session:
        rows = session.scalars(select(WitnessPolicy).order_by(WitnessPolicy.version)).all()
        session.expunge_all()
    for row in rows:
        books.seals.check(TABLE, str(row.version), _fields(row), row.seal)
    return [
        Listed(row.version, row.text, row.state, row.reason, row.asked_by, row.asked_at, row.decided_by, row.decided_at, row.seq, row.seal)
        for row in rows
    ]


def propose(room: OpenLog, actor: Actor, text: str, reason: str, now: datetime) -> int:
    """Propose *text* as the list of witnesses and return its version; nothing changes yet.

    Raises NotAllowed for another role, BadInput (field ``text`` or ``reason``), Conflict when one waits already or nothing would change,
    SealBroken, TrailDown, StoreDown, KeysDown.
    """
    _demand_keeper(actor)
    said = rules.parse_line(reason, "reason", rules.MAX_REASON)
    rules.parse_list(text)
    kept = text.replace("\r\n", "\n").strip("\n") + "\n"
    known = lists(room.books)
    if any(one.state == WAITING for one in known):
        raise Conflict("a list waits already", public=_ONE_WAITS)
    if kept == next((one.text for one in reversed(known) if one.state == APPROVED), rules.NOTHING):
        raise Conflict("the same list", public=_SAME_LIST)
    version = len(known) + 1
    ready = _entry(room, actor, Outcome.INTENT, version, kept, now, reason=said)
    row = WitnessPolicy(
        version=version, text=kept, state=WAITING, reason=said, asked_by=actor.uid, asked_at=now, decided_by=None, decided_at=None, seq=None
    )  # fmt: skip
    row.seal = room.seals.of(TABLE, _fields(row))
    try:
        with room.guard.store.writing() as session:
            session.add(row)
            session.flush()
            write_within(room.identity, session, ready)
    except IntegrityError:
        raise Conflict("a list waits already", public=_ONE_WAITS) from None
    return version


def decide(room: OpenLog, actor: Actor, version: int, approve: bool, now: datetime) -> None:
    """Approve or refuse the waiting list *version*.

    Raises NotAllowed for another role, and when who proposed would approve (recorded); NotThere; Conflict when it was decided already
    (recorded); SealBroken, TrailDown, StoreDown, KeysDown.
    """
    _demand_keeper(actor)
    found = next((one for one in lists(room.books) if one.version == version), None)
    if found is None:
        raise NotThere("no such list")
    try:
        if approve and actor.uid == found.asked_by:
            raise NotAllowed("the same person", public=_SAME_PERSON)
        _close(room, actor, found, approve, now)
    except (NotAllowed, Conflict) as refused:
        write(room.identity, _entry(room, actor, Outcome.DENIED, version, found.text, now, refused=refused.detail))
        raise


def _close(room: OpenLog, actor: Actor, found: Listed, approve: bool, now: datetime) -> None:
    """Write the answer and its entry together; of two at once one finds it waiting. Raises Conflict for the other."""
    ready = _entry(room, actor, Outcome.DONE if approve else Outcome.DENIED, found.version, found.text, now)
    with room.guard.store.writing() as session:
        seq = write_within(room.identity, session, ready).seq
        closed = WitnessPolicy(
            version=found.version, text=found.text, state=APPROVED if approve else REFUSED, reason=found.reason, asked_by=found.asked_by,
            asked_at=found.asked_at, decided_by=actor.uid, decided_at=now, seq=seq,
        )  # fmt: skip
        done = session.execute(
            update(WitnessPolicy)
            .where(WitnessPolicy.version == found.version, WitnessPolicy.state == WAITING, WitnessPolicy.seal == found.seal)
            .values(state=closed.state, decided_by=actor.uid, decided_at=now, seq=seq, seal=room.seals.of(TABLE, _fields(closed)))
            .execution_options(synchronize_session=False)
        )
        if not (isinstance(done, CursorResult) and done.rowcount == 1):
            raise Conflict("decided meanwhile", public=_DECIDED)


def missing_rows(room: OpenLog) -> int:
    """Return how many approvals the log tells of that no row tells of any more: whoever deletes rows takes witnesses away.

    Reads the log's index; for starts and verifications, not for every page. Raises SealBroken, StoreDown.
    """
    known = sum(one.state == APPROVED for one in lists(room.books))
    return max(0, sum(detail["type"] == DETAIL for detail in _recorded(room)) - known)


def unfounded_lifts(room: OpenLog) -> int:
    """Return how many lifts of a halt no entry speaks of: whoever adds such a row makes the guard deaf to its witnesses.

    Costs as ``missing_rows``. Raises SealBroken, StoreDown.
    """
    with room.guard.store.reading() as session:
        reasons = published.lifts(session, room.log)
    told = {detail["sha256"] for detail in _recorded(room) if detail["type"] == published.RESUME} if reasons else set()
    return sum(sha256(reason.encode()).hexdigest() not in told for reason in reasons)


def _recorded(room: OpenLog) -> list[Detail]:
    """Return what the entries of every change that was made digest."""
    told = (
        TrailEntry.log.in_(up_to(room.log)), TrailEntry.action == Action.WITNESS_CHANGE.value, TrailEntry.outcome == Outcome.DONE.value,
    )  # fmt: skip
    with room.guard.store.reading() as session:
        bodies = session.scalars(select(TrailEntry.body).where(*told)).all()
    try:
        return [detail for body in bodies if (detail := parse(body)["detail"]) is not None]
    except (BadInput, TypeError, AttributeError):
        raise SealBroken("an entry that changed the witnesses is no entry any more; run gardu audit verify") from None


def _demand_keeper(actor: Actor) -> None:
    if actor.role not in KEEPERS:
        raise NotAllowed(f"role {actor.role.value} does not keep the list of witnesses")


def _entry(room: OpenLog, actor: Actor, outcome: Outcome, version: int, text: str, now: datetime, **extra: Json) -> Entry:
    said: dict[str, Json] = {"version": version, "list": text, **extra}
    return entry(room.identity, actor, Action.WITNESS_CHANGE, outcome, now, detail=(DETAIL, sha256(text.encode()).digest()), extra=said)


def _fields(row: WitnessPolicy) -> Sequence[Field]:
    return (
        row.version, row.text, row.state, row.reason, row.asked_by, rfc3339(row.asked_at), row.decided_by,
        rfc3339(row.decided_at) if row.decided_at else None, row.seq,
    )  # fmt: skip
