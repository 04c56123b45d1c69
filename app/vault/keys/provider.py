"""What every key provider can do, and the head by which a wrapped key says who wrapped it.

``wrapped = 0x02 ‖ provider(u8) ‖ key reference(8) ‖ the provider's own bytes`` (docs/vault-format.md). The head is no secret and decides
nothing by itself: each provider binds it, together with the caller's context, into what it seals.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from enum import IntEnum
from typing import ClassVar, NoReturn, Protocol

from app.kernel.errors import KeysDown

# First byte of a wrapped key with a head; 0x01 is the local keyring's first form, which has none.
HEADED = 2
REFERENCE_SIZE = 8
HEAD_SIZE = 2 + REFERENCE_SIZE


class Kind(IntEnum):
    """Which provider wrapped a key: the second byte of its head."""

    LOCAL = 1
    TRANSIT = 2
    PKCS11 = 3
    AWS_KMS = 4

    @property
    def word(self) -> str:
        """The provider's name in settings, commands and the log: local, transit, pkcs11, aws-kms."""
        return self.name.lower().replace("_", "-")


class KeyProvider(Protocol):
    """Holds the provider key (L0) and never hands it out. Every method but ``key_of`` raises KeysDown when the provider cannot work."""

    @property
    def name(self) -> str:
        """A word of ``Kind``; it never changes."""
        ...

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Return *key* wrapped by the newest provider key, bound to *context*."""
        ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the key in *wrapped*. Raises KeysDown also when it was damaged, or made by another provider key or for another context."""
        ...

    def rewrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the same key wrapped by the newest provider key, for the same context. Raises as :meth:`unwrap`."""
        ...

    def health(self) -> str:
        """Return one line for the operator, after a key was wrapped and unwrapped."""
        ...

    def newest(self) -> str:
        """Return the name of the provider key that wraps now, e.g. ``transit:gardu v3``."""
        ...

    def key_of(self, wrapped: bytes) -> str:
        """Return the name of the provider key that *wrapped* says it is under; "" when it is none of this provider's."""
        ...


class Headed(ABC):
    """A provider whose wrapped keys carry a head. It lives in its process alone: neither repr nor pickle gives anything away.

    reference: 8 bytes that name the provider key, no secret.
    """

    kind: ClassVar[Kind]

    def __init__(self, reference: bytes) -> None:
        self._head = bytes((HEADED, self.kind)) + reference

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a provider holds a key, a token or a PIN."""
        raise TypeError("a key provider does not leave its process")

    @property
    def name(self) -> str:
        """The provider's word."""
        return self.kind.word

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Return head ‖ *key* sealed for head ‖ *context*. Raises KeysDown."""
        return self._head + self._seal(key, self._head + context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the key in *wrapped*. Raises KeysDown."""
        return self._open(self._body(wrapped), self._head + context)

    def rewrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the same key, wrapped anew. Raises KeysDown."""
        return self.wrap(self.unwrap(wrapped, context), context)

    def key_of(self, wrapped: bytes) -> str:
        """Return the name of the provider key that *wrapped* names, "" when it is another's."""
        return self.newest() if wrapped.startswith(self._head) else ""

    def _body(self, wrapped: bytes) -> bytes:
        if not wrapped.startswith(self._head):
            raise KeysDown(
                f"it was wrapped by {described(wrapped)}, and the provider here is {self.newest()}: the right one is not configured"
            )
        return wrapped[HEAD_SIZE:]

    def _prove(self) -> None:
        """Wrap and unwrap something. Raises KeysDown."""
        if self.unwrap(self.wrap(bytes(32), b"health"), b"health") != bytes(32):
            raise KeysDown(f"{self.newest()} gave back something else than it was given")

    @abstractmethod
    def newest(self) -> str:
        """Return the name of the provider key that wraps now."""

    @abstractmethod
    def _seal(self, key: bytes, context: bytes) -> bytes: ...

    @abstractmethod
    def _open(self, body: bytes, context: bytes) -> bytes: ...


def reference(*names: str) -> bytes:
    """Return the 8-byte reference of a provider key that is known by *names*."""
    return hashlib.sha256("\0".join(("gardu/1/provider-key", *names)).encode("utf-8")).digest()[:REFERENCE_SIZE]


def described(wrapped: bytes) -> str:
    """Say in words which provider key *wrapped* names, without knowing that provider."""
    if wrapped[:1] == b"\x01":
        return "a local keyring (first form, which names no key)"
    if len(wrapped) < HEAD_SIZE or wrapped[0] != HEADED or wrapped[1] not in tuple(Kind):
        return "nothing this version knows"
    return f"{Kind(wrapped[1]).word} key {wrapped[2:HEAD_SIZE].hex()}"
