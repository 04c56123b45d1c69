"""The sealed part of a log entry, handed from the vault (which seals) to the log (which sees bytes)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SealedPayload:
    """A sealed payload ready to be stored beside its entry.

    day: UTC day ``YYYY-MM-DD`` whose key wraps the payload key. wrapped: the payload key under it. sealed: AES-256-GCM bytes.
    sha256: SHA-256 of *sealed* (32 bytes). commitment: 32-byte HMAC that commits to the payload key. tokens: keyed tokens of the
    subjects, for the touch index (32 bytes each).
    """

    day: str
    wrapped: bytes
    sealed: bytes
    sha256: bytes
    commitment: bytes
    tokens: tuple[bytes, ...] = ()
