"""Publishing: tiles, witnesses asked, signatures kept; and witnesses that have seen more, or another history."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.audit import published
from app.audit.cosign import open_cosignatures
from app.audit.note import Checkpoint, Signer, open_note, parse_checkpoint
from app.audit.proof import tlog_proof
from app.audit.tree import leaf_hash, verify_inclusion
from app.factory import House
from app.kernel.errors import SealBroken, TrailDown, UnsafeStart
from app.openlog import files, rounds
from app.openlog.publisher import publish
from app.openlog.witnesses import standing
from tests.openlog.openlog_kit import BAWASLU, OTHER, Script, answering, append, install_list, one_witness, signing


def test_what_is_published_is_the_signed_head_with_both_of_the_logs_signatures(house: House) -> None:
    """Ed25519 and, where the library can, ML-DSA-44; asked again nothing is added."""
    append(house, 3)
    now = house.clock.now()

    first = publish(house.openlog, now)
    again = publish(house.openlog, now)

    assert first is not None
    assert first == again
    opened = open_note(first.note, [house.openlog.verifier])
    assert parse_checkpoint(opened.text).size == first.size
    second = house.openlog.second
    assert second is not None
    assert list(open_cosignatures(first.note, [second.verifier])) == [second.vkey]
    assert files.keys(house.openlog).splitlines() == [house.openlog.verifier.vkey, second.vkey]


def test_a_witness_signs_what_is_new_and_is_left_alone_when_nothing_is(house: House) -> None:
    """Its signature stands on the served checkpoint and in a receipt; the proof it was given leads from size to size."""
    seen: list[int] = []

    def script(text_: str, old: int) -> tuple[int, str, str]:
        seen.append(old)
        return signing(BAWASLU, house.clock.now)(text_, old)

    with answering(script) as url:
        install_list(house, one_witness(url))
        now = house.clock.now()
        one = publish(house.openlog, now)
        publish(house.openlog, now)
        append(house, 2)
        two = publish(house.openlog, now)

    assert one is not None
    assert two is not None
    assert seen == [0, one.size]
    stand = standing(house.openlog.books, now)
    assert (stand.configured, stand.is_fresh(now), stand.covers(two.size - 1), stand.covers(two.size)) == (True, True, True, False)
    assert BAWASLU.vkey in open_cosignatures(files.checkpoint(house.openlog), [BAWASLU.verifier])
    assert f"— {BAWASLU.name} " in tlog_proof(house.store, house.openlog.log, 0, published=True)


def test_a_receipt_waits_for_the_size_that_a_witness_signed(house: House) -> None:
    """While the witness was away a size was published without it; once it signs a later one, the receipt is against that."""
    with answering(lambda _text, _old: (500, "text/plain", "away")) as url:
        install_list(house, one_witness(url))
        publish(house.openlog, house.clock.now())
        port = int(url.rsplit(":", 1)[1])
    bare = tlog_proof(house.store, house.openlog.log, 0, published=True)
    append(house)
    with answering(signing(BAWASLU, house.clock.now), port):
        publish(house.openlog, house.clock.now())

    assert f"— {BAWASLU.name} " not in bare
    assert f"— {BAWASLU.name} " in tlog_proof(house.store, house.openlog.log, 0, published=True)


def test_the_proof_handed_to_a_witness_is_a_consistency_proof(house: House) -> None:
    """From the size it names in a 409 to the size published."""
    asked: list[tuple[int, str]] = []

    def script(text_: str, old: int) -> tuple[int, str, str]:
        asked.append((old, text_))
        return (409, "text/x.tlog.size", "2\n") if old != 2 else signing(BAWASLU, house.clock.now)(text_, old)

    with answering(script) as url:
        install_list(house, one_witness(url))
        found = publish(house.openlog, house.clock.now())

    assert found is not None
    assert [old for old, _ in asked] == [0, 2]
    assert standing(house.openlog.books, house.clock.now()).covers(found.size - 1)


def test_freshness_runs_out_and_comes_back(house: House) -> None:
    """After a quarter of an hour without a signature it is stale; a signature on the same size makes it fresh again."""
    with answering(signing(BAWASLU, house.clock.now)) as url:
        install_list(house, one_witness(url))
        now = house.clock.now()
        publish(house.openlog, now)
        later = now + timedelta(minutes=16)
        stale = standing(house.openlog.books, later).is_fresh(later)
        house.clock.moment = later  # type: ignore[attr-defined]  # the fake clock of the tests
        publish(house.openlog, later)

    assert not stale
    assert standing(house.openlog.books, later).is_fresh(later)


@pytest.mark.parametrize(
    "script",
    [
        lambda _text, _old: (500, "text/plain", "no"),
        lambda _text, _old: (200, "text/plain", ""),
        lambda _text, _old: (200, "text/plain", "— saksi.bawaslu.example AAAA\n"),
        lambda _text, _old: (200, "text/plain", "\x00\xff" * 50_000),
        lambda _text, _old: (404, "text/plain", "unknown log"),
        lambda _text, _old: (409, "text/plain", "9999999\n"),
        lambda _text, _old: (409, "text/x.tlog.size", "-1\n"),
        lambda _text, _old: (302, "text/plain", "elsewhere"),
    ],
)
def test_a_witness_that_makes_no_sense_signs_nothing_and_stops_nothing(house: House, script: Script) -> None:
    """Odd answers are an absent witness: the log goes on and is not fresh."""
    with answering(script) as url:
        install_list(house, one_witness(url))
        now = house.clock.now()
        publish(house.openlog, now)

    append(house)
    assert not standing(house.openlog.books, now).is_fresh(now)


def test_a_signature_of_another_key_or_from_tomorrow_does_not_count(house: House) -> None:
    """The key on the list decides, not the name; a date far ahead would stay fresh for too long."""
    ahead = house.clock.now() + timedelta(hours=1)
    impostor = type(OTHER)(BAWASLU.name, bytes(32))
    for script in (signing(impostor, house.clock.now), signing(BAWASLU, lambda: ahead)):
        with answering(script) as url:
            install_list(house, one_witness(url))
            now = house.clock.now()
            publish(house.openlog, now)
        assert not standing(house.openlog.books, now).is_fresh(now)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (lambda _text, _old: (409, "text/x.tlog.size", "100000\n"), "has signed 100000 entries"),
        (lambda text_, _old: (409, "text/x.tlog.size", text_.split("\n")[1] + "\n"), "another tree"),
        (
            lambda text_, old: (
                (409, "text/plain", "no") if str(old) in text_.split("\n") else (409, "text/x.tlog.size", text_.split("\n")[1] + "\n")
            ),
            "another tree",
        ),
        (lambda _text, _old: (422, "text/plain", "bad proof"), "do not continue"),
    ],
)
def test_a_witness_that_has_seen_another_history_stops_the_log(house: House, script: Script, reason: str) -> None:
    """Nothing is appended any more, in any process; the next start refuses; lifting it needs a person and is an entry."""
    with answering(script) as url:
        install_list(house, one_witness(url))
        publish(house.openlog, house.clock.now())

    with pytest.raises(TrailDown, match=reason):
        append(house)
    with pytest.raises(UnsafeStart, match=reason):
        rounds.demand_safe_start(house.openlog, house.clock.now())
    rounds.resume(house.openlog, "saksi keliru", house.clock.now())
    append(house)
    with answering(script) as url:
        publish(house.openlog, house.clock.now())
    append(house)


def test_an_old_backup_is_noticed_at_the_start_though_it_believes_that_all_is_signed(house: House) -> None:
    """Its newest signature is seconds old; the witness has signed more since, and is asked before the first page."""
    with answering(signing(BAWASLU, house.clock.now)) as url:
        install_list(house, one_witness(url))
        publish(house.openlog, house.clock.now())
        rounds.demand_safe_start(house.openlog, house.clock.now())
        port = int(url.rsplit(":", 1)[1])
    with (
        answering(lambda _text, _old: (409, "text/x.tlog.size", "77\n"), port),
        pytest.raises(UnsafeStart, match="an older state was put back"),
    ):
        rounds.demand_safe_start(house.openlog, house.clock.now())


def test_tampered_tiles_or_leaves_are_not_published(house: House) -> None:
    """What the tiles add up to must be what the log signed."""
    append(house, 5)
    store = house.store if house.store.dialect == "sqlite" else type(house.store)(house.settings.owner_database)
    with store.writing() as session:
        if store.dialect == "sqlite":
            session.execute(text("DROP TRIGGER trail_entry_no_update"))
        else:
            session.execute(text("ALTER TABLE trail_entry DISABLE TRIGGER USER"))
        session.execute(text("UPDATE trail_entry SET leaf = :x WHERE seq = 1"), {"x": b"\x00" * 32})

    with pytest.raises(SealBroken, match="do not lead to the signed root"):
        publish(house.openlog, house.clock.now())


def test_the_head_guard_notices_an_old_backup(house: House) -> None:
    """A database behind the file, with another history, or a file of somebody else's: refused; missing: says what to do."""
    guard = house.settings.data / "elsewhere.note"
    room = type(house.openlog)(house.guard, house.identity, house.openlog.books, house.openlog.verifier, house.openlog.second, guard)
    now = house.clock.now()
    with pytest.raises(UnsafeStart, match="is missing"):
        rounds.demand_safe_start(room, now)
    size = rounds.begin_head_guard(room, now)
    rounds.demand_safe_start(room, now)
    append(house, 2)
    publish(room, now)
    ours = guard.read_text("utf-8")
    assert parse_checkpoint(open_note(ours, [room.verifier]).text).size == size + 2

    rounds.demand_safe_start(room, now)
    signer = Signer(room.log, house.guard.keys.key("log", "00").secret)
    guard.write_text(signer.sign(Checkpoint(room.log, size + 50, bytes(32)).text()), "utf-8")
    with pytest.raises(UnsafeStart, match="an old backup was put back"):
        rounds.demand_safe_start(room, now)
    guard.write_text(signer.sign(Checkpoint(room.log, size, bytes(32)).text()), "utf-8")
    with pytest.raises(UnsafeStart, match="are not those the head guard has seen"):
        rounds.demand_safe_start(room, now)
    guard.write_text(Signer(room.log, bytes(32)).sign(Checkpoint(room.log, size, bytes(32)).text()), "utf-8")
    with pytest.raises(UnsafeStart, match="no checkpoint of this log's key"):
        rounds.demand_safe_start(room, now)


def test_published_proofs_hold(house: House) -> None:
    """The receipt against a published checkpoint is a proof on its own."""
    append(house, 4)
    found = publish(house.openlog, house.clock.now())
    assert found is not None

    head, _, note = tlog_proof(house.store, house.openlog.log, 1, published=True).partition("\n\n")

    mark = parse_checkpoint(open_note(note, [house.openlog.verifier]).text)
    lines = head.split("\n")
    body = base64.b64decode(lines[1].removeprefix("extra "))
    verify_inclusion(1, mark.size, leaf_hash(body), [base64.b64decode(one) for one in lines[3:]], mark.root)
    assert published.newest(house.store, house.openlog.log) == found
