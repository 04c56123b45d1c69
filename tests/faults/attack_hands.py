"""What a database's owner can do to the log: rewrite it whole, with the log's stolen key or without. Uses the guard's own code, as a thief would."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.orm import Session

from app.audit.canonical import canonical
from app.audit.entry import moment, opened_bits, parse
from app.audit.note import Checkpoint
from app.audit.published import Published
from app.audit.tables import (
    TouchIndex,
    TrailCheckpoint,
    TrailCosignature,
    TrailEntry,
    TrailHead,
    TrailPayload,
    TrailPublished,
    TrailStamp,
    TrailTile,
)
from app.audit.tiles import store_tiles
from app.audit.tree import Frontier, inclusion_proof, leaf_hash, root_of
from tests.faults.attack_kit import World, entries_in

COPIED = ("actor", "office", "action", "outcome", "scope", "purpose", "request", "mandate")


@dataclass
class Record:
    """An entry and what stands beside it. payload: day, wrapped key, sealed bytes."""

    members: dict[str, Any]
    payload: tuple[str, bytes, bytes] | None
    tokens: list[bytes]

    def again(self) -> Record:
        return copy.deepcopy(self)


@dataclass(frozen=True)
class _Size:
    """The log as it ends at one size."""

    root: bytes
    frontier: bytes
    last: bytes
    at: datetime


def records(world: World) -> list[Record]:
    """Return the log as it stands."""
    with world.owner.reading() as session:
        boxes = {row.seq: (row.day, row.wrapped, row.sealed) for row in session.scalars(select(TrailPayload))}
        touches: dict[int, list[bytes]] = {}
        for row in session.scalars(select(TouchIndex)):
            touches.setdefault(row.seq, []).append(row.token)
        bodies = session.execute(select(TrailEntry.seq, TrailEntry.body).order_by(TrailEntry.seq)).all()
    return [Record(dict(parse(body)), boxes.get(seq), touches.get(seq, [])) for seq, body in bodies]


def rewrite(world: World, edit: Callable[[list[Record]], object], *, key: bool) -> None:
    """Edit the records, then make everything anew that follows from them: numbers, links, leaves, columns, tiles, head.

    With the key, every checkpoint and published note over what changed is signed again by both of the log's keys, and what others had
    signed over the old ones is taken away. Without it, notes stay as they are; the head goes back to a stored one if the log was cut.
    """
    kept = records(world)
    edit(kept)
    with world.owner.writing() as session:
        if world.owner.dialect == "postgresql":
            session.execute(text("SET LOCAL session_replication_role = replica"))
        sizes = _put(session, world.log, kept)
        if key:
            _sign(session, world, sizes)
        for table in (TrailCheckpoint, TrailPublished, TrailCosignature, TrailStamp):
            session.execute(delete(table).where(table.size > len(kept)))
        _head(session, world.log, sizes[-1], len(kept))
        session.execute(delete(TrailTile))
    store_tiles(world.owner, world.log, len(kept))


def _put(session: Session, log: str, kept: list[Record]) -> list[_Size]:
    """Write entries, payloads and tokens; return how the log ends after each."""
    frontier, last, rows, sizes = Frontier(), bytes(32), [], []
    for seq, record in enumerate(kept):
        members = record.members = {**record.members, "log": log, "seq": seq, "prev": last.hex()}
        body = canonical(members)
        last, leaf, at = sha256(body).digest(), leaf_hash(body), moment(members["at"])
        frontier.append(leaf)
        copied = {name: members[name] for name in COPIED}
        rows.append({"log": log, "seq": seq, "leaf": leaf, "body": body, "at": at, "elements": opened_bits(members["fields"]), **copied})
        sizes.append(_Size(frontier.root(), frontier.pack(), last, at))
    for table in (TrailEntry, TrailPayload, TouchIndex):
        session.execute(delete(table))
    session.execute(insert(TrailEntry), rows)
    boxes = [
        dict(zip(("log", "seq", "day", "wrapped", "sealed"), (log, seq, *one.payload), strict=True))
        for seq, one in enumerate(kept)
        if one.payload is not None
    ]
    session.execute(insert(TrailPayload), boxes)
    touches = [{"log": log, "seq": seq, "token": token} for seq, one in enumerate(kept) for token in one.tokens]
    session.execute(insert(TouchIndex), touches)
    return sizes


def _sign(session: Session, world: World, sizes: list[_Size]) -> None:
    """Sign every stored note again, and one over the end."""
    end, log = len(sizes), world.log
    for size in {*session.scalars(select(TrailCheckpoint.size)), end}:
        if size <= end:
            note = signed(world, size, sizes[size - 1].root)
            session.execute(delete(TrailCheckpoint).where(TrailCheckpoint.size == size))
            session.execute(insert(TrailCheckpoint).values(log=log, size=size, note=note))
    for row in [*session.execute(select(TrailPublished.size, TrailPublished.note, TrailPublished.at)), Published(end, "", sizes[-1].at)]:
        if row.size <= end:
            note = published_note(world, row.size, sizes[row.size - 1].root, row.at)
            if note.split("\n")[2:3] == row.note.split("\n")[2:3]:
                continue  # what was signed over it still holds
            for table in (TrailPublished, TrailCosignature, TrailStamp):
                session.execute(delete(table).where(table.size == row.size))
            session.execute(insert(TrailPublished).values(log=log, size=row.size, note=note, at=row.at))


def signed(world: World, size: int, root: bytes) -> str:
    """Return a checkpoint signed with the stolen key."""
    return world.stolen.sign(Checkpoint(world.log, size, root).text())


def published_note(world: World, size: int, root: bytes, at: datetime) -> str:
    """Return a checkpoint signed with both of the log's keys."""
    second, plain = world.house.openlog.second, Checkpoint(world.log, size, root).text()
    return world.stolen.sign(plain) + (second.sign(plain, int(at.timestamp())) if second is not None else "")


def _head(session: Session, log: str, end: _Size, size: int) -> None:
    note = session.scalar(select(TrailCheckpoint.note).where(TrailCheckpoint.log == log, TrailCheckpoint.size == size))
    moved = {"size": size, "last": end.last, "frontier": end.frontier, "checkpoint": note, "changed_at": end.at}
    session.execute(update(TrailHead).values(**moved))


def edited(record: Record) -> Record:
    """Return a record that names somebody else as the one who looked."""
    return Record({**record.members, "actor": "host:0"}, record.payload, record.tokens)


def other(record: Record, number: int) -> Record:
    """Return a harmless record of about the same moment in place of another."""
    at = moment(record.members["at"]) + timedelta(microseconds=number + 1)
    return Record({**record.members, "actor": f"host:{number}", "at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}, None, [])


def forged_receipt(world: World, seq: int, out: Path) -> Path:
    """Write a receipt of an entry that never was, in a tree that never was, signed with the stolen key."""
    bodies = entries_in(world.prepared.kept / "tiles")
    bodies[seq] = canonical({**parse(bodies[seq]), "actor": "host:0"})
    leaves = [leaf_hash(body) for body in bodies]
    path = inclusion_proof(seq, len(leaves), lambda start, end: root_of(leaves[start:end]))
    lines = ["c2sp.org/tlog-proof@v1", f"extra {base64.b64encode(bodies[seq]).decode()}", f"index {seq}"]
    lines += [base64.b64encode(one).decode() for one in path]
    out.write_text("\n".join([*lines, "", signed(world, len(leaves), root_of(leaves))]), "utf-8")
    return out
