"""The log as tiles and entry bundles (C2SP tlog-tiles): what ``/log/`` serves, and the whole of it as a folder of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audit import published
from app.audit.note import parse_checkpoint, split_note
from app.audit.published import Published
from app.audit.tables import TrailEntry
from app.audit.tiles import HEIGHT, LEVELS, WIDTH, Tiles, parse_path, path_of, width_at
from app.kernel.errors import BadInput, NotThere, SealBroken
from app.store.engine import Store

Progress = Callable[[int, int], None]


def tile(store: Store, log: str, level: str, path: str) -> bytes:
    """Return the hashes of ``/tile/<level>/<path>`` as far as they are published.

    Raises NotThere for an address that is not spelled as the standard says, or lies beyond the published checkpoint; SealBroken, StoreDown.
    """
    if level not in {str(one) for one in range(LEVELS)}:
        raise NotThere("no tile level of this name")
    size, number, width = _address(store, log, int(level), path)
    with store.reading() as session:
        return b"".join(Tiles(session, log, size).hashes(int(level), number * WIDTH, number * WIDTH + width))


def bundle(store: Store, log: str, path: str) -> bytes:
    """Return the entries of ``/tile/entries/<path>``, each after its length as a big-endian uint16.

    Raises NotThere as ``tile``, and for entries that were pruned; SealBroken, StoreDown.
    """
    _, number, width = _address(store, log, 0, path)
    with store.reading() as session:
        return _bundle(session, log, number * WIDTH, width)


def _address(store: Store, log: str, level: int, path: str) -> tuple[int, int, int]:
    try:
        number, width = parse_path(path)
    except BadInput as wrong:
        raise NotThere(wrong.detail) from None
    newest = published.newest(store, log)
    if newest is None or width > width_at(newest.size, level, number):
        raise NotThere("beyond the published checkpoint")
    return newest.size, number, width


def _bundle(session: Session, log: str, start: int, width: int) -> bytes:
    query = select(TrailEntry.body).where(TrailEntry.log == log, TrailEntry.seq >= start, TrailEntry.seq < start + width)
    bodies = session.scalars(query.order_by(TrailEntry.seq)).all()
    if len(bodies) != width:
        raise NotThere(f"entries {start} to {start + width - 1} are not all kept any more")
    if any(not isinstance(one, bytes) for one in bodies):
        raise SealBroken(f"trail_entry of {log}: a body is not bytes; run gardu audit verify")
    return b"".join(len(one).to_bytes(2, "big") + one for one in bodies)


def export_tiles(store: Store, log: str, folder: Path, progress: Progress) -> Published:
    """Write checkpoint, tiles and entry bundles of *log* into *folder*, which must be new or empty, and return what was published.

    Memory stays flat. The checkpoint is written last: a folder without one is not whole. Raises NotThere while nothing is published,
    BadInput for a folder with something in it, SealBroken, StoreDown, OSError.
    """
    newest = published.newest(store, log)
    if newest is None:
        raise NotThere(f"log {log} has no published checkpoint yet")
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BadInput(f"{folder} is not empty: name a new folder", field="tiles")
    size = parse_checkpoint(split_note(newest.note)[0]).size
    files = list(_files(size))
    for done, (level, number, width) in enumerate(files):
        partial = "" if width == WIDTH else f".p/{width}"
        with store.reading() as session:
            hashes = Tiles(session, log, size).hashes(level, number * WIDTH, number * WIDTH + width)
            _put(folder / "tile" / str(level) / f"{path_of(number)}{partial}", b"".join(hashes))
            if level == 0:
                _put(folder / "tile" / "entries" / f"{path_of(number)}{partial}", _bundle(session, log, number * WIDTH, width))
        progress(done + 1, len(files))
    _put(folder / "checkpoint", published.with_cosignatures(store, log, newest).encode())
    return newest


def _files(size: int) -> Iterator[tuple[int, int, int]]:
    """Yield (level, number, width) of every tile of a tree of *size* leaves."""
    for level in range(LEVELS):
        for number in range(-(-(size >> (HEIGHT * level)) // WIDTH)):
            yield level, number, width_at(size, level, number)


def _put(file: Path, raw: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(raw)
