"""Corrects one element of one voter: decide, open what must be compared, seal one cell, store it together with its entry.

(1) may they change it?            policy act ``ubah``; a refusal is an entry
(2) open, inside only              the old value for its digest; name or birth date for the blind index they share
(3) seal one cell anew             outside any transaction
(4) row and entry together         the row only if it is still the version that was opened; else nothing happens
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from sqlalchemy.orm import Session

from app.audit.canonical import Json
from app.audit.entry import Draft, draft_for, rows_root
from app.audit.trail import Receipt
from app.kernel.actor import Actor, Ask
from app.kernel.errors import N_, Conflict, SealBroken, StepUpNeeded
from app.kernel.fields import Action, Element, Outcome
from app.kernel.payload import SealedPayload
from app.policy.decide import Act, Denied
from app.policy.visit import Mandate, Visit, visit_for
from app.touch.record import Guard, context, permitted, record_act, row_key, sealed
from app.vault.blind import Blind
from app.vault.reseal import reseal
from app.vault.seal import SealedRow
from app.vault.unseal import open_row

# Of each change, so that digests of equal values differ.
SALT_BYTES = 16
# The rules an entry names for refusals that stand before any policy.
SAME_VALUE, TAKEN, MOVED, STALE = "nilai-sama", "nik-ganda", "versi-berubah", "ubah-perlu-kode-baru"
RULES = (SAME_VALUE, TAKEN, MOVED, STALE)
MOVED_SENTENCE = N_("Data ini baru saja diubah orang lain. Buka kembali pemilihnya, lalu ulangi bila masih perlu.")
_INDEXED = {Element.NAMA: Element.TANGGAL_LAHIR, Element.TANGGAL_LAHIR: Element.NAMA}


@dataclass(frozen=True, slots=True)
class Change:
    """What is to change. value: as it is stored (codes, ISO dates). ground, reason: for the sealed payload."""

    element: Element
    value: str
    ground: str
    reason: str

    def __repr__(self) -> str:
        return f"Change({self.element})"


def change(
    guard: Guard,
    actor: Actor,
    ask: Ask,
    row: SealedRow,
    wanted: Change,
    blind: Blind,
    same_nik: Callable[[bytes], Iterable[SealedRow]],
    write: Callable[[Session, SealedRow], bool],
    *,
    now: datetime,
    mandate: Mandate | None = None,
) -> Receipt:
    """Correct one element of *row*; the changed row and its entry become durable together, or neither does.

    ask.region: the row's own desa. blind: the indexes of the row's kab. same_nik: returns the rows of the election whose NIK has that
    token, called only for a new NIK. write: stores the row if it still stands at the version before, and says whether it did.
    Raises NotThere or StepUpNeeded (refused; recorded), SealBroken (recorded), Conflict (the same value, a NIK that somebody has, or
    changed meanwhile; recorded), TrailDown, KeysDown.
    """
    visit = visit_for(actor, ask, now, mandate=mandate, subject=row.clear.uid)
    # (1)
    rules = permitted(guard, actor, visit, Act.UBAH, (wanted.element,), Action.VOTER_CHANGE)
    _demand_fresh(guard, actor, visit, wanted.element)
    # (2)
    before, beside = _opened(guard, actor, visit, row, wanted.element, rules)
    if before == wanted.value:
        _refuse(guard, actor, visit, (row.clear.uid,), SAME_VALUE)
    tokens = _tokens(wanted, row, blind, beside)
    if wanted.element is Element.NIK:
        _demand_free(guard, actor, visit, wanted.value, row.clear.uid, same_nik(tokens[0]))
    # (3)
    changed = reseal(row_key(guard, row), row, wanted.element, wanted.value, *tokens)
    draft, payload = _entry(guard, actor, visit, wanted, before, changed, rules)
    # (4) if we die before the commit, the row stands as it was and no entry speaks of it
    with guard.store.writing() as session:
        receipt = guard.trail.append_within(session, draft, payload) if write(session, changed) else None
    if receipt is None:
        _refuse(guard, actor, visit, (row.clear.uid,), MOVED)
    return receipt


def may_change(guard: Guard, actor: Actor, ask: Ask, uid: str, *, now: datetime) -> None:
    """(1) alone, for pages that only somebody who corrects may open. Raises NotThere or StepUpNeeded (recorded), TrailDown."""
    permitted(guard, actor, visit_for(actor, ask, now, subject=uid), Act.UBAH, (Element.ALAMAT,), Action.VOTER_CHANGE)


def _demand_fresh(guard: Guard, actor: Actor, visit: Visit, element: Element) -> None:
    """Ask for a fresh code when one would show more of the element: whoever may change a NIK must have been here a moment ago."""
    try:
        offer = guard.policies.decide(visit).offer
    except Denied as no:
        offer = no.offer
    if element in offer:
        record_act(guard, actor, visit, Action.VOTER_CHANGE, Outcome.DENIED, (), (STALE,))
        raise StepUpNeeded(f"{element.value} is changed only with a fresh code")


def _opened(guard: Guard, actor: Actor, visit: Visit, row: SealedRow, element: Element, rules: tuple[str, ...]) -> tuple[str, str]:
    """Return the element's present value, and that of the element it shares an index with ("" when it shares none)."""
    partner = _INDEXED.get(element)
    try:
        opened = open_row(row_key(guard, row), row, (element,) if partner is None else (element, partner))
    except SealBroken:
        record_act(guard, actor, visit, Action.VOTER_CHANGE, Outcome.BROKEN, (row.clear.uid,), rules)
        raise
    return opened[element], opened[partner] if partner else ""


def _tokens(wanted: Change, row: SealedRow, blind: Blind, beside: str) -> tuple[bytes, bytes, bytes]:
    """Return the row's blind indexes (b_nik, b_nkk, b_nd) as they are once *wanted* is done."""
    b_nik, b_nkk, b_nd = row.b_nik, row.b_nkk, row.b_nd
    if wanted.element is Element.NIK:
        b_nik = blind.b_nik(wanted.value, row.clear.election)
    elif wanted.element is Element.NKK:
        b_nkk = blind.b_nkk(wanted.value)
    elif wanted.element is Element.NAMA:
        b_nd = blind.b_nd(wanted.value, beside)
    elif wanted.element is Element.TANGGAL_LAHIR:
        b_nd = blind.b_nd(beside, wanted.value)
    return b_nik, b_nkk, b_nd


def _demand_free(guard: Guard, actor: Actor, visit: Visit, nik: str, uid: str, candidates: Iterable[SealedRow]) -> None:
    for row in candidates:
        if row.clear.uid != uid and open_row(row_key(guard, row), row, (Element.NIK,))[Element.NIK] == nik:
            # Whose it is stays unsaid; the entry's payload names both.
            _refuse(guard, actor, visit, (uid, row.clear.uid), TAKEN)


def _refuse(guard: Guard, actor: Actor, visit: Visit, uids: tuple[str, ...], rule: str) -> NoReturn:
    record_act(guard, actor, visit, Action.VOTER_CHANGE, Outcome.FAILED, uids, (rule,))
    raise Conflict(rule, public=_WHY[rule])


def _entry(
    guard: Guard, actor: Actor, visit: Visit, wanted: Change, before: str, changed: SealedRow, rules: tuple[str, ...]
) -> tuple[Draft, SealedPayload]:
    clear, salt, element = changed.clear, secrets.token_bytes(SALT_BYTES), wanted.element
    rows = [("voter", clear.uid, clear.row_version, changed.seal)]
    extra: Mapping[str, Json] = {
        "rows": [[table, uid, version, seal.hex()] for table, uid, version, seal in rows],
        "element": element.value,
        "digest_salt": salt.hex(),
        "before": guard.payloads.value_digest(salt, clear.uid, element.value, before).hex(),
        "after": guard.payloads.value_digest(salt, clear.uid, element.value, wanted.value).hex(),
        "ground": wanted.ground,
        "reason": wanted.reason,
    }
    payload, members = sealed(guard, actor, visit, None, (clear.uid,), extra)
    # The element stands in ``fields`` as one that was touched in full: the trail finds corrections by it. Nothing was shown.
    members |= {**context(guard, visit), "rule": rules, "fields": {element.value: "utuh"}, "detail": ("rows", rows_root(rows))}
    return draft_for(actor, Action.VOTER_CHANGE, Outcome.DONE, visit.moment, **members), payload


_WHY = {
    SAME_VALUE: N_("Isi yang baru sama dengan yang tersimpan. Tidak ada yang diubah."),
    TAKEN: N_("NIK itu sudah dipakai pemilih lain dalam pemilu ini. Periksa kembali, atau tempuh penyelesaian data ganda."),
    MOVED: MOVED_SENTENCE,
}
