"""The whole log's verification from a page: what it finds, how often it runs, what the log says of it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from app.jobs.desk import Jobs
from app.kernel.errors import NotThere
from app.oversight import checking
from app.oversight.room import Oversight
from tests.oversight.oversight_kit import History, text_of
from tests.walk_kit import content, entries, tamper


def check(history: History, **form: str) -> str:
    """Press the button; return the address of the verification."""
    sent = history.post("/audit/verify", page="/audit/verify", **form)
    assert sent.status_code == 303
    return sent.headers["Location"]


def test_a_good_log_is_found_good_and_both_ends_are_entries(history: History) -> None:
    path = check(history, store="1")

    page = history.get(path)
    said = [(one["action"], one["outcome"], one["role"]) for one in entries(history.house) if one["action"] == "trail:verify"]
    assert 'data-job="done"' in page.text and "Semuanya cocok" in text_of(page)
    assert said == [("trail:verify", "intent", "petugas_keamanan"), ("trail:verify", "done", "proses")]
    assert path in history.get("/audit/verify").text


def test_a_changed_entry_is_found_and_named(one: History) -> None:
    """With a link to its proof; the home page says so too."""
    tamper(one.house, "DROP TRIGGER trail_entry_no_update", "UPDATE trail_entry SET outcome = 'denied' WHERE seq = :seq", seq=one.read)

    path = check(one)

    page = one.get(path)
    assert f"/audit/{one.read}/verify" in page.text and "1 hal tidak cocok" in text_of(page)
    last = [entry for entry in entries(one.house) if entry["action"] == "trail:verify"][-1]
    assert (last["outcome"], content(one.house, int(str(last["seq"])))["findings"]) == ("failed", 1)
    assert "Jejak audit tidak cocok" in text_of(one.get("/"))


def test_a_row_of_the_roll_that_was_put_back_shows_only_with_the_store(one: History) -> None:
    tamper(one.house, "UPDATE voter SET row_version = 9 WHERE uid = :uid", uid=one.voter)

    assert "Semuanya cocok" in text_of(one.get(check(one)))
    assert "Simpanan tidak sama" in text_of(one.get(check(one, store="1")))


def test_a_log_that_cannot_be_written_is_still_checked(one: History) -> None:
    """What was found is said all the same, and that it could not be recorded."""
    room: Oversight = one.site.app.extensions["gardu.oversight"]
    waiting = Jobs(one.house.store, one.house.clock, one.house.settings.data / "later.db")
    later = replace(room, jobs=waiting)
    checking.register(later)
    one.browser()
    uid = checking.start(later, _officer(one), False, one.house.clock.now())
    tamper(one.house, "UPDATE trail_head SET size = size + 1")

    waiting._run(uid)

    found = checking.find(later, uid)
    assert found.state == "done" and found.result["recorded"] is False and found.result["found"]


def test_two_at_once_are_one(one: History) -> None:
    """The second press leads to the one that runs."""
    room: Oversight = one.site.app.extensions["gardu.oversight"]
    waiting = Jobs(one.house.store, one.house.clock, one.house.settings.data / "later.db")
    later = replace(room, jobs=waiting)
    checking.register(later)
    officer, now = _officer(one), one.house.clock.now()

    first = checking.start(later, officer, False, now)

    assert checking.start(later, officer, True, now) == first
    assert checking.find(later, first).state == "waiting"


def test_a_running_one_refreshes_until_told_not_to(one: History) -> None:
    room: Oversight = one.site.app.extensions["gardu.oversight"]
    waiting = Jobs(one.house.store, one.house.clock, one.house.settings.data / "later.db")
    checking.register(replace(room, jobs=waiting))
    uid = checking.start(replace(room, jobs=waiting), _officer(one), True, one.house.clock.now())

    moving, still = one.get(f"/audit/verify/{uid}"), one.get(f"/audit/verify/{uid}?diam=1")

    assert moving.headers["Refresh"] == f"2; url=/audit/verify/{uid}" and "Refresh" not in still.headers
    assert "Menunggu giliran" in text_of(moving) and re.search(r"<progress[^>]*max", moving.text)
    assert "berjalan" in text_of(one.get("/"))


def test_a_job_of_another_kind_is_not_shown_here(one: History) -> None:
    room: Oversight = one.site.app.extensions["gardu.oversight"]
    room.jobs.register("other", lambda job, progress: {})
    uid = room.jobs.start("other", "a" * 26, "kpu-00")

    with pytest.raises(NotThere):
        checking.find(room, uid)
    assert one.get(f"/audit/verify/{uid}").status_code == 404


def _officer(history: History):  # type: ignore[no-untyped-def]  # an Actor, made by the kit of another room
    from app.kernel.fields import Role
    from tests.walk_kit import person

    return person(history.house, Role.PETUGAS_KEAMANAN, "00", "keamanan")
