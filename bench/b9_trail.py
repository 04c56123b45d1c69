"""B9: one page of the officer's log (/audit) with filters, beside the least that fifty rows of it could cost.

Sixty days of the offices of one province, entries of every common kind, in logs of 10⁴ entries and on by tens. They are filled past the
appender (``bench.longlog``). At each size the same questions are asked: over the web as a signed-in security officer, and of the query
alone.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import accumulate
from typing import cast
from urllib.parse import urlencode

from flask.testing import FlaskClient
from sqlalchemy import Table, select

from app.audit import desk
from app.audit.desk import Filter
from app.audit.entry import Members, draft_for
from app.audit.tables import TrailEntry
from app.cli.shell import host_actor
from app.factory import House, join, web_app
from app.identity import accounts, totp
from app.kernel.actor import Actor
from app.kernel.fields import ELEMENTS, Action, Basis, Element, Outcome, Purpose, Role
from app.kernel.ids import encode_uid
from app.kernel.regions import NATION, zone_of
from app.vault.keys.local import LocalKeyring
from bench.kit import ELECTION, KAB, NOW, PASSPHRASE, SEED, Bench, Line, growth, line, median, p95
from bench.longlog import Planned, Template, fill

ID = "B9"
FIRST, QUICK_FIRST = 10_000, 1_000
# web.md: a table with filters answers within this time.
GOAL = "≤ 300"
PAGE = 50
_DAYS = 60
_RUNS, _QUICK_RUNS = 30, 3
_PROVINCE = "51"
_KABS = ("51.01", "51.02", "51.03", "51.04", "51.05", "51.06", "51.07", "51.08", KAB)
_VOTERS, _OPERATORS, _LIAISONS = 20_000, 12, 4
# Planted: the only entry of somebody who left, and a refusal that every size has.
_LONG_AGO, _REFUSED = 100, 60
_USERNAME, PASSWORD = "bench.keamanan", "lumbung-pelita-7hd2k9"
_ENTRY = cast(Table, TrailEntry.__table__)


def run(bench: Bench) -> Iterator[Line]:
    """Yield every line of B9."""
    quick = bench.scale.repeats == 1
    sizes, runs = bench.scale.lengths(QUICK_FIRST if quick else FIRST), _QUICK_RUNS if quick else _RUNS
    for engine in bench.engines:
        took: dict[str, list[Took]] = {}
        for size in sizes:
            with _desk(bench, engine, size) as officer:
                bench.say(f"B9: {size} entries, filled past the appender, {engine}")
                begun = time.perf_counter()
                officer.fill.all_of_it(lambda done: None)
                rate = size / (time.perf_counter() - begun)
                officer.come_in()
                floor = officer.floor(runs)
                for question in officer.questions():
                    took.setdefault(question.name, []).append(officer.ask(question, floor, runs))
        yield line(ID, f"filling a log past the appender, {engine}", size, rate, "entries/s")
        yield from _lines(engine, sizes, took)


def _lines(engine: str, sizes: Sequence[int], took: Mapping[str, Sequence[Took]]) -> Iterator[Line]:
    most = sizes[-1]
    for name, found in took.items():
        last, work = found[-1], f"/audit, {name}, {engine}"
        yield line(ID, f"{work}: page, p95", most, last.p95, "ms", goal=GOAL)
        yield line(ID, f"{work}: page, ms ~ entries^k", most, growth(sizes, [one.page for one in found]), "k")
        yield line(ID, f"{work}: its query ÷ {PAGE} rows by number", most, last.query, "ms", floor=last.floor)


# ---- the questions ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """What an officer asks: the address's fields, and the same of the query. deep: of the page behind the first one."""

    name: str
    fields: Mapping[str, str]
    wanted: Filter
    deep: bool = False
    shows: Callable[[int], bool] = bool


@dataclass(frozen=True, slots=True)
class Took:
    """Milliseconds: of the page, median and 95th percentile; of its query and of the floor, median."""

    page: float
    p95: float
    query: float
    floor: float


@dataclass
class Browser:
    """Somebody at a client of the real application."""

    house: House
    username: str
    secret: str
    client: FlaskClient = field(init=False)

    def come_in(self) -> None:
        """Sign in."""
        self.client = web_app(self.house).test_client()
        self._post("/login", username=self.username, password=PASSWORD)
        self._post("/login/totp", code=totp.code_at(self.secret, totp.step_at(self.house.clock.now())))

    def _post(self, path: str, **form: str) -> None:
        page = self.get(path)
        token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
        answer = self.client.post(path, data={"csrf_token": token, **form}, base_url=self.house.settings.public_origin)
        assert answer.status_code == 303, (path, answer.status)

    def get(self, path: str) -> str:
        """Return a page's text. Raises AssertionError unless its status is 200."""
        answer = self.client.get(path, base_url=self.house.settings.public_origin)
        assert answer.status_code == 200, (path.partition("?")[0], answer.status)
        return answer.text


@dataclass
class Officer:
    """A security officer over a filled log."""

    house: House
    clock: Hand
    fill: Fill
    browser: Browser

    def come_in(self) -> None:
        """Sign in a moment after the log's last entry."""
        self.clock.moment = self.fill.moment(self.fill.size) + timedelta(minutes=1)
        self.browser.come_in()

    def questions(self) -> Iterator[Question]:
        """Yield what is asked at the present size of the log."""
        fill, end = self.fill, self.clock.now()
        voter, early = fill.voters[0], fill.begin + timedelta(hours=1)
        span, every = {"range": "all"}, Filter()

        def asked(name: str, wanted: Filter, shows: Callable[[int], bool] = bool, **given: str) -> Question:
            return Question(name, {**span, **given}, wanted, shows=shows)

        yield Question("no filter, the last 24 hours", {}, Filter(since=end - timedelta(days=1)))
        yield asked("no filter", every)
        yield Question("no filter, the next page", span, every, deep=True)
        yield asked("actor", replace(every, actor=fill.busy), actor=fill.busy)
        yield asked("action", replace(every, action=Action.VOTER_CHANGE), action=Action.VOTER_CHANGE)
        yield asked("outcome", replace(every, outcome=Outcome.DENIED), outcome=Outcome.DENIED)
        yield asked("office", replace(every, office="bawaslu-51.07"), office="bawaslu-51.07")
        yield asked("region", replace(every, region="51.07.01"), region="51.07.01")
        yield asked("element", replace(every, element=Element.DISABILITAS), element=Element.DISABILITAS)
        yield asked("purpose", replace(every, purpose=Purpose.PERMINTAAN_SUBJEK), purpose=Purpose.PERMINTAAN_SUBJEK)
        hours = Filter(since=early, until=early + timedelta(hours=6))
        yield asked("six hours, far back", hours, since=_stamp(early), until=_stamp(early + timedelta(hours=6)))
        token = self.house.guard.payloads.token(voter)
        yield asked("subject", replace(every, subject=token), subject=f"{KAB}-{voter}")
        together = {"action": Action.VOTER_REVEAL, "outcome": Outcome.DENIED, "region": KAB, "purpose": Purpose.PENGAWASAN}
        yield asked("action, outcome, region and purpose", replace(every, **together), **together)  # type: ignore[arg-type]
        yield asked("an actor with one entry, far back", replace(every, actor=fill.gone), actor=fill.gone)
        never = {"action": Action.KEY_ROTATE, "outcome": Outcome.ALLOWED}
        yield asked("nothing found", replace(every, **never), lambda count: count == 0, **never)  # type: ignore[arg-type]
        apart = {"action": Action.SESSION_LOGIN, "purpose": Purpose.PEMUTAKHIRAN}
        yield asked("two frequent words that never meet", replace(every, **apart), lambda count: count == 0, **apart)  # type: ignore[arg-type]
        shut = {"element": Element.KETERANGAN}
        yield asked("an element nobody opened", replace(every, **shut), lambda count: count == 0, **shut)  # type: ignore[arg-type]

    def ask(self, question: Question, floor: float, runs: int) -> Took:
        """Measure one question."""
        store, log = self.house.store, self.house.guard.log
        before = desk.entries(store, log, question.wanted, limit=PAGE).older if question.deep else None
        found = desk.entries(store, log, question.wanted, before=before, limit=PAGE)
        assert question.shows(len(found.entries)), question.name
        more = {"before": str(before)} if question.deep else {}
        path = f"/audit?{urlencode({**question.fields, **more})}"
        pages = repeat(lambda: self.browser.get(path), runs)
        query = repeat(lambda: desk.entries(store, log, question.wanted, before=before, limit=PAGE), runs)
        return Took(median(pages), p95(pages), median(query), floor)

    def floor(self, runs: int) -> float:
        """Return the milliseconds of PAGE rows by their numbers, spread over the log."""
        dice, log = random.Random(SEED), self.house.guard.log
        columns = (_ENTRY.c.seq, _ENTRY.c.leaf, _ENTRY.c.body)

        def fetch() -> None:
            numbers = dice.sample(range(self.fill.size), PAGE)
            with self.house.store.reading() as session:
                assert len(session.execute(select(*columns).where(_ENTRY.c.log == log, _ENTRY.c.seq.in_(numbers))).all()) == PAGE

        return median(repeat(fetch, runs))


def _stamp(moment: datetime) -> str:
    """Return a moment as the officer's form has it: on the clock of the office, which is Jakarta's for the nation."""
    return moment.astimezone(zone_of(NATION)).strftime("%Y-%m-%dT%H:%M")


def repeat(work: Callable[[], object], runs: int) -> list[float]:
    """Return the milliseconds of each run, after one that warms up; garbage is collected once, as a server would now and then."""
    work()
    gc.collect()
    took = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        took.append((time.perf_counter() - start) * 1000)
    return took


# ---- the house and its log --------------------------------------------------------------------------------------------------


@dataclass
class Hand:
    """A clock that stands where it is put."""

    moment: datetime

    def now(self) -> datetime:
        """Return where it stands."""
        return self.moment


@contextmanager
def _desk(bench: Bench, engine: str, most: int) -> Iterator[Officer]:
    with bench.house(engine) as installed:
        clock = Hand(NOW - timedelta(days=_DAYS))
        house = join(installed.settings, LocalKeyring.open(installed.settings.keyring, PASSPHRASE), clock)
        try:
            officer = _account(house, _USERNAME, "kpu-00", Role.PETUGAS_KEAMANAN)
            secret = accounts.enrol_by_hand(house.identity, host_actor(), officer, clock.now())
            busy, gone = (_account(house, name, f"kpu-{KAB}", Role.KPU_KAB) for name in ("bench.rajin", "bench.pergi"))
            yield Officer(house, clock, Fill(house, clock.now(), most, busy, gone), Browser(house, _USERNAME, secret))
        finally:
            house.close()


def _account(house: House, username: str, office: str, role: Role) -> str:
    """Make an account that the desk can be asked about; return its uid."""
    return accounts.create(
        house.identity, host_actor(), username=username, name="Orang Bench", office=office, unit="data", roles=(role,),
        now=house.clock.now(), password=PASSWORD, must_change=False,
    )[0]  # fmt: skip


@dataclass
class Fill:
    """Sixty days of log, *size* entries long, from *begin* on; made anew the same way every time but for keys.

    busy, gone: accounts of who does most, and of who has one entry.
    """

    house: House
    begin: datetime
    size: int
    busy: str
    gone: str
    dice: random.Random = field(default_factory=lambda: random.Random(SEED))

    def __post_init__(self) -> None:
        self.gap = timedelta(days=_DAYS) / self.size
        self.voters = [self._uid() for _ in range(_VOTERS)]
        self.tokens = [self.house.guard.payloads.token(uid) for uid in self.voters]
        first, *others = self._people()
        self.people = [replace(first, uid=self.busy), *others]
        # A few people do most of the work, as everywhere.
        self.weights = list(accumulate(1 / (1 + place) ** 0.7 for place in range(len(self.people))))
        self.desa = {kab: [desa for kec in self.house.places.children(kab) for desa in self.house.places.children(kec)] for kab in _KABS}
        self.templates: dict[tuple[object, ...], Template] = {}

    def moment(self, number: int) -> datetime:
        """Return when entry *number* of the fill was made."""
        return self.begin + self.gap * number

    def all_of_it(self, said: Callable[[int], None]) -> None:
        """Write the whole log."""
        fill(self.house, (self._event(number) for number in range(self.size)), said)

    def _uid(self) -> str:
        return encode_uid(self.dice.randbytes(16))

    def _people(self) -> Iterator[Actor]:
        def person(office: str, role: Role) -> Actor:
            region = office.partition("-")[2]
            return Actor(self._uid(), office, "data", role, frozenset({role}), region, request="", session=self._uid(), method="totp")

        for kab in reversed(_KABS):
            yield from (person(f"kpu-{kab}", Role.KPU_KAB) for _ in range(_OPERATORS))
            yield from (person(f"bawaslu-{kab}", Role.BAWASLU_KAB) for _ in range(_LIAISONS))
        yield from (person(f"kpu-{_PROVINCE}", Role.KPU_PROV) for _ in range(_LIAISONS))
        yield from (person("kpu-00", role) for role in (Role.PEJABAT_PDP, Role.PETUGAS_KEAMANAN, Role.ADMIN_SISTEM))

    def _event(self, number: int) -> Planned:
        at, dice = self.moment(number), self.dice
        if number == _LONG_AGO:
            return self._visit(replace(self.people[0], uid=self.gone), Action.VOTER_REVEAL, Outcome.ALLOWED, at, self.tokens[:1])
        if number == _REFUSED:
            return self._visit(self.people[_OPERATORS], Action.VOTER_REVEAL, Outcome.DENIED, at, ())
        who = dice.choices(self.people, cum_weights=self.weights)[0]
        [(action, outcome, most)] = dice.choices(_KINDS_ALONE, cum_weights=_OFTEN)
        if action in _VISITS:
            return self._visit(who, action, outcome, at, dice.sample(self.tokens, most))
        return self._other(who, action, outcome), at, ()

    def _visit(self, who: Actor, action: Action, outcome: Outcome, at: datetime, tokens: Sequence[bytes]) -> Planned:
        """What the touch appends: a visit with its subjects."""
        region = who.region if who.region in self.desa else KAB
        scope = region if action == Action.VOTER_SEARCH or outcome != Outcome.ALLOWED else self.dice.choice(self.desa[region])
        rare = outcome == Outcome.ALLOWED and self.dice.random() < _WITH_DISABILITY
        known = (who.uid, action, outcome, scope, rare, len(tokens))
        if known not in self.templates:
            self.templates[known] = self._template(who, action, outcome, scope, rare, len(tokens))
        return self.templates[known], at, tokens

    def _template(self, who: Actor, action: Action, outcome: Outcome, scope: str, rare: bool, count: int) -> Template:
        shown = {element.value: "utuh" if element.number < 11 else "ada" for element in ELEMENTS} if outcome == Outcome.ALLOWED else None
        if shown and rare:
            shown[Element.DISABILITAS] = "ringkas"
        purpose = _PURPOSES.get(who.role, Purpose.PEMUTAKHIRAN)
        members: Members = {
            "election": ELECTION, "stage": "dps", "purpose": purpose, "basis": Basis.PKPU7_2022, "policy": self.house.guard.policies.hash,
            "scope": scope, "rule": (f"{who.role}-{purpose}".replace("_", "-"),), "fields": shown,
            "subjects": (count, self.dice.randbytes(32)) if count else None, "visit": self.dice.randbytes(32),
            "assurance": {"method": "totp", "age": 12, "challenge": None},
        }  # fmt: skip
        return Template.of(draft_for(replace(who, request=self._uid()), action, outcome, self.begin, **members), self.house.guard.log)

    def _other(self, who: Actor, action: Action, outcome: Outcome) -> Template:
        """What the doors and desks append: no subject."""
        known = (who.uid, action, outcome)
        if known not in self.templates:
            region = KAB if action == Action.REQUEST_SUBMIT else None
            draft = draft_for(replace(who, request=self._uid()), action, outcome, self.begin, scope=region)
            self.templates[known] = Template.of(draft, self.house.guard.log)
        return self.templates[known]


# (action, outcome, subjects) → how often in a hundred entries. Lists name few voters here: their touches are what B10 measures.
_KINDS: dict[tuple[Action, Outcome, int], float] = {
    (Action.VOTER_REVEAL, Outcome.ALLOWED, 1): 42,
    (Action.VOTER_REVEAL, Outcome.ALLOWED, 5): 5,
    (Action.VOTER_SEARCH, Outcome.ALLOWED, 1): 22,
    (Action.VOTER_REVEAL, Outcome.DENIED, 0): 1,
    (Action.VOTER_REVEAL, Outcome.FAILED, 0): 1,
    (Action.VOTER_REVEAL, Outcome.BROKEN, 1): 0.01,
    (Action.VOTER_SEARCH, Outcome.DENIED, 0): 0.5,
    (Action.VOTER_CHANGE, Outcome.DONE, 1): 1,
    (Action.SESSION_LOGIN, Outcome.INTENT, 0): 8,
    (Action.SESSION_LOGIN, Outcome.ALLOWED, 0): 7.5,
    (Action.SESSION_LOGIN, Outcome.FAILED, 0): 1.5,
    (Action.SESSION_LOGOUT, Outcome.DONE, 0): 5,
    (Action.SESSION_STEPUP, Outcome.ALLOWED, 0): 3,
    (Action.TRAIL_READ, Outcome.ALLOWED, 0): 2,
    (Action.REQUEST_SUBMIT, Outcome.DONE, 0): 0.3,
    (Action.REQUEST_APPROVE, Outcome.DONE, 0): 0.2,
}
_KINDS_ALONE, _OFTEN = list(_KINDS), list(accumulate(_KINDS.values()))
_VISITS = frozenset({Action.VOTER_REVEAL, Action.VOTER_SEARCH, Action.VOTER_CHANGE})
_PURPOSES = {Role.BAWASLU_KAB: Purpose.PENGAWASAN, Role.KPU_PROV: Purpose.REKAPITULASI, Role.PEJABAT_PDP: Purpose.PERMINTAAN_SUBJEK}
_WITH_DISABILITY = 0.02
