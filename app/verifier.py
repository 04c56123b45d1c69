"""Gardu's offline verifier: one file, Python 3.11 and the `cryptography` package, nothing of Gardu itself.

    python verify.py receipt    FILE [--key KEY]                 a receipt (C2SP tlog-proof with the entry in its extra line)
    python verify.py export     FILE [--key KEY]                 a whole log, as `gardu audit export` writes it
    python verify.py checkpoint FILE  --key KEY                  a signed checkpoint (C2SP tlog-checkpoint)
    python verify.py consistency OLD NEW --key KEY (--proof FILE | --export FILE)     the newer log extends the older

KEY is the log's verifier key, or a file that holds it; get it from somebody you trust, not from whoever gave you FILE.
Exit code: 0 good, 1 tampered (FILE is of the right kind but does not hold), 2 could not check (no such file, other kind). Without a
key all but the signature is checked, and the last line says so.
It was written apart from the checks inside Gardu, and shares no code with them: a second opinion.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import io
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    sys.stderr.write("verify.py memerlukan paket Python `cryptography` / needs the Python package `cryptography`\n")
    raise SystemExit(2) from None

PROOF_MAGIC = "c2sp.org/tlog-proof@v1"
EXPORT_FORMAT = "gardu-export@1"
MAX_FILE = 1_000_000  # receipts, proofs and checkpoints are a few kilobytes; C2SP signed-note lets us stop here
MAX_LINE = 65_536  # an entry has at most 32 KiB
MAX_SIGNATURES, MAX_PROOF = 100, 64  # what C2SP's first implementation takes; what a tree below 2^63 leaves can need
NUMBER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
FIRST = ("at", "actor", "office", "role", "action", "outcome")
OTHERS = """assurance basis detail election fields log mandate payload policy prev purpose request rule scope seq session sop stage
            subjects v visit"""
MEMBERS = frozenset(FIRST).union(OTHERS.split())


class Tampered(Exception):
    """The file is of the right kind, and does not hold. Takes the reason in both languages."""


class CannotCheck(Exception):
    """Nothing can be said: no file, no key, another kind of file. Takes the reason in both languages."""


@dataclass
class Report:
    """The steps gone through, in one language, and the facts shown besides."""

    english: bool
    steps: list[tuple[bool | None, str]] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)

    def step(self, indonesian: str, english: str, held: bool | None = True) -> None:
        """Record a numbered step; *held* None: skipped."""
        self.steps.append((held, english if self.english else indonesian))


def read_text(path: str) -> str:
    """Return a small UTF-8 file. Raises OSError when the system does not let us."""
    with Path(path).open("rb") as file:
        raw = file.read(MAX_FILE + 1)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if not text or len(raw) > MAX_FILE:
        raise CannotCheck(f"berkas {path} kosong, lebih dari 1 MB, atau bukan UTF-8", f"file {path} is empty, over 1 MB, or not UTF-8")
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


def plain(text: str) -> str:
    """Return *text* fit for a terminal: nothing in it can move the cursor or change colours."""
    return text if text.isprintable() else ascii(text)


Key = tuple[str, bytes, Ed25519PublicKey]  # name, key id, public key


def read_key(given: str | None) -> Key | None:
    """Return the key in *given*, or in the file of that name; None when none is given."""
    if given is None:
        return None
    parts = (given if "+" in given else read_text(given).strip()).split("+", 2)
    try:
        key_id, raw = bytes.fromhex(parts[1]), base64.b64decode(parts[2].encode("ascii"), validate=True)
        right = len(raw) == 33 and raw[0] == 1 and sha256(parts[0].encode(), b"\n", raw)[:4] == key_id
    except (IndexError, ValueError):
        right = False
    if not right:
        raise CannotCheck("--key bukan kunci: <nama>+<8 heksa>+<base64>", "--key is not a key: <name>+<8 hex>+<base64>")
    return parts[0], key_id, Ed25519PublicKey.from_public_bytes(raw[1:])


@dataclass
class Checkpoint:
    """A parsed note (C2SP signed-note, tlog-checkpoint): its text, its signatures (name, key id, signature), and the tree head in it."""

    text: str
    signatures: list[tuple[str, bytes, bytes]]
    origin: str
    size: int
    root: bytes


def parse_checkpoint(note: str) -> Checkpoint:
    """Return the checkpoint of a signed note."""
    text, gap, tail = note.rpartition("\n\n")
    if not gap or not tail.endswith("\n") or any(one < " " and one != "\n" for one in note):
        raise Tampered("checkpoint: bukan catatan bertanda tangan", "checkpoint: not a signed note")
    lines, head = tail[:-1].split("\n"), text.split("\n")
    if len(lines) > MAX_SIGNATURES or len(head) < 3 or "" in head:
        raise Tampered("checkpoint: jumlah barisnya tidak semestinya", "checkpoint: has not the lines it should have")
    size = number(head[1], "checkpoint: baris 2 (ukuran)", "checkpoint: line 2 (size)")
    root = unbase64(head[2], "checkpoint: baris 3 (akar)", "checkpoint: line 3 (root)", 32)
    return Checkpoint(text + "\n", [signature_line(one) for one in lines], head[0], size, root)


def read_checkpoint(path: str) -> Checkpoint:
    """Return the checkpoint in a file of its own."""
    note = read_text(path)
    if "\n— " not in note:
        raise CannotCheck(f"berkas {path} bukan checkpoint bertanda tangan", f"file {path} is not a signed checkpoint")
    return parse_checkpoint(note)


def signature_line(line: str) -> tuple[str, bytes, bytes]:
    """Return (name, key id, signature) of one line."""
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—" or not parts[1]:
        raise Tampered("checkpoint: ada baris tanda tangan yang rusak", "checkpoint: a signature line is broken")
    raw = unbase64(parts[2], "checkpoint: sebuah tanda tangan", "checkpoint: a signature")
    return parts[1], raw[:4], raw[4:]


def check_signature(report: Report, checkpoint: Checkpoint, key: Key | None) -> None:
    """Check that *key* signed; without a key say that this was not checked."""
    report.facts |= {"log": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex(), "signed": key is not None}
    if key is None:
        report.step("Tanda tangan TIDAK diperiksa: beri --key.", "Signature NOT checked: give --key.", None)
        return
    name, key_id, public = key
    mine = [one[2] for one in checkpoint.signatures if one[:2] == (name, key_id)]
    if not mine or name != checkpoint.origin:
        raise Tampered(f"tidak ditandatangani kunci log {plain(name)}", f"not signed by the key of log {plain(name)}")
    try:
        for signature in mine:
            public.verify(signature, checkpoint.text.encode("utf-8"))
    except InvalidSignature:
        raise Tampered(f"tanda tangan {plain(name)} tidak sah", f"the signature of {plain(name)} is not valid") from None
    report.step(f"Tanda tangan {plain(name)} atas checkpoint sah.", f"The signature of {plain(name)} on the checkpoint is valid.")


def split_point(size: int) -> int:
    """Return the largest power of two below *size* (≥ 2)."""
    return 1 << ((size - 1).bit_length() - 1)


def root_from_path(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """Return the root that *path* gives for *leaf*, by the recursion of RFC 6962 section 2.1.1."""
    if (size == 1) is bool(path):
        raise Tampered("bukti inklusi: jumlah hashnya tidak semestinya", "inclusion proof: not the number of hashes it should have")
    if size == 1:
        return leaf
    left = split_point(size)
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
    left = split_point(new)
    if old <= left:
        before, after = roots_from_proof(old, left, old_root, proof, whole)
        return before, sha256(b"\x01", after, last)
    before, after = roots_from_proof(old - left, new - left, old_root, proof, False)
    return sha256(b"\x01", last, before), sha256(b"\x01", last, after)


class Tree:
    """A growing tree: complete subtrees as (number of leaves, hash), largest first."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, bytes]] = []

    def add(self, leaf: bytes) -> None:
        """Add a leaf hash."""
        count, node = 1, leaf
        while self.parts and self.parts[-1][0] == count:
            node = sha256(b"\x01", self.parts.pop()[1], node)
            count *= 2
        self.parts.append((count, node))

    def root(self) -> bytes:
        """Return the root so far."""
        node = self.parts[-1][1] if self.parts else sha256()
        for _, left in reversed(self.parts[:-1]):
            node = sha256(b"\x01", left, node)
        return node


def parse_entry(raw: bytes, seq: int) -> dict[str, object]:
    """Return the members of entry *seq*, which must be canonical JSON (RFC 8785) with exactly an entry's members."""
    try:
        members = json.loads(raw.decode("utf-8"), parse_float=int, parse_constant=int)  # int() refuses 1.5 and NaN
        again = json.dumps(members, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode("utf-8")
    except (ValueError, RecursionError):
        raise Tampered(f"entri {seq}: bukan JSON yang sah", f"entry {seq}: not valid JSON") from None
    if not isinstance(members, dict) or members.keys() != MEMBERS or again != raw:
        raise Tampered(
            f"entri {seq}: bukan bentuk kanonik (RFC 8785) sebuah entri", f"entry {seq}: not an entry in canonical form (RFC 8785)"
        )
    if members["v"] != 1 or type(members["seq"]) is not int or members["seq"] != seq:
        raise Tampered(f"entri {seq}: isinya menyebut nomor lain", f"entry {seq}: its bytes say another number")
    return members


def show(members: dict[str, object]) -> Iterator[str]:
    """Yield the members that are in use, one line each."""
    for name in (*FIRST, *sorted(MEMBERS.difference(FIRST))):
        value = members[name]
        if value is not None:
            yield f"       {name:<10} {plain(value) if isinstance(value, str) else json.dumps(value, sort_keys=True)}"


def read_entry(file: BinaryIO, seq: int, log: str) -> tuple[bytes, str]:
    """Return the bytes and ``prev`` of an export's next line, which must be entry *seq* of *log*."""
    line = file.readline(MAX_LINE)
    if len(line) < 2 or not line.endswith(b"\n"):
        raise Tampered(f"entri {seq} (baris {seq + 2}): hilang atau terpotong", f"entry {seq} (line {seq + 2}): missing or cut")
    members = parse_entry(line[:-1], seq)
    if members["log"] != log:
        raise Tampered(f"entri {seq}: milik log lain", f"entry {seq}: of another log")
    return line[:-1], str(members["prev"])


def walk_export(file: BinaryIO, sizes: frozenset[int] = frozenset()) -> tuple[Checkpoint, dict[int, bytes]]:
    """Check chain and tree of an export; return its checkpoint, and the root at each of *sizes* that it reaches."""
    try:
        header = json.loads(file.readline(MAX_LINE).decode("utf-8"))
        log, size = header["log"], header["size"]
        right = header["format"] == EXPORT_FORMAT and type(size) is int and 0 <= size < 2**63 and isinstance(log, str)
    except (ValueError, KeyError, TypeError, RecursionError):
        right = False
    if not right:
        raise CannotCheck(f"baris 1 bukan kepala {EXPORT_FORMAT}", f"line 1 is not a header of {EXPORT_FORMAT}")
    tree, last, roots = Tree(), bytes(32), {0: sha256()}
    for seq in range(size):
        body, prev = read_entry(file, seq, log)
        if prev != last.hex():
            # If the next entry does not carry this one's hash either, this one was changed; else the one before.
            here = seq == 0 or (seq + 1 < size and read_entry(file, seq + 1, log)[1] != sha256(body).hex())
            which = f"{seq}" if here else f"{seq - 1}" if seq + 1 < size else f"{seq - 1}/{seq}"
            raise Tampered(f"entri {which} diubah: rantai prev putus", f"entry {which} was changed: the chain of prev is broken")
        last = sha256(body)
        tree.add(sha256(b"\x00", body))
        if seq + 1 in sizes:
            roots[seq + 1] = tree.root()
    rest = file.read(MAX_FILE)
    if rest[:1] != b"\n":
        raise Tampered("setelah entri terakhir tidak ada baris kosong", "no empty line after the last entry")
    checkpoint = parse_checkpoint(rest[1:].decode("utf-8", "replace"))
    if (checkpoint.origin, checkpoint.size) != (log, size):
        raise Tampered("checkpoint menyebut log atau ukuran lain", "the checkpoint names another log or size")
    if checkpoint.root != tree.root():
        raise Tampered(f"akar entri 0…{size - 1} bukan yang di checkpoint", f"the root over entries 0…{size - 1} is not the checkpoint's")
    return checkpoint, roots


def receipt(options: argparse.Namespace, report: Report) -> None:
    """Check a receipt."""
    key = read_key(options.key)
    head, gap, note = read_text(options.file).partition("\n\n")
    lines = head.split("\n")
    if lines[0] != PROOF_MAGIC:
        raise CannotCheck(f"baris 1 bukan {PROOF_MAGIC}: bukan tanda terima", f"line 1 is not {PROOF_MAGIC}: not a receipt")
    if not gap or not 3 <= len(lines) <= 3 + MAX_PROOF or not lines[1].startswith("extra ") or not lines[2].startswith("index "):
        raise Tampered("tidak ada baris extra, index, atau baris kosong", "no extra line, index line, or empty line")
    body = unbase64(lines[1][6:], "baris 2 (extra)", "line 2 (extra)")
    index = number(lines[2][6:], "baris 3 (index)", "line 3 (index)")
    path = [unbase64(line, f"baris {at}", f"line {at}", 32) for at, line in enumerate(lines[3:], start=4)]
    report.step(f"Berkas terbaca: tanda terima untuk entri {index}.", f"File read: a receipt for entry {index}.")
    members = parse_entry(body, index)
    report.step("Isi entri lengkap dan kanonik (RFC 8785).", "The entry is complete and canonical (RFC 8785).")
    checkpoint = parse_checkpoint(note)
    if checkpoint.origin != members["log"] or index >= checkpoint.size:
        raise Tampered("checkpoint milik log lain, atau terlalu kecil", "the checkpoint is of another log, or too small")
    told = f"{plain(checkpoint.origin)}, {checkpoint.size}"
    report.step(f"Checkpoint milik log yang sama ({told} entri).", f"The checkpoint is of the same log ({told} entries).")
    leaf = sha256(b"\x00", body)
    report.step(f"Hash daun: {leaf.hex()}", f"Leaf hash: {leaf.hex()}")
    if root_from_path(index, checkpoint.size, leaf, path) != checkpoint.root:
        raise Tampered(
            f"entri {index}: bukti inklusi tidak sampai ke akar", f"entry {index}: the inclusion proof does not lead to the root"
        )
    report.step(f"Bukti inklusi ({len(path)} hash) sampai ke akar.", f"The inclusion proof ({len(path)} hashes) leads to the root.")
    report.facts |= {"entry": members, "seq": index}
    check_signature(report, checkpoint, key)


def export(options: argparse.Namespace, report: Report) -> None:
    """Check a whole export."""
    key = read_key(options.key)
    with Path(options.file).open("rb") as file:
        checkpoint, _ = walk_export(file)
    report.step(f"Berkas terbaca: ekspor {checkpoint.size} entri.", f"File read: an export of {checkpoint.size} entries.")
    report.step("Setiap entri kanonik, berurutan, dan bersambung.", "Every entry is canonical, in order, and linked.")
    report.step("Akar pohon semua entri adalah akar di checkpoint.", "The root over all entries is the checkpoint's root.")
    check_signature(report, checkpoint, key)


def checkpoint_alone(options: argparse.Namespace, report: Report) -> None:
    """Check one signed checkpoint."""
    checkpoint = read_checkpoint(options.file)
    report.step(f"Checkpoint terbaca ({checkpoint.size}).", f"Checkpoint read ({checkpoint.size}).")
    check_signature(report, checkpoint, read_key(options.key))


def consistency(options: argparse.Namespace, report: Report) -> None:
    """Check that the newer of two checkpoints extends the older."""
    key = read_key(options.key)
    old, new = read_checkpoint(options.old), read_checkpoint(options.new)
    if old.origin != new.origin or old.size > new.size:
        raise CannotCheck("dua log berbeda, atau urutannya terbalik", "two different logs, or in the wrong order")
    for one in (old, new):
        check_signature(report, one, key)
    if options.export is not None:
        with Path(options.export).open("rb") as file:
            _, roots = walk_export(file, frozenset((old.size, new.size)))
        if new.size not in roots:
            raise CannotCheck("ekspor lebih pendek daripada checkpoint kedua", "the export is shorter than the second checkpoint")
        got = roots[old.size], roots[new.size]
    elif options.proof is not None and 0 < old.size < new.size:
        lines = read_text(options.proof).removesuffix("\n").split("\n")
        proof = [unbase64(line, f"bukti: baris {at}", f"proof: line {at}", 32) for at, line in enumerate(lines[: MAX_PROOF + 1], start=1)]
        got = roots_from_proof(old.size, new.size, old.root, proof)
        if proof:
            raise Tampered("bukti konsistensi: terlalu banyak hash", "consistency proof: too many hashes")
    elif old.size in (0, new.size):
        got = (new.root if old.size else sha256()), new.root  # from nothing, and to itself, there is nothing to prove
    else:
        raise CannotCheck("beri --proof atau --export", "give --proof or --export")
    if got != (old.root, new.root):
        raise Tampered("log terbelah: keduanya tidak saling melanjutkan", "split log: the two do not continue each other")
    report.step("Yang baru melanjutkan yang lama tanpa mengubahnya.", "The newer extends the older without changing it.")


def arguments() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--key", help="kunci pemeriksa log, atau berkasnya / the log's verifier key, or a file with it")
    common.add_argument("--lang", choices=("id", "en"), default="id", help="bahasa / language")
    common.add_argument("--json", action="store_true", help="satu objek JSON / one JSON object")
    parser = argparse.ArgumentParser(prog="verify.py", description="Pemeriksa luring Gardu / Gardu's offline verifier")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run in (("receipt", receipt), ("export", export), ("checkpoint", checkpoint_alone), ("consistency", consistency)):
        one = commands.add_parser(name, parents=[common], help=run.__doc__)
        one.set_defaults(run=run)
        for argument in ("old", "new") if run is consistency else ("file",):
            one.add_argument(argument, metavar=argument.upper())
    one.add_argument("--proof", metavar="FILE", help="satu hash base64 sebaris / one base64 hash a line")
    one.add_argument("--export", metavar="FILE")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; return 0 good, 1 tampered, 2 could not check."""
    options = arguments().parse_args(argv)
    report, code = Report(options.lang == "en"), 0
    try:
        options.run(options, report)
    except (Tampered, CannotCheck) as wrong:
        code = 1 if isinstance(wrong, Tampered) else 2
        indonesian, english = wrong.args
        report.step(indonesian, english, False)
    except OSError as wrong:
        code = 2
        report.step(f"berkas tidak dapat dibaca: {wrong}", f"a file cannot be read: {wrong}", False)
    lines = [as_json(report, code)] if options.json else list(as_text(report, code))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a console that lacks a mark shows ? instead
    sys.stdout.write("".join(line + "\n" for line in lines))
    return code


def as_json(report: Report, code: int) -> str:
    """Return the outcome for a program."""
    steps = [{"n": at, "ok": held, "text": text} for at, (held, text) in enumerate(report.steps, start=1)]
    return json.dumps({"exit": code, "result": ("good", "tampered", "unchecked")[code], "steps": steps, **report.facts}, sort_keys=True)


def as_text(report: Report, code: int) -> Iterator[str]:
    """Yield the outcome for a person, line by line."""
    for at, (held, text) in enumerate(report.steps, start=1):
        yield f"{at:>3}. { {True: '✓', False: '✗', None: '?'}[held] } {text}"
    if isinstance(entry := report.facts.get("entry"), dict):
        yield from show(entry)
    words = (
        ("GOOD", "TAMPERED OR BROKEN", "COULD NOT CHECK", "COHERENT, BUT NOT PROVEN: no key was given")
        if report.english
        else ("BAIK", "DIUBAH ATAU RUSAK", "TIDAK DAPAT DIPERIKSA", "UTUH, TETAPI BELUM TERBUKTI: kunci tidak diberikan")
    )
    # Anybody can make a coherent file of their own: without the key it is no proof, and must not look like one.
    yield words[3 if code == 0 and not all(held for held, _ in report.steps) else code]


if __name__ == "__main__":
    sys.exit(main())
