"""The ``gardu`` command: its groups, and the two small commands that need no installation."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC
from pathlib import Path

import click
import pyotp

from app.cli import audit, backup, demo, doctor, install, keys, partitions, people, policy, roll, rotation, search, serve, witness, worker
from app.cli.shell import Shell, command
from app.kernel.clock import SystemClock


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def main() -> None:
    """Gardu guards voter data: sealed fields, readable policies, a log that outsiders can check.

    Exit codes: 0 good, 1 looked and found something wrong, 2 could not do or could not check.
    """
    # Whatever a command writes (database, reports, proofs) is its owner's alone.
    os.umask(0o077)


for room in (demo, install, keys, serve, worker, people, roll, rotation, search, partitions, backup, audit, policy, doctor, witness):
    room.register(main)


@command(main, "totp")
@click.argument("secret")
def totp(shell: Shell, secret: str) -> None:
    """Print the present code of a TOTP SECRET (base32), as an authenticator app would."""
    try:
        code = pyotp.TOTP(secret.replace(" ", "")).at(SystemClock().now().astimezone(UTC))
    except ValueError:
        raise click.UsageError("SECRET is not base32 of at least 112 bits (RFC 4226 section 4)") from None
    click.echo(code) if not shell.as_json else shell.result(code=code)


@command(main, "verifier")
def verifier(shell: Shell) -> None:
    """Print the offline verifier: one file to check receipts and exports with. `gardu verifier > verify.py`"""
    text = (Path(__file__).parent.parent / "verifier.py").read_text("utf-8")
    click.echo(text, nl=False)
    shell.result(lines=text.count("\n"), sha256=hashlib.sha256(text.encode()).hexdigest())
