"""Health: each danger is found where it is, said in words, without a path, a name or a secret."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from datetime import date, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from app.admin import health, keyring, rules, words
from app.admin.health import BAD, GOOD, LOOK, Line
from app.cli.shell import host_actor
from app.custody import health as custody_health
from app.factory import DEMO_PASSPHRASE
from app.identity import accounts
from app.jobs.desk import STALLED_AFTER
from app.jobs.tables import Job
from app.kernel.errors import KeysDown
from app.kernel.fields import Role
from app.kernel.ids import new_uid
from app.oversight import checking
from tests.admin.admin_kit import Desk, Site, plain
from tests.walk_kit import owner, tamper


def line(desk: Desk, name: str) -> Line:
    [found] = [one for one in health.lines(desk.room, desk.now) if one.name == name]
    return found


def job(desk: Desk, kind: str, state: str, result: str = "{}", *, silent: timedelta = timedelta()) -> None:
    """Put a job there whose last sign of life was *silent* ago."""
    at = desk.now - silent
    with desk.house.store.writing() as session:
        session.add(
            Job(uid=new_uid(), kind=kind, actor=desk.uid("officer"), office="kpu-00", state=state, done=0, total=0, detail="{}", result=result,
                error="", created_at=at, beat_at=at, finished_at=at if state == "done" else None)
        )  # fmt: skip


def test_a_sound_installation_is_well(desk: Desk) -> None:
    """Nothing bad, each line once, in both engines; what has never been verified is worth a look."""
    found = health.lines(desk.room, desk.now)

    assert [one.name for one in found] == list(dict.fromkeys(one.name for one in found))
    assert set(words.NAMES) == {one.name for one in found}
    assert {one.name for one in found if one.state == BAD} == set()
    assert {one.name for one in found if one.state == LOOK} <= {"verify", "keys-open", "role"}
    assert health.red(desk.room, desk.now) == 0


def test_the_page_names_no_path_and_nobody(wide: Site) -> None:
    page = wide.get("admin", "/admin/health")

    assert page.status_code == 200
    assert str(wide.house.settings.data) not in page.text and str(wide.house.settings.policies) not in page.text
    assert "uji.operator" not in page.text
    assert "postgresql://" not in page.text and "sqlite:///" not in page.text
    assert wide.house.guard.policies.hash in page.text


def test_every_danger_of_the_doctor_has_its_words() -> None:
    """Whatever the checks can find can be said on the page."""
    source = inspect.getsource(custody_health)
    codes = set(re.findall(r"yield Danger\(\d, \"([a-z-]+)\"", source))

    assert codes == set(words.DANGERS)
    assert codes >= words.MILD
    assert custody_health.DEMO_PASSPHRASE == DEMO_PASSPHRASE


def test_guards_that_are_gone_are_bad(desk: Desk) -> None:
    if desk.house.store.dialect == "sqlite":
        store = owner(desk.house)
        with store.reading() as session:
            names = (
                session.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'trail_entry'")).scalars().all()
            )
        store.dispose()
        tamper(desk.house, f"DROP TRIGGER {names[0]}")
    else:
        tamper(desk.house, "ALTER TABLE trail_entry DISABLE TRIGGER USER")

    found = line(desk, "guards")
    assert (found.state, found.values) == (BAD, {"name": "trail_entry"})
    assert health.red(desk.room, desk.now) == 1


def test_a_clock_behind_the_log_is_bad(one: Desk) -> None:
    one.house.clock.move(minutes=-5)

    assert (line(one, "clock").state, line(one, "clock").values) == (BAD, {"seconds": 300})


def test_accounts_without_authenticator_are_counted(desk: Desk) -> None:
    """An invitation that still runs is none; one that lapsed, or a reset nobody followed, is."""
    desk.join("new", Role.KPU_KAB, "kpu-51.71", enrolled=False)
    assert line(desk, "invites").state == GOOD
    desk.house.clock.move(hours=73)
    accounts.reset_totp(desk.identity, host_actor(), desk.uid("operator"), desk.now)
    # The account that the installation began with was never used here either.
    assert (line(desk, "invites").state, line(desk, "invites").values) == (LOOK, {"count": 2})
    accounts.invite_again(desk.identity, desk.people["admin"], desk.uid("new"), desk.account("new").invited_until, desk.now)

    assert line(desk, "invites").values == {"count": 1}


@pytest.mark.parametrize(
    ("state", "silent", "said"),
    [("waiting", rules.WAITING_TOO_LONG, (1, 0)), ("running", STALLED_AFTER, (0, 1))],
)
def test_work_that_is_held_up_is_bad(desk: Desk, state: str, silent: timedelta, said: tuple[int, int]) -> None:
    job(desk, "intake", state, silent=silent)
    assert line(desk, "work").state == GOOD
    desk.house.clock.move(seconds=1)

    found = line(desk, "work")
    assert (found.state, found.values) == (BAD, {"waiting": said[0], "stalled": said[1]})


@pytest.mark.parametrize(("result", "state"), [('{"found": 0}', GOOD), ('{"found": 1}', BAD), ('{"found": null}', BAD), ("{}", BAD)])
def test_the_last_verification_is_told_as_it_was(one: Desk, result: str, state: str) -> None:
    """What cannot be read as good is not good."""
    job(one, health.VERIFICATION, "done", result)

    assert line(one, "verify").state == state


def test_a_verification_by_the_officer_is_seen(site: Site) -> None:
    """The very work that the officer starts; a log that was changed is bad on the administrator's page."""
    assert health.VERIFICATION == checking.KIND
    site.browser("officer")
    assert site.act("officer", "/audit/verify").status_code == 303
    assert line(site.desk, "verify").state == GOOD
    store = owner(site.house)
    with store.writing() as session:
        for name in (
            session.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'trail_entry'")).scalars().all()
        ):
            session.execute(text(f"DROP TRIGGER {name}"))
        session.execute(text("UPDATE trail_entry SET actor = 'host:77' WHERE seq = 3"))
    store.dispose()
    site.house.clock.move(minutes=1)
    assert site.act("officer", "/audit/verify").status_code == 303

    assert line(site.desk, "verify").state == BAD


def test_a_verification_grows_old(one: Desk) -> None:
    job(one, health.VERIFICATION, "done", '{"found": 0}')
    one.house.clock.move(days=7)
    assert line(one, "verify").state == GOOD
    one.house.clock.move(seconds=1)

    assert (line(one, "verify").state, line(one, "verify").remedy) == (LOOK, words.VERIFY_REMEDY)


@pytest.mark.parametrize(
    ("day", "state"), [(date(2026, 11, 30), BAD), (date(2026, 12, 1), LOOK), (date(2026, 12, 31), LOOK), (date(2027, 1, 1), GOOD)]
)
def test_a_review_that_comes_up_or_is_overdue_is_said(one: Desk, day: date, state: str) -> None:
    """The day itself still counts; a month before it is worth a word."""
    engine = SimpleNamespace(rules=[SimpleNamespace(review=day), SimpleNamespace(review=None), SimpleNamespace(review=date(2028, 1, 1))])
    policies = SimpleNamespace(hash="0" * 64, book=SimpleNamespace(engine=engine))
    room = replace(one.room, guard=replace(one.room.guard, policies=policies))
    [found] = [shown for shown in health._policies(room, one.now) if shown.name == "review"]

    assert found.state == state


def test_a_provider_that_fails_says_nothing_of_itself(one: Desk) -> None:
    """Its own words may name a path; the page has ours."""

    class Silent:
        def health(self) -> str:
            raise KeysDown("/var/lib/rahasia/keyring does not open")

    room = replace(one.room, guard=replace(one.room.guard, keys=Silent()))
    found = health._keys(room)

    assert not keyring.provider(room).works
    assert (found.state, found.code) == (BAD, "")
    assert "rahasia" not in str(found)


def test_a_bad_thing_stands_on_the_home_page(site: Site) -> None:
    job(site.desk, "intake", "running", silent=timedelta(minutes=10))
    page = plain(site.get("admin", "/"))

    assert "1 hal tidak baik dan perlu ditangani" in page
