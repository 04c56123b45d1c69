"""Reads one part of a backup as it is unsealed: frames in their order, rows handed on, digests and manifest compared at the end.

What is handed on before ``read`` returns is genuine so far and may yet be cut: whoever stores rows does so in a transaction that commits only
afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from app.audit.note import Verifier, open_note
from app.custody import backup_rows as rows
from app.custody.backup import signed_text
from app.kernel.errors import BadInput, SealBroken
from app.kernel.ids import decode_uid
from app.vault import age

# A manifest names about thirty tables and the epochs of a thousand keys.
_MOST_MANIFEST = 8 * 1024**2


class Taker(Protocol):
    """Takes the rows of one part."""

    def table(self, name: str, columns: Sequence[str]) -> None:
        """The rows of table *name* follow."""
        ...

    def rows(self, content: bytes, width: int) -> int:
        """Take rows of the table announced last, encoded, of *width* columns each; return how many there were."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """One part that was read whole. manifest: its bytes; said: what it says; note: the log's signature over it."""

    part: str
    uid: str
    manifest: bytes
    said: Mapping[str, object]
    note: str

    @property
    def digest(self) -> bytes:
        """SHA-256 of the manifest."""
        return sha256(self.manifest).digest()

    @property
    def log(self) -> str:
        """The log's name."""
        return str(self.said.get("log"))

    @property
    def size(self) -> int:
        """How many entries of the log are in the set."""
        return int(str(self.said.get("size")))

    def demand_signed(self, verifier: Verifier) -> None:
        """Raise SealBroken unless the log's key signed this manifest."""
        try:
            text = open_note(self.note, [verifier]).text
        except BadInput as wrong:
            raise SealBroken(f"backup: the manifest of {self.part} is not signed ({wrong.detail})") from None
        if text != signed_text(self.uid, self.part, self.manifest):
            raise SealBroken(f"backup: the log's signature is over another manifest than that of {self.part}")


class _Reader:
    """The order of frames, and what the manifest must say."""

    def __init__(self, part: str, taker: Taker, begins: Callable[[str], None] = lambda revision: None) -> None:
        self._part, self._taker, self._begins = part, taker, begins
        self._uid, self._revision, self._manifest, self._note = "", "", b"", ""
        self._seen: dict[str, dict[str, object]] = {}
        self._table, self._width, self._count, self._state = "", 0, 0, sha256()
        self._frames = rows.Frames({
            rows.HEADER: self._header, rows.TABLE: self._begin, rows.ROWS: self._rows, rows.MANIFEST: self._end, rows.NOTE: self._signed,
        })  # fmt: skip

    def take(self, piece: bytes) -> None:
        """Take the next piece of plaintext."""
        self._frames.take(piece)

    def finished(self) -> Part:
        """Return the part. Raises SealBroken when it ends too early, or holds other rows than its manifest says."""
        self._frames.end()
        if not self._note:
            raise SealBroken(f"backup: the {self._part} archive ends before its signature")
        said = _json(self._manifest)
        expected = (rows.FORMAT, self._part, self._uid, self._revision)
        if (said.get("format"), said.get("part"), said.get("set"), said.get("revision")) != expected:
            raise SealBroken(f"backup: the manifest of the {self._part} archive is of another set")
        if said.get("tables") != self._seen:
            raise SealBroken(f"backup: rows of the {self._part} archive are not those that its manifest names")
        return Part(self._part, self._uid, self._manifest, said, self._note)

    def _header(self, content: bytes) -> None:
        said = _json(content)
        if self._uid or said.get("format") != rows.FORMAT:
            raise SealBroken(f"backup: not a {rows.FORMAT}")
        if said.get("part") != self._part:
            raise SealBroken(f"backup: this is the {str(said.get('part'))[:8]!r} archive, wanted is {self._part!r}")
        self._uid, self._revision = str(said.get("set")), str(said.get("revision"))
        try:
            decode_uid(self._uid)
        except ValueError:
            raise SealBroken("backup: the set has no uid") from None
        self._begins(self._revision)

    def _begin(self, content: bytes) -> None:
        said = _json(content)
        name, columns = str(said.get("table")), said.get("columns")
        if not self._uid or self._manifest or name in self._seen or not isinstance(columns, list) or not columns:
            raise SealBroken("backup: frames out of order")
        self._close()
        self._table, self._width, self._count, self._state = name, len(columns), 0, sha256()
        self._seen[name] = {"columns": columns}
        self._taker.table(name, [str(one) for one in columns])

    def _rows(self, content: bytes) -> None:
        if not self._table or self._manifest:
            raise SealBroken("backup: frames out of order")
        self._state.update(content)
        self._count += self._taker.rows(content, self._width)

    def _close(self) -> None:
        if self._table:
            self._seen[self._table] |= {"rows": self._count, "sha256": self._state.hexdigest()}

    def _end(self, content: bytes) -> None:
        if not self._uid or self._manifest or len(content) > _MOST_MANIFEST:
            raise SealBroken("backup: frames out of order")
        self._close()
        self._manifest = content

    def _signed(self, content: bytes) -> None:
        if not self._manifest or self._note:
            raise SealBroken("backup: frames out of order")
        try:
            self._note = content.decode("utf-8")
        except UnicodeDecodeError:
            raise SealBroken("backup: its signature is no text") from None


def read(file: Path, part: str, identity: age.Identity, taker: Taker, progress: Callable[[int], None]) -> Part:
    """Read *file*, the *part* archive of a set, and return it once it is whole. progress is told bytes of the file, as they are read.

    Raises BadInput (field ``identity``: sealed to somebody else; ``archive``: not there), SealBroken when it was cut or changed, or is no
    such part; and whatever *taker* raises.
    """
    reader = _Reader(part, taker)
    with _opened(file) as opened:
        age.decrypt(cast(BinaryIO, _Counting(opened, progress)), reader.take, identity)
    return reader.finished()


class _Found(Exception):
    """The revision was read; the rest is not looked at."""

    def __init__(self, revision: str) -> None:
        super().__init__()
        self.revision = revision


def revision_of(file: Path, identity: age.Identity) -> str:
    """Return the schema revision that a data archive begins with; it counts once the manifest has said the same. Raises as ``read``."""

    def begins(revision: str) -> None:
        raise _Found(revision)

    reader = _Reader(rows.DATA, _Nobody(), begins)
    try:
        with _opened(file) as opened:
            age.decrypt(opened, reader.take, identity)
    except _Found as found:
        return found.revision
    raise SealBroken("backup: the data archive is empty")


class _Nobody:
    def table(self, name: str, columns: Sequence[str]) -> None:
        """Nothing comes so far."""

    def rows(self, content: bytes, width: int) -> int:
        """Nothing comes so far."""
        return 0


def _opened(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except FileNotFoundError:
        raise BadInput(f"{file} is missing", field="archive") from None


class _Counting:
    """A file that tells how much of it was read."""

    def __init__(self, file: BinaryIO, progress: Callable[[int], None]) -> None:
        self._file, self._progress = file, progress

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self._progress(len(piece))
        return piece


def _json(content: bytes) -> dict[str, object]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise SealBroken("backup: a frame is no JSON object")
    return found
