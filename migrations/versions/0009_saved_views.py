"""The officer's saved views, and indexes for a trail of ten million entries

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.store.base import UtcDateTime

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "saved_view",
        sa.Column("uid", sa.String(26), primary_key=True),
        sa.Column("account", sa.String(26), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("query", sa.String(600), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.UniqueConstraint("account", "name", name=op.f("uq_saved_view_account_name")),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON saved_view TO gardu_app")


def downgrade() -> None:
    if op.get_bind().execute(sa.text("SELECT count(*) FROM trail_entry")).scalar_one():
        raise RuntimeError(
            "the trail has entries: a downgrade would take away what they speak of; export the log and start a new database instead"
        )
    op.drop_table("saved_view")
