"""One entry of the log: its draft, its canonical bytes (RFC 8785), its hashes, and the salted roots in it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from typing import TypedDict, Unpack, cast

from app.audit import tree
from app.audit.canonical import Json, canonical, encode
from app.audit.members import GRAMMAR, VERSION, Entry, wrong_member
from app.kernel.actor import Actor
from app.kernel.clock import rfc3339
from app.kernel.errors import BadInput
from app.kernel.fields import Action, Element, Outcome, View
from app.kernel.payload import SealedPayload

# An entry holds at most 64 rule ids of 64 characters and 13 elements besides its fixed members: far below this.
MAX_BODY = 32_768
_GENESIS_HEX = "0" * 64
_PLAIN = re.compile(r"[a-z0-9._-]+", re.ASCII)


class Members(TypedDict, total=False):
    """What a caller may say of an entry beside who, what, outcome and when; see Draft."""

    election: str | None
    stage: str | None
    purpose: str | None
    sop: str | None
    basis: str | None
    mandate: str | None
    policy: str | None
    rule: tuple[str, ...] | None
    scope: str | None
    fields: Mapping[str, str] | None
    subjects: tuple[int, bytes] | None
    visit: bytes | None
    assurance: Mapping[str, str | int | None] | None
    detail: tuple[str, bytes] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An entry before it has its place in the log.

    at: aware moment. policy: SHA-256 of the policy folder, hex. rule: ids of the rules that decided. fields: element → view word.
    subjects: (count, root of 32 bytes). visit: 32-byte salted commitment. assurance: method, age, challenge. detail: (type, SHA-256).
    """

    at: datetime
    actor: str
    action: Action
    outcome: Outcome
    office: str | None = None
    role: str | None = None
    session: str | None = None
    election: str | None = None
    stage: str | None = None
    purpose: str | None = None
    sop: str | None = None
    basis: str | None = None
    mandate: str | None = None
    policy: str | None = None
    rule: tuple[str, ...] | None = None
    scope: str | None = None
    fields: Mapping[str, str] | None = None
    subjects: tuple[int, bytes] | None = None
    visit: bytes | None = None
    assurance: Mapping[str, str | int | None] | None = None
    detail: tuple[str, bytes] | None = None
    request: str | None = None


def draft_for(actor: Actor, action: Action, outcome: Outcome, at: datetime, **members: Unpack[Members]) -> Draft:
    """Return a draft of what *actor* did; office, role, session and request are the actor's."""
    return Draft(
        at=at,
        actor=actor.uid,
        action=action,
        outcome=outcome,
        office=actor.office or None,
        role=actor.role,
        session=actor.session,
        request=actor.request or None,
        **members,
    )


# ---- writing ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unplaced:
    """An entry's canonical text in three pieces, with gaps for ``prev`` and ``seq``; it was checked and cannot fail any more."""

    before: str
    between: str
    after: str

    def at(self, seq: int, prev: bytes) -> bytes:
        """Return the entry's bytes at *seq* (from 0), after the entry whose bytes have the SHA-256 *prev*."""
        return f'{self.before}"{prev.hex()}"{self.between}{seq}{self.after}'.encode("ascii")


def prepare(draft: Draft, payload: SealedPayload | None, *, log: str) -> Unplaced:
    """Check and serialise *draft* for the log with id *log*, all but its place.

    Raises BadInput (field: the member) when a member is not in its form, when a payload's digest is not that of its bytes, or when
    its tokens are not as many as the subjects.
    """
    if draft.at.tzinfo is None:
        raise BadInput("entry: member at has no time zone", field="at")
    if payload is not None:
        _check_payload(draft, payload)
    members = _members(draft, payload, log)
    whole = encode(members)
    found = GRAMMAR.fullmatch(whole)
    if found is None:
        raise _out_of_form(members)
    return Unplaced(whole[: found.start("prev")], whole[found.end("prev") : found.start("seq")], whole[found.end("seq") :])


def _out_of_form(members: Mapping[str, Json]) -> BadInput:
    name = wrong_member({name: encode(value) for name, value in members.items()})
    return BadInput(f"entry: member {name} is not in its form" if name else "entry: not in canonical form (RFC 8785)", field=name)


def _members(draft: Draft, payload: SealedPayload | None, log: str) -> dict[str, Json]:
    subjects, detail = draft.subjects, draft.detail
    return {
        "v": VERSION,
        "log": log,
        "seq": 0,
        "prev": _GENESIS_HEX,
        "at": rfc3339(draft.at),
        "actor": draft.actor,
        "office": draft.office,
        "role": draft.role,
        "session": draft.session,
        "action": draft.action,
        "outcome": draft.outcome,
        "election": draft.election,
        "stage": draft.stage,
        "purpose": draft.purpose,
        "sop": draft.sop,
        "basis": draft.basis,
        "mandate": draft.mandate,
        "policy": draft.policy,
        "rule": None if draft.rule is None else list(draft.rule),
        "scope": draft.scope,
        "fields": None if draft.fields is None else dict(draft.fields),
        "subjects": None if subjects is None else {"count": subjects[0], "root": subjects[1].hex()},
        "visit": None if draft.visit is None else draft.visit.hex(),
        "assurance": None if draft.assurance is None else dict(draft.assurance),
        "detail": None if detail is None else {"type": detail[0], "sha256": detail[1].hex()},
        "payload": None if payload is None else {"sha256": payload.sha256.hex(), "commitment": payload.commitment.hex()},
        "request": draft.request,
    }


def _check_payload(draft: Draft, payload: SealedPayload) -> None:
    if sha256(payload.sealed).digest() != payload.sha256:
        raise BadInput("entry: the payload's digest is not that of its bytes", field="payload")
    if any(len(token) != tree.HASH_SIZE for token in payload.tokens):
        raise BadInput("entry: a touch token has not 32 bytes", field="payload")
    if len(frozenset(payload.tokens)) != (draft.subjects[0] if draft.subjects else 0):
        raise BadInput("entry: the payload's touch tokens are not as many as the subjects", field="subjects")


def body(draft: Draft, payload: SealedPayload | None, *, log: str, seq: int, prev: bytes) -> bytes:
    """Return the RFC 8785 bytes of *draft* at *seq* of *log*. Raises BadInput as ``prepare`` does."""
    return prepare(draft, payload, log=log).at(seq, prev)


# ---- reading ----------------------------------------------------------------------------------------------------------------


def parse(raw: bytes) -> Entry:
    """Return the members of an entry's bytes.

    Raises BadInput unless *raw* is exactly the canonical bytes of all the members of an entry, each in its form.
    """
    if len(raw) > MAX_BODY:
        raise BadInput("entry: longer than 32 KiB")
    try:
        text = raw.decode("ascii")
        members = json.loads(text)
    except (ValueError, RecursionError):
        raise BadInput("entry: not JSON in ASCII") from None
    if not isinstance(members, dict):
        raise BadInput("entry: not a JSON object")
    if GRAMMAR.fullmatch(text) is None:
        raise _out_of_form(members)
    try:
        moment(members["at"])
    except ValueError:
        raise BadInput("entry: member at is not a moment", field="at") from None
    return cast(Entry, members)


def leaf_hash(raw: bytes) -> bytes:
    """Return the tree's leaf hash of an entry's bytes: SHA-256(0x00 ‖ bytes), RFC 9162 section 2.1.1."""
    return tree.leaf_hash(raw)


def entry_hash(raw: bytes) -> bytes:
    """Return the SHA-256 of an entry's bytes, which the next entry carries as ``prev``."""
    return sha256(raw).digest()


def moment(text: str) -> datetime:
    """Return an entry's ``at`` as an aware UTC datetime. Raises ValueError when it is not one."""
    return datetime.fromisoformat(text).astimezone(UTC)


# ---- salted roots -----------------------------------------------------------------------------------------------------------


def subjects_root(salt: bytes, uids: Iterable[str]) -> bytes:
    """Return the RFC 6962 root over SHA-256(0x00 ‖ salt ‖ uid), the leaf hashes sorted.

    salt: at least 16 random bytes, kept in the payload, so that a holder of entries cannot link touches of one voter. uids: ASCII,
    each once (BadInput otherwise).
    """
    head = b"\x00" + salt
    leaves = sorted([sha256(head + uid.encode("ascii")).digest() for uid in uids])
    if any(left == right for left, right in pairwise(leaves)):
        raise BadInput("entry: a subject is named twice", field="subjects")
    return tree.root_over(leaves)


def rows_root(rows: Iterable[tuple[str, str, int, bytes]]) -> bytes:
    """Return the root for a detail of type ``rows``: over (table, uid, row_version, seal) of every row written.

    RFC 6962 root over SHA-256(0x00 ‖ canonical JSON ``[table,uid,row_version,"seal in hex"]``), the leaf hashes sorted.
    """
    return texts_root(row_text(*row) for row in rows)


def row_text(table: str, uid: str, version: int, seal: bytes) -> str:
    """Return the canonical JSON of one row written, ``[table,uid,row_version,"seal in hex"]``: what a leaf of ``rows_root`` is made of."""
    if _PLAIN.fullmatch(table + uid) and version.__class__ is int:
        # What uids and tables are made of needs no escape: canonical as it stands.
        return f'["{table}","{uid}",{version},"{seal.hex()}"]'
    return canonical([table, uid, version, seal.hex()]).decode()


def texts_root(texts: Iterable[str]) -> bytes:
    """Return ``rows_root`` over rows given as ``row_text`` wrote them."""
    return tree.root_over(sorted([sha256(b"\x00" + text.encode()).digest() for text in texts]))


def opened_bits(fields: Mapping[str, str] | None) -> int:
    """Return the bits of the elements that *fields* shows as more than "recorded": bit n-1 for element n of 13; 0 for none."""
    return _bits(tuple(fields.items())) if fields else 0


# A log shows the same few sets of elements over and over.
@lru_cache(maxsize=4096)
def _bits(fields: tuple[tuple[str, str], ...]) -> int:
    return sum(1 << (Element(name).number - 1) for name, view in fields if View[view.upper()] > View.ADA)
