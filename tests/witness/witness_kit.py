"""A log that grows (and may fork), a witness of it, and a way to call the witness as a server would."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from app.audit.note import Checkpoint, Signer
from app.audit.submit import request_body
from app.audit.tree import consistency_proof, leaf_hash, root_of
from app.witness.desk import Witness
from app.witness.home import Home
from app.witness.wsgi import WitnessApp

ORIGIN = "uji.localhost/gardu/1"
NAME = "saksi.localhost/w1"
SECRET = "frasa sandi untuk uji"
SIGNER = Signer(ORIGIN, sha256(b"the log that is witnessed").digest())
NOON = datetime(2026, 11, 24, 5, 0, tzinfo=UTC)


@dataclass
class HandClock:
    """A clock that a test moves."""

    moment: datetime = NOON

    def now(self) -> datetime:
        return self.moment

    def forward(self, **units: float) -> None:
        self.moment += timedelta(**units)


@dataclass
class Log:
    """A log's tree. salt: another one makes other leaves, that is, another history."""

    salt: str = "a"
    signer: Signer = SIGNER
    shared: int = 0  # so many first leaves are those of salt "a"
    _leaves: list[bytes] = field(default_factory=list)

    def leaves(self, size: int) -> list[bytes]:
        while len(self._leaves) < size:
            at = len(self._leaves)
            self._leaves.append(leaf_hash(f"{'a' if at < self.shared else self.salt} {at}".encode()))
        return self._leaves[:size]

    def checkpoint(self, size: int) -> Checkpoint:
        return Checkpoint(self.signer.name, size, root_of(self.leaves(size)))

    def note(self, size: int) -> str:
        return self.signer.sign(self.checkpoint(size).text())

    def proof(self, old: int, new: int) -> list[bytes]:
        leaves = self.leaves(new)
        return consistency_proof(old, new, lambda start, end: root_of(leaves[start:end])) if old else []

    def request(self, old: int, new: int, proof: Sequence[bytes] | None = None) -> bytes:
        return request_body(self.note(new), old, self.proof(old, new) if proof is None else proof)


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")


def call(app: WitnessApp, method: str, path: str, body: bytes | None = None, **environ: Any) -> Reply:
    """Call a WSGI application once."""
    told: list[tuple[str, list[tuple[str, str]]]] = []
    made = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path.partition("?")[0],
        "QUERY_STRING": path.partition("?")[2],
        "wsgi.input": io.BytesIO(body or b""),
    }
    if body is not None:
        made["CONTENT_LENGTH"] = str(len(body))
    content = b"".join(app({**made, **environ}, lambda status, headers: told.append((status, headers))))
    [(status, headers)] = told
    return Reply(int(status.split()[0]), dict(headers), content)


def add(app: WitnessApp, body: bytes) -> Reply:
    return call(app, "POST", "/add-checkpoint", body)


def witness_in(folder: Path, clock: HandClock | None = None) -> WitnessApp:
    """Open the witness in *folder* and serve it."""
    home = Home.open(folder)
    return WitnessApp(Witness(home, home.unlock(SECRET), clock or HandClock()))
