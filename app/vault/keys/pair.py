"""Two providers while keys move from the old one to the new one: the new one wraps, both unwrap."""

from __future__ import annotations

from app.kernel.errors import KeysDown
from app.vault.keys.provider import KeyProvider


class Pair:
    """The provider of the settings, and the one of ``keys_old`` beside it."""

    def __init__(self, new: KeyProvider, old: KeyProvider) -> None:
        self.new = new
        self.old = old

    def __repr__(self) -> str:
        return f"Pair({self.new!r}, {self.old!r})"

    @property
    def name(self) -> str:
        """The new provider's word."""
        return self.new.name

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Wrap by the new provider. Raises KeysDown."""
        return self.new.wrap(key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Unwrap by the provider that *wrapped* names; by the old one where both may have made it. Raises KeysDown."""
        if not self.old.key_of(wrapped):
            return self.new.unwrap(wrapped, context)
        if not self.new.key_of(wrapped):
            return self.old.unwrap(wrapped, context)
        try:
            return self.new.unwrap(wrapped, context)
        except KeysDown:
            # Two keys that go by one name: another cluster's, or a keyring's first form, which names none.
            return self.old.unwrap(wrapped, context)

    def rewrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the key wrapped by the new provider. Raises KeysDown."""
        if not self.old.key_of(wrapped):
            return self.new.rewrap(wrapped, context)
        return self.new.wrap(self.unwrap(wrapped, context), context)

    def health(self) -> str:
        """Return the line of both. Raises KeysDown when either fails, and says which."""
        said = self.new.health()
        try:
            return f"{said}; old: {self.old.health()}"
        except KeysDown as down:
            raise KeysDown(f"the old provider: {down.detail}") from None

    def newest(self) -> str:
        """Return the new provider's key."""
        return self.new.newest()

    def key_of(self, wrapped: bytes) -> str:
        """Return the key that *wrapped* names, the old provider's where both may have made it."""
        return self.old.key_of(wrapped) or self.new.key_of(wrapped)
