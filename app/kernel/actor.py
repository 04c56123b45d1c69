"""Who is asking, and what for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime

from app.kernel.fields import Basis, Purpose, Role, Stage
from app.kernel.ids import new_uid
from app.kernel.regions import NATION

# Stands for "no factor was ever given for this purpose"; far above every limit in the policies.
NEVER = 10**9


@dataclass(frozen=True, slots=True)
class Actor:
    """The person or process behind one request.

    uid: account uid (26 base32 characters) or ``host:<os uid>``. office: e.g. ``kpu-51.71``; region: its jurisdiction
    (``00`` for the nation). role: the one active role; roles: all held (forbids look at all). session: session uid, never
    the cookie's secret. method: ``totp``, ``host`` or None. factor_at: when the last factor was given, aware UTC, and
    factor_purpose: the purpose it was given for. request: id of this request. address: client address, sealed payload only.
    """

    uid: str
    office: str
    unit: str
    role: Role
    roles: frozenset[Role]
    region: str
    request: str
    session: str | None = None
    method: str | None = None
    factor_at: datetime | None = None
    factor_purpose: Purpose | None = None
    address: str | None = None

    def factor_age(self, purpose: Purpose, now: datetime) -> int:
        """Return the whole seconds since the factor was given for *purpose*, or NEVER.

        A factor from the future (the clock stepped back) counts as NEVER.
        """
        if self.factor_at is None or (self.factor_purpose is not None and self.factor_purpose != purpose):
            return NEVER
        age = int((now - self.factor_at).total_seconds())
        return age if age >= 0 else NEVER


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked: one purpose, one legal basis, one region, one election at one stage."""

    purpose: Purpose
    basis: Basis
    region: str
    election: str
    stage: Stage


def host_actor() -> Actor:
    """Return this process as an actor, as a command on the machine is (``host:<os uid>``, role proses); it never reveals."""
    return Actor(
        uid=f"host:{os.getuid()}",
        office="kpu-00",
        unit="data",
        role=Role.PROSES,
        roles=frozenset({Role.PROSES}),
        region=NATION,
        request=new_uid(),
        method="host",
    )
