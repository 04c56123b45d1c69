"""One installation for all commands, copied for each test."""

from __future__ import annotations

from tests.walk_kit import installed_sqlite

__all__ = ["installed_sqlite"]
