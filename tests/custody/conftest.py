"""Houses for the attack tests: copies of one that was installed once, since making one takes half a second."""

from __future__ import annotations

from tests.walk_kit import house, installed_postgres, installed_sqlite, postgres_house, sqlite_house

__all__ = ["house", "installed_postgres", "installed_sqlite", "postgres_house", "sqlite_house"]
