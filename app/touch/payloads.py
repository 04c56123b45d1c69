"""Opening the sealed part of an entry, for those who may read the log. Holds no voter's field; uids, visit, digests."""

from __future__ import annotations

import json
from collections.abc import Mapping

from app.audit import query
from app.audit.erasure import erased
from app.audit.query import StoredEntry
from app.kernel.errors import SealBroken
from app.touch.record import Guard


def payload_of(guard: Guard, one: StoredEntry) -> Mapping[str, object] | None:
    """Return what stands in the sealed payload of *one*, or None when it has none or an entry erased it (``audit.erasure.erased`` says which).

    Members: ``salt`` and ``subjects`` always; ``visit`` (canonical JSON of visit, views and rules as one string), ``address`` and what the
    entry's owner added. Raises SealBroken when the payload is there and does not open, KeysDown, StoreDown.
    """
    mark, stored = one.members["payload"], query.payload_at(guard.store, one.log, one.seq)
    if mark is None or stored is None:
        return None
    day, wrapped, sealed = stored
    if not wrapped and erased(guard.store, one.log, one.seq) is not None:
        return None
    opened = guard.payloads.open(sealed, wrapped, day, one.log, bytes.fromhex(mark["commitment"]))
    try:
        content: Mapping[str, object] = json.loads(opened)
    except ValueError:
        raise SealBroken(f"payload of entry {one.seq} of {one.log}: no JSON") from None
    return content
