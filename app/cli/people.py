"""`gardu user`: accounts, from the machine."""

from __future__ import annotations

import click

from app.cli.shell import Shell, command, host_actor
from app.identity import accounts
from app.kernel.fields import Role, Unit


def register(group: click.Group) -> None:
    """Add `user` to *group*."""

    @group.group("user")
    def user() -> None:
        """Accounts: add, reset the second factor, disable."""

    @command(user, "add")
    @click.argument("username")
    @click.option("--name", required=True, help="Full name.")
    @click.option("--office", required=True, help="E.g. kpu-51.71, bawaslu-51.71, kpu-00.")
    @click.option("--unit", required=True, type=click.Choice([unit.value for unit in Unit]))
    @click.option(
        "--role", "roles", required=True, multiple=True, type=click.Choice([role.value for role in Role if role is not Role.PROSES])
    )
    def add(shell: Shell, username: str, name: str, office: str, unit: str, roles: tuple[str, ...]) -> None:
        """Make an account; prints a one-time password, changed at first login together with enrolling an authenticator."""
        with shell.house() as house:
            uid, password = accounts.create(
                house.identity, host_actor(), username=username, name=name, office=office, unit=unit, roles=roles, now=house.clock.now()
            )
        shell.say(f"Account {username} ({uid}); one-time password: {password}")
        shell.result(uid=uid, username=username, password=password)

    @command(user, "reset-totp")
    @click.argument("username")
    def reset(shell: Shell, username: str) -> None:
        """Take an account's authenticator away and end its sessions; the next login enrols a new one."""
        with shell.house() as house:
            found = accounts.find(house.identity, username)
            accounts.reset_totp(house.identity, host_actor(), found.uid, house.clock.now())
        shell.say(f"{username} enrols a new authenticator at the next login.")
        shell.result(uid=found.uid, username=username)

    @command(user, "disable")
    @click.argument("username")
    def disable(shell: Shell, username: str) -> None:
        """Disable an account for good and end its sessions."""
        with shell.house() as house:
            found = accounts.find(house.identity, username)
            accounts.disable(house.identity, host_actor(), found.uid, house.clock.now())
        shell.say(f"{username} is disabled.")
        shell.result(uid=found.uid, username=username)
