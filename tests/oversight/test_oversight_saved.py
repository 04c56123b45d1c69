"""Saved views: kept, opened, renamed, deleted and brought back by their own officer alone, and read anew each time."""

from __future__ import annotations

import re

import pytest

from app.kernel.actor import Actor
from app.kernel.errors import BadInput, Conflict, NotThere
from app.kernel.fields import Role
from app.oversight import asking, saved
from app.oversight.room import Oversight
from tests.oversight.oversight_kit import History, text_of
from tests.walk_kit import person, tamper

QUERY = "range=7d&action=session:login&outcome=failed"


def keep(history: History, name: str, query: str = QUERY, who: str = "officer") -> str:
    """Save a view as the page does; return where it leads."""
    sent = history.post("/audit/views", who, name=name, query=query)
    assert sent.status_code == 303, text_of(sent)
    return sent.headers["Location"]


def shelf(history: History, who: str = "officer") -> dict[str, str]:
    """Name → uid of the views above the filters."""
    return {name: uid for uid, name in re.findall(r'data-saved="(\w+)">([^<]+)</a>', history.get("/audit", who).text)}


def room_of(history: History) -> tuple[Oversight, Actor]:
    """The room, and the officer who is signed in at its browser."""
    history.browser()
    room: Oversight = history.site.app.extensions["gardu.oversight"]
    return room, person(history.house, Role.PETUGAS_KEAMANAN, "00", "keamanan", uid=history.site.uids["officer"])


def test_a_view_is_kept_and_opens_what_it_asks(history: History) -> None:
    """The page after saving shows the same rows, says so, and marks the view as the one open."""
    assert "Belum ada. Saring jejak" in text_of(history.get("/audit"))

    path = keep(history, "  Gagal   masuk ")

    page = history.get(path)
    uid = shelf(history)["Gagal masuk"]
    assert path == f"/audit?{QUERY}&notice=saved" and "Tampilan ini tersimpan" in text_of(page)
    assert f'href="/audit/views/{uid}" aria-current="true"' in page.text
    assert history.get(f"/audit/views/{uid}").headers["Location"] == f"/audit?{QUERY}"


def test_a_view_is_renamed_deleted_and_brought_back(history: History) -> None:
    """The list offers the way back until another one is deleted."""
    keep(history, "Satu")
    keep(history, "Dua", "range=30d")
    one, two = shelf(history)["Satu"], shelf(history)["Dua"]

    assert history.post(f"/audit/views/{one}", page="/audit/views", name="Pertama").status_code == 303
    assert history.post(f"/audit/views/{one}/delete", page="/audit/views").headers["Location"] == "/audit/views"
    assert "Terhapus: Pertama" in text_of(history.get("/audit/views")) and shelf(history) == {"Dua": two}
    assert history.get(f"/audit/views/{one}").status_code == 404
    assert history.post(f"/audit/views/{one}/restore", page="/audit/views").status_code == 303
    assert shelf(history) == {"Pertama": one, "Dua": two}

    for uid in (one, two):
        history.post(f"/audit/views/{uid}/delete", page="/audit/views")
    assert history.post(f"/audit/views/{one}/restore", page="/audit/views").status_code == 404
    assert "Belum ada tampilan tersimpan" in text_of(history.get("/audit/views"))


def test_nobody_elses_view_is_there(history: History) -> None:
    """Not to open, rename, delete or bring back; not even that it exists."""
    keep(history, "Rahasia")
    uid = shelf(history)["Rahasia"]

    answers = [history.get(f"/audit/views/{uid}", "bali")]
    answers += [
        history.post(f"/audit/views/{uid}{more}", "bali", page="/audit/views", name="Milikku") for more in ("", "/delete", "/restore")
    ]
    history.post(f"/audit/views/{uid}/delete", page="/audit/views")
    answers.append(history.post(f"/audit/views/{uid}/restore", "bali", page="/audit/views"))

    assert {answer.status_code for answer in answers} == {404}
    assert shelf(history, "bali") == {} and "Rahasia" not in history.get("/audit/views", "bali").text
    assert "Terhapus: Rahasia" in text_of(history.get("/audit/views"))


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "garis\u202ebalik", "nul\x00", "tab\u0007"])
def test_a_name_that_cannot_be_read_is_refused(one: History, name: str) -> None:
    """With what was asked still on the page."""
    answer = one.post("/audit/views", name=name, query=QUERY)

    assert answer.status_code == 400 and "1 sampai 80 huruf" in text_of(answer)
    assert 'value="session:login" selected' in answer.text and shelf(one) == {}


def test_a_name_is_taken_once_each(history: History) -> None:
    """By one officer; a deleted one gives its name free; another officer may use it."""
    keep(history, "Sama")
    again = history.post("/audit/views", name="Sama", query="range=30d")
    keep(history, "Sama", who="bali")

    assert again.status_code == 400 and "Sudah ada tampilan dengan nama itu" in text_of(again)
    uid = shelf(history)["Sama"]
    history.post(f"/audit/views/{uid}/delete", page="/audit/views")
    keep(history, "Sama", "range=30d")
    keep(history, "Lain")
    renamed = history.post(f"/audit/views/{shelf(history)['Lain']}", page="/audit/views", name="Sama")
    assert renamed.status_code == 400 and "Sudah ada" in text_of(renamed)


def test_fifty_are_enough(history: History) -> None:
    """The fifty-first is refused, and so is bringing one back beside fifty others."""
    room, officer = room_of(history)
    now = history.house.clock.now()
    asked = asking.read({"range": "7d"}, now, officer.office, officer.region)
    uids = [saved.save(room, officer, f"Tampilan {number}", asked, now) for number in range(saved.MOST)]
    with pytest.raises(BadInput, match="too many"):
        saved.save(room, officer, "Satu lagi", asked, now)

    saved.remove(room, officer, uids[0], now)
    saved.save(room, officer, "Satu lagi", asked, now)

    with pytest.raises(Conflict):
        saved.restore(room, officer, uids[0])
    assert len(saved.views(room, officer)) == saved.MOST


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("region=Denpasar", 400),
        ("action=voter:all", 400),
        ("within=00&limit=9&range=7d", 303),
        ("&".join(["a=1"] * 80), 400),
        ("x" * 600, 303),
    ],
)
def test_what_was_put_into_a_row_is_read_as_if_typed(one: History, query: str, status: int) -> None:
    """Whoever changes a row in the database gains no filter that the form does not have, and no page that breaks."""
    keep(one, "Diubah")
    tamper(one.house, "UPDATE saved_view SET query = :query", query=query)

    answer = one.get(f"/audit/views/{shelf(one)['Diubah']}")

    assert answer.status_code == status
    if status == 303:
        assert answer.headers["Location"] in ("/audit?range=7d", "/audit?range=24h")


def test_a_view_is_read_under_the_jurisdiction_of_who_opens_it(one: History) -> None:
    """Moved into another officer's hands in the database, it shows what that officer may see, and no more."""
    keep(one, "Semua", "range=all")
    uid = shelf(one)["Semua"]
    one.browser("badung")
    tamper(one.house, "UPDATE saved_view SET account = :account", account=one.site.uids["badung"])

    path = one.get(f"/audit/views/{uid}", "badung").headers["Location"]

    assert one.denied in one.shown(path, "badung") and one.read not in one.shown(path, "badung")


def test_a_view_that_is_not_there(one: History) -> None:
    room, officer = room_of(one)

    with pytest.raises(NotThere):
        saved.find(room, officer, "z" * 26)
