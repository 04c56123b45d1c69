"""Reading the log by person, place and request."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.audit.query import by_actor, by_request, entry_at, head
from app.kernel.errors import BadInput, NotThere, SealBroken
from app.store.engine import Store
from tests.trail_kit import NOON, ORIGIN, draft, fill


@pytest.fixture
def filled(store: Store) -> Store:
    """Thirty entries of seven actors."""
    fill(store, [(draft(number), None) for number in range(30)])
    return store


def test_a_persons_entries_come_newest_first_page_by_page(filled: Store) -> None:
    """Paging by `before` walks through all entries of one actor, and of nobody else, once."""
    pages, before = [], None
    while page := by_actor(filled, ORIGIN, "host:3", before=before, limit=2):
        pages.append([one.seq for one in page])
        before = page[-1].seq

    assert pages == [[24, 17], [10, 3]]


def test_an_entry_is_read_with_its_members(filled: Store) -> None:
    """entry_at gives the bytes and what stands in them."""
    stored = entry_at(filled, ORIGIN, 8)

    assert (stored.seq, stored.members["request"], stored.members["actor"]) == (8, "req-8", "host:1")


@pytest.mark.parametrize("seq", [-1, 30, 2**63, 10**30])
def test_an_entry_that_is_not_there(filled: Store, seq: int) -> None:
    """A number outside the log, however large, is NotThere."""
    with pytest.raises(NotThere):
        entry_at(filled, ORIGIN, seq)


def test_entries_of_a_request(filled: Store) -> None:
    """A request id finds its entries; `since` bounds the search."""
    assert [one.seq for one in by_request(filled, ORIGIN, "req-7")] == [7]
    assert by_request(filled, ORIGIN, "req-7", since=NOON + timedelta(seconds=8)) == []


@pytest.mark.parametrize("limit", [0, -1, 201])
def test_a_page_has_bounds(filled: Store, limit: int) -> None:
    """A page holds 1 to 200 entries."""
    with pytest.raises(BadInput):
        by_actor(filled, ORIGIN, "host:3", limit=limit)


def test_a_huge_cursor_is_harmless(filled: Store) -> None:
    """A cursor from an address bar never reaches the driver as a number it cannot hold."""
    assert len(by_actor(filled, ORIGIN, "host:3", before=10**40)) == 4
    assert by_actor(filled, ORIGIN, "host:3", before=-(10**40)) == []


def test_the_head_says_where_the_log_ends(filled: Store) -> None:
    """Size, checkpoint and moment of the last entry."""
    end = head(filled, ORIGIN)

    assert (end.size, end.changed_at) == (30, NOON + timedelta(seconds=29))
    assert end.checkpoint.startswith(f"{ORIGIN}\n30\n")


def test_an_entry_that_was_damaged_is_not_shown(filled: Store, owner: Store) -> None:
    """Reading bytes that are no entry is SealBroken."""
    with owner.writing() as session:
        session.execute(text("UPDATE trail_entry SET body = :body WHERE seq = 3"), {"body": b"{}"})

    with pytest.raises(SealBroken, match="run gardu audit verify"):
        entry_at(filled, ORIGIN, 3)
