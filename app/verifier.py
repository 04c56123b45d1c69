"""Gardu's offline verifier: one file, Python 3.11 and the `cryptography` package, nothing of Gardu itself.

    python verify.py receipt     FILE [--entry FILE]        a receipt (C2SP tlog-proof; its entry in the extra line, or beside it)
    python verify.py record      FILE --proof FILE          a JSON lines record that a SIEM kept, by the receipt of its entry
    python verify.py export      FILE                       a whole log, as `gardu audit export` writes it
    python verify.py tiles       DIR                        a whole log as static files (C2SP tlog-tiles)
    python verify.py checkpoint  FILE [--stamp FILE]        a signed checkpoint (C2SP tlog-checkpoint)
    python verify.py consistency OLD NEW (--proof FILE | --export FILE | --tiles DIR)     the newer log extends the older
    python verify.py release     DIR-or-MANIFEST [--receipt FILE]                         a sealed package
    python verify.py --version                              the SHA-256 of this file

Each takes --key KEY (the log's verifier key, or a file with it) or --policy FILE (C2SP tlog-policy: the log's keys, its witnesses, and
how many of them it takes), and [--max-age HOURS] [--lang en] [--json]. Get KEY or policy from somebody you trust, not from whoever
gave you FILE. Exit code: 0 good, 1 tampered (FILE is of the right kind but does not hold), 2 could not check (no such file, another
kind of file, too few witnesses). Without a key all but the signature is checked, and the last line says so.

It was written apart from the checks inside Gardu, and shares no code with them: a second opinion. docs/log-format.md says every file
byte by byte. To audit this one, read down: words, files, notes and keys, witnesses, tree, entries, then one function for each command.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import io
import json
import re
import shlex
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

try:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    sys.stderr.write("verify.py memerlukan paket Python `cryptography` / needs the Python package `cryptography`\n")
    raise SystemExit(2) from None
MLDSA44PublicKey: Any
try:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
except ImportError:
    MLDSA44PublicKey = None  # an older cryptography: these signatures are shown as not checked, and never counted

PROOF_MAGIC, EXPORT_FORMAT, RELEASE_MAGIC = "c2sp.org/tlog-proof@v1", "gardu-export@1", "gardu-release@1"
RELEASE_NOTE, RELEASE_RECEIPT = "gardu-release.note", "gardu-release.tlog-proof"
MAX_FILE = 1_000_000  # receipts, proofs and checkpoints are a few kilobytes; C2SP signed-note lets us stop here
MAX_LINE = 65_536  # an entry has at most 32 KiB
MAX_SIGNATURES, MAX_PROOF = 100, 64  # what C2SP's first implementation takes; what a tree below 2^63 leaves can need
AHEAD = 600  # seconds that a witness's clock may be ahead of ours
TILE = 256  # hashes in a full tile, and entries in a full bundle (C2SP tlog-tiles)
LOG, WITNESS, ML_DSA = 1, 4, 6  # C2SP signature types: Ed25519 over the note, Ed25519 cosignature/v1, ML-DSA-44 subtree/v1
KEY_SIZE = {LOG: 32, WITNESS: 32, ML_DSA: 1312}
NUMBER, HEX64 = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII), re.compile(r"[0-9a-f]{64}", re.ASCII)
KEY_NAME = re.compile(r"[^\s+\x00-\x1f\x7f-\x9f]+")  # C2SP signed-note: no Unicode space, no plus
FIRST = ("at", "actor", "office", "role", "action", "outcome")
OTHERS = """assurance basis detail election fields log mandate payload policy prev purpose request rule scope seq session sop stage
            subjects v visit"""
MEMBERS = frozenset(FIRST).union(OTHERS.split())

# ---- words: what is found, and how it is said ----


class Tampered(Exception):
    """The file is of the right kind, and does not hold. Takes the reason in both languages."""


class CannotCheck(Exception):
    """Nothing can be said: no file, no key, another kind of file. Takes the reason in both languages."""


@dataclass
class Report:
    """The steps gone through, in one language, the facts shown besides, and the outcome."""

    english: bool = False
    steps: list[tuple[bool | None, str]] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)
    code: int = 0  # 0 nothing wrong, 1 tampered, 2 could not check
    result: str = "unchecked"  # good, coherent (holds together, but no key proves it), tampered, unchecked
    verdict: str = ""  # the result as a sentence

    def step(self, indonesian: str, english: str, held: bool | None = True) -> None:
        """Record a numbered step; *held* None: not checked, or not counted."""
        self.steps.append((held, english if self.english else indonesian))

    def run(self, check: Callable[[], None]) -> Report:
        """Run *check* and record how it ended."""
        try:
            check()
        except (Tampered, CannotCheck) as wrong:
            self.code = 1 if isinstance(wrong, Tampered) else 2
            self.step(wrong.args[0], wrong.args[1], False)
        except OSError as wrong:
            self.code = 2
            self.step(f"berkas tidak dapat dibaca: {plain(str(wrong))}", f"a file cannot be read: {plain(str(wrong))}", False)
        # Anybody can make a coherent file of their own: without the key it is no proof, and must not look like one.
        self.result, indonesian, english = (
            ("good", "BAIK", "GOOD"),
            ("tampered", "DIUBAH ATAU RUSAK", "TAMPERED OR BROKEN"),
            ("unchecked", "TIDAK DAPAT DIPERIKSA", "COULD NOT CHECK"),
            ("coherent", "UTUH, TETAPI BELUM TERBUKTI: tanda tangan belum diperiksa", "COHERENT, BUT NOT PROVEN: signature not checked"),
        )[self.code if self.code or self.facts.get("signed") else 3]
        self.verdict = english if self.english else indonesian
        return self


def plain(text: str) -> str:
    """Return *text* fit for a terminal: nothing in it can move the cursor or change colours."""
    return text if text.isprintable() else ascii(text)


# ---- files, numbers, hashes ----

Source = str | Path | bytes  # a path, or what such a file would hold


def opened(source: Source) -> BinaryIO:
    """Return *source* as a file. Raises OSError when the system does not let us."""
    return io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")


def read_text(source: Source) -> str:
    """Return a small UTF-8 file. Raises OSError when the system does not let us."""
    with opened(source) as file:
        raw = file.read(MAX_FILE + 1)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if not text or len(raw) > MAX_FILE:
        name = "-" if isinstance(source, bytes) else plain(str(source))
        raise CannotCheck(f"berkas {name} kosong, lebih dari 1 MB, atau bukan UTF-8", f"file {name} is empty, over 1 MB, or not UTF-8")
    return text


def unbase64(text: str, indonesian: str, english: str, size: int = 0) -> bytes:
    """Return the bytes of canonical base64, *size* of them if given; the two words say where it stands."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raw = b""
    if not raw or base64.b64encode(raw).decode("ascii") != text or (size and len(raw) != size):
        raise Tampered(f"{indonesian} bukan base64 yang semestinya", f"{english} is not the base64 it should be")
    return raw


def number(text: str, indonesian: str, english: str) -> int:
    """Return an ASCII decimal without leading zeroes, below 2^63."""
    if not NUMBER.fullmatch(text) or int(text) >= 2**63:
        raise Tampered(f"{indonesian} bukan bilangan yang sah", f"{english} is not a valid number")
    return int(text)


def sha256(*parts: bytes) -> bytes:
    """Return the SHA-256 of *parts* together."""
    return hashlib.sha256(b"".join(parts)).digest()


# ---- notes and keys (C2SP signed-note, tlog-checkpoint, tlog-cosignature) ----


class Key(NamedTuple):
    """A public key under a name; *kind* is its C2SP signature type."""

    name: str
    key_id: bytes
    kind: int
    public: bytes


@dataclass
class Note:
    """A signed note: its text, its signatures as (name, key id, signature), and the tree head in it if it is a checkpoint."""

    text: str
    signatures: list[tuple[str, bytes, bytes]]
    origin: str = ""
    size: int = 0
    root: bytes = b""


def parse_key(text: str, kinds: tuple[int, ...]) -> Key | None:
    """Return the key of a verifier key of one of *kinds*: <name>+<8 hex>+<base64(kind ‖ public key)>; None when it is none."""
    parts = text.split("+", 2)
    try:
        key_id, raw = bytes.fromhex(parts[1]), base64.b64decode(parts[2].encode("ascii"), validate=True)
        right = (parts[1], parts[2]) == (key_id.hex(), base64.b64encode(raw).decode("ascii")) and KEY_NAME.fullmatch(parts[0]) is not None
        right = right and raw[0] in kinds and len(raw) == 1 + KEY_SIZE[raw[0]]
        right = right and key_id == sha256(parts[0].encode("utf-8"), b"\n", raw)[:4]
    except (IndexError, ValueError):
        right = False
    return Key(parts[0], key_id, raw[0], raw[1:]) if right else None


def parse_note(note: str) -> Note:
    """Return a signed note's text and signatures."""
    text, gap, tail = note.rpartition("\n\n")
    lines = tail[:-1].split("\n")
    if not gap or not tail.endswith("\n") or len(lines) > MAX_SIGNATURES or any(one < " " and one != "\n" for one in note):
        raise Tampered("bukan catatan bertanda tangan", "not a signed note")
    signatures = []
    for line in lines:
        dash, name, signature = (*line.split(" "), "", "", "")[:3]
        raw = unbase64(signature, "sebuah tanda tangan", "a signature")
        if line != f"{dash} {name} {signature}" or dash != "—" or not KEY_NAME.fullmatch(name) or len(raw) < 5:
            raise Tampered("ada baris tanda tangan yang rusak", "a signature line is broken")
        signatures.append((name, raw[:4], raw[4:]))
    return Note(text + "\n", signatures)


def parse_checkpoint(text: str) -> Note:
    """Return the checkpoint of a signed note."""
    note = parse_note(text)
    lines = note.text[:-1].split("\n")
    if len(lines) < 3 or "" in lines:
        raise Tampered("checkpoint: jumlah barisnya tidak semestinya", "checkpoint: has not the lines it should have")
    size = number(lines[1], "checkpoint: baris 2 (ukuran)", "checkpoint: line 2 (size)")
    root = unbase64(lines[2], "checkpoint: baris 3 (akar)", "checkpoint: line 3 (root)", 32)
    return Note(note.text, note.signatures, lines[0], size, root)


def read_checkpoint(source: Source) -> Note:
    """Return the checkpoint in a file of its own."""
    text = read_text(source)
    if "\n— " not in text:
        raise CannotCheck("berkas ini bukan checkpoint bertanda tangan", "this file is not a signed checkpoint")
    return parse_checkpoint(text)


def holds(key: Key, note: Note, signature: bytes) -> tuple[bool | None, int]:
    """Return whether *signature* of *key* over *note* is valid (None: this machine cannot tell), and the time it states (0: none)."""
    stated, message = 0, note.text.encode("utf-8")
    if key.kind != LOG:
        stated, signature = int.from_bytes(signature[:8], "big"), signature[8:]
    if key.kind == WITNESS:
        message = b"cosignature/v1\ntime %d\n%b" % (stated, message)
    elif key.kind == ML_DSA:
        if not note.root or max(len(key.name.encode()), len(note.origin.encode())) > 255:
            return False, 0
        name, origin = (bytes([len(one.encode())]) + one.encode() for one in (key.name, note.origin))
        time_, start, end = (one.to_bytes(8, "big") for one in (stated, 0, note.size))
        message = b"".join((b"subtree/v1\n\0", name, time_, origin, start, end, note.root))
    if stated >= 2**63 or (key.kind == ML_DSA and MLDSA44PublicKey is None):
        return (False if stated >= 2**63 else None), 0
    try:
        public = MLDSA44PublicKey.from_public_bytes(key.public) if key.kind == ML_DSA else Ed25519PublicKey.from_public_bytes(key.public)
        public.verify(signature, message)
    except InvalidSignature:
        return False, stated
    except UnsupportedAlgorithm:  # the library has it, what it was built on has not
        return None, stated
    return True, stated


# ---- whom to trust: the log's keys, the witnesses, the quorum (C2SP tlog-policy) ----


@dataclass
class Trust:
    """What the person who checks brings along; no quorum: no policy was given."""

    now: float  # POSIX seconds
    max_age: float | None = None  # of a cosignature, in seconds
    logs: list[Key] = field(default_factory=list)
    witnesses: dict[str, Key] = field(default_factory=dict)
    groups: list[tuple[str, int, list[str]]] = field(default_factory=list)  # (name, how many, of whom)
    quorum: str = ""


def read_trust(options: argparse.Namespace) -> Trust:
    """Return whom the command line trusts."""
    trust = Trust(time.time() if options.now is None else options.now)
    if options.policy is not None:
        parse_policy(trust, read_text(options.policy))
    if options.max_age is not None:
        if not trust.quorum or not 0 < options.max_age < 1e6:
            raise CannotCheck("--max-age: jam di atas 0, bersama --policy", "--max-age: hours above 0, with --policy")
        trust.max_age = options.max_age * 3600
    if options.key is None:
        return trust
    text = options.key if isinstance(options.key, str) and "+" in options.key else read_text(options.key)
    keys = [parse_key(line, (LOG, ML_DSA)) for line in text.split("\n") if line.strip()]
    if not keys or None in keys:
        raise CannotCheck("--key bukan kunci: <nama>+<8 heksa>+<base64>", "--key is not a key: <name>+<8 hex>+<base64>")
    known = [one for one in keys if one is not None]
    if trust.logs and not set(known) & set(trust.logs):
        raise CannotCheck("kunci di --key tidak ada di kebijakan", "the key in --key is not in the policy")
    trust.logs = known
    return trust


def parse_policy(trust: Trust, text: str) -> None:
    """Add what a policy file says to *trust*, or raise CannotCheck naming the line that is not in form."""
    lines, members = text.split("\n"), set[str]()
    if lines.pop() or len(lines) > 1000 or any(one == "\x7f" or (one < " " and one not in "\t\n") for one in text):
        raise CannotCheck(
            "kebijakan: terpotong, lebih dari 1000 baris, atau ada karakter kendali", "policy: cut, over 1000 lines, or a control character"
        )
    for at, line in enumerate(lines, start=1):
        words = [one for one in re.split("[ \t]+", line) if one]
        if words and not words[0].startswith("#") and not policy_line(trust, members, words):
            raise CannotCheck(f"kebijakan: baris {at} tidak sah", f"policy: line {at} is not valid")
    if not trust.quorum:
        raise CannotCheck("kebijakan: tidak ada baris quorum", "policy: no quorum line")


def policy_line(trust: Trust, members: set[str], words: list[str]) -> bool:
    """Add one line of a policy to *trust*; return whether it is valid. *members*: who belongs to a group already."""
    names = {"none", *trust.witnesses, *(one[0] for one in trust.groups)}
    match words:
        case ["log", vkey] | ["log", vkey, _] if key := parse_key(vkey, (LOG, ML_DSA)):
            trust.logs.append(key)
            return len({one.public for one in trust.logs}) == len(trust.logs)
        case ["witness", name, vkey] | ["witness", name, vkey, _] if (key := parse_key(vkey, (WITNESS, ML_DSA))) and name not in names:
            trust.witnesses[name] = key
            return len({one.public for one in trust.witnesses.values()}) == len(trust.witnesses)
        case ["group", name, count, *of] if name not in names:
            need = {"all": len(of), "any": 1}.get(count, int(count) if NUMBER.fullmatch(count) else 0)
            right = 1 <= need <= len(of) == len(set(of)) and set(of) <= names - members - {"none"}
            members.update(of)
            trust.groups.append((name, need, of))
            return right
        case ["quorum", name] if name in names and not trust.quorum:
            trust.quorum = name
            return True
    return False


def check_note(report: Report, note: Note, origin: str, trust: Trust, indonesian: str, english: str) -> None:
    """Check that a trusted key named *origin* signed *note*, which the two words name; without a key say that this was not checked."""
    report.facts |= {"log": origin, "signed": False}
    if not trust.logs:
        report.step("Tanda tangan TIDAK diperiksa: beri --key atau --policy.", "Signature NOT checked: give --key or --policy.", None)
        return
    mine = [(key, one[2]) for key in trust.logs for one in note.signatures if one[:2] == (origin, key.key_id) and key.name == origin]
    if not mine:
        names = plain(", ".join(sorted({key.name for key in trust.logs})))
        raise Tampered(f"{indonesian}: tidak ditandatangani kunci log {names}", f"{english}: not signed by the key of log {names}")
    for key, signature in mine:
        held, _ = holds(key, note, signature)
        if held is False:
            raise Tampered(
                f"{indonesian}: tanda tangan {plain(origin)} tidak sah", f"{english}: the signature of {plain(origin)} is not valid"
            )
        if held is None:
            report.step(f"{indonesian}: ML-DSA-44 TIDAK diperiksa.", f"{english}: ML-DSA-44 NOT checked.", None)
        else:
            way = "ML-DSA-44" if key.kind == ML_DSA else "Ed25519"
            report.step(
                f"{indonesian}: tanda tangan {plain(origin)} sah ({way}).", f"{english}: {plain(origin)}'s signature holds ({way})."
            )
            report.facts["signed"] = True


def check_trust(report: Report, checkpoint: Note, trust: Trust, demand: bool = True) -> None:
    """Check the log's signature and every cosignature of a known witness; unless *demand* is False, also that they suffice."""
    size, found = checkpoint.size, dict[str, str]()
    check_note(report, checkpoint, checkpoint.origin, trust, f"Checkpoint ({size})", f"Checkpoint ({size})")
    report.facts |= {"size": size, "root": checkpoint.root.hex()}
    if not trust.quorum:
        return
    for name, key in trust.witnesses.items():
        check_witness(report, checkpoint, trust, name, key, found)
    reached = {"none", *found}
    for name, need, of in trust.groups:
        if sum(one in reached for one in of) >= need:
            reached.add(name)
    if not demand:
        return
    enough = trust.quorum in reached and (bool(found) or trust.max_age is None)
    report.facts |= {"witnesses": found, "quorum": enough}
    told = f"{plain(trust.quorum)}, {len(found)}/{len(trust.witnesses)}"
    if not enough:
        raise CannotCheck(f"Kuorum belum tercapai ({told} saksi).", f"The quorum is not reached ({told} witnesses).")
    report.step(f"Kuorum tercapai ({told} saksi).", f"The quorum is reached ({told} witnesses).")


def check_witness(report: Report, checkpoint: Note, trust: Trust, name: str, key: Key, found: dict[str, str]) -> None:
    """Check the cosignatures of one witness; put its newest time into *found* when one counts."""
    told, newest = plain(name), -1
    signatures = [one[2] for one in checkpoint.signatures if one[:2] == (key.name, key.key_id)]
    for signature in signatures:
        held, stated = holds(key, checkpoint, signature)
        ahead = stated > trust.now + AHEAD
        when = f"{stated} s" if ahead else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stated))
        if held is False:
            raise Tampered(f"Saksi {told}: tanda tangannya tidak sah.", f"Witness {told}: its cosignature is not valid.")
        if held is None:
            report.step(f"Saksi {told}: ML-DSA-44 TIDAK diperiksa.", f"Witness {told}: ML-DSA-44 NOT checked.", None)
        elif ahead:
            report.step(f"Saksi {told}: waktunya di masa depan ({when}).", f"Witness {told}: its time is in the future ({when}).", None)
        elif trust.max_age is not None and trust.now - stated > trust.max_age:
            report.step(f"Saksi {told}: terlalu lama ({when}).", f"Witness {told}: too old ({when}).", None)
        else:
            report.step(f"Saksi {told}: menyaksikannya pada {when}.", f"Witness {told}: cosigned it at {when}.")
            if stated > newest:
                found[name], newest = when, stated
    if not signatures:
        report.step(f"Saksi {told}: tidak ada tanda tangannya.", f"Witness {told}: no cosignature.", None)


# ---- the tree (RFC 6962) ----


def root_from_path(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """Return the root that *path* gives for *leaf*, by the recursion of RFC 6962 section 2.1.1."""
    if (size == 1) is bool(path):
        raise Tampered("bukti inklusi: jumlah hashnya tidak semestinya", "inclusion proof: not the number of hashes it should have")
    if size == 1:
        return leaf
    left = 1 << ((size - 1).bit_length() - 1)  # the largest power of two below size
    if index < left:
        return sha256(b"\x01", root_from_path(index, left, leaf, path[:-1]), path[-1])
    return sha256(b"\x01", path[-1], root_from_path(index - left, size - left, leaf, path[:-1]))


def roots_from_proof(old: int, new: int, old_root: bytes, proof: list[bytes], whole: bool = True) -> tuple[bytes, bytes]:
    """Return (old root, new root) that *proof* gives, by the recursion of RFC 6962 section 2.1.2; takes hashes off its end."""
    if old == new and whole:
        return old_root, old_root
    if not proof:
        raise Tampered("bukti konsistensi: terlalu sedikit hash", "consistency proof: too few hashes")
    last = proof.pop()
    if old == new:
        return last, last
    left = 1 << ((new - 1).bit_length() - 1)  # the largest power of two below new
    if old <= left:
        before, after = roots_from_proof(old, left, old_root, proof, whole)
        return before, sha256(b"\x01", after, last)
    before, after = roots_from_proof(old - left, new - left, old_root, proof, False)
    return sha256(b"\x01", last, before), sha256(b"\x01", last, after)


def fold(parts: list[tuple[int, bytes]]) -> bytes:
    """Return the root over complete subtrees, largest first."""
    node = parts[-1][1] if parts else sha256()
    for _, left in reversed(parts[:-1]):
        node = sha256(b"\x01", left, node)
    return node


def roots_of(leaves: Iterator[bytes], sizes: frozenset[int] = frozenset()) -> tuple[bytes, dict[int, bytes]]:
    """Return the root over *leaves* (leaf hashes), and the root at each of *sizes* on the way; memory grows with log n."""
    parts: list[tuple[int, bytes]] = []  # complete subtrees as (number of leaves, hash), largest first
    roots = {0: sha256()}
    for size, leaf in enumerate(leaves, start=1):
        count, node = 1, leaf
        while parts and parts[-1][0] == count:
            node = sha256(b"\x01", parts.pop()[1], node)
            count *= 2
        parts.append((count, node))
        if size in sizes:
            roots[size] = fold(parts)
    return fold(parts), roots


# ---- entries ----


# Made once, not for each of a million entries. int() refuses 1.5 and NaN.
ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode
DECODE = json.JSONDecoder(parse_float=int, parse_constant=int).decode


def canonical(members: object) -> bytes:
    """Return RFC 8785 JSON, for what an entry may hold. Raises ValueError or RecursionError for what has no such form."""
    return ENCODE(members).encode("utf-8")


def parse_entry(raw: bytes, seq: int) -> dict[str, object]:
    """Return the members of entry *seq*, which must be canonical JSON (RFC 8785) with exactly an entry's members."""
    try:
        members = DECODE(raw.decode("utf-8"))
        again = canonical(members)
    except (ValueError, RecursionError):
        raise Tampered(f"entri {seq}: bukan JSON yang sah", f"entry {seq}: not valid JSON") from None
    if not isinstance(members, dict) or members.keys() != MEMBERS or again != raw:
        raise Tampered(
            f"entri {seq}: bukan bentuk kanonik (RFC 8785) sebuah entri", f"entry {seq}: not an entry in canonical form (RFC 8785)"
        )
    if members["v"] != 1 or type(members["seq"]) is not int or members["seq"] != seq:
        raise Tampered(f"entri {seq}: isinya menyebut nomor lain", f"entry {seq}: its bytes say another number")
    return members


def next_entry(bodies: Iterator[bytes], seq: int, log: str) -> tuple[bytes, str]:
    """Return the bytes and ``prev`` of the next of *bodies*, which must be entry *seq* of *log*."""
    body = next(bodies)
    members = parse_entry(body, seq)
    if members["log"] != log:
        raise Tampered(f"entri {seq}: milik log lain", f"entry {seq}: of another log")
    return body, str(members["prev"])


def leaves_of(bodies: Iterator[bytes], size: int, log: str) -> Iterator[bytes]:
    """Yield the leaf hash of each of *bodies*, entries 0…size - 1 of *log*, checking form, number and chain."""
    last = bytes(32)
    for seq in range(size):
        body, prev = next_entry(bodies, seq, log)
        if prev != last.hex():
            # If the next entry does not carry this one's hash either, this one was changed; else the one before.
            here = seq == 0 or (seq + 1 < size and next_entry(bodies, seq + 1, log)[1] != sha256(body).hex())
            which = f"{seq}" if here else f"{seq - 1}" if seq + 1 < size else f"{seq - 1}/{seq}"
            raise Tampered(f"entri {which} diubah: rantai prev putus", f"entry {which} was changed: the chain of prev is broken")
        last = sha256(body)
        yield sha256(b"\x00", body)


# ---- receipts, and a SIEM's records by them (C2SP tlog-proof) ----


@dataclass
class Proof:
    """A parsed tlog-proof: what its extra line holds (b"": it has none), the entry's number, the path, the checkpoint."""

    extra: bytes
    index: int
    path: list[bytes]
    checkpoint: Note


def parse_proof(text: str) -> Proof:
    """Return the parts of a tlog-proof."""
    head, gap, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    if first != PROOF_MAGIC:
        raise CannotCheck(f"baris 1 bukan {PROOF_MAGIC}: bukan tanda terima", f"line 1 is not {PROOF_MAGIC}: not a receipt")
    extra = unbase64(lines.pop(0)[6:], "baris extra", "the extra line") if lines and lines[0].startswith("extra ") else b""
    if not gap or not 1 <= len(lines) <= 1 + MAX_PROOF or not lines[0].startswith("index "):
        raise Tampered("tidak ada baris index, atau baris kosong", "no index line, or no empty line")
    index = number(lines[0][6:], "baris index", "the index line")
    path = [unbase64(line, f"hash {at}", f"hash {at}", 32) for at, line in enumerate(lines[1:], start=1)]
    return Proof(extra, index, path, parse_checkpoint(note))


def check_proof(report: Report, proof: Proof, log: object, leaf: bytes) -> None:
    """Check that *proof* leads from *leaf* to the root in a checkpoint of *log*."""
    checkpoint, index, path = proof.checkpoint, proof.index, proof.path
    if checkpoint.origin != log or index >= checkpoint.size:
        raise Tampered("checkpoint milik log lain, atau terlalu kecil", "the checkpoint is of another log, or too small")
    told = f"{plain(checkpoint.origin)}, {checkpoint.size}"
    report.step(f"Checkpoint milik log yang sama ({told} entri).", f"The checkpoint is of the same log ({told} entries).")
    report.step(f"Hash daun: {leaf.hex()}", f"Leaf hash: {leaf.hex()}")
    if root_from_path(index, checkpoint.size, leaf, path) != checkpoint.root:
        raise Tampered(
            f"entri {index}: bukti inklusi tidak sampai ke akar", f"entry {index}: the inclusion proof does not lead to the root"
        )
    report.step(f"Bukti inklusi ({len(path)} hash) sampai ke akar.", f"The inclusion proof ({len(path)} hashes) leads to the root.")


def check_receipt(report: Report, text: str, trust: Trust, entry: bytes = b"") -> dict[str, object]:
    """Check a receipt, of *entry* where it is given, else of the one in its extra line; return the entry's members."""
    proof = parse_proof(text)
    body, index = entry or proof.extra, proof.index
    if not body:
        raise CannotCheck("tanda terima ini tanpa entri: beri --entry", "this receipt is without its entry: give --entry")
    report.step(f"Berkas terbaca: tanda terima untuk entri {index}.", f"File read: a receipt for entry {index}.")
    members = parse_entry(body, index)
    report.step("Isi entri lengkap dan kanonik (RFC 8785).", "The entry is complete and canonical (RFC 8785).")
    check_proof(report, proof, members["log"], sha256(b"\x00", body))
    report.facts |= {"entry": members, "seq": index}
    check_trust(report, proof.checkpoint, trust)
    return members


def receipt(options: argparse.Namespace, report: Report) -> None:
    """Check a receipt."""
    trust = read_trust(options)
    entry = b"" if options.entry is None else read_text(options.entry).encode("utf-8")
    check_receipt(report, read_text(options.file), trust, entry)


def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return a JSON object in which no member stands twice: two readers could take different ones."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a member stands twice")
    return dict(pairs)


def record(options: argparse.Namespace, report: Report) -> None:
    """Check the records of an entry in a SIEM's JSON lines: every copy in them, the entry, its leaf, and its receipt."""
    trust, proof, leaf = read_trust(options), parse_proof(read_text(options.proof)), b""
    for at, line in enumerate(read_text(options.file).removesuffix("\n").split("\n"), start=1):
        try:
            members = json.loads(line, object_pairs_hook=once)
            log, seq, leaf_hex = members["log"], members["seq"], HEX64.fullmatch(members["leaf"])
            canonical(members)  # whatever is in it can be compared below
        except (ValueError, KeyError, TypeError, RecursionError):
            leaf_hex = None
        if leaf_hex is None:
            raise CannotCheck(f"baris {at} bukan catatan dengan log, seq, leaf", f"line {at} is not a record with log, seq, leaf")
        if (log, seq) == (proof.checkpoint.origin, proof.index) and type(seq) is int:
            check_record(report, members, proof)
            if leaf not in (b"", bytes.fromhex(leaf_hex[0])):
                raise Tampered(f"entri {seq}: dua catatan berbeda", f"entry {seq}: two records differ")
            leaf = bytes.fromhex(leaf_hex[0])
    if not leaf:
        raise CannotCheck(f"tidak ada catatan untuk entri {proof.index}", f"there is no record of entry {proof.index}")
    check_proof(report, proof, proof.checkpoint.origin, leaf)
    check_trust(report, proof.checkpoint, trust)


def check_record(report: Report, shown: dict[str, object], proof: Proof) -> None:
    """Check one record against the entry that it carries, or that the receipt carries, down to the leaf hash."""
    seq, given = proof.index, shown.get("entry", proof.extra)
    body = given if isinstance(given, bytes) else given.encode("utf-8") if isinstance(given, str) else canonical(given)
    report.step(f"Catatan untuk entri {seq} terbaca.", f"The record of entry {seq} is read.")
    if not body:
        report.step("Isinya TIDAK diperiksa: entrinya tidak ada.", "Its content is NOT checked: there is no entry.", None)
        return
    members, copies = parse_entry(body, seq), sorted(MEMBERS & shown.keys())
    report.facts |= {"entry": members, "seq": seq}
    if sha256(b"\x00", body).hex() != shown["leaf"]:
        raise Tampered(f"entri {seq}: bukan yang dihash menjadi leaf", f"entry {seq}: not what was hashed into the leaf")
    for name in copies:
        if canonical(shown[name]) != canonical(members[name]):
            raise Tampered(f"entri {seq}: catatan menyebut {name} yang lain", f"entry {seq}: the record says another {name}")
    told = ", ".join(copies)
    report.step(f"Catatan sama dengan entri: {told}.", f"The record says what the entry says: {told}.")
    if others := sorted(shown.keys() - MEMBERS - {"leaf", "entry"}):
        told = plain(", ".join(others))
        report.step(f"Di luar entri, jadi TIDAK dibuktikan: {told}.", f"Outside the entry, hence NOT proven: {told}.", None)


# ---- whole logs: the export, and static files (C2SP tlog-tiles) ----


def read_lines(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the entries of an export, one a line."""
    for seq in range(size):
        line = file.readline(MAX_LINE)
        if len(line) < 2 or not line.endswith(b"\n"):
            raise Tampered(f"entri {seq} (baris {seq + 2}): hilang atau terpotong", f"entry {seq} (line {seq + 2}): missing or cut")
        yield line[:-1]


def walk_export(file: BinaryIO, sizes: frozenset[int] = frozenset()) -> tuple[Note, dict[int, bytes]]:
    """Check chain and tree of an export; return its checkpoint, and the root at each of *sizes* that it reaches."""
    try:
        header = json.loads(file.readline(MAX_LINE).decode("utf-8"))
        log, size = header["log"], header["size"]
        right = header["format"] == EXPORT_FORMAT and type(size) is int and 0 <= size < 2**63 and isinstance(log, str)
    except (ValueError, KeyError, TypeError, RecursionError):
        right = False
    if not right:
        raise CannotCheck(f"baris 1 bukan kepala {EXPORT_FORMAT}", f"line 1 is not a header of {EXPORT_FORMAT}")
    root, roots = roots_of(leaves_of(read_lines(file, size), size, log), sizes)
    rest = file.read(MAX_FILE + 1)
    if rest[:1] != b"\n" or len(rest) > MAX_FILE:
        raise Tampered("setelah entri terakhir tidak ada baris kosong", "no empty line after the last entry")
    checkpoint = parse_checkpoint(rest[1:].decode("utf-8", "replace"))
    if (checkpoint.origin, checkpoint.size) != (log, size):
        raise Tampered("checkpoint menyebut log atau ukuran lain", "the checkpoint names another log or size")
    if checkpoint.root != root:
        raise Tampered(f"akar entri 0…{size - 1} bukan yang di checkpoint", f"the root over entries 0…{size - 1} is not the checkpoint's")
    return checkpoint, roots


def check_whole(report: Report, checkpoint: Note, trust: Trust) -> None:
    """Say what holds of a log whose every entry was read, and check who signed it."""
    report.step(f"Seluruh log terbaca: {checkpoint.size} entri.", f"The whole log is read: {checkpoint.size} entries.")
    report.step("Setiap entri kanonik, berurutan, dan bersambung.", "Every entry is canonical, in order, and linked.")
    report.step("Akar pohon semua entri adalah akar di checkpoint.", "The root over all entries is the checkpoint's root.")
    check_trust(report, checkpoint, trust)


def export(options: argparse.Namespace, report: Report) -> None:
    """Check a whole export."""
    trust = read_trust(options)
    with opened(options.file) as file:
        checkpoint, _ = walk_export(file)
    check_whole(report, checkpoint, trust)


def read_tile(folder: Path, kind: str, index: int, width: int, limit: int) -> tuple[str, bytes]:
    """Return the name of tile *index* of a level, or of ``entries``, and its bytes up to *limit*; b"" when there is no such file."""
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03d}")
    name = "/".join(("tile", kind, *groups)) + (f".p/{width}" if width < TILE else "")
    try:
        with (folder / name).open("rb") as file:
            return name, file.read(limit)
    except (FileNotFoundError, NotADirectoryError):
        return name, b""


def widths(size: int) -> Iterator[tuple[int, int]]:
    """Yield (index, width) of the bundles, or tiles of level 0, of a log of *size*."""
    return ((start // TILE, min(TILE, size - start)) for start in range(0, size, TILE))


def read_bundles(folder: Path, size: int) -> Iterator[bytes]:
    """Yield the entries of all bundles, each a length in two bytes and the entry (C2SP tlog-tiles, "Log entries")."""
    for index, width in widths(size):
        name, data = read_tile(folder, "entries", index, width, TILE * MAX_LINE)
        end, bodies = 0, list[bytes]()
        for _ in range(width):
            start = end + 2
            end = start + int.from_bytes(data[end:start], "big")
            bodies.append(data[start:end])
        if end != len(data):
            raise Tampered(f"{name}: hilang, terpotong, atau kepanjangan", f"{name}: missing, cut, or too long")
        yield from bodies


def read_leaves(folder: Path, size: int) -> Iterator[bytes]:
    """Yield the leaf hashes in the tiles of level 0; a full tile of a later size does for a narrower one."""
    for index, width in widths(size):
        data = read_tile(folder, "0", index, width, TILE * 32)[1] or read_tile(folder, "0", index, TILE, TILE * 32)[1]
        if len(data) < width * 32:
            raise CannotCheck(f"ubin {index} tingkat 0 hilang atau terpotong", f"tile {index} of level 0 is missing or cut")
        yield from (data[at : at + 32] for at in range(0, width * 32, 32))


def through_tiles(folder: Path, leaves: Iterator[bytes]) -> Iterator[bytes]:
    """Pass *leaves* on, and check each tile of every level against its file as soon as its last hash is known."""
    levels: list[tuple[int, list[bytes]]] = []  # of each level the present tile: its index, its hashes

    def compare(level: int) -> bytes:
        index, hashes = levels[level]
        name, data = read_tile(folder, str(level), index, len(hashes), TILE * 32 + 1)
        if data != b"".join(hashes):
            raise Tampered(f"{name}: hilang, atau bukan dari entri-entrinya", f"{name}: missing, or not what the entries give")
        return roots_of(iter(hashes))[0]

    for leaf in leaves:
        level, node = 0, leaf
        while True:
            if level == len(levels):
                levels.append((0, []))
            index, hashes = levels[level]
            hashes.append(node)
            if len(hashes) < TILE:
                break
            node, levels[level], level = compare(level), (index + 1, []), level + 1
        yield leaf
    for level, (_, hashes) in enumerate(levels):
        if hashes:
            compare(level)


def tiles(options: argparse.Namespace, report: Report) -> None:
    """Check a whole log as static files."""
    trust, folder = read_trust(options), Path(options.dir)
    checkpoint = read_checkpoint(folder / "checkpoint")
    size, log = checkpoint.size, checkpoint.origin
    root, _ = roots_of(through_tiles(folder, leaves_of(read_bundles(folder, size), size, log)))
    if root != checkpoint.root:
        raise Tampered(f"akar entri 0…{size - 1} bukan yang di checkpoint", f"the root over entries 0…{size - 1} is not the checkpoint's")
    report.step("Setiap ubin sama dengan yang dihitung ulang.", "Every tile is what was computed again.")
    check_whole(report, checkpoint, trust)


# ---- checkpoints ----


def checkpoint_alone(options: argparse.Namespace, report: Report) -> None:
    """Check one signed checkpoint."""
    trust, checkpoint = read_trust(options), read_checkpoint(options.file)
    report.step(f"Checkpoint terbaca ({checkpoint.size}).", f"Checkpoint read ({checkpoint.size}).")
    check_trust(report, checkpoint, trust)
    if options.stamp is not None:
        # Stamped is the note as the log published it: with the log's own signatures, before any witness signed.
        own = [(name, base64.b64encode(key_id + one).decode("ascii")) for name, key_id, one in checkpoint.signatures]
        lines = "".join(f"— {name} {one}\n" for name, one in own if name == checkpoint.origin)
        report.facts["imprint"] = imprint = sha256(f"{checkpoint.text}\n{lines}".encode()).hex()
        told = plain(f"openssl ts -verify -digest {imprint} -in {shlex.quote(options.stamp)} -CAfile ROOTS.pem")
        report.step(f"Stempel waktu TIDAK diperiksa di sini: {told}", f"Time stamp NOT checked here: {told}", None)


def consistency(options: argparse.Namespace, report: Report) -> None:
    """Check that the newer of two checkpoints extends the older."""
    trust, old, new = read_trust(options), read_checkpoint(options.old), read_checkpoint(options.new)
    if old.origin != new.origin or old.size > new.size:
        raise CannotCheck("dua log berbeda, atau urutannya terbalik", "two different logs, or in the wrong order")
    check_trust(report, old, trust, demand=False)
    signed = report.facts["signed"]
    check_trust(report, new, trust)
    report.facts["signed"] = signed and report.facts["signed"]
    sizes, roots = frozenset((old.size, new.size)), dict[int, bytes]()
    if options.tiles is not None:
        _, roots = roots_of(read_leaves(Path(options.tiles), new.size), sizes)
    elif options.export is not None:
        with opened(options.export) as file:
            _, roots = walk_export(file, sizes)
        if new.size not in roots:
            raise CannotCheck("ekspor lebih pendek daripada checkpoint kedua", "the export is shorter than the second checkpoint")
    elif options.proof is not None and 0 < old.size < new.size:
        lines = read_text(options.proof).removesuffix("\n").split("\n")
        proof = [unbase64(line, f"bukti: baris {at}", f"proof: line {at}", 32) for at, line in enumerate(lines[: MAX_PROOF + 1], start=1)]
        roots[old.size], roots[new.size] = roots_from_proof(old.size, new.size, old.root, proof)
        if proof:
            raise Tampered("bukti konsistensi: terlalu banyak hash", "consistency proof: too many hashes")
    elif old.size in (0, new.size):
        roots = {new.size: new.root, old.size: new.root if old.size else sha256()}  # from nothing, and to itself, is nothing to prove
    else:
        raise CannotCheck("beri --proof, --export, atau --tiles", "give --proof, --export, or --tiles")
    if (roots[old.size], roots[new.size]) != (old.root, new.root):
        raise Tampered("log terbelah: keduanya tidak saling melanjutkan", "split log: the two do not continue each other")
    report.step("Yang baru melanjutkan yang lama tanpa mengubahnya.", "The newer extends the older without changing it.")


# ---- releases ----


class Manifest(NamedTuple):
    """A parsed release manifest; *files*: name → (SHA-256 in hex, size); *digest*: what the release's entry binds, in hex."""

    note: Note
    origin: str
    seq: int
    files: dict[str, tuple[str, int]]
    digest: str


def parse_manifest(text: str) -> Manifest:
    """Return the parts of a release manifest."""
    if not text.startswith(RELEASE_MAGIC + "\n"):
        raise CannotCheck(f"baris 1 bukan {RELEASE_MAGIC}: bukan manifes", f"line 1 is not {RELEASE_MAGIC}: not a manifest")
    note = parse_note(text)
    lines, files, last = note.text[:-1].split("\n"), dict[str, tuple[str, int]](), ""
    if len(lines) < 5 or not re.fullmatch(r"[!-~]{1,64}", lines[2], re.ASCII):
        raise Tampered("manifes: kepala atau daftar berkasnya rusak", "manifest: its head or its list of files is broken")
    for at, line in enumerate(lines[4:], start=5):
        digest, size, name = (*line.split(" ", 2), "", "")[:3]
        if not HEX64.fullmatch(digest) or not is_file_name(name) or name <= last:
            raise Tampered(f"manifes: baris {at} tidak sah", f"manifest: line {at} is not valid")
        last, files[name] = name, (digest, number(size, f"manifes: baris {at} (ukuran)", f"manifest: line {at} (size)"))
    # The fourth line is the entry's own number: it is not known yet when the entry is made.
    bound = "".join(line + "\n" for line in (*lines[:3], *lines[4:]))
    return Manifest(note, lines[1], number(lines[3], "manifes: baris 4", "manifest: line 4"), files, sha256(bound.encode()).hex())


def is_file_name(name: str) -> bool:
    """Return whether *name* is a plain file name everywhere: no folder, drive or stream, nothing that does not print."""
    plain_name = name.isprintable() and name.strip() == name and not set(name) & set("/\\:") and len(name.encode()) <= 255
    return plain_name and name not in ("", ".", "..", RELEASE_NOTE, RELEASE_RECEIPT)


def check_files(folder: Path, files: dict[str, tuple[str, int]], beside: set[str]) -> None:
    """Check that *folder* holds *files* as they were, and nothing else but what may stand *beside* them."""
    there = {one.name for one in folder.iterdir()} - beside
    for name in sorted(there ^ files.keys()):
        if name in there:
            raise Tampered(f"berkas berlebih: {plain(name)}", f"extra file: {plain(name)}")
        raise Tampered(f"berkas hilang: {plain(name)}", f"missing file: {plain(name)}")
    for name, (digest, size) in files.items():
        state = (folder / name).lstat()
        same = stat.S_ISREG(state.st_mode) and state.st_size == size
        if same:
            with (folder / name).open("rb") as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == digest
        if not same:
            raise Tampered(f"berkas berbeda dari manifes: {plain(name)}", f"file differs from the manifest: {plain(name)}")


def release(options: argparse.Namespace, report: Report) -> None:
    """Check a sealed package: manifest, files, and the entry that announced it."""
    trust, path = read_trust(options), Path(options.path)
    path = path / RELEASE_NOTE if path.is_dir() else path
    manifest = parse_manifest(read_text(path))
    count, seq = len(manifest.files), manifest.seq
    report.step(f"Manifes terbaca: {count} berkas.", f"Manifest read: {count} files.")
    check_note(report, manifest.note, manifest.origin, trust, "Manifes", "Manifest")
    check_files(path.parent, manifest.files, {path.name, RELEASE_RECEIPT})
    report.step("Setiap berkas utuh; tidak ada yang hilang atau berlebih.", "Every file is whole; none is missing, none is extra.")
    beside = path.parent / RELEASE_RECEIPT
    proof = options.receipt or (beside if beside.exists() else None)
    if proof is None:
        report.step("Entri rilis TIDAK diperiksa: beri --receipt.", "The release's entry is NOT checked: give --receipt.", None)
        return
    members = check_receipt(report, read_text(proof), trust)
    announced = {"sha256": manifest.digest, "type": "release"}
    if (members["log"], members["seq"], members["detail"]) != (manifest.origin, seq, announced):
        raise Tampered("tanda terima ini bukan untuk entri rilis ini", "this receipt is not for the entry of this release")
    report.step(f"Entri {seq} mengumumkan rilis ini.", f"Entry {seq} announced this release.")


# ---- the ways in ----


def check_text(
    kind: str,
    text: str,
    *,
    key: str | None = None,
    policy: str | None = None,
    english: bool = False,
    now: float | None = None,
    hours: float | None = None,
) -> Report:
    """Check *text*, as a person pasted it, and return the report; whatever is wrong stands in it, bad input raises nothing.

    kind: ``receipt``, ``checkpoint``, ``export``, or ``auto``. text: at most 1 MB; white space around it does not count, nor CR LF for
    line feeds, which web forms make of them. key: the log's verifier keys, one a line. policy: a policy file's text. now: POSIX seconds,
    None for the machine's clock. hours: the greatest age of a cosignature that counts.
    """
    report = Report(english)

    def check() -> None:
        bare = text.replace("\r\n", "\n").strip(" \t\r\n") + "\n" if len(text) <= 2 * MAX_FILE else ""
        begins = "receipt" if bare.startswith(PROOF_MAGIC) else "export" if bare.startswith("{") else "checkpoint" if "\n— " in bare else ""
        name = begins if kind == "auto" else kind
        report.facts["kind"] = name
        file, keys, rules = (None if one is None else one.encode("utf-8", "replace") for one in (bare, key, policy))
        if name not in ("receipt", "export", "checkpoint") or not file or len(file) > MAX_FILE:
            raise CannotCheck("bukan tanda terima, checkpoint, atau ekspor ≤ 1 MB", "not a receipt, checkpoint, or export ≤ 1 MB")
        options = argparse.Namespace(file=file, key=keys, policy=rules, max_age=hours, now=now, entry=None, stamp=None)
        COMMANDS[name][0](options, report)

    return report.run(check)


# What runs, its help, its places, its options.
COMMANDS: dict[str, tuple[Callable[[argparse.Namespace, Report], None], str, str, str]] = {
    "receipt": (receipt, "tanda terima / a receipt", "file", "entry"),
    "record": (record, "catatan SIEM / a SIEM's record", "file", "proof"),
    "export": (export, "ekspor seluruh log / an export of the whole log", "file", ""),
    "tiles": (tiles, "seluruh log sebagai berkas statis / the whole log as static files", "dir", ""),
    "checkpoint": (checkpoint_alone, "checkpoint bertanda tangan / a signed checkpoint", "file", "stamp"),
    "consistency": (consistency, "yang baru melanjutkan yang lama / the newer extends the older", "old new", "proof export tiles"),
    "release": (release, "paket tersegel / a sealed package", "path", "receipt"),
}


def arguments() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--key", help="kunci pemeriksa log, atau berkasnya / the log's verifier key, or a file with it")
    common.add_argument("--policy", metavar="FILE", help="kebijakan: log, saksi, kuorum / policy: logs, witnesses, quorum")
    common.add_argument("--max-age", metavar="HOURS", type=float, help="umur terbesar tanda tangan saksi / greatest age of a cosignature")
    common.add_argument("--lang", choices=("id", "en"), default="id", help="bahasa / language")
    common.add_argument("--json", action="store_true", help="satu objek JSON / one JSON object")
    parser = argparse.ArgumentParser(prog="verify.py", description="Pemeriksa luring Gardu / Gardu's offline verifier")
    parser.add_argument("--version", action="store_true", help="SHA-256 berkas ini / SHA-256 of this file")
    commands = parser.add_subparsers(dest="command")
    for name, (_, told, places, files) in COMMANDS.items():
        one = commands.add_parser(name, parents=[common], help=told)
        for place in places.split():
            one.add_argument(place, metavar=place.upper())
        for option in files.split():
            one.add_argument(f"--{option}", metavar="DIR" if option == "tiles" else "FILE", required=name == "record")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; return 0 good, 1 tampered, 2 could not check."""
    parser = arguments()
    options = parser.parse_args(argv, argparse.Namespace(now=None))
    if options.version and Path(__file__).is_file():  # it is none when Python reads it from a pipe
        sys.stdout.write(f"verify.py SHA-256 {sha256(Path(__file__).read_bytes()).hex()}\n")
        return 0
    if options.command is None:
        parser.error("COMMAND")
    report = Report(options.lang == "en")
    report.run(lambda: COMMANDS[options.command][0](options, report))
    lines = [as_json(report)] if options.json else list(as_text(report))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a console that lacks a mark shows ? instead
    sys.stdout.write("".join(line + "\n" for line in lines))
    return report.code


def as_json(report: Report) -> str:
    """Return the outcome for a program."""
    steps = [{"n": at, "ok": held, "text": text} for at, (held, text) in enumerate(report.steps, start=1)]
    return json.dumps({"exit": report.code, "result": report.result, "steps": steps, **report.facts}, sort_keys=True)


def as_text(report: Report) -> Iterator[str]:
    """Yield the outcome for a person, line by line."""
    for at, (held, text) in enumerate(report.steps, start=1):
        yield f"{at:>3}. { {True: '✓', False: '✗', None: '?'}[held] } {text}"
    if isinstance(members := report.facts.get("entry"), dict) and report.code != 1:
        for name in (*FIRST, *sorted(MEMBERS.difference(FIRST))):
            if (value := members[name]) is not None:
                yield f"       {name:<10} {plain(value) if isinstance(value, str) else json.dumps(value, sort_keys=True)}"
    yield report.verdict


if __name__ == "__main__":
    sys.exit(main())
