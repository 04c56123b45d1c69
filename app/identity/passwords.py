"""Passwords: which are accepted, how they are hashed, how one is checked.

Hash: ``p<epoch>$`` + argon2id over HMAC-SHA-256(pepper of that epoch, NFC of the password in UTF-8). The pepper is a key of the
vault, so a stolen database alone allows no guessing. RFC 9106 section 4 names 64 MiB, t=3 as its second choice; p=1 because a
server has better uses for its other cores.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
import string
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn

from app.kernel.errors import N_, BadInput, SealBroken, Unavailable
from app.kernel.fields import Element
from app.vault.house import KeyHouse, L1Key

# Characters, after NFC. NIST SP 800-63B-4 section 3.1.1.2 asks for 15 where the password is the only factor; ours never is.
MIN_LENGTH = 14
# UTF-8 bytes: far above any passphrase, far below what would make hashing itself an attack.
MAX_BYTES = 256
# zxcvbn: 3 = "safely unguessable", more than 10^8 guesses even before argon2 and the throttle.
_MIN_SCORE = 3
# zxcvbn's cost grows with the square of the length; the first 72 characters decide.
_ZXCVBN_LENGTH = 72
# How long an attempt may wait for a free hashing slot before the server says it is too busy.
_QUEUE_SECONDS = 10.0
_HASH_BYTES, _SALT_BYTES = 32, 16
_STORED = re.compile(r"p([1-9][0-9]{0,8})(\$argon2id\$.+)", re.ASCII)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Words a guesser of this house tries first; zxcvbn knows English only.
_HOUSE_WORDS = _words(
    "kpu bawaslu gardu pemilu pilkada pilpres pileg pemilih pemilihan umum komisi panwaslu dkpp coklit pantarlih sidalih dpt dps dptb dpk "
    "tps nik nkk ktp kk data admin administrator operator sandi katasandi rahasia password passphrase login masuk"
)
_COMMON_WORDS = _words(
    "indonesia nusantara merdeka merah putih garuda pancasila bhinneka tunggal ika bismillah alhamdulillah assalamualaikum allah sayang "
    "cinta selamanya kamu aku jakarta surabaya bandung medan semarang makassar palembang denpasar badung bali jawa sumatera kalimantan "
    "sulawesi papua maluku aceh banten yogyakarta qwerty qwertyuiop asdfgh zxcvbn iloveyou welcome letmein monkey dragon satu dua tiga "
    "empat lima enam tujuh delapan sembilan sepuluh januari februari maret april mei juni juli agustus september oktober november desember"
)
# A password whose letters are at most this many known words, however spelt or numbered, is refused.
_FEW_WORDS = 3
_LEET = str.maketrans("013457@$!", "oieastasi")


class Hasher:
    """Argon2id with a fixed cost and a bounded number of hashes at once.

    memory_kib, passes, lanes: argon2's m, t, p. slots: hashes at the same time in this process; 2 x cores by default, since more
    only exhaust memory. Cheap values belong in tests.
    """

    def __init__(self, *, memory_kib: int = 65536, passes: int = 3, lanes: int = 1, slots: int | None = None) -> None:
        self._argon2 = PasswordHasher(
            time_cost=passes, memory_cost=memory_kib, parallelism=lanes, hash_len=_HASH_BYTES, salt_len=_SALT_BYTES
        )
        self._slots = threading.BoundedSemaphore(slots or 2 * (os.cpu_count() or 1))
        # Of the right form and cost, but the hash of nothing: checking it takes as long as checking a real one, and always fails.
        self._nobody = f"$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${_b64(_SALT_BYTES)}${_b64(_HASH_BYTES)}"

    def hash(self, keys: KeyHouse, password: str) -> str:
        """Return what to store for *password*. Raises KeysDown, Unavailable when every slot stays taken."""
        pepper = keys.key("pepper", "00")
        with self._slot():
            return f"p{pepper.epoch}{self._argon2.hash(_peppered(pepper, password))}"

    def check(self, keys: KeyHouse, stored: str | None, password: str) -> bool:
        """Say whether *password* is the one stored; None (no such account) costs the same time and is never right.

        Raises SealBroken when the stored text is no hash of ours, KeysDown, Unavailable when every slot stays taken.
        """
        newest = keys.key("pepper", "00")
        epoch, encoded = _split(stored) if stored is not None else (newest.epoch, self._nobody)
        pepper = newest if epoch == newest.epoch else keys.key_named("pepper", "00", epoch, "account.password_hash")
        material = _peppered(pepper, password)
        with self._slot():
            try:
                return self._argon2.verify(encoded, material) and stored is not None
            except InvalidHashError:
                raise SealBroken("account.password_hash: not a hash of ours") from None
            except VerificationError:
                return False

    def is_stale(self, keys: KeyHouse, stored: str) -> bool:
        """Say whether *stored* was made with another cost or an older pepper than today's."""
        epoch, encoded = _split(stored)
        return epoch != keys.key("pepper", "00").epoch or self._argon2.check_needs_rehash(encoded)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._slots.acquire(timeout=_QUEUE_SECONDS):
            raise Unavailable("every hashing slot stayed taken")
        try:
            yield
        finally:
            self._slots.release()


def accept(password: str, *, username: str, name: str, office: str, region: Iterable[str] = ()) -> str:
    """Return *password* (NFC) when it may be used by this person.

    region: names of the office's region and those around it. At least 14 characters, at most 256 bytes of UTF-8, any character, no
    composition rules. Raises BadInput (field ``new``) with the
    remedy when it is too short, too long, or easy to guess for somebody who knows the person, the house or common words.
    """
    normal = unicodedata.normalize("NFC", password)
    if len(normal) < MIN_LENGTH:
        raise _refused("too short", N_("Kata sandi terlalu pendek. Pakai sedikitnya 14 karakter, misalnya empat kata acak."))
    if len(_bytes(normal)) > MAX_BYTES:
        raise _refused("too long", N_("Kata sandi terlalu panjang. Paling banyak 256 byte."))
    known = _known_words(username, name, office, *region)
    if _is_few_known_words(normal, known) or _score(normal, known) < _MIN_SCORE:
        raise _refused(
            "easy to guess",
            N_("Kata sandi ini mudah ditebak. Pakai empat kata acak yang tidak berkaitan dengan Anda, kantor, atau pemilu."),
        )
    return normal


def one_time_password() -> str:
    """Return a random password for a first login: four groups of five letters and digits that are hard to confuse (about 99 bits)."""
    alphabet = "".join(sorted(set(string.ascii_lowercase + string.digits) - set("01ilo")))
    return "-".join("".join(secrets.choice(alphabet) for _ in range(5)) for _ in range(4))


def _known_words(username: str, *names: str) -> list[str]:
    own = re.split(r"[\W_]+", " ".join((username, *names)).lower())
    elements = [part for element in Element for part in element.value.split("_")]
    return [*dict.fromkeys(word for word in (username.lower(), *own, *_HOUSE_WORDS, *_COMMON_WORDS, *elements) if len(word) > 1)]


def _score(password: str, known: Iterable[str]) -> int:
    return int(zxcvbn(password[:_ZXCVBN_LENGTH], user_inputs=list(known), max_length=_ZXCVBN_LENGTH)["score"])


def _is_few_known_words(password: str, known: Iterable[str]) -> bool:
    """Say whether nothing but a few known words is left once digits, signs and case are taken away (or read as letters)."""
    vocabulary = frozenset(known)
    plain = password.casefold()
    spellings = {re.sub(r"[\W\d_]+", "", plain), re.sub(r"[\W\d_]+", "", plain.translate(_LEET))}
    return any(letters and _fewest_words(letters, vocabulary) <= _FEW_WORDS for letters in spellings)


def _fewest_words(letters: str, vocabulary: frozenset[str]) -> int:
    # Distinct words: "rahasiarahasiarahasia" is one. Sets of used words per position, the smallest kept.
    best: list[frozenset[str] | None] = [frozenset(), *([None] * len(letters))]
    for end in range(1, len(letters) + 1):
        for start in range(max(0, end - 20), end):
            used, word = best[start], letters[start:end]
            if used is not None and word in vocabulary and (best[end] is None or len(used | {word}) < len(best[end] or used)):
                best[end] = used | {word}
    last = best[-1]
    return len(letters) + _FEW_WORDS + 1 if last is None else len(last)


def _peppered(pepper: L1Key, password: str) -> bytes:
    return hmac.new(pepper.secret, _bytes(unicodedata.normalize("NFC", password)), hashlib.sha256).digest()


def _bytes(password: str) -> bytes:
    # A lone surrogate has no UTF-8; it must not become an error page that quotes the password.
    return password.encode("utf-8", "surrogatepass")


def _split(stored: str) -> tuple[int, str]:
    found = _STORED.fullmatch(stored)
    if found is None:
        raise SealBroken("account.password_hash: not a hash of ours")
    return int(found[1]), found[2]


def _b64(length: int) -> str:
    return base64.b64encode(secrets.token_bytes(length)).decode("ascii").rstrip("=")


def _refused(detail: str, public: str) -> BadInput:
    return BadInput(f"password: {detail}", field="new", public=public)
