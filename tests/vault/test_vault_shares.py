"""Recovery shares: any k of n give the key back, fewer say nothing, and every slip of the pen is told apart from the others."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import combinations, pairwise

import pytest
import shamir_mnemonic

from app.kernel.errors import BadInput
from app.vault.keys.shares import MOST, WORDS, Share, combine, read, split

MASTER = bytes(range(32))
OTHER = split(bytes(32), 2, 3)
OURS = split(MASTER, 2, 3)
A, B, C = [share.text for share in OURS]


def _given(texts: list[str]) -> list[Share]:
    shares: list[Share] = []
    for text in texts:
        shares.append(read(text, shares))
    return shares


def test_any_threshold_of_them_give_the_key_back() -> None:
    """In any order, also more than are needed, and in capital letters."""
    shares = [share.text for share in split(MASTER, 3, 5)]

    for chosen in combinations(shares, 3):
        assert combine(_given(list(reversed(chosen)))) == MASTER
    assert combine(_given(shares)) == MASTER
    assert combine(_given([B.upper(), C])) == MASTER


def test_trezors_own_implementation_reads_them() -> None:
    """A share is 33 words of SLIP-39: whoever has the standard can recover without us."""
    assert shamir_mnemonic.combine_mnemonics([A, C]) == MASTER
    assert {len(text.split()) for text in (A, B, C)} == {WORDS}


def test_two_ceremonies_over_one_key_share_no_words() -> None:
    """Fresh randomness each time; what a lost set and a new set hold does not add up."""
    again = split(MASTER, 2, 3)

    assert again[0].mark != OURS[0].mark
    assert not {share.text for share in again} & {A, B, C}
    with pytest.raises(BadInput, match="of another set"):
        _given([A, again[1].text])


SLIPS: list[tuple[Callable[[], list[str]], str]] = [
    (list, "0 given"),
    (lambda: [A], "1 given, 2 are needed"),
    (lambda: [A, A], "share 2 was given already"),
    (lambda: [A, OTHER[1].text], "share 2 is of another set"),
    (lambda: [" ".join((*A.split()[:9], "gardu", *A.split()[10:]))], "share 1 word 10 is not in the list"),
    (lambda: [A, " ".join(B.split()[:-1])], "share 2 has 32 words; a share has 33"),
    (lambda: [" ".join((*A.split()[:20], *reversed(A.split()[20:])))], "share 1 has a wrong checksum"),
    (lambda: [shamir_mnemonic.generate_mnemonics(2, [(2, 3), (2, 3)], MASTER)[0][0]], "share 1 is of groups"),
]


@pytest.mark.parametrize(("typed", "words"), SLIPS, ids=[words for _, words in SLIPS])
def test_each_slip_has_its_own_sentence(typed: Callable[[], list[str]], words: str) -> None:
    """It names the share and the place, and repeats no word of it."""
    with pytest.raises(BadInput, match=words) as wrong:
        combine(_given(typed()))

    assert wrong.value.field == "share"
    assert not [pair for pair in pairwise(A.split()) if " ".join(pair) in wrong.value.detail]


def test_a_forged_share_with_a_good_checksum_gives_nothing() -> None:
    """Its words are right and its set too; SLIP-39's digest of the secret tells."""
    parsed = shamir_mnemonic.Share.from_mnemonic(B)
    forged = shamir_mnemonic.Share(
        parsed.identifier, parsed.extendable, parsed.iteration_exponent, 0, 1, 1, parsed.index, parsed.member_threshold, os.urandom(32)
    )

    with pytest.raises(BadInput, match="do not fit together"):
        combine(_given([A, forged.mnemonic()]))


@pytest.mark.parametrize(("threshold", "count"), [(1, 3), (0, 0), (4, 3), (2, MOST + 1)])
def test_a_split_that_shares_nothing_is_refused(threshold: int, count: int) -> None:
    """One of many is no shared custody; more than sixteen the format does not know."""
    with pytest.raises(BadInput, match="the threshold is 2 to the number of shares"):
        split(MASTER, threshold, count)


def test_a_share_does_not_show_itself() -> None:
    """repr has its place in the set, and no word."""
    assert repr(OURS[0]) == f"Share(mark={OURS[0].mark}, member=1, threshold=2)"
