"""Requests, decisions, mandates

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.store.base import UtcDateTime

revision = "0004"
down_revision = "0003"

# Steps are only ever inserted; a request or a mandate never vanishes.
NO_UPDATE = ("request_step",)
NO_DELETE = ("request_step", "access_request", "mandate")
# What may change of a request and of a mandate, and nothing else of them.
CHANGING = {"access_request": "state, version, seal", "mandate": "state, ended_at, seal"}


def upgrade() -> None:
    _requests()
    _steps()
    _mandates()
    if op.get_bind().dialect.name == "sqlite":
        _sqlite_guards()
    else:
        _postgresql_guards()


def downgrade() -> None:
    if op.get_bind().execute(sa.text("SELECT count(*) FROM trail_entry")).scalar_one():
        raise RuntimeError(
            "the trail has entries: a downgrade would take away what they speak of; export the log and start a new database instead"
        )
    for table in ("mandate", "request_step", "access_request"):
        op.drop_table(table)


def _requests() -> None:
    op.create_table(
        "access_request",
        sa.Column("uid", sa.String(26), primary_key=True),
        sa.Column("holder", sa.String(26), nullable=False),
        sa.Column("office", sa.String(32), nullable=False),
        sa.Column("unit", sa.String(16), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("basis", sa.String(32), nullable=False),
        sa.Column("region", sa.String(16), nullable=False),
        sa.Column("election", sa.String(16), nullable=False),
        sa.Column("stages", sa.String(64), nullable=False),
        sa.Column("elements", sa.String(160), nullable=False),
        sa.Column("view", sa.String(8), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.Column("subject", sa.String(26), nullable=True),
        sa.Column("letter", sa.String(80), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("submitted_at", UtcDateTime(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("seal", sa.LargeBinary(32), nullable=False),
    )
    op.create_index("ix_access_request_holder", "access_request", ["holder", "submitted_at"])
    op.create_index("ix_access_request_state", "access_request", ["state", "submitted_at"])
    op.create_index("ix_access_request_subject", "access_request", ["subject"])


def _steps() -> None:
    op.create_table(
        "request_step",
        sa.Column("request", sa.String(26), sa.ForeignKey("access_request.uid"), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("office", sa.String(32), nullable=False),
        sa.Column("unit", sa.String(16), nullable=False),
        sa.Column("act", sa.String(10), nullable=False),
        sa.Column("region", sa.String(16), nullable=True),
        sa.Column("elements", sa.String(160), nullable=True),
        sa.Column("view", sa.String(8), nullable=True),
        sa.Column("until", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("seal", sa.LargeBinary(32), nullable=False),
    )


def _mandates() -> None:
    op.create_table(
        "mandate",
        sa.Column("uid", sa.String(26), sa.ForeignKey("access_request.uid"), primary_key=True),
        sa.Column("holder", sa.String(26), nullable=False),
        sa.Column("approver1", sa.String(26), nullable=False),
        sa.Column("unit1", sa.String(16), nullable=False),
        sa.Column("approver2", sa.String(26), nullable=False),
        sa.Column("unit2", sa.String(16), nullable=False),
        sa.Column("region", sa.String(16), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("election", sa.String(16), nullable=False),
        sa.Column("stages", sa.String(64), nullable=False),
        sa.Column("elements", sa.String(160), nullable=False),
        sa.Column("ceiling", sa.String(8), nullable=False),
        sa.Column("start", UtcDateTime(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.Column("subject", sa.String(26), nullable=True),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("seal", sa.LargeBinary(32), nullable=False),
    )
    op.create_index("ix_mandate_holder", "mandate", ["holder", "state"])
    op.create_index("ix_mandate_due", "mandate", ["state", "until"])


def _sqlite_guards() -> None:
    for verb, tables in (("UPDATE", NO_UPDATE), ("DELETE", NO_DELETE)):
        for table in tables:
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{table}: {verb} refused'); END"
            )


def _postgresql_guards() -> None:
    for table in NO_DELETE:
        verbs = "UPDATE OR DELETE" if table in NO_UPDATE else "DELETE"
        op.execute(f"CREATE TRIGGER {table}_guard BEFORE {verbs} ON {table} FOR EACH ROW EXECUTE FUNCTION gardu_refuse()")
        op.execute(f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION gardu_refuse()")
        op.execute(f"GRANT SELECT, INSERT ON {table} TO gardu_app")
    for table, columns in CHANGING.items():
        op.execute(f"GRANT UPDATE ({columns}) ON {table} TO gardu_app")
