"""The page of backups: one made, one proven by a drill over HTTP, by somebody who can see no voter; the identity is kept nowhere."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.admin import backups
from app.audit.entry import draft_for
from app.custody.backup_room import DATA_FILE, KEY_FILE, kept
from app.factory import House
from app.kernel.actor import host_actor
from app.kernel.fields import Action, Outcome
from app.settings import Settings
from app.vault import age
from tests.admin.admin_kit import Desk, Site, plain
from tests.conftest import KAB, dp4_row, load_dp4, write_dp4
from tests.walk_kit import content, rows_of, size, tamper


class Nightly:
    """The pages of a house whose backups are set up, with two voters."""

    def __init__(self, house: House, tmp_path: Path) -> None:
        self.identity, self.text = age.Identity.generate()
        self.folder = tmp_path / "cadangan"
        settings = replace(house.settings, backup_to=self.folder, backup_recipients=self.identity.recipient)
        load_dp4(house, write_dp4(tmp_path / "a.csv", [dp4_row(1), dp4_row(2)]))
        self.site = Site(Desk(replace(house, settings=settings)))
        self.house = self.site.house

    def make(self) -> str:
        """Make a backup by the button; return its uid."""
        assert self.site.act("admin", "/admin/backups").status_code == 303
        return kept(self.folder)[0].uid

    def drill(self, uid: str, identity: str) -> str:
        """Prove it by the form; return the address of the page that says how it went."""
        sent = self.site.act("admin", f"/admin/backups/{uid}", identity=identity)
        assert sent.status_code == 303, plain(sent)
        return str(sent.headers["Location"])


@pytest.fixture
def nightly(house: House, tmp_path: Path) -> Nightly:
    return Nightly(house, tmp_path)


@pytest.fixture
def one(sqlite_house: House, tmp_path: Path) -> Nightly:
    """Over SQLite, where the engine makes no difference."""
    return Nightly(sqlite_house, tmp_path)


def test_a_drill_by_an_administrator_who_sees_no_voter(nightly: Nightly) -> None:
    """Made and proven over HTTP; every step is told, the entries name the administrator, and no page on the way holds a voter."""
    site, desk = nightly.site, nightly.site.desk
    empty = plain(site.get("admin", "/admin/backups"))
    assert "Belum ada cadangan" in empty and "setiap hari pukul 18.00 UTC, ke cadangan" in empty
    site.get("admin", "/")
    before = size(nightly.house)

    uid = nightly.make()
    told = plain(site.get("admin", "/admin/backups"))
    assert "Belum pernah terbukti pulih" in told and "belum diuji" in told
    path = nightly.drill(uid, nightly.text)
    ended, after = site.get("admin", path), site.get("admin", "/admin/backups")

    assert "Cadangan ini terbukti dapat dipulihkan" in plain(ended)
    assert plain(ended).count("terbukti: Kunci") == 1 and ended.text.count("tidak terbukti") == 0
    assert re.search(r"data [0-9.]+ (B|kB), kunci [0-9.]+ (B|kB) ", plain(after))
    assert "terbukti pulih" in plain(after) and "Uji pemulihan terakhir yang berhasil:" in plain(after)
    assert desk.said(before) == [
        ("backup:create", "intent"), ("backup:create", "done"), ("backup:verify", "intent"), ("backup:verify", "done"),
    ]  # fmt: skip
    pages = [told, plain(ended), plain(after), plain(site.get("admin", f"/admin/backups/{uid}"))]
    for row in (dp4_row(1), dp4_row(2)):
        assert not any(row[name] in page for page in pages for name in ("NIK", "NKK", "NAMA"))
    for address in ("/voters", "/audit"):
        assert site.get("admin", address).status_code in {403, 404}


def test_the_identity_is_kept_nowhere(one: Nightly, capfd: pytest.CaptureFixture[str]) -> None:
    """Not in a row, an entry, a payload, a file, a log line, an address or a page, whether it was right or wrong."""
    uid = one.make()
    one.drill(uid, f"# dibuat 2026\n{one.text}\n".replace("\n", "\r\n"))
    _, other = age.Identity.generate()
    ended = one.site.get("admin", one.drill(uid, other))
    assert "bukan milik penerima cadangan ini" in plain(ended)
    refused = one.site.act("admin", f"/admin/backups/{uid}", identity=one.text[:-1])
    assert refused.status_code == 400 and "AGE-SECRET-KEY-1" in refused.text

    said = capfd.readouterr()
    secrets = [part for text in (one.text, other) for part in (text[:40], text[16:])]
    kept_rows = [
        str(row) for table in ("job", "backup_proof", "trail_entry", "backup_set") for row in rows_of(one.house, f"SELECT * FROM {table}")
    ]
    payloads = [str(content(one.house, seq)) for seq in range(size(one.house) - 5, size(one.house))]
    files = [path.read_bytes() for path in [*one.house.settings.data.rglob("*"), *one.folder.rglob("*")] if path.is_file()]
    for secret in secrets:
        assert not any(secret in text for text in [*kept_rows, *payloads, said.out, said.err, ended.text, refused.text])
        assert not any(secret.encode() in raw for raw in files)


def test_a_drill_that_fails_says_where(one: Nightly) -> None:
    """The steps before held, that one did not, the rest was not looked at; nothing counts as proven."""
    uid = one.make()
    [found] = kept(one.folder)
    raw = bytearray((found.folder / DATA_FILE).read_bytes())
    raw[-1] ^= 1
    (found.folder / DATA_FILE).write_bytes(raw)

    ended = one.site.get("admin", one.drill(uid, one.text))

    assert "Cadangan ini tidak terbukti" in plain(ended)
    words = re.findall(r'<span class="outcome">.*?</svg>\s*([a-z ]+):</span>', ended.text, flags=re.S)
    assert words == ["terbukti", "tidak terbukti", *["tidak sampai diperiksa"] * 4]
    assert "Belum pernah terbukti pulih" in plain(one.site.get("admin", "/admin/backups"))


def test_a_proof_older_than_thirty_days_is_asked_for_again(one: Nightly) -> None:
    """On the page, and on the administrator's home page."""
    uid = one.make()
    assert "Uji pemulihan cadangan" in one.site.get("admin", "/").text
    one.drill(uid, one.text)
    assert "Uji pemulihan cadangan" not in one.site.get("admin", "/").text

    one.house.clock.move(days=31)  # type: ignore[attr-defined]
    one.site.sign_in("admin")
    assert "Uji pemulihan sudah lewat waktu" in plain(one.site.get("admin", "/admin/backups"))
    assert "Uji pemulihan cadangan" in one.site.get("admin", "/").text


def test_only_an_administrator_with_a_fresh_code(one: Nightly) -> None:
    """Neither the officer nor an operator; and a code of six minutes ago leads to the code first."""
    uid = one.make()
    for name in ("officer", "operator"):
        assert one.site.get(name, "/admin/backups").status_code == 403
        assert one.site.act(name, "/admin/backups").status_code == 403
        assert one.site.act(name, f"/admin/backups/{uid}", identity=one.text).status_code == 403
    one.site.pass_time("admin", 11)
    before = size(one.house)
    for sent in (
        one.site.act("admin", "/admin/backups"),
        one.site.act("admin", f"/admin/backups/{uid}", identity=one.text),
        one.site.get("admin", f"/admin/backups/{uid}"),
    ):
        assert (sent.status_code, sent.location.partition("=")[0]) == (303, "/step-up?next") and one.text not in sent.location
    assert size(one.house) == before
    assert "Masukkan kode baru" in plain(one.site.get("admin", "/admin/backups"))


def test_what_is_not_there_is_not_there(one: Nightly) -> None:
    """Another job's uid, a uid of no backup, an archive without its keys."""
    uid = one.make()
    job = one.house.jobs.latest(backups.MAKE)[0].uid
    for path in (f"/admin/backups/{job}", f"/admin/backups/jobs/{uid}", "/admin/backups/nope", "/admin/backups/jobs/nope"):
        assert one.site.get("admin", path).status_code == 404
    (kept(one.folder)[0].folder / KEY_FILE).unlink()
    assert one.site.get("admin", f"/admin/backups/{uid}").status_code == 409
    assert "arsip kunci sudah dihapus" in plain(one.site.get("admin", "/admin/backups"))


def test_without_settings_the_page_says_how(sqlite_house: House) -> None:
    site = Site(Desk(sqlite_house))

    assert "Cadangan belum diatur" in plain(site.get("admin", "/admin/backups"))
    assert site.act("admin", "/admin/backups").status_code == 409


def test_the_night_makes_one_backup_when_its_hour_has_come(one: Nightly) -> None:
    """At 18:00 UTC, once; a day that was missed is made up for; one that failed is tried again after an hour."""
    room = replace(one.site.desk.room, settings=one.house.settings)
    backups.register(room)
    made = one.make()
    clock = one.house.clock
    # Installed at 03:00: before the first 18:00 nothing was missed, whatever is missing.
    tamper(one.house, "DELETE FROM backup_set")
    backups.make_when_due(room)
    clock.moment = clock.moment.replace(hour=17, minute=59)  # type: ignore[attr-defined]
    backups.make_when_due(room)
    assert [found.uid for found in kept(one.folder)] == [made]

    clock.move(minutes=2)  # type: ignore[attr-defined]
    for _ in range(2):
        backups.make_when_due(room)
    assert len(kept(one.folder)) == 2
    clock.move(days=2)  # type: ignore[attr-defined]
    one.folder.chmod(0o500)
    blocked = one.folder / ".gardu.lock"
    blocked.unlink()
    blocked.mkdir()
    backups.make_when_due(room)
    assert one.house.jobs.latest(backups.MAKE)[0].state == "failed"
    blocked.rmdir()
    one.folder.chmod(0o700)
    backups.make_when_due(room)
    assert len(kept(one.folder)) == 2
    clock.move(hours=1)  # type: ignore[attr-defined]
    backups.make_when_due(room)
    assert len(kept(one.folder)) == 3
    assert timedelta(hours=1) == backups.AGAIN


def test_keys_that_were_destroyed_make_a_backup_due_at_once(one: Nightly) -> None:
    """Whatever the hour: the copy of the region keys must not outlive the keys; and one is enough."""
    room = replace(one.site.desk.room, settings=one.house.settings)
    backups.register(room)
    one.make()
    clock = one.house.clock
    clock.move(hours=2)  # type: ignore[attr-defined]
    backups.make_when_due(room)
    assert len(kept(one.folder)) == 1
    one.house.guard.trail.append(draft_for(host_actor(), Action.KEY_DESTROY, Outcome.DONE, clock.now(), scope=KAB))
    clock.move(minutes=5)  # type: ignore[attr-defined]

    for _ in range(2):
        backups.make_when_due(room)

    assert len(kept(one.folder)) == 2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('backup_to = "b"\n', "go together"),
        ('backup_to = "b"\nbackup_recipients = "AGE-SECRET-KEY-1QQQQ"\n', "secret key has no place"),
        ("backup_key_days = 31\n", "1…30"),
        ("backup_hour = 24\n", "0…23"),
    ],
)
def test_settings_that_would_not_hold_are_refused(sqlite_house: House, more: str, words: str) -> None:
    config = sqlite_house.settings.data / "config.toml"
    config.write_text(config.read_text("utf-8") + more, "utf-8")

    with pytest.raises(Exception, match=words):
        Settings.load(sqlite_house.settings.data, {})
