"""Works off the background queue in a process of its own, for installations whose servers should only serve."""

from __future__ import annotations

import os
import signal
import threading

import click

from app.cli import serve
from app.cli.shell import Shell, command, prompt
from app.custody import policyload
from app.factory import join, open_keys, web_app
from app.kernel.actor import host_actor
from app.openlog import rounds


def register(group: click.Group) -> None:
    """Add `worker` to *group*."""

    @command(group, "worker")
    def worker(shell: Shell) -> None:
        """Work off the background queue (verifications, intakes, publishing) until stopped; set embedded_jobs = false for the server then."""
        settings = shell.settings()
        house = join(settings, open_keys(settings, os.environ, prompt()), queue=True)
        rounds.demand_safe_start(house.openlog, house.clock.now())
        policyload.adopt(house.guard, host_actor(), house.clock.now())
        serve.log_to_stdout()
        # The rooms register their work while the pages are put together; nothing is served here.
        web_app(house)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: stop.set())
        house.jobs.work()
        shell.say("Waiting for work. Stop with Ctrl-C.")
        stop.wait()
        house.close()
