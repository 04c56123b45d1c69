"""`gardu demo`: an installation with synthetic voters and an account for every role, served on loopback."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import click

from app.audit.entry import draft_for
from app.cli import serve
from app.cli.install import Plan, install
from app.cli.shell import Shell, command, host_actor
from app.custody import keys as custody_keys
from app.factory import DEMO_PASSPHRASE, House, open_keys
from app.identity import accounts
from app.kernel.clock import SystemClock
from app.kernel.errors import UnsafeStart
from app.kernel.fields import Action, Outcome, Stage
from app.places import Places
from app.settings import Settings
from app.vault import age
from app.voters import dp4, elections
from app.voters.synth import generate, write_csv

ELECTION, VOTING_DAY = "2029", date(2029, 2, 14)
# (kab/kota, voters): Kota Denpasar is the one to work in, Kabupaten Badung the neighbour nobody of Denpasar may see.
ROLLS = (("51.71", 5000), ("51.03", 500))
SEED = 1
CREDENTIALS = "demo-credentials.json"
# The age identity of the demo's backups.
IDENTITY = "demo-backup-identity"
_LOADED = "demo-loaded"


@dataclass(frozen=True, slots=True)
class Login:
    """One demo account, as the credentials file lists it."""

    role: str
    username: str
    password: str
    totp_secret: str
    office: str
    unit: str


# role, username, full name, office, unit. The operator of 51.71 stands first; every name is made up.
PEOPLE = (
    ("kpu_kab", "operator.denpasar", "Ni Luh Sekar", "kpu-51.71", "data"),
    ("kpu_kab", "operator.badung", "I Wayan Raka", "kpu-51.03", "data"),
    ("kpu_prov", "kpu.bali", "I Gede Surya", "kpu-51", "data"),
    ("kpu_ri", "kpu.pusat", "Ratna Dewanti", "kpu-00", "data"),
    ("bawaslu_kab", "bawaslu.denpasar", "Made Sari", "bawaslu-51.71", "pengawasan"),
    ("bawaslu_kab", "bawaslu.badung", "Nyoman Adi", "bawaslu-51.03", "pengawasan"),
    ("bawaslu_prov", "bawaslu.bali", "Ketut Ayu", "bawaslu-51", "pengawasan"),
    ("bawaslu_ri", "bawaslu.pusat", "Bagas Pranowo", "bawaslu-00", "pengawasan"),
    ("penyetuju", "penyetuju.data1", "Dewi Lestari", "kpu-51.71", "data"),
    ("penyetuju", "penyetuju.data2", "Made Wirawan", "kpu-51.71", "data"),
    ("penyetuju", "penyetuju.hukum", "Rina Hapsari", "kpu-51.71", "hukum"),
    ("petugas_keamanan", "keamanan", "Arif Nugroho", "kpu-00", "keamanan"),
    ("pejabat_pdp", "pdp", "Sinta Maharani", "kpu-00", "hukum"),
    ("admin_sistem", "admin", "Yusuf Hamid", "kpu-00", "keamanan"),
    ("admin_sistem", "admin2", "Wulan Saraswati", "kpu-00", "data"),
)


def prepare(shell: Shell, data: Path, origin: str) -> list[Login]:
    """Make the demo installation in *data*, or take up the one that is there; return its accounts.

    A demo that was cut off while being made is made anew. Raises UnsafeStart when *data* holds anything else.
    """
    if (data / _LOADED).exists():
        return [Login(**one) for one in json.loads((data / CREDENTIALS).read_text("utf-8"))]
    clear(data)
    shell.say(f"Making a demo installation in {data} …")
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = secrets.token_urlsafe(24)
    _private(data / DEMO_PASSPHRASE, secret + "\n")
    plan = Plan(data, "demo.localhost/gardu/1", "sqlite:///gardu.db", None, origin, demo=True, more=_backups(data))
    house = install(plan, secret, SystemClock().now())
    try:
        logins = _people(house, data)
        for kab, voters in ROLLS:
            shell.say(f"Loading {voters} synthetic voters of {house.places.name(kab)} ({kab}) …")
            _roll(shell, house, kab, voters)
    finally:
        house.close()
    _private(data / _LOADED, "")
    return logins


def _backups(data: Path) -> dict[str, str]:
    """Return the settings of backups, sealed to an identity that lies beside the demo; a real one never does."""
    identity, text = age.Identity.generate()
    _private(data / IDENTITY, text + "\n")
    return {"backup_to": "backups", "backup_recipients": identity.recipient}


def clear(data: Path) -> None:
    """Remove a demo's data directory. Raises UnsafeStart when it holds something that is not a demo's."""
    if not data.exists() or not any(data.iterdir()):
        return
    if not (data / DEMO_PASSPHRASE).exists() or ((data / "config.toml").exists() and not Settings.load(data, {}).demo):
        raise UnsafeStart(f"{data} is not a demo's directory; gardu demo does not touch it")
    shutil.rmtree(data)


def _people(house: House, data: Path) -> list[Login]:
    logins = []
    for role, username, name, office, unit in PEOPLE:
        password = f"{secrets.choice(_WORDS)}-{secrets.choice(_WORDS)}-{secrets.token_hex(4)}"
        uid, given = accounts.create(
            house.identity, host_actor(), username=username, name=name, office=office, unit=unit, roles=(role,),
            now=house.clock.now(), password=password, must_change=False,
        )  # fmt: skip
        secret = accounts.enrol_by_hand(house.identity, host_actor(), uid, house.clock.now())
        logins.append(Login(role, username, given, secret, office, unit))
    _private(data / CREDENTIALS, json.dumps([asdict(login) for login in logins], indent=1))
    return logins


_WORDS = ("gapura", "lumbung", "kentongan", "pelita", "beranda", "perahu", "lesung", "candi", "payung", "tenun", "sawah", "gamelan")


def _roll(shell: Shell, house: House, kab: str, voters: int) -> None:
    now = house.clock.now()
    _stage(house, kab, Stage.DP4)
    intake = dp4.Intake(house.guard, house.places, host_actor(), house.clock, kab, ELECTION)
    custody_keys.ensure(house.guard, intake.actor, kab, custody_keys.LOCAL, now, expected_rows=voters)
    with tempfile.TemporaryDirectory(dir=house.settings.data) as folder, shell.progress(kab) as advance:
        file = Path(folder) / "dp4.csv"
        with file.open("w", encoding="utf-8", newline="") as out:
            write_csv(out, kab, voters, SEED)
        done = intake.load(file, None, advance)
    shell.say(f"  {done.rows_read} read = {done.rows_sealed} sealed + {done.rows_quarantined} quarantined")
    _stage(house, kab, Stage.DPS)


def _stage(house: House, kab: str, stage: Stage) -> None:
    now = house.clock.now()
    draft = draft_for(host_actor(), Action.ELECTION_SET, Outcome.DONE, now, scope=kab, election=ELECTION, stage=stage.value)
    with house.store.writing() as session:
        elections.set_stage(session, ELECTION, VOTING_DAY, [kab], stage, draft.actor, now)
        house.guard.trail.append_within(session, draft)


def _private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _samples() -> Iterator[str]:
    """Say whom to look for: made anew by the generator, not read from the sealed store."""
    kab = ROLLS[0][0]
    for row in generate(kab, ROLLS[0][1], SEED):
        if not row["KET"] and len(row["NIK"]) == 16:
            yield f"NIK {row['NIK']}   name {row['NAMA']}   born {row['TGL_LHR']}   {row['DESA']} TPS {row['TPS']}"


def _show(shell: Shell, logins: list[Login], origin: str, data: Path) -> None:
    shell.say("")
    for login in logins:
        shell.say(f"  {login.role:17} {login.username:18} {login.password:28} {login.totp_secret}  {login.office} / {login.unit}")
    shell.say("")
    shell.say("The last column but one is the authenticator's secret: scan nothing, run   gardu totp SECRET   for a code.")
    shell.say(f"Somebody to look for (synthetic, {Places().name(ROLLS[0][0])}): {next(_samples())}")
    shell.say(f"For a restore drill (page Cadangan) type what stands in {data / IDENTITY}")
    shell.say(f"Open  {origin}/login")


def register(group: click.Group) -> None:
    """Add `demo` to *group*."""

    @command(group, "demo")
    @click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
    @click.option("--fresh", is_flag=True, help="Throw the demo's data away and begin anew.")
    @click.option("--credentials", type=click.Path(path_type=Path, dir_okay=False), help="Write the accounts here as JSON (0600).")
    @click.option("--no-serve", is_flag=True, help="Only prepare the data.")
    def demo(shell: Shell, port: int, fresh: bool, credentials: Path | None, no_serve: bool) -> None:
        """Synthetic voters of Denpasar and Badung, an account for every role, a server on 127.0.0.1."""
        data, origin = shell.data_or(Path("demo-data")).resolve(), f"http://127.0.0.1:{port}"
        if not no_serve:
            serve.port_is_free("127.0.0.1", port)
        if fresh:
            clear(data)
        logins = prepare(shell, data, origin)
        if credentials is not None:
            _private(credentials, json.dumps([asdict(login) for login in logins], indent=1))
        _show(shell, logins, origin, data)
        shell.result(data=str(data), url=origin, accounts=len(logins))
        if not no_serve:
            settings = Settings.load(data, {**os.environ, "GARDU_PUBLIC_ORIGIN": origin})
            serve.start(settings, open_keys(settings, {}), "127.0.0.1", port)
