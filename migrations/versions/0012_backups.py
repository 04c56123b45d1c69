"""Backups that were made, and restores that were proven

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.store.base import UtcDateTime

revision = "0012"
down_revision = "0011"

TABLES = ("backup_set", "backup_proof")


def upgrade() -> None:
    op.create_table(
        "backup_set",
        sa.Column("uid", sa.String(26), primary_key=True),
        sa.Column("log", sa.String(255), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("data_bytes", sa.BigInteger(), nullable=False),
        sa.Column("key_bytes", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("recipients", sa.String(300), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("keys_gone_at", UtcDateTime(), nullable=True),
        sa.Column("gone_at", UtcDateTime(), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("seal", sa.LargeBinary(32), nullable=False),
    )
    op.create_index("ix_backup_set_made_at", "backup_set", ["made_at"])
    op.create_table(
        "backup_proof",
        sa.Column("uid", sa.String(26), primary_key=True),
        sa.Column("backup", sa.String(26), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("good", sa.Integer(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("seal", sa.LargeBinary(32), nullable=False),
    )
    op.create_index("ix_backup_proof_at", "backup_proof", ["at"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("GRANT SELECT, INSERT, UPDATE ON backup_set TO gardu_app")
        op.execute("GRANT SELECT, INSERT ON backup_proof TO gardu_app")


def downgrade() -> None:
    bind = op.get_bind()
    for table in TABLES:
        if bind.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one():  # noqa: S608  the names are constants of this module
            raise RuntimeError(f"{table} has rows: an older Gardu would not know which backups there are and which restore was proven")
    # Every older migration refuses this too; on SQLite each step stands by itself, so it is refused before the first.
    if bind.execute(sa.text("SELECT count(*) FROM trail_entry")).scalar_one():
        raise RuntimeError("the trail has entries: this way leads no further down; export the log and start a new database instead")
    for table in TABLES:
        op.drop_table(table)
