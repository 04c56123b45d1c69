"""Files sent in: kept sealed part by part, read back as a stream, and gone once they are loaded, discarded or forgotten.

waiting   sealed; the columns are to be chosen
started   a job loads it (or did, and was cut off)
done      loaded; no part is left
gone      discarded, or nobody took it further within a day; no part is left
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import BinaryIO, cast

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.identity.room import Entry, write_within
from app.kernel.clock import rfc3339
from app.kernel.errors import N_, Conflict, NotThere, SealBroken
from app.kernel.ids import new_uid
from app.vault.house import KeyPurpose
from app.vault.parts import PartStream, new_file, open_file
from app.vault.records import Field, RecordSeal
from app.voters.actions import Rotated, demand_newest
from app.voters.room import Roll
from app.voters.tables import Upload, UploadPart

# One kab/kota's file of this size has about 140,000 rows; the bytes stand in memory while they come in. Larger: by command.
LARGEST = 20 * 1024 * 1024
# Whoever sent a file in works on it the same day; nothing is gained by keeping it longer.
LIFE = timedelta(hours=24)
WAITING, STARTED, DONE, GONE = "waiting", "started", "done", "gone"
# Overdue files emptied at one look.
_SWEPT = 20
MOVED_ON = N_("Berkas ini sudah diproses lebih lanjut atau sudah dibuang. Muat ulang halaman untuk melihat keadaannya.")
_COLUMNS = (
    "uid", "kab", "election", "actor", "office", "unit", "suffix", "size", "rows_estimate", "digest", "state", "mapping", "key_epoch",
    "wrapped", "job", "load",
)  # fmt: skip


def keep(roll: Roll, draft: Upload, content: bytes, entry_of: Callable[[str], Entry]) -> str:
    """Seal *content* and store it with its row and its entry, all or nothing; return the upload's uid.

    draft: without uid, keys, state and seal. entry_of: makes the entry, told the uid. Raises TrailDown, StoreDown, KeysDown.
    """
    draft.uid, draft.size, draft.state = new_uid(), len(content), WAITING
    ready = entry_of(draft.uid)
    while True:
        try:
            return _keep(roll, draft, content, ready)
        except Rotated:
            continue


def _keep(roll: Roll, draft: Upload, content: bytes, ready: Entry) -> str:
    """Seal and store what is ready. Raises Rotated when a rotation has left the key behind meanwhile; then nothing was stored."""
    key, uid = roll.guard.keys.key(KeyPurpose.SEAL, draft.kab), draft.uid
    draft.key_epoch = key.epoch
    draft.wrapped, parts = new_file(key, draft.kab, uid, draft.size)
    reseal(roll.seals, draft)
    with roll.guard.store.writing() as session:
        demand_newest(session, roll.guard.keys, draft.kab, seal=key.epoch)
        session.add(draft)
        session.flush()
        for number, sealed in parts.split(memoryview(content)):
            session.execute(UploadPart.__table__.insert().values(upload=uid, number=number, bytes=sealed))  # type: ignore[attr-defined]
        write_within(roll.mandates.identity, session, ready)
    return uid


def find(roll: Roll, kab: str, uid: str) -> Upload:
    """Return the upload *uid* of *kab*, its seal checked. Raises NotThere (absent, or another kab's), SealBroken."""
    with roll.guard.store.reading() as session:
        found = _checked(roll, session, kab, uid)
        session.expunge(found)
        return found


def open_in(roll: Roll, kab: str, limit: int) -> list[Upload]:
    """Return what was sent in for *kab* and is not loaded yet, newest first; what was tampered with is left out."""
    query = select(Upload).where(Upload.kab == kab, Upload.state.in_((WAITING, STARTED))).order_by(Upload.created_at.desc()).limit(limit)
    with roll.guard.store.reading() as session:
        rows = list(session.scalars(query))
        session.expunge_all()
    return [row for row in rows if _holds(roll, row)]


def change(roll: Roll, kab: str, uid: str, states: Collection[str], *, empty: bool = False, **values: object) -> Upload:
    """Change columns of an upload that stands in one of *states*, and seal it anew; empty: its parts go in the same moment.

    Raises NotThere, SealBroken, Conflict (it stands in another state).
    """
    with roll.guard.store.writing() as session:
        row = _checked(roll, session, kab, uid, lock=True)
        if row.state not in states:
            raise Conflict(f"upload {uid} is {row.state}", public=MOVED_ON)
        for name, value in values.items():
            setattr(row, name, value)
        reseal(roll.seals, row)
        session.flush()
        if empty:
            session.execute(delete(UploadPart).where(UploadPart.upload == uid))
        session.expunge(row)
        return row


def source(roll: Roll, upload: Upload) -> Callable[[], BinaryIO]:
    """Return what opens the file of *upload* anew, as seekable bytes that are unsealed part by part as they are read.

    Reading raises SealBroken for a part that is not as it was stored, or missing. Raises SealBroken, KeysDown.
    """
    key = roll.guard.keys.key_named(KeyPurpose.SEAL, upload.kab, upload.key_epoch, f"upload {upload.uid}")
    parts, uid = open_file(key, upload.kab, upload.uid, upload.size, upload.wrapped), upload.uid

    def fetch(number: int) -> bytes | None:
        with roll.guard.store.reading() as session:
            return session.scalar(select(UploadPart.bytes).where(UploadPart.upload == uid, UploadPart.number == number))

    return lambda: cast(BinaryIO, io.BufferedReader(PartStream(parts, fetch)))


def mapping_of(upload: Upload) -> dict[str, int]:
    """Return the columns chosen so far: the cell (from 0) of each DP4 column."""
    chosen: dict[str, int] = json.loads(upload.mapping or "{}")
    return chosen


def sweep(roll: Roll, now: datetime) -> int:
    """Empty the uploads that nobody took further within LIFE, whosever they are; return how many."""
    query = select(Upload).where(Upload.state.in_((WAITING, STARTED)), Upload.created_at < now - LIFE).limit(_SWEPT)
    with roll.guard.store.reading() as session:
        overdue = list(session.scalars(query))
        session.expunge_all()
    swept = 0
    for row in overdue:
        if row.state == STARTED and row.job and not roll.jobs.find(row.job).over:
            continue
        try:
            change(roll, row.kab, row.uid, (row.state,), empty=True, state=GONE)
        except (SealBroken, Conflict):
            continue
        swept += 1
    return swept


def check(seals: RecordSeal, row: Upload) -> None:
    """Check the stored row of an upload. Raises SealBroken, KeysDown."""
    seals.check("upload", row.uid, _fields(row), row.seal)


def reseal(seals: RecordSeal, row: Upload) -> None:
    """Seal the row of an upload as it now stands. Raises KeysDown."""
    row.seal = seals.of("upload", _fields(row))


def _checked(roll: Roll, session: Session, kab: str, uid: str, *, lock: bool = False) -> Upload:
    query = select(Upload).where(Upload.uid == uid, Upload.kab == kab)
    row = session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NotThere("no such upload")
    check(roll.seals, row)
    return row


def _holds(roll: Roll, row: Upload) -> bool:
    try:
        check(roll.seals, row)
    except SealBroken:
        return False
    return True


def _fields(row: Upload) -> list[Field]:
    return [*(getattr(row, name) for name in _COLUMNS), rfc3339(row.created_at)]
