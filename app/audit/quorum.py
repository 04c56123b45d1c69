"""Which witnesses' signatures count as enough (C2SP tlog-policy): the text form, and the question whether a quorum is met. Pure.

```
log <vkey> [<url>]
witness <name> <vkey> [<url>]
group <name> all|any|<k> <name>...
quorum <name>|none
```
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from app.audit.cosign import CosignVerifier, LogKey, parse_log_key, split_key
from app.kernel.errors import BadInput

# The quorum that asks for no witness.
NONE = "none"
# The specification asks for at least 32 of each; more than this is a mistake or an attack.
MOST = 128
# 128 logs and 128 witnesses with ML-DSA-44 keys come to half of it.
MAX_TEXT = 1_000_000
_THRESHOLD = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)
_BLANKS = re.compile(r"[ \t]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_UNFIT = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class Group:
    """At least *threshold* of *members* (names of witnesses and groups defined before)."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Whose signatures make a checkpoint valid.

    logs: (key, URL or None), any of which may have signed. witnesses: name → (key, URL or None). groups: name → Group, in the order
    defined. quorum: the name of a witness or group, or ``none``. Names mean something inside the policy only; URLs are as written, unchecked.
    """

    logs: tuple[tuple[LogKey, str | None], ...]
    witnesses: Mapping[str, tuple[CosignVerifier, str | None]]
    groups: Mapping[str, Group]
    quorum: str

    @property
    def verifiers(self) -> tuple[CosignVerifier, ...]:
        """The keys of all witnesses, as ``cosign.open_cosignatures`` takes them."""
        return tuple(key for key, _ in self.witnesses.values())

    def met(self, cosigners: Collection[str]) -> bool:
        """Whether these cosigners (verifier keys, as ``cosign.open_cosignatures`` gives them) are enough. Keys not in the policy do not count."""
        said = {name: key.vkey in cosigners for name, (key, _) in self.witnesses.items()}
        for name, group in self.groups.items():
            said[name] = sum(said[member] for member in group.members) >= group.threshold
        return self.quorum == NONE or said[self.quorum]


@dataclass(slots=True)
class _Reader:
    """What the lines read so far have defined."""

    logs: list[tuple[LogKey, str | None]] = field(default_factory=list)
    witnesses: dict[str, tuple[CosignVerifier, str | None]] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    quorum: str | None = None
    # Underlying public keys and group members seen: a name or id around a key does not make it another key.
    log_keys: set[bytes] = field(default_factory=set)
    witness_keys: set[bytes] = field(default_factory=set)
    members: set[str] = field(default_factory=set)

    def line(self, word: str, rest: list[str]) -> None:
        """Take one line: its first word and what follows."""
        reader = {"log": self.log, "witness": self.witness, "group": self.group, "quorum": self.take_quorum}.get(word)
        if reader is None:
            raise BadInput("a line begins with log, witness, group, quorum or #")
        reader(rest)

    def log(self, rest: list[str]) -> None:
        """Take ``log <vkey> [<url>]``."""
        if not 1 <= len(rest) <= 2:
            raise BadInput("write: log <vkey> [<url>]")
        _demand_room(len(self.logs), "logs")
        _demand_new(rest[0], self.log_keys, "log")
        self.logs.append((parse_log_key(rest[0]), rest[1] if rest[1:] else None))

    def witness(self, rest: list[str]) -> None:
        """Take ``witness <name> <vkey> [<url>]``."""
        if not 2 <= len(rest) <= 3:
            raise BadInput("write: witness <name> <vkey> [<url>]")
        _demand_room(len(self.witnesses), "witnesses")
        self.demand_unused(rest[0])
        _demand_new(rest[1], self.witness_keys, "witness")
        self.witnesses[rest[0]] = CosignVerifier.parse(rest[1]), rest[2] if rest[2:] else None

    def group(self, rest: list[str]) -> None:
        """Take ``group <name> all|any|<k> <name>...``."""
        if len(rest) < 3:
            raise BadInput("write: group <name> all|any|<k> <name>..., with at least one member")
        _demand_room(len(self.groups), "groups")
        name, word, *members = rest
        self.demand_unused(name)
        for member in members:
            self.demand_defined(member)
            if member in self.members:
                raise BadInput(f"{member!r} is a member already; a witness may count in one way only: name it once")
            self.members.add(member)
        threshold = {"any": 1, "all": len(members)}.get(word) or (int(word) if _THRESHOLD.fullmatch(word) else 0)
        if not 1 <= threshold <= len(members):
            raise BadInput(f"{word!r} is not all, any or a number from 1 to {len(members)}, the number of members")
        self.groups[name] = Group(threshold, tuple(members))

    def take_quorum(self, rest: list[str]) -> None:
        """Take ``quorum <name>``."""
        if len(rest) != 1:
            raise BadInput("write: quorum <name>, or: quorum none")
        if self.quorum is not None:
            raise BadInput("a second quorum: leave exactly one")
        if rest[0] != NONE:
            self.demand_defined(rest[0])
        self.quorum = rest[0]

    def demand_unused(self, name: str) -> None:
        """Raise BadInput when *name* cannot be given to a witness or group."""
        if name == NONE or name in self.witnesses or name in self.groups:
            raise BadInput(f"the name {name!r} is taken: choose another")

    def demand_defined(self, name: str) -> None:
        """Raise BadInput unless a line above defined *name*."""
        if name not in self.witnesses and name not in self.groups:
            raise BadInput(f"no line above defines {name!r}: define it first, or correct the name")


def _demand_room(count: int, what: str) -> None:
    if count >= MOST:
        raise BadInput(f"more than {MOST} {what}: leave some out")


def _demand_new(vkey: str, seen: set[bytes], what: str) -> None:
    public = split_key(vkey)[2][1:]
    if public in seen:
        raise BadInput(f"a second {what} with the same public key: remove one of them")
    seen.add(public)


def parse_policy(text: str | bytes) -> Policy:
    """Return the policy in *text* (bytes as in a file, or text to be taken as UTF-8).

    Raises BadInput (field ``policy``) with the line's number, what is wrong there, and the remedy.
    """
    if len(text) > MAX_TEXT:
        raise _wrong(1, "longer than 1 MB: leave logs or witnesses out")
    # Octets above 0x7F are opaque to the format: what is not UTF-8 stays apart as surrogates instead of failing or merging.
    lines = (text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text).split("\n")
    reader = _Reader()
    for number, line in enumerate(lines, start=1):
        if bad := _CONTROL.search(line):
            raise _wrong(
                number, f"holds the control character 0x{ord(bad[0]):02x}: only tab and newline may stand here (no CR at line ends)"
            )
        words = _BLANKS.split(line.strip(" \t"))
        if number == len(lines) and line:
            raise _wrong(number, "does not end in a newline: the file may be cut off; add the newline when it is whole")
        if not words[0] or words[0].startswith("#"):
            continue
        try:
            reader.line(words[0], words[1:])
        except BadInput as wrong:
            raise _wrong(number, wrong.detail) from None
    if reader.quorum is None:
        raise _wrong(len(lines), "the file ends without a quorum: add «quorum <name>», or «quorum none» to ask for no witness")
    return Policy(tuple(reader.logs), reader.witnesses, reader.groups, reader.quorum)


def _wrong(number: int, what: str) -> BadInput:
    return BadInput(f"policy, line {number}: {what}", field="policy")


def policy_text(
    witnesses: Mapping[str, tuple[str, str | None]], threshold: int | None = None, logs: Collection[tuple[str, str | None]] = ()
) -> str:
    """Return the text of a policy in which *threshold* of *witnesses* (all, unless given; 0: none) must have cosigned.

    witnesses: name → (verifier key, URL or None). logs: (verifier key, URL or None). Raises BadInput as :func:`parse_policy`, and for a
    name or URL with white space or control characters in it.
    """
    needed = len(witnesses) if threshold is None else threshold
    lines: list[tuple[str | None, ...]] = [("log", *one) for one in logs]
    lines += [("witness", name, *one) for name, one in witnesses.items()]
    if len(witnesses) > 1 and needed:
        lines.append(("group", _group_name(witnesses), str(needed), *witnesses))
    elif needed not in {0, len(witnesses)}:
        raise BadInput(f"policy: {needed} of {len(witnesses)} witnesses cannot be asked for", field="policy")
    lines.append(("quorum", lines[-1][1] if needed else NONE))
    words = [[word for word in line if word is not None] for line in lines]
    if any(not word or _UNFIT.search(word) for line in words for word in line):
        raise BadInput("policy: a name, key or URL is empty or holds white space or control characters: take them out", field="policy")
    text = "".join(" ".join(line) + "\n" for line in words)
    parse_policy(text)
    return text


def _group_name(taken: Collection[str]) -> str:
    name = "quorum"
    while name in taken:
        name += "-"
    return name
