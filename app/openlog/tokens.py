"""Tokens of mirrors: who may fetch entries and proofs without a session. Entries hold no personal data, yet say who worked when.

A token is shown once and kept as its SHA-256. Each use is an entry of its own, durable before the first byte leaves.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import CursorResult, select, update

from app.audit.canonical import Json
from app.audit.entry import Draft
from app.identity.room import entry, write_within
from app.kernel.actor import Actor
from app.kernel.clock import rfc3339
from app.kernel.errors import N_, BadInput, Conflict, NotAllowed, SignInNeeded
from app.kernel.fields import Action, Outcome, Role
from app.kernel.ids import new_uid
from app.openlog import rules
from app.openlog.room import OpenLog
from app.openlog.tables import MirrorToken
from app.touch import Receipt
from app.vault.records import Field

TABLE = MirrorToken.__tablename__
KEEPER = Role.PETUGAS_KEAMANAN
# What the ``detail`` of their entries digests.
DETAIL = "mirror-token"
PREFIX = "gmt-"
_ENDED = N_("Token ini sudah tidak berlaku. Muat ulang halaman.")


@dataclass(frozen=True, slots=True)
class Token:
    """A token as a page shows it; what it is itself nobody can tell any more."""

    uid: str
    name: str
    made_by: str
    made_at: datetime
    until: datetime
    ended_at: datetime | None

    def is_good(self, now: datetime) -> bool:
        """Whether it opens anything at *now*."""
        return self.ended_at is None and now < self.until


def tokens(room: OpenLog) -> list[Token]:
    """Return every token ever made, newest first. Raises SealBroken when a row was changed past us."""
    return [_token(row) for row in _rows(room)]


def make(room: OpenLog, actor: Actor, name: str, days: int, now: datetime) -> str:
    """Make a token for the mirror *name*, good for *days* (``rules.TOKEN_DAYS``), and return it.

    Raises NotAllowed for another role, BadInput (field ``name`` or ``days``), TrailDown, StoreDown, KeysDown.
    """
    _demand_keeper(actor)
    said = rules.parse_line(name, "name", rules.MAX_NAME)
    if days not in rules.TOKEN_DAYS:
        raise BadInput("days", field="days", public=N_("Pilih masa berlaku dari daftar."))
    secret, uid = PREFIX + secrets.token_urlsafe(32), new_uid()
    row = MirrorToken(
        uid=uid, digest=sha256(secret.encode()).digest(), name=said, made_by=actor.uid, made_at=now, until=now + timedelta(days=days), ended_at=None
    )  # fmt: skip
    row.seal = room.seals.of(TABLE, _fields(row))
    extra: dict[str, Json] = {"token": uid, "mirror": said, "days": days}
    ready = entry(
        room.identity, actor, Action.WITNESS_CHANGE, Outcome.DONE, now, detail=(DETAIL, sha256(uid.encode()).digest()), extra=extra
    )
    with room.guard.store.writing() as session:
        session.add(row)
        session.flush()
        write_within(room.identity, session, ready)
    return secret


def end(room: OpenLog, actor: Actor, uid: str, now: datetime) -> None:
    """End the token *uid* at once. Raises NotAllowed for another role, Conflict when there is none in force, TrailDown, StoreDown, KeysDown."""
    _demand_keeper(actor)
    row = next((one for one in _rows(room) if one.uid == uid and one.ended_at is None), None)
    if row is None:
        raise Conflict("no token in force", public=_ENDED)
    row.ended_at = now
    extra: dict[str, Json] = {"token": uid, "mirror": row.name, "ended": 1}
    ready = entry(
        room.identity, actor, Action.WITNESS_CHANGE, Outcome.DONE, now, detail=(DETAIL, sha256(uid.encode()).digest()), extra=extra
    )
    with room.guard.store.writing() as session:
        done = session.execute(
            update(MirrorToken)
            .where(MirrorToken.uid == uid, MirrorToken.ended_at.is_(None))
            .values(ended_at=now, seal=room.seals.of(TABLE, _fields(row)))
            .execution_options(synchronize_session=False)
        )
        if not (isinstance(done, CursorResult) and done.rowcount == 1):
            raise Conflict("ended meanwhile", public=_ENDED)
        write_within(room.identity, session, ready)


def admit(room: OpenLog, header: str, what: str, request: str, now: datetime) -> Receipt:
    """Let the bearer of an ``Authorization`` *header* fetch *what* (the address), once it is recorded.

    Raises SignInNeeded when the token is missing, unknown, ended or over, SealBroken when its row was changed past us, TrailDown.
    """
    kind, _, secret = header.partition(" ")
    if kind.lower() != "bearer" or not secret.startswith(PREFIX):
        raise SignInNeeded("no mirror token: send Authorization: Bearer gmt-…")
    with room.guard.store.reading() as session:
        row = session.scalar(select(MirrorToken).where(MirrorToken.digest == sha256(secret.strip().encode()).digest()))
        session.expunge_all()
    if row is None:
        raise SignInNeeded("this mirror token is not known")
    room.seals.check(TABLE, row.uid, _fields(row), row.seal)
    if not _token(row).is_good(now):
        raise SignInNeeded("this mirror token has ended")
    detail = ("address", sha256(what.encode()).digest())
    return room.guard.trail.append(
        Draft(at=now, actor=f"mirror:{row.uid}", action=Action.TRAIL_READ, outcome=Outcome.ALLOWED, detail=detail, request=request)
    )


def _rows(room: OpenLog) -> Sequence[MirrorToken]:
    with room.guard.store.reading() as session:
        rows = session.scalars(select(MirrorToken).order_by(MirrorToken.made_at.desc(), MirrorToken.uid)).all()
        session.expunge_all()
    for row in rows:
        room.seals.check(TABLE, row.uid, _fields(row), row.seal)
    return rows


def _token(row: MirrorToken) -> Token:
    return Token(row.uid, row.name, row.made_by, row.made_at, row.until, row.ended_at)


def _demand_keeper(actor: Actor) -> None:
    if actor.role is not KEEPER:
        raise NotAllowed(f"role {actor.role.value} keeps no mirror tokens")


def _fields(row: MirrorToken) -> Sequence[Field]:
    return (
        row.uid, row.digest, row.name, row.made_by, rfc3339(row.made_at), rfc3339(row.until), rfc3339(row.ended_at) if row.ended_at else None,
    )  # fmt: skip
