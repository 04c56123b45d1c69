"""One Store per database: engines whose durability is set and read back on every connection."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DataError, DBAPIError, DisconnectionError, IntegrityError, ProgrammingError
from sqlalchemy.orm import Session
from sqlalchemy.pool import Pool

from app.kernel.errors import StoreDown, UnsafeStart

# 20 s: longer than any write of ours holds the SQLite lock (50 ms) or a PostgreSQL row (one batch).
LOCK_WAIT_SECONDS = 20
_SQLITE_PRAGMAS = (
    ("journal_mode", "wal"),
    ("synchronous", 2),  # FULL: an fsync at each commit, so an acknowledged entry survives a power cut
    ("recursive_triggers", 1),  # INSERT OR REPLACE would otherwise slip past the delete triggers
    ("foreign_keys", 1),
    ("secure_delete", 1),
)
# What a statement or its values did wrong, not the database.
_OURS = (IntegrityError, ProgrammingError, DataError)


class Store:
    """A database, opened for reading or for writing.

    url: SQLAlchemy URL; ``sqlite:///…`` or ``postgresql+psycopg://…`` (``postgresql://`` is understood too).
    Raises UnsafeStart for another engine.
    """

    def __init__(self, url: str, *, pool_size: int = 12) -> None:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
            raise UnsafeStart(f"database engine {parsed.get_backend_name()!r} is not supported; use sqlite or postgresql")
        self.dialect = parsed.get_backend_name()
        self.engine = _sqlite(parsed, pool_size) if self.dialect == "sqlite" else _postgresql(parsed, pool_size)
        _OPEN.add(self)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session for reading; whatever was changed in it is rolled back. Raises StoreDown when unreachable."""
        with _reachable(), Session(self.engine, expire_on_commit=False) as session:
            yield session
            session.rollback()

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Open a session that commits at the end and rolls back on an error (SQLite: BEGIN IMMEDIATE).

        Raises StoreDown when the database cannot be reached or stays locked.
        """
        with (
            _reachable(),
            self.engine.connect().execution_options(gardu_write=True) as connection,
            Session(connection, expire_on_commit=False) as session,
        ):
            yield session
            session.commit()

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


# Every store of this process, and in a forked one the pools that it must not touch.
_OPEN = WeakSet[Store]()
_INHERITED: list[Pool] = []


def _forked() -> None:
    """Leave the connections of the process we were forked from to it: two that talk over one would each hear the other's answers."""
    for store in list(_OPEN):
        # Kept, not closed: even closing an inherited SQLite connection is forbidden (sqlite.org, "How To Corrupt", 2.6).
        _INHERITED.append(store.engine.pool)
        store.engine.dispose(close=False)


os.register_at_fork(after_in_child=_forked)


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if isinstance(error, _OURS) and not error.connection_invalidated:
            raise
        # A server or file in trouble: gone, read-only, full, torn. str(error) would carry bound parameters; the driver's words do not.
        raise StoreDown(f"database: {error.orig!s}") from None


def _sqlite(url: URL, pool_size: int) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=4,
        connect_args={"timeout": LOCK_WAIT_SECONDS, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        for name, wanted in _SQLITE_PRAGMAS:
            cursor.execute(f"PRAGMA {name}={wanted}")
            got = cursor.execute(f"PRAGMA {name}").fetchone()[0]
            if str(got).lower() != str(wanted).lower() and not (name == "journal_mode" and got == "memory"):
                raise UnsafeStart(f"SQLite {name} is {got!r}, not {wanted!r}; the log would not be durable here")
        cursor.close()
        record.info["file"] = _file(url)

    @event.listens_for(engine, "checkout")
    def _still_there(_connection: Any, record: Any, _proxy: Any) -> None:
        # An entry written to a file without a name is gone with this process: whoever reads on would be recorded nowhere.
        if record.info["file"] != _file(url):
            raise DisconnectionError("the database file was removed or replaced")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("gardu_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _file(url: URL) -> tuple[int, int] | None:
    """Return device and inode of the database file, or None when there is none under that name."""
    try:
        found = Path(str(url.database)).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _postgresql(url: URL, pool_size: int) -> Engine:
    engine = create_engine(url, hide_parameters=True, pool_size=pool_size, max_overflow=4, pool_pre_ping=True)

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = on")
            cursor.execute(f"SET lock_timeout = '{LOCK_WAIT_SECONDS}s'")
            cursor.execute("SET timezone = 'UTC'")
            for name in ("fsync", "full_page_writes", "synchronous_commit"):
                cursor.execute(f"SHOW {name}")
                if cursor.fetchone()[0] not in {"on", "remote_apply", "remote_write"}:
                    raise UnsafeStart(f"PostgreSQL {name} is off; the log would not be durable here")
        connection.commit()

    return engine
