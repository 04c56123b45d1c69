"""Seals the private part of a log entry, and names its subjects by keyed tokens. The log itself sees only bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from hmac import compare_digest

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.kernel.errors import SealBroken
from app.kernel.payload import SealedPayload
from app.kernel.regions import NATION
from app.vault.envelope import (
    FORMAT,
    INFO_COMMIT,
    INFO_DAY,
    INFO_DIGEST,
    INFO_PAYLOAD,
    INFO_TOKEN,
    KEY_SIZE,
    NONCE_SIZE,
    SUITE,
    TAG_SIZE,
    Entropy,
    Malformed,
    box,
    decrypt,
    expand,
    fixed,
    keyed,
    mac,
    numbers,
    unbox,
)
from app.vault.house import KeyHouse, KeyPurpose

# A payload's key seals exactly one message, so its nonce may be constant.
_NONCE = bytes(NONCE_SIZE)
# format and epoch of the audit key
_HEAD_SIZE = 1 + 4
_DAY_SIZE = 10
_SEALED, _KEY = fixed("trail_payload"), fixed("payload_key")


class PayloadBox:
    """Seals and opens payloads under the ``audit`` key; makes touch tokens under the ``index`` key."""

    def __init__(self, house: KeyHouse, *, entropy: Entropy = os.urandom) -> None:
        self._house = house
        self._entropy = entropy

    def seal(self, content: bytes, uids: Iterable[str], at: datetime, log: str) -> SealedPayload:
        """Seal *content* under its own random key.

        uids: the subjects' uids; their tokens keep this order, each once. at: aware; its UTC day chooses the wrapping key. log: origin
        of the log that the entry is for; its seq is not known yet and is bound by the entry, which holds sha256 and commitment.
        Raises KeysDown, ValueError for a naive *at*.
        """
        if at.tzinfo is None:
            raise ValueError("a naive datetime has no place here")
        day = at.astimezone(UTC).date().isoformat()
        audit = self._house.key(KeyPurpose.AUDIT, NATION)
        key, nonce = self._entropy(KEY_SIZE), self._entropy(NONCE_SIZE)
        sealed = bytes((FORMAT,)) + AESGCM(expand(key, INFO_PAYLOAD)).encrypt(_NONCE, content, _context(_SEALED, day, log))
        head = bytes((FORMAT,)) + numbers(audit.epoch)
        wrapped = box(_day_cipher(audit.secret, day), nonce, key, _context(_KEY, day, log) + numbers(audit.epoch), head)
        digest = hashlib.sha256(sealed).digest()
        tokens = self.tokens(dict.fromkeys(uids))
        return SealedPayload(day, wrapped, sealed, digest, _commitment(key, digest), tokens)

    def open(self, sealed: bytes, wrapped: bytes, day: str, log: str, commitment: bytes) -> bytes:
        """Return the content of a payload.

        commitment: from the entry, 32 bytes; it shows that this key, and no other that GCM would accept, sealed these bytes.
        Raises SealBroken, naming log and day, when anything differs or the key was erased; KeysDown when the audit key cannot be had.
        """
        name = f"payload of {day!r} in {log!r}"
        try:
            return self._opened(sealed, wrapped, day, log, commitment, name)
        except Malformed as wrong:
            raise SealBroken(f"{name}: {wrong}") from None

    def token(self, uid: str) -> bytes:
        """Return the 32-byte token of a subject's uid, for the touch index. Raises KeysDown."""
        index = self._house.key(KeyPurpose.INDEX, NATION)
        return mac(expand(index.secret, INFO_TOKEN), uid.encode())

    def tokens(self, uids: Iterable[str]) -> tuple[bytes, ...]:
        """Return ``token`` of each uid, in their order. Raises KeysDown."""
        parent, made = keyed(expand(self._house.key(KeyPurpose.INDEX, NATION).secret, INFO_TOKEN)), list[bytes]()
        for uid in uids:
            state = parent.copy()
            state.update(uid.encode())
            made.append(state.finalize())
        return tuple(made)

    def value_digest(self, salt: bytes, uid: str, element: str, value: str) -> bytes:
        """Return 32 bytes that show whether two people speak of the same *value*, and nothing to whoever lacks the ``audit`` key.

        salt: at least 16 random bytes, new for each change, so that equal values of two voters or two moments are not seen to be equal.
        """
        audit = self._house.key(KeyPurpose.AUDIT, NATION, 1)
        message = b"".join(len(part).to_bytes(4, "big") + part for part in (salt, uid.encode(), element.encode(), value.encode()))
        return mac(expand(audit.secret, INFO_DIGEST), message)

    def _opened(self, sealed: bytes, wrapped: bytes, day: str, log: str, commitment: bytes, name: str) -> bytes:
        if len(wrapped) != _HEAD_SIZE + NONCE_SIZE + KEY_SIZE + TAG_SIZE or wrapped[0] != FORMAT:
            raise Malformed("its wrapped key was erased or has the wrong shape")
        epoch = int.from_bytes(wrapped[1:_HEAD_SIZE], "big")
        audit = self._house.key_named(KeyPurpose.AUDIT, NATION, epoch, name)
        context = _context(_KEY, day, log) + numbers(epoch)
        key = unbox(_day_cipher(audit.secret, day), wrapped, context, head_size=_HEAD_SIZE, size=KEY_SIZE)
        if not compare_digest(_commitment(key, hashlib.sha256(sealed).digest()), commitment):
            raise Malformed("it does not match the entry's commitment")
        if sealed[:1] != bytes((FORMAT,)):
            raise Malformed("it has an unknown format")
        return decrypt(AESGCM(expand(key, INFO_PAYLOAD)), _NONCE, sealed[1:], _context(_SEALED, day, log))


def _context(what: bytes, day: str, log: str) -> bytes:
    """Return format ‖ suite ‖ what(16) ‖ day(10) ‖ SHA-256(log)(32): fixed width, whatever the log is called."""
    if len(day) != _DAY_SIZE or not day.isascii():
        raise Malformed("its day is not a day")
    return bytes((FORMAT, SUITE)) + what + day.encode("ascii") + hashlib.sha256(log.encode()).digest()


def _day_cipher(secret: bytes, day: str) -> AESGCM:
    # One key per UTC day keeps random nonces far below 2³² under a key (NIST SP 800-38D section 8.3).
    return AESGCM(expand(secret, INFO_DAY + day.encode()))


def _commitment(key: bytes, digest: bytes) -> bytes:
    # HMAC-SHA-256 of SHA-256: collision-resistant in key and ciphertext, so it commits to both; GCM commits to neither.
    return mac(expand(key, INFO_COMMIT), digest)
