"""`gardu doctor`: the six most dangerous things in an installation, and how to mend each (``app.custody.health``)."""

from __future__ import annotations

import sys

import click

from app.cli.shell import FOUND, Shell, command
from app.custody.health import CHECKS, Danger, dangers
from app.kernel.clock import SystemClock
from app.settings import Settings
from app.store.engine import Store


def examine(settings: Settings) -> list[Danger]:
    """Run the six checks. Raises StoreDown when the database cannot be asked."""
    store = Store(settings.database)
    try:
        return dangers(settings, store, SystemClock().now())
    finally:
        store.dispose()


def register(group: click.Group) -> None:
    """Add `doctor` to *group*."""

    @command(group, "doctor")
    def doctor(shell: Shell) -> None:
        """Say which of the six most dangerous things hold here, and how to mend them (exit 1 when any does)."""
        found = examine(shell.settings())
        for number, check in enumerate(CHECKS, start=1):
            mine = [danger for danger in found if danger.check == number]
            shell.say(f"{'!!' if mine else 'ok'} {number} {check.__doc__}")
            for danger in mine:
                shell.say(f"     {danger.what}\n     → {danger.remedy}")
        shell.result(dangers=[{"check": d.check, "what": d.what, "remedy": d.remedy} for d in found])
        if found:
            sys.exit(FOUND)
