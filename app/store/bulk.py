"""Inserts many rows of one table in one go, by the driver's quickest way (measured: a third of the time of SQLAlchemy's own)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import TYPE_CHECKING, cast

from sqlalchemy import ColumnElement, Connection, LargeBinary, Table, any_, bindparam, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session

if TYPE_CHECKING:
    import psycopg


def put(connection: Connection, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert *rows* within the open transaction: executemany on SQLite, COPY on PostgreSQL (it needs no more than INSERT).

    rows: every column in the table's order, as the driver takes it; no type of SQLAlchemy's converts anything here.
    """
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_insert(table), list(rows))
        return
    statement, types = _copy(table)
    cursor = cast("psycopg.Cursor[object]", connection.connection.cursor())
    with cursor, cursor.copy(statement) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


@cache
def _insert(table: Table) -> str:
    return str(insert(table).compile(dialect=sqlite.dialect()))


@cache
def _copy(table: Table) -> tuple[bytes, list[str]]:
    """Return the COPY statement, binary so that no byte string travels as hex, and the server's name of every column's type."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    types = [column.type.compile(dialect).partition("(")[0].lower() for column in table.columns]
    return f"COPY {table.name} ({', '.join(table.columns.keys())}) FROM STDIN (FORMAT BINARY)".encode("ascii"), types


def among(session: Session, column: InstrumentedAttribute[bytes], values: Collection[bytes]) -> ColumnElement[bool]:
    """Return the condition that *column* is one of *values*: one array on PostgreSQL, which neither side takes apart mark by mark."""
    if session.get_bind().dialect.name == "sqlite":
        return column.in_(values)
    return column == any_(bindparam(None, list(values), type_=postgresql.ARRAY(LargeBinary), unique=True))
