"""The proof of one entry, step by step: good as it stands, and what each kind of tampering does to it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.audit.single import Check, Found, prove
from app.kernel.errors import NotThere
from app.openlog.publisher import publish
from tests.conftest import ROOT
from tests.oversight.oversight_kit import History, text_of
from tests.walk_kit import tamper

_FREE = {
    "trail_entry": "DROP TRIGGER trail_entry_no_update",
    "trail_payload": "DROP TRIGGER trail_payload_no_update",
    "trail_checkpoint": "DROP TRIGGER trail_checkpoint_no_update",
    "touch_index": "DROP TRIGGER touch_index_no_delete",
}


def proof(history: History, seq: int) -> dict[Check, Found]:
    """Check → what it found."""
    guard = history.house.guard

    def open_sealed(sealed: bytes, wrapped: bytes, day: str, commitment: bytes) -> bytes:
        return guard.payloads.open(sealed, wrapped, day, guard.log, commitment)

    return {one.check: one.found for one in prove(guard.store, guard.log, seq, guard.trail.vkey, open_sealed, guard.payloads.token)}


def bad(history: History, seq: int) -> set[str]:
    return {check.value for check, found in proof(history, seq).items() if found is Found.BAD}


def test_every_entry_of_a_good_log_is_proved(history: History) -> None:
    """From the first to the last; eight steps each, none of them bad."""
    for seq in range(history.changed + 1):
        found = proof(history, seq)
        assert list(found) == list(Check)
        assert Found.BAD not in found.values() and Found.UNKNOWN not in found.values(), (seq, found)
    assert proof(history, history.read)[Check.TOUCHES] is Found.GOOD


@pytest.mark.parametrize(
    ("table", "change", "found"),
    [
        ("trail_entry", "UPDATE trail_entry SET body = replace(body, 'allowed', 'alloweD') WHERE seq = {seq}", {"bytes", "leaf", "inclusion"}),
        ("trail_entry", "UPDATE trail_entry SET body = replace(body, 'pemutakhiran', 'rekapitulasi') WHERE seq = {seq}",
         {"columns", "chain", "leaf", "inclusion"}),
        ("trail_entry", "UPDATE trail_entry SET actor = 'xyz' WHERE seq = {seq}", {"columns"}),
        ("trail_entry", "UPDATE trail_entry SET outcome = 'denied' WHERE seq = {seq}", {"columns"}),
        ("trail_entry", "UPDATE trail_entry SET at = '2026-12-01 03:00:00.000001' WHERE seq = {seq}", {"columns"}),
        ("trail_entry", "UPDATE trail_entry SET elements = 0 WHERE seq = {seq}", {"columns"}),
        ("trail_entry", "UPDATE trail_entry SET leaf = zeroblob(32) WHERE seq = {seq}", {"leaf"}),
        ("trail_entry", "UPDATE trail_entry SET body = (SELECT body FROM trail_entry WHERE seq = {seq} - 1) WHERE seq = {seq}",
         {"bytes", "leaf", "inclusion"}),
        ("trail_entry", "UPDATE trail_entry SET body = replace(body, '51.71', '51.03') WHERE seq = {seq} - 1", {"chain"}),
        ("trail_entry", "UPDATE trail_entry SET body = replace(body, '\"prev\":\"', '\"prev\":\"x') WHERE seq = {seq} + 1", {"chain"}),
        ("trail_payload", "UPDATE trail_payload SET sealed = zeroblob(64) WHERE seq = {seq}", {"payload"}),
        ("trail_payload", "UPDATE trail_payload SET wrapped = zeroblob(65) WHERE seq = {seq}", {"payload"}),
        ("trail_payload", "UPDATE trail_payload SET day = '2026-12-02' WHERE seq = {seq}", {"payload"}),
        ("trail_checkpoint", "UPDATE trail_checkpoint SET note = replace(note, 'uji.localhost', 'lain.localhost') WHERE size = {seq} + 1",
         {"checkpoint"}),
        ("touch_index", "DELETE FROM touch_index WHERE seq = {seq}", {"touches"}),
    ],
)  # fmt: skip
def test_each_kind_of_tampering_shows_at_its_step(one: History, table: str, change: str, found: set[str]) -> None:
    """Changed past the application, with the triggers out of the way."""
    # SQLite compares and replaces text: bytes become text and back.
    change = re.sub(r"replace\((body|note), ('(?:[^']|'')*', '(?:[^']|'')*')\)", r"CAST(replace(CAST(\1 AS TEXT), \2) AS BLOB)", change)
    if table == "trail_checkpoint":
        change = change.replace(" AS BLOB)", " AS TEXT)")
    assert tamper(one.house, _FREE[table], change.format(seq=one.read)) == 1

    here = bad(one, one.read)

    assert found <= here, here
    page = one.get(f"/audit/{one.read}/verify")
    assert 'data-proof="bad"' in page.text and "CSIRT" in text_of(page)
    assert (one.last["action"], one.last["outcome"]) == ("trail:verify", "failed")


def test_a_good_proof_is_an_entry_too(history: History) -> None:
    page = history.get(f"/audit/{history.read}/verify")

    assert 'data-proof="good"' in page.text
    assert page.text.count('data-found="good"') == len(Check)
    assert (history.last["action"], history.last["outcome"]) == ("trail:verify", "done")


def test_an_entry_that_is_not_there_cannot_be_proved(one: History) -> None:
    for seq in (-1, 10**6, 2**63, 2**70):
        with pytest.raises(NotThere):
            proof(one, seq)


def test_the_one_file_verifier_accepts_the_receipt_and_refuses_a_changed_one(history: History, tmp_path: Path) -> None:
    """The two downloads of the page are all it takes, on a machine that knows nothing of Gardu."""
    receipt, program = tmp_path / "r.tlog-proof", tmp_path / "verify.py"
    receipt.write_text(history.get(f"/audit/{history.read}/receipt").text)
    program.write_text(history.get("/audit/verifier").text)
    key = history.house.guard.trail.vkey

    def verdict() -> int:
        call = [sys.executable, str(program), "receipt", str(receipt), "--key", key]
        return subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False, env={"PATH": ""}).returncode

    assert program.read_text() == (ROOT / "app" / "verifier.py").read_text()
    assert verdict() == 0
    receipt.write_text(receipt.read_text().replace(f"index {history.read}", f"index {history.read - 1}"))
    assert verdict() == 1


def test_a_published_entry_is_offered_with_the_witnesses_signatures(history: History) -> None:
    """Before publishing the page offers no such receipt; afterwards it does, and the file is against the published checkpoint."""
    before = history.get(f"/audit/{history.read}").text
    assert "saksi=1" not in before
    found = publish(history.house.openlog, history.house.clock.now())
    assert found is not None

    assert f"/audit/{history.read}/receipt?saksi=1" in history.get(f"/audit/{history.read}").text
    assert history.get(f"/audit/{history.read}/receipt?saksi=1").text.endswith(found.note)
