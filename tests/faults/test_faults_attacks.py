"""The table of docs/attacks.md, proved: each attack by the database's owner on both engines, and exactly who notices it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from app.audit import published
from app.audit.proof import consistency
from app.audit.published import Halt
from app.audit.submit import submit
from app.kernel.errors import TrailDown, UnsafeStart
from app.openlog import files, rounds, rules
from app.openlog.publisher import publish
from app.openlog.witnesses import standing
from tests.conftest import ROOT
from tests.faults import attack_acts as acts
from tests.faults.attack_detectors import DETECTORS, Found, asked, by_start, by_verifier, by_verify, by_witness, refused, run_verifier
from tests.faults.attack_hands import forged_receipt
from tests.faults.attack_kit import LAST, Desk, Prepared, World, append, desks, prepare, scripted, world_of
from tests.faults.attack_table import ATTACKS, COLUMNS, Attack, page
from tests.openlog.openlog_kit import install_list, one_witness
from tests.sampling import sampled

PAGE = ROOT / "docs" / "attacks.md"


@pytest.fixture(scope="module")
def places() -> Iterator[dict[str, Desk]]:
    with desks() as made:
        yield made


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def prepared(request: pytest.FixtureRequest, places: dict[str, Desk], tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The watched log of each engine, made once."""
    folder = tmp_path_factory.mktemp("attacked")
    if request.param == "sqlite":
        return prepare(request.getfixturevalue("installed_sqlite"), folder, places)
    return prepare(request.getfixturevalue("installed_postgres"), folder, places, request.getfixturevalue("postgres"))


@pytest.fixture
def world(prepared: Prepared, places: dict[str, Desk], tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """A copy for one attack; over the old backup where the attack, or the mark ``old``, asks for it."""
    attack = request.node.callspec.params.get("attack")
    made = world_of(prepared, tmp_path, places, old=attack is not None and attack.old)
    yield made
    made.close()


def commit(world: World, act: str) -> None:
    """Do what an attack does, and start the guard anew."""
    getattr(acts, act)(world)
    world.rejoin()


def same(found: Found, told: Mapping[str, str]) -> bool:
    """Say whether exactly these checks noticed, each for its reason."""
    return found.keys() == told.keys() and all(part in found[name] for name, part in told.items())


# ---- the table ----


@pytest.mark.parametrize("attack", sampled(ATTACKS, *ATTACKS[::3]), ids=[f"{one.key}-{one.act}" for one in ATTACKS])
def test_an_attack_is_noticed_by_exactly_those_the_table_names(world: World, attack: Attack) -> None:
    """Each detector finds what its cell says, for the reason that it says; one that the table says is blind finds nothing."""
    commit(world, attack.act)

    found = asked(world)

    assert {name: what for name, what in found.items() if not same(what, attack.cells[name].found)} == {}


def test_nobody_accuses_an_honest_log(world: World) -> None:
    """Without an attack every detector is silent, also after a new start and an entry more."""
    assert {name: what for name, what in asked(world).items() if what} == {}


def test_every_attack_has_a_row_and_every_row_an_attack() -> None:
    """Nothing in the table that no test proves, no attack that the table leaves out, no detector without a column."""
    there = {
        name for name, one in vars(acts).items() if inspect.isfunction(one) and one.__module__ == acts.__name__ and not name.startswith("_")
    }

    assert [attack.act for attack in ATTACKS] == list(dict.fromkeys(attack.act for attack in ATTACKS))
    assert {attack.act for attack in ATTACKS} == there
    assert len({attack.key for attack in ATTACKS}) == len(ATTACKS)
    assert set(COLUMNS) == set(DETECTORS)
    assert all(tuple(attack.cells) == COLUMNS for attack in ATTACKS)


def test_the_page_is_the_table() -> None:
    """docs/attacks.md holds the table and the reasons as the tests prove them, and no row besides."""
    text, made = PAGE.read_text("utf-8"), list(page())

    assert "\n".join(made) in text
    assert [line for line in text.splitlines() if line.startswith("| ") and line not in made] == []


# ---- what the reasons below the table say besides ----


def test_an_edited_leaf_below_an_unfinished_tile_is_noticed_at_the_start(world: World) -> None:
    """Row 2: among the newest entries no full tile stands for the leaf yet."""
    world.sql("UPDATE trail_entry SET leaf = (SELECT x.leaf FROM trail_entry x WHERE x.seq = 5) WHERE seq = :seq", seq=LAST - 5)

    assert "are not those the head guard has seen" in by_start(world)["start"]


def test_a_rehashed_log_takes_no_further_entry(world: World) -> None:
    """Row 3: the guard does not extend a head that its own checkpoint does not bear out."""
    commit(world, "rehash")

    with pytest.raises(TrailDown, match="does not match its checkpoint"):
        append(world)


def test_a_split_view_ends_once_a_guard_meets_the_others_witness(world: World) -> None:
    """Row 10: the second witness has seen another history, says so, and keeps both notes."""
    commit(world, "split")
    world.away = set()

    found = by_witness(world)

    assert "do not continue what it has signed" in found["halt"]
    assert found["evidence"] == f"unproven {LAST + 2}/{LAST + 3}"


def test_a_forged_receipt_convinces_by_the_key_alone_and_convicts_at_a_witness(world: World) -> None:
    """Row 12: good with the key, refused with the policy; handed to a witness it is evidence of a fork."""
    receipt, kept = forged_receipt(world, world.prepared.victims[0], world.folder / "receipt"), world.prepared.kept
    by_key, by_policy, honest = run_verifier(
        kept,
        world.now(),
        ("receipt", receipt, "--key", kept / "key"),
        ("receipt", receipt, "--policy", kept / "all"),
        ("receipt", kept / "receipt", "--policy", kept / "all"),
    )
    note = receipt.read_text("utf-8").partition("\n\n")[2]

    answer = submit(world.places["a"].url, note, LAST, consistency(world.house.store, world.log, LAST, LAST))

    assert (by_key["result"], by_policy["result"], honest["result"]) == ("good", "unchecked", "good")
    assert answer.status == 409
    assert by_witness(world) == {"evidence": f"fork {LAST}/{LAST}"}


@pytest.mark.parametrize("act", ["change_a_cosignature", "delete_a_cosignature", "forge_a_cosignature"])
def test_a_cosignature_that_is_gone_comes_back(world: World, act: str) -> None:
    """Row 17: at the next turn the witness signs again, and the quorum is reached."""
    commit(world, act)
    by_witness(world)

    note = world.folder / "again"
    note.write_text(files.checkpoint(world.house.openlog), "utf-8")
    [outcome] = run_verifier(world.prepared.kept, world.now(), ("checkpoint", note, "--policy", world.prepared.kept / "all"))

    assert refused(outcome) == ""


@pytest.mark.parametrize(
    ("column", "value", "at_start"),
    [("body", b"{}", "is no entry any more"), ("action", "session:login", "")],
)
def test_hiding_the_approval_together_with_the_list_is_noticed(world: World, column: str, value: object, at_start: str) -> None:
    """Row 18a: an entry made unreadable stops start and verify in words; a changed query column blinds the start, not verify."""
    world.sql(f"UPDATE trail_entry SET {column} = :value WHERE action = 'witness:change'", value=value)
    world.sql("DELETE FROM witness_policy")
    world.rejoin()

    assert by_verify(world) != {}
    assert same(by_start(world), {"start": at_start} if at_start else {})


def test_two_witnesses_may_stop_the_log_in_one_moment(world: World) -> None:
    """Row 19: the second to say so is no error, and one row stops the log."""
    for name in ("a", "b"):
        published.halt(world.house.store, world.log, Halt(9999, name, "", world.now()))

    with pytest.raises(UnsafeStart, match="is halted"):
        rounds.demand_safe_start(world.house.openlog, world.now())


def test_a_lift_without_its_entry_leaves_the_gates_shut(world: World) -> None:
    """Row 19b: whoever silenced the witness has not made it sign."""
    with world.house.store.writing() as session:
        published.lift_within(session, world.log, Halt(10**9, "x", "", world.now()))
    world.apps["a"] = scripted(lambda _text, _old: (409, "text/x.tlog.size", "100000\n"))

    assert by_witness(world) == {}
    assert not standing(world.house.openlog.books, world.now()).is_fresh(world.now())


def test_the_way_back_from_a_witness_that_claims_too_much(world: World) -> None:
    """Row 21a: a person sets the claim aside, the log goes on, the same claim does not stop it again, and verify is content."""
    commit(world, "claim_a_huge_size")
    with pytest.raises(TrailDown, match="100000"):
        append(world)

    rounds.resume(world.house.openlog, "saksi keliru", world.now())
    append(world)
    publish(world.house.openlog, world.now())

    append(world)
    assert by_verify(world) == {}


@pytest.mark.parametrize("act", ["sign_in_the_future", "refuse_to_sign"])
def test_the_way_back_from_a_witness_that_does_not_sign(world: World, act: str) -> None:
    """Row 21: the log goes on without being fresh; two people take the witness off the list, in force after 72 hours."""
    commit(world, act)
    book, only_b = world.house.openlog.books, one_witness(world.places["b"].url, world.prepared.cosigners["b"])
    append(world)
    stale = not standing(book, world.now()).is_fresh(world.now())
    install_list(world.house, only_b)
    publish(world.house.openlog, world.now())
    early = standing(book, world.now()).is_fresh(world.now())

    world.clock.moment += rules.WAIT + timedelta(minutes=1)
    publish(world.house.openlog, world.now())

    assert (stale, early, standing(book, world.now()).is_fresh(world.now())) == (True, False, True)


def test_colluders_have_every_signature_that_an_outsider_without_memory_asks_for(world: World) -> None:
    """Row 22: the export, the tiles and the quorum are good; the receipt that somebody kept is what contradicts them."""
    commit(world, "collude")

    assert by_verifier(world).keys() == {"consistency"}
