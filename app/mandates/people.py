"""Who can decide a request, and what people are called."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.identity.rules import stored_roles
from app.identity.tables import Account
from app.kernel.fields import Role
from app.mandates.rules import covers


@dataclass(frozen=True, slots=True)
class Official:
    """Somebody with an account, as colleagues know them."""

    uid: str
    name: str
    office: str
    unit: str


def approvers(session: Session, region: str, *, beside: str) -> list[Official]:
    """Return the enabled approvers of KPU offices whose region holds *region*, all but *beside* (an account uid), by unit and name."""
    query = (
        select(Account)
        .where(Account.disabled_at.is_(None), Account.uid != beside, Account.roles.contains(Role.PENYETUJU.value))
        .order_by(Account.unit, Account.name)
    )
    found = [account for account in session.scalars(query) if covers(account.office, region)]
    return [_official(account) for account in found if Role.PENYETUJU in stored_roles(account.roles)]


def are_enough(found: Collection[Official]) -> bool:
    """Say whether two of *found* can decide: two people of two units."""
    return len({one.unit for one in found}) >= 2


def officials(session: Session, uids: Collection[str]) -> dict[str, Official]:
    """Return who the account *uids* are; a process of the machine is not among them."""
    query = select(Account).where(Account.uid.in_(set(uids)))
    return {account.uid: _official(account) for account in session.scalars(query)}


def _official(account: Account) -> Official:
    return Official(account.uid, account.name, account.office, account.unit)
