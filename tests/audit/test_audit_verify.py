"""Verifying the log: what a good one looks like, and what the report says. Attacks are in tests/faults/test_faults_tamper.py."""

from __future__ import annotations

import dataclasses

import pytest
from sqlalchemy import text

from app.audit.note import Signer
from app.audit.report import Report
from app.audit.verify import MAX_FINDINGS, StoredPayload, verify
from app.kernel.errors import BadInput, KeysDown, StoreDown
from app.store.engine import Store
from tests.trail_kit import BOX, ORIGIN, SIGNER, check, draft, fill, mixed, touch, trail_on


def test_a_good_log_is_good_with_and_without_keys(store: Store) -> None:
    """Whoever holds the keys checks everything, whoever does not checks all but the inside of payloads; progress ends at the end."""
    fill(store, mixed(9))
    told: list[tuple[int, int]] = []

    report = verify(store, ORIGIN, SIGNER.vkey, open_payload=BOX.open, token=BOX.token, progress=lambda *at: told.append(at))

    assert (report.ok, report.size, report.first, told[-1]) == (True, 9, None, (9, 9))
    assert report.checkpoint.startswith(f"{ORIGIN}\n9\n")
    assert check(store, keys=False).ok


def test_the_wrong_key_is_noticed_at_the_first_checkpoint(store: Store) -> None:
    """A log signed by another key than the one given is not good."""
    fill(store, mixed(3))

    report = verify(store, ORIGIN, Signer(ORIGIN, bytes(range(32))).vkey)

    assert report.first is not None and report.first.seq == 0 and "checkpoint ukuran 1" in report.first.what


@pytest.mark.parametrize("vkey", ["", "x", "a+b+c", SIGNER.vkey[:-1]])
def test_a_malformed_key_cannot_check(store: Store, vkey: str) -> None:
    """What is not a key is BadInput, not a verdict."""
    with pytest.raises(BadInput):
        verify(store, ORIGIN, vkey)


def test_keys_that_cannot_be_had_are_not_tampering(store: Store) -> None:
    """When the key provider is down the log could not be checked; nothing is said of it."""
    fill(store, mixed(3))

    def down(_stored: StoredPayload) -> bytes:
        raise KeysDown

    with pytest.raises(KeysDown):
        verify(store, ORIGIN, SIGNER.vkey, open_payload=down, token=BOX.token)


def test_a_database_that_cannot_be_read_is_not_tampering(store: Store, owner: Store) -> None:
    """A missing table is StoreDown or the database's own error, never a report."""
    fill(store, mixed(1))
    with owner.writing() as session:
        session.execute(text("DROP TABLE touch_index"))

    with pytest.raises(Exception, match="touch_index") as caught:
        check(store)
    assert isinstance(caught.value, StoreDown) or "UndefinedTable" in str(caught.value)


def test_a_payload_sealed_for_another_entry_is_noticed(store: Store) -> None:
    """A payload that opens but names other voters than its entry does not bear the entry out."""
    made, _ = touch(1)
    _, other = touch(2)
    trail_on(store).append(made, dataclasses.replace(other))

    report = check(store)

    assert report.first is not None and report.first.seq == 0 and "subjek" in report.first.what
    assert check(store, keys=False).ok


def test_what_is_appended_meanwhile_is_left_for_next_time(store: Store) -> None:
    """A log may grow while it is verified; one snapshot is checked."""
    fill(store, mixed(600))
    trail = trail_on(store)
    grown: list[int] = []

    def grow(_done: int, _total: int) -> None:
        grown.append(trail.append(*touch(len(grown))).seq)

    report = verify(store, ORIGIN, SIGNER.vkey, open_payload=BOX.open, token=BOX.token, progress=grow)

    assert (report.ok, report.size, len(grown) >= 1) == (True, 600, True)


def test_a_ruined_log_does_not_fill_the_report(store: Store, owner: Store) -> None:
    """The walk stops once enough is known."""
    fill(store, [(draft(number), None) for number in range(80)])
    with owner.writing() as session:
        session.execute(text("UPDATE trail_entry SET actor = 'x'"))

    report = check(store)

    assert len(report.findings) == MAX_FINDINGS
    assert report.first is not None and report.first.seq == 0


def test_the_first_finding_is_the_lowest_entry() -> None:
    """Findings without an entry come last."""
    report = Report("log")
    report.find(None, "semua")
    report.find(7, "tujuh")
    report.find(3, "tiga %(seq)s")

    assert report.first is not None and report.first.what == "tiga 3"
    assert not report.ok


def test_a_known_checkpoint_must_be_of_this_log_and_signed(store: Store) -> None:
    """A checkpoint from elsewhere is believed only with the log's own signature."""
    fill(store, mixed(2))
    foreign = Signer("lain/gardu/1", bytes(32))

    for note in ("x", foreign.sign("lain/gardu/1\n2\n" + "A" * 43 + "=\n")):
        with pytest.raises(BadInput, match="known checkpoint"):
            check(store, known=[note])
