"""The database as its owner holds it: what somebody with the file or the superuser's password can do."""

from __future__ import annotations

from tests.trail_kit import owner

__all__ = ["owner"]
