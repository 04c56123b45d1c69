"""Gardu's offline verifier: checks receipts, exports and checkpoints of a log on any machine, without Gardu and without a connection.

    python verify.py receipt FILE [--key VKEY]                      the proof of one entry (a C2SP tlog-proof)
    python verify.py export FILE [--key VKEY]                       every entry of a log
    python verify.py checkpoint FILE --key VKEY                     one signed checkpoint (or the one in a receipt)
    python verify.py consistency OLD NEW [--export FILE] [--key …]  is the newer checkpoint's log the older one, grown?

One file: Python 3.11 or newer, and ``cryptography`` for the signature. VKEY is the log's verifier key, got by another way than the file.
Exit codes: 0 good, 1 tampered or does not verify, 2 could not be checked. ``--lang en`` speaks English; ``--json`` ends with one object.
Written from docs/log-format.md; shares no code with the program that writes the log.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, NamedTuple

# docs/log-format.md: an entry is at most 32 KiB, a note 1 MB and 100 signatures; a path in a tree of 2^63 leaves has 63 hashes.
MAX_ENTRY, MAX_NOTE, MAX_SIGNATURES, MAX_PATH = 32_768, 1_000_000, 100, 63
# A receipt is an entry in base64, a path and a note.
MAX_RECEIPT = MAX_NOTE + 2 * MAX_ENTRY
RECEIPT, EXPORT = "c2sp.org/tlog-proof@v1", "gardu-export@1"

# fmt: off
# What each command does, step by step; then words for people, in Bahasa Indonesia and English.
PLANS = {
    "receipt": ("form", "leaf", "inclusion", "checkpoint", "signature", "members"), "export": ("form", "entries", "signature", "checkpoint"),
    "checkpoint": ("form", "signature"), "consistency": ("form", "signature", "prefix"),
}
STEPS = {
    "form": ("Bentuk berkas", "Form"), "leaf": ("Hash daun dari isi entri", "Leaf hash of the entry's bytes"),
    "inclusion": ("Jalur bukti ke akar pohon", "Proof path to the tree's root"), "checkpoint": ("Cocok dengan titik periksa", "Agrees with the checkpoint"),
    "signature": ("Tanda tangan log", "Signature of the log"), "members": ("Isi entri", "The entry's own members"),
    "entries": ("Entri dan rantainya", "Entries and their chain"), "prefix": ("Yang lama adalah awal yang baru", "The older log begins the newer one"),
}
MEMBERS = {
    "log": ("Log", "Log"), "seq": ("Nomor", "Number"), "at": ("Waktu (UTC)", "Time (UTC)"), "actor": ("Pelaku", "Who"), "office": ("Kantor", "Office"),
    "role": ("Peran", "Role"), "session": ("Sesi", "Session"), "action": ("Tindakan", "Action"), "outcome": ("Hasil", "Outcome"),
    "election": ("Pemilu", "Election"), "stage": ("Tahapan", "Stage"), "purpose": ("Tujuan", "Purpose"), "sop": ("Langkah SOP", "Step of the SOP"),
    "basis": ("Dasar hukum", "Legal basis"), "mandate": ("Izin tertulis", "Mandate"), "policy": ("Kebijakan (SHA-256)", "Policies (SHA-256)"),
    "rule": ("Aturan", "Rules"), "scope": ("Wilayah", "Region"), "fields": ("Unsur dan tampilannya", "Elements and their views"),
    "subjects": ("Pemilih", "Voters"), "visit": ("Komitmen kunjungan", "Commitment to the visit"), "assurance": ("Kepastian identitas", "Assurance"),
    "detail": ("Rincian", "Detail"), "payload": ("Muatan tersegel", "Sealed payload"), "request": ("Permintaan", "Request"),
}
WORDS = {
    "voter:reveal": ("membuka data pemilih", "opened voter data"), "voter:search": ("mencari pemilih", "searched for voters"),
    "voter:import": ("memuat data pemilih", "loaded voter data"), "voter:change": ("mengubah data pemilih", "changed voter data"),
    "session:login": ("masuk", "logged in"), "allowed": ("diizinkan", "allowed"), "denied": ("ditolak", "refused"),
    "broken": ("segel rusak", "seal broken"), "failed": ("gagal", "failed"), "intent": ("dimulai", "begun"), "done": ("selesai", "done"),
}
# The canonical JSON of each member of an entry; those of the second table may be null.
_WORD, _HASH, _COUNT, _NAME = r'"[a-z][a-z0-9_]{0,31}"', r'"[0-9a-f]{64}"', r"(0|[1-9][0-9]{0,14})", r'"[!#-\[\]-~]{1,64}"'
REQUIRED = {
    "v": "1", "log": r'"[!#-\[\]-~]{1,255}"', "seq": _COUNT, "prev": _HASH, "at": r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"', "actor": _NAME,
    "action": r'"[a-z]{1,15}:[a-z]{1,15}"', "outcome": _WORD,
}
NULLABLE = {
    **dict.fromkeys(("session", "sop", "mandate", "request"), _NAME), **dict.fromkeys(("role", "stage", "purpose", "basis"), _WORD),
    **dict.fromkeys(("policy", "visit"), _HASH), "office": r'"[!#-\[\]-~]{1,32}"', "election": r'"[!#-\[\]-~]{1,16}"',
    "rule": rf"\[({_NAME}(,{_NAME}){{0,63}})?\]", "scope": r'"\d\d(\.\d\d(\.\d\d(\.\d{4})?)?)?"',
    "fields": rf"\{{({_WORD}:{_WORD}(,{_WORD}:{_WORD}){{0,12}})?\}}", "subjects": rf'\{{"count":{_COUNT},"root":{_HASH}\}}',
    "assurance": rf'\{{"age":(null|{_COUNT}),"challenge":(null|{_HASH}),"method":(null|"[!#-\[\]-~]{{1,16}}")\}}',
    "detail": rf'\{{"sha256":{_HASH},"type":"[!#-\[\]-~]{{1,32}}"\}}', "payload": rf'\{{"commitment":{_HASH},"sha256":{_HASH}\}}',
}
# fmt: on
FORMS = REQUIRED | {name: f"(null|{form})" for name, form in NULLABLE.items()}
ENTRY = re.compile(r"\{" + ",".join(f'"{name}":{FORMS[name]}' for name in sorted(FORMS)) + r"\}", re.ASCII)

Entry = dict[str, object]
Step = tuple[bool | None, str, str]  # did it hold (None: not checked); what to say, in Bahasa Indonesia and in English


class Trouble(Exception):
    """Why the check ended, in Bahasa Indonesia and English; *entry* is the first entry that is shown to be wrong."""

    def __init__(self, indonesian: str, english: str, entry: int | None = None) -> None:
        super().__init__(english)
        self.said, self.entry = (indonesian, english), entry


class Wrong(Trouble):
    """Something does not verify (exit 1)."""


class Unable(Trouble):
    """It cannot be checked (exit 2): the input is out of form or too large, or something is missing."""


def leaf_of(data: bytes) -> bytes:
    """Return SHA-256(0x00 ‖ data), RFC 6962 section 2.1."""
    return sha256(b"\x00" + data).digest()


def node_of(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 ‖ left ‖ right), RFC 6962 section 2.1."""
    return sha256(b"\x01" + left + right).digest()


@dataclass
class Tree:
    """A growing RFC 6962 tree, kept as its perfect subtrees (height, hash) from left to right: memory grows with log n."""

    peaks: list[tuple[int, bytes]] = field(default_factory=list)

    def add(self, leaf: bytes) -> None:
        """Add a leaf hash; equal heights join like a carry in binary addition."""
        height = 0
        while self.peaks and self.peaks[-1][0] == height:
            leaf, height = node_of(self.peaks.pop()[1], leaf), height + 1
        self.peaks.append((height, leaf))

    def root(self) -> bytes:
        """Return the root; of the empty tree it is SHA-256 of nothing."""
        hashes = [node for _, node in reversed(self.peaks)]
        return reduce(lambda right, left: node_of(left, right), hashes) if hashes else sha256(b"").digest()


def root_by_path(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """Return the root to which *path* (from the leaf's sibling up) leads *leaf*, at *index* of *size* leaves.

    Undoes PATH(m, D[n]) as RFC 6962 section 2.1.1 defines it. Raises Wrong unless index < size and the path has its one right length.
    """
    if not 0 <= index < size:
        raise Wrong(f"nomor {index} di luar pohon berisi {size} entri", f"number {index} is outside a tree of {size} entries")
    if bool(path) != (size > 1):
        raise Wrong("panjang jalur bukti tidak sesuai nomor dan ukuran", "the proof path's length does not fit number and size")
    if size == 1:
        return leaf
    half = 1 << ((size - 1).bit_length() - 1)
    if index < half:
        return node_of(root_by_path(index, half, leaf, path[:-1]), path[-1])
    return node_of(path[-1], root_by_path(index - half, size - half, leaf, path[:-1]))


class Key(NamedTuple):
    """A verifier key: name, 4-byte id, 32-byte Ed25519 public key."""

    name: str
    id: bytes
    public: bytes


class Note(NamedTuple):
    """A signed note in form, nothing checked: its text, and (key name, key id, signature) of each line."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]


class Checkpoint(NamedTuple):
    """A tree head: the log's origin, the number of entries, the 32-byte root, and the note that says so."""

    origin: str
    size: int
    root: bytes
    note: Note


def unbase64(text: str) -> bytes:
    """Return the bytes of *text*, or b"" when it is not standard base64 in its one canonical spelling."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        return b""
    return raw if base64.b64encode(raw).decode("ascii") == text else b""


def is_name(name: str) -> bool:
    """Say whether *name* may name a key: not empty, no Unicode space, no plus (C2SP signed-note)."""
    return 0 < len(name) <= 255 and "+" not in name and not any(one.isspace() for one in name)


def parse_key(vkey: str) -> Key:
    """Return the verifier key ``name+id+base64(0x01 ‖ public key)``. Raises Unable for anything else."""
    name, key_id, rest = [*vkey.split("+", 2), "", ""][:3]
    raw = unbase64(rest)
    if len(raw) != 33 or raw[0] != 1 or not is_name(name):
        raise Unable("--key bukan kunci Ed25519 «nama+id+base64»", "--key is not an Ed25519 key «name+id+base64»")
    key = Key(name, sha256(name.encode("utf-8", "replace") + b"\n" + raw).digest()[:4], raw[1:])
    if key_id != key.id.hex():
        raise Unable("--key: id tidak cocok dengan nama dan kunci (salah salin?)", "--key: the id does not fit name and key (miscopied?)")
    return key


def _unable(line: int, indonesian: str, english: str) -> Unable:
    return Unable(f"baris {line}: {indonesian}", f"line {line}: {english}")


def parse_note(raw: bytes, line: int = 1) -> Note:
    """Return the signed note in *raw*, whose first line is number *line* of its file. Raises Unable, saying which line is out of form."""
    if len(raw) > MAX_NOTE:
        raise Unable("catatan bertanda tangan lebih dari 1 MB", "the signed note is longer than 1 MB")
    if odd := re.search(rb"[\x00-\x09\x0b-\x1f]", raw):
        where = line + raw.count(b"\n", 0, odd.start())
        raise _unable(where, "ada karakter kendali (akhir baris Windows?)", "a control character (Windows line ends?)")
    try:
        head, gap, tail = raw.decode("utf-8").rpartition("\n\n")
    except UnicodeDecodeError as error:
        raise _unable(line + raw.count(b"\n", 0, error.start), "bukan UTF-8", "not UTF-8") from None
    rows = tail.split("\n")
    if not gap or rows.pop() or not rows:
        raise Unable("tidak ada baris tanda tangan sesudah baris kosong, atau terpotong", "no signature lines after an empty line, or cut short")
    if len(rows) > MAX_SIGNATURES:
        raise Unable("lebih dari 100 tanda tangan", "more than 100 signatures")
    return Note(head + "\n", tuple(_signature(row, number) for number, row in enumerate(rows, line + head.count("\n") + 2)))


def _signature(row: str, line: int) -> tuple[str, bytes, bytes]:
    dash, name, rest = [*row.split(" ", 2), "", ""][:3]
    raw = unbase64(rest)
    if len(raw) < 5 or dash != "—" or not is_name(name):
        raise _unable(line, "bukan baris tanda tangan «— nama base64»", "not a signature line «— name base64»")
    return name, raw[:4], raw[4:]


def parse_checkpoint(raw: bytes, line: int = 1) -> Checkpoint:
    """Return the checkpoint in *raw*, whose first line is number *line* of its file. Raises Unable, saying which line is out of form."""
    note = parse_note(raw, line)
    rows = note.text.split("\n")[:-1]
    if len(rows) < 3 or not all(rows):
        raise _unable(line, "titik periksa: tiga baris atau lebih, tanpa baris kosong", "a checkpoint has three lines or more, none empty")
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", rows[1], re.ASCII) or int(rows[1]) >= 2**63:
        raise _unable(line + 1, "bukan ukuran pohon", "not a tree size")
    if len(root := unbase64(rows[2])) != 32:
        raise _unable(line + 2, "bukan akar 32 byte dalam base64", "not a root of 32 bytes in base64")
    return Checkpoint(rows[0], int(rows[1]), root, note)


def check_signature(note: Note, key: Key) -> None:
    """Check that *key* signed *note*. Raises Wrong when it did not, Unable when ``cryptography`` is not installed."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        raise Unable("perlu paket Python «cryptography» (pip install cryptography)", "needs the Python package «cryptography»") from None
    ours = [signature for name, key_id, signature in note.signatures if (name, key_id) == (key.name, key.id)]
    if not ours:
        raise Wrong("tidak ditandatangani oleh kunci yang diberikan", "not signed by the key given")
    try:
        for signature in ours:
            Ed25519PublicKey.from_public_bytes(key.public).verify(signature, note.text.encode("utf-8"))
    except InvalidSignature:
        raise Wrong("tidak sah: titik periksa diubah, atau bukan kunci ini", "bad: the checkpoint was changed, or it is not this key") from None


def parse_json(raw: bytes) -> Entry:
    """Return the object in *raw*. Raises Wrong unless *raw* is exactly its canonical form (RFC 8785; strings all ASCII)."""
    try:
        value = json.loads(raw.decode("ascii"))
        same = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii") == raw
    except (ValueError, RecursionError):
        raise Wrong("bukan JSON dalam ASCII", "not JSON in ASCII") from None
    if not same or not isinstance(value, dict):
        raise Wrong("bukan objek JSON kanonik (RFC 8785)", "not a canonical JSON object (RFC 8785)")
    return value


def check_entry(raw: bytes, log: str, seq: int) -> Entry:
    """Return the members of the entry in *raw*. Raises Wrong unless it is canonical, whole, and says that it is *seq* of *log*."""
    if len(raw) > MAX_ENTRY:
        raise Wrong("lebih dari 32 KiB", "longer than 32 KiB")
    entry = parse_json(raw)
    if not ENTRY.fullmatch(raw.decode("ascii")) or not _is_moment(str(entry["at"])):
        compact = {name: json.dumps(entry[name], sort_keys=True, separators=(",", ":")) for name in FORMS.keys() & entry.keys()}
        odd = next((name for name, form in FORMS.items() if not re.fullmatch(form, compact.get(name, ""), re.ASCII)), "at")
        if extra := len(entry.keys() - FORMS.keys()):
            raise Wrong(f"{extra} anggota yang tidak dikenal", f"{extra} unknown members")
        raise Wrong(f"anggota {odd} tidak ada atau tidak sesuai bentuknya", f"member {odd} is missing or not in its form")
    if entry["log"] != log:
        raise Wrong(f"milik log {entry['log']}, bukan {_clean(log)}", f"belongs to log {entry['log']}, not {_clean(log)}")
    if entry["seq"] != seq:
        raise Wrong(f"bernomor {entry['seq']}, seharusnya {seq}", f"has number {entry['seq']}, should be {seq}")
    return entry


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _clean(text: str) -> str:
    """Return *text* without anything that could steer a terminal."""
    return "".join(one if one.isprintable() else "?" for one in text[:300])


def _read(path: Path, cap: int = MAX_RECEIPT) -> bytes:
    with path.open("rb") as file:
        raw = file.read(cap + 1)
    if len(raw) > cap:
        raise Unable(f"{_clean(path.name)} lebih besar dari {cap} byte", f"{_clean(path.name)} is larger than {cap} bytes")
    return raw


def parse_receipt(raw: bytes) -> tuple[bytes, int, list[bytes], Checkpoint]:
    """Return (entry's bytes, index, proof path, checkpoint) of a C2SP tlog-proof. Raises Unable, saying which line is out of form."""
    head, _, note = raw.partition(b"\n\n")
    magic, extra, index, *path = [*head.decode("ascii", "replace").split("\n"), "", ""] if head.count(b"\n") < 2 else head.decode("ascii", "replace").split("\n")
    if magic != RECEIPT:
        raise _unable(1, f"bukan «{RECEIPT}»: ini bukan berkas tanda terima", f"not «{RECEIPT}»: this is not a receipt")
    entry = unbase64(extra.removeprefix("extra ")) if extra.startswith("extra ") else b""
    if not entry:
        raise _unable(2, "bukan «extra» dengan isi entri dalam base64", "not «extra» with the entry in base64")
    if not re.fullmatch(r"index (0|[1-9][0-9]{0,14})", index, re.ASCII):
        raise _unable(3, "bukan «index» dengan nomor entri", "not «index» with the entry's number")
    hashes = [unbase64(one) for one in path]
    odd = next((number for number, one in enumerate(hashes) if len(one) != 32 or number >= MAX_PATH), None)
    if odd is not None:
        raise _unable(4 + odd, "bukan hash 32 byte dalam base64, atau terlalu banyak", "not a hash of 32 bytes in base64, or too many")
    return entry, int(index[6:]), hashes, parse_checkpoint(note, head.count(b"\n") + 3)
