"""A full export that somebody else kept: verified, and read for what a database that was put back does not know any more."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from app.audit.chain import GENESIS
from app.audit.entry import MAX_BODY, entry_hash, leaf_hash, parse
from app.audit.export import FORMAT
from app.audit.members import Entry
from app.audit.note import MAX_NOTE, Checkpoint, Verifier, open_note, parse_checkpoint
from app.audit.tree import Frontier
from app.kernel.errors import BadInput, GarduError, SealBroken
from app.kernel.fields import Action, Outcome

# What must be done again after a restore, as far as entries name it; all else is only counted.
_ACCOUNTS = (Action.ACCOUNT_DISABLE, Action.ACCOUNT_RESET, Action.ACCOUNT_PASSWORD, Action.ACCOUNT_CREATE, Action.ACCOUNT_ENROL)
_MANDATES = (Action.MANDATE_REVOKE, Action.MANDATE_START, Action.REQUEST_WITHDRAW, Action.REQUEST_REFUSE)
# One screen of numbers per kind is read; a mirror that holds more is counted, not kept.
_MOST = 100_000


@dataclass(frozen=True, slots=True)
class Known:
    """What the database has of the log: so many entries, and SHA-256 of the last one's bytes."""

    size: int
    last: bytes


@dataclass(slots=True)
class Lost:
    """What the mirror knows beyond the database.

    mark: the mirror's own checkpoint. counts: entries by (action, outcome). accounts: (action, SHA-256 of an account's uid in hex).
    mandates: (action, uid). erasures: (number of the entry, digest that names payloads, in hex).
    """

    mark: Checkpoint
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    accounts: list[tuple[str, str]] = field(default_factory=list)
    mandates: list[tuple[str, str]] = field(default_factory=list)
    erasures: list[tuple[int, str]] = field(default_factory=list)


def read_mirror(file: BinaryIO, log: str, verifier: Verifier, known: Known, outside: Checkpoint | None = None) -> Lost:
    """Verify a full export of *log* and return what it holds beyond *known*; memory stays flat but for what must be done again.

    outside: a checkpoint from elsewhere that must be one history with it. Raises BadInput (field ``mirror``) for a file that is no whole
    export of this log, SealBroken when signature, chain or tree do not fit, when the database is not its beginning, or *outside* is not.
    """
    size = _header(file, log)
    lost, link, tree = Lost(Checkpoint(log, 0, b"")), GENESIS, Frontier()
    for seq, body, members in _entries(file, log, size):
        if members["prev"] != link.hex():
            raise SealBroken(f"mirror: entry {seq} does not follow the one before it")
        link = entry_hash(body)
        tree.append(leaf_hash(body))
        if tree.size == known.size and link != known.last:
            raise SealBroken(f"mirror: its first {known.size} entries are not the database's: one of the two was changed")
        if outside is not None and tree.size == outside.size and tree.root() != outside.root:
            raise SealBroken(f"mirror: its first {outside.size} entries are not those of the checkpoint")
        if seq >= known.size:
            _note(lost, seq, members)
    if size < known.size:
        raise SealBroken(f"mirror: it has {size} entries, the database {known.size}: it cannot say what is missing")
    lost.mark = _signed(file, log, verifier, tree)
    return lost


def _header(file: BinaryIO, log: str) -> int:
    try:
        header = json.loads(file.readline(MAX_BODY + 1))
        size = header["size"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadInput("mirror: no export of gardu audit export", field="mirror") from None
    if not isinstance(size, int) or header != {"format": FORMAT, "log": log, "size": size} or size < 1:
        raise BadInput(f"mirror: not a whole {FORMAT} of {log}", field="mirror")
    return size


def _entries(file: BinaryIO, log: str, size: int) -> Iterator[tuple[int, bytes, Entry]]:
    for seq in range(size):
        line = file.readline(MAX_BODY + 2)
        body = line.removesuffix(b"\n")
        try:
            members = parse(body)
        except BadInput as wrong:
            raise BadInput(f"mirror: line {seq + 2}: {wrong.detail}", field="mirror") from None
        if (members["log"], members["seq"]) != (log, seq) or body == line:
            raise BadInput(f"mirror: line {seq + 2} is not entry {seq} of {log}", field="mirror")
        yield seq, body, members


def _note(lost: Lost, seq: int, members: Entry) -> None:
    lost.counts[(members["action"], members["outcome"])] += 1
    if members["outcome"] != Outcome.DONE or len(lost.accounts) + len(lost.mandates) + len(lost.erasures) >= _MOST:
        return
    action, detail = members["action"], members["detail"]
    if action in _ACCOUNTS and detail and detail["type"] == "account":
        lost.accounts.append((action, detail["sha256"]))
    elif action in _MANDATES and members["mandate"]:
        lost.mandates.append((action, members["mandate"]))
    elif action == Action.PAYLOAD_ERASE and detail:
        lost.erasures.append((seq, detail["sha256"]))


def _signed(file: BinaryIO, log: str, verifier: Verifier, tree: Frontier) -> Checkpoint:
    rest = file.read(MAX_NOTE + 2)
    try:
        if not rest.startswith(b"\n"):
            raise BadInput("more entries than the header says")
        mark = parse_checkpoint(open_note(rest[1:].decode("utf-8"), [verifier]).text)
    except (GarduError, UnicodeDecodeError) as wrong:
        raise SealBroken(f"mirror: its checkpoint does not hold ({wrong})") from None
    if (mark.origin, mark.size, mark.root) != (log, tree.size, tree.root()):
        raise SealBroken("mirror: its entries are not those that were signed")
    return mark
