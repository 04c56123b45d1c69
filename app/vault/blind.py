"""Blind indexes: keyed, truncated tokens by which a voter is found without opening rows; the keyed digest of a file.

What the tokens leak is stated in docs/vault-format.md. There is deliberately no index on sex, disability, marital status or a
name alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import date

from cryptography.hazmat.primitives.hmac import HMAC

from app.vault.envelope import INFO_FILE, INFO_NAME_DATE, INFO_NIK, INFO_NKK, expand, keyed
from app.vault.house import KeyPurpose, L1Key

# 40 bits: 204.8 million voters give 0.0002 false candidates per look-up.
NIK_BYTES = 5
WIDE_BYTES = 8
# A look-up finds 8 to 16 strangers beside the one searched: equal tokens then do not prove equal values, and opening the candidates
# costs under a millisecond.
_STRANGERS = 8
_LEAST_BITS, _MOST_BITS = 8, 32

# Old spelling → new (Ejaan Soewandi 1947, EYD 1972), on lower-case letters. Applied until nothing changes.
_SPELLING = {"oe": "u", "dj": "j", "tj": "c", "sj": "sy", "nj": "ny", "ch": "kh"}
_OLD = re.compile("|".join(_SPELLING))
_MUHAMMAD = "muh moh mokh mukh mohd muhd mohamad mohammad muhamad mokhamad mokhammad mukhamad mukhammad mohamed mohammed muhamed muhammed"
# Whole words, as they stand after the spelling rules. Only abbreviations that are nothing else.
_WORDS = dict.fromkeys(_MUHAMMAD.split(), "muhammad") | {
    "akhmad": "ahmad",
    "nym": "nyoman",
    "wyn": "wayan",
    "kt": "ketut",
    "gst": "gusti",
    "kmg": "komang",
    "kdk": "kadek",
}
_TITLE_WORDS = "h hj haji hajah hajjah drs dra dr drg ir prof"
# Titles in front of a name; the last word always stays. Permendagri 73/2022 lets titles stand on the KTP-el.
_TITLES = frozenset(_TITLE_WORDS.split())
_TITLE_BYTES = frozenset(word.encode() for word in _TITLES)
_DEGREE_WORDS = (
    "a ag ak amd ap ars ba cpa d farm h hum ip ked keb kep kes kn kom lc m ma mag mba md mh mhum mkes mkn mkom mm mp mpd msi mt ners ns p "
    "pd ph phd psi s sag sap se sh shi si sip skep sked skm skom sos sp spd spdi spi ssi ssos st stp t th tp"
)
# Degrees after a comma. A tail with any other word is kept: the comma may stand for a space.
_DEGREES = frozenset(_DEGREE_WORDS.split())
_APOSTROPHES = dict.fromkeys(map(ord, "'`´‘’ʻʼʿʾ"))
# The same for bytes: ``bytes.translate`` with the two apostrophes deleted.
_BYTES = bytes(ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else 32 for code in range(256))
# Different words that a batch's names are made of; beyond it the memo is begun anew.
_MEMO = 1 << 15
_ASCII = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)} | {ord("'"): None, ord("`"): None}


def planned_bits(expected_rows: int) -> int:
    """Return how many bits the NKK and name + birth date indexes of a kab should have; give them to ``KeyHouse.make``.

    expected_rows: rows of one kab in one election, 0 or more. With b bits a look-up finds rows ÷ 2^b strangers on average. More bits
    open fewer of them; fewer bits blur who shares a household. We keep between 8 and 16 strangers, b = ⌊log₂(rows ÷ 8)⌋, within 8…32:
    at least the two that make equality unprovable, and for any kab over 256 rows fewer than √rows, so that search stays an index.
    """
    return min(_MOST_BITS, max(_LEAST_BITS, (expected_rows // _STRANGERS).bit_length() - 1))


class Blind:
    """Makes the blind indexes of one kab.

    nik: the national ``nik`` key. kab: the kab's ``blind`` key, whose ``bits`` say how wide b_nkk and b_nd are. During a rotation
    build one per epoch and search for both. Raises ValueError for a key of another purpose.
    """

    def __init__(self, nik: L1Key, kab: L1Key) -> None:
        if nik.purpose != KeyPurpose.NIK or kab.purpose != KeyPurpose.BLIND:
            raise ValueError("blind indexes need a nik key and a blind key")
        # Of the nik key and of the kab's blind key, for whoever stores what is made here.
        self.epochs = (nik.epoch, kab.epoch)
        self._nik = nik.secret
        self._nkk = keyed(expand(kab.secret, INFO_NKK))
        self._nd = keyed(expand(kab.secret, INFO_NAME_DATE))
        self._size = (kab.bits + 7) // 8
        self._mask = 0xFF & (0xFF << (8 * self._size - kab.bits))
        self._elections: dict[str, HMAC] = {}
        self._words: dict[bytes, bytes] = {}

    def __repr__(self) -> str:
        return "Blind()"

    def b_nik(self, nik: str, election: str) -> bytes:
        """Return the 5-byte token of a NIK in one election; equal NIKs of two elections have unrelated tokens.

        nik: 16 ASCII digits. Raises ValueError for another shape.
        """
        return _token(self._national(election), _digits(nik))[:NIK_BYTES]

    def wide_niks(self, niks: Iterable[bytes], election: str) -> list[bytes]:
        """Return, for NIKs known to have 16 digits, the first WIDE_BYTES of each token; its first NIK_BYTES are ``b_nik``.

        For looking at the NIKs of one file beside each other: among ten million, two that differ meet with a chance of 0.000003. Never stored.
        """
        key = self._national(election)
        return [_token(key, nik)[:WIDE_BYTES] for nik in niks]

    def three(self, nik: bytes, nkk: bytes, name: bytes, born: bytes, election: str) -> tuple[bytes, bytes, bytes]:
        """Return (b_nik, b_nkk, b_nd) of values whose shape was checked, as UTF-8: the same bytes as the three methods of these names."""
        joined = self._joined(name) + b"\0" + born
        return _token(self._national(election), nik)[:NIK_BYTES], self._cut(_token(self._nkk, nkk)), self._cut(_token(self._nd, joined))

    def _national(self, election: str) -> HMAC:
        key = self._elections.get(election)
        if key is None:
            key = self._elections[election] = keyed(expand(self._nik, INFO_NIK + election.encode()))
        return key

    def _joined(self, name: bytes) -> bytes:
        """Return *name*, UTF-8, normalised and without spaces. Plain names go word by word: most words of a file come again and again."""
        if not name.isascii() or b"," in name:
            return normalise_name(name.decode()).replace(" ", "").encode()
        known = self._words
        words = [known.get(word) or self._word(word) for word in name.translate(_BYTES, b"'`").split()]
        start = 0
        while start < len(words) - 1 and words[start] in _TITLE_BYTES:
            start += 1
        return b"".join(words[start:])

    def _word(self, word: bytes) -> bytes:
        text = word.decode("ascii")
        while _OLD.search(text):
            text = _OLD.sub(_modern, text)
        if len(self._words) >= _MEMO:
            self._words.clear()
        modern = self._words[word] = _WORDS.get(text, text).encode("ascii")
        return modern

    def b_nkk(self, nkk: str) -> bytes:
        """Return the token of a family card number, as wide as planned. nkk: 16 ASCII digits; raises ValueError for another shape."""
        return self._cut(_token(self._nkk, _digits(nkk)))

    def b_nd(self, name: str, birth_date: str) -> bytes:
        """Return the token of a name, normalised and without spaces, and a birth date; as wide as planned.

        birth_date: ``YYYY-MM-DD``; raises ValueError for another shape or an impossible date.
        """
        joined = normalise_name(name).replace(" ", "")
        return self._cut(_token(self._nd, joined.encode() + b"\0" + _iso(birth_date)))

    def _cut(self, full: bytes) -> bytes:
        last = self._size - 1
        return full[:last] + bytes((full[last] & self._mask,))


def normalise_name(name: str) -> str:
    """Return *name* in the form that the index and comparisons use: lower-case words with single spaces; may be empty.

    The rules, in order, stand in docs/vault-format.md. Applying them twice changes nothing.
    """
    head, comma, tail = name.partition(",")
    words = _letters(head).split()
    if comma:
        after = _letters(tail).split()
        words = words if words and _DEGREES.issuperset(after) else words + after
    text = " ".join(words)
    while _OLD.search(text):
        text = _OLD.sub(_modern, text)
    words = [_WORDS.get(word, word) for word in text.split(" ")]
    start = 0
    while start < len(words) - 1 and words[start] in _TITLES:
        start += 1
    return " ".join(words[start:])


def same_name(one: str, other: str) -> bool:
    """Say whether two names are the same to the index: normalised, spaces aside (``Nur Aini``, ``Nuraini``)."""
    return normalise_name(one).replace(" ", "") == normalise_name(other).replace(" ", "")


class FileDigest:
    """HMAC-SHA-256 over a file's bytes, as they stream by: recognises a file already loaded, tells a thief nothing.

    key: the ``index`` key. Raises ValueError for a key of another purpose.
    """

    def __init__(self, key: L1Key) -> None:
        if key.purpose != KeyPurpose.INDEX:
            raise ValueError("a file digest needs the index key")
        self._state = keyed(expand(key.secret, INFO_FILE))

    def update(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._state.update(chunk)

    def digest(self) -> bytes:
        """Return the 32 bytes for all that was taken so far; more may follow."""
        return self._state.copy().finalize()


def _letters(text: str) -> str:
    """Return lower-case letters and digits without accents; apostrophes vanish, anything else becomes a space."""
    if text.isascii():
        return text.translate(_ASCII)
    # Folding and decomposing each make new letters (ß, ŉ), so accents and apostrophes are dropped before and after.
    folded = _bare(_bare(text.translate(_APOSTROPHES)).casefold()).translate(_APOSTROPHES)
    return "".join(letter if letter.isalnum() else " " for letter in folded)


def _bare(text: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if unicodedata.category(letter) != "Mn")


def _modern(old: re.Match[str]) -> str:
    return _SPELLING[old.group()]


def _token(key: HMAC, message: bytes) -> bytes:
    state = key.copy()
    state.update(message)
    return state.finalize()


def _digits(number: str) -> bytes:
    if len(number) == 16 and number.isascii() and number.isdigit():
        return number.encode("ascii")
    raise ValueError("a NIK or NKK has 16 digits")


def _iso(day: str) -> bytes:
    try:
        # The dashes: fromisoformat would also take a week date of the same length.
        if len(day) == 10 and day[4] == day[7] == "-" and date.fromisoformat(day):
            return day.encode("ascii")
    except ValueError:
        pass
    raise ValueError("a birth date is written YYYY-MM-DD")
