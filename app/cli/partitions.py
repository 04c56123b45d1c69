"""`partitions`: how the roll lies in PostgreSQL, and a place for a kab/kota that is newer than the schema."""

from __future__ import annotations

import sys

import click

from app.cli.shell import FOUND, Shell, command
from app.store import partitions
from app.store.engine import Store

_MB = 1 << 20


def register(group: click.Group) -> None:
    """Add `partitions status` and `partitions add` to *group*."""

    @group.group("partitions")
    def room() -> None:
        """The roll's partitions in PostgreSQL."""

    @command(room, "status")
    def status(shell: Shell) -> None:
        """Say how the roll lies, and what each partition weighs (exit 1 when a kab/kota has no partition of its own)."""
        store = Store(shell.settings().owner_database)
        try:
            with store.reading() as session:
                connection = session.connection()
                layout = partitions.layout_of(connection)
                found = {table: partitions.parts(connection, table) for table in partitions.TABLES} if layout == "partitions" else {}
                strays = partitions.strays(connection) if layout == "partitions" else {}
        finally:
            store.dispose()
        shell.say(f"Layout: {layout}.")
        for table, parts in found.items():
            leaves, rows = sum(part.leaves for part in parts), sum(part.rows for part in parts)
            shell.say(f"{table}: {leaves} partitions, about {rows:,} rows")
            for part in parts:
                if part.rows:
                    shell.say(
                        f"  {part.name:20} {part.rows:12,} rows {part.heap / _MB:10,.0f} MB and {part.indexes / _MB:,.0f} MB of indexes"
                    )
        for kab, count in strays.items():
            shell.say(f"!! {kab}: {count} voters in the default partition; run gardu partitions add {kab}")
        shell.result(
            layout=layout, strays=strays,
            partitions=[
                {"table": table, "name": part.name, "rows": part.rows, "heap": part.heap, "indexes": part.indexes, "leaves": part.leaves}
                for table, parts in found.items() for part in parts
            ],
        )  # fmt: skip
        if strays:
            sys.exit(FOUND)

    @command(room, "add")
    @click.argument("kab", metavar="KAB")
    def add(shell: Shell, kab: str) -> None:
        """Give a kab/kota partitions of its own, with the voters that came in before (the tables are locked meanwhile)."""
        store = Store(shell.settings().owner_database)
        try:
            moved = partitions.add(store, kab)
        finally:
            store.dispose()
        shell.say(f"{kab} has its own partitions; {moved} voters moved there.")
        shell.result(kab=kab, moved=moved)
