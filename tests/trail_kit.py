"""What tests of the log share: a signing key, drafts, and a stand-in for the vault's payload box."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from app.audit.content import pack, visit_commitment
from app.audit.entry import Draft, draft_for, subjects_root
from app.audit.note import Signer
from app.audit.trail import Faults, Trail
from app.audit.verify import Report, StoredPayload, verify
from app.kernel.actor import Actor
from app.kernel.errors import SealBroken
from app.kernel.fields import Action, Outcome, Role
from app.kernel.ids import encode_uid
from app.kernel.payload import SealedPayload
from app.store.base import Base
from app.store.engine import Store

ORIGIN = "uji.localhost/gardu/1"
SIGNER = Signer(ORIGIN, hashlib.sha256(b"a signing key for tests").digest())
NOON = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
TABLES = (
    "trail_entry", "trail_payload", "trail_checkpoint", "touch_index", "trail_head",
    "trail_tile", "trail_published", "trail_cosignature", "trail_stamp", "trail_halt",
)  # fmt: skip


class FakeBox:
    """Seals nothing: an HMAC over the content in the clear, with the same seams as the vault's payload box."""

    def __init__(self, secret: bytes = b"fake audit key") -> None:
        self._secret = secret

    def _mac(self, *parts: bytes) -> bytes:
        return hmac.new(self._secret, b"".join(len(part).to_bytes(4, "big") + part for part in parts), hashlib.sha256).digest()

    def seal(self, content: bytes, uids: Iterable[str], at: datetime, log: str) -> SealedPayload:
        day, key = at.strftime("%Y-%m-%d"), hashlib.sha256(content).digest()
        sealed = content + self._mac(b"sealed", key, content)
        return SealedPayload(
            day=day,
            wrapped=key + self._mac(b"wrap", day.encode(), log.encode(), key),
            sealed=sealed,
            sha256=hashlib.sha256(sealed).digest(),
            commitment=self._mac(b"commit", key),
            tokens=tuple(self.token(uid) for uid in uids),
        )

    def open(self, stored: StoredPayload) -> bytes:
        key, mark = stored.wrapped[:32], stored.wrapped[32:]
        content = stored.sealed[:-32]
        same = (
            hmac.compare_digest(mark, self._mac(b"wrap", stored.day.encode(), ORIGIN.encode(), key)),
            hmac.compare_digest(stored.commitment, self._mac(b"commit", key)),
            hmac.compare_digest(stored.sealed[-32:], self._mac(b"sealed", key, content)),
        )
        if not all(same):
            raise SealBroken(f"payload of entry {stored.seq}")
        return content

    def token(self, uid: str) -> bytes:
        return self._mac(b"token", uid.encode())


BOX = FakeBox()
ACTOR = Actor(
    uid=encode_uid(bytes(range(16))),
    office="kpu-51.71",
    unit="data",
    role=Role.KPU_KAB,
    roles=frozenset({Role.KPU_KAB}),
    region="51.71",
    request="req-1",
    session="ses-1",
)


def uid_of(number: int) -> str:
    """Return the public id of an invented voter."""
    return "51.71-" + encode_uid(hashlib.sha256(b"voter %d" % number).digest()[:16])


def draft(number: int = 0, **members: object) -> Draft:
    """Return a plain entry without payload: login number *number*."""
    given: dict[str, object] = {
        "at": NOON + timedelta(seconds=number),
        "actor": f"host:{number % 7}",
        "action": Action.SESSION_LOGIN,
        "outcome": Outcome.ALLOWED,
        "request": f"req-{number}",
        **members,
    }
    return Draft(**given)  # type: ignore[arg-type]


def touch(number: int = 0, subjects: int = 1, box: FakeBox = BOX) -> tuple[Draft, SealedPayload]:
    """Return a reveal of *subjects* voters with its payload, as the touch would make it."""
    at, salt, visit = NOON + timedelta(seconds=number), hashlib.sha256(b"salt %d" % number).digest(), b'{"visit":"canonical"}'
    uids = [uid_of(number * 1000 + one) for one in range(subjects)]
    made = draft_for(
        ACTOR,
        Action.VOTER_REVEAL,
        Outcome.ALLOWED,
        at,
        election="2029",
        stage="dps",
        purpose="pemutakhiran",
        basis="pkpu7_2022",
        policy=hashlib.sha256(b"policy").hexdigest(),
        rule=("kpu-kab-pemutakhiran", "larang-khusus"),
        scope="51.71",
        fields={"nik": "utuh", "nama": "utuh", "disabilitas": "ringkas"},
        subjects=(subjects, subjects_root(salt, uids)),
        visit=visit_commitment(salt, visit),
        assurance={"method": "totp", "age": 12, "challenge": None},
    )
    content = pack(salt=salt, subjects=uids, visit=visit, address="192.0.2.7")
    return made, box.seal(content, uids, at, ORIGIN)


def mixed(count: int) -> list[tuple[Draft, SealedPayload | None]]:
    """Return *count* entries of every kind that the log knows: with and without payload, with no, one and several subjects."""
    kinds = (lambda n: (draft(n), None), lambda n: touch(n), lambda n: touch(n, 3), lambda n: touch(n, 0))
    return [kinds[number % 4](number) for number in range(count)]


def trail_on(store: Store, *, faults: Faults | None = None, signer: Signer = SIGNER) -> Trail:
    """Return a trail on *store*."""
    return Trail(store, signer.name, signer) if faults is None else Trail(store, signer.name, signer, faults=faults)


def fill(store: Store, entries: Sequence[tuple[Draft, SealedPayload | None]]) -> None:
    """Append *entries* one by one, so that every one has its own checkpoint."""
    trail = trail_on(store)
    for made, payload in entries:
        trail.append(made, payload)
    trail.close()


def bare_sqlite(path: Path) -> Store:
    """Return a SQLite store with the tables but without triggers: what somebody with the file can do."""
    import app.audit.tables

    assert app.audit.tables
    store = Store(f"sqlite:///{path}")
    Base.metadata.create_all(store.engine)
    return store


def check(store: Store, *, keys: bool = True, known: Sequence[str] = (), log: str = ORIGIN) -> Report:
    """Verify with the stand-in's keys, or without any."""
    if not keys:
        return verify(store, log, SIGNER.vkey, known=known)
    return verify(store, log, SIGNER.vkey, open_payload=BOX.open, token=BOX.token, known=known)


def run(store: Store, *statements: str, **values: object) -> None:
    """Run SQL as the database's owner would."""
    with store.writing() as session:
        for statement in statements:
            session.execute(text(statement), values)


def scalar(store: Store, statement: str, **values: object) -> object:
    """Return one value."""
    with store.reading() as session:
        return session.execute(text(statement), values).scalar_one()


def dice(seed: int) -> random.Random:
    """Return a generator that repeats itself."""
    return random.Random(seed)


@pytest.fixture
def owner(store: Store, request: pytest.FixtureRequest) -> Iterator[Store]:
    """The same database without its guards: triggers dropped, opened as its owner."""
    if store.dialect == "sqlite":
        opened = Store(store.engine.url.render_as_string(hide_password=False))
        names = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        with opened.writing() as session:
            for name in session.execute(text(names)).scalars().all():
                session.execute(text(f"DROP TRIGGER {name}"))
    else:
        opened = Store(request.getfixturevalue("postgres").url(store.engine.url.database))
        run(opened, *(f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in TABLES))
    yield opened
    opened.dispose()
