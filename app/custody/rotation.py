"""Puts a new key in the place of old ones, while the guard serves.

    (1) begin    the new key stands beside the old ones; whoever stores rows from now on must use it             key:create, key:rotate intent
    (2) step     a batch of rows is turned and swapped in, with the place reached and an entry that lists them    key:rotate done
                 rows whose seal does not hold are left as they are, and named                                    key:rotate broken
    (3) finish   nothing needs an older key: the old ones are deleted, in the transaction that looked             key:destroy
                 something does: the rotation halts, and the old keys stay                                        key:rotate failed

Each arrow is one transaction: if we die anywhere, the next process goes on behind the last batch. Several may walk at once; each batch is
swapped in by one of them. Readers take rows of every epoch, searches look for the tokens of all of them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import CursorResult, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.audit.canonical import Json
from app.audit.entry import rows_root
from app.custody import turning, voter_erasure
from app.custody.keys import key_detail
from app.custody.room import Custody
from app.custody.storecheck import ROWS
from app.custody.tables import Rotation
from app.custody.turning import Kind, Moved, Turned
from app.identity.room import Entry, entry, write_within
from app.kernel.actor import Actor
from app.kernel.clock import rfc3339
from app.kernel.errors import N_, BadInput, Conflict, NotThere, SealBroken
from app.kernel.fields import Action, Outcome, Role
from app.kernel.ids import new_uid
from app.kernel.regions import NATION, kab_of
from app.store.keys import WrappedKeys, add_key, drop_key, lock_keys, newest_epoch
from app.vault.blind import planned_bits
from app.vault.house import DEFAULT_BITS
from app.vault.records import Field
from app.voters.tables import Voter

TABLE = Rotation.__tablename__
# Rows per transaction, as at intake: some ten milliseconds of SQLite's write lock, and one entry of about 60 kB payload.
BATCH = 500
# Rows named where a rotation halted; by then somebody is looking already.
_NAMED = 20
_END = "end"
_OPEN_ALREADY = N_("Di wilayah ini sudah ada penggantian kunci yang belum selesai. Lanjutkan atau tunggu yang itu.")
_NO_KEYS = N_("Wilayah ini belum punya kunci. Buat kuncinya dulu.")
_NO_SCOPE = N_("Pilih satu kab/kota dari daftar.")
_NOT_NOW = N_("Keadaan penggantian kunci ini sudah berubah. Muat ulang halaman untuk melihat keadaannya.")


class State(StrEnum):
    """Where a rotation stands: at work, held by somebody, stopped at rows that cannot be turned, over."""

    RUNNING = "running"
    PAUSED = "paused"
    HALTED = "halted"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Standing:
    """A rotation as pages and commands show it. sound: its seal holds. trouble: names of rows that could not be turned, with what is wrong."""

    uid: str
    kind: Kind
    scope: str
    to_epoch: int
    state: State
    done: int
    total: int
    broken: int
    trouble: Sequence[str]
    rate: int
    started_at: datetime
    moved_at: datetime
    finished_at: datetime | None
    sound: bool

    @property
    def share(self) -> int:
        """Percent of the rows looked at."""
        return 100 if self.state is State.DONE else min(99, self.done * 100 // self.total) if self.total else 0


class _Elsewhere(Exception):
    """Somebody else moved the rotation on meanwhile."""


# ---- beginning, holding, going on ----


def begin(room: Custody, actor: Actor, kind: Kind, scope: str, rate: int, now: datetime) -> str:
    """Make the new key and return the rotation's uid; no row is turned yet. rate: rows per second, 0 for no limit.

    scope: a kab/kota with keys; ``00`` for NIK. Raises BadInput (field ``region``), Conflict when one is open there already, TrailDown,
    StoreDown, KeysDown.
    """
    purpose = kind.purpose
    if (scope != NATION) if kind is Kind.NIK else (kab_of(scope) != scope):
        raise BadInput(f"{scope} is not where a rotation of {kind} goes", field="region", public=_NO_SCOPE)
    with room.guard.store.reading() as session:
        newest = newest_epoch(session, purpose, scope)
        if not newest:
            raise BadInput(f"{scope} has no {purpose} key", field="region", public=_NO_KEYS)
        bits = planned_bits(_largest_roll(session, scope)) if purpose == "blind" else DEFAULT_BITS
        total = turning.count(session, kind, scope, newest + 1)
    wrapped = room.guard.keys.make(purpose, scope, newest + 1, bits=bits)
    row = Rotation(
        uid=new_uid(), kind=kind.value, scope=scope, to_epoch=newest + 1, state=State.RUNNING.value, place=kind.places[0], cursor=_start(kind, scope),
        total=total, done=0, broken=0, trouble="[]", rate=rate, actor=actor.uid, office=actor.office, started_at=now, moved_at=now,
        finished_at=None,
    )  # fmt: skip
    row.seal = room.seals.of(TABLE, _fields(row))
    detail = key_detail(purpose, wrapped)
    made = entry(room.identity, actor, Action.KEY_CREATE, Outcome.DONE, now, scope=scope, detail=detail)
    begun = _entry(room, actor, row, Outcome.INTENT, now, detail=detail, rate=rate)
    try:
        with room.guard.store.writing() as session:
            # Whoever stores rows under the present key right now ends first; whoever comes after sees the new one (``store.keys.hold``).
            lock_keys(session, purpose, scope)
            if newest_epoch(session, purpose, scope) != newest:
                raise Conflict("a key was made meanwhile", public=_OPEN_ALREADY)
            session.add(row)
            add_key(session, purpose, scope, newest + 1, wrapped, now)
            session.expunge(row)
            for one in (made, begun):
                write_within(room.identity, session, one)
    except IntegrityError:
        raise Conflict(f"a rotation in {scope} is open already", public=_OPEN_ALREADY) from None
    room.guard.keys.forget()
    return row.uid


def pause(room: Custody, actor: Actor, uid: str, now: datetime) -> None:
    """Hold a rotation; readers and writers do not mind how long. Raises NotThere, Conflict when it does not run, SealBroken, TrailDown."""
    _set(room, actor, uid, (State.RUNNING,), now, state=State.PAUSED.value)


def resume(room: Custody, actor: Actor, uid: str, now: datetime) -> None:
    """Let a rotation that is held or halted go on; one that halted begins its walk anew and passes over what is turned. Raises as ``pause``."""
    found = load(room, uid)
    changes: dict[str, object] = {"state": State.RUNNING.value}
    if found.state == State.HALTED.value:
        kind = Kind(found.kind)
        with room.guard.store.reading() as session:
            total = turning.count(session, kind, found.scope, found.to_epoch)
        changes |= {"place": kind.places[0], "cursor": _start(kind, found.scope), "total": total, "done": 0, "broken": 0, "trouble": "[]"}
    _set(room, actor, uid, (State.PAUSED, State.HALTED), now, **changes)


def standing(room: Custody, uid: str) -> Standing:
    """Return a rotation as it stands. Raises NotThere."""
    with room.guard.store.reading() as session:
        row = session.get(Rotation, uid)
        if row is None:
            raise NotThere("no such rotation")
        return _standing(room, row)


def listed(room: Custody, limit: int = 20) -> list[Standing]:
    """Return the rotations that are open, and of the others the newest, at most *limit* of these; newest first."""
    done = Rotation.state == State.DONE.value
    with room.guard.store.reading() as session:
        rows = [
            *session.scalars(select(Rotation).where(~done)),
            *session.scalars(select(Rotation).where(done).order_by(Rotation.started_at.desc()).limit(limit)),
        ]
        return sorted((_standing(room, row) for row in rows), key=lambda one: (one.state is State.DONE, -one.started_at.timestamp()))


def running(room: Custody) -> list[str]:
    """Return the uids of the rotations at work, the oldest move first."""
    with room.guard.store.reading() as session:
        return list(session.scalars(select(Rotation.uid).where(Rotation.state == State.RUNNING.value).order_by(Rotation.moved_at)))


# ---- walking ----


def walk(
    room: Custody,
    uid: str,
    report: Callable[[int, int], None],
    *,
    batch: int = BATCH,
    sleep: Callable[[float], None] = time.sleep,
    until: Callable[[], bool] = lambda: False,
) -> Standing:
    """Turn batch after batch until the rotation is over, held or halted, or *until* says so; return how it stands then.

    report: told (rows, in all). Raises NotThere, SealBroken (the rotation's own row was changed), TrailDown, StoreDown, KeysDown.
    """
    while True:
        found = load(room, uid)
        report(found.done, found.total)
        if found.state != State.RUNNING.value or until():
            return standing(room, uid)
        size = min(batch, found.rate) if found.rate else batch
        ahead = found.rate and (found.moved_at + timedelta(seconds=size / found.rate) - room.identity.clock.now()).total_seconds()
        if ahead > 0 and found.done:
            sleep(min(ahead, 1.0))
            continue
        step(room, found, size)


def step(room: Custody, found: Rotation, size: int) -> None:
    """Turn one batch of the rotation *found* (as ``load`` returned it), or end it. When somebody else moved it on, nothing happens.

    Raises TrailDown, StoreDown, KeysDown, SealBroken.
    """
    try:
        if found.place == _END:
            _finish(room, found)
        else:
            _turn(room, found, size)
    except (_Elsewhere, Moved):
        return


def load(room: Custody, uid: str) -> Rotation:
    """Return the row of a rotation, checked. Raises NotThere, SealBroken, KeysDown."""
    with room.guard.store.reading() as session:
        row = session.get(Rotation, uid)
        if row is None:
            raise NotThere("no such rotation")
        session.expunge(row)
    room.seals.check(TABLE, uid, _fields(row), row.seal)
    return row


def _turn(room: Custody, found: Rotation, size: int) -> None:
    kind, now = Kind(found.kind), room.identity.clock.now()
    kab, _, after = found.cursor.partition(" ")
    if not kab:
        _move(room, found, **_next_place(room, found, kind, ""))
        return
    made = turning.turned(room.guard, room.seals, kind, found.place, kab, found.to_epoch, after, size)
    reached = {"cursor": f"{kab} {made.last}"} if made.last else _next_place(room, found, kind, kab)
    names = [f"{name}: {what}" for name, what in made.broken]
    trouble = [*json.loads(found.trouble), *names][:_NAMED]
    after_it = _changed(
        room, found, **reached, done=found.done + made.looked, broken=found.broken + len(names), trouble=json.dumps(trouble), moved_at=now
    )
    ready = _entries(room, found, made, kab, names, now)
    with room.guard.store.writing() as session:
        # If we die before the commit, neither the rows nor the place reached nor the entry have changed.
        _replace(session, found, after_it)
        made.write(session)
        for one in ready:
            write_within(room.identity, session, one)


def _entries(room: Custody, found: Rotation, made: Turned, kab: str, names: Sequence[str], now: datetime) -> list[Entry]:
    actor, ready = _process(found), []
    if made.rows:
        rows: list[Json] = [[table, uid, version, seal.hex()] for table, uid, version, seal in made.rows]
        ready.append(_entry(room, actor, found, Outcome.DONE, now, scope=kab, detail=(ROWS, rows_root(made.rows)), rows=rows))
    if names:
        uids = tuple(dict.fromkeys(name.partition(" ")[2] for name, _ in made.broken))
        ready.append(_entry(room, actor, found, Outcome.BROKEN, now, scope=kab, subjects=uids, broken=list(names)))
    return ready


def _next_place(room: Custody, found: Rotation, kind: Kind, kab: str) -> dict[str, object]:
    """Return place and cursor behind the end of *kab* in the table in hand."""
    if kind is Kind.NIK:
        with room.guard.store.reading() as session:
            following = session.scalar(select(func.min(Voter.kab)).where(Voter.kab > kab))
        return {"place": found.place, "cursor": f"{following} "} if following else {"place": _END, "cursor": ""}
    at = kind.places.index(found.place) + 1
    return {"place": kind.places[at] if at < len(kind.places) else _END, "cursor": f"{kab} "}


# ---- the end ----


def _finish(room: Custody, found: Rotation) -> None:
    kind, now, keys = Kind(found.kind), room.identity.clock.now(), room.guard.keys
    purpose, scope = kind.purpose, found.scope
    with room.guard.store.reading() as session:
        remaining = turning.left(session, kind, scope, found.to_epoch, _NAMED)
    if found.broken or remaining:
        _halt(room, found, remaining, now)
        return
    wanted = sorted((epoch, wrapped) for epoch, wrapped in WrappedKeys(room.guard.store).fetch(purpose, scope) if epoch < found.to_epoch)
    ready = [
        entry(
            room.identity, _process(found), Action.KEY_DESTROY, Outcome.DONE, now, scope=scope, detail=key_detail(purpose, wrapped),
            extra={"rotation": found.uid, "epoch": epoch},
        )
        for epoch, wrapped in wanted
    ]  # fmt: skip
    over = _changed(room, found, state=State.DONE.value, done=max(found.done, found.total), moved_at=now, finished_at=now)
    with room.guard.store.writing() as session:
        _replace(session, found, over)
        # Nobody stores anything under these keys any more, and nobody can begin to: what is looked for now stays so until the commit.
        old = [(epoch, wrapped) for epoch, wrapped in lock_keys(session, purpose, scope) if epoch < found.to_epoch]
        if wanted != old or turning.left(session, kind, scope, found.to_epoch, 1):
            raise _Elsewhere
        for (epoch, _), gone in zip(old, ready, strict=True):
            write_within(room.identity, session, gone)
            # After the entry, which the database asks for. If we die before the commit, the key stands and the next process comes here again.
            drop_key(session, purpose, scope, epoch)
        if purpose == "seal":
            voter_erasure.key_gone(room, session, scope, old)
    keys.forget()


def _halt(room: Custody, found: Rotation, remaining: Sequence[str], now: datetime) -> None:
    known = json.loads(found.trouble)
    named = {one.partition(":")[0].rpartition(" ")[2] for one in known}
    orphans = [
        f"{name}: still needs the old key, and no row was found to turn" for name in remaining if name.rpartition(" ")[2] not in named
    ]
    trouble = [*known, *orphans][:_NAMED]
    halted = _changed(
        room, found, state=State.HALTED.value, broken=max(found.broken, len(trouble)), trouble=json.dumps(trouble), moved_at=now
    )
    told = _entry(room, _process(found), found, Outcome.FAILED, now, remaining=trouble)
    with room.guard.store.writing() as session:
        _replace(session, found, halted)
        write_within(room.identity, session, told)


# ---- rows of rotations ----


def _set(room: Custody, actor: Actor, uid: str, states: Sequence[State], now: datetime, **changes: object) -> None:
    """Change a rotation that stands in one of *states*, whoever walks it; the change and its entry stand together."""
    while True:
        found = load(room, uid)
        if State(found.state) not in states:
            raise Conflict(f"the rotation is {found.state}", public=_NOT_NOW)
        told = _entry(room, actor, found, Outcome.ALLOWED, now, act="pause" if changes["state"] == State.PAUSED.value else "resume")
        try:
            with room.guard.store.writing() as session:
                _replace(session, found, _changed(room, found, moved_at=now, **changes))
                write_within(room.identity, session, told)
        except _Elsewhere:
            continue
        return


def _move(room: Custody, found: Rotation, **changes: object) -> None:
    with room.guard.store.writing() as session:
        _replace(session, found, _changed(room, found, **changes))


def _changed(room: Custody, found: Rotation, **changes: object) -> dict[str, object]:
    """Return the columns that change, and the seal of the row once they have."""
    other = Rotation(**{column.key: getattr(found, column.key) for column in Rotation.__table__.columns} | changes)
    return {**changes, "seal": room.seals.of(TABLE, _fields(other))}


def _replace(session: Session, found: Rotation, values: dict[str, object]) -> None:
    """Write *values* over the row, if it is still the one that was found. Raises _Elsewhere."""
    here = (Rotation.uid == found.uid, Rotation.seal == found.seal)
    done = session.execute(update(Rotation).where(*here).values(values).execution_options(synchronize_session=False))
    if not (isinstance(done, CursorResult) and done.rowcount == 1):
        raise _Elsewhere


def _standing(room: Custody, row: Rotation) -> Standing:
    try:
        room.seals.check(TABLE, row.uid, _fields(row), row.seal)
        sound = True
    except SealBroken:
        sound = False
    return Standing(
        row.uid, Kind(row.kind), row.scope, row.to_epoch, State(row.state), row.done, row.total, row.broken, tuple(json.loads(row.trouble)),
        row.rate, row.started_at, row.moved_at, row.finished_at, sound,
    )  # fmt: skip


def _fields(row: Rotation) -> Sequence[Field]:
    return (
        row.uid, row.kind, row.scope, row.to_epoch, row.state, row.place, row.cursor, row.total, row.done, row.broken, row.trouble, row.rate,
        row.actor, row.office, rfc3339(row.started_at), rfc3339(row.moved_at), rfc3339(row.finished_at) if row.finished_at else None,
    )  # fmt: skip


def _start(kind: Kind, scope: str) -> str:
    return "" if kind is Kind.NIK else f"{scope} "


def _largest_roll(session: Session, kab: str) -> int:
    """Return the rows of *kab* in the election that has most: what its indexes are sized for."""
    sizes = select(func.count().label("rows")).where(Voter.kab == kab).group_by(Voter.election).subquery()
    return session.scalar(select(func.max(sizes.c.rows))) or 0


def _process(found: Rotation) -> Actor:
    """Return whoever began the rotation as the process that works for them: it turns bytes, and never reveals."""
    return Actor(
        uid=found.actor, office=found.office, unit="", role=Role.PROSES, roles=frozenset({Role.PROSES}), region=NATION, request=found.uid
    )


def _entry(
    room: Custody,
    actor: Actor,
    found: Rotation,
    outcome: Outcome,
    now: datetime,
    *,
    scope: str = "",
    detail: tuple[str, bytes] | None = None,
    subjects: Sequence[str] = (),
    **extra: Json,
) -> Entry:
    age = int((now - actor.factor_at).total_seconds()) if actor.factor_at else 0
    told: dict[str, Json] = {"rotation": found.uid, "kind": found.kind, "epoch": found.to_epoch, **extra}
    return entry(
        room.identity, actor, Action.KEY_ROTATE, outcome, now, scope=scope or found.scope, method=actor.method, age=max(0, age), detail=detail,
        subjects=subjects, extra=told,
    )  # fmt: skip
