"""Seals streams to people who hold an age identity, and opens them (age-encryption.org/v1, X25519, by pyrage).

A stream is authenticated in pieces of 64 KiB: what is handed on while opening is genuine so far, and the end is genuine only once
``decrypt`` returns. Nothing is ever held whole, and nothing touches a disk here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import BinaryIO

import pyrage

from app.kernel.errors import N_, BadInput, SealBroken

# Bech32 of a 32-byte key (age v1, "The X25519 recipient type"); the checksum is the library's affair.
_RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}", re.ASCII)
_IDENTITY = re.compile(r"AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}", re.ASCII)
# An identity file is a few lines (age-keygen writes three); nothing longer is looked at.
_MOST = 16 * 1024
_NOT_RECIPIENT = N_("Penerima cadangan harus kunci umum age (dimulai dengan age1).")
_NOT_IDENTITY = N_("Ini bukan kunci rahasia age. Yang dimaksud adalah baris yang dimulai dengan AGE-SECRET-KEY-1.")
_WRONG_IDENTITY = N_("Kunci rahasia ini bukan milik penerima cadangan ini.")


class Identity:
    """A secret key that opens streams. Keeps itself out of reprs, pickles and logs."""

    __slots__ = ("_secret",)

    def __init__(self, text: str) -> None:
        """Read the one identity in *text*, an age identity file or its line. Raises BadInput (field ``identity``)."""
        lines = [one.strip() for one in text[:_MOST].splitlines()]
        found = [one for one in lines if one and not one.startswith("#")]
        if len(text) > _MOST or len(found) != 1 or not _IDENTITY.fullmatch(found[0].upper()):
            raise BadInput("not an age identity: one line AGE-SECRET-KEY-1…", field="identity", public=_NOT_IDENTITY)
        try:
            self._secret = pyrage.x25519.Identity.from_str(found[0].upper())
        except pyrage.IdentityError:
            self._secret = None
        if self._secret is None:
            # Outside the handler: the library's error could repeat what was typed.
            raise BadInput("not an age identity: its checksum is wrong", field="identity", public=_NOT_IDENTITY)

    def __repr__(self) -> str:
        return "Identity()"

    def __reduce__(self) -> tuple[object, ...]:
        """Refuse to be pickled: it stays in the process that was given it."""
        raise TypeError("an identity does not leave its process")

    @classmethod
    def generate(cls) -> tuple[Identity, str]:
        """Return a new identity and its text; whoever keeps backups keeps the text, far from them."""
        text = str(pyrage.x25519.Identity.generate())
        return cls(text), text

    @property
    def recipient(self) -> str:
        """The public key that goes with it."""
        return str(self._secret.to_public()) if self._secret is not None else ""


def parse_recipients(text: str) -> tuple[str, ...]:
    """Return the recipients in *text*, separated by spaces or commas, each once. Raises BadInput (field ``recipient``) for none or a bad one."""
    found = tuple(dict.fromkeys(one for one in re.split(r"[\s,]+", text) if one))
    for one in found:
        _recipient(one)
    if not found:
        raise BadInput("no recipient: name an age public key, age1…", field="recipient", public=_NOT_RECIPIENT)
    return found


def fingerprint(recipient: str) -> str:
    """Return the first 16 hex digits of SHA-256 of a recipient's text, as pages and manifests name it."""
    return sha256(recipient.encode("ascii")).hexdigest()[:16]


def encrypt(chunks: Iterable[bytes], out: BinaryIO, recipients: Sequence[str]) -> None:
    """Write *chunks*, one stream, sealed to every one of *recipients*, into *out*.

    Any one recipient can open it. Raises BadInput (field ``recipient``), and whatever making a chunk or writing raises.
    """
    keys = [_recipient(one) for one in recipients]
    source, sink = _Source(iter(chunks)), _Sink(out.write)
    try:
        pyrage.encrypt_io(source, sink, keys)
    except (pyrage.EncryptError, OSError, ValueError):
        # The library repeats a caller's error as text; what was really raised says more.
        raise (source.failed or sink.failed or SealBroken("age: the stream could not be sealed")) from None
    _demand_unfailed(source, sink)


def decrypt(file: BinaryIO, take: Callable[[bytes], None], identity: Identity) -> None:
    """Open *file* and hand its bytes to *take*, piece by piece; what was handed on is whole only once this returns.

    Raises BadInput (field ``identity``) when the file is sealed to somebody else, SealBroken when it is no age file, was cut, or any
    byte of it was changed; and whatever *take* or reading raises.
    """
    source, sink = _Reading(file), _Sink(take)
    try:
        pyrage.decrypt_io(source, sink, [identity._secret])
    except pyrage.DecryptError as wrong:
        failed = source.failed or sink.failed
        if failed is None and "No matching keys" in str(wrong):
            raise BadInput("the archive is sealed to another recipient", field="identity", public=_WRONG_IDENTITY) from None
        raise (failed or SealBroken("age: not an age file, or its head was changed")) from None
    except Exception:
        raise (source.failed or sink.failed or SealBroken("age: the file was cut or changed")) from None
    _demand_unfailed(source, sink)


def _demand_unfailed(source: _Source | _Reading, sink: _Sink) -> None:
    """Raise what went wrong though the library returned: pyrage 1.4 passes over a failure in the last bytes that it writes."""
    if (failed := source.failed or sink.failed) is not None:
        raise failed


def _recipient(text: str) -> pyrage.x25519.Recipient:
    if _RECIPIENT.fullmatch(text):
        try:
            return pyrage.x25519.Recipient.from_str(text)
        except pyrage.RecipientError:
            pass
    raise BadInput(f"not an age recipient: {text[:80]!r}", field="recipient", public=_NOT_RECIPIENT)


class _Source:
    """Chunks as a file to read from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, memoryview(b"")
        self.failed: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            while not self._rest:
                self._rest = memoryview(next(self._chunks))
        except StopIteration:
            return b""
        except Exception as error:
            self.failed = error
            raise
        taken = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(taken) :]
        return bytes(taken)


class _Reading:
    """A file to read from that remembers why reading failed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.failed: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except Exception as error:
            self.failed = error
            raise


class _Sink:
    """A file to write into that remembers why writing failed."""

    def __init__(self, take: Callable[[bytes], object]) -> None:
        self._take = take
        self.failed: Exception | None = None

    def write(self, data: bytes) -> int:
        if self.failed is not None:
            # The library tries once more with what is left in its buffer; what failed is not taken up again.
            raise self.failed
        try:
            self._take(data)
        except Exception as error:
            self.failed = error
            raise
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back here."""
