"""The whole log in one file, for whoever wants to check it without us.

Line 1 is a header, then each entry's bytes exactly as hashed, one a line, then an empty line and the newest signed checkpoint, to the
end of the file. Payloads stay here; their digests stand in the entries. docs/log-format.md describes the file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import select

from app.audit.canonical import canonical
from app.audit.pruning import minimum_of
from app.audit.query import LogHead, head
from app.audit.tables import TrailEntry
from app.kernel.errors import Conflict, SealBroken
from app.kernel.ids import new_uid
from app.store.engine import Store

FORMAT = "gardu-export@1"
# Entries fetched at once: about 1 MB.
_CHUNK = 1_000


def export(store: Store, log: str, out: Path | BinaryIO) -> LogHead:
    """Write *log* up to its present end to *out* and return that end; memory stays flat.

    A path appears only once the file is whole (written beside it, synced, renamed). Raises NotThere while the log is empty, Conflict for a
    pruned log (the format begins with entry 0), SealBroken when an entry's row holds no bytes, OSError when *out* cannot be written.
    """
    end = head(store, log)
    if first := minimum_of(store, log):
        raise Conflict(f"log {log} was pruned and begins with entry {first}: a full export would not be whole. Use the export made before")
    if not isinstance(out, Path):
        _write(store, end, out)
        return end
    beside = out.with_name(f".{out.name}.{new_uid()}")
    try:
        with beside.open("xb") as file:
            _write(store, end, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(out)
    finally:
        beside.unlink(missing_ok=True)
    return end


def _write(store: Store, end: LogHead, file: BinaryIO) -> None:
    file.write(canonical({"format": FORMAT, "log": end.log, "size": end.size}) + b"\n")
    statement = select(TrailEntry.seq, TrailEntry.body).where(TrailEntry.log == end.log, TrailEntry.seq < end.size).order_by(TrailEntry.seq)
    with store.reading() as session:
        for row in session.execute(statement.execution_options(yield_per=_CHUNK)):
            if not isinstance(row.body, bytes):
                raise SealBroken(f"trail_entry {row.seq} of {end.log}: the body is not bytes; run gardu audit verify")
            file.write(row.body + b"\n")
    file.write(b"\n" + end.checkpoint.encode("utf-8"))
