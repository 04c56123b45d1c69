"""The decision about one ``add-checkpoint`` request (C2SP tlog-witness). Pure.

``receive`` answers what needs no memory: 400 malformed, 404 unknown log, 403 not signed by the log, 400 old size too large. ``decide``
answers the rest from what was cosigned last: 409 another size or another root, 422 no proof, else 200 with the cosignature. The caller
makes ``Decision.keep`` durable before it gives ``Decision.answer`` away.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.audit.cosign import Cosigner, CosignVerifier, LogKey, open_cosignatures
from app.audit.note import MAX_SIGNATURES, Checkpoint, parse_checkpoint, split_note, unbase64
from app.audit.tree import EMPTY_ROOT, HASH_SIZE, verify_consistency
from app.kernel.errors import BadInput, SealBroken

# A request with 63 hashes and sixteen ML-DSA-44 signatures has 56 KB.
MAX_BODY = 64 * 1024
# tlog-witness: "The client MUST NOT send more than 63 consistency proof lines."
MAX_PROOF_LINES = 63
PLAIN = "text/plain; charset=utf-8"
SIZE = "text/x.tlog.size"
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
# The form of a signature line; whether its base64 is any key's signature is another question (403).
_SIGNATURE = re.compile(r"— [^ +]+ [A-Za-z0-9+/=]+")


class Doubt(StrEnum):
    """What two checkpoints signed by one log may say together."""

    FORK = "fork"  # one size, two roots: only the holder of the log's key can have made both
    UNPROVEN = "unproven"  # a larger tree came without a proof that holds; whoever sent it need not be the log


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back over HTTP."""

    status: int
    body: str
    content_type: str = PLAIN


@dataclass(frozen=True, slots=True)
class Asked:
    """A well-formed request for a known log, signed by it. note: text, the lines of known keys, nothing else."""

    old: int
    proof: tuple[bytes, ...]
    checkpoint: Checkpoint
    note: str


@dataclass(frozen=True, slots=True)
class Held:
    """The newest checkpoint of a log that this witness cosigned: the whole note, what stands in it, and when (UTC) it was cosigned."""

    note: str
    checkpoint: Checkpoint
    at: datetime

    @classmethod
    def read(cls, note: str, verifier: CosignVerifier) -> Held:
        """Return what *note* says. Raises BadInput when it is out of form, SealBroken when this witness did not cosign it."""
        moments = open_cosignatures(note, [verifier])
        if not moments:
            raise SealBroken("the checkpoint held does not carry this witness's cosignature")
        return cls(note, parse_checkpoint(split_note(note)[0]), moments[verifier.vkey])


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer; the note to hold from now on, or None when nothing changes; a doubt to keep as evidence, or None."""

    answer: Answer
    keep: str | None = None
    doubt: Doubt | None = None


def receive(body: bytes, logs: Mapping[str, Sequence[LogKey]]) -> Asked | Answer:
    """Read a request. *logs*: origin → the keys it may sign with. Returns the refusal when it can be given without any memory."""
    try:
        old, proof, note = _parse(body)
        checkpoint = parse_checkpoint(_text_of(note))
    except BadInput as wrong:
        return Answer(400, f"bad request: {wrong.detail}\n")
    keys = logs.get(checkpoint.origin)
    if keys is None:
        return Answer(404, "unknown log\n")
    try:
        lines = signed_lines(note, keys)
    except (BadInput, SealBroken) as wrong:
        return Answer(403, f"invalid signature: {wrong.detail}\n")
    if old > checkpoint.size:
        return Answer(400, "bad request: the old size is larger than the checkpoint's\n")
    return Asked(old, proof, checkpoint, f"{checkpoint.text()}\n{lines}")


def signed_lines(note: str, keys: Sequence[LogKey]) -> str:
    """Return the signature lines of *note* that are by *keys*, each checked; others are left out.

    Raises BadInput when a line is out of form, SealBroken when a known key's signature is wrong or none is there.
    """
    text, signatures = split_note(note)
    by_id = {(key.name, key.key_id): key for key in keys}
    kept: dict[tuple[str, bytes], str] = {}
    for line, (name, key_id, signature) in zip(note.rpartition("\n\n")[2].splitlines(keepends=True), signatures, strict=True):
        if (key := by_id.get((name, key_id))) is not None:
            key.check(text, signature)
            kept.setdefault((name, key_id), line)
    if not kept:
        raise SealBroken("note: not signed by a known key")
    return "".join(kept.values())


def decide(asked: Asked, held: Held | None, now: datetime, cosigner: Cosigner) -> Decision:
    """Decide about a request that ``receive`` let through. *held*: what was cosigned last for this origin, None for nothing yet."""
    new = asked.checkpoint
    size, root = (held.checkpoint.size, held.checkpoint.root) if held else (0, EMPTY_ROOT)
    forked = new.size == size and new.root != root
    # Without a checkpoint of our own there are no two to compare: a wrong root of the empty tree is refused, not kept.
    doubt = Doubt.FORK if forked and held else None
    if asked.old != size:
        return Decision(Answer(409, f"{size}\n", SIZE), doubt=doubt)
    if forked:
        return Decision(Answer(409, "conflict: the same size with another root\n"), doubt=doubt)
    if not _extends(asked, root):
        return Decision(
            Answer(422, "the consistency proof does not hold\n"), doubt=Doubt.UNPROVEN if held and new.size > size > 0 else None
        )
    moment = int(now.timestamp())
    line = cosigner.sign(new.text(), moment)
    # The same text in the same second gives the same line: whoever sends it again costs no writing.
    unchanged = held is not None and held.checkpoint == new and int(held.at.timestamp()) == moment
    return Decision(Answer(200, line), keep=None if unchanged else asked.note + line)


def _extends(asked: Asked, root: bytes) -> bool:
    """Whether the proof leads from the held tree, with *root*, to the new one. From the empty tree there is nothing to prove."""
    if asked.old == 0:
        return not asked.proof
    try:
        verify_consistency(asked.old, asked.checkpoint.size, root, asked.checkpoint.root, asked.proof)
    except BadInput:
        return False
    return True


def _parse(body: bytes) -> tuple[int, tuple[bytes, ...], str]:
    """Return (old size, proof, note). Raises BadInput saying which line is wrong."""
    if len(body) > MAX_BODY:
        raise BadInput("longer than 64 KiB")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput("not UTF-8") from None
    if _CONTROL.search(text):
        raise BadInput("holds a control character")
    head, gap, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    old = _OLD.fullmatch(first)
    if not old or not gap:
        raise BadInput("line 1 is not «old <size>», or no empty line follows the proof")
    if len(lines) > MAX_PROOF_LINES:
        raise BadInput("more than 63 proof lines")
    return int(old[1]), tuple(_hash(line, number) for number, line in enumerate(lines, start=2)), note


def _hash(line: str, number: int) -> bytes:
    try:
        raw = unbase64(line)
    except BadInput as wrong:
        raise BadInput(f"line {number} is {wrong.detail}") from None
    if len(raw) != HASH_SIZE:
        raise BadInput(f"line {number} is not a hash of 32 bytes")
    return raw


def _text_of(note: str) -> str:
    head, gap, tail = note.rpartition("\n\n")
    if not gap or not tail.endswith("\n"):
        raise BadInput("the checkpoint has no empty line before its signatures, or does not end in a newline")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES or not all(_SIGNATURE.fullmatch(line) for line in lines):
        raise BadInput("a signature line is not «— name base64», or there are more than 100")
    return head + "\n"
