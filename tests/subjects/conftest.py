"""A house with voters of two kab/kota and officers over them; copies of one that was installed once."""

from __future__ import annotations

import pytest

from app.factory import House
from tests.subjects.subjects_kit import Site, loaded
from tests.walk_kit import house, installed_postgres, installed_sqlite, postgres_house, sqlite_house

__all__ = ["house", "installed_postgres", "installed_sqlite", "postgres_house", "site", "sqlite_house", "sqlite_site"]


@pytest.fixture
def site(house: House) -> Site:
    """The application over each engine, three voters in 51.71 and one in 51.03."""
    return Site(loaded(house))


@pytest.fixture
def sqlite_site(sqlite_house: House) -> Site:
    """The same over SQLite alone, where the engine makes no difference."""
    return Site(loaded(sqlite_house))
