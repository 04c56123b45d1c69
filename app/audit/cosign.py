"""Cosignatures (C2SP tlog-cosignature): a timed statement over a checkpoint, in Ed25519 and in ML-DSA-44. Pure.

Witnesses make them, and so does the log itself: its second, post-quantum signature is an ML-DSA-44 cosignature under its own origin.
A signature line is ``— <key name> <base64(key id ‖ u64 time ‖ signature)>``; a key is written ``<name>+<key id>+<base64(kind ‖ public)>``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from app.audit.note import MAX_NAME, Verifier, check_name, parse_checkpoint, split_note, unbase64
from app.kernel.errors import BadInput, SealBroken

try:
    from cryptography.hazmat.primitives.asymmetric import mldsa
except ImportError:  # before cryptography 47
    mldsa = None  # type: ignore[assignment]


class Kind(IntEnum):
    """The signature type of a cosigning key (C2SP signed-note, "Signature types")."""

    ED25519 = 0x04
    ML_DSA_44 = 0x06


SEED_SIZE = 32  # RFC 8032 private key; FIPS 204 ξ
# Bytes of a public key: RFC 8032; FIPS 204 table 2.
_PUBLIC = {Kind.ED25519: 32, Kind.ML_DSA_44: 1312}
_MAX_TIME = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The last second a datetime can name, 9999-12-31T23:59:59Z.
_LAST_SECOND = 253_402_300_799
_TIME_SIZE = 8
_KEY_ID = re.compile(r"[0-9a-f]{8}", re.ASCII)
# "subtree/v1\n\0" names the cosigned_message structure; a whole checkpoint is the subtree that starts at 0.
_SUBTREE = b"subtree/v1\n\x00"


def _mldsa_works() -> bool:
    try:
        mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(SEED_SIZE))
    except (AttributeError, UnsupportedAlgorithm):
        return False
    return True


# Whether this library can make and check ML-DSA-44: the module may be missing, or be there over an OpenSSL that lacks it.
MLDSA_AVAILABLE = _mldsa_works()


def _demand(kind: Kind) -> None:
    if kind is Kind.ML_DSA_44 and not MLDSA_AVAILABLE:
        raise BadInput("the installed cryptography package has no ML-DSA-44: upgrade it, or use an Ed25519 key", field="vkey")


def _short(text: str) -> bytes:
    """Return *text* as opaque<1..2^8-1> (RFC 8446 section 3.4)."""
    raw = text.encode("utf-8")
    if not 0 < len(raw) <= 255:
        raise BadInput("cosignature: the names of cosigner and log must have 1 to 255 bytes", field="name")
    return bytes([len(raw)]) + raw


def signed_message(kind: Kind, name: str, text: str, unix_time: int) -> bytes:
    """Return the bytes that cosigner *name* signs for a checkpoint's note *text* at *unix_time* (seconds, 0…2^63-1).

    Ed25519 signs the text and not the name; ML-DSA-44 signs name, origin, size and root, and no extension line. Raises BadInput when
    the text is no checkpoint, a name has over 255 bytes, or the time is out of bounds.
    """
    checkpoint = parse_checkpoint(text)
    if not 0 <= unix_time <= _MAX_TIME:
        raise BadInput("cosignature: the time is not between 0 and 2^63-1", field="cosignature")
    if kind is Kind.ED25519:
        return f"cosignature/v1\ntime {unix_time}\n{text}".encode()
    moment, start, end = (number.to_bytes(8, "big") for number in (unix_time, 0, checkpoint.size))
    return b"".join((_SUBTREE, _short(name), moment, _short(checkpoint.origin), start, end, checkpoint.root))


class CosignVerifier:
    """Checks the cosignatures of one named key. Make it with :meth:`parse`, or take ``Cosigner.verifier``.

    name: 1…255 characters. key_id: 4 bytes. vkey: the key as text. public: the key's bytes, without its kind.
    """

    def __init__(self, name: str, kind: Kind, public: bytes) -> None:
        """Take a key name and a public key of *kind*. Raises BadInput when one is malformed or the kind cannot be checked here."""
        _demand(kind)
        typed = bytes([kind]) + public
        self.name, self.kind, self.public = check_name(name), kind, public
        self.key_id = sha256(name.encode("utf-8") + b"\n" + typed).digest()[:4]
        self.vkey = f"{name}+{self.key_id.hex()}+{base64.b64encode(typed).decode('ascii')}"
        self._key: Any = _public_key(kind, public)

    def __repr__(self) -> str:
        return f"CosignVerifier({self.name}+{self.key_id.hex()})"

    @classmethod
    def parse(cls, vkey: str) -> CosignVerifier:
        """Return the verifier of a cosigner's key. Raises BadInput (field ``vkey``) saying what is wrong with it."""
        name, key_id, raw = split_key(vkey)
        if raw[0] not in tuple(Kind):
            raise BadInput(f"verifier key: type 0x{raw[0]:02x} is not a cosigner's (0x04 Ed25519, 0x06 ML-DSA-44)", field="vkey")
        verifier = cls(name, Kind(raw[0]), raw[1:])
        if verifier.key_id != key_id:
            raise BadInput("verifier key: the key id does not belong to this name and key", field="vkey")
        return verifier

    def check(self, text: str, signature: bytes) -> datetime:
        """Check *signature* (time ‖ signature, without the key id) over a checkpoint's note *text*; return its time, in UTC.

        The caller decides about a time in the future. Raises SealBroken when it is not this key's, or names a time after the year 9999.
        """
        moment = int.from_bytes(signature[:_TIME_SIZE], "big")
        try:
            self._key.verify(signature[_TIME_SIZE:], signed_message(self.kind, self.name, text, moment))
        except (InvalidSignature, BadInput):
            raise SealBroken(f"cosignature: that of {self.name} is not valid") from None
        if moment > _LAST_SECOND:
            raise SealBroken(f"cosignature: that of {self.name} names a time after the year 9999")
        return _EPOCH + timedelta(seconds=moment)

    def verify(self, text: str, line: str) -> datetime:
        """Check one signature *line* (``— name base64`` and a newline) over a checkpoint's note *text*; return its time, in UTC.

        Raises BadInput when the line is out of form, SealBroken when it is not a valid cosignature of this key.
        """
        _, signatures = split_note(f"{text}\n{line}")
        if len(signatures) != 1 or signatures[0][:2] != (self.name, self.key_id):
            raise SealBroken(f"cosignature: not one line by {self.name}")
        return self.check(text, signatures[0][2])


def _public_key(kind: Kind, public: bytes) -> Ed25519PublicKey | mldsa.MLDSA44PublicKey:
    try:
        if kind is Kind.ED25519:
            return Ed25519PublicKey.from_public_bytes(public)
        return mldsa.MLDSA44PublicKey.from_public_bytes(public)
    except ValueError:
        raise BadInput(f"verifier key: not an {kind.name} key of {_PUBLIC[kind]} bytes", field="vkey") from None


class Cosigner:
    """Signs checkpoints with one key.

    name: the key's name; for the log's own second signature, its origin. seed: 32 bytes. kind: Ed25519 unless said otherwise. Raises
    BadInput for a bad name or seed, or when this library cannot do *kind*.
    """

    def __init__(self, name: str, seed: bytes, kind: Kind = Kind.ED25519) -> None:
        _demand(kind)
        if len(seed) != SEED_SIZE:
            raise BadInput(f"a cosigner's seed has {SEED_SIZE} bytes", field="seed")
        made: Any = Ed25519PrivateKey.from_private_bytes(seed) if kind is Kind.ED25519 else mldsa.MLDSA44PrivateKey.from_seed_bytes(seed)
        self._private = made
        self.verifier = CosignVerifier(name, kind, made.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"Cosigner({self.name}+{self.verifier.key_id.hex()})"

    @property
    def name(self) -> str:
        """The key's name."""
        return self.verifier.name

    @property
    def vkey(self) -> str:
        """The verifier key to publish."""
        return self.verifier.vkey

    def sign(self, checkpoint_text: str, unix_time: int) -> str:
        """Return the signature line, newline included, over a checkpoint's note text at *unix_time* (seconds since the epoch).

        Whoever calls has checked that the tree is consistent with every tree of this log it signed before. Raises BadInput as
        :func:`signed_message`.
        """
        signature = self._private.sign(signed_message(self.verifier.kind, self.name, checkpoint_text, unix_time))
        raw = self.verifier.key_id + unix_time.to_bytes(_TIME_SIZE, "big") + signature
        return f"— {self.name} {base64.b64encode(raw).decode('ascii')}\n"


# A key that a log signs its checkpoints with.
LogKey = Verifier | CosignVerifier


def split_key(vkey: str) -> tuple[str, bytes, bytes]:
    """Return (name, key id, type byte ‖ public key) of a verifier key, checking its form only. Raises BadInput (field ``vkey``)."""
    parts = vkey.split("+", 2)
    # 1,753 characters: the base64 of the longest key, ML-DSA-44.
    if len(parts) != 3 or len(vkey) > MAX_NAME + 10 + 1753 or not _KEY_ID.fullmatch(parts[1]):
        raise BadInput("not a verifier key: <name>+<8 hex digits>+<base64>", field="vkey")
    try:
        raw = unbase64(parts[2])
    except BadInput as wrong:
        raise BadInput(f"verifier key: {wrong.detail}", field="vkey") from None
    if not raw:
        raise BadInput("verifier key: no key in it", field="vkey")
    return parts[0], bytes.fromhex(parts[1]), raw


def parse_log_key(vkey: str) -> LogKey:
    """Return the verifier of a log's key: Ed25519 of a signed note (0x01) or ML-DSA-44 (0x06).

    Raises BadInput (field ``vkey``), also for an Ed25519 cosigner's key (0x04), which is a witness's.
    """
    kind = split_key(vkey)[2][0]
    if kind == Kind.ED25519:
        raise BadInput("verifier key: type 0x04 is a witness's key, not a log's (0x01 Ed25519, 0x06 ML-DSA-44)", field="vkey")
    return CosignVerifier.parse(vkey) if kind == Kind.ML_DSA_44 else Verifier.parse(vkey)


def open_cosignatures(note: str, verifiers: Iterable[CosignVerifier]) -> dict[str, datetime]:
    """Return {vkey: time in UTC} of every known cosigner of *note*; of one who signed twice, the later time.

    Unknown keys are ignored, and none at all is no error: the caller asks a quorum. Raises BadInput when the note is out of form or two
    known keys share name and id, SealBroken when the signature of a known key is wrong. The log's own signature is not checked here.
    """
    text, signatures = split_note(note)
    known: dict[tuple[str, bytes], CosignVerifier] = {}
    for verifier in verifiers:
        if known.setdefault((verifier.name, verifier.key_id), verifier).vkey != verifier.vkey:
            raise BadInput("note: two known keys share this name and id", field="vkey")
    found: dict[str, datetime] = {}
    for name, key_id, signature in signatures:
        if (cosigner := known.get((name, key_id))) is not None:
            moment = cosigner.check(text, signature)
            found[cosigner.vkey] = max(moment, found.get(cosigner.vkey, moment))
    return found
