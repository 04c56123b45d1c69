"""What the witness must never forget: for each log the newest checkpoint it cosigned, in one file that only moves forward.

``state.json`` holds ``{"format": "gardu-witness-state@1", "held": {origin: note}}``. A note carries size, root and time under the log's
signature and our own, so nothing else is stored, and reading checks it.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.audit.cosign import CosignVerifier
from app.kernel.errors import BadInput, SealBroken, UnsafeStart
from app.witness.core import Held
from app.witness.files import read_own, write_whole

NAME = "state.json"
_LOCK = "state.lock"
_FORMAT = "gardu-witness-state@1"
# Said wherever the file is missing or torn: an older copy would let the witness contradict itself.
_RETIRE = "do not put an old copy back: retire this witness and make one under a new name (docs/witness.md)"


class State:
    """The state file of one witness in *folder*; *verifier*: the witness's own key."""

    def __init__(self, folder: Path, verifier: CosignVerifier) -> None:
        self._path = folder / NAME
        self._lock_path = folder / _LOCK
        self._verifier = verifier
        self._threads = threading.Lock()

    @staticmethod
    def create(folder: Path) -> None:
        """Write the state of a witness that has seen nothing. Raises OSError."""
        _write(folder / NAME, {})

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other thread and process out: read, decide and write inside, and nobody's write is rolled back."""
        with self._threads:
            # Opened each time: a lock belongs to the open file, and one shared over a fork would keep nobody out.
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    def held(self) -> dict[str, Held]:
        """Return origin → what is held, each note checked. Raises UnsafeStart when the file is missing, torn, or open to others."""
        found = {}
        for origin, note in self._notes().items():
            try:
                held = Held.read(note, self._verifier)
            except (BadInput, SealBroken) as wrong:
                raise self._torn(wrong.detail) from None
            if held.checkpoint.origin != origin:
                raise self._torn("a checkpoint stands under another log's name")
            found[origin] = held
        return found

    def keep(self, origin: str, note: str) -> None:
        """Hold *note* for *origin* from now on; returns once it is on disk. Call it inside ``locked``. Raises UnsafeStart, OSError."""
        _write(self._path, {**self._notes(), origin: note})

    def _notes(self) -> dict[str, str]:
        try:
            content = read_own(self._path)
        except UnsafeStart as wrong:
            raise UnsafeStart(f"{wrong.detail}; {_RETIRE}" if not self._path.exists() else wrong.detail) from None
        try:
            read = json.loads(content)
            notes = read["held"] if read["format"] == _FORMAT else None
        except (ValueError, RecursionError, TypeError, KeyError):
            notes = None
        if not isinstance(notes, dict) or not all(isinstance(note, str) for note in notes.values()):
            raise self._torn("it is not what this program wrote")
        return notes

    def _torn(self, why: str) -> UnsafeStart:
        return UnsafeStart(f"{self._path} is torn ({why}); {_RETIRE}")


def _write(path: Path, notes: dict[str, str]) -> None:
    write_whole(path, json.dumps({"format": _FORMAT, "held": notes}, ensure_ascii=False, indent=1).encode("utf-8"))
