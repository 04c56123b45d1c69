"""Who saw this voter, after a payload was erased and after an old backup was put back."""

from __future__ import annotations

from app.audit.note import Signer
from app.cli.shell import host_actor
from app.custody import erase, reopen
from app.subjects import actions
from tests.conftest import KAB
from tests.custody.retention_kit import under_the_next_name
from tests.subjects.subjects_kit import Site, main_rows, plain, text_of
from tests.walk_kit import size

OLD = "uji.localhost/gardu/1"


def test_an_erased_opening_is_no_longer_told_of_and_that_is_said(sqlite_site: Site) -> None:
    """The entry names nobody any more; page and PDF say how many such entries there are."""
    site = sqlite_site
    site.opens(times=2)
    seq = size(site.house) - 1
    erase.erase(site.house.guard, host_actor(), OLD, [seq], "perintah uji", site.house.clock.now())

    page, pdf = site.get("pdp", site.address), site.get("pdp", f"{site.address}/report.pdf")

    assert seq not in main_rows(page) and seq - 1 in main_rows(page)
    assert "Muatan 1 entri sudah dihapus menurut perintah." in plain(page)
    assert "sudah dihapus menurut perintah" in text_of(pdf.data)


def test_what_happened_before_a_restore_is_told_too(site: Site) -> None:
    """The voter was loaded and opened in the old log, and opened again in the new one: all of it is listed, the old with its log's name."""
    site.opens()
    signer = Signer(OLD, site.house.guard.keys.key("log", "00").secret)
    note = signer.sign(f"{OLD}\n{size(site.house) + 9}\n{'A' * 43}=\n")
    house = under_the_next_name(site.house)
    what = reopen.plan(house.guard, house.mandates, OLD, reopen.last_seen(note, OLD, signer.verifier, None), None)
    reopen.reopen(house.guard, house.mandates, host_actor(), what, house.clock.now())
    later = Site(house)
    later.uids = site.uids
    later.opens()

    found = actions.look(later.room, later.actor("pdp"), KAB, later.voter, house.clock.now())[0]

    assert [one.log for one in found.entries] == [house.guard.log, OLD, OLD]
    places = [found.place(one) for one in found.entries]
    assert places == sorted(places, reverse=True) and places[0] >= found.before[house.guard.log]
    page = later.get("pdp.ri", later.address)
    assert page.status_code == 200 and f"({OLD})" in page.text
    house.close()
