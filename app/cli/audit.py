"""`gardu audit`: verify, export and prove the log."""

from __future__ import annotations

import click


def register(group: click.Group) -> None:
    """Add `audit` to *group*."""

    @group.group("audit")
    def audit() -> None:
        """The log: verify it, export it, prove an entry."""

    _verify(audit)
    _export(audit)
    _prove(audit)
