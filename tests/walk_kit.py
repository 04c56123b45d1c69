"""What the attack tests share: the hands of a database's owner, and eyes that read the log back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sqlalchemy import select, text

from app.audit.entry import parse
from app.audit.note import Signer
from app.audit.tables import TouchIndex, TrailEntry, TrailPayload
from app.audit.trail import Faults, Trail
from app.custody.storecheck import check_store
from app.factory import House, join
from app.kernel.actor import Actor
from app.kernel.fields import Basis, Element, Purpose, Role
from app.settings import Settings
from app.store.engine import Store
from app.touch import Guard
from app.vault.keys.local import LocalKeyring
from app.voters import actions
from app.voters.actions import Task
from tests.conftest import KAB, PASSPHRASE, ROOT, FakeClock, dp4_row, operator, task

# Tables of the roll, in an order in which they can be emptied and filled again.
ROLL = ("voter", "voter_key", "nik_index", "quarantine")
Snapshot = dict[str, list[dict[str, object]]]


def owner(house: House) -> Store:
    """A store with the owner's rights: what a thief of the database's password has. The caller disposes of it."""
    return Store(house.settings.owner_database, pool_size=1)


def tamper(house: House, *statements: str, **values: object) -> int:
    """Run SQL as the owner; return how many rows the last statement met."""
    store = owner(house)
    try:
        with store.writing() as session:
            met = [session.execute(text(statement), values).rowcount for statement in statements]  # type: ignore[attr-defined]
        return int(met[-1])
    finally:
        store.dispose()


def rows_of(house: House, statement: str, **values: object) -> list[dict[str, object]]:
    """Read rows as they stand, as the owner."""
    store = owner(house)
    try:
        with store.reading() as session:
            return [dict(row) for row in session.execute(text(statement), values).mappings()]
    finally:
        store.dispose()


def snapshot(house: House) -> Snapshot:
    """Keep the roll's rows as bytes."""
    return {table: rows_of(house, f"SELECT * FROM {table}") for table in ROLL}


def put_back(house: House, kept: Snapshot) -> None:
    """Put the roll back as it was kept, past the log: also what somebody does who restores half a backup."""
    store = owner(house)
    with store.writing() as session:
        for table in ROLL:
            session.execute(text(f"DELETE FROM {table}"))
            for row in kept[table]:
                names = ", ".join(row)
                session.execute(text(f"INSERT INTO {table} ({names}) VALUES ({', '.join(':' + name for name in row)})"), row)
    store.dispose()


@contextmanager
def tampered(house: House, *statements: str, **values: object) -> Iterator[None]:
    """Tamper, and afterwards put everything back. The last statement must have met a row, else nothing was tested."""
    kept = snapshot(house)
    assert tamper(house, *statements, **values) > 0
    try:
        yield
    finally:
        put_back(house, kept)


def entries(house: House, since: int = 0) -> list[dict[str, object]]:
    """The log's entries from *since* on, parsed from their own bytes."""
    query = select(TrailEntry.body).where(TrailEntry.log == house.guard.log, TrailEntry.seq >= since).order_by(TrailEntry.seq)
    with house.store.reading() as session:
        return [dict(parse(body)) for body in session.scalars(query)]


def size(house: House) -> int:
    """How many entries the log has."""
    return len(entries(house))


def content(house: House, seq: int) -> dict[str, object]:
    """What stands in the sealed payload of an entry, opened with the audit key."""
    with house.store.reading() as session:
        row = session.get_one(TrailPayload, (house.guard.log, seq))
        commitment = bytes.fromhex(entries(house)[seq]["payload"]["commitment"])  # type: ignore[index]
        opened: dict[str, object] = json.loads(house.guard.payloads.open(row.sealed, row.wrapped, row.day, row.log, commitment))
        return opened


def seen_in(house: House, uid: str) -> list[int]:
    """The entries that the touch index names for a voter."""
    query = select(TouchIndex.seq).where(TouchIndex.token == house.guard.payloads.token(uid)).order_by(TouchIndex.seq)
    with house.store.reading() as session:
        return list(session.scalars(query))


def uid_of(house: House, number: int) -> str:
    """The uid of the voter made by ``dp4_row(number)``."""
    found = actions.find_by_nik(house.guard, operator(house), task(), dp4_row(number)["NIK"], house.clock.now())
    return found.shown[0].row.uid


def truth(row: dict[str, str]) -> dict[Element, str]:
    """What the elements of a DP4 row read when nothing is hidden."""
    day, month, year = row["TGL_LHR"].split("|")
    names = ("NKK", "NIK", "NAMA", "TMPT_LHR", "", "STS", "JK", "ALAMAT", "RT", "RW", "DIS", "KTPel", "KET")
    return {element: row[name] if name else f"{year}-{month}-{day}" for element, name in zip(Element, names, strict=True)}


def person(house: House, role: Role, region: str = KAB, unit: str = "data", **changes: object) -> Actor:
    """Somebody of another role, with a fresh factor."""
    office = f"{'bawaslu' if role.value.startswith('bawaslu') else 'kpu'}-{region}"
    return operator(house, region, office=office, unit=unit, role=role, roles=frozenset({role}), **changes)


def supervision(kab: str = KAB) -> Task:
    """The liaison's task."""
    return Task(Purpose.PENGAWASAN, Basis.UU7_2017, kab)


def guard_on(house: House, store: Store, faults: Faults | None = None) -> Guard:
    """The house's guard over another connection to its database, with its own appender."""
    origin = house.settings.origin
    signer = Signer(origin, house.guard.keys.key("log", "00").secret)
    trail = Trail(store, origin, signer) if faults is None else Trail(store, origin, signer, faults=faults)
    return replace(house.guard, store=store, trail=trail)


def reopened(data: Path) -> House:
    """The installation in *data*, joined as another process would."""
    settings = Settings.load(data, {})
    return join(settings, LocalKeyring.open(settings.keyring, PASSPHRASE), FakeClock())


def store_findings(house: House) -> list[str]:
    """What ``gardu audit verify --store`` would say about the rows."""
    return [f"entry {found.seq}: {found.what}" for found in check_store(house.guard, lambda done, total: None)]


def in_process(function: str, *arguments: str, **options: object) -> subprocess.Popen[str]:
    """Run a function of this module in a process of its own; it may die there."""
    code = f"import sys; from tests.walk_kit import {function}; {function}(*sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )  # type: ignore[call-overload]
