"""Seals the secrets of one-time codes. Only ``identity.totp`` imports this module."""

from __future__ import annotations

import os

from app.kernel.errors import SealBroken
from app.vault.envelope import FORMAT, NONCE_SIZE, SUITE, UID_SIZE, Entropy, Malformed, box, fixed, numbers, unbox
from app.vault.house import KeyPurpose, L1Key

_HEAD_SIZE = 1 + 4
_WHAT = fixed("totp_seed")


def seal_seed(key: L1Key, account: str, version: int, secret: bytes, *, entropy: Entropy = os.urandom) -> bytes:
    """Return *secret* sealed for one account and one version of its secret.

    key: the newest ``seed`` key; its epoch is stored. account: uid, 26 characters. version: 0…2³²−1, a new one at each enrolment.
    Raises ValueError for an account or version of another shape, or a key of another purpose.
    """
    head = bytes((FORMAT,)) + numbers(key.epoch)
    return box(key.cipher, entropy(NONCE_SIZE), secret, _context(key, account, version), head)


def open_seed(key: L1Key, account: str, version: int, sealed: bytes) -> bytes:
    """Return the secret sealed for *account* and *version*.

    key: the ``seed`` key of the epoch that :func:`seed_epoch` reads. Raises SealBroken, naming the account, when the bytes were
    changed, cut, or sealed for another account, version or key.
    """
    try:
        return unbox(key.cipher, sealed, _context(key, account, version), head_size=_HEAD_SIZE)
    except Malformed as wrong:
        raise SealBroken(f"account {account!r}: seed: {wrong}") from None


def seed_epoch(account: str, sealed: bytes) -> int:
    """Return the epoch of the key that sealed a seed. Raises SealBroken, naming the account, when the bytes are cut or unknown."""
    if len(sealed) < _HEAD_SIZE or sealed[0] != FORMAT:
        raise SealBroken(f"account {account!r}: seed: a sealed box has an unknown format")
    return int.from_bytes(sealed[1:_HEAD_SIZE], "big")


def _context(key: L1Key, account: str, version: int) -> bytes:
    """Return format ‖ suite ‖ ``totp_seed``(16) ‖ account(26) ‖ version(4) ‖ epoch(4)."""
    if key.purpose != KeyPurpose.SEED:
        raise ValueError("a seed is sealed under the seed key")
    if len(account) != UID_SIZE or not account.isascii():
        raise Malformed("the account's uid has the wrong shape")
    return bytes((FORMAT, SUITE)) + _WHAT + account.encode("ascii") + numbers(version, key.epoch)
