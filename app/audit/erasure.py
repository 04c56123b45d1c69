"""Erasing the sealed part of entries: every proof stays, for an entry commits to its payload by digest alone.

    (1) an entry ``payload:erase`` names exactly these payloads: its detail is the SHA-256 of ``erasure_text``
    (2) key and sealed bytes are emptied, and the touch index forgets whom the entries name
    (3) a row of ``payload_erasure`` says of each which entry it was; without it an empty payload is tampering

All of it is one transaction. The database demands (1) before it lets (2) through (migration 0008); ``verify`` checks all three.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from app.audit.entry import parse
from app.audit.tables import PayloadErasure, TouchIndex, TrailEntry, TrailPayload
from app.kernel.errors import BadInput, Conflict, SealBroken
from app.store.engine import Store

# Type of the entry's detail, and first line of the text it is over (docs/log-format.md).
DETAIL = "payload-erasure"
_FORMAT = "gardu/payload-erasure@1"


@dataclass(frozen=True, slots=True)
class Erased:
    """Which entry says that a payload was erased."""

    by_log: str
    by_seq: int


def erasure_text(log: str, marks: Iterable[tuple[int, str]]) -> bytes:
    """Return the text an erasing entry's detail is the SHA-256 of. marks: (seq, the payload's sha256 in hex), in any order, each once."""
    return opening(log) + "".join(f"{seq} {digest}\n" for seq, digest in sorted(marks)).encode("ascii")


def opening(log: str) -> bytes:
    """Return the first two lines of ``erasure_text``."""
    return f"{_FORMAT}\n{log}\n".encode()


def erasure_digest(log: str, marks: Iterable[tuple[int, str]]) -> bytes:
    """Return the SHA-256 of ``erasure_text``."""
    return sha256(erasure_text(log, marks)).digest()


def marks_of(session: Session, log: str, seqs: Iterable[int]) -> list[tuple[int, str]]:
    """Return (seq, sha256 in hex) of the payloads of entries *seqs*. Raises Conflict naming one that has none, SealBroken for no entry."""
    wanted = sorted(set(seqs))
    query = select(TrailEntry.seq, TrailEntry.body).where(TrailEntry.log == log, TrailEntry.seq.in_(wanted))
    found: list[tuple[int, str]] = []
    for seq, body in session.execute(query):
        try:
            mark = parse(body)["payload"]
        except (BadInput, TypeError, AttributeError) as wrong:
            raise SealBroken(f"trail_entry {seq} of {log}: {wrong}; run gardu audit verify") from None
        if mark is None:
            raise Conflict(f"entry {seq} of {log} has no payload")
        found.append((seq, mark["sha256"]))
    if missing := set(wanted) - {seq for seq, _ in found}:
        raise Conflict(f"log {log} has no entry {min(missing)}")
    return sorted(found)


def erase_within(session: Session, log: str, seqs: Iterable[int], by: Erased, digest: bytes) -> None:
    """Empty the payloads of *seqs* in the open transaction that has just appended the entry *by*, whose detail is *digest*.

    If we die before the commit, neither entry nor erasure happened. Raises the database's error when it finds that the entry does not say so.
    """
    wanted = sorted(set(seqs))
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.gardu_erase_payload(log, wanted, by.by_log, by.by_seq)))
        return
    rows = [{"log": log, "seq": seq, "by_log": by.by_log, "by_seq": by.by_seq, "digest": digest} for seq in wanted]
    session.execute(insert(PayloadErasure), rows)
    here = (TrailPayload.log == log, TrailPayload.seq.in_(wanted))
    session.execute(update(TrailPayload).where(*here).values(wrapped=b"", sealed=b"").execution_options(synchronize_session=False))
    session.execute(
        delete(TouchIndex).where(TouchIndex.log == log, TouchIndex.seq.in_(wanted)).execution_options(synchronize_session=False)
    )


def erased(store: Store, log: str, seq: int) -> Erased | None:
    """Return which entry erased the payload of entry *seq*, or None when none says so."""
    with store.reading() as session:
        return erased_in(session, log, seq)


def erased_in(session: Session, log: str, seq: int) -> Erased | None:
    """As ``erased``, within an open session."""
    row = session.get(PayloadErasure, (log, seq))
    return None if row is None else Erased(row.by_log, row.by_seq)


def count_in(session: Session, logs: Sequence[str]) -> int:
    """Return how many payloads of *logs* were erased: nobody can tell any more whom those entries name."""
    return session.scalar(select(func.count()).select_from(PayloadErasure).where(PayloadErasure.log.in_(logs))) or 0
