"""Houses with the people of a desk; copies of one that was installed once."""

from __future__ import annotations

import pytest

from app.factory import House
from tests.mandates.mandates_kit import Desk, people_of
from tests.walk_kit import house, installed_postgres, installed_sqlite, postgres_house, sqlite_house

__all__ = ["desk", "house", "installed_postgres", "installed_sqlite", "one", "postgres_house", "sqlite_house"]


@pytest.fixture
def desk(house: House) -> Desk:
    """A desk over each engine."""
    return Desk(house, people_of(house))


@pytest.fixture
def one(sqlite_house: House) -> Desk:
    """A desk over SQLite alone, where the engine makes no difference."""
    return Desk(sqlite_house, people_of(sqlite_house))
