"""What every command shares: ``--data``, ``--json``, errors as one clear line, and the joined house."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from app.factory import House, join, open_keys
from app.kernel.actor import host_actor as host_actor
from app.kernel.errors import GarduError
from app.settings import Settings

# Found something wrong; and: could not do it, or could not check.
FOUND, COULD_NOT = 1, 2


class Shell:
    """Where a command speaks: words for people, and with ``--json`` one object as the last line of stdout."""

    def __init__(self, data: Path | None, as_json: bool) -> None:
        self._data = data
        self.as_json = as_json
        self.console = Console(stderr=as_json, highlight=False, soft_wrap=True)

    @property
    def data(self) -> Path:
        """The installation's directory; an error that says how to name it when nobody did."""
        if self._data is None:
            raise click.UsageError("name the installation: --data DIR or GARDU_DATA")
        return self._data

    def data_or(self, default: Path) -> Path:
        """The directory named, or *default*."""
        return self._data or default

    def say(self, text: str) -> None:
        """Print a line for people (to stderr under ``--json``)."""
        self.console.print(text, markup=False)

    def result(self, **values: object) -> None:
        """Print the result object, when ``--json`` asked for it."""
        if self.as_json:
            click.echo(json.dumps(values, ensure_ascii=False))

    def settings(self) -> Settings:
        """Read the installation's settings."""
        return Settings.load(self.data)

    @contextmanager
    def house(self, origin: str = "") -> Iterator[House]:
        """Open the installation: settings, passphrase, keyring, database, policies, log. origin: the log's name, when not the settings' own."""
        settings = replace(self.settings(), origin=origin) if origin else self.settings()
        house = join(settings, open_keys(settings, os.environ, prompt()))
        try:
            yield house
        finally:
            house.close()

    @contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None]]:
        """Show a progress bar on stderr when somebody watches; yields ``advance(done, total)``."""
        bar = Progress(
            TextColumn(label), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
            console=Console(stderr=True), disable=not sys.stderr.isatty(),
        )  # fmt: skip
        with bar:
            task = bar.add_task(label, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


def prompt() -> Callable[[str], str] | None:
    """Return what asks for a secret at the terminal, unseen, by the label it is told; None where nobody sits."""
    return (lambda label: str(click.prompt(label, hide_input=True, err=True))) if sys.stdin.isatty() else None


def command(group: click.Group, *args: Any, **kwargs: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Register a command with ``--data`` and ``--json``; the function gets a Shell as its first argument."""

    def register(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        def run(data: Path | None, as_json: bool, **values: Any) -> None:
            shell = Shell(data, as_json)
            try:
                function(shell, **values)
            except GarduError as error:
                shell.say(f"gardu: {error.detail or error.public}")
                shell.result(error=error.code, detail=error.detail)
                sys.exit(COULD_NOT)
            except OSError as error:
                where = f"{error.filename}: " if error.filename else ""
                shell.say(f"gardu: {where}{error.strerror or type(error).__name__}")
                shell.result(error="io", detail=f"{where}{error.strerror}")
                sys.exit(COULD_NOT)

        made: click.Command = group.command(*args, **kwargs)(run)
        made.params += [
            click.Option(
                ["--data"], type=click.Path(path_type=Path, file_okay=False), envvar="GARDU_DATA", help="The installation's directory."
            ),
            click.Option(["as_json", "--json"], is_flag=True, help="Print one JSON object as the last line."),
        ]
        return made

    return register
