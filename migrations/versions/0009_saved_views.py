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

# What the desk finds rare words by (app/audit/ways.py): column → what the index asks of its rows. A region is a range of codes in the
# order of characters.
INDEXES = {
    "action": "action <> 'voter:reveal' AND action <> 'voter:search' AND action <> 'session:login'",
    "outcome": "outcome <> 'allowed' AND outcome <> 'intent' AND outcome <> 'done'",
    "office": None,
    "scope": "scope IS NOT NULL",
    "mandate": "mandate IS NOT NULL",
}
BY_CHARACTER = {"scope": {"scope": "text_pattern_ops"}}


def upgrade() -> None:
    op.create_table(
        "saved_view",
        sa.Column("uid", sa.String(26), primary_key=True),
        sa.Column("account", sa.String(26), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("query", sa.String(600), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("gone_at", UtcDateTime(), nullable=True),
        sa.UniqueConstraint("account", "name", name=op.f("uq_saved_view_account_name")),
    )
    # One entry in twenty names a mandate, and the others need not stand in its index.
    op.drop_index("ix_trail_entry_mandate", "trail_entry")
    for column, only in INDEXES.items():
        where = None if only is None else sa.text(only)
        op.create_index(
            f"ix_trail_entry_{column}", "trail_entry", ["log", column, "seq"],
            sqlite_where=where, postgresql_where=where, postgresql_ops=BY_CHARACTER.get(column, {}),
        )  # fmt: skip
    if op.get_bind().dialect.name == "postgresql":
        op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON saved_view TO gardu_app")


def downgrade() -> None:
    if op.get_bind().execute(sa.text("SELECT count(*) FROM trail_entry")).scalar_one():
        raise RuntimeError(
            "the trail has entries: a downgrade would take away what they speak of; export the log and start a new database instead"
        )
    for column in INDEXES:
        op.drop_index(f"ix_trail_entry_{column}", "trail_entry")
    op.create_index("ix_trail_entry_mandate", "trail_entry", ["log", "mandate", "seq"])
    op.drop_table("saved_view")
