"""Pruning the log to a minimum index (C2SP tlog-tiles, "Pruning"): what lies before it goes, the tree stays as it was signed.

    (1) an entry ``trail:prune`` names the minimum, the root of the tree up to it and the link to its last entry
    (2) a row of ``trail_minimum`` keeps that place: frontier, link, and a signed checkpoint of exactly that size
    (3) entries, payloads, touch tokens and checkpoints below it go, and the leaf tiles that a full tile above stands for

All of it is one transaction, by the database's owner, who may no more than (2) and (3) together (migration 0008). Inclusion proofs of
later entries, and consistency between sizes from the minimum on, stay possible; ``verify`` starts at the minimum.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.audit.chain import Head
from app.audit.entry import entry_hash
from app.audit.note import Signer
from app.audit.tables import TouchIndex, TrailCheckpoint, TrailEntry, TrailMinimum, TrailPayload, TrailTile
from app.audit.tiles import HEIGHT, WIDTH, Tiles
from app.audit.tree import Frontier
from app.kernel.errors import BadInput, SealBroken
from app.store.engine import Store

# Type of the entries' detail, and first line of the text it is over (docs/log-format.md).
DETAIL = "trail-prune"
_FORMAT = "gardu/trail-prune@1"


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a log is to begin. head: the log as it ended just before entry *minimum*. newest: the latest moment of an entry that goes."""

    head: Head
    newest: datetime

    @property
    def minimum(self) -> int:
        """The first entry that stays, a multiple of 256."""
        return self.head.size

    @property
    def digest(self) -> bytes:
        """What the entries that decide about it hold as detail."""
        return prune_digest(self.head.log, self.minimum, self.head.frontier.root(), self.head.last)


def prune_digest(log: str, minimum: int, root: bytes, last: bytes) -> bytes:
    """Return the SHA-256 of what is pruned. root: of the tree of *minimum* leaves. last: SHA-256 of entry *minimum* - 1."""
    text = f"{_FORMAT}\n{log}\n{minimum}\n{base64.b64encode(root).decode('ascii')}\n{last.hex()}\n"
    return sha256(text.encode("ascii")).digest()


def minimum_in(session: Session, log: str) -> TrailMinimum | None:
    """Return where *log* begins when it was pruned, else None."""
    return session.scalar(select(TrailMinimum).where(TrailMinimum.log == log).order_by(TrailMinimum.minimum.desc()).limit(1))


def minimum_of(store: Store, log: str) -> int:
    """Return the first entry that *log* still has: 0 unless it was pruned."""
    with store.reading() as session:
        return session.scalar(select(func.max(TrailMinimum.minimum)).where(TrailMinimum.log == log)) or 0


def cut_at(session: Session, log: str, minimum: int) -> Cut:
    """Return the place at which *log* would begin with entry *minimum*; its tiles up to there must be stored.

    Raises BadInput (field ``below``) unless *minimum* is a multiple of 256 above the present minimum and below the end, SealBroken when the
    rows before it are not all there.
    """
    here = minimum_in(session, log)
    first = here.minimum if here else 0
    row = session.execute(select(TrailEntry.body).where(TrailEntry.log == log, TrailEntry.seq == minimum - 1)).one_or_none()
    if minimum % WIDTH or minimum <= first or row is None:
        raise BadInput(f"the minimum must be a multiple of {WIDTH}, above {first} and within the log", field="below")
    tiles = Tiles(session, log, minimum)
    hashes = [tiles.subtree(start, end) for start, end in _perfect(minimum)]
    newest = session.scalar(select(func.max(TrailEntry.at)).where(TrailEntry.log == log, TrailEntry.seq < minimum))
    if newest is None:
        raise SealBroken(f"log {log}: the entries before {minimum} are not there; run gardu audit verify")
    return Cut(Head(log, entry_hash(row.body), Frontier(minimum, hashes)), newest)


def prune_within(session: Session, cut: Cut, by_seq: int, signer: Signer) -> dict[str, int]:
    """Cut the log in the owner's open transaction, which has just appended the entry *by_seq*; return how many rows went, by table.

    If we die before the commit, neither entry nor cut happened. Raises the database's error when it finds that the entry does not say so.
    """
    head, least = cut.head, cut.minimum
    note = signer.sign(head.checkpoint().text())
    session.add(
        TrailMinimum(log=head.log, minimum=least, last=head.last, frontier=head.frontier.pack(), note=note, by_seq=by_seq, at=cut.newest)
    )
    session.flush()
    # A full tile above stands for 256 of these; younger ones are still read for the tile above them, which is not full.
    covered = (least - 1) >> (2 * HEIGHT) << HEIGHT
    goes = (
        (TouchIndex, TouchIndex.seq < least),
        (TrailPayload, TrailPayload.seq < least),
        (TrailEntry, TrailEntry.seq < least),
        (TrailCheckpoint, TrailCheckpoint.size <= least),
        (TrailTile, (TrailTile.level == 0) & (TrailTile.number < covered)),
    )
    gone: dict[str, int] = {}
    for model, where in goes:
        done = session.execute(delete(model).where(model.log == head.log, where).execution_options(synchronize_session=False))
        gone[model.__tablename__] = int(done.rowcount)  # type: ignore[attr-defined]  # a DELETE always has one
    return gone


def _perfect(size: int) -> Iterator[tuple[int, int]]:
    """Yield the perfect subtrees of a tree of *size* leaves, largest first."""
    start = 0
    for bit in range(size.bit_length() - 1, -1, -1):
        if size >> bit & 1:
            yield start, start + (1 << bit)
            start += 1 << bit
