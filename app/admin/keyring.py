"""The L1 keys: which there are, how old, whether the provider opens them. Wrapped or open, no key's bytes leave this module."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from app.admin.room import Admin
from app.admin.rules import OLD_KEY
from app.audit.note import unbase64
from app.custody import keys as custody_keys
from app.kernel.actor import Actor
from app.kernel.errors import N_, BadInput, Conflict, KeysDown
from app.kernel.regions import kab_of
from app.store.keys import VaultKey

# Regions on a page; each kab/kota has two keys.
PAGE = 40
_NO_KAB = N_("Pilih satu kab/kota dari daftar.")
_HAS_KEYS = N_("Kab/kota ini sudah punya kunci.")


@dataclass(frozen=True, slots=True)
class Key:
    """One key. age: whole days. old: past ``OLD_KEY``."""

    purpose: str
    scope: str
    epoch: int
    made_at: datetime
    age: int
    old: bool


@dataclass(frozen=True, slots=True)
class Provider:
    """The key provider, as it answers now. line: its own words."""

    works: bool
    line: str


@dataclass(frozen=True, slots=True)
class LogKey:
    """The public half of the log's signing key. vkey: for C2SP tools. fingerprint: SHA-256 of the 32-byte public key, hex, in fours."""

    vkey: str
    key_id: str
    fingerprint: str


def keys(room: Admin, now: datetime, *, after: str = "") -> tuple[list[Key], str]:
    """Return the keys of up to ``PAGE`` regions, the nation's first, and the region after which the next page begins ("" : nowhere)."""
    scopes = select(VaultKey.scope).distinct().where(VaultKey.scope > after).order_by(VaultKey.scope).limit(PAGE + 1)
    with room.identity.store.reading() as session:
        found = list(session.scalars(scopes))
        query = select(VaultKey.purpose, VaultKey.scope, VaultKey.epoch, VaultKey.created_at).where(VaultKey.scope.in_(found[:PAGE]))
        rows = session.execute(query.order_by(VaultKey.scope, VaultKey.purpose, VaultKey.epoch.desc())).all()
    shown = [
        Key(purpose, scope, epoch, made, (now - made).days, now - made > OLD_KEY)
        for purpose, scope, epoch, made in rows
    ]  # fmt: skip
    return shown, found[PAGE - 1] if len(found) > PAGE else ""


def provider(room: Admin) -> Provider:
    """Return whether the key provider wraps and unwraps now."""
    try:
        return Provider(True, room.guard.keys.health())
    except KeysDown as down:
        return Provider(False, down.detail)


def log_key(room: Admin) -> LogKey:
    """Return the log's public key."""
    vkey = room.guard.trail.vkey
    _name, key_id, raw = vkey.split("+", 2)
    digest = hashlib.sha256(unbase64(raw)[1:]).hexdigest()
    return LogKey(vkey, key_id, " ".join(digest[at : at + 4] for at in range(0, len(digest), 4)))


def without_keys(room: Admin) -> Sequence[str]:
    """Return the codes of the kab/kota that have no keys yet, sorted."""
    with room.identity.store.reading() as session:
        there = set(session.scalars(select(VaultKey.scope).where(VaultKey.purpose.in_(custody_keys.LOCAL)).distinct()))
    return [kab for kab in room.identity.places.kabs() if kab not in there]


def with_keys(room: Admin) -> Sequence[str]:
    """Return the codes of the kab/kota that have keys, sorted."""
    with room.identity.store.reading() as session:
        return list(session.scalars(select(VaultKey.scope).where(VaultKey.purpose == "seal").distinct().order_by(VaultKey.scope)))


def parse_kab(room: Admin, text: str) -> str:
    """Return a kab/kota of the official table. Raises BadInput (field ``region``)."""
    kab = text.strip()
    if kab_of(kab) != kab or room.identity.places.name(kab) is None:
        raise BadInput("not a kab/kota", field="region", public=_NO_KAB)
    return kab


def make(room: Admin, actor: Actor, kab: str, rows: int | None, now: datetime) -> None:
    """Make the keys of *kab*, each with its entry. rows: expected size of its roll, which sets the width of its indexes.

    Raises Conflict when it has them already, TrailDown, StoreDown, KeysDown.
    """
    expected = rows or custody_keys.DEFAULT_ROWS
    if not custody_keys.ensure(room.guard, actor, kab, custody_keys.LOCAL, now, expected_rows=expected):
        raise Conflict(f"{kab} has its keys", public=_HAS_KEYS)
