"""Receipts whose entry stands elsewhere, and a SIEM's record by the receipt of its entry."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.audit.siem import Format, record
from app.audit.siem_entry import item_of
from app.audit.tree import leaf_hash
from tests.verifier.verifier_kit import ORIGIN, SIGNER, Check, entries, note_of, proof_of

BODIES = entries(6)
SEQ = 4
RECEIPT = proof_of(BODIES, SEQ, note_of(BODIES))
# As JSON lines records are: the entry as an object, its place, its leaf hash.
GOOD = {"entry": json.loads(BODIES[SEQ]), "leaf": leaf_hash(BODIES[SEQ]).hex(), "log": ORIGIN, "seq": SEQ}
Members = dict[str, object]


@pytest.fixture
def tried(keyed: Check, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Check one text as a record against a receipt."""

    def one(text: str, receipt: str = RECEIPT) -> tuple[int, str]:
        (tmp_path / "record").write_text(text, "utf-8")
        (tmp_path / "receipt").write_text(receipt, "utf-8")
        return keyed("record", tmp_path / "record", "--proof", tmp_path / "receipt")

    return one


# ---- receipts ----


def test_an_entry_beside_the_receipt_is_taken_for_the_one_in_it(keyed: Check, tmp_path: Path) -> None:
    """Whatever the extra line holds is not believed; the entry is hashed."""
    (tmp_path / "entry").write_bytes(BODIES[SEQ])
    (tmp_path / "wrong").write_bytes(BODIES[SEQ - 1])
    for extra in (b"", b"something else", BODIES[0]):
        (tmp_path / "receipt").write_text(proof_of(BODIES, SEQ, note_of(BODIES), extra), "utf-8")
        assert keyed("receipt", tmp_path / "receipt", "--entry", tmp_path / "entry")[0] == 0
        assert keyed("receipt", tmp_path / "receipt", "--entry", tmp_path / "wrong")[0] == 1
        assert keyed("receipt", tmp_path / "receipt")[0] == (1 if extra else 2)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("index 4", "index 3"),
        ("index 4", "index 04"),
        ("index 4", "index -4"),
        ("index 4", "index 99"),
        ("index 4\n", ""),
        ("index 4\n", "index 4\nindex 4\n"),
        ("extra ", "Extra "),
        ("\n\n", "\n"),
        ("\n6\n", "\n7\n"),
        ("\n6\n", "\n6\nextension\n"),
        (f"\n{ORIGIN}\n", f"\n{ORIGIN}0\n"),
        (f"— {ORIGIN}", f"— {ORIGIN}0"),
        (f"— {ORIGIN}", f"- {ORIGIN}"),
        ("\n\n—", "\n—"),
        ("=\n", "\n"),
    ],
)
def test_every_field_of_a_receipt_counts(keyed: Check, tmp_path: Path, old: str, new: str) -> None:
    """One field changed: tampered."""
    assert old in RECEIPT
    (tmp_path / "receipt").write_text(RECEIPT.replace(old, new), "utf-8")

    assert keyed("receipt", tmp_path / "receipt")[0] == 1


def test_hashes_of_the_path_cannot_be_moved_left_out_or_added(keyed: Check, tmp_path: Path) -> None:
    """The path is of one length and one order."""
    head, _, note = RECEIPT.partition("\n\n")
    first, hashes = head.split("\n")[:3], head.split("\n")[3:]
    for path in (hashes[:-1], [*hashes, hashes[0]], hashes[::-1], [hashes[0]] * len(hashes), [], [hashes[0]] * 64, [hashes[0]] * 70):
        (tmp_path / "receipt").write_text("\n".join([*first, *path]) + "\n\n" + note, "utf-8")
        assert keyed("receipt", tmp_path / "receipt")[0] == 1


# ---- records ----


def test_a_record_as_gardu_writes_it_holds(tried: Check) -> None:
    """JSON lines, the record found among others by its number, and the entry shown."""
    lines = [record(Format.JSONL, item_of(ORIGIN, seq, leaf_hash(body), body)) for seq, body in enumerate(BODIES)]

    code, out = tried("\n".join(lines) + "\n")

    assert code == 0 and "host:4" in out and out.endswith("BAIK\n")


@pytest.mark.parametrize(
    "edit",
    [
        lambda one: one,
        lambda one: dict(reversed(one.items())),
        lambda one: {**one, "entry": dict(reversed(list(json.loads(BODIES[SEQ]).items())))},
        lambda one: {**one, "entry": BODIES[SEQ].decode()},
        lambda one: {name: value for name, value in one.items() if name != "entry"},
        lambda one: {**one, "actor": "host:4", "outcome": "allowed"},
    ],
    ids=["as it is", "other order", "entry in other order", "entry as text", "without entry", "copies"],
)
def test_a_record_may_be_written_otherwise(tried: Check, edit: Callable[[Members], Members]) -> None:
    """A SIEM stores members in its own order, or the entry as text, or fields of it side by side."""
    assert tried(json.dumps(edit(dict(GOOD)), indent=None))[0] == 0


@pytest.mark.parametrize(
    "edit",
    [
        lambda one: {**one, "leaf": leaf_hash(BODIES[0]).hex()},
        lambda one: {**one, "entry": {**json.loads(BODIES[SEQ]), "actor": "host:9"}},
        lambda one: {**one, "entry": {**json.loads(BODIES[SEQ]), "seq": 4.0}},
        lambda one: {**one, "entry": {**json.loads(BODIES[SEQ]), "more": None}},
        lambda one: {**one, "entry": json.loads(BODIES[0])},
        lambda one: {**one, "entry": BODIES[SEQ].decode() + " "},
        lambda one: {**one, "entry": None},
        lambda one: {**one, "entry": True},
        lambda one: {**one, "actor": "host:9"},
        lambda one: {**one, "v": True},
        lambda one: {**one, "v": 1.0},
        lambda one: {**one, "actor": "host:9", "entry": BODIES[SEQ].decode()},
        lambda one: {"log": ORIGIN, "seq": SEQ, "leaf": one["leaf"], "outcome": "denied"},
    ],
)
def test_a_changed_record_is_tampering(tried: Check, edit: Callable[[Members], Members]) -> None:
    """The leaf, any member of the entry, and any copy of a member beside it."""
    assert tried(json.dumps(edit(dict(GOOD))))[0] == 1


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({**GOOD, "seq": 3}),
        json.dumps({**GOOD, "log": "lain.localhost/gardu/1"}),
        json.dumps({**GOOD, "leaf": "ab"}),
        json.dumps({**GOOD, "entry": "\ud800"}),
        json.dumps({**GOOD, "actor": "\ud800"}),
        json.dumps({"log": ORIGIN, "seq": 4.0, "leaf": GOOD["leaf"]}),
        json.dumps({**GOOD, "leaf": None}),
        json.dumps([GOOD]),
        json.dumps(GOOD)[:-1] + ',"seq":4}',
        json.dumps(GOOD)[:-1],
        "CEF:0|KPU|Gardu",
        "[" * 100_000,
        '{"seq":' + "9" * 5000 + "}",
    ],
)
def test_what_is_no_record_of_this_entry_cannot_be_checked(tried: Check, text: str) -> None:
    """Another entry, another log, another format, a member twice: exit 2."""
    assert tried(text)[0] == 2


def test_two_records_of_one_entry_must_both_hold(tried: Check) -> None:
    """A good copy does not cover for a changed one, in either order."""
    good, bent = json.dumps(GOOD), json.dumps({**GOOD, "actor": "host:9"})

    assert tried(f"{good}\n{bent}\n")[0] == tried(f"{bent}\n{good}\n")[0] == 1
    other = json.dumps({"log": ORIGIN, "seq": SEQ, "leaf": "0" * 64})
    bare = proof_of(BODIES, SEQ, note_of(BODIES), b"")
    assert tried(f"{good}\n{other}\n", bare)[0] == tried(f"{other}\n{good}\n", bare)[0] == 1


def test_what_is_not_in_the_entry_is_named_as_not_proven(tried: Check) -> None:
    """A SIEM adds fields of its own; nobody shall think that the log vouches for them."""
    code, out = tried(json.dumps({**GOOD, "severity": 3, "host\x1b": "x"}))

    assert code == 0 and "TIDAK dibuktikan: 'host\\x1b, severity'" in out and "\x1b" not in out


def test_a_record_with_neither_entry_is_proven_by_its_leaf_alone(tried: Check) -> None:
    """The leaf is the log's; what it was made of is said to be unchecked."""
    code, out = tried(json.dumps({"log": ORIGIN, "seq": SEQ, "leaf": GOOD["leaf"]}), proof_of(BODIES, SEQ, note_of(BODIES), b""))

    assert code == 0 and "? Isinya TIDAK diperiksa" in out


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_any_bit_of_a_record_counts(tried: Check, data: st.DataObject) -> None:
    """A bit turned anywhere is refused, never good and never a traceback."""
    raw = json.dumps(GOOD, separators=(",", ":")).encode()
    at, bit = data.draw(st.integers(0, len(raw) - 1)), data.draw(st.integers(0, 6))
    bent = (raw[:at] + bytes([raw[at] ^ (1 << bit)]) + raw[at + 1 :]).decode("latin-1")

    code, out = tried(bent)

    # The name of "entry" is the record's, not the log's: under another name its content is not proven, and that is said.
    assert code in {1, 2} or "TIDAK dibuktikan" in out, bent
    assert SIGNER.vkey not in out
