"""The attacks, one function each, named in the table (``attack_table.ATTACKS``) by the same key."""

from __future__ import annotations

import base64
from datetime import timedelta

from sqlalchemy import text

from app.audit.canonical import canonical
from app.audit.cosign import Cosigner
from app.audit.entry import leaf_hash
from app.audit.static import export_tiles
from app.audit.tiles import WIDTH, perfect_root
from app.cli.shell import host_actor
from app.custody import erase
from app.openlog import rounds
from app.openlog.publisher import publish
from app.witness.state import NAME, State
from tests.conftest import NOW
from tests.faults.attack_hands import Record, edited, forged_receipt, other, records, rewrite
from tests.faults.attack_kit import FIRST, LAST, STAMPED, World, append, other_world, scripted
from tests.openlog.openlog_kit import BAWASLU, one_witness
from tests.trail_kit import draft


def _victim(world: World) -> int:
    """Return the entry under attack: a look at a voter in the first hour, below a full tile."""
    return world.prepared.victims[0]


def _grow(world: World, count: int = 1) -> None:
    """Let the guard go on: entries, and what it publishes every few seconds."""
    world.sit()
    append(world, count)
    publish(world.house.openlog, world.now())


# ---- one entry ----


def edit_body(world: World) -> None:
    body = canonical(edited(records(world)[_victim(world)]).members)
    world.sql("UPDATE trail_entry SET body = :body WHERE seq = :seq", body=body, seq=_victim(world))


def edit_leaf(world: World) -> None:
    body = canonical(edited(records(world)[_victim(world)]).members)
    world.sql(
        "UPDATE trail_entry SET body = :body, leaf = :leaf, actor = 'host:0' WHERE seq = :seq",
        body=body, leaf=leaf_hash(body), seq=_victim(world),
    )  # fmt: skip


def _edit(world: World, kept: list[Record]) -> None:
    kept[_victim(world)] = edited(kept[_victim(world)])


def rehash(world: World) -> None:
    rewrite(world, lambda kept: _edit(world, kept), key=False)


def resign(world: World) -> None:
    rewrite(world, lambda kept: _edit(world, kept), key=True)


# ---- the whole log ----


def truncate(world: World) -> None:
    rewrite(world, lambda kept: kept.__delitem__(slice(FIRST, None)), key=False)


def regrow(world: World) -> None:
    def edit(kept: list[Record]) -> None:
        kept[FIRST:] = [other(one, number) for number, one in enumerate(kept[FIRST:])] + [other(kept[-1], 99)]

    rewrite(world, edit, key=True)


def delete(world: World) -> None:
    rewrite(world, lambda kept: kept.__delitem__(_victim(world)), key=True)


def swap(world: World) -> None:
    def edit(kept: list[Record]) -> None:
        one, two = world.prepared.victims
        kept[one], kept[two] = kept[two], kept[one]

    rewrite(world, edit, key=True)


def replay(world: World) -> None:
    rewrite(world, lambda kept: kept.insert(_victim(world) + 9, kept[_victim(world)].again()), key=True)


def split(world: World) -> None:
    """This guard shows one history to witness a, its twin another to witness b; the second mirror follows the twin."""
    twin = other_world(world)
    world.away, twin.away = {"b"}, {"a"}
    _grow(world, 3)
    twin.sit()
    append(twin, 2, "host:2")
    publish(twin.house.openlog, twin.now())
    world.mirror = world.folder / "mirror"
    export_tiles(twin.house.store, twin.log, world.mirror, lambda done, total: None)
    twin.close()


def split_any(world: World) -> None:
    world.policy = "any"
    split(world)


def roll_back(_world: World) -> None:
    """Nothing to do: the world was made from the old backup."""


def forge_receipt(world: World) -> None:
    world.court = forged_receipt(world, _victim(world), world.folder / "court")


# ---- what stands beside the log ----


def put_back_a_voter(world: World) -> None:
    world.sql("UPDATE voter SET c08 = :c08, row_version = :row_version, seal = :seal WHERE uid = :uid", **world.prepared.old_row)


def empty_a_payload(world: World) -> None:
    world.sql("UPDATE trail_payload SET wrapped = :none, sealed = :none WHERE seq = :seq", seq=_victim(world), none=b"")
    world.sql("DELETE FROM touch_index WHERE seq = :seq", seq=_victim(world))


def empty_under_anothers_name(world: World) -> None:
    """An erasure that was ordered, of one payload, is made to stand for another."""
    ordered = world.prepared.victims[1]
    erase.erase(world.house.guard, host_actor(), world.log, [ordered], "perintah uji", world.now())
    empty_a_payload(world)
    copied = "SELECT log, :seq, by_log, by_seq, digest FROM payload_erasure WHERE seq = :ordered"
    world.sql(f"INSERT INTO payload_erasure (log, seq, by_log, by_seq, digest) {copied}", seq=_victim(world), ordered=ordered)


def add_a_token(world: World) -> None:
    one, two = world.prepared.victims
    world.sql("INSERT INTO touch_index (log, token, seq) SELECT log, token, :to FROM touch_index WHERE seq = :of", to=one, of=two)


def remove_a_token(world: World) -> None:
    world.sql("DELETE FROM touch_index WHERE seq = :seq", seq=_victim(world))


def forge_a_tile(world: World) -> None:
    """One hash of a stored tile becomes that of an entry that never was."""
    world.sql("UPDATE trail_tile SET hashes = :hashes WHERE level = 0 AND number = 0", hashes=b"".join(_forged(world)))


def forge_a_tile_and_its_root(world: World) -> None:
    forge_a_tile(world)
    world.sql("UPDATE trail_tile SET root = :root WHERE level = 0 AND number = 0", root=perfect_root(_forged(world)))


def _forged(world: World) -> list[bytes]:
    kept = records(world)[:WIDTH]
    kept[_victim(world)] = edited(kept[_victim(world)])
    return [leaf_hash(canonical(one.members)) for one in kept]


# ---- the witnesses' signatures, their list, a halt ----


_OF_A = "WHERE size = :size AND witness LIKE '%bawaslu%'"


def _one(world: World, query: str, **values: object) -> object:
    with world.owner.reading() as session:
        return session.execute(text(query), values).scalar_one()


def change_a_cosignature(world: World) -> None:
    head, _, signature = str(_one(world, f"SELECT line FROM trail_cosignature {_OF_A}", size=LAST)).rstrip("\n").rpartition(" ")
    raw = bytearray(base64.b64decode(signature))
    raw[-1] ^= 1
    world.sql(f"UPDATE trail_cosignature SET line = :line {_OF_A}", line=f"{head} {base64.b64encode(bytes(raw)).decode()}\n", size=LAST)


def delete_a_cosignature(world: World) -> None:
    world.sql(f"DELETE FROM trail_cosignature {_OF_A}", size=LAST)


def forge_a_cosignature(world: World) -> None:
    """In its place one of the attacker's own key, under the witness's name and with its time."""
    thief = Cosigner(world.homes["a"].verifier.name, bytes(range(32)))
    note = str(_one(world, "SELECT note FROM trail_published WHERE size = :size", size=LAST))
    line = thief.sign(note.partition("\n\n")[0] + "\n", int(STAMPED.timestamp()))
    world.sql(f"UPDATE trail_cosignature SET line = :line, key = :key {_OF_A}", line=line, key=thief.verifier.key_id.hex(), size=LAST)


def delete_the_list(world: World) -> None:
    world.sql("DELETE FROM witness_policy")
    world.rejoin()
    _grow(world)


def put_in_a_list(world: World) -> None:
    world.sql("UPDATE witness_policy SET text = :text", text=one_witness(world.places["a"].url, BAWASLU))


def _halted(world: World) -> None:
    """The old backup goes on, and a witness stops it."""
    publish(world.house.openlog, world.now())
    assert _one(world, "SELECT count(*) FROM trail_halt") == 1


def delete_a_halt(world: World) -> None:
    _halted(world)
    world.sql("DELETE FROM trail_halt")


def lift_a_halt(world: World) -> None:
    _halted(world)
    later = "datetime(at, '+1 minute') || '.000000'" if world.owner.dialect == "sqlite" else "at + interval '1 minute'"
    columns = "log, at, kind, size, reason, note"
    world.sql(f"INSERT INTO trail_halt ({columns}) SELECT log, {later}, 'lift', 1000000000, reason, note FROM trail_halt")


# ---- clocks, liars, friends ----


def date_back(world: World) -> None:
    """The guard's program dates what it writes today back to yesterday, ten minutes before the first stamp."""
    world.sit()
    for number in range(3):
        world.house.guard.trail.append(draft(number, at=NOW + timedelta(minutes=10, seconds=number)))
    publish(world.house.openlog, world.now())


def claim_a_huge_size(world: World) -> None:
    world.apps["a"] = scripted(lambda _text, _old: (409, "text/x.tlog.size", "100000\n"))
    _grow(world)


def sign_in_the_future(world: World) -> None:
    ahead = int((world.now() + timedelta(days=1)).timestamp())
    cosigner = world.prepared.cosigners["a"]
    world.apps["a"] = scripted(lambda text_, _old: (200, "text/plain", cosigner.sign(text_, ahead)))
    _grow(world)


def refuse_to_sign(world: World) -> None:
    world.apps["a"] = scripted(lambda _text, _old: (403, "text/plain", "no"))
    _grow(world)


def collude(world: World) -> None:
    """All of the KPU's machine and every witness: the log is rewritten and signed anew, the witnesses forget and sign, the head guard too."""
    resign(world)
    for home in world.homes.values():
        (home.folder / NAME).unlink()
        State.create(home.folder)
    world.rejoin()
    world.sit()
    rounds.begin_head_guard(world.house.openlog, world.now())
