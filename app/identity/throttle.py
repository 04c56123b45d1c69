"""Counts failures in the database, atomically, and fails closed: without a count there is no attempt.

Passwords are counted before the costly check (a ticket, given back on success), so that a thousand parallel guesses are a
thousand tickets. Codes are judged and counted in one transaction that holds the account's row (``app.identity.totp``).
Subjects are account uids or keyed tokens: neither a typed username nor an address stands in the database.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.identity import rules
from app.identity.rules import Limit
from app.identity.tables import FailureCount
from app.kernel.errors import StoreDown, TooMany
from app.store.engine import Store
from app.vault.house import KeyHouse

PASSWORD, ADDRESS, FACTOR = "password", "address", "factor"
LIMITS: Mapping[str, tuple[Limit, ...]] = {
    PASSWORD: rules.PASSWORD_LIMITS,
    ADDRESS: rules.ADDRESS_LIMITS,
    FACTOR: rules.FACTOR_LIMITS,
}
# One household or office holds a whole IPv6 /64 (RFC 6177); counting single addresses would count nothing.
_V6_PREFIX = 64


@dataclass(frozen=True, slots=True)
class Ticket:
    """Attempts counted in advance; give it back with ``refund`` when the attempt was right. buckets: (kind, subject, window, slot)."""

    buckets: tuple[tuple[str, str, int, int], ...]


def subject_token(keys: KeyHouse, kind: str, text: str) -> str:
    """Return the keyed token (64 hex digits) that stands for a username or an address. Raises KeysDown."""
    secret = keys.key("session", "00").secret
    return hmac.new(secret, f"throttle/{kind}/{text}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def network(address: str) -> str:
    """Return the address, or its /64 when it is IPv6; anything else unchanged."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, _V6_PREFIX), strict=False))
    return str(parsed)


def reserve(store: Store, subjects: Sequence[tuple[str, str]], now: datetime) -> Ticket:
    """Count one attempt for each (kind, subject), in one transaction that is durable before this returns.

    Raises TooMany when one of them has reached its limit (then nothing is counted), StoreDown when it cannot be counted.
    """
    with fail_closed(), store.writing() as session:
        buckets = [bucket for kind, subject in subjects for bucket in count(session, kind, subject, now)]
        for kind, subject in subjects:
            _refuse_over(session, kind, subject, now, counted=1)
    return Ticket(tuple(buckets))


def count(session: Session, kind: str, subject: str, now: datetime) -> list[tuple[str, str, int, int]]:
    """Add one failure in the caller's transaction; return the buckets it went into."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    buckets = []
    for limit in LIMITS[kind]:
        key = (kind, subject, limit.bucket, _epoch(now) // limit.bucket)
        row = insert(FailureCount).values(kind=kind, subject=subject, window=limit.bucket, slot=key[3], count=1)
        session.execute(
            row.on_conflict_do_update(index_elements=["kind", "subject", "window", "slot"], set_={"count": FailureCount.count + 1})
        )
        buckets.append(key)
    return buckets


def refuse(session: Session, kind: str, subject: str, now: datetime) -> None:
    """Raise TooMany when *subject* may not try again yet. The caller holds a lock that serialises its attempts."""
    _refuse_over(session, kind, subject, now, counted=0)


def refund(session: Session, ticket: Ticket) -> None:
    """Take the attempts of *ticket* back in the caller's transaction: they were right."""
    for kind, subject, window, slot in ticket.buckets:
        session.execute(
            update(FailureCount)
            .where(FailureCount.kind == kind, FailureCount.subject == subject, FailureCount.window == window, FailureCount.slot == slot)
            .where(FailureCount.count > 0)
            .values(count=FailureCount.count - 1)
        )


def forget(session: Session, kind: str, subject: str) -> None:
    """Drop what was counted of one subject; only for an administrator's reset."""
    session.execute(delete(FailureCount).where(FailureCount.kind == kind, FailureCount.subject == subject))


def tidy(store: Store, now: datetime) -> None:
    """Drop buckets that no limit looks at any more, in a transaction of its own; when that fails, the next one does it."""
    try:
        with fail_closed(), store.writing() as session:
            _prune(session, now)
    except StoreDown:
        return


def _prune(session: Session, now: datetime) -> None:
    for kind, limits in LIMITS.items():
        for limit in limits:
            oldest = _epoch(now) // limit.bucket - limit.buckets
            session.execute(
                delete(FailureCount).where(FailureCount.kind == kind, FailureCount.window == limit.bucket, FailureCount.slot < oldest)
            )


def _refuse_over(session: Session, kind: str, subject: str, now: datetime, *, counted: int) -> None:
    at = _epoch(now)
    for limit in LIMITS[kind]:
        rows = session.execute(
            select(FailureCount.slot, FailureCount.count).where(
                FailureCount.kind == kind,
                FailureCount.subject == subject,
                FailureCount.window == limit.bucket,
                FailureCount.slot > at // limit.bucket - limit.buckets,
            )
        )
        counts = dict(rows.all())
        # Our own attempt, counted a moment ago, is not a failure yet.
        counts[at // limit.bucket] = counts.get(at // limit.bucket, 0) - counted
        if wait := rules.wait_seconds(counts, limit, at):
            raise TooMany(f"{kind}: {limit.most} failures in {limit.within} s", wait=wait)


def _epoch(now: datetime) -> int:
    return int(now.timestamp())


@contextmanager
def fail_closed() -> Iterator[None]:
    """Turn whatever the database says into StoreDown: an attempt that cannot be counted is no attempt."""
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreDown(f"failure counters: {type(error).__name__}") from None
