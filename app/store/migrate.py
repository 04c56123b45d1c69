"""Brings a database to the newest schema, and says where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.store.engine import Store

# As in the migration 0011: beyond, so many files slow every start of the server.
MOST_PARTITIONS = 64


@dataclass(frozen=True, slots=True)
class Layout:
    """How the roll lies in PostgreSQL. kind: ``partitions`` or ``citus``; partitions: hash partitions of each province, 1 or more."""

    kind: str = "partitions"
    partitions: int = 1


def _config(migrations: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations))
    return config


def upgrade(store: Store, migrations: Path, revision: str = "head", layout: Layout | None = None) -> None:
    """Run every migration up to *revision* in one transaction. *store* is the owner's connection; *layout* is read once, by 0011.

    Raises RuntimeError for a layout that is not possible here: nothing was changed then.
    """
    config = _config(migrations)
    if layout is not None:
        config.attributes |= {"layout": layout.kind, "partitions": layout.partitions}
    with store.engine.connect().execution_options(gardu_write=True) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


def downgrade(store: Store, migrations: Path, revision: str) -> None:
    """Run migrations down to *revision*. Raises RuntimeError while the trail has entries."""
    config = _config(migrations)
    with store.engine.connect().execution_options(gardu_write=True) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
        connection.commit()


def standing(store: Store, migrations: Path) -> tuple[str | None, str | None]:
    """Return (revision of the database, newest revision known here). Raises StoreDown."""
    with store.reading() as session:
        return MigrationContext.configure(session.connection()).get_current_revision(), _newest(migrations)


@cache
def _newest(migrations: Path) -> str | None:
    """Return the newest revision in *migrations*; read once, since what was shipped stays as it is while a process lives."""
    return ScriptDirectory.from_config(_config(migrations)).get_current_head()
