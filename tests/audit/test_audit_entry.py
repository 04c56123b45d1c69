"""An entry: its bytes, what may stand in it, its salted roots."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from app.audit.entry import Draft, body, draft_for, entry_hash, leaf_hash, parse, prepare, rows_root, subjects_root
from app.audit.members import SHAPES
from app.audit.tree import root_of
from app.kernel.errors import BadInput
from app.kernel.fields import ELEMENTS, Action, Basis, Outcome, Purpose, Role, Stage, View
from tests.trail_kit import ACTOR, NOON, ORIGIN, draft, touch

# The list of the design, in its order.
ALL_MEMBERS = [
    "v",
    "log",
    "seq",
    "prev",
    "at",
    "actor",
    "office",
    "role",
    "session",
    "action",
    "outcome",
    "election",
    "stage",
    "purpose",
    "sop",
    "basis",
    "mandate",
    "policy",
    "rule",
    "scope",
    "fields",
    "subjects",
    "visit",
    "assurance",
    "detail",
    "payload",
    "request",
]
PREV = bytes(range(32))
TAGS = st.text(st.sampled_from([chr(code) for code in range(33, 127) if chr(code) not in '"\\']), min_size=1, max_size=16)
DIGESTS = st.binary(min_size=32, max_size=32)


def maybe(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | strategy


DRAFTS = st.builds(
    Draft,
    at=st.integers(0, 10**15).map(lambda micros: NOON + timedelta(microseconds=micros)),
    actor=TAGS,
    action=st.sampled_from(Action),
    outcome=st.sampled_from(Outcome),
    office=maybe(TAGS),
    role=maybe(st.sampled_from(Role)),
    session=maybe(TAGS),
    election=maybe(TAGS),
    stage=maybe(st.sampled_from(Stage)),
    purpose=maybe(st.sampled_from(Purpose)),
    sop=maybe(TAGS),
    basis=maybe(st.sampled_from(Basis)),
    mandate=maybe(TAGS),
    policy=maybe(DIGESTS.map(bytes.hex)),
    rule=maybe(st.lists(TAGS, max_size=4).map(tuple)),
    scope=maybe(st.sampled_from(["00", "51", "51.71", "51.71.01", "51.71.01.1001"])),
    fields=maybe(st.dictionaries(st.sampled_from(ELEMENTS), st.sampled_from([view.word for view in View]))),
    subjects=maybe(st.tuples(st.integers(0, 10**9), DIGESTS)),
    visit=maybe(DIGESTS),
    assurance=maybe(
        st.fixed_dictionaries({"method": maybe(TAGS), "age": maybe(st.integers(0, 10**9)), "challenge": maybe(DIGESTS.map(bytes.hex))})
    ),
    detail=maybe(st.tuples(TAGS, DIGESTS)),
    request=maybe(TAGS),
)


@given(DRAFTS, st.integers(0, 10**15 - 1), DIGESTS)
def test_the_bytes_are_rfc_8785_of_all_members(made: Draft, seq: int, prev: bytes) -> None:
    """Every entry is canonical by another implementation, has every member, and reads back to the same."""
    raw = body(made, None, log=ORIGIN, seq=seq, prev=prev)

    members = json.loads(raw)
    assert raw == rfc8785.dumps(members)
    assert set(members) == set(ALL_MEMBERS)
    assert (members["seq"], members["prev"], members["log"], members["v"]) == (seq, prev.hex(), ORIGIN, 1)
    assert parse(raw) == members


def test_unused_members_are_null_and_never_absent() -> None:
    """An entry of nothing but who, what and when has null for all the rest."""
    raw = body(Draft(at=NOON, actor="host:0", action=Action.SYSTEM_START, outcome=Outcome.DONE), None, log=ORIGIN, seq=0, prev=bytes(32))

    unused = {name for name, value in parse(raw).items() if value is None}
    assert unused == set(SHAPES) - {"v", "log", "seq", "prev", "at", "actor", "action", "outcome"}


def test_a_moment_is_written_in_utc_with_microseconds() -> None:
    """Whatever zone the moment comes in, the entry holds RFC 3339 UTC."""
    denpasar = datetime(2026, 11, 24, 11, 0, 0, 7, tzinfo=timezone(timedelta(hours=8)))

    members = parse(body(draft(at=denpasar), None, log=ORIGIN, seq=0, prev=PREV))

    assert members["at"] == "2026-11-24T03:00:00.000007Z"


def test_the_payload_is_marked_by_digest_and_commitment() -> None:
    """The entry carries SHA-256 of the sealed bytes and the commitment to their key, not the payload."""
    made, payload = touch()

    members = parse(body(made, payload, log=ORIGIN, seq=0, prev=PREV))

    assert members["payload"] == {"sha256": hashlib.sha256(payload.sealed).hexdigest(), "commitment": payload.commitment.hex()}


def test_an_actors_draft_says_who_in_which_office_and_role() -> None:
    """draft_for fills actor, office, role, session and request from the actor."""
    made = draft_for(ACTOR, Action.TRAIL_READ, Outcome.ALLOWED, NOON, purpose="audit")

    assert (made.actor, made.office, made.role, made.session, made.request) == (ACTOR.uid, "kpu-51.71", Role.KPU_KAB, "ses-1", "req-1")
    assert made.purpose == "audit"


BAD = {
    "actor": ["", "a b", "a" * 65, "naïve", 'a"b', "a\\b", "a\n", None, 7],
    "office": ["", "x" * 33, "kpu 51"],
    "role": ["raja", "KPU_KAB", ""],
    "action": ["voter:peek", None],
    "outcome": ["maybe", None],
    "election": ["x" * 17, "2029 putaran 2"],
    "stage": ["pilkada"],
    "purpose": ["iseng"],
    "basis": ["kuhp"],
    "policy": ["ab", "A" * 64, "0" * 63],
    "rule": [("a b",), ("",), ("x" * 65,), ("r",) * 65, (1,)],
    "scope": ["51.7", "51.71.", "5171", "51.71.01.1", " 51.71", "٥١"],
    "fields": [{"nik": 4}, {"nik": "penuh"}, {"umur": "utuh"}, {"nik": ["utuh"]}],
    "subjects": [(-1, bytes(32)), (1, bytes(31)), (10**16, bytes(32))],
    "visit": [bytes(31), b""],
    "assurance": [
        {},
        {"method": "totp"},
        {"method": "totp", "age": -1, "challenge": None},
        {"method": "totp", "age": 1.5, "challenge": None},
    ],
    "detail": [("rows", bytes(31)), ("two words", bytes(32))],
    "request": ["x" * 65, "spasi di sini"],
    "at": [datetime(2026, 1, 1), datetime(26, 1, 1, tzinfo=UTC)],  # noqa: DTZ001
}


@pytest.mark.parametrize(("member", "value"), [(name, value) for name, values in BAD.items() for value in values], ids=repr)
def test_a_member_out_of_form_is_refused_and_named(member: str, value: object) -> None:
    """Nothing but codes, words, ids and digests gets into an entry; the error names the member and keeps the value to itself."""
    with pytest.raises(BadInput) as caught:
        prepare(draft(**{member: value}), None, log=ORIGIN)

    assert caught.value.field == member
    assert not value or len(str(value)) < 4 or str(value) not in caught.value.detail


def test_a_payload_with_a_wrong_digest_is_refused() -> None:
    """A digest that is not of the sealed bytes never enters the log."""
    made, payload = touch()

    with pytest.raises(BadInput):
        prepare(made, dataclasses.replace(payload, sha256=bytes(32)), log=ORIGIN)


@pytest.mark.parametrize("tokens", [(), (bytes(32), bytes(range(32))), (bytes(31),)], ids=["none", "two", "short"])
def test_tokens_must_be_as_many_as_subjects(tokens: tuple[bytes, ...]) -> None:
    """An entry of one subject has exactly one touch token of 32 bytes."""
    made, payload = touch(subjects=1)

    with pytest.raises(BadInput):
        prepare(made, dataclasses.replace(payload, tokens=tokens), log=ORIGIN)


RAW = body(*touch(5, 2), log=ORIGIN, seq=3, prev=PREV)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        RAW + b" ",
        b" " + RAW,
        b"\xef\xbb\xbf" + RAW,
        RAW.replace(b'"seq":3', b'"seq":03'),
        RAW.replace(b'"seq":3', b'"seq":3.0'),
        RAW.replace(b'"seq":3', b'"seq":-3'),
        RAW.replace(b'"seq":3', b'"seq":true'),
        RAW.replace(b'"seq":3', b'"seq":NaN'),
        RAW.replace(b'"seq":3', b'"seq": 3'),
        RAW.replace(b'"seq":3', b'"seq":3,"seq":3'),
        RAW.replace(b'"v":1', b'"v":2'),
        RAW.replace(b',"v":1', b""),
        RAW.replace(b',"v":1', b',"v":1,"w":1'),
        RAW.replace(b"host", b"h\\u006fst").replace(b"voter", b"v\\u006fter"),
        RAW.replace(b"pemutakhiran", b"pemutakhira\xc3\xb1"),
        RAW.replace(b'{"disabilitas":"ringkas","nama":"utuh","nik":"utuh"}', b'{"nama":"utuh","disabilitas":"ringkas","nik":"utuh"}'),
        RAW.replace(b'{"disabilitas":"ringkas",', b'{"disabilitas":"ringkas","disabilitas":"utuh",'),
        RAW.replace(b'"nik":"utuh"}', b'"nik":"utuh",}'),
        RAW.replace(b"2026-11-24", b"2026-02-30"),
        RAW.replace(b'"sop":null', b'"sop":' + b"[" * 20_000),
        RAW.replace(b'"sop":null', b'"sop":"' + b"x" * 40_000 + b'"'),
        RAW.decode().encode("utf-16"),
    ],
    ids=range(26),
)
def test_bytes_that_are_not_exactly_an_entry_are_refused(raw: bytes) -> None:
    """Anything but the one canonical spelling of a whole entry is BadInput, never another error."""
    assert parse(RAW)
    with pytest.raises(BadInput):
        parse(raw)


@given(st.binary(max_size=200) | st.integers(0, len(RAW) - 1).map(lambda at: RAW[:at] + bytes([RAW[at] ^ 1]) + RAW[at + 1 :]))
def test_parsing_anything_ends_in_an_entry_or_bad_input(raw: bytes) -> None:
    """No bytes make the parser do anything else; what it accepts has one spelling."""
    try:
        members = parse(raw)
    except BadInput:
        return

    assert rfc8785.dumps(members) == raw


def test_hashes_are_those_of_rfc_9162_and_the_chain() -> None:
    """The leaf hash has the 0x00 prefix, the chain's hash none."""
    assert leaf_hash(b"abc") == hashlib.sha256(b"\x00abc").digest()
    assert entry_hash(b"abc") == hashlib.sha256(b"abc").digest()


def test_subjects_root_hides_order_and_depends_on_the_salt() -> None:
    """The same voters in any order give one root; another salt gives another, so entries cannot be linked."""
    uids = ["51.71-a", "51.71-b", "51.71-c"]

    assert subjects_root(b"s" * 32, uids) == subjects_root(b"s" * 32, uids[::-1])
    assert subjects_root(b"s" * 32, uids) != subjects_root(b"t" * 32, uids)
    assert subjects_root(b"s" * 32, ["x"]) == hashlib.sha256(b"\x00" + b"s" * 32 + b"x").digest()
    with pytest.raises(BadInput):
        subjects_root(b"s" * 32, ["a", "b", "a"])


def test_rows_root_covers_table_uid_version_and_seal() -> None:
    """The detail of a change differs as soon as any part of any row does, and not with the order of rows."""
    rows = [("voter", "51.71-a", 1, b"seal a"), ("voter", "51.71-b", 2, b"seal b")]
    others = [
        ("quarantine", "51.71-a", 1, b"seal a"),
        ("voter", "x", 1, b"seal a"),
        ("voter", "51.71-a", 2, b"seal a"),
        ("voter", "51.71-a", 1, b""),
    ]

    assert rows_root(rows) == rows_root(rows[::-1])
    assert rows_root(rows[:1]) == root_of([hashlib.sha256(b'\x00["voter","51.71-a",1,"' + b"seal a".hex().encode() + b'"]').digest()])
    assert len({rows_root([one]) for one in (*rows, *others)}) == 6
