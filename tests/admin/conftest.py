"""Houses with an administrator's desk; copies of one that was installed once."""

from __future__ import annotations

import pytest

from app.factory import House
from tests.admin.admin_kit import Desk, Site
from tests.walk_kit import house, installed_postgres, installed_sqlite, postgres_house, sqlite_house

__all__ = ["desk", "house", "installed_postgres", "installed_sqlite", "one", "postgres_house", "site", "sqlite_house", "wide"]


@pytest.fixture
def desk(house: House) -> Desk:
    """A desk over each engine."""
    return Desk(house)


@pytest.fixture
def one(sqlite_house: House) -> Desk:
    """A desk over SQLite alone, where the engine makes no difference."""
    return Desk(sqlite_house)


@pytest.fixture
def wide(house: House) -> Site:
    """The pages over each engine."""
    return Site(Desk(house))


@pytest.fixture
def site(one: Desk) -> Site:
    """The pages over SQLite alone."""
    return Site(one)
