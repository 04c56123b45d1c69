"""Pruning the log: what is left verifies from the minimum on, later entries are still proved, and nobody cuts without the entry."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.audit.export import export
from app.audit.note import parse_checkpoint, split_note
from app.audit.proof import consistency, tlog_proof
from app.audit.pruning import cut_at, minimum_of, prune_digest
from app.audit.single import Check, Found, prove
from app.audit.tiles import store_tiles
from app.audit.tree import verify_consistency
from app.audit.verify import verify
from app.kernel.errors import BadInput, Conflict, StoreDown
from app.store.engine import Store
from tests.audit.retention_kit import erase_on, fill_quickly, guarded_owner, prune_on, publish_on
from tests.trail_kit import BOX, ORIGIN, SIGNER, bare_sqlite, check, draft, owner, run, scalar, touch, trail_on
from tests.vectors.independent import check_consistency, root_of

__all__ = ["guarded_owner", "owner"]

SIZE, MINIMUM = 1100, 768
REFUSED = (DBAPIError, StoreDown)


@pytest.fixture
def log(store: Store) -> Store:
    """A log of 1,100 entries, one payload erased and one checkpoint published."""
    fill_quickly(store, SIZE)
    publish_on(store)
    return store


def test_what_is_left_verifies_from_the_minimum_on(log: Store, guarded_owner: Store) -> None:
    """Every row before the minimum is gone, the log goes on, and verify starts where two people cut it."""
    erase_on(log, 7)  # its payload goes with the rest
    erase_on(log, 770)
    receipt = prune_on(log, guarded_owner, MINIMUM)
    trail_on(log).append(*touch(5000))

    report = check(log)

    assert (report.first, report.minimum, report.size) == (None, MINIMUM, receipt.seq + 2)
    assert minimum_of(log, ORIGIN) == MINIMUM
    for table, column in (("trail_entry", "seq"), ("trail_payload", "seq"), ("touch_index", "seq"), ("trail_checkpoint", "size")):
        assert int(str(scalar(log, f"SELECT min({column}) FROM {table}"))) >= MINIMUM
    assert check(log, keys=False).ok


def test_later_entries_are_proved_and_the_tree_is_the_same(log: Store, guarded_owner: Store) -> None:
    """A receipt is the same file before and after; consistency from the minimum on leads to roots that were signed before."""
    before = {seq: tlog_proof(log, ORIGIN, seq) for seq in (MINIMUM, 900, SIZE - 1)}
    root = parse_checkpoint(split_note(publish_on(log).note)[0])

    prune_on(log, guarded_owner, MINIMUM)

    assert {seq: tlog_proof(log, ORIGIN, seq) for seq in before} == before
    note = str(scalar(log, "SELECT note FROM trail_minimum"))
    start = parse_checkpoint(split_note(note)[0])
    path = consistency(log, ORIGIN, MINIMUM, root.size)
    verify_consistency(MINIMUM, root.size, start.root, root.root, path)
    steps = {step.check: step.found for step in prove(log, ORIGIN, MINIMUM, SIGNER.vkey, lambda *_: b"", BOX.token)}
    assert (steps[Check.CHAIN], steps[Check.INCLUSION], steps[Check.CHECKPOINT]) == (Found.GOOD, Found.GOOD, Found.GOOD)


def test_a_log_is_pruned_again(log: Store, guarded_owner: Store) -> None:
    """A second cut starts from the first; the row of the first is kept and still borne out by its entry."""
    prune_on(log, guarded_owner, 256)
    prune_on(log, guarded_owner, 1024)

    report = check(log)

    assert (report.first, report.minimum) == (None, 1024)
    assert scalar(log, "SELECT count(*) FROM trail_minimum") == 2


@pytest.mark.parametrize("below", [0, 1, 255, 257, 2048])
def test_a_minimum_is_a_multiple_of_256_within_the_log(log: Store, guarded_owner: Store, below: int) -> None:
    """Anything else is named before anything happens."""
    with guarded_owner.reading() as session, pytest.raises(BadInput, match="multiple of 256"):
        cut_at(session, ORIGIN, below)


def test_a_pruned_log_is_not_exported_as_if_it_were_whole(log: Store, guarded_owner: Store, tmp_path: Path) -> None:
    """The file would begin in the middle; the refusal says where."""
    prune_on(log, guarded_owner, MINIMUM)

    with pytest.raises(Conflict, match=f"begins with entry {MINIMUM}"):
        export(log, ORIGIN, tmp_path / "log.jsonl")
    assert not list(tmp_path.glob("*.jsonl*"))


# What is tried with all guards in force. Entry 1100 is a login.
ATTEMPTS = [
    "INSERT INTO trail_minimum VALUES ('{log}', 512, '{x}', '{x}', 'n', 1100, '2026-11-24 00:00:00')",
    "INSERT INTO trail_minimum VALUES ('{log}', 512, '{x}', '{x}', 'n', 5000, '2026-11-24 00:00:00')",
    "DELETE FROM trail_entry WHERE seq < 512",
    "DELETE FROM trail_payload WHERE seq < 512",
    "DELETE FROM touch_index",
    "DELETE FROM trail_checkpoint WHERE size <= 512",
    "DELETE FROM trail_tile",
    "DELETE FROM trail_head",
]
AFTER = [
    "INSERT INTO trail_minimum SELECT log, 1024, last, frontier, note, by_seq, at FROM trail_minimum",
    "INSERT INTO trail_minimum SELECT log, 256, last, frontier, note, by_seq, at FROM trail_minimum",
    "DELETE FROM trail_entry WHERE seq = 768",
    "DELETE FROM trail_checkpoint WHERE size = 1024",
    "DELETE FROM trail_tile WHERE number = 0",
    "DELETE FROM trail_minimum",
    "UPDATE trail_minimum SET minimum = 1024",
]


@pytest.mark.parametrize(("attempt", "pruned"), [*((one, False) for one in ATTEMPTS), *((one, True) for one in AFTER)])
def test_nobody_cuts_without_the_entry_or_more_than_it_says(log: Store, guarded_owner: Store, attempt: str, pruned: bool) -> None:
    """The owner's own connection deletes nothing that no entry of the log gave up, and never moves the minimum by itself."""
    trail_on(log).append(draft(99))
    if pruned:
        prune_on(log, guarded_owner, MINIMUM)
    if attempt.startswith("INSERT INTO trail_minimum SELECT log, 1024") and log.dialect == "sqlite":
        pytest.skip("SQLite cannot hash; verify finds it")

    with pytest.raises(REFUSED, match=r"append-only|refused"), guarded_owner.writing() as session:
        session.execute(text(attempt.replace("{log}", ORIGIN).replace("{x}", "x" * 32)))
    assert check(log, keys=False).ok


def test_the_application_cannot_prune(log: Store) -> None:
    """On PostgreSQL the narrow role may not even say that something was pruned."""
    if log.dialect == "sqlite":
        pytest.skip("SQLite has no roles")

    for statement in (*ATTEMPTS[:2], "DELETE FROM trail_entry", "DELETE FROM trail_tile"):
        with pytest.raises(REFUSED, match="permission denied"), log.writing() as session:
            session.execute(text(statement.replace("{log}", ORIGIN).replace("{x}", "x")))


TAMPERED: list[tuple[str, Callable[[int | None], bool]]] = [
    ("UPDATE trail_minimum SET last = (SELECT leaf FROM trail_entry WHERE seq = 800)", lambda seq: seq is not None),
    ("UPDATE trail_minimum SET frontier = (SELECT frontier FROM trail_head)", lambda seq: seq == MINIMUM),
    ("UPDATE trail_minimum SET note = (SELECT checkpoint FROM trail_head)", lambda seq: seq == MINIMUM),
    ("UPDATE trail_minimum SET by_seq = 900", lambda seq: seq == MINIMUM),
    ("UPDATE trail_minimum SET minimum = 1024", lambda seq: True),
    ("DELETE FROM trail_minimum", lambda seq: seq == 0),
    ("DELETE FROM trail_entry WHERE seq = 768", lambda seq: seq == 768),
    ("UPDATE trail_tile SET root = hashes WHERE number = 1", lambda seq: seq == 256),
    ("UPDATE trail_tile SET hashes = root WHERE number = 2", lambda seq: seq == 512),
]


@pytest.mark.parametrize(("statement", "named"), TAMPERED, ids=[one[0][:50] for one in TAMPERED])
def test_a_minimum_that_was_moved_or_forged_is_found(
    log: Store, guarded_owner: Store, owner: Store, statement: str, named: Callable[[int | None], bool]
) -> None:
    """The owner with the triggers off: frontier, link, checkpoint and entry of the minimum hold each other."""
    prune_on(log, guarded_owner, MINIMUM)
    if log.dialect == "postgresql":
        run(owner, "ALTER TABLE trail_minimum DISABLE TRIGGER USER")

    run(owner, statement)

    report = check(log)
    assert report.first is not None and named(report.first.seq), [one.what for one in report.findings]


def test_a_cut_without_two_people_is_found(log: Store, owner: Store) -> None:
    """Rows deleted past the guards, with a minimum of one's own making: no entry names it."""
    store_tiles(log, ORIGIN, SIZE)
    with owner.reading() as session:
        cut = cut_at(session, ORIGIN, 512)
    run(owner, *(f"DELETE FROM {table} WHERE seq < 512" for table in ("trail_entry", "trail_payload", "touch_index")))
    run(owner, "DELETE FROM trail_checkpoint WHERE size <= 512")
    if log.dialect == "postgresql":
        run(owner, "ALTER TABLE trail_minimum DISABLE TRIGGER USER")
    run(
        owner,
        "INSERT INTO trail_minimum VALUES (:log, 512, :last, :frontier, :note, 600, '2026-11-24 00:00:00.000000')",
        log=ORIGIN, last=cut.head.last, frontier=cut.head.frontier.pack(), note=SIGNER.sign(cut.head.checkpoint().text()),
    )  # fmt: skip

    report = check(log)

    assert [one.seq for one in report.findings] == [512] and "trail:prune" in report.findings[0].what


@pytest.mark.slow
def test_leaf_tiles_go_once_a_full_tile_above_stands_for_them(tmp_path: Path) -> None:
    """Beyond 65,536 entries the leaf tiles of the first full tile go; proofs, tiles and roots stay as an independent hand makes them."""
    store = bare_sqlite(tmp_path / "long.db")
    fill_quickly(store, 66_000)
    leaves = [bytes(row) for row in _leaves(store)]
    before = parse_checkpoint(split_note(publish_on(store).note)[0])

    prune_on(store, store, 65_792)

    assert scalar(store, "SELECT count(*) FROM trail_tile WHERE level = 0 AND number < 256") == 0
    assert before.root == root_of(leaves)
    report = verify(store, ORIGIN, SIGNER.vkey)
    assert (report.first, report.minimum) == (None, 65_792)
    assert "index 65900\n" in tlog_proof(store, ORIGIN, 65_900)
    check_consistency(65_792, before.size, root_of(leaves[:65_792]), before.root, consistency(store, ORIGIN, 65_792, before.size))
    publish_on(store)
    assert verify(store, ORIGIN, SIGNER.vkey).ok
    store.dispose()


def _leaves(store: Store) -> list[bytes]:
    with store.reading() as session:
        return list(session.execute(text("SELECT leaf FROM trail_entry ORDER BY seq")).scalars())


def test_the_digest_of_a_cut_is_the_documented_one() -> None:
    """docs/log-format.md, "Commitments inside an entry"."""
    said = "gardu/trail-prune@1\nl/gardu/1\n256\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n" + "11" * 32 + "\n"

    assert prune_digest("l/gardu/1", 256, bytes(32), b"\x11" * 32) == sha256(said.encode()).digest()
