"""Attacks on a log that is verified in ranges by several processes: whatever the walk over the whole finds, the ranges notice too.

Each attack is verified both ways. The reports must be the same in every word, so a range that called a changed log sound is a failure, and
so is one that accused a sound log.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.audit import ranges
from app.audit.canonical import canonical
from app.audit.note import Checkpoint
from app.audit.ranges import Roots
from app.audit.streams import snapshot
from app.audit.tiles import perfect_root
from app.audit.tree import Frontier, leaf_hash
from app.store.engine import Store
from tests.audit.retention_kit import prune_on
from tests.conftest import PostgresServer
from tests.faults.ranges_kit import BY, ERASED, SIZE, Kept, demand_the_same, keep, rich
from tests.faults.test_faults_tamper import bent
from tests.sampling import sampled
from tests.trail_kit import ORIGIN, SIGNER, run, scalar

# Rows are attacked whose number is one of these, or for a size one more: both sides of each border, the middle of a range, the last one.
PLACES = (0, 255, 256, 299, 511, 512, 600, 767, 768, 770, 779, SIZE - 1)
NUMBERS = {
    "trail_entry": "seq",
    "trail_payload": "seq",
    "touch_index": "seq",
    "payload_erasure": "seq",
    "trail_checkpoint": "size",
    "trail_published": "size",
    "trail_cosignature": "size",
    "trail_stamp": "size",
    "trail_tile": "number",
    "trail_head": "size",
}


def _made(request: pytest.FixtureRequest, folder: Path, build: Callable[[Store, Store], None]) -> Kept:
    server: PostgresServer | None = None
    if request.param == "sqlite":
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), folder / "made.db")
        store = owner = Store(f"sqlite:///{folder / 'made.db'}")
    else:
        server = request.getfixturevalue("postgres")
        urls = server.migrated()
        owner, store = Store(urls[0]), Store(urls[1])
    build(store, owner)
    owner.dispose()
    return keep(store, server, folder)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return _made(request, tmp_path_factory.mktemp("ranges"), lambda store, _owner: rich(store))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def pruned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """The same log without its first 256 entries."""

    def build(store: Store, owner: Store) -> None:
        rich(store)
        prune_on(store, owner, 256)

    return _made(request, tmp_path_factory.mktemp("pruned"), build)


@pytest.fixture
def pair(kept: Kept, tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    with kept.copy(tmp_path) as stores:
        yield stores


@pytest.fixture
def cut(pruned: Kept, tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    with pruned.copy(tmp_path) as stores:
        yield stores


def rows_of(owner: Store, table: str) -> list[dict[str, object]]:
    """Return the rows that are attacked."""
    number = NUMBERS.get(table, "minimum")
    wanted = [place + (number == "size") for place in PLACES]
    where = "1 = 1" if table in ("trail_head", "trail_tile", "payload_erasure", "trail_minimum") else f"{number} IN ({str(wanted)[1:-1]})"
    with owner.reading() as session:
        found = session.execute(text(f"SELECT * FROM {table} WHERE {where} ORDER BY {number}")).mappings().all()
        one = {row[number]: dict(row) for row in found}
    assert one, table
    return list(one.values())


def swap(owner: Store, table: str, old: dict[str, object], new: dict[str, object]) -> None:
    """Put the row *new* where *old* is."""
    same = " AND ".join(f"{name} IS NULL" if value is None else f"{name} = :old_{name}" for name, value in old.items())
    values = {f"old_{name}": value for name, value in old.items()} | {f"new_{name}": value for name, value in new.items()}
    run(owner, f"UPDATE {table} SET {', '.join(f'{name} = :new_{name}' for name in new)} WHERE {same}", **values)


def bend_every_column(stores: tuple[Store, Store], table: str) -> tuple[int, int]:
    """Change each column of the attacked rows, one at a time; return how many changes there were, and how many were found."""
    store, owner = stores
    tried = found = 0
    for row in rows_of(owner, table):
        for column, value in row.items():
            changed = {**row, column: list(bent(value))[tried % 2 - 1]}
            try:
                swap(owner, table, row, changed)
            except IntegrityError:
                continue  # another row has that number
            found += not demand_the_same(store).ok
            tried += 1
            swap(owner, table, changed, row)
    assert demand_the_same(store).ok
    return tried, found


# A stamp's words are an outsider's to check; a published note's moment is nobody's claim.
UNSEEN = {"trail_stamp": 3, "trail_published": 1}


@pytest.mark.slow
@pytest.mark.parametrize("table", NUMBERS)
def test_any_column_near_any_border_is_found_alike(pair: tuple[Store, Store], table: str) -> None:
    """Every column of every table, on both sides of each border; what is found is found both ways, and nearly all is."""
    tried, found = bend_every_column(pair, table)

    rows = len(rows_of(pair[1], table))
    assert found >= tried - UNSEEN.get(table, 0) * rows, (tried, found)


@pytest.mark.slow
@pytest.mark.parametrize("table", ["trail_minimum", "trail_entry", "trail_tile", "trail_published"])
def test_any_column_of_a_pruned_log_is_found_alike(cut: tuple[Store, Store], table: str) -> None:
    """The same where the first range is gone, and the log begins at what a signed minimum says."""
    tried, found = bend_every_column(cut, table)

    assert found >= tried - len(rows_of(cut[1], table))


# Later checkpoints sign the same entries, tiles are made again, a witness signs again, a stamp is an outsider's.
MISSED = {"trail_entry", "trail_payload", "touch_index", "trail_published", "payload_erasure"}


@pytest.mark.slow
@pytest.mark.parametrize("table", [name for name in NUMBERS if name != "trail_head"])
@pytest.mark.parametrize("place", [255, 256, 600, SIZE - 1])
def test_a_row_taken_away_is_found_alike(pair: tuple[Store, Store], table: str, place: int) -> None:
    """Whatever is missing on either side of a border, in the middle or at the end; of some tables that is nobody's loss, either way."""
    store, owner = pair
    number = NUMBERS[table]
    at = {"size": place + 1, "number": place // 256}.get(number, place)
    there = scalar(owner, f"SELECT count(*) FROM {table} WHERE {number} = {at}")

    run(owner, f"DELETE FROM {table} WHERE {number} = {at}")

    missed = table in MISSED or (table, place) == ("trail_checkpoint", SIZE - 1)
    assert demand_the_same(store).ok is not (missed and bool(there))


FAR = 10**12
AT = {
    "seq": (-1, 0, 3, 254, 256, 512, 767, 769, SIZE, FAR),
    "size": (-1, 0, 1, 255, 257, 512, 513, 769, SIZE + 1, FAR),
    "number": (-1, 3, 65536),
}


@pytest.mark.parametrize("table", sampled([name for name in NUMBERS if name != "trail_head"], "trail_entry"))
def test_a_row_too_many_is_found_alike(pair: tuple[Store, Store], table: str) -> None:
    """A copy of a row under another number: before the first, at a border, in a gap, after the last, far away."""
    store, owner = pair
    number = NUMBERS[table]
    tried = found = 0
    for row in rows_of(owner, table)[-2:]:
        for place in AT[number]:
            copy = {**row, number: place}
            taken = {"touch_index": 0}.get(table, scalar(owner, f"SELECT count(*) FROM {table} WHERE {number} = {place}"))
            if taken:
                continue
            names = ", ".join(copy)
            run(owner, f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{name}' for name in copy)})", **copy)
            found += not demand_the_same(store).ok
            tried += 1
            run(owner, f"DELETE FROM {table} WHERE {number} = {place} AND {_more(table, copy)}", **copy)
    assert demand_the_same(store).ok
    # A payload_erasure before the first entry is looked at by nobody.
    assert tried >= 2 and found >= tried - 2


def _more(table: str, row: dict[str, object]) -> str:
    return "token = :token" if table == "touch_index" else "1 = 1"


@pytest.mark.parametrize("level", sampled([0, 1, 2, 7, 8, -1], 0, 7))
def test_a_tile_of_any_level_too_many_is_found_alike(pair: tuple[Store, Store], level: int) -> None:
    """Also of a level that no range fills."""
    store, owner = pair
    run(
        owner,
        f"INSERT INTO trail_tile (log, level, number, root, hashes) SELECT log, {level}, 9, root, hashes FROM trail_tile WHERE number = 0",
    )

    assert not demand_the_same(store).ok


STATEMENTS = {
    "a touch token moved across a border": "UPDATE touch_index SET seq = 256 WHERE seq = 255",
    "a payload moved across a border": "UPDATE trail_payload SET seq = 257 WHERE seq = 255",
    "an entry moved across a border": "UPDATE trail_entry SET seq = 900 WHERE seq = 512",
    "everything from a border on": "DELETE FROM trail_entry WHERE seq >= 512",
    "a whole range": "DELETE FROM trail_entry WHERE seq >= 256 AND seq < 512",
    "the first range": "DELETE FROM trail_entry WHERE seq < 256",
    "the last entry of a range": "DELETE FROM trail_entry WHERE seq = 511",
    "the rest": "DELETE FROM trail_entry WHERE seq >= 768",
    "all entries": "DELETE FROM trail_entry",
    "the head": "DELETE FROM trail_head",
    "the head's size, to a border": "UPDATE trail_head SET size = 768",
    "the head's size, beyond": "UPDATE trail_head SET size = 5000000000",
    "the head's checkpoint, to an older one": "UPDATE trail_head SET checkpoint = (SELECT note FROM trail_checkpoint WHERE size = 512)",
    "the elements of one entry": "UPDATE trail_entry SET elements = NULL WHERE seq = 600",
    "the elements of a whole later range": "UPDATE trail_entry SET elements = NULL WHERE seq >= 512 AND seq < 768",
    "the elements of the rest": "UPDATE trail_entry SET elements = NULL WHERE seq >= 768",
    "the tiles' roots, swapped": "UPDATE trail_tile SET root = (SELECT x.root FROM trail_tile x WHERE x.number = 1 - trail_tile.number) WHERE number < 2",
    "a stamp for a size never published": "UPDATE trail_stamp SET size = 400 WHERE size = 300",
    "a cosignature at a border never published": "UPDATE trail_cosignature SET size = 768 WHERE size = 780",
    "an erasure's entry": f"UPDATE payload_erasure SET by_seq = {BY + 1}",
    "an erasure by an entry before": f"UPDATE payload_erasure SET by_seq = 10 WHERE seq = {ERASED[1]}",
    "an erasure in another range": "UPDATE payload_erasure SET seq = 600 WHERE seq = 259",
    "one of two erasures": "DELETE FROM payload_erasure WHERE seq = 259",
    "a lift that no entry speaks of": "INSERT INTO trail_halt VALUES (:log, '2026-11-24 05:00:00', 'lift', 9, 'x', '')",
    "a halt": "INSERT INTO trail_halt VALUES (:log, '2026-11-24 05:00:00', 'halt', 9999, 'x', '')",
    "a minimum that no entry names": "INSERT INTO trail_minimum (log, minimum, last, frontier, note, by_seq, at) SELECT log, 256, leaf, leaf, 'x', 300, at FROM trail_entry WHERE seq = 3",
    "another log's rows": "UPDATE touch_index SET log = 'lain' WHERE seq = 256",
}  # fmt: skip
SOUND = {
    "the elements of earlier ranges": ["UPDATE trail_entry SET elements = NULL WHERE seq < 600"],
    "an older checkpoint at a border": ["DELETE FROM trail_checkpoint WHERE size = 512"],
    "the newest checkpoints, when the head knows none of them": [
        "DELETE FROM trail_checkpoint WHERE size > 600",
        "UPDATE trail_head SET checkpoint = (SELECT note FROM trail_checkpoint ORDER BY size DESC LIMIT 1)",
    ],
    "all tiles": ["DELETE FROM trail_tile"],
    "one tile": ["DELETE FROM trail_tile WHERE number = 1"],
}


@pytest.mark.parametrize(
    "name",
    sampled(
        STATEMENTS,
        "an entry moved across a border", "the head's checkpoint, to an older one",
        "the elements of the rest", "an erasure in another range",
    ),
)  # fmt: skip
def test_an_attack_in_one_statement_is_found_alike(pair: tuple[Store, Store], name: str) -> None:
    """What holds across ranges, before the first and after the last."""
    store, owner = pair
    run(owner, STATEMENTS[name], **({"log": ORIGIN} if ":log" in STATEMENTS[name] else {}))

    assert not demand_the_same(store).ok
    assert not demand_the_same(store, keys=False).ok


@pytest.mark.parametrize("name", sampled(SOUND, "all tiles", "an older checkpoint at a border"))
def test_what_harms_nothing_is_no_finding_of_the_ranges_either(pair: tuple[Store, Store], name: str) -> None:
    """Whatever the one walk lets pass, the ranges let pass: columns from before their time, lost checkpoints, tiles not made yet."""
    store, owner = pair
    run(owner, *SOUND[name])

    assert demand_the_same(store).ok


DISGUISES = ["NULL", "2.5", "511.5", "'enam'", "x'00'", "600.5", "-3.5", "'999999'", "9e15"]


@pytest.mark.slow
@pytest.mark.parametrize("table", [name for name in NUMBERS if name != "trail_head"])
@pytest.mark.parametrize("value", DISGUISES)
def test_a_number_of_another_type_is_found_alike(pair: tuple[Store, Store], table: str, value: str) -> None:
    """SQLite lets a number be anything, and whoever can write the schema lets it be nothing: no range may leave it to another."""
    store, owner = pair
    if store.dialect != "sqlite":
        pytest.skip("PostgreSQL keeps types by itself")
    number = NUMBERS[table]
    with owner.writing() as session:
        session.execute(text("PRAGMA writable_schema = 1"))
        session.execute(
            text(
                f"UPDATE sqlite_master SET sql = replace(replace(sql, '{number} BIGINT NOT NULL', '{number} BIGINT'), '{number} INTEGER NOT NULL', '{number} INTEGER') WHERE name = '{table}'"
            )
        )
    owner.dispose()
    store.dispose()

    names = list(rows_of(owner, table)[0])
    copied = ", ".join(value if name == number else name for name in names)
    chosen = f"rowid IN (SELECT min(rowid) FROM {table} WHERE {number} >= 1)"
    run(owner, f"INSERT INTO {table} ({', '.join(names)}) SELECT {copied} FROM {table} WHERE {chosen}")

    assert not demand_the_same(store).ok
    run(owner, f"DELETE FROM {table} WHERE {chosen}")
    assert not demand_the_same(store).ok or table in {"trail_checkpoint", "trail_tile", "trail_cosignature", "trail_stamp"}


def test_rows_in_pairs_without_a_unique_key_are_found_alike(pair: tuple[Store, Store]) -> None:
    """Two entries of one number at a border, as a database without its keys could hold them."""
    store, owner = pair
    if store.dialect != "postgresql":
        pytest.skip("the key cannot be dropped")
    key = scalar(owner, "SELECT conname FROM pg_constraint WHERE conrelid = 'trail_entry'::regclass AND contype = 'p'")
    run(owner, f"ALTER TABLE trail_entry DROP CONSTRAINT {key} CASCADE")
    for seq in (255, 256, 511, 700, 768):
        columns = "log, seq, leaf, body, at, actor, office, action, outcome, scope, purpose, request, mandate, elements"
        run(owner, f"INSERT INTO trail_entry ({columns}) SELECT {columns} FROM trail_entry WHERE seq = {seq}")
        assert not demand_the_same(store).ok
        run(owner, f"DELETE FROM trail_entry WHERE ctid IN (SELECT max(ctid) FROM trail_entry WHERE seq = {seq})")
    assert demand_the_same(store).ok


# ---- claims at a seam, forged so that they fit each other ----


def forge(owner: Store, victim: int, upto: int, *, tiles: bool = True) -> None:
    """Edit entry *victim* and make everything after it anew, up to entry *upto* - 1: links, leaves, and the tiles over them."""
    with owner.writing() as session:
        rows = session.execute(text("SELECT seq, body FROM trail_entry ORDER BY seq")).all()
        leaves, prev = [], bytes(32)
        for seq, body in rows:
            made = bytes(body)
            if victim <= seq < upto:
                members = json.loads(made)
                members["prev"] = prev.hex()
                if seq == victim:
                    members["actor"] = "host:9"
                made = canonical(members)
                session.execute(
                    text("UPDATE trail_entry SET body = :body, leaf = :leaf, actor = :actor WHERE seq = :seq"),
                    {"body": made, "leaf": leaf_hash(made), "actor": members["actor"], "seq": seq},
                )
            prev = sha256(made).digest()
            leaves.append(leaf_hash(made))
        for number in range(len(leaves) // 256) if tiles else ():
            part = leaves[number * 256 : number * 256 + 256]
            session.execute(
                text("UPDATE trail_tile SET root = :root, hashes = :hashes WHERE level = 0 AND number = :number"),
                {"root": perfect_root(part), "hashes": b"".join(part), "number": number},
            )
        if upto >= len(leaves):
            frontier = Frontier()
            for leaf in leaves:
                frontier.append(leaf)
            session.execute(text("UPDATE trail_head SET last = :last, frontier = :frontier"), {"last": prev, "frontier": frontier.pack()})


@pytest.mark.parametrize("tiles", [True, False])
@pytest.mark.parametrize(
    ("victim", "upto"),
    sampled(
        [(255, 256), (255, 257), (511, 513), (300, 512), (300, 513), (0, 256), (250, SIZE), (768, 769), (767, 800)], (255, 257), (300, 512)
    ),
)
def test_a_forged_stretch_up_to_a_border_is_found_alike(pair: tuple[Store, Store], victim: int, upto: int, tiles: bool) -> None:
    """An entry edited, and what follows made anew to the border and across it, with the tiles that the next range's claim comes from."""
    store, owner = pair
    forge(owner, victim, upto, tiles=tiles)

    assert not demand_the_same(store).ok


def test_a_claim_that_only_the_next_range_bears_out_is_found(pair: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch) -> None:
    """Should a claim ever be another's word: from 512 on the log follows a history that is not there, signed with the stolen key.

    What is claimed at 512 fits what comes after, and everything before is as it was. Only the comparison at the seam tells.
    """
    store, owner = pair
    with owner.reading() as session:
        honest = session.execute(text("SELECT seq, body, leaf, actor FROM trail_entry WHERE seq < 512")).mappings().all()
        signed = session.execute(text("SELECT size, note FROM trail_checkpoint WHERE size <= 512")).mappings().all()
        tiles = session.execute(text("SELECT number, root, hashes FROM trail_tile WHERE number < 2")).mappings().all()
    forge(owner, 300, SIZE)
    resign(owner)
    asked = Roots(256, 512)
    with snapshot(store, ORIGIN) as streams:
        lie = ranges.subtrees(streams, asked)
    for row in honest:
        run(owner, "UPDATE trail_entry SET body = :body, leaf = :leaf, actor = :actor WHERE seq = :seq", **row)
    for row in signed:
        run(owner, "UPDATE trail_checkpoint SET note = :note WHERE size = :size", **row)
        run(owner, "UPDATE trail_published SET note = :note WHERE size = :size", **row)
    for row in tiles:
        run(owner, "UPDATE trail_tile SET root = :root, hashes = :hashes WHERE number = :number", **row)
    real = ranges.subtrees
    monkeypatch.setattr(ranges, "subtrees", lambda streams, task: lie if task == asked else real(streams, task))

    assert not demand_the_same(store, keys=False).ok


def test_a_range_put_in_the_place_of_another_is_found_alike(pair: tuple[Store, Store]) -> None:
    """Two whole ranges change places, with payloads, tokens and tiles; each is sound in itself."""
    store, owner = pair
    for table in ("trail_entry", "trail_payload", "touch_index"):
        for shift, where in ((10_000, "seq >= 256 AND seq < 512"), (-256, "seq >= 512 AND seq < 768"), (-9_744, "seq >= 10000")):
            run(owner, f"UPDATE {table} SET seq = seq + {shift} WHERE {where}")
    run(owner, *(f"UPDATE trail_tile SET number = {to} WHERE level = 0 AND number = {old}" for old, to in ((1, 9), (2, 1), (9, 2))))

    assert not demand_the_same(store).ok


def test_a_log_rewritten_with_the_stolen_key_is_found_alike_by_a_checkpoint_from_elsewhere(pair: tuple[Store, Store]) -> None:
    """Every signature is made anew; a receipt from any range, and from beyond the end, gives it away both ways."""
    store, owner = pair
    sizes = (256, 300, 512, 704, SIZE)
    notes = {size: str(scalar(owner, f"SELECT note FROM trail_checkpoint WHERE size = {size}")) for size in sizes}
    beyond = SIGNER.sign(Checkpoint(ORIGIN, SIZE + 70, sha256(b"x").digest()).text())
    assert demand_the_same(store, known=list(notes.values())).ok
    assert not demand_the_same(store, known=[beyond]).ok

    forge(owner, 9, SIZE)
    resign(owner)

    found = {size: not demand_the_same(store, keys=False, known=[note]).ok for size, note in notes.items()}
    assert found == dict.fromkeys(sizes, True)


def resign(owner: Store) -> None:
    """Sign every checkpoint anew over the leaves as they are."""
    with owner.writing() as session:
        leaves = [bytes(leaf) for leaf in session.scalars(text("SELECT leaf FROM trail_entry ORDER BY seq"))]
        frontier, roots = Frontier(), {}
        for leaf in leaves:
            frontier.append(leaf)
            roots[frontier.size] = frontier.root()
        for table in ("trail_checkpoint", "trail_published"):
            for size in session.scalars(text(f"SELECT size FROM {table}")).all():
                note = SIGNER.sign(Checkpoint(ORIGIN, size, roots[size]).text())
                session.execute(text(f"UPDATE {table} SET note = :note WHERE size = :size"), {"note": note, "size": size})
        session.execute(text("DELETE FROM trail_cosignature"))
        session.execute(text("UPDATE trail_head SET checkpoint = (SELECT note FROM trail_checkpoint WHERE size = :size)"), {"size": SIZE})


def test_the_forger_can_sign(pair: tuple[Store, Store]) -> None:
    """The tests' own rewriting is whole in itself, so that what is found above is found by the checkpoint from elsewhere alone."""
    store, owner = pair
    forge(owner, 0, SIZE)
    resign(owner)
    assert base64.b64decode(str(scalar(owner, "SELECT checkpoint FROM trail_head")).split("\n")[2])

    report = demand_the_same(store, keys=False)
    assert {one.seq for one in report.findings} <= {BY}, [one.what for one in report.findings]
