"""Who may ask who saw a voter, what they are told, and what the log keeps of it, over each engine."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest

from app.audit import seen
from app.custody.storecheck import check_store
from app.kernel.errors import NotThere, SealBroken
from app.kernel.fields import Basis, Element, Purpose, Role, Stage
from app.kernel.ids import new_uid
from app.mandates import actions as mandates
from app.mandates.actions import Decision, Wish
from app.subjects import actions
from app.subjects.rules import Kind, kind_of
from tests.conftest import KAB, NEIGHBOUR
from tests.mandates.mandates_kit import terms
from tests.subjects.subjects_kit import Site, edit, statements
from tests.walk_kit import content, seen_in, size


def look(site: Site, name: str = "pdp", kab: str = KAB, uid: str | None = None, **changes: object) -> actions.Seen:
    return actions.look(site.room, site.actor(name, **changes), kab, uid or site.voter, site.house.clock.now())[0]


def asked(site: Site) -> str:
    """The officer of the nation asks for a mandate about the voter; return its id."""
    now = site.house.clock.now()
    for name in ("data", "hukum"):
        site.account(name)
    wish = Wish(
        Purpose.PERMINTAAN_SUBJEK, Basis.UU27_2022, frozenset({Stage.DPS}), terms(now, KAB, tuple(Element)), "12/PDP/2026",
        "Pemilih meminta salinan datanya lewat surat.", site.voter,
    )  # fmt: skip
    return mandates.submit(site.house.mandates, site.actor("pdp.ri"), wish, now)


def test_every_touch_of_the_voter_is_told_and_nobody_elses(site: Site) -> None:
    """Load, openings, a search, a refusal: newest first; the touches of another voter are not among them."""
    site.opens(times=2)
    site.opens(uid=site.other)
    site.opens("bawaslu")
    site.is_refused()

    found = look(site)
    assert [one.seq for one in found.entries] == sorted(seen_in(site.house, site.voter), reverse=True)[1:]
    assert [kind_of(one.members) for one in found.entries] == [Kind.REFUSED, Kind.OPENED, Kind.OPENED, Kind.OPENED, Kind.LOADED]
    assert {one.name for one in found.people.values()} == {"Orang operator", "Orang bawaslu", "Orang operator.badung"}
    assert found.whole and found.public_id == f"{KAB}-{site.voter}"


def test_the_reading_is_an_entry_that_names_the_voter(site: Site) -> None:
    """Purpose, basis, region and one subject; it is a touch of the voter, who sees it in the next report."""
    officer = site.actor("pdp")
    before = size(site.house)
    found, receipt = actions.look(site.room, officer, KAB, site.voter, site.house.clock.now())

    assert (size(site.house), receipt.seq) == (before + 1, before)
    last = site.last
    assert (last["action"], last["outcome"], last["purpose"], last["scope"]) == ("trail:read", "allowed", "permintaan_subjek", KAB)
    assert (last["basis"], last["role"], last["subjects"]["count"]) == ("uu27_2022", "pejabat_pdp", 1)  # type: ignore[index]
    assert content(site.house, receipt.seq)["subjects"] == [site.voter]
    assert receipt.seq not in [one.seq for one in found.entries]
    assert look(site).entries[0].seq == receipt.seq


@pytest.mark.parametrize("name", ["pdp", "pdp.bali", "pdp.ri"])
def test_officers_whose_region_holds_the_voter_are_told(site: Site, name: str) -> None:
    assert look(site, name).entries


def test_a_voter_elsewhere_and_nobody_are_one_answer(site: Site) -> None:
    """Another region is refused before anything is looked up; a number of nobody, and a neighbour's voter under our code, are not there."""
    tries = (("pdp.badung", KAB, site.voter), ("pdp", NEIGHBOUR, site.away), ("pdp", KAB, new_uid()), ("pdp", KAB, site.away))
    told = []
    for name, kab, uid in tries:
        with pytest.raises(NotThere) as gone:
            look(site, name, kab, uid)
        assert gone.value.detail == "no voter of this officer"
        told.append((site.last["action"], site.last["outcome"], site.last["scope"], site.last["subjects"]["count"]))  # type: ignore[index]

    assert told == [("trail:read", "denied", KAB, 1), ("trail:read", "denied", NEIGHBOUR, 1), *[("trail:read", "failed", KAB, 1)] * 2]


def test_asking_for_nobody_twice_does_not_make_them_somebody(site: Site) -> None:
    """The refused question is itself a touch of that number; it still names no voter."""
    nobody = new_uid()
    for _ in range(3):
        with pytest.raises(NotThere):
            look(site, uid=nobody)

    assert len(seen_in(site.house, nobody)) == 3


def test_whoever_approved_a_request_about_the_voter_is_not_told(site: Site) -> None:
    """Also not in the role of the officer; another officer is told, and reads the steps of the request."""
    uid = asked(site)
    now, both = site.house.clock.now(), frozenset({Role.PEJABAT_PDP, Role.PENYETUJU})
    for name in ("data", "hukum"):
        request = mandates.find(site.house.mandates, site.actor(name), uid, now)
        mandates.decide(site.house.mandates, site.actor(name), uid, Decision(request.version, request.left, ""), now)

    with pytest.raises(NotThere):
        actions.look(site.room, replace(site.actor("hukum"), role=Role.PEJABAT_PDP, roles=both), KAB, site.voter, now)
    assert (site.last["outcome"], site.last["rule"]) == ("denied", ["larang-pdp-subjek-disetujui"])
    kinds = [kind_of(one.members) for one in look(site).entries]
    assert kinds.count(Kind.ASKED) == 4


def test_the_report_has_its_digest_in_the_log(site: Site) -> None:
    """trail:export holds the SHA-256 of exactly the bytes handed out; what drew them saw the log as it stood before."""
    made, receipt = actions.report(
        site.room, site.actor("pdp"), KAB, site.voter, site.house.clock.now(), lambda found: b"%d" % found.head.size
    )

    assert made == b"%d" % receipt.seq
    last = site.last
    assert (last["action"], last["outcome"], last["subjects"]["count"]) == ("trail:export", "done", 1)  # type: ignore[index]
    assert last["detail"] == {"type": "report", "sha256": sha256(made).hexdigest()}
    [own] = actions.own_reports(site.room, site.actor("pdp"), site.house.clock.now())
    assert own.seq == receipt.seq
    assert actions.own_reports(site.room, site.actor("pdp.bali"), site.house.clock.now()) == []


def test_nothing_is_told_when_the_reading_cannot_be_recorded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report is drawn, but nobody gets it: the entry comes first."""
    actor, now = site.actor("pdp"), site.house.clock.now()
    site.house.guard.trail.close()

    for call in (actions.look, lambda *given: actions.report(*given, lambda _found: b"laporan")):
        with pytest.raises(Exception) as down:
            call(site.room, actor, KAB, site.voter, now)
        assert getattr(down.value, "code", "") == "trail-down"


@pytest.mark.parametrize(("column", "value"), [("body", b"{}"), ("leaf", bytes(32))])
def test_an_edited_entry_stops_everything(site: Site, column: str, value: bytes) -> None:
    """Bytes that are no entry, or not those of the leaf: nothing is told, and an entry says so."""
    site.opens()
    edit(site.house, seen_in(site.house, site.voter)[-1], column, value)

    with pytest.raises(SealBroken, match="run gardu audit verify"):
        look(site)
    assert (site.last["action"], site.last["outcome"]) == ("trail:read", "broken")


def test_an_entry_with_other_words_is_noticed(site: Site) -> None:
    """Somebody who writes another person into an entry, canonical as before, is not believed."""
    site.opens()
    seq = seen_in(site.house, site.voter)[-1]
    [stored] = [one for one in look(site).entries if one.seq == seq]
    edit(site.house, seq, "body", stored.body.replace(site.account("operator").encode(), b"a" * 26))

    with pytest.raises(SealBroken, match="is not the one the log wrote"):
        look(site)


def test_no_statement_more_for_sixty_entries_than_for_three(site: Site) -> None:
    """Names in one statement, entries in one; however long the list."""
    site.opens(times=3)
    site.actor("pdp")
    look(site)
    with statements(site.house) as few:
        look(site)
    site.opens(times=40)
    site.opens("bawaslu", times=20)
    with statements(site.house) as many:
        assert len(look(site).entries) > 60

    assert len(few) == len(many)


def test_a_very_long_list_is_cut_and_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are told; the load that makes the voter one of this roll still counts, though it is no longer among them."""
    monkeypatch.setattr(seen, "MOST", 2)
    site.opens(times=3)

    found = look(site)
    assert (len(found.entries), found.whole) == (2, False)


def test_the_log_bears_the_room_out(sqlite_site: Site) -> None:
    """Readings, reports and refusals leave a log and a store that verify."""
    look(sqlite_site)
    with pytest.raises(NotThere):
        look(sqlite_site, uid=new_uid())

    assert list(check_store(sqlite_site.house.guard, lambda _done, _total: None)) == []
