"""`gardu keys rotate kab | blind | nik | data | show | pause | resume` and `gardu erase …`: new keys for the roll, and a voter erased by them."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from app.cli.keys import rotate
from app.cli.retention import signed_in
from app.cli.shell import FOUND, Shell, command, host_actor
from app.custody import provider, rotation, voter_erasure
from app.custody.room import Custody
from app.custody.rotation import Standing, State
from app.custody.turning import Kind
from app.custody.voter_erasure import Decision
from app.factory import House
from app.kernel.errors import Conflict
from app.kernel.regions import NATION

_RATE = click.option("--rate", type=click.IntRange(0), default=0, show_default=True, help="Rows per second at most; 0: no limit.")
_WHAT = {
    Kind.KAB: "Wrap every record key of REGION (a kab/kota) under a new key, and destroy the old one; run it again to go on.",
    Kind.BLIND: "Make the indexes on family card and name + birth date of REGION anew, sized for its roll; run it again to go on.",
    Kind.NIK: "Make the national index on NIK anew under a new key, kab by kab; run it again to go on.",
    Kind.DATA: "Seal every cell of REGION anew, under fresh record keys and a new key; run it again to go on.",
}


def register(group: click.Group) -> None:
    """Add the rotations to `keys rotate`, and `erase …` to *group*."""
    for kind in Kind:
        _add_walk(kind)
    _add_rest()
    _add_erase(group)


def room_of(house: House) -> Custody:
    """Return the walks' room of *house*."""
    return Custody(house.guard, house.identity, house.mandates.seals)


# ---- rotations ----


def _add_walk(kind: Kind) -> None:
    def walk(shell: Shell, rate: int, region: str = NATION) -> None:
        with shell.house() as house, shell.progress("Rows under the new key") as advance:
            room = room_of(house)
            uid = _begun(shell, house, room, kind, region, rate)
            try:
                found = rotation.walk(room, uid, advance)
            except KeyboardInterrupt:
                found = rotation.standing(room, uid)
                shell.say("Stopped. What is turned stays turned; a server goes on by itself, or run this again.")
        _tell(shell, found)

    walk.__doc__ = _WHAT[kind]
    made = command(rotate, kind.value)(_RATE(walk))
    if kind is not Kind.NIK:
        made.params.insert(0, click.Argument(["region"]))


def _begun(shell: Shell, house: House, room: Custody, kind: Kind, region: str, rate: int) -> str:
    """Return the rotation of *kind* in *region* that is open, going on; or a new one. Raises Conflict when one of another kind is open."""
    now = house.clock.now()
    for one in rotation.listed(room, 0):
        if (one.scope, one.kind) == (region, kind) and one.state is not State.DONE:
            shell.say(f"Rotation {one.uid} was begun {one.started_at:%Y-%m-%d %H:%M} UTC and goes on.")
            if one.state is not State.RUNNING:
                rotation.resume(room, host_actor(), one.uid, now)
            return one.uid
    uid = rotation.begin(room, host_actor(), kind, region, rate, now)
    shell.say(f"Rotation {uid} begins; whatever is stored from now on is under the new key.")
    return uid


def _add_rest() -> None:
    @command(rotate, "show")
    def show_rotations(shell: Shell) -> None:
        """List the rotations that are open, and the last ones that are over."""
        with shell.house() as house:
            found = rotation.listed(room_of(house))
        for one in found:
            shell.say(_line(one))
        if not found:
            shell.say("No key was ever rotated.")
        shell.result(rotations=[_values(one) for one in found])

    _add_act("pause", "Hold rotation UID; both keys stay good, however long it takes.", rotation.pause)
    _add_act("resume", "Let rotation UID go on, held or halted; a server walks it, or the command that began it.", rotation.resume)


def _add_act(name: str, what: str, act: Callable[..., None]) -> None:
    def act_on(shell: Shell, uid: str) -> None:
        with shell.house() as house:
            act(room_of(house), host_actor(), uid, house.clock.now())
            found = rotation.standing(room_of(house), uid)
        shell.say(_line(found))
        _result(shell, found)

    act_on.__doc__ = what
    command(rotate, name)(click.argument("uid")(act_on))


def _tell(shell: Shell, found: Standing) -> None:
    shell.say(_line(found))
    for one in found.trouble:
        shell.say(f"  {one}")
    if found.state is State.DONE:
        shell.say("No row needs the old key any more, and it is destroyed.")
    elif found.state is State.HALTED:
        shell.say(
            "The old key stays, because these rows need it. Find out what happened to them (gardu audit verify --store), then run this again."
        )
    _result(shell, found)
    if found.state is not State.DONE:
        sys.exit(FOUND)


def _line(one: Standing) -> str:
    told = "" if one.sound else " — its row was changed past Gardu: it is not walked"
    return f"{one.uid}  {one.kind.value} {one.scope}  {one.state.value}  {one.done} of {one.total} rows ({one.share} %){told}"


def _result(shell: Shell, one: Standing) -> None:
    shell.result(
        uid=one.uid, kind=one.kind.value, region=one.scope, state=one.state.value, done=one.done, total=one.total, broken=one.broken,
        trouble=list(one.trouble), rate=one.rate,
    )  # fmt: skip


def _values(one: Standing) -> dict[str, object]:
    return {
        "uid": one.uid, "kind": one.kind.value, "region": one.scope, "state": one.state.value, "done": one.done, "total": one.total,
        "broken": one.broken, "trouble": list(one.trouble), "rate": one.rate,
    }  # fmt: skip


# ---- erasures ----


def _add_erase(group: click.Group) -> None:
    erase = click.Group("erase", help="Erase one voter: asked by one person, confirmed by another, done when the keys are gone.")
    group.add_command(erase)

    @command(erase, "ask")
    @click.argument("voter", metavar="VOTER")
    @click.option("--reason", required=True, help="On whose demand, and why; one line.")
    @click.option("--as", "username", required=True, help="Who asks: an administrator or a security officer.")
    def ask(shell: Shell, voter: str, reason: str, username: str) -> None:
        """Ask for VOTER (as on the voter's page: 51.71-…) to be erased; asks for password and code. Nothing is erased yet."""
        with shell.house() as house, signed_in(house, username) as actor:
            uid = voter_erasure.ask(room_of(house), actor, voter, reason, house.clock.now())
        shell.say(f"Request {uid} waits for another person, within a day: gardu erase confirm {uid} --as …")
        shell.result(uid=uid)

    _add_decision(erase, Decision.CONFIRM, "Erase the voter of request UID, as the second person; asks for password and code.")
    _add_decision(erase, Decision.REFUSE, "Refuse request UID; nothing is erased. Asks for password and code.")
    _add_decision(erase, Decision.WITHDRAW, "Take one's own request UID back; nothing is erased. Asks for password and code.")

    @command(erase, "show")
    def show_erasures(shell: Shell) -> None:
        """List the erasures that wait and those that are pending, with what they still need, and the last others."""
        with shell.house() as house:
            found = voter_erasure.listed(room_of(house), None, house.clock.now())
        for one in found:
            shell.say(
                f"{one.uid}  {one.voter}  {one.state}{_STAGE[one.stage].format(kab=one.kab)}{'' if one.sound else ' — its row was changed past Gardu'}"
            )
        if not found:
            shell.say("No voter was ever asked to be erased.")
        shell.result(erasures=[{"uid": one.uid, "voter": one.voter, "state": one.state, "stage": one.stage} for one in found])

    @command(erase, "settle")
    @click.option("--retired", help="First record that this provider key (as gardu keys status names it) opens nothing any more.")
    def settle(shell: Shell, retired: str | None) -> None:
        """Call those erasures done whose keys are all gone; a server does so by itself within minutes."""
        with shell.house() as house:
            now = house.clock.now()
            if retired is not None:
                if retired in {one.by for one in provider.standing(house.guard)}:
                    raise Conflict(f"keys are still under {retired}: run gardu keys rotate provider first")
                provider.retire(house.guard, host_actor(), retired, now)
            done = voter_erasure.settle(room_of(house), now)
        shell.say(f"{len(done)} erasures are done now.")
        shell.result(done=done)


_STAGE = {
    "": "", "kab": ": needs gardu keys rotate kab {kab}", "provider": ": needs gardu keys rotate provider, and the old provider key retired",
}  # fmt: skip


def _add_decision(erase: click.Group, decision: Decision, what: str) -> None:
    def decide(shell: Shell, uid: str, username: str) -> None:
        with shell.house() as house, signed_in(house, username) as actor:
            state = voter_erasure.decide(room_of(house), actor, uid, decision, house.clock.now())
        shell.say(
            "The voter is erased and not there for anybody; pending until the keys are gone: gardu erase show"
            if state == "pending"
            else f"Request {uid} is {state}."
        )
        shell.result(uid=uid, state=state)

    decide.__doc__ = what
    option = click.option("--as", "username", required=True, help="Who decides.")
    command(erase, decision.value)(option(click.argument("uid")(decide)))
