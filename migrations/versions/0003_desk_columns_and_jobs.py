"""Query columns of the log for the officer's desk; background work

Existing entries keep NULL in the new columns: no migration writes to the log.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.store.base import UtcDateTime

revision = "0003"
down_revision = "0002"

DESK = ["log", "seq", "at", "actor", "office", "action", "outcome", "scope", "purpose", "elements"]


def upgrade() -> None:
    op.add_column("trail_entry", sa.Column("mandate", sa.String(26), nullable=True))
    op.add_column("trail_entry", sa.Column("elements", sa.Integer(), nullable=True))
    op.create_index("ix_trail_entry_mandate", "trail_entry", ["log", "mandate", "seq"])
    op.create_index("ix_trail_entry_desk", "trail_entry", DESK)
    op.create_table(
        "job",
        sa.Column("uid", sa.String(26), primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("office", sa.String(32), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("beat_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
    )
    op.create_index("ix_job_kind_actor", "job", ["kind", "actor", "created_at"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("GRANT SELECT, INSERT, UPDATE ON job TO gardu_app")


def downgrade() -> None:
    if op.get_bind().execute(sa.text("SELECT count(*) FROM trail_entry")).scalar_one():
        raise RuntimeError(
            "the trail has entries: a downgrade would take away what they speak of; export the log and start a new database instead"
        )
    op.drop_table("job")
    op.drop_index("ix_trail_entry_desk", "trail_entry")
    op.drop_index("ix_trail_entry_mandate", "trail_entry")
    op.drop_column("trail_entry", "elements")
    op.drop_column("trail_entry", "mandate")
