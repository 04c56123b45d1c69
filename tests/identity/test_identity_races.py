"""Many processes present one code at once: exactly one of them gets a session."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

import identity_kit as kit
from sqlalchemy import text

from app.identity import actions, throttle
from app.identity.room import Identity
from app.identity.sessions import Opened
from app.identity.totp import WrongCode
from app.kernel.errors import BadInput, Conflict, SignInNeeded, TooMany
from app.store.engine import Store

PROCESSES = 8
EXPECTED = (WrongCode, TooMany, SignInNeeded, Conflict, BadInput)
# (act, secret of the session to act in, code or password, moment) for each process; one tuple a round
Job = tuple[str, str, str, datetime]


def contend(url: str, jobs: Sequence[Job], start: Barrier, answers: Queue[tuple[int, str]]) -> None:
    """Run in a process of its own: at each round wait for the others, then act."""
    store = Store(url)
    trail = kit.real_trail(store)
    for number, (act, secret, typed, now) in enumerate(jobs):
        identity = kit.identity_on(store, trail, kit.HandClock(now), fresh=False)
        start.wait(120)
        try:
            _act(identity, act, secret, typed, now)
            answer = "in"
        except EXPECTED as error:
            answer = type(error).__name__
        except Exception as error:  # whatever it is, the test must hear of it
            answer = f"{type(error).__name__}: {error}"
        answers.put((number, answer))
    trail.close()
    store.dispose()


def _act(identity: Identity, act: str, secret: str, typed: str, now: datetime) -> None:
    if act == "guess":
        actions.begin_login(identity, kit.VISITOR, secret, typed, now)
        return
    person = kit.person_of(identity, Opened("", secret))
    step = {"login": actions.finish_login, "enrol": actions.confirm_enrolment, "stepup": actions.step_up}[act]
    step(identity, person, kit.VISITOR, typed, now)


def test_eight_processes_with_one_code_give_one_session(database: str) -> None:
    """At login (one half session shared, and one each), at step-up, at enrolment; and parallel guesses are all counted."""
    store = Store(database)
    clock = kit.HandClock()
    identity = kit.identity_on(store, kit.MemoryTrail(), clock)
    people = {name: kit.someone(identity, name, enrolled=name != "baru") for name in ("sama", "sendiri", "naik", "baru", "tebak")}
    now = clock.now()
    shared = kit.half_of(identity, people["sama"]).secret
    own = [kit.half_of(identity, people["sendiri"]).secret for _ in range(PROCESSES)]
    stepping = kit.full_of(identity, people["naik"]).secret
    clock.forward(seconds=30)
    half = kit.half_of(identity, people["baru"])
    people["baru"].secret = actions.pending_secret(identity, kit.person_of(identity, half))
    later = now + timedelta(seconds=30)
    jobs = [
        [
            ("login", shared, people["sama"].code(now), now),
            ("login", own[number], people["sendiri"].code(now), now),
            ("stepup", stepping, people["naik"].code(later), later),
            ("enrol", half.secret, people["baru"].code(later), later),
            ("guess", "tebak", f"bukan kata sandi {number}", later),
            ("guess", "tebak", f"bukan kata sandi juga {number}", later),
        ]
        for number in range(PROCESSES)
    ]

    rounds = run(database, jobs)

    assert [answers.count("in") for answers in rounds] == [1, 1, 1, 1, 0, 0]
    assert {answer for answers in rounds for answer in answers} <= {"in", *(kind.__name__ for kind in EXPECTED)}
    for name in ("sama", "sendiri", "naik", "baru"):
        assert len(kit.living(identity, people[name].uid)) == 1, name
    # 16 guesses at once: ten were compared, the others had to wait; and every one of them stands in the log.
    assert sorted(rounds[4] + rounds[5]) == ["BadInput"] * 10 + ["TooMany"] * 6
    with store.reading() as session:
        said = session.execute(text("SELECT action, outcome, count(*) FROM trail_entry GROUP BY action, outcome")).all()
    assert {(action, outcome): count for action, outcome, count in said}.items() >= {
        ("session:login", "allowed"): 3,
        ("session:stepup", "allowed"): 1,
        ("account:enrol", "done"): 1,
        ("session:login", "denied"): 6 + rounds[0].count("TooMany") + rounds[1].count("TooMany"),
    }.items()
    store.dispose()


def run(url: str, jobs: Sequence[Sequence[Job]]) -> list[list[str]]:
    """Run each list of jobs in a process; return the answers by round."""
    # Processes of their own all the same; the server that forks them has read the code once.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["app.identity.actions", "app.audit.trail", "app.vault.house", "hypothesis", "pytest"])
    start, answers = context.Barrier(len(jobs)), context.Queue()
    processes = [context.Process(target=contend, args=(url, mine, start, answers)) for mine in jobs]
    for process in processes:
        process.start()
    rounds: list[list[str]] = [[] for _ in jobs[0]]
    for _ in range(len(jobs) * len(jobs[0])):
        number, answer = answers.get(timeout=180)
        rounds[number].append(answer)
    for process in processes:
        process.join(60)
    return rounds


def test_parallel_attempts_never_exceed_the_limit(store: Store) -> None:
    """Twenty-four threads ask one counter at once: ten get a ticket."""

    def attempt(_number: int) -> bool:
        try:
            throttle.reserve(store, [(throttle.PASSWORD, "a" * 64)], kit.NOON)
        except TooMany:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(attempt, range(24)))

    assert got.count(True) == 10
