"""The small application of web_kit, fresh for every test."""

from __future__ import annotations

import pytest
from web_kit import FakeApp, make_fake


@pytest.fixture
def fake() -> FakeApp:
    """The small application, signed in, demo, on loopback."""
    return make_fake()
