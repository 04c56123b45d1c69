"""Serves the application: gunicorn, threads, no control socket; the keyring is opened once, before the workers start."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

import click
import structlog
from gunicorn.app.base import BaseApplication

from app.audit.entry import draft_for
from app.cli.shell import Shell, command, host_actor, prompt
from app.custody import policyload
from app.factory import create_app, join, open_keys
from app.kernel.clock import SystemClock
from app.kernel.errors import UnsafeStart
from app.kernel.fields import Action, Outcome
from app.kernel.regions import NATION
from app.openlog import rounds
from app.settings import Settings
from app.vault.keys.provider import KeyProvider


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn publishes no types
    """gunicorn with settings of ours, building the application in each worker."""

    def __init__(self, build: Callable[[], object], options: dict[str, Any]) -> None:
        self._build, self._options = build, options
        super().__init__()

    def load_config(self) -> None:
        """Take our settings."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> object:
        """Build the application."""
        return self._build()


def log_to_stdout() -> None:
    """Write structured logs, one JSON object a line, to stdout; never a form value, never a traceback's locals."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Rounds come every few seconds; what they do and what fails is said by those who do it.
    logging.getLogger("huey").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )


def port_is_free(host: str, port: int) -> None:
    """Raise UnsafeStart when *host*:*port* is taken."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UnsafeStart(f"{host}:{port} is not free ({error.strerror}): stop what listens there, or choose another --port") from None


def start(settings: Settings, provider: KeyProvider, host: str, port: int) -> None:
    """Record the start and serve until stopped. If the log cannot be written, or must not go on, nothing is served."""
    port_is_free(host, port)
    house = join(settings, provider)
    rounds.demand_safe_start(house.openlog, house.clock.now())
    house.guard.trail.append(
        draft_for(
            host_actor(), Action.SYSTEM_START, Outcome.DONE, SystemClock().now(), scope=NATION,
            policy=house.guard.policies.hash, sop="demo" if settings.demo else None,
        )
    )  # fmt: skip
    # Here, before the workers start: they then find the entry, and none writes its own.
    policyload.adopt(house.guard, host_actor(), house.clock.now())
    house.close()
    log_to_stdout()
    Server(
        lambda: create_app(settings, provider=provider),
        {
            "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "worker_class": "gthread",
            "workers": settings.workers,
            "threads": settings.threads,
            "control_socket_disable": True,
            "proc_name": "gardu",
            "timeout": 60,
            "graceful_timeout": 20,
            "umask": 0o077,
            "errorlog": "-",
            "loglevel": "warning",
            "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else None,  # noqa: S108  a heartbeat file, no data
            # Only the last proxy's word counts, and only when the settings name one (factory.ProxyFix).
            "forwarded_allow_ips": "127.0.0.1,::1",
        },
    ).run()


def register(group: click.Group) -> None:
    """Add `serve` to *group*."""

    @command(group, "serve")
    @click.option("--host", default="127.0.0.1", show_default=True)
    @click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
    def serve(shell: Shell, host: str, port: int) -> None:
        """Serve the application (behind a TLS proxy; the passphrase by prompt, file descriptor or systemd credential)."""
        settings = shell.settings()
        start(settings, open_keys(settings, os.environ, prompt()), host, port)
