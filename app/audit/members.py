"""The members of an entry: their types, and the grammar of its canonical bytes. Pure.

Closed words, codes, random ids and digests only: every string is printable ASCII without space, quote or backslash, so that no free
text can ever stand in an entry and no character of it is ever escaped. Bytes that match GRAMMAR are therefore canonical (RFC 8785):
members in order, no white space, one spelling of every string and number. docs/log-format.md lists the members one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypedDict

from app.kernel.fields import Action, Basis, Element, Outcome, Purpose, Role, Stage, View

VERSION = 1
# What decides one visit: at most a few rules per element; 64 leaves room.
MAX_RULES = 64


class Subjects(TypedDict):
    """How many voters an entry names, and the salted root over their uids (hex)."""

    count: int
    root: str


class Assurance(TypedDict):
    """How sure the guard was of who asked: method, age of the factor in seconds, digest of the challenge (hex)."""

    method: str | None
    age: int | None
    challenge: str | None


class Detail(TypedDict):
    """A digest of what was written or done; *type* says over what."""

    type: str
    sha256: str


class PayloadMark(TypedDict):
    """SHA-256 of the sealed payload and the commitment to its key (both hex)."""

    sha256: str
    commitment: str


class Entry(TypedDict):
    """The members of a parsed entry; unused ones are None, none is ever absent."""

    v: int
    log: str
    seq: int
    prev: str
    at: str
    actor: str
    office: str | None
    role: str | None
    session: str | None
    action: str
    outcome: str
    election: str | None
    stage: str | None
    purpose: str | None
    sop: str | None
    basis: str | None
    mandate: str | None
    policy: str | None
    rule: list[str] | None
    scope: str | None
    fields: dict[str, str] | None
    subjects: Subjects | None
    visit: str | None
    assurance: Assurance | None
    detail: Detail | None
    payload: PayloadMark | None
    request: str | None


def _tag(length: int) -> str:
    return rf'"[!#-\[\]-~]{{1,{length}}}"'


def _word(words: Iterable[str]) -> str:
    return f'"(?:{"|".join(re.escape(str(word)) for word in words)})"'


def _views() -> str:
    view = _word(view.word for view in View)
    elements = (rf'(?:"{element}":{view}(?:,(?=")|(?=\}})))?' for element in sorted(element.value for element in Element))
    return rf"\{{{''.join(elements)}\}}"


def _object(**members: str) -> str:
    return r"\{" + ",".join(f'"{name}":{members[name]}' for name in sorted(members)) + r"\}"


def _or_null(shape: str) -> str:
    return f"(?:null|{shape})"


_DIGEST = r'"[0-9a-f]{64}"'
# At most 15 digits: below 2^53, where RFC 8785 writes an integer as its decimal digits.
_COUNT = r"(?:0|[1-9][0-9]{0,14})"
_MOMENT = r'"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z"'
_REGION = r'"[0-9]{2}(?:\.[0-9]{2}(?:\.[0-9]{2}(?:\.[0-9]{4})?)?)?"'

# The value of each member, as a regular expression over its canonical JSON. Lengths are those of the query columns
# (app/audit/tables.py), so that no row of a batch can be refused for its content.
SHAPES: dict[str, str] = {
    "v": str(VERSION),
    "log": _tag(255),
    "seq": f"(?P<seq>{_COUNT})",
    "prev": f"(?P<prev>{_DIGEST})",
    "at": _MOMENT,
    "actor": _tag(64),
    "office": _or_null(_tag(32)),
    "role": _or_null(_word(Role)),
    "session": _or_null(_tag(64)),
    "action": _word(Action),
    "outcome": _word(Outcome),
    "election": _or_null(_tag(16)),
    "stage": _or_null(_word(Stage)),
    "purpose": _or_null(_word(Purpose)),
    "sop": _or_null(_tag(64)),
    "basis": _or_null(_word(Basis)),
    "mandate": _or_null(_tag(64)),
    "policy": _or_null(_DIGEST),
    "rule": _or_null(rf"\[(?:{_tag(64)}(?:,{_tag(64)}){{0,{MAX_RULES - 1}}})?\]"),
    "scope": _or_null(_REGION),
    "fields": _or_null(_views()),
    "subjects": _or_null(_object(count=_COUNT, root=_DIGEST)),
    "visit": _or_null(_DIGEST),
    "assurance": _or_null(_object(method=_or_null(_tag(16)), age=_or_null(_COUNT), challenge=_or_null(_DIGEST))),
    "detail": _or_null(_object(type=_tag(32), sha256=_DIGEST)),
    "payload": _or_null(_object(sha256=_DIGEST, commitment=_DIGEST)),
    "request": _or_null(_tag(64)),
}
GRAMMAR = re.compile(_object(**SHAPES), re.ASCII)


def wrong_member(values: dict[str, str]) -> str:
    """Return the first member whose canonical JSON text in *values* is missing or out of shape, or "" when none is."""
    return next((name for name, shape in SHAPES.items() if not re.fullmatch(shape, values.get(name, ""), re.ASCII)), "")
