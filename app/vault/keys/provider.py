"""What every key provider can do."""

from __future__ import annotations

from typing import Protocol


class KeyProvider(Protocol):
    """Holds the provider key (L0) and never hands it out."""

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Return *key* wrapped, bound to *context*. Raises KeysDown when the provider cannot work."""
        ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the key in *wrapped*.

        Raises KeysDown when the provider cannot work, or when *wrapped* was damaged or made by another provider key or context.
        """
        ...

    def health(self) -> str:
        """Return one line for the operator. Raises KeysDown when the provider cannot wrap and unwrap."""
        ...
