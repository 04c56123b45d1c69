"""Records what is done with the provider key itself: made, split into shares, shares tried, keyring restored. Never what it is."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from enum import StrEnum

from app.audit.canonical import Json, canonical
from app.audit.content import pack
from app.audit.entry import draft_for
from app.audit.trail import Receipt
from app.kernel.actor import Actor
from app.kernel.fields import Action, Outcome
from app.kernel.regions import NATION
from app.touch import Guard

DETAIL = "key-ceremony"
_SALT_BYTES = 16


class Act(StrEnum):
    """What was done."""

    KEY_MADE = "key-made"
    SHARES_MADE = "shares-made"
    SHARES_CHECKED = "shares-checked"
    KEYRING_RECOVERED = "keyring-recovered"
    PASSPHRASE_CHANGED = "passphrase-changed"  # noqa: S105  a word of the vocabulary


def record(guard: Guard, actor: Actor, act: Act, key: str, now: datetime, **numbers: int) -> Receipt:
    """Write the entry ``key:open`` of a ceremony; the act itself comes after it. key: the provider key's name. numbers: of its shares.

    Raises TrailDown, KeysDown, StoreDown: then nothing may be done.
    """
    said: dict[str, Json] = {"act": act.value, "key": key, **numbers}
    digest = hashlib.sha256(canonical(said)).digest()
    content = pack(salt=secrets.token_bytes(_SALT_BYTES), v=1, address=actor.address, ceremony=said)
    draft = draft_for(actor, Action.KEY_OPEN, Outcome.DONE, now, scope=NATION, detail=(DETAIL, digest))
    return guard.trail.append(draft, guard.payloads.seal(content, (), now, guard.log))
