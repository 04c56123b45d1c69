"""Files that must not tear, and that nobody else may touch."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from app.kernel.errors import UnsafeStart

# Far above what a hundred logs with ML-DSA-44 signatures need.
_MOST = 4 * 1024 * 1024


def read_own(path: Path) -> bytes:
    """Return the content of a file of ours.

    Raises UnsafeStart when it is missing, no regular file, open to others (any right of group or others), or over 4 MiB.
    """
    try:
        # O_NONBLOCK: a pipe put in the file's place must not hang us.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise UnsafeStart(f"{path} is missing") from None
    except OSError as error:
        raise UnsafeStart(f"{path} cannot be read: {error.strerror}") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise UnsafeStart(f"{path} is not a regular file")
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UnsafeStart(f"{path} is open to others: run chmod 600 on it, and find out who could change it")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(_MOST + 1)
    finally:
        os.close(descriptor)
    if len(content) > _MOST:
        raise UnsafeStart(f"{path} is larger than it can be")
    return content


def write_whole(path: Path, content: bytes) -> None:
    """Replace *path*, mode 0600, so that after any crash the old or the new content stands there; return once it is durable.

    Raises OSError when it cannot.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # Dying before this line leaves a stray temporary file and the old content; after it, the new content.
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names in *folder* durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
