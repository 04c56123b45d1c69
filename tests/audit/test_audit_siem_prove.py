"""A SIEM's copy, proved: what is as it was signed, what was changed, on which side, and what cannot be said."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from app.audit.canonical import canonical
from app.audit.note import Signer, Verifier
from app.audit.query import entry_at
from app.audit.siem import Format, framed, record
from app.audit.siem_entry import Item, item_of
from app.audit.siem_prove import Proof, Verdict, prover
from app.audit.tables import TrailMinimum
from app.audit.tiles import store_tiles
from app.audit.tree import leaf_hash
from app.store.engine import Store
from tests.audit import siem_kit
from tests.trail_kit import NOON, ORIGIN, draft, fill, mixed, run, trail_on

FORMATS = pytest.mark.parametrize("form", Format)
SEED = hashlib.sha256(b"a signing key for tests").digest()


def key(log: str) -> Verifier:
    return Signer(log, SEED).verifier


def stored(store: Store, seq: int) -> Item:
    """The log's own entry."""
    entry = entry_at(store, ORIGIN, seq)
    return item_of(ORIGIN, seq, entry.leaf, entry.body)


def prove(store: Store, raw: bytes | str) -> Proof:
    with prover(store, key) as desk:
        return desk.prove(raw if isinstance(raw, bytes) else raw.encode())


def made_up(seq: int, **members: object) -> Item:
    """An entry that the log never had, with the leaf hash that its bytes have."""
    return siem_kit.item(ORIGIN, seq, **members)


@FORMATS
def test_every_copy_is_proved_against_the_newest_checkpoint(store: Store, form: Format) -> None:
    """Every entry of every kind, bare and framed, also after the log has grown."""
    fill(store, mixed(11))
    copies = [(record(form, stored(store, seq)), framed(form, stored(store, seq)).partition(b" ")[2]) for seq in range(11)]
    fill(store, mixed(6))

    with prover(store, key) as desk:
        found = [desk.prove(raw) for bare, boxed in copies for raw in (bare.encode(), boxed)]

    assert found == [Proof(Verdict.OK, "", ORIGIN, seq) for seq in range(11) for _ in range(2)]


@pytest.mark.parametrize("tiles", [False, True])
def test_a_copy_is_proved_with_and_without_stored_tiles(store: Store, tiles: bool) -> None:
    """Tiles make a proof short, not true."""
    trail = trail_on(store)
    with store.writing() as session:
        for number in range(300):
            trail.append_within(session, draft(number))
    trail.close()
    if tiles:
        store_tiles(store, ORIGIN, 300)

    with prover(store, key) as desk:
        verdicts = {desk.prove(record(Format.CEF, stored(store, seq)).encode()).verdict for seq in (0, 255, 256, 299)}

    assert verdicts == {Verdict.OK}


@FORMATS
def test_a_changed_member_is_found_whether_or_not_the_entry_is_in_it(store: Store, form: Format) -> None:
    """The outcome turned round, everywhere or outside the entry's bytes alone."""
    fill(store, mixed(5))
    item = stored(store, 3)
    said = record(form, item)
    everywhere = said.replace("allowed", "denied")
    outside = everywhere.replace('"outcome":"denied"', '"outcome":"allowed"').replace(
        '\\"outcome\\":\\"denied\\"', '\\"outcome\\":\\"allowed\\"'
    )

    assert prove(store, everywhere) == Proof(Verdict.CHANGED, "the entry in it does not belong to its log, number and leaf hash", ORIGIN, 3)
    if form is Format.JSONL:
        assert outside == said
    else:
        assert prove(store, outside).verdict is Verdict.CHANGED
        assert "is not what the log says" in prove(store, outside).why


@FORMATS
def test_an_entry_made_up_whole_is_found(store: Store, form: Format) -> None:
    """Bytes, leaf hash and record agree with one another, and never stood in the log."""
    fill(store, mixed(5))

    assert prove(store, record(form, made_up(3))) == Proof(Verdict.CHANGED, "its leaf hash is not that of the log's entry", ORIGIN, 3)


@FORMATS
def test_a_copy_moved_to_another_number_or_log_is_found(store: Store, form: Format) -> None:
    """An entry that the log had, told as another one."""
    fill(store, mixed(5))
    item = stored(store, 3)
    moved = Item(ORIGIN, 2, item.leaf, item.body, item.members)

    assert prove(store, record(form, moved)).verdict is Verdict.CHANGED


def test_a_copy_from_beyond_the_end_shows_a_cut_log_or_a_made_up_record(store: Store) -> None:
    """Nobody here can say which of the two; somebody's checkpoint can."""
    fill(store, mixed(5))

    assert prove(store, record(Format.CEF, made_up(5))) == Proof(
        Verdict.CHANGED, "the log ends at 5: the record was made up, or the log was cut", ORIGIN, 5
    )


@FORMATS
def test_a_changed_log_is_told_from_a_changed_copy(store: Store, owner: Store, form: Format) -> None:
    """Somebody with the database rewrote an entry and its leaf hash; the SIEM's copy shows what was signed."""
    fill(store, mixed(6))
    copy, other = record(form, stored(store, 2)), made_up(2)
    run(owner, "UPDATE trail_entry SET body = :body, leaf = :leaf WHERE seq = 2", body=other.body, leaf=other.leaf)

    assert prove(store, copy).why.startswith("it is as it was signed, but the log's own entry was changed or removed")
    assert prove(store, record(form, other)).why.startswith("neither it nor the log's own entry leads to the signed checkpoint")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM trail_entry WHERE seq = 2",
        "UPDATE trail_entry SET leaf = :zero WHERE seq = 2",
        "UPDATE trail_entry SET body = :zero WHERE seq = 2",
        "UPDATE trail_entry SET leaf = :zero WHERE seq = 3",
        "DELETE FROM trail_entry WHERE seq = 3",
    ],
)
def test_a_log_that_cannot_bear_a_copy_out_is_never_ok(store: Store, owner: Store, statement: str) -> None:
    """Its own row gone or changed, or a neighbour's that the proof needs."""
    fill(store, mixed(6))
    copy = record(Format.RFC5424, stored(store, 2))
    run(owner, statement, **({"zero": bytes(32)} if ":zero" in statement else {}))

    found = prove(store, copy)

    assert found.verdict is Verdict.CHANGED
    assert "run gardu audit verify" in found.why


def test_a_rewritten_log_signed_by_nobody_is_not_believed(store: Store, owner: Store) -> None:
    """A head put in without the log's key proves nothing."""
    fill(store, mixed(6))
    copy = record(Format.JSONL, stored(store, 2))
    with store.reading() as session:
        note = str(session.connection().exec_driver_sql("SELECT checkpoint FROM trail_head").scalar_one())
    text = note.partition("\n\n")[0] + "\n"
    run(owner, "UPDATE trail_head SET checkpoint = :note", note=Signer(ORIGIN, bytes(32)).sign(text))

    found = prove(store, copy)

    assert found.verdict is Verdict.UNKNOWN
    assert "does not hold" in found.why


def test_a_checkpoint_of_another_log_is_not_believed(store: Store, owner: Store) -> None:
    """Signed by the right key, over another log's name."""
    fill(store, mixed(3))
    copy = record(Format.JSONL, stored(store, 2))
    text = f"lain.localhost/gardu/1\n3\n{base64.b64encode(bytes(32)).decode()}\n"
    run(owner, "UPDATE trail_head SET checkpoint = :note", note=Signer(ORIGIN, SEED).sign(text))

    assert prove(store, copy).why == f"the newest checkpoint of {ORIGIN} is another log's; run gardu audit verify"


def test_a_log_that_is_not_here_and_a_record_that_is_none_are_unknown(store: Store) -> None:
    """And say so."""
    fill(store, mixed(3))

    assert prove(store, record(Format.OCSF, siem_kit.item("lain.localhost/gardu/1", 1))) == Proof(
        Verdict.UNKNOWN, "log lain.localhost/gardu/1 is not in this database", "lain.localhost/gardu/1", 1
    )
    assert prove(store, "hello") == Proof(Verdict.UNKNOWN, "in none of the formats OCSF, CEF, RFC 5424, JSON lines", None, None)


def test_a_copy_of_a_pruned_entry_is_unknown(store: Store, owner: Store) -> None:
    """What it would be proved against is gone, by two people's decision."""
    fill(store, mixed(3))
    copy = record(Format.OCSF, stored(store, 1))
    if store.dialect == "postgresql":
        run(owner, "ALTER TABLE trail_minimum DISABLE TRIGGER USER")
    with owner.writing() as session:
        session.add(TrailMinimum(log=ORIGIN, minimum=2, last=bytes(32), frontier=bytes(32), note="", by_seq=2, at=NOON))

    found = prove(store, copy)

    assert found.verdict is Verdict.UNKNOWN
    assert "pruned" in found.why


def test_a_json_line_that_a_siem_took_apart_and_put_together_is_proved(store: Store) -> None:
    """Canonical JSON has one spelling, so its bytes come back."""
    fill(store, mixed(3))
    item = stored(store, 1)
    shuffled = json.dumps(dict(reversed(json.loads(item.body).items())), indent=2)
    raw = f'{{"seq": 1, "leaf": "{item.leaf.hex()}", "log": "{ORIGIN}", "entry": {shuffled}}}'

    assert leaf_hash(canonical(json.loads(shuffled))) == item.leaf
    assert prove(store, raw).verdict is Verdict.OK
