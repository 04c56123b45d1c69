"""What every sealed value shares: version bytes, fixed-width contexts, padding, derivation, boxes.

The normative text is docs/vault-format.md; vectors from a second script stand in tests/vectors/vault.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

# Gives n random bytes; ``os.urandom`` (the kernel's, safe after a fork) everywhere but in the vectors.
Entropy = Callable[[int], bytes]

# Version of the byte layouts; the first byte of every stored box and cell.
FORMAT = 1
# Suite 1: AES-256-GCM, HKDF-Expand-SHA-256, HMAC-SHA-256. Stands in every context, so a later suite cannot be passed off as this.
SUITE = 1
KEY_SIZE = 32
# NIST SP 800-38D section 8.2: a 96-bit nonce is used as it is, without hashing.
NONCE_SIZE = 12
TAG_SIZE = 16
SALT_SIZE = 8
# AES block: lengths are hidden up to it.
BLOCK = 16
# Width of a table, purpose or scope name in a context, zero-padded: the longest is 13.
NAME_SIZE = 16
KAB_SIZE = 5
UID_SIZE = 26
# format, nonce, 32-byte key, tag
WRAPPED_SIZE = 1 + NONCE_SIZE + KEY_SIZE + TAG_SIZE
# format, cell version, salt
HEADER_SIZE = 1 + 4 + SALT_SIZE

# HKDF info strings: one per use, so that no two uses share a key (RFC 5869 section 3.2).
INFO_CELL = b"gardu/1/cell/"
INFO_SEAL = b"gardu/1/seal"
INFO_NIK = b"gardu/1/nik/"
INFO_NKK = b"gardu/1/nkk"
INFO_NAME_DATE = b"gardu/1/name-date"
INFO_TOKEN = b"gardu/1/touch-token"
INFO_FILE = b"gardu/1/file"
INFO_DAY = b"gardu/1/payload-day/"
INFO_PAYLOAD = b"gardu/1/payload"
INFO_COMMIT = b"gardu/1/payload-commit"
INFO_RECORD = b"gardu/1/record-seal"
INFO_DIGEST = b"gardu/1/value-digest"
INFO_PART = b"gardu/1/part"
INFO_LOG_MLDSA = b"gardu/1/log-ml-dsa-44"
INFO_REFERENCE = b"gardu/1/provider-key-reference"

_SHA256 = SHA256()
# By how many numbers are packed; one or two are ever needed.
_INTS = (struct.Struct(">"), struct.Struct(">I"), struct.Struct(">II"))
_HEADER = struct.Struct(">BI")
# ISO/IEC 7816-4 padding by length modulo 16: 0x80, then zeros; always at least one byte, so it comes off unambiguously.
PADS = tuple(b"\x80" + bytes(BLOCK - 1 - length) for length in range(BLOCK))


class Malformed(ValueError):
    """Bytes or clear columns that do not have the format's shape, or do not open. Its text never holds a value."""


def keyed(key: bytes) -> HMAC:
    """Return an HMAC-SHA-256 under *key*, to be copied for each message: copying is cheaper than keying again."""
    return HMAC(key, _SHA256)


def subkey(parent: HMAC, info: bytes) -> bytes:
    """Return the 32-byte subkey for *info* of the key that *parent* is keyed with: HKDF-Expand-SHA-256.

    For 32 bytes that is one block, T(1) = HMAC(key, info ‖ 0x01) (RFC 5869 section 2.3), so a record key is keyed once for two
    subkeys. The extract step is left out: every key here is 32 uniformly random or derived bytes (section 3.3).
    """
    state = parent.copy()
    state.update(info + b"\x01")
    return state.finalize()


def expand(key: bytes, info: bytes) -> bytes:
    """Return the 32-byte subkey of *key* for *info*, as :func:`subkey`."""
    return subkey(HMAC(key, _SHA256), info)


def mac(key: bytes, message: bytes) -> bytes:
    """Return the 32-byte HMAC-SHA-256 of *message*."""
    state = HMAC(key, _SHA256)
    state.update(message)
    return state.finalize()


def fixed(name: str) -> bytes:
    """Return *name* as 16 bytes, zero-padded. Raises Malformed when it is empty, too long or not printable ASCII."""
    if not (0 < len(name) <= NAME_SIZE and name.isascii() and name.isprintable()):
        raise Malformed("a name in a context must have 1 to 16 ASCII characters")
    return name.encode("ascii").ljust(NAME_SIZE, b"\0")


def table_head(table: str) -> bytes:
    """Return format ‖ suite ‖ table: the first 18 bytes of every row's context."""
    return bytes((FORMAT, SUITE)) + fixed(table)


def row_place(kab: str, uid: str) -> bytes:
    """Return kab(5) ‖ uid(26). Raises Malformed when a column has another width or is not ASCII."""
    try:
        if len(kab) == KAB_SIZE and len(uid) == UID_SIZE:
            return (kab + uid).encode("ascii")
    except (UnicodeEncodeError, AttributeError, TypeError):
        pass
    raise Malformed("kab or uid has the wrong shape")


def numbers(*values: int) -> bytes:
    """Return each value as 4 bytes, big-endian. Raises Malformed for what is not a whole number in 0…2³²−1."""
    try:
        return _INTS[len(values)].pack(*values)
    except struct.error:
        pass
    raise Malformed("a version, epoch or row number has the wrong shape")


def pad(plain: bytes) -> bytes:
    """Return *plain* ‖ 0x80 ‖ zeros, a multiple of 16 bytes long and at least one byte longer."""
    return plain + PADS[len(plain) % BLOCK]


def unpad(padded: bytes) -> bytes:
    """Return what was padded. Raises Malformed unless *padded* is exactly what :func:`pad` makes."""
    plain = padded.rstrip(b"\0")
    if plain[-1:] != b"\x80" or len(padded) % BLOCK or len(padded) - len(plain) >= BLOCK:
        raise Malformed("the padding is wrong")
    return plain[:-1]


def cell_header(version: int, salt: bytes) -> bytes:
    """Return format ‖ cell_version(4) ‖ salt(8)."""
    return _HEADER.pack(FORMAT, version) + salt


def parse_cell(cell: bytes) -> tuple[int, bytes, bytes]:
    """Return (cell_version, salt, ciphertext ‖ tag). Raises Malformed for a wrong length or an unknown format byte."""
    if len(cell) < HEADER_SIZE + BLOCK + TAG_SIZE or (len(cell) - HEADER_SIZE - TAG_SIZE) % BLOCK:
        raise Malformed("a cell has the wrong length")
    form, version = _HEADER.unpack_from(cell)
    if form != FORMAT:
        raise Malformed("a cell has an unknown format")
    return version, cell[HEADER_SIZE - SALT_SIZE : HEADER_SIZE], cell[HEADER_SIZE:]


def box(cipher: AESGCM, nonce: bytes, plain: bytes, aad: bytes, head: bytes = b"\x01") -> bytes:
    """Return *head* ‖ nonce ‖ ciphertext ‖ tag. The first byte of *head* is the format."""
    return head + nonce + cipher.encrypt(nonce, plain, aad)


def unbox(cipher: AESGCM, boxed: bytes, aad: bytes, *, head_size: int = 1, size: int | None = None) -> bytes:
    """Return the plaintext of a box.

    size: the exact length the plaintext must have, or None. Raises Malformed for a wrong length, an unknown format byte, or when
    the box does not open under this key and context.
    """
    least = head_size + NONCE_SIZE + TAG_SIZE
    if len(boxed) < least or (size is not None and len(boxed) != least + size):
        raise Malformed("a sealed box has the wrong length")
    if boxed[0] != FORMAT:
        raise Malformed("a sealed box has an unknown format")
    return decrypt(cipher, boxed[head_size : head_size + NONCE_SIZE], boxed[head_size + NONCE_SIZE :], aad)


def decrypt(cipher: AESGCM, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
    """Return the plaintext of ciphertext ‖ tag. Raises Malformed when it does not open under this key, nonce and context."""
    try:
        return cipher.decrypt(nonce, sealed, aad)
    except InvalidTag:
        pass
    raise Malformed("sealed bytes do not open under this key and context")
