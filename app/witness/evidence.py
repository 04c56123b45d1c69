"""Evidence: pairs of checkpoints, both signed by a log's key, that do not go together. Plain files, to be taken to a court.

``evidence/<doubt>-<time>-<digest>/`` holds ``held.note`` (what this witness had cosigned) and ``shown.note`` (what it was shown).
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from app.audit.note import Checkpoint, parse_checkpoint, split_note
from app.kernel.errors import BadInput, UnsafeStart
from app.witness.core import Doubt
from app.witness.files import read_own, sync_folder, write_whole

HELD, SHOWN = "held.note", "shown.note"
# Per log and doubt. The first ones prove the matter; anybody may send proofs that fail, and must not fill the disk with them.
MOST = 20
_TIME = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"(fork|unproven)-([0-9]{8}T[0-9]{6}Z)-[0-9a-f]{16}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Case:
    """One pair. name: of its folder. at: when it was found (UTC). held, shown: the notes; size_held, size_shown: of their trees."""

    name: str
    doubt: Doubt
    at: datetime
    origin: str
    held: str
    shown: str
    size_held: int
    size_shown: int


class Evidence:
    """The folder of cases below a witness's directory. Change it inside ``State.locked`` only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "evidence"

    def cases(self) -> list[Case]:
        """Return every case, the oldest first. Raises UnsafeStart when one cannot be read: evidence must not vanish quietly."""
        names = sorted(self._names(), key=lambda name: name.split("-")[1:])
        return [self._read(name) for name in names]

    def add(self, doubt: Doubt, held: str, shown: str, now: datetime) -> bool:
        """Keep a pair of notes, both signed by the log; return whether it was new. Raises OSError, UnsafeStart."""
        pair = (_checkpoint(held), _checkpoint(shown))
        told = "\n".join(f"{one.origin}\n{one.size}\n{one.root.hex()}" for one in pair)
        digest = sha256(told.encode("utf-8")).hexdigest()[:16]
        names = self._names()
        if any(name.startswith(f"{doubt}-") and name.endswith(digest) for name in names):
            return False
        if sum(case.doubt is doubt and case.origin == pair[0].origin for case in self.cases()) >= MOST:
            return False
        self._folder.mkdir(mode=0o700, exist_ok=True)
        # Both notes or none: the folder gets its name once both are durable in it.
        made = Path(tempfile.mkdtemp(prefix=".case-", dir=self._folder))
        try:
            write_whole(made / HELD, held.encode("utf-8"))
            write_whole(made / SHOWN, shown.encode("utf-8"))
            made.rename(self._folder / f"{doubt}-{now.astimezone(UTC).strftime(_TIME)}-{digest}")
        except OSError:
            shutil.rmtree(made, ignore_errors=True)
            raise
        sync_folder(self._folder)
        sync_folder(self._folder.parent)
        return True

    def settle(self, note: str, now: datetime) -> None:
        """After cosigning *note*: what was unproven at its size is either this very tree, and forgotten, or now a fork. Raises OSError."""
        new = _checkpoint(note)
        for case in self.cases():
            if case.doubt is not Doubt.UNPROVEN or case.origin != new.origin or case.size_shown != new.size:
                continue
            if _checkpoint(case.shown).root != new.root:
                self.add(Doubt.FORK, note, case.shown, now)
            shutil.rmtree(self._folder / case.name)
            sync_folder(self._folder)

    def _names(self) -> list[str]:
        try:
            return [path.name for path in self._folder.iterdir() if _NAME.fullmatch(path.name)]
        except FileNotFoundError:
            return []

    def _read(self, name: str) -> Case:
        try:
            held, shown = (read_own(self._folder / name / file).decode("utf-8") for file in (HELD, SHOWN))
            before, after = _checkpoint(held), _checkpoint(shown)
        except (UnsafeStart, UnicodeDecodeError, BadInput) as wrong:
            raise UnsafeStart(f"evidence {self._folder / name} cannot be read ({wrong}): put it back from a copy") from None
        doubt, moment, _ = name.split("-")
        at = datetime.strptime(moment, _TIME).replace(tzinfo=UTC)
        return Case(name, Doubt(doubt), at, after.origin, held, shown, before.size, after.size)


def _checkpoint(note: str) -> Checkpoint:
    return parse_checkpoint(split_note(note)[0])
