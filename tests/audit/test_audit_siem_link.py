"""Records over real TLS, and into files: only to whom they are meant for, and nothing lost on the way."""

from __future__ import annotations

import io
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.audit import follow as following
from app.audit import siem_link
from app.audit.follow import Cursor, Position, Source, follow
from app.audit.siem import Format, framed, record
from app.audit.siem_entry import Item
from app.audit.siem_link import to_file, to_pipe, to_receiver
from app.audit.siem_read import read
from app.kernel.errors import BadInput, Unavailable, UnsafeStart
from app.store.engine import Store
from tests.audit.siem_kit import Authority, Receiver, item
from tests.trail_kit import ORIGIN, fill, mixed

ITEMS = [item(seq=seq) for seq in range(40)]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """An authority of our own."""
    return Authority(tmp_path)


@pytest.fixture
def receive(authority: Authority) -> Iterator[Callable[..., Receiver]]:
    """Make receivers at 127.0.0.1, whose certificates the authority gave."""
    made: list[Receiver] = []

    def start(host: str = "127.0.0.1", by: Authority = authority, **choices: object) -> Receiver:
        made.append(Receiver(by.certificate(host), **choices))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for receiver in made:
        receiver.close()


def said_to(receiver: Receiver) -> list[int]:
    return [read(raw).seq for raw in receiver.got]


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_receiver_gets_octet_counted_messages(
    authority: Authority, receive: Callable[..., Receiver], form: Format, version: ssl.TLSVersion
) -> None:
    """Every record, byte by byte, once it has said that it read everything."""
    receiver = receive(version=version)
    give = to_receiver(form, f"tls://127.0.0.1:{receiver.port}", authority.file, None, None)

    give(ITEMS[:3])
    give(ITEMS[3:5])

    assert receiver.got == [framed(form, one).partition(b" ")[2] for one in ITEMS[:5]]


def test_a_receiver_that_dies_midway_has_not_taken_anything(authority: Authority, receive: Callable[..., Receiver]) -> None:
    """It reset the connection after some octets: that is known, and the same batch can be given again."""
    receiver = receive()
    receiver.dies, receiver.dies_after = 1, 3_000
    give = to_receiver(Format.RFC5424, f"tls://127.0.0.1:{receiver.port}", authority.file, None, None)

    with pytest.raises(Unavailable, match=f"127.0.0.1:{receiver.port}"):
        give(ITEMS)
    assert receiver.got == []
    give(ITEMS)

    assert said_to(receiver) == list(range(40))


def test_a_receiver_that_only_hangs_up_is_not_believed(authority: Authority, receive: Callable[..., Receiver]) -> None:
    """The end of a TCP connection can be forged by anybody on the way; the end of a TLS session cannot."""
    receiver = receive()
    receiver.mute = True
    give = to_receiver(Format.RFC5424, f"tls://127.0.0.1:{receiver.port}", authority.file, None, None)

    with pytest.raises(Unavailable, match="before it had said that it read everything"):
        give(ITEMS[:2])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_receiver_that_ends_before_it_has_read_everything_is_not_believed(
    authority: Authority, receive: Callable[..., Receiver], version: ssl.TLSVersion
) -> None:
    """Told to stop, it ends its session properly in the middle of ours: its end is no answer to ours."""
    receiver = receive(version=version)
    receiver.hasty = True
    give = to_receiver(Format.RFC5424, f"tls://127.0.0.1:{receiver.port}", authority.file, None, None)

    for _ in range(10):
        with pytest.raises(Unavailable, match=f"127.0.0.1:{receiver.port}"):
            give(ITEMS)


def test_a_receiver_that_says_nothing_is_given_up(
    authority: Authority, receive: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that takes the octets and then stands still does not hold the follower for ever."""
    monkeypatch.setattr(siem_link, "TIMEOUT_SECONDS", 0.5)
    receiver = receive()
    receiver.still = True
    give = to_receiver(Format.RFC5424, f"tls://127.0.0.1:{receiver.port}", authority.file, None, None)

    with pytest.raises(Unavailable, match="timed out"):
        give(ITEMS[:2])
    receiver.go.set()


def test_nobody_there_is_said_clearly(authority: Authority) -> None:
    """Address and reason."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    give = to_receiver(Format.RFC5424, f"tls://127.0.0.1:{port}", authority.file, None, None)

    with pytest.raises(Unavailable, match=f"127.0.0.1:{port} does not answer: Connection refused"):
        give(ITEMS[:1])


def test_a_certificate_of_another_authority_is_refused(authority: Authority, receive: Callable[..., Receiver], tmp_path: Path) -> None:
    """Nothing is sent to somebody in between."""
    (tmp_path / "other").mkdir()
    receiver = receive(by=Authority(tmp_path / "other", "other-ca"))
    give = to_receiver(Format.RFC5424, f"tls://127.0.0.1:{receiver.port}", authority.file, None, None)

    with pytest.raises(UnsafeStart, match=r"its certificate is refused: .*; nothing was sent"):
        give(ITEMS[:1])
    assert receiver.got == []


def test_a_certificate_of_another_host_is_refused(authority: Authority, receive: Callable[..., Receiver]) -> None:
    """The right authority, the wrong machine."""
    receiver = receive("siem.example")
    give = to_receiver(Format.RFC5424, f"tls://127.0.0.1:{receiver.port}", authority.file, None, None)

    with pytest.raises(UnsafeStart, match="IP address mismatch"):
        give(ITEMS[:1])
    assert receiver.got == []


def test_without_an_authority_of_ours_only_the_machines_are_believed(receive: Callable[..., Receiver]) -> None:
    """A certificate that nobody public gave is refused."""
    receiver = receive()

    with pytest.raises(UnsafeStart, match="certificate"):
        to_receiver(Format.RFC5424, f"tls://127.0.0.1:{receiver.port}", None, None, None)(ITEMS[:1])


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_before_1_2_is_refused(authority: Authority, receive: Callable[..., Receiver]) -> None:
    """A receiver that speaks only an older version gets nothing."""
    receiver = receive()
    receiver.context.set_ciphers("ALL:@SECLEVEL=0")
    receiver.context.minimum_version = ssl.TLSVersion.TLSv1
    receiver.context.maximum_version = ssl.TLSVersion.TLSv1_1
    give = to_receiver(Format.RFC5424, f"tls://127.0.0.1:{receiver.port}", authority.file, None, None)

    with pytest.raises(Unavailable):
        give(ITEMS[:1])
    assert receiver.got == []


def test_a_receiver_may_ask_who_we_are(authority: Authority, receive: Callable[..., Receiver]) -> None:
    """With a certificate it takes the records; without one it takes none, and the follower knows."""
    receiver = receive(clients=authority.file)
    cert, key = authority.certificate("guard.example")

    with pytest.raises(Unavailable):
        to_receiver(Format.RFC5424, f"tls://127.0.0.1:{receiver.port}", authority.file, None, None)(ITEMS[:1])
    assert receiver.got == []
    to_receiver(Format.RFC5424, f"tls://127.0.0.1:{receiver.port}", authority.file, cert, key)(ITEMS[:1])

    assert said_to(receiver) == [0]


def test_nothing_is_missing_after_a_receiver_died_and_came_back(
    store: Store, authority: Authority, receive: Callable[..., Receiver], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies in the middle of a batch, again and again: every entry arrives, in order, and none between two that arrived is missing."""
    monkeypatch.setattr(following, "BATCH", 40)
    fill(store, mixed(60))
    receiver = receive()
    receiver.dies, receiver.dies_after = 2, 30_000
    stop, told = threading.Event(), list[str]()

    def wait(trouble: str) -> None:
        told.append(trouble)

    def give(items: list[Item]) -> None:
        send(items)
        if items[-1].seq == 59:
            stop.set()

    send = to_receiver(Format.RFC5424, f"tls://127.0.0.1:{receiver.port}", authority.file, None, None)
    source, cursor = Source(store, lambda: ORIGIN, told.append), Cursor(tmp_path / "cursor")
    follow(source, cursor, give, Position(ORIGIN, 0), stop, wait=wait)  # type: ignore[arg-type]

    assert said_to(receiver) == list(range(60))
    assert receiver.connections == 4
    assert len(told) == 2
    assert cursor.load() == Position(ORIGIN, 60)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("tcp://h:1", "only TLS"),
        ("udp://h:1", "only TLS"),
        ("https://h:1", "not tls://host"),
        ("tls://", "not tls://host"),
        ("tls://h:99999", "not tls://host"),
        ("tls://h:x", "not tls://host"),
        ("tls://name:word@h:1", "not tls://host"),
        ("tls://h:1/path", "not tls://host"),
        ("tls://[::1", "not tls://host"),
        ("tls://.h", "not tls://host"),
        (f"tls://{'h' * 64}", "not tls://host"),
    ],
)
def test_an_address_that_is_no_receivers_is_refused(address: str, why: str) -> None:
    """Above all a plain connection."""
    with pytest.raises(BadInput, match=why):
        to_receiver(Format.RFC5424, address, None, None, None)


def test_files_that_hold_no_certificate_are_named(authority: Authority, tmp_path: Path) -> None:
    """Also a key that is not the certificate's, and a key without a certificate."""
    empty, (cert, _), (_, other) = tmp_path / "empty.pem", authority.certificate("one.example"), authority.certificate("two.example")
    empty.write_text("nothing")

    with pytest.raises(BadInput, match=r"empty\.pem: no certificate"):
        to_receiver(Format.CEF, "tls://h", empty, None, None)
    with pytest.raises(BadInput, match=r"two\.example\.key: no certificate or key"):
        to_receiver(Format.CEF, "tls://h", authority.file, cert, other)
    with pytest.raises(BadInput, match="--cert-key needs --cert"):
        to_receiver(Format.CEF, "tls://h", authority.file, None, other)


# ---- files and pipes ----


@pytest.mark.parametrize("form", Format)
def test_a_file_gets_a_line_for_each_record(form: Format, tmp_path: Path) -> None:
    """At its end, whatever stood in it."""
    file = tmp_path / "out"
    give = to_file(form, file)

    give(ITEMS[:2])
    give(ITEMS[2:3])

    assert file.read_text("utf-8") == "".join(f"{record(form, one)}\n" for one in ITEMS[:3])


def test_a_line_that_was_cut_off_is_ended_and_never_taken_away(tmp_path: Path) -> None:
    """Whoever pointed us at a file of their own loses nothing."""
    file = tmp_path / "out"
    file.write_bytes(b"what stood there")

    to_file(Format.JSONL, file)(ITEMS[:1])

    assert file.read_bytes() == b"what stood there\n" + record(Format.JSONL, ITEMS[0]).encode() + b"\n"


def test_a_file_that_is_moved_away_is_begun_anew(tmp_path: Path) -> None:
    """A rotation needs no signal."""
    file = tmp_path / "out"
    give = to_file(Format.JSONL, file)

    give(ITEMS[:1])
    file.rename(tmp_path / "out.1")
    give(ITEMS[1:2])

    assert [read((tmp_path / name).read_bytes()).seq for name in ("out.1", "out")] == [0, 1]


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    """Said before anything is recorded."""
    with pytest.raises(BadInput, match="no regular file"):
        to_file(Format.JSONL, tmp_path)


def test_a_pipe_gets_the_same_lines() -> None:
    """And is flushed, so that the cursor never runs ahead of it."""
    stream = io.BytesIO()

    to_pipe(Format.CEF, stream)(ITEMS[:2])

    assert stream.getvalue().decode() == "".join(f"{record(Format.CEF, one)}\n" for one in ITEMS[:2])
