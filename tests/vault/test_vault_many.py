"""Sealing many rows at once: the very bytes that sealing one by one makes, which the vectors hold."""

from __future__ import annotations

from random import Random

import pytest

from app.kernel.ids import decode_uid, new_uids
from app.vault.house import L1Key
from app.vault.many import Plain, seal_rows
from app.vault.seal import Clear, seal_row

KEY = L1Key("seal", "51.71", 3, bytes(range(32)))
PLACE = ("51.71.01", "51.71.01.1001", "001")


def _values(number: int) -> tuple[str, ...]:
    return tuple("ñ" * (number * place % 40) for place in range(14))


def _plain(uid: bytes, number: int) -> Plain:
    return Plain(uid, *(part.encode() for part in PLACE), [value.encode() for value in _values(number)], b"12345", b"ab", b"cde")


def test_rows_sealed_together_are_rows_sealed_alone() -> None:
    """With the same random bytes: the same wrapped keys, cells and seals, for texts of every length."""
    uids = new_uids(30)
    made = seal_rows(KEY, "51.71", "2029", "aktif", [_plain(uid, number) for number, uid in enumerate(uids)], entropy=Random(7).randbytes)

    drawn = Random(7).randbytes(52 * len(uids))
    for number, (uid, one) in enumerate(zip(uids, made, strict=True)):
        mine = drawn[52 * number : 52 * (number + 1)]
        clear = Clear("51.71", uid.decode(), *PLACE, "2029", "aktif", 1, 3)
        alone = seal_row(KEY, clear, _values(number), b"12345", b"ab", b"cde", entropy=lambda size, mine=mine: mine[:size])  # type: ignore[misc]
        assert (one.wrapped, one.cells, one.seal) == (alone.wrapped, alone.cells, alone.seal)


def test_no_two_rows_share_a_random_byte_string() -> None:
    """Record keys, nonces and salts of one draw are as different as those of many."""
    made = seal_rows(KEY, "51.71", "2029", "aktif", [_plain(uid, 5) for uid in new_uids(200)])

    assert len({one.wrapped for one in made}) == len({one.cells[0] for one in made}) == len({one.cells[0][5:13] for one in made}) == 200


def test_another_kabs_key_or_a_row_with_too_few_values_is_refused() -> None:
    """Nothing is sealed then."""
    uid = new_uids(1)[0]
    with pytest.raises(ValueError, match="own kab"):
        seal_rows(KEY, "51.03", "2029", "aktif", [_plain(uid, 1)])
    with pytest.raises(ValueError, match="14 values"):
        seal_rows(KEY, "51.71", "2029", "aktif", [_plain(uid, 1)._replace(values=[b""])])


def test_uids_in_bulk_are_uids() -> None:
    """Canonical, different, and every letter of the alphabet in every free place."""
    uids = [uid.decode() for uid in new_uids(3000)]

    assert all(len(decode_uid(uid)) == 16 for uid in uids)
    assert len(set(uids)) == 3000
    assert [len({uid[place] for uid in uids}) for place in range(26)] == [32] * 25 + [8]
