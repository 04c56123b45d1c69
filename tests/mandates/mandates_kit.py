"""The people of a desk, and the steps they take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.cli.shell import host_actor
from app.factory import House
from app.identity import accounts
from app.identity.passwords import Hasher
from app.kernel.actor import Actor
from app.kernel.fields import Basis, Element, Purpose, Role, Stage, View
from app.mandates import actions
from app.mandates.actions import Decision, Wish
from app.mandates.room import Mandates
from app.mandates.rows import Held, Request
from app.mandates.rules import State, Terms
from tests.conftest import KAB
from tests.walk_kit import entries

NIK = frozenset({Element.NIK, Element.TANGGAL_LAHIR, Element.JENIS_KELAMIN})
KEC, DESA, NEXT_DOOR = "51.71.01", "51.71.01.1001", "51.71.01.1002"
REASON = "Uji petik ganda pada daftar pemilih sementara bersama Panwascam."
# name → role, office, unit
PEOPLE = {
    "liaison": (Role.BAWASLU_KAB, "bawaslu-51.71", "pengawasan"),
    "colleague": (Role.BAWASLU_KAB, "bawaslu-51.71", "pengawasan"),
    "operator": (Role.KPU_KAB, "kpu-51.71", "data"),
    "data1": (Role.PENYETUJU, "kpu-51.71", "data"),
    "data2": (Role.PENYETUJU, "kpu-51.71", "data"),
    "hukum": (Role.PENYETUJU, "kpu-51.71", "hukum"),
    "provinsi": (Role.PENYETUJU, "kpu-51", "keamanan"),
    "neighbour": (Role.PENYETUJU, "kpu-51.03", "hukum"),
    "officer": (Role.PETUGAS_KEAMANAN, "kpu-00", "keamanan"),
    "pdp": (Role.PEJABAT_PDP, "kpu-00", "hukum"),
}


@dataclass
class Desk:
    """A house and its people."""

    house: House
    people: dict[str, Actor]

    @property
    def room(self) -> Mandates:
        return self.house.mandates

    @property
    def now(self) -> datetime:
        return self.house.clock.now()

    def who(self, name: str, **changes: object) -> Actor:
        return replace(self.people[name], factor_at=self.now, **changes)  # type: ignore[arg-type]  # a test's own choice

    def submit(self, name: str = "liaison", **changes: object) -> str:
        return actions.submit(self.room, self.who(name), wish(self.now, **changes), self.now)

    def decide(self, name: str, uid: str, version: int | None = None, *, terms: Terms | str | None = "left", reason: str = "") -> State:
        request = self.seen(uid)
        left = request.left if terms == "left" else terms
        assert not isinstance(left, str)
        decision = Decision(request.version if version is None else version, left, reason)
        return actions.decide(self.room, self.who(name), uid, decision, self.now)

    def granted(self, **changes: object) -> str:
        """A mandate in force: asked by the liaison, approved by two."""
        uid = self.submit(**changes)
        self.decide("data1", uid)
        assert self.decide("hukum", uid) is State.ACTIVE
        return uid

    def seen(self, uid: str) -> Request:
        return actions.find(self.room, self.who("officer"), uid, self.now)

    def active(self, name: str = "liaison") -> list[Held]:
        return actions.active(self.room, self.people[name].uid, self.now)

    def said(self, uid: str | None = None) -> list[tuple[object, object, object]]:
        """(action, outcome, rule) of the desk's entries, of one request when told."""
        found = [one for one in entries(self.house) if str(one["action"]).startswith(("request:", "mandate:"))]
        return [(one["action"], one["outcome"], one["rule"]) for one in found if uid is None or one["mandate"] == uid]

    @property
    def last(self) -> tuple[object, object, object]:
        return self.said()[-1]


def people_of(house: House) -> dict[str, Actor]:
    """Make an account for everybody of PEOPLE."""
    cheap = replace(house.identity, hasher=Hasher(memory_kib=8, passes=1, lanes=1))
    made = {}
    for name, (role, office, unit) in PEOPLE.items():
        uid, _ = accounts.create(
            cheap, host_actor(), username=f"uji.{name}", name=f"Orang {name}", office=office, unit=unit, roles=[role.value],
            now=house.clock.now(),
        )  # fmt: skip
        made[name] = Actor(
            uid=uid, office=office, unit=unit, role=role, roles=frozenset({role}), region=office.partition("-")[2], request="r" * 26,
            session="s" * 26, method="totp", address="192.0.2.1",
        )  # fmt: skip
    return made


def terms(
    now: datetime, region: str = KEC, elements: Iterable[Element] = (Element.NIK,), view: View = View.UTUH, days: float = 14
) -> Terms:
    return Terms(region, frozenset(elements), view, now + timedelta(days=days))


def wish(now: datetime, **changes: object) -> Wish:
    """The liaison asks for NIK in full in one kecamatan, or what *changes* say."""
    asked = {name: changes.pop(name) for name in ("region", "elements", "view", "days") if name in changes}
    made = Wish(
        Purpose.PENGAWASAN, Basis.UU7_2017, frozenset({Stage.DPS}), terms(now, **asked), "094/PM.00.02/BA-07/XI/2026", REASON,  # type: ignore[arg-type]
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]  # a test's own choice


def subject_wish(subject: str) -> dict[str, object]:
    """What the data protection officer asks for about one voter."""
    return {
        "purpose": Purpose.PERMINTAAN_SUBJEK, "basis": Basis.UU27_2022, "subject": subject, "region": KAB,
        "elements": tuple(Element),
    }  # fmt: skip
