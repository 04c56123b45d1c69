"""Stored rows under new keys: what changes, what stays, and what is refused. Nothing opened comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel.errors import KeysDown, SealBroken
from app.vault import turn
from app.vault.blind import Blind
from app.vault.house import FRESH_SECONDS, IDLE_SECONDS, KeyHouse, L1Key
from app.vault.parts import new_file, open_file
from app.vault.seal import SealedRow, check_seal, seal_blob
from app.vault.unseal import open_blob, open_dpid, open_row
from tests.vault.vault_helpers import EVERYTHING, OTHER_UID, UID, VALUES, OpenProvider, Shelf, clear, seal_key, sealed

OLD, NEW = seal_key(epoch=1), seal_key(epoch=2)
NIK, LOCAL = L1Key("nik", "00", 2, b"n" * 32), L1Key("blind", "51.71", 2, b"b" * 32, 12)
BLIND = Blind(NIK, LOCAL)
TURNS: dict[str, Callable[[SealedRow], SealedRow]] = {
    "rewrap": lambda row: turn.rewrap(OLD, NEW, row),
    "renew": lambda row: turn.renew(OLD, NEW, row),
    "reindex": lambda row: turn.reindex(OLD, row, BLIND, national=False),
    "reindex nik": lambda row: turn.reindex(OLD, row, BLIND, national=True),
}


@pytest.mark.parametrize("name", list(TURNS))
def test_a_turned_row_reads_as_before_at_the_same_version(name: str) -> None:
    """Under the key it is now under, and no other."""
    made = TURNS[name](sealed())
    key, other = (OLD, NEW) if name.startswith("reindex") else (NEW, OLD)

    assert open_row(key, made, EVERYTHING) == EVERYTHING
    assert open_dpid(key, made) == VALUES[0]
    assert made.clear == clear(key_epoch=2 if name == "renew" else 1)
    assert made.epoch == key.epoch
    with pytest.raises(SealBroken):
        check_seal(other, made)


def test_each_turn_changes_what_it_says_and_no_more() -> None:
    """A re-wrap: wrapped key and seal. Renewing: those, every cell, the epoch. Indexes: theirs and the seal."""
    row = sealed()
    changed = {
        name: {
            field
            for field in ("cells", "wrapped", "b_nik", "b_nkk", "b_nd", "seal", "epoch", "clear")
            if getattr(made, field) != getattr(row, field)
        }
        for name, made in ((name, act(row)) for name, act in TURNS.items())
    }

    assert changed == {
        "rewrap": {"wrapped", "seal", "epoch"}, "renew": {"cells", "wrapped", "seal", "epoch", "clear"}, "reindex": {"b_nkk", "b_nd", "seal"},
        "reindex nik": {"b_nik", "seal"},
    }  # fmt: skip
    assert not set(turn.renew(OLD, NEW, row).cells) & set(row.cells)
    assert turn.reindex(OLD, turn.reindex(OLD, row, BLIND, national=False), BLIND, national=False).seal == TURNS["reindex"](row).seal


@pytest.mark.parametrize("name", list(TURNS))
@given(place=st.integers(0, 15), at=st.integers(0, 60))
def test_a_row_that_was_changed_is_never_sealed_anew(name: str, place: int, at: int) -> None:
    """Any flipped byte of any cell, of the wrapped key or the seal: a turn would else make a forgery genuine."""
    row = sealed()

    def flipped(raw: bytes) -> bytes:
        spot = at % len(raw)
        return raw[:spot] + bytes((raw[spot] ^ 1,)) + raw[spot + 1 :]

    if place < 14:
        row = replace(row, cells=(*row.cells[:place], flipped(row.cells[place]), *row.cells[place + 1 :]))
    else:
        row = replace(row, wrapped=flipped(row.wrapped)) if place == 14 else replace(row, seal=flipped(row.seal))

    with pytest.raises(SealBroken, match=UID):
        TURNS[name](row)


@pytest.mark.parametrize("changes", [{"uid": OTHER_UID}, {"tps": "999"}, {"row_version": 9}, {"key_epoch": 2}, {"status": "dihapus"}])
@pytest.mark.parametrize("name", list(TURNS))
def test_a_row_in_another_place_is_never_sealed_anew(name: str, changes: dict[str, str | int]) -> None:
    """A changed clear column would be covered by the new seal."""
    row = sealed()
    with pytest.raises(SealBroken):
        TURNS[name](replace(row, clear=replace(row.clear, **changes)))  # type: ignore[arg-type]


@pytest.mark.parametrize("key", [seal_key("51.03", 2), LOCAL])
@pytest.mark.parametrize("act", [turn.rewrap, turn.renew])
def test_a_key_of_another_kab_or_purpose_takes_no_row(act: Callable[..., SealedRow], key: L1Key) -> None:
    """A mistake of ours, not of a row."""
    with pytest.raises(ValueError, match="kab"):
        act(OLD, key, sealed())


def test_what_no_index_can_be_made_of_is_named_without_its_value() -> None:
    """A NKK that is no number came in past the rules."""
    row = sealed(values=(VALUES[0], "not-a-number", *VALUES[2:]))

    with pytest.raises(SealBroken) as broken:
        turn.reindex(OLD, row, BLIND, national=False)
    assert UID in broken.value.detail
    assert "not-a-number" not in str(broken.value.__dict__) + repr(broken.value.__cause__) + repr(broken.value.__context__)


def test_a_quarantined_row_and_a_files_key_are_turned_too() -> None:
    """The row whole, the file by its key alone."""
    blob = seal_blob(OLD, "51.71", UID, ["a", "b"], election="2029", load=OTHER_UID, row_no=3, reasons="NIK:bentuk")
    made = turn.renew_blob(OLD, NEW, blob)
    wrapped, parts = new_file(OLD, "51.71", UID, 5)
    other = turn.rewrap_file(OLD, NEW, "51.71", UID, wrapped)

    assert open_blob(NEW, made) == ("a", "b")
    assert (made.row_no, made.reasons, made.key_epoch) == (3, "NIK:bentuk", 2)
    assert open_file(NEW, "51.71", UID, 5, other).open(0, parts.seal(0, b"hello")) == b"hello"
    for act in (lambda: turn.renew_blob(OLD, NEW, replace(blob, reasons="")), lambda: turn.rewrap_file(NEW, NEW, "51.71", UID, wrapped)):
        with pytest.raises(SealBroken):
            act()


# ---- keys that go ----


def test_a_destroyed_key_is_used_no_longer_and_leaves_the_memory() -> None:
    """By a process that had it open: within a minute it is refused, and it is not in memory any more."""
    shelf, now = Shelf(), [0.0]
    house = KeyHouse(OpenProvider(), shelf, clock=lambda: now[0])
    for epoch in (1, 2):
        shelf.put("seal", "51.71", epoch, house.make("seal", "51.71", epoch))
    assert house.key("seal", "51.71", 1)
    del shelf.keys["seal", "51.71"][1]

    now[0] = FRESH_SECONDS + 1
    with pytest.raises(SealBroken):
        house.key_named("seal", "51.71", 1, "voter x")
    with pytest.raises(KeysDown):
        house.key("seal", "51.71", 1)
    assert ("seal", "51.71", 1) not in house._keys


def test_a_new_key_is_the_newest_within_a_minute() -> None:
    """Without being told."""
    shelf, now = Shelf(), [0.0]
    house = KeyHouse(OpenProvider(), shelf, clock=lambda: now[0])
    shelf.put("seal", "51.71", 1, house.make("seal", "51.71", 1))
    assert house.key("seal", "51.71").epoch == 1
    shelf.put("seal", "51.71", 2, house.make("seal", "51.71", 2))

    now[0] = FRESH_SECONDS + 1
    assert house.key("seal", "51.71").epoch == 2


def test_a_key_that_nobody_asks_for_leaves_the_memory() -> None:
    """At the next key that is looked up; the one asked for stays, and the provider is not asked again for it."""
    provider, shelf, now = OpenProvider(), Shelf(), [0.0]
    house = KeyHouse(provider, shelf, clock=lambda: now[0])
    for kab in ("51.71", "51.03"):
        shelf.put("seal", kab, 1, house.make("seal", kab, 1))
        house.key("seal", kab)
    for _ in range(20):
        now[0] += FRESH_SECONDS + 1
        house.key("seal", "51.71")

    assert now[0] > IDLE_SECONDS
    assert list(house._keys) == [("seal", "51.71", 1)]
    assert provider.unwrapped == 2
