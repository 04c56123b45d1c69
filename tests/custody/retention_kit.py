"""What the tests of retention share: people who sign in at the machine, old entries, an old backup put back."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import click
import pyotp
from click.testing import CliRunner, Result
from sqlalchemy import text

from app.audit.entry import Draft
from app.audit.family import after
from app.audit.note import Signer
from app.audit.verify import StoredPayload, verify
from app.cli import audit
from app.cli.shell import host_actor
from app.custody.presence import Claim
from app.custody.prune import Room
from app.factory import House, join
from app.identity import accounts
from app.kernel.fields import Action, Outcome, Role
from app.store.engine import Store
from app.vault.keys.local import LocalKeyring
from tests.conftest import PASSPHRASE

PASSWORD = "lumbung-pelita-7hd2k9"


class Someone:
    """A person with an account and an authenticator."""

    def __init__(self, house: House, username: str, role: Role = Role.ADMIN_SISTEM, now: datetime | None = None) -> None:
        at = now or house.clock.now()
        self.house, self.username = house, username
        self.uid, _ = accounts.create(
            house.identity, host_actor(), username=username, name="Wulan Uji", office="kpu-00", unit="keamanan", roles=(role.value,), now=at,
            password=PASSWORD, must_change=False,
        )  # fmt: skip
        self.secret = accounts.enrol_by_hand(house.identity, host_actor(), self.uid, at)

    def code(self, now: datetime) -> str:
        """The authenticator's present code."""
        return pyotp.TOTP(self.secret).at(now)

    def claim(self, password: str = PASSWORD, code: str = "") -> Claim:
        """Who they say they are."""
        return Claim(self.username, lambda: password, lambda: code or self.code(self.house.clock.now()))


def old_entries(house: House, count: int) -> None:
    """Append *count* plain entries of this moment in one transaction."""
    trail, now = house.guard.trail, house.clock.now()
    drafts = [Draft(at=now, actor=f"host:{number % 5}", action=Action.TRAIL_READ, outcome=Outcome.ALLOWED) for number in range(count)]
    with house.store.writing() as session:
        trail._write(session, [trail._row(one, None) for one in drafts])


def room_of(house: House) -> Room:
    """What pruning needs; the owner's store lives as long as the test."""
    return Room(house.guard, house.identity, house.mandates.seals, Store(house.settings.owner_database, pool_size=1))


def command(house: House, *arguments: str, typed: str = "") -> Result:
    """Run `gardu audit …` on the house's directory, the passphrase through a pipe."""
    group = click.Group()
    audit.register(group)
    read, write = os.pipe()
    os.write(write, f"{PASSPHRASE}\n".encode())
    os.close(write)
    environ = {"GARDU_PASSPHRASE_FD": str(read), "GARDU_ORIGIN": ""}
    return CliRunner().invoke(group, ["audit", *arguments, "--data", str(house.settings.data)], env=environ, input=typed)


def checked(house: House, log: str = "") -> list[str]:
    """What verifying a log of the house, with its keys, finds."""
    guard, name = house.guard, log or house.guard.log
    signer = Signer(name, guard.keys.key("log", "00").secret)

    def open_payload(box: StoredPayload) -> bytes:
        return guard.payloads.open(box.sealed, box.wrapped, box.day, name, box.commitment)

    report = verify(house.store, name, signer.vkey, open_payload=open_payload, token=guard.payloads.token)
    return [one.what for one in report.findings]


def under_the_next_name(house: House) -> House:
    """The same installation, joined under the next log's name, as `gardu audit reopen` does."""
    settings = replace(house.settings, origin=after(house.settings.origin))
    return join(settings, LocalKeyring.open(settings.keyring, PASSPHRASE), house.clock)


class Backup:
    """A copy of a SQLite house's database as it stands, to be put back later."""

    def __init__(self, house: House) -> None:
        self._file = Path(str(house.store.engine.url.database))
        with house.store.writing() as session:
            session.execute(text("SELECT 1"))
        house.store.dispose()
        shutil.copyfile(self._file, self._file.with_suffix(".kept"))

    def put_back(self, house: House) -> None:
        """Put it back, as a careless operator does."""
        house.store.dispose()
        for beside in (self._file.with_name(self._file.name + "-wal"), self._file.with_name(self._file.name + "-shm")):
            beside.unlink(missing_ok=True)
        self._file.unlink()
        shutil.copyfile(self._file.with_suffix(".kept"), self._file)
