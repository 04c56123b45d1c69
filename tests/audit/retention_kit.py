"""What tests of erasing and pruning share: the two acts on a bare log, without the rooms above it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import pytest

from app.audit.entry import Draft, draft_for
from app.audit.erasure import DETAIL, Erased, erase_within, erasure_digest, marks_of
from app.audit.note import parse_checkpoint, split_note
from app.audit.pruning import DETAIL as PRUNE
from app.audit.pruning import cut_at, prune_within
from app.audit.published import Cosignature, Published, put_published
from app.audit.query import head
from app.audit.tiles import store_tiles
from app.audit.trail import Faults, Receipt
from app.kernel.actor import host_actor
from app.kernel.fields import Action, Outcome
from app.kernel.payload import SealedPayload
from app.store.engine import Store
from tests.trail_kit import NOON, ORIGIN, SIGNER, draft, fill, touch, trail_on


def erasing(store: Store, log: str, seqs: Sequence[int], at: datetime = NOON) -> tuple[Draft, bytes]:
    """Return the entry that erases the payloads of *seqs* of *log*, and the digest it names them by."""
    with store.reading() as session:
        digest = erasure_digest(log, marks_of(session, log, seqs))
    return draft_for(host_actor(), Action.PAYLOAD_ERASE, Outcome.DONE, at, detail=(DETAIL, digest)), digest


def erase_on(store: Store, *seqs: int, faults: Faults | None = None) -> Receipt:
    """Erase payloads of the test's log, as the room above does."""
    made, digest = erasing(store, ORIGIN, seqs)
    with store.writing() as session:
        receipt = trail_on(store, faults=faults).append_within(session, made)
        erase_within(session, ORIGIN, seqs, Erased(receipt.log, receipt.seq), digest)
        if faults is not None:
            faults("erased")
    return receipt


def prune_on(store: Store, owner: Store, minimum: int, faults: Faults | None = None) -> Receipt:
    """Prune the test's log to *minimum*. owner: the same database as its owner opens it, guards in force."""
    store_tiles(store, ORIGIN, minimum)
    with owner.writing() as session:
        cut = cut_at(session, ORIGIN, minimum)
        made = draft_for(host_actor(), Action.TRAIL_PRUNE, Outcome.DONE, NOON, detail=(PRUNE, cut.digest))
        receipt = trail_on(store, faults=faults).append_within(session, made)
        prune_within(session, cut, receipt.seq, SIGNER)
        if faults is not None:
            faults("pruned")
    return receipt


def fill_quickly(store: Store, count: int) -> None:
    """Append *count* entries in a few transactions: every seventh with a payload that names one voter."""
    trail = trail_on(store)
    for start in range(0, count, 256):
        with store.writing() as session:
            batch: list[tuple[Draft, SealedPayload | None]] = [
                touch(number) if number % 7 == 0 else (draft(number), None) for number in range(start, min(start + 256, count))
            ]
            rows = [trail._row(made, payload) for made, payload in batch]
            trail._write(session, rows)


def publish_on(store: Store, *lines: Cosignature) -> Published:
    """Publish the newest checkpoint, with tiles, as the background does."""
    end = head(store, ORIGIN)
    store_tiles(store, ORIGIN, end.size)
    made = Published(end.size, end.checkpoint, NOON + timedelta(minutes=1))
    put_published(store, ORIGIN, made, lines)
    return made


def text_of(note: str) -> str:
    """Return a note's text without its signatures."""
    text = split_note(note)[0]
    assert parse_checkpoint(text)
    return text


@pytest.fixture
def guarded_owner(store: Store, request: pytest.FixtureRequest) -> Iterator[Store]:
    """The same database as its owner opens it, with every guard in force."""
    if store.dialect == "sqlite":
        opened = Store(store.engine.url.render_as_string(hide_password=False))
    else:
        opened = Store(request.getfixturevalue("postgres").url(store.engine.url.database))
    yield opened
    opened.dispose()


__all__ = ["erase_on", "erasing", "fill", "fill_quickly", "guarded_owner", "prune_on", "publish_on", "text_of"]
