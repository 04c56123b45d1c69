"""Entries as records for a SIEM: against records made by hand, OCSF's own schema, and everything an entry may hold."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.siem import Format, framed, record
from app.audit.siem_cef import escape_header, escape_value, read_cef, unescape
from app.audit.siem_entry import Item, gravity, item_of
from app.audit.siem_ocsf import KINDS
from app.audit.siem_syslog import escape_param, read_message, unescape_param
from app.audit.tree import leaf_hash
from app.kernel.errors import SealBroken
from app.kernel.fields import Action, Element, Outcome, Role
from tests.audit.siem_kit import ENTRIES, example, frames, item, items, ocsf_faults

LEAF = "6bef3bf23bee77035b0e3cace79ea158d3c3b8b841dc3fecaaf3edc101602bed"  # of the example in docs/log-format.md
# What could end a field, a record or a line too early, in one format or another.
ANYTHING = st.text(st.characters(codec="utf-8") | st.sampled_from('|\\=\n\r"][ nr'))


# ---- by hand ----


def test_an_ocsf_event_made_by_hand() -> None:
    """The example of docs/log-format.md as Datastore Activity, Read."""
    shown = json.loads(record(Format.OCSF, example(), "0.1.0"))

    assert shown.pop("raw_data") == example().body.decode()
    assert shown == {
        "category_uid": 6, "category_name": "Application Activity", "class_uid": 6005, "class_name": "Datastore Activity",
        "activity_id": 1, "activity_name": "Read", "type_uid": 600501, "type_name": "Datastore Activity: Read",
        "severity_id": 1, "severity": "Informational", "status_id": 1, "status": "Success", "status_code": "allowed",
        "time": 1795490984000, "message": "voter:reveal allowed",
        "actor": {
            "user": {"uid": "b" * 26, "type_id": 1, "org": {"uid": "kpu-51.71"}, "groups": [{"name": "kpu_kab", "type": "role"}]},
            "session": {"uid": "c" * 26},
            "authorizations": [{"decision": "allowed", "policy": {"uid": "kpu-kab-pemutakhiran"}}],
        },
        "src_endpoint": {"name": "contoh.example", "svc_name": "gardu"},
        "table": {"name": "voter"}, "type_id": 3,
        "metadata": {
            "version": "1.4.0", "product": {"name": "Gardu", "vendor_name": "KPU", "version": "0.1.0"}, "event_code": "voter:reveal",
            "uid": "contoh.example/gardu/1#1", "log_name": "contoh.example/gardu/1", "log_provider": "Gardu", "log_version": "1",
            "sequence": 1, "original_time": "2026-11-24T03:29:44.000001Z", "correlation_uid": "contoh-2",
        },
        "unmapped": {
            "leaf": LEAF, "prev": "b1e488728cb88e4996b2acce7dbc54ed1b9f01ae209b5fa925d114a6a8095b88", "election": "2029", "stage": "dps",
            "purpose": "pemutakhiran", "basis": "pkpu7_2022", "scope": "51.71.01.1001", "fields": {"nama": "utuh", "nik": "samar"},
            "subjects": {"count": 1, "root": "7987bf87a87afd54a473229b5ea7f152cf5f908bf9db1b7cd7389f303c2f9ed2"},
            "visit": "5ab21b607d2f2741ec0393ebcbb6c08f5c07e8a222fc9fe4233d64e19e3b9c7f",
            "assurance": {"age": 12, "challenge": None, "method": "totp"},
        },
    }  # fmt: skip


def test_a_cef_record_made_by_hand() -> None:
    """The same entry between bars."""
    shown = record(Format.CEF, example(), "0.1.0")

    assert shown == (
        "CEF:0|KPU|Gardu|0.1.0|voter:reveal|voter:reveal allowed|2|rt=1795490984000 dvchost=contoh.example cat=voter act=voter:reveal "
        f"outcome=allowed suid={'b' * 26} spriv=kpu_kab reason=kpu-kab-pemutakhiran cs1Label=log cs1=contoh.example/gardu/1 cn1Label=seq "
        f"cn1=1 cs2Label=leaf cs2={LEAF} cs3Label=office cs3=kpu-51.71 cs4Label=purpose cs4=pemutakhiran cs5Label=scope "
        f"cs5=51.71.01.1001 cn2Label=subjects cn2=1 flexString1Label=session flexString1={'c' * 26} flexString2Label=request "
        f"flexString2=contoh-2 KPUGarduEntry={example().body.decode()}"
    )


def test_a_syslog_message_made_by_hand() -> None:
    """Facility 13 and severity 6 make 110; structured data; MSG with its byte order mark."""
    shown = record(Format.RFC5424, example(), "0.1.0")
    escaped = example().body.decode().replace('"', '\\"').replace("]", "\\]")

    assert shown == (
        '<110>1 2026-11-24T03:29:44.000001Z contoh.example gardu - voter:reveal [origin software="Gardu" swVersion="0.1.0"]'
        f'[gardu@32473 log="contoh.example/gardu/1" seq="1" leaf="{LEAF}" action="voter:reveal" outcome="allowed" actor="{"b" * 26}" '
        f'office="kpu-51.71" role="kpu_kab" session="{"c" * 26}" purpose="pemutakhiran" scope="51.71.01.1001" request="contoh-2" '
        f'subjects="1" rule="kpu-kab-pemutakhiran" entry="{escaped}"] \ufeffvoter:reveal allowed, entry 1 of contoh.example/gardu/1'
    )


def test_a_json_line_holds_the_entrys_bytes_as_they_are() -> None:
    """Members in order, no white space: canonical as a whole."""
    body = example().body.decode()

    assert record(Format.JSONL, example()) == f'{{"entry":{body},"leaf":"{LEAF}","log":"contoh.example/gardu/1","seq":1}}'


def test_over_tls_every_record_is_a_syslog_message_with_its_length_before_it() -> None:
    """RFC 5425 section 4.3; a record of another format is the MSG, without a byte order mark."""
    [cef], [own] = frames(framed(Format.CEF, example())), frames(framed(Format.RFC5424, example()))

    assert cef.decode() == "<110>1 2026-11-24T03:29:44.000001Z contoh.example gardu - voter:reveal - " + record(Format.CEF, example())
    assert own.decode() == record(Format.RFC5424, example())
    assert len(own) > len(own.decode())  # octets are counted, not characters: the byte order mark has three


# ---- OCSF's schema ----


@ENTRIES
@given(items())
def test_every_entry_is_an_event_that_ocsf_allows(any_item: Item) -> None:
    """Classes, objects, types, words and constraints of schema 1.4.0, whatever the entry holds."""
    event = json.loads(record(Format.OCSF, any_item))

    assert ocsf_faults(event) == []
    assert (event["metadata"]["log_name"], event["metadata"]["sequence"]) == (any_item.log, any_item.seq)
    assert event["unmapped"]["leaf"] == any_item.leaf.hex()


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize("outcome", Outcome)
def test_every_action_and_outcome_has_a_class(action: Action, outcome: Outcome) -> None:
    """Also with nothing but what every entry has."""
    event = json.loads(record(Format.OCSF, item(action=action, outcome=outcome, request=None)))

    assert ocsf_faults(event) == []
    assert event["class_uid"] == KINDS[action].class_uid


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"class_uid": 6003}, "is unknown"),
        ({"time": "1795489205000"}, "time is no"),
        ({"severity_id": 7}, "severity_id is 7"),
        ({"type_uid": 600502}, "type_uid"),
        ({"actor": {}}, "actor."),
        ({"table": {}}, "table."),
    ],
)
def test_the_checker_finds_what_ocsf_does_not_allow(change: dict[str, object], fault: str) -> None:
    """A checker that found nothing would prove nothing."""
    event = {**json.loads(record(Format.OCSF, example())), **change}

    assert any(fault in one for one in ocsf_faults(event))


def test_an_account_that_was_acted_upon_is_told_by_its_digest() -> None:
    """The entry has no more than the SHA-256 of its uid; without it the actor acted upon the own account."""
    other = json.loads(record(Format.OCSF, item(action=Action.ACCOUNT_DISABLE, outcome=Outcome.DONE, detail=("account", bytes(32)))))
    own = json.loads(record(Format.OCSF, item(action=Action.ACCOUNT_PASSWORD, outcome=Outcome.FAILED)))

    assert other["user"] == {"uid": "sha256:" + "00" * 32}
    assert own["user"] == own["actor"]["user"]


@pytest.mark.parametrize(
    ("actor", "role", "kind"), [("host:0", None, 3), ("unknown", None, 0), ("a" * 26, Role.KPU_KAB, 1), ("a" * 26, Role.ADMIN_SISTEM, 2)]
)
def test_the_kind_of_user_is_told(actor: str, role: Role | None, kind: int) -> None:
    """System, unknown, user, administrator."""
    event = json.loads(record(Format.OCSF, item(actor=actor, role=role)))

    assert event["actor"]["user"]["type_id"] == kind


def test_a_tampered_log_is_as_grave_as_a_broken_seal() -> None:
    """A verification that failed found something; a login that failed is a wrong code."""
    tampered, wrong = item(action=Action.TRAIL_VERIFY, outcome=Outcome.FAILED), item(outcome=Outcome.FAILED)

    assert gravity(tampered) == gravity(item(outcome=Outcome.BROKEN)) == (2, 5, 10)
    assert gravity(wrong) == (5, 2, 4)
    assert record(Format.RFC5424, tampered).startswith("<106>1 ")
    assert "|trail:verify failed|10|" in record(Format.CEF, tampered)


# ---- escaping ----


@ENTRIES
@given(items())
def test_a_record_is_one_line_and_its_parts_are_where_they_belong(any_item: Item) -> None:
    """Nothing that an entry may hold ends a field, an element, a line or a frame too early."""
    for form in Format:
        said = record(form, any_item)
        assert "\n" not in said and "\r" not in said
        assert frames(framed(form, any_item) * 2) == [framed(form, any_item).partition(b" ")[2]] * 2
    cef = read_cef(record(Format.CEF, any_item))
    assert (cef["suid"], cef["cs1"], cef["KPUGarduEntry"]) == (any_item.members["actor"], any_item.log, any_item.body.decode())
    message = read_message(record(Format.RFC5424, any_item))
    assert message is not None
    assert message[0]["gardu@32473 entry"] == (any_item.body.decode(),)
    assert message[0].get("gardu@32473 rule", ()) == tuple(any_item.members["rule"] or ())
    assert json.loads(record(Format.JSONL, any_item))["entry"] == any_item.members


@given(ANYTHING, ANYTHING)
def test_cef_escapes_whatever_it_is_given(one: str, other: str) -> None:
    """No bar ends a header field, no equals sign makes a key, no line break a record; and back."""
    header, value = escape_header(one), escape_value(other)
    said = read_cef(f"CEF:0|KPU|Gardu|{header}|a|b|1|msg={value} suid=x")

    assert unescape(header) == re.sub(r"[\r\n]+", " ", one)
    assert unescape(value) == other
    assert (said["product version"], said["msg"], said["suid"]) == (unescape(header), other, "x")
    assert not re.search(r"[\r\n]", header + value)


@given(ANYTHING, ANYTHING)
def test_syslog_escapes_whatever_it_is_given(one: str, other: str) -> None:
    """No quote ends a value and no bracket an element; and back."""
    message = f'<110>1 - h gardu - m [gardu@32473 a="{escape_param(one)}" b="{escape_param(other)}"][x@32473 c="d"] rest'
    found = read_message(message)

    assert unescape_param(escape_param(one)) == one
    assert found is not None
    assert found[0] | {"gardu@32473 a": (one,), "gardu@32473 b": (other,), "x@32473 c": ("d",)} == found[0]
    assert found[1] == "rest"


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("letter", ["]", "=", "|", "x"])
def test_no_record_is_longer_than_a_receiver_is_told(form: Format, letter: str) -> None:
    """The longest entry there can be, made of what is escaped: below the 32,768 octets of docs/siem.md."""
    detail = (letter * 32, bytes(32))
    longest = item(
        letter * 255, 10**15 - 1, actor=letter * 64, action=Action.SESSION_LOGIN, office=letter * 32, role=Role.PETUGAS_KEAMANAN,
        session=letter * 64, election=letter * 16, stage="coklit", purpose="permintaan_subjek", sop=letter * 64, basis="perbawaslu4_2023",
        mandate=letter * 64, policy="0" * 64, rule=(letter * 64,) * 64, scope="51.71.01.1001", fields=dict.fromkeys(Element, "ringkas"),
        subjects=(10**15 - 1, bytes(32)), visit=bytes(32), detail=detail, request=letter * 64,
        assurance={"method": letter * 16, "age": 10**9, "challenge": "0" * 64},
    )  # fmt: skip

    assert len(framed(form, longest)) < 32_768


@pytest.mark.parametrize(
    ("log", "seq", "leaf", "body"),
    [
        ("uji.localhost/gardu/2", 4, None, None),
        ("uji.localhost/gardu/1", 5, None, None),
        ("uji.localhost/gardu/1", 4, bytes(32), None),
        ("uji.localhost/gardu/1", 4, "text", None),
        ("uji.localhost/gardu/1", 4, leaf_hash(b"{}"), b"{}"),
        ("uji.localhost/gardu/1", 4, leaf_hash(b"\xff"), b"\xff"),
        ("uji.localhost/gardu/1", 4, None, "text"),
        ("uji.localhost/gardu/1", 4, None, 7),
    ],
)
def test_what_is_not_the_logs_entry_never_becomes_a_record(log: str, seq: int, leaf: object, body: object) -> None:
    """Another place, another leaf hash, other bytes: refused, naming the entry."""
    good = item()

    with pytest.raises(SealBroken, match=f"entry {seq} of {log}"):
        item_of(log, seq, good.leaf if leaf is None else leaf, good.body if body is None else body)
