"""Records read back from wherever a SIEM kept them, and everything that is no such record."""

from __future__ import annotations

import io
import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.audit.siem import Format, framed, record
from app.audit.siem_entry import Item
from app.audit.siem_read import MAX_RECORD, differs, read, records
from app.kernel.errors import BadInput
from app.kernel.fields import Action, Outcome
from tests.audit.siem_kit import ENTRIES, example, item, items

FORMATS = pytest.mark.parametrize("form", Format)
ENTRY = {Format.OCSF: "raw_data", Format.CEF: "KPUGarduEntry", Format.RFC5424: "gardu@32473 entry", Format.JSONL: "entry"}


@ENTRIES
@given(items())
def test_every_record_reads_back_to_its_entry(any_item: Item) -> None:
    """Log, number, leaf hash and bytes, bare and out of a TLS frame; nothing differs."""
    for form in Format:
        for raw in (record(form, any_item).encode(), framed(form, any_item).partition(b" ")[2]):
            copy = read(raw)
            assert (copy.form, copy.log, copy.seq, copy.leaf, copy.body) == (form, any_item.log, any_item.seq, any_item.leaf, any_item.body)
            assert differs(copy, any_item) == ""


@ENTRIES
@given(items())
def test_no_record_passes_for_another_entrys(any_item: Item) -> None:
    """Held against another entry, something differs and is named."""
    for form in Format:
        assert differs(read(record(form, any_item).encode()), example()) != ""
        assert differs(read(record(form, example()).encode()), any_item) != ""


@FORMATS
def test_a_record_that_a_siem_wrote_anew_is_still_the_same(form: Format) -> None:
    """Other order, other white space, another line's end, and a record of an older Gardu."""
    said = record(form, example(), "0.0.9")
    if form in {Format.OCSF, Format.JSONL}:
        said = json.dumps(dict(reversed(json.loads(said).items())), indent=1)

    assert differs(read(f"{said}\r\n".encode()), example()) == ""


@FORMATS
def test_a_record_without_the_entrys_bytes_still_names_its_leaf(form: Format) -> None:
    """A SIEM that drops the raw event keeps what can be proved."""
    said = record(form, example())
    if form in {Format.OCSF, Format.JSONL}:
        said = json.dumps({name: value for name, value in json.loads(said).items() if name != ENTRY[form]})
    else:
        said = re.sub(r" (KPUGarduEntry=.*|entry=\"(?:[^\"\\]|\\.)*\")", "", said)
    copy = read(said.encode())

    assert copy.body is None
    assert (copy.log, copy.seq, copy.leaf) == (example().log, 1, example().leaf)
    assert differs(copy, example()) == ""


@pytest.mark.parametrize("before", ["Nov 24 03:29:44 contoh ", "<110>Nov 24 03:29:44 contoh gardu: ", ""])
def test_cef_is_found_behind_an_older_syslog_header(before: str) -> None:
    """As connectors put it there."""
    assert differs(read((before + record(Format.CEF, example())).encode()), example()) == ""


def test_a_relay_may_drop_the_priority() -> None:
    """Many receivers keep a message without it."""
    said = record(Format.RFC5424, example()).removeprefix("<110>")

    assert differs(read(said.encode()), example()) == ""


def test_a_pipeline_may_put_its_own_beside_an_ocsf_event() -> None:
    """Enrichments and observables are what OCSF keeps for that; nothing else is taken."""
    event = json.loads(record(Format.OCSF, example()))

    assert differs(read(json.dumps({**event, "enrichments": [{"name": "x"}]}).encode()), example()) == ""
    assert differs(read(json.dumps({**event, "comment": "x"}).encode()), example()) == "comment does not come from the log"


@pytest.mark.parametrize(
    ("form", "old", "new", "what"),
    [
        (Format.OCSF, '"status_code":"allowed"', '"status_code":"denied"', "status_code is not what the log says"),
        (Format.OCSF, '"uid":"kpu-51.71"', '"uid":"kpu-51.03"', "actor is not what the log says"),
        (Format.OCSF, '"status_id":1,', "", "status_id is missing"),
        (Format.OCSF, '"status_id":1,', '"status_id":true,', "status_id is not what the log says"),
        (Format.OCSF, '"status_id":1,', '"status_id":1.0,', "status_id is not what the log says"),
        (Format.CEF, "outcome=allowed", "outcome=denied", "outcome is not what the log says"),
        (Format.CEF, "|2|", "|9|", "severity is not what the log says"),
        (Format.CEF, " spriv=kpu_kab", "", "spriv is missing"),
        (Format.CEF, " suid=", " msg=approved suid=", "msg does not come from the log"),
        (Format.RFC5424, "<110>", "<109>", "pri is not what the log says"),
        (Format.RFC5424, 'outcome="allowed"', 'outcome="denied"', "outcome is not what the log says"),
        (Format.RFC5424, 'outcome="allowed"', 'outcome="allowed" outcome="denied"', "outcome is not what the log says"),
        (Format.RFC5424, " contoh.example ", " other.example ", "hostname is not what the log says"),
        (Format.RFC5424, "[origin", "[x@32473 approved=\"yes\"][origin", "x@32473 approved does not come from the log"),
        (Format.RFC5424, "\ufeffvoter:reveal allowed", "\ufeffvoter:reveal denied", "msg is not what the log says"),
        (Format.JSONL, '"outcome":"allowed"', '"outcome":"denied"', "entry is not what the log says"),
        (Format.JSONL, '{"entry"', '{"approved":1,"entry"', "approved does not come from the log"),
    ],
)  # fmt: skip
def test_whatever_was_changed_in_a_copy_is_named(form: Format, old: str, new: str, what: str) -> None:
    """Not only the leaf hash: all that a record says must be what the log says."""
    said = record(form, example())
    assert old in said

    assert differs(read(said.replace(old, new).encode()), example()).endswith(what)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "none of the formats"),
        (b"hello", "none of the formats"),
        (b"\xff\xfe", "UTF-8"),
        (b"{", "not JSON"),
        (b"{}", "no log and number"),
        (b'{"a":1,"a":2}', "comes twice"),
        (b'{"a":' * 20_000, "JSON"),
        (b'{"log":"a/b/1","seq":1}', "no leaf hash"),
        (b'{"log":"a/b/1","seq":true,"leaf":"00"}', "no log and number"),
        (b'{"log":"a/b/1","seq":-1,"leaf":"00"}', "no log and number"),
        (b'{"log":"a/b/1","seq":1e3,"leaf":"00"}', "no log and number"),
        (b'{"log":"a/b/1","seq":' + b"9" * 5000 + b"}", "JSON"),
        (b'{"log":"\\ud800","seq":1,"leaf":"%s"}' % (b"0" * 64), "no log and number"),
        (b'{"entry":"\\ud800","log":"a/b/1","seq":1,"leaf":"%s"}' % (b"0" * 64), "surrogate"),
        (b'{"entry":{"a":1.5},"log":"a/b/1","seq":1,"leaf":"%s"}' % (b"0" * 64), "float"),
        (b'{"class_uid":6003}', "no log and number"),
        (b'{"class_uid":6003,"metadata":[],"unmapped":7}', "no log and number"),
        (b"CEF:0|KPU|Gardu", "no field product"),
        (b"CEF:0|Other|Thing|1|a|b|1|cs1=a", "another product"),
        (b"CEF:0|KPU|Gardu|1|a|b|1|cs1=a cs1=b", "cs1 comes twice"),
        (b"CEF:0|KPU|Gardu|1|a|b|1|outcome=x", "no log and number"),
        (b"<110>1 - h a - m [gardu@32473 leaf=\"x\"", "structured data"),
        (b'<110>1 - h a - m [gardu@32473 log="l" seq="1" leaf="%s" leaf="%s"]' % (b"0" * 64, b"1" * 64), "leaf comes twice"),
        (b'<110>1 - h a - m [gardu@32473 log="l" seq="1" leaf="%s"]' % (b"0" * 64), "no version"),
        (b"<110>1 - h a - m - hello", "none of the formats"),
        (b"x" * (MAX_RECORD + 1), "longer than"),
    ],
)  # fmt: skip
def test_what_is_no_record_is_refused_and_says_why(raw: bytes, why: str) -> None:
    """A clear word, never a traceback."""
    with pytest.raises(BadInput, match=why):
        read(raw)


@FORMATS
@settings(deadline=None)
@given(data=st.data())
def test_a_record_damaged_anywhere_never_passes(form: Format, data: st.DataObject) -> None:
    """One octet changed, left out or put in: refused, or something differs, or it is a blank that says nothing."""
    raw = record(form, example()).encode()
    at = data.draw(st.integers(0, len(raw) - 1))
    bent = data.draw(st.sampled_from([raw[:at] + raw[at + 1 :], raw[:at] + b"~" + raw[at:], raw[:at] + b"\x00" + raw[at + 1 :]]))
    try:
        copy = read(bent)
    except BadInput:
        return

    same = differs(copy, example()) == "" and copy.leaf == example().leaf and copy.body in {None, example().body}
    assert not same or bent.replace(b"\xef\xbb\xbf", b"") == raw.replace(b"\xef\xbb\xbf", b"") or _harmless(form, raw, bent)


def _harmless(form: Format, raw: bytes, bent: bytes) -> bool:
    """Whether only the priority, or what stands before CEF, or the version of the program was touched: none of them is the entry's."""
    if form is Format.CEF:
        return bent[bent.index(b"CEF:") :] == raw or re.sub(rb"Gardu\|[^|]+", b"", bent) == re.sub(rb"Gardu\|[^|]+", b"", raw)
    version = rb'"version":"[!-~]*?"|swVersion="[!-~]*?"'
    return re.sub(version, b"", bent) == re.sub(version, b"", raw)


# ---- files ----


def test_records_are_found_in_lines_and_in_frames() -> None:
    """Lines, frames without anything between them, and both in one file; blank lines are none."""
    lines = [record(form, item(seq=seq)).encode() for seq, form in enumerate(Format)]
    boxed = [framed(form, item(seq=seq)) for seq, form in enumerate(Format)]
    file = io.BytesIO(b"\n\n".join(lines) + b"\r\n" + b"".join(boxed) + b"\n" + boxed[0])

    found = [read(one).seq for one in records(file)]

    assert found == [0, 1, 2, 3, 0, 1, 2, 3, 0]


def test_a_large_file_is_read_in_order_with_flat_memory() -> None:
    """Records across every chunk's edge; no more than a few chunks are held."""
    dice = random.Random(7)
    forms = [dice.choice(list(Format)) for _ in range(4_000)]
    whole = b"".join(
        framed(form, item(seq=seq)) if dice.random() < 0.5 else record(form, item(seq=seq)).encode() + b"\n"
        for seq, form in enumerate(forms)
    )

    class Once(io.BytesIO):
        largest = 0

        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            Once.largest = max(Once.largest, size)
            return super().read(size)

    found = [read(one) for one in records(Once(whole))]

    assert [copy.seq for copy in found] == list(range(4_000))
    assert [copy.form for copy in found] == forms
    assert 0 < Once.largest <= 1024 * 1024 < len(whole)


@given(st.binary(max_size=400) | st.text('0123456789 <>1\n{}[]"CEF:|=').map(str.encode))
def test_any_file_is_taken_apart_without_a_traceback(raw: bytes) -> None:
    """Whatever stands in it: records, or a word why one is none."""
    for one in records(io.BytesIO(raw)):
        with pytest.raises(BadInput):
            read(one)


def test_a_frame_longer_than_any_record_is_no_frame() -> None:
    """A count alone makes nobody read on for ever."""
    pieces = list(records(io.BytesIO(b"9999999 <110>1 " + b"x" * 300_000)))

    assert b"".join(pieces) == b"9999999 <110>1 " + b"x" * 300_000
    assert max(map(len, pieces)) <= MAX_RECORD + 1


def test_a_record_tells_of_a_log_that_was_tampered_with() -> None:
    """The reader is not the judge: a record of a broken seal reads like any other."""
    broken = item(action=Action.VOTER_REVEAL, outcome=Outcome.BROKEN)

    assert all(differs(read(record(form, broken).encode()), broken) == "" for form in Format)
