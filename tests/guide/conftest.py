"""Houses for the pages: copies of one that was installed once, since making one takes most of a second."""

from __future__ import annotations

from tests.walk_kit import installed_sqlite, sqlite_house

__all__ = ["installed_sqlite", "sqlite_house"]
