"""An old backup that was put back: the next log is opened, the old one never goes on, and what was ended since is ended again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import text

from app.audit.canonical import canonical
from app.audit.cosign import Cosigner
from app.audit.export import export
from app.audit.mirror import read_mirror
from app.audit.note import Signer, Verifier, split_note
from app.audit.query import head
from app.audit.quorum import parse_policy
from app.cli.shell import host_actor
from app.custody import erase, reopen
from app.factory import House
from app.identity import accounts
from app.identity.tables import Account, LoginSession
from app.kernel.errors import BadInput, Conflict, GarduError, SealBroken, TrailDown
from app.mandates import actions as mandates
from app.mandates.rules import State
from app.settings import Settings
from tests.conftest import dp4_row, load_dp4, write_dp4
from tests.custody.retention_kit import Backup, Someone, checked, command, under_the_next_name
from tests.mandates.mandates_kit import Desk, people_of
from tests.trail_kit import draft
from tests.walk_kit import content, entry_at, outcomes, seen_in, size, store_findings, uid_of

OLD, NEW = "uji.localhost/gardu/1", "uji.localhost/gardu/2"
WITNESS = Cosigner("saksi.example/w1", bytes(range(32)))


@dataclass
class Restored:
    """A house into which an old backup was put back, and what outsiders kept: a checkpoint and a full export."""

    house: House
    desk: Desk
    note: str
    mirror: Path
    voter: str
    erased: int
    mandate: str
    gone: str
    reset: str

    @property
    def verifier(self) -> Verifier:
        """The old log's key."""
        return Signer(OLD, self.house.guard.keys.key("log", "00").secret).verifier


@pytest.fixture
def restored(sqlite_house: House, tmp_path: Path) -> Iterator[Restored]:
    """Voters, a mandate, people; then a backup; then one account disabled, one reset, one payload erased, and more; then it is put back."""
    house = sqlite_house
    desk = Desk(house, people_of(house))
    load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1)]))
    voter = uid_of(house, 1)
    seen = size(house) - 1
    mandate = desk.granted()
    gone, reset = Someone(house, "akan.pergi"), Someone(house, "akan.reset")
    house.clock.move(minutes=1)  # type: ignore[attr-defined]
    backup = Backup(house)
    now = house.clock.now()
    accounts.disable(house.identity, host_actor(), gone.uid, now)
    accounts.reset_totp(house.identity, host_actor(), reset.uid, now)
    accounts.create(
        house.identity, host_actor(), username="orang.baru", name="Orang Baru", office="kpu-00", unit="data", roles=("kpu_ri",), now=now
    )
    erase.erase(house.guard, host_actor(), OLD, [seen], "perintah uji", now)
    mandates.revoke(house.mandates, desk.who("officer"), mandate, "uji pencabutan yang cukup panjang", now)
    note = head(house.store, OLD).checkpoint
    export(house.store, OLD, tmp_path / "mirror.jsonl")
    backup.put_back(house)
    yield Restored(house, desk, note, tmp_path / "mirror.jsonl", voter, seen, mandate, gone.uid, reset.uid)


def opened(made: Restored, *, mirror: bool = True) -> tuple[House, reopen.Plan]:
    """Open the next log, as the command does; return the house under its new name and what was done."""
    next_house = under_the_next_name(made.house)
    outside = reopen.last_seen(made.note, OLD, made.verifier, None)
    known = reopen.known_of(next_house.store, OLD)
    reopen.demand_behind(next_house.store, known, outside)
    lost = None
    if mirror:
        with made.mirror.open("rb") as file:
            lost = read_mirror(file, OLD, made.verifier, known, outside.mark)
    what = reopen.plan(next_house.guard, next_house.mandates, OLD, outside, lost)
    reopen.reopen(next_house.guard, next_house.mandates, host_actor(), what, next_house.clock.now())
    return next_house, what


def test_the_next_log_begins_with_what_outsiders_last_saw(restored: Restored) -> None:
    """Its first entry commits to the outside checkpoint; both logs verify, the store is accounted for, and the old log takes nothing more."""
    house, _ = opened(restored)

    first, told = entry_at(house, 0), content(house, 0)["reopen"]
    assert (first["action"], first["outcome"], first["log"], first["prev"]) == ("trail:reopen", "done", NEW, "0" * 64)
    assert first["detail"] == {"type": "trail-reopen", "sha256": sha256(canonical(told)).hexdigest()}  # type: ignore[arg-type]
    assert isinstance(told, dict) and (told["log"], told["checkpoint"]) == (OLD, restored.note)
    assert (checked(house), checked(house, OLD), store_findings(house)) == ([], [], [])
    with pytest.raises(TrailDown, match="opened anew as"):
        restored.house.guard.trail.append(draft(1))
    house.close()


def test_whatever_was_ended_since_the_backup_is_ended_again(restored: Restored) -> None:
    """Sessions, mandates, a disabled account, a reset authenticator, an erased payload: replayed before anybody is served."""
    house, what = opened(restored)

    with house.store.reading() as session:
        assert all(one.ended_at is not None for one in session.query(LoginSession).all())
        gone, reset = session.get_one(Account, restored.gone), session.get_one(Account, restored.reset)
        assert gone.disabled_at is not None and reset.seed is None
    assert (what.disable, what.reset, what.erase) == ([restored.gone], [restored.reset], [restored.erased])
    desk = Desk(house, restored.desk.people)
    assert desk.active() == [] and desk.seen(restored.mandate).state is State.REVOKED
    assert restored.erased not in seen_in(house, restored.voter)
    assert [one for one in outcomes(house) if one[1] == "done"] == [
        ("trail:reopen", "done"), ("mandate:revoke", "done"), ("account:disable", "done"), ("account:reset", "done"), ("payload:erase", "done"),
    ]  # fmt: skip
    assert any("account made since" in line for line in what.unknown)
    house.close()


def test_what_the_mirror_does_not_name_is_left_to_people(restored: Restored) -> None:
    """Without a mirror everything ends that can be ended blindly, and the operator is told what cannot be known."""
    house, what = opened(restored, mirror=False)

    assert (what.disable, what.erase, len(what.mandates)) == ([], [], 1)
    assert "without a mirror" in what.unknown[-1]
    assert checked(house) == [] and checked(house, OLD) == []
    house.close()


def test_requests_of_before_still_carry_their_proofs(restored: Restored) -> None:
    """A request that waited goes on waiting: its steps are in the old log, the next ones in the new, and none counts as put back."""
    uid = restored.desk.submit()
    restored.note = Signer(OLD, restored.house.guard.keys.key("log", "00").secret).sign(
        split_note(restored.note)[0].replace("\n" + restored.note.split("\n")[1] + "\n", "\n9999\n")
    )
    house, _ = opened(restored, mirror=False)
    desk = Desk(house, restored.desk.people)

    desk.decide("data1", uid)
    assert desk.decide("hukum", uid) is State.ACTIVE
    assert [one.uid for one in desk.active()] == [uid]
    house.close()


def tampered(line: int, change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Return what changes one line of a file."""

    def act(raw: bytes) -> bytes:
        lines = raw.split(b"\n")
        lines[line] = change(lines[line])
        return b"\n".join(lines)

    return act


FORGERIES: list[tuple[Callable[[bytes], bytes], str]] = [
    (tampered(3, lambda one: one.replace(b"done", b"fail")), "line 4|follow"),
    (tampered(3, lambda one: one.replace(b'"at":"2026', b'"at":"2025')), "follow|not the database's"),
    (tampered(-2, lambda one: one[:-5] + (b"A" if one[-5:-4] != b"A" else b"B") + one[-4:]), "checkpoint"),
    (lambda raw: raw.replace(b"gardu/1", b"gardu/3"), "not a whole"),
    (lambda raw: raw[: len(raw) // 2], "line|checkpoint"),
    (lambda raw: b"", "no export"),
    (lambda raw: b"x\n" + raw, "no export"),
]


@pytest.mark.parametrize(("change", "words"), FORGERIES, ids=[str(number) for number in range(len(FORGERIES))])
def test_a_mirror_is_believed_only_once_it_is_verified(restored: Restored, change: Callable[[bytes], bytes], words: str) -> None:
    """A mirror with one byte changed disables nobody: it is refused, and says where it does not hold."""
    restored.mirror.write_bytes(change(restored.mirror.read_bytes()))

    with pytest.raises((BadInput, SealBroken), match=words):
        opened(restored)
    assert head(restored.house.store, OLD).size == size(restored.house)


def test_a_checkpoint_is_believed_only_with_the_logs_signature_and_the_quorum(restored: Restored) -> None:
    """Another log's, another key's, or one that no witness has signed where the policy asks for one: refused."""
    text_, verifier = split_note(restored.note)[0], restored.verifier
    policy = parse_policy(f"witness w1 {WITNESS.vkey}\nquorum w1\n")
    foreign = Signer(OLD, bytes(32)).sign(text_)
    elsewhere = Signer("lain.example/gardu/1", bytes(32))

    for note, by, asked in (
        (foreign, verifier, None),
        (elsewhere.sign(text_), elsewhere.verifier, None),
        (restored.note, verifier, policy),
    ):
        with pytest.raises(GarduError):
            log = "lain.example/gardu/1" if by is elsewhere.verifier else OLD
            reopen.last_seen(note, log, by, asked)
    cosigned = restored.note + WITNESS.sign(text_, 1_800_000_000)
    assert reopen.last_seen(cosigned, OLD, verifier, policy).mark.origin == OLD


def test_a_database_that_is_not_behind_is_not_opened_anew(restored: Restored) -> None:
    """A checkpoint of what the database holds, unchanged, is no reason; one of the same size and another root is."""
    store = restored.house.store
    known = reopen.known_of(store, OLD)
    present = head(store, OLD).checkpoint
    forked = Signer(OLD, restored.house.guard.keys.key("log", "00").secret).sign(f"{OLD}\n{known.size}\n{'A' * 43}=\n")

    with pytest.raises(Conflict, match="not behind"):
        reopen.demand_behind(store, known, reopen.last_seen(present, OLD, restored.verifier, None))
    reopen.demand_behind(store, known, reopen.last_seen(forked, OLD, restored.verifier, None))


def test_opening_is_one_transaction(restored: Restored, monkeypatch: pytest.MonkeyPatch) -> None:
    """When any part of it fails, nothing has happened: no log, no session ended, no account disabled."""
    monkeypatch.setattr(reopen, "erase_in", _fails)

    with pytest.raises(RuntimeError):
        opened(restored)

    with restored.house.store.reading() as session:
        assert session.execute(text("SELECT count(*) FROM trail_head")).scalar_one() == 1
        assert session.get_one(Account, restored.gone).disabled_at is None
        assert session.execute(text("SELECT count(*) FROM trail_halt")).scalar_one() == 0


def _fails(*_: object) -> None:
    raise RuntimeError


def test_the_command_opens_the_next_log_and_writes_its_name(restored: Restored, tmp_path: Path) -> None:
    """`gardu audit reopen`: config.toml says the new name, verify walks both logs, and running it again finds nothing to do."""
    house = restored.house
    (tmp_path / "note").write_text(restored.note, "utf-8")
    arguments = ("reopen", "--checkpoint", str(tmp_path / "note"), "--mirror", str(restored.mirror))

    no = command(house, *arguments, typed="n\n")
    assert no.exit_code == 1 and Settings.load(house.settings.data, {}).origin == OLD
    done = command(house, *arguments, "--yes", "--json")

    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["log"], said["mandates"], said["disabled"], said["reset"], said["erased"]) == (NEW, 1, 1, 1, [restored.erased])
    assert Settings.load(house.settings.data, {}).origin == NEW
    verified = json.loads(command(house, "verify", "--store", "--json").stdout.splitlines()[-1])
    assert (verified["ok"], verified["logs"], verified["log"]) == (True, [OLD, NEW], NEW)
    one = json.loads(command(house, "verify", "--log", OLD, "--json").stdout.splitlines()[-1])
    assert (one["ok"], one["log"]) == (True, OLD)
    again = command(house, *arguments, "--yes")
    assert again.exit_code == 2


def test_a_crash_between_commit_and_name_is_finished_by_running_it_again(restored: Restored, tmp_path: Path) -> None:
    """The old name in config.toml leads nowhere meanwhile: the log is halted; the second run writes the name alone."""
    opened(restored)[0].close()
    (tmp_path / "note").write_text(restored.note, "utf-8")

    done = command(restored.house, "reopen", "--checkpoint", str(tmp_path / "note"), "--yes", "--json")

    assert json.loads(done.stdout.splitlines()[-1])["entries"] == 0
    assert Settings.load(restored.house.settings.data, {}).origin == NEW


def test_the_applications_own_role_opens_the_next_log_on_each_engine(house: House) -> None:
    """Everything that ends, ends with the rights of the application's role; a checkpoint of a longer history is reason enough."""
    desk = Desk(house, people_of(house))
    uid = desk.granted()
    signer = Signer(OLD, house.guard.keys.key("log", "00").secret)
    longer = signer.sign(f"{OLD}\n{size(house) + 50}\n{'A' * 43}=\n")
    settings = Settings.load(house.settings.data, {})
    next_house = under_the_next_name(house)

    outside = reopen.last_seen(longer, OLD, signer.verifier, None)
    what = reopen.plan(next_house.guard, next_house.mandates, OLD, outside, None)
    count = reopen.reopen(next_house.guard, next_house.mandates, host_actor(), what, next_house.clock.now())

    assert (settings.origin, count, [one.uid for one in what.mandates]) == (OLD, 2, [uid])
    assert (checked(next_house), checked(next_house, OLD)) == ([], [])
    next_house.close()
