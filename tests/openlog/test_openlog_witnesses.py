"""The list of witnesses: rules, two people, when a change comes into force, and rows that somebody took away."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.audit import published
from app.audit.cosign import Cosigner
from app.audit.note import Signer
from app.audit.published import Cosignature, Halt, Published, put_published
from app.audit.quorum import parse_policy
from app.audit.trail import Trail
from app.factory import House
from app.kernel.errors import BadInput, Conflict, NotAllowed, NotThere, SealBroken, UnsafeStart
from app.kernel.fields import Action, Role
from app.openlog import rounds, rules, witnesses
from app.openlog.witnesses import standing
from app.store.engine import Store
from tests.openlog.openlog_kit import BAWASLU, OTHER, install_list, keeper, one_witness
from tests.trail_kit import draft
from tests.walk_kit import outcomes

URL = "https://saksi.example/gardu"
THIRD = Cosigner("saksi.pers.example", hashlib.sha256(b"a third").digest())


def listed(quorum: str, *cosigners: Cosigner) -> str:
    """Return a list of *cosigners* named w0, w1, … and what follows."""
    lines = [f"witness w{number} {one.vkey} {URL}/{number}" for number, one in enumerate(cosigners)]
    return "\n".join([*lines, quorum]) + "\n"


ONE = listed("quorum w0", BAWASLU)
BOTH = listed("group g all w0 w1\nquorum g", BAWASLU, OTHER)
ANY = listed("group g any w0 w1\nquorum g", BAWASLU, OTHER)
REPLACED = listed("quorum w0", OTHER)
NONE = "quorum none\n"


@pytest.mark.parametrize(
    ("old", "new", "weaker"),
    [
        (NONE, ONE, False), (ONE, BOTH, False), (ONE, ONE, False), (ONE, ANY, True), (ONE, REPLACED, True), (ONE, NONE, True),
        (BOTH, ONE, True), (BOTH, ANY, True), (ANY, ONE, False), (ANY, BOTH, False),
        (listed("group g 2 w0 w1 w2\nquorum g", BAWASLU, OTHER, THIRD), BOTH, False),
        (BOTH, listed("group g 2 w0 w1 w2\nquorum g", BAWASLU, OTHER, THIRD), True),
    ],
)  # fmt: skip
def test_a_change_is_weaker_when_something_gets_through_that_did_not(old: str, new: str, weaker: bool) -> None:
    """Judged by what the quorums let through, not by how they are written."""
    assert rules.weakens(parse_policy(old), parse_policy(new)) is weaker


@pytest.mark.parametrize(
    "text_",
    [
        "", "quorum", "quorum none", "witness a b\nquorum a\n", f"log {BAWASLU.vkey}\nquorum none\n",
        f"witness a {BAWASLU.vkey}\nquorum a\n", f"witness a {BAWASLU.vkey} http://saksi.example\nquorum a\n",
        f"witness a {BAWASLU.vkey} https://u@saksi.example\nquorum a\n", f"witness a {BAWASLU.vkey} https://saksi.example/?x\nquorum a\n",
        f"witness a {BAWASLU.vkey} ftp://saksi.example\nquorum a\n", "quorum none\n" * 2, "x" * 30_000, "quorum a\0\n",
    ],
)  # fmt: skip
def test_a_list_out_of_form_is_refused_with_words(text_: str) -> None:
    """Except the one that asks for nobody."""
    if text_ == "quorum none":
        assert not rules.asks_for_witness(rules.parse_list(text_))
        return
    with pytest.raises(BadInput) as wrong:
        rules.parse_list(text_)
    assert wrong.value.field == "text"


def test_nine_witnesses_are_one_too_many() -> None:
    """The question whether a change weakens the quorum stays answerable."""
    nine = [Cosigner(f"w{number}.example", hashlib.sha256(b"%d" % number).digest()) for number in range(9)]
    with pytest.raises(BadInput, match="too many"):
        rules.parse_list(listed("quorum w0", *nine))


def test_it_takes_two_people(house: House) -> None:
    """Who proposed cannot approve, and hears why; the refusal is an entry; another may; a second answer comes too late."""
    now, room = house.clock.now(), house.openlog
    version = witnesses.propose(room, keeper("a"), ONE, "Surat Bawaslu", now)

    with pytest.raises(NotAllowed, match="same person"):
        witnesses.decide(room, keeper("a"), version, True, now)
    with pytest.raises(Conflict, match="waits"):
        witnesses.propose(room, keeper("b"), BOTH, "lagi", now)
    assert not standing(room.books, now).configured
    witnesses.decide(room, keeper("b", Role.ADMIN_SISTEM), version, True, now)
    with pytest.raises(Conflict, match="decided"):
        witnesses.decide(room, keeper("c"), version, False, now)

    assert standing(room.books, now).version == version
    said = [outcome for action, outcome in outcomes(house) if action == Action.WITNESS_CHANGE.value]
    assert said == ["intent", "denied", "done", "denied"]


@pytest.mark.parametrize("role", [Role.KPU_KAB, Role.BAWASLU_KAB, Role.PENYETUJU])
def test_nobody_else_keeps_the_list(house: House, role: Role) -> None:
    """Other roles neither propose nor decide."""
    now, room = house.clock.now(), house.openlog
    with pytest.raises(NotAllowed):
        witnesses.propose(room, keeper("a", role), ONE, "alasan", now)
    with pytest.raises(NotAllowed):
        witnesses.decide(room, keeper("a", role), 1, True, now)
    with pytest.raises(NotThere):
        witnesses.decide(room, keeper("a"), 1, True, now)


def test_a_stronger_list_holds_at_once_a_weaker_one_waits_for_the_old_witness(house: House) -> None:
    """Replacing the witness: not before it has signed a checkpoint that holds the approval, or three days later."""
    now, room = house.clock.now(), house.openlog
    install_list(house, ONE)
    assert standing(room.books, now).version == 1
    install_list(house, REPLACED)

    waiting = standing(room.books, now)
    assert (waiting.version, [one.version for one in waiting.pending]) == (1, [2])
    assert standing(room.books, now + rules.WAIT).version == 2

    seq = waiting.pending[0].seq
    assert seq is not None
    for size, in_force in ((seq, 1), (seq + 1, 2)):
        line = Cosignature(size, BAWASLU.verifier.key_id.hex(), BAWASLU.name, "—\n", now + timedelta(seconds=size))
        put_published(house.store, room.log, Published(size, "", now), [line])
        assert standing(room.books, now).version == in_force


def test_after_a_restore_a_waiting_change_waits_its_time_out(house: House) -> None:
    """Its entry's number belongs to the log before: a signature on the next log does not cover it."""
    now, room = house.clock.now(), house.openlog
    install_list(house, ONE)
    install_list(house, REPLACED)
    after = replace(room.books, log="uji.localhost/gardu/2")
    trail = Trail(house.store, after.log, Signer(after.log, bytes(32)))
    trail.append(draft(0, at=now + timedelta(minutes=5)))
    line = Cosignature(10**6, BAWASLU.verifier.key_id.hex(), BAWASLU.name, "—\n", now + timedelta(minutes=6))
    put_published(house.store, after.log, Published(10**6, "", now), [line])

    assert standing(after, now + timedelta(minutes=7)).version == 1
    assert standing(after, now + rules.WAIT).version == 2
    trail.close()


def test_a_change_of_a_row_past_us_is_seen(house: House) -> None:
    """Every column is sealed; and a row that was deleted is missed, by the log's own count, at the next start."""
    install_list(house, ONE)
    owner = house.store if house.store.dialect == "sqlite" else Store(house.settings.owner_database)
    with owner.writing() as session:
        session.execute(text("UPDATE witness_policy SET text = :x"), {"x": NONE})
    with pytest.raises(SealBroken):
        standing(house.openlog.books, house.clock.now())

    with owner.writing() as session:
        session.execute(text("DELETE FROM witness_policy"))
    with pytest.raises(UnsafeStart, match="1 approved lists of witnesses are gone"):
        rounds.demand_safe_start(house.openlog, house.clock.now())


def test_a_lift_that_no_entry_speaks_of_stops_the_start(house: House) -> None:
    """Whoever adds such a row makes the guard deaf to its witnesses; one with its entry is nobody's harm."""
    now, room = house.clock.now(), house.openlog
    published.halt(house.store, room.log, Halt(99, "uji", "", now))
    rounds.resume(room, "saksi keliru", now)
    rounds.demand_safe_start(room, now)
    with house.store.writing() as session:
        published.lift_within(session, room.log, Halt(10**9, "diam-diam", "", now + timedelta(hours=1)))

    with pytest.raises(UnsafeStart, match="1 halts of log"):
        rounds.demand_safe_start(room, now)


def test_proposing_the_same_list_again_is_refused(house: House) -> None:
    """Nothing would change."""
    install_list(house, one_witness(URL))

    with pytest.raises(Conflict, match="same list"):
        witnesses.propose(house.openlog, keeper("a"), one_witness(URL).replace("\n", "\r\n"), "alasan", house.clock.now())
