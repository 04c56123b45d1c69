"""Who saw this voter: may this officer know, what the log says, and the entry that says that it was told.

(1) may they?    own region, and never a voter about whom they approved a request
(2) is it one?   the log says that this voter was loaded into this kab/kota
(3) read         the entries that name the voter; no cell of the voter is opened
(4) record       durable, or nothing leaves; a refusal is an entry too, and looks like "not there"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import accumulate
from typing import NoReturn

from sqlalchemy import select

from app.audit import query, seen
from app.audit.entry import Members
from app.audit.erasure import count_in
from app.audit.family import up_to
from app.audit.query import LogHead, StoredEntry
from app.audit.tables import TrailHead
from app.identity.room import entry, write
from app.kernel.actor import Actor
from app.kernel.errors import NotThere, SealBroken
from app.kernel.fields import Action, Outcome, Purpose
from app.kernel.regions import is_within
from app.mandates import people
from app.mandates.actions import approved_subject
from app.mandates.people import Official
from app.subjects.room import Subjects
from app.touch import Receipt

PURPOSE = Purpose.PERMINTAAN_SUBJEK
# The policies' own rule (policies/access/larangan.cedar): who approved a request about a voter does not handle that voter.
APPROVED = "larang-pdp-subjek-disetujui"
# Above every number: a log that was closed by a restore is read whole.
_CLOSED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Seen:
    """What the log says about one voter.

    entries: newest first, all below the log's size at *head*; then those of the logs before a restore. whole: False when there were more than ``seen.MOST`` and the oldest are
    missing. people: who stands behind the actors of the entries. erased: of how many entries the payload was erased, about whomever. before: how many entries the
    logs before each log of *entries* have.
    """

    kab: str
    uid: str
    entries: Sequence[StoredEntry]
    whole: bool
    people: Mapping[str, Official]
    head: LogHead
    erased: int
    before: Mapping[str, int]

    def place(self, one: StoredEntry) -> int:
        """Return a number that grows from entry to entry over all logs; in the first it is the entry's own."""
        return self.before[one.log] + one.seq

    @property
    def public_id(self) -> str:
        """The voter's number."""
        return f"{self.kab}-{self.uid}"


def look(room: Subjects, actor: Actor, kab: str, uid: str, now: datetime) -> tuple[Seen, Receipt]:
    """Return what the log says about the voter *uid* of *kab*, and the receipt of this reading, which is recorded first.

    Raises NotThere (another region, nobody's uid, or a voter about whom the actor approved a request: one answer; recorded), SealBroken
    (recorded), TrailDown, StoreDown, KeysDown.
    """
    found = _found(room, actor, kab, uid, now)
    return found, _record(room, actor, Action.TRAIL_READ, Outcome.ALLOWED, kab, uid, now)


def report(room: Subjects, actor: Actor, kab: str, uid: str, now: datetime, draw: Callable[[Seen], bytes]) -> tuple[bytes, Receipt]:
    """Return the report that *draw* makes, and the receipt of its entry, which holds the SHA-256 of exactly these bytes.

    Raises what ``look`` raises. If we die before the entry is durable, nobody has the report.
    """
    made = draw(_found(room, actor, kab, uid, now))
    detail = ("report", sha256(made).digest())
    return made, _record(room, actor, Action.TRAIL_EXPORT, Outcome.DONE, kab, uid, now, detail=detail)


def own_reports(room: Subjects, actor: Actor, now: datetime) -> list[StoredEntry]:
    """Return the last reports *actor* made, newest first; the reading is recorded first. Raises SealBroken, TrailDown, StoreDown."""
    found = seen.reports(room.identity.store, room.identity.log, actor.uid)
    write(room.identity, entry(room.identity, actor, Action.TRAIL_READ, Outcome.ALLOWED, now))
    return found


def _found(room: Subjects, actor: Actor, kab: str, uid: str, now: datetime) -> Seen:
    # (1) before anything is looked up: the answer tells nothing about voters elsewhere
    if not is_within(kab, actor.region):
        _refuse(room, actor, Outcome.DENIED, kab, uid, now)
    try:
        if approved_subject(room.mandates, actor.uid, uid):
            _refuse(room, actor, Outcome.DENIED, kab, uid, now, APPROVED)
        # (2)
        store, log, token = room.identity.store, room.identity.log, room.identity.payloads.token(uid)
        if not any(seen.was_loaded(store, one, token, kab) for one in up_to(log)):
            _refuse(room, actor, Outcome.FAILED, kab, uid, now)
        # (3) the head first: what comes after it belongs to the next report
        head = query.head(store, log)
        entries = seen.touching(store, log, token, below=head.size, limit=seen.MOST + 1)
        for one in reversed(up_to(log)[:-1]):
            entries += seen.touching(store, one, token, below=_CLOSED, limit=seen.MOST + 1 - len(entries))
    except SealBroken:
        _record(room, actor, Action.TRAIL_READ, Outcome.BROKEN, kab, uid, now)
        raise
    shown = entries[: seen.MOST]
    with store.reading() as session:
        who = people.officials(session, {one.members["actor"] for one in shown})
        erased = count_in(session, up_to(log))
        sizes = [session.scalar(select(TrailHead.size).where(TrailHead.log == one)) or 0 for one in up_to(log)]
    before = dict(zip(up_to(log), accumulate(sizes, initial=0), strict=False))
    return Seen(kab, uid, shown, len(entries) == len(shown), who, head, erased, before)


def _refuse(room: Subjects, actor: Actor, outcome: Outcome, kab: str, uid: str, now: datetime, *rules: str) -> NoReturn:
    _record(room, actor, Action.TRAIL_READ, outcome, kab, uid, now, rules=rules)
    raise NotThere("no voter of this officer")


def _record(
    room: Subjects,
    actor: Actor,
    action: Action,
    outcome: Outcome,
    kab: str,
    uid: str,
    now: datetime,
    *,
    rules: tuple[str, ...] = (),
    detail: tuple[str, bytes] | None = None,
) -> Receipt:
    """(4) Make the entry of a reading, a report or a refusal durable. Raises TrailDown."""
    policies = room.guard.policies
    more: Members = {"basis": policies.catalog.roles[actor.role].basis.value, "policy": policies.hash, "rule": rules or None}
    ready = entry(
        room.identity, actor, action, outcome, now,
        purpose=PURPOSE, scope=kab, method=actor.method, age=actor.factor_age(PURPOSE, now), detail=detail, subjects=(uid,), more=more,
    )  # fmt: skip
    return write(room.identity, ready)
