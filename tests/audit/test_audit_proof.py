"""Receipts as files, and the export."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from sqlalchemy import text

from app.audit.export import export
from app.audit.note import open_note, parse_checkpoint
from app.audit.proof import tlog_proof
from app.audit.query import entry_at, head
from app.audit.tree import leaf_hash, verify_inclusion
from app.kernel.errors import NotThere, SealBroken
from app.store.engine import Store
from tests.trail_kit import ORIGIN, SIGNER, draft, fill, mixed, trail_on


def test_every_entry_has_a_proof_that_stands_on_its_own(store: Store) -> None:
    """The file is a C2SP tlog-proof: magic, the entry, its index, its path, an empty line, a signed checkpoint."""
    fill(store, mixed(11))
    for seq in range(11):
        head_, _, note = tlog_proof(store, ORIGIN, seq).partition("\n\n")
        magic, extra, index, *path = head_.split("\n")
        body = base64.b64decode(extra.removeprefix("extra "))
        mark = parse_checkpoint(open_note(note, [SIGNER.verifier]).text)

        assert (magic, index) == ("c2sp.org/tlog-proof@v1", f"index {seq}")
        assert body == entry_at(store, ORIGIN, seq).body
        verify_inclusion(seq, mark.size, leaf_hash(body), [base64.b64decode(one) for one in path], mark.root)


def test_a_proof_is_the_same_file_whenever_it_is_asked_for(store: Store) -> None:
    """It is against the checkpoint of the entry's own batch, so it does not change as the log grows."""
    fill(store, mixed(4))
    before = tlog_proof(store, ORIGIN, 2)

    fill(store, mixed(9))

    assert tlog_proof(store, ORIGIN, 2) == before


def test_the_proof_has_the_receipts_checkpoint(store: Store) -> None:
    """What the caller was given and what the file says is one checkpoint."""
    receipt = trail_on(store).append(draft(0))

    assert tlog_proof(store, ORIGIN, receipt.seq).endswith("\n\n" + receipt.checkpoint)


@pytest.mark.parametrize("seq", [-1, 3, 2**70])
def test_no_proof_of_what_is_not_there(store: Store, seq: int) -> None:
    """An entry that does not exist has no proof."""
    fill(store, mixed(3))

    with pytest.raises(NotThere):
        tlog_proof(store, ORIGIN, seq)


def test_a_leaf_that_was_changed_cannot_be_proved(store: Store, owner: Store) -> None:
    """A proof that would not hold is not handed out."""
    fill(store, mixed(6))
    with owner.writing() as session:
        session.execute(text("UPDATE trail_entry SET leaf = :leaf WHERE seq = 1"), {"leaf": bytes(32)})

    with pytest.raises(SealBroken, match="entry 3 cannot be proved"):
        tlog_proof(store, ORIGIN, 3)


def test_an_export_holds_every_entry_and_the_newest_checkpoint(store: Store, tmp_path: Path) -> None:
    """Header, one line per entry with exactly its bytes, an empty line, the signed checkpoint; no payload."""
    fill(store, mixed(9))
    out = tmp_path / "log.gardu"

    end = export(store, ORIGIN, out)

    lines, _, note = out.read_bytes().partition(b"\n\n")
    header, *bodies = lines.split(b"\n")
    assert header == b'{"format":"gardu-export@1","log":"%s","size":9}' % ORIGIN.encode()
    assert bodies == [entry_at(store, ORIGIN, seq).body for seq in range(9)]
    assert note.decode() == end.checkpoint == head(store, ORIGIN).checkpoint
    assert b"192.0.2.7" not in out.read_bytes()
    assert [one.name for one in tmp_path.iterdir() if "log" in one.name] == ["log.gardu"]


def test_an_export_to_a_stream_is_the_same(store: Store, tmp_path: Path) -> None:
    """A stream gets the bytes that a file gets."""
    fill(store, mixed(3))
    stream = io.BytesIO()

    export(store, ORIGIN, tmp_path / "a")
    export(store, ORIGIN, stream)

    assert stream.getvalue() == (tmp_path / "a").read_bytes()


def test_an_export_that_fails_leaves_no_file(store: Store, owner: Store, tmp_path: Path) -> None:
    """Half an export never stands under its name, and nothing is left beside it."""
    for _ in range(2):
        with pytest.raises(NotThere):
            export(store, ORIGIN, tmp_path / "none")
        with pytest.raises(FileNotFoundError):
            fill(store, mixed(1))
            export(store, ORIGIN, tmp_path / "no" / "such" / "folder")
        with owner.writing() as session:
            for table in ("trail_entry", "trail_payload", "trail_checkpoint", "touch_index", "trail_head"):
                session.execute(text(f"DELETE FROM {table}"))

    assert [one.name for one in tmp_path.iterdir() if "gardu.db" not in one.name] == []
