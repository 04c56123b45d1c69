"""A log with a row of every table near the borders of ranges of 256 entries, made once for each engine and copied for each attack."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text

from app.audit.cosign import Cosigner
from app.audit.entry import Draft
from app.audit.published import Cosignature, Published, put_published
from app.audit.query import head
from app.audit.report import Report
from app.audit.tiles import store_tiles
from app.audit.verify import verify
from app.kernel.payload import SealedPayload
from app.store.engine import Store
from tests.audit.retention_kit import erase_on, text_of
from tests.conftest import PostgresServer
from tests.trail_kit import BOX, NOON, ORIGIN, SIGNER, TABLES, draft, touch, trail_on

WIDTH = 256
WITNESS = Cosigner("saksi.example/w1", bytes(range(32)))
# Three ranges and a rest; 780 is the entry that erased the payloads of 70 and 259.
SIZE = 830
ERASED, BY = (70, 259), 780


def both(store: Store, *, keys: bool = True, known: Sequence[str] = ()) -> tuple[Report, Report]:
    """Verify entry by entry with one process, and with two in ranges."""
    given = {"open_payload": BOX.open, "token": BOX.token} if keys else {}
    told: list[tuple[int, int]] = []
    alone, together = (
        verify(
            store, ORIGIN, SIGNER.vkey, known=known, witnesses=[WITNESS.verifier], workers=workers, width=WIDTH,
            progress=lambda *at: told.append(at), **given,  # type: ignore[arg-type]
        )
        for workers in (1, 2)
    )  # fmt: skip
    assert alone.processes == 1
    return alone, together


def demand_the_same(store: Store, *, keys: bool = True, known: Sequence[str] = ()) -> Report:
    """Return what both say. The ranges say that all is sound, or have the walk speak: a report that differs is one of theirs."""
    alone, together = both(store, keys=keys, known=known)
    assert together == alone, [one.what for one in together.findings]
    assert together.processes == (2 if alone.ok else 1)
    return alone


def lengthen(store: Store, to: int, step: int = 64) -> None:
    """Append entries until there are *to*, in batches of *step*: every seventh, and those at a border, with a payload that names two voters."""
    trail, here = trail_on(store), head(store, ORIGIN).size if _begun(store) else 0
    for start in range(here, to, step):
        batch: list[tuple[Draft, SealedPayload | None]] = [
            touch(number, 2) if number % 7 == 0 or number % WIDTH in (0, WIDTH - 1) else (draft(number), None)
            for number in range(start, min(start + step, to))
        ]
        with store.writing() as session:
            trail._write(session, [trail._row(made, payload) for made, payload in batch])


def _begun(store: Store) -> bool:
    with store.reading() as session:
        return session.execute(text("SELECT 1 FROM trail_head")).first() is not None


def publish(store: Store) -> int:
    """Publish the newest checkpoint with tiles, a cosignature and a time stamp; return its size."""
    end, at = head(store, ORIGIN), NOON + timedelta(seconds=30)
    store_tiles(store, ORIGIN, end.size)
    line = WITNESS.sign(text_of(end.checkpoint), int(at.timestamp()))
    signed = Cosignature(end.size, WITNESS.verifier.key_id.hex(), WITNESS.name, line, at)
    put_published(store, ORIGIN, Published(end.size, end.checkpoint, NOON + timedelta(minutes=1)), [signed])
    with store.writing() as session:
        session.execute(
            text("INSERT INTO trail_stamp VALUES (:log, :size, 'https://tsa.example', :token, :at)"),
            {"log": ORIGIN, "size": end.size, "token": b"a token", "at": "2026-11-24 04:00:00"},
        )
    return end.size


def rich(store: Store) -> None:
    """Make the log: published at a border and elsewhere, with payloads erased across one, and a last part that nobody saw yet."""
    lengthen(store, 256)
    publish(store)
    lengthen(store, 300)
    publish(store)
    lengthen(store, 512)
    publish(store)
    lengthen(store, BY)
    publish(store)
    assert erase_on(store, *ERASED).seq == BY
    lengthen(store, SIZE)


@dataclass(frozen=True)
class Kept:
    """A finished log at rest. url: of its owner; on PostgreSQL a template that nobody is connected to."""

    url: str
    server: PostgresServer | None

    @contextmanager
    def copy(self, folder: Path) -> Iterator[tuple[Store, Store]]:
        """Yield (the store as the application opens it, the same database as its owner holds it, guards off)."""
        if self.server is None:
            file = folder / "copy.db"
            shutil.copyfile(self.url, file)
            store = owner = Store(f"sqlite:///{file}")
            name = None
        else:
            name = self.server.copy(self.url)
            store, owner = Store(self.server.url(name, "gardu_app_login")), Store(self.server.url(name))
            with owner.writing() as session:
                for table in (*TABLES, "payload_erasure", "trail_minimum"):
                    session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        try:
            yield store, owner
        finally:
            store.dispose()
            owner.dispose()
            if self.server is not None:
                self.server.drop(name)


def keep(store: Store, server: PostgresServer | None, folder: Path) -> Kept:
    """Put *store* to rest."""
    if server is None:
        with store.writing() as session:
            for name in session.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all():
                session.execute(text(f"DROP TRIGGER {name}"))
        with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        file = folder / "kept.db"
        shutil.copyfile(str(store.engine.url.database), file)
        store.dispose()
        return Kept(str(file), None)
    store.dispose()
    return Kept(str(store.engine.url.database), server)
