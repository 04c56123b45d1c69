"""Pages of rotations and erasures: who may, with which code, and that nothing of a voter is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.custody import rotation, rotation_rounds, voter_erasure
from app.custody.rotation import State
from tests.admin.admin_kit import Site, plain
from tests.conftest import KAB, NEIGHBOUR, dp4_row
from tests.custody.rotation_kit import all_read, custody, fill, key_epochs
from tests.walk_kit import outcomes, rows_of, size, store_findings, tamper, uid_of

VALUES = [value for number in (1, 2, 3) for name, value in dp4_row(number).items() if name in {"NIK", "NKK", "NAMA", "ALAMAT"}]


def begun(site: Site, kind: str = "kab", region: str = KAB, rate: str = "") -> str:
    """Begin a rotation over the web; return its uid."""
    sent = site.act("admin", "/admin/rotations", kind=kind, region=region, rate=rate)
    assert sent.status_code == 303, plain(sent)
    return sent.location.rpartition("/")[2]


def test_an_administrator_rotates_a_kab_and_watches_it_to_the_end(wide: Site, tmp_path: Path) -> None:
    """Begun on the page, walked by the rounds, shown as it goes, over with the old key destroyed; the person stands in the entries."""
    fill(wide.house, tmp_path, 3)
    for step in ("/admin/keys/rotate", "/admin/keys/rotate?kind=kab", f"/admin/keys/rotate?kind=kab&region={KAB}"):
        assert wide.get("admin", step).status_code == 200
    uid = begun(wide)
    page = wide.get("admin", f"/admin/rotations/{uid}")
    assert "0 persen" in plain(page)
    assert page.headers["Refresh"] == f"3; url=/admin/rotations/{uid}"
    assert "Refresh" not in wide.get("admin", f"/admin/rotations/{uid}?diam=1").headers

    rotation_rounds.go_on(custody(wide.house))

    done = wide.get("admin", f"/admin/rotations/{uid}")
    assert "kunci itu sudah dimusnahkan" in plain(done)
    assert "Refresh" not in done.headers
    assert "selesai" in plain(wide.get("admin", "/admin/rotations")).lower()
    assert key_epochs(wide.house) == [2]
    [row] = rows_of(wide.house, "SELECT actor FROM trail_entry WHERE action = 'key:destroy'")
    assert row["actor"] == wide.desk.uid("admin")
    assert all_read(wide.house, range(1, 4))
    assert store_findings(wide.house) == []


def test_it_is_held_and_goes_on_from_the_page(site: Site, tmp_path: Path) -> None:
    """While it is held the rounds pass it by."""
    fill(site.house, tmp_path, 2)
    uid = begun(site, "blind")

    site.act("admin", f"/admin/rotations/{uid}", act="pause")
    rotation_rounds.go_on(custody(site.house))
    assert "dijeda" in plain(site.get("admin", f"/admin/rotations/{uid}"))
    assert key_epochs(site.house, "blind") == [1, 2]
    site.act("admin", f"/admin/rotations/{uid}", act="resume")
    rotation_rounds.go_on(custody(site.house))

    assert rotation.standing(custody(site.house), uid).state is State.DONE


def test_a_halted_rotation_names_the_rows_and_what_to_do(site: Site, tmp_path: Path) -> None:
    """By uid, never by value."""
    fill(site.house, tmp_path, 2)
    victim = uid_of(site.house, 1)
    tamper(site.house, "UPDATE voter SET c03 = c04 WHERE uid = :v", v=victim)
    uid = begun(site)
    rotation_rounds.go_on(custody(site.house))

    page = plain(site.get("admin", f"/admin/rotations/{uid}"))
    assert victim in page
    assert "Kunci lama tetap ada" in page
    assert not any(value in page for value in VALUES)


@pytest.mark.parametrize("name", ["officer", "operator"])
def test_only_an_administrator_rotates(site: Site, name: str) -> None:
    """Neither page nor form is anybody else's."""
    before = key_epochs(site.house)
    for path in ("/admin/rotations", "/admin/keys/rotate", "/admin/rotations/" + "a" * 26):
        assert site.get(name, path).status_code == 403
    assert site.act(name, "/admin/rotations", kind="kab", region=KAB).status_code == 403
    assert key_epochs(site.house) == before


def test_every_change_needs_a_fresh_code(site: Site, tmp_path: Path) -> None:
    """An old code opens the lists and changes nothing."""
    fill(site.house, tmp_path, 2)
    uid = begun(site)
    site.pass_time("admin", 11)
    assert site.get("admin", "/admin/rotations").status_code == 200
    assert site.get("admin", "/admin/erasures").status_code == 200
    before = size(site.house)

    for path, form in (
        ("/admin/rotations", {"kind": "kab", "region": NEIGHBOUR}), (f"/admin/rotations/{uid}", {"act": "pause"}),
        ("/admin/erasures", {"voter": f"{KAB}-{uid_of(site.house, 1)}", "reason": "x"}), (f"/admin/erasures/{'a' * 26}", {"decision": "confirm"}),
    ):  # fmt: skip
        assert site.act("admin", path, **form).location.startswith("/step-up"), path

    assert [one for one in outcomes(site.house, before) if one[0] in ("key:create", "key:rotate", "voter:erase")] == []


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"kind": "x", "region": KAB}, 400),
        ({"kind": "kab", "region": "51"}, 400),
        ({"kind": "kab", "region": "31.71"}, 400),
        ({"kind": "kab", "region": KAB, "rate": "cepat"}, 400),
    ],
)
def test_bad_input_is_refused_with_a_remedy(site: Site, form: dict[str, str], status: int) -> None:
    """Nothing begins."""
    sent = site.act("admin", "/admin/rotations", **form)

    assert sent.status_code == status
    assert key_epochs(site.house) == [1]


def test_a_second_rotation_there_is_refused(site: Site, tmp_path: Path) -> None:
    """In words."""
    fill(site.house, tmp_path, 2)
    begun(site)

    refused = site.act("admin", "/admin/rotations", kind="data", region=KAB)
    assert refused.status_code == 409
    assert "belum selesai" in plain(refused)


def test_two_people_erase_a_voter_and_the_page_says_what_it_waits_for(wide: Site, tmp_path: Path) -> None:
    """Asked by one, confirmed by another, pending with its next step, and nothing of the voter on any page."""
    fill(wide.house, tmp_path, 3)
    uid = uid_of(wide.house, 1)
    assert wide.act("admin", "/admin/erasures", voter=f"{KAB}-{uid}", reason="Putusan no. 7").status_code == 303
    asked = wide.get("admin", "/admin/erasures")
    assert "Tarik kembali" in asked.text
    assert "Hapus data pemilih ini" not in asked.text
    [erasure] = re.findall(r'action="/admin/erasures/([a-z2-7]{26})"', wide.get("officer", "/admin/erasures").text)

    assert wide.act("admin", f"/admin/erasures/{erasure}", decision="confirm").status_code == 403
    assert all_read(wide.house, range(1, 4))
    assert wide.act("officer", f"/admin/erasures/{erasure}", decision="confirm").status_code == 303
    page = plain(wide.get("admin", "/admin/erasures"))
    assert "Belum tuntas" in page
    assert "Ganti sekarang" in page
    begun(wide)
    rotation_rounds.go_on(custody(wide.house))

    after = wide.get("admin", "/admin/erasures")
    assert "gardu keys rotate provider" in plain(after)
    assert not any(value in after.text for value in VALUES)
    assert all_read(wide.house, range(2, 4))
    assert store_findings(wide.house) == []


def test_an_erasure_typed_wrongly_says_what_to_mend(site: Site) -> None:
    """What was typed stays in the form."""
    sent = site.act("officer", "/admin/erasures", voter="51.71-abc", reason="Putusan no. 7")

    assert sent.status_code == 400
    assert "Tidak ada pemilih dengan nomor itu" in plain(sent)
    assert 'value="Putusan no. 7"' in sent.text


def test_after_thirty_days_the_kabs_rotation_begins_by_itself(site: Site, tmp_path: Path) -> None:
    """A confirmed erasure does not wait for somebody to remember it; one rotation serves all of the kab's."""
    fill(site.house, tmp_path, 3)
    room = custody(site.house)
    for number in (1, 2):
        site.act("admin", "/admin/erasures", voter=f"{KAB}-{uid_of(site.house, number)}", reason="Putusan no. 7")
        erasure = next(one.uid for one in voter_erasure.listed(room, None, site.house.clock.now()) if one.state == "waiting")
        site.act("officer", f"/admin/erasures/{erasure}", decision="confirm")
    assert rotation_rounds.look_after(room, site.house.clock.now()) == []
    site.house.clock.move(days=31)

    begun_by_itself = rotation_rounds.look_after(room, site.house.clock.now())
    assert len(begun_by_itself) == 1
    assert rotation_rounds.look_after(room, site.house.clock.now()) == []
    rotation_rounds.go_on(room)
    assert {one.stage for one in voter_erasure.listed(room, None, site.house.clock.now())} == {"provider"}
    assert rotation_rounds.look_after(room, site.house.clock.now()) == []
