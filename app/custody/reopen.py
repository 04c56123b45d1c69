"""Opens the next log over a database that was put back to an older state: it never goes on under the old name.

    (1) outside   a signed checkpoint that somebody else kept says that the log once was longer, or other    ``last_seen``
    (2) mirror    a full export from elsewhere says what is missing; verified before it is believed           ``audit.mirror``
    (3) open      one transaction: ``trail:reopen``, the first entry of ``<host>/gardu/<n+1>``, holds (1); every session ends; every
                  mandate ends, and is asked for anew; accounts that were disabled or reset since are again; payloads that were erased
                  since are again; the old log is halted for good
    (4) name      config.toml says the new name; until it does, the halted log cannot be written                ``cli.retention``

The old log stays, readable and verifiable, under its own name; the same key signs under the new one. What entries cannot tell is listed for
whoever runs this: entries name an account by digest, a voter not at all, and what changed in the roll only in payloads.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.audit.canonical import canonical
from app.audit.content import pack
from app.audit.cosign import open_cosignatures
from app.audit.entry import Draft, draft_for, parse
from app.audit.erasure import erasure_digest
from app.audit.family import after
from app.audit.mirror import Known, Lost
from app.audit.note import Checkpoint, Verifier, open_note, parse_checkpoint
from app.audit.published import HALT
from app.audit.quorum import Policy
from app.audit.tables import PayloadErasure, TrailEntry, TrailHalt, TrailHead
from app.audit.tiles import Tiles
from app.custody.erase import erase_in
from app.identity import accounts
from app.identity.room import Entry, entry, write_within
from app.identity.rules import account_detail
from app.identity.tables import Account, LoginSession
from app.kernel.actor import Actor
from app.kernel.errors import BadInput, Conflict
from app.kernel.fields import Action, Outcome
from app.kernel.payload import SealedPayload
from app.mandates import rows as mandate_rows
from app.mandates.record import Doing, advance_within, prepare
from app.mandates.room import Mandates
from app.mandates.rows import Request
from app.mandates.rules import Act, State
from app.mandates.tables import AccessRequest
from app.store.engine import Store
from app.touch import Guard

DETAIL = "trail-reopen"
# Why a mandate ended; its holder reads it.
REASON = "Jejak dibuka ulang setelah pemulihan cadangan. Izin ini diakhiri; ajukan lagi bila masih perlu."
_DISABLED = "dinonaktifkan lagi setelah pemulihan cadangan"
_REPLAYED = "dihapus lagi setelah pemulihan cadangan"
_SALT_BYTES = 32
_CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class Outside:
    """The last that somebody outside knows of a log: the checkpoint, and the whole note as it was handed in."""

    mark: Checkpoint
    note: str


@dataclass(slots=True)
class Plan:
    """What reopening would do; nothing is changed yet. log: the new name. known: what the database has of the old log.

    disable, reset: uids of accounts. erase: (entry of the old log, entry there that erased it). unknown: lines for whoever runs this.
    """

    old: str
    log: str
    known: Known
    outside: Outside
    sessions: int = 0
    mandates: Sequence[Request] = ()
    disable: list[str] = field(default_factory=list)
    reset: list[str] = field(default_factory=list)
    erase: list[int] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def last_seen(note: str, log: str, verifier: Verifier, policy: Policy | None) -> Outside:
    """Return what *note* says of *log*. verifier: the old log's key. policy: when given, its quorum must have signed too.

    Raises BadInput (field ``checkpoint``) for another log or too few witnesses, SealBroken when the log's signature does not hold.
    """
    mark = parse_checkpoint(open_note(note, [verifier]).text)
    if mark.origin != log:
        raise BadInput(f"the checkpoint is of log {mark.origin}, this one is {log}", field="checkpoint")
    if policy is not None and not policy.met(list(open_cosignatures(note, policy.verifiers))):
        raise BadInput("the checkpoint does not have the signatures that the policy asks for", field="checkpoint")
    return Outside(mark, note)


def known_of(store: Store, log: str) -> Known:
    """Return what the database has of *log*. Raises Conflict when it has nothing."""
    with store.reading() as session:
        head = session.get(TrailHead, log)
        if head is None or head.size == 0:
            raise Conflict(f"the database has nothing of {log}")
        return Known(head.size, head.last)


def demand_behind(store: Store, known: Known, outside: Outside) -> None:
    """Raise Conflict when the database holds everything that *outside* says: then there is nothing to open anew."""
    mark = outside.mark
    if mark.size > known.size:
        return
    with store.reading() as session:
        same = mark.size == 0 or Tiles(session, mark.origin, mark.size).subtree(0, mark.size) == mark.root
    if same:
        raise Conflict(
            f"the database has all {mark.size} entries of the checkpoint, unchanged: it is not behind. A halted log goes on with gardu audit resume"
        )


def plan(guard: Guard, mandates: Mandates, old: str, outside: Outside, lost: Lost | None) -> Plan:
    """Work out what opening the next log would do. *guard* and *mandates* already carry the new log's name.

    Raises Conflict when the next log is there already, SealBroken, StoreDown, KeysDown.
    """
    known = known_of(guard.store, old)
    found = Plan(old, after(old), known, outside)
    if guard.log != found.log:
        raise ValueError("the guard must be joined under the next log's name")
    with guard.store.reading() as session:
        if session.get(TrailHead, found.log) is not None:
            raise Conflict(f"log {found.log} is there already")
        found.sessions = session.scalar(select(func.count()).select_from(LoginSession).where(LoginSession.ended_at.is_(None))) or 0
        running = select(AccessRequest).where(AccessRequest.state == State.ACTIVE.value).order_by(AccessRequest.uid)
        found.mandates, broken = mandate_rows.load_all(mandates, session, running)
        found.unknown += [f"request {uid} is not as the log left it: its mandate opens nothing ({why})" for uid, why in broken.items()]
        if lost is not None:
            _accounts(session, lost, found)
            _erasures(session, old, lost, found)
            _rest(session, lost, found)
    if lost is None:
        missing = outside.mark.size - known.size
        found.unknown.append(
            f"without a mirror nobody knows what the {max(missing, 0)} missing entries say: disable, revoke and erase again by hand"
        )
    return found


def reopen(
    guard: Guard, mandates: Mandates, actor: Actor, what: Plan, now: datetime, also: Callable[[Session], object] = lambda session: None
) -> int:
    """Open the next log by *what* and return how many entries it has; all of it stands, or nothing.

    also: what else belongs into the new log from its first moment, done last in the transaction: the entry of a restore. Raises
    Conflict when somebody else was first or a mandate moved meanwhile, TrailDown, StoreDown, KeysDown.
    """
    identity = mandates.identity
    first, sealed = _first(guard, actor, what, now)
    doing = [Doing(actor, Act.REVOKE, REASON)]
    steps = [(one, prepare(mandates, one, State.REVOKED, doing, now)) for one in what.mandates]
    people = [(uid, _about(guard, mandates, actor, Action.ACCOUNT_DISABLE, uid, now)) for uid in what.disable]
    factors = [(uid, _about(guard, mandates, actor, Action.ACCOUNT_RESET, uid, now)) for uid in what.reset]
    payload = _erasing(guard, actor, what, now) if what.erase else None
    with guard.store.writing() as session:
        # First of all, and the first of its log: if we die before the commit, nothing happened.
        receipt = guard.trail.append_within(session, first, sealed)
        if receipt.seq != 0:
            raise Conflict(f"log {what.log} is there already")
        session.execute(update(LoginSession).where(LoginSession.ended_at.is_(None)).values(ended_at=now))
        for request, ready in steps:
            if not advance_within(mandates, session, request, State.REVOKED, doing, ready, now):
                raise Conflict(f"mandate {request.uid} moved meanwhile; run it again")
        for uid, told in people:
            account = session.get_one(Account, uid)
            account.disabled_at, account.disabled_reason = now, _DISABLED
            session.flush()
            write_within(identity, session, told)
        for uid, told in factors:
            accounts.take_factor(session, uid, now)
            session.flush()
            write_within(identity, session, told)
        if payload is not None:
            erase_in(guard, session, actor, what.old, what.erase, payload, now)
        session.add(
            TrailHalt(
                log=what.old, at=now, kind=HALT, size=what.outside.mark.size, reason=f"opened anew as {what.log}", note=what.outside.note
            )
        )
        session.flush()
        also(session)
        size = session.scalar(select(TrailHead.size).where(TrailHead.log == what.log)) or 0
    mandates.policies.generation = mandates.policies.generation + 1
    return size


# ---- planning ----


def _accounts(session: Session, lost: Lost, found: Plan) -> None:
    """Find whom the missing entries are about: they name an account by the digest of its uid."""
    by_digest = {account_detail(one.uid)[1].hex(): one for one in session.scalars(select(Account))}
    session.expunge_all()
    for action, digest in dict.fromkeys(lost.accounts):
        account = by_digest.get(digest)
        if account is None:
            if action == Action.ACCOUNT_CREATE:
                found.unknown.append("an account made since the backup is gone: invite that person again")
            continue
        if action == Action.ACCOUNT_DISABLE and account.disabled_at is None:
            found.disable.append(account.uid)
        elif action in (Action.ACCOUNT_RESET, Action.ACCOUNT_ENROL) and account.seed is not None:
            # The authenticator that stands in the backup was taken away since, or replaced: it must not come back.
            found.reset.append(account.uid)
        elif action == Action.ACCOUNT_PASSWORD:
            found.unknown.append(f"account {account.username} has changed its password since: the old one is good again; have it changed")
    found.reset = [uid for uid in dict.fromkeys(found.reset) if uid not in found.disable]


def _erasures(session: Session, old: str, lost: Lost, found: Plan) -> None:
    """Find which payloads were erased since. An entry names them by one digest: of a single payload it can be found by trying all."""
    wanted = {digest: seq for seq, digest in lost.erasures}
    gone = set(session.scalars(select(PayloadErasure.seq).where(PayloadErasure.log == old))) if wanted else set()
    query = select(TrailEntry.seq, TrailEntry.body).where(TrailEntry.log == old).order_by(TrailEntry.seq)
    for seq, body in session.execute(query.execution_options(yield_per=_CHUNK)) if wanted else ():
        mark = parse(body)["payload"]
        if mark is not None and wanted.pop(erasure_digest(old, [(seq, mark["sha256"])]).hex(), None) is not None and seq not in gone:
            found.erase.append(seq)
    for seq in sorted(wanted.values()):
        found.unknown.append(
            f"entry {seq} of {old} erased several payloads, or one written since the backup: erase them again with gardu audit erase SEQ… --log {old}"
        )


def _rest(session: Session, lost: Lost, found: Plan) -> None:
    """Say what else is missing, by mandate and by number."""
    mine = {uid: action for action, uid in lost.mandates}
    there = set(session.scalars(select(AccessRequest.uid).where(AccessRequest.uid.in_(list(mine))))) if mine else set()
    for uid, action in mine.items():
        if uid not in there:
            found.unknown.append(f"request {uid} was made and decided since the backup and is gone: it must be asked for again")
        elif action in (Action.REQUEST_WITHDRAW, Action.REQUEST_REFUSE):
            found.unknown.append(f"request {uid} was decided since the backup ({action}) and waits again: decide it again")
    for (action, outcome), count in sorted(lost.counts.items()):
        if action in (Action.VOTER_CHANGE, Action.VOTER_IMPORT, Action.VOTER_RETRACT, Action.ELECTION_SET) and outcome == Outcome.DONE:
            found.unknown.append(f"{count} entries {action} are missing, and what they did to the roll: bring it in again")
        elif action == Action.VOTER_ERASE and outcome == Outcome.ALLOWED:
            found.unknown.append(f"{count} voters were erased since the backup and are there again: gardu erase ask for each of them")
        elif action == Action.KEY_DESTROY and outcome == Outcome.DONE:
            found.unknown.append(f"{count} keys were destroyed since the backup and stand again: rotate them anew (docs/rotation.md)")


# ---- opening ----


def _first(guard: Guard, actor: Actor, what: Plan, now: datetime) -> tuple[Draft, SealedPayload]:
    told: dict[str, str | int] = {
        "log": what.old, "size": what.known.size, "last": what.known.last.hex(), "checkpoint": what.outside.note,
    }  # fmt: skip
    content = pack(salt=secrets.token_bytes(_SALT_BYTES), v=1, address=actor.address, reopen=dict(told))
    draft = draft_for(actor, Action.TRAIL_REOPEN, Outcome.DONE, now, detail=(DETAIL, sha256(canonical(dict(told))).digest()))
    return draft, guard.payloads.seal(content, (), now, guard.log)


def _about(guard: Guard, mandates: Mandates, actor: Actor, action: Action, uid: str, now: datetime) -> Entry:
    return entry(mandates.identity, actor, action, Outcome.DONE, now, target=uid, detail=account_detail(uid), extra={"reopen": guard.log})


def _erasing(guard: Guard, actor: Actor, what: Plan, now: datetime) -> SealedPayload:
    content = pack(
        salt=secrets.token_bytes(_SALT_BYTES), v=1, address=actor.address, reason=_REPLAYED, of=what.old, erased=list(what.erase)
    )
    return guard.payloads.seal(content, (), now, guard.log)
