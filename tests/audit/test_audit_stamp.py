"""Time stamps: a good one is kept with its moment, every bad one is refused with its reason, and an absent one shows."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from app.audit import stamp
from app.audit.tables import TrailPublished
from app.kernel.errors import BadInput, Conflict, GarduError, SealBroken, StoreDown, Unavailable
from app.store.engine import Store
from tests.audit.tsa_kit import NOW, Authority, serving
from tests.trail_kit import ORIGIN, draft, fill, run, trail_on

NOTE = f"{ORIGIN}\n3\n{'A' * 43}=\n\n— {ORIGIN} {'A' * 92}\n"
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def authority() -> Authority:
    """One authority for tests that read its answers; certificates take a while to make."""
    return Authority()


@pytest.fixture
def served() -> Iterator[tuple[Authority, str]]:
    """An authority of the test's own, and its address."""
    made = Authority()
    with serving(made) as url:
        yield made, url


def publish(store: Store, size: int, at: datetime, note: str = NOTE) -> None:
    with store.writing() as session:
        session.add(TrailPublished(log=ORIGIN, size=size, note=note, at=at))


def answered(authority: Authority, mode: str = "good", note: str = NOTE) -> tuple[bytes, int]:
    """Return what *authority* answers in *mode*, and the nonce of the query."""
    query, nonce = stamp.request(note)
    before, authority.mode = authority.mode, mode
    try:
        return authority.reply(query), nonce
    finally:
        authority.mode = before


# ---- one stamp ----


def test_a_good_stamp_gives_the_authoritys_moment(served: tuple[Authority, str]) -> None:
    """Over HTTP, as it will be; the moment is aware and in UTC."""
    authority, url = served
    query, nonce = stamp.request(NOTE)

    token = stamp.fetch(url, query)

    assert stamp.check(token, NOTE, authority.roots, nonce) == NOW
    assert stamp.check(token, NOTE, authority.roots).utcoffset() == timedelta(0)


def test_two_queries_of_one_note_differ_in_their_nonce() -> None:
    """Else an old answer could be played back as a new one."""
    (one, first), (other, second) = stamp.request(NOTE), stamp.request(NOTE)

    assert first != second
    assert one != other
    assert NOTE.encode() not in one


REFUSED = [
    ("imprint", SealBroken, stamp.IMPRINT), ("other hash", SealBroken, stamp.IMPRINT),
    ("nonce", SealBroken, stamp.NONCE), ("no nonce", SealBroken, stamp.NONCE),
    ("rejected", BadInput, stamp.REFUSED), ("mods", BadInput, stamp.REFUSED), ("no token", BadInput, stamp.GARBLED),
    ("signature", SealBroken, stamp.CHAIN), ("other root", SealBroken, stamp.CHAIN), ("no certificate", SealBroken, stamp.CHAIN),
    ("expired", SealBroken, stamp.EXPIRED),
    *((mode, SealBroken, stamp.USAGE) for mode in ("web server", "smuggled", "no usage", "usage not critical", "two usages")),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "kind", "words"), REFUSED, ids=[mode for mode, _, _ in REFUSED])
def test_a_bad_stamp_is_refused_with_its_reason(authority: Authority, mode: str, kind: type[GarduError], words: str) -> None:
    """RFC 3161 section 2.3 wants a certificate for time stamps alone, marked critical; a web server's must not pass."""
    token, nonce = answered(authority, mode)

    with pytest.raises(kind) as refused:
        stamp.check(token, NOTE, authority.roots, nonce)

    assert refused.value.public == words
    assert len(refused.value.detail) < 1000


def test_what_the_authority_says_of_its_refusal_reaches_the_operator(authority: Authority) -> None:
    """Status and text, so that somebody can mend it."""
    token, nonce = answered(authority, "rejected")

    with pytest.raises(BadInput, match="status 2, not granted: 'kuota habis'"):
        stamp.check(token, NOTE, authority.roots, nonce)


def test_a_stamp_of_one_note_does_not_pass_for_another(authority: Authority) -> None:
    """One byte of the note is enough."""
    token, nonce = answered(authority)

    with pytest.raises(SealBroken) as refused:
        stamp.check(token, NOTE.replace("\n3\n", "\n4\n"), authority.roots, nonce)

    assert refused.value.public == stamp.IMPRINT


def test_any_byte_changed_is_refused_or_changes_nothing_that_was_said(authority: Authority) -> None:
    """CMS leaves a version and an algorithm's name outside the signature; moment, imprint and nonce are inside."""
    token, nonce = answered(authority)
    accepted = 0

    for place in range(len(token)):
        forged = bytearray(token)
        forged[place] ^= 1 + place % 255
        try:
            assert stamp.check(bytes(forged), NOTE, authority.roots, nonce) == NOW
        except (BadInput, SealBroken):
            continue
        accepted += 1

    assert accepted < 16


@pytest.mark.parametrize("cut", [0, 1, 2, 7, 100, -1])
def test_a_stamp_cut_short_is_no_stamp(authority: Authority, cut: int) -> None:
    """Whatever is left of it, the error is one sentence."""
    token, nonce = answered(authority)

    with pytest.raises(BadInput) as refused:
        stamp.check(token[:cut], NOTE, authority.roots, nonce)

    assert refused.value.public == stamp.GARBLED


@pytest.mark.parametrize("roots", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_roots_that_are_no_certificates_are_named(authority: Authority, roots: bytes) -> None:
    """No root is never all roots."""
    token, nonce = answered(authority)

    with pytest.raises(BadInput) as refused:
        stamp.check(token, NOTE, roots, nonce)

    assert refused.value.public == stamp.NO_ROOTS


def test_one_root_among_several_and_twice_is_found(authority: Authority) -> None:
    """A roots file may hold the old and the new root of an authority."""
    token, nonce = answered(authority)
    other = Authority()

    assert stamp.check(token, NOTE, other.roots + authority.roots * 2, nonce) == NOW


def test_a_stamp_outlives_the_certificate_that_made_it(authority: Authority) -> None:
    """Validity is that of the stamp's moment, not of today: this one was made in a certificate's five days, long ago."""
    then = NOW - timedelta(days=362)
    authority.now = then
    token, nonce = answered(authority, "outlived")
    authority.now = NOW

    assert stamp.check(token, NOTE, authority.roots, nonce) == then


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl command on this machine to cross-check with")
def test_openssl_agrees(authority: Authority, tmp_path: Path) -> None:
    """A stranger's program verifies the stored bytes against the published note, and refuses them for another note."""
    for name, content in {"note": NOTE.encode(), "other": b"x", "token": answered(authority)[0], "roots": authority.roots}.items():
        (tmp_path / name).write_bytes(content)
    moment = str(int(NOW.timestamp()))

    def says(file: str) -> subprocess.CompletedProcess[str]:
        command = ["openssl", "ts", "-verify", "-data", file, "-in", "token", "-CAfile", "roots", "-attime", moment]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert "Verification: OK" in says("note").stdout
    assert says("other").returncode != 0


# ---- the line ----


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("slow", "no whole answer within 0.5 s"), ("drip", "no whole answer within 0.5 s"), ("large", "more than 65536 bytes"),
        ("redirect", "answered 302"), ("error", "answered 503"), ("html", "answered 200 text/html"), ("silent", "without response"),
    ],
)  # fmt: skip
def test_an_authority_that_does_not_answer_is_unavailable(served: tuple[Authority, str], mode: str, words: str) -> None:
    """Late, drop by drop, too much, elsewhere, or something else: each said plainly, none waited for beyond the limit."""
    authority, url = served
    authority.mode = mode

    with pytest.raises(Unavailable, match=words) as refused:
        stamp.fetch(url, stamp.request(NOTE)[0], 0.5)

    assert refused.value.public == stamp.SILENT


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/tsr", "https://127.0.0.1:1/tsr", "http://tidak-ada.invalid/tsr", "http://127.0.0.1/a b"]
)
def test_an_authority_that_is_not_there_is_unavailable(url: str) -> None:
    """Also under a name that nobody has."""
    with pytest.raises(Unavailable, match="time-stamping authority"):
        stamp.fetch(url, b"query", 2)


def test_plain_http_under_an_https_address_is_refused(served: tuple[Authority, str]) -> None:
    """TLS is spoken or nothing."""
    _, url = served

    with pytest.raises(Unavailable):
        stamp.fetch(url.replace("http:", "https:"), stamp.request(NOTE)[0], 2)


def test_garbage_is_an_answer_but_no_stamp(served: tuple[Authority, str]) -> None:
    """It comes with the right type and is refused on reading."""
    authority, url = served
    authority.mode = "garbage"
    query, nonce = stamp.request(NOTE)

    with pytest.raises(BadInput):
        stamp.check(stamp.fetch(url, query), NOTE, authority.roots, nonce)


# ---- in the store ----


def test_the_newest_published_checkpoint_is_due_once_an_hour(store: Store, authority: Authority) -> None:
    """Not before something is published, not twice in an hour, not twice for one checkpoint."""
    token = answered(authority)[0]
    assert stamp.stamp_due(store, ORIGIN, NOW) is None
    publish(store, 3, NOW)
    publish(store, 5, NOW)
    first = stamp.stamp_due(store, ORIGIN, NOW)
    assert first is not None
    assert first.size == 5

    stamp.store_stamp(store, ORIGIN, 5, "https://tsa.example", token, NOW + timedelta(minutes=1))
    publish(store, 9, NOW + timedelta(minutes=2))

    assert stamp.stamp_due(store, ORIGIN, NOW + timedelta(minutes=59)) is None
    later = stamp.stamp_due(store, ORIGIN, NOW + HOUR)
    assert later is not None
    assert later.size == 9
    stamp.store_stamp(store, ORIGIN, 9, "https://tsa.example", token, NOW + HOUR)
    assert stamp.stamp_due(store, ORIGIN, NOW + 5 * HOUR) is None
    kept = stamp.newest(store, ORIGIN)
    assert kept is not None
    assert (kept.size, kept.at, kept.token) == (9, NOW + HOUR, token)


def test_a_stamp_is_taken_kept_and_holds(store: Store, served: tuple[Authority, str]) -> None:
    """The walk as the hourly job does it; a second time in the hour asks nobody."""
    authority, url = served
    publish(store, 3, NOW)

    assert stamp.take(store, ORIGIN, url, authority.roots, NOW + timedelta(seconds=2)) == NOW
    assert stamp.take(store, ORIGIN, url, authority.roots, NOW + timedelta(seconds=9)) is None
    assert authority.asked == 1
    assert list(stamp.verify_stamps(store, ORIGIN, authority.roots)) == [(3, None)]


@pytest.mark.parametrize("mode", ["imprint", "nonce", "rejected", "other root", "garbage", "error"])
def test_what_does_not_hold_is_not_kept(store: Store, served: tuple[Authority, str], mode: str) -> None:
    """The checkpoint stays due."""
    authority, url = served
    authority.mode = mode
    publish(store, 3, NOW)

    with pytest.raises((BadInput, SealBroken, Unavailable)):
        stamp.take(store, ORIGIN, url, authority.roots, NOW)

    assert stamp.newest(store, ORIGIN) is None
    assert stamp.stamp_due(store, ORIGIN, NOW) is not None


@pytest.mark.parametrize("apart", [timedelta(minutes=6), timedelta(minutes=-6)])
def test_clocks_that_are_apart_are_said_and_nothing_is_kept(store: Store, served: tuple[Authority, str], apart: timedelta) -> None:
    """One of the two is wrong, and an authority that is behind would be asked again and again."""
    authority, url = served
    publish(store, 3, NOW)

    with pytest.raises(Unavailable, match="2026-12-01T03:00:00") as refused:
        stamp.take(store, ORIGIN, url, authority.roots, NOW + apart)

    assert refused.value.public == stamp.CLOCKS
    assert stamp.newest(store, ORIGIN) is None


def test_a_second_stamp_of_one_checkpoint_is_a_conflict(store: Store, authority: Authority) -> None:
    """Two processes may both find it due; the first one's stays."""
    token = answered(authority)[0]
    stamp.store_stamp(store, ORIGIN, 3, "https://tsa.example", token, NOW)

    with pytest.raises(Conflict):
        stamp.store_stamp(store, ORIGIN, 3, "https://tsa.example", b"other", NOW + HOUR)

    kept = stamp.newest(store, ORIGIN)
    assert kept is not None
    assert kept.token == token


@pytest.mark.parametrize("statement", ["DELETE FROM trail_stamp", "UPDATE trail_stamp SET token = token"])
def test_a_kept_stamp_is_neither_changed_nor_deleted(store: Store, authority: Authority, statement: str) -> None:
    """The database itself refuses."""
    stamp.store_stamp(store, ORIGIN, 3, "https://tsa.example", answered(authority)[0], NOW)

    with pytest.raises((DBAPIError, StoreDown)):
        run(store, statement)


def test_every_stored_stamp_is_checked_and_each_fault_is_named(store: Store, authority: Authority) -> None:
    """Somebody with the database put in stamps of another note, another authority and another moment, one for no checkpoint, and bytes."""
    good, foreign = answered(authority)[0], answered(authority, "other root")[0]
    other_note = answered(authority, note="other")[0]
    for size in (1, 2, 3, 4, 5):
        publish(store, size, NOW)
    stored = {1: (good, NOW), 2: (good, NOW + HOUR), 3: (foreign, NOW), 4: (other_note, NOW), 5: (b"bytes", NOW), 6: (good, NOW)}
    for size, (token, at) in stored.items():
        stamp.store_stamp(store, ORIGIN, size, "https://tsa.example", token, at)

    found = dict(stamp.verify_stamps(store, ORIGIN, authority.roots))

    assert found == {1: None, 2: stamp.MOMENT, 3: stamp.CHAIN, 4: stamp.IMPRINT, 5: stamp.GARBLED, 6: stamp.ORPHAN}
    with pytest.raises(BadInput):
        list(stamp.verify_stamps(store, ORIGIN, b""))


# ---- absence ----


def test_hours_that_grew_without_a_stamp_show(store: Store, authority: Authority) -> None:
    """Entries in five hours: stamped within the hour, within the next, too late, too little, never; and one hour at rest."""
    token = answered(authority)[0]
    hours = [NOW + HOUR * n for n in (0, 1, 4, 8, 12)]
    fill(
        store,
        [
            (draft(number, at=hour + timedelta(minutes=part)), None)
            for number, (hour, part) in enumerate((h, p) for h in hours for p in (5, 50))
        ],
    )
    #           entries 0, 1 in hour 0; 2, 3 in hour 1; 4, 5 in hour 4; 6, 7 in hour 8; 8, 9 in hour 12
    kept = {
        2: hours[0] + timedelta(minutes=55),
        4: hours[1] + timedelta(minutes=70),
        6: hours[2] + 2 * HOUR,
        7: hours[3] + timedelta(minutes=30),
    }
    for size, at in kept.items():
        stamp.store_stamp(store, ORIGIN, size, "https://tsa.example", token, at)

    assert stamp.gaps(store, ORIGIN, NOW, NOW + 24 * HOUR) == hours[2:]
    assert stamp.gaps(store, ORIGIN, NOW + timedelta(minutes=1), NOW + 5 * HOUR) == []
    assert stamp.gaps(store, ORIGIN, NOW, NOW + 14 * HOUR - timedelta(seconds=1)) == hours[2:4]


def test_a_log_without_an_authority_is_all_gaps(store: Store) -> None:
    """Absence is said, not passed over."""
    fill(store, [(draft(0, at=NOW), None)])

    assert stamp.gaps(store, ORIGIN, NOW - HOUR, NOW + 3 * HOUR) == [NOW]
    assert stamp.newest(store, ORIGIN) is None


def test_entries_that_contradict_a_stamp_are_found(store: Store) -> None:
    """Dated long before a stamp they come after, or after a stamp they stand behind; what began a little earlier is no lie."""
    stamped = [(2, NOW + timedelta(hours=1)), (4, NOW + timedelta(hours=2))]
    moments = [NOW, NOW + timedelta(minutes=50), NOW + timedelta(minutes=45), NOW + timedelta(minutes=110), NOW + timedelta(minutes=119)]
    fill(store, [(draft(number, at=at), None) for number, at in enumerate(moments)])
    for size, at in stamped:
        stamp.store_stamp(store, ORIGIN, size, "https://tsa.example/", b"token", at)
    assert list(stamp.contradictions(store, ORIGIN)) == []

    trail = trail_on(store)
    trail.append(draft(5, at=NOW + timedelta(minutes=5)))
    assert list(stamp.contradictions(store, ORIGIN)) == [(4, stamp.BACKDATED)]
    trail.append(draft(6, at=NOW + timedelta(hours=9)))
    stamp.store_stamp(store, ORIGIN, 7, "https://tsa.example/", b"token", NOW + timedelta(hours=3))
    assert list(stamp.contradictions(store, ORIGIN)) == [(4, stamp.BACKDATED), (7, stamp.AHEAD)]
