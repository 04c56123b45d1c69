"""Reading the trail. Every reading is itself an entry, durable before anything is shown; nothing here opens a voter's field.

An officer sees what concerns the jurisdiction of their office: entries about its regions, and what its offices did elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select

from app.audit import desk, query
from app.audit.canonical import Json
from app.audit.desk import Filter, Found, Hour
from app.audit.erasure import Erased, erased
from app.audit.proof import tlog_proof
from app.audit.query import StoredEntry
from app.audit.single import Found as Result
from app.audit.single import Step, prove
from app.identity.activity import published_size
from app.identity.room import entry, write
from app.identity.tables import Account
from app.kernel.actor import Actor
from app.kernel.clock import rfc3339
from app.kernel.errors import N_, BadInput, NotThere, SealBroken
from app.kernel.fields import Action, Outcome, Purpose
from app.kernel.regions import NATION
from app.mandates.people import Official, officials
from app.oversight.asking import Asked
from app.oversight.room import Oversight
from app.policy.replay import Recorded, Replay, read_recorded, replay
from app.touch import payload_of

# Rows on a page: what a screen or two can hold.
PAGE = 50
# Subjects of one entry that are listed; a batch of a load names 500.
MOST_SUBJECTS = 20


@dataclass(frozen=True, slots=True)
class Opened:
    """One entry, and what its sealed payload adds. payload: None when there is none or it was erased; broken: it is there and does not open.

    recorded, replayed: the decision as it was recorded and as the policies in force decide it; None for entries without one.
    same_policy: the entry's folder of policies is the one in force. subjects: (pseudonym in full, hex) of the first MOST_SUBJECTS.
    erased: which entry erased the payload, if one did. published: whether a published checkpoint holds the entry.
    """

    stored: StoredEntry
    payload: Mapping[str, object] | None
    broken: bool
    recorded: Recorded | None
    replayed: Replay | None
    same_policy: bool
    subjects: Sequence[str]
    newest: int
    erased: Erased | None = None
    published: bool = False


@dataclass(frozen=True, slots=True)
class Activity:
    """What was counted. offices: (office or None, outcome, count)."""

    hours: Sequence[Hour]
    offices: Sequence[tuple[str | None, str, int]]


def find_account(room: Oversight, text: str) -> str:
    """Return the uid of the account named *text* (a username or uid), or *text* itself for the machine's and nobody's entries.

    Raises BadInput (field ``actor``) when there is no such account.
    """
    if not text or text == "unknown" or text.startswith("host:"):
        return text
    with room.identity.store.reading() as session:
        uid = session.scalar(select(Account.uid).where((Account.username == text.lower()) | (Account.uid == text)))
    if uid is None:
        public = N_("Tidak ada akun dengan nama itu. Isi nama pengguna, misalnya operator.denpasar.")
        raise BadInput("no such account", field="actor", public=public)
    return uid


def username(room: Oversight, uid: str) -> str:
    """Return the username of the account *uid*, or *uid* itself when it is none."""
    with room.identity.store.reading() as session:
        return session.scalar(select(Account.username).where(Account.uid == uid)) or uid


def read_trail(room: Oversight, actor: Actor, asked: Asked, now: datetime, *, before: int | None = None) -> Found:
    """Return a page of the trail. The reading is recorded first, with what was asked. Raises TrailDown, StoreDown, KeysDown."""
    found = desk.entries(room.identity.store, room.identity.log, asked.wanted, before=before, limit=PAGE)
    told: dict[str, Json] = {name: value for name, value in asked.given.items() if name != "subject"}
    about = (asked.subject_uid,) if asked.subject_uid else ()
    _record(
        room, actor, Action.TRAIL_READ, Outcome.ALLOWED, now,
        scope=asked.wanted.region or asked.subject_kab or _own_scope(actor), subjects=about, query={**told, "before": before},
    )  # fmt: skip
    return found


def with_subject(room: Oversight, asked: Asked) -> Asked:
    """Return *asked* with the touch token of the voter whose public id was given. Raises KeysDown."""
    if not asked.subject_uid:
        return asked
    token = room.guard.payloads.token(asked.subject_uid)
    return replace(asked, wanted=replace(asked.wanted, subject=token))


def open_entry(room: Oversight, actor: Actor, seq: int, now: datetime) -> Opened:
    """Return entry *seq* with what its payload adds; the reading is recorded first.

    Raises NotThere (absent, or of another jurisdiction: one answer, recorded), SealBroken when its bytes are no entry, TrailDown.
    """
    stored = _visible(room, actor, seq, now)
    try:
        payload, broken = payload_of(room.guard, stored), False
    except SealBroken:
        payload, broken = None, True
    recorded = _recorded(payload)
    uids = payload.get("subjects") if payload else None
    tokens = [room.guard.payloads.token(str(uid)).hex() for uid in (uids if isinstance(uids, list) else [])[:MOST_SUBJECTS]]
    same = stored.members["policy"] == room.guard.policies.hash
    newest = query.head(room.identity.store, room.identity.log).size - 1
    _record(room, actor, Action.TRAIL_READ, Outcome.ALLOWED, now, scope=stored.members["scope"], query={"entry": seq})
    return Opened(
        stored=stored, payload=payload, broken=broken, recorded=recorded, same_policy=same, subjects=tokens, newest=newest,
        replayed=replay(room.guard.policies, recorded) if recorded and recorded.views is not None and same else None,
        erased=erased(room.identity.store, stored.log, seq), published=seq < published_size(room.identity),
    )  # fmt: skip


def prove_entry(room: Oversight, actor: Actor, seq: int, now: datetime) -> tuple[StoredEntry | None, list[Step]]:
    """Check entry *seq* and return it (None when its bytes are no entry) with every step; what was found is recorded first.

    Raises NotThere as ``open_entry`` does, TrailDown, KeysDown, StoreDown.
    """
    try:
        stored: StoredEntry | None = _visible(room, actor, seq, now)
    except SealBroken:
        stored = None
    guard, log = room.guard, room.identity.log

    def open_sealed(sealed: bytes, wrapped: bytes, day: str, commitment: bytes) -> bytes:
        return guard.payloads.open(sealed, wrapped, day, log, commitment)

    steps = prove(guard.store, log, seq, guard.trail.vkey, open_sealed, guard.payloads.token)
    bad = [step.check.value for step in steps if step.found is Result.BAD]
    scope = stored.members["scope"] if stored else None
    outcome = Outcome.FAILED if bad else Outcome.DONE
    _record(room, actor, Action.TRAIL_VERIFY, outcome, now, scope=scope, query={"entry": seq, "bad": list(bad)})
    return stored, steps


def receipt(room: Oversight, actor: Actor, seq: int, now: datetime, *, witnessed: bool = False) -> str:
    """Return the C2SP tlog-proof file of entry *seq*; handing it out is recorded first.

    witnessed: against a published checkpoint, with the witnesses' signatures. Raises NotThere, also for one not published yet, SealBroken,
    TrailDown.
    """
    stored = _visible(room, actor, seq, now)
    _record(room, actor, Action.TRAIL_READ, Outcome.ALLOWED, now, scope=stored.members["scope"], query={"receipt": seq})
    return tlog_proof(room.identity.store, room.identity.log, seq, published=witnessed)


def activity(room: Oversight, actor: Actor, wanted: Filter, now: datetime) -> Activity:
    """Return the counts of *wanted*; the reading is recorded first. Raises TrailDown, StoreDown."""
    store, log = room.identity.store, room.identity.log
    found = Activity(desk.hours(store, log, wanted), desk.by_office(store, log, wanted))
    since = rfc3339(wanted.since) if wanted.since else None
    _record(room, actor, Action.TRAIL_READ, Outcome.ALLOWED, now, scope=wanted.region or _own_scope(actor), query={"counts": since})
    return found


def people(room: Oversight, uids: Collection[str]) -> dict[str, Official]:
    """Return who the account *uids* are, in one statement."""
    if not uids:
        return {}
    with room.identity.store.reading() as session:
        return officials(session, uids)


def _visible(room: Oversight, actor: Actor, seq: int, now: datetime) -> StoredEntry:
    """Return an entry that concerns the actor's jurisdiction, or record that somebody reached for one that does not, or is not there."""
    store, log = room.identity.store, room.identity.log
    if not desk.exists(store, log, Filter(within=actor.region), seq):
        _record(room, actor, Action.TRAIL_READ, Outcome.DENIED, now, scope=_own_scope(actor), query={"entry": str(seq)})
        raise NotThere(f"entry {seq} is absent or not of this jurisdiction")
    return query.entry_at(store, log, seq)


def _recorded(payload: Mapping[str, object] | None) -> Recorded | None:
    told = payload.get("visit") if payload else None
    try:
        return read_recorded(told) if isinstance(told, str) else None
    except SealBroken:
        return None


def _own_scope(actor: Actor) -> str | None:
    return None if actor.region == NATION else actor.region


def _record(
    room: Oversight,
    actor: Actor,
    action: Action,
    outcome: Outcome,
    now: datetime,
    *,
    scope: str | None,
    query: Mapping[str, Json],
    subjects: tuple[str, ...] = (),
) -> None:
    ready = entry(
        room.identity, actor, action, outcome, now, purpose=Purpose.AUDIT, scope=scope, subjects=subjects, extra={"query": dict(query)},
    )  # fmt: skip
    write(room.identity, ready)
