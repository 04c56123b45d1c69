"""An erased payload on the officer's pages: said by the entry that erased it, never a failure."""

from __future__ import annotations

import re

from app.cli.shell import host_actor
from app.custody import erase
from tests.oversight.oversight_kit import History, text_of
from tests.walk_kit import tamper


def test_the_pages_of_an_entry_say_which_entry_erased_its_payload(history: History) -> None:
    """The entry's page names the erasing entry and shows nothing of the payload; its proof has every step good, two of them erased."""
    guard = history.house.guard
    receipt = erase.erase(guard, host_actor(), guard.log, [history.read], "perintah uji", history.house.clock.now())

    page = history.get(f"/audit/{history.read}")
    proof = history.get(f"/audit/{history.read}/verify")

    assert page.status_code == proof.status_code == 200
    assert f"Muatan dihapus oleh entri {receipt.seq}." in text_of(page) and "192.0.2.1" not in page.text
    assert 'data-proof="good"' in proof.text
    assert dict(re.findall(r'data-check="(payload|touches|chain)" data-found="(\w+)"', proof.text)) == {
        "chain": "good", "payload": "erased", "touches": "erased",
    }  # fmt: skip
    assert history.get(f"/audit/{receipt.seq}").status_code == 200


def test_an_erasure_that_its_entry_does_not_say_is_bad_on_the_spot(history: History) -> None:
    """The row points at an entry that erased nothing: the proof says so."""
    guard = history.house.guard
    erase.erase(guard, host_actor(), guard.log, [history.read], "perintah uji", history.house.clock.now())
    free = (
        "DROP TRIGGER payload_erasure_no_update" if guard.store.dialect == "sqlite" else "ALTER TABLE payload_erasure DISABLE TRIGGER USER"
    )

    tamper(history.house, free, "UPDATE payload_erasure SET by_seq = 1")

    assert 'data-check="payload" data-found="bad"' in history.get(f"/audit/{history.read}/verify").text
