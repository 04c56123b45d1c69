"""Makers of every file that the one-file verifier reads, without a database; written from docs/log-format.md, not from the exporters."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from app import verifier
from app.audit.canonical import canonical
from app.audit.cosign import Cosigner, Kind
from app.audit.note import Checkpoint, Signer
from app.audit.tree import consistency_proof, inclusion_proof, leaf_hash, root_of

Check = Callable[..., tuple[int, str]]
ORIGIN = "uji.localhost/gardu/1"
SIGNER = Signer(ORIGIN, hashlib.sha256(b"a signing key for tests").digest())
# 2026-11-24T03:00:00Z, the noon of these tests in Jakarta's east.
NOW = 1_795_489_200


def witness(name: str, kind: Kind = Kind.ED25519) -> Cosigner:
    """Return a witness with a key of its own."""
    return Cosigner(f"{name}.example/w", hashlib.sha256(name.encode()).digest(), kind)


BAWASLU, KAMPUS = witness("bawaslu"), witness("kampus")


def policy_of(quorum: str, *lines: str, log: str = SIGNER.vkey) -> str:
    """Return a policy with our log, two witnesses, further lines, and a quorum."""
    known = (f"log {log}", f"witness bawaslu {BAWASLU.vkey}", f"witness kampus {KAMPUS.vkey}")
    return "".join(f"{line}\n" for line in (*known, *lines, f"quorum {quorum}"))


def entries(count: int, log: str = ORIGIN, detail: dict[int, dict[str, str]] | None = None) -> list[bytes]:
    """Return *count* chained entries; *detail* by number."""
    made: list[bytes] = []
    prev = "0" * 64
    for seq in range(count):
        members: dict[str, Any] = dict.fromkeys(verifier.MEMBERS)
        members |= {"v": 1, "log": log, "seq": seq, "prev": prev, "at": "2026-11-24T03:00:00.000000Z", "actor": f"host:{seq % 7}"}
        members |= {"action": "session:login", "outcome": "allowed", "detail": (detail or {}).get(seq)}
        made.append(canonical(members))
        prev = hashlib.sha256(made[-1]).hexdigest()
    return made


def note_of(bodies: Sequence[bytes], *cosigners: Cosigner, at: int = NOW, origin: str = ORIGIN, signer: Signer = SIGNER) -> str:
    """Return the signed checkpoint over *bodies*, cosigned at *at*."""
    text = Checkpoint(origin, len(bodies), root_of(map(leaf_hash, bodies))).text()
    return signer.sign(text) + "".join(one.sign(text, at) for one in cosigners)


def proof_of(bodies: Sequence[bytes], seq: int, note: str, extra: bytes | None = None) -> str:
    """Return the tlog-proof of entry *seq*; *extra* b"" leaves the line out."""
    leaves = [leaf_hash(body) for body in bodies]
    path = inclusion_proof(seq, len(leaves), lambda start, end: root_of(leaves[start:end]))
    held = bodies[seq] if extra is None else extra
    first = f"extra {base64.b64encode(held).decode()}\n" if held else ""
    return f"c2sp.org/tlog-proof@v1\n{first}index {seq}\n" + "".join(base64.b64encode(one).decode() + "\n" for one in path) + f"\n{note}"


def consistency_of(bodies: Sequence[bytes], old: int) -> str:
    """Return the proof that the tree of *bodies* extends that of the first *old*."""
    leaves = [leaf_hash(body) for body in bodies]
    proof = consistency_proof(old, len(leaves), lambda start, end: root_of(leaves[start:end]))
    return "".join(base64.b64encode(one).decode() + "\n" for one in proof)


def export_of(bodies: Sequence[bytes], note: str) -> bytes:
    """Return the export of *bodies*."""
    header = canonical({"format": "gardu-export@1", "log": ORIGIN, "size": len(bodies)})
    return header + b"\n" + b"".join(body + b"\n" for body in bodies) + b"\n" + note.encode()


def put_tiles(folder: Path, bodies: Sequence[bytes], note: str) -> None:
    """Write *bodies* as a tlog-tiles tree."""
    level, hashes = 0, [leaf_hash(body) for body in bodies]
    while hashes:
        for start in range(0, len(hashes), 256):
            part = hashes[start : start + 256]
            put_tile(folder, str(level), start // 256, len(part), b"".join(part))
        hashes = [root_of(hashes[start : start + 256]) for start in range(0, len(hashes) - 255, 256)]
        level += 1
    for start in range(0, len(bodies), 256):
        some = bodies[start : start + 256]
        put_tile(folder, "entries", start // 256, len(some), b"".join(len(body).to_bytes(2, "big") + body for body in some))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "checkpoint").write_text(note, "utf-8")


def put_tile(folder: Path, kind: str, index: int, width: int, data: bytes) -> None:
    """Write one tile, or bundle, under the standard's name for it."""
    digits = f"{index:0{max(3, (len(str(index)) + 2) // 3 * 3)}d}"
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    name = "/".join(f"x{group}" for group in groups[:-1]) + "/" * (len(groups) > 1) + groups[-1]
    file = folder / "tile" / kind / (name if width == 256 else f"{name}.p/{width}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def manifest_text(files: dict[str, bytes], seq: int, release: str = "paket-2029-1") -> str:
    """Return the text of a release manifest."""
    lines = [f"{hashlib.sha256(data).hexdigest()} {len(data)} {name}" for name, data in sorted(files.items())]
    return "".join(f"{line}\n" for line in ("gardu-release@1", ORIGIN, release, str(seq), *lines))


def put_release(folder: Path, files: dict[str, bytes], *, receipt: bool = True) -> None:
    """Write a sealed package: its files, its manifest, and the receipt of the entry that announced it, number 3 of 5."""
    text = manifest_text(files, 3)
    lines = text.splitlines(keepends=True)
    announced = {"type": "release", "sha256": hashlib.sha256("".join(lines[:3] + lines[4:]).encode()).hexdigest()}
    bodies = entries(5, detail={3: announced})
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "gardu-release.note").write_text(SIGNER.sign(text), "utf-8")
    if receipt:
        (folder / "gardu-release.tlog-proof").write_text(proof_of(bodies, 3, note_of(bodies, BAWASLU)), "utf-8")
