"""Where records go: a file, a pipe, or a syslog receiver over TLS (RFC 5425). Nothing else: an entry says who did what, and over plain
TCP or UDP anybody on the way could read it, leave it out, or write one.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import urlsplit

from app.audit.siem import Format, framed, record
from app.audit.siem_entry import Item
from app.kernel.errors import BadInput, Unavailable, UnsafeStart

# RFC 5425 section 4.1: the port of syslog over TLS.
PORT = 6514
# A receiver that takes longer to connect, to read on, or to say that it has read, is taken to be gone.
TIMEOUT_SECONDS = 20.0

# Octets written or read at once.
_PIECE = 64 * 1024

Give = Callable[[Sequence[Item]], None]
T = TypeVar("T")


def to_pipe(form: Format, stream: BinaryIO) -> Give:
    """Return a giver of records, one a line, to *stream*. It raises OSError when nobody reads any more."""

    def give(items: Sequence[Item]) -> None:
        stream.write(_lines(form, items))
        stream.flush()

    return give


def to_file(form: Format, file: Path) -> Give:
    """Return a giver of records, one a line, to the end of *file*, synced to disk; opened anew each time, so that it can be rotated.

    A line that was cut off when we last died is ended, never taken away. Raises BadInput when it is no regular file. The giver raises
    OSError.
    """
    if file.exists() and not file.is_file():
        raise BadInput(f"{file} is no regular file; for a pipe use --to -", field="to")

    def give(items: Sequence[Item]) -> None:
        with file.open("ab+") as out:
            if out.tell():
                out.seek(-1, os.SEEK_END)
                if out.read(1) != b"\n":
                    out.write(b"\n")
            out.write(_lines(form, items))
            out.flush()
            os.fsync(out.fileno())

    return give


def _lines(form: Format, items: Sequence[Item]) -> bytes:
    return "".join(f"{record(form, item)}\n" for item in items).encode("utf-8")


def to_receiver(form: Format, address: str, ca: Path | None, cert: Path | None, key: Path | None) -> Give:
    """Return a giver of octet-counted messages to the syslog receiver at *address*, ``tls://host[:port]``.

    ca: PEM of the only authorities believed, else the machine's. cert, key: PEM to show to a receiver that asks who we are. Raises BadInput
    for an address or a file that cannot be used. The giver raises Unavailable when the receiver cannot be reached, or did not say that
    it read everything; UnsafeStart when its certificate is not of this host or not of these authorities.
    """
    host, port = _address(address)
    context = _context(ca, cert, key)

    def give(items: Sequence[Item]) -> None:
        frames = b"".join(framed(form, item) for item in items)
        try:
            with socket.create_connection((host, port), TIMEOUT_SECONDS) as plain:
                session = _Session(plain, context, host)
                session.begin()
                session.send(frames)
                session.end()
        except ssl.SSLCertVerificationError as wrong:
            raise UnsafeStart(f"{host}:{port}: its certificate is refused: {wrong.verify_message}; nothing was sent") from None
        except ssl.SSLEOFError:
            raise Unavailable(
                f"{host}:{port} hung up before it had said that it read everything (TLS close_notify; see docs/siem.md)"
            ) from None
        except OSError as gone:
            raise Unavailable(f"{host}:{port} does not answer: {getattr(gone, 'reason', None) or gone.strerror or gone}") from None

    return give


class _Session:
    """A TLS session over a connected socket, driven by hand: what is sent and what is read at the end must not be left to ``unwrap``."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._plain, self._inward, self._outward = plain, ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._inward, self._outward, server_hostname=host)

    def begin(self) -> None:
        """Shake hands; certificate and host name are checked."""
        self._run(self._tls.do_handshake)

    def send(self, raw: bytes) -> None:
        """Send *raw*."""
        sent = 0
        while sent < len(raw):
            sent += self._run(functools.partial(self._tls.write, raw[sent : sent + _PIECE]))

    def end(self) -> None:
        """End our side, and return once the peer has read everything and ended its own. Raises OSError, ssl.SSLError among them.

        Syslog has no acknowledgement, and what TCP took may die with the receiver. But a receiver answers our close_notify with its own
        (RFC 5425 section 4.4), in order: whoever answers has read all before, and nobody on the way can forge that.
        """
        # An alert that is here already refuses us, an end that is here already is no answer. OpenSSL's shutdown would take both for one.
        self._plain.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            self._inward.write(self._plain.recv(_PIECE))
        self._plain.settimeout(TIMEOUT_SECONDS)
        with contextlib.suppress(ssl.SSLWantReadError):
            while self._tls.read(_PIECE):
                pass  # nothing that a syslog receiver says is asked for
            raise ssl.SSLEOFError("ended before we did")
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self._flush()
        self._plain.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ssl.SSLZeroReturnError):
            while self._run(functools.partial(self._tls.read, _PIECE)):
                pass
        # Theirs may have crossed ours. A peer that closed with octets of ours unread resets the connection; one that read them ends it.
        while self._plain.recv(_PIECE):
            pass

    def _run(self, step: Callable[[], T]) -> T:
        """Do *step*, fetching what it wants to read and sending what it wrote."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._flush()
                got = self._plain.recv(_PIECE)
                self._inward.write(got) if got else self._inward.write_eof()
            finally:
                self._flush()

    def _flush(self) -> None:
        if self._outward.pending:
            self._plain.sendall(self._outward.read())


def _address(address: str) -> tuple[str, int]:
    try:
        site = urlsplit(address)
        host, port = site.hostname, site.port
        (host or "").encode("idna")  # as the resolver would: a name it cannot ask for is a ValueError here
    except ValueError:
        raise BadInput(f"--to {address}: not tls://host[:port]", field="to") from None
    if site.scheme in {"tcp", "udp"}:
        raise BadInput(f"--to {address}: only TLS; on a plain connection anybody could read, drop or forge records", field="to")
    if site.scheme != "tls" or not host or site.username is not None or site.path or site.query or site.fragment:
        raise BadInput(f"--to {address}: not tls://host[:port]", field="to")
    return host, PORT if port is None else port


def _context(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    """Return a context that checks certificate and host name, from TLS 1.2 on."""
    if key is not None and cert is None:
        raise BadInput("--cert-key needs --cert", field="cert")
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    if ca is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _load(lambda: context.load_verify_locations(ca), ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert is not None:
        # An encrypted key would be asked for at a terminal; an empty password makes it an error instead.
        _load(lambda: context.load_cert_chain(cert, key, password=""), key or cert)
    return context


def _load(load: Callable[[], None], file: Path) -> None:
    try:
        load()
    except OSError as wrong:
        why = "no certificate or key in PEM form that can be used" if isinstance(wrong, ssl.SSLError) else wrong.strerror
        raise BadInput(f"{file}: {why}", field="to") from None
