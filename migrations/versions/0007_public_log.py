"""What the public log needs: tiles, published checkpoints, cosignatures, time stamps, the list of witnesses

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.store.base import UtcDateTime

revision = "0007"
down_revision = "0006"

# Only ever inserted, as the log itself (0002).
APPEND_ONLY = ("trail_tile", "trail_published", "trail_cosignature", "trail_stamp", "trail_halt")


def upgrade() -> None:
    op.create_table(
        "trail_tile",
        _log(),
        sa.Column("level", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("root", sa.LargeBinary(32), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
    )
    op.create_table("trail_published", _log(), _size(key=True), sa.Column("note", sa.Text(), nullable=False), _at())
    op.create_table(
        "trail_cosignature",
        _log(),
        sa.Column("key", sa.String(8), primary_key=True),
        _at(key=True),
        _size(key=True),
        sa.Column("witness", sa.String(255), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
    )
    op.create_index("ix_trail_cosignature_size", "trail_cosignature", ["log", "size"])
    op.create_table(
        "trail_stamp",
        _log(),
        _size(key=True),
        sa.Column("authority", sa.String(255), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        _at(),
    )
    op.create_table(
        "trail_halt",
        _log(),
        _at(key=True),
        sa.Column("kind", sa.String(8), nullable=False),
        _size(),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
    )
    _working_tables()
    if op.get_bind().dialect.name == "sqlite":
        _sqlite_guards()
    else:
        _postgresql_guards()


def _working_tables() -> None:
    op.create_table(
        "witness_policy",
        sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("reason", sa.String(300), nullable=False),
        sa.Column("asked_by", sa.String(26), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("decided_by", sa.String(26), nullable=True),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("seal", sa.LargeBinary(32), nullable=False),
    )
    op.create_table(
        "mirror_token",
        sa.Column("uid", sa.String(26), primary_key=True),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("made_by", sa.String(26), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("seal", sa.LargeBinary(32), nullable=False),
        sa.UniqueConstraint("digest", name=op.f("uq_mirror_token_digest")),
    )


def _sqlite_guards() -> None:
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only: {verb} refused'); END"
            )


def _postgresql_guards() -> None:
    for table in APPEND_ONLY:
        op.execute(f"CREATE TRIGGER {table}_guard BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION gardu_refuse()")
        op.execute(f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION gardu_refuse()")
        op.execute(f"GRANT SELECT, INSERT ON {table} TO gardu_app")
    op.execute("GRANT SELECT, INSERT, UPDATE ON witness_policy, mirror_token TO gardu_app")


def _log() -> sa.Column[str]:
    return sa.Column("log", sa.String(255), primary_key=True)


def _size(*, key: bool = False) -> sa.Column[int]:
    return sa.Column("size", sa.BigInteger(), primary_key=key, autoincrement=False, nullable=False)


def _at(*, key: bool = False) -> sa.Column[object]:
    return sa.Column("at", UtcDateTime(), primary_key=key, nullable=False)


def downgrade() -> None:
    if op.get_bind().execute(sa.text("SELECT count(*) FROM trail_entry")).scalar_one():
        raise RuntimeError(
            "the trail has entries: a downgrade would take away what outsiders check; export the log and start a new database instead"
        )
    for table in ("mirror_token", "witness_policy", *reversed(APPEND_ONLY)):
        op.drop_table(table)
