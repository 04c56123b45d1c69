"""A receipt as a file that stands on its own: a C2SP tlog-proof whose ``extra`` line is the entry itself."""

from __future__ import annotations

import base64

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.audit.note import parse_checkpoint, split_note
from app.audit.published import cosigned_note
from app.audit.tables import TrailCheckpoint, TrailCosignature, TrailEntry, TrailPublished
from app.audit.tiles import Tiles
from app.audit.tree import consistency_proof, inclusion_proof, verify_inclusion
from app.kernel.errors import BadInput, NotThere, SealBroken
from app.store.engine import Store

# C2SP tlog-proof, "Format": the first line.
MAGIC = "c2sp.org/tlog-proof@v1"


def tlog_proof(store: Store, log: str, seq: int, *, published: bool = False) -> str:
    """Return the tlog-proof file of entry *seq*.

    Against the checkpoint of the batch that it came in with, so that asked again it is the same file; or, *published*, against the first
    published one that covers it and that a witness has signed, else the first that covers it, with every signature gathered so far. The ``extra`` line is the base64 of the entry's bytes; the
    format leaves it unauthenticated, so a verifier must hash it into the leaf. Reads a handful of tiles. Raises NotThere when there is no
    such entry or it is not published yet, SealBroken when what is stored does not lead to the checkpoint's root.
    """
    if not 0 <= seq < 2**63:
        raise NotThere(f"log {log} has no entry {seq}")
    with store.reading() as session:
        row = session.execute(select(TrailEntry.body, TrailEntry.leaf).where(TrailEntry.log == log, TrailEntry.seq == seq)).one_or_none()
        note = _published(session, log, seq) if published else _of_its_batch(session, log, seq)
        if row is None or note is None:
            raise NotThere(f"log {log} has no {'published ' if row else ''}entry {seq}")
        try:
            checkpoint = parse_checkpoint(split_note(note)[0])
            path = inclusion_proof(seq, checkpoint.size, Tiles(session, log, checkpoint.size).along(seq).subtree)
            verify_inclusion(seq, checkpoint.size, row.leaf, path, checkpoint.root)
        except (BadInput, ValueError) as wrong:
            raise SealBroken(f"log {log}: entry {seq} cannot be proved ({wrong}); run gardu audit verify") from None
    hashes = "".join(base64.b64encode(one).decode("ascii") + "\n" for one in path)
    return f"{MAGIC}\nextra {base64.b64encode(row.body).decode('ascii')}\nindex {seq}\n{hashes}\n{note}"


def consistency(store: Store, log: str, old: int, new: int) -> list[bytes]:
    """Return the consistency proof (RFC 9162 section 2.1.4) from *old* to *new* entries; empty from 0 and between equal sizes.

    Raises SealBroken when rows are missing, ValueError for old > new.
    """
    if old in (0, new):
        return []
    with store.reading() as session:
        return consistency_proof(old, new, Tiles(session, log, new).along(old - 1).subtree)


def _of_its_batch(session: Session, log: str, seq: int) -> str | None:
    covers = (TrailCheckpoint.log == log, TrailCheckpoint.size > seq)
    return session.scalar(select(TrailCheckpoint.note).where(*covers).order_by(TrailCheckpoint.size).limit(1))


def _published(session: Session, log: str, seq: int) -> str | None:
    """Return the first published checkpoint that covers entry *seq* and bears a witness's signature, or else the first that covers it."""
    signed = select(func.min(TrailCosignature.size)).where(TrailCosignature.log == log, TrailCosignature.size > seq)
    least = session.scalar(signed) or seq + 1
    covers = (TrailPublished.log == log, TrailPublished.size >= least)
    row = session.execute(
        select(TrailPublished.size, TrailPublished.note).where(*covers).order_by(TrailPublished.size).limit(1)
    ).one_or_none()
    return None if row is None else cosigned_note(session, log, row.size, row.note)
