"""Uploaded files, sealed; which load a voter's row came from; loads that were undone

Rows and loads from before keep NULL in the new columns: no migration holds the keys to seal them.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.store.base import UtcDateTime

revision = "0005"
down_revision = "0004"

LIVE = sa.text("state <> 'undone'")


def upgrade() -> None:
    op.add_column("voter", sa.Column("load", sa.String(26), nullable=True))
    op.create_index("ix_voter_load", "voter", ["kab", "load", "uid"])
    op.add_column("load", sa.Column("layout", sa.String(128), nullable=True))
    op.add_column("load", sa.Column("upload", sa.String(26), nullable=True))
    op.add_column("load", sa.Column("undone_at", UtcDateTime(), nullable=True))
    op.add_column("load", sa.Column("undone_by", sa.String(64), nullable=True))
    op.add_column("load", sa.Column("seal", sa.LargeBinary(32), nullable=True))
    op.drop_index("ix_load_digest", "load")
    op.create_index("ix_load_digest", "load", ["digest", "election"], unique=True, sqlite_where=LIVE, postgresql_where=LIVE)
    op.create_index("ix_load_kab", "load", ["kab", "started_at"])
    op.create_index("ix_load_state", "load", ["state"])
    _uploads()
    if op.get_bind().dialect.name == "postgresql":
        op.execute("GRANT SELECT, INSERT, UPDATE ON upload TO gardu_app")
        # The only rows of this application that are meant to go: what was uploaded and then loaded, discarded or forgotten.
        op.execute("GRANT SELECT, INSERT, DELETE ON upload_part TO gardu_app")


def downgrade() -> None:
    if op.get_bind().execute(sa.text("SELECT count(*) FROM trail_entry")).scalar_one():
        raise RuntimeError(
            "the trail has entries: a downgrade would take away what they speak of; export the log and start a new database instead"
        )
    op.drop_table("upload_part")
    op.drop_table("upload")
    for index in ("ix_load_state", "ix_load_kab", "ix_load_digest"):
        op.drop_index(index, "load")
    op.create_index("ix_load_digest", "load", ["digest", "election"], unique=True)
    for column in ("seal", "undone_by", "undone_at", "upload", "layout"):
        op.drop_column("load", column)
    op.drop_index("ix_voter_load", "voter")
    op.drop_column("voter", "load")


def _uploads() -> None:
    op.create_table(
        "upload",
        sa.Column("uid", sa.String(26), primary_key=True),
        sa.Column("kab", sa.String(5), nullable=False),
        sa.Column("election", sa.String(16), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("office", sa.String(32), nullable=False),
        sa.Column("unit", sa.String(16), nullable=False),
        sa.Column("suffix", sa.String(8), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("rows_estimate", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("mapping", sa.Text(), nullable=False),
        sa.Column("key_epoch", sa.Integer(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(61), nullable=False),
        sa.Column("job", sa.String(26), nullable=True),
        sa.Column("load", sa.String(26), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("seal", sa.LargeBinary(32), nullable=False),
    )
    op.create_index("ix_upload_kab", "upload", ["kab", "created_at"])
    op.create_index("ix_upload_state", "upload", ["state", "created_at"])
    op.create_table(
        "upload_part",
        sa.Column("upload", sa.String(26), sa.ForeignKey("upload.uid"), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("bytes", sa.LargeBinary(), nullable=False),
    )
