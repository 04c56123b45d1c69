"""A room on a fresh SQLite database with cheap hashing, a clock set by hand and a trail that remembers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import identity_kit as kit
import pytest

import app.audit.tables
import app.identity.tables
import app.store.keys
from app.identity.room import Identity
from app.store.base import Base
from app.store.engine import Store

assert app.audit.tables
assert app.identity.tables
assert app.store.keys


@pytest.fixture
def plain_store(tmp_path: Path) -> Iterator[Store]:
    """A SQLite database with the tables and nothing else: quicker than the migrations, which other tests walk."""
    store = Store(f"sqlite:///{tmp_path / 'identity.db'}")
    Base.metadata.create_all(store.engine)
    yield store
    store.dispose()


@pytest.fixture
def clock() -> kit.HandClock:
    """Noon in Denpasar."""
    return kit.HandClock()


@pytest.fixture
def trail() -> kit.MemoryTrail:
    """A trail that remembers."""
    return kit.MemoryTrail()


@pytest.fixture
def identity(plain_store: Store, trail: kit.MemoryTrail, clock: kit.HandClock) -> Identity:
    """The room."""
    return kit.identity_on(plain_store, trail, clock)
