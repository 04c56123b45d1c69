"""Houses over both engines, as in the walks."""

from __future__ import annotations

from tests.walk_kit import house, installed_postgres, installed_sqlite, postgres_house, sqlite_house

__all__ = ["house", "installed_postgres", "installed_sqlite", "postgres_house", "sqlite_house"]
