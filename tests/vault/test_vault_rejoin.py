"""A row and a newer wrapping of its record key, when the key that wrapped it before is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.kernel.errors import SealBroken
from app.vault.rejoin import rejoin
from app.vault.seal import check_seal
from app.vault.turn import rewrap
from tests.vault.vault_helpers import OTHER_UID, seal_key, sealed


def test_a_row_takes_the_newer_wrapping_of_its_own_key() -> None:
    """The same bytes and seal as if the rotation had met this very row; the old key was not asked for."""
    old, new = seal_key(), seal_key(epoch=2)
    row = sealed(old)
    turned = rewrap(old, new, row)

    made = rejoin(new, row, turned.wrapped)

    assert made == turned
    check_seal(new, made)


def test_no_other_key_and_no_other_row_joins() -> None:
    """Another voter's wrapping, one of a record that was sealed anew, a changed cell, column or seal, another region's key: refused."""
    old, new = seal_key(), seal_key(epoch=2)
    row = sealed(old)
    wrapped = rewrap(old, new, row).wrapped
    others = (
        (row, rewrap(old, new, sealed(old, uid=OTHER_UID)).wrapped),
        (row, rewrap(old, new, sealed(old)).wrapped),
        (replace(row, cells=(*row.cells[:3], row.cells[4], *row.cells[4:])), wrapped),
        (replace(row, clear=replace(row.clear, tps="013")), wrapped),
        (replace(row, seal=bytes(32)), wrapped),
        (replace(row, wrapped=wrapped), wrapped),
        (row, wrapped[:-1]),
        (row, row.wrapped),
    )

    for one, key in others:
        with pytest.raises(SealBroken):
            rejoin(new, one, key)
    with pytest.raises(ValueError, match="own kab"):
        rejoin(seal_key("51.03", 2), row, wrapped)
