"""An officer's saved views: questions to the trail kept under a name.

Nothing is sealed, for no authority comes of a view: opened, it is read again as if it had been typed, under the jurisdiction of whoever
opens it. Who changes a row in the database can show an officer another question, never an entry that the officer might not have read.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.identity.tables import Account
from app.kernel.actor import Actor
from app.kernel.errors import N_, BadInput, Conflict, NotThere
from app.kernel.ids import new_uid
from app.oversight import asking
from app.oversight.asking import Asked
from app.oversight.room import Oversight
from app.oversight.tables import SavedView

# As many as one finds one's way among.
MOST = 50
NAME_MAX, QUERY_MAX = 80, 600
_TAKEN = N_("Sudah ada tampilan dengan nama itu. Pilih nama lain.")
_FULL = N_("Paling banyak 50 tampilan tersimpan. Hapus satu yang tidak dipakai lagi, lalu simpan.")
_NAME = N_("Isi nama dengan 1 sampai 80 huruf atau angka.")
_LONG = N_("Saringan ini terlalu panjang untuk disimpan. Kurangi isinya.")


@dataclass(frozen=True, slots=True)
class View:
    """A saved view as pages show it. query: unread; ``fields`` takes it apart."""

    uid: str
    name: str
    query: str
    made_at: datetime


def views(room: Oversight, actor: Actor) -> list[View]:
    """Return the views of *actor*, by name."""
    query = select(SavedView).where(SavedView.account == actor.uid, SavedView.gone_at.is_(None))
    with room.identity.store.reading() as session:
        found = [_view(one) for one in session.scalars(query)]
    return sorted(found, key=lambda one: (one.name.casefold(), one.name))


def find(room: Oversight, actor: Actor, uid: str) -> View:
    """Return a view of *actor*. Raises NotThere when it is somebody else's, deleted or absent: one answer."""
    with room.identity.store.reading() as session:
        return _view(_own(session, actor, uid))


def fields(view: View) -> dict[str, str]:
    """Return the filters that a view keeps, unread. Raises BadInput when somebody made them unreadable."""
    return asking.from_query(view.query)


def save(room: Oversight, actor: Actor, name: str, asked: Asked, now: datetime) -> str:
    """Keep *asked* under *name* and return the view's uid.

    Raises BadInput (field ``name``) for an unusable name, one that is taken, a fifty-first view, or filters beyond QUERY_MAX characters.
    """
    wanted, query, uid = parse_name(name), asking.query_of(asked.given), new_uid()
    if len(query) > QUERY_MAX:
        raise BadInput("the query is too long", field="name", public=_LONG)
    with _named(), room.identity.store.writing() as session:
        # One officer's views are counted by one request at a time.
        session.execute(select(Account.uid).where(Account.uid == actor.uid).with_for_update())
        mine = SavedView.account == actor.uid
        session.execute(delete(SavedView).where(mine, SavedView.name == wanted, SavedView.gone_at.is_not(None)))
        if (session.scalar(select(func.count()).where(mine, SavedView.gone_at.is_(None))) or 0) >= MOST:
            raise BadInput("too many views", field="name", public=_FULL)
        session.add(SavedView(uid=uid, account=actor.uid, name=wanted, query=query, made_at=now, gone_at=None))
    return uid


def rename(room: Oversight, actor: Actor, uid: str, name: str) -> None:
    """Give a view another name. Raises NotThere, BadInput (field ``name``) as ``save``."""
    wanted = parse_name(name)
    with _named(), room.identity.store.writing() as session:
        view = _own(session, actor, uid)
        session.execute(delete(SavedView).where(SavedView.account == actor.uid, SavedView.name == wanted, SavedView.gone_at.is_not(None)))
        view.name = wanted


def remove(room: Oversight, actor: Actor, uid: str, now: datetime) -> None:
    """Delete a view; the one deleted before it is gone for good. Raises NotThere."""
    with room.identity.store.writing() as session:
        view = _own(session, actor, uid)
        session.execute(delete(SavedView).where(SavedView.account == actor.uid, SavedView.gone_at.is_not(None)))
        view.gone_at = now


def last_removed(room: Oversight, actor: Actor) -> View | None:
    """Return the view that can be brought back, or None."""
    with room.identity.store.reading() as session:
        gone = session.scalar(select(SavedView).where(SavedView.account == actor.uid, SavedView.gone_at.is_not(None)))
        return None if gone is None else _view(gone)


def restore(room: Oversight, actor: Actor, uid: str) -> None:
    """Bring a deleted view back. Raises NotThere when it is not there any more, Conflict when there are too many by now."""
    with room.identity.store.writing() as session:
        session.execute(select(Account.uid).where(Account.uid == actor.uid).with_for_update())
        view = _own(session, actor, uid, gone=True)
        mine = select(func.count()).where(SavedView.account == actor.uid, SavedView.gone_at.is_(None))
        if (session.scalar(mine) or 0) >= MOST:
            raise Conflict("too many views", public=_FULL)
        view.gone_at = None


def parse_name(text: str) -> str:
    """Return a view's name, spaces put in order. Raises BadInput (field ``name``) for an empty, long or unprintable one."""
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not 1 <= len(name) <= NAME_MAX or not name.isprintable():
        raise BadInput("not a name", field="name", public=_NAME)
    return name


def _own(session: Session, actor: Actor, uid: str, *, gone: bool = False) -> SavedView:
    view = session.get(SavedView, uid)
    if view is None or view.account != actor.uid or (view.gone_at is not None) is not gone:
        raise NotThere("no such view of this officer")
    return view


def _view(row: SavedView) -> View:
    return View(row.uid, row.name, row.query, row.made_at)


@contextmanager
def _named() -> Iterator[None]:
    """Turn the refusal of a second view of one name into a sentence."""
    try:
        yield
    except IntegrityError:
        raise BadInput("the name is taken", field="name", public=_TAKEN) from None
