"""Attacks on a log that lies still: every column of every row, rows removed, added, swapped, and whole logs rewritten.

Each test names who finds it: verify alone, or only verify with a checkpoint from elsewhere (a receipt, a witness).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from hashlib import sha256

import pytest
from sqlalchemy import text

from app.audit.canonical import canonical
from app.audit.note import Checkpoint, Signer
from app.audit.proof import tlog_proof
from app.audit.tree import Frontier, leaf_hash
from app.store.engine import Store
from tests.sampling import sampled
from tests.trail_kit import NOON, ORIGIN, SIGNER, check, dice, draft, fill, mixed, owner, run, scalar, touch, trail_on

__all__ = ["owner"]

SIZE, VICTIM = 12, 6  # entry 6 names three voters
KEYS = {
    "trail_entry": ("log", "seq"),
    "trail_payload": ("log", "seq"),
    "trail_checkpoint": ("log", "size"),
    "touch_index": ("log", "token", "seq"),
    "trail_head": ("log",),
}
COLUMNS = {
    "trail_entry": (
        "log",
        "seq",
        "leaf",
        "body",
        "at",
        "actor",
        "office",
        "action",
        "outcome",
        "scope",
        "purpose",
        "request",
        "mandate",
        "elements",
    ),
    "trail_payload": ("log", "seq", "day", "wrapped", "sealed"),
    "trail_checkpoint": ("log", "size", "note"),
    "touch_index": ("log", "token", "seq"),
    "trail_head": ("log", "size", "last", "frontier", "checkpoint", "changed_at"),
}
EVERY_COLUMN = [(table, column) for table, columns in COLUMNS.items() for column in columns]


@pytest.fixture
def log(store: Store) -> Store:
    """A log of twelve entries of every kind, each with its own checkpoint."""
    fill(store, mixed(SIZE))
    assert check(store).ok
    return store


def row_of(owner: Store, table: str) -> dict[str, object]:
    """Return the row under attack, values as the driver gives them."""
    place = {"trail_checkpoint": f"size = {VICTIM + 1}", "trail_head": "1 = 1"}.get(table, f"seq = {VICTIM}")
    with owner.reading() as session:
        return dict(session.execute(text(f"SELECT * FROM {table} WHERE {place} ORDER BY 1 LIMIT 1")).mappings().one())


def bent(value: object) -> Iterator[object]:
    """Yield *value* with one byte changed, at many places."""
    roll = dice(1)
    if value is None:
        yield "x"
    elif isinstance(value, bool | int):
        yield from (value + 1000, value ^ 64)
    elif isinstance(value, datetime):
        yield from (value + timedelta(microseconds=1), value - timedelta(days=1))
    elif isinstance(value, bytes):
        for at in sorted({*roll.sample(range(len(value)), min(len(value), 24)), 0, len(value) - 1}):
            yield value[:at] + bytes([value[at] ^ (1 << roll.randrange(8))]) + value[at + 1 :]
    elif isinstance(value, str):
        for at in sorted({*roll.sample(range(len(value)), min(len(value), 16)), 0, len(value) - 1}):
            yield value[:at] + chr(ord(value[at]) ^ 1 if ord(value[at]) < 128 else ord("-")) + value[at + 1 :]


def set_column(owner: Store, table: str, row: dict[str, object], column: str, value: object) -> None:
    """Write *value* where *row* has its own."""
    where = " AND ".join(f"{key} = :key_{key}" for key in KEYS[table])
    run(owner, f"UPDATE {table} SET {column} = :new WHERE {where}", new=value, **{f"key_{key}": row[key] for key in KEYS[table]})


@pytest.mark.parametrize(
    ("table", "column"), sampled(EVERY_COLUMN, *EVERY_COLUMN[::3]), ids=[f"{table}.{column}" for table, column in EVERY_COLUMN]
)
def test_any_byte_of_any_column_is_found_and_its_entry_named(log: Store, owner: Store, table: str, column: str) -> None:
    """One byte changed in one column of one row: verify says so, names the entry, and is satisfied once it is put back."""
    row = row_of(owner, table)
    # A checkpoint that was renumbered, and a head, can only be named by the place where they stand now.
    named = {"trail_head": {SIZE - 1}, "trail_checkpoint": {VICTIM, VICTIM + 1000}}.get(table, {VICTIM})

    for value in bent(row[column]):
        set_column(owner, table, row, column, value)
        report = check(log)
        assert report.first is not None, (table, column)
        if (table, column) not in {("trail_checkpoint", "size"), ("trail_head", "size")}:
            assert report.first.seq in named, report.first.what
        set_column(owner, table, {**row, column: value}, column, row[column])
    assert check(log).ok


NEEDS_KEYS = {("trail_payload", "day"), ("trail_payload", "wrapped"), ("touch_index", "token")}
WITHOUT_KEYS = sorted(set(EVERY_COLUMN) - NEEDS_KEYS)


@pytest.mark.parametrize(("table", "column"), sampled(WITHOUT_KEYS, *WITHOUT_KEYS[::3]), ids=lambda part: str(part))
def test_all_but_what_is_under_keys_is_found_without_them(log: Store, owner: Store, table: str, column: str) -> None:
    """A verifier without the audit key misses only what that key alone could tell: wrapping and tokens."""
    row = row_of(owner, table)

    set_column(owner, table, row, column, next(bent(row[column])))

    assert not check(log, keys=False).ok


SQLITE_DISGUISES = [
    ("trail_entry", "actor", "CAST(actor AS BLOB)"),
    ("trail_entry", "body", "CAST(body AS TEXT)"),
    ("trail_entry", "leaf", "CAST(leaf AS TEXT)"),
    ("trail_entry", "at", "replace(at, ' ', 'T')"),
    ("trail_entry", "at", "'kemarin'"),
    ("trail_entry", "office", "CAST(x'ff6b70752d35312e3731' AS TEXT)"),
    ("trail_entry", "seq", "'enam'"),
    ("trail_entry", "seq", "6.5"),
    ("trail_entry", "log", "CAST(log AS BLOB)"),
    ("trail_payload", "day", "CAST(day AS BLOB)"),
    ("trail_payload", "sealed", "CAST(sealed AS TEXT)"),
    ("trail_payload", "seq", "5.5"),
    ("touch_index", "token", "CAST(token AS TEXT)"),
    ("touch_index", "seq", "'enam'"),
    ("trail_checkpoint", "note", "CAST(note AS BLOB)"),
    ("trail_head", "size", "'dua belas'"),
    ("trail_head", "last", "CAST(last AS TEXT)"),
    ("trail_head", "changed_at", "replace(changed_at, ' ', 'T')"),
]


@pytest.mark.parametrize(("table", "column", "disguise"), SQLITE_DISGUISES, ids=[" ".join(one) for one in SQLITE_DISGUISES])
def test_a_value_of_another_type_is_found(log: Store, owner: Store, table: str, column: str, disguise: str) -> None:
    """SQLite lets a column hold any type; the same bytes as another type hide a row from queries, and are found."""
    if log.dialect != "sqlite":
        pytest.skip("PostgreSQL keeps types by itself")
    place = {"trail_checkpoint": f"size = {VICTIM + 1}", "trail_head": "1"}.get(table, f"seq = {VICTIM}")

    run(owner, f"UPDATE {table} SET {column} = {disguise} WHERE {place}")

    report = check(log)
    assert report.first is not None
    if (table, column) not in {("trail_head", "size"), ("trail_payload", "seq")}:
        assert report.first.seq in {VICTIM, SIZE - 1}, report.first.what


@pytest.mark.parametrize("table", ["trail_entry", "trail_payload", "touch_index"])
@pytest.mark.parametrize("seq", [2, VICTIM, SIZE - 2])
def test_a_row_removed_is_found(log: Store, owner: Store, table: str, seq: int) -> None:
    """Every entry, payload and touch token that is taken away is missed, and its entry named."""
    run(owner, f"DELETE FROM {table} WHERE seq = {seq}")

    report = check(log)

    assert report.first is not None and report.first.seq == seq


def test_entries_with_all_that_belongs_to_them_removed_are_found(log: Store, owner: Store) -> None:
    """Cutting entries out of the middle, clean in every table, leaves a gap that verify names."""
    run(owner, *(f"DELETE FROM {table} WHERE seq IN (4, 5)" for table in ("trail_entry", "trail_payload", "touch_index")))
    run(owner, "DELETE FROM trail_checkpoint WHERE size IN (5, 6)")

    report = check(log)

    assert report.first is not None and report.first.what == "Entri 4 sampai 5 hilang dari jejak."


def test_numbers_swapped_between_entries_are_found(log: Store, owner: Store) -> None:
    """Two entries that change places, with payloads and tokens, are found at the first of them."""
    for table in ("trail_entry", "trail_payload", "touch_index"):
        run(owner, *(f"UPDATE {table} SET seq = {to} WHERE seq = {old}" for old, to in ((5, 905), (6, 5), (905, 6))))

    report = check(log)

    assert report.first is not None and report.first.seq == 5


def test_an_entry_inserted_is_found(log: Store, owner: Store) -> None:
    """A made-up entry after the last, or a copy of an old one, is found."""
    for body in ("body", "NULL"):
        chosen = "(SELECT body FROM trail_entry WHERE seq = 3)" if body == "NULL" else "body"
        copied = "log, leaf, at, actor, office, action, outcome, scope, purpose, request"
        run(owner, f"INSERT INTO trail_entry (seq, body, {copied}) SELECT {SIZE}, {chosen}, {copied} FROM trail_entry WHERE seq = 3")
        report = check(log)
        assert report.first is not None and report.first.seq in {SIZE - 1, SIZE}
        run(owner, f"DELETE FROM trail_entry WHERE seq = {SIZE}")


@pytest.mark.parametrize("seq", [-1, 3, SIZE, 10**12])
def test_rows_that_no_entry_asks_for_are_found(log: Store, owner: Store, seq: int) -> None:
    """A payload, token or checkpoint too many is named, wherever it is put."""
    for table, columns in (
        ("trail_payload", "log, day, wrapped, sealed"),
        ("touch_index", "log, token"),
    ):
        taken = scalar(owner, f"SELECT count(*) FROM {table} WHERE seq = {seq}")
        place = 4 if taken else seq  # entry 4 has none of its own
        run(owner, f"INSERT INTO {table} (seq, {columns}) SELECT {place}, {columns} FROM {table} WHERE seq = {VICTIM} LIMIT 1")
        report = check(log)
        assert report.first is not None and report.first.seq == place, table
        run(owner, f"DELETE FROM {table} WHERE seq = {place}")
    assert check(log).ok


@pytest.mark.parametrize("table", COLUMNS)
def test_rows_of_another_log_are_found(log: Store, owner: Store, table: str) -> None:
    """Nothing can be hidden in a log of another name."""
    columns = ", ".join(one for one in COLUMNS[table] if one != "log")

    run(owner, f"INSERT INTO {table} (log, {columns}) SELECT 'lain', {columns} FROM {table}")

    report = check(log)
    assert not report.ok and all("milik log lain" in finding.what for finding in report.findings)


def test_an_entry_edited_with_its_own_hash_is_found_by_the_next_link(log: Store, owner: Store) -> None:
    """Body, leaf and columns changed together still break the chain or the signed root; the range named holds the entry."""
    rewrite(owner, lambda seq, members: members.update(actor="host:9") if seq == VICTIM else None, upto=VICTIM + 1)

    report = check(log)

    assert report.first is not None and report.first.seq == VICTIM


def test_a_whole_log_rehashed_without_the_key_is_found(log: Store, owner: Store) -> None:
    """An edit followed by recomputing every later hash, leaf and the head fails at the first signed root after it."""
    rewrite(owner, lambda seq, members: members.update(actor="host:9") if seq == VICTIM else None)

    report = check(log)

    assert report.first is not None and report.first.seq == VICTIM


def test_a_log_rewritten_and_signed_with_another_key_is_found(log: Store, owner: Store) -> None:
    """Rehashing everything and signing it with a key of one's own, under the log's name, fails at the first checkpoint."""
    thief = Signer(ORIGIN, bytes(range(32)))

    rewrite(owner, lambda seq, members: members.update(actor="host:9") if seq == VICTIM else None, signer=thief)

    report = check(log)
    assert report.first is not None and report.first.seq == 0 and "checkpoint" in report.first.what


def test_a_log_rewritten_with_the_stolen_key_needs_a_checkpoint_from_elsewhere(log: Store, owner: Store) -> None:
    """Whoever also has the signing key can make a log that is whole in itself; a receipt or a witness gives it away (split view)."""
    receipt = trail_on(log).append(draft(99))

    rewrite(owner, lambda seq, members: members.update(request="req-x") if seq == 3 else None, signer=SIGNER)

    assert check(log, keys=False).ok
    report = check(log, keys=False, known=[receipt.checkpoint])
    assert not report.ok and "checkpoint dari luar" in report.findings[0].what


def test_a_cut_tail_with_the_head_set_back_needs_a_checkpoint_from_elsewhere(log: Store, owner: Store) -> None:
    """A log cut back to an older checkpoint of its own is whole in itself; a later receipt or a witness gives it away."""
    run(owner, *(f"DELETE FROM {table} WHERE seq >= 8" for table in ("trail_entry", "trail_payload", "touch_index")))
    receipt = str(scalar(owner, "SELECT checkpoint FROM trail_head"))
    assert not check(log).ok  # while the head still says twelve, verify sees it alone
    set_head_back(owner, 8)

    assert check(log).ok
    report = check(log, known=[receipt])
    assert report.first is not None and report.first.seq == 8 and "terpotong" in report.first.what


def test_a_cut_tail_alone_is_found(log: Store, owner: Store) -> None:
    """Removing the last entries with the head left, or the head with the entries left, is found by verify alone."""
    run(owner, *(f"DELETE FROM {table} WHERE seq >= 10" for table in ("trail_entry", "trail_payload", "touch_index")))
    run(owner, "DELETE FROM trail_checkpoint WHERE size > 10")

    report = check(log)

    assert report.first is not None and report.first.what == "Entri 10 sampai 11 hilang dari ujung jejak."


def test_a_head_set_back_alone_is_found(log: Store, owner: Store) -> None:
    """A head that points to an older end than the entries is found."""
    last = run_and_fetch(owner, 8)

    set_head_back(owner, 8)

    assert last
    assert not check(log).ok


def test_a_head_removed_is_found(log: Store, owner: Store) -> None:
    """Without its head the log is not good."""
    run(owner, "DELETE FROM trail_head")

    report = check(log)

    assert report.first is not None and report.first.seq == SIZE - 1


def test_an_emptied_trail_is_not_called_good(log: Store, owner: Store) -> None:
    """When everything but the head, or everything but one side table, is gone, verify finds it."""
    for kept in COLUMNS:
        for table in COLUMNS:
            if table != kept:
                run(owner, f"DELETE FROM {table}")
        report = check(log)
        assert not report.ok, kept
        run(owner, f"DELETE FROM {kept}")
        fill(log, mixed(SIZE))


def test_an_older_checkpoint_that_is_gone_harms_nothing(log: Store, owner: Store) -> None:
    """Later checkpoints sign the same entries, so the loss of an older one is not noticed, and its receipts can still be proved."""
    run(owner, "DELETE FROM trail_checkpoint WHERE size = 5")

    assert check(log).ok
    assert f"\n\n{ORIGIN}\n6\n" in tlog_proof(log, ORIGIN, 4)


def test_the_newest_checkpoint_that_is_gone_is_found(log: Store, owner: Store) -> None:
    """The checkpoint that the head shows must also stand in its table."""
    run(owner, f"DELETE FROM trail_checkpoint WHERE size = {SIZE}")

    report = check(log)

    assert report.first is not None and report.first.seq == SIZE - 1


def test_a_payload_replaced_by_an_older_one_is_found(log: Store, owner: Store) -> None:
    """A sealed payload of another entry, with its wrapped key, does not pass for this one's."""
    for column in ("sealed", "wrapped", "day"):
        run(owner, f"UPDATE trail_payload SET {column} = (SELECT {column} FROM trail_payload WHERE seq = 9) WHERE seq = {VICTIM}")

    report = check(log)

    assert report.first is not None and report.first.seq == VICTIM
    assert not check(log, keys=False).ok


def test_a_key_erased_without_leave_is_found(log: Store, owner: Store) -> None:
    """A wrapped key that was emptied leaves its payload unreadable, and that is said."""
    run(owner, f"UPDATE trail_payload SET wrapped = :none WHERE seq = {VICTIM}", none=b"")

    report = check(log)

    assert report.first is not None and report.first.seq == VICTIM


# ---- what an attacker with the database can recompute ----


def rewrite(owner: Store, edit: Callable[[int, dict[str, object]], object], *, upto: int = 10**9, signer: Signer | None = None) -> None:
    """Edit entries, then recompute chain, leaves, columns and head, and re-sign checkpoints when there is a signer."""
    with owner.writing() as session:
        rows = session.execute(text("SELECT seq, body FROM trail_entry WHERE seq < :upto ORDER BY seq"), {"upto": upto}).all()
        frontier, prev, note = Frontier(), bytes(32), ""
        for seq, body in rows:
            members = json.loads(bytes(body))
            edit(seq, members)
            members["prev"] = prev.hex()
            made = canonical(members)
            prev = sha256(made).digest()
            frontier.append(leaf_hash(made))
            session.execute(
                text("UPDATE trail_entry SET body = :body, leaf = :leaf, actor = :actor, request = :request WHERE seq = :seq"),
                {"body": made, "leaf": leaf_hash(made), "actor": members["actor"], "request": members["request"], "seq": seq},
            )
            if signer is not None:
                note = signer.sign(Checkpoint(ORIGIN, seq + 1, frontier.root()).text())
                session.execute(text("UPDATE trail_checkpoint SET note = :note WHERE size = :size"), {"note": note, "size": seq + 1})
        if upto > len(rows):
            session.execute(text("UPDATE trail_head SET last = :last, frontier = :frontier"), {"last": prev, "frontier": frontier.pack()})
            if note:
                session.execute(text("UPDATE trail_head SET checkpoint = :note"), {"note": note})


def run_and_fetch(owner: Store, size: int) -> str:
    """Return the note stored for *size*."""
    return str(scalar(owner, f"SELECT note FROM trail_checkpoint WHERE size = {size}"))


def set_head_back(owner: Store, size: int) -> None:
    """Make the head say what it said at *size*, and forget later checkpoints."""
    note = run_and_fetch(owner, size)
    with owner.writing() as session:
        frontier, last = Frontier(), b""
        for (body,) in session.execute(text("SELECT body FROM trail_entry WHERE seq < :size ORDER BY seq"), {"size": size}).all():
            frontier.append(leaf_hash(bytes(body)))
            last = sha256(bytes(body)).digest()
        session.execute(text("DELETE FROM trail_checkpoint WHERE size > :size"), {"size": size})
        moment = (NOON + timedelta(seconds=size - 1)).replace(tzinfo=None if owner.dialect == "sqlite" else NOON.tzinfo)
        session.execute(
            text("UPDATE trail_head SET size = :size, last = :last, frontier = :frontier, checkpoint = :note, changed_at = :at"),
            {
                "size": size,
                "last": last,
                "frontier": frontier.pack(),
                "note": note,
                "at": moment.isoformat(" ", "microseconds") if owner.dialect == "sqlite" else moment,
            },
        )


def test_the_stand_in_entries_are_of_every_kind() -> None:
    """The entry under attack names three voters, so that every table has a row of it."""
    made, payload = mixed(SIZE)[VICTIM]

    assert payload is not None and len(payload.tokens) == 3 and made.subjects == touch(VICTIM, 3)[0].subjects
