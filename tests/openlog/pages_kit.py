"""The pages of the public log over HTTP: a house in each state, its people, and a stranger without an account."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from app.audit import published
from app.audit.cosign import Cosigner
from app.audit.note import split_note
from app.audit.proof import tlog_proof
from app.audit.published import Cosignature, Halt, Published
from app.audit.quorum import policy_text
from app.audit.tables import TrailStamp
from app.factory import House
from app.kernel.fields import Role
from app.openlog.publisher import publish
from tests.admin.admin_kit import Desk, Site
from tests.openlog.openlog_kit import BAWASLU, OTHER, append, install_list

# Nobody listens there, and the refusal comes at once.
AWAY = "http://127.0.0.1:1"
ONE = policy_text({"bawaslu": (BAWASLU.vkey, AWAY)})
BOTH = policy_text({"bawaslu": (BAWASLU.vkey, AWAY), "kampus": (OTHER.vkey, AWAY)})
EITHER = policy_text({"bawaslu": (BAWASLU.vkey, AWAY), "kampus": (OTHER.vkey, AWAY)}, 1)
NONE = "quorum none\n"
REASON = "Surat Bawaslu 12/2026"


class Pages(Site):
    """The site over a house, with an administrator, an officer, an operator, a liaison of Bawaslu, and a stranger."""

    def __init__(self, house: House) -> None:
        desk = Desk(house)
        desk.join("officer2", Role.PETUGAS_KEAMANAN, "kpu-00", "keamanan")
        desk.join("liaison", Role.BAWASLU_KAB, "bawaslu-51.71", "pengawasan")
        super().__init__(desk)
        self.browsers["stranger"] = self.app.test_client()

    @property
    def now(self) -> datetime:
        return self.house.clock.now()

    def look(self, path: str, name: str = "stranger") -> str:
        """Return the text of a page, which must open."""
        answer = self.get(name, path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[-2000:])
        return answer.text

    def check(self, **form: object) -> str:
        """Send a stranger's check and return the page."""
        return self.post("stranger", "/log/verify", "/log/verify", **form).text


def publish_now(house: House, entries: int = 2) -> Published:
    """Append some entries and publish."""
    append(house, entries)
    found = publish(house.openlog, house.clock.now())
    assert found is not None
    return found


def cosign(house: House, cosigner: Cosigner = BAWASLU, ago: timedelta = timedelta()) -> None:
    """Have a witness sign the newest published checkpoint, as of so long ago."""
    found = published.newest(house.store, house.guard.log)
    assert found is not None
    at = house.clock.now() - ago
    line = cosigner.sign(split_note(found.note)[0], int(at.timestamp()))
    one = Cosignature(found.size, cosigner.verifier.key_id.hex(), cosigner.name, line, at.replace(microsecond=0))
    published.put_published(house.store, house.guard.log, found, [one])


def witnessed(house: House, text: str = ONE) -> None:
    """Put a list in force, publish, and have Bawaslu sign."""
    install_list(house, text)
    publish_now(house)
    cosign(house)


def pending(house: House) -> None:
    """Have two people take the only witness away."""
    witnessed(house)
    house.clock.move(seconds=1)
    install_list(house, NONE)


def halted(house: House) -> None:
    """Stop the log, as a witness that has seen more would."""
    publish_now(house)
    published.halt(house.store, house.guard.log, Halt(99, "witness bawaslu has signed 99 entries", "", house.clock.now()))


def with_authority(house: House) -> House:
    """Return the house with a time-stamping authority set, which nobody asks here."""
    return replace(house, openlog=replace(house.openlog, timestamp_url="https://tsa.example/tsr"))


def stamped(house: House) -> None:
    """Keep a stamp of the newest published checkpoint."""
    found = published.newest(house.store, house.guard.log)
    assert found is not None
    with house.store.writing() as session:
        session.add(TrailStamp(log=house.guard.log, size=found.size, authority="https://tsa.example/tsr", token=b"-", at=house.clock.now()))


def receipt(house: House, seq: int = 0, *, with_witness: bool = False) -> str:
    """Return the receipt of an entry."""
    return tlog_proof(house.store, house.guard.log, seq, published=with_witness)
