"""A second hand: checks everything Gardu publishes, written from the specifications alone.

Nothing here comes from ``app`` or from a library: RFC 6962 and 9162 (tree, proofs), RFC 8032 (Ed25519), RFC 8785 (canonical JSON), C2SP
signed-note, tlog-checkpoint, tlog-proof, tlog-tiles, tlog-cosignature, tlog-policy, tlog-witness, and docs/log-format.md. Where it and the
product disagree, one of them has misread a specification. It is written to be read beside them, not to be quick.

    python tests/vectors/independent.py KIND FILE... [--key VKEY]... [--policy FILE]

KIND is note, checkpoint, receipt, export, tiles (a directory), request (a witness's add-checkpoint body, then the older checkpoint),
policy, json or entry. Exit code 0: holds; 1: does not, with the reason; 2: was called wrongly. Entries and signatures count only against
a key that comes from elsewhere. ML-DSA-44 is not checked: lines and keys of that kind are passed over, and never count.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path


class Refused(Exception):
    """What was checked does not hold; the message says what and where."""


def need(holds: object, words: str) -> None:
    """Refuse with *words* unless *holds*."""
    if not holds:
        raise Refused(words)


def digest(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def unbase64(text: str, length: int | None = None) -> bytes:
    """RFC 4648 section 4, in its one canonical spelling."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("not base64") from None
    need(base64.b64encode(raw).decode() == text, "base64 in another spelling")
    need(length is None or len(raw) == length, f"{len(raw)} bytes, not {length}")
    return raw


def decimal(text: str) -> int:
    """ASCII decimal without leading zeros, below 2**63."""
    need(re.fullmatch(r"0|[1-9][0-9]{0,18}", text, re.ASCII), f"not a decimal number: {text[:30]!r}")
    need(int(text) < 1 << 63, "number too large")
    return int(text)


# ---- RFC 8032 section 5.1.7: Ed25519 ----

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int, int, int]  # X, Y, Z, T with x = X/Z, y = Y/Z, x·y = T/Z


def _recover(y: int, sign: int) -> int:
    """Return x of the point with this y (5.1.3): x² = (y² − 1) / (d·y² + 1)."""
    need(y < P, "Ed25519: coordinate out of range")
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    need((x * x - square) % P == 0, "Ed25519: no point of the curve")
    need(x or not sign, "Ed25519: zero with a sign")
    return P - x if x % 2 != sign else x


def _decode(raw: bytes) -> Point:
    number = int.from_bytes(raw, "little")
    y = number & ((1 << 255) - 1)
    x = _recover(y, number >> 255)
    return x, y, 1, x * y % P


def _add(one: Point, other: Point) -> Point:
    """Add two points, equal or not (5.1.4; the formulas are complete)."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(factor: int, point: Point) -> Point:
    total: Point = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            total = _add(total, point)
        point, factor = _add(point, point), factor >> 1
    return total


BASE = _decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))  # y = 4/5, x even


def ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether *signature* (64 bytes) is *public*'s (32 bytes) over *message*: S·B = R + k·A."""
    if len(public) != 32 or len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    try:
        a, r = _decode(public), _decode(signature[:32])
    except Refused:
        return False
    if s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    left, right = _times(s, BASE), _add(r, _times(k, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


# ---- RFC 6962 section 2.1, RFC 9162 section 2.1: tree and proofs ----


def leaf_hash(entry: bytes) -> bytes:
    return digest(b"\0", entry)


def node(left: bytes, right: bytes) -> bytes:
    return digest(b"\1", left, right)


class Tree:
    """The root of a list of hashes, one after the other: a stack of perfect subtrees, each larger than the next."""

    def __init__(self) -> None:
        self.size, self.stack = 0, list[bytes]()

    def add(self, leaf: bytes) -> None:
        self.stack.append(leaf)
        self.size += 1
        for _ in range((self.size & -self.size).bit_length() - 1):
            right = self.stack.pop()
            self.stack[-1] = node(self.stack[-1], right)

    def root(self) -> bytes:
        if not self.stack:
            return digest()
        whole = self.stack[-1]
        for left in reversed(self.stack[:-1]):
            whole = node(left, whole)
        return whole


def root_of(leaves: Iterable[bytes]) -> bytes:
    tree = Tree()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root()


def check_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """RFC 9162 section 2.1.3.2."""
    need(0 <= index < size, "inclusion: index outside the tree")
    need(all(len(one) == 32 for one in (leaf, root, *path)), "inclusion: a hash is not 32 bytes")
    first, last, r = index, size - 1, leaf
    for p in path:
        need(last, "inclusion: proof too long")
        if first & 1 or first == last:
            r = node(p, r)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            r = node(r, p)
        first, last = first >> 1, last >> 1
    need(last == 0, "inclusion: proof too short")
    need(r == root, "inclusion: another root")


def check_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    """RFC 9162 section 2.1.4.2; it proves nothing from an empty tree."""
    need(0 < old <= new, "consistency: sizes")
    if old == new:
        need(not path and old_root == new_root, "consistency: one size, but two roots or a proof")
        return
    need(all(len(one) == 32 for one in (old_root, new_root, *path)), "consistency: a hash is not 32 bytes")
    need(path, "consistency: no proof")
    rest = [old_root, *path] if old & (old - 1) == 0 else list(path)
    first, last = old - 1, new - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    fr = sr = rest[0]
    for c in rest[1:]:
        need(last, "consistency: proof too long")
        if first & 1 or first == last:
            fr, sr = node(c, fr), node(c, sr)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            sr = node(sr, c)
        first, last = first >> 1, last >> 1
    need(last == 0, "consistency: proof too short")
    need(fr == old_root, "consistency: another old root")
    need(sr == new_root, "consistency: another new root")


# ---- C2SP signed-note, tlog-cosignature, tlog-checkpoint ----

LOG, COSIGNER, ML_DSA = 1, 4, 6
LENGTHS = {LOG: 32, COSIGNER: 32, ML_DSA: 1312}


@dataclass(frozen=True)
class Key:
    """A verifier key. kind: signature type (1 a note's, 4 a cosigner's, 6 not checked here)."""

    name: str
    id: bytes
    kind: int
    public: bytes

    @classmethod
    def parse(cls, vkey: str) -> Key:
        name, plus, rest = vkey.partition("+")
        hexed, second, material = rest.partition("+")
        need(plus and second and _is_name(name), "vkey: not <name>+<id>+<key>")
        need(re.fullmatch("[0-9a-f]{8}", hexed), "vkey: id is not 8 hex digits")
        raw = unbase64(material)
        need(raw and raw[0] in LENGTHS and len(raw) == 1 + LENGTHS[raw[0]], "vkey: unknown kind or length of key")
        need(digest(name.encode(), b"\n", raw)[:4].hex() == hexed, "vkey: id is another key's")
        return cls(name, bytes.fromhex(hexed), raw[0], raw[1:])

    def verifies(self, text: bytes, signature: bytes) -> bool:
        if self.kind == LOG:
            return ed25519(self.public, text, signature)
        if self.kind != COSIGNER or len(signature) != 72 or signature[0] & 0x80:
            return False
        head = f"cosignature/v1\ntime {int.from_bytes(signature[:8], 'big')}\n".encode()
        return ed25519(self.public, head + text, signature[8:])


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(one.isspace() for one in name)


@dataclass(frozen=True)
class Note:
    """A note in form. lines: (name, key id, signature) as they stand."""

    text: str
    lines: tuple[tuple[str, bytes, bytes], ...]

    @classmethod
    def parse(cls, raw: bytes) -> Note:
        need(len(raw) <= 1_000_000, "note: too long")
        try:
            whole = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise Refused("note: not UTF-8") from None
        need(not re.search(r"[\x00-\x09\x0b-\x1f]", whole), "note: a control character")
        at = whole.rfind("\n\n")
        need(at >= 0 and whole.endswith("\n"), "note: no empty line, or no newline at the end")
        signed = whole[at + 2 :].split("\n")[:-1]
        need(1 <= len(signed) <= 100, "note: no signature, or over 100")
        return cls(whole[: at + 1], tuple(cls._line(line) for line in signed))

    @staticmethod
    def _line(line: str) -> tuple[str, bytes, bytes]:
        parts = line.split(" ")
        need(len(parts) == 3 and parts[0] == "—" and _is_name(parts[1]), "note: a signature line out of form")
        raw = unbase64(parts[2])
        need(len(raw) > 4, "note: a signature without bytes")
        return parts[1], raw[:4], raw[4:]

    def signers(self, keys: Iterable[Key]) -> set[Key]:
        """Return those of *keys* that signed; a wrong signature of a known key refuses the note. A key's first line counts, as in Go's reader."""
        known, found = [one for one in keys if one.kind != ML_DSA], dict[tuple[str, bytes], Key]()
        for name, identity, signature in self.lines:
            mine = [one for one in known if (one.name, one.id) == (name, identity)]
            if not mine or (name, identity) in found:
                continue
            need(len(mine) == 1, f"note: two keys named {name} with one id")
            need(mine[0].verifies(self.text.encode(), signature), f"note: wrong signature of {name}")
            found[name, identity] = mine[0]
        return set(found.values())


@dataclass(frozen=True)
class Checkpoint:
    """Origin, size and root that a note names."""

    origin: str
    size: int
    root: bytes
    note: Note

    @classmethod
    def parse(cls, raw: bytes) -> Checkpoint:
        note = Note.parse(raw)
        return cls(*checkpoint_text(note.text), note)

    def signed_by_log(self, keys: Iterable[Key]) -> Checkpoint:
        need(any(key.kind == LOG and key.name == self.origin for key in self.note.signers(keys)), "checkpoint: not signed by its log's key")
        return self


def checkpoint_text(text: str) -> tuple[str, int, bytes]:
    """tlog-checkpoint: at least three lines, none empty."""
    need(text.endswith("\n"), "checkpoint: no newline at the end")
    lines = text.split("\n")[:-1]
    need(len(lines) >= 3 and all(lines), "checkpoint: fewer than three lines, or an empty one")
    return lines[0], decimal(lines[1]), unbase64(lines[2], 32)


# ---- C2SP tlog-policy ----


@dataclass
class Policy:
    """Which logs count, and who must have cosigned."""

    logs: list[Key]
    witnesses: dict[bytes, Key]
    groups: dict[bytes, tuple[int, list[bytes]]]
    quorum: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Policy:
        need(not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", raw), "policy: a control character")
        need(not raw or raw.endswith(b"\n"), "policy: the last line does not end")
        made, quorums, members = cls([], {}, {}, b""), list[bytes](), set[bytes]()
        for line in raw.split(b"\n"):
            words = [word for word in re.split(rb"[ \t]+", line) if word]
            if not words or words[0].startswith(b"#"):
                continue
            match words:
                case [b"log", vkey, *url] if len(url) <= 1:
                    made.logs.append(_policy_key(vkey, LOG))
                case [b"witness", name, vkey, *url] if len(url) <= 1:
                    made._fresh(name)
                    made.witnesses[name] = _policy_key(vkey, COSIGNER)
                case [b"group", name, k, first, *others]:
                    made._group(name, k, [first, *others], members)
                case [b"quorum", name]:
                    need(name == b"none" or made._knows(name), "policy: the quorum is not defined before")
                    quorums.append(name)
                case _:
                    raise Refused(f"policy: a line out of form: {words[0]!r}")
        need(len(quorums) == 1, "policy: not exactly one quorum")
        for keys in (made.logs, list(made.witnesses.values())):
            need(len({key.public for key in keys}) == len(keys), "policy: one key twice")
        made.quorum = quorums[0]
        return made

    def _knows(self, name: bytes) -> bool:
        return name in self.witnesses or name in self.groups

    def _fresh(self, name: bytes) -> None:
        need(name != b"none" and not self._knows(name), "policy: a name taken already")

    def _group(self, name: bytes, k: bytes, listed: list[bytes], members: set[bytes]) -> None:
        self._fresh(name)
        for one in listed:
            need(self._knows(one) and one not in members, "policy: a member unknown, or in a group already")
            members.add(one)
        word = {b"all": len(listed), b"any": 1}.get(k)
        need(word or re.fullmatch(rb"[1-9][0-9]{0,8}", k), "policy: threshold is not a number")
        threshold = word or int(k)
        need(threshold <= len(listed), "policy: threshold above the number of members")
        self.groups[name] = threshold, listed

    def check(self, checkpoint: Checkpoint, keys: Iterable[Key] = ()) -> int:
        """Refuse unless a listed log (or one of *keys*, where none is listed) signed and the quorum cosigned; return how many did."""
        checkpoint.signed_by_log(self.logs or keys)
        cosigned = checkpoint.note.signers(self.witnesses.values())
        if self.quorum != b"none":
            need(self._holds(self.quorum, cosigned), "policy: the quorum has not cosigned")
        return len(cosigned)

    def _holds(self, name: bytes, cosigned: set[Key]) -> bool:
        if name in self.witnesses:
            return self.witnesses[name] in cosigned
        threshold, listed = self.groups[name]
        return sum(self._holds(one, cosigned) for one in listed) >= threshold


def _policy_key(vkey: bytes, kind: int) -> Key:
    try:
        key = Key.parse(vkey.decode("utf-8"))
    except UnicodeDecodeError:
        raise Refused("policy: a key that is not UTF-8") from None
    need(key.kind in {kind, ML_DSA}, "policy: a key of the wrong kind")
    return key


# ---- RFC 8785: canonical JSON ----


def canonical(value: object) -> str:
    """Write *value* as RFC 8785 section 3.2 does: members by UTF-16 code units, numbers as ECMAScript prints them."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: _utf16(name))
        return "{" + ",".join(f"{_string(name)}:{canonical(value[name])}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    assert isinstance(value, int | float)
    return _number(float(value))


def _utf16(text: str) -> bytes:
    try:
        return text.encode("utf-16-be")
    except UnicodeEncodeError:
        raise Refused("json: half of a surrogate pair") from None


_SHORT = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def _string(text: str) -> str:
    _utf16(text)
    return '"' + "".join(_SHORT.get(one) or (f"\\u{ord(one):04x}" if one < " " else one) for one in text) + '"'


def _number(value: float) -> str:
    """ECMA-262 Number::toString: the shortest digits that come back, and where its exponent begins."""
    need(value - value == 0, "json: a number without end")
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    text, count = "".join(map(str, digits)), len(digits)
    point = exponent + count
    if 0 < point <= 21:
        text = text.ljust(point, "0") if count <= point else f"{text[:point]}.{text[point:]}"
    elif -6 < point <= 0:
        text = "0." + "0" * -point + text
    else:
        text = text[0] + ("." + text[1:] if count > 1 else "") + f"e{point - 1:+d}"
    return "-" * sign + text


def parse_json(raw: bytes) -> object:
    """I-JSON (RFC 7493): UTF-8, no member twice."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        need(len({name for name, _ in pairs}) == len(pairs), "json: a member twice")
        return dict(pairs)

    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=once, parse_constant=lambda word: need(False, f"json: {word}"))
    except (ValueError, RecursionError):
        raise Refused("json: not JSON") from None


def check_canonical(raw: bytes) -> object:
    value = parse_json(raw)
    need(canonical(value).encode() == raw, "json: not in canonical form")
    return value


# ---- docs/log-format.md: entries ----

DIGEST, WORD = r"[0-9a-f]{64}", r"[a-z0-9_]+"


def _token(most: int) -> str:
    return rf"[!#-\[\]-~]{{1,{most}}}"


MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
ORIGIN = r"(?=.{1,255}$)[!#-*,-\[\]-~]+/gardu/[1-9][0-9]*"
ALWAYS = {
    "log": ORIGIN, "prev": DIGEST, "at": MOMENT, "actor": _token(64), "action": f"{WORD}:{WORD}", "outcome": WORD,
}  # fmt: skip
OPTIONAL = {
    "office": _token(32), "role": WORD, "session": _token(64), "election": _token(16), "stage": WORD, "purpose": WORD, "sop": _token(64),
    "basis": WORD, "mandate": _token(64), "policy": DIGEST, "scope": r"\d\d(\.\d\d(\.\d\d(\.\d{4})?)?)?", "visit": DIGEST, "request": _token(64),
}  # fmt: skip
OTHER = {"v", "seq", "rule", "fields", "subjects", "assurance", "detail", "payload"}
MEMBERS = {*ALWAYS, *OPTIONAL, *OTHER}


def _is(value: object, pattern: str) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII) is not None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15


def _is_object(value: object, **forms: str) -> bool:
    """Say whether *value* has exactly these members. A form is a pattern, or ``number``; a leading ``?`` lets it be null."""
    if not isinstance(value, dict) or set(value) != set(forms):
        return False
    for name, form in forms.items():
        one, plain = value[name], form.removeprefix("?")
        if one is None and form != plain:
            continue
        if not (_is_count(one) if plain == "number" else _is(one, plain)):
            return False
    return True


def check_entry(raw: bytes) -> dict[str, object]:
    """Refuse unless *raw* is one entry in form; return its members."""
    need(len(raw) <= 32_768, "entry: too long")
    entry = check_canonical(raw)
    need(isinstance(entry, dict) and set(entry) == MEMBERS, "entry: a member missing or unknown")
    assert isinstance(entry, dict)
    need(_is_count(entry["v"]) and entry["v"] == 1 and _is_count(entry["seq"]), "entry: v or seq")
    for name, form in {**ALWAYS, **OPTIONAL}.items():
        need(_is(entry[name], form) or (name in OPTIONAL and entry[name] is None), f"entry: {name}")
    try:
        datetime.strptime(str(entry["at"]), "%Y-%m-%dT%H:%M:%S.%f%z")
    except ValueError:
        raise Refused("entry: at is no date") from None
    rule, shown = entry["rule"], entry["fields"]
    need(rule is None or (isinstance(rule, list) and len(rule) <= 64 and all(_is(one, _token(64)) for one in rule)), "entry: rule")
    need(shown is None or (isinstance(shown, dict) and all(_is(one, WORD) for pair in shown.items() for one in pair)), "entry: fields")
    forms = {
        "subjects": {"count": "number", "root": DIGEST},
        "assurance": {"age": "?number", "challenge": f"?{DIGEST}", "method": f"?{_token(16)}"},
        "detail": {"sha256": DIGEST, "type": _token(32)},
        "payload": {"commitment": DIGEST, "sha256": DIGEST},
    }
    for name, members in forms.items():
        need(entry[name] is None or _is_object(entry[name], **members), f"entry: {name}")
    need(entry["seq"] or entry["prev"] == "0" * 64, "entry: the first has a predecessor")
    return entry


class Chain:
    """Entries one after the other: each names the log, its place and the entry before."""

    def __init__(self, origin: str) -> None:
        self.origin, self.last, self.tree = origin, "0" * 64, Tree()

    def add(self, raw: bytes) -> bytes:
        place = self.tree.size
        entry = check_entry(raw)
        need(entry["log"] == self.origin and entry["seq"] == place, f"entry {place}: of another log or place")
        need(entry["prev"] == self.last, f"entry {place}: does not follow the one before")
        self.last = digest(raw).hex()
        leaf = leaf_hash(raw)
        self.tree.add(leaf)
        return leaf


# ---- whole files ----


def check_receipt(raw: bytes, keys: Iterable[Key] = (), policy: Policy | None = None) -> Checkpoint:
    """C2SP tlog-proof as docs/log-format.md uses it: ``extra`` is the entry, believed only by its hash."""
    head, empty, note = raw.partition(b"\n\n")
    need(empty, "receipt: no empty line")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Refused("receipt: not ASCII") from None
    need(len(lines) >= 3 and lines[0] == "c2sp.org/tlog-proof@v1", "receipt: first line")
    need(lines[1].startswith("extra ") and lines[2].startswith("index "), "receipt: extra or index missing")
    entry, index = unbase64(lines[1][6:]), decimal(lines[2][6:])
    checkpoint = Checkpoint.parse(note)
    check_inclusion(leaf_hash(entry), index, checkpoint.size, [unbase64(line, 32) for line in lines[3:]], checkpoint.root)
    if policy is None:
        checkpoint.signed_by_log(keys)
    else:
        policy.check(checkpoint, keys)
    members = check_entry(entry)
    need(members["log"] == checkpoint.origin and members["seq"] == index, "receipt: the entry is of another log or place")
    return checkpoint


def check_export(lines: Iterator[bytes], keys: Iterable[Key]) -> Checkpoint:
    """Every entry, in order, and a checkpoint of exactly this size. lines: with their newlines."""
    header = check_canonical(_line(lines))
    need(isinstance(header, dict) and set(header) == {"format", "log", "size"}, "export: header")
    assert isinstance(header, dict)
    need(header["format"] == "gardu-export@1" and _is_count(header["size"]) and _is(header["log"], ORIGIN), "export: header")
    chain = Chain(header["log"])
    for _ in range(header["size"]):
        chain.add(_line(lines))
    need(_line(lines) == b"", "export: more entries than the header says")
    checkpoint = Checkpoint.parse(b"".join(lines)).signed_by_log(keys)
    need((checkpoint.origin, checkpoint.size) == (chain.origin, chain.tree.size), "export: the checkpoint is of another log or size")
    need(checkpoint.root == chain.tree.root(), "export: another root")
    return checkpoint


def _line(lines: Iterator[bytes]) -> bytes:
    line = next(lines, b"")
    need(line.endswith(b"\n"), "export: ends early")
    return line[:-1]


def check_request(raw: bytes, older: Checkpoint | None, keys: Iterable[Key]) -> Checkpoint:
    """tlog-witness, add-checkpoint: a proof from *older* (what the witness has; None: nothing yet) to the checkpoint inside."""
    head, empty, note = raw.partition(b"\n\n")
    need(empty and head.startswith(b"old "), "request: no old size or no empty line")
    try:
        size, *proof = head[4:].decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Refused("request: not ASCII") from None
    need(len(proof) <= 63, "request: over 63 hashes")
    newer = Checkpoint.parse(note).signed_by_log(keys)
    if older is None or older.size == 0:
        need(decimal(size) == 0 and not proof, "request: begins at another size than 0, or with a proof")
        need(newer.size or newer.root == digest(), "request: nothing, with a root")
        return newer
    need(newer.origin == older.origin and decimal(size) == older.size, "request: begins at another log or size")
    check_consistency(older.size, newer.size, older.root, newer.root, [unbase64(line, 32) for line in proof])
    return newer


# ---- C2SP tlog-tiles: a directory ----


def tile_path(level: str, number: int, width: int = 256) -> str:
    """``tile/<L>/<N>[.p/<W>]``, three digits an element, all but the last marked by an x."""
    text = str(number)
    text = text.zfill(-(-len(text) // 3) * 3)
    parts = [text[at : at + 3] for at in range(0, len(text), 3)]
    path = "/".join([*(f"x{part}" for part in parts[:-1]), parts[-1]])
    return f"tile/{level}/{path}" + (f".p/{width}" if width < 256 else "")


def tiles_of(size: int, level: int) -> list[int]:
    """Return the widths of the tiles of *level* in a tree of *size*."""
    hashes = size >> (8 * level)
    return [256] * (hashes >> 8) + ([hashes & 255] if hashes & 255 else [])


def check_tiles(folder: Path, keys: Iterable[Key]) -> tuple[Checkpoint, int]:
    """Check every tile that the checkpoint calls for, and the entry bundles if there are any; return it and the number of entries read."""
    checkpoint = Checkpoint.parse(_read(folder, "checkpoint")).signed_by_log(keys)
    tree, roots = Tree(), list[bytes]()
    for number, width in enumerate(tiles_of(checkpoint.size, 0)):
        hashes = _tile(folder, 0, number, width)
        for one in hashes:
            tree.add(one)
        roots += [root_of(hashes)] if width == 256 else []
    need(tree.root() == checkpoint.root, "tiles: another root")
    level = 1
    while widths := tiles_of(checkpoint.size, level):
        below, roots = roots, []
        for number, width in enumerate(widths):
            need(
                _tile(folder, level, number, width) == below[256 * number :][:width],
                f"tiles: {tile_path(str(level), number, width)} is not the level below",
            )
            roots += [root_of(below[256 * number :][:256])] if width == 256 else []
        level += 1
    return checkpoint, _check_bundles(folder, checkpoint) if (folder / "tile/entries").is_dir() else 0


def _check_bundles(folder: Path, checkpoint: Checkpoint) -> int:
    chain = Chain(checkpoint.origin)
    for number, width in enumerate(tiles_of(checkpoint.size, 0)):
        entries = unbundle(_either(folder, "entries", number, width))
        need(len(entries) >= width, f"bundle {number}: {len(entries)} entries, not {width}")
        leaves = [chain.add(entry) for entry in entries[:width]]
        need(leaves == _tile(folder, 0, number, width), f"bundle {number}: not the entries of its tile")
    return chain.tree.size


def unbundle(raw: bytes) -> list[bytes]:
    """Big-endian uint16 lengths, each before its entry; nothing left over."""
    entries, at = [], 0
    while at < len(raw):
        length = int.from_bytes(raw[at : at + 2], "big")
        need(at + 2 + length <= len(raw), "bundle: ends inside an entry")
        entries.append(raw[at + 2 : at + 2 + length])
        at += 2 + length
    return entries


def _tile(folder: Path, level: int, number: int, width: int) -> list[bytes]:
    raw = _either(folder, str(level), number, width)
    need(len(raw) in {32 * width, 8192}, f"tiles: {tile_path(str(level), number, width)} has {len(raw)} bytes")
    return [raw[at : at + 32] for at in range(0, 32 * width, 32)]


def _either(folder: Path, level: str, number: int, width: int) -> bytes:
    """Read a partial tile, or the full one that has replaced it."""
    if width < 256 and not (folder / tile_path(level, number, width)).is_file():
        return _read(folder, tile_path(level, number))
    return _read(folder, tile_path(level, number, width))


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise Refused(f"{name}: {error.strerror}") from None


# ---- command line ----


def run(kind: str, files: list[Path], keys: list[Key], policy: Policy | None) -> str:
    """Check *files* as *kind* and return what was found, in a sentence."""
    first = files[0]
    match kind:
        case "note":
            signers = Note.parse(first.read_bytes()).signers(keys)
            need(signers, "note: none of the keys signed it")
            return "signed by " + ", ".join(sorted(key.name for key in signers))
        case "checkpoint" | "policy":
            checkpoint = Checkpoint.parse(first.read_bytes())
            cosigned = len(checkpoint.signed_by_log(keys).note.signers(keys)) - 1 if policy is None else policy.check(checkpoint, keys)
            return f"{checkpoint.origin}, {checkpoint.size} entries, cosigned by {cosigned}"
        case "receipt":
            checkpoint = check_receipt(first.read_bytes(), keys, policy)
            return f"in {checkpoint.origin} at {checkpoint.size} entries"
        case "export":
            with first.open("rb") as lines:
                checkpoint = check_export(lines, keys)
            return f"{checkpoint.origin}, all {checkpoint.size} entries"
        case "tiles":
            checkpoint, read = check_tiles(first, keys)
            return f"{checkpoint.origin}, {checkpoint.size} hashes, {read} entries"
        case "request":
            older = Checkpoint.parse(files[1].read_bytes()).signed_by_log(keys) if files[1:] else None
            return f"from {older.size if older else 0} to {check_request(first.read_bytes(), older, keys).size}"
        case "json":
            check_canonical(first.read_bytes())
            return "canonical"
    return f"entry {check_entry(first.read_bytes())['seq']}"


KINDS = ("note", "checkpoint", "receipt", "export", "tiles", "request", "policy", "json", "entry")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description="Check what Gardu publishes, from the specifications alone.")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--key", action="append", default=[], metavar="VKEY")
    parser.add_argument("--policy", type=Path, metavar="FILE")
    given = parser.parse_args(arguments)
    if len(given.files) > (2 if given.kind == "request" else 1) or (given.kind == "policy" and given.policy is None):
        parser.error("request takes the body and perhaps the older checkpoint, policy takes --policy, the others one file")
    try:
        policy = Policy.parse(given.policy.read_bytes()) if given.policy else None
        print("holds:", run(given.kind, given.files, [Key.parse(key) for key in given.key], policy))
    except Refused as reason:
        print("REFUSED:", reason)
        return 1
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
