"""`gardu witness`: the witness that Bawaslu runs, on a machine of its own, without Gardu's database."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from app.cli.serve import Server, log_to_stdout, port_is_free
from app.cli.shell import FOUND, Shell, command
from app.kernel.clock import SystemClock, rfc3339
from app.kernel.errors import GarduError, SealBroken
from app.witness import guard
from app.witness.core import Doubt, Held
from app.witness.desk import Standing, Witness, standings
from app.witness.evidence import Evidence
from app.witness.guard import Shown, Verdict
from app.witness.home import Home, passphrase
from app.witness.state import State
from app.witness.wsgi import WitnessApp

# audit.md, "Witness": older than this is not fresh.
FRESH = timedelta(minutes=15)
# A guard may publish a checkpoint some seconds after we cosigned it: before we say it is behind we look once more. Seconds.
GRACE = 10.0
_SAID = {
    Verdict.SAME: "the guard shows the tree that this witness cosigned",
    Verdict.AHEAD: "the guard shows a larger tree; it proves that the tree only grew when it submits it",
    Verdict.BEHIND: "THE GUARD SHOWS FEWER ENTRIES than it had this witness cosign: its database was put back, or it shows an old view",
    Verdict.FORK: "FORK: the guard shows another tree of the same size; both checkpoints are kept as evidence",
    Verdict.LOST: "STATE LOST: the guard shows our own cosignature on a tree we do not remember: retire this witness (docs/witness.md)",
}

_folder = click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), required=True, help="The witness's directory.")


def _prompt(*, new: bool) -> Callable[[], str] | None:
    if not sys.stdin.isatty():
        return None
    return lambda: str(
        click.prompt("New passphrase for the witness's key" if new else "Passphrase", hide_input=True, confirmation_prompt=new, err=True)
    )


def serve(home: Home, secret: str, host: str, port: int) -> None:
    """Serve until stopped. Raises UnsafeStart or KeysDown before anything is served."""
    port_is_free(host, port)
    app = WitnessApp(Witness(home, home.unlock(secret), SystemClock()))
    log_to_stdout()
    Server(
        lambda: app,
        {
            "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "worker_class": "gthread",
            # One request at a time is decided anyway (``State.locked``); the threads wait for slow senders.
            "workers": 1,
            "threads": 8,
            "control_socket_disable": True,
            "proc_name": "gardu-witness",
            "timeout": 60,
            "graceful_timeout": 20,
            "umask": 0o077,
            "errorlog": "-",
            "loglevel": "warning",
            "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,  # noqa: S108  a heartbeat file, no data
        },
    ).run()


def look(home: Home, url: str, grace: float = GRACE) -> tuple[Shown, Verdict]:
    """Fetch the guard's checkpoint, compare it with ours, and keep a fork as evidence.

    Raises BadInput, Unavailable, NotThere (could not check), SealBroken (what it publishes is not signed by its log), UnsafeStart.
    """
    state = State(home.folder, home.verifier)
    before = state.held()
    shown, verdict, after = _look_once(home, state, before, url)
    if verdict is Verdict.BEHIND:
        time.sleep(grace)
        shown, verdict, after = _look_once(home, state, before, url)
    held = after.get(shown.checkpoint.origin)
    if verdict is Verdict.FORK and held:
        with state.locked():
            Evidence(home.folder).add(Doubt.FORK, held.note, shown.note, SystemClock().now())
    return shown, verdict


def _look_once(home: Home, state: State, before: Mapping[str, Held], url: str) -> tuple[Shown, Verdict, Mapping[str, Held]]:
    shown = guard.read(guard.fetch(url), home.logs, home.verifier)
    after, origin = state.held(), shown.checkpoint.origin
    return shown, guard.compare(shown, before.get(origin), after.get(origin)), after


def _tell(shell: Shell, standing: Standing, now: datetime) -> dict[str, Any]:
    """Print where one log stands; return it for --json."""
    held, forks, unproven = standing.held, standing.of(Doubt.FORK), standing.of(Doubt.UNPROVEN)
    age = int((now - held.at).total_seconds()) if held else None
    shell.say(f"{standing.origin}")
    if held:
        shell.say(f"   {held.checkpoint.size} entries, root {held.checkpoint.root.hex()}, cosigned {rfc3339(held.at)} ({age} s ago)")
    else:
        shell.say("   nothing cosigned yet")
    for case in forks:
        shell.say(f"!! FORK found {rfc3339(case.at)}: evidence/{case.name}")
    for case in unproven:
        shell.say(f"!! unproven: a tree of {case.size_shown} entries came without a valid proof {rfc3339(case.at)}: evidence/{case.name}")
    if age is not None and age < -60:
        shell.say("!! this machine's clock stands before its last cosignature")
    return {
        "origin": standing.origin,
        "size": held.checkpoint.size if held else None,
        "root": held.checkpoint.root.hex() if held else None,
        "at": rfc3339(held.at) if held else None,
        "age": age,
        "forks": len(forks),
        "unproven": len(unproven),
        "ok": not forks and not unproven and (age is None or age >= -60),
    }


def _tell_guard(shell: Shell, home: Home, url: str, now: datetime) -> dict[str, Any]:
    """Look at the guard and print what it shows; return it for --json."""
    try:
        shown, verdict = look(home, url)
    except SealBroken as broken:
        shell.say(f"!! {url}: what it publishes is not its log's: {broken.detail}")
        return {"url": url, "verdict": "unsigned", "ok": False}
    held = State(home.folder, home.verifier).held().get(shown.checkpoint.origin)
    fresh = held is not None and now - held.at <= FRESH
    bad = verdict not in {Verdict.SAME, Verdict.AHEAD}
    shell.say(f"{url}: {shown.checkpoint.size} entries of {shown.checkpoint.origin}")
    shell.say(f"{'!!' if bad else 'ok'} {_SAID[verdict]}")
    age = int((now - shown.cosigned).total_seconds()) if shown.cosigned else None
    shell.say("   our cosignature is not on it yet" if age is None else f"   our cosignature is on it, {age} s old")
    if not fresh:
        shell.say(
            f"!! this witness cosigned nothing of it for more than {FRESH.seconds // 60} minutes: the guard no longer submits, or is refused"
        )
    return {
        "url": url,
        "origin": shown.checkpoint.origin,
        "size": shown.checkpoint.size,
        "root": shown.checkpoint.root.hex(),
        "verdict": str(verdict),
        "cosigned": rfc3339(shown.cosigned) if shown.cosigned else None,
        "age": age,
        "fresh": fresh,
        "ok": fresh and not bad,
    }


def register(main: click.Group) -> None:
    """Add `witness init`, `witness add-log`, `witness serve` and `witness status`."""

    @main.group("witness")
    def group() -> None:
        """The witness: cosigns a log's checkpoints once it is proved that the log only grew."""

    @command(group, "init")
    @_folder
    @click.option("--name", required=True, help="The witness's name, e.g. saksi.bawaslu.go.id/w1.")
    @click.option("--log", "logs", multiple=True, required=True, metavar="VKEY", help="Verifier key of a log to watch; may be repeated.")
    def init(shell: Shell, folder: Path, name: str, logs: tuple[str, ...]) -> None:
        """Make a witness with a key of its own, and print its verifier key."""
        home = Home.create(folder, name, logs, passphrase(os.environ, _prompt(new=True)))
        shell.say(f"A witness stands in {folder}. Its verifier key, for the owners of the logs and for everybody who checks:")
        shell.say(home.verifier.vkey)
        shell.result(dir=str(folder), name=home.verifier.name, vkey=home.verifier.vkey, logs=list(home.logs))

    @command(group, "add-log")
    @_folder
    @click.option("--log", required=True, metavar="VKEY", help="Verifier key of the log.")
    def add_log(shell: Shell, folder: Path, log: str) -> None:
        """Watch another log, or accept a further key of one; the service reads it at its next start."""
        home = Home.open(folder).add_log(log)
        shell.say("Noted. Restart the service: systemctl restart gardu-witness")
        shell.result(dir=str(folder), logs=list(home.logs))

    @command(group, "serve")
    @_folder
    @click.option("--host", default="127.0.0.1", show_default=True)
    @click.option("--port", type=click.IntRange(1, 65535), default=8100, show_default=True)
    def serve_it(shell: Shell, folder: Path, host: str, port: int) -> None:
        """Answer logs and people (behind a TLS proxy; the passphrase by prompt, file descriptor or systemd credential)."""
        serve(Home.open(folder), passphrase(os.environ, _prompt(new=False)), host, port)

    @command(group, "status")
    @_folder
    @click.option("--guard", "url", metavar="URL", help="Also fetch this guard's published checkpoint and compare.")
    def status(shell: Shell, folder: Path, url: str | None) -> None:
        """Say how far each log has come and what evidence there is (exit 1 when something is wrong). Needs no passphrase."""
        home, now = Home.open(folder), SystemClock().now()
        # The guard first: a fork it shows is evidence that the list below then counts.
        shown, failed = None, None
        try:
            shown = _tell_guard(shell, home, url, now) if url else None
        except GarduError as error:
            failed = error
        logs = [_tell(shell, standing, now) for standing in standings(home)]
        ok = all(one["ok"] for one in logs)
        if failed is not None:
            if ok:
                raise failed
            shell.say(f"!! {failed.detail}")
            shown = {"url": url, "verdict": "unknown", "ok": False}
        ok = ok and (shown is None or bool(shown["ok"]))
        shell.result(name=home.verifier.name, vkey=home.verifier.vkey, logs=logs, guard=shown, ok=ok)
        if not ok:
            sys.exit(FOUND)
