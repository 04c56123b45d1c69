"""Signed notes (C2SP signed-note) and the checkpoints in them (C2SP tlog-checkpoint), with Ed25519. Pure.

A note is text ending in a newline, an empty line, and signature lines ``— <key name> <base64(key id ‖ signature)>``. A verifier key
is ``<name>+<key id, 8 hex digits>+<base64(0x01 ‖ public key)>``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from app.audit.tree import HASH_SIZE
from app.kernel.errors import BadInput, SealBroken

# C2SP signed-note, "Signature types": Ed25519 over the note text.
_ED25519 = b"\x01"
# Go's sumdb/note, whose vectors we keep, stops at the same two bounds (1 MB, 100 signatures).
MAX_NOTE = 1_000_000
MAX_SIGNATURES = 100
MAX_NAME = 255
# An ASCII decimal without leading zeroes that fits a signed 64-bit column.
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_MAX_SIZE = 2**63 - 1
_KEY_ID = re.compile(r"[0-9a-f]{8}", re.ASCII)


def unbase64(text: str) -> bytes:
    """Return the bytes of standard base64 (RFC 4648 section 4). Raises BadInput for any but the one canonical spelling."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise BadInput("not base64") from None
    if base64.b64encode(raw).decode("ascii") != text:
        raise BadInput("not the canonical base64")
    return raw


def check_name(name: str) -> str:
    """Return *name* when it may name a key: 1…255 characters, no space, no plus, printable. Raises BadInput otherwise."""
    if not 0 < len(name) <= MAX_NAME or "+" in name or not name.isprintable() or any(one.isspace() for one in name):
        raise BadInput("not a key name: 1 to 255 printable characters without space or plus", field="name")
    return name


def _key_id(name: str, public: bytes) -> bytes:
    return sha256(name.encode("utf-8") + b"\n" + _ED25519 + public).digest()[:4]


class Verifier:
    """Checks signatures of one named key."""

    def __init__(self, name: str, public: bytes) -> None:
        """Take a key name and a 32-byte Ed25519 public key."""
        self.name = check_name(name)
        self.key_id = _key_id(name, public)
        self.vkey = f"{name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + public).decode('ascii')}"
        self._public = Ed25519PublicKey.from_public_bytes(public)

    @classmethod
    def parse(cls, vkey: str) -> Verifier:
        """Return the verifier of a verifier key. Raises BadInput (field ``vkey``) saying what is wrong with it."""
        parts = vkey.split("+", 2)
        if len(parts) != 3 or len(vkey) > MAX_NAME + 64 or not _KEY_ID.fullmatch(parts[1]):
            raise BadInput("not a verifier key: <name>+<8 hex digits>+<base64>", field="vkey")
        try:
            raw = unbase64(parts[2])
        except BadInput as wrong:
            raise BadInput(f"verifier key: {wrong.detail}", field="vkey") from None
        if len(raw) != 33 or raw[:1] != _ED25519:
            raise BadInput("verifier key: not an Ed25519 key", field="vkey")
        verifier = cls(parts[0], raw[1:])
        if verifier.key_id.hex() != parts[1]:
            raise BadInput("verifier key: the key id does not belong to this name and key", field="vkey")
        return verifier

    def check(self, text: str, signature: bytes) -> None:
        """Check *signature* over *text*. Raises SealBroken when it is not this key's."""
        try:
            self._public.verify(signature, text.encode("utf-8"))
        except InvalidSignature:
            raise SealBroken(f"note: the signature of {self.name} is not valid") from None


class Signer:
    """Signs notes with an Ed25519 key.

    name: the key's name, for a log its origin. seed: 32 bytes (RFC 8032 private key). Raises BadInput for a bad name.
    """

    def __init__(self, name: str, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self._verifier = Verifier(name, self._private.public_key().public_bytes_raw())

    @property
    def name(self) -> str:
        """The key's name."""
        return self._verifier.name

    @property
    def vkey(self) -> str:
        """The verifier key to publish."""
        return self._verifier.vkey

    @property
    def verifier(self) -> Verifier:
        """Checks what this signs."""
        return self._verifier

    def sign(self, text: str) -> str:
        """Return the note of *text*, which must end in a newline and be valid UTF-8 without control characters (BadInput)."""
        _check_text(text)
        signature = self._verifier.key_id + self._private.sign(text.encode("utf-8"))
        return f"{text}\n— {self.name} {base64.b64encode(signature).decode('ascii')}\n"


@dataclass(frozen=True, slots=True)
class OpenedNote:
    """A note whose signatures were checked: its text, the names of known keys that signed it, the number of unknown lines."""

    text: str
    signed_by: tuple[str, ...]
    unknown: int


def _check_text(text: str) -> None:
    if not text.endswith("\n") or any(one < " " and one != "\n" for one in text):
        raise BadInput("note: text must end in a newline and hold no control characters", field="note")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise BadInput("note: not valid UTF-8", field="note") from None


def split_note(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """Return (text, [(key name, key id, signature)]) of *note*, checking its form only.

    Raises BadInput for more than 1 MB or 100 signatures, for control characters, and for any line out of form.
    """
    if len(note) > MAX_NOTE:
        raise BadInput("note: longer than 1 MB", field="note")
    _check_text(note)
    head, gap, tail = note.rpartition("\n\n")
    if not gap or not tail:
        raise BadInput("note: no empty line before the signatures", field="note")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise BadInput("note: more than 100 signatures", field="note")
    return head + "\n", [_signature_line(line) for line in lines]


def _signature_line(line: str) -> tuple[str, bytes, bytes]:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—":
        raise BadInput("note: a signature line is not «— name base64»", field="note")
    raw = unbase64(parts[2])
    if len(raw) < 5:
        raise BadInput("note: a signature is too short", field="note")
    return check_name(parts[1]), raw[:4], raw[4:]


def open_note(note: str, verifiers: Iterable[Verifier]) -> OpenedNote:
    """Check *note* against the known keys.

    Unknown keys are ignored, a repeated known key counts once (C2SP signed-note). Raises BadInput when the note is out of form or a
    key is given twice, SealBroken when a known key's signature is wrong or no known key signed it.
    """
    text, signatures = split_note(note)
    known: dict[tuple[str, bytes], list[Verifier]] = {}
    for verifier in verifiers:
        known.setdefault((verifier.name, verifier.key_id), []).append(verifier)
    names: list[str] = []
    seen: set[tuple[str, bytes]] = set()
    unknown = 0
    for name, key_id, signature in signatures:
        candidates = known.get((name, key_id))
        if candidates is None:
            unknown += 1
        elif len(candidates) > 1:
            raise BadInput("note: two known keys share this name and id", field="vkey")
        elif (name, key_id) not in seen:
            candidates[0].check(text, signature)
            seen.add((name, key_id))
            names.append(name)
    if not names:
        raise SealBroken("note: not signed by a known key")
    return OpenedNote(text, tuple(names), unknown)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head. origin: the log's id. size: number of leaves. root: 32 bytes. extension: further lines, each with its newline."""

    origin: str
    size: int
    root: bytes
    extension: str = ""

    def text(self) -> str:
        """Return the note text (C2SP tlog-checkpoint)."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode('ascii')}\n{self.extension}"


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint in a note's *text*. Raises BadInput (field ``checkpoint``) saying which line is wrong."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or "" in lines[:-1]:
        raise BadInput("checkpoint: not three or more lines, each ending in a newline", field="checkpoint")
    if not _SIZE.fullmatch(lines[1]) or int(lines[1]) > _MAX_SIZE:
        raise BadInput("checkpoint: line 2 is not a tree size", field="checkpoint")
    try:
        root = unbase64(lines[2])
    except BadInput as wrong:
        raise BadInput(f"checkpoint: line 3 is {wrong.detail}", field="checkpoint") from None
    if len(root) != HASH_SIZE:
        raise BadInput("checkpoint: line 3 is not a root hash of 32 bytes", field="checkpoint")
    return Checkpoint(lines[0], int(lines[1]), root, "".join(line + "\n" for line in lines[3:-1]))
