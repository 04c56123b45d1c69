"""A receipt as a file that stands on its own: a C2SP tlog-proof whose ``extra`` line is the entry itself."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit.note import parse_checkpoint, split_note
from app.audit.tables import TrailCheckpoint, TrailEntry
from app.audit.tree import inclusion_proof, root_of, verify_inclusion
from app.kernel.errors import BadInput, NotThere, SealBroken
from app.store.engine import Store

# C2SP tlog-proof, "Format": the first line.
MAGIC = "c2sp.org/tlog-proof@v1"
# Leaf hashes fetched at once: 64 KiB.
_CHUNK = 2_000


def tlog_proof(store: Store, log: str, seq: int) -> str:
    """Return the tlog-proof file of entry *seq*, against the checkpoint of the batch that it came in with.

    Asked again it is the same file. The ``extra`` line is the base64 of the entry's bytes; the format leaves it unauthenticated, so a
    verifier must hash it into the leaf. Reads leaf hashes only. Raises NotThere when there is no such entry, SealBroken when what is
    stored does not lead to the checkpoint's root.
    """
    if not 0 <= seq < 2**63:
        raise NotThere(f"log {log} has no entry {seq}")
    with store.reading() as session:
        row = session.execute(select(TrailEntry.body, TrailEntry.leaf).where(TrailEntry.log == log, TrailEntry.seq == seq)).one_or_none()
        note = session.execute(
            select(TrailCheckpoint.note)
            .where(TrailCheckpoint.log == log, TrailCheckpoint.size > seq)
            .order_by(TrailCheckpoint.size)
            .limit(1)
        ).scalar_one_or_none()
        if row is None or note is None:
            raise NotThere(f"log {log} has no entry {seq}")
        try:
            checkpoint = parse_checkpoint(split_note(note)[0])
            path = inclusion_proof(seq, checkpoint.size, lambda start, end: root_of(_leaves(session, log, start, end)))
            verify_inclusion(seq, checkpoint.size, row.leaf, path, checkpoint.root)
        except (BadInput, ValueError) as wrong:
            raise SealBroken(f"log {log}: entry {seq} cannot be proved ({wrong}); run gardu audit verify") from None
    hashes = "".join(base64.b64encode(one).decode("ascii") + "\n" for one in path)
    return f"{MAGIC}\nextra {base64.b64encode(row.body).decode('ascii')}\nindex {seq}\n{hashes}\n{note}"


def _leaves(session: Session, log: str, start: int, end: int) -> Iterator[bytes]:
    statement = select(TrailEntry.leaf).where(TrailEntry.log == log, TrailEntry.seq >= start, TrailEntry.seq < end).order_by(TrailEntry.seq)
    yield from session.execute(statement.execution_options(yield_per=_CHUNK)).scalars()
