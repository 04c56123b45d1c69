"""What tests of the public log share: a witness that answers as told, keepers of the list, and a published log."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from app.audit.cosign import Cosigner
from app.audit.quorum import policy_text
from app.factory import House
from app.kernel.actor import Actor
from app.kernel.fields import Action, Outcome, Role
from app.openlog import witnesses
from tests.trail_kit import draft

BAWASLU = Cosigner("saksi.bawaslu.example", hashlib.sha256(b"a witness for tests").digest())
OTHER = Cosigner("saksi.kampus.example", hashlib.sha256(b"another witness for tests").digest())
# (checkpoint text, old size) → (status, content type, body)
Script = Callable[[str, int], tuple[int, str, str]]


def keeper(letter: str, role: Role = Role.PETUGAS_KEAMANAN) -> Actor:
    """Return somebody who keeps the list of witnesses."""
    return Actor(
        uid=letter * 26,
        office="kpu-00",
        unit="keamanan",
        role=role,
        roles=frozenset({role}),
        region="00",
        request=f"req-{letter}",
        session="s",
    )


def signing(cosigner: Cosigner, clock: Callable[[], datetime]) -> Script:
    """Return a witness that signs whatever it is given."""
    return lambda text, _old: (200, "text/plain", cosigner.sign(text, int(clock().timestamp())))


@contextmanager
def answering(script: Script, port: int = 0) -> Iterator[str]:
    """Run a witness that answers as *script* says, on *port* or a free one; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            head, _, note = body.partition("\n\n")
            status, kind, answer = script(note.partition("\n\n")[0] + "\n", int(head.split("\n")[0].removeprefix("old ")))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer.encode())))
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_words: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def install_list(house: House, text: str) -> int:
    """Have two people put a list of witnesses in force; return its version."""
    now = house.clock.now()
    version = witnesses.propose(house.openlog, keeper("a"), text, "Surat Bawaslu 12/2026", now)
    witnesses.decide(house.openlog, keeper("b"), version, True, now)
    return version


def one_witness(url: str, cosigner: Cosigner = BAWASLU) -> str:
    """Return a list with one witness that must sign."""
    return policy_text({"bawaslu": (cosigner.vkey, url)})


def append(house: House, count: int = 1) -> None:
    """Append *count* plain entries."""
    for number in range(count):
        house.guard.trail.append(draft(number, action=Action.SESSION_LOGIN, outcome=Outcome.FAILED))
