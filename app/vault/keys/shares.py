"""Recovery shares of a local keyring's provider key: SLIP-39, words that a person can write down, by Trezor's reference implementation.

Any *threshold* of the shares give the key back; fewer say nothing about it. The library takes no measures against an observer of its timing:
split and recover on a machine that nobody else works on. What a share says is never in an error, a log or a repr.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import shamir_mnemonic
from shamir_mnemonic.wordlist import WORD_INDEX_MAP

from app.kernel.errors import BadInput
from app.vault.envelope import KEY_SIZE

# SLIP-39 counts members in four bits. One of many is no shared custody, and the format forbids it.
LEAST, MOST = 2, 16
# A key of 32 bytes: 4 words of parameters, 26 of the share, 3 of the checksum.
WORDS = 33


@dataclass(frozen=True, slots=True)
class Share:
    """One share that was read. mark: of its set, no secret. member: 1, 2, …  threshold: how many are needed."""

    mark: int
    member: int
    threshold: int
    text: str = field(repr=False)


def split(master: bytes, threshold: int, count: int) -> list[Share]:
    """Return *count* shares of which any *threshold* recover *master* (32 bytes). Raises BadInput (field ``threshold``)."""
    if not LEAST <= threshold <= count <= MOST:
        raise BadInput(f"shares: the threshold is {LEAST} to the number of shares, and there are at most {MOST}", field="threshold")
    if len(master) != KEY_SIZE:
        raise ValueError("a provider key has 32 bytes")
    # No passphrase, so no work against guessing one: the shares alone must be enough in an emergency.
    [words] = shamir_mnemonic.generate_mnemonics(1, [(threshold, count)], master, iteration_exponent=0)
    shares = [_parsed(text, number) for number, text in enumerate(words, start=1)]
    # Before anybody writes them down: they do give the key back.
    if combine(shares[-threshold:]) != master:
        raise ValueError("the shares do not give the key back")
    return shares


def read(text: str, before: Sequence[Share]) -> Share:
    """Return the share that a holder typed. before: those read already.

    Raises BadInput (field ``share``) for a misspelt word, a wrong number of words or checksum, a share of another set, or one that was given
    before. The error names the place of the word, not the word.
    """
    number = len(before) + 1
    share = _parsed(text, number)
    if before and (share.mark, share.threshold) != (before[0].mark, before[0].threshold):
        raise _wrong(number, "is of another set than the first: shares of two ceremonies do not mix")
    if any(share.member == other.member for other in before):
        raise _wrong(number, "was given already")
    return share


def combine(shares: Sequence[Share]) -> bytes:
    """Return the key that the shares give. Raises BadInput (field ``share``) when they are too few or do not fit together."""
    if not shares or len(shares) < shares[0].threshold:
        raise BadInput(f"shares: {len(shares)} given, {shares[0].threshold if shares else 'more'} are needed", field="share")
    try:
        master: bytes = shamir_mnemonic.combine_mnemonics([share.text for share in shares[: shares[0].threshold]])
    except shamir_mnemonic.MnemonicError:
        master = b""
    if len(master) != KEY_SIZE:
        raise BadInput("shares: they do not fit together; one of them is forged or of another set", field="share")
    return master


def _parsed(text: str, number: int) -> Share:
    words = text.lower().split()
    if odd := [place for place, word in enumerate(words, start=1) if word not in WORD_INDEX_MAP]:
        raise _wrong(number, f"word {odd[0]} is not in the list of SLIP-39: check its spelling")
    if len(words) != WORDS:
        raise _wrong(number, f"has {len(words)} words; a share has {WORDS}")
    try:
        found = shamir_mnemonic.Share.from_mnemonic(" ".join(words))
    except shamir_mnemonic.MnemonicError:
        raise _wrong(number, "has a wrong checksum: a word is wrong or in another's place") from None
    if (found.group_threshold, found.group_count) != (1, 1):
        raise _wrong(number, "is of groups, which Gardu does not make")
    return Share(found.identifier, found.index + 1, found.member_threshold, " ".join(words))


def _wrong(number: int, what: str) -> BadInput:
    return BadInput(f"share {number} {what}", field="share")
