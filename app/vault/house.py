"""The L1 keys, opened through the key provider and kept in memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn, Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.kernel.errors import KeysDown, SealBroken
from app.vault.envelope import KEY_SIZE, Entropy, fixed, numbers
from app.vault.keys.provider import KeyProvider

# Makes the wrapping context of an L1 key differ from any other use of the provider key.
_CONTEXT = b"gardu/1/l1-key/\0"
# For a kab of 500,000 to 1,000,000 rows (see ``blind.planned_bits``); used when nobody planned.
DEFAULT_BITS = 16
# Five bytes: the widest blind index is that of the NIK.
MAX_BITS = 40

# Four bytes in every context.
_MAX_EPOCH = 2**32 - 1


class KeyPurpose(StrEnum):
    """What an L1 key is for. SEAL and BLIND exist per kab; the others once, with scope ``00``."""

    SEAL = "seal"
    BLIND = "blind"
    NIK = "nik"
    AUDIT = "audit"
    INDEX = "index"
    SESSION = "session"
    SEED = "seed"
    PEPPER = "pepper"
    LOG = "log"


class KeySource(Protocol):
    """Where wrapped keys stand."""

    def fetch(self, purpose: str, scope: str) -> Sequence[tuple[int, bytes]]:
        """Return (epoch, wrapped) of every key of *purpose* and *scope*, newest first."""
        ...


@dataclass(frozen=True, slots=True)
class L1Key:
    """One opened key.

    epoch: 1, 2, …  secret: 32 bytes, never shown by repr. bits: width of the blind indexes made under it, 8…40 (purpose blind only).
    cipher: AES-256-GCM under *secret*, keyed once. Raises ValueError for another length of secret.
    """

    purpose: str
    scope: str
    epoch: int
    secret: bytes = field(repr=False)
    bits: int = DEFAULT_BITS
    cipher: AESGCM = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_SIZE:
            raise ValueError("an L1 key has 32 bytes")
        object.__setattr__(self, "cipher", AESGCM(self.secret))

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a key stays in its process; workers inherit the house or open their own."""
        raise TypeError("an L1 key does not leave its process")


class KeyHouse:
    """Opens L1 keys once and keeps them.

    Holds no lock: what is cached is published by single dict stores, so threads may race to open the same key (both get the same
    bytes) and a fork at any moment leaves a working copy in the child.
    """

    def __init__(self, provider: KeyProvider, source: KeySource, *, entropy: Entropy = os.urandom) -> None:
        self._provider = provider
        self._source = source
        self._entropy = entropy
        self._keys: dict[tuple[str, str, int], L1Key] = {}
        self._newest: dict[tuple[str, str], int] = {}

    def __repr__(self) -> str:
        return f"KeyHouse({len(self._keys)} keys open)"

    def key(self, purpose: str, scope: str, epoch: int | None = None) -> L1Key:
        """Return the key of *purpose* and *scope*; the newest unless *epoch* is given.

        purpose: a word of KeyPurpose. scope: a kab/kota code or ``00``. The newest stays the newest until :meth:`forget`.
        Raises KeysDown when it is absent, or the provider cannot open it.
        """
        wanted = epoch if epoch is not None else self._newest.get((purpose, scope))
        cached = self._keys.get((purpose, scope, wanted)) if wanted is not None else None
        return cached or self._open(purpose, scope, epoch)

    def key_named(self, purpose: str, scope: str, epoch: int, by: str) -> L1Key:
        """Return the key that stored bytes or columns name.

        by: what names it, e.g. ``voter <uid>``, for the error. Raises SealBroken when *purpose* and *scope* have keys, but none of
        this epoch (the stored number was changed, or the key was destroyed); KeysDown when there are none, or the provider fails.
        """
        if (purpose, scope, epoch) not in self._keys:
            epochs = {number for number, _ in self._source.fetch(purpose, scope)}
            if epochs and epoch not in epochs:
                raise SealBroken(f"{by}: there is no {purpose} key of epoch {epoch!r} for {scope}")
        return self.key(purpose, scope, epoch)

    def make(self, purpose: str, scope: str, epoch: int, *, bits: int = DEFAULT_BITS) -> bytes:
        """Return a new random key, wrapped, for ``app.store.keys.add_key``; it is not cached.

        bits: 8…40, recorded inside the wrapped key; ``blind.planned_bits`` says how many. Raises KeysDown when the provider fails,
        ValueError for an unknown purpose or bits out of range.
        """
        if not 8 <= bits <= MAX_BITS:
            raise ValueError("a blind index has 8 to 40 bits")
        plain = self._entropy(KEY_SIZE) + bytes((bits,))
        return self._provider.wrap(plain, _context(purpose, scope, epoch))

    def health(self) -> str:
        """Return the provider's one line for the operator, after it wrapped and unwrapped something. Raises KeysDown."""
        return self._provider.health()

    def forget(self) -> None:
        """Drop every opened key: after a rotation, or when the installation is locked."""
        self._newest = {}
        self._keys = {}

    def _open(self, purpose: str, scope: str, epoch: int | None) -> L1Key:
        # A number that does not fit the context is no epoch of ours, whoever wrote it.
        found = {number: wrapped for number, wrapped in self._source.fetch(purpose, scope) if 0 < number <= _MAX_EPOCH}
        chosen = epoch if epoch is not None else max(found, default=0)
        name = f"{purpose} key of epoch {chosen} for {scope}"
        if chosen not in found:
            raise KeysDown(f"there is no {name}" if found else f"there is no {purpose} key for {scope}")
        try:
            plain = self._provider.unwrap(found[chosen], _context(purpose, scope, chosen))
        except KeysDown as down:
            raise KeysDown(f"{name}: {down.detail}") from None
        if len(plain) != KEY_SIZE + 1:
            raise KeysDown(f"the {name} has the wrong length")
        opened = L1Key(purpose, scope, chosen, plain[:KEY_SIZE], plain[KEY_SIZE])
        self._keys[purpose, scope, chosen] = opened
        if epoch is None:
            self._newest[purpose, scope] = chosen
        return opened


def _context(purpose: str, scope: str, epoch: int) -> bytes:
    """Return label(16) ‖ purpose(16) ‖ scope(16) ‖ epoch(4)."""
    return _CONTEXT + fixed(KeyPurpose(purpose)) + fixed(scope) + numbers(epoch)
