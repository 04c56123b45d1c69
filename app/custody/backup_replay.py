"""Writes into the log that is opened after a restore what was done again, so that the store is accounted for by entries alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from app.audit.canonical import Json
from app.audit.entry import rows_root
from app.custody.backup_load import Loaded
from app.custody.backup_room import Backups
from app.custody.erasure_log import DETAIL, erasure_digest
from app.custody.storecheck import ROWS
from app.identity.room import Entry, entry
from app.kernel.actor import Actor
from app.kernel.fields import Action, Outcome

# Rows that one entry lists, as a batch of a rotation does.
_PAGE = 1_000


def replayed(room: Backups, actor: Actor, loaded: Loaded, now: datetime) -> Sequence[Entry]:
    """Return the entries of voters erased since the backup, and of rows that got a later key; they go into the new log with the restore's own."""
    made = [
        entry(
            room.identity, actor, Action.VOTER_ERASE, Outcome.ALLOWED, now, scope=one.kab, subjects=(one.voter,),
            detail=(DETAIL, erasure_digest(one.erasure, one.kab, one.voter)),
            extra={"erasure": one.erasure, "kab": one.kab, "voter": one.voter, "restore": loaded.data.uid},
        )
        for one in loaded.buried
    ]  # fmt: skip
    for kab, group in groupby(loaded.rekeyed.rows, key=lambda row: row[0]):
        rows = [("voter", uid, version, seal) for _, uid, version, seal in group]
        for at in range(0, len(rows), _PAGE):
            page = rows[at : at + _PAGE]
            listed: list[Json] = [[table, uid, version, seal.hex()] for table, uid, version, seal in page]
            told: dict[str, Json] = {"restore": loaded.data.uid, "rows": listed}
            detail = (ROWS, rows_root(page))
            made.append(entry(room.identity, actor, Action.KEY_ROTATE, Outcome.DONE, now, scope=kab, detail=detail, extra=told))
    return made
