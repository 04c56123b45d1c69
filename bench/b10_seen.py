"""B10: "who saw this voter" (/subjects/<voter>), as a signed-in data protection officer gets it, in logs of 10⁵ touches and on by tens.

Voters come in by loads of 500, and are then listed and opened, 25 and one at a time: twenty touches each, and one voter a hundred times
that. The logs are filled past the appender (``bench.longlog``).
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from app.audit import query, seen
from app.audit.entry import Draft, Members, draft_for
from app.cli.shell import host_actor
from app.factory import House, join
from app.identity import accounts
from app.kernel.actor import Actor
from app.kernel.fields import ELEMENTS, Action, Basis, Outcome, Purpose, Role
from app.kernel.ids import encode_uid
from app.vault.keys.local import LocalKeyring
from bench.b9_trail import PASSWORD, Browser, Hand, repeat
from bench.kit import ELECTION, KAB, NOW, PASSPHRASE, SEED, Bench, Line, growth, line, median, p95
from bench.longlog import Planned, Template, fill

ID = "B10"
FIRST, QUICK_FIRST = 100_000, 1_000
# As for the officer's table (web.md); the law gives the voter an answer within three days.
GOAL = "≤ 300"
_DAYS = 60
_RUNS, _QUICK_RUNS = 30, 3
_EACH, _BATCH, _LIST, _ALONE = 20, 500, 25, 0.25
# Of the one voter that many looked at: a hundred touches, and as many as a report holds.
_TOUCHED = {"20 touches": 0, "200 touches": 180, f"{seen.MOST:,} touches": seen.MOST - 20}
_USERNAME = "bench.pdp"


@dataclass(frozen=True, slots=True)
class Took:
    """Milliseconds: of the page, median and 95th percentile; of the question to the log, median."""

    page: float
    p95: float
    query: float


def run(bench: Bench) -> Iterator[Line]:
    """Yield every line of B10."""
    quick = bench.scale.repeats == 1
    sizes, runs = bench.scale.lengths(QUICK_FIRST if quick else FIRST), _QUICK_RUNS if quick else _RUNS
    for engine in bench.engines:
        took: dict[str, list[Took]] = {}
        for size in sizes:
            with _house(bench, engine) as house:
                bench.say(f"B10: {size} touches, filled past the appender, {engine}")
                begun = time.perf_counter()
                roll = Roll(house, size)
                fill(house, roll.planned())
                rate = size / (time.perf_counter() - begun)
                for name, found in _asked(house, roll, runs):
                    took.setdefault(name, []).append(found)
        yield line(ID, f"filling a log past the appender, {engine}", size, rate, "touches/s")
        for name, told in took.items():
            work = f"who saw a voter with {name}, {engine}"
            yield line(ID, f"{work}: page, p95", size, told[-1].p95, "ms", goal=GOAL)
            yield line(ID, f"{work}: page, ms ~ touches^k", size, growth(sizes, [one.page for one in told]), "k")
            yield line(ID, f"{work}: its question to the log", size, told[-1].query, "ms")


def _asked(house: House, roll: Roll, runs: int) -> Iterator[tuple[str, Took]]:
    officer = accounts.create(
        house.identity, host_actor(), username=_USERNAME, name="Orang Bench", office="kpu-00", unit="data", roles=(Role.PEJABAT_PDP,),
        now=house.clock.now(), password=PASSWORD, must_change=False,
    )[0]  # fmt: skip
    browser = Browser(house, _USERNAME, accounts.enrol_by_hand(house.identity, host_actor(), officer, house.clock.now()))
    browser.come_in()
    store, log = house.store, house.guard.log
    for (name, more), uid in zip(_TOUCHED.items(), roll.voters, strict=False):
        token, below = house.guard.payloads.token(uid), query.head(store, log).size

        def ask(token: bytes = token, below: int = below) -> int:
            assert seen.was_loaded(store, log, token, KAB)
            return len(seen.touching(store, log, token, below=below, limit=seen.MOST + 1))

        assert ask() > more, name
        # Every page adds a touch of its own.
        pages = repeat(partial(browser.get, f"/subjects/{KAB}-{uid}"), runs)
        yield name, Took(median(pages), p95(pages), median(repeat(ask, runs)))


class Roll:
    """Voters, and *touches* of them in the order of time; made anew the same way every time but for keys."""

    def __init__(self, house: House, touches: int) -> None:
        self.house, self.touches, self.dice = house, touches, random.Random(SEED)
        self.begin = house.clock.now() - timedelta(days=_DAYS)
        self.voters = [encode_uid(self.dice.randbytes(16)) for _ in range(max(touches // _EACH, _BATCH))]
        self.tokens = [house.guard.payloads.token(uid) for uid in self.voters]

    def planned(self) -> Iterator[Planned]:
        """Yield the loads, and then what people did."""
        number = 0
        gap = timedelta(days=_DAYS) / self.touches
        load = self._template(host_actor(), Action.VOTER_IMPORT, Outcome.DONE, Purpose.PEMUATAN, _BATCH)
        for start in range(0, len(self.tokens), _BATCH):
            yield load, self.begin, self.tokens[start : start + _BATCH]
            number += _BATCH
        people = [self._person() for _ in range(150)]
        opened = [self._template(one, Action.VOTER_REVEAL, Outcome.ALLOWED, Purpose.PEMUTAKHIRAN, 1) for one in people]
        listed = [self._template(one, Action.VOTER_REVEAL, Outcome.ALLOWED, Purpose.PEMUTAKHIRAN, _LIST) for one in people]
        wanted = [token for token, more in zip(self.tokens, _TOUCHED.values(), strict=False) for _ in range(more)]
        every = max(1, (self.touches - number) // max(1, len(wanted)) // _LIST)
        for turn in range(max(1, (self.touches - number) // _LIST)):
            at = self.begin + gap * (number := number + _LIST)
            if self.dice.random() < _ALONE:
                yield from ((self.dice.choice(opened), at, (token,)) for token in self.dice.choices(self.tokens, k=_LIST))
            else:
                yield self.dice.choice(listed), at, self.dice.sample(self.tokens, _LIST)
            if wanted and turn % every == 0:
                yield self.dice.choice(opened), at, (wanted.pop(),)
        yield from ((self.dice.choice(opened), self.house.clock.now(), (token,)) for token in wanted)

    def _person(self) -> Actor:
        uid, session = (encode_uid(self.dice.randbytes(16)) for _ in range(2))
        return Actor(uid, f"kpu-{KAB}", "data", Role.KPU_KAB, frozenset({Role.KPU_KAB}), KAB, request="", session=session, method="totp")

    def _template(self, who: Actor, action: Action, outcome: Outcome, purpose: Purpose, count: int) -> Template:
        members: Members = {
            "election": ELECTION, "stage": "dps", "purpose": purpose, "basis": Basis.PKPU7_2022, "policy": self.house.guard.policies.hash,
            "scope": KAB, "rule": ("kpu-kab-pemutakhiran",), "subjects": (count, self.dice.randbytes(32)), "visit": self.dice.randbytes(32),
            "fields": {one.value: "utuh" for one in ELEMENTS} if action == Action.VOTER_REVEAL else None,
        }  # fmt: skip
        draft: Draft = draft_for(replace(who, request=encode_uid(self.dice.randbytes(16))), action, outcome, self.begin, **members)
        return Template.of(draft, self.house.guard.log)


@contextmanager
def _house(bench: Bench, engine: str) -> Iterator[House]:
    with bench.house(engine) as installed:
        house = join(installed.settings, LocalKeyring.open(installed.settings.keyring, PASSPHRASE), Hand(NOW))
        try:
            yield house
        finally:
            house.close()
