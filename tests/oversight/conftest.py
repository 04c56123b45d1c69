"""Houses with a short history, copies of one that was installed once."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.factory import House
from tests.oversight.oversight_kit import History, history_of
from tests.walk_kit import house, installed_postgres, installed_sqlite, postgres_house, sqlite_house

__all__ = ["history", "house", "installed_postgres", "installed_sqlite", "one", "postgres_house", "sqlite_house"]


@pytest.fixture
def history(house: House, tmp_path: Path) -> History:
    """A short history over each engine."""
    return history_of(house, tmp_path)


@pytest.fixture
def one(sqlite_house: House, tmp_path: Path) -> History:
    """A short history over SQLite alone, where the engine makes no difference."""
    return history_of(sqlite_house, tmp_path)
