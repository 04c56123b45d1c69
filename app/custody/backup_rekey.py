"""Makes an older backup honour what happened since: voters erased stay erased, and rows get the record keys of a later backup.

What a rotation wrapped anew since opens by the present L1 keys alone.

A record key lives as long as its row; a rotation of the kab's key only wraps it anew. So an old data archive opens with a new key archive, and
whoever was erased in between has no key there. A row whose record key itself was replaced meanwhile cannot be opened by anybody any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

from sqlalchemy import Connection, Table, and_, bindparam, column, select, table, text, tuple_, update

from app.custody.erasure_log import BURIED
from app.custody.tables import VoterErasure
from app.kernel.errors import SealBroken
from app.kernel.fields import CELL_COUNT, RowStatus
from app.vault.house import KeyHouse
from app.vault.rejoin import rejoin
from app.vault.seal import Clear, SealedRow
from app.voters.tables import Voter, VoterKey

# The temporary table that holds the later set's record keys.
NEWER = "newer_voter_key"
_PAGE = 1_000
# A row of {row} whose voter's tombstone stands.
ERASED = (
    "EXISTS (SELECT 1 FROM voter_erasure e WHERE e.kab = {row}.kab AND e.voter = {row}.uid "  # noqa: S608  our own words
    f"AND e.state IN ('{BURIED[0]}', '{BURIED[1]}'))"
)
_newer = table(NEWER, column("kab"), column("uid"), column("wrapped"), column("epoch"))


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """What came of it. rows: (kab, uid, version, seal) of every row that has another key now. lost: uids that no key opens any more."""

    rows: Sequence[tuple[str, str, int, bytes]] = ()
    lost: Sequence[str] = field(default=())


@dataclass(frozen=True, slots=True)
class Buried:
    """A voter erased after the backup was made: the tombstone's uid, and whose it is."""

    erasure: str
    kab: str
    voter: str


def bury(connection: Connection) -> list[Buried]:
    """Take the keys of every voter whose tombstone stands, empty rows that the backup still has whole, and return whose they were."""
    connection.execute(text(f"DELETE FROM voter_key WHERE {ERASED.format(row='voter_key')}"))  # noqa: S608  our own words
    here = and_(VoterErasure.kab == Voter.kab, VoterErasure.voter == Voter.uid, VoterErasure.state.in_(BURIED), Voter.seal != b"")
    query = select(VoterErasure.uid, Voter.kab, Voter.uid, Voter.row_version).join(Voter, here).order_by(VoterErasure.uid)
    empty: dict[str, object] = {f"c{number:02d}": b"" for number in range(CELL_COUNT)}
    empty |= {"b_nik": b"", "b_nkk": b"", "b_nd": b"", "seal": b"", "status": RowStatus.DIHAPUS.value}
    found = []
    for erasure, kab, uid, version in connection.execute(query).all():
        connection.execute(update(Voter).where(Voter.kab == kab, Voter.uid == uid).values(empty | {"row_version": version + 1}))
        found.append(Buried(erasure, kab, uid))
    return found


def rekey(connection: Connection, house: KeyHouse) -> Rekeyed:
    """Put every record key that was wrapped anew since into its row of the open transaction, and seal the row anew around it.

    A row's seal must hold as the backup has it, with the wrapped bytes of then, before it gets another. house: over the L1 keys of now.
    """
    connection.execute(text(f"CREATE INDEX {NEWER}_at ON {NEWER} (kab, uid)"))
    done, lost = list[tuple[str, str, int, bytes]](), list[str]()
    for page in _pages(connection):
        seals, keys = list[dict[str, object]](), list[dict[str, object]]()
        for row, wrapped, epoch in page:
            kab, uid = row.clear.kab, row.clear.uid
            try:
                made = rejoin(house.key_named("seal", kab, epoch, f"voter {uid}"), row, wrapped)
            except SealBroken:
                lost.append(uid)
                continue
            seals.append({"of": kab, "at": uid, "seal": made.seal})
            keys.append({"of": kab, "at": uid, "wrapped": made.wrapped, "epoch": made.epoch})
            done.append((kab, uid, row.clear.row_version, made.seal))
        if seals:
            here = (column("kab") == bindparam("of"), column("uid") == bindparam("at"))
            rows, wrappings = cast(Table, Voter.__table__), cast(Table, VoterKey.__table__)
            connection.execute(update(rows).where(*here).values(seal=bindparam("seal")), seals)
            connection.execute(update(wrappings).where(*here).values(wrapped=bindparam("wrapped"), epoch=bindparam("epoch")), keys)
    return Rekeyed(done, lost)


def _pages(connection: Connection) -> Iterator[list[tuple[SealedRow, bytes, int]]]:
    """Yield the rows whose wrapped key is another in the later set, by place."""
    cells = [getattr(Voter, f"c{number:02d}") for number in range(CELL_COUNT)]
    now = and_(_newer.c.kab == VoterKey.kab, _newer.c.uid == VoterKey.uid, _newer.c.wrapped != VoterKey.wrapped)
    clear = (Voter.kab, Voter.uid, Voter.kec, Voter.desa, Voter.tps, Voter.election, Voter.status, Voter.row_version, Voter.key_epoch)
    query = (
        select(
            *clear,
            *cells,
            VoterKey.wrapped,
            Voter.b_nik,
            Voter.b_nkk,
            Voter.b_nd,
            Voter.seal,
            VoterKey.epoch,
            _newer.c.wrapped,
            _newer.c.epoch,
        )
        .join(VoterKey, and_(VoterKey.kab == Voter.kab, VoterKey.uid == Voter.uid))
        .join(_newer, now)
        .order_by(Voter.kab, Voter.uid)
        .limit(_PAGE)
    )
    last = ("", "")
    while page := connection.execute(query.where(tuple_(Voter.kab, Voter.uid) > last)).all():
        yield [_split(tuple(row)) for row in page]
        last = (page[-1][0], page[-1][1])


def _split(row: tuple[object, ...]) -> tuple[SealedRow, bytes, int]:
    clear, cells, rest = row[:9], row[9:23], row[23:]
    wrapped, b_nik, b_nkk, b_nd, seal, epoch, newer, newer_epoch = rest
    old = SealedRow(Clear(*clear), cells, wrapped, b_nik, b_nkk, b_nd, seal, epoch)  # type: ignore[arg-type]  # the columns' own types
    return old, newer, newer_epoch  # type: ignore[return-value]  # as above
