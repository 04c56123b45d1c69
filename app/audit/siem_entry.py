"""What every record for a SIEM is made of: one entry with its place and leaf hash, and how grave it is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from app.audit.entry import moment, parse
from app.audit.members import Entry
from app.audit.tree import leaf_hash
from app.kernel.errors import BadInput, SealBroken
from app.kernel.fields import Action, Outcome

VENDOR, PRODUCT = "KPU", "Gardu"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Item:
    """An entry to be told: its log and number, its leaf hash (32 bytes), its bytes, and the members in them."""

    log: str
    seq: int
    leaf: bytes
    body: bytes
    members: Entry

    @property
    def host(self) -> str:
        """The host in the log's name, ``-`` when there is none."""
        return self.log.partition("/")[0] or "-"

    @property
    def milliseconds(self) -> int:
        """The entry's moment in whole milliseconds since 1970, UTC."""
        return (moment(self.members["at"]) - _EPOCH) // timedelta(milliseconds=1)


def item_of(log: str, seq: int, leaf: object, body: object) -> Item:
    """Return the entry in *body* when it is entry *seq* of *log* and *leaf* its leaf hash. Raises SealBroken when it is not.

    What was changed in the database must not reach a SIEM under the log's name.
    """
    try:
        members = parse(body) if isinstance(body, bytes) else None
    except BadInput as wrong:
        raise SealBroken(f"entry {seq} of {log}: {wrong.detail}; run gardu audit verify") from None
    if members is None or not isinstance(body, bytes) or not isinstance(leaf, bytes) or leaf_hash(body) != leaf:
        raise SealBroken(f"entry {seq} of {log}: its bytes do not have its leaf hash; run gardu audit verify")
    if (members["log"], members["seq"]) != (log, seq):
        raise SealBroken(f"entry {seq} of {log}: its bytes name another place; run gardu audit verify")
    return Item(log, seq, leaf, body, members)


class Gravity(NamedTuple):
    """How grave an entry is, three times: RFC 5424 severity (0 worst … 7), OCSF severity_id (1 … 5 worst), CEF (0 … 10 worst)."""

    syslog: int
    ocsf: int
    cef: int


_QUIET = Gravity(6, 1, 2)
_WORST = Gravity(2, 5, 10)
GRAVITY: dict[Outcome, Gravity] = {
    Outcome.ALLOWED: _QUIET,
    Outcome.DONE: _QUIET,
    Outcome.INTENT: _QUIET,
    Outcome.FAILED: Gravity(5, 2, 4),
    Outcome.DENIED: Gravity(4, 3, 6),
    Outcome.BROKEN: _WORST,
}


def gravity(item: Item) -> Gravity:
    """Return how grave *item* is: by its outcome, and a verification that found the log tampered like a broken seal."""
    if (item.members["action"], item.members["outcome"]) == (Action.TRAIL_VERIFY, Outcome.FAILED):
        return _WORST
    return GRAVITY[Outcome(item.members["outcome"])]
