"""first walk

Revision ID: 0001
Revises: nothing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def refuse_with_entries() -> None:
    """Stop a downgrade that would take the trail's entries with it."""
    if op.get_bind().execute(sa.text("SELECT count(*) FROM trail_entry")).scalar_one():
        raise RuntimeError("the trail has entries: a downgrade would destroy them; export the log and start a new database instead")


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("uid", sa.String(length=26), nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("office", sa.String(length=32), nullable=False),
        sa.Column("unit", sa.String(length=16), nullable=False),
        sa.Column("roles", sa.String(length=255), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("must_change", sa.Boolean(), nullable=False),
        sa.Column("seed", sa.LargeBinary(), nullable=True),
        sa.Column("seed_version", sa.Integer(), nullable=False),
        sa.Column("enrolled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("barred_step", sa.BigInteger(), nullable=False),
        sa.Column("factor_failures", sa.Integer(), nullable=False),
        sa.Column("language", sa.String(length=2), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_account")),
        sa.UniqueConstraint("username", name=op.f("uq_account_username")),
    )
    op.create_table(
        "election",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("voting_day", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_election")),
    )
    op.create_table(
        "failure_count",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("window", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("slot", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "subject", "window", "slot", name=op.f("pk_failure_count")),
    )
    op.create_table(
        "load",
        sa.Column("uid", sa.String(length=26), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("kab", sa.String(length=5), nullable=False),
        sa.Column("election", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("rows_read", sa.Integer(), nullable=False),
        sa.Column("rows_sealed", sa.Integer(), nullable=False),
        sa.Column("rows_quarantined", sa.Integer(), nullable=False),
        sa.Column("warnings", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("uid", name=op.f("pk_load")),
    )
    op.create_index("ix_load_digest", "load", ["digest", "election"], unique=True)
    op.create_table(
        "nik_index",
        sa.Column("b_nik", sa.LargeBinary(), nullable=False),
        sa.Column("election", sa.String(length=16), nullable=False),
        sa.Column("kab", sa.String(length=5), nullable=False),
        sa.Column("uid", sa.String(length=26), nullable=False),
        sa.PrimaryKeyConstraint("b_nik", "election", "kab", "uid", name=op.f("pk_nik_index")),
    )
    op.create_table(
        "quarantine",
        sa.Column("kab", sa.String(length=5), nullable=False),
        sa.Column("uid", sa.String(length=26), nullable=False),
        sa.Column("election", sa.String(length=16), nullable=False),
        sa.Column("load", sa.String(length=26), nullable=False),
        sa.Column("row_no", sa.Integer(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("key_epoch", sa.Integer(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("cell", sa.LargeBinary(), nullable=False),
        sa.Column("seal", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("kab", "uid", name=op.f("pk_quarantine")),
    )
    op.create_index("ix_quarantine_load", "quarantine", ["load", "row_no"], unique=False)
    op.create_table(
        "stage_calendar",
        sa.Column("election", sa.String(length=16), nullable=False),
        sa.Column("kab", sa.String(length=5), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stage", sa.String(length=8), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("election", "kab", "since", name=op.f("pk_stage_calendar")),
    )
    op.create_table(
        "touch_index",
        sa.Column("log", sa.String(length=255), nullable=False),
        sa.Column("token", sa.LargeBinary(length=32), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("log", "token", "seq", name=op.f("pk_touch_index")),
    )
    op.create_table(
        "trail_checkpoint",
        sa.Column("log", sa.String(length=255), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("log", "size", name=op.f("pk_trail_checkpoint")),
    )
    op.create_table(
        "trail_entry",
        sa.Column("log", sa.String(length=255), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("office", sa.String(length=32), nullable=True),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=True),
        sa.Column("purpose", sa.String(length=32), nullable=True),
        sa.Column("request", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("log", "seq", name=op.f("pk_trail_entry")),
    )
    op.create_index("ix_trail_entry_actor", "trail_entry", ["log", "actor", "seq"], unique=False)
    op.create_index("ix_trail_entry_at", "trail_entry", ["log", "at"], unique=False)
    op.create_table(
        "trail_head",
        sa.Column("log", sa.String(length=255), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.LargeBinary(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("checkpoint", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("log", name=op.f("pk_trail_head")),
    )
    op.create_table(
        "trail_payload",
        sa.Column("log", sa.String(length=255), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("log", "seq", name=op.f("pk_trail_payload")),
    )
    op.create_table(
        "vault_key",
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("purpose", "scope", "epoch", name=op.f("pk_vault_key")),
    )
    op.create_table(
        "voter",
        sa.Column("kab", sa.String(length=5), nullable=False),
        sa.Column("uid", sa.String(length=26), nullable=False),
        sa.Column("kec", sa.String(length=8), nullable=False),
        sa.Column("desa", sa.String(length=13), nullable=False),
        sa.Column("tps", sa.String(length=8), nullable=False),
        sa.Column("election", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=8), nullable=False),
        sa.Column("row_version", sa.Integer(), nullable=False),
        sa.Column("key_epoch", sa.Integer(), nullable=False),
        sa.Column("c00", sa.LargeBinary(), nullable=False),
        sa.Column("c01", sa.LargeBinary(), nullable=False),
        sa.Column("c02", sa.LargeBinary(), nullable=False),
        sa.Column("c03", sa.LargeBinary(), nullable=False),
        sa.Column("c04", sa.LargeBinary(), nullable=False),
        sa.Column("c05", sa.LargeBinary(), nullable=False),
        sa.Column("c06", sa.LargeBinary(), nullable=False),
        sa.Column("c07", sa.LargeBinary(), nullable=False),
        sa.Column("c08", sa.LargeBinary(), nullable=False),
        sa.Column("c09", sa.LargeBinary(), nullable=False),
        sa.Column("c10", sa.LargeBinary(), nullable=False),
        sa.Column("c11", sa.LargeBinary(), nullable=False),
        sa.Column("c12", sa.LargeBinary(), nullable=False),
        sa.Column("c13", sa.LargeBinary(), nullable=False),
        sa.Column("b_nik", sa.LargeBinary(), nullable=False),
        sa.Column("b_nkk", sa.LargeBinary(), nullable=False),
        sa.Column("b_nd", sa.LargeBinary(), nullable=False),
        sa.Column("seal", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("kab", "uid", name=op.f("pk_voter")),
    )
    op.create_index("ix_voter_b_nd", "voter", ["kab", "election", "b_nd"], unique=False)
    op.create_index("ix_voter_b_nkk", "voter", ["kab", "election", "b_nkk"], unique=False)
    op.create_index("ix_voter_place", "voter", ["kab", "election", "desa", "tps", "uid"], unique=False)
    op.create_table(
        "voter_key",
        sa.Column("kab", sa.String(length=5), nullable=False),
        sa.Column("uid", sa.String(length=26), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("kab", "uid", name=op.f("pk_voter_key")),
    )
    op.create_table(
        "login_session",
        sa.Column("id_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("uid", sa.String(length=26), nullable=False),
        sa.Column("account", sa.String(length=26), nullable=False),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=True),
        sa.Column("factor_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("factor_method", sa.String(length=16), nullable=True),
        sa.Column("factor_purpose", sa.String(length=32), nullable=True),
        sa.Column("pending_seed", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account"], ["account.uid"], name=op.f("fk_login_session_account")),
        sa.PrimaryKeyConstraint("id_hash", name=op.f("pk_login_session")),
        sa.UniqueConstraint("uid", name=op.f("uq_login_session_uid")),
    )
    op.create_index("ix_login_session_account", "login_session", ["account"], unique=False)


def downgrade() -> None:
    refuse_with_entries()
    op.drop_index("ix_login_session_account", table_name="login_session")
    op.drop_table("login_session")
    op.drop_table("voter_key")
    op.drop_index("ix_voter_place", table_name="voter")
    op.drop_index("ix_voter_b_nkk", table_name="voter")
    op.drop_index("ix_voter_b_nd", table_name="voter")
    op.drop_table("voter")
    op.drop_table("vault_key")
    op.drop_table("trail_payload")
    op.drop_table("trail_head")
    op.drop_index("ix_trail_entry_at", table_name="trail_entry")
    op.drop_index("ix_trail_entry_actor", table_name="trail_entry")
    op.drop_table("trail_entry")
    op.drop_table("trail_checkpoint")
    op.drop_table("touch_index")
    op.drop_table("stage_calendar")
    op.drop_index("ix_quarantine_load", table_name="quarantine")
    op.drop_table("quarantine")
    op.drop_table("nik_index")
    op.drop_index("ix_load_digest", table_name="load")
    op.drop_table("load")
    op.drop_table("failure_count")
    op.drop_table("election")
    op.drop_table("account")
