"""The administrator's desk: invitations that lapse, why an account was disabled, resets that two people decide

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from alembic import op

from app.store.base import UtcDateTime

revision = "0006"
down_revision = "0005"

# As app/identity/rules.py has it today.
INVITE = timedelta(hours=72)


def upgrade() -> None:
    op.add_column("account", sa.Column("invited_until", UtcDateTime(), nullable=True))
    op.add_column("account", sa.Column("disabled_reason", sa.String(300), nullable=True))
    _date_invitations()
    op.create_table(
        "factor_reset",
        sa.Column("uid", sa.String(26), primary_key=True),
        sa.Column("account", sa.String(26), sa.ForeignKey("account.uid", name=op.f("fk_factor_reset_account")), nullable=False),
        sa.Column("seed_version", sa.Integer(), nullable=False),
        sa.Column("asked_by", sa.String(26), nullable=False),
        sa.Column("reason", sa.String(300), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("decided_by", sa.String(26), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("seal", sa.LargeBinary(32), nullable=False),
    )
    # At most one open request for an account, whoever asks at the same moment.
    waiting = sa.text("state = 'waiting'")
    op.create_index("ix_factor_reset_waiting", "factor_reset", ["account"], unique=True, sqlite_where=waiting, postgresql_where=waiting)
    op.create_index("ix_factor_reset_asked", "factor_reset", ["asked_at"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("GRANT SELECT, INSERT, UPDATE ON factor_reset TO gardu_app")


def _date_invitations() -> None:
    """Give one-time passwords from before the end they would have had."""
    account = sa.table(
        "account",
        sa.column("uid", sa.String),
        sa.column("must_change", sa.Boolean),
        sa.column("created_at", UtcDateTime()),
        sa.column("invited_until", UtcDateTime()),
    )
    connection = op.get_bind()
    for uid, made in connection.execute(sa.select(account.c.uid, account.c.created_at).where(account.c.must_change)).all():
        connection.execute(sa.update(account).where(account.c.uid == uid).values(invited_until=made + INVITE))


def downgrade() -> None:
    if op.get_bind().execute(sa.text("SELECT count(*) FROM trail_entry")).scalar_one():
        raise RuntimeError(
            "the trail has entries: a downgrade would take away what they speak of; export the log and start a new database instead"
        )
    op.drop_table("factor_reset")
    op.drop_column("account", "disabled_reason")
    op.drop_column("account", "invited_until")
