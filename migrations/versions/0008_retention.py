"""Erasing a payload and pruning the log, through the owner's functions that demand the entry

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.store.base import UtcDateTime

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "payload_erasure",
        sa.Column("log", sa.String(255), primary_key=True),
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("by_seq", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
    )
    op.create_table(
        "trail_minimum",
        sa.Column("log", sa.String(255), primary_key=True),
        sa.Column("minimum", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("last", sa.LargeBinary(32), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("by_seq", sa.BigInteger(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
    )


def downgrade() -> None:
    if op.get_bind().execute(sa.text("SELECT count(*) FROM trail_entry")).scalar_one():
        raise RuntimeError(
            "the trail has entries: a downgrade would take away what they speak of; export the log and start a new database instead"
        )
    op.drop_table("trail_minimum")
    op.drop_table("payload_erasure")
