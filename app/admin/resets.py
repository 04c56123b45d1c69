"""Resetting somebody's second factor, in two steps by two people: an administrator asks, somebody else confirms within a day.

    (1) ask      an administrator, not about themself; nothing changes              account:reset intent
    (2) confirm  another administrator or a security officer, neither who asked
                 nor whose factor it is, nor somebody whom the asker has only just
                 invited; only now the factor is taken                               account:reset done
        refuse   by the same people, withdraw by who asked; nothing changes          account:reset denied

Every refused step is an entry too (denied, or broken when the row's seal does not hold), durable before the refusal is told. The row is
sealed as a whole and names the version of the secret it is about: a forged row opens nothing, and a request that was carried out cannot be
put back and carried out again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CursorResult, Select, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.admin import rules
from app.admin.room import Admin
from app.admin.rules import Decision
from app.admin.tables import FactorReset
from app.audit.canonical import Json
from app.identity import accounts
from app.identity import rules as identity_rules
from app.identity.invitations import inviters
from app.identity.room import Entry, entry, write, write_within
from app.identity.tables import Account
from app.kernel.actor import Actor
from app.kernel.clock import rfc3339
from app.kernel.errors import N_, Conflict, NotAllowed, NotThere, SealBroken
from app.kernel.fields import Action, Outcome, Role
from app.kernel.ids import new_uid
from app.vault.records import Field, RecordSeal

TABLE = FactorReset.__tablename__
WAITING, DONE, REFUSED, WITHDRAWN, LAPSED = "waiting", "done", "refused", "withdrawn", "lapsed"
# Who may confirm or refuse.
DECIDERS = frozenset({Role.ADMIN_SISTEM, Role.PETUGAS_KEAMANAN})
# Of the requests decided last, so many are shown.
RECENT = 10
_NO_FACTOR = N_("Akun ini belum memasang autentikator, jadi tidak ada yang perlu diatur ulang.")
_ONE_TIME = N_("Akun ini masih memakai kata sandi sementara. Nonaktifkan, lalu undang orangnya dengan akun baru.")
_WAITS_ALREADY = N_("Permintaan atur ulang untuk akun ini sudah menunggu konfirmasi.")
_SAME_PERSON = N_("Yang mengonfirmasi harus orang lain: bukan yang meminta, bukan pemilik akun.")
_TOO_YOUNG = N_("Akun Anda dibuat oleh yang meminta kurang dari tujuh hari lalu. Orang lain yang mengonfirmasi.")
_NOT_YOURS = N_("Hanya yang meminta dapat menarik permintaannya kembali.")
_TOO_LATE = N_("Permintaan ini sudah lewat 24 jam. Tidak ada yang berubah; admin dapat meminta lagi.")
_DECIDED = N_("Permintaan ini sudah diputuskan. Muat ulang halaman untuk melihat hasilnya.")
_ASKER_GONE = N_("Akun yang meminta sudah dinonaktifkan, maka permintaannya tidak dapat dikonfirmasi. Tolak permintaan ini.")
_MOVED = N_("Autentikator akun ini sudah berganti atau akunnya dinonaktifkan. Tolak permintaan ini; bila masih perlu, admin meminta lagi.")


@dataclass(frozen=True, slots=True)
class Request:
    """A request as a page shows it.

    sound: its seal holds. mine: *actor* asked. young: who asked invited *actor* less than ``rules.RIPE`` ago. decidable: *actor* may confirm.
    """

    uid: str
    account: str
    name: str
    username: str
    office: str
    asker: str
    reason: str
    asked_at: datetime
    state: str
    decider: str
    decided_at: datetime | None
    sound: bool
    mine: bool
    young: bool
    decidable: bool

    @property
    def until(self) -> datetime:
        """When it lapses."""
        return self.asked_at + rules.WINDOW


def ask(room: Admin, actor: Actor, account: str, reason: str, now: datetime) -> str:
    """Ask for the factor of *account* to be reset and return the request's uid; nothing changes yet.

    Raises NotAllowed unless *actor* is an administrator, BadInput (field ``reason``), NotThere, Conflict with the reason (recorded),
    TrailDown, StoreDown, KeysDown.
    """
    if actor.role is not Role.ADMIN_SISTEM:
        raise NotAllowed(f"role {actor.role.value} does not ask for resets")
    said, uid = identity_rules.parse_reason(reason), new_uid()
    _set_broken_aside(room, actor, account, now)
    ready = _entry(room, actor, Outcome.INTENT, now, account, reset=uid, reason=said)
    try:
        with room.identity.store.writing() as session:
            target = _may_be_asked(session, actor, account)
            _close_lapsed(session, _seals(room), account, now)
            row = FactorReset(
                uid=uid, account=account, seed_version=target.seed_version, asked_by=actor.uid, reason=said, asked_at=now, state=WAITING,
                decided_by=None, decided_at=None,
            )  # fmt: skip
            row.seal = _seals(room).of(TABLE, _fields(row))
            session.add(row)
            session.flush()
            write_within(room.identity, session, ready)
    except Conflict:
        write(room.identity, _entry(room, actor, Outcome.DENIED, now, account))
        raise
    except IntegrityError:
        write(room.identity, _entry(room, actor, Outcome.DENIED, now, account))
        raise Conflict("a request waits already", public=_WAITS_ALREADY) from None
    return uid


def decide(room: Admin, actor: Actor, uid: str, decision: Decision, now: datetime) -> str:
    """Carry *decision* out on the waiting request *uid*; return the state it is in now.

    Raises NotAllowed for another role, and when who asked, whose factor it is or whom the asker has just invited would confirm (recorded);
    NotThere; Conflict when it was decided, has lapsed or no longer fits (recorded); SealBroken when the row was changed past us (recorded broken); TrailDown, StoreDown.
    """
    if actor.role not in DECIDERS:
        raise NotAllowed(f"role {actor.role.value} decides on no reset")
    found = _found(room, uid)
    state = {Decision.CONFIRM: DONE, Decision.REFUSE: REFUSED, Decision.WITHDRAW: WITHDRAWN}[decision]
    outcome = Outcome.DONE if decision is Decision.CONFIRM else Outcome.DENIED
    ready = _entry(room, actor, outcome, now, found.account, reset=uid, decision=decision.value)
    try:
        _seals(room).check(TABLE, uid, _fields(found), found.seal)
        _may_decide(room, actor, found, decision, now)
        with room.identity.store.writing() as session:
            # The row first: of two who answer at once, the second finds it answered before anything of the account is touched.
            _close(session, _seals(room), found, state, actor.uid, now)
            if decision is Decision.CONFIRM:
                _carry_out(session, found, now)
            write_within(room.identity, session, ready)
    except SealBroken:
        write(room.identity, _entry(room, actor, Outcome.BROKEN, now, found.account, reset=uid))
        raise
    except (Conflict, NotAllowed) as refused:
        said = {"reset": uid, "decision": decision.value, "refused": refused.detail}
        write(room.identity, _entry(room, actor, Outcome.DENIED, now, found.account, **said))
        raise
    return state


def waiting(room: Admin, actor: Actor, now: datetime) -> list[Request]:
    """Return the requests that wait, oldest first."""
    oldest = now - rules.WINDOW
    query = select(FactorReset).where(FactorReset.state == WAITING, FactorReset.asked_at > oldest).order_by(FactorReset.asked_at)
    return _requests(room, actor, query, now)


def decided(room: Admin, actor: Actor, now: datetime) -> list[Request]:
    """Return the requests that wait no longer, newest first, at most ``RECENT``."""
    over = (FactorReset.state != WAITING) | (FactorReset.asked_at <= now - rules.WINDOW)
    return _requests(room, actor, select(FactorReset).where(over).order_by(FactorReset.asked_at.desc()).limit(RECENT), now)


def open_for(room: Admin, account: str, actor: Actor, now: datetime) -> Request | None:
    """Return the request about *account* that waits, if any."""
    return next((one for one in waiting(room, actor, now) if one.account == account), None)


def _requests(room: Admin, actor: Actor, query: Select[FactorReset], now: datetime) -> list[Request]:
    with room.identity.store.reading() as session:
        rows = session.scalars(query).all()
        uids = {uid for row in rows for uid in (row.account, row.asked_by, row.decided_by) if uid}
        people = {one.uid: one for one in session.scalars(select(Account).where(Account.uid.in_(uids)))}
        session.expunge_all()
    askers = inviters(room.identity, actor.uid, {row.asked_by for row in rows if row.state == WAITING}, now - rules.RIPE)
    return [_request(room, actor, row, people, now, young=row.asked_by in askers) for row in rows]


def _request(room: Admin, actor: Actor, row: FactorReset, people: dict[str, Account], now: datetime, *, young: bool) -> Request:
    whose, asker, decider = people.get(row.account), people.get(row.asked_by), people.get(row.decided_by or "")
    over = row.state == WAITING and not rules.in_time(row.asked_at, now)
    return Request(
        uid=row.uid, account=row.account, name=whose.name if whose else "", username=whose.username if whose else "",
        office=whose.office if whose else "", asker=asker.name if asker else "", reason=row.reason, asked_at=row.asked_at,
        state=LAPSED if over else row.state, decider=decider.name if decider else "", decided_at=row.decided_at,
        sound=_is_sound(room, row), mine=row.asked_by == actor.uid, young=young,
        decidable=actor.uid not in (row.asked_by, row.account) and not young,
    )  # fmt: skip


def _is_sound(room: Admin, row: FactorReset) -> bool:
    try:
        _seals(room).check(TABLE, row.uid, _fields(row), row.seal)
    except SealBroken:
        return False
    return True


def _may_be_asked(session: Session, actor: Actor, account: str) -> Account:
    target = session.get(Account, account, with_for_update=True)
    if target is None:
        raise NotThere("no such account")
    if account == actor.uid:
        raise Conflict("own account", public=accounts.OWN_ACCOUNT)
    if target.disabled_at is not None:
        raise Conflict("disabled", public=accounts.GONE_ALREADY)
    if target.seed is None:
        raise Conflict("no factor", public=_NO_FACTOR)
    if target.must_change:
        # Whoever invited knows the one-time password: with the factor gone, that alone would open the account.
        raise Conflict("one-time password", public=_ONE_TIME)
    return target


def _may_decide(room: Admin, actor: Actor, row: FactorReset, decision: Decision, now: datetime) -> None:
    if row.state != WAITING:
        raise Conflict("decided already", public=_DECIDED)
    if not rules.in_time(row.asked_at, now):
        raise Conflict("too late", public=_TOO_LATE)
    if decision is Decision.WITHDRAW and actor.uid != row.asked_by:
        raise NotAllowed("not the asker", public=_NOT_YOURS)
    if decision is not Decision.WITHDRAW and actor.uid in (row.asked_by, row.account):
        raise NotAllowed("the same person", public=_SAME_PERSON)
    if decision is Decision.CONFIRM and inviters(room.identity, actor.uid, {row.asked_by}, now - rules.RIPE):
        raise NotAllowed("invited by the asker just now", public=_TOO_YOUNG)


def _carry_out(session: Session, row: FactorReset, now: datetime) -> None:
    asker = session.get(Account, row.asked_by)
    if asker is None or asker.disabled_at is not None:
        raise Conflict("the asker is disabled", public=_ASKER_GONE)
    try:
        accounts.take_factor(session, row.account, now, version=row.seed_version)
    except Conflict as moved:
        raise Conflict(moved.detail, public=_MOVED) from None


def _close(session: Session, seals: RecordSeal, found: FactorReset, state: str, decider: str, now: datetime) -> None:
    """Write the answer over the waiting row; of two at once one finds it waiting. Raises Conflict for the other."""
    closed = FactorReset(
        uid=found.uid, account=found.account, seed_version=found.seed_version, asked_by=found.asked_by, reason=found.reason,
        asked_at=found.asked_at, state=state, decided_by=decider, decided_at=now,
    )  # fmt: skip
    done = session.execute(
        update(FactorReset)
        .where(FactorReset.uid == found.uid, FactorReset.state == WAITING, FactorReset.seal == found.seal)
        .values(state=state, decided_by=decider, decided_at=now, seal=seals.of(TABLE, _fields(closed)))
        .execution_options(synchronize_session=False)
    )
    if not (isinstance(done, CursorResult) and done.rowcount == 1):
        raise Conflict("decided meanwhile", public=_DECIDED)


def _set_broken_aside(room: Admin, actor: Actor, account: str, now: datetime) -> None:
    """Take a waiting row about *account* that was changed past us out of the way, recorded broken: it must not keep anybody from asking.

    It is not sealed anew, so that it is seen to be broken ever after.
    """
    with room.identity.store.reading() as session:
        row = session.scalar(select(FactorReset).where(FactorReset.account == account, FactorReset.state == WAITING))
        session.expunge_all()
    if row is None or _is_sound(room, row):
        return
    ready = _entry(room, actor, Outcome.BROKEN, now, account, reset=row.uid)
    with room.identity.store.writing() as session:
        session.execute(update(FactorReset).where(FactorReset.uid == row.uid, FactorReset.state == WAITING).values(state=LAPSED))
        write_within(room.identity, session, ready)


def _close_lapsed(session: Session, seals: RecordSeal, account: str, now: datetime) -> None:
    """Close a request about *account* that nobody answered in time. Raises Conflict while one still waits."""
    row = session.scalar(select(FactorReset).where(FactorReset.account == account, FactorReset.state == WAITING))
    if row is None:
        return
    if rules.in_time(row.asked_at, now):
        raise Conflict("a request waits already", public=_WAITS_ALREADY)
    session.expunge(row)
    _close(session, seals, row, LAPSED, "", now)


def _found(room: Admin, uid: str) -> FactorReset:
    with room.identity.store.reading() as session:
        row = session.get(FactorReset, uid)
        if row is None:
            raise NotThere("no such request")
        session.expunge(row)
        return row


def _fields(row: FactorReset) -> Sequence[Field]:
    return (
        row.uid, row.account, row.seed_version, row.asked_by, row.reason, rfc3339(row.asked_at), row.state, row.decided_by,
        rfc3339(row.decided_at) if row.decided_at else None,
    )  # fmt: skip


def _seals(room: Admin) -> RecordSeal:
    return RecordSeal(room.guard.keys)


def _entry(room: Admin, actor: Actor, outcome: Outcome, now: datetime, account: str, **extra: Json) -> Entry:
    detail = identity_rules.account_detail(account)
    return entry(room.identity, actor, Action.ACCOUNT_RESET, outcome, now, target=account, detail=detail, extra=extra)
