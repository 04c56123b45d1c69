"""The head guard: the newest signed checkpoint, kept as a file on another disk than the database.

A database that was put back to an older state is behind this file, and must not go on: it would write a second history under the same
numbers. The file is written after each publishing (every few seconds) and replaced atomically; what was appended since then is for the
witness to notice.
"""

from __future__ import annotations

import os
from pathlib import Path

from app.audit.note import Checkpoint, Verifier, open_note, parse_checkpoint
from app.audit.tables import TrailHead
from app.audit.tiles import Tiles
from app.kernel.errors import GarduError, SealBroken, UnsafeStart
from app.store.engine import Store

# A checkpoint is some hundred bytes, with an ML-DSA-44 signature four thousand.
_MAX = 64 * 1024


def write(path: Path, note: str) -> None:
    """Replace the file with *note*. If we die at any line, the old or the new one stands there, whole. Raises OSError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        beside.unlink(missing_ok=True)


def read(path: Path, verifier: Verifier) -> Checkpoint:
    """Return the checkpoint in the file. Raises UnsafeStart when it is missing, unreadable, or not signed by *verifier*'s key."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX).decode("utf-8")
    except FileNotFoundError:
        raise UnsafeStart(
            f"head guard {path} is missing: mount its disk; if it was never there, or the log was opened anew, run gardu audit head-guard"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UnsafeStart(f"head guard {path} cannot be read ({type(error).__name__})") from None
    try:
        return parse_checkpoint(open_note(text, [verifier]).text)
    except GarduError as wrong:
        raise UnsafeStart(f"head guard {path}: {wrong.detail}; it is no checkpoint of this log's key") from None


def check(store: Store, log: str, path: Path, verifier: Verifier) -> Checkpoint:
    """Check that the database holds everything that the file says it held, unchanged, and return the file's checkpoint.

    Raises UnsafeStart when the file is missing or torn, when it names another log, and when the database is behind it or tells another
    history up to there.
    """
    mark = read(path, verifier)
    if mark.origin != log:
        raise UnsafeStart(
            f"head guard {path} is of log {mark.origin}, this one is {log}; after gardu audit reopen run gardu audit head-guard"
        )
    with store.reading() as session:
        head = session.get(TrailHead, log)
        size = head.size if head else 0
        if size < mark.size:
            raise UnsafeStart(
                f"the database has {size} entries of {log}, the head guard has seen {mark.size}: an old backup was put back. "
                "Do not go on with it: put the newest database back, or open the next log with gardu audit reopen (docs/retention.md)"
            )
        try:
            root = Tiles(session, log, mark.size).subtree(0, mark.size) if mark.size else mark.root
        except SealBroken as broken:
            raise UnsafeStart(f"{broken.detail}") from None
        if root != mark.root:
            raise UnsafeStart(f"the first {mark.size} entries of {log} are not those the head guard has seen; run gardu audit verify")
    return mark
