"""What a verification asks of the outside: whose cosignatures count, and what the list of witnesses and the time stamps contradict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.audit.cosign import CosignVerifier
from app.audit.report import Finding
from app.audit.stamp import contradictions, verify_stamps
from app.kernel.errors import N_, SealBroken
from app.openlog.room import OpenLog
from app.openlog.witnesses import missing_rows, standing

_BROKEN = N_("Daftar saksi di basis data tidak utuh: %(rinci)s")
_GONE = N_("Daftar saksi yang disetujui menurut jejak, tetapi barisnya hilang (witness_policy): %(jumlah)s.")


def keys(room: OpenLog) -> Sequence[CosignVerifier]:
    """Return the witnesses' keys in force; none when the list was changed past us, which ``findings`` says. Raises StoreDown, KeysDown."""
    try:
        return standing(room.books, room.now()).policy.verifiers
    except SealBroken:
        return ()


def findings(room: OpenLog) -> Iterator[Finding]:
    """Yield what is wrong with the list of witnesses. Raises StoreDown, KeysDown."""
    try:
        standing(room.books, room.now())
        gone = missing_rows(room)
    except SealBroken as broken:
        yield Finding(None, _BROKEN, {"rinci": broken.detail})
    else:
        if gone:
            yield Finding(None, _GONE, {"jumlah": gone})


def stamp_findings(room: OpenLog, log: str) -> Iterator[Finding]:
    """Yield what is wrong with the time stamps of *log*, where an authority is set: each stamp, and entries whose dates it contradicts.

    Raises BadInput when the configured roots hold no certificate, StoreDown.
    """
    if not room.timestamp_roots:
        return
    for size, wrong in (*verify_stamps(room.guard.store, log, room.timestamp_roots), *contradictions(room.guard.store, log)):
        if wrong is not None:
            yield Finding(size - 1, wrong)


@dataclass(frozen=True, slots=True)
class Outside:
    """The same for the officer's verification in the background (``app.oversight.room.Outside``)."""

    room: OpenLog

    def keys(self) -> Sequence[CosignVerifier]:
        """Return the keys of the witnesses in force."""
        return keys(self.room)

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong with the list of witnesses and with the time stamps."""
        yield from findings(self.room)
        yield from stamp_findings(self.room, self.room.log)
